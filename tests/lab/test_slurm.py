"""Groups as jobs of a real SLURM of two nodes: they are preempted, requeued, killed and stopped,
and every file of a run is the bytes of a run in one process."""

import contextlib
import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from assay.cli.main import main
from assay.core.errors import EngineError, RunError
from assay.lab import catalogue
from assay.lab.engines import Inline, slurm
from assay.lab.engines.slurm import Slurm
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.store.store import Store
from assay.lab.work.events import Progress, Said
from slurm_cluster import until
from stored_bytes import files_of

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(find_spec("submitit") is None, reason="pip install 'interp-assay[slurm]'"),
]
cluster = pytest.fixture(lambda slurm: slurm)
WALK = str(Path(__file__).with_name("walk.py"))


@pytest.fixture(autouse=True)
def pace(tmp_path, monkeypatch):
    """Steps slow enough that something may happen between two of them, each in a line of the file;
    jobs that are looked at often."""
    monkeypatch.setenv("WALK_PAUSE", "0.08")
    monkeypatch.setenv("WALK_MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0.05")
    monkeypatch.setattr(slurm, "POLL", 0.2)
    monkeypatch.setattr(slurm, "APPEARS", 2.0)
    return tmp_path / "marks"


def chosen(name, preset, *fields):
    experiment = catalogue.find(name)
    return experiment, override(experiment, preset, fields)


def alone(root, *which):
    """What this process stores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WALK_MARKS", raising=False)
        Lab(root, Inline()).run(*chosen(*which))
    return files_of(root)


def jobs(cluster):
    """The processes that work on groups."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            ours = process.environ().get("SLURM_CONF") == str(cluster.conf)
            if ours and "submitit.core._submit" in words and "python" in Path(words[0]).name:
                found.append(process)
    return found


def kill_one(cluster):
    """End the process of a job as the kernel does that lacks memory."""
    jobs(cluster)[0].send_signal(signal.SIGKILL)


BLOWS = {
    "killed": kill_one,
    "preempted": lambda cluster: cluster.preempt(cluster.running()[0].node),
    "requeued by submitit": lambda cluster: cluster.ask(
        "scancel", "--signal=USR2", cluster.running()[0].id
    ),
    "requeued by somebody": lambda cluster: cluster.ask(
        "scontrol", "requeue", cluster.running()[0].id
    ),
    "cancelled by somebody": lambda cluster: cluster.ask("scancel", cluster.running()[0].id),
    "out of time": lambda cluster: cluster.expire(cluster.running()[0]),
    "lost its node": lambda cluster: cluster.fail(cluster.running()[0].node),
}
RARE = ("requeued by somebody", "cancelled by somebody", "out of time", "lost its node")
"""What the test of all of them on two nodes tries as well."""


@pytest.mark.parametrize(
    "blow", [pytest.param(b, marks=[pytest.mark.slow] if b in RARE else []) for b in BLOWS]
)
def test_a_job_that_is_stopped_midway_changes_no_byte(cluster, pace, tmp_path, blow):
    root, heard = tmp_path / "s", []

    def strike(event):
        if isinstance(event, Progress) and 10 <= event.done < event.total and not struck:
            struck.append(event)
            BLOWS[blow](cluster)
        heard.append(event)

    struck = []
    which = (WALK, "smoke", "steps=60")
    Lab(root, Slurm(root, workers=1)).run(*chosen(*which), strike)
    assert struck and files_of(root) == alone(tmp_path / "here", *which)
    steps = pace.read_text().splitlines().count("train")
    # a job that was given a minute is begun again time after time
    if blow != "out of time":
        assert 2 * 60 <= steps < 2 * (60 + struck[0].done), "it went on from its checkpoint"
    again = [event.text for event in heard if isinstance(event, Said)]
    assert bool(again) == (blow in ("killed", "cancelled by somebody")), again
    assert not (root / "slurm").exists() or not list((root / "slurm").iterdir())
    until(lambda: not cluster.ask("squeue", "-h"))


def test_whatever_a_cluster_does_changes_no_byte(cluster, tmp_path, monkeypatch):
    """On two nodes, one thing after the other; in between the controller is begun anew."""
    root, nodes = tmp_path / "s", set[str]()
    blows = list(BLOWS.values())

    def restart(cluster):
        cluster.end_controller()
        cluster.begin_controller()

    blows.insert(3, restart)

    def strike(event):
        if isinstance(event, Progress) and blows and (running := cluster.running()):
            nodes.update(job.node for job in running)
            # the job has just ended
            with contextlib.suppress(subprocess.CalledProcessError, IndexError, psutil.Error):
                blows[0](cluster)
                blows.pop(0)

    monkeypatch.setattr(slurm, "TRIES", 9)
    which = (WALK, "full")
    Lab(root, Slurm(root, workers=2)).run(*chosen(*which), strike)
    assert files_of(root) == alone(tmp_path / "here", *which)
    assert not blows and nodes == {"one", "two"}
    assert not list((root / "groups").iterdir())


def test_jobs_that_end_without_effect_are_an_error_with_their_log(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "APPEARS", 0.5)
    root, said = tmp_path / "s", []
    engine = Slurm(root, parameters={"setup": ["echo no such module >&2; exit 1"]})
    told = r"its job ended without effect; what it said is in (\S+\.err)"
    with pytest.raises(RunError, match=told) as found:
        Lab(root, engine).run(*chosen(WALK, "smoke"), said.append)
    assert len([event for event in said if isinstance(event, Said)]) == 2
    assert Path(str(found.value).split(" is in ")[1]).parent.parent == root / "slurm"
    assert not list(Store(root).list())


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["partition=nowhere"], "Invalid partition name specified"),
        (["quality=high"], "unrecognized option '--quality=high'"),
        (["mem=900T"], "Memory specification can not be satisfied"),
    ],
)
def test_what_sbatch_refuses_is_told_in_its_words(cluster, tmp_path, capsys, typed, told):
    words = [word for text in typed for word in ("--slurm", text)]
    root = ["--root", str(tmp_path / "s")]
    assert main(["run", WALK, "--preset", "smoke", *root, "--on", "slurm", *words]) == 2
    _, _, error = capsys.readouterr().err.rpartition("SLURM: ")
    assert told in error and error.count("\n") == 1
    assert not cluster.ask("squeue", "-h")


def test_what_is_typed_reaches_the_job(cluster, tmp_path):
    out = tmp_path / "env"
    words = f"--partition=gpu --time=90m --gpus=1 --memory=2G --slurm=setup=env>{out}".split()
    words[0] = "--slurm=partition=gpu"
    root = ["--root", str(tmp_path / "s"), "--device", "cuda"]
    # torch has no GPU here: the group fails, once it runs where it was asked for
    assert main(["run", WALK, "--preset", "smoke", *root, "--on", "slurm", *words]) != 0
    found = dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)
    assert found["SLURM_JOB_PARTITION"] == "gpu" and found["OMP_NUM_THREADS"] == "1"
    assert found["SLURM_MEM_PER_NODE"] == "2048" and found["SLURM_GPUS_ON_NODE"] == "1"


def test_without_slurm_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(EngineError, match=r'^SLURM: Could not detect "srun"'):
        Lab(tmp_path / "s", Slurm(tmp_path / "s")).run(*chosen(WALK, "smoke"))
