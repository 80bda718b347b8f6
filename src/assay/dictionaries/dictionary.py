"""Dictionary: one class for the family; what differs between its members is a nonlinearity and a
few tensors of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from jaxtyping import Float, Int

from assay.core.arrays import as_tensor
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Identity, from_json, projections
from assay.dictionaries.rows import divide, multiply, per_token
from assay.dictionaries.tensors import DictionaryTensors

Rows: TypeAlias = 'Float[torch.Tensor, "... d_in"]'
Features: TypeAlias = 'Float[torch.Tensor, "... f"]'


@dataclass(frozen=True, eq=False)
class Sparse:
    """The features that are on, as parallel arrays: in run `run`, input row `row` has feature
    `feature` at `value`.

    Example:
        >>> import torch
        >>> from assay.dictionaries import Sparse
        >>> zero, value = torch.tensor([0]), torch.tensor([7.0])
        >>> on = Sparse(run=zero, row=zero, feature=zero + 1, value=value)
        >>> torch.zeros(1, 1, 3).index_put((on.run, on.row, on.feature), on.value)
        tensor([[[0., 7., 0.]]])
    """

    run: Int[torch.Tensor, " n"]
    row: Int[torch.Tensor, " n"]
    feature: Int[torch.Tensor, " n"]
    value: Float[torch.Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Dictionary(DictionaryTensors):
    """Dictionaries of one shape and nonlinearity: tensors have the run axis first.

    It reads and gives **raw** activations, in the units of the subject: `encode` subtracts `mean`
    and multiplies by `scale` (the numbers training used, stored with the dictionary), `decode`
    undoes both. `normalised` is the same dictionary for activations that are normalised already.
    Features are the same either way, in units of the normalised activations.

    Its kind follows from its sites: one site is a sparse autoencoder, `sites_out` elsewhere a
    transcoder (with `W_skip` a skip transcoder), several sites are a crosscoder over layers, whose
    activations are concatenated (d_in is the sum of the widths).

    Formula: f = nonlinearity((n(x) − b_pre) W_enc, b_enc) and x̂ = n_out⁻¹(f W_dec + b_dec + n(x)
    W_skip), with n(x) = (x − mean) · scale after `per_token`, and n_out the same with mean_out and
    scale_out
    Example:
        >>> import torch
        >>> from assay.dictionaries import Dictionary, ReLU
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)  # one run, two features
        >>> Dictionary(eye, zero, eye, zero, ReLU()).reconstruct(torch.tensor([[3.0, -4.0]]))
        tensor([[3., 0.]])
    """

    def __repr__(self) -> str:
        d_in, d_out, runs = (
            self.W_enc.shape[1],
            self.W_dec.shape[-1],
            f", {len(self)} runs" if len(self) > 1 else "",
        )
        place = (f" at {', '.join(self.sites)}" if self.sites else "") + (
            f" to {', '.join(self.sites_out)}" if self.sites_out else ""
        )
        shape = f"{d_in} dimensions" if d_in == d_out else f"{d_in} dimensions to {d_out}"
        return (
            f"<Dictionary of {self.width} features over {shape}, "
            f"{type(self.nonlinearity).__name__}{place}{runs}>"
        )

    @property
    def least(self) -> float | None:
        """The least number that a feature can be; None where features have either sign."""
        signed = getattr(self.nonlinearity, "signed", isinstance(self.nonlinearity, Identity))
        return None if signed else 0.0

    @property
    def normalised(self) -> Self:
        """Give these dictionaries for activations that are normalised already, in and out."""
        return replace(self, mean=None, scale=None, mean_out=None, scale_out=None, per_token="")

    @property
    def as_trained(self) -> Self:
        """Read these dictionaries as in training: the soft gate of GatedSigmoid, the batch's
        competition of BatchTopK."""
        kind = self.origin.get("trained_as")
        return self if kind is None else replace(self, nonlinearity=from_json(kind))

    def normalise(self, x: Rows) -> Float[torch.Tensor, "run b d_in"]:
        """Centre and scale raw activations as in training.

        Args:
            x: raw activations, [b, d_in] or [run, b, d_in].
        Raises: DataError for activations of another width.
        Example:
            >>> import torch
            >>> from assay.dictionaries import pca
            >>> x = torch.tensor([[1.0, 1.0], [3.0, 1.0]])
            >>> pca(x, 1)[0].normalise(x)  # less the mean, [2, 1]
            tensor([[[-1.,  0.],
                     [ 1.,  0.]]])
        """
        x = self._rows(x)
        if self.per_token:
            # Each row by itself first, then the numbers of training, which were measured on such
            # rows.
            shift, factor, _ = per_token(x, self.per_token)
            x = (x - shift) * factor
        if self.mean is not None:
            x = x - self.mean[:, None]
        return x if self.scale is None else multiply(x, self.scale)

    def encode(self, x: Rows) -> Features:
        """Encode raw activations.

        One dictionary gives [..., f] for [..., d_in], with the same leading axes, such as batch and
        position. Of several (`len` > 1) the first axis is the run: they share [b, d_in], or have
        [run, b, d_in], and give [run, b, f].

        Args:
            x: raw activations.
        Raises: DataError for activations of another shape.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, ReLU
            >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
            >>> Dictionary(eye, zero, eye, zero, ReLU()).encode(torch.tensor([[3.0, -4.0]]))
            tensor([[3., 0.]])
        """
        x = as_tensor(x, self.W_enc)
        centre = self.b_dec if self.b_pre is None else self.b_pre
        z = projections(
            self.normalise(x) - centre[:, None], self.W_enc, self.own, self.nonlinearity
        )
        return self._with_axes(self.nonlinearity(z, self.b_enc, self.own), x)

    def decode(self, features: Features, x: Rows | None = None) -> Rows:
        """Decode features to activations, with the axes that `encode` describes; x, the input they
        came from, where a skip or each row's own scale needs it.

        Args:
            features: what `encode` gives.
            x: its input.
        Raises: DataError for another shape, and where x is needed and not given.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, ReLU
            >>> eye, zero, b_dec = torch.eye(2)[None], torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])
            >>> Dictionary(eye, zero, eye, b_dec, ReLU()).decode(torch.tensor([[3.0, 0.0]]))
            tensor([[3., 1.]])
        """
        if x is None and (self.W_skip is not None or self.per_token):
            raise DataError(
                "this dictionary has a skip or normalises each row by itself: call "
                "decode(features, x) with the input x"
            )
        features = as_tensor(features, self.W_dec)
        rows = self._rows(features, self.width, "features").expand(len(self), -1, -1)
        if x is not None and self._rows(x).shape[1] != rows.shape[1]:
            raise DataError(
                f"features and their input must be of the same tokens, got {list(features.shape)} "
                f"and {list(as_tensor(x).shape)}"
            )
        out = torch.baddbmm(self.b_dec[:, None], rows, self.W_dec)
        if x is not None and self.W_skip is not None:
            out = out + self.normalise(x) @ self.W_skip
        # Undone in the reverse order of `normalise`: scale, mean, then each row's own.
        scale = self.scale if self.scale_out is None else self.scale_out
        mean = self.mean if self.mean_out is None else self.mean_out
        if scale is not None:
            out = divide(out, scale)
        if mean is not None:
            out = out + mean[:, None]
        if x is not None and self.per_token:
            shift, _, back = per_token(self._rows(x), self.per_token)
            out = out * back + shift
        return self._with_axes(out, features)

    def reconstruct(self, x: Rows) -> Rows:
        """Reconstruct activations: decode(encode(x), x).

        Args:
            x: raw activations, with the axes that `encode` describes.
        Example:
            >>> import torch
            >>> from assay.dictionaries import pca
            >>> x = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
            >>> pca(x, 1)[0].reconstruct(torch.tensor([[2.0, 5.0]])).abs()  # its axis is the first
            tensor([[2., 0.]])
        """
        return self.decode(self.encode(x), x)

    def active(self, x: Rows) -> Sparse:
        """List the features that are on, ordered by run, row and feature.

        Args:
            x: raw activations; `row` counts all their leading axes together.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, ReLU
            >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
            >>> x = torch.tensor([[3.0, -4.0], [0.0, 2.0]])
            >>> on = Dictionary(eye, zero, eye, zero, ReLU()).active(x)
            >>> on.row, on.feature, on.value
            (tensor([0, 1]), tensor([0, 1]), tensor([3., 2.]))
        """
        features = self.encode(x).reshape(len(self), -1, self.width)
        run, row, feature = features.nonzero(as_tuple=True)
        return Sparse(run, row, feature, features[run, row, feature])

    def _rows(
        self, x: Rows | Features, width: int = 0, what: str = "activations"
    ) -> Float[torch.Tensor, "run b width"]:
        """The rows with a run axis, which is 1 where the runs share them. Raises: DataError."""
        runs, width = len(self), width or self.W_enc.shape[1]
        x = as_tensor(x, self.W_enc)
        each = f"[tokens, {width}]"
        if runs == 1:
            expected, fits = f"{each} or [batch, position, {width}]", x.ndim > 0
        else:
            expected = f"{each} or [run, tokens, {width}]"
            fits = x.ndim == 2 or (x.ndim == 3 and len(x) in (1, runs))
        if not fits or x.shape[-1] != width:
            several = f" of {runs} runs" if runs > 1 else ""
            raise DataError(
                f"{what} must be {expected} for this dictionary{several}, got {list(x.shape)}"
            )
        x = x.reshape(1, -1, width) if runs == 1 or x.ndim == 2 else x
        return x.to(self.W_enc.dtype)  # before float16 can overflow in a row's length

    def _with_axes(
        self, made: Float[torch.Tensor, "run b width"], like: torch.Tensor
    ) -> Float[torch.Tensor, "... width"]:
        """One dictionary has the leading axes of what it was given, several keep the run axis."""
        return made if len(self) > 1 else made.reshape(*like.shape[:-1], made.shape[-1])
