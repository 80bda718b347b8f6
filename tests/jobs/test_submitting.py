"""What may be submitted, what a key is, whose turn it is, and what lies in the store; nothing is
trained here."""

import json
import threading
from dataclasses import replace

import msgspec
import pytest
from asking import one, study

from assay.core.errors import AssayError, StoreError
from assay.jobs import queue, runner
from assay.jobs.bounds import Bounds
from assay.jobs.folder import EVENTS, Folder
from assay.jobs.runner import Runner
from assay.jobs.submission import Asked, Lacking, opened
from assay.verbs import jobs

SMOKE = Asked(experiment="superposition", preset="smoke")


def seed(n):
    return msgspec.structs.replace(SMOKE, sets=(f"seed={n}",))


def test_submitting_twice_is_one_job_whoever_does_it(root):
    first, second, other = (jobs.submit(root, SMOKE, who) for who in ("ann", "ann", "bob"))
    assert first == second == other and first.status == "queued"
    assert [job.key for job in jobs.jobs(root).jobs] == [first.key]
    assert [job.key for job in jobs.jobs(root, "bob").jobs] == [first.key] and not jobs.jobs(
        root, "eve"
    ).jobs


def test_another_question_is_another_job(root, bounds):
    asked = [
        SMOKE,
        seed(1),
        msgspec.structs.replace(SMOKE, preset="default"),
        Asked(study=study()),
        Asked(study=study(seeds="1:7")),
        one(),
    ]
    assert len({jobs.submit(root, a, bounds=bounds).key for a in asked}) == len(asked)


def test_the_key_of_code_follows_its_text(root, bounds):
    with opened(root, one(), bounds) as ready:
        before = ready.key
    path = bounds.workspace / "own.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    with opened(root, one(), bounds) as ready:
        assert ready.key != before


WRONG = {
    "question = ": "the study line 1 column 12: ",
    study(claim=False).replace("question", "qestion"): "did you mean question",
    study().replace("steps", "stesp"): "line 7 column 10: ",
    study().replace(
        '"flat"]', '"falt"]'
    ): "line 12 column 11: the study has no arm 'falt'; did you mean flat?",
    study(name="../own.py"): "lies outside the workspace",
    study(name="/etc/own.py"): "lies outside the workspace",
    study(name="~/own.py"): "lies outside the workspace",
    study(name="./gone.py"): "is no Python file in the workspace",
    study(name="superpositoin"): "did you mean superposition?",
    study(seeds="0:999999999"): "and at most 2,000 are taken",
    study(more='budget = "soon"\nseed = 3'): "seed is no field of a study",
    "[" * 5000: "the study",
    "\0": "null characters",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_study_that_cannot_run_is_refused_in_one_line(root, bounds, text):
    with pytest.raises(AssayError) as refused:
        jobs.submit(root, Asked(study=text), bounds=bounds)
    assert (
        WRONG[text] in str(refused.value)
        and "\n" not in str(refused.value)
        and "assay-" not in str(refused.value)
    )
    assert not root.exists(), "nothing is left of what was refused"


def test_a_study_that_says_too_little_is_told_all_that_it_lacks(root, bounds):
    with pytest.raises(Lacking) as refused:
        jobs.submit(
            root, Asked(study=study(claim=False).replace("Does width matter?", "")), bounds=bounds
        )
    assert [m.where for m in refused.value.lacks] == ["question", "claim"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(), "either a study's text or an experiment's name"),
        (Asked(study=study(), experiment="superposition"), "either"),
        (Asked(experiment="superpositoin"), "did you mean superposition?"),
        (Asked(experiment="superposition", preset="smok"), "smoke"),
        (Asked(experiment="superposition", sets=("seed=0:200",)), "at most 2,000"),
        (Asked(experiment="superposition", sets=("stesp=3",)), "did you mean steps?"),
        (Asked(experiment="superposition", sets=("steps=3",) * 33), "at most 32"),
        (Asked(experiment="superposition", name="mine"), "only a study is given a name"),
        (Asked(experiment="lm-importance", sets=("corpus=/etc",)), "lies outside"),
        (Asked(experiment="lm-importance", sets=("corpus=../..",)), "lies outside"),
        (Asked(experiment="../own.py"), "runs only from a workspace"),
        (Asked(experiment="x" * 1000), "at most 200"),
        (Asked(study="x" * 70_000), "at most 65,536"),
    ],
)
def test_what_is_too_much_or_not_there_is_refused_in_one_line(root, asked, words):
    with pytest.raises(AssayError, match=words) as refused:
        jobs.submit(root, asked)
    assert "\n" not in str(refused.value)


