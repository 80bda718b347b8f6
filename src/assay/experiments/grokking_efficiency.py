"""Grokking as circuit efficiency: is the size at which memorising costs what generalising costs where networks change their mind?

Paper: Varma et al. 2023, Explaining grokking through circuit efficiency (arXiv:2309.02390)
Claim: a grokked network trained on fewer pairs forgets, and at the size at which both circuits cost the same within 10 %
Baselines: no decay, at a tenth of the rate and at the full one; shuffled sizes; from scratch; other networks; the rate slowed alone
Cost: 130 s on 2 cores, 250 CPU-seconds, 0.48 GB a process; full a guess of 3 GPU-hours, never run
Seed: Rohin Shah, why would slowness favour one circuit over the other, and are both usually too fast to tell apart?
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, Gate, PerRun, Published, Spec, grid, reserved, summary
from assay.core.errors import ClaimError, SpecError
from assay.core.measures import by, measures
from assay.worlds.modular import addition as modular
from assay.worlds.modular import critical_size, interference, spectrum, two_circuits
from assay.worlds.modular import network as modular_network
from assay.worlds.modular.primes import prime

PAPER = "Varma et al. 2023, Explaining grokking through circuit efficiency"
SEED = "Rohin Shah, comment on explanations by slowness: why would it impact the generalising circuit more?"
PILOT = "pilot: seeds 0–11"
TRANSFORMER = "one-layer transformer, p = 113, AdamW; D counts ordered pairs, of 12,769"
PAIRS = 800
"""Training pairs of the grokked networks in the default preset; the arms' sizes are given beside it, and scale with the preset's."""
APART = 20
"""The least difference between sizes of an arm, in the default preset."""


@dataclass(frozen=True, kw_only=True)
class Grokking(Spec):
    pairs: PerRun[int] = PAIRS
    """Unordered pairs in the training set, D; sets of one seed are nested."""
    lr: PerRun[float] = 0.01
    """Adam's learning rate, constant."""
    decay: PerRun[float] = 3e-5
    """w of the loss's (w/2)‖θ‖²: coupled L2."""
    p: int = 53
    """Modulus, a prime."""
    embed: int = 64
    """Width of the embedding."""
    hidden: int = 64
    """Hidden units."""
    labels: Literal["sums", "random"] = "sums"
    """What is learned: a + b mod p, or random labels, which can only be memorised."""
    steps: int = 1_500
    """Full-batch steps."""
    pace: float = 1.0
    """Adam's betas are .9 and .98 to this power: with a rate of c, c slows all of Adam alike."""
    continued: bool = False
    """Whether it goes on from a grokked network, on a part of its training set."""
    closely: bool = True
    """Whether the first fifth is looked at five times as often, for times of fit."""
    replicate: int = 0
    """Another independent draw of the same set-up: shifts every seed."""

    def check(self) -> None:
        prime(self.p)
        if not 1 <= self.pairs <= self.p * (self.p + 1) // 2:
            raise SpecError(f"Grokking.pairs must be 1 to {self.p * (self.p + 1) // 2:,} at p={self.p}, got {self.pairs}")
        for name in ("embed", "hidden", "steps"):
            if getattr(self, name) < 1:
                raise SpecError(f"Grokking.{name} must be at least 1, got {getattr(self, name)}")
        if self.lr <= 0 or self.pace <= 0 or self.decay < 0:
            raise SpecError(
                "Grokking needs lr and pace above 0 and decay of at least 0, got "
                f"lr={self.lr}, pace={self.pace}, decay={self.decay}"
            )


# --- training and measuring ----------------------------------------------------------------------------------------------


def train(runs, bench, before=None):
    s, seeds = runs.shared, runs.replicated().seeds
    params = modular_network.start(seeds, s.p, s.embed, s.hidden) if before is None else before.tensors
    task = lesson(runs)
    trained = modular_network.train(
        runs, params, task, steps=s.steps, lr=runs.each("lr"), decay=runs.each("decay"), betas=(0.9**s.pace, 0.98**s.pace),
        looks=looks(s), bench=bench,
    )  # fmt: skip
    trained.tensors["start_test"] = modular_network.evaluate(params, task)["test"]
    trained.tensors["start_norm"] = modular_network.norm(params)
    return trained


def lesson(runs):
    """What each run learns: labels and order by its seed, so that a grokked network goes on with the first of its own pairs."""
    s, seeds = runs.shared, runs.replicated().seeds
    labels = modular.sums(s.p).expand(len(runs), -1) if s.labels == "sums" else modular.random_labels(seeds, s.p)
    return modular_network.Lesson(s.p, modular.pairs(s.p), labels, modular.order(seeds, s.p), runs.each("pairs"))


