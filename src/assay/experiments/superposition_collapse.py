"""Superposition collapse: as inputs become denser, the less important features are given up first.

Paper: Toy Models of Superposition, "Demonstrating Superposition", Elhage et al. 2022
Claim: denser inputs keep fewer features, by default from five in two dimensions to two, and the least important go first, whatever its index
Baselines: linear, without ReLU, keeps as many at every density; uniform, equal importance; by-index, permuted importance read as if it were not
Cost: 180 s on 2 cores, 180 CPU-seconds, 1 GB a process; full a guess of 2 GPU-hours, never run
Seed: with varying importance it is usually the lower-importance features that collapse first (C. McDougall)
"""

from dataclasses import dataclass

import numpy as np

from assay.core import Arm, Claim, Experiment, Figure, Finding, Spec, changed, grid, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.stats import at_best, ratio
from assay.data import planted
from assay.subjects import toy

PAPER = "Elhage et al. 2022, Toy Models of Superposition, Demonstrating Superposition"
SEED = "C. McDougall: the lower-importance features usually collapse first; Elhage et al. 2022, Demonstrating Superposition"
PLAN = "plan, before the pilot (seeds 0–47)"
GROUP = 20
"""Seeds in a group: starts at one problem, for which the one with the lowest held-out loss speaks."""

PUBLISHED = tuple(float(p) for p in np.round(20.0 ** -np.linspace(1, 0, 10), 4))
"""Densities of the notebook that the paper comes with."""


@dataclass(frozen=True, kw_only=True)
class Collapse(Spec):
    densities: tuple[float, ...] = (0.05, 0.077, 0.118, 0.18, 0.277, 0.425, 0.652, 1.0)
    """Probabilities that a feature is active in one input, ascending: one model each, all from one start; 1 is dense."""
    ratio: float = 0.9
    """Importance of a feature over that of the next more important one; 1 makes all equal."""
    permuted: bool = False
    """Whether importance falls in an order that every group of seeds draws, and not with the index."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    features: int = 5
    """Number of input features."""
    width: int = 2
    """Dimensions of the bottleneck."""
    lr: float = 5e-3
    """Adam's learning rate."""
    steps: int = 3_000
    """Training steps."""
    batch: int = 256
    """Inputs a step, drawn fresh."""
    test: int = 20_000
    """Held-out inputs, the same for all seeds of a group."""

    def check(self) -> None:
        for name in ("width", "steps", "batch", "test"):
            if getattr(self, name) < 1:
                raise SpecError(f"Collapse.{name} must be at least 1, got {getattr(self, name)}")
        if self.features <= self.width:
            got = f"got features={self.features}, width={self.width}"
            raise SpecError(f"Collapse needs more features than dimensions, or none has to be given up; {got}")
        if not self.densities or list(self.densities) != sorted(set(self.densities)):
            raise SpecError(f"Collapse.densities must ascend, each once, got {self.densities}")
        if not 0 < self.densities[0] <= self.densities[-1] <= 1:
            raise SpecError(f"Collapse.densities are probabilities above 0 and at most 1, got {self.densities}")
        if not 0 < self.ratio <= 1:
            raise SpecError(f"Collapse.ratio is above 0 and at most 1, so that every importance is positive, got {self.ratio}")
        if self.lr <= 0:
            raise SpecError(f"Collapse.lr must be positive, got {self.lr}")


# --- what is trained and measured ------------------------------------------------------------------------------------------


