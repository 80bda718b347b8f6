"""The streams and writes that dictionaries learn from, on every input there is, and the two
dictionaries of two hops that are known."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.worlds.algorithms.built.circuit import Circuit
from assay_catalogue.worlds.algorithms.built.two_hops import one_hop, two_hops

Known = Literal["faithful", "rewritten"]
SCALE = 0.3
"""Length of the random rows that a dictionary begins with."""
DRAWS = 256
"""Orders of the inputs among which that is chosen which leaves the least correlation."""


class World(NamedTuple):
    """A circuit's streams before both MLPs and what these write, one row an input, all inputs
    equally likely; [run l b d]."""

    streams: torch.Tensor
    writes: torch.Tensor

    @property
    def variance(self) -> torch.Tensor:
        """[run l]: mean squared distance of a layer's writes from their mean."""
        return (self.writes - self.writes.mean(2, keepdim=True)).square().sum(3).mean(2)


def circuit(hops: int) -> Circuit:
    """The circuit of two hops, or the one of two single hops side by side; five bits, stream of
    eight."""
    return two_hops(2) if hops == 2 else one_hop(1)


def mlp(model: Circuit, layer: int, stream: torch.Tensor) -> torch.Tensor:
    """What a layer's MLP writes, given the stream before it in the circuit's own coordinates."""
    p = {name: model.params[name][0, layer] for name in ("W_in", "b_in", "W_out", "b_out")}
    return (stream @ p["W_in"] + p["b_in"]).relu() @ p["W_out"] + p["b_out"]


def rotations(seeds: np.ndarray, d: int) -> torch.Tensor:
    """[run d d]: a random rotation or reflection for each seed, so that no coordinate of the stream
    means anything by itself."""
    q, r = torch.linalg.qr(
        torch.from_numpy(rng.normal(seeds, "clt-faithful.rotation", 0, (d, d))).double()
    )
    return q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]


def world(seeds: np.ndarray, hops: int, *, exchanged: bool = False) -> World:
    """All 32 inputs of a circuit, in each seed's coordinates.

    With `exchanged` what the first MLP wrote is put in from another input: each input with four,
    that differ in the first two bits. The first MLP's own write stays what it is told to
    reconstruct."""
    model = circuit(hops)
    start = model.params["W_E"][0]
    first_write = mlp(model, 0, start)
    put = first_write
    # tokens 0 … 3 have every combination of the first two bits, the only ones that the first MLP
    # reads
    if exchanged:
        put = first_write[:4].repeat(len(start), 1)
        start, first_write = start.repeat_interleave(4, 0), first_write.repeat_interleave(4, 0)
    second = start + put
    turn = rotations(seeds, start.shape[1])[:, None]
    streams = torch.stack([start, second])
    writes = torch.stack([first_write, mlp(model, 1, second)])
    return World((streams @ turn).float(), (writes @ turn).float())


def flipped(seeds: np.ndarray, hops: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Streams before the second MLP with the first one's write turned to its other value, and what
    the second then writes; [run b d]."""
    model = circuit(hops)
    start = model.params["W_E"][0]
    first = mlp(model, 0, start)
    second = start + (first[3] + first[0] - first)  # it has two values, those at 11 and at 00
    turn = rotations(seeds, start.shape[1])
    return (second @ turn).float(), (mlp(model, 1, second) @ turn).float()


def of_others(writes: torch.Tensor, seeds: np.ndarray) -> torch.Tensor:
    """Give each input the writes of another: in the order, of many drawn, that leaves writes least
    correlated with what they were.

    Of 32 inputs chance alone leaves a correlation of ± .18, and that much would be credited to
    whoever learns them by heart."""

    def put(i: int) -> torch.Tensor:
        order = torch.from_numpy(
            rng.permutation(seeds, "clt-faithful.shuffled", i, writes.shape[2])
        )
        return writes.gather(2, order[:, None, :, None].expand_as(writes))

    centred = writes - writes.mean(2, keepdim=True)
    correlations = torch.stack([(put(i) * centred).sum((2, 3)).abs().sum(1) for i in range(DRAWS)])
    best = correlations.round(decimals=3).argmin(
        0
    )  # rounded, so that of equally good ones the first is taken whatever a sum's order
    return torch.stack([put(int(i))[run] for run, i in enumerate(best)])


def first_start(
    seeds: np.ndarray, features: int, d: int, layers: int = 2
) -> dict[str, torch.Tensor]:
    """Random features: encoder and decoder rows of length about SCALE, no biases."""
    shape = {"W_enc": (layers, d, features), "W_dec": (layers, layers, features, d)}
    normals = {
        name: torch.from_numpy(rng.normal(seeds, f"clt-faithful.{name}", 0, size))
        for name, size in shape.items()
    }
    params = {name: x * SCALE / d**0.5 for name, x in normals.items()}
    params["W_enc"] = normals["W_enc"] / d**0.5
    return params | {
        "b_enc": torch.zeros(len(seeds), layers, features),
        "b_dec": torch.zeros(len(seeds), layers, d),
    }


def planted(
    seeds: np.ndarray, which: Known, features: int, noise: float, quiet: bool = True
) -> dict[str, torch.Tensor]:
    """The circuit of two hops as a dictionary that reconstructs it without error, each number
    changed by `noise` of itself at random.

    faithful: x₁ ∧ x₂ writes the first hop; of the second layer, h ∧ ¬x₃ and x₃ ∧ ¬h write the
    second.
    rewritten: five features of the first layer, no two of them on together, write both hops; the
    second layer has none.
    Other features are silent, or begin at random where not `quiet`.
    """
    model = circuit(2)
    d = model.params["W_E"].shape[2]
    bits, (hop, answer) = (
        torch.eye(d, dtype=torch.float64)[:3],
        torch.eye(d, dtype=torch.float64)[5:7],
    )
    bit_one, two, three = bits
    zero = torch.zeros(d, dtype=torch.float64)
    # (layer, what it reads, bias, what it writes to the first layer, to the second)
    rows: dict[str, list[tuple[Any, ...]]] = {
        "faithful": [
            (0, bit_one + two, -1.0, hop, zero),
            (1, hop - three, 0.0, zero, answer),
            (1, three - hop, 0.0, zero, answer),
        ],
        "rewritten": [
            (0, bit_one + two - three, -1.0, hop, answer),
            (0, bit_one + two + three, -2.0, hop, zero),
            (0, three - bit_one - two, 0.0, zero, answer),
            (0, three + bit_one - two, -1.0, zero, answer),
            (0, three + two - bit_one, -1.0, zero, answer),
        ],
    }
    turn = rotations(seeds, d)
    params = first_start(seeds, features, d)
    if quiet:
        params = {name: torch.zeros_like(x) for name, x in params.items()}
    for i, (layer, reads, bias, *writes) in enumerate(rows[which]):
        params["W_enc"][:, layer, :, i] = (reads @ turn).float()
        params["b_enc"][:, layer, i] = bias
        for to, write in enumerate(writes):
            params["W_dec"][:, layer, to, i] = (write @ turn).float()
    for name in params if noise else ():
        scale = torch.from_numpy(
            rng.normal(seeds, f"clt-faithful.noise.{name}", 0, tuple(params[name].shape[1:]))
        )
        params[name] = params[name] * (1 + noise * scale)
    return params
