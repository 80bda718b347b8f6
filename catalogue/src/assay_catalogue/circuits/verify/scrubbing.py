"""E2, causal scrubbing: everything a graph says may be exchanged is exchanged, at once, and the
answers must survive.

What a reader is shown of a unit comes from another input on which the unit's variable is the same,
position by position; that activation was itself computed from such ones; what the graph does not
mention comes from any input. Rows share what was scrubbed before them, so ten thousand resamples
cost a pass for each unit and each round. Where no other input shares a value, it stays, and nothing
is tested.

So a variable earns only what exchanging it shows. Of the answers that change when it is exchanged
with any input's, the explanation has to foretell what they change to, and the part has to
distinguish the values that they change with (`reading`): the smaller of the two shares counts. So
what a variable says beyond what its part holds earns nothing, and neither does one that numbers the
inputs. Where no answer is foretold from any variable that lives somewhere, all of them together
earn nothing.

What is recovered are right answers, counted from the best answer that reads nothing: each
position's most frequent one. Counted from the model's own outputs on other inputs, as is usual, any
blur would look half as good as a model that is right; counted in nats, one and the same explanation
is worth less the surer the model is.

Source: Chan et al. 2022, Causal Scrubbing (there in nats, from outputs that are shuffled among
inputs, and each input may be drawn itself)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.core.intervals import Means
from assay.train import rng
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.chance import LEAST, share, unread
from assay_catalogue.circuits.verify.controls import Whole, prefixes
from assay_catalogue.circuits.verify.interchange import foretold
from assay_catalogue.circuits.verify.pieces import Cut
from assay_catalogue.circuits.verify.reading import Ids, readings, reference, together
from assay_catalogue.subjects.parts import (
    SLOTS,
    Edge,
    Part,
    Reader,
    earlier,
    heads,
    logits,
    mlp,
    view_stream,
)
from assay_catalogue.worlds.algorithms.task import UNASKED

RESAMPLES = 10_000
"""Inputs that are scrubbed, unless told otherwise."""
SURE = 0.999
"""A value that is distinguished so well counts as one that is."""


@dataclass(frozen=True, eq=False)
class Scrubbed:
    """The share of right answers on each input, a mean over rounds; and what exchanging each
    variable changes, under NAME.what."""

    terms: Mapping[str, Float[np.ndarray, " n"]]
    resamples: int

    @property
    def short(self) -> str:
        """Say which variable earns so little that E2 is less than what is recovered, and why;
        nothing where none does."""
        if not _used(self._means):
            return "no answer is predicted from a variable that has a place"
        earned = {name: float(_earned(self._means, name)) for name in _names(self.terms)}
        name = min(
            earned,
            key=lambda name: earned[name] if earned[name] == earned[name] else 1.0,
            default="",
        )
        if not name or not earned[name] < float(recovered(self._means)):
            return ""
        read_share, foretold_share = (
            np.nan_to_num(float(x))
            for x in (_distinguished(self._means, name), _foretold(self._means, name))
        )
        return (
            f"{float(recovered(self._means)):.3f} is recovered, but no more counts than {name} "
            f"earns: of the answers that exchanging it changes, {foretold_share:.2f} change as "
            f"predicted, and {read_share:.2f} change with values that its part distinguishes"
        )

    @property
    def distinguished(self) -> float:
        """Of the answers that exchanging a variable changes, the share that change with values that
        its part distinguishes; of the variable with the least.

        NaN where no exchange changes anything.
        """
        return float(
            np.fmin.reduce(
                [_distinguished(self._means, name) for name in _names(self.terms)], initial=np.nan
            )
        )

    @cached_property
    def _means(self) -> Means:
        return {name: x.mean() for name, x in self.terms.items()}


def scrubbed(
    program: Program, tokens: Int[np.ndarray, "n s"], seed: int, resamples: int = RESAMPLES
) -> Scrubbed:
    """Scrub so often, whole rounds of all inputs; beside it the same graph with what variables are
    shuffled among inputs, which is to fail."""
    problem, n = program.problem, len(tokens)
    # Rounded up: whole rounds.
    rounds = -(-resamples // n)
    generator = rng.generator(seed, "circuits.scrub")
    terms = {
        "full": problem.right(problem.logits(tokens), tokens),
        "unread": unread(problem, tokens),
    }
    # What was read so far matters, since in a causal model an input with the same beginning has the
    # same activations: exchanging those tests nothing.
    read, ids = prefixes(tokens), identities(program, tokens)
    # Sorted once: a round only draws.
    # Mixed: random classes of inputs, as many and as large, position by position.
    stirred = [np.stack([generator.permutation(c) for c in x.T], 1) for x in ids]
    same, mixed = ([group_identical(x, read) for x in rows] for rows in (ids, stirred))
    terms["scrubbed"] = np.mean(
        [problem.right(once(program, tokens, same, generator), tokens) for _ in range(rounds)], 0
    )
    terms["floor"] = np.mean(
        [
            problem.right(once(program, tokens, mixed, generator), tokens)
            for _ in range(min(rounds, 2))
        ],
        0,
    )
    return Scrubbed(terms | exchanges(program, tokens), rounds * n)


def exchanges(
    program: Program, tokens: Int[np.ndarray, "n s"]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Exchange each variable that lives somewhere with the next input's, everywhere and then at one
    position after the other.

    Those whose exchange changes nothing are exchanged together as well: they may stand in for each
    other. Counts under NAME.what, as shares of answers: moved, those that change; open, of these,
    those for which any answer is foretold; hit, those that are as foretold; used, those that are
    foretold to change; felt, those that one position changes, a sum over positions; read, of these,
    those whose value there the part distinguishes."""
    exchanger = _Exchanger(program, tokens)
    terms: dict[str, np.ndarray] = {}
    for v in program.explanation.variables:
        if v.at:
            terms |= exchanger.counts(v.name)
    idle = [name for name in _names(terms) if terms[f"{name}.moved"].mean() <= LEAST]
    return terms | (exchanger.counts(*idle) if len(idle) > 1 else {})


