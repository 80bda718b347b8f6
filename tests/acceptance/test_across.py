"""Statistics across units against SciPy and scikit-learn; their intervals against the laws that
samples are drawn from."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

import assay


@pytest.mark.parametrize(
    ("value", "expected"),
    {
        "std(a.x)": lambda x, y: x.std(),
        "std(a.x) / std(a.y)": lambda x, y: x.std() / y.std(),
        "sqrt(std(a.x)) - mean(a.y)": lambda x, y: np.sqrt(x.std()) - y.mean(),
        "abs(corr(a.x, 0 - a.y))": lambda x, y: abs(stats.pearsonr(x, y)[0]),
    }.items(),
)
def test_what_is_computed_of_one_number_of_all_units_is_computed_of_this_number(value, expected):
    of = np.random.default_rng(4)
    y = of.normal(size=40)
    x = 2 * y + of.normal(size=40) + 3
    table = {"arm": ["a"] * 40, "prompt": [*range(40)], "x": x, "y": y}
    found = assay.estimate(table, value=value, unit="prompt")
    assert found.estimate == pytest.approx(expected(x, y))


@pytest.mark.thorough
def test_the_interval_of_a_spread_has_the_spread_of_the_population_in_most_samples():
    """95 % intervals of 40 normal numbers; three standard errors of 100 samples below 0.95."""
    of, kept = np.random.default_rng(5), 0
    for x in of.normal(size=(100, 40)):
        table = {"arm": ["a"] * 40, "prompt": [*range(40)], "x": x}
        found = assay.estimate(table, value="std(a.x)", unit="prompt")
        kept += found.low <= 1 <= found.high
    assert kept >= 88


def judged(x, y, text="corr(a.x, a.y) > 0.5"):
    shuffled = np.random.default_rng(1).permutation(x)
    table = {"arm": ["a"] * len(x) + ["b"] * len(x), "neuron": [*range(100, 100 + len(x))] * 2}
    table |= {"x": [*x, *shuffled], "y": [*y, *y]}
    return assay.judge(table, claim=text, unit="neuron", control="b")


@pytest.mark.parametrize(
    ("name", "ends"), [("corr", (-1, 1)), ("spearman", (-1, 1)), ("auroc", (0, 1))]
)
def test_the_interval_is_students_on_the_scale_of_fishers_z_or_of_the_logit(name, ends):
    of = np.random.default_rng(8)
    x, n = of.normal(size=30), 30
    y = x + 0.7 * of.normal(size=30)
    y = (y > 0).astype(float) if name == "auroc" else y
    one = {"corr": stats.pearsonr, "spearman": stats.spearmanr}

    def value(keep):
        if name == "auroc":
            return metrics.roc_auc_score(y[keep], x[keep])
        return one[name](x[keep], y[keep])[0]

    every = np.arange(n)
    theta, without = value(every), [value(every[every != i]) for i in every]
    error = np.sqrt((n - 1) * np.var(without))
    (least, greatest), t = ends, stats.t.ppf(0.975, n - 1)
    place = (theta - least) / (greatest - least)
    half = t * error / ((greatest - least) * place * (1 - place))
    logits = np.log(place / (1 - place)) + np.array([-half, half])
    v = judged(x, y, f"{name}(a.x, a.y) > 0.2").verdict
    # of an AUROC, leaving out one of the rarer label counts slightly more
    expected = least + (greatest - least) / (1 + np.exp(-logits))
    assert (v.low, v.high) == pytest.approx(expected, abs=0.01 if name == "auroc" else 1e-9)


@pytest.mark.thorough
def test_the_interval_of_a_correlation_has_that_of_the_population_in_most_samples():
    """Bivariate t with 5 degrees of freedom, ρ = 0.8: three standard errors of 150 samples."""
    of, kept = np.random.default_rng(9), 0
    for _ in range(150):
        x, y = of.normal(size=(2, 30))
        y, far = 0.8 * x + 0.6 * y, np.sqrt(5 / of.chisquare(5, 30))
        table = {"arm": ["a"] * 30, "prompt": [*range(30)], "x": x * far, "y": y * far}
        found = assay.estimate(table, value="corr(a.x, a.y)", unit="prompt")
        kept += found.low <= 0.8 <= found.high
    assert kept >= 134


RATES = {"precision": metrics.precision_score, "recall": metrics.recall_score}
RATES |= {"f1": metrics.f1_score}


@pytest.mark.parametrize("name", RATES)
def test_rates_of_a_guess_are_scikit_learns_and_vary_as_their_bootstrap_does(name):
    of = np.random.default_rng(2)
    label = np.repeat([0.0, 2.0], [90, 60])
    score = of.normal(size=150) + 0.7 * label
    table = {"arm": ["a"] * 150, "prompt": [*range(150)], "x": score, "y": label}
    found = assay.estimate(table, value=f"{name}(a.x > 0.5, a.y > 1)", unit="prompt")
    assert found.estimate == pytest.approx(RATES[name](label == 2, score > 0.5))
    draws = of.integers(0, 150, (2000, 150))
    guessed, true = (score > 0.5)[draws], (label == 2)[draws]
    sizes = {"precision": guessed.sum(1), "recall": true.sum(1)}
    sizes["f1"] = (guessed.sum(1) + true.sum(1)) / 2
    again = (guessed & true).sum(1) / sizes[name]
    assert again[0] == pytest.approx(RATES[name](true[0], guessed[0]))
    # wider where it is skewed
    width = (found.high - found.low) / 2 / stats.t.ppf(0.975, 149)
    assert 0.95 < width / np.std(again) < 1.25
    less = assay.estimate(
        table, value=f"{name}(a.x > 0.5, a.y > 1) - {name}(a.x > 9, a.y > 1) / 2", unit="prompt"
    )
    nothing = 0.0 if name != "precision" else np.nan  # of nothing that is guessed
    assert less.estimate == pytest.approx(found.estimate - nothing / 2, nan_ok=True)


def test_a_correlation_of_two_arms_is_compared_with_other_pairs_of_units():
    """Its control, other pairs, has to be named now."""
    of = np.random.default_rng(3)
    x = of.normal(size=40)
    y = x + 0.4 * of.normal(size=40)
    rows = {"arm": ["a"] * 40 + ["b"] * 40 + ["dealt"] * 40, "prompt": [*range(40)] * 3}
    rows |= {"x": [*x, *y, *y[::-1]]}
    ask = {"claim": "corr(a.x, b.x) > 0.5", "unit": "prompt", "about": "b"}
    found = assay.judge(rows, **ask, control="dealt")
    assert found.outcome == "holds"
    assert found.controls["dealt"].estimate == pytest.approx(stats.pearsonr(x, y[::-1])[0])