def looks(s):
    """The steps at which accuracy is taken: 60 evenly, and 60 in the first fifth where it is looked at closely."""
    even = np.linspace(s.steps / 60, s.steps, 60)
    early = np.linspace(s.steps / 300, s.steps / 5, 60 if s.closely else 0)
    return tuple(sorted({max(1, round(x)) for x in (*even, *early, s.steps / 2)}))


def measure(runs, trained, bench):
    s, t = runs.shared, {k: v.cpu() for k, v in trained.tensors.items()}
    at = np.array(looks(s))
    curve = {name: t[f"{name}_at"].numpy() for name in ("train", "test", "loss", "norm")}
    cost = curve["loss"] + runs.each("decay")[:, None] / 2 * curve["norm"]
    half = int(np.abs(at - s.steps / 2).argmin())
    tenth, tenth_before = at > 0.9 * s.steps, (at > 0.45 * s.steps) & (at <= at[half])
    test = np.median(curve["test"][:, tenth], 1)  # Adam spikes now and then: the middle of several looks, not the last
    nu, best = cheapest(s, t, test, runs.each("decay"))  # [law, run]
    fit = reached(at, curve["train"], 0.99)
    early = np.minimum(np.searchsorted(at, 5 * np.nan_to_num(fit, nan=np.inf)), len(at) - 1)
    return measures(
        runs,
        coords={"step": at.tolist()},
        cost=("run", cost[:, -1], "nats"),
        cost_half=("run", cost[:, half], "nats"),
        train=("run", np.median(curve["train"][:, tenth], 1), "share of training pairs"),
        test=("run", test, "share of unseen pairs"),
        test_half=("run", np.median(curve["test"][:, tenth_before], 1), "share of unseen pairs"),
        start_test=("run", t["start_test"], "share of unseen pairs"),
        growth=("run", curve["norm"][:, -1] / t["start_norm"].numpy(), "share of the squared norm at the start"),
        late=("run", test - curve["test"][np.arange(len(test)), early], "share of unseen pairs"),
        fit=("run", fit, "steps"),
        grok=("run", reached(at, curve["test"], 0.95), "steps"),
        nu=("run", nu[0], "squared norm"),
        nu_set=("run", nu[1], "squared norm"),
        best_cost=("run", best[0], "nats"),
        best_cost_set=("run", best[1], "nats"),
        train_curve=("run step", curve["train"].round(4), "share of training pairs"),
        test_curve=("run step", curve["test"].round(4), "share of unseen pairs"),
    )


def reached(at, curve, level):
    """[run]: the step at which a curve [run, look] first reaches a level, by a straight line from the look before; NaN if never."""
    level = np.broadcast_to(level, len(curve))
    out = np.full(len(curve), np.nan)
    for r, (row, wanted) in enumerate(zip(curve, level, strict=True)):
        if (row >= wanted).any():
            i = int((row >= wanted).argmax())
            share = (wanted - row[i - 1]) / (row[i] - row[i - 1]) if i else 1.0
            out[r] = at[i - 1] + share * (at[i] - at[i - 1]) if i else at[0]
    return out


def cheapest(s, params, test, decay):
    """(ν, J of the cheapest circuit of its set at that ν), both [law, run], of each grokked network.

    ν is squared norm over Σ A^(2/3) of all its frequencies; then, of those in its set: those with more than a tenth of the
    largest amplitude. NaN where unseen pairs are not answered.
    """
    nu, best = np.full((2, 2, len(test)), np.nan)
    grokked = np.flatnonzero((test >= 0.9) & (s.labels == "sums") & (not s.continued))
    if len(grokked):
        some = {name: params[name][grokked] for name in modular_network.NAMES}
        A = spectrum.amplitudes(some).numpy().clip(min=0)
        inside = 0.1 * A.max(1, keepdims=True) < A
        for law, over in enumerate((A, A * inside)):
            nu[law, grokked] = modular_network.norm(some).numpy() / (over ** (2 / 3)).sum(1)
            for r, chosen in zip(grokked, interference.sets_of(inside), strict=True):
                best[law, r] = interference.optimum([chosen], s.p, decay=float(decay[r]), nu=float(nu[law, r])).objective[0]
    return nu, best


# --- what is compared ----------------------------------------------------------------------------------------------------


def per_seed(values, data):
    return xr.DataArray(values, dims="seed", coords={"seed": data.seed.values})


def law(arm):
    """J = α D^β of each seed's networks in an arm, and its seeds."""
    data = by(arm, "pairs")
    return critical_size.power_law(data.pairs.values, data.cost.values), data


