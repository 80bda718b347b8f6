"""Planted worlds for sgd-noise: steps, losses and noise of networks in which its claims hold, fail, and are made vacuous.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.claims import Claim, Exact
from assay.core.errors import SpecError
from assay.core.findings import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.sgd_noise import experiment
from assay.experiments.sgd_noise.method import SNAPSHOTS, StepNoise
from assay.lab.preset import override

LOCKED = ("main", "epochs", "skewed", "full", "adam")
PAIR = np.array([4.0, -6.0, 9.0])
"""Variances and covariance of the pair under SGD, in some unit."""
PAIRS = {"diag": PAIR * [1, 0, 1], "iso": np.array([6.5, 0, 6.5])}


@dataclass(frozen=True)
class World:
    """Per arm what its steps, losses or noise are like; what an arm does not name is as theory has it."""

    correlation: dict = field(default_factory=dict)
    """Of each arm; of the curves at one trial an example."""
    pair: dict = field(default_factory=dict)
    skewness: dict = field(default_factory=dict)
    diffusion: dict = field(default_factory=dict)
    ratio: dict = field(default_factory=dict)
    """Participation ratio over isotropic noise's."""
    off: float = 0.0
    """How far every number with a closed form lies from it, as a share."""

    def arms(self) -> dict:
        return {arm: self.measures(arm, i) for i, arm in enumerate(experiment.arms)}

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, s = np.random.default_rng(stream), runs.shared
        return {"walk": self.walk, "network": self.network}[s.task](arm, runs, rng)

    def walk(self, arm, runs, rng):
        n = len(runs)
        noise = rng.normal(0, 0.002, n)
        trials = np.maximum(runs.each("held"), runs.each("evaluations"))
        start = {"es": 0.46, "es-49": 0.955}.get(arm, 1.0 if arm in LOCKED else 0.0)
        rises = {"environment": 0.4, "es": 0.45}.get(arm, 0.0)
        exact = self.correlation.get(arm, start) + rises * (trials > 1) * (arm != "es-49")
        sign = np.sign(runs.each("a") * runs.each("c"))
        r = np.where(exact == 1, 1.0, exact + noise) * sign
        pair = self.pair.get(arm, PAIRS.get(arm, PAIR)) + rng.normal(0, 0.05, (n, 3))
        wanted = pair.mean(0) * np.ones((n, 1)) * (1 + self.off)
        if arm in ("environment", "es"):
            wanted = np.stack([np.ones(n), exact + self.off, np.ones(n)], 1)
        along = np.array([-0.1, 0.3]) * (1 + rng.normal(0, 0.01, (n, 2)))
        skewness = 0.707 if arm == "skewed" else 0.0
        return measures(
            runs,
            correlation=("run", r, "1"),
            pair=("run entry", pair, "squared step"),
            pair_expected=("run entry", wanted, "squared step"),
            along=("run moment", along, "step"),
            along_expected=("run moment", along.mean(0) * np.ones((n, 1)) * (1 + self.off), "step"),
            skewness=("run", self.skewness.get(arm, skewness) + noise - noise.mean(), "1"),
            skewness_expected=("run", np.full(n, skewness + self.off), "1"),
            diffusion=("run", np.full(n, self.diffusion.get(arm, {"iso": 1.0, "diag": 0.85}.get(arm, 1e-30))), "τ² a step"),
            some=("run kept axis", rng.normal(size=(n, 4, 2)), "step"),
        )

    def network(self, arm, runs, rng):
        of = arm.removesuffix("-half")
        usual = {"softmax": 0.42, "softmax-diag": 0.44, "mlp": 0.4, "mlp-diag": 0.48, "mlp-balanced": 0.6, "mlp-even": 0.8}
        start = usual.get(of, 0.85)
        reference = 220 * (1 + rng.normal(0, 0.005, (len(runs), len(SNAPSHOTS))))
        found = self.ratio.get(arm, self.ratio.get(of, start)) * reference * (1 + rng.normal(0, 0.005, reference.shape))
        return measures(
            runs,
            coords={"snapshot": SNAPSHOTS},
            participation=("run snapshot", found, "directions"),
            reference=("run snapshot", reference, "directions"),
            loss=("run snapshot", np.ones_like(found), "nats"),
        )


WORLD = World()

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Where classes are as unequal": (World(ratio={"softmax": 1.0}), {"softmax-balanced": World(ratio={"softmax-balanced": 0.4})}),
    "Most of it is unequal variances": (
        World(ratio={"softmax-diag": 0.9}),
        {"softmax-even": World(ratio={"softmax-even": 0.45})},
    ),
    "So has that of a network": (World(ratio={"mlp": 1.0}), {"mlp-balanced": World(ratio={"mlp-balanced": 0.4})}),
    "So it is in the network": (World(ratio={"mlp-diag": 0.9}), {"mlp-even": World(ratio={"mlp-even": 0.45})}),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]
EXACT = [e for e in experiment.claims if isinstance(e, Exact)]


