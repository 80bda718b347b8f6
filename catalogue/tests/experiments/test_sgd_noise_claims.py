"""Planted worlds for sgd-noise: noise of networks in which its claims hold, fail, and are made
vacuous.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.claims import Claim
from assay.core.errors import SpecError
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.lab.plan.preset import override
from assay_catalogue.experiments.sgd_noise import SNAPSHOTS, GradientNoise, experiment

USUAL = {
    "main": 0.42,
    "softmax-diag": 0.44,
    "mlp": 0.4,
    "mlp-diag": 0.48,
    "mlp-balanced": 0.6,
    "mlp-even": 0.8,
}
HALF = {"softmax-half": "main", "mlp-half": "mlp"}


@dataclass(frozen=True)
class World:
    """Per arm what its noise is like; what is not named is as usual, and trainings half as long are
    as whole ones."""

    ratio: dict = field(default_factory=dict)
    """Participation ratio over isotropic noise's."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs, rng = (
            Runs(experiment.specs_of(arm, experiment.default)),
            np.random.default_rng(stream),
        )
        reference = 220 * (1 + rng.normal(0, 0.005, (len(runs), len(SNAPSHOTS))))
        whole = HALF.get(arm, arm)
        found = (
            self.ratio.get(arm, self.ratio.get(whole, USUAL.get(whole, 0.85)))
            * reference
            * (1 + rng.normal(0, 0.005, reference.shape))
        )
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
    "Where classes are as unequal": (
        World(ratio={"main": 1.0}),
        {"softmax-balanced": World(ratio={"softmax-balanced": 0.4})},
    ),
    "Most of it is unequal variances": (
        World(ratio={"softmax-diag": 0.9}),
        {"softmax-even": World(ratio={"softmax-even": 0.45})},
    ),
    "So has that of a network": (
        World(ratio={"mlp": 1.0}),
        {"mlp-balanced": World(ratio={"mlp-balanced": 0.4})},
    ),
    "So it is in the network": (
        World(ratio={"mlp-diag": 0.9}),
        {"mlp-even": World(ratio={"mlp-even": 0.45})},
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


@pytest.mark.parametrize(
    ("start", "half"), [("Where classes are as", "softmax-half"), ("So has that", "mlp-half")]
)
def test_what_half_a_training_gives_otherwise_decides_nothing(start, half):
    [claim] = [c for c in CLAIMS if c.text.startswith(start)]
    verdict = judge(claim, World(ratio={half: 0.05}).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"batch": 4001},
            "GradientNoise.batch must be at most the 4000 examples that there are, got 4001",
        ),
        (
            {"subset": 2049},
            "GradientNoise.subset must be at most the 2048 weights of the network, got 2049",
        ),
        ({"hidden": -1}, "GradientNoise.hidden must be at least 0, got -1"),
        ({"lr": 0.0}, "GradientNoise.lr must be positive, got 0"),
        ({"zipf": -1.0}, "GradientNoise.zipf must be at least 0, got -1"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        GradientNoise(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("setting", ["law=diag", "hidden=48", "zipf=0"])
def test_what_arms_set_cannot_be_set(setting):
    with pytest.raises(
        SpecError, match=f"GradientNoise.{setting.partition('=')[0]} is for arms to set"
    ):
        override(experiment, "smoke", [setting])


@pytest.mark.parametrize("arm", ["main", "mlp"])
def test_a_run_alone_is_the_run_among_others(arm):
    specs = experiment.specs_of(arm, experiment.smoke)[-2:]
    a = experiment.arms[arm]
    together, alone = (
        experiment.measure(runs, a.train(runs, Unkept()), Unkept())
        for runs in (Runs(specs), Runs(specs[-1:]))
    )
    for name, values in alone.data_vars.items():
        np.testing.assert_allclose(
            values[0], together[name][-1], rtol=1e-4, atol=1e-7, err_msg=str(name)
        )
