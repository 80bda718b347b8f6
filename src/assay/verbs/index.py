"""Index: every feature of a dictionary on a text, made once, for `assay serve`, `assay export` and
Python to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from assay.features.index.reader import Index


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the text is read; what is not given comes from the dictionary's own file."""

    tokens: int = 32_768
    """Tokens that the model reads, at most. More of them later add to those that were read."""
    context: int | None = None
    """Tokens in a window, a BOS included; 128 where the file does not say."""
    bos: bool | None = None
    """Whether each window starts with the model's BOS token; where the file does not say, in
    the families that need one."""
    skip_first: int = 1
    """Positions at the start of each window that do not count."""
    outlier: float = 6.0
    """Activations longer than this many medians do not count either; 0: all do."""
    part: Literal["auto", "all", "train", "validation", "test"] = "auto"
    """Files are split by the hash of their path; auto: what the dictionary was not trained on,
    where that is known."""
    site: str = ""
    """Where activations are read, such as blocks.9.hook_resid_post."""
    site_out: str = ""
    """Where a transcoder's reconstruction belongs."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in."""
    gradients: bool = True
    """Run the model back as well, for what every firing is worth to the loss, to first order; about
    as long again."""
    ablate: int = 32
    """Features that are taken out on a sample, of all densities; 0: none."""
    ablate_windows: int = 16
    """Windows on which each of them is taken out."""


AS_FILED = Reading()


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """An index: of what it is, where it lies, and what is in it."""

    address: str
    """model/dictionary, as in the explorer."""
    folder: str
    name: str
    model: str
    site: str
    text: str
    part: str
    tokens: int
    windows: int
    documents: int
    width: int
    l0: float
    fvu: float | None
    loss: float | None
    classes: dict[str, int]
    """Features by how often they fire: dead, ultra-rare, rare, ordinary, dense."""
    antipodal: int
    """Features with another that points the other way."""
    seeds: tuple[str, ...]
    """Other dictionaries that features were looked for in."""
    recurring: int
    """Features found in all of those."""
    ablated: int
    """Features that were taken out."""
    helpful: int
    """Of them, those whose 95 % interval of importance is above 0."""
    harmful: int
    agreement: float | None
    """Spearman's rank correlation of the ablation's change of the loss with the first-order
    estimate, over the features taken out."""
    notes: tuple[str, ...]


def index(
    dictionary: str,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    also: Sequence[str] = (),
    reading: Reading = AS_FILED,
    root: Path = Path("assay-store"),
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> Indexed:
    """Index a dictionary's features on a text; what was read before is not read again.

    Raises: AssayError for what does not fit together, before anything is run.
    """
    from assay.evaluation.indexing import index as made

    return _to_indexed(
        made(
            dictionary,
            model=model,
            text=text,
            also=also,
            root=root,
            device=device,
            progress=progress,
            **asdict(reading),
        )
    )


def _to_indexed(feature_index: Index) -> Indexed:
    about, counts = feature_index.about, feature_index.summary()
    plain: dict[str, Any] = {
        name: counts[name]
        for name in ("classes", "antipodal", "recurring", "ablated", "helpful", "harmful")
    }
    return Indexed(
        address=about.address,
        folder=str(feature_index.folder),
        name=about.name,
        model=about.model_words,
        site=about.site,
        text=about.corpus,
        part=about.part,
        tokens=about.tokens,
        windows=about.windows,
        documents=about.documents,
        width=about.d_sae,
        l0=about.l0,
        fvu=about.fvu,
        loss=about.loss,
        seeds=about.seeds,
        agreement=about.agreement,
        notes=about.notes,
        **plain,
    )
