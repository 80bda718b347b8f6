"""Depot: what a store and the depot that it mirrors have to tell each other, before and after
work."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core import cache, integrity
from assay.core.errors import StoreError
from assay.core.spec import Spec, canonical_json
from assay.lab.away.depot import artefacts, notes, runs
from assay.lab.away.depot.bucket import Bucket
from assay.lab.away.leases import Lease, Leases
from assay.lab.store import origin
from assay.lab.store.atomic import explained, write
from assay.lab.store.store import FORMAT, Store, Stored
from assay.lab.store.urls import NOTE, sound, url_of
from assay.lab.work import groups
from assay.lab.work.groups import RunGroup

HEADER = "store.json"
PARTS = frozenset(
    {HEADER, "runs", "groups", "leases", "artefacts", "notes", "checkpoints", "wanted", "failed"}
)
"""What lies in a depot, at the top."""
AGAIN = 5.0
"""Seconds until a machine asks again for what another one has."""
GROUP = re.compile(r"groups/[a-z0-9][a-z0-9-]*/([0-9a-f]{16})\.json")
WANTED = re.compile(r"wanted/([0-9a-f]{16})\.json")
CHECKPOINT = re.compile(r"fit-\d+\.safetensors|clock\.json")


class Depot:
    """A depot, and the store on this machine that mirrors it."""

    def __init__(self, store: Store, url: str):
        self.store, self.url = store, url
        self._asked: dict[str, float] = {}
        self._held: set[str] = set()
        self._seen = False

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
            runs.fetch(self.bucket, self.store, experiment, runs.list_runs(self.bucket, experiment))
            notes.fetch(self.bucket, self.store, notes.list_notes(self.bucket, experiment))

    def exchange(self, experiment: str) -> None:
        """Fetch what the store lacks of an experiment, and send what only the store has, as after a
        network that failed. Raises: StoreError."""
        self.prepare()
        listed = runs.list_runs(self.bucket, experiment)
        runs.fetch(self.bucket, self.store, experiment, listed)
        runs.send(self.bucket, self.store.list(experiment), listed)
        self.note(experiment)

    def note(self, experiment: str) -> None:
        """Exchange results and looks. Raises: StoreError."""
        self.prepare()
        listed = notes.list_notes(self.bucket, experiment)
        notes.fetch(self.bucket, self.store, listed)
        notes.owed(self.bucket, self.store, experiment, listed)
        notes.send(self.bucket, self.store, experiment, listed)

    def groups(self, experiment: str) -> None:
        """Take up the groups that other machines have formed, and drop those that they have
        finished. Raises: StoreError."""
        listed = self.bucket.names(f"groups/{experiment}")
        for name in listed:
            match = GROUP.fullmatch(name)
            folder = self.store.root / "groups" / match[1] if match else None
            if folder is None or groups.read(folder) is not None:
                continue
            text = self.bucket.read(name)
            if text is not None and groups.matches_name(text, folder.name):
                with explained(self.store.root):
                    folder.mkdir(parents=True, exist_ok=True)
                    write(folder / "keys.json", text)
        for group in groups.unfinished(self.store, experiment):
            name = _name(group)
            if (
                # Not listed, all runs there, and not to be read either: finished by another
                # machine. A list alone may be late.
                name not in listed
                and group.keys <= self.store.get_all(group.keys, experiment).keys()
                and self.bucket.read(name) is None
            ):
                self.store.remove(group.folder)

    def formed(self, new: Iterable[RunGroup]) -> None:
        """Tell of groups that were formed here. Raises: StoreError."""
        for group in new:
            self.bucket.write(_name(group), (group.folder / "keys.json").read_bytes())

    def fitting(
        self, experiment: str, keys: Collection[str], fits: Callable[[Stored], bool]
    ) -> int:
        """Fetch, of these runs, what other machines stored and what fits; gives how many. Raises:
        StoreError."""
        return runs.fitting(self.bucket, self.store, experiment, keys, fits)

    def resume(self, group: RunGroup) -> None:
        """Fetch what a machine that was stopped in the middle of this group left for others, unless
        there is something here. Raises: StoreError."""
        if not any(group.folder.glob("fit-*.safetensors")):
            for name in self.bucket.names(f"checkpoints/{group.name}"):
                file = name.rpartition("/")[2]
                if CHECKPOINT.fullmatch(file) and (data := self.bucket.read(name)) is not None:
                    with explained(self.store.root):
                        write(group.folder / file, data)

    def leave(self, group: RunGroup) -> None:
        """Leave the checkpoints of this group for other machines; a depot that does not answer gets
        none."""
        with suppress(StoreError):
            for path in sorted(group.folder.iterdir()):
                if CHECKPOINT.fullmatch(path.name):
                    self.bucket.write(f"checkpoints/{group.name}/{path.name}", path)

    def stored(self, group: RunGroup) -> None:
        """Send the runs of a group that is stored here, but those of which another machine was
        first.

        Raises: StoreError.
        """
        listed = runs.list_runs(self.bucket, group.experiment)
        runs.fetch(
            self.bucket, self.store, group.experiment, [p for p in listed if p.key in group.keys]
        )
        runs.send(self.bucket, self.store.get_all(group.keys, group.experiment).values(), listed)
        self.bucket.delete(_name(group), *self.bucket.names(f"checkpoints/{group.name}"))

    def take(self, name: str) -> Lease | None:
        """Take a lease among machines; None while another one has it, which is asked every few
        seconds. Raises: StoreError."""
        if not self._due(name):
            return None
        lease = self.leases.take(name)
        if lease is not None:
            del self._asked[name]
        return lease

    def artefacts(self, specs: Sequence[Spec], build: Callable[[Any, Path], None]) -> list[Path]:
        """The finished folders of these artefacts, in order; machines that ask for the same ones
        share the building. Raises: StoreError."""

        def fill(spec: Spec, partial: Path) -> None:
            self._filled(spec, partial, build)

        # First what nobody is at, so that machines that ask for the same ones divide them; then
        # all.
        for spec in specs:
            folder = self.store.artefact_path(spec)
            if not folder.exists() and not self.leases.held(_lease(folder)):
                self.store.artefacts([spec], fill)
        return self.store.artefacts(specs, fill)

    def _filled(self, spec: Spec, partial: Path, build: Callable[[Any, Path], None]) -> None:
        """Fill the folder of an artefact: with what another machine has sent, or sends soon, else
        by building it."""
        while not artefacts.fetch(self.bucket, partial):
            lease = self.leases.take(_lease(partial))
            if lease is None:
                time.sleep(AGAIN)
                continue
            with lease:
                if not artefacts.fetch(self.bucket, partial):  # sent while we asked
                    build(spec, partial)
                    write(partial / "spec.json", spec.to_json().encode())
                    write(partial / integrity.NOTE, integrity.described(partial))
                    artefacts.send(self.bucket, partial)
            return

    def want(self, group: str, content: bytes) -> None:
        """Ask for a group, whichever machine may work at it. Raises: StoreError."""
        # First: a failure of before must not end what is wanted anew.
        self.bucket.delete(f"failed/{group}.json")
        self.bucket.write(f"wanted/{group}.json", content)

    def drop(self, group: str) -> None:
        """Ask for it no more; where the depot does not answer, whoever takes it up finds nothing to
        do."""
        with suppress(StoreError):
            self.bucket.delete(f"wanted/{group}.json")

    def failed(self, group: str, content: bytes) -> None:
        """Say what a group died of. Raises: StoreError."""
        self.bucket.write(f"failed/{group}.json", content)

    def asked(self) -> None:
        """Make the store want what other machines want, and have the groups for it; asked every few
        seconds. Raises: StoreError."""
        if not self._due("wanted"):
            return
        folder, listed = self.store.root / "wanted", self._wanted_groups()
        with explained(self.store.root):
            folder.mkdir(exist_ok=True)
            for path in folder.glob("[!.]*.json"):
                if path.stem not in listed:
                    path.unlink(missing_ok=True)
            experiments = dict[str, str]()
            for name in listed:
                path = folder / f"{name}.json"
                try:
                    content: bytes | None = path.read_bytes()
                except FileNotFoundError:
                    content = self.bucket.read(f"wanted/{name}.json")
                if content is not None and (experiment := _experiment(content)):
                    experiments[name] = experiment
                    write(path, content)
        groups_by_name = {
            name: groups.read(self.store.root / "groups" / name) for name in experiments
        }
        for experiment in {
            experiments[name] for name, group in groups_by_name.items() if group is None
        }:
            self.groups(experiment)
        lacks = {
            p: g.experiment
            for g in groups_by_name.values()
            if g
            for p in g.parents
            if self.store.get(p, g.experiment) is None
        }
        for experiment in set(
            lacks.values()
        ):  # what a group builds on, stored by another machine since
            runs.fetch(
                self.bucket,
                self.store,
                experiment,
                [p for p in runs.list_runs(self.bucket, experiment) if p.key in lacks],
            )

    def follow(self, waited: Sequence[RunGroup]) -> None:
        """Take note of groups that other machines finished, or failed at; asked every few seconds.
        Raises: StoreError."""
        if not self._due("followed"):
            return
        held = self.bucket.names("leases")
        self._held = {name.split("/")[1] for name in held if name.count("/") == 2}
        wanted_groups = self._wanted_groups()
        for experiment in {group.experiment for group in waited}:
            listed = self.bucket.names(f"groups/{experiment}")
            for group in (g for g in waited if g.experiment == experiment):
                name = _name(group)
                if (
                    name not in listed and self.bucket.read(name) is None
                ):  # the list may be late, what is read is not
                    runs.fetch(
                        self.bucket, self.store, experiment, runs.list_runs(self.bucket, experiment)
                    )
                    if (
                        group.keys <= self.store.get_all(group.keys, experiment).keys()
                        and group.folder.exists()
                    ):
                        self.store.remove(group.folder)
                elif (
                    group.name not in wanted_groups
                    and (content := self.bucket.read(f"failed/{group.name}.json")) is not None
                ):
                    with explained(self.store.root):
                        write(group.folder / "failed.json", content)
                        (self.store.root / "wanted" / f"{group.name}.json").unlink(missing_ok=True)

    def held(self, name: str) -> bool:
        """Whether a machine had this lease when groups were last followed."""
        return name in self._held

    @property
    def at_work(self) -> int:
        """How many groups machines were at when they were last followed."""
        return sum(name.startswith("group-") for name in self._held)

    def _wanted_groups(self) -> set[str]:
        return {m[1] for name in self.bucket.names("wanted") if (m := WANTED.fullmatch(name))}

    def _due(self, what: str) -> bool:
        current_time = time.monotonic()
        if current_time - self._asked.get(what, -math.inf) < AGAIN:
            return False
        self._asked[what] = current_time
        return True

    def survey(self) -> dict[str, int]:
        """Fetch every result and look, and count the runs of each experiment. Raises:
        StoreError."""
        if not self._known():
            return {}
        notes.fetch(self.bucket, self.store, notes.list_notes(self.bucket))
        return runs.count(self.bucket)

    def prepare(self) -> None:
        """Make the place a depot, where it is empty. Raises: StoreError where it holds something
        else, or cannot be written."""
        if not self._known():
            strange = sorted(name for name in self.bucket.top() if name not in PARTS)
            if strange:
                raise StoreError(
                    f"{self.url} has no store.json but holds {strange[0]}; name an empty "
                    "bucket or a new prefix with --root"
                )
            self.bucket.insist(HEADER, canonical_json({"format": FORMAT}).encode())

    def _known(self) -> bool:
        """Whether the place is a depot, and not an empty one. Raises: StoreError where it cannot be
        reached, or is newer."""
        if self._seen:
            return True
        header = self.bucket.read(HEADER)
        if header is None:
            self.bucket.top()  # which refuses a place that is not there
            return False
        try:
            number = int(json.loads(header)["format"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return False  # cut off: written again
        if number > FORMAT:
            raise StoreError(
                f"the depot {self.url} has format {number}, this version reads up to "
                f"{FORMAT}; upgrade Assay"
            )
        self._seen = True
        return True


def _experiment(content: bytes) -> str:
    """Whose group is wanted; "" where that cannot be read."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        name = str(json.loads(content)["name"])
        return name if origin.NAME.fullmatch(name) else ""
    return ""


def _name(group: RunGroup) -> str:
    """The name of a group's object."""
    return f"groups/{group.experiment}/{group.name}.json"


def _lease(folder: Path) -> str:
    return artefacts.name_of(folder).replace("/", "-")


def mirror(url: str) -> Path:
    """The folder of the store in which this machine works on the depot at this URL; it lies in the
    cache, and may be deleted whenever everything in it was sent. Raises: StoreError for a URL that
    holds a password."""
    url = sound(url)
    root = cache.folder() / "depots" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not (root / NOTE).exists():
        with explained(root):
            Store(root).prepare()
            write(root / NOTE, canonical_json({"url": url}).encode())
    return root


_depots: dict[Path, Depot] = {}


def open_depot(root: Path) -> Depot | None:
    """The depot that the store in this folder mirrors, the same for the life of this process; None
    for a store of its own."""
    url = url_of(root)
    if not url:
        return None
    known = _depots.get(root.absolute())
    if known is None or known.url != url:
        known = _depots[root.absolute()] = Depot(Store(root), url)
    return known
