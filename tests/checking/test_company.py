"""A prompt's number that depends on the others in its call is seen, and rounding is not."""

import numpy as np
import pytest

import assay
from assay.core.errors import DataError

ROWS = [
    {"text": f"{i:x}" * (1 + i % 5), "own": float(x), "donor": float(y)}
    for i, (x, y) in enumerate(np.random.default_rng(0).normal(1, 0.3, (24, 2)))
]
UP = np.eye(8)[0]
DOUBT = ", unless the other prompts in the call are the cause: "
NOTE = "depends on which others are in the call"


def check(steers, holds="effect > 0.5", level=lambda prompts: 0.0):
    """A claim about a function whose effect on each prompt is what `steers` gives for the prompts
    of a call, in proportion to a function of the vector that is 1 for `UP`."""

    def function(vector, prompts):
        own = np.array([p["own"] for p in prompts]) + level(prompts)
        return own + (
            0 if vector is None else np.expm1(vector[0]) / np.expm1(1) * np.asarray(steers(prompts))
        )

    given = {"prompts": ROWS, "holds": holds, "vector": UP, "draws": 2}
    return assay.check("", function, cache=False, ledger=False, **given)


def has_note(v):
    return any(NOTE in note for note in v.notes)


def at_the_end_of_the_batch(prompts):
    """Only the longest prompts have no padding where the change is made."""
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
def test_an_effect_that_depends_on_the_call_is_a_doubt_in_the_first_line(steers):
    """The number without the vector is steady in each of them."""
    v = check(steers)
    assert has_note(v)
    if v.outcome in ("holds", "fails"):
        assert DOUBT in repr(v).partition("\n")[0]
    assert not has_note(check(lambda prompts: [p["donor"] + 1 for p in prompts]))


def test_a_change_that_reaches_the_first_prompt_alone_is_what_the_first_line_says():
    """As a hook does that takes the first row of a tensor for the first part of a tuple."""
    lines = repr(v := check(lambda prompts: [9.0 * (i == 0) for i in range(len(prompts))]))
    first = lines.partition("\n")[0]
    assert v.outcome == "undecided" and "23 of 24 prompts have exactly the same number" in first
    assert NOTE in first and "bounds" not in lines
    assert "exactly the same" in v.remarks[0] and NOTE in v.remarks[1]
    some = check(lambda prompts: [2.0 * ("3" not in p["text"]) for p in prompts])
    assert "exactly the same" not in repr(some).partition("\n")[0]


def test_a_claim_that_fails_because_of_the_call_says_so_as_one_that_holds_does():
    v = check(lambda prompts: [0.1 if len(prompts) == 24 else 0.9] * len(prompts))
    assert repr(v).startswith("fails" + DOUBT)
    assert repr(check(lambda prompts: [0.1] * len(prompts))).startswith("fails: ")


def test_results_that_are_not_put_back_in_order_are_noted():
    """Sorted by length: each call has the right numbers, of other prompts."""

    def unsorted(prompts):
        order = np.argsort([len(p["text"]) for p in prompts], kind="stable")
        return np.array([3 * p["donor"] for p in prompts])[order]

    assert has_note(check(unsorted))


def test_a_level_that_cancels_from_the_effect_is_noted_and_not_the_cause_of_it():
    """Where the condition is on the effect; it is where it is on the number with the vector."""
    v = check(lambda prompts: [1.0] * len(prompts), level=lambda prompts: len(prompts) / 10)
    assert has_note(v) and repr(v).startswith("holds: ")
    options = {"holds": "effect_after > 4", "level": lambda prompts: len(prompts) / 10}
    v = check(lambda prompts: [1.0] * len(prompts), **options)
    assert repr(v).startswith("holds" + DOUBT)