def steepness(arm, arms):
    """[seed]: slope of log J in log D, of networks from scratch. Raises: ClaimError for networks that go on."""
    if arm.attrs["continued"]:
        raise ClaimError("networks that go on")
    fitted, data = law(arm)
    return per_seed(fitted.beta, data)


def middle(arm):
    """[seed]: the size at which accuracy on unseen pairs crosses a half; networks that go on forget smoothly, others need a fit."""
    data = by(arm, "pairs")
    find = critical_size.crossing if arm.attrs["continued"] else critical_size.logistic_middle
    return per_seed(find(data.pairs.values, data.test.values), data)


def at(arm, arms, pairs):
    """The measures [seed] of an arm's runs on this many pairs (of a preset with 800), or the mean over 10 more and 10 fewer.

    Raises: ClaimError where it has none: what is said of this size is then said of others.
    """
    data = by(arm, "pairs")
    size = data.pairs.values / arms["main"].pairs.values[0] * PAIRS
    near = np.abs(size - pairs) < APART
    if not near.any() or abs(size[near].mean() - pairs) > APART / 2 - 1:
        raise ClaimError(f"no networks on about {pairs} pairs")
    return data.drop_dims("step", errors="ignore").isel(pairs=near).mean("pairs")


def kept(arm, arms):
    """[seed]: share that is left on 200 pairs of the accuracy on unseen pairs from which networks go on."""
    data = at(arm, arms, 200)
    return data.test / data.start_test


def accuracy(arm, arms):
    """[seed]: accuracy on unseen pairs at 450 pairs."""
    return at(arm, arms, 450).test


def gained_late(arm, arms):
    """[seed]: accuracy on unseen pairs at an arm's smallest training set; 0 where half of it was there by five fit times."""
    data = by(arm, "pairs").isel(pairs=0, drop=True)
    return data.test.where(data.late > data.test / 2, 0.0)


def more_than_ungrok(arm, arms):
    """[seed]: accuracy at 350 pairs less that of `ungrok`, for arms with another weight decay."""
    if np.isin(arm.decay.values, arms["ungrok"].decay.values).any():
        raise ClaimError("the weight decay is that of ungrok")
    return at(arm, arms, 350).test - at(arms["ungrok"], arms, 350).test


def hysteresis(arm, arms):
    """[seed]: the size at which the arm crosses a half, less that at which `ungrok` does."""
    return middle(arm) - middle(arms["ungrok"])


LAWS = {"all": "best_cost", "set": "best_cost_set", "own": "cost"}
"""Over which frequencies ν is taken for the cost of main's networks; "own": the J that they have."""


def off_prediction(crossed, *laws):
    """A value, terms [seed]: log of the size at which an arm crosses a half, over D_crit by an arm of memorisers and main's costs."""

    def value(arm, arms):
        fitted, data = law(arm)
        main = by(arms["main"]).sel(seed=data.seed.values)
        return {name: np.log(middle(arms[crossed])) - per_seed(fitted.log_size(main[LAWS[name]].values), data) for name in laws}

    return value


def furthest(m):
    """The larger of two distances from 0."""
    return np.maximum(np.abs(m["all"]), np.abs(m["set"]))


def patience(arm):
    """[seed]: steps from fitting the training set to grokking, over the steps to the fit."""
    data = by(arm)
    return (data.grok - data.fit) / data.fit


def longer_patience(arm, arms):
    """[seed]: log of an arm's delay ÷ fit time over main's, where both were looked at closely."""
    if not arm.attrs["closely"]:
        raise ClaimError("too few looks for times of fit")
    return np.log(patience(arm) / patience(arms["main"]))


# --- derived arms --------------------------------------------------------------------------------------------------------


def without_curves(data):
    return data.drop_dims("step")


def together(arms, *names):
    """Several arms' measures as one arm's."""
    return xr.concat([without_curves(arms[name]) for name in names], "run", combine_attrs="override")


def at_half(*names):
    """Some arms' measures as of half their length. The rate is constant, so half of a training is a training of half the length."""

    def derive(arms):
        made = together(arms, *names)
        return made.assign(cost=made.cost_half, test=made.test_half, late=made.late - made.test + made.test_half)

    return derive


def other_sizes(arms):
    """The memorisers with their costs under other sizes: the six in the order 3, 1, 5, 2, 6, 4, so that little order is left."""
    data = without_curves(arms["memorise"])
    sizes = np.unique(data.pairs.values)
    moved = dict(zip(sizes.tolist(), sizes[[2, 0, 4, 1, 5, 3]].tolist(), strict=True))
    return data.assign_coords(pairs=("run", [moved[d] for d in data.pairs.values.tolist()]))


