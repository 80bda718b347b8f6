"""Features per dimension: does the size of the weights count features, if weights can be rescaled?

Paper: Toy Models of Superposition, "The Geometry of Superposition", Elhage et al. 2022
Claim: ‖W‖²/d counts nothing where the scale of W is free; a tied autoencoder fixes it, and its ‖W‖²/d still counts a third too many
Baselines: rescaled, trained models times a number; untrained; relu, classifiers whose scale is free; bias and tanh, where it is not
Cost: 57 s on 2 cores, 100 CPU-seconds, 1 GB a process; full a guess of 1 GPU-hour, never run
Seed: rescaling a bias-free ReLU net changes the measure and no class; a tied autoencoder is not free to be rescaled (A. Jermyn)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, Spec, changed, columns, grid, reserved, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.stats import at_best

ELHAGE = "Elhage et al. 2022, Toy Models of Superposition, The Geometry of Superposition"
SEED = "A. Jermyn, a comment on features per dimension, and the critic it quotes"
GROUP = 8
"""Starts in a group: the one with the lowest held-out loss at a density is the group's model there."""
SCALES = (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)
"""Factors by which weights are multiplied; those that are no power of two also change the last digits."""
FINE = tuple(float(c) for c in np.geomspace(0.7, 1 / 0.7, 21))
"""Factors among which the least loss is looked for."""
DRAWN = tuple(float(c) for c in np.geomspace(0.5, 2, 33))
"""Factors at which losses are drawn."""
TENFOLD = 10.0
"""The largest factor of a random rescaling; its inverse is the least."""


@dataclass(frozen=True, kw_only=True)
class FeaturesPerDimension(Spec):
    densities: tuple[float, ...] = tuple(round(float(p), 4) for p in 50.0 ** np.linspace(-1, 0, 8))
    """Probabilities that a feature is active in one input, ascending: one tied autoencoder for each."""
    ratio: float = 0.9
    """Importance of each feature over that of the one before it; the first has 1."""
    features: int = 5
    """Number of input features; at most 6, as their expected losses are enumerated."""
    width: int = 2
    """Dimensions of the bottleneck."""
    steps: int = 3_000
    """Training steps of the autoencoders."""
    batch: int = 256
    """Inputs a step, drawn fresh."""
    lr: float = 5e-3
    """Adam's learning rate for the autoencoders."""
    net: Literal["tied", "relu", "bias", "tanh"] = "tied"
    """Tied autoencoders; or classifiers with weights of their own in each layer: ReLU, ReLU and biases, tanh."""
    rescale: bool = False
    """Whether trained weights are multiplied by a random number, for each run and density its own."""
    hidden: int = 64
    """Neurons of a classifier."""
    inputs: int = 20
    """Dimensions of a classifier's inputs."""
    apart: float = 4.0
    """Distance of two class centres, in standard deviations of the noise."""
    net_steps: int = 500
    """Training steps of the classifiers, 64 inputs each, Adam at 3e-3."""

    def check(self) -> None:
        name = type(self).__name__
        for field, low in {"features": 1, "width": 1, "batch": 1, "hidden": 1, "inputs": 1, "steps": 0, "net_steps": 0}.items():
            if getattr(self, field) < low:
                raise SpecError(f"{name}.{field} must be at least {low}, got {getattr(self, field)}")
        for field in ("lr", "apart", "ratio"):
            if getattr(self, field) <= 0:
                raise SpecError(f"{name}.{field} must be positive, got {getattr(self, field):g}")
        if self.features > 6:
            raise SpecError(f"{name}.features must be at most 6, as expected losses are enumerated, got {self.features}")
        if self.width > self.features:
            raise SpecError(f"{name}.width is the rank, at most the {self.features} features, got {self.width}")
        if len(self.densities) < 3 or list(self.densities) != sorted(set(self.densities)):
            raise SpecError(f"{name}.densities are at least three and ascend, each once, got {self.densities}")
        if not 0 < self.densities[0] <= self.densities[-1] <= 1:
            raise SpecError(f"{name}.densities are probabilities above 0 and at most 1, got {self.densities}")


# --- what is trained -----------------------------------------------------------------------------------------------------


