"""The committed schemas of verbs are those of their types, a change needs a version, and what verbs
print is what they say."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import schemas_page
from jsonschema import Draft202012Validator, ValidationError

from assay.cli.main import app
from assay.cli.schemas import VERBS, document, moved
from assay.core.schema import to_json
from assay.core.table import judge
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.records import records
from assay.verbs import catalogue as listing
from assay.verbs import new, plan, unsaid, verdicts
from assay.verbs.health import examine

ROOT = Path(__file__).parents[2]


def valid(verb: str, given: object) -> None:
    """Hold what a verb gives to the file that is committed."""
    committed = json.loads((schemas_page.FILES / f"{verb}.json").read_text())
    Draft202012Validator(committed).validate(
        json.loads(json.dumps(to_json(given), allow_nan=False))
    )


def test_every_verb_of_the_command_line_has_one_and_nothing_else_has() -> None:
    verbs = {name for name in app.resolved_commands() if not name.startswith("-")}
    assert verbs == set(VERBS) == {path.stem for path in schemas_page.FILES.glob("*.json")}


@pytest.mark.parametrize("verb", VERBS)
def test_the_committed_files_are_current(verb: str) -> None:
    made, there = document(verb), json.loads((schemas_page.FILES / f"{verb}.json").read_text())
    Draft202012Validator.check_schema(made)
    assert not moved(there, made), (
        f"the schema of {verb} changed: raise its version where it is declared"
    )
    assert there == made, "write the files again: python tests/docs/schemas_page.py"


def test_a_change_without_another_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(schemas_page, "FILES", tmp_path / "schemas")
    schemas_page.main()
    file = tmp_path / "schemas/fetch.json"
    before = json.loads(file.read_text())
    changed = copy.deepcopy(before)
    changed["properties"]["size"] = {"type": "integer"}
    file.write_text(json.dumps(changed))  # as if the committed type had had one more field
    with pytest.raises(SystemExit, match="the schema of fetch changed: raise its version"):
        schemas_page.main()
    assert json.loads(file.read_text()) == changed, "nothing was written over it"
    file.write_text(json.dumps(changed | {"$id": "urn:assay:fetch:0"}))
    schemas_page.main()
    assert json.loads(file.read_text()) == before
    assert not moved(before, before | {"title": "other words"})


NUMBERS = {
    (arm, seed): 0.1 * seed * (1 + (arm == "mine")) % 0.3 + (arm != "mine")
    for arm in ("mine", "old", "again")
    for seed in range(8)
}
TABLE = "arm,seed,x\n" + "".join(f"{arm},{seed},{x}\n" for (arm, seed), x in NUMBERS.items())


def test_what_verbs_give_is_what_the_files_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = new.write_experiment("own", tmp_path)
    study = new.write_study("question", tmp_path)
    (tmp_path / "my.csv").write_text(TABLE)
    experiment, lab = catalogue.find("own.py"), Lab(tmp_path / "s", Inline())
    smoke = override(experiment, "smoke")
    valid("new", made)
    valid("new", study)
    valid("list", listing.listed(tmp_path / "s"))
    valid("plan", plan.plan(lab, experiment, smoke, "5m"))
    valid("plan", unsaid.find_unsaid(study.path, lab))
    ran = verdicts.run(lab, experiment, smoke)
    valid("run", ran)
    valid("run", verdicts.run(lab, experiment, smoke))  # as it is stored
    valid("show", verdicts.show(lab, experiment, smoke))
    valid("show", verdicts.show(lab, experiment, smoke, "main", "1"))
    other = next(name for name in experiment.arms if name != "main")
    valid("show", verdicts.show(lab, experiment, smoke, other))
    shutil.copy(
        ROOT / "tests/lab/walk.py", tmp_path / "stroll.py"
    )  # with exact statements and findings as well
    walk = catalogue.find(str(tmp_path / "stroll.py"))
    strolled = verdicts.run(lab, walk, override(walk, "default"))
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


def test_every_recorded_verdict_fits_as_far_as_records_tell() -> None:
    """Records keep verdicts in the same words: a hundred real ones, written by other commits."""
    arms = document("show")["anyOf"][0]["properties"]["verdicts"]["items"]
    found = [
        v
        for file in sorted((ROOT / "records").glob("*.looks.jsonl"))[:15]
        for v in records.read(file.name.partition(".")[0])["verdicts"]
    ]
    known = Draft202012Validator({**arms, "required": [], "additionalProperties": True})
    for verdict in found:
        known.validate(
            {k: v for k, v in verdict.items() if k not in ("controls", "planted", "also")}
        )
    assert len(found) > 50
