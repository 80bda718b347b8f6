"""Adapting: which weights a training changes: all, those whose names contain a text, or low-rank
additions to linear maps of the blocks (LoRA)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.ask.measure import models
from assay.ask.tables import Train
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.train import rng

TURNED = "Conv1D"
"""The class of linear maps with output channels last, as in GPT-2."""


def decay_of(table: Train) -> float:
    """AdamW's weight decay of a model that is trained further: one number for all weights."""
    assert not isinstance(table.decay, Mapping)
    return table.decay or 0.0


def learnable(table: Train, model: Pretrained) -> tuple[list[Any], list[Callable[[], None]]]:
    """Give the parameters to train, and functions that afterwards merge them into the model's
    weights. Raises: DataError if LoRA finds no linear map."""
    network = model.model.requires_grad_(False)
    if not table.rank:
        parameters = [p for name, p in network.named_parameters() if models.is_of(table.only, name)]
        return [p.requires_grad_(True) for p in parameters], []
    within = {id(module) for block in model.blocks for module in block.modules()}
    maps = [
        module
        for name, module in network.named_modules()
        if id(module) in within and models.is_of(table.only, f"{name}.weight")
        if type(module).__name__ == TURNED or isinstance(module, torch.nn.Linear)
    ]
    if not maps:
        raise DataError(f"{table.only} has no linear map in a block, to which LoRA could add one")
    added = [_added(table, n, module) for n, module in enumerate(maps)]
    return [p for pair, _ in added for p in pair], [merge for _, merge in added]


def _added(table: Train, n: int, module: Any) -> tuple[list[Any], Callable[[], None]]:
    """Add a low-rank map to a linear one.

    Formula: y = x Wᵀ + α/r · x Aᵀ Bᵀ, A [r, in] uniform within ±1/√in, B [out, r] zero
    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021
    """
    assert table.rank
    weight = module.weight.T if type(module).__name__ == TURNED else module.weight
    high, wide = weight.shape
    uniform = rng.uniform(np.array([table.seed]), "ask.train.lora", n, (table.rank, wide))[0]
    A = torch.nn.Parameter(torch.from_numpy((2 * uniform - 1) / wide**0.5).to(weight))
    B = torch.nn.Parameter(weight.new_zeros(high, table.rank))
    scale = (table.alpha or table.rank) / table.rank
    hook = module.register_forward_hook(lambda _, inputs, y: y + scale * (inputs[0] @ A.T @ B.T))

    def merge() -> None:
        hook.remove()
        weight.detach().add_(scale * (B @ A).detach())

    return [A, B], merge
