"""`assay puzzle`: made, answered, scored and revealed as the page says; what is wrong is one
line, and nothing is left half written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.cli.main import main
from assay_catalogue.circuits.challenge.planted import plant

LITTLE = ("--inputs", "100", "--resamples", "100", "--candidates", "300")
SCORE = ("puzzle", "score", "puzzle", "mine.toml", *LITTLE)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_ROOT", raising=False)
    assert main(["puzzle", "new", "puzzle", "--seed", "5", "--kind", "modular_sum"]) == 0
    Path("mine.toml").write_text(plant(5, "modular_sum").answer)


def test_the_right_answer_wins_and_only_the_first_is_blind(capsys):
    assert main(SCORE) == 0
    out = capsys.readouterr().out
    assert (
        "It is better than every control." in out
        and "scored blind" in out
        and "The planted circuit was modular_sum, from seed 5" in out
    )
    assert out.rstrip().endswith(plant(5, "modular_sum").answer.rstrip())
    assert main([*SCORE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["before"] == 1
        and found["found"]["ranked"]
        and found["found"]["quality"]["estimate"] > 0.9
    )
    assert found["planted"]["quality"]["estimate"] == found["found"]["quality"]["estimate"]
    assert [c["kind"] for c in found["found"]["controls"]] == [
        "another",
        "shuffled",
        "empty",
        "whole",
    ]
    assert main(SCORE) == 0 and "2 answers had been scored before" in capsys.readouterr().out


def test_an_empty_answer_scores_nothing(capsys):
    assert main(["puzzle", "score", "puzzle", "puzzle/my_explanation.toml", *LITTLE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"]["quality"]["estimate"] == 0


def test_what_is_new_says_where_it_is_and_what_comes_next(capsys):
    assert main(["puzzle", "new", "another"]) == 0
    assert main(["challenge-claim", "superposition"]) == 0, "a store of challenges is a store"
    out = capsys.readouterr().out
    assert (
        "assay puzzle score another another/my_explanation.toml" in out
        and "assay-store/challenges/" in out
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("new", "puzzle"), "puzzle exists already"),
        (("new", "a", "mine.toml"), "takes no answer"),
        (("score", "puzzle"), "name an answer: "),
        (("score", "puzzle", "mine.toml", "--kind", "sorting"), "--kind only goes with new"),
        (
            ("score", "puzzle", "mine.toml", "--root", "elsewhere"),
            "is in the store in which the challenge was made",
        ),
        (("score", "puzzle", "mine.toml", "--inputs", "5"), "at least 100"),
        (("score", "puzzle", "absent.toml"), "no file absent.toml"),
        (("score", "puzzle", "mine.py"), "is not an answer to a challenge"),
        (("score", "absent", "mine.toml"), "no file absent"),
        (("new", "mine.toml/a"), "cannot write"),
        (("new", "a", "--root", "a/store"), "is inside a"),
        (("new", "a", "--kind", "sortin"), "sortin"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(words, said, capsys):
    before = {p: p.stat().st_mtime_ns for p in Path().rglob("*") if p.is_file()}
    capsys.readouterr()
    assert main(["puzzle", *words]) == 2
    out, err = capsys.readouterr()
    assert said in err and len(err.strip().splitlines()) == 1 and not out
    assert {p: p.stat().st_mtime_ns for p in Path().rglob("*") if p.is_file()} == before


def test_an_edited_folder_is_not_scored(capsys):
    config = Path("puzzle/config.json")
    config.write_text(config.read_text().replace("t1", "t2"))
    assert main(SCORE) == 2
    assert "config.json was changed" in capsys.readouterr().err


def test_a_commitment_that_was_swapped_for_another_challenges_is_refused(capsys):
    assert main(["puzzle", "new", "easy", "--seed", "1", "--kind", "two_hops"]) == 0
    Path("puzzle/challenge.json").write_text(Path("easy/challenge.json").read_text())
    assert main(SCORE) == 2
    assert "was changed" in capsys.readouterr().err
