"""What a dictionary is compared with, on the same tokens: random directions that are on as often,
as many principal components, and the mean.

They are fitted on text on which nothing is measured. One function is for an evaluation and one for
an index; both end in `compare`, and `TOKENS` bounds their cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import ratio_or_nan
from assay.core.heavy import torch
from assay.dictionaries.baselines.directions import pca, random_directions
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import Donors
from assay.dictionaries.measuring.measures import FVU, Measure
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import measure, summary
from assay.evaluation.measure import shard
from assay.subjects.pretrained import Pretrained

TOKENS = 8192
"""Tokens, at most, on which a dictionary and its baselines are compared."""
ROWS, FEWEST = 4096, 64
"""Activations, at most and at least, that baselines are fitted on."""
SHOWN = ("l0", "fvu", "explained_variance", "ce_increase", "loss_recovered_mean")
"""The measures that are compared."""
AHEAD = Measure(
    "fvu_ahead",
    "FVU of random directions less that of the dictionary",
    "1",
    "FVU(random) − FVU",
    "higher",
    ("error_random", "error", "variance"),
    lambda random, error, variance: ratio_or_nan(random - error, variance),
    -math.inf,
)

JSON = dict[str, Any]


def fit(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    y: Float[torch.Tensor, "b d"],
    seed: int,
) -> dict[str, Dictionary]:
    """Fit what a dictionary is compared with, by name: no principal components for a transcoder,
    nor where as many as features are on would be all that there are.

    Args:
        dictionary: one.
        x: what it reads, raw.
        y: what it reconstructs; for a transcoder other activations than x.
        seed: draws the random directions.
    """
    same = x is y
    baselines = {"random": random_directions(dictionary, x, seed, None if same else y)}
    if same:
        active = sum(len(dictionary.active(rows).feature) for rows in x.split(measure.ROWS))
        rank = max(1, round(active / len(x)))
        baselines |= {"pca": pca(x, rank)[0]} if rank < x.shape[1] else {}
    return {**baselines, "mean": _constant(y.mean(0), x.shape[1])}


def on_text(
    subject: Pretrained,
    place: measure.Place,
    dictionary: Dictionary,
    spare: Int[np.ndarray, "v s"],
    tokens: Int[np.ndarray, "w s"],
    document: Int[np.ndarray, " w"],
    batch: int,
    tick: Callable[[int], None],
) -> JSON | None:
    """Compare a dictionary with baselines on windows of text; None where too little of the spare
    windows is left to fit them on.

    Args:
        subject: the model.
        place: where, and which positions count.
        dictionary: one, on the model's device.
        spare: windows that baselines are fitted on.
        tokens: windows that all are measured on.
        document: of each of those.
        batch: tokens in one pass.
        tick: hears how many more tokens are done.
    """
    x, y = measure.kept_rows(subject, place, spare)
    if len(x) < FEWEST:
        tick(tokens.size)
        return None
    few = x[:ROWS]
    baselines = fit(dictionary, few, few if y is x else y[:ROWS], place.donors.seed)
    place = replace(place, donors=Donors.of(y, place.donors.seed))
    _, number = np.unique(document, return_inverse=True)
    order = np.argsort(number, kind="stable")
    shared, sums = shard(
        subject,
        place,
        tokens[order],
        number[order],
        np.ones(len(order), bool),
        [dictionary, *baselines.values()],
        reference=False,
        first=0,
        batch=batch,
        tick=tick,
    )
    parts = {name: shared | part for name, part in zip(("", *baselines), sums, strict=True)}
    for part in parts.values():
        part["a_ce_mean"] = parts["mean"]["a_ce_spliced"]
    return compare(parts, baselines)


def compare(
    parts: Mapping[str, Mapping[str, np.ndarray]], baselines: Mapping[str, Dictionary]
) -> JSON:
    """Work out the measures of a dictionary, whose sums are under "", and of its baselines, and by
    how much it is ahead of the random directions, document by document."""
    results = {}
    for name, sums in parts.items():
        numbers = {k: v for k, v in sums.items() if k != "firings"}
        measures = summary.measures(numbers)
        results[name or "dictionary"] = {m: measures[m] for m in SHOWN if m in measures}
    if "pca" in results:  # its codes are signed, and all are on, not only those above 0
        on = dict.fromkeys(("estimate", "low", "high", "t_low", "t_high"), baselines["pca"].width)
        results["pca"]["l0"] = {**results["pca"]["l0"], **on}
    terms = {f"error_{name}" if name else "error": part["error"] for name, part in parts.items()}
    about_mean = summary.terms({k: v for k, v in parts[""].items() if k != "firings"})
    terms = {name: terms[name] for name in AHEAD.terms if name in terms} | {
        "variance": about_mean[FVU.terms[1]]
    }
    return {
        "tokens": int(parts[""]["tokens"].sum()),
        "documents": int((parts[""]["tokens"] > 0).sum()),
        "rank": baselines["pca"].width if "pca" in baselines else None,
        "ahead": summary.estimate(AHEAD, terms),
        **results,
    }


def spread(windows: Bool[np.ndarray, " w"], context: int) -> Int[np.ndarray, " v"]:
    """Choose evenly among these windows as many as make up the tokens of a comparison."""
    rows = np.flatnonzero(windows)
    count = min(len(rows), max(1, TOKENS // context))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)] if count else rows


def _constant(value: Float[torch.Tensor, " d"], d_in: int) -> Dictionary:
    """A dictionary of one feature that is never on, which gives the same whatever it reads."""
    return Dictionary(
        W_enc=value.new_zeros(1, d_in, 1),
        b_enc=value.new_full((1, 1), -1.0),
        W_dec=value.new_zeros(1, 1, len(value)),
        b_dec=value[None],
        nonlinearity=ReLU(),
    )
