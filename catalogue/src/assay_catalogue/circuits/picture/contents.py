"""Picture: everything that a page shows of one small model, and of its explanation where there is
one; computed once, bounded in size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from assay.core.errors import DataError
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.circuits.picture import heads, maps
from assay_catalogue.circuits.picture.graph import Graph, graph
from assay_catalogue.circuits.picture.maps import (
    EXAMPLES,
    HEADS,
    PARTS,
    PLACES,
    TEXT,
    TOKENS,
    Map,
    inputs,
    rows,
    short,
    window,
)
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import Table
from assay_catalogue.subjects.parts import Part, parts
from assay_catalogue.worlds.algorithms.task import UNASKED, has_answer

LOOKED = 200
"""Inputs on which right answers are counted."""


@dataclass(frozen=True)
class Example:
    """One input: its tokens at the positions that are shown, and what is asked and said there."""

    tokens: tuple[str, ...]
    answers: tuple[str, ...]
    """What is right, position by position; "" where nothing is asked."""
    said: tuple[str, ...]
    """What the model says there."""

    @property
    def right(self) -> bool:
        """Whether all of it is right."""
        return self.answers == self.said


@dataclass(frozen=True)
class Pattern:
    """Where one head looks."""

    head: str
    mean: Map
    """Over inputs, position by position."""
    examples: tuple[Map, ...]
    """On each example."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What is to be seen of one problem."""

    name: str
    task: str
    model: str
    """What it is built of, in words."""
    size: int
    """Numbers in it."""
    length: int
    first: int
    """The first position that is shown."""
    tokens: int
    classes: int
    called: tuple[str, ...]
    """The names of classes, counted from 0; of very many the first."""
    asked: str
    """At which positions an answer is asked for, in words."""
    right: float
    """Share of answers that are right, on inputs that nothing was trained on."""
    looked: int
    """Those inputs."""
    inputs: int
    """Inputs over which everything else is averaged."""
    seed: int
    number: str
    """The number that patching is about, in words; "" where there is none."""
    examples: tuple[Example, ...]
    parts: tuple[heads.Row, ...]
    attention: tuple[Pattern, ...]
    patching: tuple[Map, ...]
    tables: tuple[Map, ...]
    explains: str = ""
    """What the explanation says, in a sentence."""
    leaves_out: str = ""
    graph: Graph | None = None
    table: Table | None = None
    left_out: tuple[str, ...] = ()
    """What is not shown, and why."""


def take(
    problem: Problem,
    explanation: Explanation | None = None,
    table: Table | None = None,
    *,
    name: str = "",
    seed: int = 0,
) -> Picture:
    """Compute what a page shows of a model; with its explanation the causal graph, with its table
    the scores.

    Inputs are held out and drawn by `seed`. Raises: SpecError or ModelError for an explanation that
    does not fit."""
    program = None if explanation is None else Program(explanation, problem)
    omissions: list[str] = []
    number, against = "", None
    listed: tuple[heads.Row, ...] = ()
    patching: tuple[Map, ...] = ()
    step = rows(problem)
    try:
        against, number = heads.against_others(problem, seed)
        listed = heads.table(problem, heads.against_averages(problem, seed), step)
    except DataError as e:
        omissions.append(f"What parts are worth: {e}.")
    order = heads.costliest(listed) if listed else range(len(parts(problem.params)))
    every = parts(problem.params)
    main_parts = [every[i] for i in sorted(list(order)[:PARTS])]
    looking = [p for p in (every[i] for i in order) if p.kind == "head"]
    few = sorted(looking[:HEADS], key=every.index)
    if len(every) > PARTS:
        omissions.append(f"{len(every) - PARTS:,} of {len(every):,} parts: those that cost least.")
    if len(looking) > HEADS:
        omissions.append(
            f"The patterns of {len(looking) - HEADS:,} of {len(looking):,} heads: those that "
            "cost least."
        )
    if problem.task.length > PLACES:
        omissions.append(
            f"All but the last {PLACES} of {problem.task.length:,} positions; rows of "
            "attention may add up to less than 1."
        )
    if max(len(problem.task.tokens), problem.classes) > TOKENS:
        omissions.append(
            f"OV and QK tables of {len(problem.task.tokens):,} tokens and {problem.classes:,} "
            f"answers: at most {TOKENS} are shown."
        )
    if against is not None:
        patching = _patching(problem, against, main_parts, step, omissions)
    tokens = problem.task.draw(seed, 0, inputs(problem), held_out=True)
    held = problem.task.draw(seed, 2, LOOKED, held_out=True) if step >= LOOKED else tokens
    answers = problem.task.answer(held)
    where = has_answer(answers)
    return Picture(
        name=short(name or problem.task.name, TEXT),
        task=short(problem.task.name, TEXT),
        model=_words(problem),
        size=problem.size,
        length=problem.task.length,
        first=window(problem.task.length).start,
        tokens=len(problem.task.tokens),
        classes=problem.classes,
        called=tuple(short(x) for x in problem.task.answers[: min(problem.classes, TOKENS)]),
        asked=short(_positions(np.flatnonzero(where.any(0)).tolist()), TEXT),
        right=float(
            ((problem.logits(held).argmax(-1) == answers) & where).sum() / max(1, where.sum())
        ),
        looked=len(held),
        inputs=len(tokens),
        seed=seed,
        number=number,
        examples=_examples(problem, tokens[:EXAMPLES]),
        parts=tuple(r for r, p in zip(listed, every, strict=False) if p in main_parts),
        attention=_attention(problem, tokens, few),
        patching=patching,
        tables=_tables(problem, few, listed, every),
        explains="" if explanation is None else short(explanation.name, TEXT),
        leaves_out="" if explanation is None else short(explanation.leaves_out, TEXT),
        graph=None
        if program is None
        else graph(program, against, table.interchange if table else (), tokens, seed),
        table=table,
        left_out=tuple(omissions),
    )


