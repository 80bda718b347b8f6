"""Subspaces of the activations at a site, including those that separate labels, and the erasure of
a concept there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure.bases import covariance
from assay.controls.vectors import SAME
from assay.core.heavy import torch

RIDGE = 0.1
"""The penalty of a probe whose weights are a direction, relative to the mean variance."""


def projecting(
    basis: Float[torch.Tensor, "k d"], mean: Float[torch.Tensor, " d"], *, keep: bool
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make a function that sets the dimensions of an orthonormal basis, or all others if these are
    kept, to their value in `mean`."""

    def project(x: torch.Tensor) -> torch.Tensor:
        within = ((x - mean.to(x)) @ basis.to(x).T) @ basis.to(x)
        return mean.to(x) + within if keep else x - within

    return project


def of_labels(
    acts: Float[torch.Tensor, "row d"], label: Int[np.ndarray, " row"], iterations: int
) -> Float[torch.Tensor, "k d"]:
    """Give a basis of what separates labels: by their means, or by so many probes."""
    of_row = torch.from_numpy(label).to(acts.device)
    return _inlp(acts, of_row, iterations) if iterations else _of_means(acts, of_row)


def _of_means(
    acts: Float[torch.Tensor, "row d"], label: Int[torch.Tensor, " row"]
) -> Float[torch.Tensor, "k d"]:
    """Give a basis of the differences between the means of labels: one dimension less than there
    are labels, or fewer if the means are collinear."""
    means = torch.stack([acts[label == n].double().mean(0) for n in label.unique()])
    apart = means - means.mean(0)
    differ = float(apart.norm()) > SAME * float(acts.norm(dim=1).mean())
    return (_span(apart) if differ else apart[:0]).to(acts)


def _inlp(
    acts: Float[torch.Tensor, "row d"], label: Int[torch.Tensor, " row"], iterations: int
) -> Float[torch.Tensor, "k d"]:
    """Give a basis of the weights of successive probes, each fitted on what the earlier ones leave
    (iterative null-space projection): for every iteration one dimension less than there are labels.
    Each is a ridge regression of indicators of the labels.

    Source: Ravfogel et al., Null It Out: Guarding Protected Attributes by Iterative Nullspace
    Projection, 2020
    """
    x = acts.double() - acts.double().mean(0)
    y = torch.nn.functional.one_hot(label).double()
    y = (y - y.mean(0)).to(x)
    basis, eye = x[:0], torch.eye(len(x), dtype=x.dtype, device=x.device)
    for _ in range(iterations):
        remaining = x - (x @ basis.T) @ basis
        gram = remaining @ remaining.T
        weights = remaining.T @ torch.linalg.solve(gram + RIDGE * gram.diagonal().mean() * eye, y)
        varies = float(remaining.norm()) > SAME * float(x.norm())
        basis = torch.cat([basis, _span(weights.T)]) if varies else basis
    return basis.to(acts)


def _span(rows: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "k d"]:
    """An orthonormal basis of the span of rows, without dimensions that are due to rounding."""
    _, lengths, basis = torch.linalg.svd(rows, full_matrices=False)
    spanning: torch.Tensor = basis[lengths > SAME * lengths[0]]
    return spanning


def erasing(
    acts: Float[torch.Tensor, "row d"], differences: Float[torch.Tensor, "... d"]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make a function that erases a concept given by labels: afterwards the means of the labels are
    equal, so that no linear probe does better than a constant, and activations change as little as
    possible in the metric of their covariance.

    Args:
        acts: that it is learned from.
        differences: one vector, or several, that span the differences between the labels' means.
    Source: Belrose et al., LEACE: Perfect linear concept erasure in closed form, 2023
    Formula: x − V (Vᵀ Σ⁻¹ V)⁺ Vᵀ Σ⁻¹ (x − μ), the columns of V the differences
    """
    rows, v = acts.double(), torch.atleast_2d(differences).double().T
    mean, reader = rows.mean(0), torch.linalg.solve(covariance(rows), v)
    along = v @ torch.linalg.pinv(v.T @ reader)

    def erase(x: torch.Tensor) -> torch.Tensor:
        return x - ((x.double() - mean) @ reader @ along.T).to(x)

    return erase
