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
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from assay.core import cache, inputs
from assay.core.hashes import SETTLED
from assay.lab.away.leases import KERNEL
from assay.lab.store import store as opening
from assay.lab.store.store import Damaged, Store, Stored

if TYPE_CHECKING:
    import sqlite3

WORTH = 200
"""Runs of an experiment from which an index saves more than it costs."""
UNUSED = 30 * 86400.0
"""Seconds after which the index of a store that did not change is deleted."""
WAIT = 2.0
"""Seconds until files are read in place of an index that another process is writing."""


class _Entry(msgspec.Struct, array_like=True):
    """What a run's files say."""

    key: str
    version: Any
    arm: Any
    spec_json: str
    status: Any
    measured: Any
    inputs: Any
    provenance: dict[str, Any]
    files: dict[str, tuple[int, str]]
    id: str
    read: dict[str, str]
    unchecked: tuple[str, ...]
    common: dict[str, bytes]
    """The hashes of what its provenance says of its machine and the like, by name: other runs say
    the same."""


_FIELDS = _Entry.__struct_fields__[:-1]
_decode, _plain = msgspec.msgpack.Decoder(_Entry).decode, msgspec.msgpack.decode
_encode = msgspec.msgpack.Encoder().encode
_BROKEN = (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError, OverflowError)
"""What values raise that a damaged database has in place of those that were written."""
Common = dict[bytes, bytes]
"""What many runs say alike, by hash."""


class _Row(NamedTuple):
    """A line of the index."""

    name: str
    """That of the run's folder."""
    state: bytes
    """Inode, size and times of its files."""
    body: bytes
    """What they say."""
    digest: bytes
    """Of the others: a database that lost power or a bit may still be read."""


def every(store: Store, experiment: str) -> list[Stored | Damaged]:
    """Give every folder of an experiment's runs, whole or not, by name, as `Store.every` does;
    those that the index knows are not read again."""
    base, names = store.root / "runs" / experiment, store.names(experiment)
    if len(names) < WORTH:
        return list(store.every(experiment))
    file = _file(base)
    rows, alike = _read(file)
    known = dict(_known(rows, alike, base, experiment))
    runs, fresh, common = list[Stored | Damaged](), list[_Row](), Common()
    for name in names:
        if name in known:
            runs.append(known[name])
            continue
        before = _states(base / name)
        run = store.at(base / name)
        runs.append(run)
        if isinstance(run, Stored) and (row := _row(run, before, common)):
            fresh.append(row)
    gone = {row.name for row in rows} - set(names)
    if fresh or gone:
        _keep(file, fresh, gone, common)
    return runs


def _known(
    rows: Iterable[_Row], alike: Mapping[bytes, Any], base: Path, experiment: str
) -> Iterator[tuple[str, Stored]]:
    """The runs of an index whose files are as they were."""
    try:
        handle = os.open(base, os.O_RDONLY)  # from where it is not far to the files
    except OSError:
        return
    try:
        for row in rows:
            try:
                entry = _decode(row.body)
                files = [f"{row.name}/{name}" for name in (opening.STATUS, *entry.files)]
                if row.state != _state([os.stat(file, dir_fd=handle) for file in files]):
                    continue
                if row.digest == _digest(row.name.encode(), row.state, row.body):
                    yield row.name, _stored(base / row.name, experiment, entry, alike)
            except (*_BROKEN, OSError):
                continue
    finally:
        os.close(handle)


def _stored(folder: Path, experiment: str, entry: _Entry, alike: Mapping[bytes, Any]) -> Stored:
    """A run as an entry has it. Raises: KeyError where what it shares with others is lost."""
    provenance = entry.provenance
    for name, digest in entry.common.items():
        provenance[name] = alike[digest]
    return Stored(
        folder=folder,
        experiment=experiment,
        key=entry.key,
        version=entry.version,
        arm=entry.arm,
        spec_json=entry.spec_json,
        status=entry.status,
        measured=entry.measured,
        inputs=entry.inputs,
        provenance=provenance,
        files=entry.files,
        id=entry.id,
        read=entry.read,
        unchecked=entry.unchecked,
    )


def _states(folder: Path) -> dict[str, os.stat_result]:
    """The state of each file in a folder; links are followed."""
    states = dict[str, os.stat_result]()
    with contextlib.suppress(OSError), os.scandir(folder) as inside:
        for entry in inside:
            states[entry.name] = os.stat(entry.path)  # noqa: PTH116
    return states


def _state(files: Iterable[os.stat_result]) -> bytes:
    """Inode, size and times of these files. Raises: OverflowError for times before 1970."""
    numbers = array("Q")
    for f in files:
        numbers.extend((f.st_ino, f.st_size, f.st_mtime_ns, f.st_ctime_ns))
    return numbers.tobytes()


def _row(run: Stored, before: Mapping[str, os.stat_result], common: Common) -> _Row | None:
    """What is kept of a run that was opened, and in `common` what others may say alike; None where
    its files may change unseen, or its values cannot be written. `before` is how its files were
    when it was opened."""
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
        files = [before[name] for name in (opening.STATUS, *run.files)]
        if max(max(f.st_mtime, f.st_ctime) for f in files) > time.time() - SETTLED:
            return None
        provenance, references = dict(run.provenance), dict[str, bytes]()
        for key, value in run.provenance.items():
            if isinstance(value, dict):
                text = _encode(value)
                provenance[key], references[key] = None, _digest(text)
                common[references[key]] = text
        said = [provenance if f == "provenance" else getattr(run, f) for f in _FIELDS]
        name, state, body = run.folder.name, _state(files), _encode([*said, references])
        return _Row(name, state, body, _digest(name.encode(), state, body))
    return None


def _digest(*parts: bytes) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


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
            rows = map(_Row._make, index.execute("SELECT name, state, body, digest FROM runs"))
            common = dict(index.execute("SELECT digest, body FROM common"))
            return list(rows), {d: _plain(b) for d, b in common.items() if d == _digest(b)}
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
                    "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, state, body, digest)"
                )
                index.execute("CREATE TABLE IF NOT EXISTS common (digest PRIMARY KEY, body)")
                index.executemany("DELETE FROM runs WHERE name = ?", ((name,) for name in gone))
                index.executemany("REPLACE INTO common VALUES (?, ?)", common.items())
                index.executemany("REPLACE INTO runs VALUES (?, ?, ?, ?)", fresh)
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
