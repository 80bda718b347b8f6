"""Minibatch noise of networks: in how many directions it lies, on which data, and whether unequal
variances or correlations make it so.

Group: training
Paper: Zhu et al. 2019, The Anisotropic Noise in Stochastic Gradient Descent; a comment on Sourbut
2022 about SGD and natural selection
Claim: with classes as unequal as words, networks' minibatch noise has at most half the directions
of isotropic noise, mostly by unequal variances
Baselines: classes equally frequent; the noise of each weight by itself; the noise with equal
variances, correlations alone
Cost: 52 s on 2 cores, 98 CPU-seconds, 0.6 GB a process
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float, Int

from assay.core import (
    Arm,
    Arms,
    Claim,
    Estimate,
    Experiment,
    Figure,
    OneTerm,
    Spec,
    Value,
    changed,
    descent,
    figure,
    fit,
    grid,
    reserved,
    variant,
)
from assay.core.bench import Bench
from assay.core.claims import rival, same_method
from assay.core.errors import SpecError
from assay.core.fit import Trained, watched
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.stats import ratio
from assay_catalogue.worlds.networks import example_gradients as eg
from assay_catalogue.worlds.steps.noise import participation

ZHU = "Zhu et al. 2019, The Anisotropic Noise in Stochastic Gradient Descent"
SNAPSHOTS = (0.0, 0.1, 0.3, 1.0)
"""Shares of a training at which the noise is measured."""
SHOWN = {
    "main": "softmax",
    "softmax-diag": "softmax, variances alone",
    "softmax-even": "softmax, correlations alone",
    "softmax-balanced": "softmax, balanced classes",
    "mlp": "two layers",
    "mlp-diag": "two layers, variances alone",
    "mlp-even": "two layers, correlations alone",
    "mlp-balanced": "two layers, balanced classes",
}
"""Arms in the picture."""


@dataclass(frozen=True, kw_only=True)
class GradientNoise(Spec):
    law: Literal["sgd", "diag", "even"] = "sgd"
    """How the noise is drawn: from minibatches, each weight by itself, or with all weights scaled
    to one variance."""
    hidden: Annotated[int, Ge(0)] = 0
    """ReLU units in the networks' middle; 0 is softmax regression."""
    zipf: Annotated[float, Ge(0)] = 1.0
    """Exponent of the class frequencies: 0 is balanced, 1 as words are."""
    classes: Annotated[int, Ge(2)] = 64
    """Classes of the problem."""
    features: Annotated[int, Ge(1)] = 32
    """Inputs of the networks."""
    examples: Annotated[int, Ge(2)] = 4_000
    """Labelled examples."""
    batch: Annotated[int, Ge(1)] = 8
    """Examples in a minibatch."""
    steps: Annotated[int, Ge(1)] = 2_000
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 0.3
    """Learning rate."""
    minibatches: Annotated[int, Ge(2)] = 2_000
    """Minibatches drawn at frozen weights."""
    subset: Annotated[int, Ge(2)] = 256
    """Weights, drawn at random, whose noise is looked at."""

    def check(self) -> None:
        if self.batch > self.examples:
            raise SpecError(
                f"GradientNoise.batch must be at most the {self.examples} examples that there "
                f"are, got {self.batch}"
            )
        weights = (
            self.hidden * (self.features + self.classes)
            if self.hidden
            else self.features * self.classes
        )
        if self.subset > weights:
            raise SpecError(
                f"GradientNoise.subset must be at most the {weights} weights of the network, "
                f"got {self.subset}"
            )


def labelled_examples(
    runs: Runs[GradientNoise],
) -> tuple[Float[torch.Tensor, "run b f"], Int[torch.Tensor, "run b"]]:
    """Inputs [run b f] and classes [run b] of every network."""
    s = runs.shared
    return eg.labelled(runs.seeds, s.examples, s.features, s.classes, sharpness=2.0, zipf=s.zipf)


