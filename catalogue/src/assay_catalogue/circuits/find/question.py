"""Question: a decoder, inputs, one number made of its logits, and what parts would have written
otherwise; what all methods are asked.

The number is a weighted sum of logits, such as a logit difference, so that it can be divided among
what adds up to the logits. A circuit is what cannot be given the other writing without losing it.
What that other writing is decides what can be found: a part that writes the same in both is
invisible to every method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError, ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import Activation, Params
from assay_catalogue.subjects.parts import Apart, Edge, Part, edges, parts, run_by_parts

Donor: TypeAlias = 'Mapping[Part, Float[torch.Tensor, "run b s d"]]'
"""What each part would have written."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a decoder does on some inputs, in one number for each."""

    params: Params
    tokens: Int[torch.Tensor, "b s"]
    weights: Float[torch.Tensor, "b s v"]
    """How much each logit counts: `logit_difference` makes them."""
    donor: Donor
    """What is put in the place of what parts write."""
    activation: Activation = "relu"

    @cached_property
    def clean(self) -> Apart:
        """The pass with nothing replaced."""
        with torch.no_grad():
            return run_by_parts(self.params, self.tokens, self.activation)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every part that writes, in the order of a pass."""
        return parts(self.params)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge; the last axis of scores and masks."""
        return edges(self.params)

    @cached_property
    def full(self) -> Float[torch.Tensor, "run b"]:
        """The number of the whole decoder, m(N)."""
        return self.measured(self.clean.logits)

    @cached_property
    def empty(self) -> Float[torch.Tensor, "run b"]:
        """The number with every part's other writing in its place, m(∅)."""
        with torch.no_grad():
            # new=new binds now: otherwise every function would give what the last part writes.
            replacements = {part: lambda _, new=new: new for part, new in self.donor.items()}
            return self.measured(
                run_by_parts(self.params, self.tokens, self.activation, written=replacements).logits
            )

    def measured(self, logits: Float[torch.Tensor, "run n s v"]) -> Float[torch.Tensor, "run n"]:
        """The number of each input; of several copies of all inputs, one after another, where there
        are more."""
        # Copies one after another, as all methods stack them.
        weights = self.weights.repeat(logits.shape[1] // len(self.weights), 1, 1)
        return torch.einsum("rbsv,bsv->rb", logits, weights.to(logits))

    def named(self, selection: Iterable[Edge]) -> Bool[torch.Tensor, " edge"]:
        """Mark these among all edges. Raises: ModelError for one that is not there."""
        selection = set(selection)
        if absent := sorted(selection - set(self.edges)):
            raise ModelError(f"this decoder has no edge {' → '.join(map(str, absent[0]))}")
        return torch.tensor([e in selection for e in self.edges], device=self.tokens.device)

    def span(self) -> Float[torch.Tensor, " run"]:
        """The mean of the number for the whole decoder less that for none of it: what there is to
        explain.

        Raises: DataError where that is nothing.
        """
        difference = (self.full - self.empty).mean(1)
        # Measured against the number itself, whose unit is the model's own: what is left below is
        # rounding.
        if bool((difference.abs() <= 1e-9 * self.full.abs().mean(1)).any()):
            raise DataError(
                "the number is as large with every part's writing replaced, so there is "
                "nothing to explain; replace it by something else"
            )
        return difference


def logit_difference(
    right: Int[torch.Tensor, "b s"],
    wrong: Int[torch.Tensor, "b s"],
    answers: int,
    positions: Bool[torch.Tensor, "b s"],
) -> Float[torch.Tensor, "b s v"]:
    """Weigh logits so that they give the mean of right less wrong over the positions marked; equal
    answers give 0.

    Raises: DataError for an input with no position marked, or answers that the decoder does not
    give."""
    if bool((~positions).all(1).any()):
        raise DataError("an input has no position at which an answer is read")
    if bool(((right < 0) | (right >= answers) | (wrong < 0) | (wrong >= answers))[positions].any()):
        raise DataError(f"an answer is not one of the {answers} that the decoder gives")
    one_hot = torch.eye(answers, dtype=torch.float64, device=right.device)
    weights = one_hot[right.clamp(0, answers - 1)] - one_hot[wrong.clamp(0, answers - 1)]
    # Each input is worth the same, however many of its positions are asked.
    return weights * (positions / positions.sum(1, keepdim=True))[..., None]


def right_alone(
    right: Int[torch.Tensor, "b s"], answers: int, positions: Bool[torch.Tensor, "b s"]
) -> Float[torch.Tensor, "b s v"]:
    """Weigh logits so that they give the mean of right less the mean of all others; no answer is
    named as the rival.

    Raises: DataError as `logit_difference`.
    """
    logit_difference(right, right, answers, positions)  # refuses what it refuses
    one_hot = torch.eye(answers, dtype=torch.float64, device=right.device)[
        right.clamp(0, answers - 1)
    ]
    return (
        # 1 for the right answer, −1/(A − 1) for each of the others: together 0, so that what all
        # logits share drops out.
        (answers * one_hot - 1)
        / (answers - 1)
        * (positions / positions.sum(1, keepdim=True))[..., None]
    )


def other(
    params: Params,
    tokens: Int[torch.Tensor, "b s"],
    activation: Activation = "relu",
    places: Int[torch.Tensor, "b s"] | None = None,
) -> Donor:
    """What parts write on other inputs, and there with the positions of other places, where some
    are given for each place.

    Without `places` a learned position writes the same on every input, and no method can find who
    reads it."""
    with torch.no_grad():
        if places is None:
            return run_by_parts(params, tokens, activation).wrote
        return run_by_parts(
            params,
            tokens,
            activation,
            # What stands at another place is added here; all parts then read positions that are not
            # their own.
            written={Part("pos"): lambda x: x.take_along_dim(places[None, ..., None], 2)},
        ).wrote


def mean(
    params: Params,
    tokens: Int[torch.Tensor, "b s"],
    activation: Activation = "relu",
    *,
    over_places: bool = False,
) -> Donor:
    """What parts write on average over inputs, at each position or over positions too."""
    with torch.no_grad():
        wrote = run_by_parts(params, tokens, activation).wrote
    return {
        part: x.mean((1, 2) if over_places else 1, keepdim=True).expand_as(x)
        for part, x in wrote.items()
    }


def nothing(params: Params, tokens: Int[torch.Tensor, "b s"]) -> Donor:
    """Parts that write nothing at all: 0, where no input may ever lead."""
    size = (len(params["W_E"]), *tokens.shape, params["W_E"].shape[-1])
    return {part: params["W_E"].new_zeros(size) for part in parts(params)}
