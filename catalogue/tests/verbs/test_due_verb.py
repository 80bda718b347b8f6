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
    assert "initial" in lines["1"] and "9× " in lines["3"] and "compute" in lines["3"]
    assert "time" in lines["5"] and "0.4 months" in lines["5"] and "7.14×" in lines["7"]
    assert "due at 4 of 7 events" in " ".join(out.split()) and "8e+23" in out and "7.7" in out


def test_no_number_is_rounded_to_the_other_side_of_its_limit(capsys):
    _, out, _ = run(capsys, "months,compute\n0,1e21\n3,3.996e21\n5.9996,1.5984e22\n")
    by_time, by_compute = (
        line.split() for line in out.splitlines() if line.strip()[:1] in ("2", "3")
    )
    assert by_time[-1] == "time" and "3.996×" in by_time
    assert by_compute[-1] == "compute" and "4×" in by_compute and "2.9996" in by_compute


def test_json_holds_the_same(capsys):
    code, out, _ = run(capsys, LATE, "--json")
    found = json.loads(out)
    assert code == 1 and [d["row"] for d in found["due"]] == [1, 3, 5, 7]
    assert [d["reasons"] for d in found["due"]] == [["initial"], ["compute"], ["time"], ["compute"]]
    assert found["due"][2]["overdue"] == pytest.approx(0.4) and found["next"][
        "compute"
    ] == pytest.approx(8e23)


def test_nothing_overdue_ends_with_0(capsys):
    assert run(capsys, "months,compute\n" + "".join(f"{k},{2**k}\n" for k in range(9)))[0] == 0


def test_dates_efficiency_and_limits(capsys):
    table = "date,flop,efficiency\n2026-01-01,1e21,1\n2026-02-01,2e21,2\n2026-08-01,2e21,2\n"
    code, out, _ = run(capsys, table, "--json")
    found = json.loads(out)
    assert code == 1 and [d["row"] for d in found["due"]] == [
        1,
        2,
        3,
    ]  # 2e21 twice as efficient are 4e21
    assert found["due"][2]["at"] == "2026-08-01" and found["due"][2]["overdue"] == pytest.approx(
        181 / 30.4375 - 3
    )
    assert found["next"] == {
        "compute": pytest.approx(1.6e22),
        "at": "2026-10-31",
    }  # 91.3125 days after August 1
    assert run(capsys, table, "--months", "6")[0] == 0
    code, out, _ = run(capsys, table, "--ratio", "inf", "--months", "inf", "--json")
    assert code == 0 and json.loads(out)["next"] == {"compute": None, "at": None}
    assert run(capsys, "date,compute\n2026-01-01,1\n", "--months", "inf")[0] == 0


def test_an_empty_cell_is_no_efficiency_and_one_month_is_singular(capsys):
    code, _, error = run(capsys, "months,flop,efficiency\n0,1e20,2\n1,1.5e20,\n")
    assert code == 2 and "row 2: efficiency must be a number" in error
    code, out, _ = run(capsys, "months,compute\n0,1\n4,1.5\n")
    assert (
        code == 1
        and re.search(r"1 month\s*$", out, re.MULTILINE)
        and "at month 7" in " ".join(out.split())
    )


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
        ("months,compute\n0,1\n1\n", "row 2: compute must be a number, got ''"),
        ("months,compute\n0,1,7\n", "row 1 has more cells than the header"),
        ("months,compute\n0,nan\n", "row 1: compute must be finite and above 0"),
        ("months,compute\n0,-1\n", "row 1: compute must be finite and above 0"),
        ("months,flop\n0,-1e21\n", "row 1: compute must be a positive number of FLOP"),
        (
            "months,flop,efficiency\n0,1,1\n1,2,0.5\n",
            "row 2: efficiency is how many times better .* got 0.5",
        ),
        ("months,compute,efficiency\n0,1,1\n", "efficiency goes with flop"),
        ("months,compute,models\n0,1,a\n", "unknown column 'models'"),
        ("month,compute\n0,1\n", "unknown column 'month'; did you mean months"),
        ("months\n0\n", "needs one column compute or flop, got months"),
        ("date,months,compute\n2026-01-01,0,1\n", "needs one column date or months"),
        ("months,compute\n", "at least one event"),
        ("", "needs one column date or months, got no header"),
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
