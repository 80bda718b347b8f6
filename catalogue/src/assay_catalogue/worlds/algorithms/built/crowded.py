"""Features in superposition: one MLP writes more features than it has dimensions for, by neurons of
which none is a feature; the next reads them.

Each feature is a direction, on at some tokens, or at some tokens after some others. Some are
decoys, which nothing reads. What reads a feature tells exactly whether it is on, on every input,
and also where any other feature was taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import scipy, torch
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.built.circuit import (
    SHARP,
    Circuit,
    attends,
    built,
    empty,
    matrix,
    moves,
    rooms,
    shape_of,
)
from assay_catalogue.worlds.algorithms.task import Task, unasked

SITE = Part("mlp", 0)
"""What writes the features."""
CLEAR = 0.15
"""Least distance between what a reader reads where its feature is on and where it is off; a
feature's own length is 1."""
STEP, OFFSET = 50.0, 10.0
"""Logits: a feature raises one class by 2 or 3 steps and another by 1; classes lie different
offsets apart, so that none are ever equal."""
TOGETHER = 3
"""Most features that are on at once."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """Features that share a room, those that are read first and decoys last, and how they are
    read."""

    here: Bool[np.ndarray, "f v"]
    """At which tokens each may be on."""
    before: Bool[np.ndarray, "f v"]
    """After which tokens, `back` places before; all of them where that makes no difference."""
    rows: Float[np.ndarray, "f k"]
    """Directions, of length 1."""
    readers: Float[np.ndarray, "n k"]
    """What reads each feature: readers · written + thresholds is 1 at least where it is on, −1 at
    most where it is off."""
    thresholds: Float[np.ndarray, " n"]
    raises: Float[np.ndarray, "n c"]
    """By how much each raises the logit of each class."""
    offsets: Float[np.ndarray, " c"]
    back: int

    def on(self, tokens: Int[np.ndarray, "n s"]) -> Bool[np.ndarray, "n s f"]:
        """Tell where each feature is on. At the first places, before which there is nothing, a
        token counts as its own forerunner."""
        positions = np.arange(tokens.shape[1])
        earlier = tokens[:, np.where(positions < self.back, positions, positions - self.back)]
        return np.moveaxis(self.here[:, tokens] & self.before[:, earlier], 0, -1)

    def logits(self, on: Bool[np.ndarray, "... f"]) -> Float[np.ndarray, "... c"]:
        """Give the logits of features that are on."""
        return on[..., : len(self.raises)] @ self.raises + self.offsets


def crowd(
    generator: np.random.Generator,
    tokens: int,
    read: int,
    decoys: int,
    room: int,
    classes: int,
    back: int,
) -> Crowd:
    """Draw features until each can be told from what is written, on every pair of tokens, and with
    any one of the others taken out."""
    while True:
        current, before = _patterns(generator, tokens, read + decoys)
        pairs = (current[:, :, None] & before[:, None]).reshape(len(current), -1).T
        on, often = np.unique(pairs, axis=0, return_counts=True)
        if on.sum(1).max() > TOGETHER or len(np.unique(pairs, axis=1).T) < len(current):
            continue
        rows = _spread(generator, read + decoys, room)
        readers = _readers(on, often, rows, read)
        if readers is not None:
            break
    raises, order = np.zeros((read, classes)), generator.permutation(classes)
    for i, row in enumerate(raises):
        row[order[np.array([i % classes, (i + int(generator.integers(1, classes))) % classes])]] = (
            STEP * np.array([generator.integers(2, 4), 1])
        )
    return Crowd(
        current, before, rows, *readers, raises, OFFSET * generator.permutation(classes), back
    )


def crowded(features: Crowd, length: int, generator: np.random.Generator) -> Circuit:
    """Build a head that looks back, an MLP of random neurons whose outputs add up to the features,
    and an MLP that reads these."""
    f, v = features.here.shape
    n, classes = features.raises.shape
    r = rooms(token=v, place=length, copied=v, site=features.rows.shape[1], found=n, one=1)
    m = int(1.3 * v * v)
    task = _task(features, length)
    shape = shape_of(task, r, layers=2, m=m, d_head=max(v, length), answers=classes)
    p = empty(shape)
    p["W_E"][0, :, r["token"].all], p["W_E"][0, :, r["one"].start] = (
        torch.eye(v, dtype=torch.float64),
        1.0,
    )
    p["W_pos"][0, :, r["place"].all] = torch.eye(length)
    look = torch.diag(
        torch.full((length - features.back,), SHARP, dtype=torch.float64), -features.back
    )
    look[range(features.back), range(features.back)] = SHARP
    attends(p, 0, 0, matrix(shape, r["place"], look), matrix(shape, r["place"]))
    moves(p, 0, 0, r["token"], r["copied"])
    token_weights, other, bias = (
        generator.standard_normal((v, m)),
        generator.standard_normal((v, m)),
        generator.uniform(-1, 1, m),
    )
    # What the random neurons are at all v² pairs of tokens; there are more neurons than pairs, so
    # that a least-squares readout writes the features exactly.
    hidden = np.maximum(token_weights[:, None] + other[None] + bias, 0).reshape(v * v, m)
    on = np.moveaxis(features.here[:, :, None] & features.before[:, None], 0, -1).reshape(v * v, f)
    p["W_in"][0, 0, r["token"].all], p["W_in"][0, 0, r["copied"].all] = (
        torch.from_numpy(token_weights),
        torch.from_numpy(other),
    )
    p["b_in"][0, 0] = torch.from_numpy(bias)
    p["W_out"][0, 0, :, r["site"].all] = torch.from_numpy(
        np.linalg.pinv(hidden) @ on @ features.rows
    )
    size = np.linalg.norm(features.readers, axis=1)
    for i, (row, threshold) in enumerate(zip(features.readers, features.thresholds, strict=True)):
        for neuron, edge_at, sign in (
            (2 * i, 0.5, 1.0),
            (2 * i + 1, -0.5, -1.0),
        ):  # a step: ReLU(z + ½) − ReLU(z − ½), for neurons of length 1
            p["W_in"][0, 1, r["site"].all, neuron] = torch.from_numpy(row / size[i])
            p["b_in"][0, 1, neuron] = (threshold + edge_at) / size[i]
            p["W_out"][0, 1, neuron, r["found"].start + i] = sign * size[i]
    p["b_in"][0, 1, 2 * n :] = torch.from_numpy(
        generator.choice(p["b_in"][0, 1, : 2 * n].numpy(), m - 2 * n)
    )  # idle neurons look no other
    p["W_U"][0, r["found"].all], p["W_U"][0, r["one"].start] = (
        torch.from_numpy(features.raises),
        torch.from_numpy(features.offsets),
    )
    wires = "pos>a0.0.q pos>a0.0.k embed>a0.0.v embed>m0 a0.0>m0 m0>m1 m1>logits embed>logits"
    means = {
        "a0.0": "copies the token some places back",
        "m0": "writes features, more than it has dimensions for",
        "m1": "tells which are on",
    }
    return built(task, shape, p, "embed pos a0.0 m0 m1", wires, means)


def directions(features: Crowd, d: int, length: int) -> Float[np.ndarray, "f d"]:
    """Give the features as directions of the circuit's stream of so many dimensions."""
    return _in_stream(features, features.rows, d, length)


