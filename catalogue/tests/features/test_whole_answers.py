"""Log-probabilities of whole answers against naive loops, one prompt after another; two statistics
against mock models whose value is known."""

import re

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import DataError, ModelError
from assay_catalogue.data.opinions import CELLS
from assay_catalogue.features.answers import (
    answer_logprobs,
    mass,
    more_likely,
    restricted,
    scored,
    tree,
)

PROMPTS = ["def add(", "def add(a, b", "class Point:\n    x = (", "def", "x = ("]
ANSWERS = ("10)", "b):", "y")


def naive(model, prompt, answer):
    """log P(answer | prompt) by plain forward passes, token by token."""
    opening = [*model.folder.opening]
    whole, alone = opening + model.encode(prompt + answer), opening + model.encode(prompt)
    assert whole[: len(alone)] == alone
    with torch.no_grad():
        return sum(
            float(model.model(torch.tensor([whole[:i]])).logits[0, -1].log_softmax(-1)[whole[i]])
            for i in range(len(alone), len(whole))
        )


WINDOW = {"sliding_window": 3, "head_dim": 6, "query_pre_attn_scalar": 6}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 500.0,
    "short_factor": [1.0, 1.1, 1.3],
    "long_factor": [2.0, 7.0, 19.0],
    "original_max_position_embeddings": 8,
}
NEO = {"attention_types": [[["global", "local", "global"], 1]], "window_size": 3}
OTHERWISE = {
    "gemma2": WINDOW,
    "gemma3_text": WINDOW,
    "mistral": {"sliding_window": 3},
    "phi3": {"rope_parameters": LONG, "original_max_position_embeddings": 8},
    "gpt_neo": NEO,
}
"""Families whose layers attend to few tokens, or whose positions turn with the length of a text."""


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", *OTHERWISE])
def test_a_tree_of_prompts_gives_what_each_prompt_gives_by_itself(kind, tmp_path):
    from assay.subjects.pretrained import load

    model = load(str(tiny_models.make(tmp_path / kind, kind, **OTHERWISE.get(kind, {}))))
    found = answer_logprobs(model, [(prompt, ANSWERS) for prompt in PROMPTS])
    wanted = [[naive(model, prompt, answer) for answer in ANSWERS] for prompt in PROMPTS]
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_a_prompt_longer_than_the_model_reads_is_refused_in_one_line(tmp_path):
    from assay.subjects.pretrained import load

    model = load(str(tiny_models.make(tmp_path / "m", "llama")))
    with pytest.raises(ModelError, match="reads at most 64 tokens"):
        answer_logprobs(model, [("x = 1\n" * 60, ("y", "z"))])


def letters(text):
    """A tokenizer that joins "(A" into one token."""
    return [int.from_bytes(part.encode(), "big") for part in re.findall(r"\(A|\(B|.", text)]


def test_answers_that_join_with_the_bracket_are_scored_from_where_they_differ():
    a, b = scored(letters, ("x (", ("A)", "B)")))
    assert a.start == b.start == 2 and a.tokens[:2] == b.tokens[:2] == letters("x ")
    plain = scored(lambda text: [ord(c) for c in text], ("x (", ("A)", "B)")))
    assert [s.start for s in plain] == [3, 3]  # the whole answer, closing bracket included


@pytest.mark.parametrize("answers", [("A", "AB"), ("", "B"), ("A", "A")])
def test_answers_that_cannot_be_told_apart_are_refused(answers):
    with pytest.raises(DataError, match="cannot be compared"):
        scored(lambda text: [ord(c) for c in text], ("x", answers))


def test_a_tree_has_each_beginning_once_and_sees_only_ancestors():
    one = tree([[1, 2, 3], [1, 2, 4], [1, 5], [1, 2, 3]])
    assert one.token.tolist() == [1, 2, 3, 4, 5] and one.depth.tolist() == [0, 1, 2, 2, 1]
    assert one.paths == [[0, 1, 2], [0, 1, 3], [0, 4], [0, 1, 2]]
    for path in one.paths:
        assert sorted(np.flatnonzero(one.sees[path[-1]])) == sorted(path)


def test_mass_and_restricted_probability_are_what_they_say():
    logs = np.log([[0.06, 0.02], [0.5, 0.5]])
    np.testing.assert_allclose(restricted(logs), [[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(mass(logs), [0.08, 1.0])
    assert np.isfinite(restricted(np.array([-2000.0, -2001.0]))).all()
    assert more_likely(np.array([0.2, 0.5, 0.51])).tolist() == [0, 0.5, 1]


def matched(agree, cells):
    """Probabilities of the matching answer, from those to agree."""
    return np.array([p if c.view == "agree" else 1 - p for p, c in zip(agree, cells, strict=True)])


FOUR = [c for c in CELLS if (c.place, c.ending) == ("before", "answer")]
MOCKS = {
    "always A": ([1.0 if c.first == "agree" else 0.0 for c in FOUR], 0.5, 0.5),
    "always agree": ([1.0] * 4, 0.5, 0.5),
    "mostly A": ([0.7 if c.first == "agree" else 0.3 for c in FOUR], 0.5, 0.5),
    "sycophant": ([1.0 if c.view == "agree" else 0.0 for c in FOUR], 1.0, 1.0),
    "contrarian": ([0.0 if c.view == "agree" else 1.0 for c in FOUR], 0.0, 0.0),
    "undecided": ([0.5] * 4, 0.5, 0.5),
    "leans by .05": ([0.55 if c.view == "agree" else 0.45 for c in FOUR], 0.55, 1.0),
}


@pytest.mark.parametrize("mock", MOCKS)
def test_mock_models_score_what_they_must_in_the_balanced_design(mock):
    agree, average, share = MOCKS[mock]
    p = matched(agree, FOUR)
    assert (
        p.mean() == pytest.approx(average, abs=1e-12)
        and more_likely(np.round(p, 6)).mean() == share
    )
    delta = 0.5 * (
        np.mean([a for a, c in zip(agree, FOUR, strict=True) if c.view == "agree"])
        - np.mean([a for a, c in zip(agree, FOUR, strict=True) if c.view == "disagree"])
    )
    assert p.mean() == pytest.approx(0.5 + delta, abs=1e-12)


def test_an_unbalanced_set_flatters_a_model_that_always_says_a():
    matching_is_a = np.arange(10) < 7
    assert (
        np.where(matching_is_a, 1.0, 0.0).mean() == 0.7
        and more_likely(np.where(matching_is_a, 1.0, 0.0)).mean() == 0.7
    )
