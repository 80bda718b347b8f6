"""SLURM: workers as tasks of job arrays, begun by sbatch, followed by squeue and sacct, stopped by
scancel.

What these programs take, print and mean is on the pages of https://slurm.schedmd.com: sbatch,
squeue, sacct, scancel, job_array, job_state_codes, preempt.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.core.errors import FleetError
from assay.core.plain import plain
from assay.lab.away.fleets import Member, State
from assay.lab.away.fleets.sbatch import Request
from assay.lab.store.atomic import explained, write

__all__ = ["Slurm"]

WAITING = (
    "PENDING",
    "CONFIGURING",
    "EXPEDITING",
    "POWER_UP_NODE",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
)
RUNNING = (
    "RUNNING",
    "COMPLETING",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
    "UPDATE_DB",
)
STATES: Mapping[str, State] = {
    **dict.fromkeys(WAITING, "waiting"),
    **dict.fromkeys(RUNNING, "running"),
    "PREEMPTED": "preempted",
    "TIMEOUT": "preempted",
    "NODE_FAIL": "lost",
    "BOOT_FAIL": "lost",
    "LAUNCH_FAILED": "lost",
    "RECONFIG_FAIL": "lost",
    "REVOKED": "lost",
    "COMPLETED": "ended",
    "FAILED": "ended",
    "OUT_OF_MEMORY": "ended",
    "CANCELLED": "ended",
    "DEADLINE": "ended",
}
"""SLURM's word for a job → where its worker is. PREEMPTED is what SLURM will not requeue; what it
requeues is PENDING again."""

STUCK = {
    "AccountNotAllowed",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeldAdmin",
    "JobHoldMaxRequeue",
    "PartitionTimeLimit",
    "QOSNotAllowed",
    "ReservationDeleted",
}
"""Why a job waits that will not begin unless somebody changes something."""

PASSING = re.compile(
    "timed out|unable to contact|temporarily|not responding|connection refused|connection "
    "reset|zero bytes|standby mode|"
    "connection failure|not connected",
    re.IGNORECASE,
)
"""What SLURM's programs say where a controller is busy or being started again: the same words typed
later do."""


@dataclass
class Slurm:
    """Workers in job arrays; their script, and the log of each, lie in
    `<root>/fleets/slurm/<id>/`."""

    root: Path
    request: Request = field(default_factory=Request)
    patience: float = 900.0
    """Seconds for which SLURM may fail to say how jobs are before that is an error."""
    gone: float = 60.0
    """Seconds after which a job that squeue does not list, and of whose end sacct knows nothing, is
    lost."""
    every: float = 10.0
    """Seconds between two questions to squeue; a busy controller is everybody's."""
    pause: float = 2.0
    """Seconds until a program that got no answer is run again; doubled each time."""

    def __post_init__(self) -> None:
        self._folder: Path | None = None
        self._arrays = itertools.count()
        self._over: dict[str, State] = {}
        self._last: dict[str, State] = {}
        self._seen: dict[str, float] = {}
        self._asked = -math.inf
        self._silent: float | None = None

    @property
    def width(self) -> int:
        """How many workers at most."""
        return self.request.workers

    def script(self, command: Sequence[str]) -> str:
        """The batch script as it would be written now; nothing is."""
        return self.request.script(command, self._folder or self._parent / _name())

    def submit(self, n: int, command: Sequence[str]) -> Sequence[Member]:
        """Submit an array of `n` workers. Raises: FleetError with sbatch's own words; StoreError
        when the script cannot be written."""
        self._folder = folder = self._folder or _new(self._parent)
        with explained(self.root):
            write(folder / "workers.sh", self.request.script(command, folder).encode())
        name = f"{folder.name}-{next(self._arrays)}"
        # typed, they win over the script's and over SBATCH_… of the environment
        options = [
            *self.request.options(folder),
            *self.request.words,
            f"--job-name={name}",
            f"--array=0-{n - 1}",
        ]
        try:
            out = self._patiently(
                ["sbatch", "--parsable", *options, str(folder / "workers.sh")],
                lambda: _submitted(name),
            )
        except BaseException:  # Ctrl-C too: it may have been submitted all the same
            with contextlib.suppress(FleetError):
                _run(["scancel", "--quiet", f"--name={name}"])
            raise
        matches = re.findall(r"^(\d+)(;\S+)?$", out.strip(), re.MULTILINE)
        if not matches:
            raise FleetError(
                f"sbatch printed {plain(out.strip())[:200]!r} where the number of a job was "
                "expected"
            )
        job, cluster = matches[-1]
        members = [Member(f"{job}_{i}{cluster}", str(folder / f"{job}_{i}.log")) for i in range(n)]
        self._seen |= dict.fromkeys((m.id for m in members), time.monotonic())
        return members

    def look(self, members: Sequence[Member]) -> Mapping[str, State]:
        """The state of each, by id; as it was last, while SLURM does not answer.

        Raises: FleetError when it has not for long, and when none of them will ever begin.
        """
        open_ = [m.id for m in members if m.id not in self._over]
        current_time = time.monotonic()
        if open_ and current_time - self._asked >= self.every:
            self._asked = current_time
            try:
                self._heard(open_, _listed(open_), current_time)
                self._silent = None
            except _Silent as e:
                self._silent = current_time if self._silent is None else self._silent
                if current_time - self._silent > self.patience:
                    raise FleetError(
                        f"SLURM has not answered for {current_time - self._silent:.0f} s: {e}"
                    ) from e
        return {m.id: self._last.get(m.id, "waiting") for m in members}

    def _heard(
        self, ids: Sequence[str], listed: Mapping[str, Sequence[str]], current_time: float
    ) -> None:
        """Believe what squeue listed, `[state, reason]` by id, and find out about those that it did
        not."""
        ended = _accounted([id_ for id_ in ids if id_ not in listed])
        for id_ in ids:
            # a word that is not known says at least that the job is there
            state = STATES.get(listed[id_][0], "running") if id_ in listed else ended.get(id_)
            if state is not None:
                self._seen[id_] = current_time
            elif current_time - self._seen.setdefault(id_, current_time) > self.gone:
                state = "lost"
            else:  # just submitted, or an answer of squeue's that a site keeps for a while
                state = self._last.get(id_, "waiting")
            self._last[id_] = state
            if state not in ("waiting", "running"):
                self._over[id_] = state
        if all("".join(listed.get(id_, ())[1:2]) in STUCK for id_ in ids):
            why = f"{listed[ids[0]][1]} (squeue --jobs={_jobs(ids)})"
            raise FleetError(
                f"SLURM will not begin what was submitted: {why}; ask for something else, and "
                "run the same command again"
            )

    def cancel(self, members: Sequence[Member]) -> None:
        """Stop them, and whatever was taken for lost. Raises: FleetError with what to type when
        SLURM does not answer."""
        lost = [id_ for id_, state in self._over.items() if state in ("lost", "preempted")]
        for cluster, ids in _by_cluster(
            dict.fromkeys([*(m.id for m in members if m.id not in self._over), *lost])
        ):
            words = ["scancel", "--quiet", *cluster, *ids]
            try:
                self._patiently(words)
            except FleetError as e:
                raise FleetError(f"{e}; what still runs is stopped by: {shlex.join(words)}") from e

    @property
    def _parent(self) -> Path:
        return self.root.absolute() / "fleets" / "slurm"

    def _patiently(
        self, words: Sequence[str], instead: Callable[[], str] = str, tries: int = 6
    ) -> str:
        """What a program prints; where SLURM was only busy it is run again, unless `instead` knows
        what it would print."""
        for i in range(tries):
            try:
                return _run(words)
            except FleetError as e:
                if i == tries - 1 or not PASSING.search(str(e)):
                    raise
            time.sleep(self.pause * 2**i)
            if output := instead():
                return output
        raise AssertionError  # the last try returns or raises


