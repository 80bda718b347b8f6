"""Palindromes, explained: in the first block each head is a pair of scales, and END looks whether one of them tips.

From a place of the second half, or from END, a head attends to the two mirrored places of some pairs, to each by the weight that it
gives to the token there. Equal tokens weigh the same, so that attention is halved; where they differ it goes to one side, and what is
written says which place was attended to, not which token. Some heads have no weights: they attend to the mirrored place as far as it has
the token of their own place. Heads of the second block attend from END to places where scales tip, and name "no".

Two tokens that weigh about the same on every pair of scales that compares their places are taken for equal: the weak spot.

The published explanation of a model of this kind has the heads of the first block write the difference of the tokens themselves. In the
models here what is moved matters little: with the values of other tokens they answer nearly as well. That heads weigh shows in their
attention; causal scrubbing would be content with less, with which pairs differ and the token of the place.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.circuits.explanation import Explanation, Variable
from assay.circuits.places import Place
from assay.circuits.problem import Problem
from assay.core import rng
from assay.subjects.parts import Part

SEED, INPUTS = 2000, 3000
"""Of the lists on which roles are looked for, and how many; no score is taken on them."""
LEAST = 0.1
"""A head compares a pair at a place where both mirrored places together draw this much of its attention, on average."""
TOLD = 0.6
"""A head is a pair of scales where weights of tokens account for so much of how attention is divided."""
OFTEN = 16
"""Palindromes in which each pair is spoilt by each two tokens, to see which are taken for equal."""
TAKEN = 0.4
"""Two tokens at a pair are named where the model takes them for equal in so many of these."""
BLOCK = 5000
"""Lists of one pass."""
MOST = 60
"""Most such cases that are named."""


@dataclass(frozen=True, eq=False)
class Scales:
    """A head of the first block at one place, where it compares pairs."""

    head: int
    place: int
    pairs: tuple[int, ...]
    """Pair k is of places 1 + k and 2 · half − k."""
    weights: tuple[float, ...]
    """Of each token; none where tokens are only told equal or different."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of palindromes: scales in the first block, heads at END that look whether one tips, and tokens that weigh alike.

    Scales are found by attention: `scales`; logits are two numbers, the model's means; where it fails: `alike`.
    """
    found = scales(problem)
    heads = sorted({one.head for one in found})
    half, last = _half(problem), problem.task.length - 1
    weighed = [Variable(_weight(one), _table(one.weights)) for one in found if one.weights]
    tilts = {(one.head, one.place, k): _tilt(one, k, half) for one in found for k in one.pairs}
    stands = [Variable(_stand(one), " + ".join(f"{3**i} * tilt{one.head}_{one.place}_{k}" for i, k in enumerate(one.pairs))) for one in found]
    second = tuple(range(half + 1, last + 1))
    wide = 3**half
    balances = []
    for h in heads:
        own = [one for one in found if one.head == h]
        stand = "".join(f"{_stand(one)} if place == {one.place} else " for one in own) + "0"
        rule = f"({stand}) + {wide} * differs + {2 * wide} * token"
        reads = ("place", "token", "differs", *map(_stand, own))
        balances.append(Variable(f"balance{h}", rule, (Place(Part("head", 0, h), positions=second),), reads))
    names = tuple(v.name for v in balances)
    steps, fails = _weak(problem, alike(problem)[:MOST])
    tips = Variable("tips", f"some({' or '.join(f'there({name}) % {wide} != 0' for name in names)})", _readers(problem), ("place", *names))
    return Explanation(
        of="monthly-palindromes", name="heads are scales on which mirrored tokens are weighed, and END looks whether one tips",
        variables=(*_mirrored(problem), *weighed, *tilts.values(), *stands, *balances, tips, *steps),
        logits=_logits(problem, "tips"), reads=("place", "tips", *names), fails=fails,
        leaves_out="How far scales tip; how what is moved depends on the token of the place, and on pairs that are hardly attended to; which head of "
        "the second block notices which tilt; what heads write before the second half.",
    )  # fmt: skip


def rival(problem: Problem) -> Explanation:
    """Say that END gathers all pairs by itself: the heads of the first block compare them there, and nothing else is needed."""
    last, steps = problem.task.length - 1, _mirrored(problem)
    heads = range(problem.params["W_QKV"].shape[4])
    return Explanation(
        of="monthly-palindromes", name="the first block's heads compare all pairs at END",
        variables=(
            steps[0],
            Variable("differs", steps[1].rule, tuple(Place(Part("head", 0, h), positions=(last,)) for h in heads), ("mirrored", "place", "token")),
        ),
        logits=_logits(problem, "differs"), reads=("differs",),
        leaves_out="What happens before END.",
    )  # fmt: skip


def scales(problem: Problem) -> tuple[Scales, ...]:
    """Find at each place which pairs each head of the first block compares, and what each token weighs there.

    Compared are pairs that draw LEAST of the attention; one that none draws so much is compared where it draws most.
    Formula: log(attention to the first place / to the second) = weight of the first token − of the second + a constant of the pair.
    """
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    pattern = problem.run(tokens).patterns[0][0].double().numpy()
    half = _half(problem)
    share: dict[tuple[int, int, int], float] = {}
    for place, head, k in itertools.product(range(half + 1, tokens.shape[1]), range(pattern.shape[1]), range(half)):
        if 2 * half - k <= place:
            share[head, place, k] = float(pattern[:, head, place, [1 + k, 2 * half - k]].sum(1).mean())
    chosen = {key for key, x in share.items() if x >= LEAST}
    for k in range(half):
        if all(key[2] != k for key in chosen):
            chosen.add(max((key for key in share if key[2] == k), key=lambda key: share[key]))
    found = []
    for head, place in sorted({key[:2] for key in chosen}):
        pairs = tuple(sorted(key[2] for key in chosen if key[:2] == (head, place)))
        found.append(Scales(head, place, pairs, _weights(pattern[:, head, place], tokens, pairs, half, _values(problem))))
    return tuple(found)


def alike(problem: Problem) -> tuple[tuple[int, int, int], ...]:
    """Find which tokens at which pair the model takes for equal: pair, first and second token.

    Of palindromes in which one pair is spoilt, those are listed that are often called palindromes all the same, the surest first.
    """
    half, values, task = _half(problem), _values(problem), problem.task
    pool = task.draw(SEED, 1, 4 * OFTEN * values, held_out=True)
    pool = pool[task.answer(pool)[:, -1] == 1]
    cases = np.array([(k, a, b) for k in range(half) for a in range(values) for b in range(values) if a != b])
    k, a, b = np.repeat(cases, OFTEN, 0).T
    lists = pool[rng.generator(SEED, "monthly.palindromes.alike").integers(len(pool), size=len(k))]
    rows = np.arange(len(lists))
    lists[rows, 1 + k], lists[rows, 2 * half - k] = a, b
    blocks = [lists[at : at + BLOCK] for at in range(0, len(lists), BLOCK)]
    wrong = np.concatenate([problem.wrong(problem.logits(x), x) for x in blocks]).reshape(len(cases), OFTEN).mean(1)
    order = np.argsort(-wrong, kind="stable")
    return tuple((int(k), int(a), int(b)) for k, a, b in cases[order[wrong[order] > TAKEN]])


def _weights(
    attention: Float[np.ndarray, "n s"], tokens: Int[np.ndarray, "n s"], pairs: Sequence[int], half: int, values: int
) -> tuple[float, ...]:
    """Fit what each token weighs, over all pairs at once; nothing where weights account for too little."""
    logs = np.log(attention + 1e-12)
    left, right = [], []
    for k in pairs:
        first, second = tokens[:, 1 + k], tokens[:, 2 * half - k]
        ratio = logs[:, 1 + k] - logs[:, 2 * half - k]
        right.append(ratio - np.median(ratio[first == second]))
        left.append(np.eye(values)[first] - np.eye(values)[second])
    x, y = np.concatenate(left), np.concatenate(right)
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    if ((y - x @ weights) ** 2).sum() >= (1 - TOLD) * ((y - y.mean()) ** 2).sum():
        return ()
    return tuple(float(w) for w in np.round(weights - weights.mean(), 2))


def _readers(problem: Problem) -> tuple[Place, ...]:
    """The heads of the second block, at END."""
    layers, heads = problem.params["W_QKV"].shape[1], problem.params["W_QKV"].shape[4]
    last = problem.task.length - 1
    return tuple(Place(Part("head", layer, h), positions=(last,)) for layer in range(1, layers) for h in range(heads))


def _logits(problem: Problem, name: str) -> tuple[str, str]:
    """The model's mean logits where a variable is true, and where it is not."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits, palindrome = problem.logits(tokens)[:, -1], problem.task.answer(tokens)[:, -1] == 1
    no, yes = logits[~palindrome].mean(0), logits[palindrome].mean(0)
    return f"{no[0]:.1f} if {name} else {yes[0]:.1f}", f"{no[1]:.1f} if {name} else {yes[1]:.1f}"


