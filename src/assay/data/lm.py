"""Small language models trained many at once: several seeds, learning rates, weight decays or
starts as one batched ensemble, run axis first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Int

from assay.core import rng
from assay.core.bench import Bench
from assay.core.descent import descent
from assay.core.errors import SpecError
from assay.core.fit import Group, Trained, fit
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.schedules import warm_up_decay
from assay.core.spec import PerRun, Spec
from assay.data import corpus as corpora
from assay.subjects.decoder import MATRICES, Params, Shape, next_token_loss
from assay.subjects.decoder_files import GPT2

HELD_OUT = "held_out"
"""Among what training gives: the mean loss on held-out windows at each evaluation, [run,
evaluation]."""
AT_ONCE = 65_536
"""Tokens of all runs together on which a held-out loss is worked out at once: memory, not
numbers."""


@dataclass(frozen=True, kw_only=True)
class LmSpec(Spec):
    """A small language model and how it is trained; the seed draws its start, and the order of its
    text."""

    layers: Annotated[int, Ge(1)] = 1
    """Blocks."""
    d: Annotated[int, Ge(1)] = 64
    """Width of the residual stream."""
    heads: Annotated[int, Ge(1)] = 4
    """Attention heads in a block."""
    m: Annotated[int, Ge(1)] = 256
    """Neurons in a block's MLP."""
    norm: Literal["layer", "rms"] = "layer"
    """LayerNorm, with biases everywhere as in GPT-2; or RMSNorm, with none as in Llama."""
    positions: Literal["learned", "rotary"] = "learned"
    """Added to the stream and learned, or turning queries and keys."""
    activation: Literal["gelu", "gelu_new", "relu", "silu"] = "gelu"
    """The MLP's non-linearity."""
    gated: bool = False
    """Whether the MLP's neurons are multiplied by a second projection."""
    tied: bool = False
    """Whether the unembedding is the embedding."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window, and the most it can read."""
    vocab: Annotated[int, Ge(257)] = 512
    """Tokens of its byte-level BPE, learned on the training part of the corpus."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", or a folder of text files; the model is trained on its training part."""
    repeats: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of training windows in place of which stand random tokens, their first half twice: what
    teaches a model to copy."""
    steps: Annotated[int, Ge(1)] = 1000
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 64
    """Windows a step."""
    warm: Annotated[int, Ge(0)] = 50
    """Steps of warm-up; the rate falls linearly to 0 over the last four fifths."""
    lr: PerRun[Annotated[float, Gt(0)]] = 3e-3
    """Adam's learning rate at its top."""
    decay: PerRun[Annotated[float, Ge(0)]] = 0.0
    """Weight decay λ of AdamW: each step takes the share rate · λ off every matrix, embeddings
    included."""
    std: PerRun[Annotated[float, Gt(0)]] = 0.02
    """Standard deviation of matrices at the start."""

    def check(self) -> None:
        """Raise SpecError where heads do not divide the width, or rotary positions cannot turn
        coordinates in pairs."""
        name = type(self).__name__
        if self.d % self.heads:
            raise SpecError(
                f"{name}.d must be a multiple of heads, got d={self.d} and heads={self.heads}"
            )
        if self.positions == "rotary" and self.d // self.heads % 2:
            raise SpecError(
                f"{name}: rotary positions need heads of even width, got d={self.d} and "
                f"heads={self.heads}"
            )


def shape_of(spec: LmSpec, vocab: int) -> Shape:
    """The decoder that a spec asks for, with so many tokens."""
    s = spec
    return Shape(
        layers=s.layers,
        d=s.d,
        heads=s.heads,
        m=s.m,
        context=s.context,
        vocab=vocab,
        norm=s.norm,
        positions=s.positions,
        activation=s.activation,
        gated=s.gated,
        tied=s.tied,
    )


