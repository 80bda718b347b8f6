"""Statistics across units against SciPy and counts of pairs; functions over levels against
NumPy."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

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


def test_its_units_spread_as_the_jackknife_says(pair):
    x, y = (pair[name].values[0] for name in "xy")
    got = number("corr(main.x, main.y)", pair).values[0]
    n = len(x)
    without = [np.corrcoef(np.delete(x, i), np.delete(y, i))[0, 1] for i in range(n)]
    jackknife = np.sqrt((n - 1) * np.var(without))
    assert got.std(ddof=1) / np.sqrt(n) == pytest.approx(jackknife, rel=0.15)


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


def test_what_no_statistic_is_of():
    x = xr.DataArray(np.arange(4.0), dims="prompt")
    assert np.isnan(across.corr(x, x * 0).values).all()
    assert np.isnan(across.corr(1.0, 2.0))
    with pytest.raises(ClaimError, match="two values, got 4"):
        across.auroc(x, x)
    with pytest.raises(ClaimError, match="measures over units"):
        across.corr("x", [1, 2])


def test_functions_over_levels():
    of = np.random.default_rng(1)
    values = of.normal(size=(2, 3, 5))
    values[0, 0] = -9
    data = {
        "x": xr.DataArray(
            values, dims=("seed", "prompt", "layer"), coords={"layer": [0, 2, 4, 6, 8]}
        )
    }
    assert np.allclose(number("sum(main.x, over=layer)", data), values.sum(-1))
    assert np.allclose(number("max(main.x, over=layer)", data), values.max(-1))
    first = number("first(main.x > 0.1, over=layer)", data)
    expected = [
        [next((2 * k for k, v in enumerate(row) if v > 0.1), 10) for row in seed] for seed in values
    ]
    assert first.values.tolist() == expected and expected[0][0] == 10
    share = number("share(main.x[layer=4] <= 0)", data)
    assert np.allclose(share, values[:, :, 2] <= 0)
    both = parse("max(main.x, over=layer) - mean(main.x, over=layer)", compared=False)
    assert [str(c) for c in both.columns] == [
        "max(main.x, over=layer)",
        "mean(main.x, over=layer)",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max(main.x)", r"not allowed without over=…, as in max\(main.slope, over=kind\)"),
        ("first(main.x, over=layer)", r"no comparison with a number; write first\(main.rank"),
        ("share(main.x)", r"no comparison with a number; write share\(main.loss > 3\)"),
        ("corr(main.x)", "takes 2 values, got 1"),
        ("middle(main.x)", "is not allowed"),
    ],
)
def test_what_is_no_function_is_refused_with_one_that_is(text, why):
    with pytest.raises(ClaimError, match=why):
        parse(text, compared=False)
