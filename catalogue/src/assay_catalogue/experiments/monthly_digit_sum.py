"""Monthly digit sum: two blocks of attention add numbers, the most significant digit first, and how
they carry

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, September 2023 (ARENA, learn.arena.education)
Claim: models add; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 531 s on 2 cores, 200 CPU-seconds, 0.7 GB a process
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Float, Int

from assay.core.claims import Published
from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import explained, solved, sure
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import Task, unasked


def digit_sum(digits: int = 4) -> Task:
    """Write A + B = C with so many digits each, asked for the digits of C from "=" on; first digits
    are below 5, so that C has no more.

    Source: C. McDougall, monthly algorithmic problem of September 2023.
    """
    plus, equals = 10, 11

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        a, b = (
            np.concatenate(
                [generator.integers(5, size=(n, 1)), generator.integers(10, size=(n, digits - 1))],
                1,
            )
            for _ in range(2)
        )
        return _written(a, b, _sum(a, b))

    def _written(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [a, np.full((len(a), 1), plus), b, np.full((len(a), 1), equals), c], 1
        )

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, 2 * digits + 1 : -1] = _sum(
            tokens[:, :digits], tokens[:, digits + 1 : 2 * digits + 1]
        )
        return out

    names = (*map(str, range(10)), "+", "=")
    return Task(f"digit-sum-{digits}", names, names, 3 * digits + 2, draw_inputs, answer)


def _sum(
    a: Int[np.ndarray, "n digit"], b: Int[np.ndarray, "n digit"]
) -> Int[np.ndarray, "n digit"]:
    digits = a.shape[1]
    weight = 10 ** np.arange(digits - 1, -1, -1)
    return ((a + b) @ weight)[:, None] // weight % 10


def carries(tokens: Int[np.ndarray, "n s"], digits: int) -> Int[np.ndarray, "n digit"]:
    """Give what each digit of the sum takes over from the digits to its right, 0 or 1."""
    a, b = tokens[:, :digits], tokens[:, digits + 1 : 2 * digits + 1]
    return (_sum(a, b) - a - b) % 10


@dataclass(frozen=True, kw_only=True)
class DigitSum(Solver):
    digits: Annotated[int, Ge(1)] = 2
    """Digits of each number."""


SEED, INPUTS = 2000, 600
"""Of the sums on which roles are looked for, and how many; no score is taken on them."""
LEAST = 0.1
"""A head reads a pair at a place where both digits together draw this much of its attention, on
average."""
ALIKE = 0.02
"""What writes the same for all sums of one kind may change answers by so many nats when it is
exchanged among them: the mean divergence of probabilities before and after."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a head of the first block sees at one place."""

    head: int
    place: int
    pairs: tuple[int, ...]
    """Pairs of digits, the most significant one is 0; none for a head that looks elsewhere."""
    carry: int | None = None
    """The digit for which it only tells whether lower ones reach ten."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of sums: pairs are gathered by heads that attend to them, carried over as one
    bit, and named as a digit on a circle.

    Pairs are found by attention, bits of carry by exchange: `seen`. Logits are a function of how
    far a class is from the digit on a circle of ten, the same for all classes and fitted to the
    model.

    Sums of two numbers, explained: the first block gathers pairs of digits, and one bit of carry;
    the second names the digit.

    Heads of the first block attend to one pair of digits, of tens or of units, from where the pair
    ends and from "=" on. What they write depends on both digits and not on their sum alone: only
    all of them together point to a digit, and digits lie on a circle. At "=" some heads attend to
    the pair of the next lower digit, and of that only matters whether it reaches ten. Heads of the
    second block collect what stands for the digit that is asked for.

    The published explanation has heads that look for a carry, and digits on a circle, in a model of
    four digits; what it calls cleaning up is here where half of the answer comes together.
    """
    name, carry = "pairs of digits are gathered, and a carry", "sum{0} + carry{0} > 9"
    return _explained(problem, find_views(problem), name, carry, circle(problem))


def rival(problem: Problem) -> Explanation:
    """Say that nothing is carried: each digit of the sum is that of its own pair."""
    digits = _digits(problem)
    sum_views = [view for view in find_views(problem) if view.carry is None]
    reduced_views = [
        Seen(
            view.head,
            view.place,
            tuple(k for k in view.pairs if view.place != 2 * digits + 1 + k - 1),
        )
        for view in sum_views
    ]
    name = "each pair of digits is added, and nothing is carried"
    return _explained(
        problem, [view for view in reduced_views if view.pairs], name, "0", circle(problem)
    )


def half_right(problem: Problem) -> Explanation:
    """Say that it takes two digits of five or more to carry, and that wrong digits are alike.

    That is right about heads and pairs, and about four carries in five. Logits of wrong digits are
    the model's own mean.
    """
    right, *wrong = circle(problem)
    mean_wrong = np.average(wrong, weights=[2, 2, 2, 2, 1])  # of ten digits only one is five away
    by_distance = np.array([right, *[mean_wrong] * 5])
    name = "pairs of digits are gathered, and a carry of large ones"
    carry = "pair{0} // 10 > 4 and pair{0} % 10 > 4"
    draft = _explained(problem, find_views(problem), name, carry, by_distance)
    return dataclasses.replace(draft, fails="0")  # its mistakes are not said to be the model's


