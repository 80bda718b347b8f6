"""Peers by subprocess: a tiny one that answers, and the ways in which one can fail to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.core.errors import AssayError
from assay_vectors import runner, vectors

PYTHON = Path(sys.executable)
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
    serve("tiny", "numpy", {"metrics": metrics, "shrinkage": shrinkage, "sparsity": sparsity, "ce_recovered": ce_recovered})
"""  # noqa: E501


@pytest.fixture
def peer(tmp_path):
    def write(code):
        path = tmp_path / "adapter.py"
        path.write_text(code)
        return str(path)

    return write


def test_a_tiny_peer_gets_each_outcome(peer):
    run = runner.against(peer(TINY), PYTHON, SMALL)
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
    assert (
        main(["conformance", "C01", "S02", "--against", path, "--python", str(PYTHON), "--json"])
        == 0
    )
    entries = json.loads(capsys.readouterr().out)["outcomes"]
    assert [set(entry) >= {"id", "passed", "got", "expected", "source"} for entry in entries] == [
        True,
        True,
    ]
    assert [entry["passed"] for entry in entries] == [True, False]
    assert main(["conformance", "C01", "S02", "--against", path, "--python", str(PYTHON)]) == 0
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
        ("import os; os._exit(11)", "exit code 11 (it said nothing)"),
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
    assert main(["conformance", "C01", "--against", peer(code), "--python", str(PYTHON)]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_peer_that_does_not_end_is_given_up(peer):
    with pytest.raises(AssayError, match="did not answer within 1 s"):
        runner.against(peer("import time; time.sleep(60)"), PYTHON, SMALL, timeout=1.0)


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
    (outcome,) = runner.against(peer(code), PYTHON, vectors.select(["C01"])).outcomes
    assert outcome.outcome in ("wrong", "not offered")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "sealens", "--python", "python"], "did you mean saelens?"),
        (["--against", "nowhere.py", "--python", "python"], "no adapter at nowhere.py"),
        (["--against", "saelens"], "give --python"),
        (["--against", "saelens", "--python", "no/such/python"], "cannot run no/such/python"),
        (["--against", "saelens", "--python", "."], "cannot run"),
        (["--python", "python"], "name it with --against"),
        (["--record"], "name it with --against"),
        (["C01", "--record", "--against", "saelens", "--python", "python"], "leave out the ids"),
        (["C0l"], "did you mean"),
    ],
)
def test_wrong_usage_is_one_line(capsys, words, said):
    assert main(["conformance", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_an_installed_assay_has_no_adapters_and_takes_a_file(peer, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "folder", lambda: tmp_path)
    with pytest.raises(AssayError, match=r"checkout's conformance/adapters.* for_sae_vis\.py"):
        runner.adapter("sae-vis")
    assert runner.adapter(peer(TINY)) == Path(peer(TINY))


@pytest.mark.thorough
def test_an_environment_without_the_peer_says_so(capsys):
    assert (
        main(["conformance", "C01", "--against", "dictionary-learning", "--python", str(PYTHON)])
        == 2
    )
    assert "cannot import dictionary-learning" in capsys.readouterr().err
