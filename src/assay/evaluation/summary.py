"""From sums per document to measures: each an estimate with its 95 % interval over documents, or the reason why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from assay.core.intervals import Means, Statistic, interval
from assay.core.stats import ratio

LEAST = 6
"""Fewer documents carry no interval."""
MANY = 20
"""With fewer, the bootstrap's and Student's t limits are both covered, as neither is trusted alone."""
UNDEFINED = 0.01

Arrays = Mapping[str, np.ndarray]
ABLATIONS = ("zero", "mean", "resample")


@dataclass(frozen=True)
class Measure:
    """One measure: how it is called, its unit, which way is better, and the statistic of document means that it is."""

    name: str
    label: str
    unit: str
    better: str
    formula: str
    terms: tuple[str, ...]
    statistic: Statistic


def _root(a: str, b: str) -> Statistic:
    return lambda m: (m[a] / m[b]) ** 0.5


def _more(a: str, b: str, per: str) -> Statistic:
    return lambda m: (m[a] - m[b]) / m[per]


def _recovered(a: str) -> Statistic:
    return lambda m: _over(m[a] - m["a_ce_spliced"], m[a] - m["a_ce_clean"])


def _kl_recovered(a: str) -> Statistic:
    return lambda m: _over(m[a] - m["a_kl_spliced"], m[a])


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b where b > 0: of an ablation that does no harm, nothing can be recovered."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def _shrinkage(norm: str, dot: str, square: str) -> Statistic:
    """γ, undefined where reconstructions do not point along the activations: up to rounding, where E[x̂·x] is not above 0."""
    return lambda m: _over(m[norm], np.where(m[dot] > 1e-6 * (m[norm] * m[square]) ** 0.5, m[dot], 0.0))


def _explained(m: Means) -> np.ndarray:
    return 1 - m["error"] / m["variance"]


def _simple(name: str, label: str, unit: str, better: str, formula: str, a: str, b: str) -> Measure:
    return Measure(name, label, unit, better, formula, (a, b), ratio(a, b))


MEASURES: tuple[Measure, ...] = (
    _simple("l0", "L0", "features", "lower at equal FVU", "features that are on, mean over tokens", "active", "tokens"),
    _simple("fvu", "FVU", "1", "lower", "Σ‖x − x̂‖² / Σ‖x − x̄‖²", "error", "variance"),
    Measure("explained_variance", "explained variance", "1", "higher", "1 − FVU", ("error", "variance"), _explained),
    _simple("mse", "squared error", "squared activation", "lower", "mean of ‖x − x̂‖²", "error", "tokens"),
    Measure("gamma", "γ centred", "1", "nearer 1", "E‖x̂ − x̄‖² / E[(x̂ − x̄)·(x − x̄)]", ("norm", "dot", "variance"),
            _shrinkage("norm", "dot", "variance")),
    Measure("gamma_raw", "γ raw", "1", "nearer 1", "E‖x̂‖² / E[x̂·x]", ("norm_raw", "dot_raw", "square_raw"),
            _shrinkage("norm_raw", "dot_raw", "square_raw")),
    Measure("norm_ratio", "norm ratio", "1", "neither", "√(E‖x̂ − x̄‖² / E‖x − x̄‖²)", ("norm", "variance"), _root("norm", "variance")),
    Measure("norm_ratio_raw", "norm ratio, raw", "1", "neither", "√(E‖x̂‖² / E‖x‖²)", ("norm_raw", "square_raw"),
            _root("norm_raw", "square_raw")),
    _simple("ce_clean", "loss, clean", "nats", "neither", "mean −log p of the next token", "ce_clean", "predictions"),
    _simple("ce_spliced", "loss, spliced", "nats", "lower", "the same with x̂ in place of x", "ce_spliced", "predictions"),
    Measure("ce_increase", "loss added", "nats", "lower", "spliced − clean", ("ce_spliced", "ce_clean", "predictions"),
            _more("ce_spliced", "ce_clean", "predictions")),
    _simple("kl_spliced", "KL, spliced", "nats", "lower", "mean KL(clean ‖ spliced)", "kl_spliced", "predictions"),
    *(_simple(f"ce_{a}", f"loss, {a} ablated", "nats", "neither", f"the same under {a} ablation", f"a_ce_{a}", "a_predictions")
      for a in ABLATIONS),
    *(Measure(f"loss_recovered_{a}", f"loss recovered ({a})", "1", "higher", "(ablated − spliced) / (ablated − clean)",
              (f"a_ce_{a}", "a_ce_spliced", "a_ce_clean"), _recovered(f"a_ce_{a}")) for a in ABLATIONS),
    *(Measure(f"kl_recovered_{a}", f"KL recovered ({a})", "1", "higher", "1 − KL spliced / KL ablated",
              (f"a_kl_{a}", "a_kl_spliced"), _kl_recovered(f"a_kl_{a}")) for a in ABLATIONS),
)  # fmt: skip
CLASSES = {
    "dead": "dead features", "ultra_rare": "ultra-rare features", "rare": "rare features",
    "ordinary": "ordinary features", "dense": "dense features",
}  # fmt: skip
DENSITY = {
    "dead": "on for no token", "ultra_rare": "on for less than 1e-5 of the tokens", "rare": "1e-5 to less than 1e-3",
    "ordinary": "1e-3 to .1", "dense": "more than .1",
}  # fmt: skip


def about_the_mean(sums: Arrays) -> dict[str, np.ndarray]:
    """Take lengths about the exact mean of all measured activations, in place of the centre they were summed about."""
    n, total, hat = sums["tokens"], sums["sum"], sums["sum_hat"]
    delta = total.sum(0) / n.sum()
    square = n * (delta @ delta)
    moved = {
        "variance": sums["variance"] - 2 * total @ delta + square,
        "norm": sums["norm"] - 2 * hat @ delta + square,
        "dot": sums["dot"] - hat @ delta - total @ delta + square,
    }
    return {**{name: value for name, value in sums.items() if name not in ("sum", "sum_hat")}, **moved}


def measures(sums: Arrays) -> dict[str, dict[str, Any]]:
    """Every measure that these sums allow, by name: estimate, interval (None without), n, and `why` there is no interval."""
    moved = about_the_mean(sums)
    there = {name: np.where(_counts(name, moved) > 0, value, np.nan) for name, value in moved.items()}
    return {m.name: _one(m, {t: there[t] for t in m.terms}) for m in MEASURES if all(t in there for t in m.terms)}


def _counts(name: str, sums: Arrays) -> np.ndarray:
    """How much of this sum's kind each document has: one without any is left out, and does not count as 0."""
    if name.startswith("a_"):
        return sums["a_predictions"]
    return sums["predictions"] if name.startswith(("ce_", "kl_", "predictions")) else sums["tokens"]


