"""E2: donors agree and are drawn evenly; true graphs survive, graphs that lack an edge or confuse
values do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Place
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import controls
from assay_catalogue.circuits.verify.chance import unread
from assay_catalogue.circuits.verify.pieces import Cut
from assay_catalogue.circuits.verify.scrubbing import (
    floor,
    group_identical,
    identities,
    once,
    prefixes,
    recovered,
    scrubbed,
)
from assay_catalogue.subjects.parts import Part, Reader, earlier, run_by_parts


def share(statistic, found) -> float:
    return float(statistic({name: x.mean(keepdims=True) for name, x in found.terms.items()})[0])


def scrub(explanation, problem, n=200, resamples=200):
    return scrubbed(Program(explanation, problem), problem.task.draw(4, 0, n), 0, resamples)


def test_donors_agree_and_each_is_as_likely():
    """Each that has the same value and was not the same so far; itself, or one that was, only where
    there is no other."""
    ids = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [2, 2]])
    read = np.array([[0, 0], [1, 1], [0, 2], [2, 3], [3, 2], [4, 2]])
    of = np.random.default_rng(0)
    drawn = np.stack([group_identical(ids, read).drawn(of) for _ in range(3000)])
    for n in range(6):
        for i in range(2):
            same = [m for m in range(6) if ids[m, i] == ids[n, i]]
            equal = [m for m in same if read[m, i] != read[n, i]] or same
            assert group_identical(ids, read).others[n, i] == len({read[m, i] for m in same}) - 1
            share_of = np.bincount(drawn[:, n, i], minlength=6) / 3000
            assert np.allclose(
                share_of[equal], 1 / len(equal), atol=0.04
            ) and share_of.sum() == pytest.approx(share_of[equal].sum())


def naive(program, tokens, seed):
    """Exchange the same with a pass of the whole model for every unit, and again for the logits."""
    problem, of = program.problem, np.random.default_rng(seed)
    cut = Cut(problem, [u.place for u in program.units])
    clean, ids, pool = cut.clean(tokens), identities(program, tokens), {}
    home = {piece.place: i for i, piece in enumerate(cut.pieces) if piece.place}

    def run(*readers):
        read = {}
        for reader in readers:
            for part in earlier(problem.params, reader):
                total = torch.zeros_like(clean[0])
                for i in cut.of(part):
                    said = [
                        j
                        for j, u in enumerate(program.units)
                        if home[u.place] == i and (u, reader) in program.edges
                    ]
                    rows = (
                        group_identical(ids[said[0]], prefixes(tokens)).drawn(of)
                        if said
                        else of.integers(len(tokens), size=tokens.shape)
                    )
                    total = (
                        total
                        + (pool if said else clean)[i][
                            torch.from_numpy(rows), torch.arange(tokens.shape[1])
                        ]
                    )
                read[part, reader] = total[None]
        return run_by_parts(problem.params, torch.from_numpy(tokens), problem.activation, read=read)

    for unit in program.units:
        part, i = unit.place.part, home[unit.place]
        if part.kind in ("embed", "pos"):
            pool[i] = clean[i]
        elif unit.variable:
            slots = ("q", "k", "v") if part.kind == "head" else (None,)
            pool[i] = cut.divided(
                run(*(Reader(part.kind, part.layer, part.head, slot) for slot in slots))
            )[i]
    return run(Reader("logits")).logits[0]


@pytest.mark.parametrize("name", known.names())
def test_one_block_at_a_time_gives_what_whole_passes_give_bit_for_bit(name):
    problem = known.problem(name)
    program, tokens = Program(known.explained(name), problem), problem.task.draw(4, 0, 40)
    found = once(
        program,
        tokens,
        [group_identical(x, prefixes(tokens)) for x in identities(program, tokens)],
        np.random.default_rng(3),
    )
    assert torch.equal(found, naive(program, tokens, 3))


@pytest.mark.parametrize("name", known.names())
def test_true_graphs_survive_and_their_shuffled_variables_do_not(name):
    found = scrub(known.explained(name), known.problem(name))
    assert share(recovered, found) > 0.98 and found.distinguished > 0.98
    assert share(floor, found) < 0.1


@pytest.mark.parametrize("name", [n for n in known.names() if n != "redundant"])
def test_plausible_rivals_do_not_survive(name):
    assert share(recovered, scrub(known.rival(name), known.problem(name))) < 0.5


@pytest.mark.parametrize(
    ("variable", "reads"),
    [
        ("found", ("token.q", "token.v", "before.v")),
        ("found", ("token.k", "before.k", "token.v")),
        ("before", ("place.q", "place.k", "token.k")),
    ],
)
def test_a_missing_edge_is_noticed(variable, reads):
    whole = known.explained("induction")
    less = tuple(
        dataclasses.replace(v, reads=reads) if v.name == variable else v for v in whole.variables
    )
    assert (
        share(
            recovered, scrub(dataclasses.replace(whole, variables=less), known.problem("induction"))
        )
        < 0.1
    )


def test_a_direction_is_as_good_a_place_as_the_neuron_that_writes_it():
    """The first MLP of two hops writes the hop along coordinate 5 alone, and nothing else along any
    other.

    Formula: with the hop of any input, of share h, an answer is right in h² + (1 − h)² of cases.
    """
    problem, whole = known.problem("two_hops"), known.explained("two_hops")
    tokens = problem.task.draw(4, 0, 200)
    h, none = (tokens & 1 & tokens >> 1).mean(), unread(problem, tokens).mean()
    lost = (h**2 + (1 - h) ** 2 - none) / (1 - none)
    for coordinate, low, high in ((5, 0.98, 1.0), (6, lost - 0.1, lost + 0.1)):
        along = (tuple(float(i == coordinate) for i in range(8)),)
        moved = dataclasses.replace(whole.variables[0], at=(Place(Part("mlp", 0), along=along),))
        found = share(
            recovered,
            scrub(dataclasses.replace(whole, variables=(moved, *whole.variables[1:])), problem),
        )
        assert low <= found <= high, coordinate


def test_the_whole_model_survives_exactly_and_distinguishes_whatever_it_does():
    problem = known.problem("redundant")
    found = scrub(controls.whole(known.explained("redundant"), problem), problem)
    assert np.allclose(found.terms["scrubbed"], found.terms["full"], atol=1e-9)
    assert found.distinguished == 1


def test_counted_from_an_answer_that_reads_nothing():
    """Formula: of 2 classes, one with frequency f: the larger of f and 1 − f; of 7 that are even:
    1/7."""
    problem = known.problem("two_hops")
    tokens = problem.task.draw(4, 0, 500)
    f = problem.task.answer(tokens).mean()
    assert unread(problem, tokens).mean() == pytest.approx(max(f, 1 - f))
    problem = known.problem("modular_sum")
    tokens = np.array([[a, b, 7] for a in range(7) for b in range(7)])
    assert unread(problem, tokens).mean() == pytest.approx(1 / 7)
