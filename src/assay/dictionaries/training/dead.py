"""What is done about latents that stopped firing, for any architecture: nothing, or a fresh start
where the loss is high.

The third remedy, AuxK, is a term of the loss (`auxiliary.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.fit import State
from assay.core.heavy import torch
from assay.dictionaries.training.learners import Learner, Seen, TakesNoNote
from assay.train import rng


class DeadPolicy(Learner, Protocol):
    """A learner that may also ask for a lower learning rate for a while."""

    def rate(self, step: int) -> float:
        """Factor on the learning rate at a step."""


@dataclass(frozen=True)
class Keep(TakesNoNote):
    """Dead latents stay as they are.

    Example:
        >>> from assay.dictionaries import Keep
        >>> Keep().rate(step=500)
        1.0
    """

    def rate(self, step: int) -> float:
        """Always 1."""
        return 1.0

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """Keep no state: nothing is counted."""
        return {}

    def learn(self, state: State, observation: Seen) -> None:
        """Leave every latent as it is."""


@dataclass(frozen=True)
class Resample(TakesNoNote):
    """At some steps each latent that has not fired since the check before starts anew, along what
    the dictionary misses.

    The row of the batch is drawn with probability ∝ (its squared error)², each latent its own draw
    by name. The decoder row is the unit residual y − ŷ of that row, the encoder row the same
    direction (transcoders: that of the centred input) at 0.2 times the mean norm of living encoder
    rows; biases are 0, the nonlinearity's own parameters start over, Adam's moments are 0, and the
    learning rate of all warms up again.

    Source: Towards Monosemanticity (2023), "Neuron Resampling"
    Differs: rows come from the batch at hand, not from a large sample, and two latents may draw the
    same one; the direction is that of the residual, not of the input
    Example:
        >>> from assay.dictionaries import Resample
        >>> policy = Resample(at=(1000,), warm_up=10)
        >>> [policy.rate(step) for step in (999, 1000, 1004, 1009)]
        [1.0, 0.1, 0.5, 1.0]
    """

    at: tuple[int, ...]
    """After how many steps."""
    exempt: float = 0.0
    """Share of latents, drawn by each run's seed and stored as `exempt` [run, f], that are never
    resampled."""
    encoder: float = 0.2
    """Length of a new encoder row, in mean norms of living ones."""
    warm_up: int = 100
    """Steps over which the rate rises again. Fresh moments make Adam's first steps up to 30 times
    too long without it."""

    def __post_init__(self):
        if (
            not 0 <= self.exempt <= 1
            or list(self.at) != sorted(set(self.at))
            or min(self.at, default=1) < 1
        ):
            raise SpecError(
                "Resample needs growing steps from 1 and a share exempt in [0, 1], got "
                f"at={self.at}, exempt={self.exempt}"
            )

    def rate(self, step: int) -> float:
        """From 1/warm_up just after a check to 1."""
        since = [step - check for check in self.at if step >= check]
        return min(1.0, (since[-1] + 1) / self.warm_up) if since and self.warm_up > 0 else 1.0

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """`exempt` [run, f], who is never resampled, and `resampled` [run, f], how often each
        latent was."""
        rank = torch.from_numpy(rng.permutation(seeds, "dictionary.exempt", 0, f))
        return {
            "exempt": rank < round(self.exempt * f),
            "resampled": torch.zeros(len(seeds), f, dtype=torch.int64),
        }

    def learn(self, state: State, observation: Seen) -> None:
        """Resample where this is one of the steps."""
        if observation.step + 1 not in self.at:
            return
        last = max((a for a in self.at if a < observation.step + 1), default=0)
        # Silent in every row since the check before.
        silent = state["idle.rows"] >= (observation.step + 1 - last) * observation.x.shape[-2]
        dead = silent & ~state["exempt"]
        resample(state, observation, dead, alive=~silent, length=self.encoder)
        state["resampled"].add_(dead)
        # A new latent has not been idle: AuxK and the next check count it from here.
        state["idle.rows"].mul_(~dead)


def resample(
    state: State, observation: Seen, dead: torch.Tensor, alive: torch.Tensor, length: float = 0.2
) -> None:
    """Start the latents `dead` [run, f] anew in place; `alive` [run, f] are those whose encoder
    norms count."""
    f = dead.shape[-1]
    error = observation.error()
    # float64: in a float32 running sum a row of small error would add nothing.
    cumulative = error.square().sum(-1).square().double().cumsum(-1)
    # Inversion: where a uniform number falls in the running sum of weights. Every latent draws,
    # dead or not, so that the draw of one does not depend on which others are dead.
    quantiles = torch.from_numpy(
        rng.uniform(observation.seeds, "dictionary.resample", observation.step + 1, (f,))
    ).to(cumulative)
    # Rounding may put a quantile just above the last sum.
    row = torch.searchsorted(cumulative, quantiles * cumulative[:, -1:]).clamp_max(
        error.shape[1] - 1
    )
    outward = _unit(_rows(error, row))
    inward = (
        outward
        if observation.y is None
        else _unit(_rows((observation.x - observation.params["b_pre"][:, None]), row))
    )
    norms = torch.linalg.vector_norm(state["W_enc"], dim=-1)
    # Where no latent is alive the mean is over all: 0/0 would spread.
    counted = alive.where(alive.any(-1, keepdim=True), torch.ones_like(alive))
    mean = (norms * counted).sum(-1) / counted.sum(-1)
    fresh = {
        "W_dec": outward,
        "W_enc": length * mean[:, None, None] * inward,
        "b_enc": torch.zeros_like(state["b_enc"]),
    }
    fresh |= {
        name: value.to(dead.device).expand_as(state[name])
        for name, value in observation.nonlinearity.init(1, f).items()
    }
    # Further encoders start equal to W_enc, as before training.
    fresh |= dict.fromkeys(getattr(observation.nonlinearity, "encoders", ()), fresh["W_enc"])
    for name, value in fresh.items():
        state[name][dead] = value[dead]
        # Old moments would push the new latent along its former way.
        for moment in "mv":
            state[f"adam.{moment}.{name}"][dead] = 0


def _rows(
    values: Float[torch.Tensor, "run b d"], row: torch.Tensor
) -> Float[torch.Tensor, "run f d"]:
    return values.gather(1, row[..., None].expand(-1, -1, values.shape[-1]))


def _unit(rows: Float[torch.Tensor, "run f d"]) -> Float[torch.Tensor, "run f d"]:
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(1e-30)
