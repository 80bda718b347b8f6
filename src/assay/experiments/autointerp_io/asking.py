"""Explanations by an endpoint that somebody configured, beside the rules: what they score, and what
was never answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from assay.core.cache import folder as cache_folder
from assay.experiments.autointerp_io.reading import Features
from assay.experiments.autointerp_io.setting import InputsOutputs
from assay.features.explaining.chat import Chat, read
from assay.features.explaining.chat_explainer import AskedExplainer, Side
from assay.features.explaining.evidence import Evidence, promoted

SIDES: tuple[Side, ...] = ("input", "output", "both")


def asked_measures(
    s: InputsOutputs, features: Features, chat: Chat | None = None
) -> dict[str, tuple[str, Any, str]]:
    """Detection by an endpoint's explanations of the first features, with and without their quotes;
    NaN where it gave no answer.

    `chat` is the endpoint of the spec's file, if none is given.
    """
    chat = chat or Chat(read(Path(s.explainer)), cache_folder() / "chat")
    text = features.reading
    chosen = features.lasting(s.firings, s.seed, "drawn")[: s.asked]
    out = {
        f"told_{side}{bare}": np.full(s.asked, np.nan) for side in SIDES for bare in ("", "_bare")
    }
    unanswered = np.zeros(s.asked)
    for i, feature in enumerate(chosen):
        value, fresh = features.values(int(feature))
        ids = promoted(features.weights[[feature]], s.names)[0]
        evidence = Evidence(text.seen, value, text.split.validation, ids, s.seed)
        for side in SIDES:
            explainer = AskedExplainer(chat, text.vocabulary.__getitem__, side)
            if (explanation := explainer.explain(evidence)) is None:
                continue
            for bare in ("", "_bare"):
                score, missing = explainer.detection(
                    explanation, text.fresh, fresh, s.seed, quotes=not bare
                )
                out[f"told_{side}{bare}"][i], unanswered[i] = score, unanswered[i] + missing
    variables = {name: ("run told", x[None], "1") for name, x in out.items()}
    return {
        **variables,
        "unanswered": ("run told", unanswered[None], "contexts"),
        "missing": ("run", np.array([sum(chat.tally.missing.values())]), "1"),
    }
