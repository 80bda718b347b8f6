"""Selecting: which prompts are measured, if a condition such as a correct answer has to be true of
them in the unchanged model."""

from __future__ import annotations

from collections.abc import Sequence

from assay.ask.measure import models, reads
from assay.ask.measure.prompts import PromptSet, Selection
from assay.ask.tables import Model, Prompts, Read
from assay.core.errors import DataError, nearest
from assay.core.expression import Parsed, parse
from assay.core.nouns import plural

YES_OR_NO = ("accuracy", "generates", "begins", "column")
"""Kinds of reads that are 1 or 0, so that a name alone is a condition."""
OF_ONE_PASS = (
    *("log_prob", "prob", "accuracy", "rank", "entropy", "loss", "logit", "logit_lens", "written"),
    *("generates", "begins", "pattern", "norm", "neurons", "anisotropy", "column", "function"),
)
"""Kinds of reads by which prompts can be selected: those that need only the model."""


def of_table(table: Prompts, study_reads: Sequence[Read], model: Model) -> Selection:
    """How the prompts of a table with a condition are selected. Raises: DataError, ClaimError for a
    condition that does not fit an unchanged model."""
    assert isinstance(table.where, str)
    parsed = condition(table.where)
    plain = {*parsed.terms} == {"value"} and not parsed.share and not parsed.together
    if not plain or any(c.levels or c.over or c.arm not in (None, "main") for c in parsed.columns):
        raise DataError(
            f"where = {table.where!r}: prompts are selected one by one, by reads of the unchanged "
            'model alone, as in where = "right" or where = "lead > 0"'
        )
    if model.like or models.levels(model):
        raise DataError(
            f"where = {table.where!r} asks the first model, which has to be a single trained one; "
            "put another [[model]] first"
        )
    chosen = tuple(_read(table, study_reads, c.name) for c in parsed.columns)
    if table.where.isidentifier() and reads.kind_of(chosen[0]) not in YES_OR_NO:
        raise DataError(
            f"where = {table.where!r}: {table.where} is a number, and not right or wrong; write a "
            f'comparison, such as where = "{table.where} > 0"'
        )
    return Selection(model, table.where, chosen)


def _read(table: Prompts, study_reads: Sequence[Read], name: str) -> Read:
    """A read by which prompts are selected. Raises: DataError."""
    by_name = {r.name: r for r in study_reads}
    if name not in by_name:
        hint = nearest(name, by_name)
        raise DataError(f"where = {table.where!r}: there is no read {name!r}; {hint}")
    read = by_name[name]
    changes = read.sweep or read.top or read.temperature or reads.compares(read)
    if reads.kind_of(read) not in OF_ONE_PASS or changes:
        raise DataError(
            f"where = {table.where!r}: {name} cannot select prompts; name a read of the model "
            f"and the prompt alone, without sweep, top or temperature: {', '.join(OF_ONE_PASS)}"
        )
    return read


def condition(text: str) -> Parsed:
    """The condition by which prompts are selected; a name alone means that its read is 1. Raises:
    ClaimError."""
    return parse(f"{text} >= 1" if text.isidentifier() else text, sized=False)


def in_words(prompts: PromptSet, levels: int, measured: int | None = None) -> str:
    """Say which prompts are measured, and how many, once that is known."""
    assert prompts.selection is not None
    units = plural(prompts.unit, levels)
    which = f"those of which {prompts.selection.condition} is true in the unchanged model"
    if measured is None:
        return f"{prompts.table.name}: of {levels} {units} {which} are measured; a run finds out"
    return f"{prompts.table.name}: {measured} of {levels} {units} are measured, {which}"
