"""The rule against SciPy, loops, simulated worlds and arithmetic."""

import ast
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from assay.verdicts import rule
from assay.verdicts.rule import Control, Hypothesis, Sample, by_count, interval, judge, less

NOISE = np.array([-3, 2, -1, 0, 1, -2, 3, 0]) / 100  # mean 0, standard deviation .02, no skew


def sample(*terms, formula="x0", labels=None, **options):
    """A sample of one kind of unit."""
    cells = np.stack([np.asarray(x, float) for x in terms], axis=1)
    labels = np.arange(len(cells)) if labels is None else np.asarray(labels)
    return Sample(cells, {"seed": labels.astype(str)}, formula, **options)


def crossed(*terms, formula="x0", **options):
    """A sample of two crossed kinds, from arrays [a, b]."""
    a, b = np.indices(np.shape(terms[0]))
    units = {"a": a.ravel().astype(str), "b": b.ravel().astype(str)}
    return Sample(
        np.stack([np.ravel(x) for x in terms], 1).astype(float), units, formula, **options
    )


def verdict(main=1.5, control=None, low=1.0, high=math.inf, unmet=(), noise=NOISE, **arms):
    """A claim about main, with a control, planted effects or known violations."""
    samples = {"main": main, "control": control, **arms}
    samples = {k: x for k, x in samples.items() if x is not None}
    samples = {
        k: x if isinstance(x, Sample) else sample(x + np.roll(noise, k_))
        for k_, (k, x) in enumerate(samples.items())
    }
    controls = (Control("control", ("control",)),) if "control" in samples else ()
    h = Hypothesis(low, high, controls=controls, found=tuple(k for k in arms if k == "found"))
    h = rule.replace(h, missed=tuple(k for k in arms if k == "missed"))
    return judge(h, samples, unmet)


# ---- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "value", "divisors"),
    [
        ("x0", 3, ()),
        ("-x0 + 2 * x1 ** 2 - +x0", 2, ()),
        ("x0 / x1 - 1 / 2", 1, ("x1",)),
        ("(x0 + 1) / (x1 - 1) / x0", 4 / 3, ("x0", "x1 - 1")),
        ("abs(x1 - x0) + log(exp(x1)) + sqrt(x1 * 2)", 5, ()),
        ("min(x0, x1) * max(x0, x1)", 6, ()),
    ],
)
def test_a_formula_is_arithmetic_of_means(formula, value, divisors):
    """Other implementation: arithmetic by hand."""
    function, divided_by = rule.compiled(formula)
    assert function(np.array([[3.0, 2.0], [3.0, 2.0]])) == pytest.approx([value, value])
    assert {*divided_by} == {*divisors}


@pytest.mark.parametrize("text", ["y0", "x0 < 1", "x0 if x0 else 1", "open('f')", "x0.real", "'a'"])
def test_a_formula_holds_nothing_else(text):
    """Contract: a closed set of nodes, as formulas come with files."""
    with pytest.raises((ValueError, TypeError)):
        rule.compiled(text)[0](np.ones((1, 1)))
    assert isinstance(ast.parse(text), ast.Module)


# ---- intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_units_have_students_interval(n):
    """Other implementation: SciPy."""
    x = np.random.default_rng(n).exponential(size=n)
    want = stats.t.interval(0.9, n - 1, x.mean(), stats.sem(x))
    found = interval(sample(x))
    assert found.limits(0.9) == pytest.approx(want) and found.df == pytest.approx(n - 1)
    assert found.n == {"seed": n} and found.points == pytest.approx(x)


def test_units_without_skew_have_students_interval():
    """Other implementation: SciPy."""
    for level in (0.8, 0.95, 0.99):
        want = stats.t.interval(level, 7, 1.5, stats.sem(NOISE))
        assert interval(sample(1.5 + NOISE)).limits(level) == pytest.approx(want)


