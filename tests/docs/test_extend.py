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
THINGS = {
    title: FILE.findall(text) for title, text in PART.findall((ROOT / "docs/extend.md").read_text())
} | {
    "An executor": [
        ("src/assay/lab/engines/fresh.py", (WHOLE / "fresh.py").read_text()),
        ("tests/lab/test_fresh.py", (WHOLE / "held_fresh.py").read_text()),
    ],
    "A verb": [
        ("src/assay/verbs/cite.py", (WHOLE / "cite.py").read_text()),
        ("tests/cli/test_cite.py", (WHOLE / "held_cite.py").read_text()),
    ],
}
"""What is added → its two files, each with its place; those of an executor and of a verb are
fixtures, to which the page leads."""
TESTS = [place for files in THINGS.values() for place, _ in files if place.startswith("tests/")]


def passed(root: Path, *, with_files: bool) -> set[str]:
    """Copy the package, add the tests of the page and, if asked for, what they test; the files of
    the tests that pass."""
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for beside in (
        "pyproject.toml",
        "tests/budget.py",
        "tests/conftest.py",
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
        if not len(case)
    }
    return {place for place in TESTS if place.removesuffix(".py").replace("/", ".") in well}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("with")


@pytest.fixture(scope="module")
def added(copy: Path) -> set[str]:
    return passed(copy, with_files=True)


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return passed(tmp_path_factory.mktemp("without"), with_files=False)


def test_the_page_has_the_seven_things() -> None:
    assert list(THINGS) == [
        "An experiment",
        "A kind of dictionary",
        "A metric",
        "A file format",
        "A subject architecture",
        "An executor",
        "A verb",
    ]


@pytest.mark.parametrize("thing", THINGS)
def test_its_two_files_are_python_in_their_places(thing: str) -> None:
    (file, text), (test, asks) = THINGS[thing]
    compile(text, file, "exec")
    compile(asks, test, "exec")
    assert file.startswith("src/assay/") and test.startswith("tests/")
    # but for the metric, which is a value in a file that is there, it is new
    assert (ROOT / file).exists() == (thing == "A metric")


@pytest.mark.thorough
@pytest.mark.parametrize("thing", THINGS)
def test_it_is_one_file_and_one_test(thing: str, added: set[str], missing: set[str]) -> None:
    _, (test, _) = THINGS[thing]
    assert test in added
    assert test not in missing


@pytest.mark.thorough
def test_they_import_only_what_lies_below_them(copy: Path, added: set[str]) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "experiments" in done.stdout and done.returncode == 0, done.stdout + done.stderr


HOUSE = [
    "tests/house/test_tree.py",
    "tests/house/test_source.py",
    "tests/house/test_signatures.py",
    "tests/docs/test_index.py",
    "tests/docs/test_catalogue_table.py",
    "tests/cli/test_expected.py",
]
"""What is asked of every file, page and list."""


@pytest.mark.slow
def test_an_entry_of_the_catalogue_is_its_file_its_test_its_record_and_its_page(
    tmp_path: Path,
) -> None:
    """Lists and tables are made anew by their command; no more is written by hand."""
    left_out = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "tests", "docs", "records", "conformance", "benchmarks", "site"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    for file in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    (file, text), (test, tested) = THINGS["An experiment"]
    (tmp_path / file).write_text(text.replace("\nPaper:", "\nGroup: toys\nPaper:"))
    (tmp_path / test).write_text(tested)
    page = (ROOT / "docs/superposition-phase.md").read_text()
    marks = re.findall(r"^<!-- \w+: \w+ superposition-phase -->$", page, re.MULTILINE)
    marked = [f"{mark}\n<!-- end -->" for mark in marks if "picture" not in mark]
    lines = ["# Averaging", *(mark.replace("superposition-phase", "averaging") for mark in marked)]
    (tmp_path / "docs/averaging.md").write_text("\n\n".join(lines) + "\n")

    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}

    def typed(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    typed("-m", "assay", "run", "averaging", "--executor", "inline")
    typed("-m", "assay", "check", "averaging", "--record")
    pages = ("docs/README.md", "docs/catalogue.md", "docs/averaging.md", "README.md")
    typed("docs/marks", *pages)
    made = re.compile(r"(<!-- made: \w+ -->).*?(?=<!-- end -->)", re.DOTALL)
    before, after = (made.sub(r"\1", (root / "README.md").read_text()) for root in (ROOT, tmp_path))
    assert after == before
    typed("-m", "pytest", "-q", "-p", "no:cacheprovider", *HOUSE)
