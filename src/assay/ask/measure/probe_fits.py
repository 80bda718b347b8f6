"""Probe fits: how probes are learned from rows of activations, or from their replacements in
controls.

Nothing of a judged row is used while a probe is learned: columns are scaled by the learning half,
and the penalty is chosen within what a seed learns from, by folds of whole groups. Ridge and
logistic regressions are solved from inner products, so that inputs may have any number of
columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure import probe_networks
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.tables import Probe
from assay.core.across import auroc_by_unit
from assay.core.heavy import torch
from assay.features.kernel_probe import CONSTANT, STRENGTHS, logistic
from assay.features.linear_probe import INNER, correlations, folds, kernel_ridge
from assay.train import rng

RIDGES = tuple(10.0**e for e in range(-4, 2))
"""Penalties of a ridge, relative to the mean diagonal entry of its kernel."""
COLUMNS = 32
"""Principal components of the tokens that an attention probe reads."""
GROWING = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the training groups after each of which the online code trains a new probe."""
DECIMALS = 9
"""Decimals of a score that is ranked: what differs by rounding alone is equal."""
DEALS = 4
"""Number of shuffles of the labels in `permuted`, which are averaged: if one direction dominates, a
probe of shuffled labels is right nearly always or nearly never."""

Rows: TypeAlias = "list[torch.Tensor]"
"""The inputs of each point of the sweep: [row, d]; for an attention probe [row, token, d]."""
_Fit: TypeAlias = "Callable[[np.ndarray, np.ndarray], torch.Tensor]"
"""Training rows, judged rows → the scores of the latter, [setting, point, row, class]."""


