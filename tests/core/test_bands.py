"""What is taken over the levels of means: the number itself by a loop, and how often its interval
contains the truth, in worlds where that is known."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
import xarray as xr

from assay.core import bands
from assay.core.bands import interval_of
from assay.core.claims import Claim
from assay.core.errors import ClaimError
from assay.core.estimates import curve
from assay.core.expression import parse
from assay.core.judging import judge
from assay.core.power import price_to_decide

LEVELS = 12
TAKEN = {
    "(base - x)[layer=argmax(0 - mean(x), over=layer)]": lambda m: -m.min(),
    "x[layer=argmax(0 - x, over=layer[3:])]": lambda m: m[3:].min(),
}


def measured(rng, n, **means):
    """Measures [prompt, layer] about true means, with a part that all layers of a prompt share."""
    common, arm = rng.standard_normal((n, 1)), {}
    for name, mean in means.items():
        x = np.asarray(mean) + 0.5 * common + rng.standard_normal((n, np.size(mean)))
        arm[name] = (("prompt", "layer"), x)
    arm["base"] = (("prompt",), np.zeros(n))
    return xr.Dataset(arm, {"prompt": range(n), "layer": range(np.size(mean))})


def taken(text, arm, **more):
    parsed = parse(text, compared=False)
    terms = {t: w(lambda c: c.take(arm[c.name], ["prompt"])) for t, w in parsed.terms.items()}
    arrays = {t: x.transpose("prompt", ...).values for t, x in terms.items()}
    return interval_of(arrays, parsed.statistic, units=("prompt",), draws=1, **more)


@pytest.mark.parametrize("text", TAKEN)
def test_it_is_taken_of_the_means_and_not_of_each_unit(text):
    arm = measured(np.random.default_rng(0), 30, x=np.linspace(-1, 1, LEVELS))
    i = taken(text, arm)
    assert i.estimate == pytest.approx(TAKEN[text](arm.x.mean("prompt").values))
    assert i.low <= i.estimate <= i.high and i.limits(0.8)[0] >= i.low


def test_a_share_of_units_is_taken_at_a_chosen_level_and_an_extreme_of_each_unit_over_some():
    arm = measured(np.random.default_rng(1), 30, x=np.zeros(LEVELS), y=np.arange(LEVELS) % 7)
    x, level = arm.x.values, int(arm.y.mean("prompt").argmax())
    found = taken("share(x > 0.2)[layer=argmax(y)]", arm)
    assert found.estimate == pytest.approx((x[:, level] > 0.2).mean())
    found = taken("max(x - base, over=layer[:5]) - max(x - base, over=layer[5:])", arm)
    assert found.estimate == pytest.approx((x[:, :5].max(1) - x[:, 5:].max(1)).mean())


def test_what_all_levels_have_in_common_does_not_widen_where_the_largest_is():
    """Neither a term of its own nor what all levels of a prompt share."""
    rng = np.random.default_rng(3)
    arm = measured(rng, 28, x=np.where(np.arange(LEVELS) == 5, 1.5, 0.0))
    arm["base"] = (("prompt",), 9 * rng.standard_normal(28))
    arm["shifted"] = arm.x - arm.x.mean("layer")
    texts = ["mean(x)", "mean(x) - mean(base)", "mean(base) + mean(x)", "mean(shifted)"]
    found = [taken(f"argmax({text}, over=layer)", arm) for text in texts]
    assert {(i.estimate, i.low, i.high) for i in found} == {(5.0, 5.0, 5.0)}


def test_the_limits_of_a_largest_share_end_where_shares_end():
    """Six shares near 1 at one layer, so that the band reaches beyond 1, where no share can be."""
    x = np.full((6, 4), 0.3)
    x[:, 2] = [0.99, 0.6, 0.97, 0.5, 0.95, 0.98]
    arm = xr.Dataset({"x": (("prompt", "layer"), x + 0.01 * np.eye(6, 4))}, {"prompt": range(6)})
    parsed = parse("max(mean(x), over=layer) > 0.2")
    claim = Claim(
        text="The largest share is above 0.2",
        value=lambda arm, arms: {t: w(lambda c: arm[c.name]) for t, w in parsed.terms.items()},
        statistic=parsed.statistic,
        units=("prompt",),
        low=parsed.low,
        must_fail=("other",),
        threshold_from="plan",
        source="s",
    )
    arms = {"main": arm, "other": 0 * arm}
    free = judge(claim, arms).verdict
    within = judge(replace(claim, natural=(0.0, 1.0)), arms).verdict
    assert free.high > 1 and within.high == 1
    assert (within.estimate, within.low) == (free.estimate, free.low)


def test_levels_at_which_all_units_agree_may_still_be_the_largest():
    """Of 12 prompts all are right at layer 2 and 11 at layer 1: the lower limit of 12 of 12 is 0.7
    or less (Clopper and Pearson), so nobody can say which is larger."""
    x = np.zeros((12, 4))
    x[:, 2], x[:11, 1] = 1, 1
    arm = xr.Dataset({"x": (("prompt", "layer"), x)}, {"prompt": range(12), "layer": range(4)})
    i = taken("argmax(mean(x), over=layer)", arm)
    assert (i.estimate, i.low, i.high) == (2, 1, 2)


def test_a_curve_is_read_at_the_level_at_which_another_one_is_largest():
    """A loop over the means finds the level; where two may be the largest, both are allowed for."""
    peak, rng = np.where(np.arange(LEVELS) == 5, 3.0, 0.0), np.random.default_rng(8)
    arm = measured(rng, 40, x=np.linspace(-1, 1, LEVELS), y=peak)
    means = {name: arm[name].mean("prompt").values for name in "xy"}
    level = max(range(LEVELS), key=lambda k: means["y"][k])
    i, alone = taken("x[layer=argmax(y)]", arm), taken("max(mean(x), over=layer)", arm)
    assert level == 5 and i.estimate == pytest.approx(means["x"][5])
    # no other level can be the largest
    assert 0 < i.high - i.low < 1.5 * (alone.high - alone.low)
    arm["y"][:, 11] = arm.y[:, 5] + 0.01 * rng.standard_normal(40)
    i = taken("x[layer=argmax(y)]", arm)
    assert i.low < means["x"][5] < means["x"][11] < i.high
    arm["x"] = arm.x.expand_dims({"kind": ["a", "b"]}, -1) * [1, 2]
    parsed = parse("x[layer=argmax(y), kind=b]", compared=False)
    terms = {t: w(lambda c: c.take(arm[c.name], ["prompt"])) for t, w in parsed.terms.items()}
    arrays = {t: x.transpose("prompt", ...).values for t, x in terms.items()}
    at = max(range(LEVELS), key=lambda k: float(arm.y[:, k].mean()))
    found = interval_of(arrays, parsed.statistic, units=("prompt",), draws=1)
    assert found.estimate == pytest.approx(2 * means["x"][at])


def test_a_correlation_of_units_is_taken_at_the_level_at_which_another_curve_is_smallest():
    trough = np.where(np.arange(LEVELS) == 7, -3.0, 0.0)
    arm = measured(np.random.default_rng(9), 40, x=0 * trough, y=trough)
    arm["z"] = arm.x + np.random.default_rng(10).standard_normal(arm.x.shape)
    i = taken("corr(x, z)[layer=argmin(y)]", arm)
    assert i.estimate == pytest.approx(np.corrcoef(arm.x[:, 7], arm.z[:, 7])[0, 1])
    assert i.low < i.estimate < i.high


@pytest.mark.thorough
@pytest.mark.parametrize("apart", [0, 1, 4])
def test_the_level_at_which_two_curves_are_both_high_is_contained(apart, monkeypatch):
    """Also where both cross at the same level, so that the smaller margin is either's."""
    monkeypatch.setattr(bands, "_MOST", 0)
    steps, rng, hits = np.arange(LEVELS), np.random.default_rng(apart), 0
    x, y = 0.35 * (steps - 3.5), 0.35 * (steps - 3.5 - apart)
    for _ in range(200):
        i = taken("first(mean(x) > 0 and mean(y) >= 0, over=layer)", measured(rng, 30, x=x, y=y))
        hits += i.low <= 4 + apart <= i.high
    assert hits >= 186


