"""Runs of a depot: each one object, a zip of the run's folder, whose name says which run it is and
what is in it.

The name is `<key>.<measured>.<like>.<id>.zip`. `id` is the hash of status.json, which has the
hashes of all other files; `like` is that of what may make a run of this key useless: what it read,
and the text that made it. So a machine knows from names alone what it lacks.

Of a run that two machines made the first object stands: the other machine fetches it before it
sends its own. Where both were sent, since a list came late, the one stands that a result names,
else the earlier. No machine gives up a run that a result of its own names.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from assay.core.inputs import NOTE
from assay.core.spec import canonical_json
from assay.lab.away.depot import notes
from assay.lab.away.depot.bucket import Bucket
from assay.lab.store.origin import digests_by_name
from assay.lab.store.sealed import evidence
from assay.lab.store.store import PARAMS, Store, Stored

FILES = (
    "spec.json",
    "inputs.json",
    NOTE,
    "provenance.json",
    "measures.safetensors",
    PARAMS,
    "status.json",
)
"""What the folder of a run may hold."""
NAME = re.compile(
    r"runs/([a-z0-9][a-z0-9-]*)/([0-9a-f]{64})\.(\d+)\.([0-9a-f]{12})\.([0-9a-f]{16})\.zip"
)
BATCH = 64
"""So many are fetched before they are written together."""


@dataclass(frozen=True, order=True)
class Parcel:
    """One run as it lies in a depot; the first in order is taken where a machine has none."""

    newest: int
    """How it was measured, negative: the latest meaning of measuring first."""
    like: str
    id: str
    key: str
    experiment: str

    @property
    def name(self) -> str:
        """The object's name."""
        return f"runs/{self.experiment}/{self.key}.{-self.newest}.{self.like}.{self.id}.zip"

    @property
    def same(self) -> tuple[str, int, str]:
        """What objects of one run share, whichever machine made them."""
        return self.key, self.newest, self.like


def parcel(stored: Stored) -> Parcel:
    """The name under which a run of a store lies in a depot."""
    read = {"read": sorted(digests_by_name([stored]).items())} if stored.read else {}
    like = canonical_json(
        {"inputs": dict(stored.inputs), "texts": stored.provenance.get("texts"), **read}
    )
    return Parcel(
        -stored.measured, _hash(like.encode())[:12], stored.id, stored.key, stored.experiment
    )


def list_runs(bucket: Bucket, experiment: str) -> dict[Parcel, int]:
    """Every run of an experiment that the depot lists, with its bytes."""
    sizes = bucket.names(f"runs/{experiment}")
    return {
        remote_run: size
        for name, size in sizes.items()
        if (remote_run := _parcel(name)) is not None
    }


def count(bucket: Bucket) -> dict[str, int]:
    """How many runs of each experiment the depot lists; several of one key count once."""
    keys_by_experiment: dict[str, set[str]] = {}
    for remote_run in map(_parcel, bucket.names("runs")):
        if remote_run is not None:
            keys_by_experiment.setdefault(remote_run.experiment, set()).add(remote_run.key)
    return {name: len(keys) for name, keys in keys_by_experiment.items()}


def fetch(bucket: Bucket, store: Store, experiment: str, listed: Collection[Parcel]) -> int:
    """Fetch what the store lacks, and another machine's object of a run where that one stands."""
    by_key: dict[str, list[Parcel]] = {}
    for remote_run in listed:
        by_key.setdefault(remote_run.key, []).append(remote_run)
    local_runs, judged = store.get_all(by_key, experiment), _named_here(store, experiment)
    standing = _Standing(bucket, experiment)
    requests: list[Sequence[Parcel]] = []
    for key, candidates in by_key.items():
        if key not in local_runs:
            requests.append(standing.ordered(candidates))
            continue
        local_run = parcel(local_runs[key])
        same = [p for p in candidates if p.same == local_run.same and local_run.id not in judged]
        if same and (first := standing.ordered(same)[0]) != local_run:
            requests.append([first])
    standing.tell()
    return _take(bucket, store, requests)


def fitting(
    bucket: Bucket,
    store: Store,
    experiment: str,
    keys: Collection[str],
    fits: Callable[[Stored], bool],
) -> int:
    """Fetch, of these runs, what fits in place of what the store has; gives for how many there was
    something."""
    listed = [remote_run for remote_run in list_runs(bucket, experiment) if remote_run.key in keys]
    standing = _Standing(bucket, experiment)
    local_ids = {key: stored.id for key, stored in store.get_all(keys, experiment).items()}
    total = 0
    for key in keys:
        for remote_run in standing.ordered(
            [p for p in listed if p.key == key and p.id != local_ids.get(key)]
        ):
            if (
                _take(bucket, store, [[remote_run]])
                and (stored := store.get(key, experiment)) is not None
                and fits(stored)
            ):
                total += 1
                break
    return total


