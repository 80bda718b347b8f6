"""train_dictionary: one dictionary on one array in one call, by the same training as everything
else, without specs, arms or a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from operator import index

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Array
from assay.core.errors import DataError, RunError, SpecError
from assay.core.heavy import torch
from assay.core.rng import permutation
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU, inference
from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, TopK
from assay.dictionaries.training.freezing import Part, freeze
from assay.dictionaries.training.losses import Loss, gated, gated_sigmoid, jumprelu, l1, mse

USUAL: Mapping[type, Loss] = {
    ReLU: l1,
    Gated: gated,
    GatedShift: gated,
    GatedUntied: gated,
    ScaledReLU: gated,
    GatedSigmoid: gated_sigmoid,
    JumpReLU: jumprelu,
    TopK: mse,
    AbsTopK: mse,
    GroupMax: mse,
    BatchTopK: mse,
}
"""The loss that each kind is published with, of docs/architectures.md."""


def train_dictionary(
    nonlinearity: Nonlinearity,
    acts: Float[Array, "n d"],
    *,
    width: int,
    penalty: float | None = None,
    loss: Loss | None = None,
    steps: int = 2000,
    lr: float = 2e-3,
    batch: int = 512,
    seed: int = 0,
    frozen: Part = "",
) -> Dictionary:
    """Train one dictionary of `width` features on raw activations; it reads and gives raw
    activations.

    Rows are centred and scaled to E‖x‖² = d, and drawn in batches (all rows where there are fewer),
    each once before any comes again. `penalty` is λ: larger, and fewer features are on. Kinds that
    choose their number of features, such as TopK, take none. Without a `loss` it is the one that
    the kind is published with. Everything random follows from the seed. Runs on the CPU. `frozen`
    makes a control, on the same start and batches: a "decoder" or an "encoder" that is never
    trained, or a "soft-decoder" whose rows stay within cosine 0.8 of their start (`freeze`).

    Args:
        nonlinearity: its kind, such as ReLU() or TopK(32).
        acts: raw activations, [n, d].
        width: features.
        penalty: λ, from 0 up.
        loss: None: the kind's usual one.
        steps: of Adam.
        lr: its rate.
        batch: rows of a step.
        seed: of everything random.
        frozen: what is never trained.
    Raises: DataError for activations that are no matrix of finite numbers or do not vary; SpecError
    for settings that cannot be; RunError where the loss did not stay finite.
    Example:
        >>> import torch
        >>> import assay
        >>> acts = torch.eye(3).repeat(4, 1)  # three directions, one at a time
        >>> kind = assay.dictionaries.TopK(1)
        >>> topk = assay.train_dictionary(kind, acts, width=6, steps=200, lr=0.01)
        >>> topk, bool(assay.metrics.fvu(acts, topk.decode(topk.encode(acts))[0]) < 0.01)
        (<Dictionary of 6 features over 3 dimensions, TopK>, True)
    """
    from assay.dictionaries.training.train import Method, fit_dictionaries

    chosen, strength = objective(nonlinearity, loss, penalty)
    check_settings(lr=lr, seed=seed, width=width, steps=steps, batch=batch)
    rows, seed = _matrix(acts), index(seed)
    mean, scale = _moments(rows)
    method = Method(nonlinearity, chosen, width, lr=np.array([lr]), penalty=np.array([strength]))
    method = freeze(method, frozen)
    chosen_rows = shuffled(len(rows), batch, seed)

    def batches(step: int) -> Float[torch.Tensor, "b d"]:
        return (rows[chosen_rows(step)] - mean) * scale

    runs = Runs([Spec(seed=seed)])
    trained = fit_dictionaries(
        [(runs, method)], batches, d=rows.shape[1], steps=steps, mean=mean, scale=scale
    )[0]
    if trained.diverged.any():
        raise RunError(f"the loss did not stay finite at lr={lr:g}; lower lr")
    return Dictionary.of(trained, inference(nonlinearity))


def objective(
    nonlinearity: Nonlinearity, loss: Loss | None, penalty: float | None
) -> tuple[Loss, float]:
    """The loss to train by and its λ."""
    if isinstance(nonlinearity, type) or not isinstance(nonlinearity, Nonlinearity):
        got = (
            f"the class {nonlinearity.__name__}"
            if isinstance(nonlinearity, type)
            else f"a {type(nonlinearity).__name__}"
        )
        raise SpecError(
            "the first argument is a nonlinearity, such as ReLU() or TopK(32), the second "
            f"the activations; got {got}"
        )
    kind = type(nonlinearity).__name__
    if penalty is not None and not (_finite(penalty) and penalty >= 0):
        raise SpecError(f"penalty must be a number from 0 up, got {penalty!r}")
    if loss is not None:
        if not callable(loss):
            raise SpecError(f"loss must be a function such as assay.losses.l1, got {loss!r}")
        return loss, penalty or 0.0
    if type(nonlinearity) not in USUAL:
        raise SpecError(
            f"no loss is usual for {kind}; give loss=, one of assay.losses or a function of "
            "the same form"
        )
    usual = USUAL[type(nonlinearity)]
    if usual is mse and penalty:
        raise SpecError(
            f"{kind} chooses how many features are on, so it takes no penalty; leave it out "
            "or give a loss="
        )
    if usual is not mse and penalty is None:
        raise SpecError(
            f"{kind} is sparse by its penalty; give penalty=, such as 0.1: larger, and fewer "
            "features are on"
        )
    return usual, penalty or 0.0


def check_settings(*, lr: float, seed: int, **sizes: int) -> None:
    """Check a rate, a seed and sizes from 1 up. Raises: SpecError."""
    for name, value in sizes.items():
        _whole(name, value, 1)
    if not (_finite(lr) and lr > 0):
        raise SpecError(f"lr must be a number above 0, got {lr!r}")
    _whole("seed", seed, 0)


def _finite(value: object) -> bool:
    # To Python True is the number 1.
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, value: int, least: int) -> None:
    try:
        whole = index(value)
    except TypeError:
        whole = least - 1
    if whole < least or isinstance(value, bool):
        raise SpecError(f"{name} must be a whole number from {least} up, got {value!r}")


def _matrix(acts: Array) -> Float[torch.Tensor, "n d"]:
    """Activations as float32 on the CPU. Raises: DataError for what is no matrix of finite
    numbers."""
    try:
        if acts.is_complex() if isinstance(acts, torch.Tensor) else np.iscomplexobj(acts):
            raise TypeError("complex numbers")
        with np.errstate(
            over="ignore"
        ):  # what is too large becomes infinite, which is refused below
            rows = (
                acts.detach().to("cpu", torch.float32)
                if isinstance(acts, torch.Tensor)
                # Copied only where it has to be: torch shares an array's memory, and warns of one
                # that may not be written to.
                else torch.from_numpy(np.require(acts, np.float32, ["C", "W"]))
            )
        finite = bool(rows.isfinite().all())
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "activations must be real numbers in rows of one length [n, d]; the "
            f"{type(acts).__name__} given is not"
        ) from error
    if rows.ndim != 2 or len(rows) < 2 or not rows.shape[1]:
        more = (
            "; join the axes before the last: acts.reshape(-1, acts.shape[-1])"
            if rows.ndim > 2
            else ""
        )
        raise DataError(
            f"activations must be [n, d] with at least two rows, got {list(rows.shape)}{more}"
        )
    if not finite:
        raise DataError("activations must be finite float32 numbers; some are NaN or infinite")
    return rows


def _moments(rows: Float[torch.Tensor, "n d"]) -> tuple[Float[torch.Tensor, "d"], float]:
    """Mean, and the factor that makes E‖x − mean‖² = d."""
    # Sums over many rows in float64: far from 0, a float32 sum loses what the variance is made of.
    mean = rows.mean(0, dtype=torch.float64)
    variance = float((rows - mean.float()).square().sum(1, dtype=torch.float64).mean())
    if not variance > 0:
        raise DataError(
            "the activations are all the same row, so there is nothing to learn from them"
        )
    return mean.float(), (rows.shape[1] / variance) ** 0.5


def shuffled(n: int, batch: int, seed: int) -> Callable[[int], Int[torch.Tensor, "b"]]:
    """Which of n rows make the batch of a step: a new order each time they are through, less the
    few that fill no batch."""
    # Whole batches only, so that every step is a mean over as many rows.
    size = min(batch, n)
    batches_per_epoch = n // size
    order: dict[int, torch.Tensor] = {}

    def draw(step: int) -> Int[torch.Tensor, "b"]:
        epoch, place = divmod(step, batches_per_epoch)
        if epoch not in order:
            # Steps come in order, so only one order is needed; any of them can be drawn again after
            # a resume.
            order.clear()
            order[epoch] = torch.from_numpy(
                permutation(np.array([seed]), "train_dictionary.rows", epoch, n)[0]
            )
        return order[epoch][place * size : (place + 1) * size]

    return draw
