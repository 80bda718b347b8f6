"""Every claim of belief-states can hold, can fail, and can be made vacuous by its controls; planted measures, nothing trained."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Exact
from assay.core.findings import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.belief_states import experiment

ENDING = {
    "main": 0.5, "half": 0.49, "untrained": -0.05, "untrained-again": -0.05, "whole": 0.3, "no-decay": 0.4, "planted": 0.99, "noise": -0.1,
    "own-prediction": 0.2, "untrained-with-table": -0.05, "shuffled": -0.02, "shuffled-moments": 0.5, "mess3": 0.98, "mess3-half": 0.977,
    "mess3-untrained": 0.75, "mess3-untrained-again": 0.75,
}  # fmt: skip
PREFIX = {
    "main": 0.82, "half": 0.82, "untrained": 0.06, "untrained-again": 0.06, "whole": 0.58, "no-decay": 0.72, "planted": 0.99, "noise": -0.08,
    "own-prediction": 0.29, "untrained-with-table": 0.58, "shuffled": -0.02, "shuffled-moments": 0.82, "mess3": 0.995, "mess3-half": 0.995,
    "mess3-untrained": 0.87, "mess3-untrained-again": 0.87,
}  # fmt: skip
DISTANCES = {"untrained": (0.05, 0.02), "untrained-again": (0.05, 0.02), "own-prediction": (0.24, 1.0), "planted": (0.99, 0.23)}
TABLES = {"ending": (0.0, 0.07, 0.04, 0.04, -0.06, -0.06, -0.06), "prefix": (0.07, 0.21, 0.31, 0.46, 0.61, 0.69, 0.74)}


@dataclass(frozen=True)
class World:
    """R² of the probe that stands for each arm, of the others beside it, of distances, and how training went."""

    ending: dict = field(default_factory=dict)
    """Changes to ENDING."""
    prefix: dict = field(default_factory=dict)
    """Changes to PREFIX."""
    softmax: dict = field(default_factory=lambda: {"mess3": 0.985, "mess3-half": 0.985})
    """R² of the network's own prediction, endings held out, where it is not 0.2."""
    with_table: dict = field(default_factory=lambda: {"untrained": 0.58, "untrained-again": 0.58})
    """R² of the stream with the table of 5 beside it, prefixes held out, where it is not 0.82; planted 0.99."""
    additive: float = 0.9
    """R² of the last 6 tokens on Mess3, endings held out."""
    distances: dict = field(default_factory=dict)
    excess: dict = field(default_factory=dict)
    """Excess loss where it is not 0.0002."""
    emerging: tuple = ("main",)
    """Arms whose R² grows as the loss falls."""

    def arms(self) -> dict:
        return {arm: self.measures(arm, i) for i, arm in enumerate(experiment.arms)}

    def level(self, arm: str, protocol: str, probe: str) -> float:
        own, changes = (ENDING, self.ending) if protocol == "ending" else (PREFIX, self.prefix)
        if probe == "softmax":
            return self.softmax.get(arm, 0.2) if protocol == "ending" else 0.29
        if probe == "concat + table":
            return {"planted": 0.99, **self.with_table}.get(arm, 0.82)
        if probe.startswith("last "):
            return TABLES[protocol][int(probe[5:]) - 1]
        if probe in ("additive", "next token"):
            return self.additive if arm == "mess3-tokens" else 0.2
        return {**own, **changes}[arm]

    def measures(self, arm: str, stream: int):
        runs, rng = Runs(experiment.specs_of(arm, experiment.default)), np.random.default_rng(stream)
        mess3, n = runs.shared.process == "mess3", len(runs)
        probes = ["concat", "layer 1", "layer 2", "layer 3", "layer 4", "softmax", *(() if mess3 else ("concat + table",))]
        if arm.endswith("tokens"):
            probes = [f"last {k}" for k in range(1, 8)] + ["additive", "next token"]
        sizes = {"prefix": ("ending", 12) if mess3 else ("belief", 35), "ending": ("ending", 12 if mess3 else 58)}
        named = {}
        for protocol, (dim, size) in sizes.items():
            spread = 1.0 + np.arange(size) / size
            level = np.array([self.level(arm, protocol, probe) for probe in probes])
            noise = rng.lognormal(0, 0.02, (n, 1, 1)) * rng.lognormal(0, 0.05, (n, len(probes), size))
            named[f"{protocol}_error"] = (f"run probe {dim}", (1 - level)[None, :, None] * spread * noise, "1")
            named[f"{protocol}_spread"] = (f"run {dim}", np.broadcast_to(spread, (n, size)), "1")
        coords = {"probe": probes, "ending": list(range(sizes["ending"][1])), "belief": list(range(35))}
        if not arm.endswith("tokens"):
            untrained = 0.0 if arm == "planted" else 0.3
            named["excess"] = ("run", np.full(n, self.excess.get(arm, 0.0002 if runs.shared.steps else untrained)), "nats")
        if not mess3 and not arm.endswith("tokens"):
            belief, following = {**DISTANCES, **self.distances}.get(arm, (0.58, 0.31))
            for name, value in (("belief", belief), ("next", following)):
                named[f"distance_{name}"] = ("run probe", value + 0.01 * rng.normal(size=(n, len(probes))), "R²")
        if arm in ("main", "shuffled-moments"):
            falling = np.broadcast_to(0.3 / 2.0 ** np.arange(10), (n, 10))
            grows = np.linspace(0, 0.5, 10) + 0.01 * rng.normal(size=(n, 10))
            named["excess_at"] = ("run moment", falling, "nats")
            named["r2_at"] = ("run moment", grows if arm in self.emerging else rng.permuted(grows, axis=1), "R²")
        return measures(runs, coords={k: v for k, v in coords.items() if any(k in dims.split() for dims, *_ in named.values())}, **named)


