"""Jobs whose runs are trained by whoever joined the store: the verdict is that of one process, and
cancelling, kills and turns are as they are here."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from asking import LONG, kinds, one, served, study, until
from assay.lab.away import requests
from assay.lab.away.fleets import Resources
from assay.lab.away.fleets.sbatch import Request
from assay.lab.away.requests import Terms
from assay.lab.away.worker_loop import Did, Joined

from assay.core.errors import AssayError
from assay.jobs.runner import Runner
from assay.jobs.submission import Asked
from assay.jobs.work import Limits
from assay.lab.engines import Site
from assay.testing.executor_contract import measured
from assay.verbs import jobs
from assay.verbs.run import site

JOINED = Site(executor="none")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Checkpoints every tenth of a second, and leases that lapse after two."""
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0.1")
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "2")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))


def status(root, key):
    return jobs.status(root, key).status


@contextmanager
def worker(root, folder):
    """`assay worker`, as a person starts it in some folder of theirs."""
    command = [sys.executable, "-m", "assay", "worker", "--root", str(root)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_study_is_done_by_a_worker_that_joined_as_by_one_process(
    root, bounds, tmp_path, monkeypatch
):
    """The experiment reads a file of the workspace by a relative path: what is submitted means that
    folder, wherever the worker was started."""
    own = bounds.workspace / "own.py"
    own.write_text(own.read_text() + "\nopen('beside.txt').close()\n")
    (bounds.workspace / "beside.txt").touch()
    monkeypatch.chdir(bounds.workspace)  # where a server is
    key = jobs.submit(root, Asked(study=study(), name="width"), "ann", bounds).key
    with served(root, JOINED), worker(root, tmp_path):
        until(lambda: status(root, key) in ("done", "failed"))
    job = jobs.status(root, key)
    assert (job.status, job.runs_done, job.runs_cached, job.error) == ("done", 24, 0, "")
    assert "workers" in kinds(root, key)
    told = repr(jobs.events(root, key))
    assert str(root) not in told, "where the store lies is nothing to who asks from elsewhere"
    trained = [run.provenance["cpu_seconds"] for run in _runs(root, job.experiment)]
    assert len(trained) == 24 and job.cpu_seconds >= sum(trained), "quotas count workers' time"
    assert not requests.names(root) and not list((root / "leases").iterdir())

    other = tmp_path / "other"
    again = jobs.submit(other, Asked(study=study(), name="width"), "ann", bounds)
    Runner(other, site=Site(executor="inline")).run(until_idle=True)
    assert again.key == key and measured(root) == measured(other)


def _runs(root, experiment):
    from assay.lab.store.store import Store

    return list(Store(root).list(experiment))


def test_cancelled_while_a_worker_is_at_it_the_worker_leaves_it_and_later_goes_on(
    root, bounds, tmp_path
):
    key = jobs.submit(root, one(steps=LONG), "ann", bounds).key
    with served(root, JOINED), worker(root, tmp_path) as process:
        until(lambda: "progress" in kinds(root, key))
        until(lambda: "1 worker is at it" in jobs.status(root, key).words)
        jobs.cancel(root, key)
        until(lambda: status(root, key) == "cancelled")
        assert not requests.names(root)
        short = jobs.submit(root, one(seed=1), "ann", bounds).key
        until(lambda: status(root, short) == "done")
        assert process.poll() is None, "the same worker, which left the group at its next step"
    groups = list((root / "groups").iterdir())
    assert any(list(group.rglob("fit-*")) for group in groups), "kept, at a step"


def test_a_killed_worker_costs_nothing_and_a_killed_server_only_the_wait(root, bounds, tmp_path):
    key = jobs.submit(root, one(steps=4_000), "ann", bounds).key
    with served(root, JOINED) as first:
        with worker(root, tmp_path) as process:
            until(lambda: list((root / "groups").rglob("fit-*")))
            process.kill()
        assert status(root, key) == "running", "it waits for another worker"
        first.width = 0
        children, first._children = first._children, []  # it sees no death and begins nothing
        for child in children:
            os.killpg(child.process.pid, 9)  # as the server's end does
            child.lease.give_back()
        until(lambda: status(root, key) == "queued")
    with worker(root, tmp_path), served(root, JOINED):
        until(lambda: status(root, key) in ("done", "failed"))
    assert status(root, key) == "done" and "continued" in kinds(root, key)
    assert not requests.names(root)


def test_cancelled_while_no_server_is_there_workers_are_asked_for_nothing(root, bounds):
    key = jobs.submit(root, one(steps=LONG), "ann", bounds).key
    with served(root, JOINED):
        until(lambda: requests.names(root))
        until(lambda: "no worker is at it" in jobs.status(root, key).words)
    assert requests.names(root), "a server that ends leaves what it asked for to workers"
    jobs.cancel(root, key)
    assert status(root, key) == "cancelled" and not requests.names(root)


def test_a_job_that_finds_no_worker_ends_at_its_time(root, bounds):
    key = jobs.submit(root, one(), "ann", bounds).key
    with served(root, JOINED, limits=Limits(seconds=3.0)):
        until(lambda: status(root, key) == "failed")
    assert "it took longer than 3 s" in jobs.status(root, key).error and not requests.names(root)


def test_owners_take_turns_at_a_worker(root, bounds):
    """Ann asks for twelve groups before bob asks for two."""
    many = Asked(study=study(seeds="0:12"), name="many")
    keys = [jobs.submit(root, many, "ann", bounds).key]
    with served(root, JOINED, width=2):
        until(lambda: len(requests.names(root)) == 12)
        keys.append(jobs.submit(root, one(), "bob", bounds).key)
        of_bob = 2  # his two arms, which come one after the other
        until(lambda: len(requests.names(root)) == 12 + of_bob)
        turns = []
        joined = Joined(root, tell=lambda event: turns.append(event))
        joined.run(idle=2.0)
        until(lambda: {status(root, key) for key in keys} == {"done"})
    names = [event.experiment.partition("-")[0] for event in turns if isinstance(event, Did)]
    assert names.count("many") == 12 and names.count("own") == of_bob
    alternating = ["many", "own"] * of_bob
    assert names[: len(alternating)] == alternating, "one each, though ann's are older"


def test_terms_hold_while_a_group_runs_and_no_longer(tmp_path):
    before, here = resource.getrlimit(resource.RLIMIT_AS), Path.cwd()
    (tmp_path / "in").mkdir()
    with Terms(job="k", memory=2**40, place="in").hold(tmp_path, "cpu"):
        assert resource.getrlimit(resource.RLIMIT_AS)[0] == 2**40
        assert Path.cwd() == (tmp_path / "in").resolve()
    assert resource.getrlimit(resource.RLIMIT_AS) == before and Path.cwd() == here
    with Terms(job="k", memory=2**40).hold(tmp_path, "cuda"):
        assert resource.getrlimit(resource.RLIMIT_AS) == before
    with (
        pytest.raises(AssayError, match="in which it was submitted, is not here"),
        Terms(job="k", place="gone").hold(tmp_path, "cpu"),
    ):
        pass


@pytest.mark.thorough
def test_ray_runs_what_is_submitted(root, bounds):
    pytest.importorskip("ray")
    key = jobs.submit(root, one(), "ann", bounds).key
    with served(root, Site(on="local:1", resources=Resources(cpus=1)), limits=Limits(seconds=300)):
        until(lambda: status(root, key) in ("done", "failed"), 240)
    assert status(root, key) == "done", jobs.status(root, key).error


def test_where_jobs_train_is_said_as_to_run():
    assert site("workers --threads 2") == Site(executor="workers", threads=2)
    assert site("none") == JOINED and JOINED.away and not site("inline").away
    slurm = Request(workers=3, partition="p", time="4:00")
    assert site("slurm --partition p --time 4:00 --workers 3") == Site(on="slurm", slurm=slurm)
    ray = site("ray:auto --cpus 2 --memory 1G")
    assert (ray.on, ray.resources) == ("ray:auto", Resources(cpus=2, memory=2**30))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "--on"),
        ("nowhere", "--on is slurm, ray://HOST:PORT"),
        ("slurm --partitoin x", "--partitoin"),
        ("none --partition x", "--partition is about workers elsewhere"),
        ("slurm --dry-run", "--dry-run goes with assay run"),
        ('slurm "', "--on"),
        ("slurm --gpus 1", "--device cuda"),
    ],
)
def test_what_no_job_can_train_on_is_one_line(text, words):
    with pytest.raises(AssayError) as refused:
        site(text)
    assert words in str(refused.value) and "\n" not in str(refused.value)
