"""Exchange: dictionaries in from other libraries' files, tried on real activations, and out to
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import foreign
from assay.core.errors import AssayError, DataError, ModelError
from assay.core.heavy import torch
from assay.verbs.destination import writable

if TYPE_CHECKING:
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.formats.trial import Trial

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
    """stdlib, docs (English prose), or a folder of text files."""


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


def import_dictionary(
    path: Path, out: Path, hints: Hints = AS_IT_SAYS, real: Real = UNTRIED
) -> Exchanged:
    """Read another library's dictionary and write it into `out` as one of ours.

    Raises: DataError for a file that cannot be read, and for a dictionary that does not
    reconstruct; nothing is written then."""
    from assay.dictionaries.formats.opening import load
    from assay.dictionaries.formats.writing import write

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


def export_dictionary(
    dictionary: Dictionary, out: Path, format: str, run: int | None = None, model: str | None = None
) -> Exchanged:
    """Write a dictionary, or one run of it, into `out` for another library. Raises: DataError for
    what the format cannot carry."""
    from assay.dictionaries.formats.writing import write

    written = write(dictionary, out, format, run=run, model=model)
    return _described(dictionary if run is None else dictionary[run], [], written)


def find_dictionary(name: str, root: Path) -> Dictionary:
    """Read the dictionaries of a file, a folder, or a stored run. Raises: AssayError, naming what
    is stored."""
    from assay.evaluation.sources import find
    from assay.lab.store.store import Store

    return find([name], Store(root))[0].read()


def _described(
    dictionary: Dictionary, trials: Sequence[Trial], written: Sequence[Path]
) -> Exchanged:
    from assay.dictionaries.kinds import to_json

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
    from assay.dictionaries.formats.trial import self_test

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

    from assay.evaluation.acts import fingerprint, open_file

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

    from assay.data import corpus
    from assay.evaluation.text import most_tokens
    from assay.subjects.folder import find
    from assay.subjects.pretrained import load
    from assay.subjects.site import Site

    folder = find(model)
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
    subject = load(model)
    parts: list[list[torch.Tensor]] = [[] for _ in sites]
    for tokens in torch.from_numpy(windows.tokens.astype("int64")).split(16):
        trace = subject.run(tokens, capture=sites, logits=False)
        for part, site in zip(parts, sites, strict=True):
            part.append(trace.acts[site].flatten(2)[:, 1:].flatten(0, 1).float())
    activations = [torch.cat(part) for part in parts]
    return activations[0], activations[1] if len(activations) > 1 else None
