"""Deep linear nets: layers that change no function change how it is learned.

Paper: Exact solutions to the nonlinear dynamics of learning in deep linear neural networks, Saxe, McClelland & Ganguli 2014
Claim: two linear layers learn one mode after another, each in a step; split unevenly, the same function at the start, they do not
Baselines: lopsided, the same product split unevenly; redrawn, another draw of the start; shallow, one layer; turned, another basis
Cost: 18 s on 2 cores, 31 CPU-seconds, 0.33 GB a process; full a guess of 5 CPU-minutes, never run
Seed: what does not change the function a network computes still changes its training, as in deep linear nets (nostalgebraist)
"""

from dataclasses import dataclass

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
    Spec,
    by,
    changed,
    columns,
    fit,
    grid,
    reserved,
    summary,
)
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.worlds.linear import one_mode as theory

SAXE = theory.SAXE
SEED = "nostalgebraist, a footnote on the training of networks that compute the same function; " + SAXE
START = 0.01
"""The start at which arms are compared."""
SHOWN = 81
"""Times at which curves are kept, from the start to the end."""


@dataclass(frozen=True, kw_only=True)
class DeepLinear(Spec):
    start: PerRun[float] = START
    """How much of each mode the layers hold at the start in the part that grows, ‖(a + b)/2‖² on average; balanced layers: u₀."""
    strengths: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0)
    """Singular values of the map to be learned, descending: its modes."""
    size: int = 10
    """Inputs and outputs."""
    hidden: int = 100
    """Units between the layers; the fewer, the more modes overlap there and disturb each other."""
    lr: float = 0.0025
    """Rate of gradient descent: the time of one step, in units of τ."""
    steps: int = 3_200
    """Training steps, on the whole loss."""
    layers: int = 2
    """Two, or one that starts as the product of the two."""
    split: float = 1.0
    """What the second layer is multiplied by at the start, and the first divided by."""
    turned: bool = False
    """Whether the hidden units are another, rotated basis at the start."""
    aligned: bool = False
    """Whether the layers start along the modes, u₀ of each, and not at random."""

    def check(self) -> None:
        s = self.strengths
        if not s or min(s) <= 0 or list(s) != sorted(set(s), reverse=True):
            raise SpecError(f"DeepLinear.strengths descend, each once, and are above 0, got {s}")
        if len(s) > self.size:
            raise SpecError(f"DeepLinear.strengths are at most as many as the size: no {self.size} × {self.size} map has rank {len(s)}")
        if self.hidden < len(s):
            raise SpecError(f"DeepLinear.hidden must be at least the rank {len(s)}, got {self.hidden}")
        if not 0 < self.start < s[-1]:
            raise SpecError(f"DeepLinear.start lies above 0 and below every strength, the least of which is {s[-1]:g}, got {self.start:g}")
        if self.split <= 0:
            raise SpecError(f"DeepLinear.split must be positive, got {self.split:g}")
        if self.layers not in (1, 2) or self.steps < 1:
            raise SpecError(f"DeepLinear needs one or two layers and at least one step, got layers={self.layers}, steps={self.steps}")
        limit = 2.0 if self.layers == 1 else theory.stable_rate(s[0], self.imbalance)
        if not 0 < self.lr < limit:
            raise SpecError(f"DeepLinear.lr must be above 0 and below {limit:.3g}, where gradient descent becomes unstable, got {self.lr:g}")

    @property
    def imbalance(self) -> float:
        """About ‖a + b‖ ‖a − b‖ of a mode at the start."""
        spread = abs(self.split**2 - self.split**-2)
        return self.start * (spread if self.aligned else max(2.0, spread))


# --- what is trained and measured ----------------------------------------------------------------------------------------


def world(runs):
    """Singular directions and the map of each run."""
    from assay.worlds.linear import factors

    s = runs.shared
    left, right = factors.modes(runs, s.size, s.strengths)
    return left, right, factors.assembled(left, right, s.strengths)


