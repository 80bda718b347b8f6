"""Leases: who works at something, told by files alone, so that it holds between machines that share
a folder.

    <root>/leases/<name>/<number>        claims; the highest number holds, and whoever makes that
    file first has it
                         <owner>.beat    a count that its owner alone replaces every few seconds;
                         gone once the lease is given back

A lease is taken over when its beat did not change for as long as its claim says, by the clock of
whoever looks: clocks of two machines are never compared, and one that jumps changes nothing. An
owner that was only asleep finds a higher number, and stops.

On one machine a kill is known at once: the owner also holds a lock of the kernel, which only its
death can have released. Where a network folder has no such locks, leases do without.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from assay.core import foreign
from assay.core.errors import AssayError

LONGEST = 3600.0
"""Seconds after which any lease lapses, whatever its claim says."""
AGAIN = 0.1
"""Seconds until a lease that another has is asked for again."""
BEATS = 6
"""Beats in the time in which a lease lapses: some may be late."""


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


@dataclass(frozen=True)
class Claim:
    """What the file of a claim says."""

    owner: str
    kernel: str
    locked: bool
    """Whether the owner holds the kernel's lock as well."""
    lapse: float
    """Seconds without a beat after which anybody may take over."""
    mark: str = ""
    """How far the work was."""
    deaths: int = 0
    """How many owners in a row were lost before this one, with the work no further."""


class Beat:
    """A file that a thread replaces by a growing count, and perhaps `words`, until `stop`; with
    `still`, as long as that says True."""

    def __init__(self, path: Path, every: float, still: Callable[[], bool] = lambda: True):
        self.words = ""
        self._path, self._every, self._still = path, every, still
        self._over, self._count = threading.Event(), 0
        self.beat()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def beat(self) -> None:
        """Count on. Raises: OSError."""
        self._count += 1
        aside = self._path.with_name(
            f".{self._path.name}"
        )  # nobody else's: the name has the owner in it
        aside.write_text(f"{self._count} {self.words}".strip())
        aside.replace(self._path)

    def stop(self) -> None:
        """End it, and remove the file."""
        self._over.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)  # a folder that hangs must not hold up whoever ends
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            with suppress(
                OSError
            ):  # a folder that is away for a moment; one that stays away lets the lease lapse
                self.beat()
            if not self._still():
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
                return


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


def owner() -> str:
    """Make a name for a holder, which nobody else has: the machine, the process, and eight
    digits."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Leases:
    """The leases of a store, as this process sees them: it has to look for a while to know that a
    beat has stopped."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic):
        self._root = root
        self._unchanged = Unchanged(clock)

    def take(self, name: str, mark: str = "") -> Lease | None:
        """Take the lease of this name; None while another has it. `mark` says how far the work is,
        so that deaths without progress count.

        Raises: OSError where the folder cannot be written.
        """
        lock = _locked(self._root / "locks" / f"{name}.lock")
        lease = None
        try:
            lease = self._take(name, mark, lock)
        except OSError as e:
            if e.errno not in (errno.ESTALE, errno.ENOENT):  # changed under our eyes: asked again
                raise
        finally:
            if lease is None and lock.handle is not None:
                os.close(lock.handle)
        return lease

    def wait(self, name: str) -> Lease:
        """Take the lease of this name as soon as nobody has it. Raises: OSError where the folder
        cannot be written."""
        while (lease := self.take(name)) is None:
            time.sleep(AGAIN)
        return lease

    def held(self, name: str) -> bool:
        """Whether somebody seems to have it: there is a beat, and it has not stopped for too
        long."""
        current_time = self._unchanged.clock()
        _, claim, beat = _read(self._root / "leases" / name)
        if (
            claim is None
            or beat is None
            or self._unchanged.seconds(name, (claim, beat), current_time) >= claim.lapse
        ):
            return False
        if not claim.locked or claim.kernel != KERNEL:
            return True
        lock = _locked(self._root / "locks" / f"{name}.lock")
        if lock.handle is not None:  # its owner would have it, were it alive
            os.close(lock.handle)
        return lock.handle is None

    def _take(self, name: str, mark: str, lock: _Lock) -> Lease | None:
        folder, deaths = self._root / "leases" / name, 0
        current_time = self._unchanged.clock()
        # A claim without a beat was given back, or its owner never began: the number is free to be
        # passed.
        number, claim, beat = _read(folder)
        if claim is None or beat is None:
            if lock.elsewhere:  # about to claim it, or an older version of Assay at work
                return None
        else:
            # We have the lock that the owner held on this very machine: only its death can have let
            # it go.
            dead = claim.locked and claim.kernel == KERNEL and lock.handle is not None
            if (
                self._unchanged.seconds(name, (claim, beat), current_time) < claim.lapse
                and not dead
            ):
                return None
            # Progress since the last owner: it did not die of this work, but of something else.
            deaths = claim.deaths + 1 if claim.mark == mark else 0
        new_claim = Claim(owner(), KERNEL, lock.handle is not None, lapse(), mark, deaths)
        folder.mkdir(parents=True, exist_ok=True)
        lease = Lease(folder, number + 1, new_claim, lock.handle)
        if not lease.claim():
            return None
        self._unchanged.forget(name)
        return lease


