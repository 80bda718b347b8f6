"""Superposition phases: whether a second feature is stored in superposition or dropped, against the exact phase diagram.

Paper: Toy Models of Superposition, "Superposition as a Phase Change", Elhage et al. 2022
Claim: trained models drop the lesser of two features where theory says so, by density and relative importance, and all at once
Baselines: linear, without ReLU, never superposes; blind, a prediction that ignores importance; equal, where nothing drops at once
Cost: 120 s on 2 cores, 80 CPU-seconds, 0.5 GB a process; full a guess of 0.2 GPU-hours, never run
"""

from dataclasses import dataclass

import numpy as np

from assay.core import Arm, Claim, Experiment, Figure, Finding, PerRun, Spec, changed, columns, grid, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.stats import at_best
from assay.data import planted
from assay.subjects import toy

PAPER = "Elhage et al. 2022, Toy Models of Superposition, Superposition as a Phase Change"
PLAN = "plan, before the pilot (seeds 0–47)"
GROUP = 8
"""Seeds in a group: starts at one problem, for which the one with the lowest exact loss speaks."""
STATES = {0.0: "superposed", 1.0: "lesser ignored", 2.0: "other"}
GROUPS = 6
"""Groups of the arms that follow single rows, for each group of the grid."""
DENSITIES = tuple(float(p) for p in np.round(np.geomspace(0.05, 1, 14), 4))
RELATIVE = tuple(float(r) for r in np.round(np.geomspace(0.1, 10, 13), 4))
ROWS = (0.1, 0.16, 0.25)


@dataclass(frozen=True, kw_only=True)
class Phase(Spec):
    densities: tuple[float, ...] = DENSITIES
    """Probabilities that a feature is active in one input, ascending: one model each, all from one start; 1 is dense."""
    relative: PerRun[float] = 1.0
    """Importance of the second feature over that of the first."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    lr: float = 1e-2
    """Adam's learning rate."""
    steps: int = 1_500
    """Training steps."""
    batch: int = 256
    """Inputs a step, drawn fresh."""

    def check(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise SpecError(f"Phase.{name} must be at least 1, got {getattr(self, name)}")
        if len(self.densities) < 2 or list(self.densities) != sorted(set(self.densities)):
            raise SpecError(f"Phase.densities must be two or more, ascending, each once, got {self.densities}")
        if not 0 < self.densities[0] <= self.densities[-1] <= 1:
            raise SpecError(f"Phase.densities are probabilities above 0 and at most 1, got {self.densities}")
        if self.relative <= 0:
            raise SpecError(f"Phase.relative is the importance of a feature that counts, above 0, got {self.relative}")
        if self.lr <= 0:
            raise SpecError(f"Phase.lr must be positive, got {self.lr}")


# --- what is trained and measured ------------------------------------------------------------------------------------------


def train(runs, bench):
    import torch

    s = runs.shared
    relative = torch.from_numpy(runs.each("relative")).float()
    importance = torch.stack((torch.ones_like(relative), relative), 1)
    batches = planted.sparse_features(toy.models(runs.seeds, s.densities), 2, s.batch)
    return toy.train_densities(runs, 1, importance, s.densities, batches, lr=s.lr, steps=s.steps, relu=s.relu, bench=bench)


def measure(runs, trained, bench):
    """The weights, and what theory says of them and of the best possible ones; no inputs are drawn."""
    from assay.theory import phase

    s = runs.shared
    W, b = (trained.tensors[name].double().cpu().numpy() for name in ("W", "b"))  # [run, density, 2, 1], [run, density, 2]
    p, r = np.array(s.densities), runs.each("relative")[:, None]
    lesser = np.round(np.minimum(r, 1 / r), 6)  # [run, 1]: the diagram's mirror image has the same theory
    optimal = np.array([[phase.optimal_boundary(x)] for x in lesser[:, 0].tolist()])
    least, at_least = np.moveaxis(np.array([[phase.least(q, x) for q in s.densities] for x in lesser[:, 0].tolist()]), -1, 0)
    errors = [
        [phase.expected_errors(*model, s.relu) for model in zip(*run, s.densities, strict=True)] for run in zip(W, b, strict=True)
    ]
    length = abs(W[..., 0])
    of_lesser = np.where(r == 1, length.min(-1), np.where(r < 1, length[..., 1], length[..., 0]))
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "density": s.densities},
        loss=("run step", trained.history["loss"], "squared input"),
        exact=("run density", (np.array(errors) * np.stack((np.ones_like(r), r), -1)).sum(-1), "squared input"),
        least=("run density", least * np.maximum(r, 1), "squared input"),
        lesser=("run density", of_lesser, "1"),
        lesser_at_least=("run density", at_least, "1"),
        label=("run density", phase.labels(W[..., 0], r), "state"),
        predicted=("run density", phase.predicted(p, r, optimal), "state"),
        closed_boundary=("run", phase.boundary(r[:, 0]), "density"),
        optimal_boundary=("run", optimal[:, 0], "density"),
    )


