"""The training loop: equal to plain Adam, resumable bitwise, and blind between runs."""

import pytest
import torch

from acceptance.test_fit import RUNS, batches, group, start
from assay.core.fit import cosine, fit, probes, warm_up_decay, watched
from assay.core.runs import Runs


def by_adam(W, b, lr):
    return torch.optim.Adam([W, b], lr=lr)


def by_adamw(W, b, lr):
    parts = [{"params": [W], "weight_decay": 0.7}, {"params": [b], "weight_decay": 0.0}]
    return torch.optim.AdamW(parts, lr=lr)


def by_sgd(W, b, lr):
    return torch.optim.SGD([W, b], lr=lr)


@pytest.mark.parametrize(
    ("theirs", "more", "near"),
    [
        (by_adam, {}, {"rtol": 1e-4, "atol": 1e-5}),
        (by_adamw, {"decay": {"W": 0.7}}, {"rtol": 1e-4, "atol": 1e-5}),
        (by_sgd, {"plain": True}, {"rtol": 1e-5, "atol": 1e-6}),
    ],
)
def test_it_is_torchs_own_descent_of_each_run(theirs, more, near, bench):
    schedule = warm_up_decay(40, 5, 0.5)
    trained = fit([group(RUNS, schedule=schedule, **more)], batches(RUNS), steps=40, bench=bench)[0]
    for i, spec in enumerate(RUNS):
        one = Runs([spec])
        W, b = (start(one)[k][0].clone().requires_grad_() for k in "Wb")
        optimizer = theirs(W, b, spec.lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        for step in range(40):
            x = batches(one)(step)[0]
            optimizer.zero_grad()
            (x @ W + b - x[:, :3]).square().mean().backward()
            optimizer.step()
            scheduler.step()
        torch.testing.assert_close(trained.tensors["W"][i], W.detach(), **near)
        torch.testing.assert_close(trained.tensors["b"][i], b.detach(), **near)


def test_schedules():
    factor = warm_up_decay(100, 10, 0.2, floor=0.05)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == factor(50) == factor(79) == 1
    assert factor(90) == pytest.approx(0.05 + 0.95 * 0.5)
    assert factor(99) == pytest.approx(0.05 + 0.95 * 0.05)
    round_off = cosine(100, 10, 0.1)
    assert round_off(0) == pytest.approx(0.1)
    assert round_off(50) == pytest.approx(0.55)
    assert round_off(100) == pytest.approx(0.1)
    assert probes(100, 4) == (25, 50, 75, 100)
    assert probes(1000, 4, log=True) == (1, 10, 100, 1000)


def test_a_watched_group_keeps_its_parameters_at_moments_and_trains_as_before(bench):
    plain = fit([group(RUNS)], batches(RUNS), steps=12, bench=bench)[0]
    seen = fit([watched(group(RUNS), ("W",), (0, 5, 12))], batches(RUNS), steps=12, bench=bench)[0]
    five = fit([group(RUNS)], batches(RUNS), steps=5, bench=bench)[0]
    for i, wanted in enumerate((start(RUNS), five.tensors, plain.tensors)):
        assert torch.equal(seen.tensors["W/at"][:, i], wanted["W"])
    assert torch.equal(seen.tensors["b"], plain.tensors["b"])
    assert "b/at" not in seen.tensors
    assert watched(group(RUNS), ("W",), ()).state.keys() == group(RUNS).state.keys()
