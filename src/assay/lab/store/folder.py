"""Folder: what a store is before anything is in it: a header that says how it was written, locks
that processes share, and the space that it takes."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, SoftFileLock, Timeout

from assay.core import foreign, inputs
from assay.core.errors import Operator, StoreError
from assay.core.spec import canonical_json
from assay.lab.store.atomic import explained, write

FORMAT = 1


class Folder:
    """The folder of a store; nothing is written into it before the first thing is stored.

    Raises: StoreError when `root` is newer than this version, is no store, or is not a folder.
    """

    def __init__(self, root: Path | str | None = None):
        root = root or os.environ.get("ASSAY_ROOT") or "assay-store"  # as every command has it
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(root)):
            raise StoreError(
                f"a store is a folder, got the URL {root}",
                Operator("; name a folder that all machines share, or use --on ray"),
            )
        self.root = Path(root)
        self.older = False
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
                p.name
                for p in self.root.iterdir()
                if not p.name.startswith((".store.json", "tmp")) and p.name != "locks"
            )  # a run that waits for its turn has a lock before anything is stored
            if not strange:
                return
            # Another process may just have made the store: its header comes first.
            if not header.exists():
                raise StoreError(
                    f"{self.root} has no store.json but holds {strange[0]}",
                    Operator("; name an empty or new folder with --root"),
                )
        try:
            with inputs.unnoted():  # the format of a store is no data of a run
                content = json.loads(foreign.read_stored(header))
            number = content["format"]
            assert isinstance(number, int)
            self.older = content.get("hashes") is not True and number <= FORMAT
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

    def prepare(self) -> Self:
        """This store, with its header written; the first thing that writing commands call.

        Raises: StoreError for a store of an older version, and for a disk that cannot be
        written."""
        if self.older:
            raise StoreError(
                f"the store {self.root} was written by an older Assay, and can only be read",
                Operator("; name another one with --root"),
            )
        if not (self.root / "store.json").exists():
            with explained(self.root):
                (self.root / "tmp").mkdir(parents=True, exist_ok=True)
                _write_header(self.root)
        return self

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
        nothing would release the lock of a process that was killed.
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
    """Write `store.json` again where it is damaged and the folder is that of a store; True where
    that was needed. Raises: StoreError."""
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
    """Delete a file or folder that is no longer read."""
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