def train(runs: Runs[GradientNoise], bench: Bench) -> Trained:
    """Weights [run snapshot in out] along a training by minibatches."""
    s = runs.shared
    params = eg.classifier(runs, (s.features, *([s.hidden] if s.hidden else []), s.classes))
    names = tuple(params)
    group = descent(runs, params, eg.losses, lr=np.full(len(runs), s.lr), plain=True)
    group = watched(group, names, [round(share * s.steps) for share in SNAPSHOTS])
    x, y = labelled_examples(runs)
    trained = fit([group], eg.draws(runs.seeds, x, y, s.batch), steps=s.steps, bench=bench)[0]
    return replace(trained, tensors={name: trained.tensors[f"{name}/at"] for name in names})


def same_networks(runs: Runs[GradientNoise], bench: Bench, before: Trained) -> Trained:
    """Keep the networks as they are; only their noise is drawn anew."""
    return before


def measure(runs: Runs[GradientNoise], trained: Trained, bench: Bench) -> xr.Dataset:

    s, (x, y) = runs.shared, (part.to(bench.device) for part in labelled_examples(runs))
    moments = [
        {name: w[:, k] for name, w in trained.tensors.items()} for k in range(len(SNAPSHOTS))
    ]
    coordinates = eg.coordinates(runs.seeds, moments[0], s.subset).to(bench.device)
    examples = [
        eg.of_examples(params, x, y, coordinates) for params in moments
    ]  # [run b coordinate] each

    def spectrum(law: str, stream: str) -> np.ndarray:
        spectra = [
            eg.noise_spectra(g, runs.seeds, k, law, s.batch, s.minibatches, stream)
            for k, g in enumerate(examples)
        ]
        return np.stack(spectra, 1)

    return measures(
        runs,
        coords={"snapshot": SNAPSHOTS},
        participation=("run snapshot", participation(spectrum(s.law, "noise")), "directions"),
        reference=("run snapshot", participation(spectrum("iso", "reference")), "directions"),
        loss=(
            "run snapshot",
            torch.stack([eg.losses(params, (x, y)) for params in moments], 1),
            "nats",
        ),
    )


def anisotropy(arm: xr.Dataset) -> xr.DataArray:
    """[run]: participation ratio of the noise over isotropic noise's, a mean over the snapshots
    after the start."""
    return (arm.participation / arm.reference).isel(snapshot=slice(1, None)).mean("snapshot")


def fewer(arm: xr.Dataset) -> xr.DataArray:
    """[run]: by how much, in logarithms, fewer directions there are than in isotropic noise."""
    return -np.log(anisotropy(arm))  # type: ignore[return-value]  # NumPy says that it gives arrays


def directions(hidden: int) -> OneTerm:
    """A value, [run]: the anisotropy of networks with as many hidden units; of others it says
    nothing."""
    return lambda arm, arms: anisotropy(arm).where(arm.attrs["hidden"] == hidden)


