"""A controller that finds the penalty for a wanted L0, run by run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.fit import State
from assay.core.heavy import torch
from assay.dictionaries.training.learners import Seen, TakesNoNote


@dataclass(frozen=True, eq=False)
class TargetL0(TakesNoNote):
    """Multiplies each run's λ, step by step, until L0 is what was asked for.

    A change of λ is felt after hundreds of steps, so the gain is small and the measured L0
    smoothed: λ follows the geometric mean of where L0 has been. ReLU and Gated land within a tenth
    after 600 steps and more; a JumpReLU's thresholds answer more slowly, and it was off by up to a
    third after a thousand. It starts when λ has risen (`begin`), and rests while the learning rate
    falls, when L0 no longer answers.

    Formula: λ ← λ · (L̄0 / target)^gain, with L̄0 ← 0.9 L̄0 + 0.1 L0 of the batch
    Example:
        >>> import numpy as np, torch
        >>> from types import SimpleNamespace
        >>> from assay.dictionaries import TargetL0
        >>> target, l0 = TargetL0(l0=10.0, begin=0.0), torch.tensor([20.0])
        >>> state = target.keep(seeds=np.array([0]), f=64)
        >>> target.learn(state, SimpleNamespace(step=0, steps=100, noted={"l0": l0}))
        >>> state["target.factor"]  # twice as many as wanted are on: λ times 2 ** 0.03
        tensor([1.0210])
    """

    l0: float | Float[np.ndarray, " run"]
    """Features that should be on in a row, one number or one for each run."""
    gain: float = 0.03
    """Exponent of a step's correction."""
    begin: float = 0.15
    """Share of the steps after which λ is first changed."""
    end: float = 0.9
    """Share of the steps after which λ stays."""
    widest: float = 1000.0
    """λ stays within this factor of where it started."""

    def __post_init__(self):
        if np.min(self.l0) <= 0 or self.gain <= 0:
            raise SpecError(
                f"TargetL0 needs a target and a gain above 0, got l0={self.l0} and gain={self.gain}"
            )

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """The factor on λ [run], 1, and the smoothed L0, not yet known."""
        return {
            "target.factor": torch.ones(len(seeds)),
            "target.l0": torch.full((len(seeds),), torch.nan),
        }

    def learn(self, state: State, observation: Seen) -> None:
        """Correct the penalty's factor by what this step's L0 says."""
        l0, smooth = observation.noted["l0"].float(), state["target.l0"]
        # NaN at the start: the first batch's L0 is taken whole, where 0 would have to be climbed
        # out of.
        smooth.copy_(torch.where(smooth.isnan(), l0, 0.9 * smooth + 0.1 * l0))
        if not self.begin <= observation.step / observation.steps <= self.end:
            return
        target = torch.as_tensor(self.l0, dtype=torch.float32, device=l0.device)
        factor = state["target.factor"]
        # Where no feature is on, 0 to any power would send λ to its least in a single step.
        factor.mul_((smooth.clamp_min(1e-3) / target) ** self.gain).clamp_(
            1 / self.widest, self.widest
        )
