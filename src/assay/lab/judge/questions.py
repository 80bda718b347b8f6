"""Questions: what was asked before, known by content: of which inputs, under which quantity, on
which units. A name, a label, a sign, a threshold and a path are no part of a question.

A file of questions is a journal: one only appends to it, and each line names the one before it, so
that a missing line is noticed. A store has one, `questions.jsonl`, whose last lines its ledger
names."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from assay.core.nouns import plural
from assay.core.spec import canonical_json
from assay.lab.store import journal
from assay.lab.store.journal import (
    ASKED,
    QUESTIONS,
    Journal,
    Line,
    digest,
    seedless,
)
from assay.lab.store.journal import JUDGED as FIRST_JUDGED

if TYPE_CHECKING:
    from assay.core.experiment import Experiment, Materials
    from assay.lab.plan.preset import Preset
    from assay.lab.store.store import Store

FROZEN, MEASURED, JUDGED = "frozen", "measured", "judged"
"""What a line says became of a question."""
BY_TEXT = ("prompt", "seed", "document")
"""Units that are known by what they say; a column's by its levels, too."""
_SHORT = 12
"""Hex digits by which a unit and a measure are known."""


def key(inputs: Mapping[str, str], quantity: Any) -> str:
    """Return the key of a question, 64 hex digits: equal where the same is measured of the same.

    Args:
        inputs: the content hash of everything that is measured, by what it is: {"model": …}.
        quantity: what is measured of it, as JSON values, without names, signs and thresholds.
    Example:
        >>> from assay.lab.judge.questions import key
        >>> key({"table": "ab12"}, ["fvu"]) == key({"table": "ab12"}, ["fvu"])
        True
    """
    return sha256(canonical_json([sorted(inputs.items()), quantity]).encode()).hexdigest()


def known_units(texts: Iterable[str]) -> list[str]:
    """Return 12 hex digits for each unit, by what it says; case and white space do not count."""
    plain = (" ".join(text.split()).casefold() for text in texts)
    return [sha256(text.encode()).hexdigest()[:_SHORT] for text in plain]


@dataclass(frozen=True)
class Part:
    """One measure of one arm, on its units."""

    key: str
    units: tuple[str, ...]
    """What is generalised over, each unit by 12 hex digits of its content."""
    unit: str
    """What these are: seed, prompt, or a column of the prompts."""
    rows: int = 0
    """How many there are of what the unit names, where each is known by several texts, as a chat
    is; the levels of a column come last among the units."""
    others: Sequence[str] = field(default=(), compare=False)
    """The keys of measures that are functions of the same numbers: with one, all are seen."""
    points: Sequence[str] = field(default=(), compare=False)
    """The keys of the same measure at each point of a sweep: with one of them, some of it is seen.
    Frozen files do not hold them."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each unit is written, such as capitals.csv line 2. Frozen files do not hold it."""

    @property
    def keys(self) -> set[str]:
        """The keys under which it may have been seen."""
        return {self.key, *self.others, *self.points}

    def count_among(self, others: Collection[str]) -> tuple[int, int]:
        """Count how many of what the unit names are among others, by level or by text, and how
        many there are."""
        total = self.rows or len(self.units)
        levels = {*self.units[-total:]} if self.unit not in BY_TEXT else set[str]()
        texts = {*self.units} - levels
        by_text = math.ceil(len(texts.intersection(others)) * total / (len(texts) or 1))
        return max(len(levels.intersection(others)), by_text), total

    @property
    def named(self) -> list[str | int | list[str]]:
        """What the units are, how many rows have them, where that is another number, and the other
        keys."""
        if self.others:
            return [self.unit, self.rows, [*self.others]]
        return [self.unit, *([self.rows] if self.rows not in (0, len(self.units)) else [])]


