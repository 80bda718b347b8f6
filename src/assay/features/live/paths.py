"""How far a firing acts on the logits directly and how far through later layers, at its own
position.

    Δ_total = Δ_direct + Δ_indirect        both with the final norm's divisor as it was

Δ_direct is the image of the firing itself, Δ_indirect that of what later layers make of it. That
the divisor changes too is a third term, Δ_norm: the exact difference of the logits is Δ_total +
Δ_norm. All are centred over the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import spliced_run
from assay.dictionaries.measuring.splice import Passage
from assay.features.importance import check_direct
from assay.features.live.ablation import BATCH
from assay.features.live.logits import Unembedding
from assay.features.live.reader import Firings, Reader, Reading
from assay.subjects.readout import direct_share, signed_share
from assay.subjects.site import Site

CHUNK = 32
"""Firings whose logits are held at once."""


@dataclass(frozen=True, eq=False)
class Paths:
    """The effects of some firings on the logits at their own positions, by path."""

    firings: Firings
    share: Float[np.ndarray, "n"]
    """E_dir = ‖Δ_direct‖² / (‖Δ_direct‖² + ‖Δ_indirect‖²), 0 to 1; 1/2 where later layers cancel
    the direct effect."""
    signed: Float[np.ndarray, "n"]
    """⟨Δ_direct, Δ_total⟩ / ‖Δ_total‖², of any size; NaN where Δ_total nearly vanishes."""
    cosine: Float[np.ndarray, "n"]
    """Between Δ_direct and Δ_indirect; NaN where one of them is 0."""
    total: Float[np.ndarray, "n"]
    """‖Δ_total‖, in logits."""
    direct: Float[np.ndarray, "n"]
    """‖Δ_direct‖."""
    indirect: Float[np.ndarray, "n"]
    """‖Δ_indirect‖."""
    norm: Float[np.ndarray, "n"]
    """‖Δ_norm‖, what the norm's divisor answers."""
    on_next: Float[np.ndarray, "n path"]
    """Δ_direct, Δ_indirect, Δ_norm of the next token's centred logit; above 0 raises it. NaN at the
    last token."""


def split_paths(reader: Reader, reading: Reading, firings: Firings, *, batch: int = BATCH) -> Paths:
    """Split what each firing does to the logits at its own position into its direct and its
    indirect path.

    One pass from the dictionary's block on over the text up to each firing, `batch` tokens at a
    time, and three products with the unembedding. Effects on later positions are not in it.

    Raises: ModelError for a site outside the residual stream.
    """
    check_direct(reader.target)
    unembedding = Unembedding.of(reader.subject)
    step = min(CHUNK, max(1, batch // len(reading)))
    order = np.argsort(
        firings.position, kind="stable"
    )  # so that little of the text is run behind a firing
    packs = [order[a : a + step] for a in range(0, len(order), step)]
    pack_values = [_split(reader, reading, firings[pack], unembedding) for pack in packs]
    columns = (
        zip(*pack_values, strict=True)
        if pack_values
        else [[np.zeros(0)]] * 7 + [[np.zeros((0, 3))]]
    )
    return Paths(firings, *(np.concatenate(list(column))[np.argsort(order)] for column in columns))


def _split(
    reader: Reader, reading: Reading, firings: Firings, unembedding: Unembedding
) -> tuple[np.ndarray, ...]:
    ids, reading = reading.ids, reading.cut(int(firings.position.max()) + 1)
    n, last = len(firings), Site("resid_post", reader.subject.layers - 1)
    positions = torch.from_numpy(firings.position).to(reading.acts.device)
    part, row = reader.parts(reading, firings), torch.arange(n, device=positions.device)
    new = reading.acts.repeat(n, 1, 1)
    new[row, positions] -= part
    source = reading.passage
    before = None if source.before is None else source.before.expand(n, -1, -1)
    passage = Passage(
        source.tokens.expand(n, -1),
        source.acts.expand(n, -1, -1),
        source.keep.expand(n, -1),
        None,
        before,
    )
    x = reading.stream.float()[positions]
    change = (
        x
        - spliced_run(reader.subject, reader.target, passage, new, also=[last])
        .acts[last]
        .float()[row, positions]
    )
    direct, total = unembedding.frozen(part, x), unembedding.frozen(change, x)
    indirect, answer = total - direct, unembedding.exact(change, x) - total
    following = torch.tensor([*ids[1:], 0], device=positions.device)[positions]
    on_next = torch.stack([d[row, following] for d in (direct, indirect, answer)], 1)
    on_next[positions == len(ids) - 1] = torch.nan
    lengths = [_length(d) for d in (total, direct, indirect, answer)]
    cosine = torch.linalg.vecdot(direct, indirect) / (lengths[1] * lengths[2])
    values = (direct_share(direct, total), signed_share(direct, total), cosine, *lengths, on_next)
    return tuple(v.double().cpu().numpy() for v in values)


def _length(x: Float[torch.Tensor, "n v"]) -> Float[torch.Tensor, "n"]:
    return torch.linalg.vector_norm(x, dim=-1)
