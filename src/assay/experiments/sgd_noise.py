"""Minibatch noise: steps of SGD against a gradient with noise added, accepted mutations and evolution strategies.

Paper: Sourbut 2022, Conditions for mathematical equivalence of SGD and Natural Selection, and a comment on it; Zhu et al. 2019
Claim: coordinates that every example moves in lock-step stay so under SGD, and do not where noise or selection is drawn apart from examples
Baselines: isotropic and diagonal noise of equal size, selection by the true gradient, networks' noise redrawn isotropic
Cost: 22 s on 2 cores, 35 CPU-seconds, 0.63 GB a process; full a guess of 0.3 GPU-hours, never run
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, PerRun, Spec, changed, columns, grid, reserved, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.stats import normal_errors, ratio

SOURBUT = "Sourbut 2022, Conditions for mathematical equivalence of Stochastic Gradient Descent and Natural Selection"
COMMENT = "a comment on " + SOURBUT
ZHU = "Zhu et al. 2019, The Anisotropic Noise in Stochastic Gradient Descent"
MANDT = "Mandt et al. 2017, Stochastic Gradient Descent as Approximate Bayesian Inference"
PARTS, BURN = 20, 2
"""Parts of a run, each drawn at once; those left out on the quadratic, from its start at the minimum."""
SNAPSHOTS = (0.0, 0.1, 0.3, 1.0)
"""Shares of a network's training at which its noise is measured."""
HELD, EVALUATIONS = (1, 5, 21, 41, 101, 401), (1, 3, 9, 25, 49)
EQUAL, DOUBLE = (1.0, 1.0), (1.0, 2.0)
"""a and c of the curves."""


@dataclass(frozen=True, kw_only=True)
class StepNoise(Spec):
    task: Literal["walk", "quadratic", "network"] = "walk"
    """Steps on a slope, steps in a quadratic bowl, or gradients of trained networks at frozen weights."""
    law: Literal["sgd", "epochs", "skewed", "adam", "iso", "diag", "full", "hard", "linear", "es"] = "sgd"
    """How steps, or noise, are made."""
    a: PerRun[float] = 2.0
    """Each example's gradient along the first coordinate, per g."""
    c: PerRun[float] = -3.0
    """And along the second."""
    held: PerRun[int] = 1
    """K: mutations for which one minibatch decides what is fit."""
    evaluations: PerRun[int] = 1
    """P: random directions that an evolution strategy evaluates on one minibatch."""
    spread: float = 1.0
    """Standard deviation of g over examples; at 0 the true gradient is seen."""
    drift: float = 1.0
    """The true gradient, along the third coordinate."""
    batch: int = 8
    """Examples in a minibatch."""
    examples: int = 1_000
    """Examples there are, where they are finite."""
    coordinates: int = 16
    """Dimensions of the slope."""
    steps: int = 20_000
    """Steps of a run."""
    lr: float = 1e-2
    """Learning rate."""
    mutation: float = 0.05
    """s: standard deviation of a mutation in each coordinate."""
    sharpness: float = 1.0
    """β: how fast the probability of acceptance grows with fitness."""
    curvature: tuple[float, ...] = (1.0, 10.0)
    """Second derivatives of the quadratic."""
    trace: float = 1.1
    """Total variance of a gradient's noise on the quadratic."""
    hidden: int = 0
    """ReLU units in the networks' middle; 0 is softmax regression."""
    zipf: float = 1.0
    """Exponent of the networks' class frequencies: 0 is balanced, 1 as words are."""
    classes: int = 64
    """Classes of the networks' problem."""
    features: int = 32
    """Inputs of the networks."""
    minibatches: int = 2_000
    """Minibatches drawn at frozen weights."""
    subset: int = 256
    """Parameters, drawn at random, whose noise is looked at."""

    def check(self) -> None:
        least = {"held": 1, "evaluations": 1, "batch": 1, "examples": 2, "coordinates": 3, "hidden": 0, "classes": 2, "features": 1,
                 "minibatches": 2, "subset": 2}  # fmt: skip
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SpecError(f"StepNoise.{name} must be at least {low}, got {getattr(self, name)}")
        if self.batch > self.examples:
            raise SpecError(f"StepNoise.batch must be at most the {self.examples} examples that there are, got {self.batch}")
        if self.steps < PARTS or self.steps % PARTS:
            raise SpecError(f"StepNoise.steps must be a multiple of {PARTS}, as a run is drawn in so many parts, got {self.steps}")
        for name in ("lr", "mutation", "sharpness", "trace"):
            if getattr(self, name) <= 0:
                raise SpecError(f"StepNoise.{name} must be positive, got {getattr(self, name)}")
        if 0 in (self.a, self.c) or self.spread < 0 or self.zipf < 0 or min(self.curvature, default=0) <= 0:
            raise SpecError("StepNoise needs a and c other than 0, spread and zipf of at least 0 and curvatures above 0")
        weights = self.hidden * (self.features + self.classes) if self.hidden else self.features * self.classes
        if self.subset > weights:
            raise SpecError(f"StepNoise.subset must be at most the {weights} weights of the network, got {self.subset}")
        if self.task == "quadratic" and self.lr >= 2 / max(self.curvature):
            raise SpecError(f"StepNoise.lr must be below 2/{max(self.curvature):g}, or the quadratic diverges, got {self.lr}")
        if self.law == "linear":
            self.check_selection()

    def check_selection(self) -> None:
        from assay.theory import step_noise

        sampled = step_noise.lock_step(self.a, self.c, self.spread) / self.batch
        beyond = step_noise.clipped(np.array([0, 0, self.drift]), sampled, self.mutation, self.sharpness)
        if beyond > 1e-3:
            raise SpecError(f"StepNoise.sharpness × mutation is too large to stay linear: {beyond:.2%} of all probabilities of acceptance "
                            f"would be clipped, at most 0.1 % may; got {self.sharpness:g} × {self.mutation:g}")  # fmt: skip


