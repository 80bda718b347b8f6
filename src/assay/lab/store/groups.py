"""Groups: the runs that are trained together, as a folder that outlives a kill.

    groups/<16hex>/keys.json             which runs: arms in order, and for each run its key, spec
                                         and parent's key
                   fit-00.safetensors …  the checkpoint of each call of `fit`
                   clock.json            the sessions it was worked on: start, end, CPU-seconds
                   progress.json         how far it is, where a job on SLURM works on it
                   failed.json           the last crash, if any
                   half-0/ half-1/       where the memory did not suffice for all runs at once: the
                                         same of each half

A group is one arm, or all arms of one Joint, times a block of seeds. It is formed once, under a
lock, and taken up again by any process that misses one of its runs, so that neither a kill nor the
number of workers changes who is trained with whom."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import StoreError
from assay.core.experiment import Experiment, Joint
from assay.core.heavy import torch
from assay.core.spec import Spec, canonical_json
from assay.lab.store import provenance
from assay.lab.store.atomic import explained, write_folders
from assay.lab.store.runs import Job
from assay.lab.store.store import Store

HALVES = ("half-0", "half-1")
"""The folders of a group's halves."""


@dataclass(frozen=True)
class Member:
    """One run of a group: its key, its spec as stored, and the key of the run it builds on."""

    key: str
    spec: Mapping[str, Any]
    parent: str | None


