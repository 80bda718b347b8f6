"""Arms that have different shares of something else, such as of easy items: it is held fixed, and a
claim that it decides is undecided."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import assay
from acceptance.test_strata import ASK, cells_in_batches, items_of_kinds
from assay.core.errors import ClaimError
from assay.core.shares import Shares
from assay.core.strata import needed


def stratified(rows):
    """The mean over kinds of the difference of means, with its standard error and Satterthwaite's
    degrees of freedom."""
    theta, parts = 0.0, []
    for _, of_kind in rows.groupby("kind"):
        for arm, sign in (("steered", 1), ("base", -1)):
            x = of_kind["lead"][of_kind["arm"] == arm].to_numpy()
            theta += sign * x.mean() / 2
            parts.append((x.var(ddof=1) / len(x) / 4, len(x) - 1))
    variance = sum(v for v, _ in parts)
    return theta, variance**0.5, variance**2 / sum(v**2 / df for v, df in parts)


def test_a_fixed_kind_of_unpaired_items_is_averaged_over_its_values():
    rows = items_of_kinds(n=120)
    judged = assay.judge(rows, unit="item", fixed="kind", **ASK)
    theta, error, df = stratified(rows)
    assert judged.outcome == "fails"
    assert judged.estimate == pytest.approx(theta, rel=1e-9)
    half = stats.t.ppf(0.975, df) * error
    ends = judged.verdict.t_low, judged.verdict.t_high
    assert ends == pytest.approx((theta - half, theta + half), rel=1e-3)
    means = rows.groupby(["arm", "kind"])["lead"].mean().groupby("arm").mean()
    assert judged.sides == pytest.approx(
        {"steered.lead": means["steered"], "base.lead": means["base"]}, rel=1e-9
    )
    assert judged.scope.endswith("of these 2 kinds")


@pytest.mark.parametrize(
    ("rows", "unit", "share"),
    [
        (
            items_of_kinds(n=120),
            "item",
            "kind is easy in 80% of steered's items and in 30% of base's",
        ),
        (cells_in_batches(effect=-0.1), ["template", "item"], "batch is B in 8"),
    ],
)
def test_a_claim_that_a_difference_in_something_else_decides_is_undecided(rows, unit, share):
    judged = assay.judge(rows, unit=unit, **ASK)
    name = share.partition(" ")[0]
    fixed = assay.judge(rows, unit=unit, fixed=name, **ASK)
    assert (judged.outcome, fixed.outcome) == ("undecided", "fails")
    assert judged.reason.removeprefix("grouped by mixed: ").startswith(share)
    assert f"with {name} held fixed, the number is " in judged.reason
    assert judged.price.text.startswith(f'fixed="{name}"')
    assert "account for" not in str(judged.notes)


def test_a_value_that_only_one_arm_has_is_left_out_or_refused():
    rows = items_of_kinds()
    only = rows["item"].isin(["steered0", "steered1", "steered2"])
    rows.loc[only, "kind"] = "odd"
    judged = assay.judge(rows, unit="item", fixed="kind", **ASK)
    assert "rows with kind odd are left out: not in two units of steered and base" in judged.notes
    assert judged.estimate == pytest.approx(stratified(rows[~only])[0], rel=1e-9)
    rows["kind"] = rows["arm"].where(rows["arm"] == "steered", "other")
    with pytest.raises(ClaimError, match="kind cannot be held fixed: steered and base have no"):
        assay.judge(rows, unit="item", fixed="kind", **ASK)


@pytest.mark.thorough
def test_without_an_effect_in_any_kind_a_claim_rarely_holds():
    tables, ask = 120, {"claim": "steered.lead - base.lead > 0", "unit": "item"}
    rows = [items_of_kinds(seed=s, n=24).query("arm != 'random'") for s in range(tables)]
    held = [assay.judge(x, fixed="kind", **ask).outcome for x in rows]
    assert held.count("holds") <= stats.binom.ppf(0.999, tables, 0.025)
    assert "holds" not in [assay.judge(x, **ask).outcome for x in rows[:10]]


@pytest.mark.thorough
def test_columns_that_differ_by_chance_change_nothing():
    changed = held = 0
    for s in range(6):
        draw = np.random.default_rng(s)
        rows = cells_in_batches(seed=s, effect=1.0).query("seed < 2")
        rows["lead"] -= rows["batch"] == "B"
        plain = rows.drop(columns="batch")
        for name, values in {"gpu": ["x", "y"], "day": [1, 2, 3], "who": list("abcd")}.items():
            rows[name] = draw.choice(values, len(rows))
        few = plain.assign(**{x: rows[x] for x in ("gpu", "day", "who")})
        first, second = (assay.judge(x, unit=["template", "item"], **ASK) for x in (plain, few))
        changed += (first.outcome, first.reason) != (second.outcome, second.reason)
        held += first.outcome == "holds"
    assert changed == 0
    assert held > 3


def texts_of_lengths(seed, longer=10.0, effect=0.0, per_word=0.1):
    """Texts of each arm's own, scored by their length, and by what the arm does."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {"arm": arm, "text": f"{arm}{i}", "length": length, "lead": lead + more}
        for arm, mu, more in (("steered", 20 + longer, effect), ("base", 20, 0.0))
        for i, (length, lead) in enumerate(
            (round(x), per_word * x + draw.normal(0, 0.5)) for x in draw.normal(mu, 5, 60)
        )
    )


