"""Ranks: the processes that train one dictionary together, as a grid of shards and replicas, and
every collective among them. A sum may be started, and waited for once it is needed.

Rank r has shard r mod S and replica r div S, S the number of shards: a shard is a stretch of
latents, a replica a part of each batch. The ranks of one replica have the same rows and sum over
latents; those of one shard have the same latents and sum over rows. A collective that gets no
answer within the time-out, or whose partner is gone, ends in one RunError on every rank that
waited."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import torch.distributed as dist

from assay.core.errors import RunError, SpecError
from assay.core.heavy import torch
from assay.dictionaries.training.kernels.whole import Started

TIMEOUT = 300.0
"""Seconds that a rank waits for the others."""


@dataclass(eq=False)
class Circle:
    """Ranks that reduce and gather among themselves; a circle of one has nothing to do. Reductions
    are made in place where memory allows."""

    name: str
    size: int = 1
    place: int = 0
    """Of this rank in the circle."""
    group: Any = None
    timeout: float = TIMEOUT
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes that this rank has sent, by kind of collective, as a ring sends them: 2 (n − 1)/n of a
    sum, (n − 1) of what is gathered."""

    def start_sum(self, *values: torch.Tensor) -> Started:
        """Begin sums over the ranks, the same bits on each. Several tensors go as one, in float64
        if their types differ: it holds counts up to 2⁵³."""
        if self.size == 1 or not any(value.numel() for value in values):
            return Started(values)
        if len(values) == 1:
            return self._reduce(values[0].contiguous(), dist.ReduceOp.SUM, values)
        dtypes = {value.dtype for value in values}
        dtype = dtypes.pop() if len(dtypes) == 1 else torch.float64
        packed = torch.cat([value.flatten().to(dtype) for value in values])
        return self._reduce(packed, dist.ReduceOp.SUM, values)

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over the ranks, the same bits on each."""
        return self.start_sum(value).wait()[0]

    def max(self, value: torch.Tensor) -> torch.Tensor:
        """The largest among the ranks."""
        if self.size == 1 or not value.numel():
            return value
        return self._reduce(value.contiguous(), dist.ReduceOp.MAX, (value,)).wait()[0]

    def gather(self, value: torch.Tensor) -> list[torch.Tensor]:
        """What each rank has, in the order of ranks; shapes must be equal."""
        if self.size == 1:
            return [value]
        value = value.contiguous()
        parts = [torch.empty_like(value) for _ in range(self.size)]
        count = (self.size - 1) * value.numel() * value.element_size()
        start = partial(dist.all_gather, parts, value, group=self.group, async_op=True)
        self._start("gather", count, start)()
        return parts

    def barrier(self) -> None:
        """Wait until every rank has come so far."""
        # A sum ends for nobody before all have given their part.
        self.sum(torch.zeros(1, device=_device(self.group)))

    def _reduce(self, value: torch.Tensor, op: Any, shapes: tuple[torch.Tensor, ...]) -> Started:
        count = 2 * (self.size - 1) * value.numel() * value.element_size() // self.size
        start = partial(dist.all_reduce, value, op, group=self.group, async_op=True)
        return _Summed(shapes, value, self._start("reduce", count, start))

    def _start(self, kind: str, count: int, start: Callable[[], Any]) -> Callable[[], None]:
        """Start a collective and give what waits for it. A lost rank shows in either."""

        def checked(call: Callable[[], Any]) -> Any:
            try:
                return call()
            except RuntimeError as error:
                what = f"{kind} over the {self.size} ranks of its {self.name}"
                raise RunError(_lost(what, self.timeout, error)) from error

        self.sent[kind] += count
        work = checked(start)
        return lambda: checked(work.wait)


@dataclass(frozen=True, eq=False)
class _Summed(Started):
    """Sums in one tensor, in the shapes and types of their parts."""

    packed: torch.Tensor
    answered: Callable[[], None]

    def wait(self) -> tuple[torch.Tensor, ...]:
        """The sums. Raises: RunError where a rank is lost."""
        self.answered()
        pieces = self.packed.flatten().split([value.numel() for value in self.values])
        return tuple(
            piece.view(value.shape).to(value.dtype)
            for piece, value in zip(pieces, self.values, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where this process stands among all, and the circles that it is in."""

    rank: int
    size: int
    device: torch.device
    latents: Circle
    """Ranks with the same rows and other latents."""
    rows: Circle
    """Ranks with the same latents and other rows."""
    every: Circle

    @classmethod
    def alone(cls, device: torch.device | str = "cpu") -> Ranks:
        """One process, with every latent and row."""
        return cls(
            0, 1, torch.device(device), Circle("shards"), Circle("replicas"), Circle("training")
        )

    @property
    def writes(self) -> bool:
        """Whether it stores its shard: of the replicas of a shard, which are the same, one does."""
        return self.rows.place == 0

    def sent(self) -> dict[str, int]:
        """Bytes that this rank has sent since the start, by circle and kind of collective."""
        return {
            f"{circle.name} {kind}": count
            for circle in (self.latents, self.rows, self.every)
            for kind, count in circle.sent.items()
        }


