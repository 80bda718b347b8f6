"""Activation patching: what the number loses when one part, at one position, is given the other
writing, for all parts and positions.

With `restored` the other way round: what it regains when one is given back to a pass that reads the
donor's inputs."""

from __future__ import annotations

from jaxtyping import Float

from assay.circuits.find.cutting import ROWS, without_parts
from assay.circuits.find.question import Question
from assay.core.heavy import torch


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
