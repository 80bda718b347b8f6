"""What a machine does to a command: a full disk or quota, too little memory, Ctrl-C twice,
another command on the same store, and kills, of servers too, at moments drawn at random.

After each the store opens, no number in it is another one, and the same command comes to the bytes
of one that nothing happened to. `make test` tries one, another each day."""

import contextlib
import datetime
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np
import pytest

import registration
from acceptance.test_hostile import said
from assay.lab.store import health
from assay.lab.store.store import Store
from stored_bytes import measures_of

TESTS = Path(__file__).parents[1]
WALK = TESTS / "lab/walk.py"
RUN = ("run", "walk.py", "--root", "d/s", "--executor", "inline")
EACH = {
    "a disk of so many blocks": 12,
    "a disk of so many files": 12,
    "a quota of bytes of a file": 12,
    "a limit of memory": 12,
    "Ctrl-C twice": 12,
    "a kill": 16,
    "a kill of one of two commands": 16,
}
"""What happens to a run, and how often."""
SERVERS = 16
"""Kills of the server of tools."""
CASES = [(kind, n) for kind, count in EACH.items() for n in range(count)]
OF_DAY = registration.of_day(CASES, datetime.date.today().toordinal(), 1)
KILLS = sum(count for kind, count in EACH.items() if "kill" in kind) + SERVERS


@dataclass(frozen=True)
class Whole:
    """What a run comes to that nothing happens to."""

    measures: dict[str, bytes]
    verdicts: list[object]
    seconds: float
    files: int
    bytes: int


@pytest.fixture(scope="module")
def env():
    """Settings under which a run saves often, and lasts long enough to be hit."""
    more = {"WALK_PAUSE": "0.002", "WALK_MARKS": "marks", "ASSAY_CHECKPOINT_SECONDS": "0.02"}
    return {**os.environ, **more}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, forks, env):
    """A run that ended as it should."""
    home = tmp_path_factory.mktemp("faults")
    shutil.copy(WALK, home / "walk.py")
    (home / "d").mkdir()
    began = time.monotonic()
    ended = forks.run([*RUN, "--json"], home, env)
    assert ended.code == 0, ended.err
    files = [p for p in (home / "d").rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files)
    seconds = time.monotonic() - began
    return Whole(measures_of(home / "d/s"), verdicts(ended), seconds, len(files), size)


def verdicts(ended):
    """The numbers of a result."""
    found = json.loads(ended.out)["verdicts"]
    return [[v[k] for k in ("text", "outcome", "estimate", "low", "high")] for v in found]


def settled(forks, home, env, whole):
    """Nothing stored is another number, and the same command goes on to the same end."""
    stored = measures_of(home / "d/s")
    assert not {name for name, data in stored.items() if whole.measures.get(name) != data}
    with contextlib.chdir(home):
        for words in (("doctor",), ("plan", "walk.py"), ("list",)):
            code, _, err = said(*words, "--root", "d/s")
            assert code in (0, 1) and "Traceback" not in err, err
    ended = forks.run([*RUN, "--json"], home, env)
    assert ended.code == 0, ended.err
    assert measures_of(home / "d/s") == whole.measures
    assert verdicts(ended) == whole.verdicts
    assert not list(health.harms(Store(home / "d/s")))
    assert not [*(home / "d/s/groups").iterdir()]


def until_it_ends(process):
    """How a process ended; one that hangs is killed, and has failed."""
    late = threading.Timer(90, os.killpg, (process.pid, signal.SIGQUIT))
    late.start()
    try:
        ended = process.end()
    finally:
        late.cancel()
    assert ended.code != -signal.SIGQUIT, "it hung"
    return ended


def one_line(ended, *words):
    """A command ended with a line that says what is wrong, and no traceback."""
    assert ended.code in (2, 3) and "Traceback" not in ended.err, ended
    assert any(word in ended.err.strip().splitlines()[-1] for word in words), ended.err


