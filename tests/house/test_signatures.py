"""Whoever opens an experiment sees from its signatures what is trained, and what is measured of it."""

import inspect
from collections.abc import Callable, Iterator

import pytest

from assay.core.experiment import Experiment, Joint
from assay.lab import catalogue


def trained_and_measured(experiment: Experiment) -> Iterator[tuple[Callable, set[str]]]:
    """Every function that an experiment trains or measures with, and what it may give back."""
    yield experiment.measure, {"xr.Dataset"}
    for arm in experiment.arms.values():
        if arm.train is not None:
            train = arm.train.train if isinstance(arm.train, Joint) else arm.train
            if train.__name__ != "<lambda>":  # one that hands on to a function, so that two arms' Joints are two
                yield train, {"Trained", "list[Trained]"}
        if arm.measure is not None:
            yield arm.measure, {"xr.Dataset"}


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries()])
def test_what_trains_and_measures_has_types(name: str) -> None:
    experiment = catalogue.find(name)
    runs = f"Runs[{type(experiment.smoke[0]).__name__}]"
    for function, gives in trained_and_measured(experiment):
        where = f"{function.__module__}.{function.__qualname__}"
        signature = inspect.signature(function)
        given = {part.name: part.annotation for part in signature.parameters.values()}
        assert inspect.Parameter.empty not in given.values(), f"{where}: a parameter has no type: {signature}"
        assert next(iter(given.values())) in {runs, f"Sequence[{runs}]"}, f"{where}: it is given {runs}: {signature}"
        assert signature.return_annotation in gives, f"{where}: it gives {' or '.join(sorted(gives))}: {signature}"
