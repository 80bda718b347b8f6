"""Run: an experiment, a study or a series trained where runs are missing, here or elsewhere, and
judged."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from assay.core.compute import duration
from assay.core.errors import AssayError, DataError
from assay.core.experiment import Experiment
from assay.core.plain import plain
from assay.core.results import ResultData
from assay.core.schema import BESIDE
from assay.lab import catalogue
from assay.lab.judge.kept import around
from assay.lab.store.origin import STUDIES
from assay.report import tables
from assay.verbs.options import (
    DEFAULT,
    HERE,
    Bare,
    Choice,
    Expected,
    Flag,
    Machine,
    More,
    Name,
    Place,
)
from assay.verbs.verb import Answer, AnswerPart, Door, Table, verb

if TYPE_CHECKING:
    from assay.lab.engines import Executor

SIZE = re.compile(r"(\d{1,9})([KMGT])")
"""An amount of memory, such as 16G."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Elsewhere(Machine):
    """On what it runs, here or elsewhere; none of these changes a number's meaning."""

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
    return ResultData | Several


@verb(
    "verdicts, with their controls, after what is missing is trained",
    results=results,
)
def run(
    name: Name,
    /,
    *more: str,
    verbose: Flag = False,
    choice: Choice = DEFAULT,
    expect: Expected = None,
    machine: Elsewhere = NOT_ELSEWHERE,
    place: Place = HERE,
    door: Door,
) -> Answer[Any]:
    """Train and measure what is missing, then judge the claims. An interrupted run resumes.

    Parameters
    ----------
    more
        Further names or paths. All run one after another; each is printed when it is judged, and a
        table of all at the end.
    verbose
        Show every control, the power, and which other arms satisfy a claim.

    Examples
    --------
    assay run examples/country.toml
    assay run superposition --preset smoke
    assay run superposition gated-sae --preset smoke
    assay run superposition --on slurm --slurm partition=main --time 2h
    """
    if more:
        return run_several((name, *more), choice, expect, machine, place, door, verbose)
    from assay.verbs import verdicts

    experiment, preset = choice.of(name)
    warn(name, experiment, door)
    lab = machine.lab(place.root)
    data = verdicts.run(lab, experiment, preset, door.run(experiment.name))
    about = around(experiment, preset, data)
    return verdicts.answer(data, about, name, experiment.origin, place, expect, verbose=verbose)


def warn(name: str, experiment: Experiment, door: Door) -> None:
    """Say which claims of a study no data could decide, and which of its prompts nothing uses."""
    if name.endswith(STUDIES):
        from assay.verbs.unsaid import undecidable, unused

        lines = undecidable(Path(name), experiment)
        for line in (*lines, *unused(Path(name))):
            door.aside(f"! {line}")
        if lines:
            door.aside("It runs nevertheless; Ctrl-C stops it, and keeps what was measured.")


def run_several(
    names: tuple[str, ...],
    choice: Choice,
    expect: str | None,
    machine: Elsewhere,
    place: Place,
    door: Door,
    verbose: bool = False,
) -> Answer[Several]:
    """Run each of several names, tell its verdicts, and go on with the next; where a run fails, the
    others run all the same. Workers stay, with the models that they have opened.

    Raises: AssayError for an option that is about one experiment only, and, before anything runs, for a name or a file that cannot be read.
    """  # noqa: E501
    from assay.lab.engines import Workers
    from assay.verbs import verdicts

    single = {"--set": choice.set}
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
                about = around(experiment, preset, result)
                answer = verdicts.answer(
                    result, about, name, experiment.origin, place, expect, verbose=verbose
                )
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


def table(several: Several) -> Iterator[AnswerPart]:
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
