"""Statistics across units against SciPy and counts of pairs; functions over levels against
NumPy."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sklearn import metrics

from assay.core import across
from assay.core.errors import ClaimError
from assay.core.expression import parse


def arm(**values):
    return {name: xr.DataArray(x, dims=("seed", "prompt")) for name, x in values.items()}


def number(text, data):
    parsed = parse(text, compared=False)

    def column(c):
        return c.take(data[c.name], ("seed", "prompt"))

    return parsed.terms["value"](column)


@pytest.fixture
def pair():
    of = np.random.default_rng(0)
    x = of.normal(size=(3, 40))
    return arm(x=x, y=0.6 * x + of.normal(size=(3, 40)))


def test_a_correlation_is_pearsons_of_each_seed(pair):
    got = number("corr(main.x, main.y)", pair).mean("prompt").values
    expected = [stats.pearsonr(a, b)[0] for a, b in zip(pair["x"], pair["y"], strict=True)]
    assert got == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "of_units"),
    {
        "corr(main.x, main.y)": lambda x, y: stats.pearsonr(x, y)[0],
        "spearman(main.x, main.y)": lambda x, y: stats.spearmanr(x, y)[0],
        "std(main.x)": lambda x, y: np.std(x),
    }.items(),
)
def test_its_units_spread_as_leaving_out_each_says(pair, text, of_units):
    x, y = (pair[name].values[0] for name in "xy")
    x[7], y[7] = 30, 20  # one that makes the number
    got, n = number(text, pair).values[0], len(x)
    without = [of_units(np.delete(x, i), np.delete(y, i)) for i in range(n)]
    jackknife = np.sqrt((n - 1) * np.var(without))
    assert got.mean() == pytest.approx(of_units(x, y))
    assert got.std(ddof=1) / np.sqrt(n) == pytest.approx(jackknife)


def test_without_the_only_unit_that_varies_there_is_no_correlation():
    x = xr.DataArray([0.0, 0, 0, 0, 0, 1], dims="prompt")
    got = across.corr(x, 2 * x).values
    assert got == pytest.approx([1 / 6] * 5 + [31 / 6])  # 1 with all, 1 without another, 0


def test_an_auroc_counts_pairs_and_ties_half(pair):
    label = (pair["y"] > 0.3).astype(float)
    score = pair["x"].round(0)
    got = number("auroc(main.s, main.l)", {"s": score, "l": label})
    for i in range(3):
        s, high = score.values[i], label.values[i] == 1
        u = stats.mannwhitneyu(s[high], s[~high]).statistic
        assert got.values[i].mean() == pytest.approx(u / (high.sum() * (~high).sum()))
        positive = [np.mean((a > s[~high]) + 0.5 * (a == s[~high])) for a in s[high]]
        negative = [np.mean((s[high] > b) + 0.5 * (s[high] == b)) for b in s[~high]]
        delong = np.var(positive) / high.sum() + np.var(negative) / (~high).sum()
        assert np.var(got.values[i]) / len(s) == pytest.approx(delong)


def test_a_rate_at_each_level_is_that_of_its_level():
    of, data = np.random.default_rng(5), arrays("x")
    label = xr.DataArray(of.integers(0, 2, 7).astype(float), dims="prompt")
    parsed = parse("max(f1(main.x[head=1] > 0, main.y), over=layer) > 0.5")
    parts = data | {"y": label}
    terms = {t: w(lambda c: c.take(parts[c.name], ["prompt"])) for t, w in parsed.terms.items()}
    means = {t: x.transpose("prompt", ...).values.mean(0)[None] for t, x in terms.items()}
    expected = [metrics.f1_score(label, x > 0) for x in data["x"].values[:, :, 1].T]
    assert parsed.statistic(means) == pytest.approx(max(expected))
    with pytest.raises(ClaimError, match="two values is needed, got 3"):
        across.counted(label, label * 0 + xr.DataArray([0, 1, 2, 0, 0, 0, 0], dims="prompt"))


def test_what_no_statistic_is_of():
    x = xr.DataArray(np.arange(4.0), dims="prompt")
    assert np.isnan(across.corr(x, x * 0).values).all()
    assert np.isnan(across.corr(1.0, 2.0))
    with pytest.raises(ClaimError, match="two values, got 4"):
        across.auroc(x, x)
    with pytest.raises(ClaimError, match="measures over units"):
        across.corr("x", [1, 2])


def arrays(*names):
    of = np.random.default_rng(4)
    dims = ("prompt", "layer", "head")
    coords = {"layer": [0, 2, 4, 6], "head": [0, 1, 2]}
    return {n: xr.DataArray(of.normal(size=(7, 4, 3)), dims=dims, coords=coords) for n in names}


def test_something_is_taken_of_arithmetic_over_levels():
    data = arrays("x", "y") | {"z": xr.DataArray(np.arange(7.0), dims="prompt")}
    x, y, z = (data[n].values for n in "xyz")
    d = x - 2 * y
    over = "over=(layer, head)"
    expected = {
        f"max(main.x - 2 * main.y, {over})": d.max((1, 2)),
        f"min(main.z - main.x, {over}) + main.z": (z[:, None, None] - x).min((1, 2)) + z,
        f"sum(abs(main.x), {over})": np.abs(x).sum((1, 2)),
        f"median(main.x - main.y, {over})": np.median(x - y, (1, 2)),
        "argmax(main.x[head=1] - main.y[head=2], over=layer)": [
            2 * max(range(4), key=row.__getitem__) for row in x[:, :, 1] - y[:, :, 2]
        ],
        f"mean(main.x * main.y, {over})": (x * y).mean((1, 2)),
        f"count(main.x > 0.4, {over})": (x > 0.4).sum((1, 2)),
        f"share(main.x - main.y <= 0, {over})": (x <= y).mean((1, 2)),
        "first(main.x[head=1] - main.y[head=2] > 0.5, over=layer)": [
            next((2 * k for k in range(4) if row[k] > 0.5), 8) for row in x[:, :, 1] - y[:, :, 2]
        ],
        "argmin(main.x[head=1] - main.y[head=2], over=layer)": [
            2 * min(range(4), key=row.__getitem__) for row in x[:, :, 1] - y[:, :, 2]
        ],
        "first(main.x[head=1] >= 0 and main.y[head=2] < 0.5, over=layer)": [
            next((2 * k for k in range(4) if a[k] >= 0 and b[k] < 0.5), 8)
            for a, b in zip(x[:, :, 1], y[:, :, 2], strict=True)
        ],
        f"count(main.x > 0 and main.y > main.x and main.y < 1, {over})": (
            ((x > 0) & (y > x) & (y < 1)).sum((1, 2))
        ),
        f"share(-0.5 < main.x <= 1, {over})": ((x > -0.5) & (x <= 1)).mean((1, 2)),
        "last(main.x[head=1] > 0.5, over=layer)": [
            max([-2, *(2 * k for k in range(4) if row[k] > 0.5)]) for row in x[:, :, 1]
        ],
    }
    for text, numbers in expected.items():
        np.testing.assert_allclose(number(text, data), numbers, err_msg=text)


def test_a_correlation_over_levels_is_that_of_the_means_and_varies_as_its_bootstrap_does():
    of, text = np.random.default_rng(6), "corr(main.x, main.y, over=(layer, head))"
    data = arrays("x", "y")
    true = 2 * of.normal(size=(4, 3))
    for n, x in data.items():
        noise = np.random.default_rng(ord(n)).normal(size=(60, 4, 3))
        data[n] = xr.DataArray(true + noise, dims=x.dims, coords=x.coords)
    x, y = (data[n].values.reshape(60, -1) for n in "xy")
    got = number(text, data)
    assert float(got.mean()) == pytest.approx(np.corrcoef(x.mean(0), y.mean(0))[0, 1])
    draws = of.integers(0, 60, (2000, 60))
    again = [np.corrcoef(x[d].mean(0), y[d].mean(0))[0, 1] for d in draws]
    assert float(got.std()) / 60**0.5 == pytest.approx(np.std(again), rel=0.2)
    left = [np.delete(a, i, 0).mean(0) for i in range(60) for a in (x, y)]
    without = [np.corrcoef(*left[i : i + 2])[0, 1] for i in range(0, 120, 2)]
    assert float(got.std()) == pytest.approx(59 * np.std(without))


@pytest.mark.parametrize(
    ("text", "why"),
    {
        "max(main.x - main.w, over=(layer, head))": "same levels of layer on both sides",
        "max(main.x - main.y, over=(layer, head, token))": "has a dimension 'token'; known: ",
        "corr(main.x, over=layer)": "takes 2",
        "max(main.x - main.y, over=layer)": "head in over=, too",
    }.items(),
)
def test_what_cannot_be_taken_over_levels_is_refused(text, why):
    data = arrays("x", "y", "w")
    data["w"] = data["w"].assign_coords(layer=[1, 3, 5, 7])
    with pytest.raises(ClaimError, match=why):
        number(text, data)
