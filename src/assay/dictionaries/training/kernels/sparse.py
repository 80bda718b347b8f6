"""Sparse steps: on a CPU, after the encoder's product nothing is touched but what is on, in the
decoder and in the gradients of both matrices.

Autograd runs over the numbers that are on alone; the two products with a matrix have gradients of
their own (`Encode`, `Decode`). Small runs take a step side by side, since a step calls torch a
hundred times whatever its size. Only the encoder's product is in `dtype`; what comes after it is
float32. Where many features are on, and on other devices, dense products are the faster ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.auxiliary import Matryoshka, TopKAux, aux_k
from assay.dictionaries.training.kernels.active import Active, Codes, above, largest
from assay.dictionaries.training.kernels.reference import (
    Kernel,
    Step,
    StepInput,
    autograd,
    gradients_of,
    leaves_of,
)
from assay.dictionaries.training.losses import L1Weighted, Loss

CACHED = 3 * 2**17
"""Features of one chunk of runs, rows × width × runs, that stay in a CPU's caches: 18 runs in one
piece are slower than in 18."""
TOGETHER = 2**22
"""Numbers in a matrix, or in the features, of runs that take a sparse step side by side: 14 runs of
512 features and 576 dimensions. Together they take two thirds of the time; larger ones gain
nothing."""
FEW = {torch.float32: 0.2, torch.bfloat16: 0.06}
"""Share of features that are on below which the sparse step is the cheaper one, by the precision of
products."""
WORTH = {torch.float32: 2**22, torch.bfloat16: 2**25}
"""Rows times width times dimensions from which a sparse step is taken at all, by the precision of
products: below, what it calls takes longer than what it saves."""


def kernel_for(loss: Loss, nonlinearity: Nonlinearity) -> Kernel:
    """The fastest kernel: sparse steps where the loss is known, else autograd."""
    if isinstance(nonlinearity, TopK | BatchTopK):
        is_supported = loss is losses.mse or isinstance(loss, TopKAux | Matryoshka)
    elif isinstance(nonlinearity, Gated):
        is_supported = loss in (losses.gated, losses.gated_no_aux)
    elif isinstance(nonlinearity, JumpReLU):
        is_supported = loss is losses.jumprelu
    else:
        by_size = loss is losses.l1 or isinstance(loss, L1Weighted)
        is_supported = isinstance(nonlinearity, ReLU) and by_size
    return sparse if is_supported else autograd


def in_chunks(kernel: Kernel, step: StepInput, room: dict[str, torch.Tensor]) -> Step:
    """What `kernel` gives, computed for a few runs at a time where that keeps a CPU's caches warm;
    gradients in float32.

    `room` holds the gradients of all runs from one call to the next: fresh memory of that size
    costs as much as a product."""
    x, (runs, f, d) = step.x, step.params["W_enc"].shape
    kernel = autograd if kernel is sparse and not _worth(step) else kernel
    size = TOGETHER // max(x.shape[-2], d) if kernel is sparse else CACHED // x.shape[-2]
    # An accelerator wants as many runs as can be in one launch.
    few = max(1, size // f) if x.device.type == "cpu" else runs
    if few >= runs:
        series, grads = kernel(step)
        return series, {name: value.float() for name, value in grads.items()}
    chunk_series: list[dict[str, torch.Tensor]] = []
    # Runs of a chunk share a launch, never a sum, so that one that breaks leaves its neighbours
    # alone. Alone and in a group a run differs by rounding only: a batched product may add up in
    # another order.
    for first in range(0, runs, few):
        chunk = slice(first, first + few)
        series, grads = kernel(step.of_runs(chunk))
        chunk_series.append(series)
        for name, value in grads.items():
            if name not in room:
                # Like the parameters, so float32: the assignment below converts and copies at once.
                room[name] = torch.empty_like(step.params[name])
            room[name][chunk] = value
    return {
        name: torch.cat([series[name] for series in chunk_series]) for name in chunk_series[0]
    }, room


def _worth(step: StepInput) -> bool:
    """Whether a sparse step may be the faster one, by shapes alone: never by how fast the machine
    is, as the path that a run takes is part of its result, if only in the last digits."""
    x, width = step.x, step.params["W_enc"].shape[1]
    if isinstance(step.nonlinearity, TopK | BatchTopK):
        enough = step.nonlinearity.k < FEW[step.dtype] * width
    else:
        enough = True
    return enough and x.device.type == "cpu" and x.shape[-2:].numel() * width >= WORTH[step.dtype]


def sparse(step: StepInput) -> Step:
    """The loss [run] and its gradients; a run in which many features are on takes a dense step."""
    batch = Batch.of(step)
    with torch.no_grad():
        places = batch.places()
    runs, b, f = batch.pre.shape
    if not isinstance(step.nonlinearity, TopK | BatchTopK):
        counts = torch.bincount(torch.div(places, b * f, rounding_mode="floor"), minlength=runs)
        if bool((counts > FEW[step.dtype] * b * f).any()):
            if runs == 1:
                return autograd(step)
            alone = [sparse(step.of_runs(slice(r, r + 1))) for r in range(runs)]
            series, grads = (
                {name: torch.cat([one[i][name] for one in alone]) for name in alone[0][i]}
                for i in (0, 1)
            )
            return series, grads
    leaves = leaves_of(step.params)
    with torch.enable_grad():
        chosen = Chosen(batch, Active.from_places(places, b, f, runs), {**step.params, **leaves})
        loss = chosen.loss()
        grads = gradients_of([loss.sum()], {**leaves, **chosen.rows})
    for key in chosen.rows:
        name, r = key.split()
        grads[name][int(r)].index_add_(0, chosen.dead[int(r)], grads.pop(key))
    # A step that touches only what is on never reads the decoder rows of the rest. 0 · x is 0 for a
    # number but NaN for NaN and ∞, so divergence shows wherever it is.
    sums = torch.stack([value.flatten(1).sum(1) for value in step.params.values()])
    values = chosen.values.detach()
    on = chosen.total((values != 0).float()) / b
    series = {"loss": loss.detach() + 0 * sums.sum(0), "l0": on}
    if step.note:
        codes = [Codes(run, values[its]) for run, its in chosen.active.of_runs()]
        notes = [step.note(code) for code in codes]
        series |= {name: torch.stack([note[name] for note in notes]) for name in notes[0]}
    return series, grads


class Batch(StepInput):
    """The encoder's product, without a gradient. A target y may be another than the input."""

    @property
    def elsewhere(self) -> bool:
        """Whether the target is not the input."""
        return self.more.get("y") is not None

    @property
    def target(self) -> Float[torch.Tensor, "*run b d"]:
        """What is to be reconstructed."""
        return self.more["y"] if self.elsewhere else self.x

    @cached_property
    def centred(self) -> Float[torch.Tensor, "run b e"]:
        """The input without what the encoder takes from it."""
        return self.x - self.params["b_pre" if self.elsewhere else "b_dec"][:, None]

    @cached_property
    def pre(self) -> Float[torch.Tensor, "run b f"]:
        """The projections with their bias, the only product in `dtype`."""
        W_enc, b_enc = (self.params[name].to(self.dtype) for name in ("W_enc", "b_enc"))
        x = self.centred.to(self.dtype)
        pre = x.new_empty(*x.shape[:2], W_enc.shape[1])
        # One by one: a batched bfloat16 product copies a transposed operand first.
        for r in range(len(pre)):
            torch.addmm(b_enc[r], x[r], W_enc[r].T, out=pre[r])
        return pre

    def places(self) -> Int[torch.Tensor, " n"]:
        """Places of the flattened projections that are on, or whose threshold is near."""
        (b, f), kind = self.pre.shape[1:], self.nonlinearity
        if isinstance(kind, BatchTopK):  # the batch as one long row
            return largest(self.pre.flatten(1), min(kind.k, f) * b)
        if isinstance(kind, TopK):
            return largest(self.pre.flatten(0, 1), min(kind.k, f))
        if isinstance(kind, JumpReLU):
            return above(self.pre, self.params["threshold"] - kind.bandwidth / 2)
        return above(self.pre)


