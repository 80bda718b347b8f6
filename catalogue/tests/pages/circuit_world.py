"""Small models with pages: those of the shelf, one of them scored with little effort, and one whose
names a page might obey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.explorer.library import Library
from assay.subjects.decoder import Shape
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.pages import shelf
from assay_catalogue.worlds.algorithms.task import Task, unasked

LITTLE = {"inputs": 60, "resamples": 60, "candidates": 500}
BAD = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e"


def hostile() -> tuple[Problem, Explanation, None]:
    """A model of 1,000 tokens, each with a long name that would run if a page obeyed it; and an
    explanation with such words."""
    vocab, length = 1000, 40
    shape = Shape(
        layers=2,
        d=6,
        heads=9,
        m=3,
        context=length,
        vocab=vocab,
        norm="none",
        d_head=2,
        answers=vocab,
    )
    g = torch.Generator().manual_seed(0)
    params = {
        name: 0.5 * torch.randn(1, *size, generator=g) for name, size in shape.parameters().items()
    }
    names = tuple(f"{i}{BAD}" + "long" * 500 for i in range(vocab))

    def answer(tokens: np.ndarray) -> np.ndarray:
        out = unasked(tokens)
        out[:, -1] = tokens[:, 0]
        return out

    task = Task(
        f"task {BAD}",
        names,
        names,
        length,
        lambda of, n: of.integers(vocab, size=(n, length)),
        answer,
    )
    variables = tuple(
        Variable(f"variable_number_{i}_with_a_long_name", "token", (Place.parse(f"a0.{i}"),))
        for i in range(9)
    )
    told = Explanation(
        of=BAD,
        name=f"name {BAD}",
        leaves_out=BAD,
        variables=variables,
        answer=variables[0].name,
        source=BAD,
    )
    return Problem(task, params), told, None


@contextmanager
def world(root: Path) -> Iterator[Library]:
    """A library whose store has the built circuits, the explanations next to it, and the hostile
    one; scoring takes seconds."""
    usual = shelf.shelf(root)
    models = usual.subjects
    usual.subjects = lambda: (*models(), shelf.Subject("hostile", BAD, hostile))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "EFFORT", LITTLE)
        yield Library(root)
