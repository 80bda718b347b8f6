"""Batches of prefixes: exact targets are the expectation of drawn ones, and a batch's loss is that
of its sequences one by one."""

import numpy as np
import pytest
import torch

from assay_catalogue.worlds.hidden_markov.batches import drawn_prefixes, every_prefix
from assay_catalogue.worlds.hidden_markov.process import mess3, rrxor


def test_exact_targets_are_the_expectation_of_drawn_ones():
    """Over many sequences the mean of what came next is the filter's prediction, prefix by
    prefix."""
    tree = rrxor().tree(6)
    exact, sampled = (drawn_prefixes(tree, [7], 4000, drawn)(0) for drawn in (False, True))
    for *_, weight, target in (exact, sampled):
        assert weight.sum() == 4000 * 6
        assert target.sum(-1)[weight > 0].numpy() == pytest.approx(1)
    assert len(sampled[4][0]) == len(tree)  # all prefixes occur, so rows are the tree's
    often = exact[3][0] > 300
    error = (sampled[4][0] - torch.from_numpy(tree.predicted).float())[often].abs()
    assert error.max() < 5 * 0.5 / 300**0.5
    torch.testing.assert_close(exact[4][0], torch.from_numpy(tree.predicted).float())


def test_drawn_targets_are_the_shares_of_what_came_counted_by_hand():
    tree, seeds = mess3().tree(3), [4, 9]
    *_, weight, target = drawn_prefixes(tree, seeds, 20, sampled=True)(5)
    tokens = mess3().sequences(seeds, 20, 4)(5)
    for r in range(2):
        came = {}
        for sequence in tokens[r].tolist():
            for n in (1, 2, 3):
                came.setdefault(tuple(sequence[:n]), []).append(sequence[n])
        by_row = sorted(
            (int(tree.rows(np.array(prefix))[-1]), after) for prefix, after in came.items()
        )
        assert weight[r, : len(by_row)].tolist() == [len(after) for _, after in by_row]
        assert not weight[r, len(by_row) :].any()
        for row, (_, after) in enumerate(by_row):
            assert target[r, row].tolist() == pytest.approx(
                [after.count(v) / len(after) for v in range(3)]
            )


def test_all_prefixes_count_by_their_probability():
    tree = rrxor().tree(5)
    token, position, ancestors, weight, target = every_prefix(tree)
    assert weight.sum() == pytest.approx(5)  # 1 at each length
    for row in (0, 3, len(tree) - 1):
        path = ancestors[0, row, : position[0, row] + 1]
        tokens = token[0, path].numpy()
        assert tree.rows(tokens)[-1] == row
        assert target[0, row].numpy() == pytest.approx(
            rrxor().predicted(rrxor().beliefs(tokens)[-1]), abs=1e-6
        )
