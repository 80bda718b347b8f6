"""Starts of small Mamba models: parameters before training, each drawn by its name, layer and
seed."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.subjects.mamba import BLOCK, Shape

SLOWEST, FASTEST = 1e-3, 1e-1
"""The steps Δ at the start lie between, evenly on a log scale."""


def start(
    seeds: Int[np.ndarray, " run"], shape: Shape, std: float = 0.02
) -> dict[str, torch.Tensor]:
    """Parameters before training, [run, …], as Mamba's authors draw them; those of equal name and
    size are equal in models with other parts.

    Formula: matrices U(±1/√inputs), embedding N(0, std²); A_n = −n; softplus(b_delta) log-uniform
    in [1e-3, 1e-1]; D and gains 1; B and C of a time-invariant scan N(0, 1)
    Source: Gu & Dao 2023, section 3.6, and their released code
    """

    def init_parameter(name: str, layer: int, size: tuple[int, ...]) -> np.ndarray:
        stream = f"mamba.{layer}.{name}" if name in BLOCK else f"mamba.{name}"
        if name.startswith("gain") or name == "D":
            return np.ones((len(seeds), *size), np.float32)
        if name == "A_log":
            return np.broadcast_to(
                np.log(np.arange(1, size[1] + 1, dtype=np.float32)), (len(seeds), *size)
            )
        if name == "b_delta":
            step = np.exp(
                rng.uniform(seeds, stream, 0, size).astype(np.float64) * math.log(FASTEST / SLOWEST)
                + math.log(SLOWEST)
            )
            return (step + np.log(-np.expm1(-step))).astype(np.float32)  # the inverse of softplus
        if name.startswith("b_"):
            return np.zeros((len(seeds), *size), np.float32)
        if name in ("W_E", "B", "C"):
            return rng.normal(seeds, stream, 0, size) * np.float32(std if name == "W_E" else 1)
        inputs = size[1] if name == "W_conv" else size[0]
        return (2 * rng.uniform(seeds, stream, 0, size) - 1) / np.float32(math.sqrt(inputs))

    out = {}
    for name, size in shape.parameters().items():
        stacked = (
            np.stack([init_parameter(name, layer, size[1:]) for layer in range(size[0])], 1)
            if name in BLOCK
            else init_parameter(name, 0, size)
        )
        out[name] = torch.from_numpy(np.ascontiguousarray(stacked, np.float32))
    return out
