"""EffectPenalty: a loss under which each feature pays for what it does in a metric."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.terms import (
    ByRun,
    Params,
    Rows,
    as_tensors,
    decode,
    project,
    squared_error,
)


@dataclass(frozen=True, eq=False)
class EffectPenalty:
    """Squared error, and λ times the squared effects of features one by one, each in the metric of
    its block.

    Formula: mean of ‖x − x̂‖² / d + λ Σ_i f_i² w_iᵀ M_block(i) w_i, w_i the decoder row; blocks are
    equal shares of the features, in order
    Source: nostalgebraist, remarks on Towards Monosemanticity: a split of direct and indirect
    paths; the penalty is Assay's"""

    metrics: Float[torch.Tensor, "block d d"]
    """Symmetric, one for each block."""

    def __call__(
        self,
        params: Params,
        x: Rows,
        nonlinearity: Nonlinearity,
        penalty: ByRun,
        y: Rows | None = None,
    ) -> ByRun:
        """The loss of each run."""
        params, x, y = as_tensors(params, x, y)
        features = nonlinearity(project(params, x, nonlinearity), params["b_enc"], params)
        paid = torch.einsum("rf,rf->r", features.square().mean(-2), self.prices(params["W_dec"]))
        return squared_error(y, decode(params, features, x)) + torch.as_tensor(penalty) * paid

    def prices(self, rows: Float[torch.Tensor, "run f d"]) -> Float[torch.Tensor, "run f"]:
        """What a unit of each feature's square costs: the effect of its row in the metric of its
        block."""
        return (self.images(rows) * rows).sum(-1)

    def images(self, rows: Float[torch.Tensor, "run f d"]) -> Float[torch.Tensor, "run f d"]:
        """Each row times the metric of its block. Raises: SpecError where features cannot be shared
        out equally."""
        if rows.shape[1] % len(self.metrics):
            raise SpecError(
                f"{rows.shape[1]} features cannot be shared equally by {len(self.metrics)} "
                "blocks; take a multiple"
            )
        return torch.cat(
            [
                part @ M
                for part, M in zip(
                    rows.chunk(len(self.metrics), 1), self.metrics.to(rows), strict=True
                )
            ],
            1,
        )


def priced(
    metric: Float[torch.Tensor, "d d"], covariance: Float[torch.Tensor, "d d"]
) -> Float[torch.Tensor, "d d"]:
    """Scale a metric so that the mean squared effect of all that is reconstructed is 1: then λ is
    in units of FVU.

    Formula: M / tr(M C), C the covariance of normalised activations
    Raises: SpecError for a metric in which nothing has an effect.
    """
    size = float((metric.double() * covariance.double()).sum())
    if not size > 0:
        raise SpecError(
            "nothing that is reconstructed has an effect in this metric, so there is nothing "
            "to pay for"
        )
    return metric / size