class _Exchanger:
    """A model on inputs, ready to write what it writes on the next input in the place of variables.

    By one input on: each gets another's value, and each value is used once, so that its frequencies
    stay."""

    def __init__(self, program: Program, tokens: Int[np.ndarray, "n s"]) -> None:
        self.program, self.problem, self.tokens = program, program.problem, tokens
        many = reference(self.problem, tokens)
        self.readings = readings(program, many, classes(program, many), prefixes(many), len(tokens))
        self.known, self.values = (
            self.problem.known(tokens)[1],
            program.values(np.roll(tokens, 1, 0)),
        )
        self.cut = Cut(self.problem, [u.place for u in program.units])
        self.clean = self.cut.clean(tokens)
        self.before = self.problem.named(self.problem.logits(tokens))
        self.is_whole = isinstance(program.explanation, Whole)
        if self.is_whole or not program.answers:
            self.plain = self.before
        else:
            self.plain = foretold(program, tokens, {})

    def answers(self, names: Sequence[str], position: int | None = None) -> Int[np.ndarray, "n s"]:
        """Give the model's answers with these exchanged, at one position or all."""
        span = slice(None) if position is None else slice(position, position + 1)
        places = {u.place for u in self.program.units if u.variable in names}
        instead, mask = list(self.clean), np.ones((len(self.tokens), len(self.clean)), bool)
        for i, piece in enumerate(self.cut.pieces):
            if piece.place in places:
                mask[:, i], instead[i] = False, self.clean[i].clone()
                instead[i][:, span] = self.clean[i][:, span].roll(1, 0)
        return self.problem.named(self.cut.replaced(self.tokens, mask, instead).numpy())

    def foretell(
        self, names: Sequence[str], actual: Int[np.ndarray, "n s"]
    ) -> Int[np.ndarray, "n s"]:
        """Give the answers that the explanation foretells; a model says of itself what it does."""
        if self.is_whole:
            return actual
        if not self.program.answers:
            return np.full(self.tokens.shape, UNASKED)
        return foretold(self.program, self.tokens, {name: self.values[name] for name in names})

    def counts(self, *names: str) -> dict[str, Float[np.ndarray, " n"]]:
        """Count what exchanging these together changes, as in `exchanges`."""
        before, actual = self.before, self.answers(names)
        due = self.foretell(names, actual)
        # Where answers are drawn, that none is likely enough to be named is foretold as well.
        said = (due >= 0) | (self.problem.task.chances is not None)
        cells = {
            "moved": actual != before,
            "open": said & (actual != before),
            "hit": said & (actual != before) & (actual == due),
            "used": said & (due != self.plain),
        }
        counts = {
            what: self.problem.shares(x * self.known, self.tokens) for what, x in cells.items()
        }
        felt = self._felt(names)
        if felt is None:
            counts |= {"felt": counts["moved"], "read": counts["moved"]}
        else:
            read = np.minimum.reduce([together(self.readings[name], felt) for name in names])
            counts |= {"felt": felt.sum(1), "read": (felt * read).sum(1)}
        return {f"{' + '.join(names)}.{what}": x for what, x in counts.items()}

    def _felt(self, names: Sequence[str]) -> Float[np.ndarray, "n s"] | None:
        """The answers that exchanging these changes at each position alone; None where every value
        that is felt is distinguished, as a model does of its own."""
        if self.is_whole:
            return None
        doubtful = np.any([x < SURE for name in names for x in self.readings[name]], (0, 1))
        felt = np.zeros(self.tokens.shape)
        # The others only if they are needed to weigh these.
        for positions in (np.flatnonzero(doubtful), np.flatnonzero(~doubtful)):
            for i in map(int, positions):
                changed = (self.answers(names, i) != self.before) & self.known
                felt[:, i] = self.problem.shares(changed, self.tokens)
            if not felt.any():
                return None
        return felt