def test_code_runs_only_where_it_was_allowed(root, bounds, monkeypatch):
    """A folder with a Python package is an experiment to `assay run`; to a submission it is nothing
    unless code is allowed."""
    ran = bounds.workspace / "ran"
    (bounds.workspace / "sly").mkdir()
    for path in (bounds.workspace / "sly/__init__.py", bounds.workspace / "bad.py"):
        path.write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.chdir(bounds.workspace)
    for name in (
        "sly",
        "./sly",
        "sly/__init__.py",
        "bad.py",
        "./bad.py",
        str(bounds.workspace / "bad.py"),
    ):
        for asked in (
            Asked(experiment=name),
            Asked(study=study(name=name)),
            Asked(study=study(name=name, claim=False)),
        ):
            with pytest.raises(AssayError):
                jobs.submit(root, asked, bounds=replace(bounds, code=False))
            with pytest.raises(AssayError):
                jobs.submit(root, asked)
    assert not ran.exists()


def test_a_link_out_of_the_workspace_leads_nowhere(root, bounds, tmp_path):
    (tmp_path / "other.py").write_text("raise SystemExit")
    (bounds.workspace / "link.py").symlink_to(tmp_path / "other.py")
    with pytest.raises(AssayError, match="lies outside the workspace"):
        jobs.submit(root, Asked(experiment="link.py"), bounds=bounds)


def finish(root, key, status="done", started=1.0):
    """End a job as its process does."""
    folder = Folder(root, key)
    folder.write(
        replace(folder.state, status=status, started=started, ended=started + 1, cpu_seconds=100.0)
    )


def test_owners_take_turns(root):
    for n in range(3):
        jobs.submit(root, seed(n), "ann")
    jobs.submit(root, seed(3), "bob")
    jobs.submit(root, seed(4), "eve")
    turns = []
    for at in range(5):
        folder = queue.Watched(root).waiting()[0]
        turns.append(folder.state.owner)
        finish(root, folder.key, started=float(at + 1))
    assert turns == ["ann", "bob", "eve", "ann", "ann"], (
        "whoever asks for much does not hold up who asks for little"
    )


def test_an_owner_withdraws_and_the_last_one_stops_it(root):
    key = jobs.submit(root, SMOKE, "ann").key
    jobs.submit(root, SMOKE, "bob")
    with pytest.raises(queue.NotYours):
        jobs.cancel(root, key, "eve")
    assert jobs.cancel(root, key, "ann").status == "queued"
    assert jobs.cancel(root, key, "bob").status == "cancelled"
    assert not queue.Watched(root).waiting()
    assert jobs.submit(root, SMOKE, "ann").status == "queued", "asked for again, it is queued again"


def test_what_has_just_ended_is_queued_again_once_its_process_lets_go(root, monkeypatch):
    """Its state says that it is over a moment before its lease is free."""
    key = jobs.submit(root, SMOKE).key
    folder = Folder(root, key)
    lease = folder.take()
    folder.fail("no luck")
    threading.Timer(0.3, lease.done).start()
    assert jobs.submit(root, SMOKE).status == "queued"
    lease = folder.take()
    folder.fail("no luck")
    monkeypatch.setattr(queue, "ENDS", 0.1)
    with pytest.raises(StoreError, match="ask again in a moment"):
        jobs.submit(root, SMOKE)
    lease.done()
    assert jobs.submit(root, SMOKE).status == "queued"


def test_who_asks_for_what_is_being_cancelled_is_told(root):
    folder = Folder(root, jobs.submit(root, SMOKE, "ann").key)
    with folder.mine():
        folder.write(replace(folder.state, status="running"))
        jobs.cancel(root, folder.key, "ann")
        with pytest.raises(StoreError, match="is being cancelled; ask again in a moment"):
            jobs.submit(root, SMOKE, "bob")
        folder.stop()
    assert jobs.submit(root, SMOKE, "bob").status == "queued" and "bob" in folder.owners


