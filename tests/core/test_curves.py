"""Curves over a swept field, their bands and where they cross a value; and estimates, which are
numbers that nothing judges. catalogue/records/coverage.md has the coverage with more repeats."""

import json
import math
from dataclasses import replace
from hashlib import sha256

import curve_worlds
import numpy as np
import pytest
import scipy
import xarray as xr
from msgspec import structs

from assay.core.claims import Claim, Estimate, claims_key
from assay.core.errors import ClaimError
from assay.core.estimates import curve, estimate
from assay.core.figures import figures_of
from assay.core.judging import judge
from assay.core.results import Curve
from assay.core.stats import mean, ratio
from assay.report.vega import vega

UNITS = np.array([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0]) / 50  # symmetric, of mean 0
DENSITIES = (0.01, 0.1, 1.0)


def lines(levels, y, units=UNITS):
    """Units [unit, level] that all lie the same way off a curve."""
    return {"x": np.asarray(y, dtype=float) + units[:, None]}


def swept(levels=DENSITIES, y=(0.9, 0.5, 0.1), seeds=6):
    """Runs of an arm that differ in seed and in density."""
    x = np.asarray(y)[None] + np.resize(UNITS, seeds)[:, None]
    s, d = np.meshgrid(np.arange(seeds), levels, indexing="ij")
    coords = {"seed": ("run", s.ravel()), "density": ("run", d.ravel())}
    return xr.Dataset({"x": ("run", x.ravel())}, coords=coords)


def told(data, **fields):
    entry = {"text": "x", "value": lambda arms: arms["main"].x, "over": "density", **fields}
    return estimate(Estimate(**entry), {"main": data})


def test_a_band_is_as_wide_as_the_largest_of_its_t_values_needs():
    # Levels that move as one are one level: nothing to widen. Independent ones need what Šidák's
    # quantile of Student's t says, 1 − .95^(1/K) for K levels.
    one = curve({"x": np.repeat(UNITS[:, None], 5, 1)}, list("abcde"), mean, over="kind")
    assert one.wider == pytest.approx(1.0, abs=0.02)
    # columns at right angles
    x = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 9)))[0]
    free = curve({"x": x - x.mean(0)}, list("abcdefghi"), mean, over="kind")
    sidak = scipy.stats.t.ppf(1 - (1 - 0.95 ** (1 / 9)) / 2, 39) / scipy.stats.t.ppf(0.975, 39)
    assert free.wider == pytest.approx(sidak, rel=0.03)
    for c in (one, free):
        for p, (low, high) in zip(c.points, c.band, strict=True):
            assert p.estimate - low == pytest.approx(c.wider * (p.estimate - p.low))
            assert high - p.estimate == pytest.approx(c.wider * (p.high - p.estimate))


@pytest.mark.parametrize("shape", [(6,), (6, 24)])
def test_a_band_contains_the_curve_and_an_interval_the_crossing(shape):
    found = curve_worlds.simulate("normal", shape, 0.5, 16)
    # nominal 95 %, standard error 5 %
    assert found.band >= 0.84 and found.crossing >= 0.84
    assert found.alone <= found.band


@pytest.mark.slow
@pytest.mark.parametrize("shape", curve_worlds.SHAPES, ids=str)
def test_bands_and_crossings_cover_as_the_page_says(shape):
    found = curve_worlds.simulate("normal", shape, 0.9, 400)
    assert found.band >= 0.92 and found.crossing >= 0.92 and found.alone <= 0.96


def test_a_crossing_lies_where_the_line_between_two_levels_does():
    plain = curve(lines((0, 1, 2), (1.0, 0.6, 0.1)), [0, 1, 2], mean, over="depth", crosses=0.4)
    assert not plain.log and plain.crossing is not None
    assert plain.crossing.estimate == pytest.approx(1 + 0.2 / 0.5)
    steps = curve(lines(DENSITIES, (0.9, 0.7, 0.1)), DENSITIES, mean, over="density", crosses=0.4)
    assert steps.log and steps.crossing is not None  # half way in the logarithm
    assert steps.crossing.estimate == pytest.approx(math.sqrt(0.1 * 1.0))
    assert steps.crossing.low < steps.crossing.estimate < steps.crossing.high
    assert "; on a straight line in log density, at 0.316 [" in steps.crossing.words
    two = curve(lines((1, 100), (1.0, 0.0)), [1, 100], mean, over="k", crosses=0.5)
    assert not two.log and two.crossing and two.crossing.estimate == pytest.approx(50.5)


