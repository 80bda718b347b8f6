"""What lm-importance claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool

from assay.core import Arms, Claim, Estimate, Figure, Gate, Value, by, figure
from assay.core.claims import same_method
from assay.core.heavy import scipy, xr
from assay.core.stats import Means, correlation, products
from assay_catalogue.dictionaries.frontier import FRONTIER, FVU

SEED = (
    "C. McDougall, comment on the ARENA exercises: importance as the average amount by which a "
    "feature reduces cross-entropy"
)
ELHAGE = "Elhage et al. 2022, Toy Models of Superposition, importance"
STRONG, WEAK = -1, 0
"""The quarters of a feature's firings by strength that are measured."""
RIGHT, WRONG, FEWEST = 0.8, 0.4, 5
"""The rule of the two kinds: the least share of right and of wrong firings, and how many firings
have to be one or the other."""
KINDS = ("rare, right when strong", "often wrong", "neither")
LENGTHS = {"half": "half as long", "main": "in full"}
"""The arms that `both` puts side by side, in words."""


def by_length(arm: xr.Dataset) -> xr.Dataset:
    """Measures over seeds and lengths of training, of which an arm may have one."""
    return by(arm, "length") if "length" in arm.coords else by(arm).expand_dims("length")


def sums(arm: xr.Dataset, *names: str, quarter: int = STRONG) -> dict[str, xr.DataArray]:
    """Terms {name: [length, seed, document]}: sums over the drawn features, in one quarter of their
    firings."""
    data = by_length(arm)[list(names)].isel(quarter=quarter).sum("feature")
    return {str(name): x for name, x in data.items()}


