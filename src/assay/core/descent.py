"""descent: a loss becomes a Group that torch's fused Adam or AdamW steps, each run at its own
learning rate."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from assay.core.fit import Batch, Group, Schedule, State, constant
from assay.core.heavy import torch
from assay.core.runs import Runs

MOST = 64
"""Shapes of batches that are recorded; the step of any other is called each time."""


class Recording(NamedTuple):
    """A step on a batch of one shape: the tensors that take the batch and receive the outcome."""

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
            out, op = func(*args, **(kwargs or {})), func.overloadpacket
            operands = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            # A number of the CPU goes along with a launch; more than that is a copy.
            on_cpu = [x for x in operands if x.device.type == "cpu" and (x.ndim or op in copies)]
            on_cpu += [x for x in tree_leaves(out) if isinstance(x, torch.Tensor) and x.is_cpu]
            masks = op in indexing and any(x.dtype == torch.bool for x in operands)
            self.once |= bool(on_cpu) or masks or op in waits
            return out

    return Watch()


def adam_state(params: Mapping[str, torch.Tensor]) -> State:
    """Make moments of zero for these parameters, under the names `adam.m.*` and `adam.v.*`."""
    return {
        f"adam.{moment}.{name}": torch.zeros_like(p)
        for name, p in params.items()
        for moment in "mv"
    }


class Adam:
    """torch's fused Adam over views of stacked [run, …] parameters: one call for each stretch of
    equal learning rate.

    It has no state itself: moments are views of the state's `adam.*` tensors and the step
    count is the loop's, so a restored state is all a resume needs. Sort sweeps by rate: 40 toys
    take 1.4 ms a step in one stretch, 2.6 in 40. With `decay` it is AdamW: each step also takes
    away the share rate × decay of every parameter named there, each run's own. torch's kernel is
    called as it is: the function around it takes three times as long on small parameters, and the
    optimiser's first step imports the compiler, 2 CPU-seconds and 70 MB a process."""

    def __init__(
        self,
        state: State,
        names: Sequence[str],
        lr: Float[np.ndarray, " run"],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        decay: Mapping[str, float | Float[np.ndarray, " run"]] | None = None,
    ):
        shares = {name: np.broadcast_to(share, len(lr)) for name, share in (decay or {}).items()}
        changes = np.any([np.diff(rates) != 0 for rates in (lr, *shares.values())], axis=0)
        # The fused kernel takes one rate a call, so neighbouring runs of one rate go together, as
        # views.
        edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(lr)]
        self.names, self.stretches = tuple(names), list(itertools.pairwise(edges))
        self.betas, self.eps, self.apart = betas, eps, bool(decay)
        self.groups: list[_Stretch] = []
        for a, b in self.stretches:
            decays = {name: float(shares[name][a]) if name in shares else 0.0 for name in names}
            for shrink in sorted(set(decays.values())):
                group_names = tuple(name for name in names if decays[name] == shrink)
                params, m, v = (
                    [state[prefix + name].detach()[a:b] for name in group_names]
                    for prefix in ("", "adam.m.", "adam.v.")
                )
                # A copy would be stepped in the place of the state.
                assert all(p.is_contiguous() for p in params), names
                rate, steps = params[0].new_zeros(2, dtype=torch.float32)
                self.groups.append(
                    _Stretch(group_names, a, b, float(lr[a]), shrink, params, m, v, steps, rate)
                )

    def step(self, grads: Mapping[str, torch.Tensor], step: int, factor: float = 1.0) -> None:
        """Change the parameters in place: step number `step` (from 0) with every rate times
        `factor`."""
        self.aim(step, factor)
        self.apply(grads)

    def aim(self, step: int, factor: float = 1.0) -> None:
        """Set the number of the step (from 0), and what every rate is multiplied with."""
        self.factor = factor
        for g in self.groups:
            g.steps.fill_(step + 1)
            if g.current_rate.is_cuda:  # where the change is replayed, and reads it
                g.current_rate.fill_(g.rate * factor)

    def apply(self, grads: Mapping[str, torch.Tensor]) -> None:
        """Change the parameters in place."""
        change = torch._fused_adamw_ if self.apart else torch._fused_adam_
        for g in self.groups:
            # contiguous: the fused kernel reads memory in order, whatever the strides say
            gradients = [grads[name][g.first : g.end].contiguous() for name in g.names]
            change(
                g.params,
                gradients,
                g.m,
                g.v,
                [],
                [g.steps] * len(g.params),
                lr=g.current_rate if g.current_rate.is_cuda else g.rate * self.factor,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=g.decay,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )


