"""Workers that join a store: killed, asleep, told to leave, or on a machine that lacks something;
the bytes stay those of one process."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from assay.core.errors import FleetError, RunError, StoreError
from assay.core.spec import canonical_json
from assay.lab import catalogue
from assay.lab.away import leases, requests, worker_loop
from assay.lab.away.worker_loop import Joined
from assay.lab.executors import Away, Inline, none
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.store import health
from assay.lab.store.store import Store
from assay.lab.work import groups
from assay.lab.work.events import Outcome, Said, Started
from assay.testing.executor_contract import measured
from local_fleet import Local

WALK = Path(__file__).with_name("walk.py")


def walk(*sets):
    experiment = catalogue.find(str(WALK))
    return experiment, override(experiment, "default", sets)


@pytest.fixture
def marks(tmp_path, monkeypatch):
    """What workers did, and time to do something to them meanwhile."""
    path = tmp_path / "marks"
    monkeypatch.setenv("WALK_MARKS", str(path))
    monkeypatch.setenv("WALK_PAUSE", "0.01")
    return path


@pytest.fixture
def join(tmp_path):
    """Start workers for the store in tmp_path/s; those that live at the end are told to leave."""
    started = []

    def start():
        process = multiprocessing.get_context("fork").Process(
            target=lambda: Joined(tmp_path / "s").run()
        )
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.join(30)
        process.kill()


def whole(root, *sets):
    """The measures of a store in which one process did everything, undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WALK_MARKS", raising=False)
        Lab(root, Inline()).run(*walk(*sets))
    return measured(root)


def until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def clean(root):
    """Check that nothing is left of work that is done."""
    assert list(health.harms(Store(root))) == []
    assert [list((root / part).iterdir()) for part in ("groups", "leases", "wanted")] == [
        [],
        [],
        [],
    ]


def test_one_of_two_is_killed_and_the_other_does_all(tmp_path, marks, join):
    root, killed = tmp_path / "s", []
    workers = {process.pid: process for process in (join(), join())}

    def kill(event):
        if killed or not isinstance(event, Started):
            return
        with contextlib.suppress(FileNotFoundError):  # given back since: at the next event
            for path in root.glob("leases/group-*/[0-9]*"):
                killed[:] = [int(json.loads(path.read_text())["owner"].split("-")[-2])]
        for pid in killed:
            workers[pid].kill()

    Lab(root, Away()).run(*walk("steps=30"), kill)
    assert killed
    assert measured(root) == whole(tmp_path / "here", "steps=30")
    clean(root)


def test_told_to_leave_it_saves_its_step_and_nothing_is_trained_twice(
    tmp_path, marks, join, monkeypatch
):
    monkeypatch.setenv("WALK_PAUSE", "0.05")  # it is told long before its last step
    root, one = tmp_path / "s", ("steps=60", "seed=1000:1002")
    left(root, *walk(*one))
    worker = join()
    until(lambda: marks.exists() and marks.read_text().count("train\n") > 3)
    worker.terminate()
    worker.join(30)
    monkeypatch.setenv("WALK_PAUSE", "0")
    assert worker.exitcode == 0
    [begun] = [group for group in groups.unfinished(Store(root)) if "main" in group.arms]
    steps = marks.read_text().split("\n").count("train")
    assert begun.step == steps < 60, "the step that it was at is saved"
    assert not leases.open_leases(root).held(f"group-{begun.name}"), "and the lease is given back"
    Lab(root, Inline()).run(*walk(*one))
    assert marks.read_text().split("\n").count("train") == 2 * 60, (
        "each of two arms, each step once"
    )
    assert measured(root) == whole(tmp_path / "here", *one)


def test_one_that_slept_too_long_finds_its_work_taken_over_and_harms_nothing(
    tmp_path, marks, join, monkeypatch
):
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "1")
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0.1")
    monkeypatch.setenv("WALK_PAUSE", "0.03")  # so that it falls asleep in the harvest
    root = tmp_path / "s"
    sleeper = join()
    slept = []

    def sleep(event):
        if isinstance(event, Started) and not slept:
            os.kill(sleeper.pid, signal.SIGSTOP)
            slept.append(event.group)
            monkeypatch.setenv("WALK_PAUSE", "0.01")
            join()

    Lab(root, Away()).run(*walk("steps=20"), sleep)
    assert measured(root) == whole(tmp_path / "here", "steps=20")
    before = {path: path.read_bytes() for path in root.glob("runs/*/*/*")}
    os.kill(sleeper.pid, signal.SIGCONT)
    time.sleep(1.5)
    assert sleeper.is_alive(), "it goes on, with other work"
    assert {path: path.read_bytes() for path in root.glob("runs/*/*/*")} == before
    clean(root)


