"""The files of this folder are whole, and what is cheap still says what they hold."""

import json
from pathlib import Path

import pytest
from cases import CASES
from make import compare, differing

FOLDER = Path(__file__).parent
OUTCOMES = {"holds", "fails", "unspecific", "undecided"}
CHEAP = ("judge", "rule", "check-1", "check-2", "check-3", "check-typed", "check-probe-1")
DEAR = pytest.param("example-country", marks=[pytest.mark.slow, pytest.mark.model])


def refused(word):
    raise ValueError(f"{word} is no number of JSON")


def read(name):
    return json.loads((FOLDER / f"{name}.json").read_text(), parse_constant=refused)


def below(x):
    """Every value in an answer that says a number with its interval."""
    if isinstance(x, dict):
        if "estimate" in x:
            yield x
        for value in x.values():
            yield from below(value)
    elif isinstance(x, list):
        for value in x:
            yield from below(value)


def test_each_case_has_a_file_and_each_file_a_case():
    """The truth is the list of cases."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_file_says_finite_numbers(name):
    """The truth is JSON, which knows neither NaN nor infinity, and the order of an interval."""
    said = read(name)
    assert said["of"] == CASES[name].of and said["rtol"] == CASES[name].rtol
    for claim in said.get("claims", ()):
        assert claim["outcome"] in OUTCOMES and claim["n"]
        assert isinstance(claim["estimate"], float)
    for x in below(said):
        if x["low"] is not None and x["high"] is not None:
            assert x["low"] <= x["estimate"] <= x["high"], x


@pytest.mark.parametrize("name", [*CHEAP, DEAR])
def test_it_says_what_the_file_holds(name, tmp_path):
    """The truth is what version 0.3 says."""
    assert compare(name, tmp_path) == []


def test_another_number_or_outcome_is_found():
    """The truth is arithmetic: a millionth of the claim's number is within 1e-5, and 1% is not."""
    control = {"estimate": 0.0, "low": -0.1, "high": 0.1, "satisfied": False}
    was = {"claims": [{"outcome": "holds", "estimate": 2.0, "controls": {"a": control}}]}
    near, far, other = (json.loads(json.dumps(was)) for _ in range(3))
    near["claims"][0]["controls"]["a"]["estimate"] = 2e-6
    far["claims"][0]["estimate"] = 2.02
    other["claims"][0]["outcome"] = "fails"
    found = [[at for at, *_ in differing(was, now, 1e-5)] for now in (near, far, other)]
    assert found == [[], ["/claims/0/estimate"], ["/claims/0/outcome"]]
