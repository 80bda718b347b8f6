"""Nonlinearities against loops written from their definitions."""

import math

import pytest
import torch

from acceptance.test_nonlinearity import B, Z, each
from assay.core.errors import DataError
from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity, ReLU, Rescaled, from_json, inference, to_json
from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, TopK

torch.manual_seed(1)
R = 0.5 * torch.randn(2, 5, dtype=torch.float64)
M = 0.2 * torch.randn(2, 5, dtype=torch.float64)


def gated(r, b, f):
    z = Z[r, b, f].item()
    return max(math.exp(R[r, f]) * z + M[r, f].item(), 0.0) if z + B[r, f].item() > 0 else 0.0


def test_relu_and_identity():
    assert torch.equal(
        ReLU()(Z, B, {}), each(lambda r, b, f: max((Z[r, b, f] + B[r, f]).item(), 0.0))
    )
    assert torch.equal(Identity()(Z, B, {}), each(lambda r, b, f: (Z[r, b, f] + B[r, f]).item()))


def test_a_tied_gate_is_a_jump_at_its_threshold():
    """z scalar, r = ln 2, b_gate = −1, b_mag = .5: magnitude 2z + .5 above z = 1, strictly; as a
    jump the threshold is 2.5."""
    z = torch.tensor([0.9, 1.0, 1.2], dtype=torch.float64).view(1, 3, 1)
    own = {
        "r_mag": torch.full((1, 1), math.log(2), dtype=torch.float64),
        "b_mag": torch.full((1, 1), 0.5, dtype=torch.float64),
    }
    features = Gated()(z, torch.full((1, 1), -1.0, dtype=torch.float64), own)
    torch.testing.assert_close(
        features.flatten(), torch.tensor([0.0, 0.0, 2.9], dtype=torch.float64)
    )
    threshold = own["b_mag"] - own["r_mag"].exp() * -1.0
    assert threshold.item() == pytest.approx(2.5)
    pre = own["r_mag"].exp() * z + own["b_mag"]
    torch.testing.assert_close(features, pre * (pre > threshold.clamp_min(0)))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_abstopk_keeps_the_k_largest_of_either_sign(k):
    pre = Z + B[:, None]

    def one(r, b, f):
        larger = sum(abs(pre[r, b, g]) > abs(pre[r, b, f]) for g in range(5))
        return pre[r, b, f].item() if larger < k else 0.0

    assert torch.equal(AbsTopK(k)(Z, B, {}), each(one))


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_groupmax_has_one_winner_in_each_block(k):
    z = torch.randn(2, 7, 6, dtype=torch.float64)
    b_enc = 0.1 * torch.randn(2, 6, dtype=torch.float64)
    found, pre, block = GroupMax(k)(z, b_enc, {}), z + b_enc[:, None], 6 // k
    for r in range(2):
        for b in range(7):
            for f in range(6):
                first = f // block * block
                wins = all(pre[r, b, f] >= pre[r, b, g] for g in range(first, first + block))
                assert found[r, b, f] == (max(pre[r, b, f].item(), 0.0) if wins else 0.0)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_batchtopk_keeps_k_a_row_on_average(k):
    pre, found = Z + B[:, None], BatchTopK(k)(Z, B, {})
    for r in range(2):
        kept = sorted(pre[r].flatten().tolist())[-k * 7 :]
        for b in range(7):
            for f in range(5):
                assert found[r, b, f] == (
                    max(pre[r, b, f].item(), 0.0) if pre[r, b, f].item() in kept else 0.0
                )


def test_jumprelu_keeps_what_is_above_its_threshold_whole():
    own = {"threshold": R.abs()}

    def one(r, b, f):
        pre = (Z[r, b, f] + B[r, f]).item()
        return pre if pre > abs(R[r, f].item()) else 0.0

    assert torch.equal(JumpReLU()(Z, B, own), each(one))
    assert torch.equal(JumpReLU().opened(Z, B, own), (JumpReLU()(Z, B, own) > 0).double())
    at = JumpReLU()(
        torch.full((1, 1, 1), 0.5), torch.zeros(1, 1), {"threshold": torch.full((1, 1), 0.5)}
    )
    assert at.item() == 0  # strict


