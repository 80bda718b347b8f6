"""Monthly palindromes: two blocks of attention tell whether a list reads the same backwards, and
how they do it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, July 2023 (ARENA, learn.arena.education)
Claim: models tell palindromes; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 438 s on 2 cores, 221 CPU-seconds, 0.7 GB a process
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Float, Int

from assay.train import rng
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import explained, solved, sure
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import Task, unasked


def palindromes(half: int = 10, values: int = 31) -> Task:
    """Tell whether START a₁ … a₂ₙ END is a palindrome, n = half, each a below `values`.

    Half of the inputs are palindromes. In the others each place of the second half is drawn anew
    with probability ½, so that few differ in many places, and a few are palindromes all the same.

    Source: C. McDougall, monthly algorithmic problem of July 2023.
    """
    start, end = values, values + 1

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        first = generator.integers(values, size=(n, half))
        second = first[:, ::-1].copy()
        anew = (generator.random((n, half)) < 0.5) & (generator.random((n, 1)) < 0.5)
        second[anew] = generator.integers(values, size=(n, half))[anew]
        return np.concatenate([np.full((n, 1), start), first, second, np.full((n, 1), end)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, -1] = (tokens[:, 1 : half + 1] == tokens[:, -2:half:-1]).all(1)
        return out

    names = (*map(str, range(values)), "START", "END")
    return Task(
        f"palindromes-{half}-{values}",
        names,
        ("no", "palindrome"),
        2 * half + 2,
        draw_inputs,
        answer,
    )


@dataclass(frozen=True, kw_only=True)
class Palindromes(Solver):
    half: Annotated[int, Ge(1)] = 5
    """Values in each half."""
    values: Annotated[int, Ge(2)] = 13
    """Values that there are, from 0 on."""

    @property
    def length(self) -> int:
        """Values in a list."""
        return 2 * self.half


SEED, INPUTS = 2000, 3000
"""Of the lists on which roles are looked for, and how many; no score is taken on them."""
LEAST = 0.02
"""A place counts for a head where it draws this much of its attention, on average."""
FAINT = 1e-4
"""Attention below this counts as this much."""
NOTHING = -99
"""The pull of a place that draws no attention."""
OFTEN = 32
"""Palindromes in which each pair is spoilt by each two tokens, to see which are taken for equal."""
TAKEN = 0.4
"""Two tokens at a pair are named where the model takes them for equal in so many of these."""
BLOCK = 5000
"""Lists of one pass."""
MOST = 60
"""Most such cases that are named."""
ERRS, FEWEST, SOMETIMES = 0.002, 10, 0.2
"""Of a model that errs on this share of lists or more, so many cases are named at least, if it
takes tokens for equal in so many palindromes."""


@dataclass(frozen=True, eq=False)
class Pulls:
    """What draws the attention of a head of the first block, from one place: the sum of a token's
    pull and a place's, in nats."""

    head: int
    place: int
    tokens: tuple[float, ...]
    """Of each value; they sum to 0, but for rounding."""
    places: dict[int, float]
    """Of each place that draws attention."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of palindromes: where heads of the first block look, what they write by it,
    heads at END, and tokens that pull alike.

    Pulls are found by attention: `pulls`; logits are two numbers, the model's means; where it
    fails: `alike`.

    Palindromes, explained: in the first block each token pulls at a head's attention, and END looks
    whether mirrored places pull alike.

    From a place of the second half, or from END, a head attends where token and place together pull
    most. Equal tokens pull alike, so that attention to two mirrored places is divided as it is in
    any palindrome; where tokens differ it goes to one side. What is written says which place was
    attended to. A palindrome may well tip a head, too: where an outer token pulls more than the
    pair that is compared, the head looks there, and what it writes is made up for by what is
    written at the mirrored place, which has the same token. So what a head writes goes with the
    place that it looks at, the token there, the token of its own place, and which pairs differ so
    far. Heads of the second block gather this at END, each for pairs of its own, so that what one
    of them says goes with which pairs differ and not only with whether any does.

    Tokens that pull about alike wherever their places are compared are taken for equal: the weak
    spot.

    The published explanation of a model of this kind has the heads of the first block write the
    difference of the tokens themselves.
    """
    all_pulls = pulls(problem)
    half, values = _half(problem), _values(problem)
    pull_variables = [Variable(_pull(pull), _write_pull_rule(pull)) for pull in all_pulls]
    steps, balances = _mirrored(problem), []
    pairs = " + ".join(
        f"{2**k} * some(there(place) == {2 * half - k} and there(token) != there(mirrored))"
        for k in range(half)
    )
    wide, tall = 2**half, 2**half * (values + 2)
    deep = tall * problem.task.length
    for h in sorted({pull.head for pull in all_pulls}):
        head_pulls = [pull for pull in all_pulls if pull.head == h]
        look, sight = (
            "".join(f"{name(pull)} if place == {pull.place} else " for pull in head_pulls) + "0"
            for name in (_look, _sight)
        )
        reads = ("place", "token", "pairs", *map(_look, head_pulls), *map(_sight, head_pulls))
        balances.append(
            Variable(
                f"balance{h}",
                f"pairs + {wide} * token + {tall} * ({look}) + {deep} * ({sight})",
                (Place(Part("head", 0, h)),),
                reads,
            )
        )
    tops = [Variable(_top(pull), f"most({_pull(pull)}, there(place) >= 0)") for pull in all_pulls]
    looks = [
        Variable(_look(pull), f"last(place, there({_pull(pull)}) == {_top(pull)})")
        for pull in all_pulls
    ]
    sights = [
        Variable(_sight(pull), f"last(token, there(place) == {_look(pull)})") for pull in all_pulls
    ]
    names = tuple(v.name for v in balances)
    weak, fails = _weak(problem, find_confusions(problem)[:MOST])
    which = f"{names[-1]} % {wide}"
    for name in names[-2::-1]:
        which = f"max({name} % {wide}, {which})"
    differ = Variable("differ", which, _readers(problem), ("place", "token", *names))
    return Explanation(
        of="monthly-palindromes",
        name="heads look where tokens pull most, and END looks whether mirrored tokens pull alike",
        variables=(
            *steps,
            Variable("pairs", pairs),
            *pull_variables,
            *tops,
            *looks,
            *sights,
            *balances,
            differ,
            *weak,
        ),
        logits=_logits(problem, "differ"),
        reads=("place", "differ", *names),
        fails=fails,
        leaves_out="How far attention is divided; how a token changes what its own place attends to; "  # noqa: E501
        "which differences a head does not see; how one "
        "place makes up for what another writes; what heads write in the first half, beyond that "
        "it goes with the token there; which head "
        "of the second block notices what.",
    )


