"""Monthly trigrams: a small transformer learns that certain pairs of tokens bind a third, and how
it looks it up

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, November 2024 (ARENA, learn.arena.education); no
official solution
Claim: models learn the trigrams; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; shuffled, empty, whole
Cost: 996 s on 2 cores, 202 CPU-seconds, 1.5 GB a process
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from jaxtyping import Int

from assay.core.claims import Claim
from assay.train import rng
from assay_catalogue.circuits.explanation import Explanation, Place, Rule, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import above, explained, known, solved
from assay_catalogue.subjects.parts import Part, parts
from assay_catalogue.worlds.algorithms.trigrams import law, trigrams


@dataclass(frozen=True, kw_only=True)
class TrigramTask(Solver):
    length: Annotated[int, Ge(4)] = 32
    """Tokens in a sequence."""
    letters: Annotated[int, Ge(2)] = 12
    """Capital letters, and as many small ones."""
    count: Annotated[int, Ge(1)] = 12
    """Trigrams of the law."""
    rate: Annotated[float, Gt(0), Lt(1)] = 1 / 30
    """How often one begins where none is going on."""


SEED, INPUTS, OFTEN = 2000, 500, 24
"""Of the sequences on which roles are looked for, how many, and how often each pair stands in
evenly drawn ones; no score is taken on them."""
MOST = 0.5
"""A pair is held if its completion is named in more than this share of places."""
MANY = 40
"""Most pairs that are told, the surest: more make a rule too long to be read."""
HINTED = 0.5
"""A token makes another likelier, by itself, if it raises its logit by this much or more above what
other tokens do."""
THIRD = 3
"""The half-right rival knows every third pair."""
Pairs = Mapping[tuple[int, int], int]
"""What completes which pair."""


@dataclass(frozen=True)
class Found:
    """What a model of trigrams is seen to hold."""

    pairs: Pairs
    hints: tuple[tuple[int, int], ...]
    """Which token makes which likelier by itself, as the first of a pair does with the second."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of trigrams: heads that tell which pair stands here, and MLPs that complete
    it.

    Heads are found by attention: `backward`; pairs and hints by what the model says: `seen`; the
    numbers in the logits fit its own best.

    Trigrams, explained: a head looks one back where both tokens are a bound pair, else at the
    start; the MLP names what completes the pair.

    One would expect the head to copy the token before wherever it stands, and the MLP alone to find
    the pair. Models that were looked at share that out in another way: queries of a token that can
    end a pair and keys of one that can begin it meet in the head's scores, so that which pair it
    is, if any, is known before the MLP. That one makes the completion of it, and takes back what
    tokens alone would have said.

    Which pairs a model holds is read off it: tokens are drawn evenly, so that every pair stands in
    many places, and a pair counts that makes the model name the same token in most of them. A pair
    of the law that it does not hold is where it fails.
    """
    return _explained(problem, find_pairs(problem))


def half_right(problem: Problem) -> Explanation:
    """Say the same of every third of these pairs alone, and ours of where the model fails."""
    held = find_pairs(problem)
    few = _explained(problem, Found(dict([*held.pairs.items()][::THIRD]), held.hints))
    ours = Program(_explained(problem, held), problem)
    return dataclasses.replace(
        few,
        name="the same of every third pair",
        size=Program(few, problem).size,
        fails=lambda token: ours.fails(token.astype(np.int64)),
    )


def _explained(problem: Problem, held: Found) -> Explanation:
    names = problem.task.tokens
    size = len(names)
    table = "".join(
        f"{c} if before == '{names[a]}' and token == '{names[b]}' else "
        for (a, b), c in held.pairs.items()
    )
    return Explanation(
        of="monthly-trigrams",
        name="a head tells which pair stands here, the MLP completes it",
        variables=(
            Variable("before", "last(token, there(place) == place - 1)"),
            Variable("completes", f"{table}-1"),
            Variable(
                "pair",
                f"{size} * before + completes if completes >= 0 else -1",
                backward(problem),
                ("token", "place", "before", "completes"),
            ),
            Variable(
                "told",
                f"pair % {size} if pair >= 0 else -1 - token",
                _mlps(problem),
                ("pair", "token"),
            ),
        ),
        logits=_logits(problem, held, _table(held.pairs, size)),
        reads=("told", "pair", "token"),
        leaves_out=(
            "Which neurons hold which pair; what else tokens say by themselves; why START is "
            "given up as it is."
        ),
    )


def rival(problem: Problem) -> Explanation:
    """Say that the present token alone tells what follows: for each token the completion of one
    pair that it ends."""
    names, held = problem.task.tokens, find_pairs(problem)
    completions = {b: c for (_, b), c in held.pairs.items()}
    table = "".join(f"{c} if token == '{names[b]}' else " for b, c in completions.items())
    lookup = np.full((len(names) + 1, len(names)), -1)
    for b, c in completions.items():
        lookup[:, b] = c
    return Explanation(
        of="monthly-trigrams",
        name="the MLP completes the present token, whatever stood before",
        variables=(Variable("told", f"{table}-1 - token", _mlps(problem), ("token",)),),
        logits=_logits(problem, held, lookup),
        reads=("told", "token"),
        leaves_out="The token before.",
    )


def backward(problem: Problem) -> tuple[Place, ...]:
    """Find the heads that look one back where a pair stands with more than half of their attention;
    else the one that does so most."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    held = find_pairs(problem).pairs
    bound = _completed(tokens, _table(held, len(problem.task.tokens)))[:, 1:] >= 0
    share = {
        Part("head", layer, head): float(
            np.diagonal(pattern[0, :, head].numpy(), -1, 1, 2)[bound].mean()
        )
        if bound.any()
        else 0.0
        for layer, pattern in enumerate(problem.run(tokens).patterns)
        for head in range(pattern.shape[2])
    }
    chosen = [part for part, x in share.items() if x > MOST] or [
        max(share, key=lambda part: share[part])
    ]
    return tuple(map(Place, chosen))


