"""How the values of path-split's claims are computed from measures: by block of a model on disk,
and of dictionaries by seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.core import Arms, OneTerm, by
from assay.core.heavy import xr
from assay.core.stats import Means, Statistic, sides

KIND = ("principal", "random", "turned", "slightly")
PATHS = ("direct", "indirect")
SPENT = 1.10
"""FVU at which dictionaries are compared, over that of the same dictionary without a penalty."""

Terms = dict[str, Any]
Named = Callable[["xr.Dataset", Arms], Terms]


# by block, of a model on disk


def effects(kind: str = "principal", norm: int = 0) -> Named:
    """Terms [document, block]: squared effects by path of one kind of part, in all blocks but the
    last."""

    def terms(arm: xr.Dataset, arms: Arms) -> Terms:
        data = arm.isel(run=0, norm=norm, block=slice(0, -1), kind=KIND.index(kind))
        return {path: data[path].reset_coords(drop=True) for path in (*PATHS, "total")}

    return terms


def both_norms(arm: xr.Dataset, arms: Arms) -> Terms:
    """Terms of both linear versions of the final norm."""
    return sides(frozen=effects()(arm, arms), jacobian=effects(norm=1)(arm, arms))


def share(m: Means, side: str = "") -> np.ndarray:
    """[draw, …]: the direct share of squared effects."""
    return m[f"{side}direct"] / (m[f"{side}direct"] + m[f"{side}indirect"])


def order(m: Means) -> np.ndarray:
    """Spearman's correlation of a block's number and its direct share, along the last axis."""
    ranks = share(m).argsort(-1).argsort(-1)
    n = np.arange(ranks.shape[-1]) - (ranks.shape[-1] - 1) / 2
    centred = ranks - ranks.mean(-1, keepdims=True)
    return (centred * n).sum(-1) / np.sqrt((centred**2).sum(-1) * (n**2).sum())


def average(m: Means) -> np.ndarray:
    """The direct share, each block counting the same."""
    return share(m).mean(-1)


def told_by_direct(m: Means) -> np.ndarray:
    """R² of the total effect on the direct one, in the last of these blocks: ⟨direct, total⟩² /
    (‖direct‖² ‖total‖²)."""
    direct, indirect, total = (m[name][..., -1] for name in (*PATHS, "total"))
    return ((direct + total - indirect) / 2) ** 2 / (direct * total)


def moved(m: Means) -> np.ndarray:
    """By how much of itself the direct share differs between the two linear norms, a mean over
    blocks."""
    a, b = share(m, "frozen."), share(m, "jacobian.")
    return (np.abs(a - b) / b).mean(-1)


# of dictionaries


def swept(arm: xr.Dataset) -> Terms:
    """Terms [seed, alpha, document] of errors, and of effects by path and half."""
    data = by(arm, "alpha").sel(halves="trained", drop=True)
    return {name: data[name] for name in ("error", "variance", *PATHS)}


def single_terms(arm: xr.Dataset, arms: Arms) -> Terms:
    """Terms of one arm."""
    return swept(arm)


def removal_terms(arm: xr.Dataset, arms: Arms) -> Terms:
    """Terms of one arm, effects by taking firings out, the norm as it is."""
    data = by(arm, "alpha")
    return {
        "error": data.error,
        "variance": data.variance,
        **{path: data[f"taken_exact_{path}"] for path in PATHS},
    }


def pair_with(other: str, terms: Named = single_terms) -> Named:
    """Terms of an arm and of another."""
    return lambda arm, arms: sides(a=terms(arm, arms), b=terms(arms[other], arms))


def at_level(fvu: np.ndarray, y: np.ndarray, level: np.ndarray) -> np.ndarray:
    """y where a sweep's FVU is `level` [draw, 1], straight between its points; NaN where the sweep
    does not get there."""
    out = np.full(len(fvu), np.nan)
    for i in range(fvu.shape[1] - 2, -1, -1):  # the first crossing is what counts
        low, high = fvu[:, i : i + 1], fvu[:, i + 1 : i + 2]
        inside = ((low <= level) & (level <= high))[:, 0]
        part = ((level - low) / np.where(high > low, high - low, 1.0))[:, 0]
        out = np.where(inside, y[:, i] + part * (y[:, i + 1] - y[:, i]), out)
    return out


def at_spent(fvu: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y where FVU is `SPENT` times that of the first of a sweep."""
    return at_level(fvu, y, SPENT * fvu[:, :1])