class Learning:
    """The rows of an arm, or of one fold, their inputs, and the probes of each seed."""

    def __init__(
        self, task: ProbeTask, rows: Sequence[int], learned: Sequence[int], judged: Sequence[int]
    ) -> None:
        """Take the rows that are learned from and judged here; inputs have the rows that the arm
        learns from, followed by `rows`."""
        self.task, self.count, self.learned, self.judged = task, len(learned), learned, judged
        label = task.table.label
        self.labels = [*task.source.column(label, learned), *task.prompts.column(label, judged)]
        first = {row: i for i, row in enumerate(task.learned)}
        then = {row: i for i, row in enumerate(rows, len(task.learned))}
        self.at = [*(first[row] for row in learned), *(then[row] for row in judged)]
        self.columns = [then[row] - len(task.learned) for row in judged]
        if task.classes:
            self.index = np.array([task.classes.index(name) for name in self.labels])
            self.y = torch.eye(len(task.classes), dtype=torch.float64)[self.index]
        else:
            self.y = torch.tensor([[float(name)] for name in self.labels], dtype=torch.float64)
        self.order = task.kinds(self.labels)
        self.held = np.arange(self.count, len(self.labels))
        self.groups = np.array(task.source.groups(learned))

    def read(self, points: Sequence[Probe], inputs: Rows, lengths: Sequence[int]) -> None:
        """Take the inputs, standardised by the learning half; `lengths` are the tokens of each
        row."""
        self.points = points
        if self.task.table.kind == "attention":
            self._read_tokens([x[self.at] for x in inputs], [lengths[i] for i in self.at])
            return
        every = [x[self.at].cpu().double() for x in inputs]
        if self.task.table.kind == "mlp":
            self.x = [self._rotated(x) for x in every]
            return
        as_it_is = self.task.table.kind == "difference"
        self.x = every if as_it_is else [_scaled(x, x[: self.count]) for x in every]
        if self.task.table.kind != "sparse":
            self.kernels = torch.stack([x @ x.mT for x in self.x])

    def _rotated(self, x: torch.Tensor) -> Float[torch.Tensor, "row d"]:
        """Standardised columns on their first principal components in the learning half, with a
        mean square of 1."""
        z = _scaled(x, x[: self.count])
        _, sizes, vectors = torch.linalg.svd(z[: self.count], full_matrices=False)
        real = int((sizes > 1e-9 * sizes.amax()).sum().clamp(1, probe_networks.COLUMNS))
        vectors = vectors[:real].mT
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        whole = z @ (vectors * largest.sign())  # the sign of a component is arbitrary
        size = whole[: self.count].square().mean().sqrt()
        return whole / torch.where(size > 0, size, 1.0)

    def _read_tokens(self, inputs: Rows, lengths: Sequence[int]) -> None:
        """Take the inputs of tokens, on their principal components in the learning half."""
        places = np.arange(inputs[0].shape[1])
        self.mask = torch.from_numpy(places < np.array(lengths)[:, None])
        tokens = []
        for x in inputs:
            x = x.cpu().double()
            training_tokens = x[: self.count][self.mask[: self.count]]
            z = _scaled(training_tokens, training_tokens)
            values, vectors = torch.linalg.eigh(z.mT @ z / len(z))
            values, vectors = values[-COLUMNS:], vectors[:, -COLUMNS:]
            whole = _scaled(x, training_tokens) @ vectors
            whole = whole / values.clamp_min(1e-6 * float(values[-1])).sqrt()
            tokens.append(torch.where(self.mask[..., None], whole, 0.0))
        width = max(x.shape[-1] for x in tokens)
        self.tokens = torch.stack([_padded(x, width) for x in tokens])

    def majority(self, points: int) -> Float[torch.Tensor, "point row y"]:
        """The scores of a probe that reads nothing."""
        return self.y[: self.count].mean(0).expand(points, len(self.held), -1)

    def scores(
        self, seed: int, *, shuffled: bool = False, deal: int = 0, share: float = 1.0
    ) -> Float[torch.Tensor, "point row y"]:
        """The scores of the judged rows by the probes of a seed, which learn from two thirds of the
        learning half, from all other folds, or from a share of the groups of these; if `shuffled`,
        from uninformative labels, by the given deal."""
        task, train, y = self.task, self._train(seed), self.y.clone()
        if share < 1:
            names = np.unique(self.groups[train])
            order = rng.permutation(np.array([seed]), "ask.code", 0, len(names))[0]
            chosen_groups = names[order[: round(share * len(names))]]
            train = train[np.isin(self.groups[train], chosen_groups)]
        if shuffled:
            y[train] = self.y[shuffled_rows(self.order, train, self.groups[train], seed, deal)]
        if task.table.kind == "difference":
            return _nearest(self.kernels, y, train, self.held)
        fit, odds = self._way(y, seed)
        return self._tuned(fit, y, train, seed, odds=odds)

    def _train(self, seed: int) -> Int[np.ndarray, " n"]:
        """The rows that the probes of a seed learn from, counted from 0."""
        task, label, chosen = self.task, self.task.table.label, {*self.learned}
        if not task.table.folds:
            labelled = bool(task.classes)
            chosen = {*task.source.sample(self.learned, seed, labelled=labelled, label=label)}
        return np.array([k for k, row in enumerate(self.learned) if row in chosen])

    def _way(self, y: torch.Tensor, seed: int) -> tuple[_Fit, bool]:
        """How a probe of this kind is fitted to labels, and whether its scores are
        log-probabilities."""
        kind, labelled = self.task.table.kind, bool(self.task.classes)
        if kind == "attention":
            return partial(probe_networks.attention, self.tokens, self.mask, y), True
        if kind == "mlp":
            widths = [x.shape[1] for x in self.x]
            x = torch.stack([_padded(x, max(widths)) for x in self.x])
            return partial(probe_networks.mlp, x, widths, y, seed=seed, odds=labelled), labelled
        odds = kind == "logistic" or (kind == "sparse" and labelled)
        solve = _logistic if odds else _ridge
        if kind == "sparse":
            return lambda a, b: solve(self._sparse(y, a), y, a, b), odds
        return lambda a, b: solve(self.kernels, y, a, b), odds

    def code_length(
        self, seed: int, *, shuffled: bool, deal: int
    ) -> Float[np.ndarray, "point row"]:
        """The bits per label of the online code, in which each part of the training groups is
        encoded by a probe that has learned from all parts before it. The cost of a part is measured
        on the judged rows, which are as new to this probe as the part.

        Formula: s₁ log₂ K − Σ (s_{i+1} − s_i) log₂ p_i(y), p_i learned from the share s_i
        Source: Voita and Titov, Information-theoretic probing with minimum description length
            (2020)
        """
        count = len({*self.groups[self._train(seed)]})
        shares = [s for s in GROWING if round(s * count) >= 2]  # folds need two groups
        bits = np.full(1, shares[0] * np.log2(len(self.task.classes)))
        for share, then in itertools.pairwise([*shares, 1.0]):
            scores = self.scores(seed, shuffled=shuffled, deal=deal, share=share)
            right = (scores * self.y[self.count :]).sum(-1).numpy()
            bits = bits - (then - share) * right / np.log(2)
        return bits

    def _tuned(
        self, fit: _Fit, y: torch.Tensor, train: np.ndarray, seed: int, *, odds: bool
    ) -> Float[torch.Tensor, "point row y"]:
        """The scores of the judged rows with the penalty of the smallest loss in folds of whole
        groups of the training rows: squared error, or negative log-probability."""
        groups = self.groups[train]
        fold = folds(groups, min(INNER, len(np.unique(groups))), seed)
        losses = []
        for k in range(fold.max() + 1):
            judged = train[fold == k]
            scores, right = fit(train[fold != k], judged), y[judged]
            off = -(scores * right) if odds else (scores - right).square()
            losses.append(off.sum((2, 3)))
        best = torch.stack(losses).sum(0).argmin(0)
        return fit(train, self.held)[best, torch.arange(len(best))]

    def _sparse(self, y: torch.Tensor, train: np.ndarray) -> Float[torch.Tensor, "point row row"]:
        """Inner products of the features that correlate most with the label in the training
        rows."""
        kernels = []
        for point, x in zip(self.points, self.x, strict=True):
            best = (
                correlations(x[train], y[train])
                .amax(1)
                .argsort(descending=True, stable=True)[: point.k]
            )
            kernels.append(x[:, best] @ x[:, best].mT)
        return torch.stack(kernels)

    def measured(
        self, scores: Float[torch.Tensor, "point row y"]
    ) -> dict[str, Float[np.ndarray, "point row"]]:
        """The measures of each judged row."""
        y, optional = self.y[self.count :], self.task.asked
        if not self.task.classes:
            off = (y[None] - scores)[..., 0].numpy()
            every = self.task.prompts.column(self.task.table.label, self.task.rows)
            mean = float(np.mean([*map(float, every)])) if self.task.table.folds else y.mean(0)
            spread = (y - mean)[:, 0].square().numpy()
            return {
                "error": off**2,
                "variance": np.broadcast_to(spread, off.shape),
                **({"mae": np.abs(off)} if "mae" in optional else {}),
                **({"rmse": self._root(off**2)} if "rmse" in optional else {}),
            }
        index = self.index[self.count :]
        right = (scores.argmax(-1).numpy() == index).astype(float)
        counts = np.bincount(index, minlength=y.shape[1])
        weight = len(index) / ((counts > 0).sum() * counts[index])
        true_score = (scores * y).sum(-1)
        other = scores.masked_fill(y.bool(), -torch.inf).amax(-1)
        return {
            "accuracy": right,
            "balanced_accuracy": right * weight,
            **({"auroc": self._areas(scores)} if "auroc" in optional else {}),
            **({"f1": self._f1(scores)} if "f1" in optional else {}),
            "margin": (true_score - other).numpy(),
            "log_prob": true_score.numpy(),
        }

    def _areas(self, scores: Float[torch.Tensor, "point row y"]) -> Float[np.ndarray, "point row"]:
        """The AUROC of each label against the others, averaged over labels, of the rows that are
        judged together: with folds, those of one fold."""
        index = self.index[self.count :]
        size = scores.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)
        scores = (scores / size).round(decimals=DECIMALS)
        areas = [
            [auroc_by_unit(point[:, c].numpy(), index == c) for point in scores]
            for c in range(scores.shape[-1])
        ]
        a = np.mean(areas, 0)
        return self._of_all(area := a.mean(1, keepdims=True), a - area)

    def _f1(self, scores: Float[torch.Tensor, "point row y"]) -> Float[np.ndarray, "point row"]:
        """The mean over labels of F1 = 2 hits / (guesses + rows of the label)."""
        guess = torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).numpy()
        true = self.y[self.count :].numpy()
        hits, size = 2.0 * guess * true, guess + true
        every = np.maximum(size.sum(1, keepdims=True), 1)
        f1 = hits.sum(1, keepdims=True) / every
        parts = size.shape[1] * (hits - f1 * size) / every
        return self._of_all(f1.mean(-1), parts.mean(-1))

    def _root(self, squares: Float[np.ndarray, "point row"]) -> Float[np.ndarray, "point row"]:
        mean = squares.mean(1, keepdims=True)
        root = np.sqrt(mean)
        return self._of_all(root, (squares - mean) / np.where(root > 0, 2 * root, 1.0))

    def _of_all(
        self, whole: Float[np.ndarray, "point 1"], parts: Float[np.ndarray, "point row"]
    ) -> Float[np.ndarray, "point row"]:
        """A number of all judged rows, distributed over the rows so that it is the mean over units
        of any sizes; `parts` are the first-order contributions of the rows, and 0 on average.

        Formula: A + (n_u U / N) a of a row, n_u the rows of its unit, U the units, N the rows
        Source: Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 53
            (1997), for the AUROC
        """
        units = np.unique(self.task.units(self.judged), return_inverse=True)[1]
        sizes = np.bincount(units)
        return whole + sizes[units] * len(sizes) / len(units) * parts


