"""Every verb gives a typed result, which every door can print and describe; the command line
decides and writes nothing."""

import dataclasses
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from assay.cli.main import VERBS, described
from assay.core.schema import Written, schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_gives_a_frozen_value_whose_schema_can_be_told(verb):
    description = described(verb)
    given = description.results() if description.results else None
    given = given or get_args(get_type_hints(description.function)["return"])[0]
    for result in get_args(given) or (given,):
        if not issubclass(result, Written):
            assert dataclasses.is_dataclass(result), result
            assert result.__dataclass_params__.frozen, result
            names = {f.name for f in dataclasses.fields(result)}
            assert schema(result)["properties"].keys() <= names
    assert description.answers and description.function.__doc__


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/assay/cli").glob("*.py")), ids=lambda path: path.name
)
def test_the_command_line_writes_no_file(path):
    assert not re.findall(
        r"\.(?:write_text|write_bytes|mkdir|unlink|rmdir|rename)\(|\bshutil\b|\btempfile\b",
        path.read_text(),
    )
