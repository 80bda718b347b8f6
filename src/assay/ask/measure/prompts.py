"""Prompts: the rows of a study's prompts, read from JSONL, CSV or plain text and filled into
templates. `load` reads a table; `PromptSet` knows its units and splits its rows into halves;
`shared` and `spellings` find prompts that are not independent. Records of a file are separated by
line ends and quotes alone, never by the content of a cell."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import re
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from assay.ask.tables import Message, Model, Prompts, Read
from assay.core import foreign
from assay.core.dependence import combined_with
from assay.core.errors import DataError, nearest, visible
from assay.core.intervals import FEWEST
from assay.core.nouns import counted
from assay.core.wordings import spelling, wordings
from assay.subjects.chats import Chat
from assay.train import rng

MOST = 20_000
"""Maximum number of prompts of a study."""
SLOT = re.compile(r"\{([A-Za-z_]\w*)\}")
_BRACES = re.compile(r"\{+[^{}\n]*\}+")
MISSING = frozenset(("nan", "none", "null", "n/a", "#n/a", "<na>"))
"""How programs write an empty cell."""
SEPARATORS = (";", "\t", "|")
"""Signs that other programs write between the cells of a CSV file."""
AT_END = "a space at the end, though the next token usually begins with one of its own"


def _lacks(place: str, name: str, columns: Collection[str]) -> DataError:
    """The error for a column that a row does not have; a file of columns has the same for all."""
    hint = nearest(name, columns)
    which = ": write label = the one that has the labels" * (name == "label")
    hint = hint if hint.endswith("?") else f"its columns are {', '.join(columns) or 'none'}{which}"
    file, is_csv, _ = place.partition(".csv line ")
    return DataError(f"{file + '.csv' if is_csv else place} has no column {name!r}; {hint}")


@dataclass(frozen=True)
class PromptRow:
    """One prompt, with all columns of its row."""

    text: str
    columns: Mapping[str, str]
    place: str
    """Where it was written, such as "reviews.jsonl line 3"."""
    spans: Mapping[str, int]
    """Where in the text each slot's value ends, in characters; for a repeated slot the last
    occurrence."""
    repeated: frozenset[str] = frozenset()
    """The slots that occur more than once in the text, so that their position is ambiguous."""
    chat: Chat | None = None
    """Its messages, if it is a chat; `text` then joins them until a model's template renders the
    chat."""
    instead_of: PromptRow | None = None
    """In a control: the row that this one replaces."""

    def fill(self, text: str) -> str:
        """Fill the slots of another text from this row. Raises: DataError for a slot without a
        column."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.columns:
                raise _lacks(self.place, match[1], self.columns)
            return self.columns[match[1]]

        return SLOT.sub(value, text)

    def fill_known(self, text: str) -> str:
        """Fill the slots of another text for which this row has a column."""
        return SLOT.sub(lambda m: self.columns.get(m[1], m[0]), text)


@dataclass(frozen=True)
class Selection:
    """Which prompts are measured: those that satisfy a condition in an unchanged model."""

    model: Model
    condition: str
    reads: tuple[Read, ...]


