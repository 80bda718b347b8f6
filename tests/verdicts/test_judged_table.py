"""Claims about tables. Truth: SciPy's tests and intervals, one table written in two ways, and the
contract that what is not declared is refused or noted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import AssayError, ClaimError, DataError
from assay.verdicts import case, rule
from assay.verdicts.table import estimate, judge_table

RESULTS = Path(__file__).parents[2] / "examples/results.csv"
CROSSED = ("seed", "document")
EVEN = np.array([-3.0, -2, -1, 1, 2, 3])
"""Numbers without skew, of which the interval is Student's."""


def codes(result):
    return {note.code: note.data for note in result.notes}


def of(**numbers):
    """A table of one number for each seed of each arm."""
    return pd.concat(
        pd.DataFrame({"arm": arm.replace("_", "-"), "seed": range(len(x)), "x": x})
        for arm, x in numbers.items()
    )


def sweep(seeds=8):
    """Two arms whose numbers are far apart at two layers, and cross at the third."""
    rng = np.random.default_rng(3)
    rows = [
        (arm, seed, layer, lead * (layer - 2.5) + 0.01 * rng.normal())
        for arm, lead in (("a", 1.0), ("b", 0.0), ("c", 0.1))
        for seed in range(seeds)
        for layer in (3, 4, 5)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "layer", "x"])


# ---- what is judged ------------------------------------------------------------------------------


def test_the_example_has_its_numbers():
    """The README's table."""
    v = judge_table(
        RESULTS, "gated.fvu - relu.fvu < -0.02", CROSSED, control="relu-again", about="gated"
    ).verdict
    assert (v.outcome, v.reason, v.n) == ("holds", "", {"seed": 8, "document": 40})
    assert (v.estimate, v.low, v.high) == pytest.approx((-0.0358, -0.0370, -0.0345), abs=5e-5)
    control = v.controls["relu-again"]
    assert (control.outcome, round(control.estimate, 4)) == ("beaten", -0.0006)
    assert control.lead[2] < -0.03


def test_claims_of_no_effect_need_a_violation():
    claim, ask = '-0.02 < "relu-again".fvu - relu.fvu < 0.02', {"about": "relu-again"}
    blind = judge_table(RESULTS, claim, CROSSED, **ask).verdict
    seen = judge_table(RESULTS, claim, CROSSED, missed="gated", **ask).verdict
    assert (blind.outcome, blind.reason, seen.outcome) == ("undecided", "blind", "holds")
    assert (seen.low, seen.high) == pytest.approx((-0.0051, 0.0029), abs=5e-5)


def test_a_paired_difference_has_students_interval():
    base = np.linspace(5, 9, 6)
    v = judge_table(of(a=base + 2 + 0.1 * EVEN, b=base), "a.x - b.x > 1", "seed").verdict
    low, high = scipy.stats.t.interval(0.95, 5, 2, scipy.stats.sem(0.1 * EVEN))
    assert (v.low, v.high) == pytest.approx((low, high))


@pytest.mark.parametrize("declared", [True, False])
def test_arms_of_their_own_units_have_welchs_interval(declared):
    """Units with names of their own are independent; those named alike are, if that is said."""
    first, second = 2 + 0.1 * EVEN, 1 + 0.3 * np.array([-4, *EVEN, 4.0])
    rows = of(a=first, b=second)
    if not declared:
        rows["seed"] = rows["arm"] + rows["seed"].astype(str)
    v = judge_table(rows, "a.x - b.x > 0", "seed", unpaired=declared).verdict
    welch = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert (v.low, v.high) == pytest.approx((welch.low, welch.high))
    assert v.n == {"seed": 14}


@pytest.mark.parametrize("kind", [bool, int])
def test_truth_values_are_numbers_with_an_exact_interval(kind):
    right = np.random.default_rng(0).permutation([True] * 31 + [False] * 9)
    v = judge_table(of(a=right.astype(kind)), "a.x > 0.5", "seed").verdict
    exact = scipy.stats.binomtest(31, 40).proportion_ci(0.95, "exact")
    assert (v.low, v.high) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_twelve_of_twelve_have_an_exact_limit():
    v = judge_table(of(a=[1] * 12), "a.x > 0.7", "seed").verdict
    assert (v.outcome, v.low, v.high) == ("holds", pytest.approx(0.025 ** (1 / 12)), 1)


