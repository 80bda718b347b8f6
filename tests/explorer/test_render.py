"""Numbers and words as pages show them."""

import pytest

from assay.explorer import render


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (0.0, "0"),
        (1234567, "1,234,567"),
        (0.12345, "0.123"),
        (-0.5, "−0.500"),
        (12.3456, "12.3"),
        (99999.5, "100,000"),
        (1.5e-7, "1.50e−7"),
        (2.5e9 + 0.5, "2.50e9"),
        (0.00012345, "0.000123"),
        (3.0, "3"),
        (99.97, "100"),
        (9.9996, "10.0"),
        (1234.5, "1,234"),
    ],
)
def test_numbers_have_three_digits(value, shown):
    assert render.number(value) == shown


@pytest.mark.parametrize(
    ("firings", "occurrences", "shown"),
    [(1, 1, "1 of 1"), (2, 3000, "2 of 3,000"), (3, 4, "75%")],
)
def test_a_share_of_few_firings_is_given_as_counts(firings, occurrences, shown):
    row = {"firings": firings, "recall": firings / occurrences}
    assert render.recall(row) == shown


def test_a_number_that_is_a_name_has_no_comma():
    assert [render.cell(2155, c) for c in ("feature", "nearest", "firings")] == [
        "2155",
        "2155",
        "2,155",
    ]
    assert render.cell(None, "antipode") == "–"


def test_signs_are_said_where_either_is_possible():
    assert [render.signed(v) for v in (0.5, -0.5, 0.0, None)] == ["+0.500", "−0.500", "0", "–"]


def test_an_interval_decides_how_many_digits_its_number_has():
    row = {"importance": 0.012345, "importance_low": 0.0100, "importance_high": 0.0147}
    assert render.interval(row, "importance") == "0.012 [0.010, 0.015]"
    tiny = {"importance": -4.957e-5, "importance_low": -5.1e-5, "importance_high": -4.8e-5}
    assert render.interval(tiny, "importance") == "−4.96e−5 [−5.10e−5, −4.80e−5]"
    assert render.estimated(2e-8, -1e-7, 1.4e-7) == "0.20e−7 [−1.00e−7, 1.40e−7]"
    assert (
        render.interval(
            {"importance": None, "importance_low": None, "importance_high": None}, "importance"
        )
        == "–"
    )


@pytest.mark.parametrize(
    ("share", "step"), [(0, 0), (-1, 0), (float("nan"), 0), (1e-9, 1), (0.5, 10), (1, 20), (7, 20)]
)
def test_what_is_on_is_shaded(share, step):
    assert render.level(share) == step
    assert f".a{step}{{" in render.style()
