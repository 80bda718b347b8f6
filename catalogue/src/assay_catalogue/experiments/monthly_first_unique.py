"""Monthly first unique: two blocks of attention name the first letter so far that occurs once, and
how they do it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, August 2023 (ARENA, learn.arena.education)
Claim: models name the first unique letter; our explanation is good, and better than one that is
half right
Baselines: untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 272 s on 2 cores, 156 CPU-seconds, 0.7 GB a process
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
from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import explained, solved, sure
from assay_catalogue.circuits.verify.adversarial import SOUND
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import Task, unasked


def first_unique(letters: int = 10, length: int = 20) -> Task:
    """Name at each position the first character so far that occurs once, "?" where none does; the
    sequence begins with "?".

    Source: C. McDougall, monthly algorithmic problem of August 2023.
    """
    none = letters

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return np.concatenate(
            [np.full((n, 1), none), generator.integers(letters, size=(n, length - 1))], 1
        )

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        often = np.zeros((len(tokens), letters), dtype=np.int64)
        first = np.full((len(tokens), letters), length)
        for position in range(tokens.shape[1]):
            current = tokens[:, position]
            rows = np.flatnonzero(current != none)
            often[rows, current[rows]] += 1
            first[rows, current[rows]] = np.minimum(first[rows, current[rows]], position)
            place = np.where(often == 1, first, length)
            out[:, position] = np.where((often == 1).any(1), place.argmin(1), none)
        return out

    names = (*(chr(ord("a") + i) for i in range(letters)), "?")
    return Task(f"first-unique-{letters}-{length}", names, names, length, draw_inputs, answer)


@dataclass(frozen=True, kw_only=True)
class FirstUnique(Solver):
    letters: Annotated[int, Ge(2)] = 4
    """Letters that there are."""
    length: Annotated[int, Ge(3)] = 9
    """Tokens in a sequence, the question mark at its beginning among them."""

    @property
    def asked(self) -> int:
        """Letters in a sequence."""
        return self.length - 1


SEED, INPUTS = 2000, 2000
"""Of the sequences on which roles are looked for, and how many; no score is taken on them."""
TRIED = 5000
"""Sequences on which it is seen where the model errs."""
DRAWN = 0.1
"""A head of the first block reads a letter that draws this much of its attention, where it came
before a place of some other letter."""
SHARE = 0.15
"""A letter is the business of a head of the second block that adds so much of what all of them add
to its logit, where it is the answer."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of first unique: which letters each head of the first block counts, and which
    are whose in the second.

    The first are found by attention: `counted`; the second by direct effects on logits: `shared`.
    The answer is the letter that any of these names, the first in the alphabet if several do;
    logits are means of the model's by what the answer is and whether a letter came never, once or
    again. A model that errs is said to do so where many letters came again: `overloaded`.

    Raises: SpecError where no head of the second block has a letter.

    First unique character, explained: the second block's heads share the letters out among them,
    and each says of its own whether it is first.

    Heads of the first block attend by letter: some take stock of all letters, others look for one
    letter and, where that is missing, for the next. What they write tells how often letters came so
    far. In the second block each letter is the business of one head or two: a head attends to its
    own letters, raises the one that is the answer, and lowers those that came again. Where the
    answer is another head's letter, it says so of none: which one is not for it to tell.

    Which letters are whose differs from model to model. What is hard is many letters that came
    again: the heads that are to lower them are overloaded.
    """
    letters = _letters(problem)
    views = [
        Variable(
            f"seen{h}",
            f"token + {len(letters) + 1} * ({_state(letters, head_letters)})",
            (Place(Part("head", 0, h)),),
            ("token", "place", *_counts(letters, head_letters)),
        )
        for h, head_letters in enumerate(counted(problem))
        if head_letters
    ]
    names = tuple(v.name for v in views)
    statements = [
        Variable(
            f"said{h}",
            f"({_write_unique_rule(head_letters)} else {len(letters)}) + {len(letters) + 1} * "
            f"({_state(letters, head_letters)})",
            (Place(Part("head", 1, h)),),
            ("token", "place", "unique", *_counts(letters, head_letters), *names),
        )
        for h, head_letters in enumerate(shared(problem))
        if head_letters
    ]
    if not statements:
        raise SpecError("first unique: no head of the second block has any letter")
    name_variable = Variable(
        "named", _least([f"{v.name} % {len(letters) + 1}" for v in statements])
    )
    repeats, most = (
        Variable("again", " + ".join(f"(often_{x} > 1)" for x in letters)),
        overloaded(problem),
    )
    return Explanation(
        of="monthly-first-unique",
        name=(
            "heads of the first block count letters, those of the second share them out and name "
            "the first unique one"
        ),
        variables=(
            *_steps(letters),
            *views,
            *statements,
            name_variable,
            *([repeats] if most else []),
        ),
        logits=_logits(problem),
        fails=f"again >= {most}" if most else None,
        reads=(
            "token",
            "place",
            "named",
            *_counts(letters, range(len(letters))),
            *names,
            *(v.name for v in statements),
        ),
        leaves_out=(
            "How often beyond twice a letter came; which of two letters that came once is second; "
            "how logits grow with the place."
        ),
    )


def rival(problem: Problem) -> Explanation:
    """Say that the heads of the first block find the first letter that came once, and that nothing
    else is needed."""
    letters = _letters(problem)
    heads = range(problem.params["W_QKV"].shape[4])
    *steps, unique = _steps(letters)
    return Explanation(
        of="monthly-first-unique",
        name="the first block's heads attend to the first letter that came once",
        variables=(
            *steps,
            Variable(unique.name, unique.rule, tuple(Place(Part("head", 0, h)) for h in heads)),
        ),
        answer="unique",
        margin=round(margin(problem), 1),
        reads=("unique",),
        leaves_out="The second block.",
    )


def half_right(problem: Problem) -> Explanation:
    """Say that of letters that came once the last is named.

    That is right about heads and letters, and wherever only one letter came once.
    """
    ours = explanation(problem)
    variables = {v.name: v for v in (*ours.variables, *_steps(_letters(problem), last=True))}
    return dataclasses.replace(
        ours,
        name="heads of both blocks do what ours says, and the last unique letter is named",
        variables=tuple(variables.values()),
        fails=ours.fails or "0",  # its mistakes are not said to be the model's
    )


def counted(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """Find which letters each head of the first block reads: those that draw DRAWN of its attention
    at places of some other letter."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    pattern = problem.run(tokens).patterns[0][0].double().numpy()
    letters = len(_letters(problem))
    masks = [tokens == letter for letter in range(letters)]
    by_head = []
    for head in range(pattern.shape[1]):
        attention = np.zeros((letters, letters))
        for k in range(letters):
            mass = np.einsum("nqk,nk->nq", pattern[:, head], masks[k].astype(float))
            before = np.cumsum(masks[k], 1) > 0
            for q in range(letters):
                attention[q, k] = mass[before & masks[q]].mean() if q != k else 0
        by_head.append(tuple(int(k) for k in np.flatnonzero(attention.max(0) >= DRAWN)))
    return tuple(by_head)


