"""Saved: a verdict with its question and its numbers as one file, a zip archive, which is judged
again when it is read."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import foreign
from assay.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from assay.core.results import Judged

SCHEMA = 1
PROBE, TABLE = "probe", "table"
"""The parts that the files of a probe and of a table have, and that of a check does not."""


def write(path: str | Path, content: Mapping[str, Any], rows: pd.DataFrame, table: str) -> Path:
    """Write the question and the verdict, the numbers, and the table as it is printed."""
    path = Path(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        whole = {"schema": SCHEMA, **content}
        archive.writestr("check.json", json.dumps(whole, indent=1, ensure_ascii=False))
        archive.writestr("numbers.csv", rows.to_csv(index=False))
        archive.writestr("table.txt", f"{table}\n")
    return path


def read(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read what `write` wrote: the content and the numbers. Raises: DataError, and what a file with
    another content raises."""
    import pandas as pd

    try:
        with zipfile.ZipFile(foreign.regular(path, "a saved check")) as archive:
            sizes = sum(i.file_size for i in archive.infolist())
            foreign.within(sizes, foreign.LONGEST, path, "bytes")
            numbers = io.BytesIO(archive.read("numbers.csv"))
            content: dict[str, Any] = json.loads(archive.read("check.json"))
            return content, pd.read_csv(numbers, float_precision="round_trip")
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, UnicodeDecodeError) as e:
        raise wrong(path, e) from e


def differing(path: Path, judged: Judged) -> list[str]:
    """Say which numbers a file states of a verdict and its controls that its rows do not give."""
    stated, now = read(path)[0]["verdict"], judged.to_json()
    pairs = {"the claim": (stated, now)}
    pairs |= {name: (x, now["controls"].get(name, {})) for name, x in stated["controls"].items()}
    return [
        f"{key} of {name}: stated as {before.get(key)}, but it is {after.get(key)}"
        for name, (before, after) in pairs.items()
        for key in ("outcome", "estimate", "low", "high")
        if not _alike(before.get(key), after.get(key))
    ]


def _alike(a: Any, b: Any) -> bool:
    """Whether two entries are equal, numbers but for what another processor may change."""
    both = isinstance(a, float | int) and isinstance(b, float | int)
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) if both else a == b


def wrong(path: Path, why: Exception) -> DataError:
    """Say that a file is not one that was saved."""
    return DataError(f"{path} is not a file that a check was saved to: {why}")


class ChangedError(DataError):
    """A file whose numbers do not give the verdict that it states: a difference that was found."""

    exit_code = 1


def refuse_changed(path: Path, stated: str, judged: str) -> None:
    """Refuse a file whose numbers do not give the verdict that it states. Raises: ChangedError."""
    if judged != stated:
        raise ChangedError(
            f"{path} states {stated!r}; its numbers say {judged!r}: they were changed, or "
            "judged by an older version, in which case run the check again"
        )
