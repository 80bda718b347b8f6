"""Parts and words that stand in for others. Truth: brute force, and counts."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.controls import picks
from assay.errors import DataError

SIZES = st.lists(st.floats(0, 100), min_size=6, max_size=12)


def code_of(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return caught.value.code


@given(SIZES)
def test_one_part_meets_its_nearest_in_ratio_first(sizes):
    """Brute force: all others, sorted by how far the logarithm of their size is."""
    size = {k: x + 0.5 for k, x in enumerate(sizes)}
    got = [x for (x,) in picks.matched([0], range(len(sizes)), [size], 99)]
    assert sorted(got) == list(range(1, len(sizes)))
    apart = [abs(math.log(size[k] / size[0])) for k in got]
    assert apart == pytest.approx(sorted(apart))


@given(st.sets(st.integers(0, 19), min_size=1, max_size=5), st.integers(1, 30))
def test_no_part_is_used_twice(named, draws):
    credited = sorted(named)
    got = picks.matched(credited, range(20), [], draws)
    used = [x for match in got for x in match]
    assert all(len(match) == len(credited) for match in got)
    assert len(used) == len({*used}) and not {*used} & named
    assert len(got) == min(draws, (20 - len(named)) // len(named))


def test_parts_are_matched_in_turn():
    size = dict(enumerate([1.0, 10.0, 1.1, 11.0, 1.3, 14.0]))
    assert picks.matched([0, 1], range(6), [size], 2) == [[2, 3], [4, 5]]


def test_two_sizes_count_equally():
    """In units of their own spread: 1 is nearer to 0 in both together than 2 or 3."""
    first = {0: 1.0, 1: 1.2, 2: 1.0, 3: 100.0}
    second = {0: 1.0, 1: 1.2, 2: 100.0, 3: 1.0}
    assert picks.matched([0], range(4), [first, second], 1) == [[1]]


def test_size_0_is_far_from_all_others():
    assert picks.matched([0], range(4), [{0: 1.0, 1: 0.0, 2: 0.01, 3: 90.0}], 3)[-1] == [1]
    assert len(picks.matched([0], range(4), [dict.fromkeys(range(4), 0.0)], 9)) == 3


def test_the_same_block_comes_before_a_like_size():
    size = {(0, 0): 5.0, (0, 1): 1.0, (1, 0): 5.0, (1, 1): 4.0, (2, 0): 5.0}
    assert picks.matched([(0, 0)], [*size], [size], 4, blocks=True)[0] == [(0, 1)]
    assert picks.matched([(0, 0)], [*size], [size], 4, blocks=True)[-1] == [(2, 0)]
    assert picks.matched([(0, 0)], [*size], [size], 4)[0] != [(0, 1)]


def test_ties_are_broken_at_random_but_reproducibly():
    got = picks.matched([0], range(30), [], 29)
    assert got == picks.matched([0], range(30), [], 29) != [[k] for k in range(1, 30)]


def test_what_cannot_be_matched_is_refused():
    assert code_of(picks.matched, [0, 1], [0, 1, 2], [], 1) == "no-others"
    assert code_of(picks.matched, [0], [0, 1], [{0: 1.0}], 1) == "no-size"
    assert picks.matched([0, 1], [0, 1, 2, 3], [], 5) != []
    assert code_of(picks.random_others, [0, 1], range(3), 0) == "no-others"


def test_random_others_are_equally_likely():
    """900 draws of 2 of 6: each is in a third of them."""
    draws = [picks.random_others([2, 4], range(8), seed) for seed in range(900)]
    times = Counter(x for draw in draws for x in draw)
    assert {*times} == {0, 1, 3, 5, 6, 7} and all(draw == sorted({*draw}) for draw in draws)
    assert all(abs(n - 300) < 4 * math.sqrt(900 * 2 / 9) for n in times.values())
    assert picks.random_others([0, 1], range(4), 0) == [2, 3]


def test_a_pick_is_uniform_and_named():
    draws = np.array([picks.pick(seed, "some", 1, 5) for seed in range(400)])
    assert np.bincount(draws, minlength=5).min() > 50 and draws.max() == 4
    others = [picks.pick(seed, "other", 1, 5) for seed in range(400)]
    later = [picks.pick(seed, "some", 2, 5) for seed in range(400)]
    assert (draws != others).any() and (draws != later).any()


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=6), st.integers(0, 50))
def test_words_change_their_order_alone(words, seed):
    text = " ".join(words)
    if len({*words}) == 1:
        assert code_of(picks.reordered, text, seed) == "no-order"
        return
    other = picks.reordered(text, seed)
    assert other != text and Counter(other.split()) == Counter(words)
    assert other == picks.reordered(text, seed)


@given(st.lists(st.sampled_from("abc"), min_size=1), st.lists(st.sampled_from("xy"), min_size=1))
def test_a_text_is_cut_or_repeated(words, other):
    got = picks.with_as_many_words(" ".join(words), " ".join(other)).split()
    assert len(got) == len(other)
    assert got == [words[i % len(words)] for i in range(len(other))]


def test_a_text_without_words_is_refused():
    assert code_of(picks.with_as_many_words, " ", "a b") == "no-words"
    assert code_of(picks.reordered, "one", 0) == "no-order"
