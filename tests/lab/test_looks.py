"""Looks: what is told of claims and arms that changed after a look at the same judged seeds."""

from assay.lab.looks import changes


def look(seeds="1000:1008", arms=None, **claims):
    return {"seeds": seeds, "claims": claims, "arms": arms or {"main": "m"}}


def test_a_wording_that_was_put_back_is_as_it_was_and_each_other_is_told_once():
    tries = [look(ten="h"), look(one="h"), look(five="h"), look(one="h")]
    assert changes(tries, look(ten="h")) == ["claim dropped or reworded: one", "claim dropped or reworded: five"]
    dropped = [f"claim dropped or reworded: {name}" for name in ("ten", "one", "five")]
    assert changes(tries, look(two="h")) == ["claim added or reworded: two", *dropped]
    assert changes([look(ten="h"), look(ten="other")], look(ten="h")) == [] == changes([], look(ten="h"))


def test_a_claim_added_later_stays_added_and_a_setting_changed_stays_changed():
    assert changes([look(ten="h"), look(ten="h", more="x")], look(ten="h", more="x")) == ["claim added or reworded: more"]
    assert changes([look(ten="h")] * 2, look(ten="g", arms={"main": "n"})) == ["claim changed: ten", "arm changed: main"]


def test_only_looks_at_the_same_judged_seeds_count_and_each_seed_has_its_own_first():
    assert changes([look("0:8", ten="h"), look("2000:2008", ten="h")], look("1000:1008", one="h")) == []
    later = [look("1000:1004", ten="h"), look("1004:1008", ten="other")]
    assert changes(later, look("1000:1008", ten="h")) == ["claim changed: ten"]
