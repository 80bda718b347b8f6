"""What all adapters share: read the request, answer each case, write the answers.
Standard library only.

Run as: PYTHON for_NAME.py request.json answers.json. The request is {"cases": [{"id",
"operation", "inputs"}]}; the answers are {"peer", "version", "environment", "answers":
{id: {"value"} or {"error"} or {"not_offered"}}}."""

import json
import math
import platform
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

Operations = Mapping[str, Callable[..., Mapping[str, Any]]]
NO_FUNCTION = "no such function"
"""Why an operation that an adapter does not have is not offered."""


class NotOffered(Exception):
    """The library has nothing for this operation or input; the message says what it has
    instead."""


def answer(case: Mapping[str, Any], operations: Operations) -> dict[str, Any]:
    """Answer one case by a value, an error, or that it is not offered."""
    operation = operations.get(case["operation"])
    if operation is None:
        return {"not_offered": NO_FUNCTION}
    try:
        return {"value": plain(operation(**case["inputs"]))}
    except NotOffered as missing:
        return {"not_offered": str(missing)}
    except Exception as error:  # whatever a library raises is its answer
        message = " ".join(str(error).split())[:300]
        return {"error": f"{type(error).__name__}: {message}"}


def serve(peer: str, package: str, operations: Operations) -> None:
    """Answer the request file named on the command line; `package` is the distribution
    whose version is reported."""
    request, answers = Path(sys.argv[1]), Path(sys.argv[2])
    cases = json.loads(request.read_text(encoding="utf-8"))["cases"]
    response = {
        "peer": peer,
        "version": metadata.version(package),
        "environment": environment(),
        "answers": {case["id"]: answer(case, operations) for case in cases},
    }
    answers.write_text(json.dumps(response, allow_nan=False), encoding="utf-8")


def environment() -> dict[str, str]:
    """Return the versions that numbers may depend on."""
    versions = {"python": platform.python_version()}
    for package in ("torch", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def plain(value: Any) -> Any:
    """Turn arrays, tensors and numbers into what JSON can hold: lists and floats, null
    for NaN, a string for an infinity."""
    if hasattr(value, "tolist"):
        value = (value.detach() if hasattr(value, "detach") else value).tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
