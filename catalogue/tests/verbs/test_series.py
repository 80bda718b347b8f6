"""Series: several experiments as one command; shared artefacts, errors that stop nobody else,
kills, results that are not judged twice."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from assay.cli.progress import Bar
from assay.core.compute import Range
from assay.core.errors import ExperimentError, RunError
from assay.core.experiment import ALL
from assay.lab import catalogue
from assay.lab.engines import Inline, Workers
from assay.lab.lab import Lab
from assay.lab.plan.plan import spanned
from assay.lab.store import groups
from assay.lab.store.atomic import seal
from assay.lab.work.events import Progress, Started
from assay.lab.work.worker import run_group
from assay_catalogue.recorded.series import Ended, ExperimentOutcome, Surveyed, series
from assay_catalogue.verbs.series import shown_on
from stored_bytes import measures_of

TEXT = (Path(__file__).parents[3] / "tests/lab/walk.py").read_text()


def written(folder, name, text=TEXT):
    """The path of an experiment file of this name."""
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


@pytest.fixture
def pair(tmp_path):
    """Two experiments that ask for the same artefact; the second has twice as many steps and is the
    dearer."""
    longer = TEXT.replace("steps: int = 20", "steps: int = 21")
    return [written(tmp_path, "amble", TEXT), written(tmp_path, "ramble", longer)]


def marked(marks):
    return marks.read_text().splitlines() if marks.exists() else []


def test_what_experiments_share_is_built_once_and_a_second_call_trains_nothing(
    tmp_path, pair, monkeypatch
):
    marks, lab, told = tmp_path / "marks", Lab(tmp_path / "s", Inline()), []
    monkeypatch.setenv("WALK_MARKS", str(marks))
    found = series(lab, pair, on_event=lambda name, event: told.append((name, event)))
    assert marked(marks).count("artefact") == 4, "the four parts of the one artefact"
    assert [(p.name, p.runs, p.trained, p.error) for p in found.parts] == [
        ("amble", 18, 18, None),
        ("ramble", 18, 18, None),
    ]
    assert [p.data["verdicts"][0]["outcome"] for p in found.parts] == ["holds", "holds"]
    assert found.exit_code == 0
    assert type(told[0][1]) is Surveyed and [len(p.missing) for p in told[0][1].plans] == [18, 18]
    assert sorted(e.done for _, e in told if isinstance(e, Ended)) == [1, 2]
    assert (
        found.seconds == pytest.approx(spanned(s for p in found.parts for s in p.sessions))
        and found.cpu_seconds > 0
    )

    marks.unlink()
    again = series(lab, pair)
    assert not marked(marks), "nothing is trained or measured"
    assert [p.trained for p in again.parts] == [0, 0]
    assert [p.data for p in again.parts] == [p.data for p in found.parts]
    assert (again.seconds, again.cpu_seconds) == (found.seconds, found.cpu_seconds), (
        "what it cost, whichever command paid"
    )


@pytest.mark.parametrize(
    "executor", [Inline(), pytest.param(Workers(2), marks=pytest.mark.thorough)], ids=type
)
def test_a_study_stores_what_each_run_alone_stores(tmp_path, pair, executor):
    series(Lab(tmp_path / "s", executor), pair)
    for path in pair:
        Lab(tmp_path / "alone", Inline()).run(catalogue.find(path))
    assert measures_of(tmp_path / "s") == measures_of(tmp_path / "alone")


class Two:
    """An executor of two places that hands back the newest first, as if the oldest took long."""

    width = 2

    def __init__(self):
        self.handed = []

    def map(self, tasks, report):
        held = []
        for task in tasks:
            if task is not None:
                self.handed.append(task.name)
                held.append(task)
            if held and (task is None or len(held) == self.width):
                yield run_group(held.pop(), report)
        for task in held:
            yield run_group(task, report)


def test_a_free_worker_goes_on_with_the_next_experiment(tmp_path):
    """One group of `first` is held back; what builds on it has to wait, and `second` fills the
    other place meanwhile."""
    one = TEXT.replace("seeds_per_group=2", "seeds_per_group=6")
    names = [written(tmp_path, "first", one), written(tmp_path, "second", one)]
    executor = Two()
    found = series(Lab(tmp_path / "s", executor), names)
    assert [p.error for p in found.parts] == [None, None]
    assert executor.handed == ["first", "second", "second", "first"]


def test_the_dearest_comes_first(tmp_path, pair):
    started = []
    longer = TEXT.replace("range(1000, 1006)", "range(1000, 1008)")
    names = [*pair, written(tmp_path, "trek", longer)]
    series(
        Lab(tmp_path / "s", Inline()),
        names,
        on_event=lambda n, e: started.append(n) if isinstance(e, Started) else None,
    )
    assert list(dict.fromkeys(started)) == ["trek", "amble", "ramble"]


@pytest.mark.parametrize(
    ("trouble", "code", "says"),
    [
        ("crash", 3, "3 of 6 groups of stumble crashed"),
        ("wrong", 2, "no layer 99; layers: 0 to 29"),
        pytest.param("exit", 3, "a worker ended with exit code 7", marks=pytest.mark.thorough),
    ],
)
def test_one_that_fails_does_not_stop_the_others(tmp_path, pair, trouble, code, says):
    broken = written(
        tmp_path, "stumble", TEXT.replace('trouble: str = ""', f'trouble: str = "{trouble}"')
    )
    lab = Lab(tmp_path / "s", Workers(1) if trouble == "exit" else Inline())
    found = series(lab, [broken, *pair])
    assert [p.name for p in found.parts] == ["stumble", "amble", "ramble"]
    assert says in str(found.parts[0].error)
    assert [p.error for p in found.parts[1:]] == [None, None]
    assert [p.data["verdicts"][0]["outcome"] for p in found.parts[1:]] == ["holds", "holds"]
    assert found.exit_code == code
    assert trouble != "wrong" or not list((tmp_path / "s" / "groups").iterdir()), (
        "a mistake leaves no trace"
    )


def test_what_cannot_even_be_read_is_told_beside_the_rest(tmp_path, pair):
    written(tmp_path, "torn", "def")
    ended = []
    found = series(
        Lab(tmp_path / "s", Inline()),
        [str(tmp_path / "torn.py"), "no-such", *pair],
        on_event=lambda n, e: ended.append((e.done, e.total)) if isinstance(e, Ended) else None,
    )
    assert [bool(p.error) for p in found.parts] == [True, True, False, False]
    assert "torn.py" in str(found.parts[0].error) and "no experiment is called" in str(
        found.parts[1].error
    )
    assert ended == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.exit_code == 2


def test_when_everything_is_a_mistake_no_store_is_left(tmp_path):
    wrong = TEXT.replace('trouble: str = ""', 'trouble: str = "wrong"')
    found = series(
        Lab(tmp_path / "s", Inline()),
        [written(tmp_path, "slip", wrong), written(tmp_path, "trip", wrong)],
    )
    assert found.exit_code == 2 and not (tmp_path / "s").exists()


def test_a_claim_that_cannot_be_computed_is_told_and_costs_nothing_else(tmp_path, pair):
    wrong = TEXT.replace("lambda arm, arms: arm.end,", "lambda arm, arms: arm.start,")
    found = series(Lab(tmp_path / "s", Inline()), [written(tmp_path, "odd", wrong), pair[0]])
    assert (
        "no measure 'start' in main" in found.parts[0].data["failed"][0]["reason"]
        and found.parts[1].error is None
    )
    assert (
        found.parts[0].error is None
        and found.parts[1].data["failed"] == []
        and found.exit_code == 2
    )


def child(root, names):
    os.setsid()
    series(Lab(root, Inline()), names)


def test_kills_in_either_experiment_change_no_byte(tmp_path, pair, monkeypatch):
    series(Lab(tmp_path / "whole", Inline()), pair)
    marks, root = tmp_path / "marks", tmp_path / "s"
    for name, value in {
        "WALK_MARKS": str(marks),
        "WALK_PAUSE": "0.005",
        "ASSAY_CHECKPOINT_SECONDS": "0.02",
    }.items():
        monkeypatch.setenv(name, value)
    fork = multiprocessing.get_context("fork")
    for stored in (1, 20):  # in the first experiment, later in it, and in the second
        process = fork.Process(target=child, args=(root, pair))
        process.start()
        while process.is_alive() and len(measures_of(root)) < stored:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    assert 20 <= len(measures_of(root)) < 36
    monkeypatch.setenv("WALK_PAUSE", "0")
    found = series(Lab(root, Inline()), pair)
    assert measures_of(root) == measures_of(tmp_path / "whole")
    assert [p.error for p in found.parts] == [None, None]
    assert 0 < sum(p.trained for p in found.parts) < 36


INTERRUPTED = """
import signal, sys
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay_catalogue.recorded.series import series
signal.signal(signal.SIGINT, signal.default_int_handler)
series(Lab(sys.argv[1], Inline()), sys.argv[2:])
"""


@pytest.mark.thorough
def test_an_interrupt_waits_for_no_judgement(tmp_path, pair):
    """The judging of the second would take ten minutes; what it leaves is whole or not there, and
    the next command goes on."""
    quick = Path(pair[1]).read_text()
    slowly = "lambda arm, arms: (mark('judging'), time.sleep(600)) and arm.end,"
    Path(pair[1]).write_text(quick.replace("lambda arm, arms: arm.end,", slowly))
    marks, root = tmp_path / "marks", tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(root), *pair],
        env={**os.environ, "WALK_MARKS": str(marks)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (
        "judging" in marked(marks) and (root / "results/amble/default.json").exists()
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=120)[1]
    assert not (root / "results/ramble").exists()
    Path(pair[1]).write_text(quick)
    found = series(Lab(root, Inline()), pair)
    assert [(p.trained, p.data["verdicts"][0]["outcome"]) for p in found.parts] == [
        (0, "holds"),
        (0, "holds"),
    ]


def test_what_stops_one_from_being_begun_stops_no_other(tmp_path, pair, monkeypatch):
    form = groups.form

    def torn(store, experiment, *rest):
        if experiment.name == "ramble":
            raise PermissionError("the folder of groups is another user's")
        return form(store, experiment, *rest)

    monkeypatch.setattr(groups, "form", torn)
    lab = Lab(tmp_path / "s", Inline())
    found = series(lab, pair)
    assert [p.name for p in found.parts if p.data] == ["amble"]
    assert str(found.parts[1].error) == "PermissionError: the folder of groups is another user's"
    with pytest.raises(PermissionError):
        lab.run(catalogue.find(pair[1]))


def test_a_result_is_judged_again_only_when_what_it_was_made_from_changed(tmp_path, monkeypatch):
    lab = Lab(tmp_path / "s", Inline())
    (first,) = series(lab, ["superposition"], "smoke").parts
    judged = []
    finish = Lab.finish
    monkeypatch.setattr(
        Lab, "finish", lambda self, e, now: judged.append(e.name) or finish(self, e, now)
    )
    (again,) = series(lab, ["superposition"], "smoke").parts
    assert (judged, again.data) == ([], json.loads(json.dumps(first.data)))
    path = tmp_path / "s" / "results" / "superposition" / "smoke.json"
    held = json.loads(path.read_text())
    # as another version of the judging code would have left it
    held["kept"]["made"]["code"] = "0" * 64
    path.write_bytes(seal({k: v for k, v in held.items() if k != "sha256"}))
    (anew,) = series(lab, ["superposition"], "smoke").parts
    assert judged == ["superposition"] and anew.data["verdicts"] == again.data["verdicts"]
    assert json.loads(path.read_text())["kept"]["made"]["code"] != "0" * 64


def test_no_experiment_is_called_as_all_of_them_are(tmp_path):
    with pytest.raises(ExperimentError, match="no experiment may be called 'catalogue'"):
        catalogue.find(written(tmp_path, ALL))


def test_spans_count_no_second_twice():
    assert spanned([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.6)]) == 4.0


def test_a_watcher_sees_what_is_at_work() -> None:
    plans = tuple(SimpleNamespace(rows=[0] * n, missing=[0] * n) for n in (10, 20))
    out = StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    verdicts = {"verdicts": [{"outcome": "holds"}], "seconds": 61.0, "cpu_seconds": 100.0}
    with Bar("catalogue", "experiments", console) as bar:
        show = shown_on(bar)
        show("", Surveyed(3, plans, Range(100, 225), 2))  # type: ignore[arg-type]
        show("early", Progress("a", ("main", "relu"), 250, 1000))
        show("late", Ended(ExperimentOutcome("late", verdicts, runs=4, trained=4), 1, 3))
        head, at_work = (line.plain for line in bar.lines())
        fallen = ExperimentOutcome("sick", error=RunError("it fell\n  here"))
        show("sick", Ended(fallen, 2, 3))
        show("early", Ended(ExperimentOutcome("early", verdicts), 3, 3))
        assert len(bar.lines()) == 1
    assert "catalogue: 1 of 3 experiments" in head
    assert at_work == "early · main, relu"
    said = out.getvalue()
    assert (
        "catalogue: 3 experiments, 30 runs, 0 stored; 30 to train on 2 workers, about 2 min 30 s"
    ) in said
    assert "1 of 3  late: ● 1, 1 min 1 s" in said
    assert "2 of 3  sick: no result, it fell here" in said
