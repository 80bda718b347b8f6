"""A user's file whose result stands in for judging reads nothing but itself; any other is judged
every time."""

import time
from pathlib import Path

import pytest

from assay.core import syntax
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import sources
from assay.lab.judge.closed import closed
from assay.lab.lab import Lab
from assay.verbs import template

WHOLE = '''"""Numbers that nothing was done for are above a half.

Paper: none
Claim: their mean is above a half
Baselines: zero — the same around zero
Cost: seconds
"""

import numpy as np

from assay import Arm, Claim, Experiment, PerRun, Spec, Trained, changed, grid, measures, normal
{imports}


class Nothing(Spec):
    pass


def measure(runs, trained, bench):
    return measures(runs, height=("run", normal(runs.seeds, "n", 0, (8,)).mean(1) + 1, "1"))


nothing = Arm(lambda runs, bench: Trained.nothing(runs))
experiment = Experiment(
    arms={{"main": nothing, "zero": Arm(derive=lambda arms: arms["main"] - 1)}},
    measure=measure,
    claims=(
        Claim(
            text="The mean is above a half",
            value=lambda arm, arms: {value},
            low=0.5,
            empty=0.0,
            unit="1",
            must_fail=("zero",),
            threshold_from="theory",
            published="new",
            source="none",
        ),
    ),
    smoke=grid(Nothing(), seed=range(2)),
    default=grid(Nothing(), seed=range(1000, 1008)),
    full=grid(Nothing(), seed=range(1000, 1008)),
)
'''


@pytest.mark.parametrize(
    "text",
    [
        "import math\nimport numpy as np\nx = np.exp(math.pi)",
        "import assay\nassay.normal",
        "from collections.abc import Mapping\nfrom assay.core.heavy import torch\ntorch.from_numpy",
        "class A:\n    def __init__(self): self.x = {}.get('open')",
        "if __name__ == '__main__': pass",
    ],
)
def test_what_computes_alone_is_closed(text):
    assert closed(syntax.module(text))


@pytest.mark.parametrize(
    "text",
    [
        "import neighbour",
        "from . import neighbour",
        "from .method import value",
        "def late():\n    import os",
        "from pathlib import Path",
        "from numpy import load",
        "import numpy as np\nf = np.load",
        "import numpy as np\nf = np.genfromtxt",
        "open('limits.txt')",
        "f = open",
        "from assay import load",
        "import assay as a\na.load",
        "import assay\nassay.Lab",
        "from assay.core import foreign",
        "from assay.core.heavy import torch\ntorch.load",
        "from assay.core.heavy import httpx",
        "eval('1')",
        "__import__('os')",
        "().__class__.__subclasses__()",
        "getattr(np, name)",
        "import time",
        "import random",
    ],
)
def test_what_may_read_something_is_not(text):
    assert not closed(syntax.module(text))


def test_what_assay_new_writes_is_closed():
    assert closed(syntax.module(Path(template.__file__).read_text()))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab of a process that began after every file was written."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_BEGAN", time.time() + 3600)
    return Lab(tmp_path / "store", Inline())


def written(folder, imports="", value="arm.height"):
    path = folder / "nothing.py"
    path.write_text(WHOLE.format(imports=imports, value=value))
    return catalogue.find(str(path))


def test_a_result_stands_for_judging_until_the_text_is_another(lab, tmp_path):
    experiment = written(tmp_path)
    assert lab.known(experiment) is None
    judged = lab.run(experiment).to_json()
    known = lab.known(experiment)
    assert known is not None and known["verdicts"] == lab.judge(experiment).to_json()["verdicts"]
    assert known["verdicts"] == judged["verdicts"]
    other = written(tmp_path, value="arm.height * 0.1")
    assert lab.known(other) is None
    assert lab.judge(other).judged[0].outcome == "fails"


def test_what_reads_a_neighbour_is_judged_every_time(lab, tmp_path):
    (tmp_path / "limits.txt").write_text("1")
    experiment = written(
        tmp_path, value=f"arm.height * np.loadtxt({str(tmp_path / 'limits.txt')!r})"
    )
    lab.run(experiment)
    assert lab.known(experiment) is None
    (tmp_path / "limits.txt").write_text("0.1")
    shown = lab.known_or_judged(experiment)
    assert shown.judged[0].outcome == "fails"


def test_a_file_written_since_the_start_has_no_stamp(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_BEGAN", time.time())
    experiment = written(tmp_path)
    assert lab.run(experiment).stamp == "" and lab.known(experiment) is None
