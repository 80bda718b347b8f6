"""Exchange: dictionaries in from other libraries' files, and out to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from assay.core.errors import AssayError, DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.opening import load
from assay.dictionaries.formats.writing import write
from assay.dictionaries.kinds import to_json
from assay.evaluation import file_statements
from assay.evaluation.sources import find
from assay.features.index.reader import Index
from assay.lab.store.store import Store
from assay.verbs.bundle import Bundled, bundled, export_bundle
from assay.verbs.dashboards import FIRST, NOBODY, FeatureFiles, Which, export_features, exported
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.index import Indexed, in_store, make
from assay.verbs.options import (
    AS_WRITTEN,
    DEFAULT,
    HERE,
    USUAL,
    Choice,
    Device,
    Flag,
    Flat,
    More,
    Place,
    Reading,
    Several,
    Text,
    Trust,
    writable,
)
from assay.verbs.verb import Answer, AnswerPart, Door, Line, verb

FEATURES = ("html", "neuronpedia")
"""Formats of features, which come from an index."""


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a file leaves open."""

    format: str | None = None
    """saelens, dictionary-learning, sparsify, openai, gemma-scope, llama-scope, circuit-tracer or
    another, if the file names do not show it."""
    site: str | None = None
    """Where the activations come from, such as blocks.9.hook_resid_post."""
    site_out: Annotated[str | None, More] = None
    """The site that a transcoder reconstructs."""
    architecture: Annotated[str | None, More] = None
    """The other library's name for the architecture, if the tensors fit two."""
    scale: Annotated[float | None, More] = None
    """The factor on the inputs in training, if the file says that there was one but not which."""
    k: Annotated[int | None, More] = None
    """Active features per input, if a TopK file does not give it."""
    threshold: Annotated[float | None, More] = None
    """The threshold at inference, if a BatchTopK file has none."""


AS_IT_SAYS = Hints()


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


@verb("a dictionary of another library as a file of Assay's own")
def import_(
    path: Path,
    /,
    *,
    out: Path,
    hints: Annotated[Hints, Flat] = AS_IT_SAYS,
    trust: Trust = AS_WRITTEN,
) -> Answer[Exchanged]:
    """Convert another library's dictionary to Assay's format. To see whether it reconstructs
    activations well, use `assay evaluate`.

    Parameters
    ----------
    path
        A file or folder of SAELens, dictionary_learning, sparsify, OpenAI or Gemma Scope.
    out
        The safetensors file to write.

    Examples
    --------
    assay export gated-sae/showcase --out for-saelens
    assay import for-saelens --out mine.safetensors
    """
    with trust.raised():
        exchange = import_dictionary(path, out, hints)
    return Answer(exchange, words(exchange))


def import_dictionary(path: Path, out: Path, hints: Hints = AS_IT_SAYS) -> Exchanged:
    """Read another library's dictionary and write it into `out` as one of ours.

    Raises: DataError for a file that cannot be read; nothing is written then."""
    if out.exists():
        raise DataError(f"{out} exists already; remove it, or name another --out")
    writable(out.parent, "--out")
    dictionary = load(path, **vars(hints))
    write(dictionary, out, "assay")
    return _described(dictionary, [out])


