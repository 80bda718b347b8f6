"""Repairs after training, in closed form: rescale & shift of the features, and a decoder
refitted by least squares.

Both keep the choice of which features are on, so they tell apart what an L1 penalty does to
magnitudes and to selection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import scipy, torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import Rescaled
from assay.dictionaries.rows import multiply

FEW = 16
"""Codes alone that are on are multiplied where at most one in so many is."""
RIDGE = 1e-6
"""Pull of least squares towards the present values, in units of the mean diagonal; it decides only
where data do not."""


def rescale_and_shift(
    dictionary: Dictionary, x: Float[torch.Tensor, "b d"], chunk: int = 4096, pull: float = 0.0
) -> Dictionary:
    """The dictionary with each feature's magnitude rescaled and shifted to reconstruct x best;
    decoder and selection stay.

    Args:
        dictionary: its runs are mended one by one.
        x: raw activations, [b, d].
        chunk: rows encoded at a time.
        pull: towards r = 1 and s = 0, in firings.
    Formula: f' = 1[f > 0] · max(r f + s, 0), with r, s minimising Σ‖x − b_dec − Σ_i W_dec,i (r_i
    f_i + s_i) 1[f_i > 0]‖²; L0 may only fall
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 5.3
    Differs: least squares on the support in place of gradient descent; no sign constraint on r.
    `pull` draws r to 1 and s to 0 with the weight of that many firings at the feature's own mean
    energy: a feature that fires a few times, or always equally strongly, does not determine both,
    and plain least squares then gives factors that explode on other text
    Example:
        >>> import torch
        >>> from assay.dictionaries import Dictionary, ReLU, rescale_and_shift, shrunk
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> x = torch.tensor([[4.0, 2.0], [2.0, 6.0]])
        >>> half = shrunk(Dictionary(eye, zero, eye, zero, ReLU()), 0.5)
        >>> (rescale_and_shift(half, x).reconstruct(x) - x).abs().max() < 0.01
        tensor(True)
    """
    return _map_runs(dictionary, lambda single: _rescaled(single, x, chunk, pull))


def refit_decoder(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d"],
    chunk: int = 4096,
    pull: float = 0.0,
    y: Float[torch.Tensor, "b d_out"] | None = None,
) -> Dictionary:
    """The dictionary with W_dec and b_dec refitted to reconstruct x; rows lose their unit length,
    features stay the same.

    Args:
        dictionary: its runs are mended one by one.
        x: raw activations, [b, d].
        chunk: rows encoded at a time.
        pull: towards the present rows, in firings.
        y: what a transcoder reconstructs, raw, [b, d_out]; None: x.
    Formula: W_dec, b_dec minimising Σ‖x − b_dec − f W_dec‖²; the row of a feature that is on
    nowhere in x stays as it was, and `pull` draws each row to what it was with the weight of that
    many firings
    Example:
        >>> import torch
        >>> from assay.dictionaries import Dictionary, ReLU, refit_decoder, shrunk
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> half = shrunk(Dictionary(eye, zero, eye, zero, ReLU()), 0.5)
        >>> x = torch.tensor([[2.0, 0.0], [0.0, 2.0], [4.0, 4.0]])
        >>> torch.allclose(refit_decoder(half, x).W_dec, 2 * eye, atol=0.01)  # rows twice as long
        True
    """
    return _map_runs(dictionary, lambda single: _refitted(single, x, chunk, pull, y))


def rescaled(
    dictionary: Dictionary,
    factor: Float[torch.Tensor, "run f"],
    shift: Float[torch.Tensor, "run f"],
) -> Dictionary:
    """The dictionary with features max(factor·f + shift, 0) where f > 0; e.g. codes made too short
    on purpose.

    Args:
        dictionary: its encoder and decoder stay.
        factor: of each feature, [run, f].
        shift: of each feature that is on, [run, f].
    """
    parameters = {
        "factor": factor,
        "shift": shift,
        **{f"of_{name}": value for name, value in dictionary.own.items()},
    }
    return replace(dictionary, nonlinearity=Rescaled(dictionary.nonlinearity), own=parameters)


def shrunk(dictionary: Dictionary, factor: float) -> Dictionary:
    """The dictionary with all features times `factor`: shrinkage of a known size and nothing else
    wrong.

    Args:
        dictionary: any.
        factor: below 1 shrinks.
    Example:
        >>> import torch
        >>> from assay.dictionaries import Dictionary, ReLU, shrunk
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> half = shrunk(Dictionary(eye, zero, eye, zero, ReLU()), 0.5)
        >>> half.encode(torch.tensor([[4.0, -4.0]]))
        tensor([[2., 0.]])
    """
    ones = torch.ones_like(dictionary.b_enc)
    return rescaled(dictionary, factor * ones, 0 * ones)


@torch.no_grad()
def _rescaled(dictionary: Dictionary, x: torch.Tensor, chunk: int, pull: float) -> Dictionary:
    """Normal equations of the 2f unknowns r, s: each Gram entry is that of the codes times that of
    the decoder rows."""
    f = dictionary.width
    equations = _equations(
        2 * f,
        (
            (torch.cat((c, c.sign()), 1), rows - dictionary.b_dec[0])
            for c, rows in _encoded(dictionary, x, chunk)
        ),
    )
    u = len(equations.used) // 2  # a feature that is on has both unknowns
    W = dictionary.W_dec[0, equations.used[:u]].double()
    equations.gram.view(2, u, 2, u).mul_((W @ W.T)[:, None])
    moment = (equations.moment.unflatten(0, (2, u)) * W).sum(-1).view(2 * u, 1)
    present = torch.cat((torch.ones(f), torch.zeros(f))).to(equations.gram)[:, None]
    weight = pull * equations.gram.diagonal() / equations.firings
    r, s = equations._replace(moment=moment).solved(present, weight)[:, 0].float().split(f)
    return rescaled(dictionary, r[None], s[None])


@torch.no_grad()
def _refitted(
    dictionary: Dictionary, x: torch.Tensor, chunk: int, pull: float, y: torch.Tensor | None
) -> Dictionary:
    """Normal equations of the f decoder rows and of the bias, which is the row of a feature that is
    always 1."""
    f = dictionary.width
    codes = (
        (torch.cat((c, torch.ones_like(c[:, :1])), 1), rows)
        for c, rows in _encoded(dictionary, x, chunk, y)
    )
    present = torch.cat((dictionary.W_dec[0], dictionary.b_dec)).double()
    if len(x) < f:
        W = _solved_by_rows(codes, present, pull).float()
    else:
        equations = _equations(f + 1, codes)
        weight = pull * equations.gram.diagonal() / equations.firings
        weight[-1] = 0
        W = equations.solved(present, weight).float()
    centre = (
        dictionary.b_dec if dictionary.b_pre is None else dictionary.b_pre
    )  # of the encoder, which stays as it was
    return replace(dictionary, W_dec=W[None, :f], b_dec=W[f:], b_pre=centre)


class _Equations(NamedTuple):
    """Normal equations CᵀC w = CᵀX of those of n codes that are on in any row, in float64."""

    used: Int[torch.Tensor, " u"]
    gram: Float[torch.Tensor, "u u"]
    moment: Float[torch.Tensor, "u d"]
    firings: Float[torch.Tensor, " u"]

    def solved(
        self, present: Float[torch.Tensor, "n d"], weight: Float[torch.Tensor, " u"]
    ) -> Float[torch.Tensor, "n d"]:
        """The solution, drawn by `weight` and a small ridge to `present`, which alone speaks of
        codes that are on nowhere. Spends `gram`."""
        residual = self.moment - self.gram @ present[self.used]
        ridge = RIDGE * (self.gram.trace() / len(present)).clamp_min(
            1e-30
        )  # above 0 also where nothing was ever on
        self.gram.diagonal().add_(weight + ridge)
        A, b = self.gram.cpu().numpy(), residual.cpu().numpy()
        try:
            change = scipy.linalg.cho_solve(
                scipy.linalg.cho_factor(A, check_finite=False), b, check_finite=False
            )
        except scipy.linalg.LinAlgError:  # rounding made it indefinite
            change = scipy.linalg.solve(A, b, check_finite=False)
        return present.index_add(0, self.used, torch.from_numpy(change).to(present))


def _solved_by_rows(
    chunks: Iterable[tuple[Float[torch.Tensor, "b n"], Float[torch.Tensor, "b d"]]],
    present: Float[torch.Tensor, "n d"],
    pull: float,
) -> Float[torch.Tensor, "n d"]:
    """The solution of `_Equations` where rows are fewer than codes: one equation for each row.

    Formula: P + Λ⁻¹ Cᵀ (C Λ⁻¹ Cᵀ + I)⁻¹ (X − C P), P `present`, Λ what draws to it
    """
    parts = [
        (scipy.sparse.csr_array(c.double().cpu().numpy()), x.double().cpu().numpy())
        for c, x in chunks
    ]
    on = scipy.sparse.vstack([c for c, _ in parts], "csr")
    energy = torch.from_numpy(on.power(2).sum(0))
    firings = torch.from_numpy(on.astype(bool).sum(0)).clamp_min(1)
    weight = pull * energy / firings
    weight[-1] = 0
    weight += RIDGE * energy.mean().clamp_min(1e-30)
    scaled = on.multiply(1 / weight.numpy()).tocsr()
    system = (scaled @ on.T).toarray()
    system[np.diag_indices_from(system)] += 1
    residual = np.concatenate([x for _, x in parts]) - on @ present.cpu().numpy()
    change = scaled.T @ scipy.linalg.solve(system, residual, assume_a="pos", check_finite=False)
    return present + torch.from_numpy(change).to(present)


def _equations(
    n: int, chunks: Iterable[tuple[Float[torch.Tensor, "b n"], Float[torch.Tensor, "b d"]]]
) -> _Equations:
    """Add up the equations of n codes over chunks (C, X) of rows; of a chunk in which few codes are
    on, only those are multiplied."""
    sparse = [scipy.sparse.csr_array((0, n))]
    gram, moment, firings = (torch.zeros((), dtype=torch.float64) for _ in range(3))
    for codes, x in chunks:
        if FEW * int(codes.count_nonzero()) <= codes.numel():
            row, column = codes.nonzero(as_tuple=True)
            firings = column.bincount(minlength=n) + firings
            value = codes[row, column].double()
            sparse.append(
                scipy.sparse.csr_array(
                    (value.cpu().numpy(), (row.cpu().numpy(), column.cpu().numpy())),
                    tuple(codes.shape),
                )
            )
            moment = torch.from_numpy(sparse[-1].T @ x.double().cpu().numpy()).to(x.device) + moment
        else:
            firings = codes.count_nonzero(0) + firings
            gram = (codes.T @ codes).double() + gram
            moment = (codes.T @ x).double() + moment
    used = firings.nonzero()[:, 0]
    on = scipy.sparse.vstack(sparse, "csr")[:, used.cpu().numpy()]
    product = torch.from_numpy((on.T @ on).toarray()).to(firings)
    if gram.ndim:
        product += gram[used][:, used]
    return _Equations(used, product, moment[used], firings[used])


def _encoded(
    dictionary: Dictionary, x: torch.Tensor, chunk: int, y: torch.Tensor | None = None
) -> Iterator[tuple[Float[torch.Tensor, "b f"], Float[torch.Tensor, "b d"]]]:
    """Codes and normalised rows, or targets, a chunk at a time."""
    targets = repeat(None) if y is None else y.split(chunk)
    for part, target in zip(x.split(chunk), targets, strict=False):
        rows = dictionary.normalise(part.to(dictionary.W_enc.device).float())[0]
        codes = dictionary.normalised.encode(rows)
        yield codes, rows if target is None else _target(dictionary, target)


def _target(
    dictionary: Dictionary, y: Float[torch.Tensor, "b d_out"]
) -> Float[torch.Tensor, "b d_out"]:
    """Raw targets, centred and scaled as in training."""
    rows = y.to(dictionary.W_dec).float()[None]
    mean = dictionary.mean if dictionary.mean_out is None else dictionary.mean_out
    scale = dictionary.scale if dictionary.scale_out is None else dictionary.scale_out
    rows = rows if mean is None else rows - mean[:, None]
    return (rows if scale is None else multiply(rows, scale))[0]


def _map_runs(dictionary: Dictionary, change: Callable[[Dictionary], Dictionary]) -> Dictionary:
    return Dictionary.join([change(single) for single in dictionary])
