"""Adam over stretches of runs, against torch's own optimisers one run at a time."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from assay.core.descent import Adam, adam_state

LR = np.array([1e-2, 1e-2, 3e-3, 1e-2])


@pytest.mark.parametrize(
    "decay",
    [None, {"W": 0.01}, {"W": np.array([0.1, 0.0, 0.0, 0.2])}],
    ids=["adam", "adamw", "a decay for each run"],
)
@pytest.mark.parametrize("betas", [(0.0, 0.999), (0.9, 0.99)], ids=str)
def test_each_run_takes_the_steps_of_an_optimiser_of_its_own(decay, betas):
    g = torch.Generator().manual_seed(0)
    start = {"W": torch.randn(4, 30, 20, generator=g), "b": torch.randn(4, 7, generator=g)}
    state = {**{name: value.clone() for name, value in start.items()}, **adam_state(start)}
    stepper = Adam(state, ("W", "b"), LR, betas, decay=decay)
    grads = [
        {name: torch.randn(value.shape, generator=g) for name, value in start.items()}
        for _ in range(5)
    ]
    for step, grad in enumerate(grads):
        stepper.step(grad, step, factor=0.9)
    for r, lr in enumerate(LR):
        mine = {name: value[r].clone() for name, value in start.items()}
        groups = [
            {
                "params": [value],
                "weight_decay": float(np.broadcast_to((decay or {}).get(name, 0.0), 4)[r]),
            }
            for name, value in mine.items()
        ]
        theirs = (torch.optim.AdamW if decay else torch.optim.Adam)(
            groups, lr=0.9 * lr, betas=betas, fused=True
        )
        for grad in grads:
            for name, value in mine.items():
                value.grad = grad[name][r].clone()
            theirs.step()
        for name, value in mine.items():
            assert torch.equal(value, state[name][r])


def test_gradients_in_any_layout_give_the_same_step():
    W, grad = torch.randn(1, 6, 5), torch.randn(1, 6, 5)
    states = [{"W": W.clone(), **adam_state({"W": W})} for _ in range(2)]
    for state, given in zip(states, (grad, grad.mT.contiguous().mT), strict=True):
        Adam(state, ("W",), np.array([0.1])).step({"W": given}, 0)
    assert torch.equal(states[0]["W"], states[1]["W"])


@pytest.mark.thorough
def test_a_step_does_not_bring_the_compiler():
    code = (
        "import sys, numpy as np, torch; from assay.core.descent import Adam, adam_state; W = "
        "torch.ones(1, 3); "
        "Adam({'W': W, **adam_state({'W': W})}, ('W',), np.ones(1)).step({'W': W}, 0); assert "
        "'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
