"""Claims judged on arrays made by hand, where the answer is known."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.errors import ClaimError
from assay.verdicts import reading
from assay.verdicts.claims import Claim, bounded, judge_arrays
from assay.verdicts.conditions import parse
from assay.verdicts.rule import MOST

NOISE = np.array([-3, 2, -1, 0, 1, -2, 3, 0]) / 100  # mean 0
NEW = [2.1, 1.8, 2.6, 1.9, 2.4, 2.2, 1.5, 2.7]
PLACEBO = [0.2, -0.1, 0.4, 0.0, 0.3, 0.1, -0.2, 0.3]


def seeds(x, **more):
    """An arm with one x for each seed."""
    return xr.Dataset({"x": ("seed", np.asarray(x, float)), **more})


def judged(holds="main.x > 1", main=1.5, functions=None, about="main", **arms):
    """A claim about main, with a control of that name where it is given."""
    options = {k: arms.pop(k) for k in [*arms] if k in Claim.__dataclass_fields__}
    named = {k: v if isinstance(v, xr.Dataset) else seeds(v + NOISE) for k, v in arms.items()}
    named["main"] = main if isinstance(main, xr.Dataset) else seeds(main + NOISE)
    options.setdefault("controls", tuple(k for k in arms if k == "control"))
    return judge_arrays(Claim("it is so", holds, about=about, **options), named, functions)


# ---- the worked example --------------------------------------------------------------------------


def test_the_worked_example():
    """Contract: the page of the rule computes these numbers by hand."""
    v = judged("new.gain > 1", controls="placebo", about="", main=seeds(NEW), **gains())
    assert v.outcome == "holds" and v.n == {"seed": 8}
    assert (round(v.estimate, 2), round(v.low, 3), round(v.high, 3)) == (2.15, 1.792, 2.493)
    control = v.controls["placebo"]
    assert control.outcome == "beaten" and [round(x, 2) for x in control.lead[1:]] == [1.84, 2.23]


def gains(shift=0.0):
    arms = {"new": NEW, "placebo": np.array(PLACEBO) + shift}
    return {k: seeds(x).rename(x="gain") for k, x in arms.items()}


@pytest.mark.parametrize(
    ("threshold", "shift", "outcome", "reason"),
    [
        (2, 0, "undecided", "straddles"),
        (3, 0, "fails", ""),
        (1, 1.2, "unspecific", "control"),
        (1, 0.8, "undecided", "control"),
    ],
)
def test_one_change_to_it_gives_each_other_verdict(threshold, shift, outcome, reason):
    """Contract: the table below the worked example."""
    claim = Claim("more", f"new.gain > {threshold}", about="new", controls={"placebo": "any pill"})
    v = judge_arrays(claim, gains(shift))
    assert (v.outcome, v.reason) == (outcome, reason)
    assert claim.why == {"placebo": "any pill"}
    if reason == "straddles":
        assert v.price[0] == "seed" and 50 <= v.price[1] <= 75


# ---- what is compared ----------------------------------------------------------------------------


@pytest.mark.parametrize("about", ["base", "cut"])
@pytest.mark.parametrize("seed", range(6))
def test_a_comparison_has_one_outcome_however_written(seed, about):
    """Contract: turned around, moved to the other side or with its sign turned."""
    rng = np.random.default_rng(seed)
    effect, unit = rng.choice([0.0, 0.3, 1.0]), rng.normal(0, 0.2, 10)
    arms = {"base": 1, "cut": 1 - effect, "c": 1 - rng.choice([0.0, effect]), "d": 0.9}
    arms = {k: seeds(x + unit + rng.normal(0, 0.05, 10)) for k, x in arms.items()}
    texts = ["base.x - cut.x > 0.25", "0.25 < base.x - cut.x", "cut.x - base.x < -0.25"]
    texts += ["base.x > cut.x + 0.25", "mean(base.x) - mean(cut.x) > 0.25", "cut.x + 0.25 < base.x"]
    claims = [Claim("t", text, about=about, controls=("c", "d")) for text in texts]
    assert len({judge_arrays(claim, arms).outcome for claim in claims}) == 1


def test_without_an_arm_the_outcome_does_not_depend_on_it():
    """Contract: refused where it would; the same verdict where it does not."""
    arms = {"a": 1.0, "b": 0.0, "like_a": 1.01, "far": -5.0}
    arms = {k: seeds(x + NOISE * (k < "b") + np.roll(NOISE, len(k))) for k, x in arms.items()}
    with pytest.raises(ClaimError) as e:
        judge_arrays(Claim("t", "a.x - b.x > 0.5", controls="like_a"), arms)
    assert e.value.code == "which-arm"
    said = judge_arrays(Claim("t", "a.x - b.x > 0.5", controls="like_a", about="a"), arms)
    assert said.outcome == "unspecific"
    assert judge_arrays(Claim("t", "a.x - b.x > 2", controls="like_a"), arms).outcome == "fails"


def test_a_control_takes_the_place_of_the_method():
    """Contract: of the arm that the claim is about, and of no other."""
    arms = {"a": 1.0, "b": 0.3, "c": 0.9}
    rng = np.random.default_rng(0)
    arms = {k: seeds(x + 0.02 * rng.normal(size=8)) for k, x in arms.items()}
    v = judge_arrays(Claim("t", "a.x - b.x > 0.5", about="a", controls="c"), arms)
    assert v.controls["c"].estimate == pytest.approx(0.6, abs=0.05) and v.outcome == "unspecific"
    v = judge_arrays(Claim("t", "a.x - b.x > 0.5", about="b", controls="c"), arms)
    assert v.controls["c"].estimate == pytest.approx(0.1, abs=0.05) and v.outcome == "holds"


def test_a_control_with_the_claims_own_numbers_tests_nothing():
    """Contract: the claim is not specific because of it; with no other it stays open."""
    v = judged(controls=("same",), same=1.5)
    assert (v.outcome, v.reason, v.about) == ("undecided", "no-test", "same")
    v = judged(controls=("same", "control"), same=1.5, control=1.6)
    assert (v.outcome, v.about) == ("unspecific", "control")
    assert judged(main=0.5, controls=("same",), same=0.5).outcome == "fails"


def test_independent_arms_have_welchs_interval():
    """Other implementation: SciPy, of numbers about their mean."""
    x, y = NOISE[:6] * 9, np.array([-5, -3, -1, 1, 3, 5.0, 0]) / 9
    x = x - x.mean()
    x = np.concatenate([x, -x])
    arms = {"a": seeds(x + 1), "b": seeds(y)}
    arms["a"] = arms["a"].assign_coords(seed=np.arange(12))
    arms["b"] = arms["b"].assign_coords(seed=np.arange(50, 57))
    v = judge_arrays(Claim("t", "a.x - b.x > 0", unit="seed"), arms)
    want = stats.ttest_ind(x + 1, y, equal_var=False).confidence_interval()
    assert (v.low, v.high) == pytest.approx((want.low, want.high))


def test_paired_arms_have_students_interval():
    """Other implementation: SciPy, of differences about their mean."""
    y = np.random.default_rng(0).normal(size=8)
    arms = {"a": seeds(y + NOISE + 1), "b": seeds(y)}
    v = judge_arrays(Claim("t", "a.x - b.x > 0"), arms)
    want = stats.ttest_rel(y + NOISE + 1, y).confidence_interval()
    assert (v.low, v.high) == pytest.approx((want.low, want.high))
    equal = judge_arrays(Claim("t", "a.x - b.x > 0.1"), {"a": arms["a"], "b": arms["a"]})
    assert (equal.outcome, equal.estimate) == ("fails", 0)


@pytest.mark.parametrize("scale", [1e-15, -1e-15])
def test_rounding_decides_nothing(scale):
    """Analytic: arms that differ in their last digits differ by exactly 0."""
    rng = np.random.default_rng(4)
    x = rng.normal(-5, 1, (8, 40))
    noisy = x * (1 + scale * rng.random((8, 40)))
    again, half = 0.01 * rng.normal(size=(2, 8, 40))
    arms = {"main": x, "cut": noisy, "half": noisy - 0.5 + half, "again": x + again}
    arms = {k: xr.Dataset({"x": (("seed", "prompt"), v)}) for k, v in arms.items()}
    for arm, threshold, outcome in (("cut", -0.3, "fails"), ("half", -0.3, "holds")):
        text = f"{arm}.x - main.x < {threshold}"
        claim = Claim("t", text, about=arm, controls="again", unit=("seed", "prompt"))
        assert judge_arrays(claim, arms).outcome == outcome
    for text in ("cut.x - main.x > 0", "cut.x - main.x < 0", "cut.x / main.x > 1"):
        v = judge_arrays(Claim("t", text, about="cut", unit=("seed", "prompt")), arms)
        assert v.outcome != "holds"


def test_a_ratio_whose_divisor_may_be_zero_is_undefined():
    """Analytic: its interval would miss the truth in a fifth of tables."""
    rng = np.random.default_rng(2)
    size = rng.normal(0.1, 1, 24)
    main = seeds(size * 5 + rng.normal(size=24), size=("seed", size))
    v = judged("mean(main.x) / mean(main.size) > 1", main)
    assert (v.outcome, v.reason) == ("undecided", "undefined")
    firm = main.assign(size=main["size"] + 9)
    v = judged("mean(main.x) / mean(main.size) > -1", firm, control=firm - 99)
    assert v.reason != "undefined" and v.high > v.low


# ---- units, levels, draws ------------------------------------------------------------------------


def test_units_have_to_be_said_where_several_things_vary():
    """Contract: the only dimension is the unit; of more none is guessed."""
    rng = np.random.default_rng(0)
    data = xr.Dataset({"x": (("seed", "prompt"), rng.normal(3, 1, (6, 8)))})
    with pytest.raises(ClaimError) as e:
        judged(main=data)
    assert e.value.code == "unit"
    assert judged(main=data, unit=("seed", "prompt")).n == {"seed": 6, "prompt": 8}
    fixed = judged(main=data, unit="prompt", fixed="seed")
    assert fixed.n == {"prompt": 8} and fixed.estimate == pytest.approx(data.x.mean().item())
    with pytest.raises(ClaimError) as e:
        judged(main=data, unit="prompt")
    assert e.value.code == "open-level"
    assert judged("main.x[seed=3] > 1", main=data).n == {"prompt": 8}


@pytest.mark.parametrize("repeat", ["run", "draw"])
def test_runs_and_draws_are_units_or_averaged(repeat):
    """Contract: averaged over where they are no units; a diverged run leaves nothing."""
    x = np.random.default_rng(0).normal(3, 1, (6, 8))
    data = xr.Dataset({"x": ((repeat, "prompt"), x)})
    assert judged(main=data, unit=(repeat, "prompt")).n == {repeat: 6, "prompt": 8}
    averaged = judged(main=data, unit="prompt")
    one = judged(main=xr.Dataset({"x": ("prompt", x.mean(0))}))
    assert (averaged.low, averaged.high) == pytest.approx((one.low, one.high))
    x[2] = np.nan
    assert judged(main=data, unit="prompt").reason == "undefined"


def test_each_draw_of_a_control_is_an_arm():
    """Contract: a rival each; of a declared noise family none of 20 may satisfy the claim."""
    rng = np.random.default_rng(1)

    def draws(n, good):
        x = rng.normal(0, 0.1, (n, 8)) + np.where(np.arange(n) < good, 1.5, 0.0)[:, None]
        return xr.Dataset({"x": (("draw", "seed"), x)})

    v = judged(control=draws(20, 0), noise="control")
    assert v.outcome == "holds" and v.controls["control"].draws == 20
    v = judged(control=draws(20, 1), noise="control")
    assert (v.outcome, v.reason) == ("undecided", "control") and v.controls[
        "control"
    ].satisfied == 1
    assert judged(control=draws(40, 1), noise="control").outcome == "holds"
    assert judged(control=draws(20, 10), noise="control").outcome == "unspecific"
    assert judged(control=draws(20, 1)).outcome == "unspecific"


def test_a_missing_level_leaves_its_unit_out():
    """Contract: no mean over levels drops it silently."""
    x = np.random.default_rng(3).normal(2, 0.1, (8, 3))
    data = xr.Dataset({"x": (("seed", "layer"), x)})
    holes = data.copy(deep=True)
    holes.x[2, 1] = np.nan
    assert judged("mean(main.x, over=layer) > 1", main=holes).n == {"seed": 7}
    assert judged("main.x[layer=0] > 1", main=holes).n == {"seed": 8}
    v = judged("mean(main.x, over=layer) > 1", main=data, control=holes - 2)
    assert v.outcome == "holds" and v.controls["control"].lead[0] == pytest.approx(2, abs=0.1)


def test_five_folds_are_enough_and_their_interval_is_wider():
    """Analytic: Nadeau and Bengio's variance is 1 + 5/4 times as large."""
    x = np.array([0.8, 0.82, 0.84, 0.86, 0.88])
    data = xr.Dataset({"x": ("fold", x)})
    v = judged("main.x > 0.5", main=data, folds="fold")
    assert v.outcome == "holds"
    half = stats.t.ppf(0.975, 4) * np.sqrt(x.var(ddof=1) / 5 * (1 + 5 / 4))
    assert (v.high - v.low) / 2 == pytest.approx(half)
    assert judged("main.x > 0.5", main=data).reason == "few-units"


