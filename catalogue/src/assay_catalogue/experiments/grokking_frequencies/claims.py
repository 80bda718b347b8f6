"""What grokking-frequencies claims, and its picture: the statements, and how each value is computed
from measures."""

from __future__ import annotations

import math

import numpy as np

from assay.core import Arms, Claim, Estimate, Figure, Gate, Value, figure
from assay.core.claims import rival, same_method
from assay.core.errors import ClaimError
from assay.core.heavy import scipy, xr
from assay.core.measures import by
from assay.core.memo import once
from assay.core.stats import Means, correlation, products
from assay_catalogue.experiments.grokking_frequencies.method import VIEWS

SEED = (
    "Rohin Shah, comment on Daniel Filan's interview of Vikrant Varma: a hypothesis and a "
    "proposed test"
)
VARMA = "Varma et al. 2023, Explaining grokking through circuit efficiency, critical dataset size"
PILOT = "pilot: seeds 0–31, met once by fresh seeds 100–131"
THEORY = "pilot: seeds 0–31, 2.6 to 3.6; the range is about theory's 1/β = 1.54 with β = .65"
POINTS = np.log(np.geomspace(50, 10_000, 1_001))
"""Log sizes at which distributions are compared, half of one per cent apart."""
LAWS = {"size_used": "all amplitudes", "size_set": "the set's amplitudes"}
"""Over what ν is taken: squared norm over its Σ A^(2/3)."""


def auroc(view: str = "E") -> Value:
    """[run]: probability that a used frequency was stronger at the start than one that is not
    used."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        strong = arm.power.sel(view=view, drop=True)
        weak = strong.rename(frequency="other")
        pairs = arm.used * ~arm.used.rename(frequency="other")
        wins = ((strong > weak) + 0.5 * (strong == weak)) * pairs
        return mean_over_partners(
            wins.sum(("frequency", "other")) / pairs.sum(("frequency", "other"))
        )

    return value


def overlap(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: share of the m used frequencies among the m strongest at the start."""
    strong, m = arm.power.sel(view="E", drop=True), arm.used.sum("frequency")
    stronger = (strong.rename(frequency="other") > strong).sum("other")
    return mean_over_partners((arm.used & (stronger < m)).sum("frequency") / m)


def mean_over_partners(x: xr.DataArray) -> xr.DataArray:
    """The mean over partners, where there are any."""
    return x.mean("partner") if "partner" in x.dims else x


def match_seeds(arm: xr.Dataset, other: xr.Dataset, name: str) -> xr.DataArray:
    """[run …]: a measure of the other arm's runs of the same seeds."""
    values = by(other)[name].sel(seed=arm.seed.values)
    return values.rename(seed="run").drop_vars("run").assign_coords(seed=arm.seed)


