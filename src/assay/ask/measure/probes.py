"""Probes: learned from activations on some prompts and judged on others. `measure` reads the inputs
of all rows once per twin and change (`_Reader.inputs`), gives them to `probe_fits.Learning`, and
averages its measures over units. In controls, `_Reader` gives tokens, embeddings or an untrained
twin's activations instead."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure import interventions, own_code, probe_parts, probe_tasks
from assay.ask.measure.activations import all_activations, read_activations
from assay.ask.measure.changes import Changes
from assay.ask.measure.dictionaries import opened
from assay.ask.measure.measuring import PASS, SIGNS, SMOKE, Measured, Tick, blocks
from assay.ask.measure.models import as_it_is, key_suffix, located
from assay.ask.measure.probe_fits import DEALS, Learning, Rows
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask, every_point
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.tokenized import Prompt, prompt
from assay.ask.tables import Intervention, Plain, Position, Probe, Read
from assay.core.columns import Axes
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.fitting import fitted
from assay.lab.catalogue import STORE
from assay.subjects.batches import ROWS, run_many
from assay.subjects.edits import Edits
from assay.subjects.folder import ModelFolder, find
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

WORDS = 4096
"""Maximum number of tokens that a bag distinguishes, the most frequent ones of the learning
half."""
WITHOUT_MODEL = ("bag", "embedding", "places")
"""Controls that read tokens and not activations."""
MLP = 0.8
"""CPU-seconds of a seed's MLPs, including the choice of the penalty, for the steps, and again for
every 100 rows."""
SUMMED = ("error", "variance")
"""Measures that are summed over the rows of a unit; others are averaged."""
SHARING = 2
"""How many successive seeds shared an untrained twin before all shared one: reading the twin is
most of a probe's cost."""


def axes(task: ProbeTask) -> dict[str, Axes]:
    """The measures of an arm, with their dimensions and levels."""
    dims: Axes = {**task.table.sweep, task.unit: task.levels}
    return dict.fromkeys(_units(task), dims)


def _units(task: ProbeTask) -> dict[str, str]:
    names = ["accuracy", "balanced_accuracy", "auroc", "f1"]
    if not task.classes:
        names = ["error", "variance", "mae", "rmse"]
    elif task.control != MAJORITY:
        has_margin = task.table.kind in ("ridge", "difference")
        names += ["margin"] if has_margin else ["log_prob", "code_length"]
    made = [name for name in names if name not in probe_tasks.ASKED or name in task.asked]
    return {name: task.about(name)[1] for name in made}


def measure(
    task: ProbeTask,
    seeds: Int[np.ndarray, " run"],
    folder: Path,
    device: str,
    smoke: bool,
    tick: Tick,
    root: Path = Path(),
) -> tuple[Measured, dict[str, list[Plain]]]:
    """Measure one arm. Returns (dims, array, unit) by name, and the levels of the dims.

    `accuracy` is 1 if the label has the highest score, otherwise 0; `balanced_accuracy` weights
    labels equally. `margin` is the score of the label minus the highest other one, `log_prob` its
    log-probability in nats. For numbers there are the sums of (y − ŷ)² and of (y − ȳ)² over the
    rows of a unit, with ȳ the mean of all judged rows."""
    rows = task.rows[:SMOKE] if smoke else task.rows
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [0]
    points = every_point(task.table)
    pairs = [(a, [row for row in b if row in {*rows}]) for a, b in task.parts]
    learnings = [Learning(task, rows, a, b) for a, b in pairs if b]
    size = (len(distinct), len(points), len(rows))
    values = {name: np.full(size, np.nan) for name in _units(task)}
    twins = {"untrained": SHARING}.get(task.control, 1 if task.model.like else 0)
    single = task.control == "untrained" and task.one_twin
    reader = _Reader(task, rows, folder, device)
    last: tuple[int | None, int, int | None] | None = None
    others = task.control in {c.name for c in probe_parts.control_of(task.table)}
    moves = task.change is not None and task.change.drawn
    for s, seed in enumerate(distinct):
        if task.control != MAJORITY:
            twin = 0 if single else seed // twins if twins else None
            draws = (twin, seed if moves else 0, seed if others else None)
            if draws != last:
                inputs, last = reader.inputs(points, *draws), draws
                lengths = [len(ids) for ids in reader.ids(points[0])]
                for learning in learnings:
                    learning.read(points, inputs, lengths)
        for learning in learnings:
            every = _measured(learning, len(points), seed, coded="code_length" in values)
            for name, value in values.items():
                value[s][:, learning.columns] = np.mean([measures[name] for measures in every], 0)
        tick(s + 1, len(distinct))
    return _tidy(task, rows, seeds, distinct, values)


