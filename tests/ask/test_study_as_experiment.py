"""A study is an experiment in every respect: planned, run, judged; its numbers are those of the
experiments it borrows from."""

import json

import pytest

from acceptance.test_study_as_experiment import CLAIM, HEAD, PART, write
from assay.cli.main import main
from assay.core.claims import role
from assay.core.errors import ExperimentError
from assay.lab import catalogue


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            HEAD + PART.replace("width", "widht", 1) + CLAIM,
            "line 7 column 10: MyClaim has no field widht; did you mean width?",
        ),
        (
            HEAD + PART.replace("./own.py", "gatedsae") + CLAIM,
            "line 6 column 8: no experiment is called 'gatedsae'",
        ),
        (
            HEAD + PART + CLAIM + "[claim.where]\nlr = 0.5\n",
            "line 15 column 1: arm main has no run with lr = 0.5; it has 0.003",
        ),
        # a name that there is not is told before what is missing
        (
            HEAD
            + PART
            + CLAIM.replace("main.angle -", "mane.angle -").replace('control = ["flat"]', ""),
            "the study has no arm 'mane'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column_before_anything_is_trained(own, text, told):
    path = write(own, text.replace("own.py", "own.py"))
    with pytest.raises(ExperimentError) as caught:
        catalogue.find(str(path))
    said = str(caught.value).replace("Own has", "MyClaim has")
    assert told in said
    assert "\n" not in said


AGAIN = """
[[experiment]]
name = "./own.py"
label = "again"
fields = { inputs = 6, steps = 30, width = 2 }
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # runs on seeds that pilots saw, behind seeds that nobody saw: what is frozen, and looks,
        # are told by the study's seeds alone
        (
            PART + AGAIN.replace("width = 2", 'width = 2, seed = "0:6"') + CLAIM,
            "a study has the same seeds for all of its experiments",
        ),
        (
            PART.replace("width = [2, 3]", "width = 2") + "paired = { seed = [7, 9] }\n" + CLAIM,
            "a study has the same seeds for all of its experiments",
        ),
        # the same runs under two names: their difference is nought, whatever is claimed, so the
        # control cannot but fail
        (
            PART + AGAIN + CLAIM.replace('["flat"]', '["again/flat"]'),
            "main and again/main have the same runs",
        ),
        (
            PART
            + AGAIN.replace("width = 2", "width = 3")
            + CLAIM.replace('["flat"]', '["again/main"]'),
            "width=3/main and again/main have",
        ),
        (
            PART + AGAIN.replace("width = 2", "width = 2, lr = [0.003, 0.1]") + CLAIM,
            "main and again/main have the same runs",
        ),
    ],
    ids=[
        "seeds of its own",
        "paired seeds",
        "the same side",
        "the same as another value",
        "some runs the same",
    ],
)
def test_seeds_that_are_not_counted_and_controls_that_cannot_but_fail_are_refused(own, text, told):
    with pytest.raises(ExperimentError, match=told):
        catalogue.find(str(write(own, HEAD + text)))


def test_what_is_not_said_is_listed_with_defaults_and_their_cost(own, capsys):
    path = write(own, 'question = "Well?"\n' + PART + '\n[[claim]]\ntext = "It is"\n')
    assert main(["plan", path.name, "--json"]) == 2
    unsaid = {u["where"]: u for u in json.loads(capsys.readouterr().out)["gaps"]}
    assert unsaid["claim 1: holds"]["default"] is None
    assert unsaid["claim 1: control"]["default"] is None
    assert "flat" in unsaid["claim 1: control"]["text"]
    assert unsaid["seeds"]["default"].startswith("1000000:10000")
    assert unsaid["seeds"]["cost"]


def test_the_template_runs_as_it_is_and_lacks_nothing(own, capsys):
    assert main(["new", "my-question", "--study"]) == 0
    capsys.readouterr()
    assert main(["plan", "my-question.toml", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert {r["arm"] for r in planned["runs"]} == {"main", "drawn", "linear"}
    assert planned["cpu_seconds"] > 0  # told by the record of superposition
    assert main(["new", "my-question", "--study"]) == 2  # what is there stays


def test_a_text_that_an_experiment_cannot_read_is_told_with_its_place(own, capsys):
    part = (
        '[[experiment]]\nname = "gated-sae"\narms = ["main", "relu", "topk"]\nfields = { corpus = '
        '"./nothing", penalty = 0.2 }\n'
    )
    claim = (
        '[[claim]]\ntext = "Gated wins"\nholds = "main.fvu - relu.fvu < -0.01"\ncontrol = '
        '["topk"]\nunits = ["seed", "document"]\n'
    )
    path = write(own, HEAD + part + claim)
    assert main(["plan", path.name]) == 2
    told = capsys.readouterr().err
    assert "asks.toml line 7 column 10: gated-sae cannot read what it needs: " in told
    assert str(own / "nothing") in told.replace("\n", "") or "SmolLM2" in told


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('seeds = "0:6"', "seeds = 0:6", 'a range is a text, "0:6"'),
        (
            'threshold = "plan: a degree"',
            "beats = nan",
            "line 14 column 9: beats is not a number; leave it out, or name one",
        ),
        (
            'control = ["flat"]',
            'control = ["width=3/main"]',
            "line 12 column 11: width=3/main is in the condition",
        ),
        (
            "fields =",
            "learned = { flut = [] }\nfields =",
            "line 7 column 11: the study has no arm 'flut' of an experiment; did you mean flat?",
        ),
    ],
)
def test_mistakes_that_toml_invites_are_told_with_what_would_be_right(own, right, wrong, told):
    path = write(own, (HEAD + PART + CLAIM).replace(right, wrong))
    with pytest.raises(ExperimentError) as caught:
        catalogue.find(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


LEARNED = PART + 'learned = { flat = ["encoder"], "width=3/flat" = ["decoder"] }\n'
ROLES = """credits = "decoder"
violations = ["flat"]
empty = 85
beats = 0.5
fixed = ["2 widths"]
"""


def test_a_study_says_what_was_learned_and_what_is_credited(own):
    """An arm that lacks what is credited is no excuse; one that has it may be."""
    study = catalogue.find(str(write(own, HEAD + LEARNED + CLAIM + ROLES)))
    (claim,) = study.claims
    told = (claim.credits, claim.violations, claim.empty, claim.beats, claim.fixed)
    assert told == (("decoder",), ("flat",), 85.0, 0.5, ("2 widths",))
    learned = {name: arm.learned for name, arm in study.arms.items() if arm.learned is not None}
    assert learned == {"flat": ("encoder",), "width=3/flat": ("decoder",)}
    assert [name for name, parts in learned.items() if claim.lacks(parts)] == ["flat"]
    assert role(claim.also["width=3/flat"]) == "rival"
    for credited, said in (
        ("encoder", "in width=3/flat, something that the claim credits was not learned, encoder"),
        ("encodr", "no arm says that 'encodr' was learned; did you mean encoder"),
    ):
        wrong = ROLES.replace('"decoder"', f'"{credited}"')
        with pytest.raises(ExperimentError, match=f"asks.toml line .*: {said}"):
            catalogue.find(str(write(own, HEAD + LEARNED + CLAIM + wrong)))


def test_what_exceeds_its_budget_is_not_begun(own, capsys):
    from assay.verbs.new import write_template

    path = write_template("dear", own, "study.txt", ".toml").path
    path.write_text(
        path.read_text()
        .replace('budget = "5m"', 'budget = "1s"')
        .replace("steps = 2000", "steps = 200000")
    )
    assert main(["run", path.name, "--executor", "inline"]) == 2
    told = capsys.readouterr().err
    assert "dear.toml line 7 column 10: the missing runs would take" in told
    assert "nothing was run" in told
    assert not (own / "assay-store" / "runs" / "dear").exists()


def test_a_study_of_a_study_is_refused(own):
    write(own, HEAD + PART + CLAIM, "first.toml")
    with pytest.raises(ExperimentError, match="is a study itself"):
        catalogue.find(
            str(
                write(own, (HEAD + PART + CLAIM).replace("./own.py", "./first.toml"), "second.toml")
            )
        )
