"""Steps of every law against published and analytic numbers, within three standard errors; Adam and
the bowl against plain loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay_catalogue.worlds.steps import laws, optimisers

SEEDS = np.arange(500, 532)


def slope(seeds=SEEDS, a=2.0, c=-3.0, **changes):
    same = np.ones(len(seeds))
    return replace(
        optimisers.Slope(
            "test", seeds, a * same, c * same, spread=1.0, drift=1.0, batch=8, n=3, times=100
        ),
        **changes,
    )


def law(name, seeds=SEEDS, **changes):
    one = np.ones(len(seeds), int)
    return replace(
        laws.Law(name, 1.0, 1000, size=0.05, sharpness=1.0, held=one, evaluations=one), **changes
    )


def described(slope, law, parts=20):
    """What `walk` finds of these steps, and what theory expects."""
    runs = Runs([Spec(seed=s) for s in slope.seeds.tolist()])
    group = optimisers.walk(runs, slope, parts, lr=law.scale, adam=law.name == "adam")
    [done] = fit([group], laws.source(slope, law), steps=parts, bench=Unkept())
    return optimisers.moments(done.tensors, slope, parts * slope.times), laws.expected(slope, law)


def correlations(found):
    c = found["covariance"]
    return c[:, 0, 1] / np.sqrt(c[:, 0, 0] * c[:, 1, 1])


def near(values, wanted, most=3.0):
    """Whether the mean over runs lies within so many of its standard errors of the wanted
    number."""
    off = (np.mean(values, 0) - wanted) / (np.std(values, 0, ddof=1) / math.sqrt(len(values)))
    assert (np.abs(off) <= most).all(), f"{off} standard errors from {wanted}"


@pytest.mark.parametrize("name", ["sgd", "skewed", "full"])
def test_minibatches_keep_the_pair_in_lock_step(name):
    found, _ = described(slope(), law(name))
    np.testing.assert_allclose(correlations(found), -1, atol=1e-9)
    near(found["covariance"][:, :2, :2].reshape(-1, 4), 1.625 / 13 * np.array([4, -6, -6, 9]))
    np.testing.assert_allclose(found["mean"][:, 2], -1, rtol=1e-12)
    assert np.square(found["path"]).max() < 1e-24


def test_added_noise_does_not():
    found, _ = described(slope(), law("iso"))
    near(found["covariance"][:, :2, :2].reshape(-1, 4), [0.8125, 0, 0, 0.8125])
    near(correlations(found), 0)
    near(np.square(np.diff(found["path"], axis=1)).mean(1) / 100, 0.8125)
    found, _ = described(slope(), law("diag"))
    near(found["covariance"][:, :2, :2].reshape(-1, 4), [0.5, 0, 0, 9 / 8])


def test_without_replacement_the_variance_is_less():
    """A thousand examples in batches of a hundred: 0.009009009 of an example's variance, and every
    epoch sums to nothing."""
    found, _ = described(slope(a=1.0, c=1.0, batch=100), law("epochs"), parts=10)
    near(found["covariance"][:, 0, 0], 900 / (999 * 100))
    assert (
        np.abs(found["path"]).max() < 1e-12
    )  # each part is ten whole epochs; along u nothing moves at all
    draw = optimisers.epochs(slope(a=1.0, c=1.0, batch=100, times=10), 1000)
    assert np.abs(draw(3)[:, :, 0].sum(1)).max() < 1e-12


def test_skewed_examples_make_skewed_steps():
    near(described(slope(), law("skewed"))[0]["skewness"], 2 / math.sqrt(8))
    near(described(slope(), law("full"))[0]["skewness"], 0)


def test_hard_selection():
    found, _ = described(slope(spread=0.0, drift=0.3), law("hard", size=1.0))
    near(found["mean"][:, 2], -0.398942)
    near(found["covariance"][:, 2, 2], 0.340845)
    near(found["covariance"][:, 0, 0], 0.5)
    near(correlations(found), 0)


@pytest.mark.parametrize(
    ("held", "c", "wanted"),
    [(1, 1.0, 0), (41, 1.0, 0.047619), (401, 1.0, 0.333333), (401, 2.0, 0.471405)],
)
def test_a_sampled_environment(held, c, wanted):
    seeds = SEEDS[:16]
    found, _ = described(
        slope(seeds, 1.0, c, batch=1, drift=0.0, times=50),
        law("linear", seeds, held=np.full(16, held)),
    )
    near(correlations(found), wanted)


@pytest.mark.parametrize(
    ("evaluations", "c", "wanted"),
    [
        (1, 1.0, 0.5),
        (9, 1.0, 0.833333),
        (49, 1.0, 0.961538),
        (1, 2.0, 0.419314),
        (9, 2.0, 0.769800),
    ],
)
def test_evolution_strategies(evaluations, c, wanted):
    found, _ = described(
        slope(a=1.0, c=c, batch=1, drift=0.0),
        law("es", evaluations=np.full(len(SEEDS), evaluations)),
    )
    near(correlations(found), wanted)


def test_hard_selection_on_examples():
    own = slope(a=1.0, c=2.0, batch=1, drift=0.0)
    found, (_, covariance) = described(own, law("hard", held=np.full(len(SEEDS), 21)))
    near(correlations(found), 0.684232)
    near(found["covariance"].reshape(-1, 9), covariance[0].ravel())
    assert np.isnan(laws.expected(slope(), law("hard"))[1]).all(), (
        "examples that differ, and a true gradient beside"
    )


@pytest.mark.parametrize(
    "name", ["sgd", "skewed", "iso", "diag", "full", "epochs", "hard", "linear", "es"]
)
def test_each_law_has_the_covariance_that_theory_expects(name):
    spread = 0.0 if name == "hard" else 1.0
    found, (_, covariance) = described(
        slope(n=4, spread=spread), law(name, evaluations=np.full(len(SEEDS), 5))
    )
    entries = np.triu_indices(2)
    near(found["covariance"][:, *entries], covariance[0][entries])
    if name in ("hard", "linear", "es"):
        near(found["covariance"][:, 2, 2], covariance[0][2, 2])


def test_adam_moves_both_alike():
    found, _ = described(slope(), law("adam"))
    np.testing.assert_allclose(correlations(found), -1, atol=1e-9)
    np.testing.assert_allclose(found["slope"], -1, atol=1e-6)
    assert described(slope(), law("sgd"))[0]["slope"] == pytest.approx(-1.5)


def test_adam_is_adam():
    """Against torch's own, a step at a time, over two parts."""
    own = slope(SEEDS[:1], times=15)
    [done] = fit(
        [optimisers.walk(Runs([Spec(seed=500)]), own, 2, lr=0.1, adam=True)],
        optimisers.minibatches(own),
        steps=2,
        bench=Unkept(),
    )
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([x], lr=0.1)
    for part in range(2):
        for gradient in optimisers.minibatches(own)(part)[0]:
            x.grad = gradient.clone()
            optimiser.step()
    np.testing.assert_allclose(done.tensors["x"][0], x.detach(), rtol=1e-9)


