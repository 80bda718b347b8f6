"""Monthly running sum: one head and eight neurons tell the sign of a sum so far, and how they do it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, November 2023 (ARENA, learn.arena.education)
Claim: models tell the sign; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; shuffled, empty, whole
Cost: 156 s on 2 cores, 73 CPU-seconds, 0.6 GB a process
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Float, Int

from assay_catalogue.circuits.explanation import Explanation, Place, Rule, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import explained, solved, sure
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import Task


def running_sum(length: int = 20, most: int = 5) -> Task:
    """Tell the sign of the sum so far at each position, of values from −most to most.

    After the first value, magnitudes are uniform from 0 to most; where the sum is positive the next
    value is negative with probability .7, elsewhere with probability .3, so that sums stay near
    zero.

    Source: C. McDougall, monthly algorithmic problem of November 2023.
    """

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        first, size, chance = (
            generator.integers(-most, most + 1, size=n),
            generator.integers(most + 1, size=(n, length)),
            generator.random((n, length)),
        )
        out, total = np.empty((n, length), dtype=np.int64), first.copy()
        out[:, 0] = first
        for position in range(1, length):
            negative = chance[:, position] < np.where(total > 0, 0.7, 0.3)
            out[:, position] = np.where(negative, -size[:, position], size[:, position])
            total += out[:, position]
        return out + most

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        return np.sign(np.cumsum(tokens - most, 1)) + 1

    names = tuple(f"{v:+d}" if v else "0" for v in range(-most, most + 1))
    return Task(
        f"running-sum-{length}-{most}",
        names,
        ("negative", "zero", "positive"),
        length,
        draw_inputs,
        answer,
    )


@dataclass(frozen=True, kw_only=True)
class RunningSum(Solver):
    length: Annotated[int, Ge(2)] = 20
    """Values in a sequence."""
    most: Annotated[int, Ge(1)] = 5
    """The largest value; the smallest is the same with a minus."""


SEED, INPUTS = 2000, 1000
"""Of the sequences on which roles are looked for; no score is taken on them."""
ALIKE = 0.9
"""A neuron grows with the mean, or as it falls, where it correlates so well with it wherever it
fires."""
HEAD, MLP = Part("head", 0, 0), Part("mlp", 0)


@dataclass(frozen=True)
class Side:
    """Neurons that fire on one side of a mean near zero."""

    neurons: tuple[int, ...]
    threshold: float
    """From which distance of the mean they fire: a mean over neurons by how steeply they rise and
    how much they change logits."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of the running sum: the head's mean, and the neurons on either side of zero.

    Which neurons are on which side is found by `sides`; logits are linear in the mean and in what
    both sides make of it, with coefficients that fit the model's best.

    Sign of the running sum, explained: attention takes the mean of all values so far, and neurons
    tell on which side of zero it lies.

    The head weighs every value so far nearly the same, and what it moves is one direction along
    which values lie in order. Where the steps between them are uneven, keys weigh values slightly
    more or less, so that weight times step is even: a weight of exactly the same for all would be
    wrong in some models. The mean has the sign of the sum. Some neurons grow with it from a
    threshold near zero, others as it falls; between the two thresholds "zero" is named. One more
    value moves the mean by less the longer the sequence is, so what is hardest is a sum of ±1 late.
    """
    above, below = sides(problem)
    rules = (_from(above, "average"), _from(below, "-average"))
    return Explanation(
        of="monthly-running-sum",
        name="one head takes the mean, and neurons tell on which side of zero it lies",
        variables=(
            Variable("average", _average(problem), (Place(HEAD),), ("token.k", "token.v")),
            Variable("above", rules[0], (Place(MLP, above.neurons),), ("average",)),
            Variable("below", rules[1], (Place(MLP, below.neurons),), ("average",)),
        ),
        logits=_fitted(problem, above, below),
        leaves_out=(
            "Neurons that follow something else, and what the present value and the position add "
            "beside the mean."
        ),
    )


def rival(problem: Problem) -> Explanation:
    """Say that the last value alone decides, by the same neurons."""
    above, below = sides(problem)
    value = f"token - {_most(problem)}"
    return Explanation(
        of="monthly-running-sum",
        name="the sign of the last value",
        variables=(
            Variable("value", value, (Place(HEAD),), ("token.v",)),
            Variable("above", "max(value, 0)", (Place(MLP, above.neurons),), ("value",)),
            Variable("below", "max(-value, 0)", (Place(MLP, below.neurons),), ("value",)),
        ),
        answer="0 if value < 0 else 2 if value > 0 else 1",
        reads=("above", "below", "value"),
        leaves_out="All values before the last.",
    )


def half_right(problem: Problem) -> Explanation:
    """Say that neurons tell the two signs apart, and that is all: right about the head, its mean
    and the neurons, wrong about what they make of it.

    Each side is said to fire from zero on, where both sides in fact fire, and the sign to be named
    by the same margin however far from zero the sum lies: the typical one, a median. So the right
    sign is named on every sequence."""
    above, below = sides(problem)
    return Explanation(
        of="monthly-running-sum",
        name="one head takes the mean, and neurons on either side of zero name its sign",
        variables=(
            Variable("average", _average(problem), (Place(HEAD),), ("token.k", "token.v")),
            Variable("above", "max(average, 0)", (Place(MLP, above.neurons),), ("average",)),
            Variable("below", "max(-average, 0)", (Place(MLP, below.neurons),), ("average",)),
        ),
        answer="0 if average < 0 else 2 if average > 0 else 1",
        margin=round(margin(problem), 1),
        reads=("average", "above", "below"),
        leaves_out="How sure the model is of a sum far from zero.",
    )


def margin(problem: Problem) -> float:
    """Measure how far the right logit lies above the next one: the median over sequences and
    positions."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits, answers = problem.logits(tokens), problem.task.answer(tokens)
    right_logits = np.take_along_axis(logits, answers[..., None], 2)
    other_logits = np.where(np.arange(logits.shape[2]) == answers[..., None], -np.inf, logits)
    return float(np.median(right_logits[..., 0] - other_logits.max(2)))


