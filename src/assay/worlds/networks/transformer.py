"""Small pre-LN transformers with a run axis, for worlds to train: `subjects.decoder` without biases
in attention, and with a ReLU MLP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core import rng
from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.subjects.decoder import MATRICES as MATRICES
from assay.subjects.decoder import forward as forward


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


def transformer(seeds: Int[np.ndarray, "run"], sizes: Sizes) -> dict[str, torch.Tensor]:
    """Starting parameters of every run, drawn by its seed: matrices N(0, 1/inputs), those that
    write to the stream half as wide.

    Embeddings and positions N(0, 0.1²), gains 1, biases 0.
    """
    s = sizes

    def draw_matrix(name: str, shape: tuple[int, ...], deviation: float) -> torch.Tensor:
        return torch.from_numpy(
            rng.normal(seeds, f"transformer.{name}", 0, shape) * np.float32(deviation)
        )

    wide = s.heads * s.d_head
    constant = {
        name: torch.zeros(len(seeds), s.layers, s.d) for name in ("bias_1", "bias_2", "b_out")
    }
    constant |= {name: torch.ones(len(seeds), s.layers, s.d) for name in ("gain_1", "gain_2")}
    return constant | {
        "W_E": draw_matrix("W_E", (s.vocab, s.d), 0.1),
        "W_pos": draw_matrix("W_pos", (s.context, s.d), 0.1),
        "W_QKV": draw_matrix("W_QKV", (s.layers, s.d, 3, s.heads, s.d_head), s.d**-0.5),
        "W_O": draw_matrix("W_O", (s.layers, s.heads, s.d_head, s.d), 0.5 * wide**-0.5),
        "W_in": draw_matrix("W_in", (s.layers, s.d, s.d_mlp), s.d**-0.5),
        "b_in": torch.zeros(len(seeds), s.layers, s.d_mlp),
        "W_out": draw_matrix("W_out", (s.layers, s.d_mlp, s.d), 0.5 * s.d_mlp**-0.5),
        "gain": torch.ones(len(seeds), s.d),
        "bias": torch.zeros(len(seeds), s.d),
        "W_U": draw_matrix("W_U", (s.d, s.vocab), s.d**-0.5),
    }
