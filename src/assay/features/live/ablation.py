"""The exact change of the loss when firings, or features wherever they are on, are taken out: later
blocks run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import spliced_run
from assay.features.effects import added
from assay.features.importance import Job, Mode, check_direct, deltas, end_of_stream
from assay.features.live.attribution import Agreement, agreement, attribute, predicts
from assay.features.live.reader import Firings, Reader, Reading

BATCH = 2048
"""Tokens in one pass of the model."""
ANYWHERE = -1
"""Stands for the position of a feature that is taken out wherever it is on."""


@dataclass(frozen=True, eq=False)
class Ablation:
    """What taking out each of some features does to the loss of every prediction."""

    feature: Int[np.ndarray, " n"]
    """Its number; of a set that is taken out at once, the first of them."""
    position: Int[np.ndarray, " n"]
    """Where it is taken out; `ANYWHERE`: wherever it is on."""
    delta: Float[np.ndarray, "n s-1"]
    """ΔCE of each prediction, nats; above 0 it helps. Exactly 0 before its first firing, and for
    one that is nowhere on."""
    before: Float[np.ndarray, " s-1"]
    """The loss as it is, nats."""

    @property
    def after(self) -> Float[np.ndarray, "n s-1"]:
        """The loss without it."""
        return self.before + self.delta

    def on(self, position: int | None = None) -> Float[np.ndarray, " n"]:
        """ΔCE of the prediction at `position`, or summed over the text."""
        return self.delta.sum(1) if position is None else self.delta[:, position]


def ablate_features(
    reader: Reader,
    reading: Reading,
    features: Sequence[int | Sequence[int]],
    *,
    mode: Mode = "full",
    batch: int = BATCH,
    random: int | None = None,
) -> Ablation:
    """Take out each of these features wherever it is on, or each set of features at once.

    "full" runs all later blocks again, "direct" changes only the stream before the final norm,
    "single" takes out one position at a time and counts its own next token. One pass from the
    dictionary's block on for each feature that is on (each firing, in "single"), `batch` tokens of
    them at a time. The same computation as `importance_sums`.

    `random` is the seed of a control: in the place of each feature a random direction is taken out,
    with the length that the feature has at each token.

    Raises: DataError for features that are not there; ModelError in mode "direct" for a site
    outside the residual stream."""
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

    def removed(job: Job) -> Float[torch.Tensor, "s d"]:
        part = added(reader.dictionary, groups[job.group], columns[job.group], reading.inputs)
        if directions is None:
            return part
        return part.norm(dim=-1, keepdim=True) * directions[job.group]

    first = np.array([group[0] for group in groups], dtype=np.int64)
    return _ablation(
        reader, reading, first, np.full(len(groups), ANYWHERE), removed, on, mode, batch
    )


def ablate_firings(
    reader: Reader,
    reading: Reading,
    firings: Firings,
    *,
    mode: Literal["full", "direct"] = "full",
    batch: int = BATCH,
) -> Ablation:
    """Take out single firings, each at its own position, and see all later predictions.

    One pass from the dictionary's block on for each firing, `batch` tokens of them at a time.

    Raises: ModelError in mode "direct" for a site outside the residual stream.
    """
    parts = reader.parts(reading, firings)
    on = torch.zeros(len(firings), 1, len(reading), dtype=torch.bool, device=parts.device)
    on[np.arange(len(firings)), 0, firings.position] = torch.from_numpy(firings.value != 0).to(
        parts.device
    )

    def removed(job: Job) -> Float[torch.Tensor, "s d"]:
        out = torch.zeros_like(reading.acts)
        out[int(firings.position[job.group])] = parts[job.group]
        return out

    return _ablation(reader, reading, firings.feature, firings.position, removed, on, mode, batch)


def _ablation(
    reader: Reader,
    reading: Reading,
    feature: Int[np.ndarray, " n"],
    position: Int[np.ndarray, " n"],
    removed: Callable[[Job], Float[torch.Tensor, "s d"]],
    on: Bool[torch.Tensor, "n 1 s"],
    mode: Mode,
    batch: int,
) -> Ablation:
    if mode == "direct":
        check_direct(reader.target)
    site, passage = (
        end_of_stream(reader.subject, reading.passage.tokens)
        if mode == "direct"
        else (reader.target, reading.passage)
    )
    delta = deltas(reader.subject, site, passage, removed, on, mode, max(1, batch // len(reading)))[
        :, 0
    ]
    return Ablation(feature, position, delta, reading.loss)


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


@dataclass(frozen=True, eq=False)
class Matters:
    """The features that matter most to one loss by attribution, and what taking each of them out
    really does."""

    position: int | None
    """The prediction whose loss it is; None: the sum over the text."""
    loss: float
    """That loss, nats."""
    attributed: Float[np.ndarray, " n"]
    """First-order ΔCE of that loss, nats, by which they were chosen; largest absolute value first,
    and none that is exactly 0."""
    ablation: Ablation
    agreement: Agreement
    """Of attribution and ablation, among those chosen."""
    tried: int
    """Features (or firings) that there are before the prediction."""

    @property
    def feature(self) -> Int[np.ndarray, " n"]:
        """Their numbers."""
        return self.ablation.feature

    @property
    def delta(self) -> Float[np.ndarray, " n"]:
        """Exact ΔCE of that loss, nats."""
        return self.ablation.on(self.position)


def matters(
    reader: Reader,
    reading: Reading,
    position: int | None = None,
    *,
    count: int = 10,
    unit: Literal["feature", "firing"] = "feature",
    batch: int = BATCH,
) -> Matters:
    """Find what matters most to the prediction at `position`, or to the text: by attribution, then
    by ablation of the first `count`.

    `unit` "feature" takes a feature out wherever it is on, "firing" at one position alone. One pass
    forward and back, and one from the dictionary's block on for each of the `count`; of the text
    only what comes before the prediction, so `ablation` ends there.

    Raises: DataError for a position that predicts nothing.
    """
    if position is not None:
        reading = reading.cut(predicts(reading, position) + 2)
    first = attribute(reader, reading, position)
    if unit == "firing":
        chosen = first.top(count)
        chosen = chosen[first.value[chosen] != 0]
        value, exact = (
            first.value[chosen],
            ablate_firings(reader, reading, first.firings[chosen], batch=batch),
        )
    else:
        features, sums = (x[:count] for x in first.by_feature())
        value = sums[sums != 0]
        exact = ablate_features(reader, reading, [int(k) for k in features[sums != 0]], batch=batch)
    total = len(first.value) if unit == "firing" else len(reading.on)
    return Matters(position, first.loss, value, exact, agreement(value, exact.on(position)), total)


def reconstructed_loss(reader: Reader, reading: Reading) -> Float[np.ndarray, " s-1"]:
    """The loss of each prediction when every position that counts is replaced by its
    reconstruction, nats."""
    keep = torch.from_numpy(reading.keep).to(reading.acts.device)[:, None]
    new = torch.where(
        keep, reader.dictionary.reconstruct(reading.inputs)[0].to(reading.acts), reading.acts
    )
    return (
        spliced_run(reader.subject, reader.target, reading.passage, new[None])
        .loss()[0]
        .double()
        .cpu()
        .numpy()
    )