def rival(problem: Problem) -> Explanation:
    """Say that END gathers all pairs by itself: the heads of the first block compare them there,
    and nothing else is needed."""
    last, steps = problem.task.length - 1, _mirrored(problem)
    heads = range(problem.params["W_QKV"].shape[4])
    return Explanation(
        of="monthly-palindromes",
        name="the first block's heads compare all pairs at END",
        variables=(
            steps[0],
            Variable(
                "differs",
                steps[1].rule,
                tuple(Place(Part("head", 0, h), positions=(last,)) for h in heads),
                ("mirrored", "place", "token"),
            ),
        ),
        logits=_logits(problem, "differs"),
        reads=("differs",),
        leaves_out="What happens before END.",
    )


def half_right(problem: Problem) -> Explanation:
    """Say that values next to each other are taken for equal, and that pairs that differ add up.

    That is right about where heads look and what they see. Logits are lines in how many pairs
    differ by more than 1, fitted to the model.
    """
    ours, half = explanation(problem), _half(problem)
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    many = (abs(tokens[:, 1 : half + 1] - tokens[:, 2 * half : half : -1]) > 1).sum(1)
    slope, start = np.polyfit(many, problem.logits(tokens)[:, -1], 1)
    far = "abs(there(token) - there(mirrored)) > 1"
    variables = [
        dataclasses.replace(v, rule=str(v.rule).replace("there(token) != there(mirrored)", far))
        if v.name == "pairs"
        else v
        for v in ours.variables
    ]
    added = Variable("many", " + ".join(f"differ // {2**k} % 2" for k in range(half)))
    return dataclasses.replace(
        ours,
        name="heads look where tokens pull most, and END adds up pairs that differ by more than 1",
        variables=(*variables, added),
        logits=tuple(f"{a:.1f} + {b:.2f} * many" for a, b in zip(start, slope, strict=True)),
        reads=(*(ours.reads or ()), "many"),
    )


