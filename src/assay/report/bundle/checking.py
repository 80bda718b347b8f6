"""Checking: a bundle that somebody else made, judged by this Assay's own judge.py.

Nothing in it is run.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from assay.core import foreign
from assay.core.errors import DataError
from assay.report.bundle import judge
from assay.report.bundle.files import SUMS

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
    try:
        for array in folder.rglob("*.npz"):
            with zipfile.ZipFile(array) as archive:
                _bounded(archive, array)
        claims_json, stated = (
            foreign.json_object(folder / name) for name in ("claims.json", "verdicts.json")
        )
        index = foreign.json_object(folder / "measures" / "index.json")
        files = [c["file"] for c in claims_json["claims"] if c["carried"] and not c["condition"]]
        files += [arm["file"] for arm in index.values()] * any(
            c["condition"] for c in claims_json["claims"]
        )
        if outside := next(
            (f for f in files if not (folder / f).resolve().is_relative_to(folder.resolve())), None
        ):
            raise DataError(
                f"{path} reads {outside[:80]!r}, which lies outside; expected {EXPECTED}"
            )
        claims = tuple(
            _claims(claims_json["claims"], stated["verdicts"], judge.compare_all(folder))
        )
        exact = tuple(
            Rejudged(e["text"], True, "", ("it is not as stated",) * bool(_quiet(e)))
            for e in stated["exact"]
        )
        listed = [
            line.partition("  ")[2] for line in (folder / SUMS).read_text("utf-8").splitlines()
        ]
        present_files = {
            p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
        } - {SUMS}
        changed = tuple(sorted({*judge.changed_files(folder), *(present_files - set(listed))}))
        judge_sha256 = (
            sha256((folder / "judge.py").read_bytes()).hexdigest()
            if (folder / "judge.py").is_file()
            else ""
        )
    except DataError:
        raise
    except Exception as e:  # a file that was changed may say anything
        raise DataError(
            f"{path} cannot be read ({type(e).__name__}: {str(e)[:120]}); expected {EXPECTED}"
        ) from e
    which: Literal["released", "earlier", "unknown", "missing"] = (
        "missing"
        if not judge_sha256
        else "released"
        if judge_sha256 == released()
        else "earlier"
        if judge_sha256 in EARLIER
        else "unknown"
    )
    same = (
        not changed
        and which in ("released", "earlier")
        and not any(rejudged.differs for rejudged in (*claims, *exact))
    )
    return CheckedBundle(
        path,
        same,
        claims,
        exact,
        len(listed),
        changed,
        which,
        judge_sha256,
        released(),
        tuple(dict.fromkeys(files)),
    )


def _claims(
    claims: Sequence[Mapping[str, Any]],
    verdicts: Sequence[Mapping[str, Any]],
    off: Sequence[Sequence[str]],
) -> Iterator[Rejudged]:
    """Each claim, with what differs: its verdict as judged, what is stated to be asked, and a
    verdict for which there is no claim.
    """
    stated = {v["text"]: v for v in verdicts}
    for claim, differs in zip(claims, off, strict=True):
        v, expected = stated.get(claim["text"], {}), dict(claim)
        if claim["condition"]:
            _, low, high, _ = judge.condition(claim["condition"])
            expected["range"] = expected["fail_range"] = [
                None if abs(x) == float("inf") else x for x in (low, high)
            ]
        other = [
            k
            for k in ("range", "fail_range", "bounds", "units", "unit", "threshold_from", "source")
            if v.get(k) != expected.get(k)
        ]
        more = (
            [f"{k} is {expected.get(k)}, stated is {v.get(k)}" for k in other]
            if v
            else ["no verdict is stated"]
        )
        yield Rejudged(
            claim["text"], bool(claim["carried"]), claim.get("why_not", ""), (*differs, *more)
        )
    for text in stated.keys() - {claim["text"] for claim in claims}:
        yield Rejudged(text, False, "", ("a verdict is stated, and claims.json has no such claim",))


def _quiet(theorem: Mapping[str, Any]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return judge.other_statements([theorem])


def _bounded(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive of more files or bytes than a bundle has. Raises: DataError."""
    infos = archive.infolist()
    foreign.within(len(infos), FILES, path, "files")
    foreign.within(sum(info.file_size for info in infos), BYTES, path, "bytes, unpacked")
