"""Interchange: true places make the foretold answers, others do not, and a learned alignment of
nothing finds nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Place
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.interchange import interchanged

CASES = [(name, v.name) for name in known.names() for v in known.explained(name).variables if v.at]


@pytest.mark.parametrize(("name", "variable"), CASES)
def test_true_places_give_the_foretold_answers(name, variable):
    problem = known.problem(name)
    found = interchanged(
        Program(known.explained(name), problem),
        variable,
        problem.task.draw(8, 0, 300),
        0,
        learn=False,
    )
    assert found.pairs > 5 and found.right > 0.98 and found.place.low > 0.5


def test_the_hop_of_two_hops_by_hand():
    """Of inputs that differ in the first hop alone, exchanging it turns the answer; so the pairs
    that count are those with unlike hops."""
    problem = known.problem("two_hops")
    tokens = problem.task.draw(8, 0, 300)
    hop = (tokens & 1 & tokens >> 1)[:, 0]
    found = interchanged(
        Program(known.explained("two_hops"), problem), "both", tokens, 0, learn=False
    )
    assert found.pairs == int((hop[:100] != hop[100:200]).sum()) and found.right == 1


def test_a_wrong_place_gives_none_of_them():
    problem, whole = known.problem("induction"), known.explained("induction")
    idle = dataclasses.replace(
        whole,
        variables=(
            dataclasses.replace(whole.variables[0], at=(Place.parse("a0.1"),)),
            *whole.variables[1:],
        ),
    )
    found = interchanged(
        Program(idle, problem), "before", problem.task.draw(8, 0, 300), 0, learn=False
    )
    assert found.pairs > 50 and found.right < 0.05


def test_a_learned_alignment_finds_what_is_there_and_not_what_is_not():
    problem = known.problem("modular_sum")
    found = interchanged(
        Program(known.explained("modular_sum"), problem),
        "remainder",
        problem.task.draw(8, 0, 600),
        0,
    )
    assert found.right == 1 and found.learned > 0.9 and found.unfounded < 0.5


def test_a_variable_that_changes_no_answer_says_so():
    problem, whole = known.problem("modular_sum"), known.explained("modular_sum")
    found = interchanged(
        Program(dataclasses.replace(whole, answer="added * 0", reads=("added",)), problem),
        "added",
        problem.task.draw(8, 0, 90),
        0,
    )
    assert found.pairs == 0 and np.isnan(found.right)
