"""evaluate: dictionaries on a model's text; what is stored under the same content is not measured
again."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from assay.core import foreign
from assay.core.arrays import as_numpy
from assay.core.display import follower, write
from assay.core.errors import DataError, SpecError
from assay.core.nouns import counted
from assay.data import corpus as corpora
from assay.data.corpus import Corpus
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.redundancy import twinned
from assay.dictionaries.nonlinearity import to_json
from assay.dictionaries.selection import AbsTopK, GroupMax, TopK
from assay.evaluation import file_statements, sources, summary, texts
from assay.evaluation.result import Evaluation
from assay.evaluation.setting import TOGETHER, EvaluationDocumentsSpec, EvaluationSpec, Setting
from assay.evaluation.sources import Source
from assay.evaluation.text import CONTEXT_UNKNOWN, Plan, Text, plan
from assay.evaluation.watching import Warned, Watch, warn
from assay.lab.store import provenance
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder, find, opening_in_words, otherwise
from assay.subjects.pretrained import Pretrained, name_of
from assay.subjects.sizes import read_sizes

OTHER_SCALE = 4.0
"""How many times as large as in training activations are from which they are of another scale."""
NEVER_ON = (
    "no feature is ever on for these activations, so the dictionary writes the same vector for "
    "every token; either its encoder bias is too low or its threshold too high, or the "
    "activations differ in scale or site from those that it was trained on"
)
"""The note on a dictionary whose L0 is 0."""
ALMOST, COMPARED = 0.8, ("dictionary", "random")
"""Share of the FVU of random directions above which a dictionary leaves almost as much."""
CAUSES = (
    "The usual causes: another site (a block's input for its output; for the last block, "
    "`hidden_states[-1]` of transformers, which is taken after the final norm), a BOS too many or "
    "too few, centring, layer normalisation or a scale that its file does not state"
)
"""Why a dictionary that was trained well may not fit the activations."""
WORSE = f"it does not reconstruct: worse than the mean. {CAUSES}"
"""The note on a dictionary whose FVU is above 1."""
CAPPED = TopK | AbsTopK | GroupMax
"""What has at most k features on for any token, so that no interval of L0 ends above k."""
Progress = Callable[[int, int], None]


def evaluate(
    *dictionaries: str | Path | Dictionary,
    model: str | Path | Pretrained | None = None,
    text: str | Path | None = None,
    setting: Setting | None = None,
    out: str | Path | None = None,
    root: str | Path | None = None,
    device: str = "cpu",
    batch: int | None = None,
    progress: Progress | None = None,
    watch: Watch = warn,
    **options: Any,
) -> Evaluation:
    """Measure dictionaries: every core measure of each, with its 95% interval over documents.

    The result is kept in the store at `root`, identified by the content of dictionary, model and
    text and by the setting. An interrupted evaluation resumes.

    Args:
        *dictionaries: paths of any known format, stored runs such as "gated-sae/showcase", or
            Dictionaries of one run.
        model: "smollm2", "gemma3-270m", a folder, a hub's OWNER/NAME, or what `assay.model`
            returns.
        text: "stdlib", "docs" or a folder.
        setting: how to measure.
        out: a folder for the report, its figures and tables; None: nothing is written.
        root: the store; None: the one that ASSAY_ROOT names, else ./assay-store.
        device: as torch names it.
        batch: tokens in one pass.
        progress: called with the numbers of tokens, done and in all; None: a notebook shows a bar.
        watch: called, before anything is computed, for each site or model that differs from the
            dictionary's file; by default, these are Python warnings.
        **options: fields of `Setting`, such as tokens=20_000.
    Raises: DataError, ModelError, SpecError or StoreError, one line, for files that do not fit
    together, and for text that a dictionary was trained on.
    Example:
        >>> import assay
        >>> result = assay.evaluate("sae/", model="smollm2", text="docs")  # doctest: +SKIP
        >>> assay.evaluate("nowhere/", model="smollm2", text="docs")
        Traceback (most recent call last):
            ...
        assay.core.errors.DataError: no file, folder or stored run 'nowhere/'; ...
    """
    try:
        setting = (setting or Setting()).replace(**options)
    except SpecError as e:
        words = str(e).replace("Setting has no field", "evaluate has no argument")
        raise SpecError(words.replace("Setting.", "", 1)) from e
    progress = progress or follower()
    store = Store(root)
    _require(dictionaries, model, text, store)
    source_list = sources.find(dictionaries, store)
    began = time.monotonic(), time.process_time()
    on = _Material.of(model, text)
    shared = _shared(store, source_list, setting, on)
    specs = {s.name: on.spec(s, shared[s.name].setting) for s in source_list}
    by_document = {name: EvaluationDocumentsSpec(of=spec) for name, spec in specs.items()}
    missing = [
        source
        for source in source_list
        if None in (store.built(specs[source.name]), store.built(by_document[source.name]))
    ]
    present = [source.name for source in source_list if source not in missing]
    stored = {name: _stored(store.artefact_path(specs[name])) for name in present}
    runs: Iterator[Run] = iter(())
    if missing:  # all of them are checked, before anything is run
        how = store, device, progress or (lambda done, total: None)
        settings = {name: one.setting for name, one in shared.items()}
        runs = _on_text(missing, on.folder, on.corpus, batch, settings, *how, watch)
    warned = _warned(source_list, stored, setting, on.folder, watch)
    for source, details, sums, windows in runs:
        stored[source.name] = _keep(store, specs[source.name], source, details, sums)
        _keep_documents(store, by_document[source.name], sums, windows)
    entries = [
        _complete(s.name, stored[s.name], s not in missing, *warned[s.name], shared[s.name].note)
        for s in source_list
    ]
    data = on.data | {
        "setting": json.loads(setting.to_json()),
        "provenance": _provenance(began, device) if missing else {},
        "dictionaries": entries,
    }
    paths = {name: store.artefact_path(spec) for name, spec in by_document.items()}
    evaluation = Evaluation(data, {name: _documents(path) for name, path in paths.items()})
    if out is not None:
        write(evaluation, out)
    return evaluation


def _require(dictionaries: Sequence[Any], model: Any, text: Any, store: Store) -> None:
    """Refuse what leaves open what is measured on what. Raises: DataError."""
    if not dictionaries:
        raise DataError(
            "name at least one dictionary: a file or folder of weights, or a stored run"
        )
    named = {"model": model, "text": text}
    if lacks := [f"a {n} (--{n}, or {n}= in Python)" for n, x in named.items() if x is None]:
        read_from = sources.find(dictionaries, store) if model is None else []
        names = {file_statements.of_place(source.dictionary)["model"] for source in read_from} - {
            ""
        }
        says = "its file names" if len(read_from) == 1 else "their files name"
        hint = "".join(f"; {says} {name}: --model {name}" for name in names if len(names) == 1)
        raise DataError(f"to measure dictionaries, give {' and '.join(lacks)}{hint}")


@dataclass(frozen=True)
class _Material:
    """What dictionaries are measured on: a model's text."""

    data: dict[str, Any]
    """What is reported about it."""
    key: dict[str, Any]
    folder: ModelFolder
    corpus: Corpus

    @classmethod
    def of(cls, model: Any, text: Any) -> _Material:
        """Find it. Raises: DataError; ModelError."""
        folder, corpus = find(name_of(model)), corpora.load(str(text))
        key = {"model": folder.fingerprint, "data": corpus.fingerprint}
        data = {
            "model": folder.provenance,
            "model_sha256": folder.fingerprint,
            "text": corpus.name,
            "corpus": corpus.fingerprint,
        }
        return cls(data, key, folder, corpus)

    def spec(self, source: Source, setting: Setting) -> EvaluationSpec:
        """The name under which the evaluation of a dictionary is stored."""
        return EvaluationSpec(dictionary=source.sha256, setting=setting, **self.key)