def faithful(m: Means) -> np.ndarray:
    """E2: what is recovered, but no more than the variable earns that earns least; 0 where no
    answer is foretold from any of them."""
    least = np.minimum.reduce(
        # A variable whose exchange changes nothing sets no bound; whether any is used at all is
        # asked below.
        [recovered(m), *(np.nan_to_num(_earned(m, name), nan=1.0) for name in _names(m))]
    )
    return np.where(_used(m), least, least * 0)


def recovered(m: Means) -> np.ndarray:
    """What is left after scrubbing of what the model is better by than an answer that reads
    nothing, 0 to 1."""
    return _recovered(m, "scrubbed")


def floor(m: Means) -> np.ndarray:
    """What is recovered of the same graph with its variables shuffled among inputs."""
    return _recovered(m, "floor")


def identities(program: Program, tokens: Int[np.ndarray, "n s"]) -> list[Ids]:
    """Of each unit, on which inputs its variable is the same at each position."""
    class_ids = classes(program, tokens)
    return [class_ids[unit.variable] for unit in program.units]


def classes(program: Program, tokens: Int[np.ndarray, "n s"]) -> dict[str, Ids]:
    """Of each variable that lives somewhere, on which inputs it is the same; under no name, where
    nothing is said: on none."""
    values, class_ids = program.values(tokens), {}
    for name in dict.fromkeys(unit.variable for unit in program.units):
        x = (
            # Values that differ by rounding alone are the same.
            np.round(values[name], 9)
            if name
            else np.broadcast_to(np.arange(len(tokens))[:, None], tokens.shape)
        )
        class_ids[name] = np.stack([np.unique(column, return_inverse=True)[1] for column in x.T], 1)
    return class_ids


