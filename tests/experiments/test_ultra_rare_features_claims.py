"""Every claim of ultra-rare-features can hold, can fail, and can be made vacuous by each of its controls.

The numbers are planted, not trained: what the pilot saw per arm and kind of latent, with seeds of unequal luck.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Exact
from assay.core.findings import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments import ultra_rare_features as urf
from assay.experiments.ultra_rare_features import KINDS, MOMENTS, experiment

# arm → measure → value of each kind, of the rare ones first; what is left out is 0 and read by no claim
RARE = {
    "slope": -4.2, "late_slope": -4.9, "fallen": 0.9, "share": 0.73, "drift": 0.68, "cosine": 0.12, "alignment": 0.39, "synergy": 0.007,
}  # fmt: skip
PILOT = {
    "main": {
        "rare": RARE,
        "ordinary": {"slope": -0.24, "late_slope": -0.27, "fallen": 0.26, "drift": 0.15, "cosine": 0.77, "alignment": 0.01},
        "ordinary-2": {"slope": -0.15, "late_slope": -0.05, "fallen": 0.18, "drift": 0.14, "cosine": 0.78, "alignment": -0.01},
        "useful": {"slope": -0.04, "late_slope": -0.08},
        "dead-weight": {"synergy": 0.0},
        "pair": {"synergy": 0.69},
        "": {"rare_share": 0.35},
    },
    "strong": {"rare": {**RARE, "slope": -3.9, "share": 1.15}, "": {"rare_share": 0.5}},
    "no-l1": {"rare": {**RARE, "slope": -2.6, "share": 0.0}, "": {"rare_share": 0.36}},
    "centred": {"rare": RARE, "": {"rare_share": 0.07}},
}
BY_MOMENT = ("share", "drift", "cosine", "alignment", "synergy", "saved")


@dataclass(frozen=True)
class World:
    """Planted levels per arm, kind and measure; `half` holds what was different half-way."""

    levels: dict = field(default_factory=lambda: PILOT)
    half: dict = field(default_factory=dict)

    def but(self, arm="main", kind="rare", half=None, **values) -> "World":
        """The same world with some levels of one kind in one arm replaced."""
        levels = deepcopy(self.levels)
        levels[arm].setdefault(kind, {}).update(values)
        return replace(self, levels=levels, half=half or self.half)

    def arms(self) -> dict:
        """The measures that runs of the default preset would have, with the derived arms."""
        trained = {name: self.measures(name) for name in self.levels}
        made = {name: arm.derive(trained) for name, arm in experiment.arms.items() if arm.derive is not None}
        return {**trained, **made}

    def measures(self, arm):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        luck = np.random.default_rng(list(self.levels).index(arm))
        named = {}
        for name in ("slope", "late_slope", "fallen", *BY_MOMENT):
            shape = (len(runs), len(KINDS)) + ((len(MOMENTS),) if name in BY_MOMENT else ())
            values = np.zeros(shape)
            for k, kind in enumerate(KINDS):
                level = 1.0 if name == "saved" else self.levels[arm].get(kind, {}).get(name, 0.0)
                values[:, k] = level
                if name in BY_MOMENT and kind == "rare" and name in self.half:
                    values[:, k, MOMENTS.index("half")] = self.half[name]
            noise = luck.normal(0, 0.05, (len(runs), len(KINDS)))
            values += (0.1 * noise if name not in ("slope", "late_slope") else noise).reshape(
                shape[:2] + (1,) * (values.ndim - 2)
            )
            named[name] = ("run kind moment" if name in BY_MOMENT else "run kind", values, "1")
        share = self.levels[arm][""]["rare_share"] * np.exp(luck.normal(0, 0.1, len(runs)))
        return measures(runs, coords={"kind": list(KINDS), "moment": list(MOMENTS)}, rare_share=("run", share, "share"), **named)


WORLD = World()
FREED = WORLD.but("no-l1", slope=-0.1)
PLOTTING = WORLD.but(synergy=0.5)
# claim → (a world where it holds, if not WORLD; the same without the effect; {control: a world in which it passes too})
CASES = {
    "Left alone": (
        WORLD.but(slope=-0.3), {"ordinary": WORLD.but(kind="ordinary", slope=-3.0), "useful": WORLD.but(kind="useful", slope=-3.0)}
    ),
    "The same under the stronger penalty: median slope": (
        WORLD.but("strong", slope=-0.3),
        {"ordinary": WORLD.but(kind="ordinary", slope=-3.0), "useful": WORLD.but(kind="useful", slope=-3.0)},
    ),
    "There is no equilibrium": (
        WORLD.but(late_slope=-0.1),
        {"ordinary": WORLD.but(kind="ordinary", late_slope=-3.0), "useful": WORLD.but(kind="useful", late_slope=-3.0)},
    ),
    "Most of them end": (WORLD.but(fallen=0.2), {"ordinary": WORLD.but(kind="ordinary", fallen=0.95)}),
    "It takes the penalty": (FREED, WORLD, {"main": FREED.but(slope=-0.1)}),
    "When one fires": (WORLD.but(share=0.2), {"no-l1": WORLD.but("no-l1", share=0.8)}),
    "The same under the stronger penalty: median signed": (
        WORLD.but("strong", share=0.2), {"no-l1": WORLD.but("no-l1", share=0.8)}
    ),
    "That gradient": (WORLD.but(drift=0.2), {"ordinary": WORLD.but(drift=1.0).but(kind="ordinary", drift=0.7)}),
    "Their encoder and decoder": (
        WORLD.but(cosine=0.7, half={"cosine": 0.7}), {"ordinary": WORLD.but(kind="ordinary", cosine=0.1)}
    ),
    "They share": (
        WORLD.but(alignment=0.05, half={"alignment": 0.05}), {"ordinary": WORLD.but(kind="ordinary", alignment=0.5)}
    ),
    "They come from": (WORLD.but("centred", "", rare_share=0.35), {"strong": WORLD.but("strong", "", rare_share=0.1)}),
    "They conspire": (PLOTTING, WORLD, {"dead-weight": PLOTTING.but(kind="dead-weight", synergy=0.5)}),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


@pytest.mark.parametrize(("start", "half"), [("Their encoder and decoder", {"cosine": 0.4}), ("They share", {"alignment": 0.2})])
def test_numbers_that_still_move_decide_nothing(start, half):
    verdict = judge(claim_of(start), replace(WORLD, half=half).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_a_conspiracy_is_only_denied_where_a_planted_one_was_found():
    blind = judge(claim_of("They conspire"), WORLD.but(kind="pair", synergy=0.0).arms()).verdict
    assert (blind.outcome, blind.reason) == ("undecided", "planted pair not found")
    assert judge(claim_of("They conspire"), WORLD.arms()).planted["pair"].outcome == "holds"


def test_seeds_without_any_rare_latent_are_left_out_and_counted():
    arms = WORLD.arms()
    arms["main"].slope.loc[{"kind": "rare", "run": 0}] = np.nan
    verdict = judge(claim_of("Left alone"), arms).verdict
    assert verdict.n == {"seed": 5}
    assert (verdict.outcome, verdict.reason.split(":")[0]) == ("undecided", "too few units")


@pytest.mark.parametrize(
    "exact", [e for e in experiment.claims if isinstance(e, Exact) and "counted" not in e.text], ids=lambda e: e.text[:30]
)
def test_theory_comes_out_without_any_run(exact):
    assert verify(exact, {}).outcome == "exact"


def test_who_counts_as_rare():
    """Only exempt latents that were not planted, below the threshold and above what the formula resolves."""
    density = np.array([1e-4, 1e-4, 1e-4, 5e-3, 1e-15, 0.05, 0.06, 0.07])
    planted = np.arange(8) == 0
    exempt = np.array([True, True, False, True, True, False, True, True])
    found = urf.chosen(urf.DEFAULT, density, exempt & ~planted, planted)
    assert {k: v.tolist() for k, v in found.items()} == {"rare": [1], "ordinary": [5, 7], "ordinary-2": [6], "useful": [0]}


def test_a_quarter_and_a_half_are_checkpoints():
    assert len(urf.checkpoints(12_000)) == urf.CHECKPOINTS
    assert urf.moments(12_000) == [3000, 6000, 12_000]
    assert set(urf.moments(12_000)) <= set(urf.checkpoints(12_000))
