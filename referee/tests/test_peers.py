"""Libraries in a process of their own: a tiny one that answers, the ways in which one can fail
to, and Assay."""

from __future__ import annotations

import ast
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from assay_vectors import runner, vectors
from assay_vectors.__main__ import main
from assay_vectors.errors import VectorsError

PYTHON = Path(sys.executable)
needs_assay = pytest.mark.skipif(
    not (find_spec("assay") and find_spec("assay_catalogue")), reason="Assay is not installed"
)
SMALL = vectors.select(["C01", "C03", "S02", "S03", "L01", "C12"])
TINY = """
from protocol import NotOffered, serve

def metrics(x, x_hat, dtype="float64"):
    n, d = len(x), len(x[0])
    mean = [sum(r[j] for r in x) / n for j in range(d)]
    off = [sum(x[i][j] - x_hat[i][j] for i in range(n)) / n for j in range(d)]
    error = sum((x[i][j] - x_hat[i][j] - off[j]) ** 2 for i in range(n) for j in range(d))
    return {"ev": 1 - error / sum((x[i][j] - mean[j]) ** 2 for i in range(n) for j in range(d))}

def shrinkage(x, x_hat, mean=None):
    if len(x) > 1:
        raise NotOffered("one row at a time")
    return {"gamma": 0.9}

def sparsity(features):
    return {"density": float("nan")}

def ce_recovered(clean, spliced, ablated):
    raise ZeroDivisionError("by\\nnothing")

if __name__ == "__main__":
    known = {"metrics": metrics, "shrinkage": shrinkage, "sparsity": sparsity}
    serve("tiny", "numpy", known | {"ce_recovered": ce_recovered})
"""


@pytest.fixture
def peer(tmp_path):
    def write(code):
        path = tmp_path / "adapter.py"
        path.write_text(code)
        return str(path)

    return write


def test_a_tiny_peer_gets_each_outcome(peer):
    run = runner.run_library(peer(TINY), SMALL)
    assert run.peer == "tiny"
    assert run.environment["python"].startswith("3.")
    by_id = {o.id: o for o in run.outcomes}
    assert {id: o.outcome for id, o in by_id.items()} == {
        "C01": "right",
        "C03": "another documented definition",
        "S02": "wrong",
        "S03": "not offered",
        "L01": "not offered",
        "C12": "wrong",
    }
    assert "scikit-learn" in by_id["C03"].why
    assert by_id["S02"].got == ({"gamma": 0.9},)
    assert (by_id["S03"].why, by_id["L01"].why) == ("one row at a time", "no l0")
    assert by_id["C12"].got == ({"raised": "ZeroDivisionError: by nothing"},)
    assert [o.passed for o in run.outcomes] == [True, False, False, False, False, False]


