"""Text from outside is text: no terminal obeys it, no drawing ends in an error because of it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.figures import Figure
from assay.core.plain import plain
from assay.report import draw
from marks import pictures

EVIL = "a\x1b[31mred\x00\x07\x9b2J\u202egnirts\ud800\ufffe[/bold][link=x]:smile:<b>&amp;"


@given(st.text(st.characters()))
def test_what_is_left_is_shown_and_can_be_encoded(text):
    found = plain(text)
    assert len(found) == len(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") or c in "\t\n" for c in found)
    assert found.encode("utf-8").decode("utf-8") == found == plain(found)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Cn"])))
def test_ordinary_text_is_left_alone(text):
    assert plain(text) == text


@pytest.mark.parametrize("drawn", [draw.svg, pictures.svg, pictures.png])
def test_a_figure_of_evil_names_is_drawn(drawn):
    figure = Figure(
        EVIL,
        {"x": [1, 2], "y": [1, 2], "who": [EVIL, EVIL + "2"]},
        "line",
        x="x",
        y="y",
        color="who",
        x_title=EVIL,
        y_title=EVIL,
    )
    assert drawn(figure)
