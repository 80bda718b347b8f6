"""What lm-importance claims: the statements, and how each value is computed from measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from assay.core import Arms, Claim, Estimate, Gate, Value, by
from assay.core.claims import same_method
from assay.core.heavy import scipy, xr
from assay.core.stats import Means, correlation, products, ratio
from assay.dictionaries.measuring.frontier import FRONTIER, FVU

SEED = (
    "C. McDougall, comment on the ARENA exercises: importance as the average amount by which a "
    "feature reduces cross-entropy"
)
ELHAGE = "Elhage et al. 2022, Toy Models of Superposition, importance"
PLAN = "plan: fixed for 50 active tokens and ablation at all of them, before any pilot"
LEAST = 50
"""Firings below which a feature has no interval of its own."""
STRONG, WEAK = -1, 0
"""The quarters of a feature's firings by strength that are compared."""
RIGHT, WRONG, FEWEST = 0.8, 0.4, 5
"""The rule of the two kinds: the least share of right and of wrong firings, and how many firings
have to be one or the other."""
KINDS = ("rare, right when strong", "often wrong", "neither")


def thirds(x: xr.DataArray) -> xr.DataArray:
    """Sums over each third of the drawn features, rarest first, in place of `feature`."""
    parts = np.array_split(np.arange(x.sizes["feature"]), 3)
    return xr.concat([x.isel(feature=part).sum("feature") for part in parts], "third")


def sums(arm: xr.Dataset, *names: str, quarter: int | None = None) -> dict[str, xr.DataArray]:
    """Terms {name: [seed, document]}: sums over all firings of the drawn features, or over one
    quarter of them by strength."""
    data = by(arm)[list(names)].sum("feature")
    data = data.sum("quarter") if quarter is None else data.isel(quarter=quarter)
    return {str(name): x for name, x in data.items()}


