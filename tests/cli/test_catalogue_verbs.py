"""`assay series` and `assay verify`, on a catalogue of tiny experiments: pages, errors,
interrupts, planted differences."""

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest

from assay.cli.main import main
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.records import records
from assay.verbs.new import write_experiment

SMALL = ("--preset", "smoke", "--executor", "inline")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with three experiments, of which the last one crashes."""
    folder = tmp_path_factory.mktemp("catalogue")
    for name in ("early", "late", "sick"):
        write_experiment(name, folder)
    text = (folder / "sick.py").read_text()
    (folder / "sick.py").write_text(
        text.replace("    def batch(", '    raise ValueError("too few cats")\n\n    def batch(')
    )
    return folder


def listing(folder, *names):
    return [catalogue.Entry(n, str(folder / f"{n}.py"), folder / f"{n}.py") for n in names]


@pytest.fixture
def well(files, tmp_path, monkeypatch):
    """An empty folder, where the catalogue is the two experiments that are well."""
    monkeypatch.setattr(catalogue, "entries", lambda: listing(files, "early", "late"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(capsys, *words):
    capsys.readouterr()
    code = main(words)
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("new", "catalogue"), "means all experiments together"),
        *(
            ((*verb, "catalogue"), "which only assay verify takes")
            for verb in (["run"], ["show"], ["report"], ["doctor", "--remove"])
        ),
        (("run", "catalog"), "no experiment is called 'catalog'; assay list shows them all"),
        (("verifies",), '"verifies". Did you mean "verify"? Type: assay verify'),
        (("frobnicate",), '"frobnicate"; assay --help lists all'),
        (("verify", "early", "--rerun", "--record"), "--rerun stores nothing"),
        (("verify", "catalogue", "--rerun"), "go with the name of one experiment"),
        (
            ("verify", "early", "--rerun"),
            "early has no committed record to compare its result with; assay verify early.py "
            "--record writes one",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(capsys, well, words, says):
    code, out, err = ran(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err
    assert not list(well.iterdir())


def test_a_saved_check_whose_name_is_misspelt_is_named(capsys, well):
    for name in ("truth.assay", "truth.html", "truth.png"):
        (well / name).touch()
    _, _, err = ran(capsys, "verify", "truth.asay")
    assert "did you mean truth.assay? Type: assay verify truth.assay" in err


@pytest.fixture
def recorded(capsys, files, tmp_path, monkeypatch):
    """The record of an experiment's smoke preset, in its folder's `records`."""
    monkeypatch.chdir(tmp_path)
    write_experiment("own", tmp_path)
    assert main(["run", "own.py", *SMALL]) == 0
    assert main(["verify", "own.py", "--preset", "smoke", "--record"]) == 0
    return tmp_path / "records/own.json"


def test_an_honest_record_is_reproduced(capsys, recorded):
    code, out, err = ran(capsys, "verify", "own.py", "--rerun", *SMALL)
    assert code == 0, out + err
    lines = out.splitlines()
    assert lines[-1] == "own (smoke) is reproduced: every statement came out as recorded."
    assert "as expected on this processor with these versions" in " ".join(out.split())
    assert all(word in out for word in ("processor", "torch", "Python", "commit", "CPU-seconds"))
    assert all(len(line) <= 100 for line in lines)
    assert os.uname().nodename not in out and str(recorded.parent) not in out
    # Python's own, where it keeps bytecode
    left = {p.name for p in recorded.parent.parent.iterdir()} - {"__pycache__"}
    assert left == {"assay-store", "own.py", "records"}, "its own store is gone"

    code, out, _ = ran(capsys, "verify", "own.py", "--rerun", *SMALL, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["same"]
    assert found["same_runs"]
    assert found["same_claims"]
    assert found["numbers"]["equal"] == found["numbers"]["total"] > 0
    assert found["numbers"]["expected_equal"]
    assert (
        found["cost"]["recorded"].keys()
        == found["cost"]["reproduced"].keys()
        == {"seconds", "cpu_seconds"}
    )
    assert found["environment"]["recorded"]["torch"] == found["environment"]["reproduced"]["torch"]
    (claim,) = [s for s in found["statements"] if s["kind"] == "verdicts"]
    assert claim["recorded"] == claim["reproduced"] and claim["same"]


@pytest.mark.parametrize(
    ("planted", "why"),
    [
        ({"outcome": "holds"}, "another outcome"),
        (
            {"estimate": 80.0, "low": 79.0, "high": 81.0},
            "each estimate lies outside the other's interval",
        ),
        ({"text": "something else"}, "not in the record"),
    ],
)
def test_a_planted_difference_is_found(capsys, recorded, planted, why):
    record = copy.deepcopy(records.read("own", str(Path("own.py").absolute())))
    record["verdicts"][0] |= planted
    recording.save(recorded, record)
    code, out, _ = ran(capsys, "verify", "own.py", "--rerun", *SMALL)
    assert code == 1
    assert why in " ".join(out.split()) and "not reproduced" in out
    assert "After training" in out, "the claim has room beside the reason"


def test_other_digits_are_no_difference_but_are_counted(capsys, recorded):
    """As another machine would leave them: a record whose measures are moved by a millionth."""
    record = copy.deepcopy(records.read("own", str(Path("own.py").absolute())))
    for data in record["arms"].values():
        for v in data["measures"]["variables"].values():
            if v["values"].dtype.kind == "f":
                v["values"] = v["values"] * np.float32(1 + 1e-6)
    record["provenance"]["machine"]["cpu"] = "another"
    recording.save(recorded, record)
    code, out, _ = ran(capsys, "verify", "own.py", "--rerun", *SMALL, "--json")
    found = json.loads(out)
    assert (code, found["same"], found["numbers"]["expected_equal"]) == (0, True, False)
    assert found["numbers"]["equal"] < found["numbers"]["total"]
    assert found["numbers"]["unequal"]


def test_with_nothing_stored_the_measures_of_the_record_are_judged_again(capsys, recorded):
    said = ("verify", "own.py", "--preset", "smoke", "--root", "empty")
    code, out, _ = ran(capsys, *said)
    assert code == 0 and out.endswith("own: as recorded\n")
    assert "judged again from the record's own measures; no run is stored" in " ".join(out.split())
    record = copy.deepcopy(records.read("own", str(Path("own.py").absolute())))
    record["verdicts"][0]["outcome"] = "holds"
    recording.save(recorded, record)
    code, out, _ = ran(capsys, *said, "--json")
    found = json.loads(out)
    (difference,) = found["differences"]
    assert code == 1
    assert found["records"] == 1
    assert found["judged"] == "the record's own measures"
    assert difference["recorded"].startswith("holds")
    assert "(another outcome)" in difference["what"]
