"""train_sharded: one dictionary over many ranks, by the steps, the losses and the loop that train a
dictionary on one.

A sparse step says where its sums and choices need the rest of the latents and rows
(`kernels/whole.py`); here they are on other ranks. So selections are those of one process, and sums
differ from its own by the order of addition alone. Every rank runs the same loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core.bench import Slot, Unkept
from assay.core.errors import RunError, SpecError
from assay.core.fit import Trained, fit
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.shards import ShardReader
from assay.dictionaries.kinds import to_json
from assay.dictionaries.nonlinearity import Nonlinearity, inference
from assay.dictionaries.sharded.assembling import assemble
from assay.dictionaries.sharded.checkpoints import Checkpoints
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import Ranks
from assay.dictionaries.sharded.rows import Rows
from assay.dictionaries.training.dead import Resample
from assay.dictionaries.training.kernels.choice import sparse_for
from assay.dictionaries.training.kernels.sparse import Batch, Single
from assay.dictionaries.training.losses import Loss
from assay.dictionaries.training.quick import USUAL, check_settings, objective
from assay.dictionaries.training.train import Method, group

MEASURED = "measured.json"
"""What the dictionary is worth, beside it."""


@dataclass(frozen=True)
class Measured:
    """What a sharded dictionary is worth on some rows, the same on every rank."""

    fvu: float
    """Share of the variance that is not reconstructed, 0 to ∞."""
    l0: float
    """Features on in a row, on average."""
    dead: int
    """Latents that were on in no row."""
    rows: int


def train_sharded(
    ranks: Ranks,
    nonlinearity: Nonlinearity,
    acts: Path | ShardReader,
    folder: Path,
    *,
    width: int,
    penalty: float | None = None,
    loss: Loss | None = None,
    steps: int = 2000,
    lr: float = 2e-3,
    batch: int = 512,
    seed: int = 0,
    every: int = 500,
    report: Callable[[int, int, float], None] | None = None,
) -> Measured:
    """Train one dictionary on the rows of a .npy file, or of shards, on all ranks, as
    `train_dictionary` trains it on one.

    `folder` keeps a checkpoint after every `every` steps, from which any number of ranks goes on,
    and at last `dictionary.safetensors`, an ordinary file of Assay's, and `measured.json`. The
    array stays on disk: all ranks need it under the same path. What is measured in the end is
    measured on all of its rows, of shards on those of the last 32 batches.

    Raises: DataError for a file that is no matrix of finite numbers; SpecError for settings that
    cannot be; StoreError for a folder with another training's checkpoint; RunError where the loss
    did not stay finite, or a rank is lost."""
    chosen, strength = objective(nonlinearity, loss, penalty)
    check_settings(lr=lr, seed=seed, width=width, steps=steps, batch=batch, every=every)
    rows = Rows.of(acts, batch, seed, steps)
    method = Method(nonlinearity, chosen, width, lr=np.array([lr]), penalty=np.array([strength]))
    part = Part(ranks, width)
    identity = {
        "nonlinearity": to_json(nonlinearity),
        "loss": repr(chosen) if not hasattr(chosen, "__name__") else chosen.__name__,
        "width": width,
        "penalty": strength,
        "steps": steps,
        "lr": lr,
        "batch": batch,
        "seed": index(seed),
        **rows.identity,
    }
    normalisation = {"mean": rows.mean[None], "scale": torch.tensor([rows.scale])}
    trained = fit_sharded(
        part,
        method,
        rows.normalised(part, rows.training),
        d=len(rows.mean),
        steps=steps,
        seed=seed,
        report=report,
        slot=lambda header: rows.slot(
            Checkpoints(folder, part, identity, rows.header(header), normalisation, every)
        ),
    )
    if trained.diverged.any():
        raise RunError(f"the loss did not stay finite at lr={lr:g}; lower lr")
    measurements = measure(
        part,
        inference(nonlinearity),
        trained,
        rows.normalised(part, rows.measuring),
        rows.pieces,
    )
    if ranks.rank == 0:
        assemble(folder, folder / "dictionary.safetensors")
        (folder / MEASURED).write_text(json.dumps(asdict(measurements)))
    if rows.reader is not None:
        rows.reader.release(None)
    return measurements


def fit_sharded(
    part: Part,
    method: Method,
    batches: Callable[[int], Float[torch.Tensor, "b d"]],
    *,
    d: int,
    steps: int,
    seed: int = 0,
    slot: Callable[[Mapping[str, Any]], Slot] | None = None,
    report: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """One dictionary after `steps` steps: this rank's latents, each encoder a row as in training
    [1, f, d], and curves that all ranks share.

    `batches(step)` gives this replica's rows, normalised, the same on all its shards; replicas may
    have different numbers of rows, or none.

    Raises: SpecError for a method that has no sparse step, or resamples.
    """
    run_group = group(
        Runs([Spec(seed=seed)]),
        method,
        d=d,
        steps=steps,
        kernel=replace(step_of(part, method), whole=part),
        rows=part.mine,
    )
    bench = _Bench(
        part.ranks.device,
        None if slot is None else slot(run_group.header),
        report if part.ranks.rank == 0 else None,
    )
    return fit([run_group], batches, steps=steps, bench=bench)[0]


def step_of(part: Part, method: Method) -> Single:
    """The sparse step of a method, before it knows of other ranks. Raises: SpecError where it has
    none, or needs what ranks do not have."""
    kernel = sparse_for(method.loss, method.nonlinearity)
    name = type(method.nonlinearity).__name__
    if kernel is None or method.skip:
        raise SpecError(
            f"{name} with this loss has no step that can be sharded; ReLU, Gated, JumpReLU, "
            "TopK and BatchTopK have one with theirs"
        )
    if isinstance(method.dead, Resample):
        raise SpecError(
            "a sharded dictionary does not resample dead latents; AuxK (losses.TopKAux) "
            "brings them back"
        )
    least = part.width // part.ranks.latents.size
    k = getattr(method.nonlinearity, "k", 0)
    # The k largest of a row may all lie in one shard, which must be able to name them.
    if k > least:
        raise SpecError(
            f"every shard must have at least k = {k} latents, and the "
            f"smallest has {least}; use fewer shards"
        )
    return kernel


@torch.no_grad()
def measure(
    part: Part,
    read: Nonlinearity,
    trained: Trained,
    batches: Callable[[int], Float[torch.Tensor, "b d"]],
    count: int,
) -> Measured:
    """FVU, L0 and dead latents of a sharded dictionary on `count` batches, each rank's own rows of
    them, summed over ranks."""
    ranks, loss = part.ranks, USUAL[type(read)]
    kernel = sparse_for(loss, read)
    assert kernel is not None
    params = trained.tensors
    d = params["b_dec"].shape[-1]
    sums = torch.zeros(
        3, dtype=torch.float64, device=ranks.device
    )  # rows, squared error, features on
    total, squares = (
        torch.zeros(d, dtype=torch.float64, device=ranks.device),
        torch.zeros(1, dtype=torch.float64, device=ranks.device),
    )
    fired = torch.zeros(params["b_enc"].shape[-1], dtype=torch.bool, device=ranks.device)
    for i in range(count):
        x = batches(i).to(ranks.device)
        no_penalty = torch.zeros(1, device=ranks.device)
        batch = Batch(loss, params, x, read, no_penalty, torch.float32, whole=part)
        active, values, curves, _ = kernel.compute(batch)
        series = curves()
        # `series` is over all ranks already, and so are these; `total` and `squares` are of this
        # rank's rows, and are summed below.
        sums += (
            batch.rows
            * torch.stack(
                [torch.ones_like(series["mse"][0]), series["mse"][0] * d, series["l0"][0]]
            ).double()
        )
        total, squares = total + x.double().sum(0), squares + x.double().square().sum()
        fired |= batch.codes(active, values)[0].fired()
    total, squares = ranks.rows.start_sum(total, squares).wait()
    dead = ranks.latents.sum((~fired).sum()[None])
    # Σ‖x − x̄‖² = Σ‖x‖² − ‖Σ x‖²/n below: one pass, and no digits lost, as sums are float64 and x
    # is nearly centred.
    rows, error, on = sums.tolist()
    return Measured(
        error / float(squares - total.square().sum() / rows), on / rows, int(dead), int(rows)
    )


class _Bench(Unkept):
    """One rank's bench: its device, its checkpoints, and a place to report to."""

    def __init__(
        self,
        device: torch.device,
        slot: Slot | None,
        report: Callable[[int, int, float], None] | None,
    ):
        self._device, self._slot, self._report = device, slot, report

    @property
    def device(self) -> torch.device:
        return self._device

    def slot(self) -> Any:
        return self._slot or self

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        if self._report is not None:
            self._report(done, total, numbers["loss"])
