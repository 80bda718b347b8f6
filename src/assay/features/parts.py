"""What features add to a dictionary's reconstruction, in units of the raw activations."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.rows import divide, per_token


def directions(
    dictionary: Dictionary, features: Sequence[int] | Int[torch.Tensor, "k"]
) -> Float[torch.Tensor, "k d_out"]:
    """One unit of each of these features, but for what undoes a normalisation of each row by
    itself.

    Formula: d_k / scale_out
    """
    return _scaled(dictionary, dictionary.W_dec[0, torch.as_tensor(features)])


def added(
    dictionary: Dictionary,
    features: Sequence[int],
    codes: Float[torch.Tensor, "b k"],
    x: Float[torch.Tensor, "b d_in"],
) -> Float[torch.Tensor, "b d_out"]:
    """What these features together add to the reconstruction of each row x, their activations
    given.

    Formula: Σ_k a_k d_k / scale_out, times what undoes a normalisation of each row by itself
    """
    return _back(dictionary, _scaled(dictionary, codes @ dictionary.W_dec[0, list(features)]), x)


def of_one_unit(
    dictionary: Dictionary, feature: Int[torch.Tensor, "n"], x: Float[torch.Tensor, "n d_in"]
) -> Float[torch.Tensor, "n d_out"]:
    """What one unit of one feature adds to the reconstruction of each row x: a feature for every
    row.

    Formula: d_k / scale_out, times what undoes a normalisation of each row by itself
    """
    return _back(dictionary, directions(dictionary, feature), x)


def _scaled(
    dictionary: Dictionary, out: Float[torch.Tensor, "b d_out"]
) -> Float[torch.Tensor, "b d_out"]:
    scale = dictionary.scale if dictionary.scale_out is None else dictionary.scale_out
    return out if scale is None else divide(out[None], scale)[0]


def _back(
    dictionary: Dictionary, out: Float[torch.Tensor, "b d_out"], x: Float[torch.Tensor, "b d_in"]
) -> Float[torch.Tensor, "b d_out"]:
    return out * per_token(x[None], dictionary.per_token)[2][0] if dictionary.per_token else out
