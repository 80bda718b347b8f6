"""Every claim of metric-audit can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Finding
from assay.core.estimates import estimate
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.metric_audit import experiment, model, planted
from assay.experiments.metric_audit.claims import (
    CLAIMS,
    DRAWN,
    LABELS,
    QUARTER,
    SOFT,
    rank_correlation,
    variance,
)
from assay.lab.result import with_derived

CLOSE, BLIND = 0.1, 50.0
"""Noise of a score on the scale of the truth, whose kinds are spread over 1: one that follows the
truth, and one that does not; below 0 it runs against the truth."""
FAR = 12.0
PANELS = ("main", "half", "lm")
BELIEVED = {*LABELS, *(f"{name}-half" for name in LABELS), "noisy-truth"}


@dataclass(frozen=True)
class World:
    """Planted: by how much each judge errs, and how far it sets TopK apart from the other kinds, in
    deviations."""

    errs: dict = field(default_factory=dict)
    apart: dict = field(default_factory=dict)

    def but(self, errs=None, apart=None) -> World:
        """Give the same with other judges; a measure's half-length arm goes with it."""

        def halves(given):
            return {
                f"{name}{end}": value
                for name, value in (given or {}).items()
                for end in ("", "-half")
            }

        return replace(self, errs=self.errs | halves(errs), apart=self.apart | halves(apart))

    def arms(self) -> dict:
        """One judge for each derived arm, and the panels that findings read."""
        found = {
            name: self.judge(name)
            for name, arm in experiment.arms.items()
            if arm.derive is not None
        }
        return found | {name: self.panel(name) for name in PANELS}

    def judge(self, name: str):
        panel = "lm" if name.startswith("lm-") else "half" if name.endswith("-half") else "main"
        runs, draw = (
            Runs(experiment.specs_of(panel, experiment.default)),
            np.random.default_rng(list(experiment.arms).index(name)),
        )
        kinds = list(model.KINDS if panel == "lm" else planted.KINDS)
        truth = np.linspace(0, 1, len(kinds))[None, :, None] + np.random.default_rng(9).normal(
            0, 0.01, (len(runs), len(kinds), 2)
        )
        errs = self.errs.get(name, CLOSE if name in BELIEVED or panel == "lm" else BLIND)
        sign, errs = np.sign(errs), abs(errs)
        score = sign * truth + draw.normal(0, errs, truth.shape)
        luck = "twice" in name or name in ("numbers", "lm-numbers", "l0", "dead", "moved")
        for kind in (QUARTER, SOFT, DRAWN):
            if kind in kinds and (kind != SOFT or panel == "lm"):
                distance = self.apart.get(name, 0.0 if luck else FAR)
                score[:, kinds.index(kind)] = (
                    sign * truth[:, kinds.index("topk")]
                    - distance * 2**0.5 * errs
                    + draw.normal(0, errs, (len(runs), 2))
                )
        if panel == "lm":
            score[:, 1:, 1] = np.nan
        named = {"score": ("run kind copy", score, "1")} | (
            {"truth": ("run kind copy", truth, "F1")} if panel != "lm" else {}
        )
        return measures(runs, coords={"kind": kinds, "copy": [0, 1]}, **named)

    def panel(self, name: str):
        runs, draw = Runs(experiment.specs_of(name, experiment.default)), np.random.default_rng(77)
        kinds, scores = (
            (model.KINDS, model.SCORES) if name == "lm" else (planted.KINDS, planted.SCORES)
        )
        named = {
            "scores": (
                "run kind copy measure",
                draw.normal(0.5, 0.1, (len(runs), len(kinds), 2, len(scores))),
                "1",
            )
        }
        if name == "lm":
            named["scores"][1][:, 1:, 1] = np.nan
        else:
            named |= {
                "truth": (
                    "run kind copy",
                    draw.uniform(0.2, 0.9, (len(runs), len(kinds), 2)),
                    "F1",
                ),
                "redrawn": ("run measure", draw.normal(0.5, 0.1, (len(runs), len(scores))), "1"),
            }
        return measures(
            runs, coords={"kind": list(kinds), "copy": [0, 1], "measure": list(scores)}, **named
        )