def test_skewed_units_have_halls_interval_joined():
    """Analytic: Hall 1992, computed once more."""
    x = np.random.default_rng(0).exponential(size=20)
    d = x - x.mean()
    c, t = (d**3).sum() / (d**2).sum() ** 1.5, stats.t.ppf(0.975, 19)

    def root(q):  # of y + c/3 y² + c²/27 y³ + c/6 = q
        return optimize.brentq(lambda y: y + c / 3 * y**2 + c**2 / 27 * y**3 + c / 6 - q, -50, 50)

    bent = root(t), root(-t)
    assert [rule.bent(q, c, 1.0) for q in (t, -t)] == pytest.approx(bent)
    error = stats.sem(x)
    want = x.mean() - error * max(t, bent[0]), x.mean() - error * min(-t, bent[1])
    assert interval(sample(x)).limits() == pytest.approx(want)


def test_nothing_is_bent_further_than_twice():
    """Contract: from -2|q| to 2|q|; without skew, or without spread, as it is."""
    for third in (-40.0, -3.0, 3.0, 40.0):
        for q in (-2.0, 2.0):
            assert abs(rule.bent(q, third, 1.0)) <= 4
    assert rule.bent(-2.0, 0.7, 1.0) == -4 and rule.bent(2.0, -0.7, 1.0) == 4
    assert rule.bent(2.0, 0.0, 1.0) == 2
    assert rule.bent(2.0, 1.0, 0.0) == 2 and rule.bent(2.0, 1e-7, 1.0) == 2


@pytest.mark.parametrize("sizes", [(6, 9), (12, 7), (6, 2)])
def test_independent_arms_are_welchs(sizes):
    """Other implementation: SciPy, of numbers about their mean."""
    n, m = sizes
    x, y = np.linspace(-1, 1, n) + 3, 4 * np.linspace(-1, 1, m)
    found = interval(less(sample(x), sample(y, labels=np.arange(100, 100 + m))))
    want = stats.ttest_ind(x, y, equal_var=False)
    assert found.limits() == pytest.approx(tuple(want.confidence_interval()))
    assert found.df == pytest.approx(want.df) and found.n == {"seed": n + m}


def test_arms_on_the_same_units_are_paired():
    """Other implementation: SciPy; some of the units are in one arm alone."""
    y = np.random.default_rng(1).normal(size=8)
    x = y + NOISE
    want = stats.ttest_rel(x, y).confidence_interval()
    assert interval(less(sample(x), sample(y))).limits() == pytest.approx(tuple(want))
    ratio = less(sample(x, y, formula="x0 / x1"), sample(y, x, formula="x1 - x0"))
    assert ratio.formula == "(x0 / x1) - (x3 - x2)" and ratio.bounds is None
    bounded = less(sample(x, bounds=(0, 1)), sample(y, bounds=(-1, 3)))
    assert bounded.bounds == (-3, 2) and not bounded.exact
    assert less(sample(x, exact=True), sample(y, exact=True)).exact


def test_a_crossed_ratio_varies_as_loops_say():
    """Other implementation: leaving out rows, columns and cells, one at a time."""
    rng = np.random.default_rng(2)
    e, v = rng.exponential(size=(2, 6, 9)) + rng.normal(size=(2, 6, 1)) ** 2
    found = interval(crossed(e, v, formula="x0 / x1"))

    def jackknife(left):
        return (len(left) - 1) * np.var(left)

    rows = jackknife([np.delete(e, k, 0).sum() / np.delete(v, k, 0).sum() for k in range(6)])
    columns = jackknife([np.delete(e, k, 1).sum() / np.delete(v, k, 1).sum() for k in range(9)])
    cells = jackknife([(e.sum() - x) / (v.sum() - y) for x, y in zip(e.flat, v.flat, strict=True)])
    assert found.estimate == pytest.approx(e.sum() / v.sum())
    assert found.parts == pytest.approx((rows, columns))
    variance = max(rows + columns - cells, rows, columns)
    assert found.variance == pytest.approx(variance)
    assert found.df == pytest.approx(variance**2 / (rows**2 / 5 + columns**2 / 8))
    assert found.n == {"a": 6, "b": 9}


