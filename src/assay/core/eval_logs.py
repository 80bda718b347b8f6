"""Logs of evaluations as tables: Inspect's `.eval` and `.json`, and lm-evaluation-harness'
`samples_*.jsonl`. One row for each sample and epoch: model, task, its arguments, the settings of
generation, hashes of the prompt and the like, the answers that were read from the output, and a
column for each score. Neither library is needed."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import foreign
from assay.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 256 * 2**20
"""Bytes of a log, and of a part of one that is read."""
LETTERS = {
    **{"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0},
    **{"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0},
}
"""What Inspect's grades are worth, by its own rules."""
SAMPLES = re.compile(r"samples_(.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")
"""The name of a file of lm-evaluation-harness: its task, and when it ran."""
OF_HARNESS = frozenset(("doc_id", "doc_hash", "prompt_hash", "target_hash", "filter", "metrics"))
"""The fields of a line of lm-evaluation-harness that are no measures."""


def is_log(path: Path) -> bool:
    """Tell whether a path is a log of an evaluation, or a folder with some."""
    if path.is_dir():
        return bool(_logs(path))
    is_named_so = path.suffix == ".eval" or SAMPLES.fullmatch(path.name) is not None
    return is_named_so or (path.suffix == ".json" and _is_inspect_json(path))


def read(path: Path, arm_column: str) -> pd.DataFrame:
    """Read a log, or all logs in a folder, with a column of arms: the models where they differ,
    else the tasks, else arguments of the task. Raises: DataError."""
    import pandas as pd

    rows = [row for log in (_logs(path) if path.is_dir() else [path]) for row in _rows(log)]
    if not rows:
        raise DataError(f"{path} has no scored samples")
    frame = pd.DataFrame(rows)
    frame = frame.loc[:, frame.notna().any()]
    if arm_column == "arm":
        about = [c for c in frame.columns if c in ("model", "task") or c.startswith("task ")]
        differ = [c for c in about if frame[c].nunique(dropna=False) > 1] or ["model"]
        frame.insert(0, "arm", frame[differ].astype(str).agg(" ".join, axis=1))
        frame = frame.drop(columns=differ)
    return frame


def _logs(folder: Path) -> list[Path]:
    paths = [*folder.glob("*"), *folder.glob("*/samples_*.jsonl")]
    return sorted(p for p in paths if p.is_file() and is_log(p))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".jsonl":
        yield from _of_harness(path)
        return
    header, samples = _inspect_json(path) if path.suffix == ".json" else _inspect_eval(path)
    spec = header.get("eval")
    if not isinstance(spec, Mapping):
        raise DataError(f"{path} is not a log of Inspect: it does not say what was evaluated")
    arguments = spec.get("task_args") or {}
    about = {"model": str(spec.get("model")), "task": str(spec.get("task"))}
    about |= {f"task {k}": str(v) for k, v in arguments.items() if isinstance(v, str | int | float)}
    about |= {"solver": " ".join(_solvers(header.get("plan") or {}))}
    about |= _settings(spec.get("model_generate_config") or {})
    for sample in samples:
        place = {"sample": str(sample.get("id")), "epoch": int(sample.get("epoch") or 1)}
        place |= {"input_hash": _hashed(sample.get("input"))}
        scores = sample.get("scores") or {}
        yield {**about, **place, **_answers(scores), **_scores(scores)}


def _solvers(plan: Mapping[str, Any]) -> Iterator[str]:
    """The steps of a plan, each with its parameters, such as the text of a system message."""
    for step in plan.get("steps") or []:
        parameters = json.dumps(step.get("params") or {}, sort_keys=True)
        yield f"{step.get('solver')} {parameters}"


def _answers(scores: Mapping[str, Any]) -> dict[str, str]:
    """The answers that scorers read from the output of a sample."""
    read = {k: v.get("answer") for k, v in scores.items() if isinstance(v, Mapping)}
    return {f"{name}_answer": answer for name, answer in read.items() if isinstance(answer, str)}


