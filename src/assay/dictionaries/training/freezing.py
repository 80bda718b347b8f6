"""freeze: the same dictionary with one half that is not learned, a near control for whatever is
credited to learning.

Random directions are a weak control: where one half stays random and the other learns around it, a
dictionary comes close to a trained one in interpretability scores, probing and editing. Three
halves: decoder rows that stay as they were drawn, decoder rows that stay near them, and an encoder
that stays. The fourth control of this kind, a model with random weights, is
`assay.subjects.untrained`.

Source: Korznikov et al. 2026, Sanity Checks for Sparse Autoencoders: Do SAEs Beat Random
Baselines?, section 4.1, appendices D and E"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from jaxtyping import Float

from assay.core.errors import SpecError, nearest
from assay.core.heavy import torch

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method

Part = Literal["", "decoder", "soft-decoder", "encoder"]
"""What is not learned; "" is nothing. A spec field of this type makes each of them an arm."""
NEAR = 0.8
"""Least cosine between a soft-frozen decoder row and its start, as published."""


def freeze(
    method: Method, part: Part, covariance: Float[torch.Tensor, "d d"] | None = None
) -> Method:
    """Make the method leave one part of the dictionary unlearned; start, batches and all else are
    those of the method.

    "decoder": rows of W_dec stay, bit for bit. "soft-decoder": each row is kept within cosine 0.8
    of its start. "encoder": W_enc, and further encoders a nonlinearity has, stay bit for bit;
    biases and thresholds are learned, and decoder rows have lengths of their own, since no other
    parameter could fit the scale of the features. With a `covariance` of the normalised targets,
    decoder rows start normal with it and then at unit length, which is the better start of a frozen
    decoder.

    Args:
        method: stays as it is; a changed copy is given.
        part: the half that is not learned.
        covariance: of the normalised targets, [d, d].
    Raises: SpecError for another part.
    Source: Sanity Checks for Sparse Autoencoders (2026), section 4.1; "iso" and "cov" starts of its
    appendix E
    Differs: unit rows here where the decoder is learned; the paper does not say whether it
    constrains lengths
    Example:
        >>> import numpy as np
        >>> from assay import losses
        >>> from assay.dictionaries import Method, ReLU, freeze
        >>> method = Method(ReLU(), losses.l1, width=64, lr=np.ones(1), penalty=np.ones(1))
        >>> freeze(method, "decoder").frozen, freeze(method, "soft-decoder").near
        (('W_dec',), 0.8)
    """
    if part not in get_args(Part):
        raise SpecError(
            f"no part {part!r} to freeze; {nearest(str(part), [p for p in get_args(Part) if p])}"
        )
    if covariance is not None:
        method = replace(method, covariance=covariance)
    if part == "decoder":
        return replace(method, frozen=("W_dec",))
    if part == "soft-decoder":
        return replace(method, near=NEAR)
    if part == "encoder":
        return replace(
            method, frozen=("W_enc", *getattr(method.nonlinearity, "encoders", ())), decoder="free"
        )
    return method