def test_an_amount_that_would_explain_a_difference_is_what_the_claim_depends_on():
    ask = {"claim": "steered.lead - base.lead > 0.5", "unit": "text"}
    rows = texts_of_lengths(0)
    judged = assay.judge(rows, **ask)
    means = rows.groupby("arm")["length"].mean()
    cause = f"{means['steered']:.3g} in steered and {means['base']:.3g} in base on average"
    assert judged.outcome == "holds"
    assert judged.unless == f"length is the cause, which is {cause}"
    # in steps of about equally many texts, by pandas
    steps = pd.qcut(rows["length"].rank(), 5, labels=False)
    means = rows.groupby([steps, "arm"])["lead"].agg(["mean", "count"]).unstack()
    both = means[(means["count"] >= 2).all(axis=1)]["mean"]
    number = float((both["steered"] - both["base"]).mean())
    assert abs(number) < 0.35
    (note,) = (n for n in judged.notes if "held fixed in 5 steps" in n)
    said = float(note.partition("the number is ")[2].split()[0])
    assert said == pytest.approx(number, abs=0.1)  # ties are parted otherwise

    assert not assay.judge(rows.drop(columns="length"), **ask).unless
    assert not assay.judge(texts_of_lengths(0, effect=3.0), **ask).unless


def test_a_control_with_as_much_of_an_amount_that_does_not_satisfy_the_claim_rules_it_out():
    """Texts of a control that are as long as those of the arm, and as bad as those without it."""
    rows, draw = texts_of_lengths(0), np.random.default_rng(1)
    for longer, unless in ((10, False), (5, True)):
        lengths = draw.normal(20 + longer, 5, 60).round()
        shuffled = {
            "arm": "shuffled",
            "text": [f"shuffled{i}" for i in range(60)],
            "length": lengths,
            "lead": draw.normal(2, 0.5, 60),
        }
        both = pd.concat([rows, pd.DataFrame(shuffled)])
        ask = {"claim": "steered.lead - base.lead > 0.5", "unit": "text", "about": "steered"}
        judged = assay.judge(both, **ask, control="shuffled")
        assert judged.outcome == "holds"
        assert judged.unless.startswith("length is the cause") == unless


@pytest.mark.thorough
def test_an_amount_that_differs_by_chance_is_no_cause():
    ask = {"claim": "steered.lead - base.lead > 0.5", "unit": "text"}
    tables = [texts_of_lengths(s, longer=0, effect=1.0, per_word=0.02) for s in range(8)]
    judged = [assay.judge(rows, **ask) for rows in tables]
    assert [v.outcome for v in judged].count("holds") > 6
    assert not any(v.unless for v in judged)


def own_items(seed, values, gain, n=60):
    """Items of each arm's own, of which `new` has mostly the last of these values and `old` mostly
    the first; the place of a value, and no arm, adds to the score."""
    draw, rows = np.random.default_rng(seed), []
    for arm, most in (("new", -1), ("old", 0)):
        place = np.arange(len(values))[most]
        at = np.where(draw.random(n) < 0.6, place, draw.integers(0, len(values), n))
        score = 0.5 + gain * at + draw.normal(0, 0.1, n)
        rows += [
            (arm, f"{arm}{i}", values[k], x) for i, (k, x) in enumerate(zip(at, score, strict=True))
        ]
    return pd.DataFrame(rows, columns=["arm", "item", "bos", "score"])


