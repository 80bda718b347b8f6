"""Every method held to circuits by construction: what it finds of the edges that are known, and
where it must be seen to fail."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from assay.train import rng
from assay_catalogue.circuits.find.attribution import (
    by_cutting,
    by_gradient,
    by_integrated_activations,
    by_integrated_gradients,
)
from assay_catalogue.circuits.find.cutting import grid
from assay_catalogue.circuits.find.question import (
    Question,
    logit_difference,
    nothing,
    other,
    right_alone,
)
from assay_catalogue.circuits.find.terms import direct, score_terms
from assay_catalogue.subjects.parts import Part, Reader
from assay_catalogue.worlds.algorithms.built.brackets import brackets
from assay_catalogue.worlds.algorithms.built.circuit import Circuit
from assay_catalogue.worlds.algorithms.built.induction import induction
from assay_catalogue.worlds.algorithms.built.modular_sum import modular_sum
from assay_catalogue.worlds.algorithms.built.redundant import redundant
from assay_catalogue.worlds.algorithms.built.sorting import sorting
from assay_catalogue.worlds.algorithms.built.two_hops import two_hops

BUILT = {f.__name__: f for f in (induction, sorting, modular_sum, brackets, two_hops, redundant)}
CONSTANT = {"brackets": {"embed → logits"}, "two_hops": {"embed → logits"}}
"""Wires that carry the same on every input: what the end says, and a 1."""
N = 16


def question_of(
    circuit: Circuit,
    n: int,
    donor: Literal["other", "nothing"] = "other",
    seed: int = 0,
) -> Question:
    """Ask a circuit for its task on n inputs.

    "other": what is put in place was written on other inputs at shuffled places, and the number is
    the right logit less that of the other input's answer, as in MIB. "nothing": parts write
    nothing, and the number is the right logit less the mean of all others."""
    task, answers = circuit.task, circuit.shape.answers or circuit.shape.vocab
    params = circuit.params
    # The donor's inputs are another draw, row by row independent of the first.
    inputs, other_inputs = (task.draw(seed, i, n, held_out=True) for i in range(2))
    right, rival = (torch.from_numpy(task.answer(x)) for x in (inputs, other_inputs))
    tokens, answer_mask = torch.from_numpy(inputs), right >= 0
    if donor == "nothing":
        return Question(
            params,
            tokens,
            right_alone(right, answers, answer_mask),
            nothing(params, tokens),
            circuit.shape.activation,
        )
    # Positions are shuffled as well: a learned position writes the same on every input, and who
    # reads it could not be found.
    places = torch.from_numpy(
        rng.generator(seed, "circuits.find.places").random(inputs.shape).argsort(1)
    )
    wrote = other(params, torch.from_numpy(other_inputs), circuit.shape.activation, places)
    return Question(
        params,
        tokens,
        logit_difference(right, rival, answers, answer_mask),
        wrote,
        circuit.shape.activation,
    )


def names(q, marked) -> set[str]:
    return {f"{u} → {v}" for (u, v), yes in zip(q.edges, marked, strict=True) if yes}


def wires(circuit) -> set[str]:
    return {f"{u} → {v}" for u, v in circuit.wires}


@pytest.mark.parametrize("name", BUILT)
def test_cutting_each_edge_finds_every_wire_that_inputs_change_and_nothing_else(name):
    q = question_of(circuit := BUILT[name](), N)
    assert names(q, by_cutting(q).found(q)[0]) == wires(circuit) - CONSTANT.get(name, set())


@pytest.mark.parametrize("name", BUILT)
def test_no_method_finds_an_edge_that_is_none(name):
    """Precision 1 on circuits without noise, whatever recall is."""
    q = question_of(circuit := BUILT[name](), 8)
    for method in (by_gradient, by_integrated_gradients, by_integrated_activations):
        assert names(q, method(q).found(q)[0]) <= wires(circuit)


@pytest.mark.parametrize("name", ["brackets", "two_hops"])
def test_what_is_the_same_on_every_input_is_found_where_parts_write_nothing(name):
    q = question_of(BUILT[name](), N, "nothing")
    at = [f"{u} → {v}" for u, v in q.edges].index(*CONSTANT[name])
    lost = by_cutting(q).values[0, :, at]
    np.testing.assert_allclose(
        lost.abs(), 30.0, atol=1e-9
    )  # for one answer and against the other, so that its mean says little


@pytest.mark.parametrize("name", BUILT)
def test_direct_attribution_names_the_parts_whose_wires_end_at_the_logits(name):
    q = question_of(circuit := BUILT[name](), N)
    found = {str(part) for part, x in direct(q).of.items() if float(x.abs().max()) > 1e-6}
    assert found == {str(u) for u, v in circuit.wires if v == Reader("logits")}


def test_a_grid_shows_where_each_part_of_induction_works():
    """What follows a token is asked in the second half: there the reading head works, and the head
    before it in the first."""
    q = question_of(induction(), N)
    found = grid(q)[0].mean(0)
    share = (found.abs() / float(q.span())).numpy()
    at = {str(part): share[i] for i, part in enumerate(q.parts)}
    asked = np.flatnonzero(q.weights.abs().sum((0, 2)).numpy())
    assert set(np.flatnonzero(at["a1.0"] > 0.01)) == set(asked) and asked.min() == 9
    assert set(np.flatnonzero(at["a0.0"] > 0.05)) == set(
        range(2, 9)
    )  # copies of what stood before, at what is read
    assert at["a0.1"].max() < 1e-9 and at["a1.1"].max() < 1e-9
    back = grid(q, restored=True)[0].mean(0)
    assert float(back[q.parts.index(Part("head", 1, 0)), asked].sum()) > 0.5 * float(q.span())


def test_scores_of_induction_are_made_by_what_it_says():
    q = question_of(induction(), N)
    terms = score_terms(q, 1, 0)
    i, j = terms.sources.index(Part("embed")), terms.sources.index(Part("head", 0, 0))
    assert float(terms.share[0, i, j]) == pytest.approx(1.0, abs=1e-9)
    first = score_terms(q, 0, 0)
    k = first.sources.index(Part("pos"))
    assert float(first.share[0, k, k]) == pytest.approx(1.0, abs=1e-9)