def test_numbers_of_places_have_a_linear_axis_with_a_tick_at_each():
    levels = (1, 5, 9, 20)  # more even on a log axis
    data = swept(levels, (0.9, 0.7, 0.3, 0.1))
    for numbered in (False, True):
        got = told(data, crosses=0.5, numbered=numbered)
        (figure,) = figures_of([got])
        assert figure.x_log != numbered and figure.x_ticks == levels
        half_way = 7 if numbered else math.sqrt(5 * 9)
        assert got.curve.crossing.estimate == pytest.approx(half_way)
    axis = vega(figure)["layer"][0]["encoding"]["x"]["axis"]
    assert axis["values"] == [*levels]


def test_the_interval_of_a_crossing_contains_that_of_fieller():
    # Of two levels the points where (θ(w) − c)² ≤ t² V(w) have ends in closed form: the roots of a
    # quadratic in w.
    rng = np.random.default_rng(4)
    x = np.stack([1 + 0.1 * rng.normal(size=8), 0.1 * rng.normal(size=8)], 1)
    m, v, t = x.mean(0), np.cov(x.T) / 8, scipy.stats.t.ppf(0.975, 7)
    slope, rest = m[1] - m[0], m[0] - 0.5
    spread = [v[0, 0] - 2 * v[0, 1] + v[1, 1], 2 * (v[0, 1] - v[0, 0]), v[0, 0]]
    quadratic = np.array([slope**2, 2 * slope * rest, rest**2]) - t**2 * np.array(spread)
    low, high = sorted(np.roots(quadratic))
    got = curve({"x": x}, [0, 1], mean, over="depth", crosses=0.5).crossing
    assert got is not None and got.low <= low + 1e-3 and got.high >= high - 1e-3
    assert got.high - got.low < 1.3 * (high - low)


def test_a_sweep_without_a_crossing_says_so_in_words_and_gives_no_number():
    def crossing(y, value, units=UNITS):
        c = curve(lines((1, 2, 3), y, units), [1, 2, 3], mean, over="depth", crosses=value)
        assert c.crossing is not None
        return c.crossing

    none = crossing((0.9, 0.8, 0.7), 0.2)
    assert none.words == "no crossing of 0.2 within the sweep, depth 1 to 3"
    assert all(map(math.isnan, (none.estimate, none.low, none.high)))
    assert not none.points
    near = crossing((0.9, 0.8, 0.705), 0.7)  # the last level cannot be told from 0.7
    assert math.isnan(near.estimate) and near.high == math.inf and 2 < near.low < 3
    assert near.words.startswith("no crossing of 0.7 within the sweep, depth 1 to 3; not excluded")
    assert near.words.endswith("or more") and near.to_json()["high"] is None
    twice = crossing((0.9, 0.1, 0.9), 0.5)
    assert twice.points == pytest.approx((1.5, 2.5)) and math.isnan(twice.estimate)
    assert twice.words.startswith(
        "crosses 0.5 2 times, between depth 1 and 2, 2 and 3; on a straight line between them, "
        "at 1.5, 2.5 [1."
    )
    assert twice.low < 1.5 and twice.high > 2.5
    flat = crossing((0.5, 0.5, 0.5), 0.5)
    assert (flat.low, flat.high) == (-math.inf, math.inf) and "anywhere" in flat.words
    whole = crossing((1.0, 0.5, 0.0), 0.5)
    assert whole.words == f"crosses 0.5 at depth 2 [{whole.low:.3g}, {whole.high:.3g}]"
    # A straight line lies near 2.5; a curve that jumps may do so anywhere between the levels.
    jump = crossing((1.0, 1.0, 0.0), 0.5)
    where = "between depth 2 and 3; on a straight line between them, at 2.5 ["
    assert jump.words.startswith(f"crosses 0.5 {where}")
    assert jump.words.endswith("]; if the curve jumps, anywhere between them")
    assert "jumps" not in near.words + twice.words + whole.words
    # Half of the units lie above 0 at the first level, and the sweep does not show what was before.
    first, last = crossing((0.0, -0.5, -1), 0), crossing((1.0, 0.5, 0.0), 0)
    assert first.words == f"crosses 0 at or before depth 1 [{first.high:.3g} or less]"
    assert last.words == f"crosses 0 at or after depth 3 [{last.low:.3g} or more]"