def log_directions(reference: str) -> Value:
    """Terms: `fewer` in this arm and in arm `of`.

    Only for noise of the same kind of network, on the same kind of data.
    """

    def value(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
        is_comparable = all(
            arm.attrs[name] == arms[reference].attrs[name] for name in ("hidden", "zipf")
        )
        return {"own": fewer(arm).where(is_comparable), "all": fewer(arms[reference])}

    return value


def about_networks(
    kind: str, arm_name: str, hidden: int, few: str, most: str
) -> tuple[Claim, Claim]:
    """Claims about a kind of networks, the texts given: how few directions its noise has, and that
    most of it is unequal variances."""
    return (
        Claim(
            text=few,
            of=arm_name,
            value=directions(hidden),
            high=0.5,
            scale="log",
            unit="ratio of participation ratios",
            near={f"{kind}-balanced": "networks' noise has few directions on any data"},
            also={f"{kind}-diag": rival("weights of unequal variance are few directions, too")},
            credits="networks",
            empty=1.0,
            half={arm_name: f"{kind}-half"},
            threshold_from="pilot: seeds 0–2 chose these data; one half is the plan's",
            published="new",
            source=ZHU,
        ),
        Claim(
            text=most,
            of=f"{kind}-diag",
            value=log_directions(arm_name),
            statistic=ratio("own", "all"),
            low=0.5,
            unit="share of log anisotropy",
            near={f"{kind}-even": "correlations alone give as much"},
            also={
                arm_name: same_method("the whole, of which this is a share"),
                f"{kind}-half": same_method("the whole, half-way"),
            },
            credits="networks",
            threshold_from="pilot: seeds 0–63, .94 and .73; most is half",
            published="new",
            source=ZHU,
        ),
    )


def make_arms(kind: str, source: str, **network: Any) -> dict[str, Arm]:
    """Arms beside a kind of networks: half as long, on balanced classes; their noise with variances
    alone, and with correlations alone."""
    half = variant(seeds=8, times={"steps": 0.5}, **network)
    return {
        f"{kind}-half": Arm(
            train, specs=half, note=f"{source}, trained half as long, {{{kind}-half.seed#:w}} seeds"
        ),
        f"{kind}-balanced": Arm(
            train,
            specs=changed(zipf=0.0, **network),
            note=f"{source}, where all classes are equally frequent",
        ),
        f"{kind}-diag": Arm(
            same_networks,
            specs=changed(law="diag"),
            after=source,
            note="its noise redrawn, each weight by itself: variances alone",
        ),
        f"{kind}-even": Arm(
            same_networks,
            specs=changed(law="even"),
            after=source,
            note="its noise, every weight scaled to one variance: correlations alone",
        ),
    }


def figures(arms: Arms) -> list[Figure]:
    rows = [
        (
            label,
            float(k),
            (arms[name].participation / arms[name].reference).sel(snapshot=k).values,
        )
        for name, label in SHOWN.items()
        for k in arms[name].snapshot.values
    ]
    return [
        figure(
            "Data make the noise anisotropic, hardly training",
            "line",
            {"noise": "color", "share": "x", "mean": "mean"},
            rows,
            x_title="share of training",
            y_title="participation ratio over isotropic noise's",
            rules=((0.5, ""),),
        )
    ]


experiment = Experiment(
    arms={
        "main": Arm(
            train,
            specs=reserved("law", "hidden", "zipf"),
            keep=True,
            note="softmax regression: minibatch noise at three snapshots of its training",
        ),
        **make_arms("softmax", "main"),
        "mlp": Arm(
            train,
            specs=changed(hidden=48),
            keep=True,
            note=(
                "networks with 48 ReLU units between: minibatch noise at three snapshots of its "
                "training"
            ),
        ),
        **make_arms("mlp", "mlp", hidden=48),
    },
    measure=measure,
    claims=(
        *about_networks(
            "softmax",
            "main",
            0,
            "Where classes are as unequal as words, softmax regression's minibatch noise has "
            "at most half the directions of isotropic noise",
            "Most of it is unequal variances: softmax's noise, redrawn weight by weight, "
            "keeps at least half of the anisotropy, in logarithms",
        ),
        *about_networks(
            "mlp",
            "mlp",
            48,
            "So has that of a network of two layers: at most half the directions",
            "So it is in the network of two layers: at least half",
        ),
        Estimate(
            "Anisotropy of softmax's noise before any training",
            value=lambda arms: (arms["main"].participation / arms["main"].reference).isel(
                snapshot=0
            ),
            unit="ratio of participation ratios",
            published="new",
            source=ZHU,
        ),
    ),
    figures=figures,
    scope="networks on {features} white inputs and {classes} classes of a random teacher, "
    "batches of {batch}, {subset} of their weights at 10, 30 and 100 % of training",
    seeds_per_group=8,
    version=3,  # networks alone, with a spec of their own
    measured=2,  # fewer spectra
    smoke=grid(GradientNoise(steps=40, minibatches=50, subset=64), seed=range(2)),
    default=grid(GradientNoise(), seed=range(63360, 63384)),
)
