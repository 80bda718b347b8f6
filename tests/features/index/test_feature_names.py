"""Names: F1 of what they say, against a count over every position of the text."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import simulated
from assay.core.errors import DataError
from assay.dictionaries.measuring.redundancy import THRESHOLD
from assay.features.index import names, schema
from assay.features.index.names import Name
from assay.features.index.reader import Index


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return simulated.made(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="module")
def index(made):
    return Index(made.folder)


def f1(predicted, fires):
    return 2 * (predicted & fires).sum() / max(1, predicted.sum() + fires.sum())


def worthiest(tokens, fires):
    """Of the five tokens that a feature fires on most, the one with the highest F1 alone first."""
    often = np.argsort(-np.bincount(tokens[fires], minlength=simulated.VOCABULARY), kind="stable")
    return sorted(often[: schema.COMPANIONS], key=lambda token: -f1(tokens == token, fires))


def test_a_rule_has_the_f1_of_its_tokens_at_every_position(made, index):
    fires = made.acts.reshape(-1, made.acts.shape[-1])[made.kept.ravel()] > 0
    tokens = made.tokens.ravel()[made.kept.ravel()]
    named = index.names(range(fires.shape[1]))
    for k, size in enumerate(map(len, index.all_names.ranks)):
        firings, first = fires[:, k].sum(), worthiest(tokens, fires[:, k])
        if named[k].kind in ("", "few"):
            assert firings < names.FIRINGS_PER_TOKEN
            continue
        if named[k].kind != "rule":
            assert index.all_names.promoted[k] > index.all_names.rule[k]
            continue
        assert f1(np.isin(tokens, first[:size]), fires[:, k]) == pytest.approx(named[k].score)
        # none that its firings allow is better by more than its tokens cost
        most = min(names.MOST, firings // names.FIRINGS_PER_TOKEN)
        assert size <= most
        for more in range(1, most + 1):
            other = f1(np.isin(tokens, first[:more]), fires[:, k])
            assert other - named[k].score <= names.GAIN * (more - size) + 1e-12


def test_a_feature_that_fires_too_seldom_has_no_name_and_no_score(tmp_path):
    """It is known by the token on which it fires, and how often it fires on it."""
    made = simulated.made(tmp_path / "rare", rarely=7)
    fires = made.acts[..., 7] > 0
    index = Index(made.folder)
    (name,) = index.names([7]).values()
    assert fires.sum() == 1
    assert name == Name("few", (f"<{made.tokens[fires][0]}>",), "once")
    cases = (((9, 4), ("<9>",), "4 of 5 times"), ((9, 8, 2), ("<9>", "<8>"), "4 of 4 times"))
    for (*tokens, most), shown, words in cases:
        on = [most if len(tokens) == 1 else 2, *[2] * (len(tokens) - 1)]
        total = int(words.split()[2])
        rows = [
            {"feature": 3, "token": t, "share": n / total} for t, n in zip(tokens, on, strict=True)
        ]
        known = replace(index.all_names, firings=np.full(40, float(total)))
        stored = SimpleNamespace(query=lambda sql, rows=rows: rows, words=index.words)
        assert names.named(stored, known, {}, [3])[3] == Name("few", shown, words)


def test_a_name_needs_more_firings_than_random_ones_would_need_for_its_f1():
    """A feature that fires at random on a text without any token twice."""
    text = np.arange(10_000)
    for size in range(1, names.MOST + 1):
        fires = np.zeros(len(text), bool)
        enough = names.FIRINGS_PER_TOKEN * size
        fires[np.random.default_rng(size).choice(len(text), enough, replace=False)] = True
        chosen = text[fires][:size]
        assert f1(np.isin(text, chosen), fires) == pytest.approx(names.MIXED)


def test_a_name_that_is_repeated_in_one_document_does_not_hold_on_others():
    """One feature fires on 7 everywhere, one on another token in each document, and one before 9,
    where it is promoted."""
    text = np.array([[7, 10 + d, 7, 10 + d, 8, 9, 0, 0] for d in range(4)] * 2)
    on = {0: (0, 2), 1: (1, 3), 2: (4,)}
    rows = [(k, w, p, w % 4) for k, places in on.items() for w in range(8) for p in places]
    feature, window, position, document = np.array(rows).T
    places = {"feature": feature, "window": window, "position": position, "document": document}
    promoted = {"feature": np.array([2]), "token": np.array([9])}

    def arrays(sql, values=()):
        return promoted if "logits" in sql else places

    index, firings = SimpleNamespace(windows=text, arrays=arrays), np.bincount(feature) * 1.0
    assert names._held_out(index, firings, 0).tolist() == [1, 0, 1], "8 is always before 9"
    assert names._held_out(index, firings, 1).tolist() == [0, 0, 1]


def test_a_good_name_is_one_that_holds_on_other_documents(index):
    every, n = index.all_names, len(index.all_names.firings)
    best = replace(every, rule=np.ones(n), firings=np.full(n, 100.0), held_out=np.ones(n))
    assert best.good.all()
    assert not replace(best, held_out=np.full(n, 0.4)).good.any()
    assert not replace(best, firings=np.full(n, 19.0)).good.any()


def test_a_feature_is_named_by_promoted_tokens_only_where_these_come_next(made, index):
    counts, found = Counter(made.tokens.ravel().tolist()), index.all_names
    likelier = replace(found, rule=0 * found.rule, promoted=3 * found.promoted)
    named = names.named(index, likelier, {}, range(len(found.rule)))
    for k, tokens in enumerate(found.following):
        feature = index.feature(k)
        even = [c for c in feature.contexts if c.kind == "even"]
        after = [made.tokens[c.window][c.position + 1 :][:1].tolist() for c in even]
        seen = [t[0] for t in after if t]
        promoted = {text for text, _ in feature.promoted}
        assert set(tokens) <= {t for t in seen if index.words([t])[t] in promoted}
        share, fires = (
            sum(t in tokens for t in seen) / max(1, len(seen)),
            feature.numbers["firings"],
        )
        score = 2 * share * fires / max(1, fires + sum(counts[t] for t in tokens))
        assert found.promoted[k] == pytest.approx(score)
        if named[k].kind == "promoted":
            assert named[k].tokens == tuple(index.words(tokens)[t] for t in tokens)
            assert named[k].precision == pytest.approx(share)
    assert "promoted" in {name.kind for name in named.values()}


def test_names_that_are_given_come_before_any_rule(made, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("feature,words,score\n3,starts of lines,0.9\n5,\n7,“x” or y,\n")
    given = names.read(path, 40)
    index = Index(made.folder, given)
    assert index.names([3, 7]) == {
        3: Name("given", words="starts of lines", score=0.9),
        7: Name("given", words="“x” or y"),
    }
    assert index.names([5])[5].kind != "given", "no words are no name"
    for wrong, word in (("a,b\n1,2\n", "columns"), ("feature,words\n99,x\n", "0 to 39")):
        path.write_text(wrong)
        with pytest.raises(DataError, match=word):
            names.read(path, 40)


def test_the_start_shows_no_twins_no_name_twice_and_what_matters_first(index):
    worth = index.columns(("mean", "decoder_norm", "firings"))
    chosen = [k for k, _ in index.start]
    rows = names.decoder_rows(index.folder).astype(float)
    cosines = rows[chosen] @ rows[chosen].T - np.eye(len(chosen))
    assert (cosines < THRESHOLD).all()
    assert (index.all_names.score[chosen] >= names.LEGIBLE).all()
    assert (worth["firings"][chosen] >= names.FEWEST).all()
    written = worth["mean"] * worth["decoder_norm"]
    assert (np.diff(written[chosen]) <= 0).all(), "no ablations support the first-order estimates"


def test_features_that_help_by_ablation_come_first(tmp_path):
    given = {k: Name("given", words=f"name {k}") for k in range(40)}
    folder = simulated.made(tmp_path / "plain").folder
    plain_about = Index(folder).about
    replace(plain_about, ablated=30, agreement=0.9).write(folder)
    plain = Index(folder, given)
    chosen = [k for k, _ in plain.start]
    low = plain.columns(("gradient_low",))["gradient_low"][chosen]
    assert (np.diff(low) <= 0).all()
    low = np.array([0.002, 0.01, -0.03])
    measured = np.array(chosen[-3:])
    ablated = {"feature": measured, "importance": low + 0.01, "importance_low": low}
    made = simulated.made(tmp_path / "ablated", ablated=ablated)
    about = Index(made.folder).about
    replace(about, ablated=3, agreement=0.9).write(made.folder)
    assert [k for k, _ in Index(made.folder, given).start][:2] == [measured[1], measured[0]]
    assert Index(made.folder, given).start[2][0] == measured[2], "it was measured as well"
    few = {k: name for k, name in given.items() if k not in measured}
    unnamed = Index(made.folder, few)
    assert (unnamed.all_names.score[measured] < names.LEGIBLE).all()
    named_first = [k for k, _ in unnamed.start]
    assert len(named_first) < 12 and named_first[0] in few
    assert named_first[-2:] == [measured[1], measured[0]], "last, where there is room"
    assert measured[2] not in named_first
    replace(about, ablated=30, agreement=0.9).write(made.folder)
    reliable = [k for k, _ in Index(made.folder, given).start]
    assert reliable[:2] == [measured[1], measured[0]]
    assert reliable[2:] == [k for k in chosen if k not in reliable[:2]], "then to first order"


def test_few_ablations_leave_first_order_unchecked_and_discordant_ones_make_it_unreliable():
    """The interval of ρ = −0.021 over 12 features, by Bonett & Wright's formula on paper."""
    about = replace(simulated.about(40), ablated=12, agreement=-0.02097902)
    assert about.agreement_interval == pytest.approx((-0.588, 0.560), abs=2e-3)
    cases = [(12, None, False), (3, 1.0, True), (6, 0.54, True), (32, 0.43, True), (32, 0.8, False)]
    for ablated, agreement, unreliable in cases:
        assert replace(about, ablated=ablated, agreement=agreement).unreliable == unreliable
    four = replace(about, ablated=4, agreement=1.0)
    assert not four.reliable, "one of the 24 orders of four features"
    assert four.agreement_interval[0] < 0 < 0.9 < four.agreement_interval[1] < 1
    assert replace(about, ablated=8, agreement=1.0).reliable
    doubted = [(4, 0.0, "unchecked"), (12, -0.02, "unchecked"), (40, 0.0, "unreliable")]
    for ablated, agreement, word in doubted:  # 40 make the interval reach up to 0.32 alone
        assert replace(about, ablated=ablated, agreement=agreement).doubt == word


