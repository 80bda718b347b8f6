"""Solved: small transformers that are trained to solve a task, all seeds at once; and how often
they are right."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Int

from assay.core import PerRun, Spec, descent, fit, warm_up_decay
from assay.core.bench import Bench
from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.subjects.decoder import MATRICES, Params, Shape, forward
from assay.train import rng
from assay_catalogue.worlds.algorithms.task import Task

Train = Callable[["Runs[Solved]", "Bench"], "Trained"]


@dataclass(frozen=True, kw_only=True)
class Solved(Spec):
    """How a model is trained on a task."""

    steps: Annotated[int, Ge(0)] = 2000
    """Training steps; 0 leaves the model untrained."""
    batch: Annotated[int, Ge(1)] = 256
    """Sequences a step, drawn fresh."""
    lr: PerRun[Annotated[float, Gt(0)]] = 3e-3
    """Adam's learning rate at its top: 100 steps of warm-up, then linear decay to a twentieth."""
    decay: PerRun[Annotated[float, Ge(0)]] = 0.0
    """Coupled weight decay λ: each run's loss holds λ/2 · the sum of squares of its parameters, as
    Adam's own weight decay does."""
    answers: Literal["right", "shuffled"] = "right"
    """Whether a sequence's answers are its own, or those of another one of the batch."""


def draw_batch(
    runs: Runs[Solved], task: Task, index: int, batch: int
) -> tuple[Int[np.ndarray, "run b s"], Int[np.ndarray, "run b s"]]:
    """Training inputs of each run by its own seed, and the answers that it is told."""
    tokens = np.stack([task.draw(int(seed), index, batch) for seed in runs.seeds])
    answers = np.stack([task.answer(rows) for rows in tokens])
    return tokens, np.roll(answers, 1, 1) if runs.shared.answers == "shuffled" else answers


def start(seeds: Int[np.ndarray, " run"], shape: Shape) -> dict[str, torch.Tensor]:
    """Parameters before training: matrices N(0, 1/inputs), those that write to the stream half as
    wide; embeddings N(0, 0.1²)."""

    wide = {
        "W_E": 0.1,
        "W_pos": 0.1,
        "W_QKV": shape.d**-0.5,
        "W_O": 0.5 * (shape.heads * shape.e) ** -0.5,
        "W_in": shape.d**-0.5,
        "W_out": 0.5 * max(shape.m, 1) ** -0.5,
        "W_U": shape.d**-0.5,
    }

    def begun(name: str, size: tuple[int, ...]) -> torch.Tensor:
        if name not in MATRICES:
            return (torch.ones if name.startswith("gain") else torch.zeros)(len(seeds), *size)
        return torch.from_numpy(
            rng.normal(seeds, f"solved.{name}", 0, size) * np.float32(wide[name])
        )

    return {name: begun(name, size) for name, size in shape.parameters().items()}


def training(task: Task, shape: Shape, without: Collection[str] = ()) -> Train:
    """Make the function that trains all runs of a group on a task, by cross-entropy where an answer
    is asked for.

    Biases of keys stay zero, for they do nothing. Parameters named in `without` are zero from
    beginning to end: "W_pos" for a model that is told no positions.
    """

    def train(runs: Runs[Solved], bench: Bench) -> Trained:

        s, decay = runs.shared, torch.from_numpy(runs.each("decay").astype(np.float32))

        def loss(params: Params, batch: torch.Tensor) -> torch.Tensor:
            tokens, answers = batch.unbind(1)
            params = {
                name: p * 0 if name in without else p for name, p in params.items()
            }  # so that their gradient is zero too
            if (
                "b_QKV" in params
                # biases of keys change no attention: their gradient is rounding, of which Adam
                # would make whole steps
            ):
                params["b_QKV"] = params["b_QKV"] * params["b_QKV"].new_tensor(
                    [1.0, 0.0, 1.0]
                ).view(3, 1, 1)
            logits = forward(params, tokens, shape.activation)[0]
            lost = torch.nn.functional.cross_entropy(
                logits.flatten(0, 2), answers.flatten(), ignore_index=-1, reduction="none"
            ).view(len(tokens), -1)
            mean = lost.sum(1) / (answers >= 0).flatten(1).sum(1)
            return (
                mean
                + decay.to(mean) / 2 * sum(p.square().flatten(1).sum(1) for p in params.values())
                if bool(decay.any())
                else mean
            )

        def batch(step: int) -> torch.Tensor:
            return torch.from_numpy(np.stack(draw_batch(runs, task, step, s.batch), 1))

        begun = {
            name: p * 0 if name in without else p for name, p in start(runs.seeds, shape).items()
        }
        group = descent(
            runs,
            begun,
            loss,
            lr=runs.each("lr"),
            schedule=warm_up_decay(s.steps, 100, 1.0, 0.05),
            clip=1.0,
        )
        return fit([group], batch, steps=s.steps, bench=bench)[0]

    return train
