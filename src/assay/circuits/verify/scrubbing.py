"""E2, causal scrubbing: everything a graph says may be exchanged is exchanged, at once, and the answers must survive.

What a reader is shown of a unit comes from another input on which the unit's variable is the same, position by position; that activation
was itself computed from such ones; what the graph does not mention comes from any input. Rows share what was scrubbed before them, so
ten thousand resamples cost a pass for each unit and each round.

What is recovered is counted from the best answer that reads nothing: each class as often as it is right at that position. Counted from the
model's own outputs on other inputs, as is usual, any blur would look half as good as a model that is sure of itself.

Source: Chan et al. 2022, Causal Scrubbing (there from outputs that are shuffled among inputs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.circuits.problem import Problem
from assay.circuits.program import Program
from assay.circuits.verify.pieces import Cut, Piece
from assay.core import rng
from assay.core.intervals import Means
from assay.subjects.parts import SLOTS, Edge, Part, Reader, earlier, heads, logits, mlp, seen

RESAMPLES = 10_000
"""Inputs that are scrubbed, unless told otherwise."""
Ids = Int[np.ndarray, "n s"]
"""At each position, which inputs a unit's variables are the same on: equal numbers."""


@dataclass(frozen=True, eq=False)
class Scrubbed:
    """The mean log-probability of right answers on each input, a mean over rounds."""

    terms: Mapping[str, Float[np.ndarray, " n"]]
    resamples: int
    exchanged: float
    """Share of what variables were said to allow that came from another input. Near 0 where every input is alone with its values: then
    nothing was tested."""


