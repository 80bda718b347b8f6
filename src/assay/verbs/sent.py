"""Sent: the tokens of a study's first prompts as each of its models reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assay.ask import models, prompts
from assay.ask.seen import prompt
from assay.core.errors import AssayError
from assay.studies.text import read
from assay.subjects.folder import find
from assay.verbs.plan import Sent


def sent(path: Path, count: int) -> Iterator[Sent]:
    """The first prompts of each table of a study, for each of its models. Raises: AssayError."""
    text = read(path)
    tables = [prompts.load(table, path.parent) for table in text.study.prompts]
    for model in text.study.model:
        for name in models.states(model) if not model.like else ():
            folder = find(models.located(path.parent, name), model.bos)
            for some in tables:
                for row in some.rows[:count]:
                    one = prompt(folder, row)
                    places = {}
                    for slot in one.row.spans:
                        try:
                            places[slot] = one.at(f"{{{slot}}}")
                        except AssayError:  # no one place, and nothing may ask for it
                            continue
                    words = tuple(folder.tokenizer.token_text(one.tokens))
                    yield Sent(name, some.table.name, row.place, words, one.tokens, places)
