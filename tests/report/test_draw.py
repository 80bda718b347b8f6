"""Figures: what the drawings must contain, checked against the data and NumPy; interval plots:
where things lie on the axis."""

import dataclasses
import itertools
import json
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import sample
from msgspec import structs

from assay.core.bands import BANDED
from assay.core.figures import Figure
from assay.report import draw, interval_plot, palette
from assay.report import vega as vega_module
from assay.report.vega import vega
from marks import pictures


def contrast(a, b):
    """The contrast ratio of two colours given as #rrggbb, 1 to 21.

    Formula: (L₁ + .05) / (L₂ + .05), L the relative luminance of sRGB
    Source: Web Content Accessibility Guidelines 2.1, contrast ratio
    """

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


STYLE = palette.styles("intervals.css", "style.css")


@pytest.mark.parametrize("figure", sample.figures(), ids=lambda f: f.mark)
def test_every_mark_is_drawn_in_every_format(figure):
    root = ET.fromstring(draw.svg(figure))
    assert root.get("aria-label") == figure.title and float(root.get("width")) < 700
    assert pictures.png(figure)[:4] == b"\x89PNG"


def test_the_drawing_uses_only_colours_that_the_dark_page_repaints():
    known = {c.lower() for c in palette.LIGHT.values()} | {
        "none",
        "transparent",
        "#000",
        "black",
        "white",
    }
    # a shade lets the paper through; "#ddd" frames its legend
    known |= {vega_module.FIRE, "#ddd"}
    for figure in sample.figures():
        found = {
            c.lower()
            for c in re.findall(r'(?:fill|stroke)="([^"]+)"', draw.svg(figure, titled=False))
            if not c.startswith("url(#")
        }
        assert found <= known, found - known


def test_the_shades_of_a_heat_map_are_as_opaque_as_its_numbers_are_large():
    columns = {"a": [1, 2, 3], "b": [1, 1, 1], "v": [0.0, 0.25, 1.0]}
    drawn = draw.svg(Figure("h", columns, "heatmap", x="a", y="b", color="v"))
    cells = [
        float(v)
        for v in re.findall(rf'd="[^"]*" fill="{vega_module.FIRE}" fill-opacity="([.\d]+)"', drawn)
    ]
    assert sorted(cells) == pytest.approx([0, 0.25, 1], abs=0.01)
    assert "rgb(" not in drawn


def test_what_is_not_finite_is_missing_and_numpy_scalars_are_plain():
    columns = {"x": [np.float32(1), np.float64("nan")], "y": [float("inf"), np.int64(3)]}
    spec = vega(Figure("p", columns, "points", x="x", y="y"))
    assert spec["data"]["values"] == [{"x": 1.0, "y": None}, {"x": None, "y": 3}]


@pytest.mark.parametrize("mark", ["line", "points", "heatmap"])
@pytest.mark.parametrize(
    "levels", [(0, 6, 12, 18, 24, 29), (5, 15, 25), (125, 250.0, 1000)], ids=str
)
def test_an_axis_names_exactly_the_levels_that_were_measured(levels, mark):
    columns = {"layer": levels, "y": [0.11 + 0.02 * i for i in range(len(levels))]}
    figure = Figure("Curve", columns, mark, x="layer", y="y", x_ticks=levels)
    words = ET.fromstring(draw.svg(figure)).itertext()
    shown = [word.replace(",", "") for word in words if re.fullmatch(r"[\d,]+|.*e\+?\d+", word)]
    assert [float(word) for word in shown] == [*levels]


def test_a_log_axis_names_its_only_level_exactly():
    figure = Figure("Size", {"size": [1234], "y": [0.5]}, "points", x="size", y="y", x_log=True)
    assert ">1,234</text>" in draw.svg(figure)


def test_a_log_axis_has_ticks_up_to_its_ends():
    assert interval_plot.log_ticks(15, 64) == [20, 30, 40, 50, 60]
    assert interval_plot.log_ticks(2.5, 75) == [5, 10, 20, 50]
    assert interval_plot.log_ticks(1, 1e5) == [1, 10, 100, 1e3, 1e4, 1e5]
    assert interval_plot.log_ticks(1e-4, 1e9) == []  # of more powers than ticks, Vega chooses


