"""Readout: what a block's MLP writes to the residual stream, and what the stream means to the
logits, in d × d matrices.

Logits are W_U Γ P x / σ(x): P takes the mean away (LayerNorm) or does nothing (RMSNorm), σ is the
length of P x over √d, Γ the norm's gain. Softmax ignores a constant, so a difference of logits is
measured after centring over the vocabulary. Its squared length is eᵀ ΓG_cΓ e for the normalised
difference e, with one d × d matrix G_c for the whole vocabulary. With the Cholesky factor L of
ΓG_cΓ, `Lᵀe` has that length itself: plain numbers whose squared error is the squared error of the
logits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import (
    ROWS,
    Norm,
    final_norm,
    mlp_output,
    norm_of,
    output_matrix,
    written_by_neurons,
)

FLOOR = 1e-5
"""An exact effect is taken as 0 below this share of the frozen one: float32 rounds at about 1e-6 of
it."""
JITTER = 1e-6
"""Added to the Gram matrix before it is factored, as a share of its mean diagonal: quantised
unembeddings can be near singular."""


def gram(W_U: Float[torch.Tensor, "v d"], centred: bool = True) -> Float[torch.Tensor, "d d"]:
    """The matrix that measures differences of logits, in logits²: ‖W_U e‖² = eᵀ G e for every e,
    without the vocabulary.

    Formula: G = W_Uᵀ W_U; centred: W_Uᵀ (I − 11ᵀ/V) W_U, as softmax ignores a constant shift of all
    logits"""
    # Sums over a vocabulary of squares that are all above 0: float32 would lose what small
    # directions have. In parts: in float64 a vocabulary of 262,144 is twice as large as its model.
    parts = W_U.split(ROWS)
    mean = sum(part.double().sum(0) for part in parts) / len(W_U) if centred else 0.0
    return sum(
        (rows.T @ rows for rows in (part.double() - mean for part in parts)), torch.zeros(())
    )


def factor(gram: Float[torch.Tensor, "d d"]) -> Float[torch.Tensor, "d d"]:
    """Lower triangular L with L Lᵀ = gram, after `JITTER` on its diagonal, so that ‖Lᵀe‖² = eᵀ gram
    e."""
    return torch.linalg.cholesky(
        gram
        + JITTER
        * gram.diagonal().mean()
        * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    )


def null_projector(W_out: Float[torch.Tensor, "m d"]) -> Float[torch.Tensor, "m m"]:
    """The projector onto what a linear map h ↦ h W_out does not read: h and h + null·h have the
    same image.

    Formula: N = I − W_out W_out⁺
    """
    W = W_out.double()
    return torch.eye(len(W), dtype=torch.float64, device=W.device) - W @ torch.linalg.pinv(W)


@dataclass(frozen=True)
class LinearisedNorm(Norm):
    """A norm without its gain, and what a part of its input is worth after it."""

    def frozen(
        self, part: Float[torch.Tensor, "... d"], x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """A part of x after the norm, its divisor held at that of x.

        Formula: P part / σ(x)
        """
        return self.project(part) / self.sigma(x)

    def exact(
        self, part: Float[torch.Tensor, "... d"], x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """What x is after the norm, less x without the part after it.

        Formula: P x / σ(x) − P (x − part) / σ(x − part), as P part / σ' + P x (σ' − σ) / (σ σ')
        with σ' = σ(x − part), so that a short part is not lost in the rounding of x
        """
        sigma, after, whole, left_out = (
            self.sigma(x),
            self.sigma(x - part),
            self.project(x),
            self.project(part),
        )
        # σ'² − σ² = mean of (c − P x)² − (P x)² = mean of c (c − 2 P x), with c = P part; over σ' +
        # σ it is σ' − σ, without the difference of two near numbers.
        longer = (left_out * (left_out - 2 * whole)).mean(-1, keepdim=True) / (
            after + sigma
        )  # σ' − σ
        return left_out / after + whole * longer / (sigma * after)

    def jacobian(
        self, part: Float[torch.Tensor, "... d"], x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """`exact` to first order in the part.

        Formula: (P − x̂ x̂ᵀ/d) part / σ(x) with x̂ = P x / σ(x)
        """
        sigma = self.sigma(x)
        unit, centred = self.project(x) / sigma, self.project(part)
        projection = (unit * centred).mean(-1, keepdim=True)
        return (centred - unit * projection) / sigma


@dataclass(frozen=True, eq=False)
class Effects:
    """What leaving out a part of the stream does to the logits, in coordinates Lᵀ· whose length is
    that of centred logits."""

    exact: Float[torch.Tensor, "b d"]
    """Logits with the part less those without it."""
    frozen: Float[torch.Tensor, "b d"]
    """That difference with the norm's divisor held where it is."""
    jacobian: Float[torch.Tensor, "b d"]
    """That difference to first order: the divisor moves with the stream, along its tangent."""

    def error(self, linear: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, " b"]:
        """Relative error of a linear version; NaN where the exact effect is 0 but for rounding.

        Formula: ‖exact − linear‖ / ‖exact‖; NaN where ‖exact‖ ≤ FLOOR · ‖frozen‖
        Range: 0 to 1/FLOOR for the frozen version; large for a part nearly along P x, whose exact
        effect is nearly 0
        Better: lower
        """
        size, least = (torch.linalg.vector_norm(v, dim=-1) for v in (self.exact, self.frozen))
        return torch.where(
            size > FLOOR * least,
            torch.linalg.vector_norm(self.exact - linear, dim=-1) / size,
            torch.nan,
        )


@dataclass(frozen=True, eq=False)
class After:
    """A norm between an MLP and the stream."""

    W: Float[torch.Tensor, "m d"]
    """What each neuron writes before it."""
    norm: Norm
    """Without its gain."""


@dataclass(frozen=True, eq=False)
class Readout:
    """One block's MLP output and the model's final norm and unembedding, float32."""

    W_out: Float[torch.Tensor, "m d"]
    """What each neuron adds to the stream; behind a norm, what a unit of it over the norm's divisor
    adds."""
    b_out: Float[torch.Tensor, " d"]
    gain: Float[torch.Tensor, " d"]
    """Γ of the final norm."""
    centres: bool
    """Whether the norm takes the mean away (LayerNorm; RMSNorm does not)."""
    eps: float
    """Added to σ²."""
    gram: Float[torch.Tensor, "d d"]
    """G_c of the unembedding, centred over the vocabulary, float64."""
    after: After | None = None
    """The norm of what the MLP writes, where the family has one, as Gemma."""

    @cached_property
    def L(self) -> Float[torch.Tensor, "d d"]:
        """The Cholesky factor of ΓG_cΓ."""
        return factor(self.gain.double()[:, None] * self.gram * self.gain.double()).float()

    @cached_property
    def null(self) -> Float[torch.Tensor, "m m"]:
        """The projector onto what W_out does not read."""
        return null_projector(self.W_out).float()

    @cached_property
    def importance(self) -> Float[torch.Tensor, " m"]:
        """What a unit of each neuron's variance is worth, in squared centred logits (times σ²).

        Formula: ‖Lᵀ P w_j‖², w_j what neuron j adds to the stream
        """
        return (self.project(self.W_out) @ self.L).square().sum(-1)

    def scaled(self, h: Float[torch.Tensor, "b m"]) -> Float[torch.Tensor, "b m"]:
        """Activations as W_out reads them: over the divisor of the norm behind the MLP, if any."""
        return h if self.after is None else h / self.after.norm.sigma(h @ self.after.W)

    def update(self, h: Float[torch.Tensor, "b m"]) -> Float[torch.Tensor, "b d"]:
        """What the MLP adds to the stream."""
        return self.scaled(h) @ self.W_out + self.b_out

    @property
    def norm(self) -> LinearisedNorm:
        """The final norm without its gain."""
        return LinearisedNorm(self.centres, self.eps)

    def project(self, x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "... d"]:
        """P x: the mean over the d numbers taken away, or x itself under RMSNorm."""
        return self.norm.project(x)

    def sigma(self, x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "... 1"]:
        """The norm's divisor."""
        return self.norm.sigma(x)

    def frozen(
        self, part: Float[torch.Tensor, "... d"], x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """A part of the stream x in logit coordinates, the norm's divisor taken from x.

        Formula: Lᵀ P part / σ(x)
        """
        return self.norm.frozen(part, x) @ self.L

    def exact(
        self, part: Float[torch.Tensor, "... d"], x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """What x adds to the logits over x without the part, in logit coordinates.

        Formula: Lᵀ (P x / σ(x) − P (x − part) / σ(x − part))
        """
        return self.norm.exact(part, x) @ self.L

    def jacobian(
        self, part: Float[torch.Tensor, "... d"], x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """`exact` to first order in the part.

        Formula: Lᵀ (P − x̂ x̂ᵀ/d) part / σ(x) with x̂ = P x / σ(x)
        """
        return self.norm.jacobian(part, x) @ self.L

    def effects(self, part: Float[torch.Tensor, "b d"], x: Float[torch.Tensor, "b d"]) -> Effects:
        """Exact and linearised effects of parts of the stream on the logits."""
        return Effects(self.exact(part, x), self.frozen(part, x), self.jacobian(part, x))


def readout(model: Pretrained, layer: int) -> Readout:
    """The Readout of one block of a model. Raises: ModelError for a block that it lacks, and for
    logits that are capped."""
    unembedding: Any = model.model.get_output_embeddings()
    matrix, after = mlp_output(model, layer)
    if not isinstance(model.head, torch.nn.Module):
        raise ModelError(f"{model.name} caps its logits: they are not linear in the last norm")
    norm, bias = final_norm(model), getattr(matrix, "bias", None)
    return Readout(
        W_out=written_by_neurons(model, layer),
        b_out=torch.zeros(len(model.gain)) if bias is None else bias.detach().float().cpu(),
        gain=model.gain.cpu(),
        centres=norm.centres,
        eps=norm.eps,
        gram=gram(unembedding.weight.detach().cpu()),
        after=None if after is None else After(output_matrix(model, layer), norm_of(model, after)),
    )
