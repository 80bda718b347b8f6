"""Store: runs as content-addressed folders that anyone can read, for any number of processes.

    store.json                               {"format": 1, "hashes": true}
    runs/<experiment>/<8hex>-<arm>-s<seed>/  spec.json inputs.json provenance.json
                                             measures.safetensors [read.json] [params.safetensors],
                                             and status.json: status, sizes and hashes of these
    groups/<16hex>/                          an unfinished group (groups.py)
    artefacts/<kind>/<16hex>[.partial]/      harvests, indexes, with hashes.json; may be deleted
    owners/<experiment>.json                 whose the runs under this name are (origin.py)
    results/<experiment>/                    verdicts (derived); looks.jsonl, frozen.jsonl
    registered/<experiment>/                 what was frozen, and the looks that were taken
    ledger.jsonl                             what was frozen, judged and removed (ledger.py)
    jobs/<32hex>/                            what somebody submitted (jobs/folder.py)
    locks/                                   a file for each group and artefact, which whoever works
                                             on it has locked; never unlinked, or a lock has two
                                             owners
    slurm/<time>-<4hex>/                     what submitit writes for jobs that have not ended well
    tmp/                                     folders being written

There is no lock on the store: folders appear by one rename, and each group and artefact has a file
lock of its own, which the kernel releases when its owner dies. Reading never writes, so a read-only
store can be read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from filelock import FileLock, SoftFileLock, Timeout

from assay.core import foreign, inputs, integrity
from assay.core.errors import Operator, StoreError
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import from_tensors, to_tensors
from assay.core.spec import Spec, canonical_json, key
from assay.lab.store.atomic import explained, sync, write, write_folders
from assay.lab.store.sealed import SEAL
from assay.lab.store.tensors import dump_trained, load_trained, pack, unpack

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
Paths = list[Path]
Status = Literal["absent", "running", "done", "failed", "diverged"]
PARAMS, STATUS = "params.safetensors", "status.json"
AGAIN = 0.1
"""Seconds until an artefact that another process builds is looked for again."""
AT_ONCE = 2**26
"""Bytes of runs that are held in memory as files before they are written."""


class Job(msgspec.Struct, frozen=True, dict=True):
    """What one folder answers: a spec of one arm of one version of an experiment."""

    experiment: str
    version: int
    arm: str
    spec: Spec

    @cached_property
    def key(self) -> str:
        """64 hex digits that name this run."""
        return key(self.experiment, self.version, self.arm, self.spec)


@dataclass(frozen=True)
class Damaged:
    """A folder that cannot be trusted, and why; it counts as missing and is never reused."""

    folder: Path
    reason: str


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One finished run as it lies on the disk: a struct, since a plan makes a hundred thousand."""

    place: str
    """The path of its folder."""
    key: str
    experiment: str
    version: int
    arm: str
    spec_json: str
    status: Literal["done", "diverged"]
    measured: int
    inputs: Mapping[str, str]
    provenance: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]
    id: str
    """16 hex digits of status.json, which has the hashes of all other files."""
    read: Mapping[str, str] = {}
    """The hash of each file that was read through Assay, by where it lies (`core.inputs`)."""
    unchecked: tuple[str, ...] = ()
    """Where files lie that were read past Assay."""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return Path(self.place)

    @property
    def has_params(self) -> bool:
        """True when the trained tensors are stored beside the measures."""
        return PARAMS in self.files

    def tensors(self) -> tuple[Mapping[str, np.ndarray], str]:
        """The measures of this run as they are stored: arrays, and what these are."""
        name = "measures.safetensors"
        return unpack(foreign.read_stored(f"{self.place}/{name}", self.files[name][0]))

    def measures(self) -> xr.Dataset:
        """The measures of this run, without the dim `run`."""
        return from_tensors(*self.tensors())

    def trained(self) -> Trained:
        """The trained tensors of this run, one row. Raises: StoreError when they are absent or
        damaged."""
        if not self.has_params:
            raise StoreError(f"{self.folder} holds no parameters; delete it and run again")
        return load_trained(_verified(self.folder, PARAMS, self.files))


