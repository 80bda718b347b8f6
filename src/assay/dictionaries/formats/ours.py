"""Assay's own files: what `Dictionary.save` wrote, or `params.safetensors` of a stored run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from assay.core.errors import AssayError, DataError
from assay.dictionaries.dictionary import Dictionary

_META = "assay"


def fits(metadata: Mapping[str, str]) -> bool:
    """Whether a safetensors file's metadata is ours."""
    return _META in metadata


def read(path: Path) -> Dictionary:
    """The dictionaries of one of our files, with every run.

    Raises: DataError for a file that holds something else, is damaged, or has numbers that are NaN or infinite.
    """
    try:
        found = Dictionary.load(path)
    except AssayError:
        raise
    except Exception as error:  # a header of the right kind whose fields are not
        raise DataError(f"{path}: its header does not describe its tensors ({type(error).__name__}: {error})") from error
    bad = [name for name, value in found.tensors().items() if not bool(value.isfinite().all())]
    if bad:
        raise DataError(f"{path}: {', '.join(sorted(bad))} has numbers that are NaN or infinite; the file is no use as it is")
    return found
