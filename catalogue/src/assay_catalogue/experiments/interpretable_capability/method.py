"""The method of interpretable-capability: ladders of small language models, how they are trained,
and what is measured of each rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float, Int

from assay.core import Spec
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained, fit
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.data import corpus as corpora
from assay.data import lm_text
from assay.data.lm import LmSpec, group_of, shape_of, start
from assay.subjects.decoder import forward, next_token_loss
from assay.train import rng
from assay_catalogue.dictionaries.on_text import InWords
from assay_catalogue.explaining.evidence import input_explanation
from assay_catalogue.explaining.learner import Split
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import balanced_accuracy, cut, levels
from assay_catalogue.features import circuits
from assay_catalogue.worlds.networks import readable
from assay_catalogue.worlds.networks.readable import Known

RUNGS = 8
"""Models of a ladder, smallest first."""
GRID = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
"""Shares of a model's nodes that circuits have."""
LOTS = 2
"""Times that nodes are drawn by lot; small models differ much between lots."""
TARGETS = {"needed": 0.9, "needed_half": 0.5}
"""The share of what a model does that its circuit has to keep, for each measure of how many nodes
that takes; the first is judged."""
LADDERS: Mapping[str, tuple[Known, ...]] = {
    "valley": (
        *(Known(20), Known(21), Known(22)),
        *(Known(4, 19), Known(5, 20)),
        *(Known(26), Known(27), Known(28)),
    ),
    "rise": tuple(Known(plain) for plain in range(4, 20, 2)),
}
"""Planted: what each rung knows plainly and densely; all of the second ladder can be read."""
LIVE = (0.001, 0.999)
"""The shares of positions between which a neuron has to fire to be explained at all."""
UNLEARNED = {"all": ("b_QKV",), "outputs": ("b_QKV", "W_QKV", "W_in", "b_in")}
"""What stays as it started. Biases of keys do nothing at all, so that Adam would make steps of
their rounding errors: attention has none. Where only outputs learn, all that reads the stream stays
random."""
BLOCKS = ("W_QKV", "W_O", "W_in", "W_out")
"""The matrices of the blocks, whose entries are drawn by lot where weights are exchanged."""
DETECTED = ("detected", "detected_shuffled")
"""How well rules tell where neurons fire; another neuron's rule."""


@dataclass(frozen=True, kw_only=True)
class InterpretableCapability(InWords, Spec):
    widths: tuple[Annotated[int, Ge(2)], ...] = (6, 8, 12, 16, 24, 32, 48, 64)
    """Width of the stream at each of eight rungs; an MLP has four times as many neurons."""
    layers: Annotated[int, Ge(1)] = 1
    """Blocks."""
    head: Annotated[int, Ge(2)] = 8
    """Width of an attention head, where the stream is as wide; a narrower one has one head."""
    corpus: str = "stdlib"
    """The text: "stdlib", "docs" or a folder of text files."""
    vocab: Annotated[int, Ge(257)] = 320
    """Tokens of the byte-level BPE."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    batch: Annotated[int, Ge(1)] = 8
    """Windows a step; the same for all rungs of a ladder."""
    steps: Annotated[int, Ge(1)] = 800
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 2e-2
    """Adam's learning rate at its top for width 16; other widths have it times √(16/width)."""
    std: Annotated[float, Gt(0)] = 0.1
    """Standard deviation of matrices at the start, for width 16; scaled likewise."""
    learned: Literal["all", "outputs"] = "all"
    """Whether what reads the stream, in attention and MLP, is learned or stays random."""
    world: Literal["", "valley", "rise"] = ""
    """A planted ladder in the place of trained models."""
    pruned_on: Annotated[int, Ge(1)] = 32
    """Windows of training text by which circuits are found, and of other files on which they are
    judged."""
    explained_on: Annotated[int, Ge(4)] = 256
    """Windows of training text from which rules are learned, a quarter of them to say when to
    stop."""
    held_out: Annotated[int, Ge(1)] = 64
    """Windows of other files on which everything is judged, at most four of a file."""
    neurons: Annotated[int, Ge(2)] = 32
    """Neurons of each model that are explained, drawn by lot."""

    @property
    def tokens(self) -> int:
        """Tokens on which each model is trained."""
        return self.steps * self.batch * self.context

    def check(self) -> None:
        if len(self.widths) != RUNGS:
            raise SpecError(
                f"InterpretableCapability.widths are {RUNGS} sizes, over which claims generalise, "
                f"got {len(self.widths)}"
            )


