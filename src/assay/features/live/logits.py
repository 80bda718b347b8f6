"""What parts of the residual stream do to the logits through the final norm: exactly, or with the
norm's divisor held still.

The tokens that a feature promotes and suppresses: exactly, through the final norm as it is where
the feature fires, and linearised.

    exact      mean over firings of W_U [LN(x) − LN(x − a d)], x the stream before the final norm
    linear     (d ∘ w) W_U, w the norm's weight: the logit table that others show

Both are of the direct path alone. How far they agree is a property of the firings.

How far a firing acts on the logits directly and how far through later layers, at its own
position.

    Δ_total = Δ_direct + Δ_indirect        both with the final norm's divisor as it was

Δ_direct is the image of the firing itself, Δ_indirect that of what later layers make of it. That
the divisor changes too is a third term, Δ_norm: the exact difference of the logits is Δ_total +
Δ_norm. All are centred over the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import spliced_run
from assay.dictionaries.measuring.splice import Passage
from assay.features.effects import directions, extremes
from assay.features.importance import check_direct
from assay.features.live.ablation import BATCH
from assay.features.live.reader import Firings, Reader, Reading
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import Norm, direct_share, final_norm, signed_share
from assay.subjects.site import Site


@dataclass(frozen=True, eq=False)
class Unembedding:
    """The way from the stream to the logits: norm, gain and matrix. A LayerNorm's bias is left out:
    it cancels in differences."""

    W_U: Float[torch.Tensor, "v d"]
    gain: Float[torch.Tensor, " d"]
    norm: Norm | None
    """Without one, parts act on the logits as they are."""

    @classmethod
    def of(cls, subject: Pretrained) -> Unembedding:
        """That of a model. Raises: ModelError where its norm is neither LayerNorm nor RMSNorm."""
        return cls(
            subject.model.get_output_embeddings().weight.detach().float(),
            subject.gain,
            final_norm(subject),
        )

    def exact(
        self, part: Float[torch.Tensor, "n d"], x: Float[torch.Tensor, "n d"]
    ) -> Float[torch.Tensor, "n v"]:
        """Logits of the stream x less those without the part, centred.

        Formula: W_U [N(x) − N(x − part)], less its mean over the vocabulary
        """
        return self.centred(part if self.norm is None else self.norm.exact(part, x))

    def frozen(
        self, part: Float[torch.Tensor, "n d"], x: Float[torch.Tensor, "n d"]
    ) -> Float[torch.Tensor, "n v"]:
        """That difference with the norm's divisor held at that of x, centred.

        Formula: W_U Γ P part / σ(x), less its mean over the vocabulary
        """
        return self.centred(part if self.norm is None else self.norm.frozen(part, x))

    def linear(self, rows: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n v"]:
        """Logits of directions without the norm's division, not centred.

        Formula: W_U Γ P row
        """
        return ((rows if self.norm is None else self.norm.project(rows)) * self.gain) @ self.W_U.T

    def centred(self, e: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n v"]:
        """Logits of what the norm gives before its gain, less their mean over the vocabulary, which
        softmax ignores."""
        logits = (e * self.gain) @ self.W_U.T
        return logits - logits.mean(-1, keepdim=True)


LOGIT_CHUNK = 32
"""Firings whose logits are held at once."""


@dataclass(frozen=True, eq=False)
class Promoted:
    """What a feature does to the next token's logits along the direct path, at some firings."""

    feature: int
    firings: int
    exact: Float[np.ndarray, " v"]
    """Centred logits with the feature less those without it, mean over the firings."""
    linear: Float[np.ndarray, " v"]
    """Centred logits of one unit of it, without the norm's division."""
    cosine: float
    """Between the two."""
    overlap: tuple[float, float]
    """Share of the ten most promoted tokens that both have, and of the ten most suppressed."""


