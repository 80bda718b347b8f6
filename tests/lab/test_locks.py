"""Processes that share a store: one works on a group or an artefact, by a file lock that its death
releases."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import filelock
import pytest
from walk import Noise

from assay.core.errors import StoreError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.store import folder, groups, health
from assay.lab.store.atomic import write_folders
from assay.lab.store.store import Store
from assay.lab.work.events import Task
from assay.lab.work.worker import run_group

FORK = multiprocessing.get_context("fork")


def walk(*fields):
    experiment = catalogue.find(str(__file__).replace("test_locks", "walk"))
    return experiment, override(experiment, "default", fields)


@contextlib.contextmanager
def other_process(work, *given):
    """A fork that does this, which says when it has begun."""
    begun = FORK.Event()
    process = FORK.Process(target=work, args=(*given, begun), daemon=True)
    process.start()
    assert begun.wait(60)
    yield process
    process.kill()
    process.join()


def holds(root, name, begun):
    with Store(root).prepare().locked(name) as locked:
        assert locked
        begun.set()
        time.sleep(600)


def test_one_process_has_a_lock_until_it_ends_however_it_ends(tmp_path):
    store = Store(tmp_path / "s").prepare()
    with other_process(holds, tmp_path / "s", "group-a") as process:
        with store.locked("group-a") as locked:
            assert not locked
        with store.locked("group-b") as locked:
            assert locked, "another lock is free"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with store.locked("group-a") as locked:
            assert locked, "nobody waits for a process that was killed"


def test_who_waits_gets_it(tmp_path):
    with other_process(holds, tmp_path / "s", "groups") as process:
        threading.Timer(0.5, process.kill).start()
        began = time.monotonic()
        with Store(tmp_path / "s").locked("groups", wait=True) as locked:
            assert locked and time.monotonic() - began > 0.3


def test_a_group_on_which_another_process_works_is_busy(tmp_path):
    root = tmp_path / "s"
    experiment, preset = walk("steps=3", "seed=1000:1002")
    with pytest.raises(ZeroDivisionError):
        Lab(root, Failing()).run(experiment, preset)
    group = next(group for group in groups.unfinished(Store(root)) if not group.parents)
    task = Task(str(root), group.name, experiment.name, experiment.origin)
    with other_process(holds, root, f"group-{group.name}"):
        assert run_group(task, print).status == "busy"
    assert run_group(task, lambda event: None).status == "done"


class Failing:
    """An executor that has groups formed, and trains none."""

    width = 1

    def map(self, tasks, report):
        next(iter(tasks))
        raise ZeroDivisionError
        yield


@pytest.mark.parametrize("how", ["soft", "refused"])
def test_a_disk_without_file_locks_is_one_line(tmp_path, monkeypatch, how):
    """Filelock's newer versions take a file that merely exists for a lock there, older ones
    refuse."""

    def refuse(self, *_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    kind = filelock.SoftFileLock
    if how == "refused":
        kind = type("Refusing", (filelock.FileLock,), {"acquire": refuse})
    monkeypatch.setattr(folder, "FileLock", kind)
    with pytest.raises(StoreError, match=r"^the disk of .* has no file locks \(flock\)") as caught:
        Lab(tmp_path / "s", Inline()).run(*walk("steps=3", "seed=1000:1002"))
    assert "\n" not in str(caught.value)


def builds(root, stops_at, begun):
    def build(folder):
        for i in range(4):
            if i == stops_at:
                begun.set()
                time.sleep(600)
            (folder / str(i)).write_text(str(os.getpid()))

    Store(root).artefact(Noise(), build)


def test_an_artefact_whose_builder_is_killed_is_finished_by_who_waits_for_it(tmp_path):
    root, written = tmp_path / "s", []

    def build(folder):
        for i in range(4):
            if not (folder / str(i)).exists():
                written.append(i)
                (folder / str(i)).write_text("here")

    with other_process(builds, root, 2) as process:
        threading.Timer(0.5, process.kill).start()
        found = Store(root).artefact(Noise(), build)
    assert written == [2, 3], "it goes on from what is there"
    assert [path.name for path in found.parent.iterdir()] == [found.name]
    assert list(health.harms(Store(root))) == []


def test_what_an_older_version_left_half_built_goes_on(tmp_path):
    store = Store(tmp_path / "s").prepare()
    path = store.artefact_path(Noise())
    begun = path.with_name(f"{path.name}.0123abcd.partial")
    begun.mkdir(parents=True)
    (begun / "0").write_text("before")
    found = store.artefact(Noise(), lambda folder: (folder / "1").write_text("now"))
    assert (found / "0").read_text() == "before" and (found / "1").read_text() == "now"
    assert [path.name for path in found.parent.iterdir()] == [found.name]


def test_two_that_store_the_same_runs_at_once_leave_whole_ones(tmp_path):
    Lab(tmp_path / "s", Inline()).run(*walk("steps=3", "seed=1000:1002"))
    store = Store(tmp_path / "s")
    texts = {
        run.folder: {p.name: p.read_bytes() for p in run.folder.iterdir()} for run in store.list()
    }
    failed = []

    def write():
        try:
            for _ in range(10):
                write_folders(texts, store.root / "tmp")
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=write) for _ in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert failed == []
    assert {
        run.folder: {p.name: p.read_bytes() for p in run.folder.iterdir()} for run in store.list()
    } == texts


def test_a_url_is_no_store(tmp_path):
    for url in ("s3://bucket/x", "s3:/bucket/x", f"file://{tmp_path}"):
        with pytest.raises(StoreError, match=r"a store is a folder, got the URL .*--on ray"):
            Store(url)
    assert Store(tmp_path / "a:b").root.name == "a:b"
