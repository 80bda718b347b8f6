"""What clt-faithful measures, held to truths from outside: enumerated Boolean tables, dictionaries
that are known, other coordinates."""

import itertools

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.subjects.decoder import forward
from assay_catalogue.dictionaries.cross_layer import CrossLayer, decode, encode, replaced
from assay_catalogue.experiments.clt_faithful.method import CltFaithful, measure, train
from assay_catalogue.experiments.clt_faithful.world import (
    circuit,
    flipped,
    of_others,
    planted,
    rotations,
    world,
)

SEEDS = np.array([0, 1])


def table():
    """[32, 5] bits in the order of tokens, and by hand: the first hop, the answer, and the answer
    with the first hop turned."""
    bits = np.array([[t >> i & 1 for i in range(5)] for t in range(32)])
    hop = bits[:, 0] & bits[:, 1]
    return bits, hop, hop ^ bits[:, 2], (1 - hop) ^ bits[:, 2]


def found_in(plain, seeds, writes):
    """Coordinates of a write along the directions in which the circuit keeps the hop and the
    answer."""
    turn = rotations(seeds, plain)
    return [torch.einsum("r...d,rd->r...", writes.double(), turn[:, i]).numpy() for i in (5, 6)]


def test_the_streams_are_those_of_the_circuit_as_a_decoder():
    made, turn = circuit(2), rotations(SEEDS, 8)
    residuals = forward(made.params, torch.arange(32)[:, None], "relu")[1]
    after = world(SEEDS, 2)
    end = (after.streams[:, 1] + after.writes[:, 1]).double() @ turn.mT
    np.testing.assert_allclose(end, residuals[-1][:, :, 0].expand(2, -1, -1), atol=1e-5)
    np.testing.assert_allclose(
        after.streams[:, 1].double() @ turn.mT, residuals[0][:, :, 0].expand(2, -1, -1), atol=1e-5
    )


def test_what_is_written_is_the_boolean_table_and_nothing_else():
    _, hop, answer, other = table()
    made = world(SEEDS, 2)
    hops, answers = found_in(8, SEEDS, made.writes)
    np.testing.assert_allclose(hops[:, 0], [hop] * 2, atol=1e-5)
    np.testing.assert_allclose(answers[:, 1], [answer] * 2, atol=1e-5)
    np.testing.assert_allclose(made.writes.norm(dim=-1)[:, 1], [answer] * 2, atol=1e-5)
    np.testing.assert_allclose(found_in(8, SEEDS, flipped(SEEDS, 2)[1])[1], [other] * 2, atol=1e-5)


def test_rotations_are_rotations_and_each_seed_has_its_own():
    turn = rotations(SEEDS, 8)
    np.testing.assert_allclose(turn @ turn.mT, np.tile(np.eye(8), (2, 1, 1)), atol=1e-6)
    assert (turn[0] - turn[1]).abs().max() > 0.1


def test_exchanged_the_first_hop_says_nothing_of_the_bits():
    bits, hop, _, _ = table()
    made = world(SEEDS, 2, exchanged=True)
    own = found_in(8, SEEDS, made.writes)[0][0, 0].round().astype(int)
    put = found_in(8, SEEDS, made.streams)[0][0, 1].round().astype(int)
    answer = found_in(8, SEEDS, made.writes)[1][0, 1].round().astype(int)
    third = np.repeat(bits[:, 2], 4)
    assert (own == np.repeat(hop, 4)).all() and (answer == put ^ third).all()
    pairs = [int(((own == a) & (put == b)).sum()) for a, b in itertools.product((0, 1), repeat=2)]
    assert pairs == [72, 24, 24, 8]  # 128 rows: independent, a quarter on each


def test_writes_of_other_inputs_are_the_same_writes_and_uncorrelated_with_what_they_were():
    writes = world(SEEDS, 2).writes
    others = of_others(writes, SEEDS)
    centred = (writes - writes.mean(2, keepdim=True)).numpy()
    for seed, layer in itertools.product(range(2), repeat=2):
        assert sorted(map(tuple, others[seed, layer].tolist())) == sorted(
            map(tuple, writes[seed, layer].tolist())
        )
        assert (
            abs((others[seed, layer].numpy() * centred[seed, layer]).sum())
            < 0.01 * (centred[seed, layer] ** 2).sum()
        )
    np.testing.assert_array_equal(of_others(writes[1:], SEEDS[1:])[0], others[1])


