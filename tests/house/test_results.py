"""Every verb gives a typed result, which every door can print and describe; the command line
decides and writes nothing."""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

from assay import verbs
from assay.core.schema import schema

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.stem
    for path in (ROOT / "src/assay/verbs").glob("*.py")
    if path.stem not in {"__init__", "template", "destination", "explained"}
)


def defined(module: ModuleType, kind: type) -> list:
    return [
        thing
        for name, thing in vars(module).items()
        if name[0] != "_" and isinstance(thing, kind) and thing.__module__ == module.__name__
    ]


@pytest.mark.parametrize("file", FILES)
def test_a_verb_gives_a_frozen_dataclass_whose_schema_can_be_told(file: str) -> None:
    module = importlib.import_module(f"assay.verbs.{file}")
    for result in defined(module, type):
        assert dataclasses.is_dataclass(result) and result.__dataclass_params__.frozen, (
            f"{file}.{result.__name__}"
        )
        assert schema(result)["properties"].keys() <= {f.name for f in dataclasses.fields(result)}
    given = [
        inspect.signature(function).return_annotation for function in defined(module, type(defined))
    ]
    names = {result.__name__ for result in defined(module, type)} | {"Reproduction", "ResultData"}
    assert names & set(given), f"no function of {file} gives a result: {given}"


def test_verbs_that_are_a_file_alone_give_such_a_result() -> None:
    for word, verb in verbs.known().items():
        assert schema(get_type_hints(verb)["return"])["type"] == "object", word


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/assay/cli").glob("*.py")), ids=lambda path: path.name
)
def test_the_command_line_writes_no_file(path: Path) -> None:
    assert not re.findall(
        r"\.(?:write_text|write_bytes|mkdir|unlink|rmdir|rename)\(|\bshutil\b|\btempfile\b",
        path.read_text(),
    )
