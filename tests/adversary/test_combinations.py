"""Prompts that are combinations in many planted worlds: what is true of a few templates, or of a
few things, is not made true by many prompts; what is true of all holds.

The worlds draw what each template and each thing adds to the number of a prompt. The device says
which prompts are combinations, and its judge decides. In a world of nothing the mean over all
templates that there could be is the threshold; in one of an effect it is twice that."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from assay.ask.measure.prompts import load, shared
from assay.ask.tables import Prompts
from assay.core.claims import Claim
from assay.core.judging import judge

CASES, A_DAY = 240, 8
THRESHOLD = 0.5
SHAPES = ((2, 40), (3, 16), (10, 8), (24, 6), (16, 12), (30, 3))
"""How many templates and how many things."""
BIG = ((20, 16), (24, 12), (16, 20))


def prompts(templates, things):
    text = tuple(f"template {i} of {{thing}}" for i in range(templates))
    rows = tuple({"thing": f"t{i}"} for i in range(things))
    return load(Prompts(text=text, rows=rows), Path())


KNOWN = {shape: prompts(*shape) for shape in (*SHAPES, *BIG)}


def effects(draw, kind, templates, things, mean, spread):
    """What the change does to each prompt, things first."""
    cells = 0.3 * draw.normal(size=(things, templates))
    if kind == "templates differ":
        return mean + cells + spread * draw.normal(size=templates)
    if kind == "things differ":
        return mean + cells + spread * draw.normal(size=things)[:, None]
    if kind == "both differ":
        return (
            mean
            + cells
            + 0.7 * spread * draw.normal(size=templates)
            + 0.7 * spread * draw.normal(size=things)[:, None]
        )
    # in two of ten templates, five times as much there
    works = draw.random(templates) < 0.2
    return cells + 5 * mean * works


KINDS = ("templates differ", "things differ", "both differ", "a few templates")


def judged(draw, kind, shape, mean, spread):
    """Judge that the change does more than the threshold."""
    x = effects(
        draw, kind, *shape, mean, spread
    ).ravel()  # as rows are: each thing in all templates
    return judged_of(shape, x, draw)


def judged_of(shape, x, draw=None):
    """Judge that a change that does so much to each prompt does more than the threshold."""
    some, draw = KNOWN[shape], draw or np.random.default_rng(0)
    base = draw.normal(size=len(x))
    levels = [str(i) for i in range(len(x))]
    slots = shared(some, range(len(some.rows)))
    groups = {n: dict(zip(levels, values, strict=True)) for n, values in slots.items()}

    def arm(values):
        coords = {"prompt": levels, "seed": ("run", np.arange(6))}
        return xr.Dataset({"r": (("run", "prompt"), np.repeat(values[None], 6, 0))}, coords=coords)

    noise = 0.2 * draw.normal(size=len(x))
    claim = Claim(
        text="the change does it",
        of="cut",
        value=lambda arm, arms: arm.r - arms["main"].r,
        units=("prompt",),
        groups={"prompt": groups},
        low=THRESHOLD,
        must_fail=("cut/layer",),
        near={"cut/layer": "it does so anywhere"},
        threshold_from="plan: half a nat",
        source="here",
    )
    return judge(claim, {"main": arm(base), "cut": arm(base + x), "cut/layer": arm(base + noise)})


def share(cases, mean, kinds, shapes, spread):
    """How often the claim holds, by kind of world."""
    held = {}
    for kind in kinds:
        outcomes = []
        for case in range(cases // len(KINDS)):
            draw = np.random.default_rng([KINDS.index(kind), case, int(10 * mean)])
            shape = shapes[case % len(shapes)]
            outcomes.append(judged(draw, kind, shape, mean, spread).outcome == "holds")
        held[kind] = float(np.mean(outcomes))
    return held


def test_a_slot_with_a_second_column_of_the_same_words_is_one_factor():
    """As for a name that a prompt has twice, each time in a column of its own."""
    rows = [{"a": f"A{i}", "again": f"A{i}", "b": f"B{k}"} for i in range(6) for k in range(8)]
    table = load(Prompts(text="{a} met {b}, and {again} said", rows=rows), Path(), "-")
    assert [*shared(table, range(48))] == ["a", "b"]


def test_what_is_a_combination_is_known():
    assert [*shared(KNOWN[10, 8], range(80))] == ["thing", "template"]
    one = load(Prompts(text="a {x}", rows=tuple({"x": f"{i}"} for i in range(20))), Path())
    said = load(Prompts(text=("a {x}", "b {x}"), rows=({"x": "1"}, {"x": "2"}), unit="x"), Path())
    assert shared(one, range(20)) == shared(said, range(4)) == {}


@pytest.mark.parametrize("cases", [A_DAY, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_what_is_so_in_some_templates_is_not_so_by_many_prompts(cases):
    held = share(cases, THRESHOLD, KINDS, SHAPES, 0.8)
    assert np.mean([*held.values()]) <= 0.025, held


@pytest.mark.parametrize("cases", [A_DAY, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_what_is_so_in_all_holds_at_twice_the_margin(cases):
    """Where there are a dozen of each at least, which differ by less than what is asked for."""
    kinds = [kind for kind in KINDS if kind != "a few templates"]
    held = share(cases, 2 * THRESHOLD, kinds, BIG, 0.4)
    assert min(held.values()) >= 0.9, held


def test_what_two_values_leave_open_is_not_said_to_need_more_prompts():
    """With forty things in either of two templates the interval of things is narrow, and that of
    the two templates is as wide as Student's t of two numbers: 12.7 standard errors."""
    x = np.tile([2.0, 3.0], 40) + 0.1 * np.random.default_rng(0).normal(size=80)
    said = judged_of((2, 40), x)
    assert said.outcome == "undecided"
    words, command = said.remedy
    assert words.startswith("by prompts alone, the interval would be [2")
    assert "], and the claim would hold; more prompts do not help" in words
    assert "share a value of template (2 values), or of 1 other column, count as one unit" in words
    assert 'or write unit = "prompt" under the prompts' in words
    assert not command