@dataclass(frozen=True)
class Question:
    """What a claim or an estimate asks."""

    text: str
    threshold: str
    parts: tuple[Part, ...]
    """The measures that it reads, whatever it computes of them."""

    @property
    def key(self) -> str:
        """The key of all that it reads."""
        return key({}, sorted(part.key for part in self.parts))

    @cached_property
    def units(self) -> set[str]:
        """The units of all that it reads."""
        return {unit for part in self.parts for unit in part.units}

    def is_worded_as(self, line: Line) -> bool:
        """Whether a line of a journal has its sentence, and its threshold."""
        return bool(line["text"] == self.text and line["threshold"] == self.threshold)

    def is_asked_in(self, line: Line) -> bool:
        """Whether a line of a journal is about it, or about the same numbers."""
        parts = {*line.get("parts", ())}
        same = len(parts) == len(self.parts) and all(part.keys & parts for part in self.parts)
        return line["question"] == self.key or same


def asked(experiment: Experiment, preset: Preset) -> list[Question]:
    """Return what the statements of a study ask; nothing of an experiment in code, since it is
    not known what that reads. Raises: AssayError where a model is not here."""
    if (materials := experiment.materials) is None:
        return []
    from assay.core.claims import Claim, Estimate

    sized, questions = experiment.sized(preset.specs), []
    for statement, s in zip(experiment.claims, sized.claims, strict=True):
        columns = sorted({*materials.columns.get(statement.text, ())})
        parts = [_part(materials, sized, preset, *column) for column in columns]
        if parts and isinstance(s, Claim | Estimate):
            threshold = s.threshold if isinstance(s, Claim) else ""
            questions.append(Question(s.text, threshold, tuple(parts)))
    return questions


def measured(experiment: Experiment, preset: Preset) -> list[Part]:
    """Return all that a study that asks models measures, whether a statement reads it or not.
    Raises: AssayError where a model is not here."""
    if (materials := experiment.materials) is None:
        return []
    every = [(arm, m) for arm in experiment.arms for m in materials.measures(arm)]
    return [_part(materials, experiment, preset, *column) for column in every]


def written(questions: Sequence[Question]) -> dict[str, Any]:
    """Return questions as plain values, with equal lists of units once."""
    lists = {digest(",".join(p.units)): [*p.units] for q in questions for p in q.parts}
    return {
        "units": lists,
        "asked": [
            [q.text, q.threshold, [[p.key, digest(",".join(p.units)), *p.named] for p in q.parts]]
            for q in questions
        ],
    }


def read(values: Mapping[str, Any]) -> list[Question]:
    """Read what `written` made."""
    units = {name: tuple(levels) for name, levels in values.get("units", {}).items()}
    return [
        Question(
            text, threshold, tuple(Part(key, units[name], *more) for key, name, *more in parts)
        )
        for text, threshold, parts in values.get("asked", ())
    ]


def is_by_rows(asked: Sequence[Question]) -> bool:
    """Whether every question generalises over rows, so that a seed makes none of them fresh."""
    units = {part.unit for q in asked for part in q.parts}
    return bool(units) and "seed" not in units


def _part(
    materials: Materials, experiment: Experiment, preset: Preset, arm: str, measure: str
) -> Part:
    """One measure of one arm, by content; of an arm of an experiment, by its settings."""
    name, count = "seed", 0
    if (rows := materials.rows(arm)) is not None:
        levels = [f"{rows.unit}={x}" for x in rows.levels if rows.unit not in BY_TEXT]
        texts = [*rows.texts, *rows.paired, *levels]
        name, count = rows.unit, len({*(levels or rows.texts)})
    else:
        texts = [f"seed={s.seed}" for s in preset.specs if s.seed >= FIRST_JUDGED]
    if (asked := materials.quantity(arm, measure)) is None:
        specs = experiment.specs_of(arm, preset.specs) if experiment.arms[arm].train else ()
        fields = sorted({seedless(s.to_json()) for s in specs})
        asked = {}, [experiment.version, fields, arm.rpartition("/")[2], measure], [], []
    units = tuple(dict.fromkeys(known_units(texts)))
    inputs, quantity, others, points = asked
    first, *same = (key(inputs, x)[:_SHORT] for x in (quantity, *others))
    at = tuple(dict.fromkeys(key(inputs, x)[:_SHORT] for x in points))
    places = dict(zip(known_units(rows.texts), rows.places, strict=False)) if rows else {}
    return Part(first, units, name, count, tuple(same), at, places)


