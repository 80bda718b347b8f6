"""Half-widths of intervals that more units are expected to have: by Student's t, from the spread of
the units there are. Of two factors only one is bought; what the other contributes stays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from assay.core.errors import DataError
from assay.core.heavy import scipy
from assay.core.intervals import Interval, freedom


@dataclass(frozen=True)
class Spread:
    """How wide the 95% interval of a statistic is with the units there are, and which part of that
    more of them narrow."""

    half_width: float
    units: int
    """Of the factor that is bought."""
    stays: float = 0.0
    """The share of the squared standard error that more of these units leave as it is: the other
    factor's, 0 to 1."""
    beside: int | None = None
    """Units of the other factor, if there is one."""
    other: float = 0.0
    """V_b / V of the other factor, which counts for the degrees of freedom."""

    def __post_init__(self) -> None:
        if self.units < 2 or not self.half_width >= 0 or not 0 <= self.stays <= 1:
            got = (
                f"{self.units} units, half-width {self.half_width:g}, {self.stays:g} of it staying"
            )
            raise DataError(
                "a spread needs two units or more, a half-width from 0 up and a share from 0 "
                f"to 1, got {got}"
            )

    def if_all_narrow(self) -> Spread:
        """Let all of it narrow with the units that are bought: right for one factor only."""
        return replace(self, stays=0.0, beside=None, other=0.0)

    def expected(self, units: int) -> float:
        """The half-width to expect with so many units, in the unit of the statistic's scale.

        Formula: hw(n) = hw(n₀) · t(n)/t(n₀) · √((1 − stays) n₀/n + stays), t the 97.5 % point of
        Student's t, of two factors with Satterthwaite's degrees of freedom. For one factor and many
        units that is hw(n₀) √(n₀/n).
        Raises: DataError for fewer than two units.
        """
        if units < 2:
            raise DataError(f"an interval needs two units or more, got {units}")
        return (
            self.half_width
            * self._t(units)
            / self._t(self.units)
            * math.sqrt((1 - self.stays) * self.units / units + self.stays)
        )

    def _t(self, units: int) -> float:
        degrees = float(units - 1)
        if self.beside is not None:
            narrowed = self.units / units
            bought = (1 - self.stays) * narrowed
            shared = max(0.0, self.other - self.stays)  # what cells vary by, in both factors
            parts = (bought, self.stays + shared * narrowed)
            degrees = freedom(bought + self.stays, parts, (units, self.beside))
        return float(scipy.special.stdtrit(degrees, 0.975))


def spread(i: Interval, factor: int = 0) -> Spread:
    """Tell the spread behind an interval when units of this factor, the first or second, are
    bought.

    By its Student-t limits, or by the exact ones where units have bounds.

    Formula: stays = 1 − V_a / V of the interval's squared standard errors; 0 for one factor.
    Raises: DataError when there are fewer than two units.
    """
    stays = 1 - i.parts[factor] / i.variance if i.variance else 0.0
    other_count = i.n[1 - factor] if len(i.n) == 2 else None
    low, high = (i.low, i.high) if math.isnan(i.t_low) else (i.t_low, i.t_high)
    other = i.parts[1 - factor] / i.variance if len(i.n) == 2 and i.variance else 0.0
    return Spread((high - low) / 2, i.n[factor], min(1.0, max(0.0, stays)), other_count, other)
