"""What gradients written by hand have in common: errors, and the gradients that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.training.auxiliary import Matryoshka, TopKAux
from assay.dictionaries.training.losses import Loss, Params

TINY = 2.0**-126
"""The smallest length that is divided by, so that a part of length 0 has gradient 0, as autograd
has it; float32's least normal number."""
where_positive = torch.ops.aten.threshold_backward
"""(gradient, output, 0): the gradient where output > 0, in one pass."""


def error_of(
    params: Params, x: torch.Tensor, decoded: torch.Tensor
) -> Float[torch.Tensor, "run b d"]:
    """Reconstruction less input; `decoded` is without b_dec."""
    # b_dec − x first: in float32 and of its own memory, to which the product, perhaps bfloat16, is
    # added.
    return (params["b_dec"][:, None] - x).add_(decoded)


def output_gradient(
    error: Float[torch.Tensor, "run b d"], dtype: torch.dtype
) -> Float[torch.Tensor, "run b d"]:
    """The gradient of the mean squared error in the reconstruction, in the precision of
    products."""
    # ∂/∂x̂ of Σ‖x̂ − x‖²/(b d)
    return (error * (2 / (error.shape[1] * error.shape[2]))).to(dtype)


def plus_share(
    pull: Float[torch.Tensor, "run b f"], share: Float[torch.Tensor, " run"]
) -> Float[torch.Tensor, "run b f"]:
    """`pull` with a number of each run added everywhere, in place."""
    if pull.dtype == share.dtype or pull.device.type != "cpu":
        return pull.add_(share[:, None, None])
    for part, number in zip(
        pull, share.tolist(), strict=True
    ):  # a number, since a float32 tensor would take a slow mixed path
        part.add_(number)
    return pull


def unit_parts(
    parts: Sequence[int], W_dec: Float[torch.Tensor, "*run f d"]
) -> tuple[Float[torch.Tensor, "*run f"], Float[torch.Tensor, "*run f d"]]:
    """The sum of the lengths of a row's parts, and each part over its own length."""
    rows = W_dec.split(list(parts) or W_dec.shape[-1], -1)
    lengths = [torch.linalg.vector_norm(part, dim=-1, keepdim=True) for part in rows]
    units = [part / its.clamp_min(TINY) for part, its in zip(rows, lengths, strict=True)]
    return torch.cat(lengths, -1).sum(-1), torch.cat(units, -1)


def transposed_product(
    a: Float[torch.Tensor, "run b n"], b: Float[torch.Tensor, "run b m"]
) -> Float[torch.Tensor, "run n m"]:
    """aᵀ b of each run. On a CPU one by one: a batched bfloat16 product copies a transposed operand
    first, a plain one does not."""
    if a.device.type != "cpu":
        return a.mT @ b
    out = a.new_empty(len(a), a.shape[2], b.shape[2])
    for r in range(len(a)):
        torch.mm(a[r].T, b[r], out=out[r])
    return out


def gradients(
    params: Params,
    centred: torch.Tensor,
    features: torch.Tensor,
    error: torch.Tensor,
    grad: torch.Tensor,
    pull: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Gradients of the parameters from those of the reconstruction (`grad`) and of the projections
    (`pull`)."""
    # With x̂ = f W_dec + b_dec and π = (x − b_dec) W_encᵀ + b_enc, g = ∂L/∂x̂ and p = ∂L/∂π: ∂W_enc
    # = pᵀ (x − b_dec), ∂b_enc = Σ p, ∂W_dec = fᵀ g, ∂b_dec = Σ g − (Σ p) W_enc, sums over rows.
    b_enc = pull.sum(1).float()
    return {
        "W_enc": transposed_product(pull, centred),
        "b_enc": b_enc,
        "W_dec": transposed_product(features, grad),
        # the decoder adds b_dec, the encoder takes it away from x
        # Of `error`, not of `grad`, whose numbers may be rounded to bfloat16 one by one.
        "b_dec": error.sum(1) * (2 / (error.shape[1] * error.shape[2]))
        - (b_enc[:, None] @ params["W_enc"])[:, 0],
    }


def mean_square(error: Float[torch.Tensor, "run b d"]) -> Float[torch.Tensor, " run"]:
    """Mean squared error per dimension."""
    # A norm reads the error once; error.square().mean() would write it again before it adds up.
    return torch.linalg.vector_norm(error, dim=(1, 2)).square() / (error.shape[1] * error.shape[2])


@dataclass(frozen=True, eq=False)
class Revival:
    """α times AuxK of one run, on the columns of its dead latents alone: its value and
    gradients."""

    loss: Float[torch.Tensor, ""]
    columns: Int[torch.Tensor, " dead"]
    pull: Float[torch.Tensor, "b dead"]
    """Of the projections."""
    decoder: Float[torch.Tensor, "dead d"]


def strongest(codes: Float[torch.Tensor, "b n"], most: int) -> Float[torch.Tensor, "b n"]:
    """Keep of each row the `most` largest and make the others 0; the numbers are at least 0."""
    # float32 for the count: bfloat16 has no odd numbers above 256.
    if codes.shape[-1] <= most or codes.sign().sum(-1, dtype=torch.float32).max() <= most:
        return codes
    values, index = codes.topk(most, dim=-1, sorted=False)
    return torch.zeros_like(codes).scatter_(-1, index, values)


def revival(
    loss: Loss,
    error: Float[torch.Tensor, "b d"],
    pre: Float[torch.Tensor, "b f"],
    W_dec: Float[torch.Tensor, "f d"],
    idle: Int[torch.Tensor, " f"] | None,
) -> Revival | None:
    """AuxK where the loss has it, some latents are dead and rows left over more than the same;
    products are in the precision of `pre`."""
    if idle is None or not isinstance(loss, TopKAux | Matryoshka):
        return None
    columns = (idle >= loss.dead_after).nonzero()[:, 0]
    if not len(columns):
        return None
    rows, size = len(error), error.numel()
    codes = pre.index_select(-1, columns).relu_()
    from_mean = error - error.sum(0) / rows
    variance = from_mean.square().sum() / size
    # `not … > 0` refuses NaN too.
    if not variance > 0:
        return None
    # d/2 at most, as in `aux_k`; of fewer dead latents all take part.
    codes = strongest(codes, max(1, error.shape[-1] // 2))
    decoder = W_dec.index_select(0, columns).to(codes.dtype)
    # what is left over is −error, so this is its reconstruction less itself
    missed = error + codes @ decoder
    squares = missed.square().sum()
    # The variance is a constant here, as the error is: no gradient leads through either.
    grad = (missed * (2 * loss.alpha / (variance * size))).to(codes.dtype)
    pull = where_positive(grad @ decoder.T, codes, 0)
    towards = codes.T @ grad
    value = loss.alpha * (squares / size) / variance
    return Revival(value, columns, pull, towards)
