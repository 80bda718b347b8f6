"""Records: written, read, judged again without training, compared."""

import copy
import dataclasses
import hashlib
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from assay.core.errors import ExperimentError
from assay.core.results import Estimated
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import recording
from assay.lab.lab import Lab
from assay.lab.records import records
from assay.lab.store.runs import pack
from assay.lab.verifying import reproduction


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
    held = recording.dumped(data)["variables"]
    back = recording.numbers(held["chance"]["values"])
    assert np.array_equal(back.astype(np.float32), given.astype(np.float32), equal_nan=True)
    assert np.allclose(-np.log1p(-back[:5]), -np.log1p(-given[:5]), rtol=1e-7, atol=0)
    assert abs(given[0].astype(np.float32).astype(float) - given[0]) > 1e-5 * (1 - given[0])
    # what was single stays short
    assert recording.numbers(held["short"]["values"])[:2].tolist() == [
        float(str(x)) for x in given.astype(np.float32)[:2]
    ]


def test_a_record_in_single_precision_is_still_reproduced(recorded):
    """Records from before a number close to 1 kept its distance from 1: what comes out today is
    equal to the last digit that they have."""
    _, _, result, record = recorded
    close = {
        arm: data.assign(chance=("run", 1 - 1.7e-5 / (np.arange(data.sizes["run"]) + 3)))
        for arm, data in result.arms.items()
    }
    before = copy.deepcopy(record)
    for arm in before["arms"]:
        before["arms"][arm]["measures"] = recording.dumped(
            close[arm].map(lambda v: v.astype(np.float32) if v.dtype.kind == "f" else v)
        )
    numbers = reproduction(dataclasses.replace(result, arms=close), before).numbers
    assert numbers.total > 0 and numbers.equal == numbers.total and numbers.unequal == ()


def test_check_finds_what_differs(recorded):
    *_, result, record = recorded
    assert recording.check(result, record) == []
    moved = copy.deepcopy(record)
    moved["verdicts"][0] |= {"outcome": "fails", "estimate": 0.1, "low": 0.0, "high": 0.2}
    moved["claims_key"] = "0" * 64
    found = recording.check(result, moved)
    assert [d.what.split(":")[0] for d in found] == ["claims key", "The walk ends above 0.5"]
    assert found[1].recorded == "fails 0.1 [0, 0.2]"
    far = copy.deepcopy(record)
    far["verdicts"][0] |= {"estimate": 9.0, "low": 8.9, "high": 9.1}
    assert len(recording.check(result, far)) == 1


def test_a_file_that_is_no_record(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "x.json").write_text("[")
    with pytest.raises(ExperimentError, match=r"is not a record .* assay verify x --record"):
        records.read("x", str(tmp_path / "x.py"))
    assert records.read("y", str(tmp_path / "y.py")) is None


def test_a_record_of_another_preset_is_not_overwritten(recorded):
    e, lab, result, _ = recorded
    with pytest.raises(ExperimentError, match="records preset default, got smoke"):
        recording.write_record(e, dataclasses.replace(result, preset="smoke"), lab.plan(e))


def test_equal_records_are_equal_bytes_and_every_number_comes_back(recorded, tmp_path):
    """Of every kind and precision: no number, infinities, a zero with a sign, the least number."""
    record = copy.deepcopy(recorded[3])
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    given = {
        "single": odd,
        "double": odd.astype(float) / 3,
        "whole": np.array([-(2**62), 2**62]),
        "yes": np.array([True, False]),
        "none": np.zeros((2, 0), np.float32),
    }
    record["arms"]["far"]["measures"]["variables"] = {
        name: {"dims": ["run"], "unit": "1", "values": values} for name, values in given.items()
    }
    there = tmp_path / "records/x.json"
    there.parent.mkdir()
    recording.save(there, record)
    before = [p.read_bytes() for p in (there, records.arrays(there))]
    back = records.read("x", str(tmp_path / "x.py"))["arms"]["far"]["measures"]["variables"]
    for name, values in given.items():
        assert back[name]["values"].tobytes() == values.tobytes(), name
        assert back[name]["values"].dtype == values.dtype
        assert back[name]["dims"] == ["run"]
    assert np.signbit(recording.numbers(back["single"]["values"])[3])
    recording.save(there, record)
    assert before == [p.read_bytes() for p in (there, records.arrays(there))]


def test_a_record_that_is_not_whole_is_refused_in_one_line(recorded, tmp_path, monkeypatch):
    e = recorded[0]
    there = catalogue.record_path("x", str(tmp_path / "x.py"))
    there.parent.mkdir(parents=True)
    text = catalogue.record_path("stroll", e.origin).read_bytes()
    packed = records.arrays(catalogue.record_path("stroll", e.origin)).read_bytes()

    def refused(head, rest, why):
        there.write_bytes(head)
        records.arrays(there).unlink(missing_ok=True)
        if rest is not None:
            records.arrays(there).write_bytes(rest)
        with pytest.raises(ExperimentError, match=why) as found:
            records.read("x", str(tmp_path / "x.py"))
        assert "assay verify x --record" in str(found.value)
        assert "\n" not in str(found.value)

    for cut in (len(text) // 10, len(text) // 2, text.rindex(b"}")):
        refused(text[:cut], packed, r"x\.json is not a record")
        with pytest.raises(ExperimentError, match="is not a record"):
            records.read("x", str(tmp_path / "x.py"), measures=False)
    refused(text, None, r"x\.safetensors\.xz is missing")
    other = lzma.compress(pack({}, '{"arms": {}, "verdicts": [{}], "findings": []}'))
    flipped = bytes([packed[0] ^ 1]) + packed[1:]
    for damaged in (b"", packed[:-1], flipped, packed + b"x"):
        refused(text, damaged, r"x\.safetensors\.xz is damaged, or of another record")
    for nothing in (b"", b"{}", lzma.compress(b""), lzma.compress(b"\1" * 4096), other):
        digest_of = hashlib.sha256(nothing).hexdigest().encode()
        refused(text.replace(hashlib.sha256(packed).hexdigest().encode(), digest_of), nothing, "no")
    monkeypatch.setattr(records, "UNPACKED", 1000)
    refused(text, packed, r"x\.safetensors\.xz has 1,001 bytes unpacked; at most 1,000 are read")
    monkeypatch.undo()
    assert text.count(b'"outcome": "holds"')
    refused(text.replace(b'"outcome": "holds"', b'"outcome": "fails"', 1), packed, "by hand")
    there.write_bytes(text)
    records.arrays(there).write_bytes(packed)
    assert records.read("x", str(tmp_path / "x.py"))["preset"] == "default"


@pytest.mark.parametrize(("now", "moved"), [(0.4 * (1 + 1e-7), ""), (0.41, "each estimate")])
def test_an_estimate_without_an_interval_moved_where_it_is_another_number(now, moved):
    departs = recording.departs(
        Estimated(text="t", estimate=0.4), Estimated(text="t", estimate=now)
    )
    assert departs.startswith(moved) and bool(departs) == bool(moved)
