"""Exchange: dictionaries in from other libraries' files, tried on real activations, and out to
them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from assay.core import foreign
from assay.core.errors import AssayError, DataError, ModelError
from assay.core.heavy import torch
from assay.data import corpus
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.opening import load
from assay.dictionaries.formats.trial import Trial, self_test
from assay.dictionaries.formats.writing import write
from assay.dictionaries.kinds import to_json
from assay.evaluation import file_statements
from assay.evaluation.acts import fingerprint, open_file
from assay.evaluation.sources import find
from assay.evaluation.text import most_tokens
from assay.lab.store.store import Store
from assay.subjects.folder import find as find_model
from assay.subjects.pretrained import load as load_model
from assay.subjects.site import Site
from assay.verbs.bundle import Bundled, bundled, export_bundle
from assay.verbs.dashboards import FIRST, NOBODY, Shown, Which, export_features, exported
from assay.verbs.options import (
    AS_WRITTEN,
    DEFAULT,
    HERE,
    Choice,
    Flag,
    Flat,
    Place,
    Trust,
    writable,
)
from assay.verbs.verb import Answer, Line, Part, verb

CONTEXT, TOKENS = 128, 8192
OUTLIER = 6.0
"""Activations longer than this many medians are left out of the trial, as they are of training and
evaluation."""
TRIED = 4 * 2**30
"""Bytes of a file of activations to try a dictionary on, which is read at once."""


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a file leaves open."""

    format: str | None = None
    """saelens, dictionary-learning, sparsify, openai, gemma-scope, llama-scope, circuit-tracer or
    another, where names do not tell."""
    site: str | None = None
    """Where the activations come from, such as blocks.9.hook_resid_post."""
    site_out: str | None = None
    """Where a transcoder's reconstruction belongs."""
    architecture: str | None = None
    """The other library's name of the architecture, where the tensors fit two."""
    scale: float | None = None
    """Factor on the inputs in training, where the file says that there was one and not which."""
    k: int | None = None
    """Active features per input, where a TopK file does not hold it."""
    threshold: float | None = None
    """Inference threshold, where a BatchTopK file holds none."""


@dataclass(frozen=True, kw_only=True)
class Real:
    """Real activations to try the dictionary on, at least 4,096: a wrong convention loads without
    an error and shows here."""

    acts: Path | None = None
    """A safetensors file with acts [rows, d], and target for a transcoder."""
    model: str | None = None
    """smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch), run on
    --text."""
    text: str | None = None
    """stdlib, docs (docstrings), or a folder of text files."""


AS_IT_SAYS, UNTRIED = Hints(), Real()


@dataclass(frozen=True)
class Tried:
    """How a dictionary did on real activations: active features per activation, variance explained,
    ‖x̂‖ / ‖x‖, and what that says."""

    rows: int
    l0: float
    ev: float
    fvu: float
    norm_ratio: float
    reconstructs: bool
    verdict: str


@dataclass(frozen=True)
class Exchanged:
    """A dictionary that was read or written: shape, kind, places, where it comes from, how it did,
    and the files."""

    runs: int
    d_in: int
    width: int
    d_out: int
    nonlinearity: Mapping[str, Any]
    sites: tuple[str, ...]
    sites_out: tuple[str, ...]
    per_token: str
    origin: Mapping[str, Any]
    self_test: tuple[Tried, ...]
    written: tuple[Path, ...]


