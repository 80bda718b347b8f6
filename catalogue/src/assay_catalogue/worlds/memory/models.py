"""Models that predict the next symbol, hundreds at once: counted bigrams, a softmax table of them,
a network that reads four symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.worlds.memory.corpus import LENGTH, SYMBOLS

Params: TypeAlias = "Mapping[str, torch.Tensor]"
Predict: TypeAlias = "Callable[[Params, torch.Tensor], torch.Tensor]"
"""Parameters [model, …] and documents [doc, token] → log-probabilities of every token but the
first, [model, doc, place, symbol]."""
CONTEXT = 4
"""Symbols that the network reads."""
START = SYMBOLS
"""What stands in the place of symbols before a document's first."""


def pair_counts(
    membership: Bool[np.ndarray, "model doc"], pairs: Float[np.ndarray, "doc pair"]
) -> Float[torch.Tensor, "model symbol symbol"]:
    """How often each model sees each symbol followed by each other."""
    return torch.from_numpy(membership.astype(np.float32) @ pairs).unflatten(-1, (SYMBOLS, SYMBOLS))


def counted(
    counts: Float[torch.Tensor, "model symbol symbol"], alpha: float
) -> Float[torch.Tensor, "model symbol symbol"]:
    """Log-probabilities of the counting model. Formula: ln((n(a, b) + α) / (n(a) + αV))"""
    smooth = counts + alpha
    return (smooth / smooth.sum(-1, keepdim=True)).log()


def table_loss(
    params: Params, counts: Float[torch.Tensor, "model symbol symbol"], ridge: float
) -> Float[torch.Tensor, " model"]:
    """Loss of a softmax table in nats per token of its own text, with a penalty that keeps unseen
    pairs possible.

    Formula: −Σ n(a, b) ln p(b | a) / N + (ridge / 2N) ‖W‖²
    """
    w, n = params["table"], counts.sum((1, 2))
    return (ridge / 2 * w.square().sum((1, 2)) - (counts * w.log_softmax(-1)).sum((1, 2))) / n


def predict_by_table(
    params: Params, tokens: Int[torch.Tensor, "doc token"]
) -> Float[torch.Tensor, "model doc place symbol"]:
    """What a table of bigrams predicts, counted or learned."""
    return params["table"].log_softmax(-1)[:, tokens[:, :-1]]


def network(
    seeds: Int[np.ndarray, " model"], embedding: int, hidden: int
) -> dict[str, torch.Tensor]:
    """Starting parameters of every network, drawn by its seed: matrices N(0, 1/inputs), embeddings
    N(0, 1), biases 0."""

    def draw_matrix(name: str, shape: tuple[int, ...], deviation: float) -> torch.Tensor:
        return torch.from_numpy(
            rng.normal(seeds, f"memory.network.{name}", 0, shape) * np.float32(deviation)
        )

    read = CONTEXT * embedding
    return {
        "W_E": draw_matrix("W_E", (SYMBOLS + 1, embedding), 1.0),
        "W_in": draw_matrix("W_in", (read, hidden), read**-0.5),
        "b_in": torch.zeros(len(seeds), hidden),
        "W_out": draw_matrix("W_out", (hidden, SYMBOLS), hidden**-0.5),
        "b_out": torch.zeros(len(seeds), SYMBOLS),
    }


def contexts(tokens: Int[torch.Tensor, "doc token"]) -> Int[torch.Tensor, "doc place symbols"]:
    """The four symbols before every token but the first of each document."""
    padded = torch.cat(
        [torch.full((len(tokens), CONTEXT - 1), START, device=tokens.device), tokens], 1
    )
    return padded.unfold(1, CONTEXT, 1)[:, : tokens.shape[1] - 1]


def read(
    params: Params, context: Int[torch.Tensor, "model row symbols"]
) -> Float[torch.Tensor, "model row symbol"]:
    """The logits of each network after four symbols of its own."""
    table = params["W_E"]
    offset = torch.arange(len(table), device=context.device)[:, None, None] * table.shape[1]
    x = torch.nn.functional.embedding(context + offset, table.flatten(0, 1)).flatten(2)
    hidden = torch.baddbmm(params["b_in"][:, None], x, params["W_in"]).relu()
    return torch.baddbmm(params["b_out"][:, None], hidden, params["W_out"])


def network_loss(
    params: Params, batch: tuple[torch.Tensor, torch.Tensor]
) -> Float[torch.Tensor, " model"]:
    """Mean loss of each network on contexts [model, row, 4] and what follows [model, row], in nats
    per token."""
    context, target = batch
    logits = read(params, context)
    return (
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        .view(target.shape)
        .mean(1)
    )


