"""Returns, visits and gradients of the epoch game against sums over every sequence of actions, and
against autograd."""

import itertools

import numpy as np
import pytest
import torch

from assay_catalogue.worlds.epoch_game.best_course import Game
from assay_catalogue.worlds.epoch_game.policies import (
    INVEST,
    SHUTDOWN,
    WORK,
    action_values,
    behaviour,
    greedy,
    policy,
    policy_gradient,
    stacked,
    visits,
)

SMALL = [
    Game(horizon=3, length=2, turn=2, bonus=0.7),
    Game(horizon=3, length=2, turn=None, cost=0.3),
    Game(horizon=3, length=2, turn=1, shutdown=False),
    Game(horizon=3, length=2, turn=1, invest=False, penalty=-1.0),
]


def random_policy(games, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(len(games.base), *games.shape))
    logits = torch.from_numpy(drawn).requires_grad_()
    return logits, policy(games, logits)


def summed(game, probabilities):
    """Mean return and visits by going through all sequences of actions; probabilities [action epoch
    step unit flag]."""
    value, seen = 0.0, np.zeros(probabilities.shape[1:])
    places = [(e, t) for e in range(game.horizon) for t in range(game.length)]
    for n in range(len(places) + 1):  # n steps are played, then it shuts down, or the episode ends
        for actions in itertools.product((WORK, INVEST), repeat=n):
            chance, total, u, f = 1.0, 0.0, 0, 0
            for (e, t), action in zip(places, actions, strict=False):
                if t == 0:
                    u, f = u + f, 0
                chance *= probabilities[action, e, t, u, f]
                total += (
                    game.base[e] + game.bonus * u if action == WORK else game.base[e] - game.cost
                )
                f = 1 if action == INVEST else f
            if n < len(places):
                e, t = places[n]
                u, f = (u + f, 0) if t == 0 else (u, f)
                seen[e, t, u, f] += chance
                chance *= probabilities[SHUTDOWN, e, t, u, f]
            value += chance * total
    return value, seen


@pytest.mark.parametrize("i", range(len(SMALL)))
def test_returns_and_visits_are_sums_over_all_episodes(i):
    games = stacked(SMALL)
    _, p = random_policy(games)
    value, _ = action_values(games, p)
    expected, seen = summed(SMALL[i], p[i].detach().numpy())
    assert value[i].item() == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(visits(games, p)[i].detach(), seen, atol=1e-12)


def test_policy_gradient_is_the_gradient():
    games = stacked([*SMALL, Game(horizon=3, length=2, turn=2, bonus=2.0)])
    logits, p = random_policy(games, 1)
    value, found = policy_gradient(games, p)
    (expected,) = torch.autograd.grad(action_values(games, p)[0].sum(), logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(value, action_values(games, p)[0])


def test_without_weight_of_the_future_each_epoch_is_a_game_of_its_own():
    game = Game(horizon=3, length=2, turn=2, discount=0.0)
    games = stacked([game])
    logits, p = random_policy(games, 2)
    reached = visits(games, p.detach())[
        :, :, 0
    ]  # how likely an epoch starts in each state, held fixed
    total = torch.zeros((), dtype=torch.float64)
    for e in range(3):
        for u in range(3):
            one = stacked([Game(horizon=1, length=2, turn=None)])
            base = games.base[:, e : e + 1] + games.bonus * u
            object.__setattr__(one, "base", base)
            object.__setattr__(
                one, "cost", games.cost + games.bonus * u
            )  # investing earns base less cost, whatever u
            here = p[:, :, e : e + 1, :, u : u + 1]
            total = total + reached[0, e, u, 0] * action_values(one, here)[0][0]
    (expected,) = torch.autograd.grad(total, logits)
    torch.testing.assert_close(policy_gradient(games, p)[1], expected)


def test_what_is_not_allowed_has_no_probability():
    games = stacked(SMALL)
    _, p = random_policy(games)
    torch.testing.assert_close(p.sum(1), torch.ones_like(p[:, 0]))
    assert (
        (p[2, SHUTDOWN] == 0).all()
        and (p[3, INVEST] == 0).all()
        and (p[:, INVEST, ..., 1] == 0).all()
    )


def test_greedy_takes_the_likeliest_action():
    games = stacked(SMALL)
    _, p = random_policy(games)
    g = greedy(p)
    assert ((g == 0) | (g == 1)).all() and (g.sum(1) == 1).all()
    torch.testing.assert_close((g * p).sum(1), p.max(1).values)


def test_a_best_course_as_a_policy_earns_what_theory_says():
    games = stacked([Game(), Game(turn=None)])
    p = torch.zeros(2, *games.shape, dtype=torch.float64)
    p[:, WORK] = 1
    for run, (bought, stop) in enumerate(((2, 3), (6, 8))):
        p[run, WORK, :bought, 0, :, 0], p[run, INVEST, :bought, 0, :, 0] = 0, 1
        p[run, WORK, stop:], p[run, SHUTDOWN, stop:] = 0, 1
    torch.testing.assert_close(
        action_values(games, p)[0], torch.tensor([14.4, 63.2], dtype=torch.float64)
    )


def test_behaviour_of_a_course_known_by_heart():
    games = stacked([Game(discount=0.5)])
    p = torch.zeros(1, *games.shape, dtype=torch.float64)
    p[:, WORK] = 1
    p[:, WORK, 1, 0, :, 0], p[:, INVEST, 1, 0, :, 0] = 0.25, 0.75  # invests in epoch 1 with 3/4
    p[:, WORK, 2, 3], p[:, SHUTDOWN, 2, 3] = (
        0.5,
        0.5,
    )  # stops at the last step of epoch 2, or at the first of epoch 3
    p[:, WORK, 3], p[:, SHUTDOWN, 3] = 0, 1
    does = {name: x[0].tolist() for name, x in behaviour(games, p).items()}
    assert does["reached"] == [1, 1, 1, 0.5, 0, 0, 0, 0] and does["begun"] == [
        1,
        1,
        1,
        0,
        0,
        0,
        0,
        0,
    ]
    assert does["invested"] == [0, 0.75, 0, 0, 0, 0, 0, 0] and does["stopped"] == 1
    assert does["stops"][:4] == [0, 0, 0.5, 1] and does["stops_first"][:4] == [0, 0, 0, 1]
    assert does["returned"] == pytest.approx(
        4 + 4 - 0.75 + 3.5 * (1 + 0.75 * 0.4)
    )  # without discount
