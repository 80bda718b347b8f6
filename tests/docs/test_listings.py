"""Statements of records in Markdown."""

from assay.core.results import ResultData
from assay.lab.records import records
from assay.report.tables import ONLY_EXACT, SIGNS
from marks import listings


def test_every_claim_of_a_record_has_a_row_with_its_outcome_and_what_a_contest_made_of_it():
    data = ResultData.from_json(records.read("superposition", measures=False))
    _, _, *rows = listings.listed(data).strip().splitlines()
    assert [row.split()[1] for row in rows] == [SIGNS[v.outcome] for v in data.verdicts]
    first = next(v for v in data.verdicts if v.outcome == "holds")
    assert "by challenge" not in "".join(rows)
    assert "● holds → ◐ by challenge" in listings.listed(data, {first.text: "unspecific"})


def test_a_result_without_claims_says_that_it_has_only_exact_statements():
    exact = {"text": "a", "outcome": "exact", "value": 1.0, "expected": 1.0, "tolerance": 0.0}
    exact["source"] = "arithmetic"
    assert listings.listed(ResultData.from_json({"exact": [exact]})) == f"{ONLY_EXACT}\n"
