"""Records: two files per experiment, and two per preset that asks elsewhere, from which verdicts
are judged again without training.

NAME.json is there to be read: the commit, claims key, verdicts, and what it cost on which machine.
NAME.safetensors.xz has the rest: the small measures (at most 8192 numbers a run, in single
precision, a little below 1 in that of their distance from 1), each arm's specs, and all that was
computed of each statement. They are in `records/`, of the checkout or of the installed package that
has the experiment, or next to a user's own file; of presets that ask elsewhere a wheel has the JSON
alone."""

from __future__ import annotations

import functools
import json
import lzma
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import DataError, ExperimentError
from assay.core.experiment import Experiment
from assay.lab import catalogue
from assay.lab.store import atomic

LARGEST = 64 * 2**20
"""Bytes of either file of a record."""
UNPACKED = 2**28
"""Bytes of its measures, unpacked."""
WORKING = 2**27
"""Bytes of memory that unpacking may take besides them."""
WORDS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 2, "lp": 2, "pb": 2}]
"""How measures are compressed: as words of four bytes, which single precision has."""
NUMBERS = ("outcome", "reason", "estimate", "low", "high")
VERDICT = (
    *("text", "arm", "kind", *NUMBERS, "n", "unit", "threshold"),
    *("published", "price", "warning", "notes", "edition"),
)
FINDING = ("text", "estimate", "low", "high", "n", "unit", "curve")
"""What the JSON file has of an arm that a claim is asked of, of a verdict and of an estimate."""
ELSEWHERE = "an installed Assay has those of default presets alone, its repository has all"
"""Why a record has no measures here."""


def carried(name: str, origin: str = "") -> bool:
    """Whether the measures of a record are here: False of a preset that asks elsewhere, where the
    distribution that has the experiment was installed from a wheel."""
    record_path = catalogue.record_path(name, origin)
    return "." not in record_path.stem or not record_path.exists() or arrays(record_path).exists()


def read(name: str, origin: str = "", *, measures: bool = True) -> dict[str, Any] | None:
    """The committed record of an experiment, or None; without its `measures` what its JSON file
    says, in a tenth of the time.

    Raises: NewerError for one of a later version; ExperimentError when a file of it is missing,
    damaged or not that of a record.
    """
    return read_file(catalogue.record_path(name, origin), _written_by(name), measures=measures)