def test_one_kind_of_unit_alone_may_vary():
    """Analytic: without variance between columns, the rows' t interval."""
    x = np.linspace(-1, 1, 8)
    found = interval(crossed(np.repeat(x[:, None], 12, 1)))
    assert found.limits() == pytest.approx(stats.t.interval(0.95, 7, 0, stats.sem(x)), abs=1e-12)


def test_a_unit_without_a_number_is_in_no_term():
    """Other implementation: the interval without it."""
    x, y = np.random.default_rng(3).normal(5, 1, (2, 9))
    holes = x.copy()
    holes[4] = np.nan
    found = interval(sample(holes))
    assert found.limits() == interval(sample(np.delete(x, 4))).limits() and found.n == {"seed": 8}
    assert interval(sample(holes, y, formula="x0 / x1")).n == {"seed": 9}
    assert interval(sample(holes * np.nan)).n == {"seed": 9}


def test_folds_widen_the_interval():
    """Analytic: V (1 + k/(k - 1)), Nadeau and Bengio 2003."""
    x = np.random.default_rng(4).normal(size=5)
    assert interval(sample(x), folds="seed").variance == pytest.approx(x.var(ddof=1) / 5 * 2.25)
    assert interval(sample(x), folds="other").variance == pytest.approx(x.var(ddof=1) / 5)


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.0, 1.0)])
def test_a_number_between_ends_stays_between_them(ends):
    """Analytic: Student's interval on the scale of the logit, to first order."""
    least, most = ends
    x = 0.9 + NOISE
    found = interval(sample(x, ends=ends))
    g = lambda p: math.log((p - least) / (most - p))  # noqa: E731
    slope = (most - least) / ((0.9 - least) * (most - 0.9))
    half = stats.t.ppf(0.975, 7) * stats.sem(x) * slope
    assert [g(p) for p in found.limits()] == pytest.approx([g(0.9) - half, g(0.9) + half])
    assert np.isnan(interval(sample(0 * x + most, ends=ends)).limits()).all()
    tied = [0.5] * 6 + [0.6, 0.8]
    assert interval(sample(tied)).ties and not interval(sample(tied, ends=ends)).ties


def test_equal_units_give_exactly_their_number():
    """Analytic: 0.1 is no sum of rounded numbers."""
    found = interval(sample([0.1] * 12))
    assert (found.estimate, found.variance, found.limits()) == (0.1, 0.0, (0.1, 0.1))
    assert found.ties


@pytest.mark.parametrize(("alike", "ties"), [(3, False), (4, True), (5, True)])
def test_half_of_the_units_alike_are_ties(alike, ties):
    """Contract: to twelve digits; of two crossed kinds only where all agree."""
    x = np.array([0.5] * alike + [0.1, 0.2, 0.3, 0.4, 0.6][: 8 - alike])
    x = x + 1e-14 * np.arange(len(x))
    assert interval(sample(x)).ties == ties
    assert not interval(crossed(np.tile(x, (2, 1)))).ties
    assert not interval(sample(1e-14 * NOISE)).ties and not interval(sample(1e14 * NOISE)).ties
    bounded = interval(sample(x, bounds=(0, 1)))
    assert not bounded.ties and (bounded.bounds is not None) == ties


@pytest.mark.parametrize("k", range(9))
def test_units_on_their_bounds_have_clopper_and_pearsons_interval(k):
    """Other implementation: SciPy."""
    found = interval(sample(np.arange(8) < k, bounds=(0, 1)))
    for level in (0.8, 0.95):
        want = stats.binomtest(k, 8).proportion_ci(level, "exact")
        assert found.limits(level) == pytest.approx((want.low, want.high), abs=1e-9)