def layers(runs):
    """Both layers of each run at the start: a [run n h], b [run n h], the map is a bᵀ."""
    import torch

    from assay.core import rng

    s, u0 = runs.shared, torch.from_numpy(runs.each("start"))[:, None, None]

    def drawn(name, *shape):
        return torch.from_numpy(rng.normal(runs.seeds, f"deep-linear.{name}", 0, shape).astype(np.float64))

    if s.aligned:
        left, right, _ = world(runs)
        units = torch.linalg.qr(drawn("hidden", s.hidden, len(s.strengths)))[0].transpose(1, 2)
        made = {"a": u0.sqrt() * (left @ units), "b": u0.sqrt() * (right @ units)}
    else:
        made = {side: (2 * u0 / s.hidden).sqrt() * drawn(side, s.size, s.hidden) for side in "ab"}
    if s.turned:
        turn = torch.linalg.qr(drawn("turn", s.hidden, s.hidden))[0]
        made = {side: x @ turn for side, x in made.items()}
    return {"a": made["a"] * s.split, "b": made["b"] / s.split}


def train(runs, bench):
    from assay.worlds.linear import factors

    s = runs.shared
    left, right, A = world(runs)
    params = layers(runs) if s.layers == 2 else factors.freed(layers(runs))
    group = factors.gradient_descent(runs, params, factors.square(A.to(bench.device)), lr=np.full(len(runs), s.lr))
    return fit([factors.followed(group, left, right)], lambda step: None, steps=s.steps, probe_at=range(1, s.steps + 1), bench=bench)[0]


def measure(runs, trained, bench):
    import torch

    from assay.worlds.linear import factors

    s = runs.shared
    held = np.stack([trained.history[f"mode{k}"] for k in range(len(s.strengths))], -1)  # before each step
    left, right, _ = world(runs)
    start = layers(runs)
    a, b = (torch.einsum("rnk,rnh->rkh", d, start[side]).numpy() for d, side in ((left, "a"), (right, "b")))
    u0, imbalance = (a * b).sum(-1), theory.imbalance_of(a, b)
    at = np.linspace(0, s.steps - 1, SHOWN).round().astype(int)
    when = {f"t{round(100 * share)}": np.stack([theory.reached(held[..., k], share * x) for k, x in enumerate(s.strengths)], -1)
            for share in (0.1, 0.5, 0.9)}  # fmt: skip
    curve = [[theory.deep(at * s.lr, x, *v) for x, *v in zip(s.strengths, *row, strict=True)] for row in zip(u0, imbalance, strict=True)]
    half = [[theory.deep_time(0.5, x, *v) for x, *v in zip(s.strengths, *row, strict=True)] for row in zip(u0, imbalance, strict=True)]
    even = [[theory.deep_time(0.5, x, u) for x in s.strengths] for u in runs.each("start")]
    return measures(
        runs,
        coords={"strength": s.strengths, "time": (at * s.lr).tolist()},
        **{name: ("run strength", s.lr * steps, "τ") for name, steps in when.items()},
        predicted=("run strength", np.array(half), "τ"),
        balanced=("run strength", np.array(even), "τ"),
        imbalance=("run strength", imbalance, "1"),
        held=("run time strength", held[:, at], "1"),
        off=("run", np.abs((held[:, at] - np.moveaxis(np.array(curve), 1, 2)) / np.array(s.strengths)).max((1, 2)), "share of the strength"),
        first=("run row column", factors.product(start), "1"),
    )


# --- what is compared ----------------------------------------------------------------------------------------------------


def order(arm, arms):
    """[run]: how many times later a mode is half learned than the next stronger one, for the nearest two."""
    later, earlier = arm.t50.isel(strength=slice(1, None)), arm.t50.isel(strength=slice(-1))
    return (later.drop_vars("strength") / earlier.drop_vars("strength")).min("strength", skipna=False)


def sharpness(arm, arms):
    """[run]: rise time, from 10 % to 90 %, over the time to one half, for the mode where it is longest."""
    return ((arm.t90 - arm.t10) / arm.t50).max("strength", skipna=False)


def missed(name):
    """[run]: by what share half times differ from those that theory gives, for the mode where they differ most."""
    return lambda arm, arms: abs(arm.t50 / arm[name] - 1).max("strength", skipna=False)


def apart(arm, arms):
    """[seed]: largest difference, over time, between what this arm and main hold of all modes, as a share of what there is to learn."""
    mine, main = (by(here(x)).held for x in (arm, arms["main"]))
    size = float(np.sqrt((main.strength.values**2).sum()))
    return np.sqrt(((mine - main) ** 2).sum("strength")).max("time") / size


