"""SLURM's programs as a test would have them answer: for what a real one cannot be made to do, such
as be busy at the right moment, forget, or keep accounts.

Nothing runs: a job is in the state that the test put it in. The words are those of SLURM 22.05;
what jobs really do is asked of a real one (slurm_cluster.py)."""

import json
import shlex
import shutil
import socketserver
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as end:
    end.connect({address!r})
    file = end.makefile("rw")
    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]), file=file, flush=True)
    code, out, err = json.loads(file.readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
BUSY = "Socket timed out on send/recv operation"
PREFIX = {"sbatch": "error: Batch job submission failed: ", "scancel": "error: "}


@dataclass
class Job:
    """One task of an array."""

    id: str
    name: str
    state: str
    reason: str = "None"


@dataclass
class FakeSlurm:
    """Enter it, and its programs are in `bin`."""

    begins: str = "RUNNING"
    """The state of what is submitted."""
    reason: str = "None"
    """Why it waits."""
    cluster: str = ""
    """What sbatch prints after a semicolon where there are several clusters."""
    accounts: str = ""
    """What sacct prints; "": no accounts are kept."""
    jobs: list[Job] = field(default_factory=list)
    """What squeue lists; a test removes what it is to forget."""
    asked: list[list[str]] = field(default_factory=list)
    """Every command that a program was run with."""

    def __enter__(self) -> Self:
        # not pytest's folder: the name of a socket is short
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self._faults: dict[str, list[tuple[str, bool]]] = {}
        self._lock, self._arrays = threading.RLock(), 100
        controller = self

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                answer = controller._answer(*json.loads(self.rfile.readline()))
                self.wfile.write(json.dumps(answer).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        address = str(self.folder / "socket")
        self._server = Server(address, Answer)
        for program in ("sbatch", "squeue", "scancel", "sacct"):
            path = self.bin / program
            path.write_text(CLIENT.format(python=sys.executable, address=address))
            path.chmod(0o755)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self.folder)

    def fail(self, program: str, text: str = BUSY, times: int = 1, after: bool = False) -> None:
        """Let the next calls of a program fail with this text; `after` what was asked is done all
        the same."""
        self._faults.setdefault(program, []).extend([(text, after)] * times)

    def become(self, *states: str) -> None:
        """Put each job in a state, in the order of submission."""
        for job, state in zip(self.jobs, states, strict=True):
            job.state = state

    def _answer(self, program: str, *words: str) -> tuple[int, str, str]:
        with self._lock:
            self.asked.append([program, *words])
            faults = self._faults.get(program, [])
            text, after = faults.pop(0) if faults else ("", True)
            code, out, err = getattr(self, f"_{program}")(*words) if after else (0, "", "")
            prefix = PREFIX.get(program, "slurm_load_jobs error: ")
            return (1, "", f"{program}: {prefix}{text}\n") if text else (code, out, err)

    def _sbatch(self, *words: str) -> tuple[int, str, str]:
        found = options(words)
        self._arrays += 1
        for i in range(int(found["array"].removeprefix("0-")) + 1):
            self.jobs.append(
                Job(f"{self._arrays}_{i}", found["job-name"], self.begins, self.reason)
            )
        return 0, f"{self._arrays}{self.cluster and ';'}{self.cluster}\n", ""

    def _squeue(self, *words: str) -> tuple[int, str, str]:
        found = options(words)
        if "name" in found:
            mine = [job for job in self.jobs if job.name == found["name"]]
            return 0, "".join(f"{job.id.partition('_')[0]}\n" for job in mine), ""
        numbers = found["jobs"].split(",")
        mine = [job for job in self.jobs if job.id.partition("_")[0] in numbers]
        if not mine and len(numbers) == 1:
            return 1, "", "slurm_load_jobs error: Invalid job id specified\n"
        return 0, "".join(f"{job.id}|{job.state}|{job.reason}\n" for job in mine), ""

    def _sacct(self, *words: str) -> tuple[int, str, str]:
        if not self.accounts:
            return 1, "", "Slurm accounting storage is disabled\n"
        return 0, self.accounts, ""

    def _scancel(self, *words: str) -> tuple[int, str, str]:
        found = options(words)
        for job in self.jobs:
            if job.id in words or job.name == found.get("name"):
                job.state = "CANCELLED"
        return 0, "", ""


def options(words: Sequence[str]) -> dict[str, str]:
    """Those of the form --NAME=VALUE."""
    pairs = [word.removeprefix("--").partition("=") for word in words if word.startswith("--")]
    return {name: value for name, _, value in pairs}


def directives(script: str) -> list[str]:
    """The words of the #SBATCH lines above the first line that is a command."""
    head = script.partition("\n\n")[0].splitlines()
    lines = [line.removeprefix("#SBATCH ") for line in head if line.startswith("#SBATCH ")]
    return [word for line in lines for word in shlex.split(line)]
