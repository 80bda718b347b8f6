"""What gated-ablations trains and measures agrees with algebra, with the library's metrics, and
with itself alone or in a group."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from assay.core import PerRun, Runs, Spec, grid
from assay.core.measures import by, measures
from assay.dictionaries.baselines.repair import rescale_and_shift
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.metrics import document_sums, fvu, shrinkage
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay.train import rng
from assay_catalogue.experiments.gated_ablations import experiment
from assay_catalogue.experiments.gated_ablations.claims import off_theory, with_theory
from assay_catalogue.experiments.gated_ablations.method import (
    GatedAblations,
    measure,
    measure_closely,
    oracle,
    repair,
    shrink,
    train,
)

METHODS = (
    "gated",
    "no-aux",
    "unfrozen-aux",
    "untied",
    "no-rmag",
    "no-heaviside",
    "sigmoid",
    "sigmoid-relu",
    "relu",
)
SMALL = GatedAblations(width=16, d=8, features=12, density=0.1, batch=32, steps=50, test_rows=400)


@dataclass(frozen=True, kw_only=True)
class One(Spec):
    penalty: PerRun[float] = 0.2


@pytest.mark.slow
def test_one_feature_that_is_always_on_shrinks_by_half_its_penalty_and_a_shift_mends_it(bench):
    """a ~ U(.5, 1.5): the optimum is f = a − λ/2, so γ = E f²/E fa = .908475 and FVU = (λ/2)²/Var a
    = .12 at λ = .2."""
    seeds = [
        s for s in range(8) if rng.normal(np.array([s]), "dictionary", 0, (1, 1)).item() > 0
    ]  # starts along the feature
    runs = Runs(grid(One(), seed=seeds))

    def amounts(step, stream="train", rows=256):
        return torch.from_numpy(0.5 + rng.uniform(np.array([0]), stream, step, (rows, 1))[0])

    method = Method(
        ReLU(),
        losses.l1,
        1,
        np.full(len(runs), 1e-2),
        runs.each("penalty"),
        frozen=("b_dec",),
        decay=0.5,
    )
    given = Dictionary.of(
        fit_dictionaries([(runs, method)], amounts, d=1, steps=1500, bench=bench)[0]
    )
    x, fitted = amounts(0, "test", 50_000), amounts(0, "repair", 50_000)
    mended = rescale_and_shift(given, fitted)
    for one, repaired in zip(given, mended, strict=True):
        assert shrinkage(x, one.reconstruct(x)).item() == pytest.approx(0.908475, abs=0.01)
        assert fvu(x, one.reconstruct(x)).item() == pytest.approx(0.12, abs=0.01)
        assert shrinkage(x, repaired.reconstruct(x)).item() == pytest.approx(1, abs=0.01)
        assert fvu(x, repaired.reconstruct(x)).item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_alone_is_the_run_in_a_group(method, bench):
    together = Runs(grid(SMALL.replace(method=method), penalty=(0.3, 0.9), seed=(4, 7)))
    trained = train(together, bench).tensors
    for i, spec in enumerate(together):
        for name, value in train(Runs([spec]), bench).tensors.items():
            torch.testing.assert_close(value[0], trained[name][i], atol=1e-5, rtol=1e-4)


def test_replicates_share_the_world_and_nothing_else(bench):
    runs = [Runs(grid(SMALL.replace(replicate=r, steps=2), seed=(3,))) for r in (0, 1)]
    first, again = (train(r, bench) for r in runs)
    cosines = torch.einsum("rfd,rfd->rf", first.tensors["W_dec"], again.tensors["W_dec"])
    assert cosines.abs().mean() < 0.7  # not the same start
    a, b = (measure(r, t, bench) for r, t in zip(runs, (first, again), strict=True))
    assert a.variance.item() == b.variance.item()  # the same held-out inputs


@pytest.mark.parametrize("method", ["gated", "untied", "relu"])
def test_measures_are_the_librarys_sums(method, bench):
    runs = Runs(grid(SMALL.replace(method=method), seed=(3, 5)))
    trained = train(runs, bench)
    data = measure(runs, trained, bench)
    for i, (one, spec) in enumerate(zip(Dictionary.of(trained), runs, strict=True)):
        x = spec.world().inputs([spec.seed], spec.test_rows, "test")(0)[0]
        wanted = document_sums(one, x, torch.zeros(len(x)), 1, x.mean(0))
        for name in ("tokens", "active", "error", "variance", "dot", "norm", "dot_raw", "norm_raw"):
            assert data[name].values[i, 0] == pytest.approx(wanted[name][0, 0], rel=1e-5), name
        assert data.soft_error.values[i] == data.error.values[i]
        assert data.soft_active.values[i] == data.active.values[i]


@pytest.mark.parametrize("mended", ["", "rescale"])
def test_a_planted_bias_makes_reconstructions_shorter_by_as_much_and_changes_no_feature(
    mended, bench
):
    """x̂ = b_dec + k Σ f W_dec, by hand, at k = .8, of dictionaries as trained and as repaired."""
    runs = Runs(grid(SMALL.replace(repair=mended, repair_rows=400), seed=(3,)))
    before = train(runs, bench)
    before = repair(runs, bench, before) if mended else before
    (dictionary,) = Dictionary.of(before)
    after = shrink(Runs([s.replace(shrink=0.8) for s in runs]), bench, before)
    data, was = (measure(runs, trained, bench) for trained in (after, before))

    x = SMALL.world().inputs([3], 400, "test")(0)[0]
    features = dictionary.encode(x).numpy().astype(float)
    x, middle = x.numpy().astype(float), x.numpy().astype(float).mean(0)
    x_hat = dictionary.b_dec[0].numpy() + 0.8 * features @ dictionary.W_dec[0].numpy() - middle
    assert data.norm.item() == pytest.approx((x_hat**2).sum(), rel=1e-5)
    assert data.dot.item() == pytest.approx((x_hat * (x - middle)).sum(), rel=1e-5)
    assert data.active.item() == was.active.item() == (features > 0).sum()


def test_smooth_gates_are_read_hard_with_what_they_were_trained_as_beside(bench):
    runs = Runs(grid(SMALL.replace(method="sigmoid"), seed=(3,)))
    trained = train(runs, bench)
    data, x = measure(runs, trained, bench), SMALL.world().inputs([3], 400, "test")(0)[0]
    p = {name: value[0].double() for name, value in trained.tensors.items()}
    z = (x.double() - p["b_dec"]) @ p["W_enc"]
    amount, gate = (z * p["r_mag"].exp() + p["b_mag"]).relu(), z + p["b_enc"]
    for prefix, code in (("", amount * (gate > 0)), ("soft_", amount * gate.sigmoid())):
        assert data[f"{prefix}active"].item() == (code > 0).sum()
        error = (x - code @ p["W_dec"] - p["b_dec"]).square().sum().item()
        assert data[f"{prefix}error"].item() == pytest.approx(error, rel=1e-5)


def test_the_oracle_is_unbiased_and_as_long_as_its_inputs(bench):
    runs = Runs(grid(GatedAblations(method="oracle"), seed=(1, 2)))
    data = measure(runs, oracle(runs, bench), bench)
    for name, of, wanted in (
        ("γ", data.norm / data.dot, 1.0),
        ("norm ratio", (data.norm / data.variance) ** 0.5, 1.0),
        ("FVU", data.error / data.variance, 0.05**2),
    ):
        np.testing.assert_allclose(of.values, wanted, atol=0.005, err_msg=name)
    np.testing.assert_allclose((data.active / data.tokens).values, 128 * 0.02, rtol=0.02)


def test_what_soft_thresholding_predicts():
    """2/(2 + t) with t = λ/2 is E f²/E fa for f = max(a − t, 0): E f² = 2e⁻ᵗ and E fa = (2 + t)e⁻ᵗ,
    by integration."""
    a = np.linspace(0, 60, 2_000_001)
    density = np.exp(-a)
    for t in (0.15, 0.2, 0.25):
        f = np.maximum(a - t, 0)
        assert np.trapezoid(f * f * density, a) / np.trapezoid(f * a * density, a) == pytest.approx(
            2 / (2 + t), abs=1e-6
        )


def test_the_largest_difference_from_it_is_read_about_zero(bench):
    """A dictionary of the true directions whose codes are f = max(a − λ/2, 0) follows it; one whose
    codes are amounts does not."""
    runs = Runs(grid(GatedAblations(), penalty=(0.3, 0.5), seed=(3, 4)))
    a = -np.log1p(-rng.uniform(np.array([0]), "a", 0, (100_000,))[0].astype(float))
    f = np.maximum(a[None] - runs.each("penalty")[:, None] / 2, 0)
    for codes, right in ((f, True), (a[None] + 0 * f, False)):
        sums = {"norm_raw": (codes**2).sum(1), "dot_raw": (codes * a).sum(1)}
        data = measures(
            runs,
            coords={"document": ["test"]},
            **{n: ("run document", x[:, None], "1") for n, x in sums.items()},
        )
        terms = {name: x.mean("seed").values[None] for name, x in with_theory(data, {}).items()}
        assert (off_theory(terms)[0] < 0.005) == right


def test_gate_histograms_count_every_input_within_the_bins_once(bench):
    runs = Runs(grid(SMALL, penalty=(0.3, 0.6), seed=(3,)))
    data = by(measure_closely(runs, train(runs, bench), bench), "penalty")
    on, off = (data[f"gate_{when}"].sum("bin").values for when in ("on", "off"))
    assert ((on > 0) & (on < off)).all() and (on + off <= 400).all() and (on + off > 390).all()


def test_every_arm_has_specs_and_judged_seeds_are_not_the_pilots():
    for name in experiment.arms:
        specs = experiment.specs_of(name, experiment.default)
        assert specs and min(s.seed for s in specs) >= 3000, name
