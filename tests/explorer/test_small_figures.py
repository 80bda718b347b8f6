"""Small figures: a bar for each count, as high as its share of the highest, and the numbers in
words."""

import re

import pytest

from assay.explorer import figures


def bars(svg):
    return [
        (float(x), float(h))
        for x, h in re.findall(r'class="bar" x="([\d.]+)%"[^>]* height="([\d.]+)"', svg)
    ]


def test_bars_are_as_high_as_their_counts_and_an_empty_bin_has_none():
    svg = figures.histogram([4, 0, 1, 2], [0, 1, 2, 3, 4], "things")
    assert bars(svg) == [(0.0, figures.HIGH), (50.0, figures.HIGH / 4), (75.0, figures.HIGH / 2)]
    assert re.findall("<title>(.*?)</title>", svg) == [
        "0 to 1: 4 tokens",
        "1 to 2: 0 tokens",
        "2 to 3: 1 token",
        "3 to 4: 2 tokens",
    ]
    assert "tokens in each: 4, 0, 1, 2" in svg


def test_one_among_many_is_still_seen():
    assert bars(figures.histogram([100_000, 1], [0, 1, 2], "things"))[1][1] >= 1


def test_an_interval_stands_where_it_is():
    assert figures.histogram([], [], "things") == ""
    svg = figures.interval(2, 1, 3, "x")
    assert float(re.search(r'class="dot" cx="([\d.]+)%"', svg)[1]) == pytest.approx(
        100 * (2 + 0.18) / 3.36, abs=0.01
    )


def test_what_is_given_as_text_is_escaped():
    assert "<b>" not in figures.histogram([1], [0, 1], "<b>", "<b>") + figures.interval(
        1, 0, 2, "<b>"
    )
