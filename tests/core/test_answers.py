"""Columns that come out of an arm with the number of a claim: answers, failures, lengths."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import assay
from assay.core.answers import intercept

GAIN = "tuned.correct - base.correct"
ASK = {"unit": "item", "control": "again", "about": "tuned"}


def answered(seed, right, *, fails=(0.0, 0.0), own=False, n=200):
    """Answers A to D to the same items, of which each arm has a share right and, of `tuned` and of
    `base`, so many that cannot be read."""
    draw = np.random.default_rng(seed)
    gold, hard = draw.choice([*"ABCD"], n), draw.random(n)
    rows = []
    for arm, share, fail in zip(("tuned", "base", "again"), right, (*fails, fails[1]), strict=True):
        keys = draw.choice([*"ABCD"], n) if own else gold
        wrong = [draw.choice([x for x in "ABCD" if x != g]) for g in keys]
        is_right, parsed = hard + draw.normal(0, 0.1, n) < share, draw.random(n) >= fail
        rows.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "item": [f"{arm}-{i}" for i in range(n)] if own else range(n),
                    "gold": keys,
                    "pred": np.where(parsed, np.where(is_right, keys, wrong), "invalid"),
                    "parsed": parsed,
                    "correct": (is_right & parsed).astype(int),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("columns", [["gold", "pred"], ["pred"]])
@pytest.mark.parametrize("relabelled", [0.0, 0.01])
def test_an_answer_that_fixes_the_number_is_no_cause(columns, relabelled):
    rows = answered(0, (0.8, 0.45, 0.45))
    anew = np.random.default_rng(1).random(len(rows)) < relabelled
    rows["correct"] = rows["correct"] ^ anew
    judged = assay.judge(rows[["arm", "item", "correct", *columns]], claim=f"{GAIN} > 0.15", **ASK)
    assert (judged.outcome, judged.unless) == ("holds", "")
    assert "held fixed" not in str(judged)


def test_a_template_that_both_answers_may_come_from_is_still_held_fixed():
    draw, n = np.random.default_rng(0), 200
    works = {"A": draw.random(n) < 0.8, "B": draw.random(n) < 0.3}  # the same in all arms
    rows = [
        (arm, i, template, int(works[template][i]))
        for arm, share in (("tuned", 0.85), ("base", 0.15), ("again", 0.15))
        for i, template in enumerate(np.where(draw.random(n) < share, "A", "B"))
    ]
    frame = pd.DataFrame(rows, columns=["arm", "item", "template", "correct"])
    judged = assay.judge(frame, claim=f"{GAIN} > 0.1", **ASK)
    assert judged.outcome == "undecided"
    assert "template is A" in str(judged)


@pytest.mark.parametrize("column", ["parsed", "pred"])
def test_failures_that_count_as_wrong_are_what_a_claim_depends_on(column):
    rows = answered(0, (0.75, 0.75, 0.1), fails=(0.02, 0.45))
    judged = assay.judge(rows[["arm", "item", "correct", column]], claim=f"{GAIN} > 0.12", **ASK)
    value = {"parsed": "False", "pred": "invalid"}[column]
    assert judged.outcome == "holds"
    assert judged.unless == (
        f"the answers with {column} {value}, which all count as 0, are the cause"
    )
    both = (
        rows[rows["parsed"]]
        .pivot(index="item", columns="arm", values="correct")
        .dropna(subset=["tuned", "base"])
    )
    number = (both["tuned"] - both["base"]).mean()
    (note,) = (x for x in judged.notes if "without them" in x)
    assert float(note.partition("the number is ")[2].split()[0]) == pytest.approx(number, abs=0.01)


@pytest.mark.parametrize("word", ["[invalid]", "N/A", "parse error", None])
@pytest.mark.parametrize("answers", [4, 400])
def test_an_answer_that_could_not_be_read_is_known_by_its_word(word, answers):
    rows = answered(0, (0.75, 0.75, 0.1), fails=(0.02, 0.45))
    given = np.random.default_rng(1).integers(0, answers, len(rows)).astype(str)  # of many items
    rows["answer"] = pd.Series(given, dtype=object).where(rows["parsed"], word)
    shown = rows[["arm", "item", "correct", "answer"]]
    judged = assay.judge(shown, claim=f"{GAIN} > 0.12", **ASK)
    said = f"the answers with answer {word or 'missing'}, which all count as 0, are the cause"
    assert (judged.outcome, judged.unless.replace("“", "").replace("”", "")) == ("holds", said)


def test_failures_are_noted_where_only_a_control_leaves_a_claim_undecided():
    rows = answered(1, (0.75, 0.75, 0.95), fails=(0.02, 0.45))
    rows["answer"] = np.where(rows["parsed"], rows["pred"], "[invalid]")
    judged = assay.judge(rows[["arm", "item", "correct", "answer"]], claim=f"{GAIN} > 0.1", **ASK)
    assert judged.reason == "control again not beaten"
    shares = 100 * rows["parsed"].rsub(1).groupby(rows["arm"]).mean()
    (note,) = (x for x in judged.notes if "without them" in x)
    assert f"{shares['tuned']:.0f}% of tuned's rows and in {shares['base']:.0f}% of base's" in note


def test_failures_that_are_as_frequent_in_both_arms_or_are_what_is_judged_are_no_doubt():
    rows = answered(0, (0.85, 0.4, 0.4), fails=(0.2, 0.2))
    assert not assay.judge(rows, claim=f"{GAIN} > 0.12", **ASK).unless
    rows = answered(1, (0.75, 0.75, 0.75), fails=(0.02, 0.45)).assign(
        read=lambda x: x["parsed"].astype(int)
    )
    judged = assay.judge(
        rows[["arm", "item", "read", "parsed", "pred"]],
        claim="tuned.read - base.read > 0.2",
        **ASK,
    )
    assert (judged.outcome, judged.unless) == ("holds", "")


def scored(seed, effect, per_log):
    """Scores of answers of two arms to the same prompts, half as long again in one."""
    draw, n = np.random.default_rng(seed), 60
    prompt = draw.normal(0, 0.5, n)
    rows = []
    for arm, more, times in (("tuned", effect, 1.5), ("base", 0, 1), ("again", 0, 1)):
        tokens = (120 * times * np.exp(draw.normal(0, 0.25, n))).astype(int)
        score = 5 + prompt + more + per_log * np.log(tokens / 120) + draw.normal(0, 0.5, n)
        rows.append(pd.DataFrame({"arm": arm, "item": range(n), "tokens": tokens, "x": score}))
    return pd.concat(rows, ignore_index=True)


def test_a_length_that_the_score_follows_from_prompt_to_prompt_is_what_a_claim_depends_on():
    claim = "tuned.x - base.x > 0.5"
    rows = scored(0, 0.0, 2.5)
    judged = assay.judge(rows, claim=claim, **ASK)
    means = rows.groupby("arm")["tokens"].mean()
    assert judged.outcome == "holds"
    assert judged.unless.startswith("tokens is the cause, which is ")
    assert f"{means['tuned']:.3g} in tuned" in judged.unless
    assert not assay.judge(scored(1, 2.0, 0.0), claim=claim, **ASK).unless
    assert not assay.judge(scored(2, 2.0, 0.5), claim=claim, **ASK).unless


def test_a_count_that_measures_the_same_as_the_number_is_no_cause():
    """The count of errors is a multiple of the error, but for a little noise."""
    draw, rows = np.random.default_rng(4), []
    for item in range(60):
        hard = draw.normal(0, 0.02)
        for arm, mean in (("tuned", 0.2), ("base", 0.25), ("again", 0.25)):
            x = mean + hard + draw.normal(0, 0.01)
            n = int(4000 * x + draw.normal(0, 20))
            rows.append({"arm": arm, "item": item, "x": x, "n_errors": n})
    judged = assay.judge(pd.DataFrame(rows), claim="tuned.x - base.x < -0.02", **ASK)
    assert (judged.outcome, judged.unless) == ("holds", "")


def test_the_intercept_is_that_of_scipy():
    draw = np.random.default_rng(0)
    x = draw.normal(1, 1, 30)
    y = 2 + 0.5 * x + draw.normal(0, 1, 30)
    estimate, limits, p = intercept(x, y, 0.9)
    line = scipy.stats.linregress(x, y)
    half = line.intercept_stderr * scipy.stats.t.ppf(0.95, 28)
    assert (estimate, p) == pytest.approx((line.intercept, line.pvalue))
    assert limits == pytest.approx((line.intercept - half, line.intercept + half))


@pytest.mark.parametrize(("threshold", "doubted"), [(0.7, True), (0.9, False)])
def test_an_accuracy_is_compared_with_that_of_always_giving_the_most_frequent_label(
    threshold, doubted
):
    draw, n = np.random.default_rng(0), 300
    label = np.where(draw.random(n) < 0.85, "no", "yes")
    rows = pd.concat(
        pd.DataFrame({"arm": arm, "item": range(n), "label": label, "pred": pred})
        for arm, pred in (
            ("probe", np.where(draw.random(n) < 0.96, label, np.where(label == "no", "yes", "no"))),
            ("random", draw.choice(["no", "yes"], n)),
        )
    )
    rows["correct"] = (rows["label"] == rows["pred"]).astype(int)
    judged = assay.judge(
        rows, claim=f"probe.correct > {threshold}", unit="item", control="random", fixed="label"
    )
    assert judged.outcome == "holds"
    assert judged.unless == ("always answering no is a control" if doubted else "")


def test_a_win_rate_depends_on_what_was_mostly_shown_first():
    draw, n = np.random.default_rng(0), 200
    first = np.where(draw.random(n) < 0.87, "mine", "theirs")
    rows = pd.concat(
        pd.DataFrame(
            {
                "arm": arm,
                "pair": range(n),
                "first": first,
                "win": (draw.random(n) < np.where(first == "mine", a, b)).astype(int),
            }
        )
        for arm, a, b in (("mine", 0.73, 0.19), ("random", 0.2, 0.1))
    )
    judged = assay.judge(rows, claim="mine.win > 0.5", unit="pair", control="random")
    assert judged.outcome == "holds"
    assert judged.unless.startswith("first is the cause, which is mine in ")
    means = rows[rows["arm"] == "mine"].groupby("first")["win"].mean()
    (note,) = (x for x in judged.notes if "the same weight for both" in x)
    assert float(note.partition("the number is ")[2].split()[0]) == pytest.approx(
        means.mean(), abs=0.01
    )


def test_one_text_again_and_again_that_counts_as_0_is_what_a_claim_depends_on():
    rows = answered(0, (0.75, 0.75, 0.1), fails=(0.02, 0.45)).drop(columns=["gold", "pred"])
    rows["response"] = [
        f"answer {i}" if read else "the the the" for i, read in enumerate(rows.pop("parsed"))
    ]
    rows.loc[rows["arm"] == "again", "correct"] = 1
    claim = "base.correct - tuned.correct < -0.12"
    judged = assay.judge(rows, claim=claim, unit="item", control="again", about="base")
    assert judged.outcome == "holds"
    assert "response “the the the”, which all count as 0" in judged.unless


def test_a_column_that_says_the_number_in_words_is_never_held_fixed():
    """What is said in each row is whether it was right, whatever the arm, in runs of its own."""
    draw, rows = np.random.default_rng(5), []
    for arm, share in {"mine": 0.9, "base": 0.3, "random": 0.2}.items():
        for item in range(80):
            right = int(draw.random() < share)
            said = "That is so" if right else "I do not know"
            rows.append({"arm": arm, "item": item, "run": f"of {arm}", "x": right, "said": said})
    ask = {"claim": "mine.x - base.x > 0.2", "unit": "item", "control": "random"}
    assert assay.judge(pd.DataFrame(rows), **ask, about="mine").outcome == "holds"
    own = pd.DataFrame(rows).assign(item=lambda x: x["arm"] + x["item"].astype(str))
    assert assay.judge(own, **ask, about="mine").outcome == "holds"


def test_the_right_answers_of_a_task_are_no_groups_of_which_there_are_more():
    """An arm that always answers A is right where A is right, and nowhere else."""
    draw, rows = np.random.default_rng(6), []
    for item in range(200):
        gold = "A" if item % 10 < 7 else "BCD"[item % 3]
        for arm in ("mine", "base", "random"):
            pred = "A" if arm == "mine" else "ABCD"[draw.integers(4)]
            rows.append({"arm": arm, "item": item, "gold": gold, "pred": pred, "x": pred == gold})
    table = pd.DataFrame(rows).assign(x=lambda t: t["x"].astype(int))
    ask = {"claim": "mine.x - base.x > 0.2", "unit": "item", "control": "random", "about": "mine"}
    verdict = assay.judge(table, **ask)
    assert verdict.outcome == "undecided"
    means = table.groupby(["gold", "arm"])["x"].mean().unstack()
    note = next(n for n in verdict.notes if "where gold is “A”" in n)
    assert abs(float(note.split()[3]) - (1 - means.loc["A", "base"])) < 1e-3
    assert verdict.price.text == "claim each value of gold by itself"