def direction(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms at the strongest quarter of firings: what the feature's part changes, what a random
    direction as long does."""
    return sums(arm, "change", "change_random", "firings")


def beyond_random(m: Means) -> np.ndarray:
    """By how much the feature's part exceeds the random direction, per firing: the least of all
    lengths."""
    return ((m["change"] - m["change_random"]) / m["firings"]).min(1)


def by_third(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of each third of the drawn features by density, rarest first: what their parts change
    beyond the same parts at other tokens, and firings."""
    data = by_length(arm).isel(quarter=STRONG)
    data = data.assign(change=data.change - data.change_permuted)[["change", "firings"]]
    parts = np.array_split(np.arange(data.sizes["feature"]), 3)
    thirds = xr.concat([data.isel(feature=part).sum("feature") for part in parts], "third")
    return {str(name): x for name, x in thirds.items()}


def of_thirds(m: Means) -> np.ndarray:
    """[draw, length, third]: nats per firing."""
    return np.moveaxis(m["change"] / m["firings"], 1, -1)


def rare_less_third(m: Means) -> np.ndarray:
    """What the rarest third of features is worth per firing, less a third of what the most frequent
    third is: the least of all lengths."""
    per = of_thirds(m)
    return (per[..., 0] - per[..., -1] / 3).min(1)


def kinds(arm: xr.Dataset, suffix: str = "") -> xr.DataArray:
    """The kind of every feature [length, seed, feature], as its place in KINDS, by what its
    strongest firings do; NaN with too few of them.

    Counted are firings that move the next token's loss by more than 0.1 nat: right where it is
    worse without the part, wrong where it is better. Rare and right: of the rarer half of features,
    0.8 of these or more are right. Often wrong: 0.4 or more are wrong."""
    names = (f"right{suffix}", f"wrong{suffix}")
    data = by_length(arm)[list(names)].isel(quarter=STRONG).sum("document")
    right, wrong = (data[name].transpose("length", "seed", "feature") for name in names)
    n = right + wrong
    rare = xr.DataArray(np.arange(n.sizes["feature"]) < n.sizes["feature"] // 2, dims="feature")
    codes = xr.where(rare & (right >= RIGHT * n), 0, xr.where(wrong >= WRONG * n, 1, 2))
    return codes.where(n >= FEWEST).transpose(*n.dims)


def is_kind(arm: xr.Dataset, kind: int, suffix: str = "") -> xr.DataArray:
    """[seed, feature]: whether a feature is of this kind, those of each length one after the other;
    of the first kind only the rarer half of features may be."""
    codes = kinds(arm, suffix)
    codes = codes.isel(feature=slice(codes.sizes["feature"] // 2)) if kind == 0 else codes
    parts = [codes.isel(length=i, drop=True) for i in range(codes.sizes["length"])]
    return xr.concat([(p == kind).where(p.notnull()) for p in parts], "feature")


def beyond_chance(kind: int) -> Value:
    """A value [seed, feature]: 1 where a feature is of this kind, less 1 where a random direction
    as long at the same tokens is."""
    return lambda arm, arms: is_kind(arm, kind) - is_kind(arm, kind, "_random")


def pushed_back(kind: int) -> Callable[[Arms], dict[str, xr.DataArray]]:
    """Terms [length, seed]: along the directions of features of one kind, their own parts and those
    of the others that are on."""

    def value(arms: Arms) -> dict[str, xr.DataArray]:
        data, chosen = by_length(arms["both"]), kinds(arms["both"]) == kind
        return {name: (data[name] * chosen).sum(("feature", "length")) for name in TERMS}

    return value


TERMS = ("own", "others")


def ranks(arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of a rank correlation over the features of each seed: of nats per strong firing and
    density."""
    data = by(arms["main"]).isel(quarter=STRONG)
    per = data.change.sum("document") / data.firings.sum("document")
    a, b = (
        v.copy(data=scipy.stats.rankdata(v.values, axis=1))
        for v in (v.transpose("seed", "feature") for v in (data.density, per))
    )
    return products(a, b, over=("feature",))


def reconstructs(arm: xr.Dataset) -> Bool[np.ndarray, ""]:
    """Whether the dictionaries leave less than 0.4 of the variance unexplained."""
    return FVU({name: arm[name].sum("document").values for name in FRONTIER}).mean() < 0.4


CROSSED = ("seed", "document")
claim = partial(
    Claim,
    of="both",
    gates=(Gate("reconstructs", reconstructs),),
    published="new",
    also={name: same_method("one of the two lengths") for name in LENGTHS},
)
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="It is the direction: where features fire most strongly, losing their part costs at "
        "least 0.04 nat more than a random part as long, at each of two lengths of training",
        value=direction,
        statistic=beyond_random,
        units=CROSSED,
        low=0.04,
        unit="nats per firing",
        credits="decoder",
        near={
            "weak": "it costs as much at any strength",
            "permuted": "it costs as much at any token of such a text",
            "frozen-decoder": "it is enough to learn when random directions are used",
        },
        threshold_from="pilot: seeds 90 and 91, .06 and .13; .01 and .03 for permuted",
        source=SEED,
    ),
    claim(
        text="Importance is not frequency: where they fire most strongly, the rarest third of "
        "features are worth at least a third of the most frequent, beyond the same parts at other "
        "tokens, at each of two lengths of training",
        value=by_third,
        statistic=rare_less_third,
        units=CROSSED,
        low=0.0,
        unit="nats per firing, rarest less a third of most frequent",
        near={"total": "importance over all tokens, which contains how often a feature fires"},
        threshold_from="pilot: a third, as density differs thirtyfold; seeds 8100 to 8107 showed "
        "that what permuted parts cost has to be taken off",
        source=f"{SEED}; {ELHAGE}",
    ),
    *(
        claim(
            text=f"Features that are {KINDS[kind]} are more than chance: of {whose} at least a "
            "tenth more are than of random directions as long, over two lengths of training",
            value=beyond_chance(kind),
            units=("seed", "feature"),
            low=0.1,
            unit="share of features, less that of random directions",
            near={
                "permuted": "a feature's part is so at any tokens of such a text",
                "frozen-decoder": "it is enough to learn when random directions are used",
            },
            threshold_from="pilot: a tenth of features; seeds 8100 to 8107 gave 8 of 39 and 5 of "
            "36 (rare and right), 41 of 87 and 45 of 83 (often wrong)",
            source=SEED,
        )
        for kind, whose in ((0, "the rarer half"), (1, "all features"))
    ),
    *(
        Estimate(
            text=f"What losing {label} costs at a feature's strongest firings",
            value=lambda arms, arm=arm, name=name: {
                "change": sums(arms[arm], name)[name],
                "firings": sums(arms[arm], "firings")["firings"],
            },
            statistic=lambda m: (m["change"] / m["firings"])[:, -1],
            units=CROSSED,
            unit="nats per firing",
            source=SEED,
        )
        for arm, name, label in (
            ("main", "change", "its part"),
            ("half", "change", "its part, after half the training,"),
            ("main", "change_random", "a random direction as long"),
            ("main", "change_permuted", "its part at other tokens"),
            ("frozen-decoder", "change", "the part of a feature of the frozen decoder"),
        )
    ),
    *(
        Estimate(
            text=f"The same of the {label} third of features, beyond their parts at other tokens",
            value=lambda arms: by_third(arms["main"], arms),
            statistic=lambda m, i=i: of_thirds(m)[:, -1, i],
            units=CROSSED,
            unit="nats per firing",
        )
        for i, label in ((0, "rarest"), (2, "most frequent"))
    ),
    Estimate(
        text="Rank correlation of nats per strong firing with density",
        value=ranks,
        statistic=correlation,
        unit="Spearman's ρ",
        natural=(-1, 1),
    ),
    *(
        Estimate(
            text=f"Share of {whose} that are {KINDS[kind]}, {label}",
            value=lambda arms, arm=arm, kind=kind, suffix=suffix: is_kind(arms[arm], kind, suffix),
            units=("seed", "feature"),
            unit="share of features",
            natural=(0, 1),
            source=SEED,
        )
        for kind, whose in ((0, "the rarer half"), (1, "features"))
        for arm, suffix, label in (
            ("main", "", "trained in full"),
            ("main", "_random", "by a random direction as long"),
            ("half", "", "trained half as long"),
            ("half", "_random", "by a random direction as long, trained half as long"),
            ("frozen-decoder", "", "of the frozen decoder"),
        )
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
            ("half", "those trained half as long"),
            ("frozen-decoder", "those whose decoder stays random"),
        )
    ),
)


def figures(arms: Arms) -> list[Figure]:
    main = by(arms["main"]).transpose("seed", "feature", ...)
    strong = main.isel(quarter=STRONG).sum("document")
    per = (strong.change / strong.firings).values
    kind = kinds(arms["main"]).isel(length=0).values
    rows = [
        (
            float(main.density[cell]),
            float(per[cell]),
            KINDS[2 if np.isnan(kind[cell]) else int(kind[cell])],
        )
        for cell in np.ndindex(kind.shape)
    ]
    return [
        figure(
            "How much a feature matters where it fires, and how often it fires",
            "points",
            {"density": "x", "importance": "y", "kind": "color"},
            rows,
            x_log=True,
            x_title="share of tokens on which it fires",
            y_title="nats that a strong firing saves at the next token",
            rules=((0.0, ""),),
            note="Every drawn feature of every dictionary. Of rare ones there are few firings, and "
            "their points scatter most.",
        )
    ]
