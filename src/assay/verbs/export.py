"""Export: a dictionary for another library or from one, its features, or the bundle of a result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from assay.core.compute import in_bytes
from assay.core.errors import AssayError, DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.writing import write
from assay.dictionaries.nonlinearity import to_json
from assay.evaluation import file_statements, indexing
from assay.evaluation.sources import find, open_dictionary
from assay.explorer import offline
from assay.features.index.reader import Index
from assay.lab.store import atomic
from assay.lab.store.store import Store
from assay.report.bundle.making import Bundled, export_bundle
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.index import USUAL, Indexed, Reading, in_store, make
from assay.verbs.parts import written
from assay.verbs.verb import (
    DEFAULT,
    HERE,
    Answer,
    Choice,
    Device,
    Door,
    Flag,
    Flat,
    More,
    Place,
    Several,
    Text,
    verb,
)
from assay.verbs.writable import writable, writable_file


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which features are exported."""

    features: str = ""
    """The numbers of the features to write, such as 1,2,5-9."""
    top: int | None = None
    """How many features to write: those with the largest `by`; by default 100, if none is named."""
    by: str = "importance"
    """The column of the index by which --top chooses: importance, gradient_total, density, maximum,
    …. Features without a value are left out."""


FIRST = Which()


@dataclass(frozen=True, kw_only=True)
class FeaturePages:
    """Features as pages in one file: of which dictionary, how many, and where the file is."""

    address: str
    features: tuple[int, ...]
    chosen: str
    """How they were, in words."""
    written: Path
    bytes: int


def export_features(
    dictionary: str,
    out: Path,
    which: Which = FIRST,
    *,
    root: Path = Path("assay-store"),
    make: Callable[[], Index] | None = None,
) -> FeaturePages:
    """Write pages of a dictionary's features; `dictionary` is a file, a stored run or an address in
    the explorer, and `make` makes its index where the store has none.

    Raises: DataError for a dictionary without an index, and features that are not there; AssayError
    where nothing can be written."""

    store = Store(root)
    if out.exists():
        raise AssayError(f"{out} exists already; remove it, or name another --out")
    index = indexing.known(dictionary, store) or (make() if make is not None else None)
    if index is None:
        raise DataError(
            f"{dictionary} has no index in {root}; make one with: assay export {dictionary} "
            "--format index"
        )
    numbers, chosen = choose(index, which)
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(out, offline.page(index, numbers, chosen).encode("utf-8", "replace"))
    return FeaturePages(
        address=index.about.address,
        features=tuple(numbers),
        chosen=chosen,
        written=out,
        bytes=out.stat().st_size,
    )


def choose(index: Index, which: Which) -> tuple[list[int], str]:
    """Find the features that are meant, in order, and say how they were chosen. Raises: DataError
    for one that is not there."""
    if which.features:
        if which.top is not None:
            raise AssayError("--features and --top both choose features; give one of them")
        numbers: dict[int, None] = {}
        for part in which.features.split(","):
            match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            if last < first or last >= index.about.d_sae:
                raise DataError(
                    f"--features is numbers from 0 to {index.about.d_sae - 1:,}, such as "
                    f"1,2,5-9; got {part!r}"
                )
            numbers |= dict.fromkeys(range(first, last + 1))
        return list(numbers), "as named"
    top = 100 if which.top is None else which.top
    if top < 1:
        raise AssayError(f"--top is a number of features, at least 1, got {top}")
    rows = [
        row for row in index.features(order=which.by, limit=top).rows if row[which.by] is not None
    ]
    if not rows:
        raise DataError(
            f"no feature of {index.about.address} has a number {which.by}; choose by another "
            "one, such as --by density"
        )
    return [row["feature"] for row in rows], f"those with the largest {which.by.replace('_', ' ')}"


@dataclass(frozen=True)
class Exchanged:
    """A dictionary that was read or written: shape, kind, places, where it comes from, and the
    files."""

    runs: int
    d_in: int
    width: int
    d_out: int
    nonlinearity: Mapping[str, Any]
    sites: tuple[str, ...]
    sites_out: tuple[str, ...]
    per_token: str
    origin: Mapping[str, Any]
    written: tuple[Path, ...]


