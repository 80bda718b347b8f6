"""Asked: what an experiment's own functions answer before anything is trained; what they raise is told with file and line."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Cost, Experiment


def asked(experiment: Experiment) -> Experiment:
    """Make `inputs` and `cost` of an experiment raise ExperimentError, in one line, where they raise or return the wrong thing."""
    named = experiment.origin or experiment.name
    changes: dict[str, Any] = {}
    if experiment.inputs is not None:
        changes["inputs"] = _told(experiment.inputs, named, "inputs", _digests, "{name: digest}, both texts")
    if experiment.cost is not None:
        changes["cost"] = _told(experiment.cost, named, "cost", lambda found: isinstance(found, Cost), "a Cost")
    return dataclasses.replace(experiment, **changes)


def where(error: BaseException, origin: str) -> str:
    """File and line of an error: the last place inside the experiment's own file, if there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename} line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    stem = Path(origin).name if origin.endswith(".py") else origin.rsplit(".", 1)[-1] + ".py"
    own = [f for f in frames if Path(f.filename).name == stem]
    return f"{own[-1].filename} line {own[-1].lineno}" if own else origin


def _told(function: Callable[..., Any], origin: str, what: str, right: Callable[[Any], bool], expected: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def told(*arguments: Any) -> Any:
        try:
            found = function(*arguments)
        except AssayError:
            raise  # it says what to do, such as fetching a model
        except Exception as e:
            first = (str(e) or "no message").splitlines()[0]
            raise ExperimentError(f"{where(e, origin)}: {what}= raised {type(e).__name__}: {first}") from e
        if not right(found):
            got = "nothing" if found is None else f"{type(found).__name__} {str(found)[:60]!r}"
            raise ExperimentError(f"{origin}: {what}= must return {expected}, got {got}")
        return found

    return told


def _digests(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(k, str) and isinstance(v, str) for k, v in found.items())
