"""Superposition by stages: where training of a toy model stands still, and how complex each state is.

Paper: Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition, Chen et al. 2023
Claim: training ends at polygons of known loss; a hexagon is more complex than a pentagon, but a lower loss does not always cost complexity
Baselines: random losses; linear, without ReLU; turned, hexagons for every state; shuffled labels; pulled, chains held too tightly
Cost: 37 s on 2 cores, 65 CPU-seconds, 0.41 GB a process; full a guess of 2 GPU-hours, never run
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata

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
    Trained,
    changed,
    columns,
    descent,
    fit,
    grid,
    reserved,
    rng,
    summary,
)
from assay.core.errors import SpecError
from assay.core.fit import watched
from assay.core.langevin import n_beta_of
from assay.core.measures import by, measures
from assay.core.stats import correlation, products
from assay.subjects import one_hot
from assay.theory import polygons, stages
from assay.theory.learning_coefficient import stationary_quadratic

CHEN = "Chen et al. 2023, Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition"
LAU = "Lau et al. 2023, The Local Learning Coefficient"
STATES = ("5", "5+", "6")
"""Minima at which the loss is smooth: half the rank of its Hessian is the learning coefficient."""
WITHIN = 0.01
"""Share of a level within which a loss is at it."""
SADDLE = -1e-3
"""Where the lowest curvature is below this, the loss curves down: no minimum."""
STEEPEST = 2.0
"""The largest curvature there is at these states: of the bias of a column that is always on."""
MOMENTS = ("end", "left")
"""Where a training ended, and the last plateau that it left, or what stands in its place."""
CHAINS = 2
"""Chains at each of these."""
BLOCKS = 100
"""Draws are a multiple of this."""


@dataclass(frozen=True, kw_only=True)
class SuperpositionLLC(Spec):
    state: PerRun[str] = ""
    """A polygon that chains start at, such as "5+"; empty: a model is trained."""
    columns: int = 6
    """Features of the model, each a column of the weights, in two dimensions."""
    around: str = ""
    """The polygon that starts scatter around; empty: around no weights and biases at all."""
    start: float = 0.05
    """Standard deviation of the weights at the start."""
    bias: float = 0.0
    """The same of the biases."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    lr: float = 0.1
    """Rate of gradient descent, stable below 1."""
    steps: int = 6_000
    """Training steps."""
    data: int = 0
    """Inputs that each run draws once and trains on; 0: all of them, by the expected loss in closed form."""
    batch: int = 100
    """Of these, inputs a step."""
    samples: int = 1_000_000
    """n in n/ln n, the inverse temperature of the chains; no data are drawn for them."""
    localisation: float = 100.0
    """Strength of the pull towards the state that a chain starts at."""
    step: float = 1e-6
    """The chains' step, the variance of their noise."""
    draws: int = 8_000
    """Steps of a chain, the burn-in included; a multiple of 100."""
    burn: int = 2_000
    """Steps of the burn-in."""
    instead: str = ""
    """The polygon that chains start at in place of every state, each turned another way."""
    beside: str = ""
    """Where chains start beside the end of a training: "left", the last plateau that it left; "end", there once more."""
    replicate: int = 0
    """Another independent draw of the same chains: shifts every seed."""

    def check(self) -> None:
        from assay.theory import polygons

        for name in (self.state, self.around, self.instead):
            polygons.named(name or "0", self.columns)
        if self.beside not in ("", "left", "end"):
            raise SpecError(f'SuperpositionLLC.beside is "left", "end" or nothing, got {self.beside!r}')
        for field, least in {"columns": 3, "steps": 2, "data": 0, "batch": 1, "samples": 2, "burn": 0}.items():
            if getattr(self, field) < least:
                raise SpecError(f"SuperpositionLLC.{field} must be at least {least}, got {getattr(self, field)}")
        for field in ("start", "bias"):
            if getattr(self, field) < 0:
                raise SpecError(f"SuperpositionLLC.{field} must be at least 0, got {getattr(self, field):g}")
        if not self.localisation > 0:
            raise SpecError("SuperpositionLLC.localisation, the pull towards the state, must be above 0: without it chains wander off along "
                            f"what the loss leaves free, got {self.localisation:g}")  # fmt: skip
        if not 0 < self.lr < 1:
            raise SpecError(
                f"SuperpositionLLC.lr must be above 0 and below 1, where gradient descent becomes unstable, got {self.lr:g}"
            )
        if self.draws % BLOCKS or not self.burn < self.draws:
            raise SpecError(f"SuperpositionLLC.draws is a multiple of {BLOCKS} above burn={self.burn}, got {self.draws}")
        stiff = self.samples / math.log(self.samples) * STEEPEST + self.localisation
        if not 0 < self.step * stiff < 4:
            raise SpecError(f"SuperpositionLLC.step must be above 0 and below {4 / stiff:.3g}, where the steepest direction becomes unstable, "
                            f"got {self.step:g}")  # fmt: skip


