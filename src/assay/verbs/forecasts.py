"""Forecasts: what a plan expects of each claim, in sentences."""

from __future__ import annotations

from assay.ask.planned import Expected
from assay.core.compute import amount_in_words, number_in_words
from assay.core.nouns import plural
from assay.core.power import CHANCE
from assay.core.scopes import listed
from assay.lab.forecast import UNMEASURED, Prospect


def outlined(c: Prospect) -> list[str]:
    """Say what is to be expected of a claim, in sentences; nothing where nothing is measured."""
    if c.half_width is None and c.fewest is None:
        return [f"No forecast of its interval: {c.why}."] if c.why not in ("", UNMEASURED) else []
    spent = f" ({amount_in_words(c.seconds)} CPU-seconds)" if c.seconds is not None else ""
    few = c.power is not None and c.power < CHANCE
    lines = [f"Forecast: {EXPECTED[c.expected]}{powered(c.power)}."]
    if c.half_width is not None:
        units = f"{c.units:,} {plural(c.factor, c.units or 0)}"
        lines.append(
            f"With {units}, the 95% interval is the estimate ± {number_in_words(c.half_width)}, "
            f"and the threshold is {number_in_words(c.distance)} away."
        )
    if c.fewest is None:
        lines.append(f"{c.why[:1].upper()}{c.why[1:]}." if c.why else "")
    else:
        # what these units decide of the claim by itself, they need not decide of its controls
        units = f"{c.fewest:,} {plural(c.factor, 2)}"
        alone = few and c.expected in ("holds", "fails")
        need = f"Without its controls, {units} would" if alone else f"{units} are enough to"
        lines.append(f"{need} decide it{spent}.")
    return [*filter(None, lines), *([f"Warning: {c.warning}."] if c.warning else [])]


EXPECTED = {
    "holds": "it holds",
    "fails": "it fails",
    "undecided": "it is undecided",
    "unknown": "not known",
}
"""What is said about a claim if its estimate stays where it is."""


def powered(power: float | None) -> str:
    """Say in which share of such experiments a claim is decided, and whether that is too seldom; ""
    where nothing is known."""
    if power is None:
        return ""
    words = f"{power:.0%} of such experiments would decide it"
    if power >= CHANCE:
        return f"; {words}, controls included"
    return f". With its controls, only {words}: it is underpowered"


def counted(c: Expected) -> str:
    """Say how many units the judged arm and its controls bring; in one number where they agree."""
    (judged,) = c.judged.values()
    if {*c.controls.values()} <= {judged}:
        each = (
            f", in its own arm and in each control: {listed([*c.controls])}" if c.controls else ""
        )
        return f"Judged on {judged}{each}."
    on = ", ".join(f"{arm} on {count}" for arm, count in c.controls.items())
    return f"Judged on {judged}; its controls: {on}."
