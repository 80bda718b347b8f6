"""A decoder taken apart: its parts add up to the stream, and cut edges are what the formulas
say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from assay.core.errors import ModelError
from assay.subjects.decoder import Shape, forward
from assay_catalogue.subjects.parts import (
    Part,
    Reader,
    earlier,
    edges,
    parts,
    readers,
    run_by_parts,
)

KINDS = [
    ("layer", "learned", False, 6),
    ("rms", "rotary", True, 6),
    ("none", "learned", False, 0),
    ("layer", "rotary", False, 0),
]


def made(norm="layer", positions="learned", gated=False, m=6, seed=5):
    parted = {"norm": norm, "positions": positions, "gated": gated, "d_head": 4, "answers": 3}
    shape = Shape(layers=2, d=8, heads=2, m=m, context=5, vocab=7, activation="relu", **parted)
    draw = torch.Generator().manual_seed(seed)
    scale = {"g": 1.0, "b": 0.1, "W": 0.5}
    return {
        n: (n[0] == "g") + scale[n[0]] * torch.randn(2, *size, generator=draw).double()
        for n, size in shape.parameters().items()
    }


TOKENS = torch.from_numpy(np.random.default_rng(1).integers(7, size=(2, 3, 5)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_parts_and_biases_add_up_to_the_stream_and_the_logits_are_those_of_the_pass(kind):
    params = made(*kind)
    found = run_by_parts(params, TOKENS)
    logits, residuals = forward(params, TOKENS, "relu")
    torch.testing.assert_close(found.logits, logits)
    whole = sum(found.wrote.values()) + (
        params["b_O"].sum(1)[:, None, None] if "b_O" in params else 0
    )
    torch.testing.assert_close(whole, residuals[-1])
    assert tuple(found.wrote) == parts(params)
    for pattern in found.patterns:
        torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))
        assert float(pattern.triu(1).abs().max()) == 0


def test_what_a_head_writes_replaced_is_that_head_without_its_output_matrix():
    params = made()
    without = {name: value.clone() for name, value in params.items()}
    without["W_O"][:, 0, 1] = 0
    torch.testing.assert_close(
        run_by_parts(params, TOKENS, written={Part("head", 0, 1): torch.zeros_like}).logits,
        forward(without, TOKENS, "relu")[0],
    )


def test_neurons_replaced_are_those_neurons_without_their_output_rows():
    params = made()
    without = {name: value.clone() for name, value in params.items()}
    without["W_out"][:, 1, [0, 4]] = 0

    def off(x):
        x = x.clone()
        x[..., [0, 4]] = 0
        return x

    torch.testing.assert_close(
        run_by_parts(params, TOKENS, neurons={1: off}).logits, forward(without, TOKENS, "relu")[0]
    )


def by_hand(params, tokens, cut) -> np.ndarray:
    """Logits [s, v] of one sequence of one run without norms or MLPs, where the reader `cut[1]` is
    shown zeros for what `cut[0]` wrote."""
    p = {name: value.numpy() for name, value in params.items()}
    wrote = {"embed": p["W_E"][tokens], "pos": p["W_pos"][: len(tokens)]}
    biases = np.zeros(wrote["embed"].shape)
    for layer, head in itertools.product(range(2), range(2)):
        if head == 0:
            seen = list(wrote)
        slots = []
        for i, slot in enumerate("qkv"):
            reads = (
                sum(wrote[name] for name in seen if (name, f"a{layer}.{head}.{slot}") != cut)
                + biases
            )
            slots.append(reads @ p["W_QKV"][layer, :, i, head] + p["b_QKV"][layer, i, head])
        q, k, v = slots
        z = np.zeros_like(v)
        for at in range(len(tokens)):
            score = np.exp(k[: at + 1] @ q[at] / math.sqrt(q.shape[1]))
            z[at] = score / score.sum() @ v[: at + 1]
        wrote[f"a{layer}.{head}"] = z @ p["W_O"][layer, head]
        if head == 1:
            biases = biases + p["b_O"][layer]
    return (sum(x for name, x in wrote.items() if (name, "logits") != cut) + biases) @ p["W_U"]


@pytest.mark.parametrize(
    "cut",
    [
        ("embed", "a0.1.q"),
        ("pos", "a1.0.k"),
        ("a0.0", "a1.1.v"),
        ("a0.1", "logits"),
        ("a1.0", "logits"),
    ],
    ids=str,
)
def test_one_edge_cut_is_that_sum_by_hand(cut):
    params = made("none", "learned", False, 0)
    edge = (Part.parse(cut[0]), Reader.parse(cut[1]))
    clean = run_by_parts(params, TOKENS)
    found = run_by_parts(params, TOKENS, read={edge: torch.zeros_like(clean.wrote[edge[0]])})
    assert float((found.logits - clean.logits).abs().max()) > 1e-3
    for run in range(2):
        one = {name: value[run] for name, value in params.items()}
        np.testing.assert_allclose(
            found.logits[run, 0], by_hand(one, TOKENS[run, 0].numpy(), cut), atol=1e-10
        )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_edges_of_a_part_replaced_are_the_part_replaced(kind):
    params = made(*kind)
    clean = run_by_parts(params, TOKENS)
    for part in parts(params):
        new = torch.randn(
            clean.wrote[part].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
        )
        one = run_by_parts(params, TOKENS, written={part: lambda _, new=new: new})
        each = run_by_parts(
            params,
            TOKENS,
            read={
                (part, reader): new for reader in readers(params) if part in earlier(params, reader)
            },
        )
        torch.testing.assert_close(each.logits, one.logits)


def test_what_a_reader_is_shown_may_be_made_of_what_the_part_writes_in_that_pass():
    """Of two cuts, one behind the other, the second sees what the first has changed."""
    params = made()
    head, mlp = Part("head", 0, 1), Part("mlp", 0)
    first = {(head, Reader("mlp", 0)): torch.zeros_like(run_by_parts(params, TOKENS).wrote[head])}
    changed = run_by_parts(params, TOKENS, read=first).wrote[mlp]
    logits = Reader("logits")
    one = run_by_parts(params, TOKENS, read={**first, (mlp, logits): lambda x: 2 * x}).logits
    torch.testing.assert_close(
        one, run_by_parts(params, TOKENS, read={**first, (mlp, logits): 2 * changed}).logits
    )


def test_names_of_parts_and_readers_come_back():
    params = made()
    assert [Part.parse(str(p)) for p in parts(params)] == list(parts(params))
    assert [Reader.parse(str(r)) for r in readers(params)] == list(readers(params))
    assert [str(p) for p in parts(params)] == [
        "embed",
        "pos",
        "a0.0",
        "a0.1",
        "m0",
        "a1.0",
        "a1.1",
        "m1",
    ]
    assert (Part("head", 0, 0), Reader("mlp", 0)) in edges(params) and (
        Part("mlp", 0),
        Reader("mlp", 0),
    ) not in edges(params)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"written": {Part("head", 2, 0): torch.zeros_like}}, "has no part a2.0"),
        ({"neurons": {3: torch.zeros_like}}, "has no part m3"),
        (
            {"read": {(Part("embed"), Reader("head", 0, 5, "q")): torch.zeros(1)}},
            "has no reader a0.5.q",
        ),
        (
            {"read": {(Part("mlp", 1), Reader("mlp", 0)): torch.zeros(1)}},
            "m0 does not read m1",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_parts_that_are_not_there_are_refused_in_one_line(asked, said):
    with pytest.raises(ModelError, match=said) as told:
        run_by_parts(made(), TOKENS, **asked)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Part, "a0"), (Part, "logits"), (Reader, "a0.1"), (Reader, "embed"), (Reader, "a0.1.z")],
)
def test_names_that_mean_nothing_are_refused_in_one_line(kind, text):
    with pytest.raises(ModelError, match=f"'{text}'") as told:
        kind.parse(text)
    assert "\n" not in str(told.value)
