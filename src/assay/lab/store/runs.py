"""Runs: one run as a folder of files whose last one, status.json, has the hashes of the others, so
that what was changed or only half written is known for it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from assay.core import foreign, inputs
from assay.core.errors import StoreError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import from_tensors, to_tensors
from assay.core.spec import Spec, canonical_json, key
from assay.lab.store.atomic import SEAL
from assay.lab.store.provenance import timestamp

if TYPE_CHECKING:
    import numpy as np

PARAMS, STATUS = "params.safetensors", "status.json"


class Job(msgspec.Struct, frozen=True, dict=True):
    """What one folder answers: a spec of one arm of one version of an experiment."""

    experiment: str
    version: int
    arm: str
    spec: Spec

    @cached_property
    def key(self) -> str:
        """64 hex digits that name this run."""
        return key(self.experiment, self.version, self.arm, self.spec)


@dataclass(frozen=True)
class Damaged:
    """A folder that cannot be trusted, and why; it counts as missing and is never reused."""

    folder: Path
    reason: str


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One finished run as it is on the disk: a struct, since a plan makes a hundred thousand."""

    place: str
    """The path of its folder."""
    key: str
    experiment: str
    version: int
    arm: str
    spec_json: str
    status: Literal["done", "diverged"]
    measured: int
    inputs: Mapping[str, str]
    provenance: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]
    id: str
    """16 hex digits of status.json, which has the hashes of all other files."""
    read: Mapping[str, str] = {}
    """The hash of each file that was read through Assay, by its place (`core.inputs`)."""
    unchecked: tuple[str, ...] = ()
    """The places of files that were read past Assay."""

    @property
    def folder(self) -> Path:
        """Its folder."""
        return Path(self.place)

    @property
    def begun(self) -> str:
        """When work on it began, or else when it was finished, as ISO 8601 in UTC; "" where that is
        not known."""
        sessions = self.provenance.get("sessions")
        if sessions:
            return timestamp(min(float(start) for start, _ in sessions))
        return str(self.provenance.get("finished") or "")

    @property
    def has_params(self) -> bool:
        """True when the trained tensors are stored next to the measures."""
        return PARAMS in self.files

    def tensors(self) -> tuple[Mapping[str, np.ndarray], str]:
        """The measures of this run as they are stored: arrays, and what these are."""
        name = "measures.safetensors"
        return unpack(foreign.read_stored(f"{self.place}/{name}", self.files[name][0]))

    def measures(self) -> xr.Dataset:
        """The measures of this run, without the dim `run`."""
        return from_tensors(*self.tensors())

    def trained(self) -> Trained:
        """The trained tensors of this run, one row. Raises: StoreError when they are absent or
        damaged."""
        if not self.has_params:
            raise StoreError(f"{self.folder} holds no parameters; delete it and run again")
        return load_trained(_verified(self.folder, PARAMS, self.files))


@dataclass(frozen=True)
class Made:
    """One run that is to be stored: `measures` and `trained` hold it alone."""

    job: Job
    measures: xr.Dataset
    trained: Trained | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["done", "diverged"] = "done"
    read: bytes = b""
    """What `inputs.packed` says about the files that were read; empty where none was."""

    def files(self, measured: int) -> dict[str, bytes]:
        """What its folder holds, by name; `status.json`, which says what belongs to the others,
        comes last."""
        files = {
            "spec.json": _spec(self.job),
            "inputs.json": canonical_json(dict(self.inputs)).encode(),
            "provenance.json": canonical_json(dict(self.provenance)).encode(),
            "measures.safetensors": pack(*to_tensors(self.measures)),
        }
        if self.read:
            files[inputs.NOTE] = self.read
        if self.trained is not None:
            files[PARAMS] = dump_trained(self.trained)
        return _with_status(files, self.status, measured)


def folder_end(arm: str, seed: int) -> str:
    """What the name of a run's folder says after its key."""
    return f"{re.sub(r'[^a-z0-9-]+', '-', arm.lower())}-s{seed}"


def renamed(run: Stored, job: Job) -> dict[str, bytes]:
    """The files of a run as those of another experiment's job of the same spec: only the name and
    the key differ. Raises: StoreError where one is not as it was stored."""
    files = {name: _verified(run.folder, name, run.files) for name in run.files}
    files["provenance.json"] = canonical_json({**run.provenance, "of": run.experiment}).encode()
    return _with_status({**files, "spec.json": _spec(job)}, run.status, run.measured)


def _spec(job: Job) -> bytes:
    head = {"key": job.key, "experiment": job.experiment, "version": job.version, "arm": job.arm}
    return canonical_json({**head, "spec": json.loads(job.spec.to_json())}).encode()


def _with_status(files: dict[str, bytes], status: str, measured: int) -> dict[str, bytes]:
    """These files and status.json, which comes last, with the hashes of the others: what it does
    not name does not belong to the run."""
    listed = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in files.items()}
    return {**files, STATUS: _sealed({"status": status, "measured": measured, "files": listed})}


