"""Explanations as values and files: the same as TOML and as Python, run with a variable set, and
each mistake one line that names its place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from assay.core.errors import AssayError
from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.files import load
from assay_catalogue.circuits.program import Program

CODE = """
import numpy as np
from assay_catalogue.circuits.explanation import Explanation, Variable
from assay_catalogue.circuits.explanation import Place

def before(token):
    out = np.full(token.shape, -1.0)
    out[:, 1:] = token[:, :-1]
    return out

def found(token, before):
    out = np.full(token.shape, -1.0)
    for n in range(len(token)):
        for i in range(token.shape[1]):
            for j in range(i + 1):
                if before[n, j] == token[n, i]:
                    out[n, i] = token[n, j]
    return out

explanation = Explanation(
    of="induction", name="in code", answer=lambda found: found, margin=30,
    variables=(
        Variable("before", before, (Place.parse("a0.0"),), ("token.v",)),
        Variable("found", found, (Place.parse("a1.0"),), ("token.q", "before.k", "token.v")),
    ),
)
"""


@pytest.fixture
def induction():
    return known.problem("induction")


def test_a_file_of_code_and_one_of_data_say_the_same(tmp_path, induction):
    (tmp_path / "mine.py").write_text(CODE)
    tokens = induction.task.draw(3, 0, 20)
    code, data = (
        Program(load(tmp_path / "mine.py"), induction),
        Program(known.explained("induction"), induction),
    )
    assert np.array_equal(code.logits(tokens), data.logits(tokens))
    assert code.size > data.size > 10


@pytest.mark.parametrize("name", known.names())
def test_ours_answer_every_question(name):
    problem = known.problem(name)
    tokens = problem.task.draw(5, 0, 200)
    said, right = (
        Program(known.explained(name), problem).logits(tokens),
        problem.task.answer(tokens),
    )
    assert np.array_equal(said.argmax(-1)[right >= 0], right[right >= 0])
    assert (
        not np.array_equal(
            Program(known.rival(name), problem).logits(tokens).argmax(-1)[right >= 0],
            right[right >= 0],
        )
        or name == "redundant"
    )


@pytest.mark.parametrize("name", known.names())
def test_ours_name_the_edges_that_were_built(name):
    circuit_wires = {(str(w), str(r)) for w, r in _built(name).wires}
    ours = {
        (str(u.place.part), str(r))
        for u, r in Program(known.explained(name), known.problem(name)).edges
    }
    assert ours == circuit_wires


def test_setting_a_variable_sets_what_follows(induction):
    tokens = np.array([[16, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]])
    program = Program(known.explained("induction"), induction)
    before = program.values(tokens)["before"]
    swapped = before.copy()
    swapped[0, 5] = 9.0  # then nothing stands behind the 4
    assert program.logits(tokens)[0, 12].argmax() == 5
    assert program.values(tokens, {"before": swapped})["found"][0, 12] == -1


def explanation(**changed) -> Explanation:
    given = {
        "of": "induction",
        "name": "x",
        "variables": (Variable("before", "place - 1", (Place.parse("a0.0"),)),),
        "answer": "before * 0",
    }
    return Explanation(**given | changed)


def variable(rule, at="a0.0", **more) -> dict:
    return {"variables": (Variable("v", rule, (Place.parse(at),), **more),), "answer": "v"}


def endless(token):
    while True:
        pass


def broken(token):
    return 1 / 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (variable("token", "a3.0"), "variable v: the model has no part a3.0"),
        (variable("token", "m0"), "variable v: the model has no part m0"),
        (variable("token", "a0.0@17"), "at position 17; the model's inputs have 17"),
        ({"matter": (Place.parse("a0.0"),)}, "a0.0 was already named"),
        (variable("tokn"), "uses tokn, which is not a variable; did you mean token?"),
        (variable("token", reads=("place",)), "reads lacks token"),
        (
            variable("token", reads=("tokne.v",)),
            "variable v reads tokne, which is not a variable; did you mean token?",
        ),
        (variable("token", reads=("token.z",)), "a head has q, k and v"),
        (variable("token", reads=("token", "that")), "reads that, which is not a variable"),
        (
            {"variables": (Variable("a", "b"), Variable("b", "a")), "answer": "a"},
            "depend on each other in a circle",
        ),
        (
            {"variables": (Variable("a", "a + 1"),), "answer": "a"},
            "depend on each other in a circle: a → a",
        ),
        ({"variables": (Variable("mean", "token"),), "answer": "mean"}, "'mean' is taken"),
        ({"variables": (Variable("place", "token"),), "answer": "place"}, "'place' is taken"),
        ({"variables": (Variable("a b", "token"),), "answer": "token"}, "is not a name"),
        (
            {"variables": (Variable("answer", "token"),), "answer": "answer"},
            "variable 'answer' has the name of what the model says",
        ),
        (
            {"variables": (Variable("logits", "token"),), "answer": "logits"},
            "variable 'logits' has the name of what the model says",
        ),
        ({"logits": ("token",)}, "it has both answer and logits"),
        ({"answer": None, "logits": ("token",)}, "logits has 1 rule; the model has 16 classes"),
        (
            {"answer": None, "logits": ("token", "token")},
            "logits has 2 rules; the model has 16 classes",
        ),
        ({"answer": "16"}, "names class 16 at position 9 of 'START"),
        ({"answer": "0.5"}, "names class 0.5"),
        ({"answer": "token / 0"}, "only finite numbers count"),
        ({"answer": "token == 'END'"}, "no token is called 'END'"),
        (variable(broken), "variable v raised ZeroDivisionError: division by zero"),
        (variable(lambda token: token[:, :3]), "gives an array [4, 3]; [4, 17] is needed"),
        (variable(lambda token: "no"), "gives str; a number for each position"),
        (variable(lambda token: exit()), "raised SystemExit"),
        ({"weights": {"W_Q": torch.zeros(1)}}, "the model has no W_Q"),
        (
            {"weights": {"W_E": torch.zeros(1, 2, 3)}},
            "W_E is [1, 2, 3]; the model's is [1, 17, 85]",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(changed, said, induction):
    with pytest.raises(AssayError) as error:
        Program(dataclasses.replace(explanation(), **changed), induction).logits(
            induction.task.draw(1, 0, 4)
        )
    assert said in str(error.value) and "\n" not in str(error.value)


def test_what_comes_later_cannot_be_read(induction):
    late = (
        Variable("found", "token", (Place.parse("a1.0"),)),
        Variable("before", "found", (Place.parse("a0.0"),)),
    )
    with pytest.raises(
        AssayError,
        match=r"variable before at a0\.0 reads found at a1\.0, which the model writes no earlier",
    ):
        Program(explanation(variables=late), induction)


def test_a_function_that_does_not_end_is_ended(induction, monkeypatch):
    monkeypatch.setattr("assay_catalogue.circuits.rules.call.__kwdefaults__", {"seconds": 0.05})
    with pytest.raises(AssayError, match=r"variable v did not end within 0\.05 seconds"):
        Program(explanation(**variable(endless)), induction).logits(induction.task.draw(1, 0, 4))


def test_logits_ask_no_variable_that_they_are_not_computed_from(induction):
    """Check that a variable which cannot be worked out, and which no rule uses, changes no logits;
    whoever asks for all is told of it."""
    whole, tokens = known.explained("induction"), induction.task.draw(1, 0, 20)
    more = Program(
        dataclasses.replace(whole, variables=(*whole.variables, Variable("idle", "1 / 0"))),
        induction,
    )
    assert np.array_equal(more.logits(tokens), Program(whole, induction).logits(tokens))
    assert np.array_equal(more.fails(tokens), Program(whole, induction).fails(tokens))
    with pytest.raises(AssayError, match=r"variable idle gives inf at position 0"):
        more.values(tokens)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("of = 1", "of must be a text"),
        ("name = 'x'", "of must be a text, and is missing"),
        ("of = 'x'\nvarables = 1", "unknown field 'varables'; did you mean variables?"),
        ("of = 'x'\nvariables = 1", "variables must be tables"),
        ("of = 'x'\n[variables.a]\nat = 'a0.0'", "variable a: is must be a text"),
        ("of = 'x'\n[variables.a]\nis = 'token'\nat = 'b3'", "variable a: no part 'b3'"),
        (
            "of = 'x'\n[variables.a]\nis = 'token'\nat = ['m0']\nalong = [1]",
            "along must be lists of numbers",
        ),
        ("of = 'x'\n[answer]\nis = 'token'\nmargin = -1", "margin must be a positive number"),
        ("of = 'x'\nweights = '../other'", "safetensors file next to it"),
        ("of = ", "is not TOML"),
    ],
)
def test_a_file_of_data_with_a_mistake_is_one_line(text, said, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(AssayError) as error:
        load(tmp_path / "mine.toml")
    assert (
        said in str(error.value)
        and "mine.toml" in str(error.value)
        and "\n" not in str(error.value)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1/0", "raised ZeroDivisionError"),
        ("def", "raised SyntaxError"),
        ("x = 1", "defines no explanation"),
    ],
)
def test_a_file_of_code_with_a_mistake_is_one_line(text, said, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(AssayError) as error:
        load(tmp_path / "mine.py")
    assert (
        said in str(error.value) and "mine.py" in str(error.value) and "\n" not in str(error.value)
    )


def test_a_file_that_is_neither_is_refused(tmp_path):
    with pytest.raises(AssayError, match=r"is not an explanation; explanations are \.toml files"):
        load(tmp_path / "mine.json")
    with pytest.raises(AssayError, match="no file"):
        load(tmp_path / "nothing.toml")


def _built(name):
    from importlib import import_module

    return getattr(import_module(f"assay_catalogue.worlds.algorithms.built.{name}"), name)()