def find_pairs(problem: Problem) -> Found:
    """Find the pairs that a model completes, and which token makes which likelier by itself, on
    evenly drawn tokens."""
    tokens, size = _evenly(problem), len(problem.task.tokens)
    logits = problem.logits(tokens)
    pair, predictions = (
        tokens[:, 1:-2] * size + tokens[:, 2:-1],
        problem.named(logits)[:, 2:-1],
    )  # after the last token nothing is asked
    often = np.bincount(pair.ravel(), minlength=size**2)
    kinds, times = np.unique(
        np.stack([pair[predictions >= 0], predictions[predictions >= 0]]),
        axis=1,
        return_counts=True,
    )
    share = times / often[kinds[0]]
    surest = np.sort(np.argsort(-share, kind="stable")[:MANY])
    pairs = {
        divmod(int(p), size): int(c)
        for (p, c), x in zip(kinds.T[surest], share[surest], strict=True)
        if x > MOST
    }
    plain = _completed(tokens, _table(pairs, size)) < 0
    plain[:, [0, -1]] = False
    by_token = np.stack(
        [logits[plain & (tokens == x)].mean(0) for x in range(size - 1)]
    )  # not after START
    raised = by_token - by_token.mean(1, keepdims=True)
    raised -= raised.mean(0)
    return Found(pairs, tuple((int(a), int(b)) for a, b in np.argwhere(raised >= HINTED)))