def shared(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """Find whose business each letter is: heads of the second block by their share of all that they
    add to its logit, where it is the answer."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    effect = _effects(problem, tokens)
    answers = problem.task.answer(tokens)
    letter_effect = np.stack(
        [effect[..., k][:, answers == k].mean(1) for k in range(len(_letters(problem)))], 1
    )  # [head, letter]
    share = letter_effect / letter_effect.clip(min=0).sum(0).clip(min=1e-12)
    return tuple(tuple(int(k) for k in np.flatnonzero(row >= SHARE)) for row in share)


def overloaded(problem: Problem) -> int | None:
    """Find how many letters that came again are too many: the number that tells where the model
    errs from where it does not best.

    None for a model that errs on fewer inputs than SOUND.
    """
    tokens = problem.task.draw(SEED, 1, TRIED, held_out=True)
    wrong = problem.wrong(problem.logits(tokens), tokens) > 0
    if wrong.mean() < SOUND:
        return None
    repeats = np.sum([(tokens == k).sum(1) > 1 for k in range(len(_letters(problem)))], 0)
    contrasts = {
        k: wrong[repeats >= k].mean() - wrong[repeats < k].mean()
        for k in range(1, repeats.max() + 1)
        if 0 < (repeats >= k).mean() < 1
    }
    return max(contrasts, key=lambda k: contrasts[k]) if contrasts else None


def margin(problem: Problem) -> float:
    """Fit how far the logit of the answer lies above the others, by least squares."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    one_hot = np.eye(problem.classes)[problem.task.answer(tokens)]
    one_hot -= one_hot.mean(-1, keepdims=True)
    return float((problem.logits(tokens) * one_hot).sum() / (one_hot**2).sum())


def _effects(
    problem: Problem, tokens: Int[np.ndarray, "n s"]
) -> Float[np.ndarray, "head n s answer"]:
    """What each head of the second block adds to the logits by itself, less its mean: the divisor
    of the last norm is held where it is."""
    run, p = problem.run(tokens), problem.params
    stream = torch.stack([x[0] for x in run.wrote.values()]).sum(0) + p["b_O"][0].sum(0)
    scale = stream.var(-1, correction=0, keepdim=True).sqrt()
    unembed = p["gain"][0][:, None] * p["W_U"][0]
    heads = [x[0] for part, x in run.wrote.items() if part.kind == "head" and part.layer == 1]
    contributions = np.stack(
        [((x - x.mean(-1, keepdim=True)) / scale @ unembed).double().numpy() for x in heads]
    )
    contributions -= contributions.mean(-1, keepdims=True)
    return contributions - contributions.mean((1, 2), keepdims=True)


def _logits(problem: Problem) -> tuple[str, ...]:
    """A rule for each class: the model's mean logit by what the answer is, and whether the letter
    came once, never or again."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    letters = _letters(problem)
    logits = problem.logits(tokens)
    logits -= logits.mean(-1, keepdims=True)
    answers = problem.task.answer(tokens)
    rules = []
    for k, letter in enumerate(letters):
        often = np.cumsum(tokens == k, 1)
        states = {
            f"often_{letter} == 1": often == 1,
            f"often_{letter} == 0": often == 0,
            "": often > 1,
        }
        cases = []
        for a in range(problem.classes):
            terms = [
                (_mean(logits[..., k], (answers == a) & mask), when)
                for when, mask in states.items()
            ]
            inner = " else ".join(f"{x} if {when}" if when else x for x, when in terms)
            cases.append(f"({inner}) if named == {a}" if a < problem.classes - 1 else f"({inner})")
        rules.append(" else ".join(cases))
    none = [_mean(logits[..., -1], answers == a) for a in range(problem.classes)]
    rules.append("".join(f"{x} if named == {a} else " for a, x in enumerate(none[:-1])) + none[-1])
    return tuple(rules)


def _mean(x: Float[np.ndarray, "n s"], where: np.ndarray) -> str:
    """The mean where something is so, as text; 0 where it never is."""
    return f"{x[where].mean():.1f}" if where.any() else "0"


def _steps(letters: Sequence[str], last: bool = False) -> tuple[Variable, ...]:
    """Steps to the answer: how often each letter came so far, and where it stands if once.

    Then the first such place, or the last, and what stands there.
    """
    where, nowhere = f"at_{letters[-1]}", -1 if last else 99
    for letter in letters[-2::-1]:
        where = f"{'max' if last else 'min'}(at_{letter}, {where})"
    return (
        *(Variable(f"often_{x}", f"count(there(token) == '{x}')") for x in letters),
        *(
            Variable(
                f"at_{x}", f"first(place, there(token) == '{x}') if often_{x} == 1 else {nowhere}"
            )
            for x in letters
        ),
        Variable("where", where),
        Variable("unique", "last(token, there(place) == where, '?')"),
    )


def _least(rules: Sequence[str]) -> str:
    """The least of these, as one rule."""
    return rules[0] if len(rules) == 1 else f"min({rules[0]}, {_least(rules[1:])})"


def _counts(letters: Sequence[str], indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"often_{letters[k]}" for k in indices)


def _state(letters: Sequence[str], indices: Sequence[int]) -> str:
    """A number for how often each of these letters came: never, once, or again."""
    return " + ".join(f"{3**i} * min(often_{letters[k]}, 2)" for i, k in enumerate(indices))


def _write_unique_rule(indices: Sequence[int]) -> str:
    """The answer where it is one of these letters, as the beginning of a rule that says what
    else."""
    return f"unique if {' or '.join(f'unique == {k}' for k in indices)}"


def _letters(problem: Problem) -> tuple[str, ...]:
    """All tokens but the one that says that there is none."""
    return problem.task.tokens[:-1]


monthly = Monthly(
    name="monthly-first-unique",
    task=lambda s: first_unique(s.letters, s.length),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of August 2023"
MEAN = Published(
    0.988,
    SOURCE,
    note=(
        "mean probability of one model of ten letters and twenty positions, where ours have four "
        "and nine"
    ),
)
PAGE = """
**The question.** Which is the first letter so far that occurs only once? Asked at every position,
of a decoder of two blocks without an MLP. It has to hold down letters that occur twice, and to
prefer early ones among the rest. """
experiment = entry(
    monthly,
    seed=23100,
    claims=explained(
        monthly,
        "find the first unique letter",
        "that the first block alone finds the first letter that came once",
        "that of letters that came once the last is named",
        solved(
            "name the first unique letter: the right answer has a probability of at least .98 on "
            "average",
            sure,
            SOURCE,
            low=0.98,
        ),
    ),
    smoke=FirstUnique(layers=2, heads=2, d=12, e=6, letters=3, length=6, **SMALL),
    default=FirstUnique(
        layers=2, heads=3, d=42, e=14, steps=2000, batch=64, tried=150, resamples=300
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on sequences of {asked} letters, of {letters} kinds",
    page=PAGE,
    published=MEAN,
)
