"""Of a model: what the controls of a probe read off it: embeddings, the activations of its
untrained twin, and what it says when it is asked in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.ask.measure import activations
from assay.ask.measure.probe_tasks import placed
from assay.ask.measure.prompts import PromptRow, PromptSet
from assay.ask.tables import Prompts
from assay.controls.table import ASKED, EMBEDDING, PLACES, UNTRAINED, Control
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.batches import run_many
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn


def read(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    site: str,
    position: int | str,
    question: str,
    answers: tuple[str, str],
) -> dict[Control, Any]:
    """Read what a model gives for the controls; None for what it cannot give. Raises: DataError,
    ModelError."""
    if isinstance(position, str) and position not in ("mean", "{text}"):
        right = 'position= is a number, -1 for the last token, or "mean"'
        raise DataError(f"{right}; got {position!r}")
    opened = model if isinstance(model, Pretrained) else load(model, tokenizer=tokenizer)
    ids = [opened.prompt(text)[0].tolist() for text in texts]
    embedding = opened.model.get_input_embeddings().weight
    readings: dict[Control, Any] = {
        EMBEDDING: torch.stack([embedding[i].detach().float().cpu().mean(0) for i in ids]).numpy(),
        PLACES: placed(embedding, ids).numpy(),
    }
    if site:
        if isinstance(model, Pretrained):
            raise DataError(
                "untrained needs model= as a name, a folder, or a model of transformers"
            )
        twin = redrawn(load(model, tokenizer=tokenizer, apart=True))
        readings[UNTRAINED] = _activations(twin, texts, Site.parse(site), position)
    if question:
        readings[ASKED] = _asked(opened, texts, question, answers)
    return {**dict.fromkeys((UNTRAINED, ASKED)), **readings}


def _activations(
    model: Pretrained, texts: Sequence[str], site: Site, position: int | str
) -> np.ndarray:
    rows = tuple(
        PromptRow(text, {"text": text}, f"text {i + 1}", {}) for i, text in enumerate(texts)
    )
    prompts = PromptSet(Prompts(name="texts", text="{text}"), rows)
    acts = activations.read_activations(model, prompts, [site], position)
    return next(iter(acts.values())).float().cpu().numpy()


def _asked(
    model: Pretrained, texts: Sequence[str], question: str, answers: tuple[str, str]
) -> np.ndarray:
    """How much likelier the model finds the first answer's first token than the second's."""
    if "{text}" not in question:
        raise DataError(f"question= has no {{text}} in it: {question!r}")
    first, second = (model.encode(answer)[0] for answer in answers)
    if first == second:
        raise DataError(f"the answers {answers[0]!r} and {answers[1]!r} begin with the same token")
    asked = [model.prompt(question.replace("{text}", text))[0].tolist() for text in texts]
    scores = []
    for traces in run_many(model, asked):
        assert traces[0].logits is not None
        logits = traces[0].logits[0, -1]
        scores.append(float(logits[first] - logits[second]))
    return np.array(scores)