@dataclass(frozen=True)
class PromptSet:
    """All rows of a table of prompts."""

    table: Prompts
    rows: tuple[PromptRow, ...]
    same: tuple[int, ...] = ()
    """For each row the number of its content; rows that differ only in spelling and unit have the
    same number."""
    selection: Selection | None = None
    """Which rows are measured, if a model selects them."""
    unnamed: tuple[str, ...] = ()
    """The columns of written-out texts that the study does not name; some may group the texts, such
    as a topic."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents of all rows, of their split and of their unit."""
        return self._digest(self.table.unit)

    @cached_property
    def same_runs(self) -> set[str]:
        """The digests with which runs measure the same: that each prompt is a unit changes only how
        they are judged, whether it is said or not."""
        each = self.unit == "prompt" and not self.table.split
        return {self._digest("prompt"), self._digest("")} if each else {self.digest}

    def _digest(self, unit: str) -> str:
        table = self.table
        contents: list[object] = [
            [[row.text, sorted(row.columns.items())] for row in self.rows],
            [msgspec.to_builtins(table.corrupted), table.split, table.learn, unit],
            *([table.levels] if table.levels else []),
            *(["by label"] if table.split and any(self._kinds.values()) else []),
            *([table.where] if isinstance(table.where, str) else []),
        ]
        if table.messages:
            chats = [row.chat for row in self.rows if row.chat]
            contents.append([[c.messages, c.continues, c.thinking, c.date] for c in chats])
        return hashlib.sha256(json.dumps(contents, ensure_ascii=False).encode()).hexdigest()

    @cached_property
    def unit(self) -> str:
        """The unit over which is generalised: a column, or each prompt."""
        return self.table.unit or self.table.split or "prompt"

    def template(self, row: PromptRow) -> str:
        """Give the text from which a row was filled."""
        texts = _texts(self.table) or ("{text}",)
        return row.columns["template"] if len(texts) > 1 else texts[0]

    def column(self, name: str, rows: Sequence[int] | None = None) -> list[str]:
        """Give a column of these rows. Raises: DataError if it does not exist."""
        chosen = self.rows if rows is None else [self.rows[i] for i in rows]
        for row in chosen:
            if name not in row.columns:
                raise _lacks(row.place, name, row.columns)
        return [row.columns[name] for row in chosen]

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Of each group the value of the column `label`, if all its rows have the same one; unique
        values, such as numbers, have no share to keep."""
        labels: dict[str, set[str]] = {}
        groups = self.groups(range(len(self.rows)))
        for group, row in zip(groups, self.rows, strict=True):
            labels.setdefault(group, set()).add(row.columns.get("label", ""))
        kinds = {group: "" if len(values) > 1 else min(values) for group, values in labels.items()}
        times = Counter(kinds.values())
        return {group: kind if times[kind] > 1 else "" for group, kind in kinds.items()}

    def halves(self) -> tuple[list[int], list[int]]:
        """Split the rows into those that are learned from and those that are measured, by whole
        groups. If each group has one value of the column `label`, every value keeps its share in
        both."""
        groups, kinds = self.groups(range(len(self.rows))), self._kinds
        learned: set[str] = set()
        for kind in dict.fromkeys(kinds.values()):
            names = [group for group in kinds if kinds[group] == kind]
            order = rng.permutation(np.array([0]), f"ask.split.{kind}", 0, len(names))[0]
            count = min(max(1, round(self.table.learn * len(names))), len(names) - 1)
            learned |= {names[i] for i in order[:count]}
        train = [i for i, group in enumerate(groups) if group in learned]
        test = [i for i, group in enumerate(groups) if group not in learned]
        unit = self.table.unit
        if unit and not self.table.split and (both := {*self.units(train)} & {*self.units(test)}):
            raise DataError(
                f"{unit} {min(both)!r} is both among the prompts to learn from and among "
                f'those that are measured; write split = "{unit}" under '
                f"{self.table.name}"
            )
        return train, test

    def groups(self, rows: Sequence[int]) -> list[str]:
        """Give the group of each of these rows; a whole group is either learned from or
        measured."""
        split = self.table.split
        return self.column(split, rows) if split else [str(i) for i in rows]

    def units(self, rows: Sequence[int]) -> list[str]:
        """Give the unit of each of these rows."""
        return [f"{i}" for i in rows] if self.unit == "prompt" else self.column(self.unit, rows)

    def dims(self) -> dict[str, list[int | float | str]]:
        """Give the dimension of prompts besides their units, with its levels, as numbers if all
        are."""
        if not self.table.levels:
            return {}
        names = list(dict.fromkeys(self.column(self.table.levels)))
        try:
            numbers = [float(name) for name in names]
        except ValueError:
            return {self.table.levels: [*names]}
        return {self.table.levels: [int(x) if x.is_integer() else x for x in numbers]}

    def level_of(self, rows: Sequence[int]) -> list[int]:
        """Give the number of the level of each of these rows; 0 without levels."""
        if not self.table.levels:
            return [0] * len(rows)
        names = list(dict.fromkeys(self.column(self.table.levels)))
        return [names.index(name) for name in self.column(self.table.levels, rows)]

    def sample(
        self, rows: Sequence[int], seed: int, *, labelled: bool = False, label: str = "label"
    ) -> list[int]:
        """Sample about two thirds of the groups of these rows by the seed, with at least one row of
        each label."""
        split, groups = self.table.split, self.groups(rows)
        has_labels = labelled and not split and all(label in self.rows[i].columns for i in rows)
        kinds = self.column(label, rows) if has_labels else []
        kind_of = dict(zip(groups, kinds, strict=True)) if kinds else dict.fromkeys(groups, "")
        chosen: set[str] = set()
        for kind in dict.fromkeys(kind_of.values()):
            names = [group for group in kind_of if kind_of[group] == kind]
            order = rng.permutation(np.array([seed]), f"ask.sample.{kind}", 0, len(names))[0]
            chosen |= {names[i] for i in order[: max(1, round(2 * len(names) / 3))]}
        return [i for i, group in zip(rows, groups, strict=True) if group in chosen]


def go_together(first: PromptSet, second: PromptSet) -> bool:
    """Whether a column pairs the rows of two tables: it has the same values in the same order, and
    more than one."""
    pairs = [_values(first, second, name) for name in first.rows[0].columns]
    return first.digest == second.digest or any(a == b and len({*a}) > 1 for a, b in pairs)


def refuse_shuffled(first: PromptSet, second: PromptSet, *, advice: str = "") -> None:
    """Refuse to compare two tables row by row if a key column has another order in the second.
    Raises: DataError, with the advice, or to name the column as the unit."""
    for name in () if go_together(first, second) else first.rows[0].columns:
        a, b = _values(first, second, name)
        if a and len({*a}) == len(a) and sorted(a) == sorted(b):
            names = f"{first.table.name} and {second.table.name}"
            raise DataError(
                f"{names} are compared row by row, and have the same {name} in another order; "
                + (advice or f'write unit = "{name}" under both')
            )


def _values(first: PromptSet, second: PromptSet, column: str) -> tuple[list[str], list[str]]:
    """A column of two tables; empty if a row lacks it."""
    both = [[row.columns.get(column) for row in prompts.rows] for prompts in (first, second)]
    a, b = ([x for x in values if x is not None] for values in both)
    return (a, b) if len(a) == len(first.rows) and len(b) == len(second.rows) else ([], [])


def shared(prompts: PromptSet, rows: Sequence[int]) -> dict[str, list[str]]:
    """Give, for each of these rows, the values of the slots that several prompts share, including
    the template: prompts that share one are not independent units. For written-out texts these are
    their wording and what fills it, as all prompts of the table show. Empty for other prompts, and
    if the table names its units. A column of such texts that the study does not name may also group
    them, such as a topic, unless its values are too few to decide anything."""
    if prompts.table.unit or prompts.table.split:
        return {}
    every = slot_values(prompts, range(len(prompts.rows)))
    texts = [row.text for row in prompts.rows]
    if all(cells == texts for name, cells in every.items() if name != "template"):
        named = {name: [row.columns[name] for row in prompts.rows] for name in prompts.unnamed}
        groups = {name: cells for name, cells in named.items() if len({*cells}) >= FEWEST}
        wording, filling = ([*map(str, numbers)] for numbers in wordings(texts))
        groups |= {"template": every["template"]} if "template" in every else {"wording": wording}
        groups |= {"filling": filling}
        counts, most = {n: Counter(x).values() for n, x in groups.items()}, 0.8 * len(texts)
        every = {n: groups[n] for n, x in counts.items() if 1 < min(x) <= max(x) <= most}
    by_groups = dict[tuple[int, ...], str]()  # slots that group the rows alike are one factor
    for name, cells in every.items():
        chosen = [cells[i] for i in rows]
        by_groups.setdefault(tuple(map(chosen.index, chosen)), name)
    several = {name: [every[name][i] for i in rows] for of, name in by_groups.items() if any(of)}
    return {n: cells for n, cells in several.items() if 2 * len({*cells}) <= len(rows)}


def combined(prompts: PromptSet, rows: Sequence[int]) -> list[str]:
    """Say of which slots the values are combined with each value of the slot that is the unit, so
    that a claim is about these values alone, such as these 4 values of sound."""
    slots = slot_values(prompts, rows)
    if (unit := prompts.table.unit) not in slots or unit == "prompt":
        return []
    codes = {name: np.unique(x, return_inverse=True)[1] for name, x in slots.items()}
    others = {name: of for name, of in codes.items() if name != unit}
    return [*combined_with(codes[unit], others)]


def spellings(prompts: PromptSet, rows: Sequence[int]) -> dict[str, str]:
    """Give for each unit of these rows the first unit that says the same except for spelling; empty
    if all differ, or the table says that each prompt is a unit."""
    if not prompts.same or prompts.table.unit == "prompt":
        return {}
    says: dict[str, list[int]] = {}
    for i, unit in zip(rows, prompts.units(rows), strict=True):
        says.setdefault(unit, []).append(prompts.same[i])
    first: dict[tuple[int, ...], str] = {}
    firsts = {unit: first.setdefault((*sorted(numbers),), unit) for unit, numbers in says.items()}
    return firsts if len(first) < len(firsts) else {}


def corrupted(row: PromptRow, prompts: PromptSet) -> str:
    """The other text of a row's pair. Raises: DataError for a slot without a column."""
    other = prompts.table.corrupted
    if isinstance(other, str):
        return row.fill(other) or row.columns.get("corrupted", "")
    return chat(row, prompts.table, other).text


