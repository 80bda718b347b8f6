"""Worlds with a known truth: what is true holds, and what a control's alternative explains is
caught by that control, for each kind of thing that a claim credits."""

import pytest

from planted_worlds import ALL, World, function, heads, some


@pytest.mark.parametrize("world", ALL, ids=lambda w: w.name.replace(" ", "-"))
def test_a_planted_truth_holds_and_a_planted_alternative_is_caught(world):
    v = world.check()
    if world.outcome:
        assert v.outcome == world.outcome, v
        return
    assert v.outcome == "unspecific", v
    passing = {v.question.placed[arm].control for arm, c in v.judged.controls.items()
               if c.outcome == "holds"}  # fmt: skip
    name = world.caught
    assert name in passing


@pytest.mark.parametrize(
    ("breaks", "outcome"), [(0.0, "holds"), (0.02, "holds"), (2.0, "unspecific")]
)
def test_what_breaks_another_task_as_much_is_unspecific(breaks, outcome):
    """The planted head moves the claim's numbers by some ten of their spreads, which count as
    four."""
    world = World("this head", heads(), some({(1, 2)}))
    other = function(lambda things, p: breaks * ((1, 2) in things))
    v = world.check(also=other)
    assert v.outcome == outcome, v
    assert ("damage" in v.controls) and not any("damage" in n for n in v.notes)
    v = world.check(also=(other, [{"text": f"other {i}"} for i in range(40)]))
    assert v.outcome == outcome, v