def once(
    program: Program,
    tokens: Int[np.ndarray, "n s"],
    same: Sequence[Alike],
    generator: np.random.Generator,
) -> Float[torch.Tensor, "n s v"]:
    """Scrub one round: the logits of every input, computed from other inputs' activations; `same`
    says of each unit where it is the same.

    Every reader stands on the stream of the whole model as it is, so that only its own block is run
    again; heads of a block together."""
    problem, params = program.problem, program.problem.params
    cut = Cut(problem, [u.place for u in program.units])
    whole = problem.standing(tokens)
    clean = cut.divided(whole)
    index_by_place = {
        piece.place: i for i, piece in enumerate(cut.pieces) if piece.place is not None
    }
    pool: dict[int, torch.Tensor] = {}  # what each unit writes after its own inputs were exchanged
    n, s = tokens.shape
    row, holds = (
        np.arange(s),
        {
            index_by_place[unit.place]: (unit, its)
            for unit, its in zip(program.units, same, strict=True)
        },
    )

    def gather_input(reader: Reader, part: Part) -> torch.Tensor:
        total = torch.zeros_like(clean[0]).flatten(0, 1)
        for piece in cut.of(part):
            unit, its = holds.get(piece, (None, None))
            if its is not None and (unit, reader) in program.edges:
                # From the pool: what the unit wrote after its own inputs were exchanged. Each
                # reader draws anew, so that two readers of a unit are shown different inputs.
                donor_rows, source = its.drawn(generator), pool[piece]
            else:
                # Not in the graph: any input's, position by position.
                donor_rows, source = generator.integers(n, size=tokens.shape), clean[piece]
            # Flat, with the donor's row and the reader's own position: one selection for all
            # positions.
            total += source.reshape(n * s, -1).index_select(
                0, torch.from_numpy((donor_rows * s + row).ravel())
            )
        return total.view(n, s, -1)

    def read(*readers: Reader) -> dict[Edge, torch.Tensor]:
        return {
            (part, r): gather_input(r, part)[None] for r in readers for part in earlier(params, r)
        }

    def put(part: Part, piece: int, out: torch.Tensor, hidden: torch.Tensor | None = None) -> None:
        pool[piece] = cut.shares(part, out[0], hidden)[cut.of(part).index(piece)]

    waiting: dict[
        Part, tuple[int, dict[Edge, torch.Tensor]]
    ] = {}  # heads of one block, each once, with what they read

    def attend() -> None:
        if waiting:
            layer, edges = (
                next(iter(waiting)).layer,
                {edge: x for _, part_edges in waiting.values() for edge, x in part_edges.items()},
            )
            x = whole.stream["head", layer]
            out, _ = heads(
                params,
                layer,
                x,
                lambda r: view_stream(x, r, edges, whole.wrote),
                {r for _, r in edges},
            )
            for part, (piece, _) in waiting.items():
                put(part, piece, out[part.head])
            waiting.clear()

    with torch.no_grad():
        for unit in program.units:
            part, piece = unit.place.part, index_by_place[unit.place]
            if not unit.variable:  # nobody is said to read it
                continue
            if part.kind in ("embed", "pos"):
                pool[piece] = clean[piece]
                continue
            # Heads of one block read one stream, so they are run in one go. A head that is named at
            # two places is run twice: each place reads inputs that were drawn for it.
            if part in waiting or (
                waiting and (part.kind, part.layer) != ("head", next(iter(waiting)).layer)
            ):
                attend()
            if part.kind == "head":
                waiting[part] = (
                    piece,
                    read(*(Reader("head", part.layer, part.head, slot) for slot in SLOTS)),
                )
                continue
            reader = Reader("mlp", part.layer)
            hidden, out = mlp(
                params,
                part.layer,
                view_stream(whole.stream["mlp", part.layer], reader, read(reader), whole.wrote),
                problem.activation,
            )
            put(part, piece, out, hidden[0])
        attend()
        end = Reader("logits")
        return logits(params, view_stream(whole.stream["logits", -1], end, read(end), whole.wrote))[
            0
        ]


