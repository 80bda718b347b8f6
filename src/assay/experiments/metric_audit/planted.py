"""The planted panel: dictionaries of differing quality of one world whose features are known, and
what every measure says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core import rng
from assay.core.bench import Bench
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.measuring import metrics, recovery, splitting
from assay.dictionaries.measuring.absorption import absorbed
from assay.dictionaries.measuring.metrics import kl_recovered
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.freezing import freeze
from assay.experiments.metric_audit.panel import COPIES, MetricAudit, copies, opened, packed
from assay.features.probing import Rows, auroc, one_feature

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method

FROZEN = {"frozen-decoder": "decoder", "soft-frozen": "soft-decoder", "frozen-encoder": "encoder"}
"""Kinds of which one half is not learned, and which half that is."""
FINISHED = (
    "topk",
    "topk-sparse",
    "topk-dense",
    "topk-narrow",
    "topk-wide",
    "batchtopk",
    "matryoshka",
    "relu",
    "relu-sparse",
    "gated",
    *FROZEN,
    "featureless",
)
"""Kinds that were trained to the end; "featureless" on normal inputs of the same covariance, in
which there is nothing to find."""
ALONG = {"start": 0.0, "after 1/64": 1 / 64, "after 1/16": 1 / 16, "after 1/4": 1 / 4}
"""TopK before its training has ended, and after which share of the steps."""
KINDS = (*FINISHED, *ALONG)
SCORES = {
    "fvu": "share",
    "recovered": "share",
    "probe": "AUROC",
    "explained": "F1",
    "absorption": "share of inputs",
    "split": "share of features",
    "agreement": "cosine",
    "mmcs": "cosine",
    "l0": "features",
    "dead": "share of features",
    "moved": "1 − cosine",
}
"""What is measured of each dictionary, with units."""
SPARSER = 2.2
"""The λ of "relu-sparse" over that of "relu": heavy shrinkage."""
GAIN = 3.0
"""Of the planted readout: logits are this times the projections on the true directions."""


def methods(s: MetricAudit, runs: int) -> dict[str, Method]:
    """How each kind is trained, in one pass over the same inputs."""
    from assay.dictionaries.training.train import Method

    topk = Method(
        TopK(s.k),
        losses.mse,
        s.width,
        lr=np.full(runs, s.lr),
        penalty=np.zeros(runs),
        betas=(0.9, 0.999),
        decay=0.4,
        encoder_scale=1.0,
        warm_up=min(100, s.steps // 10),
    )
    l1 = replace(
        topk,
        nonlinearity=ReLU(),
        loss=losses.l1,
        betas=(0.0, 0.999),
        penalty=np.full(runs, s.penalty),
        penalty_warm_up=0.05,
    )
    batch = replace(topk, nonlinearity=BatchTopK(s.k))
    nested = losses.Matryoshka(tuple(round(s.width * part) for part in (1 / 4, 1 / 2, 1)))
    return {
        "topk": topk,
        "topk-sparse": replace(topk, nonlinearity=TopK(max(1, s.k // 2))),
        "topk-dense": replace(topk, nonlinearity=TopK(2 * s.k)),
        "topk-narrow": replace(topk, width=s.width // 2),
        "topk-wide": replace(topk, width=2 * s.width),
        "batchtopk": batch,
        "matryoshka": replace(batch, loss=nested),
        "relu": l1,
        "relu-sparse": replace(l1, penalty=np.full(runs, SPARSER * s.penalty)),
        "gated": replace(
            l1, nonlinearity=Gated(), loss=losses.gated, penalty=np.full(runs, s.gate_penalty)
        ),
        **{kind: freeze(topk, part) for kind, part in FROZEN.items()},  # type: ignore[arg-type]
    }


def train(runs: Runs[MetricAudit], bench: Bench) -> Trained:
    """Every kind, in copies that share the world alone: on the features' inputs, and one on inputs
    that only have their covariance."""
    from assay.dictionaries.training.train import fit_dictionaries

    s, trained_as = runs.shared, copies(runs)
    recipes = methods(s, len(trained_as))
    options = {"d": s.d, "steps": s.steps, "bench": bench}
    start: dict[str, Any] = {"start": ((0,), lambda p: p["W_dec"])}
    watch_steps = tuple(round(part * s.steps) for part in ALONG.values())
    watches = {
        f"at_{name}": (watch_steps, lambda p, name=name: p[name])
        for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    }
    trainings = fit_dictionaries(
        [(trained_as, m) for m in recipes.values()], inputs(runs), watch=start | watches, **options
    )  # type: ignore[arg-type]
    blank = fit_dictionaries(
        [(trained_as, recipes["topk"])], featureless(runs), watch=start, **options
    )  # type: ignore[arg-type]
    return packed(
        dict(zip((*recipes, "featureless"), (*trainings, *blank), strict=True)), len(runs)
    )


def inputs(runs: Runs[MetricAudit]) -> Any:
    """A source of inputs, step → [run · copy, b, d]: every copy has inputs of its own of the run's
    world."""
    s = runs.shared
    sources = [s.world().inputs(runs.seeds, s.batch, f"train-{c}") for c in range(COPIES)]
    return lambda step: torch.stack([draw(step) for draw in sources], 1).flatten(0, 1)


def featureless(runs: Runs[MetricAudit]) -> Any:
    """A source of normal inputs, step → [run · copy, b, d], with mean and covariance of the run's
    world."""
    s = runs.shared
    x = s.world().inputs(runs.seeds, 20_000, "covariance")(0).double()
    mean = x.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh((x - mean).mT @ (x - mean) / x.shape[1])
    root = (
        ((vectors * values.clamp_min(0).sqrt()[:, None]) @ vectors.mT)
        .float()
        .repeat_interleave(COPIES, 0)
    )
    centre = mean.float().repeat_interleave(COPIES, 0)
    seeds = copies(runs).seeds
    return lambda step: (
        centre
        + torch.from_numpy(rng.normal(seeds, "metric-audit.featureless", step, (s.batch, s.d)))
        @ root
    )


@dataclass(frozen=True, eq=False)
class Held:
    """Held-out inputs of one world: rows that choose which latent is meant, and rows that judge
    it."""

    directions: Float[torch.Tensor, "n d"]
    x: tuple[Float[torch.Tensor, "b d"], Float[torch.Tensor, "b d"]]
    on: tuple[Bool[np.ndarray, "b n"], Bool[np.ndarray, "b n"]]
    special: Bool[np.ndarray, "b parent"]
    """Where a child of each parent is on, in the rows that judge."""
    concept: tuple[Bool[np.ndarray, "b concept"], Bool[np.ndarray, "b concept"]]
    lot: np.ndarray
    """An order of latents drawn by lot."""


def held_out(s: MetricAudit, seed: int, draw: int = 0) -> Held:
    """The rows of one world; another `draw` has other rows, concepts and lots."""
    world = s.world()
    codes = [world.codes([seed], s.rows, f"{part}-{draw}")(0)[0] for part in ("choose", "judge")]
    directions, (choose, judge) = world.directions([seed])[0], (c.numpy() > 0 for c in codes)
    order = rng.generator(seed, "metric-audit.concepts", draw).permutation(world.features)
    single = s.concepts // 2
    groups = [order[[i]] for i in range(single)] + [
        order[single + 3 * i : single + 3 * i + 3] for i in range(s.concepts - single)
    ]
    concept = [np.stack([on[:, g].any(1) for g in groups], 1) for on in (choose, judge)]
    return Held(
        directions,
        (codes[0] @ directions, codes[1] @ directions),
        (choose, judge),
        world.with_child(judge),
        (concept[0], concept[1]),
        rng.generator(seed, "metric-audit.lots", draw).permutation(4 * s.width),
    )


def measure(runs: Runs[MetricAudit], trained: Trained, bench: Bench) -> xr.Dataset:
    """Every measure of every dictionary, the truth beside them, and once more for TopK with other
    held-out inputs."""
    trained = trained.to("cpu")  # where the truth is
    scores = np.full((len(runs), len(KINDS), COPIES, len(SCORES)), np.nan)
    truth, redrawn = np.full(scores.shape[:-1], np.nan), np.full((len(runs), len(SCORES)), np.nan)
    for r, s in enumerate(runs):
        held, dictionaries = held_out(s, s.seed), opened(trained, r) | restore_snapshots(trained, r)
        starts = {
            kind: trained.tensors[f"{kind if kind in FINISHED else 'topk'}.start"][r, :, 0]
            for kind in KINDS
        }
        for i, kind in enumerate(KINDS):
            for c, dictionary in enumerate(dictionaries[kind]):
                references = {
                    "narrow": dictionaries["topk-narrow"][c],
                    "other": dictionaries[kind][1 - c],
                    "start": starts[kind][c],
                }
                values, truth[r, i, c] = scored(s, dictionary, held, **references)  # type: ignore[arg-type]
                scores[r, i, c] = [values[name] for name in SCORES]
                if (kind, c) == ("topk", 0):
                    values, _ = scored(s, dictionary, held_out(s, s.seed, 1), **references)  # type: ignore[arg-type]
                    redrawn[r] = [values[name] for name in SCORES]
    coords = {"kind": list(KINDS), "copy": list(range(COPIES)), "measure": list(SCORES)}
    return measures(
        runs,
        coords=coords,
        scores=("run kind copy measure", scores, "1"),
        truth=("run kind copy", truth, "F1"),
        redrawn=("run measure", redrawn, "1"),
    )


def restore_snapshots(trained: Trained, run: int) -> dict[str, list[Dictionary]]:
    """TopK's dictionaries at the watched steps."""
    header = {**trained.header["parts"]["topk"], "beside": []}
    tensors = {
        name: trained.tensors[f"topk.at_{name}"][run]
        for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    }
    return {
        kind: [
            Dictionary.from_tensors({name: x[c, i][None] for name, x in tensors.items()}, header)
            for c in range(COPIES)
        ]
        for i, kind in enumerate(ALONG)
    }


