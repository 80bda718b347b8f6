"""Capacity: how a narrow model shares its dimensions among features, and what more of them would be worth.

Paper: Polysemanticity and Capacity in Neural Networks, Scherlis et al. 2022; Toy Models of Superposition, Elhage et al. 2022
Claim: trained models leave hardly any capacity unused, share it evenly, and more is worth about the same to every feature that shares
Baselines: early, the first hundred steps; untrained; scattered, trained lengths in random directions; linear models
Cost: 94 s on 2 cores, 180 CPU-seconds, 0.48 GB a process; full a guess of 1 GPU-hour, never run
"""

from dataclasses import dataclass, replace

import numpy as np

from assay.core import (
    Arm,
    Claim,
    Exact,
    Experiment,
    Figure,
    Finding,
    Gate,
    PerRun,
    Published,
    Spec,
    changed,
    grid,
    reserved,
    summary,
)
from assay.core.errors import SpecError
from assay.core.measures import by, measures

SCHERLIS = "Scherlis et al. 2022, Polysemanticity and Capacity in Neural Networks"
ELHAGE = "Elhage et al. 2022, Toy Models of Superposition"
DENSITIES = tuple(round(float(p), 4) for p in 50.0 ** -np.linspace(0, 1, 8))
SPARSE = DENSITIES[1:]
PARTLY = (0.05, 0.95)
"""A feature whose capacity lies between these is partly represented."""


