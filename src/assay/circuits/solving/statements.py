"""What an entry of the family claims: that models solve the problem, that our explanation of them
is good, and better than its rival.

Each claim is a value over arms: an arm in which another explanation stands in the place of ours is
judged by the same code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from assay.circuits.solving.scored import (
    ANOTHER,
    EVIDENCE,
    HALF_RIGHT,
    MOVED,
    OURS,
    RIVAL,
    explanations,
)
from assay.circuits.solving.solver import Monthly
from assay.core.claims import Claim, Estimate, Published, Value, rival, same_method
from assay.core.experiment import Arms
from assay.core.heavy import xr
from assay.core.scales import Scale

OWN = "Assay's own: explanations as values, docs/explanations.md"
PLAN = "plan: set before any model was trained"
CHOSEN = (
    "pilot: rivals that are half right were chosen on seeds 0 to 2; the margin was planned before "
    "any model was trained"
)
HALFWAY = (
    "pilot: seeds 0–2 of the maximum, where the whole model reached .500 as its own explanation; "
    "the plan was .5"
)
UNLEARNED = {
    "shuffled-answers": "what answers are like on the whole, without what belongs to which input"
}
"""Near control of having learned a problem."""
YOUNGER = {"half": same_method("models that are younger may have learned it, too")}
"""Why there is no gate of half the training: that models still get better takes nothing from what
they can do."""
NEAR = {
    HALF_RIGHT: "to be right about a part of the mechanism is enough",
    ANOTHER: "any model of this problem has these parts in these roles",
    MOVED: "which parts hold what does not matter",
    "unlearned": "the same rule finds as good an explanation in a model that has not learned "
    "the problem",
}
"""Near controls of an explanation.