def chosen(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: share of the imposed frequencies that the network uses."""
    return (arm.used & arm.imposed).sum("frequency") / arm.imposed.sum("frequency")


def more_chosen(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the same, less the share that main's network of this seed uses."""
    unforced = (match_seeds(arm, arms["main"], "used") * arm.imposed).sum(
        "frequency"
    ) / arm.imposed.sum("frequency")
    return chosen(arm, arms) - unforced


def more_outsiders(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: amplitude of frequencies that are not imposed, over the largest, more than in the
    network with the good set."""
    return arm.outsiders - match_seeds(arm, arms["free-good"], "outsiders")


def paid(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Products of the log J that imposed sets would cost with the one that networks pay."""
    return products(arm.log_imposed, arm.log_paid)


def size_of(arm: xr.Dataset) -> xr.DataArray:
    """[run]: log of the size at which a network forgets, the mean over parts of its pairs."""
    return arm.log_size.mean("part", skipna=False)


def below(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms [run, point]: the share of log sizes below each of POINTS, actual ones and predicted
    ones."""
    return shares_below(arm)


@once
def shares_below(arm: xr.Dataset) -> dict[str, xr.DataArray]:
    """Shares below each of POINTS in one arm, [run, point].

    An actual size is the mean over two parts of a network's pairs. What the order of pairs leaves
    in such a mean is as large as half of the difference between its two sizes, so predictions are
    moved by that, up and down."""
    if arm.sizes["part"] < 2:
        raise ClaimError("telling networks from the order of their pairs takes two parts of them")
    half = (arm.log_size.isel(part=0) - arm.log_size.isel(part=1)) / 2
    predicted = xr.concat([arm.log_predicted + half, arm.log_predicted - half], "way")
    points = xr.DataArray(POINTS, dims="point")
    shares = {
        name: (x < points).where(x.notnull())
        for name, x in (("actual", size_of(arm)), ("predicted", predicted))
    }
    return {
        name: x.mean([d for d in ("way", "draw", "partner") if d in x.dims])
        for name, x in shares.items()
    }


def mean_difference(share: np.ndarray) -> np.ndarray:
    """Mean absolute difference between two log sizes, from the share below each point: 2 ∫ F (1 −
    F); NaN for a single size."""
    difference = 2 * (share * (1 - share)).sum(-1) * (POINTS[1] - POINTS[0])
    return np.where(difference > 0, difference, np.nan)


def wider(m: Means) -> np.ndarray:
    """Log of the mean difference between two actual log sizes, over that between two predicted
    ones."""
    return np.log(mean_difference(m["actual"]) / mean_difference(m["predicted"]))


def rise(m: Means) -> np.ndarray:
    """The least-squares slope of y on x; NaN where the variance of x is rounding, as for a unit by
    itself."""
    variance = m["xx"] - m["x"] ** 2
    return (m["xy"] - m["x"] * m["y"]) / np.where(variance > 1e-9 * m["xx"], variance, np.nan)


def ranked(x: xr.DataArray) -> xr.DataArray:
    """Ranks over runs; numbers that agree to 4 decimals tie."""
    return x.copy(
        data=scipy.stats.rankdata(
            np.round(x.values, 4), axis=x.get_axis_num("run"), nan_policy="omit"
        )
    )


def ranks(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Products of the ranks of predicted and actual sizes."""
    return products(ranked(arm.log_predicted), ranked(size_of(arm)), over=["partner", "draw"])


def logs(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Products of predicted and actual log sizes."""
    return products(arm.log_predicted, size_of(arm), over=["partner", "draw"])


def log_cost_against_size(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Products of a network's own log J with the log of the size at which it forgets."""
    return products(np.log(arm.objective), size_of(arm), over=["partner"])


def off_by(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms [run]: log of the actual over the predicted size, with ν of main over all amplitudes
    and over those of the set."""
    return dict(zip(("all", "set"), arm.off, strict=True))


def furthest(m: Means) -> np.ndarray:
    """The larger of two distances from 0."""
    return np.maximum(np.abs(m["all"]), np.abs(m["set"]))


def distance(m: Means) -> np.ndarray:
    """Largest difference of two distribution functions (Kolmogorov and Smirnov)."""
    return np.abs(m["actual"] - m["predicted"]).max(-1)


GENERAL = Gate("generalises", lambda arm: arm.train.min() >= 0.99 and arm.test.mean() >= 0.95)
STARTED = Gate("start", lambda arm: arm.start.min() >= 0.85)
NEW = {"published": "new", "source": SEED}
SPREADS = ("by-number", "by-{main.count:w}s", "by-order")
PROPOSED = (
    "pilot: seeds 2000–2063, ratio of standard deviations .91 with the order of pairs in it; mean "
    "differences since seeds 0–63, .94"
)
WHOSE = rival("a distribution does not say whose size is whose: these are the same numbers")
OWN_SETS = rival(
    "these predictions are of the interference of own sets too, without starving any frequency"
)
KEPT = dict.fromkeys(
    ("confined", "confined-half"),
    same_method("sets are random there and cannot be left, which lets interference show more"),
)
OWN = dict.fromkeys(
    ("natural", "natural-half"),
    same_method("these predictions are of the interference of own sets too"),
)
MARGIN = {"confined-margin": rival("the margin is interference too, without amplitudes and norm")}
DOUBLED_TOO = dict.fromkeys(
    ("free-good", "free-bad", "free-same"), same_method("these sets were doubled as well")
)
AGREE = math.nan
"""The value where theory says nothing, for claims that it agrees: there is no one number."""
CLAIMS = (
    Claim(
        "(b), the test as it was proposed: log sizes differ between networks as much as "
        "sampled sets predict, within a factor of 1.5",
        of="sampled",
        value=below,
        statistic=wider,
        low=-0.405,
        high=0.405,
        empty=AGREE,
        unit="log ratio of mean differences",
        must_fail=SPREADS,
        near={"by-number": "sizes differ by how many frequencies there are, whichever they are"},
        also={**OWN, "even": OWN_SETS, "others": WHOSE},
        gates=(STARTED,),
        half={"sampled": "sampled-half"},
        threshold_from=PROPOSED,
        **NEW,
    ),
    Claim(
        "(b) network by network, as they come: rank correlation of predicted and actual size "
        "at least 0.5",
        of="natural",
        value=ranks,
        statistic=correlation,
        low=0.5,
        unit="rank correlation",
        must_fail=("others", "by-number"),
        near={"by-number": "sizes follow how many frequencies there are, whichever they are"},
        must_hold=("planted",),
        also={"even": OWN_SETS, **KEPT, **MARGIN},
        gates=(STARTED,),
        half={"natural": "natural-half"},
        threshold_from=PILOT,
        **NEW,
    ),
    Claim(
        "(b) where there is no choice: rank correlation of predicted and actual size at least 0.5",
        of="confined",
        value=ranks,
        statistic=correlation,
        low=0.5,
        unit="rank correlation",
        must_fail=("confined-others", "confined-strength"),
        near={
            "confined-strength": (
                "sets that were weak at the start are harder to implement, whatever their "
                "interference"
            )
        },
        also={**OWN, "even": OWN_SETS, **MARGIN},
        gates=(STARTED,),
        half={"confined": "confined-half"},
        threshold_from=PILOT,
        **NEW,
    ),
    Claim(
        "The theory puts confined networks where they are, whichever ν is taken: log of "
        "actual over predicted size within 0.15 by both",
        of="confined",
        value=off_by,
        statistic=furthest,
        high=0.15,
        empty=AGREE,
        distance=True,
        unit="log ratio of sizes",
        near={"shuffled": "any order of the memorisers' costs gives a location"},
        also=dict.fromkeys(
            ("natural", "natural-half"), same_method("the same theory, of networks as they come")
        ),
        gates=(STARTED,),
        half={"confined": "confined-half"},
        threshold_from=PILOT,
        published="new",
        source=VARMA,
    ),
    Claim(
        "Networks as they come forget with the power of the theory: sizes go as their own J "
        "to the 1/β of about 1.5, slope between 1.1 and 2.0",
        of="natural",
        value=log_cost_against_size,
        statistic=rise,
        low=1.1,
        high=2.0,
        unit="log size per log J",
        must_fail=("others", "even"),
        near={"even": "what their sets cost decides, not what networks make of them"},
        also=KEPT,
        gates=(STARTED,),
        half={"natural": "natural-half"},
        threshold_from=THEORY,
        published="new",
        source=VARMA,
    ),
    Claim(
        "(a) Frequencies that are strong at the start are used: mean AUROC of their power at "
        "least 0.57",
        value=auroc(),
        low=0.57,
        empty=0.5,
        unit="AUROC",
        near={"others-start": "some frequencies are strong in all starts"},
        gates=(GENERAL,),
        threshold_from=PILOT,
        **NEW,
    ),
    Claim(
        "(a), as it was said: the m that are used are the m strongest at the start, to at "
        "least 0.6",
        value=overlap,
        low=0.6,
        unit="share of used frequencies",
        near={"others-start": "some frequencies are strong in all starts"},
        gates=(GENERAL,),
        threshold_from="pilot: first trials on 20 seeds, .35; seeds 0–31, .40: expected to fail",
        **NEW,
    ),
    Claim(
        "(a) as a cause: doubling {main.count:w} frequencies at the start raises the share of "
        "them that is used by at least 0.25",
        of="doubled",
        value=more_chosen,
        low=0.25,
        bounds=(-1, 1),
        unit="share of the {main.count:w}",
        near={"turned": "any change of {main.count:w} frequencies draws a network to them"},
        also={**DOUBLED_TOO, "random": rival("confined networks have no others")},
        gates=(GENERAL,),
        threshold_from="pilot: first trials on 6 seeds, .43; seeds 0–31, .66",
        **NEW,
    ),
    Claim(
        "Bad sets are left: frequencies outside a doubled bad set have at least 0.5 of the "
        "largest amplitude more than outside a good one",
        of="free-bad",
        value=more_outsiders,
        low=0.5,
        unit="largest amplitudes",
        near={"free-same": "some sets are left for other reasons than their interference"},
        also={
            "doubled": same_method(
                "{main.count:w} at random interfere more than the best of 24 sets"
            )
        },
        gates=(GENERAL,),
        threshold_from=PILOT + ", where frequencies above half of the largest were counted",
        **NEW,
    ),
    *(
        Estimate(
            f"(a) AUROC of the strength at the start read from {view} instead of E",
            unit="AUROC",
            value=lambda arms, view=view: auroc(view)(arms["main"], arms),
        )
        for view in VIEWS[1:]
    ),
    *(
        Estimate(
            f"(b) Rank correlation of predicted and actual size, {what}",
            unit="rank correlation",
            value=lambda arms, name=name: ranks(arms[name], arms),
            statistic=correlation,
        )
        for name, what in (
            ("even", "as they come, predicted by circuits with one amplitude"),
            ("confined-margin", "confined, predicted by the margin"),
        )
    ),
    Estimate(
        "(b) Mean difference between two log sizes, actual over predicted by own sets",
        unit="log ratio of mean differences",
        value=lambda arms: below(arms["natural"], arms),
        statistic=wider,
    ),
    *(
        Estimate(
            f"Correlation of log J with the log size at which networks as they come forget, {what}",
            unit="correlation",
            value=lambda arms, name=name: log_cost_against_size(arms[name], arms),
            statistic=correlation,
        )
        for name, what in (
            ("natural", "their own J"),
            ("even", "J of circuits with one amplitude"),
            ("others", "other networks' J"),
        )
    ),
    *(
        Estimate(
            "What an imposed set costs: slope of log J that networks pay on that of the set, "
            f"{what}",
            unit="log J per predicted log J",
            value=lambda arms, name=name: paid(arms[name], arms),
            statistic=rise,
        )
        for name, what in (
            ("pushed", "free networks with a doubled set"),
            ("kept", "networks confined to theirs"),
        )
    ),
    Estimate(
        "(b) Slope of actual on predicted log sizes where there is no choice",
        unit="log size per predicted log size",
        value=lambda arms: logs(arms["confined"], arms),
        statistic=rise,
    ),
    Estimate(
        "(a) Of {main.count:w} frequencies halved at the start, those that are used",
        unit="share of the {main.count:w}",
        value=lambda arms: chosen(arms["halved"], arms),
    ),
    Estimate(
        "Frequencies that a network uses",
        value=lambda arms: arms["main"].used.sum("frequency"),
        unit="frequencies",
    ),
    Estimate(
        "Random sets of as many frequencies that would cost more than the chosen one",
        unit="share of sets",
        value=lambda arms: (arms["main"].drawn > arms["main"].circuit).mean("draw"),
    ),
    *(
        Estimate(
            f"Mean difference between the log sizes of two networks, {what}",
            unit="log size",
            value=lambda arms, name=name: below(arms[name], arms),
            statistic=lambda m, side=side: mean_difference(m[side]),
        )
        for name, side, what in (
            ("natural", "actual", "actual"),
            ("sampled", "predicted", "as sampled sets predict"),
            ("natural", "predicted", "as own sets predict"),
            ("even", "predicted", "as own sets at one amplitude predict"),
            ("by-number", "predicted", "as numbers of frequencies predict"),
            ("by-order", "predicted", "were the order of pairs all that differs"),
        )
    ),
    *(
        Estimate(
            "Largest difference between the distributions of log sizes, actual and predicted "
            f"by {what}",
            value=lambda arms, name=name: below(arms[name], arms),
            statistic=distance,
            unit="probability",
        )
        for name, what in (("sampled", "sampled sets"), ("natural", "own sets"))
    ),
    *(
        Estimate(
            f"Location: log of actual over predicted size, {name} networks, ν over {over}",
            unit="log ratio of sizes",
            value=lambda arms, name=name, i=i: arms[name].off.isel(law=i),
        )
        for name in ("natural", "confined")
        for i, over in enumerate(LAWS.values())
    ),
)


def shares(arms: Arms) -> list[tuple]:
    """Rows: share of networks, or of sampled sets, below a size."""
    rows: list[tuple] = []
    log_sizes = {
        "actual, first pairs": arms["natural"].log_size.isel(part=0),
        "actual, other pairs": arms["natural"].log_size.isel(part=1),
        "predicted by own sets": arms["natural"].log_predicted,
        "predicted by sampled sets": arms["sampled"].log_predicted,
    }
    for which, logs_of in log_sizes.items():
        known = np.sort(np.exp(logs_of.values.ravel()))
        known = known[~np.isnan(known)]
        rows += [(size, (i + 0.5) / len(known), which) for i, size in enumerate(known.tolist())]
    return rows


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Distributions of critical sizes: actual, predicted by sampled sets, predicted by "
            "own sets",
            "line",
            {"size": "x", "share": "y", "which": "color"},
            shares(arms),
            x_title="training pairs",
            y_title="share below",
            note=(
                "Actual sizes are those at which networks as they come forget, each on two parts "
                "of its pairs."
            ),
        )
    ]