def promoted(reader: Reader, feature: int, firings: Sequence[tuple[Reading, Firings]]) -> Promoted:
    """Find the tokens that a feature promotes at these firings, exactly and linearised. No pass of
    the model: the readings have it.

    Firings of other features among them are passed over. One product with the unembedding for each
    firing.

    Raises: DataError where the feature does not fire; ModelError for a site outside the residual
    stream."""
    check_direct(reader.target)
    unembedding = Unembedding.of(reader.subject)
    total, n = (
        torch.zeros(len(unembedding.W_U), dtype=torch.float64, device=reader.subject.device),
        0,
    )
    for reading, some in firings:
        feature_firings = some.of(feature)
        for a in range(0, len(feature_firings), LOGIT_CHUNK):
            chunk = feature_firings[slice(a, a + LOGIT_CHUNK)]
            x = reading.stream.float()[torch.from_numpy(chunk.position).to(total.device)]
            total += unembedding.exact(reader.parts(reading, chunk), x).double().sum(0)
        n += len(feature_firings)
    if not n:
        raise DataError(f"feature {feature} does not fire here; give firings of it")
    exact = (total / n).cpu().numpy()
    linear = unembedding.linear(directions(reader.dictionary, [feature]))[0].double().cpu().numpy()
    linear -= linear.mean()
    return Promoted(feature, n, exact, linear, _cosine(exact, linear), _overlap(exact, linear))


def _cosine(a: Float[np.ndarray, " v"], b: Float[np.ndarray, " v"]) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else float("nan")


def _overlap(a: Float[np.ndarray, " v"], b: Float[np.ndarray, " v"]) -> tuple[float, float]:
    """How many of the ten most promoted, and of the most suppressed, are in both lists, as
    shares."""
    count = min(10, len(a))
    ids = extremes(np.stack([a, b]), count)[0]
    first, second = (len(np.intersect1d(ids[0, s], ids[1, s])) / count for s in (0, 1))
    return first, second


@dataclass(frozen=True, eq=False)
class Paths:
    """The effects of some firings on the logits at their own positions, by path."""

    firings: Firings
    share: Float[np.ndarray, " n"]
    """E_dir = ‖Δ_direct‖² / (‖Δ_direct‖² + ‖Δ_indirect‖²), 0 to 1; 1/2 where later layers cancel
    the direct effect."""
    signed: Float[np.ndarray, " n"]
    """⟨Δ_direct, Δ_total⟩ / ‖Δ_total‖², of any size; NaN where Δ_total nearly vanishes."""
    cosine: Float[np.ndarray, " n"]
    """Between Δ_direct and Δ_indirect; NaN where one of them is 0."""
    total: Float[np.ndarray, " n"]
    """‖Δ_total‖, in logits."""
    direct: Float[np.ndarray, " n"]
    """‖Δ_direct‖."""
    indirect: Float[np.ndarray, " n"]
    """‖Δ_indirect‖."""
    norm: Float[np.ndarray, " n"]
    """‖Δ_norm‖, what the norm's divisor answers."""
    on_next: Float[np.ndarray, "n path"]
    """Δ_direct, Δ_indirect, Δ_norm of the next token's centred logit; above 0 raises it. NaN at the
    last token."""


def split_paths(reader: Reader, reading: Reading, firings: Firings) -> Paths:
    """Split what each firing does to the logits at its own position into its direct and its
    indirect path.

    One pass from the dictionary's block on over the text up to each firing, and three products with
    the unembedding. Effects on later positions are not in it.

    Raises: ModelError for a site outside the residual stream.
    """
    check_direct(reader.target)
    unembedding = Unembedding.of(reader.subject)
    step = min(LOGIT_CHUNK, max(1, BATCH // len(reading)))
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
    lengths = [torch.linalg.vector_norm(d, dim=-1) for d in (total, direct, indirect, answer)]
    cosine = torch.linalg.vecdot(direct, indirect) / (lengths[1] * lengths[2])
    values = (direct_share(direct, total), signed_share(direct, total), cosine, *lengths, on_next)
    return tuple(v.double().cpu().numpy() for v in values)
