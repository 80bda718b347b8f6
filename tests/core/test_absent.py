"""A level of a unit that an arm lacks counts as one without a number."""

import pytest

from acceptance.test_absent import judged, table, without
from assay.core.errors import ClaimError


def test_missing_rows_that_may_be_the_worst_ones_leave_a_claim_undecided():
    rows = table(spread=0.2)
    each = rows.pivot(index="seed", columns="arm", values="acc")
    worst = (each["new"] - each["old"]).nsmallest(3).index
    low = judged(without(rows, new=worst)).low
    threshold = low - 0.01  # just below the interval of the pairs that are left
    found = judged(without(rows, new=worst), f"new.acc - old.acc > {threshold:.3f}")
    assert found.outcome == "undecided" and found.reason == "grouped by missing numbers"


def test_more_than_a_quarter_of_missing_rows_decide_nothing():
    found = judged(without(table(), old=[0, 3, 7, 9]))
    assert found.outcome == "undecided" and found.reason == "grouped by missing numbers"


def test_arms_with_hardly_any_level_in_common_are_no_pairs():
    rows = table()
    with pytest.raises(ClaimError, match="arms cannot be paired"):
        judged(without(rows, new=range(9), old=range(10, 14)))
    own = rows.assign(seed=rows["seed"] + 100 * (rows["arm"] == "old"))
    assert judged(own).n == {"seed": 28}


def test_a_ratio_of_means_with_missing_rows_holds_if_it_would_whatever_they_are():
    """Seeds with a 0 below, whose ratio is infinite, are as good as others."""
    rows = table(60)
    rows["acc"] = rows["acc"].mask((rows["arm"] == "old") & (rows["seed"] < 3), 0.0)
    lost = without(rows, new=[10, 11], old=[20], shuffled=[30])
    found = judged(lost, "mean(new.acc) / mean(old.acc) > 1.3")
    each = lost.pivot(index="seed", columns="arm", values="acc")[["new", "old"]].dropna()
    assert found.estimate == pytest.approx(each["new"].mean() / each["old"].mean())
    assert (found.outcome, found.unless) == ("holds", "")
    below = f"mean(new.acc) / mean(old.acc) > {found.low - 1e-3:.4f}"
    assert judged(lost, below).reason == "grouped by missing numbers"
