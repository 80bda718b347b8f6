"""Dictionaries measured on a model's activations on text, shard by shard; what a kill leaves is
gone on with."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int

from assay.core import foreign
from assay.core.errors import AssayError, StoreError
from assay.core.heavy import torch
from assay.data.corpus import Corpus
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
from assay.evaluation.watching import Begun, Watch
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
    """Each plan with its text, its sums and what compares it with baselines, as soon as it is
    measured; plans of one site share the clean pass.

    `tick` hears how many tokens of how many are done, those on which a dictionary is compared with
    baselines among them; where several sites or bunches make several passes, their mean. `watch`
    hears each dictionary's numbers so far after each shard but the last."""
    where = torch.device(device)
    batch = batch or BATCH.get(where.type, 2048)
    groups: dict[EvaluationSiteSpec, list[Plan]] = {}
    for plan in plans:
        groups.setdefault(plan.site, []).append(plan)
    texts = {site: windows(some[0], store, folder, corpus) for site, some in groups.items()}
    plan_by_source = {plan.source: plan for plan in plans}
    bunches = [
        (site, [plan_by_source[source] for source in bunch])
        for site, some in groups.items()
        for bunch in sources.bunches([plan.source for plan in some], TOGETHER)
    ]
    total = sum(
        texts[site].tokens.size
        + len(bunch) * _compared(site, texts[site]).size * texts[site].context
        for site, bunch in bunches
    )
    tokens_read = 0

    def report_tokens(tokens: int) -> None:
        nonlocal tokens_read
        tokens_read += tokens
        tick(tokens_read // len(bunches), total // len(bunches))

    report_tokens(0)  # loading comes next, and takes a while
    model = functools.cache(lambda dtype: load(folder.name, device, dtype))
    for site, bunch in bunches:
        subject = functools.partial(model, site.dtype)
        for plan, (sums, compare) in zip(
            bunch,
            _bunch(site, bunch, texts[site], store, subject, where, batch, report_tokens, watch),
            strict=True,
        ):
            yield plan, texts[site], sums, compare
        for plan in bunch:
            plan.source.forget()


def _bunch(
    site: EvaluationSiteSpec,
    plans: Sequence[Plan],
    words: Text,
    store: Store,
    subject: Callable[[], Pretrained],
    device: torch.device,
    batch: int,
    report_tokens: Callable[[int], None],
    watch: Watch,
) -> list[tuple[Arrays, Callable[[], Compared]]]:
    """The sums of dictionaries at one site over all shards, [document, …], and firings [shard,
    feature]; and what compares each with baselines on windows that are ablated."""
    reads, writes = Site.parse(site.site), Site.parse(site.site_out)
    centred = isinstance(site, CentredSiteSpec)
    path = store.artefact(
        site,
        lambda path: _or_nothing(
            path,
            lambda: measure.constants(
                subject(), reads, writes, words.spare, site.skip_first, site.outlier, path, centred
            ),
        ),
    )
    get_place = functools.cache(
        lambda: measure.place(path, reads, writes, site.skip_first, site.seed, device, centred)
    )
    ablated = words.ablated(site.ablation_tokens)
    moved = functools.cache(lambda j: plans[j].source.dictionary.to(device))
    plan_parts: list[list[Arrays]] = [[] for _ in plans]
    for i in range(words.shards):
        part = words.of(i)
        reference = EvaluationReferenceSpec(seed=site.seed, of=site, shard=i)
        specs = [
            EvaluationShardSpec(seed=site.seed, of=reference, dictionary=plan.source.sha256)
            for plan in plans
        ]
        missing = [j for j, spec in enumerate(specs) if store.built(spec) is None]
        with_reference = store.built(reference) is None

        @functools.cache
        def measured(
            part: slice = part,
            missing: tuple[int, ...] = tuple(missing),
            with_reference: bool = with_reference,
        ) -> Any:
            ours = [moved(j) for j in missing]
            shard_documents = words.document[part] - words.document[part][0]
            shared, dictionary_sums = measure.shard(
                subject(),
                get_place(),
                words.tokens[part],
                shard_documents,
                ablated[part],
                ours,
                reference=with_reference,
                first=part.start,
                batch=batch,
                tick=report_tokens,
            )
            return {None: shared, **dict(zip(missing, dictionary_sums, strict=True))}

        if not missing and not with_reference:
            report_tokens(words.tokens[part].size)
        shared = _load_or_measure(store, reference, measured, None)
        for j, spec in enumerate(specs):
            plan_parts[j].append(shared | _load_or_measure(store, spec, measured, j))
        if missing and i + 1 < words.shards:
            for plan, parts in zip(plans, plan_parts, strict=True):
                summary.tell(watch, plan.source.name, parts)
    chosen = _compared(site, words)

    def compare(j: int) -> Compared:
        name, sha256 = plans[j].source.name, plans[j].source.sha256
        spec = EvaluationBaselineSpec(seed=site.seed, of=site, dictionary=sha256)
        is_stored = store.built(spec) is not None

        def build(path: Path) -> None:
            watch(Begun(f"what {name} is compared with"))
            of_windows = words.tokens[chosen], words.document[chosen]
            compared = baselines.on_text(
                subject(), get_place(), moved(j), words.spare, *of_windows, batch, report_tokens
            )
            (path / "result.json").write_text(json.dumps(compared, allow_nan=False))

        if not len(chosen):
            return None
        if is_stored:
            report_tokens(chosen.size * words.context)
        return _result(store.artefact(spec, build))

    compares = [functools.partial(compare, j) for j in range(len(plans))]
    return list(zip(map(_concatenate_shards, plan_parts), compares, strict=True))


def _compared(site: EvaluationSiteSpec, words: Text) -> Int[np.ndarray, " w"]:
    """The windows on which a dictionary is compared with baselines."""
    return baselines.spread(words.ablated(site.ablation_tokens), words.context)


def _result(path: Path) -> Compared:
    try:
        return json.loads(foreign.read_stored(path / "result.json"))  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged; delete that folder and run the same command again"
        ) from error


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
        raise StoreError(
            f"{path} is damaged; delete that folder and run the same command again"
        ) from error


def _or_nothing(path: Path, make: Callable[[], Any]) -> Any:
    """What is made for a folder, which is gone where what was asked for is refused: nobody will go
    on with it."""
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
