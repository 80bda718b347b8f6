"""A fleet on this machine: each worker is a fork of this process, which runs what the command
says."""

import multiprocessing
import os
import signal
from collections.abc import Sequence

from assay.cli.main import main
from assay.lab.away.fleets import Member, State


def _work(words: Sequence[str], log: str) -> None:
    os.setsid()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os._exit(main(words))


class Local:
    """So many forks at most; `log` is the folder of what they print."""

    def __init__(self, log, width: int = 2):
        self.width, self.log = width, log
        self.processes: dict[str, multiprocessing.process.BaseProcess] = {}

    def submit(self, n: int, command: Sequence[str]) -> list[Member]:
        """Start `n` of them: the command is `python -m assay WORDS`."""
        made = []
        for _ in range(n):
            member = Member(
                f"w{len(self.processes)}", str(self.log / f"w{len(self.processes)}.log")
            )
            process = multiprocessing.get_context("fork").Process(
                target=_work, args=(list(command[3:]), member.log)
            )
            process.start()
            self.processes[member.id] = process
            made.append(member)
        return made

    def look(self, members: Sequence[Member]) -> dict[str, State]:
        """Running; ended, with exit code 0; or lost."""
        codes = {m.id: self.processes[m.id].exitcode for m in members}
        return {
            name: "running" if code is None else "ended" if code == 0 else "lost"
            for name, code in codes.items()
        }

    def cancel(self, members: Sequence[Member]) -> None:
        """Tell them to leave, and wait until they have."""
        for member in members:
            self.processes[member.id].terminate()
        for member in members:
            self.processes[member.id].join(30)
            self.processes[member.id].kill()

    def kill(self, name: str) -> None:
        """End one as a lost machine would."""
        pid = self.processes[name].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.processes[name].join()
