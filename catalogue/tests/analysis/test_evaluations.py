"""The schedule of evaluations against histories worked out by hand, a naive loop over events, and
properties of random ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import DataError, SpecError
from assay_catalogue.analysis.evaluations import coverage, due

LATE = [(0, 1e21), (0.5, 3e21), (1, 9e21), (1.5, 2.7e22), (4.4, 2.8e22), (4.6, 2.9e22), (4.7, 2e23)]


def told(events, **options):
    """When and why, the initial evaluation left out."""
    found = due(events, **options)
    assert found[0].row == 0 and found[0].reasons == ("initial",)
    return [(d.months, *d.reasons) for d in found[1:]]


def test_compute_that_doubles_every_month_is_due_every_second():
    assert told([(k, 2.0**k) for k in range(9)]) == [(k, "compute") for k in (2, 4, 6, 8)]


def test_slow_growth_is_due_every_three_months():
    assert told([(k, 1.2**k) for k in range(13)]) == [(k, "time") for k in (3, 6, 9, 12)]


def test_a_limit_that_is_just_reached_counts_and_one_just_missed_does_not():
    events = [(0, 1), (1, 3.9), (1.5, 4), (2, 15.9), (2.5, 16), (4, 17), (5.5, 18)]
    assert told(events) == [(1.5, "compute"), (2.5, "compute"), (5.5, "time")]


def test_overshoot_is_not_credited_and_lateness_is_told():
    assert told(LATE) == [(1, "compute"), (4.4, "time"), (4.7, "compute")]
    first, second, third = due(LATE)[1:]
    assert first.growth == pytest.approx(9) and third.growth == pytest.approx(
        2e23 / 2.8e22
    ) == pytest.approx(7.142857, rel=1e-6)
    assert second.overdue == pytest.approx(0.4) and (first.overdue, third.overdue) == (0.0, 0.0)
    # anchors at the ideal thresholds 4e21 and 16e21 would have asked again at 1.5 months
    assert 2.7e22 / 4e21 > 4 and 1.5 not in [d.months for d in due(LATE)]


def test_both_reasons_are_told_compute_first():
    assert told([(0, 1), (3, 4)]) == [(3, "compute", "time")]


@pytest.mark.parametrize("start", [0.0, 0.1, 1 / 3, 700.7])
def test_rounding_does_not_move_a_limit(start):
    assert [d.row for d in due([(start + 0.1 * k, 1.0) for k in range(91)])] == [0, 30, 60, 90]
    assert [d.row for d in due([(start, 0.1 * 1.1**k) for k in range(9)], ratio=1.1**2)] == [
        0,
        2,
        4,
        6,
        8,
    ]
    assert all(d.overdue == 0 for d in due([(start + 0.1 * k, 1.0) for k in range(91)]))


def naive(events, ratio, months):
    rows, (t0, c0) = [0], events[0]
    for k, (t, c) in enumerate(events):
        if k and (c >= ratio * c0 * (1 - 1e-12) or t >= (t0 + months) * (1 - 1e-12)):
            rows, (t0, c0) = [*rows, k], (t, c)
    return rows


histories = st.lists(st.tuples(st.floats(0, 5), st.floats(1, 9)), min_size=1, max_size=30).map(
    lambda steps: list(
        zip(
            np.cumsum([t for t, _ in steps]).tolist(),
            np.cumprod([c for _, c in steps]).tolist(),
            strict=True,
        )
    )
)


@settings(max_examples=200)
@given(histories, st.floats(1.1, 10), st.floats(0.1, 8))
def test_random_histories_agree_with_a_loop_over_events_and_are_covered(events, ratio, months):
    found = due(events, ratio, months)
    assert [d.row for d in found] == naive(events, ratio, months)
    growth, gap = coverage(events, [d.row for d in found])
    t, c = np.array(events).T
    assert growth <= ratio * max([1.0, *(c[1:] / c[:-1])]) * (1 + 1e-9)
    assert gap <= (months + max([0.0, *np.diff(t)])) * (1 + 1e-9)


def test_schedules_that_keep_one_limit_only_leave_the_other_open():
    doubling, flat = [(k, 2.0**k) for k in range(13)], [(k, 1.0) for k in range(13)]
    assert coverage(doubling, [d.row for d in due(doubling)]) == (4.0, 2.0)
    assert coverage(
        [(2 * k, 4.0**k) for k in range(7)],
        [d.row for d in due([(2 * k, 4.0**k) for k in range(7)], ratio=math.inf)],
    ) == (16, 4)
    assert coverage(doubling, [0, 12]) == (4096.0, 12.0)
    assert coverage(doubling, [d.row for d in due(doubling, ratio=math.inf)]) == (8.0, 3.0)
    assert coverage(flat, [d.row for d in due(flat, months=math.inf)]) == (1.0, 12.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: due([]), DataError, "at least one event"),
        (lambda: due([(0, 1), (1, 0.5)]), DataError, "row 2: compute shrinks from 1 to 0.5"),
        (lambda: due([(0, 1), (2, 2), (1, 3)]), DataError, "row 3: time goes back, from 2 to 1"),
        (lambda: due([(0, 0)]), DataError, "row 1: compute must be finite and above 0"),
        (lambda: due([(0, 1), (math.nan, 1)]), DataError, "row 2: its time"),
        (lambda: due([(0, 1, 2)]), DataError, "rows of two numbers"),
        (lambda: due([(0, "much")]), DataError, "rows of two numbers"),
        (lambda: due([(0, 1)], ratio=1), SpecError, "ratio is how many times .* got 1"),
        (lambda: due([(0, 1)], ratio=math.nan), SpecError, "ratio is"),
        (lambda: due([(0, 1)], months=0), SpecError, "months is the time .* got 0"),
    ],
)
def test_bad_input_is_one_clear_line(call, error, words):
    with pytest.raises(error, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
