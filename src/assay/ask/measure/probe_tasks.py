"""Probe tasks: what one arm of a probe learns from and is judged on. `check` and its helpers
refuse, before anything is measured, labels that no probe could learn and prompts that give the
label away; `placed` and `at_chance` are about probes of tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Int

from assay.ask.measure import interventions, probe_parts
from assay.ask.measure.directions import LEARNED, way_of
from assay.ask.measure.next_tokens import whole
from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet
from assay.ask.measure.tasks import Task, WithoutReads, stated
from assay.ask.measure.tokenized import Prompt, prompt
from assay.ask.near import BAG, EMBEDDING
from assay.ask.tables import Intervention, Model, Position, Probe
from assay.ask.telling import find_telling
from assay.core.errors import AssayError, DataError, nearest
from assay.core.heavy import torch
from assay.core.intervals import FEWEST, FEWEST_FOLDS, FOLD
from assay.core.wordings import spelling
from assay.features.linear_probe import stratified_folds
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site

KINDS = ("ridge", "logistic", "difference", "sparse", "attention", "mlp")
SWEPT = ("site", "test_site", "position", "k", "dictionary")
"""Fields that a sweep may set, besides the slots of a site."""
MAJORITY = "majority"
"""The control that reads nothing and predicts the most frequent label, or the mean number."""
MEASURES = {
    "accuracy": ("whether the label has the highest score", "1", "higher"),
    "balanced_accuracy": ("the same, each label counting alike", "1", "higher"),
    "auroc": ("how likely a prompt of a label scores higher for it than another", "1", "higher"),
    "f1": ("mean over labels of the F1 of each", "1", "higher"),
    "margin": ("score of the label less the highest other", "1", "higher"),
    "log_prob": ("log-probability of the label", "nats", "higher"),
    "code_length": ("bits of a label in the online code", "bits", "lower"),
    "error": ("sum of (y − ŷ)² over the prompts of a unit", "{label}²", "lower"),
    "variance": ("sum of (y − ȳ)² over the prompts of a unit", "{label}²", ""),
    "mae": ("|y − ŷ|", "{label}", "lower"),
    "rmse": ("root of the mean of (y − ŷ)²", "{label}", "lower"),
}
"""The measures of a probe: description, unit, and which way is better."""
ASKED = ("auroc", "f1", "code_length", "mae", "rmse")
"""Measured only if a statement names them."""
POOLED = ("auroc", "f1", "rmse")
"""Numbers of all judged prompts together, which a single unit does not have."""
TELLING = 0.75
"""The AUROC from which a word by itself is reported: halfway between chance and certainty."""
LARGEST = 5000
"""Maximum number of prompts that are learned from and judged."""
SPREAD = ("balanced_accuracy", "auroc", "f1")
"""Shares whose contributions by single rows or groups are not between 0 and 1."""
SHARES = ("accuracy", *SPREAD)
FEW = 4
"""Number of quantiles by which numbers are stratified."""
LEAST = 6
"""Minimum number of groups from which a probe is learned."""


@dataclass(frozen=True)
class ProbeTask(WithoutReads):
    """What one arm of a probe measures; studies use it like `tasks.Task`."""

    model: Model
    table: Probe
    source: PromptSet
    """The prompts that it learns from."""
    test: PromptSet | None = None
    """Other prompts that it is judged on; None: the other half of the same."""
    control: str = ""
    change: Task | None = None
    """The change of the model while it reads, or a control of that."""
    asked: tuple[str, ...] = ()
    """Those of `ASKED` that a statement names."""
    one_twin: bool = True
    """Whether the control `untrained` has one twin for all seeds; studies frozen before that have a
    new one for every second seed."""

    @property
    def intervention(self) -> Intervention | None:
        """The intervention under which the probe reads the model."""
        return self.change.intervention if self.change else None

    @property
    def models(self) -> tuple[Model, ...]:
        """The model whose activations it reads."""
        return (self.model,)

    @property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompts that determine its numbers, the judged ones first."""
        judged = (self.prompts, *([self.source] if self.test else []))
        learned = self.change.sets[1:] if self.change else ()
        return (*judged, *(source for source in learned if source not in judged))

    @property
    def phrase(self) -> str:
        """What is probed, in words."""
        return in_words(self)

    @property
    def words(self) -> dict[str, Any]:
        """What determines its numbers besides the contents of models and prompts."""
        changed = self.change.words if self.change else {}
        return {
            "probe": stated(self.table),
            "control": self.control,
            "untrained": [bool(self.model.like)],
            "tested": self.test is not None,
            **dict.fromkeys(self.asked, True),
            **({"changed": changed["control"]} if changed else {}),
            **{f: changed[f] for f in ("intervention", "directions", "first") if f in changed},
            **({"twin": "one"} if self.control == "untrained" and self.one_twin else {}),
        }

    @property
    def levels(self) -> list[str]:
        """The levels of the unit over which is generalised."""
        units = [*dict.fromkeys(self.units(self.rows))]
        return sorted(units, key=int) if self.table.folds else units

    @property
    def unit(self) -> str:
        """The unit over which is generalised, besides seeds."""
        return FOLD if self.table.folds else self.prompts.unit

    def units(self, rows: Sequence[int]) -> list[str]:
        """The unit of each of these judged rows: its fold, counted from 1, or that of the
        prompts."""
        if not self.table.folds:
            return self.prompts.units(rows)
        fold = {row: k for k, (_, judged) in enumerate(self.parts, 1) for row in judged}
        return [str(fold[row]) for row in rows]

    @property
    def learns_here(self) -> bool:
        """Whether it learns from the other half of the prompts that it is judged on."""
        return self.test is None and not self.table.folds

    def range_of(self, measure: str) -> tuple[float | None, float | None]:
        """The smallest and the largest value of a measure; None if unbounded."""
        if measure == "accuracy" or (measure in SPREAD and self.table.folds):
            return 0.0, 1.0
        if measure in ("mae", "code_length") or (measure == "rmse" and self.table.folds):
            return 0.0, None
        return (None, 0.0) if measure == "log_prob" else (None, None)

    def about(self, measure: str) -> tuple[str, str, str]:
        """Describe a measure: what it is, its unit, and which way is better."""
        words, unit, better = MEASURES[measure]
        return words, unit.format(label=self.table.label), better

    @property
    def prompts(self) -> PromptSet:
        """The prompts that it is judged on."""
        return self.test or self.source

    @cached_property
    def learned(self) -> list[int]:
        """The rows of `source` from which seeds sample."""
        whole = self.test or self.table.folds
        return [*range(len(self.source.rows))] if whole else self.source.halves()[0]

    @cached_property
    def rows(self) -> list[int]:
        """The rows of `prompts` that are measured."""
        whole = self.test or self.table.folds
        return [*range(len(self.prompts.rows))] if whole else self.source.halves()[1]

    @cached_property
    def parts(self) -> list[tuple[list[int], list[int]]]:
        """Rows of `source` to learn from, with the rows of `prompts` that are then judged: one such
        pair, or one for each fold."""
        k = self.table.folds
        if not k:
            return [(self.learned, self.rows)]
        learned, judged = (
            stratified_folds(
                np.unique(prompts.groups(rows), return_inverse=True)[1],
                self.kinds(prompts.column(self.table.label, rows)),
                k,
            )
            for prompts, rows in ((self.source, self.learned), (self.prompts, self.rows))
        )
        return [
            (
                [row for row, f in zip(self.learned, learned, strict=True) if f != i],
                [row for row, f in zip(self.rows, judged, strict=True) if f == i],
            )
            for i in range(k)
        ]

    def kinds(self, labels: Sequence[str]) -> Int[np.ndarray, " row"]:
        """The class of each of these labels, counted from 0; for numbers, their quarter."""
        if self.classes:
            return np.array([self.classes.index(name) for name in labels])
        values = np.array([float(name) for name in labels])
        return np.searchsorted([*np.quantile(values, np.arange(1, FEW) / FEW)], values)

    @property
    def drawn(self) -> bool:
        """Whether seeds differ: not if nothing is learned, and with folds, which learn from all
        other folds, only if the model or its change depends on the seed."""
        reads_anew = bool(self.model.like) or (self.change is not None and self.change.drawn)
        return self.control != MAJORITY and (not self.table.folds or reads_anew)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels; empty if numbers are predicted."""
        names = [*self.source.column(self.table.label), *self.prompts.column(self.table.label)]
        return () if _numeric(names) else tuple(sorted(set(names)))

    @cached_property
    def chance(self) -> float:
        """The accuracy of always predicting the most frequent label of the judged rows; for numbers
        0, the R² of their mean."""
        if not self.classes:
            return 0.0
        counts = Counter(self.prompts.column(self.table.label, self.rows))
        return max(counts.values()) / len(self.rows)


def _numeric(names: Sequence[str]) -> bool:
    """Whether labels are numbers to predict: all are numbers, and there are more than two."""
    try:
        values = {float(name) for name in names}
    except ValueError:
        return False
    return len(values) > 2 and bool(np.isfinite([*values]).all())


def seen_tokens(p: Prompt, place: Position) -> list[int]:
    """The tokens of a prompt up to the probed one, which a probe may use. Raises: DataError if
    there are none."""
    end = len(p.tokens) if place == "mean" else p.at(place) + 1
    if end <= p.opening:
        raise DataError(
            f"{p.row.place}: every text has the same token at position {place}, so a "
            "probe cannot read anything there"
        )
    return list(p.tokens[p.opening : end])


def check_prompts(task: ProbeTask, folder: ModelFolder) -> None:
    """Refuse prompts that lack the probed position, or that are all the same up to it. Raises:
    DataError."""
    rows = [task.source.rows[i] for i in task.learned] + [task.prompts.rows[i] for i in task.rows]
    every = [prompt(folder, row) for row in rows]
    for place in {point.position for point in every_point(task.table)}:
        if len({tuple(seen_tokens(p, place)) for p in every}) == 1 < len(every):
            raise DataError(
                f"{task.table.name!r}: all prompts have the same tokens up to position {place}, so "
                "a probe cannot read anything there; probe a later token, such as -1"
            )


def check_sites(task: ProbeTask, folder: ModelFolder) -> None:
    """Refuse a site that a model lacks. Raises: ModelError."""
    for point in every_point(task.table) if task.control != MAJORITY else ():  # it reads no site
        site = Site.parse(point.site)
        folder.check(site)
        probe_parts.check_width(point, folder)
        if point.test_site:
            folder.check(test := Site.parse(point.test_site))
            if folder.width(test) != folder.width(site):
                raise DataError(
                    f"{task.table.name!r} learns at {site}, which has {folder.width(site)} numbers "
                    f"a token, and {test} has {folder.width(test)}"
                )


def check(task: ProbeTask) -> None:
    """Refuse a probe that cannot be learned, or whose answer its prompts give away. Raises:
    DataError, ModelError for an unknown site."""
    table = task.table
    if not table.name.isidentifier() or table.name == "main":
        raise DataError(
            f"a probe needs a name of letters, digits and _ that is not main, got {table.name!r}"
        )
    if table.kind not in KINDS:
        raise DataError(f"no kind of probe is called {table.kind!r}; {nearest(table.kind, KINDS)}")
    probe_parts.check(table)
    places = [table.site, table.test_site, *table.heads]
    places += map(str, table.neurons + table.latents)
    slots = [slot for place in places for slot in SLOT.findall(place)]
    if task.source.table.levels or task.prompts.table.levels:
        raise DataError(
            f"{table.name!r}: prompts with levels or shots cannot be probed; write a second "
            "[[prompts]] without them, and name it in the probe's prompts"
        )
    for name in table.sweep:
        if name not in (*SWEPT, *slots):
            hint = nearest(name, (*SWEPT, *slots))
            raise DataError(f"{table.name!r} cannot be swept over {name!r}; {hint}")
    for slot in (s for s in slots if s not in table.sweep):
        raise DataError(
            f"{table.name!r}: nothing fills {{{slot}}}; write sweep = {{ {slot} = [4, 8] }}"
        )
    for point in every_point(table):
        if not point.site:
            how = 'site = "blocks.15.hook_resid_post", or heads'
            raise DataError(f"{table.name!r} needs a site, such as {how}")
        if Site.parse(point.site).dims.split()[1] != "s":
            raise DataError(f"{point.site} has no vector for a token, so no probe can read it")
        if point.position == "all":
            raise DataError(f'{table.name!r} reads a token, or "mean" over all of them')
    if table.kind == "attention" and {"dictionary", "position", "test_site"} & {
        *table.sweep,
        *(name for name in ("dictionary", "test_site") if getattr(table, name)),
    }:
        raise DataError(
            f"{table.name!r}: an attention probe reads activations of all tokens up to a position; "
            'leave dictionary, test_site and swept positions out, or write kind = "sparse"'
        )
    if (count := len(task.learned) + len(task.rows)) > LARGEST:
        raise DataError(f"{table.name!r} has {count:,} prompts, at most {LARGEST:,} are probed")
    _check_labels(task)
    if table.folds:
        _check_folds(task)
    if table.kind == "attention" and task.change:
        raise DataError(
            f"{table.name!r}: an attention probe reads the model as it is; write another kind, or "
            "leave intervention out"
        )
    _check_leaks(task)


def _check_folds(task: ProbeTask) -> None:
    """Refuse too few folds for a verdict, or too many for their groups and labels."""
    table, k, wrong = task.table, task.table.folds, ""
    if k < FEWEST_FOLDS:
        wrong = f"folds = {k}; a verdict needs {FEWEST_FOLDS} or more"
    for prompts, rows in ((task.source, task.learned), (task.prompts, task.rows)):
        split, count = prompts.table.split, len({*prompts.groups(rows)})
        if count < k:
            values = f"values of {split}" if split else "prompts"
            wrong = f"{k} folds need as many {values}, and there are {count}"
    for direction in task.change.own_directions if task.change else ():
        if way_of(direction) in LEARNED and direction.prompts in ("", task.source.table.name):
            wrong = (
                f"{direction.name!r} is learned from prompts that folds judge; learn it from other "
                "prompts, or leave folds out"
            )
    for name in task.classes if not wrong else ():
        label = table.label
        shared_labels = [
            {*task.source.column(label, a)} & {*task.prompts.column(label, b)}
            for a, b in task.parts
        ]
        if any(name not in both for both in shared_labels):
            wrong = f"a fold would have no row with {label} = {name!r}; write fewer folds, or more "
            wrong += "rows of it"
    if wrong:
        raise DataError(f"{table.name!r}: {wrong}")


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
        for prompt_set, rows, noun in parts:
            if label not in (column := prompt_set.column(table.label, rows)):
                raise DataError(
                    f"{table.name!r}: no row with {table.label} = {label!r} is {noun}{by}; it has "
                    f"{', '.join(sorted(set(column)))}: write more rows, or another split"
                )
    if len(task.classes) == 1:
        raise DataError(
            f"{table.name!r}: every row has {table.label} = {task.classes[0]!r}; there is nothing "
            "to tell apart"
        )
    if not task.classes and table.kind in ("logistic", "difference", "attention"):
        raise DataError(
            f"{table.name!r}: {table.label} is a number, but a {table.kind} probe distinguishes "
            'classes; write kind = "ridge", or texts as labels'
        )
    if (count := len(set(source.groups(task.learned)))) < LEAST:
        noun = f"values of {source.table.split}" if source.table.split else "prompts"
        halved = task.learns_here
        every, more = len(set(source.groups(range(len(source.rows))))), 1
        while (round(source.table.learn * (every + more)) if halved else every + more) < LEAST:
            more += 1
        other = ", as some are judged, or give test = prompts of their own" if halved else ""
        raise DataError(
            f"{table.name!r} is learned from {count} {noun}; to choose its penalty takes {LEAST} "
            f"or more: write {more} more{other}"
        )


def _check_leaks(task: ProbeTask) -> None:
    """Refuse prompts that let a probe be right without anything that generalises to new prompts."""
    table, label = task.table, task.table.label
    learned = [task.source.rows[i] for i in task.learned]
    judged = [task.prompts.rows[i] for i in task.rows]
    parts = _row_parts(task)
    places = {point.position for point in every_point(table)}
    if not (table.controls is None or {"bag", "embedding"} <= {*table.controls}):
        for row in (r for r in (*learned, *judged) if _reads(r, label, places)):
            raise DataError(
                f"{row.place}: {{{label}}} is in the prompt, so the label can be read; leave "
                "it out of the text, probe at a slot before it, or keep the controls bag and "
                "embedding, which read it as well"
            )
    for place in sorted(places, key=str):
        if all(_names_itself(row, place, label, task.classes) for row in (*learned, *judged)):
            raise DataError(
                f"{table.name!r}: in every prompt, the {label} itself is a word, so the "
                "tokens alone are enough; probe something that the text does not say"
            )
        same = [pair for part in parts for pair in _alike(*part, place, label)]
        for row, other in same[:1]:
            by_column = "" if task.test else ", or split by a column that they share"
            raise DataError(
                f"{row.place} and {other.place} have the same text before the probe, perhaps "
                f"in another spelling, and one is learned from, the other judged "
                f"({len(same)} such rows); leave one out{by_column}"
            )
    split = task.source.table.split
    if task.test and split:
        tested = {row.columns[split] for row in task.test.rows if split in row.columns}
        if shared := tested & {*task.source.column(split)}:
            raise DataError(
                f"{split} {sorted(shared)[0]!r} is both among the prompts that {table.name!r} "
                f"learns from and among those of {table.test!r}; give the two tables different "
                f"values of {split}"
            )
    if task.classes and not split:
        for column in _giving(parts, label):
            both = "several folds" if table.folds else "both halves"
            advice = f'write split = "{column}" under prompts'
            if task.test:
                both = f"both {task.source.table.name} and {table.test}"
                advice = f"give the two tables different values of {column}"
            raise DataError(
                f"{table.name!r}: each {column} has only one {label}, and most are in {both}, "
                f"so a probe may recognise the {column}; {advice}"
            )


def remarks(task: ProbeTask) -> list[str]:
    """Warn about a label that is in the prompt before the probed position."""
    table = task.table
    places = {point.position for point in every_point(table)}
    if not any(_reads(task.prompts.rows[i], table.label, places) for i in task.rows):
        return []
    return [
        f"{table.name}: {{{table.label}}} is in the prompt; bag and embedding show what "
        "reading it gives"
    ]


def giving(task: ProbeTask) -> str:
    """Say which columns of the text determine the label: looked up among the rows that are learned
    from, they are wrong in judged rows at most half as often as the most frequent label; where
    none does, which word; "" for neither."""
    label, parts = task.table.label, _row_parts(task)
    places = {point.position for point in every_point(task.table)}
    every, found = [row for _, judged in parts for row in judged], dict[str, str]()
    total = len(every)
    for column in dict.fromkeys(name for row in parts[0][1] for name in row.spans):
        if column != label and any(_reads(row, column, places) for row in parts[0][1]):
            right = sum(_looked_up(*part, column, label) for part in parts)
            if total - right <= (1 - task.chance) * total / 2:
                share = "every judged row" if right == total else f"{right:,} of {total:,} rows"
                found[column] = f"{{{column}}} alone determines {label} in {share}"
    if not task.classes:
        return ""
    if not found:
        return _giving_word(every, label, places)
    said, (column, *others) = f"{', and '.join(found.values())}: a probe can read", found
    if others:
        return f"{said} them instead"
    rarer = total - _looked_up(every, every, column, label)
    more = (
        f"; to rule this out, add rows whose {label} is not that of most rows with the same "
        f"{column} (now {rarer} of {total:,})"
    )
    return f"{said} the {column} instead{more * (rarer < FEWEST)}"


def _giving_word(rows: Sequence[PromptRow], label: str, places: Collection[Position]) -> str:
    """Say which word before the probe tells two labels in judged rows; "" for none."""
    labels = np.array([row.columns[label] for row in rows])
    if len(names := np.unique(labels)) != 2:
        return ""
    seen = ([_seen_text(row, place) for row in rows] for place in places)
    found = (find_telling(BAG, texts, labels == names[1], TELLING) for texts in seen)
    word = next(filter(None, found), None)
    return (
        f"{word[0]} alone predicts {label} with an AUROC of {word[1]:.2f}: a probe can read it "
        "instead"
        if word
        else ""
    )


def _row_parts(task: ProbeTask) -> list[tuple[list[PromptRow], list[PromptRow]]]:
    """The rows to learn from, with those that are then judged, for each of the task's parts."""
    return [
        ([task.source.rows[i] for i in a], [task.prompts.rows[i] for i in b]) for a, b in task.parts
    ]


