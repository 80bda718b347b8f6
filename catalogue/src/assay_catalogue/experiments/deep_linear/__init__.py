"""Deep linear nets: layers that change no function change how it is learned.

Group: training
Paper: Exact solutions to the nonlinear dynamics of learning in deep linear neural networks, Saxe,
McClelland & Ganguli 2014
Claim: two linear layers learn one mode after another, each in a step; split unevenly, the same
function at the start, they do not
Baselines: lopsided, the same product split unevenly; redrawn, another draw of the start; shallow,
one layer; turned, another basis
Cost: 35 s on 2 cores, 18 CPU-seconds, 0.4 GB a process
Seed: what does not change the function a network computes still changes its training, as in deep
linear nets (nostalgebraist)"""

from __future__ import annotations

from functools import partial
from typing import Any

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, by, grid, reserved
from assay.core.errors import SpecError
from assay.core.heavy import xr
from assay.core.sizes import in_words
from assay_catalogue.experiments.deep_linear.claims import CLAIMS, figures, next_seed, select_start
from assay_catalogue.experiments.deep_linear.method import START, DeepLinear, measure, train


def other_start(arms: Arms) -> xr.Dataset:
    """A derived arm: lopsided, with the times that theory gives for main, whose function is the
    same."""
    lopsided = arms["lopsided"]
    theirs = by(select_start(arms["main"])).predicted.sel(seed=lopsided.seed.values)
    return lopsided.assign(
        predicted=(lopsided.predicted.dims, theirs.values, lopsided.predicted.attrs)
    )


def other_draw(source: str) -> Derive:
    """A derived arm: an arm's own times, with those that theory gives for the next seed."""

    def derive(arms: Arms) -> xr.Dataset:
        arm = select_start(arms[source])
        theirs = next_seed(arm.predicted.values)
        return arm.assign(predicted=(arm.predicted.dims, theirs, arm.predicted.attrs))

    return derive


def plain(specs: tuple[DeepLinear, ...]) -> tuple[DeepLinear, ...]:
    """Main's runs. Raises: SpecError where arms set a field, where there is one layer, or where no
    run is at the start at which arms are compared."""
    starts = sorted({s.start for s in specs})
    if START not in starts:
        got = ",".join(f"{x:g}" for x in starts)
        raise SpecError(
            f"DeepLinear.start must be {START:g} in some runs, where arms are compared: "
            f"start={START:g},{got} and not start={got}"
        )
    if any(s.layers == 1 for s in specs):
        raise SpecError("DeepLinear.layers must be at least 2, as the arm shallow has one; got 1")
    return reserved("split", "turned", "aligned")(specs)


def single_layer(specs: tuple[DeepLinear, ...]) -> tuple[DeepLinear, ...]:
    """Main's runs as one layer; of more than two layers, `train` merges them."""
    return tuple(s.replace(layers=1) if s.layers == 2 else s for s in specs)


def at_start(**changes: Any) -> SpecMap[DeepLinear]:
    """The runs at the start where arms are compared, with these changes."""
    return lambda specs: tuple(s.replace(**changes) for s in specs if s.start == START)


ARMS = {
    "main": Arm(train, specs=plain, note="{main.layers:w} layers that start small and at random"),
    "shallow": Arm(
        partial(train, merged=True),
        specs=single_layer,
        note="one layer that starts as the product of main's {main.layers:w}: the same map",
    ),
    "turned": Arm(
        train,
        specs=at_start(turned=True),
        note="main's layers with the hidden units in another basis: the same map, the same course",
    ),
    "lopsided": Arm(
        train,
        specs=at_start(split=20.0),
        note="main's {last} layer times 20, the first over 20: the same map again",
    ),
    "aligned": Arm(
        train,
        specs=at_start(aligned=True),
        note="balanced layers along the modes, as the published curves assume",
    ),
    "aligned-lopsided": Arm(
        train, specs=at_start(aligned=True, split=20.0), note="the same, split unevenly"
    ),
    "redrawn": Arm(
        derive=other_draw("main"),
        note="main, with the times that theory gives for another seed's draw",
    ),
    "lopsided-redrawn": Arm(
        derive=other_draw("lopsided"), note="lopsided, with those of another seed's draw"
    ),
    "lopsided-as-main": Arm(
        derive=other_start, note="lopsided, with the times that theory gives for main"
    ),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="modes of strength {strengths} in maps of {size} × {size}, whitened inputs, "
    "{hidden} hidden units, full gradient descent",
    seeds_per_group=16,
    sizes={
        "layers": lambda sizes: f"{in_words(sizes('main', 'layers')[0]).capitalize()} layers",
        "last": lambda sizes: "second" if sizes("main", "layers") == (2,) else "last",
    },
    smoke=grid(DeepLinear(steps=1_000, lr=0.008), start=(0.001, START, 0.3), seed=range(2)),
    default=grid(DeepLinear(), start=(0.001, START, 0.1, 0.3), seed=range(63200, 63264)),
)