WORLD = World()
JUDGED = [c for c in CLAIMS if isinstance(c, Claim)]
# claim → (the same without the effect, {control: a world in which it passes too})
CASES = {
    c.text: (
        WORLD.but(errs={c.of: -CLOSE}),
        {control: WORLD.but(errs={control: CLOSE}) for control in c.must_fail},
    )
    if c.value is rank_correlation
    else (
        WORLD.but(apart={c.of: -3.0}),
        {control: WORLD.but(apart={control: FAR}) for control in c.must_fail},
    )
    for c in JUDGED
}


def test_findings_can_be_computed():
    arms = WORLD.arms()
    for finding in (f for f in CLAIMS if isinstance(f, Finding)):
        assert np.isfinite(estimate(finding, arms).estimate), finding.text


@pytest.fixture(scope="module")
def derived():
    return with_derived(experiment, {name: WORLD.panel(name) for name in PANELS})


def test_a_measure_as_the_judge_is_turned_so_that_higher_claims_to_be_better(derived):
    panel = derived["main"].scores
    np.testing.assert_array_equal(derived["fvu"].score.values, -panel.sel(measure="fvu").values)
    np.testing.assert_array_equal(derived["probe"].score.values, panel.sel(measure="probe").values)
    np.testing.assert_array_equal(derived["fvu"].truth.values, derived["main"].truth.values)
    assert "truth" not in derived["lm-fvu"]


def test_the_truth_with_a_tenth_of_its_spread_as_noise_is_nearly_the_truth_and_random_numbers_are_not(  # noqa: E501
    derived,
):
    assert rank_correlation(derived["noisy-truth"], derived).values.min() > 0.9
    assert np.abs(rank_correlation(derived["numbers"], derived).values.mean()) < 0.3


def test_where_a_second_training_stands_for_every_other_kind_the_gap_is_that_of_two_trainings(
    derived,
):
    score, twice = derived["lm-fvu"].score.sel(kind="topk").values, derived["lm-fvu-twice"].score
    for kind in (SOFT, DRAWN):
        np.testing.assert_array_equal(twice.sel(kind=kind).values, score[:, ::-1])
    for kind in ("topk", "relu"):
        np.testing.assert_array_equal(
            twice.sel(kind=kind).values, derived["lm-fvu"].score.sel(kind=kind).values
        )


def test_the_noise_of_trainings_is_recovered_from_copies_and_on_a_model_from_seeds():
    import xarray as xr

    draw = np.random.default_rng(3)
    worlds = draw.normal(0, 9, (400, 1, 1)) + draw.normal(0, 0.5, (400, len(planted.KINDS), 2))
    score = xr.DataArray(
        worlds, dims=("seed", "kind", "copy"), coords={"kind": list(planted.KINDS)}
    )
    assert float(variance(score, same_world=False).mean()) == pytest.approx(0.25, rel=0.05)
    kinds = draw.normal(0, 9, (1, len(model.KINDS), 1)) + draw.normal(
        0, 0.5, (400, len(model.KINDS), 2)
    )
    kinds[:, 1:, 1], kinds[:, model.KINDS.index(DRAWN)] = np.nan, 7 * draw.normal(size=(400, 2))
    score = xr.DataArray(kinds, dims=("seed", "kind", "copy"), coords={"kind": list(model.KINDS)})
    assert float(variance(score, same_world=True).mean()) == pytest.approx(0.25, rel=0.05)


def test_rank_correlation_is_that_of_a_naive_count(derived):
    from itertools import combinations

    arm = derived["probe"]
    a, b = (
        arm[n].sel(kind=list(planted.FINISHED)).isel(run=0).values.ravel()
        for n in ("score", "truth")
    )
    ranks = [np.array([sum(y < x for y in values) for x in values], float) for values in (a, b)]
    d2 = ((ranks[0] - ranks[1]) ** 2).sum()
    n = len(a)
    assert len(list(combinations(a, 2))) == n * (n - 1) / 2
    assert rank_correlation(arm, derived).values[0] == pytest.approx(1 - 6 * d2 / (n * (n * n - 1)))
