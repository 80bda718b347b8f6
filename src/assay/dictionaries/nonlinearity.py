"""What turns projections into features: one frozen dataclass each, told apart by value and stored as JSON.

A nonlinearity gets the projection z = W_enc·(x − b_dec) *without* its bias, since Gated's two paths share z but not the bias.
Its own parameters are [run, f] tensors in `own`; which ones, and where training starts, `init` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from assay.core.errors import DataError, nearest

Own = Mapping[str, Tensor]


@runtime_checkable
class Nonlinearity(Protocol):
    """What every nonlinearity offers: the start of its own parameters, and features from projections."""

    def init(self, runs: int, f: int) -> dict[str, Tensor]:
        """Own parameters [run, f] at the start of training."""

    def __call__(self, z: Float[Tensor, "run b f"], b_enc: Float[Tensor, "run f"], own: Own) -> Float[Tensor, "run b f"]:
        """Features, at least 0."""


@dataclass(frozen=True)
class ReLU:
    """f = max(z + b_enc, 0), the sparse autoencoder of Towards Monosemanticity (2023)."""

    def init(self, runs: int, f: int) -> dict[str, Tensor]:
        """No parameters of its own."""
        return {}

    def __call__(self, z: Float[Tensor, "run b f"], b_enc: Float[Tensor, "run f"], own: Own) -> Float[Tensor, "run b f"]:
        """Features [run, b, f]."""
        return (z + b_enc[:, None]).relu()


@dataclass(frozen=True)
class Identity:
    """f = z + b_enc, of either sign: a linear baseline such as principal components, not a sparse code."""

    def init(self, runs: int, f: int) -> dict[str, Tensor]:
        """No parameters of its own."""
        return {}

    def __call__(self, z: Float[Tensor, "run b f"], b_enc: Float[Tensor, "run f"], own: Own) -> Float[Tensor, "run b f"]:
        """Codes [run, b, f]."""
        return z + b_enc[:, None]


@dataclass(frozen=True)
class Gated:
    """f = 1[z + b_enc > 0] · max(exp(r_mag)·z + b_mag, 0): on or off apart from how much. b_enc is the gate's bias.

    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2, with tied weights.
    """

    def init(self, runs: int, f: int) -> dict[str, Tensor]:
        """r_mag and b_mag, both 0: magnitudes start equal to the gate's pre-activations."""
        return {"r_mag": torch.zeros(runs, f), "b_mag": torch.zeros(runs, f)}

    def __call__(self, z: Float[Tensor, "run b f"], b_enc: Float[Tensor, "run f"], own: Own) -> Float[Tensor, "run b f"]:
        """Features [run, b, f]; the gate is strict, and lets no gradient through."""
        magnitude = (z * own["r_mag"].exp()[:, None] + own["b_mag"][:, None]).relu()
        return magnitude * (z + b_enc[:, None] > 0)


@dataclass(frozen=True)
class TopK:
    """f = the k largest of max(z + b_enc, 0) in each row, the others 0; fewer than k where fewer are positive.

    Source: Scaling and evaluating sparse autoencoders (2024), section 2.3.
    """

    k: int
    """Features that stay on in each row."""

    def __post_init__(self):
        if self.k < 1:
            raise DataError(f"k must be at least 1, got k={self.k}; TopK(32) keeps 32 features a row")

    def init(self, runs: int, f: int) -> dict[str, Tensor]:
        """No parameters of its own."""
        if self.k > f:
            raise DataError(f"k must be at most the dictionary's width {f}, got k={self.k}; lower k or widen the dictionary")
        return {}

    def __call__(self, z: Float[Tensor, "run b f"], b_enc: Float[Tensor, "run f"], own: Own) -> Float[Tensor, "run b f"]:
        """Features [run, b, f]."""
        values, index = (z + b_enc[:, None]).topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(z).scatter(-1, index, values.relu())


@dataclass(frozen=True)
class Rescaled:
    """f = 1[g > 0] · max(factor·g + shift, 0), g the features of another nonlinearity; so nothing that was off comes on.

    The form of rescale & shift (`assay.dictionaries.repair`), and of codes made wrong on purpose for a control.
    """

    of: Nonlinearity
    """The nonlinearity whose features are rescaled; its own parameters carry the prefix `of_`."""

    def init(self, runs: int, f: int) -> dict[str, Tensor]:
        """factor 1 and shift 0 beside the parameters of the nonlinearity below."""
        inner = {f"of_{name}": value for name, value in self.of.init(runs, f).items()}
        return {"factor": torch.ones(runs, f), "shift": torch.zeros(runs, f), **inner}

    def __call__(self, z: Float[Tensor, "run b f"], b_enc: Float[Tensor, "run f"], own: Own) -> Float[Tensor, "run b f"]:
        """Features [run, b, f]."""
        inner = self.of(z, b_enc, {name.removeprefix("of_"): value for name, value in own.items() if name.startswith("of_")})
        return (inner * own["factor"][:, None] + own["shift"][:, None]).relu() * (inner > 0)


def to_json(nonlinearity: Nonlinearity) -> dict[str, Any]:
    """The nonlinearity as plain JSON: its class name and fields."""
    values = {field.name: getattr(nonlinearity, field.name) for field in fields(nonlinearity)}  # type: ignore[arg-type]
    plain = {name: to_json(value) if isinstance(value, Nonlinearity) else value for name, value in values.items()}
    return {"name": type(nonlinearity).__name__, **plain}


def from_json(values: Mapping[str, Any]) -> Nonlinearity:
    """The nonlinearity that `to_json` wrote."""
    known: dict[str, Callable[..., Nonlinearity]] = {kind.__name__: kind for kind in (ReLU, Identity, Gated, TopK, Rescaled)}
    name, rest = values.get("name", ""), {k: v for k, v in values.items() if k != "name"}
    if name not in known:
        raise DataError(f"unknown nonlinearity {name!r} in a dictionary's header; {nearest(str(name), known)}")
    return known[name](**{k: from_json(v) if isinstance(v, Mapping) else v for k, v in rest.items()})
