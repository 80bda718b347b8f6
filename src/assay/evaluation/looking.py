"""look: the strongest features of each token of one text, and what taking a feature out does to the
model's loss on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.core.nouns import counted
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.sums import outlier_limit
from assay.evaluation import file_statements, sources, summary
from assay.evaluation.setting import Setting
from assay.evaluation.text import check_context, sites
from assay.evaluation.watching import Begun, Warned, Watch, warn
from assay.features.effects import directions, extremes
from assay.features.importance import STREAM
from assay.features.live.ablation import ablate_features, reconstructed_loss
from assay.features.live.reader import Firings, Reader, Reading
from assay.lab.store.store import Store
from assay.subjects import folder as models
from assay.subjects.pretrained import Pretrained, load, name_of

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES = 8
"""So many features are taken out for each that is shown: those that add most to the reconstruction
of this text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """One text through one dictionary, as `look` found it: each token with its losses and strongest
    features, and the features that matter most.

    Example:
        >>> import dataclasses
        >>> import assay
        >>> unset = dict.fromkeys(field.name for field in dataclasses.fields(assay.Look))
        >>> feature = {"feature": 7, "delta": 0.5, "activations": [0.0, 1.5]}
        >>> look = assay.Look(**unset | {"tokens": ["def", " add"], "features": [feature]})
        >>> look.to_pandas().to_dict("records")  # only the token at which it is on
        [{'feature': 7, 'delta': 0.5, 'position': 1, 'token': ' add', 'activation': 1.5}]
    """

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

    def __repr__(self) -> str:
        features = ", ".join(f"{f['feature']} ({f['delta']:+.3f})" for f in self.features[:3])
        return (
            f"<Look at {counted(len(self.tokens), 'token')}: "
            f"{counted(len(self.features), 'feature')}, first {features}; "
            "to_pandas() has the activations>"
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row for each feature and token at which it is on: feature, delta, position, token,
        activation."""
        import pandas as pd

        rows = [
            {
                "feature": f["feature"],
                "delta": f["delta"],
                "position": i,
                "token": self.tokens[i],
                "activation": a,
            }
            for f in self.features
            for i, a in enumerate(f["activations"])
            if a
        ]
        return pd.DataFrame(rows, columns=["feature", "delta", "position", "token", "activation"])


def look(
    text: str,
    dictionary: str | Path | Dictionary | None = None,
    *,
    model: str | Path | Pretrained = "smollm2",
    features: int = 10,
    per_token: int = 5,
    site: str = "",
    bos: bool | None = None,
    skip_first: int = 1,
    outlier: float = 6.0,
    root: str | Path | None = None,
    device: str = "cpu",
    watch: Watch = warn,
) -> Look:
    """Find the strongest features of each token, and those that matter most on this text.

    `by_token` has each token's `per_token` largest activations. `features` are those that change
    the loss most when one is taken out wherever it is on.

    Δ is the loss of the text without the feature minus the loss with it, summed over its
    predictions, in nats: above 0, the feature helps. Only the feature's own contribution is
    removed; the dictionary's error stays, and all later blocks run again. Of the features that are
    on, the `8 · features` that add most to the reconstruction are tried. Promoted tokens follow the
    direct path only. As in `evaluate`, the first `skip_first` positions and activations longer than
    `outlier` medians of this text (0: none) are left out: no feature is counted, ranked or ablated
    there. These attention sinks are listed separately, with the features that are on.

    The dictionary is what `evaluate` takes; by default, the showcase that `assay run gated-sae`
    leaves in the store. `watch` is called, before anything is computed, if the site or the model
    differs from the dictionary's file; by default, these are Python warnings.

    Args:
        text: at least `skip_first` + 2 tokens.
        dictionary: a path, a stored run or a Dictionary.
        model: "smollm2", "gemma3-270m", a folder, a hub's OWNER/NAME, or what `assay.model`
            returns.
        features: how many of the features that matter most to give.
        per_token: how many features to give for each token.
        site: by default as in the dictionary's file.
        bos: by default as in the dictionary's file, otherwise as the model's tokenizer does.
        skip_first: positions left out.
        outlier: longest activation, in medians.
        root: the store; None: the one that ASSAY_ROOT names, else ./assay-store.
        device: as torch names it.
        watch: called with warnings.
    Raises: DataError or ModelError for what cannot be read or does not fit together, and for a text
    that leaves nothing to predict (with `skip_first` 1, of fewer than 3 tokens); SpecError for
    impossible numbers.
    Example:
        >>> import assay
        >>> assay.look("def add(a, b):", "sae.safetensors", features=3)  # doctest: +SKIP
        <Look at 6 tokens: 3 features, first 4051 (+1.204), ...; to_pandas() has the activations>
    """
    setting = Setting(site=site, skip_first=skip_first, outlier=outlier)
    for name, number in (("features", features), ("per_token", per_token)):
        if number < 1:
            raise DataError(f"{name} must be at least 1, got {number}")
    source = _find_source(dictionary, Store(root))
    folder = models.find(name_of(model))
    single = source.fitted(folder).dictionary
    places = sites(source.name, single, setting, folder)
    with_bos, of_bos = file_statements.choose_bos(bos, single.origin, folder)
    ids = _ids(text, folder, with_bos, skip_first)
    stated_place = file_statements.of_place(single)
    warnings = file_statements.warnings(stated_place, setting, folder)
    for line in warnings:
        watch(Warned(source.name, line))
    watch(
        Begun(
            f"loading {folder.provenance}; then {len(ids)} tokens, and up to "
            f"{CANDIDATES * features} features taken out of them"
        )
    )

    subject = load(folder.name, device)
    reader = Reader(subject, single.to(subject.device), *places, with_bos, skip_first, outlier)
    notes = [*warnings, *of_bos, *file_statements.unread(single.origin)]
    about: dict[str, Any] = {
        "dictionary": source.name,
        "sha256": source.sha256,
        "model": folder.provenance,
        "model_sha256": folder.fingerprint,
        "site": str(places[0]),
        "site_out": str(places[1]),
        "bos": with_bos,
        "width": single.width,
        "text": text,
        "warnings": warnings,
        "skip_first": skip_first,
        "outlier": outlier,
    }
    return Look(**about, **_read(reader, ids, features, per_token, notes))


def _read(
    reader: Reader, ids: Sequence[int], features: int, per_token: int, notes: Sequence[str]
) -> dict[str, Any]:
    """What the model and the dictionary make of a text, and which features matter in it; a model
    that guesses is noted first."""
    reading = reader.read_ids(ids)
    listed, tried = _matter_most(reader, reading, features)
    listing = list(zip(_listing(reading, reader.skip_first, per_token), reading.keep, strict=True))
    return {
        "tokens": list(reading.words),
        "losses": [None, *_rounded(reading.loss)],
        "loss": (loss := float(reading.loss.mean())),
        "notes": [*summary.guessing(loss, int(reader.subject.model.config.vocab_size)), *notes],
        "loss_spliced": float(reconstructed_loss(reader, reading).mean()),
        "left_out": list(reading.left_out),
        "by_token": [token for token, is_counted in listing if is_counted],
        "sinks": [token for token, is_counted in listing if not is_counted],
        "l0": len(reading.firings) / int(reading.keep.sum()),
        "on": len(reading.on),
        "tried": tried,
        "features": listed,
    }


def _find_source(dictionary: str | Path | Dictionary | None, store: Store) -> sources.Source:
    if dictionary is not None:
        return sources.find([dictionary], store)[0]
    try:
        return sources.find([sources.SHOWCASE], store)[0]
    except DataError as error:
        raise DataError(
            "no dictionary is named, and the showcase of gated-sae is not stored in "
            f"{store.root}; make it with: assay run gated-sae, or name one with --dictionary"
        ) from error


def _ids(text: str, folder: models.ModelFolder, bos: bool, skip_first: int) -> list[int]:
    """The tokens of a text. Raises: DataError for too few of them."""
    ids = [*folder.beginning(bos), *folder.tokenizer.encode(text)]
    if len(ids) < skip_first + 2:
        raise DataError(
            f"the text has length {len(ids)} in tokens; give at least {skip_first + 2}, so that "
            "there is a token to predict"
        )
    check_context(folder, len(ids), explicit=True)
    return ids


def _matter_most(
    reader: Reader, reading: Reading, features: int
) -> tuple[list[dict[str, Any]], int]:
    """The features that change the loss most when they are taken out, and how many were tried."""
    dictionary = reader.dictionary
    size = torch.linalg.vector_norm(dictionary.W_dec[0], dim=-1).cpu().numpy()
    adds = np.bincount(reading.firings.feature, abs(reading.firings.value), dictionary.width) * size
    tried = [
        int(k) for k in np.argsort(-adds, kind="stable")[: CANDIDATES * features] if adds[k] > 0
    ]
    delta = ablate_features(reader, reading, tried).on().tolist()
    top = sorted(range(len(tried)), key=lambda i: -abs(delta[i]))[:features]
    words = list(reading.words)
    columns = reading.firings.columns([tried[i] for i in top], len(words)).T
    logits = _promoted(reader, [tried[i] for i in top])
    listed = [
        _feature(tried[i], delta[i], column, words, pairs)
        for i, column, pairs in zip(top, columns, logits, strict=True)
    ]
    return listed, len(tried)


def _listing(reading: Reading, skip_first: int, per_token: int) -> list[dict[str, Any]]:
    """Each token with its loss, its length and what is on at it."""
    losses = [None, *_rounded(reading.loss)]
    medians = [  # lengths in medians of those after the first positions
        x.norm(dim=-1) / (outlier_limit(x[None, skip_first:], 1.0) or 1.0)
        for x in (reading.inputs, reading.acts)
    ]
    lengths = _rounded(torch.stack(medians).amax(0))
    return [
        _token(
            i,
            word,
            losses[i],
            lengths[i],
            (reading.firings if reading.keep[i] else reading.uncounted).at(i),
            per_token,
        )
        for i, word in enumerate(reading.words)
    ]


def _promoted(reader: Reader, features: Sequence[int]) -> list[tuple[list[Any], list[Any]]]:
    """Tokens whose logits each feature promotes and suppresses most along the direct path; none for
    a site outside the stream."""
    if reader.target.kind not in STREAM or not features:
        return [([], []) for _ in features]
    logits = directions(reader.dictionary, list(features)) @ reader.subject.unembed()
    ids, values = extremes(logits.cpu().numpy(), 5)
    word = reader.subject.token_text
    pairs = [
        [list(zip(word(i[s]), v[s].astype(float).tolist(), strict=True)) for s in (0, 1)]
        for i, v in zip(ids, values, strict=True)
    ]
    return [(promoted, suppressed) for promoted, suppressed in pairs]


def _token(
    position: int, word: str, loss: float | None, length: float, on: Firings, count: int
) -> dict[str, Any]:
    """One token with its strongest features, the largest activation first."""
    # of AbsTopK, features have a sign
    strongest = on[np.argsort(-abs(on.value), kind="stable")[:count]]
    pairs = zip(strongest.feature.tolist(), _rounded(strongest.value), strict=True)
    return {
        "position": position,
        "token": word,
        "loss": loss,
        "length": length,
        "on": len(on),
        "features": [{"feature": k, "activation": value} for k, value in pairs],
    }


def _feature(
    feature: int,
    delta: float,
    activations: np.ndarray,
    words: Sequence[str],
    logits: tuple[list[Any], list[Any]],
) -> dict[str, Any]:
    size = abs(activations)  # of AbsTopK, features have a sign
    strongest = [int(i) for i in np.argsort(-size, kind="stable")[:5] if size[i] > 0]
    return {
        "feature": feature,
        "delta": delta,
        "activations": _rounded(activations),
        "maximum": float(size.max()),
        "strongest": [
            {"position": i, "token": words[i], "activation": float(activations[i])}
            for i in strongest
        ],
        "promoted": [list(pair) for pair in logits[0]],
        "suppressed": [list(pair) for pair in logits[1]],
    }


def _rounded(values: Any) -> list[float]:
    return [float(f"{float(v):.5g}") for v in values]
