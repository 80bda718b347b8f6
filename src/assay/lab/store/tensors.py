"""Trained tensors and measures as safetensors bytes, and rows of an ensemble taken apart and put
together.

A file's metadata has one entry, canonical JSON: safetensors writes several in random order, and
equal results must be equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from assay.core.errors import StoreError
from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.core.spec import canonical_json

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

    return load(data), _text(data)


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

    tensors, meta = load(data), json.loads(_text(data))
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


def _text(data: bytes) -> str:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"][_META]