@verb("files for other libraries; features and their index; the bundle of a result")
def export(
    name: str,
    /,
    *,
    out: Path | None = None,
    format: Literal["saelens", "assay", "index", "html", "bundle"] = "saelens",
    hint: Annotated[Several, More] = (),
    run: Annotated[int | None, More] = None,
    model: str | None = None,
    text: Text = "stdlib",
    reading: Annotated[Reading, Flat] = USUAL,
    also: Annotated[Several, More] = (),
    which: Annotated[Which, Flat] = FIRST,
    hide_prompts: Annotated[Flag, More] = False,
    device: Annotated[Device, More] = "cpu",
    choice: Choice = DEFAULT,
    network: Network = OFFLINE,
    place: Place = HERE,
    door: Door,
) -> Answer[Exchanged | Indexed | FeaturePages | Bundled]:
    """Convert a dictionary to or from another library's format, write its features as pages or
    tables, or write a result as a bundle that anyone can judge again with NumPy.

    Parameters
    ----------
    name
        A dictionary: a file or folder of SAELens, dictionary_learning, sparsify, OpenAI, Gemma
        Scope or Assay, or a stored run. For a bundle, an experiment.
    out
        The folder to write. For the formats assay and html, the file; for a bundle, the zip file,
        by default NAME.zip. An index stays in the store.
    format
        saelens: cfg.json and sae_weights.safetensors, for SAELens 6, a folder for each run; assay:
        one safetensors file; index: every feature on a text, as Parquet files in the store; html:
        pages of features in one file that opens offline; bundle: claims, measures, verdicts and
        code that judges. The features of html come from an index, which is made if the store has
        none.
    hint
        name=value: what a dictionary's file leaves open. Names are format, site, site_out,
        architecture, scale, k and threshold. Repeatable.
    run
        The run to write, from 0; by default all.
    model
        The language model: its name for the other library's settings, or the one that is run for an
        index: smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch).
    also
        For an index: a dictionary of another seed, in which to search for the features. Repeatable.
        For a stored run, the default is the other seeds of its arm.
    hide_prompts
        For a bundle: write the hashes of prompts instead of their texts, if the texts may not be
        published.

    Examples
    --------
    assay export gated-sae/showcase --out for-saelens
    assay export for-saelens --format assay --out mine.safetensors
    assay export gated-sae/showcase --format index --tokens 8192
    assay export superposition --format bundle
    """
    refuse_mixture(format, hint, run, which, choice, out, hide_prompts=hide_prompts)

    def indexed() -> Index:
        lm = model or "smollm2"
        return make(name, lm, text, also, reading, device, network, place, door)

    if format == "bundle":
        return of_result(name, out, choice, place, hide_prompts=hide_prompts)
    if format == "index":
        return in_store(indexed())
    if out is None:
        raise AssayError(f"--out is missing: the place where {format} is to be written")
    if format == "saelens" or format == "assay":
        return of_dictionary(name, out, format, hint, run, model, place)
    writable(out.absolute().parent, "--out")
    shown = export_features(name, out, which, root=place.root, make=indexed)
    return Answer(shown, written("features_written", f=shown, size=in_bytes(shown.bytes)))


def refuse_mixture(
    format: str,
    hint: Sequence[str],
    run: int | None,
    which: Which,
    choice: Choice,
    out: Path | None,
    *,
    hide_prompts: bool,
) -> None:
    """Refuse options that belong to another format. Raises: AssayError."""
    dictionary = format in ("saelens", "assay")
    owned = (
        ("--run", run is not None, dictionary, "whole dictionaries"),
        ("--hint", bool(hint), dictionary, "whole dictionaries"),
        ("--features, --top or --by", which != FIRST, format == "html", "pages of features"),
        ("--preset or --set", choice != DEFAULT, format == "bundle", "--format bundle"),
        ("--hide-prompts", hide_prompts, format == "bundle", "--format bundle"),
        ("--out", out is not None, format != "index", "files; an index stays in the store"),
    )
    for option, typed, fits, what in owned:
        if typed and not fits:
            raise AssayError(f"{option} does not go with --format {format}: it is for {what}")


# a dictionary for another library, and a result as a bundle ---------------------------------------


def of_dictionary(
    name: str,
    out: Path,
    format: str,
    hint: Sequence[str],
    run: int | None,
    model: str | None,
    place: Place,
) -> Answer[Exchanged]:
    """Write a dictionary, or one run of it, for another library or from one."""
    writable(out.absolute().parent, "--out")
    if hint:
        dictionary = open_dictionary(name, root=place.root, **dict(map(_hinted, hint)))
    else:
        dictionary = find([name], Store(place.root))[0].read()
    files = write(dictionary, out, format, run=run, model=model)
    exchange = _described(dictionary if run is None else dictionary[run], files)
    unread = file_statements.unread(exchange.origin)
    return Answer(exchange, written("dictionary_written", d=exchange, unread=unread))


def of_result(
    name: str, out: Path | None, choice: Choice, place: Place, *, hide_prompts: bool
) -> Answer[Bundled]:
    """Write the bundle of a result."""
    if out is not None:
        writable_file(out, "--out")
    bundle = export_bundle(place.lab(), *choice.of(name), out, hide_prompts=hide_prompts)
    return Answer(bundle, written("bundle", b=bundle, size=in_bytes(bundle.bytes)))


def _hinted(text: str) -> tuple[str, str | float]:
    """Read name=value; a number where the value is one. Raises: AssayError."""
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise AssayError(f"--hint is name=value, such as scale=12.5; got {text!r}")
    with suppress(ValueError):
        return name, int(value) if name == "k" else float(value)
    return name, value


def _described(dictionary: Dictionary, written: Sequence[Path]) -> Exchanged:
    return Exchanged(
        runs=len(dictionary),
        d_in=dictionary.W_enc.shape[1],
        width=dictionary.width,
        d_out=dictionary.W_dec.shape[2],
        nonlinearity=to_json(dictionary.nonlinearity),
        sites=tuple(dictionary.sites),
        sites_out=tuple(dictionary.sites_out),
        per_token=dictionary.per_token,
        origin=dict(dictionary.origin),
        written=tuple(written),
    )
