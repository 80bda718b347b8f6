"""Nouns: how many of what, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

NO_NOUNS = (
    *("correct", "first", "left", "other", "right", "same", "second", "true", "wrong"),
    *("how", "new", "number", "old", "what", "when", "where", "which", "who", "why"),
)
"""Names of columns that have no plural."""
NO_NOUN = re.compile(r"[\d_]|(?<!e)ed$|(?:wn|sen|tten|dden|ven|ly|ous|ful|able|ible)$")
"""What is in names that are no nouns, such as shown and trained, or hidden and likely."""
NUMBERED = re.compile(r"(?<=[a-z]{3})_(?:id|idx)$")
"""How a column ends that numbers the things after which it is called."""


def plural(noun: str, n: int) -> str:
    """The noun for n things: seed for 1, seeds for 6, densities for 6, prompts for prompt_id;
    classes stay classes; values of right, and of names that are no nouns, such as a and pos_1."""
    noun = NUMBERED.sub("", noun)
    if noun in NO_NOUNS or (not noun[2:] and noun != "id") or NO_NOUN.search(noun):
        return f"{'value' if n == 1 else 'values'} of {noun}"
    if n == 1 or noun.endswith("s"):
        return noun
    if re.search(r"(?:[cs]h|x|z)$", noun):
        return "epochs" if noun == "epoch" else f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def counted(n: int, noun: str) -> str:
    """A number of things with their noun: 1 seed, 6 seeds, 6 densities."""
    return f"{n:,} {plural(noun, n)}"


def joined(names: Sequence[object]) -> str:
    """Write several names as a list: a, b and c."""
    *most, last = map(str, names)
    return f"{', '.join(most)} and {last}" if most else last


def all_of(n: int) -> str:
    """The word or words before a noun for all of n things: both, all 3."""
    return "both" if n == 2 else f"all {n:,}"
