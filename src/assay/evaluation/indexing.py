"""index: every feature of a dictionary on a text, as tables in the store; read once, gone on with
after a kill, added to by more tokens."""

from __future__ import annotations

import functools
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from assay.core.arrays import ratio_or_nan
from assay.core.errors import AssayError, DataError
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.corpus import Corpus
from assay.dictionaries.measuring.ablation import Donors
from assay.dictionaries.measuring.measures import Measure
from assay.dictionaries.rows import divide
from assay.evaluation import baselines, file_statements, measure, sources, summary
from assay.evaluation.setting import ReadingSetting
from assay.evaluation.sources import Source
from assay.evaluation.text import (
    ROUND,
    IndexTextSpec,
    IndexWindows,
    choose_windows,
    shard_windows,
    sites,
    windows,
)
from assay.evaluation.watching import COMPARED
from assay.features.importance import STREAM
from assay.features.index import firings
from assay.features.index.ablations import Sample, ablate, rise
from assay.features.index.about import FILE, About
from assay.features.index.reader import Index
from assay.features.index.schema import TABLES
from assay.lab.store import provenance
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder, find
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site

RISE = Measure(
    "rise",
    "rise of the loss",
    "nats",
    "spliced − clean, over all predictions",
    "lower",
    ("rise", "predictions"),
    ratio_or_nan,
    -math.inf,
)
Progress = Callable[[str, int, int], None]
"""Hears what is being done, how much of how much is."""
TOKENS, ABLATED = "tokens", "windows with features ablated"
IN_PLACE = "windows with the reconstruction in place"
FEATURES = "features"
"""What `Progress` hears is counted, one after the other: `steps` gives those of an index."""
SPLICED = 32
"""Windows at the start of the text on which the loss is measured with the reconstruction in
place."""
AT_ONCE = {"cpu": 512, "cuda": 16_384}
"""Tokens that the model reads at once. What a run back needs of each block takes most of the
memory; more are not faster on a processor."""
MORE = 32_768
"""Tokens up to which more are advised: twice as many as usual, as more names can be relied on."""
SPARE = 32
"""Windows after those, on which baselines are fitted."""
LIMIT_WINDOWS = 16
"""Windows at the start of the text from which the limit for outliers comes."""


@dataclass(frozen=True, kw_only=True)
class IndexSetting(ReadingSetting):
    """How an index is made."""

    tokens: Annotated[int, Ge(1)] = 16_384
    """Tokens that the model reads, at most; fewer where the text ends."""
    gradients: bool = True
    """Whether the model runs back as well, so that every firing has a first-order effect on the
    loss."""
    ablate: Annotated[int, Ge(0)] = 24
    """Features that are taken out on a sample: those with a good name before others, evenly by how
    often they fire; 0: none."""
    ablate_windows: Annotated[int, Ge(2)] = 16
    """Windows on which each of them is, each of another document where there are so many."""


@dataclass(frozen=True, kw_only=True)
class IndexPlaceSpec(Spec):
    """A site of a model on a text, and the lengths above which activations are outliers there."""

    of: IndexTextSpec
    site: str
    site_out: str
    dtype: str
    skip_first: int
    outlier: float


@dataclass(frozen=True, kw_only=True)
class IndexShardSpec(Spec):
    """The firings of one dictionary on one shard of a text."""

    of: IndexPlaceSpec
    dictionary: str
    shard: int
    windows: int
    gradients: bool


@dataclass(frozen=True, kw_only=True)
class IndexSplicedSpec(Spec):
    """The loss with the reconstruction in place, on the first windows of a text, and how the
    dictionary compares with baselines there."""

    of: IndexPlaceSpec
    dictionary: str
    windows: int
    version: int = 2
    """2: window by window, and with baselines."""


@dataclass(frozen=True, kw_only=True)
class IndexSpec(Spec):
    """A whole index: its shards, what was taken out, and the other dictionaries that features were
    looked for in."""

    MAPPED: ClassVar[frozenset[str]] = frozenset(
        {*(f"{name}.parquet" for name in TABLES), "windows.npy"}
    )

    of: IndexPlaceSpec
    dictionary: str
    windows: int
    gradients: bool
    ablate: int
    ablate_windows: int
    compared: bool
    """Whether the losses with the reconstruction and baselines in place were measured."""
    also: tuple[str, ...] = ()
    version: int = 3
    """3: features with a good name are ablated before others."""


