"""Whoever opens an experiment sees from its signatures what is trained, what is measured of it, and
what every function is given."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from everywhere import everywhere
from parsed import nodes

from assay.core.experiment import Experiment, Joint
from assay.lab import catalogue

EXPERIMENTS = Path(__file__).parents[2] / "src/assay_catalogue/experiments"


def trained_and_measured(experiment: Experiment) -> Iterator[tuple[Callable, set[str]]]:
    """Every function that an experiment trains or measures with, and what it may give back."""
    yield experiment.measure, {"xr.Dataset"}
    for arm in experiment.arms.values():
        if arm.train is not None:
            train = arm.train.train if isinstance(arm.train, Joint) else arm.train
            if (
                train.__name__ != "<lambda>"
            ):  # one that hands on to a function, so that two arms' Joints are two
                yield train, {"Trained", "list[Trained]"}
        if arm.measure is not None:
            yield arm.measure, {"xr.Dataset"}


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries()])
def test_what_trains_and_measures_has_types(name: str) -> None:
    experiment = catalogue.find(name)
    own = [
        cls.__name__ for cls in type(experiment.smoke[0]).__mro__
    ]  # what serves a family is given what its specs have in common
    for function, gives in trained_and_measured(experiment):
        where = f"{function.__module__}.{function.__qualname__}"
        signature = inspect.signature(function)
        given = {part.name: part.annotation for part in signature.parameters.values()}
        assert inspect.Parameter.empty not in given.values(), (
            f"{where}: a parameter has no type: {signature}"
        )
        allowed = {text for name in own for text in (f"Runs[{name}]", f"Sequence[Runs[{name}]]")}
        assert next(iter(given.values())) in allowed, (
            f"{where}: it is given Runs[{own[0]}]: {signature}"
        )
        assert signature.return_annotation in gives, (
            f"{where}: it gives {' or '.join(sorted(gives))}: {signature}"
        )


def untyped(function: ast.FunctionDef) -> list[str]:
    """The parameters of a function that have no type, and `return` where what it gives has none."""
    a = function.args
    given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    names = [
        part.arg for part in given if part.annotation is None and part.arg not in ("self", "cls")
    ]
    return names + ["return"] * (function.returns is None)


@everywhere(sorted(EXPERIMENTS.rglob("*.py")))
def test_every_function_has_types(path: Path) -> None:
    functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef)]
    assert not [
        f"line {f.lineno}: {f.name}: {', '.join(untyped(f))}" for f in functions if untyped(f)
    ]
