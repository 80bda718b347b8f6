"""Tables whose rows are not as independent as they seem: copies with a jitter, templates, cells of
seeds and documents, series in time. Where the truth is the threshold, at most 2.5 % may hold.

Each family is asked through `assay.judge`, of arms that share nothing. A table whose plain interval
already spans the threshold cannot hold, so only the others are judged."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from benchmarks.families import FAMILIES, HONEST, MARGIN, NAMES, copies, table
from msgspec import structs
from scipy import stats

import assay
from assay.cli.main import main
from assay.core.clustered import Limits, clustered
from assay.core.dependence import UNCHANGED, Grouping, lines, near_copies
from assay.core.errors import DataError
from assay.core.intervals import interval
from assay.core.reasons import explain_reason
from assay.core.results import ResultData
from assay.core.stats import mean
from assay.core.wordings import shared_words
from assay.lab.judge import families
from assay.report import tables
from assay.report.statements import with_flags

CASES, DAILY = 300, 6
NOMINAL = 0.025


def test_copies_are_found_where_arms_have_units_of_their_own():
    rows = table("4 units, 6 copies", 0.06, 3)
    rows["unit"] += 100 * (rows["arm"] == "old") + 200 * (rows["arm"] == "again")
    ask = {
        "claim": "mine.loss - old.loss < -0.05",
        "unit": "unit",
        "control": "again",
        "about": "mine",
    }
    lines = assay.judge(rows, **ask).notes
    assert any(
        "of the 24 units, in their order, has a similar number: allowing" in n for n in lines
    ) or any(" similar ones" in n for n in lines)


def test_neighbours_count_among_rows_of_a_file_and_not_among_seeds():
    """Seed 8 is no nearer to seed 7 than to any other; what to do is said in a line."""
    rows = table("a long-winded series", 0.08, 3)
    ask = {"claim": "mine.loss - old.loss < -0.05", "control": "again", "about": "mine"}
    judged = assay.judge(rows, unit="unit", **ask)
    assert judged.reason == "grouped by order" and "template" not in judged.price.text
    assert judged.price.text.startswith("if the order means nothing, measure new units or give")
    assert "name that as the unit" in judged.price.text
    seeds = assay.judge(rows.rename(columns={"unit": "seed"}), unit="seed", **ask)
    assert seeds.outcome == "holds" and not any("in their order" in n for n in seeds.notes)


def test_what_named_groups_explain_is_said_once():
    """Of four templates in a row, one is far higher, so neighbours are alike and it lies apart; of
    the same units without the column, both are said."""
    rng, of = np.random.default_rng(4), np.repeat(range(4), 12)
    level = np.array([0.6, 0.25, 0.28, 0.32])[of]
    rows = pd.concat(
        pd.DataFrame({"arm": arm, "unit": range(48), "template": [f"t{k}" for k in of], "x": x})
        for arm, x in (
            ("mine", level + rng.normal(0, 0.03, 48)),
            ("again", rng.normal(0, 0.03, 48)),
        )
    )
    ask = {"claim": "mine.x > 0.1", "unit": "unit", "control": "again"}
    judged = assay.judge(rows, **ask)
    assert judged.reason == "grouped by template" and "outlier" not in judged.warning
    (note,) = judged.notes
    assert "belong to 4 templates" in note
    plain = assay.judge(rows.drop(columns="template"), **ask)
    assert "two clusters, 12 near 0.602 and 36 near 0.286" in plain.warning
    assert any("in their order" in n for n in plain.notes)


@pytest.mark.parametrize(
    ("against", "said"),
    [("template", "without template “t7” it would hold"), ("unit", "without unit 5 it would hold")],
)
def test_the_one_template_or_unit_that_keeps_groups_from_deciding_is_named(against, said):
    """Eight templates, which differ; one of them, or one unit, speaks against the claim."""
    of, units = np.random.default_rng(5).permutation(24) % 8, np.arange(24)
    rows = pd.DataFrame({"unit": units, "template": [f"t{t}" for t in of]})
    contrary = 0.1 * (of == 7) if against == "template" else 0.25 * (units == 5)
    noise = np.random.default_rng(0).normal(0, 0.001, (3, 24))
    effects = {"mine": -0.3 + 0.2 * of / 7 + contrary, "old": 0.0, "again": 0.0}
    arms = [
        rows.assign(arm=a, loss=e + x) for (a, e), x in zip(effects.items(), noise, strict=True)
    ]
    ask = {
        "claim": "mine.loss - old.loss < -0.12",
        "unit": "unit",
        "control": "again",
        "about": "mine",
    }
    judged = assay.judge(pd.concat(arms), **ask, distinct=True)
    assert judged.reason == "grouped by template" and said in judged.warnings
    without = pd.concat(arms).query("template != 't7'" if against == "template" else "unit != 5")
    assert assay.judge(without, **ask, distinct=True).outcome == "holds"


@pytest.mark.parametrize("slow", [False, True])
def test_an_order_is_a_warning_about_an_estimate_only_where_its_interval_is_wider(slow):
    """Each fourth number is high, one of them by so much that the skewed interval is the wider."""
    at = np.arange(12)
    one = 0.02 * ((at % 4 == 0) + 2.0 * (at == 4)) + 0.002 * np.sin(9.7 * at)
    x = np.cos(at / 3) if slow else one
    rows = pd.DataFrame({"arm": "mine", "unit": at, "loss": x})
    notes = assay.estimate(rows, value="loss", unit="unit").notes
    assert any("in their order" in n for n in notes) == slow


def test_what_is_a_column_already_is_only_named():
    both = Grouping("wording of text × wrong", "", Limits(0, 1), True, "")
    assert both.todo == (
        "give a column that says which rows have the same wording of text, and name it and wrong "
        "as units"
    )


def outcome(rows):
    """What comes of the claim; refused where rows are plainly copies. One that holds of these
    templates only, and says so, is not about those that the threshold is true of."""
    by_arm = {arm: of["loss"].to_numpy() for arm, of in rows.groupby("arm")}
    if interval({"x": by_arm["mine"] - by_arm["old"]}, mean, draws=1).high >= -MARGIN:
        return "undecided"
    try:
        judged = assay.judge(
            rows,
            claim=f"mine.loss - old.loss < {-MARGIN}",
            unit="unit",
            control="again",
            about="mine",
        )
        limited = re.search(r"of these \d|about these \d", " ".join([judged.scope, *judged.notes]))
        is_of_these = judged.outcome == "holds" and limited
        return "holds of these only" if is_of_these else judged.outcome
    except DataError as refused:
        assert "copies" in str(refused)
        return "refused"


def held(name, effect, cases, of=FAMILIES):
    """The share of tables in which the claim holds."""
    came = [outcome(table(name, effect, case, of)) for case in range(cases)]
    return came.count("holds") / cases


@pytest.mark.thorough
@pytest.mark.parametrize("name", FAMILIES)
def test_what_seems_independent_and_is_not_holds_no_more_often_than_it_may(name):
    most = stats.binom.ppf(0.99, CASES, NOMINAL) / CASES  # luck of so many tables
    share = held(name, MARGIN, CASES)
    print(f"{name}: {share:.1%}")
    assert share <= most, share


@pytest.mark.thorough
@pytest.mark.parametrize("name", HONEST)
def test_true_effects_still_hold_where_enough_is_independent(name):
    share = held(name, 2 * MARGIN, 200, HONEST)
    print(f"{name}: {share:.1%}")
    assert share >= 0.9, share


def test_some_of_each_family_every_day():
    came = [outcome(table(n, MARGIN, 1000 + i)) for n in FAMILIES for i in range(DAILY)]
    assert came.count("holds") <= stats.binom.ppf(0.999, len(came), NOMINAL)
    assert came.count("refused") >= 1


def test_copies_are_refused_and_groups_are_named_with_their_interval():
    with pytest.raises(DataError, match="24 units look like about 4 sets of 6 similar"):
        ask = {
            "claim": "mine.loss - old.loss < -0.05",
            "unit": "unit",
            "control": "again",
            "about": "mine",
        }
        one = copies(4, 6, (0.0005, 0.0006))
        assay.judge(table("x", 0.1, 3, {"x": (one, {})}), **ask)
    every = (table("3 templates", 0.08, case) for case in range(9))
    three = next(rows for rows in every if assay.judge(rows, **ask).reason)
    judged = assay.judge(three, **ask)
    assert (judged.outcome, judged.reason) == ("undecided", "grouped by template")
    assert 'give units of at least 6 templates, or fixed="template" if' in (judged.price.text)
    (line,) = (n for n in judged.notes if "template" in n)
    by_template = three.groupby(["template", "arm"])["loss"].mean().unstack()
    off = by_template["mine"] - by_template["old"]
    half = stats.t.ppf(0.975, 2) * off.std() / np.sqrt(3)
    # of fewer than six equal groups the interval is Student's of their means
    ends = [float(x) for x in line.partition("[")[2].partition("]")[0].split(",")]
    assert ends == pytest.approx([off.mean() - half, off.mean() + half], abs=1e-3)
    assert judged.interval == pytest.approx([off.mean() - half, off.mean() + half])
    these = assay.judge(three, **ask, fixed="template")
    assert "of these 3 templates" in these.scope and these.outcome == "holds"


def test_advice_is_given_as_flags_in_a_shell_and_as_arguments_in_python(tmp_path, capsys):
    ask = {
        "claim": "mine.loss - old.loss < -0.05",
        "unit": "unit",
        "control": "again",
        "about": "mine",
    }
    every = (table("3 templates", 0.08, case) for case in range(9))
    rows = next(rows for rows in every if assay.judge(rows, **ask).reason)
    rows.to_csv(tmp_path / "t.csv", index=False)
    words = [x for name, value in ask.items() for x in (f"--{name}", value)]
    main(["judge", str(tmp_path / "t.csv"), *words, "--no-ledger"])
    printed = " ".join(capsys.readouterr().out.split())
    few = "give units of at least 6 templates, or --fixed template if the claim is about "
    assert f"{few}these 3 only" in printed
    assert "unit=" not in printed and "fixed=" not in printed
    judged = assay.judge(rows, **ask)
    assert "--" not in " ".join((judged.price.text, *judged.notes))
    both = structs.replace(judged, notes=('unit=["a", "my b"], or bounds=(-1, 1)',))
    assert with_flags(both).notes == ("--unit a --unit 'my b', or --bounds -1 1",)


def test_groupings_of_one_interval_are_one_line_and_of_many_the_widest_three_have_one():
    def found(name, half):
        return Grouping(name, f"by {name}", Limits(-half, half), True, "advice")

    same = lines([found("right", 2.0), found("noun", 1.0), found("wrong", 2.0001)])
    assert [x.partition(": ")[0] for x in same] == [
        "by right (grouping by wrong gives the same)",
        "by noun",
    ]
    *printed, rest = lines(
        [found(name, half) for name, half in zip("abcde", (1, 5, 3, 2, 4), strict=True)]
    )
    assert [x[:4] for x in printed] == ["by b", "by c", "by e"]
    assert rest == "2 more groupings of the units: a [-1, 1], d [-2, 2]"
    halves = {"a": 1, "b": 5, "c": 3}
    harmless = [replace(found(name, x), changes=UNCHANGED) for name, x in halves.items()]
    (only,) = lines(harmless)
    assert only.startswith("by b") and only.endswith(UNCHANGED)
    first, other = lines([*harmless, found("d", 0.5)])
    assert first.startswith("by b") and other.startswith("by d")


def test_the_headline_says_what_would_change_the_outcome():
    """Four units, each in eight copies with a jitter of a fifth: the numbers suggest that they are
    copies, and do not show it."""
    rows = table("x", 0.055, 5, {"x": (copies(4, 8, (0.004, 0.00404), "shuffled"), {})})
    ask = {
        "claim": "mine.loss - old.loss < -0.05",
        "unit": "unit",
        "control": "again",
        "about": "mine",
    }
    judged = assay.judge(rows, **ask)
    would_be = "and the outcome would be undecided: keep one of each set"
    assert judged.outcome == "holds" and would_be in judged.notes[-1]
    assert judged.unless == "the 32 units are about 4 sets of 8 similar ones"
    assert f"holds, unless {judged.unless}" in repr(judged)
    shown = " ".join(tables.text(ResultData(verdicts=(judged,))).split())
    assert f"● holds ※, unless {judged.unless}: mine.loss" in shown
    free = assay.judge(table("independent", 0.1, 3, HONEST), **ask)
    assert free.unless == "" and "unless" not in free.to_json()


def test_in_every_outcome_it_is_said_which_interval_was_judged_and_what_the_other_means():
    """Eight sessions of three tasks each, which share nearly all; the threshold is moved."""
    rng = np.random.default_rng(1)
    x = 1 + np.repeat(rng.normal(0, 0.1, 8), 3) + 0.02 * rng.normal(size=24)
    rows = pd.DataFrame(
        {
            "arm": ["main"] * 24 + ["ctl"] * 24,
            "task": [*range(24)] * 2,
            "session": [f"s{i // 3}" for i in range(24)] * 2,
            "x": [*x, *rng.normal(0, 0.05, 24)],
        }
    )
    for threshold, outcome, after in (
        (0.5, "holds", "and the outcome would be the same"),
        (1.5, "fails", "and the outcome would be the same"),
        (0.95, "undecided", "], with which the claim would hold"),
        (float(x.mean()), "undecided", "and the outcome would be the same"),
        (-0.5, "unspecific", "and the outcome would be the same"),
    ):
        judged = assay.judge(rows, claim=f"main.x > {threshold}", unit="task", control="ctl")
        (line,) = (n for n in judged.notes if "8 sessions" in n)
        assert judged.outcome == outcome, threshold
        how = "is [" if "would hold" in after else "would be ["
        assert f"the interval {how}" in line and line.endswith(after)
    words = explain_reason("grouped by content of text")
    assert "with each set of rows with similar text as the unit" in words


def test_an_estimate_says_what_its_units_share_and_the_interval_that_a_claim_would_need():
    three = table("3 templates", 0.08, 3)
    ask = {
        "claim": "mine.loss - old.loss < -0.05",
        "unit": "unit",
        "control": "again",
        "about": "mine",
    }
    (of_claim,) = (n for n in assay.judge(three, **ask).notes if "3 templates" in n)
    number = assay.estimate(three, value="mine.loss - old.loss", unit="unit")
    (line,) = number.notes
    assert of_claim.startswith(line.replace("interval would be [", "interval is ["))
    free = table("independent", 0.08, 3, HONEST)
    assert assay.estimate(free, value="mine.loss - old.loss", unit="unit").notes == ()
    near = table("x", 0.1, 3, {"x": (copies(4, 6, (0.0005, 0.0006)), {})})
    with pytest.raises(DataError, match="24 units look like about 4 sets of 6"):
        assay.estimate(near, value="mine.loss - old.loss", unit="unit")


@pytest.mark.thorough
def test_a_column_of_three_values_decides_where_its_groups_differ_and_seldom_else():
    """Of clean tables, a tenth has p < .1; with one kind that differs, nothing but these kinds
    can be meant."""
    rng, undecided, held = np.random.default_rng(4), 0, 0
    of = np.arange(48) % 3

    def judged(difference):
        old, placebo = rng.normal(0.5, 0.1, 48), rng.normal(0, 0.02, 48)
        arms = {"new": old + difference, "old": old, "placebo": old + placebo}
        rows = pd.DataFrame(
            {"arm": a, "item": f"d{i:02}", "s": x, "kind": "abc"[of[i]]}
            for a, values in arms.items()
            for i, x in enumerate(values)
        )
        ask = {"claim": "new.s - old.s > 0.05", "unit": "item", "control": "placebo"}
        return assay.judge(rows, **ask, about="new")

    for _ in range(24):
        clean = judged(0.3 + rng.normal(0, 0.1, 48))
        undecided += clean.reason == "grouped by kind"
        held += clean.outcome == "holds"
        about = "the claim is about these 3 kinds only" in " ".join(clean.warnings + clean.notes)
        assert not about or clean.outcome == "holds"
        apart = judged(0.6 * (of == 0) + rng.normal(0, 0.1, 48))
        assert apart.reason == "grouped by kind", apart
    assert held >= 17 and undecided <= 6


def in_turn(*levels, noise=0.3, **columns):
    """The verdict on forty units that have these levels in turn, in all of which the claim is that
    the number is above 1; and the number of each level."""
    rng, at = np.random.default_rng(2), np.arange(40)
    x = np.array(levels)[at % len(levels)] + noise * rng.normal(size=40)
    old, again = 0.1 * rng.normal(size=(2, 40))
    arms = {"mine": x, "old": old, "again": again}
    rows = [{"arm": a, "unit": i, "loss": arms[a][i]} for a in arms for i in at]
    rows = pd.DataFrame(rows).assign(**{k: np.tile(v, 3) for k, v in columns.items()})
    ask = {"claim": "mine.loss - old.loss > 1", "unit": "unit", "control": "again"}
    effect = arms["mine"] - arms["old"]
    each = [effect[at % len(levels) == k].mean() for k in range(len(levels))]
    return partial(assay.judge, rows, about="mine", **ask), each


def test_units_of_two_kinds_in_turn_decide_only_where_the_claim_differs_between_the_kinds():
    judge, (low, high) = in_turn(1.5, 2.5)
    alike = judge()
    found = f"alternate between two kinds ({low:.3g} and {high:.3g} on average)"
    assert alike.outcome == "holds" and not alike.unless
    assert any(found in n and "would hold by the number of each" in n for n in alike.notes)
    judge, _ = in_turn(0.4, 2.5)
    differing = judge()
    assert differing.reason == "grouped by order"
    assert "of which of 2 kinds each unit is" in differing.price.text
    judge, _ = in_turn(0.0, 1.2, 1.4, 2.4)
    (note,) = judge().notes
    assert "every 4th of the 40 units" in note, "half of it is no pattern that explains it"


def test_what_was_given_is_not_proposed():
    for levels in ((0.4, 2.5), (0.6, 1.4, 1.6, 2.6, 1.3)):
        judge, _ = in_turn(*levels)
        assert "distinct" in judge().price.text
        given = judge(distinct=True)
        assert given.outcome == "holds" and "distinct" not in " ".join(given.notes), given


def test_two_values_of_a_column_decide_only_where_the_claim_differs_between_them():
    kind = [*"ab"] * 20
    judge, (low, high) = in_turn(1.5, 2.5, kind=kind)
    alike = judge()
    (note,) = alike.notes
    assert alike.outcome == "holds" and alike.scope.endswith("of these 2 kinds")
    assert f"({low:.3g} where kind is “a”, {high:.3g} where it is “b”)" in note
    judge, _ = in_turn(0.4, 2.5, kind=kind)
    assert judge().reason == "grouped by kind"


def test_arms_that_have_a_pattern_in_common_are_compared_within_it():
    """The difference of arms is independent, though both rise and fall together."""
    judge, _ = in_turn(1.6)
    rows, *_ = judge.args
    together = np.tile([0.0, 3.0, -2.0, 5.0], 30)
    shifted = rows.assign(loss=rows["loss"] + together)
    assert assay.judge(shifted, **judge.keywords).outcome == "holds"


@pytest.mark.parametrize("blocks", [False, True])
def test_what_arms_have_in_common_is_no_order_of_their_difference(blocks):
    """Sixty prompts from the easiest to the hardest, of which the differences are independent, or
    have something in common in tens."""
    undecided = 0
    for seed in range(3, 9):
        rng = np.random.default_rng(seed)
        level, x = np.sort(3 * rng.normal(size=60)), rng.normal(size=60)
        x = x + 2 * rng.normal(size=6)[np.arange(60) // 10] if blocks else x
        x += 1 + 2.6 * x.std(ddof=1) / np.sqrt(60) - x.mean()
        arms = {"mine": level + x, "old": level}
        rows = [{"arm": a, "item": f"p{i:02}", "s": y} for a in arms for i, y in enumerate(arms[a])]
        ask = {"claim": "mine.s - old.s > 1", "unit": "item", "about": "mine"}
        judged = assay.judge(pd.DataFrame(rows), **ask)
        undecided += judged.reason == "grouped by order"
        assert judged.outcome == "holds" or judged.reason == "grouped by order"
    assert undecided == 6 if blocks else undecided <= 1


def test_copies_are_said_to_be_in_sets_of_their_size():
    rng = np.random.default_rng(0)
    for times in (2, 4, 5):
        x = np.repeat(rng.normal(size=(10, 2)), times, axis=0)
        sets = near_copies(x + 0.001 * rng.normal(size=x.shape), "unit")
        assert len(np.unique(sets.of)) == 10, sets.words
        assert [len({*sets.of[k : k + times]}) for k in range(0, len(x), times)] == [1] * 10


def test_groups_of_unequal_sizes_that_are_worth_fewer_than_six_show_no_skew():
    """Six groups, one of them of two sevenths of the units: Student's interval, of fewer groups."""
    sizes, means = np.array([6, 3, 3, 3, 3, 3]), np.array([4.0, 1.0, 1.2, 0.9, 1.1, 9.0])
    groups, x = np.repeat(np.arange(6), sizes), np.repeat(means, sizes)
    without = np.array([x[groups != g].mean() for g in range(6)])
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    worth = (sizes**2).sum() ** 2 / (sizes**4).sum()
    half = stats.t.ppf(0.975, worth - 1) * error
    assert 2 < worth < 5.5
    limits = clustered({"x": x}, mean, [groups])
    assert limits == pytest.approx((x.mean() - half, x.mean() + half))
    even = clustered({"x": np.repeat(means, 5)}, mean, [np.repeat(np.arange(6), 5)])
    assert even == pytest.approx(
        (interval({"x": means}, mean).low, interval({"x": means}, mean).high)
    )