def sides(problem: Problem) -> tuple[Side, Side]:
    """Find the neurons that fire above and below a mean near zero, by their correlation with it
    wherever they fire.

    On a side that has none stands the neuron that comes nearest.
    """
    mean, fired = _collect_activations(problem)
    likeness, threshold, slope = np.array(
        [_line(mean[on], h[on]) if (on := h > 0).sum() > 2 else (0.0, 0.0, 0.0) for h in fired.T]
    ).T
    reach = abs(slope) * np.abs(_direct(problem)).max(1)

    def side(sign: int) -> Side:
        chosen = np.flatnonzero(sign * likeness >= ALIKE)
        chosen = chosen if len(chosen) else np.array([int((sign * likeness).argmax())])
        weight = reach[chosen] + 1e-12
        return Side(
            tuple(map(int, chosen)), float(sign * (weight * threshold[chosen]).sum() / weight.sum())
        )

    return side(1), side(-1)


def _line(x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]) -> tuple[float, float, float]:
    """The correlation of both, where the line through them crosses zero, and its slope."""
    if not x.std() or not y.std():
        return 0.0, 0.0, 0.0
    slope, at_zero = np.polyfit(x, y, 1)
    return float(np.corrcoef(x, y)[0, 1]), float(-at_zero / slope), float(slope)


def _collect_activations(
    problem: Problem,
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k m"]]:
    """The mean so far at each position of all sequences, and every neuron there."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    mean = np.cumsum(tokens - _most(problem), 1) / np.arange(1, tokens.shape[1] + 1)
    fired = problem.run(tokens).neurons[0][0].double().numpy()
    return mean.ravel(), fired.reshape(-1, fired.shape[-1])


def _direct(problem: Problem) -> Float[np.ndarray, "m answer"]:
    """What a unit of each neuron adds to the logits, up to a constant."""
    out = (problem.params["W_out"][0, 0] @ problem.params["W_U"][0]).double().numpy()
    return out - out.mean(1, keepdims=True)


def _fitted(problem: Problem, above: Side, below: Side) -> tuple[Rule, ...]:
    """Linear rules for the three logits, by least squares."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits = problem.logits(tokens).reshape(-1, problem.classes)
    mean = _collect_activations(problem)[0]
    terms = np.stack(
        [
            mean,
            np.maximum(mean - above.threshold, 0),
            np.maximum(-mean - below.threshold, 0),
            np.ones_like(mean),
        ],
        1,
    )
    coefficients = np.linalg.lstsq(terms, logits - logits.mean(1, keepdims=True), rcond=None)[0]
    return tuple(
        f"{a:.1f} * average {b:+.1f} * above {c:+.1f} * below {d:+.1f}"
        for a, b, c, d in coefficients.T
    )


def _from(side: Side, x: str) -> str:
    return f"max({x} {-side.threshold:+.3f}, 0)"


def _average(problem: Problem) -> str:
    return f"mean(token, 1) - {_most(problem)}"


def _most(problem: Problem) -> int:
    """The largest value, which is also the token of zero."""
    return len(problem.task.tokens) // 2


monthly = Monthly(
    name="monthly-running-sum",
    task=lambda s: running_sum(s.length, s.most),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
    same="a model has one head and one MLP, and both are named in every model",
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of November 2023"
PAGE = """
**The question.** Is the sum of all values so far negative, zero or positive? Asked at every
position, of a decoder of one head, eight neurons and no norm. Attention that is the same everywhere
takes a mean, which has the sign of the sum; neurons with a threshold can tell the rest. """
experiment = entry(
    monthly,
    seed=23400,
    models=24,
    claims=explained(
        monthly,
        "tell a sum's sign",
        "that the last value alone decides",
        "that neurons name the sign and no more",
        solved(
            "tell the sign of the sum: the right one has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
    ),
    smoke=RunningSum(layers=1, heads=1, d=12, e=6, m=8, norm="none", length=6, most=2, **SMALL),
    default=RunningSum(
        layers=1, heads=1, d=24, e=12, m=8, norm="none", steps=800, batch=64, lr=5e-3, decay=1e-4
    ),
    frozen=dict.fromkeys(("layers", "heads", "m"), 'the title, "one head and eight neurons",'),
    scope="{decoders}, on sequences of {length} values from −{most} to {most}",
    page=PAGE,
)
