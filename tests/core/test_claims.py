"""Claims judged on measures made by hand: every outcome, every reason, and what removing the effect
does to them."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from of_claims import (
    CROSSED,
    NOISE,
    SEEDS,
    arm,
    claim,
    crossed,
    diverged,
    judged,
    of_seeds,
)

from assay.core.claim_intervals import by_groups
from assay.core.claims import Claim, Exact, Finding, Gate, Published, claims_key, converged, rival
from assay.core.errors import ClaimError
from assay.core.estimates import estimate, verify
from assay.core.expression import parse
from assay.core.judging import by_level, judge
from assay.core.measures import by
from assay.core.reading import Table
from assay.core.reasons import NO_LEAD
from assay.core.stats import difference, lead_at_own, mean, ratio, sides
from assay.report import tables

# outcomes


def test_a_claim_holds_when_the_interval_is_inside_and_its_control_fails():
    j = judged()
    v = j.verdict
    assert (v.outcome, v.reason, v.price) == ("holds", "", None)
    assert j.controls["control"].outcome == "fails"
    assert v.estimate == pytest.approx(1.5) and 1.47 < v.low < 1.5 < v.high < 1.53
    # s = 0.02 for these eight deviations, t(7) = 2.364624
    assert v.t_low == pytest.approx(1.5 - 2.364624 * 0.02 / math.sqrt(8), abs=1e-6)
    assert v.n == {"seed": 8} and v.scope == "over 8 seeds"


def test_what_a_lead_of_zero_falls_by_is_undecided_for_the_reason_that_decides():
    """As of two claims of the same fall of the same lead only the one may hold whose control is
    beaten, the control is the reason, and not the lead."""
    lead = claim(value=lambda arm, arms: arm.before, low=0.0)
    falls = {"lead": lead}
    for main, control, reason in ((1.5, 0.5, ""), (1.5, 0.98, "control"), (0.5, 0.5, NO_LEAD)):
        unsure = arm(control, spread=8.0) if control > 0.9 else arm(control)
        v = judged(arm(main, before=("run", NOISE)), unsure, changes=falls).verdict
        assert v.outcome == ("undecided" if reason else "holds") and v.reason.startswith(reason)
    share = judged(arm(1.5, before=("run", NOISE)), changes=falls | {"of_share": True}).verdict
    assert (share.outcome, share.reason) == ("undecided", NO_LEAD)


def test_between_two_thresholds_nothing_is_decided_and_more_units_do_not_help():
    v = judged(main=0.8, changes={"low": 1.0, "fail_low": 0.6}).verdict
    assert v.reason == "interval straddles"
    assert v.price.more is None
    assert "between the two thresholds" in v.price.text
    assert judged(main=0.5, changes={"low": 1.0, "fail_low": 0.6}).verdict.outcome == "fails"


def test_units_that_agree_are_no_certainty():
    v = judged(main=arm(4.0, spread=0)).verdict
    assert (v.outcome, v.reason) == ("undecided", "units agree") and math.isnan(v.p)
    assert "all 8 seeds have the same number" in v.price.text
    assert "bounds" in v.price.text
    half = of_seeds([4.0] * 4 + [4.1, 4.2, 4.3, 4.4])
    assert judged(main=half).verdict.reason == "units agree"
    few = of_seeds([4.0] * 3 + [4.5, 4.1, 4.2, 4.3, 4.4])
    assert judged(main=few).verdict.outcome == "holds"


def test_units_that_agree_are_unspecific_where_a_control_passes_as_well():
    """No number of units would tell the two apart."""
    v = judged(main=arm(4.0, spread=0), control=arm(4.0, spread=0))
    assert (v.verdict.outcome, v.verdict.price) == ("unspecific", None)
    assert "satisfies it too" in v.verdict.reason and "perfect" not in v.verdict.warning
    every = of_seeds(np.ones(8))
    changes = {"low": 0.5, "bounds": (0, 1)}
    v = judged(main=every, control=every, changes=changes).verdict
    assert v.outcome == "unspecific"
    assert v.warning == "main and control have 1, the best there is: ask something harder"
    changes["must_fail"] = ("control", "other")
    v = judged(main=every, control=every, other=every, changes=changes).verdict
    assert v.warning == "main and 2 controls have 1, the best there is: ask something harder"
    fails = judged(main=arm(-9.0, spread=0), control=arm(4.0)).verdict
    assert fails.outcome != "unspecific", "what is not in the range needs no control"


def test_crossed_cells_all_right_count_as_those_that_share_no_level():
    """A diagonal of the table is independent: of n such cells all are right, by luck alone, in 2.5
    % of experiments where the truth is .025^(1/n)."""
    rng = np.random.default_rng(0)
    none = crossed(rng.random((40, 40)) < 0.5)
    v = judged(main=crossed(np.ones((8, 10))), control=none, changes=CROSSED).verdict
    assert (v.low, v.high) == pytest.approx((0.025 ** (1 / 8), 1.0), abs=1e-9)
    assert (v.outcome, v.reason) == ("undecided", "interval straddles")
    # 35 would do if .025^(1/35) = .8999 were above .9
    assert v.price.text.startswith("about 36 seeds and 36 prompts in all")
    assert "0.9" in v.price.text
    assert "bounds of a unit" not in v.price.text and v.price.more is None
    v = judged(main=crossed(np.ones((40, 10))), control=none, changes=CROSSED).verdict
    assert v.price.text.startswith("about 36 prompts in all") and v.price.more == 26
    enough = judged(main=crossed(np.ones((36, 40))), control=none, changes=CROSSED).verdict
    assert (enough.outcome, enough.price) == ("holds", None)
    known = {"natural": (0, 1), "bounds": None, "low": 0.5}
    v = judged(
        main=crossed(np.ones((8, 10))), control=crossed(np.zeros((8, 10))), changes=CROSSED | known
    ).verdict
    assert v.outcome == "holds" and v.low == pytest.approx(0.025 ** (1 / 8))


def test_the_number_at_each_prompt_is_the_mean_over_its_seeds():
    """The points of a verdict are its seeds, in which two kinds of prompts cannot be seen."""
    rng = np.random.default_rng(1)
    kinds = np.array([-4, -4, -4, 0, 0, 0])
    main, other = (rng.normal(size=(8, 6)) + kinds for _ in range(2))
    arms = {"main": crossed(main), "control": crossed(other)}
    v = judged(main=arms["main"], control=arms["control"], changes=CROSSED | {"bounds": None})
    assert v.points == pytest.approx(main.mean(1))
    found = by_level(v.claim, arms, "prompt")
    assert [*found] == [0, 1, 2, 3, 4, 5] and [*found.values()] == pytest.approx(main.mean(0))
    found = by_level(v.claim.about("control"), arms, "prompt")
    assert [*found.values()] == pytest.approx(other.mean(0))


def test_a_study_whose_units_tie_is_told_what_to_write_into_its_file():
    half = of_seeds([0.75] * 5 + [0.7, 0.8, 0.72])
    written = {"condition": "main.x > 0.2", "low": 0.2}
    tied = judged(main=half, control=0.1, changes=written).verdict
    assert tied.reason == "units agree"
    assert "add bounds = [LOW, HIGH] to the claim" in tied.price.text
    bounded = judged(main=half, control=0.1, changes=written | {"bounds": (0, 1)}).verdict
    assert bounded.reason != "units agree", "with what is advised there is an interval"


def test_bounds_that_are_known_are_not_asked_of_the_author():
    flat, other = (crossed(np.full((8, 10), x)) for x in (0.95, 0.5))
    known = {"condition": "main.x > 0.9", "natural": (0, 1), "bounds": None}
    judgement = judged(main=flat, control=other, changes=CROSSED | known)
    v = judgement.verdict
    assert v.reason == "units agree"
    assert "bounds" not in v.price.text and v.price.text.endswith("on which they differ")
    interval = tables.row(judgement).interval
    assert interval == "(no interval: every seed has the same number)"


def test_what_was_done_is_not_advised_again():
    holes, flat = np.ones((8, 10)), np.full((8, 10), 0.95)
    holes[0, 3] = np.nan
    for x, advice in ((holes, "give every seed a number at each prompt"), (flat, "unrounded")):
        v = judged(main=crossed(x), control=crossed(np.eye(8, 10)), changes=CROSSED).verdict
        assert v.reason == "units agree" and advice in v.price.text
        assert "name the bounds" not in v.price.text


def test_a_unit_outside_of_its_bounds_is_refused():
    with pytest.raises(ClaimError, match=r"a unit is 1\.47, outside of its bounds 0 to 1"):
        judged(main=1.5, changes={"low": 0.5, "bounds": (0, 1)})


def test_other_arms_that_hold_are_counted_and_change_nothing_named_or_not():
    j = judged(other=1.4, far=0.4)
    assert j.verdict.outcome == "holds" and "holds (1 arm too)" in repr(j)
    assert list(j.also) == ["other"] and j.asked == ("other", "far")
    assert j.to_json()["also"]["other"]["reason"] is None
    named = judged(changes={"also": {"other": rival("has it as well")}}, other=1.4)
    assert named.verdict.outcome == "holds"
    assert named.to_json()["also"]["other"]["reason"] == "rival: has it as well"
    lacks = xr.Dataset({"y": ("run", NOISE)}, coords={"seed": ("run", SEEDS)})
    assert judged(other=lacks).asked == ()  # it cannot be asked


def test_the_half_length_method_is_the_same_method():
    j = judged(changes={"half": {"main": "main-half"}}, **{"main-half": 1.49})
    reason = j.to_json()["also"]["main-half"]["reason"]
    assert j.verdict.outcome == "holds"
    assert reason == "same method: trained half as long"


def test_a_threshold_from_a_pilot_confirms_and_one_from_a_paper_risks():
    kinds = {
        "pilot: seeds 0–5": "confirming",
        "paper: 2": "risky",
        "theory: 1": "risky",
        "plan: before any run": "risky",
    }
    assert {origin: claim(threshold_from=origin).kind for origin in kinds} == kinds


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"also": {"control": "why not"}}, "also names 'control'"),
        ({"bounds": (1, 0)}, "the smaller first"),
        ({"bounds": (0, 1), "scale": "log", "low": 0.5}, "drop the statistic and the scale"),
        ({"bounds": (0, 0.5)}, "within its bounds, 0 to 0.5, lie on one side of the threshold"),
    ],
)
def test_other_arms_and_bounds_are_checked(changes, says):
    with pytest.raises(ClaimError, match=says):
        claim(**changes)


# reasons of undecided, and their order


def test_reason_too_few_units():
    v = judged(main=arm(1.5, SEEDS[:5]), control=arm(0.5, SEEDS[:5])).verdict
    assert v.reason == "too few units: 5 of 6 seeds"
    assert (v.price.factor, v.price.more) == ("seed", 1)
    assert v.price.text == "about 1 more seed, 6 in all"
    v = judged(main=arm(1.5, SEEDS[:5]), control=arm(1.6, SEEDS[:5])).verdict
    assert v.price.more == 1 and v.price.text.endswith(
        "6 in all, may make the claim unspecific but will probably not make it hold, because the "
        "estimate of control satisfies it too"
    )


def test_where_few_of_the_units_have_a_number_as_small_a_share_of_more_is_reckoned_with():
    values = arm(1.5)
    values.x[2:] = np.nan
    v = judged(main=values).verdict
    # a quarter of the eight that are there
    assert v.reason == "too few units: 2 of 6 seeds" and v.price.more == 16


def test_a_quantity_that_no_unit_has_is_too_few_units_and_no_error():
    v = judged(main=arm(np.nan)).verdict
    assert v.reason == "too few units: 0 of 6 seeds" and math.isnan(v.estimate)
    assert v.price.more is None
    assert v.price.text.startswith("more seeds alone do not help: none of 8 has")
    assert judged(control=arm(np.nan)).verdict.reason == "control control not beaten"
    found = estimate(Finding(text="x", value=lambda arms: arms["main"].x), {"main": arm(np.nan)})
    assert math.isnan(found.estimate) and found.n == {"seed": 0}


def test_reason_control_not_beaten_with_the_controls_price():
    v = judged(control=1.0).verdict
    assert v.reason == "control control not beaten"
    assert v.price.text.startswith("control: ")


def test_more_units_are_not_advised_where_they_may_make_it_unspecific():
    """If estimates stay where they are, more units let the control, too, satisfy the claim; that
    they stay is only certain of a control that satisfies it already."""
    for main, control in ((1.005, 1.005), (1.005, 1.002), (2.0, 1.005)):
        v = judged(main=main, control=control).verdict
        assert v.outcome == "undecided" and v.price.more is None, (main, control)
        assert "may make the claim unspecific but will probably not make it hold" in v.price.text
        assert "estimate" in v.price.text
    clear = judged(main=1.005, control=1.02).verdict
    assert clear.outcome == "undecided" and clear.price.more is None
    assert clear.price.text.endswith(
        "could only make the claim unspecific, because control satisfies it too"
    )
    far = judged(main=2.0, control=1.005)
    words, _ = far.remedy
    assert "the estimate of control satisfies it too. To claim more, test a new claim on" in words
    larger = float(words.partition("such as > ")[2].partition(",")[0])
    assert far.controls["control"].high < larger < far.low
    for main, control in ((1.005, 0.9), (0.995, 1.005), (2.0, 0.995)):
        assert judged(main=main, control=control).verdict.price.more, (main, control)


def test_a_passing_control_goes_before_an_undecided_one():
    v = judged(control=1.0, other=1.5, changes={"must_fail": ("control", "other")}).verdict
    assert v.reason == "control other satisfies it too"


def test_reason_gate():
    shut = {
        "gates": (
            Gate("open", lambda arm: True),
            Gate("enough mass", lambda arm: bool((arm.x > 9).all())),
        )
    }
    v = judged(changes=shut).verdict
    assert v.reason == "gate enough mass"
    assert v.gates == {"open": True, "enough mass": False}
    # undertraining refutes nothing
    assert judged(main=0.5, changes=shut).verdict.outcome == "undecided"


def test_reason_planted_not_found_also_when_the_claim_fails():
    changes = {"must_hold": ("planted",)}
    assert judged(planted=1.5, changes=changes).verdict.outcome == "holds"
    for main in (1.5, 0.5, 1.0):
        assert (
            judged(main=main, planted=0.9, changes=changes).verdict.reason
            == "planted planted not found"
        )


def test_too_few_units_go_before_everything():
    changes = {"gates": (Gate("never", lambda arm: False),), "must_hold": ("planted",)}
    few = {
        k: arm(level, SEEDS[:4]) for k, level in (("main", 1.0), ("control", 1.5), ("planted", 0.5))
    }
    assert judge(claim(**changes), few).verdict.reason.startswith("too few units")


def test_converged_compares_half_and_end_of_the_history():
    def with_history(half):
        history = np.array([9.0, half, 1.0]) * np.ones((8, 1))
        return arm(1.5).assign(loss=(("run", "step"), history)).assign_coords(step=[10, 500, 1000])

    changes = {"gates": (converged("loss"),)}
    assert judged(main=with_history(1.04), changes=changes).verdict.outcome == "holds"
    assert judged(main=with_history(1.06), changes=changes).verdict.reason == "gate converged"
    with pytest.raises(ClaimError, match="needs a measure \\[run, step\\]"):
        judged(changes=changes)


def test_both_intervals_must_agree_and_the_bootstrap_decides_nothing():
    # one far seed: percentile and skewed interval stay above the threshold, the t interval does not
    x = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 6]) + 0.4
    main = of_seeds(x)
    v = judged(main=main, changes={"low": 0.0}, control=-3).verdict
    assert v.boot_low > 0 > v.t_low
    assert (v.low, v.high) == (min(v.t_low, v.skew_low), max(v.t_high, v.skew_high))
    assert v.reason == "interval straddles" and v.price.more >= 1
    assert "without seed 1007 it would hold" in v.warning
    # a control that then speaks against it is not left out
    v = judged(main=main, changes={"low": 0.0}, control=3).verdict
    assert "without seed 1007 it would be unspecific, as a control satisfies it too" in v.warning
    v = judged(main=main, changes={"low": 0.0}, control=main).verdict
    assert (
        "without seed 1007, the claim's own interval would be in the range, but a control would "
        "still be undecided"
    ) in v.warning


def test_draws_without_overlap_are_an_unmet_gate():
    def sweep(l0, fvu):
        shape = (8, 3)
        return xr.Dataset(
            {
                "l0": (("seed", "penalty"), np.broadcast_to(l0, shape).copy()),
                "fvu": (
                    ("seed", "penalty"),
                    np.broadcast_to(fvu, shape) + NOISE[:, None] / 100 * (fvu[0] == 0.2),
                ),
            },
            coords={"seed": SEEDS},
        )

    def value(arm, arms):
        return sides(
            a={"l0": arm.l0, "fvu": arm.fvu}, b={"l0": arms["relu"].l0, "fvu": arms["relu"].fvu}
        )

    c = claim(value=value, statistic=lead_at_own("l0", "fvu"), low=0.01)
    relu = sweep([4, 12, 40], [0.26, 0.2, 0.16])
    control = sweep([5, 12, 30], [0.25, 0.2, 0.17])
    v = judge(
        c, {"main": sweep([5, 12, 30], [0.2, 0.17, 0.14]), "relu": relu, "control": control}
    ).verdict
    assert v.outcome == "holds"
    v = judge(
        c, {"main": sweep([3, 12, 30], [0.2, 0.17, 0.14]), "relu": relu, "control": control}
    ).verdict
    assert v.reason == "gate overlap"
    assert "undefined" in v.price.text
    assert math.isnan(v.estimate)


# which numbers count


def test_documents_alone_need_twenty_and_say_of_what_they_speak():
    err = 1.5 + np.random.default_rng(0).normal(size=(2, 25)) / 10
    main = xr.Dataset({"err": (("run", "document"), err)}, coords={"seed": ("run", [1000, 1001])})
    changes = {"value": lambda arm, arms: arm.err.mean("run"), "units": ("document",)}
    v = judged(main=main, control=main - 1, changes=changes).verdict
    assert v.outcome == "holds"
    assert v.scope == "over 25 documents; for these trained runs only"
    few = main.isel(document=slice(19))
    assert (
        judged(main=few, control=few - 1, changes=changes).verdict.reason
        == "too few units: 19 of 20 documents"
    )


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (
            {"density": 0.5},
            (
                "where names 'density', which is not a field of the runs of arm 'main'; known: "
                "seed, width"
            ),
        ),
        ({"sed": 1}, "did you mean seed?"),
        ({"seed": 5}, "no run with seed=5; it has 1000, 1001, 1002, 1003 … (8 in all)"),
        ({"width": 7}, "no run with width=7; it has 5"),
    ],
)
def test_where_that_finds_nothing_says_what_there_is(where, says):
    with pytest.raises(ClaimError) as e:
        judged(changes={"where": where})
    assert says in str(e.value)


@pytest.mark.parametrize(
    "value",
    [lambda arm, arms: by(arms["other"]).x - by(arm).x, lambda arm, arms: arms["other"].x - arm.x],
)
def test_arms_with_other_seeds_cannot_be_subtracted(value):
    with pytest.raises(ClaimError) as e:
        judge(
            claim(value=value),
            {"main": arm(1.0), "other": arm(2.0, SEEDS + 1), "control": arm(1.0)},
        )
    assert "1000" in str(e.value) or "no unit 'seed'" in str(e.value)


def test_terms_with_other_levels_are_refused():
    c = claim(value=lambda arm, arms: {"a": arm.x, "b": arms["other"].x}, statistic=difference("x"))
    with pytest.raises(
        ClaimError, match="other levels of 'seed': 'a' has no seed 1008, 'b' has no seed 1000"
    ):
        judge(c, {"main": arm(1.0), "other": arm(2.0, SEEDS + 1), "control": arm(1.0)})


# scales


@pytest.mark.parametrize(
    ("scale", "back"),
    [("log1m", lambda y: 1 - np.exp(-y)), ("logit", lambda y: 1 / (1 + np.exp(-y)))],
)
def test_scales_near_a_bound_keep_limits_inside(scale, back):
    y = np.array([1, 2, 3, 4, 5, 6, 7, 8.0])
    main = of_seeds(back(y))
    v = judged(
        main=main, control=main - 0.8 * main.x.min(), changes={"scale": scale, "low": 0.9}
    ).verdict
    assert v.estimate == pytest.approx(back(4.5)) and v.t_high < 1
    with pytest.raises(
        ClaimError,
        match=(
            r"is 1, on or beyond the bound of scale='.*'; give shares of k in n as \(k \+ "
            r"1/2\)/\(n \+ 1\)"
        ),
    ):
        judged(main=arm(1.0, spread=0), changes={"scale": scale, "low": 0.9})


# diverged runs


# what is refused


def test_a_control_that_would_compare_an_arm_with_itself_is_refused():
    c = claim(value=lambda arm, arms: arms["control"].x - arm.x)
    with pytest.raises(
        ClaimError, match="'control' is being judged, so it would be compared with itself"
    ):
        judge(c, {"main": arm(1.0), "control": arm(2.0)})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"must_fail": ()}, "names no control"),
        (
            {"must_fail": "flat"},
            "must_fail takes a tuple of names, got the text 'flat'; write must_fail=('flat',)",
        ),
        ({"gates": Gate("long", lambda arm: True)}, "gates takes a tuple, got one gate"),
        (
            {"must_fail": ("flta",), "near": {"flat": "why"}},
            "near names 'flat', but must_fail has only flta; give the near control in both",
        ),
        ({"must_fail": ("main",)}, "cannot also be its own control"),
        ({"low": -math.inf}, "has no threshold"),
        ({"low": 2.0, "high": 1.0}, "needs fail_low ≤ low ≤ high ≤ fail_high, got 2, 2, 1, 1"),
        ({"units": ()}, "one or two different units"),
        ({"units": ("seed", "seed")}, "one or two different units"),
        ({"scale": "log", "statistic": ratio("a", "b")}, "maps the units of a mean"),
        ({"scale": "log", "low": -1.0}, "the threshold -1 is outside the domain of scale='log'"),
    ],
)
def test_claims_that_cannot_be_judged_are_refused_when_made(changes, says):
    with pytest.raises(ClaimError) as e:
        claim(**changes)
    assert says in str(e.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"of": "mian"}, "no arm 'mian'; did you mean main?"),
        ({"must_fail": ("contrl",)}, "no arm 'contrl'; did you mean control?"),
        ({"value": lambda arm, arms: arms["rlu"].x}, "no arm 'rlu'"),
        ({"value": lambda arm, arms: arm.xx}, "no measure 'xx' in main; did you mean x?"),
        ({"value": lambda arm, arms: arm["xx"]}, "no measure 'xx' in main; did you mean x?"),
        ({"value": lambda arm, arms: arm.x.mean()}, "no unit 'seed'"),
        ({"value": lambda arm, arms: 3.0}, "a value is a DataArray or a dict of them, got float"),
        ({"units": ("sed",)}, "no unit 'sed'"),
    ],
)
def test_claims_that_do_not_fit_the_measures_say_what_would(changes, says):
    with pytest.raises(ClaimError) as e:
        judged(changes=changes)
    assert says in str(e.value) and "\n" not in str(e.value)


def test_errors_of_the_value_itself_are_not_hidden():
    with pytest.raises(AttributeError, match="nonsense"):
        judged(changes={"value": lambda arm, arms: np.nonsense})


# what comes out


def test_the_claims_key_sees_a_moved_goalpost_and_nothing_else():
    c = claim()
    assert claims_key([c]) == claims_key([claim(value=lambda arm, arms: arm.x)])
    moved = [
        replace(c, low=1.1),
        replace(c, text="other"),
        replace(c, must_fail=("x",)),
        replace(c, where={"a": 1}),
        replace(c, units=("run",)),
    ]
    assert len({claims_key([m]) for m in [c, *moved]}) == 6
    exact = Exact(text="t", value=lambda arms: 1, expected=1, tolerance=0.1, source="s")
    assert claims_key([exact]) != claims_key([replace(exact, tolerance=0.2)])


def test_what_papers_print_moves_no_goalpost_and_is_a_number_or_new():
    keys = {
        claims_key([claim(published=p)]) for p in (None, "new", Published(2.0, "paper, table 1"))
    }
    assert len(keys) == 1
    with pytest.raises(
        ClaimError, match=r'Published\(number, source\), or "new", or None, got \'0.5\''
    ):
        claim(published="0.5")


# statements without a verdict


def test_exact_statements_come_out_or_are_violated():
    theorem = Exact(
        text="x is 4",
        value=lambda arms: arms["main"].x,
        expected=4,
        tolerance=1e-9,
        source="arithmetic",
    )
    assert verify(theorem, {"main": arm(4.0, spread=0)}).outcome == "exact"
    off = verify(theorem, {"main": arm(4.0)})
    assert off.outcome == "violated" and off.deviation == pytest.approx(0.03)
    assert verify(theorem, {"main": arm(math.nan)}).outcome == "violated"
    json.dumps(verify(theorem, {"main": arm(math.nan)}).to_json(), allow_nan=False)
    with pytest.raises(ClaimError, match="expects shape \\[3\\], got \\[8\\]"):
        verify(replace(theorem, expected=[1, 2, 3]), {"main": arm(4.0)})


@pytest.mark.parametrize(
    ("gap", "outcome"), [(0.2, "undecided"), (-0.2, "undecided"), (2, "holds")]
)
def test_a_ratio_decides_nothing_where_its_divisor_may_be_0(gap, outcome):
    """By Fieller's theorem, its limits have two ends only where the divisor is clearly not 0."""
    parsed = parse("mean(gain)/mean(gap) > 0.25")
    rng = np.random.default_rng(0)
    x = of_seeds(rng.normal(1, 0.1, 24), np.arange(24))
    x = x.assign(gain=x.x, gap=("run", gap + np.resize([-1.0, 1.0], 24)))
    c = claim(value=lambda a, arms: {"gain": a.gain, "gap": a.gap}, statistic=parsed.statistic)
    v = judge(replace(c, low=0.25), {"main": x, "control": x.assign(gain=0 * x.gain)}).verdict
    assert v.outcome == outcome
    if outcome == "undecided":
        assert v.reason == "gate divisor" and "another sign in" in v.price.text


