"""The language of explanations: each function is what a plain loop over earlier places gives;
nothing else is let in."""

from __future__ import annotations

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay_catalogue.circuits.rules import read

TOKENS = np.random.default_rng(0).integers(0, 5, size=(40, 7)).astype(float)
VALUES = {"token": TOKENS, "place": np.broadcast_to(np.arange(7.0), TOKENS.shape)}


def looped(one) -> np.ndarray:
    """What a function of (tokens so far, place) gives everywhere."""
    return np.array([[one(list(row[: i + 1]), i) for i in range(7)] for row in TOKENS])


def picked(so_far, where):
    return [t for j, t in enumerate(so_far) if where(j, t)]


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("token * 2 - place // 2 % 3", lambda t, i: t[-1] * 2 - i // 2 % 3),
        ("last(token, there(place) == place - 1)", lambda t, i: t[i - 1] if i else -1),
        ("first(place, there(token) == token)", lambda t, i: t.index(t[-1])),
        (
            "last(token, there(token) != token, 9)",
            lambda t, i: (picked(t, lambda j, x: x != t[-1]) or [9])[-1],
        ),
        ("mean(token, True)", lambda t, i: sum(t) / len(t)),
        ("total(token, there(place) < 3)", lambda t, i: sum(t[:3])),
        (
            "least(token, there(token) > token)",
            lambda t, i: min(picked(t, lambda j, x: x > t[-1]), default=-1),
        ),
        (
            "most(token, there(token) < token and there(place) > 0)",
            lambda t, i: max(picked(t, lambda j, x: x < t[-1] and j > 0), default=-1),
        ),
        ("count(there(token) == token)", lambda t, i: t.count(t[-1])),
        ("some(there(token) == 3) and not token == 3", lambda t, i: 3 in t and t[-1] != 3),
        (
            "1 if 1 < token <= 3 else -1 if token == 'd' else 0",
            lambda t, i: 1 if 1 < t[-1] <= 3 else -1 if t[-1] == 4 else 0,
        ),
        ("max(abs(token - 3), min(place, 2))", lambda t, i: max(abs(t[-1] - 3), min(i, 2))),
    ],
)
def test_it_gives_what_a_loop_gives(text, loop):
    assert np.allclose(read(text, "zabcd")(VALUES), looped(loop))


def test_names_and_length_are_told():
    found = read("last(token, there(before) == token + 2)")
    assert set(found.names) == {"token", "before"}
    assert found.size == 6  # last, token, there, before, token, 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token +", "it is not an expression"),
        ("__import__('os')", "__import__(…) is not allowed"),
        ("token.shape", "is not allowed"),
        ("[token]", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("there(token)", "is used outside a condition"),
        ("count(count(there(token) == 1) == 2)", "inside another condition"),
        ("lest(token, True)", "did you mean least?"),
        ("mean(token)", "takes 2 or 3 values, got 1"),
        ("token == 'END'", "no token is called 'END'"),
        ("1" * 3000, "at most 2,000"),
        ("9" * 400, "too large"),
        ("-" * 1500 + "1", "cannot read"),
        ("token ** 99", "is not allowed"),
    ],
)
def test_what_is_not_in_it_is_one_line(text, said):
    with pytest.raises(SpecError) as error:
        read(text)
    assert said in str(error.value) and "\n" not in str(error.value)
