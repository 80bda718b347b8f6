"""The ladders of real models: claims on planted measures, and circuits on a small model."""

import numpy as np
import pytest
import torch

from assay.core import Claim, Runs
from assay.core.measures import measures
from assay.lab.judge.result import judge_statements, with_derived
from assay.subjects.pretrained import load, without
from assay.subjects.site import Site
from assay_catalogue.experiments.interpretable_capability.ladders import MODELS
from assay_catalogue.experiments.interpretable_capability.models import (
    Nodes,
    blocks,
    middle,
    passed,
)
from assay_catalogue.experiments.interpretable_capability.tasks import TASKS, Prompts
from tiny_models import TEXT, make

JUDGED = [c for c in MODELS.claims if isinstance(c, Claim)]
RISING, FLAT, DIPPING = (0.1, 0.3, 0.6, 0.9), (0.6, 0.6, 0.6, 0.6), (0.9, 0.3, 0.3, 0.9)
POOR = (0.05, 0.05, 0.05, 0.05)


def arm(name, accuracy, kept, near):
    """Measures of a ladder: how far above chance each rung is, and which share is kept by circuits
    and dictionaries, and by those that must fail."""
    runs, draw = Runs(MODELS.specs_of(name, MODELS.default)), np.random.default_rng(4)
    shape = (1, 4, len(TASKS), 20)

    def each(values):
        return np.broadcast_to(np.array(values)[None, :, None, None], shape)

    effect = 3 + draw.normal(0, 0.3, shape)
    right = (1 + each(accuracy)) / 2 + draw.normal(0, 0.1, shape)
    shares = {"circuit": kept, "learned": kept, "lot": near, "frozen": near}
    variables = {name: each(s) * effect + draw.normal(0, 0.05, shape) for name, s in shares.items()}
    dims = "run rung task prompt"
    coords = {"rung": list(MODELS.default[0].kept), "task": list(TASKS), "prompt": list(range(20))}
    variables |= {"effect": effect, "right": right}
    return measures(runs, coords=coords, **{n: (dims, x, "1") for n, x in variables.items()})


def outcomes(accuracy, kept, near):
    arms = {name: arm(name, accuracy, kept, near) for name in ("main", "gemma")}
    judged = judge_statements(MODELS.claims, with_derived(MODELS, arms), scope="here").judged
    return [j.outcome for j in judged]


@pytest.mark.parametrize(
    ("accuracy", "kept", "near", "valley", "rise"),
    [
        (FLAT, DIPPING, POOR, "holds", "fails"),
        (RISING, FLAT, POOR, "fails", "holds"),
        (RISING, FLAT, FLAT, "fails", "unspecific"),
        (FLAT, DIPPING, DIPPING, "unspecific", "fails"),
        (FLAT, FLAT, POOR, "fails", "fails"),
    ],
)
def test_each_shape_is_told_and_what_carries_as_much_makes_it_unspecific(
    accuracy, kept, near, valley, rise
):
    got = outcomes(accuracy, kept, near)
    assert got[0::2] == [valley] * 4 and got[1::2] == [rise] * 4


def test_capability_with_a_valley_of_its_own_makes_that_of_what_is_understood_unspecific():
    assert outcomes(DIPPING, FLAT, POOR)[0::2] == ["unspecific"] * 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(str(make(tmp_path_factory.mktemp("ladder") / "model", "gemma3_text")))


PAIRS = Prompts(
    np.array([[5, 17, 20, 3], [9, 8, 41, 0], [5, 18, 20, 3], [9, 7, 41, 0]]),
    np.array([3, 2, 3, 2]),
    np.array([4, 6, 11, 12]),
    np.array([11, 12, 4, 6]),
)


def test_all_nodes_are_the_model_and_none_of_them_leaves_the_embeddings(model):
    nodes = Nodes(model, range(model.layers))
    clean, acts = nodes.run(PAIRS, {})
    every = np.arange(model.layers * (nodes.heads + 1))
    whole, _ = nodes.run(PAIRS, nodes.patched(acts, every))
    torch.testing.assert_close(whole, clean)
    logits = model.run(torch.from_numpy(PAIRS.tokens)).logits
    naive = [
        logits[i, PAIRS.last[i], PAIRS.right[i]] - logits[i, PAIRS.last[i], PAIRS.wrong[i]]
        for i in range(4)
    ]
    torch.testing.assert_close(clean, torch.stack(naive))
    patched, other = nodes.run(PAIRS, nodes.patched(acts, []))[1], acts
    site = Site("mlp_out", 1)
    torch.testing.assert_close(patched[site], other[site].roll(2, 0))
    assert sorted(nodes.order(PAIRS)) == every.tolist()


def test_a_block_that_is_passed_by_leaves_the_stream_as_it_is(model):
    tokens, after = torch.from_numpy(PAIRS.tokens), Site("resid_pre", 2)
    silent = {Site(kind, 1): torch.zeros_like for kind in ("attn_out", "mlp_out")}
    expected = model.run(tokens, edits=silent).logits
    with without(model, [1]):
        torch.testing.assert_close(model.run(tokens).logits, expected)
        before = model.run(tokens, capture=[Site("resid_post", 0), after]).acts
    torch.testing.assert_close(before[after], before[Site("resid_post", 0)])
    assert not torch.allclose(model.run(tokens).logits, expected)


def test_rungs_keep_the_blocks_that_turn_the_stream_most_and_a_late_start_is_the_same(
    model, tmp_path
):
    for i in range(8):
        (tmp_path / f"{i}.txt").write_text(f"# {i}\n" + TEXT * 20)
    (s,) = MODELS.default
    rungs = blocks(s.replace(context=32, windows=8, corpus=str(tmp_path)), model)
    assert rungs[-1] == [0, 1, 2] and [len(kept) for kept in rungs] == [2, 2, 3, 3]
    nodes = Nodes(model, rungs[0])
    with without(model, passed(model, rungs[0])):
        clean, acts = nodes.run(PAIRS, {})
        site = middle(rungs[0])
        torch.testing.assert_close(nodes.later(PAIRS, site.layer, acts[site]), clean)