def train_tied(runs, bench):
    """W [run density f d] and b [run density f] of one autoencoder for each density, all of a run from one start."""
    from assay.data import planted
    from assay.worlds.bottleneck import toy

    s = runs.shared
    batches = planted.sparse_features(toy.models(runs.seeds, s.densities), s.features, s.batch)
    return toy.train_densities(runs, s.width, importance(runs), s.densities, batches, lr=s.lr, steps=s.steps, bench=bench)


def importance(runs):
    """[run, f]: importance of every feature."""
    from assay.worlds.bottleneck import toy

    return toy.importances(runs.seeds, runs.shared.features, runs.shared.ratio)


def train_classifier(runs, bench):
    """A classifier of two layers for each run, on Gaussian clouds of its own."""
    from assay.core import descent, fit
    from assay.worlds.networks import two_layer

    s = runs.shared
    clouds = world(s)
    params = two_layer.start(runs, s.inputs, s.hidden, clouds.classes, bias=s.net == "bias")

    def loss(p, batch):
        return two_layer.cross_entropy(two_layer.logits(p, batch[0], tanh=s.net == "tanh"), batch[1])

    group = descent(runs, params, loss, lr=np.full(len(runs), 3e-3))
    return fit([group], clouds.batches(runs.seeds, 64), steps=s.net_steps, bench=bench)[0]


def world(s):
    """The law of the classifiers' inputs."""
    from assay.worlds.networks.classes import Clouds

    return Clouds(d=s.inputs, apart=s.apart)


def rescale(runs, bench, before):
    """The same W times a number, log-uniform from a tenth to ten, drawn for every run and density; biases as they are."""
    import torch

    from assay.core import rng
    from assay.core.fit import Trained

    drawn = rng.uniform(runs.seeds, "features-per-dimension.rescale", 0, (len(runs.shared.densities),))
    factor = torch.from_numpy(TENFOLD ** (2 * drawn.astype(np.float64) - 1))[..., None, None]
    W = before.tensors["W"]
    own = {"W": W * factor.to(W), "b": before.tensors["b"], "factor": factor.to(W)}
    return Trained(own, before.header, {}, np.array([], int), before.diverged)


# --- what is measured ----------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    """`fpd` of W times each scale, and how little dimensionalities move with it, for every kind; then each kind's own."""
    import torch

    from assay.worlds.bottleneck.capacity import dimensionality
    from assay.worlds.bottleneck.rescaling import features_by_dimensionality, features_per_dimension

    s, tied = runs.shared, runs.shared.net == "tied"
    W = trained.tensors["W"].double() if tied else trained.tensors["W1"].double().transpose(1, 2)  # [.., f, d]
    D = dimensionality(W)
    fpd = torch.stack([features_per_dimension(c * W) for c in SCALES], -1)
    moved = torch.stack([(dimensionality(c * W) - D).abs().amax(-1) for c in SCALES], -1)
    axes, coords = ("run density", {"density": s.densities}) if tied else ("run", {})
    named = {
        "fpd": (f"{axes} scale", fpd, "features per dimension"),
        "moved": (f"{axes} scale", moved, "dimensions"),
        "fine": (axes, features_by_dimensionality(D, W.shape[-1]), "features per dimension"),
    }
    more = (autoencoder if tied else classifier)(runs, trained.tensors, bench)
    return measures(runs, coords=coords | {"scale": SCALES} | ({"factor": DRAWN} if tied else {}), **named, **more)


