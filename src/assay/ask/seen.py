"""Seen: one prompt as a model read it under one edit, which is what reads are functions of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float

from assay.ask.prompts import Row
from assay.ask.tables import Place
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

Want = tuple[tuple[int, ...], int]
"""A continuation behind the prompt, without its last token, and a position at which the next
token's log-probabilities are wanted."""


@dataclass(frozen=True)
class Prompt:
    """A row as the tokens that a model reads."""

    row: Row
    tokens: tuple[int, ...]
    opening: int
    """How many tokens stand before the text, such as a BOS."""
    folder: ModelFolder

    def continuation(self, text: str) -> tuple[int, ...]:
        """The tokens of a text behind the prompt. Raises: DataError where it has none, or where its
        beginning joins the prompt's last token."""
        filled = self.row.fill(text)
        if not filled:
            raise DataError(f"{self.row.place}: {text!r} is empty there, so it cannot follow")
        whole = self.folder.tokenizer.encode(self.row.text + filled)
        own = self.tokens[self.opening :]
        if tuple(whole[: len(own)]) != own or len(whole) == len(own):
            hint = "begin it with a space" if filled[:1] != " " else "end the prompt without one"
            raise DataError(
                f"{self.row.place}: {filled!r} joins the prompt's last token, so that its "
                f"probability cannot be told; {hint}"
            )
        return tuple(whole[len(own) :])

    def at(self, place: Place) -> int:
        """The position of one token. Raises: DataError where the prompt has none there."""
        n = len(self.tokens)
        if isinstance(place, int):
            if not -n <= place < n:
                raise DataError(f"{self.row.place} has {n} tokens, so none at position {place}")
            return place % n
        name = place.strip("{}")
        if place != f"{{{name}}}" or name not in self.row.spans:
            slots = ", ".join(f"{{{s}}}" for s in self.row.spans) or "none"
            raise DataError(
                f"{self.row.place}: position {place!r} is neither a number nor a slot of the "
                f"prompt; slots: {slots}"
            )
        text, own = self.row.text[: self.row.spans[name]], self.tokens[self.opening :]
        joined = self.folder.tokenizer.encode(text)
        pairs = enumerate(zip(joined, own, strict=False))
        # where the slot's last token goes on behind the slot, that one; else its own last
        last = next((i for i, (x, y) in pairs if x != y), min(len(joined), len(own)) - 1)
        return self.opening + max(0, last)


def prompt(folder: ModelFolder, row: Row) -> Prompt:
    """The tokens of a row as a model of this folder reads it."""
    opening = tuple(folder.opening)
    return Prompt(row, (*opening, *folder.tokenizer.encode(row.text)), len(opening), folder)


@dataclass(frozen=True, eq=False)
class Seen:
    """What one pass gave for one prompt under one edit."""

    model: Pretrained
    prompt: Prompt
    seed: int
    log_probs: Mapping[Want, Float[torch.Tensor, "v"]]
    acts: Mapping[Site, Float[torch.Tensor, "s ..."]]
    """What was captured on the prompt itself."""
    losses: Float[torch.Tensor, "s-1"] | None
    written: str
    """What the model wrote on, where a read asks for it."""
    clean: Seen | None
    """The same prompt with nothing done; None where this is it."""

    def log_prob(self, continuation: tuple[int, ...]) -> float:
        """log P of a continuation behind the prompt, in nats, over all of its tokens."""
        n = len(self.prompt.tokens)
        before = continuation[:-1]
        return sum(
            float(self.log_probs[before, n - 1 + k][token]) for k, token in enumerate(continuation)
        )

    def next(self, position: int) -> Float[torch.Tensor, "v"]:
        """Log-probabilities of the token behind a position of the prompt."""
        return self.log_probs[(), position]

    def act(self, site: Site, place: Place) -> Float[torch.Tensor, "..."]:
        """What a site has at a token, or its mean over all tokens behind the opening."""
        if place == "mean":
            return self.acts[site][self.prompt.opening :].float().mean(0)
        return self.acts[site][self.prompt.at(place)].float()


def wants(continuation: tuple[int, ...], prompt: Prompt) -> list[Want]:
    """What is needed for the log-probability of a continuation."""
    n = len(prompt.tokens)
    return [(continuation[:-1], n - 1 + k) for k in range(len(continuation))]
