"""Records: written, read, judged again without training, compared."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from assay.core.errors import ExperimentError
from assay.lab import catalogue, recording, records
from assay.lab.executors import Inline
from assay.lab.lab import Lab
from assay.lab.reproduction import reproduction


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    shutil.copy(Path(__file__).with_name("walk.py"), home / "stroll.py")
    e = catalogue.find(str(home / "stroll.py"))
    lab = Lab(home / "s", Inline())
    result = lab.run(e)
    path = recording.write_record(e, result, lab.plan(e))
    assert path == home / "records" / "stroll.json"
    return e, lab, result, records.read("stroll", e.origin)


def test_a_record_gives_the_same_verdicts_without_training(recorded):
    e, _, result, record = recorded
    again, exact, findings = recording.rejudge(e, record)
    assert [v.outcome for v in exact] == [v.outcome for v in result.exact]
    assert [f.estimate for f in findings] == pytest.approx(
        [f.estimate for f in result.findings], rel=1e-6
    )
    assert [j.verdict.outcome for j in again] == [j.verdict.outcome for j in result.judged]
    for a, b in zip(again, result.judged, strict=True):
        assert a.verdict.estimate == pytest.approx(b.verdict.estimate, rel=1e-6)
        assert {k: v.outcome for k, v in a.controls.items()} == {
            k: v.outcome for k, v in b.controls.items()
        }


def test_measures_come_back_in_single_precision(recorded):
    e, _, result, record = recorded
    for arm, data in recording.arms(e, record).items():
        np.testing.assert_array_equal(
            data.end.values.astype(np.float32), result.arms[arm].end.values.astype(np.float32)
        )
        assert data.diverged.dtype == bool
        assert data.attrs == result.arms[arm].attrs
        assert data.seed.values.tolist() == result.arms[arm].seed.values.tolist()


def test_a_number_close_to_one_keeps_how_far_from_one_it_is():
    """A claim on the scale of -log(1 - x) is judged again to single precision, which x alone in
    single precision would not give."""
    given = np.array(
        [
            1 - 2.1e-5 / 3,
            1 - 1.2345678901e-9,
            1 - 1e-12 / 7,
            1 - 2.0**-7,
            0.987654321987,
            0.3,
            1.0,
            1.000001,
            np.nan,
        ]
    )
    data = xr.Dataset({"chance": ("run", given), "short": ("run", given.astype(np.float32))})
    held = json.loads(json.dumps(recording.dumped(data)))["variables"]
    back = np.array(held["chance"]["values"], dtype=np.float64)
    assert np.array_equal(back.astype(np.float32), given.astype(np.float32), equal_nan=True)
    assert np.allclose(-np.log1p(-back[:5]), -np.log1p(-given[:5]), rtol=1e-7, atol=0)
    assert abs(given[0].astype(np.float32).astype(float) - given[0]) > 1e-5 * (1 - given[0])
    assert held["short"]["values"][:2] == [
        float(str(x)) for x in given.astype(np.float32)[:2]
    ]  # what was single stays short


def test_a_record_in_single_precision_is_still_reproduced(recorded):
    """Records from before a number close to 1 kept its distance from 1: what comes out today is
    equal to the last digit that they have."""
    _, _, result, record = recorded
    close = {
        arm: data.assign(chance=("run", 1 - 1.7e-5 / (np.arange(data.sizes["run"]) + 3)))
        for arm, data in result.arms.items()
    }
    before = json.loads(json.dumps(record))
    for arm in before["arms"]:
        before["arms"][arm]["measures"] = recording.dumped(
            close[arm].map(lambda v: v.astype(np.float32) if v.dtype.kind == "f" else v)
        )
    numbers = reproduction(dataclasses.replace(result, arms=close), before).numbers
    assert numbers.total > 0 and numbers.equal == numbers.total and numbers.unequal == ()


def test_a_record_names_keys_costs_and_no_path(recorded):
    e, lab, _, record = recorded
    assert record["arms"]["far"]["keys"] == [r.job.key for r in lab.plan(e).by_arm()["far"]]
    assert record["cost"].keys() == record["bytes"].keys() == {"main", "still", "far"}
    assert min(record["bytes"].values()) > 0
    assert str(lab.store.root.parent) not in json.dumps(record)
    plan = Lab(lab.store.root.parent / "empty").plan(e)
    assert plan.cost_from == "the record"
    assert plan.disk == sum(6 * b for b in record["bytes"].values())


def test_check_finds_what_differs(recorded):
    _, lab, result, record = recorded
    assert lab.check(result, record) == []
    moved = json.loads(json.dumps(record))
    moved["verdicts"][0] |= {"outcome": "fails", "estimate": 0.1, "low": 0.0, "high": 0.2}
    moved["claims_key"] = "0" * 64
    found = lab.check(result, moved)
    assert [d.what.split(":")[0] for d in found] == ["claims key", "The walk ends above 0.5"]
    assert found[1].recorded == "fails 0.1 [0, 0.2]"
    far = json.loads(json.dumps(record))
    far["verdicts"][0] |= {"estimate": 9.0, "low": 8.9, "high": 9.1}
    assert len(lab.check(result, far)) == 1


def test_a_file_that_is_no_record(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "x.json").write_text("[")
    with pytest.raises(ExperimentError, match=r"is not a record .* assay check x --record"):
        records.read("x", str(tmp_path / "x.py"))
    assert records.read("y", str(tmp_path / "y.py")) is None


def test_a_record_of_another_preset_is_not_overwritten(recorded):
    e, lab, result, _ = recorded
    with pytest.raises(ExperimentError, match="records preset default, got smoke"):
        recording.write_record(e, dataclasses.replace(result, preset="smoke"), lab.plan(e))


def test_a_record_without_its_measures_is_all_of_it_but_the_arms(recorded):
    e, *_, record = recorded
    head = records.read("stroll", e.origin, measures=False)
    assert (
        head == {name: value for name, value in record.items() if name != "arms"}
        and "arms" in record
    )


def test_a_record_that_was_cut_short_is_refused_without_its_measures_too(recorded, tmp_path):
    e = recorded[0]
    text = records.path("stroll", e.origin).read_bytes()
    there = records.path("x", str(tmp_path / "x.py"))
    there.parent.mkdir(parents=True)
    braces = [i + 1 for i, letter in enumerate(text) if letter == ord("}")]
    for cut in (len(text) // 10, *braces[:-1]):  # at a brace it looks most like an end
        there.write_bytes(text[:cut])
        with pytest.raises(ExperimentError, match="is not a record"):
            records.read("x", str(tmp_path / "x.py"), measures=False)
    there.write_bytes(text[: braces[-1]])
    assert records.read("x", str(tmp_path / "x.py"), measures=False) == records.read(
        "stroll", e.origin, measures=False
    )
