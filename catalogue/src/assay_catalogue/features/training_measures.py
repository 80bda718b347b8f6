"""What is measured of one training whose latents are followed by kind: {name: (dims, values,
unit)}, dims without `run`.

For planted inputs, where the density of a latent has a formula, and for others, where firings are
counted. The kinds are the caller's choice of latents; two more, dead weight and pairs, are added to
the trained dictionary here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from assay.core.heavy import torch
from assay_catalogue.dictionaries.dynamics import cohort
from assay_catalogue.dictionaries.dynamics.cohort import Snapshots, median, slopes
from assay_catalogue.dictionaries.dynamics.pulls import ablate, alignment

if TYPE_CHECKING:
    Kinds = Mapping[str, Int[np.ndarray, " latent"]]
    Named = dict[str, tuple[str, Any, str]]
    ByKind = dict[str, tuple[dict[str, float], str]]

KINDS = ("rare", "ordinary", "ordinary-2", "useful", "uncommon", "dead-weight", "pair")
"""Levels of the dim `kind`; what was not measured of one is NaN."""
BINS = np.arange(-12, 0.01, 0.25)
"""Edges of log10 density in histograms; the lowest bin holds everything below."""
FLOOR = 10.0 ** BINS[0]
SHOWN = 48
"""Latents of each kind that are kept one by one, at most."""


def directions(params: Mapping[str, torch.Tensor]) -> Float[np.ndarray, " latent"]:
    """The cosine between each latent's encoder and decoder row."""
    cosine = (
        (params["W_enc"].mT * params["W_dec"]).sum(1)
        / params["W_enc"].norm(dim=0)
        / params["W_dec"].norm(dim=1)
    )
    return cosine.numpy()


def histograms(densities: Sequence[Float[np.ndarray, " latent"]]) -> Named:
    """Counts of latents by log10 density, one histogram for each checkpoint given."""
    logs = [np.log10(np.maximum(d, FLOOR)) for d in densities]
    return {
        "histogram": (
            "checkpoint bin",
            np.stack([np.histogram(x, BINS)[0] for x in logs]),
            "latents",
        )
    }


def trajectories(snaps: Snapshots, truth: Any, kinds: Kinds, rare: float) -> Named:
    """Densities of each kind at all checkpoints, of which the first is that at which the latents
    were chosen.

    `truth` is what densities are told of: planted inputs, by formula, or rows on which firings are
    counted. `slope` is the median over latents of their slopes after the choice. `late_slope` is
    the slope of their median density over the second half of
    training: many a latent does not fire in that time and stands still, so a median of slopes would
    jump. `fallen` is the share that ends below a third of its density when chosen, `risen` the
    share that ends above `rare`."""
    steps = np.array(snaps.steps)
    late = int(np.searchsorted(steps, steps[-1] / 2))
    out = {
        name: np.full(len(KINDS), np.nan)
        for name in ("slope", "late_slope", "fallen", "risen", "followed")
    }
    quantiles, ends = (
        np.full((len(KINDS), len(steps), 3), np.nan),
        np.full((len(KINDS), SHOWN), np.nan),
    )
    for k, latents in ((KINDS.index(kind), latents) for kind, latents in kinds.items()):
        out["followed"][k] = len(latents)
        if not len(latents):
            continue
        density = snaps.density(truth, latents, range(len(steps)))
        logs = np.log10(np.maximum(density, FLOOR))
        quantiles[k], ends[k, : len(latents)] = (
            np.percentile(logs, [25, 50, 75], axis=0).T,
            logs[:SHOWN, -1],
        )
        out["slope"][k] = median(slopes(density[:, 1:], steps[1:]))
        out["late_slope"][k] = slopes(10 ** quantiles[k, None, late:, 1], steps[late:])[0]
        out["fallen"][k] = (density[:, -1] < density[:, 0] / 3).mean()
        out["risen"][k] = (density[:, -1] > rare).mean()
    units = {
        "slope": "decades per decade",
        "late_slope": "decades per decade",
        "followed": "latents",
    }
    arrays: Named = {
        name: ("kind", values, units.get(name, "share")) for name, values in out.items()
    }
    return arrays | {
        "quantiles": ("kind step quartile", quantiles, "log10 density"),
        "ends": ("kind shown", ends, "log10 density"),
    }


def gradients(
    params: Mapping[str, torch.Tensor],
    x: Float[torch.Tensor, "b d"],
    kinds: Kinds,
    penalty: float,
    few: int = 20_000,
) -> ByKind:
    """{name: ({kind: value}, unit)}: what moves the encoders of each kind, medians over its
    latents, on held-out rows x.

    Ordinary latents are looked at on the first `few` rows, each on as many firings as a rare latent
    had."""

    latents = {kind: torch.from_numpy(indices) for kind, indices in kinds.items()}
    moved: dict[str, cohort.Moved] = {}
    for kind, some in latents.items():
        often = kind.startswith("ordinary")
        rows = x[:few] if often else cohort.where_any_fires(params, x, some)
        moved[kind] = cohort.moved(
            params,
            rows,
            some,
            penalty,
            like=moved["rare"].fired if often and "rare" in moved else (),
        )
    return {
        "share": ({k: m.share for k, m in moved.items()}, "share"),
        "resists": ({k: m.resists for k, m in moved.items()}, "share"),
        "drift": ({k: m.drift for k, m in moved.items()}, "1"),
        "measured": ({k: float(m.counted) for k, m in moved.items()}, "latents"),
    }


def encoders(
    params: Mapping[str, torch.Tensor], start: Shaped[torch.Tensor, "d latent"], kinds: Kinds
) -> ByKind:
    """{name: ({kind: value}, unit)}: median |cosine| of encoder and decoder rows, and how far
    encoder rows have turned to one side.

    The latter is their mean cosine less that of their random `start`.
    """
    cosine = np.abs(directions(params))
    aligned = {
        k: float(alignment(params["W_enc"].mT[i]) - alignment(start.mT[i]))
        for k, i in kinds.items()
    }
    return {
        "cosine": ({k: cohort.median(cosine[i]) for k, i in kinds.items()}, "1"),
        "alignment": (aligned, "1"),
    }


def savings(
    params: Mapping[str, torch.Tensor],
    x: Float[torch.Tensor, "b d"],
    kinds: Kinds,
    rng: np.random.Generator,
    few: int = 20_000,
) -> ByKind:
    """{name: ({kind: value}, unit)}: what rare latents, dead weight and pairs save together, beside
    as many ordinary firings."""

    latents = {kind: torch.from_numpy(indices) for kind, indices in kinds.items()}
    ordinary = ablate(params, x[:few], torch.cat([latents["ordinary"], latents["ordinary-2"]]))
    weighed = cohort.with_dead_weight(params, x, rng, 32, 3e-4)
    groups = {
        "rare": (params, latents["rare"]),
        "dead-weight": weighed,
        "pair": cohort.with_halves(params, latents["useful"]),
    }
    conspiracies = {
        k: cohort.conspiracy(p, x, i, ordinary.strength, ordinary.loss)
        for k, (p, i) in groups.items()
    }
    return {
        "synergy": ({k: c.synergy for k, c in conspiracies.items()}, "squared input"),
        "saved": ({k: c.ordinary for k, c in conspiracies.items()}, "squared input"),
        "events": ({k: float(c.events) for k, c in conspiracies.items()}, "firings"),
    }