# --- what is compared ----------------------------------------------------------------------------------------------------


def best(arm, name):
    """[group, relative, density]: a measure of the run of each group with the lowest exact loss; fewer seeds are one group."""
    runs = by(arm, "relative")
    return at_best(runs[name], runs.exact, min(GROUP, runs.sizes["seed"]))


def cells(x):
    """[cell]: a number for each density and relative importance, averaged over groups; cells without one are left out."""
    flat = x.mean("group").stack(cell=("relative", "density"))
    return flat.drop_vars(("cell", "density", "relative")).dropna("cell")


def agreement(arm, arms):
    """[cell]: whether the trained state is the predicted one, where theory decides."""
    predicted = best(arm, "predicted")
    return cells((best(arm, "label") == predicted).astype(float).where(predicted.notnull()))


def single(arms):
    """[seed]: the share of judged cells in which this one start ends in the predicted state."""
    runs = by(arms["main"], "relative")
    return (runs.label == runs.predicted).astype(float).where(runs.predicted.notnull()).mean(("relative", "density"))


def excess(arm, arms):
    """[cell]: by what share the best trained loss exceeds the least possible one."""
    return cells(best(arm, "exact") / best(arm, "least") - 1)


def jump(arm, arms):
    """[group]: the largest change of the lesser feature's length between neighbouring densities, averaged over rows."""
    return abs(best(arm, "lesser").diff("density")).max("density").mean("relative")


def dropped_at(arms, over):
    """[group]: the density at which the lesser feature's length falls most, over a boundary of theory; mean over rows."""
    arm = arms["rows"]
    length = best(arm, "lesser")
    at = abs(length.diff("density", label="lower")).argmax("density")
    p = np.sqrt(length.density.values[:-1] * length.density.values[1:])
    return (at.copy(data=p[at.values]) / by(arm, "relative")[over].isel(seed=0, drop=True)).mean("relative")


def blind(arms):
    """The measures of main with a prediction that ignores importance: superposed below 4/7, the boundary of equal features."""
    arm = arms["main"]
    return arm.assign(predicted=(arm.density >= 4 / 7).astype(float).where(arm.predicted.notnull()))


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(arms):
    exactly, found = best(arms["main"], "lesser_at_least").mean("group"), best(arms["main"], "lesser").mean("group")
    states, judged = best(arms["main"], "label").mean("group"), best(arms["main"], "predicted").mean("group")
    lengths = ("length of the lesser column", {"trained, best of eight": found, "exact optimum": exactly})
    rows: dict[str, list] = {"relative importance": [], "density": [], "mean": [], "low": [], "high": []}
    for name in ("rows", "equal"):
        length = best(arms[name], "lesser")
        for r in length.relative.values:
            for p in length.density.values:
                row = (f"r = {r:g}", float(p), *summary(length.sel(density=p, relative=r).values))
                for column, value in zip(rows, row, strict=True):
                    rows[column].append(value)
    return [
        over_grid("The lesser feature is stored or dropped where the exact optimum says", *lengths),
        states_shown("Where theory decides, models are in the predicted state", {"trained, best of eight": states, "predicted": judged}),
        Figure("The lesser feature goes all at once; of two equal ones less", rows, "line", x="density", y="mean",
               color="relative importance", band=("low", "high"), x_log=True, x_title="probability that a feature is active",
               y_title="length of the lesser feature's column, best of each group"),
    ]  # fmt: skip


def over_grid(title, shown, panels):
    """Heat maps over density and relative importance."""
    rows = [(panel, f"{p:.2g}".lstrip("0"), float(f"{r:.2g}"), float(x.sel(density=p, relative=r)))
            for panel, x in panels.items() for r in x.relative.values for p in x.density.values]  # fmt: skip
    return Figure(title, columns(("panel", "density", "relative", shown), rows), "heatmap", x="density", y="relative", color=shown,
                  facet="panel", x_title="probability that a feature is active", y_title="importance of the second feature")  # fmt: skip


