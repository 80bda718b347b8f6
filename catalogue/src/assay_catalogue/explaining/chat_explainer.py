"""Explanations by a language model behind an endpoint: what it is shown, how it is asked, and how
its answers are read.

It is shown contexts in which the feature fires, or the tokens that the feature promotes, or both.
It is then judged as rules are: a second question, without the evidence, asks in which of several
new contexts the explained feature fires."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.plain import show_token
from assay_catalogue.explaining.chat import Chat
from assay_catalogue.explaining.evidence import Evidence, quoted_context
from assay_catalogue.explaining.rule import Positions, without_quotes
from assay_catalogue.explaining.scoring import CONTEXT, by_context

Side = Literal["input", "output", "both"]
TOGETHER, EACH = 5, 50
"""Contexts in one question, and contexts of each kind that an explanation is judged on."""
LONGEST = 1000
"""Letters of an explanation that are read."""
ROLE = (
    "You study one feature of a language model. A feature is a number that the model computes at "
    "every token of a text."
)
ASKED = (
    "Say in one sentence of at most 40 words what the feature is about. Answer with that sentence "
    "alone."
)


@dataclass(frozen=True, eq=False)
class AskedExplainer:
    """An explainer that asks an endpoint."""

    chat: Chat
    decode: Callable[[int], str]
    """A token id as text."""
    side: Side = "input"
    """What it is shown: where the feature fires, what it promotes, or both."""

    def explain(self, evidence: Evidence) -> str | None:
        """A sentence on the feature; None where no answer was had."""
        shown_here = [] if self.side == "output" else [self._contexts(evidence)]
        if self.side != "input":
            token_names = ", ".join(
                f"“{show_token(self.decode(int(t)))}”" for t in evidence.promoted
            )
            shown_here.append(
                f"The feature makes these tokens likelier to come next: {token_names}"
            )
        reply = self.chat.ask(_messages("\n\n".join([*shown_here, ASKED])))
        return None if reply is None else " ".join(reply.split())[:LONGEST]

    def _contexts(self, evidence: Evidence) -> str:
        greatest = evidence.value.max(initial=0.0) or 1.0
        lines = [
            (
                f"{round(9 * float(evidence.value[row]) / greatest)}: "
                f"{quoted_context(evidence.text, int(row), self.decode)!r}"
            )
            for row in (*evidence.top(), *evidence.sampled())
        ]
        return (
            "The feature fires at the token between « and », with the strength before the "
            "colon, from 0 to 9:\n"
        ) + "\n".join(lines)

    def detection(
        self,
        explanation: str,
        text: Positions,
        value: Float[np.ndarray, " row"],
        seed: int,
        quotes: bool = True,
    ) -> tuple[float, int]:
        """(balanced accuracy, contexts without an answer) of the explanation on contexts drawn by
        seed; NaN where one kind has no answer.

        With `quotes` false its quoted spans are taken out before it is read again.
        """
        greatest = by_context(text, value)
        fires, length = greatest > 0, CONTEXT
        starts = range(0, text.tokens.shape[1], length)
        tokens = [window[a : a + length] for window in text.tokens for a in starts]
        sample = np.concatenate(
            [
                _draw(np.flatnonzero(np.isfinite(greatest) & (fires == yes)), EACH, seed, int(yes))
                for yes in (True, False)
            ]
        )
        sample = (
            sample[rng.permutation(np.array([seed]), "explaining.asked", 2, len(sample))[0]]
            if len(sample)
            else sample
        )
        sentence = explanation if quotes else without_quotes(explanation)
        judgements = np.full(len(sample), np.nan)
        for a in range(0, len(sample), TOGETHER):
            part = sample[a : a + TOGETHER]
            judgements[a : a + TOGETHER] = self._judged(
                sentence, ["".join(map(self.decode, tokens[c].tolist())) for c in part]
            )
        return _balanced(judgements, fires[sample]), int(np.isnan(judgements).sum())

    def _judged(self, explanation: str, contexts: Sequence[str]) -> Float[np.ndarray, " context"]:
        """1 for each context in which the endpoint expects the feature, 0 for the others; NaN for
        all where it does not say."""
        listed = "\n".join(f"{i}: {context!r}" for i, context in enumerate(contexts, 1))
        question = (
            f"The feature: {explanation}\n\nDoes it fire anywhere in each of these "
            f"texts?\n{listed}\n\nAnswer with a JSON list of {len(contexts)} numbers, 1 for yes "
            "and 0 for no, and nothing else."
        )
        reply = self.chat.ask(_messages(question))
        if reply is None:
            return np.full(len(contexts), np.nan)
        if (read := _numbers(reply, len(contexts))) is None:
            self.chat.nonsense()
            return np.full(len(contexts), np.nan)
        return read


def _messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": ROLE}, {"role": "user", "content": question}]


def _numbers(reply: str, count: int) -> Float[np.ndarray, " context"] | None:
    """A JSON list of so many zeros and ones, alone or in a fence; None for anything else."""
    bare = reply.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        read = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    good = (
        isinstance(read, list)
        and len(read) == count
        and all(type(x) is int and x in (0, 1) for x in read)
    )
    return np.array(read, float) if good else None


def _balanced(
    judgements: Float[np.ndarray, " context"], fires: Bool[np.ndarray, " context"]
) -> float:
    """Balanced accuracy over the contexts with an answer; NaN where a kind has none."""
    right = [
        np.abs(judgements[(fires == yes) & np.isfinite(judgements)] - (not yes))
        for yes in (True, False)
    ]
    return float(np.mean([r.mean() for r in right])) if all(len(r) for r in right) else float("nan")


def _draw(
    candidates: Int[np.ndarray, " some"], most: int, seed: int, index: int
) -> Int[np.ndarray, " drawn"]:
    return (
        candidates[
            rng.permutation(np.array([seed]), "explaining.asked", index, len(candidates))[0][:most]
        ]
        if len(candidates)
        else candidates
    )
