"""Tables of items that each belong to one template: a missing number is left out of no mean."""

import numpy as np
import pandas as pd

import assay


def rows_of(templates=10, seeds=8, items=5):
    """Arms of several seeds, each on the same items of every template; templates differ in how much
    the method adds."""
    draw = np.random.default_rng(3)
    added, table = draw.normal(0, 0.05, templates), []
    for arm, level in {"new": 0.60, "old": 0.52, "again": 0.525}.items():
        for s in range(seeds):
            luck = draw.normal(0, 0.02)
            table += [
                {
                    "arm": arm,
                    "seed": s,
                    "template": f"T{k}",
                    "item": f"T{k}-q{q}",
                    "acc": level + luck + added[k] * (arm == "new") + draw.normal(0, 0.04),
                }
                for k in range(templates)
                for q in range(items)
            ]
    return pd.DataFrame(table)


def test_a_number_that_is_missing_is_left_out_of_no_mean():
    rows = rows_of()
    rows.loc[(rows["arm"] == "new") & (rows["seed"] == 2) & (rows["item"] == "T4-q1"), "acc"] = None
    value = "mean(new.acc, over=(template, item))"
    assert assay.estimate(rows, value=value, unit="seed").n == {"seed": 7}
    assert assay.estimate(rows.dropna(), value=value, unit="seed").n == {"seed": 7}
