"""Interpretable capability: of what a language model can do, how much is understood, by two
definitions, and is there a valley over size?

Group: knowledge
Paper: Gao et al. 2025, Weight-sparse transformers have interpretable circuits; Paulo et al. 2024
for detection scores; a comment by A. Jermyn
Claim: by circuits of a fixed size and by rules for neurons, interpretable capability has a valley
at a middle size
Baselines: capability itself; nodes by lot; exchanged weights; neurons that never learned to read;
random mixes; another neuron's rule; planted
Cost: 210 s on 2 cores, 380 CPU-seconds, 1.2 GB a process; full a guess of 20 GPU-hours, never run
"""

from __future__ import annotations

from assay.core import Arm, Arms, Derive, Experiment, grid, variant
from assay.core.heavy import xr
from assay.data import corpus
from assay.experiments.interpretable_capability.claims import CLAIMS, EXACT, FINDINGS
from assay.experiments.interpretable_capability.figures import drawings
from assay.experiments.interpretable_capability.method import (
    ALL,
    BUDGET,
    InterpretableCapability,
    exchange,
    measure,
    measure_with_mixes,
    train,
)


def instead(*names: str, source: str = "main", **measured: str) -> Derive:
    """A derived arm: these measures of an arm, and others in the place of some."""

    def derive(arms: Arms) -> xr.Dataset:
        whole = arms[source]
        dataset = whole[["unigram", "loss", *names, *(["diverged"] if "diverged" in whole else [])]]
        return dataset.assign({name: whole[other].rename(name) for name, other in measured.items()})

    return derive


def understood(arms: Arms) -> xr.Dataset:
    """A derived arm: main, as if all of it were understood."""
    whole = arms["main"]
    return whole.assign(
        circuit=whole.loss.broadcast_like(whole.circuit), detected=whole.detected * 0 + 1
    )


def all_explained(arms: Arms) -> xr.Dataset:
    """A derived arm: main, as if rules explained every neuron."""
    return arms["main"].assign(detected=arms["main"].detected * 0 + 1)


def twice(arms: Arms) -> xr.Dataset:
    """A derived arm: main's circuits of twice the budget in the place of those that are judged."""
    return judged(instead()(arms), arms["main"].circuit.sel(budget=2 * BUDGET, drop=True))


def by_lot(which: str, *names: str) -> Derive:
    """A derived arm: circuits drawn by lot in the place of those that are judged, beside these
    measures of main."""
    return lambda arms: judged(instead(*names)(arms), arms["main"][which])


def split_mixes(arms: Arms) -> xr.Dataset:
    """A derived arm: every other random mix in the place of neurons, the rest as their mixes."""
    dataset = instead()(arms)
    mixes = arms["main"].detected_direction
    return dataset.assign(
        detected=mixes.where(mixes.neuron % 2 == 0),
        detected_direction=mixes.where(mixes.neuron % 2 == 1),
    )


def judged(dataset: xr.Dataset, circuit: xr.DataArray) -> xr.Dataset:
    """Measures with these losses of circuits in the place of those that are judged."""
    return dataset.assign(circuit=circuit.rename("circuit").expand_dims(budget=[BUDGET], axis=-1))


FEW = 6
"""Seeds of the arms that stand beside the method."""
MODEL, FOUND = ("inputs", "outputs"), ("circuit", "neurons", "rules")
"""What is learned: what a model's blocks read and what they write; and what is found in it: nodes
of a circuit, neurons as what is to be explained, and their rules."""
ARMS = {
    "main": Arm(
        train,
        measure=measure_with_mixes,
        note="five sizes side by side on the same batches, all of it learned",
    ),
    "half": Arm(
        train,
        specs=variant(seeds=8, times={"steps": 0.5}),
        measure=measure_with_mixes,
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
        measure=measure_with_mixes,
        note=(
            "main, the entries of each matrix of each block exchanged by lot; embeddings as trained"
        ),
        learned=FOUND,
    ),
    "planted-valley": Arm(
        train,
        specs=variant(seeds=FEW, world="valley", neurons=ALL),
        note="written by hand: capability grows, and what can be read of it falls at the third "
        "rung and recovers in part; all "
        "neurons are explained",
    ),
    "planted-rise": Arm(
        train,
        specs=variant(seeds=FEW, world="rise"),
        note="written by hand: capability grows, and all can be read",
    ),
    "capability": Arm(
        derive=understood,
        note="main, as if all of it were understood: interpretable capability is capability",
    ),
    "all-explained": Arm(derive=all_explained, note="main, as if rules explained every neuron"),
    "lot": Arm(
        derive=by_lot("circuit_lot"),
        note="as many nodes of each kind, drawn by lot",
        learned=MODEL,
    ),
    "lot-again": Arm(
        derive=by_lot("circuit_again", "circuit_lot"), note="lot, drawn again", learned=MODEL
    ),
    "double": Arm(derive=twice, note="circuits of twice the budget"),
    "shuffled": Arm(
        derive=instead("circuit", detected="detected_shuffled"),
        note="another neuron's rule in the place of each",
        learned=(*MODEL, "circuit", "neurons"),
    ),
    "directions": Arm(
        derive=instead(detected="detected_direction"),
        note="random mixes of neurons that fire as often, explained in their place",
        learned=(*MODEL, "rules"),
    ),
    "exchanged-directions": Arm(
        derive=instead(source="exchanged", detected="detected_direction"),
        note="exchanged, random mixes of its neurons explained in their place",
        learned=("rules",),
    ),
    "mixes-apart": Arm(
        derive=split_mixes,
        note="every other random mix in the place of neurons, against the other half of the mixes",
        learned=(*MODEL, "rules"),
    ),
}
PAGE = """
**The question.** Chris Olah's sketch of interpretability against the strength of models has a
valley and a later peak. A comment asks whether it comes back if what counts is *total interpretable
capability*: tiny models are understood and can do little. "Maybe not even to zero but it isn't
increasing".

**How it is judged.** Language models of five sizes are trained on the same batches. Capability is
what a model saves of the loss of guessing by frequencies, on files it has not seen. What is
understood of it is defined twice. *By circuits*: what is left if 32 nodes are kept and all others
give their mean. *By rules*: capability times how well rules, learned from text, tell on other text
where neurons fire. Ladders written by hand, whose answer is known, go through the same code.

**Read this before you quote it.** Widths 4 to 64, one block, four hundred thousand tokens of
training: nothing here can show the valley, or the peak, of large models. A verdict is about these
definitions. By the first a fixed budget is a smaller part of a larger model, so a fall is half
arithmetic; the second counts neurons alike, whatever they do. """
SMALL = InterpretableCapability(
    widths=(2, 4, 8, 12, 16),
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
    claims=(*CLAIMS, *EXACT, *FINDINGS),
    figures=drawings,
    seeds_per_group=3,
    version=2,  # more neurons, another planted valley, mixes in three arms
    inputs=lambda s: {} if s.world else {"corpus": corpus.load(s.corpus).fingerprint},
    scope="{layers}-block language models of widths {widths}, "
    "{tokens} tokens of training, {text_in_words}",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(InterpretableCapability(), seed=range(19_030, 19_042)),
    full=grid(
        InterpretableCapability(
            widths=(32, 64, 128, 256, 512),
            layers=4,
            head=32,
            vocab=4096,
            context=256,
            batch=64,
            steps=50_000,
            neurons=64,
            explained_on=1000,
            held_out=196,
        ),
        seed=range(19_030, 19_038),
    ),
)
