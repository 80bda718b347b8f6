"""Logits: numbers about next tokens, unembedded many rows at a time, of which only the numbers
stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from jaxtyping import Float

from assay.ask.measure.seen import Want
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.subject import cached_rows

HELD = 2**24
"""Logits that are there at once: 64 MB, 340 rows of a vocabulary of 49,152, 64 of 262,144."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What one position of one prompt has under each edit, and what is wanted of it."""

    final: Float[torch.Tensor, "v d"]
    """What the unembedding reads."""
    first: Float[torch.Tensor, "v d"] | Float[torch.Tensor, "1 d"]
    """What it would read untouched, for each edit or for all: what KL divergences are from."""
    wants: tuple[Want, ...]


def lensed(model: Pretrained, stream: Float[torch.Tensor, "v d"]) -> Float[torch.Tensor, "v d"]:
    """What the unembedding would read, if the residual stream ended here."""
    with torch.no_grad():
        final: torch.Tensor = model.final_norm(stream)
    return final.to(model.model.get_output_embeddings().weight.dtype)


def numbers(
    model: Pretrained, rows: Sequence[Rows], base: Pretrained | None = None
) -> list[Float[np.ndarray, "v want"]]:
    """Unembed all rows and keep what is wanted of each; a base is the model whose unembedding
    reads `first`, where that is another one."""
    out = [np.empty((len(r.final), len(r.wants))) for r in rows]
    vocabulary = model.model.get_output_embeddings().weight.shape[0]
    held: torch.Tensor | None = None  # untouched, of the present rows, where all edits share it
    for parts in _batches(rows, max(1, HELD // vocabulary)):
        logits = _unembedded(model, [rows[i].final[a:b] for i, a, b in parts])
        totals = torch.cat([x.float().logsumexp(-1) for x in logits.split(cached_rows(vocabulary))])
        needed = [_untouched(rows[i], a, b) for i, a, b in parts]
        firsts = iter(_unembedded(base or model, needed) if any(map(len, needed)) else ())
        begin = 0
        for i, a, b in parts:
            some, total = logits[begin : begin + b - a].float(), totals[begin : begin + b - a]
            begin += b - a
            before = [next(firsts) for _ in _untouched(rows[i], a, b)]
            for k, want in enumerate(rows[i].wants):
                if want.what == "log_prob":
                    value = some[:, want.token] - total
                elif want.what == "logit":
                    value = some[:, want.token]
                elif want.what == "rank":
                    value = 1 + (some > some[:, want.token, None]).sum(-1)
                elif want.what == "entropy":  # in float64, as is what follows: both may be small
                    logs = (x.double().log_softmax(-1) for x in some)
                    value = torch.stack([-(x.exp() * x).sum() for x in logs])
                elif want.what == "kl" or want.what == "agrees":
                    held = before[0] if len(before) == 1 else held
                    assert held is not None or len(before) == b - a
                    bases = before if len(before) == b - a else [held] * (b - a)
                    how = _divergence if want.what == "kl" else _same
                    value = torch.stack([how(x, y) for x, y in zip(bases, some, strict=True)])
                else:
                    assert_never(want.what)
                out[i][a:b, k] = value.cpu().numpy()
    return out


def _unembedded(model: Pretrained, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.head(torch.cat(list(parts)))
    return logits


def _untouched(rows: Rows, a: int, b: int) -> torch.Tensor:
    """What has to be unembedded untouched for rows a to b: of what all edits share once."""
    if not any(want.compares for want in rows.wants):
        return rows.first[:0]
    return rows.first[a:b] if len(rows.first) > 1 else rows.first[: int(a == 0)]


def _divergence(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Σ p (log p − log q), p before and q after, from logits."""
    p, q = (x.double().log_softmax(-1) for x in (before, after))
    return (p.exp() * (p - q)).sum()


def _same(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """1 where both have the same most probable token, else 0, from logits."""
    return (before.argmax() == after.argmax()).double()


def _batches(rows: Sequence[Rows], most: int) -> Iterator[list[tuple[int, int, int]]]:
    """All rows in order in batches of at most so many, as (which, from, to)."""
    batch: list[tuple[int, int, int]] = []
    room = most
    for i, r in enumerate(rows):
        start = 0
        while start < len(r.final):
            size = min(room, len(r.final) - start)
            batch.append((i, start, start + size))
            start, room = start + size, room - size
            if not room:
                yield batch
                batch, room = [], most
    if batch:
        yield batch
