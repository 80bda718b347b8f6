"""ByHand: a dead-latent policy that also plants latents at one step, and holds parameters at 0: for
experiments on training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.fit import State
from assay.core.heavy import torch
from assay.dictionaries.training.dead import DeadPolicy
from assay.dictionaries.training.learners import Seen


@dataclass(frozen=True, eq=False)
class ByHand:
    """Another policy; the first latents of every run are kept silent until one step and then set to
    given directions."""

    of: DeadPolicy
    """What is done about the other latents."""
    at: int
    """After how many steps the latents are planted."""
    encoder: Float[torch.Tensor, "run latent d"]
    """Their encoder rows."""
    decoder: Float[torch.Tensor, "run latent d"]
    """Their decoder rows, of length 1."""
    bias: float = 0.0
    """Encoder bias of planted latents."""
    held: tuple[str, ...] = ()
    """Parameters that are put back to 0 after each step, such as "b_enc"."""

    def rate(self, step: int) -> float:
        """That of the policy within."""
        return self.of.rate(step)

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """The tensors of the policy within; planted latents are exempt where it has exempt ones."""
        state = self.of.keep(seeds, f)
        if "exempt" in state:
            state["exempt"][:, : self.decoder.shape[1]] = True
        return state

    def note(self, features: Float[torch.Tensor, "run b f"]) -> Mapping[str, torch.Tensor]:
        """What the policy within notes."""
        return self.of.note(features)

    def learn(self, state: State, observation: Seen) -> None:
        """Let the policy within learn, then hold the planted latents silent before their step and
        set them free at it."""
        self.of.learn(state, observation)
        n = self.decoder.shape[1]
        if n and observation.step + 1 < self.at:
            state["W_enc"][:, :n] = 0
            # With no weights and a bias below 0 they are off on every input.
            state["b_enc"][:, :n] = -1
        if n and observation.step + 1 == self.at:
            for name, value in {
                "W_enc": self.encoder,
                "W_dec": self.decoder,
                "b_enc": torch.tensor(self.bias),
            }.items():
                state[name][:, :n] = value.to(state[name])
                for moment in "mv":
                    state[f"adam.{moment}.{name}"][:, :n] = 0
        for name in self.held:
            state[name].zero_()
