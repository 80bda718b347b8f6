"""Grokking in four numbers: a circuit that generalises and one that memorises, each a product of
two weights.

o_G = κ_G g₁ g₂ raises the right class on every input; o_M = κ_M m₁ m₂ the right class on training
inputs and a wrong one on others. Loss: log(1 + (q − 1) e^−(o_G + o_M)) + (λ/2)(g₁² + g₂² + m₁² +
m₂²), by gradient descent. That G generalises and M does not is built in. It groks when G is more
efficient as well (κ_G > κ_M), is learned more slowly (a smaller rate or start), and weight decay
makes efficiency count."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError

FIT = 0.2
"""Training cross-entropy, nats, below which the training set counts as fitted."""


@dataclass(frozen=True, kw_only=True)
class Circuits:
    """The two circuits and how they are trained; g and m keep g₁ = g₂ and m₁ = m₂, as equal starts
    do."""

    classes: int = 113
    """Number of classes q."""
    efficiency_g: float = 1.0
    """κ_G: logit per squared weight of the generalising circuit."""
    efficiency_m: float = 1 / 8
    """κ_M, of the memorising one."""
    decay: float = 0.01
    """λ, on half the squared norm."""
    rate_g: float = 0.05
    """Learning-rate multiplier η_G."""
    rate_m: float = 1.0
    """Learning-rate multiplier η_M."""
    start_g: float = 0.05
    """g₀."""
    start_m: float = 1.0
    """m₀."""
    step: float = 0.2
    """Learning rate; time is steps times this."""

    def __post_init__(self) -> None:
        if (
            self.classes < 2
            or self.decay < 0
            or min(self.efficiency_g, self.efficiency_m, self.step) <= 0
        ):
            raise SpecError(
                "two circuits need at least 2 classes, efficiencies and a step above 0 and a "
                "decay of at least 0, got "
                f"{self.classes}, {self.efficiency_g:g}, {self.efficiency_m:g}, {self.step:g}, "
                f"{self.decay:g}"
            )
        # Stable where step · 2κ · bend ≤ 2.
        fastest = self.step * max(self.rate_g * self.efficiency_g, self.rate_m * self.efficiency_m)
        if fastest * bend(self.classes) > 1:
            raise SpecError(
                f"step × rate × efficiency must be at most {1 / bend(self.classes):.3g} for a "
                f"stable descent, got {fastest:g}"
            )

    def slowed(self, by: float) -> Circuits:
        """Both circuits learned at `by` times their rates."""
        return replace(self, rate_g=by * self.rate_g, rate_m=by * self.rate_m)


@lru_cache
def bend(classes: int) -> float:
    """The largest o w(1 − w) over all logits o, where w = (q − 1)/(q − 1 + e^o) is the probability
    of being wrong.

    Of a logit κ g² the loss bends by 2κ o w(1 − w) in each weight, and descent overshoots and grows
    where step × that exceeds 2."""
    o = np.linspace(0.0, math.log(classes) + 20.0, 20_000)
    wrong = 1 / (1 + np.exp(o) / (classes - 1))
    return float((o * wrong * (1 - wrong)).max())


@dataclass(frozen=True, eq=False)
class Course:
    """The logits along training."""

    time: Float[np.ndarray, " step"]
    """Steps times the learning rate, from 0."""
    generalising: Float[np.ndarray, " step"]
    """o_G, nats."""
    memorising: Float[np.ndarray, " step"]
    """o_M, nats."""
    loss: Float[np.ndarray, " step"]
    """Training cross-entropy, nats."""

    @property
    def fit(self) -> float:
        """The time at which training cross-entropy first is below 0.2 nats; infinite when it never
        is."""
        return _first(self.time, self.loss < FIT)

    @property
    def overtake(self) -> float:
        """The time at which o_G first exceeds o_M, so that unseen inputs are answered right;
        infinite when it never does."""
        return _first(self.time, self.generalising > self.memorising)

    @property
    def delay(self) -> float:
        """(overtake − fit) / fit. Negative: generalised before it fitted; infinite: never
        generalised."""
        return (self.overtake - self.fit) / self.fit

    @property
    def groks(self) -> bool:
        """Whether it generalised, and at least five times as late again as it fitted."""
        return 5 <= self.delay < math.inf


@lru_cache(maxsize=64)
def simulate(circuits: Circuits, steps: int = 10_000) -> Course:
    """The course of gradient descent over so many steps."""
    c, q = circuits, circuits.classes - 1
    g, m = c.start_g, c.start_m
    logits = np.empty((steps + 1, 2))
    eta_g, eta_m = c.step * c.rate_g, c.step * c.rate_m
    for i in range(steps + 1):
        o_g, o_m = c.efficiency_g * g * g, c.efficiency_m * m * m
        logits[i] = o_g, o_m
        wrong = q / (
            q + math.exp(min(o_g + o_m, 700.0))
        )  # minus the derivative of the cross-entropy
        g, m = (
            g + eta_g * (wrong * c.efficiency_g * g - c.decay * g),
            m + eta_m * (wrong * c.efficiency_m * m - c.decay * m),
        )
    return Course(
        np.arange(steps + 1) * c.step,
        logits[:, 0],
        logits[:, 1],
        np.log1p(q * np.exp(-logits.sum(1))),
    )


def variants(circuits: Circuits) -> dict[str, Circuits]:
    """The circuits as they are, and with one thing changed: equal rates, efficiencies swapped, no
    decay.

    Differs: the published account has a third ingredient, that one circuit generalises and the
    other does not; it is what G and M mean here and is never taken away, while decay, which it
    presupposes, is."""
    swapped = replace(
        circuits, efficiency_g=circuits.efficiency_m, efficiency_m=circuits.efficiency_g
    )
    return {
        "as it is": circuits,
        "both learned fast": replace(circuits, rate_g=circuits.rate_m),
        "memory more efficient": swapped,
        "no weight decay": replace(circuits, decay=0.0),
    }


def _first(time: np.ndarray, true: np.ndarray) -> float:
    return float(time[true.argmax()]) if true.any() else math.inf
