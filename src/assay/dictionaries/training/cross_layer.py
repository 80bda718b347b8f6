"""The loss of cross-layer transcoders: what is wrong of all layers' writes together, and what a
feature's being on costs."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.dictionaries.cross_layer import Params, Reach, bounded, decode, encode, lengths


@dataclass(frozen=True)
class CrossLayer:
    """Squared error over all layers and λ times what each feature writes, by the length of its
    decoder rows.

    Formula: mean over rows of Σ_k ‖y_k − ŷ_k‖² + λ Σ_l Σ_i φ(f_i ‖W_dec,i‖), with φ(z) = z, or
    tanh(c z)/c
    Source: Circuit Tracing (2025), "From Cross-Layer Transcoder to Replacement Model", whose
    penalty is the tanh of joined rows
    Differs: ReLU in place of JumpReLU; tanh(c z) is divided by c, so that c → 0 is the sum; no
    warm-up of λ"""

    reach: Reach = "later"
    """Where features write."""
    joined: bool = True
    """Whether a feature pays for its rows to all layers by their length side by side; else by the
    sum of their lengths."""
    saturation: float = 0.0
    """c: beyond about 1/c it costs a feature nothing to write more; 0 for a plain sum."""

    def __post_init__(self) -> None:
        if not self.saturation >= 0:
            raise SpecError(f"CrossLayer's saturation is a number from 0 on, got {self.saturation}")

    def __call__(
        self,
        params: Params,
        streams: Float[torch.Tensor, "run l b d"],
        writes: Float[torch.Tensor, "run k b d"],
        penalty: Float[torch.Tensor, "run"],
    ) -> Float[torch.Tensor, "run"]:
        """Give each run's loss on the streams before all layers and what the MLPs wrote."""
        # Masked in every loss, not once at the start: rows that cannot be written get no gradient
        # then.
        params = bounded(params, self.reach)
        features = encode(params, streams)
        wrong = (decode(params, features) - writes).square().sum((1, 3)).mean(1)
        return wrong + penalty * self.cost(params, features)

    def cost(
        self, params: Params, features: Float[torch.Tensor, "run l b f"]
    ) -> Float[torch.Tensor, "run"]:
        """Give the mean over rows of what the features pay, before λ."""
        paid = features * lengths(params, self.joined)[:, :, None]
        if self.saturation:
            paid = torch.tanh(self.saturation * paid) / self.saturation
        return paid.sum((1, 3)).mean(1)
