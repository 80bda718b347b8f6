"""The vectors. A set never changes once it is frozen: each is a folder of vectors/, one
JSON file for each family, with the hash of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from assay_vectors.errors import VectorsError, nearest

SUMS = "SHA256SUMS"
"""The file that lists a frozen set's files with their hashes, as `sha256sum -c` reads
it."""
FROZEN = {"1.0": "aaf87034a0d4f6c85ff6da469773fb4b654863bcf320a5252cf680f87a02cb79"}
"""Set → SHA-256 of its SHA256SUMS, oldest first. A later set holds only what it adds to
those before it."""
LATEST = "1.0"
INTEGERS = (
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
"""Inputs whose lists hold integers; all other numbers in lists are floats."""


@dataclass(frozen=True)
class Case:
    """The inputs of an operation, and the right value of each quantity."""

    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]


@dataclass(frozen=True)
class Alternative:
    """Another published definition, its source, and what it gives in every case."""

    definition: str
    source: str
    expected: Mapping[str, Any]


@dataclass(frozen=True)
class Vector:
    """One question with its definition, its cases, and how the right answers follow."""

    id: str
    title: str
    family: str
    operation: str
    definition: str
    derivation: str
    source: str
    catches: str
    """The mistake that it detects."""
    tolerance: float
    """Relative to the largest expected number of a quantity; absolute if that is 0."""
    cases: tuple[Case, ...]
    """All must be right. Several cases ask one question in different ways, for example
    at another scale."""
    alternatives: tuple[Alternative, ...]
    mistaken: Mapping[str, Any] = field(default_factory=dict)
    """What the mistake gives in the first case."""
    numpy: tuple[str, ...] = ()
    """Lines of NumPy that compute each quantity from the inputs, all by name."""


def folder() -> Path:
    """Return the folder that has vectors/ and results/: the project's in a checkout,
    the package's own once it is installed."""
    package = Path(__file__).resolve().parent
    project = package.parents[1]
    return project if (project / "vectors" / LATEST).is_dir() else package


@cache
def load(version: str = LATEST) -> tuple[Vector, ...]:
    """Load all vectors of a frozen set, in order of family and file.

    Raises: VectorsError for an unknown set, a file that has changed since it was
    frozen, or an id that occurs twice.
    """
    if version not in FROZEN:
        raise VectorsError(f"no set of vectors {version!r}; {nearest(version, FROZEN)}")
    vectors: list[Vector] = []
    for number in list(FROZEN)[: list(FROZEN).index(version) + 1]:
        for path in _files(folder() / "vectors" / number, FROZEN[number]):
            try:
                page = json.loads(path.read_text(encoding="utf-8"))
                vectors += [_vector(page, entry) for entry in page["vectors"]]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise VectorsError(
                    f"{path} is not a file of vectors ({type(error).__name__}: {error})"
                ) from error
    ids = {vector.id for vector in vectors}
    if not vectors or len(ids) < len(vectors):
        raise VectorsError(
            f"{folder() / 'vectors'} must have vectors with one id each; it has "
            f"{len(vectors)} with {len(ids)} ids"
        )
    return tuple(vectors)


def _files(place: Path, expected: str) -> list[Path]:
    """List the files of a frozen set. Raises: VectorsError if a byte has changed."""
    sums = place / SUMS
    if not sums.exists() or hashlib.sha256(sums.read_bytes()).hexdigest() != expected:
        raise VectorsError(f"{sums} is not that of the frozen set; install assay-vectors again")
    paths = []
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        paths.append(place / name)
        if hashlib.sha256(paths[-1].read_bytes()).hexdigest() != digest:
            raise VectorsError(
                f"{paths[-1]} has changed since it was frozen; install assay-vectors again"
            )
    return paths


def select(ids: Sequence[str], version: str = LATEST) -> tuple[Vector, ...]:
    """Return the vectors with these ids, or all if there are none. Raises:
    VectorsError for an unknown id, with the nearest one."""
    known = {vector.id: vector for vector in load(version)}
    for id in ids:
        if id not in known:
            raise VectorsError(f"no vector {id!r}; {nearest(id, known)}")
    return tuple(known[id] for id in ids) or load(version)


def _vector(page: Mapping[str, Any], entry: Mapping[str, Any]) -> Vector:
    cases = tuple(Case(case["inputs"], case["expected"]) for case in entry["cases"])
    alternatives = tuple(
        Alternative(a["definition"], a["source"], a["expected"]) for a in entry["alternatives"]
    )
    names = ("id", "title", "operation", "definition", "derivation", "source")
    return Vector(
        **{name: entry[name] for name in (*names, "catches")},
        family=page["family"],
        tolerance=entry["tolerance"],
        cases=cases,
        alternatives=alternatives,
        mistaken=entry.get("mistaken", {}),
        numpy=_lines(page.get("numpy", {}), entry["operation"]),
    )


def _lines(table: Mapping[str, Sequence[str]], operation: str) -> tuple[str, ...]:
    """Return the lines of an operation; "# encode" stands for the lines of another."""
    out: list[str] = []
    for line in table.get(operation, ()):
        known = line[:2] == "# " and line[2:] in table
        out += _lines(table, line[2:]) if known else [line]
    return tuple(out)
