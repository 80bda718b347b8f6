"""Workers in Ray: the numbers are those of one process, whatever is lost; each thing that a user
can mend is one line; nothing stays."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from assay.lab.away.fleets import Resources, ray, ray_driver
from assay.lab.away.fleets.ray import Ray

from assay.cli.main import main
from assay.core import extras
from assay.core.errors import AssayError, FleetError, RunError
from assay.lab import catalogue
from assay.lab.engines import Away, Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.testing.executor_contract import check_closing, check_executor, check_failing, measured
from ray_cluster import RayCluster

WALK = Path(__file__).with_name("walk.py")
TOKEN = "0123456789abcdef" * 3
installed = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install 'interp-assay[ray]'"
)


def walk(*fields):
    experiment = catalogue.find(str(WALK))
    return experiment, override(experiment, "default", fields)


def here(root, *fields):
    """What this process stores."""
    Lab(root, Inline()).run(*walk(*fields))
    return measured(root)


def running(words):
    """The processes that have all of these in their command or in their environment's folder for
    Ray."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and process.pid != os.getpid()
                and words in " ".join(process.cmdline())
            ):
                found.append(process)
    return found


def until(true, seconds=90):
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"still not after {seconds} s"
        time.sleep(0.2)


@pytest.fixture
def temp(monkeypatch):
    """A folder for Ray with a short name: the names of sockets in it have a limit."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield folder


@pytest.fixture(scope="session")
def nodes():
    """The head and a node of one CPU, `first`."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        slow = {
            "WALK_MARKS": os.devnull,
            "WALK_PAUSE": "0.02",
            "ASSAY_LEASE_SECONDS": "4",
            "ASSAY_CHECKPOINT_SECONDS": "0",
        }
        cluster = RayCluster(folder, TOKEN, slow)
        cluster.do("add first 1")
        yield cluster
        cluster.end()
        until(lambda: not running(folder))


