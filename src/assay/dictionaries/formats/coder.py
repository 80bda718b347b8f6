"""Coder: one dictionary as a peer stores it, without a run axis, and the exact rewritings that turn
its conventions into ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.rows import PerToken


@dataclass(frozen=True, eq=False)
class Coder:
    """f = nonlinearity((x − c)·W_enc + b_enc), x̂ = f·W_dec + b_dec [+ x·W_skip], where c is b_dec
    if `centred`, else 0.

    Each rewriting gives a coder with the same features (in the units it says) and the same
    reconstructions. They compute in float64 and round once, in `dictionary`; what is not rewritten
    keeps its bits."""

    W_enc: Float[torch.Tensor, "d_in f"]
    b_enc: Float[torch.Tensor, " f"]
    W_dec: Float[torch.Tensor, "f d_out"]
    b_dec: Float[torch.Tensor, " d_out"]
    nonlinearity: Nonlinearity
    centred: bool
    own: Mapping[str, Float[torch.Tensor, " f"]] = field(default_factory=dict)
    W_skip: Float[torch.Tensor, "d_in d_out"] | None = None
    per_token: PerToken = ""

    def scaled(self, s: float) -> Self:
        """The coder for raw x, of one that was made for x·s; features stay as they are."""
        return replace(
            self,
            W_enc=self.W_enc.double() * s,
            W_dec=self.W_dec.double() / s,
            b_dec=self.b_dec.double() / s,
        )

    def times(self, factor: float) -> Self:
        """The coder for x·factor of one that was made for x: biases and thresholds, and so
        features, grow by the factor."""
        parameters = {
            name: value if name == "r_mag" else value.double() * factor
            for name, value in self.own.items()
        }
        return replace(
            self,
            b_enc=self.b_enc.double() * factor,
            b_dec=self.b_dec.double() * factor,
            own=parameters,
        )

    def unit_rows(self) -> Self:
        """The coder with decoder rows of length 1 and features times the lengths; thresholds are
        left, as being in these units."""
        norm = self.W_dec.double().norm(dim=-1)
        norm = torch.where(norm > 0, norm, 1.0)
        return replace(
            self,
            W_enc=self.W_enc.double() * norm,
            b_enc=self.b_enc.double() * norm,
            W_dec=self.W_dec.double() / norm[:, None],
        )

    def whitened(self, mean: torch.Tensor, matrix: torch.Tensor, inverse: torch.Tensor) -> Self:
        """The coder for raw x, of one that was made for (x − mean)·matrix."""
        mean, matrix, inverse = mean.double(), matrix.double(), inverse.double()
        W_enc = matrix @ self.W_enc.double()
        turned = replace(
            self,
            W_enc=W_enc,
            W_dec=self.W_dec.double() @ inverse,
            b_dec=self.b_dec.double() @ inverse + mean,
        )
        return turned if self.centred else turned.shifted(mean @ W_enc)

    def shifted(self, by: Float[torch.Tensor, " f"]) -> Self:
        """The coder whose projections are smaller by this much before any bias."""
        parameters = dict(self.own)
        if isinstance(self.nonlinearity, Gated):
            parameters["b_mag"] = (
                parameters["b_mag"].double() - by * parameters["r_mag"].double().exp()
            )
        return replace(self, b_enc=self.b_enc.double() - by, own=parameters)

    def dictionary(
        self, sites: tuple[str, ...], sites_out: tuple[str, ...], origin: Mapping[str, Any]
    ) -> Dictionary:
        """The Dictionary of one run, in float32."""
        d_in = self.W_enc.shape[0]
        tensors: dict[str, Any] = {
            "W_enc": self.W_enc,
            "b_enc": self.b_enc,
            "W_dec": self.W_dec,
            "b_dec": self.b_dec,
            "W_skip": self.W_skip,
            "b_pre": None if self.centred else torch.zeros(d_in),
        }
        standard_tensors = {
            name: value.float()[None].contiguous()
            for name, value in tensors.items()
            if value is not None
        }
        parameters = {name: value.float()[None].contiguous() for name, value in self.own.items()}
        if not all(
            bool(value.isfinite().all())
            for value in (*standard_tensors.values(), *parameters.values())
        ):
            raise DataError(
                "its weights, once folded for raw activations, are too large for float32; a "
                "scale in the file is wrong"
            )
        return Dictionary(
            **standard_tensors,
            nonlinearity=self.nonlinearity,
            own=parameters,
            per_token=self.per_token,
            sites=sites,
            sites_out=sites_out,
            origin=dict(origin),
        )


def jumping(threshold: Float[torch.Tensor, " f"]) -> dict[str, Any]:
    """The nonlinearity and its own parameter for max(pi, 0)·1[pi > threshold]: below 0 the
    threshold of ReLU, 0, does the same."""
    return {"nonlinearity": JumpReLU(), "own": {"threshold": threshold.clamp_min(0.0)}}