@dataclass(frozen=True, eq=False)
class Alike:
    """Inputs in order of their identity, position by position; where in that order each one's class
    begins, and how many it has.

    Within a class those stand together that were the same so far, so that no part of a model can
    tell them apart."""

    order: Int[np.ndarray, "n s"]
    first: Int[np.ndarray, "n s"]
    count: Int[np.ndarray, "n s"]
    twins: Int[np.ndarray, "n s"]
    """Where those begin that were the same so far, itself among them."""
    many: Int[np.ndarray, "n s"]
    """How many these are."""

    others: Int[np.ndarray, "n s"]
    """How many others there are that were not the same so far, each of which counts once however
    often it was drawn."""

    @property
    def alone(self) -> Bool[np.ndarray, "n s"]:
        """Where no other has this identity, though some were not the same so far."""
        return (self.others == 0) & (self.many < len(self.order))

    def drawn(self, generator: np.random.Generator) -> Int[np.ndarray, "n s"]:
        """Draw for each input and position one with the same identity there that was not the same
        so far, each as likely.

        Where there is none, one that was, itself among them.
        """
        # A class is a stretch of the order, and the twins of an input a stretch within it. Draw
        # among the class less its twins, then step over them: each other is as likely.
        more = self.count > self.many
        index = self.first + (
            generator.random(self.order.T.shape).T * (self.count - self.many * more)
        ).astype(int)
        return np.take_along_axis(self.order, index + self.many * (more & (index >= self.twins)), 0)


def group_identical(ids: Ids, read: Ids) -> Alike:
    """Put inputs in order of their identity, so that it is done once for all draws; `read` says
    which were the same so far."""
    columns = []
    for x, so_far in zip(ids.T, read.T, strict=True):
        # Class and twins packed into one number, whose sorted order puts twins together within
        # their class.
        unique_pairs, both = np.unique(
            x * (so_far.max() + 1) + so_far, return_inverse=True
        )  # in order of x, and of so_far where x is equal
        classes, twins, kinds = (
            np.bincount(x),
            np.bincount(both),
            np.bincount(unique_pairs // (so_far.max() + 1)),
        )
        begins, theirs = np.cumsum(classes) - classes, np.cumsum(twins) - twins
        columns.append(
            (
                np.argsort(both, kind="stable"),
                begins[x],
                classes[x],
                theirs[both],
                twins[both],
                # Kinds of twins in the class, less its own.
                kinds[x] - 1,
            )
        )
    return Alike(*(np.stack(column, 1) for column in zip(*columns, strict=True)))


def _recovered(m: Means, which: str) -> np.ndarray:
    return share(m[which] - m["unread"], m["full"] - m["unread"])


def _names(terms: Mapping[str, object]) -> list[str]:
    """What was exchanged, by the names of these terms."""
    return [name.removesuffix(".moved") for name in terms if name.endswith(".moved")]


def _used(m: Means) -> np.ndarray:
    """Whether exchanging anything that has a place is said to change any answer; so it is where
    nothing has a place."""
    return np.maximum.reduce([m[f"{name}.used"] for name in _names(m)] or [np.ones(())]) > LEAST


def _earned(m: Means, name: str) -> np.ndarray:
    """The smaller of what is foretold and of what its part distinguishes; NaN where exchanging it
    changes nothing."""
    earned = np.minimum(*(np.nan_to_num(x) for x in (_distinguished(m, name), _foretold(m, name))))
    return np.where(m[f"{name}.moved"] > LEAST, earned, np.nan)


def _foretold(m: Means, name: str) -> np.ndarray:
    return share(m[f"{name}.hit"], m[f"{name}.open"])


def _distinguished(m: Means, name: str) -> np.ndarray:
    return share(m[f"{name}.read"], m[f"{name}.felt"])