def test_crossed_cells_that_agree_count_as_those_that_share_no_unit():
    """Analytic: six of six by luck in 2.5% of worlds where the truth is .025^(1/6)."""
    found = interval(crossed(np.ones((6, 20)), bounds=(0, 1)))
    assert found.limits() == pytest.approx((0.025 ** (1 / 6), 1)) and not found.ties


@pytest.mark.parametrize("seed", range(4))
def test_exact_limits_are_quantiles_under_dirichlet_weights(seed):
    """Simulation: Gaffke 2005, by drawing the weights; four standard errors."""
    rng = np.random.default_rng(seed)
    x = rng.choice([0.1, 0.25, 0.5, 0.9, 1.0], 11) if seed % 2 else rng.random(11)
    low, high = rule.exact_limits(x, (0, 1), 0.9)
    weights = rng.dirichlet(np.ones(12), 40_000)
    for bound, limit, chance in ((0.0, low, 0.05), (1.0, high, 0.95)):
        below = (weights @ np.append(x, bound) < limit).mean()
        assert below == pytest.approx(chance, abs=4 * math.sqrt(0.05 * 0.95 / 40_000))
    assert low < x.mean() < high


def test_a_dirichlet_quantile_of_few_values_is_known():
    """Analytic: one value, or two, of which it is a beta's."""
    assert rule.dirichlet_quantile(np.full(5, 0.3), 0.1) == 0.3
    got = rule.dirichlet_quantile(np.array([0, 0, 1.0, 1, 1]), 0.1)
    assert got == pytest.approx(stats.beta.ppf(0.1, 3, 2))
    two = rule.dirichlet_quantile(np.array([2, 2, 5, 5, 5.0]), 0.1)
    assert two == pytest.approx(2 + 3 * got)
    close = rule.dirichlet_quantile(np.array([0, 1e-7, 1.0, 1, 1]), 0.1)
    assert close == pytest.approx(got, abs=1e-4)