def test_rank_correlations_are_scipys_over_prompts_and_over_levels_of_means():
    a = np.random.default_rng(1).standard_normal(LEVELS)
    arm = measured(np.random.default_rng(2), 30, x=a, y=a)
    x, y = (arm[name].mean("prompt").values for name in "xy")
    over = taken("spearman(x, y, over=layer)", arm)
    assert over.estimate == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    one = parse("spearman(x[layer=0], y[layer=1])", compared=False)
    arm["x"][:, 0] = arm.x[:, 0].round()  # ties
    number = one.terms["value"](lambda c: c.take(arm[c.name], ["prompt"]))
    assert float(number.mean()) == pytest.approx(
        scipy.stats.spearmanr(arm.x[:, 0], arm.y[:, 1]).statistic
    )


@pytest.mark.parametrize(
    ("text", "why"),
    {
        "max(auroc(a.x, a.y), over=layer) > 0.9": r"write mean\(auroc\(a\.x, a\.y\)\)",
        "max(mean(a.x), over=layer) / mean(a.y) > 1": "numbers to multiply",
        "corr(mean(a.x), mean(a.y), over=layer) > 0": "write it without mean",
        "max(median(a.x), over=layer) > 1": "nothing is taken of it over levels",
        "share(median(a.x) > 2) > 0.5": "nothing is taken of it unit by unit",
        "median(2) > 1": "names no column",
        "share(std(a.x) > 1) > 0.5": "is of one number of all units, not of each",
        "std(a.x, over=prompt) > 1": r"std\(x\) is the spread over units; leave out over",
        "max(a.x, over=layer[4:14:2]) > 1": r"levels from 4 to 13 are layer\[4:14\]",
        "max(a.x[layer=argmax(a.y)], over=head) > 1": "is of the means over units",
        "f1(a.x, a.y) > 0.5": r"a comparison with a number; write f1\(main.act > 0, main.label\)",
        "share(f1(a.x > 1, a.y) > 0.5) > 0.5": "one number of all units, and no unit has one",
    }.items(),
)
def test_what_has_no_interval_is_refused_with_the_other_way_to_say_it(text, why):
    with pytest.raises(ClaimError, match=why):
        parse(text)


