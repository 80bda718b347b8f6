"""Replay: what a step does on a GPU, recorded once and then done again in one launch, where
hundreds of small ones would keep it waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from assay.core.heavy import torch

MOST = 64
"""Shapes of batches that are recorded; the step of any other is called each time."""


class Recording(NamedTuple):
    """A step on a batch of one shape: where the batch is put, and where the outcome lies then."""

    graph: Any
    inputs: list[torch.Tensor]
    output: torch.Tensor


class Replay:
    """A function of a batch that changes tensors in place, always the same, and gives a tensor.

    What it does may hang on nothing but the batch and those tensors. On CUDA it is recorded when
    the shape of a batch comes again; where it waits for the device or brings numbers to it, and
    elsewhere, it is called every time."""

    def __init__(self, function: Callable[[Any], torch.Tensor]):
        self.function = function
        self.calls: Counter[tuple[Any, ...]] = Counter()
        self.able = True
        self.recordings: dict[tuple[Any, ...], Recording] = {}

    def __call__(self, batch: Any, device: torch.device) -> torch.Tensor:
        """What the function gives of a batch: a tensor, or several in a tuple, or None."""
        tensors = [] if batch is None else list(batch) if isinstance(batch, tuple) else [batch]
        able = self.able and device.type == "cuda"
        if not able or not all(isinstance(x, torch.Tensor) and x.is_cuda for x in tensors):
            return self.function(batch)
        shapes = tuple((x.shape, x.dtype, x.stride()) for x in tensors)
        self.calls[shapes] += 1
        if self.calls.total() == 2:  # the first may make what later ones find made
            with _watch() as watch:
                out = self.function(batch)
            self.able = not watch.once
            return out
        if shapes not in self.recordings:
            comes_again = self.calls.total() > 2 and self.calls[shapes] > 1
            if not comes_again or len(self.recordings) == MOST:
                return self.function(batch)
            recorded = self._record(batch, tensors, device)
            if recorded is None:
                return self.function(batch)
            self.recordings[shapes] = recorded
        recording = self.recordings[shapes]
        if tensors:
            torch._foreach_copy_(recording.inputs, tensors)
        recording.graph.replay()
        return recording.output.clone()  # the next replay writes there

    def _record(
        self, batch: Any, tensors: list[torch.Tensor], device: torch.device
    ) -> Recording | None:
        inputs = [x.clone() for x in tensors]
        copied = tuple(inputs) if isinstance(batch, tuple) else inputs[0] if tensors else None
        first = next(iter(self.recordings.values()), None)
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            # They may share memory, as only one is replayed at a time and its outcome copied.
            graph.capture_begin(**({"pool": first.graph.pool()} if first else {}))
            try:
                output = self.function(copied)
                graph.capture_end()
            except RuntimeError:  # something in it waits that `_watch` does not see
                self.able = False
                with suppress(RuntimeError):
                    graph.capture_end()
        torch.cuda.current_stream(device).wait_stream(stream)
        return Recording(graph, inputs, output) if self.able else None


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
            operands = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            # A number of the CPU goes along with a launch; more than that is a copy.
            on_cpu = [x for x in operands if x.device.type == "cpu" and (x.ndim or what in copies)]
            on_cpu += [x for x in tree_leaves(out) if isinstance(x, torch.Tensor) and x.is_cpu]
            masks = what in indexing and any(x.dtype == torch.bool for x in operands)
            self.once |= bool(on_cpu) or masks or what in waits
            return out

    return Watch()
