"""Runs one group of runs: a Bench for the experiment, training, measuring, one stored folder per
run.

`serve` makes a process a worker: it takes tasks as JSON lines on standard input and answers on
standard output until its input closes, which the kernel does when the parent dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.core import foreign, inputs
from assay.core.errors import AssayError, DamageError, RunError
from assay.core.experiment import Experiment, Joint
from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.core.measures import one_run
from assay.core.plain import plain
from assay.core.runs import Runs
from assay.core.spec import Spec, canonical_json
from assay.lab.catalogue import STORE, load
from assay.lab.store import groups, origin, provenance
from assay.lab.store.atomic import explained, write
from assay.lab.store.folder import discard
from assay.lab.store.origin import STUDIES, Present, files
from assay.lab.store.runs import Job, Made, Stored, concatenate, rows
from assay.lab.store.store import Store
from assay.lab.work import memory
from assay.lab.work.events import Outcome, Progress, Report, Started, Task, to_line


@dataclass
class Setting:
    """Where and for whom a group is worked on."""

    store: Store
    experiment: Experiment
    device: str
    report: Report
    watch: inputs.Watch

    def __post_init__(self) -> None:
        # at once: the file may be edited while a group is trained
        self.code = origin.code(self.experiment.origin) if self.experiment.origin else ""
        self.home = origin.home(self.experiment.origin)


class Workbench:
    """What the experiment is handed: the device, shared artefacts, checkpoints, and a place to
    report to."""

    def __init__(self, setting: Setting, group: groups.RunGroup, clock: tuple[float, float]):
        self.device = torch.device(setting.device)
        self.root = setting.store.root
        self._setting, self._store, self._group = setting, setting.store, group
        self._origin = setting.experiment.origin
        self._slots = 0
        self._reported = 0.0
        self._clock = _Clock(group.folder / "clock.json", *clock)

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        """The folder of this artefact, built once and shared by everyone who asks for the same."""
        return self.artefacts([spec], lambda _, partial: build(partial))[0]

    def artefacts(self, specs: Sequence[Spec], build: Callable[[Any, Path], None]) -> list[Path]:
        """The folders of these artefacts; processes that ask for the same ones share the
        building."""

        def noted(spec: Any, partial: Path) -> None:
            with inputs.Watch(*files(self._origin)) as watch:
                watch.works_in(self.root)
                build(spec, partial)
            files_read = {self._seen(path): digest for path, digest in watch.files.items()}
            if read := inputs.packed(files_read, map(self._seen, watch.unchecked)):
                write(partial / inputs.NOTE, read)

        for spec in specs:
            if why := self._outdated(path := self._store.artefact_path(spec)):
                self._store.set_aside(path, why, "out of date")
        paths = self._store.artefacts(specs, noted)
        for path in paths:
            if (note := path / inputs.NOTE).exists():
                inputs.take_over(foreign.read_stored(note), self.root.resolve())
        return paths

    def _seen(self, path: str) -> str:
        """The place of a file that an artefact is made from, as its note has it."""
        return inputs.as_seen_from(self.root, path)

    def _outdated(self, artefact: Path) -> str:
        """Say what an artefact was made from that has changed; empty where nothing has."""
        note = artefact / inputs.NOTE
        read = inputs.unpacked(foreign.read_stored(note))[0] if note.exists() else {}
        changed = Present(self.root.resolve()).changed(read)
        return changed and f"it was made from {changed}"

    def read_for(self, runs: Sequence[Stored]) -> None:
        """Note what stored runs read on which this group builds."""
        for run in runs:
            if inputs.NOTE in run.files:
                inputs.take_over(foreign.read_stored(run.folder / inputs.NOTE), self._setting.home)

    def read(self) -> bytes:
        """What was read from outside, as it is stored with a run."""
        # A study is data: each arm declares all that it reads, and no arm what another one reads.
        files = {} if self._origin.endswith(STUDIES) else self._setting.watch.files
        return inputs.packed(files, self._unchecked(), self._setting.home)

    def _unchecked(self) -> set[str]:
        """List the files read past Assay, without those whose SHA-256 the experiment declares."""
        declared = tuple(v for m in self._group.inputs.values() for v in m.values() if len(v) >= 12)
        return {
            path
            for path in self._setting.watch.unchecked
            if not declared or not (inputs.hash_current(Path(path)) or "").startswith(declared)
        }

    def slot(self) -> FileSlot:
        """The checkpoint of the next call of `fit`, in order of the calls."""
        self._slots += 1
        return FileSlot(self, self._group.folder / f"fit-{self._slots - 1:02d}.safetensors")

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Pass on how far this group is, at most four times a second."""
        if time.monotonic() - self._reported >= 0.25 or done >= total:
            self._reported = time.monotonic()
            finite = {k: float(v) for k, v in numbers.items() if np.isfinite(v)}
            self._setting.report(
                Progress(
                    self._group.name,
                    tuple(self._group.arms),
                    int(done),
                    int(total),
                    finite,
                    unit=unit,
                    seeds=self._group.seeds,
                )
            )

    def about(self) -> dict[str, Any]:
        """The provenance of each run of this group; CPU-seconds are the group's, divided by its
        runs."""
        sessions = self._clock.sessions()
        seconds, cpu = sum(e - s for s, e, _ in sessions), sum(c for *_, c in sessions)
        unchecked = sorted({plain(Path(path).name) for path in self._unchecked()})
        return {
            "group": self._group.name,
            "runs": len(self._group.members),
            "cpu_seconds": round(cpu / len(self._group.members), 4),
            "seconds": round(seconds, 3),
            "sessions": [[round(s, 3), round(e, 3)] for s, e, _ in sessions],
            "peak_rss": provenance.peak_rss(),
            "device": str(self.device),
            "finished": provenance.timestamp(),
            "software": provenance.software(),
            "machine": provenance.machine(),
            "code": self._setting.code,
            **({"unchecked": unchecked} if unchecked else {}),
        }


