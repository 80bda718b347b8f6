"""Critical points of the bottleneck autoencoder on one-hot inputs in two dimensions: regular
polygons, and what each costs.

A state has k columns at the corners of a regular polygon, all of one length and one bias, and
columns of zeros, dead ones, for the rest. A dead column's bias is negative, or at its own optimum
1/(2c), which one + marks: "5+" of six columns is a pentagon whose one dead column has a positive
bias. Losses are those of `assay_catalogue.worlds.bottleneck.one_hot.potential`: E ‖x − x'‖², inputs a·e_i.
Source: Chen et al. 2023, Dynamical versus Bayesian Phase Transitions in a Toy Model of
Superposition."""  # noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError

MOST = 10
"""Most columns: beyond ten sides equal columns no longer settle at one length and bias of this
kind."""
DEAD = -1.0
"""The bias of a dead column that is off: low enough that no chain near the state turns it on."""


@dataclass(frozen=True)
class Polygon:
    """A state: how many columns are corners, and how many of the others have the positive bias."""

    sides: int
    positive: int = 0

    def __str__(self) -> str:
        return f"{self.sides}{'+' * self.positive}"


def parse_state(name: str, columns: int) -> Polygon:
    """The state of that name, such as "6", "5+" or "4++", in a model of so many columns.

    Raises: SpecError for a name of another form, for more sides or more + than there are columns
    for, and beyond ten columns."""
    if not 1 <= columns <= MOST:
        raise SpecError(f"polygons are worked out for 1 to {MOST} columns, got {columns}")
    match = re.fullmatch(r"(\d+)(\+*)", name)
    if not match:
        raise SpecError(
            "a state is called by its sides and a + for each positive dead bias, such as "
            f'"6", "5+" or "4++", got {name!r}'
        )
    state = Polygon(int(match[1]), len(match[2]))
    if state.sides > columns:
        raise SpecError(
            f"no polygon with {state.sides} sides fits {columns} columns: give at most "
            f"{columns} sides"
        )
    if state.positive > columns - state.sides:
        raise SpecError(
            f"state {name!r} has {state.positive} dead columns with a positive bias, but "
            f"{columns} columns leave "
            f"{columns - state.sides} dead"
        )
    return state


@lru_cache(maxsize=64)
def shape(sides: int) -> tuple[float, float]:
    """Length and bias of a polygon's columns at its critical point; 1 and 0 up to four sides, which
    meet no positive overlap.

    From five sides on neighbours overlap, and both follow from ∂h/∂l = ∂h/∂b = 0 for the loss h of
    one column. Ten sides have the golden ratio φ and −φ.
    """
    if sides <= 4:
        return (1.0, 0.0) if sides else (0.0, 0.0)
    from scipy.optimize import root

    solution = root(
        lambda point: _slopes(sides, *point),
        # From the polygon of one side fewer, which is near.
        shape(sides - 1) if sides > 5 else (1.2, -0.3),
        tol=1e-14,
    )
    assert np.abs(solution.fun).max() < 1e-12, (sides, solution.message)
    length, bias = solution.x
    return float(length), float(bias)


def side_loss(sides: int, length: float | None = None, bias: float | None = None) -> float:
    """What the inputs of one corner cost, squared input; at the critical point unless length and
    bias are given. 0 up to four sides.

    Formula: ∫ (a − ReLU(l² a + b))² da + Σ_j ∫ ReLU(l² cos(2πj/k) a + b)² da over the other corners
    j = 1 … k − 1."""
    critical = shape(sides)
    length, bias = critical[0] if length is None else length, critical[1] if bias is None else bias
    g = length**2 * _cosines(sides)
    m0, m1, _ = _outputs(g, bias)
    return float(1 / 3 + (g * m1 + bias * m0).sum() - 2 * m1[0]) if sides else 1 / 3


def level(state: Polygon, columns: int) -> float:
    """The loss at a state. Formula: [k h_k + (c − k)/3 − p/(4c)] / c with p positive dead
    biases."""
    k, c = state.sides, columns
    return (k * (side_loss(k) if k else 0.0) + (c - k) / 3 - state.positive / (4 * c)) / c


def table(columns: int) -> dict[str, float]:
    """The loss at every critical point of this kind in a model with so many columns, {name: loss},
    from the lowest on.

    Not all are minima: with six columns every state below four sides that has a positive dead bias
    is a saddle. A single corner has
    none: where corners do not sum to zero, a column that is always on is pushed away from it.
    """
    states = [
        Polygon(k, p)
        for k in range(columns + 1)
        for p in range(columns - k + 1)
        if k != 1 or p == 0
    ]
    return dict(sorted(((str(s), level(s, columns)) for s in states), key=lambda item: item[1]))


def nearest(loss: Float[np.ndarray, "*any"], columns: int) -> tuple[Float[np.ndarray, "*any"], ...]:
    """The state whose loss is nearest: its sides, its positive dead biases, and by what share of
    its loss this one lies above."""
    states = [parse_state(name, columns) for name in table(columns)]
    levels = np.array([level(s, columns) for s in states])
    which = np.abs(np.asarray(loss)[..., None] - levels).argmin(-1)
    sides, positive = (
        np.array([float(getattr(s, name)) for s in states])[which] for name in ("sides", "positive")
    )
    return sides, positive, np.asarray(loss) / levels[which] - 1


def called(sides: Float[np.ndarray, "*any"], positive: Float[np.ndarray, "*any"]) -> list[str]:
    """The names of states, from the numbers that `nearest` gives; "" where the sides are NaN."""
    return [
        "" if np.isnan(k) else str(Polygon(int(k), int(p)))
        for k, p in zip(np.ravel(sides), np.ravel(positive), strict=True)
    ]


def weights(
    state: Polygon, columns: int, turn: float = 0.0, dead: float = DEAD
) -> dict[str, np.ndarray]:
    """W [f d=2] and b [f] of a state, turned by an angle (radians): corners first, then positive
    dead columns, then the others."""
    k, (length, bias) = state.sides, shape(state.sides)
    angle = turn + 2 * np.pi * np.arange(k) / max(k, 1)
    W, b = np.zeros((columns, 2)), np.full(columns, dead)
    W[:k] = length * np.stack([np.cos(angle), np.sin(angle)], -1)
    b[:k], b[k : k + state.positive] = bias, 1 / (2 * columns)
    return {"W": W, "b": b}


def _cosines(sides: int) -> np.ndarray:
    return np.cos(2 * np.pi * np.arange(sides) / max(sides, 1))


def _outputs(g: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """∫ ReLU(g a + b) and ∫ a ReLU(g a + b) over [0, 1], and ∫ 1, ∫ a, ∫ a² where it is
    positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.clip(np.nan_to_num(-b / g, nan=0.0), 0, 1)
    low, high = np.where(g >= 0, root, 0.0), np.where(g >= 0, 1.0, root)
    p = tuple((high**n - low**n) / n for n in (1, 2, 3))
    return g * p[1] + b * p[0], g * p[2] + b * p[1], p


def _slopes(sides: int, length: float, bias: float) -> list[float]:
    """Half of ∂h/∂(l²) and of ∂h/∂b."""
    cos = _cosines(sides)
    m0, m1, p = _outputs(length**2 * cos, bias)
    return [float(cos @ m1 - p[2][0]), float(m0.sum() - p[1][0])]
