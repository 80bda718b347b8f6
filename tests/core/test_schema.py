"""A result is written as plain values by its fields, and its schema says of every such value that
it fits, and of others that they do not."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from assay.core.compute import Range
from assay.core.schema import OMITTED, OPTIONAL, schema, to_json


@dataclass(frozen=True)
class Part:
    name: str
    size: float


@dataclass(frozen=True, kw_only=True)
class Whole:
    kind: Literal["new", "old"]
    folder: Path
    count: int
    well: bool
    parts: tuple[Part, ...]
    pair: tuple[str, int]
    by_name: Mapping[str, list[int]]
    takes: Range | None
    note: str | None = field(default=None, metadata=OPTIONAL)
    secret: Callable[[], None] = field(default=print, metadata=OMITTED)


def whole(**fields):
    usual = {
        "kind": "new",
        "folder": Path("a/b"),
        "count": 3,
        "well": True,
        "parts": (Part("x", 0.5), Part("y", math.nan)),
        "pair": ("z", 1),
    }
    return Whole(**usual | {"by_name": {"n": [1, 2]}, "takes": Range(1, 2)} | fields)


def test_the_keys_are_the_fields_in_order():
    assert list(to_json(whole()).items()) == [
        ("kind", "new"),
        ("folder", "a/b"),
        ("count", 3),
        ("well", True),
        ("parts", [{"name": "x", "size": 0.5}, {"name": "y", "size": None}]),
        ("pair", ["z", 1]),
        ("by_name", {"n": [1, 2]}),
        ("takes", [1, 2]),
    ]
    assert to_json(whole(note="why"))["note"] == "why"
    assert to_json({"x": np.array([[1.0, np.inf]]), "y": np.float64("nan"), "z": np.int64(2)}) == {
        "x": [[1.0, None]],
        "y": None,
        "z": 2,
    }


@given(
    st.floats(),
    st.integers(),
    st.lists(st.tuples(st.text(), st.floats())),
    st.none() | st.text(),
    st.none() | st.floats(0, 1e9),
)
def test_what_is_written_fits_its_schema(size, count, parts, note, low):
    made = whole(
        count=count,
        parts=(Part("p", size), *(Part(*p) for p in parts)),
        note=note,
        takes=None if low is None else Range(low, 2 * low),
    )
    told = json.loads(json.dumps(to_json(made), allow_nan=False))
    assert list(Draft202012Validator(schema(Whole)).iter_errors(told)) == []


WRONG = {
    "no such word": {"kind": "odd"},
    "a number for a text": {"folder": 1},
    "a truth for a number": {"count": True},
    "half": {"count": 0.5},
    "too long a pair": {"pair": ["z", 1, 2]},
    "a part without a size": {"parts": [{"name": "x"}]},
    "one bound": {"takes": 3},
    "text among numbers": {"by_name": {"n": ["1"]}},
    "a field that there is not": {"secret": 1},
    "null for a truth": {"well": None},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_written_otherwise_does_not_fit(wrong):
    assert list(Draft202012Validator(schema(Whole)).iter_errors(to_json(whole()) | WRONG[wrong]))
    left = {k: v for k, v in to_json(whole()).items() if k != "count"}
    [error] = Draft202012Validator(schema(Whole)).iter_errors(left)
    assert error.message == "'count' is a required property"


@pytest.mark.parametrize("of", [Callable, complex, set[int], dict[int, str], object])
def test_a_type_that_json_does_not_hold_has_no_schema(of):
    with pytest.raises(TypeError, match="no JSON schema"):
        schema(of)
