"""Presets that lie elsewhere: the same arms and claims on another text, with a scope and a record
of their own."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from assay.ask import planned as planning
from assay.core.errors import ExperimentError
from assay.core.experiment import Elsewhere
from assay.core.spec import canonical_json, grid
from assay.lab import catalogue
from assay.lab import verifying as verify
from assay.lab.engines import Inline
from assay.lab.judge import recording
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.records import records
from assay.lab.store.provenance import digest


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """An experiment with two records: of its default preset, and of one that drifts twice as
    far."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(Path(__file__).with_name("walk.py"), home / "stroll.py")
    found = catalogue.find(str(home / "stroll.py"))
    steep = tuple(
        s.replace(drift=2.0) for s in grid(type(found.default[0])(), seed=range(2000, 2006))
    )
    e = dataclasses.replace(found, scope="a plain", elsewhere={"hill": Elsewhere(steep, "a hill")})
    lab = Lab(home / "s", Inline())
    for preset in ("default", "hill"):
        lab.run(e, preset)
        verify.write(lab, e, override(e, preset))
    return e, lab


def test_each_has_a_record_of_its_own(both):
    e, lab = both
    folder = catalogue.record_path("stroll", e.origin).parent
    assert sorted(p.name for p in folder.glob("*.json")) == ["stroll.hill.json", "stroll.json"]
    assert [records.load_record(e, p)["preset"] for p in ("default", "smoke", "hill")] == [
        "default",
        "default",
        "hill",
    ]
    ran = {arm: [r.job.key for r in rows] for arm, rows in lab.plan(e, "hill").by_arm().items()}
    assert records.load_record(e, "hill")["provenance"]["keys"] == digest(canonical_json(ran))
    for preset in ("default", "hill"):
        assert verify.compare(lab, e, override(e, preset)).differences == ()


def test_verdicts_say_for_what_they_speak(both):
    e, lab = both
    for preset, place, other in (("default", "a plain", "a hill"), ("hill", "a hill", "a plain")):
        claims, *_ = recording.rejudge(e, records.load_record(e, preset))
        for verdict in (j.verdict for j in (*claims, *lab.judge(e, preset).judged)):
            assert place in verdict.scope and other not in verdict.scope
        assert planning.plan(lab, e, override(e, preset)).scope.startswith(place)
    changed = planning.plan(lab, e, override(e, "hill", ["steps=5"]))
    assert changed.scope == "a hill; preset hill, changed: steps=5"


@pytest.mark.parametrize("name", ["default", "on-docs", "Docs", "", "2"])
def test_names_that_cannot_be_told_from_others_are_refused(both, name):
    e, _ = both
    with pytest.raises(
        ExperimentError, match="a further preset has a name of small letters and digits"
    ):
        dataclasses.replace(e, elsewhere={name: Elsewhere(e.default, "a hill")})


def test_one_without_specs_or_scope_is_refused(both):
    e, _ = both
    for other in (Elsewhere((), "a hill"), Elsewhere(e.default, "")):
        with pytest.raises(ExperimentError, match="preset hill needs specs, and a scope"):
            dataclasses.replace(e, elsewhere={"hill": other})


def test_an_unknown_preset_names_all_of_them(both):
    with pytest.raises(
        ExperimentError, match="no preset 'tiny'; known: default, full, hill, smoke"
    ):
        override(both[0], "tiny")
