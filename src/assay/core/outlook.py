"""Outlook: what more units buy: how far an interval narrows, what it then decides, and the fewest
units that decide.

All of it is extrapolated on the scale on which a claim is judged, from the spread of the units that
there are. Only one factor is bought, as a rule seeds: what the other factor of a crossed pair
contributes stays, however many are bought."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from assay.core.claims import Claim
from assay.core.contrasts import Between
from assay.core.heavy import xr
from assay.core.intervals import Interval
from assay.core.judging import FEWEST, controls_of, standing
from assay.core.power import CHANCE, beaten, chance, edges, enough, half_width, placed, with_units
from assay.core.reading import plural
from assay.core.results import Outcome


@dataclass(frozen=True)
class Outlook:
    """What a claim's numbers promise: where its estimate lies, on the scale of judging, and how its
    interval narrows."""

    claim: Claim
    interval: Interval
    """Its standard errors count, with the units that there are."""
    factor: str
    """The unit that is bought."""
    controls: tuple[tuple[Interval, Between], ...] = ()
    """Where controls stand, and how far the method lies from each."""

    @property
    def units(self) -> int:
        """How many of this unit there are."""
        return self.interval.n[self._k]

    @property
    def distance(self) -> float:
        """From the estimate to the nearest finite bound that keeps it from its outcome; 0 where no
        width decides."""
        inside, outside = placed(self.claim, *[self.interval.estimate] * 2)
        hold, fail = edges(self.claim)
        ends = hold if inside else fail
        return (
            min(abs(self.interval.estimate - e) for e in ends if math.isfinite(e))
            if inside or outside
            else 0.0
        )

    def half_width(self, units: int) -> float | None:
        """Compute the half-width to expect of the interval that decides, with so many units; None
        for fewer than 3."""
        return (
            half_width(self.claim, with_units(self.interval, self._k, units)) if units > 2 else None
        )

    def outcome(self, units: int) -> Outcome:
        """Tell what 80 % of experiments with so many units come to if the estimate is the truth;
        *undecided* for less than that."""
        if units < FEWEST:
            return "undecided"
        chances = chance(
            self.claim, with_units(self.interval, self._k, units), self.interval.estimate
        )
        return "holds" if chances[0] >= CHANCE else "fails" if chances[1] >= CHANCE else "undecided"

    def power(self, units: int) -> float:
        """Compute in which share of experiments with so many units the claim is decided, controls
        included, if the estimates are the truth."""
        if units < FEWEST:
            return 0.0

        def more(i: Interval) -> Interval:
            return with_units(i, self._k, units) if min(i.n, default=0) > 1 else i

        i = more(self.interval)
        holds, fails = chance(self.claim, i, i.estimate)
        rivals = [(more(k), b._replace(interval=more(b.interval))) for k, b in self.controls]
        if any(min(k.n, default=0) < 2 for k, _ in rivals):  # by a single unit nothing is beaten
            return fails
        return fails + holds * beaten(self.claim, i, rivals, 0.95)(i.estimate)

    def fewest(self) -> int | None:
        """Compute the fewest units with which 80 % of experiments are decided; None where no number
        of them does, up to a million."""
        return enough(self.claim, self.interval, (self._k,), FEWEST)

    def told(self) -> str:
        """Say in a few words of a claim that no number of these units decides what would."""
        if any(placed(self.claim, *[self.interval.estimate] * 2)):
            return f"no number of {plural(self.factor, 2)}"
        return "no number of units: it lies between its bounds"

    @property
    def _k(self) -> int:
        return self.claim.units.index(self.factor)


def outlook(claim: Claim, arms: Mapping[str, xr.Dataset], factor: str = "seed") -> Outlook | None:
    """What these measures promise of a claim when units of this factor are bought; None where its
    units are others.

    Raises: ClaimError when the claim cannot be computed on them.
    """
    if factor not in claim.units:
        return None
    i, *_ = standing(claim, arms)
    if not (min(i.n) > 1 and math.isfinite(i.variance)):
        return None
    return Outlook(claim, i, factor, controls_of(claim, arms))