def here(arm):
    """The runs at the start where arms are compared."""
    return arm.isel(run=(arm.start == START).values)


def next_seed(values):
    """Shift the numbers by one run, each run's those of the run after it."""
    return np.roll(values, -1, axis=0)


def knowing(arm, arms):
    """[run]: by what share theory misses half times over what it misses when it is given the next seed's start, worst modes."""
    own, other = (abs(arm.t50 / x - 1).max("strength", skipna=False) for x in (arm.predicted, arm.predicted.copy(data=next_seed(arm.predicted))))
    return own / other


def learned(arm):
    """Whether every mode came up to 90 % of its strength."""
    return bool(arm.t90.notnull().all())


def other_start(arms):
    """A derived arm: lopsided, with the times that theory gives for main, whose function is the same."""
    lopsided = arms["lopsided"]
    theirs = by(here(arms["main"])).predicted.sel(seed=lopsided.seed.values)
    return lopsided.assign(predicted=(lopsided.predicted.dims, theirs.values, lopsided.predicted.attrs))


def other_draw(of):
    """A derived arm: an arm's own times, with the course and the predicted times of the next seed."""

    def derive(arms):
        arm = here(arms[of])
        return arm.assign({name: (arm[name].dims, next_seed(arm[name].values), arm[name].attrs) for name in ("held", "predicted")})

    return derive


# --- what is exact -------------------------------------------------------------------------------------------------------


def by_hand(arms):
    """Strength 3, start .01, τ = 1: deep at .5, 1, 2; its half time and sharpness; shallow at 1; sharpness of a layer that starts at 0."""
    times = theory.deep(np.array([0.5, 1.0, 2.0]), 3, 0.01)
    single = float(theory.shallow(1.0, 3, 0.01)), theory.SHALLOW_SHARPNESS
    return [*times, theory.deep_time(0.5, 3, 0.01), theory.sharpness(3, 0.01), *single]


def same_start(arms):
    """Largest difference of an entry of the map at the start, between main and the arms that share it."""
    main = arms["main"]
    own = by(main.isel(run=(main.start == START).values)).first
    return max(float(abs(by(arms[n].isel(run=(arms[n].start == START).values)).first - own).max()) for n in ("shallow", "turned", "lopsided"))


def limits(arms):
    """Sharpness at imbalance 1,000 over that of one layer, at a start of 1e-6; and of a balanced mode over ln 81 / ln(s/u₀ − 1)."""
    split = theory.sharpness(3, 1e-6, 1e3) / theory.SHALLOW_SHARPNESS
    return [split, theory.sharpness(3, 1e-6) * np.log(3e6 - 1) / np.log(81)]


# --- what is drawn -------------------------------------------------------------------------------------------------------

NAMES = {"main": "two layers", "shallow": "one layer, same map", "lopsided": "two layers, same map, split unevenly"}


def figures(arms):
    return [in_time(arms), by_start(arms)]


def in_time(arms):
    """What is held of each mode along time, means over seeds: trained, in three panels."""
    rows = []
    for name, panel in NAMES.items():
        arm = arms[name].isel(run=(arms[name].start == START).values)
        rows += [
            (panel, f"strength {x:g}", float(t), *summary(arm.held.sel(strength=x, time=t).values))
            for x in arm.strength.values
            for t in arm.time.values[arm.time.values <= 4]
        ]
    return Figure(
        "From one and the same map: step by step, or all at once", columns(("network", "mode", "time", "mean", "low", "high"), rows), "line",
        x="time", y="mean", color="mode", facet="network", band=("low", "high"), x_title="time (τ: steps times rate)",
        y_title="what is held of the mode",
    )  # fmt: skip


def by_start(arms):
    """Rise time over half time by the start: trained, and as the curves of balanced layers say."""
    rows = []
    for name, panel in NAMES.items():
        for x in sorted(set(arms[name].start.values.tolist())):
            arm = arms[name].isel(run=(arms[name].start == x).values)
            rows.append((panel, x, *summary(((arm.t90 - arm.t10) / arm.t50).isel(strength=0).values)))
    top = float(arms["main"].strength[0])
    rows += [("balanced layers, in theory", float(x), theory.sharpness(top, float(x)), *[float("nan")] * 2) for x in np.geomspace(1e-3, 0.3, 15)]
    return Figure(
        "The smaller the start, the sharper the step, with two layers", columns(("network", "start", "mean", "low", "high"), rows), "line",
        x="start", y="mean", color="network", band=("low", "high"), x_log=True, x_title="what is held of the mode at the start",
        y_title="rise time over half time", rules=((theory.SHALLOW_SHARPNESS, "ln 9 / ln 2"),),
        note=f"The strongest mode, {top:g}.",
    )  # fmt: skip


