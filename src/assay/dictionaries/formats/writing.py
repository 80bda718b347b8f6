"""write: a dictionary as a file or folder of a format that can be written. It appears whole or not
at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from assay.core.errors import DataError, nearest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.format import known


def write(
    dictionary: Dictionary,
    path: Path | str,
    format: str = "saelens",
    *,
    run: int | None = None,
    model: str | None = None,
) -> list[Path]:
    """Write one file of ours with every run, or one SAELens folder, or one folder per run below
    `path`; give the paths.

    Mean, scale and centring go into weights and biases, computed in float64 and rounded once; where
    nothing has to be folded the weights keep their bits. `model` is the language model's name for
    the peer's settings.

    Raises: DataError where `path` exists, for a run that is not there, and for what the format
    cannot carry."""
    path = Path(path)
    writers = {
        name: file_format.prepare
        for name, file_format in known().items()
        if file_format.prepare is not None
    }
    if format not in writers:
        raise DataError(f"no format {format!r} to write; {nearest(format, writers)}")
    if run is not None:
        if not 0 <= run < len(dictionary):
            raise DataError(
                f"there is no run {run}; this dictionary has runs 0 to {len(dictionary) - 1}"
            )
        dictionary = dictionary[run]
    if path.exists():
        raise DataError(f"{path} exists already; remove it, or name another place")
    fill = writers[format](
        dictionary, model
    )  # everything that can be refused is refused before writing
    return [path / name for name in _whole(path, fill)]


def _whole(path: Path, fill: Callable[[Path], list[str]]) -> list[str]:
    """Fill a file or folder under a temporary name, and give it its own by one rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        written = fill(temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink(
            missing_ok=True
        )
        raise
    return written
