"""The method of glitch-tokens: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from assay.core import Bench, PerRun, Runs, Spec, Trained, probes, warm_up_decay
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.lm import LmSpec, shape_of, start, train_lms
from assay.data.lm_text import batches, tokens_of, words
from assay.data.names import model_in_words, text_in_words
from assay.subjects.decoder import Shape, forward
from assay.subjects.folder import fingerprint
from assay.train.rng import normal, permutation
from assay_catalogue.data.planted_tokens import Planting, counted, planted_batches
from assay_catalogue.features.undertrained import (
    auroc_low,
    growth,
    indicators,
    precision_recall,
    repetition,
)

SEEN = (1, 4, 16, 64, 256)
"""How often planted tokens are seen in training."""
EACH, NEVER, KNOWN = 8, 24, 8
"""Tokens planted at each of these numbers; never seen at all; and how many of those are known to be
unused, and not looked for."""
PLACES = {"E_in": "W_E", "E_out": "W_U"}
LOWEST = 0.02
"""The share of all tokens that the paper takes for candidates: those with the lowest indicator."""
TIMES = 12
"""Copies of a token in a prompt that asks for one more."""


@dataclass(frozen=True, kw_only=True)
class GlitchTokens(Spec):
    subject: Literal["planted", "disk"] = "planted"
    """Small models that each seed trains for itself, tokens planted; or a model on disk, without
    ground truth."""
    model: str = "smollm2"
    """The model on disk: "smollm2", or a local folder."""
    candidates: Annotated[int, Ge(1)] = 24
    """Of the model on disk: tokens that are asked to be repeated, the lowest by the indicator; and
    as many drawn by lot."""
    tied: bool = False
    """Whether the unembedding is the embedding."""
    layers: Annotated[int, Ge(1)] = 2
    """Blocks."""
    d: Annotated[int, Ge(1)] = 32
    """Width of the stream."""
    heads: Annotated[int, Ge(1)] = 4
    """Attention heads in a block."""
    m: Annotated[int, Ge(1)] = 128
    """Neurons of an MLP."""
    context: Annotated[int, Ge(4)] = 32
    """Tokens in a window."""
    vocab: Annotated[int, Ge(257)] = 512
    """Ordinary tokens: a byte-level BPE of the text."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib" or a folder of text files."""
    files: Annotated[int, Ge(0)] = 0
    """How many files of it are read, the first by path; 0: all."""
    repeats: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of windows in which random tokens of one half of the ordinary ones repeat."""
    batch: Annotated[int, Ge(1)] = 16
    """Windows a step."""
    steps: Annotated[int, Ge(1)] = 1000
    """Training steps."""
    lr: PerRun[Annotated[float, Gt(0)]] = 3e-3
    """Adam's learning rate at its top: 50 steps of warm-up, linear decay over the last four
    fifths."""
    decay: PerRun[Annotated[float, Ge(0)]] = 0.1
    """Weight decay of AdamW."""
    std: Annotated[float, Gt(0)] = 0.02
    """Standard deviation of matrices at the start."""
    embedded: Annotated[float, Ge(0)] = 0.0
    """Standard deviation of the embedding at the start; 0: that of the other matrices."""
    replicate: int = 0
    """Another independent draw of the same set-up: shifts every seed."""

    @property
    def models(self) -> str:
        """What is looked at, in words."""
        if self.subject == "disk":
            return model_in_words(self.model)
        tokens = f"{self.vocab:,} ordinary and {len(EXPOSURES)} planted tokens"
        training = f"{self.steps * self.batch * self.context:,} tokens of training"
        text = f"{1 - self.repeats:g} of them {text_in_words(self.corpus)}"
        return f"{self.layers}-block decoders of width {self.d}, {tokens}, {training}, {text}"

    def lm(self) -> LmSpec:
        """The language model of this run."""
        return LmSpec(
            seed=self.seed + 1_000_000 * self.replicate,
            layers=self.layers,
            d=self.d,
            heads=self.heads,
            m=self.m,
            tied=self.tied,
            context=self.context,
            vocab=self.vocab,
            corpus=self.corpus,
            steps=self.steps,
            batch=self.batch,
            lr=self.lr,
            decay=self.decay,
            std=self.std,
        )


EXPOSURES = (*[0] * NEVER, *(n for n in SEEN for _ in range(EACH)))


