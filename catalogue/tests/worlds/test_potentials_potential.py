"""Potentials by name, their losses against loops, and chains on several of them at once."""

import math

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.train.rng import normal
from assay_catalogue.analysis.chains import CHECKS, block_ends
from assay_catalogue.worlds.potentials.potential import (
    Monomial,
    Network,
    Quadratic,
    known,
    mean_loss,
    minimum,
    potential,
    sample,
    summed,
    weights,
)

N_BETA = 1000 / math.log(1000)


def test_names_say_what_a_potential_is():
    assert potential("network 5-3-4 rank 1") == Network(5, 3, 4, 1)
    assert potential("quadratic 1x2 0.5 0x2") == Quadratic((1.0, 1.0, 0.5, 0.0, 0.0))
    assert potential("quadratic .5 2.") == Quadratic((0.5, 2.0))
    assert potential("monomial 1 2") == Monomial((1, 2))
    assert [
        weights(potential(n)) for n in ("network 5-3-4 rank 1", "quadratic 1x10", "monomial 3")
    ] == [27, 10, 1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("network 3-1-3 rank 2", "rank 2 is above the smallest size, 1"),
        ("network 0-1-3 rank 0", "at least 1"),
        ("quadratic 0x3", "above 0"),
        ("quadratic .", "it is like"),
        ("quadratic 1.2.3", "it is like"),
        ("monomial 0 0", "above 0"),
        ("monomial 1 1 1", "one or two"),
        ("cubic 3", "no potential 'cubic 3'"),
    ],
)
def test_what_is_no_potential_is_one_line(name, says):
    with pytest.raises(SpecError, match=says) as error:
        potential(name)
    assert "\n" not in str(error.value)


def test_losses_against_loops():
    nets = [Network(3, 2, 4, 1), Network(3, 2, 4, 2)]
    p = {
        "A": torch.from_numpy(normal([0, 1], "A", 0, (2, 3))).double(),
        "B": torch.from_numpy(normal([0, 1], "B", 0, (4, 2))).double(),
    }
    for i, (net, found) in enumerate(zip(nets, mean_loss(nets)(p, None), strict=True)):
        known = 0.0
        for row in range(4):
            for col in range(3):
                product = sum(float(p["B"][i, row, k] * p["A"][i, k, col]) for k in range(2))
                known += (product - (row == col and row < net.rank)) ** 2 / 2
        assert float(found) == pytest.approx(known, rel=1e-12)
    w = {"w": torch.tensor([[0.3, -2.0], [-0.5, 1.5]], dtype=torch.float64)}
    assert mean_loss([Quadratic((1.0, 0.5)), Quadratic((0.0, 2.0))])(
        w, None
    ).tolist() == pytest.approx([0.045 + 1.0, 2.25])
    assert mean_loss([Monomial((1, 2)), Monomial((3, 0))])(w, None).tolist() == pytest.approx(
        [0.09 * 16, 0.5**6]
    )
    with pytest.raises(SpecError, match="one shape"):
        mean_loss([Network(3, 2, 4, 1), Network(3, 3, 4, 1)])


@pytest.mark.parametrize(
    "name",
    ["network 5-3-4 rank 2", "network 2-2-2 rank 0", "quadratic 1 3", "monomial 1", "monomial 1 1"],
)
def test_the_minimum_is_one_and_its_largest_curvature_is_known(name):
    p = potential(name)
    start = minimum([p])
    flat = torch.cat([start[n].flatten() for n in start])
    parts = [math.prod(s) for s in p.shapes.values()]

    def at(x):
        split = dict(zip(p.shapes, x.split(parts), strict=True))
        return mean_loss([p])({n: v.view(1, *p.shapes[n]) for n, v in split.items()}, None)[0]

    assert at(flat) == 0
    hessian = torch.autograd.functional.hessian(at, flat)
    assert float(torch.linalg.eigvalsh(hessian)[-1]) == pytest.approx(p.stiffest, abs=1e-12)


def test_a_free_weight_beside_a_curved_one_changes_no_curvature():
    assert (potential("monomial 0 1").stiffest, potential("monomial 0 2").stiffest) == (2.0, 0.0)


