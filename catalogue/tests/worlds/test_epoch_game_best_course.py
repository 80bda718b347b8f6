"""The epoch game against hand-worked numbers, every sequence of actions of small games, and sums
over all places to stop."""

import itertools

import numpy as np
import pytest

from assay_catalogue.worlds.epoch_game.best_course import Course, Game, best, counting


def played(game, actions):
    """The return and the epochs of investing of a sequence of actions, or None where one of them is
    not allowed."""
    total, units, bought = 0.0, 0, []
    for i, action in enumerate(actions):
        e = i // game.length
        if i % game.length == 0:
            units = len(bought)
        if action == "work":
            total += game.base[e] + game.bonus * units
        elif action == "invest":
            if not game.invest or e in bought:
                return None
            total += game.base[e] - game.cost
            bought.append(e)
        else:
            return (total, bought) if game.shutdown else None
    return total, bought


@pytest.mark.parametrize(
    ("game", "returned", "invests", "steps"),
    [
        (Game(), 14.4, (0, 1), 12),
        (Game(turn=1), 4.0, (), 4),
        (Game(turn=2), 8.6, (0,), 8),
        (Game(turn=4), 21.6, (0, 1), 16),
        (Game(turn=None), 63.2, tuple(range(6)), 32),
        (Game(penalty=-1.0), 23.2, tuple(range(6)), 32),
        (Game(shutdown=False), -16.8, tuple(range(6)), 32),
        (Game(shutdown=False, invest=False), -48.0, (), 32),
        (Game(invest=False), 12.0, (), 12),
        (Game(invest=False, penalty=-1.0), 12.0, (), 12),
        (Game(turn=None, discount=0.0), 32.0, (), 32),
        (Game(discount=0.0), 12.0, (), 12),
    ],
)
def test_best_courses_worked_out_beforehand(game, returned, invests, steps):
    found = best(game)
    assert found.returned == pytest.approx(returned, abs=1e-9)
    assert (found.invests, found.steps) == (invests, steps)


@pytest.mark.parametrize("bonus", [0.4, 1.5])
@pytest.mark.parametrize(
    "more", [{}, {"penalty": -0.5}, {"turn": None}, {"shutdown": False}, {"turn": 1, "cost": 0.2}]
)
def test_no_sequence_of_actions_is_better(more, bonus):
    for horizon, length in ((4, 2), (3, 3), (2, 4)):
        game = Game(
            **{"horizon": horizon, "length": length, "turn": horizon - 1, "bonus": bonus, **more}
        )
        ends = [
            played(game, list(s))
            for s in itertools.product(("work", "invest", "shutdown"), repeat=horizon * length)
        ]
        assert best(game).returned == pytest.approx(max(end[0] for end in ends if end), abs=1e-9)


def test_a_best_course_is_worth_what_it_says():
    game = Game()
    actions = ["invest", *["work"] * 3] * 2 + ["work"] * 4 + ["shutdown"]
    assert played(game, actions) == (pytest.approx(14.4), [0, 1])


def test_units_bought_first_are_counted_and_others_are_not():
    assert best(Game()).at_first == 2 and best(Game(turn=1)).at_first == 0
    assert np.isnan(Course(1.0, (0, 2), 12).at_first)


def test_units_are_a_clock():
    assert counting(Game()) == pytest.approx(12.6)
    rule = ["invest", *["work"] * 3] * 3 + ["shutdown"]
    assert played(Game(), rule)[0] == pytest.approx(12.6)
    other = ["invest", *["work"] * 3] * 2 + ["work"] * 3 + ["shutdown"]
    assert played(Game(), other)[0] == pytest.approx(12.6)
