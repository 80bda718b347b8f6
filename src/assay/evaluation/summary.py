"""From sums per document to measures: each an estimate with its 95% interval over documents, or
the reason why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core.heavy import scipy
from assay.core.intervals import interval
from assay.dictionaries.measuring import measures as known
from assay.dictionaries.measuring.measures import AGAINST, FIRINGS, HARMLESS, TWINNED, Measure

LEAST = 6
"""Fewer documents carry no interval."""
GUESS = 0.1
"""Nats by which a clean loss is less than that of a uniform guess, at most, where it is reported
that the model guesses."""
SHARE = "_recovered_"
"""In the name of each measure that is a share of what an ablation costs."""
NOTHING_PREDICTED = "the model predicts nothing here"
"""The note on a model that guesses."""
UNCHANGED = (
    "no interval: it comes from how much the number changes when a part of the text is left out, "
    "and this one does not change"
)
"""Why a share of features that is neither 0 nor 1 has no interval."""
UNDEFINED = 0.01
"""Share of the draws of documents up to which a measure may be undefined in them."""

Arrays = Mapping[str, np.ndarray]


def about_the_mean(sums: Arrays) -> dict[str, np.ndarray]:
    """Take lengths about the exact mean of all measured activations, in place of the centre they
    were summed about."""
    n, total, hat = sums["tokens"], sums["sum"], sums["sum_hat"]
    delta = total.sum(0) / n.sum()
    square = n * (delta @ delta)
    moved = {
        "variance": sums["variance"] - 2 * total @ delta + square,
        "norm": sums["norm"] - 2 * hat @ delta + square,
        "dot": sums["dot"] - hat @ delta - total @ delta + square,
    }
    return {
        **{name: value for name, value in sums.items() if name not in ("sum", "sum_hat")},
        **moved,
    }


def terms(sums: Arrays) -> dict[str, np.ndarray]:
    """Give the sums that measures are made of, [document]; NaN where a document has nothing of
    their kind, as it then counts in none."""
    moved = about_the_mean(sums)
    return {
        name: np.where(_counts(name, moved) > 0, value, np.nan) for name, value in moved.items()
    }


def measures(sums: Arrays) -> dict[str, dict[str, Any]]:
    """Every measure that these sums allow, by name: estimate, interval (None without), n, and `why`
    there is no interval."""
    term_values = terms(sums)
    return {
        m.name: estimate(m, {t: term_values[t] for t in m.terms})
        for m in known.TABLE
        if all(t in term_values for t in m.terms)
    }


def _counts(name: str, sums: Arrays) -> np.ndarray:
    """How much of this sum's kind each document has: one without any is left out, and does not
    count as 0."""
    if name.startswith("a_"):
        return sums["a_predictions"]
    return sums["predictions"] if name.startswith(("ce_", "kl_", "predictions")) else sums["tokens"]


def estimate(measure: Measure, terms: Arrays) -> dict[str, Any]:
    """One measure of sums per document: estimate, interval, n, and why it has no interval."""
    if not any(np.isfinite(x).any() for x in terms.values()):
        return _entry(math.nan, why="nothing to measure it on")
    measured_interval = interval(terms, measure.statistic)
    n = measured_interval.n[0]
    is_frail = n >= 2 and measured_interval.undefined > UNDEFINED
    # Of a ratio whose divisor is not shown to be above 0, any number may come.
    unshown = is_frail and measure.undefined in (AGAINST, HARMLESS)
    if unshown or not math.isfinite(measured_interval.estimate):
        return _entry(math.nan, n=n, why=f"not defined: {measure.undefined}")
    if n < LEAST:
        return _entry(
            measured_interval.estimate,
            n=n,
            why=f"too few documents: {n}, an interval needs {LEAST}",
        )
    if is_frail:
        return _entry(
            measured_interval.estimate,
            n=n,
            why=f"not defined in {measured_interval.undefined:.0%} of the draws",
        )
    return _entry(
        measured_interval.estimate,
        max(measured_interval.low, measure.low),  # the t limits know of no range
        min(measured_interval.high, measure.high),
        n=n,
        t=(measured_interval.t_low, measured_interval.t_high),
    )


def _entry(
    estimate: float,
    low: float = math.nan,
    high: float = math.nan,
    *,
    n: int = 0,
    t: tuple[float, float] = (math.nan,) * 2,
    why: str = "",
) -> dict[str, Any]:
    numbers = {"estimate": estimate, "low": low, "high": high, "t_low": t[0], "t_high": t[1]}
    return {k: float(v) if math.isfinite(v) else None for k, v in numbers.items()} | {
        "n": {"document": n},
        "why": why,
    }


def without_shares(compared: Mapping[str, Any]) -> dict[str, Any]:
    """What a dictionary is compared with, without shares of what an ablation costs: where the model
    guesses, they say nothing."""

    def kept(measures: Any) -> Any:
        if not isinstance(measures, dict):
            return measures
        return {name: m for name, m in measures.items() if SHARE not in name}

    return {name: kept(of) for name, of in compared.items()}


def guessing(loss: float, vocabulary: int) -> list[str]:
    """Say that the model predicts a text hardly better than a guess would, if that is so: then no
    loss says anything about a dictionary."""
    guess = math.log(vocabulary)
    if loss <= guess - GUESS:
        return []
    better = "hardly" if round(loss, 2) < round(guess, 2) else "no"
    return [
        f"the clean loss, {loss:.2f} nats, is {better} better than a guess among all "
        f"{vocabulary:,} tokens ({guess:.2f}): {NOTHING_PREDICTED}, so the losses say nothing "
        "about the dictionary"
    ]


def too_few(
    documents: int,
    tokens: int,
    context: int,
    part: str,
    *,
    all_read: bool,
    option: str = "--tokens",
) -> str:
    """Say before the work that its numbers will have no interval, and what would be enough; empty
    where there are enough documents. `part` is what is read of the text, such as its test part."""
    if documents >= LEAST:
        return ""
    usual = 2 * LEAST * context
    text, every = "the text", ""
    if part != "all":
        text, every = f"the {part} part of the text", ", read all of it with --part all"
    enough = (
        f"{text} has no more of at least {context:,} tokens, so add files{every} or use a smaller "
        "--context"
        if all_read or tokens >= usual
        else f"{option} {usual} is usually enough"
    )
    return (
        f"no interval will be possible: it needs {LEAST} documents, and {documents} "
        f"{'is' if documents == 1 else 'are'} read; {enough}"
    )


def density(
    firings: Float[np.ndarray, "shard f"],
    tokens: Float[np.ndarray, " shard"],
    documents: Sequence[int],
    twinned: Bool[np.ndarray, " f"] | None = None,
) -> dict[str, dict[str, Any]]:
    """Shares of features by how often they fire, and of those with a twin, with Student's t
    interval by leaving out a shard of whole documents at a time.

    Formula: θ ± t √V, V = (G−1)/G Σ (θ₋g − mean)², over G shards; limits outside 0 to 1 are cut off
    Source: Kott, The delete-a-group jackknife, 2001
    Differs: a bootstrap would see rare features die, as it leaves out a third of the documents in
    every draw"""
    more: dict[tuple[str, ...], tuple[np.ndarray, ...]]
    more = {FIRINGS: ()} | ({} if twinned is None else {TWINNED: (twinned,)})
    counted = [m for m in known.TABLE if m.terms in more]
    total, rows, n, groups = firings.sum(0), float(tokens.sum()), int(sum(documents)), len(firings)
    if n < LEAST or groups < LEAST:
        left_out = np.full((groups, len(counted)), np.nan)
    else:
        left_out = np.array(
            [
                [float(m.of(total - f, rows - t, *more[m.terms])) for m in counted]
                for f, t in zip(firings, tokens, strict=True)
            ]
        )
    entries = {}
    for m, jackknife in zip(counted, left_out.T, strict=True):
        name, share = m.name, float(m.of(total, rows, *more[m.terms]))
        half = float(scipy.special.stdtrit(groups - 1, 0.975)) * math.sqrt(
            (groups - 1) / groups * float(((jackknife - jackknife.mean()) ** 2).sum())
        )
        if not math.isfinite(share):
            rare = f"no feature so rare can be seen on {rows:,.0f} tokens"
            why = rare if m.terms == FIRINGS else f"not defined: {m.undefined}"
        elif n < LEAST:
            why = f"too few documents: {n}, an interval needs {LEAST}"
        elif groups < LEAST:
            why = f"too little text: it was measured in {groups} parts, this interval needs {LEAST}"
        else:
            rarer = "no interval: with a little less text no feature so rare could be seen"
            same = "" if share in (0, 1) else UNCHANGED
            why = rarer if not math.isfinite(half) else "" if np.ptp(jackknife) else same
        low, high = max(0.0, share - half), min(1.0, share + half)
        limits = (low, high) if np.ptp(jackknife) > 0 and not why else (math.nan, math.nan)
        entries[name] = _entry(share, *limits, n=n, t=limits, why=why)
    return entries


def histogram(firings: Float[np.ndarray, " f"], tokens: float) -> dict[str, list[float]]:
    """How many features fire how often: bins of log10 of the share of tokens, a quarter wide,
    without the dead."""
    share = np.log10(firings[firings > 0] / tokens)
    edges = np.arange(math.floor(4 * share.min(initial=-1)) / 4, 0.26, 0.25)
    counts, _ = np.histogram(np.minimum(share, -1e-9), edges)
    return {"log10": ((edges[1:] + edges[:-1]) / 2).tolist(), "features": counts.tolist()}
