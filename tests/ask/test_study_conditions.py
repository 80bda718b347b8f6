"""A study's condition computes what its words say, held to the same computed by hand."""

import numpy as np
import pytest
import xarray as xr

from assay.ask.text import ClaimEntry
from assay.ask.wording import claim, condition, natural
from assay.core.errors import ClaimError
from assay.core.judging import judge

SEEDS, DOCUMENTS, PENALTIES = 7, 8, (0.1, 0.2, 0.4)


def arm(level, *, penalties=PENALTIES, seed=0):
    """An arm with sums per run and document, a sweep of penalties, and one plain measure of a
    run."""
    of = np.random.default_rng(seed)
    runs = [(s, p) for p in penalties for s in range(SEEDS)]
    p = np.array([x[1] for x in runs])[:, None]
    tokens = of.integers(50, 90, (1, DOCUMENTS)).repeat(len(runs), 0).astype(float)
    noise = np.exp(0.05 * of.standard_normal((len(runs), DOCUMENTS)))
    variance = tokens * 3.0
    error = variance * level * p**0.5 * noise
    active = tokens * 4.0 / p * np.exp(0.03 * of.standard_normal((len(runs), DOCUMENTS)))
    named = {"error": error, "variance": variance, "active": active, "tokens": tokens}
    return xr.Dataset(
        {
            **{k: (("run", "document"), v) for k, v in named.items()},
            "angle": ("run", 5 * level + of.standard_normal(len(runs))),
        },
        coords={
            "seed": ("run", [r[0] for r in runs]),
            "penalty": ("run", [r[1] for r in runs]),
            "document": [f"d{i}" for i in range(DOCUMENTS)],
        },
    )


ARMS = {"main": arm(0.2), "other": arm(0.3, seed=1), "again": arm(0.3, seed=2)}


def judged(holds, *, of="main", arms=ARMS, **said):
    words = ClaimEntry(text=holds, holds=holds, control=("again",), **said)
    return judge(claim(words, of, condition(holds)), arms).verdict


def fvu(data, where):
    kept = data.isel(run=np.isclose(data.penalty, where))
    return float(kept.error.sum() / kept.variance.sum())


def test_a_quantity_is_a_ratio_of_sums():
    found = judged(
        "main.fvu - other.fvu < -0.01", where={"penalty": 0.2}, units=("seed", "document")
    )
    assert found.estimate == pytest.approx(
        fvu(ARMS["main"], 0.2) - fvu(ARMS["other"], 0.2), rel=1e-12
    )
    assert found.n == {"seed": SEEDS, "document": DOCUMENTS}
    assert found.outcome == "holds"


def test_at_equal_budget_both_sides_are_read_at_the_same_l0():
    """By hand: FVU is piecewise linear in its logarithm over log L0, averaged over the range that
    both sweeps reach."""
    sides = []
    for name in ("main", "other"):
        data = ARMS[name]
        at = [data.isel(run=np.isclose(data.penalty, p)) for p in PENALTIES]
        l0 = [float(d.active.sum() / d.tokens.sum()) for d in at]
        sides.append((np.log(l0[::-1]), np.log([fvu(data, p) for p in PENALTIES][::-1])))
    low, high = (f(side[0][end] for side in sides) for f, end in ((max, 0), (min, -1)))
    points = np.linspace(low, high, 65)
    gaps = np.exp(np.interp(points, *sides[0])) - np.exp(np.interp(points, *sides[1]))
    found = judged("main.fvu - other.fvu < -0.01 at equal l0", units=("seed", "document"))
    assert found.estimate == pytest.approx(np.trapezoid(gaps, points) / (high - low), rel=1e-9)


def sweep(data, low, high):
    """log L0 and log FVU of an arm along its sweep, and FVU at points between two L0s."""
    at = [data.isel(run=np.isclose(data.penalty, p)) for p in PENALTIES]
    x = np.log([float(d.active.sum() / d.tokens.sum()) for d in at][::-1])
    y = np.log([fvu(data, p) for p in PENALTIES][::-1])
    points = np.linspace(max(x[0], low), min(x[-1], high), 65)
    return x, lambda at=points: np.exp(np.interp(at, x, y))


@pytest.mark.parametrize(
    "holds",
    [
        "(late.fvu - other.fvu) - (main.fvu - again.fvu) < 0 at equal l0",
        "late.fvu - other.fvu - main.fvu + again.fvu < 0 at equal l0",
    ],
)
def test_the_difference_of_two_leads_at_equal_budget(holds):
    """By hand: all four sweeps over the range that all of them reach."""
    arms = {**ARMS, "late": arm(0.15, seed=4), "none": arm(0.3, seed=5)}
    names = ("late", "other", "main", "again")
    xs = [sweep(arms[n], -9, 9)[0] for n in names]
    low, high = max(x[0] for x in xs), min(x[-1] for x in xs)
    points = np.linspace(low, high, 65)
    late, other, main, again = (sweep(arms[n], low, high)[1](points) for n in names)
    gaps = (late - other) - (main - again)
    words = ClaimEntry(text=holds, holds=holds, control=("none",), units=("seed", "document"))
    found = judge(claim(words, "late", condition(holds)), arms).verdict
    assert found.estimate == pytest.approx(np.trapezoid(gaps, points) / (high - low), rel=1e-9)


