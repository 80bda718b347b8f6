"""Tables made for the docs: what they say of a record, and where they put it."""

import pytest

from assay.core.results import Judged
from assay.lab.records import contests, records
from assay.report import statements
from marks import bar, kinds

ONE = {
    "estimate": 0.024,
    "low": 0.0222,
    "high": 0.0258,
    "unit": "FVU",
    "n": {"seed": 6, "document": 49},
}
CONTROL = {
    "outcome": "fails",
    "estimate": 0.0,
    "low": -0.002,
    "high": 0.002,
    "n": {"seed": 6, "document": 48},
}
RECORD = {
    "seconds": 290.4,
    "cpu_seconds": 541.2,
    "inference": "exploratory",
    "registration": None,
    "provenance": {"machine": {"cores": 2}},
    "exact": [],
    "findings": [],
    "cost": {"main": 4.725, "relu-again": 3.2},
    "arms": {"main": {"specs": [{}] * 18}, "relu-again": {"specs": [{}] * 6}},
    "verdicts": [
        {
            "text": "It leads | by .010",
            "outcome": "holds",
            **ONE,
            "controls": {"relu-again": CONTROL},
            "planted": {},
        }
    ],
}


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: RECORD)


def test_budget_multiplies_runs_and_counts_units(recorded):
    table = kinds.budget("gated-sae")
    assert "| `main` | 18 | 4.72 | 85 |" in table  # 18 × 4.725 = 85.05
    assert "| `relu-again` | 6 | 3.20 | 19 |" in table
    assert "| **all** | 24 | | **541** |" in table
    assert "Wall time 290 s on 2 cores." in table
    assert (
        "| It leads \\| by .010 | 6 seeds × 49 documents | `relu-again` 6 seeds × 48 documents |"
        in table
    )


def test_a_claim_in_a_sentence_is_the_records_and_says_when_the_sentence_is_stale(recorded):
    assert kinds.claim("gated-sae.1.holds").replace(kinds.SPACE, " ") == "● 0.0240 [0.0222, 0.0258]"
    line = "It leads: <!-- made: claim gated-sae.gemma.1.holds -->old<!-- end --> FVU"
    assert kinds.claim("gated-sae.gemma.1.holds") in kinds.filled(line)
    with pytest.raises(ValueError, match="the record says holds; write the sentence anew"):
        kinds.claim("gated-sae.1.fails")


def test_verdicts_say_whether_they_were_frozen_first(recorded):
    assert kinds.verdicts("gated-sae").startswith("*Exploratory*: nothing was frozen before it")
    assert ", 0 are [confirmatory]" in kinds.standing()


def test_tables_say_what_the_claim_says_is_published_today_and_not_when_it_was_recorded(
    monkeypatch,
):
    from assay.lab import catalogue

    old = [
        {**RECORD["verdicts"][0], "text": c.text, "published": None}
        for c in catalogue.find("superposition").claims[:2]
    ]
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: RECORD | {"verdicts": old})
    page = kinds.full("superposition")
    assert "Published: 2 (other set-up)." in page and " New." in page


def test_errors_to_expect_come_from_measured_rates(monkeypatch):
    rates = {
        "normal": {"6": [0.02, 0.01], "20": [0.025, 0.025]},
        "exponential": {"6": [0.1, 0.0]},
        "exact": {"6": [0.0, 0.01]},
    }
    monkeypatch.setattr(statements, "_coverage", lambda: rates)
    few = Judged(outcome="holds", n={"seed": 8})
    many = Judged(outcome="undecided", n={"seed": 30, "document": 50})
    share = Judged(outcome="holds", n={"seed": 40}, bounds=(0.0, 1.0))
    assert [statements.rate(v, "normal") for v in (few, many, share)] == [0.02, 0.025, 0.01]
    said = statements.errors([few] * 100 + [many] * 40 + [share] * 100)
    assert "200 of 240 claims are decided" in said
    assert "about 4.0 claims would be said to hold by mistake" in said
    assert "up to 15.0 where" in said
    said = statements.errors([share] * 12)
    assert "about 0.1 claims" in said and "up to" not in said, "no number is said twice"


def test_marks_are_filled_and_nothing_else_moves(recorded):
    page = "a\n\n<!-- made: verdicts llc -->\nold\n<!-- end -->\n\nb\n"
    filled = kinds.filled(page)
    assert filled.startswith("a\n\n<!-- made: verdicts llc -->\n*Exploratory*: ")
    assert filled.endswith("|\n<!-- end -->\n\nb\n")
    assert kinds.filled(filled) == filled


def test_the_site_has_in_place_of_a_sentence_what_its_mark_asks_for(recorded):
    page = "<!-- site: budget a -->\nOn the site.\n<!-- end -->\n"
    assert kinds.filled(page) == page
    filled = kinds.filled(page, "site", {"budget": "of {}".format})
    assert filled == "<!-- site: budget a -->\nof a<!-- end -->\n"


def test_without_a_record_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: None)
    assert "assay verify gated-sae --record" in kinds.verdicts("gated-sae")


def test_the_catalogue_and_its_counts_have_seconds_and_outcomes_of_the_record(recorded):
    lines = [line.replace(kinds.SPACE, " ") for line in kinds.experiments().splitlines()]
    assert all(line.endswith("| 290 s |") for line in lines if ".md" in line)
    counted = kinds.overview()
    assert "Outcomes are those after challenges, which turned 5 of these verdicts." in counted
    assert counted.count("| 290 | 541 |") > 40


def test_counts_are_those_after_contests(monkeypatch):
    text = contests.of_record("capacity")[0].text
    record = RECORD | {"verdicts": [RECORD["verdicts"][0] | {"text": text, "kind": "risky"}]}
    monkeypatch.setattr(
        records, "read", lambda name, origin="", **head: record if name == "capacity" else None
    )
    assert "| [`capacity`](capacity.md) | 0 | 0 | 1 | 0 |" in kinds.overview()
    listed = "1 claim: 1 unspecific; later challenges turned 1 of them"
    assert f"<summary>{listed}</summary>" in kinds.everything()
    assert "● holds → ◐ by challenge" in kinds.everything()


def test_an_estimate_in_a_sentence_is_named_by_its_first_words_alone(monkeypatch):
    found = [{**ONE, "text": text} for text in ("Share of the first half", "Share of the second")]
    record = RECORD | {"findings": found}
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: record)
    said = kinds.estimate("llc.share-of-the-first").replace(kinds.SPACE, " ")
    assert said == "0.0240 [0.0222, 0.0258]"
    for words, count in (("share-of-the", 2), ("shares", 0)):
        with pytest.raises(ValueError, match=f"{count} estimates of llc begin so"):
            kinds.estimate(f"llc.{words}")


def test_records_that_do_not_meet_the_bar_are_listed_with_the_bars_own_reasons():
    why = bar.reasons('PENDING: dict[str, str] = {"a.long": "x | y"}\nCOSTLY: dict = {"b": "z"}')
    assert why == {"a.long": "x | y", "b": "z"}
    table = bar.unmet("[{}]".format, why)
    assert "2 records do not meet it yet" in table
    assert "| [a], `long` | x \\| y |\n| [b] | z |" in table
    assert set(bar.reasons(bar.FILE.read_text())) >= {"utility", "path-split"}
