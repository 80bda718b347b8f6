"""E3: errors add up, an offset and a factor are told apart, weights of one's own are tried and so
is what they lack."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from assay_catalogue.circuits import known
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import implementing
from assay_catalogue.circuits.verify.implementing import implemented
from assay_catalogue.worlds.algorithms.built.sorting import sorting


def one(statistic, found) -> float:
    return float(statistic({name: x.mean(keepdims=True) for name, x in found.terms.items()})[0])


def held(explanation, problem, n=200):
    return implemented(Program(explanation, problem), problem.task.draw(6, 0, n))


@pytest.mark.parametrize("name", known.names())
def test_ours_are_the_models_logits(name):
    found = held(known.explained(name), known.problem(name))
    assert (
        one(implementing.faithful, found) > 0.9999
        and found.terms["agree"].all()
        and not found.weights
    )


@pytest.mark.parametrize("name", [n for n in known.names() if n != "redundant"])
def test_errors_of_rivals_add_up_and_the_worst_come_first(name):
    found = held(known.rival(name), known.problem(name))
    shares = found.terms["error"].mean() / found.terms["spread"].mean()
    assert sum(found.decomposition.values()) == pytest.approx(shares) and one(
        implementing.explained, found
    ) == pytest.approx(max(0, 1 - shares))
    errors = [w.error for w in found.worst]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0


def test_twice_the_margin_is_an_error_of_scale_alone():
    """Formula: with logits 2a for a, the error is the spread about 0, whose offset is the mean of
    a."""
    found = held(
        dataclasses.replace(known.explained("modular_sum"), margin=60.0),
        known.problem("modular_sum"),
        2000,
    )
    assert (
        found.decomposition["scale"] == pytest.approx(1, abs=1e-6)
        and found.decomposition["rest"] < 1e-12
    )
    assert found.terms["agree"].all() and one(implementing.explained, found) == 0


@pytest.mark.parametrize("margin", [10.0, 45.0, 90.0])
def test_a_wrong_margin_is_corrected_by_the_factor_that_it_lacks(margin):
    """The circuit's own logits are 30 apart, so that 30 / margin makes the margin right."""
    found = held(
        dataclasses.replace(known.explained("modular_sum"), margin=margin),
        known.problem("modular_sum"),
    )
    assert found.factor == pytest.approx(
        30 / margin, rel=1e-3
    ) and found.corrected == pytest.approx(1, abs=1e-6)


def test_no_other_factor_is_nearer():
    """By trying: multiplied by the factor, a wrong explanation is nearer to the model than
    multiplied by any of many others."""
    problem, wrong = known.problem("brackets"), known.rival("brackets")

    def explained(by: float) -> float:
        logits = tuple(f"{by!r} * ({rule})" for rule in wrong.logits)
        found = held(dataclasses.replace(wrong, logits=logits), problem)
        return 1 - found.terms["error"].mean() / found.terms["spread"].mean()

    best = held(wrong, problem)
    assert max(0, explained(best.factor)) == pytest.approx(best.corrected, abs=1e-9)
    assert all(
        explained(best.factor) >= explained(best.factor + step)
        for step in np.linspace(-1, 1, 20).tolist()
    )


def test_the_worst_input_names_the_logit_that_is_furthest_off():
    """With a margin of 10 for 30, the named class is 30 · 6/7 above the mean of all in the model
    and 10 · 6/7 in the explanation."""
    found = held(
        dataclasses.replace(known.explained("modular_sum"), margin=10.0),
        known.problem("modular_sum"),
    )
    worst = found.worst[0]
    assert worst.model == worst.explanation == worst.apart and worst.logits == pytest.approx(
        (30 * 6 / 7, 10 * 6 / 7), rel=1e-3
    )


def test_a_constant_for_one_class_is_an_offset():
    """Formula: 3 more for one of 2 classes is ±1.5 after centring: 4.5 a question, beside a spread
    of 450 · 4 p (1 − p)."""
    problem = known.problem("two_hops")
    found = held(
        dataclasses.replace(
            known.explained("two_hops"), logits=("33 - 30 * differ", "30 * differ")
        ),
        problem,
    )
    p = problem.task.answer(problem.task.draw(6, 0, 200)).mean()
    assert (
        found.decomposition["offset"] == pytest.approx(4.5 / (450 * 4 * p * (1 - p)))
        and found.decomposition["rest"] < 1e-12
    )


def test_the_sorter_that_copies_itself_is_right_where_the_separator_asks():
    rival = sorting(at_least=0)
    problem = Problem(rival.task, rival.params)
    found = held(known.explained("sorting"), problem)
    assert one(implementing.faithful, found) == 0 and found.terms["agree"].mean() == pytest.approx(
        1 / 5
    )
    tokens = problem.task.draw(6, 0, 200)
    assert problem.goodness(problem.logits(tokens), tokens).mean() == pytest.approx(-16, abs=0.05)


def test_weights_of_ones_own_must_do_the_task_and_what_they_lack_must_not():
    problem = known.problem("modular_sum")
    exact = dataclasses.replace(
        known.explained("modular_sum"), weights={"W_out": problem.params["W_out"]}
    )
    assert one(implementing.faithful, held(exact, problem)) > 0.9999
    mixed = problem.params["W_out"].flip(-1)
    other = dataclasses.replace(exact, weights={"W_out": mixed}, answer=None)
    assert one(implementing.faithful, held(other, problem)) < 0.2
    none = dataclasses.replace(
        exact, weights={"W_out": problem.params["W_out"] * 0}
    )  # then the rest is the whole model
    assert one(implementing.faithful, held(none, problem)) == 0
    assert np.isfinite(list(held(other, problem).decomposition.values())).all()