def test_limits_lie_within_what_is_possible():
    """Analytic: a difference of shares of crossed units lies in [-1, 1], and a share in [0, 1]."""
    grid = pd.MultiIndex.from_product([["a", "b"], range(6), range(6)], names=["arm", "s", "p"])
    rows = grid.to_frame(index=False)
    rows["x"] = ((rows["arm"] == "a") | (rows["s"] == 0)).astype(float)
    found = estimate(rows, "a.x - b.x", ("s", "p"))
    free = estimate(rows.assign(x=2 * rows["x"]), "a.x - b.x", ("s", "p"))
    assert free.high > 2 and found.high == 1 and 2 * found.low == pytest.approx(free.low)
    assert estimate(rows, "b.x", ("s", "p")).low == 0
    declared = estimate(rows.assign(x=2 * rows["x"]), "b.x", ("s", "p"), bounds=(0, 2))
    assert declared.low == 0


def test_bounds_make_limits_exact():
    x = np.random.default_rng(1).beta(5, 1, 9) * 4 + 1
    v = judge_table(of(a=x), "a.x > 2", "seed", bounds=(1, 5)).verdict
    assert (v.low, v.high) == pytest.approx(rule.exact_limits(x, (1, 5), 0.95), abs=1e-9)


def test_folds_widen_an_interval():
    """Nadeau and Bengio's factor for five folds is 1 + 5/4."""
    rows = of(a=[0.61, 0.64, 0.6, 0.66, 0.63])
    ask = {"claim": "a.x > 0.5", "unit": "seed"}
    plain, folded = judge_table(rows, **ask).verdict, judge_table(rows, **ask, folds="seed").verdict
    width, narrow = folded.high - folded.low, plain.high - plain.low
    assert width / narrow == pytest.approx(np.sqrt(1 + 5 / 4))
    assert (plain.reason, folded.outcome) == ("few-units", "holds")


def test_several_tries_are_judged_at_sidaks_level():
    rows = of(a=2 + 0.1 * EVEN)
    many = judge_table(rows, "a.x > 1", "seed", tries=20)
    low, _ = scipy.stats.t.interval(0.95 ** (1 / 20), 5, 2, scipy.stats.sem(0.1 * EVEN))
    assert many.verdict.low == pytest.approx(low) and codes(many)["tried"]["n"] == 20


# ---- rows and levels -----------------------------------------------------------------------------


def test_a_missing_level_leaves_its_unit_out():
    rows = sweep()
    rows.loc[(rows["arm"] == "a") & (rows["seed"] == 2) & (rows["layer"] == 4), "x"] = np.nan
    for claim, n in (
        ("a.x[layer=4] > 1", 7),
        ("mean(a.x, over=layer) - mean(b.x, over=layer) > 1", 7),
        ("a.x[layer=3] > 0.1", 8),
    ):
        result = judge_table(rows, claim, "seed")
        assert result.verdict.n == {"seed": n}
        assert ("left-out" in codes(result)) == (n == 7)
        number = claim.split(" > ")[0]
        assert estimate(rows.dropna(), number, "seed").estimate == result.estimate