def mirrored(prompts: PromptSet, rows: Sequence[int]) -> dict[str, str]:
    """Give for each unit of these rows whose other text is that of a second unit, which has its
    text as its own other text, the first of the two; empty if the table says that each prompt is a
    unit."""
    if prompts.table.unit == "prompt":
        return {}
    units = dict(zip(rows, prompts.units(rows), strict=True))
    unit_of = {prompts.rows[i].text: unit for i, unit in units.items()}
    others = {u: unit_of.get(corrupted(prompts.rows[i], prompts), u) for i, u in units.items()}
    order = {unit: k for k, unit in enumerate(units.values())}.__getitem__
    pairs = {u: v for u, v in others.items() if u != v and others[v] == u}
    return {u: min(u, v, key=order) for u, v in pairs.items()}


def slot_values(prompts: PromptSet, rows: Sequence[int]) -> dict[str, list[str]]:
    """Give the value of each slot, and of the template, for each of these rows."""
    chosen = [prompts.rows[i] for i in rows]
    slots = dict.fromkeys(name for row in chosen for name in row.spans)
    slots |= dict.fromkeys(n for row in chosen for n in row.columns if n == "template")
    return {name: [row.columns.get(name, "") for row in chosen] for name in slots}


def alike(prompts: PromptSet, source: PromptSet) -> PromptSet:
    """Give judged prompts the unit of those that are learned from, if they have that column and
    name none themselves."""
    unit, table = source.unit, prompts.table
    has = all(unit in row.columns for row in prompts.rows)
    if unit == "prompt" or table.unit or table.split or not has:
        return prompts
    return replace(prompts, table=msgspec.structs.replace(table, unit=unit))


