"""E4: a circuit with a planted fault is caught where an explanation says so, and not where another
says; sound ones give no score."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from assay_catalogue.circuits import known
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import adversarial
from assay_catalogue.circuits.verify.adversarial import by_gradient, tried
from assay_catalogue.circuits.verify.score import Effort, score
from assay_catalogue.subjects.parts import Part, run_by_parts

SUM = 5


@pytest.fixture
def faulty() -> Problem:
    """Modular addition whose bump for the sum 5 writes to the remainder of another sum, so that it
    errs there and nowhere else."""
    problem = known.problem("modular_sum")
    W = problem.params["W_out"].clone()
    found = slice(W.shape[-1] - 7, W.shape[-1])
    bump = torch.tensor([1.0, -2.0, 1.0], dtype=W.dtype)
    W[0, 0, SUM : SUM + 3, found][:, SUM % 7] -= bump
    W[0, 0, SUM : SUM + 3, found][:, (SUM + 1) % 7] += bump
    return Problem(problem.task, {**problem.params, "W_out": W}, problem.activation)


def test_the_fault_is_where_it_was_planted(faulty):
    tokens = faulty.task.draw(1, 0, 2000)
    assert np.array_equal(
        faulty.wrong(faulty.logits(tokens), tokens) == 1, tokens[:, :2].sum(1) == SUM
    )


def test_who_knows_the_fault_foretells_all_of_it(faulty):
    found = tried(
        Program(
            dataclasses.replace(known.explained("modular_sum"), fails=f"added == {SUM}"), faulty
        ),
        1,
        200,
        5_000,
    )
    rates = {kind: float(x.mean()) for kind, x in found.terms.items()}
    assert rates["failing"] == 1 and rates["working"] == 0
    assert (
        rates["random"] == pytest.approx(6 / 49, abs=0.08)
        and len({len(x) for x in found.terms.values()}) == 1
    )


def test_who_names_another_sum_foretells_nothing(faulty):
    found = tried(
        Program(
            dataclasses.replace(known.explained("modular_sum"), fails=f"added == {SUM - 1}"), faulty
        ),
        1,
        200,
        5_000,
    )
    assert (
        float(adversarial.predicted({n: x.mean(keepdims=True) for n, x in found.terms.items()})[0])
        == 0
    )


def test_who_sees_no_fault_in_a_faulty_model_scores_nothing(faulty):
    found = tried(Program(known.explained("modular_sum"), faulty), 1, 200, 5_000)
    assert found.terms and not found.terms["failing"].any()


def test_a_sound_model_has_no_score_and_says_why():
    found = tried(
        Program(known.explained("modular_sum"), known.problem("modular_sum")), 1, 200, 5_000
    )
    assert not found.terms and "errs on 0 of 5,000 inputs" in found.why


@pytest.mark.parametrize("fails", ["1 == 1", "added < 9"])
def test_who_foretells_failures_of_a_model_that_never_errs_is_refuted(fails):
    """Modular addition as it was built is right on all 49 inputs; whoever says that all fail, or
    most, is wrong about each of them."""
    explanation = dataclasses.replace(known.explained("modular_sum"), fails=fails)
    found = tried(Program(explanation, known.problem("modular_sum")), 1, 200, 5_000)
    assert (
        found.terms
        and float(
            adversarial.predicted({n: x.mean(keepdims=True) for n, x in found.terms.items()})[0]
        )
        == 0
    )
    assert "errs on 0 of 5,000" in found.why
    reached = score(
        explanation,
        known.problem("modular_sum"),
        1,
        Effort(inputs=100, resamples=100, candidates=500),
    )
    assert reached.parts[3].estimate == 0 and reached.parts[3].why and reached.quality.estimate == 0


@pytest.mark.parametrize("fails", [None, "0 == 1"])
def test_who_foretells_nothing_of_a_model_that_never_errs_has_no_score(fails):
    problem = known.problem("modular_sum")
    explanation = dataclasses.replace(known.explained("modular_sum"), fails=fails)
    program = Program(explanation, problem)
    tokens = problem.task.draw(1, 0, 500)
    assert not problem.missed(
        program.logits(tokens), tokens
    ).any()  # its own answers are wrong on nothing
    found = tried(program, 1, 200, 5_000)
    assert not found.terms and "0 of 5,000 are predicted to fail" in found.why


def test_wrong_answers_alone_foretell_nothing_that_a_sound_model_could_refute():
    """Without `fails` an answer that is always wrong is a poor answer, which other parts count; it
    is no prediction of errors."""
    wrong = dataclasses.replace(known.explained("modular_sum"), answer="(remainder + 1) % 7")
    assert not tried(Program(wrong, known.problem("modular_sum")), 1, 200, 5_000).terms


@pytest.mark.parametrize("candidates", [100, 730, 5_000, 7_000])
def test_as_many_candidates_are_drawn_as_were_asked_for_and_all_that_fail_are_counted(
    candidates, monkeypatch
):
    """A naive count: of all that the task was asked for, those of which an expression of the
    language is true."""
    problem, drawn = known.problem("modular_sum"), []
    draw = type(problem.task).draw
    monkeypatch.setattr(
        type(problem.task), "draw", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1]
    )
    found = tried(
        Program(dataclasses.replace(known.explained("modular_sum"), fails="added == 0"), problem),
        1,
        1_000,
        candidates,
    )
    every = np.concatenate(drawn[: 1 + (candidates > 5_000)])
    told = f"{(every[:, :2].sum(1) == 0).sum():,} of {candidates:,} are predicted to fail"
    assert len(every) == candidates == found.candidates and told in found.why


def test_more_that_fail_than_are_tried_are_counted_all_the_same():
    found = tried(
        Program(
            dataclasses.replace(known.explained("modular_sum"), fails="1 == 1"),
            known.problem("modular_sum"),
        ),
        1,
        200,
        500,
    )
    assert "500 of 500 are predicted to fail" in found.why


def test_inputs_by_gradient_are_those_whose_loss_rises_most_along_it():
    problem = known.problem("brackets")
    pool = problem.task.draw(1, 0, 30)
    chosen = by_gradient(problem, pool, 30)
    assert sorted(map(tuple, chosen)) == sorted(map(tuple, pool))
    W = problem.params["W_E"][0]

    def loss(at: torch.Tensor) -> torch.Tensor:
        logits = run_by_parts(
            problem.params,
            torch.from_numpy(pool),
            problem.activation,
            written={Part("embed"): lambda _: at[None]},
        ).logits[0]
        return -logits.log_softmax(-1)[range(30), -1, problem.task.answer(pool)[:, -1]]

    at = W[torch.from_numpy(pool)].clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(at).sum(), at)
    here = loss(at).detach()
    rise = [
        [
            float(here[a] + (slope[a] * (W[torch.from_numpy(x)] - at[a].detach())).sum())
            for a in range(30)
        ]
        for x in pool
    ]
    best = pool[int(np.argmax(np.max(rise, 1)))]
    assert (
        np.max(rise) == pytest.approx(max(rise[[tuple(p) for p in pool].index(tuple(chosen[0]))]))
        and best.shape == chosen[0].shape
    )
