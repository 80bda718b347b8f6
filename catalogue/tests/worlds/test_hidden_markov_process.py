"""Hidden Markov processes: enumerated facts, beliefs worked out by hand, Bayes' rule by naive sums,
sampling by its frequencies. What beliefs decide: excess loss by naive sums, and enumerated R² of
next tokens and token windows."""

import itertools

import numpy as np
import pytest

from assay.core.errors import DataError
from assay_catalogue.worlds.hidden_markov.process import (
    HiddenMarkov,
    additive,
    entropy,
    excess,
    explained,
    joint,
    mess3,
    rrxor,
)


def naive_weight(process, word):
    """Unnormalised distribution over hidden states after `word`, summed over all paths of
    states."""
    out = np.zeros(process.states)
    for path in itertools.product(range(process.states), repeat=len(word) + 1):
        p = process.stationary[path[0]]
        for v, i, j in zip(word, path, path[1:], strict=False):
            p *= process.T[v, i, j]
        out[path[-1]] += p
    return out


def test_mess3_is_its_table():
    a, b, x, y = 0.85, 0.075, 0.05, 0.9
    np.testing.assert_allclose(
        mess3().T[0],
        [[a * y, b * x, b * x], [a * x, b * y, b * x], [a * x, b * x, b * y]],
        atol=1e-15,
    )
    np.testing.assert_allclose(
        mess3().T[2],
        [[b * y, b * x, a * x], [b * x, b * y, a * x], [b * x, b * x, a * y]],
        atol=1e-15,
    )
    np.testing.assert_allclose(
        mess3().T.sum(2).T, np.full((3, 3), 0.11375) + np.eye(3) * (0.7725 - 0.11375), atol=1e-12
    )


@pytest.mark.parametrize(
    ("process", "stationary"),
    [(mess3(), [1 / 3] * 3), (rrxor(), [1 / 3, 1 / 6, 1 / 6, 1 / 6, 1 / 6])],
)
def test_stationary(process, stationary):
    np.testing.assert_allclose(process.stationary, stationary, atol=1e-12)


def test_beliefs_of_mess3():
    wanted = [
        (0.85, 0.075, 0.075),
        (0.355104, 0.592607, 0.052289),
        (0.052343, 0.933606, 0.014051),
        (0.057614, 0.514344, 0.428042),
    ]
    np.testing.assert_allclose(mess3().beliefs([0, 1, 1, 2]), wanted, atol=1e-6)


def test_beliefs_of_rrxor():
    wanted = [
        (1 / 3, 1 / 3, 0, 1 / 6, 1 / 6),
        (1 / 3, 0, 1 / 3, 1 / 3, 0),
        (1 / 2, 0, 1 / 4, 0, 1 / 4),
        (0.4, 0.4, 0, 0.2, 0),
        (0, 0.5, 0, 0, 0.5),
    ]
    np.testing.assert_allclose(rrxor().beliefs([0, 1, 1, 0, 0]), wanted, atol=1e-12)


@pytest.mark.parametrize("process", [mess3(), mess3(0.2, 0.4), rrxor()])
def test_the_filter_is_bayes_rule_over_all_paths(process):
    tree = process.tree(4)
    words = {w for n in range(1, 5) for w in itertools.product(range(process.vocab), repeat=n)}
    seen = {}
    for row in range(len(tree)):
        path = tree.ancestors[row, : tree.depth[row]]
        seen[tuple(tree.token[path].tolist())] = row
        assert tree.parent[row] == (path[-2] if len(path) > 1 else -1)
    for word in words:
        weight = naive_weight(process, word)
        assert (weight.sum() > 1e-15) == (word in seen)
        if word in seen:
            assert tree.probability[seen[word]] == pytest.approx(weight.sum(), abs=1e-12)
            np.testing.assert_allclose(tree.belief[seen[word]], weight / weight.sum(), atol=1e-12)


def test_what_rrxor_has_within_ten_tokens():
    tree = rrxor().tree(10)
    assert len(tree) == 1046
    assert len(np.unique(tree.state)) == 35  # 36 with the empty prefix
    assert sum(tree.depth == 10) == 436
    assert sum(rrxor().tree(11).depth == 11) == 676
    np.testing.assert_allclose(np.bincount(tree.depth, tree.probability)[1:], 1, atol=1e-12)
    assert [len(np.unique(tree.suffixes(k))) for k in (1, 2, 3, 4, 5)] == [2, 6, 14, 30, 58]
    assert len(np.unique(mess3().tree(6).suffixes(2))) == 12


def test_prefixes_that_share_a_suffix_or_a_belief_are_one_group():
    tree = rrxor().tree(6)
    words = [
        "".join(map(str, tree.token[p[:n]]))
        for p, n in zip(tree.ancestors, tree.depth, strict=True)
    ]
    suffix, state = tree.suffixes(3), tree.state
    for a, b in itertools.combinations(range(0, len(tree), 3), 2):
        assert (suffix[a] == suffix[b]) == (words[a][-3:] == words[b][-3:])
        assert (state[a] == state[b]) == (np.abs(tree.belief[a] - tree.belief[b]).max() < 1e-6)


