"""Where heads look, in five numbers: how much attention goes to places that are known to matter in
small models.

Each is a share of attention, and next to it is the share that a head would give which looks
everywhere alike. A head that looks at the token before does so whether or not anything comes of it:
these numbers say where to ask, and prove nothing."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch

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
