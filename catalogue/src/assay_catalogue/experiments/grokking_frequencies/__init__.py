"""Grokking frequencies: are they those that were strong at initialisation, and does their
interference set the critical size?

Seed: Rohin Shah, comment on Daniel Filan's interview of Vikrant Varma: a hypothesis of his own and
how to test it
Group: training
Paper: Varma et al. 2023, Explaining grokking through circuit efficiency; the hypothesis itself was,
as far as we know, never tested
Claim: critical sizes differ between networks as sampled sets of frequencies predict, beyond what
the order of their pairs does
Baselines: the number of frequencies alone; other networks' starts and predictions; turned phases;
sets of equal interference; planted sizes
Cost: 210 s on 2 cores, 310 CPU-seconds, 0.4 GB a process
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, grid, reserved, single
from assay.core.errors import SpecError
from assay.core.heavy import xr
from assay.core.measures import by
from assay_catalogue.experiments.grokking_frequencies.claims import CLAIMS, LAWS, figures
from assay_catalogue.experiments.grokking_frequencies.method import (
    Frequencies,
    measure,
    train,
    train_on_fewer,
)
from assay_catalogue.worlds.modular import critical_size
from assay_catalogue.worlds.modular.critical_size import PowerLaw

LESS, LESS_RANDOM = (0.4, 0.4625, 0.525), (0.375, 0.45, 0.525, 0.6, 0.725)
"""Shares of the training set on which networks go on: 320, 370, 420 of 800 pairs; 300, 360, 420,
480, 580 where sets may be bad."""
LABELS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Shares on which networks learn random labels: 200 to 700 pairs."""


def crossing(less: xr.Dataset, variable: str = "test") -> np.ndarray:
    """[seed]: log of the size at which networks that go on with less still answer half of the other
    pairs; straight lines between."""
    test = by(less, "size")[variable].transpose("seed", "size")
    return np.log(critical_size.crossing(test["size"].values, test.values))


def middle(less: xr.Dataset, variable: str = "test") -> np.ndarray:
    """[seed]: the same by a straight line of log odds, where sizes are few and near."""
    test = by(less, "size")[variable].transpose("seed", "size")
    return np.log(critical_size.odds_middle(test["size"].values, test.values))


def memory(arms: Arms, shuffled: bool = False) -> PowerLaw:
    """The power law of memorising, of the mean log J over seeds; sizes in a wrong order if
    shuffled."""
    J = by(arms["labels"], "size").objective.transpose("seed", "size")
    size = J["size"].values[[2, 0, 4, 1, 5, 3]] if shuffled else J["size"].values
    return critical_size.power_law(size, np.exp(np.nanmean(np.log(J.values), 0, keepdims=True)))


def log_critical(
    arms: Arms,
    cost: xr.DataArray,
    size: xr.DataArray | None = None,
    over: str = "size_used",
    shuffled: bool = False,
) -> xr.DataArray:
    """log D_crit where memorising costs as much as circuits of this J; with their S, at ν of main
    in place of the spec's."""
    if size is not None:
        main = arms["main"].isel(run=~arms["main"].diverged.values)
        nu = critical_size.proportion(main[over].values, main.norm.values)
        cost = cost + main.attrs["decay"] / 2 * (nu - main.attrs["nu"]) * size
    # a DataArray, as its argument
    return memory(arms, shuffled).log_size(cost)  # type: ignore[arg-type, return-value]


def networks(
    source: str,
    find: Callable[[xr.Dataset, str], np.ndarray],
    *parts: str,
    variable: str = "test",
    shuffled: bool = False,
) -> Derive:
    """A derived arm: networks with the log size at which they forget, on each part of their pairs,
    and what predicts it."""

    def derive(arms: Arms) -> xr.Dataset:
        data, less = by(arms[source]), [by(arms[name], "size") for name in parts]
        lost = data.diverged | np.any([x.diverged.any("size") for x in less], 0)
        dataset = data[["objective", "even", "margin", "strength", "used"]].assign(
            log_size=(
                ("part", "seed"),
                size := np.stack([find(arms[name], variable) for name in parts]),
            ),
            log_predicted=(
                predictions := [
                    log_critical(arms, data.circuit, data.circuit_size, over, shuffled)
                    for over in LAWS
                ]
            )[0],
            off=(("law", "seed"), np.stack([size.mean(0) - t.values for t in predictions])),
            start=("seed", np.min([x.start.min("size") for x in less], 0)),
            diverged=lost,
        )
        return (
            dataset.rename(seed="run")
            .assign_coords(seed=("run", data.seed.values))
            .drop_vars("run")
        )

    return derive


