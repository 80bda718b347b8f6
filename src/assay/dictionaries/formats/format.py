"""Format: how one library's files are told, opened and read, one value each; a file in this folder
is found by being there."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, TypeVar

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.weights import Hints, Source

P = TypeVar("P", bound=PurePath)
TORCH = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of torch's own files."""


@dataclass(frozen=True)
class Found:
    """One weight file, opened once for all formats to look at."""

    path: Path
    values: Mapping[str, Any]
    """Tensors and plain values by name."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The header of a safetensors file."""
    stated: bool = False
    """The user named the format."""


def _by_name_alone(weight_file: Found) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Format:
    """One library's way of storing a dictionary."""

    name: str
    """What a user calls it."""
    suffixes: tuple[str, ...]
    """Endings of its weight files."""
    files: tuple[str, ...] = ()
    """Names of its weight files within a folder; (): they may be called anything."""
    settings: str = ""
    """The settings file by which its folder is known even where the weights are gone."""
    beside: tuple[str, ...] = ()
    """Names of the files that are read with the weights where they are there; {stem} stands for the
    weight file's name, {number} for the digits at its end."""
    fits: Callable[[Found], bool] = _by_name_alone
    """Whether what a file holds says that it is of this format; asked before names are."""
    open: Callable[[Found], Source]
    """The file with the settings that belong to it."""
    read: Callable[[Source, Hints], Dictionary]
    """The dictionary, or DataError in one line."""
    prepare: Callable[[Dictionary, str | None], Callable[[Path], list[str]]] | None = None
    """From a dictionary and its model's name, what writes it to a place and names the parts; None:
    this format is only read."""


@cache
def known() -> Mapping[str, Format]:
    """Find the formats of this folder by name: ours, then those with settings of their own, then
    the others."""
    modules = [
        import_module(f"{__package__}.{file.name}")
        for file in pkgutil.iter_modules(import_module(str(__package__)).__path__)
    ]
    formats = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return MappingProxyType(
        {
            file_format.name: file_format
            for file_format in sorted(
                formats,
                key=lambda file_format: (file_format.name != "assay", not file_format.settings),
            )
        }
    )


def read_with(weights: P) -> list[P]:
    """Name the files that some format reads with a weight file, where they are there: beside it,
    and above a folder `checkpoints`."""
    number = re.search(r"\d*$", weights.stem)
    words = {"stem": weights.stem, "number": number[0] if number else ""}
    folders = [weights.parent, *([weights.parent.parent] * (weights.parent.name == "checkpoints"))]
    names = {name.format(**words) for format in known().values() for name in format.beside}
    return [
        path for folder in folders for name in sorted(names) if (path := folder / name) != weights
    ]
