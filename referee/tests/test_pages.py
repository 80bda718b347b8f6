"""What the README and the page say is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from assay_vectors import functions, runner, vectors
from marks import vectors as tables

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs/vectors.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, kind: str) -> list[str]:
    return [code for language, code in BLOCK.findall(page.read_text()) if language == kind]


def test_the_example_prints_what_the_readme_shows(tmp_path):
    (code,) = blocks(PAGES[0], "python")
    (tmp_path / "mine.py").write_text(code)
    shown = next(b for b in blocks(PAGES[0], "console") if "mine:functions" in b)
    command, _, output = shown.removeprefix("$ assay-vectors ").partition("\n")
    done = subprocess.run(
        [sys.executable, "-m", "assay_vectors", *command.split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.stdout, done.returncode) == (output, 1)


def test_the_adapter_of_the_page_gives_what_it_says(tmp_path):
    (tmp_path / "mine.py").write_text(blocks(PAGES[1], "python")[1])
    done = subprocess.run(
        [sys.executable, "-m", "assay_vectors", "--against", "mine.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    version, _, counts = done.stdout.splitlines()[-1].removeprefix("mine ").partition(": ")
    assert version and f": {counts}`" in PAGES[1].read_text()


def test_the_functions_of_the_page_are_right():
    code = blocks(PAGES[1], "python")[0]
    names = {}
    exec(code, names)
    known = functions.read(names["assay_functions"], "page")
    served = [v for v in vectors.load() if known.serving(v)]
    assert served and all(known.judge(v).passed for v in served)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_and_links_exist(page):
    text = page.read_text()
    help = subprocess.run(
        [sys.executable, "-m", "assay_vectors", "--help"], capture_output=True, text=True
    ).stdout
    for words in re.findall(r"assay-vectors( [^`\n|]*)", text):
        assert set(re.findall(r" (--[a-z-]+)", words)) <= set(re.findall(r"--[a-z]+", help)), words
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", BLOCK.sub("", text))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.skipif(not find_spec("assay_catalogue"), reason="Assay is not installed")
def test_the_table_of_outcomes_is_as_made_now():
    mark = r"<!-- made: outcomes -->\n(.*?)<!-- end -->"
    (made,) = re.findall(mark, PAGES[1].read_text(), re.DOTALL)
    assert made == tables.outcomes()


def test_numbers_of_the_readme():
    text = PAGES[0].read_text()
    assert f"has {len(vectors.load())} test cases" in text and len(text.split()) <= 400
    assert len(runner.libraries()) - 1 == 16 == len(runner.results())
    assert "Sixteen libraries" in text
