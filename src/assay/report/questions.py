"""Questions: the groups of the catalogue, and what each of them asks. An experiment names its
group in its header."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from assay.core.errors import AssayError, nearest
from assay.core.experiment import ALL
from assay.lab import catalogue

GROUPS = {
    "toys": "How does a network store more features than it has dimensions?",
    "dictionaries": "What do sparse autoencoders find, and which of their parts matter?",
    "training": "Why does learning happen in stages, and what does its noise look like?",
    "knowledge": "What do networks know, and what influences what they say?",
    "puzzles": "How do small transformers solve a puzzle?",
    "planning": "When is an evaluation due, and what does an experiment cost?",
}
"""Group → its question, in reading order. A group without a line here comes after these."""
OTHERS = "others"
"""The group of an experiment that names none."""

E = TypeVar("E", bound=Any)
"""Whatever has an experiment's name as its `name`."""


def by_group(entries: Iterable[E]) -> dict[str, list[E]]:
    """Sort experiments into the groups that their headers name; empty groups are left out."""
    group = {e.name: e.header().group or OTHERS for e in catalogue.entries()}
    members: dict[str, list[E]] = {name: [] for name in GROUPS}
    for entry in entries:
        members.setdefault(group[entry.name], []).append(entry)
    return {name: each for name, each in members.items() if each}


def of_group(entries: Iterable[E], group: str) -> list[E]:
    """Keep the experiments of a group; `catalogue` is all of them. Raises: AssayError for an
    unknown group."""
    entries = list(entries)
    members = by_group(entries)
    if group == ALL:
        return entries
    if group not in members:
        hint = nearest(group, [*members, ALL, *(e.name for e in entries)])
        if hint.startswith("known: "):
            hint = f"the groups are {', '.join([*members, ALL])}; assay list shows every name"
            hint += "; a study or an experiment of your own is listed by its file"
        raise AssayError(f"no group or experiment is called {group!r}; {hint}")
    return members[group]


def heading(group: str) -> str:
    """Write a group's name and its question."""
    return f"{group}: {GROUPS[group]}" if group in GROUPS else group
