"""The executor contract, run on each of ours; all give the same bytes, also after a crash of some
groups and after an interrupt.

Another executor joins by one entry in EXECUTORS: a context manager that is given the folder of the
store and how many tasks to run at a time, and gives a function that makes the executor anew."""

import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from assay.core.errors import RunError
from assay.lab import catalogue
from assay.lab.engines import Inline, Workers
from assay.lab.engines import ray as ray_engine
from assay.lab.engines import slurm as slurm_engine
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from executor_contract import check_closing, check_executor, check_failing, measured
from ray_cluster import RayCluster
from slurm_cluster import SlurmCluster, missing

WALK = Path(__file__).parents[1] / "lab" / "walk.py"


def inline(root, n):
    return contextlib.nullcontext(Inline)


def workers(root, n):
    return contextlib.nullcontext(lambda: Workers(n))


@contextlib.contextmanager
def ray(root, n):
    """Tasks of a cluster that this process joins."""
    # to import it here would settle how it is to be let in
    if find_spec("ray") is None:
        pytest.skip("pip install 'interp-assay[ray]'")
    with RayCluster.joined(root.parent / "cache") as cluster:
        cluster.do(f"add first {n}")
        yield lambda: ray_engine.Ray(workers=n)


@contextlib.contextmanager
def slurm(root, n):
    """Job arrays of processes that start from nothing, which takes them seconds each."""
    pytest.importorskip("submitit")
    if why := missing():
        pytest.skip(why)
    with SlurmCluster() as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.conf))
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setattr(slurm_engine, "POLL", 0.2)
        yield lambda: slurm_engine.Slurm(root, workers=n)


EXECUTORS = {"inline": inline, "workers": workers, "ray": ray, "slurm": slurm}
asked = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] if name in ("ray", "slurm") else [])
        for name in EXECUTORS
    ],
)


def of(*fields):
    experiment = catalogue.find(str(WALK))
    return experiment, override(experiment, "default", fields)


@asked
def test_it_keeps_the_contract_and_stores_the_bytes_that_this_process_stores(name, tmp_path):
    with EXECUTORS[name](tmp_path / "s", 2) as make:
        found = check_executor(make, *of("steps=5"), tmp_path / "s")
    Lab(tmp_path / "here", Inline()).run(*of("steps=5"))
    assert found == measured(tmp_path / "here")
    assert len(found) == 18  # 3 trained arms of 6 seeds


@asked
def test_a_group_that_crashes_fails_alone(name, tmp_path):
    some = "trouble=crash-1001", "steps=5", "seed=1000:1004"
    with EXECUTORS[name](tmp_path / "s", 1) as make:
        found, error = check_failing(make, *of(*some), tmp_path / "s")
    assert "ZeroDivisionError: the walk fell" in error and "walk.py line" in error
    with pytest.raises(RunError):
        Lab(tmp_path / "here", Inline()).run(*of(*some))
    assert found == measured(tmp_path / "here")
    # what the crash took with it is the other two seeds, in every arm
    assert {path[-4:] for path in found} == {"1002", "1003"}


@asked
def test_what_is_interrupted_stops_and_goes_on_elsewhere_to_the_same_bytes(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("WALK_MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("WALK_PAUSE", "0.05")
    with EXECUTORS[name](tmp_path / "s", 1) as make:
        check_closing(make, *of("steps=120"), tmp_path / "s")
    monkeypatch.delenv("WALK_MARKS")
    for root in ("s", "here"):
        Lab(tmp_path / root, Inline()).run(*of("steps=120"))
    assert measured(tmp_path / "s") == measured(tmp_path / "here")