What merely sounds right may be so wrong that it reaches exactly 0 in every model: it is not one.
"""
HALF = {"main": "half"}
WEAK = 0.4
SHARE = (0.0, 1.0)
GOOD = 0.55
BETTER = 0.1
OFTENER = 5


def learned(
    text: str,
    value: Value,
    low: float,
    published: Published | str,
    source: str,
    *,
    threshold_from: str = PLAN,
) -> Claim:
    """Claim that models solve the problem: a share near one, or a probability."""
    return Claim(
        text=text,
        value=value,
        low=low,
        scale="log1m",
        unit="share",
        must_fail=("shuffled-answers", "untrained"),
        near=UNLEARNED,
        also=YOUNGER,
        credits="model",
        natural=SHARE,
        threshold_from=threshold_from,
        published=published,  # type: ignore[arg-type]
        source=source,
    )


def close(
    text: str, value: Value, high: float, scale: Scale, source: str, *, threshold_from: str = PLAN
) -> Claim:
    """Claim that models come near the exact predictor: nats that their cross-entropy lies above its
    own."""
    return Claim(
        text=text,
        value=value,
        high=high,
        scale=scale,
        unit="nats",
        must_fail=("shuffled-answers", "untrained"),
        near=UNLEARNED,
        also=YOUNGER,
        credits="model",
        threshold_from=threshold_from,
        published="new",
        source=source,
    )


def explained(monthly: Monthly, models: str, sounding: str, half_right: str) -> tuple[Claim, ...]:
    """Claim that our explanation is good, has no weak part, and is better than one half right.

    `sounding` and `half_right` say what the rivals do. Where all models' explanations name the same
    parts, that of another model is no control, and ours cannot be moved.
    """
    kinds = [
        kind
        for kind in explanations(monthly)
        if kind != OURS and not (monthly.same and kind == ANOTHER)
    ]
    near = {kind: why for kind, why in NEAR.items() if kind in (*kinds, "unlearned")}
    same = {ANOTHER: same_method(monthly.same)} if monthly.same else {}
    whole = {"whole": rival("as faithful as can be; what it lacks is shortness")}
    beating = [kind for kind in kinds if kind not in (HALF_RIGHT, "whole")]
    rivals = {
        ANOTHER: "our explanation of any model beats it",
        MOVED: "what ours says, said of other parts, beats it",
        RIVAL: f"what sounds right, {sounding}, beats it",
    }
    return (
        Claim(
            text=(
                f"Our explanation of {models} is faithful and short: its quality is at least .55, "
                "more than the whole model could reach as its own"
            ),
            value=lambda arm, arms: arm.quality.sel(explanation=OURS, drop=True),
            low=GOOD,
            unit="quality",
            natural=SHARE,
            must_fail=(*kinds, "unlearned"),
            near=near,
            also=same,
            credits=("model", "explanation"),
            half=HALF,
            threshold_from=HALFWAY,
            published="new",
            source=OWN,
        ),
        Claim(
            text=(
                f"No part of our explanation of {models} is weak: the least of E1 to E4 is at "
                "least .4"
            ),
            value=lambda arm, arms: least(arm),
            low=WEAK,
            unit="share",
            natural=SHARE,
            must_fail=(*(k for k in kinds if k != "whole"), "unlearned"),
            near=near,
            also=whole | same,
            credits=("model", "explanation"),
            half=HALF,
            threshold_from=PLAN,
            published="new",
            source=OWN,
        ),
        Claim(
            text=f"Our explanation of {models} beats a rival that is half right, {half_right}, "
            "by at least .1 in the mean of E1 to E4, less for length",
            value=lead,
            low=BETTER,
            unit="share",
            natural=(-1, 1),
            must_fail=tuple(beating),
            near={kind: why for kind, why in rivals.items() if kind in beating},
            also={"whole": rival("half, by its length alone; a rival may lie below that")} | same,
            credits=("model", "explanation"),
            half=HALF,
            threshold_from=CHOSEN,
            published="new",
            source=OWN,
        ),
    )


def foretold(monthly: Monthly, models: str) -> Claim:
    """Claim that these models err oftener where our explanation says they fail."""
    as_ours = {HALF_RIGHT: rival("it may say as ours does where models fail")}
    if MOVED in explanations(monthly):
        as_ours[MOVED] = same_method("what it says of failures is ours, whatever the homes")
    return Claim(
        text=(
            f"Where our explanation says that {models} fail, they err at least five times as "
            "often as on any input"
        ),
        value=enriched,
        low=math.log(OFTENER),
        unit="log ratio of error rates",
        must_fail=("rival", "shuffled", "empty", "gradient"),
        near={
            "rival": "what sounds right foretells errors as well",
            "gradient": "a gradient points to such inputs without any explanation",
        },
        also={
            "whole": rival("it is the model itself, and so has its errors"),
            "another": same_method("models of one problem may fail alike"),
        }
        | as_ours,
        credits=("model", "failures"),
        half=HALF,
        threshold_from=PLAN,
        published="new",
        source=OWN,
    )


def sure(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the probability of the right answer, a mean over the positions at which something is
    asked."""
    return arm.chance.mean("position")


