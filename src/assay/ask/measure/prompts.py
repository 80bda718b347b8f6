"""Prompts: the rows of a study's prompts, filled into templates, and which of them are learned from
and which are measured."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from assay.ask.measure import prompt_files
from assay.ask.tables import Message, Prompts
from assay.core import rng
from assay.core.errors import DataError, nearest, visible
from assay.subjects.chats import Chat

MOST = 20_000
"""Prompts of a study."""
SLOT = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Row:
    """One prompt, with everything that its row says."""

    text: str
    columns: Mapping[str, str]
    place: str
    """Where it was written: "reviews.jsonl line 3"."""
    spans: Mapping[str, int]
    """Where in the text each slot's value ends, in characters; of a repeated slot the last."""
    repeated: frozenset[str] = frozenset()
    """The slots that stand in the text more than once, so that their place is none."""
    chat: Chat | None = None
    """Its messages, where it is a chat: `text` then is what these say, until a model's template
    has made a text of them."""

    def fill(self, text: str) -> str:
        """Fill the slots of another text from this row. Raises: DataError for a slot that is no
        column."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.columns:
                raise DataError(
                    f"{self.place}: {{{match[1]}}} is no column of it; "
                    f"{nearest(match[1], self.columns)}"
                )
            return self.columns[match[1]]

        return SLOT.sub(value, text)


@dataclass(frozen=True)
class PromptSet:
    """All rows of a table of prompts."""

    table: Prompts
    rows: tuple[Row, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what all rows say and how they are split."""
        table = self.table
        contents: list[object] = [
            [[row.text, sorted(row.columns.items())] for row in self.rows],
            [msgspec.to_builtins(table.corrupted), table.split, table.learn, table.unit],
        ]
        if table.messages:
            chats = [row.chat for row in self.rows if row.chat]
            contents.append([[c.messages, c.continues, c.thinking, c.date] for c in chats])
        return hashlib.sha256(json.dumps(contents, ensure_ascii=False).encode()).hexdigest()

    @cached_property
    def unit(self) -> str:
        """What is generalised over: a column, or each prompt."""
        return self.table.unit or self.table.split or "prompt"

    def template(self, row: Row) -> str:
        """Give the text from which a row was filled."""
        texts = _texts(self.table) or ("{text}",)
        return row.columns["template"] if len(texts) > 1 else texts[0]

    def column(self, name: str, rows: Sequence[int] | None = None) -> list[str]:
        """Give a column of these rows. Raises: DataError where there is none."""
        chosen = self.rows if rows is None else [self.rows[i] for i in rows]
        for row in chosen:
            if name not in row.columns:
                raise DataError(f"{row.place} has no column {name!r}; {nearest(name, row.columns)}")
        return [row.columns[name] for row in chosen]

    def halves(self) -> tuple[list[int], list[int]]:
        """Split the rows into those that are learned from and those that are measured, by whole
        groups; every label of the column `label` keeps its share in both, where rows are their own
        groups."""
        if self.table.split:
            groups = self.column(self.table.split)
            kinds = dict.fromkeys(groups, "")
        else:
            groups = [str(i) for i in range(len(self.rows))]
            labels = [row.columns.get("label", "") for row in self.rows]
            times = Counter(labels)  # what has a label of its own, as a number may, has no share
            kinds = {g: x if times[x] > 1 else "" for g, x in zip(groups, labels, strict=True)}
        learned: set[str] = set()
        for kind in dict.fromkeys(kinds.values()):
            names = [group for group in kinds if kinds[group] == kind]
            order = rng.permutation(np.array([0]), f"ask.split.{kind}", 0, len(names))[0]
            count = min(max(1, round(self.table.learn * len(names))), len(names) - 1)
            learned |= {names[i] for i in order[:count]}
        train = [i for i, group in enumerate(groups) if group in learned]
        rest = [i for i, group in enumerate(groups) if group not in learned]
        unit = self.table.unit
        if unit and not self.table.split and (both := {*self.units(train)} & {*self.units(rest)}):
            raise DataError(
                f"{unit} {min(both)!r} is both among the prompts that are learned from and among "
                f'those that are measured; write split = "{unit}" under {self.table.name}'
            )
        return train, rest

    def groups(self, rows: Sequence[int]) -> list[str]:
        """Give the group of each of these rows: what has one is learned from or measured."""
        split = self.table.split
        return self.column(split, rows) if split else [str(i) for i in rows]

    def units(self, rows: Sequence[int]) -> list[str]:
        """Give the level of the unit to which each of these rows belongs."""
        return [f"{i}" for i in rows] if self.unit == "prompt" else self.column(self.unit, rows)

    def sample(
        self, rows: Sequence[int], seed: int, *, labelled: bool = False, label: str = "label"
    ) -> list[int]:
        """Draw about two thirds of the groups among these rows, of each label at least one row; the
        seed says which."""
        split, groups = self.table.split, self.groups(rows)
        known = labelled and not split and all(label in self.rows[i].columns for i in rows)
        kinds = self.column(label, rows) if known else []
        kind_of = dict(zip(groups, kinds, strict=True)) if kinds else dict.fromkeys(groups, "")
        chosen: set[str] = set()
        for kind in dict.fromkeys(kind_of.values()):
            names = [group for group in kind_of if kind_of[group] == kind]
            order = rng.permutation(np.array([seed]), f"ask.sample.{kind}", 0, len(names))[0]
            chosen |= {names[i] for i in order[: max(1, round(2 * len(names) / 3))]}
        return [i for i, group in zip(rows, groups, strict=True) if group in chosen]


