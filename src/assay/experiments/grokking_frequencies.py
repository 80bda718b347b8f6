"""Grokking frequencies: are they those that were strong at initialisation, and does their interference set the critical size?

Seed: Rohin Shah, comment on Daniel Filan's interview of Vikrant Varma: a hypothesis of his own and how to test it
Paper: Varma et al. 2023, Explaining grokking through circuit efficiency; the hypothesis itself was, as far as we know, never tested
Claim: confined to a set of frequencies, networks forget at the size that the set's interference predicts; free ones pick and repair
Baselines: other networks' initialisations and predictions; turned phases; sets of equal interference; planted predictions
Cost: 447 s on 2 cores, 478 CPU-seconds, 0.49 GB a process; full a guess of 2 GPU-hours, never run
"""

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, Gate, PerRun, Spec, grid, reserved, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.stats import correlation, difference, products, ratio, sides, slope
from assay.data.primes import prime
from assay.theory import critical_size, frequency_sets, interference

SEED = "Rohin Shah, comment on Daniel Filan's interview of Vikrant Varma: a hypothesis and a proposed test"
VARMA = "Varma et al. 2023, Explaining grokking through circuit efficiency, critical dataset size"
PILOT = "pilot: seeds 0–31, met once by fresh seeds 100–131"
PLAN = "plan, before the pilot"
FIRST = "pilot: seeds 1000–1063"
VIEWS = ("E", "E W1", "W2", "best neuron")
"""Where the initial strength of a frequency is read."""
QUANTILES = (0.02, 0.1, 0.5, 0.9, 0.98)
LESS, LESS_BAD = (0.4, 0.4625, 0.525), (0.375, 0.45, 0.525, 0.6, 0.725, 0.85)
"""Shares of the training set on which networks go on: 320, 370, 420 of 800 pairs; 300, 360, 420, 480, 580, 680 where sets may be bad."""
LABELS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""The same for random labels: 200 to 700 pairs."""


@dataclass(frozen=True, kw_only=True)
class Frequencies(Spec):
    size: PerRun[int] = 800
    """Unordered pairs in the training set; sets of one seed are nested."""
    count: int = 5
    """Frequencies in a set that is imposed, and in the sets that are enumerated."""
    what: Literal["sums", "labels", "sets"] = "sums"
    """What is studied: networks on a + b, networks on random labels, or sets of frequencies without any network."""
    imposed: Literal["none", "random", "good", "bad", "same"] = "none"
    """Which of the seed's sets is imposed on the initial embedding."""
    factor: float = 1.0
    """By how much the set's part of it is multiplied."""
    turned: bool = False
    """Whether the phases of that part are turned at random."""
    confined: bool = False
    """Whether the embedding is projected onto the set, at the start and after each step."""
    p: int = 53
    """The modulus, a prime."""
    width: int = 64
    """Width of the embedding and number of hidden units."""
    steps: int = 1_500
    """Full-batch steps, of the first training and of going on with less data."""
    lr: float = 0.01
    """Adam's learning rate."""
    decay: float = 3e-5
    """Coupled weight decay w: the loss is cross-entropy + w/2 times the squared norm."""
    nu: float = 122.7
    """Squared norm over the sum of A^(2/3), for predictions; what differs from it in the trained networks is put right to first order."""
    orbits: int = 3_000
    """Sets looked at when sets alone are studied: all, up to units, if they are no more; else a random draw."""

    def check(self) -> None:
        most = (prime(self.p) - 1) // 2
        for name, least in {"size": 1, "width": 1, "steps": 2, "orbits": 1, "count": 1}.items():
            if getattr(self, name) < least:
                raise SpecError(f"Frequencies.{name} must be at least {least}, got {getattr(self, name)}")
        if self.count > most:
            raise SpecError(f"Frequencies.count: there are {most} frequencies at modulus {self.p}, got {self.count}")
        if self.size > self.p * (self.p + 1) // 2:
            raise SpecError(f"Frequencies.size: there are {self.p * (self.p + 1) // 2:,} pairs at p={self.p}, got {self.size:,}")
        if self.lr <= 0 or self.decay < 0 or self.nu <= 0:
            raise SpecError(f"Frequencies needs lr and nu above 0 and decay at least 0, got {self.lr:g}, {self.nu:g}, {self.decay:g}")
        if (self.confined or self.turned or self.factor != 1) and self.imposed == "none":
            raise SpecError("Frequencies: confined, turned and factor act on an imposed set; choose imposed=random, good, bad or same")


# --- what is trained -----------------------------------------------------------------------------------------------------


def lot(runs, kind):
    """(mask [run, frequency], J [run], S [run]) of the runs' sets of one kind."""
    s = runs.shared
    sets, best = frequency_sets.lots(tuple(runs.seeds.tolist()), s.p, s.count, s.decay, s.nu)[kind]
    return interference.masks(sets.tolist(), s.p), best.objective, best.size


def lesson(runs):
    """The pairs that each run learns, and its order of them."""
    from assay.data import modular
    from assay.subjects.modular_network import Lesson

    s = runs.shared
    labels = modular.random_labels(runs.seeds, s.p) if s.what == "labels" else modular.sums(s.p).expand(len(runs), -1)
    return Lesson(s.p, modular.pairs(s.p), labels, modular.order(runs.seeds, s.p), runs.each("size"))