# --- what is trained ---------------------------------------------------------------------------------------------------


def train(runs, bench):
    s = runs.shared
    params = one_hot.start(runs, s.columns, s.start, s.bias)
    if s.around:
        centre = polygons.weights(polygons.named(s.around, s.columns), s.columns, dead=0.0)
        params = {k: v + torch.from_numpy(centre[k]) for k, v in params.items()}

    def loss(p, batch):
        return one_hot.batch_loss(p, batch, s.relu) if s.data else one_hot.potential(p, s.relu)

    batches = one_hot.batches(runs, s.columns, s.data, s.batch) if s.data else lambda step: None
    group = watched(descent(runs, params, loss, lr=np.full(len(runs), s.lr), plain=True), ("W", "b"), stages.moments(s.steps))
    return fit([group], batches, steps=s.steps, bench=bench)[0]


def knobs(s):
    """The chains' settings, by name."""
    return {name: getattr(s, name) for name in ("samples", "localisation", "step", "draws", "burn", "relu")}


def at_polygons(runs, bench):
    """A chain for each run, at the polygon that it names."""
    s = runs.shared
    states = [polygons.named(name, s.columns) for name in runs.each("state").tolist()]
    seeds = runs.replicated().seeds * 100 + np.array([10 * p.sides + p.positive for p in states])
    if s.instead:
        states = [polygons.named(s.instead, s.columns)] * len(states)
    centre = stages.exact(states, s.columns, turns=seeds if s.instead else None)
    found, diverged = stages.sample(seeds, {k: v.to(bench.device) for k, v in centre.items()}, **knobs(s), bench=bench)
    return Trained(centre | found, {}, {}, np.array([], int), diverged)


def at_plateaus(runs, bench, before):
    """Chains at the end of each training, and, if asked, at the last plateau that it left, or its end where it left none."""
    s = runs.shared
    last, left = stages.last_left(before, s.steps, s.relu)
    end = np.full(len(runs), len(stages.moments(s.steps)) - 1)
    states = stages.at(before, np.stack([end, *{"": [], "left": [last], "end": [end]}[s.beside]], 1))
    found, diverged = stages.sample_each(runs.replicated().seeds * 10_000 + 7_000, states, CHAINS, **knobs(s), bench=bench)
    return Trained(states | found | {"left": left}, {}, {}, np.array([], int), diverged | before.diverged)


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    return of_training(runs, trained) if "W/at" in trained.tensors else of_chains(runs, trained)


def of_training(runs, trained):
    s = runs.shared
    loss, (middle, left) = stages.losses(trained, s.relu), stages.standing(trained, s.steps, s.relu)
    sides, positive, off = polygons.nearest(loss[:, -1], s.columns)
    low = stages.curvatures(stages.at(trained, middle), s.relu)[..., 0]
    return measures(
        runs,
        coords={"time": stages.moments(s.steps)},
        loss=("run time", loss, "squared input"),
        off=("run", off, "share of the level"),
        sides=("run", sides, "sides"),
        positive=("run", positive, "columns"),
        lowest=("run plateau", np.where(middle < 0, np.nan, low), "squared input"),
        left=("run plateau", left, "bool"),
        W=("run column axis", trained.tensors["W"], "1"),
        b=("run column", trained.tensors["b"], "input"),
    )