@verb("a dictionary of another library, tried and rewritten")
def import_(
    path: Path,
    /,
    *,
    out: Path,
    hints: Annotated[Hints, Flat] = AS_IT_SAYS,
    real: Annotated[Real, Flat] = UNTRIED,
    trust: Trust = AS_WRITTEN,
) -> Answer[Exchanged]:
    """Read another library's dictionary and keep it as one of ours; with activations, only if it
    reconstructs them.

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
        exchange = import_dictionary(path, out, hints, real)
    return Answer(exchange, words(exchange))


def import_dictionary(
    path: Path, out: Path, hints: Hints = AS_IT_SAYS, real: Real = UNTRIED
) -> Exchanged:
    """Read another library's dictionary and write it into `out` as one of ours.

    Raises: DataError for a file that cannot be read, and for a dictionary that does not
    reconstruct; nothing is written then."""
    if out.exists():
        raise DataError(f"{out} exists already; remove it, or name another --out")
    writable(out.parent, "--out")
    if real.acts is not None and (real.model or real.text):
        raise AssayError("give --acts, or --model and --text, and not both")
    if (real.model is None) != (real.text is None):
        raise AssayError("--model and --text go together: the one runs on the other")
    dictionary = load(path, **vars(hints))
    trials = _tried(dictionary, real)
    for trial in trials:
        if not trial.reconstructs:
            raise DataError(f"{path} {trial.verdict}; nothing was written")
    write(dictionary, out, "assay")
    return _described(dictionary, trials, [out])


@verb("files for other libraries; features as dashboards; the bundle of a result")
def export(
    name: str,
    /,
    *,
    out: Path | None = None,
    format: Literal[
        "saelens", "assay", "html", "saedashboard", "neuronpedia", "bundle"
    ] = "saelens",
    run: int | None = None,
    model: str | None = None,
    which: Annotated[Which, Flat] = FIRST,
    creator: str = NOBODY,
    hide_prompts: Flag = False,
    choice: Choice = DEFAULT,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> Answer[Exchanged | Shown | Bundled]:
    """Write a dictionary for another library, means and scales folded into its weights; or pages of
    its features, once it has an index; or the bundle of a result, which anybody judges again with
    NumPy alone.

    Parameters
    ----------
    name
        A dictionary: any file that `assay import` reads, or a stored run. For a bundle, an
        experiment.
    out
        The folder to write; for format assay and html, the file; for a bundle a zip, NAME.zip where
        none is named.
    format
        saelens: cfg.json and sae_weights.safetensors, for SAELens 6, a folder for each run; html:
        pages of features in one file that opens offline; saedashboard, neuronpedia: the files of
        those; bundle: claims, measures, verdicts and code that judges.
    run
        Which run, from 0; without it, all.
    model
        The language model's name, for the other library's settings.
    creator
        Id of your account at Neuronpedia.
    hide_prompts
        Of a bundle: the hashes of prompts instead of their texts, where these may not be passed on.

    Examples
    --------
    assay export gated-sae/showcase --out sae
    assay export superposition --format bundle
    """
    refuse_mixture(format, run, model, which, creator, choice, hide_prompts=hide_prompts)
    if format == "bundle":
        bundle = export_bundle(place.lab(), *choice.of(name), out, hide_prompts=hide_prompts)
        return Answer(bundle, bundled(bundle))
    if out is None:
        raise AssayError(f"--out is missing: where format {format} is to be written")
    with trust.raised():
        if format in ("html", "saedashboard", "neuronpedia"):
            shown = export_features(name, out, format, which, root=place.root, creator=creator)
            return Answer(shown, exported(shown))
        (source, *_) = find([name], Store(place.root))
        dictionary = source.read()
    written = write(dictionary, out, format, run=run, model=model)
    exchange = _described(dictionary if run is None else dictionary[run], [], written)
    return Answer(exchange, words(exchange))


def refuse_mixture(
    format: str,
    run: int | None,
    model: str | None,
    which: Which,
    creator: str,
    choice: Choice,
    *,
    hide_prompts: bool = False,
) -> None:
    """Refuse options that belong to another format. Raises: AssayError."""
    if format == "bundle":
        if (run, model, which, creator) != (None, None, FIRST, NOBODY):
            raise AssayError(
                "--run, --model, --features, --top, --by and --creator are for dictionaries; a "
                "bundle is of a whole result"
            )
        return
    if choice != DEFAULT or hide_prompts:
        raise AssayError(
            f"--preset, --set and --hide-prompts are for --format bundle; format {format} writes "
            "a dictionary"
        )
    if format in ("saelens", "assay"):
        if which != FIRST:
            raise AssayError(
                f"--features, --top and --by choose features; format {format} writes the whole "
                "dictionary"
            )
    elif run is not None or model is not None:
        raise AssayError(
            f"--run and --model are for dictionaries; format {format} writes features of an index"
        )


def words(exchange: Exchanged) -> Iterator[Part]:
    """Tell what kind of dictionary was read or written, where it comes from, how it did, and the
    files."""
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
    yield from (Line(trial.verdict) for trial in exchange.self_test)
    yield from (Line(f"wrote {path}") for path in exchange.written)


def _described(
    dictionary: Dictionary, trials: Sequence[Trial], written: Sequence[Path]
) -> Exchanged:
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
        self_test=tuple(
            Tried(t.rows, t.l0, t.ev, t.fvu, t.norm_ratio, t.reconstructs, t.verdict)
            for t in trials
        ),
        written=tuple(written),
    )


def _tried(dictionary: Dictionary, real: Real) -> list[Trial]:
    if real.acts is not None:
        x, y = _of_file(real.acts)
    elif real.model is not None and real.text is not None:
        x, y = _of_model(dictionary, real.model, real.text)
    else:
        return []
    if not bool(x.isfinite().all()) or (y is not None and not bool(y.isfinite().all())):
        raise DataError("the activations have numbers that are NaN or infinite")
    length = x.float().norm(dim=-1)
    keep = length <= OUTLIER * length.median()
    return self_test(
        dictionary, x[keep], y[keep] if dictionary.sites_out and y is not None else None
    )


def _of_file(path: Path) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Read the activations of a file and, where it has them, the targets; a row each."""
    from safetensors import safe_open

    fingerprint(path)  # refuses what is no file
    file = open_file(foreign.tensors(path, TRIED))
    with safe_open(path, "pt") as opened:
        x = opened.get_tensor(file.name).flatten(0, -2).float()
        return x, opened.get_tensor(file.target).flatten(0, -2).float() if file.target else None


def _of_model(
    dictionary: Dictionary, model: str, text: str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute a model's activations where the dictionary reads and writes, on windows of a text;
    the first position is left out."""

    folder = find_model(model)
    if len(dictionary.sites) != 1:
        raise DataError(
            "the file does not say where its activations come from; say it with --site, such "
            "as blocks.9.hook_resid_post"
        )
    sites = [Site.parse(name) for name in (*dictionary.sites, *dictionary.sites_out)]
    for site, width in zip(
        sites, (dictionary.W_enc.shape[1], dictionary.W_dec.shape[2]), strict=False
    ):
        if folder.width(site) != width:
            raise ModelError(
                f"{site} of {model} has {folder.width(site)} numbers per token, the "
                f"dictionary has {width}"
            )
    context = min(CONTEXT, most_tokens(folder))
    windows = corpus.load(text).windows(
        folder.tokenizer.encode, "all", context=context, count=-(-TOKENS // context), fewer=True
    )
    subject = load_model(model)
    parts: list[list[torch.Tensor]] = [[] for _ in sites]
    for tokens in torch.from_numpy(windows.tokens.astype("int64")).split(16):
        trace = subject.run(tokens, capture=sites, logits=False)
        for part, site in zip(parts, sites, strict=True):
            part.append(trace.acts[site].flatten(2)[:, 1:].flatten(0, 1).float())
    activations = [torch.cat(part) for part in parts]
    return activations[0], activations[1] if len(activations) > 1 else None
