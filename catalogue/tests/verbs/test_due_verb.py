"""`assay due` on tables of events: what is due and why, how overdue, and every broken table as one
line that names the row."""

import json
import re
from pathlib import Path

import pytest

from assay.cli.main import main

LATE = "months,compute\n0,1e21\n0.5,3e21\n1,9e21\n1.5,2.7e22\n4.4,2.8e22\n4.6,2.9e22\n4.7,2e23\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys, text: str, *words: str) -> tuple[int, str, str]:
    Path("events.csv").write_text(text, encoding="utf-8")
    code = main(["due", "events.csv", *words])
    return (code, *capsys.readouterr())


def test_the_table_says_which_rows_why_and_how_overdue(capsys):
    code, out, _ = run(capsys, LATE)
    assert code == 1  # 3.4 months from 1 to 4.4
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()[:1].isdigit()}
    assert list(lines) == ["1", "3", "5", "7"]
    assert "initial" in lines["1"] and "9×" in lines["3"] and "compute" in lines["3"]
    assert "time" in lines["5"] and "0.4 months" in lines["5"] and "7.143×" in lines["7"]
    assert "due at 4 of 7 events" in " ".join(out.split())


def test_json_holds_the_same(capsys):
    code, out, _ = run(capsys, LATE, "--json")
    found = json.loads(out)
    assert code == 1 and [d["row"] for d in found["due"]] == [1, 3, 5, 7]
    assert [d["reasons"] for d in found["due"]] == [["initial"], ["compute"], ["time"], ["compute"]]
    assert found["due"][2]["overdue"] == pytest.approx(0.4)


def test_nothing_overdue_ends_with_0(capsys):
    assert run(capsys, "months,compute\n" + "".join(f"{k},{2**k}\n" for k in range(9)))[0] == 0


def test_dates_and_limits(capsys):
    table = "compute,date\n1e21,2026-01-01\n4e21,2026-02-01\n4e21,2026-08-01\n"
    code, out, _ = run(capsys, table, "--json")
    found = json.loads(out)
    assert code == 1 and [d["row"] for d in found["due"]] == [1, 2, 3]
    assert found["due"][2]["at"] == "2026-08-01" and found["due"][2]["overdue"] == pytest.approx(
        181 / 30.4375 - 3
    )
    assert run(capsys, table, "--months", "6")[0] == 0
    code, out, _ = run(capsys, table, "--ratio", "inf", "--months", "inf", "--json")
    assert code == 0 and [d["row"] for d in json.loads(out)["due"]] == [1]


def test_names_of_columns_and_cells_may_have_spaces_and_a_mark_of_order(capsys):
    assert run(capsys, "\ufeffmonths, compute\n0, 1\n\n1, 4\n")[0] == 0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("months,compute\n0,4\n1,3\n", "row 2: compute shrinks from 4 to 3"),
        ("months,compute\n0,4\n2,4\n1,4\n", "row 3: time goes back, from 2 to 1 months"),
        (
            "date,compute\n2026-01-01,1\n20th of May,2\n",
            "row 2: '20th of May' is not a date; write it as 2026-11-20",
        ),
        ("date,compute\n2026-13-01,1\n", "row 1: '2026-13-01' is not a date"),
        ("date,compute\n2026-03-01,1\n2026-02-01,2\n", "row 2: time goes back"),
        ("months,compute\n0,much\n", "row 1: compute must be a number, got 'much'"),
        ("months,compute\nsoon,1\n", "row 1: months must be a number, got 'soon'"),
        ("months,compute\n0,1\n1\n", "row 2 must have 2 cells, got 1"),
        ("months,compute\n0,1,7\n", "row 1 must have 2 cells, got 3"),
        ("months,compute\n0,\n", "row 1: compute must be a number, got ''"),
        ("months,compute\n0,nan\n", "row 1: compute must be finite and above 0"),
        ("months,compute\n0,-1\n", "row 1: compute must be finite and above 0"),
        ("months,compute,models\n0,1,a\n", "got months, compute, models"),
        ("months\n0\n", "needs a column compute and a column date or months, got months"),
        ("date,months,compute\n2026-01-01,0,1\n", "a column date or months"),
        ("months,compute\n", "at least one event"),
        ("", "got no header"),
    ],
)
def test_a_broken_table_is_one_line_and_2(capsys, table, words):
    code, out, err = run(capsys, table)
    assert code == 2 and not out and err.count("\n") == 1
    assert re.search(words, err), err


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--ratio", "1"], "above 1, got 1"), (["--months", "-1"], "above 0, got -1")],
)
def test_limits_out_of_range(capsys, words, told):
    code, _, err = run(capsys, LATE, *words)
    assert code == 2 and told in err and err.count("\n") == 1


def test_a_file_that_is_not_there_or_no_text(capsys):
    assert (
        main(["due", "nowhere.csv"]) == 2 and "cannot read nowhere.csv" in capsys.readouterr().err
    )
    Path("bytes.csv").write_bytes(b"\xff\xfe\x00\x80")
    assert (
        main(["due", "bytes.csv"]) == 2 and "not a comma-separated table" in capsys.readouterr().err
    )
