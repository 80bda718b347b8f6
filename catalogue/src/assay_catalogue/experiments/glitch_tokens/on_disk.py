"""Glitch tokens of a model on disk, where no truth is planted: candidates by the indicator, and
whether the model can repeat them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import Bench, ModelError, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.subjects.pretrained import Pretrained, load
from assay.train.rng import permutation
from assay_catalogue.experiments.glitch_tokens.method import TIMES, GlitchTokens
from assay_catalogue.features.undertrained import cosine_distance, repetition

BEFORE = "The same piece of text, over and over again:\n"
"""What a prompt begins with: rotary positions, and nothing but copies of one token, would give the
same stream after one copy as after many."""
ALIKE = 1e-3
"""Cosine distance to their common row within which reserved tokens count as unused: what was
trained moved away from it."""
BLOCK, LARGEST = 32, 127
"""Numbers that share a scale where a matrix is stored in 8 bits, as SmolLM2's embedding is, and the
largest of their steps."""


def measure_model(runs: Runs[GlitchTokens], trained: Trained, bench: Bench) -> xr.Dataset:
    """Of a model on disk: the lowest tokens by E_out cosine distance without the mean row, and
    their probability after copies of themselves."""
    (s,) = runs.specs
    model = load(s.model, bench.device)
    rows = model.model.get_output_embeddings().weight.detach().float().cpu().numpy()
    special = special_tokens(model, len(rows))
    off = rows - rows.mean(0)
    known = unused(off, special)
    score = cosine_distance(off, off[known].mean(0))
    plain = np.setdiff1d(np.array([t for t in range(len(rows)) if reachable(model, t)]), special)
    lowest = plain[np.argsort(score[plain], kind="stable")[: s.candidates]]
    remainder = np.setdiff1d(plain, lowest)
    lot = remainder[
        permutation(np.array([s.seed]), "glitch.on disk", 0, len(remainder))[0][: s.candidates]
    ]
    p = repetition(
        lambda tokens: expected(model, tokens), np.concatenate([lowest, lot]), TIMES
    ).reshape(2, -1)
    floor = rounding(rows)
    variables: dict[str, Any] = {
        "probability": ("run kind token", p[None], "probability"),
        "unspeakable_here": ("run kind token", (p < 0.01)[None].astype(float), "share"),
        "token_id": ("run kind token", np.stack([lowest, lot])[None], "1"),
        "distance_here": (
            "run kind token",
            score[np.stack([lowest, lot])][None],
            "cosine distance",
        ),
        "floor": ("run", [floor], "share of a row's norm"),
        "same": ("run", [int((score[plain] < floor**2).sum())], "tokens"),
        "unreachable": ("run", [len(rows) - len(plain) - len(special)], "tokens"),
        "known_here": ("run", [len(known)], "tokens"),
    }
    return measures(
        runs,
        coords={"kind": ["candidates", "by lot"], "token": list(range(s.candidates))},
        **variables,
    )


def special_tokens(model: Pretrained, vocab: int) -> Int[np.ndarray, "special"]:
    """The tokens that the tokenizer keeps for its own purposes, which no text encodes to. Raises:
    ModelError where it keeps none."""
    added = model.folder.tokenizer.inner.get_added_tokens_decoder()
    tokens = sorted(i for i, token in added.items() if token.special and i < vocab)
    if not tokens:
        raise ModelError(
            f"the tokenizer of {model.name} reserves no tokens, so none is known to be "
            "unused; give another model"
        )
    return np.array(tokens)


def unused(
    rows: Float[np.ndarray, "token d"], special: Int[np.ndarray, "special"]
) -> Int[np.ndarray, "known"]:
    """The reserved tokens that share one row, entry by entry the median of theirs; all of them
    where no two do.

    A tied row that is never read and never a target is pushed as all others of its kind are: those
    that a chat format uses stand elsewhere."""
    duplicates = special[cosine_distance(rows[special], np.median(rows[special], 0)) < ALIKE]
    return duplicates if len(duplicates) > 1 else special


def reachable(model: Pretrained, token: int) -> bool:
    """Whether a token's own text is encoded to it."""
    return model.folder.tokenizer.encode(model.folder.tokenizer.decode([token])) == [token]


def expected(model: Pretrained, tokens: Int[np.ndarray, "b s"]) -> Float[np.ndarray, "b v"]:
    """What the model expects after prompts, each behind a line that announces repetition."""
    prompts = np.concatenate([np.tile(model.encode(BEFORE), (len(tokens), 1)), tokens], 1)
    with torch.no_grad():
        logits = model.model(
            input_ids=torch.from_numpy(prompts).to(model.device), logits_to_keep=1
        ).logits
    return logits[:, -1].float().softmax(-1).cpu().numpy()


def rounding(rows: Float[np.ndarray, "token d"]) -> float:
    """How far 8-bit rounding moves a row, as a share of its norm, in the median row: step/√12 for
    each number. Two rows whose cosine distance is below its square cannot be told apart."""
    blocks = rows[:, : rows.shape[1] // BLOCK * BLOCK].reshape(len(rows), -1, BLOCK)
    step = np.abs(blocks).max(2) / LARGEST
    moved = np.sqrt((step**2 / 12 * BLOCK).sum(1))
    return float(np.median(moved / np.maximum(np.linalg.norm(rows, axis=1), 1e-12)))
