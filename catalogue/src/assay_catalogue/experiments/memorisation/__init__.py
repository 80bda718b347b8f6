"""Memorisation: what a document's own removal costs, what near-duplicates hide, and how simple a
rule finds what was memorised.

Group: knowledge
Paper: Zhang et al. 2023, Counterfactual Memorization in Neural Language Models
Claim: unique strings are memorised, near-duplicates hide it, removing the group reveals it; simple
selectors find copies, not topics or rules
Baselines: documents never trained on; exchanged labels; strings that occur once; predictable text;
exchanged families; no budget
Cost: 320 s on 2 cores, 560 CPU-seconds, 0.6 GB a process
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.core import Arm, Arms, Derive, Elsewhere, Experiment, grid, variant
from assay.core.heavy import xr
from assay_catalogue.experiments.memorisation.claims import (
    CLAIMS,
    EXACT,
    FINDINGS,
    MODELS,
    controls,
    drawings,
)
from assay_catalogue.experiments.memorisation.docstrings import DOCSTRINGS
from assay_catalogue.experiments.memorisation.method import Memorisation, measure, train
from assay_catalogue.experiments.memorisation.removals import MIXED, RULES
from assay_catalogue.worlds.memory.corpus import LENGTH, SYMBOLS


def in_place(
    model: str, kinds: Mapping[str, str], what: Sequence[str], new_name: str = ""
) -> Derive:
    """A derived arm: measures of a model with other kinds of documents in the place of these;
    `named`: the one measure is called so."""

    def derive(arms: Arms) -> xr.Dataset:
        dataset = (
            arms[model][list(what)].sel(kind=list(kinds.values())).assign_coords(kind=list(kinds))
        )
        return dataset.rename({what[0]: new_name}) if new_name else dataset

    return derive


def unlimited(model: str) -> Derive:
    """A derived arm: the rule removed by a selector without a budget, in the place of those within
    it."""
    return lambda arms: (
        arms[model][["rule_damage"]].sel(rule=[RULES[2]] * 2).assign_coords(rule=list(RULES[:2]))
    )


def make_controls(model: str) -> dict[str, Arm]:
    """The controls that are made of one model's measures."""
    model_label, costs = MODELS[model], ("memorised", "group", "extracted")
    entries = {
        "placebo": (
            in_place(
                model,
                {"unique": "unseen unique", "predictable": "unseen predictable"},
                ["memorised"],
            ),
            "documents that nothing was trained on, with labels drawn as for the others",
        ),
        "exchanged": (
            in_place(model, {k: k for k in ("unique", "predictable")}, ["exchanged"], "memorised"),
            "the labels of who had a document exchanged among models by lot",
        ),
        "once": (
            in_place(model, {"unique": "unique", "32 copies": "once"}, costs),
            "32 random strings that occur once, in the place of 32 copies",
        ),
        "predictable": (
            in_place(model, {"unique": "unique", "32 copies": "predictable"}, costs),
            "32 documents of the common source in their place",
        ),
        "topic": (
            in_place(model, {"unique": "unique", "32 copies": "topic"}, costs),
            "32 documents about one thing in their place",
        ),
        "mixed": (
            in_place(
                model, {"32 copies": MIXED[0], "topic": MIXED[1]}, ["least_bits", "by_literals"]
            ),
            "copies and topic with their labels exchanged by lot, and selectors made for these",
        ),
        "no-budget": (
            unlimited(model),
            "the rule's documents removed by one symbol that all have, without a limit",
        ),
    }
    return {
        arm: Arm(
            derive=derive,
            note=f"{model_label}: {note}",
            learned=() if name in ("placebo", "exchanged", "mixed") else None,
        )
        for arm, (name, (derive, note)) in zip(
            controls(model, *entries), entries.items(), strict=True
        )
    }


FEW = 6
"""Seeds of the arms that train half as long."""
TABLE_STEPS = 300
ARMS = {
    "main": Arm(train, note="networks that read four symbols, a block of them for each corpus"),
    "half": Arm(
        train,
        specs=variant(seeds=FEW, times={"steps": 0.5}),
        note="main, trained half as long, with its own decay of the rate",
    ),
    "softmax": Arm(
        train,
        specs=variant(model="softmax", steps=TABLE_STEPS, lr=0.1),
        note="softmax tables of bigrams, on all of their text at each step",
    ),
    "softmax-half": Arm(
        train,
        specs=variant(seeds=FEW, model="softmax", steps=TABLE_STEPS // 2, lr=0.1),
        note="softmax, trained half as long",
    ),
    "count": Arm(
        train,
        specs=variant(model="count", steps=0),
        note="counted bigrams, where memorisation follows from counts",
    ),
    **{name: arm for model in MODELS for name, arm in make_controls(model).items()},
}
PAGE = """
**The question.** A document is memorised as far as a model's loss on it rises when it is not in the
training set (Zhang et al. 2023). A comment points out what that misses: of many near-duplicates
each is dispensable, so each shows little, and something is memorised all the same. Removing all
documents that contain some text shows it; but "all documents about frogs" removes what is learned
in general. The proposal is a spectrum: *memorised* is what a simple selector of few documents can
take away.

**How it is judged.** Each run is a corpus of its own in which unique strings, near-duplicates, a
topic, a rule and predictable text are planted, and a block of models that are trained at once: some
on random halves of it, one on all of it, the others without what some selector finds. A unit is a
corpus with its own block of models.

**Read this before you quote it.** The models read one or four symbols, and the texts are planted.
What is simple is what the stated selectors can say: literals, unions of these, weighted counts of
symbols, found greedily. Another class gives another spectrum. """
SMALL = Memorisation(documents=512, subsets=4, steps=12, budget=0.08)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *EXACT, *FINDINGS),
    figures=drawings,
    seeds_per_group=2,
    scope=f"planted corpora of {{documents}} documents of {LENGTH} tokens "
    f"over {SYMBOLS} symbols; {{models}}",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(Memorisation(), seed=range(61_500, 61_530)),
    elsewhere={"docstrings": Elsewhere(design=DOCSTRINGS)},
    measured=2,
)
