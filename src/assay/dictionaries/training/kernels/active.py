"""Active: which latents are on in which rows of one run's batch, and the products that touch
nothing else.

Two orders of the same n places serve all of them: by latent, in which everything is kept, and by
row, for the decoder alone. A sum over the places of a row, or of a latent, is an embedding bag, and
a product at each place a sampled one. The largest are found by NumPy, whose partition and
search are several times faster than topk and nonzero of PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch

_BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}
"""Integers of the same size; those above 0 are in the order of the numbers whose bits they are."""


@dataclass(frozen=True, eq=False)
class Active:
    """Places (row, latent) of a batch [rows, width], in the order of latents.

    Runs may be stacked: rows and latents are then those of all runs, and no row of one meets a
    latent of another."""

    rows: int
    width: int
    row: Int[torch.Tensor, " n"]
    latent: Int[torch.Tensor, " n"]
    run_width: int
    """Latents of one run."""

    @classmethod
    def from_places(
        cls, places: Int[torch.Tensor, " n"], rows: int, width: int, runs: int = 1
    ) -> Active:
        """Those at places of the flattened batch [run, rows, width], in any order."""
        row = torch.div(places, width, rounding_mode="floor")
        latent = places - row * width
        if runs > 1:
            latent += torch.div(row, rows, rounding_mode="floor") * width
        rows, width, run_width = runs * rows, runs * width, width
        # By latent, as the bags of `gather` and the compressed rows of `products` want them.
        order = _ascending(latent, width)
        # `index_select` takes a third of the time of row[order], here and below.
        return cls(
            rows, width, row.index_select(0, order), latent.index_select(0, order), run_width
        )

    @cached_property
    def places(self) -> Int[torch.Tensor, " n"]:
        """Where they are in the flattened batch."""
        return self.row * self.run_width + self._within_run

    @property
    def _within_run(self) -> Int[torch.Tensor, " n"]:
        """Numbers of the latents within their run."""
        return self.latent if self.run_width == self.width else self.latent % self.run_width

    def of_runs(self) -> list[tuple[Active, slice]]:
        """The places of each run by themselves, and which of all places they are."""
        if self.run_width == self.width:
            return [(self, slice(None))]
        ends = self._by_latent[:: self.run_width].tolist()
        rows = self.rows // (len(ends) - 1)
        return [
            (
                Active(
                    rows,
                    self.run_width,
                    self.row[a:b] - r * rows,
                    self.latent[a:b] - r * self.run_width,
                    self.run_width,
                ),
                slice(a, b),
            )
            for r, (a, b) in enumerate(pairwise(ends))
        ]

    @cached_property
    def _by_row(
        self,
    ) -> tuple[Int[torch.Tensor, " n"], Int[torch.Tensor, " n"], Int[torch.Tensor, " rows+1"]]:
        order = _ascending(self.row, self.rows)
        row, latent = (keys.index_select(0, order) for keys in (self.row, self.latent))
        return order, latent, _starts(row, self.rows)

    @cached_property
    def _by_latent(self) -> Int[torch.Tensor, " width+1"]:
        return _starts(self.latent, self.width)

    def of(self, batch: Float[torch.Tensor, "rows width"]) -> Float[torch.Tensor, " n"]:
        """The numbers at the places, in float32 at least."""
        # Few numbers are left here, so float32 costs nothing, and sums over many rows do not lose
        # digits.
        values = batch.flatten().index_select(0, self.places)
        return values.to(torch.promote_types(values.dtype, torch.float32))

    def decode(
        self, values: Float[torch.Tensor, " n"], W: Float[torch.Tensor, "width d"]
    ) -> Float[torch.Tensor, "rows d"]:
        """The sum of each row's latents, each times its value: values · W."""
        order, latent, starts = self._by_row
        return _sums(starts, latent, values.index_select(0, order), W)

    def gather(
        self, values: Float[torch.Tensor, " n"], batch: Float[torch.Tensor, "rows d"]
    ) -> Float[torch.Tensor, "width d"]:
        """The sum of each latent's rows, each times its value: valuesᵀ · batch, the gradient of a
        matrix with a row per latent."""
        return _sums(self._by_latent, self.row, values, batch)

    def products(
        self, batch: Float[torch.Tensor, "rows d"], W: Float[torch.Tensor, "width d"]
    ) -> Float[torch.Tensor, " n"]:
        """The scalar product of row and latent at each place: batch · Wᵀ there."""
        if not len(self.row):
            return batch.new_zeros(0)
        _hush()
        # Places by latent are already the compressed rows of a matrix [width, rows], so W xᵀ can be
        # worked out at these places alone, with no copy of the rows that take part.
        zeros = torch.zeros(len(self.row), dtype=W.dtype, device=W.device)
        where = torch.sparse_csr_tensor(
            self._by_latent, self.row, zeros, (self.width, self.rows), check_invariants=False
        )
        # beta=0: the zeros are a pattern to write to, and are not added.
        return torch.sparse.sampled_addmm(where, W, batch.T, beta=0).values()

    def sums(self, values: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, " width"]:
        """The sum of each latent's values."""
        return torch.zeros(self.width, dtype=values.dtype, device=values.device).index_add_(
            0, self.latent, values
        )

    def nested(self, ends: Sequence[int]) -> Active:
        """These places with a copy of the batch for each stretch of latents, one ending before each
        of `ends`, below one another."""
        # right=True: a latent at an end belongs to the stretch that begins there. One decode then
        # gives what every stretch adds, as if each had a batch to itself, and the order by latent
        # still holds.
        stretch = torch.searchsorted(torch.tensor(ends), self._within_run, right=True)
        return Active(
            self.rows * len(ends),
            self.width,
            self.row + self.rows * stretch,
            self.latent,
            self.run_width,
        )


