"""What features add to a dictionary's reconstruction, in units of the raw activations."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.rows import divide, per_token


def added(
    dictionary: Dictionary, features: Sequence[int], codes: Float[Tensor, "b k"], x: Float[Tensor, "b d_in"]
) -> Float[Tensor, "b d_out"]:
    """What these features together add to the reconstruction of each row x, their activations given.

    Formula: Σ_k a_k d_k / scale_out, times what undoes a normalisation of each row by itself
    """
    return _raw(dictionary, codes @ dictionary.W_dec[0, list(features)], x)


def of_one_unit(dictionary: Dictionary, feature: Int[Tensor, "n"], x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n d_out"]:
    """What one unit of one feature adds to the reconstruction of each row x: a feature for every row.

    Formula: d_k / scale_out, times what undoes a normalisation of each row by itself
    """
    return _raw(dictionary, dictionary.W_dec[0, feature], x)


def _raw(dictionary: Dictionary, out: Float[Tensor, "b d_out"], x: Float[Tensor, "b d_in"]) -> Float[Tensor, "b d_out"]:
    scale = dictionary.scale if dictionary.scale_out is None else dictionary.scale_out
    if scale is not None:
        out = divide(out[None], scale)[0]
    return out * per_token(x[None], dictionary.per_token)[2][0] if dictionary.per_token else out
