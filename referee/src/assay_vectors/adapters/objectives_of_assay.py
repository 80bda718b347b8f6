"""Assay's adapter, third part: what a vector gives as Assay's own values; objectives and their
gradients, thresholds, resampling.

`losses` divides squared errors by d and the sum of features by √d; here both factors are undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import protocol
import torch
from torch import Tensor

from assay.core.descent import Adam, adam_state
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.auxiliary import Matryoshka, TopKAux
from assay.dictionaries.training.dead import resample
from assay.dictionaries.training.learners import Seen
from assay.dictionaries.training.terms import project

Weights = Mapping[str, Any]
Nested = Sequence[Any]


def dictionary(
    architecture: str,
    weights: Weights,
    centred: bool = True,
    scale: float | None = None,
    **more: Any,
) -> Dictionary:
    """The one-run Dictionary of a vector's weights."""
    tensors: dict[str, Any] = {
        n: torch.tensor([value], dtype=torch.float64) for n, value in weights.items() if n != "k"
    }
    kinds: dict[str, Nonlinearity] = {
        "relu": ReLU(),
        "gated": Gated(),
        "jumprelu": JumpReLU(),
        "batchtopk": JumpReLU(),
    }
    if "k" in weights:
        kinds |= {
            kind.lower(): nonlinearity_class(weights["k"])
            for kind, nonlinearity_class in (
                ("TopK", TopK),
                ("AbsTopK", AbsTopK),
                ("GroupMax", GroupMax),
            )
        }
    if architecture == "gated":
        tensors["b_enc"] = tensors.pop("b_gate")
    if (
        tensors.pop("rescale_by_decoder_norm", None) is not None
    ):  # the same dictionary with decoder rows of length 1
        norm = tensors["W_dec"].norm(dim=-1)
        tensors |= {
            "W_enc": tensors["W_enc"] * norm[:, None],
            "b_enc": tensors["b_enc"] * norm,
            "W_dec": tensors["W_dec"] / norm[..., None],
        }
    if "threshold" in tensors:
        tensors["threshold"] = tensors["threshold"].expand_as(tensors["b_enc"])
    own_tensors: dict[str, Tensor] = {
        name: tensors.pop(name) for name in ("threshold", "r_mag", "b_mag") if name in tensors
    }
    pre = None if centred else torch.zeros(1, tensors["W_enc"].shape[1], dtype=torch.float64)
    times = None if scale is None else torch.tensor([scale], dtype=torch.float64)
    return Dictionary(
        **tensors, nonlinearity=kinds[architecture], own=own_tensors, b_pre=pre, scale=times, **more
    )


def rows(x: Nested, dtype: str = "float64") -> Tensor:
    """Rows as a tensor."""
    return torch.tensor(x, dtype=getattr(torch, dtype))


def parameters(weights: Weights, centred: bool) -> dict[str, Tensor]:
    """A vector's weights as parameters [run, …] that ask for gradients; b_gate is Gated's b_enc."""
    names = {name: "b_enc" if name == "b_gate" else name for name in weights if name != "k"}
    params = {
        ours: torch.tensor([weights[name]], dtype=torch.float64, requires_grad=True)
        for name, ours in names.items()
    }
    return (
        params
        if centred
        else params | {"b_pre": torch.zeros(1, len(weights["W_enc"]), dtype=torch.float64)}
    )


def value(
    objective: str,
    params: Mapping[str, Tensor],
    x: Tensor,
    weights: Weights,
    penalty: float,
    **more: Any,
) -> Tensor:
    """One objective, or one term of it as the difference of two."""
    d = x.shape[1]
    lam = torch.tensor([penalty / d**0.5], dtype=torch.float64)

    def loss(
        loss_fn: Callable[..., Tensor],
        nonlinearity: Nonlinearity,
        penalty: Tensor = lam,
        **also: Any,
    ) -> Tensor:
        return loss_fn(params, x, nonlinearity, penalty, **also)[0]

    jump = JumpReLU(bandwidth=more["bandwidth"])
    if objective == "jumprelu-l0":
        return loss(losses.jumprelu, jump, torch.ones(1)) - loss(
            losses.jumprelu, jump, torch.zeros(1)
        )
    if objective == "preactivation":
        return (project(params, x) + params["b_enc"][:, None])[0, 0, more["latent"]]
    plain: dict[str, Callable[[], Tensor]] = {
        "l1": lambda: loss(losses.l1, ReLU()),
        "l1-weighted": lambda: loss(losses.l1_weighted, ReLU()),
        "jumprelu-reconstruction": lambda: loss(losses.jumprelu, jump, torch.zeros(1)),
        "gated": lambda: loss(losses.gated, Gated()),
        "gated-aux": lambda: loss(losses.gated, Gated()) - loss(losses.gated_no_aux, Gated()),
        "gated-no-aux": lambda: loss(losses.gated_no_aux, Gated()),
        "topk": lambda: loss(losses.mse, TopK(weights["k"])),
    }
    if objective not in plain:
        raise protocol.NotOffered(f"no {objective}")
    return plain[objective]() * d


