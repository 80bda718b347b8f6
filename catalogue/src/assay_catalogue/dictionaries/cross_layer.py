"""Cross-layer transcoders and per-layer ones, and what they are trained to make small: features
read the stream before each MLP and write what that and later MLPs write.

Parameters are stacked over runs and layers, reading layer first: W_enc [run l d f], b_enc [run l
f], W_dec [run l k f d] from layer l to layer k, b_dec [run k d]. A per-layer transcoder is one
whose features write to their own layer alone; what cannot be written is 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.heavy import torch

Reach = Literal["later", "own"]
"""Where features write: to their own layer and all later ones, or to their own alone."""
Params: TypeAlias = "Mapping[str, torch.Tensor]"
Edit: TypeAlias = "Callable[[int, torch.Tensor], torch.Tensor]"
"""(layer, stream before it) → the stream that goes on."""


def reachable(layers: int, reach: Reach) -> Float[torch.Tensor, "l k"]:
    """Give 1 where features of layer l may write to layer k, else 0. Raises: SpecError for a reach
    that does not exist."""
    if reach not in ("later", "own"):
        raise SpecError(f"features reach 'later' layers too or their 'own' alone, got {reach!r}")
    ones = torch.ones(layers, layers)
    # Row: the layer that reads; column: the layer written to.
    return ones.triu() if reach == "later" else ones.tril().triu()


def bounded(params: Params, reach: Reach) -> dict[str, torch.Tensor]:
    """Set to 0 what features cannot write."""
    mask = reachable(params["b_enc"].shape[1], reach).to(params["W_dec"])
    return {**params, "W_dec": params["W_dec"] * mask[:, :, None, None]}


def encode(
    params: Params, streams: Float[torch.Tensor, "run l b d"]
) -> Float[torch.Tensor, "run l b f"]:
    """Read the features of every layer off the stream before it: ReLU."""
    return torch.relu(streams @ params["W_enc"] + params["b_enc"][:, :, None])


def written(
    params: Params, features: Float[torch.Tensor, "run l b f"]
) -> Float[torch.Tensor, "run l k b d"]:
    """Give what the features of each layer l write to each layer k, biases left out."""
    # [run, l, 1, b, f] @ [run, l, k, f, d]: features are shared by all layers that they write to.
    return features[:, :, None] @ params["W_dec"]


def decode(
    params: Params, features: Float[torch.Tensor, "run l b f"]
) -> Float[torch.Tensor, "run k b d"]:
    """Reconstruct what every MLP writes."""
    return written(params, features).sum(1) + params["b_dec"][:, :, None]


def lengths(params: Params, concatenated: bool = True) -> Float[torch.Tensor, "run l f"]:
    """Measure each feature's decoder: the length of its rows to all layers side by side, or the sum
    of their lengths.

    Formula: (Σ_k ‖W_dec,k‖²)^½ where joined, else Σ_k ‖W_dec,k‖
    """
    rows = torch.linalg.vector_norm(params["W_dec"], dim=-1)  # [run l k f]
    return torch.linalg.vector_norm(rows, dim=2) if concatenated else rows.sum(2)


def replaced(
    params: Params, stream: Float[torch.Tensor, "run b d"], edit: Edit | None = None
) -> tuple[Float[torch.Tensor, "run b d"], Float[torch.Tensor, "run k b d"]]:
    """Run a model with every MLP replaced: the stream at its end, and what each layer wrote. Of
    models without attention or norms.

    `edit` sees the stream before each layer, and says what the layer reads and what is carried on.
    """
    layers = params["b_enc"].shape[1]
    features: list[torch.Tensor] = []
    wrote: list[torch.Tensor] = []
    for layer in range(layers):
        stream = stream if edit is None else edit(layer, stream)
        features.append(
            torch.relu(stream @ params["W_enc"][:, layer] + params["b_enc"][:, layer, None])
        )
        # All layers up to this one, each by its features on the stream that the replaced layers
        # before it made.
        parts = [codes @ params["W_dec"][:, source, layer] for source, codes in enumerate(features)]
        wrote.append(torch.stack(parts).sum(0) + params["b_dec"][:, layer, None])
        stream = stream + wrote[-1]
    return stream, torch.stack(wrote, 1)


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
        penalty: Float[torch.Tensor, " run"],
    ) -> Float[torch.Tensor, " run"]:
        """Give each run's loss on the streams before all layers and what the MLPs wrote."""
        # Masked in every loss, not once at the start: rows that cannot be written get no gradient
        # then.
        params = bounded(params, self.reach)
        features = encode(params, streams)
        wrong = (decode(params, features) - writes).square().sum((1, 3)).mean(1)
        return wrong + penalty * self.cost(params, features)

    def cost(
        self, params: Params, features: Float[torch.Tensor, "run l b f"]
    ) -> Float[torch.Tensor, " run"]:
        """Give the mean over rows of what the features pay, before λ."""
        paid = features * lengths(params, self.joined)[:, :, None]
        if self.saturation:
            paid = torch.tanh(self.saturation * paid) / self.saturation
        return paid.sum((1, 3)).mean(1)
