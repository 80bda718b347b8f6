"""Reasons: why a verdict is undecided or unspecific, in words, and what would decide it; what is
stored keeps the judge's short form."""

from __future__ import annotations

import re
from collections.abc import Sequence

GATES = {
    "converged": "not converged",
    "overlap": "not comparable: the sweeps share too little of their range",
    "divisor": "what it is divided by may be 0",
}
"""The gates that every claim may meet; any other is a condition of the claim's own."""
SELECTION = "selection"
WAYS = {
    SELECTION: "the best of several arms: if it was chosen for that, it is undecided",
    "near-copies": "near-copies: with each set of copies as one unit, it is undecided",
    "missing numbers": "numbers are missing, and the outcome depends on what they are",
    "order": "units depend on their order: if this is allowed for, it is undecided",
}
"""How units may depend on each other that no column names."""
GIVEN = "given with the claim"
"""Where the threshold of a claim about a user's own table comes from; whether a pilot went before
is not known."""
TIES = "units agree"
"""The reason stored where so many units have the same number that the spread of the others cannot
be estimated."""
IDENTICAL = "identical in every unit"
"""The reason stored with *fails* where what is compared is the same number in each unit, so that
the difference is 0 by arithmetic."""
STRADDLES = "interval straddles"
"""The reason stored where the interval lies on both sides of a threshold."""
OUT_OF_REACH = "out of reach"
"""The reason stored where the bounds of the measure leave the arm under judgement no value in the
range to hold, given what it is compared with."""
NO_LEAD = "no lead to lose"
"""The reason stored where a claim is about what taking something out leaves of a lead, and the
unchanged model has none."""
UNCONTROLLED = "no control could be made"
"""The reason stored where all controls of a claim that would hold were left out."""
NO_TEST = "no test"
"""What is said of such a control."""
TOO_CLOSE = "not told from the method"
"""The reason stored for a control that the method does not differ from enough."""
BLIND = "blind"
"""The reason stored where "nothing there" lies in the range, and no control and no planted
violation shows that an effect would have been seen."""
GROUPED = "grouped by "
"""How the reason begins that is stored where units depend on each other, and the verdict would not
be the same with their groups as units."""
ANSWERS = "answers: with "
"""How what follows begins where they are the possible answers, of which the claim is not true of
each."""
MIXED = "mixed: "
"""How what follows begins where arms have other shares of a column, and the outcome would be
another with it held fixed."""
IDLE = (
    "changes nothing here (in every unit its numbers are those without any change), and therefore "
    "excludes nothing"
)
"""What is said of a control that changes nothing."""
NOTHING = 1e-3
"""The share of what is claimed up to which the number of such a control is the rounding of what is
compared, and shown as 0."""
TRUE_UNCHANGED = (
    "a change that does nothing satisfies this claim, so its controls say little; claim a "
    "difference between two changes, such as two layers, instead"
)
"""What is said of a claim that a number stays where it is without the change."""
COMMAND = ": assay run "
"""What parts the words of a price from its command."""


def arm_of(name: str) -> str:
    """Give the arm that a draw of a control is of: random for random (draw 3 of 6)."""
    return name.partition(" (draw ")[0]


def draws_counted(names: Sequence[str]) -> list[str]:
    """Names of controls, with several draws of one counted: "random (2 of 4 draws)"; what a
    draw is made of is left out."""
    draws: dict[str, list[str]] = {}
    names = [re.sub(r"(\(draw \d+ of \d+): .+\)$", r"\1)", name) for name in names]
    for name in names:
        control, _, which = name.partition(" (draw ")
        draws.setdefault(control, []).append(which)
    by_control = {
        control: f"{control} ({len(which)} {which[0].partition(' ')[2].removesuffix(')')} draws)"
        for control, which in draws.items()
        if all(which) and which[1:]
    }
    return list(dict.fromkeys(by_control.get(arm_of(n), n) for n in names))


