"""kill -9 at random moments, of several commands on one store: the end is bitwise that of one
process, and nothing is left behind.

A short form runs always; `pytest -m slow tests/lab/test_random_kills.py` kills 200 times: 60 times
each of 1, 2 and 4 commands over harvest, training, measuring and store writes, and 20 times while
an index is built."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from assay.core.spec import Spec
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import atomic, health
from assay.lab.store.groups import RunGroup
from assay.lab.store.store import Store
from stored_bytes import measures_of

WALK = str(Path(__file__).with_name("walk.py"))
FORK = multiprocessing.get_context("fork")
sys.path.append(str(Path(__file__).parents[1] / "features" / "index"))


@dataclass(frozen=True, kw_only=True)
class MadeUp(Spec):
    width: int = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "s"
    Lab(root, Inline()).run(catalogue.find(WALK), "full")
    return measures_of(root)


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Saves often, and lets phases last long enough to be hit."""
    settings = {
        "WALK_MARKS": str(tmp_path / "marks"),
        "WALK_PAUSE": "0.004",
        "ASSAY_CHECKPOINT_SECONDS": "0.02",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "marks"


def works(root, preset="full"):
    Lab(root, Inline()).run(catalogue.find(WALK), preset)


def started(role, *given):
    # a test that fails leaves nobody at work
    process = FORK.Process(target=role, args=given, daemon=True)
    process.start()
    return process


def killed(tmp_path, marks, whole, n, kills, seed):
    """Kill so often while n commands run, on as many stores as that takes; which phases were
    hit."""
    rng, hit, stores = random.Random(seed), Counter(), 0
    before = set(psutil.Process().children(recursive=True))
    while hit.total() < kills:
        root, stores = tmp_path / f"s{stores}", stores + 1
        Store(root).prepare()
        marks.write_text("")
        commands = [started(works, root) for _ in range(n)]
        while any(process.exitcode is None for process in commands):
            # one alone gets less far between two kills
            time.sleep(rng.uniform(0.0, 0.6 if n == 1 else 0.3))
            i = rng.randrange(n)
            if hit.total() < kills and commands[i].exitcode is None:
                lines = marks.read_text().splitlines()
                os.kill(commands[i].pid, signal.SIGKILL)
                commands[i].join()
                if commands[i].exitcode != 0:  # it had not ended by itself in between
                    hit[lines[-1].split()[0] if lines else "start"] += 1
                    commands[i] = started(works, root)
            assert not list(Store(root).damaged())
            assert not {name for name, data in measures_of(root).items() if whole[name] != data}
        assert [process.exitcode for process in commands] == [0] * n, "all ended by themselves"
        assert measures_of(root) == whole
        assert not list(health.harms(Store(root))) and not list((root / "groups").iterdir())
    left = [
        p
        for p in psutil.Process().children(recursive=True)
        if p.status() != psutil.STATUS_ZOMBIE and "tracker" not in " ".join(p.cmdline())
    ]
    assert not set(left) - before, left
    return hit


def test_three_kills_change_no_byte_and_leave_nothing(tmp_path, quick, whole):
    assert killed(tmp_path, quick, whole, 2, 3, seed=1).total() == 3


def forms_until(root, n):
    """Plan and form the groups, and die when the disk is waited for the n-th time."""
    left = iter(range(n))
    atomic.sync = lambda path: None if next(left, None) is not None else os._exit(9)
    works(root, "smoke")


def test_whoever_is_killed_while_it_forms_groups_leaves_them_whole(tmp_path, quick, whole):
    n, root = 0, tmp_path / "0"
    while not any(root.glob("groups/*")):
        n += 1
        root = tmp_path / str(n)
        process = started(forms_until, root, n)
        process.join(60)
        assert process.exitcode == 9
        assert not list(health.harms(Store(root)))
        assert not list((root / "groups").glob("**/.*"))
    assert n > 2, "it was killed before it got as far as that, too"


def test_a_group_that_is_finished_under_a_look_has_no_step(tmp_path, monkeypatch):
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    listed = os.scandir

    def finished(path):
        folder.rmdir()
        return listed(path)

    monkeypatch.setattr(os, "scandir", finished)
    assert RunGroup(folder, "walk", 1, {}, {}).step == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("commands", [1, 2, 4])
def test_sixty_kills_change_no_byte_and_leave_nothing(tmp_path, quick, whole, commands):
    hit = killed(tmp_path, quick, whole, commands, 60, seed=commands)
    print(f"{commands} commands: {dict(hit)}")
    assert set(hit) >= {"artefact", "train", "measure", "store"}


def builds(root, made):
    import simulated

    from assay.features.index import build

    def tables(folder):
        shards = sorted(made.folder.parent.glob("shard*"))
        documents = [f"text {i}.py" for i in range(8)]
        build.build(
            folder,
            shards,
            made.directions,
            simulated.about(24),
            words=lambda ids: [f"word{i}" for i in ids],
            vocabulary=simulated.VOCABULARY,
            documents=documents,
        )

    Store(root).artefact(MadeUp(), tables)


def index_of(root):
    """The bytes of each table; when an index was made is in its about.json."""
    (found,) = [path for path in (root / "artefacts").glob("*/*") if path.suffix != ".partial"]
    assert not list(health.harms(Store(root)))
    return {
        path.name: path.read_bytes()
        for path in sorted(found.iterdir())
        if path.name not in ("about.json", "hashes.json")
    }


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_while_an_index_is_built(tmp_path):
    import simulated

    made = simulated.made(tmp_path / "firings", width=24, windows=16)
    builds(tmp_path / "whole", made)
    began = time.monotonic()
    started(builds, tmp_path / "timed", made).join()
    takes, rng, kills, stores = time.monotonic() - began, random.Random(7), 0, 0
    while kills < 20:
        root, stores = tmp_path / f"i{stores}", stores + 1
        while True:
            process = started(builds, root, made)
            process.join(rng.uniform(0.0, 1.1 * takes))
            process.kill()
            process.join()
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL, "it ended by itself"
            kills += 1
        assert index_of(root) == index_of(tmp_path / "whole") == index_of(tmp_path / "timed")
    print(f"index: {kills} kills in {stores} stores")
