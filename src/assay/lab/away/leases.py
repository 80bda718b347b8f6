"""Leases: who works at something, told by files or objects alone, so that it holds between
processes that share a folder and between machines that share a bucket.

    leases/<name>/<number>.json             the highest number holds; whoever creates it has it

The owner alone rewrites its object every few seconds, with a growing count. A lease is taken over
when that count did not change for as long as the object says, by the clock of whoever looks: clocks
of two machines are never compared, and one that jumps changes nothing. An owner that was only
asleep finds a higher number, or its own object gone, and stops. Where two take themselves for the
owner after all, since a list came late, both do the same work, and the first run that is stored
stays.

On one machine a kill is known at once: the owner also holds a lock of the kernel, which only its
death can have released. A bucket, and a network folder without such locks, do without.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from assay.core import foreign
from assay.core.errors import AssayError, StoreError
from assay.core.inputs import unnoted
from assay.core.spec import canonical_json

LONGEST = 3600.0
"""Seconds after which any lease of a folder lapses, whatever its claim says."""
FARTHER = 4
"""A lease of a bucket lapses after so many times what one of a folder takes: each beat is a request
that is paid for, and may be late."""
AGAIN = 0.1
"""Seconds until a lease that another has is asked for again."""
BEATS = 6
"""Beats in the time in which a lease lapses: some may be late."""
NAME = re.compile(r"leases/[^/]+/(\d{1,12})\.json")


def lapse() -> float:
    """Give the seconds without a beat after which what this process holds may be taken over;
    ASSAY_LEASE_SECONDS, 30 without it.

    Raises: AssayError for what is no such number.
    """
    text = os.environ.get("ASSAY_LEASE_SECONDS", "30")
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST:
            return seconds
    raise AssayError(
        f"ASSAY_LEASE_SECONDS is a number of seconds above 0 and up to {LONGEST:g}, got {text!r}"
    )


def _kernel() -> str:
    names = [socket.gethostname()]
    with suppress(OSError):
        names += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            os.readlink("/proc/self/ns/mnt"),  # noqa: PTH115
        ]
    return " ".join(names)


KERNEL = _kernel()
"""What tells this running system, or this container, from any other: processes in it see each
other's locks on every folder."""


def owner() -> str:
    """Make a name for a holder, which nobody else has: the machine, the process, and eight
    digits."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Lock:
    """The kernel's lock: ours by its handle, or held by another process, or, with neither, not to
    be had in this storage."""

    handle: int | None = None
    elsewhere: bool = False

    def release(self) -> None:
        """Let another process have it."""
        if self.handle is not None:
            os.close(self.handle)


class Storage(Protocol):
    """What leases ask of a folder or a bucket."""

    whole: bool
    """Whether an object is read as it was written or not at all; else it may have been cut off."""

    def create(self, name: str, data: bytes) -> bool:
        """Make this object, whole, unless it exists; False where it does."""

    def rewrite(self, name: str, data: bytes) -> None:
        """Give an object of ours other bytes, while it is there. Raises: OSError."""

    def read(self, name: str) -> bytes | None:
        """What an object holds; None where there is none."""

    def names(self, under: str) -> Collection[str]:
        """The names of all objects in this folder."""

    def delete(self, *names: str) -> None:
        """Remove these objects, as far as they are there."""

    def lock(self, name: str) -> Lock:
        """Try for the kernel's lock of this name."""


