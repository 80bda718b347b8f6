"""assay.judge on tables: the numbers are those of the claim machinery, and a bad table gets one
line of advice."""

import ast
import bz2
import gzip
import itertools
import json
import lzma
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from msgspec import structs

import assay
from acceptance.test_table import (
    ASK,
    _six_by_six,
    arms_of,
    frame,
    labelled,
    sweep,
    two_methods,
)
from assay.agents import answers
from assay.core.errors import AssayError, ClaimError, DataError
from assay.core.reasons import OUT_OF_REACH, STRADDLES
from assay.core.results import Judged
from assay.report import tables


def test_what_tells_rows_apart_is_named_or_refused_with_its_levels():
    f, ask = labelled(), {"unit": "seed", "control": "b"}
    for claim, told in {
        "a.x < -0.9": r"a.x varies over kind \(dead-weight, rare\) and layer \(3, 4\): write "
        r'a.x\[kind="dead-weight", layer=3\] for one value, or mean\(a.x, over=\(kind, layer\)\) '
        "for the mean, or name one of them as a unit",
        "a.x[kind=rare] < -0.9": r"varies over layer \(3, 4\)",
        "mean(a.x, over=layer) < -0.9": r"varies over kind",
        "mean(a.x) - mean(a.cost) < -0.9": r"varies over kind",
        "a.x[kind=rar, layer=3] < 0": "a.x has no kind 'rar'; did you mean rare?",
        "a.x[kin=rare, layer=3] < 0": "no column 'kin' in the table; did you mean kind?",
        "a.x[x=3] < 0": "column 'x' cannot be selected or averaged over: it is judged by the claim",
    }.items():
        with pytest.raises(ClaimError, match=told):
            assay.judge(f, claim=claim, **ask)
    for claim, keep in {
        'a.x[kind="rare", layer=3] < -0.9': (f["kind"] == "rare") & (f["layer"] == 3),
        "mean(a.x[kind=rare], over=layer) < -0.9": f["kind"] == "rare",
        "mean(a.x, over=(kind, layer)) < -0.9": f["x"] < np.inf,
    }.items():
        j = assay.judge(f, claim=claim, **ask, also="other")
        kept = f[keep & (f["arm"] == "a")].groupby("seed")["x"].mean()
        assert j.verdict.n == {"seed": 8}
        assert j.verdict.estimate == pytest.approx(kept.mean(), rel=1e-12)
        assert list(j.verdict.points) == pytest.approx(list(kept), rel=1e-12)


def test_columns_that_tell_no_rows_apart_are_no_labels():
    """Remarks, other numbers, runs, and what is the same in all rows of a cell."""
    f = frame(documents=3)
    f = pd.concat([f, f.assign(fvu=f["fvu"] + 0.001)])
    f["note"], f["wide"], f["noise"] = (
        "",
        f["seed"].map("run-{}".format),
        np.random.default_rng(5).normal(size=len(f)),
    )
    f.iloc[3, f.columns.get_loc("note")] = "stopped early"
    j = assay.judge(f, **{**ASK, "claim": "gated.fvu < 0.3"})
    assert j.verdict.n == {"seed": 6, "document": 3}
    assert "each of gated, shuffled: 36 rows averaged into 18 cells of seed × document" in j.notes


def test_units_that_count_in_nothing_are_told_with_the_arms_that_lack_them():
    f = frame()
    f.loc[(f["arm"] == "relu") & f["seed"].isin([2, 3]), "fvu"] = np.nan
    j = assay.judge(f, **ASK)
    assert j.verdict.n == {"seed": 4, "document": 8}
    told = "2 of 6 seeds are left out: relu lacks a number in seeds 2 and 3"
    assert told in j.to_json()["notes"]
    f.loc[(f["arm"] == "gated") & (f["document"] == "d1"), "fvu"] = np.nan
    told = "1 of 8 documents is left out: gated lacks a number in document d1; "
    assert f"{told}control shuffled is over all 8" in assay.judge(f, **ASK).notes


def test_an_arm_may_be_called_null_and_missing_numbers_may_be_words(tmp_path):
    f = frame()
    f["arm"] = f["arm"].replace({"shuffled": "null"})
    f["fvu"] = f["fvu"].astype(str)
    f.loc[3, "fvu"] = "NaN"
    f.to_csv(tmp_path / "r.csv", index=False)
    j = assay.judge(tmp_path / "r.csv", **{**ASK, "control": "null"})
    assert j.controls["null"].outcome == "fails"
    assert j.notes == ("gated: 1 cell with a missing number left out",)
    for arm in ("relu", "null"):
        f.loc[f.index[f["arm"] == arm][3], "fvu"] = "NaN"
    note = "each of gated, relu, null: 1 cell with a missing number left out"
    assert assay.judge(f, **{**ASK, "control": "null"}).notes[0] == note


def test_right_and_wrong_answers_have_one_interval_whatever_is_asked_of_them():
    few = np.arange(40)
    answers = {
        "old": np.ones(40, int),
        "new": (few > 1).astype(int),  # 38 differences of 0 and two of -1
        "weak": (few % 2).astype(int),
    }
    f = arms_of(**answers)
    # The sum of three Dirichlet weights of 41, the added unit's included, is Beta distributed.
    lowest = -scipy.stats.beta.ppf(0.975, 3, 38)
    number = assay.estimate(f, value="new.x - old.x", unit="seed")
    assert number.low == pytest.approx(lowest)
    for compared in ("< -0.3", "< -0.2", "< 0.03", "> -0.5", "< 1.5"):
        for control in ("weak", ()):
            j = assay.judge(
                f, claim=f"new.x - old.x {compared}", unit="seed", control=control, about="new"
            )
            assert (j.verdict.low, j.verdict.high) == (number.low, number.high), compared
    share = scipy.stats.binomtest(38, 40).proportion_ci()  # Clopper and Pearson
    for claim in ("new.x > 0.5", "-0.4 < new.x < 0.4"):
        v = assay.judge(f, claim=claim, unit="seed", control="weak").verdict
        assert (v.low, v.high) == pytest.approx((share.low, share.high))


def test_an_estimate_gives_the_interval_with_the_groups_by_which_a_claim_is_judged():
    rng = np.random.default_rng(3)
    of = np.repeat([*"abcde"], 8)
    shift = np.repeat(rng.normal(0, 0.2, 5), 8)
    f = arms_of(new=1 + shift + rng.normal(0, 0.1, 40), old=rng.normal(0, 0.1, 40))
    f["template"] = np.tile(of, 2)
    means = f.groupby(["template", "arm"])["x"].mean().unstack()
    differences = means["new"] - means["old"]
    t = scipy.stats.t.interval(0.95, 4, differences.mean(), scipy.stats.sem(differences))
    (note,) = assay.estimate(f, value="new.x - old.x", unit="seed").notes
    assert "the 40 seeds belong to 5 templates" in note
    low, high = map(float, re.search(r"\[(.+), (.+)\]", note).groups())
    assert low <= t[0] + 1e-3
    assert high >= t[1] - 1e-3
    # units without a column that groups them have nothing to allow for
    alone = assay.estimate(f.drop(columns="template"), value="new.x - old.x", unit="seed")
    assert not alone.notes


def test_truth_values_are_numbers_with_an_exact_interval():
    f = frame()
    f["right"] = (f["arm"] != "shuffled") & (f["fvu"] < f["fvu"].quantile(0.99))
    j = assay.judge(f, **{**ASK, "claim": "gated.right > 0.3"})
    assert j.verdict.estimate == f[f["arm"] == "gated"]["right"].mean()
    assert tuple(j.verdict.bounds) == (0, 1)
    # of crossed units it would prove nothing
    assert not any("exact" in note for note in j.notes)
    runs = f.groupby(["arm", "seed"], as_index=False)["right"].mean()
    asked = {**ASK, "claim": "gated.right > 0.3", "unit": "seed", "bounds": (0, 1)}
    assert (
        assay.judge(runs, **asked).verdict.method
        == "95%, over seeds; exact for values between 0 and 1"
    )


def test_an_arm_of_the_table_that_satisfies_the_claim_too_is_told():
    f = frame()
    f.loc[f["arm"] == "no-aux", "fvu"] -= 0.06
    j = assay.judge(f, **ASK)
    assert (j.outcome, j.reason) == ("holds", "")
    assert any(n.startswith("the claim is also true of no-aux (-0.") for n in j.notes)
    assert not any("also true" in n for n in assay.judge(frame(), **ASK).notes)
    j = assay.judge(f, **ASK, also="no-aux")
    assert j.to_json()["also"]["no-aux"]["reason"] == "rival: named by the user"
    v = assay.judge(f, **ASK, unlearned="no-aux").verdict
    assert (v.outcome, v.reason) == ("unspecific", "no-aux satisfies it too, unlearned")


def test_a_planted_effect_can_be_asked_for():
    assert (
        assay.judge(frame(), **ASK, must_hold="no-aux").verdict.reason == "planted no-aux not found"
    )


def changed(column, value):
    """The table with another value in row 7."""
    f = frame()
    f[column] = f[column].astype(object)
    f.loc[6, column] = value
    return f


@pytest.mark.parametrize(
    ("says", "ask"),
    {
        "no arm 'gate' in column arm of the table; did you mean gated?": {"claim": "gate.fvu < 1"},
        "no column 'fv' in the table; did you mean fvu?": {"claim": "gated.fv < 1"},
        "arm 'gated' is in the claim itself": {"control": "gated"},
        "one or two columns whose levels are independent units, such as --unit seed; got none": {
            "unit": ()
        },
        "got seed, document, norm": {"unit": ("seed", "document", "norm")},
        "no column 'sed', which is named as a unit; did you mean seed?": {"unit": "sed"},
        "column 'arm' cannot be a unit: it is the arm": {"unit": "arm"},
        "column 'fvu' cannot be a unit: it is judged by the claim": {"unit": "fvu"},
        "which arm is the claim about? Write arm.column, with one of gated, relu, no-aux": {
            "claim": "fvu < 1",
            "about": "",
        },
    }.items(),
)
def test_claims_that_a_table_cannot_answer_get_one_line_of_advice(ask, says):
    with pytest.raises(ClaimError) as e:
        assay.judge(frame(), **{**ASK, **ask})
    assert says in str(e.value) and "\n" not in str(e.value)


