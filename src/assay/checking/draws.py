"""Draws: what the draws of a control say of one that was not tried, and further draws where they
leave open whether it satisfies the claim."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from assay.ask.near import Control, in_words
from assay.checking.credited import Draw
from assay.checking.result import OPEN, SHORT
from assay.checking.seen import ERRORS
from assay.core.heavy import scipy
from assay.core.results import Judged

LEAST, MORE = 3, 12
"""So many draws of a control say how much draws differ; how many there are where the first few
leave open whether another one satisfies the claim."""
RARE, TINY = 0.05, 1e-300
"""How probable it is at most that another draw satisfies the claim where that is not open; what
takes the place of a standard deviation of 0."""


def by_arm(draws: Sequence[Draw]) -> dict[str, Draw]:
    """Give each draw an arm: its own name, or its control and number, with a name that is long."""
    names, arms = [d.control.name for d in draws], dict[str, Draw]()
    for i, draw in enumerate(draws):
        name, own = draw.control.name, draw.name
        k, count = (x.count(name) for x in (names[: i + 1], names))
        is_long = draw.control.drawn and count > 1 and len(own) >= SHORT
        numbered = f"{name} (draw {k} of {count}{f': {own}' * is_long})" if count > 1 else name
        arms[own if own and not is_long and own not in arms else numbered] = draw
    return arms


def with_more(
    draws: Sequence[Draw], further: Sequence[Draw], controls: Collection[str]
) -> list[Draw]:
    """Put the further draws of these controls behind those that there are."""
    result = list[Draw]()
    for name in dict.fromkeys(d.control.name for d in draws):
        own, others = ([d for d in x if d.control.name == name] for x in (draws, further))
        result += [*own, *others[len(own) :]] if name in controls else own
    return result


def left_open(things: Mapping[str, Draw], judged: Judged) -> dict[str, str]:
    """Say by name of which controls another draw may satisfy a claim that holds.

    Formula: P(m + s √(1 + 1 / n) t is in the range), with the mean m and the standard deviation s
        of n draws, less their standard errors, and Student's t with n − 1 degrees of freedom
    """
    numbers: dict[Control, list[tuple[float, float]]] = {}
    for arm, draw in things.items() if judged.outcome == "holds" else ():
        v = judged.controls[arm]
        x = v.estimate, (v.high - v.low) / ERRORS
        if draw.control.drawn and np.isfinite(x).all() and not judged.no_test(arm):
            numbers.setdefault(draw.control, []).append(x)
    notes = {}
    for control, of in numbers.items():
        if (n := len(of)) < LEAST:
            continue
        x, errors = np.transpose(of)
        variance = float(x.var(ddof=1) - (errors**2).mean())  # noise has its part in the intervals
        spread = math.sqrt(max(variance, TINY) * (1 + 1 / n))
        low, high = scipy.stats.t.cdf((np.array(judged.range) - x.mean()) / spread, n - 1)
        if high - low > RARE:
            notes[control.name] = (
                f"the {n} draws of control {control.name}{OPEN}{in_words(control.why)}: given how "
                f"much they differ, about {high - low:.0%} of such draws would satisfy the claim; "
                "claim a larger effect, or ask for more draws with draws="
            )
    return notes
