"""Looks: what is told of claims and arms that changed after a look at the same judged seeds."""

import math
from dataclasses import replace

import pytest

from assay.core.claims import Claim, claims_key
from assay.core.reasons import GIVEN
from assay.core.results import ResultData, Verified
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import looks
from assay.lab.judge.looks import changes
from assay.lab.lab import Lab
from assay.lab.store import journal
from marks import confirmatory
from marks.sections import violations


def look(seeds="1000:1008", arms=None, **claims):
    return {"seeds": seeds, "claims": claims, "arms": arms or {"main": "m"}}


def test_a_wording_that_was_put_back_is_as_it_was_and_each_other_is_told_once():
    tries = [look(ten="h"), look(one="h"), look(five="h"), look(one="h")]
    assert changes(tries, look(ten="h")) == [
        "claim dropped or reworded: one",
        "claim dropped or reworded: five",
    ]
    dropped = [f"claim dropped or reworded: {name}" for name in ("ten", "one", "five")]
    assert changes(tries, look(two="h")) == ["claim added or reworded: two", *dropped]
    assert (
        changes([look(ten="h"), look(ten="other")], look(ten="h"))
        == []
        == changes([], look(ten="h"))
    )


def test_a_claim_added_later_stays_added_and_a_setting_changed_stays_changed():
    assert changes([look(ten="h"), look(ten="h", more="x")], look(ten="h", more="x")) == [
        "claim added or reworded: more"
    ]
    assert changes([look(ten="h")] * 2, look(ten="g", arms={"main": "n"})) == [
        "claim changed: ten",
        "arm changed: main",
    ]


def test_only_looks_at_the_same_judged_seeds_count_and_each_seed_has_its_own_first():
    assert (
        changes([look("0:8", ten="h"), look("2000:2008", ten="h")], look("1000:1008", one="h"))
        == []
    )
    later = [look("1000:1004", ten="h"), look("1004:1008", ten="other")]
    assert changes(later, look("1000:1008", ten="h")) == ["claim changed: ten"]


def test_a_control_that_comes_by_itself_is_no_change_of_the_question(tmp_path):
    """One that somebody wrote is."""
    experiment = catalogue.find("superposition")
    lab = Lab(tmp_path, Inline())
    plan = lab.plan(experiment, "default")
    now = looks.frozen(experiment, plan)
    before = {k: v for k, v in now["arms"].items() if k != "linear"}
    path = journal.stored(lab.store, experiment.name)
    journal.note(path, {**now, "arms": {**before, "main/gone": "g"}})
    added = "arm added or reworded: linear"
    dropped = "arm dropped or reworded: main/gone"
    assert {added, dropped} <= {*looks.changed(experiment, now, lab.store)}
    main = replace(experiment.arms["main"], brings=("linear", "main/gone"))
    brought = replace(experiment, arms={**experiment.arms, "main": main})
    assert not {added, dropped} & {*looks.changed(brought, now, lab.store)}


def claim(**instead):
    """A claim whose threshold is a theory's."""
    usual = {
        "text": "it rises",
        "value": lambda arm, arms: arm.end,
        "low": 0.5,
        "must_fail": ("still",),
        "threshold_from": "theory: a half",
        "source": "arithmetic",
    }
    return Claim(**{**usual, **instead})


def judged(one, seeds="1000:1008", **more):
    """A look at a claim, as it is noted."""
    kind, asks, controls = looks.shape(one)
    noted = {
        "seeds": seeds,
        "time": "2026-11-20",
        "claims": {one.text: claims_key([one])[:12]},
        "arms": {},
    }
    return {**noted, "shapes": {one.text: [kind, asks, *controls]}, **more}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"low": 0.4}, "its threshold, side, scale, units or arm was another"),
        ({"low": -math.inf, "high": 0.5}, "its threshold, side, scale, units or arm was another"),
        ({"scale": "log"}, "its threshold, side, scale, units or arm was another"),
        ({"of": "far"}, "its threshold, side, scale, units or arm was another"),
        ({"must_fail": ("still", "far")}, "far was a control of it"),
        ({"threshold_from": "pilot: seeds 0 to 5, .6"}, "a pilot had set its threshold"),
        ({"text": "it grows"}, "it came after a look"),
        ({"must_fail": ("still",), "also": {"far": "rival: farther"}}, ""),
    ],
)
def test_a_claim_shaped_after_a_look_is_not_risky(before, after):
    now = claim(must_fail=("still", "near")) if not after else claim()
    found = looks.reshaped(now, [judged(claim(**before))])
    assert (after in found) and bool(found) is bool(after), (
        "a control more, or an excuse, is no other threshold"
    )
    assert replace(now, after_look=found).kind == ("confirming" if after else "risky")
    assert claims_key([replace(now, after_look=found)]) == claims_key([now]), (
        "no seed is burnt by it"
    )


def test_a_later_look_at_other_claims_alone_takes_nothing_from_a_claim():
    """A preset with a design of its own has claims of its own; in the other order it came after."""
    first, other = judged(claim()), judged(claim(text="it grows"), time="2026-11-21")
    assert looks.reshaped(claim(), [first, other]) == ""
    assert looks.reshaped(claim(), [other | {"time": "2026-11-19"}, first]).startswith("it came")


