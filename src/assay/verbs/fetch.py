"""Fetch: a model downloaded by its hash and converted, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import ModelError
from assay.subjects.fetch import fetch_smollm2


@dataclass(frozen=True)
class Fetched:
    """A model and the folder it lies in."""

    model: str
    folder: Path


def fetch(model: str = "smollm2", progress: Callable[[str], None] = lambda line: None) -> Fetched:
    """Download a model and convert it, if it is not here yet; `progress` hears a line for each
    stage. Raises: ModelError."""
    if model != "smollm2":
        raise ModelError(f"no model {model!r} can be fetched; there is smollm2")
    return Fetched(model, fetch_smollm2(progress=progress))
