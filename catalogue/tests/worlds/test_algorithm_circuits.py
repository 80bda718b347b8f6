"""Transformers by construction: right on every input, through the parts and edges they name and
through no others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from assay_catalogue.subjects.parts import Part, edges, parts, run_by_parts
from assay_catalogue.worlds.algorithms.built.brackets import brackets
from assay_catalogue.worlds.algorithms.built.induction import induction
from assay_catalogue.worlds.algorithms.built.modular_sum import modular_sum
from assay_catalogue.worlds.algorithms.built.redundant import redundant
from assay_catalogue.worlds.algorithms.built.sorting import sorting
from assay_catalogue.worlds.algorithms.built.two_hops import one_hop, two_hops

MADE = {
    c.task.name: c
    for c in (induction(), sorting(), modular_sum(), brackets(), redundant(), two_hops(), one_hop())
}
ALL = pytest.mark.parametrize("circuit", MADE.values(), ids=MADE)


def right(circuit, tokens, **changed) -> np.ndarray:
    """Of each answer that is asked for, whether its logit is larger than every other."""
    answers = torch.from_numpy(circuit.task.answer(tokens))
    logits = run_by_parts(
        circuit.params, torch.from_numpy(tokens), circuit.shape.activation, **changed
    ).logits[0]
    own = logits.gather(-1, answers.clamp(min=0)[..., None])
    return ((logits >= own).sum(-1) == 1)[answers >= 0].numpy()


@ALL
def test_it_is_right_on_every_input_with_room_to_spare(circuit):
    tokens = circuit.task.draw(3, 0, 2000)
    answers = circuit.task.answer(tokens)
    assert right(circuit, tokens).all()
    logits = run_by_parts(
        circuit.params, torch.from_numpy(tokens), circuit.shape.activation
    ).logits[0]
    best = logits.sort(-1).values
    margin = (best[..., -1] - best[..., -2]).numpy()[answers >= 0]
    assert margin.min() > 10


def test_the_small_ones_are_right_on_all_inputs_there_are():
    tokens = np.array([[a, b, 7] for a in range(7) for b in range(7)])
    assert right(modular_sum(7), tokens).all()
    assert right(two_hops(), np.arange(32)[:, None]).all()
    assert right(one_hop(), np.arange(32)[:, None]).all()
    tokens = np.array([[2, *bits, 3] for bits in itertools.product((0, 1), repeat=10)])
    found = right(brackets(10), tokens)
    assert (
        found.all() and int((brackets(10).task.answer(tokens) == 1).sum()) == 42
    )  # the fifth Catalan number


@ALL
def test_what_is_said_not_to_matter_does_not_and_all_of_it_at_once(circuit):
    tokens = circuit.task.draw(3, 1, 200)
    clean = run_by_parts(circuit.params, torch.from_numpy(tokens), circuit.shape.activation)
    rolled = run_by_parts(
        circuit.params, torch.from_numpy(np.roll(tokens, 1, 0)), circuit.shape.activation
    )
    idle = [e for e in edges(circuit.params) if e not in circuit.wires]
    assert right(circuit, tokens, read={e: rolled.wrote[e[0]] for e in idle}).all()
    others = [p for p in parts(circuit.params) if p not in circuit.matter]
    assert right(circuit, tokens, written={p: lambda _, p=p: rolled.wrote[p] for p in others}).all()
    assert right(circuit, tokens).all() and clean.logits.isfinite().all()


@ALL
def test_each_edge_that_is_named_matters_where_none_stands_in_for_it(circuit):
    """Showing a reader another input's version, or nothing where all inputs have the same, makes
    errors; of two copies both are changed."""
    tokens = circuit.task.draw(3, 2, 300)
    other = run_by_parts(
        circuit.params, torch.from_numpy(circuit.task.draw(3, 3, 300)), circuit.shape.activation
    )
    clean = run_by_parts(circuit.params, torch.from_numpy(tokens), circuit.shape.activation)
    twins = circuit.task.name.startswith("previous")

    for e in circuit.wires:
        alike = [w for w in circuit.wires if twins and _role(w) == _role(e)] or [e]
        same_for_all = e[0].kind == "pos" or (str(e[0]), str(e[1])) == ("embed", "logits")
        shown = {
            w: torch.zeros_like(clean.wrote[w[0]]) if same_for_all else other.wrote[w[0]]
            for w in alike
        }
        assert not right(circuit, tokens, read=shown).all(), f"{e[0]} → {e[1]}"


def _role(e) -> tuple[str, str]:
    """What an edge is for, whichever of two heads it belongs to."""
    return str(e[0]).replace("a0.1", "a0.0"), str(e[1]).replace("a0.1", "a0.0")


def test_of_two_copies_either_may_go_with_no_slope_and_not_both():
    circuit = redundant()
    tokens = circuit.task.draw(1, 0, 200)
    gone = [{Part("head", 0, h): torch.zeros_like} for h in (0, 1)]
    clean = run_by_parts(circuit.params, torch.from_numpy(tokens), "relu").logits
    for one in gone:
        found = run_by_parts(circuit.params, torch.from_numpy(tokens), "relu", written=one).logits
        assert float((found - clean)[:, :, 1:].abs().max()) < 1e-9
    assert right(circuit, tokens, written=gone[0] | gone[1]).mean() < 0.3
    strength = torch.ones(2, dtype=torch.float64, requires_grad=True)
    scaled = {Part("head", 0, h): lambda x, h=h: x * strength[h] for h in (0, 1)}
    logits = run_by_parts(circuit.params, torch.from_numpy(tokens), "relu", written=scaled).logits
    torch.nn.functional.cross_entropy(
        logits[0, :, 1:].flatten(0, 1), torch.from_numpy(tokens[:, :-1]).flatten()
    ).backward()
    assert float(strength.grad.abs().max()) < 1e-9


def test_a_head_that_may_copy_its_own_value_is_right_only_at_the_separator():
    rival = sorting(at_least=0)
    tokens = rival.task.draw(1, 0, 500)
    assert right(rival, tokens).mean() == pytest.approx(1 / 5)
    logits = run_by_parts(rival.params, torch.from_numpy(tokens)).logits[0].log_softmax(-1)
    answers = torch.from_numpy(rival.task.answer(tokens))
    chosen = logits.gather(-1, answers.clamp(min=0)[..., None])[..., 0][answers >= 0]
    assert float(chosen.mean()) == pytest.approx(-16.0, abs=0.05)


def test_the_hop_in_between_is_the_and_of_two_bits():
    circuit = two_hops()
    tokens = np.arange(32)[:, None]
    hop = run_by_parts(circuit.params, torch.from_numpy(tokens), "relu").wrote[Part("mlp", 0)][
        0, :, 0, 5
    ]
    assert np.array_equal(hop.numpy(), (tokens & 1 & tokens >> 1)[:, 0])
