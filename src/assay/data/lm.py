"""Small language models trained many at once: several seeds, learning rates, weight decays or
starts as one batched ensemble, run axis first; and written as folders that any verb can name."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Int

from assay.core.bench import Bench, Unkept
from assay.core.descent import descent
from assay.core.errors import SpecError
from assay.core.fit import Group, Trained, fit, warm_up_decay
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec
from assay.data import corpus as corpora
from assay.data import lm_text
from assay.data.checkpoint import Alone
from assay.subjects.decoder import GPT2, MATRICES, Params, Shape, family, next_token_loss, write
from assay.train import rng

HELD_OUT = "held_out"
"""Among what training gives: the mean loss on held-out windows at each evaluation, [run,
evaluation]."""
REQUEST = "training.json"
"""What was asked for, and the folders once they are written."""
TEXT = "text"
"""The folder of the tokenizer and of the text in its tokens."""
WINDOWS = 256
"""Held-out windows, at most."""
AT_ONCE = 65_536
"""Tokens of all runs together on which a held-out loss is worked out at once: memory, not
numbers."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """The size of a small language model, and the text that it is trained on; the seed draws its
    start, and the order of its text."""

    layers: Annotated[int, Ge(1)] = 1
    """Blocks."""
    d: Annotated[int, Ge(1)] = 64
    """Width of the residual stream."""
    heads: Annotated[int, Ge(1)] = 4
    """Attention heads in a block."""
    m: Annotated[int, Ge(1)] = 256
    """Neurons in a block's MLP."""
    tied: bool = False
    """Whether the unembedding is the embedding."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window, and the most it can read."""
    vocab: Annotated[int, Ge(257)] = 512
    """Tokens of its byte-level BPE, learned on the training part of the corpus."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", "docs" or a folder of text files; the training part is read."""
    repeats: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of training windows that are replaced by random tokens, their first half twice, which
    teach a model to copy."""
    steps: Annotated[int, Ge(1)] = 1000
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 64
    """Windows a step."""

    def check(self) -> None:
        """Raise SpecError where heads do not divide the width."""
        if self.d % self.heads:
            raise SpecError(
                f"{type(self).__name__}.d must be a multiple of heads, got d={self.d} and "
                f"heads={self.heads}"
            )


@dataclass(frozen=True, kw_only=True)
class LmSpec(ModelSpec):
    """A small language model of any family that can be trained, and how it is trained."""

    norm: Literal["layer", "rms"] = "layer"
    """LayerNorm, with biases everywhere as in GPT-2; or RMSNorm, with none as in Llama."""
    positions: Literal["learned", "rotary"] = "learned"
    """Added to the stream and learned, or turning queries and keys."""
    activation: Literal["gelu", "gelu_new", "relu", "silu"] = "gelu"
    """The MLP's non-linearity."""
    gated: bool = False
    """Whether the MLP's neurons are multiplied by a second projection."""
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
        super().check()
        if self.positions == "rotary" and self.d // self.heads % 2:
            raise SpecError(
                f"{type(self).__name__}: rotary positions need heads of even width, got d={self.d} "
                f"and heads={self.heads}"
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
    params: dict[str, torch.Tensor] | None = None,
) -> Trained:
    """The runs after their steps, trained as one ensemble from `params` or their own start; a run
    alone is the same run, but for how products are summed.

    After each of the steps `evaluate_at` the loss on held-out windows is kept as `held_out` [run,
    evaluation]. A training that was killed resumes where it was."""
    group = group_of(runs, shape, params)
    if held_out is not None and len(held_out):
        _evaluated(group, shape, tuple(evaluate_at), held_out)
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
    group: Group, shape: Shape, steps: tuple[int, ...], held_out: Int[np.ndarray, "window s"]
) -> None:
    """Let a group evaluate itself after these steps; what it finds is part of its state, so that a
    resume has it."""
    inner, names = group.step_fn, [name for name in group.state if "." not in name]
    group.state[HELD_OUT] = torch.full((len(group.runs), len(steps)), torch.nan)

    def step_fn(state: dict[str, torch.Tensor], batch: torch.Tensor, step: int) -> object:
        losses = inner(state, batch, step)
        if step + 1 in steps:
            params = {name: state[name] for name in names}
            state[HELD_OUT][:, steps.index(step + 1)] = loss_on(params, held_out, shape)
        return losses

    group.step_fn = step_fn  # type: ignore[assignment]


def fourfold(steps: int) -> list[int]:
    """Give the steps 1, 4, 16, … up to `steps`, after each of which the compute has grown
    fourfold."""
    return [4**i for i in range(steps.bit_length()) if 4**i <= steps]


