"""Wordings: which texts differ in a few words in one place, by comparing each two of them."""

import itertools

import numpy as np

from assay.core.wordings import are_known, shared_words, wordings


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


def test_a_template_that_is_filled_in_several_places_is_known_from_other_fillings():
    """Templates of nine words of their own and four places, each of up to two words."""
    draw = np.random.default_rng(1)

    def word(kind):
        return f"{kind}{draw.integers(12)}"

    def filled(template):
        words = [[x] if x else [word("f") for _ in range(draw.integers(1, 3))] for x in template]
        return " ".join(itertools.chain.from_iterable(words))

    def template():
        own = [word("w") for _ in range(9)]
        return [*own[:2], "", *own[2:5], "", *own[5:6], "", *own[6:], ""]

    for _ in range(20):
        first, second, third = (template() for _ in range(3))
        texts = [filled(x) for x in [first, second] * 8]
        assert are_known(texts, [filled(x) for x in [second, first, third] * 8])
        assert not are_known(texts, [filled(x) for x in [second, third] * 12])


def test_two_texts_alone_or_few_words_in_common_are_no_template():
    one, other = "Ann saw Bob in Rome and so Ann left", "Eve saw Ian in Bonn and so Eve left"
    assert not are_known([one], [other])
    assert are_known([one], [other, "Joe saw Max in Kiel and so Joe left"])
    few = ["the red cat saw a tall man", "the old dog saw a new car", "the shy boy saw a big bus"]
    assert not are_known(few[:1], few[1:])


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


def test_wrappers_are_wordings_however_long_what_they_wrap_is():
    draw = np.random.default_rng(0)
    of = draw.permutation(np.arange(48) % 4)
    ways = shared_words([LONG[k].format(sentence(draw)) for k in of])
    assert same(ways["wording"], of)


def test_long_sentences_with_long_endings_are_numbered_by_both():
    draw = np.random.default_rng(0)
    sentences = ["The " + sentence(draw) for _ in range(6)]
    endings = [sentence(draw) for _ in range(8)]
    pairs = draw.permutation([*itertools.product(range(6), range(8))])
    ways = shared_words([f"{sentences[i]} {endings[j]}." for i, j in pairs])
    assert same(ways["beginning"], pairs[:, 0])
    assert same(ways["ending"], pairs[:, 1])


def test_what_wrappers_wrap_is_content_where_it_comes_again():
    draw = np.random.default_rng(0)
    things = [sentence(draw) for _ in range(5)]
    pairs = [*itertools.product(range(4), range(5))]
    ways = shared_words([LONG[i].format(things[j]) for i, j in pairs])
    assert same(ways["wording"], [i for i, _ in pairs])
    assert same(ways["content"], [j for _, j in pairs])


def test_sentences_of_which_few_begin_alike_are_not_grouped_by_that():
    draw = np.random.default_rng(0)
    texts = [sentence(draw) for _ in range(20)]
    texts += [f"Which of the following is {sentence(draw)}" for _ in range(10)]
    assert len({*shared_words(texts)["wording"]}) == 30
