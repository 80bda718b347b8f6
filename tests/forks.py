"""Many `assay` processes at the price of one start: an interpreter that has imported what they share forks for each.

As a program it reads one JSON object a line, {"words", "cwd", "env"}, and answers each with {"code", "out", "err"}.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


class Forks:
    """Runs the command line in processes of their own, one after the other."""

    def __enter__(self) -> Self:
        command = [sys.executable, __file__]
        env = os.environ | {"OMP_NUM_THREADS": "1"}  # a fork keeps one thread, so there must be no other
        self.parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.parent.communicate()

    def run(self, words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Ended:
        """How `assay WORDS` ended in this folder and environment."""
        assert self.parent.stdin is not None and self.parent.stdout is not None
        self.parent.stdin.write(json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}) + "\n")
        self.parent.stdin.flush()
        return Ended(*json.loads(self.parent.stdout.readline()))


def child(asked: Mapping[str, Any], out: int, err: int) -> int:
    """The exit code of the words asked for, with its output in these files."""
    from assay.cli.main import main

    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["assay", *asked["words"]]
    try:
        return main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    """Answer until standard input closes."""
    import torch  # noqa: F401 (the imports that take the time)

    import assay.cli.main
    import assay.core.judging
    import assay.dictionaries.formats.opening
    import assay.dictionaries.formats.writing
    import assay.lab.result
    import assay.verbs.exchange  # noqa: F401

    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    code = child(json.loads(line), out.fileno(), err.fileno())
                finally:
                    os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode())
            print(json.dumps([code, *said]), flush=True)


if __name__ == "__main__":
    serve()
