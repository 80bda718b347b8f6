"""Writing: a study's TOML from what an agent says, and what it lacks, assumes and costs, before
anything runs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, ExperimentError
from assay.lab.lab import Lab
from assay.studies import missing
from assay.studies.text import FENCE, read
from assay.verbs.assumptions import Unsaid, find_unsaid

BARE = re.compile(r"[A-Za-z0-9_-]+")
Said = Mapping[str, Any]


def study(
    top: Said, experiment: Said, claims: Sequence[Said], estimates: Sequence[Said] = ()
) -> str:
    """Write a study as TOML: what is empty is left out. Raises: ExperimentError for a value that
    TOML lacks."""
    parts = ["".join(_lines(top))]
    parts += ["[[experiment]]\n" + "".join(_lines(experiment))]
    parts += ["[[claim]]\n" + "".join(_lines(claim)) for claim in claims]
    parts += ["[[estimate]]\n" + "".join(_lines(entry)) for entry in estimates]
    return "\n".join(part for part in parts if part)


def lacks(text: str, lab: Lab) -> tuple[Unsaid, ...]:
    """Tell what a study's text does not say, what is taken in its place, and what that costs; its
    places must be known to be safe.

    Raises: ExperimentError with line and column.
    """
    with laid(text) as path:
        try:
            return _without(find_unsaid(path, lab).unsaid, path)
        except AssayError as e:
            raise type(e)(bare(str(e), path)) from None


def unsaid(text: str) -> tuple[Unsaid, ...]:
    """Tell the same of a study that cannot be planned yet, without what it costs. Raises:
    ExperimentError with line and column."""
    with laid(text) as path:
        try:
            parsed = read(path)
            missing_fields = [
                *missing.essential(parsed),
                *(missing.assumed(parsed) if parsed.study.experiment else ()),
            ]
            return _without([Unsaid(m.where, m.text, m.default, "") for m in missing_fields], path)
        except AssayError as e:
            raise type(e)(bare(str(e), path)) from None


@contextmanager
def laid(text: str) -> Iterator[Path]:
    """Give a file that has a study's text while the body runs."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        path = Path(folder) / ("study.md" if text.startswith(FENCE) else "study.toml")
        path.write_text(text, encoding="utf-8")
        yield path


def bare(text: str, path: Path) -> str:
    """Name a study in a line without the place where it lies for the moment."""
    return text.replace(str(path.resolve()), "the study").replace(str(path), "the study")


def _without(rows: Iterable[Unsaid], path: Path) -> tuple[Unsaid, ...]:
    return tuple(Unsaid(u.where, bare(u.text, path), u.default, bare(u.cost, path)) for u in rows)


def _lines(table: Said) -> Iterable[str]:
    for key, value in table.items():
        if value not in ("", None) and value != [] and value != {}:
            yield f"{_key(key)} = {_value(value, key)}\n"


def _value(value: Any, location: str) -> str:
    """A value in TOML, tables on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, location)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(v, location) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v, location)}' for k, v in value.items())} }}"
    raise ExperimentError(
        f"{location}: a study has texts, finite numbers, true and false, lists and tables, got "
        f"{type(value).__name__}"
    )


def _text(value: str, location: str) -> str:
    if any("\ud800" <= c <= "\udfff" or c == "\0" for c in value):
        raise ExperimentError(
            f"{location}: a text has no null characters and no halves of characters"
        )
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _text(name, "a name")
