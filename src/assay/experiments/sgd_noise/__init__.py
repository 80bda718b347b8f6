"""Minibatch noise: steps of SGD against a gradient with noise added, accepted mutations and evolution strategies.

Paper: Sourbut 2022, Conditions for mathematical equivalence of SGD and Natural Selection, and a comment on it; Zhu et al. 2019
Claim: with classes as unequal as words, networks' minibatch noise has at most half the directions of isotropic noise, mostly by unequal variances
Baselines: classes equally frequent; the noise of each weight by itself; the noise with equal variances, correlations alone; closed forms
Cost: 42 s on 2 cores, 74 CPU-seconds, 0.98 GB a process; full a guess of 0.3 GPU-hours, never run
"""

from assay.core import Arm, Experiment, changed, grid, reserved
from assay.core.errors import SpecError
from assay.experiments.sgd_noise.claims import CLAIMS
from assay.experiments.sgd_noise.figures import figures
from assay.experiments.sgd_noise.method import PARTS, StepNoise, measure, same_networks, train

HELD, EVALUATIONS = (1, 5, 21, 41, 101, 401), (1, 3, 9, 25, 49)
EQUAL, DOUBLE = (1.0, 1.0), (1.0, 2.0)
"""a and c of the curves."""


def plain(given):
    """Main's runs. Raises: SpecError where arms set a field, or where there is no coordinate that nothing moves."""
    if few := [s.coordinates for s in given if s.coordinates < 4]:
        raise SpecError(f"StepNoise.coordinates must be at least 4, the lock-step's two, the gradient's and one nothing moves, got {few[0]}")
    return reserved("task", "law", "held", "evaluations", "spread", "drift", "hidden", "zipf")(given)


def first_seeds(count, specs):
    """The runs of the first seeds."""
    seeds = sorted({s.seed for s in specs})[:count]
    return [s for s in specs if s.seed in seeds]


def share(s, of):
    """About that share of a run's steps, a multiple of the parts it is drawn in."""
    return max(PARTS, int(of * s.steps) // PARTS * PARTS)


def shorter(**changes):
    """A fifth of the steps, with these changes."""
    return lambda specs: tuple(s.replace(steps=share(s, 0.2), **changes) for s in specs)


def over_levels(name, levels, pairs, law, **changes):
    """For the first 24 seeds each pair (a, c) and number of trials on one example; three coordinates, a fifth of the steps."""

    def specs(given):
        small = {"law": law, "batch": 1, "coordinates": 3, **changes}
        few = [(s, a, c, k) for s in first_seeds(24, given) for a, c in pairs for k in levels]
        return tuple(s.replace(steps=share(s, 0.2), a=a, c=c, **{name: k}, **small) for s, a, c, k in few)

    return specs


def networks(count=24, long=1.0, **changes):
    """That many networks, a tenth of the steps."""
    own = {"task": "network", "lr": 0.3, "examples": 4_000, **changes}
    return lambda given: tuple(s.replace(steps=share(s, 0.1 * long), **own) for s in first_seeds(count, given))


def of_networks(name, told, **changes):
    """Arms: networks of a kind, half as long, on balanced classes; their noise with variances alone, and with correlations alone."""
    return {
        name: Arm(train, specs=networks(**changes), keep=True, note=f"{told}: minibatch noise at three snapshots of its training"),
        f"{name}-half": Arm(train, specs=networks(8, 0.5, **changes), note=f"{name}, trained half as long, eight seeds"),
        f"{name}-balanced": Arm(train, specs=networks(zipf=0.0, **changes), note=f"{name}, where all classes are equally frequent"),
        f"{name}-diag": Arm(same_networks, specs=changed(law="diag"), after=name, note="its noise redrawn, each weight by itself: variances alone"),
        f"{name}-even": Arm(same_networks, specs=changed(law="even"), after=name,
                             note="its noise, every weight scaled to one variance: correlations alone"),
    }


ARMS = {
    "main": Arm(train, specs=plain, note="SGD: minibatches of fresh examples"),
    "epochs": Arm(train, specs=shorter(law="epochs", batch=100),
        note="SGD without replacement: batches of 100 of 1,000 examples, in a new order each epoch"),
    "skewed": Arm(train, specs=changed(law="skewed"), note="SGD on examples of a skewed law, exponential less its mean"),
    "full": Arm(train, specs=changed(law="full"), note="the true gradient plus normal noise of SGD's covariance"),
    "diag": Arm(train, specs=changed(law="diag"), note="plus independent normal noise of SGD's variances"),
    "iso": Arm(train, specs=changed(law="iso"), note="plus normal noise, equal in all coordinates, of SGD's trace in the pair"),
    "linear": Arm(train, specs=changed(law="linear", spread=0.0),
        note="evolution: mutations, accepted the likelier the fitter they truly are"),
    "hard": Arm(train, specs=changed(law="hard", spread=0.0), note="evolution: mutations, accepted if they are truly fitter"),
    "es-49": Arm(train, specs=shorter(law="es", evaluations=49, drift=0.0),
        note="an evolution strategy: 49 random directions, evaluated on one minibatch"),
    "adam": Arm(train, specs=changed(law="adam"), note="Adam on minibatches of fresh examples"),
    "environment": Arm(train, specs=over_levels("held", HELD, (EQUAL, DOUBLE), "linear", drift=0.0),
        note="evolution whose fitness is one example's, for K mutations"),
    "es": Arm(train, specs=over_levels("evaluations", EVALUATIONS, (EQUAL, DOUBLE), "es", drift=0.0),
        note="evolution strategies, P evaluations of one example"),
    **of_networks("softmax", "softmax regression"),
    **of_networks("mlp", "networks with 48 ReLU units between", hidden=48),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="an example in closed form; and 24 networks of each kind, 32 white inputs and 64 classes of a random teacher, batches of 8, "
    "256 of their weights at 10, 30 and 100 % of training",
    seeds_per_group=64,
    version=2,  # no quadratic
    measured=2,  # fewer spectra; skewness has a closed form
    smoke=grid(StepNoise(steps=400, minibatches=50, subset=64), seed=range(2)),
    default=grid(StepNoise(), seed=range(3000, 3064)),
    full=grid(StepNoise(steps=1_000_000, minibatches=20_000), seed=range(3000, 3064)),
)  # fmt: skip
