"""Mistakes: report all mistakes of a study at once. Reading and composing stop at the first one; it
is removed with everything that names it, and the rest is composed again. Mistakes that may follow
from an earlier one are not reported."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from assay.ask import text
from assay.ask.text import PlacedError, Text
from assay.core.errors import AssayError

Keys = tuple[str | int, ...]
STATEMENTS = ("claim", "estimate")
REMOVABLE = ("direction", "intervene", "read", "probe", "diff", *STATEMENTS)
"""Tables that can be removed while the rest is composed."""


def add_further(path: Path, whole: str, error: PlacedError, again: Callable[[Text], Any]) -> None:
    """Add the further mistakes of a study's file to its refusal, as `others`; `again` composes what
    remains."""
    further = dict.fromkeys([*error.others, *_further(path, whole, error, again)])
    error.others = tuple(line for line in further if line != str(error))


def readable(path: Path, whole: str, error: PlacedError) -> Text | None:
    """Give a study without the fields that could not be read; None if the rest is not a study."""
    toml, _, page = text.parted(path, whole)
    remaining = _without_fields(toml, error.keys)
    try:
        return text.parsed(path, _joined(path, remaining, page))
    except AssayError:
        return None


def _further(
    path: Path, whole: str, error: PlacedError, again: Callable[[Text], Any]
) -> Iterator[str]:
    """Find the mistakes after the first."""
    toml, _, page = text.parted(path, whole)
    blamed = set[tuple[int, int]]()  # positions of tables with a reported mistake
    for _ in range(text.MISTAKES):
        blamed |= {text.position(toml, keys[:2]) for keys in error.keys}
        toml = _without_fields(toml, error.keys) if error.unread else _without(toml, error.keys)
        if not toml:
            return
        try:
            remaining = text.parsed(path, _joined(path, toml, page))
            if remaining.study.experiment or remaining.study.model or remaining.study.train:
                again(remaining)
            return
        except PlacedError as e:
            if not blamed & {text.position(toml, keys[:2]) for keys in e.keys}:
                yield from (str(e), *e.others)
            error = e
        except AssayError:  # without a place, so perhaps about a removed table
            return


def _joined(path: Path, toml: str, page: str) -> str:
    return "\n".join((text.FENCE, toml, text.FENCE, page)) if path.suffix == ".md" else toml


def _without_fields(toml: str, mistakes: Sequence[Keys]) -> str:
    """Remove fields that could not be read, each on one line. Returns "" if something else is
    wrong."""
    lines = toml.splitlines()
    for keys in mistakes:
        line = text.position(toml, keys[:3])[0] - 1
        if text.HEADER.match(lines[line]):
            return ""
        lines[line] = ""
    return "\n".join(lines)


def _without(toml: str, mistakes: Sequence[Keys]) -> str:
    """Remove tables, and those that name them, keeping line numbers. Returns "" if the rest could
    not be composed."""
    tables: dict[str, Any] = tomllib.loads(toml)
    entries = {(k, i): x for k in REMOVABLE for i, x in enumerate(tables.get(k, ()))}
    gone: list[Any] = [*dict.fromkeys(keys[:2] for keys in mistakes)]
    for table in gone:
        name = str(entries.get(table, {}).get("name", ""))
        if table not in entries or not (name or table[0] in STATEMENTS):
            return ""
        for other, entry in entries.items() if name else ():
            words = {*re.findall(r"[\w-]+", repr(entry))}  # one may be a misspelt name of it
            if other not in gone and get_close_matches(name, words, n=1, cutoff=0.75):
                gone.append(other)
    measured = {t for t in entries if t[0] in ("read", "probe")}
    if measured and measured <= {*gone}:
        return ""
    lines, counts, now = list[str](), dict[str, int](), ("", 0)
    for line in toml.splitlines():
        if header := text.HEADER.match(line):
            kind = header[2].partition(".")[0].strip()
            counts[kind] = counts.get(kind, -1) + (header[1] == "[[" and kind == header[2])
            now = (kind, counts[kind])
        lines.append("" if now in gone else line)
    return "\n".join(lines)