@dataclass(frozen=True)
class RunGroup:
    """An unfinished group."""

    folder: Path
    experiment: str
    version: int
    inputs: Mapping[str, Mapping[str, str]]
    """What each run reads from outside, by key."""
    arms: Mapping[str, tuple[Member, ...]]
    part_of: str = ""
    """Of a half the name of the whole group."""

    @property
    def name(self) -> str:
        """16 hex digits that name the group."""
        return self.part_of or self.folder.name

    @property
    def halved(self) -> bool:
        """Whether its halves are worked on one after the other."""
        return (self.folder / HALVES[0]).is_dir()

    def halves(self) -> tuple[RunGroup, RunGroup]:
        """The group in two, by seeds where it has several: what its runs give does not depend on
        who is trained with whom."""
        seeds = sorted({m.spec.get("seed", 0) for m in self.members})
        order = [m.key for m in self.members]
        if len(seeds) > 1:
            early = set(seeds[: len(seeds) // 2])
            first = {m.key for m in self.members if m.spec.get("seed", 0) in early}
        else:
            first = set(order[: len(order) // 2])

        def half(name: str, in_first: bool) -> RunGroup:
            arms = {
                arm: tuple(m for m in members if (m.key in first) is in_first)
                for arm, members in self.arms.items()
            }
            return replace(
                self,
                folder=self.folder / name,
                part_of=self.name,
                arms={arm: members for arm, members in arms.items() if members},
            )

        return half(HALVES[0], True), half(HALVES[1], False)

    @property
    def seeds(self) -> str:
        """Its seeds in words, as "seed 1000" or "seeds 1000–1003"; "" where its specs have none."""
        seeds = sorted({m.spec["seed"] for m in self.members if "seed" in m.spec})
        if len(seeds) < 2:
            return f"seed {seeds[0]}" if seeds else ""
        return f"seeds {seeds[0]}–{seeds[-1]}"

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """All runs, arm after arm."""
        return tuple(m for arm in self.arms.values() for m in arm)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of all runs."""
        return frozenset(m.key for m in self.members)

    @cached_property
    def places(self) -> dict[str, tuple[str, int]]:
        """The arm and the seed of each run by its key: where a store has it, without a list."""
        return {m.key: (a, int(m.spec.get("seed", 0))) for a, ms in self.arms.items() for m in ms}

    @cached_property
    def parents(self) -> frozenset[str]:
        """The keys of the runs that have to be stored before this group can start."""
        return frozenset(m.parent for m in self.members if m.parent is not None)

    @property
    def begun(self) -> str:
        """When work on it began, as ISO 8601 in UTC, if a checkpoint of that is kept; else ""."""
        try:
            sessions = json.loads(foreign.read_stored(self.folder / "clock.json"))
            return provenance.timestamp(min(float(start) for start, *_ in sessions))
        except (OSError, ValueError, TypeError, RecursionError):
            return ""

    @property
    def step(self) -> int:
        """The step of the last checkpoint; 0 without one."""
        saved = checkpoints(self.folder)
        return int(checkpoint(saved[-1]).get("step", 0)) if saved else 0

    @property
    def error(self) -> str:
        """What the last attempt died of; empty when it did not."""
        try:
            return str(json.loads(foreign.read_stored(self.folder / "failed.json"))["error"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return ""


def read(folder: Path) -> RunGroup | None:
    """The group in this folder; None when it is finished or was never whole."""
    try:
        text = foreign.read_stored(folder / "keys.json")
        if _hash_keys(text) != folder.name:
            return None  # other runs than those the group was formed for
        return _parse(folder, text)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _parse(folder: Path, text: bytes) -> RunGroup:
    data = json.loads(text)
    arms = {arm: tuple(Member(*m) for m in members) for arm, members in data["arms"]}
    return RunGroup(folder, data["experiment"], data["version"], data["inputs"], arms)


def names(root: Path) -> set[str]:
    """The names of all folders of groups, whole or not; nothing is read."""
    try:
        return set(os.listdir(root / "groups"))  # noqa: PTH208
    except FileNotFoundError:
        return set()


def unfinished(store: Store, experiment: str | None = None) -> Iterator[RunGroup]:
    """The unfinished groups, by name."""
    for folder in sorted((store.root / "groups").glob("*")):
        group = read(folder)
        if group is not None and experiment in (None, group.experiment):
            yield group


def tidy(store: Store, experiment: str, stored: Collection[str]) -> None:
    """Remove the groups all of whose runs are stored, and at which no process is: what a kill
    between the two left behind."""
    for group in unfinished(store, experiment):
        if group.keys <= set(stored):
            # a store that is only read keeps it
            with contextlib.suppress(StoreError), locked(store, group.name) as ours:
                if ours:
                    store.remove(group.folder)


@dataclass(frozen=True)
class WantedRun:
    """A run that is missing: what it is, what it builds on, what it reads from outside."""

    job: Job
    parent: str | None
    inputs: Mapping[str, str]


def locked(
    store: Store, name: str, *, wait: bool = False
) -> contextlib.AbstractContextManager[bool]:
    """Hold the lock of a group, which the process that works on it has; see `Store.locked`."""
    return store.locked(f"group-{name}", wait=wait)


def running(store: Store, experiment: str, preset: str) -> contextlib.AbstractContextManager[bool]:
    """Hold the lock of a preset, which a command that runs it has from before its first task to
    after its last; see `Store.locked`."""
    return store.locked(f"run-{experiment}-{preset}")


@contextlib.contextmanager
def forming(store: Store) -> Iterator[None]:
    """Wait until no other process forms groups, and keep it so for the body. Raises: StoreError."""
    with store.locked("groups", wait=True):
        yield


def form(
    store: Store, experiment: Experiment, requests: Sequence[WantedRun], begun: Sequence[RunGroup]
) -> list[RunGroup]:
    """The groups that cover the wanted runs: those already begun first, new ones for the rest.

    The caller is within `forming`, and listed `begun` before it looked up what is missing: a group
    that another process finishes in between is then known as stored, and not formed a second time.
    """
    inputs = {w.job.key: dict(w.inputs) for w in requests}
    remaining = {w.job.key: w for w in requests}
    resumable = []
    for group in begun:
        covers = group.keys & remaining.keys()
        # A group begun with another model or corpus would give numbers of that one: it is left
        # alone.
        same = all(group.inputs.get(k) == inputs[k] for k in covers)
        is_known = set(group.arms) <= set(experiment.arms)
        if (covers and same and is_known) and all(
            p in inputs or _has_params(store, experiment, p) for p in group.parents
        ):
            resumable.append(group)
            for key in covers:
                del remaining[key]
    blocks = _blocks(experiment, list(remaining.values()))
    texts = [_described(experiment, arms) for arms in blocks]
    folders = {store.root / "groups" / _hash_keys(text): text for text in texts}
    new = {folder: read(folder) for folder in folders}
    with explained(store.root):
        # each whole or not at all, also for a process that looks now
        write_folders(
            {folder: {"keys.json": folders[folder]} for folder in folders if new[folder] is None},
            store.root / "tmp",
        )
    return resumable + [group or _parse(folder, folders[folder]) for folder, group in new.items()]


def ensembles(experiment: Experiment) -> list[tuple[str, ...]]:
    """The arms that are trained together: those of one Joint, else each by itself; derived arms
    left out."""
    arms_by_training: dict[int, list[str]] = {}
    for name, arm in experiment.arms.items():
        if arm.train is not None:
            trained_as = arm.train if isinstance(arm.train, Joint) else arm
            arms_by_training.setdefault(id(trained_as), []).append(name)
    return [tuple(names) for names in arms_by_training.values()]


def _blocks(
    experiment: Experiment, requests: Sequence[WantedRun]
) -> Iterator[dict[str, list[WantedRun]]]:
    for names in ensembles(experiment):
        of_seed: dict[int, list[int]] = {}
        for i, w in enumerate(requests):
            if w.job.arm in names:
                of_seed.setdefault(w.job.spec.seed, []).append(i)
        seeds = list(of_seed)
        for i in range(0, len(seeds), experiment.seeds_per_group):
            arms: dict[str, list[WantedRun]] = {a: [] for a in names}
            block = seeds[i : i + experiment.seeds_per_group]
            for j in sorted(j for seed in block for j in of_seed[seed]):
                arms[requests[j].job.arm].append(requests[j])
            yield {a: ws for a, ws in arms.items() if ws}


def _has_params(store: Store, experiment: Experiment, key: str) -> bool:
    stored = store.get(key, experiment.name)
    return stored is not None and stored.has_params


def _described(experiment: Experiment, arms: Mapping[str, Sequence[WantedRun]]) -> bytes:
    """What the keys.json of a group of these runs says."""
    members = [
        [a, [[w.job.key, json.loads(w.job.spec.to_json()), w.parent] for w in ws]]
        for a, ws in arms.items()
    ]
    inputs = {w.job.key: dict(w.inputs) for ws in arms.values() for w in ws}
    head = {"experiment": experiment.name, "version": experiment.version}
    return canonical_json({**head, "inputs": inputs, "arms": members}).encode()


def specs(experiment: Experiment, group: RunGroup, arm: str) -> tuple[Spec, ...]:
    """The specs of an arm in this group, in order."""
    cls = spec_class(experiment, arm)
    return tuple(cls.from_json(canonical_json(m.spec)) for m in group.arms[arm])


def spec_class(experiment: Experiment, arm: str) -> type[Spec]:
    """The class of an arm's specs, from the first preset in which it has any."""
    elsewhere = (other.specs for other in experiment.elsewhere.values())
    presets = (experiment.smoke, experiment.default, experiment.full, *elsewhere)
    return next(type(s) for preset in presets for s in experiment.specs_of(arm, preset))


def checkpoints(folder: Path) -> list[Path]:
    """The files of a group's checkpoints, those of its halves too; none where another process just
    finished it."""
    try:
        return sorted(folder.rglob("fit-*.safetensors"))
    except FileNotFoundError:
        return []


def checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's header: step; code, the hash of the experiment's file; sha256;
    empty when it cannot be read."""
    try:
        with foreign.open_stored(path, foreign.LARGEST) as f:
            length = int.from_bytes(f.read(8), "little")
            if length > foreign.STORED:
                return {}
            metadata = dict(json.loads(json.loads(f.read(length))["__metadata__"]["assay"]))
            return metadata if isinstance(metadata.get("step"), int) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def whole(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
    """A checkpoint's header and tensors; None where it differs from its hash, or has
    none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        metadata = checkpoint(path)
        tensors = load_file(path) if metadata else {}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if not metadata:
        return None
    expected = digest(tensors, metadata["step"], str(metadata.get("code")))
    return (metadata, tensors) if metadata.get("sha256") == expected else None


def digest(tensors: Mapping[str, torch.Tensor], step: int, code: str) -> str:
    """64 hex digits of a checkpoint: every tensor's name, type, shape and bytes, the step and the
    text that made it."""
    shapes = {name: [str(t.dtype), list(t.shape)] for name, t in tensors.items()}
    hasher = hashlib.sha256(
        canonical_json({"step": step, "code": code, "tensors": shapes}).encode()
    )
    for name in sorted(tensors):
        hasher.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def damaged(store: Store) -> Iterator[Path]:
    """The folders of groups that no process can go on with, since what they are of was changed or
    lost."""
    # not just finished
    return (
        folder
        for folder in sorted((store.root / "groups").glob("*"))
        if read(folder) is None and folder.is_dir()
    )


def _hash_keys(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]
