"""Checked: what an experiment's own functions answer; what they raise, or return that nobody can
use, is told with file and line."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Arm, Cost, Experiment, Joint
from assay.core.plain import plain
from assay.lab.origin import frames_in, where


def checked(experiment: Experiment) -> Experiment:
    """Make an experiment's functions raise ExperimentError, in one line, where they return the
    wrong thing, and but for training where they raise.

    What training raises is a crash of its own, which the lab tells with its places.
    """
    named = experiment.origin or experiment.name
    changes: dict[str, Any] = {"measure": _told(experiment.measure, named, "measure", _measured)}
    if experiment.inputs is not None:
        changes["inputs"] = _told(
            experiment.inputs, named, "inputs", _must(_digests, "{name: digest}, both texts")
        )
    if experiment.cost is not None:
        changes["cost"] = _told(
            experiment.cost, named, "cost", _must(lambda found: isinstance(found, Cost), "a Cost")
        )
    joints: dict[int, Joint] = {}  # arms of one Joint stay arms of one
    changes["arms"] = {name: _trains(arm, named, joints) for name, arm in experiment.arms.items()}
    changes["figures"] = _told(experiment.figures, named, "figures", _figures)
    if experiment.cards is not None:
        changes["cards"] = _told(
            experiment.cards,
            named,
            "cards",
            _must(lambda found: isinstance(found, list | tuple), "a list of cards"),
        )
    return dataclasses.replace(experiment, **changes)


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    said = plain(str(error)).strip()
    return f"{type(error).__name__}: {said.splitlines()[0] if said else 'no message'}"


Wrong = Callable[..., str]
"""What a function was given, and found → why nobody can use that; "" where they can."""


def _told(
    function: Callable[..., Any], origin: str, what: str, wrong: Wrong, *, raises: bool = True
) -> Callable[..., Any]:
    @functools.wraps(function)
    def told(*arguments: Any) -> Any:
        try:
            found = function(*arguments)
        except (AssayError, KeyboardInterrupt):
            raise  # it says what to do, such as fetching a model
        except BaseException as e:  # SystemExit too: an experiment does not end the command
            if not raises:
                raise
            raise ExperimentError(
                f"{where(e, origin)}: {what}= raised {first_line(e)}{_beyond(e, origin)}"
            ) from e
        if why := wrong(arguments, found):
            raise ExperimentError(f"{_defined(function, origin)}: {what}= {why}")
        return found

    return told


def _beyond(error: BaseException, origin: str) -> str:
    """The place that raised it, where that is not the experiment's own file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = frames_in(error, origin)
    return (
        ""
        if own and own[-1].filename == last.filename
        else f" (in {last.name}, {Path(last.filename).name} line {last.lineno})"
    )


def _defined(function: Callable[..., Any], origin: str) -> str:
    """File and line at which a function starts."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename} line {code.co_firstlineno}" if code is not None else origin


def _must(right: Callable[[Any], bool], expected: str) -> Wrong:
    def wrong(arguments: Sequence[Any], found: Any) -> str:
        got = "nothing" if found is None else f"{type(found).__name__} {str(found)[:60]!r}"
        return "" if right(found) else f"must return {expected}, got {got}"

    return wrong


def _digests(found: Any) -> bool:
    return isinstance(found, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in found.items()
    )


def _measured(arguments: Sequence[Any], found: Any) -> str:
    from assay.core.measures import storable

    return storable(found, arguments[0].specs)


def _figures(arguments: Sequence[Any], found: Any) -> str:
    from assay.core.figures import Figure

    right = isinstance(found, list | tuple) and all(isinstance(f, Figure) for f in found)
    return _must(lambda found: right, "a list of Figures")(arguments, found)


def _trains(arm: Arm, origin: str, joints: dict[int, Joint]) -> Arm:
    if arm.measure is not None:
        arm = dataclasses.replace(arm, measure=_told(arm.measure, origin, "measure", _measured))
    if isinstance(arm.train, Joint):
        if id(arm.train) not in joints:
            joints[id(arm.train)] = Joint(
                _told(arm.train.train, origin, "train", _trained_together, raises=False)
            )
        return dataclasses.replace(arm, train=joints[id(arm.train)])
    if arm.derive is not None:
        return dataclasses.replace(
            arm, derive=_told(arm.derive, origin, "derive", _derived, raises=False)
        )
    return (
        dataclasses.replace(arm, train=_told(arm.train, origin, "train", _trained, raises=False))
        if arm.train is not None
        else arm
    )


def _trained(arguments: Sequence[Any], found: Any) -> str:
    from assay.core.fit import Trained

    if not isinstance(found, Trained):
        return _must(lambda found: False, "what fit gives for its group, a Trained")(
            arguments, found
        )
    runs = len(arguments[0])
    return (
        ""
        if len(found.diverged) == runs
        else f"must return one row for each of {runs} runs, got {len(found.diverged)}"
    )


def _derived(arguments: Sequence[Any], found: Any) -> str:
    from xarray import Dataset

    return _must(lambda found: isinstance(found, Dataset), "a Dataset")(arguments, found)


def _trained_together(arguments: Sequence[Any], found: Any) -> str:
    arms = arguments[0]
    if not isinstance(found, list | tuple) or len(found) != len(arms):
        return _must(lambda found: False, f"a list with a Trained for each of {len(arms)} arms")(
            arguments, found
        )
    return next(
        (why for runs, one in zip(arms, found, strict=True) if (why := _trained([runs], one))), ""
    )
