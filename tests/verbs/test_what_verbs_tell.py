"""What each verb tells with `--json` is what the schema of its result's class says, and what its
function gives in Python."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from assay.ask import planned as plan
from assay.ask.planned import Gap, StudyGaps
from assay.cli.main import main, schema_of
from assay.core.schema import to_json
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.forecast import Prospect
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.verbs.new import write_experiment, write_template
from assay.verbs.plan import assumed, counted, outlined

SMOKE = ("--preset", "smoke", "--root", "store")
INLINE = ("--executor", "inline")
ARMS = ("mine", "old", "again")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two experiments, the one stored, the other such that its training crashes."""
    folder = tmp_path_factory.mktemp("told")
    for name in ("own", "sick"):
        write_experiment(name, folder)
    text = (folder / "sick.py").read_text()
    (folder / "sick.py").write_text(
        text.replace("    def batch(", '    raise ValueError("too few cats")\n\n    def batch(')
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "own.py", *SMOKE, *INLINE]) == 0
    shutil.copy(Path(__file__).parents[1] / "lab/walk.py", folder / "stroll.py")
    write_template("question", folder, "study.txt", ".toml")
    rows = (f"{arm},{s},{0.1 * (s % 3) + (arm != 'mine')}\n" for arm in ARMS for s in range(8))
    (folder / "my.csv").write_text("arm,seed,x\n" + "".join(rows))
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


CLAIM = (
    "--claim",
    "mine.x - old.x < -0.5",
    "--unit",
    "seed",
    "--control",
    "again",
    "--about",
    "mine",
)
VERBS = {
    "list": ("list", "--root", "store"),
    "plan": ("plan", "own.py", *SMOKE),
    "plan of what is unknown": ("plan", "own.py"),
    "plan of a study": ("plan", "question.toml"),
    "run": ("run", "stroll.py", *SMOKE, *INLINE),
    "run of what is stored": ("run", "own.py", *SMOKE, *INLINE),
    "show": ("show", "own.py", *SMOKE),
    "show of a claim": ("show", "own.py", "1", *SMOKE),
    "judge": ("judge", "my.csv", *CLAIM),
    "verify --record": ("verify", "own.py", *SMOKE, "--record"),
    "verify": ("verify", "own.py", *SMOKE),
    "doctor": ("doctor", "--root", "store"),
    "report": ("report", "own.py", *SMOKE),
    "new": ("new", "another"),
    "doctor --remove": ("doctor", "--remove", "own.py", "--root", "empty"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_it_fits_the_schema_of_its_verb(verb, capsys):
    main([*VERBS[verb], "--json"])
    told = json.loads(capsys.readouterr().out)
    schema = schema_of(VERBS[verb][0])
    assert list(Draft202012Validator(schema).iter_errors(told)) == []
    assert list(Draft202012Validator(schema).iter_errors({"verdicts": 3}))


def test_a_plan_says_what_a_study_does_not_specify_in_sentences():
    size = Gap("claim 1: size", "claim a size", "its threshold is 0", "the verdict")
    budget = Gap("budget", 'write budget = "10m"', "there is no limit", "nothing")
    idle = Gap("arms", "name it in a claim", "left out: the arm far, which no claim names")
    lacking = Gap("question", "write it", None, "")
    assert [
        *assumed(StudyGaps(study="own.toml", gaps=(size, budget, idle, lacking), exit_code=0))
    ] == [
        "Left out: the arm far, which no claim names. To change this, name it in a claim.",
        "Defaults for what the study leaves open:",
        "– claim 1: size: its threshold is 0 (this costs the verdict). To change this, "
        "claim a size.",
        '– budget: there is no limit. To change this, write budget = "10m".',
        "",
    ]


def test_a_plan_tells_each_run_by_its_key_and_what_is_unknown_as_null():
    lab, own = Lab("store", Inline()), catalogue.find("own.py")
    rows = lab.plan(own, "smoke").rows
    found = plan.plan(lab, own, override(own, "smoke"))
    assert [run["key"] for run in to_json(found)["runs"]] == [row.job.key for row in rows]
    unknown = to_json(plan.plan(lab, own, override(own, "default", ["inputs=200"])))
    assert unknown["command_seconds"] is None


def test_units_that_decide_a_claim_and_not_its_controls_are_not_called_enough():
    known = {"text": "a", "scale": "plain", "factor": "seed", "units": 6, "half_width": 0.1}
    prospect = Prospect(**known, distance=0.2, expected="holds", power=0.0, fewest=6)
    assert outlined(prospect) == [
        "Forecast: it holds. With its controls, only 0% of such experiments would decide it: it "
        "is underpowered.",
        "With 6 seeds, the 95% interval is the estimate ± 0.1, and the threshold is 0.2 away.",
        "Without its controls, 6 seeds would decide it.",
    ]
    first, *_, need = outlined(replace(prospect, power=1.0))
    assert first == (
        "Forecast: it holds; 100% of such experiments would decide it, controls included."
    )
    assert need == "6 seeds are enough to decide it."


def test_a_plan_names_the_controls_of_each_claim():
    same = {"cut/heads": "24 prompts", "cut/damage": "24 prompts"}
    said = counted(SimpleNamespace(judged={"cut": "24 prompts"}, controls=same))
    assert said.endswith("in its own arm and in each control: cut/heads and cut/damage.")