def test_a_claim_on_the_largest_mean_is_judged_with_its_control():
    rng, peak = np.random.default_rng(4), np.where(np.arange(LEVELS) == 5, 2.0, 0.0)
    arms = {"main": measured(rng, 40, x=peak), "twin": measured(rng, 40, x=0 * peak)}
    parsed = parse("max(mean(x), over=layer) > 1")
    claim = Claim(
        text="The largest mean is above 1",
        value=lambda arm, arms: {t: w(lambda c: arm[c.name]) for t, w in parsed.terms.items()},
        statistic=parsed.statistic,
        units=("prompt",),
        low=parsed.low,
        must_fail=("twin",),
        threshold_from="plan",
        source="s",
    )
    judged = judge(claim, arms)
    assert judged.verdict.outcome == "holds"
    assert judged.controls["twin"].outcome == "fails"
    assert "band of all levels together" in judged.verdict.method
    near = judge(claim.about("twin"), arms)
    assert near.verdict.outcome == "fails"


def test_of_two_factors_the_band_is_as_wide_as_the_curves_own():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8, 24, 4)) + rng.normal(size=(8, 1, 1)) + np.arange(4)
    whole = curve({"x": x}, [0, 1, 2, 3], lambda m: m["x"], over="layer", factors=2, draws=1)
    parsed = parse("max(mean(x), over=layer)", compared=False)
    (term,) = parsed.terms
    i = interval_of({term: x}, parsed.statistic, factors=2, draws=1)
    assert (i.low, i.high) == pytest.approx((max(whole.band_low), max(whole.band_high)), rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize("n", [20, 40])
@pytest.mark.parametrize("shape", ["flat", "ramp", "peak"])
def test_intervals_contain_the_truth_in_93_of_100_worlds(shape, n, monkeypatch):
    """Also where all means are equal, so that the largest of them is luck alone."""
    # a thousand simulated experiments behind each band
    monkeypatch.setattr(bands, "_MOST", 0)
    shapes = {
        "flat": np.zeros(LEVELS),
        "ramp": np.linspace(-1, 1, LEVELS),
        "peak": np.where(np.arange(LEVELS) == 5, 0.8, 0.0),
    }
    rng, mean, hits = np.random.default_rng(n), shapes[shape], dict.fromkeys(TAKEN, 0)
    for _ in range(100):
        arm = measured(rng, n, x=mean)
        for text, true in TAKEN.items():
            i = taken(text, arm)
            hits[text] += i.low - 1e-9 <= true(mean) <= i.high + 1e-9
    assert min(hits.values()) >= 93, hits


def test_simulated_experiments_are_the_same_however_many_are_held_at_once(monkeypatch):
    r = np.corrcoef(np.random.default_rng(0).normal(size=(9, 12)).cumsum(1).T)
    whole = bands._largest_t(r, 8, 1000)
    monkeypatch.setattr(bands, "_AT_ONCE", 9 * 12 * 33)
    assert (bands._largest_t(r, 8, 1000) == whole).all() and whole.shape == (1000,)


@pytest.mark.thorough
@pytest.mark.parametrize(("noise", "levels"), [(0.3, 12), (1.0, 12), (1.0, 100), (3.0, 100)])
def test_rank_correlations_contain_that_of_the_true_means(noise, levels):
    rng, hits = np.random.default_rng(levels), 0
    for _ in range(200):
        x = rng.standard_normal(levels)
        y = 0.8 * x + 0.6 * rng.standard_normal(levels)
        arm = measured(rng, 30, x=x / noise, y=y / noise)
        i = taken("spearman(x, y, over=layer)", arm)
        hits += i.low <= scipy.stats.spearmanr(x, y).statistic <= i.high
    assert hits >= 186


def test_a_median_has_the_order_statistics_of_scipy():
    parsed = parse("median(a.x - a.y) > 2")
    (term,) = parsed.terms
    for n in (6, 19, 40):
        x = np.random.default_rng(n).exponential(size=n).round(1)
        found = interval_of({term: x}, parsed.statistic, draws=1)
        exact = scipy.stats.quantile_test(x, p=0.5).confidence_interval()
        assert (found.estimate, found.low, found.high) == pytest.approx((np.median(x), *exact))


def test_a_median_of_seeds_and_prompts_is_contained():
    parsed = parse("median(a.x) - 2 * median(a.y) < 2")
    rng, covered, alone = np.random.default_rng(7), [], []
    for _ in range(200):
        a, b = rng.standard_normal((8, 1)) / 3, rng.standard_normal((1, 24))
        x = np.exp(a + b + rng.standard_normal((8, 24)) / 2)
        both = {"median(a.x)": x, "median(a.y)": np.zeros_like(x)}
        found = interval_of(both, parsed.statistic, factors=2, draws=1)
        covered.append(found.low <= 1 <= found.high)
        both = {"median(a.x)": x[0] / np.exp(a[0]), "median(a.y)": -x[0]}
        of_seed = interval_of(both, parsed.statistic, draws=1)
        alone.append(of_seed.low <= 1 + 2 * np.exp(a[0, 0]) <= of_seed.high)
    assert np.mean(covered) >= 0.93 and np.mean(alone) >= 0.93


@pytest.mark.parametrize(
    ("inside", "places"),
    [
        ("first(mean(x) > 1, over=layer)", "layers 2 to 6"),
        ("count(mean(x) > 1, over=layer)", "5 of 12 levels"),
        ("first(mean(x) > mean(base), over=layer)", ""),
    ],
)
def test_an_undecided_place_names_the_levels_at_which_a_comparison_is_open(inside, places):
    """Means of 0.9 at layers 2 to 6 and of 100 or -100 elsewhere, each with a standard error of 1:
    only the former are not known to be above 1, and all are far from -50."""
    signs = np.tile([-1.0, 1.0], 16)[:, None] * np.sqrt(31)
    means = np.array([-100.0] * 2 + [0.9] * 5 + [100.0] * 5)
    arm = xr.Dataset(
        {"x": (("prompt", "layer"), means + signs), "base": ("prompt", np.full(32, -50.0))},
        {"prompt": range(32), "layer": range(LEVELS)},
    )
    i = taken(inside, arm)
    comparison = inside.partition("(")[2].partition(", ")[0]
    assert i.undecided == (places and f"{places} whether {comparison}")
    if "first" in inside and places:
        fields = {"must_fail": ("twin",), "threshold_from": "plan", "source": "s"}
        claim = Claim(text="it is early", value=lambda arm, arms: arm.x, high=4.0, **fields)
        assert (i.low, i.high) == (2, 7)
        assert "leaves open at layers 2 to 6" in price_to_decide(claim, i).text
