"""Checking: a bundle that somebody else made, judged by this Assay's own judge.py.

Nothing in it is run.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from assay.core import foreign
from assay.core.errors import DataError
from assay.report.bundle import judge
from assay.report.bundle.contents import reading
from assay.report.bundle.files import SUMS
from assay.studies.wording import condition

EARLIER: Mapping[str, str] = {
    "6190b346e227a0b62d9894d49385b89425372a78bdd041a2150e0df6d7cf6ea5": (
        "0.1.0 before 24 November 2026"
    ),
    "a1f768b32e7b98ff458f5c9d0202248bba189ba3e92f1c6e65282be1f9884b7d": (
        "0.1.0 before the second edition of the rule"
    ),
}
"""SHA-256 of judge.py → the version that wrote it into bundles, for versions that wrote another one
than this does.
"""
EXPECTED = "a bundle, as `assay export --format bundle` writes one"
FILES, BYTES = 10_000, 2**30
"""How many files of a bundle are unpacked, and how many bytes; known ones have a hundred, and a few
million.
"""


@dataclass(frozen=True)
class Rejudged:
    """A statement of a bundle, and every way in which it comes out otherwise than is stated."""

    text: str
    judged: bool
    why_not: str
    differs: tuple[str, ...]


@dataclass(frozen=True)
class CheckedBundle:
    """What came of a bundle under this Assay's own code."""

    bundle: Path
    same: bool
    """Whether nothing differs: claims and theorems come out as stated, every file is as listed, and
    its judge.py is a released one.
    """
    claims: tuple[Rejudged, ...]
    exact: tuple[Rejudged, ...]
    """Theorems, of which only the last comparison is made."""
    files: int
    """How many files SHA256SUMS lists."""
    changed: tuple[str, ...]
    """Files that are not as it says, or that it does not list."""
    judge: Literal["released", "earlier", "unknown", "missing"]
    """What the judge.py in it is: the one of this version, of an earlier one, or nothing that this
    version knows.
    """
    judge_sha256: str
    released_sha256: str
    read: tuple[str, ...]
    """The files from which numbers were taken: nothing else was looked at again."""


def released() -> str:
    """Compute the SHA-256 of judge.py as this version writes it into bundles."""
    return sha256(Path(judge.__file__).read_bytes()).hexdigest()


def unpack(path: Path, into: Path) -> Path:
    """Unpack a bundle, and give its folder.

    Raises: DataError for what is no bundle, leads outside, or is too large.
    """
    foreign.regular(path, EXPECTED, BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            _bounded(archive, path)
            names = [info.filename for info in archive.infolist()]
            if outside := next(
                (
                    n
                    for n in names
                    if not (into / n).resolve().is_relative_to(into.resolve()) or "\\" in n
                ),
                None,
            ):
                raise DataError(
                    f"{path} holds {outside[:80]!r}, which leads outside; expected {EXPECTED}"
                )
            archive.extractall(into)  # links in it become files
    except DataError:
        raise
    except Exception as e:  # what a foreign archive may raise is many things
        raise DataError(
            f"{path} cannot be unpacked ({type(e).__name__}); expected {EXPECTED}"
        ) from e
    folders = [p for p in (into, *into.iterdir()) if (p / SUMS).is_file()]
    if len(folders) != 1:
        raise DataError(f"{path} has no {SUMS} at its top or in its folder; expected {EXPECTED}")
    return folders[0]


def check(path: Path, folder: Path) -> CheckedBundle:
    """Judge every claim of the bundle in a folder again, and compare with what it states.

    Raises: DataError where it cannot be read.
    """
    read_files: dict[str, None] = {}

    def read(name: str) -> bytes:
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{path} reads {name[:80]!r}, which is outside; expected {EXPECTED}")
        if file.suffix == ".npz":
            read_files[name] = None
        return file.read_bytes()

    try:
        for array in folder.rglob("*.npz"):
            with zipfile.ZipFile(array) as archive:
                _bounded(archive, array)
        stated = foreign.json_object(folder / "verdicts.json")
        index = foreign.json_object(folder / "measures" / "index.json")
        foreign.json_object(folder / "claims.json")
        claims = tuple(_claims(stated["verdicts"], index, read))
        exact = tuple(
            Rejudged(text, True, "", ("it is not as stated",) * (outcome != of))
            for text, outcome, of in judge.theorems(read)
        )
        listed = {line.partition("  ")[2] for line in read(SUMS).decode().splitlines()}
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        numbers = tuple(read_files)
        changed = {*judge.changed_files(read), *(present - listed - {SUMS})}
        own = sha256(read("judge.py")).hexdigest() if "judge.py" in present else ""
    except DataError:
        raise
    except Exception as e:  # a file that was changed may say anything
        why = f"{type(e).__name__}: {str(e)[:120]}"
        raise DataError(f"{path} cannot be read ({why}); expected {EXPECTED}") from e
    kinds: dict[str, Literal["released", "missing"]] = {released(): "released", "": "missing"}
    which: Literal["released", "earlier", "unknown", "missing"]
    which = kinds.get(own, "earlier" if own in EARLIER else "unknown")
    same = not changed and which in ("released", "earlier")
    return CheckedBundle(
        bundle=path,
        same=same and not any(rejudged.differs for rejudged in (*claims, *exact)),
        claims=claims,
        exact=exact,
        files=len(listed),
        changed=tuple(sorted(changed)),
        judge=which,
        judge_sha256=own,
        released_sha256=released(),
        read=numbers,
    )


COMPARED = ("range", "fail_range", "bounds", "units", "unit", "threshold_from", "source")
"""What claims.json and a verdict say alike."""


def _claims(
    verdicts: Sequence[Mapping[str, Any]],
    index: Mapping[str, Any],
    read: Callable[[str], bytes],
) -> Iterator[Rejudged]:
    """Each claim, with what differs: its verdict as judged, what is stated to be asked, steps that
    are not those of its condition, and a verdict for which there is no claim."""
    stated = {v["text"]: v for v in verdicts}
    for _, claim, _, differs in judge.judge_all(read):
        v = stated.pop(claim["text"], {})
        other = [k for k in COMPARED if v.get(k) != claim.get(k)]
        more = [f"{k} is {claim.get(k)}, stated is {v.get(k)}" for k in other if v]
        more += [] if v else ["no verdict is stated"]
        if "terms" in claim and not _is_worded(claim, index):
            more.append(f"its steps are not those of its condition, {claim['condition']}")
        carried = bool(claim["carried"])
        yield Rejudged(claim["text"], carried, claim.get("why_not", ""), (*differs, *more))
    for text in stated:
        yield Rejudged(text, False, "", ("a verdict is stated, and claims.json has no such claim",))


def _is_worded(claim: Mapping[str, Any], index: Mapping[str, Any]) -> bool:
    """Whether a claim in words asks what its condition says."""
    parsed = condition(claim["condition"]).parsed
    ends = [x if math.isfinite(x) else None for x in (parsed.low, parsed.high)]
    asked = reading(claim["condition"], claim["of"], index) | {"range": ends, "fail_range": ends}
    return all(claim[k] == v for k, v in json.loads(json.dumps(asked)).items())


def _bounded(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive of more files or bytes than a bundle has. Raises: DataError."""
    infos = archive.infolist()
    foreign.within(len(infos), FILES, path, "files")
    foreign.within(sum(info.file_size for info in infos), BYTES, path, "bytes, unpacked")
