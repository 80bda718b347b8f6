"""The method of memorisation: what one run is, how its block of models is trained and what is
measured of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from assay.core import Bench, Runs, Spec, SpecError, Trained, cosine, descent, fit
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay_catalogue.experiments.memorisation.removals import (
    FEWER,
    MIXED,
    RULES,
    RUNGS,
    WHOLE,
    Block,
    block,
)
from assay_catalogue.worlds.memory import models, selectors
from assay_catalogue.worlds.memory.corpus import LEAST, LENGTH, PLANTED, SYMBOLS, UNSEEN, bigrams
from assay_catalogue.worlds.memory.models import Predict
from assay_catalogue.worlds.memory.subsets import exchanged, memorisation
from assay_catalogue.worlds.networks import transformer

KINDS = [*PLANTED, *MIXED, *UNSEEN]
GROUPS = [*WHOLE, *FEWER]
SHOWN = ("unique", "32 copies", "topic", "rule", "predictable")
EACH = 2
"""Documents of each of these kinds whose losses are kept one by one."""
READ = {"exchanged": ("unique", "predictable"), "accuracy": ("unique", "32 copies", "predictable")}
"""Kinds of which a measure is kept, where that is not all."""
TABLES = ("count", "softmax")
"""Models that are a table of bigrams."""
APART = 10_000
"""How far apart the seeds of two blocks' models are."""


@dataclass(frozen=True, kw_only=True)
class Memorisation(Spec):
    model: Literal["network", "softmax", "count", "transformer"] = "network"
    """What is trained: a network that reads four symbols, a softmax table of bigrams, counted
    bigrams, or a small transformer."""
    documents: Annotated[int, Ge(LEAST)] = 1024
    """Documents of 32 tokens in a corpus, the planted ones among them."""
    subsets: Annotated[int, Ge(2)] = 12
    """Models of a block that are trained on random subsets."""
    rate: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Share of the subset models that have a document."""
    budget: Annotated[float, Gt(0), Le(1)] = 0.05
    """Largest share of the documents that a selector may remove."""
    alpha: Annotated[float, Gt(0)] = 0.1
    """What counting adds to every count."""
    ridge: Annotated[float, Gt(0)] = 0.01
    """Penalty on the softmax table's squared logits, in nats."""
    steps: Annotated[int, Ge(0)] = 600
    """Training steps; counting takes none."""
    batch: Annotated[int, Ge(1)] = 256
    """Tokens a step; documents for the transformer, everything for the softmax table."""
    lr: Annotated[float, Gt(0)] = 0.04
    """Adam's learning rate at its top: 20 steps of warm-up, then half a cosine down to 0."""
    embedding: Annotated[int, Ge(1)] = 16
    """Numbers for a symbol in the network."""
    hidden: Annotated[int, Ge(1)] = 64
    """Hidden units of the network; width of the transformer's stream."""
    layers: Annotated[int, Ge(1)] = 1
    """Blocks of the transformer."""
    prompt: Annotated[int, Ge(4), Le(LENGTH - 8)] = 8
    """Tokens of a document that are given where the next eight are to be extracted."""

    def check(self) -> None:
        count = self.rate * self.subsets
        if not 0 < round(count) < self.subsets or abs(count - round(count)) > 1e-9:
            detail = f"got {self.subsets} times {self.rate:g}"
            raise SpecError(
                "Memorisation.subsets times rate must be a whole number of models between 0 "
                f"and subsets, {detail}"
            )

    @property
    def models(self) -> str:
        """What is trained, in words."""
        return {
            "network": "networks that read four symbols",
            "softmax": "softmax tables of bigrams",
            "count": "counted bigrams",
            "transformer": "transformers",
        }[self.model]


def blocks(runs: Runs[Memorisation]) -> list[Block]:
    """The block of each run."""
    s = runs.shared
    return [block(int(seed), s.documents, s.subsets, s.rate, s.budget) for seed in runs.seeds]


