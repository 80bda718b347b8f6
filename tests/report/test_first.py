"""The picture on the README's first screen: its words are the record's, it is whole in both widths,
and it repaints itself in the dark."""

import re
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

from assay.core.results import ResultData
from assay.lab.records import records
from assay.report import palette
from assay.report.tables import estimate_of
from marks import first

SVG = "{http://www.w3.org/2000/svg}"
LETTER = 7.0
"""Pixels of a letter where 13 px of Verdana or DejaVu Sans stand in for the font."""


@pytest.fixture(params=[first.WIDE, (first.NARROW,)], ids=["wide", "narrow"])
def picture(request):
    return ElementTree.fromstring(first.draw_panels(request.param))


def words(root):
    return [
        " ".join("".join(e.itertext()).split())
        for e in root.iter("{http://www.w3.org/2000/svg}text")
    ]


def test_it_shows_the_claim_with_its_interval_threshold_and_controls(picture):
    record = ResultData.from_json(records.read(first.NAME))
    said, claim = words(picture), record.verdicts[first.CLAIM]
    assert f"● {claim.outcome}" in said and claim.text in " ".join(said)
    for entry in (claim, *claim.controls.values()):
        assert " ".join(estimate_of(entry)) in said
    assert [w for w in said if w.endswith("must fail")] and "≤ 0.97" in said


def test_it_shows_every_method_of_the_frontier_and_the_card(picture):
    said = words(picture)
    assert {
        "ReLU 1 ×",
        "ReLU 1.5 ×",
        "TopK 1 ×",
        "ReLU 1.5 × + rescale & shift",
        "Gated 1 ×",
    } <= set(said)
    assert f"smollm2/9-resid_pre-topk4608/{first.FEATURE}" in said
    assert len(picture.findall(".//{http://www.w3.org/2000/svg}rect[@class='fires']")) == 5


def test_nothing_is_drawn_beyond_its_panel(picture):
    width = float(picture.get("width"))
    for panel in picture.findall(f"{SVG}svg"):
        assert float(panel.get("x")) + float(panel.get("width")) <= width


def test_no_words_meet_or_leave_their_panel_in_a_wide_font(picture):
    for panel in picture.findall(f"{SVG}svg"):
        room = float(panel.get("width"))
        for text in panel.iter(f"{SVG}text"):
            words, x = "".join(text.itertext()), text.get("x", "0")
            if not text.get("text-anchor") and text.get("class") != "code" and "%" not in x:
                assert float(x) + LETTER * len(words) <= room, words
        for row in panel.iter(f"{SVG}g"):
            words = ["".join(text.itertext()) for text in row.findall(f"{SVG}text")]
            assert LETTER * sum(map(len, words)) <= 0.94 * room, words


def test_every_colour_is_one_of_the_palette_and_has_its_dark_value():
    drawn = first.draw_panels(first.WIDE)
    assert "prefers-color-scheme:dark" in drawn
    used = set(re.findall(r"var\(--(\w+)\)", drawn))
    assert used <= set(palette.PALETTE)
    assert not re.search(r' (fill|stroke)="#', drawn)


def test_a_kept_card_is_what_the_picture_reads():
    example = SimpleNamespace(tokens=("a", " b"), activations=(0.0, 1.23456), at=1)
    card = SimpleNamespace(
        address="m/1",
        density=0.25,
        maximum=1.23456,
        top=[example] * 9,
        promoted=[("x", 1.0)] * 9,
        suppressed=[("y", -1.0)] * 9,
    )
    kept = first.json.loads(first.card_to_json(card))
    assert kept["top"] == [{"tokens": ["a", " b"], "activations": [0.0, 1.235], "at": 1}] * 5
    assert kept["promoted"] == ["x"] * 3 and kept["suppressed"] == ["y"] * 3
    assert set(kept) == set(first.json.loads(first._card_path().read_text()))
