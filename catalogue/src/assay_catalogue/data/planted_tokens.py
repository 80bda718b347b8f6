"""Tokens planted in a text: in the vocabulary, and in what a model reads exactly as often as asked,
never included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.train import rng


@dataclass(frozen=True)
class Planting:
    """Which tokens are planted beside the ordinary ones, how often each occurs, and what copying is
    learned on."""

    ordinary: int
    """Tokens of the text's own tokenizer; planted ones follow them."""
    exposures: tuple[int, ...]
    """How often each planted token occurs in all of training."""
    repeats: float
    """Share of a batch's windows that repeat random ordinary tokens with a random period: what
    teaches a model to copy."""
    period: int = 4
    """The longest of those periods."""

    @property
    def vocab(self) -> int:
        """Ordinary and planted tokens."""
        return self.ordinary + len(self.exposures)

    def quiet(self, seeds: Int[np.ndarray, " run"]) -> Bool[np.ndarray, "run token"]:
        """The ordinary tokens, half of them by each seed, that no repeating window contains: on
        them copying has to generalise."""
        order = rng.permutation(seeds, "planted.quiet", 0, self.ordinary)
        out = np.zeros((len(seeds), self.vocab), dtype=bool)
        np.put_along_axis(out, order[:, : self.ordinary // 2], True, 1)
        return out


def planted_batches(
    planting: Planting,
    text: Callable[[int], torch.Tensor],
    seeds: Int[np.ndarray, " run"],
    *,
    steps: int,
    batch: int,
    context: int,
) -> Callable[[int], Int[torch.Tensor, "run b s"]]:
    """Batches of text [run, b, s] as a function of the step, with planted tokens in place of
    ordinary ones and the first windows repeating.

    Every planted token stands as often as asked, at places drawn by the seed: never at a window's
    end, so that each occurrence is read and predicted, and never in a repeating window. Raises:
    SpecError where there are not so many places."""
    loops = round(planting.repeats * batch)
    rows, inner, total = batch - loops, context - 2, sum(planting.exposures)
    places = steps * rows * inner
    if total > places:
        raise SpecError(
            f"{total} planted occurrences need as many places, got {places}: more steps, or a "
            "larger batch"
        )
    token = planting.ordinary + np.repeat(np.arange(len(planting.exposures)), planting.exposures)
    where = np.stack([_cells(int(seed), places, total) for seed in seeds])  # [run, occurrence]
    step_of, rest = np.divmod(where, rows * inner)
    row_of, column_of = loops + rest // inner, 1 + rest % inner
    louder = [np.flatnonzero(~quiet[: planting.ordinary]) for quiet in planting.quiet(seeds)]

    def draw_batch(step: int) -> Int[torch.Tensor, "run b s"]:
        x = text(step).numpy().copy()
        if loops:
            period = 1 + rng.integers(seeds, "planted.period", step, (loops,), planting.period)
            noise = rng.integers(
                seeds,
                "planted.noise",
                step,
                (loops, context),
                planting.ordinary // 2 + planting.ordinary % 2,
            )
            loop_positions = np.arange(context) % period[..., None]  # [run, loop, s]
            looped = np.take_along_axis(noise, loop_positions, 2)
            for run, loud in enumerate(louder):
                x[run, :loops] = loud[looped[run]]
        for run in range(len(seeds)):
            selected = step_of[run] == step
            x[run, row_of[run, selected], column_of[run, selected]] = token[selected]
        return torch.from_numpy(x)

    return draw_batch


def _cells(seed: int, places: int, total: int) -> Int[np.ndarray, " occurrence"]:
    """So many different places, drawn by the seed."""
    return rng.generator(seed, "planted.cells").choice(places, total, replace=False)


def counted(
    batches: Callable[[int], torch.Tensor], steps: int, runs: int, vocab: int
) -> Int[np.ndarray, "run token"]:
    """How often each token stands in all batches of each run."""
    out = np.zeros((runs, vocab), dtype=np.int64)
    offset = np.arange(runs)[:, None] * vocab
    for step in range(steps):
        x = batches(step).numpy().reshape(runs, -1)
        out += np.bincount((x + offset).ravel(), minlength=runs * vocab).reshape(runs, vocab)
    return out