def test_a_column_of_numbers_with_decimals_is_not_suggested_as_a_unit():
    with pytest.raises(ClaimError, match=r"got none; other columns: seed, document$"):
        assay.judge(frame(), **{**ASK, "unit": ()})


@pytest.mark.parametrize(
    ("others", "control", "says"),
    [
        ("c", "c", "no arm 'b' in column arm of the table; did you mean \"a-b\".x?"),
        ("bc", "b", 'the claim reads a-b.x as a difference; did you mean "a-b".x?'),
        ("bc", "c", 'the claim reads a-b.x as a difference; did you mean "a-b".x?'),
    ],
)
def test_a_name_with_a_sign_is_told_from_a_difference(others, control, says):
    table = arms_of(**dict.fromkeys(("a-b", *others), [0.0] * 8))
    with pytest.raises(ClaimError, match=f"{re.escape(says)} Quote names with other signs"):
        assay.judge(table, claim="a-b.x < 1", unit="seed", control=control)


def test_arms_of_other_levels_are_refused_with_what_each_lacks():
    f = frame()
    f.loc[f["arm"] == "relu", "seed"] += 5
    lacks = (
        r"'gated' has no seed 6, 7, 8, 9 … \(5 in all\), 'relu' has no seed 0, 1, 2, 3 … \(5 in all"
    )
    with pytest.raises(ClaimError, match=f"different levels of 'seed': {lacks}"):
        assay.judge(f, **ASK)


@pytest.mark.parametrize(
    ("says", "table"),
    {
        "the table has no column 'arm', which says which variant each row belongs to": frame().drop(
            columns="arm"
        ),
        "column 'fvu' must hold numbers, got 'n/a?!' in row 7": changed("fvu", "n/a?!"),
        "column 'fvu' is infinite in row 7": changed("fvu", np.inf),
        "unit column 'seed' is empty in row 7": changed("seed", None),
        "no arm in row 7": changed("arm", None),
        "the table has no rows": frame().iloc[:0],
        "expected a DataFrame, or columns of one length, got dict": {"arm": [1, 2], "seed": [1]},
        "column 'fvu' must hold numbers, got 'd0' in rows 1, 2, 3 …": frame().assign(
            fvu=frame()["document"]
        ),
    }.items(),
)
def test_tables_that_cannot_be_judged_get_one_line_of_advice(table, says):
    with pytest.raises(DataError) as e:
        assay.judge(table, **ASK)
    assert says in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; expected a header line"),
        (b"arm,seed\n", "has no rows"),
        (b'arm,seed,fvu\n"a,1,2\nb,1,3\n', "is not a comma-separated table"),
        (b"\x00\x00\x00", None),
        (b"arm,seed,fvu, fvu \na,1,2,3\n", "several columns called 'fvu'"),
    ],
)
def test_files_that_are_no_tables_get_one_line_of_advice(tmp_path, content, says):
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(AssayError) as e:
        assay.judge(path, claim="a.fvu < 1", unit="seed", control="b")
    assert (says or "") in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    "claim", ["log(a.x) > -2", "mean(sqrt(a.x)) > 0.2", "a.x / (a.x - a.x) > 0"]
)
def test_a_function_that_has_no_value_for_a_unit_does_not_drop_it_silently(claim, recwarn):
    table = arms_of(a=[-1.0, *range(7)], b=[3.0] * 8)
    told = r"is not a number in 1 cell: a log or root|is infinite"
    with pytest.raises(ClaimError, match=told):
        assay.judge(table, claim=claim, unit="seed", control="b")
    assert not recwarn.list, "one line is all that is told"


@pytest.mark.parametrize(("suffix", "by"), {"gz": gzip, "bz2": bz2, "xz": lzma}.items())
def test_packed_tables_are_not_unpacked(tmp_path, suffix, by):
    """Whatever they hold: an archive of a few bytes may be larger than the machine."""
    path = tmp_path / f"r.csv.{suffix}"
    path.write_bytes(by.compress(frame().to_csv(index=False).encode()))
    with pytest.raises(AssayError, match="unpack it first") as e:
        assay.judge(path, **ASK)
    assert "\n" not in str(e.value)


def test_numbers_that_tie_by_rounding_are_told_what_decides():
    old = [0.8 + 0.01 * (seed == 3) for seed in range(8)]
    frame = arms_of(mine=[0.9] * 8, old=old, again=old[::-1]).rename(columns={"x": "acc"})
    asked = {"unit": "seed", "control": "again", "about": "mine"}
    rounded = assay.judge(frame, claim="mine.acc - old.acc > 0.05", **asked)
    # counts are not rounded numbers
    whole = frame.assign(acc=(100 * frame["acc"]).round())
    unwidened = assay.judge(whole, claim="mine.acc - old.acc > 5", **asked).verdict
    assert rounded.verdict.outcome == "holds"
    assert "acc is rounded to 0.01" in rounded.notes[0]
    assert (rounded.verdict.low, rounded.verdict.high) == pytest.approx(
        (unwidened.low / 100 - 0.01, unwidened.high / 100 + 0.01)
    ), "half a step of each of two numbers"
    near = assay.judge(frame, claim="mine.acc - old.acc > 0.09", **asked)
    assert near.verdict.outcome == "undecided", "what rounding may have made is not decided"
    frame = whole
    judged = assay.judge(frame, claim="mine.acc - old.acc > 5", **asked)
    assert judged.verdict.outcome == "undecided"
    assert judged.verdict.reason == "units agree"
    assert all(
        word in judged.verdict.price.text
        for word in ("7 of 8 seeds", "rounding", "the bounds LOW HIGH", "-1 1")
    )
    row = tables.row(judged)
    assert not any(word in row.why for word in ("power", "Exact", "no interval"))
    assert row.kind == "", "nobody spoke of a pilot"
    html = judged._repr_html_()
    assert "given with the claim" in html
    assert "from given" not in html
    assert "confirming" not in html
    tied = assay.judge(frame, claim="mean(mine.acc) / 100 > 0.85", **asked)
    assert tied.verdict.reason == "units agree" and "--bounds" not in tied.verdict.price.text, (
        "a statistic of means takes no bounds"
    )
    ratio = assay.judge(frame, claim="mean(mine.acc)/mean(mine.acc) > 0.5", **asked)
    assert (ratio.verdict.outcome, ratio.verdict.price) == ("unspecific", None), (
        "its control is 1 as well, which no number of units changes"
    )


def test_an_estimate_of_rounded_numbers_that_tie_is_as_wide_as_a_claim_about_them():
    frame = arms_of(mine=[0.7] * 8, old=[0.5] * 7 + [0.4], again=[0.5] * 8)
    frame = frame.rename(columns={"x": "acc"})
    judged = assay.judge(
        frame, claim="mine.acc - old.acc > 0.05", unit="seed", control="again", about="mine"
    )
    number = assay.estimate(frame, value="mine.acc - old.acc", unit="seed")
    assert (number.low, number.high) == pytest.approx((judged.verdict.low, judged.verdict.high))
    assert {*number.notes} <= {*judged.notes} and "wider on either side" in number.method
    same = frame.assign(acc=frame["arm"].map({"mine": 0.7, "old": 0.5, "again": 0.5}))
    number = assay.estimate(same, value="mine.acc - old.acc", unit="seed")
    assert (number.low, number.high) == pytest.approx((0.1, 0.3)), "half of 0.1 in each of two"
    # whole numbers are not rounded ones
    counts = frame.assign(acc=(10 * frame["acc"]).round())
    number = assay.estimate(counts, value="mine.acc - old.acc", unit="seed")
    assert number.notes == () and "rounding" not in number.method
    noise = 0.0317 * np.random.default_rng(0).permutation(24) / 24
    free = frame.assign(acc=frame["acc"] + noise)  # nothing ties
    assert assay.estimate(free, value="mine.acc - old.acc", unit="seed").notes == ()


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


def test_a_table_of_one_arm_needs_no_column_of_arms_and_says_what_it_averages():
    f = sweep()
    bare = f[f.arm == "old"].drop(columns="arm")
    twice = pd.concat([bare, bare])
    number = assay.estimate(twice, value="x", unit="seed", over="density", natural=(0, 1))
    assert number.notes == ("main: 48 rows averaged into 24 cells of seed × density",)
    assert number.to_json()["notes"] == list(number.notes)
    with pytest.raises(ClaimError, match=r"a verdict needs a control.*the only arm is old"):
        assay.judge(f[f.arm == "old"], claim="old.x[density=1] < 1", unit="seed")
    with pytest.raises(DataError, match="no column 'arm'"):
        assay.judge(bare, claim="x < 1", unit="seed", control="a")


@pytest.mark.parametrize(
    ("says", "fields"),
    {
        "an estimate has no threshold; leave it out, or make it a claim": {"value": "new.x < 1"},
        "which arm is the estimate about? Write arm.column, with one of new, old": {"value": "x"},
        "no arm 'nwe' in column arm of the table; did you mean new?": {"value": "nwe.x"},
        "no column 'y' in the table": {"value": "new.y"},
        "no column 'densty', which is named as swept; did you mean density?": {"over": "densty"},
        "column 'seed' is a unit; a curve goes over another column": {"over": "seed"},
        "column 'arm' cannot be what a curve goes over: it is the arm": {"over": "arm"},
    }.items(),
)
def test_what_cannot_be_estimated_gets_one_line_of_advice(fields, says):
    ask = {"value": "new.x", "unit": "seed", "over": "density", **fields}
    with pytest.raises(AssayError) as e:
        assay.estimate(sweep(), **ask)
    assert says in str(e.value) and "\n" not in str(e.value)