def _measured(
    learning: Learning, points: int, seed: int, *, coded: bool
) -> list[dict[str, Float[np.ndarray, "point row"]]]:
    """The measures of rows that are judged together; for shuffled labels those of several deals."""
    if learning.task.control == MAJORITY:
        return [learning.measured(learning.majority(points))]
    every, shuffled = [], learning.task.control == "permuted"
    for deal in range(DEALS if shuffled else 1):
        measures = learning.measured(learning.scores(seed, shuffled=shuffled, deal=deal))
        if coded:
            bits = learning.code_length(seed, shuffled=shuffled, deal=deal)
            measures["code_length"] = bits
        every.append(measures)
    return every


def _tidy(
    task: ProbeTask,
    rows: Sequence[int],
    seeds: Int[np.ndarray, " run"],
    distinct: Sequence[int],
    values: Mapping[str, Float[np.ndarray, "seed point row"]],
) -> tuple[Measured, dict[str, list[Plain]]]:
    """The numbers with one dimension for each swept field, for each unit: means over its rows, or
    sums."""
    unit, names = task.unit, task.units(rows)
    levels = [level for level in task.levels if level in {*names}]
    share = (np.array(names)[:, None] == np.array(levels)).astype(float)
    sizes = share.sum(0)  # divides the sum, as six times a sixth of 1 is not 1
    sweep = task.table.sweep
    by_seed = {seed: i for i, seed in enumerate(distinct)}
    index = [by_seed.get(int(s), 0) for s in seeds]
    shape = (len(seeds), *(len(v) for v in sweep.values()), len(levels))
    dims = " ".join(["run", *sweep, unit])
    units = _units(task)
    measured: Measured = {
        name: (
            dims,
            (value[index] @ share / (1 if name in SUMMED else sizes)).reshape(shape),
            units[name],
        )
        for name, value in values.items()
    }
    coords: dict[str, list[Plain]] = {unit: list(levels)}
    return measured, coords | {name: list(options) for name, options in sweep.items()}


