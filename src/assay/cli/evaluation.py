"""`assay evaluate`: its options, its tables, and the files it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Parameter

from assay.cli.printing import draw, grid, say, tell
from assay.core.plain import as_json

if TYPE_CHECKING:
    from assay.evaluation.result import Evaluation

LEADING = ("l0", "fvu", "gamma", "ce_increase", "loss_recovered_mean", "loss_recovered_zero")
"""What the table of more than three dictionaries shows; the rest is in --json and in the report."""
SHORT = {"loss_recovered_mean": "recovered (mean)", "loss_recovered_zero": "recovered (zero)"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """What dictionaries are evaluated on."""

    model: str | None = None
    """smollm2, or a model's folder."""
    text: str | None = None
    """stdlib, or a folder of text files."""
    acts: Path | None = None
    """In their place a safetensors file with acts [rows, d], and document [rows], or [windows, positions, d]: no losses then."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """How they are evaluated; what is not given comes from each dictionary's own file."""

    site: str = ""
    """Where activations are read, such as blocks.9.hook_resid_post or layers.9 (the output of block 9)."""
    site_out: str = ""
    """Where a transcoder's reconstruction belongs."""
    tokens: int = 110_000
    """Tokens that the model reads, at most."""
    context: int | None = None
    """Tokens in a window, a BOS included; 128 where the file does not say."""
    bos: bool | None = None
    """Whether each window starts with the model's BOS token; not where the file does not say."""
    skip_first: int = 1
    """Positions at the start of each window that are left out of every measure."""
    outlier: float = 6.0
    """Activations longer than this many medians are left out too; 0: none."""
    ablation_tokens: int = 12_500
    """Tokens on which the loss is also measured with the site ablated."""
    part: Literal["auto", "all", "train", "validation", "test"] = "auto"
    """Files are split by the hash of their path; auto: test where the dictionary was trained on this text, else all."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in."""


def write(found: Evaluation, out: Path) -> list[Path]:
    """The files written into `out`: the report, every measure as CSV and JSON, each figure as SVG and its data."""
    from assay.report import draw as drawing
    from assay.report import evaluations, export

    out.mkdir(parents=True, exist_ok=True)
    files = {"evaluation.html": evaluations.page(found.to_json(), found.figures)}
    files["evaluation.csv"] = export.table_csv(found.to_pandas())
    files["evaluation.json"] = as_json(found.to_json(), indent=1)
    for name, figure in zip(export.names(found.figures), found.figures, strict=True):
        files |= {f"{name}.svg": drawing.svg(figure), f"{name}.csv": export.figure_csv(figure)}
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]


def show(found: Evaluation, written: Sequence[Path]) -> None:
    """Print what was measured: one dictionary measure by measure, several side by side; then what to know of it."""
    from assay.report import evaluations

    data = found.to_json()
    for line in evaluations.setting(data):
        say(line)
    print()
    if len(found.dictionaries) == 1:
        _one(found.dictionaries[0])
    else:
        (_few if len(found.dictionaries) <= 3 else _several)(found.dictionaries)
    print()
    for note in found.notes:
        say(note)
    if all(e["cached"] for e in found.dictionaries):
        print("stored before: nothing was run")
    for path in written:
        tell(str(path))
    if not written:
        print("With --out DIR: the report, a Pareto plot, every number as CSV and JSON.")


def _one(entry: Mapping[str, Any]) -> None:
    from assay.report.evaluations import rows

    table = grid(entry["name"], "estimate", "95 %", "", right=("estimate",))
    for row in rows(entry):
        table.add_row(row.label, row.estimate, row.interval, f"{row.unit}{', ' if row.unit and row.why else ''}{row.why}")
    draw(table)


def _few(entries: Sequence[Mapping[str, Any]]) -> None:
    """Every measure of two or three dictionaries side by side."""
    from rich.text import Text

    from assay.report.evaluations import labels, row

    table = grid("", *(e["name"] for e in entries))
    for name in dict.fromkeys(name for e in entries for name in e["measures"]):
        cells = [row(name, e["measures"][name]) if name in e["measures"] else None for e in entries]
        shown = [Text.assemble((c.estimate, "bold"), (f" {c.interval}", "bright_black")) if c else Text("") for c in cells]
        table.add_row(labels()[name], *shown)
    draw(table)


def _several(entries: Sequence[Mapping[str, Any]]) -> None:
    """The leading measures of many dictionaries, a row for each under its number."""
    from rich.text import Text

    from assay.report.evaluations import labels, row

    names = [name for name in LEADING if any(name in e["measures"] for e in entries)]
    listed = grid("", "dictionary", "site", right=("",))
    table = grid("", *(SHORT.get(name, labels()[name]) for name in names), right=("",))
    order = {site: i for i, site in enumerate(dict.fromkeys(e["site"] for e in entries))}
    for i, entry in enumerate(sorted(entries, key=lambda e: order[e["site"]]), 1):
        listed.add_row(str(i), entry["name"], entry["site"])
        cells = [row(name, entry["measures"][name]) if name in entry["measures"] else None for name in names]
        shown = [Text.assemble((c.estimate, "bold"), (f"\n{c.interval}", "bright_black")) if c else Text("") for c in cells]
        table.add_row(str(i), *shown)
    draw(listed)
    print()
    draw(table)