class FileSlot:
    """The checkpoint of one call of `fit`, as one file that is replaced by rename.

    It carries the hash of the experiment's file: half a training by one text and half by another
    would be neither's, and nothing stored would show it.
    """

    def __init__(self, bench: Workbench, path: Path):
        self._bench, self._path = bench, path
        self._code, self._home = bench._setting.code, bench._setting.home
        self._every = float(os.environ.get("ASSAY_CHECKPOINT_SECONDS", "20"))
        self._last = time.monotonic()

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last saved (step, tensors), or None, also where another text or other inputs made
        it."""
        if not self._path.exists():
            return None
        checkpoint = groups.whole(self._path)
        if checkpoint is None:
            message = f"the checkpoint {self._path} is damaged or older than hashes of checkpoints"
            print(f"{message}; this group starts again", file=sys.stderr)
            return None
        metadata, tensors = checkpoint
        read = inputs.unpacked(metadata["read"])[0] if metadata.get("read") else {}
        if metadata.get("code") != self._code or Present(self._home).changed(read):
            return None
        if read:
            inputs.take_over(metadata["read"].encode(), self._home)
        return metadata["step"], tensors

    def due(self) -> bool:
        """True when the last save is long enough ago; saving never takes more than a twentieth of
        the time."""
        return time.monotonic() - self._last >= self._every

    def save(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Replace the checkpoint by this one, whole."""
        from safetensors.torch import save_file

        started = time.monotonic()
        whole: dict[str, torch.Tensor] = {
            # Copied: safetensors refuses tensors that share memory.
            k: v.detach().cpu().clone(memory_format=torch.contiguous_format)
            for k, v in tensors.items()
        }
        metadata = {
            "step": step,
            "code": self._code,
            "sha256": groups.digest(whole, step, self._code),
            "read": self._bench.read().decode(),
        }
        text = {"assay": canonical_json(metadata)}
        with explained(self._bench.root):
            write(self._path, lambda path: save_file(whole, path, metadata=text))
        self._bench._clock.note()
        self._last = time.monotonic()
        # A checkpoint that took a second is next due after twenty at least.
        self._every = max(self._every, 20 * (self._last - started))


class _Clock:
    """The sessions a group was worked on, on disk so that a kill does not lose the time it cost."""

    def __init__(self, path: Path, started: float, cpu: float):
        self._path, self._started, self._cpu = path, started, cpu
        try:
            self._before = [
                [float(a), float(b), float(c)] for a, b, c in json.loads(foreign.read_stored(path))
            ]
        except (OSError, ValueError, TypeError, RecursionError):
            self._before = []

    def sessions(self) -> list[list[float]]:
        """All sessions as [start, end, CPU-seconds], this one included up to now."""
        this = [self._started, time.time(), provenance.cpu_seconds() - self._cpu]
        return [*self._before, this]

    def note(self) -> None:
        """Write all sessions up to now."""
        with explained(self._path.parent):
            write(self._path, json.dumps(self.sessions()).encode())


