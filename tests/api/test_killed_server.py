"""A server that is killed at any moment loses no submission, and what it answers is what the
command line prints."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from interface import served

from assay.cli.main import main
from assay.jobs import queue
from assay.jobs.folder import Folder
from assay.jobs.runner import Runner
from assay.lab.engines import Site
from assay.verbs import jobs
from assay.verbs.new import write_experiment


@pytest.fixture
def space(tmp_path):
    """A workspace with an experiment of two arms, and the words that let a server run it."""
    write_experiment("own", tmp_path)
    return "--root", str(tmp_path / "store"), "--workspace", str(tmp_path), "--allow-code"


def one(seed):
    return {
        "experiment": "own.py",
        "preset": "smoke",
        "sets": [f"seed={seed}", "steps=30", "inputs=6"],
    }


def killed(root, space, times, different, chance):
    """Kill the server at random moments; give the keys of all answers that arrived.

    Every second kill comes after the answer, while the job may run; the others while it is being
    submitted."""
    accepted: dict[int, str] = {}

    def submit(address, number):
        with contextlib.suppress(httpx.HTTPError):
            accepted[number] = httpx.post(f"{address}studies", json=one(number), timeout=60).json()[
                "key"
            ]

    for round_ in range(times):
        with served(*space) as (process, address):
            sender = threading.Thread(target=submit, args=(address, round_ // 2 % different))
            sender.start()
            if round_ % 2 == 0:
                sender.join()
            time.sleep(chance.random() * 2.0)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            sender.join()
        for key in accepted.values():
            folder = Folder(root, key)
            assert folder.asked["key"] == key and folder.now.status in (
                "queued",
                "running",
                "done",
            ), "it is there, whole"
    return accepted


def finished(root, accepted):
    """Let a runner do what is left: all of it, and nothing that was asked for once is there
    twice."""
    Runner(root, site=Site(executor="inline")).run(until_idle=True)
    states = {folder.key: state for folder, state in queue.every(root)}
    assert set(accepted.values()) <= set(states)
    assert {key: state.error for key, state in states.items() if state.status != "done"} == {}
    for key in accepted.values():
        numbers = [event.number for event in jobs.events(root, key).events]
        assert (
            numbers == list(range(1, len(numbers) + 1))
            and jobs.result(root, key)["experiment"] == "own"
        )


def test_a_kill_loses_no_submission(tmp_path, space):
    accepted = killed(tmp_path / "store", space, 1, 1, random.Random(7))
    assert len(accepted) == 1
    finished(tmp_path / "store", accepted)


@pytest.mark.thorough
def test_three_kills_lose_no_submission(tmp_path, space):
    accepted = killed(tmp_path / "store", space, 3, 2, random.Random(7))
    assert len(accepted) == 2
    finished(tmp_path / "store", accepted)


@pytest.mark.slow
def test_fifty_kills_lose_no_submission(tmp_path, space):
    accepted = killed(tmp_path / "store", space, 50, 8, random.Random(11))
    assert len(accepted) == 8
    finished(tmp_path / "store", accepted)


STUDY = """question = "Does width matter?"
seeds = "0:6"

[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = [2, 3] }

[[claim]]
text = "Narrow ones find their subspace better"
holds = 'main.angle - "width=3/main".angle < -1'
control = ["flat"]
also = { "width=3/flat" = "rival: nothing to find" }
threshold = "plan: a degree"
"""


def priceless(verdicts):
    """Verdicts without what more seeds would cost: that goes by the time that these runs took, and
    names the file."""
    return [
        {
            k: priceless(v.values()) if k in ("controls", "planted") else v
            for k, v in one.items()
            if k != "price"
        }
        for one in verdicts
    ]


def printed(capsys, *words):
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.thorough
def test_verdicts_over_http_are_those_that_show_prints(tmp_path, space, capsys):
    with served(*space) as (process, address), httpx.Client(base_url=address, timeout=60) as asks:
        key = asks.post(
            "/studies",
            content=STUDY,
            headers={"content-type": "application/toml"},
            params={"name": "width"},
        ).json()["key"]
        events = [
            line
            for line in asks.get(f"/jobs/{key}/events", timeout=300).text.splitlines()
            if line.startswith("event: ")
        ]
        assert events[0] == "event: queued" and events[-1] == "event: done"
        job = asks.get(f"/jobs/{key}", params={"wait": 30}).json()
        assert (job["status"], job["runs_done"], job["error"]) == ("done", 24, "")
        told = asks.get(f"/jobs/{key}/result").json()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    file = tmp_path / "store/jobs" / key / "text" / f"{job['experiment']}.toml"
    assert printed(capsys, "show", str(file), "--root", str(tmp_path / "store")) == told
    own = tmp_path / "width.toml"  # the same text, run by the command line in a store of its own
    own.write_text(STUDY)
    inline = ("--executor", "inline", "--root", str(tmp_path / "other"))
    alone = printed(capsys, "run", str(own), *inline)
    assert alone["claims_key"] == told["claims_key"] and priceless(alone["verdicts"]) == priceless(
        told["verdicts"]
    )


@pytest.mark.thorough
def test_what_is_sent_over_http_is_done_by_a_worker_that_joined(tmp_path, space):
    """A worker stays idle until something is sent, leaves what is cancelled, and does the next."""
    join = [sys.executable, "-m", "assay", "worker", "--root", str(tmp_path / "store")]
    with (
        served(*space, "--on", "none") as (_, address),
        httpx.Client(base_url=address, timeout=60) as asks,
        subprocess.Popen(join, stdout=subprocess.DEVNULL) as worker,
    ):
        long = asks.post("/studies", json={**one(0), "sets": ["steps=1000000"]}).json()["key"]
        key = asks.post("/studies", json=one(1)).json()["key"]
        until = time.monotonic() + 120
        while "1 worker is at it" not in asks.get(f"/jobs/{long}").json()["words"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        asks.delete(f"/jobs/{long}")
        until = time.monotonic() + 240
        while (job := asks.get(f"/jobs/{key}?wait=30").json())["status"] != "done":
            assert time.monotonic() < until and job["error"] == ""
        assert asks.get(f"/jobs/{long}").json()["status"] == "cancelled"
        assert job["cpu_seconds"] > 0 and not list((tmp_path / "store/wanted").iterdir())
        worker.terminate()
        assert worker.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--host", "0.0.0.0"), "--token-file"),
        (("--token-file", "nowhere.toml"), "nowhere.toml"),
        (("--jobs", "0"), "from 1 up"),
        (("--job-seconds", "0"), "above 0"),
        (("--on", "nowhere"), "--on is slurm"),
    ],
)
def test_a_server_that_would_let_in_too_much_does_not_start(tmp_path, forks, words, told):
    done = forks.run(
        ["serve", "--api", "--root", str(tmp_path / "store"), *words], tmp_path, os.environ
    )
    assert (
        done.code == 2 and done.out == "" and len(done.err.splitlines()) == 1 and told in done.err
    )