def test_a_finding_that_many_draws_lack_has_no_interval():
    """Those that have one are the draws without the negative units: an interval of them would be
    too high, and too narrow."""
    f = Finding(
        text="log of a mean",
        value=lambda arms: arms["main"].x,
        statistic=lambda m: np.log(m["value"]),
    )
    x = of_seeds([-3.0, -3, 1, 2, 3, 4, 5, 6], np.arange(8))
    e = estimate(f, {"main": x})
    assert e.estimate == pytest.approx(np.log(15 / 8))
    assert math.isnan(e.low)
    assert math.isnan(e.t_high)
    assert "undefined in" in e.method and e.to_json()["low"] is None


def test_findings_have_intervals_and_no_verdict():
    f = Finding(text="gap", value=lambda arms: arms["main"].x - arms["other"].x, unit="nats")
    e = estimate(f, {"main": arm(2.0), "other": diverged(1.0, [1002])}, scope="toy")
    assert e.estimate == pytest.approx(1.0)
    assert e.n == {"seed": 7}
    assert e.dropped == 1
    assert e.scope == "over 7 seeds; toy"
    out = json.loads(json.dumps(e.to_json(), allow_nan=False))
    assert "outcome" not in out and out["unit"] == "nats"
    one = estimate(f, {"main": arm(2.0, [1]), "other": arm(1.0, [1])})
    assert one.estimate == pytest.approx(1.0) and one.to_json()["low"] is None


