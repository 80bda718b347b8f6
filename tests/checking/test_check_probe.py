"""Probes: measures by other implementations, intervals by the published formula, and worlds in
which it is known what tells two labels apart."""

import itertools
import json
import math
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import assay
from acceptance.test_check_probe import DRAW, EMPTY, GROUPS, PLANTED, TEXTS, WORDS, N, Y, by_length
from assay.checking import reading, related
from assay.core.errors import AssayError, ClaimError, DataError
from assay.core.wordings import numbered
from assay.features.linear_probe import folds, stratified_folds

__all__ = ["by_length"]
WEAKER = EMPTY + 1.5 * np.outer(2 * Y - 1, np.eye(12)[0])
"""In which the labels make no clusters, of which no text would say why they are there."""


def test_measures_are_those_of_scikit_learn():
    for seed in range(5):
        draw = np.random.default_rng(seed)
        y = draw.random(90) < 0.4
        score = np.round(draw.normal(size=90) + y, 1 + seed % 2)  # with ties
        accuracy, auroc = reading.measures(score, y)
        assert accuracy == pytest.approx(np.mean((score > 0) == y))
        assert auroc == pytest.approx(roc_auc_score(y, score), abs=1e-12)


def test_a_ridge_is_scikit_learns():
    x, y = DRAW.normal(size=(40, 7)), np.where(DRAW.random(40) < 0.5, 1.0, -1.0)
    train, held = np.arange(30), np.arange(30, 40)
    got = reading._ridge(x @ x.T, y[None], train, held)[:, 0]
    centred = x[train] - x[train].mean(0)
    for penalty, row in zip(reading.RIDGES, got, strict=True):
        alpha = penalty * (centred**2).sum() / 30
        other = Ridge(alpha=alpha, solver="cholesky").fit(x[train], y[train])
        np.testing.assert_allclose(row, other.predict(x[held]), atol=1e-6)


def test_the_interval_of_an_auroc_is_delongs():
    """By DeLong, DeLong and Clarke-Pearson (1988): the variance of the placements of positives
    among negatives, and of negatives among positives."""
    draw = np.random.default_rng(0)
    y = np.arange(300) < 140
    score = draw.normal(size=300) + y
    placed = (score[y][:, None] > score[~y]).astype(float)
    v = placed.mean(1).var(ddof=1) / 140 + placed.mean(0).var(ddof=1) / 160
    parts = reading.pseudo_values(score, y, np.arange(300))[:, 1]
    assert parts.mean() == pytest.approx(placed.mean(), abs=1e-12)
    assert parts.var(ddof=1) / 300 == pytest.approx(v, rel=0.03)


def test_the_interval_of_groups_with_other_levels_contains_the_auroc_that_samples_have_on_average():
    """Twelve groups of five rows each, whose AUROC is higher within a group than between groups; by
    the quantile of Student's t for 11 degrees of freedom."""
    group, y = np.arange(12).repeat(5), np.arange(60) % 2 == 1
    fold, found = np.array([g % 5 for g in group]), []
    for seed in range(200):
        draw = np.random.default_rng(seed)
        score = 3 * draw.normal(size=12)[group] + 3 * y + draw.normal(size=60)
        found.append(reading.pseudo_values(score, y, group, fold)[:, 1])
    mean = np.mean(found, axis=1)
    half = 2.201 * np.std(found, axis=1, ddof=1) / 12**0.5
    assert (abs(mean - mean.mean()) <= half).mean() == pytest.approx(0.95, abs=0.04)
    whole = reading.measures(score, y, fold)
    np.testing.assert_allclose(reading.pseudo_values(score, y, group, fold).mean(0), whole)


def test_no_group_is_learned_from_and_judged():
    for train, held in reading.parts_of(list(GROUPS), Y):
        assert not {*GROUPS[train]} & {*GROUPS[held]} and len(train) + len(held) == N


@pytest.mark.thorough
def test_what_groups_are_called_moves_a_measure_little():
    """It decides which groups learn from which, which is averaged over five ways."""
    draw, y = np.random.default_rng(2), np.arange(96) % 2
    X, names = draw.normal(size=(96, 16)) + 1.1 * np.outer(y, np.eye(16)[0]), np.arange(96) // 4
    renamed = [draw.permutation(24)[names] for _ in range(12)]
    found = [assay.check_probe(X, y, groups=g).arms["auroc"][0] for g in renamed]
    alone = []
    for g in renamed:
        for way in range(5):
            parts = reading.parts_of(list(g), y == 1, way)
            score = reading.scores(reading.Columns(X), y == 1, g, parts, way)
            alone.append(np.mean([roc_auc_score(y[held], score[held]) for _, held in parts]))
    assert np.std(found) < 0.75 * np.std(alone)  # about 1/√5


def test_noise_is_at_chance_where_each_group_has_one_label():
    """Six groups of either label, of which a fold has two of one and one of the other: scores lean
    to the other label."""
    groups = np.arange(12).repeat(5)
    y, found = groups % 2 == 1, []
    for seed in range(48):
        draw, fold = np.random.default_rng(seed), np.empty(60)
        x = draw.normal(size=(60, 20)) + draw.normal(size=(12, 20))[groups]
        parts = reading.parts_of(list(groups), y, seed)
        for k, (_, held) in enumerate(parts):
            fold[held] = k
        score = reading.scores(reading.Columns(x), y, groups, parts, seed)
        found.append(reading.measures(score, y, fold))
    assert (abs(np.mean(found, 0) - 0.5) < 3 * np.std(found, 0, ddof=1) / 48**0.5).all()


def swapped(y):
    """Words of which the first says the label, and the bag nothing."""
    return [f"tea {t} salt" if k else f"salt {t} tea" for t, k in zip(TEXTS, y, strict=True)]


def world(name):
    """X, texts and options, and which controls have to tell as much."""
    long = [t + " and so on" * (4 * k) for t, k in zip(TEXTS, Y, strict=True)]
    word = [t + (" yes" if k else " no") for t, k in zip(TEXTS, Y, strict=True)]
    of = list(zip(TEXTS, Y, strict=True))
    order = [t.replace(" ", " red blue " if k else " blue red ", 1) for t, k in of]
    return {
        "planted": (WEAKER, TEXTS, {}, set()),
        "length": (PLANTED, long, {}, {"lengths", "bag", "places"}),
        "word": (PLANTED, word, {}, {"bag", "places"}),
        "capitals": (PLANTED, [t.upper() if k else t for t, k in of], {}, {"spelling"}),
        "blanks": (PLANTED, [t.replace(" ", "  ", int(k)) for t, k in of], {}, {"spelling"}),
        "numbers": (PLANTED, [t + f" {7 * i + 2000}" * int(k) for i, (t, k) in enumerate(of)], {},
                    {"spelling"}),
        "order": (PLANTED, order, {}, {"pairs"}),
        "place": (PLANTED, swapped(Y), {}, {"places"}),
        "embedding": (PLANTED, TEXTS, {"embeddings": PLANTED @ DRAW.normal(size=(12, 12))},
                      {"embedding"}),
        "untrained": (PLANTED, TEXTS, {"untrained": PLANTED[:, :3]}, {"untrained"}),
        "asked": (PLANTED, TEXTS, {"asked": PLANTED[:, 0]}, {"asked"}),
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        *("planted", "length", "embedding", "asked"),
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("word", "order", "place", "untrained", "capitals", "blanks", "numbers")
        ),
    ],
)
def test_what_tells_as_much_makes_a_probe_unspecific(name):
    X, texts, options, telling = world(name)
    p = assay.check_probe(X, Y, groups=GROUPS, texts=texts, holds="auroc > 0.8", **options)
    assert p.outcome == ("unspecific" if telling else "holds"), p
    lacking = [c for c in ("embedding", "untrained") if f"no control {c}:" in " ".join(p.notes)]
    reason = f" ({p.reason})" if p.reason else ""
    if p.outcome == "holds" and lacking:
        reason = f", without the control{'s' * (lacking[1:] != [])} {' and '.join(lacking)}"
        reason += ", and nobody checked where X comes from" * ("untrained" in lacking)
    assert f"{p.outcome}{reason}: auroc > 0.8" == p.headline().splitlines()[-1]
    assert p.estimate == p.judged.estimate
    assert p.interval == (p.judged.low, p.judged.high)
    passing = {a for a, v in p.judged.controls.items() if v.outcome == "holds"}
    assert telling <= passing and bool(telling) == bool(passing)


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("word", {"bag": "the word “yes”", "places": "“yes” as the last word",
                  "pairs": "“yes” at the end"}),
        ("length", {"lengths": "the number of words"}),
        *(pytest.param(name, alone, marks=pytest.mark.thorough) for name, alone in (
            ("order", {"pairs": "“red blue”"}),
            ("capitals", {"spelling": "the number of capitals"}),
            ("blanks", {"spelling": "the number of spaces"}),
            ("place", {"places": "“tea” as word 1", "pairs": "“tea” at the start"}),
        )),
    ],
)  # fmt: skip
def test_a_control_names_the_one_thing_that_tells_the_labels(name, alone, tmp_path):
    """It is the thing that was planted, which all texts of one label have, and no other."""
    X, texts, _, _ = world(name)
    given = {"groups": GROUPS, "texts": texts, "ledger": False}
    for p in (assay.check_probe(X, Y, **given, **how) for how in ({}, {"holds": "auroc > 0.8"})):
        assert {f"{x} alone: AUROC 1.000" for x in alone.values()} <= {*p.question.alone.values()}
        p.save(tmp_path / "p.assay")
        shown = " ".join(repr(assay.ProbeCheck.load(tmp_path / "p.assay")).split())
        assert all(f"; {x} alone: AUROC 1.000" in shown for x in alone.values())
    assert "permuted" not in p.question.alone


@pytest.mark.thorough
def test_a_word_that_most_texts_of_a_label_have_is_named_with_its_auroc_by_scikit_learn():
    draw = np.random.default_rng(1)
    now = draw.random(N) < np.where(Y, 0.9, 0.1)
    texts = [t + " now" * bool(k) for t, k in zip(TEXTS, now, strict=True)]
    p = assay.check_probe(PLANTED, Y, texts=texts, holds="auroc > 0.9", ledger=False)
    assert p.controls["bag"].outcome == "undecided"
    assert p.question.alone["bag"] == f"the word “now” alone: AUROC {roc_auc_score(Y, now):.3f}"
    clean = assay.check_probe(PLANTED, Y, texts=TEXTS, holds="auroc > 0.4", ledger=False)
    assert not clean.question.alone  # each word is in about as many texts of either label


