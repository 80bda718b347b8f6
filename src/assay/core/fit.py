"""fit: the one training loop. It checkpoints, masks diverged runs, probes and reports; methods live
in their `step_fn`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from assay.core.bench import Bench
from assay.core.errors import ExperimentError
from assay.core.heavy import torch
from assay.core.runs import Runs

State: TypeAlias = "dict[str, torch.Tensor]"
Batch = Any
Losses: TypeAlias = 'Float[torch.Tensor, " run"]'


@dataclass(eq=False)
class Group:
    """Runs of one shape and one method, and how one step changes them.

    `state` holds [run, …] tensors; a name with a dot (adam.m.W) is bookkeeping that training needs
    and readers do not. `step_fn(state, batch, step)` updates the state in place and returns each
    run's loss, or the loss and more series by name. `header` is what a reader needs to use the
    tensors.

    Example:
        >>> import torch
        >>> import assay
        >>> def halve(state, batch, step):
        ...     return state["w"].mul_(0.5)
        >>> runs = assay.Runs(assay.grid(assay.Spec(), seed=[1000, 1001]))
        >>> group = assay.Group(runs, {"w": torch.tensor([8.0, 4.0])}, halve)
        >>> group.step_fn(group.state, None, 0)
        tensor([4., 2.])
    """

    runs: Runs
    state: State
    step_fn: Callable[[State, Batch, int], Losses | tuple[Losses, Mapping[str, Losses]]]
    header: Mapping[str, Any] = field(default_factory=dict)
    settle: Callable[[State, Iterable[Batch]], None] | None = None
    """Estimates, after the last step, what depends on final parameters, from the last batches
    again."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives: tensors [run, …], how to read them, and the loss along the way.

    Example:
        >>> import assay
        >>> runs = assay.Runs(assay.grid(assay.Spec(), seed=range(3)))
        >>> assay.Trained.nothing(runs).diverged
        array([False, False, False])
    """

    tensors: dict[str, Shaped[torch.Tensor, "run ..."]]
    header: Mapping[str, Any]
    history: dict[str, Float[np.ndarray, "run step"]]
    """Means over the steps since the probe before, at most the last 1/20 of all steps, at each of
    `steps`."""
    steps: Int[np.ndarray, " step"]
    diverged: Bool[np.ndarray, " run"]
    """Runs whose loss was once not finite; their numbers mean nothing."""

    @classmethod
    def nothing(cls, runs: Runs) -> Trained:
        """What an arm gives that trains nothing: no tensors, no history."""
        return cls({}, {"kind": "nothing"}, {}, np.zeros(0, np.int64), np.zeros(len(runs), bool))

    def to(self, device: torch.device | str) -> Trained:
        """Move the tensors to a device; those that are there already are not copied."""
        return replace(
            self, tensors={name: tensor.to(device) for name, tensor in self.tensors.items()}
        )

    def with_tensors(self, tensors: dict[str, torch.Tensor]) -> Trained:
        """What an arm gives that changes these runs' weights and trains no further: other tensors,
        no history."""
        return Trained(tensors, self.header, {}, np.zeros(0, np.int64), self.diverged)


SETTLING = 32
"""How many of the last batches `settle` is given: 2,048 rows where a batch has 64."""


def fit(
    groups: Sequence[Group],
    batches: Callable[[int], Batch],
    *,
    steps: int,
    probe_at: Sequence[int] = (),
    bench: Bench,
) -> list[Trained]:
    """One Trained for each group, after `steps` steps on `batches(step)`, which every group sees.

    A batch is a function of the step, so a run that was killed goes on exactly; it may be shared by
    all runs ([b, d]) or be each run's own ([run, b, d]). `steps=0` returns the start with an empty
    history. The history has the probe steps, the half and the end.

    Args:
        groups: those trained together.
        batches: step, from 0 → batch.
        steps: how many.
        probe_at: steps that the history has.
        bench: device and checkpoints; `Unkept()` without a lab.
    Example:
        >>> import torch
        >>> import assay
        >>> from assay.core.bench import Unkept
        >>> def halve(state, batch, step):
        ...     return state["w"].mul_(0.5)
        >>> runs = assay.Runs(assay.grid(assay.Spec(), seed=[1000, 1001]))
        >>> group = assay.Group(runs, {"w": torch.tensor([8.0, 4.0])}, halve)
        >>> (trained,) = assay.fit([group], lambda step: None, steps=3, bench=Unkept())
        >>> trained.tensors["w"]
        tensor([1.0000, 0.5000])
    """
    for g in groups:
        for name, tensor in g.state.items():
            g.state[name] = tensor.detach().to(bench.device)
    probe_steps = np.array(
        sorted({s for s in (*probe_at, steps // 2, steps) if 0 < s <= steps}), dtype=np.int64
    )
    books = [_Book(len(g.runs), probe_steps, steps, bench.device) for g in groups]
    slot = bench.slot()
    start = _resumed(groups, books, slot.restore(), steps)
    # Reports are few, since each waits for the device.
    every = max(1, steps // 200)
    for step in range(start, steps):
        # Once for all groups, which see one and the same batch.
        batch = _to(batches(step), bench.device)
        for g, book in zip(groups, books, strict=True):
            out = g.step_fn(g.state, batch, step)
            loss, more = out if isinstance(out, tuple) else (out, {})
            book.note(step + 1, {"loss": loss, **more})
        if (step + 1) % every == 0:
            bench.report(step + 1, steps, loss=float(books[0].last))
        if slot.due() and step + 1 < steps:
            slot.save(step + 1, _saved(groups, books, step + 1, steps))
    if start < steps:
        for g in groups:
            if g.settle is not None:
                last = range(max(0, steps - SETTLING), steps)
                g.settle(g.state, (_to(batches(step), bench.device) for step in last))
        # so that a kill while measuring does not train again
        slot.save(steps, _saved(groups, books, steps, steps))
    return [_finish(g, book) for g, book in zip(groups, books, strict=True)]


def _resumed(
    groups: Sequence[Group],
    books: Sequence[_Book],
    saved: tuple[int, dict[str, torch.Tensor]] | None,
    steps: int,
) -> int:
    """Bring groups and books to what was saved, and give its step; 0 where nothing was, or where
    an older version kept other tensors."""
    start, tensors = saved or (0, {})
    names = [
        [(n, f"{i}.state.{n}") for n in _needed(g.state, start, steps)]
        for i, g in enumerate(groups)
    ]
    if saved is None or not all(name in tensors for of_group in names for _, name in of_group):
        return 0
    for i, (g, book) in enumerate(zip(groups, books, strict=True)):
        for n, name in names[i]:
            with torch.no_grad():
                g.state[n].copy_(tensors[name])  # in place: views into the state stay valid
        prefix = f"{i}.book."
        book.load({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return start


def _saved(
    groups: Sequence[Group], books: Sequence[_Book], step: int, steps: int
) -> dict[str, torch.Tensor]:
    parts = {
        f"{i}.state.{k}": g.state[k]
        for i, g in enumerate(groups)
        for k in _needed(g.state, step, steps)
    }
    return parts | {f"{i}.book.{k}": v for i, b in enumerate(books) for k, v in b.dump().items()}


def _needed(state: State, step: int, steps: int) -> list[str]:
    """The names of what is needed to go on from a step: at the end only what is read, a third where
    Adam has two moments."""
    return [name for name in state if step < steps or "." not in name]


def _to(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, tuple):  # inputs and targets
        return tuple(_to(part, device) for part in batch)
    # non_blocking: else each step would wait for the one before to be done
    return batch.to(device, non_blocking=True) if isinstance(batch, torch.Tensor) else batch


class _Book:
    """Sums of the series since the last probe, the finished means, and the mask of diverged
    runs."""

    def __init__(self, runs: int, probe_steps: np.ndarray, steps: int, device: torch.device):
        self.at, self.window, self.device = probe_steps, max(1, steps // 20), device
        self.diverged = torch.zeros(runs, dtype=torch.bool, device=device)
        self.sums: dict[str, torch.Tensor] = {}
        self.means: dict[str, torch.Tensor] = {}
        self.next = 0
        self.last = torch.zeros((), device=device)

    def note(self, step: int, series: Mapping[str, torch.Tensor]) -> None:
        if series["loss"].shape != self.diverged.shape:
            runs, got = len(self.diverged), tuple(series["loss"].shape)
            raise ExperimentError(
                f"a loss has one number for each of {runs} runs, shape ({runs},), got shape "
                f"{got}; average over all but runs"
            )
        # Never taken back: a run that was once not finite may look sound again, with parameters
        # that mean nothing. Others go on untouched.
        self.diverged |= ~series["loss"].detach().isfinite()
        self.last = series["loss"].detach()[0]
        if self.next >= len(self.at):
            return
        probe = int(self.at[self.next])
        # A mean over a window, since the loss of a single batch is noise; never over steps before
        # the last probe.
        first = max(int(self.at[self.next - 1]) if self.next else 0, probe - self.window) + 1
        if step < first:
            return
        for name, values in series.items():
            # On the device, and in float64: sums do not wait for it, nor lose digits over many
            # steps.
            values = values.detach().double()
            self.sums[name] = self.sums[name] + values if name in self.sums else values.clone()
        if step == probe:
            for name, total in self.sums.items():
                if name not in self.means:
                    self.means[name] = torch.full(
                        (len(total), len(self.at)),
                        torch.nan,
                        dtype=torch.float64,
                        device=self.device,
                    )
                self.means[name][:, self.next] = total / (probe - first + 1)
            self.sums = {}
            self.next += 1

    def dump(self) -> dict[str, torch.Tensor]:
        out = {"diverged": self.diverged, "next": torch.tensor(self.next)}
        out |= {f"sums.{k}": v for k, v in self.sums.items()}
        return out | {f"means.{k}": v for k, v in self.means.items()}

    def load(self, saved: Mapping[str, torch.Tensor]) -> None:
        self.diverged = saved["diverged"].to(self.device)
        self.next = int(saved["next"])
        self.sums = {
            k.removeprefix("sums."): v.to(self.device)
            for k, v in saved.items()
            if k.startswith("sums.")
        }
        self.means = {
            k.removeprefix("means."): v.to(self.device)
            for k, v in saved.items()
            if k.startswith("means.")
        }


def _finish(group: Group, book: _Book) -> Trained:
    return Trained(
        tensors={k: v.detach() for k, v in group.state.items() if "." not in k},
        header=dict(group.header),
        history={k: v.cpu().numpy() for k, v in book.means.items()},
        steps=book.at,
        diverged=book.diverged.cpu().numpy(),
    )


def watched(group: Group, names: Sequence[str], moments: Sequence[int]) -> Group:
    """Let a group also keep these parameters as they are after the steps `moments`, as NAME/at
    [run, moment, …]; 0 is the start.

    A resume goes on with them: they are part of its state.
    """
    inner, stacked = group.step_fn, {n: f"{n}/at" for n in names if moments}
    group.state.update(
        {k: torch.stack([group.state[n].detach()] * len(moments), 1) for n, k in stacked.items()}
    )

    def step_fn(
        state: State, batch: Batch, step: int
    ) -> Losses | tuple[Losses, Mapping[str, Losses]]:
        losses = inner(state, batch, step)
        for i in (i for i, moment in enumerate(moments) if moment == step + 1):
            for n, k in stacked.items():
                state[k][:, i] = state[n].detach()
        return losses

    group.step_fn = step_fn
    return group


Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """The factor 1 at every step."""
    return 1.0


def warm_up(steps: int) -> Schedule:
    """A factor that rises linearly from 1/steps at step 0 to 1, and stays."""
    return lambda step: min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def warm_up_decay(total: int, warm: int, decay: float, floor: float = 0.0) -> Schedule:
    """Linear warm-up over `warm` steps, 1 in the middle, then linear decay to `floor` over the last
    share `decay` of `total` steps."""
    start = total * (1.0 - decay)
    up = warm_up(warm)

    def factor(step: int) -> float:
        if step < start or decay <= 0.0:
            return up(step)
        return up(step) * (floor + (1.0 - floor) * max(0.0, (total - step) / (total - start)))

    return factor


def cosine(total: int, warm: int, floor: float = 0.0) -> Schedule:
    """Linear warm-up over `warm` steps times half a cosine from 1 at step 0 to `floor` at step
    `total`."""
    up = warm_up(warm)
    return lambda step: (
        up(step) * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, step / total))) / 2)
    )


def probes(total: int, count: int = 20, log: bool = False) -> tuple[int, ...]:
    """`count` steps between 1 and `total`, evenly or logarithmically spread; duplicates removed."""
    steps = np.geomspace(1, total, count) if log else np.linspace(total / count, total, count)
    return tuple(sorted({round(a) for a in steps if a >= 1}))