def train(runs: Runs[Memorisation], bench: Bench) -> Trained:
    """Parameters [run, model, …] of every run's block, all models of all runs trained as one
    ensemble."""

    s, run_blocks = runs.shared, blocks(runs)
    count = len(run_blocks[0].kept)
    wide = type(runs)(
        [r.replace(seed=r.seed * APART + m) for r in runs.specs for m in range(count)]
    )
    masks = [b.kept & b.corpus.seen for b in run_blocks]
    batches: Callable[[int], Any]
    if s.model in TABLES:
        counts = torch.cat(
            [
                models.pair_counts(mask, bigrams(b.corpus.tokens))
                for b, mask in zip(run_blocks, masks, strict=True)
            ]
        )
        if s.model == "count":
            return Trained.nothing(runs).with_tensors(
                {"table": folded(models.counted(counts, s.alpha), count)}
            )
        start = {"table": torch.zeros_like(counts)}
        loss, batches = (lambda p, n: models.table_loss(p, n, s.ridge)), lambda step: counts
    else:
        draw = models.drawn_tokens if s.model == "network" else models.drawn_documents
        seeds = wide.seeds.reshape(len(run_blocks), count)
        parts = [
            draw(model_seeds, mask, b.corpus.tokens, s.batch)
            for model_seeds, b, mask in zip(seeds, run_blocks, masks, strict=True)
        ]
        batches = lambda step: join_batches([part(step) for part in parts])  # noqa: E731
        start, loss = starting(s, wide.seeds)
    schedule = cosine(s.steps, min(20, max(1, s.steps // 4)))
    [trained] = fit(
        [descent(wide, start, loss, lr=wide_rate(wide), schedule=schedule)],
        batches,
        steps=s.steps,
        bench=bench,
    )
    return Trained(
        {name: folded(p, count) for name, p in trained.tensors.items()},
        trained.header,
        {name: x.reshape(len(runs), count, -1).mean(1) for name, x in trained.history.items()},
        trained.steps,
        np.any(trained.diverged.reshape(len(runs), count), axis=1),
    )


def starting(
    s: Memorisation, seeds: np.ndarray
) -> tuple[dict[str, torch.Tensor], Callable[..., torch.Tensor]]:
    """Starting parameters of networks or transformers, and their loss."""

    if s.model == "network":
        return models.network(seeds, s.embedding, s.hidden), models.network_loss
    heads = max(1, s.hidden // 16)
    sizes = transformer.Sizes(
        layers=s.layers,
        d=s.hidden,
        heads=heads,
        d_head=s.hidden // heads,
        d_mlp=4 * s.hidden,
        context=LENGTH,
        vocab=SYMBOLS,
    )

    def loss(params: dict[str, torch.Tensor], text: torch.Tensor) -> torch.Tensor:
        logits, _ = transformer.forward(params, text[..., :-1])
        targets = text[..., 1:]
        return (
            torch.nn.functional.cross_entropy(
                logits.flatten(0, 2), targets.flatten(), reduction="none"
            )
            .view(len(text), -1)
            .mean(1)
        )

    return transformer.transformer(seeds, sizes), loss


def predictor(s: Memorisation) -> Predict:
    """How models of this kind predict."""

    def predict_by_transformer(params: Any, tokens: torch.Tensor) -> torch.Tensor:
        return transformer.forward(params, tokens[:, :-1])[0].log_softmax(-1)

    return {"network": models.predict_by_network, "transformer": predict_by_transformer}.get(
        s.model, models.predict_by_table
    )


def measure(runs: Runs[Memorisation], trained: Trained, bench: Bench) -> xr.Dataset:
    s = runs.shared
    rows = [
        measure_block(s, b, {name: p[i] for name, p in trained.tensors.items()}, int(seed))
        for i, (b, seed) in enumerate(zip(blocks(runs), runs.seeds, strict=True))
    ]
    units = {
        "bits": "bits",
        "least_bits": "bits",
        "by_literals": "bits",
        "accuracy": "share of tokens",
        "extracted": "share of tokens",
        "share": "share of damage",
    }
    dims = {"rung": ("bits", "share"), "rule": ("rule_damage",), "shown": ("loss_in", "loss_out")}
    variable_dims = {name: f"run {dim}" for dim, names in dims.items() for name in names}
    variables = {
        name: (
            variable_dims.get(name, "run kind"),
            np.round([f[name] for f in rows], 5),
            units.get(name, "nats per token"),
        )
        for name in rows[0]
    }
    coords: dict[str, Any] = {
        "kind": KINDS,
        "rung": [f"{family}: {name}" for family, name in RUNGS],
        "rule": list(RULES),
        "shown": [f"{kind} {i + 1}" for kind in SHOWN for i in range(EACH)],
    }
    return measures(runs, coords=coords, **variables)


def measure_block(
    s: Memorisation, b: Block, params: dict[str, torch.Tensor], seed: int
) -> dict[str, Any]:
    """Everything that is measured of one block, by name."""
    predict, watched = predictor(s), b.watched
    loss, right = (np.full(b.kept.shape, np.nan) for _ in range(2))
    loss[:, watched], right[:, watched] = models.scores(predict, params, b.corpus.tokens[watched])
    subset, membership = loss[: b.subsets], b.kept[: b.subsets]
    everything = loss[b.subsets]
    without = dict(zip([r.name for r in b.removals], loss[b.subsets + 1 :], strict=True))
    whole = {name: p[b.subsets : b.subsets + 1] for name, p in params.items()}
    written = np.full(len(watched), np.nan)
    written[watched] = models.extracted(predict, whole, b.corpus.tokens[watched], s.prompt, 8)[0]

    def damage(name: str, on: np.ndarray) -> float:
        return float((without[name] - everything)[on].mean()) if on.any() else math.nan

    def by_kind(values: np.ndarray, what: str = "") -> list[float]:
        read = READ.get(what, KINDS)
        return [float(values[b.family(kind)].mean()) if kind in read else np.nan for kind in KINDS]

    group = {
        kind: damage("fewer copies" if kind in FEWER else kind, b.family(kind)) for kind in GROUPS
    }
    rungs = {r.name: r for r in b.removals if ":" in r.name}
    share = np.array([damage(r.name, r.chosen) / group[r.family] for r in rungs.values()])
    bits = np.array([r.bits for r in rungs.values()])
    listing = b.budget * math.log2(
        len(b.corpus.tokens)
    )  # what naming so many documents one by one costs

    def least(what: str) -> list[float]:
        which = {
            kind: np.array([r.family == kind and what in r.name for r in rungs.values()])
            for kind in KINDS
        }
        return [
            selectors.least_bits(bits[w], share[w], listing) if w.any() else math.nan
            for w in which.values()
        ]

    random = next(r for r in b.removals if r.name == "random")
    examples = np.concatenate([np.flatnonzero(b.family(kind))[:EACH] for kind in SHOWN])
    reference = damage("random", random.chosen)
    return {
        "memorised": by_kind(memorisation(subset, membership)),
        "exchanged": by_kind(memorisation(subset, exchanged(seed, membership)), "exchanged"),
        "accuracy": by_kind(-memorisation(right[: b.subsets], membership), "accuracy"),
        "group": [group.get(kind, math.nan) for kind in KINDS],
        "extracted": by_kind(written),
        "least_bits": least(""),
        "by_literals": least("literals"),
        "bits": bits,
        "share": share,
        "rule_damage": [
            damage(name, next(r.chosen for r in b.removals if r.name == name)) - reference
            for name in RULES
        ],
    } | (
        {
            "loss_in": [float(subset[membership[:, i], i].mean()) for i in examples],
            "loss_out": [float(subset[~membership[:, i], i].mean()) for i in examples],
        }
        if s.model not in TABLES  # documents one by one are drawn of networks alone
        else {}
    )


def folded(p: torch.Tensor, count: int) -> torch.Tensor:
    """[run · model, …] as [run, model, …]."""
    return p.unflatten(0, (-1, count))


def join_batches(parts: list[Any]) -> Any:
    """The batches of several blocks as one."""
    return (
        tuple(torch.cat(p) for p in zip(*parts, strict=True))
        if isinstance(parts[0], tuple)
        else torch.cat(parts)
    )


def wide_rate(wide: Runs[Memorisation]) -> np.ndarray:
    """The learning rate of every model."""
    return np.full(len(wide), wide.shared.lr)