@dataclass(eq=False)
class Chosen:
    """What is on in a batch, as numbers that autograd follows."""

    batch: Batch
    active: Active
    params: Mapping[str, torch.Tensor]
    """Those of the batch, with a gradient."""
    dead: dict[int, Int[torch.Tensor, " dead"]] = field(default_factory=dict)
    """The dead latents of each run that has some."""
    rows: dict[str, torch.Tensor] = field(default_factory=dict)
    """Their rows of a parameter, by its name and the run: leaves of their own, as a gradient of a
    whole matrix would be mostly 0."""

    @cached_property
    def pre(self) -> Float[torch.Tensor, " n"]:
        """The projections with their bias."""
        names = ("W_enc", "b_enc", "b_pre" if self.batch.elsewhere else "b_dec")
        values = self.active.of(self.batch.pre)
        given = (self.params[name] for name in names)
        return Encode.apply(*given, self.batch.centred, self.active, values)

    def at(self, value: Float[torch.Tensor, "run f"]) -> Float[torch.Tensor, " n"]:
        """What belongs to a latent, at each place."""
        return value.flatten().index_select(0, self.active.latent)

    def sums(self, values: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, "run f"]:
        """The sum of each latent's values."""
        return self.active.sums(values).view(self.params["b_enc"].shape)

    def total(self, values: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, " run"]:
        """The sum of values over rows and latents."""
        return self.sums(values).sum(1)

    def of(self, function: Callable[..., torch.Tensor]) -> Float[torch.Tensor, " n"]:
        """What a function of projections, bias and parameters, such as a nonlinearity, gives at the
        places."""
        parameters = self.batch.nonlinearity.init(1, 1)
        names = {name: self.at(self.params[name])[None] for name in parameters}
        bias = self.at(self.params["b_enc"])
        return function((self.pre - bias)[None, None], bias[None], names).flatten()

    @cached_property
    def values(self) -> Float[torch.Tensor, " n"]:
        """The features."""
        if isinstance(self.batch.nonlinearity, TopK | BatchTopK):
            return self.pre.relu()
        return self.of(self.batch.nonlinearity)

    def missed(
        self,
        values: Float[torch.Tensor, " n"],
        params: Mapping[str, torch.Tensor],
        active: Active | None = None,
    ) -> list[Float[torch.Tensor, "run b d"]]:
        """Reconstruction less target; with nested places that of each reconstruction."""
        rows = Decode.apply(active or self.active, values, params["W_dec"])
        rows = rows.view(-1, *self.batch.pre.shape[:2], rows.shape[-1])
        # one reconstruction after another, each with one more stretch of latents
        start = params["b_dec"][:, None] - self.batch.target
        return list(accumulate(rows.unbind(), initial=start))[1:]

    def loss(self) -> Float[torch.Tensor, " run"]:
        """The loss of each run, as `losses` has it."""
        loss, penalty, (_, b, _) = self.batch.loss, self.batch.penalty, self.batch.pre.shape
        ends = loss.prefixes if isinstance(loss, Matryoshka) else ()
        nested = self.active.nested(ends) if len(ends) > 1 else None
        missed = self.missed(self.values, self.params, nested)
        out = torch.stack([_mean_square(part) for part in missed]).sum(0)
        share = penalty / (b * self.batch.target.shape[-1] ** 0.5)
        if isinstance(loss, TopKAux | Matryoshka):
            out = out + loss.alpha * self._aux_k(loss, -missed[-1])
        elif loss is losses.l1:
            out = out + share * self.total(self.values)
        elif isinstance(loss, L1Weighted):
            out = out + share * (self.sums(self.values) * loss.lengths(self.params["W_dec"])).sum(1)
        elif loss is losses.jumprelu:
            opened = self.of(self.batch.nonlinearity.opened)  # type: ignore[attr-defined]
            out = out + penalty / b * self.total(opened)
        elif loss in (losses.gated, losses.gated_no_aux):
            out = out + share * self.total(self.pre)  # every gate that is open is among the places
            if loss is losses.gated:
                [of_gate] = self.missed(self.pre, losses.frozen(self.params))
                out = out + _mean_square(of_gate)
        return out

    def _aux_k(
        self, loss: TopKAux | Matryoshka, missed: Float[torch.Tensor, "run b d"]
    ) -> Float[torch.Tensor, " run"]:
        """AuxK of each run, on the columns of its dead latents alone."""
        batch, names = self.batch, ("W_enc", "b_enc", "W_dec")
        out = list(torch.zeros(len(missed)))
        for r, idle in enumerate(batch.more.get("idle", ())):
            dead = (idle >= loss.dead_after).nonzero()[:, 0]
            if not len(dead):
                continue
            self.dead[r] = dead
            rows = {n: batch.params[n][r].index_select(0, dead).requires_grad_() for n in names}
            self.rows |= {f"{n} {r}": value for n, value in rows.items()}
            x = batch.x if batch.x.ndim == 2 else batch.x[r]
            x = x - self.params["b_pre" if batch.elsewhere else "b_dec"][r]
            with torch.autocast("cpu", torch.bfloat16, enabled=batch.dtype == torch.bfloat16):
                codes = torch.nn.functional.linear(x, rows["W_enc"], rows["b_enc"])
                every = torch.ones(1, len(dead), dtype=torch.bool)
                out[r] = aux_k(missed[r][None], codes[None], rows["W_dec"][None], every)[0]
        return torch.stack(out)


