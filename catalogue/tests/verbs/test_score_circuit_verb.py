"""`assay score-circuit check`: the page's own example scores as the page says, code is said
to be code, and each mistake is one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from assay.cli.main import main
from assay_catalogue.circuits import known

PAGE = Path(__file__).parents[2] / "docs/explanations.md"
LITTLE = ("--inputs", "100", "--resamples", "100", "--candidates", "500")
EXAMPLE = re.search(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
CODE = """
from assay_catalogue.circuits.explanation import Explanation

explanation = Explanation(of="two_hops", name="answers alone", answer=lambda token: ((token % 4 == 3) != (token // 4 % 2)) * 1.0)
"""  # noqa: E501


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(EXAMPLE)


@pytest.mark.thorough
def test_the_pages_example_is_better_than_every_control(capsys):
    assert main(["score-circuit", "check", "mine.toml", *LITTLE]) == 0
    out = capsys.readouterr().out
    assert (
        "It is better than every control." in out
        and "code" not in out
        and all(len(line) <= 100 for line in out.splitlines())
    )


def test_json_has_every_part_and_control(capsys):
    assert main(["score-circuit", "check", "mine.toml", *LITTLE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ranked"] and not found["code"] and found["quality"]["estimate"] > 0.9
    assert [part["name"] for part in found["parts"]] == [
        "E1 ablation",
        "E2 scrubbing",
        "E3 implementation",
        "E4 adversarial",
        "short",
    ]
    assert [c["kind"] for c in found["controls"]] == ["another", "shuffled", "empty", "whole"]
    assert found["parts"][3]["estimate"] is None and "errs on 0" in found["parts"][3]["why"]
    assert {x["variable"] for x in found["exchanged"]} == {"before", "found"} and found["as_good"][
        "sets tried"
    ] > 0


def said_of(text: str, capsys) -> str:
    """What is printed of an explanation, as one line."""
    Path("small.toml").write_text(text)
    assert (
        main(
            [
                "score-circuit",
                "check",
                "small.toml",
                "--inputs",
                "100",
                "--resamples",
                "100",
                "--candidates",
                "500",
            ]
        )
        == 0
    )
    return " ".join(capsys.readouterr().out.split())


def test_a_wrong_scale_is_said_to_make_quality_0_and_so_is_what_mends_it(capsys):
    """The model's logits are 30 apart: 3 times a margin of 10, which is two thirds off, so (2/3)²
    of the variance is lost; ½ times one of 60."""
    own = known.text("modular_sum")
    out = said_of(own.replace("margin = 30", "margin = 10"), capsys)
    assert (
        "multiply your logits (or the margin) by about 3, they explain 1.00 of that variance."
        in out
    )
    assert re.search(
        (
            r"squared error, as shares of the variance of the model's: offset 0\.\d\d, scale "
            r"0\.44, rest 0\.00\."
        ),
        out,
    )
    says = (
        r"the model says (\d), the explanation (\d); the logit of (\d), minus the mean of all, is "
        r"25\.7 and 8\.6"
    )
    worst = re.search(rf"Largest error: .*?: at 2 {says}", out)
    assert len(set(worst.groups())) == 1 and "Quality is 0" not in out
    out = said_of(own.replace("margin = 30", "margin = 300"), capsys)
    assert "Quality is 0 because E3 implementation is 0." in out and "by about 0.1," in out


def test_what_was_not_tried_and_what_costs_nothing_is_said_so(capsys):
    out = said_of(known.text("modular_sum"), capsys)
    assert (
        "no other place was tested" in out
        and "0 of 0" not in out
        and "Ablating what you left out costs nothing." in out
        and "squared error" not in out
    )
    out = said_of(known.text("redundant", rival=True), capsys)
    assert (
        "Claimed irrelevant, but costs most: " in out
        and "Ablating what you left out costs nothing" not in out
    )


def test_failures_foretold_of_a_model_that_never_errs_are_a_zero_that_is_explained(capsys):
    out = said_of('fails = "1 == 1"\n' + known.text("modular_sum"), capsys)
    assert "Quality is 0 because E4 adversarial is 0." in out
    assert (
        "E4 adversarial: the model errs on 0 of 500 inputs; 500 of 500 are predicted to fail" in out
    )


def test_code_is_said_to_be_code_and_answers_alone_are_no_explanation(capsys):
    Path("mine.py").write_text(CODE)
    assert main(["score-circuit", "check", "mine.py", *LITTLE]) == 0
    out = capsys.readouterr().out
    assert (
        "The file is code, and it was executed." in out
        and "It is not better than every control" in out
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EXAMPLE.replace('"a1.0"', '"a7.0"'), "variable found: the model has no part a7.0"),
        (EXAMPLE.replace('of = "induction"', 'of = "inductoin"'), "did you mean induction?"),
        (
            EXAMPLE.replace('of = "induction"', 'of = "bracket"'),
            "mine.toml: of: no circuit, trained model or folder is called 'bracket'",
        ),
        (EXAMPLE.replace("== token)", "== tokens)"), "did you mean token?"),
        (EXAMPLE.replace('is = "found"', 'is = "found + 90"'), "names class"),
        ("[", "is not TOML"),
    ],
)
def test_a_mistake_is_one_line(text, said, capsys):
    Path("mine.toml").write_text(text)
    assert main(["score-circuit", "check", "mine.toml", *LITTLE]) == 2
    out, err = capsys.readouterr()
    assert said in err and len(err.strip().splitlines()) == 1 and not out


def test_too_little_to_try_is_refused(capsys):
    assert main(["score-circuit", "check", "mine.toml", "--inputs", "5"]) == 2
    assert "at least 100" in capsys.readouterr().err


def test_ours_is_printed_as_a_file_that_can_be_checked(capsys):
    for words, quality in (((), (0.9, 1)), (("--rival",), (0, 0.2))):
        assert main(["score-circuit", "show", "two_hops", *words]) == 0
        Path("ours.toml").write_text(capsys.readouterr().out)
        assert main(["score-circuit", "check", "ours.toml", *LITTLE, "--json"]) == 0
        assert (
            quality[0] <= json.loads(capsys.readouterr().out)["quality"]["estimate"] <= quality[1]
        )
    assert main(["score-circuit", "show", "two_hops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["toml"].startswith('of = "two_hops"')


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "two_hop"), "did you mean two_hops"),
        (("check", "mine.toml", "--rival"), "goes with show"),
    ],
)
def test_what_does_not_go_together_is_one_line(words, said, capsys):
    assert main(["score-circuit", *words]) == 2
    assert said in capsys.readouterr().err


def test_look_takes_a_model_apart_by_name_by_file_and_by_folder(capsys):
    assert main(["score-circuit", "look", "redundant"]) == 0
    assert all(len(line) <= 100 for line in capsys.readouterr().out.splitlines())
    Path("small.toml").write_text(known.text("redundant"))
    found = []
    for what in ("redundant", "small.toml"):
        assert main(["score-circuit", "look", what, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1] and [p["part"] for p in found[0]["parts"]] == [
        "embed",
        "pos",
        "a0.0",
        "a0.1",
        "m0",
    ]
    assert main(["puzzle", "new", "puzzle", "--seed", "1", "--kind", "modular_sum"]) == 0
    capsys.readouterr()
    assert main(["score-circuit", "look", "puzzle", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == 1


def test_look_says_what_is_asked_where_and_how_classes_are_numbered(capsys):
    """As the circuits were written: brackets ask at the end alone, a sorter of five at the
    separator and each value but the last."""
    assert main(["score-circuit", "look", "brackets"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "The task is balanced-10: inputs have 12 tokens, and the answer is read at position 11, "
        "counted from 0."
    ) in out
    assert "It has 2 classes: 0 is no, 1 is balanced." in out
    assert main(["score-circuit", "look", "sorting", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["asked"] == "5 to 9"
        and found["classes"] == 21
        and found["called"] == [str(i) for i in range(21)]
    )


@pytest.mark.parametrize(
    "words",
    [
        ("look", "nobody"),
        ("look", "nobody.toml"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(capsys, words):
    assert main(["score-circuit", *words]) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