def load(table: Prompts, folder: Path, study: str = "") -> PromptSet:
    """Read the rows of a table of prompts; paths are relative to the study, whose text says which
    columns are used. Raises: DataError, with file and line."""
    ways = [w for w in ("file", "rows") if getattr(table, w)]
    _check_chat(table)
    if len(ways) > 1 or not (ways or table.slots or table.text or table.messages):
        got = " and ".join(ways) or "none of them"
        raise DataError(f"give file, rows or slots for prompts {table.name}, got {got}")
    if ways:
        given_rows: list[Record] = [
            (f"{table.name}, row {i + 1}", dict(r)) for i, r in enumerate(table.rows)
        ]
        records = _with_slots(table, read_file(folder / table.file) if table.file else given_rows)
    elif table.slots:
        combinations = enumerate(_with_slots(table, [("", {})]), 1)
        records = [(f"{table.name}, combination {i}", values) for i, (_, values) in combinations]
    elif table.messages:
        records = [(f"{table.name}, messages", {})]
    else:  # texts without slots are prompts themselves
        records = [
            (f"{table.name}, text {i + 1}", {"text": t}) for i, t in enumerate(_texts(table))
        ]
        table = msgspec.structs.replace(table, text=())
    templates = _texts(table)
    records = [*_taken(table, records)]
    if len(records) * max(1, len(templates)) > MOST:
        raise DataError(f"{table.name} has more than {MOST:,} prompts")
    rows = []
    for place, record in records:
        columns = {name: _written(place, name, value) for name, value in record.items()}
        if len(templates) > 1 and "template" in columns:
            raise DataError(
                f"{place}: its column template would hide which of the {len(templates)} texts a "
                "prompt is filled from; rename the column"
            )
        for template in templates or ("{text}",):
            extra = {"template": template} if len(templates) > 1 else {}
            row = PromptRow("", {**extra, **columns}, place, {})
            row = chat(row, table) if table.messages else filled(row, template)
            if not row.text.strip():
                raise DataError(f"{place} is empty; a prompt has at least one token")
            rows.append(row)
    if not rows:
        raise DataError(f"{table.file or table.name} has no prompts")
    if table.shots or table.example:
        table, rows = _with_examples(table, rows)
    different = len({json.dumps([row.text, *_read_of(row, study)]) for row in rows})
    if 2 * different <= len(rows) and not (table.unit or table.split):
        raise DataError(
            f"of the {len(rows)} prompts of {table.file or table.name}, {different} are "
            "different, and the others repeat a text and its answers: copies do not count as "
            "units; remove them, or write what you generalise over as unit"
        )
    same = tuple(_numbered(table, rows, study))
    made = PromptSet(table, tuple(rows), same, unnamed=tuple(_unnamed(rows, study)))
    _check_levels(made)
    return made


