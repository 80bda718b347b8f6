"""Grokking as circuit efficiency: is the size at which memorising costs what generalising costs
where networks change their mind?

Group: training
Paper: Varma et al. 2023, Explaining grokking through circuit efficiency (arXiv:2309.02390)
Claim: a grokked network trained on fewer pairs forgets, and at the size at which both circuits cost
the same within 10 %
Baselines: no decay, at a tenth of the rate and at the full one; shuffled sizes; from scratch; other
networks; the rate slowed alone
Cost: 480 s on 2 cores, 660 CPU-seconds, 0.4 GB a process
Seed: Rohin Shah, why would slowness favour one circuit over the other, and are both usually too
fast to tell apart?"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, by, grid, reserved, single
from assay.core.errors import SpecError
from assay.core.heavy import xr
from assay_catalogue.experiments.grokking_efficiency.claims import (
    APART,
    CLAIMS,
    EXACT,
    FINDINGS,
    figures,
)
from assay_catalogue.experiments.grokking_efficiency.method import PAIRS, Grokking, measure, train


def without_curves(data: xr.Dataset) -> xr.Dataset:
    return data.drop_dims("step")


def at_half(name: str) -> Derive:
    """An arm's measures as of half its length. The rate is constant, so half of a training is a
    training of half the length."""

    def derive(arms: Arms) -> xr.Dataset:
        dataset = without_curves(arms[name])
        return dataset.assign(
            cost=dataset.cost_half,
            test=dataset.test_half,
            late=dataset.late - dataset.test + dataset.test_half,
        )

    return derive


def mixed_decay(arms: Arms) -> xr.Dataset:
    """What three networks of a seed know on average: one of `no-decay`, two of `weak-decay`, on as
    many pairs."""
    weak = by(arms["weak-decay"], "pairs").test
    free = by(arms["no-decay"], "pairs").test.sel(pairs=weak.pairs, seed=weak.seed)
    data = arms["weak-decay"][["test"]]
    return data.assign(
        test=("run", ((free + 2 * weak) / 3).sel(seed=data.seed.values).values[:, 0])
    )


def other_sizes(arms: Arms) -> xr.Dataset:
    """The memorisers with their costs under other sizes: the six in the order 3, 1, 5, 2, 6, 4, so
    that little order is left."""
    data = without_curves(arms["memorise"])
    sizes = np.unique(data.pairs.values)
    moved = dict(zip(sizes.tolist(), sizes[[2, 0, 4, 1, 5, 3]].tolist(), strict=True))
    return data.assign_coords(pairs=("run", [moved[d] for d in data.pairs.values.tolist()]))


def one_size(name: str, place: int, halfway: bool = False) -> Derive:
    """One size of an arm, by its place among the arm's sizes in ascending order; as of half its
    length if asked for."""

    def derive(arms: Arms) -> xr.Dataset:
        sizes = np.unique(arms[name].pairs.values)
        data = at_half(name)(arms) if halfway else arms[name]
        return data.isel(run=data.pairs.values == sizes[min(place, len(sizes) - 1)])

    return derive


def as_they_come(specs: tuple[Grokking, ...]) -> tuple[Grokking, ...]:
    """The preset's specs. Raises: SpecError where they set what other arms set, or have several
    values of what arms are made from."""
    specs = single("pairs", "lr", "decay")(specs)
    return reserved("labels", "pace", "continued", "replicate")(specs)


def at_sizes(
    *pairs: int,
    times: float = 1.0,
    slow: float = 1.0,
    seeds: float = 1.0,
    closely: bool = False,
    **fields: Any,
) -> SpecMap[Grokking]:
    """The preset's seeds, or `seeds` times as many from its first on, at these sizes (of a preset
    with 800 pairs), `times` as long, at `slow` times the rate, other fields set."""

    def specs(main: tuple[Grokking, ...]) -> tuple[Grokking, ...]:
        base = main[0]
        most = base.p * (base.p + 1) // 2
        if pairs and base.pairs * APART < PAIRS:
            raise SpecError(
                "other arms' sizes scale with Grokking.pairs, which must be at least "
                f"{-(-PAIRS // APART)} for them to differ, "
                f"got {base.pairs}"
            )
        if pairs and max(pairs) * base.pairs > PAIRS * most:
            fewer = PAIRS * most // max(pairs)
            raise SpecError(
                f"other arms' sizes scale with Grokking.pairs: at p={base.p} it must be at "
                f"most {fewer:,}, got {base.pairs:,}"
            )
        sizes = (
            sorted({max(1, round(d * base.pairs / PAIRS)) for d in pairs})
            if pairs
            else [base.pairs]
        )
        base = base.replace(
            steps=round(base.steps * times), lr=base.lr * slow, closely=closely, **fields
        )
        known = sorted({s.seed for s in main})
        new = range(known[-1] + 1, known[-1] + 1 + round(len(known) * (seeds - 1)))
        return grid(base, pairs=sizes, seed=[*known, *new])

    return specs


def going_on_at(*pairs: int, **fields: Any) -> SpecMap[Grokking]:
    """Specs as of `at_sizes`, for arms that go on from grokked networks."""
    return at_sizes(*pairs, continued=True, **fields)


MEMORY, SCRATCH, FORGET = (
    (200, 300, 400, 500, 600, 700),
    (400, 420, 440, 460, 480, 500),
    (200, 250, 300, 350, 400, 450),
)
ARMS = {
    "main": Arm(
        train,
        specs=as_they_come,
        keep=True,
        note="{main.pairs} pairs, enough to grok: the generalising circuit",
    ),
    "memorise": Arm(
        train,
        specs=at_sizes(*MEMORY, times=2, labels="random"),
        note="random labels, which can only be memorised",
    ),
    "generalise": Arm(
        train,
        specs=at_sizes(PAIRS, 1400, times=3, seeds=2.4, closely=True),
        note="main's pairs and more, three times as long, of more seeds",
    ),
    "scratch": Arm(
        train,
        specs=at_sizes(*SCRATCH, times=3),
        note="from scratch on sizes around the change, three times as long",
    ),
    "ungrok": Arm(
        train,
        after="main",
        specs=going_on_at(*FORGET),
        note="main's networks go on with the first D′ of their own pairs",
    ),
    "no-decay": Arm(
        train,
        after="main",
        specs=going_on_at(200, 350, decay=0.0, slow=0.1),
        note="the same without weight decay, at a tenth of the rate, as Adam wanders without decay",
    ),
    "wandering": Arm(
        train,
        after="main",
        specs=going_on_at(200, 350, decay=0.0),
        note="the same without weight decay, at the full rate",
    ),
    "strong-decay": Arm(
        train,
        after="main",
        specs=going_on_at(350, decay=1e-4),
        note="the same at w = {strong-decay.decay}",
    ),
    "weak-decay": Arm(
        train,
        after="main",
        specs=going_on_at(350, decay=1e-5, times=4),
        note="the same at w = {weak-decay.decay}, four times as long",
    ),
    "both-slow": Arm(
        train,
        specs=at_sizes(times=2, slow=0.5, pace=0.5, closely=True),
        note=(
            "main with all of Adam at half the speed: rate × ½, betas to the power ½, twice the "
            "steps"
        ),
    ),
    "both-fast": Arm(
        train,
        specs=at_sizes(times=0.5, slow=2.0, pace=2.0, closely=True),
        note="main with all of Adam at twice the speed: rate × 2, betas squared, half the steps",
    ),
    "rate-only": Arm(
        train,
        specs=at_sizes(times=2, slow=0.5, closely=True),
        note="main at half the rate alone: Adam's memory is then shorter beside it",
    ),
    "rate-little": Arm(
        train,
        specs=at_sizes(times=1.37, slow=0.73, closely=True),
        note="planted: main at .73 of the rate alone",
    ),
    "others": Arm(
        train, keep=True, specs=at_sizes(replicate=1), note="independent networks like main's"
    ),
    "others-ungrok": Arm(
        train, after="others", specs=going_on_at(*FORGET[2:]), note="the same as ungrok, from them"
    ),
    "mixed-decay": Arm(
        derive=mixed_decay,
        note="planted: of three networks one of `no-decay` and two of `weak-decay`, their mean",
    ),
    "shuffled": Arm(
        derive=other_sizes,
        note="memorise with its costs under other sizes: the six in the order 3, 1, 5, 2, 6, 4",
        learned=(),
    ),
    "at-{scratch.pairs[0]:d}": Arm(
        derive=one_size("scratch", 0), note="scratch at the smallest of its sizes"
    ),
    "at-{scratch.pairs[3]:d}": Arm(
        derive=one_size("scratch", 3), note="scratch at the fourth of its sizes"
    ),
    "memorise-half": Arm(derive=at_half("memorise"), note="memorise at half its length"),
    "generalise-half": Arm(derive=at_half("generalise"), note="generalise at half its length"),
    "scratch-half": Arm(derive=at_half("scratch"), note="scratch at half its length"),
    "at-{scratch.pairs[3]:d}-half": Arm(
        derive=one_size("scratch", 3, halfway=True),
        note="at-{scratch.pairs[3]:d} at half its length",
    ),
    "strong-decay-half": Arm(
        derive=at_half("strong-decay"), note="strong-decay at half its length"
    ),
    "weak-decay-half": Arm(derive=at_half("weak-decay"), note="weak-decay at half its length"),
    "ungrok-half": Arm(derive=at_half("ungrok"), note="ungrok at half its length"),
}
PAGE = """
**The hypothesis.** A network can answer its training pairs by a circuit that memorises or by one
that generalises. Weight decay makes it prefer whichever reaches the same logits with less norm.
Memorising costs more with every pair, generalising does not; so there is a critical size of the
training set, above which networks grok and below which even a grokked network forgets.

**How it is judged.** Addition mod 53 in a small two-layer network, ten seeds, and 24 for the
slope of generalising. J, the loss with its penalty, is measured for networks that can only memorise
and for grokked ones; for these also the best J their frequencies allow. Where the two cross is the
prediction; where grokked networks forget on fewer pairs, and where fresh ones grok, is what it is
held to.

**Read this before you quote it.** One task, one small network, one optimiser. Where networks grok
*from scratch* still moves with the length of training. Over which frequencies ν is taken moves the
prediction by a sixth; claims about places must hold for both. A simulation of two circuits says
what slowness alone can do. """
SMALL = Grokking(pairs=52, p=13, embed=16, hidden=16, steps=60)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *EXACT, *FINDINGS),
    figures=figures,
    seeds_per_group=10,
    scope="addition mod {p}, one two-layer ReLU network of width {hidden}, "
    "full-batch Adam with coupled L2",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(Grokking(), seed=range(50000, 50010)),
    measured=2,
)