def states_shown(title, panels):
    """A point for each density and relative importance, told apart by state."""
    rows = [(panel, float(p), float(r), state(float(x.sel(density=p, relative=r))))
            for panel, x in panels.items() for r in x.relative.values for p in x.density.values]  # fmt: skip
    panel_order, order = list(panels), [*STATES.values(), "not judged", "groups differ"]
    rows.sort(key=lambda row: (panel_order.index(row[0]), order.index(row[3])))  # the legend follows the rows
    return Figure(title, columns(("panel", "density", "relative", "state"), rows), "points",
                  x="density", y="relative", color="state", facet="panel", x_log=True, y_log=True,
                  x_title="probability that a feature is active", y_title="importance of the second feature")  # fmt: skip


def state(mean):
    """The name of the state that all groups are in."""
    return "not judged" if np.isnan(mean) else STATES.get(mean, "groups differ")


# --- arms and claims ---------------------------------------------------------------------------------------------------


def along(*relatives, share=1.0):
    """Rows of the diagram in fine steps of density, with GROUPS times as many seeds; a share of the training steps."""

    def specs(main):
        seeds = sorted({s.seed for s in main})
        fine = np.round(np.geomspace(0.12, 1, 10 * len(main[0].densities) // 7), 4).tolist()  # 20 where the grid has 14
        base = main[0].replace(steps=max(1, round(share * main[0].steps)), densities=fine)
        return grid(base, relative=relatives, seed=range(seeds[0], seeds[0] + GROUPS * len(seeds)))

    return specs


def halved(specs):
    return tuple(s.replace(steps=max(1, s.steps // 2)) for s in specs)


experiment = Experiment(
    arms={
        "main": Arm(train, note="two features, one dimension: a grid of density and relative importance"),
        "linear": Arm(train, specs=changed(relu=False), note="the same grid without ReLU: it cannot superpose"),
        "blind": Arm(derive=blind, note="`main`, with a prediction that ignores importance"),
        "rows": Arm(train, specs=along(*ROWS), note="three rows of small relative importance, fine steps of density, six groups"),
        "equal": Arm(train, specs=along(1.0), note="the row of equal importance, as fine"),
        "main-half": Arm(train, specs=halved, note="main, half as long"),
        "rows-half": Arm(train, specs=along(*ROWS, share=0.5), note="rows, half as long"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Where theory decides, the best of eight models is in the predicted state in at least 0.95 of the cells",
            value=agreement, units=("cell",), low=0.95, unit="share of cells", must_fail=("linear", "blind"),
            half={"main": "main-half"}, threshold_from=PLAN, published="new", source=PAPER,
        ),
        Claim(
            text="The best of eight models costs at most 1 % more than the least possible loss",
            value=excess, units=("cell",), high=0.01, unit="share of the least loss", must_fail=("linear",),
            half={"main": "main-half"}, threshold_from="pilot: seeds 0–7, .003 on average and .014 at most; linear 10.7",
            published="new", source=PAPER,
        ),
        Claim(
            text="At a relative importance of 0.25 or less the lesser feature goes at once: its length falls by at least 0.6 in one step",
            of="rows", value=jump, units=("group",), low=0.6, unit="length", must_fail=("equal",),
            half={"rows": "rows-half"}, threshold_from=PLAN, published="new", source=PAPER,
        ),
        Finding(
            text="Share of those cells in which a single start is in the predicted state",
            value=single, unit="share of cells", source=PAPER,
        ),
        Finding(
            text="Density at which the lesser feature goes, over the exact boundary of the optimum",
            value=lambda arms: dropped_at(arms, "optimal_boundary"), units=("group",), unit="ratio", source=PAPER,
        ),
        Finding(
            text="The same over 4r/(2 + 5r), where W = (1, −1) stops beating one feature",
            value=lambda arms: dropped_at(arms, "closed_boundary"), units=("group",), unit="ratio", source=PAPER,
        ),
    ),
    figures=figures,
    scope="two features in one dimension; a unit of the first two claims is a cell of the grid, but all cells share the same eight starts, "
    "and r and 1/r mirror each other; of the third a group of eight starts of its own",
    seeds_per_group=16,
    smoke=grid(Phase(steps=20, densities=(0.05, 0.3, 1.0)), relative=(0.25, 1.0), seed=range(5)),
    default=grid(Phase(), relative=RELATIVE, seed=range(1000, 1000 + GROUP)),
    full=grid(
        Phase(steps=10_000, lr=1e-3, batch=1_024, densities=tuple(float(p) for p in np.round(np.geomspace(0.01, 1, 50), 5))),
        relative=tuple(float(r) for r in np.round(np.geomspace(0.1, 10, 50), 5)), seed=range(1000, 1000 + GROUP),
    ),
)  # fmt: skip