class Folder:
    """A folder that processes share, perhaps over a network, as a storage of leases."""

    whole = True

    def __init__(self, root: Path):
        self._base = os.fspath(root)

    def create(self, name: str, data: bytes) -> bool:
        """Make this file unless somebody made it. Raises: OSError."""
        path = f"{self._base}/{name}"
        folder = os.path.dirname(path)  # noqa: PTH120
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        aside = f"{folder}/.{uuid.uuid4().hex}"
        try:
            # Written whole under another name, then linked: who reads it never sees half of it, and
            # a link, unlike a rename, fails where the name exists.
            _fill(aside, data)
            os.link(aside, path)
        except FileExistsError:
            # another was first; or a network folder made it, lost its answer, and was asked again
            return self.read(name) == data
        # a folder without links: whoever reads half of it takes it for nobody's, and one of the two
        # stops
        except OSError:
            try:
                _fill(path, data)
            except FileExistsError:
                return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(aside)  # noqa: PTH108
        return True

    def rewrite(self, name: str, data: bytes) -> None:
        """Rewrite a file in place, all of it by one call, as long as it is there: whoever was
        asleep does not make it again. Raises: OSError."""
        handle = os.open(f"{self._base}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)

    def read(self, name: str) -> bytes | None:
        """What a file holds; None where there is none. Raises: OSError."""
        try:
            return foreign.read_stored(f"{self._base}/{name}")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def names(self, under: str) -> Collection[str]:
        """The files of a folder. Raises: OSError."""
        try:
            return [f"{under}/{name}" for name in os.listdir(f"{self._base}/{under}")]  # noqa: PTH208
        except FileNotFoundError:
            return []

    def delete(self, *names: str) -> None:
        """Remove these files, and their folder with the last one. Raises: OSError."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._base}/{name}")  # noqa: PTH108
        for folder in {name.rpartition("/")[0] for name in names}:
            with suppress(OSError):  # something else lies in it
                os.rmdir(f"{self._base}/{folder}")  # noqa: PTH106

    def lock(self, name: str) -> Lock:
        """Try for the kernel's lock of this name."""
        return _locked(f"{self._base}/locks/{name}.lock")


def _fill(path: str, data: bytes) -> None:
    with open(path, "xb") as file:  # noqa: PTH123
        file.write(data)


def _locked(path: str) -> Lock:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(handle)
        return Lock(elsewhere=e.errno in (errno.EAGAIN, errno.EACCES))
    return Lock(handle)


@dataclass(frozen=True)
class Claim:
    """What the object of a lease says."""

    owner: str
    lapse: float
    """Seconds without a beat after which anybody may take over."""
    beat: str = ""
    """The count, of one width, so that who reads while it is written never sees anything else
    changed; empty once it was given back."""
    kernel: str = ""
    locked: bool = False
    """Whether the owner holds the kernel's lock as well."""
    mark: str = ""
    """How far the work was."""
    deaths: int = 0
    """How many owners in a row were lost before this one, with the work no further."""

    def to_bytes(self) -> bytes:
        """The object: `beat` comes first, and what follows stays where it is."""
        return canonical_json({**asdict(self), "beat": self.beat.rjust(12)}).encode()


class Unchanged:
    """How long each of several things has looked the same to this process, by its own monotonic
    clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._seen: dict[str, tuple[object, float]] = {}

    def seconds(self, name: str, look: object, current_time: float) -> float:
        """Give the seconds for which it has looked like this; `current_time` is the time before it
        was read."""
        observation = self._seen.get(name)
        if observation is None or observation[0] != look:
            self._seen[name] = observation = (look, current_time)
        return current_time - observation[1]

    def forget(self, name: str) -> None:
        """Forget a thing."""
        self._seen.pop(name, None)


_starting = threading.Lock()
"""Threads of a server may be the first to take a lease at the same time."""


class Pulse:
    """One thread that calls each of some functions every so many seconds, until one says False or
    is stopped; a thread each would cost more than the work of a small group."""

    def __init__(self) -> None:
        self._process = 0

    def start(self, beat: Callable[[], bool], every: float) -> None:
        """Call `beat` every so many seconds from now on."""
        with _starting:
            # the first, or a fork: its parent goes on with what it has
            if self._process != os.getpid():
                self._due: dict[Callable[[], bool], tuple[float, float]] = {}
                self._next, self._calling = 0.0, _nothing
                self._changed, self._process = threading.Condition(), os.getpid()
                threading.Thread(target=self._run, daemon=True).start()
        with self._changed:
            due = time.monotonic() + every
            self._due[beat] = (due, every)
            if due < self._next:
                self._changed.notify_all()

    def stop(self, beat: Callable[[], bool]) -> None:
        """Call it no more, and wait for a call that is under way; a storage that hangs must not
        hold up whoever ends."""
        if self._process == os.getpid():
            with self._changed:
                self._due.pop(beat, None)
                self._changed.wait_for(lambda: self._calling != beat, timeout=5)

    def _run(self) -> None:
        with unnoted():  # what a beat opens is no input of a run that is under way
            while True:
                self._call_next()

    def _call_next(self) -> None:
        with self._changed:
            self._calling = _nothing
            self._changed.notify_all()
            now = time.monotonic()
            self._next = min((due for due, _ in self._due.values()), default=now + LONGEST)
            if self._next > now:
                self._changed.wait(self._next - now)
                return
            beat = min(self._due, key=lambda b: self._due[b][0])
            every = self._due[beat][1]
            self._due[beat] = (now + every, every)
            self._calling = beat
        still = True
        # A storage that is away for a moment; one that stays away lets the lease lapse. Whatever
        # one of them met, the others go on.
        with suppress(Exception):
            still = beat()
        if not still:
            with self._changed:
                self._due.pop(beat, None)


def _nothing() -> bool:
    return False


class Beat:
    """A file that is replaced by a growing count, and perhaps `words`, until `stop`."""

    def __init__(self, path: Path, every: float):
        self.words = ""
        self._path, self._every, self._count, self._pulse = path, every, 0, Pulse()
        self.beat()

    def start(self) -> None:
        """Begin to beat."""
        self._pulse.start(self.beat, self._every)

    def beat(self) -> bool:
        """Count on. Raises: OSError."""
        self._count += 1
        # nobody else's: the name has the owner in it
        aside = self._path.with_name(f".{self._path.name}")
        aside.write_text(f"{self._count} {self.words}".strip())
        aside.replace(self._path)
        return True

    def stop(self) -> None:
        """End it, and remove the file."""
        self._pulse.stop(self.beat)
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class Leases:
    """The leases of a storage, as this process sees them: it has to look for a while to know that a
    beat has stopped."""

    def __init__(self, storage: Storage | Path, clock: Callable[[], float] = time.monotonic):
        self.storage = Folder(storage) if isinstance(storage, Path) else storage
        self.pulse = Pulse()
        self._unchanged = Unchanged(clock)

    def take(self, name: str, mark: str = "") -> Lease | None:
        """Take the lease of this name; None while another has it. `mark` says how far the work is,
        so that deaths without progress count.

        Raises: OSError, StoreError where the storage cannot be written.
        """
        lock = self.storage.lock(name)
        lease = None
        try:
            lease = self._take(name, mark, lock)
        except OSError as e:
            if e.errno not in (errno.ESTALE, errno.ENOENT):  # changed under our eyes: asked again
                raise
        finally:
            if lease is None:
                lock.release()
        return lease

    def wait(self, name: str) -> Lease:
        """Take the lease of this name as soon as nobody has it. Raises: OSError, StoreError where
        the storage cannot be written."""
        while (lease := self.take(name)) is None:
            time.sleep(AGAIN)
        return lease

    def held(self, name: str) -> bool:
        """Whether somebody seems to have it: there is a beat, and it has not stopped for too long.

        Raises: OSError, StoreError.
        """
        current_time = self._unchanged.clock()
        place = highest(self.storage.names(f"leases/{name}"))
        claim = self._claim(name, place) if place is not None else None
        if claim is None or self._over(name, place, claim, current_time):
            return False
        if not claim.locked or claim.kernel != KERNEL:
            return True
        lock = self.storage.lock(name)
        lock.release()
        return lock.handle is None  # its owner would have it, were it alive

    def lapse(self) -> float:
        """The seconds without a beat after which what this process holds here may be taken over."""
        return lapse() if self.storage.whole else FARTHER * lapse()

    def _take(self, name: str, mark: str, lock: Lock) -> Lease | None:
        deaths, current_time = 0, self._unchanged.clock()
        place = highest(self.storage.names(f"leases/{name}"))
        claim = self._claim(name, place) if place is not None else None
        # One that was given back may be passed at once.
        if claim is None or not claim.beat:
            if lock.elsewhere:  # about to claim it, or an older version of Assay at work
                return None
        else:
            # We have the lock that the owner held on this very machine: only its death can have let
            # it go.
            dead = claim.locked and claim.kernel == KERNEL and lock.handle is not None
            if not dead and not self._over(name, place, claim, current_time):
                return None
            # Progress since the last owner: it did not die of this work, but of something else.
            deaths = claim.deaths + 1 if claim.mark == mark else 0
        locked = lock.handle is not None
        new_claim = Claim(owner(), self.lapse(), "1", KERNEL, locked, mark, deaths)
        lease = Lease(self, name, (place or 0) + 1, new_claim, lock)
        if not lease.claim():
            return None
        self._unchanged.forget(name)
        return lease

    def _over(self, name: str, place: int | None, claim: Claim, current_time: float) -> bool:
        """Whether it was given back, or its beat stood still for long enough."""
        unchanged = self._unchanged.seconds(name, (place, claim), current_time)
        return not claim.beat or unchanged >= claim.lapse

    def _claim(self, name: str, place: int) -> Claim | None:
        """What an object says; None where it is gone. Of what nobody can read there is no owner,
        and where it may have been cut off it holds as long as any."""
        data = self.storage.read(_object(name, place))
        if data is None:
            return None
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            claim = Claim(**json.loads(data))
            longest = LONGEST if self.storage.whole else FARTHER * LONGEST
            if 0 < claim.lapse <= longest and re.fullmatch(r"[\w-]+", claim.owner):
                # an older version's count is a number
                return replace(claim, beat=str(claim.beat).strip())
        return None if self.storage.whole else Claim("nobody", self.lapse(), "1")


class Lease:
    """Something that this process has, until it gives it back, or loses it to another that saw no
    beat."""

    def __init__(self, leases: Leases, name: str, number: int, claim: Claim, lock: Lock):
        self.owner, self.deaths = claim.owner, claim.deaths
        self._storage, self._pulse, self._name = leases.storage, leases.pulse, name
        self._claim, self._lock, self._count = claim, lock, 1
        self._place = number
        self._object = _object(name, number)
        self._lost, self._begun = threading.Event(), False
        self.also: Lease | None = None
        """The lease of the same work among machines: without it this one is worth nothing."""

    def claim(self) -> bool:
        """Make the object, unless somebody was first; then beat."""
        if not self._storage.create(self._object, self._claim.to_bytes()):
            return False
        # We may have been slow: higher ones came, were given back, and lower ones removed. Whoever
        # lost leaves nothing behind that looks like a holder.
        whole = self._storage.whole
        names = self._storage.names(f"leases/{self._name}") if whole or self._place > 1 else ()
        if self._passed(names):
            self._storage.delete(self._object)
            return False
        # What owners that are gone have left.
        lower = [n for n in names if 0 < _place(n) < self._place]
        with suppress(OSError):
            self._storage.delete(*lower)
        self._begun = True
        self._pulse.start(self.beat, self._claim.lapse / BEATS)
        return True

    @property
    def handle(self) -> int | None:
        """What a process inherits that works for us: as long as it lives, nobody on this machine
        takes us for dead."""
        return self._lock.handle

    @property
    def lost(self) -> bool:
        """Whether it was found, at a beat, that another has it; costs nothing to ask."""
        return self._lost.is_set() or (self.also is not None and self.also.lost)

    def held(self) -> bool:
        """Look whether it is still ours; a storage that does not answer says nothing: a network
        that fails for a moment is no reason to stop, and one that stays away lets the beat
        lapse."""
        return self._look() and (self.also is None or self.also.held())

    def _look(self) -> bool:
        with suppress(OSError, StoreError):
            # What is gone was taken by another, who has finished since; what is another's was taken
            # after that.
            data = self._storage.read(self._object)
            ours = data is not None and self.owner.encode() in data
            if not ours or self._passed(self._storage.names(f"leases/{self._name}")):
                self._lost.set()
        return not self._lost.is_set()

    def beat(self) -> bool:
        """Count on, while it is ours. Raises: OSError, StoreError."""
        looked = time.monotonic()
        if not self._look():
            return False
        # Asleep since: the object may be gone, and a folder behind a URL would make it again.
        if time.monotonic() - looked <= self._claim.lapse / 2:
            self._count += 1
            self._write(str(self._count))
        return True

    def give_back(self) -> None:
        """Let anybody have it at once."""
        # In a folder what is left keeps numbers growing: whoever was about to take one is too late.
        self._end(remove=not self._storage.whole)

    def done(self) -> None:
        """Give it back for good: what it was about is done, and nothing of it stays."""
        self._end(remove=True)

    def _end(self, *, remove: bool) -> None:
        if not self._begun:
            return
        self._begun = False
        self._pulse.stop(self.beat)
        if self._look():
            with suppress(OSError, StoreError):
                self._storage.delete(self._object) if remove else self._write("")
        # After the beat: with the lock gone and a beat there, another process would count us as
        # dead.
        self._lock.release()

    def _write(self, beat: str) -> None:
        self._storage.rewrite(self._object, replace(self._claim, beat=beat).to_bytes())

    def _passed(self, names: Iterable[str]) -> bool:
        """Whether another comes before us in a list; that ours is not in it says nothing, since
        only a list may be late."""
        return (highest(names) or 0) > self._place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()


_known: dict[Path, Leases] = {}


def open_leases(root: Path) -> Leases:
    """Give the leases of a store, the same for the life of this process, so that what it saw of
    beats is kept."""
    root = root.absolute()
    if root not in _known:
        _known[root] = Leases(root)
    return _known[root]


def highest(names: Iterable[str]) -> int | None:
    """Give the highest number among a lease's objects, whose owner has it; None where nobody
    does."""
    return max(map(_place, names), default=0) or None


def _object(name: str, place: int) -> str:
    return f"leases/{name}/{place}.json"


def _place(name: str) -> int:
    """The number in an object's name; 0 for any other."""
    match = NAME.fullmatch(name)
    return int(match[1]) if match else 0