def read_along(features: Crowd, d: int, length: int) -> Float[np.ndarray, "n d"]:
    """Give the directions along which they are read, of length 1: near the features, and not the
    same, where features share a room."""
    return _in_stream(
        features,
        features.readers / np.linalg.norm(features.readers, axis=1, keepdims=True),
        d,
        length,
    )


def _in_stream(
    features: Crowd, rows: Float[np.ndarray, "f k"], d: int, length: int
) -> Float[np.ndarray, "f d"]:
    start = 2 * features.here.shape[1] + length
    out = np.zeros((len(rows), d))
    out[:, start : start + rows.shape[1]] = rows
    return out


def _task(features: Crowd, length: int) -> Task:
    """Name the class that the features raise most, from the place on at which there is a token so
    many places back."""
    v, classes = features.here.shape[1], len(features.offsets)

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return generator.integers(v, size=(n, length))

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, features.back :] = features.logits(features.on(tokens)).argmax(-1)[
            :, features.back :
        ]
        return out

    return Task(
        f"crowded-{v}-{length}",
        tuple(map(str, range(v))),
        tuple(f"class {i}" for i in range(classes)),
        length,
        draw_inputs,
        answer,
    )


def _patterns(
    generator: np.random.Generator, tokens: int, f: int
) -> tuple[Bool[np.ndarray, "f v"], Bool[np.ndarray, "f v"]]:
    """Tokens at which features are on: a few for one half of them, for the other some after some
    others."""
    current, before = np.zeros((f, tokens), bool), np.ones((f, tokens), bool)
    order = generator.permutation(f)
    for i in range(f):
        pair = order[i] % 2 == 1
        current[
            i,
            generator.permutation(tokens)[
                : generator.integers(3, 6) if pair else generator.integers(2, 4)
            ],
        ] = True
        if pair:
            before[i] = np.isin(
                np.arange(tokens), generator.permutation(tokens)[: generator.integers(4, 6)]
            )
    return current, before


def _spread(
    generator: np.random.Generator, f: int, room: int, steps: int = 300
) -> Float[np.ndarray, "f k"]:
    """Directions pushed apart until no two are much alike."""
    rows = generator.standard_normal((f, room))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for _ in range(steps):
        near = rows @ rows.T - np.eye(f)
        # Downhill on Σ |cos|⁶: a high power, so that the nearest pairs are pushed most.
        rows -= 0.4 * np.sign(near) * np.abs(near) ** 5 @ rows
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _readers(
    on: Bool[np.ndarray, "c f"],
    often: Int[np.ndarray, " c"],
    rows: Float[np.ndarray, "f k"],
    read: int,
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]] | None:
    """The planes that part on from off by most, as linear programs; None where one of them parts by
    too little."""
    wrote, known = [on @ rows], [on]
    for j in range(read):
        projection = wrote[0] @ rows[j]
        off = np.average(projection[~on[:, j]], weights=often[~on[:, j]])
        # As an evaluation puts a feature out: what lies along it becomes the mean of where it is
        # off.
        wrote.append(wrote[0] - np.outer(projection - off, rows[j]))
        known.append(on & (np.arange(on.shape[1]) != j))
    x, y = np.concatenate(wrote), np.concatenate(known)
    k, solutions = x.shape[1], []
    for i in range(read):
        sign = np.where(y[:, i], 1.0, -1.0)[:, None]
        # Unknowns w, θ and the margin t, which is made large: sign · (w · x + θ) ≥ t for every x,
        # each |w_i| ≤ 1. Divided by t, the plane is 1 away from everything at least.
        best = scipy.optimize.linprog(
            np.r_[np.zeros(k + 1), -1],
            np.hstack([-sign * x, -sign, np.ones((len(x), 1))]),
            np.zeros(len(x)),
            bounds=[(-1, 1)] * k + [(None, None), (0, None)],
        ).x
        if 2 * best[-1] < CLEAR * np.linalg.norm(best[:k]) or best[-1] <= 0:
            return None
        solutions.append(best[:-1] / best[-1])
    planes = np.array(solutions)
    return planes[:, :k], planes[:, k]