Run: TypeAlias = "tuple[Source, dict[str, Any], Mapping[str, np.ndarray], Text]"
"""A dictionary that was measured: what is to be known of the pass, its sums over documents, and
the text."""


def _on_text(
    missing: Sequence[Source],
    folder: ModelFolder,
    corpus: Corpus,
    batch: int | None,
    settings: Mapping[str, Setting],
    store: Store,
    device: str,
    progress: Progress,
    watch: Watch,
) -> Iterator[Run]:
    """Plan each dictionary on a model's text, and give what measures them one after another."""
    folder.check_weights()
    plans: list[Plan] = []
    for source in missing:
        plans.append(plan(source.fitted(folder), settings[source.name], folder, corpus))
        if sum(p.source.bytes for p in plans) > TOGETHER:
            plans[-1].source.forget()
    heads = [corpus.text(i)[:1000] for i in range(min(len(corpus.documents), 20))]
    cut = otherwise(folder, heads)

    def measured() -> Iterator[Run]:
        for p, words, sums, compare in texts.run(
            plans, store, folder, corpus, device, batch, progress, watch
        ):
            counted = words.ablated(p.site.ablation_tokens)
            loss = float(sums["ce_clean"].sum() / max(1, sums["predictions"].sum()))
            details = {
                "site": p.site.site,
                "site_out": p.site.site_out,
                "part": p.text.part,
                "context": p.text.context,
                "bos": p.text.bos,
                "opening": opening_in_words(folder, folder.beginning(p.text.bos)),
                "windows": len(words.tokens),
                "windows_held_back": words.held_back,
                "tokens_read": int(words.tokens.size),
                "tokens_ablated": int(counted.sum()) * words.context,
                "documents": len(words.names),
                "notes": [
                    *summary.guessing(loss, read_sizes(folder.config)["v"]),
                    *_unused(corpus, p, words),
                    *p.notes,
                    *([cut] if cut else []),
                ],
                "compared": compare(),
            }
            yield p.source, details, sums, words

    return measured()


