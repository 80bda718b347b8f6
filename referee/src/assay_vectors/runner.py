"""Running the vectors: on Assay in this process, on a peer by subprocess in the peer's own
environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import AssayError, DataError, nearest
from assay_vectors.adapters import protocol
from assay_vectors.functions import Functions
from assay_vectors.outcomes import Outcome, judge
from assay_vectors.vectors import LATEST, Vector, folder

TIMEOUT = 900.0
"""Seconds after which a peer is given up."""
LARGEST = 64 * 2**20
"""Bytes of a peer's answers."""
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}
"""No vector needs the network, so no peer gets to use it."""


@dataclass(frozen=True)
class Run:
    """The outcomes of one library at one version."""

    peer: str
    version: str
    outcomes: tuple[Outcome, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions of Python and what the library computes with."""


def run_assay(vectors: Sequence[Vector]) -> Run:
    """Assay on these vectors, through the same operations that a peer is asked for."""

    from assay_vectors.adapters.for_assay import OPERATIONS

    answers = {case["id"]: protocol.answer(case, OPERATIONS) for case in _cases(vectors)}
    return Run(
        "Assay", metadata.version("interp-assay"), _judged(vectors, answers), protocol.environment()
    )


def named(library: Functions, vectors: Sequence[Vector]) -> Run:
    """A library's functions on these vectors, in this process."""
    outcomes = tuple(library.judge(vector) for vector in vectors)
    return Run(library.peer, library.version, outcomes, protocol.environment())


def names() -> tuple[str, ...]:
    """The peers that conformance/adapters of a checkout has an adapter for; none once
    installed."""
    files = sorted((folder() / "adapters").glob("for_*.py"))
    return tuple(
        name
        for path in files
        if (name := path.stem.removeprefix("for_").replace("_", "-")) != "assay"
    )


def adapter(name: str) -> Path:
    """The adapter of a peer by its name, or the file itself where a path to one is given. Raises:
    AssayError for neither."""
    if name.endswith(".py"):
        if Path(name).is_file():
            return Path(name).resolve()
        peers = "".join(f", or one of {', '.join(names())}" if names() else "")
        raise AssayError(f"no adapter at {name}; give a file{peers}")
    if not names():
        raise AssayError(
            f"the adapters of peers lie in a checkout's conformance/adapters; this is an installed "
            f"Assay: give the file, --against for_{name.replace('-', '_')}.py"
        )
    if name not in names():
        raise AssayError(
            f"no adapter for {name!r}; {nearest(name, names())}; your own: --against my_adapter.py"
        )
    return folder() / "adapters" / f"for_{name.replace('-', '_')}.py"


def against(name: str, python: Path, vectors: Sequence[Vector], timeout: float = TIMEOUT) -> Run:
    """A peer on these vectors, run by `python`, the interpreter of an environment that has the peer
    installed.

    Raises: AssayError, one line, for an unknown peer, an interpreter that cannot import it, a
    crash, too long a run, or answers that are none.
    """
    script = adapter(name)
    with tempfile.TemporaryDirectory() as room:
        request, answers = Path(room) / "request.json", Path(room) / "answers.json"
        request.write_text(json.dumps({"cases": _cases(vectors)}), encoding="utf-8")
        # where an adapter finds `protocol`
        env = {
            **os.environ,
            **QUIET,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(Path(protocol.__file__).parent), os.environ.get("PYTHONPATH")])
            ),
        }
        command = [str(python), str(script), str(request), str(answers)]
        try:
            completed = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=env,
                cwd=room,
            )
        except subprocess.TimeoutExpired:
            raise AssayError(
                f"{name} did not answer within {timeout:.0f} s; nothing is known about it"
            ) from None
        except OSError as error:
            raise AssayError(
                f"cannot run {python} ({error.strerror}); give --python the interpreter of an "
                f"environment that has {name}"
            ) from error
        if completed.returncode != 0:
            raise AssayError(_last(name, python, completed))
        return _read(name, answers, vectors)