@verb("files for other libraries; features and their index; the bundle of a result")
def export(
    name: str,
    /,
    *,
    out: Path | None = None,
    format: Literal["saelens", "assay", "index", "html", "neuronpedia", "bundle"] = "saelens",
    run: Annotated[int | None, More] = None,
    model: str | None = None,
    text: Text = "stdlib",
    reading: Annotated[Reading, Flat] = USUAL,
    also: Annotated[Several, More] = (),
    which: Annotated[Which, Flat] = FIRST,
    creator: Annotated[str, More] = NOBODY,
    hide_prompts: Annotated[Flag, More] = False,
    device: Annotated[Device, More] = "cpu",
    choice: Choice = DEFAULT,
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[Exchanged | Indexed | FeatureFiles | Bundled]:
    """Write a dictionary for another library, pages or tables of its features, or a result as a
    bundle that anyone can judge again with NumPy.

    Parameters
    ----------
    name
        A dictionary: any file that `assay import` reads, or a stored run. For a bundle, an
        experiment.
    out
        The folder to write. For the formats assay and html, the file; for a bundle, the zip file,
        by default NAME.zip. An index stays in the store.
    format
        saelens: cfg.json and sae_weights.safetensors, for SAELens 6, a folder for each run; index:
        every feature on a text, as Parquet files in the store; html: pages of features in one file
        that opens offline; neuronpedia: the files that it imports; bundle: claims, measures,
        verdicts and code that judges. The features of html and neuronpedia come from an index,
        which is made if the store has none.
    run
        The run to write, from 0; by default all.
    model
        The language model: its name for the other library's settings, or the one that is run for an
        index: smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch).
    also
        For an index: a dictionary of another seed, in which to search for the features. Repeatable.
        For a stored run, the default is the other seeds of its arm.
    creator
        The id of your account at Neuronpedia.
    hide_prompts
        For a bundle: write the hashes of prompts instead of their texts, if the texts may not be
        published.

    Examples
    --------
    assay export gated-sae/showcase --out sae
    assay export gated-sae/showcase --format index --tokens 8192
    assay export superposition --format bundle
    """
    refuse_mixture(format, run, which, creator, choice, out, hide_prompts=hide_prompts)

    def indexed() -> Index:
        lm = model or "smollm2"
        return make(name, lm, text, also, reading, device, network, place, door)

    if format == "bundle":
        bundle = export_bundle(place.lab(), *choice.of(name), out, hide_prompts=hide_prompts)
        return Answer(bundle, bundled(bundle))
    with trust.raised():
        if format == "index":
            return in_store(indexed())
        if out is None:
            raise AssayError(f"--out is missing: the place where {format} is to be written")
        if format == "saelens" or format == "assay":
            return of_dictionary(name, out, format, run, model, place)
        shown = export_features(
            name, out, format, which, root=place.root, creator=creator, make=indexed
        )
        return Answer(shown, exported(shown))


def of_dictionary(
    name: str, out: Path, format: str, run: int | None, model: str | None, place: Place
) -> Answer[Exchanged]:
    """Write a dictionary, or one run of it, for another library."""
    (source, *_) = find([name], Store(place.root))
    dictionary = source.read()
    written = write(dictionary, out, format, run=run, model=model)
    exchange = _described(dictionary if run is None else dictionary[run], written)
    return Answer(exchange, words(exchange))


def refuse_mixture(
    format: str,
    run: int | None,
    which: Which,
    creator: str,
    choice: Choice,
    out: Path | None,
    *,
    hide_prompts: bool = False,
) -> None:
    """Refuse options that belong to another format. Raises: AssayError."""
    dictionary, features = format in ("saelens", "assay"), format in FEATURES
    wrong = (
        ("--run", run is not None, dictionary, "whole dictionaries"),
        ("--features, --top or --by", which != FIRST, features, "pages and files of features"),
        ("--creator", creator != NOBODY, format == "neuronpedia", "--format neuronpedia"),
        ("--preset or --set", choice != DEFAULT, format == "bundle", "--format bundle"),
        ("--hide-prompts", hide_prompts, format == "bundle", "--format bundle"),
        ("--out", out is not None, format != "index", "files; an index stays in the store"),
    )
    for option, typed, fits, what in wrong:
        if typed and not fits:
            raise AssayError(f"{option} does not go with --format {format}: it is for {what}")


def words(exchange: Exchanged) -> Iterator[AnswerPart]:
    """Tell what kind of dictionary was read or written, where it comes from, and the files."""
    kind, origin = exchange.nonlinearity, exchange.origin
    active = f" (k {kind['k']})" if "k" in kind else ""
    shape = f"{exchange.width} features of {exchange.d_in} dimensions"
    if exchange.d_out != exchange.d_in or exchange.sites_out:
        shape += f" to {exchange.d_out}"
    sites = " → ".join(", ".join(s) for s in (exchange.sites, exchange.sites_out) if s)
    runs = f", {exchange.runs} runs" if exchange.runs > 1 else ""
    yield Line(f"{kind['name']}{active}: {shape}, {sites or 'no place named'}{runs}")
    if "file" in origin:  # what Assay trained itself comes from no file
        sha256 = str(origin.get("sha256", ""))[:12]
        yield Line(f"from {origin.get('format', 'a file')}: {origin['file']}, sha256 {sha256}…")
    if origin.get("inferred"):
        yield Line(f"inferred, not stated in the file: {', '.join(origin['inferred'])}")
    yield from map(Line, file_statements.unread(origin))
    yield from (Line(f"wrote {path}") for path in exchange.written)


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