# --- arms and claims -----------------------------------------------------------------------------------------------------


def plain(given):
    """Main's runs. Raises: SpecError where arms set a field, or where no run is at the start at which arms are compared."""
    starts = sorted({s.start for s in given})
    if START not in starts:
        got = ",".join(f"{x:g}" for x in starts)
        raise SpecError(f"DeepLinear.start must be {START:g} in some runs, where arms are compared: start={START:g},{got} and not start={got}")
    return reserved("layers", "split", "turned", "aligned")(given)


def at_start(**changes):
    """The runs at the start where arms are compared, with these changes."""
    return lambda specs: tuple(s.replace(**changes) for s in specs if s.start == START)


LEARNED = Gate("learned", learned)
HERE = {"where": {"start": START}, "gates": (LEARNED,), "published": "new"}
DEPTH = {"lopsided": "two layers do it, however the map is split between them"}
ANY_DRAW = "small random starts are all alike, and one draw will do for another"
BALANCED = {
    "turned": "two small random layers as well, in another basis",
    "aligned": "balanced layers along the modes, which the published curve describes",
    "redrawn": "main's own times; what is another seed's is not read here",
}
UNEVEN = {
    "shallow": "one layer is another split of the same map",
    "aligned-lopsided": "split unevenly as well",
    "lopsided-as-main": "lopsided's own course",
    "lopsided-redrawn": "the course of lopsided from another seed",
}