def _looked_up(
    learned: Sequence[PromptRow], judged: Sequence[PromptRow], column: str, label: str
) -> int:
    """Count the judged rows whose label is the most frequent one of the learned rows that have the
    same value of a column."""
    labels: dict[str, Counter[str]] = {}
    for row in learned:
        labels.setdefault(row.columns.get(column, ""), Counter())[row.columns[label]] += 1
    likeliest = {value: counts.most_common(1)[0][0] for value, counts in labels.items()}
    return sum(likeliest.get(row.columns.get(column, "")) == row.columns[label] for row in judged)


def _reads(row: PromptRow, label: str, places: Collection[Position]) -> bool:
    """Whether the label is a slot of the text before one of these places."""
    if label not in row.spans:
        return False
    begins = row.spans[label] - len(row.columns[label])
    return any(begins < len(_seen_text(row, place)) for place in places)


def _seen_text(row: PromptRow, place: Position) -> str:
    """The text up to the probed slot; all of it if the position is a number."""
    return row.text[: row.spans.get(str(place).strip("{}"), len(row.text))]


def _names_itself(row: PromptRow, place: Position, label: str, classes: Sequence[str]) -> bool:
    text = _seen_text(row, place)
    words = {c for c in classes if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", text, re.I)}
    return words == {row.columns[label]}


def _alike(
    learned: Sequence[PromptRow], judged: Sequence[PromptRow], place: Position, label: str
) -> Iterator[tuple[PromptRow, PromptRow]]:
    """The judged rows with a row that is learned from and has the same text before the probe, or
    the same label and that text in another spelling."""

    def says(row: PromptRow) -> tuple[object, ...]:
        text = _seen_text(row, place)
        return text, (spelling(text), row.columns.get(label))

    row_by_text = {key: row for row in learned for key in says(row)}
    for row in judged:
        if other := next((row_by_text[key] for key in says(row) if key in row_by_text), None):
            yield row, other


def _giving(parts: Sequence[tuple[list[PromptRow], list[PromptRow]]], label: str) -> list[str]:
    """The columns that every text shows, and the template, that determine the label and have values
    in both halves, or in several folds, such that the rows could be split by them."""
    giving = []
    rows = list({id(row): row for part in parts for half in part for row in half}.values())
    for column in dict.fromkeys(name for row in rows for name in ("template", *row.columns)):
        has = [row for row in rows if column in row.columns]
        is_slot = column == "template" or column in rows[0].spans
        shown = [r for r in has if is_slot or whole(r.columns[column]).search(r.text)]
        if column == label or len(shown) < len(rows):
            continue
        pairs = {(row.columns[column], row.columns[label]) for row in rows}
        values = {value for value, _ in pairs}
        fewest = min(Counter(kind for _, kind in pairs).values())
        both = set[str]()
        for learned, judged in parts:
            both |= {r.columns[column] for r in learned} & {r.columns[column] for r in judged}
        if len(pairs) == len(values) and fewest >= LEAST and len(both) > len(values) / 2:
            giving.append(column)
    return giving


def in_words(task: ProbeTask) -> str:
    """Describe what is probed, learned and judged, with what a reader should know about it."""
    table, split = task.table, task.prompts.table.split
    label, count = table.label, len(task.rows)
    if task.control == MAJORITY:
        return f"the most frequent {label}, whatever the prompt"
    test = f"{count} {'of ' + table.test if task.test else 'others'}"
    new, part = f" with a new {split}" if split else "", probe_parts.in_words(table)
    words = (
        f"{label} by {table.kind}{part}, learned from {len(task.learned)} prompts, judged on {test}"
    )
    if table.folds:
        on = f"{test}, a fold each" if task.test else "the fold that it did not learn from"
        words = (
            f"{label} by {table.kind}{part}, {table.folds} folds of {len(task.learned)} prompts,"
        )
        words += f" each judged on {on}"
    if task.classes:
        frequent = f"the most frequent of {len(task.classes)} labels is right in {task.chance:.0%}"
        words += f"{new}, where {frequent}"
    else:
        words += f"{new}, as a number"
    if task.intervention:
        words += f", under {interventions.in_words(task.intervention)}"
    return words


def nothing(measure: str, chance: float) -> float:
    """The value of a measure for a probe that learns nothing: chance, or a very large number if
    lower is better."""
    return 1e9 if MEASURES.get(measure, ("", "", ""))[2] == "lower" else chance


def linear(task: ProbeTask) -> Probe:
    """The probe as a linear one on the same input, with the same measures."""
    ridge = task.table.kind in ("ridge", "difference") or not task.classes
    kind = "ridge" if ridge else "logistic"
    return msgspec.structs.replace(task.table, kind=kind)


def every_point(table: Probe) -> list[Probe]:
    """The probe at each point of its sweep."""
    return [*map(probe_parts.placed, interventions.at_points(table))]


FROM_EACH_END = 32
"""Number of tokens that are placed, counted from the first and again from the last."""
NUMBERS = 2**26
"""Maximum size of the input of all rows; wider embeddings are reduced to so many principal
components."""


def placed(embedding: torch.Tensor, ids: Sequence[Sequence[int]]) -> torch.Tensor:
    """The embeddings of each row's tokens at their positions from the first and from the last
    token, and the number of tokens: [row, column]. Missing tokens are zero."""
    longest = min(FROM_EACH_END, max(map(len, ids)))
    tokens = sorted({i for row in ids for i in row})
    vectors = embedding[tokens].detach().float().cpu()
    width = max(1, NUMBERS // (2 * longest * len(ids)))
    if vectors.shape[1] > width:
        _, _, directions = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
        vectors = vectors @ directions[:width].mT
    nothing = torch.zeros(1, vectors.shape[1])
    vectors = torch.cat([vectors, nothing])
    index = {token: n for n, token in enumerate(tokens)}

    def row(row_ids: Sequence[int]) -> list[int]:
        filling = [len(tokens)] * longest
        first = ([index[i] for i in row_ids] + filling)[:longest]
        last = ([index[i] for i in reversed(row_ids)] + filling)[:longest]
        return [*first, *last]

    at_places = vectors[torch.tensor([row(row_ids) for row_ids in ids])].flatten(1)
    lengths = torch.tensor([[float(len(row_ids))] for row_ids in ids])
    return torch.cat([at_places, lengths], 1)


def at_chance(task: ProbeTask, folder: ModelFolder) -> Collection[str]:
    """The controls of a probe that are at chance whatever their tokens mean, because prompts of all
    labels have the same tokens equally often."""
    if not task.classes:
        return ()
    rows = [task.prompts.rows[i] for i in task.rows]
    labels = task.prompts.column(task.table.label, task.rows)
    blind = {BAG.name, EMBEDDING.name}
    for point in every_point(task.table):
        try:
            ids = [seen_tokens(prompt(folder, row), point.position) for row in rows]
        except AssayError:  # reported where prompts are checked
            return ()
        bags = [tuple(sorted(row_ids)) for row_ids in ids]
        last = [() if point.position == "mean" else tuple(row_ids[-1:]) for row_ids in ids]
        keys: dict[str, Sequence[object]] = {
            BAG.name: bags,
            EMBEDDING.name: list(zip(bags, last, strict=True)),
        }
        blind &= {name for name, row_keys in keys.items() if _even(row_keys, labels, task.classes)}
    return blind


def _even(keys: Sequence[object], labels: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether all labels are equally frequent among rows with the same key."""
    counts = Counter(zip(keys, labels, strict=True))
    return all(len({counts[key, label] for label in classes}) == 1 for key in {*keys})