def test_without_a_control_the_labels_are_dealt_out_and_what_that_tells_is_said():
    """Dealt out, labels tell nothing: the difference is 0 but for the deal, a ratio 1."""
    for claim, nothing in (
        ("new.fvu - old.fvu < -0.05", 0.0),
        ("mean(new.fvu) / mean(old.fvu) < 0.7", 1.0),
        ("new.fvu < 0.13", 0.15),
    ):
        judged = assay.judge(two_methods(), claim=claim, unit="seed")
        dealt = judged.controls["dealt"]
        assert (judged.outcome, dealt.outcome) == ("holds", "fails")
        assert dealt.estimate == pytest.approx(nothing, abs=0.05)
        assert "only that the arms differ, not why" in judged.notes[-1]
    again = assay.judge(two_methods(), claim=claim, unit="seed")
    assert again.to_json() == judged.to_json()
    assert (
        assay.judge(two_methods(apart=0), claim="new.fvu - old.fvu < -0.05", unit="seed").outcome
        == "fails"
    )


@pytest.mark.parametrize("first", [0, 8])
@pytest.mark.parametrize(
    "claim", ["mean(new.fvu) / mean(old.fvu) > 0.4", "mean(new.fvu) - 0.4 * mean(old.fvu) > 0"]
)
def test_shuffled_labels_are_no_control_of_a_claim_that_equal_arms_satisfy(claim, first):
    """The ratio is 0.1/0.2, and that of equal arms is 1, whatever they are."""
    rows = two_methods()
    rows["seed"] = [*range(8), *range(first, first + 8)]
    judged = assay.judge(rows, claim=claim, unit="seed", about="new")
    assert (judged.outcome, judged.controls) == ("undecided", {})
    assert (
        "these are no control of it" in judged.notes[-1] and "name a control" in judged.price.text
    )
    false = claim.replace("> 0.4", "> 0.8").replace("- 0.4", "- 0.8")
    assert assay.judge(rows, claim=false, unit="seed", about="new").outcome == "fails"


def groups(new, old, start=100):
    seeds = [*range(len(new)), *range(start, start + len(old))]
    return {"arm": ["new"] * len(new) + ["old"] * len(old), "run": seeds, "acc": [*new, *old]}


NEW = (0.71, 0.74, 0.69, 0.73, 0.72, 0.70, 0.75, 0.71, 0.73, 0.72)
OLD = (0.65, 0.72, 0.61, 0.71, 0.70, 0.72, 0.73, 0.70, 0.72, 0.71, 0.66, 0.68, 0.64)


@pytest.mark.parametrize("value", ["new.acc - old.acc", "mean(new.acc) - mean(old.acc)"])
def test_arms_without_a_common_unit_are_independent_groups(value):
    """Estimate and width are those of Welch's t by SciPy, a little wider; order does not matter."""
    welch = scipy.stats.ttest_ind(NEW, OLD, equal_var=False).confidence_interval()
    rows = groups(NEW, OLD)
    number = assay.estimate(rows, value=value, unit="run")
    assert number.estimate == pytest.approx(np.mean(NEW) - np.mean(OLD))
    assert number.t_high - number.t_low == pytest.approx(welch.high - welch.low, rel=0.06)
    # corrected for skew as well
    assert number.low < welch.low and welch.high < number.high
    judged = assay.judge(groups(NEW, OLD[::-1]), claim=f"{value} > 0.005", unit="run")
    assert judged.low == pytest.approx(number.low, abs=1e-9)
    assert judged.outcome == "holds"
    assert "no run is in two arms: judged as independent groups, 10 of new and 13 of old" in (
        judged.notes
    )