def _sums(
    starts: Int[torch.Tensor, " m+1"],
    index: Int[torch.Tensor, " n"],
    weights: Float[torch.Tensor, " n"],
    rows: Float[torch.Tensor, "k d"],
) -> Float[torch.Tensor, "m d"]:
    """The sum of the rows of each stretch of `index`, each times its weight."""
    # An embedding bag reads each row and adds it where it belongs in one pass. rows[index] would
    # first write a matrix [n, d], and an index_add_ would read it again.
    return torch.nn.functional.embedding_bag(
        index, rows, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


@dataclass(frozen=True, eq=False)
class Codes:
    """The sparse code of one run's batch: places, and the values there; all others are 0."""

    active: Active
    values: Float[torch.Tensor, " n"]

    def fired(self) -> Bool[torch.Tensor, " width"]:
        """Latents with a value that is not 0 in some row."""
        none = torch.zeros(self.active.width, dtype=torch.bool, device=self.values.device)
        return none.index_fill_(0, self.active.latent[self.values != 0], True)

    def least(self, k: int) -> Float[torch.Tensor, ""]:
        """The smallest value above 0; 0 where there are fewer than k a row, since then all are
        there."""
        positive = self.values[self.values > 0]
        full = len(positive) >= max(1, k * self.active.rows)
        return positive.amin() if full else positive.new_zeros(())


def above(
    batch: Float[torch.Tensor, "*run rows width"],
    bound: Float[torch.Tensor, "*run width"] | None = None,
) -> Int[torch.Tensor, " n"]:
    """Places of the flattened batch that are above 0, or at or above the bound of their latent."""
    on = batch > 0 if bound is None else batch >= bound[..., None, :]
    return on.flatten().nonzero()[:, 0]


def largest(batch: Float[torch.Tensor, "rows width"], count: int) -> Int[torch.Tensor, " n"]:
    """Places of the flattened batch of the `count` largest numbers of each row, as far as they are
    above 0; of equal ones those that come first, but for a batch of more than 2³² numbers.

    The row's numbers are dealt into groups, and as many groups as are wanted have a maximum at or
    above the count-th largest maximum: so have the numbers that are wanted. What reaches that
    bound, a few more than are wanted, is sorted."""
    rows, width = batch.shape
    if not batch.numel():
        return torch.zeros(0, dtype=torch.int64, device=batch.device)
    low, high = (
        int(width - 1).bit_length(),
        int(rows - 1).bit_length(),
    )  # of a place within its row, and of the row
    # The sorting key below has 63 bits: 31 for the number, 32 are left for row and place.
    if low + high > 32:
        index = batch.topk(count, dim=-1, sorted=False).indices
        chosen = (index + width * torch.arange(rows)[:, None]).flatten()
        return chosen[batch.flatten()[chosen] > 0]
    # Integers from here on: NumPy has no bfloat16, and these compare as the floats do wherever they
    # are above 0.
    bits = batch.view(_BITS[batch.dtype])
    # Four times as many groups as are wanted: their maxima are few to partition, and the bound they
    # give lets few more through than are wanted. Groups are strided, not neighbours, so that the
    # maximum runs along contiguous memory. The remainder of a row is in no group, which can only
    # lower the bound, never lose a number.
    group_size = max(1, width // (4 * count))
    maxima = (
        bits[:, : width // group_size * group_size].unflatten(1, (group_size, -1)).amax(1).numpy()
        if group_size > 1
        else bits.numpy()
    )
    # As an integer 1 is the smallest float above 0: what is not positive never passes.
    bound = np.partition(maxima, -count, axis=1)[:, -count]
    places = np.flatnonzero(bits.numpy() >= np.maximum(bound, 1)[:, None])
    row = places // width
    # flatnonzero gives places in order, so each row's are a stretch; sorting by key keeps the
    # stretches where they are, and `starts` holds after it too.
    starts = np.searchsorted(row, np.arange(rows + 1))
    # Skipped where the bound was exact in every row.
    if (np.diff(starts) > count).any():
        # one key for each: by row, then largest first, then by place
        keys = (
            (row << (31 + low))
            | ((2**31 - 1 - bits.numpy().reshape(-1)[places].astype(np.int64)) << low)
            | (places - row * width)
        )
        keys.sort()
        keys = keys[np.arange(len(keys)) - starts[row] < count]
        places = (keys >> (31 + low)) * width + (keys & (2**low - 1))
    return torch.from_numpy(places)


def _ascending(keys: Int[torch.Tensor, " n"], below: int) -> Int[torch.Tensor, " n"]:
    """The order of keys from 0 to below `below`, equal ones as they come; NumPy sorts numbers of 16
    bits by digits."""
    return torch.from_numpy(
        # The narrowest type, since up to 16 bits a stable sort is a radix sort: its time grows with
        # n alone.
        np.argsort(keys.numpy().astype(np.min_scalar_type(below - 1)), kind="stable")
    )


def _starts(keys: Int[torch.Tensor, " n"], below: int) -> Int[torch.Tensor, " below+1"]:
    """Where each of the sorted keys begins, and where the last ends."""
    return torch.searchsorted(keys, torch.arange(below + 1, device=keys.device))


@cache
def _hush() -> None:
    """Let PyTorch say once, unheard, that its sparse tensors are in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(
            torch.zeros(2, dtype=torch.int64),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0),
            (1, 1),
        )
