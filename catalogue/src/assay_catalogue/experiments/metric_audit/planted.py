"""The planted population: dictionaries of one width and one L0 whose recipes each world draws, what
every measure says of them, and two truths beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core import Bench, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.measuring import metrics, recovery
from assay.dictionaries.measuring.metrics import kl_recovered
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.learners import TargetL0
from assay.train import rng
from assay_catalogue.dictionaries.absorption import absorbed
from assay_catalogue.experiments.metric_audit.panel import COPIES, MetricAudit, opened, packed
from assay_catalogue.features.probing import auroc

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method

KINDS = ("topk", "batchtopk", "matryoshka", "relu", "gated")
"""The architectures, with equally many recipes of each."""
TRUTHS = ("F1", "MMCS")
SCORES = {
    "fvu": "share",
    "recovered": "share",
    "probe": "AUROC",
    "explained": "F1",
    "agreement": "cosine",
    "absorption": "share of inputs",
    "l0": "features",
    "moved": "1 − cosine",
    "rate": "Adam's",
}
"""What is measured of each dictionary, with units."""
RATES = (3e-3, 6e-2)
"""Between which a recipe's learning rate is drawn, uniformly on the logarithm."""
MOMENTA = (0.0, 0.0, 0.9, 0.9)
"""Adam's momentum in the recipes of each kind."""
GAIN = 3.0
"""Of the planted readout: logits are this times the projections on the true directions."""
UTTERED, SPURIOUS = 0.8, 0.01
"""How often a feature that is on utters each of its two words, and how often a word comes of
nothing."""