def worlds_of_one_weight(n=24, seed=0):
    """A method, a placebo with the same weights in another order, and a control; FVU of each of n
    documents."""
    fvu = np.random.default_rng(seed).uniform(0.1, 0.3, n)
    over = {"document": np.arange(n)}
    return {
        name: xr.Dataset({"fvu": ("document", x)}, coords=over)
        for name, x in (("main", fvu), ("placebo", fvu), ("none", fvu + 1))
    }


def better_than_placebo(
    arms, high=-0.01, value=lambda arm, arms: arm.fvu - arms["placebo"].fvu, **more
):
    must = {"must_fail": ("none",), "threshold_from": "theory: .01", "source": "here"}
    claim = Claim(text="it is better", value=value, units=("document",), high=high, **must, **more)
    return judge(claim, arms)


def test_a_difference_of_nothing_in_every_unit_fails_by_arithmetic():
    arms = worlds_of_one_weight()
    found = better_than_placebo(arms)
    assert found.verdict.outcome == "fails"
    assert found.verdict.reason == "identical in every unit"
    assert found.verdict.price is None
    [row] = [tables.row(found)]
    assert row.why == "fails: identical in every unit"
    assert better_than_placebo(arms, high=0.01).verdict.reason == "units agree", (
        "no sampled quantity holds without a width"
    )
    ratio = {
        "statistic": lambda m: m["a"] / m["v"] - m["b"] / m["v"],
        "value": lambda arm, arms: {
            "a": arm.fvu * 9,
            "b": arms["placebo"].fvu * 9,
            "v": 0 * arm.fvu + 9,
        },
    }
    assert better_than_placebo(arms, **ratio).verdict.reason == "identical in every unit"


