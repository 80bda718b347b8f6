"""Explanation: a claim about a small model as a value: which parts matter, what each of them holds,
and what the logits make of it.

A variable is a function of the tokens, or of other variables: the names of a function's arguments,
or the names in an expression, say which. So variables are a causal graph that can be run, also with
one of them set to something else. Where a variable lives says where the model is to hold it. The
names `token` and `place` are given: what is read at each position, and its number.

Place: where in a decoder something lives: a part, some neurons of an MLP, or directions that a
part writes along; at some positions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import Params
from assay_catalogue.subjects.parts import Part, parts

_WRITTEN = re.compile(r"(?P<part>[^\[\]@]+)(\[(?P<neurons>[\d, -]+)\])?(@(?P<positions>[\d, -]+))?")


@dataclass(frozen=True, order=True)
class Place:
    """Part of a decoder, as `a0.1`, `m0[3,5]` for neurons 3 and 5, `m0[0-4]@11` for what five
    neurons are at position 11."""

    part: Part
    neurons: tuple[int, ...] = ()
    """Neurons of an MLP; none given: all it writes."""
    positions: tuple[int, ...] = ()
    """Positions, counted from 0; none given: all."""
    along: tuple[tuple[float, ...], ...] = ()
    """Directions of the stream; none given: all that it writes."""

    def __str__(self) -> str:
        neurons = f"[{_listed(self.neurons)}]" if self.neurons else ""
        suffix = (
            f" along {len(self.along)} direction{'s'[: len(self.along) != 1]}" if self.along else ""
        )
        return (
            f"{self.part}{neurons}{'@' + _listed(self.positions) if self.positions else ''}{suffix}"
        )

    @classmethod
    def parse(cls, text: str, directions: Sequence[Sequence[float]] = ()) -> Place:
        """Read a place as it is written. Raises: ModelError."""
        match = _WRITTEN.fullmatch(text.strip())
        if not match:
            raise ModelError(
                f"{text!r} is not a place; places are written a0.1, m0, m0[3,5] for neurons, "
                "a0.1@11 for one position, embed and pos"
            )
        part = Part.parse(match["part"].strip())
        neurons, positions = (_numbers(match[name], text) for name in ("neurons", "positions"))
        return cls(
            part,
            neurons,
            positions,
            tuple(tuple(float(x) for x in direction) for direction in directions),
        )

    def check(self, params: Params, length: int) -> None:
        """Refuse what this decoder does not have. Raises: ModelError."""
        all_parts = parts(params)
        if self.part not in all_parts:
            raise ModelError(
                f"the model has no part {self.part}; it has {', '.join(map(str, all_parts))}"
            )
        if self.neurons and self.part.kind != "mlp":
            raise ModelError(f"{self} names neurons, but {self.part} is not an MLP")
        if self.neurons and self.along:
            raise ModelError(f"{self} names neurons and directions; name only one of the two")
        if self.neurons and max(self.neurons) >= (m := params["W_in"].shape[-1]):
            raise ModelError(
                f"{self.part} has no neuron {max(self.neurons)}; its {m:,} neurons are "
                "counted from 0"
            )
        if self.positions and max(self.positions) >= length:
            raise ModelError(
                f"{self} is at position {max(self.positions)}; the model's inputs have "
                f"{length}, counted from 0"
            )
        d = params["W_E"].shape[-1]
        if wrong := [len(direction) for direction in self.along if len(direction) != d]:
            raise ModelError(
                f"{self.part}: a direction has {wrong[0]:,} numbers; the stream has {d:,}"
            )
        if self.along and not all(any(direction) for direction in self.along):
            raise ModelError(f"{self.part}: a direction is all zeros")

    def overlaps(self, other: Place) -> bool:
        """Tell whether both hold something of the same part at the same position, so that it would
        count twice."""
        if self.part != other.part or (
            self.positions and other.positions and not {*self.positions} & {*other.positions}
        ):
            return False
        return not (self.neurons and other.neurons) or bool({*self.neurons} & {*other.neurons})


def _listed(numbers: Sequence[int]) -> str:
    """Write whole numbers with runs of three and more as "2-5"."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ",".join(f"{r[0]}-{r[-1]}" if len(r) > 2 else ",".join(map(str, r)) for r in runs)


def _numbers(text: str | None, whole: str) -> tuple[int, ...]:
    """Read "0,2-4" as 0, 2, 3, 4. Raises: ModelError."""
    numbers: list[int] = []
    for piece in text.split(",") if text else ():
        ends = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", piece)
        if not ends:
            raise ModelError(
                f"{whole!r}: {piece.strip()!r} is neither a number nor a range such as 2-5"
            )
        numbers += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(sorted(set(numbers)))


Rule = str | Callable[..., np.ndarray]
"""An expression of the small language, or a function whose arguments are named after variables: [n,
s] arrays → [n, s]."""
GIVEN = ("token", "place")
"""Names that every explanation has: the token at each position, and the position's number."""


@dataclass(frozen=True, eq=False)
class Variable:
    """Something that the model is said to work out."""

    name: str
    rule: Rule
    """What it is, at each position."""
    at: tuple[Place, ...] = ()
    """Where it is written: several places for several copies; none for a step of reasoning that the
    model does not show."""
    reads: tuple[str, ...] | None = None
    """What its parts read of other variables: "before", or "before.k" for the keys of a head alone.
    None: all names of its rule, by all of q, k and v."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """What is claimed about one model. What is left out scores nothing."""

    of: str
    """What it explains: a built circuit such as induction, or a model folder."""
    name: str
    leaves_out: str = ""
    """What it does not cover, in words."""
    variables: tuple[Variable, ...] = ()
    matter: tuple[Place, ...] = ()
    """What matters beside the places of variables, though it is not said what for. All else may be
    ablated."""
    answer: Rule | None = None
    """Which class the model names, at each position."""
    margin: float = 10.0
    """How far the logit of that class lies above the others, which are alike."""
    logits: Rule | tuple[Rule, ...] | None = None
    """In place of `answer`: the logits, a rule for each class or a function that gives [n, s,
    class]."""
    reads: tuple[str, ...] | None = None
    """The variables that the logits read; None: all names of the rule."""
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Hand-written weights in place of the model's own, by name and of the same shape: [1, …]."""
    fails: Rule | None = None
    """Where the model is predicted to answer wrongly; None: where the explanation's own answer is
    wrong."""
    size: int | None = None
    """Names and numbers that it takes to write it down; None: counted, where rules are expressions
    or functions in a file."""
    source: str = "the explanation"
    """Where it stands, for errors."""
