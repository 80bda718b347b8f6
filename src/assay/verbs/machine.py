"""Machine: on what runs are trained here; nothing of it changes a number's meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from assay.core.errors import AssayError, nearest
from assay.core.heavy import torch
from assay.verbs.verb import More

if TYPE_CHECKING:
    from assay.lab.engines import Executor
    from assay.lab.lab import Lab


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Machine:
    """On what it runs; none of these changes a number's meaning."""

    executor: Annotated[str, More] = "workers"
    """workers: single-threaded processes, one for each free core; inline: this process, one group
    after the other; or another engine of assay.lab.engines."""
    threads: int | None = None
    """Threads of each worker, or of this process if inline. By default 1, as more only help a
    single large dictionary; on a GPU, one worker has all threads."""
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
        raise AssayError(
            f"--device {name} is not here; this machine has {', '.join(['cpu', *gpus])}"
        )
    return name
