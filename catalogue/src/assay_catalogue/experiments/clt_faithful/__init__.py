"""Cross-layer transcoders on two hops that are known: does sparsity reward rewriting them as one?

Group: dictionaries
Paper: Lange et al. 2026, Cross-Layer Transcoders are incentivized to learn Unfaithful Circuits
(opening read); Ameisen et al. 2025
Claim: at equal error a cross-layer transcoder credits the second hop to the first layer, and misses
what an exchanged first hop does
Baselines: per-layer transcoders; rows paid one by one; training with the hop exchanged; one hop;
shuffled; untrained; planted ones
Cost: 136 s on 2 cores, 100 CPU-seconds, 0.4 GB a process
"""

from __future__ import annotations

from assay.core import Arm, Experiment, grid, reserved, variant, varied
from assay_catalogue.experiments.clt_faithful.claims import (
    CLAIMS,
    EXACT,
    FINDINGS,
    JUDGED,
    figures,
    judged_at,
)
from assay_catalogue.experiments.clt_faithful.method import CltFaithful, measure, train

ONE, SWEEP = {"penalty": JUDGED}, (0.0, 0.01, 0.03, 0.1, 0.3)
FEW = 12
"""Seeds of arms that are trained half as long, or vary little."""
HALF, TWICE = {"steps": 0.5}, {"steps": 2}
ARMS = {
    "main": Arm(
        train,
        specs=reserved(
            "reach", "joined", "saturation", "hops", "exchanged", "shuffled", "start", "noise"
        ),
        note="a cross-layer transcoder; features pay by the length of their rows side by side",
    ),
    "half": varied(train, "half as long, with its own decay of the rate", seeds=FEW, times=HALF),
    "plt": varied(
        train, "per-layer transcoders: features write to their own layer alone", reach="own"
    ),
    "plt-half": varied(train, "the same, half as long", seeds=FEW, times=HALF, reach="own"),
    "summed": varied(
        train, "cross-layer; features pay for the row to each layer by itself", joined=False
    ),
    "dense": varied(train, "cross-layer without a penalty", where={"penalty": 0.0}),
    "tanh": Arm(
        train,
        specs=variant(where=ONE, saturation=3.0),
        note="cross-layer; the penalty is tanh(3 z)/3, near a count of features",
    ),
    "from-faithful": Arm(
        train,
        specs=variant(where={"penalty": SWEEP[2:]}, times=TWICE, start="faithful"),
        note="cross-layer, begun at the circuit's own dictionary among random features; twice as "
        "long as main",
    ),
    "from-faithful-half": varied(train, "the same, half as long", where=ONE, start="faithful"),
    "unmoved": Arm(
        train,
        specs=variant(where={"penalty": 0.0}, times=TWICE, start="faithful"),
        note="the same start and length, no penalty",
    ),
    "summed-faithful": Arm(
        train,
        specs=variant(where=ONE, times=TWICE, start="faithful", joined=False),
        note="the same start and length, rows paid one by one",
    ),
    "from-rewritten": Arm(
        train,
        specs=variant(where=ONE, start="rewritten"),
        note="cross-layer, begun at the rewritten dictionary",
    ),
    "exchanged": varied(
        train,
        "cross-layer, trained where the first hop comes from another input: rewriting is "
        "impossible",
        seeds=FEW,
        where={"penalty": (0.0, 0.03, 0.1, 0.3)},
        exchanged=True,
    ),
    "exchanged-half": Arm(
        train,
        specs=variant(seeds=FEW, where=ONE, times=HALF, exchanged=True),
        note="the same, half as long",
    ),
    "one-hop": Arm(
        train,
        specs=variant(seeds=FEW, where=ONE, hops=1),
        note="cross-layer on two single hops side by side",
    ),
    "plt-one-hop": Arm(
        train,
        specs=variant(seeds=FEW, hops=1, reach="own", where={"penalty": SWEEP[2:]}),
        note="per-layer transcoders on these",
    ),
    "shuffled": Arm(
        train,
        specs=variant(where=ONE, shuffled=True),
        note="cross-layer, trained on the writes of other inputs",
        learned=(),
    ),
    "untrained": varied(train, "before training", learned=(), where=ONE, steps=0),
    "faithful": Arm(
        train,
        specs=variant(where=ONE, steps=0, start="faithful", noise=0.01),
        note="planted: the circuit's own dictionary, 1 % noise",
    ),
    "rewritten": Arm(
        train,
        specs=variant(where=ONE, steps=0, start="rewritten", noise=0.01),
        note="planted: both hops written by five features of the first layer, 1 % noise",
    ),
    "known-faithful": Arm(
        train,
        specs=variant(seeds=FEW, where=ONE, steps=0, start="faithful"),
        note="the circuit's own dictionary",
    ),
    "known-rewritten": Arm(
        train,
        specs=variant(seeds=FEW, where=ONE, steps=0, start="rewritten"),
        note="the rewritten dictionary",
    ),
}
PAGE = """
**The question.** A cross-layer transcoder replaces every MLP by features that write to their own
layer and all later ones. It is used to read off circuits. But a feature of the first layer may
write what the model computes in two hops, and skip the hop between. Does sparsity reward that?

**The circuit.** Written by hand: the first MLP finds h = x₁ ∧ x₂, the second h xor x₃. So who
writes what is known, and so are two dictionaries that reconstruct both MLPs without error. The
faithful one has 3/4 of a feature on per input. The rewritten one has 5/8, the least there can be:
one feature that writes both hops is counted once.

**How it is judged.** By what first-layer features are credited with of the second hop, of which in
truth they write nothing. And by an
intervention: the first hop is exchanged in the stream, in the model and in the replacement alike,
and the two responses are compared.

**Read this before you quote it.** One circuit of five bits, one position, no attention, ReLU
features. In a real model the first hop is rarely a function of so few inputs that features beside
it can replace it. What is shown is that a reward for rewriting exists, and where it comes from. """
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *EXACT, *FINDINGS),
    figures=figures,
    seeds_per_group=12,
    sizes={"judged": judged_at},
    scope="{circuit} on five bits in a rotated stream of eight dimensions; "
    "ReLU features, full-batch training",
    smoke=grid(CltFaithful(steps=20), penalty=SWEEP, seed=range(1000, 1002)),
    default=grid(CltFaithful(), penalty=SWEEP, seed=range(43200, 43224)),
)
