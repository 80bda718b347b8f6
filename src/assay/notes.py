"""Notes: the closed list of what a result says about itself, each a code with data."""

from __future__ import annotations

from string import Formatter
from types import MappingProxyType
from typing import Any

import msgspec

MOST = 60
"""Codes in the whole product, at most."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of note: what it says, what it means, and whether it doubts.

    Attributes:
        template: the one line, with the names of the note's data in braces.
        meaning: why it matters and what to do, for the page of notes.
        doubt: whether it turns *holds* into *undecided*.
    """

    template: str
    meaning: str
    doubt: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """Names of the data that its template needs."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.template) if name)


NOTES = MappingProxyType(
    {
        "no-test": Kind(
            "{control} cannot test the claim: {why}",
            "Its numbers equal the claim's own, or cannot vary. Give a control that could fail.",
            doubt=True,
        ),
        "edits-the-prompt": Kind(
            "{arm} changes what the model reads as much as an edit of the prompt would",
            "The change reaches the residual stream before any block has read the position.",
        ),
        "copies-answer": Kind(
            "{arm} writes the answer that the condition asks for",
            "A patch from a prompt with that answer. Ask for an answer that no prompt names.",
        ),
        "answer-in-prompt": Kind(
            "the answer is in {n} of {N} prompts",
            "The model may copy it. Compare with prompts that lack it.",
        ),
        "averaged": Kind(
            "{n} rows are averaged to {cells} numbers, one for each arm, unit and level",
            "Several rows have the same arm and unit. What tells them apart is part of the number.",
        ),
        "left-out": Kind(
            "{n} of {of} {unit}s are left out: some number of theirs is missing",
            "The claim is about the others. Measure them, or say why they are missing.",
        ),
        "tried": Kind(
            "{n} claims were tried, so each is judged at the level {level}",
            "One of many claims holds by luck more often than one alone (Šidák 1967).",
        ),
    }
)


class Note(msgspec.Struct, frozen=True):
    """A note of a result.

    Attributes:
        code: a key of `NOTES`.
        data: exactly the fields of its template.

    Raises:
        ValueError: the code is not in the list, or the data are not its fields.
    """

    code: str
    data: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.code not in NOTES:
            raise ValueError(f"no note has the code {self.code!r}")
        if NOTES[self.code].fields != set(self.data):
            raise ValueError(f"{self.code} needs {sorted(NOTES[self.code].fields)}")

    @property
    def doubt(self) -> bool:
        """Whether it turns *holds* into *undecided*."""
        return NOTES[self.code].doubt

    def __str__(self) -> str:
        return NOTES[self.code].template.format(**self.data)
