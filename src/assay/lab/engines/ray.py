"""Ray: each group is a task of a Ray cluster; its runs travel back through Ray, and this process
stores them. No folder is shared.

Source: docs.ray.io: tasks, actors, fault tolerance, Ray Client, token authentication (Ray 2.60)."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import secrets
import sys
import tempfile
import time
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core import cache, heavy, inputs
from assay.core.errors import AssayError, EngineError
from assay.core.heavy import torch
from assay.core.plain import plain
from assay.lab.catalogue import load
from assay.lab.store import groups, provenance
from assay.lab.store.atomic import write_folders
from assay.lab.store.folder import discard
from assay.lab.store.groups import RunGroup
from assay.lab.store.origin import code, files, home, watch
from assay.lab.store.provenance import cores
from assay.lab.store.store import Store
from assay.lab.work.events import Outcome, Relay, Report, Task, to_line
from assay.lab.work.worker import note_failure, run_group

RETRIES = 3
"""How often Ray begins a group again whose process or node was lost."""
POLL = 0.5
"""Seconds between two looks at what nodes say."""
# Ray reports nothing to its makers and leaves CUDA_VISIBLE_DEVICES alone; processes of a cluster
# that is started here have the usual priority: by default, on a busy machine, they would starve.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}
LOST = ("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError", "OutOfMemoryError")
"""What Ray raises where a process or a node is gone for good."""
_END = object()


class Ray:
    """Runs tasks in the Ray cluster at `address` (ray://HOST:PORT), or, without one, in that of
    this machine; where none runs, one is started that ends with this process.

    At most `workers` run at the same time, 0: as many as the nodes have room for. Each has
    `threads` CPUs, `gpus` GPUs and `memory` bytes."""

    def __init__(
        self, address: str = "", workers: int = 0, threads: int = 1, gpus: int = 0, memory: int = 0
    ):
        heavy.require("ray")
        self._address, self._workers, self._threads = address, workers, threads
        self._needs = {"CPU": threads, "GPU": gpus, "memory": memory}
        self._options = {"num_cpus": threads, "num_gpus": gpus, "memory": memory or None}

    @property
    def width(self) -> int:
        """How many tasks run at the same time. Raises: EngineError where no node has room."""
        if self._workers:
            return self._workers
        needs = [(resource, n) for resource, n in self._needs.items() if n]
        nodes = [node["Resources"] for node in _connect(self._address).nodes() if node["Alive"]]
        room = sum(int(min(node.get(resource, 0) // n for resource, n in needs)) for node in nodes)
        if not room:
            words = ", ".join(f"{n} {resource}" for resource, n in needs)
            raise EngineError(f"no node of the Ray cluster has {words}, which a group needs")
        return room

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as it ends. Raises: EngineError."""
        source, width, relay = iter(tasks), self.width, Relay(report)
        ray, running = _connect(self._address), dict[Any, Claimed]()
        heard = ray.util.queue.Queue(actor_options={"num_cpus": 0, "max_restarts": -1})
        work = ray.remote(max_retries=RETRIES, scheduling_strategy="SPREAD", **self._options)(_work)
        task: object = None
        try:
            while task is not _END or running:
                while task is not _END and len(running) < width:
                    if not isinstance(task := next(source, _END), Task):
                        break
                    group = Claimed.claim(task)
                    if isinstance(group, Outcome):
                        yield group
                    else:
                        running[work.remote(Parcel.pack(group, self._threads), heard)] = group
                if not running:
                    time.sleep(POLL)
                    continue
                ended, _ = ray.wait([*running], timeout=POLL)
                with contextlib.suppress(ray.exceptions.RayError):  # it was lost with its node
                    for line in heard.get_nowait_batch(heard.qsize()):
                        relay.line(line, {c.group.name: c.group for c in running.values()})
                for ref in ended:
                    claimed = running.pop(ref)
                    yield claimed.store(*_result(ray, ref, claimed.group.name), relay)
        finally:
            for ref, claimed in running.items():
                with claimed.lock, contextlib.suppress(Exception):  # the cluster may be gone
                    ray.cancel(ref, force=True)


def _work(parcel: Parcel, heard: Any) -> tuple[Outcome, list[Files]]:
    """Work on a group, on a node; nothing waits for the queue, whose node may be lost."""
    return parcel.work(lambda event: heard.actor.put_nowait.remote(to_line(event)))


def _result(ray: Any, ref: Any, group: str) -> tuple[Outcome, list[Files]]:
    """How a task ended, and the runs that it gave."""
    try:
        return ray.get(ref)
    except ray.exceptions.RayError as e:  # an experiment's own errors come as an outcome
        if type(e).__name__ in LOST:
            kind, text = "RunError", f"Ray lost its process or node {RETRIES + 1} times: {_last(e)}"
        else:
            kind, text = "EngineError", f"a node of the Ray cluster cannot work: {_last(e)}"
    return Outcome(group, "failed", error=kind, text=text), []


def _connect(address: str) -> Any:
    """Give Ray, connected. Raises: EngineError."""
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    running = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster").exists()
    address = address or os.environ.get("RAY_ADDRESS") or ("auto" if running else "local")
    if address == "local" and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # whatever reaches its ports could run anything here; Ray reads these when it is imported
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray.util.queue

    again, more = True, dict[str, Any](logging_level=logging.ERROR, log_to_driver=False)
    more |= {"num_cpus": cores(), "include_dashboard": False} if address == "local" else {}
    while not ray.is_initialized():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address, **more)
        except Exception as e:
            # of two clients that come at once Ray may fail to start the server of one
            if again and "client server failed" in str(e):
                again = False
                continue
            where = "on this machine" if address in ("auto", "local") else f"at {address}"
            advice = "; see that the port is that of Ray Client (10001), and that a token is set"
            advice *= address.startswith("ray://")
            raise EngineError(f"no Ray cluster {where} can be reached: {_last(e)}{advice}") from e
    return ray


def _last(error: Exception) -> str:
    return plain((str(error).strip() or type(error).__name__).splitlines()[-1].strip())[:500]


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
            run_ids = {run.id for run in store.list()}
            local_task = replace(task, root=str(root), origin=origin, since=time.time())
            outcome = run_group(local_task, report)
            new_runs = [_files(run.folder) for run in store.list() if run.id not in run_ids]
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
