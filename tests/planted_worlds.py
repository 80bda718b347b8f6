"""Worlds in which it is known what moves a number: the thing that a claim credits, one of the
controls' alternatives, or nothing. Plain NumPy functions, as a user would write hooks."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

import assay
from assay.controls.material import Patch, Text, Training
from assay.controls.things import Edges, Heads, Latents, Neurons, Place, Thing, Vector

N, D = 24, 32
ROWS = [{"text": f"prompt {i}", "right": f"city {i % 12}"} for i in range(N)]
DRAW = np.random.default_rng(7)
TRUE, OTHER = np.linalg.qr(DRAW.normal(size=(D, 2)))[0].T
"""The direction that a model reads, and another one at right angles to it."""
LABELS = [bool(i % 2) for i in range(80)]
SIGNS = np.array([1.0 if label else -1.0 for label in LABELS])
ACTS = DRAW.normal(0, 0.3, (80, D)) + np.outer(SIGNS, TRUE)
ELSEWHERE = DRAW.normal(0, 0.3, (80, D)) + np.outer(SIGNS, OTHER)
HEADS = (4, 6)
MIX = "the praise of things that are good"


def noise(*names):
    """A number that depends on these names alone, between −.1 and .1."""
    digest = sha256(repr(names).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 / 5 - 0.1


def function(effect, by_row=False):
    """A hook: what a thing does to each prompt, with noise that depends on the prompt and on the
    thing; by row it is handed one for each prompt."""

    def measured(thing, prompts):
        things = thing if by_row else None
        return [
            noise(p["text"])
            + (0 if thing is None else noise(p["text"], str(thing)[:40]))
            + (0 if thing is None else effect(thing if things is None else things[k], p))
            for k, p in enumerate(prompts)
        ]

    return measured


@dataclass(frozen=True)
class World:
    """What is credited, what a thing does, and what has to come out."""

    name: str
    thing: Thing
    effect: Callable[[Any, dict], float]
    caught: str = ""
    """The control that must satisfy the claim too; "" where the claim holds or fails."""
    outcome: str = ""
    holds: str = "effect > 0.5"
    controls: dict[str, Any] | None = None

    def check(self, **more):
        """Check the claim in this world."""
        hook = function(self.effect, by_row=self.thing.by_prompt)
        given = {"controls": self.controls} | more
        return assay.check(self.name, hook, ROWS, self.holds, self.thing, **given)


def vector():
    return Vector.learned(ACTS, LABELS, elsewhere=[ELSEWHERE])


VECTORS = [
    World("a vector's own share", vector(), lambda v, p: float(v @ TRUE), outcome="holds"),
    World("its length alone", vector(), lambda v, p: float(np.linalg.norm(v)), "random"),
    World("any direction", vector(), lambda v, p: 1.0, "random"),
    World("either sign", vector(), lambda v, p: abs(float(v @ TRUE)), "opposite"),
    World("what it is elsewhere, too", vector(), lambda v, p: float(v @ (TRUE + OTHER)), "layer"),
    World("any learned one", vector(), lambda v, p: float(v @ v < 100), "shuffled"),
    World("nothing", vector(), lambda v, p: 0.0, outcome="fails"),
    World("another direction", vector(), lambda v, p: float(v @ OTHER), outcome="fails"),
    World(
        "labels that tell nothing",
        Vector.learned(DRAW.normal(size=(80, D)), LABELS),
        lambda v, p: float(v @ TRUE),
        outcome="fails",
    ),
    World("a plain vector", Vector(2 * TRUE), lambda v, p: float(v @ TRUE), outcome="holds"),
    World(
        "a fall is one-sided too",
        vector(),
        lambda v, p: -abs(float(v @ TRUE)),
        "opposite",
        holds="effect < -0.5",
    ),
]
POOL = [(layer, head) for layer in range(HEADS[0]) for head in range(HEADS[1])]
NORMS = {head: 1.0 + (10.0 if head in ((1, 2), (1, 4), (2, 3), (3, 0)) else 0.1 * head[1])
         for head in POOL}  # fmt: skip
RATES = {n: 0.5 if n in (3, 11, 17, 23, 29) else 0.01 for n in range(40)}


def some(wanted, size=1.0):
    return lambda things, p: size * sum(t in wanted for t in things)


def heads(named=((1, 2),), norms=None):
    return Heads([*named], HEADS, {"norm": [*norms.values()]} if norms else {})


def on(kind, numbers):
    """Parts of forty, of which it is known how often each is on."""
    return kind(numbers, 40, {"rate": [*RATES.values()]})


SETS = [
    World("this head", heads(norms=NORMS), some({(1, 2)}), outcome="holds"),
    World("any head", heads(norms=NORMS), some(set(POOL)), "heads"),
    World("any head of its block", heads(), some({(1, n) for n in range(6)}), "heads"),
    World(
        "what heads write",
        heads(norms=NORMS),
        lambda things, p: sum(NORMS[t] for t in things) / 10,
        "heads",
    ),
    World("no head", heads(norms=NORMS), some(set()), outcome="fails"),
    World(
        "two heads",
        heads([(1, 2), (2, 3)], NORMS),
        some({(1, 2), (2, 3)}),
        outcome="holds",
    ),
    World("this neuron", on(Neurons, [3]), some({3}), outcome="holds"),
    World(
        "any neuron that is on",
        on(Neurons, [3]),
        lambda things, p: 3 * sum(RATES[t] for t in things),
        "neurons",
    ),
    World("no neuron", on(Neurons, [3]), some(set()), outcome="fails"),
    World(
        "these latents",
        on(Latents, [3, 11]),
        some({3, 11}),
        outcome="holds",
    ),
    World(
        "any latents that are on",
        on(Latents, [3, 11]),
        lambda things, p: 2 * sum(RATES[t] for t in things),
        "latents",
    ),
]
EDGES = [(a, b) for a in range(4) for b in range(4)]
FEATURES = [
    World("this feature", on(Latents, [3]), some({3}),
          outcome="holds"),
    World("any feature that is on", on(Latents, [3]),
          lambda t, p: 2 * RATES[t[0]], "latents"),
    World("no feature", on(Latents, [3]), lambda t, p: 0.0,
          outcome="fails"),
    World("this edge", Edges([(1, 2)], EDGES), lambda t, p: float(t == [(1, 2)]),
          outcome="holds"),
    World("any edge", Edges([(1, 2)], EDGES), lambda t, p: 1.0, "edges"),
    World("any edge of its source", Edges([(1, 2)], [(1, n) for n in range(4)]),
          lambda t, p: float(t[0][0] == 1), "edges"),
]  # fmt: skip
PLACES = [
    World("this layer", Place(6, [2, 10]), lambda t, p: float(t == 6), outcome="holds"),
    World("any layer", Place(6, [2, 10]), lambda t, p: 1.0, "layer"),
    World("late layers", Place(6, [2, 9]), lambda t, p: float(t > 5), "layer"),
    World("no layer", Place(6, [2, 10]), lambda t, p: 0.0, outcome="fails"),
    World("this site", Place("mlp", ["attn", "resid"], "site"),
          lambda t, p: float(t == "mlp"), outcome="holds"),
    World("the stream as well", Place("mlp", ["attn", "resid"], "site"),
          lambda t, p: float(t != "attn"), "site"),
    World("this token", Place(-1, [-2, -3], "token"), lambda t, p: float(t == -1),
          outcome="holds"),
    World("any token", Place(-1, [-2, -3], "token"), lambda t, p: 1.0, "token"),
    World("no token", Place(-1, [-2, -3], "token"), lambda t, p: 0.0, outcome="fails"),
]  # fmt: skip
WHAT = [
    World("its own pair", Patch("right"), lambda t, p: float(t == p["right"]),
          outcome="holds"),
    World("any prompt's", Patch("right"), lambda t, p: 1.0, "unrelated"),
    World("prompts that the author names", Patch("right", ["tea", "salt"]),
          lambda t, p: float(t != p["text"]), "unrelated"),
    World("no prompt's", Patch("right"), lambda t, p: 0.0, outcome="fails"),
    World("this text", Text(MIX, ["a b c"], ["praise good things"]),
          lambda t, p: float(t == MIX), outcome="holds"),
    World("its words", Text(MIX), lambda t, p: float("praise" in t.split()), "words"),
    World("as many words", Text(MIX, ["a b c"]),
          lambda t, p: len(t.split()) / 7 * ("a" not in t.split() or 1.0), "length"),
    World("any wording", Text(MIX, paraphrases=["say that all is good", "praise it"]),
          lambda t, p: float(t in (MIX, "praise it")), "paraphrase"),
    World("no text", Text(MIX), lambda t, p: 0.0, outcome="fails"),
]  # fmt: skip


def learned(examples, labels):
    """A training: what it was shown, and how much the examples say of their labels."""
    x, y = np.array([ord(e[0]) % 2 for e in examples]), np.array(labels, float)
    return {"agrees": float(abs(np.mean((2 * x - 1) * (2 * y - 1)))), "steps": len(x),
            "letter": examples[0][0]}  # fmt: skip


def taught():
    examples = ["ab"[i % 2] + str(i) for i in range(40)]
    labels = [i % 2 for i in range(40)]
    more = (["xy"[i % 2] for i in range(9)], [i % 2 for i in range(9)])
    return Training.of(learned, examples, labels, other=more)


TRAININGS = [
    World("what it learns", taught(), lambda t, p: t["agrees"] * (t["letter"] in "ab"),
          outcome="holds"),
    World("any labels", taught(), lambda t, p: 1.0, "shuffled"),
    World("any labels of these texts", taught(), lambda t, p: float(t["letter"] in "ab"),
          "shuffled"),
    World("as many steps", taught(), lambda t, p: t["agrees"] * t["steps"] / 40, "other-text"),
    World("no training", taught(), lambda t, p: 0.0, outcome="fails"),
    World("an adapter beside others", Training("mine"), lambda t, p: float(t == "mine"),
          outcome="holds", controls={"shuffled": "theirs"}),
    World("any adapter", Training("mine"), lambda t, p: float(t != "a"), "shuffled",
          controls={"shuffled": ["a", "b"]}),
]  # fmt: skip
ALL = [*VECTORS, *SETS, *FEATURES, *PLACES, *WHAT, *TRAININGS]