def predict_by_network(
    params: Params, tokens: Int[torch.Tensor, "doc token"]
) -> Float[torch.Tensor, "model doc place symbol"]:
    """What the networks predict."""
    context_rows = contexts(tokens)
    models = len(params["W_E"])
    rows = context_rows.flatten(0, 1).expand(models, -1, -1)
    return read(params, rows).log_softmax(-1).unflatten(1, context_rows.shape[:2])


def drawn_tokens(
    seeds: Int[np.ndarray, " model"],
    membership: Bool[np.ndarray, "model doc"],
    tokens: Int[np.ndarray, "doc token"],
    size: int,
) -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    """step → contexts [model, row, 4] and what follows [model, row]: tokens drawn evenly from each
    model's own documents."""
    context_rows = contexts(torch.from_numpy(tokens)).flatten(0, 1)
    following = torch.from_numpy(tokens[:, 1:]).flatten()
    documents, n = listed(membership)

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        u = rng.uniform(seeds, "memory.batches", step, (2, size))
        doc = np.take_along_axis(documents, (u[:, 0] * n[:, None]).astype(np.int64), axis=1)
        indices = torch.from_numpy(doc * (LENGTH - 1) + (u[:, 1] * (LENGTH - 1)).astype(np.int64))
        return context_rows[indices], following[indices]

    return batch


def drawn_documents(
    seeds: Int[np.ndarray, " model"],
    membership: Bool[np.ndarray, "model doc"],
    tokens: Int[np.ndarray, "doc token"],
    size: int,
) -> Callable[[int], Int[torch.Tensor, "model row token"]]:
    """step → whole documents [model, row, token], drawn evenly from each model's own."""
    text, (documents, n) = torch.from_numpy(tokens), listed(membership)

    def batch(step: int) -> torch.Tensor:
        u = rng.uniform(seeds, "memory.documents", step, (size,))
        return text[
            torch.from_numpy(
                np.take_along_axis(documents, (u * n[:, None]).astype(np.int64), axis=1)
            )
        ]

    return batch


def listed(
    membership: Bool[np.ndarray, "model doc"],
) -> tuple[Int[np.ndarray, "model place"], Int[np.ndarray, " model"]]:
    """The documents of each model in order, filled up with 0, and how many it has."""
    n = membership.sum(1)
    documents = np.zeros((len(membership), n.max()), dtype=np.int64)
    for row, row_membership in zip(documents, membership, strict=True):
        row[: row_membership.sum()] = np.flatnonzero(row_membership)
    return documents, n


def scores(
    predict: Predict, params: Params, tokens: Int[np.ndarray, "doc token"], rows: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """Loss in nats per token and share of tokens predicted, both [model, doc], of every model on
    every document."""
    losses, right = [], []
    with torch.no_grad():
        for some in _move_to_params(params, tokens).split(rows):
            logp, target = predict(params, some), some[:, 1:]
            losses.append(
                -logp.gather(-1, target.expand(len(logp), -1, -1)[..., None])[..., 0].mean(-1)
            )
            right.append((logp.argmax(-1) == target).float().mean(-1))
    return torch.cat(losses, 1).double().cpu().numpy(), torch.cat(right, 1).double().cpu().numpy()


def extracted(
    predict: Predict, params: Params, tokens: Int[np.ndarray, "doc token"], prompt: int, length: int
) -> Float[np.ndarray, "model doc"]:
    """Share of the next `length` tokens that each model writes as they stand, after the first
    `prompt` of a document, likeliest first."""
    reference = _move_to_params(params, tokens)
    out = []
    for i in range(len(next(iter(params.values())))):
        model_params, text = {name: p[i : i + 1] for name, p in params.items()}, reference.clone()
        with torch.no_grad():
            for t in range(prompt, prompt + length):
                # The prediction at t sees only what stands before t: the document's own token there
                # tells it nothing.
                text[:, t] = predict(model_params, text[:, : t + 1])[0, :, t - 1].argmax(-1)
        out.append((text == reference)[:, prompt : prompt + length].double().mean(1))
    return torch.stack(out).cpu().numpy()


def _move_to_params(
    params: Params, tokens: Int[np.ndarray, "doc token"]
) -> Int[torch.Tensor, "doc token"]:
    """Documents where the models are."""
    return torch.from_numpy(tokens).to(next(iter(params.values())).device)