@pytest.mark.parametrize("divisor", [0.05, 3.0])
def test_a_divisor_that_may_be_zero_leaves_nothing_defined(divisor):
    """Contract: by its 98% interval, also of a part of the formula."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 20))
    y = y - y.mean() + divisor
    for formula in ("x0 / x1", "1 - abs(x0 / (x1 * 2))"):
        assert interval(sample(x, y, formula=formula)).defined == (divisor > 1)
    assert not interval(sample(x * np.nan)).defined
    assert not interval(sample(x, formula="log(x0 - 99)")).defined


def test_of_one_unit_there_is_no_interval():
    """Contract: an estimate without limits."""
    found = interval(sample([3.0]))
    assert found.estimate == 3 and np.isnan(found.limits()).all()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "n"), [("normal", 6), ("exponential", 24), ("binary", 12), ("crossed", 8)]
)
def test_intervals_miss_the_truth_as_seldom_as_they_say(kind, n):
    """Simulation: at most 5% of 2,000 worlds and three standard errors; 8% where skewed."""
    rng, missed, most = np.random.default_rng(6), 0, {"exponential": 0.08}.get(kind, 0.05)
    truth = {"normal": 0.0, "exponential": 1.0, "binary": 0.7, "crossed": 0.0}[kind]
    for _ in range(2_000):
        if kind == "crossed":
            x = rng.normal(size=(n, 1)) + rng.normal(size=(1, 10)) + rng.normal(size=(n, 10))
            of = crossed(x)
        elif kind == "binary":
            of = sample(rng.random(n) < truth, bounds=(0, 1))
        else:
            of = sample(rng.normal(size=n) if kind == "normal" else rng.exponential(size=n))
        low, high = interval(of).limits()
        missed += not low <= truth <= high
    assert missed / 2_000 <= most + 3 * math.sqrt(most * (1 - most) / 2_000)


# ---- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "control", "outcome", "reason"),
    [
        (1.5, None, "holds", ""),
        (0.5, None, "fails", ""),
        (1.0, None, "undecided", "straddles"),
        (1.5, 0.5, "holds", ""),
        (1.5, 1.4, "unspecific", "control"),
        (1.5, 1.0, "undecided", "control"),
        (0.5, 1.5, "fails", ""),
        (1.0, 1.5, "undecided", "straddles"),
    ],
)
def test_a_verdict_is_one_of_four(main, control, outcome, reason):
    """Analytic: standard errors of .007, so that .1 is far and 0 is at the threshold."""
    found = verdict(main, control)
    assert (found.outcome, found.reason) == (outcome, reason)
    assert found.about == ("control" if reason == "control" else "")
    assert (found.price is not None) == (outcome == "undecided")


def test_a_range_holds_inside_and_fails_on_both_sides():
    """Analytic: without effect at 0, so that nothing need show that it is not blind."""
    for main, outcome in ((1.0, "holds"), (1.3, "fails"), (0.7, "fails"), (1.1, "undecided")):
        assert verdict(main, low=0.9, high=1.1).outcome == outcome


FEW = sample([1.5, 1.4, 1.6, 1.5, 1.55])
UNDEFINED = sample([1.0, 2, 3, 4, 5, 6], [-1.0, 1, -1, 1, -1, 1], formula="x0 / x1")
TIED = sample([1.5] * 8)


@pytest.mark.parametrize(
    ("main", "options", "outcome", "reason"),
    [
        (FEW, {"unmet": ["g"], "found": 0.5, "control": 1.5}, "undecided", "few-units"),
        (UNDEFINED, {"unmet": ["g"], "found": 0.5, "control": 1.5}, "undecided", "undefined"),
        (TIED, {"unmet": ["g"], "found": 0.5}, "undecided", "gate"),
        (TIED, {"found": 0.5}, "undecided", "ties"),
        (TIED, {"control": 1.5}, "unspecific", "control"),
        (TIED, {"control": 0.5}, "undecided", "ties"),
        (1.5, {"unmet": ["g"], "found": 0.5, "control": 1.5}, "undecided", "gate"),
        (0.5, {"unmet": ["g"]}, "undecided", "gate"),
        (1.5, {"found": 0.5, "control": 1.5}, "undecided", "planted"),
        (0.5, {"found": 0.5}, "undecided", "planted"),
        (1.0, {"found": 0.5}, "undecided", "planted"),
        (1.5, {"found": 1.5, "control": 1.4}, "unspecific", "control"),
        (1.0, {"control": 1.5}, "undecided", "straddles"),
    ],
)
def test_the_first_reason_that_applies_is_given(main, options, outcome, reason):
    """Contract: few units, undefined, gate, ties, planted, unspecific, straddles, control."""
    found = verdict(main, **options)
    assert (found.outcome, found.reason) == (outcome, reason)
    assert found.about == {"gate": "g", "planted": "found", "control": "control"}.get(reason, "")


def test_an_arm_that_did_nothing_fails():
    """Contract: exactly 0 in all units is no tie; of another number it is one."""
    assert verdict(sample([0.0] * 8)).outcome == "fails"
    assert verdict(sample([0.5] * 8)).reason == "ties"
    assert verdict(sample([0.0] * 8), low=-1, high=2).reason == "ties"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "blind"),
        ({"control": 0.01}, "control"),
        ({"control": 0.5}, ""),
        ({"missed": 0.15}, ""),
        ({"missed": -0.15}, ""),
        ({"missed": 0.05}, "blind"),
        ({"missed": 0.3}, "blind"),
        ({"missed": 0.1}, "blind"),
    ],
)
def test_a_claim_of_no_effect_has_to_be_able_to_fail(options, reason):
    """Contract: a control outside, or a known violation of at most twice the threshold."""
    found = verdict(0.0, low=-0.1, high=0.1, **options)
    outcome = "undecided" if reason == "blind" else "unspecific" if reason else "holds"
    assert (found.outcome, found.reason) == (outcome, reason)


def test_no_effect_may_be_another_number_than_zero():
    """Contract: a ratio of 1 means no effect; a violation of at most twice the threshold counts."""
    for known, reason in ((1.15, ""), (0.85, ""), (1.3, "blind"), (0.7, "blind")):
        samples = {"main": sample(1 + NOISE), "known": sample(known - NOISE[::-1])}
        found = judge(Hypothesis(0.9, 1.1, missed=("known",), empty=1.0), samples)
        assert found.reason == reason
    assert judge(Hypothesis(0.9, 1.1, missed=("known",)), samples).outcome == "holds"


def test_a_control_is_beaten_outside_and_behind():
    """Contract: its own 80% interval lies outside, and the method is ahead by 95%."""
    wide = 12 * NOISE
    t, error = stats.t.ppf(0.9, 7), stats.sem(wide)
    for gap, outcome in ((1.01 * t * error, "beaten"), (0.99 * t * error, "open")):
        found = verdict(5.0, sample(1 - gap + wide))
        assert found.controls["control"].outcome == outcome
    level = 0.06 / error * wide[::-1]
    for main, outcome in ((1.03, "open"), (1.06, "beaten")):  # .13 or .16 ahead, ± .14
        found = verdict(main, sample(0.9 + level))
        assert found.controls["control"].outcome == outcome
        assert (found.controls["control"].lead[1] < 0) == (outcome == "open")
        turned = verdict(-main, sample(-0.9 - level), low=-math.inf, high=-1.0)
        assert turned.controls["control"].outcome == outcome
    assert verdict(0.0, sample(0.5 + wide)).controls["control"].outcome == "beaten"


def test_each_rival_has_to_be_beaten_and_the_strongest_is_shown():
    """Contract: of several arms of a control, and of several controls."""
    samples = {"main": sample(1.5 + NOISE), "a": sample(0.2 + NOISE), "b": sample(0.9 + NOISE)}
    samples |= {"c": sample(0.1 - NOISE[::-1]), "same": sample(1.6 + NOISE)}
    h = Hypothesis(1.0, controls=(Control("heads", ("a", "b")), Control("c", ("c",))))
    found = judge(h, samples)
    heads = found.controls["heads"]
    assert (found.outcome, found.strongest) == ("holds", "heads")
    assert (heads.arm, heads.satisfied, heads.draws, heads.outcome) == ("b", 0, 2, "beaten")
    assert heads.estimate == pytest.approx(0.9) and heads.lead[0] == pytest.approx(0.6)
    worse = judge(rule.replace(h, controls=(Control("heads", ("a", "same")),)), samples)
    assert (worse.outcome, worse.controls["heads"].arm) == ("unspecific", "same")


@pytest.mark.parametrize(
    ("draws", "satisfied", "outcome"),
    [
        (20, 0, "holds"),
        (20, 1, "undecided"),
        (40, 1, "holds"),
        (40, 2, "undecided"),
        (20, 9, "undecided"),
        (20, 10, "unspecific"),
        (19, 1, "unspecific"),
        (19, 0, "holds"),
    ],
)
def test_a_noise_family_is_judged_by_count(draws, satisfied, outcome):
    """Contract: none of 20, or one of 40; below 20 each is a rival."""
    rng = np.random.default_rng(7)
    samples = {"main": sample(1.5 + NOISE)}
    for k in range(draws):
        samples[f"d{k}"] = sample((1.4 if k < satisfied else 0.1) + 0.02 * rng.normal(size=8))
    family = Control("noise", tuple(samples)[1:], noise=True)
    found = judge(Hypothesis(1.0, controls=(family,)), samples)
    assert found.outcome == outcome
    assert (found.controls["noise"].satisfied, found.controls["noise"].draws) == (satisfied, draws)


def test_a_draw_of_the_noise_itself_seldom_holds():
    """Analytic: p((1 - p)^20 + 20 p (1 - p)^39), for every p and by the count's own outcomes."""
    p = np.linspace(0, 1, 2_001)[1:-1]
    first = by_count(0, 20) == "beaten"
    second = sum(
        stats.binom.pmf(1, 20, p) * stats.binom.pmf(k, 20, p)
        for k in range(21)
        if by_count(1, 20) == "open" and by_count(1 + k, 40) == "beaten"
    )
    wrong = p * (first * stats.binom.pmf(0, 20, p) + second)
    assert wrong.max() <= 0.025
    assert wrong == pytest.approx(p * ((1 - p) ** 20 + 20 * p * (1 - p) ** 39))
    assert (p * (stats.binom.cdf(1, 20, p))).max() > 0.04  # one of 20 would not do