def test_an_arm_without_a_sweep_is_compared_at_its_own_budget():
    single = ARMS["main"].isel(run=np.isclose(ARMS["main"].penalty, 0.2))
    arms = {**ARMS, "main": single}
    x = np.log(float(single.active.sum() / single.tokens.sum()))
    there = sweep(ARMS["other"], -9, 9)[1](x)
    for holds, sign in (("main.fvu - other.fvu", 1), ("other.fvu - main.fvu", -1)):
        text = f"{holds} < 0 at equal l0"
        words = ClaimEntry(text=text, holds=text, control=("again",), units=("seed", "document"))
        found = judge(claim(words, holds.split(".")[0], condition(text)), arms).verdict
        assert found.estimate == pytest.approx(sign * (fvu(single, 0.2) - there), rel=1e-9)


def test_a_sweep_is_never_averaged_silently():
    with pytest.raises(ClaimError, match=r"differ in penalty \(0.1, 0.2, 0.4\)"):
        judged("main.fvu < 0.5")


@pytest.mark.parametrize(
    ("holds", "told"),
    [
        ("main.fvu < 0.5 at equal l0", "compares two arms"),
        ("main.fvu + other.fvu < 0.5 at equal l0", "plain difference of two arms"),
        ("2 * main.fvu - other.fvu < 0.5 at equal l0", "plain difference of two arms"),
        ("main.fvu - other.l0 < 0.5 at equal l0", "compares two arms"),
        ("a.fvu - b.fvu - c.fvu - d.fvu < 0.5 at equal l0", "two such differences"),
        ("(a.fvu - b.fvu) * (c.fvu - d.fvu) < 0.5 at equal l0", "two such differences"),
        ("main.fvu", "compares nothing"),
    ],
)
def test_what_has_no_meaning_is_refused(holds, told):
    with pytest.raises(ClaimError, match=told):
        condition(holds)


def test_the_control_takes_the_place_of_the_method():
    """Where both arms are alike the claim about main fails as it does for its control."""
    holds = "main.fvu - other.fvu < -0.01"
    words = ClaimEntry(
        text=holds,
        holds=holds,
        control=("again",),
        where={"penalty": 0.2},
        units=("seed", "document"),
    )
    found = judge(claim(words, "main", condition(holds)), ARMS)
    expected = fvu(ARMS["again"], 0.2) - fvu(ARMS["other"], 0.2)
    assert found.controls["again"].estimate == pytest.approx(expected, rel=1e-12)
    assert found.controls["again"].outcome == "fails"


# ---- nothing is averaged that the condition does not name


def test_a_sum_of_a_quantity_is_held_to_the_same():
    for holds, told in {
        ("main.fvu < 0.5"): (
            r"main.fvu varies over document \(d0, d1, d2, … 8 in all\).*write "
            r"main.fvu\[document=d0\] for one "
            r"value, or mean\(main.fvu, over=document\)"
        ),
        ("mean(main.fvu, over=documents) < 0.5"): (
            "main.fvu has no dimension 'documents'; did you mean document?"
        ),
        "main.fvu - other.fvu < -0.01 at equal l0": "main.(fvu|l0) varies over document",
    }.items():
        with pytest.raises(ClaimError, match=told):
            judged(holds, where={} if "equal" in holds else {"penalty": 0.2})
    found = judged("mean(main.fvu, over=document) < 0.5", where={"penalty": 0.2})
    assert found.estimate == pytest.approx(fvu(ARMS["main"], 0.2), rel=1e-12), (
        "the mean of its sums, so that it stays a ratio of sums"
    )


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("max(mean(main.share), over=layer) > 0", (0, 1)),
        ("main.share[layer=argmax(cut.share)] > 0", (0, 1)),
        ("max(mean(main.share - cut.share), over=layer) > 0", (-1, 1)),
        ("max(mean(main.share), over=layer) - main.cosine > 0", (-1, 2)),
        ("max(mean(main.loss), over=layer) > 0", None),
        ("first(mean(main.share) > 0.5, over=layer) > 0", None),
        ("main.share - main.cosine > 0", (-1, 2)),
    ],
)
def test_what_is_taken_over_levels_has_the_range_of_what_is_read_there(text, ends):
    ranges = {"share": (0.0, 1.0), "cosine": (-1.0, 1.0), "loss": (None, None)}
    assert natural(condition(text), lambda column: ranges[column.name]) == ends