WORLD = World()

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "A planted belief with noise": (World(ending={"planted": 0.5}), {"noise": World(ending={"noise": 0.99})}),
    "The stream holds the belief beyond": (
        World(ending={"main": 0.06, "half": 0.06}),
        {"untrained": World(ending={"untrained": 0.5}), "shuffled": World(ending={"shuffled": 0.5})},
    ),
    "Beyond the next token": (
        World(ending={"main": 0.2, "half": 0.2}),
        {"untrained": World(ending={"untrained": 0.5}), "mess3": World(softmax={"mess3": 0.5})},
    ),
    "Training puts it there": (World(ending={"untrained": 0.45}), {"untrained-again": World(ending={"untrained-again": 0.5})}),
    "Beside the table of the last 5": (
        replace(WORLD, with_table={**WORLD.with_table, "main": 0.62, "half": 0.62}),
        {"untrained": World(with_table={"untrained": 0.8})},
    ),
    "Alone it beats the table": (
        World(prefix={"main": 0.62, "half": 0.62}),
        {"untrained-with-table": World(prefix={"untrained-with-table": 0.8})},
    ),
    "And the table of the last 7": (
        World(prefix={"main": 0.75, "half": 0.75}),
        {"untrained-with-table": World(prefix={"untrained-with-table": 0.82})},
    ),
    "It grows over training": (World(emerging=()), {"shuffled-moments": World(emerging=("main", "shuffled-moments"))}),
    "Its geometry is the belief's": (
        World(distances={"main": (0.33, 0.31), "half": (0.33, 0.31)}),
        {"untrained": World(distances={"untrained": (0.4, 0.1)}), "own-prediction": World(distances={"own-prediction": (0.9, 0.5)})},
    ),
    "Loss does not decide it": (World(prefix={"whole": 0.81}), {"main": World(prefix={"main": 0.6})}),
    "On Mess3 the last layer": (
        World(ending={"mess3-untrained": 0.95, "mess3-untrained-again": 0.95}),
        {"mess3-untrained-again": World(ending={"mess3-untrained-again": 0.97})},
    ),
    "And at least 0.03 of R² more": (World(additive=0.975), {"mess3-untrained": World(ending={"mess3-untrained": 0.96})}),
    "On Mess3 hardly anything": (
        World(ending={"mess3": 0.75, "mess3-half": 0.75}),
        {"mess3-untrained": World(ending={"mess3-untrained": 0.98})},
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


@pytest.mark.parametrize("start", [c.text for c in CLAIMS if c.gates])
def test_a_network_that_has_not_learned_decides_nothing(start):
    verdict = judge(claim_of(start), World(excess=dict.fromkeys(experiment.arms, 0.004)).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate excess loss at most 0.001")


@pytest.mark.parametrize("start", [c.text for c in CLAIMS if "planted" in c.must_hold])
def test_a_probe_that_misses_a_planted_belief_decides_nothing(start):
    blind = World(ending={"planted": -0.1}, prefix={"planted": 0.0}, with_table={"planted": 0.6}, distances={"planted": (0.2, 0.3)})
    verdict = judge(claim_of(start), blind.arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "planted planted not found")


def test_a_value_that_still_moves_at_half_length_is_not_converged():
    verdict = judge(claim_of("The stream holds"), World(ending={"half": 0.05}).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_what_is_exact():
    arms = WORLD.arms()
    assert [verify(e, arms).outcome for e in experiment.claims if isinstance(e, Exact)] == ["exact"] * 5
