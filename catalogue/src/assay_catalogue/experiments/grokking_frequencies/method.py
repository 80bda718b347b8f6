"""The method of grokking-frequencies: what one run is, how it is trained and what is measured of
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float, Int

from assay.core import PerRun, Spec
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.train import rng
from assay_catalogue.worlds.modular import addition, interference, spectrum
from assay_catalogue.worlds.modular import network as modular_network
from assay_catalogue.worlds.modular.addition import prime
from assay_catalogue.worlds.modular.network import Confine, Lesson

VIEWS = ("E", "E W1", "W2", "best neuron")
"""Where the initial strength of a frequency is read."""
DRAWS = 16
"""Random sets of as many frequencies as a network uses."""


@dataclass(frozen=True, kw_only=True)
class Frequencies(Spec):
    size: PerRun[Annotated[int, Ge(1)]] = 800
    """Unordered pairs in the training set; sets of one seed are nested."""
    count: Annotated[int, Ge(1)] = 5
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
    width: Annotated[int, Ge(1)] = 64
    """Width of the embedding and number of hidden units."""
    steps: Annotated[int, Ge(2)] = 1_500
    """Full-batch steps, of the first training and of going on with less data."""
    lr: Annotated[float, Gt(0)] = 0.01
    """Adam's learning rate."""
    decay: Annotated[float, Ge(0)] = 3e-5
    """Coupled weight decay w: the loss is cross-entropy + w/2 times the squared norm."""
    nu: Annotated[float, Gt(0)] = 122.7
    """Squared norm over the sum of A^(2/3), for predictions; what differs from it in the trained
    networks is put right to first order."""
    pool: int = 0
    """Of how many first pairs of its order the training set is a random part; 0: it is the first of
    the order."""

    def check(self) -> None:
        most = (prime(self.p) - 1) // 2
        if self.count > most:
            raise SpecError(
                f"Frequencies.count: there are {most} frequencies at modulus {self.p}, got "
                f"{self.count}"
            )
        if self.size > self.p * (self.p + 1) // 2:
            raise SpecError(
                f"Frequencies.size: there are {self.p * (self.p + 1) // 2:,} pairs at "
                f"p={self.p}, got {self.size:,}"
            )
        if self.pool and not self.size <= self.pool <= self.p * (self.p + 1) // 2:
            raise SpecError(
                f"Frequencies.pool must be 0, or at least size={self.size:,} and at most all "
                f"pairs, got {self.pool:,}"
            )
        if (self.confined or self.turned or self.factor != 1) and self.imposed == "none":
            raise SpecError(
                "Frequencies: confined, turned and factor act on an imposed set; choose "
                "imposed=random, good, bad or same"
            )


def drawn_sets(
    runs: Runs[Frequencies], kind: str
) -> tuple[Float[np.ndarray, "run frequency"], Float[np.ndarray, "run"], Float[np.ndarray, "run"]]:
    """(mask [run, frequency], J [run], S [run]) of the runs' sets of one kind."""
    s = runs.shared
    sets, best = interference.drawn_sets(tuple(runs.seeds.tolist()), s.p, s.count, s.decay, s.nu)[
        kind
    ]
    return interference.masks(sets.tolist(), s.p), best.objective, best.size


def lesson(runs: Runs[Frequencies]) -> Lesson:
    """The pairs that each run learns, and its order of them."""

    s = runs.shared
    labels = (
        addition.random_labels(runs.seeds, s.p)
        if s.what == "labels"
        else addition.sums(s.p).expand(len(runs), -1)
    )
    order = addition.order(runs.seeds, s.p)
    if s.pool:
        mixed = torch.from_numpy(rng.permutation(runs.seeds, "frequencies.part", 0, s.pool))
        order = torch.cat([order.gather(1, mixed), order[:, s.pool :]], 1)
    return Lesson(s.p, addition.pairs(s.p), labels, order, runs.each("size"))


def start(runs: Runs[Frequencies]) -> dict[str, torch.Tensor]:
    """Initial parameters; an imposed set's part of the embedding is multiplied, turned, or all that
    is left."""

    s = runs.shared
    params = modular_network.start(runs.seeds, s.p, s.width, s.width)
    if s.imposed == "none":
        return params
    mask = torch.from_numpy(drawn_sets(runs, s.imposed)[0]).float()
    E = spectrum.scaled(params["E"], 1 + (s.factor - 1) * mask)
    if s.turned:
        angle = torch.from_numpy(rng.uniform(runs.seeds, "frequencies.angle", 0, (mask.shape[1],)))
        E = spectrum.rotated(E, 2 * np.pi * angle * mask)
    if s.confined:  # rescaled, so that less of a table is as long as all of it
        E = torch.bmm(spectrum.projector(mask, s.p), E) * (s.p / 2 / s.count) ** 0.5
    return {**params, "E": E}


