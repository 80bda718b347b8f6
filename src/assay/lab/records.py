"""Records: a JSON file per experiment, and one per preset that lies elsewhere, from which verdicts
are judged again without training.

A record holds the commit, spec keys, claims key, the small measures (at most 8192 numbers a run, in
single precision, a little below 1 in that of their distance from 1), the verdicts, and what it cost
on which machine. It lies in the checkout's `records/`, in the installed package, or beside a user's
own file."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import DataError, ExperimentError
from assay.core.experiment import Experiment
from assay.lab import sealed
from assay.lab.origin import beside, in_file

LARGEST = 64 * 2**20
"""Bytes of a record."""
ARMS = b',\n "arms": {'
"""Where its measures begin."""
END = b"\n }\n}"
"""How it ends; no arm holds a line break, so a file that was cut short does not."""


def path(name: str, origin: str = "") -> Path:
    """Where the record of an experiment lies, or would be written."""
    if in_file(origin):
        return beside(Path(origin)) / "records" / f"{name}.json"
    checkout = Path(__file__).resolve().parents[3]
    folder = (
        checkout / "records"
        if (checkout / "pyproject.toml").exists()
        else Path(__file__).resolve().parents[1] / "records"
    )
    return folder / f"{name}.json"


def read(name: str, origin: str = "", *, measures: bool = True) -> dict[str, Any] | None:
    """The committed record of an experiment, or None; without its `measures`, the arms, in a tenth
    of the time.

    Raises: NewerError for one of a later version; ExperimentError when the file is not a record.
    """
    there = path(name, origin)
    try:
        state = there.stat()
        record = _parsed(there, state.st_mtime_ns, state.st_size) if measures else _head(there)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, DataError) as e:
        raise ExperimentError(
            f"{there} is not a record ({type(e).__name__}); write it with: {_written_by(name)}"
        ) from e
    sealed.known(there, record)
    if not isinstance(record, dict) or "verdicts" not in record:
        raise ExperimentError(
            f"{there} is not a record: it has no verdicts; write it with: {_written_by(name)}"
        )
    return record


def elsewhere(name: str, origin: str = "") -> tuple[str, ...]:
    """The presets beside an experiment's default that have a record of their own: the same claims
    on another text, model or size.

    A copy of the experiment's own record under another name is none of them. Raises:
    ExperimentError when a file is not a record."""
    files = sorted(p.name for p in path(name, origin).parent.glob(f"{name}.*.json"))
    presets = (file[len(name) + 1 : -5] for file in files if not file.endswith(".card.json"))
    return tuple(
        p for p in presets if (read(f"{name}.{p}", origin, measures=False) or {}).get("preset") == p
    )


def _written_by(name: str) -> str:
    experiment, _, preset = name.partition(".")
    return f"assay check {experiment}{f' --preset {preset}' if preset else ''} --record"


@functools.lru_cache(maxsize=2)
def _parsed(there: Path, changed: int, size: int) -> Any:
    """The file's JSON: a plan asks for it once for every arm. Nobody changes what they are
    given."""
    return json.loads(foreign.read(there, "a record", LARGEST))


def _head(there: Path) -> Any:
    """The file's JSON up to the arms, which come last and are nearly all of it; a line break cannot
    stand inside a JSON text."""
    with foreign.regular(there, "a record", LARGEST).open("rb") as file:
        head = b""
        while ARMS not in head and (more := file.read(2**16)):
            head += more
        file.seek(max(file.tell(), there.stat().st_size - 64))
        whole = (
            (head + file.read()).rstrip().endswith(END)
        )  # as written whole; any other is read to its end
    before, arms, _ = head.partition(ARMS)
    return json.loads(before + b"}" if arms and whole else foreign.read(there, "a record", LARGEST))


def name_of(experiment: Experiment, preset: str = "default") -> str:
    """The name of the record of a preset: the experiment's, and for one that lies elsewhere
    `NAME.PRESET`; the others share one."""
    return f"{experiment.name}.{preset}" if preset in experiment.elsewhere else experiment.name


def of(
    experiment: Experiment, preset: str = "default", *, measures: bool = True
) -> dict[str, Any] | None:
    """The committed record of a preset, or None, as `read` gives it. Raises: ExperimentError when
    the file is not a record."""
    return read(name_of(experiment, preset), experiment.origin, measures=measures)


def cost_per_run(experiment: Experiment, preset: str = "default") -> dict[str, float]:
    """CPU-seconds per run of each arm, as recorded; empty without a record."""
    return (of(experiment, preset, measures=False) or {}).get("cost", {})


def bytes_per_run(experiment: Experiment, preset: str = "default") -> dict[str, float]:
    """Bytes on disk per run of each arm, as recorded; empty without a record."""
    return (of(experiment, preset, measures=False) or {}).get("bytes", {})
