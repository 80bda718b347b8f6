"""Amounts in words: times, and what trains together."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core.compute import Range


def duration(seconds: float) -> str:
    """Write a time as it is read aloud: `8 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def lasting(seconds: Range) -> str:
    """Write the middle of a range of times as people say it, in the digits that an estimate has:
    minutes to tens of seconds, from ten minutes on whole ones."""
    about = seconds.middle
    step = 1 if about < 60 else 10 if about < 600 else 60
    return f"about {duration(round(about / step) * step)}"


def batch(arms: Sequence[str], seeds: str) -> str:
    """Name what trains together so that no two batches have the same name: "main, relu and 3 more
    (seed 1001)"."""
    names = ", ".join(arms) if len(arms) <= 3 else f"{', '.join(arms[:2])} and {len(arms) - 2} more"
    return f"{names} ({seeds})" if seeds else names


def amount(r: Range) -> str:
    """Write the middle of a range in three digits."""
    x = r.middle
    return f"{x:.2e}" if 0 < x < 0.01 or x >= 1e6 else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def number(x: float | None) -> str:
    """Write an amount in three digits; a dash where there is none."""
    return "–" if x is None else "below 1e-6" if x < 1e-6 else f"{x:.3g}"
