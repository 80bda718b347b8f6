"""`assay new` writes an experiment that runs as it is, claims something true, and has a control
that fails and could pass."""

import json
import os

import pytest

from assay.verbs.new import write_experiment


@pytest.fixture
def assay(commands, tmp_path):
    """The JSON that a verb prints in the test's folder."""

    def said(*words):
        done = commands.run([*words, "--json"], tmp_path, os.environ)
        assert done.code == 0, done.err
        return json.loads(done.out)

    return said


def test_it_runs_and_holds_while_its_control_fails(tmp_path, assay):
    assert assay("new", "my-claim") == {"path": "my_claim.py"}
    result = assay("run", "my_claim.py", "--executor", "inline")
    (verdict,) = result["verdicts"]
    assert verdict["outcome"] == "holds"
    assert verdict["controls"]["flat"]["outcome"] == "fails"
    # From outside the code: a random subspace of 4 of 20 dimensions lies about 85 degrees away, the
    # trained one near 0.
    assert verdict["estimate"] < 5 and verdict["controls"]["flat"]["estimate"] > 60

    path = tmp_path / "my_claim.py"
    path.write_text(path.read_text().replace("high=10,", "high=1,"))
    (verdict,) = assay("run", "my_claim.py", "--executor", "inline")["verdicts"]
    assert verdict["outcome"] == "fails"


def test_a_run_that_diverges_is_told_from_one_that_fails(tmp_path, assay):
    write_experiment("mine", tmp_path)
    (verdict,) = assay(
        "run", "mine.py", "--executor", "inline", "--set", "lr=1e30", "--set", "steps=20"
    )["verdicts"]
    assert (verdict["outcome"], verdict["dropped"]) == ("undecided", 8)
