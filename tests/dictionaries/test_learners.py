"""What is learned beside the parameters: counters, BatchTopK's threshold and the
controller's λ, resampling, a watch."""

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import AbsTopK, BatchTopK, TopK
from assay.dictionaries.training.dead import Keep, Resample
from assay.dictionaries.training.learners import Idle, Seen, TargetL0, Watch

SEEDS = np.array([5, 6])


def seen(x=None, noted=None, params=None, nonlinearity=None, step=0, steps=10, y=None, seeds=SEEDS):
    return Seen(
        step,
        steps,
        seeds,
        torch.zeros(4, 3) if x is None else x,
        y,
        noted or {},
        params or {},
        nonlinearity or ReLU(),
    )


# --- counting -------------------------------------------------------------------------------------


def test_a_kept_zero_is_no_firing():
    """pre = (.5, −1, −2, −3) and k = 3: only the first latent fires, whichever others TopK
    picked."""
    features = TopK(3)(torch.tensor([[[0.5, -1.0, -2.0, -3.0]]]), torch.zeros(1, 4), {})
    assert Idle().note(features)["fired"].tolist() == [[True, False, False, False]]
    signed = AbsTopK(2)(torch.tensor([[[0.5, -1.0, 0.0, -3.0]]]), torch.zeros(1, 4), {})
    # a negative value is one
    assert Idle().note(signed)["fired"].tolist() == [[False, True, False, True]]


def test_idle_counts_rows_since_the_last_firing():
    state = Idle().keep(SEEDS, 3)
    for fired in ([1, 0, 0], [0, 0, 1], [0, 0, 0]):
        Idle().learn(state, seen(noted={"fired": torch.tensor([fired, [1, 1, 1]]).bool()}))
    assert state["idle.rows"].tolist() == [[8, 12, 4], [0, 0, 0]]


# --- BatchTopK's threshold ------------------------------------------------------------------------


def least(rows, k):
    return BatchTopK(k).note(torch.tensor(rows)[None])["least"].item()


def test_the_smallest_kept_value_is_that_of_the_whole_batch():
    assert least([[5.0, 1.0], [4.0, 3.0]], 2) == 1
    assert least([[5.0, 0.0], [4.0, 0.0]], 1) == 4
    # fewer were positive than might stay: nothing was cut off
    assert least([[5.0, 0.0], [0.0, 0.0]], 1) == 0


def test_the_threshold_is_the_mean_over_batches_of_the_smallest_kept_value():
    kind = BatchTopK(1)
    state = kind.keep(SEEDS, 3)
    assert (state["threshold"] == 0).all()
    kind.settle(state, [{"least": torch.tensor([value, 1.0])} for value in (1.0, 1.0, 4.0, 2.0)])
    assert state["threshold"].tolist() == [[2.0] * 3, [1.0] * 3]


# --- the controller -------------------------------------------------------------------------------


def test_the_controller_pushes_lambda_up_where_too_much_is_on():
    control = TargetL0(np.array([4.0, 8.0]), gain=0.5, begin=0.2, end=0.5)
    state = control.keep(SEEDS, 6)
    l0 = {"l0": torch.tensor([16.0, 2.0])}
    control.learn(state, seen(noted=l0, step=1))  # before λ has risen: nothing
    assert state["target.factor"].tolist() == [1, 1]
    assert state["target.l0"].tolist() == [16, 2]
    control.learn(state, seen(noted=l0, step=2))
    assert state["target.factor"].tolist() == pytest.approx([2.0, 0.5])
    control.learn(state, seen(noted={"l0": torch.tensor([6.0, 2.0])}, step=3))
    assert state["target.l0"].tolist() == pytest.approx([15.0, 2.0])
    assert state["target.factor"].tolist() == pytest.approx([2 * (15 / 4) ** 0.5, 0.25])
    held = state["target.factor"].clone()
    control.learn(state, seen(noted=l0, step=6))  # the rate falls: λ rests
    assert torch.equal(state["target.factor"], held)


# --- resampling -----------------------------------------------------------------------------------


