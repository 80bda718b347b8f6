"""Every claim of belief-states can hold, can fail, and can be made unspecific by its controls;
planted measures, nothing trained."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from named_claims import claim_of

from assay.core.claims import Claim, Exact
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.belief_states import experiment

ENDING = {
    "main": 0.5,
    "half": 0.49,
    "untrained": -0.05,
    "planted": 0.99,
    "noise": -0.1,
    "own-prediction": 0.2,
    "untrained-with-kernel": 0.2,
    "table": -0.06,
    "shuffled": -0.02,
    "mess3": 0.98,
    "mess3-half": 0.977,
    "mess3-untrained": 0.75,
    "mess3-untrained-with-kernel": 0.88,
}
PREFIX = {
    "main": 0.82,
    "half": 0.82,
    "untrained": 0.06,
    "planted": 0.99,
    "noise": -0.08,
    "own-prediction": 0.29,
    "untrained-with-kernel": 0.71,
    "table": 0.6,
    "shuffled": -0.02,
    "mess3": 0.995,
    "mess3-half": 0.995,
    "mess3-untrained": 0.87,
    "mess3-untrained-with-kernel": 0.95,
}
TOKENS = {
    "ending": (0.0, 0.07, 0.04, 0.04, -0.06, -0.06, -0.06),
    "prefix": (0.07, 0.21, 0.31, 0.46, 0.61, 0.69, 0.74),
}
DISTANCES = {
    "untrained": (0.05, 0.02),
    "own-prediction": (0.24, 1.0),
    "planted": (0.99, 0.23),
    "tokens": (0.4, 0.35),
    "table": (0.4, 0.36),
    "noise": (0.02, 0.02),
    "untrained-with-kernel": (0.1, 0.08),
}


@dataclass(frozen=True)
class World:
    """R² of the probe that stands for each arm, of what reads the tokens, of distances, and how
    training went."""

    ending: dict = field(default_factory=dict)
    """Changes to ENDING."""
    prefix: dict = field(default_factory=dict)
    """Changes to PREFIX."""
    kernel: dict = field(default_factory=lambda: {"ending": 0.2, "prefix": 0.7})
    """R² of kernel regression on RRXOR's tokens."""
    additive: float = 0.88
    """R² of the last 6 tokens on Mess3, endings held out."""
    distances: dict = field(default_factory=dict)
    excess: dict = field(default_factory=dict)
    """Excess loss where it is not 0.0002."""

    def arms(self) -> dict:
        return {arm: self.measures(arm, i) for i, arm in enumerate(experiment.arms)}

    def level(self, arm: str, protocol: str, probe: str) -> float:
        own, changes = (ENDING, self.ending) if protocol == "ending" else (PREFIX, self.prefix)
        if probe == "softmax":
            return 0.2
        if arm == "mess3-tokens":
            return self.additive if probe == "additive" else 0.8
        if probe == "kernel":
            return self.kernel[protocol]
        if probe.startswith("last "):
            return TOKENS[protocol][int(probe[5:]) - 1]
        return 0.02 if probe in ("additive", "next token") else {**own, **changes}[arm]

    def measures(self, arm: str, stream: int):
        like = arm.removesuffix(
            "-with-kernel"
        )  # a derived arm has the runs of the one that it is made from
        runs, rng = (
            Runs(experiment.specs_of(like, experiment.default)),
            np.random.default_rng(stream),
        )
        mess3, n, tokens = runs.shared.process == "mess3", len(runs), arm.endswith("tokens")
        probes = ["concat", *(f"layer {i}" for i in range(1, 5)), "softmax"]
        if tokens:
            probes = [f"last {k}" for k in range(1, 3 if mess3 else 8)] + [
                "additive",
                "next token",
                "kernel",
            ]
        if arm == "shuffled":
            probes = ["concat"]
        named = {}
        for protocol in ("ending",) if mess3 or arm == "shuffled" else ("prefix", "ending"):
            left = 1 - np.array([self.level(arm, protocol, probe) for probe in probes])
            named[f"{protocol}_missing"] = (
                "run probe",
                left * rng.lognormal(0, 0.02, (n, 1)) * rng.lognormal(0, 0.02, (n, len(probes))),
                "share",
            )
        if not tokens and arm != "shuffled":
            untrained = 0.0 if arm == "planted" else 0.3
            named["excess"] = (
                "run",
                np.full(n, self.excess.get(arm, 0.0002 if runs.shared.steps else untrained)),
                "nats",
            )
        if not mess3 and arm != "shuffled":
            belief, following = {**DISTANCES, **self.distances}.get(arm, (0.58, 0.31))
            for name, value in (("belief", belief), ("next", following)):
                named[f"distance_{name}"] = (
                    "run probe",
                    value + 0.01 * rng.normal(size=(n, len(probes))),
                    "R²",
                )
        return measures(runs, coords={"probe": probes}, **named)


WORLD = World()

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "A linear probe of the stream": (
        World(kernel={"ending": 0.5, "prefix": 0.9}),
        {
            arm: World(ending={arm: 0.5})
            for arm in ("untrained-with-kernel", "own-prediction", "noise", "shuffled")
        },
    ),
    "With single prefixes held out": (
        World(kernel={"ending": 0.2, "prefix": 0.94}),
        {"untrained-with-kernel": World(prefix={"untrained-with-kernel": 0.85})},
    ),
    "Its geometry is the belief's": (
        World(distances={"main": (0.33, 0.31), "half": (0.33, 0.31)}),
        {
            arm: World(distances={arm: (0.8, 0.3)})
            for arm in ("untrained", "own-prediction", "table", "tokens")
        },
    ),
    "On Mess3 a linear probe": (
        World(additive=0.965),
        {
            arm: World(ending={arm: 0.96})
            for arm in ("mess3-untrained", "mess3-untrained-with-kernel")
        },
    ),
    "On Mess3 hardly anything": (
        World(ending={"mess3": 0.75, "mess3-half": 0.75}),
        {
            "mess3-untrained": World(ending={"mess3-untrained": 0.98}),
            "mess3-tokens": World(additive=0.98),
        },
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


@pytest.mark.parametrize("start", [c.text for c in CLAIMS if c.gates])
def test_a_network_that_has_not_learned_decides_nothing(start):
    verdict = judge(
        claim_of(experiment, start), World(excess=dict.fromkeys(experiment.arms, 0.004)).arms()
    ).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate excess loss at most 0.001")


@pytest.mark.parametrize("start", [c.text for c in CLAIMS if "planted" in c.must_hold])
def test_a_probe_that_misses_a_planted_belief_decides_nothing(start):
    blind = World(
        ending={"planted": -0.1}, prefix={"planted": 0.0}, distances={"planted": (0.2, 0.3)}
    )
    verdict = judge(claim_of(experiment, start), blind.arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "planted planted not found")


def test_a_value_that_still_moves_at_half_length_is_not_converged():
    verdict = judge(
        claim_of(experiment, "Its geometry"), World(distances={"half": (0.85, 0.31)}).arms()
    ).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_what_is_exact():
    arms = WORLD.arms()
    assert [verify(e, arms).outcome for e in experiment.claims if isinstance(e, Exact)] == [
        "exact"
    ] * 5
