"""Monthly distinct: how many different symbols a list holds, counted without positions, and how it
is done

Group: puzzles
Paper: the monthly puzzle of May 2026 (puzzles.baulab.info), in the style of C. McDougall's series
Claim: models count symbols; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 804 s on 2 cores, 154 CPU-seconds, 0.9 GB a process"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
from assay_catalogue.circuits.verify.adversarial import SOUND
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import Task, unasked


def distinct(length: int = 10, symbols: int = 10) -> Task:
    """Count the different symbols of BOS t₁ … tₙ ANS, asked at ANS.

    Each count is as likely as any other: that many symbols are chosen, each stands once, and the
    rest of the places repeat them.

    Source: the monthly puzzle of May 2026 (puzzles.baulab.info), in the style of McDougall's
    series; its inputs are balanced over answers as ours are, but repeats are allowed here.
    """
    begin, ask, most = symbols, symbols + 1, min(length, symbols)

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        count = generator.integers(1, most + 1, size=n)
        order = generator.random((n, symbols)).argsort(1)
        place = np.arange(length)[None]
        which = np.where(
            place < count[:, None],
            place,
            (generator.random((n, length)) * count[:, None]).astype(np.int64),
        )
        mixed = np.take_along_axis(
            np.take_along_axis(order, which, 1), generator.random((n, length)).argsort(1), 1
        )
        return np.concatenate([np.full((n, 1), begin), mixed, np.full((n, 1), ask)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out, inner = unasked(tokens), np.sort(tokens[:, 1:-1], 1)
        out[:, -1] = (np.diff(inner, axis=1) > 0).sum(1)
        return out

    letters = tuple(chr(ord("a") + i) for i in range(symbols))
    counts = tuple(str(i + 1) for i in range(most))
    return Task(
        f"distinct-{length}-{symbols}",
        (*letters, "BOS", "ANS"),
        counts,
        length + 2,
        draw_inputs,
        answer,
    )


@dataclass(frozen=True, kw_only=True)
class Distinct(Solver):
    length: Annotated[int, Ge(2)] = 8
    """Symbols in a list."""
    symbols: Annotated[int, Ge(2)] = 6
    """Symbols that there are."""


SEED, INPUTS = 2000, 1500
"""Of the lists on which roles are looked for, and how many; no score is taken on them."""
LEAST = 0.002
"""A head tells of a symbol where the symbol's being there accounts for this share of the variance
of what the head writes at ANS."""
SETS, LISTS = 4000, 12_000
"""Lists whose sets of symbols are tried, and on about how many lists, each set on as many as any
other."""
SHARE = 0.01
"""So many of all lists have a set that is said to fail, if the model errs at all."""
MOST = 60
"""Most sets that are named."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of distinct symbols: each head at ANS tells whether symbols of its own are
    there, by `told`, and logits add them up.

    The count is of what heads tell, so that it is another one where what they write is exchanged; a
    symbol that none tells of is not in it. Logits are a parabola of the count for each class,
    fitted to the model: `parabolas`. Where it fails is a list of sets of symbols: `missed`.

    Distinct symbols, explained: heads tell which symbols are there, not how often; at the end what
    they tell is added up.

    A head that attends far more from ANS to one symbol than to all else writes the same whether
    that symbol occurs once or often. Heads of both blocks are such detectors, most of one symbol or
    two. In the first block heads also tell every symbol of the list which ones came before it,
    again not how often; from that, the second block gets at symbols that no head of the first has
    to itself. What is told is added up, each symbol as much as any other.

    A published analysis of a model of this puzzle also finds that heads of the second block share
    out the symbols, some of them detected directly and others by what the first block wrote behind
    them.

    Where what is told of two symbols is not quite the same, some sets of symbols come out one too
    many or one too few: there a model errs, mostly in any order and however often each symbol
    stands there.
    """
    last, heads = problem.task.length - 1, problem.params["W_QKV"].shape[4]
    symbols = range(len(problem.task.tokens) - 2)
    inner, end = tuple(range(1, last)), (last,)
    everywhere = tuple(Place(Part("head", 0, h), positions=inner) for h in range(heads))
    behind = Variable(
        "behind", f"{2 ** len(symbols)} * token + {_code(symbols)}", everywhere, ("token",)
    )
    detects = {
        (layer, h): find_symbols(problem, layer, h) for layer in range(2) for h in range(heads)
    }
    told_by = [
        Variable(
            f"told{layer}_{h}",
            _code(detects[layer, h]),
            (Place(Part("head", layer, h), positions=end),),
            ("token", "behind", *(f"told0_{i}" for i in range(heads))) if layer else ("token",),
        )
        for layer, h in detects
    ]
    which = Variable("which", _code(symbols))
    return Explanation(
        of="monthly-distinct",
        name="heads tell which symbols are there, not how often, and logits add them up",
        variables=(behind, *told_by, _known(problem, detects), which),
        logits=parabolas(problem),
        reads=("token", "known", *(v.name for v in told_by)),
        fails=_any("which", missed(problem)),
        leaves_out="How heads of the second block get from what came before each symbol to which symbols "  # noqa: E501
        "are there. That what a head writes of "
        "one symbol hangs a little on the others.",
    )


def rival(problem: Problem) -> Explanation:
    """Say that changes are counted: how often a symbol differs from the one before it, which is
    right where equal symbols stand together."""
    last, heads, most = problem.task.length - 1, problem.params["W_QKV"].shape[4], problem.classes
    inner, end = tuple(range(1, last)), (last,)
    everywhere = tuple(Place(Part("head", 0, h), positions=inner) for h in range(heads))
    changed = Variable("changed", "token != last(token, there(place) == place - 1)", everywhere)
    known = Variable(
        "known",
        f"min({most}, count(there(changed) and there(place) > 0 and there(place) < {last}))",
        tuple(Place(Part("head", 1, h), positions=end) for h in range(heads)),
    )
    return Explanation(
        of="monthly-distinct",
        name="changes from one symbol to the next are counted",
        variables=(changed, known),
        logits=parabolas(problem),
        reads=("known",),
    )


def half_right(problem: Problem) -> Explanation:
    """Say that the model counts up to half of the symbols, and names that for more.

    That is right about heads, symbols and low counts.
    """
    ours, most = explanation(problem), problem.classes // 2
    variables = [
        dataclasses.replace(v, rule=f"min({v.rule}, {most})") if v.name == "known" else v
        for v in ours.variables
    ]
    name = f"heads tell which symbols are there, and logits add up to {most} of them"
    return dataclasses.replace(ours, name=name, variables=tuple(variables))


def find_symbols(problem: Problem, layer: int, head: int) -> tuple[int, ...]:
    """Find the symbols whose being there matters to what a head writes at ANS: LEAST of its
    variance, in a linear fit to all of them.

    The one that matters most is always among them.
    """
    slopes, wrote, presence = _fitted(problem, layer, head)
    shares = (slopes**2).sum(1) * presence.var(0) / max(float(wrote.var(0).sum()), 1e-12)
    return tuple(int(c) for c in np.flatnonzero((shares >= LEAST) | (shares == shares.max())))


def percents(problem: Problem) -> Int[np.ndarray, "layer head symbol"]:
    """Say how much of what all heads write of a symbol is each head's, along their sum, in percent.

    What each writes of a symbol is its slope in a linear fit, as in `told`.
    """
    layers, heads = problem.params["W_QKV"].shape[1], problem.params["W_QKV"].shape[4]
    slopes = np.array([[_fitted(problem, i, h)[0] for h in range(heads)] for i in range(layers)])
    whole = slopes.sum((0, 1))
    shares = (slopes * whole).sum(-1) / (whole**2).sum(-1).clip(min=1e-12)
    return np.round(100 * shares.clip(min=0)).astype(int)


def _fitted(
    problem: Problem, layer: int, head: int
) -> tuple[Float[np.ndarray, "symbol d"], Float[np.ndarray, "n d"], Float[np.ndarray, "n symbol"]]:
    """Fit what a head writes at ANS by which symbols are there: slopes, what it writes, and which
    are there."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    wrote = problem.run(tokens).wrote[Part("head", layer, head)][0, :, -1].double().numpy()
    presence = _mark_presence(problem, tokens)
    return (
        np.linalg.lstsq(presence - presence.mean(0), wrote - wrote.mean(0), rcond=None)[0],
        wrote,
        presence,
    )


