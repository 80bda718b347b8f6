"""Index: what opening each run of a large store gave, kept in the cache for as long as the run's
files stay as they are.

The files are the truth. A run is taken from the index only where each of its files has the inode,
size and times that it had when it was read and hashed; any other is opened, and so is one that
changed a moment ago, since it may change again without another time of change. The index lies in
the cache of whoever asks, apart for each machine, so that a store is never written by reading it,
and no network folder has to lock a database. It may be deleted at any time. One that is damaged, or
that another text of Assay wrote, is made anew, and one that cannot be read or written costs only
time. A disk that changes bytes by itself is found by `assay doctor`, which opens every run."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from msgspec.structs import force_setattr, replace

from assay.core import cache, inputs
from assay.core.cache import SETTLED
from assay.lab.store import runs as opening
from assay.lab.store.runs import Damaged, Stored
from assay.lab.store.store import Store

if TYPE_CHECKING:
    import sqlite3

WORTH = 200
"""Runs of an experiment from which an index saves more than it costs."""
UNUSED = 30 * 86400.0
"""Seconds after which the index of a store that did not change is deleted."""
WAIT = 2.0
"""Seconds until files are read in place of an index that another process is writing."""


def _kernel() -> str:
    names = [socket.gethostname()]
    with contextlib.suppress(OSError):
        names += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            os.readlink("/proc/self/ns/mnt"),  # noqa: PTH115
        ]
    return " ".join(names)


KERNEL = _kernel()
"""What distinguishes this running system, or this container, from any other."""
_Body = tuple[Stored, list[int], bytes]
"""Of a run what its files say, `place` being the folder's name alone; their inodes, sizes and
times; and the hash of what its provenance says of its machine and the like, since other runs say
the same."""
_decode, _plain = msgspec.msgpack.Decoder(_Body).decode, msgspec.msgpack.decode
_encode = msgspec.msgpack.Encoder().encode
_BROKEN = (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError, OverflowError)
"""What values raise that a damaged database has in place of those that were written."""
Common = dict[bytes, bytes]
"""What many runs say alike, by hash."""
_Row = tuple[str, bytes, int]
"""A line of the index: the name of the run's folder, a body, and its checksum, since a database
that lost power or a bit may still be read."""


def every(store: Store, experiment: str) -> list[Stored | Damaged]:
    """Give every folder of an experiment's runs, whole or not, by name, as `Store.every` does;
    those that the index knows are not read again."""
    base, names = store.root / "runs" / experiment, store.names(experiment)
    if len(names) < WORTH:
        return list(store.every(experiment))
    file = _file(base)
    rows, alike = _read(file)
    known = dict(_known(rows, alike, base))
    runs, fresh, common = list[Stored | Damaged](), list[_Row](), Common()
    for name in names:
        if name in known:
            runs.append(known[name])
            continue
        before = _states(base / name)
        run = store.at(base / name)
        runs.append(run)
        if isinstance(run, Stored) and (row := _row(name, run, before, common)):
            fresh.append(row)
    gone = {name for name, *_ in rows} - set(names)
    if fresh or gone:
        _keep(file, fresh, gone, common)
    return runs


def _known(
    rows: Iterable[_Row], alike: Mapping[bytes, Any], base: Path
) -> Iterator[tuple[str, Stored]]:
    """The runs of an index whose files are as they were."""
    try:
        handle = os.open(base, os.O_RDONLY)  # from where it is not far to the files
    except OSError:
        return
    try:
        for _, body, checksum in rows:
            try:
                if checksum != crc32(body):
                    continue
                run, state, shared = _decode(body)
                name, files = run.place, (opening.STATUS, *run.files)
                if state != _state([os.stat(f"{name}/{f}", dir_fd=handle) for f in files]):
                    continue
                provenance: Any = run.provenance
                provenance.update(alike[shared])
                force_setattr(run, "place", f"{base}/{name}")
                yield name, run
            except (*_BROKEN, OSError):
                continue
    finally:
        os.close(handle)


def _states(folder: Path) -> dict[str, os.stat_result]:
    """The state of each file in a folder; links are followed."""
    states = dict[str, os.stat_result]()
    with contextlib.suppress(OSError), os.scandir(folder) as inside:
        for entry in inside:
            states[entry.name] = os.stat(entry.path)  # noqa: PTH116
    return states


def _state(files: Iterable[os.stat_result]) -> list[int]:
    """Inode, size and times of these files."""
    return [n for f in files for n in (f.st_ino, f.st_size, f.st_mtime_ns, f.st_ctime_ns)]


def _row(
    name: str, run: Stored, before: Mapping[str, os.stat_result], common: Common
) -> _Row | None:
    """What is kept of a run that was opened, and in `common` what others may say alike; None where
    its files may change unseen, or its values cannot be written. `before` is how its files were
    when it was opened."""
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
        files = [before[file] for file in (opening.STATUS, *run.files)]
        if max(max(f.st_mtime, f.st_ctime) for f in files) > time.time() - SETTLED:
            return None
        parts = {part: v for part, v in run.provenance.items() if isinstance(v, dict)}
        shared = _digest(text := _encode(parts))
        common[shared] = text
        rest = {**run.provenance, **dict.fromkeys(parts)}
        body = _encode((replace(run, place=name, provenance=rest), _state(files), shared))
        return name, body, crc32(body)
    return None


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


def _file(base: Path) -> Path:
    """Where the index of this folder of runs lies: apart for each machine, so that nobody else
    locks it, and for each text of Assay that opens runs, which may read them otherwise."""
    text = f"{KERNEL}\0{_text()}\0{os.path.realpath(base)}"
    return cache.folder() / "runs" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.sqlite"


@functools.cache
def _text() -> str:
    paths = (__file__, opening.__file__, inputs.__file__)
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in paths)).hexdigest()


def _read(file: Path) -> tuple[Sequence[_Row], dict[bytes, Any]]:
    """The lines of an index, and by its hash what they say alike; none where none can be read."""
    import sqlite3

    if not file.exists():
        return (), {}
    try:
        with contextlib.closing(_connected(file)) as index:
            rows = index.execute("SELECT name, body, checksum FROM runs").fetchall()
            common = dict(index.execute("SELECT digest, body FROM common"))
            return rows, {d: _plain(b) for d, b in common.items() if d == _digest(b)}
    except (sqlite3.Error, *_BROKEN) as error:
        _mend(file, error)
        return (), {}


def _keep(file: Path, fresh: Iterable[_Row], gone: Iterable[str], common: Common) -> None:
    """Write these lines into the index, and drop others. Where it cannot be written it stays as it
    is: all of it can be read from the files."""
    import sqlite3

    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in file.parent.glob("*.sqlite"):
            if time.time() - other.stat().st_mtime > UNUSED:
                other.unlink()
        try:
            with contextlib.closing(_connected(file)) as index, index:
                index.execute(
                    "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, body, checksum)"
                )
                index.execute("CREATE TABLE IF NOT EXISTS common (digest PRIMARY KEY, body)")
                index.executemany("DELETE FROM runs WHERE name = ?", ((name,) for name in gone))
                index.executemany("REPLACE INTO common VALUES (?, ?)", common.items())
                index.executemany("REPLACE INTO runs VALUES (?, ?, ?)", fresh)
        except sqlite3.Error as error:
            _mend(file, error)


def _connected(file: Path) -> sqlite3.Connection:
    import sqlite3

    index = sqlite3.connect(file, timeout=WAIT)
    index.execute("PRAGMA synchronous = OFF")  # what a power cut breaks is seen, and made anew
    return index


def _mend(file: Path, error: Exception) -> None:
    """Delete an index that cannot be read, unless another process only writes it."""
    import sqlite3

    busy = (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
    )
    if getattr(error, "sqlite_errorcode", None) not in busy:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