def explain_reason(reason: str, unbeaten: Sequence[str] = ()) -> str:
    """Say a stored reason in words: "interval straddles" is "the interval spans the threshold".

    Args:
        reason: as it is stored, which names the first control that is not beaten.
        unbeaten: all controls that are not beaten, which are named in place of that one.
    """
    if reason.startswith("gate "):
        gate = reason.removeprefix("gate ")
        return GATES.get(gate, f"its condition {gate!r} is not met")
    if reason.startswith("interval straddles"):
        return "the interval spans the threshold"
    if reason == TIES:
        return "ties: at least half of the units have the same number"
    if reason == OUT_OF_REACH:
        return "the bounds of the measure put the range out of reach"
    if reason == NO_LEAD:
        return "there is no lead to lose"
    if reason == "diverged":
        return "the outcome depends on runs that diverged"
    if reason.startswith("planted ") and reason.endswith(" not found"):
        return f"the planted effect {reason[len('planted ') : -len(' not found')]} is not found"
    if reason.startswith("control ") and reason.endswith(" undecided"):
        return f"{reason.removesuffix(' undecided')} is undecided"
    if reason.startswith("control ") and reason.endswith(" not beaten"):
        *names, last = draws_counted(unbeaten or [reason[len("control ") : -len(" not beaten")]])
        several = f"controls {', '.join(names)} and {last} are not beaten"
        return several if names else f"control {last} is not beaten"
    if reason.startswith("control ") and reason.endswith(" satisfies it too"):
        *names, last = draws_counted(
            reason[len("control ") : -len(" satisfies it too")].split(", ")
        )
        several = f"controls {', '.join(names)} and {last} satisfy it too"
        return several if names else f"control {last} satisfies it too"
    if reason.startswith(GROUPED):
        name = reason.removeprefix(GROUPED)
        if name.startswith(ANSWERS):
            return f"not the same for all {name}"
        if name.startswith(MIXED):
            return name.removeprefix(MIXED)
        ways = name.split(" × ")
        units = " and ".join(map(_unit_of, ways)) + (
            " as crossed units" if ways[1:] else " as the unit"
        )
        return WAYS.get(name, f"units depend on each other: with {units}, it is undecided")
    if reason == BLIND:
        return "blind: nothing shows that an effect of twice the threshold would be found"
    if reason.startswith("violation ") and reason.endswith(" not found"):
        return f"the planted {reason.removesuffix(' not found')} is not found"
    if reason.endswith(" too, unlearned"):
        holds = reason.removesuffix(", unlearned")
        return f"{holds}, although the credited part was not learned there"
    return reason


def _unit_of(name: str) -> str:
    """What a grouping has as its unit: a column, or "each beginning of text"."""
    way, of, column = name.partition(" of ")
    if way == "content":
        return f"each set of rows with similar {column}"
    return f"each {name}" if of else name


MOST_TIMES, MOST_MINUTES = 10, 60
"""More units than so many times those that there are, or more minutes of one core, decide nothing
that anyone would wait for."""
IMPRACTICAL = "more units would be impractical"


def remedy(price: str, times: float = 0.0, instead: str = "") -> tuple[str, str]:
    """Split a price into what decides the claim, in words, and the command that does it, without
    `assay`; "" where there is none, or where it takes too much.

    What does not help keeps its own words.

    Args:
        price: as it is stored.
        times: how many times the present units have to be added.
        instead: what decides the claim where so many are too many.
    Example:
        >>> from assay.core.reasons import remedy
        >>> remedy("about 2,219 more seeds: assay run cut", 277.4, "choose quieter units")
        ('more units would be impractical (about 2,219 more seeds); choose quieter units', '')
    """
    words, colon, command = price.partition(COMMAND)
    minutes = re.search(r"about ([\d,]+) CPU-minutes", words)
    if times > MOST_TIMES or (minutes and int(minutes[1].replace(",", "")) > MOST_MINUTES):
        return f"{IMPRACTICAL} ({words}); {instead}", ""
    none = ("do not help", "no number of units", "even ten", "unspecific")
    helps = not any(no in words for no in none)
    return f"to decide it: {words}" if helps else words, f"run {command}" if colon else ""
