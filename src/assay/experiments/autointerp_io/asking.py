"""Explanations by an endpoint that somebody configured, beside the rules: what they score, and what was never answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.cache import folder as cache_folder
from assay.experiments.autointerp_io.scored import drawn
from assay.features.explaining.asked import AskedExplainer, Side
from assay.features.explaining.chat import Chat
from assay.features.explaining.endpoint import read
from assay.features.explaining.evidence import Evidence, promoted

if TYPE_CHECKING:
    from assay.experiments.autointerp_io.scored import Text
    from assay.experiments.autointerp_io.setting import InputsOutputs

SIDES: tuple[Side, ...] = ("input", "output", "both")


def asked_measures(s: InputsOutputs, text: Text) -> dict[str, tuple[str, Any, str]]:
    """Detection by an endpoint's explanations of the first features, with and without their quotes; NaN where it gave no answer."""
    chat = Chat(read(Path(s.explainer)), cache_folder() / "chat")
    chosen = drawn(s, text)[: s.asked]
    out = {f"told_{side}{bare}": np.full(s.asked, np.nan) for side in SIDES for bare in ("", "_bare")}
    unanswered = np.zeros(s.asked)
    for i, feature in enumerate(chosen):
        ids = promoted(text.weights[[feature]], s.names)[0]
        evidence = Evidence(text.seen, text.f[0][:, feature], text.held, ids, s.seed)
        for side in SIDES:
            asked = AskedExplainer(chat, text.vocabulary.__getitem__, side)
            if (said := asked.explain(evidence)) is None:
                continue
            for bare in ("", "_bare"):
                score, missing = asked.detection(said, text.fresh, text.f[1][:, feature], s.seed, quotes=not bare)
                out[f"told_{side}{bare}"][i], unanswered[i] = score, unanswered[i] + missing
    named = {name: ("run told", x[None], "1") for name, x in out.items()}
    return {**named, "unanswered": ("run told", unanswered[None], "contexts"), "missing": ("run", np.array([sum(chat.tally.missing.values())]), "1")}
