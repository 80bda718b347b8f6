"""What a function's other numbers say of a claim, and what a check says of all its prompts."""

import numpy as np
import pytest

import assay

N = 30
RNG = np.random.default_rng(3)
A, B = RNG.normal(3, 0.5, (2, N))
ROWS = [
    {"text": f"prompt {i}", "a": float(a), "b": float(b), "who": "Mary", "of": "x" * 50}
    for i, (a, b) in enumerate(zip(A, B, strict=True))
]


def check(gives, holds="task < -1", **more):
    """A claim about latent 1 of 8, whose effect on each prompt is `gives` for that prompt and
    whether it is there; the other latents have next to no part."""

    def function(latents, prompts):
        x = np.array([p["a"] for p in prompts]), np.array([p["b"] for p in prompts])
        cut, slight = 1 in (latents or ()), 1e-5 * sum(k for k in latents or () if k != 1)
        return {name: y - slight * (name in holds.split()) for name, y in gives(cut, *x).items()}

    given = {"latents": [1], "of": 8, "cache": False, "ledger": False} | more
    return assay.check("It falls", function, prompts=ROWS, holds=holds, **given)


def first(v):
    return repr(v).partition("\n")[0]


def kept(cut, share):
    return 1 - share * cut


@pytest.mark.parametrize(
    ("other", "is_said"),
    [
        (lambda cut, a, b: b * kept(cut, 0.6), True),
        (lambda cut, a, b: 100 * b * kept(cut, 0.6), False),  # on another scale
        (lambda cut, a, b: b * kept(cut, 0.3), False),  # by half as much of its own value
        (lambda cut, a, b: b - 3 - 0.6 * cut, False),  # 0 without it, on average
        (lambda cut, a, b: b * (1 + 0.6 * cut), False),  # the other way
        (lambda cut, a, b: 1 / (1 + np.exp(-a * kept(cut, 0.6))) - 0.4, False),  # of the same lead
        (lambda cut, a, b: a * kept(cut, 0.6) + 0.1 * b, False),
    ],
)
def test_another_task_that_falls_as_much_is_named_unless_it_measures_the_same(other, is_said):
    v = check(lambda cut, a, b: {"task": a * kept(cut, 0.6), "other": other(cut, a, b)})
    assert v.outcome == "holds"
    assert ("holds, though other falls as much: " in first(v)) == is_said
    assert first(v).startswith("holds: ") != is_said
    if is_said:
        assert "and task by 60% from" in " ".join(v.notes)


@pytest.mark.parametrize(
    ("name", "by", "is_said"),
    [
        ("no_logit", 1.9, True),
        ("no_logit", -1.9, False),  # the other way
        ("no_logit", 1.0, False),  # by half as much
        ("yes_lead", 1.9, False),  # which may be a second measure of the same
        ("no_lead", 1.9, False),
    ],
)
def test_the_opposite_answer_that_rises_as_much_is_named_wherever_both_start(name, by, is_said):
    """The two logits have nearly all of their spread in common, as of a bias for any answer."""
    v = check(
        lambda cut, a, b: {"yes_logit": a - 3 + 2 * cut, name: a - 3 + 0.1 * b + by * cut},
        holds="yes_logit > 1",
    )
    assert v.outcome == "holds"
    assert first(v).startswith("holds, though no_logit rises as much: ") == is_said
    assert ("as much" in first(v)) == is_said
    if is_said:
        assert "rises as much: by 1.9 from " in " ".join(v.notes)


@pytest.mark.parametrize(("norm", "is_said"), [(0.01, True), (0.3, False)])
def test_others_of_next_to_no_norm_are_too_weak(norm, is_said):
    norms = {k: 1.0 if k == 1 else norm for k in range(8)}
    v = check(lambda cut, a, b: {"task": a - 2 * cut}, norms=norms)
    assert v.outcome == "holds"
    words = f"norms of the others are {norm} to {norm} times as large"
    assert (f"holds, unless the controls are too weak: {words}: " in first(v)) == is_said
    assert any(f"norms of the others: {norm}" in n for n in v.notes) != is_said


def test_a_claim_of_no_effect_is_compared_with_nothing_else():
    known = {"controls": {"known": [2]}, "holds": "-0.1 < task < 0.1"}
    v = check(
        lambda cut, a, b: {"task": a * kept(cut, 0.001), "other": b * kept(cut, 0.6)}, **known
    )
    assert "as much" not in repr(v)


@pytest.mark.parametrize(("by_others", "is_said"), [(1e-4, True), (0.02, False)])
def test_controls_that_change_next_to_nothing_are_too_weak(by_others, is_said):
    """By a measure of change, which is 0 without one; a second name of the effect is none."""

    def function(latents, prompts):
        a, b = (np.array([p[c] for p in prompts]) for c in "ab")
        size = 1.0 if latents == [1] else by_others * bool(latents)
        return {"task": a - 2 * size, "kl": size * b, "drop": 2 * size * np.ones(len(a))}

    given = {"latents": [1], "of": 8, "cache": False, "ledger": False}
    v = assay.check("It falls", function, prompts=ROWS, holds="task < -1", **given)
    too_weak = f"they move kl by at most {by_others * B.mean():.2g}, the latents by {B.mean():.3g}"
    assert (f"unless the controls are too weak: {too_weak}: " in first(v)) == is_said
    assert "move drop by at most" not in repr(v)


def test_numbers_that_are_missing_or_stay_where_they_are_do_no_harm():
    def gives(cut, a, b):
        return {"task": a, "kl": cut * b, "lost": np.where(cut, a * np.nan, a), "same": b}

    v = check(gives)
    assert v.outcome == "fails" and "hardly move same (by 0, from" in " ".join(repr(v).split())


def test_a_number_that_hardly_moves_is_noted():
    v = check(lambda cut, a, b: {"task": a - 2 * cut, "other": b + 0.004 * cut})
    assert first(v).startswith("holds: ")
    assert any("the latents hardly move other (by 0.004, from 2.96), which" in n for n in v.notes)


def test_the_scope_says_what_all_prompts_have_in_common():
    v = check(lambda cut, a, b: {"task": a - 2 * cut}, scope="a toy")
    assert "scope: over 30 prompts; who always Mary; a toy" in repr(v), "long texts are no values"


@pytest.mark.parametrize(
    ("others", "without"),
    [
        (12, ""),
        ([0, 8], "layer 4 and layer 6"),
        ([4, 8], "layer 6"),
        ([4, 6], ""),
    ],
)
def test_layers_next_to_the_claimed_one_are_controls_that_a_claim_holds_without(others, without):
    def at(layer, prompts):
        return [p["a"] + {None: 0, 5: 1.0}.get(layer, 0.1 * p["b"] / 3) for p in prompts]

    given = {"layer": 5, "others": others, "cache": False, "ledger": False}
    v = assay.check("Layer 5 does it", at, prompts=ROWS, holds="effect > 0.5", **given)
    plural = "s" * ("and" in without)
    assert (
        first(v)
        == f"holds{f', without the control{plural} {without}' * bool(without)}: Layer 5 does it"
    )
    own = {"controls": {"next": 4, "after": 6}}
    v = assay.check("", at, prompts=ROWS, holds="effect > 0.5", **given, **own)
    assert first(v).startswith("holds: ")
    same = "have exactly the same numbers: does your function read nothing of them but what they"
    assert (same in " ".join(v.notes)) and "norm" not in " ".join(v.notes)
