"""A training loop of one's own as an experiment: every verb knows it, and `assay new` writes the
one that the page shows."""

import json
from pathlib import Path

import pytest

from assay.cli.main import main

LOOP = '''"""A slope lifts what it is put on.

It needs no Paper: nor anything else.
"""
import numpy as np
import assay

NOISE = 0.1

def noise(seed):
    return NOISE * np.random.default_rng(seed).normal()

@assay.measured(
    arms={"main": {"slope": 1.0}, "control": {"slope": 0}, "steep": {"slope": 3.0}},
    claims=["main.y > 0.5", {"holds": "main.y - control.y > 0.5", "text": "It lifts"}],
    seeds=6,
)
def run(seed, slope, at=2):
    with open("calls", "a") as log:
        log.write(f"{seed} {slope}\\n")
    y = slope * at / 2 + (1 + slope) * noise(seed)
    return {"y": y, "path": ("step", slope * np.arange(3), "m")}
'''


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """A file with a training loop, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "slope.py"
    path.write_text(LOOP)
    return path


def test_plan_show_report_and_preregister_know_it(loop, capsys):
    for words in (
        ["plan", "slope.py"],
        ["preregister", "slope.py"],
        ["run", "slope.py", "--executor", "inline"],
        ["show", "slope.py", "--json"],
        ["report", "slope.py"],
        ["list", "slope.py"],
    ):
        assert main(words) == 0, capsys.readouterr()
        out = capsys.readouterr().out
        if words[0] == "show":
            shown = json.loads(out)
    assert "run(slope=1, at=2)" in shown["verdicts"][0]["scope"]
    assert shown["inference"] == "confirmatory"
    assert "It lifts" in Path("report/slope.html").read_text()


def test_new_writes_the_file_that_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my-loop", "--loop"]) == 0
    page = Path(__file__).parents[2] / "docs/first-claim.md"
    assert f"```py\n{Path('my_loop.py').read_text()}```" in page.read_text()
    assert main(["new", "other", "--loop", "--study"]) == 2
    assert not list(tmp_path.glob("other*"))
