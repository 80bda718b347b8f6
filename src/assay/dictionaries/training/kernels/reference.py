"""Any loss and its gradients by plain autograd: the truth for sparse steps, and what a new loss
uses at once.

Every kernel is a function of a `StepInput` and gives (series, gradients). In training the big
matrices are stored row per latent, so `params["W_enc"]` is [run, f, d] here; gradients come in the
same shapes, those of matrices perhaps still in the precision of the products. `series` holds "loss"
and "l0" [run], and what else is worth a curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeAlias

from jaxtyping import Float

from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.kernels.active import Codes
from assay.dictionaries.training.losses import Loss, Params

Step: TypeAlias = 'tuple[dict[str, Float[torch.Tensor, " run"]], dict[str, torch.Tensor]]'
Note: TypeAlias = "Callable[[torch.Tensor | Codes], Mapping[str, torch.Tensor]]"
FIXED = ("b_pre",)
"""Parameters that losses read and training leaves alone."""


@dataclass(eq=False)
class StepInput:
    """What a step is computed from: a loss with its arguments, for the runs of one method."""

    loss: Loss
    params: Params
    x: Float[torch.Tensor, "*run b e"]
    nonlinearity: Nonlinearity
    penalty: Float[torch.Tensor, " run"]
    dtype: torch.dtype
    """Precision of matrix products."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What the loss asked for by name: tensors [run, …], but for a target y that the runs share."""
    note: Note | None = None
    """What it gives of the features, or of a sparse code of one run, is added to the series."""

    @classmethod
    def of(cls, step: StepInput) -> Self:
        """Take the fields of another."""
        return cls(*(getattr(step, f.name) for f in fields(StepInput)))

    def of_runs(self, its: slice) -> Self:
        """Take some of the runs; rows and a target that the runs share are not cut."""

        def is_cut(name: str, value: Any) -> bool:
            return isinstance(value, torch.Tensor) and (name != "y" or value.ndim == 3)

        return replace(
            self,
            params={name: value[its] for name, value in self.params.items()},
            x=self.x if self.x.ndim == 2 else self.x[its],
            penalty=self.penalty[its],
            more={n: value[its] if is_cut(n, value) else value for n, value in self.more.items()},
        )


Kernel = Callable[[StepInput], Step]


def autograd(step: StepInput) -> Step:
    """The loss [run] and its gradients, by torch's autograd; where `dtype` is bfloat16, autocast
    takes products in it."""
    noted, params = Noted(step.nonlinearity), step.params
    low = (
        torch.autocast(step.x.device.type, torch.bfloat16)
        if step.dtype == torch.bfloat16
        else nullcontext()
    )
    with torch.enable_grad(), low:
        leaves = leaves_of(params)
        read = standard({**params, **leaves})
        losses = step.loss(read, step.x, noted, step.penalty, **step.more)
        # summed, never averaged over runs, so that each run's gradient is its own
        grads = gradients_of([losses.sum()], leaves)
    series = {"loss": losses.detach()}
    if noted.features is not None:
        series["l0"] = (noted.features != 0).sum(-1).float().mean(-1)
        series |= step.note(noted.features) if step.note else {}
    return series, grads


def leaves_of(params: Params) -> dict[str, torch.Tensor]:
    """Detached aliases of the parameters that training moves: these require a gradient, and the
    parameters stay as they are."""
    return {
        name: value.detach().requires_grad_() for name, value in params.items() if name not in FIXED
    }


def gradients_of(
    outputs: Sequence[torch.Tensor],
    leaves: Mapping[str, torch.Tensor],
    cotangents: Sequence[torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """The gradient of every leaf; 0 where the outputs do not depend on it."""
    grads = torch.autograd.grad(outputs, list(leaves.values()), cotangents, allow_unused=True)
    # A loss need not touch every parameter, r_mag without a gate for instance; optimisers want all.
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(leaves.items(), grads, strict=True)
    }


def standard(params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turn encoders into [run, d, f], as views: the shapes of losses and of Dictionary."""
    return {name: value.mT if is_encoder(name) else value for name, value in params.items()}


def is_encoder(name: str) -> bool:
    """Whether a parameter of this name is stored row per latent in training, and the other way
    round in a Dictionary."""
    return name.startswith(("W_", "of_W_")) and name not in ("W_dec", "W_skip")


class Noted:
    """A nonlinearity that keeps the features it gave, so that a loss need not return them.

    `made` are those that the loss goes on with, `features` those that are counted as on, without
    their gradient."""

    def __init__(self, nonlinearity: Nonlinearity):
        self.of = nonlinearity
        self.made: torch.Tensor | None = None
        self.features: torch.Tensor | None = None

    def __call__(
        self, z: torch.Tensor, b_enc: torch.Tensor, parameters: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        features = self.made = self.of(z, b_enc, parameters)
        counted = getattr(self.of, "counted", None)
        with torch.no_grad():
            # A soft gate is never 0, so its L0 would be the whole width: what it will be read with
            # is counted.
            self.features = features.detach() if counted is None else counted(z, b_enc, parameters)
        return features

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)
