"""What each firing contributes to a loss, to first order: one pass forward and one back for all
firings at once.

    ΔCE ≈ −a_k(t) · d_k·∂CE/∂x_t

the loss without the firing less the loss as it is, were the model linear in between. Above 0 the
firing helps. `ablation` has the exact change; `agreement` says how far the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import spliced_run
from assay.features.effects import loss_gradient
from assay.features.live.reader import CHUNK, Firings, Reader, Reading


@dataclass(frozen=True, eq=False)
class Attribution:
    """First-order changes of one loss by taking out each firing, or what the dictionary leaves
    unexplained at a token."""

    position: int | None
    """The prediction whose loss it is; None: the sum over the text."""
    loss: float
    """That loss, nats."""
    firings: Firings
    value: Float[np.ndarray, " n"]
    """For each firing, nats; above 0 it helps."""
    error: Float[np.ndarray, " s"]
    """At each token that counts, for taking out what the dictionary leaves unexplained; 0
    elsewhere."""
    gradient: Float[torch.Tensor, "s d"] = field(repr=False)
    """Of the loss, by the activations where the dictionary writes."""

    def by_feature(self) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Features and the sums over their firings, largest absolute value first."""
        features, back = np.unique(self.firings.feature, return_inverse=True)
        sums = np.bincount(back, self.value, len(features))
        order = np.argsort(-np.abs(sums), kind="stable")
        return features[order], sums[order]


def attribute(reader: Reader, reading: Reading, position: int | None = None) -> Attribution:
    """Attribute the loss of the prediction at `position`, or the sum over the text, to every
    firing.

    One pass from the dictionary's block on and one back, whatever the number of firings.

    Formula: −a_k(t) · (d_k · ∂CE/∂x_t), x the activations where the dictionary writes
    Source: attribution patching, Nanda 2023; Sparse Feature Circuits, Marks et al. 2024

    Raises: DataError for a position that predicts nothing.
    """
    rows = (
        np.arange(len(reading) - 1) if position is None else np.array([predicts(reading, position)])
    )
    x = reading.passage.acts.detach().clone().requires_grad_()
    trace = spliced_run(reader.subject, reader.target, reading.passage, x, gradients=True)
    assert trace.final is not None
    gradient = torch.autograd.grad(trace.final, x, loss_gradient(trace, torch.from_numpy(rows))[0])[
        0
    ][0].float()
    firings, value = reading.firings, np.zeros(len(reading.firings))
    for a in range(0, len(firings), CHUNK):
        some = firings[slice(a, a + CHUNK)]
        slopes = gradient[torch.from_numpy(some.position).to(gradient.device)]
        value[a : a + CHUNK] = (
            -torch.linalg.vecdot(reader.parts(reading, some), slopes).double().cpu().numpy()
        )
    error = reading.acts - reader.dictionary.reconstruct(reading.inputs)[0]
    error_value = -torch.linalg.vecdot(error, gradient).double().cpu().numpy() * reading.keep
    return Attribution(
        position, float(reading.loss[rows].sum()), firings, value, error_value, gradient
    )


def predicts(reading: Reading, position: int) -> int:
    """The position itself, where it predicts a token of the text. Raises: DataError where it does
    not."""
    if not 0 <= position < len(reading) - 1:
        raise DataError(
            f"predictions of this text are made at tokens 0 to {len(reading) - 2}, got {position}"
        )
    return position


@dataclass(frozen=True)
class Agreement:
    """How far two measures of the same features agree."""

    n: int
    correlation: float
    """Pearson's; NaN for fewer than two, or where one of them never varies."""
    same_sign: float
    """Share of those with the same sign in both; NaN for none."""


def agreement(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> Agreement:
    """Compare two measures of the same features, such as attribution and ablation."""
    a, b = (np.asarray(x, dtype=np.float64) for x in (first, second))
    if a.shape != b.shape or a.ndim != 1:
        raise DataError(
            "two measures of the same features have one number each for every feature, got "
            f"{a.shape} and {b.shape}"
        )
    varies = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
    same = float((np.sign(a) == np.sign(b)).mean()) if len(a) else float("nan")
    return Agreement(len(a), float(np.corrcoef(a, b)[0, 1]) if varies else float("nan"), same)