def test_what_rounding_makes_of_nothing_fails_and_never_holds():
    """Effects of single precision where half a nat was asked; and sums in another order, of which
    an exact 0 would be no certainty either."""
    rng = np.random.default_rng(4)
    arms = worlds_of_one_weight()
    kept = arms["main"].fvu + 1e-5 * rng.choice([0, 0, 0, 1, -1], 24)  # most alike
    some = {**arms, "placebo": arms["main"], "main": arms["main"].assign(fvu=kept)}
    found = better_than_placebo(some, high=-0.5)
    assert (found.outcome, found.reason) == ("fails", "identical in every unit")
    assert better_than_placebo(some, high=-5e-3).reason == "units agree", "not negligible to that"
    noise = of_seeds(1e-15 * rng.normal(size=8))
    asked = {"low": -math.inf, "high": 1 / 8}
    assert judged(main=noise, control=1.0, changes=asked).reason == "units agree"
    assert judged(main=arm(0, spread=1e-6), control=1.0, changes=asked).reason != "units agree"


def test_arms_that_may_differ_in_other_units_are_not_identical():
    """Eight of eight right in both arms: a ninth unit may well tell them apart."""
    arms = worlds_of_one_weight()
    right = {name: arm.assign(fvu=0 * arm.fvu + 1) for name, arm in arms.items()}
    assert better_than_placebo(right).verdict.reason == "units agree"
    some = {name: arm.assign(fvu=(arm.fvu > 0.2) * 1.0) for name, arm in arms.items()}
    assert better_than_placebo(some).verdict.reason == "units agree"
    alone = better_than_placebo(arms, high=-0.01, value=lambda arm, arms: 0 * arm.fvu).verdict
    assert alone.reason == "units agree", "a number that is 0 everywhere is not a difference of two"
    assert (
        better_than_placebo(
            arms, value=lambda arm, arms: -1.0 * (arm.fvu != arms["placebo"].fvu)
        ).verdict.reason
        == "units agree"
    )


