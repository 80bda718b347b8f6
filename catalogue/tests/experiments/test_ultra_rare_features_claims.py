"""Every claim of ultra-rare-features can hold, can fail, and can be made vacuous by each of its
controls.

The numbers are planted, not trained: about what a hunch that is right would give, with seeds of
unequal luck.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import Planted, claim_of, outcome_of

from assay.core import ClaimError, Exact, Runs, judge
from assay.core.estimates import verify
from assay.core.measures import measures
from assay_catalogue.experiments import ultra_rare_features as urf
from assay_catalogue.experiments.ultra_rare_features import experiment
from assay_catalogue.experiments.ultra_rare_features import method as urf_method
from assay_catalogue.experiments.ultra_rare_features.method import MOMENTS
from assay_catalogue.features.training_measures import KINDS

# arm → kind of latent → measure → value; what is left out was not measured of that kind
RARE = {
    "slope": -3.0,
    "late_slope": -3.2,
    "resists": 0.1,
    "share": 0.9,
    "drift": 0.6,
    "cosine": 0.15,
    "alignment": 0.4,
    "synergy": 0.005,
}
STAYING = {
    "slope": -0.1,
    "late_slope": -0.1,
    "resists": 0.9,
    "share": 0.2,
    "drift": 0.15,
    "cosine": 0.7,
    "alignment": 0.02,
}
PILOT = {
    "main": {
        "rare": {**RARE},
        "uncommon": {**STAYING},
        "ordinary": {**STAYING},
        "ordinary-2": {**STAYING},
        "useful": {**STAYING},
        "dead-weight": {"synergy": 0.0},
        "pair": {"synergy": 0.69},
        "": {"rare_share": 0.26},
    },
    "no-l1": {
        "rare": {**RARE, "share": 0.0, "resists": np.nan},
        "ordinary": {**STAYING},
        "": {"rare_share": 0.25},
    },
    "about-mean": {
        "rare": {**RARE, "late_slope": -4.2},
        "ordinary": {**STAYING},
        "": {"rare_share": 0.75},
    },
    "real": {
        "rare": {**RARE},
        "uncommon": {**STAYING},
        "ordinary": {**STAYING},
        "ordinary-2": {**STAYING},
        "": {"rare_share": 0.3},
    },
}
MEASURES = (
    "slope",
    "late_slope",
    "share",
    "resists",
    "drift",
    "synergy",
    "saved",
    "cosine",
    "alignment",
)
BY_MOMENT = ("cosine", "alignment")


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted levels per arm, kind and measure; `half` holds what was different half-way."""

    levels: dict = field(default_factory=lambda: PILOT)
    half: dict = field(default_factory=dict)

    def but(self, arm="main", kind="rare", half=None, **values) -> "World":
        """The same world with some levels of one kind in one arm replaced."""
        levels = deepcopy(self.levels)
        levels[arm].setdefault(kind, {}).update(values)
        return replace(self, levels=levels, half=half or self.half)

    def measures(self, arm):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        luck = np.random.default_rng(list(self.levels).index(arm))
        named = {}
        for name in MEASURES:
            shape = (len(runs), len(KINDS)) + ((len(MOMENTS),) if name in BY_MOMENT else ())
            values = np.zeros(shape)
            for k, kind in enumerate(KINDS):
                level = 1.0 if name == "saved" else self.levels[arm].get(kind, {}).get(name, np.nan)
                values[:, k] = level
                if name in BY_MOMENT and kind == "rare" and name in self.half:
                    values[:, k, MOMENTS.index("half")] = self.half[name]
            noise = luck.normal(0, 0.05, (len(runs), len(KINDS)))
            values += (0.1 * noise if name not in ("slope", "late_slope") else noise).reshape(
                shape[:2] + (1,) * (values.ndim - 2)
            )
            named[name] = ("run kind moment" if name in BY_MOMENT else "run kind", values, "1")
        share = self.levels[arm][""]["rare_share"] * np.exp(luck.normal(0, 0.1, len(runs)))
        return measures(
            runs,
            coords={"kind": list(KINDS), "moment": list(MOMENTS)},
            rare_share=("run", share, "share"),
            **named,
        )


WORLD = World()
FREED = WORLD.but("no-l1", slope=-0.1)
PLOTTING = WORLD.but(synergy=0.5)


def passing(world, of="main", kinds=("useful", "uncommon", "ordinary"), **values):
    """{control: a world in which that kind of latent has these values}."""
    return {
        kind if of == "main" else f"{of}-{kind}": world.but(of, kind, **values) for kind in kinds
    }


def unheld(of="main"):
    """{control: a world in which that kind of latent is held up by 0.4 less than what it is
    compared with}."""
    world = WORLD.but(of, resists=-0.5)  # so that the rare ones stay below
    named = {
        "uncommon": world.but(of, "uncommon", resists=0.4),
        "ordinary": world.but(of, "ordinary-2", resists=1.4),
    }
    named |= {"useful": world.but(of, "useful", resists=0.4)} if of == "main" else {}
    return {kind if of == "main" else f"{of}-{kind}": made for kind, made in named.items()}


