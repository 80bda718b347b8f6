"""Fetch: a model downloaded by its hash and converted, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import ModelError
from assay.subjects import hub
from assay.subjects.fetch import fetch_smollm2


@dataclass(frozen=True)
class Fetched:
    """A model and the folder it lies in."""

    model: str
    folder: Path


def fetch(
    model: str = "smollm2",
    progress: Callable[[str], None] = lambda line: None,
    bar: Callable[[int, int], None] = lambda completed, total: None,
) -> Fetched:
    """Download a model, "smollm2" or a hub's OWNER/NAME[@REVISION], if it is not here yet;
    `progress` hears a line for each stage, `bar` the bytes of a hub's. Raises: ModelError."""
    if name := hub.parse(model):
        return Fetched(model, hub.fetch(name, progress=progress, bar=bar))
    if model != "smollm2":
        raise ModelError(
            f'no model {model!r} can be fetched; give "smollm2" or a hub\'s OWNER/NAME[@REVISION]'
        )
    return Fetched(model, fetch_smollm2(progress=progress))
