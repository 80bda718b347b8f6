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
from assay.core.heavy import xr
from assay.core.plain import plain
from assay.lab.origin import frames_in, where


def checked(experiment: Experiment) -> Experiment:
    """Make an experiment's functions raise ExperimentError, in one line, where they return the
    wrong thing, and but for training where they raise.

    What training raises is a crash of its own, which the lab tells with its places.
    """
    origin = experiment.origin or experiment.name
    changes: dict[str, Any] = {"measure": _guard(experiment.measure, origin, "measure", _measured)}
    if experiment.inputs is not None:
        changes["inputs"] = _guard(
            experiment.inputs, origin, "inputs", _must(_digests, "{name: digest}, both texts")
        )
    if experiment.cost is not None:
        changes["cost"] = _guard(
            experiment.cost,
            origin,
            "cost",
            _must(lambda output: isinstance(output, Cost), "a Cost"),
        )
    joints: dict[int, Joint] = {}  # arms of one Joint stay arms of one
    changes["arms"] = {name: _trains(arm, origin, joints) for name, arm in experiment.arms.items()}
    changes["figures"] = _guard(experiment.figures, origin, "figures", _figures)
    if experiment.cards is not None:
        changes["cards"] = _guard(
            experiment.cards,
            origin,
            "cards",
            _must(lambda output: isinstance(output, list | tuple), "a list of cards"),
        )
    return dataclasses.replace(experiment, **changes)


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    message = plain(str(error)).strip()
    return f"{type(error).__name__}: {message.splitlines()[0] if message else 'no message'}"


Wrong = Callable[..., str]
"""What a function was given, and found → why nobody can use that; "" where they can."""


def _guard(
    function: Callable[..., Any], origin: str, what: str, wrong: Wrong, *, raises: bool = True
) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        try:
            output = function(*arguments)
        except (AssayError, KeyboardInterrupt):
            raise  # it says what to do, such as fetching a model
        except BaseException as e:  # SystemExit too: an experiment does not end the command
            if not raises:
                raise
            raise ExperimentError(
                f"{where(e, origin)}: {what}= raised {first_line(e)}{_beyond(e, origin)}"
            ) from e
        if why := wrong(arguments, output):
            raise ExperimentError(f"{_defined(function, origin)}: {what}= {why}")
        return output

    return wrapper


def _beyond(error: BaseException, origin: str) -> str:
    """The place that raised it, where that is not the experiment's own file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own_frames = frames_in(error, origin)
    return (
        ""
        if own_frames and own_frames[-1].filename == last.filename
        else f" (in {last.name}, {Path(last.filename).name} line {last.lineno})"
    )


def _defined(function: Callable[..., Any], origin: str) -> str:
    """File and line at which a function starts."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename} line {code.co_firstlineno}" if code is not None else origin


def _must(right: Callable[[Any], bool], expected: str) -> Wrong:
    def wrong(arguments: Sequence[Any], output: Any) -> str:
        got = "nothing" if output is None else f"{type(output).__name__} {str(output)[:60]!r}"
        return "" if right(output) else f"must return {expected}, got {got}"

    return wrong


def _digests(output: Any) -> bool:
    return isinstance(output, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in output.items()
    )


def _measured(arguments: Sequence[Any], output: Any) -> str:
    from assay.core.measures import storable

    return storable(output, arguments[0].specs)


def _figures(arguments: Sequence[Any], output: Any) -> str:
    from assay.core.figures import Figure

    right = isinstance(output, list | tuple) and all(isinstance(f, Figure) for f in output)
    return _must(lambda output: right, "a list of Figures")(arguments, output)


def _trains(arm: Arm, origin: str, joints: dict[int, Joint]) -> Arm:
    if arm.measure is not None:
        arm = dataclasses.replace(arm, measure=_guard(arm.measure, origin, "measure", _measured))
    if isinstance(arm.train, Joint):
        if id(arm.train) not in joints:
            joints[id(arm.train)] = Joint(
                _guard(arm.train.train, origin, "train", _trained_together, raises=False)
            )
        return dataclasses.replace(arm, train=joints[id(arm.train)])
    if arm.derive is not None:
        return dataclasses.replace(
            arm, derive=_guard(arm.derive, origin, "derive", _derived, raises=False)
        )
    return (
        dataclasses.replace(arm, train=_guard(arm.train, origin, "train", _trained, raises=False))
        if arm.train is not None
        else arm
    )


def _trained(arguments: Sequence[Any], output: Any) -> str:
    from assay.core.fit import Trained

    if not isinstance(output, Trained):
        return _must(lambda output: False, "what fit gives for its group, a Trained")(
            arguments, output
        )
    runs = len(arguments[0])
    return (
        ""
        if len(output.diverged) == runs
        else f"must return one row for each of {runs} runs, got {len(output.diverged)}"
    )


def _derived(arguments: Sequence[Any], output: Any) -> str:
    return _must(lambda output: isinstance(output, xr.Dataset), "a Dataset")(arguments, output)


def _trained_together(arguments: Sequence[Any], output: Any) -> str:
    arms = arguments[0]
    if not isinstance(output, list | tuple) or len(output) != len(arms):
        return _must(lambda output: False, f"a list with a Trained for each of {len(arms)} arms")(
            arguments, output
        )
    return next(
        (
            why
            for runs, trained in zip(arms, output, strict=True)
            if (why := _trained([runs], trained))
        ),
        "",
    )
