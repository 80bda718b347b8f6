"""Distributed alignment search: train a direction or a subspace at a site so that the model gives
the answer to a pair's other text if only this part is patched from that text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure.bases import basis
from assay.ask.measure.pairs import pair_of
from assay.ask.measure.prompts import PromptRow, PromptSet
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Direction
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.train import rng

BATCH = 8
"""Pairs per step."""
ORDERS = 64
"""Number of orders of answers that are drawn for a shuffled training."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """What stays the same in every step of a training, for each pair of texts."""

    tokens: Int[torch.Tensor, "n s"]
    """The text and its answer, padded on the right."""
    answers: Sequence[Sequence[tuple[int, int]]]
    """The positions after which each token of the answer should follow."""
    at: Sequence[int]
    """The token that is patched."""
    others: Float[torch.Tensor, "n d"]
    """The activations of the site on the other text."""
    stream: Float[torch.Tensor, "n s d"] | None
    """The stream before the block of the site; None for a site before all blocks."""


def subspace(
    model: Pretrained,
    table: Direction,
    site: Site,
    shown: PromptSet,
    rows: Sequence[int],
    seed: int,
    *,
    shuffled: bool = False,
) -> Float[torch.Tensor, "k d"]:
    """Train a subspace by gradient descent (Adam, whose rate falls to 0), and give an orthonormal
    basis of it.

    Args:
        model: it stays as it is.
        table: what to train, in how many steps.
        site: where.
        shown: the pairs of texts.
        rows: from which of them is learned.
        seed: of the start and of the order of the pairs.
        shuffled: whether answers are those of other pairs, which carry no information.
    Formula: the loss is −log P(answer | x + Qᵀ Q (b − x)), with x and b what the site has on the
    two texts, and Q the basis
    Source: Geiger et al., Finding Alignments Between Interpretable Causal Variables and Distributed
    Neural Representations, 2023
    Raises: DataError where a pair does not fit, or there are fewer than two.
    """
    if len(rows) < 2:
        raise DataError(f"direction {table.name!r} is trained on pairs of texts, got {len(rows)}")
    draws, answers = np.array([seed]), [shown.rows[i].fill(table.das) for i in rows]
    if shuffled:
        answers = [answers[k] for k in _order(answers, draws)]
    pairs = _pairs(model, table, site, [shown.rows[i] for i in rows], answers, shown)
    start = rng.normal(draws, "ask.das.start", 0, (table.rank * pairs.others.shape[1],))[0]
    weights = torch.from_numpy(start).to(pairs.others).reshape(table.rank, -1)
    weights = (weights / weights.norm(dim=1, keepdim=True)).requires_grad_()
    descent = torch.optim.Adam([weights], lr=table.lr)
    count = min(BATCH, len(rows))
    epochs = -(-table.steps * count // len(rows))
    pair_order = [
        int(i) for e in range(epochs) for i in rng.permutation(draws, "ask.das", e, len(rows))[0]
    ]
    for step in range(table.steps):
        batch = pair_order[step * count : (step + 1) * count]
        with torch.enable_grad():
            loss = _loss(model, site, pairs, batch, basis(weights))
        (weights.grad,) = torch.autograd.grad(loss, [weights])
        descent.param_groups[0]["lr"] = table.lr * (1 - step / table.steps)
        descent.step()
    return basis(weights.detach())


def _order(answers: Sequence[str], draws: Int[np.ndarray, "1"]) -> list[int]:
    """Draw the order in which pairs exchange answers: of several orders the one in which as many
    pairs keep the text of their answer as expected by chance. With more it would learn the true
    direction, and with fewer its opposite."""
    counts, n = Counter(answers), len(answers)
    expected = sum(c * (c - 1) for c in counts.values()) / (n - 1)

    def off(order: Sequence[int]) -> float:
        unchanged = sum(answers[k] == answer for k, answer in zip(order, answers, strict=True))
        return abs(unchanged - expected)

    orders = [rng.permutation(draws, "ask.das.shuffled", k, n)[0].tolist() for k in range(ORDERS)]
    return min(orders, key=off)


def _pairs(
    model: Pretrained,
    table: Direction,
    site: Site,
    rows: Sequence[PromptRow],
    answers: Sequence[str],
    shown: PromptSet,
) -> Pairs:
    texts, targets, positions, others, streams = [], [], [], [], []
    stream_site = None if site.layer is None else Site("resid_pre", site.layer)
    for row, answer in zip(rows, answers, strict=True):
        p = prompt(model.folder, row)
        pair, wants = pair_of(p, table.position, shown), p.wants(p.behind(answer))
        texts.append([*p.tokens, *wants[-1].continuation])
        targets.append([(w.position, w.token) for w in wants])
        positions.append(p.at(table.position))
        others.append(pair.acts(model, p, [site], positions[-1:])[site][0].float())
    longest = max(map(len, texts))
    tokens = torch.tensor([[*t, *[0] * (longest - len(t))] for t in texts], device=model.device)
    if stream_site is not None:
        streams = [
            model.run(batch, capture=[stream_site], logits=False).acts[stream_site].clone()
            for batch in tokens.split(BATCH)
        ]
    stream = torch.cat(streams) if streams else None
    return Pairs(tokens, targets, positions, torch.stack(others), stream)


def _loss(
    model: Pretrained,
    site: Site,
    pairs: Pairs,
    rows: Sequence[int],
    along: Float[torch.Tensor, "k d"],
) -> Float[torch.Tensor, ""]:
    """The mean loss of the answers of a batch of pairs, patched along a basis."""
    each, places = [*range(len(rows))], [pairs.at[i] for i in rows]

    def patched(x: torch.Tensor) -> torch.Tensor:
        old, new = x[each, places], x.clone()
        change, basis = pairs.others[[*rows]].to(x) - old, along.to(x)
        new[each, places] = old + (change @ basis.T) @ basis
        return new

    start = None if pairs.stream is None else (site.layer or 0, pairs.stream[[*rows]])
    run = model.run(pairs.tokens[[*rows]], edits={site: patched}, start=start, gradients=True)
    assert run.final is not None
    targets = [(b, *answer_token) for b, i in enumerate(rows) for answer_token in pairs.answers[i]]
    logits = model.head(run.final[[b for b, _, _ in targets], [k for _, k, _ in targets]]).float()
    logs = logits.log_softmax(-1)[[*range(len(targets))], [token for _, _, token in targets]]
    return -logs.sum() / len(rows)
