"""What pages are tested on, made once for all files here, and the browser in which they are looked
at."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pages_world
import pytest
import tiny_world
from shelf import simulated


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> pages_world.World:
    """Two made-up indexes; never written to."""
    return pages_world.world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> simulated.Made:
    """One made-up index; never written to."""
    return simulated.made(tmp_path_factory.mktemp("made"))


@pytest.fixture
def made(original: simulated.Made, tmp_path: Path) -> simulated.Made:
    """A copy of it, to write to."""
    return dataclasses.replace(
        original, folder=Path(shutil.copytree(original.folder, tmp_path / "made"))
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tiny_world.Tiny:
    """A real index of a tiny model; never written to."""
    return tiny_world.make(tmp_path_factory.mktemp("tiny"))
