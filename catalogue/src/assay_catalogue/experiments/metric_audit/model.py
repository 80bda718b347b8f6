"""The panel on a language model: no truth, but the noise of real trainings, and beside trained
dictionaries two that are known to be worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int

from assay.core import Bench, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.corpus import Windows
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.measures import TABLE
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.freezing import freeze
from assay.subjects.folder import find
from assay.subjects.untrained import untrained
from assay.train import rng
from assay_catalogue.dictionaries.frontier import document_measures
from assay_catalogue.dictionaries.on_text import activations, both_parts, fit_on, method, topk
from assay_catalogue.dictionaries.splicing import cross_entropy
from assay_catalogue.experiments.metric_audit.panel import (
    COPIES,
    MetricAudit,
    joined,
    opened,
    packed,
)
from assay_catalogue.explaining.evidence import input_explanation
from assay_catalogue.explaining.learner import Split
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import contexts, cut, detection
from assay_catalogue.features.labels import TASKS, window_labels
from assay_catalogue.features.probing import Rows, auroc, one_feature

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method

    Answers = tuple[
        Mapping[str, Bool[np.ndarray, "w s"]], Bool[np.ndarray, "w s"]
    ]  # to every question, and where they are known

DRAWN = "random-weights"
"""The kind that was trained on a model whose weights the seed draws."""
SOFT = "soft-frozen"
KINDS = ("topk", "relu", SOFT, DRAWN)
"""TopK in two copies, and what it is compared with; ReLU because `assay evaluate` tells its luck
too."""
CORE = tuple(
    m.name
    for m in TABLE
    if m.name
    in (
        "l0",
        "fvu",
        "explained_variance",
        "gamma",
        "dead",
        "ce_spliced",
        "ce_increase",
        "loss_recovered_zero",
        "loss_recovered_mean",
    )
)
"""Measures that `assay evaluate` prints, under its names."""
SCORES = (*CORE, "probe", "explained")


def harvest_random_model(s: MetricAudit, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model with random weights: fewer windows of both, the
    test windows those that are looked at."""
    # the same place as the next block's input, where the drawn model ends
    drawn: dict[str, Any] = {
        "subject": str(untrained(s.subject, s.drawn_layer, bench, seed=s.seed)),
        "site": f"blocks.{s.drawn_layer - 1}.hook_resid_post",
    }
    train = s.text("train").replace(windows=max(8, 2 * s.windows // 5), **drawn)
    return both_parts(train, s.text("test").replace(windows=s.looked, **drawn), bench)


def methods(runs: Runs[MetricAudit]) -> dict[str, Method]:
    """How each kind is trained, in one pass over the same activations."""
    s, warm_up = runs.shared, min(100, runs.shared.steps // 5)
    plain = topk(runs, warm_up=warm_up)
    penalty = np.full(len(runs), s.penalty)
    relu = method(runs, ReLU(), losses.l1, penalty=penalty, warm_up=warm_up)
    return {"topk": plain, "relu": relu, SOFT: freeze(plain, "soft-decoder")}


def train(runs: Runs[MetricAudit], bench: Bench) -> Trained:
    """Every kind for each seed; TopK once more with another start and another order; and on a model
    of random weights."""
    packs = []
    for run in runs.split(1):
        s = run.specs[0]
        recipes, replica = methods(run), run.replicated(1)
        (data, _), (blank, _) = activations(s, bench), harvest_random_model(s, bench)
        parts = [
            dict(
                zip(
                    names,
                    fit_on(source, [(who, recipes[n]) for n in names], bench, steps=s.steps),
                    strict=True,
                )
            )
            for names, who, source in (
                (tuple(recipes), run, data),
                (("topk",), replica, data),
                (("topk",), run, blank),
            )
        ]
        first, second, blanks = parts
        both = first["topk"], second["topk"]
        topk = replace(
            both[0],
            tensors={n: torch.cat([p.tensors[n] for p in both]) for n in both[0].tensors},
            diverged=np.concatenate([p.diverged for p in both]),
        )
        packs.append(packed({**first, "topk": topk, DRAWN: blanks["topk"]}, 1))
    return joined(packs)


def measure(runs: Runs[MetricAudit], trained: Trained, bench: Bench) -> xr.Dataset:
    """Every measure of every dictionary; NaN where there is no second copy, or where a measure
    means nothing."""
    trained = trained.to("cpu")  # where rows are read
    scores = np.full((len(runs), len(KINDS), COPIES, len(SCORES)), np.nan)
    first = runs.specs[0]
    trained_text = read(first, *activations(first, bench))
    random_answers = answers(
        first, *harvest_random_model(first, bench)
    )  # the windows of every model with random weights are the same
    for r, s in enumerate(runs):
        texts = {
            False: trained_text,
            True: read(s, *harvest_random_model(s, bench), random_answers),
        }
        for kind, dictionaries in opened(trained, r).items():
            text = texts[kind == DRAWN]
            for c, dictionary in enumerate(dictionaries):
                values = core(
                    s, dictionary.to(bench.device), text.test, bench, spliced=kind != DRAWN
                ) | looked(s, dictionary, text)
                scores[r, KINDS.index(kind), c] = [values.get(name, np.nan) for name in SCORES]
    coords = {"kind": list(KINDS), "copy": list(range(COPIES)), "measure": list(SCORES)}
    return measures(runs, coords=coords, scores=("run kind copy measure", scores, "1"))


def core(
    s: MetricAudit, dictionary: Dictionary, test: Harvest, bench: Bench, spliced: bool
) -> dict[str, float]:
    """The measures that `assay evaluate` prints, from sums over all test tokens, and over the
    passages for losses."""
    variables, _ = document_measures(dictionary, test)
    total = {
        name: float(np.sum(values))
        for name, (_, values, _) in variables.items()
        if name != "density"
    }
    if spliced:
        _, losses = cross_entropy(dictionary, test, s.passages, bench, only=np.ones(1, bool))
        ce = {name: float(values.sum()) for name, values in losses.items()}
        total |= {
            "ce_clean": ce["clean"],
            "ce_spliced": ce["spliced"],
            "predictions": losses["clean"].size,
        }
        total |= {f"a_ce_{name}": value for name, value in ce.items()}
    scores = {
        m.name: float(m.statistic(total))
        for m in TABLE
        if m.name in CORE and set(m.terms) <= set(total)
    }  # type: ignore[arg-type]
    return scores | {"dead": float((variables["density"][1] == 0).mean())}


@dataclass(frozen=True, eq=False)
class Text:
    """Both parts of a text as a model reads it, the positions in which features are probed and
    explained, and what the source says there."""

    data: Harvest
    test: Harvest
    places: tuple[Positions, Positions]
    """The positions of the first windows of both that count."""
    rules: Split
    """Those of training text, and which of them say when a rule has grown enough."""
    questions: Mapping[str, tuple[Rows, Rows]]
    """Training and test rows of every question, with activations."""


def answers(s: MetricAudit, *texts: Harvest) -> list[Answers]:
    """What the source says of the first windows of these texts."""
    tokenizer, corpus = find(s.subject).tokenizer, corpora.load(s.corpus)
    firsts = [
        Windows(*(v[: s.looked] for v in (h.windows.tokens, h.windows.document, h.windows.offset)))
        for h in texts
    ]
    return [window_labels(corpus, first, tokenizer) for first in firsts]


def read(
    s: MetricAudit, data: Harvest, test: Harvest, known_answers: Sequence[Answers] = ()
) -> Text:
    """Look at the first windows of both parts, whose answers may be known; the same rows for every
    dictionary."""
    tokens, keep = (
        [part[: s.looked] for part in parts]
        for parts in ((data.tokens, test.tokens), (data.keep, test.keep))
    )
    rows = []
    for part, (source, (labels, known)) in enumerate(
        zip((data, test), known_answers or answers(s, data, test), strict=True)
    ):
        usable = np.flatnonzero((known & keep[part]).ravel())
        positions = np.sort(
            rng.generator(0, f"metric-audit.probed-{part}").permutation(usable)[: s.probed]
        )
        x = source.rows(positions)
        document = source.document[positions]
        rows.append({task: Rows(x, labels[task].ravel()[positions], document) for task in TASKS})
    places = [Positions(t, k) for t, k in zip(renumbered(*tokens), keep, strict=True)]
    document = data.document[places[0].row]
    split = Split(places[0], np.isin(document, np.unique(document)[::3]))
    return Text(
        data,
        test,
        (places[0], places[1]),
        split,
        {task: (rows[0][task], rows[1][task]) for task in TASKS},
    )


def renumbered(*texts: Int[np.ndarray, "w s"]) -> list[Int[np.ndarray, "w s"]]:
    """Number tokens without gaps, alike in all texts, so that a rule counts over the tokens that
    occur, not over a whole vocabulary."""
    _, numbers = np.unique(np.concatenate([t.ravel() for t in texts]), return_inverse=True)
    return [
        part.reshape(t.shape)
        for part, t in zip(
            np.split(numbers, np.cumsum([t.size for t in texts])[:-1]), texts, strict=True
        )
    ]


def looked(s: MetricAudit, dictionary: Dictionary, text: Text) -> dict[str, float]:
    """What probes and explanations make of a dictionary on these tokens."""
    normalised = dictionary.normalised
    single = []
    for choose, judge in text.questions.values():
        if spread(choose, 4) and spread(judge, 1):
            single.append(auroc(one_feature(normalised, choose, judge.x), judge.label))
    scores = {"probe": single, "explained": detected(s, normalised, text)}
    return {
        name: float(np.nanmean(values)) if len(values) else float("nan")
        for name, values in scores.items()
    }


def spread(rows: Rows, documents: int) -> bool:
    """Whether both answers are found in at least so many documents."""
    return all(
        len(np.unique(rows.document[rows.label == answer])) >= documents for answer in (True, False)
    )


def detected(s: MetricAudit, dictionary: Dictionary, text: Text) -> list[float]:
    """Balanced accuracy with which a learned rule tells contexts of unseen text in which each
    latent of a lot is on."""
    places = text.places
    f = [
        dictionary.encode(part.rows(place.row)).numpy()
        for part, place in zip((text.data, text.test), places, strict=True)
    ]
    live = np.flatnonzero(((f[0] > 0).sum(0) >= 10) & ((f[1] > 0).sum(0) >= 3))
    lot = rng.generator(s.seed, "metric-audit.lots").permutation(live)[: s.lots]
    accuracies = []
    for latent in lot.tolist():
        value = f[0][:, latent]
        explanation = input_explanation(text.rules.learn(value > 0), places[0], value)
        threshold = cut(contexts(places[0], explanation.scores(places[0]), value))
        accuracies.append(
            detection(explanation.scores(places[1]), f[1][:, latent], places[1], threshold)
        )
    return accuracies
