"""Activations of a language model for the check of a probe, and the site that some are from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.ask.measure.activations import read_activations
from assay.ask.measure.prompts import PromptRow, PromptSet
from assay.ask.tables import Prompts
from assay.checks.probe import Activations
from assay.controls import vectors
from assay.errors import DataError
from assay.subjects.batches import run_many
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

COMPARED, ROUNDED = 32, 0.2
"""Rows that are compared, and standard deviations within which they are the same."""


def activations(
    model: Any,
    texts: Sequence[str],
    site: str,
    position: int | str = -1,
    *,
    question: str = "",
    answers: tuple[str, str] = (" yes", " no"),
) -> Activations:
    """Read activations of texts, and for the controls of a probe `embedding`, the mean embedding of
    the tokens; `untrained`, the activations with random weights, where all weights are vectors and
    matrices; and `asked`, the logit of one answer's first token less that of the other's.

    Args:
        model: a name, a folder, or what `assay.model` takes or gives.
        texts: one for each row.
        site: such as "blocks.9.hook_resid_post".
        position: of a token, such as -1 for the last; "mean": of all but the first token.
        question: for `asked`, with {text} where the text stands.
        answers: two that begin with different tokens.
    Raises: DataError, ModelError.
    """
    opened, place = model if isinstance(model, Pretrained) else load(model), Site.parse(site)
    opened.width(place)  # which refuses attention patterns
    values = _read(opened, texts, [place], position)[place]
    table = opened.model.get_input_embeddings().weight.detach()
    means = [table[opened.prompt(text)[0]].float().mean(0).cpu().numpy() for text in texts]
    controls = {"embedding": np.stack(means)}
    weights = [*opened.model.parameters(), getattr(opened.final_norm, "weight", None)]
    known = all(w is not None and w.is_floating_point() and w.ndim < 3 for w in weights)
    if known and hasattr(opened.model.config, "initializer_range"):
        twin = redrawn(load(opened.name, opened.device, opened.dtype, apart=True))
        controls["untrained"] = _read(twin, texts, [place], position)[place]
    if question:
        controls["asked"] = _asked(opened, texts, question, answers)
    return Activations(values, [*texts], controls)


def which_site(
    model: Any, texts: Sequence[str], X: Any, position: int | str = -1
) -> dict[str, float]:
    """Find where in the residual stream activations are from: the sites that have them up to
    rounding, nearest first, with the root mean square difference in standard deviations of X.

    Args:
        model: a name, a folder, or what `assay.model` takes or gives.
        texts: one for each row of X.
        X: activations, [row, d].
        position: as for `activations`.
    Raises: DataError, ModelError.
    """
    opened, x = model if isinstance(model, Pretrained) else load(model), vectors.as_numpy(X)
    stream = [site for site in opened.sites if site.kind.startswith(("resid_", "final_norm"))]
    if x.shape != (shape := (len(texts), opened.width(stream[0]))):
        raise DataError("wrong-shape", f"got {x.shape}, these texts have {shape}", "X")
    scale = x.std(0, dtype=float)
    varies = scale > 1e-6 * scale.max()
    if not varies.any():
        raise DataError("same-rows", "its rows are equal", "X")
    own = np.stack([*_read(opened, texts[:COMPARED], stream, position).values()])
    off = np.square((own - x[:COMPARED])[..., varies] / scale[varies]).mean((1, 2)) ** 0.5
    return {str(stream[k]): float(off[k]) for k in off.argsort() if off[k] < ROUNDED}


def _read(
    model: Pretrained, texts: Sequence[str], sites: Sequence[Site], position: int | str
) -> dict[Site, np.ndarray]:
    if isinstance(texts, str) or not len(texts) or not all(isinstance(t, str) for t in texts):
        raise DataError("no-texts", "give a list of texts", "texts")
    if position != "mean" and not isinstance(position, int):
        raise DataError("no-position", 'give a number, such as -1, or "mean"', "position")
    rows = tuple(PromptRow(text, {}, f"texts[{i}]", {}) for i, text in enumerate(texts))
    acts = read_activations(model, PromptSet(Prompts(), rows), sites, position)
    return {site: x.flatten(1).float().cpu().numpy() for site, x in acts.items()}


def _asked(
    model: Pretrained, texts: Sequence[str], question: str, answers: tuple[str, str]
) -> np.ndarray:
    first, second = (model.encode(answer)[:1] for answer in answers)
    if "{text}" not in question or not first or not second or first == second:
        raise DataError("no-question", "it has no {text}, or its answers begin alike", "question")
    asked = [model.prompt(question.replace("{text}", text))[0].tolist() for text in texts]
    traces: list[list[Any]] = [*run_many(model, asked)]
    logits = [trace.head(trace.final[0, -1]).detach().float() for (trace,) in traces]
    return np.array([float(x[first[0]] - x[second[0]]) for x in logits])
