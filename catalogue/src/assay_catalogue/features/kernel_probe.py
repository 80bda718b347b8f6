"""Probes for many yes-or-no questions at once, tuned on validation rows by AUROC, from inner
products of their rows: activations, features, principal components and counts of tokens cost the
same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.features.kernel_probe import CONSTANT, STRENGTHS, logistic

_CACHED = 2**18
"""Numbers in the matrices that are solved at once: about as many as a core's cache holds."""


def auc(
    score: Float[torch.Tensor, "*p m"], label: Bool[torch.Tensor, "*p m"]
) -> Float[torch.Tensor, "*p"]:
    """Chance that a row with the answer yes scores higher than one with no, for many rankings at
    once.

    Formula: (#{yes above no} + ½ #{ties}) / (#yes · #no)
    Range: 0 to 1; ½ is guessing; NaN without a yes or without a no
    Better: higher
    """
    order = score.sort(-1)
    values = order.values.contiguous()
    below, upto = (
        torch.searchsorted(values, score.contiguous()),
        torch.searchsorted(values, score.contiguous(), right=True),
    )
    rank = (below + upto + 1).double() / 2  # the mean rank of what is tied, from 1
    yes, no = label.sum(-1).double(), (~label).sum(-1).double()
    return ((rank * label).sum(-1) - yes * (yes + 1) / 2) / (yes * no)


@dataclass(frozen=True, eq=False)
class Questions:
    """Rows of several questions, and which of them are for what; index arrays have one row for each
    question."""

    label: Bool[torch.Tensor, "q row"]
    """The true answers."""
    told: Bool[torch.Tensor, "q row"]
    """The answers that probes are trained and tuned on: some may be wrong."""
    train: Int[torch.Tensor, "q n"]
    validation: Int[torch.Tensor, "q v"]
    tests: tuple[Int[torch.Tensor, "q m"], ...]
    """The parts on which probes are judged."""

    def of(self, x: torch.Tensor, rows: Int[torch.Tensor, "q n"]) -> torch.Tensor:
        """These rows of each question."""
        return torch.stack([block[index] for block, index in zip(x, rows, strict=True)])


@dataclass(frozen=True, eq=False)
class Tuned:
    """What the setting with the best validation AUROC reaches, for each question."""

    validation: Float[torch.Tensor, " q"]
    tests: Float[torch.Tensor, "part q"]


def standardised(
    x: Float[torch.Tensor, "q row d"], train: Float[torch.Tensor, "q n d"]
) -> Float[torch.Tensor, "q row d"]:
    """Each column less its training mean over its training deviation; a column that does not vary
    there is 0."""
    spread = train.std(1, keepdim=True, correction=0)
    scale = torch.where(spread > 1e-6 * spread.amax(-1, keepdim=True), 1 / spread, 0.0)
    return (x - train.mean(1, keepdim=True)) * scale


def best(scores: Float[torch.Tensor, "setting q row"], q: Questions) -> Tuned:
    """Each question's setting with the best validation AUROC, the first of equals, and what it
    reaches on the test parts."""
    aucs = auc(
        _select(scores, q.validation), _select(q.told, q.validation).expand(len(scores), -1, -1)
    )
    value, which = aucs.max(0)
    which = (aucs == value).double().argmax(0)
    best_scores = scores[which, torch.arange(scores.shape[1], device=scores.device)]
    return Tuned(
        value,
        torch.stack([auc(_select(best_scores, rows), _select(q.label, rows)) for rows in q.tests]),
    )


def _select(x: torch.Tensor, rows: Int[torch.Tensor, "q m"]) -> torch.Tensor:
    """x [*, q, row] at the rows of each question."""
    return x.gather(-1, rows.expand(*x.shape[:-1], -1))


def products(x: Float[torch.Tensor, "q row d"], q: Questions) -> Float[torch.Tensor, "q row n"]:
    """Inner products of all rows with the training rows."""
    return x @ q.of(x, q.train).mT


def prepared(x: Float[torch.Tensor, "q row d"], q: Questions) -> Float[torch.Tensor, "q row d"]:
    """The rows on the scale of the training rows."""
    return standardised(x, q.of(x, q.train))


def all_regression_scores(
    ks: Sequence[Float[torch.Tensor, "q row n"]],
    q: Questions,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Float[torch.Tensor, "s q row"]]:
    """The scores by every kind of inner products of the same rows, all regressions solved at
    once."""
    kernel, target = (
        torch.cat([q.of(k, q.train) for k in ks]).double(),
        _select(q.told, q.train).repeat(len(ks), 1),
    )
    at_once = max(1, _CACHED // kernel.shape[-1] ** 2)
    solved = [
        logistic(*part, strengths)
        for part in zip(kernel.split(at_once), target.split(at_once), strict=True)
    ]
    a = torch.cat(solved).unflatten(0, (len(ks), -1))
    return [
        torch.einsum("qrn,qsn->sqr", k.double() + CONSTANT**2, weights)
        for k, weights in zip(ks, a, strict=True)
    ]


def mean_scores(k: Float[torch.Tensor, "q row n"], q: Questions) -> Float[torch.Tensor, "1 q row"]:
    """The scores by the difference of the two classes' training means."""
    yes = _select(q.told, q.train).double()
    weight = yes / yes.sum(-1, keepdim=True) - (1 - yes) / (1 - yes).sum(-1, keepdim=True)
    return torch.einsum("qrn,qn->qr", k.double(), weight)[None]


def top_features(
    f: Float[torch.Tensor, "q row f"], q: Questions, k: int
) -> Int[torch.Tensor, "q k"]:
    """The k features whose means differ most between yes and no on the training rows, in deviations
    of each, most different first.

    Formula: the k largest |mean(f_i | yes) − mean(f_i | no)| / std(f_i)
    """
    rows, yes = q.of(f, q.train), _select(q.told, q.train)[..., None].to(f.dtype)
    off = (rows * yes).sum(1) / yes.sum(1) - (rows * (1 - yes)).sum(1) / (1 - yes).sum(1)
    spread = rows.std(1, correction=0)
    scale = torch.where(spread > 1e-6 * spread.amax(-1, keepdim=True), 1 / spread, 0.0)
    return (off.abs() * scale).argsort(dim=-1, descending=True, stable=True)[:, :k]


def chosen(
    f: Float[torch.Tensor, "q row f"], which: Int[torch.Tensor, "q k"]
) -> Float[torch.Tensor, "q row k"]:
    """The columns of the chosen features."""
    return f.gather(-1, which[:, None].expand(-1, f.shape[1], -1))