def test_a_text_that_comes_again_is_never_learned_from_and_judged():
    """Each text's own direction and a coin for its label, three rows apart: there is nothing to
    learn, though a probe that has seen a text knows its label."""
    draw, of = np.random.default_rng(5), np.arange(N) % 40
    X = draw.normal(size=(40, 64))[of] + 0.8 * draw.normal(size=(N, 64))
    label, texts = draw.permutation(np.arange(40) % 2)[of], [f"text {i}." for i in of]
    p = assay.check_probe(X, label, texts=texts, holds="auroc > 0.6", ledger=False)
    assert p.outcome != "holds" and any("leaves 40 groups" in n for n in p.notes)
    known, fresh = assay.check_probe(X, label, ledger=False).arms.loc[0], p.arms.loc[0]
    assert fresh.auroc_low < 0.5 < fresh.auroc_high < known.auroc_low


def test_groups_that_share_texts_are_one_however_few_are_left():
    """Each text's own direction and a coin for its label; every text is in two of twelve groups
    that nothing else joins, in the end in all."""
    draw, groups, label = np.random.default_rng(5), np.arange(48) // 4, np.arange(48) % 2
    X, texts = draw.normal(size=(48, 16)), np.array([f"text {i}." for i in range(48)])

    def with_links(links):
        shared = texts.copy()
        for g in range(links):
            shared[4 * g + 4], shared[4 * g + 3] = (f"link {g}",) * 2
        return {"groups": groups, "texts": shared.tolist(), "holds": "auroc > 0.6"}

    p = assay.check_probe(X, label, **with_links(8), ledger=False)
    (note,) = (n for n in p.notes if n.startswith("8 texts are in several groups"))
    assert "this leaves 4 groups: keep one row of each text" in note
    assert p.question.scope.startswith("48 rows of 4 groups")
    assert (p.outcome, p.judged.n) == ("undecided", {"group": 4})
    with pytest.raises(DataError, match=r"leaves 1 group: keep one .* Here there is 1 group;"):
        assay.check_probe(X, label, **with_links(11), ledger=False)


def test_what_is_no_activation_is_reported():
    """The label as a column, a row far from all others, a drift that labels in blocks go with; and
    a score of asking whose sign is reversed says as much as it did."""
    block, far = np.arange(N) >= N // 2, EMPTY.copy()
    far[7] = 1e5
    drift = EMPTY + np.linspace(-3, 3, N)[:, None]
    for X, y, why in (
        (np.c_[EMPTY, 3 + 2 * Y], Y, "column 12 of X"),
        (far, Y, "such as row 7"),
        (drift, block, "drifts along"),
    ):
        assert any(why in n for n in assay.check_probe(X, y, ledger=False).notes), why
    for X, y in ((drift, Y), (PLANTED, Y), (EMPTY + 9 * block[:, None], block)):
        told = " ".join(assay.check_probe(X, y, ledger=False).notes)
        assert not any(w in told for w in ("column", "such as row", "drifts"))
    p = assay.check_probe(drift, block, holds="auroc > 0.8", ledger=False)
    assert p.outcome == "undecided" and "drifts along" in p.remarks[0]
    assert p.headline().startswith(
        "the rows come in blocks of one label, and the probe's score drifts along them\n"
        "undecided, without texts= and the controls embedding and untrained (the score drifts along"
    )
    more = drift + 6 * block[:, None]  # of which the drift is a third
    p = assay.check_probe(more, block, holds="auroc > 0.8", ledger=False)
    assert p.outcome == "holds"
    assert "※ The rows come in blocks of one label" in p._repr_html_()
    p = assay.check_probe(PLANTED, Y, asked=-PLANTED[:, 0], holds="auroc > 0.8", ledger=False)
    assert p.outcome == "unspecific" and any("reversed" in n for n in p.notes)


@pytest.mark.thorough
def test_labels_of_groups_that_are_drawn_at_random_are_not_read():
    """Near duplicates: each group is a point with jitter, its label a coin; rows alone are read."""
    coin = np.random.default_rng(1).permutation(np.arange(30) % 2)
    base = np.random.default_rng(2).normal(size=(30, 60))
    X = base[GROUPS] + 0.01 * DRAW.normal(size=(N, 60))
    y = coin[GROUPS]
    found = assay.check_probe(X, y, holds="accuracy > 0.8")  # their groups are found
    assert found.outcome != "holds" and found.arms.loc[0, "accuracy"] < 0.8
    assert any("about 30 sets of 4" in n and "one group, 30 in all" in n for n in found.notes)
    pairs = assay.check_probe(X, y, groups=np.arange(N) // 2, holds="accuracy > 0.8")
    assert pairs.outcome != "holds" and any("30 in all" in n for n in pairs.notes)
    p = assay.check_probe(X, y, groups=GROUPS, holds="accuracy > 0.8")
    assert p.outcome != "holds" and p.arms.loc[0, "accuracy"] < 0.8


def test_sets_of_rows_are_shown_with_the_words_that_make_them_and_the_line_that_groups_them():
    """Twelve nouns, each in eight texts: what the rows have of a noun they all have."""
    nouns = ["cup", "key", "pot", "jar", "pan", "lid", "mug", "fan", "box", "bag", "net", "rod"]
    adjectives = ["white", "black", "small", "large", "old", "new", "red", "blue"]
    texts = [f"The {a} {noun} is on the table." for noun in nouns for a in adjectives]
    draw, of = np.random.default_rng(0), np.arange(96) // 8
    X = 3 * draw.normal(size=(12, 16))[of] + 0.3 * draw.normal(size=(96, 16))

    def note(**options):
        notes = assay.check_probe(X, of % 2, **options).notes
        return next((n for n in notes if "12 sets of 8" in n), "")

    found = note(texts=texts, groups=np.arange(96) % 8)
    i, j = map(int, re.findall(r"row (\d+)", found))
    assert of[i] == of[j] and f"row {i} “{texts[i]}” and row {j} “{texts[j]}”" in found
    assert f", which share “{nouns[of[i]]}”: if rows of one set are not independent" in found
    line = "groups=[text.split()[2] for text in texts]"
    assert found.endswith(f"give {line}")
    assert note(texts=texts, groups=[text.split()[2] for text in texts]) == ""
    assert note(texts=texts).endswith("rows of one set are taken as one group, 12 in all")
    assert note(groups=np.arange(96) % 8).endswith("give groups=, for each row the name of its set")


def test_sets_in_which_both_labels_are_stay_apart():
    """Ten topics, each with both labels: nothing is learned of a topic that tells its label."""
    draw = np.random.default_rng(0)
    X = 3 * draw.normal(size=(10, 60))[np.arange(N) % 10] + draw.normal(size=(N, 60))
    y = np.arange(N) < N // 2
    notes = assay.check_probe(X + 6 * np.outer(y, np.eye(60)[0]), y).notes
    assert not any("taken as one group" in n for n in notes)


def test_folds_are_judged_with_the_variance_of_nadeau_and_bengio():
    """(1/k + n_test/n_train) s² of the folds' own AUROCs, each by what learned from the others."""
    X = EMPTY + np.outer(Y, np.eye(12)[0])
    p = assay.check_probe(X, Y, groups=GROUPS, folds=5, holds="auroc > 0.6")
    x = p.rows.loc[p.rows["arm"] == "probe", "auroc"]
    half = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 1 / 4) * x.var())
    assert p.judged.n == {"fold": 5} and p.judged.estimate == pytest.approx(x.mean())
    assert p.judged.high == pytest.approx(min(1, x.mean() + half))
    assert p.judged.low == pytest.approx(x.mean() - half)
    row = p.arms.loc[0]
    assert (row["auroc_low"], row["auroc_high"]) == pytest.approx((p.judged.low, p.judged.high))
    assert any("1.5 times as wide as that of independent units" in n for n in p.notes)


def test_folds_have_whole_groups_and_as_many_of_each_label():
    label = np.repeat(np.random.default_rng(0).permutation(np.arange(30) % 3 == 0), 4)
    of = stratified_folds(GROUPS, label.astype(int), 5)
    assert all(len(set(of[g == GROUPS])) == 1 for g in range(30))
    assert [label[of == k].sum() for k in range(5)] == [8] * 5
    assert np.bincount(of).tolist() == [24] * 5


def test_that_the_text_alone_decides_is_said_before_an_undecided_verdict():
    texts = [t + " indeed" * int(label) for t, label in zip(TEXTS, Y, strict=True)]
    p = assay.check_probe(PLANTED, Y, groups=GROUPS, texts=texts, holds="auroc > 0.95")
    first, last = p.headline().splitlines()
    assert first.startswith("the text alone separates the labels of these rows: AUROC 1 for bag")
    assert p.interval[0] < 0.95 < p.interval[1] and last.startswith("undecided")


@pytest.mark.parametrize(("count", "satisfies"), [(8, "undecided"), (30, "YES")])
def test_a_perfect_control_of_few_groups_says_that_its_limits_are_exact(count, satisfies):
    """Of 8 groups without an error, Clopper and Pearson's lower limit is 0.025^(1/8) = 0.63."""
    few = count > GROUPS
    texts = [t + " indeed" * int(label) for t, label in zip(TEXTS, Y, strict=True)]
    texts = [t for t, kept in zip(texts, few, strict=True) if kept]
    given = {"groups": GROUPS[few], "texts": texts, "holds": "auroc > 0.8"}
    p = assay.check_probe(PLANTED[few], Y[few], **given)
    (bag,) = [line for line in p.cells() if line[0] == "bag"]
    assert f"[{0.025 ** (1 / count):.3f}, 1.000]" in bag[2] and satisfies in bag
    assert ("so the limits are exact" in bag[-1]) == (satisfies == "undecided")
    assert p.headline().startswith("the text alone separates the labels of these rows")


