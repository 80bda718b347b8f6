"""Machines that share nothing but a depot, with clocks hours apart: what they store together is
what one process stores alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from leaving import dismiss
from test_kill import WALK, measures_of, uninterrupted
from unruly_storage import settle

from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.away import depot
from assay.lab.away.depot import bucket, notes
from assay.lab.away.depot import depot as sharing
from assay.lab.away.worker_loop import Joined
from assay.lab.executors import Inline
from assay.lab.executors.none import Away
from assay.lab.lab import Lab
from assay.lab.store.store import Store

URL = "adversary://bucket/shared"
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "WAITS", (0.01,) * 8)
    monkeypatch.setattr(notes, "LAGS", (0.05, 0.1, 0.2))
    monkeypatch.setattr(sharing, "AGAIN", 0.05)
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "5")
    monkeypatch.setenv("WALK_PAUSE", "0.004")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return uninterrupted(tmp_path_factory.mktemp("whole") / "s")


def machine(home: Path, apart: float) -> None:
    """Run the walk on a machine with this home, whose clock is so many seconds off."""
    os.setsid()
    settled, clock = random.Random(apart), time.time
    from unruly_storage import Adversary

    Adversary.chance = settled
    time.time = lambda: clock() + apart
    os.environ |= {"ASSAY_CACHE": str(home), "WALK_MARKS": str(home) + ".marks"}
    for _ in range(5):  # as somebody does whose network fails
        with contextlib.suppress(AssayError):
            Lab(URL, Inline()).run(catalogue.find(WALK))
            return
    raise SystemExit(3)


def waiter(home: Path) -> None:
    """Wait on one machine for what others do."""
    os.environ |= {"ASSAY_CACHE": str(home), "WALK_MARKS": str(home) + ".marks"}
    Lab(URL, Away()).run(catalogue.find(WALK))


def worker(home: Path) -> None:
    """Join from another machine, until told to leave."""
    os.environ |= {"ASSAY_CACHE": str(home), "WALK_MARKS": str(home) + ".marks"}
    Joined(depot.mirror(URL)).run()


def marks(home: Path) -> Counter[str]:
    with contextlib.suppress(FileNotFoundError):
        return Counter(line.split()[0] for line in Path(f"{home}.marks").read_text().splitlines())
    return Counter()


def mirror(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(home))
    return depot.mirror(URL)


def test_two_machines_with_clocks_apart_share_the_work(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did = shared(tmp_path, monkeypatch, whole)
    assert sum(d["trained"] for d in did) == 2 * 3  # each of three groups by one machine, both arms
    assert all(d["trained"] + d["after"] for d in did)
    assert sum(d["artefact"] for d in did) == 4  # and harvested once


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [{"fails": 0.03, "lag": 0.1}, {"fails": 0.1, "lag": 0.3}],
)
def test_however_the_storage_behaves_two_machines_store_what_one_does(
    how: dict[str, Any], whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared(tmp_path, monkeypatch, whole, **how)


def shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes], **how: Any
) -> list[Counter[str]]:
    """Run it on two machines at once, and hold what each has to what one process stored; what each
    did."""
    settle(tmp_path / "storage", **how)
    homes = [tmp_path / "a", tmp_path / "b"]
    both = [
        FORK.Process(target=machine, args=(home, apart))
        for home, apart in zip(homes, (5 * 3600.0, -7 * 3600.0), strict=True)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    did = [marks(home) for home in homes]
    for home in homes:
        root = mirror(home, monkeypatch)
        assert measures_of(root) == whole
        assert not list(Store(root).damaged())
    there = bucket.Bucket(URL)
    if not how.get("lag"):
        assert not [name for name in there.names() if name.startswith(("groups/", "checkpoints/"))]
    return did


@pytest.mark.slow
def test_machines_that_die_for_good_leave_nothing_that_looks_whole(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path / "storage")
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "0.5")
    chance = random.Random(3)
    for i, aim in enumerate(("artefact", "train", "store", "after", "measure")):
        home = tmp_path / f"lost{i}"  # with its disk: nothing but the depot is left
        one = FORK.Process(target=machine, args=(home, 3600.0 * i))
        one.start()
        while one.is_alive() and not marks(home)[aim]:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid or 0, signal.SIGKILL)
        one.join()
    last = tmp_path / "last"
    one = FORK.Process(target=machine, args=(last, -3600.0))
    one.start()
    one.join()
    assert one.exitcode == 0
    root = mirror(last, monkeypatch)
    assert measures_of(root) == whole
    assert not list(Store(root).damaged())


def test_a_run_waits_on_one_machine_for_workers_on_others(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path / "storage")
    waits, works = tmp_path / "waits", [tmp_path / "w0", tmp_path / "w1"]
    all_ = [
        FORK.Process(target=waiter, args=(waits,)),
        *(FORK.Process(target=worker, args=(home,)) for home in works),
    ]
    for one in all_:
        one.start()
    all_[0].join()
    for one in all_[1:]:
        dismiss(one)
        one.join()
    assert [one.exitcode for one in all_] == [0, 0, 0]
    assert not marks(waits)["trained"] + marks(waits)["after"]
    assert sum(marks(home)["trained"] for home in works) == 2 * 3
    assert measures_of(mirror(waits, monkeypatch)) == whole
    assert not [
        name
        for name in bucket.Bucket(URL).names()
        if name.startswith(("groups/", "wanted/", "leases/group-"))
    ]