def kinds(seed, shared, effect=0.0):
    """Rows of which the easy ones are 1.5 higher, and more in arm a than in b."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"arm": np.repeat(["a", "b"], 80), "item": [*range(80)] * 2})
    easy = rng.random(160) < np.where(rows["arm"] == "a", 0.75, 0.35)
    lead = 1.5 * easy + effect * (rows["arm"] == "a") + rng.normal(0, 0.5, 160)
    own = rows["arm"] + rows["item"].astype(str)
    item = rows["item"] if shared else own
    return rows.assign(item=item, kind=np.where(easy, "easy", "hard"), lead=lead)


@pytest.mark.parametrize("shared", [False, True])
def test_each_value_of_a_fixed_column_counts_equally(shared):
    """pandas: the mean over kinds of the difference at each, of pairs where units are shared.
    Planted: without an effect one in forty holds, and an effect is found."""
    rows, claim = kinds(0, shared), "a.lead - b.lead > 0"
    means = rows.groupby(["kind", "arm"])["lead"].mean().unstack()
    if shared:
        means = rows.pivot(index=["kind", "item"], columns="arm", values="lead").dropna()
        means = means.groupby("kind").mean()
    found = judge_table(rows, claim, "item", fixed="kind")
    assert found.estimate == pytest.approx((means["a"] - means["b"]).mean())
    none = [judge_table(kinds(k, shared), claim, "item", fixed="kind") for k in range(20)]
    assert sum(x.verdict.outcome == "holds" for x in none) <= 2
    assert judge_table(kinds(0, shared, 1.0), claim, "item", fixed="kind").verdict.low > 0
    with pytest.raises(ClaimError) as e:
        judge_table(rows.assign(kind=rows["arm"]), claim, "item", fixed="kind")
    assert e.value.code == "no-overlap"


def test_levels_of_one_unit_each_are_missing_at_no_other():
    """pandas: the mean of each topic's own prompts. Contract: a prompt that one arm lacks leaves
    its topic out; one that no arm has is none."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"arm": np.repeat(["a", "b"], 45), "prompt": [*range(45)] * 2})
    rows = rows.assign(topic=rows["prompt"] ** 2 % 23 % 8, x=rng.normal(size=90))
    claim = "mean(a.x, over=prompt) - max(b.x, over=prompt)"
    by = rows.groupby(["arm", "topic"])["x"].agg(["mean", "max"])
    want = (by["mean"]["a"] - by["max"]["b"]).drop(index=rows["topic"][7])
    for gone in (rows.drop(index=7), rows.assign(x=rows["x"].where(rows.index != 7))):
        found = estimate(gone, claim, "topic")
        assert found.estimate == pytest.approx(want.mean()) and found.n == {"topic": len(want)}
    assert estimate(rows[rows["prompt"] != 7], claim, "topic").n == {"topic": len(want) + 1}


def test_no_mean_drops_a_missing_row():
    rows = pd.concat([sweep(), sweep()])
    rows.iloc[0, 3] = np.nan
    result = judge_table(rows, "a.x[layer=3] > 0.1", "seed")
    assert result.verdict.n == {"seed": 7} and codes(result)["averaged"]["cells"] == 8


def test_arms_without_levels_are_compared_with_one():
    rows = sweep()
    rows = rows[(rows["arm"] != "b") | (rows["layer"] == 3)]
    rows.loc[rows["arm"] == "b", "layer"] = np.nan
    v = judge_table(rows, "a.x[layer=5] - b.x > 2", "seed").verdict
    assert v.estimate == pytest.approx(2.5, abs=0.02)


