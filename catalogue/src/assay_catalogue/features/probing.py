"""Sparse probing: can a few features of a dictionary say what the text says?

A probe is a logistic regression for one yes-or-no question about tokens, on k features that are
chosen on the training documents, with a penalty chosen by documents left out in turn. Many
questions at once, and the baselines beside them, are in `kernel_probe.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.arrays import Array, as_numpy, ratio_or_nan
from assay.core.errors import DataError
from assay.core.heavy import scipy, torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU

STRENGTHS = tuple(10.0**e for e in range(-4, 3))
"""Values of C, the inverse of the L2 penalty, among which every probe's is chosen."""
KS = (1, 2, 5, 16)
_FOLDS = 4


@dataclass(frozen=True, eq=False)
class Rows:
    """Tokens to probe: their activations, the token ids up to and including each, the answer, and
    the document."""

    x: Float[torch.Tensor, "b d"]
    context: Int[np.ndarray, "b c"]
    label: Bool[np.ndarray, " b"]
    document: Int[np.ndarray, " b"]

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.context) == len(self.label) == len(self.document):
            raise DataError(
                f"rows to probe must match, got {len(self.x)} activations, {len(self.context)} "
                f"contexts, {len(self.label)} labels and {len(self.document)} documents"
            )


def context(tokens: Int[np.ndarray, "w s"], width: int = 8) -> Int[np.ndarray, "w s c"]:
    """For every position the ids of the last `width` tokens, its own last; −1 before the start of
    the window."""
    padded = np.pad(np.asarray(tokens), ((0, 0), (width - 1, 0)), constant_values=-1)
    return np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)


@dataclass(frozen=True, eq=False)
class Probed:
    """What a probe said about the test rows, log-odds of yes, and which features it used."""

    score: Float[np.ndarray, " b"]
    label: Bool[np.ndarray, " b"]
    features: tuple[int, ...]


def auroc(score: Float[Array, " b"], label: Bool[Array, " b"]) -> float:
    """Chance that a token with the answer yes scores higher than one with no.

    Formula: (#{yes above no} + ½ #{ties}) / (#yes · #no)
    Range: 0 to 1; ½ is guessing; NaN where all answers are the same
    Better: higher
    """
    score, label = as_numpy(score), as_numpy(label).astype(bool)
    yes, no = int(label.sum()), int((~label).sum())
    wins = scipy.stats.rankdata(score)[label].sum() - yes * (yes + 1) / 2
    return float(ratio_or_nan(np.asarray(wins), np.asarray(float(yes * no))))


def chosen_features(
    dictionary: Dictionary, train: Rows, k: int, chunk: int = 2048
) -> Int[np.ndarray, " k"]:
    """The k features whose mean differs most between yes and no on the training rows, most
    different first.

    Activations count times the length of their decoder row, so that a factor moved from one to the
    other changes nothing.

    Formula: the k largest ‖d_i‖ · |mean(f_i | yes) − mean(f_i | no)|
    """
    sums = torch.zeros(2, dictionary.width, dtype=torch.float64, device=train.x.device)
    label = torch.as_tensor(train.label, device=train.x.device)
    for a in range(0, len(train.x), chunk):
        f, yes = _encode(dictionary, train.x[a : a + chunk]).double(), label[a : a + chunk]
        sums += torch.stack([f[~yes].sum(0), f[yes].sum(0)])
    means = sums / torch.stack([(~label).sum(), label.sum()])[:, None]
    order = (means[1] - means[0]).abs().argsort(descending=True, stable=True)
    return order[: min(k, dictionary.width)].cpu().numpy()


def one_feature(
    dictionary: Dictionary, train: Rows, x: Float[torch.Tensor, "b d"]
) -> Float[np.ndarray, " b"]:
    """The chosen feature's activation on other rows, turned round where it is weaker for yes: what
    any probe on it alone orders rows by.

    Its AUROC is that of `sparse_probe` with k = 1, at the price of no regression.
    Range: that of the feature, either sign.
    Better: none; larger is likelier yes.
    """
    best = chosen_features(dictionary, train, 1, chunk=len(train.x))[:1].copy()
    label = torch.as_tensor(train.label, device=train.x.device)
    on = _encode(dictionary, train.x)[:, best][:, 0].double()
    sign = 1.0 if on[label].mean() >= on[~label].mean() else -1.0
    return sign * _encode(dictionary, x)[:, best][:, 0].cpu().numpy()


