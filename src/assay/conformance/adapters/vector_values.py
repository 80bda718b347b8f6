"""What a vector gives, as Assay's own values: its weights as a Dictionary, its rows as a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import AbsTopK, GroupMax, TopK

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