class Questions(Journal):
    """The questions that a file notes, in a store or in the cache."""

    def __init__(self, path: Path):
        super().__init__(path, ASKED)

    @classmethod
    def of(cls, store: Store) -> Questions:
        """Return those of a store."""
        return cls(store.root / QUESTIONS)

    def about(self, question: str, units: Collection[str] = ()) -> list[Line]:
        """Return the earlier lines about a question, oldest first: all, or those about some of
        these units."""
        lines = [line for line in self.looks if line.get("question") == question]
        return [x for x in lines if not units or set(units) & set(x.get("units", ()))]

    def note(self, question: str, event: str, **said: Any) -> None:
        """Note that a question was frozen or judged, unless a line says just that. Raises: OSError
        when the disk is full."""
        self._note_once({"question": question, "what": event, **said})

    def _note_once(self, entry: Line) -> None:
        if not self.notes_already(entry):
            self.add(journal.stamped(**entry))

    def note_study(
        self,
        experiment: str,
        event: str,
        questions: Iterable[Question],
        outcomes: Mapping[str, str] = MappingProxyType({}),
        **more: Any,
    ) -> None:
        """Note that the questions of a study were frozen or judged, and what came out. Raises:
        OSError."""
        for q in questions:
            entry: dict[str, Any] = {"text": q.text, "threshold": q.threshold}
            entry |= {"parts": [part.key for part in q.parts]}
            entry |= {"units": sorted(q.units)}
            entry |= {"outcome": outcomes[q.text]} if q.text in outcomes else {}
            self.note(q.key, event, experiment=experiment, **entry, **more)

    def note_measured(self, experiment: str, parts: Iterable[Part]) -> None:
        """Note what is to be measured, which may be seen before it is judged. Raises:
        OSError."""
        by_units: dict[tuple[str, ...], list[str]] = {}
        for part in parts:
            by_units.setdefault(part.units, []).extend((part.key, *part.points))
        for units, keys in by_units.items():
            noted = {"experiment": experiment, "parts": sorted({*keys}), "units": [*units]}
            self._note_once({"what": MEASURED, **noted})

    def seen(self, part: Part) -> Line | None:
        """Return the first line that says that a measure may have been seen on some of its
        units; None where none does."""
        units = {*part.units}
        lines = (x for x in self.looks if x["what"] != FROZEN and part.keys & {*x.get("parts", ())})
        return next((x for x in lines if units & set(x.get("units", ()))), None)

    def exposures(self, questions: Iterable[Question]) -> Iterator[tuple[str, str, str]]:
        """Give each question of which everything may have been seen, as a phrase, with the time,
        and what would be fresh."""
        for q in questions:
            lines = [self.seen(part) for part in q.parts]
            seen_lines = [line for line in lines if line is not None]
            if len(seen_lines) < len(lines) or not seen_lines:
                continue
            first = max(seen_lines, key=lambda line: str(line["time"]))
            both = {unit for line in seen_lines for unit in line["units"]}
            unit, whole = q.parts[0].unit, len(q.parts[0].units)
            total = q.parts[0].rows or whole
            n = math.ceil(min(len(both & {*part.units}) for part in q.parts) * total / whole)
            count = f"{n} of {total}" if unit in BY_TEXT else "some"
            exposed = f"{count} {plural(unit, total)} of {q.text!r}"
            seen = [place for known, place in q.parts[0].places.items() if known in both]
            more = f" and {len(seen) - 3} more" if seen[3:] else ""
            where = f" ({', '.join(seen[:3])}{more})" if seen else ""
            yield (
                f"{exposed} were {first['what']} in {first['experiment']} on {first['time']}"
                f"{where}",
                str(first["time"]),
                f"other {plural(unit, 2)}",
            )

    def partly(self, questions: Iterable[Question]) -> list[str]:
        """Say of each question which of the measures that it reads may have been seen, where
        they are not all."""
        phrases = []
        for q in questions:
            lines = [line for part in q.parts if (line := self.seen(part)) is not None]
            if 0 < len(lines) < len(q.parts):
                of = f"{len(lines)} of the {len(q.parts)} measures that it reads were"
                phrases.append(f"{of} {lines[0]['what']} in {lines[0]['experiment']}: {q.text}")
        return phrases

    def frozen(self, questions: Iterable[Question]) -> Iterator[Line]:
        """Give the lines that say that one of these questions was frozen on some of its units."""
        for q in questions:
            yield from (x for x in self.about(q.key, q.units) if x["what"] == FROZEN)

    def others(self, questions: Sequence[Question], experiment: str) -> list[str]:
        """Say of each question which claims that are not among these were judged about the same
        kind of read on some of the same units, of a study's own claim before units were added or
        left out, and of each sentence under which other name, on whatever prompts; when, and what
        came out."""
        phrases, current = list[str](), {(q.text, q.threshold) for q in questions}
        judged = [x for x in self.looks if x["what"] == JUDGED and "text" in x]
        said = {q.text for q in questions if q.parts[0].unit != "seed"}
        for q in questions:
            is_own = [x["experiment"] == experiment and x["text"] == q.text for x in judged]
            # an own judgement with another threshold is earlier than the one with the present one
            as_now = [
                own and x["threshold"] == q.threshold for own, x in zip(is_own, judged, strict=True)
            ]
            first = as_now.index(True) if True in as_now else len(judged)
            for place, line in enumerate(judged):
                when = "earlier" if place < first else "later"
                is_ours = line["experiment"] == experiment
                is_current = is_ours and (line["text"], line["threshold"]) in current
                # a verdict elsewhere on the sentence of another of these is said with that one
                is_of_other = line["text"] in said - {q.text} and "outcome" in line and not is_ours
                also = "" if is_current or is_of_other else _also_judged(q, line, when)
                phrases.append(also or _judged_again(q, line, when, is_own[place]))
        return list(dict.fromkeys(filter(None, phrases)))


