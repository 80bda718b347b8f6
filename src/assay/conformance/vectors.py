"""The vectors: one JSON file per family in the checkout's conformance/vectors, or beside this file
once installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from assay.core.errors import DataError, nearest

_CHECKOUT = Path(__file__).resolve().parents[3]


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
    tolerance: float
    """Relative to the largest expected number of a quantity; absolute where that is 0."""
    cases: tuple[Case, ...]
    """All must come out; several are the same question asked differently, such as at another
    scale."""
    alternatives: tuple[Alternative, ...]


def folder() -> Path:
    """Where the vectors and the recorded results lie: conformance/ of a checkout, or of the
    installed package."""
    checkout = _CHECKOUT / "conformance"
    return checkout if (_CHECKOUT / "pyproject.toml").exists() else Path(__file__).resolve().parent


@cache
def load() -> tuple[Vector, ...]:
    """All vectors, in order of family and file. Raises: DataError for a file that holds none, or an
    id used twice."""
    vectors = []
    for path in sorted((folder() / "vectors").glob("*.json")):
        try:
            page = json.loads(path.read_text(encoding="utf-8"))
            vectors += [_vector(page["family"], entry) for entry in page["vectors"]]
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


def select(ids: Sequence[str]) -> tuple[Vector, ...]:
    """The vectors of these ids (all when none is given). Raises: DataError for an unknown one,
    naming the nearest."""
    known = {vector.id: vector for vector in load()}
    for id in ids:
        if id not in known:
            raise DataError(f"no conformance vector {id!r}; {nearest(id, known)}")
    return tuple(known[id] for id in ids) or load()


def _vector(family: str, entry: Mapping[str, Any]) -> Vector:
    cases = tuple(Case(case["inputs"], case["expected"]) for case in entry["cases"])
    alternatives = tuple(
        Alternative(a["definition"], a["source"], a["expected"]) for a in entry["alternatives"]
    )
    texts = {
        name: entry[name]
        for name in ("id", "title", "operation", "definition", "derivation", "source")
    }
    return Vector(
        family=family, tolerance=entry["tolerance"], cases=cases, alternatives=alternatives, **texts
    )
