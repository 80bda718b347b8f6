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
    ledger.jsonl                             what was frozen, judged and removed (journal.py)
    jobs/<32hex>/                            what was submitted (jobs/folder.py)
    locks/                                   a file for each group and artefact, locked by the
                                             process that works on it; never unlinked, or a lock
                                             has two owners
    slurm/<time>-<4hex>/                     what submitit writes for jobs that have not ended well
    tmp/                                     folders being written

There is no lock on the store: folders appear by one rename, and each group and artefact has its
own lock, which the kernel releases when its owner dies. Reading never writes, so a read-only
store can be read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core import integrity
from assay.core.errors import StoreError
from assay.core.spec import Spec
from assay.lab.store.atomic import explained, sync, write, write_folders
from assay.lab.store.folder import Folder, discard
from assay.lab.store.runs import Damaged, Made, Stored, folder_end, opened

Paths = list[Path]
AGAIN = 0.1
"""Seconds until an artefact that another process builds is looked for again."""


class Artefacts(Folder):
    """The artefacts of a store."""

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
                f"{path} is damaged: {why}; it is not an artefact of {self.root}, so it cannot "
                "be built again"
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
            (p, why) for p in self._artefacts() if not self.older and (why := integrity.wrong(p))
        )

    def _artefacts(self) -> Paths:
        return sorted(
            p
            for p in (self.root / "artefacts").glob("*/*")
            if p.is_dir() and p.suffix != ".partial"
        )

    def _wrong(self, spec: Spec, path: Path) -> str:
        """What is not as it was written; an older store cannot be checked."""
        return "" if self.older else integrity.wrong(path, spec.MAPPED)

    def artefact_path(self, spec: Spec) -> Path:
        """The folder of this artefact, once it is finished."""
        kind = re.sub(
            r"(?<=[a-z0-9])(?=[A-Z])", "-", type(spec).__name__.removesuffix("Spec")
        ).lower()
        return (
            self.root
            / "artefacts"
            / kind
            / hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]
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


AT_ONCE = 2**26
"""Bytes of runs that are held in memory as files before they are written."""


class Store(Artefacts):
    """A folder of runs, and of the artefacts that they share.

    Raises: StoreError when `root` is newer than this version, is no store, or is not a folder.
    """

    def find(self, key: str, experiment: str | None = None) -> Stored | Damaged | None:
        """The run with this 64-hex key: stored whole, damaged, or None."""
        damaged = None
        for folder in self._folders(experiment, key):
            run = opened(folder)
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
        runs = (opened(folder) for folder in folders)
        return {run.key: run for run in runs if isinstance(run, Stored) and run.key in keys}

    def get_each(self, places: Mapping[str, tuple[str, int]], experiment: str) -> dict[str, Stored]:
        """Those runs that are stored whole, by key, given the arm and seed of each: nothing is
        listed, so a group costs the same however many runs there are."""
        runs = dict[str, Stored]()
        for run_key, (arm, seed) in places.items():
            for folder in self._candidates(experiment, run_key, arm, seed):
                if not folder.exists():
                    break
                run = opened(folder)
                if isinstance(run, Stored) and run.key == run_key:
                    runs[run_key] = run
                    break
        return runs

    def every(self, experiment: str | None = None) -> Sequence[Stored | Damaged]:
        """Every folder of a run, whole or not, by experiment and folder name."""
        return [opened(folder) for folder in self._folders(experiment)]

    def listing(self, experiment: str) -> frozenset[tuple[str, int]]:
        """Each folder of a run of an experiment, with when it was written in nanoseconds: while
        these are the same, so is what is stored."""
        try:
            with os.scandir(self.root / "runs" / experiment) as folders:
                return frozenset((f.name, f.stat().st_mtime_ns) for f in folders)
        except FileNotFoundError:
            return frozenset()

    def list(self, experiment: str | None = None) -> Iterator[Stored]:
        """Every whole run, by experiment and folder name."""
        return (s for s in self.every(experiment) if isinstance(s, Stored))

    def damaged(self, experiment: str | None = None) -> Iterator[Damaged]:
        """Every folder that is not whole, and why."""
        return (s for s in self.every(experiment) if isinstance(s, Damaged))

    def put_all(self, runs: Sequence[Made], *, measured: int = 1) -> Sequence[Path]:
        """Store many runs, each by one rename; gives their folders. The disk is waited for once for
        as many as hold AT_ONCE bytes.

        Raises: StoreError when the disk is full or read-only; nothing half written is left.
        """
        self.prepare()
        written: list[Path] = []
        folders, taken = dict[Path, dict[str, bytes]](), set[Path]()
        size = 0
        for i, run in enumerate(runs):
            files = run.files(measured)
            job = run.job
            folder = self._free_folder(job.experiment, job.key, job.arm, job.spec.seed, taken)
            taken.add(folder)
            folders[folder] = files
            size += sum(map(len, files.values()))
            if size >= AT_ONCE or i == len(runs) - 1:
                with explained(self.root):
                    write_folders(folders, self.root / "tmp")
                written += folders
                folders, size = {}, 0
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
        return opened(folder)

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
            run = opened(folder)
            if isinstance(run, Damaged) or run.key == key:
                return folder
        raise AssertionError(key)

    def _candidates(self, experiment: str, key: str, arm: str, seed: int) -> Iterator[Path]:
        """Where a run may be: the first folder, but where another run has a key that begins like
        its own."""
        base = self.root / "runs" / experiment
        return (base / f"{key[:digits]}-{folder_end(arm, seed)}" for digits in range(8, 65, 8))


def _names(folder: Path) -> list[str]:
    try:
        # — names are wanted, thousands of them
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
