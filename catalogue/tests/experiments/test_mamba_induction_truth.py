"""What mamba-induction measures, held to truths from outside: patches that are the donor, donors
that differ where they should."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay_catalogue.analysis.sampler import n_beta_of
from assay_catalogue.experiments.mamba_induction import experiment, method
from assay_catalogue.experiments.mamba_induction.method import (
    WRITE,
    MambaInduction,
    answer_loss,
    draw_sequences,
    errors,
    exchanged,
    moments,
    shape_of,
    unused,
)
from assay_catalogue.experiments.mamba_induction.trajectory import chains_along, measure_along
from assay_catalogue.subjects.mamba import forward
from assay_catalogue.worlds.networks.mamba import start

SPEC = MambaInduction(keys=6, values=6, d=16, channels=16, state=4, steps=0)


def runs_of(**changes):
    return Runs([replace(SPEC, seed=seed, **changes) for seed in (0, 1)])


def restored_only(found, write, conv):
    """Whether nearly all of the answer comes back at these two places, and nothing at any other."""
    return all(
        (value > 0.9).all() if patch in (write, conv) else np.abs(value).max() < 1e-6
        for patch, value in found.items()
    )


def test_the_token_that_is_put_in_is_none_that_is_there():
    tokens = draw_sequences(runs_of(), "patch", 0, 50)
    for first, count in ((0, 6), (6, 6)):
        new = unused(tokens, first, count)
        assert (
            not (tokens == new[:, :, None]).any()
            and int(new.min()) >= first
            and int(new.max()) < first + count
        )
        assert len(new.unique()) > 3


def test_errors_are_counted_by_hand():
    runs = runs_of()
    params = start(runs.seeds, shape_of(SPEC), std=1.0)
    logits = forward(params, draw_sequences(runs, "test", 0, method.TESTED))[0]
    tokens = draw_sequences(runs, "test", 0, method.TESTED)
    for run in range(2):
        wrong = sum(
            int(logits[run, b, t].argmax() != tokens[run, b, t + 1])
            for b in range(method.TESTED)
            for t in (6, 8, 10)
        )
        assert errors(runs, params, "test")[run] == pytest.approx(
            (wrong + 0.5) / (3 * method.TESTED + 1)
        )


def test_the_loss_is_of_the_answers_and_the_last_token_is_not_read():
    runs = runs_of()
    params, tokens = start(runs.seeds, shape_of(SPEC), std=1.0), draw_sequences(runs, "test", 0, 20)
    logits = forward(params, tokens)[0].double().numpy()
    by_hand = [
        -np.mean(
            [
                logits[run, b, t, tokens[run, b, t + 1]] - np.log(np.exp(logits[run, b, t]).sum())
                for b in range(20)
                for t in (6, 8, 10)
            ]
        )
        for run in range(2)
    ]
    np.testing.assert_allclose(answer_loss(params, tokens).numpy(), by_hand, rtol=1e-5)


def test_a_block_that_sees_the_value_at_its_own_position_alone_is_restored_there_alone():
    """A convolution of one tap sees its own position: the value goes through its own write, and
    what comes after gives nothing."""
    runs = runs_of()
    params = start(runs.seeds, shape_of(SPEC), std=1.0)
    params["W_conv"][..., :3] = 0
    found = exchanged(runs, params)
    assert restored_only(
        found, "write at the value", "conv at the key"
    )  # the key, too, is seen where it stands only


@pytest.mark.parametrize("back", [1, 2])
def test_a_block_that_sees_one_token_so_far_back_alone_is_restored_so_much_later(back):
    runs = runs_of()
    params = start(runs.seeds, shape_of(SPEC), std=1.0)
    params["W_conv"][..., [tap for tap in range(4) if tap != 3 - back]] = 0
    found = exchanged(runs, params)
    assert restored_only(
        found, f"write {back} later", ("conv at the value", "conv 1 later")[back - 1]
    )


def test_without_a_convolution_there_is_none_to_exchange():
    runs = runs_of(conv=0)
    found = exchanged(runs, start(runs.seeds, shape_of(runs.shared), std=1.0))
    assert tuple(found) == tuple(WRITE) and (found["write at the value"] > 0.9).all()


def test_a_run_alone_is_measured_as_in_a_group():
    runs, alone = runs_of(), Runs([replace(SPEC, seed=1)])
    params = start(runs.seeds, shape_of(SPEC), std=1.0)
    together = exchanged(runs, params)
    single = exchanged(alone, {k: v[1:] for k, v in params.items()})
    for patch, values in together.items():
        np.testing.assert_allclose(values[1:], single[patch], atol=1e-5)


@pytest.mark.thorough
def test_a_small_block_learns_to_recall():
    """Two values cannot be guessed: an untrained block is wrong half the time at best."""
    specs = [replace(SPEC, keys=4, values=4, d=32, channels=32, state=8, steps=250, lr=0.02)]
    trained = method.train(Runs(specs), Unkept())
    assert float(errors(Runs(specs), trained.tensors, "test")[0]) < 0.5


def trained_along(**changes):
    """Runs with chains, the trainings that they are along, and what was found."""
    runs = runs_of(**({"steps": 24, "batch": 8, "lr": 0.02, "chains": 1} | changes))
    trained = method.train(runs, Unkept())
    return runs, trained, chains_along(runs, Unkept(), trained)


def test_states_are_kept_on_the_way_and_the_last_is_the_end():
    runs, trained, found = trained_along(draws=20)
    assert moments(24) == [3, 6, 9, 12, 15, 24]
    assert all(
        torch.equal(trained.tensors[f"{name}/at"][:, -1], trained.tensors[name])
        for name in ("W_E", "A_log")
    )
    np.testing.assert_array_equal(
        found.tensors["wrong"][:, -1], errors(runs, trained.tensors, "test")
    )
    table = measure_along(runs, found, Unkept())
    assert (
        table.moment.values.tolist() == moments(24)
        and table.llc.shape == (2, 6)
        and np.isfinite(table.llc).all()
    )
    again = method.train(
        runs_of(steps=24, batch=8, lr=0.02), Unkept()
    )  # nothing that is kept changes a training
    assert all(torch.equal(again.tensors[name], trained.tensors[name]) for name in again.tensors)


@pytest.mark.thorough
def test_chains_under_a_strong_pull_give_what_normal_noise_of_that_width_costs():
    """Far above the curvatures a pull alone decides how far a chain goes: variance 1/(γ (1 − step
    γ/4)) in every weight."""
    pull, step = 100.0, 4e-3
    runs, trained, found = trained_along(
        localisation=pull, step=step, samples=2, draws=300, batch=16, chains=4
    )
    draw, width = torch.Generator().manual_seed(1), (pull * (1 - step * pull / 4)) ** -0.5
    at = {name: kept[:, -1] for name, kept in trained.tensors.items() if name.endswith("/at")}
    tokens, excess = draw_sequences(runs, "elsewhere", 0, 100), []
    for _ in range(200):
        moved = {
            name.removesuffix("/at"): kept + width * torch.randn(kept.shape, generator=draw)
            for name, kept in at.items()
        }
        excess.append(
            (
                answer_loss(moved, tokens)
                - answer_loss({n.removesuffix("/at"): kept for n, kept in at.items()}, tokens)
            ).double()
        )
    expected = n_beta_of(2) * torch.stack(excess).mean(0)
    np.testing.assert_allclose(found.tensors["llc"][:, -1], expected, rtol=0.2)


def test_chains_are_run_at_one_rate_and_of_all_seeds():
    for arm, of in (("along", "main"), ("along-frozen", "frozen")):
        with_chains, trained = (experiment.specs_of(name, experiment.default) for name in (arm, of))
        assert {(s.lr, s.chains) for s in with_chains} == {(method.RATE, 1)}
        assert sorted(s.seed for s in with_chains) == sorted({s.seed for s in trained})


def test_arms_differ_from_main_in_what_they_are_named_for():
    specs = {
        name: experiment.specs_of(name, experiment.default)
        for name, arm in experiment.arms.items()
        if arm.train and not arm.after
    }
    rates = {name: {s.lr for s in found} for name, found in specs.items()}
    assert (
        len(set(map(frozenset, rates.values()))) == 1 and len(rates["main"]) == 3
    )  # swept in every arm
    assert {s.selective for s in specs["frozen"]} == {False} and {
        s.conv for s in specs["no-conv"]
    } == {0}
    assert torch.equal(
        start(np.array([3]), shape_of(specs["main"][0]))["W_in"],
        start(np.array([3]), shape_of(specs["frozen"][0]))["W_in"],
    )
