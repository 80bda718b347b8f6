"""Wordings: which texts differ in a few words in one place, by comparing each two of them."""

import itertools

import numpy as np

from assay.core.wordings import wordings


def alike(first, second):
    """Whether two texts differ in up to three words in a row, and have more, at least two, in
    common."""
    for a, b in itertools.product(range(1, 4), repeat=2):
        common = len(first) - a
        if common == len(second) - b and common >= max(2, a + 1, b + 1):
            for at in range(common + 1):
                if first[:at] + first[at + a :] == second[:at] + second[at + b :]:
                    return True
    return False


def test_texts_of_one_wording_are_linked_by_texts_that_differ_in_one_place():
    draw, words = np.random.default_rng(0), [*"abcdefg"]
    several = 0
    for _ in range(40):
        base = [draw.choice(words, draw.integers(3, 9)).tolist() for _ in range(2)]
        texts = []
        for _ in range(8):
            text = [*base[draw.integers(2)]]
            for _ in range(draw.integers(0, 3)):
                text[draw.integers(len(text))] = str(draw.choice(words))
            texts.append(text)
        expected = np.array([[x == y or alike(x, y) for y in texts] for x in texts])
        for _ in texts:
            expected = expected @ expected
        wording, _ = wordings([" ".join(text) for text in texts])
        assert ((wording[:, None] == wording) == expected).all(), texts
        several += len(np.unique(wording)) > 1
    assert several > 10


LONG = (
    "Please read what the witness said and answer: the {}, is that likely or not?",
    "Translate into formal English as a lawyer would. The {}.",
    "I heard that the {}. Tell me honestly what you make of it, my friend.",
    "The {}: summarise this for a child of six, in one sentence.",
)


def sentence(draw):
    return " ".join(
        "".join(draw.choice([*"aeioubdgklmnprst"], 5)) for _ in range(draw.integers(5, 12))
    )


def same(a, b):
    return len({*zip(a, b, strict=True)}) == len({*a}) == len({*b})
