"""Part: the latents and rows that one rank has of a step, and how the ranks' parts become whole.

Choices are exactly those of one process. TopK: each rank's own k largest of a row are gathered, and
each rank keeps those of its own that are among the k largest of all; of equal numbers the one of
lower index comes first, which is the one of the lower shard. BatchTopK: the k·B-th largest number
of the batch is found digit by digit of its bits, from counts summed over all ranks."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.dictionaries.sharded.ranks import Ranks, bounds
from assay.dictionaries.training.kernels.active import largest
from assay.dictionaries.training.kernels.whole import Whole

_BITS = {torch.float64: torch.int64, torch.float32: torch.int32, torch.bfloat16: torch.int16}
"""Integers of the same size; those above 0 are in the order of the numbers whose bits they are."""
_DIGIT = 8
"""Bits that are settled at a time: one sum of 256 counts for each."""


class Part(Whole):
    """The latents `mine` of a dictionary of `width`, and a part of each batch."""

    def __init__(self, ranks: Ranks, width: int):
        if width < ranks.latents.size:
            raise SpecError(
                f"a dictionary of {width} latents cannot be cut into {ranks.latents.size} "
                "shards; use fewer"
            )
        self.ranks, self.width = ranks, width
        self.mine = bounds(width, ranks.latents.size, ranks.latents.place)
        self.first = self.mine.start

    def rows(self, count: int) -> int:
        """Rows of the batch on all replicas."""
        return sum(self._rows(count))

    def sum_latents(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over the shards of this rank's replica."""
        return self.ranks.latents.sum(value)

    def sum_rows(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over the replicas of this rank's shard."""
        return self.ranks.rows.sum(value)

    def sum_all(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over all ranks."""
        return self.ranks.every.sum(value)

    def min_all(self, value: torch.Tensor) -> torch.Tensor:
        """The smallest on any rank."""
        return self.ranks.every.min(value)

    def any_rows(self, value: Bool[torch.Tensor, "f"]) -> Bool[torch.Tensor, "f"]:
        """Whether it is so on any replica of this rank's shard."""
        return self.ranks.rows.max(value.to(torch.uint8)).bool()

    def kept(
        self, places: Int[torch.Tensor, "n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, "m"]:
        """Gather what the shards have above 0 of each row, find the count-th largest, and keep what
        is above it, and of equals the first."""
        shards = self.ranks.latents
        b, f = pre.shape
        if shards.size == 1 or not b:
            return places
        row = places // max(1, f)
        starts = torch.searchsorted(row, torch.arange(b + 1, device=row.device))
        # Place within its row; the table is as wide as the longest row of any shard, since what is
        # gathered must have equal shapes. Its padding is 0, below all that counts.
        slot = torch.arange(len(row), device=row.device) - starts[row]
        longest = int(shards.max((starts[1:] - starts[:-1]).max().reshape(1)))
        # Even together there are no more than are wanted. All shards know `longest`, so all of them
        # return.
        if shards.size * longest <= count:
            return places
        values = pre.flatten()[places]
        table = pre.new_zeros(b, longest)
        table[row, slot] = values
        every = torch.stack(shards.gather(table))
        bound = (
            every.transpose(0, 1).flatten(1).topk(count).values[:, -1]
        )  # 0 where fewer are above 0
        # Equals of the bound: lower shards take theirs first, and what room they leave is this
        # one's.
        level = every == bound[:, None]
        room = count - (every > bound[:, None]).sum((0, 2)) - level[: shards.place].sum((0, 2))
        same = values == bound[row]
        before = torch.cat(
            [row.new_zeros(1), same.cumsum(0)]
        )  # equals of this rank so far, those of earlier rows too
        return places[
            (values > bound[row]) | (same & (before[:-1] - before[starts[row]] < room[row]))
        ]

    def kept_together(
        self, places: Int[torch.Tensor, "n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, "m"]:
        """Find the count-th largest number of all ranks, and keep what is above it, and of equals
        those of lower place in the batch."""
        every = self.ranks.every
        if every.size == 1 or int(every.sum(_count(places))) <= count:
            return places
        # Places are those of numbers above 0, whose bits are in their order.
        bits = pre.flatten()[places].view(_BITS[pre.dtype]).long()
        bound = self._nth(bits, count, 8 * pre.element_size())
        # Every rank sees the same sums and so takes the same branches: a collective that one of
        # them left out would hang the rest.
        room = count - int(every.sum(_count(bits[bits > bound])))
        same = bits == bound
        if int(every.sum(_count(bits[same]))) > room:
            f = pre.shape[1]
            before = sum(self._rows(len(pre))[: self.ranks.rows.place])
            place = (places // f + before) * self.width + places % f + self.first
            last = torch.iinfo(torch.int64).max
            # Turned round, the lowest places are the largest keys, so the same search finds the
            # `room` first.
            same &= last - place >= self._nth(last - place[same], room, 64)
        return places[(bits > bound) | same]

    def strongest(self, codes: Float[torch.Tensor, "b n"], most: int) -> Float[torch.Tensor, "b n"]:
        """Keep of each whole row the `most` largest and make the others 0."""
        if self.ranks.latents.size == 1:
            return super().strongest(codes, most)
        places = self.kept(largest(codes, min(most, codes.shape[1])), codes, most)
        values = codes.flatten()[places]
        return torch.zeros_like(codes).flatten().index_copy_(0, places, values).view_as(codes)

    def _nth(self, keys: Int[torch.Tensor, "n"], n: int, bits: int) -> int:
        """The n-th largest of all ranks' keys, whole numbers from 0 up of so many bits, digit by
        digit from the highest."""
        prefix = 0
        for shift in range(bits - _DIGIT, -1, -_DIGIT):
            # Only keys that begin with the digits settled so far; to shift 64 bits by 64 is
            # undefined.
            its = keys[keys >> shift + _DIGIT == prefix] if shift + _DIGIT < 64 else keys
            counts = self.ranks.every.sum(
                torch.bincount(its >> shift & 2**_DIGIT - 1, minlength=2**_DIGIT)
            )
            above = counts.flip(0).cumsum(0)
            digit = int((above < n).sum())  # so many digits from the top hold fewer than n
            n -= int(above[digit - 1]) if digit else 0
            prefix = prefix << _DIGIT | 2**_DIGIT - 1 - digit
        return prefix

    def _rows(self, count: int) -> list[int]:
        """Rows of the batch on each replica."""
        if self.ranks.rows.size == 1:
            return [count]
        return [
            int(part)
            for part in self.ranks.rows.gather(torch.tensor([count], device=self.ranks.device))
        ]


def _count(places: torch.Tensor) -> Int[torch.Tensor, "1"]:
    return torch.tensor([len(places)], device=places.device)
