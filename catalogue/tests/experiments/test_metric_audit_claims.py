"""Every claim of metric-audit can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import xarray as xr
from named_claims import findings

from assay.core import Claim, Runs
from assay.core.measures import measures
from assay.lab.judge.result import with_derived
from assay_catalogue.experiments.metric_audit import experiment, model, planted
from assay_catalogue.experiments.metric_audit.claims import (
    CLAIMS,
    DRAWN,
    LABELS,
    SOFT,
    rank_correlation,
    variance,
)

CLOSE, BLIND = 0.3, 50.0
"""Noise of a score in deviations of the truth: one that follows the truth, and one that does not;
below 0 it runs against the truth."""
FAR = 12.0
PANELS = ("main", "lm")
SHAPE = (len(planted.KINDS), len(planted.MOMENTA), 2)


@dataclass(frozen=True)
class World:
    """Planted: by how much each judge of planted dictionaries errs, and how far each on a model
    sets TopK apart from the other kinds, in deviations."""

    errs: dict = field(default_factory=dict)
    apart: dict = field(default_factory=dict)

    def arms(self) -> dict:
        """One judge for each derived arm, and the panels that findings read."""
        found = {
            name: self.on_model(name) if name.startswith("lm-") else self.judge(name)
            for name, arm in experiment.arms.items()
            if arm.derive is not None
        }
        return found | {name: panel(name) for name in PANELS}

    def judge(self, name: str):
        runs, draw = runs_of("main"), stream(name)
        truths = true(len(runs))
        errs = self.errs.get(name, CLOSE if name in (*LABELS, "noisy-truth") else BLIND)
        score = np.sign(errs) * truths.mean(-1)
        score = score + draw.normal(0, abs(errs), score.shape)
        return measures(
            runs,
            coords=coords(),
            score=("run kind recipe copy", score, "1"),
            truths=("run kind recipe copy truth", truths, "1"),
        )

    def on_model(self, name: str):
        runs, draw = runs_of("lm"), stream(name)
        score = draw.normal(0, 1, (len(runs), len(model.KINDS), 2))
        luck = name.endswith("-twice") or name == "lm-numbers"
        for kind in (SOFT, DRAWN):
            score[:, model.KINDS.index(kind)] -= self.apart.get(name, 0 if luck else FAR) * 2**0.5
        score[:, 1:, 1] = np.nan
        kinds = {"kind": list(model.KINDS), "copy": [0, 1]}
        return measures(runs, coords=kinds, score=("run kind copy", score, "1"))


def runs_of(name: str) -> Runs:
    return Runs(experiment.specs_of(name, experiment.default))


def stream(name: str) -> np.random.Generator:
    """A stream of its own for each arm."""
    return np.random.default_rng([1, list(experiment.arms).index(name)])


def coords() -> dict:
    return {
        "kind": list(planted.KINDS),
        "recipe": list(range(SHAPE[1])),
        "copy": [0, 1],
        "truth": list(planted.TRUTHS),
    }


def true(runs: int) -> np.ndarray:
    """Two truths [run, kind, recipe, copy, truth] that nearly agree, the same for every judge."""
    draw = np.random.default_rng(9)
    return draw.normal(0, 1, (runs, *SHAPE, 1)) + draw.normal(0, 0.2, (runs, *SHAPE, 2))


def panel(name: str) -> xr.Dataset:
    runs, draw = runs_of(name), np.random.default_rng(77)
    if name == "lm":
        scores = draw.normal(0.5, 0.1, (len(runs), len(model.KINDS), 2, len(model.SCORES)))
        scores[:, 1:, 1] = np.nan
        levels = {"kind": list(model.KINDS), "copy": [0, 1], "measure": list(model.SCORES)}
        return measures(runs, coords=levels, scores=("run kind copy measure", scores, "1"))
    scores = draw.normal(0.5, 0.1, (len(runs), *SHAPE, len(planted.SCORES)))
    return measures(
        runs,
        coords={**coords(), "measure": list(planted.SCORES)},
        scores=("run kind recipe copy measure", scores, "1"),
        truths=("run kind recipe copy truth", true(len(runs)), "1"),
    )


WORLD = World()
JUDGED = [c for c in CLAIMS if isinstance(c, Claim)]
# claim → (the same without the effect, {control: a world in which it passes too})
CASES = {
    c.text: (
        replace(WORLD, errs={c.of: -CLOSE}),
        {control: replace(WORLD, errs={control: CLOSE}) for control in c.must_fail},
    )
    if c.value is rank_correlation
    else (
        replace(WORLD, apart={c.of: -3.0}),
        {control: replace(WORLD, apart={control: FAR}) for control in c.must_fail},
    )
    for c in JUDGED
}


def test_findings_can_be_computed():
    assert np.isfinite(list(findings(experiment, WORLD.arms()).values())).all()


@pytest.fixture(scope="module")
def derived():
    return with_derived(experiment, {name: panel(name) for name in PANELS})


def test_a_measure_as_the_judge_is_turned_so_that_higher_claims_to_be_better(derived):
    scores = derived["main"].scores
    np.testing.assert_array_equal(derived["fvu"].score.values, -scores.sel(measure="fvu").values)
    np.testing.assert_array_equal(derived["probe"].score.values, scores.sel(measure="probe").values)
    np.testing.assert_array_equal(derived["fvu"].truths.values, derived["main"].truths.values)
    assert "truths" not in derived["lm-fvu"]


def test_both_truths_with_a_tenth_of_noise_are_nearly_the_truth_and_random_numbers_are_not(derived):
    assert rank_correlation(derived["noisy-truth"], derived)["rho"].values.min() > 0.9
    assert np.abs(rank_correlation(derived["numbers"], derived)["rho"].values.mean()) < 0.2


def test_a_measure_of_another_world_is_that_of_the_same_recipes_and_of_no_world_its_own(derived):
    here, there = derived["fvu"].score.values, derived["fvu-elsewhere"].score.values
    for world in range(len(here)):
        np.testing.assert_array_equal(there[world], here[(world + 1) % len(here)])
    np.testing.assert_array_equal(derived["fvu-elsewhere"].truths, derived["fvu"].truths)


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


def test_the_noise_of_trainings_is_recovered_from_seeds_and_copies():
    draw = np.random.default_rng(3)
    kinds = draw.normal(0, 9, (1, len(model.KINDS), 1)) + draw.normal(
        0, 0.5, (400, len(model.KINDS), 2)
    )
    kinds[:, 1:, 1], kinds[:, model.KINDS.index(DRAWN)] = np.nan, 7 * draw.normal(size=(400, 2))
    score = xr.DataArray(kinds, dims=("seed", "kind", "copy"), coords={"kind": list(model.KINDS)})
    assert float(variance(score)) == pytest.approx(0.25, rel=0.05)


def test_rank_correlation_is_that_of_a_naive_count_by_each_truth(derived):
    arm = derived["probe"]
    score = arm.score.isel(run=3).values.ravel()
    for truth in planted.TRUTHS:
        true = arm.truths.isel(run=3).sel(truth=truth).values.ravel()
        ranks = [np.array([sum(y < x for y in v) for x in v], float) for v in (score, true)]
        n, d2 = len(score), ((ranks[0] - ranks[1]) ** 2).sum()
        found = rank_correlation(arm, derived)["rho"].sel(truth=truth).values[3]
        assert found == pytest.approx(1 - 6 * d2 / (n * (n * n - 1)))


def test_a_judge_of_one_truth_alone_has_the_rank_correlation_of_the_other():
    """The statistic is the worse of both truths: what follows one of two unrelated truths fails."""
    draw = np.random.default_rng(5)
    runs = runs_of("main")
    truths = draw.normal(size=(len(runs), *SHAPE, 2))
    arm = measures(
        runs,
        coords=coords(),
        score=("run kind recipe copy", truths[..., 0], "1"),
        truths=("run kind recipe copy truth", truths, "1"),
    )
    rho = rank_correlation(arm, {})["rho"]
    (claim,) = {c.statistic for c in JUDGED if c.of == "fvu"}
    means = {"rho": rho.mean("seed").values[None]}
    assert rho.sel(truth="F1").values == pytest.approx(1)
    assert claim(means)[0] == pytest.approx(float(rho.sel(truth="MMCS").mean()))
