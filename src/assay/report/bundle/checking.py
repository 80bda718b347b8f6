"""Checking: a bundle from elsewhere, judged by this Assay's own judge.py.

Nothing in it is run.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from assay.ask.wording import condition
from assay.core import foreign
from assay.core.errors import AssayError, DataError
from assay.report.bundle import judge, standing
from assay.report.bundle.contents import reading
from assay.report.bundle.files import CONTESTS, SUMS
from assay.report.bundle.standing import Standing

EARLIER = frozenset(
    (
        "6f3d7f7c6feda77569ed5f82c5e1f387ec65b76a49d1b34bf09d112498844e58",
        "a47177d6c0473f0088571d277ecbe004f8aa0c7e661ce39f40dba99c5c878186",
        "6190b346e227a0b62d9894d49385b89425372a78bdd041a2150e0df6d7cf6ea5",
        "a1f768b32e7b98ff458f5c9d0202248bba189ba3e92f1c6e65282be1f9884b7d",
        "15c64543273c3be095f44eaf40f353b344bcbbf1352461ee3a17763fd0c2bec1",
        "52240eeb9ad52a8c034d9d7c5273ce25027ba5b0e79118668a38aa548a2e89be",
        "f889734723f0852362dc0291f040e42516a73798da45fce4ebdfabba41899c37",
        "2fa148a6637ed4d426ed6569354e84419b8a59979c3f12cca05ade4baa00ca59",
        "b7e2f16397bb3907a27539da6af82849387c2dcb943e441bcbb46e3bc5a7d85b",
        "01430d88b739cd18f5f8a2b9e585815d70a8e015d798ca1a224097cb2ce1bbcf",
        "6abe9ec95bdda300d546f164d836101f6cacfb7fd8cf3d48f36f69adf473f78d",
        "23f6822399c873996a9b7078ae4a80c94ecf1a42bfeaa38097ae087e2dd44de0",
        "a47177d6c0473f0088571d277ecbe004f8aa0c7e661ce39f40dba99c5c878186",
    )
)
"""SHA-256 of the judge.py that earlier versions wrote into bundles."""
EXPECTED = "expected a bundle, as `assay export --format bundle` writes one"
FILES, BYTES = 10_000, 2**30
"""How many files of a bundle are unpacked, and how many bytes."""
Kind = Literal["released", "earlier", "unknown", "missing"]
COMPARED = ("range", "fail_range", "bounds", "units", "unit", "threshold_from", "source")
"""What claims.json and a verdict say alike."""


@dataclass(frozen=True)
class Rejudged:
    """A statement of a bundle, what it came to, and every way in which that is not as stated."""

    text: str
    judged: bool
    why_not: str
    differs: tuple[str, ...]
    outcome: str = ""
    number: str = ""
    """Estimate and interval."""


@dataclass(frozen=True)
class CheckedBundle:
    """What came of a bundle under this Assay's own code."""

    bundle: Path
    same: bool
    """Whether nothing differs: every claim was judged, claims, theorems and the standing come out
    as stated, every file is as listed, and its judge.py is a released one.
    """
    claims: tuple[Rejudged, ...]
    exact: tuple[Rejudged, ...]
    """Theorems, for which only the last comparison is made."""
    files: int
    """How many files SHA256SUMS lists."""
    changed: tuple[str, ...]
    """Files that are not as it says, or that it does not list."""
    judge: Kind
    """What the judge.py in it is: the one of this version, of an earlier one, or nothing that this
    version knows.
    """
    judge_sha256: str
    standing: Standing
    contests: tuple[str, ...]
    """What came of challenges to the record of its claims, as the bundle states it."""


def released() -> str:
    """Compute the SHA-256 of judge.py as this version writes it into bundles."""
    return sha256(Path(judge.__file__).read_bytes()).hexdigest()


def unpack(path: Path, into: Path) -> Path:
    """Unpack a bundle, and give its folder.

    Raises: DataError for what is no bundle, leads outside, or is too large.
    """
    foreign.regular(path, "a bundle", BYTES)
    with _readable(path), zipfile.ZipFile(path) as archive:
        _bounded(archive, path)
        for name in archive.namelist():
            _inside(path, into, name)
        archive.extractall(into)  # links in it become files
    folders = [p for p in (into, *into.iterdir()) if (p / SUMS).is_file()]
    if len(folders) != 1:
        raise DataError(f"{path} has no {SUMS} at its top or in its folder; {EXPECTED}")
    return folders[0]


def is_bundle(name: str) -> bool:
    """Whether this names a bundle: a zip, or the folder of one that was unpacked."""
    return name.endswith(".zip") or (Path(name) / "SHA256SUMS").is_file()


def check_bundle(path: Path, trusted: Path | None = None) -> CheckedBundle:
    """Judge a bundle again by this Assay's own code, whatever code is in it, and compare;
    `trusted` has the certificates of authorities whose time stamps are believed.

    Raises: DataError where it cannot be read.
    """
    if path.is_dir():
        return check(path, path, trusted)
    with TemporaryDirectory() as folder:
        return check(path, unpack(path, Path(folder)), trusted)


