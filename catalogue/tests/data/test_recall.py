"""Associative recall: keys that differ, values that are kept, and answers that nothing else
tells."""

import numpy as np

from assay_catalogue.data.recall import locate_queries, recall

SIZES = {"batch": 400, "keys": 6, "values": 5, "pairs": 3}


def test_each_key_is_asked_once_and_followed_by_its_value():
    tokens = recall(np.array([3, 4]), "a", 0, **SIZES)
    assert tokens.shape == (2, 400, 12)
    for row in tokens.reshape(-1, 12).tolist():
        shown, again = (
            dict(zip(row[0:6:2], row[1:6:2], strict=True)),
            dict(zip(row[6::2], row[7::2], strict=True)),
        )
        assert len(shown) == 3 and shown == again
        assert set(shown) <= set(range(6)) and set(shown.values()) <= set(range(6, 11))
    assert np.arange(12)[locate_queries(3)].tolist() == [6, 8, 10]


def test_keys_values_and_orders_are_uniform_and_independent():
    tokens = recall(np.array([7]), "a", 0, **{**SIZES, "batch": 6000})[0]
    assert np.abs(np.bincount(tokens[:, 0], minlength=6) / 6000 - 1 / 6).max() < 0.02
    assert np.abs(np.bincount(tokens[:, 1] - 6, minlength=5) / 6000 - 1 / 5).max() < 0.02
    first = (tokens[:, [0, 2, 4]] == tokens[:, 6:7]).argmax(1)
    assert np.abs(np.bincount(first, minlength=3) / 6000 - 1 / 3).max() < 0.02
    assert (
        abs(np.corrcoef(tokens[:, 0], tokens[:, 1])[0, 1]) < 0.04
    )  # a key tells nothing of its value beforehand


def test_it_is_drawn_by_seed_and_step_alone():
    alone, group = (
        recall(np.array([9]), "a", 5, **SIZES),
        recall(np.array([1, 9, 9]), "a", 5, **SIZES),
    )
    assert (
        (group[1] == alone[0]).all()
        and (group[2] == alone[0]).all()
        and (group[0] != alone[0]).any()
    )
    assert (recall(np.array([9]), "a", 6, **SIZES) != alone).any() and (
        recall(np.array([9]), "b", 5, **SIZES) != alone
    ).any()