def _with_slots(table: Prompts, records: Sequence[Record]) -> list[Record]:
    """Combine each record with every combination of the slots. Raises: DataError for a slot that is
    also a column."""
    combinations = [
        dict(zip(table.slots, c, strict=True)) for c in itertools.product(*table.slots.values())
    ]
    for place, record in records:
        if both := {*table.slots} & {*record}:
            raise DataError(
                f"{place} has a column {min(both)}, which is one of slots, too; rename one"
            )
    return [(place, {**record, **values}) for place, record in records for values in combinations]


def _taken(table: Prompts, records: Sequence[Record]) -> Iterator[Record]:
    """The records that `where` selects. Raises: DataError for a missing column, and if no record is
    left."""
    columns = {} if isinstance(table.where, str) else table.where
    any_taken = False
    for place, record in records:
        for name, values in columns.items():
            if name not in record:
                raise _lacks(place, name, record)
            valid = values if isinstance(values, tuple) else (values,)
            if _written(place, name, record[name]) not in [_written(place, name, v) for v in valid]:
                break
        else:
            any_taken = True
            yield place, record
    if columns and not any_taken:
        condition = " and ".join(f"{name} = {value!r}" for name, value in columns.items())
        raise DataError(f"{table.name}: no row of {table.file or 'the table'} has {condition}")


def _with_examples(table: Prompts, rows: Sequence[PromptRow]) -> tuple[Prompts, list[PromptRow]]:
    """Put the next rows, with their answers, before each row, as many as each number of shots.
    Raises: DataError."""
    name = table.name
    if not (table.shots and table.example):
        raise DataError(
            f"shots and example of {name} belong together: shots = [0, 1, 4] and example = "
            '"… {slot} … {answer}.\\n"'
        )
    if table.levels or table.messages or table.corrupted:
        raise DataError(f"{name} has shots, and so no levels, messages or corrupted texts")
    if len({*table.shots}) < len(table.shots) or max(table.shots) >= len(rows):
        raise DataError(f"{name}: each number of shots once, and fewer than the {len(rows)} rows")
    made = []
    for i, row in enumerate(rows):
        if both := {"shots", "row"} & {*row.columns}:
            raise DataError(f"{row.place}: prompts with shots have a column {min(both)} already")
        for n in table.shots:
            others = [rows[(i + 1 + k) % len(rows)] for k in range(n)]
            examples = "".join(other.fill(table.example) for other in others)
            columns = {**row.columns, "shots": str(n), "row": str(i)}
            spans = {slot: len(examples) + end for slot, end in row.spans.items()}
            made.append(replace(row, text=examples + row.text, columns=columns, spans=spans))
    split = table.split if table.split or table.unit else "row"
    return msgspec.structs.replace(table, levels="shots", split=split), made


