"""The gate: a claim about a function in the workspace, and a question to a language model, asked
with nothing but what the tools' descriptions say."""

import json
from pathlib import Path

import numpy as np
import pytest

from assay.agents.asking import Bounds
from assay.agents.server import Tools, make_server
from tiny_study import answered, told

HOOK = """
import numpy as np
TRUE = np.eye(8)[0]
def score(vector, prompts):
    moved = 0.0 if vector is None else float(vector @ TRUE)
    return [moved * (1 + int(p["n"]) / 100) for p in prompts]
def length(vector, prompts):
    moved = 0.0 if vector is None else float(np.linalg.norm(vector))
    return [moved * (1 + int(p["n"]) / 100) for p in prompts]
def slow(vector, prompts):
    import time
    time.sleep(60)
def broken(vector, prompts):
    raise ValueError("no such layer")
"""
ROWS = [{"text": f"prompt {n}", "n": n} for n in range(12)]
CLAIM = {"file": "hook.py", "claim": "The vector moves the score", "holds": "effect > 0.5"}
CLAIM |= {"prompts": ROWS, "about": "Vector('v.npy')"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """A server whose agents may name the files of a workspace, and run its code."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "work").mkdir()
    (folder / "work/hook.py").write_text(HOOK)
    np.save(folder / "work/v.npy", np.eye(8)[0])
    bounds = Bounds(workspace=folder / "work", code=True)
    return make_server(Tools(folder / "store", bounds))


def asked(server, name, **given):
    (found,) = answered(server, (name, given))
    return told(found)


def refused(server, name, **given):
    (found,) = answered(server, (name, given))
    assert found.is_error
    return str(found.content[0].text)


@pytest.mark.thorough
def test_a_claim_about_a_function_is_checked_with_its_controls(gate):
    right = asked(gate, "check", function="score", **CLAIM)
    controls = right["result"]["claims"][0]["verdict"]["controls"]
    assert right["result"]["outcome"] == "holds"
    assert {"random", "opposite"} <= set(controls)
    assert {c["outcome"] for c in controls.values()} == {"beaten"}
    wrong = asked(gate, "check", function="length", **CLAIM)
    assert wrong["result"]["outcome"] == "unspecific"


@pytest.mark.thorough
def test_what_goes_wrong_in_a_function_is_said_in_one_line(gate):
    said = refused(gate, "check", function="broken", **CLAIM)
    assert "[raised]" in said
    said = refused(gate, "check", function="slow", seconds=3, **CLAIM)
    assert "more than 3 s" in said


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"file": "../hook.py"}, "outside"),
        ({"file": "no.py"}, "not a Python file"),
        ({"function": "a b"}, "is not a name"),
        ({"about": "Vektor('v.npy')"}, "no-thing"),
        ({"about": "Vector('/etc/v.npy')"}, "outside"),
        ({"prompts": []}, "same columns"),
    ],
)
def test_what_it_may_not_name_is_refused(gate, given, why):
    assert why in refused(gate, "check", **{"function": "score", **CLAIM, **given})


def test_no_code_runs_where_it_was_not_allowed(server):
    said = refused(server, "check", function="score", **CLAIM)
    assert "runs only from a workspace" in said


def test_a_model_is_asked_from_arguments_alone(ask):
    """The study of the README, which then plans like any other."""
    rows = Path(__file__).parents[2].joinpath("examples/capitals.csv").read_text().splitlines()
    names, *cells = [row.split(",") for row in rows]
    answer = ask(
        "ask_model",
        question="Does a model read the capital from the token of the country?",
        model="no-such-model",
        prompts=[
            {
                "text": "The capital of {country} is",
                "corrupted": "The capital of {other} is",
                "rows": [dict(zip(names, row, strict=True)) for row in cells],
            }
        ],
        reads=[{"name": "right", "log_prob": [" {city}", " {foil}"]}],
        interventions=[
            {
                "name": "patched",
                "patch": "corrupted",
                "site": "blocks.5.hook_resid_pre",
                "position": "{country}",
            }
        ],
        claims=[
            {
                "text": "The other capital leads by two nats",
                "holds": "patched.right < -2",
                "threshold": "plan: two nats",
            }
        ],
    )
    for table in ("[[model]]", "[[prompts]]", "[[intervene]]", "[[read]]", "[[claim]]"):
        assert table in answer["study"]
    assert not answer["ready"] and "no-such-model" in answer["wrong"]


def test_first_answers_are_short(ask):
    listed = ask("experiments")
    assert len(json.dumps(listed)) <= 3000 and len(listed["experiments"]) > 40
    assert "ask_model" in listed["next"] and "check" in listed["next"]
    some = ask("experiments", find="superposition sae")
    assert {"name", "question", "cost"} <= set(some["experiments"][0])
    pages = ask("page")
    assert len(json.dumps(pages)) <= 3000 and "verdicts" in pages["pages"]
