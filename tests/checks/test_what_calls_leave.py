"""What calls of a function leave behind is refused, and noise is not."""

import numpy as np
import pytest

from assay.checks.check import check
from assay.controls.things import Heads, Vector
from assay.errors import DataError

ROWS = [{"x": float(i)} for i in range(24)]
UP = np.eye(4)[0]


def ask(hook, **options):
    return check("", hook, ROWS, "effect > 0.2", Vector(UP), **{"draws": 2} | options)


def refused(hook, code):
    with pytest.raises(DataError) as error:
        ask(hook)
    return error.value.code == code


class Model:
    """A model with a list of hooks that each add a number; a call may forget to remove its own."""

    def __init__(self, forgets, flag=False):
        self.hooks, self.forgets, self.flag = [], forgets, flag

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
def test_hooks_that_stay_are_refused(forgets):
    """Whichever call leaves them."""
    assert refused(Model(forgets), "leaves-something")


def test_hooks_that_are_removed_are_fine():
    assert ask(Model(lambda vector: False)).outcome in ("holds", "unspecific")


def test_each_call_moving_further_is_refused():
    """A counter that no call resets, and hooks that pile up and are off without the vector."""
    calls = []

    def counts(vector, prompts):
        calls.append(1)
        return [0.01 * p["x"] + 0.1 * len(calls) + (vector is not None) for p in prompts]

    assert refused(counts, "leaves-something")
    piles = Model(lambda vector: vector is not None and (vector == UP).all(), flag=True)
    assert refused(piles, "leaves-something")


@pytest.mark.parametrize("kind", ["each", "call", "with", "yes", "rare"])
def test_random_functions_are_not_refused(kind):
    """Noise of each prompt or of a call, with the vector only, of yes and no, and of few calls."""
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

        codes = [note.code for note in ask(hook).notes]
        assert kind in ("rare", "yes") or "noise" in codes


def test_noise_of_a_call_widens_the_interval():
    """What all prompts of a call share is not seen between prompts."""
    state = np.random.default_rng(0)

    def plain(vector, prompts):
        moved = 0.0 if vector is None else vector[0] + 0.3 * vector[1]
        return np.array([0.01 * p["x"] + moved * (1 + 0.01 * p["x"]) for p in prompts])

    noisy = ask(lambda vector, prompts: plain(vector, prompts) + state.normal(0, 0.2))
    (error,) = [float(note.data["by"]) for note in noisy.notes if note.code == "noise"]
    assert error > 0.01 and noisy.high - noisy.low > 2 * error
    assert noisy.high - noisy.low > ask(plain).high - ask(plain).low


def test_arguments_are_copies():
    """A function that changes what it gets changes nothing else."""

    def changes(vector, prompts):
        for p in prompts:
            p["x"] += 0.5
        if vector is not None:
            vector *= 2
        return [
            0.01 * p["x"] + (0 if vector is None else vector[0] * (1 + p["x"])) for p in prompts
        ]

    rows, up = [dict(p) for p in ROWS], UP.copy()
    check("", changes, rows, "effect > 0.2", Vector(up), draws=2)
    assert rows == ROWS and (up == UP).all()


@pytest.mark.parametrize("whole", [True, False])
def test_ignoring_the_thing_is_refused(whole):
    """At once where numbers are finer than counts, of which two prompts may agree by chance."""
    sizes = []

    def ignores(vector, prompts):
        sizes.append(len(prompts))
        return [p["x"] if whole else p["x"] / 7.3 for p in prompts]

    assert refused(ignores, "ignores")
    assert (max(sizes) == 2) == (not whole)


def test_no_number_of_any_prompt_is_refused():
    assert refused(lambda vector, prompts: [np.nan] * len(prompts), "no-number")


def test_prompts_that_are_not_reached_are_noted():
    def some(vector, prompts):
        reached = 0 if vector is None else vector[0]
        return [0.013 * p["x"] + (reached if p["x"] % 3 else 0) for p in prompts]

    (note,) = [note for note in ask(some).notes if note.code == "unmoved"]
    assert (note.data["n"], note.data["of"]) == (8, 24)


def test_several_heads_may_leave_something():
    left = []

    def hook(heads, prompts):
        left.extend(heads or ())
        return [0.1 * len(p) + len(left) for p in prompts]

    with pytest.raises(DataError) as error:
        check("", hook, ["x" * n for n in range(3, 20)], "effect > 1", Heads([(1, 2)], (4, 6)))
    assert error.value.code == "leaves-something"
