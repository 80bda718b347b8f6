"""What a part of the residual stream at one token does for predicting the next: it is taken out
there, and nowhere else.

A token sees what stands before it, and what stands before it does not see the token. So a token
from which something was taken is put beside its window as one more row, which attends to the tokens
before its own place and to itself; many such rows, of any features, share one pass over their
window. The result is that of a pass of its own for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
_PACK = 8


@dataclass(frozen=True, kw_only=True)
class CleanSpec(Spec):
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
    """Windows of text with the residual stream at several places, and the loss where nothing is
    taken out."""

    model: Pretrained
    tokens: Int[torch.Tensor, "w s"]
    streams: dict[int, Float[torch.Tensor, "w s d"]]
    """Before the block of this number; by the number of blocks: after the last one."""
    loss: dict[int, Float[np.ndarray, "w s-1"]]
    """Of every next token, by the same computation as where something is taken out there."""


def clean(test: Harvest, bench: Bench) -> Clean:
    """The windows of a harvest with their streams at its site, before the last block and after it;
    from the store or made now."""
    model = test.model(bench.device)
    first, last = int(Site.parse(test.spec.site).layer or 0), model.layers - 1
    places = {last: Site("resid_pre", last), model.layers: Site("resid_post", last)}
    tokens = torch.from_numpy(test.tokens.astype(np.int64)).to(bench.device)
    site_stream = test.raw(np.arange(len(tokens))).to(bench.device)

    def build(folder: Path) -> None:
        captures: dict[int, list[torch.Tensor]] = {place: [] for place in places}
        for a in range(0, len(tokens), _PACK):
            trace = model.run(
                tokens[a : a + _PACK],
                start=(first, site_stream[a : a + _PACK]),
                capture=list(places.values()),
            )
            for place, site in places.items():
                captures[place].append(trace.acts[site].float())
        streams = {
            first: site_stream,
            **{place: torch.cat(acts) for place, acts in captures.items()},
        }
        plain = Clean(model, tokens, streams, {})
        every = np.arange(tokens.shape[1] - 1)
        for place, x in streams.items():
            loss = np.stack(
                [_losses(plain, place, w, every, x[w, :-1]) for w in range(len(tokens))]
            )
            np.save(folder / f"loss-{place}.npy", loss)
        for place in places:
            np.save(folder / f"stream-{place}.npy", streams[place].cpu().numpy())

    read = harvest_inputs(test.spec)
    folder = bench.artefact(
        CleanSpec(of=test.spec, model=read["model"], corpus=read["corpus"]), build
    )
    streams = {
        place: torch.from_numpy(np.load(folder / f"stream-{place}.npy")).to(bench.device)
        for place in places
    }
    return Clean(
        model,
        tokens,
        {first: site_stream, **streams},
        {p: np.load(folder / f"loss-{p}.npy") for p in (first, *places)},
    )


def change(
    text: Clean,
    place: int,
    window: Int[np.ndarray, "n"],
    position: Int[np.ndarray, "n"],
    parts: Float[torch.Tensor, "n d"],
) -> Float[np.ndarray, "n"]:
    """By how much the loss of the next token rises when each part is taken out of the stream before
    block `place` at its token.

    With the number of blocks as `place` only the last norm and the unembedding see the change: the
    direct path.

    Formula: CE(x − part) − CE(x) in nats; above 0 where the part helps
    """
    deltas = np.zeros(len(window))
    for w in np.unique(window):
        indices = np.flatnonzero(window == w)
        for rows in (indices[a : a + _ROWS] for a in range(0, len(indices), _ROWS)):
            positions = position[rows]
            x = text.streams[place][int(w), positions] - parts[rows]
            deltas[rows] = (
                _losses(text, place, int(w), positions, x) - text.loss[place][w, positions]
            )
    return deltas


def _losses(
    text: Clean,
    place: int,
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
        if place < model.layers:
            s = int(positions.max()) + 1
            rows = torch.cat([text.streams[place][window, :s], x])[None]
            with _append_rows(model, s, position_tensor):
                final = model.run(
                    torch.cat([tokens[:s], tokens[position_tensor]])[None], start=(place, rows)
                ).final
            assert final is not None
            final = final[0, s:]
        else:
            final = model.final_norm(x.to(getattr(torch, model.dtype)))
        logits = model.head(final).float()
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