def shared(prompts: PromptSet, rows: Sequence[int] | None = None) -> dict[str, int]:
    """Give how many values each slot has that stands in several prompts, the template among them,
    where every slot that has several values is such a one: prompts that are combinations of few
    values, and no independent units. Empty for any other prompts, and where the table says what
    their units are."""
    if prompts.table.unit or prompts.table.split:
        return {}
    some = prompts.rows if rows is None else [prompts.rows[i] for i in rows]
    slots = dict.fromkeys(name for row in some for name in row.spans)
    slots |= dict.fromkeys(n for row in some for n in row.columns if n == "template")
    counts = {name: len({row.columns.get(name, "") for row in some}) for name in slots}
    several = {name: n for name, n in counts.items() if n > 1}
    return several if all(2 * n <= len(some) for n in several.values()) else {}


def alike(prompts: PromptSet, source: PromptSet) -> PromptSet:
    """Give prompts that are judged the unit of those that are learned from, where they have such a
    column and name none: by what these are split, those belong together as well."""
    unit, table = source.unit, prompts.table
    has = all(unit in row.columns for row in prompts.rows)
    if unit == "prompt" or table.unit or table.split or not has:
        return prompts
    return PromptSet(msgspec.structs.replace(table, unit=unit), prompts.rows)


def load(table: Prompts, folder: Path, study: str = "") -> PromptSet:
    """Read the rows of a table of prompts; files lie beside the study, whose text says which
    columns are used. Raises: DataError, with file and line."""
    ways = [w for w in ("file", "rows", "slots") if getattr(table, w)]
    _check_chat(table)
    if len(ways) > 1 or not (ways or table.text or table.messages):
        what = " and ".join(ways) or "none of them"
        raise DataError(f"say one of file, rows and slots of the prompts {table.name}, got {what}")
    if table.file:
        records = prompt_files.read(folder / table.file)
    elif table.rows:
        records = [(f"{table.name}, row {i + 1}", dict(r)) for i, r in enumerate(table.rows)]
    elif table.slots:
        combinations = itertools.product(*table.slots.values())
        records = [
            (f"{table.name}, combination {i + 1}", dict(zip(table.slots, c, strict=True)))
            for i, c in enumerate(combinations)
        ]
    elif table.messages:
        records = [(f"{table.name}, messages", {})]
    else:  # texts without slots are prompts themselves
        records = [
            (f"{table.name}, text {i + 1}", {"text": t}) for i, t in enumerate(_texts(table))
        ]
        table = msgspec.structs.replace(table, text=())
    templates = _texts(table)
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
            row = Row("", {**extra, **columns}, place, {})
            row = chat(row, table) if table.messages else filled(row, template)
            if not row.text.strip():
                raise DataError(f"{place} is empty; a prompt has at least one token")
            rows.append(row)
    if not rows:
        raise DataError(f"{table.file or table.name} has no prompts")
    different = len({json.dumps([row.text, *_read_of(row, study)]) for row in rows})
    if 2 * different <= len(rows) and not (table.unit or table.split):
        raise DataError(
            f"of the {len(rows)} prompts of {table.file or table.name} {different} are different, "
            "others have the same text and answers: copies count as no units; take them out, or "
            "write what you generalise over as unit"
        )
    return PromptSet(table, tuple(rows))


