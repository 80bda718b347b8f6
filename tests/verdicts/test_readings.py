"""Conditions computed on arrays: numbers as Python, NumPy, SciPy and scikit-learn compute them."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from assay.errors import ClaimError
from assay.verdicts import reading
from assay.verdicts.conditions import parse
from assay.verdicts.rule import compiled, interval

RNG = np.random.default_rng(0)
LAYERS, HEADS = [0, 2, 4, 6], [0, 1, 2]


def arm(n=9, seed=0, **columns):
    """An arm of n units, with x and y by layer and head, and z by unit alone."""
    rng = np.random.default_rng(seed)
    dims = ("unit", "layer", "head")
    data = {k: (dims, rng.normal(size=(n, 4, 3))) for k in ("x", "y")}
    data |= {"z": ("unit", rng.normal(size=n))} | columns
    return xr.Dataset(data, {"unit": np.arange(n), "layer": LAYERS, "head": HEADS})


def flat(**columns):
    """An arm of columns over units."""
    return xr.Dataset({k: ("unit", np.asarray(x, float)) for k, x in columns.items()})


def read(text, arms, units=("unit",), main="a", swap=None, functions=None):
    arms = arms if isinstance(arms, dict) else {main: arms}
    return reading.sample(parse(text, functions), arms, units, main, swap)


def estimate(text, arms, **options):
    sample = read(text, arms, **options)
    return compiled(sample.formula)[0](np.nanmean(sample.cells, 0)[None])[0]


def of_each(sample):
    """The only term by unit."""
    return dict(zip(sample.units["unit"], sample.cells[:, 0], strict=True))


A, B = arm(), arm(seed=1)
X, Y, Z = (A[k].values for k in "xyz")
D = X - 2 * Y
OVER = "over=(layer, head)"


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "z": Z,
        "-(z + 1) / 2": -(Z + 1) / 2,
        "+z * 1e-1 - 1": Z / 10 - 1,
        "exp(z) ** 2": np.exp(Z) ** 2,
        "log(exp(z))": Z,
        "sqrt(abs(z))": np.sqrt(abs(Z)),
        "max(z, 0.1) - min(0, z)": np.maximum(Z, 0.1) - np.minimum(Z, 0),
        "a.z - b.z": Z - B.z.values,
        "x[layer=2, head=1]": X[:, 1, 1],
        "mean(x[head=1], over=layer)": X[:, :, 1].mean(1),
        f"max(x - 2 * y, {OVER})": D.max((1, 2)),
        f"min(z - x, {OVER}) + z": (Z[:, None, None] - X).min((1, 2)) + Z,
        f"sum(abs(x), {OVER})": abs(X).sum((1, 2)),
        f"median(x - y, {OVER})": np.median(X - Y, (1, 2)),
        f"mean(x * y, {OVER})": (X * Y).mean((1, 2)),
        f"count(x > 0.4, {OVER})": (X > 0.4).sum((1, 2)),
        f"share(x - y <= 0, {OVER})": (X <= Y).mean((1, 2)),
        f"share(-0.5 < x <= 1, {OVER})": ((X > -0.5) & (X <= 1)).mean((1, 2)),
        "max(mean(x, over=head) - z, over=layer)": (X.mean(2) - Z[:, None]).max(1),
        "max(share(y <= min(x, over=head), over=head), over=layer)": (
            (X.min(2, keepdims=True) >= Y).mean(2).max(1)
        ),
        "argmax(x[head=1] - y[head=2], over=layer)": [
            2 * max(range(4), key=row.__getitem__) for row in X[:, :, 1] - Y[:, :, 2]
        ],
        "first(x[head=1] - y[head=2] > 0.5, over=layer)": [
            next((2 * k for k in range(4) if row[k] > 0.5), 8) for row in X[:, :, 1] - Y[:, :, 2]
        ],
        "share(z > 0)": Z > 0,
        "mean(z)": Z,
        "2 * mean(z) - 3 * share(z > 0)": 2 * Z - 3 * (Z > 0),
    }.items(),
)
def test_numbers_of_each_unit_are_numpys(text, expected):
    """Other implementation: NumPy."""
    sample = read(text, {"a": A, "b": B})
    assert sample.formula == "x0" and [*sample.units["unit"]] == [str(k) for k in range(9)]
    np.testing.assert_allclose(sample.cells[:, 0], np.asarray(expected, float), rtol=1e-12)


@given(
    st.recursive(
        st.sampled_from(["u", "v", "2.5", "-1"]),
        lambda x: st.tuples(x, st.sampled_from("+-*"), x).map(lambda t: f"({' '.join(t)})"),
        max_leaves=12,
    )
)
@settings(max_examples=100, deadline=None)
def test_random_arithmetic_is_pythons(text):
    """Other implementation: Python's eval."""
    names = {"u": 1.25, "v": -3.0}
    got = read(f"{text} + u - u > 0.1", flat(u=[1.25] * 3, v=[-3.0] * 3)).cells
    assert got == pytest.approx(eval(text, {}, names), abs=1e-9)


