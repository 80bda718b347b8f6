"""A bundle tells nothing of the machine, runs nothing when it is read, and answers what is asked
wrongly with one line."""

import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from assay.cli.main import main
from bundled import export


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bundle of an entry's committed record, as the command line writes it."""
    folder = tmp_path_factory.mktemp("bundle")
    out = folder / "superposition.zip"
    export(out, folder / "store")
    assert not (folder / "store").exists()  # reading writes nothing
    return out


@pytest.fixture
def folder(written, tmp_path):
    with zipfile.ZipFile(written) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "superposition"


def test_a_reader_that_has_seen_enough_ends_it_quietly(folder):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "judge.py"], cwd=folder, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_nothing_tells_the_machine_or_runs_when_it_is_read(folder):
    secret = {
        socket.gethostname(),
        str(Path.home()),
        str(Path(__file__).parents[2]),
        str(Path.cwd()),
    } - {"localhost", "/", ""}
    for path in (p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        assert not [s for s in secret if s.encode() in content], path.name
        assert path.suffix not in (".pkl", ".pt")
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                assert all(file[key].dtype.kind in "biuf" for key in file.files)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["superposition", "--format", "bundle", "--out", "x.tar"], ".zip"),
        (["superposition", "--format", "bundle", "--run", "0"], "--run"),
        (
            ["superposition", "--format", "bundle", "--preset", "smoke"],
            "assay run superposition --preset smoke",
        ),
        (["no-such-thing", "--format", "bundle"], "no-such-thing"),
        (["dictionary.safetensors"], "--out is missing"),
        (["dictionary.safetensors", "--out", "x", "--preset", "smoke"], "--preset"),
    ],
)
def test_what_is_asked_wrongly(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words, "--root", str(tmp_path / "store")]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split()) and "Traceback" not in error
    assert not list(tmp_path.glob("*.zip"))