def _check_levels(prompts: PromptSet) -> None:
    """Refuse levels that some units lack. Raises: DataError."""
    table = prompts.table
    if not table.levels:
        return
    every = range(len(prompts.rows))
    if prompts.unit in ("prompt", table.levels):
        raise DataError(
            f'{table.name} has levels = "{table.levels}"; as unit, write another '
            "column, whose values say which rows belong together; for a statement about single "
            f"prompts write a second [[prompts]] of the same texts without levels, and name it by "
            "prompts in its [[read]]"
        )
    names = prompts.column(table.levels)
    there = {*zip(prompts.units(every), names, strict=True)}
    for unit, level in itertools.product(dict.fromkeys(prompts.units(every)), dict.fromkeys(names)):
        if (unit, level) not in there:
            raise DataError(
                f"{prompts.unit} {unit!r} has no row with {table.levels} = {level!r}, and levels "
                "are compared unit by unit; write such a row, or make them two [[prompts]]"
            )


def remarks(prompts: PromptSet) -> list[str]:
    """Report what is hard to see in the texts: invisible characters, slots that are empty or have
    extra spaces, spaces at the end, and misspelt slots."""
    kinds: dict[str, list[PromptRow]] = {}
    for row in prompts.rows:
        if unseen := [c for c in row.text if not c.isprintable() and c not in "\n\t"]:
            kinds.setdefault(f"invisible characters, such as {visible(unseen[0])}", []).append(row)
        for slot in row.spans:
            value = row.columns.get(slot, slot)
            if not value or value.casefold() in MISSING:
                kinds.setdefault(f"{value or 'nothing'} in {{{slot}}}", []).append(row)
            elif value != value.strip(" ") or "  " in value:
                kinds.setdefault(f"extra spaces in {{{slot}}}", []).append(row)
        if prompts.template(row).endswith(" "):
            kinds.setdefault(AT_END, []).append(row)
        for text in _BRACES.findall(prompts.template(row)):
            if not SLOT.fullmatch(text) and {*re.findall(r"\w+", text)} & {*row.columns}:
                kinds.setdefault(f"the text {text!r}, which is no slot", []).append(row)
    return [
        f"{prompts.table.name}: {len(rows)} of {counted(len(prompts.rows), 'prompt')} "
        f"{'has' if len(rows) == 1 else 'have'} {problem} ({rows[0].place})"
        for problem, rows in kinds.items()
    ]


def _read_of(row: PromptRow, study: str) -> list[tuple[str, str]]:
    """The columns of a row that a study uses, as a slot or by name; all columns without a study."""
    names = (n for n in sorted(row.columns) if not study or n == "label" or _names(study, n))
    return [(name, row.columns[name]) for name in names]


def _numbered(table: Prompts, rows: Sequence[PromptRow], study: str) -> Iterator[int]:
    """Number the contents of rows, ignoring case, spaces and end marks."""
    numbers: dict[str, int] = {}
    for row in rows:
        besides = (table.unit, table.split, *row.spans)
        read = [x for x in _read_of(row, study) if x[0] not in besides]
        yield numbers.setdefault(json.dumps([spelling(row.text), read]), len(numbers))


def _unnamed(rows: Sequence[PromptRow], study: str) -> Iterator[str]:
    """The columns of all rows that a study does not name; none without a study."""
    for name in rows[0].columns if study else ():
        is_named = name in (*rows[0].spans, "label", "template") or _names(study, name)
        if not is_named and all(name in row.columns for row in rows):
            yield name


def _names(study: str, column: str) -> bool:
    return f"{{{column}}}" in study or f'"{column}"' in study


def _texts(table: Prompts) -> tuple[str, ...]:
    return (table.text,) if isinstance(table.text, str) else table.text


