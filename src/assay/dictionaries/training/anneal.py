"""p-annealing: an L_p penalty whose p falls from 1 during training, closer and closer to counting
features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.learners import Seen, TakesNoNote
from assay.dictionaries.training.terms import (
    ByRun,
    Params,
    Rows,
    as_tensors,
    decode,
    feature_sum,
    project,
    squared_error,
)


@dataclass(frozen=True)
class PAnneal(TakesNoNote):
    """Squared error and λ times Σ f^p, with p falling from 1 to `to` in equal stages.

    At each change λ is rescaled, run by run, so that the penalty's value on the batch at hand stays
    what it was: otherwise a smaller p alone would change how much sparsity weighs.

    Formula: mean of ‖x − x̂‖² / d + λ_p Σ f^p / √d, λ_p' = λ_p Σ f^p / Σ f^p'
    Source: Measuring Progress in Dictionary Learning for Language Model Interpretability with Board
    Game Models (2024), section 4
    Differs: λ is rescaled on one batch, dictionary_learning does it on ten

    The slope p f^(p−1) has no bound at f = 0, so rounding grows: a run alone and the same run in a
    group part by more than other methods do (two hundredths after 60 steps of a tiny dictionary).
    Starts, batches and resumes are bitwise the same all the same.
    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> x, loss = torch.tensor([[32.0, 0.0, 0.0, 0.0]]), losses.PAnneal(to=0.2)
        >>> [round(float(loss(params, x, ReLU(), torch.ones(1), progress=t)), 3) for t in (0, 1)]
        [16.0, 1.0]
    """

    to: float = 0.2
    """p at the end."""
    begin: float = 0.2
    """Share of the steps after which p first changes."""
    end: float = 0.8
    """Share of the steps at which p has its last value."""
    stages: int = 10
    """Number of changes."""

    def __post_init__(self) -> None:
        if not (0 < self.to <= 1 and 0 <= self.begin < self.end <= 1 and self.stages >= 1):
            raise SpecError(
                "PAnneal needs to in (0, 1], shares 0 <= begin < end <= 1 and at least one "
                f"stage, got to={self.to}, "
                f"begin={self.begin}, end={self.end}, stages={self.stages}"
            )

    def p(self, progress: float) -> float:
        """The exponent after a share of the steps.

        Args:
            progress: share of the steps done, 0 to 1.
        Example:
            >>> from assay.dictionaries.training.losses import PAnneal
            >>> [round(PAnneal().p(progress), 2) for progress in (0, 0.3, 1)]
            [1.0, 0.84, 0.2]
        """
        through = (progress - self.begin) / (self.end - self.begin)
        # The first change is at `begin` itself, hence 1 +; the last value is there before `end`.
        stage = 0 if through < 0 else min(self.stages, 1 + int(through * self.stages))
        return 1 + (self.to - 1) * stage / self.stages

    def __call__(
        self,
        params: Params,
        x: Rows,
        nonlinearity: Nonlinearity,
        penalty: ByRun,
        y: Rows | None = None,
        progress: float = 0.0,
    ) -> ByRun:
        """The loss of each run after a share of the steps; `penalty` is λ_p.

        Args:
            params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
                and the nonlinearity's, [run, …].
            x: normalised inputs, [b, d] or [run, b, d].
            nonlinearity: gives the features.
            penalty: λ_p, [run].
            y: targets as x; None: x.
            progress: share of the steps done, 0 to 1.
        """
        params, x, y = as_tensors(params, x, y)
        features = nonlinearity(project(params, x, nonlinearity), params["b_enc"], params)
        p = self.p(progress)
        if (
            p < 1
            # the slope at 0 is infinite, and times 0, the gradient of a feature that is off, it
            # would be no number
        ):
            on = features > 0
            sizes = features.where(on, 1) ** p * on
        summed = feature_sum(features if p == 1 else sizes, y.shape[-1])
        return squared_error(y, decode(params, features, x)) + torch.as_tensor(penalty) * summed

    # the factor on λ, kept and learned along with the parameters (see `learners.py`)

    def keep(self, seeds: np.ndarray, f: int) -> dict[str, torch.Tensor]:
        """The factor on λ [run], 1 before p changes."""
        return {"anneal.factor": torch.ones(len(seeds))}

    def learn(self, state: Mapping[str, torch.Tensor], observation: Seen) -> None:
        """Rescale λ where p changes before the next step."""
        before, after = (
            self.p(observation.step / observation.steps),
            self.p((observation.step + 1) / observation.steps),
        )
        if before == after:
            return
        # Under the parameters after the step, since the next step is the first with the new p;
        # asked for only here, as it costs a pass.
        features = observation.features()
        old, new = ((features**p).sum((1, 2)) for p in (before, after))
        state["anneal.factor"].mul_(torch.where(new > 0, old / new, 1))
