"""Logistic regressions by the hundred: many yes-or-no questions and every strength of penalty,
fitted at once from inner products.

With fewer examples than dimensions a regression with an L2 penalty is a combination of its training
rows, so that all it needs of the inputs is the matrix of their inner products. Activations,
features, principal components and counts of tokens then cost the same, and n is at most a few
dozen. What is tuned is tuned on validation rows, by AUROC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch

STRENGTHS = tuple(10.0**e for e in range(-4, 3))
"""Values of C, the inverse of the L2 penalty, among which every probe's is chosen, the strongest
penalty first."""
CONSTANT = 100.0
"""The constant column that stands for the intercept, so large that its penalty does not count."""
STEPS = 25


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


def logistic(
    k: Float[torch.Tensor, "p n n"],
    yes: Bool[torch.Tensor, "p n"],
    strengths: Sequence[float] = STRENGTHS,
    steps: int = STEPS,
) -> Float[torch.Tensor, "p s n"]:
    """The weights a of the training rows in the score Σ a_i (k(x, x_i) + constant²), for each
    question and strength.

    Newton's method on the dual; a step that does not raise the objective is shortened. Each
    strength starts where the one before ended, so that the strongest penalty, which is solved at
    once, should come first.

    Formula: the maximum over a of −½ aᵀKa − C Σ log(1 + exp(−t_i (Ka)_i)), t = ±1
    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 3.1
    """
    kernel = k.double() + CONSTANT**2
    t = 2 * yes.double() - 1
    a = torch.zeros_like(t)
    weights = []
    for c in strengths:
        a = _solved(kernel, t, c, a, steps)
        weights.append(a)
    return torch.stack(weights, 1)


def _solved(
    kernel: Float[torch.Tensor, "p n n"],
    t: Float[torch.Tensor, "p n"],
    c: float,
    a: Float[torch.Tensor, "p n"],
    steps: int,
) -> Float[torch.Tensor, "p n"]:
    """The weights at one strength, from a start."""
    eye, shorter = torch.eye(t.shape[1], dtype=torch.float64, device=t.device), (0.5, 0.2, 0.05)
    f = (kernel @ a[..., None])[..., 0]

    def objective(a: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        return -0.5 * (a * f).sum(-1) - c * torch.nn.functional.softplus(-t * f).sum(-1)

    best = objective(a, f)
    for _ in range(steps):
        share = torch.sigmoid(-t * f)  # of the weight that is left to be explained
        w = (c * share * (1 - share)).clamp_min(1e-12)
        root = w.sqrt()
        b = w * f + c * t * share
        inner = eye + root[:, :, None] * kernel * root[:, None, :]
        right = (root * (kernel @ b[..., None])[..., 0])[..., None]
        solved = torch.cholesky_solve(right, torch.linalg.cholesky_ex(inner)[0])[..., 0]
        target = b - root * solved
        step_a, step_f = target - a, (kernel @ target[..., None])[..., 0] - f
        gain, size = objective(target, f + step_f), torch.ones_like(best)
        if bool((gain <= best).any()):
            tried = torch.stack(
                [gain, *(objective(a + by * step_a, f + by * step_f) for by in shorter)]
            )
            gain, which = tried.max(0)
            size = torch.where(
                gain > best,
                torch.tensor([1.0, *shorter], dtype=torch.float64, device=t.device)[which],
                0.0,
            )
        a, f = a + size[:, None] * step_a, f + size[:, None] * step_f
        moved = (gain - best).clamp_min(0)
        best = torch.maximum(best, gain)
        if bool((moved <= 1e-9 * (1 + best.abs())).all()):
            break
    return a


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


_CACHED = 2**18
"""Numbers in the matrices that are solved at once: about as many as a core's cache holds."""


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
