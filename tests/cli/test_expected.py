"""One claim of a result, and which came out otherwise than was expected; at the command line
too."""

import json

from acceptance.test_expected import JUDGE, TABLE, table
from assay.cli.main import main
from assay.lab import catalogue
from assay.report.questions import GROUPS, by_group

__all__ = ["table"]


def test_the_exit_code_says_whether_it_came_out_as_expected(table, capsys):
    assert main(["judge", str(table), *JUDGE]) == 0
    assert main(["judge", str(table), *JUDGE, "--expect", "holds"]) == 0
    assert main(["judge", str(table), *JUDGE, "--expect", "fails"]) == 1
    assert main(["judge", str(table), *JUDGE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "holds"


def test_arms_may_be_in_another_column(table):
    table.write_text(TABLE.replace("arm,seed", "method,seed"))
    assert main(["judge", str(table), *JUDGE]) == 2
    assert main(["judge", str(table), *JUDGE, "--arm", "method"]) == 0


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
