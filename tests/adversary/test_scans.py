"""Scans in many planted worlds: whoever asks the same of ten layers and reports the best finds
nothing where nothing is, and a true effect of one layer holds among them.

In a world of nothing the effect of every layer is the threshold itself, so that one claim alone
holds by luck in 2.5 % of worlds at most; in one of an effect one layer has twice as much."""

import numpy as np
import pytest
import xarray as xr

from assay.core.claims import Claim
from assay.core.judging import judge

families = pytest.importorskip("assay.lab.judge.families")

CASES, A_DAY, LAYERS, UNITS = 200, 4, 10, 24
THRESHOLD = 0.5


def claims():
    """The claim that a study makes about each layer."""
    made = [
        Claim(
            text=f"block {layer} carries it",
            condition=f"cut_{layer}.r - main.r > {THRESHOLD}",
            of=f"cut_{layer}",
            value=lambda arm, arms: arm.r - arms["main"].r,
            units=("prompt",),
            low=THRESHOLD,
            must_fail=("none",),
            near={"none": "any other block does it"},
            threshold_from="plan: half a nat",
            source="here",
        )
        for layer in range(LAYERS)
    ]
    return families.simultaneous(made)


def best(draw, true):
    """Whether the claim about each layer holds; the first has the true effect."""
    base, shared = draw.normal(size=UNITS), draw.normal(size=UNITS)
    coords = {"prompt": [str(i) for i in range(UNITS)], "seed": ("run", np.arange(6))}

    def arm(x):
        return xr.Dataset({"r": (("run", "prompt"), np.repeat(x[None], 6, 0))}, coords=coords)

    mix = draw.uniform(0, 0.8)  # how alike the layers are
    arms = {"main": arm(base), "none": arm(base + 0.1 * draw.normal(size=UNITS))}
    for layer in range(LAYERS):
        own = mix * shared + (1 - mix**2) ** 0.5 * draw.normal(size=UNITS)
        arms[f"cut_{layer}"] = arm(base + (THRESHOLD if layer else true) + 0.5 * own)
    return [judge(claim, arms).outcome == "holds" for claim in claims()]


@pytest.mark.parametrize("cases", [A_DAY, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_the_best_of_ten_layers_is_found_by_luck_as_rarely_as_one(cases):
    found = [any(best(np.random.default_rng([1, k]), THRESHOLD)) for k in range(cases)]
    assert np.mean(found) <= 0.025, np.mean(found)


@pytest.mark.parametrize("cases", [A_DAY, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_a_layer_that_does_it_holds_among_ten_at_twice_the_margin(cases):
    found = [best(np.random.default_rng([2, k]), 2 * THRESHOLD)[0] for k in range(cases)]
    assert np.mean(found) >= 0.9, np.mean(found)
