"""Evaluate: every core measure of dictionaries that somebody has, on a model and text that somebody
has."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from assay.core import foreign
from assay.core.errors import AssayError
from assay.core.plain import as_json
from assay.core.schema import OPTIONAL, to_json
from assay.evaluation import evaluating
from assay.evaluation.result import Evaluation
from assay.report import draw, evaluations, export
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.options import (
    AS_WRITTEN,
    HERE,
    Device,
    Flat,
    More,
    Place,
    Trust,
    device_here,
    writable,
)
from assay.verbs.verb import Answer, AnswerPart, Cell, Door, Line, Table, verb

LEADING = ("l0", "fvu", "gamma", "ce_increase", "loss_recovered_mean", "loss_recovered_zero")
"""What the table of more than three dictionaries shows; the rest is in --json and in the report."""
TABLE = "documents.csv"
"""The sums over each document, a row for each dictionary and document."""
SHORT = {"loss_recovered_mean": "recovered (mean)", "loss_recovered_zero": "recovered (zero)"}


@dataclass(frozen=True, kw_only=True)
class Where:
    """What dictionaries are evaluated on."""

    model: str | None = None
    """smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch)."""
    text: str | None = None
    """stdlib, docs (docstrings), or a folder of text files."""
    acts: Path | None = None
    """A safetensors file in place of a model and a text: acts [rows, d] and document [rows], or
    acts [windows, positions, d]. Losses are then not measured."""


@dataclass(frozen=True, kw_only=True)
class How:
    """How they are evaluated; what is not given comes from each dictionary's own file."""

    site: str = ""
    """Where activations are read, such as blocks.9.hook_resid_post or layers.9 (the output of block
    9)."""
    site_out: Annotated[str, More] = ""
    """The site that a transcoder reconstructs."""
    tokens: int = 110_000
    """The number of tokens that the model reads, at most."""
    context: Annotated[int | None, More] = None
    """Tokens in a window, including a BOS; 128 if the file does not say."""
    bos: Annotated[bool | None, More] = None
    """Whether each window starts with the model's BOS token. By default as in the dictionary's
    file, or as the model's tokenizer does."""
    skip_first: Annotated[int, More] = 1
    """Positions at the start of each window that are left out of every measure."""
    outlier: Annotated[float, More] = 6.0
    """Activations longer than this many times the median are left out too; 0: none."""
    ablation_tokens: Annotated[int, More] = 12_500
    """Tokens on which the loss is also measured with the site ablated."""
    part: Annotated[Literal["auto", "all", "train", "validation", "test"], More] = "auto"
    """The part of the text; files are split by the hash of their path. auto: the test part if the
    dictionary was trained on this text, otherwise all."""
    dtype: Annotated[Literal["float32", "bfloat16"], More] = "float32"
    """The number format in which the model computes."""