def test_means_are_terms_of_a_formula():
    """Analytic: a ratio of sums 10/20 - 4/8 is 0, and no mean of ratios."""
    arms = {"a": flat(e=[1, 9], v=[10, 10]), "b": flat(e=[1, 3], v=[2, 6])}
    sample = read("mean(a.e) / mean(a.v) - mean(b.e) / mean(b.v) < -0.02", arms)
    assert sample.formula == "x0 / x1 - x2 / x3"
    assert estimate("mean(a.e) / mean(a.v) - mean(b.e) / mean(b.v)", arms) == 0
    assert estimate("a.e / a.v", arms) == pytest.approx(0.5)
    assert estimate("100 * log(mean(exp(a.e))) - 1", arms) == pytest.approx(
        100 * math.log((math.e + math.exp(9)) / 2) - 1
    )
    assert estimate("max(mean(a.e), mean(a.v))", arms) == 10


@pytest.mark.parametrize("text", ["abs(a.z) * mean(b.z)", "a.z / mean(b.z)", "mean(b.z) ** a.z"])
def test_numbers_of_units_stand_in_no_function_of_means(text):
    """Contract: what would be averaged in which order has to be said."""
    with pytest.raises(ClaimError) as e:
        read(f"{text} > 1", {"a": A, "b": B})
    assert e.value.code == "bare"


def test_heads_11_and_110_are_two():
    """Contract: a level is a name; its number counts only where levels are numbers."""
    x = xr.DataArray([[0.1, 2.0]] * 6, {"head": ["1.1", "1.10"]}, ("unit", "head"))
    assert estimate("x[head=1.1]", xr.Dataset({"x": x})) == pytest.approx(0.1)
    assert estimate("x[head=1.10]", xr.Dataset({"x": x})) == 2
    numbers = xr.Dataset({"x": x.assign_coords(head=[0.5, 1.0])})
    for text in ("x[head=0.50]", "x[head=.5]", "x[head='0.5']"):
        assert estimate(text, numbers) == pytest.approx(0.1)
    single = numbers.assign_coords(head=np.float32([0.1, 0.3]))
    assert estimate("x[head=0.1]", single) == pytest.approx(0.1)
    with pytest.raises(ClaimError) as e:
        read("x[head=1.100] > 0", xr.Dataset({"x": x}))
    assert e.value.code == "unknown-level"


def test_units_that_all_arms_have_are_compared():
    """Contract: a missing row is an empty cell, and leaves its unit out."""
    a, b = arm(14), arm(14, seed=1)
    empty = b.where(b.unit != 7)
    fewer, gap = b.isel(unit=b.unit != 7), (a.z - b.z).values
    for other in (empty, fewer):
        sample = read("a.z - b.z > 0", {"a": a, "b": other})
        assert of_each(sample) == pytest.approx({str(k): d for k, d in enumerate(gap) if k != 7})
        ratio = read("mean(a.z) / mean(b.z) > 0", {"a": a, "b": other})
        assert len(ratio.cells) == 13 and np.isfinite(ratio.cells).all()


@pytest.mark.parametrize("name", ["mean", "sum", "max", "min", "median", "share", "count", "first"])
def test_no_statistic_of_levels_drops_one_silently(name):
    """Contract: a unit without one of the levels is left out."""
    x = A.x.copy(deep=True)
    x[2, 1, 0] = np.nan
    inner = "x[head=0] > 0" if name in ("share", "count", "first") else "x[head=0]"
    holes = {"a": A.assign(x=x)}
    assert len(read(f"{name}({inner}, over=layer) > 0", holes).cells) == 8
    assert len(read("x[layer=2, head=0] > 0", holes).cells) == 8
    assert len(read("x[layer=4, head=0] > 0", holes).cells) == 9


