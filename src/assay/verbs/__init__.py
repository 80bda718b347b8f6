"""Verbs: what a person can ask of Assay, a function each, with typed results; whoever prints them
decides nothing.

A file in this folder with a line `VERB = function` is a verb of the command line by being there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any


def known() -> Mapping[str, Callable[..., Any]]:
    """Find the verbs of this folder by their files' names; a file without VERB is only read as
    text, since importing it may load much."""
    files = sorted(
        path
        for folder in __path__
        for path in Path(folder).glob("*.py")
        if "\nVERB = " in path.read_text()
    )
    return MappingProxyType(
        {
            path.stem.replace("_", "-"): import_module(f"{__name__}.{path.stem}").VERB
            for path in files
        }
    )