def test_groups_that_are_worth_fewer_than_two_have_no_interval():
    """Twelve units alike and twelve alone are worth 156² / (12⁴ + 12) = 1.17 groups."""
    sizes = np.array([12, *[1] * 12])
    x = np.random.default_rng(0).normal(6.0, 0.1, sizes.sum())
    assert not clustered({"x": x}, mean, [np.repeat(np.arange(13), sizes)]).known


def test_runs_that_each_arm_has_for_itself_are_counted_as_welch_counts_them():
    """The arms differ by the luck of their runs alone, which all documents share."""
    draw, rows = np.random.default_rng(1), []
    documents = draw.normal(0.5, 0.05, 40)
    for arm in ("new", "old"):
        for k in range(4):
            luck = draw.normal(0, 0.05)
            own = [("run", f"{arm}-{k}"), ("arm", arm)]
            seen = documents + luck + draw.normal(0, 0.01, 40)
            rows += [dict(own, doc=i, acc=x) for i, x in enumerate(seen)]
    judged = assay.judge(rows, claim="new.acc - old.acc > 0", unit="doc")
    assert judged.outcome == "undecided" and "with run as the unit" in judged.reason_in_words
    means = pd.DataFrame(rows).groupby(["arm", "run"])["acc"].mean()
    welch = stats.ttest_ind(means["new"], means["old"], equal_var=False).confidence_interval()
    assert (judged.low, judged.high) == pytest.approx((welch.low, welch.high), abs=1e-3)
    alone = [row for row in rows if row["run"].endswith("-0")]  # about these two runs
    assert assay.judge(alone, claim="new.acc - old.acc > 0", unit="doc").outcome != "undecided"


