"""What grokking-efficiency claims, and its picture: the statements, and how each value is computed
from measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from assay.core import (
    Arms,
    Claim,
    Estimate,
    Exact,
    Figure,
    Gate,
    Published,
    Value,
    by_level,
    figure,
    summary,
)
from assay.core.claims import rival, same_method
from assay.core.errors import ClaimError
from assay.core.heavy import xr
from assay.core.measures import by
from assay.core.memo import once
from assay.core.stats import Means
from assay_catalogue.experiments.grokking_efficiency.method import PAIRS
from assay_catalogue.worlds.modular import critical_size, two_circuits
from assay_catalogue.worlds.modular.critical_size import PowerLaw

PAPER = "Varma et al. 2023, Explaining grokking through circuit efficiency"
SEED = (
    "Rohin Shah, comment on explanations by slowness: why would it impact the generalising "
    "circuit more?"
)
PILOT = "pilot: seeds 0–11"
TRANSFORMER = "one-layer transformer, p = 113, AdamW; D counts ordered pairs, of 12,769"
APART = 20
"""The least difference between sizes of an arm, in the default preset."""


def per_seed(values: np.ndarray, data: xr.Dataset) -> xr.DataArray:
    return xr.DataArray(values, dims="seed", coords={"seed": data.seed.values})


@once
def law(arm: xr.Dataset) -> tuple[PowerLaw, xr.Dataset]:
    """J = α D^β of each seed's networks in an arm, and its seeds."""
    data = by(arm, "pairs")
    return critical_size.power_law(data.pairs.values, data.cost.values), data


