"""Nonlinearities that choose how many features stay on: per row, per block of latents, per batch,
by size or by absolute size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Bias, ByFeature, Own

if TYPE_CHECKING:
    from assay.dictionaries.training.kernels.active import Codes


@dataclass(frozen=True)
class _Counted:
    """What keeps a number of features."""

    k: int
    """Features that stay on in each row: on average in `BatchTopK`, one of each block in
    `GroupMax`."""

    def __post_init__(self):
        if self.k < 1:
            raise DataError(
                f"k must be at least 1, got k={self.k}; {type(self).__name__}(32) keeps 32 "
                "features a row"
            )

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """No parameters of its own."""
        if self.k > f:
            raise DataError(
                f"k must be at most the dictionary's width {f}, got k={self.k}; lower k or widen "
                "the dictionary"
            )
        return {}


@dataclass(frozen=True)
class TopK(_Counted):
    """f = the k largest of max(z + b_enc, 0) in each row, the others 0; fewer than k where fewer
    are positive.

    Source: Scaling and evaluating sparse autoencoders (2024), section 2.3.
    Example:
        >>> import torch
        >>> from assay.dictionaries import TopK
        >>> z, b_enc = torch.tensor([[[3.0, 1.0, 2.0]]]), torch.zeros(1, 3)
        >>> TopK(2)(z, b_enc, {})
        tensor([[[3., 0., 2.]]])
    """

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]."""
        # Unsorted, which is cheaper; rectified after the choice, of k numbers and not of f.
        pre = z + b_enc[:, None]
        values, index = pre.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter(-1, index, values.relu())


@dataclass(frozen=True)
class AbsTopK(_Counted):
    """f = the k entries of z + b_enc that are largest in absolute value, with their signs; so
    features may be negative.

    Source: as SAELens's `abstopk` reads its files
    Example:
        >>> import torch
        >>> from assay.dictionaries import AbsTopK
        >>> z, b_enc = torch.tensor([[[1.0, -3.0, 2.0]]]), torch.zeros(1, 3)
        >>> AbsTopK(2)(z, b_enc, {})
        tensor([[[ 0., -3.,  2.]]])
    """

    signed: ClassVar[bool] = True
    """Features below 0 are on."""

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f], of either sign."""
        pre = z + b_enc[:, None]
        index = pre.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(pre).scatter(-1, index, pre.gather(-1, index))


@dataclass(frozen=True)
class GroupMax(_Counted):
    """f = the largest of max(z + b_enc, 0) in each of k blocks of neighbouring latents, the others
    0.

    Source: as sparsify's `groupmax` reads its files
    Example:
        >>> import torch
        >>> from assay.dictionaries import GroupMax
        >>> z, b_enc = torch.tensor([[[3.0, 4.0, 1.0, -1.0]]]), torch.zeros(1, 4)
        >>> GroupMax(2)(z, b_enc, {})  # the larger of each pair
        tensor([[[0., 4., 1., 0.]]])
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """No parameters of its own."""
        if f % self.k:
            raise DataError(
                f"GroupMax needs a width that k divides, got k={self.k} and width {f}; choose "
                "another k or width"
            )
        return {}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]."""
        blocks = (z + b_enc[:, None]).relu().unflatten(-1, (self.k, -1))
        values, index = blocks.max(-1, keepdim=True)
        return torch.zeros_like(blocks).scatter(-1, index, values).flatten(-2)


@dataclass(frozen=True)
class BatchTopK(_Counted):
    """f = the k·b largest of max(z + b_enc, 0) among all b rows of a batch, the others 0: k a row
    on average.

    After training the choice must not depend on a row's neighbours: `inference` is JumpReLU with
    one threshold for all features, the mean over the last batches of the smallest value that the
    trained encoder keeps.
    Source: BatchTopK Sparse Autoencoders (2024), sections 3 and 3.1
    Example:
        >>> import torch
        >>> from assay.dictionaries import BatchTopK
        >>> z, b_enc = torch.tensor([[[5.0, 4.0], [3.0, 1.0]]]), torch.zeros(1, 2)
        >>> BatchTopK(1)(z, b_enc, {})  # one a row on average: here both of the first row
        tensor([[[5., 4.],
                 [0., 0.]]])
    """

    @property
    def inference(self) -> JumpReLU:
        """What reads the trained dictionary."""
        return JumpReLU()

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]; the threshold that training estimates is not used."""
        pre = (z + b_enc[:, None]).flatten(1)
        # All rows of a run compete as one.
        values, index = pre.topk(self.k * z.shape[-2], dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter(-1, index, values.relu()).view_as(z)

    # the estimate of the threshold, made once training has ended (see `Settles` in `learners.py`)

    def keep(self, seeds: np.ndarray, f: int) -> dict[str, torch.Tensor]:
        """The threshold [run, f], 0 until training has ended."""
        return {"threshold": torch.zeros(len(seeds), f)}

    def note(self, features: ByFeature) -> dict[str, torch.Tensor]:
        """The smallest kept value [run] of a batch: 0 where fewer than k·b were positive, since
        then all positive ones were kept."""
        on = features > 0
        least = features.masked_fill(~on, torch.inf).amin((-2, -1))
        return {"least": least.where(on.sum((-2, -1)) >= self.k * features.shape[-2], 0).float()}

    def note_codes(self, codes: Codes) -> dict[str, torch.Tensor]:
        """The smallest kept value of a sparse code."""
        return {"least": codes.least(self.k)}

    def settle(
        self, state: Mapping[str, torch.Tensor], noted: Sequence[Mapping[str, torch.Tensor]]
    ) -> None:
        """Set the threshold to the mean of the smallest kept values of batches.

        A mean along the training would lag behind the encoder: after 120 steps on planted features
        it let 84% more features through than were asked for.
        """
        least = torch.stack([notes["least"] for notes in noted]).mean(0)
        state["threshold"].copy_(least[:, None].expand_as(state["threshold"]))

    def provenance(self) -> dict[str, str]:
        """Say how the threshold was estimated, for the header of a trained dictionary."""
        return {
            "threshold": (
                "mean over the last batches of the smallest kept value, under the trained encoder"
            )
        }