def test_arms_of_other_units_are_terms_of_their_own():
    """Other implementation: SciPy's Welch test; numbers about a mean, so that none is skewed."""
    x = np.array([-3, -2, -1, 1, 2, 3]) + 5.0
    y = np.array([-4, -1, -0.5, 0, 0.5, 1, 4]) * 2
    arms = {"a": flat(x=x), "b": flat(x=y).assign_coords(unit=np.arange(100, 107))}
    arms["a"] = arms["a"].assign_coords(unit=np.arange(6))
    for text in ("a.x - b.x > 0", "mean(a.x) - mean(b.x) > 0"):
        got = interval(read(text, arms))
        want = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
        assert got.limits() == pytest.approx((want.low, want.high))


def test_arms_of_the_same_units_are_paired():
    """Other implementation: SciPy's paired t test, of differences about their mean."""
    y = RNG.normal(size=8)
    x = y + np.array([-4, -3, -2, -1, 1, 2, 3, 4]) + 2
    arms = {"a": flat(x=x), "b": flat(x=y)}
    want = stats.ttest_rel(x, y).confidence_interval(0.95)
    for text in ("a.x - b.x > 0", "mean(a.x) - mean(b.x) > 0", "a.x > b.x + 0"):
        assert interval(read(text, arms)).limits() == pytest.approx((want.low, want.high))


def test_a_deterministic_arm_is_the_same_for_every_seed():
    """Analytic: prompts are paired; a base without seeds adds no variance between them."""
    trained = xr.Dataset({"x": (("seed", "prompt"), RNG.normal(size=(6, 10)))})
    base = xr.Dataset({"x": ("prompt", RNG.normal(size=10))})
    arms, units = {"a": trained, "b": base}, ("seed", "prompt")
    sample = read("a.x - b.x > 0", arms, units)
    assert sample.cells[:, 0] == pytest.approx((trained.x - base.x).values.ravel())
    control = read("a.x > 0", arms, units, swap={"a": "b"})
    assert interval(control).n == {"seed": 6, "prompt": 10}
    assert interval(control).parts[0] == pytest.approx(0, abs=1e-30)


def test_another_arm_takes_the_place_of_the_main():
    """Contract: everywhere, also of columns that name no arm."""
    arms = {"a": A, "b": B, "c": arm(seed=2)}
    got = read("a.z - b.z + z > 0", arms, swap={"a": "c"}).cells[:, 0]
    assert got == pytest.approx((2 * arms["c"].z - B.z).values)


def test_what_takes_an_arms_place_has_its_levels():
    """Contract: a mean over other levels is another number; of two models it may be meant."""
    fewer = A.isel(layer=slice(3))
    for text in ("mean(a.x[head=1], over=layer) > 0", "max(a.x[head=1], over=layer) > 0"):
        with pytest.raises(ClaimError) as e:
            read(text, {"a": A, "b": fewer}, swap={"a": "b"})
        assert e.value.code == "other-levels"
    with pytest.raises(ClaimError) as e:
        read("max(a.x[head=1] - b.x[head=1], over=layer) > 0", {"a": A, "b": fewer})
    assert e.value.code == "other-levels"
    two = "mean(a.x[head=1], over=layer) - mean(b.x[head=1], over=layer)"
    assert len(read(two, {"a": A, "b": fewer}).cells) == 9


@pytest.mark.parametrize(
    ("text", "code"),
    {
        "a.x > 0": "open-level",
        "a.x[layer=2] > 0": "open-level",
        "mean(a.x, over=layer) - a.x[head=1] > 0": "open-level",
        "a.w > 0": "unknown-column",
        "d.x > 0": "unknown-arm",
        "a.z[layer=2] > 0": "unknown-dimension",
        "a.x[layer=3, head=1] > 0": "unknown-level",
        "mean(a.z, over=layer) > 0": "unknown-dimension",
        "mean(a.x[head=1], over=(layer, token)) > 0": "unknown-dimension",
        "mean(a.x, over=unit) > 0": "units",
        "a.word > 0": "not-numbers",
        "first(a.named > 0, over=kind) > 0": "no-order",
        "f1(a.z, a.z) > 0": "not-binary",
    }.items(),
)
def test_what_the_arms_do_not_have_is_refused(text, code):
    """Contract: a refusal with a code."""
    words = {"word": ("unit", list("abcdefghi")), "named": (("unit", "kind"), X[:, 0, :2])}
    with pytest.raises(ClaimError) as e:
        read(text, {"a": A.assign(words).assign_coords(kind=["p", "q"]), "b": B})
    assert e.value.code == code


