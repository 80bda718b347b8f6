"""Run: an experiment, a study or a series trained where runs are missing, here or elsewhere, and
judged."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from assay.core import foreign
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.plain import plain
from assay.core.results import ResultData
from assay.core.schema import BESIDE
from assay.lab import catalogue
from assay.lab.store.origin import STUDIES
from assay.report import tables
from assay.verbs.options import (
    ANYWHERE,
    DEFAULT,
    Anywhere,
    Choice,
    Expected,
    Flag,
    Machine,
    Name,
)
from assay.verbs.verb import Answer, Door, Line, Part, Table, verb

if TYPE_CHECKING:
    from assay.lab.executors import Site
    from assay.lab.lab import Lab

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
    dry_run: Flag = False
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


@dataclass(frozen=True)
class DryRun:
    """What would be submitted."""

    script: str
    """A batch script, whole."""


@dataclass(frozen=True)
class Ran:
    """What became of a name among several."""

    name: str
    """As it was typed."""
    question: str
    """What its header or the study asks."""
    seconds: float
    """By the clock, judging included."""
    error: str | None
    result: ResultData | None


@dataclass(frozen=True)
class Several:
    """What became of each of several names, in their order."""

    ran: tuple[Ran, ...]
    exit_code: int = field(metadata=BESIDE)
    """That of the worst."""


def results() -> Any:
    """Give the types of what a run answers."""
    return ResultData | Several | DryRun


@verb(
    "verdicts, with their controls, after what is missing is trained; a script for other machines",
    results=results,
)
def run(
    name: Name,
    /,
    *more: str,
    choice: Choice = DEFAULT,
    expect: Expected = None,
    machine: Elsewhere = NOT_ELSEWHERE,
    place: Anywhere = ANYWHERE,
    door: Door,
) -> Answer[Any]:
    """Train and measure what is missing, then judge; what was interrupted goes on where it was.

    Parameters
    ----------
    more
        Further names or paths: all run in a row, each is told when it is judged, and a table of all
        at the end.

    Examples
    --------
    assay run superposition --preset smoke
    assay run superposition gated-sae --preset smoke
    assay run superposition --on slurm --partition main --dry-run
    """
    if more:
        return run_several((name, *more), choice, expect, machine, place, door)
    if machine.dry_run:
        choice.of(name)
        batch = dry_run(machine.lab(place.root))
        return Answer(batch, [Line(batch.script.removesuffix("\n"))])
    from assay.verbs import verdicts

    experiment, preset = choice.of(name)
    warn(name, experiment, door)
    lab = machine.lab(place.root)
    return verdicts.answer(
        verdicts.run(lab, experiment, preset, door.run(experiment.name)),
        name,
        experiment,
        preset,
        place,
        expect,
    )


def warn(name: str, experiment: Experiment, door: Door) -> None:
    """Say which claims of a study no data could decide, and which of its prompts nothing uses."""
    if name.endswith(STUDIES):
        from assay.verbs.unsaid import undecidable, unused

        lines = undecidable(Path(name), experiment)
        for line in (*lines, *unused(Path(name))):
            door.aside(f"! {line}")
        if lines:
            door.aside("It runs all the same; Ctrl-C stops it, and what is measured by then stays.")


def run_several(
    names: tuple[str, ...],
    choice: Choice,
    expect: str | None,
    machine: Elsewhere,
    place: Anywhere,
    door: Door,
) -> Answer[Several]:
    """Run each of several names, tell its verdicts, and go on with the next; where a run fails, the
    others run all the same. Workers stay, with the models that they have opened.

    Raises: AssayError for an option that is about one experiment only, and, before anything runs, for a name or a file that cannot be read.
    """  # noqa: E501
    from assay.lab.executors import Workers
    from assay.verbs import verdicts

    single = {"--set": choice.set, "--dry-run": machine.dry_run}
    for option in (option for option, value in single.items() if value):
        raise AssayError(f"{option} is about one experiment, not about {len(names)}; name it alone")
    chosen = {name: choice.of(name) for name in names}  # a name that was typed twice once
    lab, ran, codes = machine.lab(place.root), [], [0]
    with lab.executor.staying() if isinstance(lab.executor, Workers) else nullcontext():
        for name, (experiment, preset) in chosen.items():
            warn(name, experiment, door)
            began, error, result = time.perf_counter(), None, None
            try:
                result = verdicts.run(lab, experiment, preset, door.run(experiment.name))
                answer = verdicts.answer(result, name, experiment, preset, place, expect)
                codes.append(answer.code)
                if not door.json:
                    door.answer(replace(answer, words=[*answer.words, ""]))
            except AssayError as e:
                codes.append(e.exit_code)
                error = str(e)
                door.aside(f"{name}: {' '.join(error.split())}")
            seconds = round(time.perf_counter() - began, 2)
            question = catalogue.entry(name).header().title
            ran.append(Ran(name, question, seconds, error, result))
    several = Several(tuple(ran), max(codes))
    return Answer(several, table(several), several.exit_code)


def table(several: Several) -> Iterator[Part]:
    """Tell in a row for each claim how it came out, below the question that it is about."""
    rows: list[tuple[str, ...]] = []
    for ran in several.ran:
        verdicts = ran.result.verdicts if ran.result is not None else ()
        outcome = "" if verdicts else "no result" if ran.result is None else "no claims"
        rows.append((ran.name, ran.question, outcome, f"{ran.seconds:.1f}"))
        rows += [("", v.text, f"{tables.SIGNS[v.outcome]} {v.outcome}", "") for v in verdicts]
    seconds = sum(ran.seconds for ran in several.ran)
    rows.append(("all", "", "", f"{seconds:.1f}"))
    yield Table(("name", "question, claims", "outcome", "s"), rows, ("s",), {"question, claims": 1})


def dry_run(lab: Lab) -> DryRun:
    """Write the batch script with which this lab would have its workers begun. Raises: AssayError
    where it would have none."""
    from assay.lab.away.fleets.slurm import Slurm
    from assay.lab.executors import Away

    if not isinstance(lab.executor, Away) or not isinstance(lab.executor.fleet, Slurm):
        raise AssayError("a dry run shows the script of workers on SLURM; add --on slurm")
    return DryRun(lab.executor.fleet.script(lab.executor.command(lab.store.root, lab.device)))
