"""Every training gives on a device what it gives on the CPU, with nothing left behind on either; a
checkpoint goes on there."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks import timed_steps as steps

import architectures
from architectures import ALL, RUNS, WIDTH, D
from assay.core.descent import descent
from assay.core.fit import fit, watched
from assay.core.runs import Runs
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Resample
from assay.dictionaries.training.freezing import freeze
from assay.dictionaries.training.kernels import reference
from assay.dictionaries.training.kernels.reference import StepInput
from assay.dictionaries.training.train import Method, fit_dictionaries, start
from assay.train import rng
from killed import Killed, dies_at

TWO = Runs(RUNS.specs[:2])


def rows(step, count=32, width=D):
    return torch.from_numpy(rng.normal(np.array([5]), "rows", step, (count, width))[0]).clamp_min(
        -0.5
    )


def pairs(step):
    x = rows(step)
    return x, x[:, :10].relu() + x[:, 3:13]


def there(trained, device):
    return all(x.device.type == device.type for one in trained for x in one.tensors.values())


def told(trained):
    return [(one.tensors, one.history) for one in trained]


def test_every_architecture_trains_alike(device, bench_on, near):
    def trained(where):
        methods = {name: architectures.method(name, TWO) for name in ALL}
        methods["resample"] = replace(
            methods["resample"], dead=Resample(at=(2,), exempt=0.5, warm_up=1)
        )
        watch = {"length": ((0, 3), lambda params: params["W_enc"].norm(dim=1))}
        return fit_dictionaries(
            [(TWO, m) for m in methods.values()],
            rows,
            d=D,
            steps=4,
            bench=bench_on(where),
            watch=watch,
        )

    found = trained(device)
    assert there(found, device)
    near(told(found), told(trained("cpu")), 2e-3)


def stepped(name, where):
    """Loss, curves and gradients of one step, some latents dead."""
    method = architectures.method(name, TWO)
    loss = (
        replace(method.loss, dead_after=50) if hasattr(method.loss, "dead_after") else method.loss
    )
    state = {key: x.to(where) for key, x in start(TWO.seeds, method, D).items()}
    idle = (100 * (torch.arange(WIDTH) % 3 == 0)).repeat(2, 1).to(where)
    more = {
        key: x for key, x in {"idle": idle, "progress": 0.6}.items() if key in losses.wants(loss)
    }
    penalty = torch.tensor([0.1, 0.3], device=where)
    x = rows(0).to(where)
    given = StepInput(loss, state, x, method.nonlinearity, penalty, torch.float32, more)
    return reference.autograd(given)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_the_cpu(name, device, near):
    near(stepped(name, device)[1], stepped(name, "cpu")[1], 1e-4)


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_the_steps_that_are_timed(products, device):
    size = steps.Size(96, 64, 6, d=32)
    for name in steps.architectures(size):
        steps.step(size, name, products, 2, device)(size.rows().to(device))


def test_transcoders_and_crosscoders(device, bench_on, near):
    plain = Method(
        TopK(4),
        losses.mse,
        64,
        np.array([4e-3]),
        np.zeros(1),
        warm_up=3,
        betas=(0.9, 0.999),
        encoder_scale=1.0,
    )
    wide = replace(plain, width=96)  # wide enough for the sparse step
    one, crossing = Runs(TWO.specs[:1]), losses.L1Weighted(parts=(10, 6))
    crossed = Method(
        architectures.ReLU(), crossing, 24, np.array([4e-3]), np.array([0.1]), decoder="free"
    )

    def trained(where):
        bench = bench_on(where)
        groups = [
            (one, m) for m in (plain, wide, replace(plain, skip=True), freeze(plain, "decoder"))
        ]
        given = {"mean": torch.ones(D), "mean_out": torch.arange(10.0), "scale_out": 0.5}
        coded = fit_dictionaries(groups, pairs, d=D, d_out=10, steps=6, bench=bench, **given)
        return coded + fit_dictionaries(
            [(one, crossed)], rows, d=D, steps=6, bench=bench, scale=torch.full((D,), 0.5)
        )

    found = trained(device)
    assert there(found, device)
    near(told(found), told(trained("cpu")), 2e-3)


def quadratic(params, batch):
    return (params["w"] - 1).square().mean(1) + 0 * (0 if batch is None else batch.sum())


@pytest.mark.parametrize("plain", [False, True])
def test_descent_goes_on_from_a_checkpoint_on_the_device(plain, device, bench_on, plain_slot, near):
    def trained(where, slot, batches=lambda step: torch.full((2, 3), float(step))):
        made = descent(
            TWO,
            {"w": torch.zeros(2, 3)},
            quadratic,
            lr=np.array([0.1, 0.2]),
            plain=plain,
            clip=1.0,
            decay={"w": 0.1},
        )
        return fit(
            [watched(made, ["w"], [3])],
            batches,
            steps=8,
            probe_at=[2, 5],
            bench=bench_on(where, [slot]),
        )

    slot = plain_slot(every=2)
    with pytest.raises(Killed):
        trained(device, slot, dies_at(5, lambda step: torch.full((2, 3), float(step))))
    assert slot.saved[0] == 4
    # as a file gives it back
    saved = {name: x.cpu() for name, x in slot.saved[1].items()}
    found = trained(device, plain_slot(saved=(4, saved)))
    whole = trained(device, plain_slot())
    assert there(found, device)
    near(told(found), told(whole), 0)
    near(told(found), told(trained("cpu", plain_slot())), 1e-5)
