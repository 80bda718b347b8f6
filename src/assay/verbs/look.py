"""Look: the strongest features of each token of one text, and what taking a feature out does to the
loss on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.evaluation.looking import look as looked
from assay.evaluation.watching import Watch, warn
from assay.report import evaluations
from assay.verbs.destination import writable_file


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One text through one dictionary: each token with its losses and strongest features, and the
    features that matter most."""

    dictionary: str
    sha256: str
    model: str
    model_sha256: str
    site: str
    site_out: str
    bos: bool
    width: int
    text: str
    tokens: tuple[str, ...]
    warnings: tuple[str, ...]
    """A site that was given or a model that is not the one in the dictionary's file."""
    notes: tuple[str, ...]
    """The warnings, and what cannot be known."""
    losses: tuple[float, ...]
    """Of each token given those before it; null for the first."""
    loss: float
    loss_spliced: float
    """The mean loss with the reconstruction in place."""
    skip_first: int
    outlier: float
    left_out: tuple[int, ...]
    """Positions that are neither counted nor ablated."""
    by_token: tuple[Mapping[str, Any], ...]
    """Each token that counts: position, token, loss, length in medians, how many features are on,
    and the strongest of them."""
    sinks: tuple[Mapping[str, Any], ...]
    """The tokens at the left-out positions, in the same form."""
    l0: float
    on: int
    """Features that are on anywhere."""
    tried: int
    features: tuple[Mapping[str, Any], ...]
    """Each with feature, delta, activations per token, maximum, strongest, promoted, suppressed;
    the largest change first."""


def look(
    text: str,
    dictionary: str | None = None,
    *,
    model: str = "smollm2",
    features: int = 10,
    per_token: int = 5,
    site: str = "",
    bos: bool | None = None,
    skip_first: int = 1,
    outlier: float = 6.0,
    root: Path = Path("assay-store"),
    device: str = "cpu",
    html: Path | None = None,
    watch: Watch = warn,
) -> Looked:
    """Find each token's strongest features and those that matter most on a text, and write a page
    where `html` names a file.

    Raises: AssayError where that file cannot be written, before anything is run, and for what does
    not fit together."""
    if html is not None:
        writable_file(html, "--html")
    look_result = looked(
        text,
        dictionary,
        model=model,
        features=features,
        per_token=per_token,
        site=site,
        bos=bos,
        skip_first=skip_first,
        outlier=outlier,
        root=root,
        device=device,
        watch=watch,
    )
    if html is not None:
        html.write_text(evaluations.look_page(look_result.data), encoding="utf-8")
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in look_result.data.items()
    }
    return Looked(**fields)
