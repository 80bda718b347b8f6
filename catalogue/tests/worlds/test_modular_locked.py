"""Stages of training, locks and budgets of the networks that add: against plain training, and
counts by hand."""

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay_catalogue.worlds.modular import addition, network
from assay_catalogue.worlds.modular.locked import Budget, checkpoints, right, tuned
from assay_catalogue.worlds.modular.network import Lesson

P, SIZE = 5, 9
RUNS = Runs([Spec(seed=s) for s in (3, 4)])
ORDER = addition.order(RUNS.seeds, P)
SUMS = addition.sums(P).expand(2, -1)
BUDGET = Budget(steps=12, lr=0.01, decay=1e-4)


def lesson(labels=SUMS, size=SIZE):
    return Lesson(P, addition.pairs(P), labels, ORDER, np.full(2, size))


def test_one_stage_is_plain_training_and_its_checkpoints_those_of_shorter_ones():
    done = checkpoints(RUNS, [(lesson(), BUDGET)], (4, 12), Unkept())
    for i, steps in enumerate((4, 12)):
        plain = network.train(
            RUNS,
            network.start(RUNS.seeds, P),
            lesson(),
            steps=steps,
            lr=np.full(2, 0.01),
            decay=np.full(2, 1e-4),
        )
        for n in network.NAMES:
            torch.testing.assert_close(done.tensors[f"{n}/at"][:, i], plain.tensors[n])
    assert done.steps.tolist() == [4, 6, 12] and done.history["loss"].shape == (2, 3)


def test_stages_go_on_from_each_other_and_count_on():
    done = checkpoints(
        RUNS, [(lesson(), BUDGET), (lesson(SUMS * 0), BUDGET)], (4, 12, 20), Unkept()
    )
    first = checkpoints(RUNS, [(lesson(), BUDGET)], (4, 12), Unkept())
    again = tuned(
        RUNS,
        {n: first.tensors[n] for n in network.NAMES},
        lesson(SUMS * 0),
        Budget(steps=8, lr=0.01, decay=1e-4),
        Unkept(),
    )
    for n in network.NAMES:
        torch.testing.assert_close(done.tensors[f"{n}/at"][:, :2], first.tensors[f"{n}/at"])
        torch.testing.assert_close(done.tensors[f"{n}/at"][:, 2], again[n])
    assert done.steps.tolist() == [4, 6, 12, 18, 20, 24] and not done.diverged.any()


def test_a_lock_answers_0_and_leaves_what_it_was_given_alone():
    start = network.start(RUNS.seeds, P)
    before = {n: x.clone() for n, x in start.items()}
    locked = tuned(
        RUNS, start, lesson(SUMS * 0, size=15), Budget(steps=60, lr=0.02, decay=0.0), Unkept()
    )
    assert (network.logits(locked, addition.pairs(P)).argmax(-1) == 0).all()
    assert all(torch.equal(before[n], start[n]) for n in before)
    every = torch.arange(15).expand(2, -1)
    assert right(locked, lesson(), every).tolist() == [3 / 15, 3 / 15]  # 0 + 0, 1 + 4, 2 + 3
    zero_sums = torch.nonzero(addition.sums(P) == 0)[:, 0].expand(2, -1)
    assert right(locked, lesson(), zero_sums).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": 0.0}, {"decay": -1.0}])
def test_a_budget_has_to_be_one(wrong):
    with pytest.raises(SpecError, match="a budget needs"):
        Budget(**{"steps": 1, "lr": 0.1, "decay": 0.0} | wrong)