@pytest.mark.parametrize("size", [1e-7, 0.01])
def test_rounding_in_batches_of_another_size_is_neither_noise_nor_a_dependence(size):
    def rounded(prompts):
        draw = np.random.default_rng(len(prompts))
        return 1 + draw.normal(0, size, len(prompts))

    v = check(rounded)
    assert repr(v).startswith("holds: ")
    assert not any("two calls" in note or NOTE in note for note in v.notes)


@pytest.mark.thorough
def test_answers_that_are_drawn_with_one_seed_in_each_call_are_no_doubt_in_the_first_line():
    """Each answer is right by itself, so the share of yes does not depend on the call."""
    doubts = 0
    for seed in range(20):

        def answers(vector, prompts, seed=seed):
            share = 0.1 if vector is None or vector[0] < 0.9 else 0.8
            return np.random.default_rng(seed).random(len(prompts)) < share

        given = {"prompts": ROWS, "holds": "effect > 0.2", "vector": UP, "draws": 1}
        doubts += DOUBT in repr(assay.check("", answers, cache=False, ledger=False, **given))
    assert doubts <= 1


def test_one_number_for_the_whole_call_is_refused():
    def loss(vector, prompts):
        return [np.mean([p["own"] + (vector is not None) for p in prompts])] * len(prompts)

    given = {"prompts": ROWS, "vector": UP, "cache": False, "ledger": False}
    with pytest.raises(DataError, match="loss returns one number for the whole call") as e:
        assay.check("", loss, holds="effect > 0.5", **given)
    assert f"{np.mean([p['own'] for p in ROWS]):.4g} for each of 24 prompts" in str(e.value)

    def also(vector, prompts):
        return {"loss": loss(vector, prompts), "lead": [p["own"] for p in prompts]}

    assert assay.check("", also, holds="lead > 0.5", **given).outcome == "fails"


def test_a_check_calls_a_function_half_as_often_again_on_the_real_thing():
    """Twelve of 24 prompts are enough where no digit differs; then all, to tell noise from it."""
    sizes = []

    def counts(vector, prompts, wrong=0):
        sizes.append(len(prompts))
        moved = 0 if vector is None else vector[0]
        return [p["own"] + moved * (1 + wrong * i) for i, p in enumerate(prompts)]

    given = {"prompts": ROWS, "holds": "effect > 0.5", "vector": UP, "draws": 2, "cache": False}
    assay.check("", counts, ledger=False, **given)
    assert [n for n in sizes if n > 2] == [24, 24, 12, 24, 24, 24]
    sizes.clear()
    assay.check("", lambda v, p: counts(v, p, wrong=1), ledger=False, **given)
    assert [n for n in sizes if n > 2] == [24, 24, 12, 24, 12, 24, 24, 24]


def test_different_things_with_exactly_the_same_numbers_are_noted():
    stored = {}

    def by_norm(vector, prompts):
        norm = None if vector is None else round(float(np.linalg.norm(vector)), 3)
        moved = 0 if vector is None else vector[0]
        return [stored.setdefault((p["text"], norm), p["own"] + moved) for p in prompts]

    def steered(vector, prompts):
        return [p["own"] + (0 if vector is None else vector[0] + vector[1]) for p in prompts]

    given = {"prompts": ROWS, "holds": "effect > 0.5", "vector": UP, "cache": False}
    said = [assay.check("", f, ledger=False, **given).notes for f in (by_norm, steered)]
    words = "the vector and controls random and opposite have exactly the same numbers"
    assert [any(words in note for note in notes) for notes in said] == [True, False]


def test_controls_that_change_nothing_ask_whether_the_function_reads_what_it_is_given():
    def always_the_same(heads, prompts):
        return [p["own"] - (heads == [(2, 1)]) for p in prompts]

    given = {"prompts": ROWS, "holds": "effect < -0.5", "heads": [(2, 1)], "of": (4, 6)}
    v = assay.check("", always_the_same, cache=False, ledger=False, **given)
    said = " ".join(repr(v).split())
    assert "does your function use the heads that it is given, or always the same" in said
