"""`assay VERB --schema`: a valid JSON schema for each verb, which what verbs print fits."""

import json
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from assay.ask import missing
from assay.ask import planned as plan
from assay.cli.main import VERBS, app, main, schema_of
from assay.core.schema import to_json
from assay.core.table import judge
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.report import overview as listing
from assay.verbs import new, others, run
from assay.verbs.doctor import examine
from assay.verbs.one_claim import choose

ROOT = Path(__file__).parents[2]


def valid(verb, given):
    """Hold what a verb gives to its schema."""
    Draft202012Validator(schema_of(verb)).validate(
        json.loads(json.dumps(to_json(given), allow_nan=False))
    )


def test_every_verb_of_the_command_line_has_one_and_nothing_else_has():
    names = {name for name in app.resolved_commands() if not name.startswith("-")}
    added = {name for verbs in others().values() for name in verbs}
    assert names - added == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_it_is_printed_and_nothing_is_run(verb, capsys):
    assert main([verb, "--schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    assert printed["title"] == f"assay {verb}"
    assert printed["$id"].startswith(f"urn:assay:{verb}:")


NUMBERS = {
    (arm, seed): 0.1 * seed * (1 + (arm == "mine")) % 0.3 + (arm != "mine")
    for arm in ("mine", "old", "again")
    for seed in range(8)
}
TABLE = "arm,seed,x\n" + "".join(f"{arm},{seed},{x}\n" for (arm, seed), x in NUMBERS.items())


def test_what_verbs_give_is_what_the_schemas_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = new.write_experiment("own", tmp_path)
    study = new.write_template("question", tmp_path, "study.txt", ".toml")
    (tmp_path / "my.csv").write_text(TABLE)
    experiment, lab = catalogue.find("own.py"), Lab(tmp_path / "s", Inline())
    smoke = override(experiment, "smoke")
    valid("new", made)
    valid("new", study)
    valid("list", listing.listed(tmp_path / "s"))
    valid("plan", plan.plan(lab, experiment, smoke))
    valid("plan", missing.find_gaps(study.path))
    ran = run.judged(lab, experiment, smoke)
    valid("run", ran)
    valid("run", run.judged(lab, experiment, smoke))  # as it is stored
    valid("show", lab.judge(experiment, smoke).data)
    valid("show", choose(lab.judge(experiment, smoke), "1").data)
    shutil.copy(
        ROOT / "tests/lab/walk.py", tmp_path / "stroll.py"
    )  # with exact statements and findings as well
    walk = catalogue.find(str(tmp_path / "stroll.py"))
    strolled = run.judged(lab, walk, override(walk, "default"))
    assert strolled.exact and strolled.findings and strolled.verdicts
    valid("run", strolled)
    found = judge(
        tmp_path / "my.csv", claim="mine.x - old.x < -0.5", unit=("seed",), control=("again",)
    )
    assert found.verdict.outcome == "holds"
    valid("judge", found)
    valid("doctor", examine(tmp_path / "s"))
    ran = to_json(ran)
    with pytest.raises(ValidationError):
        valid("run", {**ran, "verdicts": [{**ran["verdicts"][0], "outcome": "true"}]})
    with pytest.raises(ValidationError):
        valid("run", {k: v for k, v in ran.items() if k != "verdicts"})
