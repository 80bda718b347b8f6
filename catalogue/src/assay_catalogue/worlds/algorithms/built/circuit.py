"""Circuit: a task, a decoder that solves it by construction, and the parts and edges that do it;
Rooms, by which weights are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float

from assay.core.heavy import torch
from assay.subjects.decoder import Params, Shape
from assay_catalogue.subjects.parts import Edge, Part, Reader
from assay_catalogue.worlds.algorithms.task import Task

SHARP = 30.0
"""How far the score of what a head is to read lies above all others: less than 1e-12 of the
attention goes elsewhere."""


@dataclass(frozen=True, eq=False)
class Circuit:
    """A task that a decoder solves by construction."""

    task: Task
    shape: Shape
    params: Params
    """One run: [1, …], float64."""
    matter: tuple[Part, ...]
    """The parts without which it is not solved."""
    wires: tuple[Edge, ...]
    """Of each that matters, what it reads and through what: cutting any other edge leaves the
    answers."""
    means: Mapping[str, str]
    """What each part that matters does, in a sentence."""


@dataclass(frozen=True)
class Room:
    """Coordinates of the stream that hold one thing."""

    start: int
    size: int

    @property
    def all(self) -> slice:
        """The coordinates."""
        return slice(self.start, self.start + self.size)


def rooms(**sizes: int) -> dict[str, Room]:
    """Divide the stream among things of these sizes, one after another."""
    out, offset = {}, 0
    for name, size in sizes.items():
        out[name] = Room(offset, size)
        offset += size
    return out


def shape_of(
    task: Task,
    r: Mapping[str, Room],
    *,
    layers: int,
    d_head: int,
    heads: int = 1,
    m: int = 0,
    answers: int | None = None,
) -> Shape:
    """The sizes of a decoder without norms for a task, as wide as its rooms together; with as many
    logits as the task has answers, or as is said."""
    if answers is None and len(task.answers) != len(task.tokens):
        answers = len(task.answers)
    return Shape(
        layers=layers,
        d=sum(room.size for room in r.values()),
        heads=heads,
        m=m,
        context=task.length,
        vocab=len(task.tokens),
        norm="none",
        d_head=d_head,
        answers=answers,
        activation="relu" if m else "gelu",
    )


def empty(shape: Shape) -> dict[str, torch.Tensor]:
    """Give the parameters of a decoder that does nothing: all 0."""
    return {
        name: torch.zeros(1, *size, dtype=torch.float64)
        for name, size in shape.parameters().items()
    }


def attends(
    params: dict[str, torch.Tensor],
    layer: int,
    head: int,
    query: Float[torch.Tensor, "d k"],
    key: Float[torch.Tensor, "d k"],
) -> None:
    """Let a head's scores be the products of what queries and keys read, at most as many numbers as
    a head is wide."""
    width, k = params["W_QKV"].shape[-1], query.shape[1]
    params["W_QKV"][0, layer, :, 0, head, :k] = query * width**0.5
    params["W_QKV"][0, layer, :, 1, head, :k] = key


def moves(
    params: dict[str, torch.Tensor], layer: int, head: int, source: Room, target: Room
) -> None:
    """Let a head write what it reads in one room of the stream into another."""
    k = min(source.size, params["W_QKV"].shape[-1])
    params["W_QKV"][0, layer, source.all, 2, head, :k] = torch.eye(
        source.size, k, dtype=torch.float64
    )
    params["W_O"][0, layer, head, :k, target.all] = torch.eye(k, target.size, dtype=torch.float64)


def matrix(
    shape: Shape, room: Room, values: Float[torch.Tensor, "a k"] | None = None
) -> Float[torch.Tensor, "d k"]:
    """Read one room of the stream, through a matrix or as it is."""
    out = torch.zeros(
        shape.d, room.size if values is None else values.shape[1], dtype=torch.float64
    )
    out[room.all] = torch.eye(room.size, dtype=torch.float64) if values is None else values
    return out


def edge(writer: str, reader: str) -> Edge:
    """The edge between a part and a reader, by their names."""
    return Part.parse(writer), Reader.parse(reader)


def built(
    task: Task,
    shape: Shape,
    params: Params,
    matter: str,
    wires: str,
    means: Mapping[str, str],
) -> Circuit:
    """A circuit by the names of its parts, "embed a0.0", and of its edges, "embed>a0.0.q
    a0.0>logits"."""
    edges = tuple(edge(*wire.split(">")) for wire in wires.split())
    return Circuit(task, shape, params, tuple(map(Part.parse, matter.split())), edges, means)
