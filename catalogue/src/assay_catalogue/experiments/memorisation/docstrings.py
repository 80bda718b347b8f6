"""The design on prose: language models trained with and without passages of docstrings, and
near-duplicates made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Int

from assay.core import (
    Arm,
    Arms,
    Bench,
    Claim,
    Derive,
    Estimate,
    Experiment,
    Figure,
    PerRun,
    Runs,
    SpecError,
    Trained,
    figure,
    fit,
    grid,
    variant,
)
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.lm import LmSpec, group_of, shape_of
from assay.data.lm_text import encoder, words
from assay.subjects.decoder import forward
from assay.train import rng
from assay_catalogue.dictionaries.on_text import InWords
from assay_catalogue.experiments.memorisation.claims import COMMENT, HIDDEN, MEEUS, ZHANG, hidden
from assay_catalogue.worlds.memory import models
from assay_catalogue.worlds.memory.subsets import balanced, exchanged, memorisation

KINDS = ("unique", "copies", "topic", "unseen")
"""Passages that occur once; near-duplicates of a few; passages of the same module; passages that
nothing is trained on."""
APART = 1_000
"""How far apart the seeds of two runs' models are."""


@dataclass(frozen=True, kw_only=True)
class Docstrings(InWords, LmSpec):
    """A block of language models on passages of prose, some of which by lot each model does not
    read."""

    corpus: str = corpora.DOCS
    """The text: "stdlib", "docs" or a folder of text files; passages are of its training part."""
    d: int = 32
    """Width of the residual stream."""
    m: int = 128
    """Neurons in a block's MLP."""
    batch: int = 8
    """Passages a step, drawn evenly from those that a model reads."""
    steps: int = 400
    """Training steps."""
    lr: PerRun[float] = 5e-3
    """Adam's learning rate at its top."""
    background: Annotated[int, Ge(1)] = 128
    """Passages that every model reads, each of a module of its own."""
    families: Annotated[int, Ge(2)] = 3
    """Groups of near-duplicates, of a module's passages and of others, left out whole."""
    size: Annotated[int, Ge(2)] = 8
    """Passages in a group."""
    edits: Annotated[int, Ge(0)] = 3
    """Tokens of each near-duplicate in whose place others stand, drawn for it by lot."""
    models: Annotated[int, Ge(2)] = 6
    """Models that lack passages one by one, half of them each; as many lack whole groups."""
    prompt: Annotated[int, Ge(1)] = 16
    """Tokens that are given where as many following ones are to be extracted."""

    def check(self) -> None:
        """Raise SpecError where no half of the models can lack a passage, or none is long
        enough."""
        super().check()
        if self.models % 2:
            raise SpecError(f"Docstrings.models must be even, got {self.models}")
        if 2 * self.prompt > self.context or self.edits > self.context:
            raise SpecError(
                "Docstrings: a passage of context tokens must hold its edits, and the prompt "
                f"twice; got context={self.context}, prompt={self.prompt}, edits={self.edits}"
            )


@dataclass(frozen=True, eq=False)
class Passages:
    """The passages of a run [doc token], and which each model reads: those that lack passages one
    by one, those that lack groups, and one that reads all."""

    tokens: Int[np.ndarray, "doc token"]
    kind: Int[np.ndarray, "doc"]
    """The place in KINDS; −1 for the background."""
    group: Int[np.ndarray, "doc"]
    singly: Bool[np.ndarray, "model doc"]
    whole: Bool[np.ndarray, "model doc"]

    @property
    def membership(self) -> Bool[np.ndarray, "model doc"]:
        """Which passages each model reads."""
        everything = np.ones((1, len(self.kind)), bool)
        trained_on = self.kind != KINDS.index("unseen")
        return np.concatenate([self.singly, self.whole, everything]) & trained_on


@lru_cache(maxsize=2)
def _windows(folder: Path, corpus: str, context: int) -> tuple[np.ndarray, np.ndarray]:
    """All passages of the training part, and the module of each."""
    cut = corpora.load(corpus).windows(encoder(folder), "train", context=context, count=0)
    return cut.tokens.astype(np.int64), cut.document