def _keep(
    store: Store,
    spec: EvaluationSpec,
    source: Source,
    details: Mapping[str, Any],
    sums: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Work the measures out and store them, with how often each feature fires; gives what is
    stored."""
    dictionary, firings, shards = source.dictionary, sums["firings"], sums["shards"]
    numbers = {name: value for name, value in sums.items() if name not in ("firings", "shards")}
    starts = np.cumsum(shards) - shards
    tokens = np.array(
        [numbers["tokens"][a : a + n].sum() for a, n in zip(starts, shards, strict=True)]
    )
    twins = twinned(as_numpy(dictionary.W_dec[0]), firings.sum(0))
    measures = summary.measures(numbers) | summary.density(firings, tokens, shards.tolist(), twins)
    if isinstance(dictionary.nonlinearity, CAPPED) and measures["l0"]["high"] is not None:
        measures["l0"]["high"] = min(measures["l0"]["high"], float(dictionary.nonlinearity.k))
    entry = {
        "format": dictionary.origin.get("format", "assay"),
        "sha256": spec.dictionary,
        "weights_sha256": dictionary.origin.get("sha256", ""),
        "width": dictionary.width,
        "d": dictionary.W_enc.shape[1],
        "nonlinearity": to_json(dictionary.nonlinearity),
        "inferred": list(dictionary.origin.get("inferred", ())),
        "stated": file_statements.of_place(dictionary),
        **details,
        "tokens": int(numbers["tokens"].sum()),
        "measures": measures,
        "notes": [
            *_unsure(dictionary, measures),
            *details["notes"],
            *_left_out(numbers, details["documents"]),
        ],
        "histogram": summary.histogram(firings.sum(0), float(tokens.sum())),
    }

    def build(path: Path) -> None:
        np.save(path / "firings.npy", firings.sum(0))
        (path / "result.json").write_bytes(json.dumps(entry, allow_nan=False).encode())

    return _stored(store.artefact(spec, build))


def _keep_documents(
    store: Store,
    spec: EvaluationDocumentsSpec,
    sums: Mapping[str, np.ndarray],
    words: Text,
) -> None:
    of_document = {"document": words.names, "window_starts": words.starts}
    arrays: dict[str, Any] = {name: np.array(x, dtype=str) for name, x in of_document.items()}
    arrays |= summary.terms({n: x for n, x in sums.items() if n not in ("firings", "shards")})

    def build(path: Path) -> None:
        np.savez(path / "documents.npz", **arrays)

    store.artefact(spec, build)


def _documents(path: Path) -> dict[str, np.ndarray]:
    """The stored sums by their names, with the documents they are of."""
    try:
        with np.load(path / "documents.npz") as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise texts.damaged(path) from error


def _left_out(sums: Mapping[str, np.ndarray], documents: int) -> list[str]:
    """Which documents are left out, or count in no loss."""
    tokens, predictions = (int(np.sum(sums[kind] == 0)) for kind in ("tokens", "predictions"))
    lost = [(tokens, "no position left, and are left out")] * (tokens > 0)
    lost += [(predictions, "no prediction left, and count in no loss")] * (predictions > tokens)
    return [f"{n:,} of {documents:,} documents have {words}" for n, words in lost if documents]


def _unused(corpus: Corpus, plan: Plan, words: Text) -> Iterator[str]:
    """Say why fewer documents are measured than there are files."""
    if corpus.copies:
        files = len(corpus.documents) + corpus.copies
        yield f"{corpus.copies:,} of {files:,} files are copies of others, and are left out"
    there, measured = len(corpus.part(plan.text.part)), len(words.names)
    is_all_read = words.tokens.size < plan.text.tokens // words.context * words.context
    if measured < min(there, summary.LEAST) and not is_all_read:
        yield (
            f"only {measured:,} of the {there:,} documents {'was' if measured == 1 else 'were'} "
            f"read, because {plan.text.tokens:,} tokens are {counted(len(words.tokens), 'window')} "
            f"of {words.context:,}: larger --tokens and --ablation-tokens read more"
        )
    if measured < there and is_all_read:
        yield (
            f"{there - measured:,} of {there:,} documents are shorter than {words.context} tokens, "
            "or are set aside for means, and are left out"
        )


def without_shares(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry without the shares that a dictionary recovers, where the model guesses."""
    if not any(summary.NOTHING_PREDICTED in note for note in entry["notes"]):
        return {**entry}
    none: dict[str, Any] = dict.fromkeys(("estimate", "low", "high", "t_low", "t_high"))
    none["why"] = summary.NOTHING_PREDICTED
    measures = {n: m | none if summary.SHARE in n else m for n, m in entry["measures"].items()}
    compared = summary.without_shares(entry.get("compared") or {})
    return {**entry, "measures": measures, **({"compared": compared} if compared else {})}


def _alarms(entry: Mapping[str, Any], unknown: list[str]) -> list[str]:
    """That a dictionary does not fit, perhaps as the model is another one, or is hardly better than
    random directions: such a one loads and runs without an error."""
    measures, d = entry["measures"], entry["d"]
    l0, explained = (measures[name]["estimate"] for name in ("l0", "explained_variance"))
    if l0 == 0:
        return [NEVER_ON, *unknown]
    if explained is not None and explained < 0:
        return [WORSE, *unknown]
    compared = entry.get("compared") or {}
    own, random = (compared.get(k, {}).get("fvu", {}).get("estimate") for k in COMPARED)
    known, alarms = own is not None and random is not None, []
    on = f"on the same {compared.get('tokens', 0):,} tokens"
    if l0 is not None and l0 > d / 2:
        them = "most of them"
        if known:
            them = f"them with an FVU of {random:.3g} (its own {on}: {own:.3g})"
        alarms.append(
            f"it is not sparse: on average, {l0:,.0f} features are active per token, and the "
            f"activations have {d:,} dimensions; as many random directions reconstruct {them}, so "
            "a small FVU does not show that it is good"
        )
    if known and own > ALMOST * random:
        much = "more" if own > random else "almost as much"
        alarms.append(
            f"it leaves {much} of the variance unexplained {'than' if own > random else 'as'} "
            f"random directions that are on about as often: FVU {own:.3g} against {random:.3g} {on}"
            + f". {CAUSES}, if it was trained well" * (own > random)
        )
        alarms += unknown
    return alarms


def _unsure(dictionary: Dictionary, measures: Mapping[str, Any]) -> list[str]:
    """What the file left open, and what else makes it doubtful that the numbers mean much."""
    guessed = ", ".join(dictionary.origin.get("inferred", ()))
    messages = [f"not stated in its file but inferred: {guessed}"] if guessed else []
    error, fvu = (measures[name]["estimate"] for name in ("mse", "fvu"))
    scale = dictionary.scale if dictionary.scale_out is None else dictionary.scale_out
    if scale is not None and dictionary.mean is not None and error and fvu:
        # Assay trains on rows with E‖x‖² = d.
        size = math.sqrt(error / fvu * float(scale[0]) ** 2 / dictionary.W_enc.shape[1])
        if not 1 / OTHER_SCALE <= size <= OTHER_SCALE:
            messages.append(
                f"activations vary {size:.2g} times as much as those that it was trained on: were "
                "they scaled or normalised, or are they of another site?"
            )
    return messages


def _warned(
    source_list: Sequence[Source],
    stored: Mapping[str, Mapping[str, Any]],
    setting: Setting,
    folder: ModelFolder,
    watch: Watch,
) -> dict[str, tuple[list[str], list[str]]]:
    """Tell what is not as each dictionary's file says, before anything is computed; give those
    warnings, and what cannot be known."""
    messages = {}
    for source in source_list:
        stated_place = stored.get(source.name, {}).get("stated")
        stated_place = stated_place or file_statements.of_place(source.dictionary)
        messages[source.name] = (
            file_statements.warnings(stated_place, setting, folder),
            file_statements.unknown(stated_place, folder),
        )
        for text in messages[source.name][0]:
            watch(Warned(source.name, text))
    return messages


def _complete(
    name: str,
    entry: Mapping[str, Any],
    cached: bool,
    warnings: list[str],
    unknown: list[str],
    shared: str,
) -> dict[str, Any]:
    """One dictionary's entry: what is stored, and what is to be known of it in this call."""
    assumed = CONTEXT_UNKNOWN, file_statements.BOS_UNKNOWN
    leading = [
        note
        for note in entry["notes"]
        if summary.NOTHING_PREDICTED in note or note.startswith(assumed)
    ]
    warnings = [*_alarms(entry, unknown), *warnings, *leading]
    notes = [*([shared] if shared else []), *(n for n in entry["notes"] if n not in leading)]
    return {
        "name": name,
        **without_shares(entry),
        "notes": [*warnings, *notes],
        "warnings": warnings,
        "cached": cached,
    }


def _windows(store: Store, spec: EvaluationSpec) -> Windows | None:
    """What a stored result was measured on; None where nothing is stored."""
    if store.built(spec) is None:
        return None
    entry = _stored(store.artefact_path(spec))
    return Windows(entry["part"], entry["context"], entry["bos"])


def _stored(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(foreign.read_stored(path / "result.json")))
    except (OSError, ValueError) as error:
        raise texts.damaged(path) from error


def _provenance(began: tuple[float, float], device: str) -> dict[str, Any]:
    return {
        "seconds": round(time.monotonic() - began[0], 2),
        "cpu_seconds": round(time.process_time() - began[1], 2),
        "device": device,
        "finished": provenance.timestamp(),
        "software": provenance.software(),
        "machine": provenance.machine(),
        "peak_rss": provenance.peak_rss(),
    }


@dataclass(frozen=True)
class Windows:
    """What one dictionary would be measured on by itself."""

    part: str
    context: int
    bos: bool


@dataclass(frozen=True)
class Shared:
    """How one dictionary is measured together with others."""

    setting: Setting
    note: str = ""
    """How that is not what its file says."""


def _shared(
    store: Store, source_list: Sequence[Source], setting: Setting, on: _Material
) -> dict[str, Shared]:
    if len(source_list) < 2:
        return {s.name: Shared(setting) for s in source_list}
    windows = {
        s.name: _windows(store, on.spec(s, setting))
        or own_windows(s, setting, on.folder, on.corpus)
        for s in source_list
    }
    return same_windows(windows, setting, on.folder)


def own_windows(source: Source, setting: Setting, folder: ModelFolder, corpus: Corpus) -> Windows:
    """The windows of a dictionary that is measured by itself. Raises: DataError, ModelError."""
    text = plan(source.fitted(folder), setting, folder, corpus).text
    return Windows(text.part, text.context, text.bos)


def same_windows(
    windows: Mapping[str, Windows], setting: Setting, folder: ModelFolder
) -> dict[str, Shared]:
    """Give each dictionary the setting at which all read the same text: the shortest of their
    windows, each with or without a BOS before it as its own has it, of a part that all may see.

    Args:
        windows: of each by itself, by name.
        setting: as it was given.
        folder: the model's.
    Raises: DataError where no part of the text is one that all may be measured on.
    """
    if len(set(windows.values())) < 2:
        return {name: Shared(setting) for name in windows}
    part = _part({name: w.part for name, w in windows.items()})
    lead = {name: len(folder.beginning(w.bos)) for name, w in windows.items()}
    length = min(w.context - lead[name] for name, w in windows.items())
    count = max(1, setting.tokens // (length + max(lead.values())))
    together = {}
    for name, w in windows.items():
        context = length + lead[name]
        same = setting.replace(part=part, context=context, tokens=count * context)
        why = f"in windows of {context} tokens, not {w.context}, so that all read the same text"
        changes = [why] * (context != w.context)
        if part != w.part:
            seen = [other for other, its in windows.items() if its.part == part]
            trained = f"{' and '.join(seen)} {'was' if len(seen) == 1 else 'were'} trained on"
            changes.append(f"on the {part} part alone, because {trained} another part of it")
        together[name] = Shared(same, f"measured {', and '.join(changes)}" if changes else "")
    return together


def _part(parts: Mapping[str, str]) -> str:
    """The part of the text that all dictionaries are measured on. Raises: DataError."""
    named: Sequence[str] = [*dict.fromkeys(part for part in parts.values() if part != "all")]
    if len(named) > 1:
        one, other = (next(name for name, p in parts.items() if p == part) for part in named[:2])
        raise DataError(
            f"{one} is measured on the {named[0]} part of this text and {other} on the {named[1]} "
            "part, as what they were trained on leaves it; compare them on another text"
        )
    return named[0] if named else "all"
