"""Algorithmic tasks: their answers by hand and by naive loops, and how their inputs are drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay_catalogue.experiments.monthly_digit_sum import carries, digit_sum
from assay_catalogue.experiments.monthly_distinct import distinct
from assay_catalogue.experiments.monthly_first_unique import first_unique
from assay_catalogue.experiments.monthly_maximum import maximum
from assay_catalogue.experiments.monthly_palindromes import palindromes
from assay_catalogue.experiments.monthly_running_sum import running_sum
from assay_catalogue.worlds.algorithms.caesar import SPACE, Words, caesar, commonest
from assay_catalogue.worlds.algorithms.sorted_list import sorted_list
from assay_catalogue.worlds.algorithms.trigrams import law, trigrams

TASKS = [
    palindromes(),
    first_unique(),
    digit_sum(),
    sorted_list(),
    running_sum(),
    trigrams(law(3)),
    maximum(),
    distinct(),
    caesar(commonest()),
]


def words(task, text: str) -> str:
    """The answers to a text, as text; a dot where nothing is asked."""
    (found,) = task.answer(task.read(text)[None])
    return " ".join(task.answers[a] if a >= 0 else "." for a in found)


@pytest.mark.parametrize(
    ("task", "text", "right"),
    [
        (palindromes(2, 31), "START 4 7 7 4 END", ". . . . . palindrome"),
        (palindromes(2, 31), "START 4 7 4 7 END", ". . . . . no"),
        (first_unique(10, 5), "a b a c b", "a a b b c"),
        (first_unique(10, 4), "a a b b", "a ? b ?"),
        (first_unique(10, 5), "? a b a c", "? a a b b"),
        (digit_sum(4), "0 9 9 9 + 0 0 0 1 = 1 0 0 0", ". . . . . . . . . 1 0 0 0 ."),
        (digit_sum(2), "4 5 + 3 6 = 8 1", ". . . . . 8 1 ."),
        (sorted_list(3, 51), "7 50 2 SEP 2 7 50", ". . . 2 7 50 ."),
        (running_sum(5), "+2 -3 +1 0 +4", "positive negative zero zero positive"),
        (maximum(3), "BOS 4 SEP 9 SEP 0 ANS", ". . . . . . 9"),
        (distinct(5, 10), "BOS a c a j c ANS", ". . . . . . 3"),
        (
            caesar(commonest(), 8),
            "w k h _ i r u _",
            "3 3 3 3 3 3 3 3",
        ),  # "the for", three letters on
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_answers_worked_out_by_hand(task, text, right):
    assert words(task, text) == right


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_inputs_are_the_task_s_tokens_the_same_each_time_and_not_those_held_out(task):
    tokens = task.draw(5, 0, 40)
    assert (
        tokens.shape == (40, task.length) and tokens.min() >= 0 and tokens.max() < len(task.tokens)
    )
    assert np.array_equal(tokens, task.draw(5, 0, 40))
    assert not np.array_equal(tokens, task.draw(5, 1, 40)) and not np.array_equal(
        tokens, task.draw(5, 0, 40, held_out=True)
    )
    answers = task.answer(tokens)
    assert (
        answers.shape == tokens.shape
        and answers.min() >= -1
        and answers.max() < len(task.answers)
        and (answers >= 0).any(1).all()
    )
    assert np.array_equal(task.read(task.said(tokens[0])), tokens[0])


@pytest.mark.parametrize(
    "task",
    [t for t in TASKS if not t.name.startswith(("trigrams", "caesar"))],
    ids=lambda t: t.name,
)
def test_an_answer_reads_nothing_that_comes_later(task):
    """Tokens after a position are exchanged for another input's; what is asked of a sorted list
    lies in the part before its separator.

    Two tasks ask for what is yet to come: the next token, and the shift of a whole text."""
    tokens = task.draw(5, 0, 30)
    answers = task.answer(tokens)
    for at in range(task.length - 1):
        other = tokens.copy()
        other[:, at + 1 :] = np.roll(tokens, 1, 0)[:, at + 1 :]
        assert np.array_equal(task.answer(other)[:, at], answers[:, at])


def test_one_in_seven_hundred_of_the_inputs_that_were_to_differ_is_a_palindrome_all_the_same():
    """(1/2 + 1/2 · 1/31)^10 of that half, whose places are drawn anew with probability 1/2."""
    task = palindromes()
    tokens = task.draw(1, 0, 400_000)
    differ = (tokens[:, 1:11] != tokens[:, -2:10:-1]).sum(1)  # mirrored places
    share = (16 / 31) ** 10
    expected = 0.5 + 0.5 * share
    assert (differ == 0).mean() == pytest.approx(
        expected, abs=4 * (expected * (1 - expected) / 400_000) ** 0.5
    )
    one = 0.5 * 10 * (15 / 31) * (16 / 31) ** 9
    assert (differ == 1).mean() == pytest.approx(one, abs=4 * (one / 400_000) ** 0.5)
    assert np.array_equal(differ == 0, task.answer(tokens)[:, -1] == 1)


def test_a_chain_of_carries():
    task = digit_sum(4)
    assert carries(task.read("0 9 9 9 + 0 0 0 1 = 1 0 0 0")[None], 4).tolist() == [[1, 1, 1, 0]]
    assert carries(task.read("1 2 3 4 + 1 2 3 4 = 2 4 6 8")[None], 4).tolist() == [[0, 0, 0, 0]]


def test_running_sums_are_pulled_back_to_zero():
    tokens = running_sum().draw(2, 0, 60_000) - 5
    before = np.cumsum(tokens, 1)[:, :-1]
    negative = tokens[:, 1:] < 0
    assert negative[before > 0].mean() == pytest.approx(0.7 * 5 / 6, abs=0.005)
    assert negative[before <= 0].mean() == pytest.approx(0.3 * 5 / 6, abs=0.005)


def test_every_count_of_symbols_is_as_likely():
    tokens = distinct().draw(2, 0, 50_000)
    counts = np.array([len(set(row[1:-1].tolist())) for row in tokens[:2000]])
    assert np.array_equal(distinct().answer(tokens[:2000])[:, -1], counts - 1)
    assert np.bincount(distinct().answer(tokens)[:, -1]) / 50_000 == pytest.approx(
        np.full(10, 0.1), abs=0.006
    )


def test_the_share_of_tokens_in_trigrams_and_the_exact_predictor_is_calibrated():
    made = law(3, letters=6, count=4, rate=0.1)
    assert made.share == pytest.approx(0.25)
    task = trigrams(made, 12)
    tokens = task.draw(1, 0, 40_000)
    chance = made.exact(tokens)
    np.testing.assert_allclose(chance.sum(-1), 1)
    said = np.take_along_axis(chance[:, :-1], tokens[:, 1:, None], 2)[..., 0]
    entropy = -(chance * np.log(np.where(chance > 0, chance, 1))).sum(-1)[:, :-1]
    assert -np.log(said).mean() == pytest.approx(entropy.mean(), abs=0.005)
    high = chance[:, :-1].max(-1) > 0.5
    right = chance[:, :-1].argmax(-1) == tokens[:, 1:]
    assert high.mean() > 0.05 and right[high].mean() == pytest.approx(
        chance[:, :-1].max(-1)[high].mean(), abs=0.01
    )


def test_the_exact_predictor_by_hand():
    made = law(1, letters=2, count=1, rate=0.2)
    start, A, a = 4, int(made.A[0]), int(made.a[0]) + 2
    (chance,) = made.exact(np.array([[start, A, a]]))
    plain = 0.8 / 4
    first = plain + 0.2 * (np.arange(4) == A)
    np.testing.assert_allclose(chance[0, :4], first)
    begun = 0.2 / (0.2 + plain)  # having read A, from a trigram or freely
    second = (1 - begun) * first + begun * (np.arange(4) == a)
    np.testing.assert_allclose(chance[1, :4], second)


def test_the_hundred_words_are_words_of_three_letters_in_the_order_of_their_counts():
    words = commonest()
    assert len(set(words.words)) == len(words.words) == 100 and all(
        len(w) == 3 and w.isascii() and w.islower() and w.isalpha() for w in words.words
    )
    assert (
        words.words[:3] == ("the", "and", "for")
        and (np.diff(words.chance) <= 0).all()
        and words.chance.sum() == pytest.approx(1)
    )


def test_words_are_drawn_as_often_as_they_are_likely_and_rotated_by_every_shift():
    words = commonest()
    task = caesar(words)
    tokens = task.draw(3, 0, 40_000)
    shift = task.answer(tokens)[:, 0]
    assert np.bincount(shift, minlength=26) / 40_000 == pytest.approx(
        np.full(26, 1 / 26), abs=0.005
    )
    assert (tokens[:, 3::4] == SPACE).all()
    back = (tokens - shift[:, None]) % 26
    read = ["".join("abcdefghijklmnopqrstuvwxyz"[c] for c in row[20:23]) for row in back]
    assert set(read) <= set(words.words)
    assert [read.count(w) / 40_000 for w in words.words[:5]] == pytest.approx(
        words.chance[:5].tolist(), abs=0.01
    )


def test_the_predictor_of_the_shift_against_all_texts_written_out():
    """Every text of two words, under every shift, in a list with words that are rotations of each
    other."""
    words = Words(("abc", "bcd", "abz", "zzz"), np.array([0.4, 0.3, 0.2, 0.1]))
    task = caesar(words, 8)
    texts, weights, shifts = [], [], []
    for (one, p), (two, q) in itertools.product(
        zip(words.codes, words.chance, strict=True), repeat=2
    ):
        for shift in range(26):
            texts.append([*((one + shift) % 26), SPACE, *((two + shift) % 26), SPACE])
            weights.append(p * q / 26)
            shifts.append(shift)
    every, weight, shift = np.array(texts), np.array(weights), np.array(shifts)
    tokens = task.draw(0, 0, 60)
    found = words.exact(tokens)
    for row, said in zip(tokens, found, strict=True):
        for at in range(8):
            fits = (every[:, : at + 1] == row[: at + 1]).all(1)
            chance = np.bincount(shift[fits], weight[fits], 26)
            np.testing.assert_allclose(said[at], chance / chance.sum(), atol=1e-12)


def test_what_a_task_does_not_know_is_refused_in_one_line():
    with pytest.raises(SpecError, match="no token 'x'"):
        maximum().read("BOS x ANS")
    with pytest.raises(SpecError, match="asked for 0 inputs"):
        maximum().draw(1, 0, 0)
