"""What a user's own functions do wrong is told in one line with file and line; what a training leaves behind keeps nobody waiting."""

import os
import subprocess
import sys

import pytest

from assay.cli.main import main

TEXT = '''"""Count: a test.

Paper: none
Claim: none
Baselines: none
Cost: none
"""
import subprocess
import sys

import torch

from assay.core import Arm, Experiment, Group, Spec, fit, grid, measures


def train(runs, bench):
    {left}

    def step(state, batch, at):
        state["x"] += 1.0
        return {loss}

    return fit([Group(runs, {{"x": torch.zeros(len(runs))}}, step)], lambda at: None, steps=6, bench=bench)[0]


def measure(runs, trained, bench):
    return measures(runs, x=("run", trained.tensors["x"], "1"))


def broken(given):
    return {answer}


some = grid(Spec(), seed=range(3))
experiment = Experiment(arms={{"main": Arm(train)}}, measure=measure, claims=(), smoke=some, default=some, full=some{more})
'''


def told(tmp_path, capsys, *, left="pass", loss='state["x"]', answer="None", more="", verb="run"):
    """Exit code and what the command said of an experiment with these parts."""
    (tmp_path / "count.py").write_text(TEXT.format(left=left, loss=loss, answer=answer, more=more))
    code = main([verb, str(tmp_path / "count.py"), "--root", str(tmp_path / "s"), "--executor", "inline"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize("what", ["inputs", "cost"])
@pytest.mark.parametrize("answer, says", [
    ("1 / 0", "count.py line 31: {what}= raised ZeroDivisionError: division by zero"),
    ("given.absent", "count.py line 31: {what}= raised AttributeError"),
    ("None", "{what}= must return"),
    ("{'model': 3}", "{what}= must return"),
    ("7", "{what}= must return"),
])  # fmt: skip
def test_a_mistake_before_training_is_one_line(tmp_path, capsys, verb, what, answer, says):
    code, err = told(tmp_path, capsys, answer=answer, more=f", {what}=broken", verb=verb)
    assert code == 2 and says.format(what=what) in err and err.count("\n") == 1, err
    assert not list((tmp_path / "s").glob("runs/*/*"))


@pytest.mark.parametrize("loss", ['state["x"].sum()', 'state["x"].sum().reshape(1)', 'state["x"][:, None]', 'state["x"][:2]'])
def test_a_loss_that_is_not_one_number_for_each_run_says_what_it_should_be(tmp_path, capsys, loss):
    code, err = told(tmp_path, capsys, loss=loss)
    assert code in (2, 3) and "one number for each of 3 runs" in err and "Traceback" not in err, err


def test_a_run_ends_when_its_work_is_stored_whatever_a_training_left_running(tmp_path):
    left = 'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])'
    (tmp_path / "count.py").write_text(TEXT.format(left=left, loss='state["x"]', answer="None", more=""))
    command = [sys.executable, "-m", "assay", "run", str(tmp_path / "count.py"), "--root", str(tmp_path / "s")]
    with (tmp_path / "said").open("w") as said:  # no pipe of ours, which the child would hold as well
        done = subprocess.run(command, stdout=said, stderr=said, timeout=100, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, (tmp_path / "said").read_text()
    assert len(list((tmp_path / "s" / "runs" / "count").iterdir())) == 3