def fvu_of(m: Means, side: str = "") -> np.ndarray:
    """[draw, alpha]: FVU along a sweep."""
    return m[f"{side}error"] / m[f"{side}variance"]


def ratio_of_halves(m: Means, side: str = "") -> np.ndarray:
    """[draw, alpha]: log of direct ÷ indirect effect in the half that should act directly over the
    same in the other."""
    log_ratio = np.log(m[f"{side}direct"]) - np.log(m[f"{side}indirect"])
    return log_ratio[..., 0] - log_ratio[..., 1]


def separated(m: Means, side: str = "") -> np.ndarray:
    """Log of the ratio of ratios where FVU is `SPENT` times that without a penalty."""
    return at_spent(fvu_of(m, side), ratio_of_halves(m, side))


def lead(m: Means) -> np.ndarray:
    """Log of the ratio of ratios of one arm over that of another, each at `SPENT` times its own
    FVU: the same where they share it."""
    return separated(m, "a.") - separated(m, "b.")


def lead_at_theirs(m: Means) -> np.ndarray:
    """Log of the ratio of ratios of one arm over that of another, both at `SPENT` times the FVU of
    the other."""
    theirs = SPENT * fvu_of(m, "b.")[:, :1]
    return at_level(fvu_of(m, "a."), ratio_of_halves(m, "a."), theirs) - separated(m, "b.")


def by_removal(arm: xr.Dataset, arms: Arms) -> Terms:
    """Terms [seed, document] of ordinary dictionaries: effects of a hundredth of each firing, of
    all of it, and with the norm as it is.

    The same firings are drawn for all three, so that what is left in their ratios is no luck of the
    draw."""
    data = by(arm, "alpha").sel(alpha=0.0, drop=True)
    names = {"linear": "hundredth_taken", "removed": "taken", "exact": "taken_exact"}
    return sides(
        **{
            side: {path: data[f"{name}_{path}"].sum("half") for path in PATHS}
            for side, name in names.items()
        }
    )


def odds(m: Means, side: str) -> np.ndarray:
    """Log of indirect ÷ direct effect in one measurement."""
    return np.log(m[f"{side}.indirect"]) - np.log(m[f"{side}.direct"])


def off(a: str, b: str) -> Statistic:
    """A statistic: log of indirect ÷ direct effect in one measurement over the same in another."""
    return lambda m: odds(m, a) - odds(m, b)


def by_seed(value: Named, statistic: Statistic) -> OneTerm:
    """A value [seed, document] for scale="log": a statistic that is a logarithm, of each seed by
    itself, and each document's part in it.

    Ratios differ between models by more than documents do, and a ratio of sums over models would be
    that of the few that act most.
    Formula: exp(n θ − (n − 1) θ without the document), θ of one seed's sums over n documents; the
    geometric mean over documents is exp(θ) less its bias, as the jackknife has it
    """

    def jackknife(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        terms = {name: x.transpose("seed", "document", ...) for name, x in value(arm, arms).items()}
        first, *_ = xr.align(*terms.values(), join="exact")
        whole = {name: x.values.sum(1) for name, x in terms.items()}
        seeds, n = first.shape[:2]
        without = {
            name: (whole[name][:, None] - x.values).reshape(seeds * n, *x.shape[2:])
            for name, x in terms.items()
        }
        with np.errstate(all="ignore"):
            pseudo = n * statistic(whole)[:, None] - (n - 1) * statistic(without).reshape(seeds, n)
            return xr.DataArray(
                np.exp(pseudo),
                dims=("seed", "document"),
                coords={unit: first[unit].values for unit in ("seed", "document")},
            )

    return jackknife


def both_used(arm: xr.Dataset) -> bool:
    """Whether each half has at least a fifth of the features that are on, at every price."""
    used = by(arm, "alpha").active.sel(halves="trained").sum("document")
    return bool((used / used.sum("half") >= 0.2).all())
