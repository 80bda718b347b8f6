"""Plateaus of a loss curve: how deep, how many, how sharp, and where they stand.

A curve is the loss at every step, [..., step], from the start on, with no gaps.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import scipy

Curve = Float[np.ndarray, "*runs step"]

POINTS = 300
"""Log-spaced times at which drops are looked for."""
AVERAGED = 5
"""Neighbouring times whose mean is taken before peaks are looked for."""
PROMINENCE = 0.05
"""Least prominence of a peak, as a share of the highest."""


def depth(loss: Curve) -> Float[np.ndarray, "*runs"]:
    """Plateau depth: the slowest descent before the fastest one, over the fastest. NaN where the
    loss never falls.

    Formula: min_{t ≤ t*} s(t) / s(t*), s(t) = L(t) − L(t + 1), t* = argmax s. Range: up to 1; 0 is
    a perfect plateau, 1 none at all (steepest at once), below 0 where the loss rises first. Better:
    neither."""
    speed = -np.diff(loss, axis=-1)
    top = speed.max(-1, keepdims=True)
    # A slow stretch after the fastest descent is the end of training, not a plateau on the way.
    before = np.arange(speed.shape[-1]) <= speed.argmax(-1)[..., None]
    slowest = np.where(before, speed, np.inf).min(-1)
    with np.errstate(all="ignore"):
        return np.where(top[..., 0] > 0, slowest / top[..., 0], np.nan)


def pace(loss: Curve) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, "*runs time"]]:
    """Log-spaced times (in steps, from 1 to the last), and how fast the loss falls there, as a
    share of the start per e-fold of time.

    Formula: −dL/d ln t / L₀ by central differences, then a moving mean of 5 times, of fewer at the
    ends."""
    last = loss.shape[-1] - 1
    times = np.geomspace(1, last, POINTS)
    steps = np.arange(last + 1)
    flat = loss.reshape(-1, last + 1)
    losses = np.stack([np.interp(times, steps, curve) for curve in flat])
    with np.errstate(all="ignore"):
        falling = -np.gradient(losses, np.log(times), axis=-1) / flat[:, :1]
    # How many points each window really has: fewer at the ends, where zeros would pull the mean
    # down.
    weights = np.convolve(np.ones(POINTS), np.ones(AVERAGED), "same")
    smooth = np.stack(
        [np.convolve(curve, np.ones(AVERAGED), "same") / weights for curve in falling]
    )
    return times, smooth.reshape(*loss.shape[:-1], POINTS)


def drops(loss: Curve, prominence: float = PROMINENCE) -> Int[np.ndarray, "*runs"]:
    """How often the loss drops: peaks of its `pace` with a prominence of at least this share of the
    highest. A plateau precedes each."""
    _, falling = pace(loss)
    flat = falling.reshape(-1, POINTS)
    counts = [
        len(scipy.signal.find_peaks(curve, prominence=prominence * curve.max())[0])
        if curve.max() > 0
        else 0
        for curve in flat
    ]
    return np.array(counts, dtype=np.int64).reshape(loss.shape[:-1])


def time_to(loss: Curve, share: float) -> Float[np.ndarray, "*runs"]:
    """The first step at which the loss is at most this share of its start, in steps; NaN if it
    never is."""
    below: Bool[np.ndarray, "*runs step"] = loss <= share * loss[..., :1]
    return np.where(below.any(-1), below.argmax(-1).astype(float), np.nan)


def standing(
    times: Float[np.ndarray, " time"],
    loss: Float[np.ndarray, "runs time"],
    slope: float = 0.05,
    decades: float = 0.3,
    most: int = 4,
) -> Int[np.ndarray, "runs plateau 2"]:
    """First and last index of the times of each plateau, the first `most` of every run; −1 where a
    run has fewer.

    Formula: maximal stretches with |d ln L / d ln t| < slope by central differences, from first to
    last time at least `decades` factors of ten. Unlike `drops` it needs the loss at some times
    only, log-spaced ones for instance, and tells where."""
    with np.errstate(all="ignore"):
        flat = np.abs(np.gradient(np.log(loss), np.log(times), axis=-1)) < slope
    plateaus = np.full((len(loss), most, 2), -1)
    for run, mask in enumerate(flat):
        # A 0 on either side makes every stretch begin and end within: changes come in pairs, first
        # index and one past the last.
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))).reshape(
            -1, 2
        ) - [0, 1]
        lasting = edges[times[edges[:, 1]] >= times[edges[:, 0]] * 10**decades][:most]
        plateaus[run, : len(lasting)] = lasting
    return plateaus
