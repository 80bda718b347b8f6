"""A level of a unit that an arm lacks counts as one without a number."""

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.errors import ClaimError

ARMS = {"new": 0.8, "old": 0.5, "shuffled": 0.1}


def table(units=14, seed=0, spread=0.05):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"arm": arm, "seed": k, "acc": rng.normal(m, spread), "host": f"node{rng.integers(4)}"}
        for arm, m in ARMS.items()
        for k in range(units)
    )


def judged(rows, claim="new.acc - old.acc > 0.1"):
    return assay.judge(rows, claim=claim, unit="seed", control="shuffled", about="new")


def without(rows, **seeds):
    for arm, lost in seeds.items():
        rows = rows[~((rows["arm"] == arm) & rows["seed"].isin(lost))]
    return rows


def test_a_missing_row_counts_as_one_without_a_number():
    """The interval is that of the pairs, and of the table with an empty cell in its place."""
    rows = table()
    missing = judged(without(rows, old=[7]))
    empty = judged(rows.assign(acc=rows["acc"].mask((rows["arm"] == "old") & (rows["seed"] == 7))))
    assert missing.outcome == "holds" and missing.n == {"seed": 13} and not missing.unless
    assert (missing.low, missing.high) == (empty.low, empty.high)
    each = rows[rows["seed"] != 7].pivot(index="seed", columns="arm", values="acc")
    assert missing.estimate == pytest.approx((each["new"] - each["old"]).mean())
    told = "1 of 14 seeds is left out: old lacks a number in seed 7"
    assert any(note.startswith(told) for note in missing.notes)


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


def test_a_control_may_lack_a_few_rows_and_have_others_of_its_own():
    rows = table()
    few = judged(without(rows, shuffled=[2]))
    assert few.outcome == "holds" and few.controls["shuffled"].n == {"seed": 13}
    more = rows[rows["arm"] == "shuffled"].assign(seed=lambda x: x["seed"] + 14)
    same = judged(pd.concat([rows, more]))
    assert same.controls["shuffled"].estimate == judged(rows).controls["shuffled"].estimate


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
