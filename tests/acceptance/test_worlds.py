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
    assert v.controls[world.caught].outcome == "satisfies", v


@pytest.mark.parametrize(
    ("breaks", "outcome"), [(0.0, "holds"), (0.02, "holds"), (2.0, "unspecific")]
)
def test_what_breaks_another_task_as_much_is_unspecific(breaks, outcome):
    """The planted head moves the claim's numbers by some ten of their spreads, which count as
    four; the other task is one that the model can do."""
    world = World("this head", heads(), some({(1, 2)}))
    moved = function(lambda things, p: breaks * ((1, 2) in things))
    other = lambda things, prompts: [5 + x for x in moved(things, prompts)]  # noqa: E731
    for task in (other, (other, [{"text": f"other {i}"} for i in range(40)])):
        v = world.check(damage=task)
        assert v.outcome == outcome and "damage" in v.controls, v
        assert not any(note.data.get("control") == "damage" for note in v.notes)
