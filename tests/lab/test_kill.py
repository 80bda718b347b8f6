"""Kills at any moment: the store stays whole, a rerun continues, and its measures are the bytes of
an uninterrupted one."""

import multiprocessing
import os
import random
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
from assay.lab.store.store import Store
from stored_bytes import measures_of

WALK = str(Path(__file__).with_name("walk.py"))
AIMS = ["artefact"] * 3 + ["train", "measure", "store", "after", "store"] * 4


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


@pytest.mark.thorough  # test_random_kills.py kills three times
def test_twenty_kills_in_every_phase_change_no_byte(tmp_path, monkeypatch):
    marks = tmp_path / "marks"
    root = tmp_path / "s"
    whole = uninterrupted(tmp_path / "whole", "full")
    slowly(monkeypatch, marks)
    rng = random.Random(5)
    fork = multiprocessing.get_context("fork")
    hit = []
    aims = list(AIMS)
    while aims:
        aim = aims.pop(0)
        marks.write_text("")
        process = fork.Process(target=child, args=(root, "full"))
        process.start()
        while process.is_alive() and not any(
            line.startswith(aim) for line in marks.read_text().splitlines()
        ):
            time.sleep(0.001)
        if not process.is_alive():
            break
        time.sleep(rng.random() * 0.03)
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        hit.append(marks.read_text().splitlines()[-1].split()[0])
        # too late, as on a busy machine
        if aim == "train" and "train" not in hit and len(hit) < 40:
            aims.insert(0, aim)
        store = Store(root)
        assert list(store.damaged()) == []
        assert {k: v for k, v in measures_of(root).items() if whole[k] != v} == {}
    assert len(hit) >= 20, hit
    assert set(hit) >= {"artefact", "train", "measure", "store"}, hit
    result = Lab(root, Inline()).run(catalogue.find(WALK), "full")
    assert measures_of(root) == whole
    assert result.to_json()["verdicts"][0]["outcome"] == "holds"
    assert not list((root / "groups").iterdir()), "finished groups are removed"


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
    assert len(trained) == len(set(trained)) == 9, trained  # (main, still, far) × 3 blocks of seeds
    assert lines.count("artefact") == 4, "the artefact was built once"
