"""Arms that have different shares of something else, such as of easy items: against pandas, an
effect is found at each value of it."""

import numpy as np
import pandas as pd
import pytest

import assay

ASK = {"claim": "steered.lead - base.lead > 0.3", "control": "random", "about": "steered"}


def items_of_kinds(seed=3, n=60, effect=0.0):
    """Items of which each has one arm and one kind; easy ones have more, and steered more easy
    ones."""
    draw, rows = np.random.default_rng(seed), []
    for arm in ("base", "random", "steered"):
        for i in range(n):
            easy = i < (0.8 if arm == "steered" else 0.3) * n
            lead = 1.5 * easy + effect * (arm == "steered") + draw.normal(0, 0.5 + 0.5 * easy)
            rows.append((arm, f"{arm}{i}", "easy" if easy else "hard", lead))
    return pd.DataFrame(rows, columns=["arm", "item", "kind", "lead"])


def cells_in_batches(seed=1, effect=0.0):
    """Templates and items measured in eight seeds by every arm, most rows of steered in batch B and
    few of the others; a row of batch B has one more."""
    draw = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product(
        [("base", "random", "steered"), range(8), range(8), range(6)],
        names=["arm", "seed", "template", "item"],
    ).to_frame(index=False)
    is_steered = rows["arm"] == "steered"
    in_b = draw.random(len(rows)) < np.where(is_steered, 0.85, 0.15)
    rows["batch"] = np.where(in_b, "B", "A")
    rows["lead"] = in_b + effect * is_steered + draw.normal(0, 0.6, len(rows))
    return rows


@pytest.mark.parametrize(
    ("rows", "unit"),
    [(items_of_kinds(effect=1.5), "item"), (cells_in_batches(effect=1.0), ["template", "item"])],
)
def test_an_effect_that_is_there_at_each_value_holds_either_way(rows, unit):
    rows = rows[rows["arm"] != "random"]
    ask = {k: v for k, v in ASK.items() if k not in ("control", "about")}
    (name,) = {"kind", "batch"} & {*rows}
    fixed = assay.judge(rows, unit=unit, fixed=name, **ask)
    assert fixed.outcome == "holds"
    if name == "batch":  # two kinds of items are few groups
        judged = assay.judge(rows, unit=unit, **ask)
        assert judged.outcome == "holds"
        assert "held fixed" not in str(judged.notes)


def test_pairs_at_the_same_value_are_compared_where_each_row_is_a_unit_of_its_own():
    rows = cells_in_batches().query("seed == 0").drop(columns="seed")
    judged = assay.judge(rows, unit=["template", "item"], fixed="batch", **ASK)
    wide = rows.pivot(index=["batch", "template", "item"], columns="arm", values="lead")
    pairs = (wide["steered"] - wide["base"]).dropna()
    assert judged.estimate == pytest.approx(pairs.groupby("batch").mean().mean(), rel=1e-9)