def only(name, place, halfway=False):
    """One size of an arm, by its place among the arm's sizes in ascending order; as of half its length if asked for."""

    def derive(arms):
        sizes = np.unique(arms[name].pairs.values)
        data = at_half(name)(arms) if halfway else arms[name]
        return data.isel(run=data.pairs.values == sizes[min(place, len(sizes) - 1)])

    return derive


def as_they_come(specs):
    """The preset's specs. Raises: SpecError where they set what other arms set, or have several values of what arms are made from."""
    for name in ("pairs", "lr", "decay"):
        if len(several := sorted({getattr(s, name) for s in specs})) > 1:
            raise SpecError(f"a preset has one Grokking.{name}, of which arms make others, got {', '.join(map(str, several))}")
    return reserved("labels", "pace", "continued", "replicate")(specs)


def like(*pairs, times=1.0, slow=1.0, closely=False, **fields):
    """The preset's seeds at these sizes (of a preset with 800 pairs), `times` as long, at `slow` times the rate, other fields set."""

    def specs(main):
        base = main[0]
        most = base.p * (base.p + 1) // 2
        if pairs and base.pairs * APART < PAIRS:
            raise SpecError(
                f"other arms' sizes scale with Grokking.pairs, which must be at least {-(-PAIRS // APART)} for them to differ, "
                f"got {base.pairs}"
            )
        if pairs and max(pairs) * base.pairs > PAIRS * most:
            fewer = PAIRS * most // max(pairs)
            raise SpecError(
                f"other arms' sizes scale with Grokking.pairs: at p={base.p} it must be at most {fewer:,}, got {base.pairs:,}"
            )
        sizes = sorted({max(1, round(d * base.pairs / PAIRS)) for d in pairs}) if pairs else [base.pairs]
        base = base.replace(steps=round(base.steps * times), lr=base.lr * slow, closely=closely, **fields)
        return grid(base, pairs=sizes, seed=sorted({s.seed for s in main}))

    return specs


def onwards(*pairs, **fields):
    """The same for arms that go on from grokked networks."""
    return like(*pairs, continued=True, **fields)


MEMORY, SCRATCH, FORGET = (200, 300, 400, 500, 600, 700), (400, 420, 440, 460, 480, 500), (200, 250, 300, 350, 400, 450)
ARMS = {
    "main": Arm(train, specs=as_they_come, keep=True, note="800 pairs, enough to grok: the generalising circuit"),
    "memorise": Arm(train, specs=like(*MEMORY, times=2, labels="random"), note="random labels, which can only be memorised"),
    "plenty": Arm(train, specs=like(1000, 1400, closely=True), note="more pairs than main"),
    "scratch": Arm(train, specs=like(*SCRATCH, times=3), note="from scratch on sizes around the change, three times as long"),
    "ungrok": Arm(train, after="main", specs=onwards(*FORGET), note="main's networks go on with the first D′ of their own pairs"),
    "no-decay": Arm(train, after="main", specs=onwards(200, 350, decay=0.0, slow=0.1),
                    note="the same without weight decay, at a tenth of the rate, as Adam wanders without decay"),
    "wandering": Arm(train, after="main", specs=onwards(200, 350, decay=0.0), note="the same without weight decay, at the full rate"),
    "strong-decay": Arm(train, after="main", specs=onwards(350, decay=1e-4), note="the same at w = 1e-4"),
    "weak-decay": Arm(train, after="main", specs=onwards(350, decay=1e-5, times=4), note="the same at w = 1e-5, four times as long"),
    "both-slow": Arm(train, specs=like(times=2, slow=0.5, pace=0.5, closely=True),
                     note="main with all of Adam at half the speed: rate × ½, betas to the power ½, twice the steps"),
    "both-fast": Arm(train, specs=like(times=0.25, slow=4.0, pace=4.0, closely=True),
                     note="main with all of Adam at four times the speed: rate × 4, betas to the power 4, a quarter of the steps"),
    "rate-only": Arm(train, specs=like(times=2, slow=0.5, closely=True), note="main at half the rate alone: Adam's memory is then shorter beside it"),
    "others": Arm(train, keep=True, specs=like(replicate=1), note="independent networks like main's"),
    "others-ungrok": Arm(train, after="others", specs=onwards(*FORGET[2:]), note="the same as ungrok, from them"),
    "generalise": Arm(derive=lambda arms: together(arms, "main", "plenty"), note="main and plenty together"),
    "shuffled": Arm(derive=other_sizes, note="memorise with its costs under other sizes: the six in the order 3, 1, 5, 2, 6, 4"),
    "at-400": Arm(derive=only("scratch", 0), note="scratch at the smallest of its sizes"),
    "at-460": Arm(derive=only("scratch", 3), note="scratch at the fourth of its sizes"),
    "memorise-half": Arm(derive=at_half("memorise"), note="memorise at half its length"),
    "generalise-half": Arm(derive=at_half("main", "plenty"), note="generalise at half its length"),
    "scratch-half": Arm(derive=at_half("scratch"), note="scratch at half its length"),
    "at-460-half": Arm(derive=only("scratch", 3, halfway=True), note="at-460 at half its length"),
    "strong-decay-half": Arm(derive=at_half("strong-decay"), note="strong-decay at half its length"),
    "weak-decay-half": Arm(derive=at_half("weak-decay"), note="weak-decay at half its length"),
    "ungrok-half": Arm(derive=at_half("ungrok"), note="ungrok at half its length"),
}  # fmt: skip