def start(runs: Runs[LmSpec], shape: Shape) -> dict[str, torch.Tensor]:
    """Parameters before training, [run, …]: matrices N(0, std²) by each run's seed, gains 1, biases
    0."""

    spread = runs.each("std").astype(np.float32)

    def draw_parameter(name: str, size: tuple[int, ...]) -> torch.Tensor:
        if name not in MATRICES:
            return (torch.ones if name.startswith("gain") else torch.zeros)(len(runs), *size)
        # each matrix of each block is a stream of its own: other blocks leave it as it is
        stream = f"tiny.{GPT2[name]}"
        layers = range(size[0]) if "{}" in stream else [0]
        block_size = size[1:] if "{}" in stream else size
        stored = block_size[::-1] if name == "W_U" else block_size
        blocks = [rng.normal(runs.seeds, stream.format(layer), 0, stored) for layer in layers]
        whole = (
            np.stack(blocks, 1)
            if "{}" in stream
            else blocks[0].swapaxes(1, 2)
            if name == "W_U"
            else blocks[0]
        )
        return torch.from_numpy(
            np.ascontiguousarray(whole * spread.reshape(-1, *[1] * (whole.ndim - 1)))
        )

    return {name: draw_parameter(name, size) for name, size in shape.parameters().items()}


def group_of(
    runs: Runs[LmSpec],
    shape: Shape,
    params: dict[str, torch.Tensor] | None = None,
    fixed: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> Group:
    """The runs as a Group that AdamW steps on batches of windows, [b, s] or [run, b, s], from
    `params` or from their own start.

    Parameters `fixed` are used as they are: none of `params`, and not learned.
    """

    def loss(params: Params, x: torch.Tensor) -> torch.Tensor:
        return next_token_loss({**params, **fixed}, x, shape.activation).flatten(1).mean(1)

    s, decay = runs.shared, runs.each("decay")
    return descent(
        runs,
        start(runs, shape) if params is None else params,
        loss,
        lr=runs.each("lr"),
        betas=(0.9, 0.99),
        schedule=warm_up_decay(s.steps, s.warm, 0.8),
        decay=dict.fromkeys(MATRICES, decay) if decay.any() else None,
    )


def train_lms(
    runs: Runs[LmSpec],
    shape: Shape,
    batches: Callable[[int], torch.Tensor],
    bench: Bench,
    *,
    evaluate_at: Sequence[int] = (),
    held_out: Int[np.ndarray, "window s"] | None = None,
    on_evaluation: Callable[[int, Params], None] | None = None,
    params: dict[str, torch.Tensor] | None = None,
) -> Trained:
    """The runs after their steps, trained as one ensemble from `params` or their own start; a run
    alone is the same run, but for how products are summed.

    After each of the steps `evaluate_at` the loss on held-out windows is kept as `held_out` [run,
    evaluation], and `each` is called with the step and the parameters. A training that was killed
    goes on where it was."""
    group = group_of(runs, shape, params)
    _evaluated(group, shape, tuple(evaluate_at), held_out, on_evaluation)
    return fit([group], batches, steps=runs.shared.steps, probe_at=evaluate_at, bench=bench)[0]


def loss_on(params: Params, windows: Int[np.ndarray, "window s"], shape: Shape) -> torch.Tensor:
    """The mean loss of each run on windows of tokens, [run], in nats."""

    device, few = params["W_E"].device, max(1, AT_ONCE // (len(params["W_E"]) * windows.shape[1]))
    with torch.no_grad():
        parts = [
            torch.from_numpy(windows[i : i + few].astype(np.int64)).to(device)
            for i in range(0, len(windows), few)
        ]
        total = torch.stack(
            [next_token_loss(params, x, shape.activation).double().sum((1, 2)) for x in parts]
        ).sum(0)
    return (total / (len(windows) * (windows.shape[1] - 1))).float()


def _evaluated(
    group: Group,
    shape: Shape,
    evaluation_steps: tuple[int, ...],
    held_out: np.ndarray | None,
    on_evaluation: Callable[[int, Params], None] | None,
) -> None:
    """Let a group evaluate itself after these steps; what it finds is part of its state, so that a
    resume has it."""
    inner, names = group.step_fn, [name for name in group.state if "." not in name]
    has_held_out = held_out is not None and len(held_out) > 0
    if has_held_out:
        group.state[HELD_OUT] = torch.full((len(group.runs), len(evaluation_steps)), torch.nan)

    def step_fn(state: dict[str, torch.Tensor], batch: torch.Tensor, step: int) -> object:
        losses = inner(state, batch, step)
        if step + 1 in evaluation_steps:
            params = {name: state[name] for name in names}
            if has_held_out and held_out is not None:
                state[HELD_OUT][:, evaluation_steps.index(step + 1)] = loss_on(
                    params, held_out, shape
                )
            if on_evaluation is not None:
                on_evaluation(step + 1, params)
        return losses

    group.step_fn = step_fn  # type: ignore[assignment]
