"""A verdict that holds lists the other columns in which the arms differ."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.balance import reported
from assay.core.expression import parse
from assay.core.table_question import Question
from assay.report.statements import known

ASK = {"claim": "new.x - old.x > 0.5", "unit": "item", "about": "new", "distinct": True}


def table(columns):
    """Three arms on 40 items, of which `again` is as `old`; a column has the values of each arm, or
    one for each."""
    draw, frames = np.random.default_rng(3), []
    for k, (arm, mean) in enumerate((("new", 2), ("old", 0), ("again", 0))):
        frame = pd.DataFrame({"arm": arm, "item": range(40), "x": draw.normal(mean, 0.3, 40)})
        frames.append(frame.assign(**{name: of[k] for name, of in columns.items()}))
    return pd.concat(frames, ignore_index=True)


def notes(columns):
    judged = assay.judge(table(columns), control="again", **ASK)
    assert judged.outcome == "holds"
    return [x for x in judged.notes if " differ" in x]


def around(*means, spread=1.0):
    draw = np.random.default_rng(len(means) + int(sum(means)))
    return [(x + spread * draw.permutation(np.linspace(-1, 1, 40))) for x in means]


def test_the_means_of_columns_that_differ_are_listed_the_clearest_first():
    columns = {"ppl": around(21, 20, 20), "n_scored": around(24, 50, 50), "depth": (4, 6, 4)}
    depth, scored = "depth (4 and 6; again 4)", "n_scored (24 and 50; again 50)"
    each = f"{depth}, {scored} and ppl (21 and 20; again 20)"
    assert notes(columns) == [f"besides x, new and old differ in {each}"]


def test_columns_of_one_law_are_not_listed():
    """Two hundred columns that have nothing to do with the arm."""
    judged = assay.judge(table({}), control="again", **ASK)
    draw, rows = np.random.default_rng(0), table({})
    numbers = pd.DataFrame(draw.normal(5, 2, (120, 200))).add_prefix("c")
    every = pd.concat([rows, numbers], axis=1)
    parsed, arms = parse(ASK["claim"]), ("new", "old", "again")
    question = Question(every, "", parsed, ("item",), "new", arms, ())
    assert reported(question, judged, ["again"]).notes == judged.notes
    moved = replace(question, rows=every.assign(c7=every["c7"] + 9 * (every["arm"] == "new")))
    (note,) = {*reported(moved, judged, ["again"]).notes} - {*judged.notes}
    assert note.startswith("besides x, new and old differ in c7 (")


@pytest.mark.parametrize(
    "values",
    [
        around(1, 1.005, 1, spread=1e-4),  # by half a percent
        ("new-2.pt", "old-2.pt", "again-2.pt"),  # the name of the arm
        ("a93f01c", "77be1d0", "a93f01c"),
        ("/runs/17", "/runs/18", "/runs/19"),
        ("2026-01-03", "2026-01-04", "2026-01-04"),
        np.arange(120).reshape(3, 40),
        (8, 0, 8),  # what was done, to a control as well
    ],
)
def test_names_and_small_differences_are_not_listed(values):
    assert notes({"column": values}) == []


def test_a_column_that_two_columns_of_the_claim_make_is_no_other_difference():
    rows = table({"error": around(30, 60, 60), "total": around(100, 110, 110), "ppl": (8, 9, 8)})
    rows = rows.drop(columns="x")
    made = {"fvu": rows["error"] / rows["total"], "left": rows["total"] - rows["error"]}
    made |= {"explained": 1 - made["fvu"], "twice": 2 * rows["error"] + rows["total"]}
    ratio = "mean(new.error) / mean(new.total) - mean(old.error) / mean(old.total) < -0.1"
    asked = {**ASK, "claim": ratio, "control": "again"}
    (note,) = (x for x in assay.judge(rows.assign(**made), **asked).notes if " differ in " in x)
    assert re.findall(r"(\w+) \(", note) == ["ppl", "twice"]
    of_one = assay.judge(rows.assign(**made), **{**asked, "claim": "new.error - old.error < -9"})
    (note,) = (x for x in of_one.notes if " differ in " in x)
    assert {"fvu", "left", "total"} <= {*re.findall(r"(\w+) \(", note)}


def test_shares_of_texts_and_flags_are_listed():
    short = np.array(["stop"] * 30 + ["length"] * 10)
    columns = {
        "ended": (short[::-1], np.full(40, "stop"), short),
        "kept": (np.arange(40) < 20, np.arange(40) > 1, np.arange(40) > 1),
    }
    (note,) = notes(columns)
    line = "kept (True in 50% and 95%; again 95%) and ended (length in 25% and 0%; again 25%)"
    assert note == f"besides x, new and old differ in {line}"


def test_five_columns_are_named_at_first_and_all_on_request():
    columns = {f"c{k}": (k, k + 1, k) for k in range(1, 8)}
    judged = assay.judge(table(columns), control="again", **ASK)
    each = [f"c{k} ({k} and {k + 1}; again {k})" for k in range(1, 8)]
    line = f"besides x, new and old differ in {', '.join(each[:5])}, and 2 others"
    assert line in known(judged)
    assert f"{line}: {each[5]} and {each[6]}" in known(judged, all_of_it=True)


@pytest.mark.parametrize(
    ("of_controls", "said"),
    [
        ({"again": 20}, "again 20"),
        ({"again": 20, "other": 12}, "controls 12 to 20"),
        ({"again": 20, "other": 30.2}, "other 30.2"),  # which has as much as the tested arm
        ({"again (draw 1 of 2)": 19, "again (draw 2 of 2)": 21}, "again 19 to 21"),
    ],
)
def test_the_list_says_what_the_controls_have(of_controls, said):
    """So that it can be seen whether one of them separates the arm from the column."""
    draw, rows = np.random.default_rng(0), []
    for arm, size in ({"new": 30, "old": 10} | of_controls).items():
        x = draw.normal(2.0 * (arm == "new"), 0.3, 40)
        rows.append(pd.DataFrame({"arm": arm, "item": range(40), "x": x, "size": size}))
    judged = assay.judge(pd.concat(rows), control=[*of_controls], **ASK)
    line = f"besides x, new and old differ in size (30 and 10; {said})"
    assert judged.outcome == "holds" and line in judged.notes
    assert not any("also differs" in x for x in judged.notes)


def test_a_column_that_a_reserve_names_is_not_listed_again():
    judged = assay.judge(table({"batch": ("B", "A", "A")}), control="again", **ASK)
    assert judged.unless == "batch is the cause"
    assert sum("batch" in x for x in judged.notes) == 1


def test_a_path_in_each_row_of_one_arm_is_given_and_none_in_the_others():
    paths = [f"runs/x/{k}/final.pt" for k in range(40)]
    for nothing in ("none", "", None):
        columns = {"init_from": (paths, [nothing] * 40, [nothing] * 40)}
        judged = assay.judge(table(columns), control="again", **ASK)
        assert judged.unless == "init_from is the cause"
        assert any(x.startswith("init_from is given in all rows of new") for x in judged.notes)
    assert not assay.judge(table({"log": (paths,) * 3}), control="again", **ASK).unless
