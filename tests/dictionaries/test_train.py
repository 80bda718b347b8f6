"""Training: equal to a plain PyTorch loop, the same alone and in a group, resumable, and blind
between runs."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay.train import rng


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.1
    lr: PerRun[float] = 4e-3


D = 12
RUNS = Runs(grid(Sweep(), penalty=(0.05, 0.2), seed=(1, 2)))
METHODS = {
    "relu": (ReLU(), losses.l1, 24, {}),
    "gated": (Gated(), losses.gated, 24, {}),
    "gated_no_aux": (Gated(), losses.gated_no_aux, 24, {}),
    "topk": (TopK(4), losses.mse, 24, {"betas": (0.9, 0.999), "encoder_scale": 1.0}),
    "topk_sparse": (TopK(2), losses.mse, 64, {"betas": (0.9, 0.999), "encoder_scale": 1.0}),
}
every = pytest.mark.parametrize("name", METHODS)
WORLD = torch.from_numpy(rng.normal(np.array([7]), "world", 0, (30, D))[0])


def method(name, runs=RUNS, **more):
    nonlinearity, loss, width, fields = METHODS[name]
    fields = {"warm_up": 10, **fields, **more}
    return Method(nonlinearity, loss, width, runs.each("lr"), runs.each("penalty"), **fields)


def batches(step):
    """Sparse mixtures of 30 directions in 12 dimensions, shared by all runs."""
    codes = rng.uniform(np.array([0]), "codes", step, (64, 30))[0]
    return torch.from_numpy(np.maximum(codes - 0.9, 0) * 20) @ WORLD


def train(name, bench, runs=RUNS, steps=50, **more):
    return fit_dictionaries(
        [(runs, method(name, runs, **more))], batches, d=D, steps=steps, bench=bench
    )[0]


class PlainSAE(torch.nn.Module):
    """One dictionary as PyTorch users write it; columns of the decoder are kept at unit length by
    hand."""

    def __init__(self, name, spec):
        super().__init__()
        self.nonlinearity, self.loss, width, fields = METHODS[name]
        W = torch.from_numpy(rng.normal(np.array([spec.seed]), "dictionary", 0, (width, D)))
        W = W / W.norm(dim=-1, keepdim=True)
        start = {
            "W_enc": fields.get("encoder_scale", 0.3) * W.mT,
            "W_dec": W,
            "b_enc": torch.zeros(1, width),
            "b_dec": torch.zeros(1, D),
        }
        start |= self.nonlinearity.init(1, width)
        self.params = torch.nn.ParameterDict(
            {k: torch.nn.Parameter(v.clone()) for k, v in start.items()}
        )
        self.betas = fields.get("betas", (0.0, 0.999))
        self.penalty = spec.penalty
        self.lr = spec.lr

    def fit(self, steps, decay=None):
        if decay is None:
            adam = torch.optim.Adam(self.parameters(), lr=self.lr, betas=self.betas)
        else:
            some = [{"params": [p], "weight_decay": decay[n]} for n, p in self.params.items()]
            adam = torch.optim.AdamW(some, lr=self.lr, betas=self.betas)
        for step in range(steps):
            rate = min(1, (step + 1) / 10) * (
                1 if step < 0.8 * steps else (steps - step) / (0.2 * steps)
            )
            for part in adam.param_groups:
                part["lr"] = self.lr * rate
            adam.zero_grad()
            penalty = torch.tensor([self.penalty * min(1, (step + 1) / round(0.15 * steps))])
            self.loss(dict(self.params), batches(step), self.nonlinearity, penalty).sum().backward()
            W = self.params["W_dec"]
            with torch.no_grad():
                W.grad -= (W.grad * W).sum(-1, keepdim=True) * W
                adam.step()
                W /= W.norm(dim=-1, keepdim=True)
        return {name: value.detach() for name, value in self.params.items()}


@every
def test_it_is_the_plain_loop_of_each_run(name, bench):
    steps = 20  # few: rounding grows with Adam's division by small second moments
    trained = train(name, bench, steps=steps)
    assert not trained.diverged.any()
    for r, spec in enumerate(RUNS):
        wanted = PlainSAE(name, spec).fit(steps)
        for key, value in wanted.items():
            torch.testing.assert_close(
                trained.tensors[key][r : r + 1],
                value,
                rtol=2e-3,
                atol=2e-4,
                msg=lambda m, k=key: f"{k}: {m}",
            )


@pytest.mark.parametrize(
    "decay", [3.0, {"W_enc": np.array([0.0, 3.0, 9.0, 9.0])}, {"b_enc": 9.0, "W_dec": 3.0}]
)
@pytest.mark.parametrize("name", ["gated", "topk"])
def test_weight_decay_is_that_of_torchs_adamw(name, decay, bench):
    trained = train(name, bench, steps=20, weight_decay=decay)
    plain = train(name, bench, steps=20)
    for r, spec in enumerate(RUNS):
        names = {*trained.tensors} - {"mean", "scale"}
        of_run = {
            n: float(np.broadcast_to(decay.get(n, 0.0) if isinstance(decay, dict) else decay, 4)[r])
            for n in names
        }
        wanted = PlainSAE(name, spec).fit(20, of_run)
        for key, value in wanted.items():
            got = trained.tensors[key][r : r + 1]
            torch.testing.assert_close(got, value, rtol=2e-3, atol=2e-4)
        same = torch.allclose(trained.tensors["W_enc"][r], plain.tensors["W_enc"][r], atol=1e-6)
        assert same == (not any(of_run.values()))


def test_each_run_decays_in_an_ensemble_as_it_does_alone(bench):
    """Bit for bit, where runs have whole vectors of the processor."""

    def train(runs, decay):
        x = torch.nn.functional.pad(WORLD, (0, 4))
        one = method("relu", runs, weight_decay=decay)
        return fit_dictionaries([(runs, one)], lambda step: x, d=16, steps=30, bench=bench)[0]

    shares = np.array([0.0, 3.0, 9.0, 9.0])
    whole = train(RUNS, {"W_enc": shares, "b_dec": 2.0})
    for r, share in enumerate(shares):
        alone = train(Runs([RUNS.specs[r]]), {"W_enc": float(share), "b_dec": 2.0})
        for key, value in alone.tensors.items():
            assert torch.equal(whole.tensors[key][r : r + 1], value), key


def test_what_is_frozen_does_not_decay(bench):
    trained = train("relu", bench, steps=20, weight_decay=9.0, frozen=("W_enc", "b_dec"))
    start = train("relu", bench, steps=0)
    for name in ("W_enc", "b_dec"):
        assert torch.equal(trained.tensors[name], start.tensors[name])


def test_several_methods_share_a_pass(bench):
    seen = []

    def counted(step):
        seen.append(step)
        return batches(step)

    names = ("gated", "relu", "topk")
    joint = fit_dictionaries(
        [(RUNS, method(n)) for n in names], counted, d=D, steps=30, bench=bench
    )
    assert seen == list(range(30))
    for name, trained in zip(names, joint, strict=True):
        alone = train(name, bench, steps=30)
        assert all(
            torch.equal(trained.tensors[key], value) for key, value in alone.tensors.items()
        ), name


def test_each_run_may_have_its_own_batches(bench):
    def own(step):
        return torch.stack(
            [batches(step), batches(1000 + step), batches(step), batches(2000 + step)]
        )

    shared, separate = (
        train("gated", bench),
        fit_dictionaries([(RUNS, method("gated"))], own, d=D, steps=50, bench=bench)[0],
    )
    for r, same in enumerate((True, False, True, False)):
        assert (
            torch.allclose(shared.tensors["W_dec"][r], separate.tensors["W_dec"][r], atol=1e-5)
            == same
        )


def test_a_method_has_a_rate_and_a_penalty_for_each_run(bench):
    with pytest.raises(
        SpecError, match="one lr and one penalty for each run, got 2 and 4 for 4 runs"
    ):
        fit_dictionaries(
            [(RUNS, replace(method("relu"), lr=np.ones(2)))], batches, d=D, steps=5, bench=bench
        )


@pytest.mark.thorough
def test_one_always_on_feature_shrinks_as_the_algebra_says(bench):
    """x = a, a ~ U(.5, 1.5), no decoder bias, λ = .2: f = a − λ/2; γ = .893333/.983333 and FVU =
    (λ/2)²/Var a = .12."""
    from assay.dictionaries.baselines.repair import rescale_and_shift
    from assay.dictionaries.measuring.metrics import fvu, shrinkage

    runs = Runs([Sweep(seed=s, penalty=0.2, lr=1e-2) for s in range(4)])

    def amounts(step):
        return torch.from_numpy(0.5 + rng.uniform(np.array([0]), "amounts", step, (256, 1))[0])

    one = Method(ReLU(), losses.l1, 1, runs.each("lr"), runs.each("penalty"), frozen=("b_dec",))
    trained = fit_dictionaries([(runs, one)], amounts, d=1, steps=2500, bench=bench)[0]
    # a decoder row of one number is ±1, and −1 stays off
    alive = trained.tensors["W_dec"][:, 0, 0] > 0
    assert alive.any()
    x = torch.linspace(0.5, 1.5, 2001)[:, None]
    d = Dictionary.join(
        [part for part, on in zip(Dictionary.of(trained), alive, strict=True) if on]
    )
    assert shrinkage(x, d.reconstruct(x)).tolist() == pytest.approx([0.908475] * len(d), abs=0.01)
    assert fvu(x, d.reconstruct(x)).tolist() == pytest.approx([0.12] * len(d), abs=0.01)
    mended = rescale_and_shift(d, x)
    assert shrinkage(x, mended.reconstruct(x)).tolist() == pytest.approx([1.0] * len(d), abs=1e-4)
    assert fvu(x, mended.reconstruct(x)).tolist() == pytest.approx([0.0] * len(d), abs=1e-6)


def test_freezing_what_is_not_trained_is_refused():
    with pytest.raises(SpecError, match="frozen names W_gate"):
        one = Method(
            ReLU(), losses.l1, 4, RUNS.each("lr"), RUNS.each("penalty"), frozen=("W_gate",)
        )
        fit_dictionaries([(RUNS, one)], lambda step: WORLD[:4], d=D, steps=1)
    with pytest.raises(SpecError, match="weight_decay names W_gate"):
        fit_dictionaries(
            [(RUNS, replace(one, frozen=(), weight_decay={"W_gate": 0.1}))],
            lambda step: WORLD[:4],
            d=D,
            steps=1,
        )
