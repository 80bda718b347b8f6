"""Features whose firing the current token leaves open: what came before against what comes next;
and the same where both are planted."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from assay_catalogue.data.planted_domains import PlantedDomains, planted_domains
from assay_catalogue.experiments.autointerp_io.reading import Features
from assay_catalogue.experiments.autointerp_io.setting import InputsOutputs
from assay_catalogue.explaining.evidence import promoted
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import auroc, levels
from assay_catalogue.explaining.token_context import (
    Given,
    following,
    on_tokens,
    open_token,
    token_in_context,
)

Named = dict[str, tuple[str, Any, str]]
OPEN = (
    "given_before",
    "given_next",
    "given_other",
    "given_common",
    "given_hindsight",
    "likely_own",
    "likely_other",
    "likely_common",
)
PLANTED_WINDOWS = (800, 600)
"""Windows of the planted text that are explained, and on which explanations are scored."""


def open_measures(
    s: InputsOutputs, features: Features, likely: Float[np.ndarray, "row v"]
) -> Named:
    """On the token that leaves most of a feature's firing open: AUROC of what is before it and of
    what follows; and how many there are.

    `likely` is what another model expects next on the fresh text. The rest is NaN where there are
    fewer such features than asked for."""
    read, size = features.reading, len(features.reading.vocabulary)
    candidates = features.lasting(s.firings, s.seed, "pairs")
    on = {int(i): on_tokens(read.seen, features.values(int(i))[0], size) for i in candidates}
    strict = sum(
        token_in_context(token_firings, s.firings) is not None for token_firings in on.values()
    )
    pairs = [
        (i, token)
        for i, token_firings in on.items()
        if (token := open_token(token_firings, s.firings)) is not None
    ]
    out = {name: np.full(s.pairs, np.nan) for name in OPEN}
    sets = (
        promoted(features.weights[[i for i, _ in pairs]], s.names)
        if pairs
        else np.zeros((0, s.names), int)
    )
    for j, (i, token) in enumerate(pairs[: s.pairs]):
        conditional = Given.at(
            token, read.seen, read.fresh, read.split.validation, features.values(i)
        )
        out["given_before"][j] = conditional.before(s.names)
        out["given_next"][j] = conditional.next(sets[j])
        out["given_other"][j] = conditional.next(sets[(j + 1) % len(sets)])
        out["given_common"][j] = conditional.next(conditional.commonest(s.names))
        out["given_hindsight"][j] = conditional.next(
            following(conditional.seen, conditional.value > 0, s.names)
        )
        expected = likely[read.fresh.shifted(0) == token]
        for name, tokens in (
            ("own", sets[j]),
            ("other", sets[(j + 1) % len(sets)]),
            ("common", conditional.commonest(s.names)),
        ):
            out[f"likely_{name}"][j] = auroc(levels(expected[:, tokens].sum(1), conditional.fires))
    variables: Named = {name: ("run pair", x[None], "AUROC") for name, x in out.items()}
    counts = {"strict": strict, "open": min(len(pairs), s.pairs), "lasting": len(candidates)}
    return variables | {
        name: ("run", np.array([float(count)]), "features") for name, count in counts.items()
    }


def planted_measures(s: InputsOutputs) -> Named:
    """AUROC of either side for features planted in two texts, and how many the definition finds
    there, rightly and wrongly."""
    variables: Named = {}
    for label, marked in (("planted", False), ("marked", True)):
        train_domains, fresh = (
            planted_domains(s.seed, part, windows, marked=marked)
            for part, windows in enumerate(PLANTED_WINDOWS)
        )
        text = [
            Positions(domains.tokens, np.ones(domains.tokens.shape, bool))
            for domains in (train_domains, fresh)
        ]
        held = text[0].row // train_domains.tokens.shape[1] % 4 == 0
        conditionals = [
            _condition_on_token(text, held, train_domains, fresh, j)
            for j in range(len(train_domains.own))
        ]
        variables |= {
            f"{label}_before": (
                "run plant",
                np.array([[g.before(s.names) for g in conditionals]]),
                "AUROC",
            ),
            f"{label}_next": (
                "run plant",
                np.array([[g.next(train_domains.follows[j]) for j, g in enumerate(conditionals)]]),
                "AUROC",
            ),
        }
        if not marked:
            counts = {
                f"found_{kind}": _compute_recall(text[0], train_domains, kind)
                for kind in ("in_context", "on_token", "on_context")
            }
            variables |= {
                name: ("run", np.array([share]), "share") for name, share in counts.items()
            }
    return variables


def _condition_on_token(
    text: list[Positions],
    held: np.ndarray,
    train_domains: PlantedDomains,
    fresh: PlantedDomains,
    j: int,
) -> Given:
    values = (
        train_domains.in_context[j].ravel().astype(float),
        fresh.in_context[j].ravel().astype(float),
    )
    return Given.at(int(train_domains.own[j]), text[0], text[1], held, values)


def _compute_recall(text: Positions, planted: PlantedDomains, kind: str) -> float:
    """The share of planted features of one kind that the definition calls token-in-context, on
    their own token."""
    size = int(text.tokens.max()) + 1
    fires = getattr(planted, kind)
    tokens = [
        token_in_context(on_tokens(text, fires[j].ravel().astype(float), size))
        for j in range(len(planted.own))
    ]
    return float(
        np.mean(
            [
                token == expected
                for token, expected in zip(tokens, planted.own.tolist(), strict=True)
            ]
        )
    )