@pytest.mark.parametrize("values", [[0, 1], [False, True]])
def test_yes_and_no_may_be_the_cause_where_each_arm_has_items_of_its_own(values):
    ask = {"claim": "new.score - old.score > 0.05", "unit": "item"}
    rows = own_items(0, values, 0.25, n=200)
    judged = assay.judge(rows, **ask)
    share = rows.groupby("arm")["bos"].mean()
    assert judged.unless == (
        f"bos is the cause, which is {values[1]} in {100 * share['new']:.0f}% of new's items and "
        f"in {100 * share['old']:.0f}% of old's"
    )
    means = rows.groupby(["bos", "arm"])["score"].mean().unstack()
    (note,) = (n for n in judged.notes if "with bos held fixed, the number is " in n)
    said = float(note.partition("the number is ")[2].split()[0])
    assert said == pytest.approx((means["new"] - means["old"]).mean(), abs=5e-3)
    assert assay.judge(rows, fixed="bos", **ask).outcome == "fails"
    assert not assay.judge(own_items(0, values, 0.0), **ask).unless


def test_a_number_of_a_few_values_is_named_before_its_values_count_as_units():
    rows = own_items(1, [0, 1, 2, 4, 8], 0.06).rename(columns={"bos": "shots"})
    judged = assay.judge(rows, claim="new.score - old.score > 0.05", unit="item")
    assert judged.reason.startswith("grouped by mixed: shots is 8 in ")
    assert judged.price.text.startswith('fixed="shots", or leave the column out')


def test_a_missing_value_does_not_hide_a_column_and_may_be_the_cause():
    """Hard items are worth less, and `new` has few of them; one item has no level, or no hard one
    has."""
    draw, rows = np.random.default_rng(0), []
    for arm, share in (("new", 0.2), ("old", 0.8)):
        for i in range(40):
            hard = i < 40 * share
            level = "hard" if hard else "easy"
            rows.append((arm, f"{arm}{i}", level, draw.normal(-0.3 * hard, 0.1)))
    rows = pd.DataFrame(rows, columns=["arm", "item", "level", "score"])
    ask = {"claim": "new.score - old.score > 0.05", "unit": "item"}
    assert assay.judge(rows, **ask).reason.startswith("grouped by mixed: level is easy in ")
    one = rows.assign(level=rows["level"].where(rows["item"] != "new1"))
    assert assay.judge(one, **ask).reason.startswith("grouped by mixed: level is easy in ")
    unsaid = rows.assign(level=rows["level"].where(rows["level"] == "easy"))
    assert assay.judge(unsaid, **ask).reason.startswith("grouped by mixed: level is easy in ")
    setting = rows.assign(level=np.where(rows["arm"] == "new", "steered", None))
    assert assay.judge(setting, **ask).outcome == "undecided"  # by the order of items alone
    assert "mixed" not in assay.judge(setting, **ask).reason


def test_the_length_of_texts_may_be_the_cause():
    """Each word adds 0.03; `new` has longer texts."""
    draw, rows = np.random.default_rng(0), []
    words = ["bird", "saw", "the", "old", "tree", "flew", "home", "over", "our", "house"]
    for arm, least in (("new", 9), ("old", 4)):
        for i in range(60):
            text = " ".join(draw.choice(words, least + draw.integers(0, 8)))
            rows.append((arm, f"{arm}{i}", text, 0.03 * len(text.split()) + draw.normal(0, 0.05)))
    rows = pd.DataFrame(rows, columns=["arm", "item", "text", "score"])
    ask = {"claim": "new.score - old.score > 0.05", "unit": "item"}
    judged = assay.judge(rows, **ask)
    means = rows["text"].str.split().str.len().groupby(rows["arm"]).mean()
    assert judged.unless == (
        f"the length of text is the cause, which is {means['new']:.3g} in new and "
        f"{means['old']:.3g} in old on average"
    )
    assert not assay.judge(rows.drop(columns="text"), **ask).unless
    assert judged.price is None or "fixed=" not in judged.price.text


