"""The vectors: sets that never change once they are frozen, each a folder of a checkout's
conformance/vectors, or beside this file once installed; one JSON file per family."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from assay.core.errors import DataError, nearest

_CHECKOUT = Path(__file__).resolve().parents[3]
SUMS = "SHA256SUMS"
"""The file of a frozen set that names its files with their hashes, as `sha256sum -c` reads it."""
FROZEN = {"1.0": "aaf87034a0d4f6c85ff6da469773fb4b654863bcf320a5252cf680f87a02cb79"}
"""Set → SHA-256 of its SHA256SUMS, oldest first. A set of a later number holds what is new in it,
and comes after those before."""
LATEST = "1.0"
WHOLE = (
    "latents",
    "prefixes",
    "positions",
    "tokens",
    "right",
    "wrong",
    "documents",
    "powers",
    "own",
    "foils",
    "raised",
)
"""Inputs whose lists hold whole numbers; all other numbers in lists are real."""


@dataclass(frozen=True)
class Case:
    """One question to a library: the operation's inputs, and the named quantities that must come
    out."""

    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]


@dataclass(frozen=True)
class Alternative:
    """Another definition that someone has written down, where, and what it gives in every case."""

    definition: str
    source: str
    expected: Mapping[str, Any]


@dataclass(frozen=True)
class Vector:
    """One test that needs no library to be understood: definition, cases with expected values, and
    how they follow."""

    id: str
    title: str
    family: str
    operation: str
    definition: str
    derivation: str
    source: str
    catches: str
    """The mistake that it is there for."""
    tolerance: float
    """Relative to the largest expected number of a quantity; absolute where that is 0."""
    cases: tuple[Case, ...]
    """All must come out; several are the same question asked differently, such as at another
    scale."""
    alternatives: tuple[Alternative, ...]
    mistaken: Mapping[str, Any] = field(default_factory=dict)
    """What the mistake gives in the first case."""
    numpy: tuple[str, ...] = ()
    """Lines that work the quantities out from the inputs, each a name of an array."""


def folder() -> Path:
    """Where the vectors and the recorded results lie: conformance/ of a checkout, or of the
    installed package."""
    checkout = _CHECKOUT / "conformance"
    return checkout if (_CHECKOUT / "pyproject.toml").exists() else Path(__file__).resolve().parent


@cache
def load(version: str = LATEST) -> tuple[Vector, ...]:
    """All vectors of a frozen set, in order of family and file.

    Raises: DataError for an unknown set, a file that is not as it was frozen, or an id used twice.
    """
    if version not in FROZEN:
        raise DataError(f"no set of vectors {version!r}; {nearest(version, FROZEN)}")
    vectors: list[Vector] = []
    for number in list(FROZEN)[: list(FROZEN).index(version) + 1]:
        for path in _files(folder() / "vectors" / number, FROZEN[number]):
            try:
                page = json.loads(path.read_text(encoding="utf-8"))
                vectors += [_vector(page, entry) for entry in page["vectors"]]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path} is not a file of conformance vectors ({type(error).__name__}: {error})"
                ) from error
    ids = [vector.id for vector in vectors]
    if not vectors or len(set(ids)) < len(ids):
        raise DataError(
            f"{folder() / 'vectors'} must hold vectors with an id each, found {len(vectors)} "
            f"({len(set(ids))} ids)"
        )
    return tuple(vectors)


def _files(place: Path, expected: str) -> list[Path]:
    """The files of a frozen set, every byte as it was frozen. Raises: DataError."""
    sums = place / SUMS
    if not sums.exists() or hashlib.sha256(sums.read_bytes()).hexdigest() != expected:
        raise DataError(f"{sums} is not that of the frozen set; install Assay anew")
    paths = []
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        paths.append(place / name)
        if hashlib.sha256(paths[-1].read_bytes()).hexdigest() != digest:
            raise DataError(f"{paths[-1]} was changed since it was frozen; install Assay anew")
    return paths


def select(ids: Sequence[str], version: str = LATEST) -> tuple[Vector, ...]:
    """The vectors of these ids (all when none is given). Raises: DataError for an unknown one,
    naming the nearest."""
    known = {vector.id: vector for vector in load(version)}
    for id in ids:
        if id not in known:
            raise DataError(f"no conformance vector {id!r}; {nearest(id, known)}")
    return tuple(known[id] for id in ids) or load(version)


def _vector(page: Mapping[str, Any], entry: Mapping[str, Any]) -> Vector:
    cases = tuple(Case(case["inputs"], case["expected"]) for case in entry["cases"])
    alternatives = tuple(
        Alternative(a["definition"], a["source"], a["expected"]) for a in entry["alternatives"]
    )
    texts = {
        name: entry[name]
        for name in ("id", "title", "operation", "definition", "derivation", "source", "catches")
    }
    return Vector(
        family=page["family"],
        tolerance=entry["tolerance"],
        cases=cases,
        alternatives=alternatives,
        mistaken=entry.get("mistaken", {}),
        numpy=_lines(page.get("numpy", {}), entry["operation"]),
        **texts,
    )


def _lines(table: Mapping[str, Sequence[str]], operation: str) -> tuple[str, ...]:
    """The lines of an operation; "# encode" stands for the lines of another."""
    out: list[str] = []
    for line in table.get(operation, ()):
        out += _lines(table, line[2:]) if line[:2] == "# " and line[2:] in table else [line]
    return tuple(out)
