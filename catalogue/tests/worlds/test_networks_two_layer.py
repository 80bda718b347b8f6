"""Classifiers of two layers against a naive loop, and what rescaling does to them. Gaussian clouds:
their moments, the best accuracy of two, and batches by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from assay.core import descent, fit
from assay.core.bench import Unkept
from assay.core.errors import DataError
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay_catalogue.worlds.networks import two_layer
from assay_catalogue.worlds.networks.two_layer import Clouds


@dataclass(frozen=True, kw_only=True)
class World(Spec):
    width: int = 8


RUNS = Runs(grid(World(), seed=range(4)))


def biased(params):
    return {name: x + 0.3 if name.startswith("b") else x for name, x in params.items()}


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_cross_entropy_are_those_of_a_naive_loop(tanh, bias):
    params = biased(two_layer.start(RUNS, 3, 8, 5, bias=bias))
    x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    label = torch.arange(24).reshape(4, 6) % 5
    z = two_layer.logits(params, x, tanh=tanh)
    p = {name: t.numpy().astype(np.float64) for name, t in params.items()}
    losses = np.zeros(4)
    for r in range(4):
        for i in range(6):
            pre = p["W1"][r] @ x[r, i].numpy() + (p["b1"][r] if bias else 0)
            out = p["W2"][r] @ (np.tanh(pre) if tanh else np.maximum(pre, 0)) + (
                p["b2"][r] if bias else 0
            )
            np.testing.assert_allclose(z[r, i], out, atol=1e-5)
            losses[r] += (np.log(np.exp(out).sum()) - out[label[r, i]]) / 6
    np.testing.assert_allclose(two_layer.cross_entropy(z, label), losses, rtol=1e-5)


def test_rescaling_leaves_a_bias_free_relu_alone_and_no_other():
    x = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(1))

    def off(added, tanh, **how):
        params = biased(two_layer.start(RUNS, 3, 8, 5, bias=added))
        own, other = (
            two_layer.logits(two_layer.rescaled(params, c, **how), x, tanh=tanh) for c in (1.0, 3.0)
        )
        return float((other - own).abs().max() / own.abs().max())

    assert off(False, False) < 1e-6 and off(True, False, bias=True) < 1e-6
    assert min(off(True, False), off(False, True), off(False, False, back=False)) > 0.05


def test_effects_of_rescaling_by_name():
    params = biased(two_layer.start(RUNS, 3, 8, 5, bias=True))
    x = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(1))
    label = torch.zeros(4, 50, dtype=torch.int64)
    found = two_layer.effects(params, x, label, (0.5, 1.0, 3.0))
    own, both, alone = (
        two_layer.logits(two_layer.rescaled(params, c, back=back), x)
        for c, back in ((1.0, True), (3.0, True), (3.0, False))
    )
    size = own.abs().amax((1, 2))
    torch.testing.assert_close(found["change"][:, 2], (both - own).abs().amax((1, 2)) / size)
    torch.testing.assert_close(
        found["not_times"][:, 2], (alone / 3 - own).abs().amax((1, 2)) / size
    )
    torch.testing.assert_close(found["loss"][:, 2], -both.log_softmax(-1)[..., 0].mean(1))
    torch.testing.assert_close(found["loss_alone"][:, 2], -alone.log_softmax(-1)[..., 0].mean(1))
    torch.testing.assert_close(
        found["reclassified"][:, 2], (alone.argmax(-1) != own.argmax(-1)).float().mean(1)
    )
    assert float(found["change_biased"].max()) < 1e-6
    assert all(
        float(found[name][:, 1].abs().max()) == 0
        for name in ("change", "not_times", "reclassified")
    )


def trained(runs, bench, batches=None):
    params = two_layer.start(runs, 3, 8, 5, bias=True)
    group = descent(
        runs,
        params,
        lambda p, b: two_layer.cross_entropy(two_layer.logits(p, b[0]), b[1]),
        lr=np.full(len(runs), 1e-2),
    )
    return fit(
        [group], batches or Clouds(d=3, classes=5).batches(runs.seeds, 32), steps=50, bench=bench
    )[0]


def test_a_run_alone_is_the_run_among_others():
    together, alone = trained(RUNS, Unkept()), trained(Runs(RUNS.specs[2:3]), Unkept())
    for name, x in alone.tensors.items():
        torch.testing.assert_close(x[0], together.tensors[name][2], rtol=1e-5, atol=1e-6)
    start = two_layer.start(RUNS, 3, 8, 5)
    assert torch.equal(two_layer.start(Runs(RUNS.specs[2:3]), 3, 8, 5)["W1"][0], start["W1"][2])
    assert float(together.history["loss"][:, -1].mean()) < float(
        together.history["loss"][:, 0].mean()
    )


def test_a_killed_training_goes_on_to_the_same_numbers(tmp_path, plain_bench, plain_slot):
    draw = Clouds(d=3, classes=5).batches(RUNS.seeds, 32)

    def killed(step):
        if step == 23:
            raise KeyboardInterrupt
        return draw(step)

    whole, slot = trained(RUNS, plain_bench(tmp_path)), plain_slot(every=10)
    with pytest.raises(KeyboardInterrupt):
        trained(RUNS, plain_bench(tmp_path, [slot]), killed)
    again = trained(RUNS, plain_bench(tmp_path, [plain_slot(saved=slot.saved)]))
    assert slot.saved[0] == 20
    for name, x in whole.tensors.items():
        assert torch.equal(again.tensors[name], x)


SEEDS = np.arange(3)


def test_points_lie_around_the_centre_of_their_class_with_noise_of_one():
    clouds = Clouds(d=4, classes=3)
    x, label = clouds.batches(SEEDS, 30_000)(0)
    off = x - clouds.centres(SEEDS).gather(1, label.unsqueeze(-1).expand(-1, -1, 4))
    np.testing.assert_allclose(off.mean(1), 0, atol=0.03)
    np.testing.assert_allclose(off.std(1), 1, atol=0.02)
    np.testing.assert_allclose([(label == k).float().mean() for k in range(3)], 1 / 3, atol=0.01)


def test_centres_are_as_far_apart_as_asked():
    centres = Clouds(d=20, classes=10, apart=4.0).centres(np.arange(60))
    square = torch.cdist(centres, centres).square().sum((1, 2)) / 90
    assert float(square.mean()) ** 0.5 == pytest.approx(4.0, rel=0.03)


def test_the_nearest_of_two_centres_is_right_as_often_as_half_their_distance_says():
    clouds = Clouds(d=5, classes=2)
    x, label = clouds.batches(SEEDS, 40_000, "test")(0)
    right = (clouds.nearest(SEEDS, x) == label).float().mean(1)
    a, b = clouds.centres(SEEDS).unbind(1)
    np.testing.assert_allclose(right, ndtr((a - b).norm(dim=1).numpy() / 2), atol=0.006)


def test_a_batch_belongs_to_seed_stream_and_step():
    clouds = Clouds(d=4, classes=3)
    draw, alone, test = (
        clouds.batches(SEEDS, 7),
        clouds.batches(SEEDS[1:2], 7),
        clouds.batches(SEEDS, 7, "test"),
    )
    for step in (900, 3, 0):
        for mine, theirs, other in zip(draw(step), alone(step), test(step), strict=True):
            assert torch.equal(mine[1], theirs[0]) and not torch.equal(mine, other)
    assert not torch.equal(draw(0)[0], draw(1)[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": 1}, "at least 2 classes"),
        ({"apart": 0.0}, "a distance above 0, got 0"),
        ({"d": 0}, "d=0"),
    ],
)
def test_impossible_clouds_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        Clouds(**wrong)
