"""Solver: how large a model is that solves a problem, how it is trained, and on how much its
explanation is tried; what belongs to a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from assay.core.bench import Bench
from assay.core.errors import DataError
from assay.core.fit import Trained
from assay.core.runs import Runs
from assay.subjects.decoder import Params, Shape
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.worlds.algorithms.solved import Solved, training
from assay_catalogue.worlds.algorithms.task import Task


@dataclass(frozen=True, kw_only=True)
class Solver(Solved):
    """A decoder that is trained to solve a problem, and how it is explained; a problem's own spec
    adds the problem's sizes."""

    layers: Annotated[int, Ge(1)]
    """Blocks."""
    heads: Annotated[int, Ge(1)]
    """Heads in a block."""
    d: Annotated[int, Ge(1)]
    """Width of the residual stream."""
    e: Annotated[int, Ge(1)]
    """Width of a head."""
    m: Annotated[int, Ge(0)] = 0
    """Neurons in a block's MLP; 0 for attention alone."""
    norm: Literal["layer", "none"] = "layer"
    """Whether blocks and logits read the stream through LayerNorm, or as it is."""
    placed: bool = True
    """Whether the model is told positions."""
    tested: Annotated[int, Ge(100)] = 4000
    """Held-out inputs on which it is seen how often the model is right."""
    tried: Annotated[int, Ge(100)] = 300
    """Held-out inputs that an explanation is held to."""
    resamples: Annotated[int, Ge(100)] = 600
    """Inputs that causal scrubbing computes from others."""
    candidates: Annotated[int, Ge(100)] = 5000
    """Inputs among which those are looked for that are said to fail."""

    @property
    def decoders(self) -> str:
        """What such models are called in a sentence."""
        neurons = f" and {self.m} neurons" if self.m else ""
        positions = "" if self.placed else " without positions"
        return f"{self.layers}-block decoders of {self.heads}-head attention{neurons}{positions}"


SMALL: dict[str, Any] = {
    "steps": 60,
    "batch": 32,
    "tested": 200,
    "tried": 100,
    "resamples": 100,
    "candidates": 5000,
}
"""The fields of a smoke run, which only shows that everything goes through."""
Explain = Callable[[Problem], Explanation]
"""Explains one model."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Monthly:
    """One of the monthly problems: its task by its spec, and what explains its models."""

    name: str
    """As the catalogue has it, such as monthly-palindromes."""
    task: Callable[..., Task]
    """A spec → the task."""
    explanation: Explain
    """Ours."""
    rival: Explain
    """One that sounds as good and is not right."""
    half_right: Explain
    """One that is right about a part of the mechanism and wrong about the rest."""
    same: str = ""
    """Why explanations of all its models name the same parts, where they cannot but do so.

    That of another model is then no control, and there is nowhere else to put variables.
    """

    def shape(self, s: Solver) -> Shape:
        """Give the sizes of the model that a spec asks for."""
        task = self.task(s)
        return Shape(
            layers=s.layers,
            d=s.d,
            heads=s.heads,
            m=s.m,
            context=task.length,
            vocab=len(task.tokens),
            norm=s.norm,
            activation="relu",
            d_head=s.e,
            answers=len(task.answers),
        )

    def train(self, runs: Runs[Solver], bench: Bench) -> Trained:
        """Train all runs of a group at once."""
        s = runs.shared
        # Solver is a Solved
        return training(self.task(s), self.shape(s), () if s.placed else ("W_pos",))(runs, bench)  # type: ignore[arg-type]

    def problem(self, s: Solver, params: Params, run: int = 0) -> Problem:
        """Take the model of one run as something to explain. Raises: DataError where these are no
        parameters of such a model."""
        expected_shapes = self.shape(s).parameters()
        if {name: tuple(x.shape[1:]) for name, x in params.items()} != expected_shapes:
            raise DataError(
                f"these are not the parameters of a model of {self.name} with the sizes that "
                "its spec says"
            )
        return Problem.nth(self.task(s), params, run)