def test_float32_would_make_what_is_conserved_drift():
    """Why the walk is summed in float64: the same steps, added up in float32."""
    own = slope()
    steps = torch.cat([optimisers.minibatches(own)(part) for part in range(20)], 1)[..., :2]
    u = torch.tensor([-3.0, -2.0], dtype=torch.float64) / math.sqrt(13)

    def diffusion(steps):
        x = torch.zeros_like(steps[:, 0])
        for t in range(steps.shape[1]):
            x += steps[:, t]
        return float((x.double() @ u).square().mean()) / (steps.shape[1] * 0.8125)

    assert diffusion(steps.float()) > 1e6 * diffusion(steps)


@pytest.mark.parametrize("name", ["sgd", "epochs", "skewed", "adam", "iso", "linear", "hard", "es"])
def test_a_run_alone_is_the_run_among_others(name):
    held, evaluations = np.array([1, 7, 3]), np.array([5, 2, 9])
    seeds = np.array([7, 8, 8])
    all_of_them = slope(seeds, times=40), law(name, seeds, held=held, evaluations=evaluations)
    alone = (
        slope(seeds[2:], times=40),
        law(name, seeds[2:], held=held[2:], evaluations=evaluations[2:]),
    )
    np.testing.assert_array_equal(laws.source(*alone)(1)[0], laws.source(*all_of_them)(1)[2])
    mine, theirs = described(*alone, parts=2)[0], described(*all_of_them, parts=2)[0]
    np.testing.assert_allclose(
        mine["covariance"][0], theirs["covariance"][2], rtol=1e-10, atol=1e-18
    )