class _Silent(Exception):
    """squeue did not say how jobs are."""


def _run(words: Sequence[str]) -> str:
    """What one of SLURM's programs prints. Raises: FleetError with its own words, on one line."""
    quiet = {
        k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SACCT_", "SCANCEL_"))
    }  # these change what is printed
    try:
        process = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=180,
            start_new_session=True,
            env=quiet,
        )
    except FileNotFoundError as e:
        raise FleetError(
            f"no {words[0]} on this machine: --on slurm is typed where jobs are submitted, "
            "such as a login node"
        ) from e
    except subprocess.TimeoutExpired as e:
        raise FleetError(f"{words[0]}: timed out after 180 s") from e
    except OSError as e:
        raise FleetError(f"{words[0]} cannot be run: {e.strerror}") from e
    if process.returncode:
        lines = [
            re.sub(r"^\w+: ((error|fatal): )?", "", line.strip())
            for line in process.stderr.splitlines()
        ]
        message = (
            "; ".join(line for line in lines if line and not line.startswith("Try "))
            or f"exit code {process.returncode}"
        )
        raise FleetError(f"{words[0]}: {plain(message)[:500]}")
    return process.stdout


def _submitted(name: str) -> str:
    """The number of the array of this name; "" where there is none. sbatch may stop waiting after
    the controller took the job."""
    with contextlib.suppress(FleetError):
        numbers = _run(
            ["squeue", "--noheader", "--states=all", "--format=%F", f"--name={name}"]
        ).split()
        return numbers[0] if numbers else ""
    return ""