def methods(s: MetricAudit, seeds: np.ndarray) -> dict[str, Method]:
    """Every kind, twice with momentum and twice without; each world draws the learning rate of
    each, which its copies share."""
    from assay.dictionaries.training.train import Method

    runs = len(seeds) * COPIES
    nested = losses.Matryoshka(tuple(round(s.width * part) for part in (1 / 4, 1 / 2, 1)))
    toward = {"penalty_warm_up": 0.05, "sparsity": TargetL0(float(s.k), begin=0.05)}
    kinds: dict[str, dict[str, Any]] = {
        "topk": {"nonlinearity": TopK(s.k)},
        "batchtopk": {"nonlinearity": BatchTopK(s.k)},
        "matryoshka": {"nonlinearity": BatchTopK(s.k), "loss": nested},
        "relu": {"loss": losses.l1, "penalty": np.full(runs, s.penalty), **toward},
        "gated": {
            "nonlinearity": Gated(),
            "loss": losses.gated,
            "penalty": np.full(runs, s.gate_penalty),
            **toward,
        },
    }
    lr = rates(seeds).repeat(COPIES, 0)
    plain = Method(
        ReLU(),
        losses.mse,
        s.width,
        lr=lr[:, 0, 0],
        penalty=np.zeros(runs),
        decay=0.4,
        encoder_scale=1.0,
        warm_up=min(100, s.steps // 10),
    )
    return {
        f"{kind} {j}": replace(plain, lr=lr[:, i, j], betas=(momentum, 0.999), **options)
        for i, (kind, options) in enumerate(kinds.items())
        for j, momentum in enumerate(MOMENTA)
    }


def rates(seeds: np.ndarray) -> Float[np.ndarray, "run kind recipe"]:
    """The learning rates that each world draws."""
    place = rng.uniform(seeds, "metric-audit.rates", 0, (len(KINDS), len(MOMENTA)))
    return RATES[0] * (RATES[1] / RATES[0]) ** place.astype(np.float64)


def train(runs: Runs[MetricAudit], bench: Bench) -> Trained:
    """Every recipe twice in each world: with another start and other inputs."""
    from assay.dictionaries.training.train import fit_dictionaries

    s, recipes = runs.shared, methods(runs.shared, runs.seeds)
    groups = [
        (
            Runs([r for w in runs.split(1) for c in range(COPIES) for r in w.replicated(g + c)]),
            recipe,
        )
        for g, recipe in zip(range(0, COPIES * len(recipes), COPIES), recipes.values(), strict=True)
    ]
    start: dict[str, Any] = {"start": ((0,), lambda p: p["W_dec"])}
    trained = fit_dictionaries(groups, inputs(runs), d=s.d, steps=s.steps, bench=bench, watch=start)
    return packed(dict(zip(recipes, trained, strict=True)), len(runs))


def inputs(runs: Runs[MetricAudit]) -> Any:
    """A source of inputs, step → [run · copy, b, d]: every copy has inputs of its own of the run's
    world."""
    s = runs.shared
    sources = [s.world().inputs(runs.seeds, s.batch, f"train-{c}") for c in range(COPIES)]
    return lambda step: torch.stack([draw(step) for draw in sources], 1).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class Held:
    """Held-out inputs of one world: rows that choose which latent is meant, and rows that judge
    it.

    An evaluator has labels of some families only, and reads words; truth is about the other
    families."""

    directions: Float[torch.Tensor, "n d"]
    x: tuple[Float[torch.Tensor, "b d"], Float[torch.Tensor, "b d"]]
    on: tuple[Bool[np.ndarray, "b n"], Bool[np.ndarray, "b n"]]
    words: tuple[Bool[np.ndarray, "b word"], Bool[np.ndarray, "b word"]]
    """What is read of each input: a word stands for two features, and neither always nor only for
    them."""
    concept: tuple[Bool[np.ndarray, "b concept"], Bool[np.ndarray, "b concept"]]
    """The labels: single features, and whether any of three is on."""
    parents: np.ndarray
    """Parents whose features have labels."""
    hidden: np.ndarray
    """Features without labels."""
    special: Bool[np.ndarray, "b parent"]
    """Where a child of each parent is on, in the rows that judge."""


def held_out(s: MetricAudit, seed: int) -> Held:
    """The held-out rows of one world, with labels and words."""
    world = s.world()
    codes = [world.codes([seed], s.rows, part)(0)[0] for part in ("choose", "judge")]
    directions, on = world.directions([seed])[0], [c.numpy() > 0 for c in codes]
    draw = rng.generator(seed, "metric-audit.labels")
    parents = draw.permutation(s.parents)[: s.known]
    known = draw.permutation(np.flatnonzero(np.isin(world.parent_of(), parents)))
    groups = [*known[: s.concepts][:, None], *known[s.concepts :][: 3 * s.concepts].reshape(-1, 3)]
    speakers = [draw.permutation(world.features) for _ in range(2)]
    words = [
        np.logical_or.reduce(
            [part[:, who] & (draw.random(part.shape) < UTTERED) for who in speakers]
            + [draw.random(part.shape) < SPURIOUS]
        )
        for part in on
    ]
    concept = [np.stack([part[:, g].any(1) for g in groups], 1) for part in on]
    return Held(
        directions,
        (codes[0] @ directions, codes[1] @ directions),
        (on[0], on[1]),
        (words[0], words[1]),
        (concept[0], concept[1]),
        parents,
        np.setdiff1d(np.arange(world.features), known),
        world.with_child(on[1]),
    )


def measure(runs: Runs[MetricAudit], trained: Trained, bench: Bench) -> xr.Dataset:
    """Every measure of every dictionary, and both truths."""
    trained = trained.to("cpu")  # where the truth is
    shape = (len(runs), len(KINDS), len(MOMENTA), COPIES)
    lr = rates(runs.seeds)
    scores, truths = np.empty((*shape, len(SCORES))), np.empty((*shape, len(TRUTHS)))
    for r, s in enumerate(runs):
        held, dictionaries = held_out(s, s.seed), opened(trained, r)
        for i, kind in enumerate(KINDS):
            for j in range(len(MOMENTA)):
                name = f"{kind} {j}"
                start = trained.tensors[f"{name}.start"][r, :, 0]
                for c, dictionary in enumerate(dictionaries[name]):
                    other = dictionaries[name][1 - c]
                    values, truths[r, i, j, c] = scored(dictionary, held, other, start[c], s.l0)
                    values["rate"] = lr[r, i, j]
                    scores[r, i, j, c] = [values[measure] for measure in SCORES]
    coords = {
        "kind": list(KINDS),
        "recipe": list(range(shape[2])),
        "copy": list(range(COPIES)),
        "measure": list(SCORES),
        "truth": list(TRUTHS),
    }
    return measures(
        runs,
        coords=coords,
        scores=("run kind recipe copy measure", scores, "1"),
        truths=("run kind recipe copy truth", truths, "1"),
    )


def scored(
    dictionary: Dictionary,
    held: Held,
    other: Dictionary,
    start: Float[torch.Tensor, "f d"],
    l0: float,
) -> tuple[dict[str, float], tuple[float, float]]:
    """Every measure of one dictionary, and both truths about the features without labels: the mean
    F1 of the latents that stand for them, and the mean largest cosine with their directions."""
    rest = round(l0 * len(held.x[0])) + 1
    with torch.no_grad():
        f = [dictionary.encode(x) for x in held.x]
        least = float(np.partition(f[0].numpy(), -rest, None)[-rest])
        f = [part * (part > least) for part in f]
        x_hat = dictionary.decode(f[1])
    choose, judge = (
        recovery.support_sums(on.astype(np.float64), part)
        for on, part in zip(held.on, f, strict=True)
    )
    best = recovery.support(choose)["match"]
    f1 = recovery.support(judge, best)["f1"]
    fires, parents = (f[1] > 0).numpy(), held.parents
    hole = absorbed(held.on[1][:, parents], held.special[:, parents], fires[:, best[parents]])
    turned = torch.nn.functional.cosine_similarity(dictionary.W_dec[0], start, dim=1).abs()
    return {
        "fvu": float(metrics.fvu(held.x[1], x_hat)),
        "recovered": recovered(held, x_hat),
        "probe": probed(held, [part.numpy() for part in f]),
        "explained": explained(held.words, ((f[0] > 0).numpy(), fires)),
        "agreement": float(recovery.mcc_matched(other.W_dec[0], dictionary.W_dec[0])),
        "absorption": float(np.nanmean(hole)),
        "l0": float(metrics.l0(f[1])),
        "moved": float(1 - turned.mean()),
    }, (
        float(np.nanmean(f1[held.hidden])),
        float(recovery.mcc(held.directions[held.hidden], dictionary.W_dec[0])),
    )


def recovered(held: Held, x_hat: Float[torch.Tensor, "b d"]) -> float:
    """The share of a planted readout's KL that reconstructions win back from the mean: every true
    feature promotes a token of its own.

    With labels drawn from the clean readout that is the cross-entropy recovered as well.
    """
    x = held.x[1]
    clean, spliced, ablated = (
        (GAIN * v @ held.directions.mT).log_softmax(1).double()
        for v in (x, x_hat, held.x[0].mean(0, keepdim=True))
    )
    lost = [(clean.exp() * (clean - changed)).sum() for changed in (spliced, ablated)]
    return float(kl_recovered(*lost))


def probed(held: Held, f: list[Float[np.ndarray, "b f"]]) -> float:
    """The mean AUROC of the one latent that was chosen for each label, the one whose mean differs
    most: a logistic regression on it orders inputs as it does."""
    aurocs = []
    for choose, judge in zip(*(part.T for part in held.concept), strict=True):
        if choose.any() and judge.any():
            apart = f[0][choose].mean(0) - f[0][~choose].mean(0)
            best = np.abs(apart).argmax()
            aurocs.append(auroc(np.sign(apart[best]) * f[1][:, best], judge))
    return float(np.mean(aurocs))


def explained(
    words: tuple[Bool[np.ndarray, "b word"], ...], fires: tuple[Bool[np.ndarray, "b f"], ...]
) -> float:
    """The mean F1, over latents that fire, of rules that an explainer learns from words and firings
    alone: the best word, or that word with the best second, "and" or "or"."""
    (choose, judge), (on, judged) = (
        [p.astype(np.float32) for p in part] for part in (words, fires)
    )
    live = on.any(0)
    on, judged = on[:, live], judged[:, live]

    def f1(both: np.ndarray, said: np.ndarray) -> np.ndarray:
        return 2 * both / np.maximum(said + on.sum(0)[:, None], 1)

    hits, said = on.T @ choose, choose.sum(0)
    first = f1(hits, said).argmax(1)
    stem = choose[:, first]
    # of the stem with every word: how often both are said, and how often the latent fires there
    pair, pair_hits = stem.T @ choose, (stem * on).T @ choose
    stem_said, stem_hits = said[first][:, None], (stem * on).sum(0)[:, None]
    rules = f1(pair_hits, pair), f1(stem_hits + hits - pair_hits, stem_said + said - pair)
    second = np.stack([rule.argmax(1) for rule in rules])
    either = rules[1].max(1) > rules[0].max(1)
    named, partners = judge[:, first] > 0, [judge[:, best] > 0 for best in second]
    told = np.where(either, named | partners[1], named & partners[0])
    hit = (told & (judged > 0)).sum(0)
    return float((2 * hit / np.maximum(told.sum(0) + judged.sum(0), 1)).mean())
