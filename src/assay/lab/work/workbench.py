"""Workbench: what an experiment is handed while a group of its runs is trained and measured, with
the checkpoints and the clock of that group, which outlive a kill."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import foreign, inputs
from assay.core.experiment import Experiment
from assay.core.heavy import torch
from assay.core.plain import plain
from assay.core.spec import Spec, canonical_json
from assay.lab.store import groups, origin, provenance
from assay.lab.store.atomic import explained, write
from assay.lab.store.origin import STUDIES, Present, files
from assay.lab.store.runs import Stored
from assay.lab.store.store import Store
from assay.lab.work.events import Progress, Report


@dataclass
class Setting:
    """Where and for whom a group is worked on."""

    store: Store
    experiment: Experiment
    device: str
    report: Report
    watch: inputs.Watch

    def __post_init__(self) -> None:
        # at once: an edit of the file while a group is trained belongs to no text of it
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
