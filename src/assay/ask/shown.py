"""Shown: what the page of a study shows besides its numbers: its text, what is read of which
prompts, and what each statement computes, with its unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from assay.ask.measure import prompts, reads
from assay.ask.measure.prompts import SLOT
from assay.ask.measure.tokenized import texts_of
from assay.ask.part import at_levels
from assay.ask.tables import Answer, Read
from assay.ask.text import Study, read
from assay.core.claims import Claim, Estimate
from assay.core.experiment import Experiment
from assay.lab.store.origin import STUDIES

PROMPTS = 3
"""Number of prompts that are shown as a model reads them."""


@dataclass(frozen=True)
class Shown:
    """A study in words, for readers of its page."""

    toml: str = ""
    """The text of the study."""
    prompts: Sequence[str] = ()
    """The first prompts, with their slots filled."""
    example: Sequence[tuple[str, str]] = ()
    """What belongs to the first prompt: words, and a text where there is one."""
    reads: Sequence[str] = ()
    """Descriptions of the reads, one line each."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """What each statement computes, by its sentence."""


def describe(experiment: Experiment) -> Shown | None:
    """Collect what the page of a study shows of its text; None for any other experiment."""
    path = Path(experiment.origin)
    if path.suffix not in STUDIES:
        return None
    text = read(path)
    stated = [s for s in experiment.claims if isinstance(s, Claim | Estimate)]
    study = text.study
    tables = [prompts.load(table, path.parent) for table in study.prompts]
    rows = tables[0].rows if tables else ()
    conditions = {s.text: s.condition for s in stated}
    return Shown(
        text.toml.strip(),
        [row.text for row in rows[:PROMPTS]],
        [*_example(study, tables, conditions.values())] if rows else [],
        [*map(_describe_read, study.read)],
        conditions,
    )


def _example(
    study: Study, tables: Sequence[prompts.PromptSet], conditions: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Say of the first prompt what its other text is, what is put there from other prompts, and
    what each number is that a condition uses, with the answers that it compares."""
    first = tables[0]
    rows, pair = first.rows, first.table.corrupted
    row = rows[0]
    patched = any(t.patch == "corrupted" for t in study.intervene)
    label = "The text that it is patched from:" if patched else "The other text of its pair:"
    if isinstance(pair, tuple) and pair:
        yield label, prompts.chat(row, first.table, pair).text
    elif pair or "corrupted" in row.columns:
        text = prompts.filled(row, str(pair)).text if pair else row.columns["corrupted"]
        yield label, text
    for table in study.intervene:
        if table.patch == "other" or table.ablate == "resample":
            source = next((t for t in tables if t.table.name == table.source), first)
            others = [r.text for r in source.rows if r.text != row.text]
            yield f"{table.name}: activations of another prompt, such as", (others or [""])[0]
    used = {word for condition in conditions for word in re.findall(r"\w+", condition)}
    for of in study.read:
        if of.prompts in ("", first.table.name):
            if words := _answers(of, rows):
                yield f"{of.name}: {words}", ""
            elif of.name in used:
                yield _describe_read(of), ""


def _answers(read: Read, rows: Sequence[prompts.PromptRow]) -> str:
    """Say what a number of a prompt compares: its answers, or their columns where those of the rows
    differ, with the first as an example; "" where it has no answers."""
    example: list[str] = []

    def named(answer: Answer) -> str:
        texts = texts_of(answer)
        filled = [[row.fill_known(text) for text in texts] for row in rows]
        first = " or ".join(f'"{text}"' for text in filled[0])
        if all(each == filled[0] for each in filled):
            return first
        example.append(first)
        plain = (SLOT.sub(r"`\1`", t.strip()) if SLOT.search(t) else f'"{t}"' for t in texts)
        whose = "its" if example[1:] else "the row's"
        return f"{whose} {' or '.join(plain)}"

    words = _compared(read, named)
    return f"{words}; in the first row: {', '.join(example)}" if words and example else words


def _compared(read: Read, named: Callable[[Answer], str]) -> str:
    """Say what a number compares, with its answers as they are named; "" where it has none."""
    of = read.log_prob or read.prob or read.logit or read.logit_lens
    if isinstance(of, tuple) and len(of) == 2:
        ahead, behind = map(named, of)
        if read.logit or read.logit_lens:
            ahead, behind = (f"the first token of {text}" for text in (ahead, behind))
        return f"above 0 where {ahead} is more probable than {behind}, and below 0 otherwise"
    if read.accuracy:
        right, *wrong = map(named, read.accuracy)
        than = f"more probable than {', '.join(wrong)}" if wrong else "the most probable"
        return f"1 where {right} is {than}, and else 0"
    answers = of or read.rank
    if isinstance(answers, bool) or not answers:
        return ""
    return f"of {named(answers[0] if isinstance(answers, tuple) else answers)}"


def _describe_read(read: Read) -> str:
    """Describe a read, with the levels of its sweep once: in their slots, or at the end."""
    words = reads.describe(read)
    others = {slot: values for slot, values in read.sweep.items() if f"{{{slot}}}" not in words}
    return at_levels(reads.describe(msgspec.structs.replace(read, sweep=others)), read.sweep)
