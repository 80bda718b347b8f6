"""Dictionaries measured on a model's activations on text, shard by shard; what a kill leaves is
gone on with."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int

from assay.core import foreign
from assay.core.errors import AssayError, StoreError
from assay.core.heavy import torch
from assay.data.corpus import Corpus
from assay.dictionaries.dictionary import Dictionary
from assay.evaluation import baselines, measure, sources, summary, text
from assay.evaluation.setting import (
    TOGETHER,
    CentredSiteSpec,
    EvaluationBaselineSpec,
    EvaluationReferenceSpec,
    EvaluationShardSpec,
    EvaluationSiteSpec,
)
from assay.evaluation.text import Plan, Text
from assay.evaluation.watching import Begun, Warned, Watch
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site

BATCH = {"cpu": 2048, "cuda": 16_384}
"""Tokens in one pass of the model."""

Arrays = dict[str, np.ndarray]
Compared: TypeAlias = "dict[str, Any] | None"
Tick = Callable[[int, int], None]


def windows(plan: Plan, store: Store, folder: ModelFolder, corpus: Corpus) -> Text:
    """The windows of a plan, cut now or found. Raises: DataError when the text has none."""
    path = store.built(plan.text)
    if path is None:
        arrays = text.cut(corpus, folder, plan.text)  # before anything is written: it may fail

        def build(path: Path) -> None:
            for name, values in arrays.items():
                np.save(path / f"{name}.npy", values)

        path = store.artefact(plan.text, build)
    return text.read(path, corpus)


def run(
    plans: Sequence[Plan],
    store: Store,
    folder: ModelFolder,
    corpus: Corpus,
    device: str,
    batch: int | None,
    tick: Tick,
    watch: Watch,
) -> Iterator[tuple[Plan, Text, Arrays, Callable[[], Compared]]]:
    """Each plan with its text, its sums and its comparison with baselines, as soon as it is
    measured; plans of one site share the clean pass.

    `tick` hears how many of the text's tokens are done: those that are read once more, to compare a
    dictionary with baselines or for other sites and bunches, make each count less. `watch` hears
    what begins."""
    where = torch.device(device)
    batch = batch or BATCH.get(where.type, 2048)
    groups: dict[EvaluationSiteSpec, list[Plan]] = {}
    for plan in plans:
        groups.setdefault(plan.site, []).append(plan)
    texts = {site: windows(group[0], store, folder, corpus) for site, group in groups.items()}
    for site, group in groups.items():
        if few := _few(site, texts[site]):
            watch(Warned(", ".join(plan.source.name for plan in group), few))
    plan_by_source = {plan.source: plan for plan in plans}
    bunches = [
        (site, [plan_by_source[source] for source in bunch])
        for site, group in groups.items()
        for bunch in sources.bunches([plan.source for plan in group], TOGETHER)
    ]
    total = sum(
        texts[site].tokens.size
        + len(bunch) * _compared(site, texts[site]).size * texts[site].context
        for site, bunch in bunches
    )
    size = sum(texts[site].tokens.size for site, _ in bunches) // len(bunches)
    tokens_read = 0

    def report_tokens(tokens: int) -> None:
        nonlocal tokens_read
        tokens_read += tokens
        tick(size * tokens_read // total, size)

    report_tokens(0)  # loading comes next, and takes a while
    model = functools.cache(lambda dtype: load(folder.name, device, dtype))
    for site, group in bunches:
        subject = functools.partial(model, site.dtype)
        how = store, subject, where, batch, report_tokens, watch
        bunch = _Bunch(site, group, texts[site], *how)
        for j, (plan, sums) in enumerate(zip(group, bunch.sums(), strict=True)):
            yield plan, texts[site], sums, functools.partial(bunch.compare, j)
        for plan in group:
            plan.source.forget()


@dataclass(eq=False)
class _Bunch:
    """Dictionaries that are measured together at one site of one text."""

    site: EvaluationSiteSpec
    plans: Sequence[Plan]
    words: Text
    store: Store
    subject: Callable[[], Pretrained]
    """Loads the model, or gives the one that is loaded."""
    device: torch.device
    batch: int
    report_tokens: Callable[[int], None]
    watch: Watch
    moved: dict[int, Dictionary] = field(default_factory=dict)

    @functools.cached_property
    def path(self) -> Path:
        """The folder of what is fixed at this site before anything is measured there."""

        def build(path: Path) -> None:
            sites = Site.parse(self.site.site), Site.parse(self.site.site_out)
            limits = self.site.skip_first, self.site.outlier
            _or_nothing(
                path,
                lambda: measure.constants(
                    self.subject(), *sites, self.words.spare, *limits, path, self.centred
                ),
            )

        return self.store.artefact(self.site, build)

    @property
    def centred(self) -> bool:
        """Whether activations are less their own mean over dimensions."""
        return isinstance(self.site, CentredSiteSpec)

    @functools.cached_property
    def place(self) -> measure.Place:
        """The site with its limits and donors."""
        reads, writes = Site.parse(self.site.site), Site.parse(self.site.site_out)
        fixed = self.site.skip_first, self.site.seed
        return measure.place(self.path, reads, writes, *fixed, self.device, self.centred)

    def dictionary(self, j: int) -> Dictionary:
        if j not in self.moved:
            self.moved[j] = self.plans[j].source.dictionary.to(self.device)
        return self.moved[j]

    def sums(self) -> list[Arrays]:
        """The sums of each dictionary over all shards, [document, …], and firings [shard,
        feature]."""
        self.path  # noqa: B018 (refused before any shard is begun)
        parts: list[list[Arrays]] = [[] for _ in self.plans]
        for i in range(self.words.shards):
            self._shard(i, parts)
        return list(map(_concatenate_shards, parts))

    def _shard(self, i: int, parts: Sequence[list[Arrays]]) -> None:
        """Add the sums of a shard to those of each dictionary."""
        store, seed, part = self.store, self.site.seed, self.words.of(i)
        reference = EvaluationReferenceSpec(seed=seed, of=self.site, shard=i)
        specs = [
            EvaluationShardSpec(seed=seed, of=reference, dictionary=plan.source.sha256)
            for plan in self.plans
        ]
        missing = [j for j, spec in enumerate(specs) if store.built(spec) is None]
        with_reference = store.built(reference) is None
        measured = functools.cache(functools.partial(self._measured, part, missing, with_reference))
        if not missing and not with_reference:
            self.report_tokens(self.words.tokens[part].size)
        shared = _load_or_measure(store, reference, measured, None)
        for j, spec in enumerate(specs):
            parts[j].append(shared | _load_or_measure(store, spec, measured, j))

    def _measured(self, part: slice, missing: Sequence[int], with_reference: bool) -> Any:
        """The sums of a shard that are the same for all (None), and of each that is missing."""
        words = self.words
        shared, dictionary_sums = measure.shard(
            self.subject(),
            self.place,
            words.tokens[part],
            words.document[part] - words.document[part][0],
            words.ablated(self.site.ablation_tokens)[part],
            [self.dictionary(j) for j in missing],
            reference=with_reference,
            first=part.start,
            batch=self.batch,
            tick=self.report_tokens,
        )
        return {None: shared, **dict(zip(missing, dictionary_sums, strict=True))}

    def compare(self, j: int) -> Compared:
        """Compare a dictionary with baselines on windows that are ablated."""
        words, chosen = self.words, _compared(self.site, self.words)
        if not len(chosen):
            return None
        name, sha256 = self.plans[j].source.name, self.plans[j].source.sha256
        spec = EvaluationBaselineSpec(seed=self.site.seed, of=self.site, dictionary=sha256)

        def build(path: Path) -> None:
            self.watch(Begun(f"what {name} is compared with"))
            of_windows = words.spare, words.tokens[chosen], words.document[chosen]
            how = self.batch, self.report_tokens
            compared = baselines.on_text(
                self.subject(), self.place, self.dictionary(j), *of_windows, *how
            )
            (path / "result.json").write_text(json.dumps(compared, allow_nan=False))

        if self.store.built(spec) is not None:
            self.report_tokens(chosen.size * words.context)
        return _result(self.store.artefact(spec, build))


def _few(site: EvaluationSiteSpec, words: Text) -> str:
    """Say which numbers will have no interval, for want of documents."""
    assert site.of is not None
    tokens, place = site.of.tokens, (words.context, site.of.part)
    all_read = len(words.tokens) < tokens // words.context
    if few := summary.too_few(len(words.names), tokens, *place, all_read=all_read):
        return few
    ablated = len(np.unique(words.document[words.ablated(site.ablation_tokens)]))
    few = summary.too_few(ablated, 0, *place, all_read=False, option="--ablation-tokens")
    return f"of what is measured under ablation, {few}" if few and ablated else ""


def _compared(site: EvaluationSiteSpec, words: Text) -> Int[np.ndarray, " w"]:
    """The windows on which a dictionary is compared with baselines."""
    return baselines.spread(words.ablated(site.ablation_tokens), words.context)


def _result(path: Path) -> Compared:
    try:
        return json.loads(foreign.read_stored(path / "result.json"))  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise damaged(path) from error


def _load_or_measure(
    store: Store, spec: Any, measured: Callable[[], Any], which: int | None
) -> Arrays:
    """One shard's sums, from the store or measured now."""
    path = store.artefact(
        spec, lambda path: np.savez(path / "sums.npz", **_or_nothing(path, measured)[which])
    )
    try:
        with np.load(path / "sums.npz") as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> StoreError:
    """The error on a folder of the store that cannot be read."""
    return StoreError(f"{path} is damaged; delete that folder and run the same command again")


def _or_nothing(path: Path, make: Callable[[], Any]) -> Any:
    """What is made for a folder, which is removed again where the request is refused: it would
    never be used."""
    try:
        return make()
    except AssayError:
        with contextlib.suppress(OSError):
            path.rmdir()
        raise


def _concatenate_shards(parts: Sequence[Arrays]) -> Arrays:
    """Documents one after the other, as shards hold whole ones; firings stay apart by shard."""
    concatenated = {
        name: np.concatenate([p[name] for p in parts]) for name in parts[0] if name != "firings"
    }
    return concatenated | {
        "firings": np.stack([p["firings"] for p in parts]),
        "shards": np.array([len(p["tokens"]) for p in parts]),
    }
