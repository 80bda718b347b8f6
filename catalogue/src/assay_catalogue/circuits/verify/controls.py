"""Explanations that must not score as well: an empty one, a shuffled one, and one that is the whole
model over again.

The fourth control, an explanation of something else, is whatever one has: of another seed, another
circuit, or a plausible rival."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from assay.train import rng
from assay_catalogue.circuits.explanation import GIVEN, Explanation, Place, Rule, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.rules import Shuffled, bound
from assay_catalogue.subjects.parts import Part, parts


class Whole(Explanation):
    """A model as an explanation of itself: it says of every exchange what the model then does,
    since it is the model."""


def empty(explanation: Explanation) -> Explanation:
    """Say nothing about the same model."""
    return Explanation(of=explanation.of, name="nothing", size=0)


def whole(explanation: Explanation, problem: Problem) -> Whole:
    """Say that every part matters and holds all that was read so far, and that the logits are the
    model's: as faithful as can be, and as long."""
    names = {part: f"whole_{part}".replace(".", "_") for part in parts(problem.params)}
    before: list[Part] = []
    variables = []
    for part, name in names.items():
        # `before` ends with the part's own block, whose heads an MLP reads and a head does not.
        reads = tuple(names[p] for p in before if p.layer < part.layer or part.kind == "mlp")
        variables.append(
            Variable(name, _prefix, (Place(part),), ("token", *reads) if reads else None)
        )
        before.append(part)
    return Whole(
        of=explanation.of,
        name="the whole model",
        variables=tuple(variables),
        size=problem.size,
        reads=("token", *names.values()),
        logits=lambda token: problem.logits(token.astype(np.int64)),
    )


def shuffled(explanation: Explanation, problem: Problem, seed: int) -> Explanation:
    """Give the same places to other parts of their kind where there are any, and let all it says be
    said of other inputs."""
    program = Program(explanation, problem)
    generator = rng.generator(seed, "circuits.shuffled")
    all_parts = parts(problem.params)
    moved: dict[Part, Part] = {}
    for kind in ("head", "mlp"):
        same_kind = [p for p in all_parts if p.kind == kind]
        # Within a block only: in another one, a part might be read by what comes before it, which
        # no explanation may say.
        for layer in {p.layer for p in same_kind}:
            block = [p for p in same_kind if p.layer == layer]
            moved |= dict(
                zip(block, (block[i] for i in generator.permutation(len(block))), strict=True)
            )
    neurons = (
        generator.permutation(problem.params["W_in"].shape[-1])
        if "W_in" in problem.params
        else np.arange(0)
    )
    stir = int(generator.integers(2**31))
    known = (*GIVEN, *program.variables)

    def mixed(rule: Rule) -> Rule:
        # Bound first, so that the mixed rule reads the same names. All rules stir tokens by one
        # permutation, and so still agree with each other.
        of_own = bound(rule, explanation.name, known, problem.task.tokens)
        return Shuffled(of_own.what, of_own.names, of_own.rule, stir)

    def put(places: tuple[Place, ...]) -> tuple[Place, ...]:
        neuron_sets = (tuple(sorted(int(neurons[i]) for i in p.neurons)) for p in places)
        return tuple(
            dataclasses.replace(p, part=moved.get(p.part, p.part), neurons=n)
            for p, n in zip(places, neuron_sets, strict=True)
        )

    logits = explanation.logits
    return dataclasses.replace(
        explanation,
        name=f"{explanation.name}, shuffled",
        # As long as what it was made from: it is to fail by what it says, not by its length.
        size=program.size,
        matter=put(explanation.matter),
        weights={},
        variables=tuple(
            dataclasses.replace(v, rule=mixed(v.rule), at=put(v.at)) for v in explanation.variables
        ),
        answer=None if explanation.answer is None else mixed(explanation.answer),
        logits=tuple(map(mixed, logits))
        if isinstance(logits, tuple)
        else None
        if logits is None
        else mixed(logits),
        fails=None if explanation.fails is None else mixed(explanation.fails),
    )


def prefixes(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
    """Number what was read so far, position by position: equal where every token up to here is."""
    numbers = np.zeros(tokens.shape, np.int64)
    for i in range(tokens.shape[1]):
        pair = np.stack([numbers[:, i - 1], tokens[:, i]], 1) if i else tokens[:, :1]
        # What was read up to here is what was read before and one token more, so pairs are enough;
        # ravel, since the shape of the inverse differs between versions of NumPy.
        numbers[:, i] = np.unique(pair, axis=0, return_inverse=True)[1].ravel()
    return numbers


def _prefix(token: Float[np.ndarray, "n s"]) -> Float[np.ndarray, "n s"]:
    return prefixes(token.astype(np.int64)).astype(np.float64)
