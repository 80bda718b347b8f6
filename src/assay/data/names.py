"""What a model and a text are called in a sentence, such as the scope of a verdict, by the names under which a spec asks for them."""

from __future__ import annotations

from assay.data import corpus as corpora
from assay.subjects import fetch

DRAWN = "untrained "
"""Stands before the name of a model whose weights are drawn anew."""
TEXTS = {corpora.STDLIB: "text of Python's standard library", corpora.DOCS: "English prose of Python packages' documentation"}


def model_in_words(name: str) -> str:
    """Call a language model by its name, "smollm2" or a folder: also "untrained smollm2", the same with weights drawn anew."""
    known = name.removeprefix(DRAWN)
    called = fetch.TITLE if known == fetch.NAME else f"the model in {known}"
    return called if known == name else f"{called} with weights drawn anew"


def text_in_words(name: str) -> str:
    """Call a text by its name: "stdlib", "docs" or a folder."""
    return TEXTS.get(name, f"text in {name}")


class InWords:
    """What a spec with the fields `subject` and `corpus` calls its model and its text."""

    subject: str
    corpus: str

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(self.subject)

    @property
    def text_in_words(self) -> str:
        """The text that it reads."""
        return text_in_words(self.corpus)
