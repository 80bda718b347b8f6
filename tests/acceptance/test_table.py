"""assay.judge on tables: the numbers are those of the same claim on arrays, of Student, and of
Clopper and Pearson."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

import assay
from assay.errors import ClaimError
from assay.verdicts.claims import Claim, judge_arrays

LEVELS = {"gated": 0.20, "relu": 0.25, "shuffled": 0.40, "no-aux": 0.26}


def frame(seeds=6, documents=8):
    rng = np.random.default_rng(0)
    rows = [
        {
            "arm": arm,
            "seed": s,
            "document": f"d{d}",
            "fvu": x + 0.01 * rng.normal(),
            "err": x * (d + 1),
            "norm": d + 1.0,
        }
        for arm, x in LEVELS.items()
        for s in range(seeds)
        for d in range(documents)
    ]
    return pd.DataFrame(rows)


def arms_of(**numbers):
    """A table of one number for each seed of each arm."""
    return pd.concat(
        pd.DataFrame({"arm": a, "seed": range(len(x)), "x": x}) for a, x in numbers.items()
    )


ASK = {
    "claim": "gated.fvu - relu.fvu < -0.02",
    "unit": ["seed", "document"],
    "control": ["shuffled"],
    "about": "gated",
}


def test_a_table_is_judged_as_the_same_claim_on_arrays():
    f = frame()
    j = assay.judge(f, **ASK)
    cube = {
        a: g.set_index(["seed", "document"])["fvu"].unstack().values for a, g in f.groupby("arm")
    }
    coords = {"seed": range(6), "document": [f"d{i}" for i in range(8)]}
    arms = {
        a: xr.Dataset({"fvu": (("seed", "document"), x)}, coords=coords) for a, x in cube.items()
    }
    claim = Claim("t", ASK["claim"], about="gated", controls="shuffled", unit=ASK["unit"])
    v, w = j.verdict, judge_arrays(claim, arms)
    assert v.outcome == "holds" and j.controls["shuffled"].outcome == "beaten"
    for x, y in ((v, w), (v.controls["shuffled"], w.controls["shuffled"])):
        numbers = [(i.estimate, i.low, i.high) for i in (x, y)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-12)


def labelled():
    """Rows of two kinds and two layers, far apart; one arm has one kind alone."""
    rng = np.random.default_rng(3)
    rows = [
        (a, s, k, n, level + 3 * (k == "dead-weight") + 0.1 * n + 0.01 * rng.normal(), 5.0)
        for a, level in (("a", -2.0), ("b", 0.0), ("other", -2.0))
        for s in range(8)
        for k in ("rare", "dead-weight")
        for n in (3, 4)
    ]
    table = pd.DataFrame(rows, columns=["arm", "seed", "kind", "layer", "x", "cost"])
    return table[(table["arm"] != "other") | (table["kind"] == "rare")]


def test_a_level_without_a_number_leaves_its_unit_out_and_no_mean_drops_it():
    f, ask = labelled(), {"unit": "seed", "control": "b"}
    f.loc[(f["arm"] == "a") & (f["seed"] == 2) & (f["kind"] == "rare") & (f["layer"] == 4), "x"] = (
        np.nan
    )
    for claim, n in {
        "a.x[kind=rare, layer=4] < 0": 7,
        "mean(a.x[kind=rare], over=layer) < 0": 7,
        "a.x[kind=rare, layer=3] < 0": 8,
    }.items():
        j = assay.judge(f, claim=claim, **ask)
        assert j.verdict.n == {"seed": n}
        left_out = [note.data for note in j.notes if note.code == "left-out"]
        assert left_out == [{"n": 1, "of": 8, "unit": "seed"}] * (n == 7)


def test_the_means_of_both_arms_are_over_the_units_that_are_compared():
    draw = np.random.default_rng(0).uniform(0.2, 0.8, 40)
    rows = arms_of(new=draw + 0.1 + draw**2, old=draw)
    rows.loc[(rows["arm"] == "new") & (draw[rows["seed"]] < 0.3), "x"] = np.nan
    judged = assay.estimate(rows, value="mean(new.x) / mean(old.x)", unit="seed")
    kept = draw[draw >= 0.3]
    assert judged.n == {"seed": len(kept)} and len(kept) < 40
    assert judged.estimate == pytest.approx((kept + 0.1 + kept**2).mean() / kept.mean())


def test_the_users_frame_is_left_as_it_was():
    f = frame()
    f["fvu"] = f["fvu"].astype(str)
    before = f.copy(deep=True)
    assay.judge(f, **ASK)
    pd.testing.assert_frame_equal(f, before)


def test_units_of_mixed_kinds_are_ordered_as_text():
    f = frame()
    f["document"] = f["document"].astype(object)
    f.loc[f["document"] == "d0", "document"] = 7
    assert assay.judge(f, **ASK).verdict.n == {"seed": 6, "document": 8}


def test_long_terms_that_start_alike_are_two():
    name = "fraction_of_variance_unexplained_on_the_held_out_documents_of_the_library_"
    table = {
        "arm": ["a"] * 8 + ["b"] * 8,
        "seed": [*range(8)] * 2,
        f"{name}one": [1.0] * 16,
        f"{name}two": [4.0] * 16,
    }
    judged = assay.judge(
        table, claim=f"mean(a.{name}one)/mean(a.{name}two) < 0.5", unit="seed", control="b"
    )
    assert judged.estimate == 0.25


def sweep(seeds=8):
    """Rows of two arms at three densities, .3 apart, about a line in the logarithm."""
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        [
            {"arm": a, "seed": s, "density": d, "x": y + lead + 0.01 * rng.normal()}
            for a, lead in (("new", 0.3), ("old", 0.0))
            for s in range(seeds)
            for d, y in ((0.01, 0.6), (0.1, 0.4), (1.0, 0.2))
        ]
    )


def test_a_number_of_a_table_is_students_mean():
    f = sweep()
    gap = f[f.arm == "new"].x.values - f[f.arm == "old"].x.values
    for density, x in zip(("0.01", "0.1", "1.0"), gap.reshape(8, 3).T, strict=True):
        low, high = scipy.stats.t.interval(0.95, 7, x.mean(), scipy.stats.sem(x))
        value = f"new.x[density={density}] - old.x[density={density}]"
        number = assay.estimate(f, value=value, unit="seed")
        assert number.estimate == pytest.approx(x.mean()) and number.n == {"seed": 8}
        # wider where it is skewed
        assert number.low <= low + 1e-9 and number.high >= high - 1e-9
        assert number.high - number.low < 1.2 * (high - low)


def test_an_estimate_of_a_column_of_zeros_and_ones_has_the_exact_interval():
    rows = {"prompt": list(range(40)), "right": [1] * 40}
    got = assay.estimate(rows, value="right", unit="prompt")
    assert (got.low, got.high) == pytest.approx((0.025 ** (1 / 40), 1), abs=1e-9)


def test_what_is_the_index_of_a_dataframe_is_a_column_like_the_others():
    f = frame()
    plain = assay.judge(f, **ASK)
    for indexed in (
        f.set_index(["arm", "seed"]),
        f.set_index("seed", drop=False),
        f.groupby(["arm", "seed", "document"]).mean(numeric_only=True),
    ):
        judged = assay.judge(indexed, **ASK)
        assert (judged.low, judged.high) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize(
    "measured",
    [
        lambda x: np.round(2 * x) / 2,  # halves
        lambda x: np.round(x) / 7,  # shares of seven
        lambda x: np.round(100 * np.round(x) / 7, 2),  # the same in percent, rounded
        lambda x: np.round(x, 1),
        lambda x: np.maximum(x - 1, 0),  # mostly 0
        lambda x: np.exp(np.round(x)),  # few levels, on no grid
        lambda x: 1 / (1 + np.clip(np.round(np.abs(x)), 0, 6)),  # ranks
    ],
)
def test_units_that_are_alike_by_chance_are_not_refused(measured):
    for seed, n in enumerate((12, 40, 200)):
        rng = np.random.default_rng(seed)
        hard = rng.normal(size=n)  # items are hard or easy for both
        rows = pd.concat(
            pd.DataFrame({"arm": arm, "item": range(n), "x": measured(hard + by + luck)})
            for arm, by in (("a", 1.0), ("b", 0.0), ("c", 0.0))
            for luck in [0.3 * rng.normal(size=n)]
        )
        apart = assay.judge(rows, claim="a.x - b.x > 0.1", unit="item", control="c", about="a")
        same = rows[rows["arm"] != "a"].assign(arm=lambda r: r["arm"].replace("c", "a"))
        same = pd.concat([same[same["arm"] == "b"].assign(arm=arm) for arm in ("a", "b")])
        equal = assay.judge(
            pd.concat([same, rows[rows["arm"] == "c"]]),
            claim="a.x - b.x > 0.1",
            unit="item",
            control="c",
            about="a",
        )
        assert apart.verdict.n == equal.verdict.n == {"item": n}


def test_a_share_of_units_has_clopper_and_pearsons_interval():
    mixed = np.random.default_rng(0).permutation([2.0] * 31 + [-1.0] * 9)
    rows = arms_of(a=mixed, b=[-1.0] * 40)
    v = assay.judge(rows, claim="share(a.x > 0) > 0.5", unit="seed", control="b")
    exact = scipy.stats.binomtest(31, 40).proportion_ci(0.95, "exact")
    assert (v.low, v.high) == pytest.approx((exact.low, exact.high), abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_huge_numbers_have_no_step_of_rounding():
    rows = arms_of(**dict.fromkeys("abc", [0, 1e17] * 4))
    ask = {"claim": "a.x - b.x > 1", "unit": "seed", "control": "c"}
    assert assay.judge(rows, **ask).verdict.outcome != "holds"


def test_a_verdict_as_a_table_has_a_row_for_each_arm_that_was_asked():
    claim = "mean(gated.fvu, over=document) < 0.25"
    verdict = assay.judge(frame(), claim=claim, unit="seed", control="shuffled")
    table = verdict.to_pandas().set_index("arm")
    assert [*table["role"]] == ["method", "control"] and table.loc["gated", "n_seed"] == 6
    for arm, v in (("gated", verdict), *verdict.controls.items()):
        assert (table.loc[arm, "low"], table.loc[arm, "high"]) == (v.low, v.high)
        assert table.loc[arm, "outcome"] == v.outcome
    assert {*table.index} == {"gated", "shuffled"}


def _six_by_six(right, wrong):
    """Six seeds on six prompts: `mine` has `right` everywhere, and `old` has `wrong`, but for the
    first seed, which has `right`."""
    rows = [(seed, prompt) for seed in range(6) for prompt in range(6)]
    arms = {"mine": [right] * 36, "old": [right if seed == 0 else wrong for seed, _ in rows]}
    arms["again"] = arms["old"]
    return pd.DataFrame(
        {"arm": arm, "seed": seed, "prompt": prompt, "acc": x}
        for arm, values in arms.items()
        for (seed, prompt), x in zip(rows, values, strict=True)
    )


@pytest.mark.parametrize(("right", "wrong"), [(1, 0), (True, False)])
def test_a_difference_of_columns_of_0_and_1_stays_between_minus_1_and_1(right, wrong):
    rows = _six_by_six(right, wrong)
    asked = {"claim": "mine.acc - old.acc > 0.1", "unit": ["seed", "prompt"], "control": "again"}
    judged = assay.judge(rows, **asked, about="mine")
    assert judged.estimate == pytest.approx(5 / 6) and judged.high == 1.0


def one_comparison(rng):
    """A table, and one claim that compares two of its arms, written both ways."""
    base, effect = rng.uniform(0, 1), rng.choice([0.0, 0.3, 1.0])
    means = {"base": base, "cut": base - effect}
    means |= {arm: base - rng.choice([0.0, effect / 2, effect, 1.0]) for arm in ("c", "d", "e")}
    unit = rng.normal(0, 0.2, 10)
    rows = arms_of(**{arm: x + unit + rng.normal(0, 0.05, 10) for arm, x in means.items()})
    least = rng.choice([0.02, effect / 2, effect])
    return rows, (f"base.x - cut.x > {least}", f"cut.x - base.x < {-least}")


def outcome(rows, claim, **asked):
    """What comes of a claim; "refused" if it has to say which arm it is about."""
    try:
        return assay.judge(rows, claim=claim, unit="seed", **asked).outcome
    except ClaimError as e:
        assert e.code == "which-arm"
        return "refused"


@pytest.mark.parametrize(
    ("control", "about"),
    [
        *((("c", "d"), ""), ((), "cut")),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in (((), ""), (("c", "d"), "cut"))
        ),
    ],
)
def test_a_comparison_has_one_outcome_whichever_way_it_is_written(control, about):
    found = list[str]()
    for seed in range(3):
        rows, claims = one_comparison(np.random.default_rng(seed))
        one, other = (outcome(rows, c, control=control, about=about) for c in claims)
        assert one == other, (seed, claims)
        found.append(one)
    assert len({*found}) > 1 and ("refused" in found) == (bool(control) and not about)


@pytest.mark.parametrize(("far", "outcome"), [(2.7, "holds"), (0.3, "unspecific"), (None, "")])
def test_that_arms_are_close_is_the_same_claim_as_a_difference_and_as_a_ratio(far, outcome):
    """A control that is far off shows that the measure sees what is not close."""
    draw = np.random.default_rng(0)
    full = draw.normal(3.2, 0.1, 24)
    x = {"circuit": full - draw.normal(0.3, 0.05, 24), "full": full}
    x |= {} if far is None else {"random": full - draw.normal(far, 0.05, 24)}
    ask = {"unit": "seed", "about": "circuit", "control": [*x][2:]}
    for claim in ("circuit.x - full.x > -0.64", "circuit.x / full.x > 0.8"):
        judged = assay.judge(arms_of(**x), claim=claim, **ask)
        assert judged.outcome == (outcome or "undecided")
        assert bool(judged.controls) == bool(outcome)
