"""Langevin chains: the rule itself, what they must sample where that is known in closed form, and
blindness between chains."""

import itertools
import math

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.core.fit import fit
from assay.train import rng
from assay_catalogue.analysis.chains import block_ends, estimate, mean_over
from assay_catalogue.analysis.langevin import langevin
from assay_catalogue.analysis.sampler import check_sampler, n_beta_of

N_BETA = 1000 / math.log(1000)


def nothing(step):
    return None


def quadratic(h):
    h = torch.tensor(h, dtype=torch.float64)
    return lambda p, batch: 0.5 * (h * p["w"].square()).sum(-1)


def chains(seeds, size=3, dtype=torch.float64):
    return {"w": torch.zeros(len(seeds), size, dtype=dtype)}


def test_a_step_is_the_rule_written_out(bench):
    seeds, h = np.array([3, 4]), np.array([1.0, 0.5, 2.0])
    start = {"w": torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.5, -0.1]], dtype=torch.float64)}
    eps, beta, gamma = np.array([1e-3, 2e-3]), np.array([100.0, 50.0]), np.array([1.0, 7.0])
    centre = {"w": torch.zeros(2, 3, dtype=torch.float64)}
    group = langevin(
        quadratic(h.tolist()), start, seeds, lr=eps, n_beta=beta, localisation=gamma, centre=centre
    )
    found = fit([group], nothing, steps=5, bench=bench)[0]
    for i, seed in enumerate(seeds):
        w = start["w"][i].numpy().copy()
        xi = rng.normal([seed], "langevin", 0, (4096 // 3, 3))[0].astype(float)
        losses = []
        for step in range(5):
            losses.append(0.5 * (h * w * w).sum())
            w = w - eps[i] / 2 * (beta[i] * h * w + gamma[i] * w) + math.sqrt(eps[i]) * xi[step]
        np.testing.assert_allclose(found.tensors["w"][i], w, rtol=1e-12)
        np.testing.assert_allclose(found.history["loss"][i, -1], losses[-1], rtol=1e-12)


@pytest.mark.parametrize(
    ("h", "gamma", "eps", "known"),
    [
        ((1,) * 10, 1, 1e-3, 5.15350),
        ((1,) * 10, 100, 1e-3, 3.14997),
        ((1,) * 10, 1, 5e-3, 6.07207),
        ((1,) * 6 + (0.5,) * 2 + (0,) * 2, 1, 1e-3, 4.09691),
    ],
)
def test_a_quadratic_gives_what_its_closed_form_says(h, gamma, eps, known, bench):
    """Chains of a linear recursion: their stationary mean is known with both biases. Four standard
    errors and 1 %."""
    seeds = np.arange(96)
    group = langevin(
        quadratic(h), chains(seeds, 10), seeds, lr=eps, n_beta=N_BETA, localisation=gamma
    )
    at = block_ends(3000, 20)
    done = fit([group], nothing, steps=3000, probe_at=at, bench=bench)[0]
    found = estimate(mean_over(done.steps, done.history["loss"], 600), 0.0, N_BETA)
    assert abs(found.mean() - known) < 4 * found.std(ddof=1) / math.sqrt(96) + 0.01 * known


def test_the_history_is_the_mean_of_every_step_of_a_block(bench):
    seeds, every = np.array([1, 2]), []
    plain = quadratic((1, 1, 1))

    def noted(p, batch):
        every.append(plain(p, batch).detach().clone())
        return plain(p, batch)

    group = langevin(noted, chains(seeds), seeds, lr=1e-3, n_beta=N_BETA, localisation=1)
    done = fit([group], nothing, steps=100, probe_at=block_ends(100, 20), bench=bench)[0]
    np.testing.assert_allclose(
        done.history["loss"], torch.stack(every, 1).reshape(2, 20, 5).mean(-1), rtol=1e-12
    )


def test_noise_is_the_chains_own_bit_for_bit_and_moves_the_variance_it_should(bench):
    seeds = np.array([5, 9, 700])
    flat = lambda p, batch: 0.0 * p["w"].sum(-1)  # noqa: E731
    together = fit(
        [langevin(flat, chains(seeds), seeds, lr=0.01, n_beta=1, localisation=0)],
        nothing,
        steps=2000,
        bench=bench,
    )[0]
    alone = fit(
        [langevin(flat, chains([9]), [9], lr=0.01, n_beta=1, localisation=0)],
        nothing,
        steps=2000,
        bench=bench,
    )[0]
    assert torch.equal(together.tensors["w"][1], alone.tensors["w"][0])
    streamed = langevin(flat, chains([9]), [9], lr=0.01, n_beta=1, localisation=0, stream="x")
    assert not torch.equal(
        fit([streamed], nothing, steps=2000, bench=bench)[0].tensors["w"], alone.tensors["w"]
    )
    many = np.arange(500)
    spread = fit(
        [langevin(flat, chains(many), many, lr=0.01, n_beta=1, localisation=0)],
        nothing,
        steps=100,
        bench=bench,
    )[0]
    assert spread.tensors["w"].var() == pytest.approx(
        100 * 0.01, rel=4 * math.sqrt(2 / 1500)
    )  # ε a step, not 2ε


def test_together_as_alone_and_blind_to_a_neighbour_that_breaks(bench):
    seeds, eps = np.arange(6), np.full(6, 1e-3)
    loss = lambda p, batch: (p["w"].square().sum(-1) + (p["A"] @ p["B"]).square().sum((1, 2))) / 2  # noqa: E731
    start = {"w": torch.zeros(6, 3), "A": torch.ones(6, 3, 2), "B": torch.ones(6, 2, 3) * 0.1}
    make = lambda rows, lr: langevin(  # noqa: E731
        loss, {k: v[rows] for k, v in start.items()}, seeds[rows], lr=lr, n_beta=100, localisation=1
    )
    whole = fit([make(range(6), eps)], nothing, steps=50, bench=bench)[0]
    one = fit([make([4], eps[:1])], nothing, steps=50, bench=bench)[0]
    for name in ("w", "A", "B"):
        torch.testing.assert_close(
            whole.tensors[name][4:5], one.tensors[name], rtol=1e-5, atol=1e-6
        )
    broken = eps.copy()
    broken[2] = 10.0  # overflows at once
    hurt = fit([make(range(6), broken)], nothing, steps=300, bench=bench)[0]
    fine = fit([make(range(6), eps)], nothing, steps=300, bench=bench)[0]
    assert hurt.diverged.tolist() == [False, False, True, False, False, False]
    keep = [0, 1, 3, 4, 5]
    assert torch.equal(hurt.tensors["A"][keep], fine.tensors["A"][keep])


@pytest.mark.parametrize("kill", [7, 1500])  # within a block of noise and after the first
def test_it_resumes_bitwise(kill, bench, plain_bench, plain_slot, tmp_path):
    seeds, at = np.arange(4), block_ends(2000, 20)
    make = lambda: langevin(  # noqa: E731
        quadratic((1, 2, 0)),
        chains(seeds),
        seeds,
        lr=1e-3,
        n_beta=N_BETA,
        localisation=1,
        acceptance=True,
    )
    whole = fit([make()], nothing, steps=2000, probe_at=at, bench=bench)[0]
    slot = plain_slot(every=kill)

    class Killed(Exception):
        pass

    def until(step):
        if step == kill:
            raise Killed

    with pytest.raises(Killed):
        fit([make()], until, steps=2000, probe_at=at, bench=plain_bench(tmp_path, [slot]))
    assert slot.saved[0] == kill
    resumed = fit(
        [make()],
        nothing,
        steps=2000,
        probe_at=at,
        bench=plain_bench(tmp_path, [plain_slot(saved=slot.saved)]),
    )[0]
    assert torch.equal(resumed.tensors["w"], whole.tensors["w"])
    for name in ("loss", "acceptance"):
        assert np.array_equal(resumed.history[name], whole.history[name])


def test_the_acceptance_is_the_ratio_of_metropolis(bench):
    """Naive: log densities of the target and of the proposal, both ways, at the points the chain
    visits."""
    eps, beta, gamma, h = 0.05, 20.0, 3.0, np.array([1.0, 2.0])
    visited = []
    plain = quadratic(h.tolist())

    def noted(p, batch):
        visited.append(p["w"].detach().numpy()[0].copy())
        return plain(p, batch)

    group = langevin(
        noted, chains([3], 2), [3], lr=eps, n_beta=beta, localisation=gamma, acceptance=True
    )
    done = fit([group], nothing, steps=40, probe_at=range(1, 41), bench=bench)[0]

    def density(w):
        return -beta * 0.5 * (h * w * w).sum() - gamma / 2 * (w * w).sum()

    def proposal(to, here):
        mean = here - eps / 2 * (beta * h * here + gamma * here)
        return -((to - mean) ** 2).sum() / (2 * eps)

    known = [1.0]
    for a, b in itertools.pairwise(visited):
        known.append(min(1.0, math.exp(density(b) - density(a) + proposal(a, b) - proposal(b, a))))
    assert min(known) < 0.9
    each = done.history["acceptance"][0]  # with a probe at every step, the history is the series
    np.testing.assert_allclose(each, known, rtol=1e-9)


def test_a_batch_is_paired_with_the_loss_at_the_centre(bench):
    """A line through noisy data: the same batch at the centre takes the noise of the batches out of
    the estimate."""
    x = torch.from_numpy(rng.normal([0], "x", 0, (1000,))[0]).double()
    y = torch.from_numpy(rng.normal([0], "y", 0, (1000,))[0]).double()
    best = (x @ y) / (x @ x)
    seeds = np.arange(40)
    start = {"w": best.expand(40, 1).clone()}

    def batches(step):
        rows = rng.integers(seeds, "rows", step, (100,), 1000)
        return x[rows], y[rows]

    loss = lambda p, batch: (batch[1] - p["w"] * batch[0]).square().mean(-1) / 2  # noqa: E731
    group = langevin(loss, start, seeds, lr=2e-4, n_beta=N_BETA, localisation=1, paired=True)
    at = block_ends(800, 20)
    done = fit([group], batches, steps=800, probe_at=at, bench=bench)[0]
    paired = N_BETA * (done.history["loss"] - done.history["centre"])[:, 5:].mean(1)
    fixed = N_BETA * (
        done.history["loss"][:, 5:].mean(1) - float((y - best * x).square().mean() / 2)
    )
    assert paired.std() < fixed.std()
    curvature = float(x.square().mean())
    exact = 0.5 * N_BETA * curvature / (N_BETA * curvature + 1)
    # batches of 100 add noise to the gradient: its variance times (lr n_beta/2)² beside lr of the
    # noise, less than 2 % here
    assert paired.mean() == pytest.approx(exact, abs=4 * paired.std(ddof=1) / math.sqrt(40) + 0.03)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"lr": 0.0}, "step lr"),
        ({"lr": -1e-3}, "step lr"),
        ({"n_beta": 0.0}, "n_beta"),
        ({"localisation": -1.0}, "localisation"),
        ({"lr": np.array([1e-3, np.nan])}, "step lr"),
    ],
)
def test_numbers_out_of_range_are_one_line(numbers, says):
    good = {"lr": 1e-3, "n_beta": 100.0, "localisation": 1.0}
    with pytest.raises(SpecError, match=says) as error:
        langevin(quadratic((1, 1, 1)), chains([0, 1]), [0, 1], **{**good, **numbers})
    assert "\n" not in str(error.value)


def test_an_unstable_step_is_told_with_one_that_would_be_stable():
    check_sampler(3.99 / 101, 100, 1, curvature=1.0)
    with pytest.raises(SpecError, match=r"is 4, and has to be below 4: take lr below 0\.0396"):
        check_sampler(4 / 101, 100, 1, curvature=1.0)


def test_n_beta_of_a_thousand_points():
    assert n_beta_of(1000) == pytest.approx(144.7648, abs=1e-4)
    with pytest.raises(SpecError):
        n_beta_of(1)