def predicted_by(
    derive: Derive, how: Callable[[xr.Dataset, Arms], Any], cost: str | None = None
) -> Derive:
    """A derived arm: those networks with another prediction, and another cost in place of their own
    J, or with none."""

    def predicted(arms: Arms) -> xr.Dataset:
        dataset = derive(arms).drop_vars("off")
        dataset["log_predicted"] = how(dataset, arms)
        return dataset.assign(objective=dataset[cost]) if cost else dataset.drop_vars("objective")

    return predicted


def by_drawn_sets(natural: xr.Dataset, arms: Arms) -> tuple[tuple[str, ...], np.ndarray]:
    """[draw, run]: what random sets of as many frequencies predict."""
    main = by(arms["main"])
    predictions = log_critical(arms, main.drawn, main.drawn_size).transpose("draw", "seed")
    return ("draw", "run"), predictions.values


def by_number(natural: xr.Dataset, arms: Arms) -> tuple[tuple[str, ...], np.ndarray]:
    """[run]: the mean of that over all networks with as many frequencies, so that only their number
    is left."""
    predictions, number = (
        by_drawn_sets(natural, arms)[1].mean(0),
        natural.used.sum("frequency").values,
    )
    return ("run",), np.array([predictions[number == m].mean() for m in number])


def by_fives(natural: xr.Dataset, arms: Arms) -> tuple[tuple[str, ...], np.ndarray]:
    """[run]: what the sets of five predict that networks were confined to, in turn."""
    random_arm = by(arms["random"])
    predicted = log_critical(arms, random_arm.circuit, random_arm.circuit_size).values
    return ("run",), np.resize(predicted[np.isfinite(predicted)], natural.sizes["run"])


def by_order(natural: xr.Dataset, arms: Arms) -> tuple[tuple[str, ...], np.ndarray]:
    """[run]: one size for all, so that only the order of their pairs tells networks apart."""
    return ("run",), np.full(natural.sizes["run"], float(natural.log_size.mean()))