def test_arms_from_which_units_may_have_been_left_out_are_noted():
    """Two arms of the same law differ once the low numbers of one are left out."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"arm": np.repeat(["new", "old"], 200), "acc": rng.normal(size=400)})
    rows["run"] = np.arange(400)
    ask = {"claim": "new.acc - old.acc > 0.1", "unit": "item"}
    left = rows[(rows["arm"] == "old") | (rows["acc"] > -0.5)].rename(columns={"run": "item"})
    judged = assay.judge(left, **ask)
    count = (left["arm"] == "new").sum()
    said = f"new has {count} items, and old 200: if items of new were left out because of their num"
    assert judged.outcome == "holds" and any(n.startswith(said) for n in judged.notes)
    # where their names show which they are, they can be compared in pairs
    named = left.assign(item=[f"{a}-q{i % 200}" for a, i in left[["arm", "item"]].to_numpy()])
    notes = "; ".join(assay.judge(named, **ask).notes)
    assert f"(new-q0 and old-q0); {200 - count} of old's have no partner: if they are the" in notes
    pairs = named[named["item"].str[4:].isin(named.loc[named["arm"] == "new", "item"].str[4:])]
    paired = assay.judge(pairs.assign(item=pairs["item"].str[4:]), **ask)
    assert paired.n == {"item": count} and "independent" not in "; ".join(paired.notes)
    # neither numbers that were dealt at random, nor runs that every arm numbers from 0
    dealt = rows.assign(arm=np.where(rng.random(400) < 0.5, "new", "old"))
    counted = rows.assign(run=[f"{a}-{i % 200}" for a, i in rows[["arm", "run"]].to_numpy()])
    for clean in (dealt, counted):
        notes = "; ".join(assay.judge(clean, **ask | {"unit": "run"}).notes)
        assert "left out" not in notes and "in pairs" not in notes


def test_two_kinds_of_units_have_no_difference_in_one_unit():
    rng = np.random.default_rng(0)
    kind = {"item": range(60), "kind": ["hard", "easy"] * 30}
    gain = {"new": rng.normal(0.2, 0.05, 60), "old": rng.normal(0, 0.05, 60)}
    rows = pd.concat([pd.DataFrame({**kind, "arm": a, "acc": x}) for a, x in gain.items()])
    claim = "(new.acc[kind=hard] - new.acc[kind=easy]) - (old.acc[kind=hard] - old.acc[kind=easy])"
    none = re.escape("no item of new has both acc[kind=hard] and acc[kind=easy], so no item")
    with pytest.raises(ClaimError, match=none):
        assay.judge(rows, claim=f"{claim} > 0.05", unit="item")
    # what it says to do
    by_kind = pd.DataFrame({"arm": kind["kind"], "item": range(60), "x": gain["new"] - gain["old"]})
    welch = scipy.stats.ttest_ind(*(by_kind.x[k::2] for k in (0, 1)), equal_var=False)
    number = assay.estimate(by_kind, value="hard.x - easy.x", unit="item")
    limits = welch.confidence_interval()
    assert (number.t_low, number.t_high) == pytest.approx((limits.low, limits.high), rel=0.1)


def test_a_control_of_independent_groups_is_beaten_by_what_lies_beyond_it():
    """Three groups of ten runs: new lies far above old, again where old lies: by SciPy's Welch
    tests new is above again, and again not above old."""
    rows = pd.DataFrame(groups(NEW, OLD[:10]))
    again = pd.DataFrame(
        {"arm": "again", "run": range(200, 210), "acc": [x + 0.001 for x in OLD[3:]]}
    )
    rows = pd.concat([rows.assign(acc=rows.acc + 0.1 * (rows.arm == "new")), again])
    judged = assay.judge(
        rows, claim="new.acc - old.acc > 0.05", unit="run", control="again", about="new"
    )
    by_arm = rows.groupby("arm").acc.apply(list)
    above = scipy.stats.ttest_ind(by_arm["new"], by_arm["again"], equal_var=False)
    assert above.confidence_interval().low > 0.05
    assert judged.outcome == "holds" and judged.controls["again"].outcome == "fails"
    equal = assay.judge(
        rows.assign(acc=rows.acc + 0.1 * (rows.arm == "again")),
        claim="new.acc - old.acc > 0.05",
        unit="run",
        control="again",
        about="new",
    )
    assert equal.outcome == "unspecific"
    assert not any("are left out" in note for note in judged.notes)


def test_rows_of_two_runs_speak_for_these_two_alone():
    """Two trainings of each kind, thirty documents each: a claim over documents has to be the same
    with trainings as units, unless it is about these alone, which its scope then says."""
    noise = 0.01 * np.random.default_rng(0).normal(size=(2, 2, 30))
    rows = pd.DataFrame(
        [
            (arm, 10 * a + s, f"{arm}-{s}-{i}", 0.1 * (arm == "new") + noise[a, s, i])
            for a, arm in enumerate(("new", "old"))
            for s in range(2)
            for i in range(30)
        ],
        columns=["arm", "seed", "document", "acc"],
    )
    ask = {"claim": "new.acc - old.acc > 0.05", "unit": "document"}
    assert assay.judge(rows, **ask).outcome == "holds"
    lucky = 0.04 * np.array([1, -1, 0, 0])[rows["seed"] % 10 + 2 * (rows["seed"] > 9)]
    judged = assay.judge(rows.assign(acc=rows["acc"] + lucky), **ask)
    assert (judged.outcome, judged.reason) == ("undecided", "grouped by seed")
    assert 'fixed="seed" if the claim is about these 4 only' in judged.price.text
    these = assay.judge(rows.assign(acc=rows["acc"] + lucky), **ask, fixed="seed")
    assert these.outcome == "holds" and "of these 4 seeds" in these.scope


def test_groups_are_told_apart_by_means_alone_and_six_units_each():
    with pytest.raises(ClaimError, match=r"new and old have no unit in common, .*compare means"):
        assay.judge(groups(NEW, OLD), claim="new.acc / old.acc > 1", unit="run")
    ratio = assay.estimate(groups(NEW, OLD), value="mean(new.acc) / mean(old.acc)", unit="run")
    assert ratio.estimate == pytest.approx(np.mean(NEW) / np.mean(OLD))
    with pytest.raises(ClaimError, match="too few units: old has 5 of 6 runs"):
        assay.judge(groups(NEW, OLD[:5]), claim="new.acc - old.acc > 0", unit="run")


def test_too_few_units_are_told_before_a_control_that_lacks():
    few = two_methods(3)
    judged = assay.judge(few, claim="new.fvu - old.fvu < -0.05", unit="seed")
    assert judged.reason == "too few units: 3 of 6 seeds"
    alone = {k: v[:3] for k, v in few.items()}
    with pytest.raises(ClaimError, match=r"^too few units: 3 of 6 seeds; and a verdict needs"):
        assay.judge(alone, claim="new.fvu < 1", unit="seed")


def test_five_folds_decide_and_say_why_their_interval_is_wide():
    right = {"new": [0.81, 0.83, 0.82, 0.85, 0.84], "old": [0.61, 0.62, 0.64, 0.63, 0.65]}
    rows = [
        {"arm": arm, "fold": k, "right": x}
        for arm, values in {**right, "again": right["old"][::-1]}.items()
        for k, x in enumerate(values)
    ]
    claim = "new.right - old.right > 0.1"
    judged = assay.judge(rows, claim=claim, unit="fold", control="again", about="new")
    assert judged.outcome == "holds"
    assert "folds share training data, so the interval is 1.5 times as wide" in judged.warning
    off = np.subtract(right["new"], right["old"])
    half = 2.776445 * off.std(ddof=1) * (1 / 5 + 1 / 4) ** 0.5
    assert (judged.low, judged.high) == pytest.approx((off.mean() - half, off.mean() + half))
    seeds = [{"seed" if k == "fold" else k: v for k, v in row.items()} for row in rows]
    judged = assay.judge(seeds, claim=claim, unit="seed", control="again")
    assert judged.reason == "too few units: 5 of 6 seeds"
    some = [row for row in rows if row["fold"] < 3]
    judged = assay.judge(some, claim=claim, unit="fold", control="again")
    assert judged.reason == "too few units: 3 of 5 folds"


def test_an_interval_of_folds_ends_at_the_bounds():
    """By Student's t with the variance of Nadeau and Bengio, half a step of .01 wider; the upper
    end would lie beyond 1, and no unit that is at 1 counts as 1.005."""
    from scipy import stats

    ours, least = np.array([1, 1, 0.99, 1, 0.98]), [0.5, 0.48, 0.52, 0.51, 0.49]
    folds = {"arm": ["mine"] * 5 + ["shuffled"] * 5, "fold": [*range(5)] * 2}
    claim, more = "mine.accuracy > 0.9", {"unit": "fold", "control": "shuffled"}
    rows = {**folds, "accuracy": [*ours, *least]}
    judged = assay.judge(rows, claim=claim, bounds=(0, 1), **more)
    half = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 1 / 4) * ours.var(ddof=1))
    assert judged.outcome == "holds"
    assert judged.low == pytest.approx(0.994 - half - 0.005)
    assert 0.994 + half > 1 and judged.high == 1
    # all are right: of how many rows is not known, nor rounded
    for bounds in (None, (0, 1)):
        whole = assay.judge({**folds, "accuracy": [1.0] * 5 + least}, claim=claim, bounds=bounds,
                            **more)  # fmt: skip
        assert whole.outcome == "undecided" and "round" not in whole.price.text
        assert "tested=N" in whole.price.text


@pytest.mark.parametrize(("base", "lowest"), [(0, "0"), (3, "-0.125"), (4, "-0.167")])
def test_a_share_cannot_fall_below_zero(base, lowest):
    """Of 24 prompts `base` refuse without the change, so that none of its effects is below
    −base/24: that a fall by a fifth was not seen is no finding."""
    refused = {"main": base, "erased": min(base, 1), "random": base}
    rows = arms_of(**{arm: [1] * k + [0] * (24 - k) for arm, k in refused.items()})
    claim = "erased.x - main.x < -0.2"
    judged = assay.judge(rows, claim=claim, unit="seed", control="random", about="erased")
    assert (judged.outcome, judged.reason) == ("undecided", OUT_OF_REACH)
    assert f"as main.x is {base / 24:.2g}, the value can only be from {lowest} to" in (
        judged.price.text
    )
    assert math.isnan(judged.detectable_alone[0])


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


@pytest.mark.parametrize("missing", [(), [("a", 0, 5)], [("a", 0, 5), ("b", 0, 5), ("c", 0, 5)]])
@pytest.mark.parametrize("name", ["layer", "depth"])
def test_a_condition_is_refused_though_some_rows_are_missing(missing, name):
    with pytest.raises(ClaimError, match=rf"a.x varies over {name} \(5, 9\)"):
        assay.judge(conditions(missing, name), claim="a.x - b.x < -0.1", unit="seed", control="c")


@pytest.mark.parametrize("name", ["document", "layer"])
def test_a_number_of_each_seed_that_all_of_its_rows_repeat_is_one_number(name):
    """As in a table of documents with a number of the whole run."""
    x = np.random.default_rng(0).normal([[1.0], [2.0], [2.0]], 0.1, (3, 8))
    rows = pd.DataFrame(
        {"arm": arm, "seed": seed, name: f"{name}-{k}", "x": x[i, seed], "y": x[i, seed] + 0.1 * k}
        for i, arm in enumerate("abc")
        for seed in range(8)
        for k in range(5)
    )
    asked = {"unit": "seed", "control": "c", "about": "a"}
    v = assay.judge(rows, claim="a.x - b.x < -0.5", **asked)
    apart = x[0] - x[1]
    low, high = scipy.stats.t.interval(0.95, 7, apart.mean(), scipy.stats.sem(apart))
    assert v.estimate == pytest.approx(apart.mean())
    assert v.n == {"seed": 8} and v.low <= low and high <= v.high
    with pytest.raises(ClaimError, match=f"a.y varies over {name}"):
        assay.judge(rows, claim="a.y - b.y < -0.5", **asked)


@pytest.mark.parametrize("number", [lambda f: f, lambda f: f.reset_index(drop=True)])
def test_a_row_index_tells_no_rows_apart(tmp_path, number):
    """With the index that pandas writes, a table says what it says without."""
    ask = {"claim": "a.x - b.x < -0.1", "unit": "seed", "control": "c", "about": "a"}
    f = number(conditions((), "depth"))
    f.drop(columns="depth").to_csv(tmp_path / "with.csv")
    f.drop(columns="depth").to_csv(tmp_path / "without.csv", index=False)
    known = [assay.judge(tmp_path / f"{name}.csv", **ask) for name in ("with", "without")]
    says = [(j.notes, j.verdict.outcome, j.verdict.estimate, j.verdict.low) for j in known]
    assert says[0] == says[1]
    assert any("no column distinguishes" in note for note in known[0].notes)
    repeated = f.rename(columns={"depth": "run"})
    assert not any("no column" in note for note in assay.judge(repeated, **ask).notes)
    f.to_csv(tmp_path / "with.csv")
    with pytest.raises(ClaimError, match=r"a.x varies over depth \(5, 9\)"):
        assay.judge(tmp_path / "with.csv", **ask)


@pytest.mark.parametrize("levels", [("easy", "hard"), (5, 9)])
def test_a_column_without_a_name_is_called_by_its_place(tmp_path, levels):
    f = conditions((), "depth")
    f["depth"] = f["depth"].map(dict(zip((5, 9), levels, strict=True)))
    place = f.columns.get_loc("depth") + 1
    f.rename(columns={"depth": ""}).to_csv(tmp_path / "t.csv", index=False)
    told = rf"column {place}, which has no name, tells rows apart \({levels[0]}, {levels[1]}\)"
    with pytest.raises(ClaimError, match=told):
        assay.judge(tmp_path / "t.csv", claim="a.x - b.x < -0.1", unit="seed", control="c")


def test_where_an_arm_has_mostly_easy_rows_the_condition_is_named():
    """Arms that are alike: a is mostly measured at 9, b and c mostly at 5."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {"arm": arm, "seed": seed, "depth": depth, "x": rng.normal(-depth / 5, 0.03)}
        for seed in range(10)
        for arm in "abc"
        for depth, most in ((5, arm != "a"), (9, arm == "a"))
        for _ in range(5 if most else rng.integers(0, 2))
    )
    ask = {"claim": "a.x - b.x < -0.1", "unit": "seed", "control": "c", "about": "a"}
    means = "{a:.3g} and {b:.3g}; c {c:.3g}".format(**rows.groupby("arm")["depth"].mean())
    said = f"besides x, a and b differ in depth ({means})"
    assert said in assay.judge(rows, **ask).notes
    with pytest.raises(ClaimError, match=r"a\.x varies over layer"):
        assay.judge(rows.rename(columns={"depth": "layer"}), **ask)
    apart = rows[(rows["depth"] == 9) == (rows["arm"] == "a")].rename(columns={"depth": "layer"})
    lone = apart.groupby(["arm", "seed"], as_index=False).first()
    said = (
        "layer is 9 in all rows of a, and 5 in all of b: the claim holds for arm and layer together"
    )
    assert any(said in n for n in assay.judge(lone, **ask).notes)
    assert not any("differs" in n for n in assay.judge(lone.drop(columns="layer"), **ask).notes)


@pytest.mark.parametrize(
    ("values", "said", "listed"),
    [
        (("B", "A", "A"), "batch is B in all rows of a, and A in all of b: the claim", []),
        ((1, 0.0, 0), "batch is 1 in all rows of a, and 0 in all of b: the claim", []),
        (("B", "A", "B"), "", ["(B and A; c B)"]),  # the control is of the batch, and has no effect
        (("l1", "l2", "l3"), "", ["(l1 and l2; c l3)"]),  # it describes the arms
        (("run-a", "run-b", "run-b"), "", []),  # it is their name
        (("B", None, None), "", []),
        (("A", "A", "B"), "", ["(B and A)"]),
    ],
)
def test_a_column_that_changes_with_the_arm_is_named_unless_a_control_separates_them(
    values, said, listed
):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(
        {"arm": arm, "seed": seed, "batch": value, "x": (arm == "a") + rng.normal(0, 0.1)}
        for arm, value in zip("abc", values, strict=True)
        for seed in range(10)
    )
    ask = {"claim": "a.x - b.x > 0.3", "unit": "seed", "control": "c", "about": "a"}
    judged = assay.judge(rows, **ask)
    assert judged.unless == "batch is the cause" * bool(said)
    notes = [n for n in judged.notes if n.startswith("batch")]
    assert judged.outcome == "holds" and len(notes) == bool(said)
    assert not said or notes[0].startswith(said)
    assert listed == [n.partition("batch ")[2] for n in judged.notes if "differ" in n]
    two = assay.judge(rows.assign(gpu=rows["batch"]), **ask).notes
    assert sum("batch and gpu are" in n and "all of these together" in n for n in two) == bool(said)
    mixed = rows.assign(batch=rows["seed"] % 2)
    assert not any("batch" in n for n in assay.judge(mixed, **ask).notes)


