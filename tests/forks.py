"""Many Python processes at the price of one start: an interpreter that has imported what they share
forks for each.

As a program it reads one JSON object a line, {"words" or "code", "cwd", "env"}, and answers each
with {"code", "out", "err"}."""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


class Forks:
    """Runs the command line, or code, in processes of their own, one after the other; they cannot
    import what is `hidden`."""

    def __init__(self, hidden: Sequence[str] = ()):
        self.hidden = hidden

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, *self.hidden]
        paths = [
            str(Path(__file__).parents[1] / "src"),
            *filter(None, [os.environ.get("PYTHONPATH")]),
        ]  # never another Assay
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
        }  # a fork keeps one thread, so there must be no other
        self.parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.parent.communicate()

    def run(self, words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Ended:
        """How `assay WORDS` ended in this folder and environment."""
        return self._ask(words=list(words), cwd=str(cwd), env=dict(env))

    def execute(self, code: str, cwd: Path, env: Mapping[str, str]) -> Ended:
        """How `python -c CODE` ended in this folder and environment."""
        return self._ask(code=code, cwd=str(cwd), env=dict(env))

    def _ask(self, **asked: Any) -> Ended:
        assert self.parent.stdin is not None and self.parent.stdout is not None
        self.parent.stdin.write(json.dumps(asked) + "\n")
        self.parent.stdin.flush()
        return Ended(*json.loads(self.parent.stdout.readline()))


def child(asked: Mapping[str, Any], out: int, err: int) -> int:
    """The exit code of what was asked for, with its output in these files."""
    from assay.cli.main import main

    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.dont_write_bytecode = (
        "PYTHONDONTWRITEBYTECODE" in asked["env"]
    )  # a new interpreter would have read it
    os.dup2(out, 1)
    os.dup2(err, 2)
    try:
        if "words" in asked:
            sys.argv = ["assay", *asked["words"]]
            return main()
        sys.argv, sys.path[0] = ["-c"], ""
        exec(compile(asked["code"], "<string>", "exec"), {"__name__": "__main__"})
        return 0
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


SHARED = ("assay.cli.main", "assay.core.judging", "assay.lab.result")
"""What takes time to import."""
HEAVY = (
    "torch",
    "assay.dictionaries.formats.opening",
    "assay.dictionaries.formats.writing",
    "assay.verbs.exchange",
)
HEAVY += (
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
)
"""Of transformers what every model goes through: nine tenths of the time of a command that opens a
tiny one."""


def serve(hidden: Sequence[str]) -> None:
    """Answer until standard input closes."""
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    for name in SHARED if hidden else SHARED + HEAVY:
        import_module(name)
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
    serve(sys.argv[1:])