def check(path: Path, folder: Path, trusted: Path | None = None) -> CheckedBundle:
    """Judge every claim of the bundle in a folder again, derive its standing, and compare with what
    it states; `trusted` has the certificates of authorities whose time stamps are believed.

    Raises: DataError where it cannot be read.
    """

    def read(name: str) -> bytes:
        return _inside(path, folder, name).read_bytes()

    with _readable(path):
        _require_plain(folder)
        claims = tuple(_claims(path, read))
        exact = tuple(
            Rejudged(text, True, "", ("it is not as stated",) * (outcome != stated))
            for text, outcome, stated in judge.theorems(read)
        )
        listed = {line.partition("  ")[2] for line in read(SUMS).decode().splitlines()}
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        changed = {*judge.changed_files(read), *(present - listed - {SUMS})}
        digest = sha256(read("judge.py")).hexdigest() if "judge.py" in present else ""
        derived = standing.derive(folder, trusted)
        stated = json.loads(read(CONTESTS))["contests"] if CONTESTS in present else ()
    kind, every = _kind(digest), (*claims, *exact)
    sound = not changed and kind in ("released", "earlier") and derived.follows
    return CheckedBundle(
        bundle=path,
        same=sound and all(s.judged and not s.differs for s in every),
        claims=claims,
        exact=exact,
        files=len(listed),
        changed=tuple(sorted(changed)),
        judge=kind,
        judge_sha256=digest,
        standing=derived,
        contests=tuple(str(line) for line in stated),
    )


def _require_plain(folder: Path) -> None:
    """Refuse arrays that are too large unpacked, and files that are not objects in JSON. Raises:
    DataError."""
    for array in folder.rglob("*.npz"):
        with zipfile.ZipFile(array) as archive:
            _bounded(archive, array)
    names = ["claims.json", "verdicts.json", "measures/index.json", "environment.json"]
    for name in (*names, *([CONTESTS] if (folder / CONTESTS).exists() else [])):
        foreign.json_object(folder / name)


def _kind(digest: str) -> Kind:
    """Say what the judge.py with this hash is; "" is the hash of none."""
    kinds: dict[str, Kind] = {**dict.fromkeys(EARLIER, "earlier"), released(): "released"}
    return kinds.get(digest, "unknown") if digest else "missing"


def _claims(path: Path, read: Callable[[str], bytes]) -> Iterator[Rejudged]:
    """Each claim, with what differs: its verdict as judged, what is stated to be asked, steps that
    are not those of its condition, and a verdict for which there is no claim. Raises: DataError for
    a study's bundle of an earlier version."""
    verdicts = json.loads(read("verdicts.json"))["verdicts"]
    stated = {v["text"]: v for v in verdicts}
    index = json.loads(read("measures/index.json"))
    times = Counter(v["text"] for v in verdicts)
    for text in (text for text, n in times.items() if n > 1):
        yield Rejudged(text, False, "", ("several verdicts are stated",))
    for claim, verdict, differs in judge.judge_all(read):
        if claim["carried"] and not claim["arms"]:
            raise DataError(f"{path} is of an earlier version: judge it with its own judge.py")
        v = stated.pop(claim["text"], None)
        more = [] if v else ["no verdict is stated"]
        for k in (k for k in COMPARED if v and v.get(k) != claim.get(k)):
            more.append(f"{k} is {claim.get(k)}, stated is {v.get(k)}")
        more += _left_out(claim, index)
        if "terms" in claim and not _is_worded(claim, index):
            more.append(f"its steps are not those of its condition, {claim['condition']}")
        why_not, carried = claim.get("why_not", ""), bool(claim["carried"])
        came = judge.line(verdict, claim["unit"]).rpartition(": ") if verdict else ("", "", "")
        yield Rejudged(claim["text"], carried, why_not, (*differs, *more), came[0], came[2])
    for text in stated:
        yield Rejudged(text, False, "", ("a verdict is stated, and claims.json has no such claim",))


def _left_out(claim: Mapping[str, Any], index: Mapping[str, Any]) -> Iterator[str]:
    """Say which arms are judged on fewer units than were measured, without those that diverged."""
    for name, table in claim["arms"].items():
        arm = index.get(name, {"levels": {}, "runs": {}})
        for unit, levels in table["unit_levels"].items():
            n = len({*(arm["levels"].get(unit) or arm["runs"].get(unit) or levels)})
            lost = table["dropped"] if unit == table["run_unit"] else 0
            if n != len(levels) + lost:
                yield f"{name}: judged on {len(levels)} of {n} levels of {unit} that were measured"


def _is_worded(claim: Mapping[str, Any], index: Mapping[str, Any]) -> bool:
    """Whether a claim in words asks what its condition says."""
    parsed = condition(claim["condition"]).parsed
    ends = [x if math.isfinite(x) else None for x in (parsed.low, parsed.high)]
    expected = reading(claim["condition"], claim["of"], index) | {"range": ends, "fail_range": ends}
    return all(claim[k] == v for k, v in json.loads(json.dumps(expected)).items())


def _inside(path: Path, folder: Path, name: str) -> Path:
    """The place of a file of a bundle. Raises: DataError for one that is outside."""
    file = folder / name
    if "\\" in name or not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} names {name[:80]!r}, which leads outside; {EXPECTED}")
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one line that a bundle cannot be read: a file that was changed may raise anything."""
    try:
        yield
    except AssayError:
        raise
    except Exception as e:
        why = f"{type(e).__name__}: {str(e)[:120]}"
        raise DataError(f"{path} cannot be read ({why}); {EXPECTED}") from e


def _bounded(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive of more files or bytes than a bundle has. Raises: DataError."""
    infos = archive.infolist()
    foreign.within(len(infos), FILES, path, "files")
    foreign.within(sum(info.file_size for info in infos), BYTES, path, "bytes, unpacked")
