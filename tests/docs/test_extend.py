"""docs/extend.md: each of its files, put where its line says into a copy of the package, is found,
and passes its test with nothing else changed; and no test there passes without its file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PART = re.compile(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`((?:src|tests)/\S+\.py)`[^\n]*\n\n```py\n(.*?)^```", re.DOTALL | re.MULTILINE)
WHOLE = ROOT / "tests/fixtures/extend"
PAGE = (ROOT / "docs/extend.md").read_text()
THINGS = {title: files for title, text in PART.findall(PAGE) if (files := FILE.findall(text))} | {
    "An executor": [
        ("src/assay/lab/engines/fresh.py", (WHOLE / "fresh.py").read_text()),
        ("tests/lab/test_fresh.py", (WHOLE / "held_fresh.py").read_text()),
    ]
}
"""What is added → its two files, each with its place; those of an executor are fixtures, to which
the page leads."""
TESTS = [place for files in THINGS.values() for place, _ in files if place.startswith("tests/")]


def passed(root, *, with_files):
    """Copy the package, add the tests of the page and, if asked for, what they test; the files of
    the tests that pass."""
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for beside in (
        "pyproject.toml",
        "tests/conftest.py",
        "tests/shared_fixtures.py",
        "tests/browser_fixtures.py",
        "tests/executor_contract.py",
        "tests/forks.py",
        "tests/slurm_cluster.py",
        "tests/tiny_models.py",
        "tests/lab/walk.py",
    ):
        (root / beside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / beside, root / beside)
    for place, text in (file for files in THINGS.values() for file in files):
        if with_files or place in TESTS:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            with (root / place).open("a") as f:
                f.write(text)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "tests")])}
    words = [
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        "--junitxml",
        "told.xml",
        *TESTS,
    ]
    subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=root,
        env=env,
        capture_output=True,
        check=False,
    )
    well = {
        case.get("classname")
        for case in ElementTree.parse(root / "told.xml").iter("testcase")
        if not {child.tag for child in case} & {"failure", "error", "skipped"}
    }
    return {place for place in TESTS if place.removesuffix(".py").replace("/", ".") in well}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return tmp_path_factory.mktemp("with")


@pytest.fixture(scope="module")
def added(copy):
    return passed(copy, with_files=True)


@pytest.fixture(scope="module")
def missing(tmp_path_factory):
    return passed(tmp_path_factory.mktemp("without"), with_files=False)


@pytest.mark.parametrize("thing", THINGS)
def test_its_two_files_are_python_in_their_places(thing):
    (file, text), (test, asks) = THINGS[thing]
    compile(text, file, "exec")
    compile(asks, test, "exec")
    assert file.startswith("src/assay/") and test.startswith("tests/")
    # but for the metric, which is a value in a file that is there, it is new
    assert (ROOT / file).exists() == (thing == "A worked example: a metric")


@pytest.mark.thorough
@pytest.mark.parametrize("thing", THINGS)
def test_it_is_one_file_and_one_test(thing, added, missing):
    _, (test, _) = THINGS[thing]
    assert test in added
    assert test not in missing


@pytest.mark.thorough
def test_they_import_only_what_lies_below_them(copy, added):
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "go one way KEPT" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