# ---- what else a claim says ----------------------------------------------------------------------


def test_a_precondition_that_is_not_met_is_a_gate():
    """Contract: judged on the method alone."""
    main = seeds(1.5 + NOISE, lead=("seed", NOISE))
    v = judged(main=main, given="main.lead > 0.5")
    assert (v.outcome, v.reason, v.about) == ("undecided", "gate", "main.lead > 0.5")
    assert judged(main=main, given=("lead < 0.5", "other.x > 0"), other=2.0).outcome == "holds"


def test_planted_effects_have_to_be_found():
    """Contract: a planted one that is not found leaves the claim open, as a blind one does."""
    assert judged(found="planted", planted=1.5).outcome == "holds"
    v = judged(found="planted", planted=0.9)
    assert (v.outcome, v.reason, v.about) == ("undecided", "planted", "planted")
    none = "-0.1 < main.x < 0.1"
    assert judged(none, main=0.0).reason == "blind"
    assert judged(none, main=0.0, missed="known", known=0.15).outcome == "holds"
    assert judged(none, main=0.0, missed="known", known=0.3).reason == "blind"


def test_declared_bounds_make_limits_exact():
    """Other implementation: SciPy's Clopper-Pearson interval."""
    for k in range(9):
        data = seeds(np.arange(8) < k)
        v = judged("main.x > 0.5", main=data, bounds=(0, 1))
        want = stats.binomtest(k, 8).proportion_ci(0.95, "exact")
        assert (v.low, v.high) == pytest.approx((want.low, want.high), abs=1e-9)
    with pytest.raises(ClaimError) as e:
        judged(bounds=(0, 1))
    assert e.value.code == "out-of-bounds"
    sample = reading.sample(parse("x > 1"), {"a": seeds([np.nan, 0.2, 0.3])}, ["seed"], "a")
    assert bounded(sample, None) is sample and bounded(sample, (0, 1)).exact


