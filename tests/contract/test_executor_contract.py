"""The executor contract, run on ours; both give the same bytes."""

from pathlib import Path

from assay.lab import catalogue
from assay.lab.executors import Inline, Workers
from assay.lab.preset import override
from assay.testing.executor_contract import check_executor

WALK = Path(__file__).parents[1] / "lab" / "walk.py"


def test_inline_and_workers_agree(tmp_path):
    experiment = catalogue.find(str(WALK))
    preset = override(experiment, "default", ["steps=5"])
    one = check_executor(Inline, experiment, preset, tmp_path / "inline")
    two = check_executor(lambda: Workers(2), experiment, preset, tmp_path / "workers")
    assert one == two
    assert len(one) == 18  # 3 trained arms of 6 seeds