@pytest.fixture
def let_in(monkeypatch, tmp_path):
    """Have the token in a file, and no other."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)


def refused(fleet):
    """Its one line, which never has the token in it."""
    with pytest.raises(FleetError) as caught:
        fleet.submit(1, ["true"])
    said = str(caught.value)
    assert "\n" not in said and TOKEN not in said
    return said


def test_a_worker_gets_no_secret_and_no_store_of_the_environment():
    environ = {"ASSAY_LEASE_SECONDS": "4", "ASSAY_ROOT": "s", "OMP_NUM_THREADS": "2"}
    environ |= {"HF_HOME": "/models", "HF_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "y", "HOME": "/h"}
    assert ray.forwarded(environ) == {
        "ASSAY_LEASE_SECONDS": "4",
        "OMP_NUM_THREADS": "2",
        "HF_HOME": "/models",
    }


@installed
@pytest.mark.parametrize(
    "on",
    [
        "ray",
        "ray:",
        "ray:h",
        *(f"ray://{s}" for s in ("", "h", "h:0", "h:70000", "a b:1")),
        "local",
        "local:0",
        "local:x",
    ],
)
def test_an_address_that_is_none_is_one_line(on, tmp_path):
    with pytest.raises(FleetError, match=r"ray://HOST:PORT|local:N takes a number") as caught:
        Ray(tmp_path, on)
    assert "\n" not in str(caught.value)


@installed
def test_options_that_are_not_for_ray_are_refused(tmp_path, capsys):
    def said(*words):
        assert main(["run", str(WALK), "--root", str(tmp_path / "s"), *words]) == 2
        return capsys.readouterr().err

    assert "--partition goes with --on slurm" in said("--on", "ray:auto", "--partition", "main")
    assert "--gpus is a number of GPUs" in said(
        "--on", "ray:auto", "--gpus", "a100:1", "--device", "cuda"
    )
    assert "--memory is 16G or 900M" in said("--on", "local:2", "--memory", "16 GB")
    assert "local:3 has 3 workers, and --workers says 2" in said(
        "--on", "local:3", "--workers", "2"
    )
    assert "got 'elsewhere'" in said("--on", "elsewhere")


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(AssayError, match=re.escape("needs ray: pip install 'interp-assay[ray]'")):
        Ray(tmp_path, "local:2")


@installed
def test_where_nothing_listens_it_says_so_at_once(tmp_path):
    with socket.socket() as s:  # bound, and not listening: nobody else can have it
        s.bind(("127.0.0.1", 0))
        said = refused(Ray(tmp_path, f"ray://127.0.0.1:{s.getsockname()[1]}"))
    assert "nothing answers at ray://127.0.0.1:" in said and "10001" in said


@installed
def test_a_file_for_the_token_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    for content in (None, " \n"):
        if content:
            (tmp_path / "token").write_text(content)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
        assert "RAY_AUTH_TOKEN_PATH names cannot be read, or is empty" in refused(
            Ray(tmp_path, "local:1")
        )


@installed
def test_versions_that_differ_are_one_line():
    # what Ray itself raises, asked of a cluster of another Python
    from ray._private.utils import (
        check_version_info,
    )

    with pytest.raises(RuntimeError) as caught:
        check_version_info(
            {"ray_version": "2.60.0", "python_version": "3.9.1"},
            "Ray Client",
            python_version_match_level="minor",
        )
    said = ray_driver._why(caught.value, "ray://head:10001")
    ours = ".".join(map(str, sys.version_info[:3]))
    assert (
        said.startswith(
            "the Ray cluster at ray://head:10001 has Ray 2.60.0 and Python 3.9.1, and here it is "
        )
        and f"and Python {ours}:" in said
    )
    assert "\n" not in said


def test_a_node_without_the_store_is_told_from_one_with_another(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_driver, "SEEN", 0.0)
    assert ray_driver._unseen(tmp_path, tmp_path) == ""
    assert "does not see" in ray_driver._unseen(tmp_path / "s", tmp_path / "s" / "fleets")
    assert "has another folder at" in ray_driver._unseen(tmp_path, tmp_path / "fleets")


@pytest.mark.thorough
@installed
def test_local_workers_store_what_one_process_stores_and_leave_nothing_behind(
    temp, tmp_path, monkeypatch
):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where Ray would leave a token
    root, fields = tmp_path / "s", ("steps=5", "seed=1000:1004")
    Lab(root, Away(Ray(root, "local:1"))).run(*walk(*fields))
    assert measured(root) == here(tmp_path / "here", *fields)
    logs = [path.read_text() for path in root.glob("fleets/ray/*/*.log")]
    assert len(logs) == 1 and logs[0].startswith(f"on {socket.gethostname()}, Ray node ")
    assert not (tmp_path / "home").exists()
    until(lambda: not running(temp) and not running(str(root)))


@installed
@pytest.mark.slow
@pytest.mark.parametrize("form", ["direct", "client"])
def test_the_contract_of_an_executor_holds_in_a_cluster(form, nodes, let_in, tmp_path):
    root = tmp_path / "s"
    assert check_executor(
        lambda: Away(Ray(root, getattr(nodes, form))), *walk("steps=5"), root
    ) == here(tmp_path / "here", "steps=5")
    said = "".join(path.read_text() for path in root.glob("fleets/ray/*/*.log"))
    assert "taken up" in said and TOKEN not in said


@installed
@pytest.mark.slow
@pytest.mark.parametrize("form", ["direct", "client"])
def test_a_wrong_token_and_none_are_one_line(form, nodes, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    for mode, token in (("token", "f" * 48), ("disabled", ""), ("token", "")):
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        said = refused(Ray(tmp_path, getattr(nodes, form)))
        assert "f" * 48 not in said and "RAY_AUTH_TOKEN_PATH" in said
        assert (
            "there is no token"
            if (mode, token) == ("token", "")
            else "refuses this token, or asks for one"
        ) in said


@installed
@pytest.mark.slow
def test_what_no_node_has_is_one_line(nodes, let_in, tmp_path):
    assert (
        "no node of the Ray cluster has 1 CPU, 1 GPU for a worker; at most one has 1 CPU, 0 GPU"
        in refused(Ray(tmp_path, nodes.direct, resources=Resources(gpus=1)))
    )
    assert "900 GiB of memory" in refused(
        Ray(tmp_path, nodes.direct, resources=Resources(memory=900 * 2**30))
    )


@installed
@pytest.mark.slow
def test_a_node_that_does_not_see_the_store_is_named(nodes, let_in, tmp_path):
    fleet = Ray(tmp_path / "s", nodes.direct)
    first, second = fleet.submit(2, ["sleep", "600"])  # one CPU: the second waits
    until(lambda: fleet.look([first, second]) == {first.id: "running", second.id: "waiting"})
    (tmp_path / "s").rename(tmp_path / "away")
    fleet.cancel([first])
    with pytest.raises(
        FleetError,
        match=(
            r"Ray node \S+ \(first\) does not see .*/s: the store has to lie in a folder that all "
            r"nodes share"
        ),
    ):
        until(lambda: fleet.look([second])[second.id] not in ("waiting", "running"))
    fleet.cancel([second])
    fleet.close()


@installed
@pytest.mark.slow
def test_a_worker_that_is_stopped_is_told_first_and_one_past_its_time_was_preempted(
    nodes, let_in, tmp_path
):
    told = f"sys.exit(open({str(tmp_path / 'told')!r}, 'a').write('told ') * 0)"
    listens = tmp_path / "listens"
    kind = (
        f"import signal, sys, time; signal.signal(15, lambda *_: {told}); "
        f"open({str(listens)!r}, 'w'); time.sleep(600)"
    )
    fleet = Ray(tmp_path / "s", nodes.direct, resources=Resources(seconds=8))
    (member,) = fleet.submit(1, [sys.executable, "-c", kind])
    until(lambda: fleet.look([member])[member.id] == "preempted")
    assert (tmp_path / "told").read_text() == "told "
    listens.unlink()
    fleet.close()
    fleet = Ray(tmp_path / "s", nodes.direct)
    (member,) = fleet.submit(1, [sys.executable, "-c", kind])
    until(listens.exists)
    fleet.cancel([member])
    assert (tmp_path / "told").read_text() == "told told "
    until(lambda: not running("time.sleep(600)"))


@installed
@pytest.mark.slow
def test_a_node_killed_midway_costs_nothing(nodes, let_in, tmp_path):
    nodes.do("add second 1")
    root, fields, heard = tmp_path / "s", ("steps=1200", "seed=1000:1004"), []
    want = here(tmp_path / "here", *fields)
    fleet = Ray(root, nodes.direct)
    assert fleet.width == 2

    def kill_one(event):
        heard.append(event)
        if killed(event) and not gone:  # each node is at a group of its own
            nodes.do("kill second")
            gone.append(event)

    def killed(event):
        return (
            type(event).__name__ == "Progress"
            and len({e.group for e in heard if type(e) is type(event)}) == 2
        )

    gone = []
    Lab(root, Away(fleet)).run(*walk(*fields), kill_one)
    assert gone
    said = [event.text for event in heard if type(event).__name__ == "Said"]
    assert any("was lost; another one takes its place" in text for text in said), said
    assert measured(root) == want
    assert not list(root.glob("groups/*"))


@installed
@pytest.mark.slow
def test_crashes_and_interrupts_end_as_with_every_executor(temp, tmp_path, monkeypatch):
    def made(root):
        return lambda: Away(Ray(tmp_path / root, "local:1"))

    some = "trouble=crash-1001", "steps=5", "seed=1000:1004"
    found, error = check_failing(made("s"), *walk(*some), tmp_path / "s")
    assert "ZeroDivisionError: the walk fell" in error and "walk.py line" in error
    with pytest.raises(RunError):
        here(tmp_path / "here", *some)
    assert found == measured(tmp_path / "here")
    monkeypatch.setenv("WALK_MARKS", os.devnull)
    monkeypatch.setenv("WALK_PAUSE", "0.05")
    check_closing(made("t"), *walk("steps=120"), tmp_path / "t")
    monkeypatch.delenv("WALK_MARKS")
    assert here(tmp_path / "t", "steps=120") == here(tmp_path / "there", "steps=120")
    until(lambda: not running(temp) and not running(str(tmp_path)))


@installed
@pytest.mark.slow
def test_nothing_outlives_a_command_that_is_killed(temp, tmp_path, monkeypatch):
    monkeypatch.setenv("WALK_MARKS", os.devnull)
    monkeypatch.setenv("WALK_PAUSE", "0.05")
    root = str(tmp_path / "s")
    command = [
        sys.executable,
        "-m",
        "assay",
        "run",
        str(WALK),
        "--set",
        "steps=5000",
        "--root",
        root,
        "--on",
        "local:1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(
        lambda: any(
            '"done"' in path.read_text() for path in Path(root).glob("groups/*/progress.json")
        )
    )
    process.kill()
    process.wait()
    until(lambda: not running(temp) and not running(root))
    # told by the end of what held it, it saved
    assert list(Path(root).glob("groups/*/fit-*.safetensors"))