def of_chains(runs, trained):
    s, t = runs.shared, trained.tensors
    dims, coords = ("run moment", {"moment": MOMENTS[: t["llc"].shape[1]]}) if t["llc"].ndim > 1 else ("run", {})
    low = stages.curvatures(t, s.relu)
    at = one_hot.potential({"W": t["W"].flatten(0, -3), "b": t["b"].flatten(0, -2)}, s.relu).view(t["llc"].shape).cpu().numpy()
    sides, positive, off = polygons.nearest(at, s.columns)
    left = {"left": ("run", t["left"], "bool")} if "left" in t else {}
    return measures(
        runs,
        coords=coords,
        **left,
        llc=(dims, t["llc"], "1"),
        moved=(dims, t["moved"], "1"),
        accepted=(dims, t["accepted"], "share of steps"),
        at=(dims, at, "squared input"),
        sides=(dims, np.where(abs(off) <= WITHIN, sides, np.nan), "sides"),
        positive=(dims, positive, "columns"),
        lowest=(dims, low[..., 0], "squared input"),
        curved=(dims, (low > stages.CURVED).sum(-1).astype(float), "directions"),
        expected=(dims, stationary_quadratic(low.clip(0), n_beta_of(s.samples), s.localisation, s.step), "1"),
    )


# --- what is compared --------------------------------------------------------------------------------------------------


def at_a_level(arm, arms):
    """[run]: 1 where the final loss lies within 1 % of a level of the table, else 0."""
    return (abs(arm.off) <= WITHIN).astype(float)


def rise(high, low):
    """[seed]: by how much the estimate at one state is above that at another."""
    return lambda arm, arms: by(arm, "state").llc.sel(state=high, drop=True) - by(arm, "state").llc.sel(state=low, drop=True)


def each_state(arm, arms):
    """The estimates at each state, and half the rank of its Hessian, as terms over seeds."""
    cube = by(arm, "state")
    return {f"{what}{s}": x.sel(state=s, drop=True) for s in STATES for what, x in (("llc", cube.llc), ("half", cube.curved / 2))}


def worst(m):
    """[draw]: the largest of the states' relative differences between mean estimate and half the rank."""
    return np.max([abs(m[f"llc{s}"] / m[f"half{s}"] - 1) for s in STATES], axis=0)


def ranks(arm, arms):
    """Terms of a rank correlation of loss and estimate over the ends that are smooth minima: five sides or more."""
    end = by(arm).sel(moment="end", drop=True)
    end = end.isel(seed=(end.sides >= 5).values)
    ranked = [end.llc.copy(data=rankdata(x)) for x in (np.round(end["at"].values, 5), end.llc.values)]
    return products(*ranked)


def negative(arm, arms):
    """[seed]: 1 where the estimate at the last plateau that training left is below 0, else 0; only of runs that left one."""
    runs = by(arm)
    return (runs.llc.sel(moment="left", drop=True) < 0).astype(float).where(runs.left)


def climb(arm, arms):
    """[seed]: by how much the estimate rises from the last plateau that training left to its end; only where no direction curves
    down at that plateau."""
    runs = by(arm)
    end, before = (runs.sel(moment=m, drop=True) for m in MOMENTS)
    return (end.llc - before.llc).where(runs.left & (before.lowest >= SADDLE))


def sound(arm):
    """Whether the chains of every state hold still, within three standard errors, with at least half of their steps accepted."""
    arm = arm.sel(moment="end") if "moment" in arm.dims else arm
    groups = [arm.isel(run=(arm.state == s).values) for s in np.unique(arm.state)]
    still = [abs(g.moved.mean()) <= 3 * g.moved.std(ddof=1) / np.sqrt(g.sizes["run"]) for g in groups]
    return all(map(bool, still)) and bool((arm.accepted.mean() >= 0.5).all())


def stable_plateaus(name):
    """[run]: plateaus of a training at which no direction curves down."""
    return lambda arms: (arms[name].lowest >= SADDLE).sum("plateau").astype(float)


# --- arms made from others ---------------------------------------------------------------------------------------------


def random_levels(arms):
    """main, with final losses drawn evenly between .04 and .30."""
    arm = arms["main"]
    drawn = 0.04 + 0.26 * rng.uniform(arm.seed.values, "superposition-llc.random", 0, ()).astype(float)
    return arm.assign(off=("run", polygons.nearest(drawn, arm.attrs["columns"])[-1]))


def mixed(arms):
    """polygons, where of every two seeds one has both estimates at 5 and the other both at 6: labels dealt so that neither has more."""
    arm = arms["polygons"].copy(deep=True)
    at = {s: np.flatnonzero(arm.state == s) for s in ("5", "6")}
    for i in range(0, len(at["5"]) - 1, 2):
        first, second = at["6"][i], at["5"][i + 1]
        arm.llc.values[[first, second]] = arm.llc.values[[second, first]]
    return arm


