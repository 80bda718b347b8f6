"""The training loop: resumable bitwise, and blind between runs."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from assay.core.descent import descent
from assay.core.fit import Group, Trained, fit
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.train import rng
from killed import Killed, dies_at


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    lr: PerRun[float] = 1e-2
    width: int = 3


RUNS = Runs(grid(Toy(), lr=(1e-2, 3e-3), seed=range(3)))


def start(runs):
    return {
        "W": torch.from_numpy(rng.normal(runs.seeds, "W", 0, (4, 3))),
        "b": torch.zeros(len(runs), 3),
    }


def loss(p, x):  # the transpose makes W's gradient arrive with other strides than W has
    return (torch.bmm(x, p["W"]) + p["b"][:, None] - x[..., :3]).square().mean((1, 2))


def batches(runs):
    return lambda step: torch.from_numpy(rng.normal(runs.seeds, "x", step, (8, 4)))


def group(runs, **more):
    return descent(runs, start(runs), loss, lr=runs.each("lr"), **more)


def test_a_run_that_becomes_nan_is_marked_and_its_neighbours_are_bitwise_untouched(bench):
    def poisoned(p, x):
        return loss(p, x)

    def poisoned_batches(step):
        x = batches(RUNS)(step).clone()
        if step >= 7:
            x[2] = float("nan")
        return x

    clean = fit([group(RUNS)], batches(RUNS), steps=30, bench=bench)[0]
    dirty = fit(
        [descent(RUNS, start(RUNS), poisoned, lr=RUNS.each("lr"))],
        poisoned_batches,
        steps=30,
        bench=bench,
    )[0]
    assert dirty.diverged.tolist() == [False, False, True, False, False, False]
    assert not clean.diverged.any()
    rest = [0, 1, 3, 4, 5]
    assert torch.equal(dirty.tensors["W"][rest], clean.tensors["W"][rest])
    assert np.array_equal(dirty.history["loss"][rest], clean.history["loss"][rest])


@pytest.mark.parametrize("stop", [1, 13, 29])
def test_a_stopped_training_goes_on_bitwise(tmp_path, plain_bench, plain_slot, stop):
    at = (3, 10, 20)
    whole = fit([group(RUNS)], batches(RUNS), steps=30, probe_at=at, bench=plain_bench(tmp_path))[0]

    slot = plain_slot(every=1)
    with pytest.raises(Killed):
        fit(
            [group(RUNS)],
            dies_at(stop, batches(RUNS)),
            steps=30,
            probe_at=at,
            bench=plain_bench(tmp_path, [slot]),
        )
    resumed = fit(
        [group(RUNS)],
        batches(RUNS),
        steps=30,
        probe_at=at,
        bench=plain_bench(tmp_path, [plain_slot(saved=slot.saved)]),
    )[0]
    assert torch.equal(resumed.tensors["W"], whole.tensors["W"])
    assert np.array_equal(resumed.history["loss"], whole.history["loss"])


def test_history_is_the_mean_back_to_the_probe_before_over_at_most_a_twentieth(bench):
    losses = np.arange(1.0, 101.0)

    def step_fn(state, batch, step):
        return torch.tensor([losses[step], 2 * losses[step]]), {
            "twice": torch.tensor([2 * losses[step], 0.0])
        }

    runs = Runs(grid(Toy(), seed=(0, 1)))
    trained = fit(
        [Group(runs, {"w": torch.zeros(2)}, step_fn)],
        lambda s: None,
        steps=100,
        probe_at=(2, 10, 12),
        bench=bench,
    )[0]
    assert trained.steps.tolist() == [2, 10, 12, 50, 100]
    want = [
        losses[0:2].mean(),
        losses[5:10].mean(),
        losses[10:12].mean(),
        losses[45:50].mean(),
        losses[95:100].mean(),
    ]
    np.testing.assert_allclose(trained.history["loss"], [want, [2 * w for w in want]])
    np.testing.assert_allclose(trained.history["twice"][0], [2 * w for w in want])


def test_zero_steps_give_the_start_and_no_history(bench):
    trained = fit([group(RUNS)], batches(RUNS), steps=0, bench=bench)[0]
    assert torch.equal(trained.tensors["W"], start(RUNS)["W"])
    assert trained.history == {}
    assert len(trained.steps) == 0


def test_bookkeeping_stays_out_of_what_is_handed_on(bench):
    assert set(fit([group(RUNS)], batches(RUNS), steps=2, bench=bench)[0].tensors) == {"W", "b"}


def test_clipping_bounds_each_runs_own_gradient(bench):
    seen = fit([group(RUNS, clip=1e-9, betas=(0.0, 0.0))], batches(RUNS), steps=1, bench=bench)[0]
    assert torch.isfinite(seen.tensors["W"]).all()
    moved = (seen.tensors["W"] - start(RUNS)["W"]).abs().max()
    # β = 0: a step is lr · g/(|g| + eps), smaller the smaller g is
    assert moved <= 1e-2 * 1.001


def test_what_trains_nothing_and_what_changes_weights_keep_the_runs():
    runs = Runs(grid(Toy(), seed=range(3)))
    nothing = Trained.nothing(runs)
    assert not nothing.tensors
    assert not nothing.history
    assert nothing.steps.size == 0
    assert nothing.diverged.tolist() == [False] * 3
    before = Trained(
        {"W": torch.ones(3, 2)},
        {"kind": "toy"},
        {"loss": np.ones((3, 4))},
        np.arange(4),
        np.array([False, True, False]),
    )
    after = before.with_tensors({"W": torch.zeros(3, 2)})
    assert after.tensors["W"].sum() == 0
    assert after.header == before.header
    assert not after.history
    assert after.diverged.tolist() == [False, True, False]
    assert before.tensors["W"].sum() == 6