def _mean_square(error: Float[torch.Tensor, "run b d"]) -> Float[torch.Tensor, " run"]:
    return error.square().mean((-2, -1))


class Encode(torch.autograd.Function):
    """The encoder's projections at the places, which are known already, with the gradients of its
    parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        W_enc: Float[torch.Tensor, "run f e"],
        b_enc: Float[torch.Tensor, "run f"],
        centre: Float[torch.Tensor, "run e"],
        centred: Float[torch.Tensor, "run b e"],
        active: Active,
        values: Float[torch.Tensor, " n"],
    ) -> Float[torch.Tensor, " n"]:
        """Give the values."""
        ctx.save_for_backward(W_enc, centred)
        ctx.active = active
        return values

    @staticmethod
    def backward(ctx: Any, grad: Float[torch.Tensor, " n"]) -> Any:  # type: ignore[override]
        """With π = (x − c) W_encᵀ + b_enc and p = ∂L/∂π: ∂W_enc = pᵀ (x − c), ∂b_enc = Σ p and
        ∂c = −(Σ p) W_enc, sums over rows."""
        W_enc, centred = ctx.saved_tensors
        b_enc = ctx.active.sums(grad).view(W_enc.shape[:2])
        rows = ctx.active.gather(grad, centred.flatten(0, 1)).view_as(W_enc)
        centre = -(b_enc[:, None] @ W_enc)[:, 0] if ctx.needs_input_grad[2] else None
        return rows, b_enc, centre, None, None, None


class Decode(torch.autograd.Function):
    """The sum of each row's latents, each times its value: what is on times the decoder."""

    @staticmethod
    def forward(
        ctx: Any,
        active: Active,
        values: Float[torch.Tensor, " n"],
        W_dec: Float[torch.Tensor, "run f d"],
    ) -> Float[torch.Tensor, "rows d"]:
        """Reconstructions, still without b_dec."""
        ctx.save_for_backward(values, W_dec)
        ctx.active = active
        return active.decode(values, W_dec.flatten(0, 1))

    @staticmethod
    def backward(ctx: Any, grad: Float[torch.Tensor, "rows d"]) -> Any:  # type: ignore[override]
        """With x̂ = f W_dec and g = ∂L/∂x̂: ∂f = g W_decᵀ at the places, ∂W_dec = fᵀ g."""
        values, W_dec = ctx.saved_tensors
        felt = ctx.active.products(grad, W_dec.flatten(0, 1))
        rows = ctx.active.gather(values, grad).view_as(W_dec) if ctx.needs_input_grad[2] else None
        return None, felt, rows