def test_units_are_there_once_or_refused():
    """Contract: no unit counts twice, a kind of unit is there, and one or two are named."""
    for units in ((), ("unit", "layer", "head")):
        with pytest.raises(ClaimError):
            read("a.z > 0", {"a": A}, units)
    twice = A.assign_coords(unit=[0, 0, *range(1, 8)])
    for arms, unit, code in ((twice, "unit", "repeated-unit"), (A, "seed", "no-units")):
        with pytest.raises(ClaimError) as e:
            read("a.z > 0", {"a": arms}, (unit,))
        assert e.value.code == code


# ---- rounding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a.x - b.x > 0",
        "b.x < a.x - 0",
        "mean(a.x) - mean(b.x) > 0",
        "a.x - 2 * b.half > 0",
        "mean(a.x) / mean(a.y) - mean(b.x) / mean(b.y) > 0",
        "share(a.x > b.x) > 0.5",
    ],
)
def test_rounding_is_exactly_no_difference(text):
    """Analytic: numbers that differ by 1e-15 of their size are equal, and their difference is 0."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 24)) + 3
    noisy = x * (1 + 1e-15 * rng.normal(size=24))
    arms = {"a": flat(x=noisy, y=y), "b": flat(x=x, y=y, half=x / 2)}
    found = interval(read(text, arms))
    assert found.estimate == 0 == found.variance
    assert found.limits() in ((0, 0), (0, pytest.approx(1 - 0.025 ** (1 / 24))))


def test_a_difference_that_is_constant_but_for_rounding_is_a_tie():
    """Analytic: 0.3 more in every cell has no spread, so the interval of two kinds is a point."""
    x = np.random.default_rng(5).normal(size=(6, 8)) + 1e4
    arms = {k: xr.Dataset({"x": (("s", "p"), x + d)}) for k, d in (("a", 0.3), ("b", 0))}
    found = interval(read("a.x - b.x > 0.2", arms, ("s", "p")))
    assert found.ties and found.variance == 0


def test_the_largest_is_the_first_that_only_rounding_exceeds():
    """Analytic: of equal numbers the first level counts."""
    x = [[0.5, 1.0, 1.0 + 4e-16], [1.0, 1.0 + 4e-16, 1.0]]
    data = xr.Dataset({"x": (("unit", "k"), x)}, {"k": [1, 2, 3]})
    assert read("argmax(x, over=k) > 0", data).cells[:, 0].tolist() == [2, 1]


# ---- of all units --------------------------------------------------------------------------------

OF_TWO = {
    "corr": lambda x, y: stats.pearsonr(x, y)[0],
    "spearman": lambda x, y: stats.spearmanr(x, y)[0],
    "auroc": lambda x, y: metrics.roc_auc_score(y > 0, x),
    "precision": lambda x, y: metrics.precision_score(y > 0, x > 0),
    "recall": lambda x, y: metrics.recall_score(y > 0, x > 0),
    "f1": lambda x, y: metrics.f1_score(y > 0, x > 0),
}
TEXTS = {"corr": "corr(x, y)", "spearman": "spearman(x, y)", "auroc": "auroc(x, y > 0)"}
TEXTS |= {k: f"{k}(x > 0, y > 0)" for k in ("precision", "recall", "f1")}
PAIR = RNG.normal(size=40)
PAIR = flat(x=PAIR, y=0.6 * PAIR + RNG.normal(size=40))


@pytest.mark.parametrize("name", OF_TWO)
def test_statistics_are_scipys_and_scikit_learns(name):
    """Other implementation; the spread is that of leaving out each unit."""
    sample = read(f"{TEXTS[name]} > 0.1", PAIR)
    x, y, points = PAIR.x.values, PAIR.y.values, sample.cells[:, 0]
    assert points.mean() == pytest.approx(OF_TWO[name](x, y))
    without = [OF_TWO[name](np.delete(x, k), np.delete(y, k)) for k in range(40)]
    assert interval(sample).variance == pytest.approx(39 * np.var(without))


@pytest.mark.parametrize(("name", "ends"), [("corr", (-1, 1)), ("auroc", (0, 1)), ("f1", (0, 1))])
def test_a_statistic_between_ends_has_students_interval_on_their_scale(name, ends):
    """Analytic: Fisher's z, or the logit, to first order."""
    sample = read(f"{TEXTS[name]} > 0.1", PAIR)
    assert sample.ends == ends and sample.bounds is None
    found, (least, most) = interval(sample), ends
    assert not found.ties
    place = (found.estimate - least) / (most - least)
    half = stats.t.ppf(0.975, 39) * math.sqrt(found.variance) / (most - least)
    logits = math.log(place / (1 - place)) + np.array([-1, 1]) * half / (place * (1 - place))
    assert found.limits() == pytest.approx(least + (most - least) / (1 + np.exp(-logits)))