def test_seeds_that_share_their_weights_are_identical_along_a_sweep():
    seeds, penalties = np.repeat(np.arange(8), 2), np.tile([0.1, 0.2], 8)
    x = np.random.default_rng(1).normal(1, 0.1, 16)
    coords = {"seed": ("run", seeds), "penalty": ("run", penalties)}
    arms = {
        name: xr.Dataset({"x": ("run", v)}, coords=coords)
        for name, v in (("main", x), ("placebo", x), ("none", x + 9))
    }
    claim = Claim(
        text="t",
        value=lambda arm, arms: arm.x - arms["placebo"].x,
        where={"penalty": 0.1},
        low=0.1,
        must_fail=("none",),
        threshold_from="theory",
        source="here",
    )
    assert judge(claim, arms).verdict.reason == "identical in every unit"


def test_units_that_lie_apart_are_named_beside_the_verdict():
    x = 1.5 + NOISE
    fine = judged(main=of_seeds(x)).verdict
    assert fine.warning == ""
    x[3] = 0.2
    v = judged(main=of_seeds(x))
    apart = "1 of 8 seeds is an outlier, at 0.2, while the median of the others is 1.5"
    assert v.verdict.warning == f"{apart}; without seed 1003 it would hold"
    assert v.verdict.warning == v.to_json()["warning"]
    [row] = [tables.row(v)]
    assert row.remarks == ("without seed 1003 it would hold", apart), "the shortest comes first"


