"""Levels of a sweep in words, also where a slot is named like a preposition: {at}, {from}."""

from __future__ import annotations

import re

_PREPOSITION = re.compile(r"(^|, | and )(at|before|after|by|for|from|in|of|on|to|up|with) (?=[^,])")


def called(levels: str) -> str:
    """Name levels by their dimensions: "layer 3", and "at = 22" where "at 22" would be no name."""
    return _PREPOSITION.sub(r"\1\2 = ", levels)


def located(levels: str) -> str:
    """Where something is: "at layer 3", "for at = 22"."""
    return f"{'at' if called(levels) == levels else 'for'} {called(levels)}"