def left(root, experiment, preset):
    """Leave what is missing in the store, as one does who then goes away without a word."""

    class Leaves:
        width = 1

        def map(self, tasks, report):
            for task in tasks:
                if task is None:
                    return
                requests.leave(task)
            yield

    with contextlib.suppress(StoreError):  # nothing is stored yet
        Lab(root, Leaves()).run(experiment, preset)


def test_what_is_not_on_a_machine_is_said_once_and_other_work_goes_on(tmp_path):
    root, said = tmp_path / "s", []
    for name in ("here", "gone", "other"):
        shutil.copy(WALK, tmp_path / f"{name}.py")
        experiment = catalogue.find(str(tmp_path / f"{name}.py"))
        left(root, experiment, override(experiment, "smoke"))
    (tmp_path / "gone.py").unlink()
    with (tmp_path / "other.py").open("a") as file:
        file.write("# edited\n")
    did = Joined(root, tell=said.append).run(idle=0)
    assert {(one.experiment, one.status) for one in did} == {("here", "done")}
    told = [line for line in said if isinstance(line, str)]
    assert sorted(line.split(" cannot")[0] for line in told) == ["gone", "other"]
    assert all(
        f"{tmp_path}/{line.split()[0]}.py is not here" in line and "\n" not in line for line in told
    )
    assert {requests.read(root, name).name for name in requests.names(root)} == {"gone", "other"}, (
        "somebody else may have it"
    )


def test_a_file_beside_the_store_is_found_where_another_machine_mounts_the_folder(tmp_path):
    shutil.copytree(
        WALK.parent,
        tmp_path / "a",
        ignore=lambda folder, names: [n for n in names if n != "walk.py"],
    )
    experiment = catalogue.find(str(tmp_path / "a" / "walk.py"))
    left(tmp_path / "a" / "s", experiment, override(experiment, "smoke"))
    (tmp_path / "a").rename(tmp_path / "b")
    did = Joined(tmp_path / "b" / "s").run(idle=0)
    assert [one.status for one in did] == ["done"]


@pytest.mark.parametrize("begun", [True, False])
def test_who_loses_a_group_that_was_begun_says_so(tmp_path, monkeypatch, begun):
    left(tmp_path / "s", *walk())
    told = []

    def lost(task, report, **options):
        if begun:
            report(Started("walk", ("main",), 1, "0"))
        return Outcome(task.group, "busy")  # as after a sleep in which another took it

    monkeypatch.setattr(worker_loop, "run_group", lost)
    assert Joined(tmp_path / "s", tell=told.append).run(idle=0) == []
    words = [line for line in told if isinstance(line, str)]
    assert {line.split(":")[0] for line in words} == ({"walk"} if begun else set())
    assert all("another worker took this group over" in line for line in words)


def test_only_what_was_named(tmp_path):
    root = tmp_path / "s"
    for name in ("mine", "yours"):
        shutil.copy(WALK, tmp_path / f"{name}.py")
        experiment = catalogue.find(str(tmp_path / f"{name}.py"))
        left(root, experiment, override(experiment, "smoke"))
    assert {one.experiment for one in Joined(root, ["mine"]).run(idle=0)} == {"mine"}


def test_whoever_waits_is_told_that_nobody_is_there_and_when_somebody_comes(tmp_path, join):
    said = []

    def told(event):
        if isinstance(event, Said):
            said.append(event.text)
            if len(said) == 1:
                join()

    Lab(tmp_path / "s", Away()).run(*walk("steps=3", "seed=1000:1002"), told)
    assert f"assay worker --root {tmp_path / 's'}" in said[0]
    assert said[1:] == ["1 worker is at it"]


def test_a_lost_worker_of_a_fleet_is_replaced(tmp_path, marks, monkeypatch):
    monkeypatch.setattr(none, "ASKS", 0.2)
    fleet, said = Local(tmp_path, 1), []

    def told(event):
        said.append(event.text if isinstance(event, Said) else "")
        if isinstance(event, Started) and len(fleet.processes) == 1:
            fleet.kill("w0")

    Lab(tmp_path / "s", Away(fleet)).run(*walk("steps=20"), told)
    assert "worker w0 was lost; another one takes its place" in said
    assert measured(tmp_path / "s") == whole(tmp_path / "here", "steps=20")
    assert all(not process.is_alive() for process in fleet.processes.values()), (
        "closing leaves none behind"
    )