ON_MODEL = {"of": "real", "kinds": ("uncommon", "ordinary")}
# claim → (a world where it holds, if not WORLD; the same without the effect; {control: a world in
# which it passes too})
CASES = {
    "Left alone": (WORLD.but(slope=-0.3), passing(WORLD, slope=-3.0)),
    "At Adam's constant rate": (WORLD.but(late_slope=-0.1), passing(WORLD, late_slope=-3.0)),
    "It takes the penalty": (FREED, WORLD, {"about-mean": FREED.but("about-mean", slope=-0.1)}),
    "When one fires": (WORLD.but(resists=0.85), unheld()),
    "Its encoder's gradient": (
        WORLD.but(share=0.2),
        passing(WORLD, kinds=("useful", "ordinary"), share=0.9)
        | {"no-l1": WORLD.but("no-l1", share=0.8)},
    ),
    "That gradient": (
        WORLD.but(drift=0.2),
        passing(WORLD, kinds=("useful", "uncommon"), drift=0.6)
        | {"ordinary": WORLD.but(drift=1.0).but(kind="ordinary", drift=0.7)},
    ),
    "Their encoder and decoder": (
        WORLD.but(cosine=0.7, half={"cosine": 0.7}),
        {
            "useful": WORLD.but(kind="useful", cosine=0.1),
            "uncommon": WORLD.but(kind="uncommon", cosine=0.4),
            "ordinary": WORLD.but(kind="ordinary-2", cosine=1.0),
        },
    ),
    "They come from": (
        WORLD.but("about-mean", "", rare_share=0.26),
        {"no-l1": WORLD.but("no-l1", "", rare_share=0.8)},
    ),
    "They conspire": (
        PLOTTING,
        WORLD,
        {"dead-weight": PLOTTING.but(kind="dead-weight", synergy=0.5)},
    ),
    "On SmolLM2, latents": (WORLD.but("real", slope=-0.3), passing(WORLD, **ON_MODEL, slope=-3.0)),
    "On SmolLM2, when": (WORLD.but("real", resists=0.85), unheld("real")),
    "On SmolLM2, their": (
        WORLD.but("real", cosine=0.7),
        {
            "real-uncommon": WORLD.but("real", "uncommon", cosine=0.4),
            "real-ordinary": WORLD.but("real", "ordinary-2", cosine=0.9),
        },
    ),
}


def test_numbers_that_still_move_decide_nothing():
    assert outcome_of(
        experiment, "Their encoder and decoder", WORLD.but(cosine=0.45, half={"cosine": 0.2}).arms()
    ) == ("undecided", "gate converged")


def test_a_conspiracy_is_only_denied_where_a_planted_one_was_found():
    blind = judge(
        claim_of(experiment, "They conspire"), WORLD.but(kind="pair", synergy=0.0).arms()
    ).verdict
    assert (blind.outcome, blind.reason) == ("undecided", "planted pair not found")
    assert (
        judge(claim_of(experiment, "They conspire"), WORLD.arms()).planted["pair"].outcome
        == "holds"
    )


def test_seeds_without_any_rare_latent_are_left_out_and_counted():
    arms = WORLD.arms()
    arms["main"].slope.loc[{"kind": "rare", "run": [0]}] = np.nan
    assert judge(claim_of(experiment, "Left alone"), arms).verdict.n == {"seed": 11}
    arms["main"].slope.loc[{"kind": "rare", "run": slice(0, 7)}] = np.nan
    verdict = judge(claim_of(experiment, "Left alone"), arms).verdict
    assert verdict.n == {"seed": 5}
    assert (verdict.outcome, verdict.reason.split(":")[0]) == ("undecided", "too few units")


@pytest.mark.parametrize(
    "exact",
    [e for e in experiment.claims if isinstance(e, Exact) and "counted" not in e.text],
    ids=lambda e: e.text[:30],
)
def test_theory_comes_out_without_any_run(exact):
    assert verify(exact, {}).outcome == "exact"


def test_who_counts_as_rare():
    """Only exempt latents that were not planted, below the threshold and above what the formula
    resolves."""
    density = np.array([1e-4, 1e-4, 1e-4, 5e-3, 1e-15, 0.05, 0.06, 0.07])
    planted = np.arange(8) == 0
    exempt = np.array([True, True, False, True, True, False, True, True])
    found = urf_method.latents_by_kind(urf.DEFAULT, density, exempt & ~planted, planted, 1e-12)
    wanted = {"rare": [1], "ordinary": [5, 7], "ordinary-2": [6], "useful": [0], "uncommon": [3]}
    assert {k: v.tolist() for k, v in found.items()} == wanted


def test_latents_are_followed_from_a_quarter_on_and_start_with_nobody_fresh():
    assert urf_method.moments(12_000) == [3000, 6000, 12_000]
    specs = [
        experiment.specs_of(a, p)[0]
        for a in ("main", "real")
        for p in (experiment.smoke, experiment.default)
    ]
    for s in specs:
        assert urf_method.checkpoints(s)[0] == urf_method.moments(s.steps)[0]
        assert set(urf_method.moments(s.steps)) <= set(urf_method.checkpoints(s))
        assert (
            s.silent <= urf_method.moments(s.steps)[0]
        )  # the first of two checks comes after the start


def test_a_claim_about_planted_inputs_is_not_asked_of_a_model():
    with pytest.raises(ClaimError, match="subject"):
        judge(replace(claim_of(experiment, "Left alone"), of="real", also={}), WORLD.arms())
