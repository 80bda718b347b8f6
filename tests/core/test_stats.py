"""Intervals and statistics against naive loops, hand-worked numbers and closed forms."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from assay.core import intervals
from assay.core.errors import ClaimError
from assay.core.intervals import counts, interval, student_limits
from assay.core.stats import (
    at_best,
    at_matched,
    correlation,
    difference,
    lead_at_own,
    mean,
    products,
    ratio,
    share_closed,
    slope,
)


def crossed(a=6, b=9, seed=0):
    rng = np.random.default_rng(seed)
    err = rng.normal(size=(a, 1)) + rng.normal(size=(a, b)) + 5
    return {"err": err, "var": rng.exponential(size=(1, b)) * np.ones((a, 1)) + 1}


def test_bootstrap_limits_equal_a_loop_that_resamples_rows_and_columns():
    terms, draws = crossed(6, 9), 200
    c, d = counts(0, 6, draws), counts(1, 9, draws)
    values = []
    for k in range(draws):
        err = var = 0.0
        for s in np.repeat(np.arange(6), c[k]):
            for j in np.repeat(np.arange(9), d[k]):
                err += terms["err"][s, j]
                var += terms["var"][s, j]
        values.append(err / var)
    tail = reference.norm.cdf(-reference.t.ppf(0.975, 5) * math.sqrt(6 / 5))
    got = interval(terms, ratio("err", "var"), factors=2, draws=draws)
    np.testing.assert_allclose(
        [got.boot_low, got.boot_high], np.quantile(values, [tail, 1 - tail]), rtol=1e-12
    )
    assert got.estimate == pytest.approx(terms["err"].sum() / terms["var"].sum(), rel=1e-12)
    a, b = got.parts  # Satterthwaite's degrees of freedom of a sum
    assert got.n == (6, 9)
    assert got.df == pytest.approx(got.variance**2 / (a**2 / 5 + b**2 / 8))


def test_draws_do_not_depend_on_how_they_are_chunked(monkeypatch):
    whole = interval(crossed(), ratio("err", "var"), factors=2, draws=1000)
    monkeypatch.setattr(intervals, "_BLOCK", 2000)
    parts = interval(crossed(), ratio("err", "var"), factors=2, draws=1000)
    np.testing.assert_allclose([whole.low, whole.high], [parts.low, parts.high], rtol=1e-12)


def test_fewer_than_six_units_have_students_interval_and_six_the_hull():
    few = np.array([0.0, 0.0, 1.0, 9.0, 2.0])
    more = np.array([0.0, 0.0, 1.0, 9.0, 2.0, 1.0])
    i = interval({"x": few}, mean)
    expected = reference.t.interval(0.95, 4, few.mean(), few.std(ddof=1) / 5**0.5)
    assert (i.low, i.high) == pytest.approx(expected)
    assert i.high < i.skew_high and i.limits() == (i.low, i.high)
    i = interval({"x": more}, mean)
    assert i.high == i.skew_high > i.t_high


def test_five_folds_of_a_probe_seldom_hold_falsely():
    rng, false, folds = np.random.default_rng(0), 0, np.arange(60) % 5
    # two probes of 10 coordinates, of which one tells as much in each
    for _ in range(400):
        y = rng.choice([-1, 1], 60)
        x = rng.normal(size=(60, 20))
        x[:, [0, 10]] += 0.5 * y[:, None]
        fits = [
            [np.linalg.lstsq(x[folds != k][:, part], y[folds != k])[0] for k in range(5)]
            for part in (slice(10), slice(10, 20))
        ]
        right = [
            [(np.sign(x[folds == k][:, part] @ w[k]) == y[folds == k]).mean() for k in range(5)]
            for part, w in zip((slice(10), slice(10, 20)), fits, strict=True)
        ]
        i = interval({"x": np.subtract(*right)}, mean, draws=1, units=("fold",))
        false += i.low > 0
    assert false <= 20  # 2.5 % of 400, and three standard errors


def test_the_skew_correction_is_halls_transformation():
    x = np.random.default_rng(6).gamma(4.0, size=9)
    got = interval({"x": x}, mean)
    n, skew = 9, reference.skew(x)  # by plain moments, g1

    def transformed(t):
        return (
            t
            + skew / (3 * math.sqrt(n)) * t**2
            + skew**2 / (27 * n) * t**3
            + skew / (6 * math.sqrt(n))
        )

    error = x.std(ddof=1) / math.sqrt(n)
    limits = [(x.mean() - limit) / error for limit in (got.skew_low, got.skew_high)]
    t = reference.t.ppf(0.975, 8)
    assert [transformed(z) for z in limits] == pytest.approx([t, -t], rel=1e-9)
    assert got.low == min(got.t_low, got.skew_low)
    assert got.high == max(got.t_high, got.skew_high)


def test_the_correction_at_most_doubles_a_distance_and_covers_the_truth_as_often():
    """Without bounds, limits would be up to five times as far off, to cover 0.3% more."""
    x = np.random.default_rng(5).exponential(size=(20_000, 8))
    t, c = reference.t.ppf(0.975, 7), reference.skew(x, axis=1) / math.sqrt(8)
    error = x.std(1, ddof=1) / math.sqrt(8)
    t_low, t_high, low, high = student_limits(x.mean(1), error**2, c * error**3, t)
    endless = [x.mean(1) - error * 3 / c * (np.cbrt(1 + c * (q - c / 6)) - 1) for q in (t, -t)]

    def of(low, high):
        low, high = np.minimum(t_low, low), np.maximum(t_high, high)
        times = (high - low) / (t_high - t_low)
        return ((low < 1) & (high > 1)).mean(), np.quantile(times, 0.9)

    (covered, times), (covered_endless, times_endless) = of(low, high), of(*endless)
    assert covered > covered_endless - 0.005 and covered > 0.933
    assert times <= 1.5 + 1e-9 and times_endless > 2.4
    np.testing.assert_array_less(np.abs(low - x.mean(1)), 3 / np.abs(c) * error + 1e-9)


def test_variance_of_a_crossed_ratio_equals_loops_that_leave_out_rows_columns_and_cells():
    terms = crossed(6, 7, seed=3)

    def theta(keep):
        return terms["err"][keep].sum() / terms["var"][keep].sum()

    def jackknife(masks):
        t = np.array([theta(m) for m in masks])
        return (len(t) - 1) / len(t) * ((t - t.mean()) ** 2).sum()

    rows, cols, cells = [], [], []
    for s in range(6):
        rows.append(np.ones((6, 7), bool))
        rows[-1][s] = False
    for j in range(7):
        cols.append(np.ones((6, 7), bool))
        cols[-1][:, j] = False
    for s in range(6):
        for j in range(7):
            cells.append(np.ones((6, 7), bool))
            cells[-1][s, j] = False
    v_a, v_b, v_ab = jackknife(rows), jackknife(cols), jackknife(cells)
    got = interval(terms, ratio("err", "var"), factors=2)
    assert got.parts == pytest.approx((v_a, v_b), rel=1e-9)
    assert got.variance == pytest.approx(max(v_a + v_b - v_ab, v_a, v_b), rel=1e-9)
    degrees = got.variance**2 / (v_a**2 / 5 + v_b**2 / 6)
    half = reference.t.ppf(0.975, degrees) * math.sqrt(got.variance)
    assert (got.t_low, got.t_high) == pytest.approx(
        (got.estimate - half, got.estimate + half), rel=1e-12
    )


def test_a_cell_that_is_missing_in_one_term_counts_in_none():
    terms = crossed(6, 9)
    terms["err"][2, 4] = np.nan
    keep = ~np.isnan(terms["err"])
    got = interval(terms, ratio("err", "var"), factors=2)
    assert got.estimate == pytest.approx(
        terms["err"][keep].sum() / terms["var"][keep].sum(), rel=1e-12
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 0.9, 4.0, 1e9 + 0.1])
def test_equal_units_give_exactly_their_value_and_no_width(value):
    got = interval({"x": np.full((7, 11), value)}, mean, factors=2)
    assert [got.estimate, got.low, got.high, got.t_low, got.t_high] == [value] * 5


def test_points_are_the_statistic_of_each_level_alone():
    terms = crossed()
    got = interval(terms, ratio("err", "var"), factors=2)
    np.testing.assert_allclose(got.points, terms["err"].sum(1) / terms["var"].sum(1), rtol=1e-12)


@given(st.floats(-100, 100), st.floats(0.01, 100), st.integers(0, 50))
@settings(max_examples=25)
def test_intervals_move_and_stretch_with_the_numbers(shift, factor, seed):
    x = np.random.default_rng(seed).normal(size=(6, 8))
    one = interval({"x": x}, mean, factors=2, draws=500)
    two = interval({"x": factor * x + shift}, mean, factors=2, draws=500)
    for limit in ("estimate", "low", "high", "t_low", "t_high"):
        assert getattr(two, limit) == pytest.approx(
            factor * getattr(one, limit) + shift, rel=1e-6, abs=1e-6 * factor
        )
    assert one.low <= one.high and one.t_low <= one.estimate <= one.t_high


@pytest.mark.parametrize(
    ("terms", "statistic", "says"),
    [
        ({}, mean, "at least one term"),
        (
            {"a": np.ones(6), "b": np.ones(5)},
            ratio("a", "b"),
            "same 1 unit axes first, got shapes a [6], b [5]",
        ),
        ({"a": np.array([1.0, np.inf])}, mean, "'a' is infinite in 1 places"),
        ({"a": np.full(6, np.nan)}, mean, "nothing is left to judge"),
        ({"a": np.ones((6, 3))}, mean, "one number per draw"),
        ({"a": np.ones(6), "b": np.ones(6)}, mean, "exactly one term, got a, b"),
        ({"err": np.ones(6), "var": np.ones(6)}, ratio("err", "vars"), "'vars'; did you mean var?"),
        ({"a.x": np.ones(6)}, difference("x"), "no term of side 'b' among a.x"),
    ],
)
def test_terms_that_make_no_sense_are_refused_in_one_line(terms, statistic, says):
    with pytest.raises(ClaimError) as e:
        interval(terms, statistic)
    assert says in str(e.value) and "\n" not in str(e.value)


# sweeps whose y is a power of x: straight lines in log x, log y, so interpolation is exact


def power(level, slope, x):
    x = np.asarray(x, float)[None]
    return {"l0": x, "fvu": level * x**-slope}


def at_sides(**named):
    return {f"{side}.{k}": v for side, terms in named.items() for k, v in terms.items()}


def test_matched_difference_of_power_laws_is_its_mean_over_the_overlap_in_log_x():
    m = at_sides(a=power(0.30, 0.2, [4, 10, 30]), b=power(0.35, 0.2, [6, 12, 40]))
    # mean of x^-p over [6, 30] in log x: (6^-p - 30^-p) / (p log(30/6))
    exact = (0.30 - 0.35) * (6**-0.2 - 30**-0.2) / (0.2 * math.log(5))
    assert at_matched("l0", "fvu")(m)[0] == pytest.approx(exact, rel=1e-5)


def test_matched_at_given_budgets():
    m = at_sides(a=power(0.30, 0.2, [30, 4, 10]), b=power(0.35, 0.1, [6, 12, 40]))
    exact = np.mean([0.30 * x**-0.2 - 0.35 * x**-0.1 for x in (7, 20)])
    assert at_matched("l0", "fvu", at=(7.0, 20.0))(m)[0] == pytest.approx(exact, rel=1e-12)
    assert np.isnan(at_matched("l0", "fvu", at=(5.0,))(m)[0])  # below b's sweep


def test_sweeps_without_overlap_are_undefined_never_extrapolated():
    m = at_sides(a=power(0.3, 0.2, [1, 2]), b=power(0.3, 0.2, [3, 4]))
    for statistic in (at_matched("l0", "fvu"), lead_at_own("l0", "fvu")):
        assert np.isnan(statistic(m)[0])


def test_lead_at_own_budget_interpolates_the_other_side_only():
    m = at_sides(
        a={"l0": np.array([11.0]), "fvu": np.array([0.15])}, b=power(0.35, 0.2, [6, 12, 40])
    )
    assert lead_at_own("l0", "fvu")(m)[0] == pytest.approx(0.35 * 11**-0.2 - 0.15, rel=1e-12)


def test_lead_at_an_equal_single_point_needs_no_sweep():
    m = at_sides(
        a={"l0": np.array([11.0]), "fvu": np.array([0.15])},
        b={"l0": np.array([11.0]), "fvu": np.array([0.18])},
    )
    assert lead_at_own("l0", "fvu")(m)[0] == pytest.approx(0.03, rel=1e-12)


def test_share_closed_by_hand():
    best = {"l0": np.array([10.0]), "fvu": np.array([0.20])}
    m = at_sides(best=best, base=power(0.24, 0, [5, 20]), repaired=power(0.21, 0, [5, 20]))
    assert share_closed("l0", "fvu")(m)[0] == pytest.approx(0.75, rel=1e-12)


def scored(seeds=7, densities=3, features=2):
    rng = np.random.default_rng(0)
    coords = {"seed": range(1000, 1000 + seeds), "density": np.linspace(0.1, 1, densities)}
    x = xr.DataArray(
        rng.normal(size=(seeds, densities, features)),
        dims=("seed", "density", "feature"),
        coords=coords,
    )
    return x, xr.DataArray(
        rng.normal(size=(seeds, densities)), dims=("seed", "density"), coords=coords
    )


@pytest.mark.parametrize("better", ["low", "high"])
@pytest.mark.parametrize("turned", [False, True])
def test_at_best_is_a_loop_over_groups_and_points(better, turned):
    x, score = scored()
    got = at_best(x, score.transpose("density", "seed") if turned else score, 3, better)
    assert got.dims == ("group", "density", "feature")
    assert got.group.values.tolist() == [0, 1]
    assert "seed" not in got.coords and got.density.equals(x.density)
    for g in range(2):  # the seventh seed is an incomplete group
        for p in range(3):
            seeds = range(3 * g, 3 * g + 3)
            best = (min if better == "low" else max)(seeds, key=lambda s: float(score[s, p]))
            assert got.values[g, p].tolist() == x.values[best, p].tolist()


def test_at_best_never_takes_a_unit_without_a_score_and_the_first_of_equal_ones():
    x = xr.DataArray([1, 2, 3, 4, 5, 6], dims="seed")
    nan = float("nan")
    assert at_best(x, xr.DataArray([nan, 9.0, 1, 1, 0, nan], dims="seed"), 2).values.tolist() == [
        2,
        3,
        5,
    ]
    np.testing.assert_array_equal(
        at_best(x, xr.DataArray([nan, nan, 1.0, 0, 0, 1], dims="seed"), 2), [nan, 4, 5]
    )


def test_at_best_refuses_what_does_not_belong_together():
    x, score = scored()
    with pytest.raises(ClaimError, match="at least k=9 levels of dim 'seed'"):
        at_best(x, score, 9)
    with pytest.raises(ClaimError, match="other levels of 'seed'"):
        at_best(x, score.assign_coords(seed=range(7)), 2)
    with pytest.raises(ClaimError, match="other levels of 'density'"):
        at_best(x[:, 0], score, 2)


def test_correlation_and_slope_are_those_of_scipy_at_any_weights():
    rng = np.random.default_rng(3)
    x = xr.DataArray(rng.normal(1e4, 1, 30), dims="seed")
    y = 2.5 * x + rng.normal(0, 2, 30)
    terms = {name: t.values for name, t in products(x, y).items()}
    times = counts(0, 30, 5)
    drawn = {name: (times @ t) / 30 for name, t in terms.items()}
    for k, often in enumerate(times):
        rows = np.repeat(np.arange(30), often)
        fitted = reference.linregress(x.values[rows], y.values[rows])
        assert correlation(drawn)[k] == pytest.approx(fitted.rvalue, abs=1e-6)
        assert slope(drawn)[k] == pytest.approx(fitted.slope, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_a_constant_correlates_with_nothing(value):
    x, y = (
        xr.DataArray(v, dims="seed")
        for v in (np.full(30, value), np.random.default_rng(3).normal(size=30))
    )
    for terms in (products(x, y), products(y, x)):
        m = {name: t.values for name, t in terms.items()}
        # a draw of one unit only
        alike = {name: t[:1].repeat(30)[None] for name, t in m.items()}
        for drawn in (
            {name: (counts(0, 30, 5) @ t) / 30 for name, t in m.items()},
            {name: t.mean(1) for name, t in alike.items()},
        ):
            assert np.isnan(correlation(drawn)).all()


def test_products_are_averaged_over_partners():
    rng = np.random.default_rng(4)
    y = xr.DataArray(rng.normal(size=12), dims="seed")
    x = xr.concat([y, -y], "partner")  # half of the partners say the opposite
    terms = {
        name: t.mean("seed").values[None] for name, t in products(x, y, over=["partner"]).items()
    }
    assert correlation(terms)[0] == pytest.approx(0, abs=1e-12)
