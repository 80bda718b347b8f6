"""Shares of what there is to explain: undefined, never 1, where there is nothing; and the same
however sure a model is."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from assay_catalogue.circuits import known
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import ablation, chance, implementing, scrubbing
from assay_catalogue.circuits.verify.rivals import rivals
from assay_catalogue.circuits.verify.score import Effort, Score, score
from assay_catalogue.worlds.algorithms.task import UNASKED

SMALL = Effort(inputs=100, resamples=100, candidates=200)
STATISTICS = {
    ablation.keep: ("full", "unread", "keep.mean", "keep.resample", "keep.worst"),
    ablation.remove: ("full", "unread", "gone.mean", "gone.resample"),
    ablation.complete: ("full", "unread", "less.kept", "less.model"),
    scrubbing.recovered: ("full", "unread", "scrubbed"),
    scrubbing.floor: ("full", "unread", "floor"),
}


def untrained(name: str, seed: int = 0) -> Problem:
    """A model of a circuit's shape whose numbers are drawn."""
    problem = known.problem(name)
    of = torch.Generator().manual_seed(seed)
    drawn = {
        key: torch.randn(x.shape, generator=of, dtype=x.dtype) / x.shape[-1] ** 0.5
        for key, x in problem.params.items()
    }
    return dataclasses.replace(problem, params=drawn)


def silent(name: str) -> Problem:
    """A circuit whose logits are the same on every input."""
    problem = known.problem(name)
    return dataclasses.replace(problem, params={**problem.params, "W_U": problem.params["W_U"] * 0})


def parts(found: Score) -> dict[str, float]:
    return {row.name[:2]: row.estimate for row in found.parts}


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda f: f.__name__)
def test_a_share_of_nothing_is_undefined_and_any_other_lies_between_0_and_1(statistic):
    """Over all combinations of -1, 0, .04, .5 and 1: NaN exactly where the model has no more than
    LEAST beyond an answer that reads nothing."""
    names = STATISTICS[statistic]
    values = np.array(list(itertools.product((-1.0, 0.0, 0.04, 0.5, 1.0), repeat=len(names)))).T
    m = dict(zip(names, values, strict=True))
    found, nothing = statistic(m), m["full"] - m["unread"] <= chance.LEAST
    assert np.isnan(found[nothing]).all() and not np.isnan(found[~nothing]).any()
    assert (found[~nothing] >= 0).all() and (found[~nothing] <= 1).all()


def test_no_logits_to_explain_are_explained_by_nothing():
    assert np.isnan(implementing.explained({"error": np.array(0.0), "spread": np.array(0.0)}))
    exact = dataclasses.replace(known.explained("sorting"), margin=0.0)
    found = score(exact, silent("sorting"), 3, SMALL)
    assert (
        all(np.isnan(parts(found)[name]) for name in ("E1", "E2", "E3"))
        and found.quality.estimate == 0
    )


@pytest.mark.parametrize("name", ["modular_sum", "redundant", "sorting"])
def test_of_a_model_that_learned_nothing_nothing_is_explained(name):
    """Neither by what is true of the circuit, nor by the floor, the same with its variables
    shuffled."""
    for problem in (untrained(name), silent(name)):
        found = score(known.explained(name), problem, 3, SMALL)
        floor = {row.name: row.estimate for row in found.details}["E2 of shuffled variables"]
        assert np.isnan([parts(found)["E1"], parts(found)["E2"], floor]).all()
        assert (found.quality.estimate, found.quality.high, found.quality.why) == (
            0,
            0,
            chance.NOTHING,
        )
        assert (
            rivals(Program(known.explained(name), problem), problem.task.draw(3, 0, 96), 3).sets
            == 0
        )


def test_an_answer_that_reads_nothing_is_right_as_often_as_the_most_frequent_one():
    """By counting: two positions, of which the second asks of some inputs alone."""
    task = dataclasses.replace(known.problem("two_hops").task, answer=lambda tokens: tokens)
    problem = dataclasses.replace(known.problem("two_hops"), task=task)
    tokens = np.array([[0, 1], [0, 1], [0, UNASKED], [1, 0]])
    assert chance.unread(problem, tokens).mean() == pytest.approx((3 + 2) / 7)
    ties = np.zeros((4, 2, 2))
    assert problem.right(ties, tokens).mean() == pytest.approx(1 / 2), (
        "of answers that are as likely each is named a share of the time"
    )


@pytest.mark.parametrize("name", ["redundant", "sorting"])
def test_a_partly_right_explanation_is_worth_the_same_however_sure_the_model_is(name):
    """Only the logits are multiplied, and the margin with them."""
    own, problem = known.explained(name), known.problem(name)
    rules = {
        "copied": "0 if before == 7 else before",
        "next": "least(token, there(token) > floor + 1 and there(token) != 'SEP')",
    }
    wrong = tuple(dataclasses.replace(v, rule=rules.get(v.name, v.rule)) for v in own.variables)
    answer = "max(next, 0)" if name == "sorting" else own.answer
    reached = []
    for sure in (1.0, 4.0, 20.0):
        params = {**problem.params, "W_U": problem.params["W_U"] * sure / own.margin}
        partly = dataclasses.replace(own, variables=wrong, answer=answer, margin=sure)
        reached.append(
            score(partly, dataclasses.replace(problem, params=params), 5, SMALL).quality.estimate
        )
    assert min(reached) > 0.3 and max(reached) - min(reached) < 0.01


@pytest.mark.parametrize("name", ["sorting", "redundant"])
def test_noise_in_place_of_weights_is_worth_nothing(name):
    """The rule is right, and so are all places; what is given for keys is drawn."""
    problem = known.problem(name)
    for seed in range(4):
        of, W = torch.Generator().manual_seed(seed), problem.params["W_QKV"].clone()
        W[:, :, :, 1] = (
            torch.randn(W[:, :, :, 1].shape, generator=of, dtype=W.dtype) * W[:, :, :, 1].std()
        )
        noise = Program(
            dataclasses.replace(known.explained(name), weights={"W_QKV": W}, size=30), problem
        )
        for n in (100, 1000):
            terms = implementing.implemented(
                noise, problem.task.draw(seed, 0, n, held_out=True)
            ).terms
            assert implementing.faithful({key: x.mean() for key, x in terms.items()}) <= 0.1, (
                "quality is no more"
            )


def test_a_variable_whose_exchange_changes_no_foretold_answer_earns_nothing():
    """True of its place, and shared by many, but the answer is foretold without it."""
    own = known.explained("sorting")
    held = dataclasses.replace(own.variables[1], name="held")
    loose = dataclasses.replace(
        own,
        variables=(
            own.variables[0],
            dataclasses.replace(own.variables[1], at=(), reads=None),
            held,
        ),
        answer="next + 0 * held",
    )
    found = score(loose, known.problem("sorting"), 3, SMALL)
    assert (
        parts(found)["E2"] == 0
        and "no answer is predicted" in found.parts[1].why
        and found.quality.high == 0
    )
