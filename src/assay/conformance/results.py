"""Results as committed data: one JSON file per library and version, with the command and date that
made it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from assay.conformance.outcomes import Outcome
from assay.conformance.runner import Run
from assay.conformance.vectors import folder
from assay.core.errors import AssayError, DataError


def write(run: Run, name: str) -> str:
    """The name of the file that now holds these outcomes, in conformance/results; `name` is what
    --against was given.

    Raises: AssayError outside a checkout, where there is nothing to commit to.
    """
    require_checkout()
    page = {
        "peer": run.peer,
        "version": run.version,
        "command": f"assay conformance --against {name} --python PYTHON",
        "date": f"{datetime.now():%Y-%m-%d}",
        "environment": dict(run.environment),
        "outcomes": [_short(outcome) for outcome in run.outcomes],
    }
    place = (
        folder() / "results" / f"{re.sub(r'[^a-z0-9]+', '-', run.peer.lower())}-{run.version}.json"
    )
    place.parent.mkdir(exist_ok=True)
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