def test_one_chosen_seed_is_one_of_several_draws():
    """Seeds differ by 0.2, and items hardly: the best of ten is far from all others."""
    draw, rows = np.random.default_rng(0), []
    gains = draw.normal(0, 0.2, 10)
    best = int(gains.argmax())
    for arm, seed, item in itertools.product(("new", "old", "other"), range(10), range(20)):
        x = draw.normal(gains[seed] if arm == "new" else 0, 0.02)
        rows.append((arm, seed, f"i{item}", x))
    rows = pd.DataFrame(rows, columns=["arm", "seed", "item", "x"])
    claim = f"new.x[seed={best}] - old.x[seed={best}] > 0.15"
    ask = {"unit": "item", "control": "other", "about": "new"}
    judged = assay.judge(rows, claim=claim, **ask)
    assert (judged.outcome, judged.unless) == ("holds", f"seed {best} was chosen from 10 seeds")
    means = rows.groupby(["arm", "seed"])["x"].mean()
    rest = (means["new"] - means["old"]).drop(best)
    (note,) = (n for n in judged.notes if n.startswith(f"the claim is about seed {best} alone"))
    low, high = map(float, re.search(r"between (\S+) and ([^;]+);", note).groups())
    assert (low, high) == pytest.approx((rest.min(), rest.max()), abs=1e-3)
    alike = rows.assign(x=rows["x"] + (rows["arm"] == "new"))
    assert not assay.judge(alike, claim=claim, **ask).unless


@pytest.mark.parametrize("values", [["yes", "no"], [0, 1]])
def test_two_values_are_no_sample_of_values(values):
    draw = np.random.default_rng(0)
    items = np.arange(40)
    gain = {"new": 2.0 * (items % 2), "old": 0.0, "other": 0.0}
    rows = arms_of(**{arm: draw.normal(x, 0.3, 40) for arm, x in gain.items()})
    rows["label"] = [values[k] for k in rows["seed"] % 2]
    judged = assay.judge(
        rows, claim="new.x - old.x > 0.3", unit="seed", control="other", about="new"
    )
    assert judged.outcome == "undecided"
    assert judged.price.text.startswith(
        'judge the rows of each by themselves, or fixed="label" if the claim is about these 2 only'
    )


def copies(rows, times):
    """These rows again and again, as further seeds."""
    return pd.concat([rows.assign(seed=rows["seed"] + 1000 * i) for i in range(times)])


def test_copies_of_units_are_refused():
    f = frame(seeds=24)
    f["fvu"] += 0.01 * np.random.default_rng(3).normal(size=len(f))
    assert not any("copies" in n for n in assay.judge(f, **ASK).notes)
    few = f[f["seed"] < 3]
    copied = copies(few, 8)
    with pytest.raises(DataError, match=r"24 levels of seed have only 3 different sets .*--unit"):
        assay.judge(copied, **ASK)
    # of one arm the control's rows are copies as well
    alone = {**ASK, "claim": "gated.fvu < 0.22"}
    with pytest.raises(DataError, match="only 3 different sets"):
        assay.judge(copied, **alone)
    # but for noise of a thousandth of a percent of what units differ by
    near = copied.assign(fvu=copied["fvu"] + 1e-7 * np.random.default_rng(5).normal(size=192 * 4))
    with pytest.raises(
        DataError, match=r"24 seeds look like about 3 sets of 8 similar ones: .*--unit"
    ):
        assay.judge(near, **ASK)
    # neither of arms that share no unit, nor of answers that are right or wrong
    apart = copies(few.groupby(["arm", "seed"], as_index=False)["fvu"].mean(), 8)
    apart["fvu"] += 0.01 * np.random.default_rng(4).normal(size=len(apart))
    apart["seed"] += 10_000 * (apart["arm"] == "relu") + 20_000 * (apart["arm"] == "shuffled")
    lone = assay.judge(apart, **{**ASK, "unit": "seed"})
    right = copied.assign(fvu=(np.arange(len(copied)) % 3 == 0).astype(float))
    for judgement in (lone, assay.judge(right, **ASK)):
        assert not any("copies" in n for n in judgement.notes), judgement.notes


def test_a_difference_of_right_and_wrong_answers_has_its_bounds():
    rng = np.random.default_rng(0)
    right = {arm: (rng.random(60) < p).astype(int) for arm, p in (("a", 0.9), ("b", 0.6))}
    ask = {"claim": "a.x - b.x > 0.1", "unit": "seed"}
    v = assay.judge(arms_of(**right), **ask)
    said = assay.judge(arms_of(**right), **ask, bounds=(-1, 1))
    assert v.outcome == "holds"
    assert (v.low, v.high) == (said.low, said.high)
    assert v.bounds == (-1, 1)
    assert any("between -1 and 1" in n for n in v.notes)
    # where nothing is wrong with b, a share is all that is left: Clopper and Pearson's limits
    some = {"a": [1] * 10 + [0] * 6, "b": [0] * 16}
    v = assay.judge(arms_of(**some), **ask)
    wide = scipy.stats.binomtest(10, 16).proportion_ci(0.95, "exact")
    assert v.low <= wide.low and v.high == pytest.approx(wide.high)


def test_a_table_of_means_has_nothing_to_generalise_over():
    means = pd.DataFrame({"method": ["new", "old", "random"], "mean": [0.9, 0.7, 0.5], "std": 0.1})
    for unit in ("method", "std"):
        with pytest.raises(DataError, match="each arm has one row, so there is nothing"):
            assay.judge(means, claim="new.mean - old.mean > 0.1", unit=unit, arm_column="method")


def test_a_table_with_a_column_for_each_arm_is_told_how_to_be_one(tmp_path):
    wide = pd.DataFrame({"seed": range(6), "main": 0.8, "base": 0.7})
    ask = {"claim": "main.x - base.x > 0.05", "unit": "seed"}
    with pytest.raises(DataError, match=r"'main' and 'base' look like arms: .*\.melt\(\['seed'\]"):
        assay.judge(wide, **ask)
    long = wide.melt(["seed"], var_name="arm", value_name="x")
    assert assay.judge(long, **ask).n == {"seed": 6}
    with pytest.raises(DataError, match="name each after its arm alone"):
        assay.judge(wide.rename(columns=lambda c: c if c == "seed" else f"{c}_x"), **ask)
    ours = {"claim": "acc_main - acc_base > 0.05", "unit": "seed"}
    named = wide.rename(columns=lambda c: c if c == "seed" else f"acc_{c}").assign(acc_third=0.5)
    with pytest.raises(DataError, match="'acc_main' and 'acc_base' look like arms") as refused:
        assay.judge(named, **ours)
    call = re.search(
        r"table\.melt\((\[.*?\]), var_name='arm', value_name='(\w+)'\)", str(refused.value)
    )
    turned = named.melt(ast.literal_eval(call[1]), var_name="arm", value_name=call[2])
    claim = str(refused.value).partition("the claim is ")[2]
    kept = {"unit": "seed", "control": "acc_third", "about": "acc_main"}
    assert assay.judge(turned, claim=claim, **kept).n == {"seed": 6}
    for name in ("t.feather", "t.parquet"):
        long.to_json(tmp_path / name, orient="records")
        with pytest.raises(DataError, match=r"is not CSV: .* give the DataFrame to assay.judge"):
            assay.judge(tmp_path / name, **ask)
    whole = assay.judge(long, **ask)
    for name, lines in (("t.json", False), ("t.jsonl", True)):
        long.to_json(tmp_path / name, orient="records", lines=lines, double_precision=15)
        of_file = assay.judge(tmp_path / name, **ask)
        assert (of_file.low, of_file.high) == pytest.approx((whole.low, whole.high))
    for text, told in (
        ('{"arm": "a"}\nx', "line 2 is not JSON"),
        ('{"arm": "a"}\n[1]', "is no table: a list of objects"),
        (json.dumps({f"c{i}": 1 for i in range(1001)}), "1,001 columns"),
    ):
        (tmp_path / "t.jsonl").write_text(text)
        with pytest.raises(DataError, match=told):
            assay.judge(tmp_path / "t.jsonl", **ask)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("arm;seed;x\na;0;1\n", "its values are separated by ';'; write commas"),
        ("arm\tseed\tx\na\t0\t1\n", "its values are separated by '.t'; write commas"),
        ("arm;seed;x\na;0;0,5\n", "values are separated by ';'; write commas, and decimal points"),
        ("arm,seed,x\na,0,failed\n", "got 'failed' in row 1; if .* leave the cell empty"),
        ("arm,seed,x\na,0,inf\n", "infinite in row 1; .* leave the cell empty"),
        ("arm,seed,x\na,0,0,1\n", r"line 2 has more values .* write a decimal comma \(84,1\) as"),
        ("arm,seed,x\na,0,1\na,1,0,2\n", "line 3 has 4 values, the header 3 names; write a dec"),
        ('arm,seed,x\na,0,"84,1"\n', "got '84,1' in row 1; write 84.1, with a point"),
        ('arm,seed,x\na,0,"25,126"\n', "write thousands without a comma, and decimals behind"),
        ("arm,seed,x\na,0,84.1%\n", "got '84.1%' in row 1; write 84.1, without the sign"),
        ("arm,seed,x\na,0,1\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        ("arm,seed,x\na,0,\xe4\n".encode("latin-1"), r"not UTF-8 text \(byte \d+\); save it"),
        ("# made by x.py\narm,seed,x\na,0,1\n", "begins with a comment"),
        ("arm,seed,x\na,0,yes\n", "got 'yes' in row 1; write 1 and 0"),
        ("arm,seed,x\na,0,\u22120.5\n", "write the minus sign as -"),
        ("arm,seed,x\na,0,0.5 ± 0.1\n", "write the number alone"),
        ("arm,seed,x\na,0,1\narm,seed,x\n", "row 2; this row repeats the header"),
        ("arm,seed,x\na,s1,1\na,s2,2\na,mean,1.5\n", "'mean' among its levels, which sums up"),
        ("arm,seed,x\na,s1,1\nA,s2,2\n", "arms 'a' and 'A' differ by case alone"),
        ("arm,seed,x\na,s1,1\na,S1,2\n", "levels 's1' and 'S1' differ by case alone"),
    ],
)
def test_what_keeps_a_file_from_being_a_table_is_said(tmp_path, text, told):
    file = tmp_path / "t.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=told):
        assay.judge(file, claim="a.x > 0", unit="seed")


