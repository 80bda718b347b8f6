"""Superposition collapse: as inputs become denser, the less important features are given up first.

Group: toys
Paper: Toy Models of Superposition, "Demonstrating Superposition", Elhage et al. 2022
Claim: denser inputs keep fewer features, by default from five in two dimensions to two, and the
least important go first
Baselines: single, one start in place of the best of twenty; uniform, equal importance; by-index,
features ranked by index; linear, without ReLU
Cost: 340 s on 2 cores, 640 CPU-seconds, 0.8 GB a process
Seed: with varying importance it is usually the lower-importance features that collapse first (C.
McDougall)"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import Arm, Arms, Claim, Estimate, Experiment, Figure, Spec, figure, grid, variant
from assay.core.bench import Bench
from assay.core.claims import rival, same_method
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import scipy, torch, xr
from assay.core.measures import by, measures
from assay.core.runs import Runs
from assay.core.stats import at_best, ratio
from assay.data import planted
from assay_catalogue.data.present_features import present_features

PAPER = "Elhage et al. 2022, Toy Models of Superposition, Demonstrating Superposition"
SEED = (
    "C. McDougall: the lower-importance features usually collapse first; Elhage et al. 2022, "
    "Demonstrating Superposition"
)
PLAN = "plan: before anything was trained"
GROUP = 20
"""Seeds in a group: starts at one problem, for which the one with the lowest held-out loss speaks.
Groups are the units."""
GROUPS = 36
"""Groups of `main`: if a share is 1 in all of them, the exact interval lies above 0.9."""


@dataclass(frozen=True, kw_only=True)
class Collapse(Spec):
    densities: tuple[Annotated[float, Gt(0), Le(1)], ...] = (
        0.05,
        0.077,
        0.118,
        0.18,
        0.277,
        0.425,
        0.652,
        1.0,
    )
    """Probabilities that a feature is active in one input, ascending: one model each, all from one
    start; 1 is dense."""
    ratio: Annotated[float, Gt(0), Le(1), "so that every importance is positive"] = 0.9
    """Importance of a feature over that of the next more important one; 1 makes all equal."""
    permuted: bool = False
    """Whether importance falls in an order that every group of seeds draws, and not with the
    index."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    features: int = 5
    """Number of input features."""
    width: Annotated[int, Ge(1)] = 2
    """Dimensions of the bottleneck."""
    lr: Annotated[float, Gt(0)] = 5e-3
    """Adam's learning rate."""
    steps: Annotated[int, Ge(1)] = 3_000
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 256
    """Inputs a step, drawn fresh."""
    test: Annotated[int, Ge(1)] = 20_000
    """Held-out inputs with a feature present, the same for all seeds of a group; inputs without any
    are counted exactly."""

    def check(self) -> None:
        if self.features <= self.width:
            got = f"got features={self.features}, width={self.width}"
            raise SpecError(
                f"Collapse needs more features than dimensions, or none has to be given up; {got}"
            )
        if not self.densities or list(self.densities) != sorted(set(self.densities)):
            raise SpecError(f"Collapse.densities must ascend, each once, got {self.densities}")


# --- what is trained and measured -----------------------------------------------------------------


def importances(runs: Runs[Collapse]) -> Float[torch.Tensor, "run feature"]:
    """Importance of every feature in each run, equal for all seeds of a group."""
    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    return toy.importances(runs.seeds // GROUP, s.features, s.ratio, s.permuted)


def train(runs: Runs[Collapse], bench: Bench) -> Trained:
    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    batches = planted.sparse_features(toy.models(runs.seeds, s.densities), s.features, s.batch)
    return toy.train_densities(
        runs,
        s.width,
        importances(runs),
        s.densities,
        batches,
        lr=s.lr,
        steps=s.steps,
        relu=s.relu,
        bench=bench,
    )


def measure(runs: Runs[Collapse], trained: Trained, bench: Bench) -> xr.Dataset:

    from assay_catalogue.worlds.bottleneck import toy

    s, W = runs.shared, trained.tensors["W"]
    weight = importances(runs)
    groups = toy.models(runs.seeds // GROUP, s.densities)
    # Groups are compared by differences that all-zero inputs would drown: these are counted
    # exactly.
    x = present_features(groups, s.features, s.test, stream="test").to(bench.device)
    blank = (1 - torch.tensor(s.densities, device=bench.device)) ** s.features
    held_out, at_blank = (
        toy.density_losses(trained.tensors, inputs, weight.to(bench.device), s.relu)
        for inputs in (x, torch.zeros_like(x[:, :1]))
    )
    held_out = held_out.lerp(at_blank, blank)
    square = W.square().sum(-1)  # [run, density, f]
    onto = (W @ W.mT).square().sum(-1) / square.clamp_min(1e-12)  # Σ_j (ŵ_i · w_j)²
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "density": s.densities},
        loss=("run step", trained.history["loss"], "squared input"),
        held_out=("run density", held_out, "squared input"),
        importance=("run feature", weight, "1"),
        norm=("run density feature", square.sqrt(), "1"),
        represented=("run density feature", square > 0.5, "bool"),
        interference=("run density feature", onto - square, "1"),
    )


