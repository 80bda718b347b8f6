"""Probes: what can be told from activations, learned from some prompts and judged on others, and
what is read in the activations' place in controls.

Nothing of a judged row is seen while a probe is learned: rows are split by whole groups, columns
are scaled by the learning half, and the penalty is chosen inside what a seed learns from, by folds
of whole groups again. Ridge and logistic regressions are solved from inner products, so that what
is read may have any number of columns."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.ask import interventions
from assay.ask.measuring import (
    SMOKE,
    Measured,
    Tick,
    all_activations,
    blocks,
    read_activations,
    said,
)
from assay.ask.models import located, opened
from assay.ask.prompts import SLOT, PromptSet, Row
from assay.ask.seen import Prompt, prompt
from assay.ask.tables import Model, Place, Plain, Probe, Read
from assay.core import rng
from assay.core.columns import Axes
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.evaluation import sources
from assay.evaluation.sources import Source
from assay.features.kernel_probe import CONSTANT, STRENGTHS, logistic
from assay.features.linear_probe import INNER, folds, kernel_ridge
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.subjects.batches import ROWS, run_many
from assay.subjects.folder import ModelFolder, find
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

KINDS = ("ridge", "logistic", "sparse", "attention")
SWEPT = ("site", "position", "k", "dictionary")
"""The fields that a sweep may set, beside the slots of a site."""
RIDGES = tuple(10.0**e for e in range(-4, 2))
"""Penalties of a ridge, as shares of the mean diagonal entry of its kernel."""
DECAYS = (1e-3, 1e-2, 1e-1)
"""Penalties of an attention probe: so much of half its squared weights is added to its loss."""
COLUMNS, STEPS, RATE = 32, 150, 0.05
"""Principal components of the tokens that an attention probe reads; how often and how fast its
weights are moved."""
WORDS = 4096
"""Tokens that a bag tells apart at most, the most frequent of the learning half."""
MAJORITY = "majority"
"""The control that reads nothing: it answers with the most frequent label, or the mean number."""
LARGEST = 5000
"""Prompts that are learned from and judged, at most."""
DEALS, FEW = 4, 4
"""How often a seed's labels are dealt out anew in `permuted`, which are averaged: where one
direction stands out, a probe of such labels is right nearly always or nearly never. Into how many
parts numbers are sorted, in which labels are dealt out alike."""
SHARING = 2
"""How many seeds in a row share an untrained twin: reading with it is most of what a probe
costs."""
LEAST = 6
"""Groups from which a probe is learned at least."""


@dataclass(frozen=True)
class ProbeTask:
    """What one arm of a probe measures; studies know it by what `measuring.Task` has as well."""

    model: Model
    table: Probe
    source: PromptSet
    """The prompts that it learns from."""
    test: PromptSet | None = None
    """Other prompts that it is judged on; None: the other half of the same."""
    control: str = ""
    reads: tuple[Read, ...] = ()
    """None: what it measures are its own measures."""
    intervention: None = None
    less: None = None
    stands_in: str = ""

    @property
    def models(self) -> tuple[Model, ...]:
        """The model whose activations it reads."""
        return (self.model,)

    @property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompts that decide its numbers, those that are judged first."""
        return (self.prompts, *([self.source] if self.test else []))

    @property
    def phrase(self) -> str:
        """What is probed, in words."""
        return f"{self.table.name}: {in_words(self)}"

    @property
    def words(self) -> dict[str, Any]:
        """What decides its numbers beside the contents of models and prompts."""
        return {
            "probe": said(self.table),
            "control": self.control,
            "untrained": [bool(self.model.like)],
            "tested": self.test is not None,
        }

    @property
    def axes(self) -> dict[str, Axes]:
        """What it measures, with its dimensions and their levels."""
        dims: Axes = {**self.table.sweep, self.prompts.unit: self.levels}
        return dict.fromkeys(_units(self), dims)

    @property
    def levels(self) -> list[str]:
        """The levels of the unit that is generalised over."""
        return list(dict.fromkeys(self.prompts.units(self.rows)))

    @property
    def learns_here(self) -> bool:
        """Whether it learns from the other half of the prompts that it is judged on."""
        return self.test is None

    def range_of(self, measure: str) -> tuple[float | None, float | None]:
        """The least and greatest number that a measure can be; None for no end."""
        return {"accuracy": (0.0, 1.0), "log_prob": (None, 0.0)}.get(measure, (None, None))

    def weights_read(self, size: Mapping[str, int], runs: int) -> float:
        """How many products of a weight and a token its passes are, in a model of this size, for so
        many runs, and what solving is worth."""
        return seconds(self, blocks(size), runs) * runs / PASS

    def measure(
        self,
        seeds: Int[np.ndarray, "run"],
        folder: Path,
        device: str,
        smoke: bool,
        tick: Tick,
        root: Path,
    ) -> tuple[Measured, dict[str, list[Any]]]:
        """Measure it: its measures by name, as (dims, array, unit), and the levels of dims."""
        return measure(self, seeds, folder, device, smoke, tick)

    @property
    def prompts(self) -> PromptSet:
        """The prompts that it is judged on."""
        return self.test or self.source

    @cached_property
    def learned(self) -> list[int]:
        """The rows of `source` that seeds draw from."""
        return [*range(len(self.source.rows))] if self.test else self.source.halves()[0]

    @cached_property
    def rows(self) -> list[int]:
        """The rows of `prompts` that are measured."""
        return [*range(len(self.test.rows))] if self.test else self.source.halves()[1]

    @property
    def drawn(self) -> bool:
        """Whether seeds differ: all but those that learn nothing."""
        return self.control != MAJORITY

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels; none where numbers are regressed."""
        names = [*self.source.column(self.table.label), *self.prompts.column(self.table.label)]
        return () if _numeric(names) else tuple(sorted(set(names)))

    @cached_property
    def chance(self) -> float:
        """The accuracy of who always gives the most frequent label of the judged rows; of numbers
        0, the R² of their mean."""
        if not self.classes:
            return 0.0
        counts = Counter(self.prompts.column(self.table.label, self.rows))
        return max(counts.values()) / len(self.rows)


def _numeric(names: Sequence[str]) -> bool:
    """Whether labels are numbers to regress: all are, and there are more than two."""
    try:
        values = {float(name) for name in names}
    except ValueError:
        return False
    return len(values) > 2 and bool(np.isfinite([*values]).all())


# what can be refused before anything is measured --------------------------------------------------


def check(task: ProbeTask) -> None:
    """Refuse a probe that could not be learned, or whose answer its prompts give away. Raises:
    DataError, ModelError for a name that is no site."""
    table = task.table
    if not table.name.isidentifier() or table.name == "main":
        raise DataError(
            f"a probe needs a name of letters, digits and _ that is not main, got {table.name!r}"
        )
    if table.kind not in KINDS:
        raise DataError(f"no kind of probe is called {table.kind!r}; {nearest(table.kind, KINDS)}")
    slots = SLOT.findall(table.site)
    for name in table.sweep:
        if name not in (*SWEPT, *slots):
            hint = nearest(name, (*SWEPT, *slots))
            raise DataError(f"{table.name!r} cannot be swept over {name!r}; {hint}")
    for slot in (s for s in slots if s not in table.sweep):
        raise DataError(
            f"{table.name!r}: nothing fills {{{slot}}}; write sweep = {{ {slot} = [4, 8] }}, say"
        )
    for point in _points(table):
        if not point.site:
            how = 'site = "blocks.15.hook_resid_post"'
            raise DataError(f"{table.name!r} needs a site, such as {how}")
        if Site.parse(point.site).dims.split()[1] != "s":
            raise DataError(f"{point.site} has no vector for a token, so no probe can read it")
        if point.position == "all":
            raise DataError(f'{table.name!r} reads a token, or "mean" over all of them')
    if table.kind == "attention" and {"dictionary", "position"} & {
        *table.sweep,
        *(["dictionary"] if table.dictionary else []),
    }:
        raise DataError(
            f"{table.name!r}: an attention probe reads activations of all tokens up to a position; "
            'leave dictionary and swept positions out, or write kind = "sparse"'
        )
    if (count := len(task.learned) + len(task.rows)) > LARGEST:
        raise DataError(f"{table.name!r} has {count:,} prompts, at most {LARGEST:,} are probed")
    _check_labels(task)
    _check_leaks(task)


def check_sites(task: ProbeTask, folder: ModelFolder) -> None:
    """Refuse a site that a model lacks. Raises: ModelError."""
    if task.control == MAJORITY:  # which reads none
        return
    for point in _points(task.table):
        folder.check(Site.parse(point.site))


def _check_labels(task: ProbeTask) -> None:
    table, source, prompts = task.table, task.source, task.prompts
    parts = ((source, task.learned, "learned from"), (prompts, task.rows, "judged"))
    by = f", split by {source.table.split}" if source.table.split else ""
    if len(task.classes) > len(task.learned) / 2:
        raise DataError(
            f"{table.name!r}: {table.label} has {len(task.classes)} different texts in "
            f"{len(task.learned)} rows; a probe needs several rows of each, or numbers"
        )
    for label in task.classes:
        for some, rows, what in parts:
            if label not in (column := some.column(table.label, rows)):
                raise DataError(
                    f"{table.name!r}: no row with {table.label} = {label!r} is {what}{by}; it has "
                    f"{', '.join(sorted(set(column)))}: write more rows, or another split"
                )
    if len(task.classes) == 1:
        raise DataError(
            f"{table.name!r}: every row has {table.label} = {task.classes[0]!r}; there is nothing "
            "to tell apart"
        )
    if not task.classes and table.kind in ("logistic", "attention"):
        raise DataError(
            f"{table.name!r}: {table.label} is a number, and a {table.kind} probe tells classes "
            'apart; write kind = "ridge", or texts as labels'
        )
    if (count := len(set(source.groups(task.learned)))) < LEAST:
        what = f"values of {source.table.split}" if source.table.split else "prompts"
        raise DataError(
            f"{table.name!r} is learned from {count} {what}; {LEAST} or more are needed, that its "
            "penalty can be chosen"
        )


def _check_leaks(task: ProbeTask) -> None:
    """Refuse what would let a probe be right without telling the label from anything that a new
    prompt has."""
    table, label = task.table, task.table.label
    learned = [task.source.rows[i] for i in task.learned]
    judged = [task.prompts.rows[i] for i in task.rows]
    places = {point.position for point in _points(table)}
    for row in (*learned, *judged):
        if label in row.spans and any(_sees(row, label, place) for place in places):
            raise DataError(
                f"{row.place}: {{{label}}} stands in the prompt, so the label can be read; leave "
                "it out of the text, or probe at a slot before it"
            )
    for place in sorted(places, key=str):
        if all(_names_itself(row, place, label, task.classes) for row in (*learned, *judged)):
            raise DataError(
                f"{table.name!r}: every prompt has its {label} as a word, and no other; probe what "
                "the text does not say"
            )
        before = {_seen_text(row, place): row for row in learned}
        if same := [row for row in judged if _seen_text(row, place) in before]:
            other = before[_seen_text(same[0], place)]
            raise DataError(
                f"{same[0].place} and {other.place} have the same text before the probe, and one "
                f"is learned from, the other judged ({len(same)} such rows); leave one out, or "
                "split by a column that they share"
            )
    split = task.source.table.split
    if task.test and split:
        shared = set(task.source.column(split)) & set(task.test.column(split))
        if shared:
            raise DataError(
                f"{split} {sorted(shared)[0]!r} is among the prompts that {table.name!r} learns "
                f"from and among those of {table.test!r}; no group may be in both"
            )
    if task.classes and not split:
        for column in _giving(learned, judged, label):
            raise DataError(
                f"{table.name!r}: each {column} has only one {label}, and most are in both halves, "
                f'so that a probe may know the {column}; write split = "{column}" under prompts'
            )


def _sees(row: Row, slot: str, place: Place) -> bool:
    """Whether any of a slot's value lies before the token of a probe."""
    ends = row.spans.get(str(place).strip("{}"), len(row.text))
    return row.spans[slot] - len(row.columns[slot]) < ends


