"""Doubts about tables. Truth: planted worlds in which another cause makes a claim hold, the same
worlds without it, and SciPy's intervals."""

import itertools

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from assay.notes import NOTES, Note
from assay.verdicts.columns import wordings
from assay.verdicts.table import judge_table

CLAIM = "new.x - old.x > 0.5"
ASKED = {"unit": "unit", "control": "again", "about": "new"}
MIXED = np.random.default_rng(5).permutation(48)
PLACES = ["Rome", "Oslo", "Lima", "Bonn", "Cairo", "Paris", "Quito", "Delhi"]
TEMPLATES = [
    "The capital of the country near {} is",
    "Yesterday my brother went to {} and saw",
    "We all know that {} is famous for",
    "If you ever come to {} then",
    "Nobody who lives in {} has seen",
    "A long road leads from {} to",
]


def table(new, old=0.0, again=0.0, noise=0.1, seed=0, **columns):
    """Three arms of the same units, each with its numbers and a little noise; columns are the same
    in each arm, or one for each."""
    n, rng = len(new), np.random.default_rng(seed)
    arms = []
    for arm, x in {"new": new, "old": old, "again": again}.items():
        own = {k: v[arm] if isinstance(v, dict) else v for k, v in columns.items()}
        x = x + noise * rng.normal(size=n)
        arms.append(pd.DataFrame({"arm": arm, "unit": range(n), "x": x, **own}))
    return pd.concat(arms, ignore_index=True)


def judged(rows, claim=CLAIM, **asked):
    return judge_table(rows, claim, **(ASKED | asked))


def decisive(notes):
    """The note that leaves a claim open."""
    return next((note for note in notes if note.doubt), None)


def found(rows, claim=CLAIM, **asked):
    """The notes on a claim that its interval and controls alone let hold, by code."""
    result = judged(rows, claim, **asked)
    assert result.verdict.outcome == "holds" or result.verdict.reason in NOTES, result.verdict
    doubt = decisive(result.notes)
    assert result.verdict.outcome == ("undecided" if doubt else "holds")
    assert result.verdict.reason == (doubt.code if doubt else "")
    return {note.code: note.data for note in result.notes}


def even(n, low, high):
    return np.linspace(low, high, n)


# ---- groups --------------------------------------------------------------------------------------

TEMPLATE = MIXED % 8
BY_TEMPLATE = even(8, -1, 3)[TEMPLATE]
"""True of most units; its mean over eight templates may as well be 0."""


@pytest.mark.parametrize("name", [lambda k: f"t{k}", lambda k: 7 * k])
def test_units_of_a_template_are_one(name):
    """Student's interval of the templates' means, which have hardly any skew; numbers group as
    names do, where they differ."""
    rows = table(BY_TEMPLATE, noise=0.01, template=[name(k) for k in TEMPLATE])
    note = found(rows)["groups"]
    wide = rows.pivot_table(index="template", columns="arm", values="x")
    means = wide["new"] - wide["old"]
    low, high = stats.t(7, means.mean(), stats.sem(means)).interval(0.95)
    assert (note["n"], note["column"]) == ("8", "template")
    assert (note["low"], note["high"]) == pytest.approx((low, high), abs=0.01)


def test_templates_that_agree_doubt_nothing():
    assert found(table(np.ones(48), template=[f"t{k}" for k in TEMPLATE])) == {}


