"""Whole: how what one process has of a step becomes what the step is about.

A step adds up over latents (a reconstruction), over rows (a gradient) and over both (a loss), and
chooses the largest of all. One process has all of them, so here nothing is left to do. Where
latents or rows lie on several ranks, `dictionaries/sharded/part.py` puts collectives in these
places, and the arithmetic of the step stays the same."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch


class Whole:
    """One process that has every latent and every row. Sums may be made in the memory of what is
    given."""

    first: int = 0
    """Number of the first latent that this process has."""

    def rows(self, count: int) -> int:
        """Rows of the whole batch, of which this process has so many."""
        return count

    def sum_latents(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over all latents, from that over those of this process; rows stay its own."""
        return value

    def sum_rows(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over all rows, from that over those of this process; latents stay its own."""
        return value

    def sum_all(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over all latents and rows."""
        return value

    def min_all(self, value: torch.Tensor) -> torch.Tensor:
        """The smallest over all latents and rows."""
        return value

    def any_rows(self, value: Bool[torch.Tensor, "f"]) -> Bool[torch.Tensor, "f"]:
        """Whether it is so in any row, for the latents of this process."""
        return value

    def kept(
        self, places: Int[torch.Tensor, "n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, "m"]:
        """Of this process's largest of each row those that are among the `count` largest of the
        whole row; of equal ones the first."""
        return places

    def kept_together(
        self, places: Int[torch.Tensor, "n"], pre: Float[torch.Tensor, "b f"], count: int
    ) -> Int[torch.Tensor, "m"]:
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

    def mean_square(self, error: Float[torch.Tensor, "run b d"]) -> Float[torch.Tensor, "run"]:
        """Mean squared error per dimension."""
        # In the form of `parts.mean_square`, so that both add up in the same order.
        total = self.sum_rows(torch.linalg.vector_norm(error, dim=(1, 2)).square())
        return total / (self.rows(error.shape[1]) * error.shape[2])


ALONE = Whole()