@pytest.mark.parametrize(
    ("process", "first", "by_length"),
    [
        (
            mess3(),
            1.09861,
            [
                0.85772,
                0.81336,
                0.79812,
                0.79474,
                0.79378,
                0.79354,
                0.79348,
                0.79346,
                0.79346,
                0.79346,
            ],
        ),
        (
            rrxor(),
            0.69315,
            [
                0.69315,
                0.63651,
                0.62849,
                0.59868,
                0.57762,
                0.56146,
                0.53985,
                0.52694,
                0.51582,
                0.50334,
            ],
        ),
    ],
)
def test_entropy_floors(process, first, by_length):
    assert entropy(process.predicted(process.stationary)) == pytest.approx(first, abs=1e-5)
    np.testing.assert_allclose(process.floors(10), by_length, atol=1e-5)


def test_floors_fall_to_the_entropy_rate():
    assert mess3().floors(10).mean() == pytest.approx(0.80251, abs=1e-5)
    assert rrxor().floors(10).mean() == pytest.approx(0.57819, abs=1e-5)
    assert (np.diff(rrxor().floors(14)) < 0).all()
    assert rrxor().floors(14)[-1] > 2 / 3 * np.log(2)


@pytest.mark.parametrize("process", [mess3(), rrxor()])
def test_sequences_follow_the_law_and_the_seed(process):
    draw = process.sequences([3, 4, 3], 512, 4)
    steps = np.stack([draw(i) for i in range(20)])
    assert (steps[:, 0] == steps[:, 2]).all()
    assert not (steps[:, 0] == steps[:, 1]).all()
    assert (process.sequences([4], 512, 4)(7) == draw(7)[1]).all()  # alone as in a group
    assert not (process.sequences([4], 512, 4, "test")(7) == draw(7)[1]).all()
    tree = process.tree(4)
    rows = tree.rows(steps[:, :2])
    for depth in range(1, 5):
        mine = tree.depth == depth
        share = np.bincount(rows[..., depth - 1].ravel(), minlength=len(tree))[mine] / (
            rows.size / 4
        )
        p = tree.probability[mine]
        assert (np.abs(share - p) < 5 * np.sqrt(p / (rows.size / 4))).all()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (np.ones((2, 3)), "shape"),
        (-mess3().T, "none negative"),
        (mess3().T * 1.1, "add up to 1, got 1.1 from state 0"),
        (np.eye(2)[None], "not unique"),
    ],
)
def test_impossible_tables_are_told_in_one_line(table, told):
    with pytest.raises(DataError, match=told) as e:
        HiddenMarkov(table)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("numbers", [(0.0, 0.85), (0.6, 0.85), (0.05, 1.5), (0.05, -0.1)])
def test_impossible_mess3(numbers):
    with pytest.raises(DataError, match="mess3 needs"):
        mess3(*numbers)


def test_impossible_sequences_and_lengths():
    tree = rrxor().tree(4)
    with pytest.raises(DataError, match="at most 4"):
        tree.rows(np.zeros((2, 5), int))
    with pytest.raises(DataError, match="cannot occur"):
        rrxor().tree(6).rows(np.ones((1, 6), int))
    with pytest.raises(DataError, match="at least one token"):
        rrxor().tree(0)


def test_prefixes_are_shuffled_within_their_length():
    tree = rrxor().tree(10)
    order = tree.shuffled(0, "a")
    assert sorted(order) == list(range(len(tree)))
    assert (tree.depth[order] == tree.depth).all()
    assert (order != np.arange(len(tree))).mean() > 0.9
    assert (order != tree.shuffled(0, "b")).any() and (order != tree.shuffled(1, "a")).any()


@pytest.mark.parametrize(
    "ask", [rrxor().beliefs, lambda tokens: rrxor().tree(6).rows(np.array(tokens))]
)
@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ([0, -1], "tokens of this process are 0 to 1, got -1"),
        ([[0, 1], [2, 0]], "tokens of this process are 0 to 1, got 2"),
        ([0.0, 1.0], "whole numbers, got float64"),
        ([1, 1, 1, 1, 1, 1], "probability 0|probability is 0"),
    ],
)
def test_tokens_that_cannot_come_are_told_in_one_line(ask, tokens, told):
    with pytest.raises(DataError, match=told) as e:
        ask(tokens)
    assert "\n" not in str(e.value)


def test_one_impossible_sequence_among_possible_ones_is_found():
    process = rrxor()
    possible = process.sequences([0], 8, 6)(0)[0]
    assert np.isfinite(process.beliefs(possible)).all()
    with pytest.raises(DataError, match="token 1 cannot come here"):
        process.beliefs(np.r_[possible, np.ones((1, 6), dtype=np.int64)])
    with pytest.raises(DataError, match="token 1 cannot come here"):
        process.updated(np.array([0, 0, 0, 0, 1.0]), np.array(1))  # from F only a 0 comes


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
