"""OV and QK tables: what heads do with every token or position, read from the weights alone;
through other heads too.

A source is what a head reads: the embedding of each token, or of each position, as it is or moved
on by the values and outputs of earlier heads. Gains of norms, and the mean that LayerNorm takes
off, are folded in; divisors, which inputs decide, and biases are left out.

Where heads look, in five numbers: how much attention goes to places that are known to matter in
small models.

Each is a share of attention, and beside it stands the share that a head would give which looks
everywhere alike. A head that looks at the token before does so whether or not anything comes of it:
these numbers say where to ask, and prove nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float, Int

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import Params, rotated
from assay_catalogue.circuits.find.terms import folded
from assay_catalogue.subjects.parts import Part, Reader, Slot, parts

Kind = Literal["embed", "pos"]


def written_table(
    params: Params, kind: Kind = "embed", through: Sequence[Part] = ()
) -> Float[torch.Tensor, "run n d"]:
    """Give what every token or position writes to the stream, moved on by heads one after another.

    Raises: ModelError for heads that are not there or not one after another, and for positions that
    are not learned."""
    all_parts = parts(params)
    if absent := [p for p in (Part(kind), *through) if p not in all_parts]:
        raise ModelError(
            f"this decoder has no part {absent[0]}; it has {', '.join(map(str, all_parts))}"
        )
    # Heads of one block read the same stream, so none of them moves on what another wrote.
    layers = [p.layer for p in through]
    if any(p.kind != "head" for p in through) or layers != sorted(set(layers)):
        raise ModelError(
            "values pass through heads of later and later blocks, not through "
            f"{', '.join(map(str, through))}"
        )
    x = params["W_E"] if kind == "embed" else params["W_pos"]
    for p in through:
        # Each head reads through its own norm, which is folded in anew.
        read = folded(params, x, Reader("head", p.layer, p.head, "v"))
        x = read @ params["W_QKV"][:, p.layer, :, 2, p.head] @ params["W_O"][:, p.layer, p.head]
    return x


def ov_table(params: Params, *heads: Part, kind: Kind = "embed") -> Float[torch.Tensor, "run n v"]:
    """Give what attending to each token, or position, adds to each logit through these heads one
    after another; none: the direct path.

    Formula: W_E W_V W_O … W_U
    Raises: ModelError as `written_table`.
    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
    """
    unembed = params["W_U"] if "W_U" in params else params["W_E"].mT
    return folded(params, written_table(params, kind, heads), Reader("logits")) @ unembed


def qk_table(
    params: Params,
    head: Part,
    query: tuple[Kind, Sequence[Part]] = ("embed", ()),
    key: tuple[Kind, Sequence[Part]] = ("embed", ()),
    distance: int = 0,
) -> Float[torch.Tensor, "run n m"]:
    """Give a head's score of every key for every query, each a token's or position's writing moved
    on by earlier heads.

    Formula: (x W_Q) · (y W_K) / √d_head; with rotated queries and keys at that many places from
    query back to key
    Raises: ModelError as `written_table`, and where what is moved on is not there before the head
    reads."""
    slots: tuple[Slot, ...] = ("q", "k")
    sides = []
    for i, (slot, (kind, through)) in enumerate(zip(slots, (query, key), strict=True)):
        if (
            head not in parts(params)
            or head.kind != "head"
            or any(p.layer >= head.layer for p in through)
        ):
            raise ModelError(
                f"{head} is not a head that reads what {', '.join(map(str, through)) or kind} wrote"
            )
        reader = Reader("head", head.layer, head.head, slot)
        read = folded(params, written_table(params, kind, through), reader)
        sides.append(read @ params["W_QKV"][:, head.layer, :, i, head.head])
    # A score of turned vectors depends on their distance alone. So the key stays at position 0,
    # where nothing is turned, and the query goes to position `distance`: the last of distance + 1
    # copies.
    if "W_pos" not in params:
        sides[0] = rotated(sides[0][..., None, :].expand(*sides[0].shape[:-1], distance + 1, -1))[
            ..., -1, :
        ]
    return sides[0] @ sides[1].mT / sides[0].shape[-1] ** 0.5


def copying(table: Float[torch.Tensor, "run n v"]) -> Float[torch.Tensor, " run"]:
    """Give the share of rows whose own column is the largest: whether a head copies what it reads,
    or attends to what is alike.

    Range: 0 to 1
    Source: the copying score of Wang et al. 2022 (arXiv 2211.00593), here of the argmax over all
    tokens of a table of weights."""
    # A decoder may have fewer answers than tokens; rows without a column of their own are left out.
    n = min(table.shape[1:])
    return (table[:, :n].argmax(-1) == torch.arange(n, device=table.device)).double().mean(-1)


NAMES = ("itself", "first", "before", "same token", "after the same")


@dataclass(frozen=True)
class Look:
    """How much of a head's attention goes to places of one kind; NaN where no query has one."""

    kind: str
    share: float
    alike: float
    """What a head gives them that looks alike at all it sees."""


def looks(
    pattern: Float[torch.Tensor, "b s s"], tokens: Int[torch.Tensor, "b s"]
) -> tuple[Look, ...]:
    """Measure one head's attention on some inputs, averaged over the queries that see such a place.

    "same token" is an earlier place with the token of the query, "after the same" a place right
    behind one.

    Source: Elhage et al. 2021 (previous-token and induction heads); TransformerLens's head
    detector, there over all queries."""
    results = []
    everywhere = torch.ones(pattern.shape[-2:], dtype=torch.bool).tril().to(pattern)
    # A query sees itself and what is before it: 1/(q + 1) each.
    uniform = (everywhere / everywhere.sum(-1, keepdim=True)).expand_as(pattern)
    for kind, places in zip(NAMES, _places(tokens), strict=True):
        # Queries that see no such place would count 0 and make heads look idle on inputs without
        # repeats.
        asks = places.any(-1)
        share, by_chance = ((x * places).sum(-1)[asks].double().mean() for x in (pattern, uniform))
        results.append(Look(kind, float(share), float(by_chance)))
    return tuple(results)


def _places(tokens: Int[torch.Tensor, "b s"]) -> list[Bool[torch.Tensor, "b s s"]]:
    """Of each kind, which keys are meant, for each query; never later ones."""
    n, s = tokens.shape
    q, k = torch.arange(s)[:, None], torch.arange(s)[None]
    same = tokens[:, :, None] == tokens[:, None]
    behind = torch.zeros_like(same)
    # Key k where k − 1 has the query's token. k may be the query itself: two equal tokens in a row.
    behind[:, :, 1:] = same[:, :, :-1] & (k[:, 1:] <= q)
    fixed = (x.expand(n, s, s) for x in (k == q, (k == 0) & (q > 0), k == q - 1))
    return [*fixed, same & (k < q), behind]
