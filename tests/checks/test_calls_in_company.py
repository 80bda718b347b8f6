"""A prompt's number that depends on the others in its call is seen, and rounding is not."""

import numpy as np
import pytest

from assay.checks.check import check
from assay.controls.things import Vector
from assay.errors import DataError

ROWS = [
    {"text": f"{i:x}" * (1 + i % 5), "own": float(x), "donor": float(y)}
    for i, (x, y) in enumerate(np.random.default_rng(0).normal(1, 0.3, (24, 2)))
]
UP = np.eye(8)[0]


def ask(steers, holds="effect > 0.5", level=lambda prompts: 0.0):
    """A claim about a function whose effect on each prompt is what `steers` gives for the prompts
    of a call, in proportion to a function of the vector that is 1 for `UP`."""

    def function(vector, prompts):
        own = np.array([p["own"] for p in prompts]) + level(prompts)
        by = 0 if vector is None else np.expm1(vector[0]) / np.expm1(1)
        return own + by * np.asarray(steers(prompts))

    return check("", function, ROWS, holds, Vector(UP), draws=2)


def codes(result):
    return {note.code for note in result.notes if note.code.startswith("batch")}


def at_the_end_of_the_batch(prompts):
    lengths = [len(p["text"]) for p in prompts]
    return [4.0 * (n == max(lengths)) for n in lengths]


@pytest.mark.parametrize(
    "steers",
    [
        lambda prompts: np.arange(1, len(prompts) + 1) / 3,
        lambda prompts: [3 * prompts[i - 1]["donor"] - 2 for i in range(len(prompts))],
        lambda prompts: [len(prompts) / 10] * len(prompts),
        at_the_end_of_the_batch,
        lambda prompts: [9.0 * (i == 0) + 0.9 for i in range(len(prompts))],
    ],
    ids=["hooks pile up", "the donor of the next prompt", "size", "padding", "first of the call"],
)
def test_effects_that_depend_on_the_call_never_hold(steers):
    """The number without the vector is steady in each of them."""
    result = ask(steers)
    assert codes(result) and result.outcome != "holds"


def test_effects_of_each_prompt_alone_have_no_note():
    assert not codes(ask(lambda prompts: [p["donor"] + 1 for p in prompts]))


def test_results_out_of_order_are_noted():
    """Sorted by length: each call has the right numbers, of other prompts."""

    def unsorted(prompts):
        order = np.argsort([len(p["text"]) for p in prompts], kind="stable")
        return np.array([3 * p["donor"] for p in prompts])[order]

    assert codes(ask(unsorted))


def test_a_level_that_cancels_is_only_noted():
    """It decides where the condition is on the number with the vector."""
    about = {"level": lambda prompts: len(prompts) / 10}
    result = ask(lambda prompts: [p["donor"] for p in prompts], **about)
    assert codes(result) == {"batch"} and result.outcome == "holds"
    result = ask(lambda prompts: [1.0] * len(prompts), "effect_after > 4", **about)
    assert codes(result) == {"batch-decides"} and result.outcome == "undecided"


@pytest.mark.parametrize("size", [1e-7, 0.01])
def test_rounding_in_other_batches_is_no_dependence(size):
    def rounded(prompts):
        return 1 + np.random.default_rng(len(prompts)).normal(0, size, len(prompts))

    result = ask(rounded)
    assert result.outcome == "holds" and not {n.code for n in result.notes} & {"noise", "batch"}


def test_one_number_for_the_whole_call_is_refused():
    def loss(vector, prompts):
        return [np.mean([p["own"] + (vector is not None) for p in prompts])] * len(prompts)

    def also(vector, prompts):
        return {"loss": loss(vector, prompts), "lead": [p["own"] for p in prompts]}

    with pytest.raises(DataError) as error:
        check("", loss, ROWS, "effect > 0.5", Vector(UP))
    assert error.value.code == "one-for-all"
    assert check("", also, ROWS, "lead > 0.5", Vector(UP)).outcome == "fails"


def attends(texts, side, masked):
    """A network of one head over the characters of padded texts: a number at each place, and which
    places are no padding."""
    rng, size = np.random.default_rng(0), max(map(len, texts))
    embed, places, w = (rng.normal(size=n).astype("f") for n in ((128, 8), (64, 8), 8))
    pads = [size - len(t) if side == "left" else 0 for t in texts]
    real = np.array(
        [[0 <= i - p < len(t) for i in range(size)] for t, p in zip(texts, pads, strict=True)]
    )
    ids = np.array([[*map(ord, t.rjust(size) if side == "left" else t.ljust(size))] for t in texts])
    at = np.maximum(np.cumsum(real, 1) - 1, 0) if masked else np.arange(size)[None]
    x = embed[ids] + places[at]
    sees = np.tri(size, dtype=bool)[None] & (
        real[:, None] | (not masked) | np.eye(size, dtype=bool)
    )
    scores = np.where(sees, np.exp(np.einsum("bid,bjd->bij", x, x) / 8), 0)
    return (x + scores / scores.sum(2, keepdims=True) @ x) @ w, real


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize(
    ("side", "masked", "reads", "noted"),
    [
        ("right", True, "end", True),  # the short ones are read at a pad
        ("left", False, "end", True),  # pads are attended to, and shift positions
        ("right", True, "all", True),  # a mean over pads
        ("right", True, "own", False),
        ("left", True, "end", False),
        ("right", False, "own", False),  # pads come later, where nothing looks at them
    ],
)
def test_padding_that_counts_is_noted(side, masked, reads, noted, least):
    """The first prompt is the shortest and the last one the longest, so that both together are
    padded as all are; not every function takes one prompt alone."""

    def read(vector, prompts):
        if len(prompts) < least:
            raise ValueError("a batch of one")
        x, real = attends(prompts, side, masked)
        last = [np.flatnonzero(r)[-1] for r in real]
        of_end = x[range(len(x)), last] if reads == "own" else x[:, -1]
        numbers = x.mean(1) if reads == "all" else of_end
        return numbers + (0 if vector is None else vector[0])

    texts = [f"This is {'abcdefghijklmnopqrstuvwxyz'[i:] + 'no' * i}" for i in range(24)]
    result = check("", read, texts, "effect > 0.5", Vector(np.eye(4)[0]), draws=1)
    assert bool(codes(result)) == noted