def dealt_anew(arms):
    """ends, with the estimates dealt to other seeds at random."""
    arm = arms["ends"]
    order = rng.permutation(np.array([0]), "superposition-llc.dealt", 0, arm.sizes["run"])[0]
    return arm.assign(llc=arm.llc.copy(data=arm.llc.values[order]))


def shaped(**fields):
    """The chains' specs: each state once for every seed."""
    return lambda specs: grid(specs[0].replace(**fields), state=STATES, seed=sorted({s.seed for s in specs}))


def halved(specs):
    return tuple(s.replace(steps=max(2, s.steps // 2)) for s in specs)


def wide(specs):
    """Weights and biases of standard deviation 1, and twice as many seeds."""
    seeds = sorted({s.seed for s in specs})
    return grid(specs[0].replace(start=1.0, bias=1.0, around=""), seed=range(seeds[0], seeds[0] + 2 * len(seeds)))


def finer(specs):
    """Half the step, twice as many of them."""
    return tuple(s.replace(step=s.step / 2, draws=2 * s.draws, burn=2 * s.burn) for s in specs)


# --- what is drawn -----------------------------------------------------------------------------------------------------


def falling(main):
    ends, levels = polygons.called(main.sides, main.positive), polygons.table(main.attrs["columns"])
    none = "0" + "+" * main.attrs["columns"]
    rows = [
        (f"ends at {end}", which, float(t), float(loss))
        for end in sorted(set(ends), key=levels.__getitem__, reverse=True)
        for run, which in zip([i for i, e in enumerate(ends) if e == end], ("first seed", "second", "third"), strict=False)
        for t, loss in zip(main.time.values, main.loss.values[run], strict=True)
        if t >= 10
    ]
    named = sorted({*ends, none}, key=levels.__getitem__)
    return Figure(
        "The loss stands near no weights at all, falls, and stops at the level of a polygon", columns(("end", "seed", "step", "loss"), rows),
        "line", x="step", y="loss", color="seed", facet="end", x_log=True, y_log=True, x_title="step of gradient descent, from 10 on",
        y_title="expected loss (squared input)", rules=tuple((levels[n], "no weights" if n == none else n) for n in named),
        note="Dashed: exact levels of the states that occur; + marks a dead column with a positive bias.",
    )  # fmt: skip


def shapes(arms):
    """The columns of one trained model for each state that trainings end at, the six of lowest loss."""
    named = {name: polygons.called(arms[name].sides, arms[name].positive) for name in ("wide", "main")}
    seen = {end: (arms[name], i) for name, ends in named.items() for i, end in enumerate(ends)}
    rows = []
    for end in [name for name in polygons.table(arms["main"].attrs["columns"]) if name in seen][:6]:
        W, b = (seen[end][0][k].values[seen[end][1]] for k in "Wb")
        rows += [(f"state {end}", kind, float(x), float(y)) for kind, (x, y) in zip(polygons.roles(W, b), W, strict=True)]
    return Figure(
        "Trained columns are corners of a polygon, or dead", columns(("state", "column", "x", "y"), sorted(rows, key=lambda row: row[1])),
        "points", x="x", y="y", color="column", facet="state", x_title="weight to the first hidden unit", y_title="weight to the second",
    )  # fmt: skip


def estimates(arms):
    """Mean estimates at the smooth minima: exact, reached by training, and of chains that are held too tightly."""
    levels = polygons.table(arms["main"].attrs["columns"])
    end = {name: arms[name].sel(moment="end") for name in ("along", "ends")}
    rows = []
    for state in STATES:
        found = {"exact state": by(arms["polygons"], "state").llc.sel(state=state)}
        found |= {
            f"ends of {start} starts": end[name].llc[[s == state for s in polygons.called(end[name].sides, end[name].positive)]]
            for name, start in (("ends", "wide"), ("along", "small"))
        }
        found["exact, held too tightly"] = by(arms["pulled"], "state").llc.sel(state=state)
        rows += [(f"{state}: {levels[state]:.3f}", label, *summary(x.values)) for label, x in found.items()]
    return Figure(
        "Among smooth minima a lower loss costs complexity from 5 to 5+, not from 5+ to 6",
        columns(("state", "chains", "mean", "low", "high"), rows), "bars", x="state", y="mean", color="chains", band=("low", "high"),
        x_title="state: its loss (squared input)", y_title="mean estimate of the LLC", rules=((7.0, "7"), (8.5, "8.5")),
        note="Dashed: half the rank of the Hessian, 7 at 5 and 8.5 at 5+ and 6.",
    )  # fmt: skip


# --- arms and claims ---------------------------------------------------------------------------------------------------


PILOT = "pilot: seeds 0–63, "

experiment = Experiment(
    arms={
        "main": Arm(
            train, specs=reserved("state", "instead", "beside", "replicate"),
            note="gradient descent on the expected loss, six columns, weights near 0 at the start",
        ),
        "main-half": Arm(train, specs=halved, note="main, half as long"),
        "wide": Arm(train, specs=wide, note="the same from weights and biases of standard deviation 1, twice as many seeds"),
        "wide-half": Arm(train, specs=lambda specs: halved(wide(specs)), note="wide, half as long"),
        "linear": Arm(train, specs=changed(relu=False), note="main without ReLU: it stops at a level of its own"),
        "random": Arm(derive=random_levels, note="main, with final losses drawn evenly from .04 to .30"),
        "polygons": Arm(at_polygons, specs=shaped(), note="chains at the exact states 5, 5+ and 6, one for each seed"),
        "polygons-fine": Arm(at_polygons, specs=lambda specs: finer(shaped(replicate=1)(specs)), note="half the chains' step, twice the draws"),
        "turned": Arm(at_polygons, specs=shaped(instead="6", replicate=2), note="turned hexagons for all states, on chains of their own"),
        "pulled": Arm(at_polygons, specs=shaped(localisation=3e4, replicate=3), note="chains held 300 times as tightly: too tight to roam"),
        "mixed": Arm(derive=mixed, note="polygons, labels 5 and 6 dealt anew between every two seeds"),
        "along": Arm(at_plateaus, specs=changed(beside="left"), after="main", note="chains at the last plateau that main left and at its end"),
        "stayed": Arm(at_plateaus, specs=changed(beside="end", replicate=4), after="main", note="own chains, all of them at the end"),
        "ends": Arm(at_plateaus, after="wide", note="chains at the ends of wide, which have two to six sides"),
        "ends-fine": Arm(at_plateaus, specs=finer, after="wide", note="half the chains' step, twice the draws"),
        "dealt": Arm(derive=dealt_anew, note="ends, estimates dealt to other seeds"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Training stops at critical points: at least 0.9 of the final losses lie within 1 % of a level of the table",
            value=at_a_level, low=0.9, unit="share of seeds", must_fail=("random", "linear"), half={"main": "main-half"},
            threshold_from="plan, before the pilot; 1 % in place of 3 %, within which half of all random losses lie", published="new", source=CHEN,
        ),
        Claim(
            text="From wide starts, too: at least 0.9 of the final losses lie within 1 % of a level",
            of="wide", value=at_a_level, low=0.9, unit="share of seeds", must_fail=("random", "linear"), half={"wide": "wide-half"},
            threshold_from="plan, before the pilot", published="new", source=CHEN,
        ),
        Claim(
            text="What training leaves is no minimum: at the plateau near no weights, which every run leaves, the LLC estimate is negative "
                 "in at least 0.9 of the seeds",
            of="along", value=negative, low=0.9, unit="share of seeds", must_fail=("stayed",),
            threshold_from="theory: gradient descent does not leave a minimum; a tenth for plateaus that chains do not leave in time",
            published="new", source=LAU,
        ),
        Claim(
            text="Along one training the LLC rises: from the last plateau left, where that is a stable state, to the end by at least 0.5",
            of="along", value=climb, low=0.5, unit="1", must_fail=("stayed",), gates=(Gate("sound", sound),),
            threshold_from="plan: as from pentagon to hexagon", published="new", source=CHEN,
        ),
        Claim(
            text="At smooth minima chains give half the rank of the Hessian: mean estimates at 5, 5+ and 6 all within 5 %",
            of="polygons", value=each_state, statistic=worst, high=0.05, unit="share of half the rank", must_fail=("pulled",),
            gates=(Gate("sound", sound),), half={"polygons": "polygons-fine"},
            threshold_from=PILOT + ".024; plan: step-size bias up to 6 %", published="new", source=LAU,
        ),
        Claim(
            text="A lower loss can cost complexity: the LLC estimate at the hexagon is above the pentagon's by at least 0.5",
            of="polygons", value=rise("6", "5"), low=0.5, unit="1", must_fail=("turned", "mixed"), gates=(Gate("sound", sound),),
            half={"polygons": "polygons-fine"}, threshold_from="plan, before the pilot: a third of the difference of the ranks' halves",
            published="new", source=CHEN,
        ),
        Claim(
            text="It always does: also above 5+, whose loss is higher than the hexagon's, the hexagon's estimate lies by at least 0.5",
            of="polygons", value=rise("6", "5+"), low=0.5, unit="1", must_fail=("turned",), gates=(Gate("sound", sound),),
            half={"polygons": "polygons-fine"}, threshold_from="plan: as for the pentagon", published="new", source=CHEN,
        ),
        Claim(
            text="Between trainings lower goes with more complex: rank correlation of loss and estimate, ends of five sides or more, at most −0.5",
            of="ends", value=ranks, statistic=correlation, high=-0.5, unit="1", must_fail=("dealt",), gates=(Gate("sound", sound),),
            half={"ends": "ends-fine"}, threshold_from=PILOT + "−.84 [−.91, −.75]; twice the seeds after a look at seeds 1000–1063",
            published="new", source=CHEN,
        ),
        Exact(
            text="Losses of 4, 4+, 4++, 5, 5+ and 6 among six columns",
            value=lambda arms: stages.exactly(6, ("4", "4+", "4++", *STATES))[0], unit="squared input",
            expected=[0.11111, 0.10417, 0.09722, 0.06874, 0.06180, 0.04819], tolerance=6e-6, source="by quadrature",
        ),
        Exact(
            text="Every state of the table, six columns or eight, is a critical point: largest slope",
            value=lambda arms: [float(stages.exactly(c)[1].max()) for c in (6, 8)], expected=0.0, tolerance=1e-9, source="symmetry",
        ),
        Exact(
            text="Half the rank of the Hessian at 5, 5+ and 6 of six columns, and at 7 and 8 of eight",
            value=lambda arms: [*stages.exactly(6, STATES)[2], *stages.exactly(8, ("7", "8"))[2]],
            expected=[7.0, 8.5, 8.5, 10.0, 11.5], tolerance=0.0,
            source="3 parameters a column that is not dead and off, less one for the rotation, over 2",
        ),
        Exact(
            text="Half the number of parameters is the same at 5, 5+ and 6: it tells no state from another",
            value=lambda arms: [3 * arms["polygons"].attrs["columns"] / 2] * len(STATES), expected=9.0, tolerance=0.0, source="arithmetic",
        ),
        *[
            Finding(
                text=f"Plateaus of one training from a {start} start at which no direction curves down",
                value=stable_plateaus(name), unit="plateaus", source=CHEN,
            )
            for start, name in (("small", "main"), ("wide", "wide"))
        ],
        Finding(
            text="LLC estimate at the last plateau that a small start leaves, as it comes out: where the loss slopes down it means nothing",
            value=lambda arms: by(arms["along"]).llc.sel(moment="left", drop=True), source=LAU,
        ),
        Finding(
            text="Estimates at 5, 5+ and 6 over what chains on parabolas of their curvatures give, step and localisation included: mean",
            value=lambda arms: (lambda cube: (cube.llc / cube.expected).mean("state"))(by(arms["polygons"], "state")), unit="ratio", source=LAU,
        ),
    ),
    figures=lambda arms: [falling(arms["main"]), estimates(arms), shapes(arms)],
    scope="six columns in two dimensions, one-hot inputs, the expected loss; chains of two states differ in their noise, not in their state",
    seeds_per_group=64,
    smoke=grid(SuperpositionLLC(steps=300, draws=200, burn=100), seed=range(8)),
    default=grid(SuperpositionLLC(), seed=range(2000, 2064)),
    full=grid(SuperpositionLLC(around="4", start=0.01, data=1_000, batch=16, lr=0.5, steps=100_000), seed=range(1000, 3000)),
)  # fmt: skip