def read_file(
    record_path: Path, written_by: str, *, measures: bool = True
) -> dict[str, Any] | None:
    """The record in this file and the one next to it, as `read` gives it; `written_by` is what to
    type to write both. Raises: as `read`."""
    try:
        record_path.stat()
        record = json.loads(foreign.read(record_path, "a record", LARGEST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, DataError) as e:
        raise ExperimentError(
            f"{record_path} is not a record ({type(e).__name__}); write it with: {written_by}"
        ) from e
    atomic.known(record_path, record)
    if not isinstance(record, dict) or "verdicts" not in record:
        raise ExperimentError(
            f"{record_path} is not a record: it has no verdicts; write it with: {written_by}"
        )
    digest = record.pop("sha256", "")
    if not measures:
        return record
    try:
        state = arrays(record_path).stat()
        whole = {**record, **_unpacked(record_path, digest, state.st_mtime_ns, state.st_size)}
        if brief(whole) != record:
            raise DataError(
                f"{record_path} was changed by hand: {arrays(record_path).name} says otherwise"
            )
    except FileNotFoundError as e:
        missing = f"{arrays(record_path)} is missing, which has the measures of {record_path.name}"
        typed = f"write both with: {written_by}"
        raise ExperimentError(
            f"{missing}; {ELSEWHERE if '.' in record_path.stem else typed}"
        ) from e
    except (OSError, LookupError, TypeError, AttributeError, DataError) as e:
        why = e if isinstance(e, DataError) else f"{arrays(record_path)} is of no record ({e!r})"
        raise ExperimentError(f"{why}; write both with: {written_by}") from e
    return whole


def arrays(there: Path) -> Path:
    """The file of a record's measures, by its JSON file."""
    return there.with_suffix(".safetensors.xz")


def brief(record: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of a record's JSON file: verdicts and estimates in short, names of measures."""
    verdicts = [
        _only(VERDICT, v)
        | {
            role: {arm: _only(NUMBERS, c) for arm, c in v[role].items()}
            for role in ("controls", "planted", "violations")
            if role in v
        }
        for v in record["verdicts"]
    ]
    return {
        **record,
        "verdicts": verdicts,
        "findings": [
            {k: v for k, v in _only(FINDING, f).items() if k != "curve" or v}
            for f in record["findings"]
        ],
        "arms": {
            arm: {"runs": len(a["specs"]), "measures": sorted(a["measures"]["variables"])}
            for arm, a in record["arms"].items()
        },
    }


def elsewhere(name: str, origin: str = "") -> tuple[str, ...]:
    """The presets other than an experiment's default that have a record of their own: the same
    claims on another text, model or size.

    A copy of the experiment's own record under another name is none of them. Raises:
    ExperimentError when a file is not a record."""
    files = sorted(
        p.name for p in catalogue.record_path(name, origin).parent.glob(f"{name}.*.json")
    )
    presets = (file[len(name) + 1 : -5] for file in files)
    return tuple(
        p for p in presets if (read(f"{name}.{p}", origin, measures=False) or {}).get("preset") == p
    )


def _written_by(name: str) -> str:
    experiment, _, preset = name.partition(".")
    return f"assay verify {experiment}{f' --preset {preset}' if preset else ''} --record"


def _only(keys: Sequence[str], statement: Mapping[str, Any]) -> dict[str, Any]:
    return {key: statement[key] for key in keys if key in statement}


def pack(record: Mapping[str, Any]) -> bytes:
    """What the JSON file leaves out of a record: a safetensors file, compressed; equal records give
    equal bytes."""
    from assay.lab.store.runs import pack

    content = {key: record[key] for key in ("verdicts", "findings", "arms")}
    values = {
        f"{name}/{arm}": v["values"]
        for arm, a in record["arms"].items()
        for name, v in a["measures"]["variables"].items()
    }
    return lzma.compress(
        pack(values, json.dumps(content, default=lambda values: values.dtype.str)), filters=WORDS
    )


@functools.lru_cache(maxsize=2)
def _unpacked(there: Path, digest: str, changed: int, size: int) -> dict[str, Any]:
    """What `pack` wrote: a plan asks for it once for every arm. What is returned is not to be
    changed."""
    from assay.lab.store.runs import unpack  # which loads numpy: `assay list` needs none

    packed = foreign.read(arrays(there), "the measures of a record", LARGEST)
    if sha256(packed).hexdigest() != digest:
        raise DataError(f"{arrays(there)} is damaged, or of another record than {there.name}")
    try:
        reader = lzma.LZMADecompressor(memlimit=WORKING)
        data = reader.decompress(packed, max_length=foreign.limit(UNPACKED))
        foreign.within(len(data) + (not reader.eof), UNPACKED, arrays(there), "bytes unpacked")
        values, text = unpack(data)
        content: dict[str, Any] = json.loads(text)
        for arm, a in content["arms"].items():
            for name, v in a["measures"]["variables"].items():
                v["values"] = values[f"{name}/{arm}"]
    except DataError:
        raise
    except Exception as e:  # its author also wrote its hash: safetensors and lzma raise theirs
        raise DataError(f"{arrays(there)} has no measures ({type(e).__name__})") from e
    return content


def name_of(experiment: Experiment, preset: str = "default") -> str:
    """The name of the record of a preset: the experiment's, and for one that asks elsewhere
    `NAME.PRESET`; the others share one."""
    return f"{experiment.name}.{preset}" if preset in experiment.elsewhere else experiment.name


def load_record(
    experiment: Experiment, preset: str = "default", *, measures: bool = True
) -> dict[str, Any] | None:
    """The committed record of a preset, or None, as `read` gives it. Raises: ExperimentError when
    the file is not a record."""
    return read(name_of(experiment, preset), experiment.origin, measures=measures)


def cost_per_run(experiment: Experiment, preset: str = "default") -> dict[str, float]:
    """CPU-seconds per run of each arm, as recorded; empty without a record."""
    return (load_record(experiment, preset, measures=False) or {}).get("cost", {})