def test_bars_over_numbers_stand():
    numbers = [0.0013 * 2**k for k in range(14)]
    columns = {"share": numbers, "features": [*range(14)]}
    spec = vega(Figure("Histogram", columns, "bars", x="share", y="features"))
    assert spec["layer"][0]["encoding"]["y"]["field"] == "features"


def test_levels_of_a_heatmap_that_would_collide_are_named_by_turns():
    levels = [f"{v:.3f}" for v in range(20)]
    columns = {"x": levels * 2, "y": ["a"] * 20 + ["b"] * 20, "z": list(range(40))}
    drawn = draw.svg(Figure("Many levels of x", columns, "heatmap", x="x", y="y", color="z"))
    shown = [level for level in levels if f'opacity="1">{level}<' in drawn]
    assert 4 <= len(shown) <= 10 and shown == levels[:: levels.index(shown[1])]


@pytest.mark.parametrize("mark", ["line", "points", "joined", "bars", "heatmap"])
def test_columns_of_numpy_arrays_are_drawn_as_those_of_lists(mark):
    lists = {"arm": ["a", "b"], "x": [1, 2], "y": [0.5, 1.5]}
    arrays = {name: np.array(column) for name, column in lists.items()}
    arrays["y"] = arrays["y"].astype(np.float32)
    how = {"x": "x", "y": "y", "color": "y" if mark == "heatmap" else "arm"}
    how |= {"facet": "arm"} if mark == "bars" else {}
    drawn, same = (
        re.sub(r"\w+gradient_\d", "", draw.svg(Figure("n", columns, mark, **how)))  # random names
        for columns in (arrays, lists)
    )
    assert drawn == same


def test_end_labels_do_not_overlap_and_begin_at_the_ends_of_their_lines():
    columns = {
        "arm": list("abcdef") * 2,
        "x": [0] * 6 + [1] * 5 + [0.1],
        "y": [0.0] * 5 + [0.7] + [1.0, 1.001, 1.002, 0.0, 0.001, 0.6],
    }
    leader, text = vega(Figure("l", columns, "line", x="x", y="y", color="arm"))["layer"][-2:]
    beside = text["data"]["values"]
    assert leader["data"] == text["data"]
    assert min(np.diff(sorted(v["_to"] for v in beside))) >= 1.2 * 1.002 * 15 / 250 - 1e-9
    ends = {"a": (1, 1.0), "b": (1, 1.001), "c": (1, 1.002), "d": (1, 0.0), "e": (1, 0.001)}
    assert {v["_name"]: (v["_x"], v["_y"]) for v in beside} == {**ends, "f": (0.1, 0.6)}


def test_what_a_logarithmic_axis_cannot_show_is_left_out():
    columns = {"arm": ["a", "b"] * 3, "x": [0, 0, 1, 1, 10, 10], "y": [1, -1, 0, 2, 3, 4]}
    spec = vega(Figure("l", columns, "line", x="x", y="y", color="arm", x_log=True, y_log=True))
    assert {(v["_name"], v["_x"], v["_y"]) for v in spec["layer"][-1]["data"]["values"]} == {
        ("a", 10, 3),
        ("b", 10, 4),
    }
    ET.fromstring(
        draw.svg(Figure("l", columns, "line", x="x", y="y", color="arm", x_log=True, y_log=True))
    )


@pytest.mark.parametrize("n", [0, 1])
def test_figures_have_as_many_marks_as_there_are_data_however_few(n):
    columns = {"x": [1.0] * n, "y": [2.0] * n, "c": [3.0] * n}
    for mark in ("line", "points", "bars", "heatmap"):
        color = "c" if mark == "heatmap" else None
        root = ET.fromstring(draw.svg(Figure("little", columns, mark, x="x", y="y", color=color)))
        [marks] = (e for e in root.iter() if "layer_0_marks" in e.get("class", ""))
        assert len(marks) == n, mark


@pytest.mark.parametrize("name", palette.TEXT)
@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_colours_have_enough_contrast(name, mode):
    assert contrast(palette.PALETTE[name][mode], palette.PALETTE["paper"][mode]) >= 4.5