def test_of_a_look_without_shapes_any_other_hash_counts():
    old = {k: v for k, v in judged(claim(also={"far": "rival: x"})).items() if k != "shapes"}
    assert "another one" in looks.reshaped(claim(), [old])
    assert not looks.reshaped(claim(also={"far": "rival: x"}), [old])


def test_claims_of_the_catalogue_that_were_shaped_after_a_look_are_confirming():
    experiment = catalogue.find("dictionary-weights")
    for each, kind in ((experiment, "risky"), (looks.marked(experiment), "confirming")):
        kinds = [c.kind for c in each.claims if isinstance(c, Claim)]
        assert {kinds[n - 1] for n in (2, 4, 6)} == {kind}


def test_looks_that_were_not_recorded_are_noted_and_violations_stay():
    for name, seeds in {
        "monthly-sorted-list": "22300:22306",
        "monthly-maximum": "22700:22706",
    }.items():
        noted = journal.read(looks.committed(catalogue.find(name)))
        assert any(look["seeds"] == seeds for look in noted)
    assert len(confirmatory.violated(catalogue.find("sycophancy"))) == 2
    told = violations({"x": ResultData(exact=(Verified(text="a"),))}, {"x": {"b": "off"}})
    assert told.startswith("Of exact statements 1 violated of 2, over all looks")


@pytest.mark.parametrize(
    ("first", "more", "name", "inference", "why"),
    [
        ({"edition": 2}, {}, "walk", "confirmatory", "committed (abcdef01) before"),
        ({"edition": 2}, {}, "walk.docs", "exploratory", "no commit has it"),
        ({}, {}, "walk", "exploratory", "by an earlier edition"),
        ({"edition": 2}, {"changed": ["claim changed: x"]}, "walk", "exploratory", "changed after"),
        ({"edition": 2, "seeds": "2000:2006"}, {}, "walk", "exploratory", "no look"),
    ],
)
def test_a_record_of_before_records_held_it_is_confirmatory_by_its_first_look(
    tmp_path, monkeypatch, first, more, name, inference, why
):
    noted = [
        {**look("1000:1006", ten="h"), "time": "2026-11-23T20", "edition": 2},
        {**look("1000:1006", ten="h"), "time": "2026-11-22T20", **first},
    ]
    if "seeds" in first:
        noted = noted[1:]
    journal.note(tmp_path / "walk.looks.jsonl", *noted)
    (tmp_path / confirmatory.IN_COMMITS).write_text('{"walk": "abcdef01"}')
    monkeypatch.setattr(
        confirmatory.catalogue, "record_path", lambda name, origin: tmp_path / f"{name}.json"
    )
    main = {"shared": {"drift": 1}, "specs": [{"seed": s} for s in range(1000, 1006)]}
    record = {"arms": {"main": main}, "verdicts": [{"edition": 2}], "changed": [], **more}
    standing = confirmatory.standing(name, record)
    assert standing.inference == inference and why in standing.why


def test_roles_of_the_second_edition_are_no_change_and_later_ones_are(tmp_path, monkeypatch):
    """A look of the first edition is held to the roles that were first noted after it."""
    before = claim(also={"far": "rival: x"})
    roles = claim(also={"far": "same method: x"})
    others = claim(also={})
    hashes = [claims_key([c])[:12] for c in (before, roles, others)]
    (tmp_path / looks.FIRST_EDITION).write_text(
        f'{{"{hashes[0]}": "{looks.hash_without_roles(before)}"}}'
    )
    monkeypatch.setattr(looks, "committed", lambda e: tmp_path / "walk.looks.jsonl")

    def told(now, *hashes_at_looks):
        noted = [look(**{before.text: h}) for h in hashes_at_looks]
        noted[1:] = [{**later, "edition": 2} for later in noted[1:]]
        experiment = type("Experiment", (), {"claims": (now,)})
        current = look(**{now.text: claims_key([now])[:12]})
        return changes(looks.renewed(noted, experiment), current)

    assert told(roles, hashes[0]) == [] == told(roles, hashes[0], hashes[1])
    assert told(others, hashes[0], hashes[1]) == [f"claim changed: {before.text}"]


@pytest.mark.parametrize(
    ("before", "now", "is_same"),
    [
        (GIVEN, "plan: a nat", True),
        ("plan: one nat", "plan: a nat", True),
        ("pilot: seeds 0 to 5, .6", "plan: a nat", False),
    ],
)
def test_a_source_named_later_for_the_same_threshold_is_no_change(
    tmp_path, monkeypatch, before, now, is_same
):
    monkeypatch.setattr(looks, "committed", lambda e: tmp_path / "walk.looks.jsonl")
    then, claimed = (
        type("Experiment", (), {"claims": (claim(threshold_from=x),), "origin": "", "name": "walk"})
        for x in (before, now)
    )
    noted = judged(*then.claims, unsourced=looks.unsourced(then), edition=2)
    current = {**look(**{"it rises": claims_key(claimed.claims)[:12]}), "arms": {}}
    known = looks.renewed([noted], claimed)
    assert changes(known, current) == ([] if is_same else ["claim changed: it rises"])
    found = looks.reshaped(*claimed.claims, known)
    assert ("a pilot had set its threshold" in found) == (not is_same) == bool(found)