def test_a_gradient_at_zero_is_no_nan():
    w = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    [g] = torch.autograd.grad(
        mean_loss([Monomial((1, 1)), Monomial((0, 3))])({"w": w}, None).sum(), w
    )
    assert torch.equal(g, torch.zeros(2, 2, dtype=torch.float64))


def chains(names, seeds, bench, steps=200, **more):
    n = len(names)
    knobs = {
        "lr": np.full(n, 3e-4),
        "n_beta": np.full(n, N_BETA),
        "localisation": np.ones(n),
        "off": np.zeros(n),
    } | more
    return sample(
        [potential(name) for name in names], seeds, **knobs, steps=steps, blocks=20, bench=bench
    )


NAMES = [
    "network 3-1-3 rank 1",
    "monomial 2",
    "network 5-3-4 rank 0",
    "quadratic 1x10",
    "network 5-3-4 rank 1",
    "monomial 3",
]


def test_shapes_are_batched_and_come_back_in_order(bench):
    seeds = np.arange(12).reshape(6, 2)
    whole = chains(NAMES, seeds, bench)
    assert whole.losses.shape == (6, 2, 20) and not whole.diverged.any()
    for i in (0, 3, 4):
        alone = chains(NAMES[i : i + 1], seeds[i : i + 1], bench)
        torch.testing.assert_close(whole.losses[i : i + 1], alone.losses, rtol=1e-9, atol=1e-15)
        torch.testing.assert_close(
            whole.acceptance[i : i + 1], alone.acceptance, rtol=1e-9, atol=1e-15
        )


def test_a_start_off_the_minimum_is_what_the_chain_takes_for_it(bench):
    off = np.array([0.3, 0.0])
    found = chains(["quadratic 1x10", "quadratic 1x10"], np.arange(4).reshape(2, 2), bench, off=off)
    assert found.at_centre[0].tolist() == pytest.approx([0.5 * 10 * 0.09] * 2) and found.at_centre[
        1
    ].tolist() == [0.0, 0.0]


def test_an_unstable_run_breaks_and_its_neighbours_do_not_notice(bench):
    seeds, lr = np.arange(6).reshape(3, 2), np.array([3e-4, 4.4 / (N_BETA + 1), 3e-4])
    names = ["quadratic 1x10"] * 3
    found = chains(names, seeds, bench, steps=2600, lr=lr)
    fine = chains(names, seeds, bench, steps=2600)
    assert found.diverged.tolist() == [False, True, False]
    assert torch.equal(found.losses[[0, 2]], fine.losses[[0, 2]])


@pytest.mark.thorough
def test_a_step_too_coarse_for_a_monomial_fails_one_check_only():
    """On w₁² w₂² the loss comes from far out on an axis, where it is steep: a mean acceptance of
    .98 hides that steps overshoot there."""
    steps, fine, coarse = 6_000, 6e-4, 2.4e-3
    right = known("monomial 1 1", N_BETA, 1.0).stationary
    one = np.ones(2)
    knobs = {
        "lr": np.array([fine, coarse]),
        "n_beta": N_BETA * one,
        "localisation": one,
        "off": 0 * one,
    }
    seeds = np.arange(2 * 128).reshape(2, 128)
    found = sample(
        [potential("monomial 1 1")] * 2, seeds, **knobs, steps=steps, blocks=20, bench=Unkept()
    )
    kept = (
        x.double().numpy() for x in (found.losses, found.acceptance, found.refused, found.at_centre)
    )
    told = summed(*kept, N_BETA * one, np.array(block_ends(steps, 20)), 2_400)
    off = np.abs(told.estimate - right)
    assert (
        off[0] < 3 * told.error[0] and off[1] > 4 * told.error[1]
    )  # right at a quarter of the step, wrong by many errors
    assert told.acceptance[1] > 0.95 and told.overshoot[0] < 0.03 < 0.05 < told.overshoot[1]
    assert told.failed[1].tolist() == [check == "overshoot" for check in CHECKS]