class Lease:
    """Something that this process has, until it gives it back, or loses it to another that saw no
    beat."""

    def __init__(self, folder: Path, number: int, claim: Claim, lock: int | None):
        self.owner, self.deaths = claim.owner, claim.deaths
        self._folder, self._number, self._claim, self._lock = folder, number, claim, lock
        self._lost = threading.Event()
        self._beat: Beat | None = None

    def claim(self) -> bool:
        """Make the file of the claim, unless somebody was first; then beat."""
        aside = self._folder / f".{self.owner}.claim"
        # The first beat is written here, before the claim: a claim without one would look given
        # back.
        beat = Beat(self._folder / f"{self.owner}.beat", self._claim.lapse / BEATS, self.held)
        text = json.dumps(asdict(self._claim))
        try:
            # Written whole under another name, then linked: who reads the claim never sees half of
            # it, and a link, unlike a rename, fails where the name exists.
            aside.write_text(text)
            _appear(self._folder / str(self._number), aside, text)
        except FileExistsError:
            # another was first; or a network folder made it, lost its answer, and was asked again
            pass
        finally:
            aside.unlink(missing_ok=True)
        if (
            not self.held()
        ):  # or we were slow: higher ones came, were given back, and lower ones removed
            beat.stop()
            return False
        for path in self._folder.iterdir():  # what others left
            if path.name.isdigit() and int(path.name) < self._number:
                with suppress(OSError):
                    (self._folder / f"{_claim(path).owner}.beat").unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
        self._beat = beat
        beat.start()
        return True

    @property
    def lost(self) -> bool:
        """Whether it was found, at a beat, that another has it; costs nothing to ask."""
        return self._lost.is_set()

    def held(self) -> bool:
        """Look whether it is still ours; a folder that cannot be read says nothing."""
        try:
            number, claim, _ = _read(self._folder)
        except OSError:
            # A network that fails for a moment is no reason to stop; one that stays away lets the
            # beat lapse.
            return not self.lost
        if number != self._number or claim != self._claim:
            self._lost.set()
        return not self.lost

    def give_back(self) -> None:
        """Let anybody have it at once."""
        self._end()

    def done(self) -> None:
        """Give it back for good: what it was about is done, and nothing of it stays."""
        held = self.held()
        self._end()
        if held:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        if self._beat is not None:
            self._beat.stop()
            self._beat = None
        # After the beat: with the lock gone and a beat there, another process would count us as
        # dead.
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

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
    return _known.setdefault(root.absolute(), Leases(root.absolute()))


@dataclass(frozen=True)
class _Lock:
    """The kernel's lock: ours by its handle, or held by another process, or, with neither, not to
    be had in this folder."""

    handle: int | None = None
    elsewhere: bool = False


def _locked(path: Path) -> _Lock:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(handle)
        return _Lock(elsewhere=e.errno in (errno.EAGAIN, errno.EACCES))
    return _Lock(handle)


def _appear(path: Path, whole: Path, text: str) -> None:
    """Make a file that nobody else made. Raises: FileExistsError; OSError."""
    try:
        os.link(whole, path)
    except FileExistsError:
        raise
    # a folder without links: whoever reads half of it takes it for nobody's, and one of the two
    # stops
    except OSError:
        with path.open("x") as file:
            file.write(text)


def _read(folder: Path) -> tuple[int, Claim | None, str | None]:
    """The highest claim and its beat; 0 and None where there is none. Raises: OSError, but for what
    is not there."""
    try:
        numbers = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
    except FileNotFoundError:
        numbers = []
    if not numbers:
        return 0, None, None
    claim = _claim(folder / str(max(numbers)))
    try:
        return (
            max(numbers),
            claim,
            foreign.read_stored(folder / f"{claim.owner}.beat").decode(errors="replace"),
        )
    except (FileNotFoundError, IsADirectoryError):
        return max(numbers), claim, None


def _claim(path: Path) -> Claim:
    """What a claim says; one that nobody can read is nobody's. Raises: OSError."""
    try:
        claim = Claim(**json.loads(foreign.read_stored(path)))
        return (
            claim
            if 0 < claim.lapse <= LONGEST and re.fullmatch(r"[\w-]+", claim.owner)
            else Claim("nobody", "", False, 0.0)
        )
    except (ValueError, TypeError, RecursionError, IsADirectoryError):
        return Claim("nobody", "", False, 0.0)