experiment = Experiment(
    arms={
        "main": Arm(train, specs=plain, note="two layers that start small and at random"),
        "shallow": Arm(train, specs=changed(layers=1), note="one layer that starts as the product of main's two: the same map"),
        "turned": Arm(train, specs=at_start(turned=True), note="main's layers with the hidden units in another basis: the same map, the same course"),
        "lopsided": Arm(train, specs=at_start(split=20.0), note="main's second layer times 20, the first over 20: the same map again"),
        "aligned": Arm(train, specs=at_start(aligned=True), note="balanced layers along the modes, as the published curves assume"),
        "aligned-lopsided": Arm(train, specs=at_start(aligned=True, split=20.0), note="the same, split unevenly"),
        "redrawn": Arm(derive=other_draw("main"), note="main, with the course and the predicted times of another seed's draw"),
        "lopsided-redrawn": Arm(derive=other_draw("lopsided"), note="lopsided, with those of another seed's draw"),
        "lopsided-as-main": Arm(derive=other_start, note="lopsided, with the times that theory gives for main"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Two layers learn one mode after another: each is half learned at least 1.1 times as late as the next stronger one",
            value=order, low=1.1, scale="log", unit="ratio of times", must_fail=("lopsided", "shallow"), near=DEPTH, also=BALANCED,
            threshold_from="theory: 1.27 for balanced layers, 1 for one layer", source=SAXE, **HERE,
        ),
        Claim(
            text="Each mode comes in a step: its rise from 10 % to 90 % takes at most 1.5 times as long as it takes to one half",
            value=sharpness, high=1.5, scale="log", unit="ratio of times", must_fail=("lopsided", "shallow"), near=DEPTH, also=BALANCED,
            threshold_from="theory: ln 81 / ln(s/u₀ − 1), 0.73 to 0.96, for balanced layers; ln 9 / ln 2 = 3.17 for one", source=SAXE, **HERE,
        ),
        Claim(
            text="The closed form knows the draw: it misses half times by at most half of what it misses from another seed's start",
            value=knowing, high=0.5, scale="log", unit="share of the other's error", must_fail=("redrawn",), near={"redrawn": ANY_DRAW},
            also={"turned": BALANCED["turned"], "lopsided": "its closed form knows the draw as well, imbalance included"},
            threshold_from="pilot: seeds 0–15, .25; redrawn .72", source=SAXE, **HERE,
        ),
        Claim(
            text="The same map, split unevenly, takes another course: at some time it differs by at least 0.2 of all there is to learn",
            of="lopsided", value=apart, low=0.2, unit="share of what is learned", must_fail=("redrawn",), near={"redrawn": "any other start does"},
            also=UNEVEN, threshold_from="pilot: seeds 0–7, .91 to .92", source=SEED, **HERE,
        ),
        Claim(
            text="With the imbalance in it the closed form covers uneven layers too: half times within 10 % of it",
            of="lopsided", value=missed("predicted"), high=0.1, scale="log", unit="share of the time",
            must_fail=("lopsided-redrawn", "lopsided-as-main"), near={"lopsided-redrawn": ANY_DRAW},
            also={"main": "the closed form is for any imbalance, and a small one is easier", "turned": "like main",
                  "aligned": "without randomness", "aligned-lopsided": "without randomness",
                  "redrawn": "draws of small balanced layers differ by less than this threshold"},
            threshold_from="pilot: seeds 0–7, .03 to .06", source=SAXE + "; with ‖a + b‖² as a logistic curve", **HERE,
        ),
        Exact(
            text="Strength 3 from 0.01: two layers at times .5, 1, 2; half time; rise over half time; one layer at 1; its rise over half time from 0",
            value=by_hand, expected=(0.188842, 1.723002, 2.994499, 0.950074, 0.770896, 1.900040, 3.169925), tolerance=1e-6, source=SAXE,
        ),
        Exact(
            text="A large imbalance makes two layers as gradual as one; none gives the published ratio: both over what is expected",
            value=limits, expected=(1.0, 1.0), tolerance=0.01, source="arithmetic",
        ),
        Exact(
            text="Balanced layers along the modes follow the closed form, and so do uneven ones: largest deviation as a share of the strength",
            value=lambda arms: [float(arms[name].off.max()) for name in ("aligned", "aligned-lopsided")], expected=(0.0, 0.0),
            tolerance=0.02, source=SAXE + "; steps of .0025 τ",
        ),
        Exact(
            text="All start as the same map: largest difference of an entry from main's",
            value=same_start, expected=0.0, tolerance=1e-12, source="W₂ W₁ = (c W₂ R)(Rᵀ W₁ / c)",
        ),
        Exact(
            text="Another basis between the layers changes no course: largest difference from main's, as a share of what there is to learn",
            value=lambda arms: float(apart(arms["turned"], arms).max()), expected=0.0, tolerance=1e-9, unit="share of what is learned",
            source="gradients turn as the layers do",
        ),
        Finding(
            text="The course of one layer differs from main's, which starts as the same map, by this share of all there is to learn",
            value=lambda arms: apart(arms["shallow"], arms), unit="share of what is learned", published="new", source=SEED,
        ),
        Finding(
            text="From small random layers the closed form misses half times by this share",
            value=lambda arms: missed("predicted")(arms["main"], arms), where={"start": START}, unit="share of the time", published="new",
            source=SAXE,
        ),
        Finding(
            text="From starts of 0.001 half times differ by this share from those of balanced layers that hold as much",
            value=lambda arms: missed("balanced")(arms["main"], arms), where={"start": 0.001}, unit="share of the time", published="new",
            source=SAXE,
        ),
        Finding(
            text="From starts of 0.3, where small and balanced is no longer true, by this share",
            value=lambda arms: missed("balanced")(arms["main"], arms), where={"start": 0.3}, unit="share of the time", published="new",
            source=SAXE,
        ),
        Finding(
            text="In narrow layers modes overlap; with as many hidden units as here the closed form still misses this share of half times from 0.3",
            value=lambda arms: missed("predicted")(arms["main"], arms), where={"start": 0.3}, unit="share of the time", published="new",
            source="the closed form takes modes one by one",
        ),
    ),
    figures=figures,
    scope="modes of strength 4, 3, 2 and 1 in maps of 10 × 10, whitened inputs, 100 hidden units, full gradient descent",
    seeds_per_group=16,
    smoke=grid(DeepLinear(steps=1_000, lr=0.008), start=(0.001, START, 0.3), seed=range(2)),
    default=grid(DeepLinear(), start=(0.001, START, 0.1, 0.3), seed=range(3000, 3064)),
    full=grid(DeepLinear(size=32, hidden=1_024, lr=0.001, steps=8_000), start=(0.001, START, 0.1, 0.3), seed=range(3000, 3016)),
)  # fmt: skip
