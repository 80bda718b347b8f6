"""Interpretable capability: does what is understood of language models fall, rise, or have a
valley, as they can do more?

Group: knowledge
Paper: Gao et al. 2025, Weight-sparse transformers have interpretable circuits; Paulo et al. 2024
for detection scores; a comment by A. Jermyn
Claim: over eight sizes interpretable capability has a valley, by circuits that keep nine tenths of
what a model does and by rules for neurons
Baselines: capability itself; nodes by lot; exchanged weights; neurons that never learned to read;
another neuron's rule; planted
Cost: 521 s on 2 cores, 778 CPU-seconds, 1.2 GB a process
"""

from __future__ import annotations

from assay.core import Arm, Arms, Derive, Elsewhere, Experiment, grid, variant
from assay.core.heavy import xr
from assay.data import corpus
from assay_catalogue.experiments.interpretable_capability.claims import (
    CLAIMS,
    ESTIMATES,
    EXACT,
    drawings,
)
from assay_catalogue.experiments.interpretable_capability.ladders import MODELS
from assay_catalogue.experiments.interpretable_capability.method import (
    InterpretableCapability,
    exchange,
    measure,
    train,
)


def with_measures(**measured: str) -> Derive:
    """A derived arm: main, other measures of it in the place of some."""
    return lambda arms: arms["main"].assign(
        {name: arms["main"][other] for name, other in measured.items()}
    )


def understood(arms: Arms) -> xr.Dataset:
    """A derived arm: main, as if all of it were understood."""
    main = arms["main"]
    return main[["unigram", "loss"]].assign(needed=main.needed * 0, detected=main.detected * 0 + 1)


def as_exchanged(arms: Arms) -> xr.Dataset:
    """A derived arm: what main can do, and what can be understood with its weights exchanged."""
    return arms["main"][["unigram", "loss"]].assign(arms["exchanged"][["needed", "detected"]])


FEW = 6
"""Seeds of the arms that stand beside the method."""
SHORT = {"context": 32, "explained_on": 96, "held_out": 32}
"""The text of planted ladders, which are clearer than trained ones."""
MODEL, FOUND = ("inputs", "outputs"), ("circuit", "neurons", "rules")
"""What is learned: what a model's blocks read and what they write; and what is found in it: nodes
of a circuit, neurons as what is to be explained, and their rules."""
ARMS = {
    "main": Arm(train, note="eight sizes side by side on the same batches, all of it learned"),
    "half": Arm(
        train,
        specs=variant(seeds=FEW, times={"steps": 0.5}),
        note="main, trained half as long, with its own decay of the rate",
    ),
    "outputs-only": Arm(
        train,
        specs=variant(seeds=FEW, learned="outputs"),
        note=(
            "what reads the stream, in attention and MLP, stays random: neurons of which nothing "
            "was learned but what they write"
        ),
        learned=("outputs", *FOUND),
    ),
    "exchanged": Arm(
        exchange,
        after="main",
        note=(
            "main, the entries of each matrix of each block exchanged by lot; embeddings as trained"
        ),
        learned=FOUND,
    ),
    "planted-valley": Arm(
        train,
        specs=variant(world="valley", **SHORT),
        note="written by hand: capability grows, and two rungs in the middle can hardly be read",
    ),
    "planted-rise": Arm(
        train,
        specs=variant(seeds=FEW, world="rise", **SHORT),
        note="written by hand: capability grows, and all can be read",
    ),
    "capability": Arm(
        derive=understood,
        note="main, as if all of it were understood: interpretable capability is capability",
    ),
    "lot": Arm(
        derive=with_measures(needed="needed_again"),
        note="as many nodes of each kind, drawn by lot once more, in the place of the circuit's",
        learned=(*MODEL, "neurons", "rules"),
    ),
    "shuffled": Arm(
        derive=with_measures(detected="detected_shuffled"),
        note="another neuron's rule in the place of each",
        learned=(*MODEL, "circuit", "neurons"),
    ),
    "as-exchanged": Arm(
        derive=as_exchanged,
        note="main's capability, times what is understood of its exchanged weights",
        learned=FOUND,
    ),
}
PAGE = """
**The question.** Chris Olah's sketch of interpretability against the strength of models has a
valley and a later peak. A comment asks whether it comes back if what counts is *total interpretable
capability*: of tiny models we understand all that they do, and they do little. "Maybe not even to
zero but it isn't increasing".

**How it is judged.** Language models of eight sizes are trained on the same batches. Capability is
what a model saves of the loss of guessing by frequencies, on files it has not seen. It is
multiplied by how much of the model is understood, by two definitions. *By circuits*: the share of
its nodes that can be left out while nine tenths of what it does stay. *By rules*: how well rules,
learned from text, tell on other text where neurons fire. Sizes and seeds are both units. Ladders
written by hand go through the same code.

**Read this before you quote it.** Widths 6 to 64, one block, four hundred thousand tokens of
training: nothing here can show the valley, or the peak, of large models. A verdict is about these
definitions. The first counts nodes and does not say what they do; the second counts neurons
alike, whatever they do. """
SMALL = InterpretableCapability(
    widths=(2, 3, 4, 5, 6, 7, 8, 9),
    vocab=270,
    context=16,
    steps=6,
    batch=4,
    pruned_on=8,
    explained_on=16,
    held_out=8,
    neurons=2,
)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *EXACT, *ESTIMATES),
    figures=drawings,
    seeds_per_group=8,
    version=3,  # eight sizes, nodes for a share of what a model does, other planted ladders
    inputs=lambda s: {} if s.world else {"corpus": corpus.load(s.corpus).fingerprint},
    scope="{layers}-block language models of widths {widths}, "
    "{tokens} tokens of training, {text_in_words}",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(InterpretableCapability(), seed=range(46_000, 46_008)),
    elsewhere={"models": Elsewhere(design=MODELS)},
)