def _also_judged(q: Question, line: Line, when: str) -> str:
    """Say that another claim was judged about the same kind of read on some of the same units."""
    if not q.is_asked_in(line) or not q.units & {*line["units"]} or q.is_worded_as(line):
        return ""
    came = "; ".join(filter(None, [line.get("outcome", "no verdict"), line["threshold"]]))
    of = f"{_shared(q, {*line['units']})}, with this or another answer"
    return f"also judged on {of}, {when}, in {line['experiment']}: “{line['text']}” ({came})"


def _shared(q: Question, units: set[str]) -> str:
    """Say which of a question's units are among others: "the same prompts" where all are, else how
    many."""
    part = max(q.parts, key=lambda p: len(units & {*p.units}))
    n, total = part.count_among(units)
    noun = plural(part.unit, total)
    return f"the same {noun}" if n == total else f"{n} of {total} {noun}"


def _judged_again(q: Question, line: Line, when: str, is_own: bool) -> str:
    """Say that a study's own claim was judged before units were added or left out, or that the
    sentence was judged under another name, on whatever prompts."""
    if (came := line.get("outcome")) is None:  # an estimate, which has no verdict to choose
        return ""
    unit = q.parts[0].unit
    shared = bool(q.units & {*line["units"]})
    if is_own and unit != "seed" and q.is_worded_as(line) and q.is_asked_in(line) and shared:
        if q.units == {*line["units"]}:
            return ""
        changed = f"{plural(unit, 2)} were {'added' if q.units - {*line['units']} else 'left out'}"
        return f"it was judged before {changed} ({came}): {q.text}"
    if line["text"] == q.text and not is_own and (shared or unit != "seed"):
        return f"the same sentence was judged {when}, in {line['experiment']} ({came}): {q.text}"
    return ""
