"""Probes: measures by other implementations, intervals by the published formula, and worlds in
which it is known what tells two labels apart."""

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

import assay

DRAW = np.random.default_rng(3)
N = 120
Y = np.arange(N) % 2 == 1
GROUPS = np.arange(N) // 4
WORDS = ["tea", "salt", "wood", "iron", "milk", "rain", "sand"]
TEXTS = [" ".join(DRAW.choice(WORDS, size=6)) for _ in range(N)]
PLANTED = DRAW.normal(size=(N, 12)) + 2.5 * np.outer(2 * Y - 1, np.eye(12)[0])
EMPTY = DRAW.normal(size=(N, 12))


def test_a_probe_of_activations_without_the_label_fails():
    p = assay.check_probe(EMPTY, Y, groups=GROUPS, texts=TEXTS, holds="auroc > 0.8")
    assert p.outcome == "fails"


def test_perfect_probes_hold_though_groups_tie():
    X = PLANTED + 20 * np.outer(2 * Y - 1, np.eye(12)[1])
    for holds in ("auroc > 0.8", "accuracy > 0.8"):
        p = assay.check_probe(X, Y, groups=GROUPS, holds=holds)
        assert p.outcome == "holds" and p.arms.loc[0, "auroc"] == 1, p


@pytest.mark.parametrize(
    ("measure", "trials", "holds", "outcome"),
    [
        ("accuracy", N, 0.9, "holds"),
        ("accuracy", N, 0.95, "undecided"),
        ("auroc", N // 2, 0.85, "holds"),
        ("auroc", N // 2, 0.9, "undecided"),
    ],
)
def test_where_all_rows_are_right_the_rows_bound_what_folds_do_not(measure, trials, holds, outcome):
    """Clopper and Pearson's limit of 120 of 120 rows, or of as many pairs of both labels as there
    are independent ones, of which folds leave 1 in 2.25."""
    x = 9.0 * np.outer(2 * Y - 1, np.eye(12)[0]) + EMPTY
    p = assay.check_probe(x, Y, folds=5, holds=f"{measure} > {holds}", ledger=False)
    low = stats.beta.ppf(0.025, trials / 2.25, 1)
    assert p.outcome == outcome, p
    assert (p.judged.low, p.judged.high) == pytest.approx((low, 1))
    assert (p.arms[f"{measure}_low"][0], p.arms[f"{measure}_high"][0]) == pytest.approx((low, 1))
    table = {"arm": ["mine"] * 5 + ["words"] * 5, "fold": [*range(5)] * 2}
    table |= {"x": [1.0] * 5 + [0.5, 0.48, 0.52, 0.51, 0.49]}
    of_table = assay.judge(table, claim=f"mine.x > {holds}", unit="fold", control="words",
                           tested=trials)  # fmt: skip
    assert of_table.outcome == outcome and of_table.low == pytest.approx(low)


@pytest.fixture(scope="module")
def by_length():
    """A probe that is nearly perfect, and texts of which the last word tells the label."""
    texts = [f"{text} indeed" if yes else text for text, yes in zip(TEXTS, Y, strict=True)]
    X = EMPTY + 1.8 * np.outer(2 * Y - 1, np.eye(12)[0])
    return assay.check_probe(X, Y, groups=GROUPS, texts=texts, holds="auroc > 0.93")


def test_its_chart_has_the_probe_and_every_control(by_length):
    pytest.importorskip("altair")
    points = by_length.chart().to_dict()["datasets"].popitem()[1]
    drawn = {p["arm"]: (p["role"], p["estimate"]) for p in points}
    assert drawn["probe"] == ("the claim", by_length.estimate)
    assert {*drawn} == {"probe", *by_length.controls}
    html = by_length._repr_html_()
    assert ">auroc</text>" in html and html.count('class="bar"') == len(drawn)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_that_is_shown_is_the_one_that_is_judged(seed):
    draw, y = np.random.default_rng(seed), np.arange(40) % 2
    x, near = (draw.normal(size=(40, 4)) + np.outer(2 * y - 1, [s, 0, 0, 0]) for s in (4, 2))
    p = assay.check_probe(x, y, embeddings=near, folds=5, holds="accuracy > 0.6")
    shown = p.arms.set_index("arm")
    for name, verdict in p.controls.items():
        low, high = shown.loc[name, ["accuracy_low", "accuracy_high"]]
        assert (low, high) == (verdict.low, verdict.high)
        assert (verdict.outcome == "holds") == (low > 0.6)


def test_shuffled_labels_leave_a_low_threshold_to_the_probe():
    for seed in (1, 8, 9):
        draw = np.random.default_rng(seed)
        y = draw.integers(0, 2, 80)
        X = draw.normal(size=(80, 24)) + np.outer(2 * y - 1, 6 * np.eye(24)[3])
        p = assay.check_probe(X, y, holds="auroc > 0.55", ledger=False)
        assert p.outcome == "holds" and abs(p.arms["auroc"][1] - 0.5) < 0.05


def test_columns_are_never_chosen_on_the_rows_that_are_judged():
    """Noise: chosen on all rows, five of 600 columns have an AUROC above 0.8, by scikit-learn; in
    each fold, and for each shuffle of the labels, they are at chance."""
    draw, y = np.random.default_rng(0), np.arange(60) % 2
    X = np.where(draw.random((60, 600)) < 0.3, draw.gamma(2, size=(60, 600)), 0)
    best = SelectKBest(f_classif, k=5).fit_transform(X, y)
    leaky = Ridge(1.0).fit(best, y).predict(best)
    p = assay.check_probe(X, y, k=5, holds="auroc > 0.6", ledger=False)
    assert roc_auc_score(y, leaky) > 0.8 and p.outcome != "holds"
    assert p.arms["auroc"][0] < 0.65 and abs(p.arms["auroc"][1] - 0.5) < 0.05


@pytest.mark.thorough
def test_the_interval_of_a_sparse_probe_is_as_wide_as_its_aurocs_of_noise_are_apart():
    """A column that tells all labels best by chance is chosen in most folds, and does well in each:
    parts of groups alone would give half of this width."""
    found = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        X = np.where(draw.random((60, 300)) < 0.15, draw.gamma(1.5, size=(60, 300)), 0)
        p = assay.check_probe(X, draw.permutation(60) % 2, k=1, ledger=False)
        found.append(p.arms.loc[0, ["auroc", "auroc_low", "auroc_high"]].to_numpy(float))
    values, low, high = np.transpose(found)
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1)
    assert np.mean(high - low) / 2 > 0.8 * half and np.mean((low <= 0.5) & (high >= 0.5)) > 0.9
