"""Cells: dictionaries of one block that read one target and reconstruct another, trained in one
pass over the same tokens.

A cell names both places, since a dictionary that is trained to explain the MLP's update may read
the activations or the update itself, and only the first differs from an ordinary one by nothing but
its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from assay.core.bench import Bench
from assay.core.fit import Group, State, Trained, fit
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.train import Method, group
from assay_catalogue.data.targets import Target, Targets

Batch: TypeAlias = 'Mapping[Any, Float[torch.Tensor, "b d"]]'
"""Entries by target, or by the name of what a control is trained on."""


@dataclass(frozen=True)
class Cell:
    """A dictionary's input and its target."""

    reads: Target
    makes: Target
    replicate: int = 0
    """Another independent start at the same seed."""
    changed: str = ""
    """A change of what is read and made, for controls: the name of an entry that the batches then
    have."""

    @property
    def keys(self) -> tuple[str, str]:
        """The entries of a batch that it reads and makes."""
        return (self.changed, self.changed) if self.changed else (self.reads, self.makes)


def fit_cells(
    cells: Mapping[str, Cell],
    runs: Runs,
    method: Method,
    data: Targets,
    batches: Callable[[int], Batch],
    *,
    steps: int,
    bench: Bench,
    probe_at: Sequence[int] = (),
) -> Trained:
    """The dictionaries of all cells, trained on the same normalised batches, as one Trained:
    tensors `cell:W_enc` and so on.

    A cell that makes something else than it reads starts, as far as a linear map can, where the one
    that reads its target does: its encoder rows are its decoder rows taken back through the best
    linear prediction of the target. Histories are `cell:loss` and so on. Read it with
    `dictionaries`."""
    groups = [_group(cell, runs, method, data, batches, steps) for cell in cells.values()]
    trained = dict(
        zip(cells, fit(groups, batches, steps=steps, probe_at=probe_at, bench=bench), strict=True)
    )
    dictionary_by_cell = {
        name: _dictionary(cells[name], entry, data) for name, entry in trained.items()
    }
    return Trained(
        tensors={
            f"{name}:{key}": value
            for name, entry in dictionary_by_cell.items()
            for key, value in entry.tensors().items()
        },
        header={
            "kind": "cells",
            "cells": {name: entry.header() for name, entry in dictionary_by_cell.items()},
        },
        history={
            f"{name}:{key}": value
            for name, entry in trained.items()
            for key, value in entry.history.items()
        },
        steps=next(iter(trained.values())).steps,
        diverged=np.logical_or.reduce([entry.diverged for entry in trained.values()]),
    )


def dictionaries(trained: Trained) -> dict[str, Dictionary]:
    """The dictionary of each cell; it reads and gives raw targets, that of a changed cell
    normalised ones."""
    return {
        name: Dictionary.from_tensors(
            {
                key.removeprefix(f"{name}:"): value
                for key, value in trained.tensors.items()
                if key.startswith(f"{name}:")
            },
            header,
        )
        for name, header in trained.header["cells"].items()
    }


def _group(
    cell: Cell,
    runs: Runs,
    method: Method,
    data: Targets,
    batches: Callable[[int], Batch],
    steps: int,
) -> Group:
    elsewhere = cell.reads != cell.makes
    run_group = group(
        runs.replicated(cell.replicate),
        method,
        d=data.width(cell.reads),
        steps=steps,
        d_out=data.width(cell.makes) if elsewhere else None,
    )
    reads, makes = cell.keys
    if elsewhere:
        # Batches of training, which come again: a start needs no rows of its own.
        first = [batches(step) for step in range(8)]
        x, y = (torch.cat([batch[name] for batch in first]) for name in (reads, makes))
        forward = prediction(x, y)
        # With y ≈ x M and the rows of W_dec in y's space, x · (M w) ≈ y · w: the encoder reads of x
        # what w would read of the target.
        run_group.state["W_enc"].copy_(method.encoder_scale * run_group.state["W_dec"] @ forward.T)

    def its_own(batch: Batch) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        x = batch[reads].to(run_group.state["W_enc"].device)
        return (x, batch[makes].to(x.device)) if elsewhere else x

    def step_fn(
        state: State, batch: Batch, step: int
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        return run_group.step_fn(state, its_own(batch), step)  # type: ignore[return-value]

    settle = run_group.settle
    wrapped = settle and (lambda state, last: settle(state, map(its_own, last)))
    return replace(run_group, step_fn=step_fn, settle=wrapped)


def prediction(
    x: Float[torch.Tensor, "b d_in"], y: Float[torch.Tensor, "b d_out"], ridge: float = 1e-3
) -> Float[torch.Tensor, "d_in d_out"]:
    """The linear map M for which x M is nearest to y; a small ridge keeps it bounded where x does
    not vary.

    Formula: (xᵀx + ρ I)⁻¹ xᵀy, ρ the ridge times the mean of xᵀx's diagonal
    """
    # float64 for the solve: what hardly varies in x makes this nearly singular.
    square = (x.T @ x).double()
    square.diagonal().add_(ridge * square.diagonal().mean())
    return torch.linalg.solve(square, (x.T @ y).double()).float()


def _dictionary(cell: Cell, trained: Trained, data: Targets) -> Dictionary:
    """In the shapes of Dictionary, with the normalisation of what it reads and makes beside it."""
    tensors = {**trained.tensors, "W_enc": trained.tensors["W_enc"].mT.contiguous()}
    runs, device = len(tensors["W_enc"]), tensors["W_enc"].device

    def moments(name: Target, suffix: str = "") -> dict[str, torch.Tensor]:
        mean = torch.from_numpy(data.mean(name)).expand(runs, -1).to(device).contiguous()
        return {
            f"mean{suffix}": mean,
            f"scale{suffix}": torch.full((runs,), data.scale(name), device=device),
        }

    if not cell.changed:
        tensors |= moments(cell.reads) | (
            moments(cell.makes, "_out") if cell.reads != cell.makes else {}
        )
    dictionary = Dictionary.from_tensors(
        tensors, {**trained.header, "sites": list(data.sites(cell.reads))}
    )
    return replace(
        dictionary, origin={**dictionary.origin, "reads": cell.reads, "makes": cell.makes}
    )
