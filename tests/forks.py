"""Many Python processes at the price of none: this process forks, or an interpreter that has run no
test and has imported what they share.

As a program it reads one JSON object a line: {"words" or "code", "cwd", "env", "group"} starts a
process and is answered with its number; {"wait": number} is answered with [code, out, err]."""

import contextlib
import io
import json
import os
import runpy
import shlex
import subprocess
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import NamedTuple


def typed(line):
    """The words of a command, as a shell takes them apart."""
    return shlex.split(line)


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


class Started(NamedTuple):
    """A process that runs; its number is also that of its group."""

    forks: "Forks"
    pid: int

    def end(self):
        """Wait until it ends."""
        return Ended(*self.forks.ask(wait=self.pid))


class Forks:
    """Runs the command line, or code, in forks of this process."""

    def __init__(self):
        self.files = {}

    def run(self, words, cwd, env):
        """How `assay WORDS` ended in this folder and environment."""
        return Ended(*self.ask(wait=self.ask(words=list(words), cwd=str(cwd), env=dict(env))))

    def start(self, cwd, env, **what):
        """Start `assay` with these `words`, or this `code`, as a group of its own, to be
        interrupted or to meet another."""
        return Started(self, self.ask(**what, cwd=str(cwd), env=dict(env), group=True))

    def execute(self, code, cwd, env):
        """How `python -c CODE` ended in this folder and environment."""
        return Ended(*self.ask(wait=self.ask(code=code, cwd=str(cwd), env=dict(env))))

    def ask(self, **asked):
        """Start a process and give its number, or wait for one and give how it ended."""
        if pid := asked.get("wait"):
            answer = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]
            for file in self.files.pop(pid):
                with file:
                    file.seek(0)
                    answer.append(file.read().decode())
            return answer
        out, err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = child(asked, out.fileno(), err.fileno())
            finally:
                os._exit(code)
        self.files[pid] = out, err
        return pid


class ForksOfAnother(Forks):
    """Run commands in forks of an interpreter that has run no test; what is `hidden`, it cannot
    import."""

    def __init__(self, hidden=()):
        super().__init__()
        self.hidden = hidden

    def __enter__(self):
        command = [sys.executable, __file__, *self.hidden]
        # never another Assay
        paths = [
            str(Path(__file__).parents[1] / "src"),
            *filter(None, [os.environ.get("PYTHONPATH")]),
        ]
        # a fork keeps one thread, so there must be no other
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "JE_ARROW_MALLOC_CONF": "background_thread:false",
        }
        self.parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        assert self.parent.stdout is not None
        # what it imports is not the cost of the first who asks
        self.parent.stdout.readline()
        return self

    def __exit__(self, kind, error, trace):
        self.parent.communicate()

    def ask(self, **asked):
        """Send a line to the parent of the processes, and read its answer."""
        assert self.parent.stdin is not None and self.parent.stdout is not None
        self.parent.stdin.write(json.dumps(asked) + "\n")
        self.parent.stdin.flush()
        return json.loads(self.parent.stdout.readline())


class InProcess:
    """Runs the command line in this process: what `Forks.run` gives, without a process."""

    def run(self, words, cwd, env):
        """How `assay WORDS` ended in this folder and environment."""
        from assay.cli.main import main

        before, given = dict(os.environ), dict(env)
        out, err = io.StringIO(), io.StringIO()
        os.environ.clear()
        os.environ.update(given)
        try:
            with contextlib.chdir(cwd), redirect_stdout(out), redirect_stderr(err):
                try:
                    code = main(list(words))
                except SystemExit as end:
                    code = int(end.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Ended(code, out.getvalue(), err.getvalue())


def program(path, words, cwd):
    """Run a program, a file or a folder, in this process, as `python PATH WORDS` would."""
    argv, found = sys.argv, sys.path[:]
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = [str(path), *words]
    try:
        with contextlib.chdir(cwd), redirect_stdout(out), redirect_stderr(err):
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):  # what the interpreter prints as it ends
            err.write(f"{end.code}\n")
    finally:
        sys.argv, sys.path[:] = argv, found
    return Ended(code, out.getvalue(), err.getvalue())


def child(asked, out, err):
    """The exit code of what was asked for, with its output in these files."""
    from assay.cli.main import main

    if asked.get("group"):
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    # a new interpreter would have read it
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in asked["env"]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the questions are not for it
    os.dup2(out, 1)
    os.dup2(err, 2)
    # those of pytest would keep what is said
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
    try:
        if "words" in asked:
            sys.argv = ["assay", *asked["words"]]
            return main()
        sys.argv, sys.path[0] = ["-c"], ""
        exec(compile(asked["code"], "<string>", "exec"), {"__name__": "__main__"})
        return 0
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


SHARED = (
    "assay.cli.main",
    "assay.core.judging",
    "assay.lab.judge.result",
    "assay.verbs.plan",
    "assay.ask.missing",
    "assay.verbs.verdicts",
    "xarray",
)
"""What takes time to import."""
HEAVY = (
    "torch",
    "assay.dictionaries.formats.opening",
    "assay.dictionaries.formats.writing",
    "assay.verbs.export",
)
HEAVY += (
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
)
"""Of transformers what every model goes through: nine tenths of the time of a command that opens a
tiny one."""


def serve(hidden):
    """Answer until standard input closes."""
    sys.modules.update(dict.fromkeys(hidden))
    for name in SHARED if hidden else SHARED + HEAVY:
        import_module(name)
    print("ready", flush=True)
    forks = Forks()
    for line in sys.stdin:
        print(json.dumps(forks.ask(**json.loads(line))), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1:])
