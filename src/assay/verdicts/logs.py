"""Logs of evaluations as rows: Inspect's `.eval` and `.json`, and lm-evaluation-harness'
`samples_*.jsonl`, a folder of either. Neither library is needed.

A row is a sample of a log, with what the log says of its run and a number for each score. Epochs
are reduced as the log itself reduced them, so that means are those that Inspect reports. Of
several reducers or filters, each has rows of its own. Nothing else of a log is read.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
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
DAMAGE = (LookupError, TypeError, AttributeError, ValueError, OSError, EOFError, RuntimeError)

Row = dict[str, Any]


def read(path: Path) -> tuple[pd.DataFrame, list[str], list[Path]] | None:
    """Read a log, or all logs in a folder and in the folders in it; None where there is none.

    Returns: the rows; the columns that say of which run, reducer or filter a row is; the files.

    Raises:
        DataError: not-a-log, no-scores, not-json, needs-pyarrow, or a file that cannot be read.
    """
    inside = sorted({*path.glob("*"), *path.glob("*/*")}) if path.is_dir() else [path]
    found = {p: rows for p in inside if not p.is_dir() and (rows := _of_file(p))}
    if not found:
        return None
    every = [row for rows in found.values() for row in rows]
    frame = pd.DataFrame([{**about, **scores} for about, scores in every])
    levels = [x for x in dict.fromkeys(x for about, _ in every for x in about) if x != "sample"]
    frame[levels] = frame[levels].fillna("").astype(str)
    return frame, levels, [*found]


def _of_file(path: Path) -> list[tuple[Row, Row]]:
    """What each sample of a log belongs to, with its scores; nothing of what is no log."""
    try:
        if path.suffix == ".eval":
            return [*_of_inspect(_unzipped(path), str(path))]
        if name := SAMPLES.fullmatch(path.name):
            return [*_of_harness(path, name[1])]
        if path.suffix == ".json":
            log = from_json(contents(path), str(path))
            return [*_of_inspect(log, str(path))] if isinstance(log, dict) and "eval" in log else []
    except (*DAMAGE, zipfile.BadZipFile, zlib.error) as e:
        raise DataError("not-a-log", f"it is no log of an evaluation: {e}", str(path)) from None
    return []


def _of_inspect(log: Mapping[str, Any], at: str) -> Iterator[tuple[Row, Row]]:
    """The scores of each sample, as the log's reducer made them from its epochs."""
    run, reductions = log["eval"], log.get("reductions")
    if not reductions:
        message = "no score is reduced over epochs: the log is not finished, or has no scores"
        raise DataError("no-scores", message, at)
    given = {**(run.get("metadata") or {}), **(run.get("task_args") or {})}
    given |= {"model": run["model"], "task": run["task"]}
    about = {name: str(x) for name, x in given.items() if isinstance(x, str | int | float)}
    scores: dict[tuple[str, str], Row] = {}
    for r in reductions:
        for sample in r["samples"]:
            place = (str(sample["sample_id"]), str(r.get("reducer") or "mean"))
            scores.setdefault(place, {}).update(_numbers(r["scorer"], sample["value"]))
    for (sample_id, reducer), numbers in scores.items():
        yield {**about, "reducer": reducer, "sample": sample_id}, numbers


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
    data = contents(path)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        there = {info.filename: info for info in archive.infolist()}
        parts = [there["header.json"], *filter(None, (there.get("reductions.json"),))]
        header, *reductions = (from_json(_part(archive, data, x), str(path)) for x in parts)
    return {**header, "reductions": reductions[0] if reductions else None}


def _part(archive: zipfile.ZipFile, data: bytes, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > LARGEST:
        raise DataError("too-large", f"it has more than {LARGEST >> 20} MiB", info.filename)
    if info.compress_type != ZSTANDARD:
        return archive.read(info)
    try:
        import pyarrow
    except ModuleNotFoundError:
        message = "it is packed with zstd, which needs pyarrow: pip install pyarrow"
        raise DataError("needs-pyarrow", message, info.filename) from None
    name, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    start = info.header_offset + 30 + name + extra
    packed = pyarrow.BufferReader(data[start : start + info.compress_size])
    return bytes(pyarrow.CompressedInputStream(packed, "zstd").read(info.file_size))


def _of_harness(path: Path, task: str) -> Iterator[tuple[Row, Row]]:
    """The scores of each sample and filter. The harness names its folders after models."""
    for n, line in enumerate(text(path).splitlines(), 1):
        if sample := from_json(line, f"{path} line {n}") if line.strip() else None:
            about = {
                "model": path.parent.name,
                "task": task,
                "filter": sample.get("filter", "none"),
            }
            names = sample.get("metrics") or [name for name in sample if name != "doc_id"]
            scores = {x: sample[x] for x in names if isinstance(sample[x], bool | int | float)}
            yield {**about, "sample": str(sample["doc_id"])}, scores
