"""Outlook: expected half-widths against closed forms and against intervals of simulated units; what decides a claim."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy.special import stdtrit

from assay.core.claims import Claim
from assay.core.errors import DataError
from assay.core.intervals import interval
from assay.core.judging import judge
from assay.core.outlook import Outlook, Spread, outlook, placed, spread


def test_many_units_narrow_with_the_root():
    assert Spread(1.0, 1000).expected(4000) == pytest.approx(0.5, rel=1e-3)
    few = Spread(1.0, 6).expected(24)
    assert few == pytest.approx(0.5 * stdtrit(23, 0.975) / stdtrit(5, 0.975)), "few units pay Student's t as well"


def test_what_the_other_factor_adds_stays():
    crossed = Spread(1.0, 20, stays=0.36, beside=8)
    assert crossed.expected(20) == pytest.approx(1.0)
    assert crossed.expected(10**6) == pytest.approx(0.6, rel=1e-4), "seeds do not narrow what documents contribute"
    assert crossed.if_all_narrow().expected(80) == pytest.approx(0.5), "seven degrees of freedom both times: the smaller factor's"


def test_simulated_half_widths_are_met_on_the_average():
    """Squared half-widths over Student's t are unbiased: the root mean square over pilots promises what many units have."""
    x = np.random.default_rng(0).normal(size=(400, 6))
    planned = [spread(interval({"x": row}, lambda m: m["x"], draws=1)).expected(24) for row in x]
    assert np.sqrt(np.mean(np.square(planned))) == pytest.approx(stdtrit(23, 0.975) / 24**0.5, rel=0.05)


def test_simulated_crossed_units_are_met_on_the_average():
    rng, promised, came = np.random.default_rng(1), [], []
    for _ in range(120):
        a, b, e = rng.normal(size=(48, 1)), 1.5 * rng.normal(size=(1, 30)), 2 * rng.normal(size=(48, 30))
        few, many = ({"x": (a + b + e)[:n]} for n in (12, 48))
        promised.append(spread(interval(few, lambda m: m["x"], factors=2, draws=1)).expected(48))
        came.append(spread(interval(many, lambda m: m["x"], factors=2, draws=1)).half_width)
    assert np.exp(np.mean(np.log(promised)) - np.mean(np.log(came))) == pytest.approx(1, abs=0.05)


def claim(**fields):
    base = Claim(text="x is above 0", value=lambda arm, arms: arm.x, low=0.0, must_fail=("none",), threshold_from="theory: zero", source="here")
    return dataclasses.replace(base, **fields)


def arms(n, mean=0.3, unit="seed"):
    x = np.random.default_rng(2).normal(mean, 1, n)
    made = xr.Dataset({"x": ("run", x)}, coords={"seed": ("run", np.arange(n)), "entry": ("run", np.arange(n))})
    return {"main": made, "none": made - 1.0}


def test_the_fewest_units_decide_and_one_less_does_not():
    found = outlook(claim(), arms(12))
    need = found.fewest()
    assert found.outcome(need) != "undecided" and found.outcome(need - 1) == "undecided"
    half = found.spread.expected(need)
    assert half < found.distance < found.spread.expected(need - 1)
    now = judge(claim(), arms(12))
    assert found.estimate == pytest.approx(now.verdict.estimate)
    assert found.spread.half_width == pytest.approx((now.verdict.t_high - now.verdict.t_low) / 2)


def test_what_no_number_of_units_decides():
    between = Outlook(0.5, Spread(1.0, 10), (0.6, 1.0), (0.4, 1.2), "seed")
    assert between.fewest() is None and between.distance == 0 and "between its bounds" in between.told()
    floor = Outlook(0.5, Spread(1.0, 10, stays=0.9, beside=20), (0.0, 9.0), (0.0, 9.0), "seed")
    assert floor.fewest() is None and floor.told() == "no number of seeds"
    assert Outlook(0.5, Spread(0.0, 10), (0.0, 9.0), (0.0, 9.0), "seed").fewest() == 6, "fewer give no verdict"


def test_on_the_scale_of_judging():
    found = outlook(claim(low=0.5, high=2.0, scale="log", value=lambda arm, arms: np.exp(arm.x)), arms(12, mean=0.0))
    assert found.hold == (pytest.approx(np.log(0.5)), pytest.approx(np.log(2)))
    assert found.spread.half_width == outlook(claim(low=-1.0), arms(12, mean=0.0)).spread.half_width


def test_other_units_are_not_bought_with_seeds():
    assert outlook(claim(units=("entry",)), arms(12)) is None
    assert outlook(claim(units=("entry",)), arms(12), "entry").spread == outlook(claim(), arms(12)).spread


@pytest.mark.parametrize("wrong", [lambda: Spread(1.0, 1), lambda: Spread(-1.0, 5), lambda: Spread(1, 5, stays=2), lambda: Spread(1, 5).expected(1)])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(DataError):
        wrong()


def test_places():
    assert [placed(a, b, (0, 1), (-1, 2)) for a, b in ((0.1, 0.9), (2.1, 3), (1.1, 1.5))] == ["holds", "fails", "undecided"]
