"""Probes: measures by other implementations, intervals by published formulas, and worlds in which
it is known what tells two labels apart."""

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from assay.checks import reading
from assay.checks.probe import RIDGE, Activations, check_probe
from assay.errors import AssayError

DRAW = np.random.default_rng(3)
N = 120
Y = np.arange(N) % 2 == 1
GROUPS = np.arange(N) // 4
WORDS = ["tea", "salt", "wood", "iron", "milk", "rain", "sand"]
TEXTS = [" ".join(DRAW.choice(WORDS, size=6)) for _ in range(N)]
PLANTED = DRAW.normal(size=(N, 12)) + 2.5 * np.outer(2 * Y - 1, np.eye(12)[0])
EMPTY = DRAW.normal(size=(N, 12))


def ask(X=PLANTED, y=Y, holds="auroc > 0.8", groups=GROUPS, **options):
    return check_probe(X, y, groups=groups, holds=holds, **options)


def parts(score, y, group=None, fold=None):
    group = np.arange(len(y)) if group is None else group
    return reading.parts(
        score[None], y, np.zeros((1, len(y))) if fold is None else fold[None], group
    )


# ---- measures and intervals ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_measures_are_those_of_scikit_learn(seed):
    draw = np.random.default_rng(seed)
    y = draw.random(90) < 0.4
    score = np.round(draw.normal(size=90) + y, 1 + seed % 2)  # with ties
    found = parts(score, y)
    assert found["accuracy"].mean() == pytest.approx(np.mean((score > 0) == y))
    assert found["auroc"].mean() == pytest.approx(roc_auc_score(y, score), abs=1e-12)


def test_scores_are_those_of_scikit_learn():
    """In each fold a ridge of all other groups."""
    probe, rows = Ridge(3.0), reading.Rows.read(PLANTED, Y, GROUPS, None)
    folds = rows.folds()
    score = reading.scores(probe, rows.x, rows.y[None], folds)[0]
    for of, fold in zip(score, folds, strict=True):
        for k in np.unique(fold):
            made = Ridge(3.0).fit(rows.x[fold != k], 2.0 * rows.y[fold != k] - 1).predict(rows.x)
            np.testing.assert_allclose(of[fold == k], (made - made.mean())[fold == k], atol=1e-9)


def test_the_interval_of_an_auroc_is_delongs():
    """By DeLong, DeLong and Clarke-Pearson (1988): the variance of the placements of positives
    among negatives, and of negatives among positives."""
    draw = np.random.default_rng(0)
    y = np.arange(300) < 140
    score = draw.normal(size=300) + y
    placed = (score[y][:, None] > score[~y]).astype(float)
    v = placed.mean(1).var(ddof=1) / 140 + placed.mean(0).var(ddof=1) / 160
    found = parts(score, y)["auroc"]
    assert found.mean() == pytest.approx(placed.mean(), abs=1e-12)
    assert found.var(ddof=1) / 300 == pytest.approx(v, rel=0.03)


def test_intervals_of_unlike_groups_cover():
    """Twelve groups of five rows, whose AUROC is higher within a group than between groups; by
    Student's t for 11 degrees of freedom."""
    group, y = np.arange(12).repeat(5), np.arange(60) % 2 == 1
    fold, found = group % 5, []
    for seed in range(200):
        draw = np.random.default_rng(seed)
        score = 3 * draw.normal(size=12)[group] + 3 * y + draw.normal(size=60)
        found.append(parts(score, y, group, fold)["auroc"])
    mean, half = np.mean(found, 1), 2.201 * np.std(found, axis=1, ddof=1) / 12**0.5
    assert (abs(mean - mean.mean()) <= half).mean() == pytest.approx(0.95, abs=0.04)


def test_no_group_is_learned_and_judged():
    for fold in reading.Rows.read(PLANTED, Y, GROUPS, None).folds():
        assert all(len({*fold[g == GROUPS]}) == 1 for g in GROUPS)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["pure", "mixed", "rows"])
