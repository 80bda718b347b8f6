"""Whole: how what one process has of a step becomes what the step is about.

A step adds up over latents (a reconstruction), over rows (a gradient) and over both (a loss), and
chooses the largest of all. One process has all of them, so here nothing is left to do. Where
latents or rows lie on several ranks, `dictionaries/sharded/part.py` puts collectives in these
places, and the arithmetic of the step stays the same. A step starts a sum as soon as it has its
part, does what needs no answer, and then waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch


@dataclass(frozen=True, eq=False)
class Started:
    """Sums that may still be on their way."""

    values: tuple[torch.Tensor, ...]

    def wait(self) -> tuple[torch.Tensor, ...]:
        """The sums, in the order in which their parts were given."""
        return self.values


class Whole:
    """One process that has every latent and every row. Sums may be made in the memory of what is
    given, which nobody may touch before the wait."""

    first: int = 0
    """Number of the first latent that this process has."""

    def rows(self, count: int) -> Callable[[], int]:
        """Begin to count the rows of the whole batch, of which this process has so many."""
        return lambda: count

    def start_latents(self, *values: torch.Tensor) -> Started:
        """Begin sums over all latents, from those over this process's; rows stay its own."""
        return Started(values)

    def start_rows(self, *values: torch.Tensor) -> Started:
        """Begin sums over all rows, from those over this process's; latents stay its own."""
        return Started(values)

    def start_all(self, *values: torch.Tensor) -> Started:
        """Begin sums over all latents and rows."""
        return Started(values)

    def every(self, value: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, "rank n"]:
        """What every process has."""
        return value[None]

    def any_rows(self, value: Bool[torch.Tensor, " f"]) -> Bool[torch.Tensor, " f"]:
        """Whether it is so in any row, for the latents of this process."""
        return value

    def kept(
        self, places: Int[torch.Tensor, " n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, " m"]:
        """Of this process's largest of each row those that are among the `count` largest of the
        whole row; of equal ones the first."""
        return places

    def kept_together(
        self, places: Int[torch.Tensor, " n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, " m"]:
        """Of this process's largest those that are among the `count` largest of the whole batch; of
        equal ones the first."""
        return places

    def strongest(self, codes: Float[torch.Tensor, "b n"], most: int) -> Float[torch.Tensor, "b n"]:
        """Keep of each row the `most` largest and make the others 0; the numbers are at least 0."""
        # float32 for the count: bfloat16 has no odd numbers above 256.
        if codes.shape[-1] <= most or codes.sign().sum(-1, dtype=torch.float32).max() <= most:
            return codes
        values, index = codes.topk(most, dim=-1, sorted=False)
        return torch.zeros_like(codes).scatter_(-1, index, values)


ALONE = Whole()
