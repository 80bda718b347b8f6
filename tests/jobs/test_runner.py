"""Jobs that really run: their result is the store's, they stop when they are told to, and no kill
loses one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
from asking import LONG, kinds, one, served, study, until

from assay.cli.main import main
from assay.jobs.folder import Folder
from assay.jobs.runner import Runner, _Child, forget, running
from assay.jobs.submission import Asked
from assay.jobs.work import Limits, Work, group_cpu_seconds
from assay.lab.engines import Site
from assay.lab.work.events import Saved
from assay.verbs import jobs

HERE = Site(executor="inline")
"""Jobs train in their own process: one fewer to start."""


def test_a_job_that_a_dying_process_still_holds_is_waited_for(root, bounds):
    folder = Folder(root, jobs.submit(root, one(), "ann", bounds).key)
    with folder.mine() as has_lock:
        folder.write(replace(folder.state, status="running"))
        waiting = threading.Thread(target=lambda: Runner(root, site=HERE).run(until_idle=True))
        waiting.start()
        waiting.join(1.0)
        assert has_lock and waiting.is_alive()
    waiting.join()
    assert folder.now.status == "done"


def test_a_process_that_outlives_its_job_holds_up_nobody_and_last_words_are_heard(root, bounds):
    """What a training started may hold the pipe through which its job told of errors."""
    folder = Folder(root, jobs.submit(root, one(), "ann", bounds).key)
    folder.write(replace(folder.state, status="running"))
    words = "sleep 60 & echo $! > pid; echo the last words >&2; exit 3"
    process = subprocess.Popen(
        ["/bin/sh", "-c", words], cwd=root, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.wait()
    Runner(root, site=HERE)._settle(_Child(folder, folder.take(), process))
    sleeper = int((root / "pid").read_text())
    assert psutil.Process(sleeper).status() == psutil.STATUS_SLEEPING
    os.kill(sleeper, signal.SIGKILL)
    job = jobs.status(root, folder.key)
    assert job.status == "failed" and job.error.endswith("is kept the last words")


def test_what_comes_after_the_end_of_a_job_changes_nothing(root, bounds):
    """A judgement may go on in its thread while the process ends."""
    folder = Folder(root, jobs.submit(root, one(), "ann", bounds).key)
    before = signal.getsignal(signal.SIGINT)
    work = Work(folder, Limits(), HERE)
    work._end("cancelled")
    signal.signal(signal.SIGINT, before)
    work._heard(Saved("g", ("main",), 1, 2, None))
    assert folder.state.status == "cancelled" and kinds(root, folder.key)[-1] == "cancelled"


def test_the_result_is_what_show_prints_and_a_second_time_nothing_runs(root, bounds, capsys):
    key = jobs.submit(root, Asked(study=study(), name="My question"), "ann", bounds).key
    Runner(root, site=HERE).run(until_idle=True)
    job = jobs.status(root, key)
    assert (job.status, job.runs, job.runs_done, job.runs_cached, job.error) == (
        "done",
        24,
        24,
        0,
        "",
    )
    assert job.experiment == f"my-question-{key[:8]}" and job.cpu_seconds > 0
    assert kinds(root, key)[:3] == ["queued", "begun", "planned"] and kinds(root, key)[-1] == "done"
    file = root / "jobs" / key / "text" / f"{job.experiment}.toml"
    capsys.readouterr()
    assert main(["show", str(file), "--json", "--root", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == jobs.result(root, key)
    assert jobs.result(root, key)["verdicts"][0]["controls"]["flat"]["n"] == {"seed": 6}

    forget(root, key)
    again = jobs.submit(root, Asked(study=study(), name="My question"), "ann", bounds)
    assert (again.key, again.status) == (key, "queued")
    Runner(root, site=HERE).run(until_idle=True)
    assert (
        jobs.status(root, key).runs_cached == 24
        and "all of it was stored" in jobs.status(root, key).words
    )


def test_cancelled_while_it_runs_it_stops_and_asked_again_it_goes_on(root, bounds):
    key = jobs.submit(root, one(steps=LONG), bounds=bounds).key
    with served(root, HERE) as runner:
        until(lambda: "started" in kinds(root, key))
        (child,) = runner._children
        assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0), (
            "a process group of its own"
        )
        assert (
            psutil.Process(child.process.pid).nice() > psutil.Process().nice()
            or psutil.Process().nice() >= 15
        )
        jobs.cancel(root, key)
        until(lambda: jobs.status(root, key).status == "cancelled")
        until(lambda: not runner._children)
        assert kinds(root, key)[-1] == "cancelled" and not Folder(root, key).held
        assert child.process.returncode == 0, "it ended by itself"
        assert jobs.submit(root, one(steps=LONG), bounds=bounds).status == "queued"
        until(lambda: kinds(root, key).count("begun") == 2)


@contextmanager
def server(root):
    """A process that serves the store, as a server of it does."""
    code = (
        "import sys, time; from pathlib import Path; from assay.jobs.runner import running\n"
        "from assay.lab.engines import Site\n"
        "with running(Path(sys.argv[1]), site=Site(executor='inline')): time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(root)]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


@pytest.mark.thorough
def test_a_server_that_is_killed_leaves_its_job_to_the_next_one(root, bounds):
    asked = one(steps=LONG)
    key, short = (
        jobs.submit(root, asked, bounds=bounds).key,
        jobs.submit(root, one(seed=1), bounds=bounds).key,
    )
    with server(root) as first:
        until(lambda: "started" in kinds(root, key))
        (worker,) = first.children()
        first.kill()
        psutil.wait_procs([worker], timeout=30)
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, (
            "what it started ends with it"
        )
    until(lambda: jobs.status(root, key).status == "queued")
    assert jobs.status(root, short).status == "queued"
    with served(root, HERE):
        until(
            lambda: (
                kinds(root, key)[-1] in ("started", "progress") and "continued" in kinds(root, key)
            )
        )
        jobs.cancel(root, key)
        until(lambda: jobs.status(root, short).status == "done")
    assert jobs.status(root, key).status == "cancelled"


@pytest.mark.slow
def test_several_runners_take_each_job_once(root, bounds):
    keys = [jobs.submit(root, one(seed=n), bounds=bounds).key for n in range(4)]
    with served(root, HERE), served(root, HERE):
        until(lambda: all(jobs.status(root, key).status == "done" for key in keys), 180)
    assert all(
        kinds(root, key).count("begun") == 1 and "continued" not in kinds(root, key) for key in keys
    )


def test_a_second_server_waits_while_the_first_lives(root, bounds):
    key = jobs.submit(root, one(steps=LONG), bounds=bounds).key
    with server(root) as one_server:
        until(lambda: "started" in kinds(root, key))
        with running(root, site=HERE):
            short = jobs.submit(root, one(), bounds=bounds).key
            time.sleep(1.0)
            assert jobs.status(root, short).status == "queued", "one runs jobs, one at a time"
            one_server.kill()  # the other one follows, and takes the job up
            until(lambda: "continued" in kinds(root, key))
            jobs.cancel(root, key)
            until(lambda: jobs.status(root, short).status == "done")
    assert kinds(root, short).count("begun") == 1 and jobs.status(root, key).status == "cancelled"


BREAKS = {
    "raise ZeroDivisionError('it fell')": "ZeroDivisionError: it fell",
    "import sys; sys.exit(3)": "SystemExit: 3",
    "import os; os._exit(7)": "its process ended with exit code 7",
    "import os; os.kill(os.getpid(), 9)": "its process ended with signal 9 (often: out of memory)",
}


@pytest.mark.parametrize(
    "breaks",
    [
        ["import os; os._exit(7)"],
        pytest.param(list(BREAKS), id="all", marks=pytest.mark.thorough),
    ],
)
def test_what_breaks_in_training_is_one_line_and_the_queue_goes_on(root, bounds, breaks):
    text = (bounds.workspace / "own.py").read_text()
    at = text.index("    ", text.index("def train("))
    keys = {}
    for number, line in enumerate(breaks):
        (bounds.workspace / f"bad{number}.py").write_text(text[:at] + f"    {line}\n" + text[at:])
        keys[line] = jobs.submit(
            root, Asked(experiment=f"bad{number}.py", preset="smoke"), bounds=bounds
        ).key
    good = jobs.submit(root, one(), bounds=bounds).key
    Runner(root, site=HERE).run(until_idle=True)
    assert jobs.status(root, good).status == "done"
    for line, key in keys.items():
        assert jobs.status(root, key).status == "failed"
        assert (
            BREAKS[line] in jobs.status(root, key).error
            and "\n" not in jobs.status(root, key).error
        )


def test_code_that_changed_after_it_was_submitted_does_not_run(root, bounds):
    key = jobs.submit(root, one(), bounds=bounds).key
    path = bounds.workspace / "own.py"
    path.write_text(path.read_text() + "\nopen('ran', 'w')\n")
    Runner(root, site=HERE).run(until_idle=True)
    assert "own.py is not as it was when this was submitted" in jobs.status(root, key).error
    assert not list(bounds.workspace.glob("ran"))


def test_a_job_ends_at_its_time_and_keeps_what_it_has(root, bounds):
    key = jobs.submit(root, one(steps=LONG), bounds=bounds).key
    Runner(root, limits=Limits(seconds=1.0), site=HERE).run(until_idle=True)
    assert (
        jobs.status(root, key).status == "failed"
        and "it took longer than 1 s" in jobs.status(root, key).error
    )


def test_cpu_time_of_a_group_is_that_of_its_processes():
    """Beside what the system tells of one process that has ended."""
    code = "import time\nwhile time.process_time() < 1: pass\nprint('spun', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=-1, stdout=-1, start_new_session=True
    ) as process:
        assert process.stdout.readline() == b"spun\n"
        told = psutil.Process(process.pid).cpu_times()
        assert group_cpu_seconds(process.pid) == pytest.approx(told.user + told.system, abs=0.1)
        process.send_signal(signal.SIGKILL)
