"""Replay: what a step does on a GPU, recorded once and then done again in one launch, where
hundreds of small ones would keep it waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from assay.core.heavy import torch

WARM = 2
"""Calls before the one that is recorded: libraries choose and load their kernels in the first."""


class Replay:
    """A function of a batch that changes tensors in place, always the same, and gives a tensor.

    What it does may hang on nothing but the batch and those tensors. On CUDA it is recorded at its
    third call, and for each shape of a batch anew; where it waits for the device or brings numbers
    to it, and elsewhere, it is called every time."""

    def __init__(self, function: Callable[[Any], torch.Tensor]):
        self.function = function
        self.shapes: list[tuple[Any, ...]] = []
        self.calls, self.able = 0, True
        self.graph: Any = None
        self.inputs: list[torch.Tensor] = []
        self.output: torch.Tensor | None = None

    def __call__(self, batch: Any, device: torch.device) -> torch.Tensor:
        """What the function gives of a batch: a tensor, or several in a tuple, or None."""
        tensors = [] if batch is None else list(batch) if isinstance(batch, tuple) else [batch]
        able = self.able and device.type == "cuda"
        if not able or not all(isinstance(x, torch.Tensor) and x.is_cuda for x in tensors):
            return self.function(batch)
        shapes = [(x.shape, x.dtype, x.stride()) for x in tensors]
        if shapes != self.shapes:
            self.shapes, self.calls, self.graph = shapes, 0, None
        self.calls += 1
        if self.calls < WARM:
            return self.function(batch)
        if self.calls == WARM:
            with _watch() as watch:
                out = self.function(batch)
            self.able = not watch.once
            return out
        if self.graph is None:
            self._record(batch, tensors)
        elif tensors:
            torch._foreach_copy_(self.inputs, tensors)
        self.graph.replay()
        assert self.output is not None
        return self.output.clone()  # the next replay writes there

    def _record(self, batch: Any, tensors: list[torch.Tensor]) -> None:
        self.inputs = [x.clone() for x in tensors]
        own = (
            tuple(self.inputs) if isinstance(batch, tuple) else self.inputs[0] if tensors else None
        )
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):  # nothing is done yet
            self.output = self.function(own)


def _watch() -> Any:
    """A context that notices, in `once`, whether something waited for a device or brought numbers
    to it."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    aten = torch.ops.aten
    waits = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2}
    waits |= {aten.unique_dim, aten.unique_consecutive, aten.repeat_interleave}
    indexing, copies = {aten.index, aten.index_put, aten.index_put_}, {aten._to_copy, aten.copy_}

    class Watch(TorchDispatchMode):  # type: ignore[misc]
        once = False

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out, what = func(*args, **(kwargs or {})), func.overloadpacket
            given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            # A number of the CPU goes along with a launch; more than that is a copy.
            here = [x for x in given if x.device.type == "cpu" and (x.ndim or what in copies)]
            here += [x for x in tree_leaves(out) if isinstance(x, torch.Tensor) and x.is_cpu]
            masks = what in indexing and any(x.dtype == torch.bool for x in given)
            self.once |= bool(here) or masks or what in waits
            return out

    return Watch()
