"""A stored result is shown in place of judging again only while nobody has touched what it was
made from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import assay

pytest.importorskip("assay_catalogue")
import assay_catalogue

WALK = Path(__file__).parents[3] / "tests/lab/walk.py"

STUDY = """
import sys
from pathlib import Path
import assay_catalogue
from assay.core.claims import claims_key
from assay.lab import catalogue
from assay.lab.work.events import Started
from assay.lab.engines import Inline
from assay.lab.lab import Lab

edited = Path(assay_catalogue.__file__).parent / sys.argv[2]
def hear(event):
    if isinstance(event, Started) and sys.argv[3:]:
        edited.write_text(edited.read_text().replace(*sys.argv[3:]))

lab = Lab(sys.argv[1], Inline())
walk = catalogue.find("walk")
planned = lab.plan(walk)
data = lab.known(walk, planned) or lab.run(walk, on_event=hear, planned=planned).data
print(data.claims_key == claims_key(catalogue.find("walk").claims), data.verdicts[0].outcome, len(planned.missing))
"""  # noqa: E501


@pytest.fixture
def checkout(tmp_path):
    """A copy of Assay in which the walk of these tests is an experiment of the catalogue."""
    for package in (assay, assay_catalogue):
        source = Path(package.__file__).parent
        shutil.copytree(source, tmp_path / "src" / source.name)  # with what Python compiled
    # with its time: what is written within a tick of the start counts as written since
    shutil.copy2(WALK, tmp_path / "src/assay_catalogue/experiments/walk.py")
    (listed := tmp_path / "src/walk-1.dist-info").mkdir()
    (listed / "METADATA").write_text("Metadata-Version: 2.1\nName: walk\nVersion: 1\n")
    points = "[assay.experiments]\nwalk = assay_catalogue.experiments.walk\n"
    (listed / "entry_points.txt").write_text(points)
    return tmp_path


def said(checkout, program, *words):
    """What a process of its own prints."""
    told = subprocess.run(
        [sys.executable, "-c", program, str(checkout / "s"), *words],
        env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
        cwd=checkout,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def study(checkout, *edit):
    """What a process of its own says after one study, with this edit made once training has
    begun."""
    told = said(checkout, STUDY, *(edit or ["experiments/walk.py"]))
    held = json.loads((checkout / "s/results/walk/default.json").read_text())
    return told, bool(held.get("kept"))


@pytest.mark.thorough
def test_a_result_is_not_shown_as_written_after_an_edit_while_it_trained(checkout):
    assert study(checkout, "experiments/walk.py", "low=0.5,", "low=99.0,") == (
        "True holds 18",
        False,
    ), "by the text that it began with"
    assert study(checkout) == ("True undecided 0", True), "judged anew, and nothing trained"
    assert study(checkout) == ("True undecided 0", True)


@pytest.mark.thorough
def test_an_edit_of_another_experiment_is_none_of_this_one(checkout):
    """No experiment imports another, so what one computes does not depend on it."""
    edit = ("experiments/sgd_noise.py", '"""', '"""Other words. ')
    assert study(checkout, *edit) == ("True holds 18", True)
    assert study(checkout) == ("True holds 0", True)


@pytest.mark.thorough
def test_a_result_that_was_changed_by_hand_is_not_shown(checkout):
    study(checkout)
    path = checkout / "s/results/walk/default.json"
    path.write_text(path.read_text().replace('"claims_key": "', '"claims_key": "0'))
    assert study(checkout)[0] == "True holds 0"


KNOWN = """
import sys
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

lab, walk = Lab(sys.argv[1], Inline()), catalogue.find("walk")
before = lab.known(walk, lab.plan(walk))
if sys.argv[2] == "run":
    lab.run(walk, "default")
told, judged = lab.known(walk, lab.plan(walk)), lab.judge(walk, "default").to_json()
print(before is None, told is not None and told.to_json() == judged, told is None)
"""


@pytest.mark.thorough
def test_what_is_known_is_what_judging_says_and_nothing_once_the_claim_is_another(checkout):
    assert said(checkout, KNOWN, "run") == "True True False"
    assert said(checkout, KNOWN, "") == "False True False"
    edited = checkout / "src/assay_catalogue/experiments/walk.py"
    edited.write_text(edited.read_text().replace("low=0.5,", "low=0.4,"))
    assert said(checkout, KNOWN, "") == "True False True"
