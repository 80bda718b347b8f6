"""What a model and a text are called in a sentence, such as the scope of a verdict."""

from __future__ import annotations

from pathlib import Path

from assay.data import corpus as corpora
from assay.subjects import fetch, hub

DRAWN = "untrained "
"""The prefix of a model's name whose weights are drawn anew."""
TEXTS = {
    corpora.STDLIB: "text of Python's standard library",
    corpora.DOCS: "English prose of Python packages' documentation",
}


def model_in_words(name: str) -> str:
    """Name a model that a spec calls "smollm2", "untrained smollm2", by its folder or by a hub's
    name."""
    model = name.removeprefix(DRAWN)
    if packaged := fetch.MODELS.get(model):
        title = packaged.title
    else:
        title = f"the model {model}" if hub.parse(model) else f"the model in {model}"
    return title if model == name else f"{title} with weights drawn anew"


def text_in_words(name: str) -> str:
    """Name a text that a spec calls "stdlib", "docs" or by its folder, of which a scope says what
    it is called, and not where it is."""
    return TEXTS.get(name, f"text in {Path(name).name if Path(name).is_absolute() else name}")
