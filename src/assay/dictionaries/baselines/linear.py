"""Principal components in the form of a Dictionary: the linear baseline beside every sparse one."""

from __future__ import annotations

from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import Identity


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
        >>> off = [float((d.reconstruct(x)[0] - x).square().sum()) for d in (line, plane)]
        >>> [round(error, 3) for error in off]  # two rows lie 1 beside the line
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
