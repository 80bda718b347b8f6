"""fit_dictionaries: dictionaries of several shapes and architectures, trained in one pass over the same batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assay.core.descent import Adam, adam_state
from assay.core.errors import SpecError
from assay.core.experiment import Bench
from assay.core.fit import Group, State, Trained, fit
from assay.core.rng import normal
from assay.core.runs import Runs
from assay.core.schedules import warm_up, warm_up_decay
from assay.dictionaries.kernels.cpu import in_chunks, kernel_for
from assay.dictionaries.losses import Loss
from assay.dictionaries.nonlinearity import Nonlinearity, to_json


@dataclass(frozen=True, eq=False)
class Method:
    """How one group of dictionaries is trained; the experiment that sets a field has it, or what it follows from, in its spec."""

    nonlinearity: Nonlinearity
    loss: Loss
    """A function of `assay.dictionaries.losses`, or one of the same form."""
    width: int
    """Number of features."""
    lr: Float[np.ndarray, "run"]
    """Adam's learning rate of each run at the top of its schedule."""
    penalty: Float[np.ndarray, "run"]
    """λ of each run; a loss that has none ignores it."""
    betas: tuple[float, float] = (0.0, 0.999)
    """Adam's; without momentum a feature that stops firing stops moving."""
    warm_up: int = 100
    """Steps of linear warm-up of the learning rate."""
    decay: float = 0.2
    """Share of the steps, at the end, over which the rate falls linearly to 0."""
    penalty_warm_up: float = 0.15
    """Share of the steps, at the start, over which λ rises linearly from 0."""
    encoder_scale: float = 0.3
    """The encoder starts as this times the decoder, transposed."""
    decoder_bias: bool = True
    """Whether b_dec is trained; otherwise it stays 0."""
    products: Literal["float32", "bfloat16"] = "float32"
    """Precision of matrix products; parameters, moments and everything else are float32."""


def fit_dictionaries(
    groups: Sequence[tuple[Runs, Method]],
    batches: Callable[[int], Float[Tensor, "b d"] | Float[Tensor, "run b d"]],
    *,
    d: int,
    steps: int,
    bench: Bench,
    mean: Float[Tensor, "d"] | None = None,
    scale: float = 1.0,
    sites: Sequence[str] = (),
    probe_at: Sequence[int] = (),
) -> list[Trained]:
    """One Trained for each (runs, method), after `steps` steps on normalised batches that all groups share.

    `batches(step)` gives activations that are centred and scaled already ([b, d], shared by all runs; [run, b, d] only with
    groups of equally many runs); `mean` and `scale` say how that was done and are stored with the dictionaries, which read
    raw activations. Histories hold loss, mse and l0. Read the result with `Dictionary.of`.
    """
    made = [group(runs, method, d=d, steps=steps) for runs, method in groups]
    trained = fit(made, batches, steps=steps, probe_at=probe_at, bench=bench)
    return [_readable(t, mean, scale, sites) for t in trained]


def group(runs: Runs, method: Method, *, d: int, steps: int) -> Group:
    """The Group of one method: its start by seed, and its step.

    Raises: SpecError where the method's rates and penalties are not one per run.
    """
    if not len(runs) == len(method.lr) == len(method.penalty):
        raise SpecError(
            f"a method needs one lr and one penalty for each run, got {len(method.lr)} and {len(method.penalty)} "
            f"for {len(runs)} runs"
        )
    state = start(runs.seeds, method, d)
    names = tuple(state)
    state |= adam_state(state)
    kernel = kernel_for(method.loss, method.nonlinearity, method.width)
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[method.products]
    rate = warm_up_decay(steps, method.warm_up, method.decay)
    penalty_rate = warm_up(round(method.penalty_warm_up * steps))
    adam: list[Adam] = []
    room: dict[str, Tensor] = {}

    @torch.no_grad()
    def step_fn(state: State, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        if not adam:  # built here, after any move to a device or restore
            adam.append(Adam(state, names, method.lr, method.betas))
        x = batch.float()
        penalty = torch.as_tensor(method.penalty * penalty_rate(step), dtype=torch.float32, device=x.device)
        params = {name: state[name] for name in names}
        series, grads = in_chunks(kernel, method.loss, params, x, method.nonlinearity, penalty, dtype, room)
        remove_parallel(grads["W_dec"], state["W_dec"])
        if not method.decoder_bias:
            grads["b_dec"].zero_()
        adam[0].step(grads, step, rate(step))
        unit_rows(state["W_dec"])
        return series["loss"], {name: value for name, value in series.items() if name != "loss"}

    return Group(runs, state, step_fn, {"kind": "dictionary", "nonlinearity": to_json(method.nonlinearity)})


def start(seeds: Sequence[int] | np.ndarray, method: Method, d: int) -> dict[str, Tensor]:
    """Parameters before training, both matrices [run, f, d]: random unit decoder rows by seed, the encoder along them."""
    seeds = np.asarray(seeds)
    W_dec = unit_rows(torch.from_numpy(normal(seeds, "dictionary", 0, (method.width, d))))
    own = method.nonlinearity.init(len(seeds), method.width)
    biases = {"b_enc": torch.zeros(len(seeds), method.width), "b_dec": torch.zeros(len(seeds), d)}
    return {"W_enc": method.encoder_scale * W_dec, "W_dec": W_dec, **biases, **own}


def unit_rows(W: Float[Tensor, "run f d"]) -> Float[Tensor, "run f d"]:
    """The same tensor with every row scaled to length 1, in place: without it an L1 penalty is evaded by long rows."""
    return W.div_(torch.linalg.vector_norm(W, dim=-1, keepdim=True))


def remove_parallel(grad: Float[Tensor, "run f d"], W: Float[Tensor, "run f d"]) -> None:
    """Take from each gradient row its part along the unit row of W, in place: Adam must not see what renormalising undoes."""
    grad.addcmul_(torch.einsum("rfd,rfd->rf", grad, W)[..., None], W, value=-1)


def _readable(trained: Trained, mean: Tensor | None, scale: float, sites: Sequence[str]) -> Trained:
    """In the shapes of Dictionary, with the normalisation beside them."""
    W_enc = trained.tensors["W_enc"]
    runs, _, d = W_enc.shape
    mean = torch.zeros(d) if mean is None else torch.as_tensor(mean, dtype=torch.float32)
    given = {"mean": mean.to(W_enc.device).expand(runs, d).contiguous(), "scale": torch.full((runs,), scale, device=W_enc.device)}
    tensors = {**trained.tensors, "W_enc": W_enc.mT.contiguous(), **given}
    return replace(trained, tensors=tensors, header={**trained.header, "sites": list(sites)})