# --- the simulation ------------------------------------------------------------------------------------------------------

BASE = two_circuits.Circuits()
LONG = 40_000


def courses(*circuits):
    return [two_circuits.simulate(c, LONG) for c in circuits]


def groks(arms):
    """[as it is, both learned fast, memory more efficient, no weight decay]: 1 where the simulation groks."""
    return [float(course.groks) for course in courses(*two_circuits.variants(BASE).values())]


def simulated_delays(*circuits):
    """(overtake − fit)/fit of each."""
    return lambda arms: [course.delay for course in courses(*circuits)]


def simulated_end(arms):
    """o_G and cross-entropy where the simulation ends."""
    [course] = courses(BASE)
    return [course.generalising[-1], course.loss[-1]]


def one_slow(by):
    """The base with the generalising circuit alone slowed."""
    return two_circuits.Circuits(rate_g=by * BASE.rate_g)


EXACT = (
    Exact(
        text="The simulation groks as it is, and no more with one thing changed: both learned fast, memory more efficient, no decay",
        value=groks, expected=[1.0, 0.0, 0.0, 0.0], tolerance=0.0, unit="1 where it groks", source=PAPER + ", section 3",
    ),
    Exact(
        text="It fits at time 22.4 and generalises at 848.8", value=lambda arms: [courses(BASE)[0].fit, courses(BASE)[0].overtake],
        expected=[22.4, 848.8], tolerance=0.21, unit="step × learning rate", source="integrated apart from this code",
    ),
    Exact(
        text="It ends at its analytic optimum, o* = log((q − 1)(1 − r)/r) with r = λ/κ_G, where only the efficient circuit is left: o_G and loss",
        value=simulated_end, expected=[9.313619, 0.010050], tolerance=1e-5, unit="nats", source="theory: first-order conditions",
    ),
    Exact(
        text="Slowing both circuits changes only the clock: delay ÷ fit time at rates × 1, ½, ¼",
        value=simulated_delays(BASE, BASE.slowed(0.5), BASE.slowed(0.25)), expected=[36.9, 36.9, 36.9], tolerance=0.1,
        unit="fit times", source="theory: gradient flow rescales time",
    ),
    Exact(
        text="Slowing one does not: delay ÷ fit time with the generalising circuit alone at × ½, ¼",
        value=simulated_delays(one_slow(0.5), one_slow(0.25)), expected=[83.3, 176.0], tolerance=0.2, unit="fit times",
        source="integrated apart from this code",
    ),
)  # fmt: skip

# --- claims --------------------------------------------------------------------------------------------------------------