def scrubbed(program: Program, tokens: Int[np.ndarray, "n s"], seed: int, resamples: int = RESAMPLES) -> Scrubbed:
    """Scrub so often, whole rounds of all inputs; beside it the same graph with what variables are shuffled among inputs, which is to fail."""
    problem, n = program.problem, len(tokens)
    rounds = -(-resamples // n)
    of = rng.generator(seed, "circuits.scrub")
    terms = {"full": problem.goodness(problem.logits(tokens), tokens), "unread": unread(problem, tokens)}
    ids = identities(program, tokens)
    same, mixed = ([alike(x) for x in rows] for rows in (ids, [_mixed(x, of) for x in ids]))
    terms["scrubbed"] = np.mean([problem.goodness(once(program, tokens, same, of), tokens) for _ in range(rounds)], 0)
    terms["floor"] = np.mean([problem.goodness(once(program, tokens, mixed, of), tokens) for _ in range(min(rounds, 2))], 0)
    return Scrubbed(terms, rounds * n, float(np.mean([_others(x) for x in ids])) if ids else 1.0)


def recovered(m: Means) -> np.ndarray:
    """E2: what is left after scrubbing of what the model is better by than an answer that reads nothing, 0 to 1."""
    return _recovered(m, "scrubbed")


def floor(m: Means) -> np.ndarray:
    """E2 of the same graph with its variables shuffled among inputs."""
    return _recovered(m, "floor")


def identities(program: Program, tokens: Int[np.ndarray, "n s"]) -> list[Ids]:
    """Of each unit, on which inputs its variable is the same at each position."""
    found = classes(program, tokens)
    return [found[unit.variable] for unit in program.units]


def classes(program: Program, tokens: Int[np.ndarray, "n s"]) -> dict[str, Ids]:
    """Of each variable that lives somewhere, on which inputs it is the same; under no name, where nothing is said: on none."""
    values, found = program.values(tokens), {}
    for name in dict.fromkeys(unit.variable for unit in program.units):
        x = np.round(values[name], 9) if name else np.broadcast_to(np.arange(len(tokens))[:, None], tokens.shape)
        found[name] = np.stack([np.unique(column, return_inverse=True)[1] for column in x.T], 1)
    return found


def once(program: Program, tokens: Int[np.ndarray, "n s"], same: Sequence[Alike], of: np.random.Generator) -> Float[Tensor, "n s v"]:
    """Scrub one round: the logits of every input, computed from other inputs' activations; `same` says of each unit where it is the same.

    Every reader stands on the stream of the whole model as it is, so that only its own block is run again; heads of a block together.
    """
    problem, params = program.problem, program.problem.params
    cut = Cut(problem, [u.place for u in program.units])
    whole = problem.standing(tokens)
    clean = cut.divided(whole)
    at = {piece.place: i for i, piece in enumerate(cut.pieces) if piece.place is not None}
    pool: dict[int, Tensor] = {}  # what each unit writes after its own inputs were exchanged
    n, s = tokens.shape
    row, holds = np.arange(s), {at[unit.place]: (unit, its) for unit, its in zip(program.units, same, strict=True)}

    def shown(reader: Reader, part: Part) -> Tensor:
        total = torch.zeros_like(clean[0]).flatten(0, 1)
        for piece in cut.of(part):
            unit, its = holds.get(piece, (None, None))
            if its is not None and (unit, reader) in program.edges:
                drawn, source = its.drawn(of), pool[piece]
            else:
                drawn, source = of.integers(n, size=tokens.shape), clean[piece]
            total += source.reshape(n * s, -1).index_select(0, torch.from_numpy((drawn * s + row).ravel()))
        return total.view(n, s, -1)

    def read(*readers: Reader) -> dict[Edge, Tensor]:
        return {(part, r): shown(r, part)[None] for r in readers for part in earlier(params, r)}

    def put(part: Part, piece: int, out: Tensor, hidden: Tensor | None = None) -> None:
        pool[piece] = cut.shares(part, out[0], hidden)[cut.of(part).index(piece)]

    waiting: dict[Part, tuple[int, dict[Edge, Tensor]]] = {}  # heads of one block, each once, with what they read

    def attend() -> None:
        if waiting:
            layer, edges = next(iter(waiting)).layer, {edge: x for _, own in waiting.values() for edge, x in own.items()}
            x = whole.stream["head", layer]
            out, _ = heads(params, layer, x, lambda r: seen(x, r, edges, whole.wrote), {r for _, r in edges})
            for part, (piece, _) in waiting.items():
                put(part, piece, out[part.head])
            waiting.clear()

    with torch.no_grad():
        for unit in program.units:
            part, piece = unit.place.part, at[unit.place]
            if not unit.variable:  # nobody is said to read it
                continue
            if part.kind in ("embed", "pos"):
                pool[piece] = clean[piece]
                continue
            if part in waiting or (waiting and (part.kind, part.layer) != ("head", next(iter(waiting)).layer)):
                attend()
            if part.kind == "head":
                waiting[part] = piece, read(*(Reader("head", part.layer, part.head, slot) for slot in SLOTS))
                continue
            reader = Reader("mlp", part.layer)
            hidden, out = mlp(params, part.layer, seen(whole.stream["mlp", part.layer], reader, read(reader), whole.wrote), problem.activation)
            put(part, piece, out, hidden[0])
        attend()
        end = Reader("logits")
        return logits(params, seen(whole.stream["logits", -1], end, read(end), whole.wrote))[0]


def singly(program: Program, tokens: Int[np.ndarray, "n s"], variable: str, seed: int) -> tuple[float, float]:
    """Exchange what one variable's readers are shown of it among inputs on which it is the same, all else as it is.

    Gives what is recovered, as E2, and the share that came from other inputs: near 0 it tested nothing. NaN where nobody reads it.
    """
    problem, of = program.problem, rng.generator(seed, f"circuits.scrub.{variable}")
    ids = dict(zip(program.units, identities(program, tokens), strict=True))
    cut = Cut(problem, [u.place for u in program.units])
    clean, row = dict(zip(cut.pieces, cut.clean(tokens), strict=True)), torch.arange(tokens.shape[1])
    whole = problem.standing(tokens).wrote
    read: dict[tuple[Part, Reader], Tensor] = {}
    for unit, reader in sorted(program.edges, key=str):
        if unit.variable == variable:
            part, own = unit.place.part, clean[Piece(unit.place.part, unit.place)]
            shown = read.get((part, reader), whole[part])
            read[part, reader] = shown + (own[torch.from_numpy(alike(ids[unit]).drawn(of)), row] - own)[None]
    if not read:
        return np.nan, np.nan
    terms = {"full": problem.logits(tokens), "scrubbed": problem.logits(tokens, read=read)}
    good = {name: problem.goodness(x, tokens) for name, x in terms.items()} | {"unread": unread(problem, tokens)}
    means = {name: x.mean(keepdims=True) for name, x in good.items()}
    return float(recovered(means)[0]), float(np.mean([_others(x) for u, x in ids.items() if u.variable == variable]))


@dataclass(frozen=True, eq=False)
class Alike:
    """Inputs in order of their identity, position by position; where in that order each one's class begins, and how many it has."""

    order: Int[np.ndarray, "n s"]
    first: Int[np.ndarray, "n s"]
    count: Int[np.ndarray, "n s"]

    def drawn(self, of: np.random.Generator) -> Int[np.ndarray, "n s"]:
        """Draw for each input and position an input, itself included, with the same identity there, each as likely."""
        at = self.first + (of.random(self.order.T.shape).T * self.count).astype(int)
        return np.take_along_axis(self.order, at, 0)


def alike(ids: Ids) -> Alike:
    """Put inputs in order of their identity, so that it is done once for all draws."""
    often = [np.bincount(column) for column in ids.T]
    first = [(np.cumsum(n) - n)[column] for n, column in zip(often, ids.T, strict=True)]
    count = [n[column] for n, column in zip(often, ids.T, strict=True)]
    return Alike(ids.argsort(0, kind="stable"), np.stack(first, 1), np.stack(count, 1))


def unread(problem: Problem, tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, " n"]:
    """How good the best answer is that reads nothing but its position: each class as often as it is right on these inputs, in nats.

    Where answers are drawn, each as likely as it is on average.
    """
    answers, chances = problem.task.answer(tokens), problem.task.chances
    if chances is None:
        often = np.stack([np.bincount(column[column >= 0], minlength=problem.classes) for column in answers.T]).astype(np.float64)
    else:
        often = chances(tokens).mean(0)
    with np.errstate(all="ignore"):
        said = np.log(often / often.sum(1, keepdims=True))
    return problem.goodness(np.broadcast_to(np.nan_to_num(said, neginf=-1e9), (*answers.shape, problem.classes)).copy(), tokens)


def _others(ids: Ids) -> float:
    """How likely a draw among equals is another input."""
    return float(np.mean([1 - (np.bincount(column) > 0).sum() / len(column) for column in ids.T]))


def _mixed(ids: Ids, of: np.random.Generator) -> Ids:
    """Random classes of inputs, as many and as large, position by position."""
    return np.stack([of.permutation(column) for column in ids.T], 1)


def _recovered(m: Means, which: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.clip((m[which] - m["unread"]) / (m["full"] - m["unread"]), 0, 1)
