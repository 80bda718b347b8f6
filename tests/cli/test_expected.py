"""One claim of a result, and which came out otherwise than was expected; at the command line
too."""

import json
import shlex

import numpy as np

from acceptance.test_expected import JUDGE, TABLE, table
from assay.cli.main import main
from assay.lab import catalogue
from assay.report.questions import GROUPS, by_group

__all__ = ["table"]


def test_the_exit_code_says_whether_it_came_out_as_expected(table, capsys):
    assert main(["judge", str(table), *JUDGE]) == 0
    assert "● holds: " in capsys.readouterr().out
    assert main(["judge", str(table), *JUDGE, "--expect", "holds"]) == 0
    assert main(["judge", str(table), *JUDGE, "--expect", "fails"]) == 1
    assert "expected fails, holds: mine.x < 1.5" in capsys.readouterr().err


def test_a_verdict_on_a_table_lists_all_its_controls_where_that_is_asked_for(table, capsys):
    more = "\n".join(f"calm,{seed},{3 + seed % 3 / 100}" for seed in range(9))
    table.write_text(f"{TABLE}\n{more}")
    judge = ["judge", str(table), *JUDGE, "--control", "calm"]
    assert main(judge) == 0
    short = capsys.readouterr().out
    assert main([*judge, "--verbose"]) == 0
    full = capsys.readouterr().out
    assert [shown.count("✓ control") for shown in (short, full)] == [1, 2], (short, full)


def test_every_mistaken_name_is_reported_and_the_suggested_command_works(
    table, tmp_path, capsys, monkeypatch
):
    table.write_text(table.read_text().replace(",x", ",error"))
    typed = ["judge", str(table), "--claim", "mine.eror < 1.5"]
    typed += ["--unit", "sed", "--control", "yors"]
    assert main(typed) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all("did you mean" in line for line in lines), lines
    before, _, command = lines[-1].partition(" Type: assay ")
    assert "Type:" not in "".join([*lines[:-1], before])
    assert main(shlex.split(command)) == 0
    # a name that is like none is reported as well, and then no command is suggested
    assert main([*typed, "--fixed", "zzz"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "Type:" not in " ".join(lines)
    (tmp_path / "p.txt").write_text("1\n2\n3\n4\n5\n6\n")
    (tmp_path / "h.py").write_text("def f(word, prompts):\n    return [int(p) for p in prompts]\n")
    monkeypatch.chdir(tmp_path)
    check = ["check", "h.py:f", "--text", "be loud", "--prompts", "p.txt", "--holds", "effect > 3"]
    assert main([*check, "--unit", "row", "--control", "wrds"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert ["no column 'row'" in lines[0], "did you mean words?" in lines[1]] == [True, True]
    assert main([*check[:4], "--prompts", "q.txt", "--holds", "effect >"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_arms_may_be_in_another_column(table, capsys):
    table.write_text(TABLE.replace("arm,seed", "method,seed"))
    assert main(["judge", str(table), *JUDGE]) == 2
    assert "--arm-column" in capsys.readouterr().err
    assert main(["judge", str(table), *JUDGE, "--arm-column", "method"]) == 0
    table.write_text(
        "\n".join(
            f"{line},{'arm' if i == 0 else i}"
            for i, line in enumerate(table.read_text().splitlines())
        )
    )
    capsys.readouterr()
    assert main(["judge", str(table), *JUDGE, "--arm-column", "method"]) == 2
    assert "has a column 'arm' besides 'method'" in capsys.readouterr().err, (
        "no column is dropped unseen"
    )


def test_one_claim_is_shown_by_its_number_or_its_words(tmp_path, capsys):
    store = ("--preset", "smoke", "--root", str(tmp_path))
    assert main(["run", "deep-linear", *store, "--executor", "inline"]) == 0
    capsys.readouterr()
    assert main(["show", "deep-linear", "2", *store]) == 0
    second = capsys.readouterr().out
    assert all(
        word in second
        for word in ("claim 2", "threshold", "undecided", "source", "scope", "#claim-2")
    )
    assert main(["show", "deep-linear", *store]) == 0
    assert len(second) < len(capsys.readouterr().out)
    assert second.count("●") + second.count("○") >= 1
    assert main(["show", "deep-linear", "9", *store]) == 2
    assert "no claims of deep-linear fit '9'" in capsys.readouterr().err
    assert main(["show", "deep-linear", "1", "--expect", "fails", *store]) == 1


def test_a_group_is_listed_with_questions_and_verdicts(capsys, tmp_path):
    assert main(["list", "dictionaries", "--root", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "is shrinkage gone" in told and "--preset docs" in told and "●" in told
    assert "llc" not in told
    assert main(["list", "catalogue", "--root", str(tmp_path)]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert all(f" {entry.name} " in words for entry in catalogue.entries())
    assert main(["list", "planning", "--json", "--root", str(tmp_path)]) == 0
    listed = [e["name"] for e in json.loads(capsys.readouterr().out)["experiments"]]
    assert listed == ["compute-planner", "eval-schedule"]
    assert main(["list", "toy", "--root", str(tmp_path)]) == 2
    assert "no group or experiment is called 'toy'; did you mean toys?" in capsys.readouterr().err


def test_every_experiment_of_the_catalogue_names_a_group_that_has_a_question():
    assert set(by_group(catalogue.entries())) == set(GROUPS)


def test_an_option_that_was_not_typed_is_refused_with_what_it_is_for(table, capsys):
    at = JUDGE.index("--unit")
    without = ["judge", str(table), *JUDGE[:at], *JUDGE[at + 2 :]]
    assert main(without) == 2
    assert capsys.readouterr().err.startswith(
        "name one or two columns whose levels are independent"
    )
    assert main([*without, "--unit"]) == 2
    assert "requires an argument" in capsys.readouterr().err


def test_units_without_an_order_are_said_to_have_none_and_the_earlier_outcome_is_reported(
    capsys, tmp_path, monkeypatch
):
    """Sixteen tasks whose effects rise and fall slowly along the rows."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    effects = 0.1 + 0.06 * np.sin(np.arange(16) / 2.5) + 0.01 * draw.normal(size=16)
    base = draw.normal(size=16)
    rows = [
        f"{a},{t},{b + e * (a == 'new')}"
        for t, (b, e) in enumerate(zip(base, effects, strict=True))
        for a in ("new", "old")
    ]
    (tmp_path / "t.csv").write_text("\n".join(["arm,task,x", *rows]))
    words = ["judge", "t.csv", "--claim", "new.x - old.x > 0.05", "--unit", "task"]
    outcomes = []
    for more in ([], ["--distinct"]):
        assert main([*words, *more]) == 0
        outcomes.append(" ".join(capsys.readouterr().out.split()))
    ordered, distinct = outcomes
    assert "undecided" in ordered and "measure new tasks or give --distinct" in ordered
    assert "● holds" in distinct and "task: said to have no order (--distinct)" in distinct
    before = "the same claim was judged before on this machine, with other options"
    assert f"{before}: undecided" in distinct