def world(
    runs: Runs[GlitchTokens], bench: Bench
) -> tuple[Runs[LmSpec], Shape, Planting, Callable[[int], torch.Tensor]]:
    """The language models of these runs, what is planted in their vocabulary, and their batches."""
    s, lms = runs.shared, Runs([s.lm() for s in runs])
    tokens, ordinary = tokens_of(
        words(corpora.load(s.corpus).first(s.files), s.vocab, s.context, bench)
    )
    planting = Planting(ordinary, EXPOSURES, s.repeats)
    text = batches(lms.seeds, tokens, ordinary, s.batch)
    draw = planted_batches(
        planting, text, lms.seeds, steps=s.steps, batch=s.batch, context=s.context
    )
    return lms, shape_of(lms.specs[0], planting.vocab), planting, draw


def begun(runs: Runs[GlitchTokens], lms: Runs[LmSpec], shape: Shape) -> dict[str, torch.Tensor]:
    """Parameters before training, the embedding as wide as asked."""
    s, params = runs.shared, start(lms, shape)
    if s.embedded:
        params["W_E"] *= s.embedded / s.std
    return params


def train(runs: Runs[GlitchTokens], bench: Bench) -> Trained:
    lms, shape, _, draw = world(runs, bench)
    return train_lms(
        lms,
        shape,
        draw,
        bench,
        evaluate_at=probes(runs.shared.steps, 20),
        params=begun(runs, lms, shape),
    )


def untrained(runs: Runs[GlitchTokens], bench: Bench) -> Trained:
    """Train nothing: the same models as they were drawn."""
    lms, shape, _, _ = world(runs, bench)
    return Trained.nothing(runs).with_tensors(begun(runs, lms, shape))


def law(s: GlitchTokens) -> float:
    """What decoupled weight decay leaves of a row without gradient: Π(1 − η_t λ)."""
    rate = warm_up_decay(s.steps, 50, 0.8)
    return float(np.prod([1 - s.lr * rate(t) * s.decay for t in range(s.steps)]))


def measure(runs: Runs[GlitchTokens], trained: Trained, bench: Bench) -> xr.Dataset:
    """Indicators, repetition and exact laws, each against how often tokens were planted."""
    lms, shape, planting, draw = world(runs, bench)
    params = {name: trained.tensors[name] for name in shape.parameters()}
    count = counted(draw, runs.shared.steps, len(runs), planting.vocab)
    groups = grouped(lms.seeds, planting, count)
    variables = indicator_measures(lms.seeds, rows_of(params), groups) | repetition_measures(
        params, shape, groups
    )
    variables |= exact_measures(runs, rows_of(params), rows_of(begun(runs, lms, shape)), groups)
    coords: dict[str, Any] = {
        "indicator": list(NAMES),
        "exposure": list(SEEN),
        "group": ["never", *map(str, SEEN), "ordinary"],
        "repeated": ["never", *map(str, SEEN), "quiet", "rare"],
    }
    if trained.history:
        variables["loss"], coords["step"] = (
            ("run step", np.round(trained.history["loss"], 5), "nats"),
            trained.steps.tolist(),
        )
    return measures(runs, coords=coords, **variables)


