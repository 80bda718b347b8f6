"""Normalisation of each row of activations by itself, as some published dictionaries want it at run
time, and its way back.

"layer-norm" and "length" do what the libraries that wrote such files do, so that an imported file
gives its own package's numbers. One of them is not a true inverse: "layer-norm" divides by σ + 1e-5
and multiplies back by σ alone, so that a perfect coder of a row with σ = 1e-5 gives back half of
it. "layer-norm-exact" multiplies back by what it divided by."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float

from assay.core.heavy import torch

PerToken = Literal["", "layer-norm", "layer-norm-exact", "length", "mean"]
PER_TOKEN = ("", "layer-norm", "layer-norm-exact", "length", "mean")
EPSILON = 1e-5


def per_token(
    x: Float[torch.Tensor, "run b d"], kind: PerToken
) -> tuple[
    Float[torch.Tensor, "run b 1"], Float[torch.Tensor, "run b 1"], Float[torch.Tensor, "run b 1"]
]:
    """(shift, factor, back) of each row: it is normalised as (x − shift) · factor, and given back
    as x̂ · back + shift.

    Formula: layer-norm: shift = μ, factor = 1/(σ + 1e-5), back = σ (exact: σ + 1e-5), with σ² = Σ(x
    − μ)²/(d − 1);
    length: shift = 0, factor = √d/‖x‖, back = ‖x‖/√d;
    mean: shift = μ, factor = back = 1, as in a model whose writing weights were centred
    Source: SAELens 6 `normalize_activations`, OpenAI's sparse_autoencoder `LN`
    """
    if kind == "length":
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return torch.zeros_like(length), 1 / length.clamp_min(torch.finfo(x.dtype).tiny), length
    if kind == "mean":
        shift = x.mean(-1, keepdim=True)
        return shift, torch.ones_like(shift), torch.ones_like(shift)
    shift, deviation = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
    back = deviation if kind == "layer-norm" else deviation + EPSILON
    return shift, 1 / (deviation + EPSILON), back


def multiply(
    x: Float[torch.Tensor, "run b d"],
    scale: Float[torch.Tensor, " run"] | Float[torch.Tensor, "run d"],
) -> Float[torch.Tensor, "run b d"]:
    """x times a factor of each run, or of each run and dimension."""
    return x * (scale[:, None, None] if scale.ndim == 1 else scale[:, None])


def divide(
    x: Float[torch.Tensor, "run b d"],
    scale: Float[torch.Tensor, " run"] | Float[torch.Tensor, "run d"],
) -> Float[torch.Tensor, "run b d"]:
    """x divided by a factor of each run, or of each run and dimension."""
    return x / (scale[:, None, None] if scale.ndim == 1 else scale[:, None])
