"""`assay run --on` as it is typed: what reaches an engine, and one line for what cannot be."""

import dataclasses
import re
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.core.plain import plain
from assay.lab import catalogue
from assay.lab.engines import Inline, ray, slurm
from assay.lab.lab import Lab
from assay.verbs.machine import Elsewhere

WALK = str(Path(__file__).parents[1] / "lab" / "walk.py")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    """Engines that need not be installed."""
    for module in (ray, slurm):
        monkeypatch.setattr(module.heavy, "require", lambda module: None)


def test_what_is_typed_is_what_an_engine_is_made_with(here):
    how = Elsewhere(on="ray://head:10001", workers=3, threads=2, gpus=1, memory="2G", device="cuda")
    found = how.engine(here)
    assert isinstance(found, ray.Ray) and found.width == 3
    assert found._needs == {"CPU": 2, "GPU": 1, "memory": 2 * 2**30}
    assert how.lab(here / "s").device == "cuda", "which this machine need not have"

    typed = ("partition=gpu", "setup=module load cuda", "setup=. venv/bin/activate", "exclusive")
    more = ("signal-delay-s=30", "gres=gpu:a100:1")
    found = Elsewhere(on="slurm", memory="16G", time="90m", slurm=(*typed, *more)).engine(here)
    assert isinstance(found, slurm.Slurm) and found.width == 8
    assert found._parameters == {
        "job_name": "assay",
        "array_parallelism": 8,
        "cpus_per_task": 1,
        "time": 90,
        "mem": "16G",
        "partition": "gpu",
        "setup": ["module load cuda", ". venv/bin/activate"],
        "exclusive": True,
        "signal_delay_s": 30,
        "gres": "gpu:a100:1",
    }
    assert not (here / "s").exists()


@pytest.mark.parametrize(
    ("typed", "told"),
    {
        "--workers 2": "--workers is about other machines; it goes with --on ray or --on slurm",
        "--slurm partition=gpu": "--slurm is about other machines; it goes with --on slurm",
        "--on pbs": "--on is ray, ray://HOST:PORT or slurm, got 'pbs'",
        "--on ray://head": "--on is ray, ray://HOST:PORT or slurm, got 'ray://head'",
        "--on local:2": "--on is ray, ray://HOST:PORT or slurm, got 'local:2'",
        "--on slurm --executor inline": (
            "--on slurm and --executor inline are two answers to one question; leave one out"
        ),
        "--on slurm --gpus 1": "--gpus 1 would stay idle on --device cpu; add --device cuda",
        "--on slurm --device gpu": "--device is cpu, cuda or cuda:1, got 'gpu'",
        "--on slurm --threads 0": "--threads is a number of threads, at least 1, got 0",
        "--on slurm --workers 0": (
            "--workers is a number of at least 1, and --gpus one of at least 0"
        ),
        "--on slurm --time soon": "--time is a time such as 90m or 4h, got 'soon'",
        "--on slurm --memory 16": "--memory is an amount such as 16G or 900M, got '16'",
        "--on slurm --slurm =x": "--slurm is name=value, such as partition=gpu; got '=x'",
        "--on ray --time 1h": "--time goes with --on slurm, not with --on ray",
        "--executor none": "no executor 'none'; known: inline",
    }.items(),
)
def test_what_cannot_be_is_one_line(typed, told, capsys):
    assert main(["run", WALK, "--root", "s", *typed.split()]) == 2
    error = plain(capsys.readouterr().err)
    assert told in " ".join(error.split()), error
    assert not Path("s").exists()


def test_a_url_is_no_root_and_the_line_says_what_to_use(capsys):
    for verb in ("run", "plan", "show", "list", "doctor"):
        name = [] if verb in ("list", "doctor") else [WALK]
        code = main([verb, *name, "--root", "s3://bucket/x"])
        said = capsys.readouterr()
        assert code in (1, 2) or verb == "list"
        text = " ".join((said.out + said.err).split())
        if verb != "list":
            assert re.search(r"a store is a folder, got the URL s3:/+bucket/x; .*--on ray", text)
        assert not Path("s3:").exists()


def test_an_experiment_that_is_in_no_file_runs_in_this_process(here):
    lab = Lab(here / "s", slurm.Slurm(here / "s"))
    found = catalogue.find(WALK)
    assert lab.executor_for(found) is lab.executor
    made_here = dataclasses.replace(found, origin="")
    assert isinstance(lab.executor_for(made_here), Inline)
