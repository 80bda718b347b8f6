"""User code: what an experiment's own functions raise, or return that cannot be used, is reported
with file and line."""

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
from assay.lab.store.origin import frames_in, where


def checked(experiment: Experiment) -> Experiment:
    """Make an experiment's functions raise ExperimentError, in one line, where they return the
    wrong thing, and but for training where they raise.

    An error in training is a crash, which the lab reports with its tracebacks.
    """
    origin = experiment.origin or experiment.name
    changes: dict[str, Any] = {}
    for name, wrong in (
        ("measure", _measured),
        ("figures", _figures),
        ("inputs", _must(_digests, "{name: digest}, both texts")),
        ("cost", _must(lambda output: isinstance(output, Cost), "a Cost")),
        ("cards", _must(lambda output: isinstance(output, list | tuple), "a list of cards")),
    ):
        if (function := getattr(experiment, name)) is not None:
            changes[name] = _guard(function, origin, name, wrong)
    joints: dict[int, Joint] = {}  # arms of one Joint stay arms of one
    changes["arms"] = {name: _trains(arm, origin, joints) for name, arm in experiment.arms.items()}
    return dataclasses.replace(experiment, **changes)


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    message = plain(str(error)).strip()
    return f"{type(error).__name__}: {message.splitlines()[0] if message else 'no message'}"


Wrong = Callable[..., str]
"""What a function was given, and found → why that cannot be used; "" where they can."""


def _guard(
    function: Callable[..., Any], origin: str, noun: str, wrong: Wrong, *, raises: bool = True
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
                f"{where(e, origin)}: {noun}= raised {first_line(e)}{_beyond(e, origin)}"
            ) from e
        if why := wrong(arguments, output):
            raise ExperimentError(f"{_defined(function, origin)}: {noun}= {why}")
        return output

    return wrapper


def _beyond(error: BaseException, origin: str) -> str:
    """The place that raised it, where that is not the experiment's own file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own_frames = frames_in(error, origin)
    if own_frames and own_frames[-1].filename == last.filename:
        return ""
    return f" (in {last.name}, {Path(last.filename).name} line {last.lineno})"


def _defined(function: Callable[..., Any], origin: str) -> str:
    """File and line at which a function starts."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename} line {code.co_firstlineno}" if code is not None else origin


def _must(right: Callable[[Any], bool], expected: str) -> Wrong:
    return lambda arguments, output: "" if right(output) else _not(expected, output)


def _not(expected: str, output: Any) -> str:
    got = "nothing" if output is None else f"{type(output).__name__} {str(output)[:60]!r}"
    return f"must return {expected}, got {got}"


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
    return "" if right else _not("a list of Figures", output)


def _trains(arm: Arm, origin: str, joints: dict[int, Joint]) -> Arm:
    changes: dict[str, Any] = {}
    if arm.measure is not None:
        changes["measure"] = _guard(arm.measure, origin, "measure", _measured)
    if isinstance(arm.train, Joint):
        if id(arm.train) not in joints:
            together = _guard(arm.train.train, origin, "train", _trained_together, raises=False)
            joints[id(arm.train)] = Joint(together)
        changes["train"] = joints[id(arm.train)]
    elif arm.derive is not None:
        derived = _must(lambda output: isinstance(output, xr.Dataset), "a Dataset")
        changes["derive"] = _guard(arm.derive, origin, "derive", derived, raises=False)
    elif arm.train is not None:
        changes["train"] = _guard(arm.train, origin, "train", _trained, raises=False)
    return dataclasses.replace(arm, **changes)


def _trained(arguments: Sequence[Any], output: Any) -> str:
    from assay.core.fit import Trained

    if not isinstance(output, Trained):
        return _not("what fit gives for its group, a Trained", output)
    runs, count = len(arguments[0]), len(output.diverged)
    return "" if count == runs else f"must return one row for each of {runs} runs, got {count}"


def _trained_together(arguments: Sequence[Any], output: Any) -> str:
    arms = arguments[0]
    if not isinstance(output, list | tuple) or len(output) != len(arms):
        return _not(f"a list with a Trained for each of {len(arms)} arms", output)
    pairs = zip(arms, output, strict=True)
    return next((why for runs, trained in pairs if (why := _trained([runs], trained))), "")
