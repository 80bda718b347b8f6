"""The page of a judged correlation: its units in a scatter plot."""

import re

import numpy as np
import pandas as pd
import pytest

from assay.checking.of_table import JudgedTable
from assay.core import table
from assay.report import checks

DRAW = np.random.default_rng(0)
X = DRAW.normal(0, 1, 20)
ROWS = pd.DataFrame(
    {
        "head": np.repeat([f"head {k}" for k in range(20)], 2),
        "prompt": [0, 1] * 20,
        "guess": np.repeat(X, 2) + np.tile([-0.5, 0.5], 20),
        "effect": np.repeat(X + DRAW.normal(0, 0.3, 20), 2),
    }
)
CLAIM = "corr(mean(guess, over=prompt), mean(effect, over=prompt)) > 0.5"


def judged(claim=CLAIM, rows=ROWS, **asked):
    asked |= {"claim": claim, "unit": ["head"]}
    rows = rows if "arm" in rows else rows.assign(arm="main")
    return JudgedTable(asked, rows, table.judge(rows, **asked))


def test_each_unit_is_a_point_at_its_means_with_its_name():
    places = re.findall(
        r'<path transform="translate\(([-\d.e]+),([-\d.e]+)\)"[^>]*><title>([^<]*)</title>',
        checks.scatter(judged()),
    )
    means = ROWS.groupby("head")[["guess", "effect"]].mean()
    assert [name for *_, name in places] == [*means.index]
    across, down = np.array([place[:2] for place in places], float).T
    assert np.corrcoef(across, means["guess"])[0, 1] == pytest.approx(1)
    assert np.corrcoef(down, means["effect"])[0, 1] == pytest.approx(-1)


def test_a_part_of_a_correlation_is_no_point_of_the_picture():
    """Tukey's pseudo-values of a correlation may be beyond 1."""
    v = judged()
    assert max(v.judged.points) > 1
    shown = checks.shown(v)
    assert shown.points == () and all(c.points == () for c in shown.controls.values())
    assert shown.arm == "the table"


def test_other_claims_have_no_scatter_plot():
    moved = ROWS.assign(arm="other", effect=ROWS["effect"] - 20)
    rows = pd.concat([ROWS.assign(arm="main"), moved])
    v = judged("mean(effect, over=prompt) > -9", rows, control=["other"])
    assert checks.scatter(v) == "" and checks.shown(v).points
