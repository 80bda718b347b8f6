"""E1: pieces add up to the model; what is kept and taken is what a loop over inputs gives;
redundant copies fool single ablation alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Explanation, Place
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import ablation
from assay_catalogue.circuits.verify.ablation import ablated
from assay_catalogue.circuits.verify.pieces import Cut, Sweep
from assay_catalogue.subjects.parts import Part, run_by_parts


def means(terms) -> dict[str, np.ndarray]:
    return {name: x.mean(keepdims=True) for name, x in terms.items()}


def one(statistic, terms) -> float:
    return float(statistic(means(terms))[0])


def test_pieces_of_a_part_add_up_to_what_it_writes():
    problem = known.problem("modular_sum")
    d = problem.params["W_E"].shape[-1]
    places = [
        Place.parse("m0[1,3]@2"),
        Place.parse("m0[0]"),
        Place.parse("a0.0@1"),
        Place(Part("embed"), along=((1.0,) + (0.0,) * (d - 1),)),
    ]
    cut = Cut(problem, places)
    tokens = problem.task.draw(1, 0, 30)
    run = problem.run(tokens)
    shares = cut.divided(run)
    for part, out in run.wrote.items():
        assert torch.allclose(sum(shares[i] for i in cut.of(part)), out[0])
    neurons = shares[[str(p) for p in cut.pieces].index("m0[1,3]@2")]
    by_hand = run.neurons[0][0][:, 2, [1, 3]] @ problem.params["W_out"][0, 0, [1, 3]]
    assert torch.allclose(neurons[:, 2], by_hand) and not neurons[:, :2].any()


def test_replacing_is_what_one_input_at_a_time_gives():
    problem = known.problem("induction")
    tokens = problem.task.draw(1, 0, 6)
    cut = Cut(problem, [Place.parse("a0.0"), Place.parse("a1.0")])
    clean = cut.clean(tokens)
    names = [str(p) for p in cut.pieces]
    kept = np.random.default_rng(0).random((6, len(names))) < 0.5
    found = cut.replaced(tokens, kept, [x.roll(1, 0) for x in clean])
    for n in range(6):
        other = run_by_parts(problem.params, torch.from_numpy(tokens[[n - 1]])).wrote
        gone = {
            Part.parse(name): other[Part.parse(name)]
            for name, k in zip(names, kept[n], strict=True)
            if not k
        }
        alone = run_by_parts(
            problem.params,
            torch.from_numpy(tokens[[n]]),
            written={p: lambda _, x=x: x for p, x in gone.items()},
        ).logits[0, 0]
        assert torch.allclose(found[n], alone)


@pytest.mark.parametrize("name", known.names())
def test_a_sweep_over_masks_gives_what_each_alone_gives_bit_for_bit(name):
    problem = known.problem(name)
    tokens = problem.task.draw(1, 0, 12)
    cut = Cut(problem, [u.place for u in Program(known.explained(name), problem).units])
    instead = [x.roll(1, 0) for x in cut.clean(tokens)]
    masks = list(np.random.default_rng(0).random((12, len(cut.pieces))) < 0.6)
    found = Sweep(cut, tokens, instead).each([*masks, masks[0]], lambda logits: logits.numpy())
    for mask, logits in zip([*masks, masks[0]], found, strict=True):
        assert np.array_equal(
            logits, cut.replaced(tokens, np.broadcast_to(mask, (12, len(mask))), instead).numpy()
        )


@pytest.mark.parametrize("name", known.names())
def test_the_true_explanation_keeps_all_and_takes_all(name):
    problem = known.problem(name)
    cut = ablated(Program(known.explained(name), problem), problem.task.draw(2, 0, 96), 0)
    assert one(ablation.faithful, cut.terms) > 0.98


@pytest.mark.parametrize("name", known.names())
def test_saying_nothing_keeps_nothing(name):
    problem = known.problem(name)
    cut = ablated(
        Program(Explanation(of=name, name="nothing"), problem), problem.task.draw(2, 0, 96), 0
    )
    assert (
        one(ablation.keep, cut.terms)
        == one(ablation.remove, cut.terms)
        == one(ablation.complete, cut.terms)
        == 0
    )


def test_single_ablation_is_fooled_by_a_copy_and_joint_ablation_is_not():
    problem = known.problem("redundant")
    tokens = problem.task.draw(2, 0, 200)
    both, single = (
        ablated(Program(e, problem), tokens, 0)
        for e in (known.explained("redundant"), known.rival("redundant"))
    )
    assert abs(both.alone["a0.0"]) < 1e-6 and abs(both.alone["a0.1"]) < 1e-6, (
        "each head alone looks idle"
    )
    heads = Explanation(
        of="redundant", name="heads", matter=(Place.parse("a0.0"), Place.parse("a0.1"))
    )
    assert one(ablation.remove, ablated(Program(heads, problem), tokens, 0).terms) > 0.95, (
        "both together are all there is"
    )
    assert one(ablation.complete, both.terms) > 0.98
    assert single.apart == ("a0.0",) and one(ablation.complete, single.terms) < 0.1, (
        "one copy is told apart once the other stands in for it"
    )


def test_what_was_forgotten_is_found_among_all_sets_of_what_is_left():
    problem, whole = known.problem("induction"), known.explained("induction")
    less = dataclasses.replace(
        whole, variables=whole.variables[1:], answer="token", reads=("token", "found")
    )
    less = dataclasses.replace(
        less, variables=(dataclasses.replace(less.variables[0], rule="token", reads=("token",)),)
    )
    cut = ablated(Program(less, problem), problem.task.draw(2, 0, 96), 0)
    assert "a0.0" in cut.worst and one(ablation.keep, cut.terms) < 0.3


def test_all_sets_are_tried_where_they_are_few_and_so_many_else():
    few = ablation.subsets(np.array([True, False, True, True]), 0, "x")
    assert len(few) == 7 and len({tuple(x) for x in few}) == 7 and not any(x[1] for x in few)
    many = ablation.subsets(np.ones(20, bool), 0, "x", empty=True)
    assert len(many) == ablation.SETS and not many[0].any() and many[-1].all()
