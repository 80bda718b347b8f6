"""What a part of the residual stream at one token does for predicting the next: it is taken out
there, and nowhere else.

A token sees what stands before it, and what stands before it does not see the token. So a token
from which something was taken is put beside its window as one more row, which attends to the tokens
before its own place and to itself; many such rows, of any features, share one pass over their
window. The result is that of a pass of its own for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from assay.core import Bench, Spec
from assay.core.heavy import torch
from assay.data.harvest import Harvest, HarvestSpec
from assay.data.harvest import inputs as harvest_inputs
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

_ROWS = 256
"""Most rows beside one window in one pass, so that memory does not grow with the number of
firings."""


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """What a harvest's windows give where nothing is taken out: the same for every dictionary, so
    made once."""

    of: HarvestSpec
    """The windows, and where their activations were taken."""
    model: str
    """The model's fingerprint."""
    corpus: str
    """The text's fingerprint."""


@dataclass(frozen=True, eq=False)
class Clean:
    """Windows of text with the residual stream at a site, and the loss where nothing is taken
    out."""

    model: Pretrained
    layer: int
    """The site is before this block."""
    tokens: Int[torch.Tensor, "w s"]
    stream: Float[torch.Tensor, "w s d"]
    loss: Float[np.ndarray, "w s-1"]
    """Of every next token, by the same computation as where something is taken out."""


def clean(test: Harvest, bench: Bench) -> Clean:
    """The windows of a harvest with their stream at its site, and the losses; from the store or
    made now."""
    model = test.model(bench.device)
    tokens = torch.from_numpy(test.tokens.astype(np.int64)).to(bench.device)
    stream = test.raw(np.arange(len(tokens))).to(bench.device)
    layer = int(Site.parse(test.spec.site).layer or 0)
    plain = Clean(model, layer, tokens, stream, np.zeros(0))

    def build(folder: Path) -> None:
        every = np.arange(tokens.shape[1] - 1)
        loss = [_losses(plain, w, every, stream[w, :-1]) for w in range(len(tokens))]
        np.save(folder / "loss.npy", np.stack(loss))

    read = harvest_inputs(test.spec)
    folder = bench.artefact(
        LossSpec(of=test.spec, model=read["model"], corpus=read["corpus"]), build
    )
    return replace(plain, loss=np.load(folder / "loss.npy"))


def change(
    text: Clean,
    window: Int[np.ndarray, "n"],
    position: Int[np.ndarray, "n"],
    parts: Float[torch.Tensor, "n d"],
) -> Float[np.ndarray, "n"]:
    """By how much the loss of the next token rises when each part is taken out of the stream at its
    token.

    Formula: CE(x − part) − CE(x) in nats; above 0 where the part helps
    """
    deltas = np.zeros(len(window))
    for w in np.unique(window):
        indices = np.flatnonzero(window == w)
        for rows in (indices[a : a + _ROWS] for a in range(0, len(indices), _ROWS)):
            positions = position[rows]
            x = text.stream[int(w), positions] - parts[rows]
            deltas[rows] = _losses(text, int(w), positions, x) - text.loss[w, positions]
    return deltas


def _losses(
    text: Clean,
    window: int,
    positions: Int[np.ndarray, "m"],
    x: Float[torch.Tensor, "m d"],
) -> Float[np.ndarray, "m"]:
    """Losses of the next tokens with the stream replaced by x at these positions of a window, at
    each by itself."""
    model = text.model
    tokens = text.tokens[window]
    position_tensor = torch.as_tensor(positions, device=text.tokens.device)
    with torch.no_grad():
        s = int(positions.max()) + 1
        rows = torch.cat([text.stream[window, :s], x])[None]
        with _append_rows(model, s, position_tensor):
            final = model.run(
                torch.cat([tokens[:s], tokens[position_tensor]])[None], start=(text.layer, rows)
            ).final
        assert final is not None
        logits = model.head(final[0, s:]).float()
        return (
            torch.nn.functional.cross_entropy(logits, tokens[position_tensor + 1], reduction="none")
            .double()
            .cpu()
            .numpy()
        )


@contextmanager
def _append_rows(
    model: Pretrained, s: int, token_positions: Int[torch.Tensor, "m"]
) -> Iterator[None]:
    """Runs of the first s tokens of a window and of m rows beside them, each in the place of the
    token at `at`."""
    n = s + len(token_positions)
    positions = torch.cat([torch.arange(s, device=token_positions.device), token_positions])
    sees = torch.arange(n, device=token_positions.device)[None] < positions[:, None]
    sees[:, s:] = False
    sees |= torch.eye(n, dtype=torch.bool, device=token_positions.device)
    dtype = getattr(torch, model.dtype)
    mask = torch.zeros(n, n, dtype=dtype, device=token_positions.device).masked_fill(
        ~sees, torch.finfo(dtype).min
    )[None, None]
    overrides = {"attention_mask": mask, "position_ids": positions[None]}
    base = model.model.base_model
    handle = base.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | overrides), with_kwargs=True
    )
    try:
        yield
    finally:
        handle.remove()
