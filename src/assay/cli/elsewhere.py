"""`assay run --on`: workers on other machines, and what is asked of the engine that starts them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from assay.cli import printing
from assay.cli.options import Bare, Choice, Machine, Place
from assay.core import foreign
from assay.core.errors import AssayError
from assay.core.experiment import ALL
from assay.core.plain import plain

if TYPE_CHECKING:
    from assay.lab.executors import Site


OF_SLURM = ("partition", "time", "account", "prolog", "sbatch", "dry_run")
"""Options that only SLURM has."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Elsewhere(Machine):
    """On what it runs, here or elsewhere; none of these changes a number's meaning."""

    on: str | None = None
    """Workers that share the folder of the store (docs/scale.md). slurm: in job arrays.
    ray://HOST:PORT, ray:auto or ray:HOST:PORT: in a Ray cluster. local:N: N of them, by Ray on this
    machine."""
    workers: int | None = None
    """With --on: how many at most; without it 8 of slurm, and of Ray as many as its nodes have room
    for."""
    cpus: int | None = None
    """With --on: of each worker; without it as many as --threads."""
    gpus: str | None = None
    """With --on: of each worker, such as 1 or a100:1; goes with --device cuda."""
    memory: str | None = None
    """With --on: of each worker, such as 16G."""
    partition: str | None = None
    """With --on slurm: where workers queue."""
    time: str | None = None
    """With --on slurm: until each is stopped, such as 4:00:00 or 2-12; the next goes on where it
    was."""
    account: str | None = None
    """With --on slurm: who is charged."""
    prolog: Path | None = None
    """With --on slurm: a file with lines of bash that come before each worker, such as `module load
    cuda`."""
    sbatch: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """With --on slurm: further options of sbatch in one text, such as "--qos=low -C a100"."""
    dry_run: Annotated[bool, Bare] = False
    """With --on slurm: print the batch script; nothing is submitted."""

    def site(self) -> Site:
        """Where it trains, as plain values. Raises: AssayError."""
        if self.on is None:
            local_fields = {f.name for f in fields(Machine)}
            for f in fields(self):
                if f.name not in local_fields and getattr(self, f.name) != f.default:
                    engine = "--on slurm" if f.name in OF_SLURM else "--on slurm or ray:…"
                    raise AssayError(
                        f"--{f.name.replace('_', '-')} is about workers elsewhere; it goes "
                        f"with {engine}"
                    )
            return super().site()
        from assay.lab.executors import Site

        if self.executor != Machine.executor:
            raise AssayError(
                f"--on {self.on} and --executor {self.executor} are two answers to one "
                "question; leave one out"
            )
        if self._threads < 1:
            raise AssayError(f"--threads is a number of threads from 1 up, got {self.threads}")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise AssayError(f"--device is cpu, cuda or cuda:1, got {self.device!r}")
        if self.gpus and self.device == "cpu":
            raise AssayError(
                f"--gpus {self.gpus} would stay idle on --device cpu; add --device cuda"
            )
        there = Site(threads=self._threads, device=self.device, on=self.on)
        return replace(there, **(self._slurm() if self.on == "slurm" else self._ray()))

    @property
    def _threads(self) -> int:
        """Those of each worker."""
        return 1 if self.threads is None else self.threads

    def _ray(self) -> dict[str, Any]:
        from assay.lab.away.fleets import Resources

        if not re.match("ray:|local:", self.on or ""):
            raise AssayError(
                "--on is slurm, ray://HOST:PORT, ray:auto, ray:HOST:PORT or local:N, got "
                f"{plain(str(self.on))!r}"
            )
        for name in OF_SLURM:
            if getattr(self, name):
                raise AssayError(
                    f"--{name.replace('_', '-')} goes with --on slurm, not with --on "
                    f"{plain(str(self.on))}"
                )
        if not re.fullmatch(r"\d{1,4}", self.gpus or "0"):
            raise AssayError(
                f"--gpus is a number of GPUs for each worker in a Ray cluster, got {self.gpus!r}"
            )
        size = re.fullmatch(r"(\d{1,9})([KMGT])", self.memory or "0K")
        if size is None:
            raise AssayError(f"--memory is 16G or 900M in a Ray cluster, got {self.memory!r}")
        workers, cpus = (
            0 if self.workers is None else self.workers,
            self._threads if self.cpus is None else self.cpus,
        )
        if cpus < 1 or self.workers == 0:
            raise AssayError(
                f"--cpus and --workers are numbers from 1 up, got {cpus} and {workers}"
            )
        memory = int(size[1]) * 1024 ** (1 + "KMGT".index(size[2]))
        resources = Resources(cpus=cpus, gpus=int(self.gpus or 0), memory=memory)
        return {"workers": workers, "resources": resources}

    def _slurm(self) -> dict[str, Any]:
        from assay.lab.away.fleets.sbatch import Request

        try:
            setup = (
                foreign.read(self.prolog, "a file of bash", 2**20).decode() if self.prolog else ""
            )
        except UnicodeDecodeError as e:
            raise AssayError(f"--prolog {self.prolog} is not text in UTF-8") from e
        options = {
            "partition": self.partition,
            "time": self.time,
            "gpus": self.gpus,
            "memory": self.memory,
            "account": self.account,
        }
        request = Request(
            workers=8 if self.workers is None else self.workers,
            cpus=self._threads if self.cpus is None else self.cpus,
            setup=setup,
            extra=self.sbatch or "",
            **{name: value or "" for name, value in options.items()},
        )
        return {"slurm": request}


NOT_ELSEWHERE = Elsewhere()
"""Here, where nothing was typed."""


def site(text: str) -> Site:
    """Read where submitted jobs train: an executor, or an engine, with what goes with it, as they
    stand after `assay run --executor` and `assay run --on`. Raises: AssayError."""
    from assay.lab import executors

    reader = App(help_flags=[], version_flags=[])

    @reader.default
    def read(*, machine: Elsewhere = NOT_ELSEWHERE) -> Elsewhere:
        return machine

    try:
        words = shlex.split(text)
        option = "--executor" if words[:1] and words[0] in executors.known() else "--on"
        machine: Elsewhere = reader(
            [option, *words], exit_on_error=False, print_error=False, result_action="return_value"
        )
    except (ValueError, CycloptsError) as error:
        raise AssayError(f"--on {plain(text)!r}: {plain(' '.join(str(error).split()))}") from error
    if machine.dry_run:
        raise AssayError("--dry-run goes with assay run, which prints the batch script")
    return machine.site()


def dry_run(name: str, choice: Choice, machine: Elsewhere, place: Place) -> int:
    """Print the batch script that would be submitted; exit code 0. Raises: AssayError where nothing
    would be."""
    from assay.verbs.dry_run import dry_run as written

    if name != ALL and "*" not in name:
        choice.of(name)
    batch_script = written(machine.lab(place.root))
    printing.emit(batch_script) if place.json else print(plain(batch_script.script), end="")
    return 0
