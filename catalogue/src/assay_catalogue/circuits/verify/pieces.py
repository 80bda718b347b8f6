"""A decoder cut into pieces: the places that are named, and of each part what is left of it; any of
them replaced, row by row."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay_catalogue.circuits.explanation import Place
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.subjects.parts import Apart, Part, Reader, entered, heads, logits, mlp, parts

PASS = 40_000
"""Most tokens of one pass."""


@dataclass(frozen=True)
class Piece:
    """A place, or what a part writes beside all places of it."""

    part: Part
    place: Place | None = None

    def __str__(self) -> str:
        return str(self.place or self.part)


class Cut:
    """A model cut at places. What a part writes is the sum of its pieces, biases with the rest."""

    def __init__(self, problem: Problem, places: Sequence[Place]) -> None:
        self.problem = problem
        self.pieces: list[Piece] = []
        for part in parts(problem.params):
            part_pieces = [Piece(part, p) for p in places if p.part == part]
            whole = any(
                p.place and not (p.place.neurons or p.place.positions or p.place.along)
                for p in part_pieces
            )
            # Where a place is the whole part nothing is left beside it.
            self.pieces += part_pieces if whole else [*part_pieces, Piece(part)]

    @property
    def named(self) -> Bool[np.ndarray, " piece"]:
        """Which pieces are places."""
        return np.array([p.place is not None for p in self.pieces])

    def of(self, part: Part) -> list[int]:
        """Which pieces are of a part."""
        return [i for i, p in enumerate(self.pieces) if p.part == part]

    def shares(
        self,
        part: Part,
        out: Float[torch.Tensor, "b s d"],
        hidden: Float[torch.Tensor, "b s m"] | None,
    ) -> list[Float[torch.Tensor, "b s d"]]:
        """Divide what a part wrote among its pieces, in their order."""
        portions: list[torch.Tensor] = []
        for i in self.of(part):
            place = self.pieces[i].place
            portions.append(
                # The rest comes last of a part's pieces, so that all others are in `portions`:
                # together they are what the part wrote, whatever the places are.
                out - sum(portions) if place is None else _share(place, self.problem, out, hidden)
            )
        return portions

    @property
    def named_alike(self) -> Hashable:
        """A name that two ways to cut a model share where their pieces are the same, whether they
        are named or left over."""
        return tuple(
            (
                p.part,
                p.place
                if p.place and (p.place.neurons or p.place.positions or p.place.along)
                else None,
            )
            for p in self.pieces
        )

    def clean(self, tokens: Int[np.ndarray, "n s"]) -> list[Float[torch.Tensor, "n s d"]]:
        """What each piece writes in the whole model."""
        return self.divided(self.problem.standing(tokens))

    def divided(self, forward_pass: Apart) -> list[Float[torch.Tensor, "n s d"]]:
        """What each piece wrote in one pass."""
        hidden = _by_layer(self.problem, forward_pass.neurons)
        return [
            x
            for part in forward_pass.wrote
            for x in self.shares(part, forward_pass.wrote[part][0], hidden.get(part.layer))
        ]

    def replaced(
        self,
        tokens: Int[np.ndarray, "b s"],
        masks: Bool[np.ndarray, "b piece"],
        instead: Sequence[Float[torch.Tensor, "b|1 s d"]],
    ) -> Float[torch.Tensor, "b s v"]:
        """Run rows, each with the pieces it keeps; the others write what stands in `instead`, and
        all that comes later reads that."""
        rows = max(1, PASS // tokens.shape[1])
        logit_blocks = []
        for start in range(0, len(tokens), rows):
            block = slice(start, start + rows)
            logit_blocks.append(
                self._replaced(
                    tokens[block], masks[block], [x if len(x) == 1 else x[block] for x in instead]
                )
            )
        return torch.cat(logit_blocks)

    def _replaced(
        self, tokens: np.ndarray, masks: np.ndarray, instead: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        hidden: dict[int, torch.Tensor] = {}
        keep = torch.from_numpy(np.ascontiguousarray(masks))[..., None, None]

        def remember(layer: int, x: torch.Tensor) -> torch.Tensor:
            # An MLP's neurons are handed over before what it writes, and places made of neurons
            # need them.
            hidden[layer] = x[0]
            return x

        def write(part: Part, out: torch.Tensor) -> torch.Tensor:
            portions = zip(
                self.of(part), self.shares(part, out[0], hidden.get(part.layer)), strict=True
            )
            return reduce(add, [torch.where(keep[:, i], x, instead[i]) for i, x in portions])[None]

        all_parts = parts(self.problem.params)
        forward_pass = self.problem.run(
            tokens,
            written={p: lambda out, p=p: write(p, out) for p in all_parts},
            neurons={
                p.layer: lambda x, p=p: remember(p.layer, x) for p in all_parts if p.kind == "mlp"
            },
        )
        return forward_pass.logits[0]


class Sweep:
    """Runs of the same inputs under many masks, one mask for all rows: what masks have in common up
    to some block is computed once.

    The numbers are those of `Cut.replaced`, bit for bit: the same operations on the same arrays,
    only not again."""

    def __init__(
        self,
        cut: Cut,
        tokens: Int[np.ndarray, "n s"],
        instead: Sequence[Float[torch.Tensor, "n|1 s d"]],
    ) -> None:
        self.cut, self.tokens, self.instead = cut, tokens, instead
        self.inputs = entered(
            cut.problem.params, torch.from_numpy(np.ascontiguousarray(tokens))[None]
        )
        self.stages = _stages(cut.problem)
        self.of = {part: cut.of(part) for part in parts(cut.problem.params)}
        self.before = [self.of[stage[0]][0] for stage in self.stages]
        """How many pieces come before each stage."""
        self._kept: dict[int, tuple[bytes, torch.Tensor, dict[int, torch.Tensor]]] = {}
        """By stage: the mask of all that comes before, the stream there, and what the stage's
        pieces write if they are kept."""

    def each(
        self,
        masks: Sequence[Bool[np.ndarray, " piece"]],
        measure: Callable[[Float[torch.Tensor, "n s v"]], np.ndarray],
    ) -> list[np.ndarray]:
        """Give what is made of the logits under each mask."""
        results: dict[bytes, np.ndarray] = {}
        # Sorted by their bytes, masks that agree on early pieces are neighbours, and early blocks
        # are what need not be run again.
        for mask in sorted(
            {np.asarray(m, bool).tobytes() for m in masks}
        ):  # so that neighbours have much in common
            results[mask] = measure(self._logits(np.frombuffer(mask, bool)))
        return [results[np.asarray(m, bool).tobytes()] for m in masks]

    def _logits(self, mask: Bool[np.ndarray, " piece"]) -> Float[torch.Tensor, "n s v"]:
        # More than one pass takes; `replaced` divides it.
        if self.tokens.size > PASS:
            return self.cut.replaced(
                self.tokens, np.broadcast_to(mask, (len(self.tokens), len(mask))), self.instead
            )
        params, names = self.cut.problem.params, [mask[:n].tobytes() for n in self.before]
        # The latest stage before which nothing differs from what is kept; from there on it is run
        # anew.
        first = max(
            (i for i, name in enumerate(names) if i in self._kept and self._kept[i][0] == name),
            default=0,
        )
        x = torch.zeros(1, *self.tokens.shape, params["W_E"].shape[-1])
        with torch.no_grad():
            for i, stage in list(enumerate(self.stages))[first:]:
                # A stage's pieces are written from what came before, so their own part of the mask
                # decides only which are added, and is not part of the name.
                if i not in self._kept or self._kept[i][0] != names[i]:
                    self._kept[i] = (names[i], x, self._written(stage, x))
                _, x, portions = self._kept[i]
                if stage[0].kind == "head" and "b_O" in params:
                    x = x + params["b_O"][:, stage[0].layer, None, None]
                for part in stage:
                    x = (
                        x
                        + reduce(
                            add,
                            # In the order of `_replaced`, since float sums depend on it.
                            [portions[j] if mask[j] else self.instead[j] for j in self.of[part]],
                        )[None]
                    )
            return logits(params, x)[0]

    def _written(self, stage: tuple[Part, ...], x: torch.Tensor) -> dict[int, torch.Tensor]:
        """What the pieces of parts that read the same stream write."""
        problem, hidden = self.cut.problem, None
        params, first_part = problem.params, stage[0]
        if first_part.kind == "head":
            out, _ = heads(params, first_part.layer, x, lambda reader: x, frozenset[Reader]())
        elif first_part.kind == "mlp":
            neurons, whole = mlp(params, first_part.layer, x, problem.activation)
            out, hidden = (whole,), neurons[0]
        else:
            out = (self.inputs[first_part],)
        shares = [
            (part, self.cut.shares(part, o[0], hidden)) for part, o in zip(stage, out, strict=True)
        ]
        return {
            i: portion
            for part, of_part in shares
            for i, portion in zip(self.cut.of(part), of_part, strict=True)
        }


def _stages(problem: Problem) -> list[tuple[Part, ...]]:
    """All parts, in the order of a pass, those together that read one and the same stream."""
    stages: list[tuple[Part, ...]] = []
    for part in parts(problem.params):
        if (
            stages
            and part.kind == stages[-1][0].kind == "head"
            and part.layer == stages[-1][0].layer
        ):
            stages[-1] = (*stages[-1], part)
        else:
            stages.append((part,))
    return stages


def _by_layer(problem: Problem, neurons: Sequence[torch.Tensor]) -> dict[int, torch.Tensor]:
    layers = [p.layer for p in parts(problem.params) if p.kind == "mlp"]
    return {layer: x[0] for layer, x in zip(layers, neurons, strict=True)}


def _share(
    place: Place, problem: Problem, out: torch.Tensor, hidden: torch.Tensor | None
) -> torch.Tensor:
    """What a place has of what its part wrote."""
    if place.neurons:
        assert hidden is not None
        out = (
            hidden[..., list(place.neurons)]
            @ problem.params["W_out"][0, place.part.layer][list(place.neurons)]
        )
    elif place.along:
        # Directions as given may be of any length and not at right angles; QR makes the projection
        # one.
        basis = torch.linalg.qr(torch.tensor(place.along, dtype=out.dtype).mT).Q
        out = out @ basis @ basis.mT
    if not place.positions:
        return out
    mask = torch.zeros(out.shape[-2], 1, dtype=out.dtype)
    mask[list(place.positions)] = 1
    return out * mask