def test_a_warning_names_the_groups_that_have_all_errors_and_the_outcome_without_them():
    """Of Tukey's pseudo-values those of the two groups whose labels are reversed lie apart."""
    draw = np.random.default_rng(3)
    y, groups = np.arange(96) % 2, np.arange(96) // 8
    sign = (2 * y - 1) * np.where(groups < 2, -1, 1)
    X = draw.normal(size=(96, 4)) + np.outer(3.0 * sign, [1, 0, 0, 0])
    p = assay.check_probe(X, y, groups=groups, holds="auroc > 0.6")
    own = p.rows.loc[p.rows["arm"] == "probe", "auroc"]
    assert own.max() > 1 and p.interval[0] < p.estimate < p.interval[1]
    (note,) = [n for n in p.notes if "outlier" in n]
    others = np.median(np.sort(own)[2:])
    assert f"the others is {others:.3g}: group '0' and group '1'. Look at their rows" in note, note
    kept = groups >= 2  # the verdict on the parts of the others: all are a little above 0.6
    assert (
        assay.check_probe(X[kept], y[kept], groups=groups[kept], holds="auroc > 0.6").estimate > 0.9
    )
    assert note.endswith("Without them, the verdict would be holds") and p.outcome == "undecided"


def test_a_warning_names_a_group_as_its_author_does(tmp_path):
    draw, y = np.random.default_rng(9), np.tile([0, 0, 1, 1], 12)
    groups = np.repeat([f"noun{i}" for i in range(12)], 4)
    X = draw.normal(size=(48, 6)) + 1.1 * np.outer(y, np.eye(6)[0])
    p = assay.check_probe(X, y, groups=groups, holds="auroc > 0.65", ledger=False)
    parts = p.rows.loc[p.rows["arm"] == "probe", "auroc"].to_numpy()

    def lowest(x):
        return x.mean() - stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5

    assert lowest(parts) < 0.65
    alone = [np.unique(groups)[k] for k in range(12) if lowest(np.delete(parts, k)) > 0.65]
    (note,) = [n for n in p.notes if "it would" in n]
    assert [note.partition("'")[2].partition("'")[0]] == alone and "without group '" in note
    assert assay.ProbeCheck.load(p.save(tmp_path / "p.assay")).judged.warning == p.judged.warning


def test_a_control_satisfies_by_the_interval_that_the_table_has(by_length):
    """The bag of words is right in all 30 groups, so that its true AUROC may be below the .93 that
    is claimed: the exact lower limit of 30 of 30 is .025^(1/30) = .884."""
    table = by_length.to_pandas().set_index("arm")
    bag = by_length.controls["bag"]
    assert by_length.rows.query("arm == 'probe'")["auroc"].max() > 1
    assert bag.low == pytest.approx(0.025 ** (1 / 30)) and bag.outcome == "undecided"
    for name, verdict in by_length.controls.items():
        assert verdict.interval == pytest.approx(
            tuple(table.loc[name, ["auroc_low", "auroc_high"]])
        )
    assert by_length.outcome == "undecided" and "not beaten" in by_length.reason


def test_all_controls_that_are_not_beaten_are_named_and_what_would_decide_the_first():
    """Texts whose lengths and words go with the label in some of few groups, but not in all."""
    rng = np.random.default_rng(4)
    y = np.arange(24) % 2
    X = rng.normal(size=(24, 6)) + 9 * np.outer(y, np.eye(6)[0])
    words = ["tea", "salt", "wood", "iron", "milk", "rain"]
    texts = [" ".join(rng.choice(words, size=4 + (k and rng.random() < 0.6))) for k in y]
    p = assay.check_probe(X, y, texts=texts, holds="auroc > 0.75", ledger=False)
    left = [name for name, v in p.controls.items() if v.outcome == "undecided"]
    assert len(left) > 1 and f"controls {', '.join(left[:-1])} and {left[-1]} are" in p.reason
    assert p.judged.reason == f"control {left[0]} not beaten", "what is stored names the first"
    state = {line[0]: line[p.heads.index("satisfies the claim")] for line in p.cells()}
    expected = {"holds": "YES", "fails": "no", "undecided": "undecided"}
    assert state == {"probe": ""} | {name: expected[v.outcome] for name, v in p.controls.items()}
    assert any(line.startswith(f"{left[0]}: ") for line in p.reach)


def test_named_groups_stay_apart_where_their_own_rows_are_the_near_copies():
    """Forty words of three wordings each. In the six directions of the search some words lie
    closer than wordings do, though each row's nearest row is of its own word."""
    draw, of = np.random.default_rng(0), np.repeat(np.arange(40), 3)
    X = draw.normal(size=(40, 64))[of] + 0.45 * draw.normal(size=(120, 64))
    y = of < 20
    X = X + np.outer(y, 3 * np.eye(64)[0])
    away = np.linalg.norm(X[:, None] - X, axis=2) + 1e9 * np.eye(120)
    assert (of[away.argmin(1)] == of).all()
    names = np.array([f"word {k}" for k in of], dtype=object)
    p = assay.check_probe(X, y, groups=names, ledger=False)
    assert "of 40 groups" in p.question.scope
    assert not any("were merged" in note for note in p.notes)

    # copies of one wording of two words, under names of their own
    more = np.r_[0, 3]
    X, y = np.r_[X, X[more] + 0.01 * draw.normal(size=(2, 64))], np.r_[y, y[more]]
    names = np.r_[names, ["copy a", "copy b"]]
    p = assay.check_probe(X, y, groups=names, ledger=False)
    (merged,) = [note for note in p.notes if "were merged" in note]
    assert "of 40 groups" in p.question.scope
    assert (
        "of the 42 groups that groups= names, 4 were merged into 2" in merged
        and "'word 0' with 'copy a'" in merged
    ), merged


@pytest.mark.parametrize(
    ("named", "folds"),
    [
        *((False, 0), (True, 5)),
        *(pytest.param(*case, marks=pytest.mark.thorough) for case in ((False, 5), (True, 0))),
    ],
)
def test_the_order_of_rows_changes_no_measure(named, folds):
    """Sorted by label, reversed, and shuffled."""
    draw, y = np.random.default_rng(0), np.arange(33) < 18
    texts = [" ".join(draw.choice(WORDS, size=draw.integers(3, 6))) for _ in y]
    X, groups = draw.normal(size=(33, 6)) + np.outer(y, np.eye(6)[0]), draw.permutation(33) // 3
    found = []
    for order in (np.arange(33), np.arange(33)[::-1], draw.permutation(33)):
        rows = {"texts": [texts[i] for i in order], "groups": groups[order] if named else None}
        p = assay.check_probe(X[order], y[order], folds=folds, ledger=False, **rows)
        found.append(p.arms[["accuracy", "auroc", "auroc_low", "auroc_high"]].to_numpy())
    np.testing.assert_allclose(found, [found[0]] * 3, rtol=0, atol=1e-9)


def test_texts_of_which_no_word_comes_again_say_nothing_in_any_order():
    """All scores are equal but for rounding, and 22 rows of a label cannot be dealt evenly."""
    for n, order in itertools.product((44, 48), (np.arange, np.random.default_rng(0).permutation)):
        y = (np.arange(n) < n / 2)[order(n)]
        texts = [
            f"I was told about the {np.base_repr(10**9 + 7**8 * i, 36)} there" for i in range(n)
        ]
        group, reader = np.arange(n), reading.bag(texts)
        for k in range(3):
            score = reading.scores(reader, y, group, reading.parts_of(list(group), y, k), k)
            assert roc_auc_score(y, score) == 0.5 and len({*score}) == 1


@pytest.mark.parametrize("mixed", [False, True])
def test_noise_is_at_chance_where_folds_have_more_of_one_label(mixed):
    """Thirteen rows of one label each, or eight groups that differ in how many rows of each label
    they have: a probe that predicts the usual label of the rows that it learned from would be below
    chance, at 0.42 and at 0.33 on average."""
    found = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        group = np.arange(8).repeat(4) if mixed else np.arange(13)
        y = draw.random(32) < draw.random(8)[group] if mixed else draw.permutation(13) < 7
        x = draw.normal(size=(len(y), 4))
        parts = reading.parts_of(list(group), y)
        found.append(roc_auc_score(y, reading.scores(reading.Columns(x), y, group, parts)))
    assert abs(np.mean(found) - 0.5) < 3 * np.std(found, ddof=1) / 60**0.5


def test_a_probe_shows_its_sentence(tmp_path):
    said = "The activations tell true from false"
    p = assay.check_probe(
        PLANTED, Y, groups=GROUPS, sentence=said, holds="auroc > 0.8", ledger=False
    )
    held = "holds, without texts= and the controls embedding and untrained, "
    held += "and nobody checked where X comes from"
    assert p.headline().splitlines()[0] == f"{held}: {said} (auroc > 0.8)"
    assert said in p._repr_html_() and said in repr(p)
    path = p.save(tmp_path / "p.assay")
    assert repr(assay.ProbeCheck.load(path)) == repr(p)
    # a file of a version before there were sentences
    old = tmp_path / "old.assay"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(old, "w") as earlier:
        content = json.loads(archive.read("check.json"))
        del content["probe"]["sentence"]
        earlier.writestr("check.json", json.dumps(content))
        earlier.writestr("numbers.csv", archive.read("numbers.csv"))
    assert assay.ProbeCheck.load(old).headline() == f"{held}: auroc > 0.8"


