"""Rules and their learner: planted rules come back exactly, planted worlds give the F1 that
arithmetic says, and nothing is made of nothing."""

import numpy as np
import pytest

from assay.core.errors import DataError
from assay_catalogue.explaining.evidence import (
    InputExplanation,
    OutputExplanation,
    both_explanation,
    input_explanation,
)
from assay_catalogue.explaining.learner import Limits, Split, learn
from assay_catalogue.explaining.rule import (
    ABSENT,
    Condition,
    Positions,
    Rule,
    f1,
    kinds,
    rule_f1,
)
from assay_catalogue.explaining.scoring import auroc, levels, simulation

THE, MARK = 0, 1
"""Token ids of the planted worlds; 2–9 are S, the rest filling."""
S = tuple(range(2, 10))


def text(tokens):
    tokens = np.asarray(tokens)
    return Positions(tokens, np.ones(tokens.shape, bool))


def halves(at):
    """Validation rows: every other window."""
    return (at.row // at.tokens.shape[1]) % 2 == 1


def world(pi, alpha, beta, sentences=4000, seed=0, marked=False):
    """Sentences of 20 tokens, `the` at place 10, followed by S with chance alpha in the domain and
    beta outside: (text, where it fires)."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, 40, (sentences, 20))
    domain = rng.random(sentences) < pi
    tokens[:, 10] = THE
    follows = rng.random(sentences) < np.where(domain, alpha, beta)
    tokens[:, 11] = np.where(follows, rng.choice(S, sentences), tokens[:, 11])
    if marked:
        tokens[np.flatnonzero(domain), 10 - rng.integers(1, 5, domain.sum())] = MARK
    at = text(tokens)
    fires = np.zeros(tokens.shape, bool)
    fires[:, 10] = domain
    return at, fires.ravel()


def naive(rule, tokens, window, place):
    """The first conjunction that is true at one position, by reading it aloud."""
    for number, conjunction in enumerate(rule.conjunctions, 1):
        good = True
        for c in conjunction:
            looked = range(place - 15, place + 1) if c.place == "recent" else [place + c.place]
            good &= any(0 <= i < tokens.shape[1] and tokens[window, i] in c.tokens for i in looked)
        if good:
            return number
    return 0


def test_leaves_are_what_a_loop_over_words_says():
    rng = np.random.default_rng(3)
    tokens = rng.integers(0, 12, (30, 24))
    keep = rng.random(tokens.shape) < 0.8
    rule = Rule(
        (
            (Condition(0, (3, 4)), Condition(-2, (5,))),
            (Condition("recent", (7,)), Condition(-4, (1, 2))),
            (Condition(-1, (0,)),),
        )
    )
    at = Positions(tokens, keep)
    wanted = [naive(rule, tokens, *divmod(int(row), 24)) for row in at.row]
    assert at.row.tolist() == np.flatnonzero(keep).tolist()
    assert rule.leaves(at).tolist() == wanted
    assert {0, 1, 2, 3} == set(wanted)
    assert at.following[at.row % 24 == 23].tolist() == [ABSENT] * int((at.row % 24 == 23).sum())


def test_many_features_of_one_text_get_the_rules_they_get_alone():
    rng = np.random.default_rng(8)
    at = text(rng.integers(0, 20, (100, 50)))
    planted = [
        Rule(((Condition(0, (a,)), Condition(-1, (b, 3))),)) for a, b in ((7, 5), (2, 11), (4, 9))
    ]
    split, halved = Split(at, halves(at)), halves(at)
    noisy = [(rule.leaves(at) > 0) ^ (rng.random(len(at)) < 0.01) for rule in planted]
    assert [split.learn(fires) for fires in noisy] == [learn(at, fires, halved) for fires in noisy]
    with pytest.raises(DataError, match="need one length"):
        split.learn(noisy[0][1:])


def test_a_planted_rule_is_found_exactly():
    rng = np.random.default_rng(1)
    at = text(rng.integers(0, 20, (100, 50)))  # 5,000 tokens
    planted = Rule(((Condition(0, (7,)), Condition(-1, (3, 5))),))
    assert learn(at, planted.leaves(at) > 0, halves(at)) == planted


def test_two_planted_conjunctions_are_found_in_other_text():
    rng = np.random.default_rng(2)
    at, fresh = (text(rng.integers(0, 20, (400, 50))) for _ in range(2))
    planted = Rule(
        (
            (Condition(0, (7,)), Condition("recent", (3, 5))),
            (Condition(-2, (11, 12)), Condition(0, (13,))),
        )
    )
    found = learn(at, planted.leaves(at) > 0, halves(at))
    assert found is not None and rule_f1(found, fresh, planted.leaves(fresh) > 0) == 1.0
    assert found.cost == planted.cost


@pytest.mark.parametrize("always", [False, True])
def test_a_constant_feature_has_no_rule(always):
    at = text(np.random.default_rng(0).integers(0, 20, (40, 50)))
    assert learn(at, np.full(len(at), always), halves(at)) is None


def test_noise_is_not_explained():
    rng = np.random.default_rng(5)
    at, fresh = (text(rng.integers(0, 200, (300, 50))) for _ in range(2))
    found = learn(at, rng.random(len(at)) < 0.02, halves(at))
    assert (
        rule_f1(found, fresh, rng.random(len(fresh)) < 0.02) < 0.06
    )  # all of the vocabulary: 0.04


@pytest.mark.parametrize(
    ("pi", "alpha", "beta", "inside", "outside"),
    [
        (0.2, 0.9, 0.05, 1 / 3, 6 / 7),
        (0.1, 0.7, 0.02, 0.181818, 0.744681),
        (0.5, 0.6, 0.4, 0.666667, 0.6),
    ],
)
def test_planted_worlds_have_the_f1_of_arithmetic(pi, alpha, beta, inside, outside):
    """The third one has the input ahead: the rules do not prefer a side."""
    at, fires = world(pi, alpha, beta, sentences=200_000)
    only_the = Rule(((Condition(0, (THE,)),),))
    out = (at.shifted(0) == THE) & (OutputExplanation(S).scores(at) > 0)
    told = float(f1((out & fires).sum(), (out & ~fires).sum(), fires.sum()))
    assert rule_f1(only_the, at, fires) == pytest.approx(inside, abs=0.006)
    assert told == pytest.approx(outside, abs=0.006)
    precision, recall = pi * alpha / (pi * alpha + (1 - pi) * beta), alpha
    assert 2 * precision * recall / (precision + recall) == pytest.approx(outside, abs=1e-6)
    assert 2 * pi / (1 + pi) == pytest.approx(inside, abs=1e-6)


def test_the_learner_says_the_where_nothing_before_it_tells():
    at, fires = world(0.5, 0.6, 0.4)
    assert learn(at, fires, halves(at)) == Rule(((Condition(0, (THE,)),),))


def test_a_domain_marker_makes_the_input_rule_perfect():
    at, fires = world(0.2, 0.9, 0.05, marked=True)
    fresh, there = world(0.2, 0.9, 0.05, seed=1, marked=True)
    found = learn(at, fires, halves(at))
    assert found == Rule(((Condition(0, (THE,)), Condition("recent", (MARK,))),))
    assert rule_f1(found, fresh, there) == 1.0


def test_a_rule_stays_within_its_limits():
    rng = np.random.default_rng(4)
    at = text(rng.integers(0, 60, (200, 50)))
    fires = np.isin(at.shifted(0), np.arange(12))
    for names in (1, 4, 10):
        found = learn(at, fires, halves(at), Limits(names=names, places=(0, -1)))
        assert found.cost == names == len(found.tokens)
    only_before = learn(at, np.isin(at.shifted(-1), (3, 4)), halves(at), Limits(places=(-1, -2)))
    assert {c.place for conjunction in only_before.conjunctions for c in conjunction} <= {-1, -2}


def test_a_perfect_rule_on_a_constant_activation_simulates_it_perfectly():
    at = text(np.random.default_rng(1).integers(0, 20, (100, 50)))
    planted = Rule(((Condition(0, (7,)), Condition(-1, (3, 5))),))
    value = 2.5 * (planted.leaves(at) > 0)
    found = input_explanation(planted, at, value)
    assert found == InputExplanation(planted, (0.0, 2.5))
    assert simulation(found.scores(at), value) == pytest.approx(1.0)
    assert simulation(input_explanation(None, at, value).scores(at), value) == 0.0


def test_kinds_survive_where_quotes_are_taken_out():
    vocabulary = [" the", "cat", "12", "\n", "(", " 7", "X", " A", "=", "  "]
    named = kinds(vocabulary)
    assert (
        named["a number"] == (2, 5)
        and named["a line break"] == (3,)
        and named["an opening bracket"] == (4,)
    )
    rng = np.random.default_rng(0)
    at = text(rng.integers(0, 10, (200, 40)))
    fires = np.isin(at.shifted(0), (2, 5)) & (at.shifted(-1) == 0)
    found = learn(at, fires, halves(at), Limits(names=2), kinds=named)
    assert found == Rule(
        ((Condition(0, (2, 5), "a number"), Condition(-1, (0,))),)
    ) or found == Rule(((Condition(-1, (0,)), Condition(0, (2, 5), "a number")),))
    assert found.without_quotes() == Rule(((Condition(0, (2, 5), "a number"),),))
    assert Rule(((Condition(0, (1, 2)),),)).without_quotes() == Rule(())
    words = found.words(vocabulary.__getitem__)
    assert "“ the”" in words and "a number" in words


def test_both_sides_together_know_more_than_each():
    """On `the`, firing follows from the marker before it in half of the domain and from S after it
    in the other half."""
    at, fires = world(0.5, 0.6, 0.4, sentences=3000, marked=True)
    fires &= OutputExplanation(S).scores(at) > 0
    inside = input_explanation(learn(at, fires, halves(at)), at, fires * 1.0)
    outside = OutputExplanation(S)
    both = both_explanation(inside, outside, at, fires)
    alone = [auroc(levels(e.scores(at), fires)) for e in (inside, outside, both)]
    assert max(alone[:2]) < alone[2] == pytest.approx(1.0, abs=1e-4)
    assert "“1” is among the last 16 tokens" in both.words(str) and "“2”" in both.words(str)


def test_a_feature_without_a_rule_is_explained_by_its_mean():
    at = text(np.random.default_rng(0).integers(0, 20, (40, 50)))
    value = np.full(len(at), 3.0)
    found = input_explanation(learn(at, value > 0, halves(at)), at, value)
    assert found == InputExplanation(Rule(()), (3.0,)) and set(found.scores(at)) == {3.0}


def test_outputs_are_said_with_their_line_breaks():
    assert OutputExplanation((1,)).words(lambda t: "x\n") == "makes “x⏎” likelier next"


def test_bad_input_gets_one_line():
    at = text(np.zeros((2, 3), int))
    with pytest.raises(DataError, match="need one length"):
        learn(at, np.zeros(5, bool), np.zeros(6, bool))
    with pytest.raises(DataError, match="one shape"):
        Positions(np.zeros((2, 3), int), np.zeros((3, 2), bool))
    with pytest.raises(DataError, match="got -5"):
        Condition(-5, (1,))
