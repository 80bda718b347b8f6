"""What programs send over HTTP, and agents over the Model Context Protocol, is run on two nodes of
a real SLURM or of a Ray cluster: one is taken away midway, the job comes back, and the bytes are
those of one process; what is cancelled leaves its engine."""

import contextlib
import json
import os
import sys
import tempfile
from importlib.util import find_spec

import anyio
import httpx
import psutil
import pytest
from interface import served

from assay.jobs.bounds import Bounds
from assay.jobs.runner import Runner
from assay.jobs.submission import Asked
from assay.lab.engines import Site
from assay.testing.executor_contract import measured
from assay.verbs import jobs
from assay.verbs.new import write_experiment
from ray_cluster import RayCluster
from slurm_cluster import until

STUDY = """question = "Does width matter?"
seeds = "0:4"

[[experiment]]
name = "./own.py"
fields = {{ inputs = 6, steps = {steps}, width = [2, 3] }}

[[claim]]
text = "Narrow ones find their subspace better"
holds = 'main.angle - "width=3/main".angle < -1'
control = ["flat"]
also = {{ "width=3/flat" = "rival: nothing to find" }}
threshold = "plan: a degree"
"""
MIDWAY, LONG = STUDY.format(steps=2_000), STUDY.format(steps=1_000_000)
TOKEN = "0123456789abcdef" * 3


class Http:
    """A program that asks `assay serve --api`."""

    door = ("serve", "--api", "--port", "0")

    def __init__(self, address):
        self._asks = httpx.Client(base_url=address, timeout=60)

    def submit(self, study):
        kind = {"content-type": "application/toml"}
        answer = self._asks.post("/studies", content=study, headers=kind)
        return answer.raise_for_status().json()["key"]

    def status(self, key):
        return self._asks.get(f"/jobs/{key}").json()

    def cancel(self, key):
        self._asks.delete(f"/jobs/{key}").raise_for_status()


class Agent:
    """An agent that asks `assay mcp`."""

    door = ("mcp", "--http", "0")

    def __init__(self, address):
        self._address = address

    def _call(self, name, given):
        from mcp import Client

        async def ask():
            async with Client(self._address) as client:
                return await client.call_tool(name, given)

        answer = anyio.run(ask)
        assert not answer.is_error, answer.content
        return json.loads(answer.content[0].text)

    def submit(self, study):
        return self._call("run", {"study": study})["key"]

    def status(self, key):
        return self._call("status", {"key": key})

    def cancel(self, key):
        self._call("cancel", {"key": key})


class OnSlurm:
    """Two nodes of SLURM; one is taken away by an urgent job, which is over at once."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.site = "slurm --time 2:00:00 --workers 2"

    def nodes(self, root):
        return {job.node for job in self._cluster.running()}

    def take(self):
        self._taken = self._cluster.running()[0]
        self._cluster.preempt(self._taken.node)

    def came_back(self, root):
        (job,) = [job for job in self._cluster.jobs() if job.id == self._taken.id]
        return job.restarts == 1


class OnRay:
    """Two nodes of Ray; one is taken away by a power cut, and another one joins."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.site = f"{cluster.direct} --workers 2"

    def _workers(self, root):
        return [path.read_text() for path in root.glob("fleets/ray/*/*.log")]

    def nodes(self, root):
        return {log.splitlines()[0] for log in self._workers(root) if log}

    def take(self):
        self._cluster.do("kill second")
        self._cluster.do("add third 1")

    def came_back(self, root):
        return len(self.nodes(root)) == 3


def working(root):
    """The workers of a store, wherever they were started on this machine."""
    found = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [words for words in found if "worker" in words and str(root) in words]


@contextlib.contextmanager
def slurm_nodes(request):
    yield OnSlurm(request.getfixturevalue("slurm"))


@contextlib.contextmanager
def ray_nodes(request):
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'interp-assay[ray]'")
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        os.environ |= {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        cluster = RayCluster(folder, TOKEN, {})
        try:
            cluster.do("add first 1")
            cluster.do("add second 1")
            yield OnRay(cluster)
        finally:
            cluster.end()


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(slurm_nodes, marks=pytest.mark.thorough),
        pytest.param(ray_nodes, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("program", [Http, Agent])
def test_it_runs_on_two_nodes_loses_one_comes_back_and_is_cancelled(
    program, engine, tmp_path, monkeypatch, request
):
    for name in ("RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0.1")
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "4")
    write_experiment("own", tmp_path)
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "store"
    with engine(request) as nodes:
        where = ("--root", str(root), "--workspace", ".", "--allow-code", "--on", nodes.site)
        with served(*where, door=program.door) as (process, address):
            asks = program(address)

            def job(key):
                found = asks.status(key)
                assert found["status"] != "failed", found
                return found

            key = asks.submit(MIDWAY)
            until(lambda: len(nodes.nodes(root)) == 2, lambda: job(key), 120)
            until(lambda: list(root.glob("groups/*/**/fit-*")), lambda: job(key), 120)
            nodes.take()
            until(lambda: nodes.came_back(root), lambda: job(key), 120)
            until(lambda: job(key)["status"] == "done", lambda: job(key), 240)

            long = asks.submit(LONG)
            until(lambda: list(root.glob("groups/*/**/fit-*")), lambda: job(long), 120)
            asks.cancel(long)
            until(lambda: job(long)["status"] == "cancelled", lambda: job(long), 120)
            until(lambda: not working(root), lambda: working(root))
            assert not list((root / "wanted").iterdir())
            process.terminate()
            process.wait(60)

    alone = tmp_path / "alone"
    bounds = Bounds(workspace=tmp_path, code=True)
    assert jobs.submit(alone, Asked(study=MIDWAY), "ann", bounds).key == key
    Runner(alone, site=Site(executor="inline")).run(until_idle=True)
    assert len(measured(root)) == 16 and measured(root) == measured(alone)