@given(st.floats(-3, 3), st.floats(0, 3), st.floats(-3, 3), st.floats(-2, 1), st.floats(0.1, 3))
@settings(max_examples=80, deadline=None)
def test_an_outcome_never_contradicts_its_interval(level, spread, control, low, width):
    """Contract: holds inside, fails outside; a verdict that a control stands against is inside."""
    noise = (spread + 0.01) * np.array([-1.0, 2, -0.5, 0.3, 0.1, -0.7, 0.9, -1.2])
    v = verdict(level, control, low, low + width, noise=noise)
    inside, outside = low <= v.low and v.high <= low + width, v.high < low or v.low > low + width
    assert inside or v.outcome not in ("holds", "unspecific")
    assert outside == (v.outcome == "fails")
    assert (v.reason == "straddles") == (not inside and not outside)
    if v.outcome == "holds":
        lead = v.controls["control"].lead
        assert lead[1] > 0 or lead[2] < 0
    assert v.price is None or v.outcome == "undecided"


@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0, 2), st.floats(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_claim_that_another_implies_does_not_fail(level, spread, low, wider):
    """Analytic: a wider range holds, or is open because of a control."""
    strong = verdict(level, low=low, high=low + 1, noise=spread * NOISE)
    weak = verdict(level, low=low - wider, high=low + 1 + wider, noise=spread * NOISE)
    if strong.outcome == "holds":
        assert weak.outcome == "holds" or weak.reason == "blind"
    assert strong.outcome != "undecided" or strong.reason == "ties" or weak.outcome != "fails"


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=60, deadline=None)
def test_another_unit_of_measure_gives_the_same_outcome(seed, scale, shift):
    """Analytic: affine and sign-turned claims are the same claim."""
    rng = np.random.default_rng(seed)
    x, y = rng.exponential(size=(2, 9)) + rng.choice([0.0, 0.5, 1.0], (2, 1))

    def outcome(scale, shift):
        ends = sorted(scale * end + shift for end in (1.2, math.inf))
        h = Hypothesis(*ends, controls=(Control("c", ("c",)),), empty=shift)
        v = judge(h, {"main": sample(scale * x + shift), "c": sample(scale * y + shift)})
        return v.outcome, v.reason, v.controls["c"].outcome

    assert outcome(1.0, 0.0) == outcome(scale, shift) == outcome(-scale, shift)


