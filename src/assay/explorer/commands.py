"""Commands that pages suggest, as they can be pasted: with the dictionary, model, text and store of
an index, as far as it says them."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Protocol

from assay.evaluation.indexing import IndexSetting
from assay.evaluation.text import CONTEXT
from assay.features.index.about import About
from assay.features.index.reader import Index

ROOT = Path("assay-store")
"""The store that commands take where none is named."""


class Command(Protocol):
    """Writes a command about the dictionary of an index."""

    def __call__(self, verb: str, *more: str, other: bool = False) -> str: ...


def writer(index: Index) -> Command:
    """Give what writes commands about an index's dictionary."""
    return partial(command, index.about, index.folder.parents[2])


def command(about: About, root: Path, verb: str, *more: str, other: bool = False) -> str:
    """Write a command about the dictionary of an index, or about another one of its model."""
    text = "FOLDER" if verb == "serve" else about.corpus  # of the reader's own
    options = {"--model": about.model or "MODEL", "--text": text}
    is_index = verb == "index"
    if not other:
        options["--site"] = about.site
        options |= {"--site-out": about.site_out} if about.site_out != about.site else {}
    if not other and is_index:  # what else makes it the same index, and not another
        read = about.windows * about.context
        options |= {"--context": str(about.context)} if about.context != CONTEXT else {}
        is_usual = 0 <= read - IndexSetting().tokens < about.context
        options |= {} if is_usual else {"--tokens": str(read)}
    options |= {"--root": str(root)} if root != ROOT else {}
    dictionary = "OTHER" if other else about.source or "DICTIONARY"
    words = (word for pair in options.items() for word in pair)
    verb_words = ["export", dictionary, "--format", "index"] if is_index else [verb, dictionary]
    return shlex.join(["assay", *verb_words, *words, *map(str, more)])
