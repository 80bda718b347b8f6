"""A study without runs of main is judged, shown and reported."""

import json

import pytest

from assay.cli.main import main

OWN = '''"""Do derived arms bring what they are made of?

Paper: none
Claim: none
Baselines: twice
Cost: a second
"""

from assay import Arm, Experiment, Spec, Trained, grid, measures, normal


def train(runs, bench):
    return Trained.nothing(runs)


def measure(runs, trained, bench):
    return measures(runs, x=("run", normal(runs.seeds, "x", 0, ()) + 9, "1"))


def low(runs, trained, bench):
    return measures(runs, x=("run", normal(runs.seeds, "x", 0, ()), "1"))


experiment = Experiment(
    arms={
        "main": Arm(train),
        "other": Arm(train, measure=low),
        "third": Arm(train),
        "twice": Arm(derive=lambda arms: 2 * arms["other"]),
    },
    measure=measure,
    claims=(),
    smoke=grid(Spec(), seed=range(2)),
    default=grid(Spec(), seed=range(8)),
    full=grid(Spec(), seed=range(8)),
)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_without_runs_of_main_is_judged_shown_and_reported(folder, capsys):
    (folder / "own.py").write_text(OWN)
    (folder / "asks.toml").write_text(
        'question = "Is it above 5?"\nseeds = "0:8"\n'
        '[[experiment]]\nname = "./own.py"\narms = ["third", "other"]\n'
        '[[claim]]\ntext = "Above 5"\nholds = "third.x > 5"\n'
        'control = ["other"]\nthreshold = "plan: by construction"\n'
    )
    for words in (["plan"], ["run", "--executor", "inline"], ["show"], ["report"]):
        assert main([words[0], "asks.toml", *words[1:]]) == 0
    told = capsys.readouterr().out
    assert "main" not in told and "third" in told
    assert {run["arm"] for run in _runs(capsys)} == {"third", "other"}


def _runs(capsys):
    assert main(["plan", "asks.toml", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["runs"]
