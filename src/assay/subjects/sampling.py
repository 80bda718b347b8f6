"""Tokens from logits: the most probable, or drawn by numbers that depend on a seed and a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.heavy import torch


def choose(
    logits: Float[torch.Tensor, "b v"], temperature: float, seeds: Sequence[int], step: int
) -> Int[torch.Tensor, " b"]:
    """Choose each row's next token.

    The same seed and step draw the same from the same logits, whatever rows are beside them.

    Formula: argmax(logits / temperature + Gumbel noise), a draw from softmax(logits / temperature)

    Args:
        logits: [b, v].
        temperature: 0 takes the most probable token.
        seeds: of each row.
        step: how many tokens of the text were chosen before.
    Example:
        >>> import torch
        >>> from assay.subjects.sampling import choose
        >>> logits = torch.tensor([[0.0, 0.1, 0.0]] * 3)
        >>> choose(logits, 0.0, [0, 0, 0], 0).tolist(), choose(logits, 1.0, [0, 1, 0], 0).tolist()
        ([1, 1, 1], [0, 2, 0])
    """
    if not temperature:
        return logits.argmax(-1)
    uniforms = rng.uniform(np.asarray(seeds), "steer.token", step, (logits.shape[-1],))
    noise = -np.log(-np.log(np.maximum(uniforms.astype(np.float64), 1e-300)))
    return (
        logits.float() / temperature + torch.from_numpy(noise).float().to(logits.device)
    ).argmax(-1)
