"""Small decoders that are trained for seconds, and how little they are tried on, for tests of
explanations of the monthly problems."""

from __future__ import annotations

from assay.core import grid
from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.verify.score import Effort, Score, Table
from assay_catalogue.worlds.algorithms.solved import Solved, training
from assay_catalogue.worlds.algorithms.task import Task

SMALL = Effort(inputs=150, resamples=300, candidates=5_000)


def solver(
    task: Task, shape: Shape, seed: int = 3, fixed: tuple[str, ...] = (), **numbers: float
) -> Problem:
    """A decoder of this shape, trained on a task from a seed; parameters that are `fixed` stay 0,
    and numbers are fields of `Solved`."""
    out = training(task, shape, fixed)(Runs(grid(Solved(**numbers), seed=[seed])), Unkept())
    return Problem.nth(task, {name: out.tensors[name] for name in shape.parameters()}, 0)


def stands_out(found: Table, least: float) -> bool:
    """Whether an explanation is so good, better than every control, and every control could be
    held to the model."""
    assert found.ranked and found.own.quality.estimate > least
    assert found.controls["another"].quality.estimate < 0.2
    return not any(c.refused for c in found.controls.values())


def recovered(score: Score) -> float:
    """The share of right answers that scrubbing left, before it is asked what each variable
    earns."""
    return next(row.estimate for row in score.details if row.name == "E2 recovered")
