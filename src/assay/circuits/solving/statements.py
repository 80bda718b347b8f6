"""What an entry of the family claims: that models solve the problem, that our explanation of them is good, and better than its rival.

Each claim is a value over arms: an arm in which another explanation stands in the place of ours is judged by the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from assay.circuits.solving.scored import CONTROLS, HALF_RIGHT, OURS, RIVAL
from assay.core.claims import Claim, Finding, Published, Value
from assay.core.experiment import Arms
from assay.core.scales import Scale

if TYPE_CHECKING:
    import xarray as xr

OWN = "Assay's own: explanations as values, docs/explanations.md"
PLAN = "plan: set before any model was trained"
HALFWAY = "pilot: seeds 0–2 of the maximum, where the whole model reached .500 as its own explanation; the plan was .5"
UNLEARNED = {"shuffled-answers": "what answers are like on the whole, without what belongs to which input"}
"""Near control of having learned a problem."""
YOUNGER = {"half": "models that are younger may have learned it, too"}
"""Why there is no gate of half the training: that models still get better takes nothing from what they can do."""
ELSEWHERE = {"another": "any model of this problem has these parts in these roles", "rival": "what sounds right scores as well"}
"""Near controls of an explanation."""
IN_PART = {HALF_RIGHT: "to be right about a part of the mechanism is enough"}
"""Near control of an explanation, where there is one that is half right: what sounds right may be so wrong that it reaches nothing in any model."""
TEMPLATE = {"unlearned": "the same rule finds as good an explanation in a model that has not learned the problem"}
HALF = {"main": "half"}
WEAK = 0.4
SHARE = (0.0, 1.0)
GOOD = 0.55
BETTER = 0.1
OFTENER = 5


def learned(text: str, value: Value, low: float, published: Published | str, source: str, *, threshold_from: str = PLAN) -> Claim:
    """Claim that models solve the problem: a share near one, or a probability."""
    return Claim(
        text=text, value=value, low=low, scale="log1m", unit="share", must_fail=("shuffled-answers", "untrained"), near=UNLEARNED, also=YOUNGER,
        natural=SHARE, threshold_from=threshold_from, published=published, source=source,  # type: ignore[arg-type]
    )  # fmt: skip


def close(text: str, value: Value, high: float, scale: Scale, source: str, *, threshold_from: str = PLAN) -> Claim:
    """Claim that models come near the exact predictor: nats that their cross-entropy lies above its own."""
    return Claim(
        text=text, value=value, high=high, scale=scale, unit="nats", must_fail=("shuffled-answers", "untrained"), near=UNLEARNED, also=YOUNGER,
        threshold_from=threshold_from, published="new", source=source,
    )  # fmt: skip


def explained(models: str, rival: str, *, half_right: str = "", same: str = "") -> tuple[Claim, ...]:
    """Claim of our explanation of these models that it is good, has no weak part, and is better than a rival that says this.

    `half_right` is what another one says that is right in part; that is then the one to beat, and the rival a control. `same` says why
    explanations of all models of a problem name the same parts, where they cannot but do so; that of another model is then no control.
    """
    kinds = tuple(kind for kind in (RIVAL, *((HALF_RIGHT,) if half_right else ()), *CONTROLS) if not (same and kind == "another"))
    near = {kind: why for kind, why in {**IN_PART, **ELSEWHERE, **TEMPLATE}.items() if kind in (*kinds, "unlearned")}
    also = {"another": same} if same else {}
    whole = {"whole": "as faithful as can be; what it lacks is shortness"}
    beaten = f"a rival that is half right, {half_right}," if half_right else f"a plausible rival, {rival},"
    against = HALF_RIGHT if half_right else RIVAL
    first = {"shuffled": "any parts do in place of those that are named"} if same else {"another": "whatever speaks of such parts beats that rival"}
    first |= {RIVAL: f"what sounds right, {rival}, beats it too"} if half_right else {}
    return (
        Claim(
            text=f"Our explanation of {models} is faithful and short: its quality is at least .55, more than the whole model could reach as its own",
            value=lambda arm, arms: arm.quality.sel(explanation=OURS, drop=True), low=GOOD, unit="quality", natural=SHARE,
            must_fail=(*kinds, "unlearned"), near=near, also=also, half=HALF, threshold_from=HALFWAY, published="new", source=OWN,
        ),
        Claim(
            text=f"No part of our explanation of {models} is weak: the least of E1 to E4 is at least .4",
            value=lambda arm, arms: least(arm), low=WEAK, unit="share", must_fail=(*(k for k in kinds if k != "whole"), "unlearned"),
            natural=SHARE, near=near, also=whole | also, half=HALF, threshold_from=PLAN, published="new", source=OWN,
        ),
        Claim(
            text=f"Our explanation of {models} beats {beaten} by at least .1 of quality", value=partial(lead, over=against), low=BETTER,
            unit="quality", must_fail=tuple(k for k in (RIVAL, "another", "shuffled", "empty") if k in kinds and k != against), near=first,
            natural=(-1, 1), also={"whole": "half, by its length alone; a rival may lie below that"} | also, half=HALF, threshold_from=PLAN,
            published="new", source=OWN,
        ),
    )  # fmt: skip


def foretold(models: str) -> Claim:
    """Claim that these models err oftener where our explanation says they fail."""
    return Claim(
        text=f"Where our explanation says that {models} fail, they err at least five times as often as on any input",
        value=enriched, low=math.log(OFTENER), unit="log ratio of error rates", must_fail=("rival", "shuffled", "empty", "gradient"),
        near={"rival": "what sounds right foretells errors as well", "gradient": "a gradient points to such inputs without any explanation"},
        also={"whole": "it is the model itself, and so has its errors", "another": "models of one problem may fail alike"}, half=HALF,
        threshold_from=PLAN, published="new", source=OWN,
    )  # fmt: skip


def sure(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the probability of the right answer, a mean over the positions at which something is asked."""
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
    return arm.reached.sel(explanation=OURS, part=["E1", "E2", "E3", "E4"]).min("part")


