"""Small decoders with random weights, and a question put to each, for tests of what finds
circuits."""

from __future__ import annotations

import numpy as np
import torch

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.find.question import Question, logit_difference, other

KINDS = [
    ("layer", "learned", False, 6),
    ("rms", "rotary", True, 6),
    ("none", "learned", False, 0),
    ("layer", "rotary", False, 0),
]
"""Norm, positions, whether MLPs are gated, their neurons."""


def drawn(norm="layer", positions="learned", gated=False, m=6, runs=2, layers=2):
    """Parameters of two blocks of two heads, seven tokens, five places, three answers; gains about
    1, biases small."""
    shape = Shape(
        layers=layers,
        d=8,
        heads=2,
        m=m,
        context=5,
        vocab=7,
        norm=norm,
        positions=positions,
        gated=gated,
        d_head=4,
        answers=3,
        activation="gelu",
    )
    draw = torch.Generator().manual_seed(5)
    scale = {"g": 1.0, "b": 0.1, "W": 0.5}
    return {
        n: (n[0] == "g")
        + scale[n[0]] * torch.randn(runs, *size, generator=draw, dtype=torch.float64)
        for n, size in shape.parameters().items()
    }


def posed(params, n=3) -> Question:
    """A logit difference at the last two of five places, and what parts wrote on other inputs."""
    tokens, others = torch.from_numpy(np.random.default_rng(1).integers(7, size=(2, n, 5)))
    at = torch.zeros(n, 5, dtype=torch.bool)
    at[:, 3:] = True
    right = torch.arange(n)[:, None].expand(n, 5) % 3
    return Question(
        params,
        tokens,
        logit_difference(right, (right + 1) % 3, 3, at),
        other(params, others, "gelu"),
        "gelu",
    )