def test_what_reads_a_trained_dictionary():
    assert inference(BatchTopK(3)) == JumpReLU()
    assert inference(GatedSigmoid()) == Gated()
    assert all(inference(n) is n for n in (ReLU(), TopK(2), Gated(), JumpReLU()))


def test_rescaled_never_turns_a_feature_on():
    own = {"factor": 1.5 + R, "shift": M - 0.1, "of_r_mag": R, "of_b_mag": M}

    def one(r, b, f):
        below = gated(r, b, f)
        return max((1.5 + R[r, f].item()) * below + M[r, f].item() - 0.1, 0.0) if below > 0 else 0.0

    features = Rescaled(Gated())(Z, B, own)
    torch.testing.assert_close(features, each(one))
    assert (features > 0).sum() < (
        Gated()(Z, B, {"r_mag": R, "b_mag": M}) > 0
    ).sum()  # here some shifts turn one off


def test_rescaling_twice_keeps_both_steps():
    own = {
        "factor": torch.full((2, 5), 2.0),
        "shift": torch.zeros(2, 5),
        "of_factor": torch.full((2, 5), 3.0),
        "of_shift": torch.zeros(2, 5),
    }
    torch.testing.assert_close(Rescaled(Rescaled(ReLU()))(Z, B, own), 6 * ReLU()(Z, B, {}))


def test_a_repair_of_untied_magnitudes_carries_their_encoder():
    assert Rescaled(GatedUntied()).encoders == ("of_W_mag",)
    assert Rescaled(ReLU()).encoders == ()


NEW = [
    AbsTopK(2),
    GroupMax(5),
    BatchTopK(2),
    JumpReLU(0.1, 0.2),
    GatedShift(),
    GatedSigmoid(),
    GatedUntied(),
    ScaledReLU(),
]


@pytest.mark.parametrize("nonlinearity", [*NEW, Rescaled(JumpReLU())], ids=str)
def test_json_round_trip(nonlinearity):
    assert from_json(to_json(nonlinearity)) == nonlinearity
    assert all(value.shape == (2, 5) for value in nonlinearity.init(2, 5).values())


@pytest.mark.parametrize(
    "nonlinearity",
    [ReLU(), Gated(), TopK(3), Rescaled(TopK(2)), Rescaled(Rescaled(Gated()))],
    ids=str,
)
def test_json_round_trip_and_start(nonlinearity):
    assert from_json(to_json(nonlinearity)) == nonlinearity
    own = nonlinearity.init(2, 5)
    assert all(value.shape == (2, 5) for value in own.values())
    z = Z.float()
    plain = (
        TopK(3)
        if nonlinearity == TopK(3)
        else TopK(2)
        if nonlinearity == Rescaled(TopK(2))
        else ReLU()
    )
    # at the start every one of them is the plain nonlinearity below it
    zero = torch.zeros(2, 5)
    torch.testing.assert_close(nonlinearity(z, zero, own), plain(z, zero, {}))


def test_what_a_user_can_get_wrong():
    with pytest.raises(DataError, match="k must be at least 1, got k=0"):
        TopK(0)
    with pytest.raises(DataError, match="k must be at most the dictionary's width 5, got k=6"):
        TopK(6).init(1, 5)
    with pytest.raises(DataError, match=r"unknown nonlinearity 'Topk'.*did you mean TopK"):
        from_json({"name": "Topk", "k": 3})
    for kind in (AbsTopK, BatchTopK, GroupMax):
        with pytest.raises(DataError, match=f"k must be at least 1, got k=-1; {kind.__name__}"):
            kind(-1)
    with pytest.raises(
        DataError, match="GroupMax needs a width that k divides, got k=3 and width 5"
    ):
        GroupMax(3).init(1, 5)
    with pytest.raises(DataError, match="bandwidth above 0"):
        JumpReLU(bandwidth=0)