def test_one_head_is_read_and_not_two(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "heads.csv"
    truth = {"1.1": 0.1, "1.10": 2.0}
    rows = [
        (arm, head, k, x * (arm == "patched") + rng.normal(0, 0.1))
        for arm in ("patched", "random")
        for head, x in truth.items()
        for k in range(24)
    ]
    pd.DataFrame(rows, columns=["arm", "head", "prompt", "x"]).to_csv(path, index=False)
    for head, x in truth.items():
        v = judge_table(path, f"patched.x[head={head}] > 1.5", "prompt", control="random").verdict
        assert v.estimate == pytest.approx(x, abs=0.1)
        assert v.outcome == ("holds" if x > 1.5 else "fails")


def test_units_of_mixed_kinds_are_texts():
    rows = of(a=2 + EVEN, b=EVEN)
    rows["seed"] = rows["seed"].astype(object).map(lambda k: f"s{k}" if k else 0)
    assert judge_table(rows, "a.x - b.x > 1", "seed").verdict.n == {"seed": 6}


def test_the_users_table_is_left_as_it_was():
    rows = sweep().astype({"x": str})
    before = rows.copy(deep=True)
    judge_table(rows, "a.x[layer=3] - b.x[layer=3] > 0.1", "seed", control="c", about="a")
    pd.testing.assert_frame_equal(rows, before)


# ---- which arm, and its controls -----------------------------------------------------------------


def written_both_ways(rng):
    """A table, and one claim that compares two of its arms, written both ways."""
    base, effect = rng.uniform(0, 1), rng.choice([0.0, 0.3, 1.0])
    means = {"base": base, "cut": base - effect}
    means |= {arm: base - rng.choice([0.0, effect / 2, effect, 1.0]) for arm in ("c", "d")}
    unit = rng.normal(0, 0.2, 10)
    rows = of(**{arm: x + unit + rng.normal(0, 0.05, 10) for arm, x in means.items()})
    least = rng.choice([0.02, effect / 2, effect])
    return rows, (f"base.x - cut.x > {least}", f"cut.x - base.x < {-least}")


@pytest.mark.parametrize("ask", [{}, {"about": "cut"}, {"control": ("c", "d")}])
def test_a_comparison_has_one_outcome_however_written(ask):
    found = set()
    for seed in range(4, 8):
        rows, claims = written_both_ways(np.random.default_rng(seed))
        one, other = (outcome(rows, claim, **ask) for claim in claims)
        assert one == other, (seed, claims)
        found.add(one)
    assert len(found) > 1 and ("which-arm" in found) == (ask == {"control": ("c", "d")})


def outcome(rows, claim, **ask):
    """What comes of a claim, or the code with which it is refused."""
    try:
        return judge_table(rows, claim, "seed", **ask).verdict.outcome
    except ClaimError as e:
        return e.code


def test_controls_replace_the_arm_that_is_named():
    """Controls like the baseline speak against a claim about the baseline alone."""
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 8))
    rows = of(base=6 + noise[0], cut=2 + noise[1], other=5.5 + noise[2], half=4 + noise[3])
    ask = {"claim": "base.x - cut.x > 3", "unit": "seed"}
    found = {x: judge_table(rows, **ask, control="other", about=x).outcome for x in ("base", "cut")}
    assert found == {"base": "unspecific", "cut": "holds"}
    assert outcome(rows, ask["claim"], control="other") == "which-arm"
    assert outcome(rows, ask["claim"], control="half") == "holds"


def test_closeness_is_one_claim_as_difference_and_ratio():
    draw = np.random.default_rng(0)
    full = draw.normal(3.2, 0.1, 24)
    near, far = full - draw.normal(0.3, 0.05, 24), full - draw.normal(2.7, 0.05, 24)
    for claim in ("near.x - full.x > -0.64", "mean(near.x) / mean(full.x) > 0.8"):
        blind = judge_table(of(near=near, full=full), claim, "seed").verdict
        assert (blind.outcome, blind.reason) == ("undecided", "blind")
        rows = of(near=near, full=full, far=far)
        assert judge_table(rows, claim, "seed", control="far", about="near").outcome == "holds"


def with_draws(effects, seed=1):
    """A direction that adds 0.8 on average, and a random direction for each effect."""
    rng = np.random.default_rng(seed)
    base, frames = rng.normal(0, 0.5, 40), list[pd.DataFrame]()
    arms = [("base", 0, 0.0), ("mine", 0, 0.8), *(("random", k, e) for k, e in enumerate(effects))]
    for arm, draw, effect in arms:
        x = base + effect + rng.normal(0, 0.3, 40) * (arm != "base")
        frames.append(pd.DataFrame({"arm": arm, "draw": draw, "prompt": range(40), "x": x}))
    return pd.concat(frames)


DRAWN = {"claim": "mine.x - base.x > 0.4", "unit": "prompt", "control": "random", "about": "mine"}


def test_each_draw_of_rivals_is_beaten():
    beaten = judge_table(with_draws([0.0] * 10), **DRAWN)
    assert (beaten.outcome, beaten.controls["random"].draws) == ("holds", 10)
    one = judge_table(with_draws([0.0] * 9 + [0.8]), **DRAWN)
    assert (one.outcome, one.controls["random"].arm) == ("unspecific", "random 9")


@pytest.mark.parametrize(("like", "outcome"), [(0, "holds"), (1, "undecided"), (10, "unspecific")])
def test_twenty_draws_of_noise_are_counted(like, outcome):
    result = judge_table(with_draws([0.8] * like + [0.0] * (20 - like)), **DRAWN, noise="random")
    assert (result.outcome, result.controls["random"].satisfied) == (outcome, like)