def _padded(x: Float[torch.Tensor, "... d"], width: int) -> Float[torch.Tensor, "... width"]:
    return torch.nn.functional.pad(x, (0, width - x.shape[-1]))


def _scaled(
    x: Float[torch.Tensor, "... d"], reference: Float[torch.Tensor, "row d"]
) -> Float[torch.Tensor, "... d"]:
    """Columns minus their mean, divided by their deviation in reference rows; 0 if they do not vary
    there."""
    scale = reference.std(0, correction=0)
    scale = torch.where(scale > 1e-9 * scale.amax(), scale, torch.inf)
    return (x - reference.mean(0)) / scale


def shuffled_rows(
    label: Int[np.ndarray, " row"], train: np.ndarray, groups: np.ndarray, seed: int, deal: int
) -> Int[np.ndarray, " n"]:
    """Whose label each training row gets, so that labels are uninformative: rows of one label get
    all labels in proportion, as near as whole numbers allow, so that no share of the truth of
    either sign remains. If every group has one label, groups exchange labels."""
    names, first, index = np.unique(groups, return_index=True, return_inverse=True)
    if any(len(set(label[train][index == g])) > 1 for g in range(len(names))):
        first, index = np.arange(len(train)), np.arange(len(train))
    labels = label[train][first]
    order = rng.permutation(np.array([seed]), "ask.permuted", deal, len(first))[0]
    kinds = np.unique(labels)
    # labels to be dealt out
    piles = [[int(i) for i in order if labels[i] == kind] for kind in kinds]
    from_whom = np.empty(len(first), dtype=np.int64)
    # where shares are no whole numbers, each deal rounds up another label than the one before
    turn = (np.arange(len(kinds)) + deal) % len(kinds)
    for kind in kinds:
        takers = [i for i in order[::-1] if labels[i] == kind]
        share = np.array([len(x) for x in piles]) * len(takers) / sum(len(x) for x in piles)
        count = np.floor(share).astype(int)
        count[np.lexsort((turn, count - share))[: len(takers) - count.sum()]] += 1
        dealt = [x.pop() for x, n in zip(piles, count, strict=True) for _ in range(n)]
        from_whom[takers] = dealt
    return train[first[from_whom][index]]