def test_a_curve_is_of_means_of_terms_and_of_units_that_have_every_level():
    rng = np.random.default_rng(1)
    var = rng.uniform(1, 3, (8, 3))
    err = var * [0.5, 0.4, 0.3]
    got = curve({"err": err, "var": var}, [1, 2, 3], ratio("err", "var"), over="width")
    assert [p.estimate for p in got.points] == pytest.approx([0.5, 0.4, 0.3])
    err[2, 1] = np.nan  # one level of one unit: it counts at none
    less = curve({"x": err}, [1, 2, 3], mean, over="width")
    assert {p.n for p in less.points} == {(7,)}
    assert less.points[0].estimate == pytest.approx(np.delete(err[:, 0], 2).mean())


def test_runs_that_differ_in_a_field_give_a_curve_over_it():
    got = told(swept(), crosses=0.5, natural=(0, 1))
    assert isinstance(got.curve, Curve)
    assert got.curve.levels == DENSITIES
    assert got.n == {"seed": 6}
    assert [p.estimate for p in got.curve.points] == pytest.approx([0.9, 0.5, 0.1])
    assert got.curve.crossing and got.curve.crossing.estimate == pytest.approx(0.1)
    assert math.isnan(got.estimate) and "together" in got.method
    entry = got.to_json()
    assert entry["estimate"] is None and entry["curve"] is not None
    assert entry["curve"]["axis"] == "log"
    assert entry["curve"]["crossing"]["value"] == 0.5
    (figure,) = figures_of([got])
    assert figure is not None and figure.x_log and figure.band == ("low", "high")
    assert list(figure.columns["density"]) == list(DENSITIES)
    assert figure.rules[0][0] == 0.5
    kinds = xr.Dataset({"x": (("seed", "kind"), UNITS[:, None] + [0, 1])}, {"kind": ["a", "b"]})
    of_dim = told(kinds, over="kind")
    assert of_dim.curve and of_dim.curve.levels == ("a", "b")


def test_curves_over_one_field_share_a_figure_and_scans_have_their_largest_at_a_line_of_zero():
    first = told(swept(), crosses=0.5, natural=(0, 1))
    second = told(swept(), natural=(0, 1))
    second = structs.replace(second, text="Another")
    (figure,) = figures_of([first, second])
    assert figure.color == "curve" and len(set(figure.columns["curve"])) == 2
    assert len(figure.columns["density"]) == 2 * len(DENSITIES)
    levels = [f"{layer}, {head}" for layer in (10, 2) for head in range(8)]
    x = UNITS[:, None] + np.arange(16) - 5.0
    scan = structs.replace(
        first, curve=curve({"x": x}, levels, mean, over="layer, head"), natural=None
    )
    heat, ranked = figures_of([scan])
    assert [f.title for f in figures_of([first, scan])] == [first.text, heat.title, ranked.title]
    assert heat.mark == "heatmap" and (heat.x, heat.y) == ("head", "layer")
    assert heat.columns["layer"] == [2] * 8 + [10] * 8  # by size, not by letter
    assert heat.columns["head"] == [*range(8)] * 2
    # at 10, 7
    assert heat.columns[heat.color][15] == pytest.approx(scan.curve.estimate[7])
    sizes = np.abs(ranked.columns["estimate"])
    assert len(sizes) == 10 and list(sizes) == sorted(sizes, reverse=True)
    assert ranked.rules == ((0.0, "0"),)
    assert ranked.columns["layer head"][0] == "layer 2, head 7"


def test_seeds_that_diverged_leave_the_whole_curve():
    data = swept(seeds=8)
    bad = (data.seed.values == 3) & (data.density.values == 1.0)
    got = told(data.assign(diverged=("run", bad)))
    assert got.dropped == 1 and got.n == {"seed": 7}


@pytest.mark.parametrize(
    ("data", "fields", "words"),
    [
        (swept(), {"over": "seed"}, "seed is a unit"),
        (swept(), {"crosses": math.nan}, "crosses is a number, and needs over=FIELD"),
        (swept(), {"where": {"density": 0.1}}, "over density needs two levels or more; it has one"),
        (
            swept().assign_coords(seed=("run", np.arange(18))),
            {},
            "no unit has a number at every level of density: each level has units of its own",
        ),
        (
            xr.Dataset({"x": (("seed", "kind"), np.ones((6, 2)))}, {"kind": ["a", "b"]}),
            {"over": "kind", "crosses": 0.5},
            "a crossing of 0.5 needs levels that are numbers; kind has 'a'",
        ),
    ],
)
def test_what_is_no_curve_is_refused_in_one_line(data, fields, words):
    with pytest.raises(ClaimError) as e:
        told(data, **fields)
    assert words in str(e.value) and "\n" not in str(e.value)


