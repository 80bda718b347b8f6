"""Edits: after an edit of a user's file, or of one that it imports, no stored number is shown as
what the new text gives."""

import os
import sys
from types import SimpleNamespace

import pytest

from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import origin

TEXT = '''"""How far a ball falls.

Paper: none
Claim: far enough
Baselines: none
Cost: nothing
"""

from dataclasses import dataclass

import numpy as np
import torch

from assay.core.claims import Claim
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Trained
from assay.core.measures import measures
from assay.core.spec import Spec, grid
from helpers_of_ball import bounce

G = 10.0


@dataclass(frozen=True, kw_only=True)
class Ball(Spec):
    t: float = 2.0


def drop(runs, bench):
    print("trained", file=open("trained.log", "a"))
    fell = torch.tensor([G * s.t * s.t / 2 for s in runs.specs])
    return Trained({"fell": fell}, {}, {}, np.zeros(0, np.int64), np.zeros(len(runs), bool))


def scaled(x):
    return 1.0 * x


def measure(runs, trained, bench):
    return measures(runs, fell=("run", bounce(scaled(trained.tensors["fell"])).numpy(), "m"))


ARMS = {"main": Arm(drop, keep=KEEP), "flat": Arm(drop, specs=lambda s: tuple(x.replace(t=0.5) for x in s))}
CLAIMS = (Claim(text="It falls far", value=lambda arm, arms: arm.fell, units=("seed",), low=5.0, unit="m", must_fail=("flat",), threshold_from="plan",
                published="new", source="Galileo"),)
experiment = Experiment(arms=ARMS, measure=measure, claims=CLAIMS, smoke=grid(Ball(), seed=range(6)), default=grid(Ball(), seed=range(6)),
                  full=grid(Ball(), seed=range(6)))
'''  # noqa: E501
HELPERS = "def bounce(x):\n    return x + 0.0\n"


class Tried:
    """The file, run again after each edit."""

    def __init__(self, folder, keep):
        self.path, self.neighbour = folder / "ball.py", folder / "helpers_of_ball.py"
        self.path.write_text(TEXT.replace("KEEP", str(keep)))
        self.neighbour.write_text(HELPERS)
        self.lab, self.edits = Lab(folder / "store", Inline()), 0

    def edit(self, old, new, neighbour=False):
        path = self.neighbour if neighbour else self.path
        text = path.read_text()
        assert text.count(old) >= 1, old
        path.write_text(text.replace(old, new))
        self.edits += 1
        # a later file, whatever the clock's grain
        os.utime(path, (2e9 + self.edits, 2e9 + self.edits))

    def text(self):
        return origin.text(catalogue.find(str(self.path))).whole

    def run(self):
        """(metres of main, how many trainings that took)."""
        log = self.path.parent / "trained.log"
        before = log.read_text().count("trained") if log.exists() else 0
        result = self.lab.run(catalogue.find(str(self.path)), "smoke")
        return float(result.arms["main"].fell.mean()), log.read_text().count(
            "trained"
        ) - before if log.exists() else 0


@pytest.fixture(params=[True, False], ids=["kept", "not kept"])
def tried(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = Tried(tmp_path, request.param)
    found.kept = request.param
    yield found
    sys.modules.pop("helpers_of_ball", None)


def test_an_edit_of_what_measures_is_measured(tried):
    metres, trainings = tried.run()
    assert metres == 20 and trainings
    tried.edit("return 1.0 * x", "return 3.0 * x")
    assert tried.run()[0] == 60, "a helper that measure calls"
    tried.edit('trained.tensors["fell"])).numpy()', 'trained.tensors["fell"])).numpy() * 2')
    assert tried.run()[0] == 120, "measure itself"
    assert tried.run() == (120, 0)


def test_an_edit_of_a_neighbour_counts_and_of_what_that_imports(tried, tmp_path):
    """Read without importing: a process keeps what it has imported."""
    farther, says = tmp_path / "farther_of_ball.py", [tried.text()]
    tried.edit("x + 0.0", "x + 1.0", neighbour=True)
    says.append(tried.text())
    tried.edit("def bounce", "from farther_of_ball import LIFT\n\n\ndef bounce", neighbour=True)
    for text in ("LIFT = 2.0\n", "LIFT = 30.0\n", "LIFT = 30.0\n"):
        farther.write_text(text)
        says.append(tried.text())
    assert len(set(says)) == 4 and says[-1] == says[-2]


@pytest.mark.parametrize(
    "old, new",
    [("low=5.0", "low=6.0"), ("G = 10.0", "G = 10.0  # the Earth's")],
    ids=["threshold", "comment"],
)
def test_any_edit_is_trained_again_and_a_file_put_back_is_not(tried, old, new):
    tried.run()
    tried.edit(old, new)
    assert tried.lab.plan(catalogue.find(str(tried.path)), "smoke").missing
    tried.edit(new, old)
    assert tried.run()[1] == 0


def test_runs_of_an_older_version_count_while_the_file_is_as_it_was(tried):
    """It noted the hash of the file itself, and of functions, which nobody reads any more."""
    now = origin.text(catalogue.find(str(tried.path)))
    noted = {"code": now.code, "text": "01234567"}
    assert not now.made(SimpleNamespace(provenance=noted)), "its neighbour may have changed"
    alone = now._replace(is_alone=True)
    assert alone.made(SimpleNamespace(provenance=noted))
    tried.edit("It falls far", "It falls very far")
    later = origin.text(catalogue.find(str(tried.path)))
    assert not later.made(SimpleNamespace(provenance=noted))
    assert later.made(SimpleNamespace(provenance={**noted, "text": later.whole}))
