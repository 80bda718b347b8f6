"""Problem: a task and one model that was trained or written for it: what an explanation explains,
and is held to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import Activation, Params
from assay_catalogue.subjects.parts import Apart, run_by_parts
from assay_catalogue.worlds.algorithms.task import UNASKED, Task, has_answer

T = TypeVar("T")
KEPT = 20_000
"""Inputs of so many tokens or fewer are small: of those the newest FEW are kept with their right
answers, of larger ones the last."""
FEW = 6
NOTES = 100
"""Inputs, under a name each, of which notes are kept."""
ROUNDING = 1e-5
"""Logits are alike that lie no further apart than this share of the distance from the largest to
the smallest."""
SURE = 1 / 3
"""Where answers are drawn, one is named by giving it so much probability or more; else none is."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A task, and a decoder of one run."""

    task: Task
    params: Params
    """Of one run: [1, …]."""
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if (runs := len(self.params["W_E"])) != 1:
            raise ModelError(
                f"one model is explained at a time, got {runs}; Problem.nth takes one of several"
            )

    @classmethod
    def nth(cls, task: Task, params: Params, run: int, activation: Activation = "relu") -> Problem:
        """Take one of several models that were trained together."""
        return cls(
            task, {name: x[run : run + 1].detach() for name, x in params.items()}, activation
        )

    @property
    def size(self) -> int:
        """Numbers in the model."""
        return sum(x.numel() for x in self.params.values())

    @property
    def classes(self) -> int:
        """Logits at each position."""
        return self.params["W_U"].shape[-1] if "W_U" in self.params else self.params["W_E"].shape[1]

    def run(
        self, tokens: Int[np.ndarray, "n s"], params: Params | None = None, **changed: Any
    ) -> Apart:
        """Run the model, or another with as many logits, part by part and without gradients;
        `changed` as in `parts.run_by_parts`."""
        with torch.no_grad():
            return run_by_parts(
                params or self.params,
                torch.from_numpy(np.ascontiguousarray(tokens)),
                self.activation,
                **changed,
            )

    def logits(
        self, tokens: Int[np.ndarray, "n s"], params: Params | None = None, **changed: Any
    ) -> Float[np.ndarray, "n s v"]:
        """Give the logits, as `run` does all."""
        return self.run(tokens, params, **changed).logits[0].double().numpy()

    def standing(self, tokens: Int[np.ndarray, "n s"]) -> Apart:
        """Run the model as it is; what came out of the last such run is kept."""
        return _newest(self._runs, tokens, lambda: self.run(tokens), 1)

    def noted(self, what: Hashable, tokens: Int[np.ndarray, "n s"]) -> dict[Hashable, np.ndarray]:
        """Give the notes on these inputs under that name: a few numbers that explanations of one
        model share, so that they are made once."""
        key = (what, _hash_tokens(tokens))
        if key not in self._notes:
            _makes_room(self._notes, NOTES)
        return self._notes.setdefault(key, {})

    @cached_property
    def _runs(self) -> dict[bytes, Apart]:
        return {}

    @cached_property
    def _notes(self) -> dict[tuple[Hashable, bytes], dict[Hashable, np.ndarray]]:
        return {}

    @cached_property
    def _right(
        self,
    ) -> tuple[
        dict[bytes, tuple[torch.Tensor, torch.Tensor | None]],
        dict[bytes, tuple[torch.Tensor, torch.Tensor | None]],
    ]:
        return {}, {}

    def goodness(
        self,
        logits: Float[torch.Tensor, "n s v"] | Float[np.ndarray, "n s v"],
        tokens: Int[np.ndarray, "n s"],
    ) -> Float[np.ndarray, " n"]:
        """Measure how good logits are on each input: the mean log-probability of the right answer
        where one is asked for, in nats."""
        where = has_answer(self.answers(tokens)[0].numpy())
        return self.told(torch.as_tensor(logits), tokens).numpy().sum(1) / where.sum(1)

    def told(
        self, logits: Float[torch.Tensor, "n s v"], tokens: Int[np.ndarray, "n s"]
    ) -> Float[torch.Tensor, "n s"]:
        """Give the log-probability of the right answer at each position, in nats, with gradients; 0
        where none is asked for.

        Where answers are drawn it is the mean over all of them, by their chances: no draw can make
        a model look better than it is."""
        answers, chances = self.answers(tokens)
        log_probs = logits.double().log_softmax(-1)
        if chances is None:
            right_log_probs = log_probs.gather(-1, answers.clip(min=0)[..., None])[..., 0]
        else:
            right_log_probs = torch.where(chances > 0, chances * log_probs, 0).sum(-1)
        return torch.where(answers != UNASKED, right_log_probs, 0)

    def answers(
        self, tokens: Int[np.ndarray, "n s"]
    ) -> tuple[Int[torch.Tensor, "n s"], Float[torch.Tensor, "n s v"] | None]:
        """Give the right answer at each position, and where answers are drawn their chances; those
        of the newest inputs are kept."""

        def make() -> tuple[torch.Tensor, torch.Tensor | None]:
            chances = (
                None if self.task.chances is None else torch.from_numpy(self.task.chances(tokens))
            )
            return torch.from_numpy(self.task.answer(tokens)), chances

        large = tokens.size > KEPT
        return _newest(self._right[large], tokens, make, 1 if large else FEW)

    def named(self, logits: Float[np.ndarray, "n s v"]) -> Int[np.ndarray, "n s"]:
        """Tell which answer logits name: the likeliest; where answers are drawn, UNASKED if even
        that one is less likely than SURE."""
        if self.task.chances is None:
            return logits.argmax(-1)
        return _sure(torch.as_tensor(logits).softmax(-1).numpy())

    def missed(
        self, logits: Float[np.ndarray, "n s v"], tokens: Int[np.ndarray, "n s"]
    ) -> Bool[np.ndarray, "n s"]:
        """Tell at which positions an answer that is asked for is wrong; where answers are drawn,
        not the one that their chances name, or none."""
        answers, chances = self.answers(tokens)
        right = answers.numpy() if chances is None else _sure(chances.numpy())
        return (self.named(logits) != right) & has_answer(answers.numpy())

    def known(
        self, tokens: Int[np.ndarray, "n s"]
    ) -> tuple[Int[np.ndarray, "n s"], Bool[np.ndarray, "n s"]]:
        """Give the right answers, and where there is one that can be known: where it is asked for,
        and of drawn ones likely enough."""
        answers, chances = self.answers(tokens)
        right = (
            answers.numpy()
            if chances is None
            else np.where(has_answer(answers.numpy()), _sure(chances.numpy()), UNASKED)
        )
        return right, has_answer(right)

    def right(
        self,
        logits: Float[torch.Tensor, "n s v"] | Float[np.ndarray, "n s v"],
        tokens: Int[np.ndarray, "n s"],
    ) -> Float[np.ndarray, " n"]:
        """Count right answers on each input, as a share of those that can be known on an input on
        average.

        Of answers that are as likely but for rounding each is named a share of the time, so that no
        rounding decides."""
        answers, known = self.known(tokens)
        scores = torch.as_tensor(logits)
        if self.task.chances is not None:
            return self.shares((self.named(scores.numpy()) == answers) & known, tokens)
        top, least = scores.amax(-1, keepdim=True), scores.amin(-1, keepdim=True)
        ties = scores >= top - ROUNDING * (top - least)
        hit = ties.gather(-1, torch.from_numpy(answers).clip(min=0)[..., None])[
            ..., 0
        ].double() / ties.sum(-1)
        return self.shares(hit.numpy() * known, tokens)

    def shares(
        self, cells: Shaped[np.ndarray, "n s"], tokens: Int[np.ndarray, "n s"]
    ) -> Float[np.ndarray, " n"]:
        """Sum cells of each input, as a share of the answers that can be known on an input on
        average; 0 where there are none."""
        return cells.sum(1) * len(tokens) / max(int(self.known(tokens)[1].sum()), 1)

    def wrong(
        self, logits: Float[np.ndarray, "n s v"], tokens: Int[np.ndarray, "n s"]
    ) -> Float[np.ndarray, " n"]:
        """Tell on which inputs any answer that is asked for is wrong: 1 or 0."""
        return np.asarray(self.missed(logits, tokens).any(1), np.float64)


def _newest(
    cache: dict[bytes, T], tokens: Int[np.ndarray, "n s"], make: Callable[[], T], most: int
) -> T:
    """Give what is kept of these inputs, or make it and keep it; the oldest goes where there are
    too many."""
    name = _hash_tokens(tokens)
    value = cache.get(name)
    if value is None:
        value = make()
        _makes_room(cache, most)
        cache[name] = value
    return value


def _makes_room(cache: dict[Any, Any], most: int) -> None:
    """Let the oldest go where there are as many as there may be."""
    while len(cache) >= most:
        cache.pop(next(iter(cache)), None)


def _hash_tokens(tokens: Int[np.ndarray, "n s"]) -> bytes:
    """A short name of these inputs."""
    return hashlib.blake2b(
        np.ascontiguousarray(tokens).tobytes(), digest_size=16, key=str(tokens.shape).encode()
    ).digest()


def _sure(chances: Float[np.ndarray, "n s v"]) -> Int[np.ndarray, "n s"]:
    """The likeliest answer where it is likely enough to be named, else UNASKED."""
    return np.where(chances.max(-1) >= SURE, chances.argmax(-1), UNASKED)
