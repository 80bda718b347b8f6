"""Agents of the epoch game: an unbiased estimate, what is shown, runs alone and among others, and
resuming."""

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.train import rng
from assay_catalogue.worlds.epoch_game import agents
from assay_catalogue.worlds.epoch_game.best_course import Game
from assay_catalogue.worlds.epoch_game.policies import behaviour, policy, policy_gradient, stacked

GAME = Game(horizon=3, length=2, turn=2, bonus=0.8)


def trained(seeds, kind, steps=50, bench=None, games=GAME):
    runs = Runs([Spec(seed=s) for s in seeds])
    seen = np.ones(len(seeds), bool)
    if kind == "table":
        world = stacked([games] * len(seeds))
        return agents.train(
            runs,
            world,
            agents.table(runs.seeds, world, 0.1),
            seen,
            seen,
            lr=0.5,
            steps=steps,
            bench=bench or Unkept(),
        )
    world = stacked([games] * len(seeds), torch.float32)
    start = agents.network(runs.seeds, world, 16)
    return agents.train(
        runs, world, start, seen, seen, lr=3e-3, steps=steps, episodes=32, bench=bench or Unkept()
    )


def test_sampled_gradient_is_unbiased():
    games = stacked([GAME])
    p = policy(games, torch.from_numpy(np.random.default_rng(0).normal(size=(1, *games.shape))))
    value, exact = policy_gradient(games, p)
    found = [
        agents.sampled_gradient(
            games, p, torch.from_numpy(rng.uniform(np.array([0]), "test", i, (6, 64)))
        )
        for i in range(600)
    ]
    estimates, returns = (
        torch.stack([g for _, g in found])[:, 0],
        torch.stack([r for r, _ in found])[:, 0],
    )
    error = estimates.std(0) / len(found) ** 0.5
    off = (estimates.mean(0) - exact[0]).abs()
    assert (off <= 4.5 * error + 1e-9).all()  # 216 numbers
    assert float(error.max()) < 0.05 * float(exact.abs().max())
    assert abs(float(returns.mean() - value)) < 4 * float(returns.std()) / len(found) ** 0.5


def test_sampled_episodes_do_only_what_is_allowed():
    games = stacked(
        [Game(horizon=2, length=2, turn=1, shutdown=False, invest=False)], torch.float32
    )
    p = policy(games, torch.zeros(1, *games.shape))
    returned, gradient = agents.sampled_gradient(games, p, torch.ones(1, 4, 3) - 1e-7)
    assert float(returned) == 2 * 1 - 2 * 3 and (gradient == 0).all()


def test_what_is_hidden_looks_like_the_first():
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 3, 4, 2, 4, 2)))
    index, units = torch.tensor([True, False, False]), torch.tensor([True, True, False])
    seen = agents.mask_logits(logits, index, units)
    torch.testing.assert_close(seen[0], logits[0])
    for e in range(4):
        torch.testing.assert_close(seen[1, :, e], logits[1, :, 0])
        for u in range(4):
            torch.testing.assert_close(seen[2, :, e, :, u], logits[2, :, 0, :, 0])


def test_a_shifted_index_shows_other_epochs():
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 4, 2, 4, 2)))
    for by, read in ((1, (1, 2, 3, 3)), (-1, (0, 0, 1, 2)), (0, (0, 1, 2, 3))):
        seen = agents.shifted(logits, by)
        for e, other in enumerate(read):
            torch.testing.assert_close(seen[:, :, e], logits[:, :, other])


def test_a_network_is_the_plain_formula():
    games = stacked([Game()], torch.float32)
    params = agents.network(np.array([5]), games, 8)
    got = agents.logits_of(params, games)
    for e, t, u, f in ((0, 0, 0, 0), (3, 2, 1, 1), (7, 3, 6, 0)):
        x = np.zeros(14)
        x[e] = x[8 + t] = 1
        x[12], x[13] = u / 2, f
        hidden = np.maximum(x @ params["W1"][0].double().numpy() + params["b1"][0].numpy(), 0)
        expected = hidden @ params["W2"][0].double().numpy() + params["b2"][0].numpy()
        np.testing.assert_allclose(got[0, :, e, t, u, f], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["table", "network"])
def test_a_run_alone_is_the_run_among_others(kind):
    together, alone = trained(range(4), kind), trained([2], kind)
    for name, x in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name][2:3], x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["table", "network"])
def test_a_resumed_training_is_the_whole_one(kind):
    class Kept(Unkept):
        """A bench that saves once, after 20 steps, or goes on from there."""

        def __init__(self, saved=None):
            self.given, self.saved, self.asked = saved, None, 0

        def restore(self):
            return self.given

        def due(self):
            self.asked += 1
            return self.asked == 20

        def save(self, step, tensors):
            self.saved = self.saved or (step, {k: v.clone() for k, v in tensors.items()})

    first = Kept()
    whole = trained([3, 4], kind, bench=first)
    assert first.saved[0] == 20
    again = trained([3, 4], kind, bench=Kept(first.saved))
    for name, x in whole.tensors.items():
        torch.testing.assert_close(again.tensors[name], x, rtol=0, atol=0)
    np.testing.assert_array_equal(again.history["loss"], whole.history["loss"])


@pytest.mark.parametrize(("kind", "steps", "least"), [("table", 600, 6.9), ("network", 400, 6.5)])
def test_agents_learn_to_stop_at_the_turn(kind, steps, least):
    game = Game(
        horizon=3, length=2, turn=2, bonus=2.0, penalty=-6.0
    )  # best: invest at once, 1 − 1 + 1 + 2 · 3 = 7, then stop
    done = trained(range(3), kind, steps=steps, games=game)
    games = stacked([game] * 3, torch.float64 if kind == "table" else torch.float32)
    does = behaviour(games, policy(games, agents.logits_of(done.tensors, games)))
    assert (does["returned"] > least).all() and (does["returned"] <= 7 + 1e-5).all()
    assert (does["begun"][:, :2] > 0.95).all() and (does["begun"][:, 2] < 0.05).all()
    np.testing.assert_allclose(
        -done.history["loss"][:, -1], does["returned"], atol=0.1
    )  # the loss is minus the mean return


def test_parts_are_the_arms():
    done = trained(range(5), "table", steps=3)
    first, second = agents.parted(done, [2, 3])
    torch.testing.assert_close(
        torch.cat((first.tensors["logits"], second.tensors["logits"])), done.tensors["logits"]
    )
    assert len(first.diverged) == 2 and second.history["loss"].shape[0] == 3
