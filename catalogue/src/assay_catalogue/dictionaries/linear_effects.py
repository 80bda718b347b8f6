"""How far linearised effects on the logits are from exact ones: of parts of the stream, and of
parts changed for controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.train.rng import normal
from assay_catalogue.analysis.readout import Readout
from assay_catalogue.dictionaries.cell_measures import binned, linear_errors

SIZES = np.geomspace(0.01, 1.0, 9)
"""Edges of the sizes of a part over the stream, by which errors are told."""
KINDS = ("frozen", "jacobian")
"""The norm's divisor held where it is, or its Jacobian."""
CHUNK = 32768
"""Parts that are measured at once."""

Parts: TypeAlias = 'Float[torch.Tensor, "n d"]'


def tenfold(parts: Parts, x: Parts, draws: Parts) -> Parts:
    """Make parts ten times as long: far from where a Jacobian is right."""
    return 10 * parts


def longer(parts: Parts, x: Parts, draws: Parts) -> Parts:
    """Make parts 1.6 times as long: a violation about as far from right as it is allowed to be."""
    return 1.6 * parts


def turned(parts: Parts, x: Parts, draws: Parts) -> Parts:
    """Turn parts, at the same length, half-way towards the stream x that they are in."""
    return torch.nn.functional.normalize(
        torch.nn.functional.normalize(parts, dim=-1) + torch.nn.functional.normalize(x, dim=-1),
        dim=-1,
    ) * parts.norm(dim=-1, keepdim=True)


def scattered(parts: Parts, x: Parts, draws: Parts) -> Parts:
    """Put parts of the same length in the random directions of `draws`."""
    return torch.nn.functional.normalize(draws, dim=-1) * parts.norm(dim=-1, keepdim=True)


CHANGES: Mapping[str, Callable[[Parts, Parts, Parts], Parts]] = {
    "tenfold": tenfold,
    "longer": longer,
    "turned": turned,
    "random": scattered,
}
"""Changes of parts by name: (parts, the stream they are in, random numbers) → parts."""


def principal_parts(
    update: Float[torch.Tensor, "b d"], count: int = 24
) -> tuple[Parts, Int[torch.Tensor, " n"]]:
    """Splits each row into its parts along the strongest principal directions of all rows.

    Shapes: parts [b · count, d], and beside each the row that it is from [b · count]
    """
    centred = update - update.mean(0)
    _, axes = torch.linalg.eigh((centred.T @ centred).double())
    top = axes[:, -count:].float().T
    parts = ((centred @ top.T)[..., None] * top).flatten(0, 1)
    return parts, torch.arange(len(update)).repeat_interleave(len(top))


def effect_errors(
    parts: Parts,
    row: Int[torch.Tensor, " n"],
    x: Float[torch.Tensor, "b d"],
    readout: Readout,
    document: Int[torch.Tensor, " b"],
    documents: int,
    seed: int,
) -> dict[str, tuple[str, Float[np.ndarray, "run ..."], str]]:
    """Measures how far linearised effects on the logits are from exact ones, as measures of one
    run.

    `row` says in which row of the stream x each part is. `frozen` and `jacobian` [run, document,
    bin] count the parts of each document by relative error (`binned`), `frozen_by_size` and
    `jacobian_by_size` [run, size] are medians by length over that of the stream (`SIZES`), NaN for
    20 parts or fewer. `tenfold_frozen` and so on are of every fourth part, changed as `CHANGES`
    says."""
    out: dict[str, tuple[str, Float[np.ndarray, "run ..."], str]] = {}
    some, among = parts[::4], row[::4]
    draws = torch.from_numpy(normal(np.array([seed]), "targets.parts", 0, tuple(some.shape))[0]).to(
        x.device
    )
    variants = {"": (parts, row)} | {
        f"{name}_": (change(some, x[among], draws), among) for name, change in CHANGES.items()
    }
    for name, (pieces, rows) in variants.items():
        chunks = [
            linear_errors(p, x[r], readout)
            for p, r in zip(pieces.split(CHUNK), rows.split(CHUNK), strict=True)
        ]
        errors = {kind: torch.cat([chunk[kind] for chunk in chunks]) for kind in KINDS}
        out |= {
            name + kind: ("run document bin", binned(e, document[rows], documents)[None], "pairs")
            for kind, e in errors.items()
        }
        if not name:
            size = np.digitize((parts.norm(dim=1) / x.norm(dim=1)[row]).cpu(), SIZES)
            out |= {
                f"{kind}_by_size": ("run size", _medians(e.cpu().numpy(), size)[None], "1")
                for kind, e in errors.items()
            }
    return out


def _medians(
    error: Float[np.ndarray, " n"], size: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " size"]:
    groups = [error[size == i] for i in range(1, len(SIZES))]
    return np.array([np.nanmedian(e) if len(e) > 20 else np.nan for e in groups])
