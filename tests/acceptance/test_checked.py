"""Whatever a user's functions leave running or change, a run ends when its work is stored."""

import json
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
import os
import subprocess
import sys
import threading
import time

import numpy as np
import torch
import xarray as xr

from assay.core import Arm, Experiment, Finding, Group, Joint, Spec, fit, grid, measures


def train(runs, bench):
    {left}

    def step(state, batch, at):
        state["x"] += 1.0
        return {loss}

    return fit([Group(runs, {{"x": torch.zeros(len(runs))}}, step)], lambda at: None, steps=6, bench=bench)[0]


def right(runs, trained):
    return measures(runs, x=("run", trained.tensors["x"], "1"))


def measure(runs, trained, bench):
    {measured}


def broken(given):
    return {answer}


some = grid(Spec(), seed=range(3))
experiment = Experiment(arms={{"main": Arm({arm})}}, measure=measure, claims=({claim}), smoke=some, default=some, full=some{more})
'''  # noqa: E501


PARTS = {
    "left": "pass",
    "loss": 'state["x"]',
    "answer": "None",
    "more": "",
    "measured": "return right(runs, trained)",
    "arm": "train",
    "claim": "",
}


def test_a_run_ends_when_its_work_is_stored_whatever_a_training_left_running(tmp_path):
    left = 'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])'
    (tmp_path / "count.py").write_text(TEXT.format(**{**PARTS, "left": left}))
    command = [
        sys.executable,
        "-m",
        "assay",
        "run",
        str(tmp_path / "count.py"),
        "--root",
        str(tmp_path / "s"),
    ]
    # no pipe of ours, which the child would hold as well
    with (tmp_path / "said").open("w") as said:
        done = subprocess.run(
            command,
            stdout=said,
            stderr=said,
            timeout=100,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    assert done.returncode == 0, (tmp_path / "said").read_text()
    assert len(list((tmp_path / "s" / "runs" / "count").iterdir())) == 3


HARMLESS = (
    'print("x" * 10**6); sys.stdout.write("y\\n" * 1000)',
    "threading.Thread(target=time.sleep, args=(0.5,)).start()",
    'os.chdir("/")',
    "np.random.seed(0)",
    "sys.stdout.close()",
)


@pytest.mark.parametrize(
    ("does", "how"),
    [*((one, ("--executor", "inline")) for one in HARMLESS), ("; ".join(HARMLESS), ())],
)
def test_what_a_measure_does_beside_measuring_harms_nobody(
    tmp_path, monkeypatch, capsys, does, how
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "count.py").write_text(
        TEXT.format(**{**PARTS, "measured": f"{does}; return right(runs, trained)"})
    )
    assert main(["run", "count.py", "--json", *how]) == 0
    assert json.loads(capsys.readouterr().out)["experiment"] == "count"
    assert len(list((tmp_path / "assay-store/runs/count").iterdir())) == 3
