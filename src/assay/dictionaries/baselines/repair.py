"""What can be mended after training, in closed form: rescale & shift of the features, and a decoder refitted by least squares.

Both keep the choice of which features are on, so they tell apart what an L1 penalty does to magnitudes and to selection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import Rescaled

RIDGE = 1e-6
"""Pull of least squares towards the present values, in units of the mean diagonal; it decides only where data do not."""


def rescale_and_shift(dictionary: Dictionary, x: Float[Tensor, "b d"], chunk: int = 4096, pull: float = 0.0) -> Dictionary:
    """The dictionary with each feature's magnitude rescaled and shifted to reconstruct x best; decoder and selection stay.

    Formula: f' = 1[f > 0] · max(r f + s, 0), with r, s minimising Σ‖x − b_dec − Σ_i W_dec,i (r_i f_i + s_i) 1[f_i > 0]‖²;
    L0 may only fall
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 5.3
    Differs: least squares on the support in place of gradient descent; no sign constraint on r. `pull` draws r to 1 and s to 0
    with the weight of that many firings at the feature's own mean energy: a feature that fires a few times, or always equally
    strongly, does not determine both, and plain least squares then gives factors that explode on other text
    """
    return _joined(dictionary, lambda one: _rescaled(one, x, chunk, pull))


def refit_decoder(dictionary: Dictionary, x: Float[Tensor, "b d"], chunk: int = 4096, pull: float = 0.0) -> Dictionary:
    """The dictionary with W_dec and b_dec refitted to reconstruct x; rows lose their unit length, features stay the same.

    Formula: W_dec, b_dec minimising Σ‖x − b_dec − f W_dec‖²; the row of a feature that is on nowhere in x stays as it was, and `pull`
    draws each row to what it was with the weight of that many firings
    """
    return _joined(dictionary, lambda one: _refitted(one, x, chunk, pull))


def rescaled(dictionary: Dictionary, factor: Float[Tensor, "run f"], shift: Float[Tensor, "run f"]) -> Dictionary:
    """The dictionary with features max(factor·f + shift, 0) where f > 0; e.g. codes made too short on purpose."""
    own = {"factor": factor, "shift": shift, **{f"of_{name}": value for name, value in dictionary.own.items()}}
    return replace(dictionary, nonlinearity=Rescaled(dictionary.nonlinearity), own=own)


def shrunk(dictionary: Dictionary, factor: float) -> Dictionary:
    """The dictionary with all features times `factor`: shrinkage of a known size and nothing else wrong."""
    ones = torch.ones_like(dictionary.b_enc)
    return rescaled(dictionary, factor * ones, 0 * ones)


@torch.no_grad()
def _rescaled(one: Dictionary, x: Tensor, chunk: int, pull: float) -> Dictionary:
    """Normal equations of the 2f unknowns r, s: each Gram entry is that of the codes times that of the decoder rows."""
    plain, f = one.normalised, one.width
    W = one.W_dec[0]
    gram = torch.zeros(2 * f, 2 * f, dtype=torch.float64, device=W.device)
    moment = torch.zeros(2 * f, dtype=torch.float64, device=W.device)
    firings = torch.zeros(f, dtype=torch.float64, device=W.device)
    for rows in _normalised(one, x, chunk):
        features = plain.encode(rows)[0]
        on = features.sign()
        gram[:f, :f] += features.T @ features
        gram[:f, f:] += features.T @ on
        gram[f:, f:] += on.T @ on
        firings += on.sum(0)
        target = (rows - one.b_dec[0]) @ W.T
        moment += torch.cat(((features * target).sum(0), (on * target).sum(0)))
    gram[f:, :f] = gram[:f, f:].T
    gram *= (W @ W.T).double().repeat(2, 2)
    present = torch.cat((torch.ones(f), torch.zeros(f))).to(gram)
    weight = pull * gram.diagonal() / firings.repeat(2).clamp_min(1)
    r, s = _solve(gram, moment[:, None], present[:, None], weight)[:, 0].float().split(f)
    return rescaled(one, r[None], s[None])


@torch.no_grad()
def _refitted(one: Dictionary, x: Tensor, chunk: int, pull: float) -> Dictionary:
    """Normal equations of the f decoder rows and of the bias, which is the row of a feature that is always 1."""
    plain, f = one.normalised, one.width
    present = torch.cat((one.W_dec[0], one.b_dec)).double()
    gram = torch.zeros(f + 1, f + 1).to(present)
    moment = torch.zeros_like(present)
    firings = torch.zeros(f + 1).to(present)
    for rows in _normalised(one, x, chunk):
        features = plain.encode(rows)[0]
        codes = torch.cat((features, torch.ones_like(features[:, :1])), 1)
        gram += codes.T @ codes
        firings += codes.sign().sum(0)
        moment += codes.T @ rows
    weight = pull * gram.diagonal() / firings.clamp_min(1)
    weight[f] = 0
    W = _solve(gram, moment, present, weight).float()
    centre = one.b_dec if one.b_pre is None else one.b_pre  # of the encoder, which stays as it was
    return replace(one, W_dec=W[None, :f], b_dec=W[f:], b_pre=centre)


def _solve(
    gram: Float[Tensor, "n n"], moment: Float[Tensor, "n m"], present: Float[Tensor, "n m"], weight: Float[Tensor, "n"]
) -> Float[Tensor, "n m"]:
    """The least-squares solution, drawn by `weight` and a small ridge to `present`, which alone speaks where the Gram matrix is 0."""
    ridge = RIDGE * gram.diagonal().mean().clamp_min(1e-30)  # above 0 also where nothing was ever on
    return present + torch.linalg.solve(gram + torch.diag(weight + ridge), moment - gram @ present)


def _normalised(one: Dictionary, x: Tensor, chunk: int) -> Iterator[Tensor]:
    return (one.normalise(part.float())[0] for part in x.split(chunk))


def _joined(dictionary: Dictionary, change: Callable[[Dictionary], Dictionary]) -> Dictionary:
    return Dictionary.join([change(one) for one in dictionary])
