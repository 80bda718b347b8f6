"""The time that making an index still takes is one over all that is done for it."""

import itertools

import pytest

from assay.evaluation import remaining
from assay.evaluation.remaining import PHASES, Phase, Remaining

TOKENS, OUT, IN_PLACE, BESIDE, FEATURES = PHASES


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(remaining.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        remaining,
        "PHASES",
        {
            name: Phase(name, name, cost)
            for name, cost in zip(PHASES, (1, 10, 5, 5, 2), strict=True)
        },
    )
    return now


def begun():
    left = Remaining()
    for name, total in ((TOKENS, 1000), (OUT, 20), (IN_PLACE, 20), (BESIDE, 20), (FEATURES, 100)):
        left(name, 0, total)
    return left


def test_what_comes_later_is_part_of_the_time_left(clock):
    left = begun()
    assert left.seconds is None and left.share == 0
    clock[0] = 7  # loading
    left(TOKENS, 100, 1000)
    clock[0] = 17
    left(TOKENS, 200, 1000)  # ten a second
    assert left.share == pytest.approx(200 / (1000 + 200 + 200 + 200))
    assert left.seconds == pytest.approx((1600 - 200) / 10)
    assert left.phase.words == TOKENS and (left.done, left.total) == (200, 1000)


def test_a_phase_goes_at_its_own_speed_and_no_share_falls(clock):
    left, shares = begun(), []
    for name, done, total in itertools.chain(
        ((TOKENS, n, 1000) for n in range(100, 1001, 100)),
        ((OUT, n, 16) for n in (4, 8, 16)),
        ((where, n, 20) for where in (IN_PLACE, BESIDE) for n in (10, 20)),
    ):
        clock[0] += 10
        left(name, done, total)
        shares.append(left.share)
    assert shares == sorted(shares)
    assert left.seconds == pytest.approx(200 * (90 + 30 + 40) / (900 + 160 + 200))


def test_what_was_found_says_nothing_of_the_speed(clock):
    left = begun()
    for done in range(100, 900, 100):
        left(TOKENS, done, 1000)
    assert left.seconds is None
    clock[0] += 10
    left(TOKENS, 900, 1000)
    assert left.seconds == pytest.approx((100 + 600) / 10)