@dataclass(frozen=True)
class Made:
    """One run that is to be stored: `measures` and `trained` hold it alone."""

    job: Job
    measures: xr.Dataset
    trained: Trained | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["done", "diverged"] = "done"
    read: bytes = b""
    """What `inputs.packed` says of the files that were read; nothing where none was."""

    def files(self, measured: int) -> dict[str, bytes]:
        """What its folder holds, by name; `status.json`, which says what belongs to the others,
        comes last."""
        files = {
            "spec.json": _spec(self.job),
            "inputs.json": canonical_json(dict(self.inputs)).encode(),
            "provenance.json": canonical_json(dict(self.provenance)).encode(),
            "measures.safetensors": pack(*to_tensors(self.measures)),
        }
        if self.read:
            files[inputs.NOTE] = self.read
        if self.trained is not None:
            files[PARAMS] = dump_trained(self.trained)
        return _with_status(files, self.status, measured)


def folder_end(arm: str, seed: int) -> str:
    """What the name of a run's folder says after its key."""
    return f"{re.sub(r'[^a-z0-9-]+', '-', arm.lower())}-s{seed}"


def renamed(run: Stored, job: Job) -> dict[str, bytes]:
    """The files of a run as those of another experiment's job of the same spec: only the name and
    the key differ. Raises: StoreError where one is not as it was stored."""
    files = {name: _verified(run.folder, name, run.files) for name in run.files}
    files["provenance.json"] = canonical_json({**run.provenance, "of": run.experiment}).encode()
    return _with_status({**files, "spec.json": _spec(job)}, run.status, run.measured)


def _spec(job: Job) -> bytes:
    head = {"key": job.key, "experiment": job.experiment, "version": job.version, "arm": job.arm}
    return canonical_json({**head, "spec": json.loads(job.spec.to_json())}).encode()


def _with_status(files: dict[str, bytes], status: str, measured: int) -> dict[str, bytes]:
    """These files and status.json, which comes last, with the hashes of the others: what it does
    not name does not belong to the run."""
    listed = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in files.items()}
    return {**files, STATUS: _sealed({"status": status, "measured": measured, "files": listed})}


