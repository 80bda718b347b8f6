"""Mistakes: all that is wrong with a study in one refusal. Reading and composing stop at the first
mistake; so what is wrong is taken out of the text, with all that names it, and the rest is composed
again. What may follow from another mistake is not reported."""

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
"""Tables without which the others can be composed."""


def add_further(path: Path, whole: str, error: PlacedError, again: Callable[[Text], Any]) -> None:
    """Add the further mistakes of a study's file to its refusal, as `others`; `again` composes what
    is left of it."""
    further = dict.fromkeys([*error.others, *_further(path, whole, error, again)])
    error.others = tuple(line for line in further if line != str(error))


def readable(path: Path, whole: str, error: PlacedError) -> Text | None:
    """Give what is left of a study without the fields that could not be read; None where that is
    no study."""
    toml, _, page = text.parted(path, whole)
    left = _without_fields(toml, error.keys)
    try:
        return text.parsed(path, _joined(path, left, page))
    except AssayError:
        return None


def _further(
    path: Path, whole: str, error: PlacedError, again: Callable[[Text], Any]
) -> Iterator[str]:
    """Find the mistakes besides the first."""
    toml, _, page = text.parted(path, whole)
    blamed = set[tuple[int, int]]()  # where the tables begin of which something was said
    for _ in range(text.MISTAKES):
        blamed |= {text.position(toml, keys[:2]) for keys in error.keys}
        toml = _without_fields(toml, error.keys) if error.unread else _without(toml, error.keys)
        if not toml:
            return
        try:
            left = text.parsed(path, _joined(path, toml, page))
            if left.study.experiment or left.study.model or left.study.train:
                again(left)
            return
        except PlacedError as e:
            if not blamed & {text.position(toml, keys[:2]) for keys in e.keys}:
                yield from (str(e), *e.others)
            error = e
        except AssayError:  # of no table, and so perhaps of one that was taken out
            return


def _joined(path: Path, toml: str, page: str) -> str:
    return "\n".join((text.FENCE, toml, text.FENCE, page)) if path.suffix == ".md" else toml


def _without_fields(toml: str, mistakes: Sequence[Keys]) -> str:
    """Leave out the fields that could not be read, each of one line. Gives "" where it is not a
    field that is wrong."""
    lines = toml.splitlines()
    for keys in mistakes:
        line = text.position(toml, keys[:3])[0] - 1
        if text.HEADER.match(lines[line]):
            return ""
        lines[line] = ""
    return "\n".join(lines)


def _without(toml: str, mistakes: Sequence[Keys]) -> str:
    """Leave out tables, and those that name them; lines stay where they are. Gives "" where nothing
    could be composed without them."""
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