def test_a_job_forgotten_while_jobs_are_listed_is_left_out(root, monkeypatch):
    key, other = (jobs.submit(root, seed(n)).key for n in range(2))
    every = queue.every(root)
    runner.forget(root, jobs.cancel(root, key).key)
    monkeypatch.setattr(queue, "every", lambda root: every)
    assert [job.key for job in jobs.jobs(root).jobs] == [other]


def test_cancelling_what_is_not_there_writes_nothing(root):
    with pytest.raises(AssayError, match="no job"):
        jobs.cancel(root, "0" * 32)
    assert not root.exists()


def test_what_is_over_stays_over_when_it_is_cancelled(root):
    key = jobs.submit(root, SMOKE).key
    finish(root, key)
    assert jobs.cancel(root, key).status == "done"
    assert jobs.submit(root, SMOKE).status == "done"


def test_quotas(root):
    each = Bounds(queued_each=2, cpu_seconds_each=150.0)
    keys = [jobs.submit(root, seed(n), "ann", each).key for n in range(2)]
    with pytest.raises(queue.Full, match="2 jobs of yours wait or run"):
        jobs.submit(root, seed(2), "ann", each)
    jobs.submit(root, seed(3), "bob", each)
    for key in keys:
        finish(root, key, started=queue.time.time())
    with pytest.raises(queue.Full, match="took 200 CPU-seconds in 24 hours"):
        jobs.submit(root, seed(2), "ann", each)
    with pytest.raises(queue.Full, match="jobs wait already"):
        jobs.submit(root, seed(5), "bob", Bounds(queued=1))


def test_a_job_without_a_result_says_how_far_it_is(root):
    key = jobs.submit(root, SMOKE).key
    with pytest.raises(queue.NotOver, match="it waits; it is next"):
        jobs.result(root, key)
    for wrong in ("0" * 32, "../../etc", "", "A" * 32):
        with pytest.raises(AssayError):
            jobs.status(root, wrong)


def test_a_kill_leaves_a_job_that_ran_in_the_queue(root):
    """It says that it runs, and nobody holds its lock."""
    key = jobs.submit(root, SMOKE).key
    folder = Folder(root, key)
    folder.write(replace(folder.state, status="running", starts=1, started=5.0))
    assert (
        jobs.status(root, key).status == "queued"
        and "goes on where it was" in jobs.status(root, key).words
    )
    assert [f.key for f in queue.Watched(root).waiting()] == [key]
    with folder.mine() as mine:
        assert mine and jobs.status(root, key).status == "running"
        assert not queue.Watched(root).waiting()


def test_events_are_numbered_bounded_and_survive_a_torn_line(root):
    key = jobs.submit(root, SMOKE).key
    folder = Folder(root, key)
    with (folder.path / "events.jsonl").open("ab") as file:
        file.write(b'{"n": 2, "ti')  # a kill while it was written
    assert [e.number for e in jobs.events(root, key).events] == [1]
    for _ in range(600):
        folder.tell("progress", words="x" * 1000)
    assert (folder.path / "events.jsonl").stat().st_size <= EVENTS
    numbers = [e.number for e in jobs.events(root, key).events]
    assert numbers == list(range(numbers[0], 602)) and numbers[0] > 1
    assert [e.number for e in jobs.events(root, key, 599).events] == [600, 601]


def test_events_are_over_when_the_last_is_told_or_whoever_would_tell_it_is_gone(root):
    """A state is written before it is told of: whoever reads in between waits for the rest."""
    key = jobs.submit(root, SMOKE).key
    folder = Folder(root, key)
    with folder.mine() as mine:
        assert mine
        folder.write(replace(folder.state, status="done"))
        assert not jobs.events(root, key).over and not jobs.events(root, key, 1).over
        folder.tell("done")
        assert jobs.events(root, key).over and jobs.events(root, key, 2).over
    key = jobs.submit(root, seed(8)).key
    folder = Folder(root, key)
    folder.write(replace(folder.state, status="done"))  # killed before it told
    assert jobs.events(root, key).over


def test_what_was_asked_cannot_be_changed_afterwards(root):
    key = jobs.submit(root, SMOKE).key
    path = root / "jobs" / key / "asked.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "preset": "full"}))
    Runner(root).step()
    state = Folder(root, key).state
    assert state.status == "failed" and "was changed after it was written" in state.error
