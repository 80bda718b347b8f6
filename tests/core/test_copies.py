"""Copies of units are found by how likely it is that numbers agree, however few digits they
have."""

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.copies import check_copies
from assay.core.errors import DataError


def table(numbers):
    """A table of three arms with a row of numbers for each item."""
    items, arms = numbers.shape
    arm, item = np.repeat(["new", "old", "placebo"][:arms], items), np.tile(range(items), arms)
    return pd.DataFrame({"arm": arm, "item": item, "score": numbers.T.ravel()})


def is_refused(numbers, *, apart=False):
    rows = table(numbers)
    try:
        check_copies(rows.assign(item=range(len(rows))) if apart else rows, ("item",), ["score"])
    except DataError:
        return True
    return False


@pytest.mark.parametrize("digits", [2, 3, 12])
@pytest.mark.parametrize(("items", "times"), [(10, 4), (20, 2), (12, 3)])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_exact_copies_are_refused_however_few_digits_their_numbers_have(
    digits, items, times, scale
):
    rng = np.random.default_rng(items)
    numbers = np.round(0.5 + 0.06 * rng.normal(size=(items, 3)), digits) * scale
    if digits == 3:
        assert not is_refused(numbers)
    assert is_refused(np.tile(numbers, (times, 1)))
    # in arms that have items of their own as well
    assert is_refused(np.tile(numbers, (times, 1)), apart=True)
    # some more often than others, as far as numbers are fine enough to be of one item alone
    uneven = np.repeat(numbers, rng.integers(2, 5, items), axis=0)
    assert is_refused(uneven) or digits == 2


FEW_VALUED = {
    "right or wrong": lambda z: (z > 0.3).astype(float),
    "rarely right": lambda z: (z > 1.5).astype(float),
    "counts": lambda z: np.floor(np.exp(0.7 * z + 0.5)),
    "grades": lambda z: np.clip(np.round(z + 3), 1, 5),
    "shares": lambda z: np.round(np.clip(np.round(3.5 + 1.5 * z), 0, 7) / 7, 3),
    "two digits": lambda z: np.round(0.5 + 0.06 * z, 2),
}
QUICK = ("right or wrong", "counts")


@pytest.mark.parametrize(
    "measured",
    [
        pytest.param(measured, id=name, marks=[pytest.mark.thorough] * (name not in QUICK))
        for name, measured in FEW_VALUED.items()
    ],
)
def test_independent_items_are_not_refused_though_many_agree(measured):
    rng, refused = np.random.default_rng(0), 0
    for k in range(100):
        items, alike = (40, 100, 300)[k % 3], (0, 0.5, 0.95)[k // 3 % 3]
        own = rng.normal(size=(items, 2 + k % 2))  # items are hard or easy for all arms
        shared = rng.normal(size=(items, 1))
        numbers = measured(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own)
        refused += is_refused(numbers) or is_refused(numbers, apart=True)
    assert refused <= 1


def judged(placebo):
    """A claim that holds over forty items, with a control made of the baseline's numbers."""
    rng = np.random.default_rng(0)
    item = rng.normal(0.5, 0.1, 40)
    old, new = (item + by + rng.normal(0, 0.02, 40) for by in (0, 0.2))
    numbers = np.stack([new, old, placebo(old, item, rng)], axis=1)
    claim = "new.score - old.score > 0.05"
    return assay.judge(table(numbers), claim=claim, unit="item", control="placebo", about="new")


@pytest.mark.parametrize(
    ("placebo", "outcome", "how"),
    [
        (lambda old, item, rng: old, "undecided", "the very numbers of old, so that the"),
        (lambda old, item, rng: old.round(2), "undecided", "the rounded numbers of old, so that"),
        (
            lambda old, item, rng: old + rng.normal(0, 1e-8, 40),
            "undecided",
            "the numbers, but for errors of rounding, of old, so that",
        ),
        (
            lambda old, item, rng: old + rng.normal(0, 1e-4, 40),
            "holds",
            "almost the numbers of old",
        ),
        # measured anew with the noise of the others, on the same items
        (lambda old, item, rng: item + rng.normal(0, 0.02, 40), "holds", ""),
    ],
    ids=["copy", "rounded", "float32", "jitter", "measured anew"],
)
def test_a_control_with_the_numbers_of_the_baseline_rules_nothing_out(placebo, outcome, how):
    v = judged(placebo)
    notes = [n for n in v.notes if n.startswith("control placebo has")]
    assert v.outcome == outcome and len(notes) == bool(how)
    assert all(n.startswith(f"control placebo has {how}") for n in notes)
    assert all("rules nothing out; measure it anew, or name another control" in n for n in notes)


def test_a_control_in_another_column_than_the_baseline_is_no_copy():
    rng = np.random.default_rng(0)
    rows = table(rng.normal([0.9, 0.5, 0.5], 0.1, (40, 3)))
    rows["base"] = rng.normal(0.5, 0.1, len(rows))
    claim = "new.score - old.base > 0.2"
    v = assay.judge(rows, claim=claim, unit="item", control="placebo", about="new")
    assert v.outcome == "holds" and not any("nothing out" in note for note in v.notes)
