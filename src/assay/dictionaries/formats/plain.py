"""Weight and settings files as plain tensors and values, each failure one line: safetensors, npz,
JSON, YAML; and a file's hash."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import foreign
from assay.core.errors import DataError
from assay.core.heavy import torch

_SWOLLEN = (
    20  # times its size, or _SMALL bytes: an npz that unpacks to more holds no trained weights
)
_SMALL = 2**26


def safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and its metadata. Raises: DataError."""
    from safetensors import SafetensorError, safe_open

    foreign.tensors(path)
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({_line(error)})") from error


def npz(path: Path) -> dict[str, torch.Tensor]:
    """The arrays of an npz file by name, as tensors. Raises: DataError, for arrays of Python
    objects too."""
    foreign.regular(path, "an npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        stored = path.stat().st_size
        foreign.within(
            size,
            max(_SMALL, _SWOLLEN * stored),
            path,
            f"bytes unpacked, {size / stored:,.0f} times its size",
        )
        with np.load(path) as arrays:
            return {
                name: torch.from_numpy(
                    np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)
                )
                for name in arrays.files
            }
    except DataError:
        raise
    except Exception as error:  # a damaged archive: zipfile and NumPy raise many kinds
        why = (
            "it holds Python objects, which only a pickle can"
            if "pickle" in str(error).lower()
            else _line(error)
        )
        raise DataError(f"{path} is not a readable npz file ({why})") from error


def settings(path: Path) -> dict[str, Any]:
    """The JSON object of a settings file. Raises: DataError."""
    if not path.exists():
        raise DataError(
            f"{path} is missing; a dictionary of this format needs it beside its weights"
        )
    return foreign.json_object(path)


def yaml_mapping(path: Path, longest: int = foreign.LONGEST) -> dict[Any, Any]:
    """The mapping in a YAML file of at most so many bytes. Raises: DataError."""
    import yaml

    text = foreign.read(path, "a YAML file", longest)
    try:  # the loader in C, where PyYAML has it, takes a tenth of the time
        values = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is not a readable YAML file ({_line(error)})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} must be a mapping of settings, got {type(values).__name__}")
    return values


def sha256(path: Path) -> str:
    """The hash of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
