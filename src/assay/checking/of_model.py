"""Of a model: what the controls of a probe read off it: embeddings, the activations of its
untrained twin, and what it says when it is asked in words; and whether a probe's activations are
its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.ask.measure import activations
from assay.ask.measure.models import beginning
from assay.ask.measure.probe_tasks import placed
from assay.ask.measure.prompts import PromptRow, PromptSet
from assay.ask.near import ASKED, EMBEDDING, PLACES, UNTRAINED, Control
from assay.ask.tables import Prompts
from assay.checking.related import DIFFERS, THE_MODELS
from assay.core.errors import AssayError, DataError
from assay.core.heavy import torch
from assay.subjects.batches import run_many
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn
from assay.train import rng

ROWS, RECOGNISED = 4, 3
"""So many rows are compared; so many of them at least must be nearer to their own row of X than
to any other one."""
ROUNDED = 0.2
"""How many standard deviations of X recomputed rows may differ by through rounding, as to 16
bits."""


def read(
    x: np.ndarray,
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    site: str,
    position: int | str,
    question: str,
    answers: tuple[str, str],
) -> tuple[dict[Control, Any], list[str]]:
    """Read what a model gives for the controls, and its own activations; None for what it cannot
    give; and what there is to note of the activations, `x`. Raises: DataError, also if they are
    others, ModelError."""
    if isinstance(position, str) and position not in ("mean", "{text}"):
        right = 'position= is a number, -1 for the last token, or "mean"'
        raise DataError(f"{right}; got {position!r}")
    opened = model if isinstance(model, Pretrained) else load(model, tokenizer=tokenizer)
    readings, notes = dict[Control, Any](), list[str]()
    if site:
        if isinstance(model, Pretrained):
            raise DataError(
                "untrained needs model= as a name, a folder, or a model of transformers"
            )
        at = texts, Site.parse(site), position
        opened, readings[THE_MODELS], notes = _recognised(x, opened, *at)
        twin = redrawn(load(model, tokenizer=tokenizer, apart=True))
        readings[UNTRAINED] = _activations(beginning(twin, opened.folder.bos), *at)
    ids = [opened.prompt(text)[0].tolist() for text in texts]
    embedding = opened.model.get_input_embeddings().weight
    readings |= {
        EMBEDDING: torch.stack([embedding[i].detach().float().cpu().mean(0) for i in ids]).numpy(),
        PLACES: placed(embedding, ids).numpy(),
    }
    if question:
        readings[ASKED] = _asked(opened, texts, question, answers)
    return {**dict.fromkeys((UNTRAINED, ASKED)), **readings}, notes


def _recognised(
    x: np.ndarray, model: Pretrained, texts: Sequence[str], site: Site, position: int | str
) -> tuple[Pretrained, np.ndarray, list[str]]:
    """The model as it read the texts for `x`, its activations, and what there is to note of them:
    texts begin with a BOS or do not, as the tokenizer has it, or else the other way, as libraries
    differ in this. Raises: DataError where the rows are recognised in neither."""
    with_bos, found = bool(model.folder.opening), list[tuple[Pretrained, np.ndarray, list[str]]]()
    how = "without a BOS, though the tokenizer puts one"
    if not with_bos:
        how = "with a BOS, though the tokenizer puts none"
    said = [f"X has the activations of the texts {how} before them"]
    errors = list[AssayError]()
    for one, notes in ((model, []), (beginning(model, not with_bos), said)):
        try:
            own = _activations(one, texts, site, position)
            more = _compared(x, own, str(site), position)
        except AssayError as e:
            errors.append(e)
            continue
        found.append((one, own, [*notes, *more]))
        if not more:
            return found[-1]
    if not found:
        raise errors[0]
    return found[0]


def _compared(x: np.ndarray, own: np.ndarray, site: str, position: int | str) -> list[str]:
    """Compare a few rows of the activations with the model's own; a note where these differ by more
    than rounding, as at 4 bits or a neighbouring site. Raises: DataError where they are not
    recognised, either."""
    rows = rng.permutation(np.array([0]), "check_probe.rows", 0, len(x))[0][:ROWS]
    where = f"at {site}, position {position}"
    advice = (
        "give texts= in the order of X, and the model, site= and position= that X is from; if X "
        "was scaled, centred or projected, leave out site="
    )
    if own.shape[1] != x.shape[1]:
        widths = f"X has {x.shape[1]} columns, and {site} has {own.shape[1]}"
        raise DataError(f"{widths}; {advice}")
    scale = x.std(0)
    keep = scale > 1e-9 * scale.max()
    z, given = own[rows][:, keep] / scale[keep], x[:, keep] / scale[keep]
    off = np.sqrt(np.square(z - given[rows]).mean(1))
    if off.max() <= ROUNDED:
        return []
    z += (given[rows] - z).mean(0)  # other weights or another depth move all rows alike
    apart = np.sqrt(np.square(z[:, None] - given).mean(2))
    is_own = apart[np.arange(len(rows)), rows] <= apart.min(1)
    if is_own.sum() < min(RECOGNISED, len(rows)):
        (k, *_) = np.flatnonzero(~is_own)
        raise DataError(
            f"X does not have the activations of these texts {where}: of {len(rows)} rows that "
            f"were compared, {int(is_own.sum())} are nearest to their own row of X, and row "
            f"{rows[k]} is nearest to row {int(apart[k].argmin())}; {advice}"
        )
    return [
        f"{DIFFERS} {where}: {len(rows)} rows that were compared are up to {off.max():.2g} "
        "standard deviations away, as at another precision or a neighbouring site"
    ]


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
