"""Planted worlds for features-per-dimension: measures in which its claims hold, fail, and are made
vacuous by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.claims import Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.features_per_dimension import experiment
from assay_catalogue.experiments.features_per_dimension.method import (
    DRAWN,
    SCALES,
    FeaturesPerDimension,
    classifier,
    measure,
    rescale,
)

FINE = np.array([2.5, 2.45, 2.4, 2.3, 2.0, 1.9, 1.6, 1.0])
"""Features per dimension at eight densities, the sparsest first."""
LOG = np.log(SCALES)


@dataclass(frozen=True)
class World:
    """Per arm; `main-half` is as `main`."""

    rise: dict = field(
        default_factory=lambda: {
            "main": 0.15,
            "untrained": -0.05,
            "rescaled": -0.2,
            "relu": 0.0,
            "bias": 0.1,
            "tanh": 0.1,
        }
    )
    """Share by which the loss grows when W is divided or multiplied by 1.25; for a net, W₂ doing
    the opposite."""
    scatter: dict = field(default_factory=lambda: {"main": 0.1, "untrained": 0.1, "rescaled": 2.0})
    """Spread of ln ‖W‖² beside what dimensionality says."""
    over: dict = field(default_factory=lambda: {"main": 1.3, "rescaled": 1.3, "untrained": 0.7})
    """‖W‖²/d over what dimensionality says at the sparsest inputs."""
    change: dict = field(default_factory=lambda: {"relu": 1e-7, "bias": 0.2, "tanh": 1.5})
    reclassified: dict = field(default_factory=lambda: {"relu": 0.0, "bias": 0.1, "tanh": 0.05})
    alone: float = 0.15
    """By how much cross-entropy moves when W₁ alone is halved or doubled, nats."""
    square: float = 1.0
    moved: float = 0.0
    biased: float = 0.0
    times: float = 0.0

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, n = np.random.default_rng(stream), len(runs)
        kind, tied = arm.removesuffix("-half"), runs.shared.net == "tied"
        lead = (n, 8) if tied else (n,)
        axes, coords = ("run density", {"density": runs.shared.densities}) if tied else ("run", {})
        noise = rng.normal(size=lead)
        fine = FINE * np.exp(0.002 * noise) if tied else np.exp(0.01 * noise)
        size = fine * np.exp(self.scatter[kind] * rng.normal(size=lead)) if tied else fine
        size = size * np.array([self.over[kind], *np.ones(7)]) if tied else size
        slope = (np.log1p(self.rise.get(kind, 0.1)) / np.log(1.25) * (1 + 0.02 * noise))[..., None]
        loss = 0.5 * np.exp(0.01 * noise)[..., None] * np.exp(slope * np.abs(LOG))
        named = {
            "fpd": (f"{axes} scale", size[..., None] * np.array(SCALES) ** (2 * self.square), "1"),
            "moved": (f"{axes} scale", np.full((*lead, 7), self.moved), "dimensions"),
            "fine": (axes, fine, "1"),
            "loss": (f"{axes} scale", loss, "1"),
        }
        if tied:
            named["drawn"] = (
                "run density factor",
                0.5 * np.exp(0.01 * noise)[..., None] * np.exp(slope * np.abs(np.log(DRAWN))),
                "1",
            )
            coords |= {"factor": DRAWN}
            named["held_out"] = ("run density", rng.random(lead), "squared input")
        else:
            each = np.exp(0.1 * noise)[:, None] * np.ones(7)
            named |= {
                "change": ("run scale", self.change[kind] * each, "1"),
                "reclassified": ("run scale", self.reclassified[kind] * each, "1"),
                "loss_alone": (
                    "run scale",
                    0.5 + self.alone * each * np.abs(LOG) / np.log(2),
                    "nats",
                ),
                "change_biased": ("run scale", self.biased * each, "1"),
                "not_times": ("run scale", self.times * each, "1"),
                "accuracy": ("run", np.full(n, 0.8), "share"),
                "attainable": ("run", np.full(n, 0.84), "share"),
            }
        return measures(runs, coords=coords | {"scale": SCALES}, **named)


WORLD = World()


def but(of: str, **changes) -> World:
    """The world with other numbers for some arms."""
    return replace(WORLD, **{of: getattr(WORLD, of) | changes})


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "The loss of a tied autoencoder": (
        but("rise", main=0.01),
        {"untrained": but("rise", untrained=0.15), "relu": but("rise", relu=0.15)},
    ),
    "On trained autoencoders": (
        but("scatter", main=2.0),
        {"rescaled": but("scatter", rescaled=0.1)},
    ),
    "And it counts too many": (but("over", main=1.0), {"untrained": but("over", untrained=1.4)}),
}
EXACT = [e for e in experiment.claims if isinstance(e, Exact)]


def test_what_half_a_training_gives_otherwise_decides_nothing():
    class Halved(World):
        def measures(self, arm, stream):
            other = but("scatter", main=0.0 if arm == "main-half" else 0.15)
            return other.measures(arm, stream)

    verdict = judge(claim_of(experiment, "On trained autoencoders"), Halved().arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


@pytest.mark.parametrize(
    ("start", "broken"),
    [
        ("‖cW‖²/d is c²", replace(WORLD, square=0.9)),
        ("Dimensionality does not move", replace(WORLD, moved=1e-3)),
        ("With the first layer alone", replace(WORLD, times=0.1)),
        ("Biases do not end", replace(WORLD, biased=0.1)),
        ("Two layers of a bias-free", but("change", relu=0.1)),
        ("Without the second factor", but("reclassified", relu=0.02)),
    ],
)
def test_what_is_exact_is_checked(start, broken):
    [statement] = [e for e in EXACT if e.text.startswith(start)]
    assert verify(statement, WORLD.arms()).outcome == "exact"
    assert verify(statement, broken.arms()).outcome == "violated"


def test_arithmetic_comes_out():
    [statement] = [e for e in EXACT if e.text.startswith("A tied hexagon's loss")]
    assert verify(statement, {}).outcome == "exact"


# --- bad input, and the whole way on a small one --------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 6}, "width is the rank, at most the 5 features, got 6"),
        (
            {"features": 7, "width": 2},
            "features must be from 1 to 6, as expected losses are enumerated, got 7",
        ),
        ({"densities": (0.1, 1.0)}, "at least three and ascend"),
        ({"densities": (0.1, 0.5, 1.5)}, "above 0 and at most 1"),
        ({"apart": 0.0}, "apart must be positive, got 0"),
        ({"steps": -1}, "steps must be at least 0, got -1"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError, match=said) as e:
        FeaturesPerDimension(**wrong)
    assert "\n" not in str(e.value)


def test_what_arms_set_cannot_be_set():
    with pytest.raises(SpecError, match="net is for arms to set"):
        experiment.specs_of("main", tuple(s.replace(net="relu") for s in experiment.smoke))


def smoke(arm, seeds):
    specs = [s for s in experiment.specs_of(arm, experiment.smoke) if s.seed in seeds]
    runs = Runs(specs)
    return runs, experiment.arms[arm].train(runs, Unkept())


@pytest.mark.parametrize("arm", ["main", "relu", "bias"])
def test_a_run_alone_measures_as_among_others(arm):
    (many, together), (one, alone) = smoke(arm, range(4)), smoke(arm, [2])
    mine, theirs = measure(one, alone, Unkept()), measure(many, together, Unkept())
    for name in ("fpd", "fine", "loss"):
        np.testing.assert_allclose(mine[name][0], theirs[name][2], rtol=1e-5)


def test_rescaled_models_keep_their_place_and_their_dimensionality():
    runs, before = smoke("main", range(4))
    other = Runs(experiment.specs_of("rescaled", tuple(runs)))
    main, rescaled = (
        measure(runs, before, Unkept()),
        measure(other, rescale(other, Unkept(), before), Unkept()),
    )
    np.testing.assert_allclose(rescaled.held_out, main.held_out, rtol=1e-4)
    np.testing.assert_allclose(rescaled.fine, main.fine, rtol=1e-5)
    factor = np.sqrt(rescaled.fpd / main.fpd).values
    assert (
        0.1 <= factor.min() < factor.max() <= 10
        and len(np.unique(factor[..., 0].round(6))) == factor[..., 0].size
    )


def test_a_classifier_reports_what_the_formula_says():
    runs, done = smoke("relu", range(2))
    found = classifier(runs, done.tensors, Unkept())
    assert (
        float(np.max(found["change"][1].numpy())) < 1e-6
        and float(found["reclassified"][1].max()) == 0
    )
    assert float(found["not_times"][1].max()) < 1e-6
