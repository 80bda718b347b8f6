"""Estimates of a study: planned, frozen, run and shown as claims are, and judged by nothing."""

import json

import numpy as np
import pytest
import xarray as xr
from msgspec import structs

from assay.ask.text import EstimateEntry
from assay.ask.wording import condition, estimate
from assay.core.errors import ExperimentError
from assay.core.estimates import estimate as estimated
from assay.core.figures import figures_of
from assay.core.results import Curve, Estimated, ResultData
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.report import tables
from assay.report.vega import vega

STUDY = """question = "At what density are features dropped?"
seeds = "1000000:1000006"

[[experiment]]
name = "superposition"
fields = { density = [0.5, 0.05, 0.2], steps = 40 }
arms = ["main"]

[[estimate]]
text = "Share represented"
value = "mean(main.represented, over=feature)"
over = "density"
crosses = 0.2
natural = [0, 1]
"""


@pytest.fixture
def asks(tmp_path, monkeypatch):
    """A study in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "asks.toml"
    path.write_text(STUDY)
    return path


BETWEEN = """
[[claim]]
text = "Fewer are represented where features are denser"
holds = "mean(main.represented[density={dense}], over=feature) - \
    mean(main.represented[density=0.05], over=feature) < -0.01"
control = ["linear"]
"""


def test_two_values_of_a_field_are_compared_in_a_claim_seed_by_seed(asks):
    text = STUDY.replace('arms = ["main"]', 'arms = ["main", "linear"]') + BETWEEN
    asks.write_text(text.replace("{dense}", "0.5"))
    result = Lab(asks.parent / "s", Inline()).run(catalogue.find(str(asks)))
    (judged,) = result.judged
    for arm, verdict in (("main", judged), ("linear", judged.controls["linear"])):
        data = result.arms[arm].represented.mean("feature")
        by_density = {d: data[data.density == d] for d in (0.5, 0.05)}
        assert by_density[0.5].seed.values.tolist() == by_density[0.05].seed.values.tolist()
        assert verdict.estimate == pytest.approx(
            float((by_density[0.5].values - by_density[0.05].values).mean())
        )
    asks.write_text(text.replace("{dense}", "0.7"))
    with pytest.raises(
        ExperimentError, match=r"main\.represented has no density 0\.7; it has 0\.05"
    ):
        catalogue.find(str(asks))


def test_what_is_estimated_is_frozen_and_a_change_is_seen(asks):
    store = Lab(asks.parent / "s", Inline()).store

    def frozen():
        study = catalogue.find(str(asks))
        preset = override(study)
        known = registered.find(store, study, preset)
        assert known is not None
        (statement,) = known.content["estimates"]
        return registered.departures(known, study, preset), statement["crosses"]

    study = catalogue.find(str(asks))
    first = registered.freeze(store, study, override(study))
    assert frozen() == ([], "0.2")
    assert registered.freeze(store, study, override(study)).hash == first.hash
    asks.write_text(STUDY.replace("crosses = 0.2", "crosses = 0.3"))
    changed, _ = frozen()
    assert changed == ["claim changed: Share represented"]
    asks.write_text(STUDY.replace('"Share represented"', '"Share"').replace(", 0.2]", "]"))
    changed, _ = frozen()
    assert any("added or reworded: Share" in c for c in changed)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("[0.5, 0.05, 0.2]", "0.05", 12, "do not differ in density, which is 0.05; list its"),
        ('over = "density"', 'over = "densty"', 12, "have no swept field 'densty'; did you mean"),
        ('over = "density"\ncrosses = 0.2\n', "", 9, 'draw a curve with over = "density"'),
        ('over = "density"\n', "", 10, "and needs over=FIELD"),
        ('feature)"', 'feature) < 1"', 11, "an estimate has no threshold"),
        ("mean(main.represented, over=feature)", "main.represented", 11, "varies over feature"),
        ('value = "mean(main.represented, over=feature)"\n', "", 9, "estimate 1: value is missing"),
        ("natural = [0, 1]", 'units = ["density"]', 10, "density is a unit, over whose levels"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_its_place(asks, old, new, line, words):
    assert old in STUDY
    asks.write_text(STUDY.replace(old, new))
    with pytest.raises(ExperimentError) as e:
        catalogue.find(str(asks))
    assert words in str(e.value) and "\n" not in str(e.value)
    assert f"line {line} column" in str(e.value)


def test_a_study_without_claim_and_estimate_lacks_both(asks):
    asks.write_text(STUDY.partition("[[estimate]]")[0])
    with pytest.raises(ExperimentError, match=r"write \[\[claim\]\] .* or \[\[estimate\]\]"):
        catalogue.find(str(asks))


def test_a_curve_over_two_dimensions_has_every_combination_of_their_levels():
    """And names are told by size, where they are many."""
    values = np.random.default_rng(0).normal(size=(6, 3, 5))
    data = xr.Dataset(
        {"right": (("run", "layer", "head"), values)},
        coords={"seed": ("run", [*range(6)]), "layer": [2, 4, 9], "head": [*range(5)]},
    )
    entry = EstimateEntry(text="each", value="main.right", over=("layer", "head"))
    made = estimate(entry, "main", condition("main.right", compared=False))
    found = estimated(made, {"main": data})
    assert found.curve is not None and found.curve.over == "layer, head"
    means = values.mean(0)
    names = [f"{layer}, {head}" for layer in (2, 4, 9) for head in range(5)]
    assert dict(zip(found.curve.levels, found.curve.estimate, strict=True)) == pytest.approx(
        dict(zip(names, means.ravel(), strict=True))
    )
    lines = tables.curve_lines(found)
    assert lines[0] == "10 of the 15 cells, farthest from 0 first"
    layer, head = names[int(np.abs(means).argmax())].split(", ")
    assert lines[1].startswith(f"layer {layer}, head {head}: ")
    shown = tables.text(ResultData(findings=(found,))).splitlines()
    at = shown.index("each: layer (down) by head (across)")
    assert shown[at + 1].split() == ["0", "1", "2", "3", "4"]
    rows = [line.split() for line in shown[at + 2 : at + 5]]
    assert [row[0] for row in rows] == ["2", "4", "9"]
    drawn = [[float(x.rstrip("*").replace("·", "0")) for x in row[1:]] for row in rows]
    assert np.allclose(drawn, means, atol=0.06)


@pytest.mark.parametrize(("sign", "first"), [(1, "highest"), (-1, "lowest")])
def test_names_with_numbers_of_one_sign_are_ranked_by_value_and_named_once(sign, first):
    names = tuple(f"task{k:02}" for k in range(12))
    numbers = tuple(sign * (0.9 - 0.05 * ((5 * k) % 12)) for k in range(12))
    ends = dict.fromkeys(("low", "high", "band_low", "band_high"), numbers)
    curve = Curve(over="task", axis="plain", levels=names, wider=1.0, estimate=numbers, **ends)
    few, *lines = tables.curve_lines(Estimated(text="right", curve=curve))
    assert few == f"10 of the 12 levels, {first} first"
    assert [line.partition(":")[0] for line in lines[:3]] == ["task00", "task05", "task10"]
    both = structs.replace(curve, levels=("a", "b"), over="tasks", estimate=(1.0, 2.0))
    assert both.in_words(0) == "tasks a" and both.all_levels == "both levels"


def test_a_map_marks_the_cells_whose_interval_does_not_contain_zero():
    levels = tuple(f"{layer}, {head}" for layer in (0, 1) for head in (0, 1))
    curve = Curve(
        over="layer, head",
        axis="plain",
        levels=levels,
        wider=1.0,
        estimate=(2.0, 3.0, -1.0, 0.5),
        low=(1.0, -1.0, -2.0, 0.0),
        high=(3.0, 7.0, -0.5, 1.0),
        band_low=(0.5, -2.0, -3.0, -1.0),
        band_high=(3.5, 8.0, -0.1, 2.0),
    )
    found = Estimated(text="each", curve=curve)
    shown = tables.text(ResultData(findings=(found,))).splitlines()
    at = shown.index("each: layer (down) by head (across)")
    assert "* its simultaneous interval excludes 0" in shown[at + 1]
    cells = [line.split()[1:] for line in shown[at + 3 : at + 5]]
    assert cells == [["2.0*", "3.0"], ["-1.0*", "0.5"]]
    line = structs.replace(curve, over="layer", levels=(0.0, 1.0, 2.0, 3.0))
    both = [Estimated(text="line", curve=line), found]
    assert [f.title for f in figures_of(both)] == ["line", "each", "each"]
    heat, _ = figures_of([found])
    words = "The simultaneous intervals of 2 of 4 cells exclude 0"
    assert f"{words}." in " ".join(shown) and heat.note == f"{words}; a dot marks such a cell."
    ends = {"band_low": (0.5, -2.0, -1.0, -1.0), "band_high": (3.5, 8.0, 1.0, 1.0)}
    small = structs.replace(curve, estimate=(2.0, 3.0, 0.001, -0.001), **ends)
    shown = tables.text(ResultData(findings=(structs.replace(found, curve=small),))).splitlines()
    at = shown.index("each: layer (down) by head (across)")
    assert shown[at + 2] == "left out: 1 row with nothing but ·"
    assert [line.split() for line in shown[at + 3 : at + 6]] == [["0", "1"], ["0", "2.0*", "3.0"]]
    none = structs.replace(curve, band_low=(-1.0,) * 4, band_high=(8.0,) * 4)
    none = structs.replace(found, curve=none)
    assert figures_of([none])[0].note == "No cell's simultaneous interval excludes 0."
    led = "no cell's simultaneous interval excludes 0; of 4 cells, layer 0, head 1 is highest, 3.0"
    assert tables.row(none).found.startswith(f"{led} [-1.0, 8.0]")
    assert "point" in json.dumps(vega(heat))
    # every attention weight is above 0, so that none is marked for that
    above = structs.replace(curve, estimate=(0.2, 0.3, 0.1, 0.4), band_low=(0.1,) * 4)
    weights = structs.replace(found, curve=above, natural=(0.0, 1.0))
    shown = tables.text(ResultData(findings=(weights,)))
    assert "*" not in shown and "exclude" not in shown
    heat, ranked = figures_of([weights])
    assert "point" not in json.dumps(vega(heat)) and "exclude" not in heat.note + ranked.note
    assert "low" in heat.columns