def test_units_in_two_groups_are_no_outliers():
    x = 1.5 + NOISE
    x[::2] -= 1.3
    two = "the 8 seeds form two clusters, 4 near 0.2 and 4 near 1.5"
    v = judged(main=of_seeds(x)).verdict
    assert v.warning.startswith(two) and "outlier" not in v.warning
    # 36 and 35 of 36 are neighbours on a grid, not two kinds
    coarse = np.where(np.arange(8) < 3, 36, 35) / 36
    assert judged(main=of_seeds(coarse)).verdict.warning == ""
    # nor are counts, most of which are 0 or 1
    counts = np.repeat([-1.0, 0.0, 1.0, 2.0, 3.0], [5, 34, 31, 8, 2])
    assert "cluster" not in judged(main=of_seeds(counts, range(80))).verdict.warning
    # the middle of a cluster is that of its units, however many have one number
    often = np.repeat([0.0, 0.1, 5.0, 5.1, 5.9], [20, 10, 20, 2, 1])
    v = judged(main=of_seeds(often, range(53))).verdict
    assert "the 53 seeds form two clusters, 23 near 5 and 30 near 0:" in v.warning


def test_an_estimate_between_natural_bounds_has_the_interval_of_a_claim_about_it():
    for k in (40, 39, 0):
        x = xr.Dataset({"x": ("prompt", (np.arange(40) < k).astype(float))})
        number = Finding(
            text="share", value=lambda arms: arms["main"].x, units=("prompt",), bounds=(0, 1)
        )
        got = estimate(number, {"main": x})
        from scipy.stats import binomtest

        wanted = binomtest(k, 40).proportion_ci(0.95, "exact")
        assert (got.low, got.high) == pytest.approx(tuple(wanted), abs=1e-9)
        assert "exact" in got.method
    other = estimate(replace(number, bounds=None, natural=(0, 1)), {"main": x})
    assert other.low == other.high == 0 and "exact" not in other.method


