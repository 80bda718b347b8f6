"""assay.judge on tables: the numbers are those of the claim machinery, and a bad table gets one
line of advice."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from msgspec import structs

import assay
from acceptance.test_table import (
    frame,
)
from assay.core.results import Judged
from assay.report import tables


def changed(column, value):
    """The table with another value in row 7."""
    f = frame()
    f[column] = f[column].astype(object)
    f.loc[6, column] = value
    return f


@pytest.mark.parametrize(
    "spread", [0.1, *(pytest.param(x, marks=pytest.mark.thorough) for x in (0.25, 0.5)), 1.0]
)
def test_widened_intervals_of_tied_numbers_hold_the_truth(spread):
    """Normal numbers rounded to 1: where half or more tie, the interval wider by half a step holds
    their mean in at least 95 % of draws."""
    rng, kept = np.random.default_rng(3), []
    for mean in rng.random(2000):
        x = np.round(rng.normal(mean, spread, 6))
        if np.unique(x, return_counts=True)[1].max() >= 3:
            i = assay.stats.interval({"x": x}, assay.stats.mean, draws=1)
            low, high = replace(i, rounding=0.5).limits()
            kept.append(low <= mean <= high)
    assert len(kept) > 500 and np.mean(kept) >= 0.95


def test_an_interval_is_printed_within_its_natural_bounds_and_says_what_it_may_have_missed():
    entry = Judged(
        text="t",
        outcome="undecided",
        reason="interval straddles",
        n={"seed": 6},
        estimate=0.99,
        low=-8.36,
        high=1.02,
        natural=(0, 1),
        range=(0.99, math.inf),
        fail_range=(0.99, math.inf),
    )

    def other(**changes):
        return structs.replace(entry, **changes)

    assert tables.estimate_of(entry) == ("0.99", "[0.00, 1.00]")
    # 1 − .025^(1/6) = .4593
    *_, longest = tables.row(entry).remarks
    assert "these 6 do not exclude that up to 46% of all seeds have other numbers" in longest
    assert tables.estimate_of(other(natural=(0, math.inf)))[1] == "[0.00, 1.02]"
    assert tables.clipped(other(low=0.9, high=1.0)) == ""
    assert tables.estimate_of(other(natural=None))[1] == "[-8.36, 1.02]"
    assert tables.clipped(other(natural=None)) == ""
    assert tables.limits(other(estimate=1.2)) == (-8.36, 1.02), (
        "numbers beyond them have no such bounds"
    )


def groups(new, old, start=100):
    seeds = [*range(len(new)), *range(start, start + len(old))]
    return {"arm": ["new"] * len(new) + ["old"] * len(old), "run": seeds, "acc": [*new, *old]}


NEW = (0.71, 0.74, 0.69, 0.73, 0.72, 0.70, 0.75, 0.71, 0.73, 0.72)
OLD = (0.65, 0.72, 0.61, 0.71, 0.70, 0.72, 0.73, 0.70, 0.72, 0.71, 0.66, 0.68, 0.64)


def conditions(missing=(), name="layer", names=("a", "b", "c")):
    """Two layers of ten seeds, b and c half as far again at each; without the rows `missing`."""
    rng = np.random.default_rng(0)
    rows = [
        {"arm": arm, "seed": seed, name: layer, "x": layer / 9 + 0.5 * (arm != "a") + noise}
        for seed in range(10)
        for layer in (5, 9)
        for arm in names
        for noise in [rng.normal(0, 0.03)]
    ]
    return pd.DataFrame([r for r in rows if (r["arm"], r["seed"], r[name]) not in missing])


def copies(rows, times):
    """These rows again and again, as further seeds."""
    return pd.concat([rows.assign(seed=rows["seed"] + 1000 * i) for i in range(times)])


def of_templates(rng, apart=0.02, name="prompt", **columns):
    """Six templates with four prompts each, in two arms and a control."""
    return pd.DataFrame(
        {
            "arm": arm,
            "template": f"t{t}",
            name: f"p{t}-{k}",
            "acc": 0.5 + x + apart * (arm == "new"),
        }
        | {c: of[k % 2] for c, of in columns.items()}
        for arm in ("new", "old", "again")
        for t in range(6)
        for k, x in enumerate(rng.normal(0, 0.01, 4))
    )


def recovered(outlier):
    """Recovery of 40 pairs, of which one has a gap next to 0 if there is an `outlier`."""
    draw = np.random.default_rng(0)
    gap = draw.uniform(1, 3, 40)
    gap[0] = 0.01 if outlier else gap[0]
    rows = [
        pd.DataFrame({"arm": arm, "pair": range(40), "gap": gap, "gain": share * gap + noise})
        for arm, share in (("patched", 0.6), ("first", 0.0))
        for noise in [draw.normal(0, 0.1, 40)]
    ]
    return pd.concat(rows).assign(recovered=lambda x: x["gain"] / x["gap"])
