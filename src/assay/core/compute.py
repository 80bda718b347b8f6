"""What computing costs: FLOP of trainings, forward passes and searches, as ranges where a factor is
not known; rates of machines.

Matrix products alone are counted, as everybody does: a product with N weights costs 2N FLOP for
each token, its gradients twice that. What is not known is a range, and every number made from it is
one."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass

import numpy as np

from assay.core.errors import DataError, nearest


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

    @property
    def middle(self) -> float:
        """The geometric mean of the bounds, which is off by the same factor from either; the plain
        mean where low is 0."""
        return math.sqrt(self.low * self.high) if self.low else self.high / 2

    @property
    def known(self) -> bool:
        """Whether both bounds are one number."""
        return self.low == self.high

    def to_json(self) -> list[float]:
        """Write it as its two bounds."""
        return [self.low, self.high]

    def __add__(self, other: Range | float) -> Range:
        o = amount(other)
        return Range(self.low + o.low, self.high + o.high)

    def __mul__(self, other: Range | float) -> Range:
        o = amount(other)
        return Range(self.low * o.low, self.high * o.high)

    def __truediv__(self, other: Range | float) -> Range:
        o = amount(other)
        if not o.low:
            raise DataError("cannot divide by an amount that may be 0")
        return Range(self.low / o.high, self.high / o.low)

    __radd__, __rmul__ = __add__, __mul__


def amount(x: Range | float, what: str = "an amount") -> Range:
    """The number as a range. Raises: DataError, naming what it is, when it is negative or no
    number."""
    if isinstance(x, Range):
        return x
    if not 0 <= x < math.inf:
        raise DataError(f"{what} must be 0 or more and finite, got {x:g}")
    return Range(float(x), float(x))


# what is computed ---------------------------------------------------------------------------------


def forward(parameters: Range | float, tokens: Range | float = 1.0) -> Range:
    """FLOP of forward passes without attention scores. Formula: 2 N D, N the weights that are
    multiplied, D tokens."""
    return 2.0 * amount(parameters, "parameters") * amount(tokens, "tokens")


def training(parameters: Range | float, tokens: Range | float) -> Range:
    """FLOP of a training without attention scores: forward, and twice as much backward. Formula: 6
    N D."""
    return 3.0 * forward(parameters, tokens)


def attention(layers: float, context: float, width: float, causal: bool = True) -> Range:
    """FLOP that attention scores and mixing add to a forward pass, for each token; three times as
    much in training.

    Formula: 2 layers context width, averaged over positions of a causal mask that is made use of; 4
    layers context width where the whole square is computed. `width` is that of all query heads
    together.
    Source: Kaplan et al. 2020, Scaling Laws for Neural Language Models, Table 1.
    """
    return (
        (2.0 if causal else 4.0)
        * amount(layers, "layers")
        * amount(context, "context")
        * amount(width, "width")
    )


def search(
    parameters: Range | float,
    tokens_per_call: Range | float,
    calls: Range | float,
    population: Range | float,
    generations: Range | float,
    per_token: float = 2.0,
) -> Range:
    """FLOP of an evolutionary search whose individuals call a model as a function.

    Formula: per_token N tokens_per_call calls population generations; per_token 2, since nothing
    goes backward."""
    flop_per_token = amount(per_token, "FLOP per parameter and token") * amount(
        parameters, "parameters"
    )
    evaluations = (
        amount(calls, "calls")
        * amount(population, "population")
        * amount(generations, "generations")
    )
    return flop_per_token * amount(tokens_per_call, "tokens per call") * evaluations


def dictionary(latents: float, width: float, activations: Range | float = 1.0) -> Range:
    """FLOP of training a dictionary on activations that are at hand: encoder and decoder, forward
    and backward.

    Formula: 6 · 2 · width · latents for each activation; `forward` of the language model comes on
    top where they are not stored."""
    return training(2.0 * amount(latents, "latents") * amount(width, "width"), activations)


@dataclass(frozen=True)
class Transformer:
    """The sizes of a language model that decide what a token costs; biases are added, not
    multiplied, and left out."""

    layers: int
    width: int
    """Of the residual stream."""
    mlp: int
    vocabulary: int
    heads: int
    head: int
    """Width of a head."""
    kv_heads: int
    gated: bool = False
    """Whether the MLP has a gate: three matrices instead of two."""
    tied: bool = False
    """Whether the unembedding is the embedding."""

    def __post_init__(self) -> None:
        for name in ("layers", "width", "mlp", "vocabulary", "heads", "head", "kv_heads"):
            if getattr(self, name) < 1:
                raise DataError(f"Transformer.{name} must be at least 1, got {getattr(self, name)}")

    @property
    def blocks(self) -> int:
        """Weights of all blocks that are multiplied: queries, keys, values, output, MLP."""
        attending = self.width * self.head * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attending + (3 if self.gated else 2) * self.width * self.mlp)

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with: the blocks, and the unembedding once. The
        embedding is a look-up."""
        return self.blocks + self.vocabulary * self.width

    @property
    def matrices(self) -> int:
        """Weights in matrices: the embedding as well where it is one of its own."""
        return self.multiplied + (0 if self.tied else self.vocabulary * self.width)

    def attending(self, context: int, causal: bool = True) -> float:
        """FLOP that attention adds to a forward pass at this context, for each token."""
        return attention(self.layers, context, self.heads * self.head, causal).low


