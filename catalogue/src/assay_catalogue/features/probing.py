"""Sparse probing: can one feature of a dictionary say what the text says?

The question is one with the answer yes or no about each token, and the feature is chosen on the
training documents. Many questions at once, and regressions on features, are in
`kernel_probe.py`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Array, as_numpy, ratio_or_nan
from assay.core.heavy import scipy, torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.train import rng


class Rows(NamedTuple):
    """Tokens to probe: their activations, the answer, and the document."""

    x: Float[torch.Tensor, "b d"]
    label: Bool[np.ndarray, " b"]
    document: Int[np.ndarray, " b"]


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

    Range: that of the feature, either sign.
    Better: none; larger is likelier yes.
    """
    best = chosen_features(dictionary, train, 1, chunk=len(train.x))[:1].copy()
    label = torch.as_tensor(train.label, device=train.x.device)
    on = _encode(dictionary, train.x)[:, best][:, 0].double()
    sign = 1.0 if on[label].mean() >= on[~label].mean() else -1.0
    return sign * _encode(dictionary, x)[:, best][:, 0].cpu().numpy()


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
        return dictionary.encode(x.float()) * torch.linalg.vector_norm(dictionary.W_dec[0], dim=1)
