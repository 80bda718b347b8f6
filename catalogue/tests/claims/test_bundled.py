"""Every record of the catalogue judged again by the code of a bundle, which shares nothing with
Assay but the generator of draws."""

import json

import pytest
from committed import OTHERS, SOME, committed

from assay.core.claims import Claim
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.judge.result import with_derived
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.report.bundle import contents, files, judge
from assay.report.bundle.checking import check_bundle
from assay.report.bundle.making import export_bundle

NOT_CARRIED: dict[str, str] = {}
"""Claims whose statistic cannot be written as steps, and why: none, and none may be added without a
reason."""


@pytest.mark.parametrize("name", SOME)
def test_every_claim_of_a_record_comes_out_alike(name):
    comes_out_alike(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_claim_of_all_others_comes_out_alike(name):
    comes_out_alike(name)


@pytest.mark.slow
def test_what_an_earlier_look_had_otherwise_is_verified(tmp_path):
    experiment = catalogue.find("deep-linear")
    out = tmp_path / "b.zip"
    written = export_bundle(Lab(tmp_path / "s"), experiment, override(experiment, "default"), out)
    assert not written.not_judged
    found = check_bundle(out)
    assert found.same and all(claim.judged for claim in found.claims)


def comes_out_alike(name):
    """Judge each claim of a record by both judges, and compare with what is recorded."""
    experiment, record = committed(name)
    arms = with_derived(experiment, recording.arms(experiment, record))
    found = contents.carry_all(
        [c for c in experiment.claims if isinstance(c, Claim)],
        arms,
        experiment.scope_of(record["preset"]),
    )
    recorded = {v["text"]: v["outcome"] for v in record["verdicts"]}
    for c in found:
        text, why_not = c.described["text"], c.described["why_not"]
        assert (why_not == "") is (text not in NOT_CARRIED), why_not
        if why_not:
            continue
        numbers = {"numbers.npz": judge.arrays(files.npz(c.numbers))}
        claim = json.loads(json.dumps({**c.described, "file": "numbers.npz"}))
        ours = judge.judge_claim(judge.with_numbers(claim, numbers.__getitem__, None))
        assert judge.compared(json.loads(json.dumps(c.judged.to_json())), ours) == [], text
        assert ours["outcome"] == recorded[text]