def find_views(problem: Problem) -> tuple[Seen, ...]:
    """Find what each head of the first block sees at each place: pairs of which both digits
    together draw LEAST of its attention.

    Where a digit is asked for, higher pairs do not count. A head that sees lower pairs alone there
    tells a carry, if exchanging what it writes among sums with the same carry changes answers by no
    more than ALIKE."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    clean = problem.run(tokens)
    pattern, digits = clean.patterns[0][0].double().mean(0).numpy(), _digits(problem)
    log_probs = _compute_log_probs(problem, clean.logits[0])
    views = []
    for head, attention in enumerate(pattern):
        for place in range(3 * digits + 1):
            digit = place - 2 * digits - 1
            pairs = tuple(
                k
                for k in range(max(digit, 0), digits)
                if attention[place, [k, digits + 1 + k]].sum() >= LEAST
            )
            carry = None
            if pairs and 0 <= digit < min(pairs):
                other = _shuffle_within_kind(carries(tokens, digits)[:, digit])
                wrote = clean.wrote[Part("head", 0, head)][0, other, place]

                def write(
                    out: torch.Tensor, wrote: torch.Tensor = wrote, place: int = place
                ) -> torch.Tensor:
                    out = out.clone()
                    out[0, :, place] = wrote
                    return out

                swapped_log_probs = _compute_log_probs(
                    problem, problem.run(tokens, written={Part("head", 0, head): write}).logits[0]
                )
                carry = (
                    digit
                    if float((log_probs.exp() * (log_probs - swapped_log_probs)).sum(-1).mean())
                    <= ALIKE
                    else None
                )
            if pairs:
                views.append(Seen(head, place, pairs, carry))
    return tuple(views)


def circle(problem: Problem) -> Float[np.ndarray, " distance"]:
    """Fit how far above the others a digit's logit lies, by its distance from the right one on a
    circle of ten: 0 to 5.

    Least squares on logits less their mean, with a constant for each class.
    """
    tokens = problem.task.draw(SEED, 1, INPUTS, held_out=True)
    digits, classes = _digits(problem), problem.classes
    span = slice(2 * digits + 1, 3 * digits + 1)
    logits, answers = (
        problem.logits(tokens)[:, span].reshape(-1, classes),
        problem.task.answer(tokens)[:, span].ravel(),
    )
    distances = np.abs((np.arange(10) - answers[:, None] + 5) % 10 - 5)
    design = np.zeros((len(answers), classes, 6 + classes - 10))
    design[:, :10, :6] = np.eye(6)[distances]
    design[:, 10:, 6:] = np.eye(classes - 10)
    design -= design.mean(1, keepdims=True)
    fitted = np.linalg.lstsq(
        design.reshape(-1, design.shape[2]),
        (logits - logits.mean(1, keepdims=True)).ravel(),
        rcond=None,
    )[0]
    return fitted[:6] - fitted[6:].mean()


def _compute_log_probs(
    problem: Problem, logits: Float[torch.Tensor, "n s v"]
) -> Float[torch.Tensor, "n digit v"]:
    """Log-probabilities where a digit is asked for."""
    first = 2 * _digits(problem) + 1
    return logits[:, first : first + _digits(problem)].double().log_softmax(-1)


def _explained(
    problem: Problem,
    head_views: Sequence[Seen],
    name: str,
    carry: str,
    by_distance: Float[np.ndarray, " distance"],
) -> Explanation:
    """Explain by these views, what a lower pair, {0}, carries, and logits by distance."""
    digits = _digits(problem)
    first = 2 * digits + 1
    layers, heads = problem.params["W_QKV"].shape[1], problem.params["W_QKV"].shape[4]
    pairs = [
        Variable(
            f"pair{k}",
            f"10 * total(token, there(place) == {k}) + total(token, there(place) == "
            f"{digits + 1 + k})",
        )
        for k in range(digits)
    ]
    sums = [
        Variable(
            f"sum{k}", f"total(token, there(place) == {k} or there(place) == {digits + 1 + k})"
        )
        for k in range(digits)
    ]
    rules = [*(carry.format(k + 1) for k in range(digits - 1)), "0"]
    bits = [Variable(f"carry{k}", rule) for k, rule in enumerate(rules)]
    views = []
    for head in sorted({view.head for view in head_views}):
        views_of_head = [view for view in head_views if view.head == head]
        place = Place(Part("head", 0, head), positions=tuple(view.place for view in views_of_head))
        views.append(
            Variable(
                f"seen{head}",
                _by_place([(view.place, _view(view)) for view in views_of_head]),
                (place,),
            )
        )
    read_names = ("token", "place", *(v.name for v in views))
    last = tuple(range(first, first + digits))
    held = [
        Variable(f"held{k}", _by_place([(p, _held(head_views, k, p)) for p in last]))
        for k in range(digits)
    ]
    carried = [
        Variable(f"carried{k}", _carried(head_views, k, p, rules[k])) for k, p in enumerate(last)
    ]
    known = Variable(
        "known",
        _by_place([(p, f"2 * held{k} + carried{k}") for k, p in enumerate(last)]),
        tuple(
            Place(Part("head", layer, h), positions=last)
            for layer in range(1, layers)
            for h in range(heads)
        ),
        (*read_names, *(f"{name}{k}" for name in ("held", "carried") for k in range(digits))),
    )
    digit = Variable("digit", "(known // 20 + known // 2 % 10 + known % 2) % 10")
    distances = [Variable(f"from{c}", f"abs((digit + {5 - c}) % 10 - 5)") for c in range(10)]
    heights = [f"{x:.1f}" for x in by_distance]
    logits = [_cases(f"from{c}", heights) for c in range(10)] + ["0"] * (problem.classes - 10)
    return Explanation(
        of="monthly-digit-sum",
        name=name,
        variables=(*pairs, *sums, *bits, *views, *held, *carried, known, digit, *distances),
        logits=tuple(logits),
        reads=(*read_names, "known", *(v.name for v in distances)),
        leaves_out="How a pair becomes its sum: heads of one role write different functions of both "  # noqa: E501
        "digits, and what comes of it where they "
        "see different pairs. That small changes of angle differ "
        "between digits, so that logits of wrong digits are only met on average.",
    )


def _view(view: Seen) -> str:
    """What a head sees, as one number."""
    if view.carry is not None:
        return f"carry{view.carry}"
    return " + ".join(f"{100**i} * pair{k}" if i else f"pair{k}" for i, k in enumerate(view.pairs))


def _held(head_views: Sequence[Seen], pair: int, place: int) -> str:
    """Read a pair off the first head that sees it at this place with the fewest others.

    Where no head sees it, it is the pair itself. Heads agree until what one writes is exchanged.
    """
    views = [x for x in head_views if x.place == place and x.carry is None and pair in x.pairs]
    if not views:
        return f"pair{pair}"
    view = min(views, key=lambda x: len(x.pairs))
    i = view.pairs.index(pair)
    return f"seen{view.head}" + (f" // {100**i} % 100" if len(view.pairs) > 1 else "")


def _carried(head_views: Sequence[Seen], digit: int, place: int, carry: str) -> str:
    """Read a carry off a head that tells it at this place, or work it out from the pairs there."""
    heads = [x.head for x in head_views if x.place == place and x.carry == digit]
    below = f"held{digit + 1}"
    pairs = carry.replace(f"sum{digit + 1}", f"{below} // 10 + {below} % 10")
    return f"seen{heads[0]}" if heads else pairs.replace(f"pair{digit + 1}", below)


def _by_place(cases: Sequence[tuple[int, str]]) -> str:
    """One rule for several places: runs of places with the same rule are one case."""
    runs: list[tuple[int, str]] = []
    for place, rule in cases:
        if runs and runs[-1][1] == rule:
            runs[-1] = (place, rule)
        else:
            runs.append((place, rule))
    return "".join(f"{rule} if place <= {place} else " for place, rule in runs[:-1]) + runs[-1][1]


def _cases(name: str, values: Sequence[str]) -> str:
    return "".join(f"{x} if {name} == {i} else " for i, x in enumerate(values[:-1])) + values[-1]


def _shuffle_within_kind(kind: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """For each input another one of its kind."""
    generator, out = rng.generator(SEED, "monthly.digit-sum.alike"), np.arange(len(kind))
    for k in np.unique(kind):
        members = np.flatnonzero(kind == k)
        out[members] = generator.permutation(members)
    return out


def _digits(problem: Problem) -> int:
    return (problem.task.length - 2) // 3


monthly = Monthly(
    name="monthly-digit-sum",
    task=lambda s: digit_sum(s.digits),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of September 2023"
MEAN = Published(
    0.993, SOURCE, note="mean probability of one model of four digits, where ours have two"
)
PAGE = """
**The question.** What is A + B, digit by digit, the most significant one first? Asked of a decoder
of two blocks without an MLP. A digit of the sum needs two digits and a carry, and the carry comes
from digits that stand further right. """
experiment = entry(
    monthly,
    seed=23200,
    claims=explained(
        monthly,
        "add",
        "that nothing is carried",
        "that it takes two digits of five or more to carry and wrong digits are alike",
        solved(
            "add: the right digit has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
    ),
    smoke=DigitSum(layers=2, heads=3, d=12, e=6, digits=2, **SMALL),
    default=DigitSum(
        layers=2, heads=3, d=48, e=24, steps=2500, batch=64, tried=150, resamples=300, lr=5e-3
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on sums of two numbers of {digits} digits",
    page=PAGE,
    published=MEAN,
)