def test_controls_with_missing_rows_are_paired():
    rng = np.random.default_rng(5)
    base = rng.normal(0, 5, 30)
    rows = of(mine=base + 1 + rng.normal(0, 0.1, 30), base=base, c=base + rng.normal(0, 0.1, 30))
    rows.loc[(rows["arm"] == "c") & (rows["seed"] < 4), "x"] = np.nan
    result = judge_table(rows, "mine.x - base.x > 0.5", "seed", control="c", about="mine")
    control = result.controls["c"]
    assert (result.outcome, control.outcome) == ("holds", "beaten")
    assert control.lead[2] - control.lead[1] < 0.3  # pairs take away what units share


def test_seeds_that_all_arms_have_are_averaged():
    every = pd.concat(with_draws([0.0], seed=k).assign(draw=k) for k in range(3))
    result = judge_table(every, **DRAWN)
    assert result.controls["random"].draws == 1 and "averaged" in codes(result)


def test_what_is_not_so_decides_nothing():
    rows = of(a=5 + EVEN, b=0.1 * EVEN[::-1])
    ask = {"claim": "a.x - b.x > 1", "unit": "seed"}
    assert judge_table(rows, **ask, given="a.x > 1").outcome == "holds"
    v = judge_table(rows, **ask, given=("a.x > 1", "b.x > 1")).verdict
    assert (v.outcome, v.reason, v.about) == ("undecided", "gate", "b.x > 1")


def test_planted_effects_have_to_be_found():
    rows = of(a=5 + EVEN, planted=5 + EVEN[::-1], lost=EVEN)
    assert judge_table(rows, "a.x > 1", "seed", found="planted", about="a").outcome == "holds"
    v = judge_table(rows, "a.x > 1", "seed", found=("planted", "lost"), about="a").verdict
    assert (v.outcome, v.reason, v.about) == ("undecided", "planted", "lost")


# ---- what decides nothing ------------------------------------------------------------------------


def test_an_arm_like_its_baseline_fails():
    x = np.random.default_rng(0).normal(size=9)
    for other in (x, x + 1e-16 * np.arange(9)):
        v = judge_table(of(a=other, b=x), "a.x - b.x > 0.1", "seed").verdict
        assert v.outcome == "fails"


def test_rounding_makes_no_effect_hold():
    """Numbers that differ by 1e-16 alone have no sign."""
    x = np.random.default_rng(0).normal(size=12)
    rows = of(a=(x + 1 / 3) - 1 / 3, b=x)
    assert judge_table(rows, "a.x - b.x > 0", "seed").outcome != "holds"


def test_divisors_that_may_be_0_decide_nothing():
    rng = np.random.default_rng(0)
    rows = of(a=2 + rng.normal(0, 0.1, 20), b=rng.normal(0.1, 1, 20))
    v = judge_table(rows, "mean(a.x) / mean(b.x) > 1", "seed").verdict
    assert (v.outcome, v.reason) == ("undecided", "undefined")


def test_crossed_cells_are_no_units():
    """Eight seeds with effects of their own on 50 prompts each are worth about eight numbers."""
    rng = np.random.default_rng(1)
    effects = rng.normal(0.2, 0.5, 8)
    rows = pd.DataFrame(
        [("a", s, p, e + rng.normal(0, 0.1)) for s, e in enumerate(effects) for p in range(50)],
        columns=["arm", "seed", "prompt", "x"],
    )
    v = judge_table(rows, "a.x > -1", ("seed", "prompt")).verdict
    low, high = scipy.stats.t.interval(0.95, 7, effects.mean(), scipy.stats.sem(effects))
    assert v.low < v.estimate < v.high and (v.high - v.low) > 0.9 * (high - low)


