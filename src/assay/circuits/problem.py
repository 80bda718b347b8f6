"""Problem: a task and one model that was trained or written for it: what an explanation explains, and is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core.errors import ModelError
from assay.subjects.decoder import Activation, Params
from assay.subjects.parts import Apart, apart
from assay.worlds.algorithms.task import Task, asked


@dataclass(frozen=True, eq=False)
class Problem:
    """A task, and a decoder of one run."""

    task: Task
    params: Params
    """Of one run: [1, …]."""
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if (runs := len(self.params["W_E"])) != 1:
            raise ModelError(f"one model is explained at a time, got {runs}; Problem.nth takes one of several")

    @classmethod
    def nth(cls, task: Task, params: Params, run: int, activation: Activation = "relu") -> Problem:
        """Take one of several models that were trained together."""
        return cls(task, {name: x[run : run + 1].detach() for name, x in params.items()}, activation)

    @property
    def size(self) -> int:
        """Numbers in the model."""
        return sum(x.numel() for x in self.params.values())

    @property
    def classes(self) -> int:
        """Logits at each position."""
        return self.params["W_U"].shape[-1] if "W_U" in self.params else self.params["W_E"].shape[1]

    def run(self, tokens: Int[np.ndarray, "n s"], params: Params | None = None, **changed: Any) -> Apart:
        """Run the model, or another with as many logits, part by part and without gradients; `changed` as in `parts.apart`."""
        with torch.no_grad():
            return apart(params or self.params, torch.from_numpy(np.ascontiguousarray(tokens)), self.activation, **changed)

    def logits(self, tokens: Int[np.ndarray, "n s"], params: Params | None = None, **changed: Any) -> Float[np.ndarray, "n s v"]:
        """Give the logits, as `run` does all."""
        return self.run(tokens, params, **changed).logits[0].double().numpy()

    def goodness(self, logits: Float[Tensor, "n s v"] | Float[np.ndarray, "n s v"], tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, " n"]:
        """Measure how good logits are on each input: the mean log-probability of the right answer where one is asked for, in nats."""
        answers = self.task.answer(tokens)
        where = asked(answers)
        said = torch.as_tensor(logits).double().log_softmax(-1).gather(-1, torch.from_numpy(answers.clip(min=0))[..., None])[..., 0].numpy()
        return np.where(where, said, 0).sum(1) / where.sum(1)

    def wrong(self, logits: Float[np.ndarray, "n s v"], tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, " n"]:
        """Tell on which inputs any answer that is asked for is wrong: 1 or 0."""
        answers = self.task.answer(tokens)
        return ((logits.argmax(-1) != answers) & asked(answers)).any(1).astype(np.float64)