def sparse_probe(
    dictionary: Dictionary, train: Rows, test: Rows, ks: Sequence[int] = KS, chunk: int = 2048
) -> dict[int, Probed]:
    """A tuned probe on k features of one dictionary, for every k; the features of a small k are
    among those of a large one.

    Raises: DataError for several runs.
    """
    if len(dictionary) != 1:
        raise DataError(
            f"a sparse probe needs one dictionary, got {len(dictionary)} runs; take one: "
            "dictionary[0]"
        )
    best = chosen_features(dictionary, train, max(ks), chunk)

    def columns(rows: Rows) -> Float[np.ndarray, "b k"]:
        parts = [
            _encode(dictionary, rows.x[a : a + chunk])[:, best.copy()]
            for a in range(0, len(rows.x), chunk)
        ]
        return torch.cat(parts).cpu().numpy()

    a, b = columns(train), columns(test)
    return {
        k: Probed(_fitted(a[:, :k], train, b[:, :k]), test.label, tuple(best[:k].tolist()))
        for k in ks
    }


def random_directions(
    rows: Float[torch.Tensor, "b d"], width: int, share: float, seed: int = 0, chunk: int = 2048
) -> Dictionary:
    """A dictionary of so many random directions, each on in the same share of the rows."""
    d, f = rows.shape[1], width
    directions = torch.from_numpy(rng.normal(np.array([seed]), "probing.random", 0, (f, d))[0]).to(
        rows
    )
    directions = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    share = min(max(share, 1 / len(rows)), 0.999)
    middle = rows.mean(0)
    rank = max(1, round((1 - share) * len(rows)))
    bias = torch.cat(
        [
            -((rows - middle) @ part.mT).kthvalue(rank, dim=0).values
            for part in directions.split(chunk)
        ]
    )
    return Dictionary(directions.mT[None], bias[None], directions[None], middle[None], ReLU())


def _encode(dictionary: Dictionary, x: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, "b f"]:
    """Features times the length of their decoder rows."""
    with torch.no_grad():
        return dictionary.encode(x.float())[0] * torch.linalg.vector_norm(
            dictionary.W_dec[0], dim=1
        )


def _fitted(
    x_train: Float[np.ndarray, "b k"], train: Rows, x_test: Float[np.ndarray, "t k"]
) -> Float[np.ndarray, " t"]:
    """Log-odds of yes on the test rows, of a logistic regression whose penalty was chosen by
    documents left out in turn."""
    x_train, x_test = _scaled(x_train, x_test)
    folds = _folds(train)
    mean_auroc = []
    for strength in STRENGTHS:
        aurocs = []
        for held in folds:
            score = _regression(x_train[~held], train.label[~held], strength).decision_function(
                x_train[held]
            )
            aurocs.append(auroc(score, train.label[held]))
        mean_auroc.append(np.nanmean(aurocs))
    best = STRENGTHS[int(np.argmax(mean_auroc))]
    return _regression(x_train, train.label, best).decision_function(x_test)


def _scaled(
    x_train: Float[np.ndarray, "b k"], x_test: Float[np.ndarray, "t k"]
) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "t k"]]:
    """Columns less their training mean over their training deviation."""
    mean, deviation = x_train.mean(0, dtype=np.float64), x_train.std(0, dtype=np.float64)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (x_train - mean) / deviation, (x_test - mean) / deviation


def _folds(train: Rows) -> list[Bool[np.ndarray, " b"]]:
    """Rows held out in turn, whole documents; documents are dealt out by their number of yes, so
    that every fold has some."""
    names, index = np.unique(train.document, return_inverse=True)
    yes = np.bincount(index, weights=train.label, minlength=len(names))
    deal = np.empty(len(names), np.int64)
    deal[np.argsort(-yes, kind="stable")] = np.arange(len(names)) % _FOLDS
    folds = [deal[index] == i for i in range(_FOLDS)]
    usable = [
        held
        for held in folds
        if held.any() and all(len(np.unique(train.label[part])) == 2 for part in (held, ~held))
    ]
    if not usable:
        raise DataError(
            "no part of the training documents has both answers inside and outside it; give "
            "more text"
        )
    return usable


def _regression(x: Float[np.ndarray, "b k"], label: Bool[np.ndarray, " b"], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=500).fit(x, label)
