"""Depot: what a store and the depot that it mirrors have to tell each other, before and after work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from pathlib import Path

from assay.core import intact
from assay.core.errors import StoreError
from assay.core.spec import canonical_json
from assay.lab.atomic import write
from assay.lab.depot import artefacts, groups, notes, runs
from assay.lab.depot.bucket import Bucket
from assay.lab.depot.leases import Lease, Leases
from assay.lab.groups import RunGroup
from assay.lab.store import FORMAT, Store, Stored
from assay.lab.urls import url_of

HEADER = "store.json"
PARTS = frozenset({HEADER, "runs", "groups", "leases", "artefacts", "notes", "wanted"})
"""What lies in a depot, at the top."""
AGAIN = 5.0
"""Seconds until an artefact that another machine builds is looked for again."""


class Depot:
    """A depot, and the store on this machine that mirrors it."""

    def __init__(self, store: Store, url: str):
        self.store, self.url = store, url

    @cached_property
    def bucket(self) -> Bucket:
        """What lies there. Raises: StoreError."""
        return Bucket(self.url)

    @cached_property
    def leases(self) -> Leases:
        """Who works at what, as this process sees it."""
        return Leases(self.bucket)

    def fetch(self, experiment: str) -> None:
        """Fetch what the store lacks of an experiment: runs, results, looks. Raises: StoreError."""
        if self._known():
            runs.fetch(self.bucket, self.store, experiment, runs.there(self.bucket, experiment))
            notes.fetch(self.bucket, self.store, notes.there(self.bucket, experiment))

    def exchange(self, experiment: str) -> None:
        """Fetch what the store lacks of an experiment, and send what only the store has, as after a network that failed. Raises: StoreError."""
        self.prepare()
        listed = runs.there(self.bucket, experiment)
        runs.fetch(self.bucket, self.store, experiment, listed)
        runs.send(self.bucket, self.store.list(experiment), listed)
        self.note(experiment)

    def note(self, experiment: str) -> None:
        """Exchange results and looks. Raises: StoreError."""
        self.prepare()
        listed = notes.there(self.bucket, experiment)
        notes.fetch(self.bucket, self.store, listed)
        notes.send(self.bucket, self.store, experiment, listed)

    def groups(self, experiment: str) -> None:
        """Take up the groups that other machines have formed. Raises: StoreError."""
        groups.fetch(self.bucket, self.store, experiment)

    def formed(self, new: Iterable[RunGroup]) -> None:
        """Tell of groups that were formed here. Raises: StoreError."""
        groups.send(self.bucket, new)

    def fitting(self, experiment: str, keys: Collection[str], fits: Callable[[Stored], bool]) -> int:
        """Fetch, of these runs, what other machines stored and what fits; gives how many. Raises: StoreError."""
        return runs.fitting(self.bucket, self.store, experiment, keys, fits)

    def stored(self, group: RunGroup) -> None:
        """Send the runs of a group that is stored here; then it is no group any more. Raises: StoreError."""
        found = self.store.get_all(group.keys, group.experiment)
        runs.send(self.bucket, found.values(), {p: n for p, n in runs.there(self.bucket, group.experiment).items() if p.key in found})
        self.bucket.delete(groups.name_of(group))

    def take(self, name: str) -> Lease | None:
        """Take a lease among machines; None while another one has it. Raises: StoreError."""
        return self.leases.take(name)

    def artefact(self, partial: Path, build: Callable[[], None]) -> None:
        """Fill the folder of an artefact: with what another machine has sent, or sends soon, else by building it. Raises: StoreError."""
        name = artefacts.name_of(partial)
        while not artefacts.fetch(self.bucket, partial):
            lease = self.take(name.replace("/", "-"))
            if lease is None:
                time.sleep(AGAIN)
                continue
            with lease:
                if artefacts.fetch(self.bucket, partial):  # sent while we asked
                    return
                build()
                write(partial / intact.NOTE, intact.described(partial))
                artefacts.send(self.bucket, partial)
            return

    def survey(self) -> dict[str, int]:
        """Fetch every result and look, and count the runs of each experiment. Raises: StoreError."""
        if not self._known():
            return {}
        notes.fetch(self.bucket, self.store, notes.there(self.bucket))
        return runs.count(self.bucket)

    def prepare(self) -> None:
        """Make the place a depot, where it is empty. Raises: StoreError where it holds something else, or cannot be written."""
        if not self._known():
            strange = sorted(name for name in self.bucket.top() if name not in PARTS)
            if strange:
                raise StoreError(f"{self.url} has no store.json but holds {strange[0]}; name an empty bucket or a new prefix with --root")
            self.bucket.write(HEADER, canonical_json({"format": FORMAT}).encode())

    def _known(self) -> bool:
        """Whether the place is a depot, and not an empty one. Raises: StoreError where it cannot be reached, or is newer."""
        header = self.bucket.read(HEADER)
        if header is None:
            self.bucket.reach()
            return False
        try:
            number = int(json.loads(header)["format"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return False  # cut off: written again
        if number > FORMAT:
            raise StoreError(f"the depot {self.url} has format {number}, this version reads up to {FORMAT}; upgrade Assay")
        return True


_of: dict[Path, Depot] = {}


def of(store: Store) -> Depot | None:
    """The depot that a store mirrors, the same for the life of this process; None for a store of its own."""
    url = url_of(store.root)
    if not url:
        return None
    known = _of.get(store.root.absolute())
    if known is None or known.url != url:
        known = _of[store.root.absolute()] = Depot(store, url)
    return known
