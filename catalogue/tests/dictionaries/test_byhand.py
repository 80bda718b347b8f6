"""Planted latents are silent before their step, set at it and free after it; held parameters stay
at 0."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Keep, Resample
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay_catalogue.data.embedded import embedded
from assay_catalogue.dictionaries.dynamics.byhand import ByHand
from assay_catalogue.dictionaries.dynamics.cohort import Snapshots


class Slot:
    def restore(self):
        return None

    def due(self):
        return False

    def save(self, step, tensors):
        pass


class Bench:
    device = torch.device("cpu")

    def slot(self):
        return Slot()

    def report(self, done, total, **numbers):
        pass


def trained(policy, steps=12):
    runs = Runs([Spec(seed=0), Spec(seed=1)])
    x = torch.randn(2, 64, 5, generator=torch.Generator().manual_seed(0))
    method = Method(
        ReLU(),
        losses.l1,
        7,
        lr=np.full(2, 1e-2),
        penalty=np.full(2, 0.1),
        betas=(0.9, 0.999),
        dead=policy,
        tied_start=False,
    )
    watch = {
        "rows": (range(steps + 1), lambda p: p["W_enc"]),
        "bias": (range(steps + 1), lambda p: p["b_enc"]),
    }
    [t] = fit_dictionaries(
        [(runs, method)], lambda step: x, d=5, steps=steps, bench=Bench(), watch=watch
    )
    return t.tensors


def planted(of, **more):
    rows = torch.nn.functional.normalize(
        torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    return ByHand(of, 6, 2 * rows, rows, bias=-0.25, **more), rows


def test_planted_latents_are_silent_then_set_then_free():
    policy, rows = planted(Keep())
    t = trained(policy)
    assert t["rows"][:, 1:6, :, :3].abs().max() == 0
    assert (t["bias"][:, 1:6, :3] == -1).all()
    assert t["rows"][:, 6, :, :3].mT.numpy().tolist() == (2 * rows).numpy().tolist()
    assert (t["bias"][:, 6, :3] == -0.25).all()
    assert (t["rows"][:, 7, :, :3] != t["rows"][:, 6, :, :3]).any()


def test_other_latents_do_not_notice_before_the_step():
    """The planted ones are silent, so the rest trains as a dictionary in which they never fire."""
    policy, _ = planted(Keep())
    until, never = trained(policy)["rows"], trained(replace(policy, at=100))["rows"]
    assert until[:, :7, :, 3:].numpy().tolist() == never[:, :7, :, 3:].numpy().tolist()


def test_planted_latents_are_exempt():
    policy, _ = planted(Resample(at=(4, 8), exempt=0.0))
    t = trained(policy)
    assert t["exempt"].tolist() == [[True] * 3 + [False] * 4] * 2
    assert (t["resampled"][:, :3] == 0).all()


def test_held_biases_stay_at_zero():
    policy, _ = planted(Keep(), held=("b_enc",))
    assert trained(policy)["bias"].abs().max() == 0


def test_a_useful_rare_latent_keeps_its_density():
    """Eight common truths and one of density 0.002, at right angles, a latent each: after 1,500
    steps it still fires so often."""
    world = embedded(np.array([0]), 8, 16, p=(0.05, 0.1), mean=0.0, rare=(2e-3,), noise=0.01)
    world = replace(world, directions=np.linalg.qr(world.directions[0].T)[0].T[None])
    every = np.arange(9)
    encoder, decoder = (
        torch.from_numpy(m.astype(np.float32)) for m in (world.detectors(every), world.directions)
    )
    method = Method(
        ReLU(),
        losses.l1,
        9,
        lr=np.full(1, 1e-3),
        penalty=np.full(1, 0.2 / 4),
        betas=(0.9, 0.999),
        dead=ByHand(Keep(), 1, encoder, decoder, bias=-0.2),
        tied_start=False,
        rate=lambda step: 1.0,
    )
    at = (1, 1500)
    watch = {
        "encoder": (at, lambda p: p["W_enc"]),
        "bias": (at, lambda p: p["b_enc"]),
        "centre": (at, lambda p: p["b_dec"]),
    }
    runs = Runs([Spec(seed=0)])
    [t] = fit_dictionaries(
        [(runs, method)], world.batches(256), d=16, steps=1500, bench=Bench(), watch=watch
    )
    snaps = Snapshots(at, *(t.tensors[name][0] for name in watch))
    assert snaps.density(world, np.array([8]), [0, 1])[0] == pytest.approx([2e-3, 2e-3], rel=0.2)
