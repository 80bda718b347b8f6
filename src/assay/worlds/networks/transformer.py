"""Small pre-LN transformers with a run axis: one dict of [run, …] tensors, every block's matrices stacked along a layer axis.

Tokens and learned positions are added; a block is attention and then a ReLU MLP, each reading a LayerNorm of the stream and
adding to it; logits are a matrix of a last LayerNorm. Attention has no biases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from assay.core import rng
from assay.core.errors import SpecError

Params = Mapping[str, Tensor]
Attend = Callable[[Tensor], Tensor]
"""Queries, keys and values [run, row, 3, h, e] → what each row's heads read, [run, row, h, e]."""

MATRICES = ("W_E", "W_pos", "W_QKV", "W_O", "W_in", "W_out", "W_U")
"""The parameters that are no biases and no gains: those that weight decay is for."""
_BLOCK = ("gain_1", "bias_1", "W_QKV", "W_O", "gain_2", "bias_2", "W_in", "b_in", "W_out", "b_out")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of one transformer."""

    layers: int
    d: int
    heads: int
    d_head: int
    d_mlp: int
    context: int
    """Most tokens it can read."""
    vocab: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise SpecError(f"a transformer needs {name} of at least 1, got {value}")


def transformer(seeds: Int[np.ndarray, "run"], sizes: Sizes) -> dict[str, Tensor]:
    """Starting parameters of every run, drawn by its seed: matrices N(0, 1/inputs), those that write to the stream half as wide.

    Embeddings and positions N(0, 0.1²), gains 1, biases 0.
    """
    s = sizes

    def drawn(name: str, shape: tuple[int, ...], deviation: float) -> Tensor:
        return torch.from_numpy(rng.normal(seeds, f"transformer.{name}", 0, shape) * np.float32(deviation))

    wide = s.heads * s.d_head
    constant = {name: torch.zeros(len(seeds), s.layers, s.d) for name in ("bias_1", "bias_2", "b_out")}
    constant |= {name: torch.ones(len(seeds), s.layers, s.d) for name in ("gain_1", "gain_2")}
    return constant | {
        "W_E": drawn("W_E", (s.vocab, s.d), 0.1),
        "W_pos": drawn("W_pos", (s.context, s.d), 0.1),
        "W_QKV": drawn("W_QKV", (s.layers, s.d, 3, s.heads, s.d_head), s.d**-0.5),
        "W_O": drawn("W_O", (s.layers, s.heads, s.d_head, s.d), 0.5 * wide**-0.5),
        "W_in": drawn("W_in", (s.layers, s.d, s.d_mlp), s.d**-0.5),
        "b_in": torch.zeros(len(seeds), s.layers, s.d_mlp),
        "W_out": drawn("W_out", (s.layers, s.d_mlp, s.d), 0.5 * s.d_mlp**-0.5),
        "gain": torch.ones(len(seeds), s.d),
        "bias": torch.zeros(len(seeds), s.d),
        "W_U": drawn("W_U", (s.d, s.vocab), s.d**-0.5),
    }


def forward(
    params: Params, tokens: Int[Tensor, "b s"] | Int[Tensor, "run b s"]
) -> tuple[Float[Tensor, "run b s v"], list[Float[Tensor, "run b s d"]]]:
    """Logits at every position, and the residual stream after each block; tokens shared by all runs or each run's own.

    Raises: SpecError when the sequences are longer than the model's context.
    """
    runs = len(params["W_E"])
    tokens = tokens.expand(runs, *tokens.shape[-2:])
    _, b, s = tokens.shape
    check_context(params, s)

    def attend(qkv: Tensor) -> Tensor:
        q, k, v = (x.unflatten(1, (b, s)).transpose(2, 3).flatten(0, 1) for x in qkv.unbind(2))  # [run·b, h, s, e]
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.unflatten(0, (runs, b)).transpose(2, 3).flatten(1, 2)

    position = torch.arange(s, device=tokens.device).expand(runs, b, s)
    logits, residuals = stream(params, embedded(params, tokens.flatten(1), position.flatten(1)), attend)
    return logits.unflatten(1, (b, s)), [x.unflatten(1, (b, s)) for x in residuals]


def check_context(params: Params, length: int) -> None:
    """Refuse more tokens than the model can read. Raises: SpecError."""
    context = params["W_pos"].shape[1]
    if length > context:
        raise SpecError(f"this transformer reads at most {context} tokens, got {length}")


def embedded(params: Params, token: Int[Tensor, "run row"], position: Int[Tensor, "run row"]) -> Float[Tensor, "run row d"]:
    """What enters the first block: each row's token and position."""
    return _picked(params["W_E"], token) + _picked(params["W_pos"], position)


def stream(params: Params, x: Float[Tensor, "run row d"], attend: Attend) -> tuple[Tensor, list[Tensor]]:
    """Logits [run, row, v] and the residual stream after each block [run, row, d], where `attend` says which rows read which."""
    residuals = []
    for gain_1, bias_1, W_QKV, W_O, gain_2, bias_2, W_in, b_in, W_out, b_out in zip(
        *(params[name].unbind(1) for name in _BLOCK), strict=True
    ):
        qkv = torch.bmm(normed(x, gain_1, bias_1), W_QKV.flatten(2)).unflatten(-1, W_QKV.shape[2:])
        x = torch.baddbmm(x, attend(qkv).flatten(2), W_O.flatten(1, 2))
        hidden = torch.baddbmm(b_in[:, None], normed(x, gain_2, bias_2), W_in).relu()
        x = torch.baddbmm(x, hidden, W_out) + b_out[:, None]
        residuals.append(x)
    return torch.bmm(normed(x, params["gain"], params["bias"]), params["W_U"]), residuals


def normed(
    x: Float[Tensor, "run row d"], gain: Float[Tensor, "run d"], bias: Float[Tensor, "run d"]
) -> Float[Tensor, "run row d"]:
    """LayerNorm with each run's own gain and bias.

    Formula: (x − mean)/√(variance + 1e-5) · gain + bias
    """
    return torch.addcmul(bias[:, None], functional.layer_norm(x, x.shape[-1:]), gain[:, None])


def _picked(table: Float[Tensor, "run n d"], index: Int[Tensor, "run row"]) -> Float[Tensor, "run row d"]:
    """Each run's own rows of its own table."""
    offset = torch.arange(len(table), device=index.device)[:, None] * table.shape[1]
    return functional.embedding(index + offset, table.flatten(0, 1))
