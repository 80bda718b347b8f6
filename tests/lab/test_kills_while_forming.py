"""kill -9 while groups are formed: they are whole, and nothing is left behind. Kills at other
moments are tried by tests/attacks/test_faults.py."""

import multiprocessing
import os
from pathlib import Path

import pytest

from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import atomic, health
from assay.lab.store.groups import RunGroup
from assay.lab.store.store import Store

WALK = str(Path(__file__).with_name("walk.py"))
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Saves often, and lets phases last long enough to be hit."""
    settings = {"WALK_PAUSE": "0.004", "ASSAY_CHECKPOINT_SECONDS": "0.02"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def works(root, preset="full"):
    Lab(root, Inline()).run(catalogue.find(WALK), preset)


def started(role, *given):
    # a test that fails leaves nobody at work
    process = FORK.Process(target=role, args=given, daemon=True)
    process.start()
    return process


def forms_until(root, n):
    """Plan and form the groups, and die when the disk is waited for the n-th time."""
    left = iter(range(n))
    atomic.sync = lambda path: None if next(left, None) is not None else os._exit(9)
    works(root, "smoke")


def test_whoever_is_killed_while_it_forms_groups_leaves_them_whole(tmp_path, quick):
    works(tmp_path / "whole", "smoke")  # each fork has then what takes long to import
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