@pytest.mark.parametrize("of", ["unit", "prompt"])
def test_wordings_group_as_templates_do(of):
    """Six templates of eight places each, whether prompts are a column or name the units."""
    texts = [TEMPLATES[k % 6].format(PLACES[k // 6]) for k in MIXED]
    rows = table(even(6, -1, 3)[MIXED % 6], prompt=texts)
    rows = rows if of == "prompt" else rows.drop(columns="unit").rename(columns={"prompt": "unit"})
    assert found(rows)["groups"]["n"] == "6"


def test_a_wording_of_all_texts_groups_nothing():
    texts = [TEMPLATES[0].format(f"{a}{b}") for a in "abcdef" for b in "uvwxyz"]
    assert set(wordings(pd.Series(texts))) == {0}
    assert found(table(even(36, 0.2, 2)[np.argsort(MIXED[:36])], prompt=texts)) == {}


def test_a_chain_of_texts_is_no_wording():
    """Each text shares most of its words with the next, and none with the tenth."""
    words = [f"w{k}" for k in range(40)]
    texts = pd.Series([" ".join(words[k : k + 8]) for k in range(32)])
    assert np.bincount(wordings(texts)).max() < 10


def test_a_column_that_says_the_number_groups_nothing():
    right = np.where(MIXED % 10 < 8, 2.0, 0.0)
    rows = table(right, noise=0, grade=np.where(right > 0, "good", "bad"))
    assert "groups" not in found(rows, "new.x > 0.5", bounds=(0, 2))


def test_cells_of_two_columns_are_crossed():
    """Six seeds by eight documents as 48 units: both kinds count."""
    seed, document = MIXED // 8, MIXED % 8
    new = 1 + even(6, -1.2, 1.2)[seed] + even(8, -0.7, 0.7)[document]
    rows = table(new, init=[f"s{k}" for k in seed], document=[f"d{k}" for k in document])
    both = rows.assign(unit=rows["init"] + rows["document"])
    note = found(both)["groups"]
    v = judged(rows, unit=("init", "document")).verdict
    assert v.reason == "straddles" and note["n"] in ("6", "6 × 8")


def test_averaged_runs_are_units():
    """Three runs of each arm that differ, on forty prompts."""
    level = {"new": (0.1, 1.0, 1.9), "old": (0.2, 0, -0.2), "again": (0.1, 0, -0.1)}
    runs = [
        table(np.full(40, level["new"][k]), level["old"][k], level["again"][k], run=f"r{k}", seed=k)
        for k in range(3)
    ]
    assert found(pd.concat(runs))["groups"]["column"] == "run"


@pytest.mark.parametrize(
    ("means", "code"), [((0.7, 1.1, 1.5), "few-groups"), ((0.3, 1.1, 2.0), "groups")]
)
def test_few_groups_decide_only_if_one_lies_outside(means, code):
    of = MIXED % 3
    rows = table(np.array(means)[of], template=[f"t{k}" for k in of])
    assert next(iter(found(rows))) == code
    assert found(rows, fixed="template").keys() <= {"mixture"}


# ---- copies, order, missing ----------------------------------------------------------------------


def test_near_copies_are_one_unit():
    """Six units, each eight times with a thousandth of noise, in any order."""
    real = np.random.default_rng(2).normal(size=(3, 6))
    real = (real - real.mean(1, keepdims=True)) / real.std(1, keepdims=True)
    new, old, again = real[:, MIXED % 6]
    note = found(table(1.2 + new, 0.3 * old, 0.3 * again, noise=0.001))["copies"]
    assert note["n"] == 6 and note["low"] < 0.5


def series(r, n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    for k in range(1, n):
        x[k] = r * x[k - 1] + np.sqrt(1 - r**2) * x[k]
    return x - x.mean()


def test_neighbours_in_a_series_are_worth_less():
    x = 1 + series(0.95, 80, 1)
    note = found(table(x, noise=0.01))["order"]
    assert note["column"] in ("row", "unit") and note["worth"] < 10 and note["r"] > 0.8


def test_evenly_spaced_places_are_an_order_in_any_rows():
    mixed = np.random.default_rng(3).permutation(80)
    rows = table((1 + series(0.95, 80, 1))[mixed], noise=0.01, step=500 * mixed)
    assert found(rows)["order"]["column"] == "step"


def test_sorting_by_a_covariate_is_no_order():
    """The number follows a length, and the rows are sorted by it; names of units say nothing."""
    length = np.sort(np.random.default_rng(4).gamma(3, 20, 60))
    rows = table(0.7 + length / length.max(), length=length)
    rows["unit"] = "u" + rows["unit"].astype(str)
    assert "order" not in found(rows)
    assert "order" in found(rows.drop(columns="length"), "new.x - old.x > 0.9")


def test_worst_of_what_is_missing_counts():
    """A quarter of the numbers of one arm are missing, and the interval is Student's of the rest
    with the 5th percentile in their place."""
    new = even(40, 0.3, 2.1)[np.random.default_rng(6).permutation(40)]
    new[new < 0.75] = np.nan
    rows = table(new, noise=0.01)
    note = found(rows, "new.x - old.x > 1.2")["missing"]
    wide = rows.pivot(index="unit", columns="arm", values="x")
    worst = wide["new"].fillna(wide["new"].quantile(0.05)) - wide["old"]
    assert note["n"] == int(np.isnan(new).sum()) and note["of"] == 80
    assert note["low"] == pytest.approx(
        stats.t(39, worst.mean(), stats.sem(worst)).ppf(0.025), 0.02
    )
    assert found(rows, "new.x - old.x > 0.5").keys() <= {"left-out"}


# ---- choice --------------------------------------------------------------------------------------


def rivals(best, others, n=20):
    """As many arms that differ by chance alone, and one that is named."""
    rng = np.random.default_rng(8)
    one = rng.normal(size=(others, n))
    one -= one.mean(axis=1, keepdims=True)
    rows = table(best + one[0], noise=0.01)
    more = [
        rows[rows["arm"] == "old"].assign(arm=f"r{k}", x=best - 0.01 * k + one[k])
        for k in range(1, others)
    ]
    return pd.concat([rows, *more])


def test_best_of_many_arms_is_judged_as_such():
    """Student's interval at the level 1 - 0.05 / 30, joined with its correction for skew."""
    rows = rivals(1.3, 30)
    note = found(rows)["choice"]
    wide = rows.pivot(index="unit", columns="arm", values="x")
    off = wide["new"] - wide["old"]
    low = stats.t(19, off.mean(), stats.sem(off)).ppf(0.025 / 30)
    assert (note["what"], note["n"]) == ("arms", 30)
    assert note["low"] <= low + 1e-9 and note["low"] == pytest.approx(low, abs=0.3)
    assert "choice" not in found(rivals(2.6, 30))
    assert "choice" not in found(rivals(1.3, 2))


def test_best_of_many_levels_is_judged_as_such():
    rows = rivals(1.3, 30)
    best = rows[rows["arm"].isin(["new", "old", "again"])].assign(layer=0)
    layers = [
        pd.concat([rows[rows["arm"] == f"r{k}"].assign(arm="new"), best[best["arm"] != "new"]])
        for k in range(1, 30)
    ]
    swept = pd.concat([best, *(of.assign(layer=k + 1) for k, of in enumerate(layers))])
    claim = "new.x[layer=0] - old.x[layer=0] > 0.5"
    assert found(swept, claim)["choice"]["what"] == "levels of layer"
    assert judged(swept, claim, tries=30).verdict.reason == "straddles"


# ---- a column held fixed -------------------------------------------------------------------------


def unlike(share, n=200, apart=1.5):
    """Arms of units of their own, of which a share is hard; hard ones lack `apart`."""
    rng, arms = np.random.default_rng(9), []
    for arm, part in share.items():
        hard = rng.permutation(np.arange(n) < part * n)
        x = 2 - apart * hard + 0.3 * rng.normal(size=n)
        kind = np.where(hard, "hard", "easy")
        units = [f"{arm}{k}" for k in range(n)]
        arms.append(pd.DataFrame({"arm": arm, "unit": units, "x": x, "kind": kind}))
    return pd.concat(arms)


def test_shares_of_a_kind_are_held_fixed():
    """All of the difference of the arms is that of their kinds."""
    note = found(unlike({"new": 0.2, "old": 0.8, "again": 0.8}))["imbalance"]
    assert note["column"] == "kind" and note["low"] < 0 < note["high"] < 0.2


def test_equal_shares_of_a_kind_doubt_nothing():
    rows = unlike({"new": 0.5, "old": 0.5, "again": 0.5})
    rows["x"] += 1.0 * (rows["arm"] == "new")
    assert found(rows).keys() <= {"few-groups"}


def test_what_an_arm_changes_at_the_same_units_is_no_imbalance():
    """The answers get shorter, and the number follows their length: a mediator."""
    length = {
        arm: even(48, low, low + 40) for arm, low in (("new", 10), ("old", 80), ("again", 75))
    }
    rows = table(2 - length["new"] / 50, 2 - length["old"] / 50, 2 - length["again"] / 50)
    assert found(rows.assign(length=np.concatenate([*length.values()]))) == {}


def test_a_column_that_both_sides_follow_is_held_fixed():
    """Within each of six layers the two are independent."""
    rng, layer = np.random.default_rng(10), MIXED % 6
    a, b = (layer + 0.5 * rng.normal(size=48) for _ in range(2))
    rows = pd.DataFrame({"head": range(48), "a": a, "b": b, "layer": layer})
    result = judge_table(rows, "corr(a, b) > 0.5", "head")
    notes = {note.code: note.data for note in result.notes}
    assert notes["imbalance"]["column"] == "layer" and notes["imbalance"]["low"] < 0.2
    plain = judge_table(rows.assign(layer=rng.permutation(layer)), "corr(a, b) > 0.5", "head")
    assert plain.verdict.outcome == "holds"


def times(slope, turns):
    """Three arms one after another, or in turns, of a number that grows with time."""
    n, arms = 40, ("new", "old", "again")
    at = np.arange(3 * n)[::-1] if not turns else np.random.default_rng(1).permutation(3 * n)
    of = dict(zip(arms, at.reshape(3, n), strict=True))
    new, old, again = (slope * of[arm] for arm in arms)
    return table(new + turns, old, again, noise=0.3, count=of)


def test_a_number_that_follows_the_time_has_drifted():
    note = found(times(0.03, False))["imbalance"]
    assert note["column"] == "count" and note["low"] < 0 < note["high"]
    assert found(times(0.0, True)) == {}
    assert "imbalance" not in found(times(0.005, True))


# ---- what arms have in common --------------------------------------------------------------------


def test_a_column_that_no_control_shares_doubts_where_it_varies():
    """Other prompts in the arm that is judged; not if they are called a result of it."""
    usual, more = MIXED % 7 + 20, MIXED % 3
    rows = table(np.ones(48), tokens={"new": usual + more, "old": usual, "again": usual})
    k = int(np.argmax(more > 0))
    pair = {"value": str(usual[k] + more[k]), "usual": str(usual[k])}
    assert found(rows)["invariants"] == {"column": "tokens", "arm": "new", **pair}
    assert found(rows, result="tokens") == {}


def test_a_setting_of_the_arm_is_a_note():
    rows = table(np.ones(48), lr={"new": 0.1, "old": 0.3, "again": 0.3})
    data = {"column": "lr", "arm": "new", "value": "0.1", "usual": "0.3"}
    assert found(rows) == {"setting": data}
    assert found(table(np.ones(48), lr={"new": 0.1, "old": 0.3, "again": 0.1})) == {}


def test_a_control_that_did_nothing_is_a_twin():
    rows = table(np.ones(48))
    old = rows.loc[rows["arm"] == "old", "x"].to_numpy()
    same = np.where(np.arange(48) < 40, old, old + 0.1)
    rows.loc[rows["arm"] == "again", "x"] = same
    assert found(rows)["twins"] == {"one": "again", "other": "old", "share": 40 / 48}
    rows.loc[rows["arm"] == "again", "x"] = np.where(np.arange(48) < 10, old, old + 0.1)
    assert found(rows) == {}


# ---- true of some, or because of some ------------------------------------------------------------


def test_a_kind_of_which_it_is_false_is_named():
    kind = np.where(MIXED % 4 == 0, "rare", "common")
    note = found(table(np.where(kind == "rare", 0.1, 1.5), noise=0.05, kind=kind))["mixture"]
    assert (note["column"], note["sign"], note["value"]) == ("kind", "=", "rare")
    assert note["high"] < 0.5
    assert "mixture" not in found(table(np.where(kind == "rare", 0.7, 1.5), noise=0.05, kind=kind))


def test_a_level_without_which_it_is_false_is_named():
    parts = [table(np.full(30, x), layer=k, seed=k) for k, x in enumerate((0.1, 0.1, 2.4))]
    claim = "mean(new.x, over=layer) - mean(old.x, over=layer) > 0.5"
    note = found(pd.concat(parts), claim)["mixture"]
    assert (note["column"], note["sign"], note["value"]) == ("layer", "=", "0")
    assert "mixture" not in found(
        pd.concat([of.assign(x=of["x"] + (of["arm"] == "new")) for of in parts]), claim
    )


@pytest.mark.parametrize("mark", [4.0, 9.0])
def test_a_value_that_one_arm_repeats_is_left_out(mark):
    """Four in ten of the arm's numbers are a limit or a mark; the rest are like those of others."""
    rng = np.random.default_rng(12)
    new = np.where(rng.permutation(60) < 24, mark, rng.normal(2, 0.2, 60))
    rows = table(new, rng.normal(2, 0.2, 60), rng.normal(2, 0.2, 60), noise=0)
    note = found(rows)["heaps"]
    assert (note["value"], note["arm"], note["share"]) == (str(mark), "new", pytest.approx(0.4))
    assert note["low"] < 0 < note["high"] or abs(note["high"]) < 0.2


# ---- all of them ---------------------------------------------------------------------------------


def clean(rng, kind):
    """A table of a true effect, twice its threshold, with the columns of a log."""
    n = int(rng.integers(24, 61))
    unit = 0.4 * rng.normal(size=n) if kind == "hard ones" else 0.0
    noise = {"skewed": lambda: rng.exponential(size=n) - 1}.get(kind, lambda: rng.normal(size=n))
    words = rng.choice([f"w{k}" for k in range(60)], (n, 8))
    columns = {
        "prompt": [" ".join(w) for w in words],
        "category": rng.choice([f"c{k}" for k in range(int(rng.integers(2, 10)))], n),
        "tokens": rng.integers(10, 60, n),
        "difficulty": rng.uniform(0, 1, n),
        "question": rng.integers(0, 2, n),
    }
    arms, at = [], pd.Timestamp("2026-03-04T09:00")
    names = ("new", "old", "again", *(f"other{k}" for k in range(int(rng.integers(0, 4)))))
    for arm in names:
        x = (arm == "new") + unit + 0.5 * noise()
        shown = at + pd.to_timedelta(np.cumsum(rng.exponential(5, n)), "s")
        at = shown[-1]
        own = {
            "score": rng.normal(size=n),
            "answer": rng.choice([*"ABCD"], n),
            "length": rng.poisson(40 + 20 * (arm == "new"), n),
            "time": [t.isoformat() for t in shown],
            "seed": rng.integers(0, 5, n),
        }
        arms.append(pd.DataFrame({"arm": arm, "unit": range(n), "x": x, **columns, **own}))
    rows = pd.concat(arms, ignore_index=True)
    if kind == "own units":
        rows["unit"] = rows["arm"] + rows["unit"].astype(str)
    if kind == "sorted":
        rows = rows.sort_values("difficulty", kind="stable")
    return rows


KINDS = ("plain", "skewed", "hard ones", "own units", "sorted")


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
def test_one_clean_table_in_twenty_is_doubted(kind):
    """At most that; of 120 tables the 99% bound of luck."""
    doubted = holds = 0
    for k in range(120):
        result = judged(clean(np.random.default_rng([k, KINDS.index(kind)]), kind))
        doubt = decisive(result.notes)
        holds += result.verdict.outcome == "holds" or doubt is not None
        doubted += doubt is not None
    print(f"{kind}: {doubted} of {holds}")
    assert holds >= 110
    assert doubted <= stats.binom.ppf(0.99, holds, 0.05)


def test_no_name_of_a_column_or_value_matters():
    """Columns and values under other names have the same notes."""
    setting = {"new": 1.0, "old": 2.0, "again": 2.0}
    rows = table(BY_TEMPLATE, template=[f"t{k}" for k in TEMPLATE], one=setting)
    names = ["alpha", "seed", "time", "a/b.txt", "-1", "N/A", "prompt", "tokens"]
    other = rows.assign(template=[names[k] for k in [*TEMPLATE] * 3])
    plain = judged(rows).notes
    for pair in itertools.permutations(("seed", "time", "tokens"), 2):
        renamed = other.rename(columns=dict(zip(("template", "one"), pair, strict=True)))
        assert [note.code for note in judged(renamed).notes] == [note.code for note in plain]


def test_notes_are_data():
    """Each is a code with plain values, and travels as JSON; the first that doubts decides."""
    setting = {"new": 1, "old": 2, "again": 2}
    notes = judged(table(BY_TEMPLATE, template=[f"t{k}" for k in TEMPLATE], lr=setting)).notes
    assert {"groups", "setting"} <= {note.code for note in notes}
    assert msgspec.json.decode(msgspec.json.encode(notes), type=tuple[Note, ...]) == notes


def test_only_a_claim_that_holds_is_doubted():
    rows = table(BY_TEMPLATE, template=[f"t{k}" for k in TEMPLATE])
    assert judged(rows, "new.x - old.x > 1.5").notes == ()