def test_shares_are_of_one_scale_and_no_share_is_minus_one():
    """Percentages next to shares, and a number that stands for none, by the names of columns; what
    is no share by its name may be anything."""
    f = frame().rename(columns={"fvu": "acc"})
    ask = {**ASK, "claim": "gated.acc - relu.acc < -0.02"}
    percent = f.assign(acc=f.acc.where(f.arm != "gated", 100 * f.acc))
    missing = f.assign(acc=f.acc.where(f.seed != f.seed.min(), -1))
    for table, told in ((percent, "shares and percentages"), (missing, "is -1 in rows")):
        with pytest.raises(DataError, match=told):
            assay.judge(table, **ask)
        renamed = table.rename(columns={"acc": "loss"})
        assay.judge(renamed, **{**ask, "claim": ask["claim"].replace("acc", "loss")})
    assert assay.judge(f.assign(acc=100 * f.acc), **ask).outcome == "holds"
    differences = f.assign(acc=f.acc - 0.3)  # of shares, some of them negative
    assert assay.judge(differences, **ask).outcome == "holds"
    blank = f.assign(
        seed=[f"s{s} " if a == "gated" else f"s{s}" for a, s in zip(f.arm, f.seed, strict=True)]
    )
    assert assay.judge(blank, **ask).n == assay.judge(f, **ask).n


@pytest.mark.parametrize("count", [8, 12, 24])
def test_what_differs_by_rounding_alone_has_no_note_on_its_interval(count):
    """The first unit is 40 units in the last place larger than the others."""
    x = np.full(count, 0.884)
    x[0] += 40 * np.spacing(0.884)
    judged = assay.judge(arms_of(a=x, b=-x), claim="a.x > 0.5", unit="seed", control="b")
    assert "beyond" not in judged.warning


def test_an_interval_beyond_what_shares_allow_says_how_bounds_are_given():
    rows = _six_by_six(0.99, 0.01)
    asked = {"claim": "mine.acc - old.acc > 0.1", "unit": ["seed", "prompt"], "control": "again"}
    asked |= {"about": "mine"}
    free = assay.judge(rows, **asked)
    assert free.high > 1 and any("add bounds=(-1, 1)" in note for note in free.notes)
    bounded = assay.judge(rows, **asked, bounds=(-1, 1))
    assert bounded.high == 1.0 and not any("bounds=" in note for note in bounded.notes)


def test_where_a_baseline_leaves_no_room_a_table_decides_nothing():
    """A table does not say whether the first arm is a change of the second, whose failure to show
    up would be no finding, or another method."""
    right = {"changed": 60, "unchanged": 59, "placebo": 30}
    rows = arms_of(**{arm: [1] * k + [0] * (60 - k) for arm, k in right.items()})
    claim = "changed.x - unchanged.x > 0.2"
    judged = assay.judge(rows, claim=claim, unit="seed", control="placebo", about="changed")
    assert (judged.outcome, judged.verdict.reason) == ("undecided", "out of reach")
    assert judged.estimate == pytest.approx(1 / 60)


def test_a_claim_whose_outcome_depends_on_the_arm_that_it_is_about_is_refused():
    """Controls like the baseline speak against a claim about the baseline, and not against one
    about the other arm; a control in the middle comes out alike."""
    noise = np.random.default_rng(0).normal(0, 0.01, (5, 8))
    means = {"base": 6.0, "cut": 2.0, "other": 5.5, "half": 4.0, "no-op": 5.9}
    rows = arms_of(**{arm: x + e for (arm, x), e in zip(means.items(), noise, strict=True)})
    asked = {"claim": "base.x - cut.x > 3", "unit": "seed"}
    with pytest.raises(ClaimError) as e:
        assay.judge(rows, **asked, control=["no-op", "other"])
    assert str(e.value) == (
        'which arm is the claim about? With no-op in place of cut it reads base.x - "no-op".x > 3, '
        'and in place of base it reads "no-op".x - cut.x > 3; the outcomes differ, so add --about '
        "cut or --about base"
    )
    about = {arm: assay.judge(rows, **asked, control="other", about=arm) for arm in ("base", "cut")}
    assert {arm: v.outcome for arm, v in about.items()} == {"base": "unspecific", "cut": "holds"}
    assert {v.replaced for v in about.values()} == {"base", "cut"}
    assert assay.judge(rows, **asked, control="half").outcome == "holds"
    with pytest.raises(ClaimError, match="the claim names no arm 'other'; known: base, cut"):
        assay.judge(rows, **asked, about="other")


def test_other_arms_that_satisfy_a_comparison_are_named_with_how_they_would_be_controls():
    noise = np.random.default_rng(0).normal(0, 0.01, (4, 8))
    means = {"full": 6.0, "cut": 2.0, "head3": 5.5, "head8": 2.5}
    rows = arms_of(**{arm: x + e for (arm, x), e in zip(means.items(), noise, strict=True)})
    claim = {"claim": "full.x - cut.x > 1", "unit": "seed"}
    judged = {arm: assay.judge(rows, **claim, about=arm) for arm in ("", "full", "cut")}
    said = {
        arm: [n for n in v.notes if n.startswith("the claim is also")] for arm, v in judged.items()
    }
    advice = 'if that is another explanation, give control="head3"{}, and the claim is unspecific'
    assert [n.split(": ")[1] for n in said["full"]] == [advice.format("")]
    assert [n.split(": ")[1] for n in said[""]] == [advice.format(' and about="full"')]
    assert all(n.split(": ")[0].endswith("in place of full") for n in said["full"] + said[""])
    assert said["cut"] == [said["full"][0].replace("head3", "head8").replace("full", "cut")]
    assert [v.unless for v in judged.values()] == [
        "head3 is a control",
        "head3 is a control",
        "head8 is a control",
    ]
    followed = assay.judge(rows, **claim, control="head3", about="full")
    assert (followed.outcome, followed.unless) == ("unspecific", "")
    excused = assay.judge(rows, **claim, also="head3", about="full")
    assert (excused.outcome, excused.unless) == ("holds", "")


@pytest.mark.parametrize(("threshold", "reason"), [(2.5, STRADDLES), (1.9, "grouped by template")])
def test_where_prompts_share_templates_templates_decide_and_as_many_as_if_they_were_the_unit(
    threshold, reason
):
    rng = np.random.default_rng(3)
    of = rng.normal(0, 1.2, 12)
    rows = pd.DataFrame(
        {"arm": arm, "prompt": f"{t}-{k}", "template": f"t{t}", "x": x + rng.normal(0, 0.3)}
        for arm, by in (("new", 2.9 + of), ("old", 0 * of))
        for t, x in enumerate(by)
        for k in range(5)
    )
    claim = f"new.x - old.x > {threshold}"
    judged = assay.judge(rows, claim=claim, unit="prompt")
    assert (judged.outcome, judged.reason) == ("undecided", reason)
    by_template = assay.judge(rows, claim=claim, unit="template").price.text
    assert re.fullmatch(r"about \d+ more templates, \d+ in all", by_template)
    same = "more prompts of the same templates do not help, but"
    assert judged.price.text.startswith(f"{same} {by_template}, probably would")


def test_a_violation_stands_for_the_controls_of_a_claim_of_no_effect():
    """Shuffled labels have no effect either, which does not explain why none was found."""
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 24))
    x = {"ours": noise[0], "base": noise[1], "known": noise[0] + 0.15}
    rows = pd.concat([pd.DataFrame({"arm": a, "i": range(24), "x": v}) for a, v in x.items()])
    claim = "-0.1 < ours.x - base.x < 0.1"
    alone = assay.judge(rows, claim=claim, unit="i")
    assert (alone.outcome, alone.reason, dict(alone.controls)) == ("undecided", "blind", {})
    assert "name as a violation an arm whose value is between -0.1 and -0.2" in alone.price.text
    # what has an effect fails without any arm that shows how an effect looks
    assert assay.judge(rows, claim=claim.replace("ours", "known"), unit="i").outcome == "fails"
    larger = assay.judge(rows, claim="known.x - base.x > 0.1", unit="i")
    assert (larger.outcome, list(larger.controls)) == ("holds", ["dealt"])
    assert assay.judge(rows, claim=claim, unit="i", violation="known").outcome == "holds"


@pytest.mark.parametrize(("whole", "said"), [(0.0, "is minus the"), (1.0, "is 1 minus the")])
def test_a_control_that_mirrors_the_claim_is_no_test(whole, said):
    """The number of the other one of two answers, which is low because the claim's own is high."""
    draw = np.random.default_rng(0)
    mine = draw.normal(0.8, 0.05, 20)
    arms = {"mine": mine, "foil": whole - mine, "other": draw.normal(0.4, 0.05, 20)}
    table = arms_of(**arms)
    asked = {"claim": "mine.x > 0.6", "unit": "seed", "distinct": True}
    alone = assay.judge(table, control="foil", **asked)
    assert (alone.outcome, alone.reason) == ("undecided", "no control is a test")
    both = assay.judge(table, control=("foil", "other"), **asked)
    assert both.outcome == "holds" and not both.no_test("other")
    foil, other = tables.row(both).checked
    assert (foil.sign, other.sign) == ("–", "✓") and foil.line.endswith(": no test")
    assert said in foil.explains and foil.explains == both.no_test("foil")
    assert "Control foil is no test" in answers.verdict(both)["told"]
    reasons = both.to_pandas().set_index("arm")["reason"]
    assert reasons["foil"] == "no test" and not reasons["other"]


