"""A level of a unit that an arm lacks counts as one without a number."""

import numpy as np
import pandas as pd
import pytest

import assay

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
    assert missing.outcome == "holds" and missing.n == {"seed": 13}
    assert (missing.low, missing.high) == (empty.low, empty.high)
    each = rows[rows["seed"] != 7].pivot(index="seed", columns="arm", values="acc")
    assert missing.estimate == pytest.approx((each["new"] - each["old"]).mean())
    (note,) = (note for note in missing.notes if note.code == "left-out")
    assert note.data == {"n": 1, "of": 14, "unit": "seed"}


def test_a_control_may_lack_a_few_rows_and_have_others_of_its_own():
    rows = table()
    few = judged(without(rows, shuffled=[2]))
    assert few.outcome == "holds" and few.n == {"seed": 14}
    wide = rows.pivot(index="seed", columns="arm", values="acc").drop(2)
    kept = (wide["shuffled"] - wide["old"]).mean()
    assert few.controls["shuffled"].estimate == pytest.approx(kept)
    more = rows[rows["arm"] == "shuffled"].assign(seed=lambda x: x["seed"] + 14)
    same = judged(pd.concat([rows, more]))
    assert same.controls["shuffled"].estimate == judged(rows).controls["shuffled"].estimate