# ---- what would decide it ------------------------------------------------------------------------


def test_the_thresholds_at_which_it_would_hold():
    """Contract: an effect .51 [.39, .66] beside a control .08 ± .1 holds from .18 to .39."""
    t, loose = stats.t.ppf(0.975, 7), stats.t.ppf(0.9, 7)
    main = sample(0.51 + NOISE * 0.12 / (t * stats.sem(NOISE)))
    control = sample(0.08 - NOISE[::-1] * 0.1 / (loose * stats.sem(NOISE)))
    found = judge(Hypothesis(0.1, controls=(Control("c", ("c",)),)), {"main": main, "c": control})
    assert (found.outcome, found.reason) == ("undecided", "control")
    assert found.thresholds == pytest.approx((0.18, 0.39))
    turned = judge(
        Hypothesis(high=-0.1, controls=(Control("c", ("c",)),)),
        {"main": sample(-main.cells[:, 0]), "c": sample(-control.cells[:, 0])},
    )
    assert turned.thresholds == pytest.approx((-0.39, -0.18))
    for threshold, outcome in ((0.19, "holds"), (0.38, "holds"), (0.4, "undecided")):
        h = Hypothesis(threshold, controls=(Control("c", ("c",)),))
        assert judge(h, {"main": main, "c": control}).outcome == outcome