def steepness(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: slope of log J in log D, of networks from scratch. Raises: ClaimError for networks
    that go on."""
    if arm.attrs["continued"]:
        raise ClaimError("networks that go on")
    fitted, data = law(arm)
    return per_seed(fitted.beta, data)


@once
def middle(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: the size at which accuracy on unseen pairs crosses a half; networks that go on forget
    smoothly, others need a fit."""
    data = by(arm, "pairs")
    find = critical_size.crossing if arm.attrs["continued"] else critical_size.logistic_middle
    return per_seed(find(data.pairs.values, data.test.values), data)


def select_pairs(arm: xr.Dataset, arms: Arms, pairs: int) -> xr.Dataset:
    """The measures [seed] of an arm's runs on this many pairs (of a preset with 800), or the mean
    over 10 more and 10 fewer.

    Raises: ClaimError where it has none: what is said of this size is then said of others.
    """
    data = by(arm, "pairs")
    size = data.pairs.values / arms["main"].pairs.values[0] * PAIRS
    near = np.abs(size - pairs) < APART
    if not near.any() or abs(size[near].mean() - pairs) > APART / 2 - 1:
        raise ClaimError(f"no networks on about {pairs} pairs")
    return data.drop_dims("step", errors="ignore").isel(pairs=near).mean("pairs")


def retained_share(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: share that is left on 200 pairs of the accuracy on unseen pairs from which networks
    go on."""
    data = select_pairs(arm, arms, 200)
    return data.test / data.start_test


def accuracy(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: accuracy on unseen pairs at 450 pairs."""
    return select_pairs(arm, arms, 450).test


def gained_late(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: accuracy on unseen pairs at an arm's smallest training set; 0 where half of it was
    there by five fit times."""
    data = by(arm, "pairs").isel(pairs=0, drop=True)
    return data.test.where(data.late > data.test / 2, 0.0)


def more_than_ungrok(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: accuracy at 350 pairs less that of `ungrok`, for arms with another weight decay."""
    if np.isin(arm.decay.values, arms["ungrok"].decay.values).any():
        raise ClaimError("the weight decay is that of ungrok")
    return select_pairs(arm, arms, 350).test - select_pairs(arms["ungrok"], arms, 350).test


def hysteresis(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the size at which the arm crosses a half, less that at which `ungrok` does."""
    return middle(arm) - middle(arms["ungrok"])


LAWS = {"all": "best_cost", "set": "best_cost_set", "own": "cost"}
"""Over which frequencies ν is taken for the cost of main's networks; "own": the J that they
have."""


def off_prediction(crossed: str, *laws: str) -> Value:
    """A value, terms [seed]: log of the size at which an arm crosses a half, over D_crit by an arm
    of memorisers and main's costs."""

    def value(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
        fitted, data = law(arm)
        main = by(arms["main"]).sel(seed=data.seed.values)
        # a DataArray, as its argument
        half: xr.DataArray = np.log(middle(arms[crossed]))  # type: ignore[assignment]
        return {
            name: half - per_seed(fitted.log_size(main[LAWS[name]].values), data) for name in laws
        }

    return value


def furthest(m: Means) -> np.ndarray:
    """The larger of two distances from 0."""
    return np.maximum(np.abs(m["all"]), np.abs(m["set"]))


def patience(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: steps from fitting the training set to grokking, over the steps to the fit."""
    data = by(arm)
    return (data.grok - data.fit) / data.fit


def longer_patience(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: log of an arm's delay ÷ fit time over main's, where both were looked at closely."""
    if not arm.attrs["closely"]:
        raise ClaimError("too few looks for times of fit")
    # a DataArray, as its argument
    return np.log(patience(arm) / patience(arms["main"]))  # type: ignore[return-value]


BASE = two_circuits.Circuits()
LONG = 40_000


def courses(*circuits: two_circuits.Circuits) -> list[two_circuits.Course]:
    return [two_circuits.simulate(c, LONG) for c in circuits]


def groks(arms: Arms) -> list[float]:
    """[as it is, both learned fast, memory more efficient, no weight decay]: 1 where the simulation
    groks."""
    return [float(course.groks) for course in courses(*two_circuits.variants(BASE).values())]


def simulated_delays(*circuits: two_circuits.Circuits) -> Callable[[Arms], list[float]]:
    """(overtake − fit)/fit of each."""
    return lambda arms: [course.delay for course in courses(*circuits)]


def simulated_end(arms: Arms) -> list[float]:
    """o_G and cross-entropy where the simulation ends."""
    [course] = courses(BASE)
    return [course.generalising[-1], course.loss[-1]]


def one_slow(by: float) -> two_circuits.Circuits:
    """The base with the generalising circuit alone slowed."""
    return two_circuits.Circuits(rate_g=by * BASE.rate_g)


EXACT = (
    Exact(
        "The simulation groks as it is, and no more with one thing changed: both learned "
        "fast, memory more efficient, no decay",
        value=groks,
        expected=[1.0, 0.0, 0.0, 0.0],
        tolerance=0.0,
        unit="1 where it groks",
        source=PAPER + ", section 3",
    ),
    Exact(
        "It fits at time 22.4 and generalises at 848.8",
        value=lambda arms: [courses(BASE)[0].fit, courses(BASE)[0].overtake],
        expected=[22.4, 848.8],
        tolerance=0.21,
        unit="step × learning rate",
        source="integrated apart from this code",
    ),
    Exact(
        "It ends at its analytic optimum, o* = log((q − 1)(1 − r)/r) with r = λ/κ_G, where "
        "only the efficient circuit is left: o_G and loss",
        value=simulated_end,
        expected=[9.313619, 0.010050],
        tolerance=1e-5,
        unit="nats",
        source="theory: first-order conditions",
    ),
    Exact(
        "Slowing both circuits changes only the clock: delay ÷ fit time at rates × 1, ½, ¼",
        value=simulated_delays(BASE, BASE.slowed(0.5), BASE.slowed(0.25)),
        expected=[36.9, 36.9, 36.9],
        tolerance=0.1,
        unit="fit times",
        source="theory: gradient flow rescales time",
    ),
    Exact(
        "Slowing one does not: delay ÷ fit time with the generalising circuit alone at × ½, ¼",
        value=simulated_delays(one_slow(0.5), one_slow(0.25)),
        expected=[83.3, 176.0],
        tolerance=0.2,
        unit="fit times",
        source="integrated apart from this code",
    ),
)
FITTED = Gate("fitted", lambda arm: (arm.train >= 0.99).all())
GROKKED = Gate("grokked before", lambda arm: (arm.start_test >= 0.95).all())
FORGOTTEN = {"ungrok": "ungrok-half"}
OTHER_DECAY = same_method("another weight decay, and the paper says so of all")
DEPENDS = "no-decay", "wandering"
"""Arms in which what is forgotten does depend on weight decay: they have none."""
SMALL = ("mixed-decay",)
"""A planted dependence that is hardly larger than the margin."""
ANY_ORDER = {"shuffled": "any order of the memorisers' costs gives a place where costs cross"}
claim = partial(Claim, gates=(FITTED,), published="new", source=PAPER + ", section 5")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        "Memorising loses efficiency: over {memorise.pairs[0]} to {memorise.pairs[-1]} random "
        "labels log J rises by at least 0.5 per log D",
        of="memorise",
        value=steepness,
        low=0.5,
        unit="log J per log D",
        must_fail=("generalise", "shuffled"),
        near={"generalise": "larger training sets cost more whatever is learned"},
        half={"memorise": "memorise-half"},
        threshold_from=PILOT + ", slope .650",
    ),
    claim(
        "Generalising does not: over {main.pairs} to {generalise.pairs[-1]} pairs log J "
        "changes by at most 0.1 per log D",
        of="generalise",
        value=steepness,
        low=-0.1,
        high=0.1,
        unit="log J per log D",
        must_fail=("memorise", "shuffled"),
        violations=("memorise",),
        near={"shuffled": "costs in little order have hardly a slope, whatever they are of"},
        also={
            "scratch": rival("networks that generalise in part pay as those that do"),
            "scratch-half": rival("the same half-way"),
        },
        half={"generalise": "generalise-half"},
        threshold_from=PILOT + ", slope .051",
    ),
    claim(
        "Ungrokking: on {ungrok.pairs[0]} of its pairs a grokked network keeps at most 0.08 "
        "of its accuracy on the others",
        of="ungrok",
        value=retained_share,
        high=0.08,
        empty=1.0,  # were nothing forgotten
        unit="share of the accuracy before",
        must_fail=("no-decay", "wandering"),
        near={
            "wandering": (
                "going on with few pairs makes networks forget, with weight decay or without"
            )
        },
        gates=(FITTED, GROKKED),
        half=FORGOTTEN,
        threshold_from=PILOT + ", .009 of an accuracy of .98 or more",
    ),
    claim(
        "On {ungrok.pairs[-1]} of its pairs it has an accuracy of at least 0.6",
        of="ungrok",
        value=accuracy,
        low=0.6,
        unit="share of unseen pairs",
        near={
            "scratch-half": "so many pairs teach as much to anybody, in half as many steps again"
        },
        gates=(FITTED, GROKKED),
        also={"others-ungrok": same_method("networks that grokked and go on, too")},
        half=FORGOTTEN,
        threshold_from=PILOT + ", .791",
        published=Published(
            0.7, PAPER, at="appendix A.2", note="at D′ of 800 to 1,000; " + TRANSFORMER
        ),
    ),
    claim(
        "How much is forgotten does not depend on weight decay: at w = {strong-decay.decay} "
        "accuracy on {strong-decay.pairs} pairs is within 0.1 of that at {ungrok.decay}",
        of="strong-decay",
        value=more_than_ungrok,
        low=-0.1,
        high=0.1,
        unit="difference of accuracies",
        must_fail=DEPENDS,
        violations=SMALL,
        near={"wandering": "any weight decay, and none, leaves as much"},
        also=dict.fromkeys(("weak-decay", "weak-decay-half"), OTHER_DECAY),
        gates=(FITTED, GROKKED),
        half=FORGOTTEN | {"strong-decay": "strong-decay-half"},
        threshold_from=PILOT + ", −.033",
    ),
    claim(
        "Nor at w = {weak-decay.decay}: accuracy on {weak-decay.pairs} pairs within 0.1 of "
        "that at {ungrok.decay}",
        of="weak-decay",
        value=more_than_ungrok,
        low=-0.1,
        high=0.1,
        unit="difference of accuracies",
        must_fail=DEPENDS,
        violations=SMALL,
        near={"wandering": "any weight decay, and none, leaves as much"},
        also=dict.fromkeys(("strong-decay", "strong-decay-half"), OTHER_DECAY),
        gates=(FITTED, GROKKED),
        half=FORGOTTEN | {"weak-decay": "weak-decay-half"},
        threshold_from=PILOT + ", .020",
    ),
    claim(
        "Semi-grokking: from scratch on {scratch.pairs[3]} pairs networks end with an accuracy of "
        "0.3 to 0.9, most of it gained later than five fit times",
        of="at-{scratch.pairs[3]:d}",
        value=gained_late,
        low=0.3,
        high=0.9,
        unit="share of unseen pairs",
        must_fail=("at-{scratch.pairs[0]:d}", "main"),
        near={"at-{scratch.pairs[0]:d}": "networks gain some accuracy late on any number of pairs"},
        half={"at-{scratch.pairs[3]:d}": "at-{scratch.pairs[3]:d}-half"},
        threshold_from=PILOT + ", .67",
        published=Published(
            0.7, PAPER, at="section 5.3", note="at D of about 2,000; " + TRANSFORMER
        ),
        source=PAPER + ", section 5.3",
    ),
    claim(
        "Hysteresis: from scratch it takes at least 30 pairs more to reach an accuracy of a "
        "half than to keep it",
        of="scratch",
        value=hysteresis,
        low=30,
        unit="pairs",
        near={"others-ungrok": "two families of networks differ in such a size"},
        half=FORGOTTEN | {"scratch": "scratch-half"},
        threshold_from=PILOT + ", 82",
        source=PAPER + ", appendix A.2",
    ),
    claim(
        "Theory says where networks forget, whichever ν is taken: the size that keeps half is "
        "within 0.1 (log) of where memorising costs as much as their cheapest circuits, with ν "
        "over all frequencies and over those of the set",
        of="memorise",
        value=off_prediction("ungrok", "all", "set"),
        statistic=furthest,
        high=0.1,
        empty=math.nan,  # a theory that says nothing is off by no one number
        unit="log of a ratio of sizes",
        near=ANY_ORDER,
        half=FORGOTTEN | {"memorise": "memorise-half"},
        threshold_from=PILOT + ", −.017 for the first ν",
        source=PAPER + ", section 4",
    ),
    claim(
        "Theory says where networks grok from scratch, whichever ν is taken: the size that "
        "reaches half is within 0.1 (log) of the same",
        of="memorise",
        value=off_prediction("scratch", "all", "set"),
        statistic=furthest,
        high=0.1,
        empty=math.nan,  # a theory that says nothing is off by no one number
        unit="log of a ratio of sizes",
        near=ANY_ORDER,
        half={"scratch": "scratch-half", "memorise": "memorise-half"},
        threshold_from=PILOT + ", .192 for the first ν: expected to fail",
        source=PAPER + ", section 4",
    ),
    claim(
        "Adam's steps are no gradient flow, and still slowness favours neither circuit: with all "
        "of Adam at half the speed delay ÷ fit time changes by at most 0.1 (log)",
        of="both-slow",
        value=longer_patience,
        low=-0.1,
        high=0.1,
        unit="log of a ratio",
        violations=("rate-little",),
        near={"rate-only": "whatever slows training leaves the ratio"},
        also={"both-fast": same_method("all of Adam alike, too")},
        threshold_from=PILOT + ", .029",
        source=SEED,
    ),
    claim(
        "The comment's guess, that usually both are learned too fast to tell apart: with all of "
        "Adam at twice the speed the delay lasts at most half as many fit times",
        of="both-fast",
        value=longer_patience,
        high=-0.69,
        unit="log of a ratio",
        must_fail=("rate-only", "both-slow"),
        near={"rate-only": "any change of speed shortens the delay"},
        threshold_from=(
            "pilot: seeds 0–11, .08; a half is the plan's, for four times the speed, at which no "
            "network groks"
        ),
        source=SEED,
    ),
)


def predicted(arms: Arms, cost: str) -> xr.DataArray:
    """[seed]: D_crit, where memorising costs what main's networks cost."""
    fitted, data = law(arms["memorise"])
    return per_seed(
        np.exp(fitted.log_size(by(arms["main"])[cost].sel(seed=data.seed.values).values)), data
    )


NAMED = {
    "all": "the cheapest circuits, ν over all frequencies",
    "set": "the cheapest circuits, ν over those of the set",
    "own": "the J that networks have",
}
FINDINGS = (
    *(
        Estimate(
            f"D_crit, from {NAMED[law]}",
            value=lambda arms, cost=cost: predicted(arms, cost),
            unit="pairs",
        )
        for law, cost in LAWS.items()
    ),
    Estimate(
        "U50, at which accuracy after ungrokking is a half",
        value=lambda arms: middle(arms["ungrok"]),
        unit="pairs",
    ),
    Estimate(
        "D50, at which accuracy from scratch is a half",
        value=lambda arms: middle(arms["scratch"]),
        unit="pairs",
    ),
    Estimate(
        "By how much D50 falls in the second half of training: longer runs would find it lower",
        value=lambda arms: middle(arms["scratch-half"]) - middle(arms["scratch"]),
        unit="pairs",
    ),
    *(
        Estimate(
            f"log {size}/D_crit, from {NAMED[law]}",
            unit="log of a ratio of sizes",
            value=lambda arms, arm=arm, law=law: off_prediction(arm, law)(arms["memorise"], arms)[
                law
            ],
        )
        for size, arm in (("U50", "ungrok"), ("D50", "scratch"))
        for law in LAWS
    ),
    *(
        Estimate(
            f"ν, squared norm over Σ A^(2/3) of {what}, at {{main.pairs}} pairs",
            value=lambda arms, name=name: arms["main"][name],
            unit="squared norm",
        )
        for name, what in (("nu", "all frequencies"), ("nu_set", "those of the set"))
    ),
    Estimate(
        "Accuracy at {main.pairs} pairs",
        value=lambda arms: arms["main"].test,
        unit="share of unseen pairs",
        natural=(0, 1),
    ),
    Estimate(
        "Delay ÷ fit time at {main.pairs} pairs",
        value=lambda arms: patience(arms["main"]),
        unit="fit times",
    ),
    Estimate(
        "Delay ÷ fit time at {generalise.pairs[-1]} pairs, where training is usual and nobody "
        "would speak of grokking",
        value=lambda arms: (lambda data: (data.grok - data.fit) / data.fit)(
            select_pairs(arms["generalise"], arms, 1400)
        ),
        unit="fit times",
    ),
    Estimate(
        "Squared norm at the end of the control without weight decay, over that at its start",
        value=lambda arms: arms["no-decay"].growth,
        unit="ratio",
    ),
)


def efficiency(arms: Arms) -> list[tuple]:
    """Rows of J along sizes: measured, the memorisers' law, the best amplitudes as a level; U50
    upright."""
    rows = [
        (size, summary(values), label)
        for arm, label in (("memorise", "random labels"), ("generalise", "sums, grokked"))
        for size, values in by_level(by(arms[arm], "pairs").cost, "pairs")
    ]
    fitted, data = law(arms["memorise"])
    sizes = np.unique(np.concatenate([data.pairs.values, arms["generalise"].pairs.values]))
    best = summary(arms["main"].best_cost.values)
    for size in sizes.tolist():
        rows += [
            (size, summary(fitted.at(size)), "law of random labels"),
            (size, best, "sums, best amplitudes"),
        ]
    foot = min(row[1][0] for row in rows)
    forgets = summary(middle(arms["ungrok"]).values)[0]
    return rows + [(forgets, (height,) * 3, "← U50, measured") for height in (foot, best[0])]


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Networks forget near the size at which memorising costs what generalising costs "
            "at best",
            "line",
            {"pairs": "x", "J": "mean", "networks": "color"},
            efficiency(arms),
            x_log=True,
            y_log=True,
            x_title="pairs in the training set",
            y_title="J, nats",
            note="J is cross-entropy plus decayed norm; means over seeds with t intervals. U50 is "
            "where grokked networks forget; from scratch they grok at larger sizes.",
        )
    ]
