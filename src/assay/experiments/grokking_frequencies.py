"""Grokking frequencies: are they those that were strong at initialisation, and does their interference set the critical size?

Seed: Rohin Shah, comment on Daniel Filan's interview of Vikrant Varma: a hypothesis of his own and how to test it
Paper: Varma et al. 2023, Explaining grokking through circuit efficiency; the hypothesis itself was, as far as we know, never tested
Claim: critical sizes differ between networks as sampled sets of frequencies predict, beyond what the order of their pairs does
Baselines: the number of frequencies alone; other networks' starts and predictions; turned phases; sets of equal interference; planted sizes
Cost: 260 s on 2 cores, 490 CPU-seconds, 0.49 GB a process; full a guess of 2 GPU-hours, never run
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Experiment, Figure, Finding, Gate, PerRun, Spec, grid, reserved, summary
from assay.core.errors import ClaimError, SpecError
from assay.core.measures import by, measures
from assay.core.stats import correlation, products
from assay.worlds.modular import critical_size, frequency_sets, interference
from assay.worlds.modular.primes import prime

SEED = "Rohin Shah, comment on Daniel Filan's interview of Vikrant Varma: a hypothesis and a proposed test"
VARMA = "Varma et al. 2023, Explaining grokking through circuit efficiency, critical dataset size"
PILOT = "pilot: seeds 0–31, met once by fresh seeds 100–131"
THEORY = "pilot: seeds 0–31, 2.6 to 3.6; the range is about theory's 1/β = 1.54 with β = .65"
VIEWS = ("E", "E W1", "W2", "best neuron")
"""Where the initial strength of a frequency is read."""
DRAWS = 16
"""Random sets of as many frequencies as a network uses."""
LESS, LESS_RANDOM = (0.4, 0.4625, 0.525), (0.375, 0.45, 0.525, 0.6, 0.725)
"""Shares of the training set on which networks go on: 320, 370, 420 of 800 pairs; 300, 360, 420, 480, 580 where sets may be bad."""
LABELS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""The same for random labels: 200 to 700 pairs."""
POINTS = np.log(np.geomspace(50, 10_000, 1_001))
"""Log sizes at which distributions are compared, half of one per cent apart."""


@dataclass(frozen=True, kw_only=True)
class Frequencies(Spec):
    size: PerRun[int] = 800
    """Unordered pairs in the training set; sets of one seed are nested."""
    count: int = 5
    """Frequencies in a set that is imposed."""
    what: Literal["sums", "labels"] = "sums"
    """What is learned: a + b, or random labels."""
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
    pool: int = 0
    """Of how many first pairs of its order the training set is a random part; 0: it is the first of the order."""

    def check(self) -> None:
        most = (prime(self.p) - 1) // 2
        for name, least in {"size": 1, "width": 1, "steps": 2, "count": 1}.items():
            if getattr(self, name) < least:
                raise SpecError(f"Frequencies.{name} must be at least {least}, got {getattr(self, name)}")
        if self.count > most:
            raise SpecError(f"Frequencies.count: there are {most} frequencies at modulus {self.p}, got {self.count}")
        if self.size > self.p * (self.p + 1) // 2:
            raise SpecError(f"Frequencies.size: there are {self.p * (self.p + 1) // 2:,} pairs at p={self.p}, got {self.size:,}")
        if self.pool and not self.size <= self.pool <= self.p * (self.p + 1) // 2:
            raise SpecError(
                f"Frequencies.pool must be 0, or at least size={self.size:,} and at most all pairs, got {self.pool:,}"
            )
        if self.lr <= 0 or self.decay < 0 or self.nu <= 0:
            raise SpecError(
                f"Frequencies needs lr and nu above 0 and decay at least 0, got {self.lr:g}, {self.nu:g}, {self.decay:g}"
            )
        if (self.confined or self.turned or self.factor != 1) and self.imposed == "none":
            raise SpecError(
                "Frequencies: confined, turned and factor act on an imposed set; choose imposed=random, good, bad or same"
            )


# --- what is trained -----------------------------------------------------------------------------------------------------


def lot(runs, kind):
    """(mask [run, frequency], J [run], S [run]) of the runs' sets of one kind."""
    s = runs.shared
    sets, best = frequency_sets.lots(tuple(runs.seeds.tolist()), s.p, s.count, s.decay, s.nu)[kind]
    return interference.masks(sets.tolist(), s.p), best.objective, best.size


def lesson(runs):
    """The pairs that each run learns, and its order of them."""
    import torch

    from assay.core import rng
    from assay.worlds.modular import addition
    from assay.worlds.modular.network import Lesson

    s = runs.shared
    labels = addition.random_labels(runs.seeds, s.p) if s.what == "labels" else addition.sums(s.p).expand(len(runs), -1)
    order = addition.order(runs.seeds, s.p)
    if s.pool:
        mixed = torch.from_numpy(rng.permutation(runs.seeds, "frequencies.part", 0, s.pool))
        order = torch.cat([order.gather(1, mixed), order[:, s.pool :]], 1)
    return Lesson(s.p, addition.pairs(s.p), labels, order, runs.each("size"))


