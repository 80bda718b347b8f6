"""Claims judged on measures made by hand, against arithmetic and SciPy's laws."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.verdicts.claims import Claim, judge_arrays

SEEDS = np.arange(1000, 1008)
NOISE = np.array([-3, 2, -1, 0, 1, -2, 3, 0]) / 100  # spread of eight seeds, mean 0


def of_seeds(x, seeds=SEEDS):
    """An arm with one x for each seed."""
    return xr.Dataset({"x": ("seed", np.asarray(x, float))}, {"seed": np.asarray(seeds)})


def arm(level, seeds=SEEDS, spread=1.0):
    return of_seeds(level + spread * np.resize(NOISE, len(seeds)), seeds)


def judged(holds="main.x > 1", main=1.5, control=0.5, options=None, **arms):
    given = {"main": main, "control": control, **arms}
    given = {name: x if isinstance(x, xr.Dataset) else arm(x) for name, x in given.items()}
    asked = {"about": "main", "controls": "control"} | (options or {})
    return judge_arrays(Claim("x is at least 1", holds, **asked), given)


def test_a_claim_that_fails_stands_whatever_its_controls_do():
    assert judged(main=0.5, control=1.5).outcome == "fails"


def test_a_range_holds_inside_and_fails_outside():
    band = "0.9 < main.x < 1.1"
    assert judged(band, main=1.0).outcome == "holds"
    assert judged(band, main=1.3).outcome == "fails"
    assert judged(band, main=1.1).reason == "straddles"


def test_units_between_bounds_get_the_clopper_pearson_interval():
    for k in range(9):
        share = of_seeds(np.arange(8) < k)
        none = of_seeds(np.arange(8) < 0)
        v = judged("main.x > 0.5", share, none, {"bounds": (0, 1)})
        wanted = stats.binomtest(k, 8).proportion_ci(0.95, "exact")
        assert (v.low, v.high) == pytest.approx(tuple(wanted), abs=1e-9)
        assert v.low < v.high
        assert v.outcome == (
            "holds" if wanted.low >= 0.5 else "fails" if wanted.high < 0.5 else "undecided"
        )


def crossed(x):
    """An arm of seeds crossed with prompts."""
    x = np.asarray(x, float)
    return xr.Dataset({"x": (("seed", "prompt"), x)}, {"seed": range(6), "prompt": range(9)})


@pytest.mark.parametrize("kind", ["seed", "prompt", "both", "cell", "mixed"])
def test_crossed_cells_all_right_err_no_more_often_than_stated(kind):
    """The truth lies below the lower end, as all cells happen to be right, in 2.5 % of experiments
    at most, whichever factor decides what is right; where only the smaller one does, in just
    these."""
    rng, worlds, n = np.random.default_rng(3), 40_000, (6, 9)
    by = {"bounds": (0, 1), "unit": ("seed", "prompt")}
    low = judged("main.x > 0.9", crossed(np.ones(n)), crossed(np.zeros(n)), by).low
    truth = low - 1e-9
    seed = rng.random((worlds, 6, 1))
    prompt = rng.random((worlds, 1, 9))
    cell = rng.random((worlds, *n))
    right = {
        "seed": seed < truth,
        "prompt": prompt < truth,
        "both": (seed < truth**0.5) & (prompt < truth**0.5),
        "cell": cell < truth,
        "mixed": (seed < truth**0.8) & (cell < truth**0.2),
    }[kind]
    wrong = np.broadcast_to(right, (worlds, *n)).all((1, 2)).mean()
    assert wrong <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / worlds)
    assert kind != "seed" or wrong > 0.02


def test_what_would_have_been_found_stands_beside_what_was_not():
    v = judged(main=1.01)  # s/sqrt(8) = 0.00707
    assert v.outcome == "undecided"
    shift = (v.detectable - 1.0) / (0.02 / math.sqrt(8))
    # the power of Student's t, where the rule takes the estimate's error as normal
    assert 1 - stats.nct.cdf(2.364624, 7, shift) == pytest.approx(0.8, abs=0.02)


def test_reason_interval_straddles_and_its_price_comes_true():
    v = judged(main=1.005)
    unit, n = v.price
    assert v.reason == "straddles" and unit == "seed"
    # noncentral t: (.02 * (1.979 + .845) / .005)^2 = 127.6 seeds in all have a power of .8
    assert 124 <= n <= 138
    x = 1.005 + np.resize(NOISE, n // 8 * 8 + 8)[:n]
    more = of_seeds(x - x.mean() + 1.005, np.arange(n))
    assert judged(main=more).outcome == "holds"


def test_gates_are_not_asked_of_controls():
    v = judged(options={"given": "main.x > 0.9"})
    assert v.outcome == "holds" and v.controls["control"].outcome == "beaten"


def test_gate_goes_before_planted_and_straddling():
    v = judged(main=1.0, planted=0.5, options={"given": "main.x > 9", "found": "planted"})
    assert (v.reason, v.about) == ("gate", "main.x > 9")


def test_runs_that_share_a_seed_are_averaged():
    v = judged(main=xr.concat([arm(1.0), arm(2.0)], "run"), options={"unit": "seed"})
    assert v.n == {"seed": 8} and v.estimate == pytest.approx(1.5)
    assert v.low == pytest.approx(1.5 - 2.364624 * NOISE.std(ddof=1) / 8**0.5)


def test_a_level_is_chosen_in_every_arm_and_gate():
    def sweep(level):
        return xr.concat([arm(level), arm(99)], "density").assign_coords(density=[0.01, 0.1])

    given = {"given": "main.x[density=0.01] < 2"}
    v = judged("main.x[density=0.01] > 1", sweep(1.5), sweep(0.5), given)
    assert v.outcome == "holds" and v.estimate == pytest.approx(1.5)


def test_a_difference_of_two_arms_pairs_seeds():
    v = judged("other.x - main.x > 0.5", main=1.0, other=arm(2.0, spread=1.001), control=2.0)
    # the same noise in both arms cancels
    assert v.outcome == "holds" and v.high - v.low < 1e-4


def test_a_log_scale_estimates_the_geometric_mean():
    main = of_seeds(np.exp(np.arange(8.0) - 3.5))
    v = judged("mean(log(main.x)) > log(0.05)", main=main, control=main / 1e4)
    assert v.outcome == "holds" and v.estimate == pytest.approx(0.0)
    # t interval of the logs, mean 0, s = sqrt(6)
    assert v.high == pytest.approx(2.364624 * math.sqrt(6 / 8), rel=1e-6)


def test_a_run_without_a_number_leaves_with_its_seed():
    main = of_seeds(np.where(SEEDS == 1003, np.nan, 1.5 + NOISE))
    v = judged(main=main)
    assert v.outcome == "holds" and v.n == {"seed": 7}
    assert v.estimate == pytest.approx(np.delete(1.5 + NOISE, 3).mean())


def test_all_runs_without_a_number_give_a_verdict_and_no_crash():
    v = judged(main=of_seeds(np.full(8, np.nan)))
    assert v.outcome == "undecided" and math.isnan(v.estimate)


def test_an_arm_can_be_judged_as_if_it_were_the_method():
    asked = {"about": "control", "controls": "main"}
    assert judged("x > 1", options=asked).outcome == "fails"
    assert judged("x > 1", main=0.5, control=1.5, options=asked).outcome == "holds"


def test_controls_may_have_reasons():
    near = {"control": "why", "other": "why too"}
    assert Claim("x", "main.x > 1", controls=near).why == near
    assert [*Claim("x", "main.x > 1", controls=("other", "control")).why] == ["other", "control"]


@given(st.floats(0.2, 3.0), st.floats(0, 3))
@settings(max_examples=30)
def test_an_outcome_never_contradicts_its_interval(level, spread):
    v = judged(main=arm(level, spread=spread + 0.01))
    if v.outcome == "holds":
        assert v.low >= 1
    elif v.outcome == "fails":
        assert v.high < 1
    else:
        assert v.low < 1 <= v.high


def test_two_fields_of_the_runs_can_be_crossed():
    x = np.arange(48.0).reshape(6, 8)
    main = xr.Dataset({"x": (("seed", "task"), x)}, {"seed": range(6), "task": range(8)})
    v = judged(main=main, control=main - 99, options={"unit": ("seed", "task")})
    assert v.n == {"seed": 6, "task": 8} and v.estimate == 23.5
