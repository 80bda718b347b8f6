"""What moves a latent when it fires, and whether latents do something together: gradients by term,
ablations by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch

Params: TypeAlias = "Mapping[str, torch.Tensor]"
"""One ReLU dictionary without a run axis: W_enc [d, f], b_enc [f], W_dec [f, d], b_dec [d]."""


@dataclass(frozen=True, eq=False)
class Pulls:
    """The gradient of one latent's encoder row and bias, as what the penalty and what the
    reconstruction asks for."""

    penalty: Float[torch.Tensor, "latent d1"]
    """Sum over rows on which the latent fires, of λ x̃ with x̃ = (x − b_dec, 1)."""
    reconstruction: Float[torch.Tensor, "latent d1"]
    """Sum over these rows of 2 (x̂ − x)·d x̃, d the latent's decoder row."""
    fired: Int[torch.Tensor, " latent"]
    """Rows that were summed."""

    @property
    def share(self) -> Float[torch.Tensor, " latent"]:
        """The penalty's signed share of the whole gradient; the reconstruction has the rest.

        Formula: ⟨g_penalty, g⟩ / ‖g‖², g = g_penalty + g_reconstruction
        Range: unbounded where the two cancel, so report it where `drift` is not small
        """
        g = self.penalty + self.reconstruction
        return (self.penalty * g).sum(-1) / g.square().sum(-1)

    @property
    def resists(self) -> Float[torch.Tensor, " latent"]:
        """How much of the penalty's pull on the bias the reconstruction takes back.

        Formula: −g_reconstruction / g_penalty, of the bias alone
        Range: 1 in balance; 0 for a latent with nothing to gain; below 0 where reconstruction too
        asks it to stop firing; NaN or infinite without a penalty
        """
        return -self.reconstruction[:, -1] / self.penalty[:, -1]

    @property
    def drift(self) -> Float[torch.Tensor, " latent"]:
        """How far the two terms are from balance.

        Formula: ‖g_penalty + g_reconstruction‖ / (‖g_penalty‖ + ‖g_reconstruction‖)
        Range: [0, 1]; 0 balanced, as at the end of training, 1 both pull one way. From n rows even
        a balanced latent has about 1/√n, so compare only latents of equally many rows
        """
        both = self.penalty.norm(dim=-1) + self.reconstruction.norm(dim=-1)
        return (self.penalty + self.reconstruction).norm(dim=-1) / both


def features(params: Params, x: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, "b f"]:
    """ReLU features of rows, in units of x."""
    return torch.addmm(
        params["b_enc"] - params["b_dec"] @ params["W_enc"], x, params["W_enc"]
    ).relu_()


def error(
    params: Params, x: Float[torch.Tensor, "b d"], codes: Float[torch.Tensor, "b f"]
) -> Float[torch.Tensor, "b d"]:
    """Reconstruction less input."""
    return torch.addmm(params["b_dec"], codes, params["W_dec"]) - x


def pulls(
    params: Params,
    x: Float[torch.Tensor, "b d"],
    latents: Int[torch.Tensor, " latent"],
    penalty: float,
    most: Int[torch.Tensor, " latent"] | None = None,
) -> Pulls:
    """The split gradient of some latents on rows x, for the loss ‖x − x̂‖² + penalty · Σ f.

    With `most`, each latent counts only its first so many firing rows. Rows on which no latent
    fires add nothing and may be left out beforehand.
    """
    codes = features(params, x)
    fires: Bool[torch.Tensor, "b latent"] = codes[:, latents] > 0
    if most is not None:
        # The running count of firings is at most `most` on the first so many.
        fires &= fires.cumsum(0) <= most
    on = fires.to(x.dtype)
    row = torch.cat([x - params["b_dec"], torch.ones_like(x[:, :1])], 1)
    pull = 2 * error(params, x, codes) @ params["W_dec"][latents].mT
    return Pulls(penalty * on.mT @ row, (on * pull).mT @ row, fires.sum(0))


@dataclass(frozen=True, eq=False)
class Ablation:
    """How much squared error grows when latents are set to 0; sums over all rows given."""

    joint: Float[torch.Tensor, ""]
    """All of them at once."""
    single: Float[torch.Tensor, ""]
    """One at a time, added up."""
    strength: Float[torch.Tensor, " event"]
    """The feature's value at each (row, latent) at which one fires."""
    loss: Float[torch.Tensor, " event"]
    """What ablating that one alone adds there."""

    @property
    def synergy(self) -> Float[torch.Tensor, ""]:
        """What they do only together.

        Formula: joint − single = Σ_rows Σ_{i≠j} f_i f_j d_i·d_j, so 0 where no two fire at once
        """
        return self.joint - self.single


def ablate(
    params: Params, x: Float[torch.Tensor, "b d"], latents: Int[torch.Tensor, " latent"]
) -> Ablation:
    """The squared error that some latents save on rows x, all at once and one at a time."""
    codes = features(params, x)
    e, D = error(params, x, codes), params["W_dec"][latents]
    latent_codes = codes[:, latents]
    # ‖e − f_i d_i‖² − ‖e‖² = f_i² ‖d_i‖² − 2 f_i e·d_i
    single = latent_codes.square() * D.square().sum(-1) - 2 * latent_codes * (e @ D.mT)
    joint = (e - latent_codes @ D).square().sum() - e.square().sum()
    return Ablation(joint, single.sum(), latent_codes[latent_codes > 0], single[latent_codes > 0])


def matched(
    events: Float[torch.Tensor, " event"],
    strength: Float[torch.Tensor, " other"],
    loss: Float[torch.Tensor, " other"],
) -> Float[torch.Tensor, ""]:
    """The sum of what other latents' ablations cost, at for each event the other event of the
    nearest strength; 0 of none.

    NaN where there is no other event to compare with.
    """
    if not len(strength):
        return torch.tensor(float("nan"))
    order = strength.argsort()
    strength, loss = strength[order], loss[order]
    # The neighbours in order are the two candidates.
    right = torch.searchsorted(strength, events).clamp(max=len(strength) - 1)
    lower = (right - 1).clamp(min=0)
    nearer = torch.where(
        (strength[right] - events).abs() < (events - strength[lower]).abs(), right, lower
    )
    return loss[nearer].sum()


def alignment(rows: Float[torch.Tensor, "latent d"]) -> Float[torch.Tensor, ""]:
    """κ, the mean cosine between two different rows; NaN for fewer than two.

    Formula: (‖Σ û‖² − n) / (n (n − 1)), û the rows at length 1
    Range: [−1/(n − 1), 1]; 0 in the mean for random directions, 1 for one shared direction
    """
    n = len(rows)
    unit = rows / rows.norm(dim=-1, keepdim=True)
    return (
        (unit.sum(0).square().sum() - n) / (n * (n - 1)) if n > 1 else rows.new_tensor(float("nan"))
    )


def append_latents(
    params: Params,
    W_enc: Float[torch.Tensor, "d more"],
    b_enc: Float[torch.Tensor, " more"],
    W_dec: Float[torch.Tensor, "more d"],
) -> Params:
    """Append further latents to a dictionary."""
    return {
        "W_enc": torch.cat([params["W_enc"], W_enc], 1),
        "b_enc": torch.cat([params["b_enc"], b_enc]),
        "W_dec": torch.cat([params["W_dec"], W_dec]),
        "b_dec": params["b_dec"],
    }
