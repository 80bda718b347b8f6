"""The picture on the README's first screen: its words are the record's, it is whole in both widths,
and it repaints itself in the dark."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from assay.core.results import ResultData
from assay.lab.records import records
from assay.report import palette
from assay.report.tables import estimate_of
from marks import first

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=[first.WIDE, first.NARROW], ids=["wide", "narrow"])
def picture(request):
    return ElementTree.fromstring(first.draw(request.param))


def visible(root):
    """The words of each text."""
    for text in root.iter(f"{SVG}text"):
        yield text, " ".join("".join(text.itertext()).split())


def test_it_shows_the_claim_with_its_interval_threshold_and_the_controls_that_decided_it(picture):
    record = ResultData.from_json(records.read_file(first.RECORD, ""))
    said, claim = [words for _, words in visible(picture)], record.verdicts[first.CLAIM]
    assert "◐ unspecific" in said and claim.text in " ".join(said) and claim.threshold in said
    for entry in (claim, *(claim.controls[arm] for arm in first.CONTROLS)):
        assert " ".join(estimate_of(entry)) in said
    [passes] = [w for w in said if w.endswith("satisfies it too")]
    assert passes.startswith("! " + first.CONTROLS["agent/places"])


def test_controls_that_it_leaves_out_are_at_chance_by_construction():
    record = ResultData.from_json(records.read_file(first.RECORD, ""))
    left_out = {*record.verdicts[first.CLAIM].controls} - {*first.CONTROLS}
    assert all(arm.endswith(("/bag", "/embedding")) for arm in left_out)


def test_every_colour_is_one_of_the_palette_and_has_its_dark_value():
    drawn = first.draw(first.WIDE)
    assert "prefers-color-scheme:dark" in drawn
    used = set(re.findall(r"var\(--(\w+)\)", drawn))
    assert used <= set(palette.PALETTE)
    assert not re.search(r' (fill|stroke)="#', drawn)
