"""A study's condition computes what its words say, held to the same computed by hand."""

import numpy as np
import pytest
import xarray as xr

from assay.core.errors import ClaimError
from assay.core.judging import judge
from assay.studies.text import Said
from assay.studies.wording import claim, condition

SEEDS, DOCUMENTS, PENALTIES = 7, 8, (0.1, 0.2, 0.4)


def arm(level, *, penalties=PENALTIES, seed=0):
    """An arm with sums per run and document, a sweep of penalties, and one plain measure of a run."""
    of = np.random.default_rng(seed)
    runs = [(s, p) for p in penalties for s in range(SEEDS)]
    p = np.array([x[1] for x in runs])[:, None]
    tokens = of.integers(50, 90, (1, DOCUMENTS)).repeat(len(runs), 0).astype(float)
    noise = np.exp(0.05 * of.standard_normal((len(runs), DOCUMENTS)))
    variance = tokens * 3.0
    error = variance * level * p**0.5 * noise
    active = tokens * 4.0 / p * np.exp(0.03 * of.standard_normal((len(runs), DOCUMENTS)))
    named = {"error": error, "variance": variance, "active": active, "tokens": tokens}
    return xr.Dataset(
        {**{k: (("run", "document"), v) for k, v in named.items()}, "angle": ("run", 5 * level + of.standard_normal(len(runs)))},
        coords={"seed": ("run", [r[0] for r in runs]), "penalty": ("run", [r[1] for r in runs]), "document": [f"d{i}" for i in range(DOCUMENTS)]},
    )


ARMS = {"main": arm(0.2), "other": arm(0.3, seed=1), "again": arm(0.3, seed=2)}


def judged(holds, *, of="main", arms=ARMS, **said):
    words = Said(text=holds, holds=holds, control=("again",), **said)
    return judge(claim(words, of, condition(holds)), arms).verdict


def fvu(data, where):
    kept = data.isel(run=np.isclose(data.penalty, where))
    return float(kept.error.sum() / kept.variance.sum())


def test_a_quantity_is_a_ratio_of_sums():
    found = judged("main.fvu - other.fvu < -0.01", where={"penalty": 0.2}, units=("seed", "document"))
    assert found.estimate == pytest.approx(fvu(ARMS["main"], 0.2) - fvu(ARMS["other"], 0.2), rel=1e-12)
    assert found.n == {"seed": SEEDS, "document": DOCUMENTS}
    assert found.outcome == "holds"


def test_arithmetic_of_quantities():
    found = judged("log(main.fvu / other.fvu) < -0.1", where={"penalty": 0.2}, units=("seed", "document"))
    assert found.estimate == pytest.approx(np.log(fvu(ARMS["main"], 0.2) / fvu(ARMS["other"], 0.2)), rel=1e-12)


def test_a_stored_measure_is_averaged_over_units():
    kept = ARMS["main"].isel(run=np.isclose(ARMS["main"].penalty, 0.1))
    found = judged("main.angle < 2", where={"penalty": 0.1})
    assert found.estimate == pytest.approx(float(kept.angle.mean()), rel=1e-12)


def test_means_of_terms_as_in_judge():
    found = judged("mean(main.error) / mean(main.variance) < 0.5", where={"penalty": 0.4}, units=("seed", "document"))
    assert found.estimate == pytest.approx(fvu(ARMS["main"], 0.4), rel=1e-12)


def test_at_equal_budget_both_sides_are_read_at_the_same_l0():
    """By hand: FVU is piecewise linear in its logarithm over log L0, averaged over the range that both sweeps reach."""
    sides = []
    for name in ("main", "other"):
        data = ARMS[name]
        at = [data.isel(run=np.isclose(data.penalty, p)) for p in PENALTIES]
        l0 = [float(d.active.sum() / d.tokens.sum()) for d in at]
        sides.append((np.log(l0[::-1]), np.log([fvu(data, p) for p in PENALTIES][::-1])))
    low, high = (f(side[0][end] for side in sides) for f, end in ((max, 0), (min, -1)))
    points = np.linspace(low, high, 65)
    gaps = np.exp(np.interp(points, *sides[0])) - np.exp(np.interp(points, *sides[1]))
    found = judged("main.fvu - other.fvu < -0.01 at equal l0", units=("seed", "document"))
    assert found.estimate == pytest.approx(np.trapezoid(gaps, points) / (high - low), rel=1e-9)


def test_a_sweep_is_never_averaged_silently():
    with pytest.raises(ClaimError, match=r"differ in penalty \(0.1, 0.2, 0.4\)"):
        judged("main.fvu < 0.5")


@pytest.mark.parametrize(
    ("holds", "told"),
    [
        ("main.fvu < 0.5 at equal l0", "compares two arms"),
        ("main.fvu + other.fvu < 0.5 at equal l0", "plain difference of two arms"),
        ("2 * main.fvu - other.fvu < 0.5 at equal l0", "plain difference of two arms"),
        ("main.fvu - other.l0 < 0.5 at equal l0", "compares two arms"),
        ("main.fvu", "compares nothing"),
    ],
)
def test_what_has_no_meaning_is_refused(holds, told):
    with pytest.raises(ClaimError, match=told):
        condition(holds)


def test_a_wrong_name_is_told_with_those_there_are():
    with pytest.raises(ClaimError, match="did you mean fvu"):
        judged("main.fvuu < 0.5", where={"penalty": 0.2})


def test_the_control_takes_the_place_of_the_method():
    """Where both arms are alike the claim about main fails as it does for its control."""
    holds = "main.fvu - other.fvu < -0.01"
    words = Said(text=holds, holds=holds, control=("again",), where={"penalty": 0.2}, units=("seed", "document"))
    found = judge(claim(words, "main", condition(holds)), ARMS)
    expected = fvu(ARMS["again"], 0.2) - fvu(ARMS["other"], 0.2)
    assert found.controls["again"].estimate == pytest.approx(expected, rel=1e-12)
    assert found.controls["again"].outcome == "fails"