def shard_specs(whole: IndexSpec) -> list[IndexShardSpec]:
    """The shards of an index's text, in order."""
    size, place = shard_windows(whole.of.of.context), whole.of
    return [
        IndexShardSpec(
            seed=place.of.seed,
            of=place,
            dictionary=whole.dictionary,
            shard=a // size,
            windows=min(size, whole.windows - a),
            gradients=whole.gradients,
        )
        for a in range(0, whole.windows, size)
    ]


def steps(*, gradients: bool, ablate: int, compared: bool = True, **_: Any) -> list[str]:
    """Give the steps in which an index of such a setting is made; without gradients the loss is not
    known, so nothing is compared with it."""
    of_loss = [IN_PLACE, COMPARED] if gradients and compared else []
    return [TOKENS, *[ABLATED] * (ablate > 0), *of_loss, FEATURES]


def folders(store: Store) -> list[Path]:
    """The finished indexes of a store, without opening any."""
    return sorted(
        path.parent
        for path in (store.root / "artefacts" / "index").glob(f"*/{FILE}")
        if path.parent.suffix != ".partial"
    )


def index(
    dictionary: str | Path,
    *,
    model: str | Path = "smollm2",
    text: str | Path = "stdlib",
    also: Sequence[str | Path] = (),
    setting: IndexSetting | None = None,
    root: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    compared: bool = True,
    **options: Any,
) -> Index:
    """Every feature of a dictionary on a text: how often it fires, where, on what, what it promotes
    and what it is worth to the loss.

    The text is read in shards that are kept: a command that was stopped goes on, and more tokens
    add to those that were read. `also` are dictionaries of other seeds, in which features are
    looked for; of a stored run its arm's other seeds are taken. `options` are fields of
    `IndexSetting`; without `ablate`, an index that is there and has any features ablated is given.
    `progress(what, done, total)` hears of tokens and windows, first with nothing
    done. Without `compared`, the dictionary is not compared with baselines: an index that is there
    sooner and makes way for the whole one.

    Raises: DataError, ModelError, SpecError or StoreError, one line, for what does not fit
    together."""
    setting_is_usual = setting is None
    setting = (setting or IndexSetting()).replace(**options)
    tell = progress or (lambda stage, count, total: None)
    store = Store(root)
    found = sources.find([dictionary, *also], store)  # before what takes long
    folder, corpus = (
        find(str(model)),
        corpora.load(text if isinstance(text, str) else str(text.absolute())),
    )
    source, *other_sources = [s.fitted(folder) for s in found]
    if not also:
        other_sources = _other_seeds(str(dictionary), store)
    place, notes = _place(source, setting, folder, corpus)
    _require_one_site(source, other_sources)
    count = -(-setting.tokens // place.of.context)
    text_windows = windows(corpus, folder, place.of, max(count, SPLICED + SPARE))
    words = IndexWindows(text_windows.tokens[:count], text_windows.document[:count])
    whole = IndexSpec(
        seed=place.of.seed,
        of=place,
        dictionary=source.sha256,
        windows=len(words.tokens),
        gradients=setting.gradients,
        ablate=min(setting.ablate, source.dictionary.width),
        ablate_windows=setting.ablate_windows,
        compared=compared,
        also=tuple(o.sha256 for o in other_sources),
    )
    index_path = store.built(whole)
    if index_path is None and setting_is_usual and not {"ablate", "ablate_windows"} & {*options}:
        index_path = _otherwise_ablated(store, whole)
    if index_path is None:
        folder.check_weights()
        began = time.monotonic(), time.process_time()
        path = Path(dictionary).expanduser()  # absolute, so that it is known from any folder
        asked = str(path.absolute() if path.exists() else dictionary)
        spare = text_windows.tokens[min(SPLICED, len(words.tokens)) :][:SPARE]
        stage = store, source, asked, folder, corpus, place, setting, words, spare
        work = _Work(*stage, device, tell)
        index_path = store.artefact(
            whole, lambda path: work.build(path, whole, other_sources, notes, began)
        )
    return Index(index_path)


def few_documents(
    dictionary: str, model: str, text: str, root: Path, tokens: int, **options: Any
) -> str:
    """Say before an index is made that it will have no interval, for want of documents."""
    setting = IndexSetting().replace(tokens=tokens, **options)
    (found,) = sources.find([dictionary], Store(root))  # before what takes long
    folder, corpus = find(model), corpora.load(text)
    source = found.fitted(folder)
    of = _place(source, setting, folder, corpus)[0].of
    count, enough = -(-tokens // of.context), ROUND * summary.LEAST
    words = windows(corpus, folder, of, enough)  # no document gives more than ROUND before all do
    documents, most = (
        len(np.unique(of_windows)) for of_windows in (words.document[:count], words.document)
    )
    return summary.too_few(documents, tokens, of.context, "all", all_read=most < summary.LEAST)


def _otherwise_ablated(store: Store, whole: IndexSpec) -> Path | None:
    """The stored index of the same reading with other features ablated, and perhaps of more
    windows: the one with the most of both; None without one."""
    candidates = []
    for folder in folders(store):
        with suppress(AssayError, OSError):
            spec = IndexSpec.from_json((folder / "spec.json").read_text())
            ablations = {"ablate": whole.ablate, "ablate_windows": whole.ablate_windows}
            is_same = spec.replace(windows=whole.windows, **ablations) == whole
            if is_same and spec.ablate and spec.windows >= whole.windows and store.built(spec):
                candidates.append((spec.ablate, spec.windows, folder))
    return max(candidates)[-1] if candidates else None


def _require_one_site(source: Source, others: Sequence[Source]) -> None:
    """Refuse dictionaries that write another number of numbers. Raises: DataError."""
    for other in others:
        wide, ours = other.dictionary.W_dec.shape[-1], source.dictionary.W_dec.shape[-1]
        if wide != ours:
            raise DataError(
                f"{other.name} writes {wide} numbers per token, {source.name} {ours}: they "
                "are not of one site"
            )


def _place(
    source: Source, setting: IndexSetting, folder: ModelFolder, corpus: Corpus
) -> tuple[IndexPlaceSpec, list[str]]:
    """Where the dictionary reads and writes, on which windows, and what was assumed. Raises:
    DataError or ModelError."""
    dictionary = source.dictionary
    reads, writes = sites(source.name, dictionary, setting, folder)
    chosen = choose_windows(source, setting, folder, corpus, trained_on=True)
    stated_place = file_statements.of_place(dictionary)
    text_spec = IndexTextSpec(
        model=folder.fingerprint,
        corpus=corpus.fingerprint,
        part=chosen.part,
        context=chosen.context,
        bos=chosen.bos,
    )
    spec = IndexPlaceSpec(
        of=text_spec,
        site=str(reads),
        site_out=str(writes),
        dtype=setting.dtype,
        skip_first=setting.skip_first,
        outlier=setting.outlier,
    )
    return spec, [
        *file_statements.warnings(stated_place, setting, folder),
        *file_statements.unknown(stated_place, folder),
        *file_statements.unread(dictionary.origin),
        *chosen.notes,
        chosen.why,
    ]


def _other_seeds(name: str, store: Store) -> list[Source]:
    """The stored runs that differ from the named one by their seed alone."""
    try:
        stored = sources.stored(name, store)
    except DataError:
        return []

    def but_seed(text: str) -> Any:
        return {k: v for k, v in json.loads(text).items() if k != "seed"}

    same = [
        s
        for s in store.list(stored.experiment)
        if s.has_params
        and s.key != stored.key
        and s.arm == stored.arm
        and but_seed(s.spec_json) == but_seed(stored.spec_json)
    ]
    return sources.find([s.folder for s in same], store)


@dataclass(frozen=True, eq=False)
class _Work:
    """Everything that building one index needs."""

    store: Store
    source: Source
    asked: str
    folder: ModelFolder
    corpus: Corpus
    place: IndexPlaceSpec
    setting: IndexSetting
    words: IndexWindows
    spare: np.ndarray
    """The windows after those with the reconstruction in place: baselines are fitted on them."""
    device: str
    tell: Progress

    @functools.cached_property
    def subject(self) -> Pretrained:
        return load(self.folder.name, self.device, self.setting.dtype)

    @functools.cached_property
    def at(self) -> Any:
        """The place, with its limits worked out once."""
        reads, writes = Site.parse(self.place.site), Site.parse(self.place.site_out)

        def build(path: Path) -> None:
            site_limits = firings.limits(
                self.subject,
                reads,
                writes,
                self.words.tokens[:LIMIT_WINDOWS],
                self.place.skip_first,
                self.place.outlier,
            )
            np.save(path / "limits.npy", np.array(site_limits))

        limits = np.load(self.store.artefact(self.place, build) / "limits.npy")
        dictionary = self.source.dictionary.to(self.subject.device)
        return firings.Place(
            self.subject,
            dictionary,
            reads,
            writes,
            (float(limits[0]), float(limits[1])),
            self.place.skip_first,
        )

    def build(
        self,
        path: Path,
        whole: IndexSpec,
        other_sources: Sequence[Source],
        notes: Sequence[str],
        began: tuple[float, float],
    ) -> None:
        """Fill the folder of an index."""
        from assay.features.index import build

        self.tell(TOKENS, 0, self.words.tokens.size)  # loading comes next, and takes a while
        shards = self.shards(whole)
        kept = np.concatenate([np.load(shard / "kept.npy") for shard in shards])
        sample = Sample(self.words.tokens, self.words.document, kept)
        # where the whole index finds what one without a comparison has ablated
        begun = self.store.artefact_path(whole.replace(compared=False)).name
        parts = self.store.root / "tmp" / f"ablations-{begun}"
        tick = functools.partial(self.tell, ABLATED)
        count, each = whole.ablate, whole.ablate_windows
        ablated, of_sample = ablate(self.at, shards, sample, count, each, tick, parts)
        totals = _totals(shards)
        if totals["loss"] is not None:
            notes = [*summary.guessing(totals["loss"], self.vocabulary), *notes]
            if whole.compared:
                totals |= self.spliced(whole, sample, totals["loss"])
        about = _about(self, notes, began, {**totals, **of_sample})
        build.build(
            path,
            shards,
            self.directions(other_sources),
            about,
            words=self.subject.token_text,
            vocabulary=self.vocabulary,
            documents=[d.path for d in self.corpus.documents],
            ablated=ablated,
            tick=functools.partial(self.tell, FEATURES),
        )
        if whole.compared:
            shutil.rmtree(parts, ignore_errors=True)

    def spliced(self, whole: IndexSpec, sample: Sample, loss: float) -> dict[str, Any]:
        """By how much the loss rises with the reconstruction in place, and what is compared."""
        count = min(SPLICED, whole.windows)
        report_progress = functools.partial(self.tell, IN_PLACE)
        spec = IndexSplicedSpec(
            seed=whole.seed, of=self.place, dictionary=whole.dictionary, windows=count
        )

        def fill(path: Path) -> None:
            sums = rise(self.at, sample, count, report_progress, path)
            np.savez(path / "rise.npz", **sums)  # type: ignore[arg-type]
            (path / "compared.json").write_text(json.dumps(self.compared(count)))

        folder = self.store.artefact(spec, fill)
        with np.load(folder / "rise.npz") as file:
            risen = _rise(dict(file), self.words.document[:count])
        compared = json.loads((folder / "compared.json").read_text())
        if compared and summary.guessing(loss, self.vocabulary):
            compared = summary.without_shares(compared)
        return {"rise": risen, "loss_spliced": loss + risen["estimate"], "compared": compared}

    def compared(self, count: int) -> dict[str, Any] | None:
        """How the dictionary compares with baselines on the first windows."""
        place, d = self.at, self.source.dictionary.W_dec.shape[-1]
        if not len(self.spare):
            return None
        tokens_done = 0
        self.tell(COMPARED, 0, count)  # the baselines are fitted first, which takes a while

        def tick(tokens: int) -> None:
            nonlocal tokens_done
            tokens_done += tokens
            self.tell(COMPARED, tokens_done // self.place.of.context, count)

        return baselines.on_text(
            place.subject,
            measure.Place(
                place.reads,
                place.writes,
                place.skip_first,
                place.limits,
                Donors.of(place.dictionary.W_dec.new_zeros(2, d), self.place.seed),
            ),
            place.dictionary,
            self.spare,
            self.words.tokens[:count],
            self.words.document[:count],
            AT_ONCE["cpu" if self.device == "cpu" else "cuda"],
            tick=tick,
        )

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""
        return int(self.subject.model.config.vocab_size)

    def shards(self, whole: IndexSpec) -> list[Path]:
        """The firings of every shard, read now or before."""
        paths, a = [], 0
        for spec in shard_specs(whole):
            features = slice(a, a := a + spec.windows)

            def fill(path: Path, features: slice = features) -> None:
                tokens, context = self.words.tokens[features], self.place.of.context
                step = max(1, AT_ONCE["cpu" if self.device == "cpu" else "cuda"] // context)
                parts = []
                for b in range(0, len(tokens), step):
                    some, gradients = tokens[b : b + step], self.setting.gradients
                    parts.append(firings.read(self.at, some, gradients=gradients))
                    done = (features.start + min(b + step, len(tokens))) * context
                    self.tell(TOKENS, done, self.words.tokens.size)
                rows = np.cumsum([0, *(part.kept.size for part in parts)])
                firings.write(
                    path,
                    feature=np.concatenate([p.feature for p in parts]),
                    row=np.concatenate([p.row + a for p, a in zip(parts, rows[:-1], strict=True)]),
                    value=np.concatenate([p.value for p in parts]),
                    tokens=tokens,
                    document=self.words.document[features],
                    keep=np.concatenate([p.kept for p in parts]),
                    effect=np.concatenate([p.effect for p in parts if p.effect is not None])
                    if self.setting.gradients
                    else None,
                )
                sums: dict[str, Any] = {
                    name: sum(p.sums[name] for p in parts) for name in parts[0].sums
                }
                np.savez(path / "sums.npz", total=sum(p.total for p in parts), **sums)

            paths.append(self.store.artefact(spec, fill))
            self.tell(TOKENS, features.stop * self.place.of.context, self.words.tokens.size)
        return paths

    def directions(self, other_sources: Sequence[Source]) -> Any:
        """What is known of the features without any text."""
        from assay.features.index.build import Directions

        dictionary, site = self.source.dictionary, Site.parse(self.place.site_out)
        unembedding = self.subject.unembed().cpu().numpy() if site.kind in STREAM else None
        return Directions(
            decoder=_raw_decoder(dictionary),
            unembedding=unembedding,
            seeds={other.name: _raw_decoder(other.dictionary) for other in other_sources},
        )


def _about(
    work: _Work, notes: Sequence[str], began: tuple[float, float], more: Mapping[str, Any]
) -> About:
    """What the index is of; counts of its text come when its tables are written."""
    return About(
        name=work.source.name,
        source=work.asked,
        dictionary=work.source.sha256,
        model=work.folder.name,
        model_words=work.folder.provenance,
        model_sha256=work.folder.fingerprint,
        corpus=work.corpus.name,
        corpus_sha256=work.corpus.fingerprint,
        site=work.place.site,
        site_out=work.place.site_out,
        kind=type(work.source.dictionary.nonlinearity).__name__,
        d_in=work.source.dictionary.W_enc.shape[1],
        d_sae=work.source.dictionary.width,
        tokens=0,
        windows=0,
        context=0,
        documents=0,
        bos=work.place.of.bos,
        skip_first=work.place.skip_first,
        outlier=work.place.outlier,
        part=work.place.of.part,
        dtype=work.place.dtype,
        notes=tuple(notes),
        **more,
        made={
            "seconds": round(time.monotonic() - began[0], 1),
            "cpu_seconds": round(time.process_time() - began[1], 1),
            "finished": provenance.timestamp(),
            "software": provenance.software(),
            "machine": provenance.machine(),
            "device": work.device,
        },
    )


def _raw_decoder(dictionary: Any) -> np.ndarray:
    """What one unit of each feature adds to the raw activations, but for a normalisation of each
    row by itself."""
    scale = dictionary.scale if dictionary.scale_out is None else dictionary.scale_out
    rows = dictionary.W_dec if scale is None else divide(dictionary.W_dec, scale)
    return rows[0].cpu().float().numpy()


def _rise(sums: dict[str, np.ndarray], document: np.ndarray) -> dict[str, Any]:
    """The rise of the loss from sums over windows, with its interval over their documents."""
    _, number = np.unique(document, return_inverse=True)
    return summary.estimate(RISE, {name: np.bincount(number, sums[name]) for name in RISE.terms})


def _totals(shards: Sequence[Path]) -> dict[str, Any]:
    """The mean loss of the text, and the share of variance that the dictionary leaves
    unexplained."""
    sums: dict[str, Any] = {}
    for shard in shards:
        with np.load(shard / "sums.npz") as file:
            for name in file.files:
                sums[name] = sums.get(name, 0) + file[name]
    variance = float(sums["square"] - (sums["total"] ** 2).sum() / max(sums["rows"], 1))
    loss = float(sums["loss"] / sums["predictions"]) if "loss" in sums else None
    return {"loss": loss, "fvu": float(sums["error"]) / variance if variance > 0 else None}