MODES = pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])


def mixed(front, back, share):
    """A colour that lets another through."""
    both = zip((front, back), (share, 1 - share), strict=True)
    channels = [[w * int(c[i : i + 2], 16) for i in (1, 3, 5)] for c, w in both]
    return "#" + "".join(f"{round(a + b):02x}" for a, b in zip(*channels, strict=True))


@MODES
def test_marks_have_enough_contrast(mode):
    colours = {name: pair[mode] for name, pair in palette.PALETTE.items()}
    for name in (*palette.SERIES, *palette.RAMP, "undecided", "grey2", "promoted", "suppressed"):
        assert contrast(colours[name], colours["paper"]) >= 3, name
    for name in palette.SERIES:  # a line's name is set in its colour, or beside it
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in (
        "method",
        "undecided",
    ):  # bars of an interval lie on the allowed range; single units are fainter
        opacity = float(re.search(r"\.unit\{[^}]*opacity:([.\d]+)", STYLE)[1])
        assert contrast(colours[name], colours["allowed"]) >= 3
        assert contrast(mixed(colours[name], colours["paper"], opacity), colours["paper"]) >= 3
    assert contrast(colours["ink"], colours["allowed"]) >= 4.5


@MODES
def test_tokens_can_be_read_where_they_are_shaded(mode):
    strength = float(re.findall(r"--strength:([.\d]+)", STYLE)[mode])
    for fire in re.findall(r"--fire:(\d+ \d+ \d+)", STYLE):
        shade = "#" + "".join(f"{int(c):02x}" for c in fire.split())
        shaded = mixed(shade, palette.PALETTE["paper"][mode], strength)
        assert contrast(palette.PALETTE["ink"][mode], shaded) >= 4.5


def test_joined_points_keep_their_intervals_and_have_a_line_through_each_series():
    columns = {"arm": ["a", "a", "b"], "l0": [40, 10, 20], "fvu": [0.1, 0.3, 0.2]}
    columns |= {"low": [0.09, 0.29, 0.19], "high": [0.11, 0.31, 0.21]}
    figure = Figure("n", columns, "joined", x="l0", y="fvu", color="arm", band=("low", "high"))
    apart = dataclasses.replace(figure, mark="points")

    def layers(figure):
        found = re.findall(r'"mark": \{"type": "(\w+)"', json.dumps(vega(figure)))
        return [name for name in found if name in ("rule", "line", "point")]

    assert layers(figure) == ["rule", "line", "point"]
    assert layers(apart) == ["rule", "point"]
    ET.fromstring(draw.svg(figure))


def test_every_colour_has_one_name_or_it_could_not_be_told_in_the_dark():
    light = [pair[0] for pair in palette.PALETTE.values()]
    assert len(set(light)) == len(light)


def _plot(entry):
    return ET.fromstring(str(interval_plot.interval_plot(entry)))


def test_the_label_of_a_threshold_lies_on_no_dot():
    """One dot per name stands in the middle of its band, so the end of the line has none."""
    table = {"arm": ["vector", "random"], "estimate": [1.2, 1.4]}
    points = Figure("t", table, "points", x="arm", y="estimate", rules=((1.0, "threshold"),))
    spec = vega(points)
    (text,) = (
        x
        for x in spec["layer"]
        if x["mark"].get("text") == "threshold" and "stroke" not in x["mark"]
    )
    assert text["encoding"] == {"y": {"datum": 1.0}, "x": {"value": "width"}}
    root = ET.fromstring(draw.svg(points))
    assert "threshold" in ET.tostring(root, encoding="unicode")


