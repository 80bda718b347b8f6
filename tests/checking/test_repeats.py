"""What calls of a function leave behind is refused, and noise is not."""

import numpy as np
import pytest

import assay
from assay.core.errors import DataError

ROWS = [{"x": float(i)} for i in range(24)]
UP = np.eye(4)[0]


def check(hook, **options):
    given = {"prompts": ROWS, "holds": "effect > 0.2", "vector": UP, "draws": 2} | options
    return assay.check("", hook, cache=False, ledger=False, **given)


class Model:
    """A model with a list of hooks that each add a number; a call may forget to remove its own."""

    def __init__(self, forgets, flag=False) -> None:
        self.hooks: list[float] = []
        self.forgets, self.flag = forgets, flag

    def __call__(self, vector, prompts):
        before = list(self.hooks)
        self.hooks.append(0.0 if vector is None else float(vector.sum()))
        added = 0.0 if vector is None and self.flag else sum(self.hooks)
        if not self.forgets(vector):
            self.hooks = before
        return [0.01 * p["x"] + added for p in prompts]


@pytest.mark.parametrize(
    "forgets",
    [
        lambda vector: True,
        lambda vector: vector is not None,
        lambda vector: vector is not None and (vector == UP).all(),
        lambda vector: vector is not None and (vector == -UP).all(),
    ],
)
def test_hooks_that_are_never_removed_are_refused_whichever_call_leaves_them(forgets):
    with pytest.raises(DataError, match=r"something stays in the model, such as a hook"):
        check(Model(forgets))
    assert check(Model(lambda vector: False)).outcome in ("holds", "unspecific")


def test_what_each_call_moves_further_is_refused():
    """A counter that no call resets, and hooks that pile up and are off without the vector."""
    calls = []

    def counts(vector, prompts):
        calls.append(1)
        return [0.01 * p["x"] + 0.1 * len(calls) + (vector is not None) for p in prompts]

    with pytest.raises(DataError, match="each call of counts without the vector moves"):
        check(counts)
    piles = Model(lambda vector: vector is not None and (vector == UP).all(), flag=True)
    with pytest.raises(DataError, match="with the vector moves its numbers further"):
        check(piles)


@pytest.mark.parametrize("kind", ["each", "call", "with", "yes", "rare"])
def test_a_function_that_draws_at_random_is_not_refused(kind):
    """Noise of each prompt or of a call, with the vector only, of yes and no, and of few calls."""
    refused = 0
    for seed in range(4):
        draw = np.random.default_rng(seed)

        def hook(vector, prompts, draw=draw):
            moved = 0.0 if vector is None else float(vector[0])
            several = draw.normal(0, 0.1, len(prompts))
            noise = {
                "each": several,
                "call": several[:1],
                "with": several if vector is not None else 0.0,
                "yes": several > 0,
                "rare": several[0] > 0.15,
            }[kind]
            return np.array([0.01 * p["x"] for p in prompts]) + moved + noise

        try:
            notes = check(hook).notes
            assert kind == "rare" or any("two calls of hook differ" in n for n in notes)
        except DataError:
            refused += 1
    assert refused == 0  # by chance at most 1 in 50, for the rare kind
