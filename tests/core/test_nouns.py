"""Words for how many of what."""

import pytest

from assay.core.nouns import all_of, counted


@pytest.mark.parametrize(
    ("n", "noun", "words"),
    [
        (1, "seed", "1 seed"),
        (6, "density", "6 densities"),
        (2, "right", "2 values of right"),
        (1, "same", "1 value of same"),
        (2, "number", "2 values of number"),
        (6, "a", "6 values of a"),
        (6, "s2", "6 values of s2"),
        (1, "pos_tag", "1 value of pos_tag"),
        (40, "prompt_id", "40 prompts"),
        (1, "doc_idx", "1 doc"),
        (3, "run_id", "3 runs"),
        (6, "near control", "6 near controls"),
        (2, "batch", "2 batches"),
        (1, "batch", "1 batch"),
        (2, "box", "2 boxes"),
        (3, "epoch", "3 epochs"),
        (2, "shown", "2 values of shown"),
        (2, "trained", "2 values of trained"),
        (8, "seed", "8 seeds"),
    ],
)
def test_things_are_counted_in_english(n, noun, words):
    assert counted(n, noun) == words


def test_all_of_two_things_are_both():
    assert [all_of(n) for n in (2, 3, 1200)] == ["both", "all 3", "all 1,200"]
