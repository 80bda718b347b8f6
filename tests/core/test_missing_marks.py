"""A number that may mark a missing one is named, with what the claim would be without it."""

import numpy as np
import pandas as pd
import pytest

import assay

MARKED = np.random.default_rng(1).permutation(50)[:13]


def table(numbers, value=0, *marked):
    """Three arms of one law; in those that are named, a quarter of the rows have a mark."""
    rng = np.random.default_rng(0)
    columns = {arm: numbers(rng, 50).astype(float) for arm in ("new", "old", "placebo")}
    for arm in marked:
        columns[arm][MARKED] = value
    return pd.concat(
        pd.DataFrame({"arm": arm, "item": range(50), "rank": x}) for arm, x in columns.items()
    )


def judged(rows, threshold):
    return assay.judge(
        rows, claim=f"new.rank - old.rank {threshold}", unit="item", control="placebo", about="new"
    )


@pytest.mark.parametrize(
    ("value", "numbers", "threshold", "end"),
    [
        (-1, lambda rng, n: rng.integers(9, 15, n), "< -1.5", "at least 9"),
        (0, lambda rng, n: rng.normal(100, 5, n).round(1), "< -5", "at least "),
        (999, lambda rng, n: rng.poisson(20, n), "> 5", "at most "),
        (-99, lambda rng, n: rng.normal(0, 1, n), "< -5", "at least -"),
    ],
)
def test_a_claim_that_is_true_because_of_marks_alone_says_so(value, numbers, threshold, end):
    """Arms of one law differ by marks in a quarter of the rows of one, and not without these."""
    rows = table(numbers, value, "new")
    v = judged(rows, threshold)
    assert v.outcome == "holds" and v.unless == f"{value} marks a missing rank"
    (note,) = (n for n in v.notes if "marks a missing number" in n)
    assert note.startswith(f"rank is {value} in 13 of 50 rows of new, and {end}")
    # what is left is the mean difference of the other 37 items
    each = rows.pivot(index="item", columns="arm", values="rank").drop(MARKED)
    number = float(note.partition("the number is ")[2].split()[0])
    assert number == pytest.approx((each["new"] - each["old"]).mean(), abs=0.06)
    # marks in both arms change nothing by themselves, and are named in both
    both = judged(table(numbers, value, "new", "old"), threshold)
    assert any("in 13 of 50 rows of new and 13 of 50 rows of old" in n for n in both.notes)


def test_numbers_that_recur_by_themselves_are_no_marks():
    clean = {
        "right or wrong": lambda rng, n: rng.random(n) < 0.2,
        "counts": lambda rng, n: rng.poisson(4, n),
        "counts, often none": lambda rng, n: rng.poisson(8, n) * (rng.random(n) < 0.7),
        "changes of a count": lambda rng, n: rng.poisson(1, n) - rng.poisson(0.3, n),
        "grades": lambda rng, n: rng.integers(-2, 3, n),
        "activations": lambda rng, n: np.maximum(0, rng.normal(size=n)),
        "percentages": lambda rng, n: rng.normal(92, 6, n).round().clip(0, 99),
    }
    for name, numbers in clean.items():
        notes = judged(table(numbers), "> 0.1").notes
        assert not any("marks a missing" in n for n in notes), name


def test_numbers_that_are_filled_in_are_named_in_the_arm_that_has_them():
    """Of arms of one law, the lowest 40% of one are filled in with the mean of the others, or with
    the row before."""
    rng = np.random.default_rng(2)
    arms = {arm: pd.Series(rng.normal(5, 1, 200).round(2)) for arm in ("new", "old", "placebo")}
    kept = arms["new"].mask(arms["new"] < arms["new"].quantile(0.4))
    filled = {"the mean of all others": kept.fillna(kept.mean()), "before": kept.ffill().bfill()}
    for how, new in (*filled.items(), ("nothing", arms["new"] + 0.6)):
        frames = [pd.DataFrame({"arm": a, "rank": x}) for a, x in (arms | {"new": new}).items()]
        v = judged(pd.concat(frames).rename_axis("item").reset_index(), "> 0.2")
        unless = "missing numbers in rank of new were filled in" if how in filled else ""
        assert (v.outcome, v.unless) == ("holds", unless)
        notes = [n for n in v.notes if "rows of new, and in no other arm" in n]
        assert how in notes[0] if unless else not notes


def test_a_baseline_that_is_given_again_for_each_layer_is_not_filled_in():
    """The layer has nothing to do with what the unchanged model does."""
    rng, layers = np.random.default_rng(3), np.arange(6)
    base = np.repeat(rng.normal(0, 1, 30), len(layers))
    frame = {"item": np.repeat(np.arange(30), len(layers)), "layer": np.tile(layers, 30)}
    arms = {"new": base + 1 + rng.normal(0, 0.3, base.size), "old": base}
    rows = pd.concat([pd.DataFrame({"arm": a, **frame, "rank": x}) for a, x in arms.items()])
    claim = "new.rank[layer=3] - old.rank[layer=3] > 0.2"
    v = assay.judge(rows, claim=claim, unit="item", about="new")
    assert v.outcome == "holds"
    assert not v.unless.startswith("missing")
    assert not any("row before" in note for note in v.notes)
