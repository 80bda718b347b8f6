"""Cutting: what is left of the number when edges, or parts at positions, are given the other
writing; many cuts in one pass.

Every method that acts on a decoder is a list of cuts: one edge at a time, two at once, all edges
outside of a circuit. A row of a pass is one input under one cut.

Activation patching: what the number loses when one part, at one position, is given the other
writing, for all parts and positions.

With `restored` the other way round: what it regains when one is given back to a pass that reads the
donor's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jaxtyping import Bool, Float

from assay.core.heavy import torch
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.subjects.parts import Apart, Part, Written, run_by_parts

ROWS = 1024
"""Most rows of one pass, so that memory does not grow with the cuts."""


def without_edges(
    q: Question,
    cuts: Bool[torch.Tensor, "cut edge"] | Bool[torch.Tensor, "run cut edge"],
    rows: int = ROWS,
) -> Float[torch.Tensor, "run cut b"]:
    """Give the number under each cut: readers of the edges marked are shown the donor's writing,
    and all else follows from that."""
    cuts = cuts.expand(len(q.params["W_E"]), *cuts.shape[-2:])

    def passed(some: Bool[torch.Tensor, "run cut edge"]) -> Apart:
        read = {
            edge: _swapped(q, edge[0], some[..., i], False)
            for i, edge in enumerate(q.edges)
            # An edge that no cut of this pass touches is left to the model: each one that is
            # replaced costs arrays of the stream's size.
            if bool(some[..., i].any())
        }
        return run_by_parts(q.params, q.tokens.repeat(some.shape[1], 1), q.activation, read=read)

    return torch.cat(list(_measured(q, cuts, passed, rows)), 1)


def without_parts(
    q: Question,
    cuts: Bool[torch.Tensor, "cut part s"] | Bool[torch.Tensor, "run cut part s"],
    *,
    restored: bool = False,
    rows: int = ROWS,
) -> Float[torch.Tensor, "run cut b"]:
    """Give the number with the donor's writing in place of each part's at the positions marked.

    `restored`: the other way round. Embedding and positions are the donor's, so that all follows
    from them, and where it is marked a part writes what it wrote on the inputs themselves.
    """
    cuts = cuts.expand(len(q.params["W_E"]), *cuts.shape[-3:])

    def passed(some: Bool[torch.Tensor, "run cut part s"]) -> Apart:
        inputs = ("embed", "pos")
        acting = [
            (i, part)
            for i, part in enumerate(q.parts)
            # Restored, embedding and positions act even where nothing is marked: they are the
            # donor's by default.
            if bool(some[..., i, :].any()) or (restored and part.kind in inputs)
        ]
        written: dict[Part, Written] = {}
        for i, part in acting:
            written[part] = _swapped(q, part, some[..., i, :], restored)
        return run_by_parts(
            q.params, q.tokens.repeat(some.shape[1], 1), q.activation, written=written
        )

    return torch.cat(list(_measured(q, cuts, passed, rows)), 1)


def _swapped(
    q: Question,
    part: Part,
    marked: Bool[torch.Tensor, "run cut"] | Bool[torch.Tensor, "run cut s"],
    restored: bool,
) -> Written:
    """What one part writes under each cut: the other writing where it is marked; restored, its own
    there and the donor's inputs elsewhere."""
    cuts = marked.shape[1]
    # Rows go cut by cut, all inputs under the first: repeat_interleave for what belongs to a cut,
    # repeat for what belongs to an input. Mixed up, shapes would still fit.
    mask = marked.repeat_interleave(len(q.tokens), 1)[..., None]
    # Marks of edges have no axis of positions.
    mask = mask if mask.ndim == 4 else mask[..., None]

    def written(x: Float[torch.Tensor, "run n s d"]) -> Float[torch.Tensor, "run n s d"]:
        donor = q.donor[part].repeat(1, cuts, 1, 1)
        if not restored:
            return torch.where(mask, donor, x)
        # Later parts write x, what follows from the donor's inputs in this very pass.
        return torch.where(
            mask, q.clean.wrote[part].repeat(1, cuts, 1, 1), donor if part.layer < 0 else x
        )

    return written


def _measured(
    q: Question, cuts: torch.Tensor, passed: Callable[[torch.Tensor], Apart], rows: int
) -> Iterator[Float[torch.Tensor, "run cut b"]]:
    """The number under some cuts at a time."""
    with torch.no_grad():
        for some in cuts.split(max(1, rows // len(q.tokens)), 1):
            yield q.measured(passed(some).logits).unflatten(1, (some.shape[1], len(q.tokens)))


def grid(
    q: Question, *, restored: bool = False, rows: int = ROWS
) -> Float[torch.Tensor, "run b part s"]:
    """Give the effect of each part at each position on the number of each input, all cells batched.

    Formula: m(clean) − m(clean, part at s from the donor); restored: m(donor's inputs, part at s as
    it was) − m(donor's inputs)
    Source: Vig et al. 2020 (causal mediation); Meng et al. 2022 (restored); Zhang and Nanda 2024
    (arXiv 2309.16042), on which to use."""
    cells = len(q.parts) * q.tokens.shape[1]
    # One cut per cell: a row of the identity, folded into [part, position].
    cuts = torch.eye(cells, dtype=torch.bool, device=q.tokens.device).view(cells, len(q.parts), -1)
    numbers = without_parts(q, cuts, restored=restored, rows=rows)
    if restored:
        # Nothing restored is a pass on the donor's inputs, which is not q.empty: there every part
        # is replaced, and a donor need not be what such inputs lead to.
        effect = numbers - without_parts(q, torch.zeros_like(cuts[:1]), restored=True)
    else:
        effect = q.full[:, None] - numbers
    return effect.transpose(1, 2).unflatten(2, (len(q.parts), -1))


def effects(q: Question, rows: int = ROWS) -> Float[torch.Tensor, "run b part"]:
    """Give what the number of each input loses when one part has the other writing at all
    positions."""
    n = len(q.parts)
    cuts = torch.eye(n, dtype=torch.bool, device=q.tokens.device)[..., None].expand(
        n, n, q.tokens.shape[1]
    )
    return (q.full[:, None] - without_parts(q, cuts, rows=rows)).transpose(1, 2)
