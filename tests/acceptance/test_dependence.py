"""Tables whose rows are independent by construction, and tables of groups, against arithmetic."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import assay


def of_the_page(case):
    """A table of four kinds of dictionaries, whose eight seeds and forty documents are
    independent by construction."""
    rng = np.random.default_rng(case)
    hard, rows = rng.normal(0.0, 0.08, 40), []
    length = rng.lognormal(4.0, 0.6, 40).round()
    for arm, fvu in {"gated": 0.187, "relu": 0.223, "relu-again": 0.224, "other": 0.480}.items():
        for seed in range(8):
            luck = rng.normal(0.0, 0.01)
            share = fvu * np.exp(hard + luck + rng.normal(0.0, 0.03, 40))
            columns = {"arm": arm, "seed": seed, "document": [f"doc-{i:02}" for i in range(40)]}
            numbers = {"fvu": share, "error": share * length, "variance": length}
            rows.append(pd.DataFrame({**columns, **numbers}))
    ask = {"claim": "gated.fvu - relu.fvu < -0.02", "control": "relu-again", "about": "gated"}
    return assay.judge(pd.concat(rows), unit=["seed", "document"], **ask)


def warned(judged):
    """Whether a verdict has a note on units that depend on each other."""
    return not {"groups", "copies", "order"}.isdisjoint(note.code for note in judged.notes)


@pytest.mark.parametrize("count", [pytest.param(12), pytest.param(200, marks=pytest.mark.thorough)])
def test_at_most_one_independent_table_in_twenty_has_a_warning(count):
    most = stats.binom.ppf(0.99, count, 0.05)
    assert sum(warned(of_the_page(case)) for case in range(count)) <= most


def test_shares_of_six_answers_are_no_copies():
    """Of twenty prompts, each right in so many of six runs, many have the same share."""
    for case in range(6):
        rng = np.random.default_rng(case)
        rows = pd.DataFrame(
            {"arm": arm, "seed": seed, "prompt": f"p{i}", "right": int(rng.random() < p)}
            for arm, p in {"mine": 0.8, "old": 0.5, "again": 0.5}.items()
            for seed in range(6)
            for i in range(20)
        )
        ask = {"claim": "mine.right - old.right > 0.1", "unit": ["seed", "prompt"]}
        notes = assay.judge(rows, control="again", about="mine", **ask).notes
        assert "copies" not in [note.code for note in notes], case


def test_an_interval_that_allows_for_groups_stays_in_range():
    """A difference of two shares lies between -1 and 1."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"arm": arm, "unit": i, "topic": f"t{i // 8}", "right": int(rng.random() < p)}
        for arm, ps in {"mine": (0.9, 0.9, 0.0), "old": (0.1, 0.1, 0.0)}.items()
        for i, p in enumerate(np.repeat(ps, 8))
    )
    judged = assay.judge(rows, claim="mine.right - old.right > 0.1", unit="unit")
    (note,) = (note for note in judged.notes if note.code == "groups")
    assert note.data["column"] == "topic" and -1 <= note.data["low"] < note.data["high"] <= 1


def test_a_column_of_groups_can_be_a_unit_with_the_mean_over_what_is_in_it():
    """The advice for prompts of topics, whose names are texts that tell rows apart."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {"arm": arm, "seed": s, "prompt": f"p{i}", "topic": f"t{i % 7}", "x": level + rng.normal()}
        for arm, level in {"mine": 3.0, "old": 0.0}.items()
        for s in range(6)
        for i in range(20)
    )
    claim = "mean(mine.x, over=prompt) - mean(old.x, over=prompt) > 1"
    judged = assay.judge(rows, claim=claim, unit=["seed", "topic"])
    by_topic = rows.groupby(["arm", "seed", "topic"])["x"].mean().groupby("arm").mean()
    assert judged.estimate == pytest.approx(by_topic["mine"] - by_topic["old"])
    assert dict(judged.n) == {"seed": 6, "topic": 7} and judged.outcome == "holds"
