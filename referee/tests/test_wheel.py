"""The wheel has vectors, results and adapters, and needs NumPy alone."""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as a file, and a folder with what is in it."""
    made = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = made.glob("assay_vectors-*.whl")
    with ZipFile(path) as archive:
        archive.extractall(made / "site")
    return path, made / "site"


def test_it_has_every_file_byte_for_byte(wheel):
    package = wheel[1] / "assay_vectors"
    files = [p.relative_to(ROOT) for f in ("vectors", "results") for p in (ROOT / f).rglob("*")]
    files = [file for file in files if (ROOT / file).is_file()]
    assert len(files) > 30
    for file in (*files, Path("causes.json")):
        assert (package / file).read_bytes() == (ROOT / file).read_bytes()
    source = ROOT / "src/assay_vectors"
    for path in source.rglob("*.py"):
        assert (package / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_it_needs_numpy_alone_and_adds_one_command(wheel):
    (metadata,) = wheel[1].glob("*.dist-info/METADATA")
    needs = message_from_bytes(metadata.read_bytes()).get_all("Requires-Dist")
    assert [need.partition(">")[0] for need in needs] == ["numpy"]
    entries = (metadata.parent / "entry_points.txt").read_text().split()
    assert entries == ["[console_scripts]", "assay-vectors", "=", "assay_vectors.__main__:main"]


def test_it_runs_in_an_empty_folder_and_does_not_record(wheel, tmp_path):
    env = {"PYTHONPATH": str(wheel[1]), "PYTHONIOENCODING": "utf-8"}
    run = [sys.executable, "-m", "assay_vectors"]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "177 right" in done.stdout
    code = "import assay_vectors.runner as r; print(len(r.results()), r.adapter('scipy'))"
    where = [sys.executable, "-c", code]
    done = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["16", str(wheel[1] / "assay_vectors/adapters/for_scipy.py")]
    (tmp_path / "adapter.py").write_text("raise SystemExit('not run')")
    record = [*run, "--against", "adapter.py", "--record"]
    done = subprocess.run(record, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and "this is an installed package" in done.stderr