def test_what_a_claim_averages_over_is_named_in_its_scope():
    """An effect that differs between tasks more than between seeds: over seeds it is plain, and
    over tasks it is not."""
    draw = np.random.default_rng(0)
    by_task = draw.normal(0.024, 0.04, 12)
    cells = [(seed, task) for seed in range(8) for task in range(12)]
    rows = pd.DataFrame(
        {"arm": arm, "seed": s, "task": f"t{t}", "acc": x + draw.normal(0, 0.005)}
        for s, t in cells
        for arm, x in (("old", 0.6), ("new", 0.6 + by_task[t]))
    )

    def judged(claim, unit="seed", **options):
        return assay.judge(rows, claim=claim, unit=unit, **options)

    mean = judged("mean(new.acc, over=task) - mean(old.acc, over=task) > 0.01")
    fixed = judged("new.acc - old.acc > 0.01", fixed="task")
    both = judged("new.acc - old.acc > 0.01", ("seed", "task"))
    assert (mean.outcome, both.outcome) == ("holds", "undecided")
    assert mean.scope == fixed.scope == "over 8 seeds; of these 12 tasks"
    assert fixed.estimate == pytest.approx(mean.estimate) and fixed.low == pytest.approx(mean.low)
    for verdict in (mean, fixed):
        (note,) = [n for n in verdict.notes if "about these 12 tasks only" in n]
        assert note.endswith("the outcome would be undecided")
    most = judged("max(new.acc, over=task) - max(old.acc, over=task) > 0.01")
    assert most.scope == mean.scope
    # tasks that each belong to one subject are a part of it
    rows["subject"] = rows["task"].map(lambda task: f"s{int(task[1:]) % 6}")
    assert judged("mean(new.acc, over=task) > 0.5", "subject").scope == "over 6 subjects"


@pytest.mark.parametrize("count", [6, 4])
@pytest.mark.parametrize("unit", ["topic", ("seed", "topic")])
def test_an_effect_of_one_template_is_said_to_be_of_these_alone(unit, count):
    """However many units the claim has, and however few templates."""
    draw = np.random.default_rng(0)
    cells = itertools.product(("new", "old", "other"), range(7), "abcdefgh", range(count))
    rows = pd.DataFrame(cells, columns=["arm", "seed", "topic", "template"])
    effect = np.where(rows["template"] == 0, 0.42, 0.02)
    rows["x"] = draw.normal(0.3, 0.02, len(rows)) + effect * (rows["arm"] == "new")
    means = ("mean(new.x, over=template)", "mean(old.x, over=template)")
    judged = assay.judge(
        rows, claim=f"{means[0]} - {means[1]} > 0.05", unit=unit, control="other", about="new"
    )
    assert judged.outcome == "holds"
    (note,) = [n for n in judged.notes if f"about these {count} templates only" in n]
    assert note.endswith("the outcome would be undecided")
    assert ("with so few of them" in note) == (count < 6)
    # the means over all levels are not what is compared where the largest one is taken
    assert [*judged.sides] == [*means]
    largest = [f"max(mean({a}.x, over=topic), over=template)" for a in ("new", "old")]
    most = assay.judge(
        rows, claim=" - ".join(largest) + " > 0.05", unit="seed", control="other", about="new"
    )
    assert most.outcome == "holds" and not most.sides


@pytest.mark.parametrize(("threshold", "outcome"), [(0.1, "holds"), (0.3, "undecided")])
def test_the_best_of_several_arms_is_said_to_be_so_however_it_is_judged(threshold, outcome):
    """Twelve arms without an effect, of which the one with the largest mean is claimed."""
    draw = np.random.default_rng(0).normal(0, 1, (12, 20))
    draw -= draw.mean(1, keepdims=True) + np.linspace(0, 0.5, 12)[:, None] - 0.55
    arms = {f"layer{k}": x for k, x in enumerate(draw)} | {"foil": draw[3, ::-1] * 0.1 - 1}
    alone = assay.judge(
        arms_of(layer0=arms["layer0"], foil=arms["foil"]),
        claim=f"layer0.x > {threshold}",
        unit="seed",
        control="foil",
    )
    assert alone.outcome == outcome
    assert outcome == "holds" or alone.price.more
    best = assay.judge(
        arms_of(**arms), claim=f"layer0.x > {threshold}", unit="seed", control="foil"
    )
    assert best.outcome == "undecided" and best.price.more is None
    assert best.price.text.startswith("judge this arm alone on new seeds")
    (note,) = [n for n in best.notes if "layer0 is the best of 12 arms of this table" in n]
    low, high = map(float, re.search(r"interval \D+\[(\S+), (\S+)\]", note).groups())
    one, every = scipy.stats.t.ppf([1 - 0.025, 1 - 0.025 / 12], 19)
    times = every / one
    assert high - low == pytest.approx(times * (alone.high - alone.low), rel=0.01)


@pytest.mark.parametrize("paired", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_the_best_of_several_levels_holds_only_if_it_was_not_chosen_for_that(paired):
    """Twelve layers, some of which are better by more than the threshold, and one the best."""
    layers, items = range(12), range(24)
    draw = np.random.default_rng(2).normal(0, 0.1, (2, 12, 24))
    draw -= draw.mean(2, keepdims=True)
    draw[0] += np.array([0.03, 0.12, *np.linspace(0.04, 0.1, 10)])[:, None]
    rows = pd.DataFrame(
        {"arm": arm, "layer": k, "item": i if paired else f"{arm}{i}", "acc": draw[a, k, i]}
        for a, arm in enumerate(("probe", "bag"))
        for k in layers
        for i in items
    )
    best = int((draw[0] - draw[1]).mean(1).argmax())

    def judged(k, rows=rows):
        claim = f"probe.acc[layer={k}] - bag.acc[layer={k}] > 0.05"
        return assay.judge(rows, claim=claim, unit="item", about="probe")

    alone, chosen = judged(best, rows[rows["layer"] == best]), judged(best)
    assert (alone.outcome, alone.unless) == ("holds", "")
    assert chosen.outcome == "holds" and (alone.low, alone.high) == (chosen.low, chosen.high)
    (note,) = [n for n in chosen.notes if f"layer {best} is the best of" in n]
    count = int(note.split(" levels")[0].split()[-1])
    assert chosen.unless == f"layer {best} was chosen as the best of {count}"
    low = float(re.search(r"\[(\S+),", note)[1])
    degrees = 23 if paired else 46
    one, every = scipy.stats.t.ppf([1 - 0.025, 1 - 0.025 / count], degrees)
    expected = alone.estimate - every / one * (alone.estimate - alone.low)
    assert low == pytest.approx(expected, abs=0.006)
    assert low < 0.05 < alone.low
    # a layer that is not the best, or is so beyond luck
    assert not judged(2).unless
    named = rows.assign(layer=rows["layer"].map(lambda k: 1 if k == 1 else rf"\l{k}"))
    assert judged(best, named).outcome == "holds"  # whatever the other levels are called
    clear = rows.assign(
        acc=rows["acc"] + 0.3 * ((rows["layer"] == best) & (rows["arm"] == "probe"))
    )
    assert judged(best, clear).outcome == "holds" and not judged(best, clear).unless
    # the same numbers in a column for each layer are the same choice
    wide = rows.assign(layer="acc_layer" + rows["layer"].astype(str))
    wide = wide.pivot(index=["arm", "item"], columns="layer", values="acc").reset_index()
    claim = f"probe.acc_layer{best} - bag.acc_layer{best} > 0.05"
    column = assay.judge(wide, claim=claim, unit="item", about="probe")
    assert column.unless == f"acc_layer{best} was chosen as the best of {count}"
    assert (column.low, column.high) == (chosen.low, chosen.high)


def test_the_number_at_each_value_of_a_fixed_column_is_given_where_the_claim_is_not_true_of_all():
    """The effect is there on the prompts that the vector was learned from, and on no others."""
    draw = np.random.default_rng(7).normal(0, 0.2, (2, 24))
    learned = np.arange(24) % 2 == 0
    rows = [
        {"arm": arm, "prompt": i, "split": "train" if learned[i] else "test", "score": x}
        for arm, gain, numbers in (("steer", 3.0, draw[0]), ("base", 0.0, draw[1]))
        for i, x in enumerate(numbers + gain * learned)
    ]
    ask = {"claim": "steer.score - base.score > 0.5", "unit": "prompt", "fixed": "split"}
    note = next(n for n in assay.judge(pd.DataFrame(rows), **ask).notes if "not true of each" in n)
    said = [float(x) for x in re.findall(r"(\S+) where", note)]
    difference = draw[0] - draw[1] + 3.0 * learned
    expected = [difference[learned].mean(), difference[~learned].mean()]
    assert said == pytest.approx(expected, abs=0.01)
    assert note.startswith("the claim is not true of each split: the number is ")


def test_two_numbers_alone_or_a_constant_difference_do_not_make_a_mirror():
    mine = np.arange(12) % 2 + 1.0
    table, asked = arms_of(mine=mine, foil=-mine), {"unit": "seed", "control": "foil"}
    assert not assay.judge(table, claim="mine.x > 0", **asked).no_test("foil")
    mine = np.random.default_rng(0).normal(0.8, 0.05, 12)
    asked = {"claim": "mine.x > 0.6", "unit": "seed", "control": "lower"}
    assert not assay.judge(arms_of(mine=mine, lower=mine - 0.5), **asked).no_test("lower")


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (lambda p: 1 - p, "1 minus that of mine"),
        (lambda p: -p, "minus that of mine"),
        (lambda p: 4 - 5 * p, "4 minus 5 times that of mine"),
        (lambda p: 0.1 + 0.2 * p, "0.1 plus 0.2 times that of mine"),
        (lambda p: p - 0.5, ""),  # what another change of an additive model has
        (lambda p: p / 10, ""),  # of a linear one
        (lambda p: 1 - p[::-1], ""),
        (lambda p: np.round(1 - p, 1), ""),
    ],
)
def test_an_arm_on_another_scale_is_no_test_of_a_difference_either(control, words):
    draw = np.random.default_rng(0)
    mine, base = (np.round(draw.uniform(low, low + 0.2, 12), 3) for low in (0.7, 0.3))
    asked = {"claim": "mine.x - base.x > 0.2", "unit": "seed", "control": "other", "about": "mine"}
    v = assay.judge(arms_of(mine=mine, base=base, other=control(mine) - 0 * base), **asked)
    assert words in v.no_test("other") and bool(words) == bool(v.no_test("other"))
    assert (v.outcome, v.reason) == (
        ("undecided", "no control is a test") if words else ("holds", "")
    ) or v.controls["other"].outcome == "holds"


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


