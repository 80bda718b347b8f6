"""The exact change of the loss when features are taken out wherever they are on: later blocks run
again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import spliced_run
from assay.features.effects import added, loss_gradient
from assay.features.importance import deltas
from assay.features.live.reader import CHUNK, Firings, Reader, Reading
from assay.train import rng


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
        chunk = firings[slice(a, a + CHUNK)]
        slopes = gradient[torch.from_numpy(chunk.position).to(gradient.device)]
        value[a : a + CHUNK] = (
            -torch.linalg.vecdot(reader.parts(reading, chunk), slopes).double().cpu().numpy()
        )
    error = reading.acts - reader.dictionary.reconstruct(reading.inputs)
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


BATCH = 2048
"""Tokens in one pass of the model."""


@dataclass(frozen=True, eq=False)
class Ablation:
    """What taking out each of some features does to the loss of every prediction, or of the last
    one alone."""

    feature: Int[np.ndarray, " n"]
    """Its number; of a set that is taken out at once, the first of them."""
    delta: Float[np.ndarray, "n p"]
    """ΔCE of each prediction, nats; above 0 it helps. Exactly 0 before its first firing, and for
    one that is nowhere on."""

    def on(self, position: int | None = None) -> Float[np.ndarray, " n"]:
        """ΔCE of the prediction at `position`, or summed over the text."""
        return self.delta.sum(1) if position is None else self.delta[:, position]


def ablate_features(
    reader: Reader,
    reading: Reading,
    features: Sequence[int | Sequence[int]],
    *,
    last: bool = False,
    random: int | None = None,
) -> Ablation:
    """Take out each of these features wherever it is on, or each set of features at once.

    All later blocks run again: one pass from the dictionary's block on for each feature that is on,
    a few at a time. The same computation as `importance_sums`. Where only the `last` prediction is
    asked about, no other logits are made, which is several times as fast.

    `random` is the seed of a control: in the place of each feature a random direction is taken out,
    with the length that the feature has at each token.

    Raises: DataError for features that are not there."""
    groups = [[int(k) for k in g] if isinstance(g, Sequence) else [int(g)] for g in features]
    _check(reader, groups)
    columns = [
        torch.from_numpy(reading.firings.columns(group, len(reading))).to(reader.subject.device)
        for group in groups
    ]
    on = (
        torch.stack([(c != 0).any(1)[None] for c in columns])
        if groups
        else torch.zeros(0, 1, len(reading), dtype=torch.bool)
    )

    directions = None if random is None else unit_directions(random, len(groups), reading)

    def removed(g: int, window: int) -> Float[torch.Tensor, "s d"]:
        part = added(reader.dictionary, groups[g], columns[g], reading.inputs)
        if directions is None:
            return part
        return part.norm(dim=-1, keepdim=True) * directions[g]

    first = np.array([group[0] for group in groups], dtype=np.int64)
    batch = max(1, BATCH // len(reading))
    place = reader.subject, reader.target, reading.passage
    return Ablation(first, deltas(*place, removed, on, batch, last)[:, 0])


def unit_directions(seed: int, count: int, reading: Reading) -> Float[torch.Tensor, "n d"]:
    """So many random directions of length 1."""
    shape = count, reading.acts.shape[-1]
    rows = torch.from_numpy(rng.normal(np.array([seed]), "ablation.controls", 0, shape)[0])
    return torch.nn.functional.normalize(rows, dim=-1).to(reading.acts)


def _check(reader: Reader, groups: Sequence[Sequence[int]]) -> None:
    wrong = [k for group in groups for k in group if not 0 <= k < reader.dictionary.width]
    if wrong or not all(groups):
        raise DataError(
            f"features are numbered 0 to {reader.dictionary.width - 1}, got "
            f"{wrong[0] if wrong else 'an empty set'}"
        )


def reconstructed_loss(reader: Reader, reading: Reading) -> Float[np.ndarray, " s-1"]:
    """The loss of each prediction when every position that counts is replaced by its
    reconstruction, nats."""
    keep = torch.from_numpy(reading.keep).to(reading.acts.device)[:, None]
    new = torch.where(
        keep, reader.dictionary.reconstruct(reading.inputs).to(reading.acts), reading.acts
    )
    return (
        spliced_run(reader.subject, reader.target, reading.passage, new[None])
        .loss()[0]
        .double()
        .cpu()
        .numpy()
    )