FITTED = Gate("fitted", lambda arm: (arm.train >= 0.99).all())
GROKKED = Gate("grokked before", lambda arm: (arm.start_test >= 0.95).all())
FORGOTTEN = {"ungrok": "ungrok-half"}
OTHER_DECAY = "another weight decay, and the paper says so of all"
ANY_ORDER = {"shuffled": "any order of the memorisers' costs gives a place where costs cross"}
CLAIMS = (
    Claim(
        text="Memorising loses efficiency: over 200 to 700 random labels log J rises by at least 0.5 per log D",
        of="memorise", value=steepness, low=0.5, unit="log J per log D", must_fail=("generalise", "shuffled"),
        near={"generalise": "larger training sets cost more whatever is learned"},
        gates=(FITTED,),
        half={"memorise": "memorise-half"}, threshold_from=PILOT + ", slope .650", published="new", source=PAPER + ", section 5",
    ),
    Claim(
        text="Generalising does not: over 800 to 1,400 pairs log J changes by at most 0.1 per log D",
        of="generalise", value=steepness, low=-0.1, high=0.1, unit="log J per log D", must_fail=("memorise", "shuffled"),
        near={"shuffled": "costs in little order have hardly a slope, whatever they are of"},
        also={"plenty": "the larger of the same networks' sizes", "scratch": "networks that generalise in part pay as those that do",
              "scratch-half": "the same half-way"}, gates=(FITTED,),
        half={"generalise": "generalise-half"}, threshold_from=PILOT + ", slope .051", published="new", source=PAPER + ", section 5",
    ),
    Claim(
        text="Ungrokking: on 200 of its pairs a grokked network keeps at most 0.08 of its accuracy on the others",
        of="ungrok", value=kept, high=0.08, unit="share of the accuracy before", must_fail=("no-decay", "wandering"),
        near={"wandering": "going on with few pairs makes networks forget, with weight decay or without"}, gates=(FITTED, GROKKED),
        half=FORGOTTEN, threshold_from=PILOT + ", .009 of an accuracy of .98 or more", published="new", source=PAPER + ", section 5",
    ),
    Claim(
        text="On 450 of its pairs it has an accuracy of at least 0.6",
        of="ungrok", value=accuracy, low=0.6, unit="share of unseen pairs", must_fail=("scratch-half",),
        near={"scratch-half": "so many pairs teach as much to anybody, in half as many steps again"}, gates=(FITTED, GROKKED),
        also={"others-ungrok": "networks that grokked and go on, too"}, half=FORGOTTEN, threshold_from=PILOT + ", .791",
        published=Published(0.7, PAPER, at="appendix A.2", note="at D′ of 800 to 1,000; " + TRANSFORMER), source=PAPER + ", section 5",
    ),
    Claim(
        text="How much is forgotten does not depend on weight decay: at w = 1e-4 accuracy on 350 pairs is within 0.1 of that at 3e-5",
        of="strong-decay", value=more_than_ungrok, low=-0.1, high=0.1, unit="difference of accuracies", must_fail=("no-decay", "wandering"),
        near={"wandering": "any weight decay, and none, leaves as much"},
        also=dict.fromkeys(("weak-decay", "weak-decay-half"), OTHER_DECAY), gates=(FITTED, GROKKED),
        half=FORGOTTEN | {"strong-decay": "strong-decay-half"}, threshold_from=PILOT + ", −.033",
        published="new", source=PAPER + ", section 5",
    ),
    Claim(
        text="Nor at w = 1e-5: accuracy on 350 pairs within 0.1 of that at 3e-5",
        of="weak-decay", value=more_than_ungrok, low=-0.1, high=0.1, unit="difference of accuracies", must_fail=("no-decay", "wandering"),
        near={"wandering": "any weight decay, and none, leaves as much"},
        also=dict.fromkeys(("strong-decay", "strong-decay-half"), OTHER_DECAY), gates=(FITTED, GROKKED),
        half=FORGOTTEN | {"weak-decay": "weak-decay-half"}, threshold_from=PILOT + ", .020",
        published="new", source=PAPER + ", section 5",
    ),
    Claim(
        text="Semi-grokking: from scratch on 460 pairs networks end with an accuracy of 0.3 to 0.9, most of it gained later than five fit times",
        of="at-460", value=gained_late, low=0.3, high=0.9, unit="share of unseen pairs", must_fail=("at-400", "main"),
        near={"at-400": "networks gain some accuracy late on any number of pairs"}, gates=(FITTED,),
        half={"at-460": "at-460-half"}, threshold_from=PILOT + ", .67",
        published=Published(0.7, PAPER, at="section 5.3", note="at D of about 2,000; " + TRANSFORMER),
        source=PAPER + ", section 5.3",
    ),
    Claim(
        text="Hysteresis: from scratch it takes at least 30 pairs more to reach an accuracy of a half than to keep it",
        of="scratch", value=hysteresis, low=30, unit="pairs", must_fail=("others-ungrok",),
        near={"others-ungrok": "two families of networks differ in such a size"}, gates=(FITTED,),
        half=FORGOTTEN | {"scratch": "scratch-half"}, threshold_from=PILOT + ", 82", published="new", source=PAPER + ", appendix A.2",
    ),
    Claim(
        text="Theory says where networks forget, whichever ν is taken: the size that keeps half is within 0.1 (log) of where memorising "
             "costs as much as their cheapest circuits, with ν over all frequencies and over those of the set",
        of="memorise", value=off_prediction("ungrok", "all", "set"), statistic=furthest, high=0.1, unit="log of a ratio of sizes",
        must_fail=("shuffled",), near=ANY_ORDER, gates=(FITTED,), half=FORGOTTEN | {"memorise": "memorise-half"},
        threshold_from=PILOT + ", −.017 for the first ν", published="new", source=PAPER + ", section 4",
    ),
    Claim(
        text="Theory says where networks grok from scratch, whichever ν is taken: the size that reaches half is within 0.1 (log) of the same",
        of="memorise", value=off_prediction("scratch", "all", "set"), statistic=furthest, high=0.1, unit="log of a ratio of sizes",
        must_fail=("shuffled",), near=ANY_ORDER, gates=(FITTED,), half={"scratch": "scratch-half", "memorise": "memorise-half"},
        threshold_from=PILOT + ", .192 for the first ν: expected to fail", published="new", source=PAPER + ", section 4",
    ),
    Claim(
        text="Adam's steps are no gradient flow, and still slowness favours neither circuit: with all of Adam at half the speed "
             "delay ÷ fit time changes by at most 0.1 (log)",
        of="both-slow", value=longer_patience, low=-0.1, high=0.1, unit="log of a ratio", must_fail=("rate-only",),
        near={"rate-only": "whatever slows training leaves the ratio"}, also={"both-fast": "all of Adam alike, too"}, gates=(FITTED,),
        threshold_from=PILOT + ", .029", published="new", source=SEED,
    ),
    Claim(
        text="The comment's guess, that usually both are learned too fast to tell apart: with all of Adam at four times the speed "
             "the delay lasts at most half as many fit times",
        of="both-fast", value=longer_patience, high=-0.69, unit="log of a ratio", must_fail=("rate-only", "both-slow"),
        near={"rate-only": "any change of speed shortens the delay"}, gates=(FITTED,),
        threshold_from="plan: a half, before any network was trained at this speed", published="new", source=SEED,
    ),
)  # fmt: skip


