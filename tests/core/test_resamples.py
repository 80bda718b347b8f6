"""Units that are drawn from the same rows make nothing more certain about new rows."""

import numpy as np
import pandas as pd
import pytest

import assay


def bootstraps(rng, effect, unit="bootstrap", count=40):
    """The means of 50 rows, whose differences have a standard deviation of 0.25, in resamples."""
    base, gain = rng.normal(0.5, 0.2, 50), rng.normal(effect, 0.25, 50)
    drawn = rng.integers(0, 50, (count, 50))
    columns = {"mine": base + gain, "base": base, "random": base + rng.normal(0, 0.02, 50)}
    return pd.concat(
        pd.DataFrame({"arm": arm, unit: range(count), "acc": x[drawn].mean(1)})
        for arm, x in columns.items()
    )


def judged(rows, unit="bootstrap"):
    ask = {"claim": "mine.acc - base.acc > 0.03", "control": "random", "about": "mine"}
    return assay.judge(rows, unit=unit, **ask)


def test_bootstraps_decide_about_as_often_as_the_rows_they_are_drawn_from():
    """At the threshold, a t interval over 50 rows is on either side of it in 5% of tables."""
    rng = np.random.default_rng(0)
    outcomes = [judged(bootstraps(rng, 0.03)).outcome for _ in range(20)]
    assert outcomes.count("undecided") >= 17  # binomial: fewer in 0.3% of runs
    # eight standard errors from it
    assert judged(bootstraps(rng, 0.31)).outcome == "holds"


@pytest.mark.parametrize(("unit", "doubted"), [("rep", True), ("run", False), ("prompt", False)])
def test_units_that_may_be_resamples_by_their_name_are_a_reserve(unit, doubted):
    rows = bootstraps(np.random.default_rng(1), 0.09, unit)
    verdict = judged(rows, unit)
    assert verdict.outcome == "holds"
    assert ("are resamples of the same rows" in verdict.unless) == doubted


def test_names_of_splits_of_a_benchmark_are_no_resamples():
    rows = bootstraps(np.random.default_rng(1), 0.09, "split", 12)
    assert judged(rows, "split").outcome == "undecided"
    names = rows.assign(split=[*"abcdefghijkl"] * 3)
    assert judged(names, "split").outcome == "holds"
