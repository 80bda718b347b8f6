"""The .assay file: a result with its numbers and with the rule, for anyone to judge again."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from assay.errors import StoreError
from assay.notes import Note
from assay.report import verify
from assay.verdicts import rule
from assay.verdicts.result import Judged, Result

FORMAT = 1
MOST_BYTES = 1 << 30
"""Unpacked, of all that a file holds."""
TIME = (1980, 1, 1, 0, 0, 0)
"""Of every file in it, so that the same result is the same bytes."""
NAMES = ("README.md", "result.json", "rows.npz", "rule.py", "verify.py")
README = """# A result of Assay

`result.json` has the claims, their verdicts and what they are about; `rows.npz` has the numbers.
To judge them again, unpack this file and run `python verify.py`, which needs NumPy and SciPy. Or
run `assay verify FILE`, which uses the rule of the installed Assay instead of the one in this file.
"""


# ---- writing -------------------------------------------------------------------------------------


def pack(result: Result) -> bytes:
    """A result as the bytes of an .assay file; the same result is the same bytes."""
    arrays, claims = dict[str, np.ndarray](), list[dict[str, Any]]()
    for k, claim in enumerate(result.claims):
        claims.append(_claim(claim, result.samples[k], f"{k}", arrays))
    for column in result.rows:
        arrays[f"rows/{column}"] = _plain(result.rows[column])
    said = {
        "format": FORMAT,
        "question": result.question,
        "claims": claims,
        "columns": [str(c) for c in result.rows],
        "scope": result.scope,
        "provenance": msgspec.to_builtins(result.provenance),
    }
    here = Path(__file__).parent
    files = {
        "README.md": README.encode(),
        "result.json": msgspec.json.format(msgspec.json.encode(said), indent=1),
        "rows.npz": _npz(arrays),
        "rule.py": Path(rule.__file__).read_bytes(),
        "verify.py": (here / "verify.py").read_bytes(),
    }
    return _zip(files)


def save(result: Result, path: str | Path) -> Path:
    """Write a result to an .assay file, whole or not at all."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(pack(result))
        part.replace(path)
    except OSError as e:
        part.unlink(missing_ok=True)
        raise StoreError("not-written", f"{e.strerror or e}", at=str(path)) from e
    return path


def _claim(
    claim: Judged, samples: Mapping[str, rule.Sample], at: str, arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    """A claim as JSON has it; its numbers go to `arrays`."""
    said = dict[str, Any]()
    for k, (arm, s) in enumerate(samples.items()):
        place = f"{at}/{k}"
        arrays[f"{place}/cells"] = np.asarray(s.cells, float)
        for n, labels in enumerate(s.units.values()):
            arrays[f"{place}/{n}"] = np.asarray(labels).astype(str)
        said[arm] = {
            "at": place,
            "units": list(s.units),
            "formula": s.formula,
            "bounds": s.bounds,
            "exact": s.exact,
            "ends": s.ends,
        }
    v = claim.verdict
    return {
        "text": claim.text,
        "holds": claim.holds,
        "why": dict(claim.why),
        "hypothesis": msgspec.to_builtins(claim.h),
        "unmet": [v.about] if v.reason == "gate" else [],
        "samples": said,
        "verdict": msgspec.to_builtins(v),
        "notes": msgspec.to_builtins(claim.notes),
        "doubts": [note.code for note in claim.notes if note.doubt],
    }


def _plain(column: pd.Series) -> np.ndarray:
    """A column as numbers or texts, which need no pickle."""
    if pd.api.types.is_integer_dtype(column) and column.notna().all():
        return column.to_numpy(np.int64)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(float, na_value=np.nan)
    return column.astype(str).to_numpy().astype(str)


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    parts = {}
    for name, array in arrays.items():
        with io.BytesIO() as buffer:
            np.lib.format.write_array(buffer, array)
            parts[f"{name}.npy"] = buffer.getvalue()
    return _zip(parts)


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as z:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, TIME)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            z.writestr(info, files[name])
    return buffer.getvalue()


# ---- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """What an .assay file states, and its numbers."""

    said: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def read(path: str | Path) -> Contents:
    """Read an .assay file without running anything of it.

    Raises: StoreError if it is no such file, holds other files, or unpacks to too much.
    """
    path = Path(path)
    if not path.is_file():  # a pipe would never end
        raise StoreError("no-result", "no such file", at=str(path))
    try:
        with zipfile.ZipFile(path) as z:
            files = _files(z, path)
        said = json.loads(files["result.json"])
        with zipfile.ZipFile(io.BytesIO(files["rows.npz"])) as z:
            _check_size(z, path)
        with np.load(io.BytesIO(files["rows.npz"])) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except StoreError:
        raise
    except Exception as e:  # whatever damaged bytes make the readers raise
        raise StoreError("damaged", f"no .assay file that can be read ({e})", at=str(path)) from e
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise StoreError("other-format", f"not of format {FORMAT}", at=str(path))
    return Contents(said, found)


def _files(z: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    _check_size(z, path)
    names = z.namelist()
    if sorted(names) != sorted(set(names) & set(NAMES)) or "result.json" not in names:
        raise StoreError("other-files", "holds files that no result has", at=str(path))
    return {name: z.read(name) for name in names}


def _check_size(z: zipfile.ZipFile, path: Path) -> None:
    if sum(info.file_size for info in z.infolist()) > MOST_BYTES:
        raise StoreError("too-large", f"unpacks to more than {MOST_BYTES >> 30} GiB", at=str(path))


def judge_again(contents: Contents, path: str | Path) -> dict[str, list[str]]:
    """By condition, what the stated verdict has different from the installed rule's; empty if it
    follows.

    Raises: StoreError if the claims or numbers are incomplete.
    """
    try:
        claims = contents.said["claims"]
        return {c["holds"]: verify.differs(rule, c, contents.arrays) for c in claims}
    except Exception as e:  # a statement of any shape
        raise StoreError("damaged", f"claims that cannot be judged ({e!r})", at=str(path)) from e


def load(path: str | Path) -> Result:
    """Read a result from an .assay file. Raises: StoreError if it cannot be read."""
    contents = read(path)
    try:
        return _result(contents)
    except Exception as e:  # a statement of any shape
        raise StoreError("damaged", f"no result that can be read ({e!r})", at=str(path)) from e


def _result(contents: Contents) -> Result:
    said, claims, every = contents.said, [], []
    for c in said["claims"]:
        claims.append(
            Judged(
                text=c["text"],
                holds=c["holds"],
                h=verify.hypothesis(rule, c["hypothesis"]),
                verdict=_verdict(c["verdict"]),
                why=c["why"],
                notes=tuple(Note(n["code"], n["data"]) for n in c["notes"]),
            )
        )
        every.append(verify.samples(rule, c, contents.arrays))
    rows = pd.DataFrame({name: contents.arrays[f"rows/{name}"] for name in said["columns"]})
    provenance = msgspec.convert(said["provenance"], type(Result.provenance))
    return Result(said["question"], tuple(claims), rows, said["scope"], provenance, tuple(every))


def _verdict(said: Mapping[str, Any]) -> rule.Verdict:
    """A verdict as it is stated; JSON has null for a number that does not exist."""
    return msgspec.convert(_known(said), rule.Verdict)


def _known(said: Any) -> Any:
    if isinstance(said, Mapping):
        return {k: _known(v) if k not in ("price", "thresholds") else v for k, v in said.items()}
    if isinstance(said, list | tuple):
        return [_known(x) for x in said]
    return float("nan") if said is None else said
