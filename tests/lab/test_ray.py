"""Groups as tasks of a Ray cluster of two nodes: whatever is lost, the runs are the bytes of one
process; what a user can mend is one line."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from assay.core import heavy
from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.engines.ray import Ray
from assay.lab.plan.preset import override
from ray_cluster import JOINS, RayCluster, working
from slurm_cluster import until
from stored_bytes import same_as_alone

WALK = str(Path(__file__).with_name("walk.py"))
CAPITALS = str(Path(__file__).parents[2] / "examples" / "capitals.toml")
installed = pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'interp-assay[ray]'")


def chosen(name, preset, *fields):
    experiment = catalogue.find(name)
    return experiment, override(experiment, preset, fields)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    return tmp_path_factory.mktemp("walks") / "marks"


@pytest.fixture(scope="module")
def nodes(steps):
    """Two nodes of one CPU; models are where they are for this process."""
    slow = {"WALK_MARKS": str(steps), "WALK_PAUSE": "0.05"}
    cache = Path(os.environ.get("ASSAY_CACHE") or "~/.cache/assay").expanduser()
    with RayCluster.begun(cache, **slow) as cluster:
        cluster.do("add first 1")
        cluster.do("add second 1")
        yield cluster


@pytest.fixture
def temp():
    """A folder for Ray with a short name: the names of sockets in it have a limit."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield folder


@contextlib.contextmanager
def typed(tmp_path, on, name, preset, *fields, **env):
    """`assay run --on` as it is typed, in a process of its own."""
    sets = [word for field in fields for word in ("--set", field)]
    words = [sys.executable, "-m", "assay", "run", name, "--preset", preset, *sets, "--root", "s"]
    with (tmp_path / "said").open("a") as said:
        process = subprocess.Popen(
            [*words, "--on", on],
            cwd=tmp_path,
            env={k: v for k, v in {**os.environ, **JOINS, **env}.items() if v is not None},
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def at_work(nodes, n=1):
    """Wait until so many processes work on a group, and have for a second."""
    until(lambda: len(nodes.working()) >= n, seconds=180)
    time.sleep(1)
    return nodes.working()


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(heavy, "find_spec", lambda name: None)
    with pytest.raises(AssayError, match=r"^needs ray: pip install 'interp-assay\[ray\]'$"):
        Ray()


@pytest.mark.thorough
@installed
@pytest.mark.parametrize("lost", ["process", "node"])
@pytest.mark.parametrize(
    "which",
    [
        pytest.param(("superposition", "default", "seed=1000:1002"), id="preset"),
        pytest.param((CAPITALS, "smoke"), marks=pytest.mark.model, id="ask"),
    ],
)
def test_with_a_worker_killed_the_bytes_are_those_of_one_process(nodes, tmp_path, which, lost):
    with typed(tmp_path, nodes.client, *which) as command:
        victims = at_work(nodes)
        if lost == "process":
            victims[0].kill()
        else:
            nodes.do("kill working")
            nodes.do(f"add after-{time.monotonic_ns()} 1")
        assert command.wait(600) == 0, (tmp_path / "said").read_text()
    assert same_as_alone(tmp_path / "s", tmp_path / "here", *chosen(*which))
    assert not list((tmp_path / "s/groups").iterdir())
    assert not (tmp_path / "s/artefacts").exists(), "nodes have their own"


@pytest.mark.thorough
@installed
@pytest.mark.parametrize("token", ["f" * 48, None])
def test_a_wrong_token_and_none_are_one_line(nodes, tmp_path, token):
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    if token is None:
        env["RAY_AUTH_MODE"] = "disabled"
    with typed(tmp_path, nodes.client, WALK, "smoke", **env) as command:
        assert command.wait(300) == 2
    said = (tmp_path / "said").read_text()
    assert said.count("\n") == 1 and "no Ray cluster at ray://127.0.0.1" in said
    assert "token" in said and JOINS["RAY_AUTH_TOKEN"] not in said


@pytest.mark.thorough
@installed
def test_what_no_node_has_is_one_line(nodes, tmp_path):
    with typed(tmp_path, nodes.client, WALK, "smoke") as command:
        command.wait(300)
    words = ["--gpus", "1", "--device", "cuda"]
    process = subprocess.run(
        [sys.executable, "-m", "assay", "run", WALK, "--root", "s", "--on", nodes.client, *words],
        cwd=tmp_path,
        env={**os.environ, **JOINS},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 2
    assert "no node of the Ray cluster has 1 CPU, 1 GPU" in process.stderr


@pytest.mark.thorough
@installed
def test_where_nothing_listens_it_says_so(tmp_path):
    with socket.socket() as s:  # bound, and not listening: nobody else can have it
        s.bind(("127.0.0.1", 0))
        on = f"ray://127.0.0.1:{s.getsockname()[1]}"
        with typed(tmp_path, on, WALK, "smoke") as command:
            assert command.wait(300) == 2
    assert f"no Ray cluster at {on} can be reached" in (tmp_path / "said").read_text()


@pytest.mark.thorough
@installed
def test_a_cluster_of_its_own_ends_with_the_command_and_lets_nobody_in(tmp_path, temp):
    which = (WALK, "default", "steps=300")
    slow = {"WALK_MARKS": os.devnull, "WALK_PAUSE": "0.05", "RAY_TMPDIR": str(temp)}
    slow |= dict.fromkeys(("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS"))
    with typed(tmp_path, "ray", *which, **slow) as command:
        process = psutil.Process(command.pid)
        until(lambda: working(process), seconds=180)
        started = process.children(recursive=True)
        daemon = next(p for p in started if "gcs_server" in p.name()).environ()
        assert daemon["RAY_AUTH_MODE"] == "token"
        assert len(daemon["RAY_AUTH_TOKEN"]) == 64
        command.kill()  # as a power cut would
    gone, alive = psutil.wait_procs(started, timeout=180)
    assert gone and not alive, alive
