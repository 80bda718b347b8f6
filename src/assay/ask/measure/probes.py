"""Probes: what can be told from activations, learned from some prompts and judged on others, and
what is read in the activations' place in controls."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure import interventions, places, probe_tasks
from assay.ask.measure.harvests import all_activations, read_activations
from assay.ask.measure.measuring import PASS, SIGNS, SMOKE, Measured, Tick, blocks
from assay.ask.measure.models import as_it_is, located, said
from assay.ask.measure.probe_fits import DEALS, Learning, Rows
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask, every_point
from assay.ask.measure.seen import Prompt, prompt
from assay.ask.tables import Plain, Position, Probe
from assay.core.columns import Axes
from assay.core.heavy import torch
from assay.evaluation import sources
from assay.evaluation.sources import Source
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.subjects.batches import ROWS, run_many
from assay.subjects.folder import ModelFolder, find
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

WORDS = 4096
"""Tokens that a bag tells apart at most, the most frequent of the learning half."""
WITHOUT_MODEL = ("bag", "embedding", "places")
"""Controls that read tokens and no activations."""
SHARING = 2
"""How many seeds in a row shared an untrained twin before all had one: reading with it is most of
what a probe costs."""


def axes(task: ProbeTask) -> dict[str, Axes]:
    """What an arm measures, with its dimensions and their levels."""
    dims: Axes = {**task.table.sweep, task.prompts.unit: task.levels}
    return dict.fromkeys(_units(task), dims)


def _units(task: ProbeTask) -> dict[str, str]:
    """The measures of an arm, each with its unit."""
    if not task.classes:
        square = f"{task.table.label}²"
        return {"error": square, "variance": square}
    more = {"ridge": {"margin": "1"}}.get(task.table.kind, {"log_prob": "nats"})
    return {"accuracy": "1", "balanced_accuracy": "1", **({} if not task.drawn else more)}


def measure(
    task: ProbeTask,
    seeds: Int[np.ndarray, " run"],
    folder: Path,
    device: str,
    smoke: bool,
    tick: Tick,
    root: Path = Path(),
) -> tuple[Measured, dict[str, list[Plain]]]:
    """Measure one arm: by name (dims, array, unit), and the levels of their dims.

    A class counts 1 where the label has the highest score, else 0; in `balanced_accuracy` each
    label counts alike, however many rows it has. `margin` is the score of the label less the
    highest other, `log_prob` its log-probability in nats. Of numbers there are the sums of
    (y − ŷ)² and of (y − ȳ)² over the rows of a unit, ȳ the mean of all that are judged."""
    rows = task.rows[:SMOKE] if smoke else task.rows
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [int(seeds[0])]
    points, learning = every_point(task.table), Learning(task, rows)
    size = (len(distinct), len(points), len(rows))
    values = {name: np.full(size, np.nan) for name in _units(task)}
    twins = {"untrained": SHARING}.get(task.control, 1 if task.model.like else 0)
    single = task.control == "untrained" and task.one_twin
    reader = _Reader(task, rows, folder, device)
    last: int | None = None
    for s, seed in enumerate(distinct):
        if task.control == MAJORITY:
            scores = [learning.majority(len(points))]
        else:
            twin = 0 if single else seed // twins if twins else None
            if not s or twin != last:
                inputs, last = reader.inputs(points, twin), twin
                learning.read(points, inputs, [len(ids) for ids in reader.ids(points[0])])
            if task.control == "permuted":
                scores = [learning.scores(seed, shuffled=True, deal=k) for k in range(DEALS)]
            else:
                scores = [learning.scores(seed)]
        every = [learning.measured(x) for x in scores]
        for name, value in values.items():
            value[s] = np.mean([measures[name] for measures in every], 0)
        tick(s + 1, len(distinct))
    return _tidy(task, rows, seeds, distinct, values)


def _tidy(
    task: ProbeTask,
    rows: Sequence[int],
    seeds: Int[np.ndarray, " run"],
    distinct: Sequence[int],
    values: Mapping[str, Float[np.ndarray, "seed point row"]],
) -> tuple[Measured, dict[str, list[Plain]]]:
    """The numbers with a dimension for each swept field, of each unit: the mean of its rows, of
    numbers the sum."""
    unit, names = task.prompts.unit, task.prompts.units(rows)
    levels = list(dict.fromkeys(names))
    share = (np.array(names)[:, None] == np.array(levels)).astype(float)
    share /= share.sum(0) if task.classes else 1
    sweep = task.table.sweep
    by_seed = {seed: i for i, seed in enumerate(distinct)}
    index = [by_seed.get(int(s), 0) for s in seeds]
    shape = (len(seeds), *(len(v) for v in sweep.values()), len(levels))
    dims = " ".join(["run", *sweep, unit])
    units = _units(task)
    measured: Measured = {
        name: (dims, (value[index] @ share).reshape(shape), units[name])
        for name, value in values.items()
    }
    coords: dict[str, list[Plain]] = {unit: list(levels)}
    return measured, coords | {name: list(options) for name, options in sweep.items()}


def seconds(task: ProbeTask, size: Mapping[str, int], runs: int) -> float:
    """Guess the CPU-seconds of the passes and the fits of so many runs of an arm in a model of this
    size."""
    if task.control == MAJORITY:
        return 0.01 * runs
    rows = [task.source.rows[i] for i in task.learned] + [task.prompts.rows[i] for i in task.rows]
    tokens = sum(len(row.text) for row in rows) / SIGNS
    shared = {"untrained": SHARING}.get(task.control, 1 if task.model.like else runs)
    shared = runs if task.control == "untrained" and task.one_twin else shared
    passes = 0 if task.control in WITHOUT_MODEL else -(-runs // shared)
    points = len(interventions.points(task.table))
    solving = points * (len(task.learned) / 100) ** 2 * 0.02
    return PASS * passes * tokens * blocks(size) + solving * runs


def named(tables: Sequence[Probe]) -> list[str]:
    """The dictionaries that probes read, by the names that they are given."""
    return [*dict.fromkeys(p.dictionary for t in tables for p in every_point(t) if p.dictionary)]


def dictionaries(tables: Sequence[Probe], folder: Path) -> dict[str, Source]:
    """The dictionaries that probes read, by their names. Raises: DataError."""
    names = named(tables)
    paths = {name: str(folder / name) if (folder / name).exists() else name for name in names}
    return {name: sources.find([paths[name]], Store(ROOT.get()))[0] for name in names}


class _Reader:
    """What stands in rows: those that are learned from first, then those that are judged."""

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
        """The tokens of each row that the probe may know of, up to the one that is probed. Raises:
        DataError."""
        return [probe_tasks.seen_tokens(p, table.position) for p in self.prompts]

    def inputs(self, points: Sequence[Probe], seed: int | None) -> Rows:
        """What is read at each point; with a seed, of the untrained twin that it draws."""
        attends = self.task.table.kind == "attention"
        if self.task.control in WITHOUT_MODEL:
            ways = {"bag": self._bag, "embedding": self._embedding, "places": self._placed}
            by_place = {p.position: p for p in points}
            read = {k: ways[self.task.control](p, attends) for k, p in by_place.items()}
            return [read[p.position] for p in points]
        model = self._opened
        settings = said(self.task.model)
        key = f"{model.fingerprint}{settings} {'' if seed is None else seed}"
        if seed is not None:  # the opened one stays as it is
            self._twin = redrawn(self._twin or copy.deepcopy(model), seed)
            model = self._twin
        acts = self._tokens(model, points) if attends else self._acts(model, key, points)
        if not any(p.dictionary for p in points):
            return acts
        known = dictionaries([self.task.table], self.study)
        with torch.no_grad():
            return [
                known[p.dictionary].fitted(self.folder).dictionary.encode(x.float().cpu())[0]
                for p, x in zip(points, acts, strict=True)
            ]

    def _acts(self, model: Pretrained, key: str, points: Sequence[Probe]) -> Rows:
        sets = [(self.task.source, self.task.learned), (self.task.prompts, self.rows)]
        acts: dict[tuple[str, str, Position], torch.Tensor] = {}
        for place in dict.fromkeys(p.position for p in points):
            here = [(p.site, p.test_site or p.site) for p in points if p.position == place]
            names = list(dict.fromkeys(name for pair in here for name in pair))
            sites = [Site.parse(name) for name in names]
            read = {}
            for some in {p.digest: p for p, _ in sets}.values():
                if model is self._twin:  # which nobody reads again
                    by_site = read_activations(model, some, sites, place)
                    read[some.digest] = [by_site[site] for site in sites]
                else:
                    read[some.digest] = all_activations(model, key, some, sites, place)
            for pair in dict.fromkeys(here):
                parts = [
                    read[some.digest][names.index(name)][rows].flatten(1)
                    for name, (some, rows) in zip(pair, sets, strict=True)
                ]
                acts[*pair, place] = torch.cat(parts)
        return [acts[p.site, p.test_site or p.site, p.position] for p in points]

    def _tokens(self, model: Pretrained, points: Sequence[Probe]) -> Rows:
        """The tokens of all rows, filled up with zeros behind the last that is seen."""
        sites = [Site.parse(p.site) for p in points]
        ids = self.ids(points[0])
        rows: list[list[torch.Tensor]] = [[] for _ in points]
        for begin in range(0, len(self.prompts), 4 * ROWS):
            some = self.prompts[begin : begin + 4 * ROWS]
            traces = run_many(
                model,
                [p.tokens for p in some],
                capture=list(dict.fromkeys(sites)),
                logits=False,
            )
            for i, (p, trace) in enumerate(zip(some, traces, strict=True), begin):
                for k, site in enumerate(sites):
                    x = trace[0].acts[site][0, p.opening : p.opening + len(ids[i])]
                    rows[k].append(x.flatten(1).float().clone())
        return [torch.nn.utils.rnn.pad_sequence(x, batch_first=True) for x in rows]

    def _bag(self, table: Probe, attends: bool) -> torch.Tensor:
        """How often each token is in a row, whatever their order."""
        ids = self.ids(table)
        counts = Counter(i for row in ids[: len(self.task.learned)] for i in row)
        column = {i: n for n, (i, _) in enumerate(counts.most_common(WORDS))}
        eye = torch.eye(len(column) + 1)[:, :-1]  # what is not among them has no column
        rows = [eye[[column.get(i, len(column)) for i in row]] for row in ids]
        if attends:
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return torch.stack([row.sum(0) for row in rows])

    def _placed(self, table: Probe, attends: bool) -> torch.Tensor:
        """The tokens' embeddings at their places from both ends, and how many there are."""
        weight = self._opened.model.get_input_embeddings().weight
        return places.placed(weight, self.ids(table))

    def _embedding(self, table: Probe, attends: bool) -> torch.Tensor:
        """The mean of the tokens' embeddings, and that of the token that is probed."""
        model = self._opened
        weight = model.model.get_input_embeddings().weight.detach()
        rows = [weight[row].float().cpu() for row in self.ids(table)]
        if attends:
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        means = torch.stack([row.mean(0) for row in rows])
        if table.position == "mean":
            return means
        return torch.cat([means, torch.stack([row[-1] for row in rows])], 1)
