"""`assay list NAME`: every field that may be set and every number that a
claim may read, of an experiment with a record, of one that ran here, and of studies."""

import json
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from assay.ask.fields import Dimension
from assay.cli.main import main, schema_of
from assay.verbs.fields import levels
from assay.verbs.new import write_experiment

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "device"))

import planted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answered(capsys, verb, *words):
    capsys.readouterr()
    assert main([verb, *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema_of(verb)).validate(answer)
    return answer


def by_name(answer):
    return {m["name"]: m for m in answer["measures"]}


def test_an_experiment_of_the_catalogue_by_its_class_and_record(folder, capsys):
    answer = answered(capsys, "list", "superposition", "--set", "width=3")
    fields = {f["name"]: f for f in answer["fields"]["superposition"]}
    assert fields["width"]["default"] == "3"
    assert fields["width"]["may_be"] == "at least 1"
    assert fields["density"]["may_be"] == "above 0 and at most 1"
    known = by_name(answer)
    assert known["held_out"]["unit"] == "squared input"
    assert known["loss"]["dimensions"] == [{"name": "step", "size": 2, "levels": ["4000", "8000"]}]
    low, high = known["represented"]["measured"]
    assert (low, high) == (0, 1)
    alone = answered(capsys, "list", "superposition", "--arm", "linear")
    assert list(alone["fields"]) == []
    assert [a["name"] for a in alone["arms"]["superposition"]] == ["linear"]
    assert set(by_name(alone)) <= set(known)
    assert main(["list", "superposition", "--arm", "linar"]) == 2
    assert "has no arm 'linar'; did you mean linear?" in capsys.readouterr().err
    assert main(["list", "superposition"]) == 0
    words = capsys.readouterr().out
    assert "above 0 and" in words and "ARM.MEASURE" in words


def test_an_own_experiment_once_it_ran(folder, capsys):
    write_experiment("own", folder)
    words = ("own.py", "--preset", "smoke")
    assert answered(capsys, "list", *words)["measures"] == []
    assert main(["run", *words, "--executor", "inline"]) == 0
    known = by_name(answered(capsys, "list", *words))
    assert set(known) == {"angle", "loss", "diverged"}
    assert known["angle"]["unit"] == "degrees"
    low, high = known["angle"]["measured"]
    assert 0 <= low <= high <= 180 and known["loss"]["dimensions"][0]["name"] == "step"


ASKED = """
question = "Does head 1.1 carry the country?"
[[model]]
name = "./planted"
[[prompts]]
unit = "prompt"
text = "{who} went to {country} the capital is"
slots.who = ["anna", "ben", "carla"]
slots.country = ["france", "italy", "spain", "japan"]
[[intervene]]
name = "changed"
ablate = "zero"
heads = ["1.1"]
[[read]]
name = "known"
accuracy = [" paris", " rome"]
[[read]]
name = "looks"
pattern = "1.1"
to = 3
"""


def test_a_study_that_asks_a_model_before_it_has_claims(folder, capsys):
    planted.write_all(folder)
    (folder / "asks.toml").write_text(ASKED)
    answer = answered(capsys, "list", "asks.toml")
    known = by_name(answer)
    assert answer["fields"] == {}
    assert (known["known"]["low"], known["known"]["high"]) == (0, 1)
    assert known["known"]["better"] == "higher"
    assert '" paris"' in known["known"]["words"]
    assert known["looks"]["dimensions"][0]["size"] == 12
    assert {"main", "changed"} <= set(known["known"]["arms"])


def test_a_study_of_experiments_has_their_fields_and_quantities(folder, capsys):
    (folder / "borrows.toml").write_text('question = "?"\n[[experiment]]\nname = "gated-sae"\n')
    answer = answered(capsys, "list", "borrows.toml")
    assert "gated-sae" in answer["fields"]
    known = by_name(answer)
    assert known["gamma"]["better"] == "nearer 1" and known["gamma"]["dimensions"] == []
    assert known["norm"]["dimensions"][0]["name"] == "document"


def test_arms_are_listed_with_what_they_change(folder, capsys):
    answer = answered(capsys, "list", "grokking-efficiency")
    arms = {a["name"]: a for a in answer["arms"]["grokking-efficiency"]}
    assert arms["rate-only"]["changes"] == {"lr": "0.005", "steps": "3000"}
    assert arms["ungrok"]["made_of"] == ["main"]
    assert "pairs" in arms["memorise"]["changes"]
    assert arms["mixed-decay"]["made_of"] == ["no-decay", "weak-decay"]
    assert main(["list", "grokking-efficiency"]) == 0
    assert "lr 0.005; steps 3000" in capsys.readouterr().out


def test_levels_that_a_condition_has_to_name_are_not_cut(folder, capsys):
    answer = answered(capsys, "list", "ultra-rare-features")
    kind = by_name(answer)["alignment"]["dimensions"][0]
    assert kind["size"] == len(kind["levels"]) == 7
    assert levels(Dimension("kind", 7, tuple("abcdefg"))) == "kind: a, b, c, d, e, f, g"
    assert levels(Dimension("step", 20, tuple(map(str, range(8))))).endswith("… (20)")
    assert levels(Dimension("prompt", 20, tuple(map(str, range(8))))) == "prompt (20)"
