"""Claims that parts suffice: a number for comparison that is the same in all calls, and parts with
names."""

import numpy as np
import pytest

import assay
from assay.controls.things import Edges, Heads, Latents, Neurons

DRAW = np.random.default_rng(0)
WRITES = DRAW.normal(0, 0.1, (4, 6))
CIRCUIT = [(0, 2), (2, 1), (3, 4)]
for _head in CIRCUIT:
    WRITES[_head] += 1
PROMPTS = [{"text": f"prompt {i}", "scale": DRAW.uniform(0.5, 1.5, (4, 6))} for i in range(24)]
REST = 0.5
"""The lead of the model without any head."""


def lead_of(heads, prompts):
    return [float(sum((p["scale"] * WRITES)[h] for h in heads)) - REST for p in prompts]


EVERY = [(layer, head) for layer in range(4) for head in range(6)]
OWN, WHOLE = (np.array(lead_of(heads, PROMPTS)) for heads in (CIRCUIT, EVERY))


def with_whole(heads, prompts):
    return {"lead": lead_of(heads or [], prompts), "full": lead_of(EVERY, prompts)}


def check(function, holds, thing, **options):
    return assay.check("It suffices", function, PROMPTS, holds, thing, **options)


@pytest.mark.parametrize(
    ("holds", "wanted"),
    [
        ("mean(lead_after) / mean(full_after) > 0.8", OWN.mean() / WHOLE.mean()),
        ("lead_after - 0.8 * full_before > 0", (OWN - 0.8 * WHOLE).mean()),
        (
            "mean(lead) / mean(full_after - lead_before) > 0.8",
            (OWN + REST).mean() / (WHOLE + REST).mean(),
        ),
    ],
)
def test_a_number_that_serves_for_comparison_may_be_the_same_in_all_calls(holds, wanted):
    v = check(with_whole, holds, Heads(CIRCUIT, (4, 6)), none=[])
    assert v.outcome == "holds" and not any(note.doubt for note in v.notes)
    assert v.estimate == pytest.approx(wanted)


NAMES = [(f"a0.{h}", f"a{k}.{j}") for h in range(5) for k in (1, 2) for j in range(5)]
WEIGHT = dict(zip(NAMES, DRAW.normal(0, 0.05, len(NAMES)), strict=True))
CUT = [NAMES[3], NAMES[20], NAMES[41]]
for _edge in CUT:
    WEIGHT[_edge] = 1.0


def without(parts, prompts):
    left = sum(x for e, x in WEIGHT.items() if e not in (parts or []))
    return [float(left * p["scale"].mean()) for p in prompts]


@pytest.mark.parametrize("kind", [Edges, Heads, Neurons, Latents])
def test_a_set_of_parts_may_have_names(kind):
    v = check(without, "effect < -2", kind(CUT, NAMES))
    assert (v.outcome, v.controls[kind.kind].draws) == ("holds", 4)
    assert v.estimate == pytest.approx(-3 * np.mean([p["scale"].mean() for p in PROMPTS]))
