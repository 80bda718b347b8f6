"""Small classifiers with a run axis, the gradient of every single example, and the noise that
sampling them makes; and a random linear teacher whose classes they learn.

A classifier is a stack of matrices W0, W1, … [run in out] with a ReLU between them, without biases;
one matrix is softmax regression."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng

Law = Literal["sgd", "even", "iso", "diag"]


def classifier(runs: Runs, sizes: Sequence[int]) -> dict[str, torch.Tensor]:
    """Starting matrices W0 [run sizes0 sizes1], W1 …, normal with variance 1/inputs."""
    return {
        f"W{i}": torch.from_numpy(
            rng.normal(runs.seeds, f"classifier.W{i}", 0, (a, b)) * np.float32(a**-0.5)
        )
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    }


def losses(
    params: Mapping[str, torch.Tensor],
    batch: tuple[Float[torch.Tensor, "run b f"], Int[torch.Tensor, "run b"]],
) -> Float[torch.Tensor, " run"]:
    """Mean cross-entropy of each run's batch, nats."""
    *_, logits = _forward(params, batch[0])
    return -logits.log_softmax(-1).gather(-1, batch[1].unsqueeze(-1)).mean((1, 2))


def draws(
    seeds: Int[np.ndarray, " run"],
    x: Float[torch.Tensor, "run b f"],
    y: Int[torch.Tensor, "run b"],
    batch: int,
) -> Callable[[int], tuple[Float[torch.Tensor, "run b f"], Int[torch.Tensor, "run b"]]]:
    """A source of minibatches: examples picked with replacement, each run its own."""
    rows = torch.arange(len(x))[:, None]

    def draw(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        pick = torch.from_numpy(rng.integers(seeds, "classifier.batch", step, (batch,), x.shape[1]))
        return x[rows, pick], y[rows, pick]

    return draw


def coordinates(
    seeds: Int[np.ndarray, " run"], params: Mapping[str, torch.Tensor], count: int
) -> Int[torch.Tensor, "run coordinate"]:
    """Numbers of that many parameters of each run, without repetition, among all of its matrices
    laid end to end."""
    total = sum(w[0].numel() for w in params.values())
    return torch.from_numpy(rng.permutation(seeds, "classifier.coordinates", 0, total)[:, :count])


def of_examples(
    params: Mapping[str, torch.Tensor],
    x: Float[torch.Tensor, "run b f"],
    y: Int[torch.Tensor, "run b"],
    parameter_indices: Int[torch.Tensor, "run coordinate"],
) -> Float[torch.Tensor, "run b coordinate"]:
    """Gradient of each example's cross-entropy along the chosen parameters, nats per unit of
    parameter.

    Formula: ∂L/∂W_l[i, j] = activation_i · δ_j, with δ = softmax − one-hot at the top and δ Wᵀ
    where the ReLU is on below."""
    *acts, logits = _forward(params, x)
    delta = logits.softmax(-1)
    delta.scatter_add_(-1, y.unsqueeze(-1), delta.new_full((*y.shape, 1), -1.0))
    deltas = [delta]
    for i in range(len(params) - 1, 0, -1):
        deltas.insert(0, (deltas[0] @ params[f"W{i}"].transpose(1, 2)) * (acts[i] > 0))
    out = x.new_empty(*x.shape[:2], parameter_indices.shape[1])
    start = 0
    for i, (act, delta) in enumerate(zip(acts, deltas, strict=True)):
        inputs, outputs = params[f"W{i}"].shape[1:]
        for r in range(len(x)):
            mask = (parameter_indices[r] >= start) & (
                parameter_indices[r] < start + inputs * outputs
            )
            local = parameter_indices[r][mask] - start
            # Of a matrix laid out row by row: input local // outputs, output local % outputs. Only
            # the chosen entries are formed, never the whole outer product of each example.
            out[r][:, mask] = act[r][:, local // outputs] * delta[r][:, local % outputs]
        start += inputs * outputs
    return out


def noise(
    gradients: Float[torch.Tensor, "b coordinate"],
    seed: int,
    index: int,
    law: Law,
    batch: int,
    count: int,
    stream: str = "noise",
) -> Float[torch.Tensor, "minibatch coordinate"]:
    """`count` draws of what a minibatch's mean gradient has on top of that of all examples, at the
    same weights.

    "sgd" samples examples with replacement, "even" too, with every coordinate scaled to the mean
    variance, so that only correlations are left; "diag" is normal with each coordinate's variance
    and no correlation, "iso" with the mean variance in all."""
    off = gradients - gradients.mean(0)
    stream_name = f"{stream}.{law}"
    if law == "even":
        variances = off.square().mean(0)
        off = off * (variances.mean() / variances.where(variances > 0, variances.mean())).sqrt()
    if law in ("sgd", "even"):
        picks = rng.integers(np.array([seed]), stream_name, index, (count, batch), len(off))[0]
        return torch.nn.functional.embedding_bag(
            torch.from_numpy(picks).to(off.device), off, mode="mean"
        )
    variance = off.square().mean(0) / batch
    z = torch.from_numpy(
        rng.normal(np.array([seed]), stream_name, index, (count, off.shape[1]))[0]
    ).to(off)
    return z * (variance if law == "diag" else variance.mean()).sqrt()


def noise_spectra(
    gradients: Float[torch.Tensor, "run b coordinate"],
    seeds: Int[np.ndarray, " run"],
    index: int,
    law: Law,
    batch: int,
    count: int,
    stream: str = "noise",
) -> Float[np.ndarray, "run rank"]:
    """Eigenvalues of the second moments of each run's `noise`, largest first."""
    spectra = []
    for run_gradients, seed in zip(gradients, seeds.tolist(), strict=True):
        samples = noise(run_gradients.double(), seed, index, law, batch, count, stream)
        spectra.append(
            torch.linalg.eigvalsh(samples.T @ samples / count).flip(0).clamp_min(0).cpu().numpy()
        )
    return np.stack(spectra)


def _forward(
    params: Mapping[str, torch.Tensor], x: Float[torch.Tensor, "run b f"]
) -> list[torch.Tensor]:
    """What goes into each matrix, and the logits last."""
    acts = [x]
    for i in range(len(params)):
        out = acts[-1] @ params[f"W{i}"]
        acts.append(out.relu() if i < len(params) - 1 else out)
    return acts


def labelled(
    seeds: Int[np.ndarray, " run"],
    examples: int,
    features: int,
    classes: int,
    sharpness: float,
    zipf: float = 0.0,
) -> tuple[Float[torch.Tensor, "run b f"], Int[torch.Tensor, "run b"]]:
    """Inputs, standard normal, and classes drawn from softmax(sharpness · x V/√features − zipf ·
    log rank), V standard normal and each run's own.

    With zipf = 1 class k is about 1/k as frequent as the first, as words are; with 0 all are alike.
    Drawn by Gumbel's trick."""
    x = rng.normal(seeds, "teacher.inputs", 0, (examples, features))
    weights = rng.normal(seeds, "teacher.weights", 0, (features, classes)) * np.float32(
        sharpness / features**0.5
    )
    noise = rng.uniform(seeds, "teacher.classes", 0, (examples, classes)).astype(np.float64)
    gumbel = -np.log(-np.log(np.clip(noise, 1e-12, None)))
    logits = x @ weights - zipf * np.log(np.arange(1, classes + 1))
    return torch.from_numpy(x), torch.from_numpy((logits + gumbel).argmax(-1))
