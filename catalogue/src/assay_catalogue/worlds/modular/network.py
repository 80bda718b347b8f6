"""A two-layer network that adds two residues, with a run axis: its start, its logits, and
full-batch training.

x = E[a] + E[b], logits = ReLU(x W₁) W₂, without biases. Logits are homogeneous of degree 3 in the
parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from assay.core.bench import Bench, Slot, Unkept
from assay.core.descent import Adam, adam_state
from assay.core.errors import SpecError
from assay.core.fit import Batch, Group, State, Trained, fit
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng

NAMES = ("E", "W1", "W2")
CHUNK, GPU_CHUNK = 8, 256
"""Runs that share one batched product: on a CPU more no longer fit the cache of a core, on a GPU
fewer leave it idle."""


class Confine(Protocol):
    """Changes parameters in place after each step."""

    def __call__(self, params: Mapping[str, torch.Tensor], rows: Int[np.ndarray, " run"]) -> None:
        """Change `params` of some runs, of which `rows` says where they stand among all."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What each run is to learn: a table of labelled pairs; the first `size` of its `order` are its
    training set."""

    p: int
    pairs: Int[torch.Tensor, "pair 2"]
    labels: Int[torch.Tensor, "run pair"]
    order: Int[torch.Tensor, "run pair"]
    size: Int[np.ndarray, " run"]

    def __post_init__(self) -> None:
        most = len(self.pairs)
        for size in self.size.tolist():
            if not 1 <= size <= most:
                raise SpecError(
                    f"a training set holds 1 to {most:,} of the pairs mod {self.p}, got size={size}"
                )

    def of(self, rows: Int[np.ndarray, " run"]) -> Lesson:
        """The lesson of some of the runs."""
        indices = torch.from_numpy(rows)
        return replace(
            self, labels=self.labels[indices], order=self.order[indices], size=self.size[rows]
        )

    def to(self, device: torch.device) -> Lesson:
        """Move the tensors to a device; what lies there already is not copied."""
        return replace(
            self,
            pairs=self.pairs.to(device),
            labels=self.labels.to(device),
            order=self.order.to(device),
        )


def start(
    seeds: Int[np.ndarray, " run"], p: int, embed: int = 64, hidden: int = 64
) -> dict[str, torch.Tensor]:
    """Starting parameters of every run: E [run p embed], W1 [run embed hidden], W2 [run hidden p],
    all N(0, 1/64)."""
    shapes = {"E": (p, embed), "W1": (embed, hidden), "W2": (hidden, p)}
    return {
        n: torch.from_numpy(rng.normal(np.asarray(seeds), f"modular.{n}", 0, s)) / 8
        for n, s in shapes.items()
    }


def logits(
    params: Mapping[str, torch.Tensor], pairs: Int[torch.Tensor, "pair 2"]
) -> Float[torch.Tensor, "run pair p"]:
    """The logits of all residues for each pair, in nats."""
    F = torch.bmm(params["E"], params["W1"])
    return torch.bmm((F[:, pairs[:, 0]] + F[:, pairs[:, 1]]).relu_(), params["W2"])


def norm(params: Mapping[str, torch.Tensor]) -> Float[torch.Tensor, " run"]:
    """‖θ‖², the squared norm of all parameters of a run."""
    return sum(params[n].double().flatten(1).square().sum(1) for n in NAMES)  # type: ignore[return-value]


def evaluate(
    params: Mapping[str, torch.Tensor], lesson: Lesson
) -> dict[str, Float[torch.Tensor, " run"]]:
    """`train` and `test`: shares of pairs inside and outside the training set answered right (NaN
    where there is none); `loss`: mean cross-entropy inside, in nats."""
    lesson = lesson.to(params["E"].device)
    out = logits(params, lesson.pairs)
    inside = _inside(lesson)
    right = (out.argmax(-1) == lesson.labels).double()
    ce = (out.logsumexp(-1) - out.gather(-1, lesson.labels[..., None])[..., 0]).double()
    return {
        "train": (right * inside).sum(1) / inside.sum(1),
        "test": (right * ~inside).sum(1) / (~inside).sum(1),
        "loss": (ce * inside).sum(1) / inside.sum(1),
    }


def train(
    runs: Runs,
    params: Mapping[str, torch.Tensor],
    lesson: Lesson,
    *,
    steps: int,
    lr: Float[np.ndarray, " run"],
    decay: Float[np.ndarray, " run"],
    betas: tuple[float, float] | Float[np.ndarray, "run 2"] = (0.9, 0.98),
    looks: Sequence[int] = (),
    confine: Confine | None = None,
    bench: Bench | None = None,
) -> Trained:
    """The networks after `steps` full-batch steps of Adam on mean cross-entropy + (w/2)‖θ‖², with w
    = `decay` (coupled L2).

    `params` is the start, and stays as it is. Beside E, W1 and W2 the result holds `train_at`,
    `test_at`, `loss_at` and `norm_at` [run look]: `evaluate` and ‖θ‖² after each of the steps in
    `looks`. Runs may differ in size, rate, decay and
    betas: they are sorted by betas and size, and each few are one Group.
    """
    both = np.broadcast_to(np.asarray(betas, dtype=float), (len(runs), 2))
    bench = bench or Unkept()
    most = CHUNK if bench.device.type == "cpu" else GPU_CHUNK
    chunks = _chunks(both, lesson.size, np.asarray(lr, dtype=float), most)
    trained = []
    for i, rows in enumerate(chunks):
        indices = torch.from_numpy(rows)
        group = descent(
            Runs([runs.specs[r] for r in rows]),
            {n: params[n].detach()[indices] for n in NAMES},
            lesson.of(rows),
            lr=lr[rows],
            decay=decay[rows],
            betas=(float(both[rows[0], 0]), float(both[rows[0], 1])),
            looks=looks,
            confine=None if confine is None else partial(confine, rows=rows),
        )
        trained += fit(
            [group],
            lambda step: None,
            steps=steps,
            probe_at=looks,
            bench=_Part(bench, i, len(chunks)),
        )
    return _concatenate_chunks(trained, np.concatenate(chunks))


def descent(
    runs: Runs,
    params: Mapping[str, torch.Tensor],
    lesson: Lesson,
    *,
    lr: Float[np.ndarray, " run"],
    decay: Float[np.ndarray, " run"],
    betas: tuple[float, float] = (0.9, 0.98),
    looks: Sequence[int] = (),
    confine: Callable[[Mapping[str, torch.Tensor]], None] | None = None,
) -> Group:
    """The Group that `train` makes of a few runs: one batched product for all, small training sets
    padded to the largest."""
    state: State = {n: params[n].detach().clone() for n in NAMES}
    state |= adam_state({n: state[n] for n in NAMES})
    for name in ("train", "test", "loss", "norm"):
        state[f"{name}_at"] = torch.full((len(runs), len(looks)), torch.nan, dtype=torch.float64)
    places = {step: i for i, step in enumerate(looks)}
    ready: list[tuple[Adam, _Kernel, Lesson, torch.Tensor]] = []

    @torch.no_grad()
    def step_fn(state: State, batch: Batch, step: int) -> Float[torch.Tensor, " run"]:
        device = state["E"].device
        if not ready:  # built here, after any move to a device or restore
            device_lesson = lesson.to(device)
            w = torch.as_tensor(decay, dtype=torch.float32, device=device).view(-1, 1, 1)
            ready.append(
                (Adam(state, NAMES, lr, betas), _Kernel(device_lesson, device), device_lesson, w)
            )
        adam, kernel, device_lesson, w = ready[0]
        loss, grads = kernel(*(state[n] for n in NAMES))
        for n in NAMES:
            grads[n].addcmul_(state[n], w)
        adam.step(grads, step)
        params = {n: state[n] for n in NAMES}
        if confine is not None:
            confine(params)
        if (place := places.get(step + 1)) is not None:
            for name, values in {**evaluate(params, device_lesson), "norm": norm(params)}.items():
                state[f"{name}_at"][:, place] = values
        return loss

    return Group(runs, state, step_fn, {"kind": "modular-network", "p": lesson.p})


class _Kernel:
    """Losses and gradients written by hand. Inputs are never formed: F = E W₁ has a row per
    residue, pairs add two of them.

    Padding points to a row of zeros: its hidden units are 0, and so is all it adds to a gradient. A
    residue's gradient is the sum over the pairs that it stands in, gathered: a product with the
    matrix of who stands where would be zeros but for one cell in 27."""

    def __init__(self, lesson: Lesson, device: torch.device):
        runs, most, p = len(lesson.size), int(lesson.size.max()), lesson.p
        size = torch.from_numpy(lesson.size).to(device)
        real = torch.arange(most, device=device) < size[:, None]  # [run, D]
        chosen = lesson.order[:, :most]
        ab = torch.where(real[..., None], lesson.pairs[chosen], p)  # [run, D, 2]
        rows = ab + (p + 1) * torch.arange(runs, device=device)[:, None, None]
        self.ab = rows.view(-1, 2)
        hits = (
            torch.nn.functional.one_hot(ab, p + 1).sum(2)[..., :p].transpose(1, 2)
        )  # [run, p, D]: how often a residue stands in a pair
        run, residue, pair = hits.nonzero(as_tuple=True)
        self.times, self.pair = hits[run, residue, pair].float(), run * most + pair
        parts = _parts(most)
        part = torch.repeat_interleave(
            torch.arange(len(parts), device=device), torch.tensor(parts, device=device)
        )
        bag = (run * p + residue) * len(parts) + part[pair]
        self.bags = torch.searchsorted(bag, torch.arange(runs * p * len(parts), device=device))
        self.shape = (runs, p, len(parts), -1)
        label = lesson.labels.gather(1, chosen)
        self.label = (
            label + p * torch.arange(runs * most, device=device).view(runs, most)
        ).reshape(-1)
        self.minus = torch.full((runs * most,), -1.0, device=device)
        self.weight = real / size[:, None].float()
        self.share = (1 / size.float()).view(-1, 1, 1)
        self.room: dict[str, torch.Tensor] = {}

    def __call__(
        self, E: torch.Tensor, W1: torch.Tensor, W2: torch.Tensor
    ) -> tuple[Float[torch.Tensor, " run"], dict[str, torch.Tensor]]:
        (runs, p, _), h = E.shape, W1.shape[2]
        most = self.weight.shape[1]
        if not self.room:
            empty = E.new_empty
            self.room = {
                "F": E.new_zeros(runs, p + 1, h),
                "P": empty(runs, most, p),
                "dH": empty(runs, most, h),
            }
        F, P, dH = (self.room[n] for n in ("F", "P", "dH"))
        # The row beyond the last residue stays 0: padding reads it.
        F[:, :p] = torch.bmm(E, W1)
        hidden = (
            torch.nn.functional.embedding_bag(self.ab, F.view(-1, h), mode="sum")
            .relu_()
            .view(runs, most, h)
        )
        torch.bmm(hidden, W2, out=P)
        torch.softmax(P, -1, out=P)
        right = P.view(-1).index_select(0, self.label)
        # In place on a copy of the right answers' probabilities; 1e-38, about the least that
        # float32 holds in full precision, keeps the logarithm finite.
        loss = -(right.clamp_min_(1e-38).log_().view(runs, most) * self.weight).sum(1)
        P.view(-1).index_add_(
            0, self.label, self.minus
        )  # now the gradient of the logits, times the size
        torch.bmm(P, W2.transpose(1, 2), out=dH)
        torch.ops.aten.threshold_backward.grad_input(
            dH, hidden, 0.0, grad_input=dH
        )  # 0 where the unit is off
        summed = torch.nn.functional.embedding_bag(
            self.pair, dH.view(-1, h), self.bags, mode="sum", per_sample_weights=self.times
        ).view(self.shape)
        # Part after part, in one order: see `_parts` for why the sum is cut up.
        dF = summed[:, :, 0]
        for part in range(1, summed.shape[2]):
            dF = dF + summed[:, :, part]
        dF = dF * self.share
        grads = {
            "E": torch.bmm(dF, W1.transpose(1, 2)),
            "W1": torch.bmm(E.transpose(1, 2), dF),
            "W2": torch.bmm(hidden.transpose(1, 2), P).mul_(self.share),
        }
        return loss, grads


def _parts(pairs: int, most: int = 192) -> list[int]:
    """How many pairs each part of a sum is over: rounding errors grow with a part, and these are
    those of the product that MKL makes."""
    if most < pairs < 2 * most:
        return [pairs // 2, pairs // 2, *([1] if pairs % 2 else [])]
    return [most] * (pairs // most) + ([pairs % most] if pairs % most else [])


def _inside(lesson: Lesson) -> torch.Tensor:
    """[run, pair]: whether a pair is in the run's training set."""
    places = torch.arange(len(lesson.pairs), device=lesson.order.device)
    first = places < torch.from_numpy(lesson.size).to(places.device)[:, None]
    return torch.zeros_like(first).scatter_(1, lesson.order, first)