def test_times_in_words_are_the_amounts_that_they_are_as_numbers():
    """The score falls with time, and `new` was mostly measured earlier."""
    draw, rows = np.random.default_rng(1), []
    for arm, law in (("new", (1, 2.2)), ("old", (2.2, 1))):
        for i, hours in enumerate(10 * draw.beta(*law, 60)):
            rows.append((arm, f"{arm}{i}", hours, draw.normal(-0.12 * hours, 0.4)))
    rows = pd.DataFrame(rows, columns=["arm", "item", "hours", "score"])
    start = rows["hours"].min()
    at = pd.Timestamp("2026-10-01T08:00") + pd.to_timedelta(rows["hours"], unit="h")
    dated = rows.assign(started=at.dt.strftime("%Y-%m-%dT%H:%M:%S.%f")).drop(columns="hours")
    ask = {"claim": "new.score - old.score > 0.1", "unit": "item"}
    numbers = assay.judge(rows.assign(hours=rows["hours"] - start), **ask)
    said = assay.judge(dated, **ask)
    assert numbers.unless.startswith("hours is the cause, which is ")
    assert said.unless == numbers.unless.replace("hours", "hours since the first started", 1)


@pytest.mark.parametrize(
    ("name", "late", "early", "said"),
    [
        ("measured", "2026-10-02T09:0{}", "2026-10-01T09:0{}", "measured is 2026-10-02T09:00 to"),
        ("measured", "179000{}000", "178990{}000", "measured is 1790000000 to 1790009000"),
        ("length", "3{}", "1{}", "length is 30 to 39 in all rows of late, and 10 to 19 in all of"),
    ],
)
def test_amounts_and_times_that_do_not_overlap_go_with_the_arm(name, late, early, said):
    """A length is one of the items of each arm, a time one at which the same items were asked."""
    draw, rows = np.random.default_rng(0), []
    for arm, of, gain in (("late", late, 1.0), ("early", early, 0.0), ("other", early, 0.0)):
        for i in range(30):
            item = f"{arm}{i}" if name == "length" else f"i{i}"
            at = of.format(draw.integers(0, 10) if i > 1 else 9 * i)
            rows.append((arm, item, int(at) if at.isdigit() else at, draw.normal(gain, 0.3)))
    rows = pd.DataFrame(rows, columns=["arm", "item", name, "score"])
    ask = {"claim": "late.score - early.score > 0.5", "unit": "item", "about": "late"}
    judged = assay.judge(rows, control="other", **ask)
    (note,) = (n for n in judged.notes if "no control separates them" in n)
    assert note.startswith(said)
    if "-" in early:
        dates = rows.assign(measured=pd.to_datetime(rows["measured"]))
        assert any("no control separates" in n for n in assay.judge(dates, **ask).notes)
    # a control of the same time or length separates them; so does one value in common
    at_once = rows.assign(**{name: rows[name].where(rows["arm"] != "other", rows[name].iloc[0])})
    mixed = rows.assign(**{name: rows[name].where(rows["item"].str[-1] != "3", rows[name].iloc[0])})
    for apart in (at_once, mixed):
        notes = assay.judge(apart, control="other", **ask).notes
        assert not any("no control separates them" in n for n in notes)


def levels_and_topics(seed, share, n=60, count=2, shared=False):
    """Topic follows level in this share of the rows of `steered` and in as few of `base`, so both
    have each level and each topic about equally often; a row in which it does has one more."""
    draw = np.random.default_rng(seed)
    names = ["arm", "item", "seed"]
    rows = pd.MultiIndex.from_product([("base", "steered"), range(n), range(6 if shared else 1)])
    rows = rows.set_names(names).to_frame(index=False)
    if not shared:
        rows["item"] = rows["arm"] + rows.pop("seed").astype(str) + rows["item"].astype(str)
    follows = draw.random(len(rows)) < np.where(rows["arm"] == "steered", share, 1 - share)
    level = draw.integers(0, count, len(rows))
    topic = np.where(follows, level, (level + draw.integers(1, count, len(rows))) % count)
    rows["level"], rows["topic"] = level + 1, np.array([*"abcd"])[topic]
    return rows.assign(lead=follows + draw.normal(0, 0.4, len(rows)))


@pytest.mark.parametrize(
    "rows",
    [
        levels_and_topics(0, 0.85),
        levels_and_topics(1, 0.8, n=120, count=3),
        levels_and_topics(2, 0.8, n=12, shared=True),
    ],
)
def test_two_columns_that_only_together_differ_between_arms_are_held_fixed_together(rows):
    ask = {"claim": "steered.lead - base.lead > 0.3", "unit": "item"}
    judged = assay.judge(rows, **ask)
    assert judged.outcome == "undecided"
    said = re.fullmatch(
        r"grouped by mixed: level and topic are (\d) and (\w) in (\d+)% of steered's \w+ and in "
        r"(\d+)% of base's: with level and topic held fixed, the number is (\S+) \[.*\]",
        judged.reason,
    )
    there = (rows["level"] == int(said[1])) & (rows["topic"] == said[2])
    share = 100 * there.groupby(rows["arm"]).mean()
    assert [said[3], said[4]] == [f"{share[arm]:.0f}" for arm in ("steered", "base")]
    assert judged.price.text.startswith('fixed=["level", "topic"], or leave the columns out')
    if rows["item"].dtype == object:
        means = rows.groupby(["level", "topic", "arm"])["lead"].mean().unstack()
        number = (means["steered"] - means["base"]).mean()
        assert float(said[5]) == pytest.approx(number, abs=0.006)