def opened(folder: Path) -> Stored | Damaged:
    """The run in this folder, everything but the parameters read and hashed; parameters are hashed
    when they are loaded."""
    # plain texts and one reading of each file: a plan opens thousands of runs
    base, contents = os.fspath(folder), dict[str, bytes]()
    files = dict[str, tuple[int, str]]()

    def content(name: str) -> bytes:
        if name not in contents:
            limit = files[name][0] if name in files else foreign.STORED
            contents[name] = foreign.read_stored(f"{base}/{name}", limit)
        return contents[name]

    try:
        status = json.loads(content(STATUS))
        if not _as_sealed(status, content(STATUS)):
            return Damaged(folder, "status.json was changed after it was written")
        files = {name: (int(n), str(digest)) for name, (n, digest) in status["files"].items()}
        for name, (n, digest) in files.items():
            size = os.stat(f"{base}/{name}").st_size  # noqa: PTH116
            if size != n:
                return Damaged(folder, f"{name} has {size} bytes instead of {n}")
            if name != PARAMS and hashlib.sha256(content(name)).hexdigest() != digest:
                return Damaged(folder, f"{name} differs from its stored hash")
        head = json.loads(content("spec.json"))
        note = content(inputs.NOTE) if inputs.NOTE in files else b""
        read, unchecked = inputs.unpacked(note) if note else ({}, ())
        return Stored(
            place=base,
            key=head["key"],
            experiment=head["experiment"],
            version=head["version"],
            arm=head["arm"],
            spec_json=canonical_json(head["spec"]),
            status=status["status"],
            measured=status["measured"],
            inputs=json.loads(content("inputs.json")),
            provenance=json.loads(content("provenance.json")),
            files=files,
            id=hashlib.sha256(content(STATUS)).hexdigest()[:16],
            read=read,
            unchecked=unchecked,
        )
    except OSError as e:
        return Damaged(folder, f"{Path(e.filename or folder).name} cannot be read ({e.strerror})")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        return Damaged(
            folder, f"status.json or spec.json is not what a store writes ({type(e).__name__})"
        )


def _sealed(status: Mapping[str, Any]) -> bytes:
    """The text of status.json, with the hash of all else that it says."""
    digest = hashlib.sha256(canonical_json(status).encode()).hexdigest()
    return canonical_json({**status, SEAL: digest}).encode()


def _as_sealed(status: Mapping[str, Any], text: bytes) -> bool:
    """Whether status.json says what was written; in older stores it has no hash of itself."""
    if status["status"] not in ("done", "diverged"):
        return False
    if SEAL not in status:
        return set(status) == {"status", "measured", "files"}
    # In the text, not in what was read of it: canonical JSON has one form, and any other byte is a
    # change.
    unsealed = text.replace(f'"{SEAL}":"{status[SEAL]}",'.encode(), b"", 1)
    return hashlib.sha256(unsealed).hexdigest() == status[SEAL]


def _verified(folder: Path, name: str, files: Mapping[str, tuple[int, str]]) -> bytes:
    data = foreign.read_stored(folder / name, files[name][0])
    if hashlib.sha256(data).hexdigest() != files[name][1]:
        raise StoreError(
            f"{folder / name} is damaged (its hash differs from the stored one); delete "
            f"{folder} and run again"
        )
    return data


_META, _HISTORY, _STEPS = "assay", "history/", "steps/"


def pack(arrays: Mapping[str, np.ndarray], text: str) -> bytes:
    """A safetensors file with these arrays and one metadata text."""
    from safetensors.numpy import save

    return save(
        {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in arrays.items()},
        metadata={_META: text},
    )


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], str]:
    """The arrays and the metadata text of `pack`."""
    from safetensors.numpy import load

    return load(data), _header_text(data)


def rows(trained: Trained, index: Sequence[int]) -> Trained:
    """The runs `index` of an ensemble."""
    positions = list(index)
    return Trained(
        tensors={k: v[positions] for k, v in trained.tensors.items()},
        header=trained.header,
        history={k: v[positions] for k, v in trained.history.items()},
        steps=trained.steps,
        diverged=trained.diverged[positions],
    )


def concatenate(parts: Sequence[Trained]) -> Trained:
    """One ensemble of all runs of `parts`, in order. Raises: StoreError when they were trained in
    different ways."""

    first = parts[0]
    for p in parts[1:]:
        same = (
            dict(p.header) == dict(first.header)
            and set(p.tensors) == set(first.tensors)
            and np.array_equal(p.steps, first.steps)
        )
        if not same:
            raise StoreError(
                "stored parameters of one arm differ in header, names or steps, so other code "
                "made them: raise `version`"
            )
    return Trained(
        tensors={k: torch.cat([p.tensors[k] for p in parts]) for k in first.tensors},
        header=first.header,
        history={k: np.concatenate([p.history[k] for p in parts]) for k in first.history},
        steps=first.steps,
        diverged=np.concatenate([p.diverged for p in parts]),
    )


def dump_trained(trained: Trained) -> bytes:
    """A safetensors file of one run: its tensors without the run axis, its history, and how to read
    them."""
    from safetensors.torch import save

    tensors = {k: v[0].detach().cpu().clone().contiguous() for k, v in trained.tensors.items()}
    tensors |= {_HISTORY + k: torch.from_numpy(np.array(v[0])) for k, v in trained.history.items()}
    tensors[_STEPS] = torch.from_numpy(np.array(trained.steps))
    text = canonical_json({"header": dict(trained.header), "diverged": bool(trained.diverged[0])})
    return save(tensors, metadata={_META: text})


def load_trained(data: bytes) -> Trained:
    """The one run that `dump_trained` wrote, with a run axis of length one."""
    from safetensors.torch import load

    tensors, meta = load(data), json.loads(_header_text(data))
    return Trained(
        tensors={k: v[None] for k, v in tensors.items() if not k.startswith((_HISTORY, _STEPS))},
        header=meta["header"],
        history={
            k.removeprefix(_HISTORY): v.numpy()[None]
            for k, v in tensors.items()
            if k.startswith(_HISTORY)
        },
        steps=tensors[_STEPS].numpy(),
        diverged=np.array([meta["diverged"]]),
    )


def _header_text(data: bytes) -> str:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"][_META]