def _settings(of: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of generation, those that are texts, numbers, yes or no, or lists of these."""
    lists = {k: json.dumps(v) for k, v in of.items() if isinstance(v, list)}
    return {k: v for k, v in of.items() if isinstance(v, str | int | float)} | lists


def _hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a sample as numbers, NaN for what is none; of a scorer with several numbers,
    one column each."""
    numbers: dict[str, float] = {}
    for name, score in scores.items():
        value = score.get("value") if isinstance(score, Mapping) else score
        if isinstance(value, Mapping):
            numbers |= {f"{name}_{key}": _number(inner) for key, inner in value.items()}
        elif isinstance(value, list):
            numbers |= {f"{name}_{i}": _number(inner) for i, inner in enumerate(value)}
        else:
            numbers[name] = _number(value)
    return numbers


def _number(value: Any) -> float:
    """A score as a number, by Inspect's own rules."""
    if isinstance(value, str):
        if (grade := LETTERS.get(value, LETTERS.get(value.lower()))) is not None:
            return grade
        try:
            return float(value)
        except ValueError:
            return math.nan
    return float(value) if isinstance(value, bool | int | float) else math.nan


def _is_inspect_json(path: Path) -> bool:
    """Whether a file begins as Inspect's logs in JSON do."""
    try:
        with path.open("rb") as file:
            return b'"eval"' in file.read(2_000)
    except OSError:
        return False


def _inspect_json(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    log = _json(foreign.read(path, "a log of Inspect", LARGEST), path, path.name)
    return log, log.get("samples") or []


def _inspect_eval(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header of a log and its samples, of summaries where there are some."""
    foreign.regular(path, "a log of Inspect")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            start = "header.json" if "header.json" in names else "_journal/start.json"
            if start not in names:
                raise DataError(f"{path} is not a log of Inspect: it has no header.json")
            header = _part(archive, path, start)
            if "summaries.json" in names:
                return header, _part(archive, path, "summaries.json")
            return header, [_part(archive, path, n) for n in names if n.startswith("samples/")]
    except (zipfile.BadZipFile, EOFError, OSError) as e:
        raise DataError(f"{path} is not a log of Inspect, or is damaged: {e}") from e


def _part(archive: zipfile.ZipFile, path: Path, name: str) -> Any:
    info = archive.getinfo(name)
    foreign.within(info.file_size, LARGEST, f"{path}: {name}", "bytes")
    try:
        content = archive.read(name)
    except NotImplementedError:  # of zstd, which zipfile has from Python 3.14 on
        content = _unpacked(path, info)
    return _json(content, path, name)


def _unpacked(path: Path, info: zipfile.ZipInfo) -> bytes:
    """A part that is compressed with zstd. Raises: DataError."""
    try:
        import zstandard  # type: ignore[import-not-found]
    except ModuleNotFoundError as e:
        raise DataError(
            f"{path} is compressed with zstd, which needs zstandard: pip install zstandard; or "
            f"run: inspect log convert {path} --to json --output-dir FOLDER"
        ) from e
    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(30)
        file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
        packed = io.BytesIO(file.read(info.compress_size))
    try:
        unpacker = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
        content = unpacker.read(info.file_size + 1)
    except zstandard.ZstdError as e:
        raise DataError(f"{path}: {info.filename} cannot be unpacked: {e}") from e
    if zlib.crc32(content) != info.CRC:
        raise DataError(f"{path}: {info.filename} is damaged")
    return bytes(content)


def _json(content: bytes, path: Path, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: {name} is not readable JSON ({e})") from e


def _of_harness(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of a file of lm-evaluation-harness; the model is its folder's name."""
    name = SAMPLES.fullmatch(path.name)
    task = name[1] if name else path.stem
    about = {"model": path.parent.name, "task": task}
    about |= _shots(path.with_name(f"results{name[2]}.json"), task) if name and name[2] else {}
    for n, line in enumerate(foreign.text(path, "a file of samples", LARGEST).splitlines(), 1):
        if not line.strip():
            continue
        sample = _json(line.encode(), path, f"line {n}")
        if not isinstance(sample, dict) or "doc_id" not in sample:
            raise DataError(f"{path}: line {n} is not a sample of lm-evaluation-harness: no doc_id")
        measures = {
            k: float(v)
            for k, v in sample.items()
            if k not in OF_HARNESS and isinstance(v, bool | int | float)
        }
        place = {"sample": str(sample["doc_id"]), "filter": str(sample.get("filter", "none"))}
        yield {**about, **place, **_request(sample), **measures}


def _request(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What a sample says of its prompt, of how the model was to answer, and of the answer."""
    requests = (*_listed(sample.get("arguments")), None)
    prompt, how, *_ = (*_listed(requests[0]), None, None)
    found = {"prompt_hash": str(sample.get("prompt_hash") or _hashed(prompt))}
    found |= _settings(how) if isinstance(how, Mapping) else {}
    answers = _listed(sample.get("filtered_resps"))
    return found | ({"answer": answers[0]} if [type(x) for x in answers] == [str] else {})


def _listed(value: Any) -> tuple[Any, ...]:
    """The values of a list, or of a mapping that the harness writes in place of one."""
    values = value.values() if isinstance(value, Mapping) else value
    return tuple(values) if isinstance(value, list | Mapping) else ()


def _shots(path: Path, task: str) -> dict[str, Any]:
    """The number of examples in the prompts of a task, by the file of results that belongs to its
    samples; nothing without such a file."""
    if not path.is_file():
        return {}
    run = _json(foreign.read(path, "a file of results", LARGEST), path, path.name)
    shots = (run.get("n-shot") or {}).get(task)
    return {} if shots is None else {"num_fewshot": shots}
