"""Superposition by stages: where training of a toy model stands still, and how complex each state is.

Paper: Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition, Chen et al. 2023
Claim: training ends at polygons of known loss; a finite sample, not noise, carries it from squares to pentagons, at equal complexity
Baselines: random losses; linear, without ReLU; noise without a finite sample; trainings that stay; chains held too tightly; estimates dealt anew
Cost: 62 s on 2 cores, 110 CPU-seconds, 0.45 GB a process; full a guess of 2 GPU-hours, never run
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
    Published,
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
from assay.worlds.bottleneck import one_hot, polygons, stages
from assay.worlds.potentials.learning_coefficient import stationary_quadratic

CHEN = "Chen et al. 2023, Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition"
LAU = "Lau et al. 2023, The Local Learning Coefficient"
PRINTED = {"5": 7.71, "5+": 9.91, "6": 9.03}
"""Estimates that Chen et al. print for 5,000 data points."""
STATES = ("5", "5+", "6")
"""Minima at which the loss is smooth: half the rank of its Hessian is the learning coefficient."""
WITHIN = 0.01
"""Share of a level within which a loss is at it."""
SADDLE = -1e-3
"""Where the lowest curvature is below this, the loss curves down: no minimum."""
STEEPEST = 2.0
"""The largest curvature there is at these states: of the bias of a column that is always on."""
MOMENTS = ("end", "left")
"""Where a training ended, and the state of fewer sides that it left last, or in its place the one half way."""
CHAINS = 2
"""Chains at each of these."""
BLOCKS = 100
"""Draws are a multiple of this."""


@dataclass(frozen=True, kw_only=True)
class SuperpositionLLC(Spec):
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
    passing: bool = False
    """Whether noise is taken out of the end, and chains also start at the state of fewer sides that a training left last."""
    replicate: int = 0
    """Another independent draw of the same chains: shifts every seed."""

    def check(self) -> None:
        from assay.worlds.bottleneck import polygons

        polygons.named(self.around or "0", self.columns)
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


def at_ends(runs, bench, before):
    """Chains at the end of each training; if asked, with the noise taken out, and at the state that it left last as well."""
    s = runs.shared
    end = np.full(len(runs), len(stages.moments(s.steps)) - 1)
    left, moments = np.zeros(len(runs), bool), [end]
    if s.passing:
        _, last, left = stages.passages(before, s.steps, s.columns)
        moments += [last]
    states = stages.at(before, np.stack(moments, 1))
    if s.passing:
        states = stages.settled(states)
    found, diverged = stages.sample_each(runs.replicated().seeds * 10_000 + 7_000, states, CHAINS, **knobs(s), bench=bench)
    return Trained(states | found | {"left": torch.from_numpy(left)}, {}, {}, np.array([], int), diverged | before.diverged)


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    if "W/at" not in trained.tensors:
        return of_chains(runs, trained)
    return of_passages(runs, trained) if runs.shared.around else of_training(runs, trained)


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


def of_passages(runs, trained):
    """Of trainings that start around a polygon: the sides of the states that they are in, noise taken out, and whether they got more."""
    s = runs.shared
    sides, _, more = stages.passages(trained, s.steps, s.columns)
    times = stages.moments(s.steps)[-sides.shape[1] :]
    return measures(runs, coords={"time": times}, sides=("run time", sides, "sides"), passed=("run", more.astype(float), "bool"))


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


def passed(arm, arms):
    """[run]: 1 where training passed to a state of more sides than before, else 0."""
    return arm.passed


def ended(arm):
    """[seed]: measures at the ends of trainings that are smooth minima: five sides or more."""
    end = by(arm).sel(moment="end", drop=True)
    return end.isel(seed=(end.sides >= 5).values)


def at_state(arm, name):
    """[seed]: the estimate at the ends that are this state."""
    end = ended(arm)
    return end.llc.where(np.array(polygons.called(end.sides, end.positive)) == name)


def over_half(arm, arms):
    """[seed]: the estimate over half the rank of the Hessian, at those ends."""
    return ended(arm).llc / (ended(arm).curved / 2)


def ranks(arm, arms):
    """Terms of a rank correlation of loss and estimate over those ends."""
    end = ended(arm)
    ranked = [end.llc.copy(data=rankdata(x)) for x in (np.round(end["at"].values, 5), end.llc.values)]
    return products(*ranked)


def climb(arm, arms):
    """[seed]: by how much the estimate rises from the state that training left last to its end; only of runs that left one."""
    runs = by(arm)
    end, before = (runs.llc.sel(moment=m, drop=True) for m in MOMENTS)
    return (end - before).where(runs.left)


def in_use(arm):
    """[seed]: how many columns more are in use at the end than before: corners, and dead ones with a bias above 0."""
    runs = by(arm)
    end, before = ((runs.sides + runs.positive).sel(moment=m, drop=True) for m in MOMENTS)
    return end - before


def kept_in_use(arm, arms):
    """[seed]: 1 where as many columns are in use at the end as in the state that was left, else 0; only of runs that left one."""
    return (in_use(arm) == 0).astype(float).where(by(arm).left)


def sound(arm):
    """Whether the chains hold still, within three standard errors, with at least half of their steps accepted, at every moment."""
    still = abs(arm.moved.mean("run")) <= 3 * arm.moved.std("run", ddof=1) / np.sqrt(arm.sizes["run"])
    return bool(still.all()) and bool((arm.accepted.mean("run") >= 0.5).all())


def stable_plateaus(name):
    """[run]: plateaus of a training at which no direction curves down."""
    return lambda arms: (arms[name].lowest >= SADDLE).sum("plateau").astype(float)


# --- arms made from others ---------------------------------------------------------------------------------------------


def random_levels(arms):
    """main, with final losses drawn evenly between .04 and .30."""
    arm = arms["main"]
    drawn = 0.04 + 0.26 * rng.uniform(arm.seed.values, "superposition-llc.random", 0, ()).astype(float)
    return arm.assign(off=("run", polygons.nearest(drawn, arm.attrs["columns"])[-1]))


def dealt_anew(of, name):
    """An arm of chains, with this measure dealt to other runs at random."""

    def derived(arms):
        arm = arms[of]
        order = rng.permutation(np.array([0]), f"superposition-llc.{of}", 0, arm.sizes["run"])[0]
        return arm.assign({name: arm[name].copy(data=arm[name].values[order])})

    return derived


def remained(arms):
    """passing, of the trainings that did not pass: the state half way in the place of one that was left."""
    return arms["passing"].assign(left=~arms["passing"].left)


def exchanged(arms):
    """passing, where the state that each training left is that of another training which left one."""
    arm = arms["passing"].copy(deep=True)
    runs = np.flatnonzero(arm.left.values)
    order = rng.permutation(np.array([0]), "superposition-llc.exchanged", 0, len(runs))[0]
    for name in ("llc", "sides", "positive"):
        arm[name].values[runs, 1] = arm[name].values[runs[order], 1]
    return arm


def halved(specs):
    return tuple(s.replace(steps=max(2, s.steps // 2)) for s in specs)


def twice_the_seeds(**changes):
    """The specs with these changes, and twice as many seeds."""

    def specs(main):
        seeds = sorted({s.seed for s in main})
        return grid(main[0].replace(**changes), seed=range(seeds[0], seeds[0] + 2 * len(seeds)))

    return specs


wide = twice_the_seeds(start=1.0, bias=1.0)


def squares(seeds=lambda main: main, **changes):
    """The same from squares, for twice as many steps."""

    def specs(main):
        for name in STATES:  # refused before training where there are too few columns to pass to them
            polygons.named(name, main[0].columns)
        return changed(around="4", start=0.01, bias=0.01, steps=2 * main[0].steps, **changes)(seeds(main))

    return specs


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
    """Mean estimates at the smooth minima that trainings reach, and of chains that are held too tightly there."""
    levels = polygons.table(arms["main"].attrs["columns"])
    rows = []
    for state in STATES:
        found = {}
        for label, name in (("ends of wide starts", "ends"), ("ends after passages", "passing"), ("held too tightly", "pulled")):
            end = arms[name].sel(moment="end")
            found[label] = end.llc[[s == state for s in polygons.called(end.sides, end.positive)]]
        rows += [(f"{state}: {levels[state]:.3f}", label, *summary(x.values)) for label, x in found.items() if x.size]
    return Figure(
        "Among smooth minima a lower loss costs complexity from 5 to 5+, not from 5+ to 6",
        columns(("state", "chains", "mean", "low", "high"), rows), "bars", x="state", y="mean", color="chains", band=("low", "high"),
        x_title="state: its loss (squared input)", y_title="mean estimate of the LLC", rules=((7.0, "7"), (8.5, "8.5")),
        note="Dashed: half the rank of the Hessian, 7 at 5 and 8.5 at 5+ and 6.",
    )  # fmt: skip


def passing_figure(arms):
    """The share of trainings in a state of five sides or more, along training: finite samples, noise without them, neither."""
    rows = [
        (label, int(t), *summary((arms[name].sides.values[:, i] >= 5).astype(float)))
        for label, name in (
            ("1,000 inputs, batches of 20", "sampled"),
            ("1,000 inputs, batches of 100", "calm"),
            ("50,000 inputs, batches of 20", "plenty"),
            ("expected loss", "still"),
        )
        for i, t in enumerate(arms[name].time.values)
    ]
    return Figure(
        "A finite sample carries trainings from squares to pentagons, noise without it does not",
        columns(("training", "step", "share", "low", "high"), rows), "line",
        x="step", y="share", color="training", band=("low", "high"), x_log=True, x_title="step of training",
        y_title="share of trainings with five sides or more",
    )  # fmt: skip


# --- arms and claims ---------------------------------------------------------------------------------------------------


PILOT = "pilot: seeds 0–63, "
ALL_STOP = "other starts and other lengths of training by the same descent, which stops as well"

experiment = Experiment(
    version=2,
    arms={
        "main": Arm(
            train, specs=reserved("around", "data", "passing", "replicate"),
            note="gradient descent on the expected loss, six columns, weights near 0 at the start",
        ),
        "main-half": Arm(train, specs=halved, note="main, half as long"),
        "wide": Arm(train, specs=wide, note="the same from weights and biases of standard deviation 1, twice as many seeds"),
        "wide-half": Arm(train, specs=lambda specs: halved(wide(specs)), note="wide, half as long"),
        "linear": Arm(train, specs=changed(relu=False), note="main without ReLU: it stops at a level of its own"),
        "random": Arm(derive=random_levels, note="main, with final losses drawn evenly from .04 to .30"),
        "ends": Arm(at_ends, after="wide", note="chains at the ends of wide, which have two to six sides"),
        "ends-fine": Arm(at_ends, specs=finer, after="wide", note="half the chains' step, twice the draws"),
        "pulled": Arm(at_ends, specs=changed(localisation=3e3, replicate=3), after="wide", note="chains at the ends of wide, held 30 times as tight"),
        "dealt": Arm(derive=dealt_anew("ends", "llc"), note="ends, estimates dealt to other seeds"),
        "sampled": Arm(train, specs=squares(twice_the_seeds(), data=1_000, batch=20), note="from squares, on 1,000 inputs in batches of 20"),
        "calm": Arm(train, specs=squares(data=1_000, batch=100), note="the same in batches of 100: the same sample, a fifth of the noise"),
        "plenty": Arm(train, specs=squares(data=50_000, batch=20), note="the same noise on fifty times as many inputs"),
        "still": Arm(train, specs=squares(), note="from squares, on the expected loss: no sample and no noise"),
        "passing": Arm(at_ends, specs=changed(passing=True), after="sampled", note="chains at the end of sampled, and at the state it left last"),
        "remained": Arm(derive=remained, note="passing, of the trainings that did not pass: their state half way, and at the end"),
        "exchanged": Arm(derive=exchanged, note="passing, where the state left is that of another training"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Training stops at critical points: at least 0.9 of the final losses lie within 1 % of a level of the table",
            value=at_a_level, low=0.9, unit="share of seeds", bounds=(0, 1), must_fail=("random", "linear"), half={"main": "main-half"},
            near={"random": "levels are so many that any loss lies near one"}, also=dict.fromkeys(("wide", "wide-half"), ALL_STOP),
            threshold_from="plan: before any run; 1 % in place of 3 %, within which half of all random losses lie", published="new", source=CHEN,
        ),
        Claim(
            text="From wide starts, too: at least 0.9 of the final losses lie within 1 % of a level",
            of="wide", value=at_a_level, low=0.9, unit="share of seeds", bounds=(0, 1), must_fail=("random", "linear"), half={"wide": "wide-half"},
            near={"random": "levels are so many that any loss lies near one"}, also=dict.fromkeys(("main", "main-half"), ALL_STOP),
            threshold_from="plan: before any run", published="new", source=CHEN,
        ),
        Claim(
            text="Where trainings end at smooth minima chains give half the rank of the Hessian: their mean ratio lies within 5 % of 1",
            of="ends", value=over_half, low=0.95, high=1.05, unit="ratio", must_fail=("pulled",), gates=(Gate("sound", sound),),
            half={"ends": "ends-fine"}, near={"pulled": "chains count the directions that they may move in, whatever the loss does"},
            also=dict.fromkeys(("passing", "remained", "exchanged"), "ends of other trainings at such minima, of the same trainings in all three"),
            threshold_from="plan: step-size bias up to 6 %", published="new", source=LAU,
        ),
        Claim(
            text="Between trainings lower goes with more complex: rank correlation of loss and estimate, ends of five sides or more, at most −0.5",
            of="ends", value=ranks, statistic=correlation, high=-0.5, unit="1", must_fail=("dealt",), gates=(Gate("sound", sound),),
            half={"ends": "ends-fine"}, near={"dealt": "so few levels, and so many ties, that chance would do"},
            also={"pulled": "a pull lowers all estimates and keeps their order"}
            | dict.fromkeys(("passing", "remained", "exchanged"), "ends of other trainings at these minima"),
            threshold_from=PILOT + "−.84 [−.91, −.75]", published="new", source=CHEN,
        ),
        Claim(
            text="The noise of small batches moves a model from state to state: with 50,000 inputs in batches of 20, at least 0.1 of the "
                 "trainings pass from a square to five sides or more",
            of="plenty", value=passed, low=0.1, unit="share of trainings", bounds=(0, 1), must_fail=("still",),
            near={"still": "squares with uneven starts roll on by themselves"},
            also=dict.fromkeys(("sampled", "calm"), "the same noise, or a fifth of it, on a sample that is finite"),
            threshold_from="plan: a tenth, before any run that tells noise from the sample", published="new", source=CHEN,
        ),
        Claim(
            text="A finite sample does: with 1,000 inputs and a fifth of that noise, at least 0.1 of the trainings pass",
            of="calm", value=passed, low=0.1, unit="share of trainings", bounds=(0, 1), must_fail=("plenty", "still"),
            near={"plenty": "it is the noise of batches, and a finite sample makes no difference"},
            also={"sampled": "the same kind of sample, in smaller batches"},
            threshold_from="pilot: seeds 0–31, 9 of 32 within 8,000 steps in batches of 200", published="new", source=CHEN,
        ),
        Claim(
            text="Along one training the LLC rises: where it passes from a square to five sides, the estimate rises by at least 0.5",
            of="passing", value=climb, low=0.5, unit="1", must_fail=("remained",), gates=(Gate("sound", sound),),
            near={"remained": "estimates rise along any such training, whatever state it is in"},
            also={"exchanged": "the same trainings, dealt anew: their mean is the same"},
            threshold_from="plan: as from pentagon to hexagon, before any such training was run", published="new", source=CHEN,
        ),
        Claim(
            text="What becomes the fifth corner was in use before: in at least 0.9 of these passages as many columns are in use after as before",
            of="passing", value=kept_in_use, low=0.9, unit="share of passages", bounds=(0, 1), must_fail=("exchanged",),
            near={"exchanged": "squares and pentagons have about as many columns in use, whichever belongs to which"},
            also={"remained": "trainings that stay in their state keep its columns in use"},
            threshold_from=PILOT + "17 of 17 within 8,000 steps", published="new", source=CHEN,
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
            value=lambda arms: [3 * 6 / 2] * len(STATES), expected=9.0, tolerance=0.0, source="arithmetic",
        ),
        *[
            Finding(
                text=f"Plateaus of one training from a {start} start at which no direction curves down",
                value=stable_plateaus(name), unit="plateaus", source=CHEN,
            )
            for start, name in (("small", "main"), ("wide", "wide"))
        ],
        *[
            Finding(
                text=f"Estimate where wide starts end at state {state}, half the rank of whose Hessian is {half:g}, for a million data points",
                value=lambda arms, state=state: at_state(arms["ends"], state), source=CHEN,
                published=Published(PRINTED[state], CHEN, note="for 5,000 data points, with their noise; as a public reproduction quotes the table "
                                    "(ztreisman/arc-llc, RESULTS.md)", at="Table K.1"),
            )
            for state, half in zip(STATES, (7.0, 8.5, 8.5), strict=True)
        ],
        Finding(
            text="Estimates there over what chains on parabolas of their curvatures give, step and localisation included: mean",
            value=lambda arms: ended(arms["ends"]).llc / ended(arms["ends"]).expected, unit="ratio", source=LAU,
        ),
    ),
    figures=lambda arms: [falling(arms["main"]), passing_figure(arms), estimates(arms), shapes(arms)],
    scope="six columns in two dimensions, one-hot inputs; chains on the expected loss",
    seeds_per_group=128,
    smoke=grid(SuperpositionLLC(steps=300, draws=200, burn=100), seed=range(8)),
    default=grid(SuperpositionLLC(), seed=range(3000, 3064)),
    full=grid(SuperpositionLLC(steps=90_000), seed=range(3000, 3512)),
)  # fmt: skip