def _ridge(
    kernels: Float[torch.Tensor, "point row row"],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, " n"],
    judged: Int[np.ndarray, " m"],
) -> Float[torch.Tensor, "setting point m y"]:
    """Scores by ridge regression on the labels' columns of 0 and 1, or on the number."""
    out = []
    for kernel in kernels:
        mean = kernel[:, train].mean(1)
        centred = kernel - mean[:, None] - mean + mean[train].mean()
        out.append(kernel_ridge(centred, RIDGES, y, train, judged))
    return torch.stack(out, 1)


def _nearest(
    kernels: Float[torch.Tensor, "point row row"],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, " n"],
    judged: Int[np.ndarray, " m"],
) -> Float[torch.Tensor, "point m y"]:
    """Scores by the distance to the mean of each label; for two labels along their difference.

    Formula: x · μ_c − ‖μ_c‖² / 2
    """
    share = y[train] / y[train].sum(0)
    means = share.mT @ kernels[:, train][:, :, train] @ share
    return kernels[:, judged][:, :, train] @ share - means.diagonal(dim1=1, dim2=2)[:, None] / 2


def _logistic(
    kernels: Float[torch.Tensor, "point row row"],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, " n"],
    judged: Int[np.ndarray, " m"],
) -> Float[torch.Tensor, "setting point m y"]:
    """Log-probabilities by logistic regression; for three classes or more each against the rest,
    normalised to probabilities that add up to 1."""
    classes = [1] if y.shape[1] == 2 else range(y.shape[1])
    yes = torch.stack([y[train, c] > 0.5 for c in classes]).repeat(len(kernels), 1)
    within = kernels[:, train][:, :, train].repeat_interleave(len(classes), 0)
    a = logistic(within, yes, STRENGTHS).unflatten(0, (len(kernels), len(classes)))
    cross = kernels[:, judged][:, :, train] + CONSTANT**2
    f = torch.einsum("phn,pqsn->sphq", cross, a)
    f = torch.cat([-f, f], -1) if len(classes) == 1 else f
    log_odds = torch.nn.functional.logsigmoid(f)
    return log_odds - log_odds.logsumexp(-1, keepdim=True)
