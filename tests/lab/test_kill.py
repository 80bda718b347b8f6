"""Kills at any moment: the store stays whole, a rerun continues, and its measures are the bytes of
an uninterrupted one."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from stored_bytes import measures_of

WALK = str(Path(__file__).with_name("walk.py"))


def uninterrupted(root, preset="default"):
    """The measures of a store that nobody interrupted."""
    Lab(root, Inline()).run(catalogue.find(WALK), preset)
    return measures_of(root)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return uninterrupted(tmp_path_factory.mktemp("whole") / "s")


def slowly(monkeypatch, marks):
    for name, value in {
        "WALK_MARKS": str(marks),
        "WALK_PAUSE": "0.004",
        "ASSAY_CHECKPOINT_SECONDS": "0.02",
    }.items():
        monkeypatch.setenv(name, value)


def child(root, preset="default"):
    os.setsid()
    Lab(root, Inline()).run(catalogue.find(WALK), preset)


def run_program(root):
    code = (
        "from assay.lab import catalogue; from assay.lab.engines import Workers; from "
        "assay.lab.lab import Lab\n"
    )
    code += f"Lab({str(root)!r}, Workers(1)).run(catalogue.find({WALK!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def wait_for(marks, phase, process):
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if marks.exists() and phase in marks.read_text():
            return
        time.sleep(0.01)


def test_workers_killed_with_their_parent_or_by_it(tmp_path, whole, monkeypatch):
    marks, root = tmp_path / "marks", tmp_path / "s"
    slowly(monkeypatch, marks)
    process = run_program(root)  # the parent alone: its workers notice
    wait_for(marks, "train", process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    process.wait()
    psutil.wait_procs(workers, timeout=20)
    assert not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers)

    marks.write_text("")
    process = run_program(root)  # Ctrl-C, which the terminal sends to everyone
    wait_for(marks, "train", process)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert said.count("Traceback") == 1, "workers say nothing at Ctrl-C"
    assert not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers)

    Lab(root, Inline()).run(catalogue.find(WALK))
    assert measures_of(root) == whole


def test_two_processes_share_a_store_and_train_nothing_twice(tmp_path, whole, monkeypatch):
    marks, root = tmp_path / "marks", tmp_path / "s"
    slowly(monkeypatch, marks)
    fork = multiprocessing.get_context("fork")
    pair = [fork.Process(target=child, args=(root,)) for _ in range(2)]
    [p.start() for p in pair]
    [p.join(120) for p in pair]
    assert [p.exitcode for p in pair] == [0, 0]
    assert measures_of(root) == whole
    lines = marks.read_text().splitlines()
    trained = [line for line in lines if line.startswith(("trained", "after"))]
    # (main, still, far) × 3 blocks of seeds
    assert len(trained) == len(set(trained)) == 9, trained
    assert lines.count("artefact") == 4, "the artefact was built once"
