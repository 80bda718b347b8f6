"""Steps that are timed: about as many features are on as TopK keeps, for every architecture, and a
step trains."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks import timed_steps as steps

from assay.dictionaries.training.terms import project

SMALL = steps.Size(96, 128, 6, d=64)


@pytest.mark.parametrize("name", list(steps.architectures(SMALL)))
def test_about_k_features_are_on(name, monkeypatch):
    seen = {}
    make = steps.group

    def caught(runs, method, **how):
        seen["group"], seen["method"] = make(runs, method, **how), method
        return seen["group"]

    monkeypatch.setattr(steps, "group", caught)
    take = steps.step(SMALL, name, runs=2)
    state, nonlinearity = dict(seen["group"].state), seen["method"].nonlinearity
    x = SMALL.rows()
    params = {n: t for n, t in state.items() if "." not in n} | {"W_enc": state["W_enc"].mT}
    on = (
        (nonlinearity(project(params, x, nonlinearity), params["b_enc"], params) != 0)
        .float()
        .sum(-1)
        .mean()
    )
    assert SMALL.k * 0.6 < on < SMALL.k * 1.6
    before = state["W_dec"].clone()
    for _ in range(3):
        take(x)
    after = seen["group"].state["W_dec"]
    assert after.isfinite().all() and not torch.equal(before, after)
    assert torch.allclose(after.norm(dim=-1), torch.ones(2, SMALL.width), atol=1e-4)


def test_auxk_has_dead_latents_to_bring_back(monkeypatch):
    seen = []
    make = steps.group
    monkeypatch.setattr(
        steps,
        "group",
        lambda runs, method, **how: seen.append(make(runs, method, **how)) or seen[0],
    )
    take = steps.step(SMALL, "TopK + AuxK")
    dead = seen[0].state["idle.rows"] >= steps.DEAD
    assert int(dead.sum()) == -(-SMALL.width // steps.DEAD_SHARE)
    take(SMALL.rows())
    still = seen[0].state["idle.rows"] >= steps.DEAD
    assert still.sum() >= 0.5 * dead.sum() and not (still & ~dead).any()


def test_both_sizes_are_those_of_the_tables_and_batches_are_the_same_each_time():
    assert [(size.d, size.width, size.batch) for size in steps.SIZES] == [
        (576, 4608, 2048),
        (576, 512, 256),
    ]
    assert torch.equal(SMALL.rows(), SMALL.rows())
