"""The method of clt-faithful: what one run is, how a dictionary is trained, and how far it does
what the circuit does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core import Bench, PerRun, Runs, Spec, Trained, descent, fit, warm_up_decay
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay_catalogue.dictionaries.cross_layer import (
    CrossLayer,
    bounded,
    encode,
    lengths,
    replaced,
    written,
)
from assay_catalogue.experiments.clt_faithful.world import World

ON = 0.01
"""A feature counts as on where it writes more than this share of an answer: Adam leaves traces
where a feature is off."""


@dataclass(frozen=True, kw_only=True)
class CltFaithful(Spec):
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.1
    """λ of Σ ‖y − ŷ‖² + λ Σ f ‖W_dec‖; an answer has length 1."""
    reach: Literal["later", "own"] = "later"
    """Where features write: to later layers too, a cross-layer transcoder, or to their own
    alone."""
    joined: bool = True
    """Whether a feature pays for its rows to both layers by their length side by side; else by the
    sum of their lengths."""
    saturation: Annotated[float, Ge(0)] = 0.0
    """c of a penalty tanh(c z)/c that saturates; 0 for z."""
    hops: Literal[1, 2] = 2
    """The circuit: two hops of which the second reads the first, or two single hops side by
    side."""
    exchanged: bool = False
    """Whether the first hop's value comes from another input on its way to the second, in
    training."""
    shuffled: bool = False
    """Whether the writes belong to other inputs, in training."""
    start: Literal["random", "faithful", "rewritten"] = "random"
    """Where training begins: at random, or at a known dictionary among other features that are
    random."""
    noise: Annotated[float, Ge(0)] = 0.0
    """By how much of itself every number of a known dictionary is changed."""
    features: Annotated[int, Ge(7)] = 32
    """Features of each layer."""
    steps: Annotated[int, Ge(0)] = 3000
    """Training steps, each on all inputs; 0 leaves the start."""
    lr: Annotated[float, Gt(0)] = 0.01
    """Adam's learning rate at its top: 50 steps of warm-up, linear decay to 0 over the second
    half."""

    @property
    def circuit(self) -> str:
        """What dictionaries explain, in words."""
        both = "one hand-written circuit of two hops"
        return both if self.hops == 2 else "two single hand-written hops side by side"


def begun(runs: Runs[CltFaithful]) -> dict[str, torch.Tensor]:
    """The parameters before training; without training a known dictionary has no other features."""
    from assay_catalogue.experiments.clt_faithful.world import first_start, planted

    s = runs.shared
    if s.start == "random":
        return bounded(first_start(runs.seeds, s.features, 8), s.reach)
    return bounded(planted(runs.seeds, s.start, s.features, s.noise, quiet=s.steps == 0), s.reach)


def train(runs: Runs[CltFaithful], bench: Bench) -> Trained:
    """Train dictionaries on all inputs of the circuit at every step."""

    from assay_catalogue.experiments.clt_faithful.world import of_others, world

    s = runs.shared
    original = world(runs.seeds, s.hops, exchanged=s.exchanged)
    writes = original.writes
    if s.shuffled:
        writes = of_others(writes, runs.seeds)
    cost = CrossLayer(s.reach, s.joined, s.saturation)
    penalty = torch.from_numpy(np.asarray(runs.each("penalty"))).float()

    def loss(
        params: dict[str, torch.Tensor], batch: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        return cost(params, *batch, penalty.to(batch[0]))

    group = descent(
        runs,
        begun(runs),
        loss,
        lr=np.full(len(runs), s.lr),
        schedule=warm_up_decay(s.steps, 50, 0.5),
        betas=(0.9, 0.99),
    )
    return fit([group], lambda step: (original.streams, writes), steps=s.steps, bench=bench)[0]


def measure(runs: Runs[CltFaithful], trained: Trained, bench: Bench) -> xr.Dataset:
    """Errors, features that are on, what they are credited with, and what an exchanged first hop
    does; on all inputs, unexchanged."""

    from assay_catalogue.experiments.clt_faithful.world import flipped, world

    s = runs.shared
    # on the CPU: they are as small as the circuit
    params = bounded(trained.to("cpu").tensors, s.reach)
    original = world(runs.seeds, s.hops)
    with torch.no_grad():
        features = encode(params, original.streams)
        wrote = written(params, features)
        wrong = (
            (wrote.sum(1) + params["b_dec"][:, :, None] - original.writes).square().sum(3).mean(2)
        )
        on = (features * lengths(params)[:, :, None] > ON).double().sum(3).mean(2)
        astray, followed = exchange(params, original, flipped(runs.seeds, s.hops))
        variables = {
            "fvu": ("run", wrong.sum(1) / original.variance.sum(1), "FVU"),
            "fvu_layer": ("run layer", wrong / original.variance, "FVU"),
            "active": ("run layer", on, "features"),
            "cost": ("run", CrossLayer(s.reach).cost(params, features), "length"),
            "credited": (
                "run",
                credited(wrote[:, 0, 1], original.writes[:, 1]),
                "share of the second MLP's write",
            ),
            "credited_second": (
                "run",
                credited(wrote[:, 1, 1], original.writes[:, 1]),
                "share of the second MLP's write",
            ),
            "astray": ("run", astray, "answers"),
            "followed": ("run", followed, "share"),
            "apart": ("run", measure_write_distance(params, original), "answers"),
        }
    return measures(
        runs,
        coords={"layer": ["first", "second"]},
        **{k: (d, x.double().numpy(), u) for k, (d, x, u) in variables.items()},
    )


def credited(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """[run]: how much of what the second MLP writes some features write in its place.

    Formula: Σ (part − mean)·(whole − mean) / Σ ‖whole − mean‖², over inputs; these shares add up to
    1 where reconstruction is exact"""
    part, whole = part - part.mean(1, keepdim=True), whole - whole.mean(1, keepdim=True)
    return (part * whole).sum((1, 2)) / whole.square().sum((1, 2))


def exchange(
    params: dict[str, torch.Tensor], original: World, other: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """([run] how far the replacement's response to an exchanged first hop is from the model's,
    [run] what share of that it follows).

    The stream between the layers has the first hop's other value, in the model and in the
    replacement alike; what the first layer's features write to the second stays, as they read the
    stream before.

    Formula: mean of ‖Δŷ − Δy‖ over inputs, 1 for a whole answer; Σ Δŷ·Δy / Σ ‖Δy‖², NaN where the
    model does not respond"""
    streams, writes = other

    def second(stream: torch.Tensor) -> torch.Tensor:
        features = torch.relu(stream @ params["W_enc"][:, 1] + params["b_enc"][:, 1, None])
        return features @ params["W_dec"][:, 1, 1]

    response = second(streams) - second(original.streams[:, 1])
    true = writes - original.writes[:, 1]
    size = true.square().sum((1, 2))
    share = (response * true).sum((1, 2)) / size.where(
        size > 1e-9, torch.full_like(size, torch.nan)
    )
    return torch.linalg.vector_norm(response - true, dim=2).mean(1), share


def measure_write_distance(params: dict[str, torch.Tensor], original: World) -> torch.Tensor:
    """[run]: how far the second layer's write is from the model's where both MLPs are replaced;
    mean over inputs, 1 for a whole answer."""

    wrote = replaced(params, original.streams[:, 0])[1]
    return torch.linalg.vector_norm(wrote[:, 1] - original.writes[:, 1], dim=2).mean(1)
