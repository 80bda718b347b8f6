"""What is learned along with the parameters but not by descent: counters, thresholds, factors on λ,
a watch on the training.

A learner `keep`s [run, …] tensors in the state of its group, so they are checkpointed, resumed and
taken apart by run like parameters. A name with a dot is bookkeeping; one that ends in `.factor`
multiplies λ [run]; any other is stored with the result. After each step it sees what `note` made of
the batch's features, and changes its tensors in place. One that can also take its note of a sparse
code, by `note_codes`, leaves a step free to write no features out. Nonlinearities, losses, dead
policies and sparsity schedules are learners if they have these three functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.fit import State
from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.terms import Params, decode, project

if TYPE_CHECKING:
    from assay.dictionaries.training.kernels.active import Codes


@dataclass(frozen=True, eq=False)
class Seen:
    """What a learner sees after a step: the batch, what was noted of it before the step, and the
    parameters after it."""

    step: int
    """Number of the step, from 0."""
    steps: int
    """Number of steps of the whole training."""
    seeds: np.ndarray
    """Seed of each run."""
    x: torch.Tensor
    """The batch's inputs, [b, d] or [run, b, d]."""
    y: torch.Tensor | None
    """Its targets where they are not x."""
    noted: Mapping[str, torch.Tensor]
    """Curves (loss, l0) and what learners noted, [run, …]."""
    params: Params
    """Everything without a dot in its name, in the shapes of Dictionary; views into the state."""
    nonlinearity: Nonlinearity

    def features(self) -> Float[torch.Tensor, "run b f"]:
        """Features of the batch under the parameters after the step."""
        return self.nonlinearity(
            project(self.params, self.x, self.nonlinearity), self.params["b_enc"], self.params
        )

    def error(self) -> Float[torch.Tensor, "run b d"]:
        """Target less reconstruction of the batch, after the step."""
        return (self.x if self.y is None else self.y) - decode(self.params, self.features(), self.x)


@runtime_checkable
class Learner(Protocol):
    """Whatever keeps tensors along the training and changes them after each step."""

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """The tensors [run, …] before training."""

    def note(self, features: Float[torch.Tensor, "run b f"]) -> Mapping[str, torch.Tensor]:
        """What it needs of a batch's features, [run, …]; called for a few runs at a time."""

    def learn(self, state: State, observation: Seen) -> None:
        """Change its tensors (or others of the state) in place."""


class TakesNoNote:
    """What a learner inherits that needs no more of a batch than its curves, or reads
    parameters."""

    def note(self, features: Float[torch.Tensor, "run b f"]) -> Mapping[str, torch.Tensor]:
        """Take no note of a batch."""
        return {}


@runtime_checkable
class NotesCodes(Protocol):
    """A learner that needs of a batch no more than what is on."""

    def note_codes(self, codes: Codes) -> Mapping[str, torch.Tensor]:
        """What `note` gives, of the sparse code of one run and so without the run axis."""


@runtime_checkable
class Settles(Protocol):
    """Whatever is estimated once training has ended, from what it notes of batches."""

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """The tensors [run, …] before."""

    def note(self, features: Float[torch.Tensor, "run b f"]) -> Mapping[str, torch.Tensor]:
        """What it needs of a batch's features, [run, …]."""

    def note_codes(self, codes: Codes) -> Mapping[str, torch.Tensor]:
        """What `note` gives, of the sparse code of one run and so without the run axis."""

    def settle(self, state: State, noted: Sequence[Mapping[str, torch.Tensor]]) -> None:
        """Change its tensors in place, given the notes of some batches under the final
        parameters."""


@dataclass(frozen=True)
class Idle:
    """Counts the rows since each latent last had a value that is not 0: `idle.rows` [run, f]."""

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """Start every count at 0."""
        return {"idle.rows": torch.zeros(len(seeds), f, dtype=torch.int64)}

    def note(self, features: Float[torch.Tensor, "run b f"]) -> Mapping[str, torch.Tensor]:
        """Which latents fired at all [run, f]. A kept value of 0 is no firing, whichever index TopK
        gave it."""
        return {"fired": (features != 0).any(1)}

    def note_codes(self, codes: Codes) -> Mapping[str, torch.Tensor]:
        """Which latents fired in a sparse code [f]."""
        return {"fired": codes.fired()}

    def learn(self, state: State, observation: Seen) -> None:
        """Count one batch more, or go back to 0."""
        # Add, then multiply by 0 where it fired: no branch, and whole numbers stay exact.
        state["idle.rows"].add_(observation.x.shape[-2]).mul_(~observation.noted["fired"])


@dataclass(frozen=True, eq=False)
class Watch(TakesNoNote):
    """Stores what a function of the parameters gives at some steps, as the tensor `name` [run,
    checkpoint, …]."""

    name: str
    at: Sequence[int]
    """After how many steps; 0 is the start."""
    value: Callable[[Params], Float[torch.Tensor, "run ..."]]
    """Of everything without a dot in its name, in the shapes of Dictionary."""

    def start(self, params: Params, steps: int, names_in_use: Sequence[str]) -> torch.Tensor:
        """The tensor before training: not a number where a checkpoint is still to come."""
        if self.name in names_in_use or set("./") & set(self.name):
            raise SpecError(
                f"watch={self.name!r} needs a name that is not in use and has no dot or "
                f"slash; in use: {', '.join(names_in_use)}"
            )
        if beyond := [a for a in self.at if not 0 <= a <= steps]:
            raise SpecError(f"watch={self.name!r} asks for steps {beyond} of a training of {steps}")
        first = self.value(params)
        # NaN until its step comes: 0 would look like a value.
        room = torch.full(
            (len(first), len(self.at), *first.shape[1:]),
            torch.nan,
            dtype=torch.float32,
            device=first.device,
        )
        self._store(room, first, 0)
        return room

    def keep(self, seeds: np.ndarray, f: int) -> State:
        """Keep no state here: its tensor needs the parameters, see `start`."""
        return {}

    def learn(self, state: State, observation: Seen) -> None:
        """Store the value where this is one of the steps."""
        if observation.step + 1 in self.at:
            self._store(state[self.name], self.value(observation.params), observation.step + 1)

    def _store(self, room: torch.Tensor, value: torch.Tensor, step: int) -> None:
        for i, checkpoint in enumerate(self.at):
            if checkpoint == step:
                room[:, i] = value


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