def _logits(
    problem: Problem, held: Found, lookup: Int[np.ndarray, "before token"]
) -> tuple[Rule, ...]:
    """Write a rule for each class, of what is told and of hints; START, which never follows, has
    one of its own.

    Four numbers, the same for all classes, are fitted to the model's logits by least squares;
    `told` is the table of completions."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits, names = problem.logits(tokens), problem.task.tokens
    classes = logits.shape[-1]
    completions = _completed(tokens, lookup)
    hints = np.zeros((classes, classes))
    for a, b in held.hints:
        hints[a, b] = 1
    start = np.broadcast_to(np.eye(classes)[-1], logits.shape)
    terms = [
        np.eye(classes + 1)[completions][..., :-1],
        hints[tokens],
        start,
        start * (completions >= 0)[..., None],
    ]
    X = np.stack([x - x.mean(-1, keepdims=True) for x in terms], -1)[:, :-1].reshape(-1, len(terms))
    y = (logits - logits.mean(-1, keepdims=True))[:, :-1].ravel()
    completed, hinted, never, given_up = np.linalg.lstsq(X, y, rcond=None)[0]
    rules = []
    for v in range(classes - 1):
        by = " or ".join(f"token == '{names[a]}'" for a, b in held.hints if b == v)
        rules.append(f"{completed:.1f} * (told == {v})" + f" + {hinted:.1f} * ({by})" * bool(by))
    return (*rules, f"{never:.1f} {given_up:+.1f} * (told >= 0)")


def _completed(
    tokens: Int[np.ndarray, "n s"], lookup: Int[np.ndarray, "before token"]
) -> Int[np.ndarray, "n s"]:
    """What each token completes after the one before, by a table whose last row is for none before;
    -1: nothing."""
    before = np.concatenate([np.full((len(tokens), 1), len(lookup) - 1), tokens[:, :-1]], 1)
    return lookup[before, tokens]


def _table(pairs: Pairs, size: int) -> Int[np.ndarray, "before token"]:
    table = np.full((size + 1, size), -1)
    for (a, b), c in pairs.items():
        table[a, b] = c
    return table


def _evenly(problem: Problem) -> Int[np.ndarray, "n s"]:
    """Sequences of evenly drawn tokens after START, so many that each pair is expected OFTEN
    times."""
    task = problem.task
    size = len(task.tokens) - 1
    tokens = rng.generator(SEED, "monthly.trigrams.evenly").integers(
        size, size=(-(-OFTEN * size**2 // (task.length - 3)), task.length)
    )
    tokens[:, 0] = size
    return tokens


def _mlps(problem: Problem) -> tuple[Place, ...]:
    return tuple(Place(part) for part in parts(problem.params) if part.kind == "mlp")


monthly = Monthly(
    name="monthly-trigrams",
    task=lambda s: trigrams(law(0, s.letters, s.count, s.rate), s.length),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
    same="a model has one head and one MLP, and all of them learn one law",
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of November 2024"
PAGE = """
**The question.** Among random letters some trigrams occur: a certain capital and a certain small
letter, and then always a certain third. What comes next? One head can look one token back, and an
MLP can tell which pair stands there. Sources do not agree on the architecture: the page says two
blocks of three heads without an MLP, a solver one head with an MLP; ours is the second. """


experiment = entry(
    monthly,
    seed=23600,
    claims=tuple(
        replace(c, fixed=("{main.count} trigrams",)) if isinstance(c, Claim) else c
        for c in explained(
            monthly,
            "complete trigrams",
            "that the present token alone tells what follows",
            "that every third pair alone is bound",
            solved(
                "predict nearly as well as can be: their cross-entropy lies at most .05 nat above "
                "the exact predictor's",
                above,
                SOURCE,
                high=0.05,
            ),
            solved(
                "know the trigrams: where the exact predictor names a token, at least .9 of their "
                "answers are the same",
                known,
                SOURCE,
                low=0.9,
            ),
        )
    ),
    smoke=TrigramTask(layers=1, heads=1, d=16, e=16, m=16, length=8, letters=4, count=3, **SMALL),
    default=TrigramTask(
        layers=1, heads=1, d=32, e=32, m=64, rate=1 / 15, steps=2500, batch=64, lr=5e-3
    ),
    scope="{decoders}, on sequences of {length} tokens with {count} trigrams",
    page=PAGE,
)
