"""What an agent sends is run by a worker that joined the store, and is answered as ever."""

import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from assay.lab.away.worker_loop import Joined
from tiny_study import Call, answered, told

from assay.agents.server import make_server
from assay.agents.tools import Tools
from assay.jobs.bounds import Bounds
from assay.jobs.runner import Runner
from assay.lab.engines import Site


def test_an_agents_study_is_run_by_a_worker_that_joined(
    tmp_path: Path, ask: Call, done: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "2")
    root, over = tmp_path / "store", threading.Event()
    server = make_server(Tools(root, Bounds()))

    def call(name: str, /, **given: Any) -> dict[str, Any]:
        (found,) = answered(server, (name, given))
        return told(found)

    key = call("run", study=done["written"]["study"])["key"]
    worker = multiprocessing.get_context("fork").Process(target=lambda: Joined(root).run())
    runner = Runner(root, site=Site(executor="none"))
    thread = threading.Thread(target=runner.run, kwargs={"over": over})
    worker.start()
    thread.start()
    try:
        until = time.monotonic() + 240
        while (answer := call("status", key=key, wait_s=5))["status"] not in ("done", "failed"):
            assert time.monotonic() < until, answer
    finally:
        over.set()
        thread.join()
        worker.terminate()
        worker.join(30)
    assert answer["status"] == "done" and worker.exitcode == 0
    here, there = (f("result", key=key)["verdicts"][0] for f in (ask, call))
    for verdict in (here, there):
        verdict.pop("would_decide")  # minutes, which are those of either process
    assert here == there, "as trained by one process"