def world(nonlinearity=None, rows=((6.0, 8.0),), f=4, seeds=SEEDS, y=None, d=2):
    """A state in which latent 0 is alive with encoder norm 1 and the others are off; b_dec = 0, so
    the residual is the input."""
    nonlinearity = nonlinearity or ReLU()
    r = len(seeds)
    state = {
        "W_enc": torch.zeros(r, f, d),
        "W_dec": torch.full((r, f, d), 0.5),
        "b_enc": torch.full((r, f), -100.0),
        "b_dec": torch.zeros(r, d),
    }
    state["W_enc"][:, 0, 0] = 1
    state |= {name: value + 3 for name, value in nonlinearity.init(r, f).items()}
    state |= {
        f"adam.{m}.{name}": torch.ones_like(value)
        for name, value in list(state.items())
        for m in "mv"
    }
    params = {
        name: value.mT if name == "W_enc" else value
        for name, value in state.items()
        if "." not in name
    }
    idle = torch.full((r, f), 1000)
    idle[:, 0] = 0
    return {**state, "idle.rows": idle}, seen(
        torch.tensor(rows), None, params, nonlinearity, step=4, y=y, seeds=seeds
    )


def test_a_new_encoder_row_is_a_fifth_of_the_mean_living_norm():
    state, moment = world()
    policy = Resample(at=(5,))
    state |= policy.keep(SEEDS, 4)
    policy.learn(state, moment)
    torch.testing.assert_close(state["W_enc"][:, 1:].norm(dim=-1), torch.full((2, 3), 0.2))
    torch.testing.assert_close(state["W_dec"][:, 1:], torch.tensor([0.6, 0.8]).expand(2, 3, 2))
    torch.testing.assert_close(state["W_enc"][:, 1:], torch.tensor([0.12, 0.16]).expand(2, 3, 2))
    assert (state["b_enc"][:, 1:] == 0).all()
    assert state["W_enc"][:, 0].tolist() == [[1, 0], [1, 0]]
    assert (state["b_enc"][:, 0] == -100).all()  # alive: untouched
    for name in ("W_enc", "W_dec", "b_enc"):
        for m in "mv":
            assert (state[f"adam.{m}.{name}"][:, 1:] == 0).all()
            assert (state[f"adam.{m}.{name}"][:, 0] == 1).all()
    assert (state["adam.v.b_dec"] == 1).all()
    assert state["resampled"].tolist() == [[0, 1, 1, 1]] * 2
    assert (state["idle.rows"] == 0).all()


@pytest.mark.parametrize("nonlinearity", [Gated(), JumpReLU(start=0.2)], ids=str)
def test_own_parameters_start_over(nonlinearity):
    state, moment = world(nonlinearity)
    policy = Resample(at=(5,))
    state |= policy.keep(SEEDS, 4)
    policy.learn(state, moment)
    for name, value in nonlinearity.init(2, 4).items():
        assert torch.equal(state[name][:, 1:], value[:, 1:]), name
        assert torch.equal(state[name][:, 0], value[:, 0] + 3), name
        assert (state[f"adam.v.{name}"][:, 1:] == 0).all()


def test_inputs_are_drawn_in_proportion_to_the_square_of_their_loss():
    """Squared errors 1 and 4: probabilities 1/17 and 16/17."""
    f = 4001
    state, moment = world(rows=((1.0, 0.0), (0.0, 2.0)), f=f)
    policy = Resample(at=(5,))
    state |= policy.keep(SEEDS, f)
    policy.learn(state, moment)
    share = (state["W_dec"][:, 1:, 0] > 0.5).float().mean(-1)
    assert ((share - 1 / 17).abs() < 4 * (1 / 17 * 16 / 17 / 4000) ** 0.5).all(), share
    # each seed its own draws
    assert not torch.equal(state["W_dec"][0], state["W_dec"][1])
    alone, its = world(rows=((1.0, 0.0), (0.0, 2.0)), f=f, seeds=SEEDS[1:])
    alone |= policy.keep(SEEDS[1:], f)
    policy.learn(alone, its)
    assert torch.equal(alone["W_dec"][0], state["W_dec"][1])


