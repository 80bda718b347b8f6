"""Firing given the current token: closed forms of planted texts, and definitions checked at their
edges and by naive loops."""

import numpy as np
import pytest

from assay_catalogue.data.planted_domains import planted_domains
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.token_context import (
    Given,
    OnTokens,
    following,
    on_tokens,
    open_token,
    token_in_context,
)


def text(tokens):
    return Positions(tokens, np.ones(tokens.shape, bool))


def planted_given(share, inside, outside, marked=False, j=0):
    """A planted feature on its token, with much text: 5,000 windows on either side."""
    seen, fresh = (
        planted_domains(
            2, part, 5000, features=4, share=share, inside=inside, outside=outside, marked=marked
        )
        for part in (0, 1)
    )
    values = tuple(part.in_context[j].ravel().astype(float) for part in (seen, fresh))
    at = text(seen.tokens)
    return Given.at(
        int(seen.own[j]), at, text(fresh.tokens), at.row // 60 % 4 == 0, values
    ), seen.follows[j]


@pytest.mark.parametrize(
    ("share", "inside", "outside"), [(0.2, 0.9, 0.05), (0.1, 0.7, 0.02), (0.5, 0.6, 0.4)]
)
def test_the_next_token_tells_as_arithmetic_says_and_earlier_ones_do_not(share, inside, outside):
    given, follows = planted_given(share, inside, outside)
    assert given.next(follows) == pytest.approx(0.5 + (inside - outside) / 2, abs=0.015)
    assert given.before(10) == pytest.approx(0.5, abs=0.02)
    assert set(following(given.seen, given.value > 0, 5).tolist()) == set(follows.tolist())


def test_a_marker_before_the_token_tells_and_the_next_token_does_not():
    given, follows = planted_given(0.2, 0.9, 0.05, marked=True)
    # "recent" stands for the four places, and meets markers of the same feature's last two
    # sentences: four features, a fifth with a marker
    assert given.before(10) == pytest.approx(1 - (1 - (1 - 0.25 * 0.2) ** 2) / 2, abs=0.02)
    assert given.next(follows) == pytest.approx(0.5, abs=0.02)


def test_where_a_feature_fires_is_counted_token_by_token():
    rng = np.random.default_rng(0)
    at = Positions(rng.integers(0, 6, (20, 30)), rng.random((20, 30)) < 0.7)
    value = np.maximum(rng.normal(size=len(at)), 0)
    on = on_tokens(at, value, 8)
    here = at.tokens.ravel()[at.row]
    for token in range(6):
        rows = [i for i in range(len(at)) if here[i] == token]
        assert on.rate[token] == sum(value[i] > 0 for i in rows) / len(rows)
        assert on.firings[token] == sum(value[i] > 0 for i in rows)
        assert on.share[token] == pytest.approx(sum(value[i] for i in rows) / value.sum())
    assert on.rate[6] == on.rate[7] == on.share[7] == 0


@pytest.mark.parametrize(
    ("share", "rate", "firings", "strict", "is_open"),
    [
        (0.80, 0.49, 50, True, True),
        (0.79, 0.49, 50, False, True),
        (0.80, 0.50, 50, False, False),
        (0.80, 0.49, 49, False, False),
        (0.90, 0.04, 60, True, False),
    ],
)
def test_both_definitions_at_their_edges(share, rate, firings, strict, is_open):
    on = OnTokens(np.array([1 - share, share]), np.array([1.0, rate]), np.array([500, firings]))
    assert (token_in_context(on) == 1) == strict and (token_in_context(on) is None) != strict
    assert (open_token(on) == 1) == is_open and (open_token(on) is None) != is_open


def test_what_follows_is_what_a_loop_counts():
    rng = np.random.default_rng(1)
    at = text(rng.integers(0, 5, (40, 10)))
    fires = rng.random(len(at)) < 0.3
    after = at.following
    difference = {}
    for token in range(5):
        shares = [
            sum(after[i] == token for i in range(len(at)) if fires[i] == yes) / sum(fires == yes)
            for yes in (True, False)
        ]
        difference[token] = shares[0] - shares[1]
    assert following(at, fires, 3).tolist() == sorted(difference, key=lambda t: -difference[t])[:3]