def scored(
    s: MetricAudit,
    dictionary: Dictionary,
    held: Held,
    narrow: Dictionary,
    other: Dictionary,
    start: Float[torch.Tensor, "f d"],
) -> tuple[dict[str, float], float]:
    """Every measure of one dictionary, and how well it finds what was planted: the mean F1 of the
    latents that stand for the features."""

    with torch.no_grad():
        f = [dictionary.encode(x)[0] for x in held.x]
        x_hat, below = dictionary.decode(f[1][None])[0], narrow.encode(held.x[1])[0]
    choose, judge = (
        recovery.support_sums(on.astype(np.float64), part)
        for on, part in zip(held.on, f, strict=True)
    )
    best = recovery.support(choose)["match"]
    fires, parents = (f[1] > 0).numpy(), held.special.shape[1]
    candidate, cosine = splitting.candidates(narrow.W_dec[0], dictionary.W_dec[0])
    families = splitting.families(
        candidate, cosine, splitting.cofiring_sums(candidate, below, f[1]), narrow.width
    )
    live = (below > 0).any(0).numpy()
    turned = torch.nn.functional.cosine_similarity(dictionary.W_dec[0], start, dim=1).abs()
    return {
        "fvu": float(metrics.fvu(held.x[1], x_hat)),
        "recovered": recovered(held, x_hat),
        "probe": probed(dictionary, held),
        "explained": explained(choose, judge, held.lot, s.lots),
        "absorption": float(
            np.nanmean(absorbed(held.on[1][:, :parents], held.special, fires[:, best[:parents]]))
        ),
        "split": float((families.children[live] > 1).mean()),
        "agreement": float(recovery.mcc_matched(other.W_dec[0], dictionary.W_dec[0])),
        "mmcs": float(recovery.mcc(held.directions, dictionary.W_dec[0])),
        "l0": float(metrics.l0(f[1])),
        "dead": float(metrics.dead(f[1])),
        "moved": float(1 - turned.mean()),
    }, float(np.nanmean(recovery.support(judge, best)["f1"]))


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