def predicted(arms, cost):
    """[seed]: D_crit, where memorising costs what main's networks cost."""
    fitted, data = law(arms["memorise"])
    return per_seed(np.exp(fitted.log_size(by(arms["main"])[cost].sel(seed=data.seed.values).values)), data)


NAMED = {"all": "the cheapest circuits, ν over all frequencies", "set": "the cheapest circuits, ν over those of the set",
         "own": "the J that networks have"}  # fmt: skip
FINDINGS = (
    *(Finding(text=f"D_crit, from {NAMED[law]}", value=lambda arms, cost=cost: predicted(arms, cost), unit="pairs")
      for law, cost in LAWS.items()),
    Finding(text="U50, at which accuracy after ungrokking is a half", value=lambda arms: middle(arms["ungrok"]), unit="pairs"),
    Finding(text="D50, at which accuracy from scratch is a half", value=lambda arms: middle(arms["scratch"]), unit="pairs"),
    Finding(
        text="By how much D50 falls in the second half of training: longer runs would find it lower",
        value=lambda arms: middle(arms["scratch-half"]) - middle(arms["scratch"]), unit="pairs",
    ),
    *(Finding(text=f"log {size}/D_crit, from {NAMED[law]}", unit="log of a ratio of sizes",
              value=lambda arms, arm=arm, law=law: off_prediction(arm, law)(arms["memorise"], arms)[law])
      for size, arm in (("U50", "ungrok"), ("D50", "scratch")) for law in LAWS),
    *(Finding(text=f"ν, squared norm over Σ A^(2/3) of {what}, at 800 pairs", value=lambda arms, name=name: arms["main"][name],
              unit="squared norm")
      for name, what in (("nu", "all frequencies"), ("nu_set", "those of the set"))),
    Finding(text="Accuracy at 800 pairs", value=lambda arms: arms["main"].test, unit="share of unseen pairs"),
    Finding(text="Delay ÷ fit time at 800 pairs", value=lambda arms: patience(arms["main"]), unit="fit times"),
    Finding(
        text="Delay ÷ fit time at 1,000 pairs, where training is usual and nobody would speak of grokking",
        value=lambda arms: (lambda data: (data.grok - data.fit) / data.fit)(at(arms["plenty"], arms, 1000)), unit="fit times",
    ),
    Finding(
        text="Squared norm at the end of the control without weight decay, over that at its start",
        value=lambda arms: arms["no-decay"].growth, unit="ratio",
    ),
)  # fmt: skip


# --- figures -------------------------------------------------------------------------------------------------------------


def columns(rows, *names):
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def along(arms, named, measure):
    """Rows (size, mean, low, high, label) of a measure against the size of the training set."""
    rows = []
    for arm, label in named.items():
        data = by(arms[arm], "pairs")[measure]
        rows += [(int(size), *summary(data.sel(pairs=size).values), label) for size in data.pairs.values]
    return rows


def efficiency(arms):
    """Rows of J along sizes: measured, the memorisers' law, the best amplitudes as a level; U50 upright."""
    rows = along(arms, {"memorise": "random labels", "generalise": "sums, grokked"}, "cost")
    fitted, data = law(arms["memorise"])
    sizes = np.unique(np.concatenate([data.pairs.values, arms["generalise"].pairs.values]))
    best = summary(arms["main"].best_cost.values)
    for size in sizes.tolist():
        rows += [(size, *summary(fitted.at(size)), "law of random labels"), (size, *best, "sums, best amplitudes")]
    foot = min(row[1] for row in rows)
    forgets = summary(middle(arms["ungrok"]).values)[0]
    return rows + [(forgets, height, height, height, "← U50, measured") for height in (foot, best[0])]