def test_a_saved_probe_is_judged_again(by_length, tmp_path, capsys):
    from assay.cli.main import main

    again = assay.ProbeCheck.load(path := by_length.save(tmp_path / "p.assay"))
    assert repr(again) == repr(by_length) and again.interval == by_length.interval
    assert main(["verify", str(path)]) == 0
    assert "give the verdict that it states" in capsys.readouterr().out
    with pytest.raises(DataError, match="verdict on a probe"):
        assay.Check.load(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    content["check.json"] = content["check.json"].replace("auroc > 0.93", "auroc > 0.5")
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    with pytest.raises(DataError, match="states 'undecided'; its numbers say 'unspecific'"):
        assay.ProbeCheck.load(path)


@pytest.mark.thorough
def test_a_session_that_tells_the_labels_makes_a_probe_of_it_unspecific(tmp_path):
    """Nine of ten rows with a label were recorded in a session of their own: the control is right
    for just these."""
    draw, y = np.random.default_rng(0), np.arange(200) % 2
    session = np.where(draw.permutation(200) < 20, 1 - y, y)
    X = draw.normal(size=(200, 12)) + 5 * np.outer(session, np.eye(12)[0])
    given = {"X": X, "y": y, "holds": "auroc > 0.75", "ledger": False}
    assert assay.check_probe(**given).outcome == "holds"
    for known in (session, np.where(session, "May", "June"), np.eye(2)[session], [*session]):
        p = assay.check_probe(**given, controls={"session": known})
        assert p.outcome == "unspecific" and p.reason.startswith("control session satisfies")
        accuracy = p.arms.set_index("arm").loc["session", "accuracy"]
        assert accuracy == pytest.approx((session == y).mean()) == pytest.approx(0.9)
    p.save(path := tmp_path / "p.assay")
    for shown in repr(p), p._repr_html_(), repr(assay.ProbeCheck.load(path)):
        assert "session alone predicts it" in shown


@pytest.mark.thorough
def test_sessions_are_names_whether_words_or_numbers_and_one_that_is_balanced_excludes_itself():
    draw = np.random.default_rng(2)
    session = np.arange(N) // 2 % 6  # each has both labels equally often
    odd = np.where(draw.random(N) < 0.9, session % 2, 1 - session % 2)
    for names in session, [f"of {k}" for k in session]:
        p = assay.check_probe(EMPTY, odd, controls={"session": names})
        assert p.arms.set_index("arm").loc["session", "auroc"] > 0.8
        p = assay.check_probe(PLANTED, Y, holds="auroc > 0.8", controls={"session": names})
        assert p.outcome == "holds" and p.controls["session"].outcome == "fails"
        assert "below chance" not in repr(p)


def test_a_claim_about_accuracy_says_what_the_more_frequent_label_gets():
    y = np.arange(N) % 10 == 0
    p = assay.check_probe(PLANTED, y, holds="accuracy > 0.8", ledger=False)
    assert p.reason.startswith("control permuted")
    assert f"always giving the label False: accuracy {(~y).mean():.3f}" in " ".join(repr(p).split())
    for labels, holds in (y, "auroc > 0.8"), (y, ""), (Y, "accuracy > 0.8"):
        p = assay.check_probe(PLANTED, labels, holds=holds, ledger=False)
        assert "always giving" not in " ".join(repr(p).split())


def test_without_a_condition_it_is_a_table():
    p = assay.check_probe(PLANTED, np.where(Y, "true", "lie"), groups=GROUPS, texts=TEXTS)
    assert p.outcome == p.reason == "" and np.isnan([p.estimate, *p.interval]).all()
    assert not p.controls
    frame = p.to_pandas().set_index("arm")
    names = ["probe", "bag", "lengths", "places", "spelling", "pairs", "permuted"]
    assert list(frame.index) == names
    assert (frame["auroc_low"] <= frame["auroc"]).all()
    assert frame.loc["bag", "lead_low"] > 0 and "AUROC" in repr(p)
    assert "bag" in p._repr_html_() and any("the positive label is 'true'" in n for n in p.notes)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"y": Y[:5]}, "y has length 5, and X has length 120"),
        ({"y": np.where(np.arange(N) == 3, np.nan, Y)}, "no label for row 3"),
        ({"X": np.ones((N, 3))}, "same numbers in every row"),
        ({"X": 30 + np.outer(Y, [1e-6, 0]).astype(np.float32)}, "every row, but for rounding"),
        ({"y": [0, 1, 2] * 40}, "labels of two kinds, got 3"),
        ({"k": 0}, "from 1 to 12; got 0"),
        ({"k": 13}, "from 1 to 12; got 13"),
        ({"groups": [1, 2]}, "groups has length 2"),
        ({"groups": [1] * N}, "there is 1 group;"),
        ({"groups": [1, 2] * (N // 2)}, "there are 2 groups"),
        ({"texts": ["a"]}, "has length 1"),
        ({"folds": 3}, "folds= is a number from 5, .* 120; got 3"),
        ({"folds": 5, "groups": np.arange(N) % 3}, "groups, 3; got 5"),
        ({"folds": 5, "y": np.arange(N) < 3}, "one label alone"),
        ({"embeddings": PLANTED[:3]}, "120 rows"),
        ({"controls": {"session": [1, 2]}}, "'session' has length 2 for 120 rows"),
        ({"controls": {"session": ["a", None] * 60}}, "'session' has None for row 1"),
        ({"controls": {"session": np.where(np.arange(N) == 5, np.nan, 1)}}, "nan for row 5"),
        ({"controls": {"session": [f"{i}" for i in range(N)]}}, "has 120 words for 120 rows"),
        ({"controls": {"session": ["a"] * N}}, "same numbers in every row"),
        ({"controls": {"bag": Y}}, "names 'bag', which Assay calls its own"),
        ({"controls": {"session": 3}}, "'session' has length 0"),
        ({"controls": ["session"]}, "known of each row by name"),
        ({"X": np.full((N, 2), np.nan)}, "not finite, in row 0"),
        ({"holds": "aurocc > 0.5"}, "did you mean auroc"),
        ({"model": "smollm2"}, "texts="),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(options, why):
    given = {"X": PLANTED, "y": Y} | options
    with pytest.raises((DataError, ClaimError), match=why) as e:
        assay.check_probe(given.pop("X"), given.pop("y"), **given)
    assert "\n" not in str(e.value) and isinstance(e.value, AssayError)


@pytest.mark.thorough
def test_a_model_gives_embeddings_its_untrained_twin_and_what_it_says(tmp_path):
    """By plain transformers: what it says is the difference of two logits behind the question."""
    import torch
    import transformers

    from tiny_models import make

    folder = make(tmp_path / "llama", "llama")
    y = Y[:24]
    texts = [
        f"def {w}(a, b): return {'a + b' if k else '10'}"
        for w, k in zip("xyzwuv" * 4, y, strict=True)
    ]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    encode = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    states = []
    for text in texts:
        with torch.no_grad():
            out = model(torch.tensor([encode(text).input_ids]), output_hidden_states=True)
        states.append(out.hidden_states[1][0, -1])
    p = assay.check_probe(
        torch.stack(states),
        y,
        texts=texts,
        model=str(folder),
        site="blocks.1.hook_resid_pre",
        question="{text}\nclass",
        answers=(" Point", "10"),
    )
    assert {"embedding", "places", "untrained", "asked"} <= set(p.arms["arm"])
    first, second = (encode(x).input_ids[0] for x in (" Point", "10"))
    said = []
    for text in texts:
        with torch.no_grad():
            logits = model(torch.tensor([encode(f"{text}\nclass").input_ids])).logits[0, -1]
        said.append(float(logits[first] - logits[second]) > 0)
    asked = p.to_pandas().set_index("arm").loc["asked"]
    assert asked["accuracy"] == pytest.approx(np.mean(np.array(said) == y))
    with pytest.raises(DataError, match="-1 for the last token"):
        assay.check_probe(torch.stack(states), y, texts=texts, model=str(folder), position="last")


@pytest.mark.thorough
def test_activations_of_other_texts_are_refused_and_those_of_another_block_reported(tmp_path):
    """By plain transformers, where the same texts have the hidden states of both blocks."""
    import torch
    import transformers

    from tiny_models import make

    folder = make(tmp_path / "llama", "llama")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    encode = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    y = Y[:24]
    texts = [f"{WORDS[i % 7]} {WORDS[i % 5]} {i} {WORDS[i % 3]}" for i in range(24)]
    states = []
    for text in texts:
        with torch.no_grad():
            out = model(torch.tensor([encode(text).input_ids]), output_hidden_states=True)
        states.append(torch.stack(out.hidden_states)[:, 0].numpy())
    given = {"texts": texts, "model": str(folder), "site": "blocks.1.hook_resid_pre"}

    def check(x, **more):
        return assay.check_probe(x, y, **given | more, ledger=False)

    x = np.stack([layers[1, -1] for layers in states])
    differ = "X differs from the model's own activations"
    half = check(x.astype(np.float16))
    assert not any(differ in n for n in half.notes) and differ not in repr(half)
    draw = np.random.default_rng(0)
    noisy = x + draw.normal(size=x.shape) * 0.4 * x.std(0)
    assert repr(check(noisy)).startswith(differ)
    label = draw.permutation(y)  # which says nothing about a text
    shift = np.outer(2 * label - 1, draw.choice([-1, 1], x.shape[1]) * 0.7 * x.std(0))
    given |= {"holds": "auroc > 0.6"}
    shifted = assay.check_probe(x + shift, label, **given, ledger=False)
    better = "X tells the label better than the model's own activations"
    assert (shifted.outcome, shifted.headline().count(better)) == ("undecided", 1)
    shown = shifted.arms.set_index("arm")["auroc"]
    theirs = assay.check_probe(x, label, texts=texts, ledger=False).arms["auroc"][0]
    assert shown["probe"] > 0.9 and shown["model"] == pytest.approx(theirs, abs=0.02)
    assert assay.ProbeCheck.load(shifted.save(tmp_path / "x.assay")).outcome == "undecided"
    assert "model" not in shifted.controls and shifted.to_pandas()["arm"][0] == "probe"
    assert "<td" in shifted._repr_html_() and shifted.chart() is not None
    assert not any(better in n for near in (x.astype(np.float16), noisy) for n in check(near).notes)
    other = {"columns": x[:, :-1], "texts": x[::-1]}
    other["position"] = np.stack([layers[1, 0] for layers in states])
    other["position"] += np.random.default_rng(1).normal(size=x.shape) * 0.01 * x.std(0)
    for wrong in other.values():
        with pytest.raises(DataError, match="give texts= in the order of X"):
            check(wrong)


@pytest.mark.thorough
def test_activations_of_texts_without_the_bos_of_the_tokenizer_are_recognised(tmp_path):
    """By plain transformers, with the ids that the tokenizer gives and without the first."""
    import torch
    import transformers

    from tiny_models import make

    folder = make(tmp_path / "gemma", "gemma3_text", bos_token_id=2)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    encode = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    texts = [f"{WORDS[i % 7]} {WORDS[i % 5]} {i} {WORDS[i % 3]}" for i in range(24)]
    assert all(encode(text).input_ids[0] == 2 for text in texts)
    for first in (0, 1):
        with torch.no_grad():
            ids = [torch.tensor([encode(text).input_ids[first:]]) for text in texts]
            x = [model(i, output_hidden_states=True).hidden_states[1][0, -1].numpy() for i in ids]
        given = {"texts": texts, "model": str(folder), "site": "blocks.1.hook_resid_pre"}
        p = assay.check_probe(np.stack(x), Y[:24], **given, ledger=False)
        note = "X has the activations of the texts without a BOS, though the tokenizer puts one"
        assert any(note in n for n in p.notes) == bool(first)
        assert not any("X differs from" in n for n in p.notes)


@pytest.mark.thorough
def test_conditions_that_were_tried_on_the_same_texts_are_counted(tmp_path, monkeypatch):
    """Other layers are other activations of the same texts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def tried(x, texts=TEXTS[:24], **options):
        p = assay.check_probe(x[:24], Y[:24], texts=texts, **({"holds": "auroc > 0.8"} | options))
        return [n for n in p.notes if "tried on" in n]

    assert tried(PLANTED) == tried(PLANTED) == []
    assert tried(EMPTY) == ["2 claims were tried on these texts"]
    assert tried(PLANTED, holds="auroc > 0.7") == ["3 claims were tried on these texts"]
    assert tried(PLANTED, texts=[t[::-1] for t in TEXTS[:24]]) == []
    assert tried(PLANTED, texts=None) == []
    assert tried(PLANTED, texts=None, holds="auroc > 0.7") == ["2 claims were tried on these rows"]


def test_a_perfect_probe_of_eight_groups_has_exact_limits_and_no_lead_beyond_what_can_be():
    draw, y = np.random.default_rng(0), np.arange(16) % 2
    words = zip(["film", "meal", "book", "song"] * 4, ["bad", "good"] * 8, strict=True)
    texts = [f"the {thing} {i // 2} was {how}" for i, (thing, how) in enumerate(words)]
    X = draw.normal(size=(16, 6)) + 9 * y[:, None]
    p = assay.check_probe(X, y, groups=np.arange(16) // 2, texts=texts, holds="auroc > 0.3")
    probe, *controls = p.arms.to_dict("records")
    least = stats.beta.ppf(0.025, 8, 1)  # Clopper and Pearson: eight of eight
    for measure in ("accuracy", "auroc"):
        assert probe[f"{measure}_low"] == pytest.approx(least, abs=1e-9)
        assert probe[f"{measure}_high"] == 1
    for control in controls:
        assert -1 <= control["lead_low"] < control["lead_high"] <= 1 - control["auroc_low"]
    assert p.judged.high <= 1
    why = dict(zip(p.arms["arm"], p.arms["why"], strict=True))
    assert why["places"].startswith("the words, each at its position, or the length of the text")


def test_an_argument_of_a_direction_is_refused_by_check_with_the_place_it_has():
    with pytest.raises(ClaimError, match=r"vector=assay\.direction\(…, elsewhere=…\)"):
        assay.check("x", len, prompts=["a"], holds="effect > 1", vector=[1.0], elsewhere=[])


def test_an_open_verdict_says_how_many_groups_would_decide_it():
    """Of n right of n, the lower limit is 0.025^(1/n), which is above 0.9 from 36 groups on."""
    y = np.arange(48) % 2
    X = np.random.default_rng(0).normal(size=(48, 6)) + 9 * y[:, None]
    p = assay.check_probe(X, y, groups=np.arange(48) // 4, holds="auroc > 0.9", ledger=False)
    assert p.outcome == "undecided"
    *_, remedy, blank, heads = repr(p).partition("AUROC")[0].split("\n")
    assert (remedy, blank) == ("to decide it: about 24 more groups, 36 in all", ""), heads
    assert max(map(len, repr(p).split("\n"))) <= 115
    missed = f"1 control does not satisfy the claim: permuted {p.controls['permuted'].estimate:.3f}"
    assert missed in repr(p) and "no controls embedding, untrained and asked: give" in repr(p)
    assert "satisfies the claim  " not in heads and len(p.cells()) == 2


def test_an_undecided_probe_without_a_models_controls_is_sent_for_them_before_more_groups():
    y = np.arange(96) % 2
    X = np.random.default_rng(0).normal(size=(96, 4)) + np.outer(2.4 * (2 * y - 1), np.eye(4)[0])
    p = assay.check_probe(X, y, groups=np.arange(96) // 4, holds="auroc > 0.9", ledger=False)
    first, then = p.reach[1:]
    assert p.outcome == "undecided" and then.startswith("to decide it: about ")
    assert first.startswith("first: give texts=, model= and site= for the controls embedding and")
    given = {"embeddings": np.random.default_rng(1).normal(size=(96, 4))}
    p = assay.check_probe(X, y, holds="auroc > 0.998", **given, ledger=False)
    (first, *_) = p.reach[1:]
    assert p.outcome == "undecided"
    assert first.startswith("first: give texts=, model= and site= for the control untrained")


@pytest.mark.parametrize(
    ("shift", "words"),
    [(0.0, "no better than chance"), (1.5, "worse than chance"), (-1.5, "")],
)
def test_a_probe_that_is_not_better_than_chance_is_said_to_have_learned_nothing(shift, words):
    """Of two copies with the label of each other, of labels that X says nothing of, and of a
    label that it says."""
    y = np.arange(80) % 2
    own = np.random.default_rng(3).normal(size=(40, 6))
    X = np.repeat(own, 2, axis=0) if shift > 0 else np.random.default_rng(3).normal(size=(80, 6))
    X = X + 0.01 * np.random.default_rng(4).normal(size=X.shape)
    X[:, 0] -= min(shift, 0) * (2 * y - 1)
    p = assay.check_probe(X, y, holds="auroc > 0.55", ledger=False)
    low, high = p.arms.loc[0, ["auroc_low", "auroc_high"]]
    assert (low > 0.5) == (words == "") and (high < 0.5) == (words == "worse than chance")
    said = " ".join(repr(p).split())
    assert (words or "clearly") in said + " clearly" and ("may be unspecific" in said) <= (
        not words
    )
    assert ("than chance" in said) == bool(words)


def test_a_control_that_satisfies_an_open_or_failing_claim_is_named_and_no_other_is_asked_for():
    draw, y = np.random.default_rng(1), np.arange(60) % 2
    texts = [f"{WORDS[i % 7]} {i}{'ing' * int(k)}" for i, k in enumerate(y)]
    for gap, outcome in ((0.6, "undecided"), (0.2, "fails")):
        X = draw.normal(size=(60, 12)) + np.outer(2 * y - 1, gap * np.eye(12)[0])
        p = assay.check_probe(X, y, texts=texts, holds="auroc > 0.8", ledger=False)
        (line,) = [x for x in p.headline().splitlines() if x.startswith(outcome)]
        assert "spelling" in line and line.endswith("the claim): auroc > 0.8")
        assert "without the control" not in line and "first:" not in repr(p)
        assert ("more groups cannot make it hold" in p.reach[-1]) == (outcome == "undecided")


def test_the_estimate_is_the_auroc_of_rows_of_one_fold_by_scikit_learn(tmp_path):
    """Two probes, one with a row in 96 on the wrong side: some groups' parts lie above 1, and
    their mean is the AUROC. A saved check gives it again."""
    y, group = np.arange(96) % 2 == 1, np.arange(96) // 4
    for gap in (2.0, 1.0):
        noise = np.random.default_rng(0).normal(size=(96, 4))
        X = noise + np.outer(gap * (2 * y - 1), np.eye(4)[0])
        p = assay.check_probe(X, y, groups=group + 10, holds="auroc > 0.9", ledger=False)
        parts = [reading.parts_of(list(group), y, k) for k in range(5)]
        every = [reading.scores(reading.Columns(X), y, group, parts[k], k) for k in range(5)]
        held = [(s[h], y[h]) for s, ways in zip(every, parts, strict=True) for _, h in ways]
        pairs = [yes.sum() * (~yes).sum() for _, yes in held]
        truth = np.average([roc_auc_score(yes, s) for s, yes in held], weights=pairs)
        of_groups = p.rows.loc[p.rows["arm"] == "probe", "auroc"]
        assert of_groups.max() > 1 and of_groups.mean() == pytest.approx(truth, abs=1e-9)
        row = p.arms.iloc[0]
        assert p.estimate == pytest.approx(truth) == row["auroc"] == p.to_pandas()["auroc"][0]
        assert p.interval == (row["auroc_low"], row["auroc_high"])
        assert row["auroc_low"] <= truth <= row["auroc_high"] and "judged:" not in repr(p)
        again = assay.ProbeCheck.load(p.save(tmp_path / f"{gap}.assay"))
        assert repr(again) == repr(p) and again.interval == p.interval
        older = p.rows.drop(columns=["accuracy_pooled", "auroc_pooled"])  # as 0.2.0 wrote it
        assert p.question.judged(older).outcome == p.outcome


def test_a_probe_says_which_control_satisfied_the_claim_before(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    given = {"groups": GROUPS, "holds": "auroc > 0.8"}
    too = assay.check_probe(PLANTED, Y, **given, embeddings=PLANTED)
    again = assay.check_probe(PLANTED, Y, **given)
    said = "control embedding, which is left out here, satisfied the claim in an earlier check"
    assert (too.outcome, again.outcome) == ("unspecific", "holds") and said in again.remarks
    assert "holds, although control embedding satisfied the claim" in again.headline()


def test_a_control_shows_the_interval_by_which_it_is_judged():
    """Where the interval at 95 % reaches past the threshold, and the one at 80 % does not."""
    draw, y = np.random.default_rng(0), np.arange(80) % 2
    X = draw.normal(size=(80, 8)) + 2.4 * np.outer(2 * y - 1, np.eye(8)[0])
    p = assay.check_probe(X, y, groups=np.arange(80) // 4, holds="auroc > 0.51", ledger=False)
    v = p.controls["permuted"]
    assert v.low < 0.51 < v.high and v.outcome == "fails" and v.shown[1] < 0.51 < v.interval[1]
    shown = f"{v.estimate:.3f} [{v.shown[0]:.3f}, {v.shown[1]:.3f}] (80%)"
    assert shown in repr(p) and "at 80%, the level by which controls are judged" in repr(p)
    points = p.rows.loc[p.rows["arm"] == "permuted", "auroc"]
    half = stats.t.ppf(0.9, 19) * points.std(ddof=1) / 20**0.5
    low, high = points.mean() - half, points.mean() + half
    assert v.shown[0] <= low + 1e-9 and v.shown[1] >= high - 1e-9
    assert v.low < v.shown[0] and v.shown[1] < v.high


def test_a_control_of_a_perfect_probe_is_not_beaten_by_cutting_off_its_parts():
    """A control with one group of each label on the wrong side. Its jackknife parts reach above 1:
    cut off there, their mean would be lower than its AUROC, and their interval narrower."""
    groups = np.repeat(np.arange(20), 3)
    y = groups % 2 == 0
    score = np.where(y, 1.0, -1.0) + 0.01 * np.arange(60)
    # one group of each label on the other side
    score[groups == 2], score[groups == 5] = -1.5, 1.2
    X = np.random.default_rng(0).normal(size=(60, 6)) + 9 * y[:, None]
    p = assay.check_probe(X, y, groups=groups, asked=score, holds="auroc > 0.8", ledger=False)
    row = p.arms.set_index("arm").loc["asked"]
    assert row["auroc"] == pytest.approx(roc_auc_score(y, score), abs=1e-9)
    control = p.judged.controls["asked"]
    assert control.estimate == pytest.approx(row["auroc"], abs=1e-9)
    assert row["auroc_low"] < 0.8 < row["auroc_high"]
    assert p.outcome == "undecided" and p.reason == "control asked is not beaten"


def test_a_perfect_probe_over_few_groups_says_how_many_would_do():
    """The lower limit of n right of n is 0.025^(1/n): above 0.8 from 17 on."""
    y = np.arange(24) % 2
    x = np.random.default_rng(0).normal(size=(24, 4)) + 9 * np.outer(2 * y - 1, np.eye(4)[0])
    p = assay.check_probe(x, y, groups=np.arange(24) // 4, holds="auroc > 0.8")
    assert p.outcome == "undecided" and 0.025 ** (1 / 16) < 0.8 < 0.025 ** (1 / 17)
    assert p.reach[-1] == "to decide it: about 11 more groups, 17 in all"


def test_a_control_below_chance_is_said_to_be_judged_by_near_copies_of_the_other_label():
    """Each sentence has a twin of the same words, the roles exchanged, and the other label."""
    names = ["Anna", "Bob", "Carl", "Dora", "Emil", "Fay", "Gus", "Hal"]
    verbs = ["saw", "met", "paid", "led", "hit", "fed"]
    pairs = [(names[i % 8], v, names[(i + 3) % 8]) for i, v in enumerate(2 * verbs)]
    texts = [t for a, v, b in pairs for t in (f"{a} {v} {b} here", f"{b} {v} {a} here")]
    y = np.array([label for i in range(12) for label in ((0, 1) if i // 2 % 2 else (1, 0))])
    x = np.random.default_rng(0).normal(size=(24, 4)) + 3 * np.outer(2 * y - 1, np.eye(4)[0])
    apart = assay.check_probe(x, y, texts=texts)
    (note,) = (n for n in apart.notes if n.startswith("below chance: bag"))
    assert "groups=" in note and "permuted" not in note
    i, j = map(int, re.findall(r"row (\d+)", note))
    assert i // 2 == j // 2 and f"row {i} “{texts[i]}” and row {j} “{texts[j]}”" in note
    together = assay.check_probe(x, y, texts=texts, groups=np.arange(24) // 2)
    assert not any(n.startswith("below chance") for n in together.notes)


def test_rows_that_are_alike_in_what_all_rows_share_are_not_shown_as_most_alike():
    """Each adjective has each label as often, and so has each noun; no two texts of different
    labels have more than one of them in common."""
    texts = [
        f"The {a} {n} is on the table."
        for a in WORDS[:6]
        for n in ["cup", "key", "pot", "jar", "pan", "lid"]
    ]
    y = np.array([(i + j) % 2 for i in range(6) for j in range(6)])
    x = np.random.default_rng(0).normal(size=(36, 4)) + 3 * np.outer(2 * y - 1, np.eye(4)[0])
    notes = assay.check_probe(x, y, texts=texts).notes
    (note,) = (n for n in notes if n.startswith("below chance: bag"))
    assert "row " not in note.partition("if a row is")[2] and note.endswith("one group (groups=)")


def test_near_copies_that_hang_together_are_named_with_sets_that_would_be_a_test():
    """Sixteen countries, each with its own capital and that of the next one."""
    texts = [f"The capital of land{i} is city{(i + k) % 16}." for i in range(16) for k in (0, 1)]
    y = np.tile([1, 0], 16)
    x = np.random.default_rng(0).normal(size=(32, 4)) + 4 * np.outer(y, np.eye(4)[0])
    (note,) = (n for n in assay.check_probe(x, y, texts=texts).notes if n.startswith("below"))
    i, j = map(int, re.findall(r"row (\d+) “", note))
    assert y[i] != y[j] and "land" in note and "would have nearly all rows" in note


def test_a_probe_whose_text_controls_are_all_below_chance_is_undecided_until_groups_make_tests():
    """Each answer is right in one group and wrong in another, so that the words of a text say the
    label, and its near-copy has the other one."""
    words = ["cold", "dark", "small", "slow", "dry", "low", "weak", "soft"]
    asked = ["hot", "light", "big", "fast", "wet", "high", "strong", "hard"]
    twin = [1, 0, 3, 2, 5, 4, 7, 6]
    told = [(i, j, i == j) for i in range(8) for j in (i, twin[i])] * 3
    frames = ("The opposite of {} is {}", "{} or {}", "Not {}, but {}")
    texts = [frames[k // 16].format(asked[i], words[j]) for k, (i, j, _) in enumerate(told)]
    y = np.array([right for *_, right in told])
    names = [asked[i] for i, *_ in told]
    x = np.random.default_rng(0).normal(size=(48, 6)) + 5 * np.outer(2 * y - 1, np.eye(6)[0])
    given = {"texts": texts, "holds": "auroc > 0.7", "ledger": False}
    p = assay.check_probe(x, y, groups=[f"{n} {i}" for i, n in enumerate(names)], **given)
    assert (p.arms.set_index("arm").loc[["bag", "pairs"], "auroc_high"] < 0.5).all()
    assert p.outcome == "undecided" and "no control that reads words is a test" in p.headline()
    assert "“" in next(n for n in p.notes if n.startswith("below chance"))
    table = p.to_pandas().set_index("arm")
    assert table.loc["probe", "outcome"] == p.outcome
    assert table.loc["bag", "reason"] == "below chance, no test"
    pairs = assay.check_probe(x, y, groups=[i // 2 for i, *_ in told], **given)
    assert (pairs.arms["auroc_high"] > 0.5).all() and "below chance" not in pairs.headline()


def test_texts_that_are_combinations_are_noted_with_groups_that_can_decide():
    who = ("Anna", "My brother", "A friend")
    what = ["film", "meal", "book", "hotel", "trip", "song"]
    texts = [f"{w} told me about the {t}. I think the {t} was" for w in who for t in what]
    y = np.array([*[1, 0] * 3, *[0, 1] * 3, *[1, 0] * 3])
    x = np.random.default_rng(0).normal(size=(18, 4)) + np.outer(y, np.ones(4))
    (note,) = (n for n in assay.check_probe(x, y, texts=texts).notes if "combinations" in n)
    assert "3 beginnings of text" in note and "6 endings of text" in note
    assert note.endswith("give groups= by ending of text")
    grouped = assay.check_probe(x, y, texts=texts, groups=what * 3)
    assert not any("combinations" in n for n in grouped.notes)


NAMES = "Ada Ben Cleo Dan Eva Finn Gina Hans Ida Jon Kim Leo Mia Ned Olga Paul Rosa Sam Tina Ugo"
FIRST = ("{} went to the market", "{} reads about birds", "{} never drinks tea", "{} plays piano")
INSIDE = (
    "We saw how {} went by",
    "My old friend {} reads",
    "In May {} drank tea",
    "Today {} plays",
)


@pytest.mark.thorough
@pytest.mark.parametrize("templates", [FIRST, pytest.param(INSIDE, marks=pytest.mark.thorough)])
def test_names_that_have_one_label_each_are_to_be_the_groups(templates):
    """Labels are dealt to persons at random: a probe that recognises them is right of rows of
    persons that it has learned from, and of no others."""
    draw, names = np.random.default_rng(0), NAMES.split()
    texts = [t.format(name) for name in names for t in templates]
    who = np.arange(20).repeat(4)
    y = draw.permutation(np.arange(20) % 2)[who]
    x = 2 * draw.normal(size=(20, 40))[who] + draw.normal(size=(80, 40))
    x += 2 * np.tile(draw.normal(size=(4, 40)), (20, 1))

    def notes(texts=texts, y=y, **groups):
        given = assay.check_probe(x, y, texts=texts, holds="auroc > 0.7", ledger=False, **groups)
        return given.outcome, [n for n in given.notes if "groups=" in n]

    for groups in None, np.arange(80) % 4:
        _, (note,) = notes(groups=groups)
        assert "20 words or phrases, such as “ada” and “ben”, have one label each" in note
        line = note.rpartition("groups=")[2]
        if templates is FIRST:
            assert [*map(names.index, eval(line, {"texts": texts}))] == who.tolist()
        else:
            assert line.startswith(", for each row the word")
    outcome, left = notes(groups=who)
    assert outcome != "holds" and not left
    assert not any("one label each" in n for n in notes(y=draw.permutation(y))[1])
    assert not any("one label each" in n for n in notes(texts=TEXTS[:80])[1])


def rows_of_pairs(seed):
    """Ninety texts that no label is in, with activations of the last noun, and labels at random."""
    nouns = ["tea", "salt", "wood", "iron", "milk", "rain", "sand", "bread", "stone", "lamp"]
    draw, pairs = np.random.default_rng(seed), list(itertools.permutations(range(10), 2))
    texts = [f"The {nouns[i]} and the {nouns[j]} are here." for i, j in pairs]
    y, last = draw.permutation(np.arange(90) % 2), [j for _, j in pairs]
    X = 3 * draw.normal(size=(10, 32))[last] + 0.5 * draw.normal(size=(90, 32))
    return draw, X, y, texts


@pytest.mark.thorough
def test_activations_that_are_shifted_with_the_label_are_not_said_to_be_copies_of_texts():
    """As by padding that is not masked: half of the rows lie elsewhere, and no text says which."""
    draw, X, y, texts = rows_of_pairs(2)
    given = {"texts": texts, "holds": "auroc > 0.8", "ledger": False}
    clean = assay.check_probe(X, y, **given)
    shifted = assay.check_probe(X + 8 * np.outer(y, draw.normal(size=32)), y, **given)
    same = ["bag", "lengths", "places", "spelling", "pairs"]
    of = (p.arms.set_index("arm").loc[same, "auroc"] for p in (clean, shifted))
    np.testing.assert_array_equal(*of)
    said = "the activations lie in two clusters, one for each label, and nothing in the texts"
    assert any(n.startswith(said) and "padding" in n for n in shifted.notes)
    assert shifted.headline().startswith("the activations fall into clusters, and nothing in the")
    assert "clusters" not in repr(clean)
    most = y.copy()  # a batch with 84 of the 90 rows of its label
    most[draw.permutation(90)[:6]] ^= 1
    mostly = assay.check_probe(X + 8 * np.outer(most, draw.normal(size=32)), y, **given)
    assert any("one for each label in 93% of the rows, and nothing" in n for n in mostly.notes)
    asked = assay.check_probe(X + 8 * np.outer(y, draw.normal(size=32)), y, **given,
                              controls={"batch": draw.normal(size=90)})  # fmt: skip
    assert "holds, unless something other than batch causes the clusters" in asked.headline()
    rows = np.argsort(y, kind="stable")  # now a batch may be the cause
    given["texts"] = [texts[i] for i in rows]
    in_blocks = assay.check_probe(
        (X + 8 * np.outer(y, draw.normal(size=32)))[rows], y[rows], **given
    )
    assert (shifted.outcome, in_blocks.outcome) == ("holds", "undecided")
    assert "holds, unless something other than the label causes the clusters" in shifted.headline()


@pytest.mark.parametrize("mixed", [True, False])
def test_clusters_that_overlap_may_be_the_labels_and_those_with_rows_in_the_middle_are_not(mixed):
    """By normal distributions 3.5 standard deviations apart, of which 4% lie beyond the middle, and
    by 11% of rows that lie in the middle of the cluster of the other label."""
    draw = np.random.default_rng(0)
    y = draw.permutation(np.arange(200) % 2 == 1)
    X = draw.normal(size=(200, 3)) * [1, 0.2, 0.2] + np.outer(y, [3.5, 0, 0])
    other = y.copy()
    other[draw.permutation(200)[:22]] ^= True
    moved = draw.normal(size=(200, 3)) + np.outer(other, [9, 0, 0])
    of = {
        name: related.in_two_clusters(x, y, mixed=mixed)
        for name, x in (("overlap", X), ("moved", moved))
    }
    assert [related.BY_LABEL in " ".join(note) for note in of.values()] == [mixed, False]
    assert "in 89% of the rows" in of["moved"][0]


def test_texts_are_not_judged_by_groups_that_activations_alone_have():
    """Twelve batches of one label each: their rows are copies in the activations, not as texts."""
    draw, X, y, texts = rows_of_pairs(0)
    batch = 2 * draw.integers(0, 6, 90) + y
    in_batches = 3 * draw.normal(size=(12, 32))[batch] + 0.3 * draw.normal(size=(90, 32))
    given = {"texts": texts, "holds": "auroc > 0.8", "ledger": False}
    p = assay.check_probe(in_batches, y, **given)
    (note,) = (n for n in p.notes if "sets of" in n)
    assert "taken as one group" in note and "nothing in the texts explains it" in note
    assert "“" not in note
    alone = assay.check_probe(X, y, **given).arms.set_index("arm")["auroc"]
    assert p.arms.set_index("arm")["auroc"]["bag"] == pytest.approx(alone["bag"])
    assert p.headline().startswith("the activations fall into clusters")


@pytest.mark.parametrize(
    ("texts", "far"),
    [(None, 0.0), (None, 1e6), pytest.param(TEXTS, 0.0, marks=pytest.mark.thorough)],
)
def test_copies_of_activations_are_in_one_group_however_few_they_are(texts, far):
    """Noise, of which 12 rows are there twice, but for rounding, as 24 of the 120."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(N, 200))
    X[108:] = X[:12] * (1 + 1e-6)
    X[50] += far  # next to which all others would be alike
    y = draw.permutation(Y)
    y[108:] = y[:12]
    p = assay.check_probe(X, y, texts=texts, holds="auroc > 0.55", ledger=False)
    said = "24 rows of X are the same as a row of another group, such as row 0 and row 108, and"
    assert any(n.startswith(said) for n in p.notes) and p.outcome != "holds"
    assert "of 108 groups" in p.question.scope


@pytest.mark.thorough
def test_counts_that_agree_are_no_copies():
    """Latents of which few are on: many rows have none, as by chance."""
    draw = np.random.default_rng(0)
    X = draw.poisson(0.2, size=(N, 6)).astype(float)
    on = np.where(X > 0, draw.gamma(2, size=X.shape), 0)
    for latents in (X, on):
        p = assay.check_probe(latents, Y, ledger=False)
        assert "of 120 groups" in p.question.scope


def test_rows_without_groups_are_said_to_count_as_independent():
    for groups, count in ((None, 1), (GROUPS, 0)):
        notes = assay.check_probe(EMPTY, Y, groups=groups, ledger=False).notes
        assert sum("rows count as independent" in note for note in notes) == count


def test_missing_texts_are_named_first():
    given = {"holds": "auroc > 0.8", "ledger": False}
    p = assay.check_probe(PLANTED, Y, groups=GROUPS, embeddings=EMPTY, untrained=EMPTY, **given)
    assert p.headline() == "holds, without texts=: auroc > 0.8"
    p = assay.check_probe(WEAKER, Y, groups=GROUPS, texts=TEXTS, untrained=EMPTY, **given)
    assert p.headline().startswith("holds, without the control embedding: ")


def test_shuffled_labels_below_chance_are_said_to_be():
    p = assay.check_probe(EMPTY, Y, groups=GROUPS, holds="auroc > 0.8", ledger=False)
    below = replace(p, arms=p.arms.assign(auroc_high=0.45))
    assert [x.cells()[-1][-2] for x in (p, below)] == ["no", "no, below chance"]


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_row_and_its_opposite_are_never_learned_from_and_judged(noise):
    """Contrast vectors of noise: of each pair, the row that is minus the other has its other label,
    which is all that a probe could have learned."""
    draw = np.random.default_rng(17)
    half, sign, order = draw.normal(size=(40, 64)), draw.random(40) < 0.5, draw.permutation(80)
    X, y = np.r_[half, noise * draw.normal(size=(40, 64)) - half], np.r_[sign, ~sign]
    p = assay.check_probe(X[order], y[order], holds="auroc > 0.7", ledger=False)
    pairs = assay.check_probe(X[order], y[order], groups=order % 40, ledger=False)
    assert p.outcome == "fails" and p.question.scope == pairs.question.scope
    first, second = map(
        int, re.findall(r"row (\d+)", next(n for n in p.notes if "such as row" in n))
    )
    assert order[first] % 40 == order[second] % 40


@pytest.mark.parametrize("stride", [1, pytest.param(3, marks=pytest.mark.thorough)])
def test_overlapping_windows_leave_a_claim_undecided_and_documents_decide_it(stride, tmp_path):
    """Means over ten tokens, each one token or more after the last; the label changes slowly, and
    has nothing to do with them."""
    draw = np.random.default_rng(24)
    tokens, smooth = draw.normal(size=(189 * stride + 10, 64)), draw.normal(size=240)
    X = np.stack([tokens[stride * i : stride * i + 10].mean(0) for i in range(190)])
    y = np.convolve(smooth, np.ones(15), "valid")[:190] > 0
    order = draw.permutation(190)
    p = assay.check_probe(X[order], y[order], holds="auroc > 0.65", ledger=False)
    assert (p.outcome, p.reason) == ("undecided", "rows overlap") and p.arms["auroc"][0] > 0.8
    assert any("documents as groups=" in line for line in p.reach)
    assert assay.ProbeCheck.load(p.save(tmp_path / "windows.assay")).reason == p.reason


@pytest.mark.parametrize("stride", [1, 2, 5, 6])
def test_texts_that_overlap_are_the_windows_of_one_document(stride):
    """Windows of ten words of eight documents; from a stride of seven on, they share three words or
    fewer. Texts of seven words, drawn from ten, overlap by chance."""
    draw, document = np.random.default_rng(stride), np.repeat(np.arange(8), 9)
    long = [[f"w{k}" for k in draw.integers(0, 500, 70)] for _ in range(8)]
    texts = [" ".join(w[stride * i :][:10]) for w in long for i in range(9)]
    order = draw.permutation(72)
    X, alone = draw.normal(size=(72, 40)), np.arange(72)
    group, (note,) = related.with_overlaps(X, alone, [texts[i] for i in order])
    assert (numbered(group.tolist()) == numbered(document[order].tolist())).all()
    first, second = map(int, re.findall(r"row (\d+)", note))
    assert document[order][first] == document[order][second] and "8 in all" in note
    words = [" ".join(draw.choice([f"w{k}" for k in range(10)], 7)) for _ in range(72)]
    assert related.with_overlaps(X, alone, words) == (alone, [])


def test_authors_that_are_named_stay_apart_however_alike_those_of_one_label_are():
    """Ten authors in two clusters, one of each label."""
    draw = np.random.default_rng(3)
    author = draw.integers(0, 10, 120)
    X = draw.normal(size=(120, 24)) + 1.5 * draw.normal(size=(10, 24))[author]
    for cluster in (0, 4):
        x = X + cluster * np.outer(author < 5, np.ones(24))
        p = assay.check_probe(x, author < 5, groups=author, ledger=False)
        assert "of 10 groups" in p.question.scope and not any("such as row" in n for n in p.notes)


def test_rows_of_one_group_are_told_apart_where_groups_have_other_levels():
    """Ten templates far apart; within each of them, the label is read well, by scikit-learn too."""
    draw = np.random.default_rng(33)
    group, y = np.repeat(np.arange(10), 16), np.tile([0, 1], 80)
    planted = draw.normal(size=(160, 64)) + np.outer(2 * y - 1, 1.5 * np.eye(64)[3])
    far = planted + 3 * draw.normal(size=(10, 64))[group]
    said = "the AUROC between rows of the same group is "
    p = assay.check_probe(far, y, groups=group, holds="auroc > 0.75", ledger=False)
    (note,) = (n for n in p.notes if n.startswith(said))
    centred = [planted[group == k] - planted[group == k].mean(0) for k in range(10)]
    other = assay.check_probe(np.concatenate(centred), y, groups=group, ledger=False)
    assert float(note[len(said) :][:5]) == pytest.approx(other.arms["auroc"][0], abs=0.1)
    assert "may be no better than chance" not in repr(p)
    assert not any(n.startswith(said) for n in other.notes)


def test_labels_that_were_centred_by_themselves_are_said_to_be():
    X = EMPTY.copy()
    for label in (False, True):
        rows = np.flatnonzero(label == Y)
        X[rows] -= X[rows].mean(0)
    said = "both labels have the same mean in every column of X"
    found = [
        any(n.startswith(said) for n in assay.check_probe(x, Y, ledger=False).notes)
        for x in (X, EMPTY - EMPTY.mean(0))
    ]
    assert found == [True, False]


def codes_of_one_label():
    """Four hundred sparse codes, of which the seventh fires for one label alone."""
    draw, y = np.random.default_rng(3), np.arange(160) % 2
    codes = np.maximum(draw.normal(-1.2, 1, (160, 400)), 0)
    codes[:, 7] += np.where(y, draw.exponential(1.5, 160) * (draw.random(160) < 0.8), 0)
    return draw, codes, y


@pytest.mark.thorough
def test_one_code_of_a_dictionary_that_a_probe_of_all_misses_is_reported():
    """The AUROC of one column is scikit-learn's."""
    draw, codes, y = codes_of_one_label()
    check = assay.check_probe(codes, y, holds="auroc > 0.65", ledger=False)
    (note,) = (x for x in check.notes if "codes of a dictionary" in x)
    alone = float(re.search(r"AUROC ([\d.]+)", note)[1])
    assert abs(alone - roc_auc_score(y, codes[:, 7])) < 0.03  # of the rows of each fold
    assert check.headline().startswith("one column alone tells the label better") and "k=1" in note
    dense = codes + draw.normal(0, 0.1, codes.shape)
    others = assay.check_probe(dense, y, holds="auroc > 0.65", ledger=False).notes
    assert not any("codes of a dictionary" in x for x in others)


def test_a_probe_of_one_code_has_the_auroc_of_that_column_by_scikit_learn():
    """Any ridge of one column ranks rows as the column does, in each fold."""
    _, codes, y = codes_of_one_label()
    p = assay.check_probe(codes, y, k=1, holds="auroc > 0.65", ledger=False)
    held = [h for way in range(5) for _, h in reading.parts_of(list(np.arange(160)), y == 1, way)]
    pairs = [y[h].sum() * (1 - y[h]).sum() for h in held]
    truth = np.average([roc_auc_score(y[h], codes[h, 7]) for h in held], weights=pairs)
    assert abs(p.arms["auroc"][0] - truth) < 0.01  # rows are dealt in another order
    assert p.outcome == "holds" and "the probe reads 1 of 400 columns" in p.question.scope
    assert "columns are chosen 25 times, once for each fold: column 7 in 25" in p.notes


def test_a_sparse_probe_is_scikit_learns_with_columns_chosen_in_each_fold():
    """SelectKBest by the F of an analysis of variance, in each fold of a naive loop, within which
    the penalty is chosen by three folds of the training rows that choose columns of their own."""
    y, k = np.arange(60) % 2, 3
    X = np.random.default_rng(5).normal(size=(60, 40)) + np.outer(y, 1.2 * np.eye(40)[0])
    order = np.array(sorted(range(60), key=lambda i: np.ascontiguousarray(X[i], ">f8").tobytes()))
    group = np.empty(60, int)
    group[order] = np.arange(60)
    target, auroc, pairs = 2.0 * y - 1, [], []
    for way in range(5):
        for train, test in reading.parts_of(list(group), y == 1, way):
            train = order[np.isin(order, train)]
            z = (X - X[train].mean(0)) / X[train].std(0)
            inner = folds(np.unique(group[train], return_inverse=True)[1], 3, way)

            def predict(rows, held, penalty, z=z):
                few = SelectKBest(f_classif, k=k).fit(z[rows], y[rows]).transform(z)
                alpha = penalty * few[rows].var(0).sum()
                return Ridge(alpha).fit(few[rows], target[rows]).predict(few[held])

            def loss(penalty, predict=predict, train=train, inner=inner):
                parts = [(train[inner != j], train[inner == j]) for j in range(3)]
                return sum(((predict(a, b, penalty) - target[b]) ** 2).sum() for a, b in parts)

            auroc.append(
                roc_auc_score(y[test], predict(train, test, min(reading.RIDGES, key=loss)))
            )
            pairs.append(y[test].sum() * (1 - y[test]).sum())
    p = assay.check_probe(X, y, k=k, ledger=False)
    assert p.arms["auroc"][0] == pytest.approx(np.average(auroc, weights=pairs), abs=1e-9)


def test_all_columns_chosen_are_the_probe_of_all():
    """The same ridge, solved by its columns and by inner products."""
    args = Y, np.arange(N), reading.parts_of(list(range(N)), Y)
    every = reading.scores(reading.Columns(WEAKER), *args)
    few = reading.scores(reading.Columns(WEAKER), *args, best=12, alone=True)
    np.testing.assert_allclose(few, every, atol=1e-8)


@pytest.mark.thorough
def test_a_control_of_a_sparse_probe_may_read_one_word_alone():
    """Texts of 30 rare words each, of which “indeed” is in those of one label: a ridge on all 500
    words heeds the noise of the others, and the one word is scikit-learn's best."""
    draw, codes, y = codes_of_one_label()
    texts = [" ".join(f"w{i}" for i in draw.integers(0, 500, 30)) for _ in y]
    said = (draw.random(160) < 0.75) & (y == 1)
    texts = [f"{t} indeed" if yes else t for t, yes in zip(texts, said, strict=True)]
    texts = [" ".join(draw.permutation(t.split())) for t in texts]
    p = assay.check_probe(codes, y, texts=texts, k=1, holds="auroc > 0.7", ledger=False)
    assert abs(p.controls["bag"].estimate - roc_auc_score(y, said)) < 0.02
    assert p.outcome == "unspecific" and "bag" in p.reason


def rows_of_words():
    """Each first word has its own direction and a coin for its label, in five rows."""
    draw, of = np.random.default_rng(3), np.arange(150) % 30
    coin = draw.permutation(np.arange(30) % 2)
    X = 2 * draw.normal(size=(30, 40))[of] + 0.4 * draw.normal(size=(150, 40))
    rest = draw.integers(100, 999, (150, 3))
    return X, coin[of], of, [f"w{k} {a} {b} {c}" for k, (a, b, c) in zip(of, rest, strict=True)]


def test_groups_that_were_only_found_leave_a_claim_undecided_that_rows_would_decide(tmp_path):
    """By scikit-learn, a probe is right of rows of words that it has learned from, and of no
    others."""
    X, y, of, texts = rows_of_words()
    ridge = make_pipeline(StandardScaler(), Ridge(10.0))
    by_rows = cross_val_predict(ridge, X, y, cv=KFold(5, shuffle=True, random_state=0))
    by_words = cross_val_predict(ridge, X, y, cv=GroupKFold(5), groups=of)
    assert roc_auc_score(y, by_rows) > 0.95 and roc_auc_score(y, by_words) < 0.65
    given = {"texts": texts, "holds": "auroc > 0.9", "ledger": False}
    p = assay.check_probe(X, y, **given)
    first, second = p.headline().splitlines()
    said = r"AUROC (.+) with rows of the same first word kept together, (.+) by rows "
    together, apart = map(float, re.match(said + r"\(groups=range\(150\)\)$", first).groups())
    assert together == pytest.approx(p.arms["auroc"][0], abs=5e-4) and together < 0.65
    assert apart > 0.95 and p.outcome == "undecided" and "by rows, it would hold" in second
    assert "give groups=[text.split()[0] for text in texts] if" in " ".join(repr(p).split())
    assert not any("count as independent" in note for note in p.notes)
    again = assay.ProbeCheck.load(p.save(tmp_path / "p.assay"))
    assert repr(again) == repr(p)
    named = assay.check_probe(X, y, groups=[t.split()[0] for t in texts], **given)
    assert named.outcome == "fails" and "by rows" not in repr(named)


@pytest.mark.thorough
def test_rows_that_groups_keeps_apart_hold_with_that_reserve_unless_the_words_tell():
    X, y, _, texts = rows_of_words()
    given = {"holds": "auroc > 0.9", "ledger": False, "groups": range(150)}
    p = assay.check_probe(X, y, **given)
    first, second = p.headline().splitlines()
    assert "of 150 groups" in p.question.scope and "are kept apart, as groups= says" in repr(p)
    assert second.startswith("holds, unless similar rows belong together, without texts=")
    assert first.startswith("AUROC 0.") and first.endswith(" by rows") and "※" in p._repr_html_()
    words = assay.check_probe(X, y, texts=texts, **given)
    assert words.outcome == "unspecific" and "places and pairs" in words.reason
    low = assay.check_probe(np.random.default_rng(0).normal(size=X.shape), y, **given)
    assert low.outcome == "fails" and "kept together" not in repr(low)