def probed(dictionary: Dictionary, held: Held) -> float:
    """The mean AUROC of the one latent that was chosen for each concept: a logistic regression on
    one latent orders inputs as it does."""
    n = min(1000, len(held.x[0]))  # enough to choose one latent, which is most of the work
    aurocs = []
    for choose, judge in zip(*(part.T for part in held.concept), strict=True):
        if not (choose[:n].any() and judge.any()):
            continue
        rows = Rows(held.x[0][:n], np.zeros((n, 1), np.int64), choose[:n], np.arange(n))
        aurocs.append(auroc(one_feature(dictionary, rows, held.x[1]), judge))
    return float(np.mean(aurocs))


def explained(
    choose: Mapping[str, Any], judge: Mapping[str, Any], lot: np.ndarray, count: int
) -> float:
    """The mean F1 of the best rule for each of so many live latents drawn by lot, for an explainer
    who knows every true feature's name."""
    live = np.array(
        [i for i in lot if i < len(choose["fires"]) and choose["fires"][i]][:count], np.int64
    )
    if not len(live):
        return 0.0

    def f1(sums: Mapping[str, Any]) -> np.ndarray:
        return (
            2 * sums["both"][:, live] / np.maximum(sums["truly"][:, None] + sums["fires"][live], 1)
        )

    best = f1(choose).argmax(0)
    return float(f1(judge)[best, np.arange(len(live))].mean())