def test_two_crossed_columns_get_the_interval_of_two_crossed_units():
    cells = table("6 seeds × 8 documents as cells", MARGIN, 0)
    ask = {"claim": "mine.loss - old.loss < -0.05", "control": "again"}
    crossed = assay.judge(cells, unit=["seed", "document"], **ask)
    lines = assay.judge(cells, unit="unit", **ask).notes
    (line,) = (n for n in lines if "the 48 units are combinations (6 of seed × 8 of document)" in n)
    assert f"[{crossed.low:.3g}, {crossed.high:.3g}]" in line


def claim(condition, **fields):
    return assay.Claim(
        text=condition,
        value=lambda arm, others: arm.score,
        low=0,
        must_fail=("c",),
        threshold_from="plan",
        source="",
        condition=condition,
        **fields,
    )


def test_what_is_a_sweep_and_what_is_not():
    texts = {
        "main.right[layer=3] > 0.5": 3,
        "main.right[layer=7] > 0.6": 3,
        # the same number again, which is no further look
        "main.right[layer=7] > 0.7": 3,
        "0.5 < main.right[layer=9] < 0.7": 3,
        "cut3.loss - main.loss > 1": 2,
        "cut12.loss - main.loss > 1": 2,
        "cut.loss - main.loss > 1": 1,
        "main.wrong[layer=3] < 0.5": 1,
    }
    counted = {c.text: c.together for c in families.simultaneous([*map(claim, texts)])}
    assert counted == texts
    swept = [claim("main.x > 0", where={"k": k}) for k in (1, 2)]
    assert [c.together for c in families.simultaneous(swept)] == [2, 2]