def run_group(task: Task, report: Report, cpu_before: float | None = None) -> Outcome:
    """How the group ended; everything a user can cause, and every crash of the experiment, comes
    back as a failed Outcome.

    `cpu_before` is the process's CPU time from which this group pays; by default the present one.
    Raises: KeyboardInterrupt.
    """
    clock = (task.since, provenance.cpu_seconds() if cpu_before is None else cpu_before)
    try:
        store = Store(task.root)
        STORE.set(store.root)
        experiment = task.experiment
        if experiment is None:
            experiment = load(task.name, task.origin)
        watch = origin.watch(experiment.name, experiment.origin)
        watch.works_in(store.root)
        with groups.locked(store, task.group) as ours, watch:
            if not ours:
                return Outcome(task.group, "busy")
            group = groups.read(store.root / "groups" / task.group)
            if group is None:  # another process finished it
                return Outcome(task.group, "done")
            experiment = experiment.designed([str(m.spec.get("_")) for m in group.members[:1]])
            report(Started.describe(group))
            discard(group.folder / "failed.json")
            try:
                work = _GroupWork(store, experiment, task.device, report, watch)
                try:
                    stored = work.fit_memory(group, clock)
                # found at first touch, so nothing was computed on it: it is built again, training
                # goes on
                except DamageError as e:
                    store.set_aside(e.folder, e.why)
                    stored = work.fit_memory(group, clock)
            except KeyboardInterrupt:
                raise
            except BaseException as e:
                note_failure(group.folder, *_described(e))
                raise
            store.remove(group.folder)
            return Outcome(task.group, "done", stored=stored)
    except KeyboardInterrupt:
        raise
    except BaseException as e:
        # sys.exit too: what an experiment raises ends no worker and no command
        kind, text = _described(e)
        return Outcome(task.group, "failed", error=kind, text=text)


def keeps(experiment: Experiment, arm: str) -> bool:
    """True when the parameters of this arm are stored: it says so, or another arm builds on it."""
    return experiment.arms[arm].keep or any(a.after == arm for a in experiment.arms.values())


class _GroupWork(Setting):
    """One group at work: its missing runs are trained, measured and stored."""

    def fit_memory(self, group: groups.RunGroup, clock: tuple[float, float]) -> int:
        """Work on a group; where the memory does not suffice, on one half after the other, which
        gives the same numbers. How many were stored.

        Halves stay halves after a kill. Raises: RunError where a single run lacks memory.
        """
        if not group.halved:
            try:
                return self._work(group, Workbench(self, group, clock))
            except Exception as e:
                if not memory.lacked(e):
                    raise
                message = plain((str(e).splitlines() or [""])[0][:200]) or type(e).__name__
            memory.hand_back()  # the error is gone by here, and with it what its frames held
            if len(group.members) == 1:
                (arm,) = group.arms
                raise RunError(
                    f"one run of arm {arm}, {group.seeds}, needs more memory than there is "
                    f"({message}); make it smaller with --set, or use a larger machine"
                )
            print(
                f"{len(group.members)} runs at once ({', '.join(group.arms)}, {group.seeds}) need "
                f"more memory than there is ({message}); "
                "they go on in two halves, with the same results",
                file=sys.stderr,
            )
        stored = 0
        for half in group.halves():
            half.folder.mkdir(exist_ok=True)
            stored += self.fit_memory(half, clock)
            clock = (time.time(), provenance.cpu_seconds())
        return stored

    def _work(self, group: groups.RunGroup, bench: Workbench) -> int:
        experiment, text = self.experiment, origin.text(self.experiment)
        present = Present(self.home)
        stored_runs = self.store.get_each(group.places, experiment.name)

        def is_current(stored: Stored) -> bool:
            """Whether the present text and inputs trained it."""
            then, now = (
                origin.compared(experiment, i) for i in (stored.inputs, group.inputs[stored.key])
            )
            edited = text.whole and not text.made(stored)
            return then == now and not edited and not present.changed(stored.read)

        def fits(stored: Stored) -> bool:
            return (
                stored.measured == experiment.measured
                and is_current(stored)
                and (stored.has_params or not keeps(experiment, stored.arm))
            )

        todo = {k for k in group.keys if k not in stored_runs or not fits(stored_runs[k])}
        if not todo:
            return 0
        runs = {arm: Runs(groups.specs(experiment, group, arm)) for arm in group.arms}
        if len(stored_runs) == len(group.keys) and all(
            s.has_params and is_current(s) for s in stored_runs.values()
        ):
            # Only the meaning of measuring changed.
            bench.read_for(list(stored_runs.values()))
            trained = {
                arm: concatenate([stored_runs[m.key].trained() for m in members])
                for arm, members in group.arms.items()
            }
        else:
            trained = self._train(group, runs, bench)
        made = [
            run
            for arm in group.arms
            for run in self._measure(group, arm, runs[arm], trained[arm], bench)
            if run.job.key in todo
        ]
        noted, read = {**bench.about(), "text": text.whole}, bench.read()
        self.store.put_all(
            [replace(run, provenance=noted, read=read) for run in made],
            measured=experiment.measured,
        )
        return len(made)

    def _measure(
        self, group: groups.RunGroup, arm: str, runs: Runs, trained: Trained, bench: Workbench
    ) -> Iterator[Made]:
        """Measure an arm, and give each of its runs as it is to be stored."""
        experiment = self.experiment
        # an arm may have loaded or made its tensors elsewhere
        tensors = trained.to(bench.device)
        data = (experiment.arms[arm].measure or experiment.measure)(runs, tensors, bench)
        diverged = np.asarray(tensors.diverged, dtype=bool)
        if "diverged" in data:  # measuring may find more
            diverged = diverged | np.asarray(data.diverged.values, dtype=bool)
        data = data.assign(diverged=("run", diverged, {"units": "bool"}))
        for i, (m, spec) in enumerate(zip(group.arms[arm], runs.specs, strict=True)):
            job = Job(experiment.name, experiment.version, arm, spec)
            params = rows(tensors, [i]) if keeps(experiment, arm) else None
            how: Literal["done", "diverged"] = "diverged" if diverged[i] else "done"
            yield Made(job, one_run(data, i), params, group.inputs[m.key], status=how)

    def _train(
        self, group: groups.RunGroup, runs: Mapping[str, Any], bench: Workbench
    ) -> dict[str, Trained]:
        names = list(group.arms)
        train = self.experiment.arms[names[0]].train
        if isinstance(train, Joint):
            return dict(zip(names, train.train([runs[a] for a in names], bench), strict=True))
        assert train is not None and len(names) == 1, names
        (arm,) = names
        if self.experiment.arms[arm].after is None:
            return {arm: train(runs[arm], bench)}
        keys = [m.parent or "" for m in group.arms[arm]]
        parents = self.store.get_all(set(keys), self.experiment.name)
        assert parents.keys() == set(keys), "a group starts only when its parents are stored"
        stored = [parents[key] for key in keys]
        bench.read_for(stored)
        trained = concatenate([s.trained() for s in stored]).to(bench.device)
        return {arm: train(runs[arm], bench, trained)}