def test_prompts_that_each_belong_to_one_template_are_averaged_where_the_template_is_the_unit():
    """Nothing else can be meant; what is crossed with the unit, or may be a condition, is named."""
    asked = {"claim": "new.acc - old.acc > 0.01", "unit": "template", "control": "again"}
    rows = of_templates(np.random.default_rng(0))
    judged = assay.judge(rows, **asked)
    means = rows.groupby(["arm", "template"], as_index=False)["acc"].mean()
    assert judged.interval == pytest.approx(assay.judge(means, **asked).interval)
    assert judged.scope.startswith("over 6 templates; each the mean over its prompts")
    number = assay.estimate(rows, value="new.acc - old.acc", unit="template")
    assert number.estimate == pytest.approx(judged.estimate) and "over its prompts" in number.scope
    crossed = rows.assign(prompt=rows["prompt"].str[-1])
    metric = of_templates(np.random.default_rng(0), name="metric")
    both = of_templates(np.random.default_rng(0), language=("en", "de"))
    for other, name in ((crossed, "prompt"), (metric, "metric"), (both, "language")):
        with pytest.raises(ClaimError, match=f"new.acc varies over {name}"):
            assay.judge(other, **asked)


def test_the_advice_for_too_few_units_is_not_just_the_fewest():
    """Four units whose spread takes many more than the six that a verdict needs."""
    effects = (-0.191, -0.028, -0.039, -0.045)

    def judged(effects):
        rows = [
            {"arm": arm, "init": i, "acc": 0.5 + 0.001 * (i * k % 5) + x * (arm == "ours")}
            for i, x in enumerate(effects)
            for k, arm in ((7, "ours"), (7, "base"), (3, "again"))
        ]
        claim = {"claim": "ours.acc - base.acc < -0.02", "unit": "init", "control": "again"}
        return assay.judge(pd.DataFrame(rows), **claim)

    price = judged(effects).price
    needed = "at least 6 inits are needed; at this spread, about "
    assert price.text.startswith(needed) and price.text.endswith(" in all")
    assert int(price.text.removeprefix(needed).split()[0]) == 4 + price.more > 15
    assert judged((-0.1, -0.11, -0.12, -0.09)).price.text == "about 2 more inits, 6 in all"


@pytest.mark.parametrize("unit", ["prompt", "seed"])
def test_the_advice_to_name_groups_as_the_unit_can_be_followed_as_it_is(unit):
    """Rows of eight templates, whose numbers differ: prompts are averaged by themselves, seeds only
    by the claim."""
    draw = np.random.default_rng(0)
    of = np.arange(48) // 6
    effects = np.array([0.2, 0.9, 0.1, 1.0, 0.6, 0.5, 0.15, 0.85])
    numbers = {"main": effects[of], "random": np.zeros(48)}
    rows = pd.concat(
        pd.DataFrame(
            {"arm": arm, unit: range(48), "template": [f"t{k}" for k in of]}
            | {"x": x + 0.1 * draw.normal(size=48)}
        )
        for arm, x in numbers.items()
    )
    asked = {"control": "random", "distinct": True}
    now = assay.judge(rows, claim="main.x > 0.35", unit=unit, **asked)
    assert now.reason == "grouped by template"
    written = re.search(
        r'unit="template"(?: with mean\(COLUMN, over=(\w+)\) in the claim)?, or', now.price.text
    )
    assert written[1] == (None if unit == "prompt" else "seed")
    column = f"mean(main.x, over={written[1]})" if written[1] else "main.x"
    then = assay.judge(rows, claim=f"{column} > 0.35", unit="template", **asked)
    assert then.n == {"template": 8} and not then.reason.startswith("grouped")


@pytest.mark.parametrize(
    ("low", "fixed", "outcome"),
    [(0.3, (), "undecided"), (0.3, "right", "holds"), (0.05, (), "holds"), (1.5, (), "fails")],
)
def test_three_possible_answers_decide_only_where_one_of_them_has_another_outcome(
    low, fixed, outcome
):
    draw, numbers = np.random.default_rng(0), {"a": 1.0, "b": 0.8, "c": 0.15}
    right = [*"abc"] * 10
    wrong = [{"a": "bc", "b": "ca", "c": "ab"}[x][i % 2] for i, x in enumerate(right)]
    units = {"prompt": range(30), "wrong": wrong, "right": right}
    x = np.array([numbers[answer] for answer in right]) + draw.normal(0, 0.01, 30)
    table = pd.concat(
        [
            pd.DataFrame({"arm": "main", **units, "x": x}),
            pd.DataFrame({"arm": "random", **units, "x": draw.normal(-0.1, 0.01, 30)}),
        ]
    )
    asked = {"unit": "prompt", "control": "random", "distinct": True, "fixed": fixed}
    v = assay.judge(table, claim=f"main.x > {low}", **asked)
    assert v.outcome == outcome
    assert np.mean(x[1::3]) == pytest.approx(0.799, abs=5e-4)
    named = [n for n in v.notes if n.startswith("the number is ")]
    assert len(named) == (not fixed)
    assert all("0.799 where it is “b”" in n and n.endswith("none of them") for n in named)
    if outcome == "undecided":
        assert v.reason_in_words.startswith("not the same for all answers: with right “c”, the")


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


def test_a_mean_of_ratios_that_explodes_is_answered_with_the_ratio_of_means():
    rows = recovered(outlier=True)
    ask = {"unit": "pair", "control": "first", "about": "patched"}
    judged = assay.judge(rows, claim="patched.recovered > 0.3", **ask)
    better = "mean(patched.gain)/mean(patched.gap) > 0.3"
    assert judged.outcome == "undecided" and better in judged.remedy[0]
    of_means = assay.judge(rows, claim=better, **ask)
    own = rows[rows["arm"] == "patched"]
    assert of_means.estimate == pytest.approx(own["gain"].sum() / own["gap"].sum())
    # the pair with next to no gap has next to no weight in it
    assert of_means.outcome == "holds" and "outlier" not in of_means.warning
    usual = assay.judge(recovered(outlier=False), claim="patched.recovered > 0.58", **ask)
    assert usual.outcome != "undecided" or "ratio of means" not in usual.remedy[0]


def test_a_control_that_needs_more_units_than_the_claim_is_named():
    draw, n = np.random.default_rng(3), 40
    level, noise = {"new": 1.4, "old": 0.0, "random": 0.8}, draw.normal(0, 1, (3, n))
    rows = pd.concat(
        pd.DataFrame({"arm": arm, "prompt": range(n), "x": level + e - e.mean()})
        for (arm, level), e in zip(level.items(), noise, strict=True)
    )
    ask = {"claim": "new.x - old.x > 1", "unit": "prompt", "about": "new"}
    judged = assay.judge(rows, control="random", **ask)
    own = assay.judge(rows, control=[], also="random", **ask)
    assert judged.reason == own.reason == "interval straddles"
    assert judged.price.more > own.price.more
    assert (
        f"because control random is close to the threshold; {own.price.more:,} would do"
        in (judged.remedy[0])
    )


def test_a_control_that_is_not_beaten_may_still_be_clearly_worse():
    draw, n = np.random.default_rng(0), 40
    level, noise = {"new": 1.0, "old": 0.0, "again": 0.25}, draw.normal(0, 0.7, (3, n))
    rows = pd.concat(
        pd.DataFrame({"arm": arm, "prompt": range(n), "x": level + e - e.mean()})
        for (arm, level), e in zip(level.items(), noise, strict=True)
    )
    judged = assay.judge(
        rows, claim="new.x - old.x > 0.4", unit="prompt", control="again", about="new"
    )
    x = rows.pivot(index="prompt", columns="arm", values="x")
    low, high = scipy.stats.ttest_1samp(x["new"] - x["again"], 0).confidence_interval(0.95)
    assert judged.reason == "control again not beaten"
    assert f"new differs clearly from it, by 0.75 [{low:.2f}, {high:.2f}]" in judged.reason_in_words


def test_a_level_that_may_have_been_chosen_is_named_before_more_units_are():
    draw = np.random.default_rng(1)
    rows = pd.DataFrame(
        [
            (a, s, k, draw.normal(0.6, 0.03))
            for a in ("probe", "none")
            for s in range(8)
            for k in range(12)
        ],
        columns=["arm", "seed", "layer", "acc"],
    )
    means = rows[rows["arm"] == "probe"].groupby("layer")["acc"].mean()
    layer = means.idxmax()
    claim = f"probe.acc[layer={layer}] - none.acc[layer={layer}] > 0.005"
    judged = assay.judge(rows, claim=claim, unit="seed")
    assert judged.outcome == "undecided"
    chosen = f"judge it alone on new seeds if layer {layer} was chosen as the best of "
    assert judged.remedy[0].startswith(f"to decide it: {chosen}")
    other = means.idxmin()
    judged = assay.judge(rows, claim=claim.replace(f"={layer}", f"={other}"), unit="seed")
    assert "was chosen" not in str(judged)


def test_of_many_other_arms_three_are_named():
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(
        [(f"h{k}", p, (k == 3) + draw.normal(0, 0.1)) for k in range(30) for p in range(12)],
        columns=["arm", "prompt", "x"],
    )
    (note,) = (
        x for x in assay.judge(rows, claim="h3.x - h0.x > 0.5", unit="prompt").notes if "why:" in x
    )
    assert note.endswith("these arms may show why: h1, h2, h4 and 25 more")


def test_the_columns_of_a_table_without_arms_are_called_as_its_author_calls_them():
    long = [f"{x} is a template that goes on for a long time" for x in ("One", "Two")]
    rows = {"name": [*range(8)] * 2, "template": np.repeat(long, 8), "a": range(16), "b": range(16)}
    with pytest.raises(ClaimError) as given:
        assay.judge(pd.DataFrame(rows), claim="corr(a, b) > 0.5", unit="name")
    assert str(given.value).startswith("a varies over template (One is a template")
    assert "main." not in str(given.value) and long[0] not in str(given.value)