def remarks(prompts: PromptSet) -> list[str]:
    """Say what cannot be seen in the texts: characters that look like nothing or like a space, and
    slots with nothing in them."""
    kinds: dict[str, list[Row]] = {}
    for row in prompts.rows:
        if unseen := [c for c in row.text if not c.isprintable() and c not in "\n\t"]:
            kinds.setdefault(f"invisible characters, such as {visible(unseen[0])}", []).append(row)
        for slot in row.spans:
            if not row.columns.get(slot, slot):
                kinds.setdefault(f"nothing in {{{slot}}}", []).append(row)
    return [
        f"{prompts.table.name}: {len(rows)} of {len(prompts.rows)} prompts have {what} "
        f"({rows[0].place})"
        for what, rows in kinds.items()
    ]


def _read_of(row: Row, study: str) -> list[tuple[str, str]]:
    """The columns of a row that a study uses, as a slot or by name; all, where nothing is known of
    it."""
    names = (n for n in sorted(row.columns) if not study or n == "label" or _names(study, n))
    return [(name, row.columns[name]) for name in names]


def _names(study: str, column: str) -> bool:
    return f"{{{column}}}" in study or f'"{column}"' in study


def _texts(table: Prompts) -> tuple[str, ...]:
    return (table.text,) if isinstance(table.text, str) else table.text


def _written(place: str, name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{place}: {name!r} is {value}, which is no number")
    return str(value)


def _check_chat(table: Prompts) -> None:
    """Refuse what makes no chat. Raises: DataError."""
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
        raise DataError(f"say text or messages of the prompts {table.name}, not both")
    if table.assistant and table.messages[-1].role == "assistant":
        raise DataError(
            f"the last message of {table.name} is the assistant's already; say it as assistant "
            "alone, if the model is to go on from it"
        )
    if isinstance(table.corrupted, str) and table.corrupted:
        raise DataError(f"corrupted of the prompts {table.name} is a text, and they are messages")
    texts = " ".join(m.content for m in table.messages)
    for role in {m.role for m in table.messages} | {"assistant"}:
        if f"{{{role}}}" in f"{texts} {table.assistant}":
            raise DataError(
                f"the slot {{{role}}} of {table.name} is called as a role, whose place is that of "
                "its last message; rename the column"
            )


def chat(row: Row, table: Prompts, messages: tuple[Message, ...] = ()) -> Row:
    """Give a row the messages of a table that are filled from it, or others in their place."""
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


def filled(row: Row, template: str) -> Row:
    """Give a row the text of a template that is filled from it."""
    text, spans, last = "", {}, 0
    for match in SLOT.finditer(template):
        text += template[last : match.start()] + row.fill(match[0])
        spans[match[1]] = len(text)
        last = match.end()
    times = Counter(SLOT.findall(template))
    repeated = frozenset(name for name, n in times.items() if n > 1)
    return replace(row, text=text + template[last:], spans=spans, repeated=repeated)