def test_a_transcoder_listens_to_its_input_and_speaks_of_its_target():
    state, moment = world(y=torch.tensor([[3.0, 4.0]]))
    moment.params["b_pre"] = torch.tensor([[0.0, 0.0], [6.0, 0.0]])
    policy = Resample(at=(5,))
    state |= policy.keep(SEEDS, 4)
    policy.learn(state, moment)
    torch.testing.assert_close(state["W_dec"][:, 1:], torch.tensor([0.6, 0.8]).expand(2, 3, 2))
    torch.testing.assert_close(state["W_enc"][0, 1:], 0.2 * torch.tensor([0.6, 0.8]).expand(3, 2))
    torch.testing.assert_close(state["W_enc"][1, 1:], 0.2 * torch.tensor([0.0, 1.0]).expand(3, 2))


def test_exempted_latents_are_a_random_share_of_each_run_and_keep_everything():
    policy = Resample(at=(5,), exempt=0.25)
    masks = policy.keep(np.arange(40), 16)["exempt"]
    assert (masks.sum(-1) == 4).all() and not (masks == masks[0]).all()
    assert torch.equal(policy.keep(np.array([17]), 16)["exempt"][0], masks[17])
    state, moment = world(f=16)
    state |= policy.keep(SEEDS, 16)
    before = {name: value.clone() for name, value in state.items()}
    policy.learn(state, moment)
    spared = state["exempt"]
    for name in ("W_enc", "W_dec", "b_enc", "adam.m.W_enc", "adam.v.b_enc", "idle.rows"):
        assert torch.equal(state[name][spared], before[name][spared]), name
    assert (state["resampled"][spared] == 0).all()
    assert state["resampled"].sum() == (~spared)[:, 1:].sum()
    everyone = Resample(at=(5,), exempt=1.0).keep(SEEDS, 16)["exempt"]
    assert everyone.all() and not Resample(at=(5,)).keep(SEEDS, 16)["exempt"].any()


def test_only_at_its_steps_and_only_what_was_silent_since_the_last():
    state, moment = world()
    policy = Resample(at=(3, 5))
    state |= policy.keep(SEEDS, 4)
    state["idle.rows"][:, 1] = (
        # a batch has one row: fired at step 4, so not silent for the 2 rows since step 3
        1
    )
    state["idle.rows"][:, 2] = 2
    policy.learn(state, moment)
    assert state["resampled"].tolist() == [[0, 0, 1, 1]] * 2
    untouched = {name: value.clone() for name, value in state.items()}
    later = seen(moment.x, None, moment.params, ReLU(), step=5)
    policy.learn(state, later)
    assert all(torch.equal(value, state[name]) for name, value in untouched.items())


def test_the_rate_warms_up_again_after_each_check():
    policy = Resample(at=(10, 20), warm_up=4)
    rates = [policy.rate(s) for s in (0, 9, 10, 11, 13, 14, 19, 20, 23, 30)]
    assert rates == pytest.approx([1, 1, 0.25, 0.5, 1, 1, 1, 0.25, 1, 1])
    assert Resample(at=(10,), warm_up=0).rate(10) == 1 and Keep().rate(3) == 1


# --- a watch --------------------------------------------------------------------------------------


def test_a_watch_stores_values_after_its_steps():
    watch = Watch("size", (0, 2, 5), lambda params: params["b_enc"].sum(-1))
    state = {"b_enc": torch.ones(2, 3)}
    state["size"] = watch.start(state, 5, list(state))
    for step in range(5):
        state["b_enc"] += 1
        watch.learn(state, seen(params=state, step=step, steps=5))
    assert state["size"].tolist() == [[3, 9, 18]] * 2


def test_what_a_user_can_get_wrong():
    with pytest.raises(SpecError, match="target and a gain above 0, got l0=0"):
        TargetL0(0)
    for wrong in ({"at": (5, 3)}, {"at": (0,)}, {"at": (5,), "exempt": 1.5}):
        with pytest.raises(
            SpecError, match="Resample needs growing steps from 1 and a share exempt"
        ):
            Resample(**wrong)
    state = {"b_enc": torch.ones(2, 3)}
    with pytest.raises(SpecError, match="watch='b_enc' needs a name that is not in use"):
        Watch("b_enc", (0,), lambda p: p["b_enc"]).start(state, 5, list(state))
    with pytest.raises(SpecError, match=r"watch='a' asks for steps \[6\] of a training of 5"):
        Watch("a", (0, 6), lambda p: p["b_enc"]).start(state, 5, list(state))
