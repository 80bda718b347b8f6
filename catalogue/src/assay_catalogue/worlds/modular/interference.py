"""What a set of frequencies costs a circuit for modular addition: its loss at given amplitudes, and
the cheapest amplitudes.

A circuit with frequencies K and amplitudes A answers c to a + b with logits sum_k A_k cos(2 pi k d
/ p), d = c − a − b mod p. The waves agree at d = 0 and interfere elsewhere; how well they cancel
there depends on K. Frequencies k and p − k are the same wave, and multiplying a set by any unit mod
p only renames d."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SpecError
from assay.train import rng
from assay_catalogue.worlds.modular.addition import prime

Sets = Iterable[Iterable[int]]
"""Sets of frequencies, each an iterable of whole numbers; sizes may differ."""

STARTS = (1.5, 4.0, 12.0)
"""Amplitudes, the same for all frequencies, from which each subset's optimum is looked for."""
WHOLE = 11
"""The most frequencies of a set all of whose subsets are tried; of larger ones weak frequencies are
dropped one by one."""
MOST_LOG = 12.0
"""The largest log amplitude: without a price there is no optimum, and amplitudes would grow for
ever."""


@dataclass(frozen=True)
class Optimum:
    """The cheapest circuit of each set, in the order of the sets."""

    objective: Float[np.ndarray, " set"]
    """J: mean cross-entropy plus half the weight decay times the squared parameter norm, nats."""
    size: Float[np.ndarray, " set"]
    """S = sum_k A_k^(2/3), so that nu S is the squared norm. J changes with nu by decay S / 2, to
    first order."""
    amplitudes: Float[np.ndarray, "set frequency"]
    """A_k of frequency 1 … (p − 1)/2, zero outside the set."""


def folded(frequencies: Iterable[int], p: int) -> tuple[int, ...]:
    """The set with p − k written as k for k above p/2, in the given order.

    Raises: SpecError for a modulus that is no odd prime, a frequency 0, one that is given twice, or
    more than exist."""
    most = (prime(p) - 1) // 2
    numbers = tuple(int(k) for k in frequencies)
    if len(numbers) > most:
        raise SpecError(f"there are {most} frequencies at modulus {p}, got {len(numbers)}")
    if any(k % p == 0 for k in numbers):
        raise SpecError(
            f"frequency 0 is a constant and no wave; frequencies are 1 … {most} at modulus "
            f"{p}, got {list(numbers)}"
        )
    canonical = tuple(min(k % p, -k % p) for k in numbers)
    if len(set(canonical)) < len(canonical):
        raise SpecError(
            f"a frequency is given twice in {list(numbers)}: k and {p} − k are the same wave"
        )
    return canonical