@pytest.mark.parametrize(("start", "arm"), [("Where classes are as", "softmax"), ("So has that", "mlp")])
def test_what_half_a_training_gives_otherwise_decides_nothing(start, arm):
    [claim] = [c for c in CLAIMS if c.text.startswith(start)]
    verdict = judge(claim, World(ratio={f"{arm}-half": 1.3}).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_what_has_a_closed_form_is_checked():
    good, bad = WORLD.arms(), World(off=0.05).arms()
    outcomes = {e.text: (verify(e, good).outcome, verify(e, bad).outcome) for e in EXACT if "closed form" in e.text}
    assert len(outcomes) == 5 and set(outcomes.values()) == {("exact", "violated")}, outcomes
    [same] = [e for e in EXACT if "normal noise less SGD" in e.text]
    assert verify(same, World(pair={"full": PAIR * 1.05}).arms()).outcome == "violated"
    [lock] = [e for e in EXACT if e.text.startswith("SGD's correlation")]
    assert (verify(lock, good).outcome, verify(lock, World(correlation={"epochs": 0.99}).arms()).outcome) == ("exact", "violated")
    [third] = [e for e in EXACT if e.text.startswith("Second moments do not see")]
    assert (verify(third, good).outcome, verify(third, World(skewness={"full": 0.7}).arms()).outcome) == ("exact", "violated")
    [kept] = [e for e in EXACT if e.text.startswith("What no example moves")]
    assert (verify(kept, good).outcome, verify(kept, World(diffusion={"main": 1.0}).arms()).outcome) == ("exact", "violated")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch": 1001}, "StepNoise.batch must be at most the 1000 examples that there are, got 1001"),
        ({"coordinates": 2}, "StepNoise.coordinates must be at least 3, got 2"),
        ({"held": 0}, "StepNoise.held must be at least 1, got 0"),
        ({"evaluations": 0}, "StepNoise.evaluations must be at least 1, got 0"),
        ({"law": "linear", "sharpness": 30.0}, "StepNoise.sharpness × mutation is too large to stay linear"),
        ({"steps": 30}, "StepNoise.steps must be a multiple of 20"),
        ({"subset": 2049}, "StepNoise.subset must be at most the 2048 weights of the network, got 2049"),
        ({"mutation": 0.0}, "StepNoise.mutation must be positive, got 0"),
        ({"c": 0.0}, "a and c other than 0"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        StepNoise(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("setting", "arm"),
    [({"sharpness": 10.0}, "environment"), ({"batch": 5000, "examples": 5000}, "softmax")],
)
def test_what_only_an_arm_cannot_do_is_told_before_anything_is_trained(setting, arm):
    specs = tuple(s.replace(**setting) for s in experiment.smoke)
    with pytest.raises(SpecError):
        experiment.specs_of(arm, specs)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("spread=0", "StepNoise.spread is for arms to set: leave it at 1.0, got 0.0"),
        ("drift=0", "StepNoise.drift is for arms to set"),
        ("law=iso", "StepNoise.law is for arms to set: leave it at 'sgd', got 'iso'"),
        ("coordinates=3", "StepNoise.coordinates must be at least 4, .* got 3"),
    ],
)
def test_what_arms_set_cannot_be_set(setting, said):
    with pytest.raises(SpecError, match=said):
        override(experiment, "smoke", [setting])


@pytest.mark.parametrize("arm", ["environment", "es-49", "softmax", "mlp"])
def test_a_run_alone_is_the_run_among_others(arm):
    specs = experiment.specs_of(arm, experiment.smoke)[-2:]
    a = experiment.arms[arm]
    together, alone = (experiment.measure(runs, a.train(runs, Unkept()), Unkept()) for runs in (Runs(specs), Runs(specs[-1:])))
    for name, values in alone.data_vars.items():
        np.testing.assert_allclose(values[0], together[name][-1], rtol=1e-4, atol=1e-7, err_msg=str(name))


class Killed(Exception):
    """What a run dies of."""


class Cut(Unkept):
    """Keeps what is saved after every part, and dies after the third."""

    def __init__(self):
        self.kept = None
        self.dies = True

    def restore(self):
        return self.kept

    def due(self):
        return True

    def save(self, step, tensors):
        self.kept = (step, {k: v.clone() for k, v in tensors.items()})
        if step == 3 and self.dies:
            self.dies = False
            raise Killed


@pytest.mark.parametrize("arm", ["main", "adam", "es-49"])
def test_a_run_that_was_killed_goes_on_exactly(arm):
    runs = Runs(experiment.specs_of(arm, experiment.smoke))
    bench = Cut()
    with pytest.raises(Killed):
        experiment.arms[arm].train(runs, bench)
    resumed, whole = experiment.arms[arm].train(runs, bench), experiment.arms[arm].train(runs, Unkept())
    for name, tensor in whole.tensors.items():
        assert torch.equal(resumed.tensors[name], tensor), name