@contextlib.contextmanager
def disk(folder, size):
    """A disk of this size; gives what makes it larger."""
    how = ["-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    if subprocess.run(["mount", *how], capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    larger = ["mount", "-o", "remount,size=64m,nr_inodes=100000", str(folder)]
    try:
        yield lambda: subprocess.run(larger, check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def limited(limit, most):
    """Code that runs the command within a limit of this process."""
    return (
        f"import resource, sys; resource.setrlimit(resource.{limit}, ({most}, {most}))\n"
        f"from assay.cli.main import main\nsys.argv = ['assay', *{RUN!r}]\n"
        "code = main()\n"
        "if code: raise SystemExit(code)"
    )


def happens(kind, n, forks, home, env, whole):
    """Let one thing happen to a run, and see what is left."""
    rng = np.random.default_rng([62, [*EACH].index(kind), n])
    if "disk" in kind:
        blocks = kind.endswith("blocks")
        most = whole.bytes // 4096 + whole.files if blocks else 2 * whole.files
        count = int(rng.integers(4, most))
        with disk(home / "d", f"size={4 * count}k" if blocks else f"nr_inodes={count}") as larger:
            ended = until_it_ends(forks.start(home, env, words=RUN))
            if ended.code:
                one_line(ended, "is full")
            larger()
            settled(forks, home, env, whole)
        return
    if kind == "a quota of bytes of a file":
        code = limited("RLIMIT_FSIZE", int(rng.integers(0, 40_000)))
        if (ended := until_it_ends(forks.start(home, env, code=code))).code:
            one_line(ended, "large", "is full")
    elif kind == "a limit of memory":
        most = size_of_fork(forks, home, env) + int(rng.integers(0, 24)) * 2**20
        ended = until_it_ends(forks.start(home, env, code=limited("RLIMIT_AS", most)))
        if ended.code:
            one_line(ended, "memory")
    else:
        interrupted(kind, rng, forks, home, env, whole)
    settled(forks, home, env, whole)


def size_of_fork(forks, home, env):
    """The bytes of address space of a process that has imported what all share."""
    code = "print(open('/proc/self/statm').read().split()[0])"
    return int(forks.execute(code, home, env).out) * resource.getpagesize()


def interrupted(kind, rng, forks, home, env, whole):
    """Start a run, or two, and send a signal, or two, at a moment drawn at random."""
    count = 2 if "two commands" in kind else 1
    started = [forks.start(home, env, words=RUN) for _ in range(count)]
    time.sleep(rng.uniform(0.0, whole.seconds))
    twice = kind == "Ctrl-C twice"
    for _ in range(1 + twice):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started[0].pid, signal.SIGINT if twice else signal.SIGKILL)
        time.sleep(rng.uniform(0.0, 0.1) if twice else 0.0)
    hit, *others = [until_it_ends(process) for process in started]
    assert hit.code in ((0, 130, -signal.SIGINT) if twice else (0, -signal.SIGKILL)), hit
    assert "Traceback" not in hit.err, hit.err
    assert all(other.code == 0 for other in others), others


def at_home(tmp_path):
    """A folder with the experiment, and a place for its store."""
    shutil.copy(WALK, tmp_path / "walk.py")
    (tmp_path / "d").mkdir()
    return tmp_path


def test_there_are_as_many_as_the_page_says():
    page = " ".join((TESTS.parent / "docs/reliability.md").read_text().split())
    assert f"in {len(CASES)} ways" in page and f"{KILLS} kills" in page


@pytest.mark.parametrize(("kind", "n"), OF_DAY)
def test_what_happens_to_a_run_harms_no_number(tmp_path, forks, env, whole, kind, n):
    happens(kind, n, forks, at_home(tmp_path), env, whole)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", EACH)
def test_whatever_happens_to_a_run_harms_no_number(tmp_path, forks, env, whole, kind):
    for n in range(EACH[kind]):
        (tmp_path / str(n)).mkdir()
        happens(kind, n, forks, at_home(tmp_path / str(n)), env, whole)


# servers ------------------------------------------------------------------------------------------


def answers(port, process):
    """Wait until a server answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(process.end())


def free_port():
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


ASKED = {"experiment": "superposition", "preset": "smoke", "sets": ["steps=300"]}


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", range(4))
def test_servers_of_tools_that_are_killed_with_their_runs_come_to_the_same_bytes(
    tmp_path, forks, env, store
):
    pytest.importorskip("mcp")
    words = ["run", "superposition", "--preset", "smoke", "--set", "steps=300"]
    assert forks.run([*words, "--root", "whole", "--executor", "inline"], tmp_path, env).code == 0
    whole, rng = measures_of(tmp_path / "whole"), np.random.default_rng([63, store])
    for kill in range(SERVERS // 4):
        with tools(tmp_path, forks, env) as (address, process):
            key = call(address, "run", **ASKED)["key"]
            time.sleep(rng.uniform(0.0, 4.0))
            os.killpg(process.pid, signal.SIGKILL)
            if kill % 2:  # and its run, which outlives it
                state = json.loads((tmp_path / "s/jobs" / key / "state.json").read_text())
                with contextlib.suppress(ProcessLookupError, KeyError, TypeError):
                    os.kill(state["pid"], signal.SIGKILL)
        assert not {n for n, x in measures_of(tmp_path / "s").items() if whole.get(n) != x}
    with tools(tmp_path, forks, env) as (address, process):
        end, status = time.monotonic() + 120, ""
        while status != "done" and time.monotonic() < end:
            key = call(address, "run", **ASKED)["key"]
            status = call(address, "status", key=key, wait_s=20)["status"]
        assert status == "done"
    assert measures_of(tmp_path / "s") == whole
    assert not list(health.harms(Store(tmp_path / "s")))


@contextlib.contextmanager
def tools(home, forks, env):
    """A server of tools with its runner; killed at the end if it has not been."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/mcp"
    words = ["mcp", "--http", str(port), "--root", "s", "--run", "--executor inline"]
    process = forks.start(home, env, words=words)
    answers(port, process)
    try:
        yield address, process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.end()


def call(address, name, /, **arguments):
    """What a tool answers."""
    from mcp import Client

    async def ask():
        async with Client(address) as client:
            answer = await client.call_tool(name, arguments)
            assert not answer.is_error, answer.content
            return dict(json.loads(answer.content[0].text))

    return anyio.run(ask)
