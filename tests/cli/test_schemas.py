"""`assay VERB --schema`: a valid JSON schema for each verb, which what verbs print fits."""

import json

import pytest
from jsonschema import Draft202012Validator

from assay.cli.main import VERBS, app, main
from assay.verbs import others


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
