"""The whole table on circuits that are known: the true explanation is good, and better than each of
the four controls."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import controls
from assay_catalogue.circuits.verify.rivals import rivals
from assay_catalogue.circuits.verify.score import Effort, score, table

SMALL = Effort(inputs=120, resamples=240, candidates=5_000)


@pytest.fixture(
    scope="module",
    params=[
        name
        if name in ("modular_sum", "two_hops")
        else pytest.param(name, marks=pytest.mark.thorough)
        for name in known.names()
    ],
)
def found(request):
    return table(
        known.explained(request.param),
        known.rival(request.param),
        known.problem(request.param),
        7,
        SMALL,
    )


def test_the_true_explanation_is_good_in_every_part(found):
    parts = {row.name: row for row in found.own.parts}
    assert all(
        parts[name].estimate > 0.98 for name in ("E1 ablation", "E2 scrubbing", "E3 implementation")
    )
    assert np.isnan(parts["E4 adversarial"].estimate) and "errs on 0" in parts["E4 adversarial"].why
    assert found.own.quality.estimate == pytest.approx(parts["short"].estimate, rel=0.02)
    assert all(
        row.low <= row.estimate <= row.high
        for row in (*found.own.parts, *found.own.details)
        if not np.isnan(row.estimate)
    )


def test_all_four_controls_rank_below_it(found):
    assert set(found.controls) == {"another", "shuffled", "empty", "whole"} and found.ranked
    assert found.controls["empty"].quality.estimate == 0
    assert found.controls["whole"].quality.estimate == pytest.approx(0.5, abs=0.001)
    assert found.controls["shuffled"].quality.estimate < 0.3
    assert not any(c.refused for c in found.controls.values())


def test_a_control_that_passes_spoils_the_ranking():
    problem = known.problem("modular_sum")
    same = table(known.explained("modular_sum"), known.explained("modular_sum"), problem, 7, SMALL)
    assert not same.ranked


def test_an_explanation_that_does_not_fit_scores_nothing_and_says_why():
    found = table(
        known.explained("modular_sum"),
        known.explained("induction"),
        known.problem("modular_sum"),
        7,
        SMALL,
    )
    assert (
        "the model has no part a1.0" in found.controls["another"].refused
        and found.controls["another"].quality.high == 0
    )


def test_half_an_explanation_cannot_be_bought_off():
    problem, whole = known.problem("modular_sum"), known.explained("modular_sum")
    silent = score(dataclasses.replace(whole, answer=None), problem, 7, SMALL)
    assert silent.quality.estimate == 0 and silent.parts[0].estimate > 0.98
    lookup = score(
        Explanation(
            of="modular_sum",
            name="answers alone",
            answer="total(token, there(place) < 2) % 7",
            margin=30.0,
        ),
        problem,
        7,
        SMALL,
    )
    assert lookup.parts[2].estimate > 0.99 and lookup.quality.estimate < 0.1


def test_the_same_seed_gives_the_same_score_and_a_model_is_not_changed():
    problem = known.problem("two_hops")
    before = {name: x.clone() for name, x in problem.params.items()}
    first, again = (score(known.explained("two_hops"), problem, 7, SMALL) for _ in range(2))
    assert [dataclasses.astuple(r) for r in first.details] == [
        dataclasses.astuple(r) for r in again.details
    ]
    assert all((before[name] == x).all() for name, x in problem.params.items())


def test_rivals_are_counted():
    """Of two heads that do the same, exchanging them is as good, and so is leaving out positions,
    which are the same on every input and so their own mean; of induction's variables no other home
    is."""
    twins = rivals(
        Program(known.rival("redundant"), known.problem("redundant")),
        known.problem("redundant").task.draw(7, 0, 96),
        0,
    )
    assert twins.homes == 1 and twins.homes_tried == 1 and twins.sets == 2 and twins.sets_tried == 4
    alone = rivals(
        Program(known.explained("induction"), known.problem("induction")),
        known.problem("induction").task.draw(7, 0, 96),
        0,
    )
    assert alone.homes == 0 and alone.homes_tried == 3 and alone.sets_tried == 14


def test_a_shuffled_explanation_says_other_things_at_the_same_length():
    problem, own = known.problem("induction"), known.explained("induction")
    mixed = controls.shuffled(own, problem, 3)
    tokens = problem.task.draw(1, 0, 50)
    true, false = Program(own, problem), Program(mixed, problem)
    assert false.size == true.size
    a, b = (p.values(tokens)["before"] for p in (true, false))
    assert not np.array_equal(a, b) and np.array_equal(np.sort(a, 0), np.sort(b, 0))


@pytest.mark.thorough
def test_a_score_does_not_depend_on_what_was_scored_before_of_the_same_model():
    """What explanations of one model share is computed once, and must be the same for each."""
    of = known.problem("induction")
    own, rival = known.explained("induction"), known.rival("induction")
    effort = Effort(inputs=100, resamples=100, candidates=1000)
    for one in (rival, controls.empty(own), own, controls.shuffled(own, of, 5), rival):
        late, fresh = score(one, of, 5, effort), score(one, dataclasses.replace(of), 5, effort)
        assert repr((late.quality, late.parts, late.details)) == repr(
            (fresh.quality, fresh.parts, fresh.details)
        )