@settings(max_examples=8, deadline=None)
@given(
    x=st.lists(st.tuples(*[st.floats(-9, 9, width=16)] * 2), min_size=7, max_size=9),
    shift=st.integers(-3, 3),
    times=st.sampled_from([-2.0, 0.5, 4.0]),
)
def test_other_units_of_measurement_change_no_outcome(x, shift, times):
    """A shift of both arms, a factor, and the order of the rows are no part of a claim."""
    a, b = np.array(x).T
    other = of(a=times * (a + shift), b=times * (b + shift)).sample(frac=1, random_state=0)
    sign = ">" if times > 0 else "<"
    one = judge_table(of(a=a, b=b), "a.x - b.x > 1", "seed").verdict
    two = judge_table(other, f"a.x - b.x {sign} {times}", "seed").verdict
    assert (one.outcome, one.reason) == (two.outcome, two.reason)
    assert one.estimate * times == pytest.approx(two.estimate, abs=1e-9)


# ---- what is refused -----------------------------------------------------------------------------

ASK = {"claim": "a.x - b.x > 1", "unit": "seed"}


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({"unit": "sed"}, "unknown-column"),
        ({"unit": ()}, "units"),
        ({"unit": ("seed", "layer", "k")}, "units"),
        ({"unit": ("seed", "seed")}, "units"),
        ({"claim": "a.y - b.x > 1"}, "unknown-column"),
        ({"claim": "a.x - d.x > 1"}, "unknown-arm"),
        ({"control": "d"}, "unknown-arm"),
        ({"found": "d"}, "unknown-arm"),
        ({"about": "c"}, "which-arm"),
        ({"claim": "x > 1"}, "which-arm"),
        ({"claim": "a.words - b.x > 1"}, "not-a-number"),
        ({"claim": "a.huge - b.x > 1"}, "not-a-number"),
        ({"claim": "mean(a.x, over=head) > 1"}, "unknown-column"),
        ({"claim": "a.x[head=3] > 1"}, "unknown-column"),
        ({"unit": "gap"}, "no-label"),
        ({"claim": "mean(a.x, over=gap) > 1"}, "no-label"),
        ({"arm": "variant"}, "unknown-column"),
    ],
)
def test_what_a_table_does_not_have_is_refused(ask, code):
    rows = sweep().assign(words="so", huge=np.inf, k=range(72))
    rows["gap"] = rows["seed"].where(rows["k"] != 3)
    with pytest.raises(AssayError) as e:
        judge_table(rows, **{**ASK, **ask})
    assert e.value.code == code and "\n" not in str(e.value)


def test_more_cells_than_a_computer_holds_are_refused(monkeypatch):
    monkeypatch.setattr(case, "LARGEST", 100)
    rows = pd.DataFrame({"arm": "a", "user": range(20), "item": range(20), "x": 1.0})
    with pytest.raises(DataError) as e:
        judge_table(rows, "a.x > 0", ("user", "item"))
    assert e.value.code == "too-large"


# ---- estimates -----------------------------------------------------------------------------------


def test_an_estimate_has_students_interval():
    rows = sweep()
    gap = rows[rows["arm"] == "a"]["x"].to_numpy() - rows[rows["arm"] == "b"]["x"].to_numpy()
    at = gap.reshape(8, 3)[:, 1]
    for level in (0.5, 0.95):
        low, high = scipy.stats.t.interval(level, 7, at.mean(), scipy.stats.sem(at))
        found = estimate(rows, "a.x[layer=4] - b.x[layer=4]", "seed", level=level)
        assert found.estimate == pytest.approx(at.mean()) and found.n == {"seed": 8}
        assert found.low <= low + 1e-12 and found.high >= high - 1e-12  # or bent for skew


def test_an_estimate_of_a_claim_is_refused():
    for text in ("a.x > 1", "0 < a.x < 9"):
        with pytest.raises(ClaimError) as e:
            estimate(of(a=EVEN), text, "seed")
        assert e.value.code == "has-range"


def test_an_estimate_needs_no_arms():
    found = estimate({"prompt": range(40), "right": [1] * 40}, "right", "prompt")
    assert (found.low, found.high) == pytest.approx((0.025 ** (1 / 40), 1), abs=1e-9)


def test_an_estimate_says_which_arm():
    with pytest.raises(ClaimError) as e:
        estimate(sweep(), "mean(x, over=layer)", "seed")
    assert e.value.code == "which-arm"
