"""Nonsense that knows the right answers: of generated explanations that put nothing true anywhere,
none is good.

Each has the right rule from input to answer, in steps that live nowhere, and names the right
places. What it says is there is a number of the input, whole or in part, or a class of two or three
inputs; or it is the right rules at wrong places."""

import dataclasses
from functools import cache

import numpy as np
import pytest

from assay.core.errors import AssayError
from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Place, Variable
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import Effort, score
from assay_catalogue.subjects.parts import SLOTS, Reader, earlier, parts

EFFORT = Effort(inputs=120, resamples=120, candidates=100)
NOTHING = 0.1
"""What an explanation may reach that uses nothing it locates."""
WHOLE = 0.5
"""What the model reaches as its own explanation: who is no better is not better than every
control."""
UNUSED = (
    "{answer} + 0 * ({junk})",
    "{answer} + ({junk}) - ({junk})",
    "({answer}) * (({junk}) == ({junk}))",
    "{answer} if ({junk}) == ({junk}) else 0",
)


@cache
def problem(name):
    return known.problem(name)


def whole(token):
    """A number of each input, at all its places."""
    return np.broadcast_to(
        np.unique(token, axis=0, return_inverse=True)[1].ravel()[:, None] * 1.0, token.shape
    )


def prefixes(token):
    """A number of what was read so far, at each place."""
    return np.stack(
        [
            np.unique(token[:, : i + 1], axis=0, return_inverse=True)[1].ravel() * 1.0
            for i in range(token.shape[1])
        ],
        1,
    )


def junk(of, asked):
    """Number inputs, or what was read of them so far: each by itself at all places, at those where
    an answer is asked for or at some, or two or three together."""
    kind = str(of.choice(["each", "each", "each", "asked", "some", "two", "three"]))
    so_far = of.random() < 0.5
    salt = int(of.integers(2**31))
    some = of.random(len(asked)) < 0.7
    there = {"asked": asked, "some": some}.get(kind, np.ones(len(asked), bool))
    size = {"two": 2, "three": 3}.get(kind, 1)

    def number(token):
        ids = (prefixes(token) if so_far else whole(token)).astype(np.int64)
        order = np.random.default_rng(salt).permutation(ids.max() + 1)
        return np.where(there, order[ids] // size + 1.0, 0.0)

    return number


def readable(params, places, by):
    """Whether all that reads at some places can read all that others write."""
    readers = [
        Reader(p.part.kind, p.part.layer, p.part.head, slot)
        for p in by
        for slot in (SLOTS if p.part.kind == "head" else (None,))
    ]
    return all(p.part in earlier(params, r) for p in places for r in readers)


def numbered(name, of):
    """Put numbers of the input where all variables live, or one of them; what was there goes on
    living nowhere, and is right."""
    own, params = known.explained(name), problem(name).params
    there = [v for v in own.variables if v.at]
    taken = there if of.random() < 0.6 else [there[int(of.integers(len(there)))]]
    made = []
    asked = (problem(name).task.answer(problem(name).task.draw(0, 0, 50)) >= 0).any(0)
    alike = of.random() < 0.7
    one = junk(of, asked)
    for v in own.variables:
        before = tuple(
            x.name
            for x in made
            if x.name.startswith("junk") and x.at and readable(params, x.at, v.at)
        )
        reads = (*(v.reads or ()), "token", "place", *before)
        if v in taken:
            made += [
                dataclasses.replace(v, at=(), reads=None),
                Variable(f"junk_{v.name}", one if alike else junk(of, asked), v.at, reads),
            ]
        else:
            made.append(
                dataclasses.replace(
                    v, reads=(*v.reads, *before) if v.at and v.reads is not None else v.reads
                )
            )
    names = [x.name for x in made if x.name.startswith("junk")]
    wrap = str(of.choice(UNUSED))

    def with_junk(rule):
        return wrap.format(answer=f"({rule})", junk=" + ".join(names))

    logits = own.logits
    return dataclasses.replace(
        own,
        name="numbers",
        variables=tuple(made),
        size=Program(own, problem(name)).size,
        reads=None,
        answer=None if own.answer is None else with_junk(own.answer),
        logits=tuple(map(with_junk, logits)) if isinstance(logits, tuple) else None,
    )


def misplaced(name, of):
    """Put right rules at wrong places: at other parts, or, where there are none, at positions where
    nothing is asked of them."""
    own, params = known.explained(name), problem(name).params
    there = [v for v in own.variables if v.at]
    right = {v.name: frozenset(p.part for p in v.at) for v in there}
    heads = [p for p in parts(params) if p.kind in ("head", "mlp")]
    homes = [p for v in there for p in v.at]
    asked = (problem(name).task.answer(problem(name).task.draw(0, 0, 50)) >= 0).any(0)
    idle = tuple(int(i) for i in np.flatnonzero(~asked[: len(asked) - 1]))
    for _ in range(50):
        elsewhere = [Place(heads[i]) for i in of.permutation(len(heads))[: len(homes)]]
        if len({*elsewhere}) < len(homes) or all(
            right[v.name] == {elsewhere[i].part} for i, v in enumerate(there) if i < len(elsewhere)
        ):
            break
        queue = iter(elsewhere)
        at = {v.name: tuple(next(queue) for _ in v.at) for v in own.variables}
        if any(frozenset(p.part for p in at[name_]) == right[name_] for name_ in right):
            continue
        try:
            return Program(own, problem(name)).moved(at).explanation
        except AssayError:
            continue
    some = tuple(sorted(int(i) for i in of.choice(idle, min(len(idle), 3), replace=False))) or (0,)
    variables = tuple(
        dataclasses.replace(v, at=tuple(dataclasses.replace(p, positions=some) for p in v.at))
        if v.at
        else v
        for v in own.variables
    )
    return dataclasses.replace(own, name="wrong places", variables=variables)


def tried(name, seed):
    """Score a piece of nonsense; whether it uses nothing that it locates."""
    of = np.random.default_rng([seed, known.names().index(name)])
    numbers = bool(of.random() < 0.8) or name in (
        "modular_sum",
        "two_hops",
    )  # rules that are true of one of their places may be of another
    made = (numbered if numbers else misplaced)(name, of)
    unused = all(v.name.startswith("junk") for v in made.variables if v.at)
    return unused, score(made, problem(name), 7, EFFORT)


def worst(name, seeds):
    """The best qualities that nonsense reaches: of what uses nothing located, and of any."""
    found = [tried(name, seed) for seed in seeds]
    return max((s.quality.estimate for unused, s in found if unused), default=0.0), max(
        s.quality.low for _, s in found
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.thorough) if name == "induction" else name
        for name in known.names()
    ],
)
def test_nonsense_is_not_good(name):
    unused, best = worst(name, range(2))
    assert unused <= NOTHING and best <= WHOLE


@pytest.mark.slow
@pytest.mark.parametrize("name", known.names())
def test_a_thousand_pieces_of_nonsense_are_not_good(name):
    unused, best = worst(name, range(2, 172))
    print(
        f"{name}: 170 explanations, at most {unused:.3f} where nothing located is used, at "
        f"most {best:.3f} of any"
    )
    assert unused <= NOTHING and best <= WHOLE