def pulls(problem: Problem) -> tuple[Pulls, ...]:
    """Find for each head of the first block, from each place of the second half and from END, what
    tokens and places pull.

    Formula: log attention = pull of the token + pull of the place + a constant of the input, by
    least squares; weighted by attention, so that it is right where the head looks.
    """
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    pattern = problem.run(tokens).patterns[0][0].double().numpy()
    half, heads = _half(problem), pattern.shape[1]
    return tuple(
        _pulls(pattern[:, h], tokens, h, place, _values(problem))
        for h in range(heads)
        for place in range(half + 1, tokens.shape[1])
    )


def find_confusions(problem: Problem) -> tuple[tuple[int, int, int], ...]:
    """Find which tokens at which pair the model takes for equal: pair, first and second token.

    Of palindromes in which one pair is spoilt, those are listed that are often called palindromes
    all the same, the surest first. Where the model errs on ERRS of held-out lists, FEWEST are
    listed even if other tokens of a list decide, too: those that are called so in SOMETIMES."""
    half, values, task = _half(problem), _values(problem), problem.task
    pool = task.draw(SEED, 1, 4 * OFTEN * values, held_out=True)
    pool = pool[task.answer(pool)[:, -1] == 1]
    cases = np.array(
        [(k, a, b) for k in range(half) for a in range(values) for b in range(values) if a != b]
    )
    k, a, b = np.repeat(cases, OFTEN, 0).T
    lists = pool[rng.generator(SEED, "monthly.palindromes.alike").integers(len(pool), size=len(k))]
    rows = np.arange(len(lists))
    lists[rows, 1 + k], lists[rows, 2 * half - k] = a, b
    blocks = [lists[start : start + BLOCK] for start in range(0, len(lists), BLOCK)]
    wrong = (
        np.concatenate([problem.wrong(problem.logits(x), x) for x in blocks])
        .reshape(len(cases), OFTEN)
        .mean(1)
    )
    order = np.argsort(-wrong, kind="stable")
    tokens = task.draw(SEED, 2, BLOCK, held_out=True)
    errs = problem.wrong(problem.logits(tokens), tokens).mean() >= ERRS
    mask = (wrong[order] > TAKEN) | (
        (np.arange(len(order)) < FEWEST) & (wrong[order] > SOMETIMES) & errs
    )
    return tuple((int(k), int(a), int(b)) for k, a, b in cases[order[mask]])


def _pulls(
    pattern: Float[np.ndarray, "n s s"],
    tokens: Int[np.ndarray, "n s"],
    head: int,
    place: int,
    values: int,
) -> Pulls:
    """Fit what tokens and places pull at one head from one place; START and END pull as places,
    since they are always there."""
    drawing = np.flatnonzero(pattern[:, place].mean(0) >= LEAST)
    attention = pattern[:, place][:, drawing]
    one_hot = np.eye(tokens.max() + 1)[tokens[:, drawing]][..., :values]
    x = np.concatenate(
        [one_hot, np.broadcast_to(np.eye(len(drawing)), (*attention.shape, len(drawing)))], -1
    )
    y = np.log(attention + FAINT)
    weight = (attention + LEAST) / (attention + LEAST).sum(1, keepdims=True)
    x = (x - (weight[..., None] * x).sum(1, keepdims=True)) * np.sqrt(weight)[..., None]
    y = (y - (weight * y).sum(1, keepdims=True)) * np.sqrt(weight)
    flat = x.reshape(-1, x.shape[-1])
    coefficients = np.linalg.lstsq(flat.T @ flat, flat.T @ y.ravel(), rcond=1e-9)[0]
    token_pulls, place_pulls = (
        coefficients[:values] - coefficients[:values].mean(),
        coefficients[values:] - coefficients[values:].mean(),
    )
    return Pulls(
        head,
        place,
        tuple(map(float, np.round(token_pulls, 1))),
        {int(j): float(w) for j, w in zip(drawing, np.round(place_pulls, 1), strict=True)},
    )


