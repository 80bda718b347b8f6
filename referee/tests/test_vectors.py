"""The vectors themselves: complete, worked out a second time from their definitions, and able to
fail."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import naive
import numpy as np
import pytest

from assay_vectors import functions, runner, vectors
from assay_vectors.adapters import protocol
from assay_vectors.errors import VectorsError
from assay_vectors.outcomes import judge
from assay_vectors.text import reproduction
from marks import issues

ROOT = Path(__file__).parents[1]
ALL = vectors.load()
BY_ID = {v.id: v for v in ALL}
CONSTRUCTED = {
    "C13",
    "C14",
    "C16",
    "C16b",
    "C18",
    "C19",
    "C29",
    "C30b",
}  # "true by construction": nothing to compute


def answers(vector):
    """By the vector's lines of NumPy, as its reproduction prints them, or by `naive`."""
    if not vector.numpy:
        return [
            protocol.answer(
                {"operation": vector.operation, "inputs": case.inputs}, naive.OPERATIONS
            )
            for case in vector.cases
        ]
    out = []
    for i, case in enumerate(vector.cases):
        names = {}
        exec("\n".join(reproduction(vector, i)[:-1]), names)
        out.append({"value": protocol.plain({name: names[name] for name in case.expected})})
    return out


@pytest.mark.parametrize("vector", [v for v in ALL if v.id not in CONSTRUCTED], ids=lambda v: v.id)
def test_expected_values_follow_from_the_definition(vector):
    outcome = judge(vector, answers(vector))
    if (
        vector.operation == "gradients" and outcome.outcome == "wrong"
    ):  # differences are good to 1e-6 of what they are taken of
        for got, case in zip(outcome.got, vector.cases, strict=True):
            for name, value in case.expected.items():
                np.testing.assert_allclose(np.array(got[name]), np.array(value), atol=2e-6)
    else:
        assert outcome.passed, (outcome.got, outcome.expected)


def test_what_is_not_computed_is_true_by_construction():
    assert {v.id for v in ALL if not v.numpy and v.operation not in naive.OPERATIONS} == CONSTRUCTED
    values = [
        value for id in CONSTRUCTED for case in BY_ID[id].cases for value in case.expected.values()
    ]
    assert set(values) <= {True, 0}


def test_there_are_enough_and_each_says_everything():
    assert len(ALL) >= 160
    for v in ALL:
        assert all((v.title, v.definition, v.derivation, v.source, v.catches)), v.id
        assert v.cases and all(case.expected for case in v.cases), v.id
        assert 0 < v.tolerance <= 0.05, v.id
        for other in v.alternatives:
            assert (
                other.definition
                and other.source
                and other.expected.keys() == v.cases[0].expected.keys()
            ), v.id


def test_the_frozen_set_is_what_it_was():
    """Written down a second time: a change of a vector would change this line."""
    assert vectors.FROZEN["1.0"] == (
        "aaf87034a0d4f6c85ff6da469773fb4b654863bcf320a5252cf680f87a02cb79"
    )


def test_a_changed_file_of_a_frozen_set_is_refused(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "vectors", tmp_path / "vectors")
    monkeypatch.setattr(vectors, "folder", lambda: tmp_path)
    vectors.load.__wrapped__("1.0")
    path = tmp_path / "vectors/1.0/probing.json"
    path.write_text(path.read_text().replace("0.75", "0.76", 1))
    with pytest.raises(VectorsError, match="changed since it was frozen"):
        vectors.load.__wrapped__("1.0")
    with pytest.raises(VectorsError, match=r"no set of vectors '2\.0'"):
        vectors.load("2.0")


MISTAKEN = [v for v in ALL if v.mistaken]


@pytest.mark.parametrize("vector", MISTAKEN, ids=lambda v: v.id)
def test_the_mistake_that_a_vector_names_is_wrong_and_is_named(vector):
    rest = [{"value": dict(case.expected)} for case in vector.cases[1:]]
    outcome = judge(vector, [{"value": dict(vector.mistaken)}, *rest])
    assert (outcome.outcome, outcome.why) == ("wrong", vector.catches)


def test_every_vector_beside_dictionaries_shows_its_mistake():
    first = {"metrics", "cross-entropy", "dashboards", "encoding", "files", "gradients"}
    first |= {"normalisation", "training"}
    assert {v.id for v in ALL if v.family not in first} == {v.id for v in MISTAKEN}
    assert len(MISTAKEN) >= 80


@pytest.mark.parametrize(
    "number", sorted({*range(1, 31)} - {8, 15, 25})
)  # 8, 15 and 25 are about files that no vector can hold
def test_every_known_trap_has_its_vector(number):
    assert f"C{number:02}" in BY_ID


