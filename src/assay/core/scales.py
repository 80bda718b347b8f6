"""Scales on which units are averaged, for measures that are skewed or near a bound: log, -log(1 -
x), logit; all increasing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

Scale = Literal["plain", "log", "log1m", "logit"]

ESTIMAND = {
    "plain": "",
    "log": "judged on the log of each unit: the estimate is the geometric mean",
    "log1m": "judged on -log(1 - x) of each unit: the estimate is 1 - the geometric mean of 1 - x",
    "logit": (
        "judged on the logit of each unit: the estimate is the mean log-odds, put back on the "
        "scale of x"
    ),
}


def rescale(scale: Scale, x: Any) -> Any:
    """x on the given scale, increasing: log x, -log(1 - x) or log(x / (1 - x)); NaN outside its
    domain, infinite at a bound."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        if scale == "log":
            out = np.log(x)
        elif scale == "log1m":
            out = -np.log1p(-x)
        elif scale == "logit":
            out = np.log(x) - np.log1p(-x)
        else:
            out = x
    return out if out.ndim else float(out)


def unscale(scale: Scale, y: float) -> float:
    """The inverse of `rescale`."""
    if scale == "log":
        return float(np.exp(y))
    if scale == "log1m":
        return float(-np.expm1(-y))
    if scale == "logit":
        return float(1 / (1 + np.exp(-y)))
    return y


def unscaled(scale: Scale, ys: Iterable[float]) -> tuple[float, ...]:
    """The inverse of `rescale`, of several numbers."""
    return tuple(unscale(scale, y) for y in ys)
