"""What is measured of one training whose latents are followed by kind: {name: (dims, values, unit)}, dims without `run`.

For planted inputs, where the density of a latent has a formula, and for others, where firings are counted. The kinds are the
caller's choice of latents; two more, dead weight and pairs, are added to the trained dictionary here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

if TYPE_CHECKING:
    from torch import Tensor

    from assay.dictionaries.dynamics.cohort import Snapshots

    Kinds = Mapping[str, Int[np.ndarray, "latent"]]
    Named = dict[str, tuple[str, Any, str]]
    ByKind = dict[str, tuple[dict[str, float], str]]

KINDS = ("rare", "ordinary", "ordinary-2", "useful", "uncommon", "dead-weight", "pair")
"""Levels of the dim `kind`; what was not measured of one is NaN."""
BINS = np.arange(-12, 0.01, 0.25)
"""Edges of log10 density in histograms; the lowest bin holds everything below."""
FLOOR = 10.0 ** BINS[0]
SHOWN = 48
"""Latents of each kind that are kept one by one, at most."""


def directions(params: Mapping[str, Tensor]) -> Float[np.ndarray, "latent"]:
    """The cosine between each latent's encoder and decoder row."""
    cosine = (params["W_enc"].mT * params["W_dec"]).sum(1) / params["W_enc"].norm(dim=0) / params["W_dec"].norm(dim=1)
    return cosine.numpy()


def histograms(density: Mapping[int, Float[np.ndarray, "latent"]]) -> Named:
    """Counts of latents by log10 density, one histogram for each checkpoint given."""
    logs = [np.log10(np.maximum(d, FLOOR)) for d in density.values()]
    return {"histogram": ("checkpoint bin", np.stack([np.histogram(x, BINS)[0] for x in logs]), "latents")}


def trajectories(snaps: Snapshots, truth: Any, kinds: Kinds, chosen: int, rare: float) -> Named:
    """Densities of each kind along training, and what becomes of them after the checkpoint at which they were chosen.

    `truth` is what densities are told of: planted inputs, by formula, or rows on which firings are counted. Slopes count
    checkpoints after that one only, late slopes those of the last two fifths of training; `fallen` is the share
    that ends below a third of its density when chosen, `risen` the share that ends above `rare`.
    """
    from assay.dictionaries.dynamics.cohort import median, slopes

    steps, after = np.array(snaps.steps), chosen + 1
    late = int(np.searchsorted(steps, 0.6 * steps[-1]))
    out = {name: np.full(len(KINDS), np.nan) for name in ("slope", "late_slope", "fallen", "risen", "followed")}
    quantiles, ends = np.full((len(KINDS), len(steps), 3), np.nan), np.full((len(KINDS), SHOWN), np.nan)
    for k, latents in ((KINDS.index(kind), latents) for kind, latents in kinds.items()):
        density = snaps.density(truth, latents, range(len(steps)))
        out["followed"][k] = len(latents)
        if not len(latents):
            continue
        logs = np.log10(np.maximum(density, FLOOR))
        quantiles[k], ends[k, : len(latents)] = np.percentile(logs, [25, 50, 75], axis=0).T, logs[:SHOWN, -1]
        out["slope"][k] = median(slopes(density[:, after:], steps[after:]))
        out["late_slope"][k] = median(slopes(density[:, late:], steps[late:]))
        out["fallen"][k] = (density[:, -1] < density[:, chosen] / 3).mean()
        out["risen"][k] = (density[:, -1] > rare).mean()
    units = {"slope": "decades per decade", "late_slope": "decades per decade", "followed": "latents"}
    named: Named = {name: ("kind", values, units.get(name, "share")) for name, values in out.items()}
    return named | {
        "quantiles": ("kind step quartile", quantiles, "log10 density"),
        "ends": ("kind shown", ends, "log10 density"),
    }