def lead(arm: xr.Dataset, arms: Arms, over: str = RIVAL) -> xr.DataArray:
    """[run]: by how much the quality of what stands in the place of ours exceeds a rival's, of one and the same model."""
    return arm.quality.sel(explanation=OURS, drop=True) - arm.quality.sel(explanation=over, drop=True)


def enriched(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the logarithm of the error rate where failure is foretold over that on any input; 0 where nothing is foretold.

    NaN where the model never errs.
    """
    failing = arm.errors.sel(explanation=OURS, inputs="failing", drop=True)
    ratio = np.log(failing.clip(min=arm.wrong) / arm.wrong)
    return ratio.fillna(0.0).where(arm.wrong > 1 / arm.attrs["tested"])


def findings(rivals: Sequence[str] = (RIVAL,)) -> tuple[Finding, ...]:
    """What is told beside the claims: every explanation's quality, what exchanging variables shows, and how many others do as well."""

    def of(text: str, value: Callable[[xr.Dataset], xr.DataArray], unit: str = "share") -> Finding:
        natural = SHARE if unit in ("share", "quality") else None
        return Finding(text=text, value=lambda arms: value(arms["main"]), unit=unit, natural=natural, published="new", source=OWN)

    def quality(kind: str) -> Callable[[xr.Dataset], xr.DataArray]:
        return lambda main: main.quality.sel(explanation=kind, drop=True)

    def reached(part: str) -> Callable[[xr.Dataset], xr.DataArray]:
        return lambda main: main.reached.sel(part=part, **own)

    beside = {RIVAL: "the rival", HALF_RIGHT: "the rival that is half right"}
    told = {OURS: "our explanation", **{kind: beside[kind] for kind in rivals}, "another": "our explanation of another model",
            "shuffled": "ours, shuffled", "empty": "the empty explanation", "whole": "the whole model over again"}  # fmt: skip
    own = {"explanation": OURS, "drop": True}
    return (
        of("Share of inputs on which a model is wrong anywhere", lambda main: main.wrong),
        *(of(f"Quality of {what}", quality(kind), "quality") for kind, what in told.items()),
        *(of(f"{part} of our explanation", reached(part)) for part in ("E1", "E2", "E3", "E4")),
        of("How much oftener models err where our explanation says so than on any input, those that ever err", lambda main: enriched(main, {}),
           "log ratio of error rates"),
        of("Names and numbers in our explanation", lambda main: main.written.sel(**own), "names and numbers"),
        of("Answers as foretold when a variable is exchanged at its places, mean over variables", lambda main: main.exchanged.sel(way="places")),
        of("The same of the variable that changes most answers", lambda main: main.exchanged.sel(way="most")),
        of("The same along directions learned at that part", lambda main: main.exchanged.sel(way="learned")),
        of("The same along directions learned for answers that have nothing to do with it", lambda main: main.exchanged.sel(way="unfounded")),
        of("Other sets of as many pieces that do as well", lambda main: main.as_good.sel(kind="sets")),
        of("Other homes of the same variables that do as well", lambda main: main.as_good.sel(kind="homes")),
    )  # fmt: skip