def test_noise_is_at_chance(kind):
    """Six groups of either label, of which a fold has two of one and one of the other; eight groups
    with unlike shares of labels; thirteen rows of one label each."""
    found = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        if kind == "pure":
            group = np.arange(12).repeat(5)
            y = group % 2 == 1
        elif kind == "mixed":
            group = np.arange(8).repeat(4)
            y = draw.random(32) < draw.random(8)[group]
        else:
            group, y = np.arange(13), draw.permutation(13) < 7
        x = draw.normal(size=(len(y), 4)) + draw.normal(size=(group.max() + 1, 4))[group]
        rows = reading.Rows.read(x, y, group, None)
        folds = rows.folds()
        score = reading.scores(Ridge(1.0), rows.x, rows.y[None], folds)[0]
        found.append(reading.parts(score, rows.y, folds, rows.group)["auroc"].mean())
    assert abs(np.mean(found) - 0.5) < 3 * np.std(found, ddof=1) / 40**0.5


def test_the_order_of_rows_changes_nothing():
    """Sorted by label, reversed, and shuffled."""
    draw, y = np.random.default_rng(0), np.arange(33) < 18
    texts = np.array([" ".join(draw.choice(WORDS, size=draw.integers(3, 6))) for _ in y])
    X, groups = draw.normal(size=(33, 6)) + np.outer(y, np.eye(6)[0]), draw.permutation(33) // 3
    found = []
    for order in (np.arange(33), np.arange(33)[::-1], draw.permutation(33)):
        result = ask(X[order], y[order], groups=groups[order], texts=texts[order].tolist())
        found.append([(t.estimate, t.low, t.high) for t in (result, *result.controls.values())])
    np.testing.assert_allclose(found, [found[0]] * 3, rtol=0, atol=1e-9)


# ---- nearly perfect probes -----------------------------------------------------------------------


@pytest.mark.parametrize("holds", ["auroc > 0.8", "accuracy > 0.8"])
def test_perfect_probes_hold_though_groups_tie(holds):
    """The lower limit of thirty right of thirty is 0.025^(1/30) (Clopper and Pearson 1934)."""
    result = ask(PLANTED + 20 * np.outer(2 * Y - 1, np.eye(12)[1]), holds=holds)
    assert result.outcome == "holds" and result.estimate == result.high == 1
    assert result.low == pytest.approx(0.025 ** (1 / 30), abs=1e-9)


