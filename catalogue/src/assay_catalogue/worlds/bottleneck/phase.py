"""The smallest phase diagram of superposition, worked out: which features a ReLU bottleneck keeps,
by density and importance.

Two features in one dimension (Toy Models of Superposition, "Superposition as a Phase Change"): x' =
ReLU(W Wᵀ x + b), each feature present with probability p and then uniform on [0, 1]; the second is
r times as important as the first. All losses are expectations summed over features, E Σ_i I_i (x_i
− x'_i)²."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import as_numpy
from assay.core.errors import SpecError
from assay.core.heavy import scipy

Numbers = float | Float[np.ndarray, "..."]
State = Literal["superposed", "lesser ignored", "other"]
STATES: tuple[State, ...] = ("superposed", "lesser ignored", "other")
"""What a trained 2 → 1 model can look like; a label is an index into this."""
KEPT = 0.3
"""Length of a feature's column from which it counts as kept."""


def _checked(density: Numbers = 0.0, relative: Numbers = 1.0) -> tuple[Numbers, Numbers]:
    """Give both as plain numbers or NumPy arrays. Raises: SpecError for no probabilities, and
    importances not above 0 or infinite."""
    density, relative = (
        x if isinstance(x, int | float) else as_numpy(x) for x in (density, relative)
    )
    p, r = np.asarray(density, float), np.asarray(relative, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise SpecError(
            f"a density is a probability, 0 to 1, got {p[~((p >= 0) & (p <= 1))].flat[0]:g}"
        )
    if not ((r > 0) & np.isfinite(r)).all():
        raise SpecError(
            "a relative importance is above 0 and finite, got "
            f"{r[~((r > 0) & np.isfinite(r))].flat[0]:g}"
        )
    return density, relative


def superposed_loss(density: Numbers, relative: Numbers) -> Numbers:
    """The exact loss of W = (1, −1), b = 0: p²(1 + r)/6. Only inputs with both features cost, E
    min(u, v)² = 1/6 each."""
    density, relative = _checked(density, relative)
    return density**2 * (1 + relative) / 6


def kept_loss(density: Numbers, relative: Numbers) -> Numbers:
    """The exact loss of keeping the more important feature and guessing the other's mean: min(1, r)
    (p/3 − p²/4).

    The least loss of any model whose other column is zero: W = (1, 0), b = (0, p/2) where r ≤ 1.
    """
    density, relative = _checked(density, relative)
    return np.minimum(1.0, relative) * (density / 3 - density**2 / 4)


def boundary(relative: Numbers) -> Numbers:
    """p*(r), the density below which W = (1, −1) beats keeping one feature: 4r/(2 + 5r) for r ≤ 1,
    4/(5 + 2r) above.

    Sufficient and not necessary: with W and b free, superposition lasts to a larger density
    (`optimal_boundary`)."""
    _, relative = _checked(relative=relative)
    lesser = np.minimum(relative, 1 / np.asarray(relative))
    return 4 * lesser / (2 + 5 * lesser)


def expected_errors(
    W: Float[np.ndarray, "f d"],
    b: Float[np.ndarray, " f"],
    density: float,
    relu: bool = True,
    nodes: int = 64,
) -> Float[np.ndarray, " f"]:
    """E (x_i − x'_i)² of every feature for any model, by quadrature over which features are
    present.

    The last present feature is integrated exactly (the error is a quadratic on either side of the
    ReLU's kink, so two Gauss points on each are enough), the others at `nodes` Gauss–Legendre
    points each. Relative error about 1e-7 for two features, 1e-4 for three; the cost grows as 2^f ·
    nodes^(f−1)."""
    _checked(density)
    return _errors(as_numpy(W), as_numpy(b), density, relu, nodes)[0]


def _errors(
    W: np.ndarray, b: np.ndarray, density: float, relu: bool, nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The expected squared errors e [i], how they change with b_i [i], and with (W Wᵀ)_ji [j,
    i]."""
    f, G = len(b), W @ W.T
    errors, by_b, by_G = np.zeros(f), np.zeros(f), np.zeros((f, f))
    for k in range(f + 1):
        for present in combinations(range(f), k):
            weight = density**k * (1 - density) ** (f - k)
            if not weight:
                continue
            for inputs, share, inner, u in _points(present, G, b, nodes):
                z = inputs @ G + b + (u * G[inner] if present else 0)
                target = inputs.copy()
                if present:
                    target[:, inner] = u[:, inner]
                y = np.maximum(z, 0) if relu else z
                off = weight * share * (target - y)
                errors += (off * (target - y)).sum(0)
                # ∂e_i/∂z_i, and z = x G + b with G = W Wᵀ: ∂e_i/∂G_ji = x_j ∂e_i/∂z_i.
                pull = -2 * off * ((z > 0) if relu else 1)
                by_b += pull.sum(0)
                by_G += inputs.T @ pull
                if present:
                    by_G[inner] += (pull * u).sum(0)
    return errors, by_b, by_G


def _points(
    present: tuple[int, ...], G: np.ndarray, b: np.ndarray, nodes: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int, np.ndarray]]:
    """Points and weights for inputs in which exactly these features are present, each uniform on
    [0, 1].

    Each is (the other features [q, f], weights [q, f], the innermost feature, its value [q, f]),
    the last two axes by output: every output has its own kink, at which the innermost integral is
    split."""
    if not present:
        yield np.zeros((1, len(b))), np.ones((1, len(b))), 0, np.zeros((1, len(b)))
        return
    *outer, inner = present
    x, weight = _product(len(outer), nodes)
    inputs = np.zeros((len(x), len(b)))
    inputs[:, outer] = x
    offset, slope = (
        inputs @ G + b,
        np.broadcast_to(G[inner], inputs.shape),
    )  # an output before the ReLU: offset + slope · u
    kink = np.clip(np.divide(-offset, slope, out=np.ones_like(offset), where=slope != 0), 0, 1)
    for start, length in ((np.zeros_like(kink), kink), (kink, 1 - kink)):
        for node, share in zip(*_gauss(2), strict=True):
            yield inputs, weight[:, None] * share * length, inner, start + length * node


@lru_cache
def _gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(n)
    return (x + 1) / 2, w / 2


@lru_cache
def _product(dims: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The product rule in so many dimensions: points [q, dims] and weights [q]; one empty point in
    none."""
    x, w = _gauss(nodes)
    points = (
        np.stack([g.ravel() for g in np.meshgrid(*[x] * dims, indexing="ij")], 1)
        if dims
        else np.zeros((1, 0))
    )
    weight = (
        np.prod([g.ravel() for g in np.meshgrid(*[w] * dims, indexing="ij")], 0)
        if dims
        else np.ones(1)
    )
    return points, weight


def optimise(
    W: Float[np.ndarray, "f d"],
    b: Float[np.ndarray, " f"],
    density: float,
    importance: Sequence[float],
) -> tuple[float, Float[np.ndarray, "f d"], Float[np.ndarray, " f"]]:
    """The least loss near a start, with its W and b: quasi-Newton on the exact loss. Another start
    may find another optimum."""
    weights = np.asarray(importance, float)

    def split(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return parameters[: W.size].reshape(W.shape), parameters[W.size :]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        nowW, nowb = split(parameters)
        errors, by_b, by_G = _errors(nowW, nowb, density, True, 64)
        # G = W Wᵀ holds W twice: ∂L/∂W = (S + Sᵀ) W with S = ∂L/∂G.
        slope = by_G * weights
        return float(weights @ errors), np.concatenate(
            [((slope + slope.T) @ nowW).ravel(), by_b * weights]
        )

    start = np.concatenate([np.ravel(W), b]).astype(float)
    solution = scipy.optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    return float(solution.fun), *split(solution.x)


@lru_cache(maxsize=4096)
def least(density: float, relative: float) -> tuple[float, float]:
    """The least loss that any 2 → 1 model can have, and the length of the less important feature's
    column there.

    The best of three descents: from W = (1, −1), from a lesser column of half the length, and from
    none."""
    _checked(density, relative)
    if relative > 1:
        loss, length = least(density, 1 / relative)
        # The features change places: importances (1, r) are r times (1/r, 1).
        return relative * loss, length
    starts = ((-1.0, 0.0), (-0.5, density / 4), (0.0, density / 2))
    optima = [
        optimise(np.array([[1.0], [w]]), np.array([0.0, b]), density, (1.0, relative))
        for w, b in starts
    ]
    loss, W, _ = min(optima, key=lambda optimum: optimum[0])
    length = np.abs(W[:, 0])
    return loss, float(length.min() if relative == 1 else length[1])


@lru_cache(maxsize=256)
def optimal_boundary(relative: float, tolerance: float = 1e-4) -> float:
    """p_opt(r), the density up to which superposition is the optimum when W and b are free, by
    bisection to `tolerance`.

    At it the best superposed model, followed up from W = (1, −1), costs as much as keeping one
    feature. Well defined where the change is sudden, for the lesser importance at most about half
    the greater; near equal importance the superposed optimum shrinks gradually, is still ahead at
    almost every density, and the number tends to 1."""
    _checked(relative=relative)
    lesser = min(relative, 1 / relative)
    low, high = float(boundary(lesser)), 1.0
    W, b = np.array([[1.0], [-1.0]]), np.zeros(2)
    while high - low > tolerance:
        p = (low + high) / 2
        loss, nextW, nextb = optimise(W, b, p, (1.0, lesser))
        if loss < float(kept_loss(p, lesser)) - 1e-9 and abs(nextW[1, 0]) >= KEPT:
            # Followed up from the optimum before, so that the descent stays on the superposed
            # branch.
            low, W, b = p, nextW, nextb
        else:
            high = p
    return (low + high) / 2


def labels(W: Float[np.ndarray, "... 2"], relative: Numbers) -> Int[np.ndarray, "..."]:
    """Which of STATES each 2 → 1 model is in: superposed (both columns kept, of opposite sign),
    lesser ignored, or other.

    The lesser feature is the less important one; where both are equal, either may be ignored.
    """
    _checked(relative=relative)
    length = np.abs(W)
    second = np.asarray(relative) < 1
    lesser = np.where(second, length[..., 1], length[..., 0])
    greater = np.where(second, length[..., 0], length[..., 1])
    equal = np.asarray(relative) == 1
    lesser, greater = (
        np.where(equal, length.min(-1), lesser),
        np.where(equal, length.max(-1), greater),
    )
    superposed = (lesser >= KEPT) & (greater >= KEPT) & (W[..., 0] * W[..., 1] < 0)
    ignored = (lesser < KEPT) & (greater >= KEPT)
    return np.select([superposed, ignored], [0, 1], default=2)


def predicted(density: Numbers, relative: Numbers, optimal: Numbers) -> Float[np.ndarray, "..."]:
    """The label that theory predicts (an index into STATES), NaN where it does not decide.

    Superposed below 0.95 p*(r), whatever r; lesser ignored above 1.1 p_opt(r) (`optimal`) where one
    feature is at least twice as important as the other, since nearer to equality the change is
    gradual."""
    _checked(density, relative)
    lesser = np.minimum(relative, 1 / np.asarray(relative))
    below = np.asarray(density) < 0.95 * boundary(relative)
    above = (np.asarray(density) > 1.1 * np.asarray(optimal)) & (lesser <= 0.5)
    return np.select([below, above], [0.0, 1.0], default=np.nan)
