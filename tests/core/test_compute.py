"""Ranges multiply by their worst cases; times are read; what is refused."""

import pytest

from assay.core.compute import Range, duration
from assay.core.errors import DataError


def test_ranges_multiply_by_their_worst_cases():
    assert Range(1, 2) * Range(3, 5) == Range(3, 10)
    assert Range(1, 2) + 1 == Range(2, 3)
    assert 2 * Range(1, 2) == Range(2, 4)
    assert Range.about(6, 1.5) == Range(4, 9)
    assert Range(4, 9).middle == 6.0
    assert Range(0, 4).middle == 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Range(2, 1),
        lambda: Range(-1, 1),
        lambda: duration("-5m"),
        lambda: duration("0m"),
        lambda: duration("soon"),
        lambda: duration("5"),
        lambda: duration("1e15flop"),
        lambda: duration("8h@h200"),
        lambda: duration("1.2.3h"),
        lambda: duration("1e999h"),
        lambda: duration("1e61s"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(wrong):
    with pytest.raises(DataError) as e:
        wrong()
    assert "\n" not in str(e.value)


def test_times_are_read_in_seconds():
    assert [duration(t) for t in ("90s", "5m", "5min", "2h", "1.5d", " 2H ")] == [
        90,
        300,
        300,
        7200,
        129600,
        7200,
    ]
