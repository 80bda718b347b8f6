"""A group that goes to a machine without the store, and what comes back: the bytes of one process,
whatever that machine has of the user's files."""

import dataclasses
import shutil
import textwrap
from pathlib import Path

import pytest

from assay.core.errors import EngineError
from assay.core.spec import canonical_json
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.engines.ray import Claimed, Parcel
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.store import groups
from assay.lab.store.store import Store
from assay.lab.work.events import Progress, Relay, Started, to_line
from executor_contract import measured
from stored_bytes import files_of

WALK = Path(__file__).with_name("walk.py")


class Travelling:
    """An executor that sends each group to another machine, which is this process with another
    cache; `between` happens while a parcel is on its way."""

    width = 1

    def __init__(self, between=lambda parcel: parcel):
        self.between, self.outcomes, self.parcels = between, [], []

    def map(self, tasks, report):
        relay = Relay(report)
        for task in filter(None, tasks):
            taken = Claimed.claim(task)
            parcel = self.between(Parcel.pack(taken, 1))
            self.parcels.append(parcel)
            outcome, runs = parcel.work(
                lambda event, group=taken.group: relay.line(to_line(event), {group.name: group})
            )
            self.outcomes.append(taken.store(outcome, runs, relay))
            yield self.outcomes[-1]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def home(tmp_path):
    """A folder of a user's: an experiment, a neighbour that it imports, a table that it reads."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "steps.csv").write_text("5\n")
    (home / "neighbour.py").write_text("def shift():\n    return 0.25\n")
    text = WALK.read_text().replace(
        "experiment = Experiment(",
        textwrap.dedent("""
            import neighbour
            from assay.core import foreign

            STEPS = int(foreign.read(Path(__file__).with_name("steps.csv"), "a table", 99))
            experiment = Experiment("""),
    )
    text = text.replace("/ 1000\n", "/ 1000 + neighbour.shift()\n")
    (home / "stroll.py").write_text(text.replace("Walk(), seed", "Walk(steps=STEPS), seed"))
    return home


def fields(path, *sets):
    experiment = catalogue.find(str(path))
    return experiment, override(experiment, "default", sets)


def test_what_comes_back_is_what_one_process_stores(tmp_path, cache):
    events = []
    Lab(tmp_path / "s", Travelling()).run(*fields(WALK, "steps=5"), events.append)
    Lab(tmp_path / "here", Inline()).run(*fields(WALK, "steps=5"))
    assert files_of(tmp_path / "s") == files_of(tmp_path / "here")
    kinds = [type(event).__name__ for event in events]
    assert kinds.count("Started") == kinds.count("Saved") == 6 and "Progress" in kinds
    assert not groups.names(tmp_path / "s")
    (machine,) = (cache / "elsewhere").iterdir()
    assert not list((machine / "tasks").iterdir()), "nothing of a group stays"
    assert len(list((machine / "artefacts/noise").iterdir())) == 1, "the artefact was built once"
    assert not (tmp_path / "s/artefacts").exists()


def test_a_users_files_travel_where_the_machine_has_them_not(tmp_path, home):
    Lab(tmp_path / "here", Inline()).run(*fields(home / "stroll.py"))

    def hide(parcel):  # what lies at their path there is another text
        home.rename(tmp_path / "hidden")
        home.mkdir()
        (home / "stroll.py").write_text("nothing = 1\n")
        return parcel

    class Hidden(Travelling):
        def map(self, tasks, report):
            for outcome in super().map(tasks, report):
                shutil.rmtree(home)
                (tmp_path / "hidden").rename(home)
                yield outcome

    executor = Hidden(hide)
    Lab(tmp_path / "s", executor).run(*fields(home / "stroll.py"))
    assert {o.status for o in executor.outcomes} == {"done"}
    names = {"stroll.py", "neighbour.py", "steps.csv"}
    assert all(set(parcel.user_files) == names for parcel in executor.parcels)
    assert files_of(tmp_path / "s") == files_of(tmp_path / "here")


def test_another_version_there_is_one_line_and_ends_the_command(tmp_path):
    executor = Travelling(lambda parcel: dataclasses.replace(parcel, version="0.0.1"))
    with pytest.raises(EngineError, match=r"a node has Assay .*, and this machine 0\.0\.1"):
        Lab(tmp_path / "s", executor).run(*fields(WALK, "steps=5"))
    assert len(executor.outcomes) == 1


def test_a_module_of_another_text_there_is_one_line(tmp_path):
    executor = Travelling(lambda parcel: dataclasses.replace(parcel, code="0" * 16))
    experiment = catalogue.find("superposition")
    with pytest.raises(EngineError, match=r"a node has another text of assay.*superposition"):
        Lab(tmp_path / "s", executor).run(experiment, override(experiment, "smoke"))


def test_of_a_group_only_what_is_missing_is_replaced(tmp_path):
    root = tmp_path / "s"
    Lab(root, Inline()).run(*fields(WALK, "steps=5", "seed=1000:1002"))
    before = files_of(root)
    kept, lost = sorted(root.glob("runs/walk/*-main-*"))
    written = kept.stat().st_mtime_ns
    shutil.rmtree(lost)
    experiment, preset = fields(WALK, "steps=5", "seed=1000:1002")
    # a group of both, as one that was begun before the first was stored
    store = Store(root)
    rows = Lab(root, Inline()).plan(experiment, preset).rows
    main = [row for row in rows if row.job.arm == "main"]
    wanted = [groups.WantedRun(row.job, row.parent, row.inputs) for row in main]
    groups.form(store, experiment, wanted, [])
    executor = Travelling()
    Lab(root, executor).run(experiment, preset)
    assert len(executor.parcels[0].runs) >= 1
    assert files_of(root) == before and kept.stat().st_mtime_ns == written


def test_what_a_killed_process_left_there_goes_on(tmp_path, cache, monkeypatch):
    """Its checkpoint is used, and its runs are not."""
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
    monkeypatch.setenv("WALK_MARKS", str(tmp_path / "marks"))
    steps = []

    def stop_once(event):
        if isinstance(event, Progress):
            steps.append(event.done)
            if len(steps) == 3:
                raise KeyboardInterrupt

    class Stopped(Travelling):
        def map(self, tasks, report):
            taken = Claimed.claim(next(iter(tasks)))
            Parcel.pack(taken, 1).work(stop_once)
            yield

    with pytest.raises(KeyboardInterrupt):
        Lab(tmp_path / "s", Stopped()).run(*fields(WALK, "steps=1500", "seed=1000:1002"))
    assert list(cache.glob("elsewhere/*/tasks/*/groups/*/fit-*.safetensors"))
    trained = (tmp_path / "marks").read_text().count("train\n")
    Lab(tmp_path / "s", Travelling()).run(*fields(WALK, "steps=1500", "seed=1000:1002"))
    again = (tmp_path / "marks").read_text().count("train\n") - 2 * 1500
    assert 0 <= again < trained, "it went on from its checkpoint"
    assert not list(cache.glob("elsewhere/*/tasks/*"))


def test_a_group_of_which_another_command_has_the_lock_is_busy(tmp_path):
    busy = []

    class Held(Travelling):
        def map(self, tasks, report):
            source = iter(tasks)
            task = next(source)
            with groups.locked(Store(task.root), task.group):
                busy.append(Claimed.claim(task))
                yield busy[0]
            yield from super().map(source, report)

    Lab(tmp_path / "s", Held()).run(*fields(WALK, "steps=5", "seed=1000:1002"))
    assert busy[0].status == "busy" and len(measured(tmp_path / "s")) == 6


def test_a_line_that_is_no_message_says_nothing():
    heard = []
    relay = Relay(heard.append)
    group = groups.RunGroup(Path("0123456789abcdef"), "walk", 1, {}, {"main": ()})
    by_name = {group.name: group}
    for line in ("", "{", canonical_json({"kind": "Other"}), to_line(Started("x", (), 1))):
        relay.line(line, by_name)
    assert heard == []
    progress = Progress(group.name, ("main",), 1, 2)
    for _ in range(2):
        relay.line(to_line(progress), by_name)
    assert heard == [Started(group.name, ("main",), 0), progress, progress]
