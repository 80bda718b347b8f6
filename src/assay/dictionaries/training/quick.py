"""train_dictionary: one dictionary in one call, by the same training as everything else, without
specs, arms or a store."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from numbers import Real
from operator import index
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from assay.core.arrays import Array
from assay.core.bench import Bench, Unkept
from assay.core.errors import DataError, RunError, SpecError, StoreError
from assay.core.fit import Trained, probes
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.checkpoint import Alone
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU, inference
from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, TopK
from assay.dictionaries.training.batches import batches
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
    acts: Float[Array, "n d"] | Callable[[int], Any] | Iterable[Any],
    *,
    width: int,
    penalty: float | None = None,
    loss: Loss | None = None,
    steps: int = 2000,
    lr: float = 2e-3,
    batch: int = 512,
    seed: int = 0,
    frozen: Part = "",
    device: str = "cpu",
    keep: Path | str | None = None,
    progress: bool | Callable[[int, int], None] = False,
    site: str = "",
    model: str = "",
    text: str = "",
    part: Literal["", "train", "validation", "test"] = "",
) -> Dictionary:
    """Train one dictionary of `width` features on raw activations; it reads and gives raw
    activations.

    Rows are centred and scaled to E‖x‖² = d, and sampled in batches (all rows if there are fewer),
    each once before any is used again. `penalty` is λ; the larger it is, the fewer features are on.
    Kinds with a fixed number of features, such as TopK, take none. The default `loss` is the one
    that the kind was published with. Everything random follows from the seed. From a memory map
    only the rows of a batch are read. A function of the step, or an iterable, gives batches [b, d]
    that are used as they are; mean and scale then come from the first 32. `origin["curve"]` has the
    loss during training. `frozen` makes a control, with the same initialisation and batches: a
    "decoder" or an "encoder" that is never trained, or a "soft-decoder" whose rows stay within
    cosine 0.8 of their initial values (`freeze`).

    Args:
        nonlinearity: its kind, such as ReLU() or TopK(32).
        acts: raw activations, [n, d]: an array, a memory map, or what gives batches of them.
        width: features.
        penalty: λ, at least 0.
        loss: None: the kind's usual one.
        steps: of Adam.
        lr: its rate.
        batch: rows of a step; batches that are given have their own.
        seed: of everything random.
        frozen: what is never trained.
        device: such as "cuda"; what comes back is on the CPU.
        keep: a folder from which the same call resumes after it was stopped.
        progress: whether steps, loss and the time left are reported on standard error; or a
            function of (steps done, steps in all).
        site: where activations were taken, such as blocks.9.hook_resid_pre, kept in the file.
        model: whose they are, kept in the file.
        text: of what, kept in the file.
        part: of that text, kept in the file: evaluations then read another part.
    Raises: DataError for activations that are not a matrix of finite numbers or do not vary;
    SpecError for impossible settings; StoreError for a folder of another training run; RunError if
    the loss does not stay finite.
    Example:
        >>> import torch
        >>> import assay
        >>> acts = torch.eye(3).repeat(4, 1)  # three directions, one at a time
        >>> kind = assay.dictionaries.TopK(1)
        >>> topk = assay.train_dictionary(kind, acts, width=6, steps=200, lr=0.01)
        >>> topk, bool(assay.metrics.fvu(acts, topk.decode(topk.encode(acts))) < 0.01)
        (<Dictionary of 6 features over 3 dimensions, TopK>, True)
    """
    from assay.dictionaries.training.train import Method, fit_dictionaries

    chosen, strength = objective(nonlinearity, loss, penalty)
    check_settings(lr=lr, seed=seed, width=width, steps=steps, batch=batch)
    seed, data = index(seed), batches(acts, batch, index(seed), steps)
    if keep is not None and not data.again:
        raise DataError(
            "batches of an iterable cannot be drawn again, so nothing goes on with them; give a "
            "function of the step, or leave out keep="
        )
    method = Method(nonlinearity, chosen, width, lr=np.array([lr]), penalty=np.array([strength]))
    method = freeze(method, frozen)
    desk = Desk(_device(device), progress)
    bench: Bench = desk
    if keep is not None:
        sizes = {"width": width, "penalty": float(strength), "steps": steps, "lr": float(lr)}
        identity = _identity(nonlinearity, chosen, **sizes, batch=batch, seed=seed, frozen=frozen)
        # the scale, which other data would hardly share, identifies the rows
        identity["scale"] = data.scale
        bench = Kept(desk, Path(keep), identity)
    trained = fit_dictionaries(
        [(Runs([Spec(seed=seed)]), method)],
        data,
        d=len(data.mean),
        steps=steps,
        mean=data.mean,
        scale=data.scale,
        sites=(site,) if site else (),
        probe_at=probes(steps),
        bench=bench,
    )[0]
    if trained.diverged.any():
        raise RunError(f"the loss did not stay finite at lr={lr:g}; lower lr")
    stated = {"model_name": model, "dataset_path": text, "dataset_part": part}
    return _described(trained, nonlinearity, stated)


def _identity(nonlinearity: Nonlinearity, loss: Loss, **settings: Any) -> dict[str, Any]:
    """What a folder notes of the training that is kept in it."""
    plain = (int, float, str)
    return {
        "nonlinearity": repr(nonlinearity),
        "loss": getattr(loss, "__name__", type(loss).__name__),
        # NumPy's integers are written as Python's
        **{k: v if isinstance(v, plain) else index(v) for k, v in settings.items()},
    }


def _described(
    trained: Trained, nonlinearity: Nonlinearity, stated: Mapping[str, str]
) -> Dictionary:
    """The dictionary, with the loss during training and what was stated of it."""
    curve = {"step": trained.steps.tolist()}
    curve |= {name: values[0].tolist() for name, values in trained.history.items()}
    config = {name: value for name, value in stated.items() if value}
    origin = {"curve": curve, **({"config": config} if config else {})}
    dictionary = Dictionary.of(trained.to("cpu"), inference(nonlinearity))
    return replace(dictionary, origin={**dictionary.origin, **origin})


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise SpecError(f"no device {name!r} is here: {str(error).splitlines()[0]}") from error
    return device


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
        raise SpecError(f"penalty must be a number of at least 0, got {penalty!r}")
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
        raise SpecError(f"{name} must be a whole number of at least {least}, got {value!r}")


class Desk(Unkept):
    """A bench with a device, which reports steps, loss and the time left on one line of standard
    error, or steps to a function."""

    def __init__(self, device: torch.device, progress: bool | Callable[[int, int], None] = False):
        self._device, self._progress = device, progress
        self._began: tuple[float, int] | None = None

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return self._device

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Report how far it is, where that is wanted."""
        if callable(self._progress):
            self._progress(done, total)
        if self._progress is not True:
            return
        now = time.monotonic()
        since, first = self._began = self._began or (now, done)
        left = (now - since) / max(1, done - first) * (total - done)
        more = "".join(f", {name} {value:.4g}" for name, value in numbers.items())
        time_left = f", about {left:,.0f} s left" if first < done < total else ""
        end = "\n" if done >= total else ""
        line = f"{done:,} of {total:,} {unit}{more}{time_left}"
        print(f"\r{line:70}", end=end, file=sys.stderr, flush=True)


class Kept(Alone):
    """A bench whose checkpoint is in a folder and belongs to one training only."""

    def __init__(self, bench: Bench, folder: Path, identity: Mapping[str, Any]):
        super().__init__(bench, folder)
        self.note = {"identity": json.dumps(dict(identity), sort_keys=True)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made ({error.strerror or error})") from error

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last saved (step, tensors), or None where there are none that are whole. Raises:
        StoreError for those of another training."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, "pt") as file:
                stored = json.loads((file.metadata() or {}).get("identity", "{}"))
        except (OSError, SafetensorError, ValueError):
            return None
        wanted = json.loads(self.note["identity"])
        changed = [n for n in wanted if stored.get(n) != wanted[n]]
        if changed:
            differences = ", ".join(
                f"{n} {stored.get(n)!r} there, {wanted[n]!r} here" for n in changed
            )
            raise StoreError(
                f"{self.file} is of another training ({differences}); name another folder, or "
                "remove it"
            )
        return super().restore()