def test_one_unit_has_a_curve_without_a_band_and_says_so():
    got = told(swept(seeds=1), crosses=0.5)
    assert got.curve and got.method == "no interval: fewer than 2 seeds"
    assert [p.estimate for p in got.curve.points] == pytest.approx([0.86, 0.46, 0.06])
    assert all(math.isnan(x) for ends in got.curve.band for x in ends)
    assert got.curve.crossing and got.curve.crossing.words.endswith("no interval")


def test_what_a_curve_says_is_part_of_what_is_hashed_and_a_number_says_what_it_did():
    def key(**fields):
        return claims_key([Estimate(text="x", value=lambda arms: arms["main"].x, **fields)])

    curves = [
        {"over": "density"},
        {"over": "density", "crosses": 0.5},
        {"over": "density", "crosses": 0.4},
        {"over": "width"},
    ]
    keys = [key(**fields) for fields in curves]
    assert len({key(), *keys}) == 5
    # Of the statement as it was hashed when it was called a finding.
    entry = '{"kind": "Finding", "text": "x", "unit": "1", "units": ["seed"], "where": {}}'
    ordered = json.dumps([json.loads(entry)], sort_keys=True)
    assert key() == sha256(ordered.encode()).hexdigest()


def test_a_level_at_which_all_units_agree_on_a_bound_has_width():
    """40 of 40: the rule of Clopper and Pearson; within a band of three levels, at a third of the
    error."""
    x = np.zeros((40, 3))
    x[:20, 1], x[:, 2] = 1, 1
    got = curve({"x": x}, [0, 1, 2], mean, over="depth", natural=(0, 1))
    assert (got.low[2], got.high[2]) == pytest.approx((0.025 ** (1 / 40), 1), abs=1e-9)
    assert (got.band_low[2], got.band_high[0]) == pytest.approx(
        ((0.05 / 6) ** (1 / 40), 1 - (0.05 / 6) ** (1 / 40)), abs=1e-9
    )
    plain = curve({"x": x}, [0, 1, 2], mean, over="depth")
    assert (plain.low[1], plain.band_low[1]) == (got.low[1], got.band_low[1])


def test_a_band_allows_for_groups_of_units_as_a_claim_about_one_level_does():
    """Prompts of six values of one slot and four of another, each with a luck of its own: a claim
    about a level has the interval of the curve there, inside of the band; and both are wider than
    with prompts as independent units."""
    draw, prompts = np.random.default_rng(4), np.arange(24)
    slots = {"name": prompts // 4, "place": prompts % 4}
    x = 1 + 0.3 * draw.normal(size=(24, 5))
    for count, of in ((6, slots["name"]), (4, slots["place"])):
        x += 0.5 * draw.normal(size=(count, 5))[of]
    dims, at = ("prompt", "layer"), {"prompt": prompts, "layer": np.arange(5)}
    arms = {"main": xr.Dataset({"x": (dims, x)}, coords=at)}
    arms["none"] = arms["main"] * 0
    groups = {"prompt": {k: {str(i): f"v{v}" for i, v in enumerate(of)} for k, of in slots.items()}}
    entry = Estimate("scan", value=lambda a: a["main"].x, units=("prompt",), over="layer")
    for some, wider in ((groups, 1.5), ({}, 1.0)):
        scan = estimate(replace(entry, groups=some), arms).curve
        for k in range(5):
            claim = Claim(
                text="a level",
                value=lambda arm, _, k=k: arm.x.isel(layer=k, drop=True),
                units=("prompt",),
                low=0.2,
                must_fail=("none",),
                groups=some,
                threshold_from="plan: a fifth",
                source="",
            )
            alone = judge(claim, arms)
            assert (alone.low, alone.high) == pytest.approx((scan.low[k], scan.high[k]))
            assert scan.band_low[k] <= alone.low and alone.high <= scan.band_high[k]
            plain = scipy.stats.t.ppf(0.975, 23) * x[:, k].std(ddof=1) / math.sqrt(24)
            assert alone.high - alone.low > 2 * plain * wider * 0.9