def _cases(vectors: Sequence[Vector]) -> list[dict[str, Any]]:
    return [
        {"id": f"{vector.id}/{i}", "operation": vector.operation, "inputs": case.inputs}
        for vector in vectors
        for i, case in enumerate(vector.cases)
    ]


def _judged(
    vectors: Sequence[Vector], answers: Mapping[str, Mapping[str, Any]]
) -> tuple[Outcome, ...]:
    return tuple(judge(v, [answers[f"{v.id}/{i}"] for i in range(len(v.cases))]) for v in vectors)


def _last(name: str, python: Path, completed: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in completed.stderr.splitlines() if line.strip()]
    message = lines[-1].strip()[:300] if lines else "it said nothing"
    if (
        "ModuleNotFoundError" in message
        or "ImportError" in message
        or "PackageNotFoundError" in message
    ):
        return (
            f"{python} cannot import {name} ({message}); install it in that environment, or give "
            "another --python"
        )
    return (
        f"the adapter of {name} ended with exit code {completed.returncode} ({message}); nothing "
        "is known "
        "about it"
    )


def _read(name: str, path: Path, vectors: Sequence[Vector]) -> Run:
    try:
        if not path.exists():
            raise ValueError("no file was written")
        page = json.loads(foreign.read(path, "answers", LARGEST))
        answers = page["answers"]
        missing = [
            case["id"] for case in _cases(vectors) if not isinstance(answers.get(case["id"]), dict)
        ]
        if missing:
            raise ValueError(f"no answer to {missing[0]}")
        return Run(
            str(page["peer"]),
            str(page["version"]),
            _judged(vectors, answers),
            dict(page.get("environment", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError) as error:
        message = f"{type(error).__name__}: {error}"
        raise AssayError(
            f"the answers of {name} cannot be read ({' '.join(message.split())[:200]})"
        ) from error


def write(run: Run, name: str) -> str:
    """The name of the file that now holds these outcomes, in conformance/results; `name` is what
    --against was given.

    Raises: AssayError outside a checkout, where there is nothing to commit to.
    """
    require_checkout()
    page = {
        "peer": run.peer,
        "version": run.version,
        "vectors": LATEST,
        "command": f"assay conformance --against {name} --python PYTHON",
        "date": f"{datetime.now():%Y-%m-%d}",
        "environment": dict(run.environment),
        "outcomes": [_short(outcome) for outcome in run.outcomes],
    }
    place = (
        folder() / "results" / f"{re.sub(r'[^a-z0-9]+', '-', run.peer.lower())}-{run.version}.json"
    )
    slug = place.stem.removesuffix(f"-{run.version}")
    for old in place.parent.glob(f"{slug}-[0-9]*.json"):
        old.unlink()
    lines = ",\n".join(
        f"  {json.dumps(entry, ensure_ascii=False)}" for entry in page.pop("outcomes")
    )
    head = json.dumps(page, ensure_ascii=False, indent=1)[:-2]
    place.write_text(f'{head},\n "outcomes": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    return place.name


def require_checkout() -> None:
    """Refuse to record where there is nothing to commit to. Raises: AssayError outside a
    checkout."""
    if not (folder().parent / "pyproject.toml").exists():
        raise AssayError(
            "--record writes into a checkout's conformance/results; this is an installed Assay"
        )


def read() -> list[dict[str, Any]]:
    """All recorded results, by name of their file. Raises: DataError for a file that is none."""
    pages = []
    for path in sorted((folder() / "results").glob("*.json")):
        try:
            page = json.loads(path.read_text(encoding="utf-8"))
            if not {"peer", "version", "command", "date", "outcomes"} <= page.keys():
                raise ValueError("a field is missing")
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} is not a record of conformance results ({error}); make it again with "
                "--record"
            ) from error
        pages.append(page)
    return pages


def _short(outcome: Outcome) -> Mapping[str, Any]:
    """Without what the vector says already."""
    entry = {
        "id": outcome.id,
        "outcome": outcome.outcome,
        "got": list(outcome.got),
        "why": outcome.why,
    }
    return {
        name: value
        for name, value in entry.items()
        if value and not (name == "got" and outcome.outcome == "not offered")
    }