def test_eight_equal_units_are_ties():
    """Contract: units that agree are no certainty."""
    assert judged(main=seeds([4.0] * 8)).reason == "ties"
    assert judged(main=seeds([4.0] * 3 + [4.5, 4.1, 4.2, 4.3, 4.4])).outcome == "holds"


def test_a_number_of_all_units_is_judged():
    """Planted: a correlation of .9 holds, its shuffled control does not, one unit makes none."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    main = seeds(x, y=("seed", x + 0.4 * rng.normal(size=40)))
    shuffled = main.assign(x=("seed", rng.permutation(x)))
    for name in ("corr", "spearman"):
        assert judged(f"{name}(x, y) > 0.5", main, control=shuffled).outcome == "holds"
    own = {"r": lambda a: np.corrcoef(a.x, a.y)[0, 1]}
    v = judged("r(main) > 0.5", main, own, control=shuffled, unit="seed")
    assert v.outcome == "holds"
    x, y = rng.normal(scale=0.1, size=(2, 80))
    x[41], y[41] = 3, 2.5
    assert judged("corr(x, y) > 0.5", seeds(x, y=("seed", y))).outcome == "undecided"
    assert judged("spearman(x, y) > 0.5", seeds(x, y=("seed", y))).outcome == "fails"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"controls": "nowhere"}, "unknown-arm"),
        ({"about": "nowhere"}, "unknown-arm"),
        ({"found": "nowhere"}, "unknown-arm"),
        ({"holds": "nowhere.x > 1"}, "unknown-arm"),
        ({"holds": "main.x - control.x > 1"}, "no-test"),
        ({"holds": "main.x"}, "no-range"),
        ({"holds": "x > 1", "about": "", "other": 3.0}, "which-arm"),
        ({"level": 1.5}, "claim"),
        ({"bounds": (1, 0)}, "claim"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(options, code):
    """Contract: a refusal with a code."""
    with pytest.raises(ClaimError) as e:
        judged(**{"control": 0.5} | options)
    assert e.value.code == code


def test_a_claim_is_data():
    """Contract: a name alone is one name; nothing of it can be changed."""
    claim = Claim("t", "x > 1", controls="c", unit="seed", found=["a", "b"])
    assert (claim.controls, claim.unit, claim.found, claim.given) == (
        ("c",),
        ("seed",),
        ("a", "b"),
        (),
    )
    assert dataclasses.replace(claim, level=0.9).why == {"c": ""}
    with pytest.raises(dataclasses.FrozenInstanceError):
        claim.holds = "x > 2"


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=14),
    st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=14),
    st.sampled_from(["main.x > 1", "-1 < main.x < 1", "main.x - y.x < 0.5", "main.x / y.x > 1"]),
)
@settings(max_examples=60, deadline=None)
def test_any_numbers_give_a_verdict(main, other, holds):
    """Contract: one of four outcomes, which the interval does not contradict."""
    v = judged(holds, main=seeds(main), control=seeds(other), y=seeds(other[::-1]), unit="seed")
    condition = parse(holds)
    inside = condition.low <= v.low and v.high <= condition.high
    assert v.outcome in ("holds", "fails", "unspecific", "undecided")
    assert inside or v.outcome not in ("holds", "unspecific")
    assert v.outcome != "fails" or v.high < condition.low or v.low > condition.high
    assert v.price is None or 0 < v.price[1] <= MOST + 1
