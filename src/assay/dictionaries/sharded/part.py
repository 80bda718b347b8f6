"""Part: the latents and rows that one rank has of a step, and how the ranks' parts become whole.

Choices are exactly those of one process. TopK: each rank's own k largest of a row are gathered, and
each rank keeps those of its own that are among the k largest of all; of equal numbers the one of
lower index comes first, which is the one of the lower shard. BatchTopK: the k·B-th largest number
of the batch is found 16 bits at a time, from counts summed over all ranks."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float, Int

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.dictionaries.sharded.ranks import Ranks, bounds
from assay.dictionaries.training.kernels.active import largest
from assay.dictionaries.training.kernels.whole import Started, Whole

_BITS = {torch.float64: torch.int64, torch.float32: torch.int32, torch.bfloat16: torch.int16}
"""Integers of the same size; those above 0 are in the order of the numbers whose bits they are."""
_DIGIT = 16
"""Bits that are settled at a time: one sum of 2¹⁶ counts for each."""


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

    def rows(self, count: int) -> Callable[[], int]:
        """Begin to count the rows of the batch on all replicas."""
        if self.ranks.rows.size == 1:
            return lambda: count
        started = self.ranks.rows.start_sum(torch.tensor([count], device=self.ranks.device))
        return lambda: int(started.wait()[0])

    def start_latents(self, *values: torch.Tensor) -> Started:
        """Begin sums over the shards of this rank's replica."""
        return self.ranks.latents.start_sum(*values)

    def start_rows(self, *values: torch.Tensor) -> Started:
        """Begin sums over the replicas of this rank's shard."""
        return self.ranks.rows.start_sum(*values)

    def start_all(self, *values: torch.Tensor) -> Started:
        """Begin sums over all ranks."""
        return self.ranks.every.start_sum(*values)

    def every(self, value: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, "rank n"]:
        """What every rank has."""
        return torch.stack(self.ranks.every.gather(value))

    def any_rows(self, value: Bool[torch.Tensor, " f"]) -> Bool[torch.Tensor, " f"]:
        """Whether it is so on any replica of this rank's shard."""
        return self.ranks.rows.max(value.to(torch.uint8)).bool()

    def kept(
        self, places: Int[torch.Tensor, " n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, " m"]:
        """Gather what the shards have above 0 of each row, find the count-th largest, and keep what
        is above it, and of equals the first."""
        longest = min(count, -(-self.width // self.ranks.latents.size))
        return self._kept(places, pre, count, longest)

    def _kept(
        self,
        places: Int[torch.Tensor, " n"],
        pre: Float[torch.Tensor, "b f"],
        count: int,
        most: int,
    ) -> Int[torch.Tensor, " m"]:
        """`kept`, where no shard has more than `most` places in a row, as all of them know."""
        shards = self.ranks.latents
        b, f = pre.shape
        # Even together there may be no more than are wanted: then all of them return.
        if not b or shards.size * most <= count:
            return places
        row = places // max(1, f)
        starts = torch.searchsorted(row, torch.arange(b + 1, device=row.device))
        # Place within its row. What is gathered must have equal shapes; the table's padding is 0,
        # below all that counts.
        slot = torch.arange(len(row), device=row.device) - starts[row]
        values = pre.flatten()[places]
        table = pre.new_zeros(b, most)
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
        self, places: Int[torch.Tensor, " n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, " m"]:
        """Find the count-th largest number of all ranks, and keep what is above it, and of equals
        those of lower place in the batch."""
        if self.ranks.every.size == 1:
            return places
        # Places are those of numbers above 0, whose bits, but for the sign, are in their order.
        bits = pre.flatten()[places].view(_BITS[pre.dtype]).long()
        bound, room, level = self._nth(bits, count, 8 * pre.element_size() - 1)
        same = bits == bound
        # Every rank knows the same counts and so takes the same branch: a collective that one of
        # them left out would hang the rest.
        if level > room:
            f, counts = pre.shape[1], self._counts(len(pre))
            before = sum(counts[: self.ranks.rows.place])
            place = (places // f + before) * self.width + places % f + self.first
            # Turned round, the lowest places are the largest keys, so the same search finds the
            # `room` first.
            all_places = sum(counts) * self.width
            keys = all_places - 1 - place
            same &= keys >= self._nth(keys[same], room, all_places.bit_length())[0]
        return places[(bits > bound) | same]

    def strongest(self, codes: Float[torch.Tensor, "b n"], most: int) -> Float[torch.Tensor, "b n"]:
        """Keep of each whole row the `most` largest and make the others 0."""
        if self.ranks.latents.size == 1:
            return super().strongest(codes, most)
        places = largest(codes, min(most, codes.shape[1]))
        # Where few latents are dead, no shard has nearly `most` in a row.
        row = places // max(1, codes.shape[1])
        longest = self.ranks.latents.max(torch.bincount(row, minlength=1).max())
        places = self._kept(places, codes, most, int(longest))
        values = codes.flatten()[places]
        return torch.zeros_like(codes).flatten().index_copy_(0, places, values).view_as(codes)

    def _nth(self, keys: Int[torch.Tensor, " n"], n: int, bits: int) -> tuple[int, int, int]:
        """The n-th largest of all ranks' keys, whole numbers from 0 up of so many bits, digit by
        digit from the highest; how many equal to it are among the n largest; and how many there
        are. −1 where there are fewer than n."""
        every = self.ranks.every
        # Half the bytes, where no sum of counts can overflow.
        narrow = torch.int32 if every.size * n < 2**31 else torch.int64
        prefix, level = 0, 0
        while bits:
            digit = min(_DIGIT, bits)
            # Only keys that begin with the digits settled so far.
            its = keys[keys >> bits == prefix]
            bits -= digit
            counts = torch.bincount(its >> bits & 2**digit - 1, minlength=2**digit).to(narrow)
            above = every.sum(counts).flip(0).cumsum(0)
            first = int((above < n).sum())  # so many digits from the top hold fewer than n
            if first == len(above):
                return -1, 0, 0
            fewer = int(above[first - 1]) if first else 0
            n, level = n - fewer, int(above[first]) - fewer
            prefix = prefix << digit | 2**digit - 1 - first
        return prefix, n, level

    def _counts(self, count: int) -> list[int]:
        """Rows of the batch on each replica."""
        rows = torch.tensor([count], device=self.ranks.device)
        return [int(part) for part in self.ranks.rows.gather(rows)]
