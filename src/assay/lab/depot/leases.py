"""Leases of a depot: who works at something, among machines that share no folder.

    leases/<name>/<number>.json           the highest number holds; whoever creates that object
    first has it leases/<name>/<number>-<owner>.json   where a storage cannot create only what is
    absent: after a pause the lowest owner has it

As among processes on one folder: the owner alone replaces its object, by a growing count. Whoever
sees no new count for as long as the object says, by a clock of its own, takes the next number. An
owner that was only asleep finds a higher number and stops; so it does where the next owner has
finished and its own object is gone. Where two take themselves for the owner after all, since a list
came late, both do the same work, and the first of their runs that is stored stays.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from assay.core.errors import StoreError
from assay.core.spec import canonical_json
from assay.lab import leases
from assay.lab.depot.bucket import Bucket
from assay.lab.leases import BEATS, LONGEST, Unchanged, lapse, owner

FARTHER = 4
"""A lease of a depot lapses after so many times what one of a folder takes: each beat is a request
that is paid for, and may be late."""
PAUSE = 2.0
"""Seconds between a claim and the list that says who was lowest, where nothing better is to be
had."""
NAME = re.compile(r"leases/[^/]+/(\d{1,12})(?:-([\w-]+))?\.json")

Place = tuple[int, str]
"""A number, and whose; without an owner where only one can have made the object."""


class Leases:
    """The leases of a depot, as this process sees them."""

    def __init__(self, bucket: Bucket, clock: Callable[[], float] = time.monotonic):
        self._bucket = bucket
        self._unchanged = Unchanged(clock)

    def take(self, name: str) -> Lease | None:
        """Take the lease of this name; None while another machine has it. Raises: StoreError."""
        current_time = self._unchanged.clock()
        top = highest(self._bucket, name)
        if top is not None and self._beating(name, top, current_time):
            return None
        self._unchanged.forget(name)
        lease = Lease(self._bucket, name, top[0] + 1 if top else 1)
        return lease if lease.claim() else None

    def busy(self, name: str) -> bool:
        """Whether another machine seems to have it. Raises: StoreError."""
        current_time = self._unchanged.clock()
        top = highest(self._bucket, name)
        return top is not None and self._beating(name, top, current_time)

    def _beating(self, name: str, top: Place, current_time: float) -> bool:
        content = self._bucket.read(_object(name, top))
        return content is not None and self._unchanged.seconds(
            name, (top, content), current_time
        ) < _lapse(content)


class Lease:
    """Something that this process has, until it gives it back, or loses it to another that saw no
    beat."""

    def __init__(self, bucket: Bucket, name: str, number: int):
        self.owner = owner()
        self._bucket, self._name, self._seconds, self._count = bucket, name, FARTHER * lapse(), 0
        self._place: Place = (number, "" if bucket.exclusive else self.owner)
        self._lost, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def claim(self) -> bool:
        """Make the object, unless somebody was first; then beat."""
        # Without a way to create what is absent, both of two may write; names differ by owner, so
        # neither overwrites the other, and after a pause both read one list and agree on the
        # lowest.
        own_object = _object(self._name, self._place)
        if self._bucket.exclusive:
            if not self._bucket.create(own_object, self._said()):
                return False
        else:
            self._bucket.write(own_object, self._said())
            late = time.monotonic() + self._seconds
            time.sleep(PAUSE)
            while (
                own_object not in (listed := self._bucket.names(f"leases/{self._name}"))
                and time.monotonic() < late
            ):
                time.sleep(
                    PAUSE
                    # a list that lacks our claim lacks those beside it too; else all would give up,
                    # again and again
                )
            # Ours is removed by ourselves: whoever lost leaves nothing behind that looks like a
            # holder.
            if _highest(listed) != self._place:
                self._bucket.delete(own_object)
                return False
        # What owners that are gone have left.
        for name in self._bucket.names(f"leases/{self._name}") if self._place[0] > 1 else ():
            if (place := _place(name)) is not None and place[0] < self._place[0]:
                self._bucket.delete(name)
        self._thread.start()
        return True

    @property
    def lost(self) -> bool:
        """Whether it was found, at a beat, that another has it; costs nothing to ask."""
        return self._lost.is_set()

    def held(self) -> bool:
        """Look whether it is still ours; a depot that does not answer says nothing."""
        with suppress(StoreError):
            top = highest(self._bucket, self._name)
            own_place = self._place
            higher = top is not None and (
                top[0] > own_place[0] or (top[0] == own_place[0] and top[1] < own_place[1])
            )
            # what is gone was taken by another, who has finished since; only a list may be late
            if higher or (
                top != own_place and self._bucket.read(_object(self._name, own_place)) is None
            ):
                self._lost.set()
        return not self.lost

    def give_back(self) -> None:
        """Let anybody have it at once."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        with suppress(StoreError):
            self._bucket.delete(_object(self._name, self._place))

    def _beat(self) -> None:
        while not self._over.wait(self._seconds / BEATS):
            looked = time.monotonic()
            if not self.held():
                return
            if time.monotonic() - looked > self._seconds / 2:
                continue  # asleep since: the object may be gone, and a write would make it again
            with suppress(StoreError):
                self._bucket.write(_object(self._name, self._place), self._said())

    def _said(self) -> bytes:
        self._count += 1
        return canonical_json(
            {"owner": self.owner, "beat": self._count, "lapse": self._seconds}
        ).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()


class Among:
    """A lease among the processes of this machine and one among machines, as one."""

    def __init__(self, local_lease: leases.Lease, machines: Lease):
        self._here, self._machines = local_lease, machines

    @property
    def lost(self) -> bool:
        """Whether one of the two was found to be another's."""
        return self._here.lost or self._machines.lost

    def held(self) -> bool:
        """Look whether both are still ours."""
        return self._here.held() and self._machines.held()

    def done(self) -> None:
        """Give the one of this machine back for good; whoever entered the other one leaves it."""
        self._here.done()


def highest(bucket: Bucket, name: str) -> Place | None:
    """Who has the lease of this name, by what is listed: the highest number, of several the lowest
    owner; None where nobody has it."""
    return _highest(bucket.names(f"leases/{name}"))


def _highest(names: Iterable[str]) -> Place | None:
    places = [place for name in names if (place := _place(name)) is not None]
    return min((p for p in places if p[0] == max(places)[0]), default=None)


def _object(name: str, place: Place) -> str:
    return f"leases/{name}/{place[0]}{'-' * bool(place[1])}{place[1]}.json"


def _place(name: str) -> Place | None:
    match = NAME.fullmatch(name)
    return (int(match[1]), match[2] or "") if match else None


def _lapse(content: bytes) -> float:
    """The seconds that an object says; one that was cut off says nothing."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        seconds = float(json.loads(content)["lapse"])
        if 0 < seconds <= FARTHER * LONGEST:
            return seconds
    return FARTHER * lapse()
