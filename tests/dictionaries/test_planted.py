"""Planted truth: where the answer is known, training, measures and repairs must give it. Minutes,
so marked slow."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from assay.core import rng
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries.baselines.repair import rescale_and_shift
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.measuring.metrics import fvu, l0, shrinkage
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, fit_dictionaries

pytestmark = pytest.mark.slow
D, STEPS = 32, 3000
SEEDS = np.array([0])


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.7
    """λ of the loss Σ‖x − x̂‖² + λ Σ f, not divided by the width."""


def random_directions(features):
    """Features in superposition: random unit directions, more than dimensions."""
    W = rng.normal(SEEDS, "world", 0, (features, D))[0]
    return torch.from_numpy(W / np.linalg.norm(W, axis=1, keepdims=True))


def source(directions, stream):
    """step → [b, d]: every feature on with probability .02, by an amount ~ Exp(1)."""

    def draw(step, batch=512):
        g = rng.generator(0, stream, step)
        shape = (batch, len(directions))
        return (
            torch.from_numpy(
                ((g.random(shape) < 0.02) * g.exponential(1, shape)).astype(np.float32)
            )
            @ directions
        )

    return draw


def train(nonlinearity, loss, width, directions, penalties, bench):
    runs = Runs(grid(Sweep(), penalty=penalties))
    every = np.full(len(runs), 3e-3)
    method = Method(
        nonlinearity,
        loss,
        width,
        every,
        runs.each("penalty") / D**0.5,
        penalty_warm_up=200 / STEPS,
        encoder_scale=1.0,
    )
    return Dictionary.of(
        fit_dictionaries(
            [(runs, method)], source(directions, "train"), d=D, steps=STEPS, bench=bench
        )[0]
    )


def test_superposition_gated_is_unbiased_relu_shrinks_and_the_gate_needs_its_loss(bench):
    directions = random_directions(128)
    x = source(directions, "test")(0, 20_000)
    gated = train(Gated(), losses.gated, 128, directions, (0.7, 0.9, 1.2), bench)
    relu = train(ReLU(), losses.l1, 192, directions, (0.6, 1.0, 1.4), bench)
    shut = train(Gated(), losses.gated_no_aux, 128, directions, (1.2,), bench)
    gammas = shrinkage(x, gated.reconstruct(x))
    assert ((gammas > 0.98) & (gammas < 1.02)).all(), gammas
    shrunken = shrinkage(x, relu.reconstruct(x))
    assert (shrunken < 0.93).all() and (shrunken.diff() < 0).all(), shrunken
    # at equal L0 the gate is far ahead: interpolate ReLU's FVU at Gated's L0
    codes, error = l0(relu.encode(x)).log().flip(0), fvu(x, relu.reconstruct(x)).flip(0)
    own = l0(gated.encode(x)).log()
    inside = (own > codes[0]) & (own < codes[-1])
    lead = np.interp(own, codes, error) - fvu(x, gated.reconstruct(x)).numpy()
    assert inside.any() and (lead[inside.numpy()] > 0.03).all(), lead
    assert (
        l0(shut.encode(x)).item() < 0.5 and fvu(x, shut.reconstruct(x)).item() > 0.6
    )  # it is still closing


def test_orthonormal_features_leave_nothing_for_the_gate_that_a_repair_does_not_give(bench):
    """No superposition, so shrinkage is the only bias of an L1 code: rescale & shift closes the
    whole gap to Gated."""
    directions = torch.from_numpy(
        np.linalg.qr(rng.normal(SEEDS, "orthonormal", 0, (D, D))[0].astype(np.float64))[0]
    ).float()
    x = source(directions, "test")(0, 20_000)
    fitted = source(directions, "repair")(0, 20_000)
    gated = train(Gated(), losses.gated, D, directions, (0.3, 0.5), bench)
    relu = train(ReLU(), losses.l1, D, directions, (0.3,), bench)
    mended = rescale_and_shift(relu, fitted)
    best = (
        fvu(x, gated.reconstruct(x)).max().item()
    )  # whatever its L0: more than the repair's and less
    worst, repaired = (fvu(x, d.reconstruct(x)).item() for d in (relu, mended))
    assert (
        l0(mended.encode(x)).item() <= l0(relu.encode(x)).item() < l0(gated.encode(x)).max().item()
    )
    assert shrinkage(x, relu.reconstruct(x)).item() < 0.95
    assert shrinkage(x, mended.reconstruct(x)).item() == pytest.approx(1, abs=0.01)
    assert (worst - repaired) / (worst - best) > 0.95
