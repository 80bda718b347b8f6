"""Each verb does what its help says, on an experiment small enough to run here; `--json` prints one
object and nothing else."""

import ast
import inspect
import json
import os
import signal
import time
from pathlib import Path

from jsonschema import Draft202012Validator

from acceptance.test_verbs import SMOKE, here, world
from assay.cli.main import app, described, main, schema_of
from assay.verbs.verb import MORE

__all__ = ["here", "world"]

VERDICT = {
    "text",
    "outcome",
    "reason",
    "estimate",
    "low",
    "high",
    "n",
    "units",
    "scope",
    "source",
    "published",
}


def said(capsys, *words, code=0):
    """What a verb prints on standard output."""
    capsys.readouterr()
    ended = main(words)
    out, err = capsys.readouterr()
    assert ended == code, err
    return out


def told(capsys, *words, code=0):
    """The one object that a verb prints with --json."""
    found = json.loads(said(capsys, *words, "--json", code=code))
    assert isinstance(found, dict)
    Draft202012Validator(schema_of(words[0])).validate(found)
    return found


def test_every_verb_is_there_and_short():
    verbs = {name for name in app.resolved_commands() if not name.startswith("-")}
    own = "check judge evaluate features serve list plan preregister run show verify report new mcp"
    files = "train-dictionary export fetch doctor"
    of_catalogue = "challenge-claim puzzle score-circuit"
    assert verbs == {*own.split(), *files.split(), *of_catalogue.split()}
    for word in verbs:
        (node,) = ast.parse(inspect.getsource(described(word).function)).body
        assert isinstance(node, ast.FunctionDef)
        body = node.body[1:]  # the docstring is the help
        steps = sum(isinstance(part, ast.stmt) for line in body for part in ast.walk(line))
        assert steps < 18, f"{word} decides too much"
        options = [a for a in app[word].assemble_argument_collection() if a.name.startswith("--")]
        first = [a.name for a in options if MORE not in a.parameter.group]
        assert len(first) <= 12, f"the first help of {word} is too long: {first}"


def test_the_first_help_counts_the_options_that_few_need(capsys):
    first, every = said(capsys, "judge", "--help"), said(capsys, "judge", "--help-all")
    assert "--unpaired" not in first and "more options: --help-all" in first
    assert "--unpaired" in every and "--help-all" not in every
    assert said(capsys, "run", "--help").startswith("Usage: assay run [OPTIONS] NAME [MORE...]\n")


def test_run_prints_one_object_and_its_progress_elsewhere(capsys):
    assert main(["run", *SMOKE, "--set", "steps=10", "--executor", "inline", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert {
        "experiment",
        "preset",
        "seconds",
        "cpu_seconds",
        "provenance",
        "verdicts",
        "exact",
        "findings",
    } <= set(result)
    (verdict,) = result["verdicts"]
    assert not VERDICT - set(verdict) and not VERDICT - set(verdict["controls"]["flat"])
    assert result["preset"].startswith("smoke-"), (
        "a changed field must not overwrite the preset's own result"
    )
    assert "own: 4 runs, 0 stored" in err and "4 of 4 runs" in err


def test_report_writes_pages(capsys, world):
    found = told(capsys, "report", *SMOKE, "--out", "pages")
    page = Path(found["pages"][0]).read_text()
    assert "largest angle between the kept and the planted subspace" in page
    assert "own-smoke.html" in (world / "pages/index.html").read_text()
    assert len(told(capsys, "report", "own.py", *SMOKE, "--out", "two")["pages"]) == 2


def test_remove_says_what_and_deletes_it(capsys):
    assert main(["run", *SMOKE, "--root", "spare", "--executor", "inline"]) == 0
    capsys.readouterr()
    assert main(["doctor", "--remove", "own.py", "--root", "spare", "--yes"]) == 0
    assert "spare/runs/own" in capsys.readouterr().err
    assert told(capsys, "plan", *SMOKE, "--root", "spare")["cached"] == 0
    assert (
        said(capsys, "doctor", "--remove", "own.py", "--root", "spare", "--yes")
        == "nothing is stored of own.py\n"
    )


def test_a_crash_of_the_experiment_has_its_own_exit_code(capsys, world):
    text = (world / "own.py").read_text()
    (world / "sick.py").write_text(
        text.replace("    def batch(", '    raise ValueError("too few cats")\n\n    def batch(')
    )
    said(capsys, "run", "sick.py", "--preset", "smoke", "--executor", "inline", code=3)
    assert main(["run", "sick.py", "--preset", "smoke", "--executor", "inline"]) == 3
    assert "ValueError: too few cats" in capsys.readouterr().err
    assert (
        told(capsys, "plan", "sick.py", "--preset", "smoke")["runs"][0]["why"]
        == "crashed: ValueError: too few cats"
    )


def test_an_interrupted_run_goes_on_where_it_was(capsys, world, forks):
    words = ["own.py", "--root", "late", "--set", "steps=40000"]
    inline = ["--executor", "inline"]  # what workers do then: tests/lab/test_kill.py
    env = os.environ | {"ASSAY_CHECKPOINT_SECONDS": "0.2"}
    process = forks.start(world, env, words=["run", *words, *inline])
    deadline = time.monotonic() + 120
    while not list(Path("late").glob("groups/*/fit-*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.1)
    # as Ctrl-C does: to every process of the terminal
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = process.end()
    assert code == 130
    assert err.splitlines()[-1].endswith(
        "to resume: assay run own.py --root late --set steps=40000 --executor inline"
    )
    assert "Traceback" not in err
    steps = [run["why"] for run in told(capsys, "plan", *words)["runs"]]
    assert any(why.startswith("unfinished group at step") for why in steps)