# machines -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """What a maker says that a device can do at most."""

    flop_per_second: float
    """Dense products of 16-bit numbers."""
    source: str


PEAKS = {
    "v100": Peak(1.25e14, "NVIDIA V100 data sheet, SXM2, tensor cores, FP16"),
    "a100": Peak(3.12e14, "NVIDIA A100 data sheet, BF16 without sparsity"),
    "h100": Peak(9.89e14, "NVIDIA H100 data sheet, SXM, BF16, half of the figure with sparsity"),
    "h200": Peak(9.89e14, "NVIDIA H200 data sheet, SXM, BF16, half of the figure with sparsity"),
}
UTILISATION = Range(0.2, 0.5)
"""The share of the peak that trainings reach: GPT-3 21 %, PaLM 46 % (Chowdhery et al. 2022, PaLM,
Table 3). Small toys reach far less."""


def measured(seconds: float = 2.0) -> float:
    """FLOP of this process's matrix products per CPU-second, 512 × 512 in single precision, over
    this many seconds by the clock.

    Per CPU-second, since other programs on the machine, and threads of this one, change what a
    second by the clock holds."""
    a = np.random.default_rng(0).standard_normal((512, 512), dtype=np.float32) / 32
    b, count = a @ a, 0
    start, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds or not count:
        for _ in range(8):
            np.matmul(a, a, out=b)
        count += 8
    return 2 * 512**3 * count / max(time.process_time() - cpu, 1e-6)


# budgets ------------------------------------------------------------------------------------------

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BUDGET = re.compile(
    r"(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(s|min|m|h|d|flop)(?:@([\w-]+))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Budget:
    """What somebody is ready to spend: seconds by the clock here, or FLOP."""

    text: str
    seconds: float | None = None
    """Seconds by the clock on this machine."""
    flop: Range | None = None
    """FLOP, where they or a device were named."""
    assumed: str = ""
    """What was assumed of a device, with its source."""


def budget(text: str) -> Budget:
    """The budget that a text such as 5m, 1e15flop or 8h@h200 names.

    Raises: DataError for anything else, for a device whose peak is not known, and for nothing at
    all."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None:
        raise DataError(
            "a budget is a time, FLOP, or a time on a device, such as 5m, 1.5h, 1e15flop or "
            f"8h@h200; got {text!r}"
        )
    number, unit, device = float(match[1]), match[2].lower(), (match[3] or "").lower()
    if not 0 < number < math.inf:
        raise DataError(f"a budget is above 0 and finite, got {text!r}")
    if number > 1e60:
        raise DataError(f"a budget is at most 1e60, got {text!r}")
    if unit == "flop":
        if device:
            raise DataError(
                f"FLOP are the same on every device, got {text!r}; write {match[1]}flop, or a "
                f"time such as 8h@{device}"
            )
        return Budget(text, flop=amount(number))
    seconds = number * _SECONDS[unit]
    if not device:
        return Budget(text, seconds=seconds)
    if device not in PEAKS:
        raise DataError(f"no peak rate is known of device {device!r}; {nearest(device, PEAKS)}")
    peak = PEAKS[device]
    assumption = (
        f"{device} at {UTILISATION.low:.0%} to {UTILISATION.high:.0%} of its peak of "
        f"{peak.flop_per_second:.3g} FLOP/s ({peak.source})"
    )
    return Budget(text, flop=seconds * peak.flop_per_second * UTILISATION, assumed=assumption)
