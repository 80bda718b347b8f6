"""Tables made for the docs: what they say of a record, and where they put it."""

import pytest

from assay.lab import records
from assay.report import docs

ONE = {"estimate": 0.024, "low": 0.0222, "high": 0.0258, "unit": "FVU", "n": {"seed": 6, "document": 49}}
CONTROL = {"outcome": "fails", "estimate": 0.0, "low": -0.002, "high": 0.002, "n": {"seed": 6, "document": 48}}
RECORD = {
    "seconds": 290.4, "cpu_seconds": 541.2, "provenance": {"machine": {"cores": 2}}, "exact": [], "findings": [],
    "cost": {"main": 4.725, "relu-again": 3.2}, "arms": {"main": {"keys": ["a"] * 18}, "relu-again": {"keys": ["b"] * 6}},
    "verdicts": [{"text": "It leads | by .010", "outcome": "holds", **ONE, "controls": {"relu-again": CONTROL}, "planted": {}}],
}  # fmt: skip


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(records, "read", lambda name, origin="": RECORD)


def test_budget_multiplies_runs_and_counts_units(recorded):
    table = docs.budget("gated-sae")
    assert "| `main` | 18 | 4.72 | 85 |" in table  # 18 × 4.725 = 85.05
    assert "| `relu-again` | 6 | 3.20 | 19 |" in table
    assert "| **all** | 24 | | **541** |" in table
    assert "Wall time 290 s on 2 cores." in table
    assert "| It leads \\| by .010 | 6 seeds × 49 documents | `relu-again` 6 seeds × 48 documents |" in table


def test_decided_shows_the_outcome_and_its_control(recorded):
    assert "| ● holds | It leads \\| by .010 | 0.0240 [0.0222, 0.0258] | ✕ `relu-again` 0.000 |" in docs.decided("gated-sae")


def test_the_catalogue_counts_recorded_outcomes(recorded):
    assert all(line.endswith("| ● 1 |") for line in docs.experiments().splitlines()[2:])


def test_marks_are_filled_and_nothing_else_moves(recorded):
    page = "a\n\n<!-- made: decided gated-sae -->\nold\n<!-- end -->\n\nb\n"
    filled = docs.filled(page)
    assert filled.startswith("a\n\n<!-- made: decided gated-sae -->\n| ")
    assert filled.endswith("|\n<!-- end -->\n\nb\n")
    assert docs.filled(filled) == filled


def test_without_a_record_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(records, "read", lambda name, origin="": None)
    assert "assay check gated-sae --record" in docs.verdicts("gated-sae")
