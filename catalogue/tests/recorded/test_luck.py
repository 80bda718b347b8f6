"""The smallest difference that is not luck: of the record's own numbers, and silent about all that
the record does not have."""

from __future__ import annotations

import luck_of_record as of_luck
import numpy as np
import pytest

from assay.core.intervals import smallest_difference
from assay.evaluation.result import luck as carried

NAMES = ("l0", "fvu", "dead", "probe")
SETUP = {
    "subject": "smollm2",
    "layer": 9,
    "corpus": "stdlib",
    "width": 512,
    "k": 16,
    "steps": 300,
    "batch": 128,
    "lr": 0.1,
}


def record(relu=None):
    draw = np.random.default_rng(0)
    scores = np.full((4, 2, 2, 4), np.nan)  # run kind copy measure
    scores[:, 0] = [16.0, 0.3, 0.1, 0.7]
    scores[:, 0, :, 1] += draw.normal(0, 0.01, (4, 2))
    scores[:, 1, 0] = [17.0, 0.4, 0.0, 0.6]
    scores[:, 1, 0, 0] = [17, 18, 16, 17.5] if relu is None else relu
    measures = {
        "coords": {"kind": ["topk", "relu"], "copy": [0, 1], "measure": list(NAMES)},
        "variables": {"scores": {"values": scores}},
    }
    return {"arms": {"lm": {"shared": SETUP, "specs": [{}] * 4, "measures": measures}}}, scores


@pytest.fixture
def known(monkeypatch):
    made, scores = record()
    monkeypatch.setattr(of_luck.records, "read", lambda *a, **k: made)
    return scores


def test_two_new_units_lie_further_apart_in_five_per_cent_of_pairs():
    draw = np.random.default_rng(1)
    n, worlds = 7, 40_000
    s = draw.normal(0, 3, (worlds, n)).std(1, ddof=1)
    apart = np.abs(draw.normal(0, 3, (worlds, 2)) @ [1, -1])
    limit = np.array([smallest_difference(1.0, n)]) * s
    assert (apart > limit).mean() == pytest.approx(0.05, abs=0.004)
    assert np.isnan(smallest_difference(1.0, 1))


def test_it_is_t_times_root_two_times_the_deviation_of_all_trainings(known):
    found = of_luck.luck("TopK")
    assert found["differences"] == {
        "fvu": pytest.approx(2.364624 * 2**0.5 * known[:, 0, :, 1].std(ddof=1), rel=1e-5)
    }
    assert found["trainings"] == 8 and found["setup"] == {
        k: v for k, v in SETUP.items() if k != "lr"
    }


def test_nothing_is_said_of_what_the_record_does_not_have(known, monkeypatch):
    assert of_luck.luck("Gated") is None
    relu = of_luck.luck("ReLU")
    # fvu and dead did not vary, and probe is not evaluated
    assert set(relu["differences"]) == {"l0"} and relu["trainings"] == 4
    assert "k" not in relu["setup"]
    for nothing in (None, {"arms": {}}, record(relu=[17, 17, 17, 17])[0]):
        monkeypatch.setattr(of_luck.records, "read", lambda *a, nothing=nothing, **k: nothing)
        assert of_luck.luck("ReLU") is None


def test_what_assay_carries_is_what_the_record_says():
    for kind in ("TopK", "ReLU"):
        recorded, known = of_luck.luck(kind), carried(kind)
        assert known["trainings"] == recorded["trainings"] and known["setup"] == recorded["setup"]
        assert known["differences"] == pytest.approx(recorded["differences"], rel=1e-9)
    assert carried("Gated") is None


def test_the_committed_record_knows_topk_and_relu_and_says_on_what():
    for kind in ("TopK", "ReLU"):
        found = of_luck.luck(kind)
        assert {"fvu", "loss_recovered_mean", "ce_increase"} <= set(found["differences"]) and found[
            "trainings"
        ] >= 6
        assert 0 < found["differences"]["fvu"] < 0.1 and found["setup"]["subject"] == "smollm2"
