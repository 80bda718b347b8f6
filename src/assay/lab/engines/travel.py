"""Travel: a group on its way to a machine that shares no folder with the store, and what it gives.

There it works in a small store of its own in Assay's cache, next to the artefacts (harvests, say)
of the same experiment. A user's files go along: the experiment's, and those next to it or below
that it reads when it is loaded.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assay.core import cache, inputs
from assay.core.errors import AssayError, EngineError
from assay.core.heavy import torch
from assay.lab.catalogue import load
from assay.lab.store import groups, provenance
from assay.lab.store.atomic import write_folders
from assay.lab.store.folder import discard
from assay.lab.store.groups import RunGroup
from assay.lab.store.origin import code, files, home, watch
from assay.lab.store.store import Store
from assay.lab.work.events import Outcome, Relay, Report, Task
from assay.lab.work.worker import note_failure, run_group

Files = Mapping[str, bytes]
"""The files of a folder, by name."""


@dataclass(frozen=True)
class Claimed:
    """A group that this process has sent away, and its lock, so that no other command trains it."""

    task: Task
    group: RunGroup
    lock: contextlib.ExitStack

    @classmethod
    def claim(cls, task: Task) -> Claimed | Outcome:
        """Take a group; how it ended where another process has it, or has finished it."""
        with contextlib.ExitStack() as stack:
            store = Store(task.root)
            if not stack.enter_context(groups.locked(store, task.group)):
                return Outcome(task.group, "busy")
            group = groups.read(store.root / "groups" / task.group)
            if group is None:
                return Outcome(task.group, "done")
            return cls(task, group, stack.pop_all())

    def store(self, outcome: Outcome, runs: Sequence[Files], relay: Relay) -> Outcome:
        """Store what came back, and give the group's lock back. Raises: StoreError."""
        with self.lock:
            store = Store(self.task.root)
            store.take(runs)
            if outcome.status == "done":
                relay.begin(self.group)
                store.remove(self.group.folder)
            elif outcome.status == "failed":
                note_failure(self.group.folder, outcome.error, outcome.text)
        return outcome


@dataclass(frozen=True)
class Parcel:
    """A group on its way to another machine."""

    task: str
    threads: int
    keys: bytes
    """The group's keys.json."""
    runs: Sequence[Files]
    """Those of its runs that are stored already, and the runs that it builds on."""
    user_files: Files
    """By their places below the folder of the experiment."""
    code: str
    version: str

    @classmethod
    def pack(cls, claimed: Claimed, threads: int) -> Parcel:
        """Pack what a group needs."""
        task, group = claimed.task, claimed.group
        needed = Store(task.root).get_all(group.keys | group.parents, group.experiment)
        return cls(
            task.to_json(),
            threads,
            (group.folder / "keys.json").read_bytes(),
            [_files(run.folder) for run in needed.values()],
            _user_files(task),
            code(task.origin),
            _version(),
        )

    def work(self, report: Report) -> tuple[Outcome, list[Files]]:
        """Work on the group on this machine: how it ended, and the runs that it gave."""
        task = Task(**json.loads(self.task))
        torch.set_num_threads(self.threads)
        provenance.forget_peak()
        # artefacts are found by their specs, and another text may mean something else by them
        machine = Store(cache.folder() / "elsewhere" / f"{task.name}-{self.code}").prepare()
        root = machine.root / "tasks" / task.group
        with (
            machine.locked(f"task-{task.group}") as ours,
            tempfile.TemporaryDirectory(prefix="assay-") as scratch,
        ):
            if not ours:
                return Outcome(task.group, "busy"), []
            try:
                origin = self._origin(task, Path(scratch))
            except AssayError as e:
                return Outcome(task.group, "failed", error=type(e).__name__, text=str(e)), []
            discard(root / "runs")  # of a process that was killed; its checkpoints stay
            store = Store(root).prepare()
            for part in ("artefacts", "locks"):
                (machine.root / part).mkdir(exist_ok=True)
                if not (root / part).exists():
                    (root / part).symlink_to((machine.root / part).absolute())
            if groups.read(folder := root / "groups" / task.group) is None:
                write_folders({folder: {"keys.json": self.keys}}, root / "tmp")
            store.take(self.runs)
            before = {run.id for run in store.list()}
            local_task = replace(task, root=str(root), origin=origin, since=time.time())
            outcome = run_group(local_task, report)
            new_runs = [_files(run.folder) for run in store.list() if run.id not in before]
            discard(root)
            return outcome, new_runs

    def _origin(self, task: Task, folder: Path) -> str:
        """Where the experiment is on this machine: at its own path where that has the same text,
        else in this folder. Raises: EngineError."""
        if _version() != self.version:
            raise EngineError(
                f"a node has Assay {_version()}, and this machine {self.version}; install the same"
            )
        start = home(task.origin)
        if code(task.origin) == self.code:
            return task.origin
        if start is None:
            raise EngineError(f"a node has another text of {task.origin}; install the same version")
        for place, data in self.user_files.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return str(folder / Path(task.origin).relative_to(start))


def _user_files(task: Task) -> dict[str, bytes]:
    start = home(task.origin)
    if start is None:
        return {}
    with inputs.Watch() as reading:
        load(task.name, task.origin)
    modules = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    neighbours = [path for path in map(Path, modules) if path.parent == start]
    read = map(Path, (*reading.files, *watch(task.name, task.origin).files))
    return {
        path.relative_to(start).as_posix(): path.read_bytes()
        for path in {*files(task.origin), *neighbours, *read}
        if path.is_relative_to(start) and path.is_file()
    }


def _files(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _version() -> str:
    return importlib.metadata.version("interp-assay")
