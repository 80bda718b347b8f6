"""Every committed record: judged again from its own measures it says what it says; and it is what a record has to be."""

import functools

import pytest

from assay.core.claims import Claim, claims_key
from assay.lab import catalogue, recording, records
from assay.lab.plan import plan
from assay.lab.preset import override
from assay.lab.store import Store

NAMES = [entry.name for entry in catalogue.entries()]
CPU_SECONDS = 600
"""What five minutes on two free cores hold."""


@functools.cache
def committed(name):
    """The experiment and its record."""
    experiment = catalogue.find(name)
    record = records.read(name, experiment.origin)
    assert record is not None, f"records/{name}.json is missing; make it with: assay check {name} --record"
    return experiment, record


@functools.cache
def judged_again(name):
    """Claims, theorems and findings on the record's measures, by today's statements."""
    return recording.rejudge(*committed(name))


@pytest.mark.parametrize("name", NAMES)
def test_its_measures_give_its_verdicts(name):
    claims, exact, findings = judged_again(name)
    _, record = committed(name)
    assert [j.claim.text for j in claims] == [v["text"] for v in record["verdicts"]]
    for j, v in zip(claims, record["verdicts"], strict=True):
        assert (j.verdict.outcome, j.verdict.adjusted) == (v["outcome"], v["adjusted"]), v["text"]
        assert {arm: c.outcome for arm, c in j.controls.items()} == {arm: c["outcome"] for arm, c in v["controls"].items()}
        for number in ("estimate", "low", "high"):
            assert getattr(j.verdict, number) == pytest.approx(v[number], rel=1e-3, abs=1e-6), v["text"]
    assert [e.outcome for e in exact] == [e["outcome"] for e in record["exact"]]
    assert [f.estimate for f in findings] == pytest.approx([f["estimate"] for f in record["findings"]], rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_its_statements_are_todays(name):
    experiment, record = committed(name)
    assert record["claims_key"] == claims_key(experiment.claims), "a text, range or control was changed since the record"


@pytest.mark.parametrize("name", NAMES)
def test_its_runs_are_those_of_the_default_preset(name, tmp_path):
    experiment, record = committed(name)
    asked = plan(Store(tmp_path), experiment, override(experiment, "default"), inputs_of=lambda job, stored: {}).by_arm()
    assert record["preset"] == "default"
    assert {arm: [row.job.key for row in rows] for arm, rows in asked.items()} == {
        a: d["keys"] for a, d in record["arms"].items()
    }
    assert (
        min(spec["seed"] for arm in record["arms"].values() for spec in [arm["shared"], *arm["specs"]] if "seed" in spec) >= 1000
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_control_was_judged_and_most_claims_are_decided(name):
    experiment, record = committed(name)
    named = {c.text: set(c.must_fail) | set(c.must_hold) for c in experiment.claims if isinstance(c, Claim)}
    for v in record["verdicts"]:
        assert {*v["controls"], *v["planted"]} == named[v["text"]]
        assert v["outcome"] != "undecided" or v["reason"], v["text"]
        assert v["n"], v["text"]
        assert v["scope"], v["text"]
    decided = sum(v["outcome"] != "undecided" for v in record["verdicts"])
    assert decided >= 0.75 * len(record["verdicts"])


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_five_minutes_on_two_cores(name):
    _, record = committed(name)
    assert record["cpu_seconds"] <= CPU_SECONDS
