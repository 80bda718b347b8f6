"""Probes: measures by other implementations, intervals by the published formula, and worlds in
which it is known what tells two labels apart."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

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
        assert p.outcome == "holds" and p.estimate == 1, p


@pytest.mark.parametrize("measure", ["accuracy", "auroc"])
@pytest.mark.parametrize(("holds", "outcome"), [(0.96, "holds"), (0.98, "undecided")])
def test_where_all_rows_are_right_the_rows_bound_what_folds_do_not(measure, holds, outcome):
    """Clopper and Pearson's limit of 120 of 120 groups of one row."""
    x = 9.0 * np.outer(2 * Y - 1, np.eye(12)[0]) + EMPTY
    p = assay.check_probe(x, Y, groups=range(N), holds=f"{measure} > {holds}")
    assert p.outcome == outcome, p
    assert (p.low, p.high) == pytest.approx((stats.beta.ppf(0.025, N, 1), 1))


@pytest.fixture(scope="module")
def by_length():
    """A probe that is nearly perfect, and texts of which the last word tells the label."""
    texts = [f"{text} indeed" if yes else text for text, yes in zip(TEXTS, Y, strict=True)]
    X = EMPTY + 1.8 * np.outer(2 * Y - 1, np.eye(12)[0])
    return assay.check_probe(X, Y, groups=GROUPS, texts=texts, holds="auroc > 0.93")


def test_its_table_has_the_probe_and_every_control(by_length):
    table = by_length.to_pandas().set_index("arm")
    assert {*table.index} == {"probe", *by_length.controls}
    assert table.loc["probe", "role"] == "method"
    assert table.loc["probe", "estimate"] == by_length.estimate
    html = by_length._repr_html_()
    assert all(name in html for name in by_length.controls)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_that_is_shown_is_the_one_that_is_judged(seed):
    draw, y = np.random.default_rng(seed), np.arange(40) % 2
    x, near = (draw.normal(size=(40, 4)) + np.outer(2 * y - 1, [s, 0, 0, 0]) for s in (4, 2))
    known = {"controls": {"embedding": near}}
    p = assay.check_probe(x, y, groups=range(40), holds="accuracy > 0.6", **known)
    shown = p.to_pandas().set_index("arm")
    assert {*p.controls} == {"embedding", "permuted"}
    for name, v in (("probe", p), *p.controls.items()):
        assert (*shown.loc[name, ["low", "high"]],) == (v.low, v.high)
    satisfies = p.controls["embedding"].outcome == "satisfies"
    assert satisfies == (p.controls["embedding"].low > 0.6)
    assert satisfies == (p.outcome == "unspecific")


def mean_of_shuffled(p):
    """The AUROC of shuffled labels, on average."""
    return p.rows[p.rows["arm"].str.startswith("permuted")]["auroc"].mean()


@pytest.mark.thorough
def test_shuffled_labels_leave_a_low_threshold_to_the_probe():
    """By the new rule only one that not more than one of 40 shuffles reaches; it is told."""
    for seed in (1, 8, 9):
        draw = np.random.default_rng(seed)
        y = draw.integers(0, 2, 80)
        X = draw.normal(size=(80, 24)) + np.outer(2 * y - 1, 6 * np.eye(24)[3])
        p = assay.check_probe(X, y, groups=range(80), holds="auroc > 0.55")
        assert (p.outcome, p.verdict.about) == ("undecided", "permuted")
        assert abs(mean_of_shuffled(p) - 0.5) < 0.05
        assert 0.55 < p.verdict.thresholds[0] < 0.75 < 0.9 < p.verdict.thresholds[1]
        p = assay.check_probe(X, y, groups=range(80), holds="auroc > 0.75")
        assert p.outcome == "holds"


@pytest.mark.thorough
def test_columns_are_never_chosen_on_the_rows_that_are_judged():
    """Noise: chosen on all rows, five of 300 columns have an AUROC above 0.8, by scikit-learn; in
    each fold, and for each shuffle of the labels, they are at chance."""
    draw, y = np.random.default_rng(0), np.arange(60) % 2
    X = np.where(draw.random((60, 300)) < 0.3, draw.gamma(2, size=(60, 300)), 0)
    best = SelectKBest(f_classif, k=5).fit_transform(X, y)
    leaky = Ridge(1.0).fit(best, y).predict(best)
    five = make_pipeline(VarianceThreshold(), SelectKBest(f_classif, k=5), Ridge(1.0))
    p = assay.check_probe(X, y, groups=range(60), probe=five, holds="auroc > 0.6")
    assert roc_auc_score(y, leaky) > 0.8 and p.outcome != "holds"
    assert p.estimate < 0.65 and abs(mean_of_shuffled(p) - 0.5) < 0.05


class BestColumn(RegressorMixin, BaseEstimator):
    """Least squares on the column that goes best with the labels, each set of them by itself; of
    two labels it is the one that SelectKBest chooses."""

    def fit(self, x, y):
        y = y.reshape(len(y), -1)
        self.x_, self.y_ = x.mean(0), y.mean(0)
        off = x - self.x_
        shared, size = off.T @ (y - self.y_), (off**2).sum(0)[:, None].clip(1e-12)
        self.best_ = (shared**2 / size).argmax(0)
        self.slope_ = np.take_along_axis(shared / size, self.best_[None], 0)[0]
        return self

    def predict(self, x):
        return self.y_ + (x - self.x_)[:, self.best_] * self.slope_


@pytest.mark.thorough
def test_the_interval_of_a_sparse_probe_is_as_wide_as_its_aurocs_of_noise_are_apart():
    """A column that tells all labels best by chance is chosen in most folds, and does well in each:
    parts of groups alone would give half of this width."""
    found = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        X = np.where(draw.random((60, 300)) < 0.15, draw.gamma(1.5, size=(60, 300)), 0)
        labels = draw.permutation(60) % 2
        p = assay.check_probe(X, labels, groups=range(60), probe=BestColumn(), holds="auroc > 0.5")
        found.append((p.estimate, p.low, p.high))
    values, low, high = np.transpose(found)
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1)
    assert np.mean(high - low) / 2 > 0.8 * half and np.mean((low <= 0.5) & (high >= 0.5)) > 0.9