def test_next_to_a_fixed_column_another_one_is_looked_at_within_its_values():
    rows = levels_and_topics(0, 0.85)
    ask = {"claim": "steered.lead - base.lead > 0.3", "unit": "item"}
    judged = assay.judge(rows, fixed="level", **ask)
    assert judged.reason.startswith("grouped by mixed: level and topic are ")
    assert judged.price.text.startswith('fixed=["level", "topic"], or leave the column out')
    assert not any("different shares" in note for note in judged.notes)
    both = assay.judge(rows, fixed=("level", "topic"), **ask)
    said = float(judged.reason.partition("the number is ")[2].split()[0])
    assert said == pytest.approx(both.estimate, abs=0.006)


def test_what_cannot_be_held_fixed_is_what_the_claim_depends_on():
    """No combination of level and topic is in both arms, and one value of kind in one item."""
    ask = {"claim": "steered.lead - base.lead > 0.3", "unit": "item"}
    judged = assay.judge(levels_and_topics(0, 1.0), **ask)
    assert judged.outcome == "holds"
    assert judged.unless.startswith("level and topic are the cause, which are ")
    assert judged.unless.endswith("% of steered's items and in 0% of base's")
    rows = levels_and_topics(0, 1.0).drop(columns=["level", "topic"])
    rows["kind"] = np.where((rows["arm"] == "steered") | (rows.index == 0), "easy", "hard")
    judged = assay.judge(rows, **ask)
    assert judged.unless.startswith("kind is the cause, which is easy in 100% of steered's items")


def test_shares_are_compared_at_each_value_of_another_column_as_scipy_does():
    decided = []
    for seed in range(24):
        rows = levels_and_topics(seed, 0.65, n=50, count=2 + seed % 2)
        columns = {x: rows[x] for x in ("level", "topic")}
        found = Shares(rows, ["item"], [], columns).differ([("level", "topic")])
        largest = 0.0
        for name, other in (("level", "topic"), ("topic", "level")):
            tables = [pd.crosstab(at["arm"], at[name]) for _, at in rows.groupby(other)]
            each = [stats.chi2_contingency(table, correction=False) for table in tables]
            p = stats.chi2.sf(sum(x.statistic for x in each), sum(x.dof for x in each))
            largest = max(largest, p)
        decided.append(largest < 0.01)
        assert bool(found) == decided[-1]
    assert 4 < sum(decided) < 20


def test_pairs_of_columns_that_do_nothing_are_rarely_named():
    named = 0
    for seed in range(60):
        draw, rows = np.random.default_rng(seed), levels_and_topics(seed, 0.5, n=40)
        columns = {f"c{k}": pd.Series(draw.integers(0, 2 + k % 3, len(rows))) for k in range(6)}
        of = Shares(rows, ["item"], [], columns)
        named += bool(of.differ([*itertools.combinations(columns, 2)]))
    assert named <= stats.binom.ppf(0.999, 60, 0.01)


def test_fixed_columns_of_equal_shares_are_strata_only_where_their_combinations_differ():
    """Each item has two rows of each level and of each topic in both arms."""
    rows = pd.MultiIndex.from_product([("new", "old"), range(6), (0, 0, 1, 1)])
    rows = rows.set_names(["arm", "item", "level"]).to_frame(index=False)
    rows["kind"] = rows["item"] % 2
    crosswise = rows.assign(topic=rows["level"] ^ (rows["arm"] == "new"))
    alike = rows.assign(topic=rows["level"])
    fixed = ["kind", "level", "topic"]
    assert needed(crosswise, ["item"], fixed, False) == ("level", "topic")
    assert needed(alike, ["item"], fixed, False) == ()
    assert needed(crosswise, ["item"], fixed[:2], False) == ()
    assert needed(alike, ["item"], fixed, True) == tuple(fixed)
