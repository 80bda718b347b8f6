"""What pages are tested on, made once for all files here, and the browser in which they are looked
at."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import tiny_world
from shelf import simulated

from acceptance.test_browser import world

__all__ = ["world"]


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """One made-up index; never written to."""
    return simulated.made(tmp_path_factory.mktemp("made"))


@pytest.fixture
def made(original, tmp_path):
    """A copy of it, to write to."""
    return dataclasses.replace(
        original, folder=Path(shutil.copytree(original.folder, tmp_path / "made"))
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A real index of a tiny model; never written to."""
    return tiny_world.make(tmp_path_factory.mktemp("tiny"))