def _one(measure: Measure, terms: Arrays) -> dict[str, Any]:
    if not any(np.isfinite(x).any() for x in terms.values()):
        return _entry(math.nan, why="nothing to measure it on")
    found = interval(terms, measure.statistic)
    n = found.n[0]
    if not math.isfinite(found.estimate):
        harmless = "recovered" in measure.name
        return _entry(math.nan, n=n, why="undefined: this ablation does no harm" if harmless else "undefined: nothing to divide by")
    if n < LEAST:
        return _entry(found.estimate, n=n, why=f"too few documents: {n}, an interval needs {LEAST}")
    if found.undefined > UNDEFINED:
        return _entry(found.estimate, n=n, why=f"undefined in {found.undefined:.0%} of the draws")
    low, high = (found.low, found.high) if n >= MANY else (min(found.low, found.t_low), max(found.high, found.t_high))
    return _entry(found.estimate, low, high, n=n, t=(found.t_low, found.t_high))


def _entry(
    estimate: float, low: float = math.nan, high: float = math.nan, *, n: int = 0, t: tuple[float, float] = (math.nan,) * 2, why: str = ""
) -> dict[str, Any]:
    numbers = {"estimate": estimate, "low": low, "high": high, "t_low": t[0], "t_high": t[1]}
    return {k: float(v) if math.isfinite(v) else None for k, v in numbers.items()} | {"n": {"document": n}, "why": why}


def density(
    firings: Float[np.ndarray, "shard f"], tokens: Float[np.ndarray, "shard"], documents: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Shares of features by how often they fire, with Student's t interval by leaving out a shard of whole documents at a time.

    Formula: θ ± t √V, V = (G−1)/G Σ (θ₋g − mean)², over G shards; limits outside 0 to 1 are cut off
    Source: Kott, The delete-a-group jackknife, 2001
    Differs: a bootstrap would see rare features die, as it leaves out a third of the documents in every draw
    """
    from assay.dictionaries.measuring.rarity import density_classes  # brings torch, which reading what is stored does not need

    total, rows, n, groups = firings.sum(0), float(tokens.sum()), int(sum(documents)), len(firings)
    shares = density_classes(total, rows)
    if n < LEAST or groups < LEAST:
        left_out = np.full((groups, len(CLASSES)), np.nan)
    else:
        less = (density_classes(total - f, rows - t) for f, t in zip(firings, tokens, strict=True))
        left_out = np.array([[float(x[name]) for name in CLASSES] for x in less])
    entries = {}
    for i, name in enumerate(CLASSES):
        share, others = float(shares[name]), left_out[:, i]
        half = float(stdtrit(groups - 1, 0.975)) * math.sqrt((groups - 1) / groups * float(((others - others.mean()) ** 2).sum()))
        if not math.isfinite(share):
            entries[name] = _entry(math.nan, n=n, why=f"no feature so rare can be seen on {rows:,.0f} tokens")
        elif n < LEAST:
            entries[name] = _entry(share, n=n, why=f"too few documents: {n}, an interval needs {LEAST}")
        elif groups < LEAST:
            entries[name] = _entry(share, n=n, why=f"too little text: it was measured in {groups} parts, this interval needs {LEAST}")
        elif not math.isfinite(half):
            entries[name] = _entry(share, n=n, why="no interval: with a little less text no feature so rare could be seen")
        else:
            low, high = max(0.0, share - half), min(1.0, share + half)
            entries[name] = _entry(share, low, high, n=n, t=(low, high))
    return entries


def histogram(firings: Float[np.ndarray, "f"], tokens: float) -> dict[str, list[float]]:
    """How many features fire how often: bins of log10 of the share of tokens, a quarter wide, without the dead."""
    share = np.log10(firings[firings > 0] / tokens)
    edges = np.arange(math.floor(4 * share.min(initial=-1)) / 4, 0.26, 0.25)
    counts, _ = np.histogram(np.minimum(share, -1e-9), edges)
    return {"log10": ((edges[1:] + edges[:-1]) / 2).tolist(), "features": counts.tolist()}
