"""Planted latents are silent before their step, set at it and free after it; held parameters stay at 0."""

from dataclasses import replace

import numpy as np
import torch

from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries import losses
from assay.dictionaries.byhand import ByHand
from assay.dictionaries.dead import Keep, Resample
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.train import Method, fit_dictionaries


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
        ReLU(), losses.l1, 7, lr=np.full(2, 1e-2), penalty=np.full(2, 0.1), betas=(0.9, 0.999), dead=policy, tied_start=False
    )
    watch = {"rows": (range(steps + 1), lambda p: p["W_enc"]), "bias": (range(steps + 1), lambda p: p["b_enc"])}
    [t] = fit_dictionaries([(runs, method)], lambda step: x, d=5, steps=steps, bench=Bench(), watch=watch)
    return t.tensors


def planted(of, **more):
    rows = torch.nn.functional.normalize(torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1)), dim=-1)
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