def by_even(data: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: what the cheapest circuits that give all their frequencies one amplitude predict."""
    return log_critical(arms, data.even)


def of_others(derive: Derive, shifts: int = 8) -> Derive:
    """A derived arm: what predicts each network is taken from other networks, the next few seeds in
    turn."""

    def shifted(arms: Arms) -> xr.Dataset:
        dataset = derive(arms)
        for name in {"log_predicted", "objective", "power"} & set(dataset):
            parts = [np.roll(dataset[name].values, -s, 0) for s in range(1, shifts + 1)]
            dataset = dataset.assign({name: (("partner", *dataset[name].dims), np.stack(parts))})
        return dataset.drop_vars("off", errors="ignore")

    return shifted


def planted(derive: Derive) -> Derive:
    """A derived arm: those networks, were they to forget where predicted but for what the order of
    pairs makes, as measured."""

    def follow(arms: Arms) -> xr.Dataset:
        dataset = derive(arms).drop_vars(["objective", "off"], errors="ignore")
        difference = (dataset.log_size.isel(part=0) - dataset.log_size.isel(part=1)) / np.sqrt(2)
        noise = np.stack([difference.values, np.roll(difference.values, 1)])
        predicted = (
            dataset.log_predicted.isel(draw=0)
            if "draw" in dataset.log_predicted.dims
            else dataset.log_predicted
        )
        return dataset.assign(log_size=(("part", "run"), predicted.values + noise))

    return follow


def costs(*names: str) -> Derive:
    """A derived arm: log J of networks on which sets were imposed, beside that of the sets'
    cheapest circuits."""

    def derive(arms: Arms) -> xr.Dataset:
        some = xr.concat(
            [arms[name][["objective", "circuit", "train", "test", "diverged"]] for name in names],
            "run",
            combine_attrs="override",
        )
        return some.assign(
            log_paid=np.log(some.objective), log_imposed=np.log(some.circuit)
        ).drop_vars(["objective", "circuit"])

    return derive


def as_they_come(specs: tuple[Frequencies, ...]) -> tuple[Frequencies, ...]:
    """The preset's specs. Raises: SpecError where they set what other arms set, or have several
    sizes."""
    specs = single("size")(specs)
    return reserved("what", "imposed", "factor", "turned", "confined", "pool")(specs)


def pairs_at_shares(size: int, shares: Sequence[float]) -> list[int]:
    """These shares of a training set, in pairs. Raises: SpecError where they are not different
    numbers."""
    sizes = [round(size * share) for share in shares]
    if len({0, *sizes}) <= len(sizes):
        least = int(np.ceil(1 / np.diff((0, *sorted(shares))).min()))
        raise SpecError(
            "other arms' sizes are shares of Frequencies.size, which must be at least "
            f"{least} for them to differ, got {size}"
        )
    return sizes


def at_shares(seeds: int, sizes: Sequence[float] = (1.0,), **fields: Any) -> SpecMap[Frequencies]:
    """The preset's first so many seeds with other fields, on these shares of its training set."""

    def specs(main: tuple[Frequencies, ...]) -> tuple[Frequencies, ...]:
        some = sorted({s.seed for s in main})[:seeds]
        return grid(main[0].replace(**fields), seed=some, size=pairs_at_shares(main[0].size, sizes))

    return specs


def on_fewer_pairs(shares: Sequence[float], other_pairs: bool = False) -> SpecMap[Frequencies]:
    """Each network's sizes for going on: with its first pairs, or with others of its pairs."""
    return lambda parents: tuple(
        p.replace(size=size, pool=p.size if other_pairs else 0, steps=max(2, p.steps * 2 // 3))
        for p in parents
        for size in pairs_at_shares(p.size, shares)
    )


DOUBLED = "the initial embedding doubled at {main.count:w} frequencies"
NATURAL, NATURAL_HALF = (
    networks("main", middle, "main-less", "main-again", variable=variable)
    for variable in ("test", "test_half")
)
SAMPLED = predicted_by(NATURAL, by_drawn_sets)
MIXED = networks("random", crossing, "random-less", shuffled=True)
CONFINED, CONFINED_HALF = (
    networks("random", crossing, "random-less", variable=variable)
    for variable in ("test", "test_half")
)
ARMS = {
    "main": Arm(
        train, specs=as_they_come, note="networks as they come, on {main.size} of {every} pairs"
    ),
    "main-less": Arm(
        train_on_fewer,
        after="main",
        specs=on_fewer_pairs(LESS),
        note="the same going on with the first {main-less.size} of their pairs",
    ),
    "main-again": Arm(
        train_on_fewer,
        after="main",
        specs=on_fewer_pairs(LESS, other_pairs=True),
        note="the same going on with as many others of their pairs",
    ),
    "labels": Arm(
        train,
        specs=at_shares(8, LABELS, what="labels"),
        note="random labels on {labels.size[0]} to {labels.size[-1]} pairs: pure memorisers",
    ),
    "doubled": Arm(
        train, specs=at_shares(24, imposed="random", factor=2.0), note=f"{DOUBLED} at random"
    ),
    "halved": Arm(train, specs=at_shares(8, imposed="random", factor=0.5), note="halved instead"),
    "turned": Arm(
        train,
        specs=at_shares(24, imposed="random", turned=True),
        note="turned in phase instead, with the power as it was",
    ),
    "free-good": Arm(
        train,
        specs=at_shares(20, imposed="good", factor=2.0),
        note=f"{DOUBLED} that interfere little",
    ),
    "free-bad": Arm(
        train, specs=at_shares(20, imposed="bad", factor=2.0), note=f"{DOUBLED} that interfere much"
    ),
    "free-same": Arm(
        train,
        specs=at_shares(20, imposed="same", factor=2.0),
        note="another set of the orbit of the good one: equal interference",
    ),
    "random": Arm(
        train,
        specs=at_shares(64, imposed="random", confined=True),
        note="confined to {random.count:w} frequencies at random",
    ),
    "random-less": Arm(
        train_on_fewer,
        after="random",
        specs=on_fewer_pairs(LESS_RANDOM),
        note=(
            "random going on with {random-less.size[0]} to {random-less.size[-1]} pairs, free again"
        ),
    ),
    "others-start": Arm(
        derive=of_others(lambda arms: arms["main"]),
        note="main with the starts of eight other networks",
    ),
    "pushed": Arm(
        derive=costs("free-good", "free-bad"),
        note="J of networks that may leave their set, beside that of the set",
    ),
    "kept": Arm(derive=costs("random"), note="the same of networks that cannot leave it"),
    "natural": Arm(
        derive=NATURAL,
        note=(
            "main's networks with the sizes at which they forget, and those that their own sets "
            "predict"
        ),
    ),
    "sampled": Arm(
        derive=SAMPLED, note="natural, predicted by sixteen random sets of as many frequencies each"
    ),
    "by-number": Arm(
        derive=predicted_by(NATURAL, by_number),
        note="natural, predicted by the number of its frequencies alone",
    ),
    "by-{main.count:w}s": Arm(
        derive=predicted_by(NATURAL, by_fives),
        note=(
            "natural, predicted by the random sets of {main.count:w} that networks were confined to"
        ),
    ),
    "by-order": Arm(
        derive=predicted_by(NATURAL, by_order),
        note="natural, predicted by one size for all: only the order of pairs tells them apart",
    ),
    "even": Arm(
        derive=predicted_by(NATURAL, by_even, "even"),
        note="natural, predicted by circuits with one amplitude; J is theirs",
    ),
    "others": Arm(
        derive=of_others(NATURAL),
        note="natural, predicted by the J and the sets of eight other networks",
    ),
    "planted": Arm(
        derive=planted(NATURAL),
        note="natural, were sizes what own sets predict and the order of pairs adds",
    ),
    "confined": Arm(derive=CONFINED, note="random's networks, as natural"),
    "confined-others": Arm(
        derive=of_others(CONFINED, 5), note="confined, predicted by five other networks"
    ),
    "confined-margin": Arm(
        derive=predicted_by(CONFINED, lambda data, arms: -np.log(data.margin)),
        note=(
            "confined, predicted by the least margin of the set at equal amplitudes, without a norm"
        ),
    ),
    "confined-strength": Arm(
        derive=predicted_by(CONFINED, lambda data, arms: -np.log(data.strength)),
        note="confined, predicted by how little of the start's power was in the set",
    ),
    "shuffled": Arm(
        derive=lambda arms: MIXED(arms)[["off", "start", "diverged"]],
        note="confined, with a memoriser whose sizes are mixed up",
        learned=(),
    ),
    "natural-half": Arm(derive=NATURAL_HALF, note="natural half-way through going on with less"),
    "sampled-half": Arm(derive=predicted_by(NATURAL_HALF, by_drawn_sets), note="sampled half-way"),
    "confined-half": Arm(derive=CONFINED_HALF, note="confined half-way"),
}
PAGE = """
**The hypothesis.** Networks that add mod p answer through a handful of frequencies. Rohin Shah
guessed (a) that they use those that were strongest at initialisation, and (b) that the interference
between the frequencies differs from set to set, which changes how much a circuit achieves at equal
norm, and so the size of the training set at which generalising pays. He named a test: sample sets,
simulate interference, predict a distribution of critical sizes, compare it with the actual one.

**How it is judged.** That test comes first: do actual sizes differ as sampled sets predict, and as
the networks' own sets predict? A distribution does not say whose size is whose, so the same
predictions are then held against sizes network by network. Three families of networks answer. *As
they come*; *pushed*: five frequencies are doubled, halved or only turned in phase at the start;
*confined*: the embedding is projected onto five frequencies after every step, so that a set cannot
be left. The critical size is that of ungrokking: trained networks go on, free, with fewer of their
pairs, and forget below it. Networks as they come do so on two parts of their pairs, so that what
the order of pairs does is told apart from the network.

**Read this before you quote it.** One task, one modulus, one small network, one optimiser. A
distribution can come out right for the wrong
reason: read the first claim beside the third.
"""
SMALL = Frequencies(p=23, size=154, width=16, count=3, steps=20)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    seeds_per_group=8,
    sizes={"every": lambda sizes: sizes("main", "p")[0] * (sizes("main", "p")[0] + 1) // 2},
    scope="a + b mod {p}, one two-layer network, full-batch Adam with coupled weight decay",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(Frequencies(), seed=range(9600, 9664)),
    version=2,
    measured=5,
)
