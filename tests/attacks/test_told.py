"""What nobody planned for is told, and what comes from outside stays text: in tables, files, pages,
and whatever an experiment's own code does."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay.cli.main import main
from assay.core.errors import nearest
from assay.core.figures import Figure
from assay.core.plain import as_json, cell, plain
from assay.core.results import ResultData
from assay.evaluation.result import Evaluation
from assay.report import export
from assay.report.stored import slug

TEXT = st.text(st.characters(), max_size=40)
FORMULA = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=",
    "-",
    "−",
    "--",
    "+1_000",
    "-inf",
)
EVIL = "a\x1b[31mred\x9b2J\u202egnirts\ud800\ufffe<script>{\\input{x}%$&#_^~}}\"'`"


@pytest.mark.parametrize("text", FORMULA)
def test_no_cell_is_a_formula_in_any_table_that_is_written(text, tmp_path):
    figure = Figure(text, {text: [1.0, -0.5], "y": [text, text]}, "points", x=text, y="y")
    entry = {
        "name": text,
        "site": text,
        "measures": {
            "fvu": {"estimate": -0.5, "low": None, "high": 1e-9, "n": {"document": 3}, "why": text}
        },
    }
    entry |= {"cached": False, "notes": [], "histogram": {"log10": [], "features": []}}
    verdict = dict.fromkeys(("text", "arm", "reason", "unit"), text) | {
        "outcome": "holds",
        "estimate": -0.5,
        "n": {text: 6},
    }
    measures = Evaluation({"dictionaries": [entry]}).to_pandas()
    for table in (
        export.figure_csv(figure),
        export.verdicts_csv(ResultData.from_json({"verdicts": [verdict]})),
        export.table_csv(measures),
    ):
        cells = [c for row in csv.reader(io.StringIO(table)) for c in row]
        assert "-0.5" in cells
        assert text in cells or f"'{text}" in cells or f"'{plain(text)}" in cells
        assert not [
            c
            for c in cells
            if re.match(r"[=+\-@\t\r\n]", c) and not re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", c)
        ], table


@given(st.one_of(st.floats(allow_nan=False), st.integers(), st.booleans(), st.none()))
def test_numbers_stay_numbers(value):
    assert cell(value) is value and cell(np.float64(-0.5)) == -0.5
    out = io.StringIO()
    csv.writer(out).writerow([cell(value), "end"])
    assert out.getvalue() == ("" if value is None else str(value)) + ",end\r\n"


@given(TEXT)
def test_json_reads_back_the_same_and_no_terminal_obeys_it(text):
    written = as_json({text: [text, -0.5]}, indent=1)
    assert json.loads(written) == {text: [text, -0.5]}
    assert plain(written) == written
    assert written.encode()


def evil_table(path):
    """A table with an arm whose name a terminal would obey, and the words that judge it."""
    name = "\x1b[31mg\x9b2J"
    rows = (
        f'"{arm}",{seed},{0.2 + 0.01 * seed + 0.1 * (arm == "relu")}'
        for arm in (name, "relu", "none")
        for seed in range(8)
    )
    path.write_text("\n".join(["arm,seed,fvu", *rows]))
    return (
        "judge",
        str(path),
        "--claim",
        f'"{name}".fvu - relu.fvu < -0.02',
        "--unit",
        "seed",
        "--control",
        "none",
        "--about",
        name,
    )


def test_no_terminal_obeys_a_table(capsys, tmp_path):
    words = evil_table(tmp_path / "t.csv")
    for more in ((), ("--json",)):
        assert main([*words, *more]) == 0
        out = capsys.readouterr().out
        assert plain(out) == out and "[31mg" in out


def test_a_page_shows_evil_text_as_text(tmp_path):
    evil, file = EVIL.replace("\ud800", ""), tmp_path / "t.assay"
    rows = {"arm": ["a"] * 8 + ["b"] * 8, "seed": [f"{i}{evil}" for i in range(8)] * 2}
    table = pd.DataFrame({**rows, "x": range(16)})
    assay.judge(table, "a.x - b.x < 0", "seed", scope=evil).save(file)
    assert main(["report", str(file), "--out", str(tmp_path / "pages")]) == 0
    for page in (tmp_path / "pages").glob("*.html"):
        text = page.read_text()
        assert text.encode() and plain(text) == text
        assert "<script>{" not in text


WALK = Path(__file__).parents[1] / "lab" / "walk.py"


def test_a_million_names_are_not_listed():
    line = nearest("arm", [f"c{i}" for i in range(10**6)])
    assert len(line) < 1000
    assert line.startswith("known: c0, c1, ")
    assert line.endswith(" … (1,000,000 in all)")
    assert nearest("arm", ["x", "y"]) == "known: x, y"


def test_no_page_of_an_experiment_is_the_index():
    assert slug("index", "default") != "index" and slug("index", "smoke") != "index"


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "d", "--model", "m", "--text", "docs", "--out"),
        ("report", "walk.py", "--out"),
        ("export", "d", "--format", "assay", "--out"),
    ],
)
@pytest.mark.parametrize("where", ["file/report.md", "/proc/assay/report.md"])
def test_where_results_go_is_checked_before_anything_is_measured(
    tmp_path, monkeypatch, capsys, words, where
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    shutil.copy(WALK, tmp_path / "walk.py")
    assert main([*words, where]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert "cannot write into the folder" in err, err
    assert words[-1] in err, err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "walk.py"]
