"""Tables made for the docs: what they say of a record, and where they put it."""

import pytest

from assay.lab import records
from assay.report import docs, overview

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


def test_the_catalogue_page_has_every_claim_with_published_number_control_and_cost(monkeypatch):
    verdict = {**RECORD["verdicts"][0], "published": "new", "p": 0.001, "adjusted": "undecided"}
    other = {**verdict, "text": "It leads by 2", "outcome": "undecided", "reason": "interval straddles", "adjusted": "", "p": 0.4}
    other |= {"price": {"text": "about 40 more seeds"}, "published": {"number": 2.0, "same": True}}
    record = RECORD | {"verdicts": [verdict, other]}
    monkeypatch.setattr(records, "read", lambda name, origin="": record if name == "gated-sae" else None)
    page = docs.everything()
    assert page.startswith("### [gated-sae](gated-sae.md)\n") and "290 s, 541 CPU-seconds" in page
    assert "*holds after" not in page and "*undecided after Holm's adjustment*" in page
    assert "| new | ✕ `relu-again` 0.000 [−0.002, 0.002] |" in page
    assert "| 2 (same set-up) |" in page and "about 40 more seeds" in page
    counted = docs.overview()
    assert "| [`gated-sae`](gated-sae.md) | 2 | 1 | 0 | 1 | 1 | 1 | 290 | 541 |" in counted
    assert "1 of 2 claims are decided." in counted and "1 of the 1 also survive" in counted  # .001 is below .05 / 2


def test_tables_say_what_the_claim_says_is_published_today_and_not_when_it_was_recorded(monkeypatch):
    from assay.lab import catalogue

    old = [{**RECORD["verdicts"][0], "text": c.text, "published": None} for c in catalogue.find("superposition").claims[:2]]
    monkeypatch.setattr(records, "read", lambda name, origin="": RECORD | {"verdicts": old})
    first, second = docs.verdicts("superposition").splitlines()[2:]
    assert "| 2 (other set-up) |" in first and "| new |" in second


def test_errors_expected_are_a_fortieth_of_the_claims_on_each_side():
    said = overview.errors([{"outcome": "holds", "p": p} for p in [1e-6] * 30 + [0.04] * 10])
    assert "about 1.0 would be expected to be announced as holding" in said and "and 1.0 as failing" in said
    assert "30 of the 40 also survive" in said  # the ten at .04 would each have to be below .005
    assert "0 of the 1 also" in overview.errors([{"outcome": "fails", "p": None}])


def test_marks_are_filled_and_nothing_else_moves(recorded):
    page = "a\n\n<!-- made: decided gated-sae -->\nold\n<!-- end -->\n\nb\n"
    filled = docs.filled(page)
    assert filled.startswith("a\n\n<!-- made: decided gated-sae -->\n| ")
    assert filled.endswith("|\n<!-- end -->\n\nb\n")
    assert docs.filled(filled) == filled


def test_without_a_record_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(records, "read", lambda name, origin="": None)
    assert "assay check gated-sae --record" in docs.verdicts("gated-sae")
