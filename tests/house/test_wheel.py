"""The wheel is whole: unpacked in an empty folder it says what the checkout says, of records, plans, conformance and verdicts."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the unpacked wheel."""
    made = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made], cwd=ROOT, check=True, capture_output=True)
    (file,) = made.glob("interp_assay-*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(made / "site")
    return made / "site"


def said(source: Path, where: Path, *words: str, code: int = 0) -> str:
    """What a command prints, with Assay imported from `source`, in the folder `where`."""
    environment = {**os.environ, "PYTHONPATH": str(source), "COLUMNS": "120"}
    place = "import assay; print(assay.__file__)"
    found = subprocess.run([sys.executable, "-c", place], cwd=where, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(source), "another Assay was imported"
    ran = subprocess.run([sys.executable, "-m", "assay", *words], cwd=where, env=environment, capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def test_it_lists_and_plans_as_the_checkout_does(wheel: Path, empty: Path) -> None:
    """Both read the records: outcomes and costs."""
    store = ("--root", str(empty / "store"))
    assert said(wheel, empty, "list", *store) == said(ROOT / "src", empty, "list", *store)
    plans = [json.loads(said(source, empty, "plan", "superposition", "--json", *store)) for source in (wheel, ROOT / "src")]
    assert plans[0]["cost_from"] == "the record"
    assert {**plans[0], "free_bytes": 0} == {**plans[1], "free_bytes": 0}


def test_it_has_the_records_and_what_conformance_needs(wheel: Path) -> None:
    """Byte by byte."""
    for inside, outside in (("records", "records"), ("conformance/vectors", "conformance/vectors"), ("conformance/results", "conformance/results")):
        files = sorted(p.relative_to(ROOT / outside) for p in (ROOT / outside).rglob("*") if p.is_file())
        assert files
        for file in files:
            assert (wheel / "assay" / inside / file).read_bytes() == (ROOT / outside / file).read_bytes()


@pytest.mark.slow
def test_it_runs_and_compares_with_the_record(wheel: Path, empty: Path) -> None:
    """About 20 CPU-seconds: the whole default preset of the cheapest entry."""
    store = ("--root", str(empty / "store"))
    assert "reproduced" in said(wheel, empty, "reproduce", "deep-linear")
    said(wheel, empty, "run", "deep-linear", *store)
    assert said(wheel, empty, "check", "deep-linear", *store) == said(ROOT / "src", empty, "check", "deep-linear", *store)
