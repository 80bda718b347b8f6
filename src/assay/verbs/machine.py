"""Machine: where runs are trained, here or on a Ray cluster or as SLURM jobs; nothing of this
changes a number's meaning."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from assay.core.compute import duration
from assay.core.errors import AssayError, DataError, nearest
from assay.core.heavy import torch
from assay.core.plain import plain
from assay.verbs.verb import Bare, More

if TYPE_CHECKING:
    from assay.lab.engines import Executor
    from assay.lab.lab import Lab


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it runs; none of these changes a number's meaning."""

    executor: Annotated[str, More] = "workers"
    """workers: single-threaded processes, one for each free core; inline: this process, one group
    after the other; or another engine of assay.lab.engines."""
    threads: int | None = None
    """Threads per worker, or of this process with --executor inline. The default is 1: more threads
    help only with a single large dictionary. On a GPU, the only worker gets all threads."""
    device: str = "cpu"
    """The device to compute on: cpu, cuda, cuda:1."""

    def lab(self, root: Path) -> Lab:
        """Make a lab that trains on this machine."""
        from assay.lab.lab import Lab

        return Lab(root, self.engine(root), self.device, together=self.is_here)

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return True

    def engine(self, root: Path) -> Executor:
        """Make what trains the groups of a store. Raises: AssayError."""
        from assay.lab import engines
        from assay.lab.store.provenance import cores

        self.check_threads()
        if self.executor not in engines.known():
            raise AssayError(
                f"no executor {self.executor!r}; {nearest(self.executor, engines.known())}"
            )
        threads = self.threads or (1 if device_here(self.device) == "cpu" else cores())
        return engines.known()[self.executor](threads=threads)

    def check_threads(self) -> None:
        """Refuse a number of threads that is none. Raises: AssayError."""
        if self.threads is not None and self.threads < 1:
            raise AssayError(f"--threads is a number of threads, at least 1, got {self.threads}")


CPU = Machine()


def device_here(name: str) -> str:
    """Give the device's name back, where torch has it on this machine. Raises: AssayError."""
    if name == "cpu":
        return name

    gpus = (
        [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if name not in [*gpus, *(["cuda"] if gpus else [])]:
        raise AssayError(f"no device {name} on this machine; it has {', '.join(['cpu', *gpus])}")
    return name


SIZE = re.compile(r"(\d{1,9})([KMGT])")
"""An amount of memory, such as 16G."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Elsewhere(Machine):
    """Where it runs, here or elsewhere; none of these changes a number's meaning."""

    on: str | None = None
    """Run on other machines (docs/scale.md). ray: the Ray cluster of this machine, or a new one
    that is started here for this command; ray://HOST:PORT: any Ray cluster; slurm: SLURM jobs,
    which need access to the store's folder."""
    workers: Annotated[int | None, More] = None
    """With --on: how many groups run at the same time. By default 8 jobs of SLURM, or as many tasks
    of Ray as there is room for."""
    gpus: Annotated[int | None, More] = None
    """With --on: GPUs of each group; goes with --device cuda."""
    memory: Annotated[str | None, More] = None
    """With --on: memory of each group, such as 16G."""
    time: Annotated[str | None, More] = None
    """With --on slurm: how long a job may run, such as 4h; by default 1h. A group that takes longer
    resumes in the next job."""
    slurm: Annotated[tuple[str, ...], Bare, More] = ()
    """name=value: with --on slurm, an option of sbatch or of submitit, such as partition=gpu,
    account=me, or setup="module load cuda". Repeatable."""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return self.on is None

    def engine(self, root: Path) -> Executor:
        """Make what trains the groups of a store, here or elsewhere. Raises: AssayError."""
        for f in fields(self):
            if self.on is None and f.name not in _LOCAL and getattr(self, f.name) != f.default:
                engine = "slurm" if f.name in ("time", "slurm") else "ray or --on slurm"
                raise AssayError(f"--{f.name} is about other machines; it goes with --on {engine}")
        if self.on is None:
            return super().engine(root)
        self._check()
        return self._slurm(root) if self.on == "slurm" else self._ray()

    def _check(self) -> None:
        self.check_threads()
        if not re.fullmatch(r"slurm|ray|ray://([\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}", self.on or ""):
            raise AssayError(f"--on is ray, ray://HOST:PORT or slurm, got {plain(str(self.on))!r}")
        if self.executor != Machine.executor:
            raise AssayError(
                f"--on {self.on} and --executor {self.executor} are two answers to one "
                "question; leave one out"
            )
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise AssayError(f"--device is cpu, cuda or cuda:1, got {self.device!r}")
        if self.gpus and self.device == "cpu":
            raise AssayError(
                f"--gpus {self.gpus} would stay idle on --device cpu; add --device cuda"
            )
        if (self.workers is not None and self.workers < 1) or (self.gpus or 0) < 0:
            raise AssayError("--workers is a number of at least 1, and --gpus one of at least 0")
        if self.memory is not None and not SIZE.fullmatch(self.memory):
            raise AssayError(f"--memory is an amount such as 16G or 900M, got {self.memory!r}")

    def _ray(self) -> Executor:
        from assay.lab.engines.ray import Ray

        for name in ("time", "slurm"):
            if getattr(self, name):
                raise AssayError(f"--{name} goes with --on slurm, not with --on {self.on}")
        address = "" if self.on in (None, "ray") else self.on
        memory = 0
        if self.memory and (size := SIZE.fullmatch(self.memory)):
            memory = int(size[1]) * 1024 ** (1 + "KMGT".index(size[2]))
        return Ray(address, self.workers or 0, self.threads or 1, self.gpus or 0, memory)

    def _slurm(self, root: Path) -> Executor:
        from assay.lab.engines.slurm import Slurm

        parameters: dict[str, Any] = {}
        for text in self.slurm:
            name, equals, value = text.partition("=")
            if not re.fullmatch(r"[a-z][a-z_-]*", name):
                raise AssayError(
                    f"--slurm is name=value, such as partition=gpu; got {plain(text)!r}"
                )
            if name == "setup":
                parameters.setdefault(name, []).append(value)
            else:
                number = int(value) if value.isascii() and value.isdigit() else value
                parameters[name.replace("-", "_")] = number if equals else True
        if self.memory:
            parameters["mem"] = self.memory
        if self.gpus:
            parameters["gpus_per_node"] = self.gpus
        try:
            minutes = math.ceil(duration(self.time or "1h") / 60)
        except DataError as e:
            raise AssayError(f"--time is a time such as 90m or 4h, got {self.time!r}") from e
        return Slurm(root, self.workers or 8, self.threads or 1, minutes, parameters)


_LOCAL = frozenset(f.name for f in fields(Machine))


NOT_ELSEWHERE = Elsewhere()
"""Here, where nothing was typed."""