def masks(sets: Sets, p: int) -> Float[np.ndarray, "set frequency"]:
    """1 for the frequencies of each set and 0 for others, frequency 1 … (p − 1)/2. Raises: as
    `folded`."""
    folded_sets = [folded(k, p) for k in sets]
    out = np.zeros((len(folded_sets), (prime(p) - 1) // 2))
    for row, k in zip(out, folded_sets, strict=True):
        row[np.array(k, dtype=int) - 1] = 1
    return out


def sets_of(chosen: Float[np.ndarray, "set frequency"]) -> Sequence[tuple[int, ...]]:
    """The frequencies whose entry is not 0, set by set."""
    return [tuple(int(k) + 1 for k in np.flatnonzero(row)) for row in chosen]


def cross_entropy(
    amplitudes: Float[np.ndarray, "set frequency"], p: int
) -> Float[np.ndarray, " set"]:
    """Mean cross-entropy of circuits with these amplitudes of frequency 1 … (p − 1)/2, nats.

    Formula: log(1 + sum over d = 1 … p − 1 of exp(−sum_k A_k (1 − cos(2 pi k d / p)))).
    Range: 0 to log p where no amplitude is negative. Better: lower.
    """
    # Twice half the differences: d and p − d give the same.
    return np.log1p(2 * np.exp(-_checked(amplitudes, p) @ _drops(p)).sum(-1))


def margin(amplitudes: Float[np.ndarray, "set frequency"], p: int) -> Float[np.ndarray, " set"]:
    """By how much the right logit exceeds the best wrong one: the least over d of sum_k A_k (1 −
    cos(2 pi k d / p)). Better: higher."""
    return (_checked(amplitudes, p) @ _drops(p)).min(-1)


def optimum(sets: Sets, p: int, *, decay: float, nu: float) -> Optimum:
    """The cheapest circuit of each set: amplitudes of at least 0 that minimise loss plus decayed
    norm.

    Formula: min over A of cross_entropy(A) + decay/2 nu sum_k A_k^(2/3), to 1e-9 nats. The power
    2/3 is that of a network whose logits are cubic in its weights. It is concave, so that each
    subset of the set may hold a local minimum with the others at 0. All are tried, by Newton steps
    on log A from three starts, so that no set costs more than a part of it; of a set of more than
    11 frequencies, only what is left when the weakest is dropped again and again, which bounds J
    from above.
    Raises: SpecError for sets as in `folded`, and for a negative decay or nu.
    """
    _check_price(decay, nu)
    folded_sets = [tuple(sorted(folded(k, p))) for k in sets]
    price = decay / 2 * nu
    known = _known(p, price)
    parts = {
        k: [c for m in range(1, len(k) + 1) for c in itertools.combinations(k, m)]
        for k in set(folded_sets)
        if len(k) <= WHOLE
    }
    names = _representatives({c for some in parts.values() for c in some}, p)
    _solve({names[c] for some in parts.values() for c in some}, p, price, known)
    out = np.zeros((len(folded_sets), (p - 1) // 2))
    objective = np.empty(len(folded_sets))
    for i, k in enumerate(folded_sets):
        if k not in parts:
            parts[k] = _dropped(k, p, price, known)
            names |= _representatives(parts[k], p)
        cost, chosen = min(((known[names[c]][0], c) for c in parts[k]), default=(math.inf, ()))
        objective[i] = min(cost, math.log(p))  # that of no circuit at all
        if cost < math.log(p):
            out[i, np.array(chosen) - 1] = _amplitudes(chosen, names[chosen], p, known)
    return Optimum(objective, (np.cbrt(out) ** 2).sum(1), out)


Circuit = tuple[float, Float[np.ndarray, " frequency"]]
"""J and the amplitudes of a set of which every frequency is used."""


@lru_cache(maxsize=16)
def _known(p: int, price: float) -> dict[tuple[int, ...], Circuit]:
    """The cheapest circuits that were found so far at a modulus and a price, by representative;
    they only save time."""
    return {}


def _dropped(
    k: tuple[int, ...], p: int, price: float, known: dict[tuple[int, ...], Circuit]
) -> list[tuple[int, ...]]:
    """A set, and what is left of it when the weakest frequency of its cheapest circuit is dropped
    again and again."""
    out = [k]
    while len(out[-1]) > 1:
        name = representative(out[-1], p)
        _solve({name}, p, price, known)
        A = _amplitudes(out[-1], name, p, known)
        out.append(tuple(x for i, x in enumerate(out[-1]) if i != int(A.argmin())))
    _solve({representative(out[-1], p)}, p, price, known)
    return out


def _representatives(
    sets: Iterable[tuple[int, ...]], p: int
) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Each set and its representative."""
    by_size: dict[int, list[tuple[int, ...]]] = {}
    for k in sets:
        by_size.setdefault(len(k), []).append(k)
    return {
        k: tuple(row)
        for some in by_size.values()
        for k, row in zip(some, _smallest(np.array(some), p)[0].tolist(), strict=True)
    }


def _amplitudes(
    k: tuple[int, ...], name: tuple[int, ...], p: int, known: dict[tuple[int, ...], Circuit]
) -> np.ndarray:
    """The amplitudes of a set, from those of its representative."""
    for f in k:
        unit = pow(f, -1, p)
        image = [min(x * unit % p, -x * unit % p) for x in k]
        if sorted(image) == list(name):
            return known[name][1][[name.index(x) for x in image]]
    raise AssertionError("a representative is an image of its set")


def _solve(
    names: set[tuple[int, ...]],
    p: int,
    price: float,
    known: dict[tuple[int, ...], Circuit],
    chunk: int = 4_000,
) -> None:
    """Add to `known` the cheapest circuits of these sets with every frequency in use: the best of
    Newton's from all starts."""
    todo = sorted(names - known.keys(), key=lambda k: (len(k), k))
    for some in (todo[i : i + chunk] for i in range(0, len(todo), chunk)):
        m = len(some[-1])
        inside = np.array([[i < len(k) for i in range(m)] for k in some], dtype=float)
        # Filled up to one width; what is filled in has neither drops nor a price, and no effect.
        filled = np.array([[*k, *[1] * (m - len(k))] for k in some])
        drops = _drops(p)[filled - 1] * inside[..., None]  # [set, frequency, difference]
        best = np.full(len(some), np.inf)
        amplitudes = np.zeros_like(inside)
        for start in STARTS:
            J, A = _descended(np.full(inside.shape, math.log(start)), drops, price * inside)
            amplitudes = np.where((best > J)[:, None], A, amplitudes)
            best = np.minimum(J, best)
        known.update(
            {k: (float(J), A[: len(k)]) for k, J, A in zip(some, best, amplitudes, strict=True)}
        )


def _descended(
    x: np.ndarray, drops: np.ndarray, price: np.ndarray, steps: int = 80
) -> tuple[np.ndarray, np.ndarray]:
    """(J [set], A [set, frequency]) of a local minimum, from log amplitudes x: Newton steps along
    |curvature|, only downhill."""
    J, slope, bend = _local(x, drops, price)
    damping = np.full(len(x), 1e-6)
    live = np.arange(len(x))
    for _ in range(steps):
        # By |curvature| a step leads downhill also where J bends down, as between two local minima,
        # where Newton's own step would climb to the saddle.
        curve, axes = np.linalg.eigh(bend[live])
        turned = np.einsum("sij,si->sj", axes, slope[live]) / (np.abs(curve) + damping[live, None])
        step = -np.einsum("sij,sj->si", axes, turned)
        step /= np.maximum(1, np.abs(step).max(1, keepdims=True))
        to = np.minimum(x[live] + step, MOST_LOG)
        candidate = _local(to, drops[live], price[live])
        lower = candidate[0] <= J[live]
        won = live[lower]
        converged = lower & ((J[live] - candidate[0]) < 1e-12) & (np.abs(slope[live]).max(1) < 1e-9)
        x[won] = to[lower]
        J[won], slope[won], bend[won] = (v[lower] for v in candidate)
        damping[live] = np.where(lower, damping[live] / 10, damping[live] * 10)
        live = live[~converged & (damping[live] < 1e6)]
        if not len(live):
            break
    return J, np.where(price > 0, np.exp(x), 0) if price.any() else np.exp(x)


def _local(
    x: np.ndarray, drops: np.ndarray, price: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """J [set], and its slope and curvature in log amplitudes."""
    A = np.exp(x)
    # With x = ln A, s_d = e_d/(1 + Σ e) and D the drops: ∂J/∂x_k = ⅔ cost_k − A_k E_s[D_k], and
    # ∂²J/∂x_k∂x_l = A_k A_l Cov_s(D_k, D_l) + δ_kl (4/9 cost_k − A_k E_s[D_k]).
    e = 2 * np.exp(-np.einsum("sk,skd->sd", A, drops))
    total = 1 + e.sum(1)
    share = e / total[:, None]
    cost = price * np.cbrt(A) ** 2
    mean = np.einsum("skd,sd->sk", drops, share)
    spread = (drops * share[:, None]) @ drops.transpose(0, 2, 1) - mean[:, :, None] * mean[:, None]
    bend = A[:, :, None] * A[:, None] * spread
    diagonal = np.arange(A.shape[1])
    bend[:, diagonal, diagonal] += 4 / 9 * cost - A * mean
    return np.log(total) + cost.sum(1), 2 / 3 * cost - A * mean, bend


def even(sets: Sets, p: int, *, decay: float, nu: float) -> Float[np.ndarray, " set"]:
    """J of the cheapest circuit of each set that gives all its frequencies one amplitude, nats.

    At least `optimum`, which may starve a frequency that interferes. The amplitude is looked for on
    a grid from 0.05 to 100,000 in steps of 1 %, so that J is right to 1 in 10,000. Raises:
    SpecError as `optimum`."""
    _check_price(decay, nu)
    mask = masks(sets, p)
    grid = np.exp(np.linspace(np.log(0.05), np.log(1e5), 1_452))
    best = np.full(len(mask), np.inf)
    for a in grid:
        best = np.minimum(
            best, cross_entropy(a * mask, p) + decay / 2 * nu * mask.sum(1) * np.cbrt(a) ** 2
        )
    return best


def representative(frequencies: Iterable[int], p: int) -> tuple[int, ...]:
    """The first, in dictionary order, of all sets that multiplying by a unit mod p makes of this
    one; it contains 1."""
    k = np.array([folded(frequencies, p)])
    return tuple(int(x) for x in _smallest(k, p)[0][0])


def _smallest(
    k: Int[np.ndarray, "set frequency"], p: int
) -> tuple[Int[np.ndarray, "set frequency"], Int[np.ndarray, " set"]]:
    """The smallest set of each orbit, and how many units lead to it: only those that make one of
    the frequencies a 1 can."""
    # A unit that leads to the smallest set must make one of its members a 1.
    inverse = np.array([0] + [pow(u, -1, p) for u in range(1, p)])
    images = np.stack(
        [_fold(k * inverse[k[:, i : i + 1]], p) for i in range(k.shape[1])]
    )  # [choice, set, frequency]
    images.sort(axis=2)
    code = (
        images @ p ** np.arange(k.shape[1] - 1, -1, -1, dtype=np.int64)
        if k.shape[1] * np.log2(p) < 62
        else _ranks(images)
    )
    best = code.argmin(0)
    return images[best, np.arange(len(k))], (code == code.min(0)).sum(0)


def _ranks(images: Int[np.ndarray, "choice set frequency"]) -> Int[np.ndarray, "choice set"]:
    """Where each set stands among all in dictionary order; for sets too large to be the digits of
    one number."""
    return np.unique(images.reshape(-1, images.shape[2]), axis=0, return_inverse=True)[1].reshape(
        images.shape[:2]
    )


def _fold(k: Int[np.ndarray, "..."], p: int) -> Int[np.ndarray, "..."]:
    return np.minimum(k % p, -k % p)


def _check_price(decay: float, nu: float) -> None:
    if not (decay >= 0 and nu >= 0):
        raise SpecError(
            f"weight decay and nu must be at least 0, got {decay:g} and {nu:g}: less would "
            "reward an endless norm"
        )


def _checked(
    amplitudes: Float[np.ndarray, "set frequency"], p: int
) -> Float[np.ndarray, "set frequency"]:
    if np.shape(amplitudes)[-1] != (prime(p) - 1) // 2:
        raise SpecError(
            f"modulus {p} has {(p - 1) // 2} frequencies, got amplitudes of "
            f"{np.shape(amplitudes)[-1]}"
        )
    return np.asarray(amplitudes, dtype=np.float64)


@lru_cache(maxsize=8)
def _drops(p: int) -> Float[np.ndarray, "frequency difference"]:
    """1 − cos(2 pi k d / p) for d = 1 … (p − 1)/2; p − d gives the same."""
    k = np.arange(1, (prime(p) - 1) // 2 + 1)
    return 1 - np.cos(2 * np.pi * np.outer(k, k) / p)


DRAWN = 24
"""Random sets among which a seed's good and bad ones are found."""


@lru_cache(maxsize=64)
def drawn_sets(
    seeds: tuple[int, ...], p: int, count: int, decay: float, nu: float
) -> dict[str, tuple[Int[np.ndarray, "run frequency"], Optimum]]:
    """{kind: (the seeds' sets, their cheapest circuits)}, where each seed draws 24 sets.

    Kinds: `random`, the first drawn; `good` and `bad`, those of lowest and highest J; `same`,
    another set of good's orbit, as frequencies up to p − 1. Raises: SpecError as
    `optimum`."""
    most, n = (prime(p) - 1) // 2, len(seeds)
    candidates = np.stack(
        [
            rng.permutation(np.array(seeds), "frequencies.lot", i, most)[:, :count] + 1
            for i in range(DRAWN)
        ],
        1,
    )
    best = optimum(candidates.reshape(-1, count).tolist(), p, decay=decay, nu=nu)
    J = best.objective.reshape(n, DRAWN)
    unit = 2 + rng.integers(
        np.array(seeds), "frequencies.unit", 0, (1,), max(most - 1, 1)
    )  # not 1, which changes nothing

    def pick(i: Int[np.ndarray, " run"]) -> tuple[Int[np.ndarray, "run frequency"], Optimum]:
        rows = np.arange(n) * DRAWN + i
        return candidates[np.arange(n), i], Optimum(
            best.objective[rows], best.size[rows], best.amplitudes[rows]
        )

    good = pick(J.argmin(1))
    turned = np.array(masks((good[0] * unit).tolist(), p))
    amplitudes = np.zeros_like(turned)
    for r, (k, u) in enumerate(zip(good[0], unit[:, 0], strict=True)):
        for frequency in k.tolist():
            [image] = folded([frequency * int(u)], p)
            amplitudes[r, image - 1] = good[1].amplitudes[r, frequency - 1]
    same = (good[0] * unit % p, Optimum(good[1].objective, good[1].size, amplitudes))
    return {
        "random": pick(np.zeros(n, dtype=int)),
        "good": good,
        "bad": pick(J.argmax(1)),
        "same": same,
    }