def gradients(
    objective: str,
    weights: Weights,
    centred: bool,
    x: Nested,
    penalty: float = 0.0,
    bandwidth: float = 1.0,
    latent: int = 0,
    p: float = 1.0,
) -> dict[str, Any]:
    """An objective and its gradients, by the vector's names."""
    params = parameters(weights, centred)
    rows = torch.tensor(x, dtype=torch.float64)
    loss = value(objective, params, rows, weights, penalty, bandwidth=bandwidth, latent=latent)
    names = [name for name in weights if name != "k"]
    inputs = [params["b_enc" if name == "b_gate" else name] for name in names]
    raw_grads = torch.autograd.grad(loss, inputs, allow_unused=True)
    grads = {
        n: torch.zeros_like(t) if g is None else g
        for n, t, g in zip(names, inputs, raw_grads, strict=True)
    }
    return {"loss": loss, **{name: grad[0] for name, grad in grads.items()}}


def auxk(weights: Weights, x: Nested, k_aux: int, dead: Sequence[bool]) -> dict[str, Any]:
    """The auxiliary term, as the loss with it less the loss without, and the direction of the dead
    encoder column's gradient."""
    params, rows = parameters(weights, True), torch.tensor(x, dtype=torch.float64)
    objective, idle = TopKAux(alpha=1.0, dead_after=1), torch.tensor([dead]).long()
    none = torch.zeros(1)
    loss = objective(params, rows, TopK(weights["k"]), none, idle=idle) - losses.mse(
        params, rows, TopK(weights["k"]), none
    )
    column = torch.autograd.grad(loss[0], params["W_enc"])[0][0, :, dead.index(True)]
    return {"loss": loss[0], "direction": column / (column.norm() or 1)}


def loss_ratio(
    objective: str,
    weights: Weights,
    centred: bool,
    prefixes: Sequence[int],
    x: Nested,
    against: Nested,
) -> dict[str, Any]:
    """Matryoshka loss of x over that of another input."""
    matryoshka, params = Matryoshka(tuple(prefixes)), parameters(weights, centred)
    a, b = (
        matryoshka(
            params, torch.tensor(r, dtype=torch.float64), BatchTopK(weights["k"]), torch.zeros(1)
        )
        for r in (x, against)
    )
    return {"ratio": (a / b)[0]}


def threshold_estimate(kept: Nested, updates: int) -> dict[str, Any]:
    """BatchTopK's estimate after many batches with these kept values."""
    features = torch.tensor([kept], dtype=torch.float32)
    nonlinearity = BatchTopK(features.shape[-1])
    state = nonlinearity.keep(np.array([0]), features.shape[-1])
    nonlinearity.settle(state, [nonlinearity.note(features)] * updates)
    return {"threshold": state["threshold"][0, 0]}


def threshold_travel(start: float, lr: float, steps: int) -> dict[str, Any]:
    """Adam, as training uses it, on JumpReLU's own parameter."""
    nonlinearity = JumpReLU(start=start)
    state = nonlinearity.init(1, 1)
    state |= adam_state(state)
    adam = Adam(state, ["threshold"], np.array([lr]))
    for step in range(steps):
        adam.step({"threshold": -torch.ones(1, 1)}, step)
        nonlinearity.confine(state)
    return {"moved": float(state["threshold"][0, 0]) - start}


def resampled(weights: Weights, dead: Sequence[bool], x: Nested) -> dict[str, Any]:
    """Length of the encoder row that a resampled latent gets; training keeps W_enc as [run, f,
    d]."""
    params = {name: torch.tensor([part], dtype=torch.float32) for name, part in weights.items()}
    state = {**params, "W_enc": params["W_enc"].mT.contiguous()}
    state |= adam_state(state)
    observation = Seen(
        0, 1, np.array([0]), torch.tensor(x, dtype=torch.float32), None, {}, params, ReLU()
    )
    gone = torch.tensor([dead])
    resample(state, observation, gone, ~gone)
    return {"norm": state["W_enc"][0, dead.index(True)].norm()}


OPERATIONS: protocol.Operations = {
    "gradients": gradients,
    "auxk": auxk,
    "loss_ratio": loss_ratio,
    "threshold_estimate": threshold_estimate,
    "threshold_travel": threshold_travel,
    "resample": resampled,
}