def _seen_text(row: Row, place: Place) -> str:
    """The text up to the slot that is probed; all of it where a number says which token."""
    return row.text[: row.spans.get(str(place).strip("{}"), len(row.text))]


def _names_itself(row: Row, place: Place, label: str, classes: Sequence[str]) -> bool:
    text = _seen_text(row, place)
    words = {c for c in classes if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", text, re.I)}
    return words == {row.columns[label]}


def _giving(learned: Sequence[Row], judged: Sequence[Row], label: str) -> list[str]:
    """The columns whose value says the label and stands in both halves: those by which rows could
    be split, as each label has several values of it."""
    giving = []
    rows = [*learned, *judged]
    for column in dict.fromkeys(name for row in rows for name in ("template", *row.spans)):
        if column == label or not all(column in row.columns for row in rows):
            continue
        pairs = {(row.columns[column], row.columns[label]) for row in rows}
        values = {value for value, _ in pairs}
        each = min(Counter(kind for _, kind in pairs).values())
        both = {r.columns[column] for r in learned} & {r.columns[column] for r in judged}
        if len(pairs) == len(values) and each >= LEAST and len(both) > len(values) / 2:
            giving.append(column)
    return giving


def in_words(task: ProbeTask) -> str:
    """Say what is probed, learned and judged, in a phrase, with what a reader has to know that
    cannot be refused."""
    table, split = task.table, task.prompts.table.split
    label, count = table.label, len(task.rows)
    if task.control == MAJORITY:
        return f"the most frequent {label}, whatever the prompt"
    what = f"{count} {'of ' + table.test if task.test else 'others'}"
    new = f" with a new {split}" if split else ""
    words = f"{label} by {table.kind}, learned from {len(task.learned)} prompts, judged on {what}"
    if task.classes:
        frequent = f"the most frequent of {len(task.classes)} labels is right in {task.chance:.0%}"
        words += f"{new}, where {frequent}"
    else:
        words += f"{new}, as a number"
    rows = [task.prompts.rows[i] for i in task.rows]
    single = [c for c in dict.fromkeys(n for r in rows for n in r.spans) if _says(rows, c, label)]
    if single and task.classes:
        words += f"; {{{single[0]}}} alone gives the {label} away, to which its controls look"
    return words


def _says(rows: Sequence[Row], column: str, label: str) -> bool:
    """Whether a column of few values decides the label."""
    pairs = {(r.columns.get(column), r.columns[label]) for r in rows}
    return len({value for value, _ in pairs}) == len(pairs) <= len(rows) / 2


# what an arm measures -----------------------------------------------------------------------------


def _units(task: ProbeTask) -> dict[str, str]:
    """The measures of an arm, each with its unit."""
    if not task.classes:
        square = f"{task.table.label}²"
        return {"error": square, "variance": square}
    more = {"ridge": {"margin": "1"}}.get(task.table.kind, {"log_prob": "nats"})
    return {"accuracy": "1", "balanced_accuracy": "1", **({} if not task.drawn else more)}


def _points(table: Probe) -> list[Probe]:
    return [interventions.swept(table, point) for point in interventions.points(table)]


def measure(
    task: ProbeTask,
    seeds: Int[np.ndarray, "run"],
    folder: Path,
    device: str,
    smoke: bool,
    tick: Tick,
) -> tuple[Measured, dict[str, list[Plain]]]:
    """Measure one arm: by name (dims, array, unit), and the levels of their dims.

    A class counts 1 where the label has the highest score, else 0; in `balanced_accuracy` each
    label counts alike, however many rows it has. `margin` is the score of the label less the
    highest other, `log_prob` its log-probability in nats. Of numbers there are the sums of
    (y − ŷ)² and of (y − ȳ)² over the rows of a unit, ȳ the mean of all that are judged."""
    rows = task.rows[:SMOKE] if smoke else task.rows
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [int(seeds[0])]
    points, learning = _points(task.table), _Learning(task, rows)
    size = (len(distinct), len(points), len(rows))
    values = {name: np.full(size, np.nan) for name in _units(task)}
    twins = {"untrained": SHARING}.get(task.control, 1 if task.model.like else 0)
    reader = _Reader(task, rows, folder, device)
    last: int | None = None
    for s, seed in enumerate(distinct):
        if task.control == MAJORITY:
            scores = [learning.majority(len(points))]
        else:
            twin = seed // twins if twins else None
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
    seeds: Int[np.ndarray, "run"],
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


PASS, LOADING = 2 / 50e9, 5.0
"""CPU-seconds for each weight and token of one pass, and to load a model."""


def seconds(task: ProbeTask, weights: int, runs: int) -> float:
    """CPU-seconds of one run of an arm, in a group of so many, in a model of so many weights."""
    if task.control == MAJORITY:
        return 0.01
    rows = [task.source.rows[i] for i in task.learned] + [task.prompts.rows[i] for i in task.rows]
    tokens = sum(len(row.text) for row in rows) / 4  # a token is some 4 signs
    twins = task.control == "untrained" or bool(task.model.like)
    passes = 0 if task.control in ("bag", "embedding") else runs if twins else 1
    points = len(interventions.points(task.table))
    solving = points * (len(task.learned) / 100) ** 2 * 0.02
    return (LOADING / 4 + PASS * passes * tokens * weights) / runs + solving


def dictionaries(tables: Sequence[Probe], folder: Path) -> dict[str, Source]:
    """The dictionaries that probes read, by the names that they are given. Raises: DataError."""
    names = dict.fromkeys(p.dictionary for t in tables for p in _points(t) if p.dictionary)
    beside = {name: str(folder / name) if (folder / name).exists() else name for name in names}
    return {name: sources.find([beside[name]], Store(ROOT.get()))[0] for name in names}


# what a probe reads -------------------------------------------------------------------------------

_Rows: TypeAlias = "list[torch.Tensor]"
"""Of each point of the sweep what is read: [row, d]; of an attention probe [row, token, d]."""


class _Reader:
    """What stands in rows: those that are learned from first, then those that are judged."""

    def __init__(self, task: ProbeTask, rows: Sequence[int], folder: Path, device: str) -> None:
        self.task, self.rows, self.study, self.device = task, rows, folder, device
        self.name = located(folder, task.model.like or task.model.name)
        self._twin: Pretrained | None = None

    @cached_property
    def folder(self) -> ModelFolder:
        return find(self.name)

    @cached_property
    def prompts(self) -> list[Prompt]:
        task = self.task
        rows = [task.source.rows[i] for i in task.learned]
        rows += [task.prompts.rows[i] for i in self.rows]
        return [prompt(self.folder, row) for row in rows]

    def ids(self, table: Probe) -> list[list[int]]:
        """The tokens of each row that the probe may know of, up to the one that is probed. Raises:
        DataError where there is none."""
        ids = []
        for p in self.prompts:
            end = len(p.tokens) if table.position == "mean" else p.at(table.position) + 1
            if end <= p.opening:
                raise DataError(
                    f"{p.row.place}: position {table.position} is what every text begins with, so "
                    "nothing can be told there"
                )
            ids.append(list(p.tokens[p.opening : end]))
        return ids

    def inputs(self, points: Sequence[Probe], seed: int | None) -> _Rows:
        """What is read at each point; with a seed, of the untrained twin that it draws."""
        attends = self.task.table.kind == "attention"
        if self.task.control in ("bag", "embedding"):
            ways = {"bag": self._bag, "embedding": self._embedding}
            by_place = {p.position: p for p in points}
            read = {k: ways[self.task.control](p, attends) for k, p in by_place.items()}
            return [read[p.position] for p in points]
        model = opened(self.name, self.device, self.folder.fingerprint)
        key = f"{model.fingerprint} {'' if seed is None else seed}"
        if seed is not None:  # the opened one stays as it is
            self._twin = redrawn(self._twin or copy.deepcopy(model), seed)
            model = self._twin
        acts = self._tokens(model, points) if attends else self._acts(model, key, points)
        if not any(p.dictionary for p in points):
            return acts
        known = dictionaries([self.task.table], self.study)
        with torch.no_grad():
            return [
                known[p.dictionary].dictionary.encode(x.float().cpu())[0]
                for p, x in zip(points, acts, strict=True)
            ]

    def _acts(self, model: Pretrained, key: str, points: Sequence[Probe]) -> _Rows:
        sets = [(self.task.source, self.task.learned), (self.task.prompts, self.rows)]
        acts: dict[tuple[str, Place], torch.Tensor] = {}
        for place in dict.fromkeys(p.position for p in points):
            names = list(dict.fromkeys(p.site for p in points if p.position == place))
            sites = [Site.parse(name) for name in names]
            read = {}
            for some in {p.digest: p for p, _ in sets}.values():
                if model is self._twin:  # which nobody reads again
                    by_site = read_activations(model, some, sites, place)
                    read[some.digest] = [by_site[site] for site in sites]
                else:
                    read[some.digest] = all_activations(model, key, some, sites, place)
            for k, name in enumerate(names):
                parts = [read[some.digest][k][rows].flatten(1) for some, rows in sets]
                acts[name, place] = torch.cat(parts)
        return [acts[p.site, p.position] for p in points]

    def _tokens(self, model: Pretrained, points: Sequence[Probe]) -> _Rows:
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

    def _embedding(self, table: Probe, attends: bool) -> torch.Tensor:
        """The mean of the tokens' embeddings, and that of the token that is probed."""
        model = opened(self.name, self.device, self.folder.fingerprint)
        weight = model.model.get_input_embeddings().weight.detach()
        rows = [weight[row].float().cpu() for row in self.ids(table)]
        if attends:
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        means = torch.stack([row.mean(0) for row in rows])
        if table.position == "mean":
            return means
        return torch.cat([means, torch.stack([row[-1] for row in rows])], 1)


# how it is learned --------------------------------------------------------------------------------

_Fit: TypeAlias = "Callable[[np.ndarray, np.ndarray], torch.Tensor]"
"""Training rows, held rows → the scores of the latter, [setting, point, row, class]."""


class _Learning:
    """The rows of an arm, what is read of them, and the probes of each seed."""

    def __init__(self, task: ProbeTask, rows: Sequence[int]) -> None:
        self.task, self.count = task, len(task.learned)
        label = task.table.label
        self.labels = [
            *task.source.column(label, task.learned),
            *task.prompts.column(label, rows),
        ]
        if task.classes:
            self.index = np.array([task.classes.index(name) for name in self.labels])
            self.y = torch.eye(len(task.classes), dtype=torch.float64)[self.index]
        else:
            self.y = torch.tensor([[float(name)] for name in self.labels], dtype=torch.float64)
        value = self.index if task.classes else self.y[:, 0].numpy()
        few = [*np.quantile(value, np.arange(1, FEW) / FEW)]
        self.order = value if task.classes else np.searchsorted(few, value)
        self.held = np.arange(self.count, len(self.labels))
        self.groups = np.array(task.source.groups(task.learned))

    def read(self, points: Sequence[Probe], inputs: _Rows, lengths: Sequence[int]) -> None:
        """Take in what is read, each column less its mean over its deviation in the learning
        half; `lengths` are the tokens of each row."""
        self.points = points
        if self.task.table.kind == "attention":
            self._read_tokens(inputs, lengths)
            return
        self.x = [_scaled(x.cpu().double(), self.count) for x in inputs]
        if self.task.table.kind != "sparse":
            self.kernels = torch.stack([x @ x.mT for x in self.x])

    def _read_tokens(self, inputs: _Rows, lengths: Sequence[int]) -> None:
        """Take in tokens, on their principal components in the learning half."""
        places = np.arange(inputs[0].shape[1])
        self.mask = torch.from_numpy(places < np.array(lengths)[:, None])
        tokens = []
        for x in inputs:
            x = x.cpu().double()
            known = x[: self.count][self.mask[: self.count]]
            scale = known.std(0, correction=0)
            scale = torch.where(scale > 1e-9 * scale.amax(), scale, torch.inf)
            z = (known - known.mean(0)) / scale
            values, vectors = torch.linalg.eigh(z.mT @ z / len(z))
            values, vectors = values[-COLUMNS:], vectors[:, -COLUMNS:]
            whole = (x - known.mean(0)) / scale @ vectors
            whole = whole / values.clamp_min(1e-6 * float(values[-1])).sqrt()
            tokens.append(torch.where(self.mask[..., None], whole, 0.0))
        width = max(x.shape[-1] for x in tokens)
        self.tokens = torch.stack(
            [torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in tokens]
        )

    def majority(self, points: int) -> Float[torch.Tensor, "point row y"]:
        """The scores of what reads nothing."""
        return self.y[: self.count].mean(0).expand(points, len(self.held), -1)

    def scores(
        self, seed: int, *, shuffled: bool = False, deal: int = 0
    ) -> Float[torch.Tensor, "point row y"]:
        """The scores of the judged rows by the probes of a seed, which learn from two thirds of the
        learning half; shuffled, from labels that tell nothing, dealt out once more."""
        task = self.task
        chosen = set(
            task.source.sample(
                task.learned, seed, labelled=bool(task.classes), label=task.table.label
            )
        )
        train = np.array([k for k, row in enumerate(task.learned) if row in chosen])
        y = self.y.clone()
        if shuffled:
            y[train] = self.y[_shuffled(self.order, train, self.groups[train], seed, deal)]
        kind = task.table.kind
        if kind == "attention":
            return self._tuned(lambda a, b: self._attention(y, a, b), y, train, seed, odds=True)
        odds = kind == "logistic" or (kind == "sparse" and bool(task.classes))
        solve = _logistic if odds else _ridge
        if kind == "sparse":
            return self._tuned(
                lambda a, b: solve(self._sparse(y, a), y, a, b), y, train, seed, odds=odds
            )
        return self._tuned(lambda a, b: solve(self.kernels, y, a, b), y, train, seed, odds=odds)

    def _tuned(
        self, fit: _Fit, y: torch.Tensor, train: np.ndarray, seed: int, *, odds: bool
    ) -> Float[torch.Tensor, "point row y"]:
        """The scores of the judged rows with the penalty of the least loss in folds of whole groups
        of the training rows: squared error, or the log-probability missed."""
        groups = self.groups[train]
        fold = folds(groups, min(INNER, len(np.unique(groups))), seed)
        losses = []
        for k in range(fold.max() + 1):
            judged = train[fold == k]
            scores, right = fit(train[fold != k], judged), y[judged]
            off = -(scores * right) if odds else (scores - right).square()
            losses.append(off.sum((2, 3)))
        best = torch.stack(losses).sum(0).argmin(0)
        return fit(train, self.held)[best, torch.arange(len(best))]

    def _sparse(self, y: torch.Tensor, train: np.ndarray) -> Float[torch.Tensor, "point row row"]:
        """Inner products on the features that go most with the label in the training rows."""
        kernels = []
        for point, x in zip(self.points, self.x, strict=True):
            a, b = (part[train] - part[train].mean(0) for part in (x, y))
            size = a.norm(dim=0)[:, None] * b.norm(dim=0)
            off = torch.where(size > 0, (a.mT @ b).abs() / size, 0.0).amax(1)
            best = off.argsort(descending=True, stable=True)[: point.k]
            kernels.append(x[:, best] @ x[:, best].mT)
        return torch.stack(kernels)

    def _attention(
        self, y: torch.Tensor, train: np.ndarray, held: np.ndarray
    ) -> Float[torch.Tensor, "setting point row y"]:
        """Log-probabilities by a softmax over a mean of tokens, whose weights are a softmax of what
        one direction has of each.

        Formula: log softmax(Wᵀ Σ_t a_t x_t + b), a = softmax(x q); Adam from W = q = 0"""
        x, mask, right = self.tokens[:, train], self.mask[train], y[train]
        n, d, c, settings = len(self.points), x.shape[-1], y.shape[1], len(DECAYS)
        decay = y.new_tensor(DECAYS)[:, None]
        weights = [
            torch.zeros(settings, n, *size, dtype=y.dtype, requires_grad=True)
            for size in ((d, 1), (d, c), (1, c))
        ]

        def log_probs(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            q, w, b = weights
            heed = x.flatten(1, 2) @ q[..., 0].permute(1, 2, 0)  # point, row · token, setting
            heed = heed.unflatten(1, x.shape[1:3]).masked_fill(~mask[..., None], -torch.inf)
            mean = heed.softmax(2).mT @ x  # point, row, setting, column
            return (mean.permute(2, 0, 1, 3) @ w + b).log_softmax(-1)

        with torch.enable_grad():
            adam = torch.optim.Adam(weights, RATE)
            for _ in range(STEPS):
                adam.zero_grad()
                penalty = sum((v.square().sum((2, 3)) * decay).sum() for v in weights[:2])
                missed = -(log_probs(x, mask) * right).sum() / len(train)
                (missed + penalty / 2).backward()
                adam.step()
        with torch.no_grad():
            return log_probs(self.tokens[:, held], self.mask[held])

    def measured(
        self, scores: Float[torch.Tensor, "point row y"]
    ) -> dict[str, Float[np.ndarray, "point row"]]:
        """The measures of each judged row."""
        y = self.y[self.count :]
        if not self.task.classes:
            off = (y[None] - scores)[..., 0].square().numpy()
            spread = (y - y.mean(0))[:, 0].square().numpy()
            return {"error": off, "variance": np.broadcast_to(spread, off.shape)}
        index = self.index[self.count :]
        right = (scores.argmax(-1).numpy() == index).astype(float)
        counts = np.bincount(index, minlength=y.shape[1])
        weight = len(index) / ((counts > 0).sum() * counts[index])
        mine = (scores * y).sum(-1)
        other = scores.masked_fill(y.bool(), -torch.inf).amax(-1)
        return {
            "accuracy": right,
            "balanced_accuracy": right * weight,
            "margin": (mine - other).numpy(),
            "log_prob": mine.numpy(),
        }


def _scaled(x: Float[torch.Tensor, "row d"], count: int) -> Float[torch.Tensor, "row d"]:
    """Each column less its mean over its deviation in the first rows; 0 where it does not vary
    there."""
    mean, scale = x[:count].mean(0), x[:count].std(0, correction=0)
    scale = torch.where(scale > 1e-9 * scale.amax(), scale, torch.inf)
    return (x - mean) / scale


def _shuffled(
    label: Int[np.ndarray, "row"], train: np.ndarray, groups: np.ndarray, seed: int, deal: int
) -> Int[np.ndarray, "n"]:
    """Whose label each training row gets, so that labels tell nothing: rows of one label get all
    labels in their shares, as near as whole numbers come, so that of either sign no share of the
    truth is left. Where every group has one label, groups exchange theirs."""
    names, first, index = np.unique(groups, return_index=True, return_inverse=True)
    if any(len(set(label[train][index == g])) > 1 for g in range(len(names))):
        first, index = np.arange(len(train)), np.arange(len(train))
    mine = label[train][first]
    order = rng.permutation(np.array([seed]), "ask.permuted", deal, len(first))[0]
    kinds = np.unique(mine)
    left = [[int(i) for i in order if mine[i] == kind] for kind in kinds]  # labels to be dealt out
    from_whom = np.empty(len(first), dtype=np.int64)
    # where shares are no whole numbers, each deal rounds up another label than the one before
    turn = (np.arange(len(kinds)) + deal) % len(kinds)
    for kind in kinds:
        takers = [i for i in order[::-1] if mine[i] == kind]
        share = np.array([len(x) for x in left]) * len(takers) / sum(len(x) for x in left)
        count = np.floor(share).astype(int)
        count[np.lexsort((turn, count - share))[: len(takers) - count.sum()]] += 1
        given = [x.pop() for x, n in zip(left, count, strict=True) for _ in range(n)]
        from_whom[takers] = given
    return train[first[from_whom][index]]


def _ridge(
    kernels: Float[torch.Tensor, "point row row"],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, "n"],
    held: Int[np.ndarray, "m"],
) -> Float[torch.Tensor, "setting point m y"]:
    """Scores by ridge regression on the labels' columns of 0 and 1, or on the number."""
    out = []
    for kernel in kernels:
        mean = kernel[:, train].mean(1)
        centred = kernel - mean[:, None] - mean + mean[train].mean()
        out.append(kernel_ridge(centred, RIDGES, y, train, held))
    return torch.stack(out, 1)


def _logistic(
    kernels: Float[torch.Tensor, "point row row"],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, "n"],
    held: Int[np.ndarray, "m"],
) -> Float[torch.Tensor, "setting point m y"]:
    """Log-probabilities by logistic regression; of three classes or more each against the rest,
    the probabilities scaled to add up to 1."""
    classes = [1] if y.shape[1] == 2 else range(y.shape[1])
    yes = torch.stack([y[train, c] > 0.5 for c in classes]).repeat(len(kernels), 1)
    within = kernels[:, train][:, :, train].repeat_interleave(len(classes), 0)
    a = logistic(within, yes, STRENGTHS).unflatten(0, (len(kernels), len(classes)))
    cross = kernels[:, held][:, :, train] + CONSTANT**2
    f = torch.einsum("phn,pqsn->sphq", cross, a)
    f = torch.cat([-f, f], -1) if len(classes) == 1 else f
    log_odds = torch.nn.functional.logsigmoid(f)
    return log_odds - log_odds.logsumexp(-1, keepdim=True)