def test_functions_of_a_statistic_are_functions_of_its_mean():
    """Other implementation: NumPy."""
    x, y = PAIR.x.values, PAIR.y.values
    for text, expected in {
        "std(x) / std(y)": x.std() / y.std(),
        "sqrt(std(x)) - mean(y)": math.sqrt(x.std()) - y.mean(),
        "abs(corr(x, 0 - y))": abs(np.corrcoef(x, y)[0, 1]),
        "corr(x, y) - corr(x, x * x)": np.corrcoef(x, y)[0, 1] - np.corrcoef(x, x * x)[0, 1],
    }.items():
        assert estimate(text, PAIR) == pytest.approx(expected), text
    assert read("corr(x, y) - corr(x, x * x) > 0", PAIR).ends == (-2, 2)


def test_an_auroc_counts_ties_half_and_varies_as_delong():
    """Other implementation: Mann and Whitney's U; DeLong, DeLong and Clarke-Pearson 1988."""
    score, high = PAIR.x.values.round(0), PAIR.y.values > 0.3
    points = read("auroc(s, l) > 0.5", flat(s=score, l=high)).cells[:, 0]
    u = stats.mannwhitneyu(score[high], score[~high]).statistic
    assert points.mean() == pytest.approx(u / (high.sum() * (~high).sum()))
    above = (score[high][:, None] > score[~high]) + 0.5 * (score[high][:, None] == score[~high])
    delong = above.mean(1).var() / high.sum() + above.mean(0).var() / (~high).sum()
    assert points.var() / len(points) == pytest.approx(delong, rel=0.1)


def test_units_without_one_of_two_numbers_are_in_no_statistic():
    """Other implementation: the same of the other units."""
    x, y = PAIR.x.values.copy(), PAIR.y.values.copy()
    x[3], y[[8, 9]] = np.nan, np.nan
    holes, kept = flat(x=x, y=y), np.isfinite(x + y)
    sample = read("corr(x, y) > 0", holes)
    assert len(sample.cells) == 37
    same = read("corr(x, y) > 0", flat(x=x[kept], y=y[kept]))
    assert np.sort(sample.cells[:, 0]) == pytest.approx(np.sort(same.cells[:, 0]))


def test_a_statistic_of_two_kinds_of_units_leaves_out_each():
    """Analytic: V is the jackknife's over seeds and over prompts, less that over cells."""
    x, y = RNG.normal(size=(2, 7, 9)) + RNG.normal(size=(2, 7, 1))
    data = xr.Dataset({"x": (("s", "p"), x), "y": (("s", "p"), y)})
    found = interval(read("std(x) / std(y) > 0", data, ("s", "p")))
    assert found.estimate == pytest.approx(x.std() / y.std())
    found = interval(read("corr(x, y) > 0", data, ("s", "p")))
    for axis, part in zip((0, 1), found.parts, strict=True):
        n = x.shape[axis]
        left = [
            np.corrcoef(np.delete(x, k, axis).ravel(), np.delete(y, k, axis).ravel())[0, 1]
            for k in range(n)
        ]
        assert part == pytest.approx((n - 1) * np.var(left))


def test_without_the_only_unit_that_varies_nothing_is_defined():
    """Analytic: 0/0."""
    x = [0.0, 0, 0, 0, 0, 0, 1]
    found = interval(read("corr(x, y) > 0", flat(x=x, y=x)))
    assert not found.defined
    never = interval(read("precision(x > 9, y > 0) > 0", PAIR))
    assert not never.defined


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("text", "draw", "truth"),
    [
        ("std(x)", lambda rng: rng.normal(size=40), 1.0),
        ("corr(x, y)", None, 0.8),
        ("f1(x > 0, y > 0)", None, None),
    ],
)
def test_intervals_of_statistics_cover_the_truth(text, draw, truth):
    """Simulation: three standard errors of 300 samples below 0.95, and 0.01."""
    rng, kept = np.random.default_rng(5), 0
    if truth is None:  # P(both > 0) over the mean of 1/2 and 1/2
        truth = 0.5 + math.asin(0.8) / math.pi
    for _ in range(300):
        x, y = rng.normal(size=(2, 30))
        data = flat(x=x, y=0.8 * x + 0.6 * y) if draw is None else flat(x=draw(rng))
        low, high = interval(read(f"{text} > 0", data)).limits()
        kept += low <= truth <= high
    assert kept / 300 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300) - 0.01