def test_an_interval_of_groups_names_each_of_its_factors():
    """Thirteen seeds by sixteen prompts of eight things."""
    x = np.random.default_rng(0).normal(size=(13, 16))
    levels = {"seed": np.arange(13), "prompt": np.array([f"p{k}" for k in range(16)])}
    groups = {"prompt": {"thing": {f"p{k}": f"t{k // 2}" for k in range(16)}}}
    found = by_groups(groups, ("seed", "prompt"), mean, Table({"x": x}, levels), 0.95)
    assert [(names, i.n) for names, i in found] == [(("seed", "thing"), (13, 8))]


@pytest.mark.parametrize(
    ("quiet", "loud", "automatic", "outcome", "controls"),
    [
        (0.01, 16.0, ("quiet", "loud"), "holds", {"loud"}),
        (0.01, 0.9, ("quiet", "loud"), "undecided", set()),  # it is not seen that effects are found
        (0.01, 16.0, ("loud",), "unspecific", {"quiet", "loud"}),  # its author says it explains it
        (0.01, 0.9, (), "unspecific", {"quiet", "loud"}),
    ],
)
def test_that_other_changes_have_no_effect_does_not_explain_that_this_one_has_none(
    quiet, loud, automatic, outcome, controls
):
    asks = {"low": -1.0, "high": 1.0, "must_fail": ("quiet", "loud"), "automatic": automatic}
    j = judged(main=-0.1, changes=asks, quiet=quiet, loud=loud)
    assert (j.outcome, {*j.controls}) == (outcome, controls)
    assert (j.reason == "blind") == (outcome == "undecided")


@pytest.mark.parametrize(("level", "reason"), [(7.8, "control control not beaten"), (0.1, "blind")])
def test_a_level_below_a_threshold_is_an_effect_if_it_is_above_it_without_the_change(level, reason):
    """A range that contains 0 says nothing about an effect where the unchanged number is not 0; a
    control on the threshold shows neither that effects are seen nor that it does not satisfy it."""
    asks = {"low": -math.inf, "high": 2.0, "unchanged": "as it is"}
    j = judged(main=-7.0, control=2.0, changes=asks, **{"as it is": level})
    assert (j.outcome, j.reason) == ("undecided", reason)
    j = judged(main=-7.0, control=7.6, changes=asks, **{"as it is": level})
    assert (j.outcome, j.reason) == ("holds", "")