def mirrored(x, pair=None):
    """Judge the mean of the prompts' numbers, with `pair` as their groups where it is given."""
    groups = {} if pair is None else {"prompt": {"pair": pair}}
    claim = Claim(
        text="c",
        value=lambda arm, arms: arm.x,
        low=0.0,
        units=("prompt",),
        groups=groups,
        must_fail=("none",),
        threshold_from="plan",
        source="s",
    )
    arm = xr.Dataset({"x": ("prompt", x)}, {"prompt": [f"{i}" for i in range(len(x))]})
    return judge(claim, {"main": arm, "none": arm - 9}).verdict


MIRRORED = {f"{i}": f"{i - i % 2}" for i in range(24)}
"""Twelve pairs, of which both prompts have the same number: only the pairs are independent."""


def test_mirrored_pairs_have_the_interval_of_their_first_halves():
    x = np.random.default_rng(5).normal(size=12)
    pairs, halves = mirrored(np.repeat(x, 2), MIRRORED), mirrored(x)
    assert [pairs.low, pairs.high] == pytest.approx([halves.low, halves.high])
    prompts = mirrored(np.repeat(x, 2))
    assert prompts.high - prompts.low < 0.8 * (pairs.high - pairs.low)


@pytest.mark.thorough
def test_the_interval_of_mirrored_pairs_contains_the_truth_and_that_of_their_prompts_too_seldom():
    draw, cases = np.random.default_rng(5), 400
    hits = {"pairs": 0, "prompts": 0}
    for _ in range(cases):
        x = np.repeat(draw.normal(size=12), 2)
        for way, pair in (("pairs", MIRRORED), ("prompts", None)):
            v = mirrored(x, pair)
            hits[way] += v.low <= 0 <= v.high
    assert hits["pairs"] >= 0.93 * cases and hits["prompts"] < 0.9 * cases


def test_a_column_of_written_out_texts_that_a_study_does_not_name_says_what_belongs_together():
    """Ten sentences, each of 24 things: whether the file has a list of texts or a column of them,
    the sentences are groups. So are topics; a difficulty of three levels is no sample of any."""
    openings = ("we all think", "they told me", "I heard that", "in the end", "she wrote of")
    sentences = [f"{o}, {end}, the {{}} was" for o in openings for end in ("so", "as they all say")]
    rows = tuple(
        {
            "text": sentences[i].format(f"thing{j}"),
            "template": f"t{i}",
            "topic": f"topic{i // 2 + 5 * (j % 2)}",
            "hard": "abc"[j % 3],
            "answer": " yes" if j % 2 else " no",
            "label": "xy"[j % 2],
        }
        for i in range(10)
        for j in range(24)
    )
    found = shared(load(Prompts(rows=rows), Path(), 'log_prob = " {answer}"'), range(240))
    assert {name: len({*of}) for name, of in found.items() if name != "filling"} == {
        "template": 10,
        "topic": 10,
    }
    assert found["template"] == [row["template"] for row in rows]
    stated = Prompts(rows=rows, unit="prompt")
    assert shared(load(stated, Path(), "-"), range(240)) == {}
