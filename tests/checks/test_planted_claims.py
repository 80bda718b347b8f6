"""Worlds with a known truth: what is true holds, and what a control's alternative explains is
caught by that control, for each kind of thing that a claim credits."""

import numpy as np
import pytest

import planted_worlds as worlds
from assay.checks.check import check
from assay.controls.material import Patch, Text, Training
from assay.controls.things import Edges, Heads, Latents, Neurons, Place, Thing, Vector

PARTS = {"heads": Heads, "neurons": Neurons, "latents": Latents, "edges": Edges}
PLACES = {"layer": "layer", "site": "site", "position": "token"}
RENAMED = {"random of a feature": "latents"} | {f"other {x}": x for x in (*PARTS, *PLACES)}


def learned(d):
    """A vector learned from what a direction of the worlds was."""
    acts, *others = (np.concatenate(pair) for pair in (d.acts, *d.elsewhere))
    labels = np.arange(len(acts)) < len(d.acts[0])
    return Vector.learned(acts, labels, elsewhere=others)


def credited(about):
    """The thing that a world's keywords describe."""
    about = {k: v for k, v in about.items() if k != "controls"}
    (kind, value), *_ = about.items()
    like = {k.removesuffix("s"): [*about[k].values()] for k in ("norms", "rates") if k in about}
    if kind == "vector":
        return learned(value) if hasattr(value, "acts") else Vector(value)
    if kind == "feature":
        return Latents([value], about["of"], like)
    if kind in PARTS:
        return PARTS[kind](value, about["of"], like)
    if kind in PLACES:
        others = about["others"]
        return Place(value, [2, 10] if others == 12 else others, PLACES[kind])
    if kind == "source":
        return Patch(value, about.get("others"))
    if kind == "text":
        return Text(value, about.get("others", ()), about.get("paraphrases", ()))
    t = value
    return (
        Training.of(t.train, t.examples, t.labels, other=t.other)
        if hasattr(t, "train")
        else Mine(t)
    )


class Mine(Thing):
    kind = "training"


def checked(world, **more):
    one = "feature" in world.credits
    effect = (lambda thing, p: world.effect(thing[0], p)) if one else world.effect
    function = worlds.function(effect, by_row="source" in world.credits)
    given = {"controls": world.credits.get("controls")} | more
    return check(world.name, function, worlds.ROWS, world.holds, credited(world.credits), **given)


@pytest.mark.parametrize("world", worlds.ALL, ids=lambda w: w.name.replace(" ", "-"))
def test_planted_truth_holds_and_alternatives_are_caught(world):
    """By construction the thing, a control's alternative, or nothing moves the number."""
    result = checked(world)
    if world.outcome:
        assert result.outcome == world.outcome, result
        return
    name = "latents" if "feature" in world.credits else RENAMED.get(world.caught, world.caught)
    assert result.outcome == "unspecific", result
    assert result.controls[name].outcome == "satisfies", result


@pytest.mark.parametrize(
    ("breaks", "outcome"), [(0.0, "holds"), (0.02, "holds"), (2.0, "unspecific")]
)
def test_breaking_another_task_is_another_explanation(breaks, outcome):
    """The planted head moves the claim's numbers by some ten of their spreads, which count as
    four."""
    world = worlds.World("this head", worlds.heads(), worlds.some({(1, 2)}))
    other = worlds.function(lambda things, p: breaks * ((1, 2) in things))
    for task in (other, (other, [{"text": f"other {i}"} for i in range(40)])):
        assert checked(world, damage=task).outcome == outcome
