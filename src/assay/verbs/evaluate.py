"""Evaluate: every core measure of dictionaries that somebody has, on a model and text that somebody
has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.core.plain import as_json
from assay.core.schema import OPTIONAL
from assay.evaluation.watching import Watch, warn
from assay.verbs.destination import writable

if TYPE_CHECKING:
    from assay.evaluation.result import Evaluation


@dataclass(frozen=True, kw_only=True)
class Where:
    """What dictionaries are evaluated on."""

    model: str | None = None
    """smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch)."""
    text: str | None = None
    """stdlib, docs (English prose), or a folder of text files."""
    acts: Path | None = None
    """In their place a safetensors file with acts [rows, d], and document [rows], or [windows,
    positions, d]: no losses then."""


@dataclass(frozen=True, kw_only=True)
class How:
    """How they are evaluated; what is not given comes from each dictionary's own file."""

    site: str = ""
    """Where activations are read, such as blocks.9.hook_resid_post or layers.9 (the output of block
    9)."""
    site_out: str = ""
    """Where a transcoder's reconstruction belongs."""
    tokens: int = 110_000
    """Tokens that the model reads, at most."""
    context: int | None = None
    """Tokens in a window, a BOS included; 128 where the file does not say."""
    bos: bool | None = None
    """Whether each window starts with the model's BOS token; where the file does not say, in
    the families that need one."""
    skip_first: int = 1
    """Positions at the start of each window that are left out of every measure."""
    outlier: float = 6.0
    """Activations longer than this many medians are left out too; 0: none."""
    ablation_tokens: int = 12_500
    """Tokens on which the loss is also measured with the site ablated."""
    part: Literal["auto", "all", "train", "validation", "test"] = "auto"
    """Files are split by the hash of their path; auto: test where the dictionary was trained on
    this text, else all."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in."""


AS_FILED = How()


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What was measured of each dictionary, what it was measured on, and the files that were
    written."""

    model: str | None = field(default=None, metadata=OPTIONAL)
    model_sha256: str | None = field(default=None, metadata=OPTIONAL)
    text: str | None = field(default=None, metadata=OPTIONAL)
    corpus: str | None = field(default=None, metadata=OPTIONAL)
    acts: str | None = field(default=None, metadata=OPTIONAL)
    """In place of model and text: the file of activations."""
    acts_sha256: str | None = field(default=None, metadata=OPTIONAL)
    setting: Mapping[str, Any]
    provenance: Mapping[str, Any]
    """Empty where every number was stored before."""
    dictionaries: tuple[Mapping[str, Any], ...]
    """One entry for each, in the order they were named; `measures` has estimate, low, high and n by
    the measure's name, `luck` the smallest differences that are not seed noise, or null."""
    notes: tuple[str, ...]
    definitions: Mapping[str, Mapping[str, str]]
    """Unit, better direction and formula of every measure."""
    written: tuple[Path, ...]


def evaluate(
    dictionaries: Sequence[str],
    on: Where,
    how: How = AS_FILED,
    root: Path = Path("assay-store"),
    device: str = "cpu",
    batch: int | None = None,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    watch: Watch = warn,
) -> Evaluated:
    """Measure each dictionary, and write the report, the plots and every number into `out`; `watch`
    hears of it before it is done.

    Raises: AssayError where `out` cannot be written, before anything is measured, and for files
    that do not fit together."""
    from assay.evaluation.evaluating import evaluate as measured

    if out is not None:
        writable(out, "--out")
    evaluation = measured(
        *dictionaries,
        **vars(on),
        **vars(how),
        root=root,
        device=device,
        batch=batch,
        progress=progress,
        watch=watch,
    )
    written = write(evaluation, out) if out is not None else []
    fields = evaluation.to_json()
    return Evaluated(
        **fields | {"dictionaries": tuple(fields["dictionaries"]), "notes": tuple(fields["notes"])},
        written=tuple(written),
    )


def write(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write into a folder the report, every measure as CSV and JSON, and each figure as SVG with
    its data."""
    from assay.report import draw, evaluations, export

    out.mkdir(parents=True, exist_ok=True)
    files = {"evaluation.html": evaluations.page(evaluation.to_json(), evaluation.figures)}
    files["evaluation.csv"] = export.table_csv(evaluation.to_pandas())
    files["evaluation.json"] = as_json(evaluation.to_json(), indent=1)
    for name, figure in zip(export.names(evaluation.figures), evaluation.figures, strict=True):
        files |= {f"{name}.svg": draw.svg(figure), f"{name}.csv": export.figure_csv(figure)}
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]