def _written(place: str, name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{place}: {name!r} is {value}, which is not a number")
    return str(value)


def _check_chat(table: Prompts) -> None:
    """Refuse an impossible chat. Raises: DataError."""
    if not table.messages:
        for name in ("assistant", "thinking", "date"):
            if getattr(table, name) not in (None, ""):
                raise DataError(
                    f"{name} of the prompts {table.name} belongs to a chat; write messages = "
                    '[{role = "user", content = "…"}]'
                )
        if isinstance(table.corrupted, tuple):
            raise DataError(
                f"corrupted of the prompts {table.name} is messages, and they are texts"
            )
        return
    if table.text:
        raise DataError(f"give text or messages for the prompts {table.name}, not both")
    if table.assistant and table.messages[-1].role == "assistant":
        raise DataError(
            f"the last message of {table.name} is the assistant's already; say it as assistant "
            "alone, if the model is to go on from it"
        )
    if isinstance(table.corrupted, str) and table.corrupted:
        raise DataError(
            f"corrupted of the prompts {table.name} is a text, but the prompts are messages"
        )
    texts = " ".join(m.content for m in table.messages)
    for role in {m.role for m in table.messages} | {"assistant"}:
        if f"{{{role}}}" in f"{texts} {table.assistant}":
            raise DataError(
                f"the slot {{{role}}} of {table.name} is called as a role, whose place is that of "
                "its last message; rename the column"
            )


def chat(row: PromptRow, table: Prompts, messages: tuple[Message, ...] = ()) -> PromptRow:
    """Fill the messages of a table, or other messages, from a row."""
    written = [(m.role, m.content) for m in messages or table.messages]
    written += [("assistant", table.assistant)] if table.assistant else []
    parts = [filled(row, content) for _, content in written]
    text, times = "", Counter[str]()
    spans: dict[str, int] = {}
    marks: dict[str, tuple[str, int, int]] = {}
    for i, ((role, content), part) in enumerate(zip(written, parts, strict=True)):
        text += f"{role}: "
        spans |= {name: len(text) + end for name, end in part.spans.items()}
        marks |= {name: (name, i, end) for name, end in part.spans.items()}
        marks[role] = (role, i, len(part.text))
        times.update(SLOT.findall(content))
        text += f"{part.text}\n"
    repeated = frozenset(name for name, n in times.items() if n > 1)
    contents = tuple((role, part.text) for (role, _), part in zip(written, parts, strict=True))
    made = Chat(contents, bool(table.assistant), table.thinking, table.date, (*marks.values(),))
    return replace(row, text=text.rstrip("\n"), spans=spans, repeated=repeated, chat=made)


def filled(row: PromptRow, template: str) -> PromptRow:
    """Fill a template from a row."""
    text, spans, last = "", {}, 0
    for match in SLOT.finditer(template):
        text += template[last : match.start()] + row.fill(match[0])
        spans[match[1]] = len(text)
        last = match.end()
    times = Counter(SLOT.findall(template))
    repeated = frozenset(name for name, n in times.items() if n > 1)
    return replace(row, text=text + template[last:], spans=spans, repeated=repeated)


LARGEST = 2**25
"""Maximum bytes of a file of prompts."""
KINDS = (".jsonl", ".csv", ".txt")
Record = tuple[str, dict[str, object]]
"""Where it begins, as "reviews.csv line 3", and its cells by column."""
_LINE = re.compile(r"\r\n|\n|\r")
_BLANK = " \t"
_CELLS = threading.Lock()
"""The limit on cells of the csv module is a setting of the whole process."""


def read_file(path: Path) -> list[Record]:
    """The records of a file. Raises: DataError, with line and column."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise DataError(f"prompts are read from {', '.join(KINDS)}, got {path.name}")
    text = foreign.text(path, "a file of prompts", LARGEST)
    if "\0" in text:
        above = _LINE.split(text[: text.index("\0")])
        raise DataError(
            f"{path.name} line {len(above)} column {len(above[-1]) + 1} has a NUL, as binary "
            "files and UTF-16 without a mark do; save it as UTF-8 text"
        )
    if kind == ".csv":
        return list(_of_csv(path.name, text))
    lines = [(f"{path.name} line {n}", line) for n, line in enumerate(_LINE.split(text), 1)]
    lines = [(place, line) for place, line in lines if line.strip(_BLANK)]
    if kind == ".jsonl":
        return [(place, _object(place, line)) for place, line in lines]
    return [(place, {"text": line}) for place, line in lines]


def _of_csv(name: str, text: str) -> Iterator[Record]:
    """The records of a CSV file, whose first record names the columns. Raises: DataError."""
    header: list[str] | None = None
    for line, cells in _cells(name, text):
        place = f"{name} line {line}"
        if header is None:
            header = cells
            _check_header(place, header)
        elif len(cells) != len(header):
            raise DataError(f"{place}: cells here: {len(cells)}, in the header: {len(header)}")
        else:
            yield place, dict(zip(header, cells, strict=True))


def _cells(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each nonempty record, with its first line. Raises: DataError."""
    with _CELLS:
        old_limit = csv.field_size_limit(LARGEST)
        try:
            # newline="": a line end within quotes is a part of its cell
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            rows, line = list[tuple[int, list[str]]](), 1
            for cells in reader:
                rows += [(line, cells)] if cells else []
                line = reader.line_num + 1
        except csv.Error as e:
            why = str(e)
            if "unexpected end of data" in why:
                why = "a quote that opens in it is never closed"
            raise DataError(f"{name} line {line} is not CSV: {why}") from None
        finally:
            csv.field_size_limit(old_limit)
    yield from rows


def _check_header(place: str, header: Sequence[str]) -> None:
    """Refuse columns without a name, and duplicate names. Raises: DataError."""
    if len(header) == 1 and (sign := next((x for x in SEPARATORS if x in header[0]), "")):
        raise DataError(f"{place}: the columns are separated by {sign!r}; separate them by commas")
    for number, column in enumerate(header, 1):
        if not column.strip():
            raise DataError(f"{place}: column {number} of {len(header)} has no name")
    if spaced := [column for column in header if column != column.strip()]:
        raise DataError(f"{place}: the column {spaced[0]!r} has a space at an end; remove it")
    twice = [column for column, n in Counter(header).items() if n > 1]
    if twice:
        numbers = [str(n) for n, column in enumerate(header, 1) if column == twice[0]]
        raise DataError(
            f"{place}: columns {' and '.join(numbers)} are both called {twice[0]!r}; "
            "each column needs its own name"
        )


class _Constant(str):
    """NaN or Infinity, which are not JSON."""


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_Constant)
"""Numbers stay as they are written: 1.50 and 1.5 are different texts for a model."""


