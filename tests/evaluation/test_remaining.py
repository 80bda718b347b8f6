"""The time that is left is the rest at the speed measured so far."""

import pytest

from assay.evaluation import watching
from assay.evaluation.watching import Remaining


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    return now


def test_loading_says_nothing_and_the_rest_goes_at_the_speed_so_far(clock):
    left = Remaining()
    left(0, 1000)
    clock[0] = 7
    left(100, 1000)
    assert left.seconds is None
    clock[0] = 17
    left(200, 1000)  # ten a second
    assert left.seconds == pytest.approx(80)
    clock[0] = 27
    left(500, 1000)  # thirty a second, twenty over all
    assert left.seconds == pytest.approx(25)


def test_what_was_stored_already_says_nothing_of_the_speed(clock):
    left = Remaining()
    for done in range(100, 900, 100):
        left(done, 1000)
    assert left.seconds is None
    clock[0] += 10
    left(900, 1000)
    assert left.seconds == pytest.approx(10)