def seconds(task: ProbeTask, size: Mapping[str, int], runs: int) -> float:
    """Estimate the CPU-seconds of the passes and fits of so many runs of an arm in a model of this
    size."""
    if task.control == MAJORITY:
        return 0.01 * runs
    every = [task.source.rows[i] for i in task.learned] + [task.prompts.rows[i] for i in task.rows]
    tokens = sum(len(row.text) for row in every) / SIGNS
    shared = {"untrained": SHARING}.get(task.control, 1 if task.model.like else runs)
    shared = runs if (task.control == "untrained" and task.one_twin) or not task.drawn else shared
    passes = 0 if task.control in WITHOUT_MODEL else -(-runs // shared)
    points = len(interventions.points(task.table))
    rows = len(task.learned) / 100
    is_mlp = task.table.kind == "mlp"
    solving = points * (MLP * (1 + rows) if is_mlp else rows**2 * 0.02)
    solving *= 2 if "code_length" in task.asked else 1  # its parts learn from as many again
    solving *= task.table.folds / runs if not task.drawn else max(1, task.table.folds)
    return PASS * passes * tokens * blocks(size) + solving * runs


def named(tables: Sequence[Probe]) -> list[str]:
    """The names of the dictionaries that probes read."""
    return [*dict.fromkeys(p.dictionary for t in tables for p in every_point(t) if p.dictionary)]


def _no_effects(read: Read, table: Intervention, *where: Any) -> Any:
    """Refuse to choose parts by their effect on a read, because a probe has no reads."""
    raise DataError(f"{table.name!r}: under a probe, choose parts by norm, labels or a direction")


class _Reader:
    """Gives the inputs of rows: those that are learned from first, then those that are judged."""

    def __init__(self, task: ProbeTask, rows: Sequence[int], folder: Path, device: str) -> None:
        self.task, self.rows, self.study, self.device = task, rows, folder, device
        self.name = located(folder, task.model.like or task.model.name)
        self._twin: Pretrained | None = None

    @cached_property
    def folder(self) -> ModelFolder:
        return find(self.name, self.task.model.bos)

    @property
    def _opened(self) -> Pretrained:
        return as_it_is(self.name, self.device, self.task.model)

    @cached_property
    def prompts(self) -> list[Prompt]:
        task = self.task
        rows = [task.source.rows[i] for i in task.learned]
        rows += [task.prompts.rows[i] for i in self.rows]
        return [prompt(self.folder, row) for row in rows]

    def ids(self, table: Probe) -> list[list[int]]:
        """The tokens of each row up to the probed one. Raises: DataError."""
        return [probe_tasks.seen_tokens(p, table.position) for p in self.prompts]

    def inputs(
        self,
        points: Sequence[Probe],
        seed: int | None,
        change_seed: int = 0,
        other: int | None = None,
    ) -> Rows:
        """The inputs at each point; with a seed, of the untrained twin that it draws, under the
        change as `change_seed` draws it, and of other parts as `other` draws them."""
        attends = self.task.table.kind == "attention"
        if self.task.control in WITHOUT_MODEL:
            ways = {"bag": self._bag, "embedding": self._embedding, "places": self._placed}
            by_place = {p.position: p for p in points}
            read = {k: ways[self.task.control](p, attends) for k, p in by_place.items()}
            return [read[p.position] for p in points]
        model = self._opened
        settings = key_suffix(self.task.model)
        key = f"{model.fingerprint}{settings} {'' if seed is None else seed}"
        if seed is not None:  # the opened one stays as it is
            self._twin = redrawn(self._twin or copy.deepcopy(model), seed)
            model = self._twin
        if attends:
            acts = self._tokens(model, points)
        else:
            acts = self._acts(model, key, points, change_seed)
        if any(p.dictionary for p in points):
            load = cache(partial(opened, folder=self.study, root=STORE.get()))
            with torch.no_grad():
                acts = [
                    fitted(p.dictionary, load(p.dictionary), self.folder).encode(x.float().cpu())
                    for p, x in zip(points, acts, strict=True)
                ]
        arguments = self.folder, len(self.task.learned), other
        return [probe_parts.read(p, x, *arguments) for p, x in zip(points, acts, strict=True)]

    def _edits(
        self, model: Pretrained, key: str, prompts: PromptSet, seed: int
    ) -> list[list[Edits]] | None:
        """The edits of the model on each of these prompts; None without a change."""
        if self.task.change is None:
            return None
        every = [prompt(model.folder, row) for row in prompts.rows]
        load = cache(partial(opened, folder=self.study, root=STORE.get()))
        code = cache(partial(own_code.load, folder=self.study))
        about: Any = (model, every, range(len(every)), [seed], [{}], key, load, code, _no_effects)
        return Changes(self.task.change, *about).edits

    def _acts(self, model: Pretrained, key: str, points: Sequence[Probe], seed: int) -> Rows:
        sets = [(self.task.source, self.task.learned), (self.task.prompts, self.rows)]
        acts: dict[tuple[str, str, Position], torch.Tensor] = {}
        whole = {p.digest: p for p, _ in sets}.values()
        edits = {prompts.digest: self._edits(model, key, prompts, seed) for prompts in whole}
        for place in dict.fromkeys(p.position for p in points):
            here = [(p.site, p.test_site or p.site) for p in points if p.position == place]
            names = list(dict.fromkeys(name for pair in here for name in pair))
            sites = [Site.parse(name) for name in names]
            read = {}
            for prompts in whole:
                if model is self._twin or self.task.change:  # not worth caching
                    by_site = read_activations(model, prompts, sites, place, edits[prompts.digest])
                    read[prompts.digest] = [by_site[site] for site in sites]
                else:
                    read[prompts.digest] = all_activations(model, key, prompts, sites, place)
            for pair in dict.fromkeys(here):
                parts = [
                    read[prompts.digest][names.index(name)][rows].flatten(1)
                    for name, (prompts, rows) in zip(pair, sets, strict=True)
                ]
                acts[*pair, place] = torch.cat(parts)
        return [acts[p.site, p.test_site or p.site, p.position] for p in points]

    def _tokens(self, model: Pretrained, points: Sequence[Probe]) -> Rows:
        """The tokens of all rows, padded with zeros after the last one that may be used."""
        sites = [Site.parse(p.site) for p in points]
        ids = self.ids(points[0])
        rows: list[list[torch.Tensor]] = [[] for _ in points]
        for begin in range(0, len(self.prompts), 4 * ROWS):
            batch = self.prompts[begin : begin + 4 * ROWS]
            traces = run_many(
                model, [p.tokens for p in batch], capture=list(dict.fromkeys(sites)), logits=False
            )
            for i, (p, trace) in enumerate(zip(batch, traces, strict=True), begin):
                for k, site in enumerate(sites):
                    x = trace[0].acts[site][0, p.opening : p.opening + len(ids[i])]
                    rows[k].append(x.flatten(1).float().clone())
        return [torch.nn.utils.rnn.pad_sequence(x, batch_first=True) for x in rows]

    def _bag(self, table: Probe, attends: bool) -> torch.Tensor:
        """How often each token is in a row, regardless of the order."""
        ids = self.ids(table)
        counts = Counter(i for row in ids[: len(self.task.learned)] for i in row)
        column = {i: n for n, (i, _) in enumerate(counts.most_common(WORDS))}
        eye = torch.eye(len(column) + 1)[:, :-1]  # other tokens have no column
        rows = [eye[[column.get(i, len(column)) for i in row]] for row in ids]
        if attends:
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return torch.stack([row.sum(0) for row in rows])

    def _placed(self, table: Probe, attends: bool) -> torch.Tensor:
        """The embeddings of the tokens at their positions from both ends, and the number of
        tokens."""
        weight = self._opened.model.get_input_embeddings().weight
        return probe_tasks.placed(weight, self.ids(table))

    def _embedding(self, table: Probe, attends: bool) -> torch.Tensor:
        """The mean of the embeddings of the tokens, and that of the probed token."""
        model = self._opened
        weight = model.model.get_input_embeddings().weight.detach()
        rows = [weight[row].float().cpu() for row in self.ids(table)]
        if attends:
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        means = torch.stack([row.mean(0) for row in rows])
        if table.position == "mean":
            return means
        return torch.cat([means, torch.stack([row[-1] for row in rows])], 1)
