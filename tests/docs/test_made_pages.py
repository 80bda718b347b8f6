"""Tables of the pages are those of the code and of recorded answers; the tutorial shows a file that
is there."""

import json
import re
from pathlib import Path

import pytest
from scipy.stats import binomtest

from assay.controls.table import TABLE
from assay.notes import NOTES
from assay.verdicts.doubts import DOUBTS
from marks import closed, kinds

ROOT = Path(__file__).parents[2]
FOLDERS = ("tutorials", "how-to", "explanation", "reference")
PAGES = sorted(page for folder in FOLDERS for page in (ROOT / "docs" / folder).glob("*.md"))
ARMS = ("above zero", "above the threshold", "gate")
ANSWERS = json.loads((ROOT / "benchmarks/gate/gate.result.json").read_text())
GATE = closed.gate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_has_its_made_tables(page):
    """Contract: `python docs/marks PAGE` changes nothing."""
    text = page.read_text()
    assert kinds.filled(text, kinds=closed.KINDS) == text


def test_lists_have_every_code():
    """Truth: the closed lists themselves."""
    assert codes(closed.notes()) == sorted(NOTES)
    assert codes(closed.doubts()) == [doubt.__name__ for doubt in DOUBTS]


def codes(table):
    return re.findall(r"^\| `([\w-]+)` ", table, re.M)


@pytest.mark.parametrize("thing", closed.THINGS, ids=lambda thing: thing.aspect)
def test_needs_are_what_a_check_asks_for(thing):
    """Truth: `Thing.missing`, which says what lacks of the usual controls."""
    usual = [c for c in TABLE[thing.aspect] if c.default]
    needed = {c.name: needs for c in usual if (needs := closed.needs(thing, c))}
    assert needed == thing.missing()


def test_printed_table_becomes_markdown(tmp_path, monkeypatch):
    """Truth: a table written by hand; columns are two spaces apart, or one between numbers."""
    monkeypatch.setattr(closed, "FIGURES", tmp_path)
    assert closed.figures("same") == ""
    (tmp_path / "same.txt").write_text("world      a    b\nnull, 0  0.0 / 1 2.0 / 3\nin percent\n")
    said = closed.figures("same").splitlines()
    assert said[0] == "| world | a | b |" and said[2:] == [
        "| null, 0 | 0.0 / 1 | 2.0 / 3 |",
        "",
        "in percent",
    ]
    (tmp_path / "same.txt").write_text("| kind | right |\n|---|---|\n| true | 1 |\n")
    assert closed.figures("same") == (tmp_path / "same.txt").read_text()


def reported(arm, chosen):
    """How many claims an arm reports as true, and of how many."""
    came = [line["told"] for line in ANSWERS if line["arm"] == arm and chosen(line)]
    return sum(came), len(came)


@pytest.mark.parametrize("group", sorted({line["group"] for line in ANSWERS}))
def test_gate_has_the_recorded_counts(group):
    """Truth: every answer, in the result file that `benchmarks.gate measure` wrote."""
    row = re.search(rf"^\| {group} \| (\d+ of .*) \|$", GATE, re.M)[1].split(" | ")
    counts = [reported(arm, lambda line: line["group"] == group) for arm in ARMS]
    assert [cell.partition(" [")[0] for cell in row] == [f"{k} of {n}" for k, n in counts]


@pytest.mark.parametrize(("name", "true"), [("true", True), (r"\*\*false, all\*\*", False)])
def test_gate_has_wilson_intervals(name, true):
    """Truth: SciPy's interval of the recorded counts."""
    row = re.search(rf"^\| {name} \| (\d+ of .*) \|$", GATE, re.M)[1].split(" | ")
    for arm, cell in zip(ARMS, row, strict=True):
        k, n = reported(arm, lambda line: line["true"] == true)
        low, high = binomtest(k, n).proportion_ci(method="wilson")
        assert cell == f"{k} of {n} [{low:.2f}, {high:.2f}]"


def test_tutorial_shows_the_example_file():
    """Contract: each part that the tutorial explains is in the file that it runs."""
    page = (ROOT / "docs/tutorials/check-a-hook.md").read_text()
    code = (ROOT / "examples/check/with_transformers.py").read_text()
    parts = re.findall(r"^```py\n(.*?)^```", page, re.M | re.S)
    assert len(parts) == 3 and all(part in code for part in parts)
