"""Sent: the tokens of a study's first prompts as each of its models reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import AssayError
from assay.lab.catalogue import entry
from assay.lab.store.origin import STUDIES


@dataclass(frozen=True)
class Sent:
    """A prompt as a model reads it."""

    model: str
    prompts: str
    """The name of its table."""
    place: str
    """Where it was written."""
    tokens: tuple[str, ...]
    """The text of each token."""
    ids: tuple[int, ...]
    positions: Mapping[str, int]
    """The token at which each slot or message ends, by name."""


def of_study(name: str, prompts: int) -> tuple[Sent, ...]:
    """Give the first prompts of each table of a study as every model reads them."""
    if not prompts:
        return ()
    if not name.endswith(STUDIES):
        raise AssayError("--prompts shows the prompts of a study; give the study's file")
    return tuple(sent(entry(name).path, prompts))


def sent(path: Path, count: int) -> Iterator[Sent]:
    """The first prompts of each table of a study, for each of its models. Raises: AssayError."""
    from assay.ask.measure import models, prompts
    from assay.ask.measure.seen import prompt
    from assay.ask.text import read
    from assay.subjects.folder import find

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