ON, AS_FILED = Where(), How()


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
    the measure's name, `luck` the smallest differences that are not seed noise, or null; `compared`
    has leading measures of random directions, principal components and the mean, or is null."""
    notes: tuple[str, ...]
    definitions: Mapping[str, Mapping[str, str]]
    """Unit, better direction and formula of every measure."""
    written: tuple[Path, ...]


@verb("every measure of dictionaries on a text")
def evaluate(
    *dictionaries: str,
    on: Annotated[Where, Flat] = ON,
    how: Annotated[How, Flat] = AS_FILED,
    device: Device = "cpu",
    batch: Annotated[int | None, More] = None,
    out: Path | None = None,
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[Evaluated]:
    """Measure dictionaries on a model and a text, with intervals: sparsity, reconstruction, loss
    recovered. Several dictionaries give one table and one plot.

    Parameters
    ----------
    dictionaries
        Files or folders of any known format, stored runs such as gated-sae/showcase, or names that
        `assay fetch` takes.
    batch
        Tokens in one pass of the model. This changes the memory that is needed, not the numbers.
    out
        A folder for the report, the plots, every number as CSV and JSON, and documents.csv: a row
        for each dictionary and document, which `assay judge` reads.

    Examples
    --------
    assay evaluate gated-sae/showcase --model smollm2 --text stdlib --tokens 6000
    """
    network.bring(door, on.model, *dictionaries)
    with trust.raised(), door.measuring() as bar:
        if out is not None:
            writable(out, "--out")
        evaluation = evaluating.evaluate(
            *dictionaries,
            **vars(on),
            **vars(how),
            root=place.root,
            device=device_here(device),
            batch=batch,
            progress=bar,
            watch=bar.watch,
        )
        before = evaluated_in(out) if out is not None else ()
        written = write(evaluation, out) if out is not None else []
    if before and before != tuple(e["name"] for e in evaluation.to_json()["dictionaries"]):
        door.aside(f"{out} had an evaluation of {', '.join(before)}, which this one replaced")
    fields = evaluation.to_json()
    evaluated = Evaluated(
        **fields | {"dictionaries": tuple(fields["dictionaries"]), "notes": tuple(fields["notes"])},
        written=tuple(written),
    )
    return Answer(evaluated, words(evaluated))


def words(evaluation: Evaluated) -> Iterator[AnswerPart]:
    """Tell what was measured: one dictionary measure by measure, several side by side; then what to
    know of it."""
    plain, entries = to_json(evaluation), evaluation.dictionaries
    yield from evaluations.setting(plain)
    yield ""
    yield from (
        single(entries[0]) if len(entries) == 1 else (few if len(entries) <= 3 else many)(entries)
    )
    yield ""
    if unequal := evaluations.unequal_l0([e["measures"]["l0"]["estimate"] for e in entries]):
        yield unequal
        yield ""
    yield from against_baselines(entries)
    yield from (*evaluation.notes, *evaluations.luck(plain))
    if all(e["cached"] for e in entries):
        yield "stored before: nothing was run"
    yield from map(Line, map(str, evaluation.written))
    if table := next((p for p in evaluation.written if p.name == TABLE), None):
        yield from judging(table, [e["name"] for e in entries])
    if not evaluation.written:
        yield "With --out DIR: the report, a Pareto plot, every number as CSV and JSON."


def judging(table: Path, names: Sequence[str]) -> Iterator[AnswerPart]:
    """Show the command that judges a difference between the first two dictionaries; the third
    stands for a control."""
    first, second, *controls = names if len(names) > 1 else ("", "")
    if not first:
        return
    arms = [name if name.isidentifier() else f'"{name}"' for name in (first, second)]
    claim = " - ".join(f"mean({arm}.error)/mean({arm}.variance)" for arm in arms) + " < -0.01"
    words = ["assay", "judge", str(table), "--unit", "document"]
    words += ["--control", controls[0]] if controls else []
    yield "To judge a difference:"
    yield Line(f"{shlex.join(words)} \\")
    yield Line(f"  --claim {shlex.quote(claim)}")


def single(entry: Mapping[str, Any]) -> Iterator[AnswerPart]:
    """Tell every measure of one dictionary, a row for each."""
    rows = [
        (r.label, r.estimate, r.interval, f"{r.unit}{', ' if r.unit and r.why else ''}{r.why}")
        for r in evaluations.rows(entry)
    ]
    yield Table((entry["name"], "estimate", "95 %", ""), rows, right=("estimate",))


def against_baselines(entries: Sequence[Mapping[str, Any]]) -> Iterator[AnswerPart]:
    """Tell of each dictionary what it is compared with; of one also as a table."""
    compared = [(e["name"], e["compared"]) for e in entries if e["compared"]]
    for name, numbers in compared:
        if len(entries) == 1:
            rows = evaluations.baseline_rows(numbers)
            yield Table(evaluations.baseline_heads(numbers), rows)
            yield ""
        text = evaluations.baselines(numbers)
        yield text if len(entries) == 1 else f"{name}: {text}"
    if compared:
        yield ""


def few(entries: Sequence[Mapping[str, Any]]) -> Iterator[AnswerPart]:
    """Tell every measure of two or three dictionaries, a column for each."""
    names = dict.fromkeys(name for e in entries for name in e["measures"])
    rows = [(evaluations.labels()[name], *(cell(e, name, " ") for e in entries)) for name in names]
    yield Table(("", *(e["name"] for e in entries)), rows)


def many(entries: Sequence[Mapping[str, Any]]) -> Iterator[AnswerPart]:
    """Tell the leading measures of many dictionaries, a row for each under its number."""
    names = [name for name in LEADING if any(name in e["measures"] for e in entries)]
    order = {site: i for i, site in enumerate(dict.fromkeys(e["site"] for e in entries))}
    numbered = [
        (str(i), e) for i, e in enumerate(sorted(entries, key=lambda e: order[e["site"]]), 1)
    ]
    yield Table(
        ("", "dictionary", "site"), [(i, e["name"], e["site"]) for i, e in numbered], right=("",)
    )
    yield ""
    heads = [SHORT.get(name, evaluations.labels()[name]) for name in names]
    rows = [(i, *(cell(e, name, "\n") for name in names)) for i, e in numbered]
    yield Table(("", *heads), rows, right=("",))


def cell(entry: Mapping[str, Any], name: str, between: str) -> Cell:
    """Write one measure of a dictionary, and its interval after it."""
    if name not in entry["measures"]:
        return ""
    row = evaluations.row(name, entry["measures"][name])
    return row.estimate, f"{between}{row.interval}"


def evaluated_in(out: Path) -> tuple[str, ...]:
    """Name the dictionaries whose evaluation a folder holds; none where it holds none that can be
    read."""
    try:
        data = foreign.json_object(out / "evaluation.json")
        return tuple(str(entry["name"]) for entry in data["dictionaries"])
    except (OSError, ValueError, LookupError, TypeError, AssayError):
        return ()


def write(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write into a folder the report, every measure as CSV and JSON, the sums over each document,
    which `assay judge` reads, and each figure as SVG with its data."""

    out.mkdir(parents=True, exist_ok=True)
    files = {"evaluation.html": evaluations.page(evaluation.to_json(), evaluation.figures)}
    files["evaluation.csv"] = export.table_csv(evaluation.to_pandas())
    files[TABLE] = export.table_csv(evaluation.documents)
    files["evaluation.json"] = as_json(evaluation.to_json(), indent=1)
    for name, figure in zip(export.names(evaluation.figures), evaluation.figures, strict=True):
        files |= {f"{name}.svg": draw.svg(figure), f"{name}.csv": export.figure_csv(figure)}
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]