def test_its_outcomes_are_printed_and_do_not_count(peer, capsys):
    path = peer(TINY)
    assert main(["C01", "S02", "--against", path, "--python", str(PYTHON), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["outcomes"]
    assert [set(entry) >= {"id", "passed", "got", "expected", "source"} for entry in entries] == [
        True,
        True,
    ]
    assert [entry["passed"] for entry in entries] == [True, False]
    assert main(["C01", "S02", "--against", path, "--python", str(PYTHON)]) == 0
    out = capsys.readouterr().out
    assert "gamma 0.9" in out and "gamma 1" in out
    assert "1 right" in out and "1 wrong" in out
    assert max(map(len, out.splitlines())) <= 100


def writes(answers):
    """A peer that writes this text and nothing else."""
    return f"import sys; open(sys.argv[2], 'w').write({answers!r})"


PAGE = '{"peer": "p", "version": "1", "answers": '


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_package_at_all", "cannot import"),
        ("raise SystemExit('out of luck')", "out of luck"),
        ("import os; os._exit(11)", "exit code 11 (without a message)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit code -11"),
        ("pass", "no file was written"),
        (writes("{"), "cannot be read"),
        (writes("[]"), "cannot be read"),
        ("import sys; open(sys.argv[2], 'wb').write(b'\\xff\\xfe')", "cannot be read"),
        (writes(PAGE + "{}}"), "no answer to C01/0"),
        (writes(PAGE + "[]}"), "cannot be read"),
        (writes(PAGE + '{"C01/0": 3}}'), "no answer to C01/0"),
    ],
)
def test_a_peer_that_gives_no_answers_is_told_in_one_line(peer, capsys, code, words):
    assert main(["C01", "--against", peer(code), "--python", str(PYTHON)]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_peer_that_does_not_end_is_given_up(peer):
    with pytest.raises(VectorsError, match="did not answer within 1 s"):
        runner.run_library(peer("import time; time.sleep(60)"), SMALL, timeout=1.0)


@pytest.mark.parametrize(
    "value",
    [
        '{"value": 3}',
        '{"value": null}',
        '{"value": {"ev": "much"}}',
        '{"value": {"ev": [0.8]}}',
        '{"value": {"ev": true}}',
        "{}",
    ],
)
def test_answers_of_the_wrong_kind_are_never_right(peer, value):
    code = (
        "import json, sys\ncases = json.load(open(sys.argv[1]))['cases']\n"
        f"json.dump({{'peer': 'p', 'version': 1, 'answers': {{c['id']: json.loads('{value}') for "
        "c in cases}}, open(sys.argv[2], 'w'))"
    )
    (outcome,) = runner.run_library(peer(code), vectors.select(["C01"])).outcomes
    assert outcome.outcome in ("wrong", "not offered")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "sealens"], "did you mean saelens?"),
        (["--against", "nowhere.py"], "no adapter at nowhere.py"),
        (["--against", "saelens", "--python", "no/such/python"], "cannot run no/such/python"),
        (["--against", "saelens", "--python", "."], "cannot run"),
        (["--python", "python"], "a library needs --against: leave out --python"),
        (["--record"], "a library needs --against: leave out --record"),
        (["C01", "--record", "--against", "saelens"], "leave out the ids"),
        (["--record", "--against", "assay"], "leave out --record"),
        (["C0l"], "did you mean"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage_is_one_line(capsys, words, said):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_an_environment_without_the_library_says_so(peer, capsys):
    assert main(["C01", "--against", peer("import absent"), "--python", sys.executable]) == 2
    assert "install it there, or give --python" in capsys.readouterr().err


def test_a_result_is_recorded_in_place_of_an_earlier_version(peer, tmp_path, monkeypatch, capsys):
    (tmp_path / "results").mkdir()
    for name in ("tiny-0.1.json", "tiny-bigger-1.0.json"):
        (tmp_path / "results" / name).write_text("{}")
    monkeypatch.setattr(runner, "folder", lambda: tmp_path)
    path = peer(TINY)
    assert main(["--against", path, "--record"]) == 2
    assert "this is an installed package" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").touch()
    assert main(["--against", path, "--record"]) == 0
    names = {file.name for file in (tmp_path / "results").iterdir()}
    (made,) = names - {"tiny-bigger-1.0.json"}
    assert made.startswith("tiny-") and made != "tiny-0.1.json"
    (tmp_path / "results/tiny-bigger-1.0.json").unlink()
    (page,) = runner.results()
    assert len(page["outcomes"]) == len(vectors.load())
    assert page["outcomes"][0].keys() == {"id", "outcome", "why"}
    assert runner.recorded_adapter(page) == Path(path)


@pytest.mark.parametrize("path", sorted(runner.ADAPTERS.glob("for_*.py")), ids=lambda p: p.stem)
def test_adapters_are_thin_and_import_nothing_of_this_package(path):
    tree = ast.parse(path.read_text())
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        assert len(function.body) <= 20, function.name
    imported = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots = {name.partition(".")[0] for name in imported}
    assert "assay_vectors" not in roots
    assert path.stem == "for_assay" or not roots & {"assay", "assay_catalogue"}


# Assay


@needs_assay
def test_assay_is_right_wherever_it_answers():
    outcomes = runner.run_library("assay", vectors.load()).outcomes
    without = {"C10", "C10c", "X07", "X08", "G07"}  # streamed correlation, alpha, p-annealing
    for o in outcomes:
        assert o.outcome == ("not offered" if o.id in without else "right"), o


BROKEN = """
import protocol
from assay.dictionaries.measuring import metrics

right = metrics.fvu
metrics.fvu = lambda x, x_hat: right(x**2, x_hat**2)

from for_assay import OPERATIONS

protocol.serve("Assay", "interp-assay", OPERATIONS)
"""


@needs_assay
def test_a_broken_function_of_assay_fails_its_vectors(peer, monkeypatch, capsys):
    path = Path(peer(BROKEN))
    monkeypatch.setattr(runner, "adapter", lambda name: path)
    assert main(["C01", "I06", "--against", "assay", "--json"]) == 1
    by_id = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)["outcomes"]}
    assert (by_id["C01"]["passed"], by_id["I06"]["passed"]) == (False, True)