# ---- functions of one's own ----------------------------------------------------------------------


def test_ones_own_function_gives_a_number_of_each_unit():
    """Contract: an array over units is read as a column is."""
    own = {"lead": lambda a, b, k=1.0: k * (a.z - b.z)}
    got = read("lead(a, b, 2) > 0", {"a": A, "b": B}, functions=own)
    assert got.formula == "x0" and got.cells[:, 0] == pytest.approx((2 * (A.z - B.z)).values)
    swapped = read("lead(a, b) > 0", {"a": A, "b": B, "c": B}, functions=own, swap={"a": "c"})
    assert not swapped.cells.any()


def test_ones_own_number_of_all_units_is_jackknifed():
    """Other implementation: the built-in statistic."""
    own = {"r": lambda a: np.corrcoef(a.x, a.y)[0, 1]}
    got = read("r(a) > 0", PAIR, functions=own)
    assert got.cells == pytest.approx(read("corr(x, y) > 0", PAIR).cells)
    assert estimate("r(a) / mean(z)", PAIR.assign(z=PAIR.x + 9), functions=own) == pytest.approx(
        own["r"](PAIR) / (PAIR.x + 9).mean().item()
    )
    x, y = RNG.normal(size=(2, 7, 9))
    data = xr.Dataset({"x": (("s", "p"), x), "y": (("s", "p"), y)})
    own = {"r": lambda a: np.corrcoef(a.x.values.ravel(), a.y.values.ravel())[0, 1]}
    got = read("r(a) > 0", data, ("s", "p"), functions=own)
    assert got.cells == pytest.approx(read("corr(x, y) > 0", data, ("s", "p")).cells)
    with pytest.raises(ClaimError) as e:
        read("share(r(a) > 0) > 0.5", data, ("s", "p"), functions=own)
    assert e.value.code == "nested"


# ---- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("a.r - b.r", (-1, 1)),
        ("1 - a.r", (0, 1)),
        ("(a.r + b.r) / 2", (0, 1)),
        ("mean(a.r) - 2 * mean(b.r)", (-2, 1)),
        ("share(a.x > 0)", (0, 1)),
        ("mean(a.by, over=k)", (0, 1)),
        ("-a.r", (-1, 0)),
        ("a.x", None),
        ("a.r / b.r", None),
        ("mean(a.r) / mean(b.r)", None),
        ("a.r * b.r", None),
        ("sum(a.by, over=k)", None),
        ("a.none", None),
    ],
)
def test_sums_of_shares_lie_between_bounds(text, bounds):
    """Analytic: a number that is 0 or 1 in all arms, and 1 in some, is a share."""
    right = {"r": ("unit", [0, 1.0, 1]), "none": ("unit", [0.0, 0, 0]), "x": ("unit", [1.0, 2, 3])}
    right |= {"by": (("unit", "k"), [[0, 1.0], [1, 1], [0, 0]])}
    sample = read(f"{text} > 0.1", {"a": xr.Dataset(right), "b": xr.Dataset(right)})
    assert sample.bounds == bounds and not sample.exact


def test_no_share_is_bounded_by_one_arm_alone():
    """Contract: 12 of 12 right are bounded by 0 and 1 though one arm has no wrong one."""
    all_right, some = flat(r=[1] * 12), flat(r=[0, 1] * 6)
    found = interval(read("a.r > 0.5", {"a": all_right, "b": some}))
    assert found.limits() == pytest.approx((0.025 ** (1 / 12), 1))
    other = flat(r=[0.5] * 12)
    assert read("a.r > 0.5", {"a": all_right, "b": other}).bounds is None


def test_an_undefined_number_leaves_a_claim_undefined():
    """Analytic: log 0 and 1/0 have no number, so that no mean of the others stands for all."""
    for text in ("log(x)", "1 / x", "y / x", "log(x) - y", "mean(y / x)", "max(1 / x, y)"):
        sample = read(f"{text} > 0", flat(x=[0, 1, 2, 3, 4, 5, 6], y=[0, 1.5, 2, 3, 4, 5, 6]))
        assert not interval(sample).defined, text
    missing = read("1 / x > 0", flat(x=[np.nan, 1, 2, 3, 4, 5, 6]))
    assert interval(missing).defined and len(missing.cells) == 6
    empty = read("x > 0", flat(x=[np.nan] * 7))
    assert not interval(empty).defined and interval(empty).n == {"unit": 7}