# --- what is compared -----------------------------------------------------------------------------


def ranked(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[seed, density, rank]: a measure of features, the most important one first."""
    runs = by(arm)
    order = (-runs.importance).argsort(runs.importance.get_axis_num("feature"), kind="stable")
    return (
        runs[name].isel(feature=order).rename(feature="rank").transpose("seed", "density", "rank")
    )


def best(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[group, density, rank]: the same in the run of each group with the lowest held-out loss."""
    return at_best(ranked(arm, name), by(arm).held_out, GROUP)


def count_represented(arm: xr.Dataset) -> xr.DataArray:
    """[group, density]: represented features of the best run."""
    return best(arm, "represented").sum("rank")


def collapsed(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: 1 where all features are represented at the sparsest inputs and one a dimension at
    the densest, else 0."""
    count = count_represented(arm)
    all_of, one_each = arm.sizes["feature"], arm.attrs["width"]
    return (
        (count.isel(density=0, drop=True) == all_of)
        & (count.isel(density=-1, drop=True) == one_each)
    ).astype(float)


def in_order(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: of the densities at which only some features are represented, the share at which
    they are the most important ones.

    A group without such a density has no order to show: NaN.
    """
    is_represented = best(arm, "represented").astype(int)
    count = is_represented.sum("rank")
    some = (count > 0) & (count < is_represented.sizes["rank"])
    first = (is_represented.diff("rank") <= 0).all("rank")
    return (some & first).sum("density") / some.sum("density").where(some.any("density"))


def drop_order(arms: Arms) -> xr.DataArray:
    """[group]: Kendall's τ_b of importance with the density from which a feature is represented no
    more; NaN if all go at one.

    That density is twice the largest for a feature that is never dropped, and the smallest for one
    that is never there."""
    is_represented = best(arms["main"], "represented")
    p = is_represented.density.values
    after = np.append(p[1:], 2 * p[-1])

    def tau(rows: np.ndarray) -> float:
        dropped = [max(after[row.astype(bool)], default=p[0]) for row in rows.T]
        return (
            scipy.stats.kendalltau(-np.arange(len(dropped)), dropped).statistic
            if np.ptp(dropped) > 0
            else np.nan
        )

    return is_represented.isel(density=0, rank=0, drop=True).copy(
        data=[float(tau(group_rows)) for group_rows in is_represented.values]
    )


def pairs(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms [group]: pairs of a represented and a missing feature in each run, and those where the
    represented one is more important."""
    is_represented = ranked(arm, "represented").astype(int)
    missing = 1 - is_represented
    behind = missing.sum("rank") - missing.cumsum(
        "rank"
    )  # missing features less important than each
    terms = {
        "ordered": (is_represented * behind).sum(("rank", "density")),
        "pairs": (is_represented.sum("rank") * missing.sum("rank")).sum("density"),
    }
    return {name: in_groups(x).mean("start") for name, x in terms.items()}


def in_groups(x: xr.DataArray) -> xr.DataArray:
    """[group, start, …]: seeds by group; an incomplete last group is left out."""
    groups = x.sizes["seed"] // GROUP
    values = x.transpose("seed", ...).values[: groups * GROUP]
    rest = [d for d in x.dims if d != "seed"]
    return xr.DataArray(
        values.reshape(groups, GROUP, *values.shape[1:]),
        dims=("group", "start", *rest),
        coords={"group": np.arange(groups)},
    )


def read_by_index(arms: Arms) -> xr.Dataset:
    """The measures of main, as if importance fell with the index."""
    arm = arms["main"]
    return arm.assign(
        importance=arm.importance.copy(
            data=np.broadcast_to(-np.arange(arm.sizes["feature"]), arm.importance.shape)
        )
    )


def single(arms: Arms) -> xr.Dataset:
    """What main's runs represent, with every group's first start in the place of its best."""
    arm = arms["main"]
    first = np.arange(arm.sizes["run"]) // GROUP * GROUP
    order = np.argsort(arm.seed.values)
    indices = order[first[np.argsort(order)]]
    return arm.assign(represented=(arm.represented.dims, arm.represented.values[indices]))[
        ["represented", "held_out", "importance"]
    ]


def reaches(arms: Arms) -> xr.DataArray:
    """[group]: the share of starts and densities at which as many features are represented as in
    the group's best, and in order."""
    is_represented = ranked(arms["main"], "represented").astype(int)
    first = (is_represented.diff("rank") <= 0).all("rank")
    same = in_groups(is_represented.sum("rank")) == count_represented(arms["main"])
    return (in_groups(first) & same).mean(("start", "density"))


# --- figures --------------------------------------------------------------------------------------


def figures(arms: Arms) -> list[Figure]:
    """A heat map of lengths by density and rank, at the best runs, averaged over groups."""
    panels = {"main": "features by importance", "by-index": "the same models, by index"}
    rows = [
        (panel, f"{p:.2g}".lstrip("0"), str(i + 1), float(values.sel(density=p)[:, i].mean()))
        for arm, panel in panels.items()
        for values in [best(arms[arm], "norm")]
        for p in values.density.values
        for i in range(values.sizes["rank"])
    ]
    return [
        figure(
            "The least important feature goes first, whatever its index",
            "heatmap",
            {"panel": "facet", "density": "x", "rank": "y", "mean length of its column": "color"},
            rows,
            x_title="probability that a feature is active",
            y_title="feature, in the order of the panel",
        )
    ]


# --- arms and claims ------------------------------------------------------------------------------


def whole_groups(main: tuple[Collapse, ...]) -> tuple[Collapse, ...]:
    """The preset's runs. Raises: SpecError where seeds are too few for one group, or cut a group in
    two."""
    seeds = sorted({s.seed for s in main})
    if len(seeds) < GROUP or seeds[0] % GROUP:
        raise SpecError(
            f"superposition-collapse judges the best of {GROUP} starts at one problem: it needs "
            f"{GROUP} seeds or more from a "
            f"multiple of {GROUP} on, got {len(seeds)} from {seeds[0]} on"
        )
    return main


HALF = {"main": "main-half"}
LINEAR = {
    "linear": rival(
        "a linear model keeps the most important features too, the same ones at every density"
    )
}

claim = partial(Claim, units=("group",), half=HALF, published="new")
"""A claim with what most of them share."""
experiment = Experiment(
    sizes={"fall": lambda sizes: 1 - sizes("main", "ratio")[0]},
    arms={
        "main": Arm(
            train,
            specs=whole_groups,
            note=(
                "importance falls by {fall:/} from feature to feature, in an order that each "
                "group draws"
            ),
        ),
        "single": Arm(
            derive=single,
            note="each group's first start in the place of its best: what any one training shows",
        ),
        "uniform": Arm(
            train,
            specs=variant(seeds=12 * GROUP, ratio=1.0),
            note="equal importance: no order to follow",
            learned=("model",),
        ),
        "by-index": Arm(
            derive=read_by_index,
            note="`main`, ranked by index as if importance fell with it",
            learned=("model",),
        ),
        "linear": Arm(
            train,
            specs=variant(seeds=6 * GROUP, relu=False),
            note="the same models without ReLU: no superposition to lose",
        ),
        "main-half": Arm(
            train, specs=variant(seeds=12 * GROUP, times={"steps": 0.5}), note="main, half as long"
        ),
    },
    measure=measure,
    claims=(
        claim(
            "Denser inputs keep fewer features: in at least 0.9 of the groups all at the "
            "sparsest and one a dimension at the densest",
            value=collapsed,
            low=0.9,
            bounds=(0, 1),
            unit="share of groups",
            near={"single": "that any start would do, and twenty are not needed to see it"},
            also={
                "uniform": same_method(
                    "features of equal importance are given up as well; which ones go is the next "
                    "claims' matter"
                ),
                "by-index": same_method("the same models, counted in another order"),
            },
            credits="model",
            threshold_from=(
                "pilot: seeds 0–119, all of six groups; 0.9 is what 36 groups can show if all of "
                "them are"
            ),
            source=PAPER,
        ),
        claim(
            "Where only some features are kept, they are the most important ones at 0.9 or "
            "more of the densities",
            value=in_order,
            low=0.9,
            bounds=(0, 1),
            unit="share of densities",
            near={
                "by-index": "that features go by their place and not by importance",
                "single": "that any start would do, and twenty are not needed to see it",
            },
            also=LINEAR,
            credits=("model", "importance"),
            fixed=("{main.densities#} densities",),
            threshold_from=PLAN,
            source=SEED,
        ),
        claim(
            "In single runs too it is usually so: of a kept and a missing feature the kept "
            "one is more important in 0.75 or more of pairs",
            value=pairs,
            statistic=ratio("ordered", "pairs"),
            low=0.75,
            unit="share of pairs",
            near={
                "uniform": "that some features are kept, whatever they are worth",
                "by-index": "that features are kept by their place",
            },
            also=LINEAR
            | {"single": same_method("it consists of single runs, which this claim is about")},
            credits=("model", "importance"),
            empty=0.5,
            threshold_from="plan: half way between chance, 0.5, and always",
            source=SEED,
        ),
        Estimate(
            "The less important a feature, the lower the density at which it goes: Kendall's τ_b",
            value=drop_order,
            units=("group",),
            unit="rank correlation",
            source=SEED,
        ),
        Estimate(
            "Share of single runs that keep as many features as the best of their group, and "
            "in order",
            value=reaches,
            units=("group",),
            unit="share of densities",
            source=PAPER,
        ),
    ),
    figures=figures,
    scope=f"{{features}} independent features in {{width}} dimensions with importances {{ratio}}^i; "  # noqa: E501
    f"a unit is a group of {GROUP} starts at one problem",
    seeds_per_group=20,
    version=2,
    smoke=grid(
        Collapse(permuted=True, steps=20, test=500, densities=(0.05, 0.277, 1.0)), seed=range(GROUP)
    ),
    default=grid(
        Collapse(permuted=True, densities=(0.05, 0.18, 0.425, 0.652, 1.0)),
        seed=range(63600, 63600 + GROUPS * GROUP),
    ),
)
