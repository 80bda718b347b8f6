"""Running the vectors: by their own lines of NumPy, on functions in this process, or on
a library in a process of its own; and recorded results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from assay_vectors.adapters import protocol
from assay_vectors.errors import VectorsError, nearest
from assay_vectors.functions import Functions
from assay_vectors.outcomes import Outcome, judge
from assay_vectors.text import reproduction
from assay_vectors.vectors import LATEST, Vector, folder

ADAPTERS = Path(protocol.__file__).parent
TIMEOUT = 900.0
"""Seconds that a library may take."""
LARGEST = 64 * 2**20
"""Bytes that a library's answers may have."""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}
"""No vector needs a network."""


@dataclass(frozen=True)
class Run:
    """The outcomes of one library at one version."""

    peer: str
    version: str
    outcomes: tuple[Outcome, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions of Python and of what the library computes with."""


def run_reference(vectors: Sequence[Vector]) -> Run:
    """Compute the answers by the vectors' own lines of NumPy."""
    outcomes = [
        judge(vector, [_computed(vector, case) for case in range(len(vector.cases))])
        for vector in vectors
    ]
    return Run("NumPy", np.__version__, tuple(outcomes), protocol.environment())


def _computed(vector: Vector, case: int) -> dict[str, Any]:
    if not vector.numpy:
        return {"not_offered": protocol.NO_FUNCTION}
    names: dict[str, Any] = {}
    exec("\n".join(reproduction(vector, case)[:-1]), names)
    expected = vector.cases[case].expected
    return {"value": protocol.plain({name: names[name] for name in expected})}


def run_functions(functions: Functions, vectors: Sequence[Vector]) -> Run:
    """Call functions on these vectors, in this process."""
    outcomes = tuple(functions.judge(vector) for vector in vectors)
    return Run(functions.peer, functions.version, outcomes, protocol.environment())


def libraries() -> tuple[str, ...]:
    """List the libraries that have an adapter."""
    stems = sorted(path.stem for path in ADAPTERS.glob("for_*.py"))
    return tuple(stem.removeprefix("for_").replace("_", "-") for stem in stems)


def adapter(name: str) -> Path:
    """Return the adapter of a library by its name, or the file if a path is given.
    Raises: VectorsError for neither."""
    if name.endswith(".py"):
        if Path(name).is_file():
            return Path(name).resolve()
        raise VectorsError(f"no adapter at {name}; give a file, or one of {', '.join(libraries())}")
    if name not in libraries():
        raise VectorsError(
            f"no adapter for {name!r}; {nearest(name, libraries())} Your own adapter: "
            "--against my_adapter.py; your functions: --against module:name"
        )
    return ADAPTERS / f"for_{name.replace('-', '_')}.py"


def run_library(
    name: str,
    vectors: Sequence[Vector],
    python: Path | str = sys.executable,
    timeout: float = TIMEOUT,
) -> Run:
    """Run a library on these vectors; `python` is the interpreter of an environment
    that has it.

    Raises: VectorsError, one line, for an unknown library, an interpreter that cannot
    import it, a crash, a run that takes too long, or answers that cannot be read.
    """
    script = adapter(name)
    # adapters import `protocol` from there
    paths = [str(ADAPTERS), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, **OFFLINE, "PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryDirectory() as room:
        request, answers = Path(room) / "request.json", Path(room) / "answers.json"
        request.write_text(json.dumps({"cases": _cases(vectors)}), encoding="utf-8")
        try:
            completed = subprocess.run(
                [str(python), str(script), str(request), str(answers)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=env,
                cwd=room,
            )
        except subprocess.TimeoutExpired:
            raise VectorsError(
                f"{name} did not answer within {timeout:.0f} s, so nothing is known about it"
            ) from None
        except OSError as error:
            raise VectorsError(
                f"cannot run {python} ({error.strerror}); give --python the "
                f"interpreter of an environment that has {name}"
            ) from error
        if completed.returncode != 0:
            raise VectorsError(_failure(name, python, completed))
        return _read(name, answers, vectors)


def _cases(vectors: Sequence[Vector]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{vector.id}/{i}",
            "operation": vector.operation,
            "inputs": case.inputs,
        }
        for vector in vectors
        for i, case in enumerate(vector.cases)
    ]


def _failure(name: str, python: Path | str, completed: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in completed.stderr.splitlines() if line.strip()]
    message = lines[-1].strip()[:300] if lines else "without a message"
    if re.search("ModuleNotFoundError|ImportError|PackageNotFoundError", message):
        return (
            f"{python} cannot import {name} ({message}); install it there, or give "
            "--python the interpreter of an environment that has it"
        )
    return (
        f"the adapter of {name} ended with exit code {completed.returncode} "
        f"({message}), so nothing is known about it"
    )


def _read(name: str, path: Path, vectors: Sequence[Vector]) -> Run:
    try:
        if not path.is_file():
            raise ValueError("no file was written")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        page = json.loads(path.read_bytes())
        answers = page["answers"]
        cases = [case["id"] for case in _cases(vectors)]
        if missing := [id for id in cases if not isinstance(answers.get(id), dict)]:
            raise ValueError(f"no answer to {missing[0]}")
        outcomes = [
            judge(vector, [answers[f"{vector.id}/{i}"] for i in range(len(vector.cases))])
            for vector in vectors
        ]
        environment = dict(page.get("environment", {}))
        peer, version = str(page["peer"]), str(page["version"])
        return Run(peer, version, tuple(outcomes), environment)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise VectorsError(f"the answers of {name} cannot be read ({message})") from error


def write_result(run: Run, name: str) -> Path:
    """Write outcomes to a file of results/, in place of those of an earlier version;
    `name` is what --against was given. Raises: VectorsError outside a checkout."""
    require_checkout()
    page = {
        "peer": run.peer,
        "version": run.version,
        "vectors": LATEST,
        "command": f"assay-vectors --against {name} --python PYTHON",
        "date": f"{datetime.now():%Y-%m-%d}",
        "environment": dict(run.environment),
    }
    slug = re.sub(r"[^a-z0-9]+", "-", run.peer.lower())
    place = folder() / "results" / f"{slug}-{run.version}.json"
    for old in place.parent.glob(f"{slug}-[0-9]*.json"):
        old.unlink()
    entries = [_short(outcome) for outcome in run.outcomes]
    lines = (f"  {json.dumps(entry, ensure_ascii=False)}" for entry in entries)
    head = json.dumps(page, ensure_ascii=False, indent=1)[:-2]
    outcomes = ",\n".join(lines)
    place.write_text(f'{head},\n "outcomes": [\n{outcomes}\n ]\n}}\n', "utf-8")
    return place


def require_checkout() -> None:
    """Raise VectorsError if this is not a checkout, where results can be committed."""
    if not (folder() / "pyproject.toml").exists():
        raise VectorsError(
            "--record writes into the folder results/ of a checkout; this is an installed package"
        )


def results() -> list[dict[str, Any]]:
    """Read all recorded results. Raises: VectorsError for a file that is not one."""
    pages = []
    for path in sorted((folder() / "results").glob("*.json")):
        try:
            page = json.loads(path.read_text(encoding="utf-8"))
            if not {"peer", "version", "command", "date", "outcomes"} <= page.keys():
                raise ValueError("a field is missing")
        except (OSError, ValueError, AttributeError) as error:
            raise VectorsError(
                f"{path} does not hold results ({error}); make it again with --record"
            ) from error
        pages.append(page)
    return pages


def recorded_adapter(page: Mapping[str, Any]) -> Path:
    """Return the adapter that made a recorded result."""
    words = page["command"].split()
    return adapter(words[words.index("--against") + 1])


def _short(outcome: Outcome) -> dict[str, Any]:
    """Leave out what the vector already has, and what is empty."""
    entry = asdict(outcome)
    names = ["id", "outcome", "got", "why"]
    if outcome.outcome == "not offered":
        names.remove("got")
    return {name: entry[name] for name in names if entry[name]}
