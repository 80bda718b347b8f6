"""k-means in the form of a Dictionary: the sparsest code there is, one centroid for each
activation."""

from __future__ import annotations

from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import OneHot


def k_means(x: Float[torch.Tensor, "b d"], k: int, seed: int) -> Dictionary:
    """A Dictionary of one run with k centroids of x as decoder rows; the nearest one is on, with
    value 1, so L0 is 1.

    Formula: f = one-hot(argmax_i x·c_i − ‖c_i‖²/2), the nearest centroid; x̂ = c_i
    Raises: DataError for fewer rows than centroids.
    """
    if not 1 <= k <= len(x):
        raise DataError(
            f"k-means needs between 1 and {len(x)} centroids for {len(x)} activations, got k={k}"
        )
    from sklearn.cluster import MiniBatchKMeans

    clustering = MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=2048).fit(
        x.cpu().numpy()
    )
    centres = torch.as_tensor(clustering.cluster_centers_, dtype=torch.float32, device=x.device)
    return Dictionary(
        W_enc=centres.mT.contiguous()[None],
        b_enc=-centres.square().sum(1)[None] / 2,
        W_dec=centres[None],
        b_dec=centres.new_zeros(1, centres.shape[1]),
        nonlinearity=OneHot(),
    )
