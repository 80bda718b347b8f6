"""A stored run of which one byte was changed is not taken."""

import shutil
from pathlib import Path

import pytest

from assay.cli.main import main
from planted_folder import ASKED, folder  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def ran(folder, tmp_path_factory):  # noqa: F811
    """A folder with a study that was run, and its store."""
    place = tmp_path_factory.mktemp("stored") / "study"
    shutil.copytree(folder, place)
    (place / "carries.toml").write_text(ASKED)
    assert command("run", place) == 0
    return place


@pytest.fixture
def copy(ran, tmp_path):
    """A copy of that folder that a test may change."""
    return Path(shutil.copytree(ran, tmp_path / "study"))


def command(verb, place, name="carries"):
    inline = ["--executor", "inline"] if verb == "run" else []
    return main([verb, str(place / f"{name}.toml"), "--root", str(place / "s"), *inline])


def run_of(place):
    return sorted((place / "s/runs/carries").iterdir())[0]


def measured(place, name):
    runs = (place / "s/runs" / name).iterdir()
    return {run.name.partition("-")[2]: (run / "measures.safetensors").read_bytes() for run in runs}


def test_a_run_that_is_not_as_it_was_stored_is_not_taken(copy, capsys):
    path = run_of(copy) / "measures.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    runs = len(measured(copy, "carries"))
    (copy / "again.toml").write_text(ASKED)
    assert command("run", copy, "again") == 0
    taken = f"runs taken from carries, which measured the same: {runs - 1}"
    assert taken in capsys.readouterr().err