def by_wording(share=1.0):
    """Arms on texts of four wordings, shuffled: the method adds 0.3 in one of them, and in the
    others this share of it."""
    draw = np.random.default_rng(5)
    effects = np.array([0.3, *[0.3 * share] * 3])
    rows = [
        {"arm": arm, "prompt": w.format(name), "template": f"t{k}", "x": x + draw.normal(0, 0.02)}
        for k, w in enumerate(LONG)
        for name in NAMES[:10]
        for arm, x in (("mine", effects[k]), ("old", 0.0), ("again", 0.0))
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


LONG = (
    "Last week my sister and I tried the {} at the new place and thought it was",
    "I went there on a rainy day with all my friends and the {} was",
    "My honest verdict, after years of eating in this town, on the {}:",
    "People keep asking me what I think about the {}; I say it is",
)
BY_PROMPT = {
    "claim": "mine.x - old.x > 0.02",
    "unit": "prompt",
    "control": "again",
    "about": "mine",
}


def test_the_wordings_of_units_count_whatever_the_column_of_the_texts_is_called():
    """The method works in one of four wordings, and the texts are the units themselves, or name
    them next to a number."""
    rows = by_wording(0.0)
    texts = rows.drop(columns="template")
    judged = assay.judge(texts, **BY_PROMPT)
    assert judged.outcome == "undecided" and judged.reason == "grouped by wording of prompt"
    assert judged.scope.endswith("not only of these 4 wordings of prompt")
    by_number = texts.assign(number=pd.factorize(texts["prompt"])[0])
    same = assay.judge(by_number, **BY_PROMPT | {"unit": "number"})
    assert (same.outcome, same.reason) == (judged.outcome, judged.reason)
    assert (same.low, same.high) == pytest.approx((judged.low, judged.high))
    assert assay.judge(by_wording().drop(columns="template"), **BY_PROMPT).outcome == "holds"


@pytest.mark.parametrize("unit", ["prompt", "number"])
def test_wordings_that_a_fixed_column_names_are_fixed(unit):
    rows = by_wording(0.0).assign(number=lambda x: pd.factorize(x["prompt"])[0])
    rows = rows if unit == "number" else rows.drop(columns="number")
    judged = assay.judge(rows, **BY_PROMPT | {"unit": unit})
    assert judged.reason == "grouped by template" and 'fixed="template"' in judged.price.text
    fixed = assay.judge(rows, **BY_PROMPT | {"unit": unit, "fixed": "template"})
    assert fixed.outcome == "holds" and fixed.scope.endswith("of these 4 templates")


def test_long_texts_are_cut_where_they_differ_and_one_fact_is_one_note():
    texts = by_wording(0.0).drop(columns="template")
    fewer = texts[~texts["prompt"].isin(texts["prompt"].unique()[[3, 17]])]
    notes = [n for n in assay.judge(fewer, **BY_PROMPT).notes if "wordings of prompt" in n]
    (note,) = notes
    first, second = re.search("such as “(.*?)” and “(.*?)”", note).groups()
    assert first != second and all(any(name in x for name in NAMES) for x in (first, second))


def test_sentences_that_share_nothing_but_a_first_word_are_not_grouped_by_it():
    """A word is only what fills a place if other texts have the same words around this place."""
    sentences = ["The bird flies over", "The sun shines on", "The king lived in", "The ship sails"]
    sentences += ["My father works in", "My mother cooks", "In the morning we", "Each day he"]
    assert all(len({*of.tolist()}) == len(sentences) for of in shared_words(sentences).values())
    pairs = [f"{who} {what}" for who in ("Ann", "Tom", "Lena") for what in ("asked for", "went to")]
    assert shared_words(pairs)["ending"].tolist() == [0, 1, 0, 1, 0, 1]
    of = shared_words([x.format(thing) for x in LONG[2:] for thing in ("tea", "bread")])
    assert of["content"].tolist() == [0, 1, 0, 1], "a sign at the end of a word is none of it"
