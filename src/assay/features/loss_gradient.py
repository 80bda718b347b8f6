"""The gradient of next-token losses by what the unembedding reads: the start of every pass back,
without all logits at once."""

from __future__ import annotations

from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.subjects.subject import Trace

ROWS = 128
"""Rows of logits held at a time."""


def loss_gradient(
    trace: Trace, positions: Int[torch.Tensor, "m"] | None = None
) -> tuple[Float[torch.Tensor, "w s d"], float]:
    """Differentiate the sum of the losses predicted at these positions of every window, and tell
    that sum in nats.

    None: at every position that has a next token. Elsewhere the gradient is 0.
    """
    assert trace.final is not None and trace.head is not None
    final, target = trace.final.detach(), trace.tokens.flatten()
    windows, length = trace.tokens.shape
    device = final.device
    positions = (
        torch.arange(length - 1, device=device) if positions is None else positions.to(device)
    )
    places = (length * torch.arange(windows, device=device)[:, None] + positions).flatten()
    out, total = torch.zeros_like(final, memory_format=torch.contiguous_format), 0.0
    flat, rows = out.flatten(0, 1), final.flatten(0, 1)
    for some in places.split(ROWS):
        with torch.enable_grad():
            leaf = rows[some].requires_grad_()
            loss = torch.nn.functional.cross_entropy(
                trace.head(leaf).float(), target[some + 1], reduction="sum"
            )
        flat[some] = torch.autograd.grad(loss, leaf)[0]
        total += float(loss.detach())
    return out, total