def right(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the share of right answers, a mean over the positions at which something is asked."""
    return arm.right.mean("position")


def late(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the probability of the right answer, a mean over positions from the ninth on."""
    return arm.chance.sel(position=arm.position >= 8).mean("position")


def known(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the share of right answers where the exact predictor names one."""
    return arm.known


def above(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: nats that the cross-entropy lies above the exact predictor's."""
    return arm.nats - arm.least


def least(arm: xr.Dataset) -> xr.DataArray:
    """[run]: the lowest of E1 to E4, without E4 where a model does not fail."""
    # xarray leaves NaN out: E4 has none where a model does not fail.
    return arm.reached.sel(explanation=OURS, part=list(EVIDENCE)).min("part")


def graded(arm: xr.Dataset, kind: str = OURS) -> xr.DataArray:
    """[run]: the mean of E1 to E4, without E4 where a model does not fail, times how short it is.

    Quality is 0 as soon as one part is, so that of two explanations which both have 0 it cannot
    say which is better; this can.
    """
    reached = arm.reached.sel(explanation=kind, drop=True)
    return reached.sel(part=list(EVIDENCE)).mean("part") * reached.sel(part="short", drop=True)


def lead(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: by how much what stands in the place of ours is better than the half-right rival.

    Both are explanations of one and the same model.
    """
    return graded(arm) - graded(arm, HALF_RIGHT)


def enriched(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the logarithm of the error rate where failure is foretold over that on any input; 0
    where nothing is foretold.

    NaN where the model never errs.
    """
    failing = arm.errors.sel(explanation=OURS, inputs="failing", drop=True)
    # Clipped: to err less often where failure is foretold is worth no less than to foretell
    # nothing.
    ratio = np.log(failing.clip(min=arm.wrong) / arm.wrong)
    # `wrong` is (errors + ½)/(n + 1): below 1/n only without a single error.
    return ratio.fillna(0.0).where(arm.wrong > 1 / arm.attrs["tested"])


def findings(which: Sequence[str]) -> tuple[Estimate, ...]:
    """What is told beside the claims: every explanation's quality, what exchanging variables shows,
    and how many others do as well."""

    def make_finding(
        text: str, value: Callable[[xr.Dataset], xr.DataArray], unit: str = "share"
    ) -> Estimate:
        natural = SHARE if unit in ("share", "quality") else None
        return Estimate(
            text=text,
            value=lambda arms: value(arms["main"]),
            unit=unit,
            natural=natural,
            published="new",
            source=OWN,
        )

    def quality(kind: str) -> Callable[[xr.Dataset], xr.DataArray]:
        return lambda main: main.quality.sel(explanation=kind, drop=True)

    def mean(kind: str) -> Callable[[xr.Dataset], xr.DataArray]:
        return lambda main: graded(main, kind)

    def reached(part: str) -> Callable[[xr.Dataset], xr.DataArray]:
        return lambda main: main.reached.sel(part=part, **selection)

    names = {
        OURS: "our explanation",
        RIVAL: "the rival",
        HALF_RIGHT: "the rival that is half right",
        ANOTHER: "our explanation of another model",
        MOVED: "ours at other parts",
        "shuffled": "ours, shuffled",
        "empty": "the empty explanation",
        "whole": "the whole model over again",
    }
    selection = {"explanation": OURS, "drop": True}
    homes = "Other homes of the same variables that do as well"
    elsewhere = make_finding(homes, lambda main: main.as_good.sel(kind="homes"))
    return (
        make_finding("Share of inputs on which a model is wrong anywhere", lambda main: main.wrong),
        *(make_finding(f"Quality of {names[kind]}", quality(kind), "quality") for kind in which),
        *(make_finding(f"{part} of our explanation", reached(part)) for part in EVIDENCE),
        *(
            make_finding(f"Mean of E1 to E4, less for length, of {names[kind]}", mean(kind))
            for kind in which
        ),
        make_finding(
            (
                "How much oftener models err where our explanation says so than on any input, "
                "those that ever err"
            ),
            lambda main: enriched(main, {}),
            "log ratio of error rates",
        ),
        make_finding(
            "Names and numbers in our explanation",
            lambda main: main.written.sel(**selection),
            "names and numbers",
        ),
        make_finding(
            "Answers as foretold when a variable is exchanged at its places, mean over variables",
            lambda main: main.exchanged.sel(way="places"),
        ),
        make_finding(
            "The same of the variable that changes most answers",
            lambda main: main.exchanged.sel(way="most"),
        ),
        make_finding(
            "The same along directions learned at that part",
            lambda main: main.exchanged.sel(way="learned"),
        ),
        make_finding(
            "The same along directions learned for answers that have nothing to do with it",
            lambda main: main.exchanged.sel(way="unfounded"),
        ),
        make_finding(
            "Other sets of as many pieces that do as well",
            lambda main: main.as_good.sel(kind="sets"),
        ),
        *([elsewhere] if MOVED in which else []),
    )