# --- what is run and measured ----------------------------------------------------------------------------------------------


def train(runs, bench):
    return {"walk": walk, "quadratic": quadratic, "network": network}[runs.shared.task](runs, bench)


def measure(runs, trained, bench):
    return {"walk": steps_taken, "quadratic": stationary, "network": noise}[runs.shared.task](runs, trained, bench)


def slope_and_law(runs):
    from assay.subjects.stepping import Slope
    from assay.theory.step_laws import Law

    s = runs.shared
    name = f"{s.law}.{s.spread:g}.{s.coordinates}"
    slope = Slope(name, runs.seeds, runs.each("a"), runs.each("c"), s.spread, s.drift, s.batch, s.coordinates, s.steps // PARTS)
    return slope, Law(s.law, s.lr, s.examples, s.mutation, s.sharpness, runs.each("held"), runs.each("evaluations"))


def walk(runs, bench):
    from assay.core import fit
    from assay.subjects import stepping
    from assay.theory import step_laws

    slope, law = slope_and_law(runs)
    group = stepping.walk(runs, slope, PARTS, lr=law.scale, adam=law.name == "adam")
    return fit([group], step_laws.source(slope, law), steps=PARTS, bench=bench)[0]


def steps_taken(runs, trained, bench):
    from assay.subjects import stepping
    from assay.theory import step_laws

    s, (slope, law) = runs.shared, slope_and_law(runs)
    found, (mean, covariance) = stepping.moments(trained.tensors, slope, s.steps), step_laws.expected(slope, law)
    pair, wanted = (np.stack([x[:, 0, 0], x[:, 0, 1], x[:, 1, 1]], 1) for x in (found["covariance"], covariance))
    named: dict = {
        "correlation": ("run", pair[:, 1] / np.sqrt(pair[:, 0] * pair[:, 2]), "1"),
        "pair": ("run entry", pair, "squared step"),
        "pair_expected": ("run entry", wanted, "squared step"),
        "along": ("run moment", np.stack([found["mean"][:, 2], found["covariance"][:, 2, 2]], 1), "step, squared step"),
        "along_expected": ("run moment", np.stack([mean[:, 2], covariance[:, 2, 2]], 1), "step, squared step"),
        "slope": ("run", found["slope"], "1"),
        "skewness": ("run", found["skewness"], "1"),
    }
    if s.coordinates > 3:  # the ones that are drawn
        tau = s.lr * np.sqrt((slope.a**2 + slope.c**2) / (2 * s.batch))  # of isotropic noise at a spread of 1
        u = found["path"] / tau[:, None]
        named["u"] = ("run time", u, "τ")
        named["diffusion"] = ("run", np.square(np.diff(u, axis=1)).mean(1) / slope.times, "τ² a step")
        named["spectrum"] = ("run rank", np.linalg.eigvalsh(found["covariance"])[:, ::-1].clip(0), "squared step")
        named["some"] = ("run kept axis", trained.tensors["some"], "step")
    return measures(runs, **named)


def noise_variance(s):
    """Variances of the gradient's noise on the quadratic: proportional to curvature, as minibatches of a regression have it, or equal."""
    H = np.array(s.curvature)
    return s.trace * (H / H.sum() if s.law == "sgd" else np.ones(len(H)) / len(H))


def quadratic(runs, bench):
    import torch

    from assay.core import fit, rng
    from assay.subjects import stepping

    s, size, times = runs.shared, np.sqrt(noise_variance(runs.shared)), runs.shared.steps // PARTS

    def draw(part):
        z = rng.normal(runs.seeds, f"bowl.{s.law}.{s.trace:g}", part, (times, len(size))).astype(np.float64)
        return torch.from_numpy(z * size)

    return fit([stepping.quadratic(runs, np.array(s.curvature), times, BURN, lr=s.lr)], draw, steps=PARTS, bench=bench)[0]


def stationary(runs, trained, bench):
    from assay.theory import step_noise

    s, H = runs.shared, np.array(runs.shared.curvature)
    variance = trained.tensors["squares"].cpu().numpy() / (s.steps // PARTS * (PARTS - BURN))
    wanted = step_noise.stationary(H, noise_variance(s), s.lr)
    return measures(
        runs,
        variance=("run direction", variance, "squared length"),
        variance_expected=("run direction", np.tile(wanted, (len(runs), 1)), "squared length"),
        excess=("run", variance @ (0.5 * H), "loss"),
    )


def problem(runs):
    """Inputs [run b f] and classes [run b] of every network."""
    from assay.data import teacher

    s = runs.shared
    return teacher.labelled(runs.seeds, s.examples, s.features, s.classes, sharpness=2.0, zipf=s.zipf)


def network(runs, bench):
    """Weights [run snapshot in out] along a training by minibatches."""
    from assay.core import descent, fit
    from assay.core.fit import watched
    from assay.subjects import example_gradients as eg

    s = runs.shared
    params = eg.classifier(runs, (s.features, *([s.hidden] if s.hidden else []), s.classes))
    names = tuple(params)
    group = descent(runs, params, eg.losses, lr=np.full(len(runs), s.lr), plain=True)
    group = watched(group, names, [round(share * s.steps) for share in SNAPSHOTS])
    x, y = problem(runs)
    done = fit([group], eg.draws(runs.seeds, x, y, s.batch), steps=s.steps, bench=bench)[0]
    return replace(done, tensors={name: done.tensors[f"{name}/at"] for name in names})


def again(runs, bench, before):
    """The same networks; what is drawn is their noise."""
    return before


def noise(runs, trained, bench):
    import torch

    from assay.subjects import example_gradients as eg
    from assay.theory.step_noise import participation

    s, (x, y) = runs.shared, (part.to(bench.device) for part in problem(runs))
    moments = [{name: w[:, k] for name, w in trained.tensors.items()} for k in range(len(SNAPSHOTS))]
    at = eg.coordinates(runs.seeds, moments[0], s.subset).to(bench.device)
    examples = [eg.of_examples(params, x, y, at) for params in moments]  # [run b coordinate] each

    def spectrum(law, stream):
        drawn = [eg.noise_spectra(g, runs.seeds, k, law, s.batch, s.minibatches, stream) for k, g in enumerate(examples)]
        return np.stack(drawn, 1)

    own, even = spectrum(s.law, "noise"), spectrum("iso", "reference")
    ranks = np.unique(np.geomspace(1, s.subset, 24).astype(int))
    return measures(
        runs, coords={"snapshot": SNAPSHOTS, "rank": ranks.tolist()},
        participation=("run snapshot", participation(own), "directions"),
        reference=("run snapshot", participation(even), "directions"),
        loss=("run snapshot", torch.stack([eg.losses(params, (x, y)) for params in moments], 1), "nats"),
        spectrum=("run rank", own[:, -1, ranks - 1] / own[:, -1].mean(-1, keepdims=True), "mean variance"),
    )  # fmt: skip


# --- what is compared ------------------------------------------------------------------------------------------------------


def signed(arm, arms):
    """[run]: correlation of both coordinates' steps, positive in the direction of the examples'."""
    return arm.correlation * np.sign(arm.a * arm.c)


def rise(arm, arms):
    """[seed]: by how much that grows from the fewest to the most mutations, or evaluations, on one minibatch; a mean over c."""
    name = "held" if len(set(arm.held.values.tolist())) > 1 else "evaluations"
    found = by(arm.assign(found=signed(arm, arms)), "c", name).found.mean("c")
    return found.isel({name: -1}, drop=True) - found.isel({name: 0}, drop=True)


def apart(arm, arms):
    """[run]: distance of the pair's covariance from that of minibatches of skewed examples, as a share of its size."""
    twice = np.array([1.0, 2.0, 1.0])  # the entry beside the diagonal stands on both sides
    other = arms["skewed"].pair
    return np.sqrt((twice * (arm.pair - other) ** 2).sum("entry") / (twice * other**2).sum("entry"))


def anisotropy(arm, arms):
    """[run]: participation ratio of the noise over isotropic noise's, a mean over the snapshots after the start."""
    return (arm.participation / arm.reference).isel(snapshot=slice(1, None)).mean("snapshot")


def alone(of):
    """Terms: by how much, in logarithms, fewer directions there are than in isotropic noise, in this arm and in arm `of`."""
    return lambda arm, arms: {"own": -np.log(anisotropy(arm, arms)), "all": -np.log(anisotropy(arms[of], arms))}


def errors_of(measure, *names):
    """These arms' measure against its closed form, in standard errors."""
    return lambda arms: np.concatenate([normal_errors(arms[n][measure] - arms[n][measure + "_expected"]) for n in names])


def closed(arm):
    """[run]: the correlation of the closed form."""
    e = arm.pair_expected
    return e.isel(entry=1) / np.sqrt(e.isel(entry=0) * e.isel(entry=2))


def points(arm):
    """Of each c and number of mutations or evaluations: (c, number, the runs there)."""
    levels = sorted(set(zip(arm.c.values.tolist(), arm.held.values.tolist(), arm.evaluations.values.tolist(), strict=True)))
    return [(c, max(k, p), arm.isel(run=((arm.c == c) & (arm.held == k) & (arm.evaluations == p)).values)) for c, k, p in levels]


def on_the_curve(name):
    """[point]: correlation at every c and number against its closed form, in standard errors."""
    return lambda arms: np.concatenate([normal_errors(a.correlation - closed(a)) for _, _, a in points(arms[name])])


# --- what is drawn ---------------------------------------------------------------------------------------------------------

SHOWN = {"main": "SGD", "full": "normal, same covariance", "iso": "isotropic", "linear": "evolution", "es-49": "ES, P = 49", "adam": "Adam"}
NETWORKS = {"softmax": "softmax", "softmax-diag": "softmax, variances alone", "mlp": "MLP", "mlp-diag": "MLP, variances alone",
            "balanced": "softmax, balanced classes", "softmax-iso": "isotropic"}  # fmt: skip


def figures(arms):
    return [curves(arms), clouds(arms), spectra(arms), paths(arms), network_spectra(arms), along_training(arms)]


def curves(arms):
    panels = {"environment": "K mutations on one example", "es": "P evaluations on one example"}
    rows = [(panel, f"c = {'2' * (c == 2)}a, {what}", k, *told) for name, panel in panels.items() for c, k, a in points(arms[name])
            for what, told in {"measured": summary(a.correlation.values), "theory": (float(closed(a)[0]),) * 3}.items()]  # fmt: skip
    return Figure(
        "Accepted mutations need many trials on one example; an evolution strategy is half-way with one",
        columns(("panel", "series", "k", "mean", "low", "high"), rows), "line", x="k", y="mean", color="series", facet="panel",
        band=("low", "high"), x_log=True, x_title="trials on one example, K or P", y_title="correlation of the two coordinates' steps",
        rules=((1.0, ""),), note="Dashed: SGD, exactly 1. Measured curves and closed forms lie on each other.",
    )  # fmt: skip


def clouds(arms):
    rows, turn = [], np.linspace(0, 2 * np.pi, 37)
    for name, label in SHOWN.items():
        covariance = arms[name].pair.mean("run").values[[0, 1, 1, 2]].reshape(2, 2)
        size = np.sqrt(np.trace(covariance) / 2)
        values, vectors = np.linalg.eigh(covariance)
        ring = 2 * (np.stack((np.cos(turn), np.sin(turn)), 1) * np.sqrt(values.clip(0))) @ vectors.T
        few = arms[name].some.values[:40].reshape(-1, 2)
        rows += [(label, what, *p) for what, dots in (("steps", few), ("two standard deviations", ring)) for p in (dots / size).tolist()]
    return Figure(
        "Steps lie on a line under SGD, and under normal noise of its covariance", columns(("law", "shown", "x", "y"), rows), "points",
        x="x", y="y", color="shown", facet="law", x_title="Δx₁ (its law's size)", y_title="Δx₂ (its law's size)",
        note="A law's size is the root mean square of both coordinates' standard deviations.",
    )  # fmt: skip


def spectra(arms):
    rows = [(label, i + 1, max(float(v), 1e-6)) for name, label in SHOWN.items()
            for i, v in enumerate((arms[name].spectrum / arms[name].spectrum.isel(rank=0)).mean("run").values)]  # fmt: skip
    return Figure(
        f"SGD moves in one direction of {arms['main'].sizes['rank']}", columns(("law", "rank", "value"), rows), "line", x="rank",
        y="value", color="law", y_log=True, x_title="rank of the eigenvalue of the steps' covariance", y_title="over the largest",
        note="What is below a millionth, rounding included, is drawn there.",
    )  # fmt: skip


def paths(arms):
    each, rows = arms["main"].attrs["steps"] // PARTS, []
    for name, label in {"main": "SGD", "iso": "isotropic"}.items():
        rows += [(label, "a run", j * each, float(v)) for run in arms[name].u.values for j, v in enumerate(run)]
        rows += [(label, "± 2 √t", j * each, sign * 2 * (j * each) ** 0.5) for j in range(PARTS + 1) for sign in (1, -1)]
    return Figure(
        "What no example moves stays put under SGD and diffuses under isotropic noise", columns(("law", "shown", "t", "u"), rows), "points",
        x="t", y="u", color="shown", facet="law", x_title="step", y_title="c x₁ − a x₂ over √(a² + c²) (τ)",
        note="τ: standard deviation of one isotropic step in one coordinate.",
    )  # fmt: skip


def network_spectra(arms):
    rows = [(label, int(k), float(arms[name].spectrum.sel(rank=k).mean())) for name, label in NETWORKS.items()
            for k in arms[name]["rank"].values]  # fmt: skip
    return Figure(
        "Minibatch noise of networks is far from isotropic, mostly as variances differ",
        columns(("noise", "rank", "mean"), rows), "line", x="rank", y="mean", color="noise", x_log=True, y_log=True,
        x_title="rank of the eigenvalue of the noise's covariance", y_title="over the mean eigenvalue",
        note="At the end of training. With as few draws, isotropic noise is not flat either.",
    )  # fmt: skip


def along_training(arms):
    rows = [(label, float(k), *summary((arms[name].participation / arms[name].reference).sel(snapshot=k).values))
            for name, label in NETWORKS.items() for k in arms[name].snapshot.values]  # fmt: skip
    return Figure(
        "Data make the noise anisotropic, hardly training", columns(("noise", "share", "mean", "low", "high"), rows),
        "line", x="share", y="mean", color="noise", band=("low", "high"), x_title="share of training",
        y_title="participation ratio over isotropic noise's", rules=((0.5, ""),),
    )  # fmt: skip


# --- the experiment --------------------------------------------------------------------------------------------------------


def plain(given):
    """Main's runs. Raises: SpecError where arms set a field, or where there is no coordinate that nothing moves."""
    if few := [s.coordinates for s in given if s.coordinates < 4]:
        raise SpecError(f"StepNoise.coordinates must be at least 4, the lock-step's two, the gradient's and one nothing moves, got {few[0]}")
    return reserved("task", "law", "held", "evaluations", "spread", "drift", "hidden", "zipf")(given)


def first(count, specs):
    """The runs of the first seeds."""
    seeds = sorted({s.seed for s in specs})[:count]
    return [s for s in specs if s.seed in seeds]


def share(s, of):
    """About that share of a run's steps, a multiple of the parts it is drawn in."""
    return max(PARTS, int(of * s.steps) // PARTS * PARTS)


def fewer(**changes):
    """A fifth of the steps, with these changes."""
    return lambda specs: tuple(s.replace(steps=share(s, 0.2), **changes) for s in specs)


def over(name, levels, pairs, law, **changes):
    """For the first 24 seeds each pair (a, c) and number of trials on one example; three coordinates, a fifth of the steps."""

    def specs(given):
        small = {"law": law, "batch": 1, "coordinates": 3, **changes}
        few = [(s, a, c, k) for s in first(24, given) for a, c in pairs for k in levels]
        return tuple(s.replace(steps=share(s, 0.2), a=a, c=c, **{name: k}, **small) for s, a, c, k in few)

    return specs


def networks(long=1.0, **changes):
    """Eight networks, a tenth of the steps."""
    own = {"task": "network", "lr": 0.3, "examples": 4_000, **changes}
    return lambda given: tuple(s.replace(steps=share(s, 0.1 * long), **own) for s in first(8, given))


def bowls(law, trace=1.0):
    """Ten times the steps, as the slow direction forgets in a hundred."""
    return lambda given: tuple(s.replace(task="quadratic", law=law, steps=10 * s.steps, trace=trace * s.trace) for s in given)


PLAN, PILOT = "plan, before the pilot; theory: ", "pilot: seeds 0–63, "
MONTE_CARLO = {"expected": 0.0, "tolerance": 4.0, "unit": "standard errors"}
"""What simulated means are held to: a right one is 4 off with a chance of 6e-5, one of all 62 with at most 0.4 %."""
CHOSEN = "plan, before the pilot; but its problem was chosen after one, seeds 0–2"

experiment = Experiment(
    arms={
        "main": Arm(train, specs=plain, note="SGD: minibatches of fresh examples"),
        "epochs": Arm(train, specs=fewer(law="epochs", batch=100),
            note="SGD without replacement: batches of 100 of 1,000 examples, in a new order each epoch"),
        "skewed": Arm(train, specs=changed(law="skewed"), note="SGD on examples of a skewed law, exponential less its mean"),
        "full": Arm(train, specs=changed(law="full"), note="the true gradient plus normal noise of SGD's covariance"),
        "diag": Arm(train, specs=changed(law="diag"), note="plus independent normal noise of SGD's variances"),
        "iso": Arm(train, specs=changed(law="iso"), note="plus normal noise, equal in all coordinates, of SGD's trace in the pair"),
        "linear": Arm(train, specs=changed(law="linear", spread=0.0),
            note="evolution: mutations, accepted the likelier the fitter they truly are"),
        "hard": Arm(train, specs=changed(law="hard", spread=0.0), note="evolution: mutations, accepted if they are truly fitter"),
        "es-49": Arm(train, specs=fewer(law="es", evaluations=49, drift=0.0),
            note="an evolution strategy: 49 random directions, evaluated on one minibatch"),
        "adam": Arm(train, specs=changed(law="adam"), note="Adam on minibatches of fresh examples"),
        "environment": Arm(train, specs=over("held", HELD, (EQUAL, DOUBLE), "linear", drift=0.0),
            note="evolution whose fitness is one example's, for K mutations"),
        "environment-true": Arm(train, specs=over("held", HELD[::5], (EQUAL,), "linear", spread=0.0),
            note="the same where the true gradient decides: nothing is sampled"),
        "es": Arm(train, specs=over("evaluations", EVALUATIONS, (EQUAL, DOUBLE), "es", drift=0.0),
            note="evolution strategies, P evaluations of one example"),
        "es-true": Arm(train, specs=over("evaluations", EVALUATIONS[::4], (EQUAL,), "es", spread=0.0),
            note="the same on the true gradient: nothing is sampled"),
        "quadratic": Arm(train, specs=bowls("sgd"),
            note="a quadratic, noise proportional to curvature as a regression's minibatches have it"),
        "quadratic-iso": Arm(train, specs=bowls("iso"), note="the same quadratic, isotropic noise of the same trace"),
        "quadratic-double": Arm(train, specs=bowls("iso", 2.0), note="the same, isotropic noise of twice the trace"),
        "softmax": Arm(train, specs=networks(), keep=True, note="softmax regression: minibatch noise at three snapshots of its training"),
        "softmax-half": Arm(train, specs=networks(0.5), note="softmax, trained half as long"),
        "softmax-diag": Arm(again, specs=changed(law="diag"), after="softmax", note="its noise redrawn, each weight by itself"),
        "softmax-iso": Arm(again, specs=changed(law="iso"), after="softmax", note="its noise redrawn, each weight by itself and all alike"),
        "mlp": Arm(train, specs=networks(hidden=48), note="the same with 48 ReLU units between"),
        "mlp-half": Arm(train, specs=networks(0.5, hidden=48), note="mlp, trained half as long"),
        "mlp-diag": Arm(again, specs=changed(law="diag"), after="mlp", note="its noise redrawn, each weight by itself"),
        "mlp-iso": Arm(again, specs=changed(law="iso"), after="mlp", note="its noise redrawn, each weight by itself and all alike"),
        "balanced": Arm(train, specs=networks(zipf=0.0), keep=True, note="softmax where all classes are equally frequent"),
        "balanced-half": Arm(train, specs=networks(0.5, zipf=0.0), note="balanced, trained half as long"),
        "balanced-iso": Arm(again, specs=changed(law="iso"), after="balanced", note="its noise redrawn, each weight by itself and all alike"),
    },
    measure=measure,
    claims=(
        Claim(
            text="SGD keeps in lock-step what every example moves in lock-step: correlation of two coordinates' steps at least 0.99 in size",
            value=lambda arm, arms: abs(arm.correlation), low=0.99, fail_low=0.9, unit="correlation",
            must_fail=("iso", "diag", "linear", "hard"), threshold_from=PLAN + "exactly 1", published="new", source=COMMENT,
        ),
        Claim(
            text="Evolution by the true gradient does not: correlation at most 0.05 in size",
            of="linear", value=lambda arm, arms: abs(arm.correlation), high=0.05, fail_high=0.1, unit="correlation",
            must_fail=("main", "es-49"), threshold_from=PLAN + "0", published="new", source=COMMENT,
        ),
        Claim(
            text="SGD moves in one direction, isotropic noise in all: second eigenvalue at most 0.01 of the first",
            value=lambda arm, arms: arm.spectrum.isel(rank=1) / arm.spectrum.isel(rank=0), high=0.01, fail_high=0.5,
            unit="ratio of eigenvalues", must_fail=("iso", "linear"), threshold_from=PLAN + "0 and 1", published="new", source=ZHU,
        ),
        Claim(
            text="Second moments cannot tell SGD from a gradient with normal noise of its covariance: the covariances differ by at most 5 %",
            of="full", value=apart, high=0.05, fail_high=0.1, unit="share of its size", must_fail=("diag", "iso"),
            threshold_from=PILOT + ".011 to .016; diag .65", published="new", source=COMMENT,
        ),
        Claim(
            text="Third moments can, where examples are skewed: skewness of SGD's steps at least 0.5",
            of="skewed", value=lambda arm, arms: arm.skewness, low=0.5, unit="skewness", must_fail=("full",),
            threshold_from="theory: an example's skewness of 2 over √8 is 0.71; normal noise has 0", published="new",
            source="cumulants of a mean of independent numbers",
        ),
        Claim(
            text="Adam keeps the lock-step, not its slope: median Δx₂/Δx₁ within 0.01 of 1 in size, where the examples' is |c/a|",
            of="adam", value=lambda arm, arms: abs(arm.slope), low=0.99, high=1.01, fail_low=0.9, fail_high=1.1, unit="1",
            must_fail=("main",), threshold_from=PLAN + "1", published="new", source="each coordinate is divided by its own root mean square",
        ),
        Claim(
            text="Accept or reject by sampled fitness is not enough: with one mutation for each example the correlation is at most 0.05 in size",
            of="environment", value=signed, where={"held": 1, "evaluations": 1}, low=-0.05, high=0.05, fail_low=-0.1, fail_high=0.1,
            unit="correlation", must_fail=("es",), threshold_from="theory: exactly 0", published="new", source=SOURBUT,
        ),
        Claim(
            text="To hold an example for many mutations is: from K = 1 to 401 the correlation rises by at least 0.25",
            of="environment", value=rise, low=0.25, unit="correlation", must_fail=("environment-true",),
            threshold_from="theory: .33 where c = a, .47 where c = 2a", published="new", source=SOURBUT,
        ),
        Claim(
            text="So is to evaluate many directions on it: from P = 1 to 49 an evolution strategy's correlation rises by at least 0.3",
            of="es", value=rise, low=0.3, unit="correlation", must_fail=("es-true",),
            threshold_from="theory: .46 where c = a, .52 where c = 2a", published="new", source=SOURBUT,
        ),
        Claim(
            text="What no example moves is conserved by SGD: it diffuses at most a millionth as fast as under isotropic noise of its trace",
            value=lambda arm, arms: arm.diffusion, high=1e-6, fail_high=0.5, unit="τ² a step", must_fail=("iso", "diag"),
            threshold_from=PLAN + "0 and 1", published="new", source=COMMENT,
        ),
        Claim(
            text="Mean excess loss on a quadratic does not tell the two apart at equal trace: within 5 %",
            of="quadratic-iso", value=lambda arm, arms: {"own": arm.excess, "curved": arms["quadratic"].excess},
            statistic=lambda m: ratio("own", "curved")(m) - 1, low=-0.05, high=0.05, fail_low=-0.15, fail_high=0.15,
            unit="relative difference", must_fail=("quadratic-double",), threshold_from=PLAN + "−0.019", published="new", source=MANDT,
        ),
        Claim(
            text="Where classes are as unequal as words, softmax regression's minibatch noise has at most half the directions of isotropic noise",
            of="softmax", value=anisotropy, high=0.5, fail_high=0.9, unit="ratio of participation ratios", must_fail=("softmax-iso",),
            half={"softmax": "softmax-half"}, threshold_from=CHOSEN, published="new", source=ZHU,
        ),
        Claim(
            text="So has that of a network of two layers",
            of="mlp", value=anisotropy, high=0.5, fail_high=0.9, unit="ratio of participation ratios", must_fail=("mlp-iso",),
            half={"mlp": "mlp-half"}, threshold_from=CHOSEN, published="new", source=ZHU,
        ),
        Claim(
            text="Where classes are balanced and inputs white, softmax's noise has, too: at most 0.5",
            of="balanced", value=anisotropy, high=0.5, fail_high=0.9, unit="ratio of participation ratios", must_fail=("balanced-iso",),
            half={"balanced": "balanced-half"}, threshold_from="plan, before the pilot; the first problem tried, .82 there", published="new",
            source=ZHU,
        ),
        Claim(
            text="Most of it is unequal variances: softmax's noise, redrawn weight by weight, keeps at least half of the anisotropy, in logarithms",
            of="softmax-diag", value=alone("softmax"), statistic=ratio("own", "all"), low=0.5, unit="share of log anisotropy",
            must_fail=("softmax-iso",), threshold_from=PILOT + ".94 and .73; most is half", published="new", source=ZHU,
        ),
        Claim(
            text="So it is in the network of two layers",
            of="mlp-diag", value=alone("mlp"), statistic=ratio("own", "all"), low=0.5, unit="share of log anisotropy",
            must_fail=("mlp-iso",), threshold_from=PILOT + ".94 and .73; most is half", published="new", source=ZHU,
        ),
        Exact(
            text="Covariances of one step in nine laws, three entries each, against their closed forms",
            value=errors_of("pair", "main", "epochs", "skewed", "full", "diag", "iso", "linear", "hard", "es-49"),
            source="closed forms", **MONTE_CARLO,
        ),
        Exact(
            text="Covariances of one step: normal noise less SGD on skewed examples, three entries",
            value=lambda arms: normal_errors(arms["full"].pair - arms["skewed"].pair),
            source=COMMENT, **MONTE_CARLO,
        ),
        Exact(
            text="Mean and variance along the true gradient, linear and hard selection, against their closed forms",
            value=errors_of("along", "linear", "hard"), source="moments of a normal law, whole and halved", **MONTE_CARLO,
        ),
        Exact(
            text="Correlation at every K of a sampled environment, against its closed form", value=on_the_curve("environment"),
            source="law of total covariance", **MONTE_CARLO,
        ),
        Exact(
            text="Correlation at every P of an evolution strategy, against its closed form", value=on_the_curve("es"),
            source="law of total covariance", **MONTE_CARLO,
        ),
        Exact(
            text="With one mutation for each example the closed form's correlation is 0, whatever a and c",
            value=lambda arms: [float(closed(a)[0]) for _, k, a in points(arms["environment"]) if k == 1],
            expected=0.0, tolerance=0.0, source="K(K − 1) = 0",
        ),
        Exact(
            text="SGD's correlation is sign(ac), least of all runs: fresh examples, without replacement, skewed; and Adam's",
            value=lambda arms: [float(signed(arms[name], arms).min()) for name in ("main", "epochs", "skewed", "adam")],
            expected=1.0, tolerance=1e-9, source="a minibatch's gradient is a number times (a, c)",
        ),
        Exact(
            text="Stationary variances on the quadratic, three noises and every direction, against their closed form",
            value=errors_of("variance", "quadratic", "quadratic-iso", "quadratic-double"), source=MANDT, **MONTE_CARLO,
        ),
        Finding(
            text="Steps times squared correlation under evolution; independent noise has 1, mutations 2, as they share their acceptance",
            value=lambda arms: sum(arms[n].correlation**2 * arms[n].attrs["steps"] for n in ("linear", "hard")) / 2, unit="1",
            published="new", source="E δ₁²δ₂²A = s⁴/2 over the variances' product s⁴/4",
        ),
        Finding(
            text="Squared distance of the conserved combination at the end of isotropic runs, over what theory expects",
            value=lambda arms: arms["iso"].u.isel(time=-1) ** 2 / arms["iso"].attrs["steps"], unit="T τ²", published="new", source=COMMENT,
        ),
        Finding(
            text="Anisotropy of softmax's noise before any training",
            value=lambda arms: (arms["softmax"].participation / arms["softmax"].reference).isel(snapshot=0),
            unit="ratio of participation ratios", published="new", source=ZHU,
        ),
    ),
    figures=figures,
    scope="an example in closed form; and 8 networks of each kind, 32 white inputs and 64 classes of a random teacher, batches of 8, "
    "256 of their weights at 10, 30 and 100 % of training",
    seeds_per_group=64,
    smoke=grid(StepNoise(steps=400, minibatches=50, subset=64), seed=range(2)),
    default=grid(StepNoise(), seed=range(1000, 1064)),
    full=grid(StepNoise(steps=1_000_000, minibatches=20_000), seed=range(1000, 1064)),
)  # fmt: skip
