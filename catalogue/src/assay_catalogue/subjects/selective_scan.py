"""Selective scan: the recurrence h_t = exp(Δ_t A) h_{t−1} + Δ_t B_t u_t, y_t = C_t · h_t, with a
run axis; and the same as attention.

Letters: c channels (d_inner), n numbers of a channel's state (d_state). Every channel has a state
of its own; Δ, B and C may differ at every position, which makes the scan selective.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch


def selective_scan(
    u: Float[torch.Tensor, "run b s c"],
    delta: Float[torch.Tensor, "run b s c"],
    A: Float[torch.Tensor, "run c n"],
    B: Float[torch.Tensor, "run b s n"],
    C: Float[torch.Tensor, "run b s n"],
) -> Float[torch.Tensor, "run b s c"]:
    """Read every position's state, without what the layer passes by the state (D · u).

    Formula: h_t = exp(Δ_t A) · h_{t−1} + Δ_t B_t u_t; y_t = Σ_n C_{t,n} h_{t,n}
    Raises: ModelError for numbers of half precision, whose sums over many positions drift.
    Source: Gu & Dao 2023, Mamba, algorithm 2; B is discretised as in their code, by Euler
    """
    _refuse_half(u, delta, A, B, C)
    return _Scan.apply(u, delta, A, B, C)


def _refuse_half(*parts: torch.Tensor) -> None:
    """Refuse numbers that are neither float32 nor float64. Raises: ModelError."""
    for part in parts:
        if part.dtype not in (torch.float32, torch.float64):
            raise ModelError(
                f"a scan adds up over all positions, and sums of {str(part.dtype)[6:]} drift; give "
                "it float32 or float64"
            )


class _Scan(torch.autograd.Function):
    """Position by position, each channel's states side by side; a position's numbers stay in the
    cache, and only states are kept."""

    @staticmethod
    def forward(
        ctx: Any,
        u: torch.Tensor,
        delta: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
    ) -> torch.Tensor:
        u, delta, B, C = (x.movedim(2, 0).contiguous() for x in (u, delta, B, C))  # [s, run, b, …]
        A = A.mT[
            :, None
        ].contiguous()  # [run, 1, n, c]: the long axis last, so that every operation runs along it
        keep = any(ctx.needs_input_grad)
        states = u.new_empty(len(u) if keep else 1, *u.shape[1:3], A.shape[2], u.shape[3])
        y, written = torch.empty_like(u), delta * u
        h = torch.zeros_like(states[0])
        for t in range(len(u)):
            # Without gradients every position writes its state into one and the same place;
            # `decayed` has taken what it needs of the last.
            decayed = torch.mul(delta[t].unsqueeze(-2), A).exp_().mul_(h)
            h = torch.addcmul(
                decayed, B[t].unsqueeze(-1), written[t].unsqueeze(-2), out=states[t if keep else 0]
            )
            y[t] = torch.matmul(C[t].unsqueeze(-2), h).squeeze(-2)
        if keep:
            ctx.save_for_backward(u, delta, A, B, C, states)
        return y.movedim(0, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, ...]:
        u, delta, A, B, C, states = ctx.saved_tensors
        above = grads[0].movedim(2, 0).contiguous()
        written, to_written = delta * u, torch.empty_like(u)
        to_delta, to_B, to_C, to_A = (
            torch.empty_like(u),
            torch.empty_like(B),
            torch.empty_like(C),
            torch.zeros_like(A),
        )
        later = torch.zeros_like(states[0])  # what a state is worth to all later positions
        for t in reversed(range(len(u))):
            # With g_t = ∂L/∂y_t and w_t = ∂L/∂h_t = C_t g_t + exp(Δ_{t+1} A) w_{t+1}: ∂C_t = h_t
            # g_t, ∂B_t = w_t Δ_t u_t, ∂(Δ_t u_t) = w_t B_t, and by the exponent ∂Δ_t = Σ A exp(Δ_t
            # A) h_{t−1} w_t, ∂A = Σ_t Δ_t exp(Δ_t A) h_{t−1} w_t.
            to_C[t] = torch.matmul(states[t], above[t].unsqueeze(-1)).squeeze(-1)
            worth = torch.addcmul(later, C[t].unsqueeze(-1), above[t].unsqueeze(-2))
            to_B[t] = torch.matmul(worth, written[t].unsqueeze(-1)).squeeze(-1)
            to_written[t] = torch.matmul(B[t].unsqueeze(-2), worth).squeeze(-2)
            # Nothing comes before the first position, so nothing decays into it.
            if not t:
                to_delta[t] = 0
                break
            later = torch.mul(delta[t].unsqueeze(-2), A).exp_().mul_(worth)
            worth = torch.mul(later, states[t - 1], out=worth)  # by the exponent Δ A, as exp' = exp
            to_delta[t] = (worth * A).sum(-2)
            to_A += worth.mul_(delta[t].unsqueeze(-2)).sum(1, keepdim=True)
        # Δ also scales what is written: ∂(Δ u)/∂Δ = u.
        to_delta.addcmul_(to_written, u)
        to_u, to_delta, to_B, to_C = (
            x.movedim(0, 2) for x in (to_written.mul_(delta), to_delta, to_B, to_C)
        )
        return to_u, to_delta, to_A[:, 0].mT, to_B, to_C


def written(
    u: Float[torch.Tensor, "run b s c"],
    delta: Float[torch.Tensor, "run b s c"],
    B: Float[torch.Tensor, "run b s n"],
) -> Float[torch.Tensor, "run b s c n"]:
    """What each position adds to the state: Δ_t B_t u_t."""
    return (delta * u).unsqueeze(-1) * B.unsqueeze(-2)


def states(
    delta: Float[torch.Tensor, "run b s c"],
    A: Float[torch.Tensor, "run c n"],
    write: Float[torch.Tensor, "run b s c n"],
) -> Float[torch.Tensor, "run b s c n"]:
    """Every position's state, where what is added to it is given: h_t = exp(Δ_t A) · h_{t−1} +
    write_t."""
    _refuse_half(delta, A, write)
    h, history = torch.zeros_like(write[:, :, 0]), []
    for step_delta, new in zip(delta.unbind(2), write.unbind(2), strict=True):
        h = torch.addcmul(new, torch.exp(step_delta.unsqueeze(-1) * A[:, None]), h)
        history.append(h)
    return torch.stack(history, 2)


def hidden_attention(
    delta: Float[torch.Tensor, "run b s c"],
    A: Float[torch.Tensor, "run c n"],
    B: Float[torch.Tensor, "run b s n"],
    C: Float[torch.Tensor, "run b s n"],
    *,
    D: Float[torch.Tensor, "run c"] | None = None,
    gate: Float[torch.Tensor, "run b s c"] | None = None,
) -> Float[torch.Tensor, "run b c s s2"]:
    """The matrix of each channel by which the scan weighs earlier inputs: its product with them is
    the scan's output.

    With `D` also what passes the state by, on the diagonal; with `gate` each row is also multiplied
    by SiLU of its gate, and the product is what the output projection reads. Unlike attention's
    patterns rows sum to no 1, and numbers may be negative.

    Formula: α_{t,s} = Σ_n C_{t,n} exp(A_n Σ_{s<k≤t} Δ_k) Δ_s B_{s,n} for s ≤ t, else 0; y_t = Σ_s
    α_{t,s} u_s
    Source: Ali, Zimerman & Wolf 2024, The Hidden Attention of Mamba Models
    """
    _refuse_half(delta, A, B, C)
    times, steps = (
        delta.transpose(2, 3).double().cumsum(-1),
        delta.transpose(2, 3),
    )  # differences of long sums: float64
    since = (times.unsqueeze(-1) - times.unsqueeze(-2)).to(delta)  # [run, b, c, t, s]
    later = torch.ones(since.shape[-2:], dtype=torch.bool, device=since.device).triu(1)
    # Before exp: later positions have a negative time, whose exponential may overflow; they are
    # masked at the end.
    since = since.masked_fill(later, 0)
    alpha = torch.zeros_like(since)
    for n in range(A.shape[-1]):
        reached = torch.exp(A[:, None, :, n, None, None] * since)
        alpha = torch.addcmul(alpha, reached, C[:, :, None, :, n, None] * B[:, :, None, None, :, n])
    alpha = (alpha * steps.unsqueeze(-2)).masked_fill(later, 0)
    if D is not None:
        alpha = alpha + torch.diag_embed(D[:, None, :, None].expand_as(steps))
    return (
        alpha
        if gate is None
        else alpha * torch.nn.functional.silu(gate).transpose(2, 3).unsqueeze(-1)
    )