def train_folders(
    specs: Sequence[LmSpec],
    out: Path,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Train small language models together, and write each as a Hugging Face model folder.

    The folders are OUT/seed-0 and the like; a run whose loss did not stay finite has none. Their
    assay.json has the loss and the held-out loss in nats a token, at the end and whenever compute
    had grown fourfold. The same call resumes after it was stopped, to the same weights, and trains
    nothing once it is done.

    Args:
        specs: alike but for seed, lr, decay and std.
        out: the folder to write, with the tokenizer and the tokens of the text.
        device: such as "cuda".
        progress: a function of (steps done, steps in all).
    Raises: SpecError for what cannot be trained, or a folder with something else in it; DataError
    for a text that is not there.
    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from assay.data.lm import LmSpec, train_folders
        >>> small = LmSpec(d=16, heads=2, m=32, context=16, vocab=300, batch=8, steps=2)
        >>> with tempfile.TemporaryDirectory() as out:
        ...     [folder.name for folder in train_folders([small], Path(out))]
        ['seed-0']
    """
    s, text = specs[0], corpora.load(specs[0].corpus)
    family(shape_of(s, s.vocab))  # what no folder can hold is refused before anything is read
    request = {"specs": [json.loads(spec.to_json()) for spec in specs], "text": text.fingerprint}
    stored = _stored(out)
    done = stored.pop("folders", None)
    if stored not in ({}, request):
        raise SpecError(f"{out} has another training run or other files; name another folder")
    if done is not None:
        return [out / name for name in done]
    desk = _Desk(out, torch.device(device), progress)
    runs, checkpoint = Runs(specs), Alone(desk, out)
    words = lm_text.words(text, s.vocab, s.context, desk)
    tokens, vocab = lm_text.tokens_of(words)
    draw = lm_text.batches(runs.seeds, tokens, vocab, s.batch, s.repeats)
    (out / REQUEST).write_text(json.dumps(request, indent=1))
    shape, moments = shape_of(s, vocab), sorted({*fourfold(s.steps), s.steps})
    windows = lm_text.held_out(text, s.vocab, s.context, WINDOWS, desk)
    trained = train_lms(runs, shape, draw, checkpoint, evaluate_at=moments, held_out=windows)
    folders = []
    for run in np.flatnonzero(~trained.diverged).tolist():
        folder = out / _folder_name(specs[run], specs)
        size = f"{s.layers}-block {family(shape)} of width {s.d}"
        name = f"{size} (Assay, {s.steps:,} steps, seed {specs[run].seed})"
        about = {"name": name, **_losses(trained, run, moments)}
        write(folder, trained.tensors, shape, words / "tokenizer.json", about, run)
        folders.append(folder)
    names = [folder.name for folder in folders]
    (out / REQUEST).write_text(json.dumps({**request, "folders": names}, indent=1))
    checkpoint.file.unlink()
    return folders


def _folder_name(spec: LmSpec, specs: Sequence[LmSpec]) -> str:
    """Name a run's folder by its seed, and by what else differs between the runs."""
    differ = [n for n in ("lr", "decay", "std") if len({getattr(one, n) for one in specs}) > 1]
    return "-".join([f"seed-{spec.seed}", *(f"{n}-{getattr(spec, n):g}" for n in differ)])


def _stored(out: Path) -> dict[str, Any]:
    """Read what an earlier call asked for; empty where there was none. Raises: SpecError."""
    try:
        stored: dict[str, Any] = json.loads((out / REQUEST).read_text())
    except (OSError, ValueError):
        names = out.exists() and {path.name for path in out.iterdir()} - {TEXT}
        return {"": "other files"} if names else {}
    return stored


def _losses(trained: Trained, run: int, moments: Sequence[int]) -> dict[str, Any]:
    """The losses of a run at these steps and at the end; the held-out one is None without text."""
    losses = dict(zip(trained.steps.tolist(), trained.history["loss"][run].tolist(), strict=True))
    of_run = trained.tensors[HELD_OUT][run].tolist() if HELD_OUT in trained.tensors else None
    rows = [
        {"step": step, "loss": losses[step], "held_out": None if of_run is None else of_run[i]}
        for i, step in enumerate(moments)
    ]
    return {"loss": rows[-1]["loss"], "held_out": rows[-1]["held_out"], "evaluations": rows}


class _Desk(Unkept):
    """A bench that builds in one folder, and reports how far it is."""

    def __init__(self, out: Path, device: torch.device, progress: Callable[[int, int], None]):
        self.root, self._device, self._progress = out, device, progress

    @property
    def device(self) -> torch.device:
        return self._device

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        """The folder of an artefact, built once."""
        path = self.root / TEXT / hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]
        partial = path.with_suffix(".partial")
        if not path.exists():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            build(partial)
            partial.rename(path)
        return path

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Pass on how far it is."""
        self._progress(done, total)