def bounds(n: int, parts: int, part: int) -> slice:
    """The stretch of n things that a part has; the first parts have one more where they do not come
    out even."""
    size, more = divmod(n, parts)
    first = part * size + min(part, more)
    return slice(first, first + size + (part < more))


@contextmanager
def join_ranks(
    shards: int = 0, *, device: str = "cpu", timeout: float = TIMEOUT
) -> Iterator[Ranks]:
    """Join the ranks that torchrun started, by its environment variables; without them this process
    is alone.

    `shards` divides the number of ranks, and each shard has ranks / shards replicas; 0: every rank
    is a shard. On the CPU collectives are gloo's, on "cuda" nccl's, each rank on the device of its
    LOCAL_RANK.

    Raises: SpecError for a grid that does not come out even; RunError where a rank does not come
    within the time-out."""
    rank, size = (
        int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))
    )
    shards = shards or size
    if shards < 1 or size % shards:
        raise SpecError(
            f"{size} ranks do not make {shards} shards; the number of ranks must be a "
            "multiple of the number of shards"
        )
    place = torch.device(
        device if device != "cuda" else f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    )
    if size == 1:
        yield Ranks.alone(place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
        # Else nccl's watchdog ends the process when a rank is lost; with this there is no watchdog,
        # and the error is raised where the answer is waited for.
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
    wait = timedelta(seconds=timeout)
    try:
        dist.init_process_group(
            "nccl" if place.type == "cuda" else "gloo", timeout=wait, rank=rank, world_size=size
        )
        if place.type == "cpu":
            dist.monitored_barrier(
                timeout=wait, wait_all_ranks=True
            )  # names the rank that is missing
        every = Circle("training", size, rank, dist.group.WORLD, timeout)
        replicas = [range(first, first + shards) for first in range(0, size, shards)]
        latents = _circle("shards", replicas, rank, timeout)
        columns = [range(shard, size, shards) for shard in range(shards)]
        rows = _circle("replicas", columns, rank, timeout)
    except (RuntimeError, ValueError) as error:
        raise RunError(_lost(f"the meeting of {size} ranks", timeout, error)) from error
    yield Ranks(rank, size, place, latents, rows, every)
    dist.destroy_process_group()  # not after an error: it would wait for ranks that may be gone


def _circle(name: str, members: Sequence[range], rank: int, timeout: float) -> Circle:
    """Make the process groups of one kind, and give the one that the rank is in."""
    # Every rank makes every group, in one order, also those it is not in: torch.distributed asks
    # for it. Not a DeviceMesh, whose groups take a time-out only from torch 2.9 on.
    group, _ = dist.new_subgroups_by_enumeration(
        [list(ranks) for ranks in members], timeout=timedelta(seconds=timeout)
    )
    mine = next(ranks for ranks in members if rank in ranks)
    return Circle(name, len(mine), mine.index(rank), group, timeout)


def _device(group: Any) -> str:
    return "cpu" if group is None or dist.get_backend(group) == "gloo" else "cuda"


def _lost(what: str, timeout: float, error: BaseException) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    why = (
        first.partition("] ")[2].partition(". ")[0] if first.startswith("[") else first
    )  # without the place in torch's source
    return (
        f"rank {os.environ.get('RANK', '0')}: no answer in {what}: another rank has ended, or did "
        f"not come within {timeout:g} s ({why[:120]}); "
        "start again with the same folder, and training goes on from its last checkpoint"
    )