def test_an_interval_plot_puts_every_number_at_its_place():
    # range [.98, 1.02]; the estimate .9972, relu .943; untrained at .433 lies off the axis
    claim = sample.result().verdicts[0]
    root = _plot(claim)
    method = next(g for g in root.iter("g") if g.get("class") == "method")
    bar = next(e for e in method.iter("line"))
    rect = next(root.iter("rect"))
    left, right = (float(bar.get(k)[:-1]) for k in ("x1", "x2"))
    start, width = (float(rect.get(k)[:-1]) for k in ("x", "width"))

    def place(value):
        return start + width * (value - 0.98) / 0.04

    assert (left, right) == pytest.approx((place(0.9943), place(0.9998)), abs=0.02)
    relu, untrained = [g for g in root.iter("g") if g.get("class") == "control"]
    assert float(next(e for e in relu.iter("line")).get("x1")[:-1]) == pytest.approx(
        place(0.940), abs=0.02
    )
    assert [e.get("class") for e in untrained.iter("path")] == ["arrow"]
    assert not list(untrained.iter("line"))
    tick = next(e for g in root.iter("g") if g.get("class") == "published" for e in g.iter("svg"))
    assert float(tick.get("x")[:-1]) == pytest.approx(place(0.99), abs=0.02)
    assert "".join(root.itertext()).count("other set-up") == 1
    ends = [e.get("x1", "") for e in root.iter("line")]
    assert all(0 <= float(x[:-1]) <= 100 for x in ends if x.endswith("%"))


@pytest.mark.parametrize(
    ("condition", "threshold", "zero"),
    [
        ("a.x - b.x > 1", 1.0, True),
        ("effect > 1", 1.0, True),
        ("a.x > 1", 1.0, False),
        ("a.x - b.x > 6", 6.0, False),  # all else would have a quarter of the width
    ],
)
def test_an_axis_begins_at_no_effect_where_that_leaves_a_third_of_it(condition, threshold, zero):
    how = {"allowed": (threshold, None), "threshold": f"> {threshold:g}", "condition": condition}
    claim = sample.of(sample.entry("It does", "holds", 7.0, 6.5, 8.0, **how)).verdicts[0]
    labels = [e.text for e in _plot(claim).iter("text") if e.get("class") == "scale"]
    assert ("0" in labels) == zero


def test_every_unit_is_drawn_or_counted_at_the_edge():
    claim = sample.result().verdicts[0]  # range and intervals are from 0.94 to 1.02
    for points, drawn, beyond in (
        ((0.85, 0.9, 1.0, 1.1), 4, ""),
        ((0.2, 0.3, 1.0, 1.1), 2, "◂ 2 more"),
        ((1.0, 9.0), 1, "1 more ▸"),
    ):
        root = _plot(structs.replace(claim, points=points))
        method = next(g for g in root.iter("g") if g.get("class") == "method")
        units = [e for e in method.iter("circle") if e.get("class") == "unit"]
        assert len(units) == drawn
        assert all(0 <= float(e.get("cx")[:-1]) <= 100 for e in units)
        texts = ["".join(e.itertext()) for e in method.iter("text")]
        assert [t for t in texts if "more" in t] == [beyond] * bool(beyond)


def test_a_few_equal_units_are_stacked_and_many_are_one_point_with_their_number():
    """A column of 30 points would look like an error bar."""
    claim = structs.replace(sample.result().verdicts[0], points=(1.0,) * 30 + (0.99,) * 3)
    root = _plot(claim)
    units = [e for e in root.iter("circle") if e.get("class") == "unit"]
    places = [(e.get("cx"), float(e.get("cy"))) for e in units]
    assert len({*places}) == len(places) == 1 + 3
    assert len({x for x, _ in places}) == 2
    [many] = [e for e in units if float(e.get("r")) > 2]
    assert many.find("title").text == "30 of 33"
    [count] = [e for e in root.iter("text") if e.get("class") == "count"]
    assert (count.text, count.get("x")) == ("30", many.get("cx"))
    lowest = max(float(e.get("cy")) + float(e.get("r")) for e in units)
    names = [e for e in root.iter("text") if e.get("class") == "name"]
    assert lowest < float(names[1].get("y")) - 12  # above the letters of the next row


