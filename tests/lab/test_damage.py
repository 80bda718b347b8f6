"""Damage: whatever byte of a checkpoint or of a group's list of runs is changed, the numbers are
the same, or the file is named."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_lab import EDITED

from assay.cli.main import main
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import groups

rng = np.random.default_rng(0)


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A lab whose one run was stopped at step 3 of 6, its experiment now able to end, and the
    checkpoint."""
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
    path, lab = tmp_path / "count.py", Lab(tmp_path / "s", Inline())
    there = "pathlib.Path(__file__).with_name('stop').exists()"
    path.write_text(
        "import pathlib\n"
        + EDITED.replace("if at == STOP:", f"if at == 3 and {there}:")
        + "RATE = 1.0\n"
    )
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        lab.run(catalogue.find(str(path)))
    (tmp_path / "stop").unlink()
    (saved,) = (tmp_path / "s" / "groups").glob("*/fit-*.safetensors")
    return lab, catalogue.find(str(path)), saved


def ends(lab, experiment):
    """The number that the run ends with: 6 steps of 1."""
    return lab.run(experiment).arms["main"].x.values.tolist()


def test_a_whole_checkpoint_is_gone_on_from(stopped, capfd):
    lab, experiment, saved = stopped
    assert 0 < groups.checkpoint(saved)["step"] <= 3 and ends(lab, experiment) == [6.0]
    assert "damaged" not in capfd.readouterr().err


@pytest.mark.parametrize("seed", range(24))
def test_a_changed_byte_changes_no_number(stopped, seed, capfd):
    lab, experiment, saved = stopped
    whole, rng = bytearray(saved.read_bytes()), np.random.default_rng(seed)
    at = int(rng.integers(len(whole)))
    whole[at] ^= 1 << int(rng.integers(8))
    saved.write_bytes(bytes(whole))
    lab.plan(experiment)
    assert main(["doctor", "--root", str(lab.store.root)]) in (0, 1)
    assert ends(lab, experiment) == [6.0]


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 40, -1, -9])
def test_a_cut_checkpoint_changes_no_number(stopped, cut):
    lab, experiment, saved = stopped
    saved.write_bytes(saved.read_bytes()[:cut])
    assert ends(lab, experiment) == [6.0]


@pytest.mark.parametrize(
    "head", [b"\xff" * 8, (2**62).to_bytes(8, "little"), b"\x10" + b"\0" * 7 + b"[" * 100]
)
def test_a_header_of_any_length_is_not_believed(stopped, head, capsys):
    lab, experiment, saved = stopped
    saved.write_bytes(head + saved.read_bytes()[8:])
    assert groups.checkpoint(saved) == {}
    assert main(["doctor", "--root", str(lab.store.root)]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
    assert ends(lab, experiment) == [6.0]


def test_another_step_in_the_header_is_noticed(stopped, capfd):
    lab, experiment, saved = stopped
    said = {**groups.checkpoint(saved), "step": 5}
    save_file(load_file(saved), saved, metadata={"assay": json.dumps(said)})
    assert ends(lab, experiment) == [6.0], "gone on from step 5 it would end lower"
    assert "is damaged" in capfd.readouterr().err


def test_the_hash_of_a_checkpoint_sees_names_types_shapes_bytes_step_and_text():
    one = {"a": torch.arange(4.0), "b": torch.zeros((), dtype=torch.bool)}
    others = [
        {**one, "a": torch.arange(4.0).double()},
        {**one, "a": torch.arange(4.0).reshape(2, 2)},
        {"c": one["a"], "b": one["b"]},
        {**one, "a": -torch.arange(4.0)},
        {"a": one["a"]},
        {**one, "b": torch.ones((), dtype=torch.bool)},
    ]
    found = [
        groups.digest(one, 3, "x"),
        groups.digest(one, 4, "x"),
        groups.digest(one, 3, "y"),
        *(groups.digest(o, 3, "x") for o in others),
    ]
    assert len(set(found)) == len(found)
    assert (
        groups.digest(dict(reversed(one.items())), 3, "x")
        == found[0]
        == groups.digest({k: v.clone() for k, v in one.items()}, 3, "x")
    )
    half = torch.arange(4.0).to(torch.bfloat16)
    assert groups.digest({"a": half}, 1, "") == groups.digest({"a": half.clone()}, 1, "")
