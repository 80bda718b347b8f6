"""Starts of Mamba models: drawn by name, the same in any group, and as its authors draw them."""

from dataclasses import replace

import numpy as np
import torch

from assay_catalogue.subjects.mamba import Shape, forward
from assay_catalogue.worlds.networks.mamba import start

SHAPE = Shape(layers=2, d=32, channels=64, state=8, rank=4, vocab=20)


def test_a_run_alone_is_the_run_in_a_group():
    together, alone = start(np.array([5, 1003, 7]), SHAPE), start(np.array([1003]), SHAPE)
    assert {name: tuple(value.shape[1:]) for name, value in together.items()} == SHAPE.parameters()
    assert all(torch.equal(together[name][1:2], alone[name]) for name in together)
    assert not torch.equal(together["W_in"][0], together["W_in"][2]) and not torch.equal(
        together["W_in"][0, 0], together["W_in"][0, 1]
    )


def test_models_without_a_part_start_as_those_with_it():
    whole, seeds = start(np.arange(2), SHAPE), np.arange(2)
    for parts in ({"conv": 0}, {"selective": False}, {"tied": False}):
        other = start(seeds, replace(SHAPE, **parts))
        assert all(torch.equal(other[name], whole[name]) for name in other.keys() & whole.keys())


def test_it_is_what_the_authors_draw():
    params = start(np.arange(20), SHAPE)
    step = torch.nn.functional.softplus(params["b_delta"])
    assert float(step.min()) >= 1e-3 * 0.999 and float(step.max()) <= 0.1 * 1.001
    assert (
        abs(float(step.log().mean()) - np.log(1e-2)) < 0.1
    )  # log-uniform: its middle is the geometric mean
    torch.testing.assert_close(-params["A_log"].exp()[3, 1, 5], -torch.arange(1.0, 9.0))
    for name, inputs in (("W_in", 32), ("W_conv", 4), ("W_delta_2", 4), ("W_B", 64), ("W_out", 64)):
        assert (
            abs(float(params[name].std()) - (3 * inputs) ** -0.5) < 0.02 * inputs**-0.5
            and float(params[name].abs().max()) <= inputs**-0.5
        )
    logits, _ = forward(params, torch.arange(20)[None])
    assert float(logits.std()) < 0.2  # next to nothing is predicted yet