def _object(place: str, line: str) -> dict[str, object]:
    """The object on a line, with strings, numbers, true and false. Raises: DataError, with the
    column."""
    record: dict[str, object] = {}
    try:
        index = _expect(line, 0, "{", "must be an object of texts and numbers")
        while line[index : index + 1] != "}":
            begin = index
            name, index = _DECODER.raw_decode(line, begin)
            if type(name) is not str or line[begin] != '"':
                raise json.JSONDecodeError("a name in quotes is expected here", line, begin)
            begin = _expect(line, index, ":", "no colon after a name")
            value, index = _DECODER.raw_decode(line, begin)
            if why := _unusable(name, value, name in record):
                raise DataError(f"{place} column {begin + 1}: {why}")
            record[name] = value
            index = _skip(line, index)
            if line[index : index + 1] != "}":
                index = _expect(line, index, ",", "no comma between two values")
                if line[index : index + 1] == "}":
                    raise json.JSONDecodeError("a value is expected after the comma", line, index)
        if (end := _skip(line, index + 1)) < len(line):
            raise json.JSONDecodeError("more text follows the object", line, end)
    except json.JSONDecodeError as e:
        raise DataError(f"{place} column {e.pos + 1} is not JSON: {e.msg}") from None
    except RecursionError:
        raise DataError(f"{place} must be an object of texts and numbers") from None
    return record


def _skip(line: str, index: int) -> int:
    while line[index : index + 1] in (" ", "\t"):
        index += 1
    return index


def _expect(line: str, index: int, sign: str, why: str) -> int:
    index = _skip(line, index)
    if line[index : index + 1] != sign:
        raise json.JSONDecodeError(why, line, index)
    return _skip(line, index + 1)


def _unusable(name: str, value: object, again: bool) -> str:
    """Why a value cannot be part of a prompt; "" if it can."""
    if again:
        return f"the second value called {name!r}; an object has each name once"
    if value is None:
        return f"{name!r} is null, which is not a text; write a text, or leave the row out"
    if isinstance(value, _Constant):
        return f"{name!r} is {value}, which is not a number; write a number or a text"
    if isinstance(value, list | dict):
        return f"{name!r} must be a text or a number, got {type(value).__name__}"
    try:
        f"{name}{value}".encode()
    except UnicodeEncodeError:
        return f"{name!r} has half of a character (a lone surrogate), which no tokenizer reads"
    return ""
