"""What a result shows. Truth: the verdict that it is made of, and the contracts of the formats:
HTML and LaTeX without the user's markup, one printable line for each."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.notes import NOTES, Note
from assay.verdicts import rule
from assay.verdicts.digits import number, with_interval
from assay.verdicts.result import REASONS, WIDTH, Estimate, Judged, Result, doubted
from assay.verdicts.rule import MOST, Control, Hypothesis, Verdict
from assay.verdicts.table import judge_table

H = Hypothesis(high=-2.0, of="cut", controls=(Control("head 2.4", ("head 2.4",)),))
BEATEN = rule.Tested("beaten", "head 2.4", -0.5, -0.57, -0.43, (-2.1, -2.4, -1.8), 0, 1)
VERDICT = Verdict("holds", "", "", -2.62, -3.0, -2.31, {"prompt": 24}, {"head 2.4": BEATEN})


def shown(verdict=VERDICT, text="cut.lead < -2", notes=(), scope=""):
    claim = Judged(text, "cut.lead < -2", H, verdict, {"head 2.4": "a head nearby"}, notes)
    return Result(text, (claim,), pd.DataFrame({"arm": ["cut"]}), scope)


def test_the_text_has_both_numbers():
    """The estimate against the range, and the lead over the control."""
    text = str(shown())
    for part in ("● holds", "−2.6 [−3.0, −2.3]", "24 prompts", "head 2.4", "−0.50 [−0.57, −0.43]"):
        assert part in text
    assert "−2.1 [−2.4, −1.8]" in text and "−2.6 [−3.0, −2.3]" in repr(shown())


def test_draws_are_counted():
    some = replace(BEATEN, outcome="open", satisfied=3, draws=20)
    text = str(shown(replace(VERDICT, controls={"random": some})))
    assert (
        "3 of 20" in text
        and "3 of 20" in shown(replace(VERDICT, controls={"random": some})).to_markdown()
    )


@pytest.mark.parametrize("reason", sorted({*REASONS, "no-test"} - {"open"}))
def test_every_reason_has_words(reason):
    v = replace(VERDICT, outcome="undecided", reason=reason, about="head 2.4")
    first, _, third, *_ = str(shown(v)).splitlines()
    assert first.startswith("○ undecided") and len(third.strip()) > 5 and "{" not in third
    assert f"({reason})" in shown(v).to_markdown()


def test_prices_and_thresholds_are_shown():
    v = replace(VERDICT, outcome="undecided", reason="straddles", price=("prompt", 61))
    assert "61 prompts" in str(shown(v))
    assert str(MOST) not in str(shown(replace(v, price=("prompt", MOST + 1))))
    v = replace(VERDICT, outcome="unspecific", reason="control", thresholds=(0.18, 0.39))
    assert "0.18" in str(shown(v)) and "0.39" in str(shown(v))


def test_each_note_is_a_line():
    notes = (Note("averaged", {"n": 9, "cells": 3}), Note("no-test", {"control": "c", "why": "w"}))
    lines = str(shown(notes=notes, scope="one model")).splitlines()
    assert [line.split(":")[0].strip() for line in lines[-3:]] == ["note", "doubt", "scope"]
    assert all(str(note) in text for note, text in zip(notes, lines[-3:], strict=False))


def test_a_doubt_makes_holds_undecided():
    doubt, note = Note("no-test", {"control": "c", "why": "w"}), Note("tried", {"n": 2, "level": 1})
    v = doubted(VERDICT, [note, doubt])
    assert (v.outcome, v.reason, v.estimate) == ("undecided", "no-test", VERDICT.estimate)
    assert doubted(VERDICT, [note]) == VERDICT
    assert doubted(replace(VERDICT, outcome="fails"), [doubt]).outcome == "fails"


def test_doubts_reach_a_verdict(monkeypatch):
    doubt = Note("no-test", {"control": "c", "why": "w"})
    monkeypatch.setattr("assay.verdicts.table.doubts", lambda case, verdict: (doubt,))
    rows = {"arm": ["a"] * 8, "seed": range(8), "x": [1, 2, 3, 4, 5, 6, 7, 8.5]}
    result = judge_table(rows, "a.x > 1", "seed")
    assert (result.outcome, result.verdict.reason, result.notes) == (
        "undecided",
        "no-test",
        (doubt,),
    )


# ---- formats -------------------------------------------------------------------------------------

HOSTILE = (
    "=cmd|'/C calc'!A0 <script>alert(1)</script> \x1b[31m \u202e & % $ _ # { } \\ ~ ^ | [x](y)"
)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = list[str]()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


def test_hostile_names_stay_text():
    result = shown(text=HOSTILE, scope=HOSTILE)
    assert {*Tags(result._repr_html_()).tags} == {
        *("div", "table", "thead", "tbody", "tr", "th", "td", "ul", "li")
    }
    assert "\x1b" not in str(result) and "\u202e" not in str(result) + result._repr_html_()
    (row,) = (x for x in result.to_markdown().splitlines() if "alert" in x)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6 and "<script" not in row.replace("\\<", "")
    (row,) = (x for x in result.to_latex().splitlines() if "alert" in x)
    cells = row.removesuffix(r" \\")
    assert not re.search(r"(?<!\\)[%#_]|\\(?!text|space|times|[&%$#_{}])", cells)


def test_the_table_has_a_row_for_each_arm():
    claim, control = shown().to_pandas().to_dict("records")
    assert (claim["role"], claim["arm"], claim["n_prompt"]) == ("method", "cut", 24)
    assert (control["role"], control["arm"], control["why"]) == (
        "control",
        "head 2.4",
        "a head nearby",
    )
    assert (claim["low"], control["lead_high"]) == (VERDICT.low, -1.8)


def test_claims_survive_json():
    claims = shown(notes=(Note("tried", {"n": 2, "level": 0.97}),)).claims
    (found,) = msgspec.json.decode(msgspec.json.encode(claims))
    assert found["verdict"]["estimate"] == VERDICT.estimate and found["h"]["low"] is None
    assert found["notes"] == [{"code": "tried", "data": {"n": 2, "level": 0.97}}]


def test_lines_fit_and_intervals_stay_whole():
    text = str(shown(text="word " * 40, scope="long " * 60))
    assert max(map(len, text.splitlines())) <= WIDTH
    wide = {f"control {k}": BEATEN for k in range(3)}
    many = replace(
        VERDICT,
        controls={
            f"{name} {'of a long name ' * k}": t for k, (name, t) in enumerate(wide.items(), 3)
        },
    )
    for line in str(shown(many)).splitlines():
        assert line.count("[") == line.count("]")


def test_an_estimate_is_one_line():
    assert str(Estimate("mean(x)", 0.5123, 0.4, 0.6, {"seed": 8, "document": 1})) == (
        "mean(x) = 0.51 [0.40, 0.60], 8 seeds × 1 document"
    )


# ---- digits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((-2.62, -3.0, -2.31), "−2.6 [−3.0, −2.3]"),
        ((-0.03576, -0.037039, -0.034507), "−0.0358 [−0.0370, −0.0345]"),
        ((0.997, 0.994, 1.0), "0.997 [0.994, 1.000]"),
        ((0.787, 0.561, 1.012), "0.79 [0.56, 1.01]"),
        ((-0.0006021, -0.00506, 0.00293), "−0.0006 [−0.0051, 0.0029]"),
        ((12.0, 5.0, 20.0), "12 [5, 20]"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((-1e-9, -1.0, 1.0), "0.0 [−1.0, 1.0]"),
        ((3.25, math.nan, math.nan), "3.25 [no interval]"),
        ((math.nan, math.nan, math.nan), "– [no interval]"),
    ],
)
def test_digits_are_those_that_the_interval_supports(numbers, text):
    assert with_interval(*numbers) == text


def test_limits_are_not_shown_as_thresholds():
    assert with_interval(-2.6, -3.0, -1.996, (-2.0, math.inf)) == "−2.600 [−3.000, −1.996]"


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e6), st.floats(1e-9, 1e6))
def test_what_is_shown_is_the_number(x, down, up):
    low, high = x - down, x + up
    found = [
        float(t.replace("−", "-"))
        for t in re.findall(r"−?[\d.]+(?:e[−+]?\d+)?", with_interval(x, low, high))
    ]
    size = max(abs(low), abs(high))
    assert found == pytest.approx([x, low, high], abs=(high - low) / 4 + 1e-3 * size)


@given(st.floats(allow_nan=True, allow_infinity=True), st.none() | st.integers(0, 9))
def test_nothing_is_minus_zero(x, decimals):
    assert not re.fullmatch(r"−0\.?0*", number(x, decimals))


def test_notes_of_tables_are_no_doubts():
    assert not any(NOTES[code].doubt for code in ("averaged", "left-out", "tried"))