def _readers(problem: Problem) -> tuple[Place, ...]:
    """The heads of the second block, at END."""
    layers, heads = problem.params["W_QKV"].shape[1], problem.params["W_QKV"].shape[4]
    last = problem.task.length - 1
    return tuple(
        Place(Part("head", layer, h), positions=(last,))
        for layer in range(1, layers)
        for h in range(heads)
    )


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
        Variable(
            "differs",
            f"some(there(place) > {half} and there(place) < {last} and there(token) != "
            "there(mirrored))",
        ),
    )


def _weak(
    problem: Problem, cases: Sequence[tuple[int, int, int]]
) -> tuple[tuple[Variable, ...], str | None]:
    """Where every pair that differs is of tokens that are taken for equal, and the steps to say so;
    nothing where there are no such tokens."""
    if not cases:
        return (), None
    half, last, base = _half(problem), problem.task.length - 1, len(problem.task.tokens)
    codes = " or ".join(
        f"there(code) == {((2 * half - k) * base + a) * base + b}" for k, a, b in cases
    )
    return (
        Variable("code", f"(place * {base} + mirrored) * {base} + token"),
        Variable(
            "differing",
            f"count(there(place) > {half} and there(place) < {last} and there(token) != "
            "there(mirrored))",
        ),
        Variable("alike", f"count({codes})"),
    ), "differing > 0 and differing == alike"


def _half(problem: Problem) -> int:
    return problem.task.length // 2 - 1


def _values(problem: Problem) -> int:
    """How many values a place can have: all tokens but START and END."""
    return len(problem.task.tokens) - 2


def _pull(pull: Pulls) -> str:
    return f"pull{pull.head}_{pull.place}"


def _top(pull: Pulls) -> str:
    """What the strongest pull is called."""
    return f"top{pull.head}_{pull.place}"


def _look(pull: Pulls) -> str:
    """What the place is called that a head looks at."""
    return f"look{pull.head}_{pull.place}"


def _sight(pull: Pulls) -> str:
    """What the token is called that a head looks at."""
    return f"seen{pull.head}_{pull.place}"


def _write_pull_rule(pull: Pulls) -> str:
    """What each place pulls, as text; START and END by their place alone, places that draw nothing
    far less than others."""
    token = "".join(f"{w:g} if token == {t} else " for t, w in enumerate(pull.tokens)) + "0"
    place = "".join(f"{w:g} if place == {j} else " for j, w in pull.places.items()) + f"{NOTHING}"
    return f"({token}) + ({place})"


monthly = Monthly(
    name="monthly-palindromes",
    task=lambda s: palindromes(s.half, s.values),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of July 2023"
PAGE = """
**The question.** Is the second half of a list its first half backwards? Asked at the end, of a
decoder of two blocks without an MLP. A position in the second half can look at its mirror image;
what it finds has to reach the end, where one place that differs is enough for a no. """
experiment = entry(
    monthly,
    seed=23000,
    claims=explained(
        monthly,
        "tell palindromes",
        "that the end compares all pairs by itself",
        "that neighbouring values are taken for equal and pairs that differ add up",
        solved(
            "tell palindromes: the right answer has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
    ),
    smoke=Palindromes(layers=2, heads=2, d=12, e=6, half=2, values=4, **SMALL),
    default=Palindromes(
        layers=2,
        heads=2,
        d=28,
        e=14,
        steps=3500,
        batch=64,
        tried=150,
        resamples=300,
        candidates=20_000,
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on lists of {length} values below {values}",
    page=PAGE,
)