class _Standing:
    """Which of several objects of one run stands."""

    def __init__(self, bucket: Bucket, experiment: str):
        self._bucket, self._experiment = bucket, experiment
        self._twice: set[str] = set()

    def ordered(self, candidates: Sequence[Parcel]) -> Sequence[Parcel]:
        """Sort objects of one key: measured latest, then named by a result, then written
        earlier."""
        # Nothing was made twice, so nobody has to ask what results name.
        if len({remote_run.same for remote_run in candidates}) == len(candidates):
            return sorted(candidates)
        self._twice.add(candidates[0].key)
        rank = {
            remote_run: (
                self._named.get(remote_run.id, math.inf),
                self._bucket.modified(remote_run.name),
            )
            for remote_run in candidates
        }
        return sorted(
            candidates,
            key=lambda remote_run: (
                remote_run.newest,
                remote_run.like,
                rank[remote_run],
                remote_run.id,
            ),
        )

    def tell(self) -> None:
        """Say for how many runs there were several objects."""
        if self._twice:
            several = len(self._twice) > 1
            runs = f"{len(self._twice)} runs" if several else f"run {min(self._twice)[:8]}"
            print(
                f"two machines stored {runs} of {self._experiment}; "
                "what a result names stands, else the earlier",
                file=sys.stderr,
            )

    @cached_property
    def _named(self) -> dict[str, int]:
        """The runs that results in the depot name, by the number of the first result that does."""
        listed = notes.list_notes(self._bucket, self._experiment)
        results = sorted(
            n for path, path_notes in listed.items() if path.endswith(".json") for n in path_notes
        )
        numbers: dict[str, int] = {}
        for note in results:
            for run in evidence(self._bucket.read(note.name) or b"").values():
                numbers.setdefault(run, note.number)
        return numbers


def _named_here(store: Store, experiment: str) -> set[str]:
    """The runs that results of a store name."""
    results = (store.root / "results" / experiment).glob("*.json")
    return {run for path in results for run in evidence(path.read_bytes()).values()}


def send(bucket: Bucket, runs: Iterable[Stored], listed: Mapping[Parcel, int] | None = None) -> int:
    """Send these runs, those left out that the depot lists whole; gives how many were sent."""
    listed = listed or {}

    def send_run(stored: Stored) -> bool:
        to = parcel(stored)
        if listed.get(to) == length(stored):
            return False
        bucket.write(
            to.name,
            packed(
                {
                    name: (stored.folder / name).read_bytes()
                    for name in (*stored.files, "status.json")
                }
            ),
        )
        return True

    return sum(bucket.each(send_run, runs))


def packed(files: Mapping[str, bytes]) -> bytes:
    """The zip of these files: the same bytes whoever makes it, and whenever."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as archive:
        for name in FILES:
            if name in files:
                # A bare ZipInfo has the date of 1980, and not that of now: equal runs make equal
                # bytes.
                archive.writestr(zipfile.ZipInfo(name), files[name])
    return into.getvalue()


def length(stored: Stored) -> int:
    """The bytes of a run's zip, by those of its files: 76 and twice its name for each, 22 for the
    end."""
    sizes = {
        **{name: n for name, (n, _) in stored.files.items()},
        "status.json": (stored.folder / "status.json").stat().st_size,
    }
    # 30 before each file and 46 in the directory at the end, its name in both: so an object that
    # was cut off is told by its length, and nothing has to be read.
    return 22 + sum(size + 76 + 2 * len(name) for name, size in sizes.items())


def unpacked(data: bytes, expected: Parcel) -> dict[str, bytes] | None:
    """The files of a run; None where anything is not as the object's name and status.json say, as
    in one that was cut off."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = archive.infolist()
            # Stored, not compressed: a small object cannot unpack to a large one.
            sound = all(
                i.compress_type == zipfile.ZIP_STORED
                and i.filename in FILES
                and i.file_size <= len(data)
                for i in inside
            )
            if not sound or len({i.filename for i in inside}) < len(inside):
                return None
            files = {i.filename: archive.read(i) for i in inside}
        listed = json.loads(files["status.json"])["files"]
        head = json.loads(files["spec.json"])
        whole = set(listed) | {"status.json"} == set(files) and all(
            _hash(files[name]) == digest for name, (_, digest) in listed.items()
        )
        matches = (head["key"], head["experiment"]) == (
            expected.key,
            expected.experiment,
        ) and isinstance(head["arm"], str)
        return (
            files if whole and matches and _hash(files["status.json"])[:16] == expected.id else None
        )
    except Exception:  # of what somebody else's bytes may raise in zipfile there is no list
        return None


def _take(bucket: Bucket, store: Store, requests: Sequence[Sequence[Parcel]]) -> int:
    """Fetch the first whole one of each of these."""

    def first(ways: Sequence[Parcel]) -> dict[str, bytes] | None:
        for remote_run in ways:
            data = bucket.read(remote_run.name)
            if data is not None and (files := unpacked(data, remote_run)) is not None:
                return files
        return None

    total = 0
    for start in range(0, len(requests), BATCH):
        contents = [
            files
            for files in bucket.each(first, requests[start : start + BATCH])
            if files is not None
        ]
        total += len(contents)
        store.take(contents)
    return total


def _parcel(name: str) -> Parcel | None:
    match = NAME.fullmatch(name)
    return Parcel(-int(match[3]), match[4], match[5], match[2], match[1]) if match else None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
