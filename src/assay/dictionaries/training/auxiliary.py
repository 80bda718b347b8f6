"""Losses of the TopK family: AuxK, which brings dead latents back, and Matryoshka's nested
reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.gates import gate
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


def aux_k(
    error: Float[torch.Tensor, "run b d"],
    pre: Float[torch.Tensor, "run b f"],
    W_dec: Float[torch.Tensor, "run f d"],
    dead: Bool[torch.Tensor, "run f"],
) -> Float[torch.Tensor, " run"]:
    """How badly the dead latents alone reconstruct what the others left over; 0 where none is dead,
    or all rows left the same.

    Formula: Σ‖e − ê‖² / Σ‖e − ē‖² with e = sg(x − x̂), ē its mean row and ê = (the d/2 largest
    max(π, 0) of dead latents) W_dec
    Source: Scaling and evaluating sparse autoencoders (2024), appendix A.2
    Differs: dead pre-activations are rectified and no bias takes part, so a dead latent at or below
    0 gives ê = 0; SAELens keeps negative ones. Divided by the variance of e over the batch, as in
    dictionary_learning; OpenAI's code divides row by row"""
    if not dead.any():
        return torch.zeros_like(error[:, 0, 0])
    # The dead are to learn what is left over, not the living to leave something else.
    error = error.detach()
    # All latents of all runs in one array, though few are dead, since runs differ in which.
    codes = pre.masked_fill(~dead[:, None], 0).relu()
    largest = max(1, error.shape[-1] // 2)
    if int(dead.sum(-1).max()) > largest:
        values, index = codes.topk(largest, dim=-1, sorted=False)
        codes = torch.zeros_like(codes).scatter(-1, index, values)
    variance = (error - error.mean(1, keepdim=True)).square().mean((1, 2))
    # Runs without dead latents are in the batch all the same; for them the term is 0, and nothing
    # is divided by 0.
    counts = dead.any(-1) & (variance > 0)
    return squared_error(error, codes @ W_dec) / variance.where(counts, 1) * counts


@dataclass(frozen=True)
class TopKAux:
    """Squared error and α times AuxK, for TopK and BatchTopK; `penalty` is not used.

    Formula: mean of ‖x − x̂‖² / d + α AuxK
    Source: Scaling and evaluating sparse autoencoders (2024), section 2.4 and appendix A.2
    Example:
        >>> import torch
        >>> from assay.dictionaries import TopK
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, 4.0], [6.0, 0.0, 0.0, -4.0]])
        >>> loss, idle = losses.TopKAux(alpha=1, dead_after=100), torch.tensor([[0, 0, 0, 100]])
        >>> loss(params, x, TopK(1), torch.ones(1), idle=idle)  # 16/4 + 1/2: one row is mended
        tensor([4.5000])
    """

    alpha: float = 1 / 32
    """Weight of the auxiliary term."""
    dead_after: int = 20_000
    """Rows without a value above 0 after which a latent counts as dead. Published: 10 million."""

    def __call__(
        self,
        params: Params,
        x: Rows,
        nonlinearity: Nonlinearity,
        penalty: ByRun,
        y: Rows | None = None,
        idle: Int[torch.Tensor, "run f"] | None = None,
    ) -> ByRun:
        """The loss of each run; `idle` counts rows since each latent last fired, None: all are
        alive. `penalty` is not used, and the rest is what `losses.l1` takes."""
        params, x, y = as_tensors(params, x, y)
        z = project(params, x, nonlinearity)
        x_hat = decode(params, nonlinearity(z, params["b_enc"], params), x)
        loss = squared_error(y, x_hat)
        if idle is None:
            return loss
        dead = torch.as_tensor(idle) >= self.dead_after
        return loss + self.alpha * aux_k(y - x_hat, gate(z, params["b_enc"]), params["W_dec"], dead)


@dataclass(frozen=True)
class Matryoshka:
    """The sum of squared errors of nested dictionaries, the first so many latents each, and α times
    AuxK of the whole.

    Formula: Σ_m mean of ‖x − f_{<m} W_dec,<m − b_dec‖² / d + α AuxK
    Source: Learning Multi-Level Features with Matryoshka Sparse Autoencoders (2025), section 3
    Differs: dictionary_learning takes the mean over prefixes, which here is the same as a larger α
    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> x = torch.tensor([[6.0, 0.0, 4.0, -4.0]])
        >>> loss = losses.Matryoshka(prefixes=(2, 4))
        >>> loss(params, x, ReLU(), torch.ones(1))  # 32/4 by the first two, 16/4 by all
        tensor([12.])
    """

    prefixes: tuple[int, ...]
    """Widths of the nested dictionaries, growing; the last is the whole width."""
    alpha: float = 1 / 32
    """Weight of the auxiliary term."""
    dead_after: int = 20_000
    """Rows without a value above 0 after which a latent counts as dead."""

    def __post_init__(self):
        if (
            list(self.prefixes) != sorted(set(self.prefixes))
            or not self.prefixes
            or self.prefixes[0] < 1
        ):
            raise DataError(
                f"prefixes must be growing widths such as (64, 128, 512), got {self.prefixes}"
            )

    def __call__(
        self,
        params: Params,
        x: Rows,
        nonlinearity: Nonlinearity,
        penalty: ByRun,
        y: Rows | None = None,
        idle: Int[torch.Tensor, "run f"] | None = None,
    ) -> ByRun:
        """The loss of each run; it takes what `TopKAux` takes."""
        params, x, y = as_tensors(params, x, y)
        width = params["W_dec"].shape[1]
        if self.prefixes[-1] != width:
            raise DataError(
                f"the last of the prefixes must be the dictionary's width {width}, got "
                f"{self.prefixes}"
            )
        z = project(params, x, nonlinearity)
        features = nonlinearity(z, params["b_enc"], params)
        first = self.prefixes[0]
        x_hat = decode({**params, "W_dec": params["W_dec"][:, :first]}, features[..., :first], x)
        loss = squared_error(y, x_hat)
        for a, b in zip(self.prefixes, self.prefixes[1:], strict=False):
            # Each reconstruction is the one before and one stretch of latents more.
            x_hat = x_hat + features[..., a:b] @ params["W_dec"][:, a:b]
            loss = loss + squared_error(y, x_hat)
        if idle is None:
            return loss
        dead = torch.as_tensor(idle) >= self.dead_after
        return loss + self.alpha * aux_k(y - x_hat, gate(z, params["b_enc"]), params["W_dec"], dead)