def courses_of_training(arms):
    """Rows (step, share, whose, pairs, arm) of accuracy along training, means over seeds."""
    told = [("main", 0, "grokking"), ("scratch", 3, "semi-grokking"), ("ungrok", 0, "ungrokking"), ("ungrok", 3, "ungrokking")]
    rows = []
    for arm, place, name in told:
        sizes = np.unique(arms[arm].pairs.values)
        size = int(sizes[min(place, len(sizes) - 1)])
        data = arms[arm].isel(run=arms[arm].pairs.values == size)
        for whose, curve in (("training pairs", data.train_curve), ("unseen pairs", data.test_curve)):
            values = curve.mean("run").values
            rows += [(int(s), float(v), whose, f"{name}, {size} pairs") for s, v in zip(data.step.values, values, strict=True)]
    return rows


def simulated(arms):
    """Rows (time, logit, circuit, cell) of the simulation as it is and with one thing changed."""
    rows = []
    for name, circuits in two_circuits.variants(BASE).items():
        course = two_circuits.simulate(circuits, LONG)
        for i in np.unique(np.geomspace(1, 10_000, 120).round().astype(int)):
            rows += [
                (course.time[i], course.generalising[i], "generalising", name),
                (course.time[i], course.memorising[i], "memorising", name),
            ]
    return rows


def figures(arms):
    band = ("low", "high")
    return [
        Figure("Networks forget near the size at which memorising costs what generalising costs at best",
               columns(efficiency(arms), "pairs", "J", "low", "high", "networks"), "line", x="pairs", y="J", color="networks", band=band,
               x_log=True, y_log=True, x_title="pairs in the training set", y_title="J, nats",
               note="J is cross-entropy plus decayed norm; means over seeds with t intervals. U50 is where grokked networks forget; "
                    "from scratch they grok at larger sizes."),
        Figure("To reach an accuracy takes more pairs than to keep it",
               columns(along(arms, {"scratch": "from scratch", "ungrok": "ungrokking", "no-decay": "without weight decay"}, "test"),
                       "pairs", "accuracy", "low", "high", "networks"),
               "line", x="pairs", y="accuracy", color="networks", band=band, x_title="pairs in the training set",
               y_title="accuracy on unseen pairs", rules=((0.5, "a half"),), note="Means over seeds with t intervals."),
        Figure("Grokking, semi-grokking, ungrokking", columns(courses_of_training(arms), "step", "accuracy", "pairs", "run"), "line",
               x="step", y="accuracy", color="pairs", facet="run", x_log=True, x_title="training step", y_title="accuracy",
               note="Means over seeds."),
        Figure("Two circuits in simulation: as they are, and with one thing changed",
               columns(simulated(arms), "time", "logit", "circuit", "cell"), "line", x="time", y="logit", color="circuit",
               facet="cell", x_log=True, x_title="time, steps × learning rate", y_title="logit of the circuit, nats"),
    ]  # fmt: skip


PAGE = """
**The hypothesis.** A network can answer its training pairs by a circuit that memorises or by one that generalises. Weight decay makes it
prefer whichever reaches the same logits with less norm. Memorising costs more with every pair, generalising does not; so there is a
critical size of the training set, above which networks grok and below which even a grokked network forgets.

**How it is judged.** Addition mod 53 in a small two-layer network, sixteen seeds. J, the loss with its penalty, is measured for networks
that can only memorise and for grokked ones; for these also the best J their frequencies allow. Where the two cross is the prediction;
where grokked networks forget on fewer pairs, and where fresh ones grok, is what it is held to.

**Read this before you quote it.** One task, one small network, one optimiser. Where networks grok *from scratch* still moves with the
length of training. Over which frequencies ν is taken moves the prediction by a sixth;
claims about places must hold for both. A simulation of two circuits says what slowness alone can do.
"""

SMALL = Grokking(pairs=52, p=13, embed=16, hidden=16, steps=60)

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=(*CLAIMS, *EXACT, *FINDINGS), figures=figures, seeds_per_group=8,
    scope="addition mod 53, one two-layer ReLU network of width 64, full-batch Adam with coupled L2",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(Grokking(), seed=range(3000, 3008)),
    full=grid(Grokking(p=113, pairs=3600, embed=128, hidden=512, steps=40_000), seed=range(3000, 3008)),
    measured=2,
)  # fmt: skip
