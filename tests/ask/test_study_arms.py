"""The arms of a study: those that are listed run and are asked, with what they are made of; and
what somebody is told who names another."""

import json

import pytest

from acceptance.test_study_arms import OWN, folder
from assay.cli.main import main
from assay.core.errors import ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

__all__ = ["folder"]
RARE = """
question = "Do rare latents grow rarer when the rate is annealed?"
seeds = "1000000:1000006"
[[experiment]]
name = "ultra-rare-features"
arms = ARMS
fields = { annealed = true }
[[claim]]
text = "Rare latents grow rarer"
holds = "OF.slope[kind=rare] < -0.9"
control = ["CONTROL"]
threshold = "plan: most of a decade"
"""


def rare(folder, arms, control="ordinary", of="main"):
    path = folder / "rare.toml"
    text = RARE.replace("ARMS", json.dumps(arms)).replace("CONTROL", control).replace("OF", of)
    path.write_text(text)
    return path


def test_a_derived_arm_brings_what_it_is_made_of_and_a_plan_says_why(folder, capsys):
    path = rare(folder, ["main", "real-uncommon"], "real-uncommon")
    study = catalogue.find(str(path))
    assert [(name, a.asked) for name, a in study.arms.items()] == [
        ("main", True),
        ("real", False),
        ("real-uncommon", True),
    ]
    assert main(["plan", str(path), "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("real is trained though arms does not list it, since real-uncommon is")


JUDGES = """
question = "Does a Matryoshka dictionary absorb less?"
[[experiment]]
name = "metric-audit"
[[claim]]
text = "It scores more than .05"
holds = "mean(ARM[kind=matryoshka, recipe=0], over=copy) > 0.05"
control = ["numbers"]
threshold = "plan: .05"
"""


def test_a_plan_knows_what_derived_arms_measure_as_the_run_does(folder, capsys):
    path = folder / "judges.toml"
    for arm, why in {
        "absorption.foo": "arm absorption has no measure 'foo'; it has truths, score",
        "main.scores": "numbers has no 'scores', which would be read in place of that of main",
    }.items():
        path.write_text(JUDGES.replace("ARM[", f"{arm}["))
        assert main(["plan", str(path)]) == 2
        assert why in " ".join(capsys.readouterr().err.split())
    path.write_text(JUDGES.replace("ARM[", "absorption.score["))
    assert main(["plan", str(path)]) == 0
    capsys.readouterr()
    assert main(["list", "metric-audit", "--arm", "absorption", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "score = −absorption" in answer["arms"]["metric-audit"][0]["note"]
    (score,) = [m for m in answer["measures"] if m["name"] == "score"]
    assert [d["name"] for d in score["dimensions"]] == ["kind", "recipe", "copy"]


def test_an_arm_that_runs_for_another_is_named_by_no_verdict(folder):
    (folder / "own.py").write_text(OWN)
    (folder / "asks.toml").write_text(
        'question = "Is it above 5?"\nseeds = "0:8"\n'
        '[[experiment]]\nname = "./own.py"\narms = ["third", "twice"]\n'
        '[[claim]]\ntext = "Above 5, below 14"\nholds = "5 < third.x < 14"\n'
        'control = ["twice"]\nthreshold = "plan: by construction"\n'
    )
    study = catalogue.find("asks.toml")
    # nothing is recorded of it, so that a derived arm may be made of any
    assert {n for n, a in study.arms.items() if not a.asked} == {"main", "other"}
    result = Lab(folder / "store", Inline()).run(study)
    (judged,) = result.judged
    assert judged.outcome == "holds" and judged.asked == () and judged.also == {}
    assert set(result.arms) == {"main", "other", "third", "twice"}


def test_a_control_that_arms_leaves_out_is_told_with_the_arms_that_there_are(folder):
    with pytest.raises(ExperimentError) as told:
        catalogue.find(str(rare(folder, ["main"])))
    words = str(told.value)
    assert "the study has no arm 'ordinary'; arms of ultra-rare-features leaves it out: " in words
    assert "add 'ordinary' to arms = [\"main\"], or leave out arms; ultra-rare" in words
    assert "has main, no-l1, about-mean, real, uncommon, ordinary" in words