def passages(s: Docstrings, folder: Path) -> Passages:
    """Draw the passages of one run, and who reads them. Raises: SpecError where the text has too
    few modules."""
    tokens, module = _windows(folder, s.corpus, s.context)
    gen = rng.generator(s.seed, "memorisation.docstrings")
    order = gen.permutation(len(tokens))
    per_module: dict[int, list[int]] = {}
    for i in order.tolist():
        per_module.setdefault(int(module[i]), []).append(i)
    long = [w[: s.size] for w in per_module.values() if len(w) >= s.size][: s.families]
    topics = {int(module[w[0]]) for w in long}
    single = [w[0] for m, w in per_module.items() if m not in topics]
    count = s.families * s.size
    needed = 2 * count + s.families + s.background
    if len(long) < s.families or len(single) < needed:
        raise SpecError(
            f"Docstrings needs {s.families} modules of {s.size} passages and {needed} others; the "
            f"text has {len(long)} and {len(single)}"
        )
    unique, unseen, sources, background = np.split(
        np.array(single[:needed]), np.cumsum([count, count, s.families])
    )
    copies = np.repeat(tokens[sources], s.size, axis=0)
    for copy in copies:
        places = gen.permutation(s.context)[: s.edits]
        copy[places] = gen.choice(tokens[background].ravel(), s.edits)
    texts = [tokens[unique], copies, tokens[np.concatenate(long)], tokens[unseen]]
    kind = np.repeat([*range(len(KINDS)), -1], [count] * len(KINDS) + [len(background)])
    group = np.concatenate([np.arange(len(KINDS) * count) // s.size, np.full(len(background), -1)])
    watched = kind >= 0
    singly, whole = (np.ones((s.models, len(kind)), bool) for _ in range(2))
    singly[:, watched] = balanced(s.seed, s.models, int(watched.sum()), 0.5)
    groups = balanced(s.seed + 1_000_000, s.models, int(group.max()) + 1, 0.5)
    whole[:, watched] = groups[:, group[watched]]
    return Passages(np.concatenate([*texts, tokens[background]]), kind, group, singly, whole)


def blocks(runs: Runs[Docstrings], bench: Bench) -> tuple[list[Passages], int]:
    """The passages of each run, and how many tokens there are."""
    s = runs.shared
    folder = words(corpora.load(s.corpus), s.vocab, s.context, bench)
    return [passages(spec, folder) for spec in runs.specs], s.vocab


def train(runs: Runs[Docstrings], bench: Bench) -> Trained:
    """Parameters [run, model, …]: all models of all runs, trained as one ensemble."""
    s, (run_passages, vocab) = runs.shared, blocks(runs, bench)
    count = len(run_passages[0].membership)
    wide = Runs([r.replace(seed=r.seed * APART + i) for r in runs.specs for i in range(count)])
    draws = [
        models.drawn_documents(seeds, block.membership, block.tokens, s.batch)
        for seeds, block in zip(wide.seeds.reshape(-1, count), run_passages, strict=True)
    ]

    def batches(step: int) -> torch.Tensor:
        return torch.cat([draw(step) for draw in draws])

    group = group_of(wide, shape_of(runs.specs[0], vocab))
    [trained] = fit([group], batches, steps=s.steps, bench=bench)
    return Trained(
        {name: p.unflatten(0, (-1, count)) for name, p in trained.tensors.items()},
        trained.header,
        {name: x.reshape(len(runs), count, -1).mean(1) for name, x in trained.history.items()},
        trained.steps,
        np.any(trained.diverged.reshape(len(runs), count), axis=1),
    )


def measure(runs: Runs[Docstrings], trained: Trained, bench: Bench) -> xr.Dataset:
    """What leaving a passage out costs it, alone and with its group, and how much of it is
    written."""
    s, (run_passages, _) = runs.shared, blocks(runs, bench)
    rows = [
        _measured(s, block, {name: p[i] for name, p in trained.tensors.items()}, int(seed))
        for i, (block, seed) in enumerate(zip(run_passages, runs.seeds, strict=True))
    ]
    units = {"extracted": "share of tokens"}
    return measures(
        runs,
        coords={"kind": list(KINDS)},
        **{
            name: (
                "run kind",
                np.round([row[name] for row in rows], 5),
                units.get(name, "nats per token"),
            )
            for name in rows[0]
        },
    )


def _measured(
    s: Docstrings, block: Passages, params: dict[str, torch.Tensor], seed: int
) -> dict[str, list[float]]:
    """Everything that is measured of one run, by name, for each kind of passage."""

    def predict(params: models.Params, tokens: torch.Tensor) -> torch.Tensor:
        return forward(params, tokens[:, :-1], s.activation)[0].log_softmax(-1)

    watched = block.kind >= 0
    kind, singly, whole = (x[..., watched] for x in (block.kind, block.singly, block.whole))
    text = block.tokens[watched]
    loss, _ = models.scores(predict, params, text)
    single_loss, group_loss = loss[: s.models], loss[s.models : 2 * s.models]
    continued = models.extracted(
        predict, {name: p[-1:] for name, p in params.items()}, text, s.prompt, s.prompt
    )[0]
    by_passage = {
        "memorised": memorisation(single_loss, singly),
        "exchanged": memorisation(single_loss, exchanged(seed, singly)),
        "group": memorisation(group_loss, whole),
        "extracted": continued,
    }
    return {
        name: [float(values[kind == i].mean()) for i in range(len(KINDS))]
        for name, values in by_passage.items()
    }


def of_kind(data: xr.Dataset, what: str, kind: str) -> xr.DataArray:
    """[run]: a measure of the passages of one kind."""
    return data[what].sel(kind=kind, drop=True)


def memorised_alone(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: what leaving out a passage that occurs once costs it."""
    return of_kind(arm, "memorised", "unique")


def family(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: what leaving out one near-duplicate costs it, all of its group, and a passage that
    occurs once."""
    return {
        "copy": of_kind(arm, "memorised", "copies"),
        "unique": of_kind(arm, "memorised", "unique"),
        "group": of_kind(arm, "group", "copies"),
    }


def beyond(kind: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """A value [run]: what leaving out a group costs each of it, less what leaving out it alone
    does."""
    return lambda arm, arms: of_kind(arm, "group", kind) - of_kind(arm, "memorised", kind)


def groups(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: what leaving out a group costs each of it, beyond itself, of a module's passages and
    of near-duplicates."""
    return {kind: beyond(kind)(arm, arms) for kind in ("topic", "copies")}


def written(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: how much more of a near-duplicate than of a passage that occurs once is written."""
    return of_kind(arm, "extracted", "copies") - of_kind(arm, "extracted", "unique")


def in_place(*measured: str, **kinds: str) -> Derive:
    """A derived arm: some of main's measures, of these kinds with others in their place."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms["main"][list(measured)]
        return data.sel(kind=[*kinds.values()]).assign_coords(kind=[*kinds])

    return derive


def exchanged_labels(arms: Arms) -> xr.Dataset:
    """A derived arm: who read a passage exchanged among models by lot."""
    return in_place("exchanged", unique="unique")(arms).rename(exchanged="memorised")


COSTS = ("memorised", "group", "extracted")
LOST = 0.5
"""Nats a token that leaving out costs what is memorised, as in the planted corpora."""
PLAN = "plan: the bounds of the planted corpora; a pilot on seeds 0 to 2 was seen"
shared: dict[str, Any] = {"half": {"main": "half"}, "published": "new", "threshold_from": PLAN}
CLAIMS = (
    Claim(
        text=f"Passages of prose are memorised: leaving one out costs it {LOST} nats a token or "
        "more",
        value=memorised_alone,
        low=LOST,
        unit="nats per token",
        must_fail=("placebo", "exchanged"),
        near={"placebo": "losses of passages differ between models by luck, read or not"},
        source=f"{ZHANG}; {COMMENT}",
        **shared,
    ),
    Claim(
        text="Near-duplicates hide it: one of {main.size} shows less than a fifth of what a "
        "passage that occurs once shows, and of what leaving out all of them costs",
        value=family,
        statistic=hidden,
        high=0.0,
        unit="nats per token, less that fifth",
        must_fail=("once", "topic"),
        near={"topic": "passages of one module stand in for each other as well"},
        source=f"{COMMENT}; {MEEUS}",
        **shared,
    ),
    Claim(
        text="Leaving out the group reveals it: without all {main.size} near-duplicates each "
        f"loses {LOST} nats a token more than without itself",
        value=beyond("copies"),
        low=LOST,
        unit="nats per token",
        near={
            "once": "losing so many passages costs something, whichever they are",
            "topic": "losing what is about the same thing costs as much",
        },
        source=COMMENT,
        **shared,
    ),
    Claim(
        text="A module is no such group: what leaving out all {main.size} of its passages costs "
        "each beyond itself is at most a fifth of what near-duplicates lose so",
        value=groups,
        statistic=lambda m: m["topic"] - HIDDEN * m["copies"],
        high=0.0,
        unit="nats per token, less that fifth",
        violations=("copies-as-topic",),
        near={"copies-as-topic": "near-duplicates in the place of a module's passages"},
        source=COMMENT,
        **shared,
    ),
    Claim(
        text="Near-duplicates can be extracted although each shows little: after its first "
        "{main.prompt} tokens 0.2 more of as many are written than of a passage that "
        "occurs once",
        value=written,
        low=0.2,
        unit="share of tokens",
        must_fail=("once", "topic"),
        near={"topic": "any passage that has relatives can be continued"},
        source=MEEUS,
        **shared,
    ),
)
FINDINGS = tuple(
    Estimate(
        text=f"{label} of {words_of}",
        value=lambda arms, what=what, kind=kind: of_kind(arms["main"], what, kind),
        unit="share of tokens" if what == "extracted" else "nats per token",
    )
    for what, label in (
        ("memorised", "What leaving out one costs"),
        ("group", "What leaving out its group costs each"),
        ("extracted", "Share of tokens that is written"),
    )
    for kind, words_of in (
        ("unique", "passages that occur once"),
        ("copies", "near-duplicates"),
        ("topic", "passages of one module"),
        ("unseen", "passages that nothing was trained on"),
    )
)


def drawings(arms: Arms) -> list[Figure]:
    """What leaving out costs each kind of passage."""
    labels = {"memorised": "it alone", "group": "its whole group"}
    rows = [
        (label, kind, of_kind(arms["main"], what, kind).values)
        for what, label in labels.items()
        for kind in KINDS
    ]
    return [
        figure(
            "What leaving out a passage of prose costs it",
            "bars",
            {"left out": "color", "passage": "x", "mean": "mean"},
            rows,
            y_title="loss that leaving out costs (nats per token)",
        )
    ]


ARMS = {
    "main": Arm(train, note="language models that read passages of prose, or do not"),
    "half": Arm(
        train,
        specs=variant(seeds=4, times={"steps": 0.5}),
        note="main, trained half as long, with its own decay of the rate",
    ),
    "placebo": Arm(
        derive=in_place("memorised", unique="unseen"),
        note="passages that nothing was trained on, with labels drawn as for the others",
        learned=(),
    ),
    "exchanged": Arm(
        derive=exchanged_labels,
        note="the labels of who read a passage exchanged among models by lot",
        learned=(),
    ),
    "once": Arm(
        derive=in_place(*COSTS, unique="unique", copies="unique"),
        note="passages that occur once, in groups drawn by lot, in the place of near-duplicates",
    ),
    "topic": Arm(
        derive=in_place(*COSTS, unique="unique", copies="topic"),
        note="passages of one module in the place of near-duplicates",
    ),
    "copies-as-topic": Arm(
        derive=in_place("memorised", "group", topic="copies", copies="copies"),
        note="near-duplicates in the place of a module's passages",
    ),
}
DOCSTRINGS = Experiment(
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *FINDINGS),
    figures=drawings,
    inputs=lambda s: {"corpus": corpora.load(s.corpus).fingerprint},
    seeds_per_group=1,
    scope="language models of {layers} block, width {d}, on passages of {context} tokens of "
    "{text_in_words}",
    smoke=(),
    default=grid(Docstrings(), seed=range(13_200, 13_208)),
)