def lm_runs(runs: Runs[InterpretableCapability], rung: int) -> Runs[LmSpec]:
    """The language models of one rung, each with a seed of its own."""
    s, d = runs.shared, runs.shared.widths[rung]
    small = (16 / d) ** 0.5
    return Runs(
        [
            LmSpec(
                seed=int(seed) * 100 + rung,
                layers=s.layers,
                d=d,
                heads=max(1, d // s.head),
                m=4 * d,
                activation="relu",
                context=s.context,
                vocab=s.vocab,
                corpus=s.corpus,
                steps=s.steps,
                batch=s.batch,
                lr=s.lr * small,
                std=s.std * small,
            )
            for seed in runs.seeds
        ]
    )


def train(runs: Runs[InterpretableCapability], bench: Bench) -> Trained:
    """The parameters of every rung, named by it: trained side by side on the same batches, or
    written by hand."""
    s = runs.shared
    if s.world:
        models = [readable.decoder(runs.seeds, known, s.context) for known in LADDERS[s.world]]
        return Trained.nothing(runs).with_tensors(
            {f"{i}.{name}": p for i, params in enumerate(models) for name, p in params.items()}
        )
    tokens, vocab = lm_text.tokens_of(
        lm_text.words(corpora.load(s.corpus), s.vocab, s.context, bench)
    )
    groups, fixed_params = [], []
    for i in range(len(s.widths)):
        rung_runs = lm_runs(runs, i)
        shape = shape_of(rung_runs.specs[0], vocab)
        params = start(rung_runs, shape)
        fixed = {name: params.pop(name).to(bench.device) for name in UNLEARNED[s.learned]}
        groups.append(group_of(rung_runs, shape, params, fixed))
        fixed_params.append(fixed)
    trainings = fit(
        groups, lm_text.batches(runs.seeds, tokens, vocab, s.batch), steps=s.steps, bench=bench
    )
    tensors = {
        f"{i}.{name}": p
        for i, (d, fixed) in enumerate(zip(trainings, fixed_params, strict=True))
        for name, p in {**d.tensors, **fixed}.items()
    }
    return Trained(
        tensors,
        {"kind": "ladder"},
        {},
        trainings[0].steps,
        np.any([d.diverged for d in trainings], axis=0),
    )


def exchange(runs: Runs[InterpretableCapability], bench: Bench, before: Trained) -> Trained:
    """Exchange the entries of each matrix of each block by lot; embeddings, norms and biases stay
    as they were."""

    def by_lot(name: str, p: torch.Tensor) -> torch.Tensor:
        if name.split(".")[1] not in BLOCKS:
            return p
        order = torch.from_numpy(
            rng.permutation(runs.seeds, f"interpretable-capability.{name}", 0, p[0].numel())
        ).to(p.device)
        return p.flatten(1).gather(1, order).view_as(p)

    return before.with_tensors({name: by_lot(name, p) for name, p in before.tensors.items()})


class Texts(NamedTuple):
    """What models are measured on: one text that all runs share, or each run's own."""

    found_on: torch.Tensor
    """By which circuits are found."""
    explained: Sequence[Split]
    """From which rules are learned, a quarter of the windows to say when to stop."""
    judged: Sequence[Positions]
    unigram: Float[np.ndarray, "any"]
    """Loss on the judged text of the training text's frequencies of tokens."""


def texts(runs: Runs[InterpretableCapability], bench: Bench) -> Texts:
    """The texts of these runs: a corpus that all share, or each planted world's own."""
    s = runs.shared
    if s.world:
        explained, judged = (
            readable.text(runs.seeds, n, s.context, part)
            for n, part in ((s.explained_on, "train"), (s.held_out, "test"))
        )
        found_on, unigram = (
            torch.from_numpy(explained[:, : s.pruned_on]),
            np.full(len(runs), np.log(readable.VOCAB)),
        )
        return Texts(
            found_on, [split(t) for t in explained], [positions(t) for t in judged], unigram
        )
    text = corpora.load(s.corpus)
    tokens, vocab = lm_text.tokens_of(lm_text.words(text, s.vocab, s.context, bench))
    judged = lm_text.held_out(text, s.vocab, s.context, s.held_out, bench)
    counts = np.bincount(tokens.ravel(), minlength=vocab) + 1
    unigram = -np.log(counts / counts.sum())[judged[:, 1:]].mean()
    found_on = torch.from_numpy(tokens[: s.pruned_on].astype(np.int64))
    return Texts(
        found_on, [split(tokens[: s.explained_on])], [positions(judged)], np.array([unigram])
    )


def positions(tokens: Int[np.ndarray, "window s"]) -> Positions:
    """All positions of these windows."""
    return Positions(tokens, np.ones(tokens.shape, bool))


def split(tokens: Int[np.ndarray, "window s"]) -> Split:
    """Windows to learn rules from, every fourth to say when to stop."""
    text = positions(tokens)
    return Split(text, text.row // tokens.shape[1] % 4 == 0)


def measure(runs: Runs[InterpretableCapability], trained: Trained, bench: Bench) -> xr.Dataset:
    """Measure every rung's loss, how many nodes its circuits need, and how well rules tell where
    its neurons fire, on text of other files."""
    s, read = runs.shared, texts(runs, bench)
    rows: list[dict[str, np.ndarray]] = []
    for i in range(RUNGS):
        params = {
            name.removeprefix(f"{i}."): p
            for name, p in trained.tensors.items()
            if name.startswith(f"{i}.")
        }
        rows.append(by_circuits(runs, params, read, i) | by_rules(runs, params, read, i))
        bench.report(len(rows), RUNGS, unit="rungs")
    units = {"loss": "nats per token", "nodes": "nodes"}
    units |= dict.fromkeys(DETECTED, "share of firings told less false alarms")
    variables: dict[str, tuple[str, Any, str]] = {
        name: (
            "run width",
            np.round(np.stack([row[name] for row in rows], 1), 6),
            units.get(name, "share of nodes"),
        )
        for name in rows[0]
    }
    unigram = np.broadcast_to(np.round(read.unigram, 6), (len(runs),))
    return measures(
        runs,
        coords={"width": list(s.widths)},
        unigram=("run", unigram, units["loss"]),
        **variables,
    )


def by_circuits(
    runs: Runs[InterpretableCapability], params: dict[str, torch.Tensor], read: Texts, rung: int
) -> dict[str, np.ndarray]:
    """The loss of the whole model, and which share of its nodes has to be kept: chosen by their
    costs, and as many of each kind by lot, on average over some lots and in one more."""
    kind, device = circuits.kinds(params), params["W_E"].device
    reference = circuits.read(params, read.found_on.to(device), "relu")
    judged = np.stack([text.tokens for text in read.judged]).astype(np.int64)
    tokens = torch.from_numpy(judged).to(device)
    text = circuits.read(params, tokens[:, : runs.shared.pruned_on], "relu")
    sizes = sorted({max(1, round(share * len(kind))) for share in GRID})
    chosen = circuits.pruned(params, reference, sizes, "relu")
    lots = [
        circuits.by_lot(chosen, kind, runs.seeds, f"interpretable-capability.lot {n}.{rung}")
        for n in range(LOTS + 1)
    ]
    kept = circuits.kept_share(
        params, text, np.concatenate([chosen, *lots], 1), "relu", reference.means
    )
    own, *by_lot = np.split(kept, LOTS + 2, axis=1)

    def needed(kept: np.ndarray, name: str = "needed") -> np.ndarray:
        return circuits.needed(kept, sizes, len(kind), TARGETS[name]) / len(kind)

    with torch.no_grad():
        loss = next_token_loss(params, tokens, "relu").flatten(1).mean(1)
    return {
        "loss": loss.cpu().numpy(),
        "nodes": np.full(len(runs), float(len(kind))),
        **{name: needed(own, name) for name in TARGETS},
        "needed_lot": np.mean([needed(lot) for lot in by_lot[:LOTS]], axis=0),
        "needed_again": needed(by_lot[LOTS]),
    }


def by_rules(
    runs: Runs[InterpretableCapability], params: dict[str, torch.Tensor], read: Texts, rung: int
) -> dict[str, np.ndarray]:
    """How well rules tell where neurons fire, on average over each run's neurons drawn by lot; and
    by another neuron's rule."""
    s = runs.shared
    out = np.full((len(runs), len(DETECTED)), np.nan)
    for i, seed in enumerate(runs.seeds.tolist()):
        model_params = {name: p[i : i + 1] for name, p in params.items()}
        index = i if len(read.judged) > 1 else 0
        text, test = read.explained[index], read.judged[index]
        values, unseen = (
            posts(model_params, torch.from_numpy(t.tokens.astype(np.int64)))
            for t in (text.text, test)
        )
        rate = (values > 0).mean(0)
        gen = rng.generator(seed, f"interpretable-capability.neurons.{rung}")
        live = np.flatnonzero((rate > LIVE[0]) & (rate < LIVE[1]))
        neurons = gen.permutation(live)[: s.neurons]
        if len(neurons):
            out[i] = explained(text, values[:, neurons], test, unseen[:, neurons]).mean(1)
    return dict(zip(DETECTED, out.T, strict=True))


def posts(params: dict[str, torch.Tensor], tokens: torch.Tensor) -> Float[np.ndarray, "row neuron"]:
    """What every neuron of one model gives at every position, block after block."""

    activations: list[torch.Tensor] = []

    def edit(hook: str, block: int, x: torch.Tensor) -> torch.Tensor:
        if hook == "hook_post":
            activations.append(x[0])
        return x

    with torch.no_grad():
        forward(params, tokens.to(params["W_E"].device), "relu", edit)
    return torch.cat(activations, -1).cpu().numpy()


def explained(
    text: Split,
    values: Float[np.ndarray, "row feature"],
    test: Positions,
    test_values: Float[np.ndarray, "test feature"],
) -> Float[np.ndarray, "rule feature"]:
    """How much better than chance two rules tell where each feature fires on unseen text: its own,
    and that of the feature before it.

    Formula: share of firing positions that the rule names less that of silent ones, 2 · balanced
    accuracy − 1; 0 for no rule"""
    out = np.zeros((2, values.shape[1]))
    for i, value in enumerate(values.T):
        rule = input_explanation(text.learn(value > 0), text.text, value)
        threshold, scores = cut(levels(rule.scores(text.text), value > 0)), rule.scores(test)
        for k, other in enumerate((i, (i + 1) % values.shape[1])):
            out[k, other] = (
                2 * balanced_accuracy(levels(scores, test_values[:, other] > 0), threshold) - 1
            )
    return out
