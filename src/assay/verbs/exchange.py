"""Exchange: a dictionary written for another library, or read from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.writing import write
from assay.dictionaries.nonlinearity import to_json
from assay.evaluation import file_statements
from assay.evaluation.sources import find, open_dictionary
from assay.lab.store.store import Store
from assay.verbs.parts import written
from assay.verbs.verb import Answer, Place
from assay.verbs.writable import writable


@dataclass(frozen=True)
class Exchanged:
    """A dictionary that was read or written: shape, kind, places, where it comes from, and the
    files."""

    runs: int
    d_in: int
    width: int
    d_out: int
    nonlinearity: Mapping[str, Any]
    sites: tuple[str, ...]
    sites_out: tuple[str, ...]
    per_token: str
    origin: Mapping[str, Any]
    written: tuple[Path, ...]


def of_dictionary(
    name: str,
    out: Path,
    format: str,
    hint: Sequence[str],
    run: int | None,
    model: str | None,
    place: Place,
) -> Answer[Exchanged]:
    """Write a dictionary, or one run of it, for another library or from one."""
    writable(out.absolute().parent, "--out")
    if hint:
        dictionary = open_dictionary(name, root=place.root, **dict(map(_hinted, hint)))
    else:
        dictionary = find([name], Store(place.root))[0].read()
    files = write(dictionary, out, format, run=run, model=model)
    exchange = _described(dictionary if run is None else dictionary[run], files)
    unread = file_statements.unread(exchange.origin)
    return Answer(exchange, written("dictionary_written", d=exchange, unread=unread))


def _hinted(text: str) -> tuple[str, str | float]:
    """Read name=value; a number, yes or no where the value is one. Raises: AssayError."""
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise AssayError(f"--hint is name=value, such as scale=12.5; got {text!r}")
    if name == "bos":
        if value not in ("yes", "no"):
            raise AssayError(f"--hint bos is yes or no; got {value!r}")
        return name, value == "yes"
    with suppress(ValueError):
        return name, int(value) if name in ("k", "context") else float(value)
    return name, value


def _described(dictionary: Dictionary, written: Sequence[Path]) -> Exchanged:
    return Exchanged(
        runs=len(dictionary),
        d_in=dictionary.W_enc.shape[1],
        width=dictionary.width,
        d_out=dictionary.W_dec.shape[2],
        nonlinearity=to_json(dictionary.nonlinearity),
        sites=tuple(dictionary.sites),
        sites_out=tuple(dictionary.sites_out),
        per_token=dictionary.per_token,
        origin=dict(dictionary.origin),
        written=tuple(written),
    )