def parabolas(problem: Problem) -> tuple[str, ...]:
    """Fit each class's logit, less the mean of all, by a parabola in how many symbols are there; as
    rules."""
    tokens = problem.task.draw(SEED, 1, INPUTS, held_out=True)
    logits, count = problem.logits(tokens)[:, -1], _mark_presence(problem, tokens).sum(1)
    bend, slope, start = np.polyfit(count, logits - logits.mean(1, keepdims=True), 2)
    return tuple(
        f"{a:.1f} + ({b:.2f} + {c:.3f} * known) * known"
        for a, b, c in zip(start, slope, bend, strict=True)
    )


def missed(problem: Problem) -> tuple[int, ...]:
    """Find the sets of symbols that the model miscounts, the surest first, as numbers of bits; none
    where it errs less often than SOUND.

    Sets that SETS held-out lists have are tried on LISTS lists in all. Those are named that are
    mostly miscounted, and then the next surest until SHARE of all lists have a set that is named.
    """
    symbols, generator = (
        len(problem.task.tokens) - 2,
        rng.generator(SEED, "monthly.distinct.missed"),
    )
    tokens = problem.task.draw(SEED, 2, SETS, held_out=True)
    if problem.wrong(problem.logits(tokens), tokens).mean() < SOUND:
        return ()
    code = (_mark_presence(problem, tokens) @ 2 ** np.arange(symbols)).astype(int)
    sets, first, lists_of = np.unique(code, return_index=True, return_counts=True)
    length, often = tokens.shape[1] - 2, -(-LISTS // len(sets))
    lists = np.repeat(tokens[first], often, 0)
    for row in lists:
        present = np.unique(row[1:-1])
        row[1:-1] = generator.permutation(
            np.concatenate([present, generator.choice(present, length - len(present))])
        )
    wrong = problem.wrong(problem.logits(lists), lists).reshape(len(sets), often).mean(1)
    order = np.argsort(-wrong, kind="stable")
    before = np.cumsum(lists_of[order]) - lists_of[order]
    mask = (wrong[order] > 0.5) | ((wrong[order] > 0) & (before < SHARE * SETS))
    return tuple(int(x) for x in sets[order[mask]][:MOST])


def _mark_presence(
    problem: Problem, tokens: Int[np.ndarray, "n s"]
) -> Float[np.ndarray, "n symbol"]:
    """Whether each symbol is in each list: 1 or 0."""
    return np.stack([(tokens == c).any(1) for c in range(len(problem.task.tokens) - 2)], 1).astype(
        np.float64
    )


def _known(problem: Problem, detects: Mapping[tuple[int, int], Sequence[int]]) -> Variable:
    """How many symbols the heads tell of: each counts by the `percents` of its heads that tell of
    it.

    Heads of the same symbol agree, until what only some of them write is exchanged.
    """
    weights = percents(problem)
    bits: dict[int, list[tuple[int, str]]] = {}
    for (layer, head), symbols in detects.items():
        for i, c in enumerate(symbols):
            weight = max(int(weights[layer, head, c]), 1)
            bits.setdefault(c, []).append((weight, f"told{layer}_{head} // {2**i} % 2"))
    terms = [
        f"({' + '.join(f'{w} * ({x})' for w, x in heads)}) / {sum(w for w, _ in heads)}"
        if len(heads) > 1
        else heads[0][1]
        for heads in bits.values()
    ]
    return Variable("known", " + ".join(terms))


def _code(symbols: Sequence[int]) -> str:
    """A number for which of these symbols came up to here."""
    return " + ".join(f"{2**i} * some(there(token) == {c})" for i, c in enumerate(symbols))


def _any(name: str, values: Sequence[int]) -> str:
    return " or ".join(f"{name} == {x}" for x in values) or "0"


monthly = Monthly(
    name="monthly-distinct",
    task=lambda s: distinct(s.length, s.symbols),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
)
SOURCE = "the monthly puzzle of May 2026 (puzzles.baulab.info)"
PAGE = """
**The question.** How many different symbols does a list hold? Asked at its end, of a decoder that
is told no positions, so that it cannot say which of two equal symbols was first. What it can do is
weigh: a symbol that occurs twice must not count twice. """
experiment = entry(
    monthly,
    seed=23800,
    claims=explained(
        monthly,
        "count symbols",
        "that changes from one symbol to the next are counted",
        "that models count no further than half",
        solved(
            "count symbols: the right count has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
    ),
    smoke=Distinct(
        layers=2, heads=2, d=16, e=8, norm="none", placed=False, length=4, symbols=4, **SMALL
    ),
    default=Distinct(
        layers=2,
        heads=4,
        d=32,
        e=8,
        norm="none",
        placed=False,
        length=6,
        symbols=5,
        steps=2000,
        batch=64,
        tried=150,
        resamples=300,
        lr=1e-2,
    ),
    scope="{decoders}, on lists of {length} of {symbols} symbols",
    page=PAGE,
)