def test_twins_are_those_that_write_the_same_direction():
    unit = np.array([[1.0, 0.0], [0.95, np.sqrt(1 - 0.95**2)], [-1.0, 0.0], [0.0, 1.0]])
    assert names.twins(unit, 0).tolist() == [False, True, False, False]


def test_a_name_below_its_bound_is_mixed():
    assert Name("rule", ("a",), score=0.24).mixed
    assert Name("promoted", ("a",), score=0.1).mixed
    assert not Name("rule", ("a",), score=0.25).mixed
    assert not Name("given", words="a", score=0.1).mixed and not Name("").mixed
    assert Name("rule", ("a",), score=0.1, precision=0.4).mixed


def test_a_rule_that_is_precise_though_seldom_is_not_mixed(made, index):
    seldom = Name("rule", ("a",), score=0.04, precision=0.9)
    assert seldom.some and not seldom.mixed
    assert not Name("rule", ("a",), score=0.3, precision=0.9).some
    fires = made.acts.reshape(-1, made.acts.shape[-1])[made.kept.ravel()] > 0
    tokens = made.tokens.ravel()[made.kept.ravel()]
    for k, name in index.names(range(fires.shape[1])).items():
        if name.kind == "rule":
            first = worthiest(tokens, fires[:, k])[: len(name.tokens)]
            assert name.precision == pytest.approx(np.isin(tokens[fires[:, k]], first).mean())
    zeros = np.zeros(len(fires[0]))
    weak = replace(index.all_names, rule=zeros + 0.1, promoted=zeros + 0.2)
    weakly = names.named(index, weak, {}, range(len(zeros)))
    assert {name.kind for name in weakly.values()} <= {"rule", ""}, "often is said of firings"
