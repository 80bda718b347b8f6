"""Disguise: a circuit whose tokens, heads, neurons and directions are exchanged and turned, among
others that write where nobody reads.

Before noise is added the function stays what it was, up to the names of tokens and answers.
Positions stay, since attention has an order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.subjects.decoder import Params
from assay_catalogue.circuits.explanation import Place
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.worlds.algorithms.built.circuit import Circuit
from assay_catalogue.worlds.algorithms.task import UNASKED, Task, has_answer

NOISE = 1e-4
"""Deviation of the noise on each weight, in units of the root mean square of its tensor; halved as
often as the answers ask for."""
MOVES = 0.02
"""By how much noise may move a logit, in units of what the right answer leads by there."""
_AXES: Mapping[str, Mapping[str, int]] = {
    "W_E": {"d": 2},
    "W_pos": {"d": 2},
    "W_QKV": {"d": 2, "heads": 4},
    "b_QKV": {"heads": 3},
    "W_O": {"heads": 2, "d": 4},
    "b_O": {"d": 2},
    "W_in": {"d": 2, "m": 3},
    "b_in": {"m": 2},
    "W_out": {"m": 2, "d": 3},
    "b_out": {"d": 2},
    "W_U": {"d": 1},
}
"""Which axis of each parameter is the stream's, the heads', the neurons'."""


@dataclass(frozen=True, eq=False)
class Disguised:
    """A circuit in disguise, and what became of its names."""

    problem: Problem
    tokens: Int[np.ndarray, " v"]
    """The new number of each token."""
    answers: Int[np.ndarray, " c"]
    """The new number of each class; the same as of its token where answers are tokens."""
    heads: tuple[tuple[int, ...], ...]
    """Of each block, the new number of each head that there was."""
    neurons: tuple[tuple[int, ...], ...]
    """Of each block, the new number of each neuron that there was."""

    def place(self, written: str) -> str:
        """Where a place of the circuit is now."""
        place = Place.parse(written)
        part = place.part
        if part.kind == "head":
            part = dataclasses.replace(part, head=self.heads[part.layer][part.head])
        neurons = tuple(sorted(self.neurons[part.layer][i] for i in place.neurons))
        return str(dataclasses.replace(place, part=part, neurons=neurons))


def disguise(circuit: Circuit, generator: np.random.Generator, noise: float = NOISE) -> Disguised:
    """Exchange and turn what can be without changing the function, add heads and neurons that
    nobody reads, then noise."""
    classes = circuit.params["W_U"].shape[-1]
    tokens, answers = _names(circuit.task, classes, generator)
    grown, old = _grown(circuit.params, generator)
    layers, _, _, heads, _ = grown["W_QKV"].shape[1:]
    head = np.stack([generator.permutation(heads) for _ in range(layers)])
    neuron = (
        np.stack([generator.permutation(grown["W_in"].shape[-1]) for _ in range(layers)])
        if "W_in" in grown
        else np.zeros((layers, 0), int)
    )
    turned = _turned(_exchanged(grown, tokens, answers, head, neuron), generator)
    problem = Problem(_renamed(circuit.task, tokens, answers), turned, circuit.shape.activation)
    return Disguised(
        _noisy(problem, generator, noise),
        tokens,
        answers,
        tuple(tuple(map(int, row[: old["heads"]])) for row in head),
        tuple(tuple(map(int, row[: old["neurons"]])) for row in neuron),
    )


