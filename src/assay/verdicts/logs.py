"""Logs of evaluations as rows: Inspect's `.eval` and `.json`, and lm-evaluation-harness'
`samples_*.jsonl`, a folder of either. Neither library is needed.

A row is a sample of a log, with what the log says of its run and a number for each score. Epochs
are reduced as the log itself reduced them, so that means are those that Inspect reports. Nothing
else of a log is read.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from assay.errors import DataError
from assay.verdicts.files import LARGEST, contents, from_json, text

GRADES = {"c": 1.0, "i": 0.0, "p": 0.5, "n": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""What Inspect's grades are worth, by its own rules."""
SAMPLES = re.compile(r"samples_(.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")
"""The name of a file of lm-evaluation-harness: its task, and when it ran."""
ZSTANDARD = 93
"""The number of this compression in a zip file."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Log:
    """The rows of one log, or of several.

    Attributes:
        levels: columns that say of which run or filter a row is, all of them texts.
    """

    frame: pd.DataFrame
    levels: tuple[str, ...]
    files: tuple[Path, ...]


def read(path: Path) -> Log | None:
    """Read a log, or all logs in a folder and in the folders in it; None where there is none.

    Raises:
        DataError: not-a-log, no-scores, not-json, needs-pyarrow, or a file that cannot be read.
    """
    inside = sorted({*path.glob("*"), *path.glob("*/*")}) if path.is_dir() else [path]
    found = {p: rows for p in inside if not p.is_dir() and (rows := [*_rows(p)])}
    if not found:
        return None
    frame = pd.DataFrame([{**about, **scores} for rows in found.values() for about, scores in rows])
    levels = dict.fromkeys(name for rows in found.values() for about, _ in rows for name in about)
    named = [name for name in levels if name != "sample"]
    frame[named] = frame[named].fillna("").astype(str)
    return Log(frame, tuple(named), tuple(found))


def _rows(path: Path) -> Iterator[tuple[Row, Row]]:
    """What each sample of a log belongs to, and its scores."""
    if path.suffix == ".eval":
        yield from _of_inspect(_unzipped(path), str(path))
    elif name := SAMPLES.fullmatch(path.name):
        yield from _of_harness(path, name[1])
    elif path.suffix == ".json":
        log = from_json(contents(path), str(path))
        if isinstance(log, dict) and "eval" in log:
            yield from _of_inspect(log, str(path))


# ---- Inspect -------------------------------------------------------------------------------------


def _of_inspect(log: Mapping[str, Any], at: str) -> Iterator[tuple[Row, Row]]:
    """The scores of each sample, as the log's reducer made them from its epochs."""
    run, reductions = log.get("eval"), log.get("reductions")
    if not isinstance(run, dict):
        raise DataError("not-a-log", "it does not say what was evaluated", at)
    if not reductions:
        message = "no score is reduced over epochs: the log is not finished, or has no scores"
        raise DataError("no-scores", message, at)
    given = {**(run.get("metadata") or {}), **(run.get("task_args") or {})}
    about = {name: x for name, x in given.items() if isinstance(x, str | int | float)}
    about |= {"model": run.get("model"), "task": run.get("task")}
    times = Counter(r["scorer"] for r in reductions)
    scores: dict[str, Row] = {}
    for r in reductions:
        name = r["scorer"] if times[r["scorer"]] == 1 else f"{r['scorer']}_{r.get('reducer')}"
        for sample in r["samples"]:
            of = scores.setdefault(str(sample.get("sample_id")), {})
            of |= dict(_numbers(name, sample.get("value")))
    for sample_id, numbers in scores.items():
        yield {**about, "sample": sample_id}, numbers


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """A score as a number, NaN where it is none; a scorer with several has one column for each."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(f"{name}_{key}", part)
        return
    grade = str(value).lower()
    try:
        yield name, GRADES[grade] if grade in GRADES else float(value)
    except (TypeError, ValueError):
        yield name, math.nan


def _unzipped(path: Path) -> Row:
    """The header and the reduced scores of an `.eval` file."""
    data, at = contents(path), str(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "header.json" not in names:
                raise DataError("not-a-log", "it has no header.json, or is not finished", at)
            log = from_json(_member(archive, data, "header.json", at), at)
            if "reductions.json" in names:
                log["reductions"] = from_json(_member(archive, data, "reductions.json", at), at)
            return log
    except (zipfile.BadZipFile, EOFError, OSError) as e:
        raise DataError("not-a-log", f"it is not a log of Inspect, or damaged: {e}", at) from None


def _member(archive: zipfile.ZipFile, data: bytes, name: str, at: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > LARGEST:
        raise DataError("too-large", f"{name} has more than {LARGEST >> 20} MiB", at)
    if info.compress_type != ZSTANDARD:
        return archive.read(info)
    try:
        import pyarrow
    except ModuleNotFoundError:
        message = "it is packed with zstd, which needs pyarrow: pip install pyarrow"
        raise DataError("needs-pyarrow", message, at) from None
    name_length, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    start = info.header_offset + 30 + name_length + extra
    packed = pyarrow.BufferReader(data[start : start + info.compress_size])
    return pyarrow.CompressedInputStream(packed, "zstd").read(info.file_size)


# ---- lm-evaluation-harness -----------------------------------------------------------------------


def _of_harness(path: Path, task: str) -> Iterator[tuple[Row, Row]]:
    """A sample for each filter. The harness names its folders after models."""
    for n, line in enumerate(text(path).splitlines(), 1):
        at = f"{path} line {n}"
        sample = from_json(line, at) if line.strip() else {}
        if not isinstance(sample, dict) or (sample and "doc_id" not in sample):
            raise DataError("not-a-log", "it is no sample of lm-evaluation-harness", at)
        if sample:
            about = {
                "model": path.parent.name,
                "task": task,
                "filter": sample.get("filter", "none"),
            }
            names = sample.get("metrics") or [name for name in sample if name != "doc_id"]
            numbers = {name: sample.get(name) for name in names}
            yield (
                {**about, "sample": str(sample["doc_id"])},
                {
                    name: float(x)
                    for name, x in numbers.items()
                    if isinstance(x, bool | int | float)
                },
            )
