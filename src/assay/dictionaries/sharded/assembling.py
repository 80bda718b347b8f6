"""assemble: an ordinary dictionary file out of the shards of a checkpoint, a few latents in memory
at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from assay.core.errors import StoreError
from assay.core.heavy import torch
from assay.dictionaries.sharded.checkpoints import PREFIX, manifest_of, newest, read_shared, within
from assay.dictionaries.training.kernels.reference import is_encoder


def assemble(folder: Path, path: Path, few: int = 2**13) -> Path:
    """Write the dictionary of the newest checkpoint as the file that `Dictionary.save` would write,
    `few` latents at a time; needs no ranks.

    Raises: StoreError where there is no whole checkpoint, or the file cannot be written.
    """
    place = newest(folder)
    if place is None:
        raise StoreError(
            f"{folder} has no whole checkpoint of a sharded training; train one, or name "
            "another folder"
        )
    manifest = manifest_of(place)
    width, header = manifest["width"], manifest["header"]
    shared = {
        name.removeprefix(PREFIX): value
        for name, value in read_shared(place).items()
        if _stored(name, header)
    }
    shapes = {name: tuple(value.shape) for name, value in shared.items()}
    for file, _ in within(place, slice(0, 1)):
        for name in filter(lambda name: _stored(name, header), file.keys()):
            runs, _, *rest = file.get_slice(name).get_shape()
            key = name.removeprefix(PREFIX)
            shapes[key] = (runs, *rest, width) if is_encoder(key) else (runs, width, *rest)
    partial = path.with_suffix(".new")
    try:
        with partial.open("wb") as out:
            starts = _begin(
                out, shapes, {name: value for name, value in header.items() if name != "beside"}
            )
            for name, value in shared.items():
                _put(out, starts[name], value)
            for first in range(0, width, few):
                latent = first
                for file, its in within(place, slice(first, min(first + few, width))):
                    for name in filter(lambda name: _stored(name, header), file.keys()):
                        key = name.removeprefix(PREFIX)
                        value = file.get_slice(name)[:, its.start : its.stop]
                        _put_latents(
                            out,
                            starts[key],
                            value.mT if is_encoder(key) else value,
                            latent,
                            width,
                            columns=is_encoder(key),
                        )
                    latent += its.stop - its.start
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"the dictionary could not be written to {path}: {error}") from error
    return path


def _stored(name: str, header: Mapping[str, Sequence[str]]) -> bool:
    """Whether a tensor is part of the dictionary, and not of how it was trained."""
    key = name.removeprefix(PREFIX)
    return name.startswith(PREFIX) and "." not in key and key not in header.get("beside", ())


def _begin(
    out: IO[bytes], shapes: Mapping[str, tuple[int, ...]], header: Mapping[str, object]
) -> dict[str, int]:
    """Write the head of a safetensors file and make room for its tensors: where each begins."""
    starts, end = {}, 0
    entries: dict[str, object] = {"__metadata__": {"assay": json.dumps(header)}}
    for name, shape in sorted(shapes.items()):
        starts[name], end = end, end + 4 * int(np.prod(shape))
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [starts[name], end]}
    head = json.dumps(entries).encode()
    # The format wants tensors to begin at a multiple of 8 bytes; spaces after JSON mean nothing.
    head += b" " * (-len(head) % 8)
    out.write(len(head).to_bytes(8, "little") + head)
    out.truncate(8 + len(head) + end)
    return {name: 8 + len(head) + start for name, start in starts.items()}


def _put(out: IO[bytes], start: int, value: torch.Tensor) -> None:
    out.seek(start)
    out.write(np.ascontiguousarray(value.numpy(), "<f4").data)


def _put_latents(
    out: IO[bytes], start: int, value: torch.Tensor, first: int, width: int, columns: bool
) -> None:
    """Put the latents from `first` on where they belong: at the end of every row where they are
    columns, else side by side."""
    for run, its in enumerate(value):
        if columns:
            # An encoder is stored input by input in the file, so that a few latents are a short
            # piece of each of its rows.
            for i, row in enumerate(its):
                _put(out, start + 4 * ((run * len(its) + i) * width + first), row)
        else:
            size = int(np.prod(its.shape[1:]))
            _put(out, start + 4 * (run * width + first) * size, its)
