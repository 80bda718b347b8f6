"""Features whose firing the current token leaves open: what came before against what comes next;
and the same where both are planted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.planted_domains import PlantedDomains, planted_domains
from assay.features.explaining.evidence import promoted
from assay.features.explaining.given import (
    Given,
    following,
    on_tokens,
    open_token,
    token_in_context,
)
from assay.features.explaining.rule import Positions
from assay.features.explaining.scoring import auroc, levels

if TYPE_CHECKING:
    from jaxtyping import Float

    from assay.experiments.autointerp_io.reading import Features
    from assay.experiments.autointerp_io.setting import InputsOutputs

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
    there = features.lasting(s.firings, s.seed, "pairs")
    on = {int(i): on_tokens(read.seen, features.values(int(i))[0], size) for i in there}
    strict = sum(token_in_context(one, s.firings) is not None for one in on.values())
    pairs = [
        (i, token) for i, one in on.items() if (token := open_token(one, s.firings)) is not None
    ]
    out = {name: np.full(s.pairs, np.nan) for name in OPEN}
    sets = (
        promoted(features.weights[[i for i, _ in pairs]], s.names)
        if pairs
        else np.zeros((0, s.names), int)
    )
    for j, (i, token) in enumerate(pairs[: s.pairs]):
        given = Given.at(token, read.seen, read.fresh, read.split.validation, features.values(i))
        out["given_before"][j] = given.before(s.names)
        out["given_next"][j] = given.next(sets[j])
        out["given_other"][j] = given.next(sets[(j + 1) % len(sets)])
        out["given_common"][j] = given.next(given.commonest(s.names))
        out["given_hindsight"][j] = given.next(following(given.seen, given.value > 0, s.names))
        expected = likely[read.fresh.shifted(0) == token]
        for name, tokens in (
            ("own", sets[j]),
            ("other", sets[(j + 1) % len(sets)]),
            ("common", given.commonest(s.names)),
        ):
            out[f"likely_{name}"][j] = auroc(levels(expected[:, tokens].sum(1), given.fires))
    named: Named = {name: ("run pair", x[None], "AUROC") for name, x in out.items()}
    counts = {"strict": strict, "open": min(len(pairs), s.pairs), "lasting": len(there)}
    return named | {
        name: ("run", np.array([float(count)]), "features") for name, count in counts.items()
    }


def planted_measures(s: InputsOutputs) -> Named:
    """AUROC of either side for features planted in two texts, and how many the definition finds
    there, rightly and wrongly."""
    named: Named = {}
    for label, marked in (("planted", False), ("marked", True)):
        seen, fresh = (
            planted_domains(s.seed, part, windows, marked=marked)
            for part, windows in enumerate(PLANTED_WINDOWS)
        )
        text = [Positions(one.tokens, np.ones(one.tokens.shape, bool)) for one in (seen, fresh)]
        held = text[0].row // seen.tokens.shape[1] % 4 == 0
        told = [_given(text, held, seen, fresh, j) for j in range(len(seen.own))]
        named |= {
            f"{label}_before": (
                "run plant",
                np.array([[g.before(s.names) for g in told]]),
                "AUROC",
            ),
            f"{label}_next": (
                "run plant",
                np.array([[g.next(seen.follows[j]) for j, g in enumerate(told)]]),
                "AUROC",
            ),
        }
        if not marked:
            counts = {
                f"found_{kind}": _found(text[0], seen, kind)
                for kind in ("in_context", "on_token", "on_context")
            }
            named |= {name: ("run", np.array([share]), "share") for name, share in counts.items()}
    return named


def _given(
    text: list[Positions], held: np.ndarray, seen: PlantedDomains, fresh: PlantedDomains, j: int
) -> Given:
    values = seen.in_context[j].ravel().astype(float), fresh.in_context[j].ravel().astype(float)
    return Given.at(int(seen.own[j]), text[0], text[1], held, values)


def _found(text: Positions, planted: PlantedDomains, kind: str) -> float:
    """The share of planted features of one kind that the definition calls token-in-context, on
    their own token."""
    size = int(text.tokens.max()) + 1
    fires = getattr(planted, kind)
    found = [
        token_in_context(on_tokens(text, fires[j].ravel().astype(float), size))
        for j in range(len(planted.own))
    ]
    return float(
        np.mean([token == own for token, own in zip(found, planted.own.tolist(), strict=True)])
    )
