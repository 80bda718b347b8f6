"""Tables of items that each belong to one template, the commonest there are: what is advised about
them can be followed, and decides."""

import re

import numpy as np
import pandas as pd
import pytest

import assay
from acceptance.test_nested_rows import rows_of
from assay.core.errors import ClaimError

ASK = {"claim": "new.acc - old.acc > 0.03", "control": "again", "about": "new"}


@pytest.mark.parametrize("fixed", [(), "template", ("template", "item")])
def test_the_mean_over_items_and_their_templates_is_that_of_the_rows(fixed):
    rows = rows_of()
    means = rows.groupby(["arm", "seed"])["acc"].mean()
    by_seed = means["new"] - means["old"]
    of_each, of_difference = (
        assay.judge(rows, unit="seed", fixed=fixed, **ASK | {"claim": f"{value} > 0.03"})
        for value in (
            "mean(new.acc, over=(template, item)) - mean(old.acc, over=(template, item))",
            "mean(new.acc - old.acc, over=(item, template))",
        )
    )
    for judged in (of_each, of_difference):
        assert list(judged.points) == pytest.approx(list(by_seed), rel=1e-9)
    assert any("about these 10 templates only" in note for note in of_each.notes)


def test_what_is_taken_over_items_of_a_template_is_over_those_that_it_has():
    rows = rows_of()
    own = rows[(rows["arm"] == "new") & (rows["template"] == "T3")].groupby("seed")["acc"]
    every = rows[rows["arm"] == "new"].groupby("seed")["acc"]
    for value, points in {
        "mean(new.acc[template=T3], over=item)": own.mean(),
        "max(new.acc[template=T3], over=item)": own.max(),
        "min(new.acc, over=(template, item))": every.min(),
        "share(new.acc > 0.6, over=(template, item))": every.agg(lambda x: (x > 0.6).mean()),
    }.items():
        number = assay.estimate(rows, value=value, unit="seed")
        assert list(number.points) == pytest.approx(list(points), rel=1e-9), value
    claim = "mean(new.acc[template=T3], over=item) - mean(old.acc[template=T3], over=item) > 0.03"
    judged = assay.judge(rows, unit="seed", **ASK | {"claim": claim})
    assert judged.scope == "over 8 seeds; of these 5 items"


def test_what_cannot_be_taken_over_items_of_each_unit_is_refused_with_what_can():
    rows, unit = rows_of(), "template"
    for value in ("mean(new.acc - old.acc, over=item)", "max(new.acc, over=item)"):
        with pytest.raises(ClaimError, match=r"write mean\(new.acc, over=item\), for each arm"):
            assay.judge(rows, unit=unit, **ASK | {"claim": f"{value} > 0.03"})
    value = "mean(new.acc, over=item) - mean(old.acc, over=item)"
    assert assay.judge(rows, unit=unit, **ASK | {"claim": f"{value} > 0.03"}).n == {unit: 10}


@pytest.mark.parametrize("fixed", [(), "template", "item"])
def test_what_a_refusal_proposes_runs(fixed):
    asked = {"unit": "seed", "fixed": fixed}
    with pytest.raises(ClaimError) as refused:
        assay.judge(rows_of(), **ASK, **asked)
    mean = re.search(r"or (mean\(new\.acc, over=\(\w+, \w+\)\)) for the mean", str(refused.value))[
        1
    ]
    claim = f"{mean} - {mean.replace('new', 'old')} > 0.03"
    assert assay.judge(rows_of(), **ASK | {"claim": claim}, **asked).n == {"seed": 8}


def test_the_order_of_items_is_judged_without_what_fixed_templates_explain():
    """Items of one template follow each other; with the templates fixed, nothing else is alike."""
    rows = rows_of()
    assert assay.judge(rows, **ASK, unit="item").reason == "grouped by template"
    fixed = assay.judge(rows, **ASK, unit="item", fixed="template")
    assert fixed.outcome == "holds" and fixed.scope.endswith("of these 10 templates")
    rows = rows_of(templates=3, items=25)
    drift = 0.1 + 0.2 * np.sin(rows.groupby(["arm", "seed"]).cumcount() / 3)
    rows["acc"] += drift * (rows["arm"] == "new")
    drifting = assay.judge(rows, **ASK, unit="item", fixed="template")
    assert drifting.reason == "grouped by order", "what else is alike is found"


def test_no_more_seeds_are_advised_where_few_templates_leave_the_claim_undecided():
    rows = rows_of(templates=4)
    judged = assay.judge(rows, **ASK, unit=["seed", "item"])
    assert judged.outcome == "undecided" and judged.price.more is None
    assert "give items of at least 6 templates" in judged.price.text
    longer = assay.judge(rows_of(templates=4, seeds=45), **ASK, unit=["seed", "item"])
    assert longer.outcome == "undecided", "more seeds do not decide it"


FRAMES = (
    "Last week my sister and I tried the {} at the new place and thought it was",
    "I went there on a rainy day with all my friends and the {} was",
    "My honest verdict, after years of eating in this town, on the {}:",
    "People keep asking me what I think about the {}; I say it is",
)


def in_words(added, noise=0.02):
    """Ten things, each in four wordings, to each of which the method adds something else."""
    draw, things = np.random.default_rng(2), "tea soup bread rice fish salad cake pasta curry stew"
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "item": thing,
                "prompt": frame.format(thing),
                "acc": 0.5 + added[k] * (arm == "new") + draw.normal(0, noise),
            }
            for arm in ("new", "old", "again")
            for k, frame in enumerate(FRAMES)
            for thing in things.split()
        ]
    )


def test_the_wordings_of_averaged_texts_are_looked_for():
    """The method works in one wording alone, which no column names; or in all of them."""
    about = "about these 4 wordings of prompt only: with so few of them as units, the outcome would"
    for claim in (ASK["claim"], "mean(new.acc, over=prompt) - mean(old.acc, over=prompt) > 0.03"):
        ask = ASK | {"claim": claim}
        one = assay.judge(in_words((0.3, 0, 0, 0)), unit="item", **ask)
        assert one.outcome == "holds" and sum(about in note for note in one.notes) == 1
        every = assay.judge(in_words((0.2, 0.2, 0.2, 0.2)), unit="item", **ask)
        assert every.outcome == "holds" and not any("wording" in note for note in every.notes)


def test_the_wordings_that_a_column_names_are_said_once():
    rows = in_words((0.3, 0, 0, 0))
    rows["template"] = rows["prompt"].str[:6]
    over = "over=(template, prompt)"
    ask = ASK | {"claim": f"mean(new.acc, {over}) - mean(old.acc, {over}) > 0.03"}
    notes = [n for n in assay.judge(rows, unit="item", **ask).notes if "is about these" in n]
    assert len(notes) == 1 and "these 4 templates only" in notes[0]
