"""Heads, and other parts, as rows: what each adds to the answer by itself, what its absence costs,
where it looks and why. Work is bounded, whatever the size of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float

from assay.core.heavy import torch
from assay_catalogue.circuits.find.attribution import pairs_of_parts
from assay_catalogue.circuits.find.cutting import effects
from assay_catalogue.circuits.find.looks import Look, looks
from assay_catalogue.circuits.find.question import Question, mean, right_alone
from assay_catalogue.circuits.find.terms import Source, direct, score_terms
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.subjects.parts import Part

PARTS = 64
"""Parts that are listed: those that cost most when they are taken away."""
PAIRED = 24
"""Parts of a model of which any two are taken away together."""
INPUTS, PLACES = 64, 32
"""Most inputs over which numbers are averaged, and positions that count towards their price."""
_LOAD = 2**25
"""Numbers that dividing one head's scores may take."""
_PASS, _WORK = 2**23, 2**27
"""Attention weights, or logits, of one pass, and of all passes."""


@dataclass(frozen=True)
class Row:
    """One part that writes to the stream."""

    part: str
    direct: float
    """What it adds to the number through no later part, in logits: a mean over inputs."""
    alone: float | None
    """What the number loses when this part writes its average, as a share of what it loses when all
    do; None where all lose nothing."""
    joint: float | None
    """What it loses so once that other part is gone whose absence makes it matter most; None where
    pairs are too many."""
    partner: str
    """That other part; "" where it matters most alone."""
    looks: tuple[Look, ...] = ()
    """Of a head: where it looks."""
    asks: str = ""
    finds: str = ""
    """Of a head: the two parts whose writing tells keys apart most, read by its queries and by its
    keys."""
    share: float | None = None
    """What that pair makes of it; None for a head that looks alike at all keys."""


def table(q: Question, rows: int) -> tuple[Row, ...]:
    """Make a row of every part."""
    worth = direct(q)
    single_costs, joint, partner = costs(q, rows)
    patterns = [x[0] for x in q.clean.patterns]
    table_rows = []
    for i, part in enumerate(q.parts):
        row = Row(str(part), float(worth.of[part].mean()), single_costs[i], joint[i], partner[i])
        if part.kind == "head":
            asks, finds, share = matched(q, part)
            row = Row(
                row.part,
                row.direct,
                row.alone,
                row.joint,
                row.partner,
                looks(patterns[part.layer][:, part.head], q.tokens),
                _to_text(asks),
                _to_text(finds),
                share,
            )
        table_rows.append(row)
    return tuple(table_rows)


def costs(q: Question, rows: int) -> tuple[list[float | None], list[float | None], list[str]]:
    """Give what each part's absence costs alone, and beside the one other that makes it cost most,
    as shares; and which that is.

    Formula: joint of p = max over others o of m(N∖o) − m(N∖{o, p}), or what p costs alone where
    that is more"""
    n = len(q.parts)
    span = float((q.full - q.empty).mean())
    if not abs(span) > 1e-9 * float(q.full.abs().mean()):
        return [None] * n, [None] * n, [""] * n
    if n > PAIRED:
        single_costs = (effects(q, rows).mean(1)[0] / span).tolist()
        return single_costs, [None] * n, [""] * n
    both: Float[torch.Tensor, "part part"] = pairs_of_parts(q, rows).mean(1)[0] / span
    diagonal = both.diagonal()
    joint_costs = both - diagonal[None]  # of a row, what it costs once the column is gone
    joint_costs.fill_diagonal_(-torch.inf)
    most, which = joint_costs.max(1)
    more = most > diagonal + 0.01
    return (
        diagonal.tolist(),
        torch.maximum(most, diagonal).tolist(),
        [str(q.parts[int(j)]) if bool(m) else "" for j, m in zip(which, more, strict=True)],
    )


def matched(q: Question, head: Part) -> tuple[Source, Source, float | None]:
    """Name the two whose writing tells a head's keys apart most, and the share of it that is
    theirs."""
    sources = sum(p.layer < head.layer for p in q.parts) + 1
    few = _LOAD // (sources * q.tokens.shape[1]) ** 2
    if not few:
        return None, None, None
    terms = score_terms(
        replace(q, tokens=q.tokens[:few], weights=q.weights[:few], donor={}), head.layer, head.head
    )
    share = terms.share[0]
    if not bool(torch.isfinite(share).all()):
        return None, None, None
    i, j = divmod(int(share.argmax()), share.shape[1])
    return terms.sources[i], terms.sources[j], float(share[i, j])


def costliest(rows: Sequence[Row]) -> list[int]:
    """Order rows by what their parts' absence costs, most first."""
    return sorted(range(len(rows)), key=lambda i: -max(rows[i].joint or 0, rows[i].alone or 0, 0))


def _to_text(source: Source) -> str:
    return "" if source is None else str(source)


def against_averages(problem: Problem, seed: int) -> Question:
    """Ask for the right answer against all others, with what parts write on average at each
    position. Raises: DataError as above."""
    tokens = torch.from_numpy(problem.task.draw(seed, 0, inputs(problem), held_out=True))
    right = torch.from_numpy(problem.task.answer(tokens.numpy()))
    weights = right_alone(right, problem.classes, right >= 0)
    return Question(
        problem.params,
        tokens,
        weights,
        mean(problem.params, tokens, problem.activation),
        problem.activation,
    )


def rows(problem: Problem) -> int:
    """Give how many inputs one pass may have, so that its memory does not grow with the length of
    inputs or the vocabulary."""
    return max(1, min(1024, _PASS // _count_per_input(problem)))


def inputs(problem: Problem) -> int:
    """Give over how many inputs numbers are averaged: fewer of a larger model, and four at
    least."""
    _, layers, _, _, heads, _ = problem.params["W_QKV"].shape
    cells = min(PARTS, layers * (heads + 1) + 2) * min(PLACES, problem.task.length)
    return min(INPUTS, max(4, _WORK // (cells * _count_per_input(problem))))


def _count_per_input(problem: Problem) -> int:
    """Numbers that one input takes in a pass."""
    _, layers, _, _, heads, _ = problem.params["W_QKV"].shape
    return problem.task.length * max(layers * heads * problem.task.length, problem.classes)
