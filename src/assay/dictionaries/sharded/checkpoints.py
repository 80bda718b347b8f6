"""Checkpoints of a sharded training: a file for each shard and a manifest written last; read by any
number of ranks.

    FOLDER/step-00000400/shard-0000.safetensors   latents 0 … of every tensor that has a row for
    each, Adam's moments and counters too FOLDER/step-00000400/shared.safetensors       what all
    ranks have alike: b_dec, the curves so far FOLDER/step-00000400/manifest.json            which
    latents lie in which file, and whose training it is; without it nothing is there

A new checkpoint is whole before the one before it goes. A rank reads the rows that it needs from
the files that have them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.core.errors import StoreError
from assay.core.heavy import torch
from assay.dictionaries.sharded.part import Part

MANIFEST, SHARED = "manifest.json", "shared.safetensors"
PREFIX = "0.state."
"""What `fit` puts before the names of its one group's tensors."""
ALIKE = ("b_dec", "b_pre")
"""Parameters without a row for each latent."""


@dataclass(eq=False)
class Checkpoints:
    """Where one rank keeps its part: the Slot of `fit`."""

    folder: Path
    part: Part
    identity: Mapping[str, Any]
    """What must be alike for a training to go on, as plain JSON."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """What a reader of the dictionary needs beside its tensors."""
    beside: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Tensors of the dictionary that training does not change: mean and scale."""
    every: int = 0
    """Steps from one checkpoint to the next; 0: only at the end."""
    _asked: int = field(default=0, init=False)

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last step that is whole and this rank's tensors of it, whatever number of ranks wrote
        them; None where there is none.

        Raises: StoreError for a checkpoint of another training, or one that is damaged.
        """
        checkpoint = newest(self.folder)
        if checkpoint is None:
            return None
        manifest = manifest_of(checkpoint)
        if wrong := sorted(
            name for name, value in self.identity.items() if manifest["identity"].get(name) != value
        ):
            differences = ", ".join(
                f"{name} {manifest['identity'].get(name)!r} there, {self.identity[name]!r} here"
                for name in wrong
            )
            raise StoreError(
                f"{self.folder} has the checkpoint of another training ({differences}); name "
                "another "
                "folder, or remove it"
            )
        self._asked = manifest["step"]
        return manifest["step"], read(checkpoint, self.part.mine) | read_shared(checkpoint)

    def due(self) -> bool:
        """True after every so many steps, the same on all ranks; it is asked once a step."""
        self._asked += 1
        return self.every > 0 and self._asked % self.every == 0

    def save(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write this rank's shard, wait for the others, and let the first rank say that the
        checkpoint is whole.

        Raises: StoreError on every rank where one cannot write.
        """
        ranks, latents = self.part.ranks, self.part.mine
        place = self.folder / f"step-{step:08d}"
        shard = place / _name(ranks.latents.place)
        failed: OSError | None = None
        try:
            if ranks.writes:
                place.mkdir(parents=True, exist_ok=True)
                _write(
                    shard,
                    {name: value for name, value in tensors.items() if by_latent(name, value)},
                )
                if ranks.rank == 0:
                    shared = {
                        name: value for name, value in tensors.items() if not by_latent(name, value)
                    }
                    _write(
                        place / SHARED,
                        shared | {f"{PREFIX}{name}": value for name, value in self.beside.items()},
                    )
        except OSError as error:
            # Not raised yet: the others wait in the gather below, and learn of it there by a size
            # of −1.
            failed = error
        size = shard.stat().st_size if ranks.writes and failed is None else -1
        extent = torch.tensor([latents.start, latents.stop, size], device=ranks.device)
        # shards have their places in every replica; of the first one all must have written
        parts = [part.tolist() for part in ranks.every.gather(extent)][: ranks.latents.size]
        if failed is not None or min(part[2] for part in parts) < 0:
            raise StoreError(
                f"the checkpoint after step {step} could not be written to {place}: "
                f"{failed or 'another rank failed'}"
            ) from failed
        if ranks.rank == 0:
            shards = [
                {"file": _name(i), "first": first, "end": end, "bytes": size}
                for i, (first, end, size) in enumerate(parts)
            ]
            about = {
                "width": self.part.width,
                "header": dict(self.header),
                "identity": dict(self.identity),
            }
            _publish(place / MANIFEST, {"step": step, "shards": shards, **about})
            # After the manifest: a kill in between leaves two whole checkpoints, never none.
            for old in _steps(self.folder):
                if old != place:
                    shutil.rmtree(old, ignore_errors=True)
        ranks.every.barrier()  # nobody goes on to write the next one before this one is there