def train_on(
    runs: Runs[Frequencies],
    params: Mapping[str, torch.Tensor],
    bench: Bench,
    confine: Confine | None = None,
) -> Trained:
    """The networks after another `steps` steps on their own pairs; looks at half time and the
    end."""
    s = runs.shared
    same = np.full(len(runs), 1.0)
    looks = (s.steps // 2, s.steps)
    return modular_network.train(
        runs,
        params,
        lesson(runs),
        steps=s.steps,
        lr=s.lr * same,
        decay=s.decay * same,
        looks=looks,
        confine=confine,
        bench=bench,
    )


def train(runs: Runs[Frequencies], bench: Bench) -> Trained:
    """Networks from their start, confined after each step if they are to be."""

    s = runs.shared
    if not s.confined:
        return train_on(runs, start(runs), bench)
    onto = spectrum.projector(torch.from_numpy(drawn_sets(runs, s.imposed)[0]).float(), s.p).to(
        bench.device
    )

    def confine(params: Mapping[str, torch.Tensor], rows: np.ndarray) -> None:
        params["E"].copy_(torch.bmm(onto[torch.from_numpy(rows)], params["E"]))

    return train_on(runs, start(runs), bench, confine)


def train_on_fewer(runs: Runs[Frequencies], bench: Bench, before: Trained) -> Trained:
    """Trained networks on the first few of their own pairs, free to use any frequency."""

    trained = train_on(runs, before.tensors, bench)
    with torch.no_grad():
        trained.tensors["start"] = modular_network.evaluate(before.tensors, lesson(runs))["test"]
    return trained


def measure(runs: Runs[Frequencies], trained: Trained, bench: Bench) -> xr.Dataset:
    s = runs.shared
    last = {
        name: trained.tensors[f"{name}_at"].cpu().numpy()
        for name in ("train", "test", "loss", "norm")
    }
    variables = {
        "train": ("run", last["train"][:, -1], "share right"),
        "test": ("run", last["test"][:, -1], "share right"),
        "test_half": ("run", last["test"][:, 0], "share right"),
        "norm": ("run", last["norm"][:, -1], "squared norm"),
        "objective": ("run", last["loss"][:, -1] + s.decay / 2 * last["norm"][:, -1], "nats"),
    }
    if s.what == "labels":
        return measures(runs, coords=None, **variables)
    if "start" in trained.tensors:
        return measures(
            runs, coords=None, start=("run", trained.tensors["start"], "share right"), **variables
        )
    return measures(runs, coords={"view": VIEWS}, **variables, **measure_spectrum(runs, trained))


def measure_spectrum(runs: Runs[Frequencies], trained: Trained) -> dict[str, tuple[str, Any, str]]:
    """What networks use, and the cheapest circuit of their set: the imposed, else the used one;
    what was strong at the start."""
    s = runs.shared
    A = spectrum.amplitudes(trained.tensors).cpu().numpy()
    peak = A.max(1, keepdims=True)
    used = A / peak > 0.1
    target = used if s.imposed == "none" else drawn_sets(runs, s.imposed)[0] > 0
    S, sets = np.clip(A, 0, None) ** (2 / 3), interference.sets_of(target)
    best = interference.optimum(sets, s.p, decay=s.decay, nu=s.nu)
    first = modular_network.start(runs.seeds, s.p, s.width, s.width)
    power = {name: v.numpy() for name, v in views(first).items()}
    variables = {
        "used": ("run frequency", used, "bool"),
        "size_used": ("run", S.sum(1), "1"),
        "size_set": ("run", (S * target).sum(1), "1"),
        "circuit": ("run", best.objective, "nats"),
        "circuit_size": ("run", best.size, "1"),
        "even": ("run", interference.even(sets, s.p, decay=s.decay, nu=s.nu), "nats"),
        "margin": ("run", interference.margin(target.astype(float), s.p), "logit at amplitude 1"),
        "strength": (
            "run",
            (power["E"] * target).sum(1) / power["E"].sum(1),
            "share of the start's power",
        ),
    }
    if s.imposed == "none":
        random_optimum = interference.optimum(
            random_sets(runs, used.sum(1)), s.p, decay=s.decay, nu=s.nu
        )
        variables |= {
            "power": (
                "run view frequency",
                np.stack([power[v] for v in VIEWS], 1),
                "squared length",
            ),
            "drawn": ("run draw", random_optimum.objective.reshape(-1, DRAWS), "nats"),
            "drawn_size": ("run draw", random_optimum.size.reshape(-1, DRAWS), "1"),
        }
    else:
        variables["imposed"] = ("run frequency", target, "bool")
    if s.factor > 1:
        variables["outsiders"] = (
            "run",
            (np.clip(A / peak, 0, None) * ~target).sum(1),
            "strongest frequencies",
        )
    return variables


def views(params: Mapping[str, torch.Tensor]) -> dict[str, Float[torch.Tensor, "run frequency"]]:
    """{where it is read: strength of every frequency [run, frequency]} of networks at their
    start."""
    read = (params["E"], params["E"] @ params["W1"], params["W2"].transpose(1, 2))
    best = spectrum.best_neuron({n: v.double() for n, v in params.items()})
    return dict(zip(VIEWS, (*(spectrum.power(v.double()) for v in read), best), strict=True))


def random_sets(runs: Runs[Frequencies], number: Int[np.ndarray, "run"]) -> list[list[int]]:
    """Some random sets for each run, of as many frequencies as it has."""
    order = [
        rng.permutation(runs.seeds, "frequencies.drawn", i, (runs.shared.p - 1) // 2) + 1
        for i in range(DRAWS)
    ]
    return [o[r, :m].tolist() for r, m in enumerate(number) for o in order]