def test_a_group_of_which_every_worker_dies_fails_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(none, "ASKS", 0.2)
    with pytest.raises(
        RunError,
        match="5 processes died of it, one after the other, at the same step; often: out of memory",
    ):
        Lab(tmp_path / "s", Away(Local(tmp_path, 1))).run(*walk("trouble=exit", "seed=1000:1002"))


def test_a_fleet_whose_workers_do_nothing_is_an_error_that_names_a_log(tmp_path, monkeypatch):
    from assay.lab.away.fleets import Member

    monkeypatch.setattr(none, "ASKS", 0.1)

    class Useless:
        width, asked = 4, 0

        def submit(self, n, command):
            self.asked += n
            return [Member(f"{self.asked}-{i}", f"/logs/{self.asked}-{i}") for i in range(n)]

        def look(self, members):
            return dict.fromkeys((m.id for m in members), "ended")

        def cancel(self, members):
            pass

    fleet = Useless()
    with pytest.raises(
        FleetError,
        match=(
            r"3 workers in a row ended, and nothing came of it; what the last one said is in "
            r"/logs/\d"
        ),
    ):
        Lab(tmp_path / "s", Away(fleet)).run(*walk())
    assert fleet.asked == 9, "three groups are ready, so three workers, three times"
    assert requests.names(tmp_path / "s") == set()


def test_two_machines_that_build_one_artefact_write_into_no_folder_of_the_other(
    tmp_path, monkeypatch
):
    """One falls asleep while it builds; another takes over, goes on from what is there, and
    finishes; then the first one wakes."""
    from walk import Noise

    monkeypatch.setattr(leases, "_locked", lambda path: leases.Lock())  # no locks between machines
    times, asleep, awake = {"one": 0.0, "two": 0.0}, threading.Event(), threading.Event()
    known = {name: leases.Leases(tmp_path / "s", lambda name=name: times[name]) for name in times}
    monkeypatch.setattr(leases, "open_leases", lambda root: known[threading.current_thread().name])
    wrote = []

    def build(folder):
        name = threading.current_thread().name
        for i in range(4):
            if (folder / str(i)).exists():
                continue
            if name == "one" and i == 2:
                asleep.set()
                awake.wait(30)
            wrote.append((name, i))
            (folder / str(i)).write_text(str(i))

    found = {}
    threads = {
        n: threading.Thread(
            name=n,
            target=lambda n=n: found.update({n: Store(tmp_path / "s").artefact(Noise(), build)}),
        )
        for n in times
    }
    threads["one"].start()
    asleep.wait(30)
    threads["two"].start()
    until(lambda: known["two"]._unchanged._seen)
    times["two"] = 31.0
    known["one"]
    threads["two"].join(30)
    awake.set()
    threads["one"].join(30)
    assert found["one"] == found["two"]
    assert sorted(p.name for p in found["one"].parent.iterdir()) == [found["one"].name]
    assert wrote[:4] == [("one", 0), ("one", 1), ("two", 2), ("two", 3)]
    assert list(health.harms(Store(tmp_path / "s"))) == []


def test_two_that_store_the_same_runs_at_once_leave_whole_ones(tmp_path):
    Lab(tmp_path / "s", Inline()).run(*walk("steps=3", "seed=1000:1002"))
    store = Store(tmp_path / "s")
    texts = {
        run.folder: {p.name: p.read_bytes() for p in run.folder.iterdir()} for run in store.list()
    }
    from assay.lab.store.atomic import write_folders

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


def test_a_progress_file_that_is_no_message_is_passed_over(tmp_path, join):
    """What lies in the store is anybody's."""
    root = tmp_path / "s"
    for text in (
        "",
        "{",
        canonical_json({"kind": "Other"}),
        canonical_json({"kind": "Outcome", "group": "x", "status": "done"}),
    ):
        waits = none._Left.__new__(none._Left)
        waits.folder, waits.group, waits._heard, waits.moved, waits._begun = root, "g", "", 0, True
        waits._seen = 0
        root.mkdir(exist_ok=True)
        (root / "progress.json").write_text(text)
        waits._follow(None, lambda event: pytest.fail(f"told {event}"))