def scored(picture: Picture, table: Table) -> Picture:
    """Add the scores of its explanation to a picture that was taken without them."""
    assert picture.graph is not None
    swapped = {short(x.variable, TEXT): x for x in table.interchange}
    nodes = tuple(
        replace(n, interchanged=swapped.get(n.name)) if n.kind == "variable" else n
        for n in picture.graph.nodes
    )
    return replace(picture, table=table, graph=replace(picture.graph, nodes=nodes))


def _patching(
    problem: Problem, q: Question, main_parts: list[Part], step: int, omissions: list[str]
) -> tuple[Map, ...]:
    try:
        effects = {
            restored: maps.patching(q, main_parts, step, restored=restored)
            for restored in (False, True)
        }
    except DataError as e:
        omissions.append(f"Patching: {e}.")
        return ()
    return tuple(
        maps.patched(x, main_parts, problem.task.length, restored=restored)
        for restored, x in effects.items()
    )


def _attention(
    problem: Problem, tokens: Int[np.ndarray, "n s"], few: list[Part]
) -> tuple[Pattern, ...]:
    """Patterns of these heads, of the examples and on average."""
    patterns = problem.run(tokens).patterns
    labels = [
        maps.list_names([problem.task.tokens[t] for t in row], len(row))
        for row in tokens[:EXAMPLES]
    ]
    places = tuple(f"position {i}" for i in range(problem.task.length))
    return tuple(
        Pattern(
            str(p),
            maps.attention(
                patterns[p.layer][0, :, p.head].double().mean(0).numpy(), places, maps.MEAN, p
            ),
            tuple(
                maps.attention(patterns[p.layer][0, i, p.head].numpy(), names, f"input {i + 1}", p)
                for i, names in enumerate(labels)
            ),
        )
        for p in few
    )


def _tables(
    problem: Problem, few: list[Part], listed: tuple[heads.Row, ...], every: tuple[Part, ...]
) -> tuple[Map, ...]:
    """What each head does with each token, and whose writing it compares, where that can be
    said."""
    tables: list[Map | None] = []
    for head in few:
        tables.append(maps.written(problem, head))
        row = listed[every.index(head)] if listed else None
        if row is not None and row.asks and row.finds:
            tables.append(maps.compared(problem, head, Part.parse(row.asks), Part.parse(row.finds)))
    return tuple(m for m in tables if m is not None and m.largest > 1e-9)


def _examples(problem: Problem, tokens: Int[np.ndarray, "n s"]) -> tuple[Example, ...]:
    task = problem.task
    answers, predictions = task.answer(tokens), problem.logits(tokens).argmax(-1)
    positions = list(window(task.length))

    names = maps.list_names(task.answers, problem.classes)

    def describe(classes: np.ndarray, right: np.ndarray) -> tuple[str, ...]:
        return tuple("" if right[i] == UNASKED else names[int(classes[i])] for i in positions)

    return tuple(
        Example(
            tuple(short(task.tokens[int(row[i])]) for i in positions),
            describe(right, right),
            describe(predicted, right),
        )
        for row, right, predicted in zip(tokens, answers, predictions, strict=True)
    )


def _positions(positions: list[int]) -> str:
    """Say positions in words: 2 and 5 to 9."""
    runs: list[list[int]] = []
    for i in positions:
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    phrases = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    return " and ".join(filter(None, [", ".join(phrases[:-1]), *phrases[-1:]]))


def _words(problem: Problem) -> str:
    """What a model is built of."""
    p = problem.params
    _, layers, d, _, n, _ = p["W_QKV"].shape
    mlp = (
        f" and an MLP of {p['W_in'].shape[-1]:,} neurons ({problem.activation})"
        if "W_in" in p
        else ""
    )
    norm = "no norms" if "gain" not in p else "LayerNorm" if "bias" in p else "RMSNorm"
    places = "learned positions" if "W_pos" in p else "rotated queries and keys"
    return (
        f"{layers} block{'s'[: layers != 1]} of {n} head{'s'[: n != 1]}{mlp}; {d} directions, "
        f"{norm}, {places}"
    )