def strong(name: str) -> Value:
    """Terms: at the strongest quarter of firings, a sum for the feature's own part and for a random
    direction as long."""

    def value(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
        totals = sums(arm, name, f"{name}_random", "firings", quarter=STRONG)
        return {
            "own": totals[name],
            "random": totals[f"{name}_random"],
            "firings": totals["firings"],
        }

    return value


def beyond_random(m: Means) -> np.ndarray:
    """By how much the feature's part exceeds the random direction, per firing."""
    return (m["own"] - m["random"]) / m["firings"]


def importance(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of importance where features are active: nats, and firings."""
    return sums(arm, "change", "firings")


def by_third(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of importance of each third of the drawn features by density, rarest first."""
    return {name: thirds(by(arm)[name].sum("quarter")) for name in ("change", "firings")}


def rare_less_third(m: Means) -> np.ndarray:
    """What the rarest third of features is worth per firing, less a third of what the most frequent
    third is."""
    per = m["change"] / m["firings"]
    return per[:, 0] - per[:, -1] / 3


def both_paths(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: what taking out does through all later blocks, and by the direct path alone."""
    return sums(arm, "change", "change_direct", "firings")


def direct_less_half(m: Means) -> np.ndarray:
    """What the direct path shows, less half of what all paths do, per firing."""
    return (m["change_direct"] - m["change"] / 2) / m["firings"]


def lower_limits(
    change: Float[np.ndarray, "*any document"], firings: Float[np.ndarray, "*any document"]
) -> Float[np.ndarray, "*any"]:
    """The lower 95 % limit of Σ change / Σ firings by Student's t over documents with a firing,
    from leaving each of them out."""
    has_firing = firings > 0
    n = has_firing.sum(-1)
    total, count = change.sum(-1, keepdims=True), firings.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        left_out = np.where(has_firing, (total - change) / (count - firings), np.nan)
        middle = np.nansum(left_out, -1, keepdims=True) / n[..., None]
        spread = np.nansum((left_out - middle) ** 2, -1) * (n - 1) / n
        return np.where(
            n > 1,
            (total / count)[..., 0]
            - scipy.special.stdtrit(np.maximum(n - 1, 1), 0.975) * np.sqrt(spread),
            np.nan,
        )


def surely_important(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, feature]: whether a feature's importance is above 0 by its own interval; NaN with
    fewer than 50 firings."""
    data = by(arm)[["change", "firings"]].sum("quarter").transpose("seed", "feature", "document")
    sure = lower_limits(data.change.values, data.firings.values) > 0
    enough = data.firings.sum("document") >= LEAST
    return enough.where(enough).copy(data=np.where(enough.values, sure, np.nan))


def kinds(arm: xr.Dataset, suffix: str = "") -> Float[np.ndarray, "seed feature"]:
    """The kind of every feature, as its place in KINDS, by what its strongest quarter of firings
    does; NaN with too few of them.

    Counted are firings that move the next token's loss by more than 0.1 nat: right where it is
    worse without the part, wrong where it is better. Rare and right: of the rarer half of features,
    0.8 of these or more are right. Often wrong: 0.4 or more are wrong."""
    data = by(arm)[[f"right{suffix}", f"wrong{suffix}"]].isel(quarter=STRONG).sum("document")
    right, wrong = (x.transpose("seed", "feature").values for x in data.values())
    n = right + wrong
    rare = np.arange(n.shape[1]) < n.shape[1] // 2
    kind_codes = np.where(rare & (right >= RIGHT * n), 0, np.where(wrong >= WRONG * n, 1, 2))
    return np.where(n < FEWEST, np.nan, kind_codes)


def of_kind(kind: int, suffix: str = "") -> Callable[[Arms], xr.DataArray]:
    """[seed, feature]: whether a feature is of this kind; of the first kind only the rarer half of
    features may be."""

    def value(arms: Arms) -> xr.DataArray:
        kind_codes = kinds(arms["main"], suffix)
        kind_codes = kind_codes[:, : kind_codes.shape[1] // 2] if kind == 0 else kind_codes
        data = np.where(np.isnan(kind_codes), np.nan, kind_codes == kind)
        return xr.DataArray(data, dims=("seed", "feature"), coords={"seed": by(arms["main"]).seed})

    return value


def pushed_back(kind: int) -> Callable[[Arms], dict[str, xr.DataArray]]:
    """Terms [seed]: along the directions of features of one kind, their own parts and those of the
    others that are on."""

    def value(arms: Arms) -> dict[str, xr.DataArray]:
        data, is_kind = by(arms["main"]), kinds(arms["main"]) == kind
        return {name: (data[name] * is_kind).sum("feature") for name in ("own", "others")}

    return value


def ranks(x: str, y: str, arm: str = "main") -> Callable[[Arms], dict[str, xr.DataArray]]:
    """Terms of a rank correlation over the features of each seed; "density" stands for itself, any
    other name for nats per firing."""

    def value(arms: Arms) -> dict[str, xr.DataArray]:
        data = by(arms[arm])
        firings = data.firings.sum(("document", "quarter"))
        per = {
            n: data.density if n == "density" else data[n].sum(("document", "quarter")) / firings
            for n in (x, y)
        }
        a, b = (
            v.copy(data=scipy.stats.rankdata(v.values, axis=1))
            for v in (v.transpose("seed", "feature") for v in per.values())
        )
        return products(a, b, over=("feature",))

    return value


def reconstructs(arm: xr.Dataset) -> Bool[np.ndarray, ""]:
    """Whether the dictionaries leave less than 0.4 of the variance unexplained."""
    return FVU({name: arm[name].sum("document").values for name in FRONTIER}).mean() < 0.4


CROSSED, HALF = ("seed", "document"), {"main": "half"}
GATES = (Gate("reconstructs", reconstructs),)
DISTURBED = "any disturbance as long, at the tokens where a feature fires, costs as much"
claim = partial(Claim, gates=GATES, half=HALF, published="new")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="The dictionary carries what the loss needs: at least half of the features have an "
        "importance above 0 beyond doubt",
        value=surely_important,
        units=("seed", "feature"),
        low=0.5,
        unit="share of features",
        must_fail=("random", "permuted", "frozen-decoder"),
        near={
            "random": DISTURBED,
            "frozen-decoder": "it is enough to learn when random directions are used",
        },
        also={
            "total": same_method("a density is above 0, so the sign is the same"),
            "late": same_method("it is the same parts"),
        },
        threshold_from=PLAN,
        source=SEED,
    ),
    claim(
        text="It is the direction: where features fire most strongly, losing their part costs at "
        "least 0.04 nat more than a random part as long",
        value=strong("change"),
        statistic=beyond_random,
        units=CROSSED,
        low=0.04,
        unit="nats per firing",
        must_fail=("weak", "permuted", "frozen-decoder"),
        credits="decoder",
        near={
            "weak": "it costs as much at any strength",
            "permuted": "it costs as much at any token of such a text",
        },
        threshold_from="pilot: seeds 90 and 91, .06 and .13; .01 and .03 for permuted",
        source=SEED,
    ),
    claim(
        text="Importance is not frequency: where they fire, the rarest third of features are worth "
        "at least a third of the most frequent",
        value=by_third,
        statistic=rare_less_third,
        units=CROSSED,
        low=0.0,
        unit="nats per firing, rarest less a third of most frequent",
        must_fail=("total",),
        near={"total": "importance over all tokens, which contains how often a feature fires"},
        also=dict.fromkeys(("weak", "late"), same_method("it is the same features")),
        threshold_from="plan: a third, as density differs thirtyfold",
        source=f"{SEED}; {ELHAGE}",
    ),
    claim(
        text="Most of it acts through later blocks: the direct path shows at most half of the "
        "importance",
        value=both_paths,
        statistic=direct_less_half,
        units=CROSSED,
        high=0.0,
        unit="nats per firing, direct less half of all",
        must_fail=("late",),
        near={"late": "the direct path misses as much where hardly anything is left to pass"},
        threshold_from="plan: half; set before any pilot",
        source="sae_vis, loss effect of a feature: the direct path",
    ),
    *(
        Estimate(
            text=f"Importance of {label}",
            value=lambda arms, name=name: importance(arms[name], arms),
            statistic=ratio("change", "firings"),
            units=CROSSED,
            unit="nats per firing",
            source=SEED,
        )
        for name, label in (
            ("main", "a feature, where it is active"),
            ("random", "a random direction as long at the same tokens"),
            ("permuted", "its part at other tokens"),
            ("frozen-decoder", "a feature of the frozen decoder"),
        )
    ),
    *(
        Estimate(
            text="Of firings of the strongest quarter that move the loss by more than 0.1 nat, "
            f"the share that is right: {label}",
            units=CROSSED,
            value=lambda arms, name=name: sums(arms[name], "right", "wrong", quarter=STRONG),
            unit="share of firings",
            source=SEED,
            statistic=lambda m: m["right"] / (m["right"] + m["wrong"]),
        )
        for name, label in (
            ("main", "its own part"),
            ("random", "a random direction as long"),
            ("weak", "its own part, in the weakest quarter"),
        )
    ),
    *(
        Estimate(
            text=f"Importance of the {label} third of features, {per}",
            value=lambda arms, name=name: by_third(arms[name], arms),
            statistic=lambda m, i=i: (m["change"] / m["firings"])[:, i],
            units=CROSSED,
            unit=unit,
        )
        for name, per, unit in (
            ("main", "where active", "nats per firing"),
            ("total", "over all tokens", "nats per token"),
        )
        for i, label in ((0, "rarest"), (2, "most frequent"))
    ),
    Estimate(
        text="Rank correlation of importance per firing with density",
        value=ranks("density", "change"),
        statistic=correlation,
        unit="Spearman's ρ",
    ),
    Estimate(
        text="Rank correlation of importance by the direct path with that by all paths",
        value=ranks("change_direct", "change"),
        statistic=correlation,
        unit="Spearman's ρ",
        natural=(-1, 1),
    ),
    Estimate(
        text="The same with parts taken out before the last block",
        value=ranks("change_direct", "change", "late"),
        statistic=correlation,
        unit="Spearman's ρ",
    ),
    *(
        Estimate(
            text=f"Share of {whose} that are {KINDS[kind]}{chance}",
            value=of_kind(kind, suffix),
            units=("seed", "feature"),
            unit="share of features",
            natural=(0, 1),
            source=SEED,
        )
        for kind, whose in ((0, "the rarer half"), (1, "features"))
        for suffix, chance in (("", ""), ("_random", ", by a random direction as long"))
    ),
    *(
        Estimate(
            text=f"Parts of other features along those that are {KINDS[kind]}, as a share of their "
            "own; below 0: they push back",
            value=pushed_back(kind),
            statistic=lambda m: m["others"] / m["own"],
            unit="share",
        )
        for kind in (0, 1)
    ),
    *(
        Estimate(
            text=f"FVU of {label}",
            value=lambda arms, name=name: dict(by(arms[name])[list(FRONTIER)].items()),
            statistic=FVU,
            units=CROSSED,
            unit="FVU",
        )
        for name, label in (
            ("main", "the dictionaries"),
            ("frozen-decoder", "those whose decoder stays random"),
        )
    ),
)
