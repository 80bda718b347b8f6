"""Gradients of single examples against autograd, noise against sums over all examples, and the
teacher's class frequencies."""

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.descent import descent
from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay_catalogue.worlds.networks import example_gradients as eg

SIZES = [(5, 4), (5, 6, 4)]


def some(sizes, seeds=(3, 9)):
    runs = Runs([Spec(seed=s) for s in seeds])
    x, y = eg.labelled(runs.seeds, 40, sizes[0], sizes[-1], sharpness=2.0, zipf=1.0)
    return runs, eg.classifier(runs, sizes), x, y


@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_of_examples_are_autograds(sizes):
    runs, params, x, y = some(sizes)
    params = {name: w.double() for name, w in params.items()}
    count = sum(w[0].numel() for w in params.values())
    at = eg.coordinates(runs.seeds, params, count)
    assert all(sorted(row) == list(range(count)) for row in at.tolist())
    found = eg.of_examples(params, x.double(), y, at)
    for r in range(2):
        for b in (0, 17, 39):
            leaves = {name: w[r : r + 1].clone().requires_grad_() for name, w in params.items()}
            loss = eg.losses(leaves, (x[r : r + 1, b : b + 1].double(), y[r : r + 1, b : b + 1]))
            grads = torch.autograd.grad(loss.sum(), list(leaves.values()))
            flat = torch.cat([g.flatten() for g in grads])
            torch.testing.assert_close(found[r, b], flat[at[r]])


def test_the_loss_is_the_mean_of_minus_log_softmax():
    _, params, x, y = some((5, 6, 4))
    W0, W1 = (params[k][1].double().numpy() for k in ("W0", "W1"))
    logits = np.maximum(x[1].double().numpy() @ W0, 0) @ W1
    wanted = np.mean(
        [np.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, y[1].tolist(), strict=True)]
    )
    assert float(eg.losses(params, (x, y))[1]) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("law", ["sgd", "even", "diag", "iso"])
def test_noise_has_the_covariance_that_sampling_has(law):
    _, params, x, y = some((5, 4))
    g = eg.of_examples(params, x, y, torch.arange(20).expand(2, 20))[0].double()
    off = g - g.mean(0)
    true = off.T @ off / len(g) / 8
    each = true.diagonal().sqrt()
    even = true / each[:, None] / each * true.trace() / 20  # the same correlations, one variance
    wanted = {
        "sgd": true,
        "even": even,
        "diag": true.diagonal().diag(),
        "iso": true.trace() / 20 * torch.eye(20).double(),
    }[law]
    drawn = eg.noise(g, 5, 0, law, batch=8, count=40_000)
    torch.testing.assert_close(
        drawn.T @ drawn / len(drawn), wanted, atol=0.04 * float(true.diagonal().max()), rtol=0
    )
    values = eg.noise_spectra(g[None], np.array([5]), 0, law, 8, 40_000)[0]
    np.testing.assert_allclose(
        values, np.linalg.eigvalsh(drawn.T @ drawn / len(drawn))[::-1], atol=1e-9
    )


def test_two_draws_are_two_draws_and_one_is_one():
    g = torch.eye(6, dtype=torch.float64)
    one = eg.noise(g, 5, 0, "sgd", 2, 10)
    assert torch.equal(one, eg.noise(g, 5, 0, "sgd", 2, 10))
    assert not torch.equal(one, eg.noise(g, 5, 1, "sgd", 2, 10))
    whole = g.mean(0) + one  # minibatch means of unit vectors: halves and ones that sum to one
    assert set(whole.flatten().mul(2).round(decimals=6).tolist()) <= {
        0.0,
        1.0,
        2.0,
    } and torch.allclose(whole.sum(1), torch.ones(10).double())


def test_classes_are_as_frequent_as_asked():
    seeds = np.array([1, 2])
    _, even = eg.labelled(seeds, 40_000, 3, 10, sharpness=0.0)
    _, words = eg.labelled(seeds, 40_000, 3, 10, sharpness=0.0, zipf=1.0)
    rank = np.arange(1, 11)
    for labels, wanted in ((even, np.full(10, 0.1)), (words, 1 / rank / (1 / rank).sum())):
        found = np.bincount(labels[0].numpy(), minlength=10) / 40_000
        np.testing.assert_allclose(found, wanted, atol=4 * np.sqrt(wanted.max() / 40_000))


def test_a_teacher_can_be_learned_and_a_run_alone_is_the_run_among_others():
    def trained(seeds):
        runs, params, x, y = some((5, 6, 4), seeds)
        group = descent(
            runs,
            {name: w.clone() for name, w in params.items()},
            eg.losses,
            lr=np.full(len(runs), 0.3),
            plain=True,
        )
        return (
            fit([group], eg.draws(runs.seeds, x, y, 8), steps=50, bench=Unkept())[0],
            params,
            eg.losses(params, (x, y)),
            (x, y),
        )

    together, start, before, data = trained((3, 9))
    alone, own_start, _, _ = trained((9,))
    for name, w in together.tensors.items():
        assert torch.equal(own_start[name][0], start[name][1])
        torch.testing.assert_close(alone.tensors[name][0], w[1], rtol=1e-5, atol=1e-6)
    assert (eg.losses(together.tensors, data) < before - 0.2).all()