def autoencoder(runs, params, bench):
    """Expected losses of c W, biases as they are; the held-out loss, before any random rescaling."""
    import torch

    from assay.data import planted
    from assay.worlds.bottleneck import toy
    from assay.worlds.bottleneck.rescaling import tied_losses

    s, weight = runs.shared, importance(runs).to(bench.device)
    W, b = (params[name].double().flatten(0, 1) for name in "Wb")
    density = torch.tensor(s.densities, dtype=torch.float64, device=bench.device).repeat(len(runs))
    each = weight.double().repeat_interleave(len(s.densities), 0)

    def along(scales):
        return tied_losses(W, b, each, density, scales, 0).unflatten(0, (len(runs), -1)).cpu().numpy()

    x = planted.sparse_features(toy.models(runs.seeds // GROUP, s.densities), s.features, 20_000, stream="test")(0)
    held_out = toy.density_losses({"W": params["W"] / params.get("factor", 1), "b": params["b"]}, x.to(bench.device), weight)
    return {
        "loss": ("run density scale", along(SCALES), "squared input"),
        "drawn": ("run density factor", along(DRAWN), "squared input"),
        "held_out": ("run density", held_out, "squared input"),
    }


def classifier(runs, params, bench):
    """What rescaling does to outputs, classes and cross-entropy on 2,000 fresh inputs; accuracy, and the best there is."""
    from assay.worlds.networks import two_layer

    s = runs.shared
    x, label = (t.to(bench.device) for t in world(s).batches(runs.seeds, 2_000, stream="test")(0))
    own = two_layer.logits(params, x, tanh=s.net == "tanh").argmax(-1)
    found = two_layer.effects(params, x, label, SCALES, tanh=s.net == "tanh")
    units = {"loss": "nats", "loss_alone": "nats", "reclassified": "share of inputs"}
    return {name: ("run scale", value, units.get(name, "share of the largest output")) for name, value in found.items()} | {
        "accuracy": ("run", (own == label).float().mean(1), "share"),
        "attainable": ("run", (world(s).nearest(runs.seeds, x) == label).float().mean(1), "share"),
    }


# --- what is compared ----------------------------------------------------------------------------------------------------


def best(arm, name):
    """[group, …]: a measure of each group's model with the lowest held-out loss, for every density; of a classifier, [seed] as [group]."""
    runs = by(arm)
    if arm.attrs["net"] != "tied":
        return runs[name].rename(seed="group")
    return at_best(runs[name], runs.held_out, min(GROUP, runs.sizes["seed"]))


def rise(arm, arms):
    """[group]: by what share the loss grows when W is divided or multiplied by 1.25: the smaller rise, at the density where it is least."""
    at = best(arm, "loss")
    grown = (at.sel(scale=[0.8, 1.25]) / at.sel(scale=1.0, drop=True) - 1).min("scale")
    return grown.min("density") if "density" in grown.dims else grown


def agreement(arm, arms):
    """[group]: Spearman's correlation, over densities, of ‖W‖²/d with features per dimension by dimensionality."""
    from scipy import stats

    coarse, fine = best(arm, "fpd").sel(scale=1.0, drop=True), best(arm, "fine")
    found = [stats.spearmanr(a, b).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
             for a, b in zip(coarse.values, fine.values, strict=True)]  # fmt: skip
    return coarse.isel(density=0, drop=True).copy(data=found)


def over_fine(density):
    """A value, [group]: ‖W‖²/d over features per dimension by dimensionality, at an end of the densities."""
    return lambda arm, arms: (best(arm, "fpd").sel(scale=1.0, drop=True) / best(arm, "fine")).isel(density=density, drop=True)


def shift(arm, arms):
    """[run]: by how much the cross-entropy moves when W₁ is doubled or halved, the smaller of the two, nats."""
    moved = abs(arm.loss_alone - arm.loss_alone.sel(scale=1.0, drop=True))
    return moved.sel(scale=[0.5, 2.0]).min("scale")


# --- what is exact -------------------------------------------------------------------------------------------------------


def hexagon(arms):
    """The factor at which the loss of a regular hexagon is least, its bias fixed, then times the square."""
    from assay.worlds.bottleneck.polygons import shape, side_loss
    from assay.worlds.bottleneck.rescaling import least_at

    length, bias = shape(6)
    losses = [np.array([side_loss(6, c * length, c**power * bias) for c in FINE]) for power in (0, 2)]
    return [float(least_at(np.array(FINE), at)) for at in losses]


TRAINED = ("main", "rescaled", "relu", "bias", "tanh")


def not_square(arms):
    """Largest relative difference of ‖cW‖²/d from c² ‖W‖²/d, over all trained weights and scales."""
    gaps = []
    for name in TRAINED:
        fpd = arms[name].fpd
        gaps.append(abs(fpd / (fpd.sel(scale=1.0, drop=True) * fpd.scale**2) - 1).max())
    return max(map(float, gaps))


def moved_at_all(arms):
    """By how much a dimensionality moves at most when weights are multiplied, over all trained weights and scales, dimensions."""
    return max(float(arms[name].moved.max()) for name in TRAINED)


# --- what is drawn -------------------------------------------------------------------------------------------------------


def figures(arms):
    return [loss_along(arms), along_density(arms)]


def loss_along(arms):
    """Loss over its value at c = 1: tied autoencoders at three densities, and ReLU classifiers whose W₂ is divided by c."""
    main, relu = best(arms["main"], "drawn"), best(arms["relu"], "loss").sel(scale=[c for c in SCALES if 0.5 <= c <= 2])
    levels = main.density.values
    lines = {f"tied, density {levels[i]:.2g}": main.isel(density=i) for i in (0, len(levels) // 2, len(levels) - 2)}
    rows = []
    for name, at in {**lines, "untied ReLU": relu.rename(scale="factor")}.items():
        share = at / at.sel(factor=1.0, drop=True)
        rows += [(name, float(c), *summary(share.sel(factor=c).values)) for c in at.factor.values]
    return Figure(
        "Tied weights have a best size, untied ones do not", columns(("model", "scale", "mean", "low", "high"), rows), "line",
        x="scale", y="mean", color="model", band=("low", "high"), x_log=True, y_log=True, x_title="factor c on the weights",
        y_title="loss over the loss at c = 1", note="Untied: first layer times c, second layer over c.",
    )  # fmt: skip


def along_density(arms):
    """Features per dimension by density: by size, by dimensionality, and by size after random rescaling."""
    main = arms["main"]
    shown = {
        "by the size of the weights": best(main, "fpd").sel(scale=1.0),
        "by dimensionality": best(main, "fine"),
        "by size, weights rescaled at random": best(arms["rescaled"], "fpd").sel(scale=1.0),
    }
    rows = [(name, float(p), *spread(at.sel(density=p).values)) for name, at in shown.items() for p in at.density.values]
    return Figure(
        "Both counts rise together as inputs get sparser, until weights are rescaled", columns(("way", "density", "mean", "low", "high"), rows),
        "line", x="density", y="mean", color="way", band=("low", "high"), x_log=True, y_log=True,
        x_title="probability that a feature is active", y_title="features per dimension", note="Median, and the range over groups.",
    )  # fmt: skip


def spread(values):
    """Median, least and largest of some values."""
    return float(np.median(values)), float(np.min(values)), float(np.max(values))


# --- arms and claims -----------------------------------------------------------------------------------------------------


def net(kind):
    """Classifiers of a kind, one for each of the first 36 seeds."""
    return lambda specs: tuple(s.replace(net=kind) for s in specs[:36])


PILOT = "pilot: seeds 0–47, "
GROUPS = {"units": ("group",), "half": {"main": "main-half"}, "published": "new"}
ENDED = {"bias": "its biases end the freedom of scale, too", "tanh": "so does a tanh"}

experiment = Experiment(
    arms={
        "main": Arm(train_tied, specs=reserved("net", "rescale"), note="tied autoencoders, one for each density, x' = ReLU(W Wᵀ x + b)"),
        "main-half": Arm(
            train_tied, specs=lambda specs: tuple(s.replace(steps=s.steps // 2) for s in specs[: max(1, len(specs) // 4)]),
            note="main for half as many steps, a quarter of the seeds",
        ),
        "rescaled": Arm(
            rescale, specs=changed(rescale=True), after="main",
            note="main's W times a random number, log-uniform from 0.1 to 10, one for every model",
        ),
        "untrained": Arm(train_tied, specs=changed(steps=0), note="starts that nobody trained: Gaussian weights"),
        "relu": Arm(train_classifier, specs=net("relu"), note="classifiers W₂ ReLU(W₁ x), nothing added: free to be rescaled"),
        "bias": Arm(train_classifier, specs=net("bias"), note="the same with biases in both layers"),
        "tanh": Arm(train_classifier, specs=net("tanh"), note="the same as relu with a tanh"),
    },
    measure=measure,
    claims=(
        Claim(
            text="The loss of a tied autoencoder fixes its scale: a quarter more or less of it costs at least 5 % at every density",
            value=rise, low=0.05, unit="share of the loss", must_fail=("untrained", "relu"),
            near={"untrained": "any weights of about that size have some scale of their own"}, also=ENDED,
            threshold_from=PILOT + ".13 to .18", source=SEED, **GROUPS,
        ),
        Claim(
            text="On trained autoencoders the size of the weights agrees with dimensionality: rank correlation over densities at least 0.8",
            value=agreement, low=0.8, unit="rank correlation", must_fail=("rescaled",),
            near={"rescaled": "the same directions, of any size, would agree as well"},
            threshold_from=PILOT + ".94, where four of eight densities nearly tie", source=ELHAGE, **GROUPS,
        ),
        Claim(
            text="And it counts too many: at the sparsest inputs at least 1.2 times what dimensionality counts",
            value=over_fine(0), low=1.2, scale="log", unit="×", must_fail=("untrained",),
            near={"untrained": "sizes exceed dimensionality in any weights"}, threshold_from=PILOT + "1.33", source=ELHAGE, **GROUPS,
        ),
        Exact(
            text="Two layers of a bias-free ReLU net take a factor from each other: largest change of outputs, as a share of the largest",
            value=lambda arms: float(arms["relu"].change.max()), expected=0.0, tolerance=1e-5, source="ReLU(c x) = c ReLU(x)",
        ),
        Exact(
            text="Without the second factor no class changes: largest share of inputs that bias-free ReLU nets classify otherwise",
            value=lambda arms: float(arms["relu"].reclassified.max()), expected=0.0, tolerance=1e-3, source="outputs times c > 0; near ties may tip",
        ),
        Exact(
            text="A tied hexagon's loss is least at its own scale: the factor where it is, bias fixed, then times the square",
            value=hexagon, expected=1.0, tolerance=2e-3, source="the hexagon of least loss on one-hot inputs",
        ),
        Exact(
            text="‖cW‖²/d is c² ‖W‖²/d on all trained weights: largest relative difference",
            value=not_square, expected=0.0, tolerance=1e-6, source=SEED,
        ),
        Exact(
            text="Dimensionality does not move: largest change over all trained weights, dimensions",
            value=moved_at_all, expected=0.0, tolerance=1e-9, unit="dimensions", source=ELHAGE,
        ),
        Exact(
            text="With the first layer alone outputs are multiplied by c: largest relative difference in bias-free ReLU nets",
            value=lambda arms: float(arms["relu"].not_times.max()), expected=0.0, tolerance=1e-5, source="ReLU(c x) = c ReLU(x)",
        ),
        Exact(
            text="Biases do not end the freedom if the first layer's are multiplied as well: largest relative change of outputs",
            value=lambda arms: float(arms["bias"].change_biased.max()), expected=0.0, tolerance=1e-5, source="ReLU(c x) = c ReLU(x)",
        ),
        Finding(
            text="At the densest inputs the size of the weights counts this many times what dimensionality counts",
            value=lambda arms: over_fine(-1)(arms["main"], arms), units=("group",), unit="1", source=ELHAGE,
        ),
        Finding(
            text="By how much the first layer alone, halved or doubled, moves the cross-entropy of bias-free ReLU nets",
            value=lambda arms: shift(arms["relu"], arms), unit="nats", source=SEED,
        ),
        *(
            Finding(text=f"Share of inputs classified otherwise where the first layer alone is multiplied, at the worst factor: {told}",
                    value=lambda arms, name=name: arms[name].reclassified.max("scale"), unit="share of inputs", source=SEED)
            for name, told in {"bias": "biases in both layers", "tanh": "a tanh"}.items()
        ),
        Finding(
            text="Accuracy of the bias-free ReLU nets over the best that is possible",
            value=lambda arms: arms["relu"].accuracy / arms["relu"].attainable, unit="1", source="the nearest centre is the best guess",
        ),
    ),
    figures=figures,
    scope="five independent features of importance 0.9^i in two dimensions, best of eight starts; classifiers of ten Gaussian clouds, 64 neurons",
    seeds_per_group=24,
    measured=3,  # no loss along biases that are rescaled too
    smoke=grid(FeaturesPerDimension(steps=20, net_steps=20, densities=(0.02, 0.14, 1.0)), seed=range(4)),
    default=grid(FeaturesPerDimension(), seed=range(3000, 3000 + 16 * GROUP)),
    full=grid(FeaturesPerDimension(steps=10_000, batch=1_024, lr=1e-3), seed=range(3000, 3000 + 16 * GROUP)),
)  # fmt: skip
