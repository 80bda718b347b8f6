"""What beliefs decide: excess loss by naive sums, and enumerated R² of next tokens and token
windows."""

import numpy as np
import pytest

from assay.worlds.hidden_markov.beliefs import additive, excess, explained, joint
from assay.worlds.hidden_markov.process import mess3, rrxor


def test_excess_is_cross_entropy_less_the_floor():
    process = rrxor()
    tree = process.tree(5)
    q = np.random.default_rng(0).dirichlet([2, 2], size=(2, len(tree)))
    for run in range(2):
        total = 0.0
        for row in range(len(tree)):
            for v in range(2):
                p = (process.T[v] @ np.ones(5)) @ tree.belief[row]
                total -= tree.probability[row] * p * np.log(q[run, row, v])
        assert excess(tree, q)[run] == pytest.approx(total / 5 - process.floors(5).mean())
    assert excess(tree, tree.predicted) == pytest.approx(0, abs=1e-12)


def test_next_token_and_windows_in_sample():
    """Prefixes of at most 10 tokens of RRXOR, of at most 8 of Mess3."""
    tree = rrxor().tree(10)
    assert explained(tree, tree.predicted) == pytest.approx(0.2464, abs=5e-5)
    for k, wanted in zip((1, 2, 3), (0.149, 0.283, 0.462), strict=True):
        assert explained(tree, joint(tree, k)) == pytest.approx(wanted, abs=6e-4)
    place = np.eye(10)[tree.depth - 1]
    assert explained(tree, np.c_[additive(tree, 5), place]) == pytest.approx(0.149, abs=2e-3)
    tree = mess3().tree(8)
    assert explained(tree, tree.predicted) == pytest.approx(1, abs=1e-9)
    for k, wanted in zip((1, 2, 3), (0.834, 0.949, 0.991), strict=True):
        assert explained(tree, joint(tree, k)) == pytest.approx(wanted, abs=6e-4)
    assert explained(tree, np.c_[additive(tree, 5), np.eye(8)[tree.depth - 1]]) == pytest.approx(
        0.966, abs=1.5e-3
    )


def test_columns_are_the_last_tokens():
    tree = mess3().tree(3)
    words = [
        "".join(map(str, tree.token[p[:n]]))
        for p, n in zip(tree.ancestors, tree.depth, strict=True)
    ]
    columns = additive(tree, 2)
    for row, word in enumerate(words):
        wanted = [
            len(word) > place and word[-1 - place] == str(v) for v in range(3) for place in range(2)
        ]
        assert columns[row].tolist() == wanted
        assert (joint(tree, 2)[row] == joint(tree, 2)[words.index(word[-2:])]).all()
