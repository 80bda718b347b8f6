"""Questions: what was asked before, known by content: of which inputs, and under which quantity. A
name, a label, a sign, a threshold and a seed are no part of a question.

A file of questions is a journal: one only appends to it, and each line names the one before it, so
that a missing line is noticed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.spec import canonical_json
from assay.lab.judge import journal
from assay.lab.judge.journal import AFTER, Journal, Line

ASKED: Mapping[str, type] = {"question": str, "what": str}
"""What a line of a file of questions has."""
_SHORT = 12
"""Hex digits by which a unit is known."""


def key(inputs: Mapping[str, str], quantity: Any) -> str:
    """Return the key of a question, 64 hex digits: equal where the same is measured of the same.

    Args:
        inputs: the content hash of everything that is measured, by what it is: {"model": …}.
        quantity: what is measured of it, as JSON values, without names, signs and thresholds.
    Example:
        >>> from assay.lab.judge.questions import key
        >>> key({"table": "ab12"}, ["fvu"]) == key({"table": "ab12"}, ["fvu"])
        True
    """
    return sha256(canonical_json([sorted(inputs.items()), quantity]).encode()).hexdigest()


def known_units(texts: Iterable[str]) -> list[str]:
    """Return 12 hex digits for each unit, by what it says; case and white space do not count."""
    plain = (" ".join(text.split()).casefold() for text in texts)
    return [sha256(text.encode()).hexdigest()[:_SHORT] for text in plain]


class Questions(Journal):
    """The questions that a file notes, in a store or in the cache."""

    def __init__(self, path: Path):
        super().__init__(path, ASKED)

    def before(self, question: str, units: Collection[str] = ()) -> list[Line]:
        """Return the earlier lines about a question, oldest first: all, or those about some of
        these units."""
        lines = [line for line in self.looks if line["question"] == question]
        return [x for x in lines if not units or set(units) & set(x.get("units", ()))]

    def note(self, question: str, what: str, **said: Any) -> None:
        """Note that a question was frozen, measured or judged, unless a line says just that.
        Raises: OSError when the disk is full."""
        entry = {"question": question, "what": what, **said}
        varies = {"time", "commit", AFTER}
        if not any({k: v for k, v in x.items() if k not in varies} == entry for x in self.looks):
            journal.note(self.path, journal.stamped(**entry))
            super().__init__(self.path, ASKED)
