"""The one summing: from activations and their reconstructions to the sums that measures are made of
(`measures.SUMS`).

With c the centre, o the origin, y activations and ŷ their reconstructions, each row adds to
`tokens` 1, `active` #{f > 0}, `error` ‖y − ŷ‖², `variance` ‖y − c‖², `dot` (ŷ − c)·(y − c), `norm`
‖ŷ − c‖², `dot_raw` (ŷ − o)·(y − o), `norm_raw` ‖ŷ − o‖², `square_raw` ‖y − o‖²."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Array, as_tensor
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.measures import SUMS

Centre: TypeAlias = 'Float[torch.Tensor, " d"]'
PerRow: TypeAlias = 'dict[str, Float[torch.Tensor, " b"]]'
RECONSTRUCTED = ("active", "error", "dot", "norm", "dot_raw", "norm_raw")
"""The sums that depend on the dictionary; the others depend on the activations alone."""
NOT_FINITE = (
    "the dictionary gives numbers that are not finite on this model's activations; is the site "
    "right?"
)


def of_rows(y: Float[torch.Tensor, "b d"], centre: Centre, origin: Centre | None = None) -> PerRow:
    """Compute what each row adds to the sums that are the same for every dictionary: tokens,
    variance, square_raw."""
    about, raw = y - centre, y if origin is None else y - origin
    variance, least = (
        _dot(about, about),
        (16 * torch.finfo(y.dtype).eps) ** 2,
    )  # below it is rounding: equal rows have no variance
    return {
        "tokens": torch.ones_like(y[:, 0]),
        "variance": variance * (variance > least * _dot(y, y)),
        "square_raw": _dot(raw, raw),
    }


def of_reconstructions(
    y: Float[torch.Tensor, "b d"],
    y_hat: Float[torch.Tensor, "b d"],
    on: Float[torch.Tensor, "b f"],
    centre: Centre,
    origin: Centre | None = None,
) -> PerRow:
    """Compute what each row adds to a dictionary's sums (`RECONSTRUCTED`); `on` is 1 where a
    feature is on."""
    error, guess, about = y - y_hat, y_hat - centre, y - centre
    raw_guess, raw = (y_hat, y) if origin is None else (y_hat - origin, y - origin)
    return {
        "active": on.sum(1),
        "error": _dot(error, error),
        "dot": _dot(guess, about),
        "norm": _dot(guess, guess),
        "dot_raw": _dot(raw_guess, raw),
        "norm_raw": _dot(raw_guess, raw_guess),
    }


def of_batch(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    y: Float[torch.Tensor, "b d"],
    centre: Centre,
    origin: Centre | None = None,
) -> tuple[PerRow, Float[torch.Tensor, " f"], Float[torch.Tensor, "b d"]]:
    """Encode and decode x with the dictionary of one run: what each row adds, how often each
    feature is on, and ŷ."""
    features = dictionary.encode(x)
    y_hat = dictionary.decode(features, x).to(y.dtype)
    on = switched_on(dictionary, features)
    return of_reconstructions(y, y_hat, on, centre, origin), on.sum(0), y_hat


def by_document(
    values: Float[torch.Tensor, " b *rest"], document: Int[torch.Tensor, " b"], documents: int
) -> Float[np.ndarray, " document *rest"]:
    """Sums over the rows of each document, float64."""
    sums = torch.zeros(documents, *values.shape[1:], dtype=torch.float64, device=values.device)
    return sums.index_add_(0, document.to(values.device), values.double()).cpu().numpy()


def document_sums(
    dictionary: Dictionary,
    x: Float[Array, "b d"],
    document: Int[Array, " b"],
    documents: int,
    mean: Float[Array, " d"],
    origin: Float[Array, " d"] | None = None,
    chunk: int = 1024,
) -> dict[str, Float[np.ndarray, "run document"]]:
    """Sum over the rows of each document, per run, and count `firings` [run, feature]; one pass,
    memory bounded by `chunk` rows.

    `mean` is that of all rows, those of other calls included, and the centre of all lengths;
    `finish` makes measures of the sums. The raw sums are taken about `origin`: for normalised x
    give where raw activations are 0, −mean·scale.

    Sums of several batches add up only about one mean: about each batch's own, variance is too
    small and FVU too large.

    Args:
        dictionary: its runs are summed apart.
        x: activations, [b, d].
        document: which one each row is of, [b], from 0.
        documents: how many there are.
        mean: of all rows, [d].
        origin: where raw activations are 0, [d]; None: at 0.
        chunk: rows at a time.
    Raises: DataError where rows and documents do not fit together, or without the mean of all rows.
    Example:
        >>> import torch
        >>> import assay
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> halves = assay.Dictionary(eye, zero, eye / 2, zero, assay.dictionaries.ReLU())
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> sums = assay.metrics.document_sums(halves, x, [0, 0, 1, 1], documents=2, mean=x.mean(0))
        >>> sums["error"], sums["variance"], sums["firings"]
        (array([[0.5, 0.5]]), array([[1., 1.]]), array([[2., 2.]]))
    """
    x = as_tensor(x, dictionary.W_enc)
    document = as_tensor(document, x).to(x.device).long()
    if document.shape != x.shape[:1] or (
        len(document) and not 0 <= int(document.min()) <= int(document.max()) < documents
    ):
        raise DataError(
            (
                f"document must name, for each of the {len(x)} rows, one of 0 … {documents - 1}, "
                f"got {list(document.shape)} numbers"
            )
            + (f" from {int(document.min())} to {int(document.max())}" if len(document) else "")
        )
    if mean is None or np.shape(mean) != x.shape[1:]:
        shape_text = "none" if mean is None else f"an array of {list(np.shape(mean))}"
        raise DataError(
            f"document_sums needs the common mean of all rows, {x.shape[1]} numbers, got "
            f"{shape_text}: sums about each batch's own mean do not add up"
        )
    centre = as_tensor(mean).to(x.device, torch.float32)
    zero = None if origin is None else as_tensor(origin).to(x.device, torch.float32)
    sums = torch.zeros(len(SUMS), len(dictionary), documents, dtype=torch.float64, device=x.device)
    firings = torch.zeros(len(dictionary), dictionary.width, dtype=torch.float64, device=x.device)
    with torch.no_grad():
        for a in range(0, len(x), chunk):
            rows = x[a : a + chunk].float()
            shared = of_rows(rows, centre, zero)
            for r, single in enumerate(dictionary):  # one run at a time: its features fit a cache
                run_sums, on, _ = of_batch(single, rows, rows, centre, zero)
                firings[r] += on
                parts = shared | run_sums
                sums[:, r].index_add_(
                    1, document[a : a + chunk], torch.stack([parts[name] for name in SUMS]).double()
                )
    return {name: s.cpu().numpy() for name, s in zip(SUMS, sums, strict=True)} | {
        "firings": firings.cpu().numpy()
    }


def switched_on(
    dictionary: Dictionary, features: Float[torch.Tensor, "... f"]
) -> Float[torch.Tensor, "... f"]:
    """Mark with 1 where a feature is on, else 0: above 0, or anything but 0 where a nonlinearity's
    features are `signed`, as AbsTopK's.

    Args:
        dictionary: whose nonlinearity says what is on.
        features: [..., f].
    Formula: 1[f > 0]; 1[f ≠ 0] for signed features
    Range: 0 or 1
    Better: neither
    Example:
        >>> import torch
        >>> import assay
        >>> eye, zero = torch.eye(3)[None], torch.zeros(1, 3)
        >>> dictionary = assay.Dictionary(eye, zero, eye, zero, assay.dictionaries.AbsTopK(2))
        >>> assay.metrics.switched_on(dictionary, torch.tensor([0.5, 0.0, -1.0]))
        tensor([1., 0., 1.])
    """
    if getattr(dictionary.nonlinearity, "signed", False):
        return features.sign().abs_()
    return features.sign().clamp_min_(0)  # five times faster than comparing


def _dot(a: Float[torch.Tensor, "b d"], b: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, " b"]:
    return torch.linalg.vecdot(a, b)


def select_positions(
    inputs: Float[torch.Tensor, "w s d_in"],
    acts: Float[torch.Tensor, "w s d"],
    limits: tuple[float, float],
    skip_first: int,
) -> Bool[torch.Tensor, "w s"]:
    """The positions that are neither among the first of their window nor longer than the limits."""
    inside = (_length(inputs) <= limits[0]) & (_length(acts) <= limits[1])
    inside[:, :skip_first] = False
    return inside


def outlier_limit(x: Float[torch.Tensor, "... d"], outlier: float) -> float:
    """The length above which an activation counts as an outlier: so many medians; ∞ where none
    does."""
    return outlier * float(_length(x).median()) if outlier else float("inf")


def _length(x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "..."]:
    return torch.linalg.vector_norm(x, dim=-1)
