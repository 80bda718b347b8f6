"""Sums and products at places, and what is done with whole rows, on a GPU by Triton: each reads the
rows that take part once and writes no copy of them. Sums are always added up in the same order, so
a step gives the same bits again."""

from __future__ import annotations

import triton
import triton.language as tl
from jaxtyping import Float, Int

from assay.core.heavy import torch

AT_ONCE = 8
"""Rows that are read at a time: a latent that is on in every row would wait for each of them."""
COLUMNS = 512
"""Dimensions of one program of `sums`, at most."""
PLACES, FEW_COLUMNS = 32, 128
"""Places of one program of `products`, and dimensions that it reads at a time."""


@triton.jit
def _sums(
    starts, index, weights, rows, out, d, AT_ONCE: tl.constexpr, COLUMNS: tl.constexpr
):  # a program for each sum and stretch of columns
    which = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    end = tl.load(starts + which + 1)
    total = tl.zeros([COLUMNS], tl.float32)
    for first in range(tl.load(starts + which), end, AT_ONCE):
        places = first + tl.arange(0, AT_ONCE)
        row = tl.load(index + places, mask=places < end, other=0).to(tl.int64)
        weight = tl.load(weights + places, mask=places < end, other=0.0)
        both = (places < end)[:, None] & (columns < d)[None]
        numbers = tl.load(rows + row[:, None] * d + columns[None], mask=both, other=0.0)
        total += tl.sum(weight[:, None] * numbers, 0)
    tl.store(out + which * d + columns, total, mask=columns < d)


@triton.jit
def _products(
    a_index, b_index, a_rows, b_rows, out, n, d, PLACES: tl.constexpr, COLUMNS: tl.constexpr
):  # a program for a few neighbouring places
    places = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    real = places < n
    a = tl.load(a_index + places, mask=real, other=0).to(tl.int64)
    b = tl.load(b_index + places, mask=real, other=0).to(tl.int64)
    total = tl.zeros([PLACES], tl.float32)
    for first in range(0, d, COLUMNS):
        columns = first + tl.arange(0, COLUMNS)
        both = real[:, None] & (columns < d)[None]
        x = tl.load(a_rows + a[:, None] * d + columns[None], mask=both, other=0.0)
        y = tl.load(b_rows + b[:, None] * d + columns[None], mask=both, other=0.0)
        total += tl.sum(x * y, 1)
    tl.store(out + places, total, mask=real)


@triton.jit
def _remove_parallel(grad, W, d, COLUMNS: tl.constexpr):  # a program for each row
    columns = tl.arange(0, COLUMNS)
    places = tl.program_id(0).to(tl.int64) * d + columns
    g = tl.load(grad + places, mask=columns < d, other=0.0)
    w = tl.load(W + places, mask=columns < d, other=0.0)
    tl.store(grad + places, g - tl.sum(g * w, 0) * w, mask=columns < d)


@triton.jit
def _unit_rows(W, d, COLUMNS: tl.constexpr):  # a program for each row
    columns = tl.arange(0, COLUMNS)
    places = tl.program_id(0).to(tl.int64) * d + columns
    w = tl.load(W + places, mask=columns < d, other=0.0)
    tl.store(W + places, w / tl.sqrt(tl.sum(w * w, 0)), mask=columns < d)


def sums(
    starts: Int[torch.Tensor, " m+1"],
    index: Int[torch.Tensor, " n"],
    weights: Float[torch.Tensor, " n"],
    rows: Float[torch.Tensor, "k d"],
) -> Float[torch.Tensor, "m d"]:
    """The sum of the rows of each stretch of `index`, each times its weight, in float32."""
    count, d = len(starts) - 1, rows.shape[1]
    out = rows.new_empty(count, d)
    columns = min(COLUMNS, triton.next_power_of_2(d))
    rows, weights = rows.contiguous(), weights.contiguous()
    with torch.cuda.device_of(rows):  # where Triton launches, which looks at no tensor for it
        _sums[(count, triton.cdiv(d, columns))](
            starts, index, weights, rows, out, d, AT_ONCE, columns, num_warps=4
        )
    return out


def products(
    a_index: Int[torch.Tensor, " n"],
    b_index: Int[torch.Tensor, " n"],
    a_rows: Float[torch.Tensor, "k d"],
    b_rows: Float[torch.Tensor, "m d"],
) -> Float[torch.Tensor, " n"]:
    """The scalar product of a row of each matrix at each place, in float32."""
    count, d = len(a_index), a_rows.shape[1]
    out = a_rows.new_empty(count)
    columns = min(FEW_COLUMNS, triton.next_power_of_2(d))
    a_rows, b_rows = a_rows.contiguous(), b_rows.contiguous()
    with torch.cuda.device_of(a_rows):
        _products[(triton.cdiv(count, PLACES),)](
            a_index, b_index, a_rows, b_rows, out, count, d, PLACES, columns, num_warps=4
        )
    return out


def remove_parallel(
    grad: Float[torch.Tensor, "run f d"], W: Float[torch.Tensor, "run f d"]
) -> None:
    """Take from each gradient row its part along the unit row of W, in place."""
    d = W.shape[-1]
    assert grad.is_contiguous() and W.is_contiguous()
    with torch.cuda.device_of(W):
        _remove_parallel[(W.numel() // d,)](grad, W, d, triton.next_power_of_2(d), num_warps=4)


def unit_rows(W: Float[torch.Tensor, "run f d"]) -> Float[torch.Tensor, "run f d"]:
    """Scale every row to length 1, in place."""
    d = W.shape[-1]
    assert W.is_contiguous()
    with torch.cuda.device_of(W):
        _unit_rows[(W.numel() // d,)](W, d, triton.next_power_of_2(d), num_warps=4)
    return W


def works() -> bool:
    """Whether Triton can build a kernel here, for which it wants a C compiler and Python's
    headers."""
    try:
        unit_rows(torch.ones(1, 1, 1, device="cuda"))
    except Exception:  # whatever its compiler says: PyTorch's own calls do the same
        return False
    return True
