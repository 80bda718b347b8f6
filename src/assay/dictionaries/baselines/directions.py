"""Random directions in the place of a dictionary: each on as often as one of its features, with the
decoder that fits them best."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity
from assay.train import rng

PULL = 5.0
"""Firings' worth of pull of each decoder row towards what it was, as in gated-sae: a rare feature
does not determine its own."""
ROWS, LATENTS = 4096, 2**26
"""Rows that are encoded at once, and numbers that are sorted at once."""


def random_directions(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    seed: int,
    y: Float[torch.Tensor, "b d_out"] | None = None,
) -> Dictionary:
    """Random directions that are on as often as the features of a dictionary, and the decoder with
    which they reconstruct best.

    Args:
        dictionary: one, of which it is counted how often each feature is on.
        x: raw activations, [b, d_in].
        seed: draws the directions.
        y: what a transcoder gives, raw, [b, d_out]; None: x.
    Example:
        >>> import torch
        >>> from assay.dictionaries import Dictionary, ReLU, random_directions
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> x = torch.tensor([[3.0, -4.0], [-1.0, 2.0], [-2.0, -1.0], [-3.0, 1.0]])
        >>> drawn = random_directions(Dictionary(eye, zero, eye, zero, ReLU()), x, seed=0)
        >>> (drawn.encode(x) != 0).sum(0).tolist()  # on as often as the two features
        [1, 2]
    """
    from assay.dictionaries.baselines.repair import refit_decoder

    often = _often(dictionary, x)
    draw = rng.generator(seed, "studies/directions").standard_normal((dictionary.width, x.shape[1]))
    directions = torch.from_numpy(
        (draw / np.linalg.norm(draw, axis=1, keepdims=True)).astype(np.float32)
    ).to(x.device)
    mean = x.mean(0)
    few = max(1, LATENTS // len(x))
    threshold = torch.cat(
        [
            _threshold((x - mean) @ rows.T, count)
            for rows, count in zip(directions.split(few), often.split(few), strict=True)
        ]
    )
    b_dec = mean if y is None else y.mean(0)
    random_dictionary = Dictionary(
        W_enc=directions.T[None].contiguous(),
        b_enc=-(directions @ mean)[None],
        W_dec=directions[None] if y is None else x.new_zeros(1, len(directions), y.shape[1]),
        b_dec=b_dec[None],
        b_pre=torch.zeros_like(mean)[None],
        nonlinearity=JumpReLU(),
        own={"threshold": threshold[None]},
    )
    return refit_decoder(random_dictionary, x, pull=PULL, y=y)


def _often(dictionary: Dictionary, x: torch.Tensor) -> Int[torch.Tensor, " f"]:
    """In how many rows each feature is on."""
    counts = [
        torch.bincount(dictionary.active(part).feature, minlength=dictionary.width)
        for part in x.split(ROWS)
    ]
    return torch.stack(counts).sum(0)


def _threshold(
    projected: Float[torch.Tensor, "b f"], often: Int[torch.Tensor, " f"]
) -> Float[torch.Tensor, " f"]:
    """Above which so many of the numbers of each column lie; above all where none shall."""
    ordered = projected.sort(0, descending=True).values
    place = often.clamp(max=len(ordered) - 1)
    between = (ordered.gather(0, (place - 1).clamp(min=0)[None]) + ordered.gather(0, place[None]))[
        0
    ] / 2
    return torch.where(often > 0, between, 2 * ordered[0]).clamp(min=0)


def pca(x: Float[torch.Tensor, "b d"], *ranks: int, chunk: int = 8192) -> list[Dictionary]:
    """For each rank the projection on that many principal components of x: a Dictionary of one run
    with signed, dense codes.

    Args:
        x: activations, [b, d].
        ranks: numbers of components, 1 to d.
        chunk: rows held in memory at a time.
    Formula: x̂ = μ + V Vᵀ (x − μ), V the eigenvectors of the largest eigenvalues of the covariance
    Raises: DataError for a rank below 1 or above the dimension.
    Example:
        >>> import torch
        >>> from assay.dictionaries import pca
        >>> x = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> line, plane = pca(x, 1, 2)
        >>> off = [float((d.reconstruct(x) - x).square().sum()) for d in (line, plane)]
        >>> [round(error, 3) for error in off]  # two rows are at distance 1 from the line
        [2.0, 0.0]
    """
    d = x.shape[-1]
    for rank in ranks:
        if not 1 <= rank <= d:
            raise DataError(f"a rank must lie between 1 and the dimension {d}, got {rank}")
    mean = sum(
        (part.double().sum(0) for part in x.split(chunk)),
        torch.zeros(d, dtype=torch.float64, device=x.device),
    ) / len(x)
    centre = mean.float()
    covariance = torch.zeros(d, d, dtype=torch.float64, device=x.device)
    for part in x.split(chunk):
        rows = part.float() - centre
        covariance += rows.T @ rows
    directions = torch.linalg.eigh(covariance)[1].flip(1).float()
    zero = torch.zeros(1, d, device=x.device)
    return [
        Dictionary(
            W_enc=directions[None, :, :rank],
            b_enc=zero[:, :rank],
            W_dec=directions[None, :, :rank].mT,
            b_dec=zero,
            nonlinearity=Identity(),
            mean=centre[None],
        )
        for rank in ranks
    ]