def fates(
    snaps: Snapshots,
    truth: Any,
    density: Mapping[int, Float[np.ndarray, "latent"]],
    exempt: Bool[np.ndarray, "latent"],
    resampled: Bool[np.ndarray, "latent"],
    moments: tuple[int, int, int],
    rare: float,
) -> Named:
    """The slope of those that are rare early, from then to the time of choosing, and what became of the resampled latents.

    `moments` are the checkpoints of early, of choosing and of the end; `density` has all latents at each.
    """
    from assay.dictionaries.dynamics.cohort import median, slopes

    (early, chosen, end), steps = moments, np.array(snaps.steps)
    found = np.flatnonzero(exempt & (density[early] < rare) & (density[early] > FLOOR))
    along = range(early + 1, chosen + 1)
    slope = median(slopes(snaps.density(truth, found, along), steps[list(along)])) if len(found) else np.nan
    alive = (density[end][resampled] > rare).mean() if resampled.any() else np.nan
    return {
        "early_slope": ("", slope, "decades per decade"),
        "early_count": ("", float(len(found)), "latents"),
        "resampled": ("", float(resampled.sum()), "latents"),
        "resampled_alive": ("", alive, "share"),
        "silent": ("", np.mean(density[end] <= FLOOR), "share"),
        "rare_share": ("", np.mean(density[end] < rare), "share"),
    }


def at_moment(
    params: Mapping[str, Tensor],
    start: Shaped[Tensor, "d latent"],
    x: Float[Tensor, "b d"],
    kinds: Kinds,
    penalty: float,
    rng: np.random.Generator,
    few: int = 20_000,
) -> ByKind:
    """{name: ({kind: value}, unit)} at one moment of training: gradients, directions and ablations on held-out rows x.

    `start` holds the encoder's random start, from which the rows' mean cosine is told. Ordinary latents are looked at on the
    first `few` rows.
    """
    import torch

    from assay.dictionaries.dynamics import cohort
    from assay.dictionaries.dynamics.pulls import ablate, alignment, error, features

    latents = {kind: torch.from_numpy(found) for kind, found in kinds.items()}
    some = x[:few]
    codes = features(params, some)
    fvu = float(error(params, some, codes).square().sum() / (some - some.mean(0)).square().sum())
    out: ByKind = {"fvu": ({"rare": fvu}, "1"), "l0": ({"rare": float((codes > 0).sum(1).float().mean())}, "latents")}
    alone = [k for k in latents if not k.startswith("ordinary")]
    rows = {k: cohort.where_any_fires(params, x, latents[k]) for k in alone}
    moved = {k: cohort.moved(params, rows[k], latents[k], penalty) for k in rows}
    moved |= {k: cohort.moved(params, some, latents[k], penalty, like=moved["rare"].fired) for k in ("ordinary", "ordinary-2")}
    out["share"] = ({k: m.share for k, m in moved.items()}, "share")
    out["resists"] = ({k: m.resists for k, m in moved.items()}, "share")
    out["drift"] = ({k: m.drift for k, m in moved.items()}, "1")
    out["measured"] = ({k: float(m.counted) for k, m in moved.items()}, "latents")
    cosine = np.abs(directions(params))
    out["cosine"] = ({k: cohort.median(cosine[i]) for k, i in kinds.items()}, "1")
    aligned = {k: float(alignment(params["W_enc"].mT[i]) - alignment(start.mT[i])) for k, i in latents.items()}
    out["alignment"] = (aligned, "1")
    away = -(x.mean(0) - params["b_dec"])
    mean_rows = {k: params["W_enc"][:, i].mean(1) for k, i in latents.items()}
    out["away"] = ({k: float(torch.cosine_similarity(row, away, dim=0)) for k, row in mean_rows.items()}, "1")
    ordinary = ablate(params, some, torch.cat([latents["ordinary"], latents["ordinary-2"]]))
    weighed = cohort.with_dead_weight(params, x, rng, 32, 3e-4)
    groups = {"rare": (params, latents["rare"]), "dead-weight": weighed, "pair": cohort.with_halves(params, latents["useful"])}
    told = {k: cohort.conspiracy(p, x, i, ordinary.strength, ordinary.loss) for k, (p, i) in groups.items()}
    out["synergy"] = ({k: c.synergy for k, c in told.items()}, "squared input")
    out["saved"] = ({k: c.ordinary for k, c in told.items()}, "squared input")
    out["events"] = ({k: float(c.events) for k, c in told.items()}, "firings")
    return out