def _mirrored(problem: Problem) -> tuple[Variable, ...]:
    """Steps: the mirrored token, and whether any pair so far differs."""
    half, last = _half(problem), problem.task.length - 1
    return (
        Variable("mirrored", f"last(token, there(place) == {last} - place)"),
        Variable("differs", f"some(there(place) > {half} and there(place) < {last} and there(token) != there(mirrored))"),
    )  # fmt: skip


def _weak(problem: Problem, cases: Sequence[tuple[int, int, int]]) -> tuple[tuple[Variable, ...], str | None]:
    """Where every pair that differs is of tokens that are taken for equal, and the steps to say so; nothing where there are no such tokens."""
    if not cases:
        return (), None
    half, last, base = _half(problem), problem.task.length - 1, len(problem.task.tokens)
    codes = " or ".join(f"there(code) == {((2 * half - k) * base + a) * base + b}" for k, a, b in cases)
    return (
        Variable("code", f"(place * {base} + mirrored) * {base} + token"),
        Variable("differing", f"count(there(place) > {half} and there(place) < {last} and there(token) != there(mirrored))"),
        Variable("alike", f"count({codes})"),
    ), "differing > 0 and differing == alike"  # fmt: skip


def _half(problem: Problem) -> int:
    return problem.task.length // 2 - 1


def _values(problem: Problem) -> int:
    """How many values a place can have: all tokens but START and END."""
    return len(problem.task.tokens) - 2


def _weight(one: Scales) -> str:
    return f"weight{one.head}_{one.place}"


def _table(weights: Sequence[float]) -> str:
    """What each token weighs, as text; START and END weigh nothing."""
    return "".join(f"{w:g} if token == {t} else " for t, w in enumerate(weights)) + "0"


def _tilt(one: Scales, k: int, half: int) -> Variable:
    """To which side scales tip for one pair: 1, −1, or 0 for neither; without weights 1 where tokens differ."""
    what = _weight(one) if one.weights else "token"
    sides = [f"last({what}, there(place) == {place})" for place in (1 + k, 2 * half - k)]
    rule = f"({sides[0]} > {sides[1]}) - ({sides[0]} < {sides[1]})" if one.weights else f"{sides[0]} != {sides[1]}"
    return Variable(f"tilt{one.head}_{one.place}_{k}", rule)


def _stand(one: Scales) -> str:
    """What a number is called for how scales stand: 0 where no pair tips them."""
    return f"stand{one.head}_{one.place}"