def by_latent(name: str, value: torch.Tensor) -> bool:
    """Whether a tensor of a training's state has a row for each latent, [run, f, …], by its
    name."""
    return name.startswith(PREFIX) and value.ndim >= 2 and name.rpartition(".")[2] not in ALIKE


def newest(folder: Path) -> Path | None:
    """The folder of the last checkpoint that is whole."""
    return next((place for place in reversed(_steps(folder)) if (place / MANIFEST).exists()), None)


def read(place: Path, rows: slice) -> dict[str, torch.Tensor]:
    """The rows of some latents of every tensor that has them, [run, f, …], out of the files that
    hold them. Raises: StoreError."""
    pieces: dict[str, list[torch.Tensor]] = {}
    for file, its in within(place, rows):
        for name in file.keys():  # noqa: SIM118
            pieces.setdefault(name, []).append(file.get_slice(name)[:, its.start : its.stop])
    return {name: torch.cat(parts, 1) for name, parts in pieces.items()}


def within(place: Path, rows: slice) -> Iterator[tuple[Any, slice]]:
    """Open the files that hold some of these latents one after the other, each with where in it
    they are.

    Raises: StoreError for files that are missing, cut short or damaged.
    """
    from safetensors import SafetensorError, safe_open

    manifest = manifest_of(place)
    if not 0 <= rows.start < rows.stop <= manifest["width"]:
        raise StoreError(
            f"{place} has {manifest['width']} latents, and latents {rows.start} to "
            f"{rows.stop} were asked for"
        )
    for shard in manifest["shards"]:
        first, end = max(rows.start, shard["first"]), min(rows.stop, shard["end"])
        if first >= end:
            continue
        path = place / shard["file"]
        try:
            if path.stat().st_size != shard["bytes"]:
                raise OSError(f"it has {path.stat().st_size:,} bytes instead of {shard['bytes']:,}")
            with ExitStack() as stack:
                file = stack.enter_context(safe_open(path, "pt"))
                yield file, slice(first - shard["first"], end - shard["first"])
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"{path} of a checkpoint cannot be read: {error}; remove {place} and train again"
            ) from error


def read_shared(place: Path) -> dict[str, torch.Tensor]:
    """What all ranks have alike. Raises: StoreError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(place / SHARED)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{place / SHARED} of a checkpoint cannot be read: {error}; remove {place} and "
            "train again"
        ) from error


def _name(shard: int) -> str:
    return f"shard-{shard:04d}.safetensors"


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def manifest_of(place: Path) -> dict[str, Any]:
    """What a checkpoint says of itself. Raises: StoreError."""
    try:
        manifest = json.loads((place / MANIFEST).read_text())
        spans = [(shard["first"], shard["end"]) for shard in manifest["shards"]]
        edges = [0, *(end for _, end in spans)]
        if [first for first, _ in spans] != edges[:-1] or edges[-1] != manifest["width"]:
            raise ValueError("its shards do not make a dictionary")
        if any(Path(shard["file"]).name != shard["file"] for shard in manifest["shards"]):
            raise ValueError("its shards are not files beside it")
        if not (
            isinstance(manifest["step"], int)
            and isinstance(manifest["identity"], dict)
            and isinstance(manifest["header"], dict)
        ):
            raise ValueError("it does not say whose training it is")
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{place / MANIFEST} is not the manifest of a checkpoint ({error}); remove "
            f"{place} and train again"
        ) from error


def _write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors and wait until they are on the disk."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path
        )
    except SafetensorError as error:  # what it makes of a full disk
        raise OSError(str(error)) from error
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _publish(path: Path, manifest: Mapping[str, Any]) -> None:
    """Let a manifest appear whole."""
    # By one rename: a manifest that is there is whole, and with it the checkpoint.
    partial = path.with_suffix(".new")
    with partial.open("w") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
