"""Files and folders that appear whole or not at all, however the process ends.

Everything is written under a temporary name, flushed to the disk, and then takes its name by one
rename. What a kill leaves behind has a temporary name and is never read.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import Operator, StoreError
from assay.core.foreign import NotAFileError
from assay.core.plain import canonical_json


@contextlib.contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line of advice.

    Raises: StoreError for a full disk, an exhausted quota, a folder that cannot be written, and
    what is no file where one should be."""
    try:
        yield
    except Exception as e:
        if isinstance(e, NotAFileError):
            problem = f"{e.filename} is damaged: {e.strerror}"
            raise StoreError(
                problem, Operator(f"; `assay doctor --clean --root {root}` repairs it")
            ) from e
        number = _os_error(e)
        # EFBIG: a limit on file sizes, `ulimit -f`
        if number in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
        ):
            raise StoreError(
                f"the disk of {root} is full; everything stored so far is intact: free some "
                "space and run the same command again"
            ) from e
        if number in (errno.EROFS, errno.EACCES, errno.EPERM):
            why = os.strerror(number)
            raise StoreError(
                f"the store {root} cannot be written ({why})",
                Operator("; name another folder with --root"),
            ) from e
        raise


def _os_error(error: Exception) -> int:
    """The operating system's error number, 0 without one; safetensors hands it on only as text, and
    NumPy and torch say that less was written than was asked for."""
    if re.search(r"\d+ requested and \d+ written|StreamWriter failed writing", str(error)):
        return errno.ENOSPC
    if isinstance(error, OSError):
        return error.errno or 0
    match = (
        re.search(r"\(os error (\d+)\)", str(error))
        if type(error).__name__ == "SafetensorError"
        else None
    )
    return int(match[1]) if match else 0


def write(path: Path, data: bytes | Callable[[Path], None], scratch: Path | None = None) -> None:
    """Write `data`, or what the callable writes into the path it is given: `path` then holds it
    whole, or is as it was before.

    Until then it is in `scratch`, a folder of the same disk that is cleaned now and then, or,
    without one, next to `path`."""
    temporary = (scratch or path.parent) / f".{path.name}.{uuid.uuid4().hex[:12]}"
    try:
        if callable(data):
            data(temporary)
        else:
            temporary.write_bytes(data)
        # Before the rename: a disk may keep names and contents in any order, and after a power cut
        # a file would have its name and no bytes.
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The rename itself is in the folder, which has to reach the disk as well.
    sync(path.parent)


def write_folder(path: Path, files: Mapping[str, bytes], scratch: Path) -> None:
    """Write a folder `path` with these files, which then exists whole; one that was there is moved
    into `scratch` first."""
    write_folders({path: files}, scratch)


def write_folders(folders: Mapping[Path, Mapping[str, bytes]], scratch: Path) -> None:
    """Write these folders, each of which then exists whole; any that were there are moved into
    `scratch` first.

    The first gets its name when what is in all of them is on the disk: waiting for a thousand small
    files together takes a tenth of the time that it takes for one after the other, since the disk
    commits many at once."""
    if not folders:
        return
    temporary = {path: scratch / f"{path.name}-{uuid.uuid4().hex[:12]}" for path in folders}
    try:
        unsynced: list[str] = []
        scratch.mkdir(parents=True, exist_ok=True)
        for path, files in folders.items():
            # On the store's own disk, since a rename does not cross disks.
            folder = os.fspath(temporary[path])
            os.mkdir(folder)  # noqa: PTH102
            for name, data in files.items():
                (temporary[path] / name).write_bytes(data)
                unsynced.append(f"{folder}/{name}")
            unsynced.append(folder)
        _sync_all(unsynced)
        for parent in {path.parent for path in folders}:
            parent.mkdir(parents=True, exist_ok=True)
        for path in folders:
            # Everything above may fail half way without a trace; from here on each folder is there
            # or is not.
            _take_place(temporary[path], path, scratch)
    except BaseException:
        for temporary_folder in temporary.values():
            for file in temporary_folder.glob("*"):
                file.unlink(missing_ok=True)
            if temporary_folder.exists():
                temporary_folder.rmdir()
        raise
    for parent in dict.fromkeys(path.parent for path in folders):
        sync(parent)


def _take_place(folder: Path, path: Path, scratch: Path, attempts: int = 8) -> None:
    """Give a folder its name; a rename cannot replace a folder that is not empty, and another
    process may be storing the same."""
    replaced = []
    for attempt in range(attempts):
        # a damaged one, or one with other inputs; or another process just moved it
        with contextlib.suppress(FileNotFoundError):
            replaced.append(path.rename(scratch / f"old-{path.name}-{uuid.uuid4().hex[:12]}"))
        try:
            folder.rename(path)
            for old in replaced:
                shutil.rmtree(old, ignore_errors=True)
            return
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == attempts - 1:
                raise


TOGETHER = 16
"""How many files and folders are waited for at a time."""


def _sync_all(paths: Sequence[str]) -> None:
    """Wait until what all of these hold is on the disk."""

    def sync_some(start: int) -> None:
        for path in paths[start::TOGETHER]:
            sync(path)

    try:
        for _ in _pool(os.getpid()).map(sync_some, range(min(TOGETHER, len(paths)))):
            pass
    except RuntimeError:  # no memory for a thread
        for path in paths:
            sync(path)


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process that wait for the disk; a fork has none of its parent's."""
    return ThreadPoolExecutor(TOGETHER)


def sync(path: Path | str) -> None:
    """Wait until what `path`, a file or a folder, holds is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


SEAL = "sha256"
"""The field that holds the hash of all others."""
SCHEMA = 1
"""The largest `schema` of a result, a record or a registration that this version reads."""


class NewerError(StoreError):
    """A file was written by a later version than this one."""


def known(path: Path, data: Any) -> None:
    """Refuse a file whose `schema` says that a later version wrote it. Raises: NewerError."""
    schema = data.get("schema", SCHEMA) if isinstance(data, dict) else SCHEMA
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerError(
            f"{path} has schema {schema}, this version reads up to {SCHEMA}; upgrade Assay"
        )


def seal(data: dict[str, Any]) -> bytes:
    """The file's bytes: these values, and the hash of them. Raises: ValueError for a number that is
    not finite."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    return json.dumps(
        {**json.loads(text), SEAL: _hash(json.loads(text))}, indent=1, ensure_ascii=False
    ).encode()


def unseal(path: Path) -> dict[str, Any]:
    """The values in this file, without the hash.

    Raises: NewerError where a later version wrote it;
    StoreError in one line where it cannot be read, is no such file, or says something else than
    when it was written."""
    try:
        data = json.loads(foreign.read_stored(path))
        seal, digest = data.pop(SEAL), _hash(data)
    except OSError as e:
        raise StoreError(f"{path} cannot be read ({e.strerror or e})") from e
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise StoreError(
            f"{path} is damaged, or older than hashes of results; its sources are stored, "
            "so run the same command again"
        ) from e
    known(path, data)
    if seal != digest:
        raise StoreError(
            f"{path} was changed after it was written; its sources are stored, so run the "
            "same command again"
        )
    return dict(data)


def evidence(text: bytes) -> dict[str, str]:
    """Read which runs a stored result judged: 16 digits of each key, and the 16 of its content.

    Empty where it does not say so, or is not as it was written.
    """
    try:
        data = json.loads(text)
        seal, runs = data.pop(SEAL), data["evidence"]
        return dict(runs) if seal == _hash(data) else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _hash(data: Any) -> str:
    return hashlib.sha256(canonical_json(data).encode(errors="surrogatepass")).hexdigest()