def test_no_two_counts_of_equal_units_overlap_on_a_small_screen():
    """358 pixels are 100%, and a digit of 11 pixels is 6.5 pixels wide; a share has many ties."""
    claim = sample.result().verdicts[0]
    points = [x for x, n in ((0.96, 5), (0.974, 4), (0.98, 12), (1.0, 23)) for _ in range(n)]
    texts = [
        (float(e.get("x")[:-1]) * 3.58 + float(e.get("dx")), e.get("text-anchor"), len(e.text))
        for e in _plot(structs.replace(claim, points=tuple(points))).iter("text")
        if e.get("class") == "count"
    ]
    spans = sorted((x - 6.5 * n * (side == "end"), 6.5 * n) for x, side, n in texts)
    assert len(spans) >= 2 and spans[-1][0] + spans[-1][1] <= 358
    assert all(x + wide <= right for (x, wide), (right, _) in itertools.pairwise(spans))


def test_an_arm_that_the_claim_does_not_name_is_in_its_picture_only_if_it_makes_it_unspecific():
    [claim] = (v for v in sample.verdicts() if v["outcome"] == "holds" and v.get("planted"))
    arms = {"excused": {"reason": "rival"}, "of-another": {"lacks": False}, "old": {}}
    arms = {name: {"estimate": 1.7, "low": 1.6, "high": 1.8, **of} for name, of in arms.items()}
    data = sample.of(claim | {"also": arms})
    drawn = str(interval_plot.interval_plot(data.verdicts[0]))
    assert "excused: may satisfy it too" in drawn and "old: satisfies it too" in drawn
    assert "of-another" not in drawn
    failing = sample.of(claim | {"outcome": "fails", "also": arms})
    drawn = str(interval_plot.interval_plot(failing.verdicts[0]))
    assert "too" not in drawn and "old: satisfies the claim" in drawn, "the claim does not"


def test_a_number_over_the_levels_of_a_mean_curve_has_no_units_of_its_own():
    claim = structs.replace(sample.result().verdicts[0], points=(1.0, 0.99))
    of_curve = structs.replace(claim, method=f"95 %; first(mean(x), over=layer) by {BANDED}")
    circles = [str(interval_plot.interval_plot(c)).count('"unit"') for c in (claim, of_curve)]
    assert circles == [2, 0]


@pytest.mark.parametrize("claim", sample.result().verdicts, ids=lambda c: c.text[:20])
def test_every_outcome_has_a_plot_or_nothing_to_plot(claim):
    drawn = interval_plot.interval_plot(claim)
    assert bool(drawn) == math.isfinite(claim.estimate)
    if drawn:
        assert all(math.isfinite(float(x)) for x in re.findall(r'x[12]?="([-\d.]+)%"', drawn))


@pytest.mark.parametrize(
    ("condition", "unit", "title"),
    [
        ("patched.right < -2", "nats", "patched.right, in nats"),
        ("0.98 < main.gamma < 1.02", "1", "main.gamma"),
        ("share(main.loss > 3) > 0.5", "1", "share(main.loss > 3)"),
        ("a.fvu - b.fvu < -0.005 at equal l0", "1", "a.fvu - b.fvu at equal l0"),
        ("a.x - b.x > 0.2 * b.x", "nats", "a.x - b.x - 0.2 * b.x, in nats"),
        (f"{' + '.join(['main.logit'] * 9)} > 2", "logits", "in logits"),
        ("", "", ""),
    ],
)
def test_the_axis_of_a_claim_says_what_it_shows_and_in_which_unit(condition, unit, title):
    claim = sample.result().verdicts[0]
    entry = structs.replace(claim, condition=condition, unit=unit)
    assert interval_plot.axis_title(entry) == title
    texts = [e.text for e in _plot(entry).iter("text")]
    assert texts.count(title) == bool(title)


def test_a_long_title_of_an_axis_is_wrapped_for_a_small_screen():
    condition = "max(mean(main.right - patched.right), over=(block, head))"
    claim = sample.result().verdicts[0]
    entry = structs.replace(claim, condition=f"{condition} > 3", unit="nats")
    texts = [e.text for e in _plot(entry).iter("text")]
    lines = texts[texts.index("max(mean(main.right - patched.right),") :]
    assert " ".join(lines) == f"{condition}, in nats"
    assert max(map(len, lines)) <= 44
    table = {"block": [0, 0], "head": [0, 1], condition: [0.5, -1.0]}
    heat = Figure("t", table, "heatmap", x="head", y="block", color=condition)
    drawn = "".join(e.text or "" for e in ET.fromstring(draw.svg(heat)).iter())
    assert condition.replace(" ", "") in drawn.replace(" ", ""), "and is not cut off by the legend"


