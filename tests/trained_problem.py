"""A small model that is trained on a task within seconds, as something to explain."""

from assay.circuits.problem import Problem
from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.subjects.decoder import Shape
from assay.worlds.algorithms.solved import Solved, training
from assay.worlds.algorithms.task import Task


def trained_problem(task: Task, shape: Shape, how: Solved) -> Problem:
    """Train a model of this shape; its seed is that of `how`."""
    tensors = training(task, shape)(Runs([how]), Unkept()).tensors
    return Problem.nth(task, {name: tensors[name] for name in shape.parameters()}, 0)