class _Stretch(NamedTuple):
    """Views of the parameters of neighbouring runs of one rate and decay, and of their moments."""

    names: tuple[str, ...]
    first: int
    end: int
    rate: float
    decay: float
    params: list[torch.Tensor]
    m: list[torch.Tensor]
    v: list[torch.Tensor]
    steps: torch.Tensor
    current_rate: torch.Tensor
    """Its rate at this step, on a GPU."""


class Plain:
    """Gradient descent without moments, on stacked [run, …] parameters, each run at its own
    rate."""

    def __init__(self, state: State, names: Sequence[str], lr: Float[np.ndarray, " run"]):
        self.params = {name: state[name].detach() for name in names}
        self.rates = {
            n: torch.as_tensor(lr).to(p).view(-1, *[1] * (p.ndim - 1))
            for n, p in self.params.items()
        }
        self.current_rates = {name: rate.clone() for name, rate in self.rates.items()}

    def aim(self, step: int, factor: float = 1.0) -> None:
        """Set what every rate is multiplied with."""
        for name, rate in self.rates.items():
            torch.mul(rate, factor, out=self.current_rates[name])

    def apply(self, grads: Mapping[str, torch.Tensor]) -> None:
        """Change the parameters in place."""
        for name, p in self.params.items():
            p.sub_(self.current_rates[name] * grads[name])


def descent(
    runs: Runs,
    params: State,
    loss: Callable[[State, Batch], Float[torch.Tensor, " run"]],
    *,
    lr: Float[np.ndarray, " run"],
    schedule: Schedule = constant,
    clip: float = math.inf,
    betas: tuple[float, float] = (0.9, 0.999),
    decay: Mapping[str, float | Float[np.ndarray, " run"]] | None = None,
    plain: bool = False,
) -> Group:
    """A Group that lowers `loss(params, batch)` [run] by Adam at rates `lr` [run] times
    `schedule(step)`.

    The losses are summed over runs, never averaged, so each run's gradient is its own. `clip`
    bounds the norm of each run's whole gradient. `decay` {name: λ} makes it AdamW: these parameters
    also shrink by lr · schedule · λ of themselves, λ one for all runs or one for each. `plain` is
    gradient descent in place of Adam, and knows neither `betas` nor `decay`.

    Args:
        runs: those to train.
        params: where they start, {name: [run, …]}.
        loss: (params, batch) → [run].
        lr: each run's rate, [run].
        schedule: step → factor on every rate.
        clip: largest norm of a run's gradient.
        betas: Adam's decay of both moments.
        decay: {name: λ}, λ a number or [run].
        plain: gradient descent instead.
    Example:
        >>> import numpy as np
        >>> import torch
        >>> import assay
        >>> runs, start = assay.Runs([assay.Spec()]), {"w": torch.zeros(1)}
        >>> def loss(params, batch):
        ...     return (params["w"] - 3) ** 2
        >>> group = assay.descent(runs, start, loss, lr=np.array([0.25]), plain=True)
        >>> group.step_fn(group.state, None, 0), group.state["w"]  # loss 9; 0 + 0.25 · 6
        (tensor([9.]), tensor([1.5000]))
    """
    names = tuple(params)
    state: State = {**params} if plain else {**params, **adam_state(params)}
    stepper: list[Adam | Plain] = []

    def change(batch: Batch) -> Float[torch.Tensor, " run"]:
        leaves = {name: state[name].detach().requires_grad_() for name in names}
        losses = loss(leaves, batch)
        grads = dict(
            zip(names, torch.autograd.grad(losses.sum(), [leaves[n] for n in names]), strict=True)
        )
        if clip < math.inf:
            norm = torch.stack([g.flatten(1).square().sum(1) for g in grads.values()]).sum(0).sqrt()
            # Each run by its own norm: over all of them, one run's spike would slow its neighbours.
            scale = (clip / norm.clamp_min(1e-12)).clamp_max(1.0)
            grads = {n: g * scale.view(-1, *[1] * (g.ndim - 1)) for n, g in grads.items()}
        with torch.no_grad():
            stepper[0].apply(grads)
        return losses.detach()

    replay = Replay(change)

    def step_fn(state: State, batch: Batch, step: int) -> Float[torch.Tensor, " run"]:
        if not stepper:  # built here, after any move to a device or restore
            stepper.append(
                Plain(state, names, lr) if plain else Adam(state, names, lr, betas, decay=decay)
            )
        stepper[0].aim(step, schedule(step))
        return replay(batch, state[names[0]].device)

    return Group(runs, state, step_fn)
