"""Glitch tokens of a model on disk, where no truth is planted: candidates by the indicator, and whether the model can repeat them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.measures import measures
from assay.core.rng import permutation
from assay.experiments.glitch_tokens.method import TIMES, GlitchTokens

if TYPE_CHECKING:
    import xarray as xr

    from assay.core.bench import Bench
    from assay.core.fit import Trained
    from assay.core.runs import Runs
    from assay.subjects.pretrained import Pretrained

CANDIDATES = 24
"""Tokens with the lowest indicator that are verified, and as many drawn by lot beside them."""
BEFORE = "The same piece of text, over and over again:\n"
"""What a prompt begins with: rotary positions, and nothing but copies of one token, would give the same stream after one copy as after many."""
BLOCK, LEVELS = 32, 15
"""Numbers that share a scale in 4-bit blocks, and their steps."""


def measure_model(runs: Runs[GlitchTokens], trained: Trained, bench: Bench) -> xr.Dataset:
    """Of a model on disk: the lowest tokens by E_out cosine distance, and by E_in norm, and their probability after copies of themselves."""
    from assay.features.undertrained import indicators, repetition
    from assay.subjects.pretrained import load

    (s,) = runs.specs
    model = load(s.subject, bench.device)
    rows = model.model.get_output_embeddings().weight.detach().float().cpu().numpy()
    special = special_tokens(model, len(rows))
    score = indicators(rows, special)
    plain = np.setdiff1d(np.array([t for t in range(len(rows)) if reachable(model, t)]), special)
    lowest = plain[np.argsort(score["cosine, no mean"][plain], kind="stable")[:CANDIDATES]]
    others = np.setdiff1d(plain, lowest)
    lot = others[permutation(np.array([s.seed]), "glitch.on disk", 0, len(others))[0][:CANDIDATES]]
    p = repetition(lambda tokens: expected(model, tokens), np.concatenate([lowest, lot]), TIMES).reshape(2, -1)
    named: dict[str, Any] = {
        "probability": ("run kind token", p[None], "probability"),
        "unspeakable_here": ("run kind token", (p < 0.01)[None].astype(float), "share"),
        "token_id": ("run kind token", np.stack([lowest, lot])[None], "1"),
        "distance_here": ("run kind token", np.stack([score["cosine, no mean"][x] for x in (lowest, lot)])[None], "cosine distance"),
        "floor": ("run", [rounding(rows[plain]) / float(np.median(score["norm"][plain]))], "share of a row's norm"),
        "unreachable": ("run", [len(rows) - len(plain) - len(special)], "tokens"),
        "known_here": ("run", [len(special)], "tokens"),
    }
    return measures(runs, coords={"kind": ["candidates", "by lot"], "token": list(range(CANDIDATES))}, **named)


def special_tokens(model: Pretrained, vocab: int) -> np.ndarray:
    """The tokens that the tokenizer keeps for its own purposes, which no text encodes to."""
    added = model.folder.tokenizer.inner.get_added_tokens_decoder()
    return np.array(sorted(i for i, token in added.items() if token.special and i < vocab))


def reachable(model: Pretrained, token: int) -> bool:
    """Whether a token's own text is encoded to it."""
    return model.folder.tokenizer.encode(model.folder.tokenizer.decode([token])) == [token]


def expected(model: Pretrained, tokens: np.ndarray) -> np.ndarray:
    """[b, v]: what the model expects after prompts, each behind a line that announces repetition."""
    import torch

    prompts = np.concatenate([np.tile(model.encode(BEFORE), (len(tokens), 1)), tokens], 1)
    with torch.no_grad():
        return model.model(input_ids=torch.from_numpy(prompts)).logits[:, -1].float().softmax(-1).numpy()


def rounding(rows: np.ndarray) -> float:
    """The norm of a row's rounding error where 32 numbers share 15 steps, in the mean: step/√12 for each number."""
    blocks = rows[:, : rows.shape[1] // BLOCK * BLOCK].reshape(len(rows), -1, BLOCK)
    step = (blocks.max(2) - blocks.min(2)) / LEVELS
    return float(np.sqrt((step**2 / 12 * BLOCK).sum(1)).mean())
