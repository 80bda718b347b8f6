"""What computing takes: amounts of which only two bounds are known, times as people write and read
them, and the memory that is free."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import DataError
from assay.core.nouns import counted

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(s|min|m|h|d)", re.IGNORECASE)


@dataclass(frozen=True)
class Range:
    """A number of which only two bounds are known; equal where it is known. Raises: DataError for
    negative or reversed bounds."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high < math.inf:
            raise DataError(
                f"a range of amounts needs 0 ≤ low ≤ high, both finite, got {self.low:g} to "
                f"{self.high:g}"
            )

    @classmethod
    def about(cls, amount: float, off: float) -> Range:
        """An amount that may be off by a factor either way."""
        return cls(amount / off, amount * off)

    @property
    def middle(self) -> float:
        """The geometric mean of the bounds, which is off by the same factor from either; the plain
        mean where low is 0."""
        return math.sqrt(self.low * self.high) if self.low else self.high / 2

    def to_json(self) -> list[float]:
        """Write it as its two bounds."""
        return [self.low, self.high]

    def __add__(self, other: Range | float) -> Range:
        o = amount(other)
        return Range(self.low + o.low, self.high + o.high)

    def __mul__(self, other: Range | float) -> Range:
        o = amount(other)
        return Range(self.low * o.low, self.high * o.high)

    __radd__, __rmul__ = __add__, __mul__


def amount(x: Range | float, noun: str = "an amount") -> Range:
    """The number as a range. Raises: DataError, naming what it is, when it is negative or no
    number."""
    if isinstance(x, Range):
        return x
    if not 0 <= x < math.inf:
        raise DataError(f"{noun} must be 0 or more and finite, got {x:g}")
    return Range(float(x), float(x))


def time_in_words(seconds: float) -> str:
    """Write a time as it is read aloud: `8 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def cpu_in_words(seconds: float) -> str:
    """Write CPU-seconds with their unit; a small amount is not shown as none."""
    return counted(round(seconds), "CPU-second") if seconds >= 0.5 else "less than 1 CPU-second"


def lasting(seconds: Range) -> str:
    """Write the middle of a range of times as people say it, in the digits that an estimate has:
    minutes to tens of seconds, from ten minutes on whole ones."""
    about = seconds.middle
    step = 1 if about < 60 else 10 if about < 600 else 60
    return f"about {time_in_words(round(about / step) * step)}"


def left_in_words(seconds: Range) -> str:
    """Write the time that is left, rounded up, as wide as it is uncertain: `about 5 to 10 min`."""
    top = seconds.high
    unit, name = (10, "s") if top <= 110 else (60, "min") if top <= 7200 else (3600, "h")
    scale = 10 if name == "s" else 1
    low, high = (max(1, math.ceil(end / unit)) * scale for end in (seconds.low, top))
    return f"about {low} to {high} {name}" if low < high else f"about {high} {name}"


def amount_in_words(r: Range) -> str:
    """Write the middle of a range in three digits."""
    x = r.middle
    return f"{x:.2e}" if 0 < x < 0.01 or x >= 1e6 else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def number_in_words(x: float | None) -> str:
    """Write an amount in three digits; a dash where there is none."""
    return "–" if x is None else "below 1e-6" if x < 1e-6 else f"{x:.3g}"


def in_bytes(count: float) -> str:
    """Write a number of bytes with its unit, such as 512.0 kB or 1.3 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(text: str) -> float:
    """Read a time such as 90s, 5m, 1.5h or 2d, in seconds by the clock.

    Raises: DataError for anything else, and for no time at all.
    Example:
        >>> from assay.core.compute import duration
        >>> [duration(text) for text in ("90s", "5m", "1.5h")]
        [90.0, 300.0, 5400.0]
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise DataError(f"a budget is a time here, such as 90s, 5m or 1.5h; got {text!r}")
    if not 0 < (number := float(match[1])) <= 1e60:
        raise DataError(f"a budget is above 0 and at most 1e60, got {text!r}")
    return number * _SECONDS[match[2].lower()]


def free_memory() -> float:
    """Bytes that the system can still give, swap included; infinity where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = {
            name: value.split()[0] for name, _, value in (line.partition(":") for line in lines)
        }
        free = 1024.0 * (int(fields["MemAvailable"]) + int(fields["SwapFree"]))
    except (OSError, ValueError, LookupError):
        return math.inf
    with suppress(OSError, ValueError):  # what a container may have in all: "max" where no limit is
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return free
