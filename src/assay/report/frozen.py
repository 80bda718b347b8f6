"""Frozen: what was frozen before any result, which looks were taken and whether all of it was followed, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JSON = Mapping[str, Any]
UNFROZEN = "exploratory: nothing was frozen before it was run"


def lines(data: JSON) -> list[str]:
    """Say of a result whether it is confirmatory or exploratory and why, and how its looks went."""
    registration = data.get("registration")
    if registration is None:
        return [UNFROZEN]
    when = f"frozen on {registration['time'][:16].replace('T', ' ')} UTC"
    which = f"({registration['hash'][:12]}, {registration['file']})"
    if data["inference"] == "confirmatory":
        return [f"confirmatory: {when}, before any result {which}, and followed since", *looks(registration)]
    return [f"exploratory: {when} {which}, and not followed", *(f"not as frozen: {c}" for c in registration["changed"]), *looks(registration)]


def looks(registration: JSON) -> list[str]:
    """Say at which look it is, how many claims are open, and what the intervals mean; nothing where no look was taken."""
    every, taken, left = registration["looks"], registration["taken"], len(registration["open"])
    if not taken or len(every) < 2:
        return []
    at = every[taken - 1]
    told = f"look {taken} of {len(every)}, at {at['units']} of {every[-1]['units']} seeds"
    if left and taken < len(every):
        told += f": {left} claim{'s go' if left > 1 else ' goes'} on to the next"
    elif taken < len(every):
        told += ": every claim is settled, so it ended here"
    elif left:
        told += f": the last, and {left} claim{'s are' if left > 1 else ' is'} undecided"
    else:
        told += ": the last"
    rate = f"all {len(every)} looks together err no more often than one at {registration['alpha']:.0%}"
    return [told, f"each claim has the interval of its look, so that {rate}"]


def settled_at(registration: JSON | None, text: str) -> int | None:
    """The number of the look that settled a claim, from 1; None where there is one look, or it is open."""
    every = registration["looks"] if registration else []
    return next((k for k, look in enumerate(every, 1) if text in look["settled"]), None) if len(every) > 1 else None
