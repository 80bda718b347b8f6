"""Outlook: what more units buy: how far an interval narrows, what it then decides, and the fewest units that decide.

The half-width is extrapolated on the scale on which a claim is judged, from the spread of the units that there are. Only
one factor is bought, as a rule seeds: what the other factor of a crossed pair contributes stays, however many are bought.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import xarray as xr
from scipy.special import stdtrit

from assay.core.claims import Claim, Outcome
from assay.core.errors import DataError
from assay.core.intervals import Interval
from assay.core.judging import FEWEST, standing
from assay.core.reading import plural

MOST = 1_000_000
"""More units than anybody buys: beyond them a claim counts as not decidable by units."""


@dataclass(frozen=True)
class Spread:
    """How wide the 95 % interval of a statistic is with the units there are, and which part of that more of them narrow."""

    half_width: float
    units: int
    """Of the factor that is bought."""
    stays: float = 0.0
    """The share of the squared standard error that more of these units leave as it is: the other factor's, 0 to 1."""
    beside: int | None = None
    """Units of the other factor, if there is one; the smaller number decides Student's t."""

    def __post_init__(self) -> None:
        if self.units < 2 or not self.half_width >= 0 or not 0 <= self.stays <= 1:
            got = f"{self.units} units, half-width {self.half_width:g}, {self.stays:g} of it staying"
            raise DataError(f"a spread needs two units or more, a half-width from 0 up and a share from 0 to 1, got {got}")

    def if_all_narrow(self) -> Spread:
        """Let all of it narrow with the units that are bought: right for one factor only."""
        return replace(self, stays=0.0)

    def expected(self, units: int) -> float:
        """The half-width to expect with so many units, in the unit of the statistic's scale.

        Formula: hw(n) = hw(n₀) · t(n)/t(n₀) · √((1 − stays) n₀/n + stays), t the 97.5 % point of Student's t with one degree
        of freedom less than the smaller factor has units. For one factor and many units that is hw(n₀) √(n₀/n).
        Raises: DataError for fewer than two units.
        """
        if units < 2:
            raise DataError(f"an interval needs two units or more, got {units}")
        return self.half_width * self._t(units) / self._t(self.units) * math.sqrt((1 - self.stays) * self.units / units + self.stays)

    def _t(self, units: int) -> float:
        return float(stdtrit(min(units, self.beside or units) - 1, 0.975))


@dataclass(frozen=True)
class Outlook:
    """What a claim's numbers promise: where its estimate lies, on the scale of judging, and how its interval narrows."""

    estimate: float
    spread: Spread
    hold: tuple[float, float]
    fail: tuple[float, float]
    """The ranges to hold in, and to fail outside of, on the scale of judging."""
    factor: str
    """The unit that is bought."""

    @property
    def distance(self) -> float:
        """From the estimate to the nearest finite bound that keeps it from its outcome; 0 where no width decides."""
        outcome = placed(self.estimate, self.estimate, self.hold, self.fail)
        edges = self.hold if outcome == "holds" else self.fail
        return 0.0 if outcome == "undecided" else min(abs(self.estimate - e) for e in edges if math.isfinite(e))

    def outcome(self, units: int) -> Outcome:
        """What to expect with so many units if the estimate stays where it is; *undecided* below 6 of them."""
        if units < FEWEST:
            return "undecided"
        half = self.spread.expected(units)
        return placed(self.estimate - half, self.estimate + half, self.hold, self.fail)

    def fewest(self) -> int | None:
        """The fewest units that are expected to decide; None where no number of them does, up to a million."""
        if self.outcome(MOST) == "undecided":
            return None
        low, high = FEWEST, MOST
        while low < high:  # the half-width falls with every unit
            middle = (low + high) // 2
            low, high = (low, middle) if self.outcome(middle) != "undecided" else (middle + 1, high)
        return low

    def told(self, units: int | None = None) -> str:
        """In a few words what decides it, such as "8 seeds decide it"."""
        need = self.fewest()
        if need is None:
            between = placed(self.estimate, self.estimate, self.hold, self.fail) == "undecided"
            return "no number of units: it lies between its bounds" if between else f"no number of {plural(self.factor, 2)}"
        return f"{need:,} {plural(self.factor, need)}"


def placed(low: float, high: float, hold: tuple[float, float], fail: tuple[float, float]) -> Outcome:
    """Where an interval lies: within the range to hold, outside the range to fail, or neither."""
    if hold[0] <= low and high <= hold[1]:
        return "holds"
    return "fails" if high < fail[0] or low > fail[1] else "undecided"


def spread(i: Interval, factor: int = 0) -> Spread:
    """Tell the spread behind an interval when units of this factor, the first or second, are bought.

    By its Student-t limits, or by the exact ones where units have bounds.

    Formula: stays = 1 − V_a / V of the interval's squared standard errors; 0 for one factor.
    Raises: DataError when there are fewer than two units.
    """
    stays = 1 - i.parts[factor] / i.variance if i.variance else 0.0
    beside = i.n[1 - factor] if len(i.n) == 2 else None
    low, high = (i.low, i.high) if math.isnan(i.t_low) else (i.t_low, i.t_high)
    return Spread((high - low) / 2, i.n[factor], min(1.0, max(0.0, stays)), beside)


def outlook(claim: Claim, arms: Mapping[str, xr.Dataset], factor: str = "seed") -> Outlook | None:
    """What these measures promise of a claim when units of this factor are bought; None where its units are others.

    Raises: ClaimError when the claim cannot be computed on them.
    """
    if factor not in claim.units:
        return None
    i, hold, fail = standing(claim, arms)
    k = claim.units.index(factor)
    if i.n[k] < 2 or not math.isfinite(i.variance):
        return None
    return Outlook(i.estimate, spread(i, k), hold, fail, factor)
