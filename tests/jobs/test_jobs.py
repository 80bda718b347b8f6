"""The folder of runs: whatever is killed, cut off or taken for something else, each run ends as it
should, and once. In the place of `assay` stands a program that runs a study's text as Python."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from functools import partialmethod

import psutil
import pytest

from assay.core.errors import StoreError
from assay.jobs import folder, process
from assay.jobs.folder import Job, State
from assay.jobs.process import Limits
from assay.jobs.runner import Runner
from assay.lab.work.template import SUPPORTED

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path

root = Path(sys.argv[sys.argv.index("--root") + 1])
result = json.dumps({"experiment": "x", "provenance": {}})
exec(Path(sys.argv[2]).read_text())
"""
DONE = "print(result)"
BOTH = pytest.mark.parametrize("program", [False, True] if SUPPORTED else [False], indirect=True)
WAITS = "Path('pid').write_text(str(os.getpid())); time.sleep(600)"


@pytest.fixture(autouse=True)
def program(request, tmp_path, monkeypatch):
    """What runs in the place of `assay`, in a moment, as a new interpreter or forked."""
    how = getattr(request, "param", False)
    monkeypatch.setattr(Runner, "__init__", partialmethod(Runner.__init__, warm=how))
    place = tmp_path / "path" / "assay"
    place.mkdir(parents=True)
    (place / "__init__.py").touch()
    (place / "__main__.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(place.parent)
    monkeypatch.setattr("assay.jobs.runner.POLL", 0.02)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def ask(root, script, number=0, **changed):
    """Ask for a run of a script."""
    asked = {
        "key": f"{number:032x}",
        "typed": "x.toml",
        "preset": "default",
        "sets": [],
        "code": {},
    }
    state = State(status="queued", order=time.time_ns())
    text = {"x.toml": textwrap.dedent(script).encode()}
    return folder.put(root, {**asked, "workspace": "", **changed}, state, text)


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
    return value


def finished(root, **how):
    Runner(root, **how).run(until_idle=True)


@contextmanager
def server(root, **how):
    """A runner in a thread."""
    over = threading.Event()
    thread = threading.Thread(target=Runner(root, **how).run, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def begun(job):
    """The process of a run that `WAITS`, once it does."""
    return psutil.Process(int(until(lambda: read(job.path / "text/pid"))))


def read(path):
    return path.read_text() if path.exists() else ""


def gone(found):
    try:  # it may end between the two questions
        return not found.is_running() or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@BOTH
def test_a_run_that_is_done_has_its_result_and_is_not_run_again(root):
    job = ask(root, "(root / 'ran').open('a').write('.'); print(result)")
    assert job.state.status == "queued"
    with pytest.raises(StoreError, match="no result: it is queued"):
        job.result  # noqa: B018
    finished(root)
    state = job.state
    assert (state.status, state.exit_code, state.error) == ("done", 0, "")
    assert job.result == {"experiment": "x", "provenance": {}}
    assert ask(root, "").state == state
    finished(root)
    assert read(root / "ran") == "."


@BOTH
def test_the_command_has_what_was_asked_and_the_options_of_the_server(root, tmp_path):
    asked = {"preset": "smoke", "sets": ["a=1", "b=2"], "workspace": str(tmp_path)}
    words = "print(json.dumps([sys.argv[1:], sys.stdin.read(), os.getcwd(), os.nice(0)]))"
    job = ask(root, words, **asked)
    finished(root, options=("--device", "cuda"))
    argv, stdin, place, nice = json.loads(read(job.path / "output"))
    text = str(job.path / "text/x.toml")
    assert argv == [
        *("run", text, "--preset", "smoke", "--root", str(root), "--set", "a=1", "--set", "b=2"),
        *("--json", "--device", "cuda"),
    ]
    assert (stdin, place) == ("", str(tmp_path)) and nice > os.nice(0)


SPANS = """
(root / f"began-{time.time_ns()}").touch()
time.sleep(0.3)
(root / f"ended-{time.time_ns()}").touch()
print(result)
"""


@pytest.mark.parametrize("servers", [1, 2])
def test_so_many_run_at_once_and_the_others_wait_their_turn(root, servers):
    jobs = [ask(root, SPANS, number) for number in range(6)]
    runners = [Runner(root, 2) for _ in range(servers)]
    threads = [threading.Thread(target=r.run, kwargs={"until_idle": True}) for r in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.state.status for job in jobs] == ["done"] * 6
    starts = [job.state.started for job in jobs]
    assert starts == sorted(starts), "the first goes first"
    events = sorted(path.name.split("-")[::-1] for path in root.glob("*ed-*"))
    events += sorted(path.name.split("-")[::-1] for path in root.glob("began-*"))
    active = most = 0
    for _, kind in sorted(events):
        active += 1 if kind == "began" else -1
        most = max(most, active)
    assert most == 2, "each was run once"
    assert sum(kind == "began" for _, kind in events) == 6, "each was run once"


INTERRUPTIBLE = f"""
try:
    {WAITS}
except KeyboardInterrupt:
    Path("kept").touch()
    sys.exit(130)
"""


@BOTH
def test_a_cancelled_run_is_interrupted_and_asked_again_it_starts_again(root):
    waits, job = ask(root, DONE, 1), ask(root, INTERRUPTIBLE)
    with server(root):
        until(lambda: waits.state.status == "done")
        found = begun(job)
        folder.cancel(root, job.key)
        until(lambda: job.state.status == "cancelled")
    assert gone(found) and (job.path / "text/kept").exists() and job.state.exit_code == 130
    assert ask(root, DONE).state.status == "queued"
    finished(root)
    assert job.state.status == "done"


def test_what_waits_is_cancelled_at_once_and_what_is_over_stays(root):
    job = ask(root, DONE)
    assert folder.cancel(root, job.key).state.status == "cancelled"
    finished(root)
    assert job.state.status == "cancelled" and not (job.path / "output").exists()
    ask(root, DONE)
    finished(root)
    assert folder.cancel(root, job.key).state.status == "done"


def test_cancelling_what_is_not_there_writes_nothing(root):
    for key in ("0" * 32, "../../etc", "", "A" * 32):
        with pytest.raises(StoreError, match="run"):
            folder.cancel(root, key)
    assert not root.exists()


@BOTH
def test_one_that_does_not_stop_is_ended_with_all_that_it_started(root, monkeypatch):
    monkeypatch.setattr("assay.jobs.runner.GRACE", 0.3)
    words = "import subprocess; child = subprocess.Popen(['sleep', '600'])\n"
    words += "Path('child').write_text(str(child.pid))\n"
    words += f"signal.signal(signal.SIGINT, signal.SIG_IGN); {WAITS}"
    job = ask(root, words)
    with server(root):
        found = begun(job)
        child = psutil.Process(int(read(job.path / "text/child")))
        folder.cancel(root, job.key)
        with pytest.raises(StoreError, match="is being stopped; ask again in a moment"):
            ask(root, DONE)
        until(lambda: job.state.status == "cancelled")
    until(lambda: gone(found) and gone(child))


@contextmanager
def killable(root):
    """A server of the store in a process of its own."""
    code = "import sys; from pathlib import Path; from assay.jobs.runner import Runner; "
    code += "Runner(Path(sys.argv[1])).run()"
    real = os.pathsep.join(p for p in sys.path if p and not p.endswith("/path"))
    fake = next(p for p in sys.path if p.endswith("/path"))
    # the server is the real one; what it starts is the program of these tests
    code = f"import assay.jobs.runner; import sys; sys.path.insert(0, {fake!r}); {code}"
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": real}) as found:
        try:
            yield found
        finally:
            found.kill()


@BOTH
def test_a_run_outlives_a_killed_server_and_the_next_one_finds_it(root):
    go = "until = time.time() + 60\nwhile not (root / 'go').exists(): time.sleep(0.02)\n"
    waits = ask(root, DONE, 1)
    folder.cancel(root, waits.key)
    job = ask(root, f"Path('pid').write_text(str(os.getpid()))\n{go}{DONE}")
    last = ask(root, DONE, 2)
    with killable(root) as first:
        found = begun(job)
        first.kill()
        first.wait()
    assert not gone(found) and job.state.status == "running"
    with server(root):
        time.sleep(0.5)
        assert job.state.pid == found.pid, "it counts as one"
        assert last.state.status == "queued", "it counts as one"
        assert not gone(found)
        (root / "go").touch()
        until(lambda: last.state.status == "done")
    assert job.state.status == "done"
    assert job.result == {"experiment": "x", "provenance": {}}
    assert job.state.exit_code is None, "nobody saw it"


def test_a_run_that_died_meanwhile_is_reported_and_resumed_when_it_is_asked_for(root):
    job = ask(root, f"print('step 3 of 9', file=sys.stderr, flush=True); {WAITS}")
    with killable(root) as first:
        found = begun(job)
        first.kill()
        first.wait()
    found.kill()
    until(lambda: gone(found))
    finished(root)
    state = job.state
    assert state.status == "failed" and state.exit_code is None
    assert "while no server watched" in state.error and "step 3 of 9" in state.error
    assert ask(root, DONE).state.status == "queued"
    finished(root)
    assert job.state.status == "done"


def test_the_number_of_an_ended_process_that_another_has_now_is_not_taken_for_it(root):
    with subprocess.Popen(["sleep", "600"]) as other:
        for number, when in enumerate(("", "another start", process.started(os.getpid()))):
            job = ask(root, DONE, number)
            job.write(State(status="running", order=1, pid=other.pid, begun=when, started=1.0))
            folder.cancel(root, job.key)
            finished(root, limits=Limits(seconds=0.1))
            assert job.state.status == "cancelled" and other.poll() is None
        assert process.started(other.pid) == process.started(other.pid) != ""
        other.kill()
    assert process.started(other.pid) == "", "nor one that has ended"


def test_a_state_that_is_cut_off_anywhere_is_a_run_that_failed_and_can_be_resumed(root):
    job, after = ask(root, DONE), ask(root, DONE, 1)
    path = job.path / "state.json"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert job.state.status == "failed" and "cannot be read" in job.state.error
    finished(root)
    assert after.state.status == "done" and job.state.status == "failed"
    for harm in (path.unlink, lambda: (path.unlink(), path.mkdir())):
        path.write_bytes(whole)
        harm()
        assert folder.cancel(root, job.key).state.status == "failed"
        assert ask(root, DONE).state.status == "queued"
    finished(root)
    assert job.state.status == "done"


@BOTH
def test_a_process_whose_number_was_not_written_down_does_nothing(root, monkeypatch):
    """As where the server is killed between the two, or the disk is full."""
    job = ask(root, "(root / 'ran').touch()")

    def full(job, state):
        pid.append(state.pid)
        raise StoreError("the disk is full")

    pid = []
    with monkeypatch.context() as patch:
        patch.setattr(Job, "write", full)
        with pytest.raises(StoreError, match="full"):
            Runner(root).step()
    until(lambda: process.started(pid[0]) == "")
    assert not (root / "ran").exists() and job.state.status == "queued"
    finished(root)
    assert (root / "ran").exists()


ENDS = {
    "print('x\\nno such model', file=sys.stderr); sys.exit(2)": "no such model",
    "print(f'{root}/y is damaged', file=sys.stderr); sys.exit(3)": "the store/y is damaged",
    "os._exit(7)": "ended with exit code 7; stored runs are kept",
    "os.kill(os.getpid(), 9)": "ended with signal 9 (often: out of memory)",
    "print(result[:-3])": "ended with exit code 0",
    "print(f'[{result}]')": "ended with exit code 0",
    "'x' * 2**31": "MemoryError",
}


@BOTH
@pytest.mark.parametrize("script", ENDS)
def test_why_a_run_failed_is_one_line_and_the_others_go_on(root, script):
    job, after = ask(root, script), ask(root, DONE, 1)
    finished(root, limits=Limits(memory=2**30))
    state = job.state
    assert state.status == "failed" and after.state.status == "done"
    assert ENDS[script] in state.error
    assert "\n" not in state.error
    assert str(root) not in state.error


def test_a_run_that_a_person_interrupts_is_cancelled(root):
    job = ask(root, INTERRUPTIBLE)
    with server(root):
        process = begun(job)
        # Python drops an interrupt that comes while it closes the file of its pid
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        until(lambda: job.state.status not in ("queued", "running"))
        until(lambda: gone(process), 10)
    assert (job.state.status, job.state.exit_code) == ("cancelled", 130)
    assert (job.path / "text/kept").exists()


@BOTH
def test_a_run_ends_at_its_time(root):
    job = ask(root, INTERRUPTIBLE)
    finished(root, limits=Limits(seconds=0.5))
    assert job.state.status == "failed" and "longer than a run may" in job.state.error
    assert (job.path / "text/kept").exists(), "as by Ctrl-C"


@BOTH
def test_a_run_ends_in_time_where_no_server_is_left(root, monkeypatch):
    monkeypatch.setattr("assay.jobs.process.GRACE", 0.0)
    job = ask(root, WAITS)
    Runner(root, limits=Limits(seconds=0.5)).step()
    found = begun(job)
    until(lambda: gone(found), 10)
    finished(root)
    assert job.state.status == "failed"


def test_code_that_was_changed_after_it_was_asked_for_does_not_run(root, tmp_path):
    path = tmp_path / "own.py"
    path.write_text("x = 1")
    job = ask(root, DONE, code={str(path): "0" * 16})
    finished(root)
    assert job.state.status == "failed"
    assert "own.py was changed since" in job.state.error
    assert not (job.path / "output").exists()


def test_what_was_asked_and_what_came_out_cannot_be_changed_afterwards(root):
    job = ask(root, DONE)
    path = job.path / "asked.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "preset": "full"}))
    finished(root)
    assert job.state.status == "failed"
    assert "was changed after it was written" in job.state.error
    ask(root, DONE)
    finished(root)
    path = job.path / "result.json"
    path.write_text(path.read_text().replace('"x"', '"y"'))
    with pytest.raises(StoreError, match="was changed"):
        job.result  # noqa: B018
    assert ask(root, DONE).state.status == "queued", "what lost its result is run again"
    finished(root)
    for name, other in (("result.json", "asked.json"), ("asked.json", "result.json")):
        whole = (job.path / name).read_bytes()
        (job.path / name).write_bytes((job.path / other).read_bytes())
        with pytest.raises(StoreError, match="is not of this run"):
            assert job.asked and job.result
        (job.path / name).write_bytes(whole)
