"""Small pre-LN transformers with a run axis, for worlds to train: `subjects.decoder` without biases
in attention, and with a ReLU MLP.

What causal attention leaves in the stream depends on the prefix alone: sixty-four sequences of ten
tokens over a small alphabet share most of their short prefixes; computing each once halves a
training step, and a whole tree of prefixes costs its rows in place of its sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.subjects.decoder import MATRICES as MATRICES
from assay.subjects.decoder import Params, check_context, embedded, stream
from assay.subjects.decoder import forward as forward
from assay.train import rng


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


def transformer(seeds: Int[np.ndarray, " run"], sizes: Sizes) -> dict[str, torch.Tensor]:
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


class Prefixes(NamedTuple):
    """Distinct prefixes of each run, or with a first axis of 1 the same for all runs; a row is a
    prefix."""

    token: Int[torch.Tensor, "run row"]
    """The last token."""
    position: Int[torch.Tensor, "run row"]
    """Its position, from 0."""
    ancestors: Int[torch.Tensor, "run row s"]
    """The rows of the prefixes of 1, 2, … tokens that this one starts with, itself last; filled up
    with itself."""


def distinct(
    tokens: Int[np.ndarray, "run b s"], ids: Int[np.ndarray, "run b s"]
) -> tuple[Prefixes, torch.Tensor, torch.Tensor]:
    """The distinct prefixes of each run's sequences, how often each occurs [run, row], and an id of
    each [run, row].

    `ids` names prefixes, one id for one prefix. Runs have as many rows as the one that has most;
    what fills up the others is a copy of a prefix that occurs 0 times.
    """
    runs, b, s = tokens.shape
    uniques = [
        np.unique(run_ids.ravel(), return_index=True, return_inverse=True, return_counts=True)
        for run_ids in ids
    ]
    most = max(len(prefix_ids) for prefix_ids, *_ in uniques)
    prefix_ids, token, position, count = (np.zeros((runs, most), dtype=np.int64) for _ in range(4))
    ancestors = np.zeros((runs, most, s), dtype=np.int64)
    for r, (unique_ids, first, inverse, times) in enumerate(uniques):
        # Filled up with copies of row 0, whose count stays 0.
        rows = np.r_[np.arange(len(unique_ids)), np.zeros(most - len(unique_ids), dtype=np.int64)]
        sequence, until = np.divmod(first[rows], s)
        paths = inverse.reshape(b, s)[sequence]
        ancestors[r] = np.where(
            np.arange(s) <= until[:, None], paths, paths[np.arange(most), until][:, None]
        )
        prefix_ids[r], token[r], position[r] = unique_ids[rows], tokens[r, sequence, until], until
        count[r, : len(unique_ids)] = times
    as_tensor = torch.from_numpy
    return (
        Prefixes(as_tensor(token), as_tensor(position), as_tensor(ancestors)),
        as_tensor(count),
        as_tensor(prefix_ids),
    )


def forward_prefixes(
    params: Params, prefixes: Prefixes
) -> tuple[Float[torch.Tensor, "run row v"], list[Float[torch.Tensor, "run row d"]]]:
    """Logits after each prefix, and the residual stream of its last token after each block.

    Raises: SpecError when prefixes are longer than the model's context.
    """
    runs, s = len(params["W_E"]), prefixes.ancestors.shape[-1]
    check_context(params, s)
    token, position, ancestors = (
        x.to(params["W_E"].device).expand(runs, *x.shape[1:]) for x in prefixes
    )
    rows = token.shape[1]
    offset = torch.arange(runs, device=token.device)[:, None, None] * rows
    read = (ancestors + offset).flatten()
    unread = (torch.arange(s, device=token.device) > position[..., None])[
        ..., None
    ]  # [run, row, s, 1]
    hidden = torch.zeros(unread.shape, device=token.device).masked_fill_(unread, -torch.inf)

    def attend(qkv: torch.Tensor) -> torch.Tensor:
        # A row reads the keys and values of its ancestors, wherever their rows are; what fills up
        # the list is masked by −∞.
        q, kv = qkv[:, :, :1], qkv[:, :, 1:]
        k, v = (
            kv.reshape(runs * rows, -1)
            .index_select(0, read)
            .view(runs, rows, s, *kv.shape[2:])
            .unbind(3)
        )
        scores = (q * k).sum(-1) * q.shape[-1] ** -0.5 + hidden  # [run, row, s, h]
        return (scores.softmax(2)[..., None] * v).sum(2)

    return stream(params, embedded(params, token, position), attend)
