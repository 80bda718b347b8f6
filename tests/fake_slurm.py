"""A small SLURM: sbatch, squeue, scancel and sacct as programs, and the controller behind them,
which really starts, stops and requeues jobs.

One node with some slots. It does what https://slurm.schedmd.com says of these programs, of job
arrays (job_array.html), of states (job_state_codes.html) and of preemption (preempt.html), as far
as a fleet of workers meets it:

- options typed win over SBATCH_… variables, which win over #SBATCH lines; the script is copied when
  it is submitted;
- `--signal=B:TERM@60` reaches the batch shell alone; a limit, a preemption and a cancellation send
  SIGCONT and SIGTERM, and SIGKILL after KillWait;
- a grace time before preemption sends SIGTERM to job steps, of which a batch script alone has none;
- a requeued job keeps its number, waits again and starts its script from the beginning, with
  SLURM_RESTART_COUNT;
- squeue forgets a job MinJobAge after its end, and then calls a single forgotten number invalid;
  sacct remembers it;
- tasks of an array that were never begun are told together, as 7_[2-3], unless squeue is asked for
  `--array`.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as end:
    end.connect({address!r})
    file = end.makefile("rw")
    print(json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], dict(os.environ), os.getcwd()]), file=file, flush=True)
    code, out, err = json.loads(file.readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""  # noqa: E501
BUSY = "Socket timed out on send/recv operation"
VALUED = {
    "partition": "p",
    "account": "A",
    "time": "t",
    "cpus-per-task": "c",
    "job-name": "J",
    "array": "a",
    "output": "o",
    "constraint": "C",
    "gpus-per-node": "",
    "mem": "",
    "nodes": "N",
    "ntasks": "n",
    "signal": "",
    "open-mode": "",
    "qos": "q",
}
FLAGS = ("requeue", "no-requeue", "parsable")
VARIABLES = {
    "SBATCH_PARTITION": "partition",
    "SBATCH_OUTPUT": "output",
    "SBATCH_SIGNAL": "signal",
    "SBATCH_ARRAY_INX": "array",
}


@dataclass
class Job:
    """One task of an array."""

    array: int
    index: int
    number: int
    name: str
    options: dict[str, str]
    script: Path
    env: dict[str, str]
    cwd: str
    state: str = "PENDING"
    reason: str = "None"
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    starts: int = 0
    began: float = 0.0
    ended: float = 0.0
    warned: bool = False
    grace: float | None = None
    """When a preemption takes it, where it has been told to go."""
    stopping: float | None = None
    """When it is killed, where it was told to end."""
    then: str = ""
    """Its state once it ended by that."""

    @property
    def id(self) -> str:
        return f"{self.array}_{self.index}"


class Refused(Exception):
    """What a program prints on standard error before it exits with 1."""


@dataclass
class FakeSlurm:
    """The controller. Enter it, and its programs are in `bin`; leave it, and nothing that it
    started is left."""

    slots: int = 2
    partitions: tuple[str, ...] = ("main", "gpu")
    minute: float = 60.0
    """Seconds by the clock that a minute of limits and warnings takes."""
    longest: float = 0.0
    """Minutes that the partitions allow, 0 for any: a job that asks for more waits, possibly
    indefinitely."""
    kill_wait: float = 5.0
    user_signal: bool = False
    """PreemptParameters=send_user_signal: what `--signal` asks for is sent before a preemption as
    well."""
    min_job_age: float = 300.0
    accounting: bool = True
    cluster: str = ""
    """What sbatch prints after a semicolon where there are several clusters."""
    jobs: list[Job] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    """Every command that a program was run with."""

    def __enter__(self) -> Self:
        self.folder = Path(
            tempfile.mkdtemp(prefix="slurm-")
        )  # not pytest's: the name of a socket is short
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self._faults: dict[str, list[tuple[str, bool]]] = {}
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._numbers = 100
        controller = self

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(
                    json.dumps(controller._answer(*json.loads(self.rfile.readline()))).encode()
                    + b"\n"
                )

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(self.folder / "socket"), Answer)
        for program in ("sbatch", "squeue", "scancel", "sacct"):
            path = self.bin / program
            path.write_text(
                CLIENT.format(python=sys.executable, address=str(self.folder / "socket"))
            )
            path.chmod(0o755)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,)),
            threading.Thread(target=self._control),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.shutdown()
        self._closed.set()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        for job in self.jobs:
            if job.process is not None:
                self._signal(job, signal.SIGKILL)
                job.process.wait()
        shutil.rmtree(self.folder)

    # what a test does to the cluster

    def fail(self, program: str, text: str = BUSY, times: int = 1, after: bool = False) -> None:
        """Let the next calls of a program fail with this text; `after` what was asked is done all
        the same."""
        self._faults.setdefault(program, []).extend([(text, after)] * times)

    def running(self) -> list[Job]:
        """What has begun and not ended."""
        with self._lock:
            return [job for job in self.jobs if job.process is not None]

    def preempt(self, job: Job, mode: str = "REQUEUE", grace: float = 0.0) -> None:
        """Take the slot of a job away, after a grace time; PreemptMode is REQUEUE or CANCEL."""
        with self._lock:
            job.then, job.grace = (
                ("PENDING" if mode == "REQUEUE" and "requeue" in job.options else "PREEMPTED"),
                time.monotonic() + grace,
            )

    def lose(self, job: Job, requeue: bool = True) -> None:
        """Let the node of a job fail."""
        with self._lock:
            job.then, job.stopping = (
                ("PENDING" if requeue and "requeue" in job.options else "NODE_FAIL"),
                time.monotonic(),
            )
            self._signal(job, signal.SIGKILL)

    def exhaust(self, job: Job) -> None:
        """Let a job ask for more memory than it has."""
        with self._lock:
            job.then, job.stopping = "OUT_OF_MEMORY", time.monotonic()
            self._signal(job, signal.SIGKILL)

    # slurmctld and slurmd

    def _control(self) -> None:
        while not self._closed.wait(0.01):
            with self._lock:
                now = time.monotonic()
                for job in self.jobs:
                    if job.process is not None:
                        self._supervise(job, now)
                free, waiting = (
                    self.slots - len(self.running()),
                    [job for job in self.jobs if job.state == "PENDING"],
                )
                for job in waiting:
                    too_long = self.longest and self._limit(job) > self.longest * self.minute
                    job.reason = (
                        "PartitionTimeLimit" if too_long else "Resources" if free <= 0 else "None"
                    )
                    if job.reason == "None":
                        free -= 1
                        self._begin(job, now)

    def _supervise(self, job: Job, now: float) -> None:
        assert job.process is not None
        limit, warning = self._limit(job), self._warning(job)
        code = job.process.poll()
        if code is not None:
            self._end(job, code, now)
        elif job.stopping is not None:
            if now >= job.stopping:
                self._signal(job, signal.SIGKILL)
        elif job.grace is not None and now >= job.grace:
            self._warn(job)
            self._stop(job, job.then, now)
        elif limit and now >= job.began + limit:
            self._stop(job, "TIMEOUT", now)
        elif (
            limit
            and warning is not None
            and not job.warned
            and now >= job.began + limit - warning[1]
        ):
            self._warn(job, limited=True)

    def _warn(self, job: Job, limited: bool = False) -> None:
        warning = self._warning(job)
        if warning is not None and not job.warned and (limited or self.user_signal):
            assert job.process is not None
            job.warned = True
            os.kill(job.process.pid, warning[0])  # B: the batch shell alone

    def _begin(self, job: Job, now: float) -> None:
        path = job.options.get("output", "slurm-%A_%a.out")
        for symbol, value in {
            "%A": str(job.array),
            "%a": str(job.index),
            "%j": str(job.number),
            "%%": "%",
        }.items():
            path = path.replace(symbol, value)
        mode = "ab" if job.options.get("open-mode") == "append" else "wb"
        env = {k: v for k, v in job.env.items() if not k.startswith("SLURM_")}
        env |= {
            "SLURM_JOB_ID": str(job.number),
            "SLURM_ARRAY_JOB_ID": str(job.array),
            "SLURM_ARRAY_TASK_ID": str(job.index),
        }
        env |= {"SLURM_RESTART_COUNT": str(job.restarts)} if job.restarts else {}
        with Path(job.cwd, path).open(mode) as log:
            words = [str(job.script)]
            job.process = subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=env,
                cwd=job.cwd,
                start_new_session=True,
            )
        job.state, job.began, job.starts, job.warned, job.grace, job.stopping, job.then = (
            "RUNNING",
            now,
            job.starts + 1,
            False,
            None,
            None,
            "",
        )

    def _stop(self, job: Job, then: str, now: float) -> None:
        job.then, job.state, job.stopping = then, "COMPLETING", now + self.kill_wait
        self._signal(job, signal.SIGCONT)
        self._signal(job, signal.SIGTERM)

    def _end(self, job: Job, code: int, now: float) -> None:
        self._signal(job, signal.SIGKILL)  # whatever the script left behind
        job.process = None
        job.state = job.then or (
            "FAILED" if code else "COMPLETED"
        )  # one that ends within its grace time is treated as preempted
        if job.state == "PENDING":
            job.restarts += 1
        else:
            job.ended = now

    def _signal(self, job: Job, number: int) -> None:
        assert job.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.process.pid, number)

    def _limit(self, job: Job) -> float:
        parts = [float(part) for part in job.options.get("time", "0").split(":")]
        minutes = {1: (1,), 2: (1, 1 / 60), 3: (60, 1, 1 / 60)}[len(parts)]
        return sum(a * b for a, b in zip(parts, minutes, strict=True)) * self.minute

    def _warning(self, job: Job) -> tuple[int, float] | None:
        found = re.fullmatch(r"B:(\w+)@(\d+)", job.options.get("signal", ""))
        return (
            (getattr(signal, f"SIG{found[1]}"), float(found[2]) / 60 * self.minute)
            if found
            else None
        )

    # the programs

    def _answer(
        self, program: str, words: list[str], env: dict[str, str], cwd: str
    ) -> tuple[int, str, str]:
        with self._lock:
            self.asked.append([program, *words])
            faults = self._faults.get(program, [])
            text, after = faults.pop(0) if faults else ("", True)
            prefixes = {
                "sbatch": "sbatch: error: Batch job submission failed: ",
                "squeue": "slurm_load_jobs error: ",
            }
            prefix = prefixes.get(program, f"{program}: error: ")
            try:
                out = getattr(self, f"_{program}")(words, env, cwd) if after else ""
            except Refused as e:
                return 1, "", f"{e}\n"
            return (1, "", f"{prefix}{text}\n") if text else (0, out, "")

    def _sbatch(self, words: list[str], env: dict[str, str], cwd: str) -> str:
        typed, (script, *_) = parsed(words)
        text = Path(cwd, script).read_text()
        given = {VARIABLES[name]: value for name, value in env.items() if name in VARIABLES}
        options: dict[str, str] = {**directives(text), **given, **typed}
        if (partition := options.get("partition", self.partitions[0])) not in self.partitions:
            said = [
                "invalid partition specified: " + partition,
                "Batch job submission failed: Invalid partition name specified",
            ]
            raise Refused("\n".join(f"sbatch: error: {line}" for line in said))
        first, _, last = options["array"].partition("%")[0].partition("-")
        array = self._numbers + 1
        spooled = self.folder / f"script-{array}"
        spooled.write_text(text)
        spooled.chmod(0o755)
        for i in range(int(first), int(last or first) + 1):
            self._numbers += 1
            self.jobs.append(
                Job(
                    array,
                    i,
                    self._numbers,
                    options.get("job-name", Path(script).name),
                    options,
                    spooled,
                    env,
                    cwd,
                )
            )
        where = f";{self.cluster}" if self.cluster else ""
        return f"{array}{where}\n" if "parsable" in options else f"Submitted batch job {array}\n"

    def _squeue(self, words: list[str], env: dict[str, str], cwd: str) -> str:
        asked = dict(word.removeprefix("--").partition("=")[::2] for word in words)
        states = asked.get("states", env.get("SQUEUE_STATES", ""))
        listed = [
            job
            for job in self.jobs
            if not job.ended or time.monotonic() - job.ended < self.min_job_age
        ]
        listed = [
            job
            for job in listed
            if states == "all" or job.state in ("PENDING", "RUNNING", "COMPLETING")
        ]
        if "jobs" in asked:
            numbers = asked["jobs"].split(",")
            if len(numbers) == 1 and not any(str(job.array) == numbers[0] for job in listed):
                raise Refused("slurm_load_jobs error: Invalid job id specified")
            listed = [job for job in listed if str(job.array) in numbers]
        if "name" in asked:
            listed = [job for job in listed if job.name == asked["name"]]
        rows = [(job.id, job) for job in listed] if "array" in asked else told_together(listed)
        lines = [] if "noheader" in asked else [asked["format"]]
        for id_, job in rows:
            line = asked["format"]
            for symbol, value in {
                "%i": id_,
                "%T": job.state,
                "%r": job.reason,
                "%F": str(job.array),
                "%A": str(job.number),
            }.items():
                line = line.replace(symbol, value)
            lines.append(line)
        return "".join(f"{line}\n" for line in lines)

    def _sacct(self, words: list[str], env: dict[str, str], cwd: str) -> str:
        if not self.accounting:
            raise Refused("Slurm accounting storage is disabled")
        asked = dict(word.removeprefix("--").partition("=")[::2] for word in words)
        assert asked["format"] == "JobID,State" and {"noheader", "parsable2", "allocations"} <= set(
            asked
        ), words
        mine = [job for job in self.jobs if str(job.array) in asked["jobs"].split(",")]
        word = {"CANCELLED": "CANCELLED by 1000", "COMPLETING": "RUNNING"}
        return "".join(
            f"{id_}|{word.get(job.state, job.state)}\n" for id_, job in told_together(mine)
        )

    def _scancel(self, words: list[str], env: dict[str, str], cwd: str) -> str:
        names = [word.partition("=")[2] for word in words if word.startswith("--name=")]
        ids = [word for word in words if not word.startswith("-")]
        for job in self.jobs:
            if (job.id in ids or str(job.array) in ids or job.name in names) and not job.ended:
                if job.process is None:
                    job.state, job.ended = "CANCELLED", time.monotonic()
                else:
                    self._stop(job, "CANCELLED", time.monotonic())
        return ""


def parsed(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options of sbatch by their long names, later ones winning, and what is left: the script and
    its arguments."""
    found: dict[str, str] = {}
    short, rest = {f"-{letter}": name for name, letter in VALUED.items() if letter}, list(words)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        name = short.get(name, name.removeprefix("--"))
        if name in VALUED:
            found[name] = value if equals else rest.pop(0)
        elif name in FLAGS:
            found[name] = ""
        else:
            raise Refused(
                f"sbatch: unrecognized option '--{name}'\nTry \"sbatch --help\" for more "
                "information"
            )
    return found, rest


def directives(script: str) -> dict[str, str]:
    """The options of the #SBATCH lines above the first line that is a command; a # outside quotes
    begins a comment."""
    words: list[str] = []
    for line in script.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            words += shlex.split(line.removeprefix("#SBATCH"), comments=True)
    found, rest = parsed(words)
    assert not rest, rest
    return found


def told_together(jobs: list[Job]) -> list[tuple[str, Job]]:
    """Each job with its id; those of an array that were never begun and are in one state in one
    row: 7_[1-3,5]."""
    rows: dict[Any, list[Job]] = {}
    for job in jobs:
        rows.setdefault(job.id if job.starts else (job.array, job.state), []).append(job)
    return [
        (
            some[0].id
            if some[0].starts
            else f"{some[0].array}_[{ranges([job.index for job in some])}]",
            some[0],
        )
        for some in rows.values()
    ]


def ranges(indices: list[int]) -> str:
    """[1, 2, 3, 5] as 1-3,5."""
    parts: list[list[int]] = []
    for i in indices:
        if parts and i == parts[-1][1] + 1:
            parts[-1][1] = i
        else:
            parts.append([i, i])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
