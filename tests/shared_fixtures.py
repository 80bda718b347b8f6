"""Shared by all tests: one thread for torch, and the plain bench that trains without a lab."""

import os

# before torch: more threads than free cores are slower than one
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from forks import Forks, InProcess
from slurm_cluster import SlurmCluster, missing

# as in an environment that was activated: commands in hints are then `assay …`, wherever the tests
# were started from
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# What `assay judge` notes of the tables in tests is nobody's business.
STATE = tempfile.TemporaryDirectory(prefix="assay-state-")
os.environ["XDG_STATE_HOME"] = STATE.name
os.environ.pop("ASSAY_ROOT", None)  # a store of a test is where the test says

# A shell that starts the tests in the background has SIGINT ignored, and children inherit that; the
# tests send it on purpose.
signal.signal(signal.SIGINT, signal.default_int_handler)


# What a process wrote outlives its kill without waiting for the disk, and no test pulls the plug;
# tests/lab/test_store.py sees to the waiting.
os.fsync = lambda handle: None

# What a process left as garbage may belong to its threads, of which a fork has none: collecting it
# there once ended two forks with a segmentation fault.
os.register_at_fork(after_in_child=gc.freeze)

# A slow machine fails no test.
settings.register_profile(
    "slow", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("slow")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported and collected stays until the end, so nobody looks for garbage in it, and
    new garbage is collected more rarely than usual: that saves a twentieth of all CPU-seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


class PlainSlot:
    """A checkpoint in memory; `every` says how often it is due."""

    def __init__(self, every=0, saved=None):
        self.every, self.asked, self.saved, self.saves = every, 0, saved, 0

    def restore(self):
        return self.saved

    def due(self):
        self.asked += 1
        return self.every > 0 and self.asked % self.every == 0

    def save(self, step, tensors):
        self.saved = (step, {k: v.clone() for k, v in tensors.items()})
        self.saves += 1


class PlainBench:
    """A bench without a store: artefacts in a folder, checkpoints in memory."""

    def __init__(self, root, slots=()):
        import torch

        torch.set_num_threads(1)
        self.device = torch.device("cpu")
        self.root = Path(root)
        self.slots = list(slots)
        self.reports = []

    def artefact(self, spec, build):
        return self.artefacts([spec], lambda s, folder: build(folder))[0]

    def artefacts(self, specs, build):
        import hashlib

        folders = []
        for spec in specs:
            folder = self.root / hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                partial.mkdir(parents=True, exist_ok=True)
                build(spec, partial)
                partial.rename(folder)
            folders.append(folder)
        return folders

    def slot(self):
        return self.slots.pop(0) if self.slots else PlainSlot()

    def report(self, done, total, **numbers):
        self.reports.append((done, total, numbers))


@pytest.fixture
def bench(tmp_path):
    return PlainBench(tmp_path)


@pytest.fixture
def plain_slot():
    return PlainSlot


@pytest.fixture(scope="session", autouse=True)
def own_slots():
    """Commands of a test wait for none that another process runs on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.lab.work.slots.FOLDER", f"{STATE.name}/slots")
        yield


@pytest.fixture(scope="session")
def forks():
    """Processes of `assay` that import nothing anew."""
    return Forks()


@pytest.fixture(scope="session")
def commands():
    """Commands of `assay` in this process."""
    return InProcess()


@pytest.fixture(scope="session")
def slurm_daemons():
    if why := missing():
        pytest.skip(why)
    with SlurmCluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_daemons, monkeypatch):
    """A real SLURM of two nodes, with nothing in its queue before and after."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_daemons.conf))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    yield slurm_daemons
    slurm_daemons.clear()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder in which a test stands, with an experiment of two arms, main and flat."""
    from assay.verbs.new import write_experiment

    write_experiment("own", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def plain_bench():
    return PlainBench


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty hub, asked for in place of any other, and an empty cache."""
    import huggingface_hub
    from huggingface_hub import constants

    from loopback_hub import LoopbackHub

    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        huggingface_hub.close_session()
        yield hub
        huggingface_hub.close_session()
