"""A record says how fast the machine of its runs was, as their stored result does: plans elsewhere
scale by it."""

import shutil
from pathlib import Path

import pytest

from assay.lab import catalogue, records, speed
from assay.lab.executors import Inline
from assay.lab.lab import Lab
from assay.lab.preset import override
from assay.lab.speed import Piece, Speed
from assay.verbs.record import record

WALK = Path(__file__).parents[1] / "lab" / "walk.py"


def fast(ms: float) -> Speed:
    """This machine, at so many milliseconds a piece of work."""
    cpu, torch = speed.machine()
    return Speed(cpu, 1, torch, "2026-11-22T01:00:00+00:00", {"a": Piece(ms, ms)})


def test_a_record_keeps_the_speed_at_which_its_runs_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(WALK, tmp_path / "ramble.py")
    experiment, lab = catalogue.find(str(tmp_path / "ramble.py")), Lab(tmp_path / "s", Inline())
    preset = override(experiment, "smoke")
    monkeypatch.setattr(speed, "load_speed", lambda: fast(2.0))
    lab.run(experiment, "smoke")
    monkeypatch.setattr(speed, "load_speed", lambda: fast(3.0))
    record(lab, experiment, preset)
    found = records.read("ramble", experiment.origin)
    assert found is not None and speed.recorded(found) == {"a": 2.0}, "not as fast as it is by now"


def test_a_machine_that_was_never_measured_leaves_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(WALK, tmp_path / "ramble.py")
    experiment, lab = catalogue.find(str(tmp_path / "ramble.py")), Lab(tmp_path / "s", Inline())
    monkeypatch.setattr(speed, "load_speed", lambda: None)
    lab.run(experiment, "smoke")
    record(lab, experiment, override(experiment, "smoke"))
    found = records.read("ramble", experiment.origin)
    assert found is not None and speed.recorded(found) == {}
