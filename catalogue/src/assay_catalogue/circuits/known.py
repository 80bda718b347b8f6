"""The circuits that are written by construction, as problems, with their explanations and a
plausible rival of each."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from assay.core.errors import ModelError, nearest
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.files import load
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.worlds.algorithms import built

_FOLDER = Path(built.__path__[0])


def names() -> tuple[str, ...]:
    """The built circuits that have an explanation."""
    return tuple(
        sorted(p.stem for p in (_FOLDER / "explained").glob("*.toml") if "." not in p.stem)
    )


def check(name: str) -> None:
    """Refuse a name that no built circuit has. Raises: ModelError."""
    if not re.fullmatch(r"\w+", name) or name not in names():
        raise ModelError(f"no circuit is called {name!r}; {nearest(name, names())}")


def problem(name: str) -> Problem:
    """Build a circuit by its name. Raises: ModelError where there is none."""
    check(name)
    circuit = getattr(import_module(f"{built.__name__}.{name}"), name)()
    return Problem(circuit.task, circuit.params, circuit.shape.activation)


def explained(name: str) -> Explanation:
    """Give the explanation that is true by construction."""
    return load(_FOLDER / "explained" / f"{name}.toml")


def rival(name: str) -> Explanation:
    """Give an explanation that sounds as good and is not right, or not all."""
    return load(_FOLDER / "explained" / f"{name}.rival.toml")


def text(name: str, *, rival: bool = False) -> str:
    """Give the file of the one or the other, as text."""
    return (_FOLDER / "explained" / f"{name}{'.rival' * rival}.toml").read_text(encoding="utf-8")
