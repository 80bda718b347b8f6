"""A template: what it forks is a process like any other, and has what the template has."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from assay.lab.work.template import SUPPORTED, Forked, Template

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="no template forks on this system")


@pytest.fixture(scope="module")
def template():
    made = Template("import json, no_such_module", os.environ)
    yield made
    made.close()


@pytest.fixture
def fork(template, tmp_path):
    def start(code, *words, **how):
        (tmp_path / "in").write_text(how.pop("given", ""))
        with (
            (tmp_path / "in").open() as given,
            (tmp_path / "out").open("w") as out,
            (tmp_path / "err").open("w") as err,
        ):
            streams = [given.fileno(), out.fileno(), err.fileno()]
            env = how.pop("env", os.environ)
            return Forked(template.address, code, words, streams, env, **how)

    start.out = lambda: (tmp_path / "out").read_text()
    start.err = lambda: (tmp_path / "err").read_text()
    return start


def test_a_fork_has_the_words_streams_variables_and_folder_it_is_given(fork, tmp_path):
    code = "import os, sys; print(sys.argv[1:], sys.stdin.read(), os.environ['X'], os.getcwd())"
    place = Path(tmp_path).resolve()
    process = fork(code, "a", "b", given="text", env={**os.environ, "X": "y"}, cwd=place)
    assert process.wait() == process.poll() == 0
    assert fork.out() == f"['a', 'b'] text y {place}\n"


@pytest.mark.parametrize(
    ("code", "ended"),
    {
        "import sys; sys.exit(7)": 7,
        "1 / 0": 1,
        "import os; os.kill(os.getpid(), 9)": -9,
        "import signal; signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()": -14,
    }.items(),
)
def test_how_it_ended_is_known(fork, code, ended):
    assert fork(code).wait() == ended
    assert ("ZeroDivisionError" in fork.err()) == (ended == 1)


def test_what_runs_before_is_in_the_memory_of_all_and_its_error_stops_nothing(fork):
    before = "import sys; sys.modules.setdefault('opened', [sys.modules.__len__()])"
    for code in (
        "assert sys.modules['opened']",
        "sys.modules.pop('opened')",
        "sys.modules['opened']",
    ):
        assert fork(f"import sys; {code}", setup=before).wait() == 0, "a fork changes only itself"
    assert fork("import json; print(json.dumps(1))", setup="1 / 0").wait() == 0
    assert "json" in sys.modules


def test_ctrl_c_and_kill_reach_a_fork(fork):
    waits = "import time\ntry:\n    print(1, flush=True); time.sleep(600)\n"
    process = fork(waits + "except KeyboardInterrupt: raise SystemExit(130)", session=True)
    while not fork.out():
        time.sleep(0.01)
    assert process.poll() is None and os.getsid(process.pid) == process.pid
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
    process = fork(waits + "finally: pass")
    process.kill()
    assert process.wait() == -9


def test_a_fork_outlives_its_template_and_nobody_knows_how_it_ended(tmp_path):
    made = Template("", os.environ)
    with Path(os.devnull).open("r+") as null:
        streams = [null.fileno()] * 3
        process = Forked(made.address, "import time; time.sleep(600)", (), streams, os.environ)
        made.close()
        found = psutil.Process(process.pid)
        while not process.lost:
            assert process.poll() is None
        assert process.poll() is None and found.is_running()
        process.kill()
        assert process.wait() == -9
        with pytest.raises(OSError):
            Forked(made.address, "", (), streams, os.environ)


def test_a_template_ends_with_whoever_started_it(tmp_path):
    number = os.fork()
    if not number:  # no interpreter is started for it
        made = Template("", os.environ)
        (tmp_path / "place").write_text(made.address)
        (tmp_path / "pid").write_text(str(made._process.pid))
        time.sleep(600)
    while not (tmp_path / "pid").exists() or not (text := (tmp_path / "pid").read_text()):
        time.sleep(0.01)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    found = psutil.Process(int(text)) if psutil.pid_exists(int(text)) else None
    until = time.monotonic() + 10
    while found and found.is_running() and found.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)
    while Path((tmp_path / "place").read_text()).parent.exists():
        assert time.monotonic() < until, "it leaves no folder"
        time.sleep(0.01)
