"""What memorisation claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, figure
from assay.core.claims import OneTerm, rival
from assay.core.heavy import xr
from assay.core.stats import Means, ratio
from assay_catalogue.experiments.memorisation.removals import RULES
from assay_catalogue.worlds.memory import closed
from assay_catalogue.worlds.memory.closed import one_of
from assay_catalogue.worlds.memory.corpus import COPIES, SYMBOLS

ZHANG = "Zhang et al. 2023, Counterfactual Memorization in Neural Language Models"
MEEUS = (
    "Meeus et al. 2025, Counterfactual Influence as a Distributional Quantity (arXiv 2506.20481)"
)
COMMENT = (
    "nostalgebraist 2023, comment on Toy Models of Memorization: counterfactual memorisation, "
    "near-duplicates, a spectrum of selectors"
)
MODELS = {
    "main": "a network that reads four symbols",
    "softmax": "a softmax table of bigrams",
    "count": "a model that counts bigrams",
}
HALVES = {"main": "half", "softmax": "softmax-half"}
FAMILY = "32 copies"
ESTIMATED = [("count", "least_bits")]
"""Costs of selectors that are told as an estimate: so near to a quarter of the topic's that no
number of corpora within five minutes decides."""
HIDDEN = 0.2
"""Share of what its family's removal costs, and of what a unique string shows, below which a
document's memorisation is hidden."""


def select_kind(arm: xr.Dataset, what: str, kind: str) -> xr.DataArray:
    """[run]: a measure of the documents of one kind."""
    return arm[what].sel(kind=kind, drop=True)