def start(runs):
    """Initial parameters; an imposed set's part of the embedding is multiplied, turned, or all that is left."""
    import torch

    from assay.core import rng
    from assay.subjects import modular_network, modular_spectrum

    s = runs.shared
    params = modular_network.start(runs.seeds, s.p, s.width, s.width)
    if s.imposed == "none":
        return params
    mask = torch.from_numpy(lot(runs, s.imposed)[0]).float()
    E = modular_spectrum.scaled(params["E"], 1 + (s.factor - 1) * mask)
    if s.turned:
        angle = torch.from_numpy(rng.uniform(runs.seeds, "frequencies.angle", 0, (mask.shape[1],)))
        E = modular_spectrum.rotated(E, 2 * np.pi * angle * mask)
    if s.confined:  # rescaled, so that less of a table is as long as all of it
        E = torch.bmm(modular_spectrum.projector(mask, s.p), E) * (s.p / 2 / s.count) ** 0.5
    return {**params, "E": E}


def go(runs, params, bench, confine=None):
    """The networks after another `steps` steps on their own pairs; looks at half time and the end."""
    from assay.subjects import modular_network

    s = runs.shared
    same = np.full(len(runs), 1.0)
    looks = (s.steps // 2, s.steps)
    return modular_network.train(runs, params, lesson(runs), steps=s.steps, lr=s.lr * same, decay=s.decay * same, looks=looks,
                                 confine=confine, bench=bench)  # fmt: skip


def train(runs, bench):
    """Networks from their start, confined after each step if they are to be."""
    import torch

    from assay.subjects import modular_spectrum

    s = runs.shared
    if not s.confined:
        return go(runs, start(runs), bench)
    onto = modular_spectrum.projector(torch.from_numpy(lot(runs, s.imposed)[0]).float(), s.p).to(bench.device)

    def confine(params, rows):
        params["E"].copy_(torch.bmm(onto[torch.from_numpy(rows)], params["E"]))

    return go(runs, start(runs), bench, confine)


def go_on(runs, bench, before):
    """Trained networks on the first few of their own pairs, free to use any frequency."""
    import torch

    from assay.subjects import modular_network

    done = go(runs, before.tensors, bench)
    with torch.no_grad():
        done.tensors["start"] = modular_network.evaluate(before.tensors, lesson(runs))["test"]
    return done


def look(runs, bench):
    """Nothing is trained: sets of frequencies by themselves."""
    from assay.core.fit import Trained

    n = len(runs)
    return Trained(tensors={}, header={}, history={}, steps=np.zeros(0, int), diverged=np.zeros(n, bool))


# --- what is measured ----------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    s = runs.shared
    if s.what == "sets":
        return measure_sets(runs)
    last = {name: trained.tensors[f"{name}_at"].cpu().numpy() for name in ("train", "test", "loss", "norm")}
    objective = last["loss"] + s.decay / 2 * last["norm"]
    seen = {
        "train": ("run", last["train"][:, -1], "share right"), "test": ("run", last["test"][:, -1], "share right"),
        "test_half": ("run", last["test"][:, 0], "share right"), "norm": ("run", last["norm"][:, -1], "squared norm"),
        "objective": ("run", objective[:, -1], "nats"), "objective_half": ("run", objective[:, 0], "nats"),
    }  # fmt: skip
    if s.what == "labels":
        return measures(runs, coords=None, **seen)
    if s.imposed in ("good", "bad", "same"):
        seen["gap"] = ("run", np.log(lot(runs, "bad")[1] / lot(runs, "good")[1]), "log ratio of J")
    if "start" in trained.tensors:
        return measures(runs, coords=None, start=("run", trained.tensors["start"], "share right"), **seen)
    return measures(runs, coords={"view": VIEWS}, **seen, **measure_spectrum(runs, trained))


def measure_spectrum(runs, trained):
    """What networks use, what was strong at their start, and the cheapest circuit of their set: the imposed, else the used one."""
    from assay.subjects import modular_spectrum

    s = runs.shared
    first = start(runs)
    views = (first["E"], first["E"] @ first["W1"], first["W2"].transpose(1, 2))
    power = np.stack([*(modular_spectrum.power(v.double()).numpy() for v in views),
                      modular_spectrum.best_neuron({n: v.double() for n, v in first.items()}).numpy()], 1)  # fmt: skip
    A = modular_spectrum.amplitudes(trained.tensors).cpu().numpy()
    peak = A.max(1, keepdims=True)
    used = A / peak > 0.1
    imposed = np.zeros_like(used) if s.imposed == "none" else lot(runs, s.imposed)[0] > 0
    target = used if s.imposed == "none" else imposed
    S = np.clip(A, 0, None) ** (2 / 3)
    best = interference.optimum(interference.sets_of(target), s.p, decay=s.decay, nu=s.nu)
    named = {
        "power": ("run view frequency", power, "squared length"), "amplitude": ("run frequency", A, "logit"),
        "used": ("run frequency", used, "bool"), "imposed": ("run frequency", imposed, "bool"),
        "outsiders": ("run", ((A / peak > 0.5) & ~imposed).sum(1), "frequencies"),
        "size_used": ("run", S.sum(1), "1"), "size_set": ("run", (S * target).sum(1), "1"),
        "circuit": ("run", best.objective, "nats"), "circuit_size": ("run", best.size, "1"),
        "even": ("run", interference.even(interference.sets_of(target), s.p, decay=s.decay, nu=s.nu), "nats"),
        "margin": ("run", interference.margin(target.astype(float), s.p), "logit at amplitude 1"),
    }  # fmt: skip
    if s.imposed == "none":
        named["worse"] = ("run", worse(runs, used, best.objective), "share of sets")
    return named


def worse(runs, used, J, draws=24):
    """[run]: share of random sets of the same size whose cheapest circuit costs more."""
    from assay.core import rng

    s = runs.shared
    order = [rng.permutation(runs.seeds, "frequencies.worse", i, used.shape[1]) for i in range(draws)]
    sets = [(o[r, :m] + 1).tolist() for o in order for r, m in enumerate(used.sum(1))]
    return (interference.optimum(sets, s.p, decay=s.decay, nu=s.nu).objective.reshape(draws, -1) > J).mean(0)


def measure_sets(runs):
    """The J at some quantiles of all sets, with the S of the set there."""
    s, n = runs.shared, len(runs)
    J, S, orbits = frequency_sets.quantiles(s.p, s.count, QUANTILES, decay=s.decay, nu=s.nu, most=s.orbits)
    return measures(
        runs, coords={"quantile": QUANTILES}, circuit=("run quantile", np.tile(J, (n, 1)), "nats"),
        circuit_size=("run quantile", np.tile(S, (n, 1)), "1"), orbits=("run", np.full(n, orbits), "orbits"),
    )  # fmt: skip


# --- from measures to sizes ----------------------------------------------------------------------------------------------


def crossing(less, at="test"):
    """[seed]: the size at which networks that go on with less still answer half of the other pairs; on straight lines between sizes."""
    test = by(less, "size")[at].transpose("seed", "size")
    return test.isel(size=0, drop=True).copy(data=critical_size.crossing(test["size"].values, test.values))


def middle(less, at="test"):
    """[seed]: the same by a straight line of log odds, where sizes are few and near."""
    test = by(less, "size")[at].transpose("seed", "size")
    return test.isel(size=0, drop=True).copy(data=critical_size.odds_middle(test["size"].values, test.values))


def memory(arms, each=False, shuffled=False):
    """The power law of memorising: one of the mean log J over seeds, or each seed's own; sizes in a wrong order if shuffled."""
    J = by(arms["labels"], "size").objective.transpose("seed", "size")
    size = J["size"].values[[3, 0, 4, 1, 5, 2]] if shuffled else J["size"].values
    return critical_size.power_law(size, J.values if each else np.exp(np.nanmean(np.log(J.values), 0, keepdims=True)))


def log_predicted(data, arms, shuffled=False, of="main", over="size_used"):
    """log D_crit of the cheapest circuits in `data`, at the mean memoriser and a norm law: main's, over all amplitudes, if not said."""
    some = arms[of]
    some = some.isel(run=~some.diverged.values)
    nu = critical_size.proportion(some[over].values, some.norm.values)
    cost = data.circuit + some.attrs["decay"] / 2 * (nu - some.attrs["nu"]) * data.circuit_size
    return memory(arms, shuffled=shuffled).log_size(cost)


def joined(of, find, at="test", shuffled=False):
    """A derived arm: the runs of an arm with the size at which they forget, and the predicted one."""

    def derive(arms):
        data, less = by(arms[of]), arms[f"{of}-less"]
        lost = by(less, "size").diverged.any("size") | data.diverged
        made = data.assign(size_of=("seed", find(less, at).values), log_predicted=log_predicted(data, arms, shuffled), diverged=lost,
                           start=by(less, "size").start.min("size"))  # fmt: skip
        return made.rename(seed="run").assign_coords(seed=("run", data.seed.values)).drop_vars("run")

    return derive


def with_others(derive, shifts=8):
    """A derived arm: what each network is predicted by is taken from other networks, the next eight seeds in turn."""

    def shifted(arms):
        made = derive(arms)
        for name in ("log_predicted", "objective", "power", "even"):
            parts = [np.roll(made[name].values, -s, 0) for s in range(1, shifts + 1)]
            made[name] = (("partner", *made[name].dims), np.stack(parts))
        return made

    return shifted


def planted(noise):
    """A derived arm: main's networks forget where their set predicts, but for a scatter of e^(noise z)."""

    def derive(arms):
        from assay.core import rng

        made = joined("main", middle)(arms)
        z = rng.normal(made.seed.values, "frequencies.planted", 0, ())
        return made.assign(size_of=np.exp(made.log_predicted + noise * z))

    return derive


def at_half(of):
    """A derived arm: where networks had come to half-way through going on with less. The rate is constant."""
    return lambda arms: arms[of].assign(test=arms[of].test_half)


# --- statistics ----------------------------------------------------------------------------------------------------------


def auroc(view="E"):
    """[run]: probability that a used frequency was stronger at the start than one that is not used."""

    def value(arm, arms):
        strong = arm.power.sel(view=view, drop=True)
        weak = strong.rename(frequency="other")
        pairs = arm.used * ~arm.used.rename(frequency="other")
        wins = ((strong > weak) + 0.5 * (strong == weak)) * pairs
        return alone(wins.sum(("frequency", "other")) / pairs.sum(("frequency", "other")))

    return value


def overlap(arm, arms):
    """[run]: share of the m used frequencies among the m strongest at the start."""
    strong, m = arm.power.sel(view="E", drop=True), arm.used.sum("frequency")
    stronger = (strong.rename(frequency="other") > strong).sum("other")
    return alone((arm.used & (stronger < m)).sum("frequency") / m)


def alone(x):
    """The mean over partners, where there are any."""
    return x.mean("partner") if "partner" in x.dims else x


def beside(arm, other, name):
    """[run …]: a measure of the other arm's runs of the same seeds."""
    found = by(other)[name].sel(seed=arm.seed.values)
    return found.rename(seed="run").drop_vars("run").assign_coords(seed=arm.seed)


def chosen(arm, arms):
    """[run]: share of the imposed frequencies that the network uses."""
    return (arm.used & arm.imposed).sum("frequency") / arm.imposed.sum("frequency")


def more_chosen(arm, arms):
    """[run]: the same, less the share that main's network of this seed uses."""
    unforced = (beside(arm, arms["main"], "used") * arm.imposed).sum("frequency") / arm.imposed.sum("frequency")
    return chosen(arm, arms) - unforced


def more_outsiders(arm, arms):
    """[run]: strong frequencies that are not imposed, more than in the network with the good set."""
    return arm.outsiders - beside(arm, arms["free-good"], "outsiders")


def efficiency_gap(arm, arms):
    """Terms [run]: log J above that with the good set, and what the cheapest circuits of the imposed sets differ by."""
    good = arms["good" if arm.attrs["confined"] else "free-good"]
    return {"gap": np.log(arm.objective) - np.log(beside(arm, good, "objective")), "predicted": arm.gap}


def size_gap(arm, arms):
    """[seed]: log of the size at which networks forget, above that with the good set."""
    own = np.log(crossing(arm))
    return own - np.log(crossing(arms["good-less"]).sel(seed=own.seed))


def size_gaps(arm, arms):
    """Terms [seed]: that, and the predicted one between the seed's bad and good set."""
    return {"gap": size_gap(arm, arms), "predicted": by(arm, "size").gap.mean("size") / memory(arms).beta[0]}


def ranked(x):
    """Ranks over runs; numbers that agree to 4 decimals tie, as sets of one orbit do but for the optimiser's last digits."""
    from scipy.stats import rankdata

    return x.copy(data=rankdata(np.round(x.values, 4), axis=x.get_axis_num("run"), nan_policy="omit"))


def ranks(arm, arms):
    """Products of the ranks of predicted and measured sizes."""
    return products(ranked(arm.log_predicted), ranked(np.log(arm.size_of)), over=["partner"])


def own(arm, arms):
    """Products of a network's own log J with the log of the size at which it forgets."""
    return products(np.log(arm.objective), np.log(arm.size_of), over=["partner"])


def off_by(arm, arms):
    """[run]: log of the measured over the predicted size."""
    return np.log(arm.size_of) - arm.log_predicted


def spread(arm, arms):
    """[run]: (90 % − 10 % quantile) over the median of predicted sizes, with the memoriser and the norm law of each seed's networks."""
    law, main = memory(arms, each=True), by(arms["main"]).sel(seed=arm.seed.values)
    nu = main.norm.values / main.size_used.values
    J = arm.circuit + arm.attrs["decay"] / 2 * (nu - arm.attrs["nu"])[:, None] * arm.circuit_size
    size = J.transpose("quantile", "run").copy(data=np.exp(law.log_size(J.transpose("quantile", "run").values)))
    return (size.sel(quantile=0.9, drop=True) - size.sel(quantile=0.1, drop=True)) / size.sel(quantile=0.5, drop=True)


def deviation(m):
    """Standard deviation of measured over that of predicted, from the terms of products of their logs."""
    return np.sqrt((m["yy"] - m["y"] ** 2) / (m["xx"] - m["x"] ** 2))


def steps_up(arm):
    """Terms [run, point]: which log sizes, measured and predicted, each less its median, lie below the points of a grid."""
    import xarray as xr

    points = xr.DataArray(np.linspace(-0.4, 0.4, 161), dims="point")
    measured = np.log(arm.size_of)
    return {"measured": (measured - measured.median()) < points, "predicted": (arm.log_predicted - arm.log_predicted.median()) < points}


def distance(m):
    """Largest difference of two distribution functions (Kolmogorov and Smirnov)."""
    return np.abs(m["measured"] - m["predicted"]).max(-1)


def ranks_by(arm, name, sign=1):
    """Products of the ranks of another predictor, or of minus it, and of the measured size."""
    return products(ranked(sign * np.log(arm[name])), ranked(np.log(arm.size_of)), over=["partner"])


def ranks_by_even(arm, arms):
    """The same of the cheapest circuits that give all their frequencies one amplitude."""
    return ranks_by(arm, "even")


def ranks_alike(arm, arms):
    """The same among networks of as many frequencies: of both logs less their means over these; a number that one network has is left out."""
    number = arm.used.sum("frequency").values
    even, size = (np.log(arm[name]).transpose(..., "run") for name in ("even", "size_of"))
    for m in np.unique(number):
        known = (number == m) & ~np.isnan(size.values)
        for x in (even, size):
            x.values[..., number == m] -= x.values[..., known].mean(-1, keepdims=True) if known.sum() > 1 else np.nan
    return products(ranked(even), ranked(size), over=["partner"])


def off_by_law(name, of, over):
    """A finding's value [run]: log of the measured size of an arm's networks over that predicted with another norm law."""
    return lambda arms: np.log(arms[name].size_of) - log_predicted(arms[name], arms, of=of, over=over)


def of_main(value):
    """A finding's value: what a claim's says of main."""
    return lambda arms: value(arms["main"], arms)


def alone_in_orbit(arms):
    """[run]: 1 where no other of main's networks uses a set of the same interference."""
    arm = arms["main"]
    names = [interference.representative(k, arm.attrs["p"]) for k in interference.sets_of(arm.used.values)]
    return arm.objective.copy(data=[float(names.count(n) == 1) for n in names])


def all_counted(arms):
    """Sets of a size over sets in its orbits, as all have (p − 1)/2."""
    arm = arms["sets"]
    most = (arm.attrs["p"] - 1) // 2
    return arm.orbits.values * most / comb(most, arm.attrs["count"])


GENERAL = Gate("generalises", lambda arm: arm.train.min() >= 0.99 and arm.test.mean() >= 0.95)
STARTED = Gate("start", lambda arm: arm.start.min() >= 0.85)


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def as_they_come(specs):
    """The preset's specs. Raises: SpecError where they set what other arms set, or have several sizes."""
    if len(sizes := sorted({s.size for s in specs})) > 1:
        raise SpecError(f"a preset has one Frequencies.size, of which arms make others, got {', '.join(map(str, sizes))}")
    return reserved("what", "imposed", "factor", "turned", "confined")(specs)


def part(size, shares):
    """These shares of a training set, in pairs. Raises: SpecError where they are not different numbers."""
    made = [round(size * share) for share in shares]
    if len({0, *made}) <= len(made):
        least = int(np.ceil(1 / np.diff((0, *sorted(shares))).min()))
        raise SpecError(f"other arms' sizes are shares of Frequencies.size, which must be at least {least} for them to differ, got {size}")
    return made


def like(seeds, sizes=(1.0,), **fields):
    """The preset's first so many seeds with other fields, on these shares of its training set."""

    def specs(main):
        some = sorted({s.seed for s in main})[:seeds]
        return grid(main[0].replace(**fields), seed=some, size=part(main[0].size, sizes))

    return specs


def less(shares):
    """Each network's sizes for going on."""
    return lambda parents: tuple(p.replace(size=size) for p in parents for size in part(p.size, shares))


def imposed(kind, seeds=16, **fields):
    """Networks with a set imposed on their start."""
    return like(seeds, imposed=kind, **fields)


DOUBLED = "the initial embedding doubled at five frequencies"
CONFINED = "confined to five frequencies"
ARMS = {
    "main": Arm(train, specs=as_they_come, note="networks as they come, on 800 of 1,431 pairs"),
    "main-less": Arm(go_on, after="main", specs=less(LESS), note="the same going on with 320, 370 and 420 of their pairs"),
    "labels": Arm(train, specs=like(8, LABELS, what="labels"), note="random labels on 200 to 700 pairs: pure memorisers"),
    "doubled": Arm(train, specs=imposed("random", factor=2.0), note=f"{DOUBLED} at random"),
    "halved": Arm(train, specs=imposed("random", factor=0.5), note="halved instead"),
    "turned": Arm(train, specs=imposed("random", turned=True), note="turned in phase instead, with the power as it was"),
    "free-good": Arm(train, specs=imposed("good", 24, factor=2.0), note=f"{DOUBLED} that interfere little"),
    "free-bad": Arm(train, specs=imposed("bad", 24, factor=2.0), note=f"{DOUBLED} that interfere much"),
    "free-same": Arm(train, specs=imposed("same", 24, factor=2.0), note="another set of the orbit of the good one: equal interference"),
    "good": Arm(train, specs=imposed("good", 24, confined=True), note=f"{CONFINED} that interfere little"),
    "bad": Arm(train, specs=imposed("bad", 24, confined=True), note=f"{CONFINED} that interfere much"),
    "same": Arm(train, specs=imposed("same", confined=True), note=f"{CONFINED} of the orbit of the good set"),
    "random": Arm(train, specs=imposed("random", 32, confined=True), note=f"{CONFINED} at random"),
    "good-less": Arm(go_on, after="good", specs=less(LESS_BAD[:3]), note="good going on with 300 to 420 pairs, free again"),
    "bad-less": Arm(go_on, after="bad", specs=less(LESS_BAD), note="bad going on with 300 to 680 pairs, free again"),
    "same-less": Arm(go_on, after="same", specs=less(LESS_BAD[:4]), note="same going on with 300 to 480 pairs, free again"),
    "random-less": Arm(go_on, after="random", specs=less(LESS_BAD[:5]), note="random going on with 300 to 580 pairs, free again"),
    "sets": Arm(look, specs=like(8, what="sets"), note="all sets of five frequencies, with no network"),
    "sets-7": Arm(look, specs=like(8, what="sets", count=7), note="sets of seven: with more waves there is less to choose"),
    "natural": Arm(derive=joined("main", middle), note="main's networks with the size at which they forget, and the predicted one"),
    "confined": Arm(derive=joined("random", crossing), note="random's networks with the same"),
    "others": Arm(derive=with_others(joined("main", middle)), note="natural, but start, J and prediction are of eight other networks"),
    "confined-others": Arm(derive=with_others(joined("random", crossing)), note="confined, but predictions are of eight other networks"),
    "planted": Arm(derive=planted(0.021), note="natural, were forgetting as predicted with a scatter of 2.1 %"),
    "planted-noisy": Arm(derive=planted(0.04), note="the same with a scatter of 4 %"),
    "shuffled": Arm(derive=joined("random", crossing, shuffled=True), note="confined, predicted by a memoriser with its sizes in wrong order"),
    "natural-half": Arm(derive=joined("main", middle, "test_half"), note="natural half-way through going on with less"),
    "confined-half": Arm(derive=joined("random", crossing, "test_half"), note="confined half-way"),
    "good-half": Arm(derive=at_half("good-less"), note="good-less half-way"),
    "bad-half": Arm(derive=at_half("bad-less"), note="bad-less half-way"),
}  # fmt: skip

LAWS = {"over all amplitudes": "size_used", "over the set's amplitudes": "size_set"}
HALVES = {"bad-less": "bad-half", "good-less": "good-half"}
NEW = {"published": "new", "source": SEED}
CLAIMS = (
    Claim(
        text="(a) Frequencies that are strong at the start are used: mean AUROC of their power at least 0.57",
        value=auroc(), low=0.57, unit="AUROC", must_fail=("others",), gates=(GENERAL,), threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(a), as it was said: the m that are used are the m strongest at the start, to at least 0.6",
        value=overlap, low=0.6, unit="share of used frequencies", must_fail=("others",), gates=(GENERAL,),
        threshold_from=PLAN, **NEW,
    ),
    Claim(
        text="(a) as a cause: doubling five frequencies at the start raises the share of them that is used by at least 0.25",
        of="doubled", value=more_chosen, low=0.25, unit="share of the five", must_fail=("turned",), gates=(GENERAL,),
        threshold_from=PLAN, **NEW,
    ),
    Claim(
        text="(a) as a cause: of five frequencies halved at the start at most 0.05 are used",
        of="halved", value=chosen, high=0.05, unit="share of the five", must_fail=("turned",), gates=(GENERAL,), threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="Bad sets are left: networks add at least 0.5 more strong frequencies to a doubled bad set than to a good one",
        of="free-bad", value=more_outsiders, low=0.5, unit="frequencies", must_fail=("free-same",), gates=(GENERAL,),
        threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="So the gap in efficiency vanishes: between free networks at most 0.3 of the gap between their imposed sets",
        of="free-bad", value=efficiency_gap, statistic=ratio("gap", "predicted"), high=0.3, unit="share of the predicted gap",
        must_fail=("bad",), gates=(GENERAL,), threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(b) where there is no choice: networks confined to bad sets forget at sizes larger by at least 0.10 (log)",
        of="bad-less", value=size_gap, low=0.1, unit="log ratio of sizes", must_fail=("same-less",), gates=(STARTED,), half=HALVES,
        threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(b) and by as much as predicted: 0.5 to 1.5 of it",
        of="bad-less", value=size_gaps, statistic=ratio("gap", "predicted"), low=0.5, high=1.5, unit="share of the predicted gap",
        must_fail=("same-less",), gates=(STARTED,), half=HALVES,
        threshold_from=f"{PILOT}; 0.6 to 1.4 widened by what the size moves since half-way, seeds 0–15", **NEW,
    ),
    Claim(
        text="(b) network by network, where there is no choice: rank correlation of predicted and measured size at least 0.5",
        of="confined", value=ranks, statistic=correlation, low=0.5, unit="rank correlation", must_fail=("confined-others",),
        gates=(STARTED,), half={"confined": "confined-half"}, threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(b) as it was said, among networks as they come: the same rank correlation is at least 0.5",
        of="natural", value=ranks, statistic=correlation, low=0.5, unit="rank correlation", must_fail=("others",),
        must_hold=("planted", "confined"), gates=(STARTED,), half={"natural": "natural-half"}, threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(b) with one amplitude for all frequencies of the circuit that predicts, as they come: rank correlation at least 0.25",
        of="natural", value=ranks_by_even, statistic=correlation, low=0.25, unit="rank correlation", must_fail=("others",),
        must_hold=("confined",), gates=(STARTED,), half={"natural": "natural-half"}, threshold_from=f"{FIRST}, .55 [.34, .73]; 0–31, .50", **NEW,
    ),
    Claim(
        text="And not by how many frequencies there are: the same among networks of as many frequencies",
        of="natural", value=ranks_alike, statistic=correlation, low=0.25, unit="rank correlation", must_fail=("others",),
        gates=(STARTED,), half={"natural": "natural-half"}, threshold_from=f"{FIRST}, .62 [.45, .77]; 0–31, .60", **NEW,
    ),
    Claim(
        text="Networks as they come forget by their own efficiency: correlation of log J with the log size at least 0.7",
        of="natural", value=own, statistic=correlation, low=0.7, unit="correlation", must_fail=("others",), gates=(STARTED,),
        half={"natural": "natural-half"}, threshold_from=PILOT, published="new", source=VARMA,
    ),
    Claim(
        text="The theory puts confined networks where they are, with ν of main over all amplitudes: log of measured over predicted size "
             "within 0.15",
        of="confined", value=off_by, low=-0.15, high=0.15, unit="log ratio of sizes", must_fail=("shuffled",), gates=(STARTED,),
        half={"confined": "confined-half"}, threshold_from=PILOT, published="new", source=VARMA,
    ),
    Claim(
        text="Interference makes a difference to predict: sets of five have critical sizes that spread by at least 0.10",
        of="sets", value=spread, low=0.1, unit="(90 % − 10 % quantile) ÷ median", must_fail=("sets-7",),
        threshold_from=PLAN, **NEW,
    ),
    Exact(
        text="Sets of five frequencies and their orbits: orbits × (p − 1)/2 over the number of sets",
        value=all_counted, expected=1.0, tolerance=1e-12, source="units act freely on sets whose size shares no factor with (p − 1)/2",
    ),
    *(Finding(text=f"(a) AUROC of the strength at the start read from {view} instead of E", value=of_main(auroc(view)), unit="AUROC")
      for view in VIEWS[1:]),
    Finding(text="Frequencies that a network uses", value=lambda arms: arms["main"].used.sum("frequency"), unit="frequencies"),
    Finding(
        text="Networks whose set interferes like no other network's", value=alone_in_orbit, unit="share of networks",
    ),
    Finding(
        text="Random sets of as many frequencies that would cost more than the chosen one", value=lambda arms: arms["main"].worse,
        unit="share of sets",
    ),
    Finding(
        text="Gap in efficiency between networks confined to a bad and to a good set, over the predicted one",
        value=lambda arms: efficiency_gap(arms["bad"], arms), statistic=ratio("gap", "predicted"), unit="share of the predicted gap",
    ),
    Finding(
        text="Rank correlation with the size if the least margin of the set, without amplitudes or norm, predicts (confined)",
        value=lambda arms: ranks_by(arms["confined"], "margin", -1), statistic=correlation, unit="rank correlation",
    ),
    Finding(
        text="Lead of the predicted size over that margin, in rank correlation (confined)",
        value=lambda arms: sides(a=ranks(arms["confined"], arms), b=ranks_by(arms["confined"], "margin", -1)),
        statistic=difference(correlation), unit="rank correlation",
    ),
    Finding(
        text="Rank correlation if the circuit that predicts gives all frequencies one amplitude (confined)",
        value=lambda arms: ranks_by(arms["confined"], "even"), statistic=correlation, unit="rank correlation",
    ),
    Finding(
        text="Lead of one amplitude over the cheapest ones, in rank correlation (as they come)",
        value=lambda arms: sides(a=ranks_by(arms["natural"], "even"), b=ranks(arms["natural"], arms)),
        statistic=difference(correlation), unit="rank correlation",
    ),
    Finding(
        text="Rank correlation with the size if the number of frequencies predicts (as they come)", statistic=correlation,
        value=lambda arms: products(ranked(arms["natural"].used.sum("frequency")), ranked(np.log(arms["natural"].size_of))),
        unit="rank correlation",
    ),
    Finding(
        text="Power: rank correlation in natural networks if sets did decide, with a scatter of 4 % beside",
        value=lambda arms: ranks(arms["planted-noisy"], arms), statistic=correlation, unit="rank correlation",
    ),
    Finding(
        text="Location of natural networks: log of measured over predicted size", value=lambda arms: off_by(arms["natural"], arms),
        unit="log ratio of sizes",
    ),
    *(Finding(text=f"ν, squared norm over Σ A^(2/3) {what}, {name}",
              value=lambda arms, name=name, over=over: arms[name].norm / arms[name][over], unit="squared norm")
      for name in ("main", "random") for what, over in LAWS.items()),
    Finding(
        text="Location of confined networks with ν of main over the set's amplitudes", value=off_by_law("confined", "main", "size_set"),
        unit="log ratio of sizes",
    ),
    *(Finding(text=f"Location of confined networks with their own ν {what}", value=off_by_law("confined", "random", over),
              unit="log ratio of sizes")
      for what, over in LAWS.items()),
    Finding(
        text="Location of natural networks with ν over the set's amplitudes", value=off_by_law("natural", "main", "size_set"),
        unit="log ratio of sizes",
    ),
    Finding(
        text="Natural networks: slope of the log size on their own log J (theory: 1/β, about 1.5)",
        value=lambda arms: own(arms["natural"], arms), statistic=slope, unit="log size per log J",
    ),
    *(Finding(text=f"Measured over predicted spread (standard deviations of log size), {name} networks",
              value=lambda arms, name=name: products(arms[name].log_predicted, np.log(arms[name].size_of)), statistic=deviation, unit="ratio")
      for name in ("natural", "confined")),
    *(Finding(text=f"Largest difference between the distributions of measured and predicted log size less their medians, {name} networks",
              value=lambda arms, name=name: steps_up(arms[name]), statistic=distance, unit="probability")
      for name in ("natural", "confined")),
)  # fmt: skip


def pairs(arms):
    """Columns: predicted and measured size of each network, and where they would be equal."""
    columns: dict[str, list] = {"predicted": [], "measured": [], "networks": []}
    for name, label in (("confined", "confined"), ("natural", "as they come")):
        columns["predicted"] += np.exp(arms[name].log_predicted.values).tolist()
        columns["measured"] += arms[name].size_of.values.tolist()
        columns["networks"] += [label] * arms[name].sizes["run"]
    known = [size for pair in zip(columns["predicted"], columns["measured"], strict=True) if np.isfinite(pair).all() for size in pair]
    equal = np.linspace(min(known), max(known), 25).tolist() if known else []
    columns["predicted"] += equal
    columns["measured"] += equal
    columns["networks"] += ["if equal"] * len(equal)
    return columns


def shares(arms):
    """Columns: share of networks below a size, measured and predicted."""
    columns: dict[str, list] = {"size": [], "share": [], "which": [], "networks": []}
    for name in ("natural", "confined"):
        for which, sizes in (("measured", arms[name].size_of.values), ("predicted", np.exp(arms[name].log_predicted.values))):
            known = np.sort(sizes[~np.isnan(sizes)])
            columns["size"] += known.tolist()
            columns["share"] += ((np.arange(len(known)) + 0.5) / max(len(known), 1)).tolist()
            columns["which"] += [which] * len(known)
            columns["networks"] += [name] * len(known)
    return columns


def rates(arms):
    """Columns: share of five random frequencies that is used, by what was done to them at the start."""
    columns: dict[str, list] = {"start": [], "mean": [], "low": [], "high": []}
    untouched = chosen(arms["doubled"], arms) - more_chosen(arms["doubled"], arms)
    halved, doubled, turned = (chosen(arms[name], arms) for name in ("halved", "doubled", "turned"))
    for label, share in (("halved", halved), ("as it was", untouched), ("turned in phase", turned), ("doubled", doubled)):
        for name, cell in zip(columns, (label, *summary(share.values)), strict=True):
            columns[name].append(cell)
    return columns


def waves_of(arms):
    """Columns: logit of each wrong answer below the right one, for the first seed's good and bad set at amplitude 2."""
    columns: dict[str, list] = {"difference": [], "logit": [], "set": []}
    for kind in ("good", "bad"):
        mask, p = arms[kind].imposed.values[:1], arms[kind].attrs["p"]
        logits = interference.profile(2.0 * mask, p)[0]
        columns["difference"] += list(range(1, p))
        columns["logit"] += (logits[1:] - logits[0]).tolist()
        columns["set"] += [f"{kind}: {', '.join(map(str, interference.sets_of(mask)[0]))}"] * (p - 1)
    return columns


def forgetting(arms):
    """Columns: share of other pairs still answered after going on with fewer pairs."""
    columns: dict[str, list] = {"size": [], "mean": [], "low": [], "high": [], "networks": []}
    labels = {"main-less": "as they come", "good-less": "good set", "same-less": "same orbit", "bad-less": "bad set", "random-less": "random set"}
    for name, label in labels.items():
        test = by(arms[name], "size").test
        for size in test["size"].values:
            for column, cell in zip(columns, (int(size), *summary(test.sel(size=size).values), label), strict=True):
                columns[column].append(cell)
    return columns


def figures(arms):
    pairs_title = "training pairs"
    return [
        Figure("Size at which networks forget, measured against predicted from their frequencies alone", pairs(arms), "points",
               x="predicted", y="measured", color="networks", x_title=f"predicted, {pairs_title}", y_title=f"measured, {pairs_title}",
               note="A circle or a square is a network, confined to a random set or as it comes. "
                    "Predicted from the interference of its set, the memoriser's law and the norm law."),
        Figure("Distribution of these sizes over networks, measured and predicted", shares(arms), "line", x="size", y="share", color="which",
               facet="networks", x_title=pairs_title, y_title="share of networks below"),
        Figure("What a push at the start does to five random frequencies", rates(arms), "bars", x="start", y="mean", band=("low", "high"),
               x_title="the five at the start", y_title="share of the five that is used"),
        Figure("Interference: logits of wrong answers for a good and a bad set, at equal amplitudes", waves_of(arms), "line",
               x="difference", y="logit", color="set", x_title="how far the answer is off, mod p", y_title="logit below that of the right answer",
               note="The first seed's sets, every amplitude 2, so that both have one norm. A wrong answer near 0 costs."),
        Figure("Forgetting: networks that go on with fewer of their pairs", forgetting(arms), "line", x="size", y="mean", color="networks",
               x_log=True, band=("low", "high"), x_title=pairs_title, y_title="share of other pairs answered right", rules=((0.5, "a half"),),
               note="The size that counts is where a network crosses the half; means over seeds with t intervals."),
    ]  # fmt: skip


PAGE = """
**The hypothesis.** Networks that add mod p answer through a handful of frequencies. Rohin Shah guessed (a) that they use those that were
strongest at initialisation, and (b) that the interference between the frequencies differs from set to set, which changes how much a circuit
achieves at equal norm, and so the size of the training set at which generalising pays. He named a test: sample sets, simulate interference,
predict critical sizes, compare with actual ones.

**How it is judged.** Three families of networks. *As they come*: do initial strengths tell the frequencies, and the frequencies the size?
*Pushed*: five frequencies are doubled, halved or only turned in phase at the start; networks may leave what they are pushed to. *Confined*:
the embedding is projected onto five frequencies after every step, so that a set cannot be left. The critical size is that of ungrokking:
trained networks go on, free, with fewer of their pairs, and forget below it. The prediction uses the set, the memoriser's power law and the
norm law, and nothing that was fitted to the sizes it predicts.

**Read this before you quote it.** One task, one modulus, one small network, one optimiser. Which half fails hangs on the predictor: (b) was
registered with the cheapest circuit of a set, and among networks as they come it fails with that one; with the cheapest circuit that gives
all frequencies one amplitude the sizes are told, in part. Locations hang on what ν is taken over; the other choices are among the findings.
"""

SMALL = Frequencies(p=23, size=154, width=16, count=3, steps=20, orbits=60)
experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, seeds_per_group=8,
    scope="a + b mod 53, one two-layer network, full-batch Adam with coupled weight decay",
    smoke=grid(SMALL, seed=range(2000, 2002)),
    default=grid(Frequencies(), seed=range(2000, 2064)),
    full=grid(Frequencies(p=113, size=3_600, width=128, steps=6_000), seed=range(2000, 2128)),
    measured=2,
)  # fmt: skip