class Store:
    """A folder of runs. Nothing is written before the first thing is stored.

    Raises: StoreError when `root` is newer than this version, is no store, or is not a folder.
    """

    def __init__(self, root: Path | str):
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(root)):
            raise StoreError(
                f"a store is a folder, got the URL {root}",
                Operator("; name a folder that all machines share, or use --on ray"),
            )
        self.root = Path(root)
        self._hashed = self.older = False
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise StoreError(
                f"a store is a folder, got the file {self.root}",
                Operator("; name another one with --root"),
            )
        header = self.root / "store.json"
        if not header.exists():
            strange = sorted(
                p.name for p in self.root.iterdir() if not p.name.startswith((".store.json", "tmp"))
            )
            if not strange:
                return
            # Another process may just have made the store: its header comes first.
            if not header.exists():
                raise StoreError(
                    f"{self.root} has no store.json but holds {strange[0]}",
                    Operator("; name an empty or new folder with --root"),
                )
        try:
            content = json.loads(foreign.read_stored(header))
            number = content["format"]
            assert isinstance(number, int)
            self._hashed = content.get("hashes") is True
            self.older = not self._hashed and number <= FORMAT
        except OSError as e:
            raise StoreError(
                f"{header} cannot be read ({e.strerror})",
                Operator("; `assay doctor --clean` writes it again"),
            ) from e
        except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
            raise StoreError(
                f"{header} is damaged", Operator("; `assay doctor --clean` writes it again")
            ) from None
        if number > FORMAT:
            raise StoreError(
                f"the store {self.root} has format {number}, this version reads up to {FORMAT}",
                Operator("; upgrade Assay or name another --root"),
            )

    def prepare(self) -> Store:
        """This store, with its header written; the first thing that writing commands call.

        Raises: StoreError for a store of an older version, which is migrated by a command of its
        own, and for a disk that cannot be written."""
        if self.older:
            raise StoreError(
                f"the store {self.root} is of an older version of Assay, and is only read as it is",
                Operator(
                    f"; `assay doctor --migrate --root {self.root}` brings it up to date, then run "
                    "the same command again"
                ),
            )
        if not self._hashed or not (self.root / "store.json").exists():
            self.modernise()
        return self

    def modernise(self) -> None:
        """Write the header of a store whose files are as this version writes them."""
        with explained(self.root):
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
            _write_header(self.root)
        self._hashed, self.older = True, False

    # -- runs --------------------------------------------------------------------------------------

    def find(self, key: str, experiment: str | None = None) -> Stored | Damaged | None:
        """The run with this 64-hex key: stored whole, damaged, or None."""
        damaged = None
        for folder in self._folders(experiment, key):
            run = _open(folder)
            if isinstance(run, Stored) and run.key == key:
                return run
            if isinstance(run, Damaged):
                damaged = run
        return damaged

    def get(self, key: str, experiment: str | None = None) -> Stored | None:
        """The run with this key if it is stored whole, else None."""
        run = self.find(key, experiment)
        return run if isinstance(run, Stored) else None

    def get_all(self, keys: Collection[str], experiment: str) -> dict[str, Stored]:
        """Those runs with these keys that are stored whole, by key; the folder of a thousand runs
        is listed once."""
        base, by_prefix = self.root / "runs" / experiment, dict[str, list[str]]()
        for name in _names(base):
            by_prefix.setdefault(name[:8], []).append(name)
        folders = (
            base / name
            for key in keys
            for name in by_prefix.get(key[:8], ())
            if key.startswith(name.split("-", 1)[0])
        )
        runs = (_open(folder) for folder in folders)
        return {run.key: run for run in runs if isinstance(run, Stored) and run.key in keys}

    def get_each(self, places: Mapping[str, tuple[str, int]], experiment: str) -> dict[str, Stored]:
        """Those runs that are stored whole, by key, given the arm and seed of each: nothing is
        listed, so a group costs the same however many runs there are."""
        runs = dict[str, Stored]()
        for run_key, (arm, seed) in places.items():
            for folder in self._candidates(experiment, run_key, arm, seed):
                if not folder.exists():
                    break
                run = _open(folder)
                if isinstance(run, Stored) and run.key == run_key:
                    runs[run_key] = run
                    break
        return runs

    def every(self, experiment: str | None = None) -> Iterator[Stored | Damaged]:
        """Every folder of a run, whole or not, by experiment and folder name."""
        return map(_open, self._folders(experiment))

    def list(self, experiment: str | None = None) -> Iterator[Stored]:
        """Every whole run, by experiment and folder name."""
        return (s for s in self.every(experiment) if isinstance(s, Stored))

    def damaged(self, experiment: str | None = None) -> Iterator[Damaged]:
        """Every folder that is not whole, and why."""
        return (s for s in self.every(experiment) if isinstance(s, Damaged))

    def put(
        self,
        job: Job,
        measures: xr.Dataset,
        trained: Trained | None = None,
        inputs: Mapping[str, str] | None = None,
        provenance: Mapping[str, Any] | None = None,
        *,
        measured: int = 1,
        status: Literal["done", "diverged"] = "done",
    ) -> Stored:
        """The run as stored, by one rename; `measures` and `trained` hold this run alone.

        Raises: StoreError when the disk is full or read-only; nothing half written is left.
        """
        run = Made(job, measures, trained, inputs or {}, provenance or {}, status)
        stored = _open(self.put_all([run], measured=measured)[0])
        assert isinstance(stored, Stored), stored
        return stored

    def put_all(self, runs: Sequence[Made], *, measured: int = 1) -> Sequence[Path]:
        """Store many runs, each by one rename; gives their folders. The disk is waited for once for
        as many as hold AT_ONCE bytes.

        Raises: StoreError when the disk is full or read-only; nothing half written is left.
        """
        self.prepare()
        written: list[Path] = []
        folders, taken = dict[Path, dict[str, bytes]](), set[Path]()
        held = 0
        for i, run in enumerate(runs):
            files = run.files(measured)
            job = run.job
            folder = self._free_folder(job.experiment, job.key, job.arm, job.spec.seed, taken)
            taken.add(folder)
            folders[folder] = files
            held += sum(map(len, files.values()))
            if held >= AT_ONCE or i == len(runs) - 1:
                with explained(self.root):
                    write_folders(folders, self.root / "tmp")
                written += folders
                folders, held = {}, 0
        return written

    def take(self, runs: Sequence[Mapping[str, bytes]]) -> None:
        """Store runs as another store has them, file for file, each by one rename; one of the same
        key is replaced. Raises: StoreError."""
        self.prepare()
        folders = dict[Path, Mapping[str, bytes]]()
        for files in runs:
            head = json.loads(files["spec.json"])
            name, seed = head["experiment"], int(head["spec"].get("seed", 0))
            folders[self._free_folder(name, head["key"], head["arm"], seed, folders)] = files
        if folders:
            with explained(self.root):
                write_folders(folders, self.root / "tmp")

    def names(self, experiment: str) -> Sequence[str]:
        """The names of the folders of an experiment's runs, sorted."""
        return sorted(_names(self.root / "runs" / experiment))

    def at(self, folder: Path) -> Stored | Damaged:
        """The run in this folder, of this store or any other."""
        return _open(folder)

    def _folders(self, experiment: str | None, key: str | None = None) -> Iterator[Path]:
        """The folders of runs, in order; with a key only those whose names begin as it does."""
        base = self.root / "runs"
        for name in [experiment] if experiment is not None else sorted(_names(base)):
            folder_names = _names(base / name)
            if key is not None:  # names before paths: thousands of runs are looked up one by one
                folder_names = [f for f in folder_names if key.startswith(f.split("-", 1)[0])]
            yield from (base / name / folder for folder in sorted(folder_names))

    def _free_folder(
        self, experiment: str, key: str, arm: str, seed: int, taken: Collection[Path]
    ) -> Path:
        """Where the run belongs: its own folder, damaged or outdated, else a prefix that no other
        run has, nor is to have by the same call."""
        for folder in self._candidates(experiment, key, arm, seed):
            if folder in taken:
                continue
            if not folder.exists():
                return folder
            run = _open(folder)
            if isinstance(run, Damaged) or run.key == key:
                return folder
        raise AssertionError(key)

    def _candidates(self, experiment: str, key: str, arm: str, seed: int) -> Iterator[Path]:
        """Where a run may lie: the first folder, but where another run has a key that begins like
        its own."""
        base = self.root / "runs" / experiment
        return (base / f"{key[:digits]}-{folder_end(arm, seed)}" for digits in range(8, 65, 8))

    # -- artefacts and locks -----------------------------------------------------------------------

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        """The finished folder of this artefact; `build` fills a `.partial` folder, which survives a
        kill and is continued."""
        return self.artefacts([spec], lambda _, partial: build(partial))[0]

    def artefacts(self, specs: Sequence[Spec], build: Callable[[Any, Path], None]) -> Paths:
        """The finished folders of these artefacts, in order; processes that ask for the same ones
        share the building.

        The first pass builds whatever no other process is building, the second waits for the rest.
        """
        self.prepare()
        paths = [self.artefact_path(s) for s in specs]
        # Without waiting first: processes that ask for the same artefacts spread over them.
        for wait in (False, True):
            for spec, path in zip(specs, paths, strict=True):
                while not path.exists() or self._wrong(spec, path):
                    if self._built(spec, path, build) or not wait:
                        break
                    time.sleep(AGAIN)
        return paths

    def _built(self, spec: Spec, path: Path, build: Callable[[Any, Path], None]) -> bool:
        """Build an artefact, unless another process is building it; True where it exists."""
        with self.locked(f"artefact-{path.parent.name}-{path.name}") as locked:
            if not locked:
                return False
            with explained(self.root):
                # once it is locked: another process may have built it meanwhile
                if path.exists() and (why := self._wrong(spec, path)):
                    self.set_aside(path, why)
                if not path.exists():
                    _build(spec, path, build)
                return True

    def set_aside(self, path: Path, why: str, state: str = "damaged") -> None:
        """Move an artefact that is not as it should be to `tmp`, and say so; it is built again."""
        if not path.is_relative_to(self.root / "artefacts"):
            raise StoreError(
                f"{path} is damaged: {why}; it is no artefact of {self.root}, so it cannot be "
                "built again"
            )
        aside = self.root / "tmp" / f"{state.replace(' ', '-')}-{path.name}-{uuid.uuid4().hex[:12]}"
        try:
            path.rename(aside)
        except FileNotFoundError:  # another process found the same and was first
            return
        print(
            f"{path} is {state}: {why}; it is kept as {aside} for an hour "
            "at least, and built again",
            file=sys.stderr,
        )

    def built(self, spec: Spec) -> Path | None:
        """The finished folder of this artefact, or None where there is none, or none that is as it
        was written; builds nothing."""
        path = self.artefact_path(spec)
        return path if path.exists() and not self._wrong(spec, path) else None

    def broken_artefacts(self) -> Iterator[tuple[Path, str]]:
        """Every artefact that is not as it was written, and why; all its bytes are read."""
        return (
            (p, why)
            for p in self._artefacts()
            if (integrity.noted(p) or self._hashed) and (why := integrity.wrong(p))
        )

    def unnoted(self) -> Paths:
        """The artefacts of an older version: without hashes, or with others than this version
        writes, which they match."""
        return [
            p
            for p in self._artefacts()
            if not integrity.noted(p) or (integrity.earlier(p) and not integrity.wrong(p))
        ]

    def _artefacts(self) -> Paths:
        return sorted(
            p
            for p in (self.root / "artefacts").glob("*/*")
            if p.is_dir() and p.suffix != ".partial"
        )

    def _wrong(self, spec: Spec, path: Path) -> str:
        """What is not as it was written; nothing is known of an older store's, until something is
        written into that store."""
        return integrity.wrong(path, spec.MAPPED) if self._hashed or integrity.noted(path) else ""

    def artefact_path(self, spec: Spec) -> Path:
        """Where this artefact lies, once it is finished."""
        kind = re.sub(
            r"(?<=[a-z0-9])(?=[A-Z])", "-", type(spec).__name__.removesuffix("Spec")
        ).lower()
        return (
            self.root
            / "artefacts"
            / kind
            / hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]
        )

    def lock(self, name: str) -> FileLock:
        """A lock of this name, shared by every process that uses the store; released by the kernel
        at a kill."""
        with explained(self.root):
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / "locks" / f"{name}.lock")

    @contextmanager
    def locked(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold the lock of this name, and yield True; False where another process holds it, unless
        this should wait.

        Raises: StoreError where the folder cannot be written, or is on a disk without file locks:
        nobody would release the lock of a process that was killed.
        """
        lock = self.lock(name)
        with explained(self.root):
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                pass
            except NotImplementedError:
                raise _no_locks(self.root) from None
        try:
            if isinstance(lock, SoftFileLock):
                raise _no_locks(self.root)
            yield lock.is_locked
        finally:
            lock.release()

    # -- space -------------------------------------------------------------------------------------

    def free(self) -> int:
        """Bytes that are free on the disk of the store."""
        existing_path = next(
            p for p in (self.root.absolute(), *self.root.absolute().parents) if p.exists()
        )
        return shutil.disk_usage(existing_path).free

    def size(self, *parts: str) -> int:
        """Bytes that the store, or the folder or file `parts` in it, takes."""
        return size(self.root.joinpath(*parts))

    def clean(self, older: float = 3600.0) -> int:
        """Bytes freed by removing what kills left in `tmp`, older than so many seconds: a running
        command may own newer ones."""
        freed = 0
        for leftover in sorted((self.root / "tmp").glob("*")):
            if time.time() - leftover.stat().st_mtime >= older:
                freed += size(leftover)
                discard(leftover)
        return freed

    def remove(self, path: Path) -> None:
        """Remove this file or folder of the store at once, if it is there: a kill half way leaves
        nothing that looks whole."""
        with explained(self.root):
            self.prepare()
            aside = self.root / "tmp" / f"removed-{uuid.uuid4().hex[:12]}"
            try:
                path.rename(aside)
            except FileNotFoundError:
                if path.exists():
                    raise
                return  # another process was first
            discard(aside)


def mend_header(root: Path) -> bool:
    """Write `store.json` again where it is damaged and a store lies around it; True where that was
    needed. Raises: StoreError."""
    header = root / "store.json"
    try:
        assert isinstance(json.loads(foreign.read_stored(header))["format"], int)
        return False
    except (OSError, ValueError, KeyError, TypeError, AssertionError, RecursionError):
        if not header.exists() or not any(
            (root / part).is_dir() for part in ("runs", "artefacts", "groups", "results", "tmp")
        ):
            return False
    with explained(root):
        discard(header)
        _write_header(root)
    return True


def _write_header(root: Path) -> None:
    write(root / "store.json", canonical_json({"format": FORMAT, "hashes": True}).encode())


def discard(path: Path) -> None:
    """Delete a file or folder that nobody reads any more."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 when it does not exist."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _no_locks(root: Path) -> StoreError:
    return StoreError(
        f"the disk of {root} has no file locks (flock), by which processes share a store",
        Operator("; name a folder on another disk with --root, or mount this one with locks"),
    )


def _build(spec: Spec, path: Path, build: Callable[[Any, Path], None]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    # What a killed process left half done goes on here, also under an older version's name.
    for begun in path.parent.glob(f"{path.name}.*.partial"):
        if not partial.exists():
            begun.rename(partial)
    partial.mkdir(parents=True, exist_ok=True)
    build(spec, partial)
    write(partial / "spec.json", spec.to_json().encode())
    write(partial / integrity.NOTE, integrity.described(partial))
    for file in partial.rglob("*"):
        sync(file)
    partial.rename(path)
    sync(path.parent)
    for leftover in path.parent.glob(f"{path.name}.*.partial"):
        discard(leftover)


def _names(folder: Path) -> list[str]:
    try:
        # — names are wanted, thousands of them
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sealed(status: Mapping[str, Any]) -> bytes:
    """The text of status.json, with the hash of all else that it says."""
    digest = hashlib.sha256(canonical_json(status).encode()).hexdigest()
    return canonical_json({**status, SEAL: digest}).encode()


def _as_sealed(status: Mapping[str, Any], text: bytes) -> bool:
    """Whether status.json says what was written; in older stores it has no hash of itself."""
    if status["status"] not in ("done", "diverged"):
        return False
    if SEAL not in status:
        return set(status) == {"status", "measured", "files"}
    # In the text, not in what was read of it: canonical JSON has one form, and any other byte is a
    # change.
    rest = text.replace(f'"{SEAL}":"{status[SEAL]}",'.encode(), b"", 1)
    return hashlib.sha256(rest).hexdigest() == status[SEAL]


def _verified(folder: Path, name: str, files: Mapping[str, tuple[int, str]]) -> bytes:
    data = foreign.read_stored(folder / name, files[name][0])
    if hashlib.sha256(data).hexdigest() != files[name][1]:
        raise StoreError(
            f"{folder / name} is damaged (its hash differs from the stored one); delete "
            f"{folder} and run again"
        )
    return data


def _open(folder: Path) -> Stored | Damaged:
    """The run in this folder, everything but the parameters read and hashed; parameters are hashed
    when they are loaded."""
    # plain texts and one reading of each file: a plan opens thousands of runs
    base, held = os.fspath(folder), dict[str, bytes]()
    files = dict[str, tuple[int, str]]()

    def content(name: str) -> bytes:
        if name not in held:
            most = files[name][0] if name in files else foreign.STORED
            held[name] = foreign.read_stored(f"{base}/{name}", most)
        return held[name]

    try:
        status = json.loads(content(STATUS))
        if not _as_sealed(status, content(STATUS)):
            return Damaged(folder, "status.json was changed after it was written")
        files = {name: (int(n), str(digest)) for name, (n, digest) in status["files"].items()}
        for name, (n, digest) in files.items():
            size = os.stat(f"{base}/{name}").st_size  # noqa: PTH116
            if size != n:
                return Damaged(folder, f"{name} has {size} bytes instead of {n}")
            if name != PARAMS and hashlib.sha256(content(name)).hexdigest() != digest:
                return Damaged(folder, f"{name} differs from its stored hash")
        head = json.loads(content("spec.json"))
        note = content(inputs.NOTE) if inputs.NOTE in files else b""
        read, unchecked = inputs.unpacked(note) if note else ({}, ())
        return Stored(
            place=base,
            key=head["key"],
            experiment=head["experiment"],
            version=head["version"],
            arm=head["arm"],
            spec_json=canonical_json(head["spec"]),
            status=status["status"],
            measured=status["measured"],
            inputs=json.loads(content("inputs.json")),
            provenance=json.loads(content("provenance.json")),
            files=files,
            id=hashlib.sha256(content(STATUS)).hexdigest()[:16],
            read=read,
            unchecked=unchecked,
        )
    except OSError as e:
        return Damaged(folder, f"{Path(e.filename or folder).name} cannot be read ({e.strerror})")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        return Damaged(
            folder, f"status.json or spec.json is not what a store writes ({type(e).__name__})"
        )