def test_a_perfect_probe_of_few_groups_is_open():
    """The lower limit of six of six is 0.54, and of n of n above 0.8 from 17 on."""
    y = np.arange(24) % 2
    x = np.random.default_rng(0).normal(size=(24, 4)) + 9 * np.outer(2 * y - 1, np.eye(4)[0])
    result = ask(x, y, groups=np.arange(24) // 4)
    assert result.outcome == "undecided"
    assert result.low == pytest.approx(stats.beta.ppf(0.025, 6, 1), abs=1e-9)


def test_a_nearly_perfect_control_is_not_beaten():
    """With one group of each label on the wrong side, its AUROC is scikit-learn's."""
    groups = np.repeat(np.arange(20), 3)
    y = groups % 2 == 0
    score = np.where(y, 1.0, -1.0) + 0.01 * np.arange(60)
    score[groups == 2], score[groups == 5] = -1.5, 1.2
    X = np.random.default_rng(0).normal(size=(60, 6)) + 9 * y[:, None]
    result = ask(X, y, groups=groups, controls={"mine": score})
    assert result.controls["mine"].estimate == pytest.approx(roc_auc_score(y, score), abs=0.03)
    assert result.controls["mine"].outcome != "beaten" and result.outcome != "holds"


# ---- columns that are chosen ---------------------------------------------------------------------

SPARSE = make_pipeline(SelectKBest(k=1), Ridge(1.0))


def test_columns_are_never_chosen_on_judged_rows():
    """Noise: chosen on all rows, five of 600 columns have an AUROC above 0.8, by scikit-learn; in
    each fold they are at chance."""
    draw, y = np.random.default_rng(0), np.arange(60) % 2
    X = np.where(draw.random((60, 600)) < 0.3, draw.gamma(2, size=(60, 600)), 0)
    best = SelectKBest(k=5).fit_transform(X, y)
    assert roc_auc_score(y, Ridge(1.0).fit(best, y).predict(best)) > 0.8
    five = make_pipeline(SelectKBest(k=5), Ridge(1.0))
    result = ask(X, y, "auroc > 0.6", range(60), probe=five)
    assert result.outcome != "holds" and result.estimate < 0.65


def test_one_column_of_many_is_found():
    """One of 400 latents fires for one label; a ridge on all heeds the noise of the others."""
    draw, y = np.random.default_rng(0), np.arange(160) % 2
    codes = np.maximum(draw.normal(-1.2, 1, size=(160, 400)), 0)
    codes[:, 7] += y * (draw.random(160) < 0.8) * draw.exponential(1.5, size=160)
    assert ask(codes, y, "auroc > 0.65", range(160)).outcome == "undecided"
    assert ask(codes, y, "auroc > 0.65", range(160), probe=SPARSE).outcome == "holds"


@pytest.mark.thorough
def test_intervals_of_sparse_probes_cover_noise():
    """A column that tells all labels best by chance does well in most folds: parts of groups alone
    would give half of this width."""
    found = []
    for seed in range(24):
        draw = np.random.default_rng(seed)
        X = np.where(draw.random((60, 300)) < 0.15, draw.gamma(1.5, size=(60, 300)), 0)
        r = ask(X, draw.permutation(60) % 2, groups=range(60), probe=SPARSE)
        found.append((r.estimate, r.low, r.high))
    values, low, high = np.transpose(found)
    half = stats.t.ppf(0.975, 23) * values.std(ddof=1)
    assert np.mean(high - low) / 2 > 0.75 * half and np.mean((low <= 0.5) & (high >= 0.5)) > 0.87


@pytest.mark.parametrize("probe", [LogisticRegression(), SVC(), Ridge(1.0), RIDGE])
def test_any_estimator_may_be_the_probe(probe):
    assert ask(probe=probe).outcome == "holds"
    assert ask(EMPTY, probe=probe).outcome == "fails"


# ---- what tells as much --------------------------------------------------------------------------


def swapped(y):
    """Words of which the first says the label, and the bag nothing."""
    return [f"tea {t} salt" if k else f"salt {t} tea" for t, k in zip(TEXTS, y, strict=True)]


def world(name):
    """X, texts and controls, and which of these have to tell as much."""
    of = list(zip(TEXTS, Y, strict=True))
    long = [t + " and so on" * (4 * k) for t, k in of]
    word = [t + (" yes" if k else " no") for t, k in of]
    order = [t.replace(" ", " red blue " if k else " blue red ", 1) for t, k in of]
    embedding = {"embedding": PLANTED @ DRAW.normal(size=(12, 12))}
    return {
        "planted": (PLANTED, TEXTS, {}, set()),
        "length": (PLANTED, long, {}, {"lengths", "bag", "single"}),
        "word": (PLANTED, word, {}, {"bag", "places", "single"}),
        "capitals": (PLANTED, [t.upper() if k else t for t, k in of], {}, {"spelling"}),
        "blanks": (PLANTED, [t.replace(" ", "  ", int(k)) for t, k in of], {}, {"spelling"}),
        "order": (PLANTED, order, {}, {"pairs"}),
        "place": (PLANTED, swapped(Y), {}, {"places"}),
        "embedding": (PLANTED, TEXTS, embedding, {"embedding"}),
        "untrained": (PLANTED, TEXTS, {"untrained": PLANTED[:, :3]}, {"untrained"}),
        "session": (PLANTED, TEXTS, {"session": np.where(Y, "a", "b")}, {"session"}),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        *("planted", "length", "embedding", "session"),
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("word", "order", "place", "untrained", "capitals", "blanks")
        ),
    ],
)
def test_what_tells_as_much_makes_a_probe_unspecific(name):
    X, texts, controls, telling = world(name)
    result = ask(X, texts=texts, controls=controls)
    assert result.outcome == ("unspecific" if telling else "holds"), result
    satisfying = {a for a, t in result.controls.items() if t.outcome == "satisfies"}
    assert telling <= satisfying and bool(telling) == bool(satisfying)