def importances(runs):
    """Importance of every feature in each run [run, feature], the same for all seeds of a group."""
    s = runs.shared
    return toy.importances(runs.seeds // GROUP, s.features, s.ratio, s.permuted)


def train(runs, bench):
    s = runs.shared
    batches = planted.sparse_features(toy.models(runs.seeds, s.densities), s.features, s.batch)
    return toy.train_densities(
        runs, s.width, importances(runs), s.densities, batches, lr=s.lr, steps=s.steps, relu=s.relu, bench=bench
    )


def measure(runs, trained, bench):
    s, W = runs.shared, trained.tensors["W"]
    weight = importances(runs)
    groups = toy.models(runs.seeds // GROUP, s.densities)
    x = planted.sparse_features(groups, s.features, s.test, stream="test")(0).to(bench.device)
    held_out = toy.density_losses(trained.tensors, x, weight.to(bench.device), s.relu)
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


# --- what is compared ----------------------------------------------------------------------------------------------------


def ranked(arm, name):
    """[seed, density, rank]: a measure of features, the most important one first."""
    runs = by(arm)
    order = (-runs.importance).argsort(runs.importance.get_axis_num("feature"), kind="stable")
    return runs[name].isel(feature=order).rename(feature="rank").transpose("seed", "density", "rank")


def best(arm, name):
    """[group, density, rank]: the same in the run of each group with the lowest held-out loss; fewer seeds are one group."""
    return at_best(ranked(arm, name), by(arm).held_out, size(arm))


def size(arm):
    """Seeds in a group; all of them where, as in smoke, there are fewer than one group needs."""
    return min(GROUP, len(np.unique(arm.seed)))


def kept(arm):
    """[group, density]: represented features of the best run."""
    return best(arm, "represented").sum("rank")


def fall(arm, arms):
    """[group]: Spearman's correlation of the number of represented features with density."""
    count = kept(arm)
    return each_group(count, lambda n: correlation("spearmanr", count.density.values, n))


def given_up(arm, arms):
    """[group]: how many features are represented at the sparsest inputs and no more at the densest."""
    count = kept(arm)
    return count.isel(density=0, drop=True) - count.isel(density=-1, drop=True)


def in_order(arm, arms):
    """Terms [group]: densities at which only some features are represented, and those of them where no less important one is."""
    here = best(arm, "represented").astype(int)
    count = here.sum("rank")
    some = (count > 0) & (count < here.sizes["rank"])
    first = (here.diff("rank") <= 0).all("rank")
    return {"first": (some & first).sum("density"), "some": some.sum("density")}


def drop_order(arm, arms):
    """[group]: Kendall's τ_b of importance with the density from which a feature is represented no more.

    That density is twice the largest for a feature that is never dropped, and the smallest for one that is never there.
    """
    here = best(arm, "represented")
    p = here.density.values
    after = np.append(p[1:], 2 * p[-1])

    def tau(rows):
        dropped = [max(after[row.astype(bool)], default=p[0]) for row in rows.T]
        return correlation("kendalltau", -np.arange(len(dropped)), dropped)

    return each_group(here, tau)


def pairs(arm, arms):
    """Terms [seed]: pairs of a represented and a missing feature in one run, and those where the represented one is more important."""
    here = ranked(arm, "represented").astype(int)
    missing = 1 - here
    behind = missing.sum("rank") - missing.cumsum("rank")  # missing features less important than each
    total = here.sum("rank") * missing.sum("rank")
    return {"ordered": (here * behind).sum(("rank", "density")), "pairs": total.sum("density")}


def each_group(x, of):
    """[group]: a function of each group's array."""
    return x.isel({d: 0 for d in x.dims if d != "group"}, drop=True).copy(data=[float(of(one)) for one in x.values])


def correlation(name, a, b):
    """A rank correlation by scipy; 0 where one side is constant: no order is no agreement."""
    from scipy import stats

    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else getattr(stats, name)(a, b).statistic


def read_by_index(arms):
    """The measures of `permuted`, as if importance fell with the index there too."""
    arm = arms["permuted"]
    return arm.assign(
        importance=arm.importance.copy(data=np.broadcast_to(-np.arange(arm.sizes["feature"]), arm.importance.shape))
    )


def reaches(arms):
    """[seed]: the share of densities at which a run represents as many features as the best of its group, and in order."""
    here = ranked(arms["main"], "represented").astype(int)
    first = (here.diff("rank") <= 0).all("rank")
    top = kept(arms["main"])
    same = here.sum("rank").copy(data=np.repeat(top.values, size(arms["main"]), 0)) == here.sum("rank")
    return (first & same).mean("density")


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(arms):
    counts: dict[str, list] = {"arm": [], "density": [], "mean": [], "low": [], "high": []}
    for name in ("main", "linear", "uniform"):
        count = kept(arms[name])
        for p in count.density.values:
            row = (name, float(p), *summary(count.sel(density=p).values))
            for column, value in zip(counts, row, strict=True):
                counts[column].append(value)
    return [
        by_rank("The least important feature goes first, whatever its index", arms, "norm", "mean length of its column",
                {"main": "importance falls with the index", "permuted": "order drawn, by importance",
                 "by-index": "the same models, by index"}, order="feature, in the order of the panel"),
        Figure("Denser inputs, fewer features", counts, "line", x="density", y="mean", color="arm", band=("low", "high"), x_log=True,
               x_title="probability that a feature is active", y_title="represented features, best of each group",
               rules=((float(arms["main"].attrs["width"]), "dimensions"),)),
        by_rank("Interference ends when each has a dimension", arms, "interference", "squared overlap",
                {"main": "importance falls with the index"}, only="represented",
                note="Squared overlap of a feature's direction with the columns of the others, summed; none: no group represents it."),
    ]  # fmt: skip


def by_rank(title, arms, name, shown, panels, only=None, order="feature, the most important first", note=""):
    """A heat map of a measure by density and rank, at the best runs, averaged over groups."""
    columns: dict[str, list] = {"panel": [], "density": [], "rank": [], shown: []}
    for arm, panel in panels.items():
        values = best(arms[arm], name)
        if only:
            values = values.where(best(arms[arm], only))
        for p in values.density.values:
            for i in range(values.sizes["rank"]):
                row = (panel, f"{p:.2g}".lstrip("0"), str(i + 1), float(values.sel(density=p)[:, i].mean()))
                for column, value in zip(columns, row, strict=True):
                    columns[column].append(value)
    return Figure(title, columns, "heatmap", x="density", y="rank", color=shown, facet="panel" if len(panels) > 1 else None,
                  x_title="probability that a feature is active", y_title=order, note=note)  # fmt: skip


# --- arms and claims ---------------------------------------------------------------------------------------------------


def halved(**fields):
    return lambda specs: tuple(s.replace(steps=max(1, s.steps // 2), **fields) for s in specs)


HALF = {"main": "main-half", "permuted": "permuted-half"}

experiment = Experiment(
    arms={
        "main": Arm(train, note="importance falls by a tenth from feature to feature"),
        "permuted": Arm(train, specs=changed(permuted=True), note="the same importances in an order that each group of seeds draws"),
        "uniform": Arm(train, specs=changed(ratio=1.0), note="equal importance: no order to follow"),
        "linear": Arm(train, specs=changed(relu=False), note="the same model without ReLU: no superposition to lose"),
        "by-index": Arm(derive=read_by_index, note="`permuted`, ranked by index as if importance fell with it"),
        "main-half": Arm(train, specs=halved(), note="main, half as long"),
        "permuted-half": Arm(train, specs=halved(permuted=True), note="permuted, half as long"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Denser inputs keep fewer features: Spearman's correlation of their number with density is at most −0.8",
            value=fall, units=("group",), high=-0.8, unit="rank correlation", must_fail=("linear",), half=HALF,
            threshold_from=PLAN, published="new", source=PAPER,
        ),
        Claim(
            text="From the sparsest to the densest inputs at least 2.5 features are given up",
            value=given_up, units=("group",), low=2.5, unit="features", must_fail=("linear",), half=HALF,
            threshold_from="theory: three in the default preset, from all five to one a dimension; half a feature of margin",
            published="new", source=PAPER,
        ),
        Claim(
            text="Where only some features are kept, they are the most important ones at 0.9 or more of the densities",
            value=in_order, statistic=ratio("first", "some"), units=("group",), low=0.9, unit="share of densities",
            must_fail=("uniform",), half=HALF, threshold_from=PLAN, published="new", source=SEED,
        ),
        Claim(
            text="The less important a feature, the lower the density at which it goes: Kendall's τ_b at least 0.8",
            value=drop_order, units=("group",), low=0.8, unit="rank correlation", must_fail=("uniform",), half=HALF,
            threshold_from=PLAN, published="new", source=SEED,
        ),
        Claim(
            text="It is importance, not index: in a drawn order too the most important ones are kept at 0.9 or more of the densities",
            of="permuted", value=in_order, statistic=ratio("first", "some"), units=("group",), low=0.9, unit="share of densities",
            must_fail=("by-index",), half=HALF, threshold_from=PLAN, published="new", source=SEED,
        ),
        Claim(
            text="In a drawn order too features go by importance: Kendall's τ_b at least 0.8",
            of="permuted", value=drop_order, units=("group",), low=0.8, unit="rank correlation", must_fail=("by-index",), half=HALF,
            threshold_from=PLAN, published="new", source=SEED,
        ),
        Claim(
            text="In single runs too it is usually so: of a kept and a missing feature the kept one is more important in 0.75 or more of pairs",
            value=pairs, statistic=ratio("ordered", "pairs"), low=0.75, unit="share of pairs", must_fail=("uniform",), half=HALF,
            threshold_from="theory: half way between chance, 0.5, and always", published="new", source=SEED,
        ),
        Finding(
            text="Share of single runs that keep as many features as the best of their group, and in order",
            value=reaches, unit="share of densities", source=PAPER,
        ),
        Finding(
            text="Features kept at density 1 by the best runs",
            value=lambda arms: kept(arms["main"]).isel(density=-1, drop=True), units=("group",), unit="features", source=PAPER,
        ),
    ),
    figures=figures,
    scope="independent features, by default five in two dimensions with importances 0.9^i; a unit is a group of twenty starts",
    seeds_per_group=20,
    smoke=grid(Collapse(steps=20, test=500, densities=(0.05, 0.277, 1.0)), seed=range(5)),
    default=grid(Collapse(), seed=range(1000, 1000 + 6 * GROUP)),
    full=grid(
        Collapse(features=20, width=5, ratio=0.7, lr=1e-3, steps=10_000, batch=1_024, densities=PUBLISHED),
        seed=range(1000, 1000 + 6 * GROUP),
    ),
)  # fmt: skip
