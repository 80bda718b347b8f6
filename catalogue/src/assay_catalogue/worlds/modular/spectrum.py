"""Networks for modular addition seen by frequency: what their logits are made of, and embeddings
changed one frequency at a time.

A network is E [token, width], W1 [width, hidden], W2 [hidden, answer], each with a run axis: logits
relu((E[a] + E[b]) W1) W2. Frequency k = 1 … (p − 1)/2 is the wave pair cos, sin(2 pi k token / p).
Pure functions of tensors; a set is a mask [run, frequency]."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from jaxtyping import Float

from assay.core.heavy import torch

Params: TypeAlias = "Mapping[str, torch.Tensor]"


def waves(p: int, like: torch.Tensor) -> Float[torch.Tensor, "frequency 2 token"]:
    """Cosine and sine of every frequency, orthonormal over the p tokens (p odd), in the dtype and
    on the device of `like`."""
    return _waves(p).to(like)


@lru_cache(maxsize=4)
def _waves(p: int) -> torch.Tensor:
    k, token = torch.arange(1, (p - 1) // 2 + 1), torch.arange(p, dtype=torch.float64)
    turn = 2 * torch.pi * torch.outer(k.double(), token) / p
    return torch.stack([turn.cos(), turn.sin()], 1) * (2 / p) ** 0.5


def coefficients(
    table: Float[torch.Tensor, "run token width"],
) -> Float[torch.Tensor, "run frequency 2 width"]:
    """What of each column of a table of tokens is cosine and sine of each frequency."""
    return torch.einsum("fct,rtd->rfcd", waves(table.shape[1], table), table)


def power(table: Float[torch.Tensor, "run token width"]) -> Float[torch.Tensor, "run frequency"]:
    """Squared length of each frequency's part of a table of tokens.

    Formula: the sum over columns of squared cosine and sine coefficients; over all frequencies, the
    squared length of the table without its mean token. Range: 0 and above.
    """
    return coefficients(table).square().sum((2, 3))


def best_neuron(params: Params) -> Float[torch.Tensor, "run frequency"]:
    """The strongest single neuron for each frequency: input amplitude times output amplitude times
    how well their phases agree.

    Formula: the maximum over hidden units of |u| |v| cos(2 phi_u − phi_v), u of E W1 and v of W2 at
    this frequency; a product of two waves of phase phi_u has its sum in phase 2 phi_u.
    """
    into = _complex(coefficients(params["E"] @ params["W1"]))
    out = _complex(coefficients(params["W2"].transpose(1, 2)))
    return (
        # u²/|u| · v̄ = |u| |v| exp(i (2 φ_u − φ_v)), whose real part is wanted.
        into.square() / into.abs().clamp_min(torch.finfo(into.real.dtype).tiny) * out.conj()
    ).real.amax(2)


def amplitudes(params: Params) -> Float[torch.Tensor, "run frequency"]:
    """A_k: the cosine amplitude of each frequency in the logits as a function of how far an answer
    is off; logit units.

    Formula: (2/p) sum over d of the mean over all p² pairs of logit(a, b → a + b + d) times cos(2
    pi k d / p). The p³ logits are never formed: hidden units are summed over pairs of equal a + b
    first."""
    F = params["E"].double() @ params["W1"].double()  # [run, token, hidden]
    p = F.shape[1]
    tokens = torch.arange(p, device=F.device)
    # All pairs (a, s − a) of one sum s: the right answer and all others see the same p rows of
    # hidden units, and the readout is linear, so that these may be added up before it.
    hidden = torch.stack(
        [(F + F[:, (s - tokens) % p]).relu_().sum(1) for s in range(p)], 1
    )  # [run, sum, hidden]
    return cosines(hidden @ params["W2"].double() / p**2)


def cosines(logits: Float[torch.Tensor, "run sum answer"]) -> Float[torch.Tensor, "run frequency"]:
    """Cosine amplitudes of logits, summed over first axes in which a row is the mean logits of one
    right answer, over p."""
    p = logits.shape[1]
    d = (torch.arange(p).view(1, p) + torch.arange(p).view(p, 1)) % p  # [sum, off by] → answer
    profile = logits.gather(2, d.to(logits.device).expand(len(logits), p, p)).sum(
        1
    )  # [run, off by]
    return profile @ waves(p, profile)[:, 0].T * (2 / p) ** 0.5


def scaled(
    table: Float[torch.Tensor, "run token width"], factor: Float[torch.Tensor, "run frequency"]
) -> Float[torch.Tensor, "run token width"]:
    """The table with each frequency's part multiplied by a factor; the mean token stays."""
    basis = waves(table.shape[1], table)
    # As a change of the table: with factors of 1 it stays bit for bit.
    return table + torch.einsum("rfcd,fct,rf->rtd", coefficients(table), basis, factor - 1)


def rotated(
    table: Float[torch.Tensor, "run token width"], angle: Float[torch.Tensor, "run frequency"]
) -> Float[torch.Tensor, "run token width"]:
    """The table with each frequency's waves turned by an angle (radians) in all columns alike:
    power stays, phases change."""
    cos, sin = coefficients(table).unbind(2)
    by = angle.unsqueeze(-1)
    turned = torch.stack(
        [cos * by.cos() - sin * by.sin(), cos * by.sin() + sin * by.cos()], 2
    ) - torch.stack([cos, sin], 2)
    return table + torch.einsum("rfcd,fct->rtd", turned, waves(table.shape[1], table))


def projector(
    mask: Float[torch.Tensor, "run frequency"], p: int
) -> Float[torch.Tensor, "run token token"]:
    """The orthogonal projection of tables of tokens onto the waves of a set, for
    `torch.bmm(projector, table)`; the mean goes too."""
    basis = waves(p, mask)
    return torch.einsum("rf,fcs,fct->rst", mask, basis, basis)


def _complex(parts: Float[torch.Tensor, "run frequency 2 width"]) -> torch.Tensor:
    return torch.complex(parts[:, :, 0].contiguous(), parts[:, :, 1].contiguous())