@pytest.mark.parametrize("rule", [0.0, 0.5, 2.5, -5.0, 7.0])
@pytest.mark.parametrize(("low", "high"), [(-9.8, 8.02), (-0.4, 1.02), (-31.0, 12.3)])
def test_a_line_at_a_number_of_the_axis_has_no_second_label_and_no_band_is_cut(rule, low, high):
    table = {"x": [101, 103], "y": [low + 0.1, high - 0.1], "low": [low] * 2, "high": [high] * 2}
    rules = ((rule, f"{rule:.3g}"),)
    drawn = draw.svg(
        Figure("t", table, "line", "x", "y", band=("low", "high"), rules=rules), titled=False
    )
    texts = [e.text for e in ET.fromstring(drawn).iter() if e.tag.endswith("text") and e.text]
    numbers = [float(t.replace("−", "-")) for t in texts if t not in ("x", "y")]
    assert numbers.count(rule) in (1, 2), "the axis has it, or a label, which paper lies under"
    (area,) = re.findall(r'mark-area.*?<path[^>]* d="([^"]+)"', drawn, re.S)
    heights = [float(y) for _, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", area)]
    assert min(heights) > 0 and max(heights) < vega_module.HEIGHT


def test_an_axis_of_blocks_has_whole_numbers():
    assert interval_plot.ticks(0, 2, whole=True) == [0, 1, 2]
    assert interval_plot.ticks(0, 11, whole=True) == [0, 5, 10]
    columns = {"layer": [0, 1, 2, 3], "y": [120.5, 450.2, 200.1, 330.7]}
    drawn = ET.fromstring(draw.svg(Figure("A curve", columns, "line", "layer", "y")))
    texts = {e.text for e in drawn.iter() if e.tag.endswith("text")}
    assert {"0", "1", "2", "3"} <= texts and not {"0.5", "1.5", "2.5"} & texts


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (-10.4, 0.5, "−10 −7.5 −5 −2.5 0"),
        (0, 1e-6, "0 2e−7 4e−7 6e−7 8e−7 1e−6"),
        (-1e-5, 1e-5, "−0.00001 −0.000005 0 0.000005 0.00001"),
        (0, 0.001, "0 0.0002 0.0004 0.0006 0.0008 0.001"),
        (-0.1, 1.05, "0 0.25 0.5 0.75 1"),
        (3.9, 4.12, "3.9 3.95 4 4.05 4.1"),
        (0, 100, "0 20 40 60 80 100"),
        (-10_400, 10_400, "−10,000 −5,000 0 5,000 10,000"),
        (0, 1e6, "0 200,000 400,000 600,000 800,000 1,000,000"),
    ],
)
def test_the_numbers_of_an_axis_are_written_as_by_hand(low, high, written):
    assert interval_plot.labels(interval_plot.ticks(low, high)) == written.split()
    columns = {"of": ["a", "b"], "y": [low, high]}  # six ticks at most, and room at the ends
    drawn = ET.fromstring(draw.svg(Figure("t", columns, "points", "of", "y")))
    texts = [e.text for e in drawn.iter() if e.tag.endswith("text") and e.text]
    assert len(set(written.split()) & set(texts)) >= 2
    by_hand = r"−?(0|[1-9]\d{0,2}(,\d{3})*)(\.\d*[1-9])?|−?[1-9](\.\d)?e-\d"
    assert all(re.fullmatch(by_hand.replace("e-", "e−"), t) for t in texts if t[-1].isdigit())


def test_ticks_are_round_few_and_inside():
    for low, high in ((0.93, 1.03), (-138, 221), (0, 1e-6), (3.9, 4.1)):
        found = interval_plot.ticks(low, high)
        assert 2 <= len(found) <= 6
        assert min(found) >= low - 1e-12
        assert max(found) <= high + 1e-12
        steps = np.diff(found)
        assert np.allclose(steps, steps[0])