@dataclass(frozen=True, kw_only=True)
class Capacity(Spec):
    density: PerRun[float] = 0.02
    """Probability that a feature is active in one input; 1 is dense."""
    features: int = 5
    """Number of input features; at most 6, as their expected losses are enumerated."""
    width: int = 2
    """Dimensions of the bottleneck."""
    ratio: float = 0.9
    """Importance of each feature over that of the one before it; the first has 1."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    starts: int = 8
    """Models trained for one run, from starts and data of their own; the one with the lowest held-out loss is the run's."""
    steps: int = 3_000
    """Training steps."""
    batch: int = 256
    """Inputs a step, drawn fresh."""
    lr: float = 5e-3
    """Adam's learning rate."""
    asked: str = ""
    """What is done with trained weights: "scatter", "benefit", "envelope"; nothing when empty."""
    short: float = 0.005
    """Share of its capacity that every feature has to give up where its benefit is measured."""
    change: float = 0.1
    """Relative change of an importance where the slope along it is measured."""
    exact: int = 2_000
    """Steps on the expected loss, where one is minimised."""

    def check(self) -> None:
        least = {"features": 1, "width": 1, "starts": 1, "steps": 0, "batch": 1, "exact": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SpecError(f"Capacity.{name} must be at least {low}, got {getattr(self, name)}")
        if self.features > 6:
            raise SpecError(f"Capacity.features must be at most 6, as expected losses are enumerated, got {self.features}")
        if self.width > self.features:
            raise SpecError(f"Capacity.width is the rank, at most the {self.features} features, got {self.width}")
        for name in ("density", "ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise SpecError(f"Capacity.{name} must be above 0 and at most 1, got {getattr(self, name)}")
        for name in ("short", "change"):
            if not 0 < getattr(self, name) < 1:
                raise SpecError(f"Capacity.{name} is a share above 0 and below 1, got {getattr(self, name)}")
        if self.lr <= 0:
            raise SpecError(f"Capacity.lr must be positive, got {self.lr}")
        if self.asked not in ("", "scatter", "benefit", "envelope"):
            raise SpecError(f'Capacity.asked is "scatter", "benefit", "envelope" or empty, got {self.asked!r}')


# --- what is trained ---------------------------------------------------------------------------------------------------


def train(runs, bench):
    """The best of each run's starts by held-out loss; `total` [run start] is the summed capacity of every start."""
    import torch

    from assay.core import descent, fit
    from assay.core.fit import best_starts
    from assay.data import planted
    from assay.worlds.bottleneck import toy
    from assay.worlds.bottleneck.capacity import capacity

    s = runs.shared
    wide = type(runs)([r.replace(seed=s.starts * r.seed + k) for r in runs.specs for k in range(s.starts)])
    weight = toy.importances(wide.seeds, s.features, s.ratio).to(bench.device)

    def loss(p, x):
        return toy.weighted_square(toy.reconstruct(p, x, s.relu), x, weight)

    params = toy.bottleneck(wide, s.features, s.width)
    batches = planted.sparse_features(wide, s.features, s.batch)
    all_of_them = fit([descent(wide, params, loss, lr=np.full(len(wide), s.lr))], batches, steps=s.steps, bench=bench)[0]
    with torch.no_grad():
        draw = planted.sparse_features(wide, s.features, 1_000, stream="test")
        test = (draw(i).to(bench.device) for i in range(20))
        held_out = sum(loss(all_of_them.tensors, x) for x in test) / 20
    all_of_them.tensors["held_out"] = held_out
    best = best_starts(all_of_them, held_out, s.starts)
    best.tensors["total"] = capacity(all_of_them.tensors["W"].double()).sum(-1).view(-1, s.starts)
    return best


def scatter(runs, bench, before):
    """The same lengths of the features' rows, in directions drawn anew."""
    import torch

    from assay.core import rng

    W = before.tensors["W"]
    drawn = torch.from_numpy(rng.normal(runs.seeds, "capacity.scatter", 0, tuple(W.shape[1:]))).to(W)
    return weights(before, drawn * (W.norm(dim=-1) / drawn.norm(dim=-1)).unsqueeze(-1), before.tensors["b"])


def benefit(runs, bench, before):
    """Least expected loss where every feature has a little less capacity than before, and what more would be worth to each."""
    import torch

    from assay.core import fit, rng
    from assay.worlds.bottleneck.capacity import capacity
    from assay.worlds.bottleneck.marginal import at_capacities

    s, world = runs.shared, World(runs, bench)
    W, b = (before.tensors[k].double() for k in "Wb")
    wanted = (capacity(W) * (1 - s.short)).clamp_min(s.short / 2)
    nudge = torch.from_numpy(rng.normal(runs.seeds, "capacity.nudge", 0, tuple(W.shape[1:]))).to(W)
    params = {"W": W + 0.01 * nudge, "b": b}  # a row of zeros has no slope to leave it by
    if not s.relu:
        params |= {"b": (world.density[:, None] / 2).expand_as(b).clone(), "gain": torch.ones_like(b)}

    def loss(p):
        return (world.importance * world.errors(p)).mean(-1)

    group = at_capacities(runs, params, loss, wanted, world.unit, inner=max(1, s.exact // 5))
    return fit([group], lambda step: None, steps=s.exact, bench=bench)[0]


def envelope(runs, bench, before):
    """Least expected loss from these weights on, with every importance as it is, and each in turn a little more or less."""
    import torch

    from assay.core import descent, fit
    from assay.core.schedules import warm_up_decay

    s, world = runs.shared, World(runs, bench)
    up = s.change * torch.eye(s.features, dtype=torch.float64, device=bench.device)
    factors = 1 + torch.cat([0 * up[:1], up, -up])  # [v f]
    importance = world.importance[:, None] * factors
    v = len(factors)

    def errors(p):
        return world.errors({k: t.flatten(0, 1) for k, t in p.items()}, v).unflatten(0, (-1, v))

    def loss(p, batch):
        return (importance * errors(p)).mean(-1).sum(-1) / world.unit

    params = {k: torch.stack([before.tensors[k].double()] * v, 1) for k in "Wb"}
    rate = warm_up_decay(s.exact, 0, 1.0, floor=1e-3)
    group = descent(runs, params, loss, lr=np.full(len(runs), 1e-2), schedule=rate)
    done = fit([group], lambda step: None, steps=s.exact, bench=bench)[0]
    with torch.no_grad():
        error = errors(done.tensors)
        least = (importance * error).mean(-1)
        slope = (least[:, 1 : 1 + s.features] - least[:, 1 + s.features :]) / (2 * s.change * world.importance)
    own = {k: done.tensors[k][:, 0] for k in "Wb"}
    return replace(done, tensors=own | {"slope": slope, "partial": error[:, 0] / s.features})


class World:
    """The law of the inputs, the importances and the unit of loss of these runs: what an expected loss needs, in float64."""

    def __init__(self, runs, bench):
        import torch

        from assay.data import planted
        from assay.worlds.bottleneck import toy
        from assay.worlds.bottleneck.sparse_law import sparse_law

        s = runs.shared
        self.relu, self.law = s.relu, sparse_law(s.features).to(bench.device)
        self.density = torch.from_numpy(runs.each("density")).to(bench.device)
        self.weights = self.law.weights(self.density)
        self.importance = toy.importances(runs.seeds, s.features, s.ratio).double().to(bench.device)
        variances = [planted.variance(p) for p in runs.each("density").tolist()]
        self.unit = torch.tensor(variances, dtype=torch.float64, device=bench.device) / s.features

    def errors(self, params, variants=1):
        """E (x_i − x'_i)² of every feature, [run · variant, f], squared input; a linear model may have a gain on what it reads."""
        A = params["W"] @ params["W"].transpose(1, 2)
        if "gain" in params:
            A = params["gain"].unsqueeze(2) * A
        weights = self.weights if variants == 1 else self.weights.repeat_interleave(variants, 0)
        return self.law.errors(A, params["b"], weights, self.relu)


def weights(before, W, b):
    """A model with these weights, and nothing of how the one before it was trained."""
    from assay.core.fit import Trained

    return Trained({"W": W, "b": b}, before.header, {}, np.array([], int), before.diverged)


# --- what is measured --------------------------------------------------------------------------------------------------


EXTRAS = {
    "held_out": ("run", "squared input"), "total": ("run start", "dimensions"), "benefit": ("run feature", "variance of a feature"),
    "wanted": ("run feature", "dimensions"), "missed": ("run feature", "dimensions"),
    "slope": ("run feature", "squared input"), "partial": ("run feature", "squared input"),
}  # fmt: skip
"""What some trainings bring along beside weights."""


def measure(runs, trained, bench):
    import torch

    from assay.worlds.bottleneck.capacity import capacity, dimensionality

    world = World(runs, bench)
    params = {k: t.double() for k, t in trained.tensors.items() if k in ("W", "b", "gain")}
    W, own = params["W"], capacity(params["W"])
    gram, norm = W @ W.transpose(1, 2), W.norm(dim=-1)
    unsquared = norm.square() / gram.square().sum(-1).clamp_min(1e-300)
    cosines = 1 / (gram / (norm[:, :, None] * norm[:, None]).clamp_min(1e-300)).square().sum(-1).clamp_min(1e-300)
    error = world.errors(params)
    importance = world.importance.clone().requires_grad_()
    [backprop] = torch.autograd.grad((importance * error).mean(-1).sum(), importance)
    direct = error / W.shape[1]
    named = {
        "capacity": ("run feature", own, "dimensions"),
        "norm": ("run feature", norm, "1"),
        "error": ("run feature", error, "squared input"),
        "expected": ("run", (world.importance * error).mean(-1), "squared input"),
        "identity_gap": ("run", (own - dimensionality(W)).abs().amax(-1), "dimensions"),
        "unsquared_gap": ("run", (own - unsquared).abs().amax(-1), "dimensions"),
        "cosines_gap": ("run", (own - cosines).abs().amax(-1), "dimensions"),
        "backprop_gap": ("run", (backprop - direct).abs().amax(-1) / direct.amax(-1), "1"),
    } | {k: (dims, trained.tensors[k], unit) for k, (dims, unit) in EXTRAS.items() if k in trained.tensors}
    coords = {}
    if "loss" in trained.history:
        coords, named["loss"] = {"step": trained.steps.tolist()}, ("run step", trained.history["loss"], "loss")
    return measures(runs, coords=coords, **named)


# --- what is claimed ---------------------------------------------------------------------------------------------------


def unused(arm, arms):
    """[seed]: what summed capacities lack of the dimensions there are, per dimension, at the density where they lack most."""
    lacking = 1 - by(arm, "density").capacity.sum("feature") / arm.attrs["width"]
    return lacking.max("density", skipna=False).clip(min=1e-9)


def unevenness(arm, arms):
    """[seed]: largest capacity less the smallest, a mean over densities so low that all features share."""
    own = by(arm.isel(run=(arm.density <= SPARSE[-3]).values), "density").capacity
    return (own.max("feature") - own.min("feature")).mean("density", skipna=False)


def partly(arm):
    """[run feature]: whether the capacity at which a benefit was measured is partial."""
    return (arm.wanted > PARTLY[0]) & (arm.wanted < PARTLY[1])


def spread(arm, arms):
    """[seed]: range of the benefits of partly represented features over their mean size, a mean over densities below 1."""
    arm = arm.isel(run=(arm.density < 1).values)
    worth = arm.benefit.where(partly(arm))
    found = (worth.max("feature") - worth.min("feature")) / abs(worth).mean("feature")
    found = found.where(partly(arm).any("feature") | arm.benefit.isnull().any("feature"), 0.0)  # nobody there, nothing spread
    return by(arm.assign(found=found), "density").found.mean("density", skipna=False).clip(min=1e-6)


def off_envelope(arm, arms):
    """[seed]: what finite differences of the least loss miss of its partial derivatives, as a share of these, over densities."""
    missed = abs(arm.slope - arm.partial).sum("feature") / arm.partial.sum("feature")
    return by(arm.assign(found=missed), "density").found.mean("density", skipna=False)


def held(arm):
    """Whether capacities came out as asked, within a thousandth of a dimension."""
    return bool((abs(arm.missed) <= 1e-3).all())


def ignored_share(arms):
    """[run]: benefit of ignored features over the mean benefit of partly represented ones, below density 1."""
    arm = arms["benefit"].isel(run=(arms["benefit"].density < 1).values)
    ignored = arm.benefit.where(arm.wanted < PARTLY[0]).max("feature")
    return (ignored / arm.benefit.where(partly(arm)).mean("feature")).dropna("run")


# --- what is drawn -----------------------------------------------------------------------------------------------------


def drawings(arms):
    return [by_density(arms["main"]), regimes(arms["main"])]


def by_density(main):
    """Capacity of every feature along densities."""
    rows = [
        (feature_name(i, main), p, *summary(main.capacity.values[main.density.values == p, i]))
        for i in range(main.sizes["feature"])
        for p in sorted(set(main.density.values.tolist()))
    ]
    return Figure(
        "Two dimensions are shared by two, four and five features as inputs get sparser", columns("density", rows), "line",
        x="density", y="mean", color="feature", band=("low", "high"), x_log=True,
        x_title="probability that a feature is active", y_title="capacity (dimensions)", rules=((0.5, ""), (0.4, "")),
        note="Dashed: a half and two fifths of a dimension.",
    )  # fmt: skip


def regimes(main):
    """Capacity of every feature in every run, at three densities."""
    levels = sorted(set(main.density.values.tolist()), reverse=True)
    rows = [
        (f"density {p:.2f}", main.attrs["ratio"] ** i, float(c))
        for p in (levels[0], levels[(len(levels) - 1) // 2], levels[-1])
        for own in main.capacity.values[main.density.values == p]
        for i, c in enumerate(own)
    ]
    named = dict(zip(("density", "importance", "capacity"), map(list, zip(*rows, strict=True)), strict=True))
    return Figure(
        "Importance decides who gets a share, hardly how large", named, "points", x="importance", y="capacity",
        color="density", x_title="importance", y_title="capacity (dimensions)",
    )  # fmt: skip


def columns(x, rows):
    """Columns of a line with its interval, from rows (feature, x, mean, low, high)."""
    return dict(zip(("feature", x, "mean", "low", "high"), map(list, zip(*rows, strict=True)), strict=True))


def feature_name(i, arm):
    """A feature by its importance."""
    return f"importance {arm.attrs['ratio'] ** i:.2f}"


# --- the experiment ----------------------------------------------------------------------------------------------------


def half_as_long(specs):
    """The first eight seeds for half as many steps; the rate is constant."""
    few = sorted({s.seed for s in specs})[:8]
    return tuple(s.replace(steps=s.steps // 2) for s in specs if s.seed in few)


def at(*densities, **changes):
    """The runs at these densities, with these changes."""
    return lambda specs: tuple(s.replace(**changes) for s in specs if s.density in densities)


PILOT = "pilot: seeds 0–7, "
SOON = {"early": "a hundred steps from random weights do most of it"}
LATER = {"envelope": "main, trained on"}

experiment = Experiment(
    arms={
        "main": Arm(
            train, specs=reserved("asked"), note="the ReLU model: of every eight starts the one with the lowest held-out loss"
        ),
        "main-half": Arm(train, specs=half_as_long, note="main for half as many steps, eight seeds"),
        "untrained": Arm(train, specs=changed(steps=0), note="its starts, Gaussian weights: again the best of eight"),
        "scattered": Arm(scatter, specs=changed(asked="scatter"), after="main", note="main's lengths in random directions"),
        "benefit": Arm(benefit, specs=changed(asked="benefit"), after="main", note="what more capacity is worth, near main's capacities"),
        "benefit-scattered": Arm(
            benefit, specs=at(*SPARSE, asked="benefit"), after="scattered", note="the same near capacities that nobody chose"
        ),
        "benefit-linear": Arm(
            benefit, specs=at(SPARSE[0], SPARSE[-1], asked="benefit", relu=False), after="untrained",
            note="a linear model with a free gain, where the worth is importance times variance",
        ),
        "envelope": Arm(
            envelope, specs=changed(asked="envelope", exact=400), after="main", note="main trained on, each importance 10 % up and down"
        ),
        "early": Arm(
            envelope, specs=changed(asked="envelope", exact=100), after="untrained", note="the same for only 100 steps from the start"
        ),
    },
    measure=measure,
    claims=(
        Claim(
            text="Training uses up all capacity: at every density features leave at most 0.002 of a dimension per dimension unused",
            value=unused, high=0.002, scale="log", unit="dimensions per dimension", must_fail=("early", "untrained", "scattered"),
            near=SOON, also=LATER, half={"main": "main-half"}, threshold_from=PILOT + "at most .0002; early .003 to .018",
            published=Published(0.0, ELHAGE + ", The Geometry of Superposition", note="about, in words; 400 features in 30 dimensions"),
            source=SCHERLIS + ", section 2",
        ),
        Claim(
            text="Importance decides who gets a share, hardly how large: where all features share, the largest and the smallest "
            "capacity differ by at most 0.1 of a dimension",
            value=unevenness, high=0.1, scale="log", unit="dimensions", must_fail=("early", "scattered"), near=SOON,
            also=LATER | {"benefit": "main's capacities, all a little smaller"}, half={"main": "main-half"},
            threshold_from=PILOT + ".01 to .02, early .2 to .5; shares in proportion to importance would differ by .17",
            published="new", source=SCHERLIS + ", section 3",
        ),
        Claim(
            text="At the optimum the loss moves with an importance as backprop says: slopes of retrained optima within 5 %",
            of="envelope", value=off_envelope, high=0.05, scale="log", unit="share of the slope", must_fail=("early",),
            near={"early": "backprop says so of any weights"}, threshold_from=PILOT + ".002 to .021, early .09 to .61", published="new",
            source="envelope theorem",
        ),
        Claim(
            text="More capacity is worth the same to every partly represented feature: on average over densities "
            "their benefits spread over at most 0.25 of their mean",
            of="benefit", value=spread, high=0.25, scale="log", unit="share of the mean", must_fail=("benefit-linear", "benefit-scattered"),
            near={"benefit-linear": "benefits differ no more than importances do"}, gates=(Gate("held", held),),
            threshold_from="plan: before any run", published="new", source=SCHERLIS + ", section 3",
        ),
        Exact(
            text="Capacity is dimensionality: largest difference over all weights, trained or not",
            value=lambda arms: max(float(a.identity_gap.max()) for a in arms.values()), expected=0.0, tolerance=1e-6,
            source=SCHERLIS + ", section 2; " + ELHAGE + ", The Geometry of Superposition",
        ),
        Exact(
            text="Two near misses are not: share of untrained weights where forgetting the square, or normalising w_j, differs by over 0.01",
            value=lambda arms: [float((arms["untrained"][gap] > 0.01).mean()) for gap in ("unsquared_gap", "cosines_gap")],
            expected=1.0, tolerance=0.0, source="arithmetic",
        ),
        Exact(
            text="No weights have more capacity than dimensions: largest excess",
            value=lambda arms: max(0.0, *(float((a.capacity.sum("feature") - a.attrs["width"]).max()) for a in arms.values())),
            expected=0.0, tolerance=1e-6, source="Cauchy and Schwarz: C ≤ leverage, which sums to the rank",
        ),
        Exact(
            text="By backprop an importance weighs a feature's mean squared error over the number of features: largest relative difference",
            value=lambda arms: max(float(a.backprop_gap.max()) for a in arms.values()), expected=0.0, tolerance=1e-6,
            source="the loss is linear in importances",
        ),
        Finding(
            text="Benefit of ignored features over the mean of the partly represented, below density 1", value=ignored_share,
            unit="1", published="new", source="Karush–Kuhn–Tucker conditions",
        ),
        Finding(
            text="Smallest summed capacity of a single start per dimension, over the eight of a run", published="new",
            value=lambda arms: (arms["main"].total.min("start") / arms["main"].attrs["width"]),
            unit="dimensions per dimension", source="the spread behind the best of eight",
        ),
    ),
    figures=drawings,
    scope="5 independent features of importance 0.9^i in 2 dimensions, best of 8 starts",
    seeds_per_group=4,
    smoke=grid(Capacity(steps=20, exact=20, starts=2), density=(1.0, DENSITIES[3], SPARSE[-1]), seed=range(2)),
    default=grid(Capacity(), density=DENSITIES, seed=range(3000, 3024)),
    full=grid(Capacity(steps=10_000, batch=1_024, lr=1e-3, exact=4_000), density=DENSITIES, seed=range(3000, 3008)),
)  # fmt: skip
