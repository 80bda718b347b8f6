"""self_test: does a loaded dictionary reconstruct real activations? A wrong convention loads
without an error and shows here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.measures import EXPLAINED, L0, NORM_RATIO_RAW
from assay.dictionaries.measuring.sums import PerRow, of_reconstructions, of_rows

LEAST = 4096
"""Activations below which no verdict is given."""
CAUSES = (
    "wrong place (the input of a block where its output was meant)",
    "first tokens of documents, far longer than the rest",
    "centring",
    "normalisation per token",
    "a scale that is not folded",
    "precision",
)
"""Why a dictionary that loads may not reconstruct, the most frequent first."""


@dataclass(frozen=True)
class Trial:
    """How one dictionary did: `l0` active features per activation, `ev` = 1 − FVU (1 is perfect, 0
    the mean), ‖x̂‖ / ‖x‖ (1)."""

    rows: int
    l0: float
    ev: float
    norm_ratio: float
    warning: str = ""

    @property
    def fvu(self) -> float:
        """Fraction of variance unexplained, 1 − ev."""
        return 1 - self.ev

    @property
    def reconstructs(self) -> bool:
        """Whether it is better than the mean of the activations."""
        return self.ev > 0

    @property
    def verdict(self) -> str:
        """One line: what was measured, and where it fails the usual causes in order."""
        figures = (
            f"EV {self.ev:.3g}, L0 {self.l0:.1f}, ‖x̂‖/‖x‖ {self.norm_ratio:.3g} on {self.rows:,} "
            "activations"
        )
        if self.reconstructs:
            return f"reconstructs: {figures}" + (f"; {self.warning}" if self.warning else "")
        return (
            f"loads but does not reconstruct ({figures}); usual causes, in order: "
            f"{', '.join(CAUSES)}"
        )


def self_test(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    y: Float[torch.Tensor, "b d_out"] | None = None,
    *,
    least: int = LEAST,
    chunk: int = 1024,
) -> list[Trial]:
    """One Trial per run, on raw activations x, and for a transcoder on the targets y of the same
    tokens; sums in float64.

    Formula: those of `measures`, pooled over all rows
    Raises: DataError for too few activations, activations of another width, and activations that
    are NaN or infinite."""
    if x.ndim != 2 or x.shape[1] != dictionary.W_enc.shape[1]:
        raise DataError(
            f"activations must be [b, {dictionary.W_enc.shape[1]}] for this dictionary, got "
            f"{list(x.shape)}"
        )
    if len(x) < least:
        raise DataError(f"a self-test needs at least {least:,} activations, got {len(x):,}")
    if y is None and dictionary.sites_out:
        raise DataError(
            f"this dictionary predicts {', '.join(dictionary.sites_out)}; give the "
            "activations there too"
        )
    y = x if y is None else y
    if y.shape != (len(x), dictionary.W_dec.shape[-1]):
        raise DataError(
            f"targets must be [{len(x)}, {dictionary.W_dec.shape[-1]}] for these activations, "
            f"got {list(y.shape)}"
        )
    if not bool(x.isfinite().all() and y.isfinite().all()):
        raise DataError("activations have numbers that are NaN or infinite")
    mean = sum(
        (part.double().sum(0) for part in y.split(chunk)),
        torch.zeros(y.shape[1], dtype=torch.float64),
    ) / len(y)
    targets = _total(of_rows(part.double(), mean) for part in y.split(chunk))
    if not targets["variance"] > 0:
        raise DataError(
            "the activations are all the same vector, which any dictionary may hit or miss"
        )
    trials = []
    for single in dictionary:
        with torch.no_grad():
            sums = _total(
                _tried(single, rows.float(), part.double(), mean)
                for rows, part in zip(x.split(chunk), y.split(chunk), strict=True)
            )
        l0, ev, norm_ratio = (
            float(measure.statistic(targets | sums)) for measure in (L0, EXPLAINED, NORM_RATIO_RAW)
        )
        trials.append(Trial(len(x), l0, ev, norm_ratio, _warning(single, x)))
    return trials


def _tried(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    y: Float[torch.Tensor, "b d_out"],
    mean: Float[torch.Tensor, " d_out"],
) -> PerRow:
    """What each row adds to the sums of one dictionary; a feature of any sign is on unless it is
    0."""
    features = dictionary.encode(x)
    return of_reconstructions(
        y, dictionary.decode(features, x)[0].double(), (features[0] != 0).double(), mean
    )


def _total(parts: Iterable[PerRow]) -> dict[str, np.ndarray]:
    """Each sum over all rows of all parts."""
    totals = [{name: rows.sum() for name, rows in part.items()} for part in parts]
    return {
        name: torch.stack([part[name] for part in totals]).sum().cpu().numpy() for name in totals[0]
    }


def _warning(dictionary: Dictionary, x: Float[torch.Tensor, "b d_in"]) -> str:
    """Where the peers' normalisation is not undone exactly: they divide by σ + 1e-5 and multiply by
    σ."""
    small = int((x.float().std(dim=-1) < 1e-3).sum()) if dictionary.per_token == "layer-norm" else 0
    return (
        (
            f"{small:,} activations deviate by less than 1e-3, where layer normalisation is not "
            "undone exactly"
        )
        if small
        else ""
    )