@pytest.mark.parametrize("which", ["faithful", "rewritten"])
def test_known_dictionaries_reconstruct_every_write_layer_by_layer_and_end_to_end(which):
    made, params = world(SEEDS, 2), planted(SEEDS, which, 8, 0.0)
    np.testing.assert_allclose(decode(params, encode(params, made.streams)), made.writes, atol=1e-5)
    np.testing.assert_allclose(replaced(params, made.streams[:, 0])[1], made.writes, atol=1e-5)


def test_with_lengths_added_up_both_known_dictionaries_cost_the_same():
    made = world(SEEDS, 2)
    for which in ("faithful", "rewritten"):
        params = planted(SEEDS, which, 8, 0.0)
        np.testing.assert_allclose(
            CrossLayer(joined=False).cost(params, encode(params, made.streams)), 3 / 4, atol=1e-5
        )


def test_no_exact_dictionary_has_fewer_features_on():
    """Where a write differs from what its bias gives some feature must be on: of any bias at least
    5/8, or 3/4 where layers are apart."""
    _, hop, answer, _ = table()
    both = 2 * hop + answer
    assert 1 - np.bincount(both).max() / 32 == 5 / 8
    assert (1 - np.bincount(hop).max() / 32) + (1 - np.bincount(answer).max() / 32) == 3 / 4


def test_half_rewritten_a_quarter_is_credited_to_the_first_layer_and_half_of_the_response_lost():
    """The least that an exact dictionary of 5/8 rewrites: h ∧ ¬x₃ writes both, h ∧ x₃ the hop, x₃ ∧
    ¬h, of the second layer, the answer."""
    runs = Runs([CltFaithful(start="faithful", steps=0, seed=int(s)) for s in SEEDS])
    whole, params = planted(SEEDS, "rewritten", 32, 0.0), planted(SEEDS, "faithful", 32, 0.0)
    for name in ("W_enc", "b_enc", "W_dec"):
        params[name][:, 0] = whole[name][:, 0]
        params[name][:, 0, ..., 2:] = 0
    params["W_dec"][:, 0, :, 2:] = 0
    params["W_enc"][:, 0, :, 2:] = 0
    params["W_dec"][:, 0, :, :2] = whole["W_dec"][:, 0, :, :2]
    params["W_dec"][:, 1, 1, 1] = 0  # h ∧ ¬x₃ of the second layer: written by the first
    got = measure(runs, train(runs, Unkept()).with_tensors(params), Unkept())
    np.testing.assert_allclose(got.fvu, 0, atol=1e-6)
    np.testing.assert_allclose(got.credited, 0.25, atol=1e-5)
    np.testing.assert_allclose(got.active.sum("layer"), 5 / 8, atol=1e-6)
    np.testing.assert_allclose(got.astray, 0.5, atol=1e-5)
    np.testing.assert_allclose(got.followed, 0.5, atol=1e-5)


@pytest.mark.parametrize(
    ("which", "share", "astray", "active", "cost"),
    [
        ("faithful", 0, 0, 3 / 4, 3 / 4),
        ("rewritten", 1, 1, 5 / 8, (4 + 2**0.5) / 8),
    ],
)
def test_planted_dictionaries_are_told_apart_though_both_are_exact(
    which, share, astray, active, cost
):
    runs = Runs([CltFaithful(start=which, steps=0, seed=int(s)) for s in SEEDS])
    got = measure(runs, train(runs, Unkept()), Unkept())
    for name, wanted in {
        "credited": share,
        "credited_second": 1 - share,
        "astray": astray,
        "followed": 1 - astray,
        "cost": cost,
    }.items():
        np.testing.assert_allclose(got[name], wanted, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(got.active.sum("layer"), active, atol=1e-6)
    assert got.fvu.max() < 1e-9 and got.apart.max() < 1e-5


def test_a_per_layer_transcoder_credits_the_first_layer_with_nothing_however_long_it_is_trained():
    runs = Runs([CltFaithful(reach="own", steps=30, seed=int(s)) for s in SEEDS])
    assert not measure(runs, train(runs, Unkept()), Unkept()).credited.any()


def test_a_run_alone_equals_the_same_run_among_others():
    specs = [CltFaithful(steps=20, penalty=p, seed=s) for s in (0, 1) for p in (0.0, 0.1)]
    among, alone = Runs(specs), Runs(specs[-1:])
    together, by_itself = train(among, Unkept()), train(alone, Unkept())
    for name, x in by_itself.tensors.items():
        np.testing.assert_allclose(
            together.tensors[name][-1:], x, rtol=1e-4, atol=1e-5, err_msg=name
        )