def note_failure(folder: Path, kind: str, text: str) -> None:
    """Write next to a group what it died of, with the name of an error of `core.errors`."""
    with contextlib.suppress(OSError):  # a full disk must not hide the error that is being reported
        write(folder / "failed.json", canonical_json({"error": text, "kind": kind}).encode())


def _described(error: BaseException) -> tuple[str, str]:
    if isinstance(error, AssayError):
        return type(error).__name__, plain(str(error))
    return "RunError", _short(error)


def _short(error: BaseException) -> str:
    """The last places of a traceback and the error, over few lines."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parents[1]
    theirs = [f for f in frames if ours not in Path(f.filename).parents] or list(frames)
    places = [
        f"{Path(f.filename).name} line {f.lineno}, in {f.name}: {f.line}" for f in theirs[-3:]
    ]
    return plain("\n  ".join([f"{type(error).__name__}: {error}", *reversed(places)]))


def prepare(line: str) -> None:
    """Open in this process what the runs of a task's study read, or import what training imports,
    so that workers forked from it have it. A study is data: nothing that somebody wrote as a
    program runs here."""
    task = Task(**json.loads(line))
    STORE.set(Path(task.root))
    shared = load(task.name, task.origin).shared if task.origin.endswith(STUDIES) else None
    if shared is not None:
        shared.open(task.device)
    else:
        from torch import _dynamo  # noqa: F401 — as the first step of an optimiser does


def serve() -> None:
    """Answer tasks until standard input closes. Prints of an experiment go to standard error."""

    # Ctrl-C reaches every process of the terminal; the parent stops us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Answers keep a copy of descriptor 1 for themselves, and 1 becomes standard error: what
    # experiments and C libraries print does not get among them.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(line)
        os._exit(0)  # the parent is gone or done with us

    threading.Thread(target=listen, daemon=True).start()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    paid = 0.0  # the first group pays for the imports
    name = ""
    while True:
        task = Task(**json.loads(tasks.get()))
        if name not in ("", task.name) and memory.is_short():
            memory.hand_back()
        name = task.name
        # the memory of this group, not of the largest that this worker ever had
        provenance.forget_peak()
        try:
            outcome = run_group(task, lambda event: print(to_line(event), file=answers), paid)
        except KeyboardInterrupt as e:  # an experiment's own: what a terminal sends is ignored here
            outcome = Outcome(task.group, "failed", error="RunError", text=_short(e))
        paid = provenance.cpu_seconds()
        print(to_line(outcome), file=answers)