def _chunks(betas: np.ndarray, size: np.ndarray, lr: np.ndarray, most: int) -> list[np.ndarray]:
    """The runs in groups of at most `most` of equal betas, sorted by size and rate, so that little
    is padded."""
    order = np.lexsort((np.arange(len(size)), lr, size, betas[:, 1], betas[:, 0]))
    edges = [
        0,
        *(np.flatnonzero((betas[order][1:] != betas[order][:-1]).any(1)) + 1).tolist(),
        len(order),
    ]
    out: list[np.ndarray] = []
    for a, b in itertools.pairwise(edges):
        out += np.array_split(order[a:b], -(-(b - a) // most))
    return out


def _concatenate_chunks(parts: Sequence[Trained], rows: np.ndarray) -> Trained:
    """The chunks as one, in the order in which the runs were given."""
    back = np.argsort(rows)
    order = torch.from_numpy(back)
    first = parts[0]
    return Trained(
        tensors={
            n: torch.cat([t.tensors[n] for t in parts])[order.to(v.device)]
            for n, v in first.tensors.items()
        },
        header=first.header,
        history={n: np.concatenate([t.history[n] for t in parts])[back] for n in first.history},
        steps=first.steps,
        diverged=np.concatenate([t.diverged for t in parts])[back],
    )


class _Part:
    """A bench that reports how far all chunks are, not one."""

    def __init__(self, bench: Bench, part: int, parts: int):
        self.bench, self.part, self.parts = bench, part, parts
        self.device, self.root, self.artefact, self.artefacts = (
            bench.device,
            bench.root,
            bench.artefact,
            bench.artefacts,
        )

    def slot(self) -> Slot:
        """The checkpoint of the next call of `fit`."""
        return self.bench.slot()

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Pass on how far all chunks are."""
        self.bench.report(self.part * total + done, self.parts * total, unit=unit, **numbers)