def test_no_threshold_would_do_beside_a_control_as_strong():
    """Contract: none where a control is not behind, or the claim has two sides."""
    assert verdict(1.5, 1.5).thresholds is None
    assert verdict(1.5, 1.4).thresholds is not None
    assert verdict(1.5, 1.4, high=2.0).thresholds is None
    assert verdict(1.5, 0.5).thresholds is None


def test_the_price_is_that_of_the_normal_law():
    """Analytic: n (s (z.975 + z.8) / distance)², and of the kind of unit that causes most."""
    found = verdict(1.005)
    needed = (0.02 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / 0.005) ** 2
    assert found.price == ("seed", math.ceil(needed) + 2)
    assert verdict(FEW).price == ("seed", 6)
    assert verdict(sample([1.5, 0.4, 1.6, 0.9, 1.0])).price[1] > 100
    assert verdict(1.0).price == ("seed", rule.MOST + 1)
    rng = np.random.default_rng(8)
    x = rng.normal(size=(8, 1)) + 0.01 * rng.normal(size=(8, 30)) + 0.3
    found = judge(Hypothesis(0.1), {"main": crossed(x)})
    assert found.price[0] == "a" and found.price[1] > 8
    assert verdict(1.5, 1.4).price is None and verdict(TIED).price is None


@pytest.mark.thorough
@pytest.mark.parametrize("beside", [False, True])
def test_the_price_comes_true(beside):
    """Simulation: with that many units four in five of 400 experiments decide; ± 10 points."""
    rng = np.random.default_rng(9)

    def experiment(n, gap):
        samples = {"main": sample(1 + gap + rng.normal(size=n))}
        controls = (Control("c", ("c",)),) if beside else ()
        if beside:
            samples["c"] = sample(0.8 + rng.normal(size=n), labels=np.arange(n) + n)
        return judge(Hypothesis(1.0, controls=controls), samples)

    small = Hypothesis(1.0, controls=(Control("c", ("c",)),) if beside else ())
    noise = NOISE / NOISE.std(ddof=1)
    samples = {
        "main": sample(1.5 + noise),
        "c": sample(0.8 + np.roll(noise, 1), labels=range(8, 16)),
    }
    price = judge(small, samples).price
    held = sum(experiment(price[1], 0.5).outcome == "holds" for _ in range(400)) / 400
    assert 0.7 <= held <= (1.0 if beside else 0.9)


def test_what_would_be_found_has_the_power_that_is_said():
    """Other implementation: SciPy's noncentral t, whose power is above .8, as t exceeds z."""
    found = verdict(1.005)
    shift = (found.detectable - 1) / stats.sem(NOISE)
    assert 0.78 < stats.nct.sf(stats.t.ppf(0.975, 7), 7, shift) < 0.9
    below = verdict(1.005, low=-math.inf, high=1.0)
    assert 1 - below.detectable == pytest.approx(found.detectable - 1)
    assert math.isnan(verdict(FEW.__class__(FEW.cells[:1], {"seed": np.array(["0"])})).detectable)


def test_several_claims_share_their_level():
    """Analytic: Šidák 1967; k independent claims hold together as often as one does."""
    assert rule.at_once(0.95, 1) == 0.95 and rule.at_once(0.95, 0) == 0.95
    assert rule.at_once(0.95, 30) ** 30 == pytest.approx(0.95)