def rows_of(params: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """{place: [run, token, d]}: rows of the embedding and of the unembedding."""
    out = params["W_U"].mT if "W_U" in params else params["W_E"]
    return {"E_in": params["W_E"].cpu().numpy(), "E_out": out.cpu().numpy()}


def grouped(seeds: np.ndarray, planting: Planting, count: np.ndarray) -> dict[str, np.ndarray]:
    """{group: [run, token]}: planted tokens by how often they are seen; ordinary ones; those in
    regular use, seen more often than any planted one; quiet ones, and rare ones that repeat."""
    exposure = np.concatenate([np.full(planting.ordinary, -1), planting.exposures])
    candidates = np.arange(planting.vocab) >= planting.ordinary + KNOWN
    out = {
        "never": np.broadcast_to((exposure == 0) & candidates, count.shape),
        "known": np.broadcast_to((exposure == 0) & ~candidates, count.shape),
    }
    out |= {str(n): np.broadcast_to(exposure == n, count.shape) for n in SEEN}
    out["ordinary"] = (exposure == -1) & (count > 0)
    out["regular"] = (exposure == -1) & (count > max(SEEN))
    quiet = planting.quiet(seeds)
    out["quiet"], loud = quiet & out["ordinary"], out["ordinary"] & ~quiet
    rank = (
        np.where(loud, count, count.max() + 1).argsort(1, kind="stable").argsort(1)
    )  # the rarest of those that repeat first
    out["rare"] = loud & (rank < loud.sum(1, keepdims=True) // 4)
    return out


NAMES = tuple(
    f"{place} {name}"
    for place in PLACES
    for name in ("norm", "distance", "cosine", "cosine, no first component", "cosine, no mean")
)


def indicator_measures(
    seeds: np.ndarray, rows: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """How well each indicator finds the tokens never seen, those seen n times in their place, and
    how it grows with n."""

    def scored(refs: list[np.ndarray]) -> np.ndarray:
        return np.stack(
            [
                np.concatenate([list(indicators(rows[place][r], ref).values()) for place in PLACES])
                for r, ref in enumerate(refs)
            ]
        )

    score = scored([np.flatnonzero(known) for known in groups["known"]])
    lottery = scored(drawn_references(seeds, groups["ordinary"]))
    norms = np.array([name.endswith("norm") for name in NAMES])
    lottery[:, norms] = normal(seeds, "glitch.scores", 0, (int(norms.sum()), score.shape[2]))
    lottery[:, norms] = np.exp(
        lottery[:, norms]
    )  # a norm has no reference to draw by lot: random sizes in its place
    exposed = np.any([groups[str(n)] for n in SEEN], axis=0)
    rest = groups["ordinary"] | exposed
    candidates = rest | groups["never"]

    def compute_auroc(score: np.ndarray, low: np.ndarray, rest: np.ndarray) -> np.ndarray:
        return auroc_low(score, low[:, None], rest[:, None])

    def margin(score: np.ndarray, low: np.ndarray) -> np.ndarray:
        edge = np.nanquantile(np.where(groups["regular"][:, None], score, np.nan), LOWEST, axis=2)
        return np.log(edge / np.nanmedian(np.where(low[:, None], score, np.nan), axis=2))

    number = np.array([sum(n * groups[str(n)][r] for n in SEEN) for r in range(len(seeds))])
    mixed = permutation(seeds, "glitch.permuted", 0, int(exposed[0].sum()))

    def grown(permuted: bool) -> np.ndarray:
        """[2, run, indicator]: the correlation of the logarithms, and the power."""
        n = [
            number[r, exposed[r]][mixed[r]] if permuted else number[r, exposed[r]]
            for r in range(len(seeds))
        ]
        return np.stack([growth(score[r][:, exposed[r]], n[r]) for r in range(len(seeds))], 1)

    def compute_precision_recall(counts: np.ndarray) -> np.ndarray:
        """[run, indicator, 2]: precision and recall of so many lowest tokens of each run."""
        scores = [
            [precision_recall(row, groups["never"][r], candidates[r], int(n)) for row in score[r]]
            for r, n in enumerate(counts)
        ]
        return np.array(scores)

    planted = compute_precision_recall(groups["never"].sum(1))
    lowest = compute_precision_recall(np.round(LOWEST * candidates.sum(1)))
    means = {
        name: np.where(groups[name][:, None], score, np.nan)
        for name in ("never", *map(str, SEEN), "ordinary")
    }
    return {
        "margin": ("run indicator", margin(score, groups["never"]), "log ratio"),
        "margin_lottery": ("run indicator", margin(lottery, groups["never"]), "log ratio"),
        "margin_seen": (
            "run indicator exposure",
            np.stack([margin(score, groups[str(n)]) for n in SEEN], 2),
            "log ratio",
        ),
        "auroc": ("run indicator", compute_auroc(score, groups["never"], rest), "AUROC"),
        "auroc_lottery": ("run indicator", compute_auroc(lottery, groups["never"], rest), "AUROC"),
        "auroc_seen": (
            "run indicator exposure",
            np.stack(
                [compute_auroc(score, groups[str(n)], rest & ~groups[str(n)]) for n in SEEN], 2
            ),
            "AUROC",
        ),
        "auroc_few": ("run indicator", compute_auroc(score, groups["never"], exposed), "AUROC"),
        "grows": ("run indicator", grown(False)[0], "correlation"),
        "grows_permuted": ("run indicator", grown(True)[0], "correlation"),
        "power": ("run indicator", grown(False)[1], "power"),
        "auroc_from": (
            "run indicator exposure",
            np.stack([compute_auroc(score, groups["never"], groups[str(n)]) for n in SEEN], 2),
            "AUROC",
        ),
        "precision": ("run indicator", planted[..., 0], "share"),
        "precision_lowest": ("run indicator", lowest[..., 0], "share"),
        "recall_lowest": ("run indicator", lowest[..., 1], "share"),
        "level": (
            "run indicator group",
            np.stack([np.nanmean(x, 2) for x in means.values()], 2),
            "1",
        ),
        "spread": (
            "run indicator group",
            np.stack([np.nanstd(x, 2) for x in means.values()], 2),
            "1",
        ),
    }


def drawn_references(seeds: np.ndarray, ordinary: np.ndarray) -> list[np.ndarray]:
    """As many ordinary tokens as are known to be unused, drawn by each seed, in their place."""
    order = permutation(seeds, "glitch.reference", 0, ordinary.shape[1])
    return [np.array([t for t in order[r] if ordinary[r, t]][:KNOWN]) for r in range(len(seeds))]


def repetition_measures(
    params: Mapping[str, torch.Tensor], shape: Shape, groups: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Whether a token is repeated after many copies of itself: tokens never seen, seen n times or
    never repeated, against rare ones that were."""
    p = repetition(lambda tokens: next_token(params, shape, tokens), np.arange(shape.vocab), TIMES)
    middle = {
        name: np.where(groups[name], p, np.nan)
        for name in ("never", *map(str, SEEN), "quiet", "rare")
    }

    def silence(low: np.ndarray) -> np.ndarray:
        return np.log10(
            np.nanquantile(np.where(groups["rare"], p, np.nan), 0.1, axis=1)
            / np.nanmedian(np.where(low, p, np.nan), axis=1)
        )

    return {
        "silence": ("run", silence(groups["never"]), "decades"),
        "silence_seen": (
            "run exposure",
            np.stack([silence(groups[str(n)]) for n in SEEN], 1),
            "decades",
        ),
        "silence_quiet": ("run", silence(groups["quiet"]), "decades"),
        "told": ("run", auroc_low(p, groups["never"], groups["rare"]), "AUROC"),
        "told_seen": (
            "run exposure",
            np.stack([auroc_low(p, groups[str(n)], groups["rare"]) for n in SEEN], 1),
            "AUROC",
        ),
        "copied": (
            "run repeated",
            np.stack([np.nanmedian(x, 1) for x in middle.values()], 1),
            "probability",
        ),
        "unspeakable": (
            "run repeated",
            np.stack(
                [np.nanmean(np.where(np.isnan(x), np.nan, x < 0.01), 1) for x in middle.values()], 1
            ),
            "share",
        ),
    }


def next_token(params: Mapping[str, torch.Tensor], shape: Shape, tokens: np.ndarray) -> np.ndarray:
    """[run, b, v]: what each run expects after prompts."""

    with torch.no_grad():
        parts = [
            forward(
                params,
                torch.from_numpy(tokens[i : i + 64]).to(params["W_E"].device),
                shape.activation,
            )[0][:, :, -1].softmax(-1)
            for i in range(0, len(tokens), 64)
        ]
    return torch.cat(parts, 1).cpu().numpy()


def exact_measures(
    runs: Runs[GlitchTokens],
    rows: Mapping[str, np.ndarray],
    begun: Mapping[str, np.ndarray],
    groups: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """What has to hold of tokens never seen: rows without gradient, and output rows that are pushed
    alike."""
    moved = rows["E_out"] - begun["E_out"]

    def mean_cosines(group: np.ndarray) -> list[float]:
        cosines = []
        for r in range(len(moved)):
            unit = moved[r][group[r]]
            unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-30)
            n = len(unit)
            cosines.append(float((np.square(unit.sum(0)).sum() - n) / (n * (n - 1))))
        return cosines

    unseen = groups["never"] | groups["known"]
    decay_factors = np.array([law(s) for s in runs.specs])
    change = [
        np.abs(rows["E_in"][r][unseen[r]] - decay_factors[r] * begun["E_in"][r][unseen[r]]).max()
        for r in range(len(runs))
    ]
    scale = [np.abs(begun["E_in"][r][unseen[r]]).max() for r in range(len(runs))]
    return {
        "off_law": ("run", np.array(change) / np.array(scale), "share of the largest entry"),
        "alike": ("run", mean_cosines(unseen), "mean cosine"),
        "alike_seen": (
            "run exposure",
            np.stack([mean_cosines(groups[str(n)]) for n in SEEN], 1),
            "mean cosine",
        ),
        "alike_ordinary": ("run", mean_cosines(groups["ordinary"]), "mean cosine"),
        "rms": (
            "run",
            np.sqrt(
                [np.square(rows["E_in"][r][groups["ordinary"][r]]).mean() for r in range(len(runs))]
            ),
            "1",
        ),
    }


def inputs(s: GlitchTokens) -> Mapping[str, str]:
    """What a run reads from outside."""
    return (
        {"corpus": corpora.load(s.corpus).fingerprint}
        if s.subject == "planted"
        else {"model": fingerprint(s.model)}
    )