def start(runs):
    """Initial parameters; an imposed set's part of the embedding is multiplied, turned, or all that is left."""
    import torch

    from assay.core import rng
    from assay.worlds.modular import network as modular_network
    from assay.worlds.modular import spectrum

    s = runs.shared
    params = modular_network.start(runs.seeds, s.p, s.width, s.width)
    if s.imposed == "none":
        return params
    mask = torch.from_numpy(lot(runs, s.imposed)[0]).float()
    E = spectrum.scaled(params["E"], 1 + (s.factor - 1) * mask)
    if s.turned:
        angle = torch.from_numpy(rng.uniform(runs.seeds, "frequencies.angle", 0, (mask.shape[1],)))
        E = spectrum.rotated(E, 2 * np.pi * angle * mask)
    if s.confined:  # rescaled, so that less of a table is as long as all of it
        E = torch.bmm(spectrum.projector(mask, s.p), E) * (s.p / 2 / s.count) ** 0.5
    return {**params, "E": E}


def go(runs, params, bench, confine=None):
    """The networks after another `steps` steps on their own pairs; looks at half time and the end."""
    from assay.worlds.modular import network as modular_network

    s = runs.shared
    same = np.full(len(runs), 1.0)
    looks = (s.steps // 2, s.steps)
    return modular_network.train(runs, params, lesson(runs), steps=s.steps, lr=s.lr * same, decay=s.decay * same, looks=looks,
                                 confine=confine, bench=bench)  # fmt: skip


def train(runs, bench):
    """Networks from their start, confined after each step if they are to be."""
    import torch

    from assay.worlds.modular import spectrum

    s = runs.shared
    if not s.confined:
        return go(runs, start(runs), bench)
    onto = spectrum.projector(torch.from_numpy(lot(runs, s.imposed)[0]).float(), s.p).to(bench.device)

    def confine(params, rows):
        params["E"].copy_(torch.bmm(onto[torch.from_numpy(rows)], params["E"]))

    return go(runs, start(runs), bench, confine)


def go_on(runs, bench, before):
    """Trained networks on the first few of their own pairs, free to use any frequency."""
    import torch

    from assay.worlds.modular import network as modular_network

    done = go(runs, before.tensors, bench)
    with torch.no_grad():
        done.tensors["start"] = modular_network.evaluate(before.tensors, lesson(runs))["test"]
    return done


# --- what is measured ----------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    s = runs.shared
    last = {name: trained.tensors[f"{name}_at"].cpu().numpy() for name in ("train", "test", "loss", "norm")}
    seen = {
        "train": ("run", last["train"][:, -1], "share right"), "test": ("run", last["test"][:, -1], "share right"),
        "test_half": ("run", last["test"][:, 0], "share right"), "norm": ("run", last["norm"][:, -1], "squared norm"),
        "objective": ("run", last["loss"][:, -1] + s.decay / 2 * last["norm"][:, -1], "nats"),
    }  # fmt: skip
    if s.what == "labels":
        return measures(runs, coords=None, **seen)
    if "start" in trained.tensors:
        return measures(runs, coords=None, start=("run", trained.tensors["start"], "share right"), **seen)
    return measures(runs, coords={"view": VIEWS}, **seen, **measure_spectrum(runs, trained))


def measure_spectrum(runs, trained):
    """What networks use, and the cheapest circuit of their set: the imposed, else the used one; what was strong at the start."""
    from assay.worlds.modular import network as modular_network
    from assay.worlds.modular import spectrum

    s = runs.shared
    A = spectrum.amplitudes(trained.tensors).cpu().numpy()
    peak = A.max(1, keepdims=True)
    used = A / peak > 0.1
    target = used if s.imposed == "none" else lot(runs, s.imposed)[0] > 0
    S, sets = np.clip(A, 0, None) ** (2 / 3), interference.sets_of(target)
    best = interference.optimum(sets, s.p, decay=s.decay, nu=s.nu)
    first = modular_network.start(runs.seeds, s.p, s.width, s.width)
    power = {name: v.numpy() for name, v in views(first).items()}
    named = {
        "amplitude": ("run frequency", A, "logit"), "used": ("run frequency", used, "bool"),
        "size_used": ("run", S.sum(1), "1"), "size_set": ("run", (S * target).sum(1), "1"),
        "circuit": ("run", best.objective, "nats"), "circuit_size": ("run", best.size, "1"),
        "even": ("run", interference.even(sets, s.p, decay=s.decay, nu=s.nu), "nats"),
        "margin": ("run", interference.margin(target.astype(float), s.p), "logit at amplitude 1"),
        "strength": ("run", (power["E"] * target).sum(1) / power["E"].sum(1), "share of the start's power"),
    }  # fmt: skip
    if s.imposed == "none":
        drawn = interference.optimum(random_sets(runs, used.sum(1)), s.p, decay=s.decay, nu=s.nu)
        named |= {
            "power": ("run view frequency", np.stack([power[v] for v in VIEWS], 1), "squared length"),
            "drawn": ("run draw", drawn.objective.reshape(-1, DRAWS), "nats"),
            "drawn_size": ("run draw", drawn.size.reshape(-1, DRAWS), "1"),
        }  # fmt: skip
    else:
        named["imposed"] = ("run frequency", target, "bool")
    if s.factor > 1:
        named["outsiders"] = ("run", (np.clip(A / peak, 0, None) * ~target).sum(1), "strongest frequencies")
    return named


def views(params):
    """{where it is read: strength of every frequency [run, frequency]} of networks at their start."""
    from assay.worlds.modular import spectrum

    read = (params["E"], params["E"] @ params["W1"], params["W2"].transpose(1, 2))
    best = spectrum.best_neuron({n: v.double() for n, v in params.items()})
    return dict(zip(VIEWS, (*(spectrum.power(v.double()) for v in read), best), strict=True))


def random_sets(runs, number):
    """Some random sets for each run, of as many frequencies as it has."""
    from assay.core import rng

    order = [rng.permutation(runs.seeds, "frequencies.drawn", i, (runs.shared.p - 1) // 2) + 1 for i in range(DRAWS)]
    return [o[r, :m].tolist() for r, m in enumerate(number) for o in order]


# --- from measures to sizes ----------------------------------------------------------------------------------------------


def crossing(less, at="test"):
    """[seed]: log of the size at which networks that go on with less still answer half of the other pairs; straight lines between."""
    test = by(less, "size")[at].transpose("seed", "size")
    return np.log(critical_size.crossing(test["size"].values, test.values))


def middle(less, at="test"):
    """[seed]: the same by a straight line of log odds, where sizes are few and near."""
    test = by(less, "size")[at].transpose("seed", "size")
    return np.log(critical_size.odds_middle(test["size"].values, test.values))


def memory(arms, shuffled=False):
    """The power law of memorising, of the mean log J over seeds; sizes in a wrong order if shuffled."""
    J = by(arms["labels"], "size").objective.transpose("seed", "size")
    size = J["size"].values[[2, 0, 4, 1, 5, 3]] if shuffled else J["size"].values
    return critical_size.power_law(size, np.exp(np.nanmean(np.log(J.values), 0, keepdims=True)))


def log_critical(arms, cost, size=None, over="size_used", shuffled=False):
    """log D_crit where memorising costs as much as circuits of this J; with their S, at ν of main in place of the spec's."""
    if size is not None:
        main = arms["main"].isel(run=~arms["main"].diverged.values)
        nu = critical_size.proportion(main[over].values, main.norm.values)
        cost = cost + main.attrs["decay"] / 2 * (nu - main.attrs["nu"]) * size
    return memory(arms, shuffled).log_size(cost)


LAWS = {"size_used": "all amplitudes", "size_set": "the set's amplitudes"}
"""Over what ν is taken: squared norm over its Σ A^(2/3)."""


def networks(of, find, *parts, at="test", shuffled=False):
    """A derived arm: networks with the log size at which they forget, on each part of their pairs, and what predicts it."""

    def derive(arms):
        data, less = by(arms[of]), [by(arms[name], "size") for name in parts]
        lost = data.diverged | np.any([x.diverged.any("size") for x in less], 0)
        made = data[["objective", "even", "margin", "strength", "used", "amplitude"]].assign(
            log_size=(("part", "seed"), size := np.stack([find(arms[name], at) for name in parts])),
            log_predicted=(told := [log_critical(arms, data.circuit, data.circuit_size, over, shuffled) for over in LAWS])[0],
            off=(("law", "seed"), np.stack([size.mean(0) - t.values for t in told])),
            start=("seed", np.min([x.start.min("size") for x in less], 0)), diverged=lost,
        )  # fmt: skip
        return made.rename(seed="run").assign_coords(seed=("run", data.seed.values)).drop_vars("run")

    return derive


def predicted_by(derive, how, cost=None):
    """A derived arm: those networks with another prediction, and another cost in place of their own J, or with none."""

    def predicted(arms):
        made = derive(arms).drop_vars("off")
        made["log_predicted"] = how(made, arms)
        return made.assign(objective=made[cost]) if cost else made.drop_vars("objective")

    return predicted


def by_drawn_sets(natural, arms):
    """[draw, run]: what random sets of as many frequencies predict."""
    main = by(arms["main"])
    drawn = log_critical(arms, main.drawn, main.drawn_size).transpose("draw", "seed")
    return ("draw", "run"), drawn.values


def by_number(natural, arms):
    """[run]: the mean of that over all networks with as many frequencies, so that only their number is left."""
    drawn, number = by_drawn_sets(natural, arms)[1].mean(0), natural.used.sum("frequency").values
    return ("run",), np.array([drawn[number == m].mean() for m in number])


def by_fives(natural, arms):
    """[run]: what the sets of five predict that networks were confined to, in turn."""
    told = by(arms["random"])
    predicted = log_critical(arms, told.circuit, told.circuit_size).values
    return ("run",), np.resize(predicted[np.isfinite(predicted)], natural.sizes["run"])


def by_order(natural, arms):
    """[run]: one size for all, so that only the order of their pairs tells networks apart."""
    return ("run",), np.full(natural.sizes["run"], float(natural.log_size.mean()))


def by_even(data, arms):
    """[run]: what the cheapest circuits that give all their frequencies one amplitude predict."""
    return log_critical(arms, data.even)


def of_others(derive, shifts=8):
    """A derived arm: what predicts each network is taken from other networks, the next few seeds in turn."""

    def shifted(arms):
        made = derive(arms)
        for name in {"log_predicted", "objective", "power"} & set(made):
            parts = [np.roll(made[name].values, -s, 0) for s in range(1, shifts + 1)]
            made = made.assign({name: (("partner", *made[name].dims), np.stack(parts))})
        return made.drop_vars("off", errors="ignore")

    return shifted


def planted(derive):
    """A derived arm: those networks, were they to forget where predicted but for what the order of pairs makes, as measured."""

    def follow(arms):
        made = derive(arms).drop_vars(["objective", "off"], errors="ignore")
        apart = (made.log_size.isel(part=0) - made.log_size.isel(part=1)) / np.sqrt(2)
        noise = np.stack([apart.values, np.roll(apart.values, 1)])
        told = made.log_predicted.isel(draw=0) if "draw" in made.log_predicted.dims else made.log_predicted
        return made.assign(log_size=(("part", "run"), told.values + noise))

    return follow


def costs(*names):
    """A derived arm: log J of networks on which sets were imposed, beside that of the sets' cheapest circuits."""

    def derive(arms):
        import xarray as xr

        some = xr.concat(
            [arms[name][["objective", "circuit", "train", "test", "diverged"]] for name in names], "run", combine_attrs="override"
        )
        return some.assign(log_paid=np.log(some.objective), log_imposed=np.log(some.circuit)).drop_vars(["objective", "circuit"])

    return derive


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
    """[run]: amplitude of frequencies that are not imposed, over the largest, more than in the network with the good set."""
    return arm.outsiders - beside(arm, arms["free-good"], "outsiders")


def paid(arm, arms):
    """Products of the log J that imposed sets would cost with the one that networks pay."""
    return products(arm.log_imposed, arm.log_paid)


def size_of(arm):
    """[run]: log of the size at which a network forgets, the mean over parts of its pairs."""
    return arm.log_size.mean("part", skipna=False)


def below(arm, arms):
    """Terms [run, point]: the share of log sizes below each of POINTS, actual ones and predicted ones.

    An actual size is the mean over two parts of a network's pairs. What the order of pairs leaves in such a mean is as large as half
    of the difference between its two sizes, so predictions are moved by that, up and down.
    """
    import xarray as xr

    if arm.sizes["part"] < 2:
        raise ClaimError("telling networks from the order of their pairs takes two parts of them")
    half = (arm.log_size.isel(part=0) - arm.log_size.isel(part=1)) / 2
    told = xr.concat([arm.log_predicted + half, arm.log_predicted - half], "way")
    points = xr.DataArray(POINTS, dims="point")
    shares = {name: (x < points).where(x.notnull()) for name, x in (("actual", size_of(arm)), ("predicted", told))}
    return {name: x.mean([d for d in ("way", "draw", "partner") if d in x.dims]) for name, x in shares.items()}


def apart(share):
    """Mean absolute difference between two log sizes, from the share below each point: 2 ∫ F (1 − F); NaN for a single size."""
    made = 2 * (share * (1 - share)).sum(-1) * (POINTS[1] - POINTS[0])
    return np.where(made > 0, made, np.nan)


def wider(m):
    """Log of the mean difference between two actual log sizes, over that between two predicted ones."""
    return np.log(apart(m["actual"]) / apart(m["predicted"]))


def rise(m):
    """The least-squares slope of y on x; NaN where the variance of x is rounding, as for a unit by itself."""
    variance = m["xx"] - m["x"] ** 2
    return (m["xy"] - m["x"] * m["y"]) / np.where(variance > 1e-9 * m["xx"], variance, np.nan)


def ranked(x):
    """Ranks over runs; numbers that agree to 4 decimals tie."""
    from scipy.stats import rankdata

    return x.copy(data=rankdata(np.round(x.values, 4), axis=x.get_axis_num("run"), nan_policy="omit"))


def ranks(arm, arms):
    """Products of the ranks of predicted and actual sizes."""
    return products(ranked(arm.log_predicted), ranked(size_of(arm)), over=["partner", "draw"])


def logs(arm, arms):
    """Products of predicted and actual log sizes."""
    return products(arm.log_predicted, size_of(arm), over=["partner", "draw"])


def own(arm, arms):
    """Products of a network's own log J with the log of the size at which it forgets."""
    return products(np.log(arm.objective), size_of(arm), over=["partner"])


def off_by(arm, arms):
    """Terms [run]: log of the actual over the predicted size, with ν of main over all amplitudes and over those of the set."""
    return dict(zip(("all", "set"), arm.off, strict=True))


def furthest(m):
    """The larger of two distances from 0."""
    return np.maximum(np.abs(m["all"]), np.abs(m["set"]))


def distance(m):
    """Largest difference of two distribution functions (Kolmogorov and Smirnov)."""
    return np.abs(m["actual"] - m["predicted"]).max(-1)


GENERAL = Gate("generalises", lambda arm: arm.train.min() >= 0.99 and arm.test.mean() >= 0.95)
STARTED = Gate("start", lambda arm: arm.start.min() >= 0.85)


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def as_they_come(specs):
    """The preset's specs. Raises: SpecError where they set what other arms set, or have several sizes."""
    if len(sizes := sorted({s.size for s in specs})) > 1:
        raise SpecError(f"a preset has one Frequencies.size, of which arms make others, got {', '.join(map(str, sizes))}")
    return reserved("what", "imposed", "factor", "turned", "confined", "pool")(specs)


def part(size, shares):
    """These shares of a training set, in pairs. Raises: SpecError where they are not different numbers."""
    made = [round(size * share) for share in shares]
    if len({0, *made}) <= len(made):
        least = int(np.ceil(1 / np.diff((0, *sorted(shares))).min()))
        raise SpecError(
            f"other arms' sizes are shares of Frequencies.size, which must be at least {least} for them to differ, got {size}"
        )
    return made


def like(seeds, sizes=(1.0,), **fields):
    """The preset's first so many seeds with other fields, on these shares of its training set."""

    def specs(main):
        some = sorted({s.seed for s in main})[:seeds]
        return grid(main[0].replace(**fields), seed=some, size=part(main[0].size, sizes))

    return specs


def less(shares, again=False):
    """Each network's sizes for going on: with its first pairs, or with others of its pairs."""
    return lambda parents: tuple(
        p.replace(size=size, pool=p.size if again else 0, steps=max(2, p.steps * 2 // 3)) for p in parents for size in part(p.size, shares)
    )  # fmt: skip


DOUBLED = "the initial embedding doubled at five frequencies"
NATURAL, NATURAL_HALF = (networks("main", middle, "main-less", "main-again", at=at) for at in ("test", "test_half"))
SAMPLED = predicted_by(NATURAL, by_drawn_sets)
MIXED = networks("random", crossing, "random-less", shuffled=True)
CONFINED, CONFINED_HALF = (networks("random", crossing, "random-less", at=at) for at in ("test", "test_half"))
ARMS = {
    "main": Arm(train, specs=as_they_come, note="networks as they come, on 800 of 1,431 pairs"),
    "main-less": Arm(go_on, after="main", specs=less(LESS), note="the same going on with the first 320, 370 and 420 of their pairs"),
    "main-again": Arm(go_on, after="main", specs=less(LESS, again=True), note="the same going on with as many others of their pairs"),
    "labels": Arm(train, specs=like(8, LABELS, what="labels"), note="random labels on 200 to 700 pairs: pure memorisers"),
    "doubled": Arm(train, specs=like(24, imposed="random", factor=2.0), note=f"{DOUBLED} at random"),
    "halved": Arm(train, specs=like(8, imposed="random", factor=0.5), note="halved instead"),
    "turned": Arm(train, specs=like(24, imposed="random", turned=True), note="turned in phase instead, with the power as it was"),
    "free-good": Arm(train, specs=like(20, imposed="good", factor=2.0), note=f"{DOUBLED} that interfere little"),
    "free-bad": Arm(train, specs=like(20, imposed="bad", factor=2.0), note=f"{DOUBLED} that interfere much"),
    "free-same": Arm(train, specs=like(20, imposed="same", factor=2.0), note="another set of the orbit of the good one: equal interference"),
    "random": Arm(train, specs=like(40, imposed="random", confined=True), note="confined to five frequencies at random"),
    "random-less": Arm(go_on, after="random", specs=less(LESS_RANDOM), note="random going on with 300 to 580 pairs, free again"),
    "others-start": Arm(derive=of_others(lambda arms: arms["main"]), note="main with the starts of eight other networks"),
    "pushed": Arm(derive=costs("free-good", "free-bad"), note="J of networks that may leave their set, beside that of the set"),
    "kept": Arm(derive=costs("random"), note="the same of networks that cannot leave it"),
    "natural": Arm(derive=NATURAL, note="main's networks with the sizes at which they forget, and those that their own sets predict"),
    "sampled": Arm(derive=SAMPLED, note="natural, predicted by sixteen random sets of as many frequencies each"),
    "by-number": Arm(derive=predicted_by(NATURAL, by_number), note="natural, predicted by the number of its frequencies alone"),
    "by-fives": Arm(derive=predicted_by(NATURAL, by_fives), note="natural, predicted by the random sets of five that networks were confined to"),
    "by-order": Arm(derive=predicted_by(NATURAL, by_order), note="natural, predicted by one size for all: only the order of pairs tells them apart"),
    "even": Arm(derive=predicted_by(NATURAL, by_even, "even"), note="natural, predicted by circuits with one amplitude; J is theirs"),
    "others": Arm(derive=of_others(NATURAL), note="natural, predicted by the J and the sets of eight other networks"),
    "planted": Arm(derive=planted(NATURAL), note="natural, were sizes what own sets predict and the order of pairs adds"),
    "confined": Arm(derive=CONFINED, note="random's networks, as natural"),
    "confined-others": Arm(derive=of_others(CONFINED, 5), note="confined, predicted by five other networks"),
    "confined-margin": Arm(derive=predicted_by(CONFINED, lambda data, arms: -np.log(data.margin)),
                           note="confined, predicted by the least margin of the set at equal amplitudes, without a norm"),
    "confined-strength": Arm(derive=predicted_by(CONFINED, lambda data, arms: -np.log(data.strength)),
                             note="confined, predicted by how little of the start's power was in the set"),
    "shuffled": Arm(derive=lambda arms: MIXED(arms)[["off", "start", "diverged"]], note="confined, with a memoriser whose sizes are mixed up"),
    "natural-half": Arm(derive=NATURAL_HALF, note="natural half-way through going on with less"),
    "sampled-half": Arm(derive=predicted_by(NATURAL_HALF, by_drawn_sets), note="sampled half-way"),
    "confined-half": Arm(derive=CONFINED_HALF, note="confined half-way"),
}  # fmt: skip

NEW = {"published": "new", "source": SEED}
SPREADS = ("by-number", "by-fives", "by-order")
PROPOSED = "pilot: seeds 2000–2063, ratio of standard deviations .91 with the order of pairs in it; mean differences since seeds 0–63, .94"
WHOSE = "a distribution does not say whose size is whose: these are the same numbers"
OWN_SETS = "these predictions are of the interference of own sets too, without starving any frequency"
RANDOM_SETS = "random sets interfere as well"
MADE_SO = "sizes were planted to follow interference"
KEPT = dict.fromkeys(("confined", "confined-half"), "sets are random there and cannot be left, which lets interference show more")
OWN = dict.fromkeys(("natural", "natural-half"), "these predictions are of the interference of own sets too")
MARGIN = {"confined-margin": "the margin is interference too, without amplitudes and norm"}
DOUBLED_TOO = dict.fromkeys(("free-good", "free-bad", "free-same"), "these sets were doubled as well")
CLAIMS = (
    Claim(
        text="(b), the test as it was proposed: log sizes differ between networks as much as sampled sets predict, within a factor of 1.5",
        of="sampled", value=below, statistic=wider, low=-0.405, high=0.405, unit="log ratio of mean differences", must_fail=SPREADS,
        near={"by-number": "sizes differ by how many frequencies there are, whichever they are"},
        also={**OWN, "even": OWN_SETS, "others": WHOSE, "planted": MADE_SO},
        gates=(STARTED,), half={"sampled": "sampled-half"}, threshold_from=PROPOSED, **NEW,
    ),
    Claim(
        text="(b) network by network, as they come: rank correlation of predicted and actual size at least 0.5",
        of="natural", value=ranks, statistic=correlation, low=0.5, unit="rank correlation", must_fail=("others", "by-number"),
        near={"by-number": "sizes follow how many frequencies there are, whichever they are"}, must_hold=("planted",),
        also={"even": OWN_SETS, **KEPT, **MARGIN}, gates=(STARTED,),
        half={"natural": "natural-half"}, threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(b) where there is no choice: rank correlation of predicted and actual size at least 0.5",
        of="confined", value=ranks, statistic=correlation, low=0.5, unit="rank correlation", must_fail=("confined-others", "confined-strength"),
        near={"confined-strength": "sets that were weak at the start are harder to implement, whatever their interference"},
        also={**OWN, "even": OWN_SETS, "planted": MADE_SO, **MARGIN}, gates=(STARTED,),
        half={"confined": "confined-half"}, threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="The theory puts confined networks where they are, whichever ν is taken: log of actual over predicted size within 0.15 by both",
        of="confined", value=off_by, statistic=furthest, high=0.15, unit="log ratio of sizes", must_fail=("shuffled",),
        near={"shuffled": "any order of the memorisers' costs gives a location"},
        also=dict.fromkeys(("natural", "natural-half"), "the same theory, of networks as they come"), gates=(STARTED,),
        half={"confined": "confined-half"}, threshold_from=PILOT, published="new", source=VARMA,
    ),
    Claim(
        text="Networks as they come forget with the power of the theory: sizes go as their own J to the 1/β of about 1.5, slope between 1.1 and 2.0",
        of="natural", value=own, statistic=rise, low=1.1, high=2.0, unit="log size per log J", must_fail=("others", "even"),
        near={"even": "what their sets cost decides, not what networks make of them"},
        also=KEPT, gates=(STARTED,), half={"natural": "natural-half"}, threshold_from=THEORY, published="new", source=VARMA,
    ),
    Claim(
        text="(a) Frequencies that are strong at the start are used: mean AUROC of their power at least 0.57",
        value=auroc(), low=0.57, unit="AUROC", must_fail=("others-start",), near={"others-start": "some frequencies are strong in all starts"},
        gates=(GENERAL,), threshold_from=PILOT, **NEW,
    ),
    Claim(
        text="(a), as it was said: the m that are used are the m strongest at the start, to at least 0.6",
        value=overlap, low=0.6, unit="share of used frequencies", must_fail=("others-start",),
        near={"others-start": "some frequencies are strong in all starts"}, gates=(GENERAL,),
        threshold_from="pilot: first trials on 20 seeds, .35; seeds 0–31, .40: expected to fail", **NEW,
    ),
    Claim(
        text="(a) as a cause: doubling five frequencies at the start raises the share of them that is used by at least 0.25",
        of="doubled", value=more_chosen, low=0.25, bounds=(-1, 1), unit="share of the five", must_fail=("turned",),
        near={"turned": "any change of five frequencies draws a network to them"},
        also={**DOUBLED_TOO, "random": "confined networks have no others"}, gates=(GENERAL,),
        threshold_from="pilot: first trials on 6 seeds, .43; seeds 0–31, .66", **NEW,
    ),
    Claim(
        text="Bad sets are left: frequencies outside a doubled bad set have at least 0.5 of the largest amplitude more than outside a good one",
        of="free-bad", value=more_outsiders, low=0.5, unit="largest amplitudes", must_fail=("free-same",),
        near={"free-same": "some sets are left for other reasons than their interference"},
        also={"doubled": "five at random interfere more than the best of 24 sets"}, gates=(GENERAL,),
        threshold_from=PILOT + ", where frequencies above half of the largest were counted", **NEW,
    ),
    *(Finding(text=f"(a) AUROC of the strength at the start read from {view} instead of E", unit="AUROC",
              value=lambda arms, view=view: auroc(view)(arms["main"], arms))
      for view in VIEWS[1:]),
    *(Finding(text=f"(b) Rank correlation of predicted and actual size, {what}", unit="rank correlation",
              value=lambda arms, name=name: ranks(arms[name], arms), statistic=correlation)
      for name, what in (("even", "as they come, predicted by circuits with one amplitude"),
                         ("confined-margin", "confined, predicted by the margin"))),
    Finding(text="(b) Mean difference between two log sizes, actual over predicted by own sets", unit="log ratio of mean differences",
            value=lambda arms: below(arms["natural"], arms), statistic=wider),
    *(Finding(text=f"Correlation of log J with the log size at which networks as they come forget, {what}", unit="correlation",
              value=lambda arms, name=name: own(arms[name], arms), statistic=correlation)
      for name, what in (("natural", "their own J"), ("even", "J of circuits with one amplitude"), ("others", "other networks' J"))),
    *(Finding(text=f"What an imposed set costs: slope of log J that networks pay on that of the set, {what}", unit="log J per predicted log J",
              value=lambda arms, name=name: paid(arms[name], arms), statistic=rise)
      for name, what in (("pushed", "free networks with a doubled set"), ("kept", "networks confined to theirs"))),
    Finding(text="(b) Slope of actual on predicted log sizes where there is no choice", unit="log size per predicted log size",
            value=lambda arms: logs(arms["confined"], arms), statistic=rise),
    Finding(text="(a) Of five frequencies halved at the start, those that are used", unit="share of the five",
            value=lambda arms: chosen(arms["halved"], arms)),
    Finding(text="Frequencies that a network uses", value=lambda arms: arms["main"].used.sum("frequency"), unit="frequencies"),
    Finding(
        text="Random sets of as many frequencies that would cost more than the chosen one", unit="share of sets",
        value=lambda arms: (arms["main"].drawn > arms["main"].circuit).mean("draw"),
    ),
    *(Finding(text=f"Mean difference between the log sizes of two networks, {what}", unit="log size",
              value=lambda arms, name=name: below(arms[name], arms), statistic=lambda m, side=side: apart(m[side]))
      for name, side, what in (("natural", "actual", "actual"), ("sampled", "predicted", "as sampled sets predict"),
                               ("natural", "predicted", "as own sets predict"), ("even", "predicted", "as own sets at one amplitude predict"),
                               ("by-number", "predicted", "as numbers of frequencies predict"),
                               ("by-order", "predicted", "were the order of pairs all that differs"))),
    *(Finding(text=f"Largest difference between the distributions of log sizes, actual and predicted by {what}",
              value=lambda arms, name=name: below(arms[name], arms), statistic=distance, unit="probability")
      for name, what in (("sampled", "sampled sets"), ("natural", "own sets"))),
    *(Finding(text=f"Location: log of actual over predicted size, {name} networks, ν over {over}", unit="log ratio of sizes",
              value=lambda arms, name=name, i=i: arms[name].off.isel(law=i))
      for name in ("natural", "confined") for i, over in enumerate(LAWS.values())),
)  # fmt: skip


def pairs(arms):
    """Columns: predicted and actual size of each network, and where they would be equal."""
    columns: dict[str, list] = {"predicted": [], "actual": [], "networks": []}
    for name, label in (("confined", "confined"), ("natural", "as they come")):
        columns["predicted"] += np.exp(arms[name].log_predicted.values).tolist()
        columns["actual"] += np.exp(size_of(arms[name]).values).tolist()
        columns["networks"] += [label] * arms[name].sizes["run"]
    known = [
        size for pair in zip(columns["predicted"], columns["actual"], strict=True) if np.isfinite(pair).all() for size in pair
    ]
    equal = np.linspace(min(known), max(known), 25).tolist() if known else []
    columns["predicted"] += equal
    columns["actual"] += equal
    columns["networks"] += ["if equal"] * len(equal)
    return columns


def shares(arms):
    """Columns: share of networks, or of sampled sets, below a size."""
    columns: dict[str, list] = {"size": [], "share": [], "which": []}
    told = {"actual, first pairs": arms["natural"].log_size.isel(part=0), "actual, other pairs": arms["natural"].log_size.isel(part=1),
            "predicted by own sets": arms["natural"].log_predicted, "predicted by sampled sets": arms["sampled"].log_predicted}  # fmt: skip
    for which, logs_of in told.items():
        known = np.sort(np.exp(logs_of.values.ravel()))
        known = known[~np.isnan(known)]
        columns["size"] += known.tolist()
        columns["share"] += ((np.arange(len(known)) + 0.5) / max(len(known), 1)).tolist()
        columns["which"] += [which] * len(known)
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
        mask, p = arms[f"free-{kind}"].imposed.values[:1], arms[f"free-{kind}"].attrs["p"]
        logits = interference.profile(2.0 * mask, p)[0]
        columns["difference"] += list(range(1, p))
        columns["logit"] += (logits[1:] - logits[0]).tolist()
        columns["set"] += [f"{kind}: {', '.join(map(str, interference.sets_of(mask)[0]))}"] * (p - 1)
    return columns


def figures(arms):
    return [
        Figure("Distributions of critical sizes: actual, predicted by sampled sets, predicted by own sets", shares(arms), "line", x="size",
               y="share", color="which", x_title="training pairs", y_title="share below",
               note="Actual sizes are those at which networks as they come forget, each on two parts of its pairs."),
        Figure("Size at which networks forget, against that predicted from their frequencies alone", pairs(arms), "points",
               x="predicted", y="actual", color="networks", x_title="predicted, training pairs", y_title="actual, training pairs",
               note="A circle or a square is a network, confined to a random set or as it comes. "
                    "Predicted from the interference of its set, the memoriser's law and the norm law."),
        Figure("What a push at the start does to five random frequencies", rates(arms), "bars", x="start", y="mean", band=("low", "high"),
               x_title="the five at the start", y_title="share of the five that is used"),
        Figure("Interference: logits of wrong answers for a good and a bad set, at equal amplitudes", waves_of(arms), "line",
               x="difference", y="logit", color="set", x_title="how far the answer is off, mod p", y_title="logit below that of the right answer",
               note="The first seed's sets, every amplitude 2, so that both have one norm. A wrong answer near 0 costs."),
    ]  # fmt: skip


PAGE = """
**The hypothesis.** Networks that add mod p answer through a handful of frequencies. Rohin Shah guessed (a) that they use those that were
strongest at initialisation, and (b) that the interference between the frequencies differs from set to set, which changes how much a circuit
achieves at equal norm, and so the size of the training set at which generalising pays. He named a test: sample sets, simulate interference,
predict a distribution of critical sizes, compare it with the actual one.

**How it is judged.** That test comes first: do actual sizes differ as sampled sets predict, and as the networks' own sets predict? A
distribution does not say whose size is whose, so the same predictions are then held against sizes network by network. Three families of
networks answer. *As they come*; *pushed*: five frequencies are doubled, halved or only turned in phase at the start; *confined*: the
embedding is projected onto five frequencies after every step, so that a set cannot be left. The critical size is that of ungrokking:
trained networks go on, free, with fewer of their pairs, and forget below it. Networks as they come do so on two parts of their pairs, so
that what the order of pairs does is told apart from the network.

**Read this before you quote it.** One task, one modulus, one small network, one optimiser. A distribution can come out right for the wrong
reason: read the first claim beside the third.
"""

SMALL = Frequencies(p=23, size=154, width=16, count=3, steps=20)
experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, seeds_per_group=8,
    scope="a + b mod 53, one two-layer network, full-batch Adam with coupled weight decay",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(Frequencies(), seed=range(9400, 9464)),
    full=grid(Frequencies(p=113, size=3_600, width=128, steps=6_000), seed=range(9400, 9528)),
    version=2, measured=4,
)  # fmt: skip
