"""Every committed record: judged again from its own measures it says what it says; and it is what a
record has to be."""

import zlib

import pytest
from committed import (
    ENTRIES,
    LOOKED_AT,
    NEXT_LOOK,
    OTHERS,
    PENDING,
    RECORDED,
    ROOT,
    SOME,
    committed,
    judged_again,
    preset,
)

from assay.core.claims import claims_key
from assay.core.spec import canonical_json
from assay.lab import catalogue
from assay.lab.plan.plan import plan
from assay.lab.plan.preset import override
from assay.lab.store.provenance import digest
from assay.lab.store.store import Store


def test_entries_without_a_record_are_named_with_the_reason():
    asked = {
        *ENTRIES,
        *(f"{name}.{other}" for name in ENTRIES for other in catalogue.find(name).elsewhere),
    }
    assert set(RECORDED) <= asked, "a record of no preset"
    missing = asked - set(RECORDED)
    assert missing == {name for name, why in PENDING.items() if why.startswith("no record: ")}


def test_records_are_small():
    """Verdicts to read, at most 40 kB each; beside them the measures, compressed: what is left of
    them are digits of single precision, which no method makes much shorter. A wheel, which deflates
    its files, has the verdicts of all presets and the measures of default ones
    (tests/house/test_wheel.py): with contests and looks at most 6 MB."""
    files = [p for p in (ROOT / "records").rglob("*") if p.is_file()]
    assert max(p.stat().st_size for p in files if p.suffix == ".json") <= 40_000
    sizes = {p: min(p.stat().st_size, len(zlib.compress(p.read_bytes()))) for p in files}
    elsewhere = {p for p in files if p.parent.name == "records" and p.name.count(".") == 3}
    assert sum(size for p, size in sizes.items() if p not in elsewhere) <= 6_000_000
    assert sum(sizes[p] for p in elsewhere) <= 2_000_000


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHERS)]
)
def test_its_measures_give_its_verdicts(name):
    claims, exact, findings = judged_again(name)
    _, record = committed(name)
    assert [j.claim.text for j in claims] == [v["text"] for v in record["verdicts"]]
    for j, v in zip(claims, record["verdicts"], strict=True):
        assert (j.verdict.outcome, j.claim.kind) == (v["outcome"], v["kind"]), v["text"]
        assert list(j.also) == list(v["also"]) and list(j.asked) == v["asked"], v["text"]
        assert {arm: c.outcome for arm, c in j.controls.items()} == {
            arm: c["outcome"] for arm, c in v["controls"].items()
        }
        for number in ("estimate", "low", "high"):
            recorded = (
                float("nan") if v[number] is None else v[number]
            )  # a record has no NaN: None where there was no unit
            assert getattr(j.verdict, number) == pytest.approx(
                recorded, rel=1e-3, abs=1e-6, nan_ok=True
            ), v["text"]
    assert [e.outcome for e in exact] == [e["outcome"] for e in record["exact"]]
    found = [float("nan") if f["estimate"] is None else f["estimate"] for f in record["findings"]]
    assert [f.estimate for f in findings] == pytest.approx(found, rel=1e-3, nan_ok=True)


@pytest.mark.parametrize("name", RECORDED)
def test_its_statements_are_todays(name):
    experiment, record = committed(name)
    assert record["claims_key"] == claims_key(experiment.claims), (
        "a text, range or control was changed since the record"
    )


@pytest.mark.parametrize("name", RECORDED)
def test_its_runs_are_those_of_its_preset(name, tmp_path):
    experiment, record = committed(name)
    asked = plan(
        Store(tmp_path),
        experiment,
        override(experiment, preset(name)),
        inputs_of=lambda job, stored: {},
    ).by_arm()
    assert record["preset"] == preset(name)
    keys = {arm: [row.job.key for row in rows] for arm, rows in asked.items()}
    assert record["provenance"]["keys"] == digest(canonical_json(keys))
    assert {arm: len(rows) for arm, rows in keys.items()} == {
        arm: len(data["specs"]) for arm, data in record["arms"].items()
    }
    assert (
        min(
            spec["seed"]
            for arm in record["arms"].values()
            for spec in [arm["shared"], *arm["specs"]]
            if "seed" in spec
        )
        >= 1000
    )


def test_claims_that_say_little_are_changed_by_whoever_looks_at_them_again():
    claims = [claim.split() for several in NEXT_LOOK.values() for claim in several]
    assert {name for name, _ in claims} == set(LOOKED_AT)
    assert len({tuple(claim) for claim in claims}) == len(claims)
    for name, number in claims:
        assert 1 <= int(number) <= len(committed(name)[1]["verdicts"]), f"{name} has no {number}"
    for name, seed in LOOKED_AT.items():
        main = committed(name)[1]["arms"]["main"]
        first = min({**main["shared"], **spec}["seed"] for spec in main["specs"])
        assert first == seed, (
            f"{name} was looked at again, on seeds from {first} on: its claims in NEXT_LOOK were "
            "to become what stands there, and to leave both lists"
        )