@pytest.mark.filterwarnings("error")
def test_the_word_that_tells_is_named():
    result = ask(texts=world("word")[1])
    said = {n.data["control"]: n.data["what"] for n in result.notes if n.code == "telling"}
    assert said["bag"] in ("yes", "no") and said["places"] in ("yes at -1", "no at -1")


@pytest.mark.thorough
def test_one_word_among_many_rare_ones_is_found():
    """Texts of 30 rare words each, of which “indeed” is in those of one label."""
    draw, y = np.random.default_rng(0), np.arange(160) % 2
    said = (draw.random(160) < 0.75) & (y == 1)
    texts = [[f"w{i}" for i in draw.integers(0, 500, 30)] + ["indeed"] * int(k) for k in said]
    texts = [" ".join(draw.permutation(t)) for t in texts]
    X = draw.normal(size=(160, 8)) + 1.5 * np.outer(2 * y - 1, np.eye(8)[0])
    result = ask(X, y, "auroc > 0.7", range(160), texts=texts)
    assert result.controls["single"].estimate == pytest.approx(roc_auc_score(y, said), abs=0.03)
    assert result.outcome == "unspecific"


def test_activations_bring_their_texts_and_controls():
    given = Activations(PLANTED, TEXTS, {"untrained": EMPTY})
    result = check_probe(given, Y, groups=GROUPS, holds="auroc > 0.8")
    assert result.outcome == "holds" and {"untrained", "bag"} <= {*result.controls}


# ---- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["text", "row"])
def test_what_comes_again_is_never_learned_and_judged(by):
    """Each text's own direction and a coin for its label, three rows apart: there is nothing to
    learn, though a probe that has seen a text knows its label."""
    draw, of = np.random.default_rng(5), np.arange(N) % 40
    noise = 0.8 * draw.normal(size=(N, 64)) * (by == "text")
    X = draw.normal(size=(40, 64))[of] + noise
    label, texts = draw.permutation(np.arange(40) % 2)[of], [f"Text  {i}." for i in of]
    texts[7] = texts[7].upper()
    result = ask(X, label, "auroc > 0.6", range(N), texts=texts if by == "text" else None)
    assert result.outcome != "holds" and dict(result.n) == {"group": 40}
    assert [n.data["n"] for n in result.notes if n.code == "merged"] == [80]


def test_groups_that_share_texts_are_one():
    texts = [f"text {i}" for i in range(48)]
    for g in range(8):
        texts[4 * g + 4] = texts[4 * g + 3] = f"link {g}"
    result = ask(EMPTY[:48], np.arange(48) % 2, "auroc > 0.6", np.arange(48) // 4, texts=texts)
    assert dict(result.n) == {"group": 4} and result.outcome == "undecided"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"y": np.zeros(N)}, "two-labels"),
        ({"groups": [1, 2]}, "wrong-length"),
        ({"groups": np.arange(N) % 2}, "few-groups"),
        ({"X": EMPTY[:, 0]}, "no-activations"),
        ({"holds": "auc > 0.8"}, "unknown-column"),
        ({"controls": {"mine": [1, 2]}}, "wrong-length"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(options, code):
    with pytest.raises(AssayError) as error:
        ask(**options)
    assert error.value.code == code


def test_what_was_measured_is_read_again(tmp_path, monkeypatch):
    first = ask(texts=TEXTS, save=tmp_path / "probe.jsonl")
    calls = []
    real = reading.scores
    monkeypatch.setattr("assay.checks.probe.scores", lambda *a: calls.append(1) or real(*a))
    again = ask(texts=TEXTS, save=tmp_path / "probe.jsonl")
    assert len(calls) == 1 and again.low == first.low  # the shuffles