def _names(
    task: Task, classes: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """New numbers of tokens and answers. Tokens that are answers too stay among each other, so that
    they go on being one."""
    if task.answers[:classes] != task.tokens[:classes]:
        return generator.permutation(len(task.tokens)), generator.permutation(classes)
    order = generator.permutation(classes)
    return np.concatenate([order, np.arange(classes, len(task.tokens))]), order


def _renamed(task: Task, tokens: np.ndarray, answers: np.ndarray) -> Task:
    """Call tokens t0, t1, … and answers that are no tokens c0, c1, …: names that say nothing of the
    task."""
    back = np.argsort(tokens)
    names = tuple(f"t{i}" for i in range(len(tokens)))
    same = task.answers[: len(answers)] == task.tokens[: len(answers)]

    def draw(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return tokens[task.drawn(generator, n)]

    def answer(inputs: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        original = task.answer(back[inputs])
        return np.where(original == UNASKED, UNASKED, answers[original])

    answer_names = names[: len(answers)] if same else tuple(f"c{i}" for i in range(len(answers)))
    return Task("challenge", names, answer_names, task.length, draw, answer)


def _grown(
    params: Params, generator: np.random.Generator
) -> tuple[dict[str, torch.Tensor], Mapping[str, int]]:
    """A wider model: more directions, and heads and neurons that read everything and write only
    there. Idle ones become such too."""
    _, layers, d, _, heads, _ = params["W_QKV"].shape
    m = params["W_in"].shape[-1] if "W_in" in params else 0
    wide, more, extra = (
        d + int(generator.integers(6, 12)),
        int(generator.integers(3, 6)),
        int(generator.integers(3, 7)) if m else 0,
    )
    new = {"d": wide, "heads": heads + more, "m": m + extra}

    def room(name: str, axes: Mapping[int, int]) -> torch.Tensor:
        """One parameter with axes that are wider, new entries 0."""
        x = params[name]
        out = torch.zeros([axes.get(i, n) for i, n in enumerate(x.shape)], dtype=torch.float64)
        out[tuple(slice(n) for n in x.shape)] = x
        return out

    p = {name: room(name, {i: new[what] for what, i in _AXES[name].items()}) for name in params}
    idle = torch.zeros(wide, dtype=torch.float64)
    idle[d:] = 1.0
    p["W_E"] += _normal(p["W_E"].shape, generator) * idle
    p["W_pos"] += _normal(p["W_pos"].shape, generator) * idle
    for layer in range(layers):
        busy = [i for i in range(heads) if params["W_O"][0, layer, i].any()]
        for i in set(range(heads + more)) - set(busy):
            _distract(
                p,
                layer,
                i,
                int(generator.choice(busy)) if busy and generator.random() < 0.5 else None,
                idle,
                generator,
            )
        spare = [i for i in range(m + extra) if not p["W_out"][0, layer, i].any()] if m else []
        for i in spare:
            p["W_in"][0, layer, :, i] = _normal((wide,), generator) / wide**0.5
            p["b_in"][0, layer, i] = float(
                generator.choice(params["b_in"][0, layer])
            )  # no other biases than those that work have
            p["W_out"][0, layer, i] = _normal((wide,), generator) * idle
    return p, {"heads": heads, "neurons": m}


def _distract(
    p: dict[str, torch.Tensor],
    layer: int,
    head: int,
    like: int | None,
    idle: torch.Tensor,
    generator: np.random.Generator,
) -> None:
    """Let a head look where another does, or anywhere, and write what it finds where nobody
    reads."""
    wide, e = p["W_QKV"].shape[2], p["W_QKV"].shape[-1]
    scores = _normal((wide, 2, e), generator) * (4 / wide) ** 0.5
    p["W_QKV"][0, layer, :, :2, head] = (
        scores if like is None else p["W_QKV"][0, layer, :, :2, like]
    )
    p["W_QKV"][0, layer, :, 2, head] = _normal((wide, e), generator) / wide**0.5
    p["W_O"][0, layer, head] = _normal((e, wide), generator) * idle


def _exchanged(
    p: Params, tokens: np.ndarray, answers: np.ndarray, head: np.ndarray, neuron: np.ndarray
) -> dict[str, torch.Tensor]:
    """Everything under its new number."""
    out = {name: x.clone() for name, x in p.items()}
    out["W_E"][0, tokens] = p["W_E"][0]
    out["W_U"][0][:, answers] = p["W_U"][0]
    for layer in range(len(head)):
        out["W_QKV"][0, layer][:, :, head[layer]] = p["W_QKV"][0, layer]
        out["W_O"][0, layer, head[layer]] = p["W_O"][0, layer]
        if "b_QKV" in p:
            out["b_QKV"][0, layer][:, head[layer]] = p["b_QKV"][0, layer]
        if "W_in" in p:
            out["W_in"][0, layer][:, neuron[layer]] = p["W_in"][0, layer]
            out["W_out"][0, layer, neuron[layer]] = p["W_out"][0, layer]
        if "b_in" in p:
            out["b_in"][0, layer, neuron[layer]] = p["b_in"][0, layer]
    return out


def _turned(p: dict[str, torch.Tensor], generator: np.random.Generator) -> dict[str, torch.Tensor]:
    """The stream, and inside each head queries with keys and values with outputs, turned; neurons
    before and after stretched and shrunk."""
    wide, layers, heads, e = (
        p["W_QKV"].shape[2],
        p["W_QKV"].shape[1],
        p["W_QKV"].shape[4],
        p["W_QKV"].shape[5],
    )
    turn = _rotation(wide, generator)
    for layer in range(layers):
        for head in range(heads):
            scores, values = _rotation(e, generator), _rotation(e, generator)
            for slot, by in enumerate((scores, scores, values)):
                p["W_QKV"][0, layer, :, slot, head] = p["W_QKV"][0, layer, :, slot, head] @ by
                if "b_QKV" in p:
                    p["b_QKV"][0, layer, slot, head] = p["b_QKV"][0, layer, slot, head] @ by
            p["W_O"][0, layer, head] = values.T @ p["W_O"][0, layer, head]
        if "W_in" in p:
            by = torch.from_numpy(generator.uniform(0.5, 2, p["W_in"].shape[-1]))
            p["W_in"][0, layer] *= by
            p["W_out"][0, layer] /= by[:, None]
            if "b_in" in p:
                p["b_in"][0, layer] *= by
    for name in ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"):
        if name in p:
            p[name] = p[name] @ turn
    p["W_QKV"] = torch.einsum("rldche,df->rlfche", p["W_QKV"], turn)
    p["W_U"] = torch.einsum("rdv,df->rfv", p["W_U"], turn)
    if "W_in" in p:
        p["W_in"] = torch.einsum("rldm,df->rlfm", p["W_in"], turn)
    return p


def _noisy(problem: Problem, generator: np.random.Generator, noise: float) -> Problem:
    """The model with noise on every weight, as little as leaves its answers clear."""
    steps = {
        name: x.square().mean().sqrt() * _normal(x.shape, generator)
        for name, x in problem.params.items()
    }
    inputs = problem.task.drawn(generator, 200)
    where = has_answer(problem.task.answer(inputs))
    before = problem.logits(inputs)[where]
    first, second = np.sort(before, 1)[:, :-3:-1].T
    while noise:
        noisy = dataclasses.replace(
            problem, params={name: x + noise * steps[name] for name, x in problem.params.items()}
        )
        if (np.abs(noisy.logits(inputs)[where] - before).max(1) <= MOVES * (first - second)).all():
            return noisy
        noise /= 2
    return problem


def _rotation(n: int, generator: np.random.Generator) -> Float[torch.Tensor, "n n"]:
    q, r = np.linalg.qr(generator.standard_normal((n, n)))
    return torch.from_numpy(q * np.sign(np.diag(r)))


def _normal(shape: tuple[int, ...], generator: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal(tuple(shape)))