def rote(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: memorisation of unique strings less that of predictable text."""
    return select_kind(arm, "memorised", "unique") - select_kind(arm, "memorised", "predictable")


def family(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: memorisation of one of 32 copies, of a unique string, and what removing all copies
    costs."""
    return {
        "copy": select_kind(arm, "memorised", FAMILY),
        "unique": select_kind(arm, "memorised", "unique"),
        "group": select_kind(arm, "group", FAMILY),
    }


def hidden(m: Means) -> np.ndarray:
    """What one copy shows, less a fifth of the smaller of what a unique string shows and what the
    whole family costs."""
    return m["copy"] - HIDDEN * np.minimum(m["unique"], m["group"])


def revealed(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: what removing all copies costs a copy, less what removing it alone costs."""
    return select_kind(arm, "group", FAMILY) - select_kind(arm, "memorised", FAMILY)


def simpler(what: str) -> OneTerm:
    """A value [run]: bits of the cheapest selector that does half of the damage to the
    near-duplicates, over those for the topic."""
    return lambda arm, arms: select_kind(arm, what, FAMILY) / select_kind(arm, what, "topic")


def worst_rule(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the largest damage of a selector within the budget to the rule's documents that it
    removes, above random documents'."""
    return arm.rule_damage.sel(rule=list(RULES[:2])).max("rule")


def extractable(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: share of a near-duplicate's tokens that the model on everything continues with, less
    that of a unique string."""
    return select_kind(arm, "extracted", FAMILY) - select_kind(arm, "extracted", "unique")


def controls(model: str, *names: str) -> tuple[str, ...]:
    """The derived arms of a model by these names."""
    return tuple(name if model == "main" else f"{model}-{name}" for name in names)


def too(model: str, *roles: str) -> dict[str, str]:
    """The arms that may satisfy a claim about a model as well: the other models of the same
    corpora, and, of any, those in these roles."""
    arms = {}
    for other in MODELS:
        if other != model:
            arms |= dict.fromkeys(
                (other, HALVES.get(other, other)), rival("another model of the same corpora")
            )
        arms |= dict.fromkeys(
            controls(other, *roles),
            rival(
                "documents about one thing stand in for each other, too: claims about cost tell "
                "them apart"
            ),
        )
    return arms


def about(model: str) -> tuple[Claim, ...]:
    """The claims about one kind of model."""
    plan = (
        "plan: set before any pilot of such a model"
        if model != "count"
        else "pilot: seeds 0–2 of the counting model, as the plan has it"
    )
    shared: dict[str, Any] = {
        "of": model,
        "half": {model: HALVES[model]} if model in HALVES else {},
        "published": "new",
        "threshold_from": plan,
    }
    placebo, exchanged, once, predictable, mixed, unlimited = controls(
        model, "placebo", "exchanged", "once", "predictable", "mixed", "no-budget"
    )
    model_label = MODELS[model]
    sentence_start = model_label[0].upper() + model_label[1:]
    return (
        Claim(
            text=f"{sentence_start} memorises unique strings and not predictable text: they "
            "differ by at least 0.5 nat a token",
            value=rote,
            low=0.5,
            unit="nats per token",
            must_fail=(placebo, exchanged),
            also=too(model),
            source=f"{ZHANG}; {COMMENT}",
            near={
                placebo: "losses of hard documents differ between models by luck, trained on or not"
            },
            **shared,
        ),
        Claim(
            text=f"Near-duplicates hide what {model_label} memorises: one of 32 copies shows less "
            "than a fifth of what a unique string shows, and of what removing all 32 costs",
            value=family,
            statistic=hidden,
            high=0.0,
            unit="nats per token, less that fifth",
            must_fail=(once, predictable),
            near={predictable: "a document that shows little has nothing in it to memorise"},
            also=too(model, "topic"),
            source=f"{COMMENT}; {MEEUS}",
            **shared,
        ),
        Claim(
            text=f"With {model_label}, removing the group reveals it: without all 32 copies each "
            "loses at least 0.5 nat a token more than without itself",
            value=revealed,
            low=0.5,
            unit="nats per token",
            also=too(model, "topic"),
            source=COMMENT,
            near={
                predictable: "losing 32 documents costs something, whichever these are",
                once: (
                    "losing 32 random strings costs each more than losing one, since they have "
                    "pairs of symbols in common"
                ),
            },
            **shared,
        ),
        *(
            Claim(
                text=f"With {model_label}, near-duplicates are simpler to select than a "
                f"topic{how}: half of the damage takes less than a quarter of the bits",
                value=simpler(what),
                scale="log",
                high=0.25,
                unit="of the topic's bits",
                also=too(model),
                source=COMMENT,
                near={mixed: "any 32 documents of these take about as many bits as any others"},
                **shared,
            )
            for what, how in (
                ("least_bits", " by any selector"),
                ("by_literals", " by literals alone"),
            )
            if (model, what) not in ESTIMATED
        ),
        Claim(
            text=f"With {model_label}, a rule is not memorised: no selector within the budget "
            "costs its documents more than 0.5 nat a token above random ones",
            value=worst_rule,
            high=0.5,
            unit="nats per token",
            violations=(unlimited,),
            also=too(model),
            source=COMMENT,
            near={
                unlimited: "a simple selector without a limit removes everything that has the rule"
            },
            **shared,
        ),
        Claim(
            text=f"From {model_label} near-duplicates can be extracted although each shows "
            "little: it writes at least 0.2 more of their tokens than of unique strings'",
            value=extractable,
            low=0.2,
            unit="share of tokens",
            must_fail=(once, predictable),
            also=too(model),
            source=MEEUS,
            near={once: "any random string that was trained on can be continued"},
            **shared | {"threshold_from": "plan: a fifth, before any pilot"},
        ),
    )


def make_findings(model: str) -> tuple[Estimate, ...]:
    """What is told of one kind of model without a verdict."""
    model_label = MODELS[model]
    kinds = {
        "unique": "a unique string",
        "2 copies": "one of 2 copies",
        "8 copies": "one of 8 copies",
        FAMILY: "one of 32 copies",
        "topic": "a document of the topic",
        "rule": "a document of the rule",
        "predictable": "predictable text",
        "unseen unique": "a random string that nothing was trained on",
    }

    def of_kind(text: str, name: str, kind: str, unit: str, source: str = "") -> Estimate:
        return Estimate(
            text=text,
            value=lambda arms: select_kind(arms[model], name, kind),
            unit=unit,
            source=source,
        )

    families = {
        FAMILY: "32 copies",
        "topic": "the topic",
        "once": "32 unique strings",
        "predictable": "predictable text",
    }
    extracted = {
        "unique": "a unique string",
        FAMILY: "one of 32 copies",
        "predictable": "predictable text",
    }
    nats, tokens = "nats per token", "share of tokens"
    return (
        *(
            of_kind(f"Memorisation of {label}, by {model_label}", "memorised", kind, nats)
            for kind, label in kinds.items()
        ),
        *(
            of_kind(
                f"Memorisation of {kinds[kind]} in accuracy, the paper's measure, by {model_label}",
                "accuracy",
                kind,
                tokens,
                ZHANG,
            )
            for kind in ("unique", FAMILY, "predictable")
        ),
        Estimate(
            text=f"Memorisation of one of 32 copies over that of a unique string, by {model_label}",
            value=lambda arms: family(arms[model], arms),
            statistic=ratio("copy", "unique"),
            source=COMMENT,
        ),
        *(
            Estimate(
                text=f"Bits for half of the damage to 32 copies over the topic's, with "
                f"{model_label}: geometric mean",
                value=lambda arms, m=m, w=what: {"log": np.log(simpler(w)(arms[m], arms))},
                statistic=lambda m: np.exp(m["log"]),
                unit="of the topic's bits",
                source=COMMENT,
            )
            for m, what in ESTIMATED
            if m == model
        ),
        *(
            of_kind(
                f"What removing the whole family costs {label}, with {model_label}",
                "group",
                kind,
                nats,
            )
            for kind, label in families.items()
        ),
        *(
            of_kind(
                f"Bits for half of the damage to {families[kind]}{how}, with {model_label}",
                what,
                kind,
                "bits",
            )
            for kind in (FAMILY, "topic")
            for what, how in (("least_bits", ""), ("by_literals", ", by literals alone"))
        ),
        *(
            of_kind(
                f"Share of its next eight tokens that is written as it stands of {label}, by "
                f"{model_label}",
                "extracted",
                kind,
                tokens,
            )
            for kind, label in extracted.items()
        ),
    )


TABLE: Mapping[float, tuple[float, ...]] = {
    0.5: (2.21557, 1.35403, 0.57783, 0.17903, 0.05367, 0.01567),
    0.25: (2.21557, 1.78480, 1.18098, 0.56441, 0.18678, 0.05478),
}
EXACT = (
    Exact(
        text="For up to 12 copies the closed formula is what all subsets give by enumeration: "
        "largest difference",
        value=lambda arms: max(
            abs(closed.one_of(k, r, 0.1, 50) - closed.one_of_by_enumeration(k, r, 0.1, 50))
            for k in range(1, 13)
            for r in TABLE
        ),
        tolerance=1e-12,
        source="arithmetic",
        unit="nats",
    ),
    Exact(
        text="Memorisation of one of 1, 2, 4 … 32 copies, each kept with probability a half, then "
        "a quarter, is that of the plan's table",
        value=lambda arms: [closed.one_of(2**i, r, 0.1, 50) for r in TABLE for i in range(6)],
        expected=[x for row in TABLE.values() for x in row],
        tolerance=6e-6,
        source="the formula in worlds/memory/closed.py",
        unit="nats",
    ),
)
CLAIMS = tuple(claim for model in MODELS for claim in about(model))
FINDINGS = tuple(finding for model in MODELS for finding in make_findings(model))


NAMES = {"main": "network", "softmax": "softmax table", "count": "counting"}
BY_COPIES = {1: "unique", **{k: f"{k} copies" for k in COPIES}}


def drawings(arms: Arms) -> list[Figure]:
    """What one copy shows, and what all cost, along the number of copies."""
    rows = []
    for name in MODELS:
        for what, label in (("memorised", "one removed"), ("group", "all removed")):
            for k, kind in BY_COPIES.items():
                values = (
                    arms[name][what].sel(kind="once" if what == "group" and k == 1 else kind).values
                )
                rows.append((NAMES[name], label, k, values))
    rate, alpha = arms["count"].attrs["rate"], arms["count"].attrs["alpha"]
    rows += [
        (
            "counting",
            "one removed, formula for exact copies",
            k,
            (one_of(k, rate, alpha, SYMBOLS), None, None),
        )
        for k in BY_COPIES
    ]
    return [
        figure(
            "The more copies, the less each shows, and the more all of them cost",
            "line",
            {"model": "facet", "removed": "color", "copies": "x", "mean": "mean"},
            rows,
            x_log=True,
            x_title="near-duplicates in the corpus",
            y_title="loss that removing costs (nats per token)",
            note="The formula knows no edits: each copy's own edited token is unique, and is "
            "memorised by itself.",
        )
    ]
