"""Verbs that read write nothing, and a reader that leaves is no error."""

import subprocess
import sys
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.verbs.new import write_experiment

SMOKE = ("own.py", "--preset", "smoke")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with an experiment whose smoke preset is stored."""
    folder = tmp_path_factory.mktemp("verbs")
    write_experiment("own", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", *SMOKE, "--executor", "inline"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(world, monkeypatch):
    monkeypatch.chdir(world)


def test_reading_writes_nothing(capsys):
    for words in (("list",), ("plan", "own.py"), ("doctor",)):
        main([*words, "--root", "nowhere"])
    assert not Path("nowhere").exists()


def test_a_reader_that_leaves_is_no_error():
    script = f"{sys.executable} -m assay list --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("0", "")
