"""Verbs that are found by being there: each function of `assay.verbs.known` as a command, which
prints the fields of its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from assay.cli import printing
from assay.cli.options import Output
from assay.core.schema import to_json


def command(verb: Callable[..., Any]) -> Callable[..., int]:
    """Make a command of a verb: it takes what the verb takes, and `--json`."""

    @wraps(verb)
    def run(*args: Any, output: Output = Output(), **kwargs: Any) -> int:  # noqa: B008
        result = verb(*args, **kwargs)
        printing.emit(result) if output.json else show(result)
        return 0

    signature = inspect.signature(verb, eval_str=True)
    how = inspect.Parameter(
        "output", inspect.Parameter.KEYWORD_ONLY, default=Output(), annotation=Output
    )
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), how])  # type: ignore[attr-defined]
    return run


def show(result: Any) -> None:
    """Print each field of a result on a line of its own, or the result where it is a single
    value."""
    plain = to_json(result)
    fields = plain.items() if isinstance(plain, dict) else [("", plain)]
    for name, value in fields:
        printing.say(f"{name}: {value}" if name else str(value))