def test_the_page_lists_the_operations():
    assert "<!-- site: operations -->" in (ROOT / "docs/vectors.md").read_text()
    assert {v.operation for v in ALL} == {name.operation for name in functions.names()}
    for name in functions.names():
        assert name.inputs or name.operation == "failed_run"
        assert name.quantities and name.ids


# the other definitions, worked out too


def _ev_of_residual(x, x_hat):
    x, x_hat = np.array(x, float), np.array(x_hat, float)
    return 1 - (x - x_hat).var(0).sum() / x.var(0).sum()


def test_alternatives_give_what_they_say():
    def of(id, i=0):
        return BY_ID[id].alternatives[i].expected

    x, x_hat = (np.array(BY_ID["C03"].cases[0].inputs[name], float) for name in ("x", "x_hat"))
    assert of("C03")["ev"] == pytest.approx(_ev_of_residual(x, x_hat))
    assert of("C02")["mse"] == pytest.approx(naive.mse(**BY_ID["C02"].cases[0].inputs) / 2)
    assert of("C20")["ev"] == pytest.approx(
        np.mean([naive.ev(**b) for b in BY_ID["C20"].cases[0].inputs["batches"]])
    )
    case = BY_ID["I01b"].cases[0].inputs["batches"][0]
    assert of("I01b")["mse"] == pytest.approx(naive.mse(**case) / 2)
    for id in ("I07", "I08"):
        given = BY_ID[id].cases[0].inputs
        assert of(id)["ev"] == pytest.approx(
            _ev_of_residual(given["x"], naive.encode(**given)["x_hat"])
        )
    for id in ("S02", "S03"):
        x, x_hat = (np.array(BY_ID[id].cases[0].inputs[name], float) for name in ("x", "x_hat"))
        assert of(id)["gamma"] == pytest.approx((x * x_hat).sum() / (x * x).sum())
    assert of("S02", 1)["gamma"] == pytest.approx(np.linalg.norm(x_hat := [0.36, 0.48]))
    row = np.array(BY_ID["C11"].cases[0].inputs["x"][0])
    sd = row.std(ddof=1)
    np.testing.assert_allclose(
        of("C11")["x_hat"][0], (row - row.mean()) / (sd + 1e-5) * sd + row.mean()
    )
    given = dict(BY_ID["G02"].cases[0].inputs)
    weighted = naive.gradients(**{**given, "objective": "l1-weighted"})
    for name, value in of("G02").items():
        np.testing.assert_allclose(weighted[name], value, atol=1e-6)
    f = naive.encode(
        "relu", **{k: BY_ID["G07"].cases[0].inputs[k] for k in ("weights", "centred", "x")}
    )["features"][0]
    assert of("G07")["loss"] == pytest.approx(0.1 * sum(math.sqrt(v) for v in f) ** 2)


@pytest.mark.parametrize("operation", sorted({v.operation for v in ALL}))
def test_a_wrong_answer_to_any_operation_is_seen(operation):
    """Whatever the right answers are, each of them changed a little is no longer right."""
    for vector in (v for v in ALL if v.operation == operation):
        changed = [
            {"value": {name: _changed(value) for name, value in case.expected.items()}}
            for case in vector.cases
        ]
        assert judge(vector, changed).outcome != "right", vector.id


def _changed(value):
    if isinstance(value, list):
        return [_changed(part) for part in value]
    return (not value) if isinstance(value, bool) else value + 0.3


# recorded results


def test_each_difference_has_its_text():
    """Every wrong answer is in one text about its library, with what came out and lines that
    compute what is right."""
    for page in runner.results():
        texts = issues.pages(page, runner.recorded_adapter(page))
        for id in (e["id"] for e in page["outcomes"] if e["outcome"] == "wrong"):
            (text,) = [text for text in texts if f"| {id}: " in text]
            assert "The right answer:\n\n```python\n" in text and "\nSource: " in text, id


@pytest.mark.parametrize("page", runner.results(), ids=lambda p: p["peer"])
def test_recorded_outcomes_are_what_the_vectors_say_now(page):
    """Judged again from the recorded values."""
    entries = {entry["id"]: entry for entry in page["outcomes"]}
    assert entries.keys() == BY_ID.keys()
    for id, entry in entries.items():
        if entry["outcome"] == "not offered":
            assert entry["why"], id
            continue
        said = [
            {"error": got["raised"]} if "raised" in got else {"value": got} for got in entry["got"]
        ]
        assert judge(BY_ID[id], said).outcome == entry["outcome"], id