def _listed(ids: Sequence[str]) -> dict[str, list[str]]:
    """What squeue says of these, `[state, reason]` by id; some minutes after its end it forgets a
    job (MinJobAge)."""
    rows: dict[str, list[str]] = {}
    for cluster, some in _by_cluster(ids):
        try:
            rows |= _rows(
                ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r"],
                cluster,
                some,
            )
        except FleetError as e:
            if (
                "invalid job id" not in str(e).lower()
            ):  # which it says of a single job that it forgot
                raise _Silent(str(e)) from e
    return rows


def _accounted(ids: Sequence[str]) -> dict[str, State]:
    """How these ended, as far as the cluster keeps accounts and has written them."""
    rows: dict[str, list[str]] = {}
    if ids and shutil.which("sacct"):
        for cluster, some in _by_cluster(ids):
            with contextlib.suppress(FleetError):
                rows |= _rows(
                    ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State"],
                    cluster,
                    some,
                )
    states = {id_: STATES.get(word) for id_, (word, *_) in rows.items() if id_ in ids}
    # a job that squeue does not list neither waits nor runs, whatever accounts that come late still
    # say
    return {
        id_: state
        for id_, state in states.items()
        if state is not None and state not in ("waiting", "running")
    }


def _rows(words: Sequence[str], cluster: Sequence[str], ids: Sequence[str]) -> dict[str, list[str]]:
    """Lines `JOB|STATE|…` as `[state, …]` by id; `CANCELLED by 1000` is CANCELLED, and a plus ends
    what sacct cut off."""
    out = _run([*words, *cluster, f"--jobs={_jobs(ids)}"])
    where = f";{cluster[0].partition('=')[2]}" if cluster else ""
    rows = [[cell.strip() for cell in line.split("|")] for line in out.splitlines()]
    return {
        id_ + where: [row[1].split()[0].rstrip("+"), *row[2:]]
        for row in rows
        if len(row) > 1 and row[1]
        for id_ in _expand_ids(row[0])
    }


def _jobs(ids: Sequence[str]) -> str:
    return ",".join(dict.fromkeys(id_.partition("_")[0] for id_ in ids))


def _expand_ids(ids: str) -> Iterator[str]:
    """`7_[0-2,5%4]` is 7_0, 7_1, 7_2, 7_5: tasks of an array that are told together, as long as
    none of them was begun."""
    job, bracket, inside = ids.partition("_[")
    if not bracket:
        yield ids
    for part in inside.rstrip("]").partition("%")[0].split(","):
        if match := re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part):
            yield from (
                f"{job}_{i}"
                for i in range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1))
            )


def _by_cluster(ids: Iterable[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Each cluster as an option, where sbatch named one, and the ids as that cluster knows them."""
    split = sorted(id_.partition(";")[::-2] for id_ in ids)
    for cluster, some in itertools.groupby(split, lambda pair: pair[0]):
        yield [f"--clusters={cluster}"] if cluster else [], [id_ for _, id_ in some]


def _name() -> str:
    return time.strftime("assay-%Y%m%d-%H%M%S")


def _new(parent: Path) -> Path:
    """A folder that nobody else has, named by the time."""
    name = _name()
    with explained(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for i in itertools.count():
            with contextlib.suppress(FileExistsError):
                folder = parent / (f"{name}-{i}" if i else name)
                folder.mkdir()
                return folder
    raise AssertionError  # count does not end
