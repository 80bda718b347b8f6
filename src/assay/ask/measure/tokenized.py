"""Prompts and passes: a prompt as tokens (`Prompt`), the numbers of next tokens that reads need
(`Want`), the output of a pass for one prompt under one edit (`PassOutput`), and a read that is
ready for a prompt (`Ready`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Float

from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet
from assay.ask.tables import Answer, Direction, Position, Positions, Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.subjects import chats
from assay.subjects.chats import Chat
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site
from assay.subjects.subject import Edit

T = TypeVar("T")
TOKENS = re.compile(r"(-?\d{1,4})?:(-?\d{1,4})?")
"""A range of tokens, with its end excluded."""


@dataclass(frozen=True)
class Want:
    """A number about the next token that a pass has to give. All of them are unembedded together,
    and `passes.numbers` computes each kind."""

    what: Literal["log_prob", "logit", "rank", "entropy", "kl", "agrees", "token"]
    """token is the number of the untouched model's most probable token."""
    position: int
    """The position in the prompt and its continuation after which the token comes."""
    token: int = -1
    """The token of log_prob, logit and rank; -1: the unchanged model's most probable one."""
    continuation: tuple[int, ...] = ()
    """The tokens read after the prompt, up to that position."""
    site: Site | None = None
    """Where the residual stream is taken, to go through final norm and unembedding; None: at its
    end."""
    untouched_site: Site | None = None
    """Where the unchanged model's stream is taken, for its most probable token; None: at its
    end."""

    @property
    def compares(self) -> bool:
        """Whether it compares the next token with the unchanged model's."""
        return self.what in ("kl", "agrees") or (self.what == "rank" and self.token < 0)

    @property
    def needs_untouched(self) -> bool:
        """Whether it needs anything of the unchanged model."""
        return self.compares or (self.what != "entropy" and self.token < 0)


@dataclass(frozen=True)
class Behind:
    """A text after a prompt."""

    filled: str
    """With its slots filled from the prompt's row."""
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Prompt:
    """A row as the tokens that a model reads."""

    row: PromptRow
    tokens: tuple[int, ...]
    opening: int
    """The number of tokens before the text, such as a BOS."""
    folder: ModelFolder
    inside: int = 0
    """How many of those are part of the text, as with some chat templates."""

    def behind(self, text: str) -> Behind:
        """A text after the prompt. Raises: DataError if it has no tokens there, or its beginning
        joins the prompt's last token."""
        filled = self.row.fill(text)
        if not filled or (filled != text and not filled.strip()):
            raise DataError(f"{self.row.place}: {text!r} is empty there, so it cannot follow")
        whole = self.folder.tokenizer.encode(self.row.text + filled)
        tokens = self.tokens[self.opening - self.inside :]
        if tuple(whole[: len(tokens)]) != tokens or len(whole) == len(tokens):
            hint = "begin it with a space" if filled[:1] != " " else "end the prompt without one"
            raise DataError(
                f"{self.row.place}: {filled!r} joins the last token of the prompt, so its "
                f"probability cannot be read; {hint}"
            )
        return Behind(filled, tuple(whole[len(tokens) :]))

    def wants(self, text: Behind) -> tuple[Want, ...]:
        """The numbers for the log-probability of a text after the prompt: one for each of its
        tokens. Raises: DataError if it exceeds the context."""
        last, tokens = len(self.tokens) - 1, text.tokens
        limit = self.folder.most_tokens
        if (length := len(self.tokens) + len(tokens) - 1) > limit:
            raise DataError(
                f"{self.row.place}: prompt and {text.filled!r} are {length} tokens, "
                f"{self.folder.name} reads {limit}"
            )
        return tuple(
            Want("log_prob", last + k, token, tokens[:k]) for k, token in enumerate(tokens)
        )

    @cached_property
    def own(self) -> list[int]:
        """The positions of its tokens, without the opening."""
        return [*range(self.opening, len(self.tokens))]

    def at(self, place: Position) -> int:
        """The position of one token. Raises: DataError if the prompt lacks it."""
        n = len(self.tokens)
        if isinstance(place, int):
            if not -n <= place < n:
                raise DataError(f"{self.row.place} has no position {place}: its length is {n}")
            return place % n
        name = place.strip("{}")
        if place != f"{{{name}}}" or name not in self.row.spans:
            slots = ", ".join(f"{{{s}}}" for s in self.row.spans) or "none"
            hint = "for a word of the text, count from the end, such as -2, or make it a slot"
            if ":" in place:
                hint = 'a range is "4:10", ":4" or "1:", in a [[read]] or an [[intervene]]'
            raise DataError(
                f"{self.row.place}: position {place!r} is neither a number nor a slot of the "
                f"prompt; slots: {slots}; {hint}"
            )
        if name in self.row.repeated:
            raise DataError(
                f"the text of the prompts has {place} more than once, so its position is "
                f"ambiguous; in the text, write {{{name}2}} where you mean it, and add a column "
                f"{name}2 with the same words"
            )
        if not self.row.columns.get(name, name):
            raise DataError(f"{self.row.place}: {place} is empty there, so it has no token")
        end = self.row.spans[name]
        # the last token that begins within the slot; it may extend beyond it
        begun = [i for i, start in enumerate(self._begins) if start < end]
        return self.opening + (begun[-1] if begun else 0)

    def all_at(self, places: Positions) -> list[int]:
        """The positions of one or several tokens, each once. Raises: DataError if the prompt lacks
        them."""
        if isinstance(places, tuple):
            return [*dict.fromkeys(n for place in places for n in self.all_at(place))]
        if slot := whole_slot(places):
            return self.covered(slot)
        if ends := range_ends(places):
            if positions := [*range(len(self.tokens))[slice(*ends)]]:
                return positions
            raise DataError(f"{self.row.place} has {len(self.tokens)} tokens, none at {places}")
        return [self.at(places)]

    def covered(self, place: Position) -> list[int]:
        """The positions of all tokens of a slot, including those that overlap it; otherwise of one
        token. Raises: DataError if the prompt lacks them."""
        last = self.at(place)
        if isinstance(place, int):
            return [last]
        name = place.strip("{}")
        end, value = self.row.spans[name], str(self.row.columns.get(name, ""))
        if not value or self.row.text[end - len(value) : end] != value:
            raise DataError(
                f"{self.row.place}: all tokens of {place} are wanted, and its text cannot be found "
                "again in the prompt; name a slot that is in it as its column has it"
            )
        ends = [*self._begins[1:], len(self.row.text)]
        first = next(i for i, stop in enumerate(ends) if stop > end - len(value))
        return [*range(self.opening + first, last + 1)]

    @cached_property
    def _begins(self) -> list[int]:
        """Where in the text each of its tokens begins, in characters."""
        encoded = self.folder.tokenizer.inner.encode(self.row.text, add_special_tokens=False)
        return [start for start, _ in encoded.offsets][self.inside :]


def whole_slot(place: Position) -> str:
    """The slot of a position such as "all of {city}"; "" for any other position."""
    slot = place.removeprefix("all of ") if isinstance(place, str) else ""
    return slot if slot != place and SLOT.fullmatch(slot) else ""


def range_ends(place: Position) -> tuple[int | None, int | None] | None:
    """The first token of a range such as "1:" or "2:-2", and the one after its last, None for an
    open end; None for any other position."""
    match = TOKENS.fullmatch(place) if isinstance(place, str) and place != ":" else None
    first, end = (None if x is None else int(x) for x in match.groups()) if match else (None, None)
    return (first, end) if match else None


def texts_of(value: str | tuple[T, ...]) -> tuple[str | T, ...]:
    """The texts of an answer, or the answers of a read; a single text is one of either."""
    return (value,) if isinstance(value, str) else value


class AnyOf:
    """An answer after a prompt: the probability that any of its texts follows. Raises: DataError if
    one cannot follow."""

    def __init__(self, prompt: Prompt, answer: Answer) -> None:
        self.texts = [prompt.behind(text) for text in texts_of(answer)]
        every = {text.tokens: text for text in self.texts}
        # a text that begins with another one is included in that one, and counts once
        self.wants = [
            prompt.wants(text)
            for tokens, text in every.items()
            if not any(t != tokens and tokens[: len(t)] == t for t in every)
        ]

    def log_prob(self, reading: PassOutput) -> float:
        """log Σ P(text | prompt), over all of the answer's texts."""
        logs = [sum(reading.numbers[w] for w in wants) for wants in self.wants]
        largest = max(logs)
        return largest + math.log(sum(math.exp(x - largest) for x in logs)) if logs[1:] else largest


def prompt(folder: ModelFolder, row: PromptRow) -> Prompt:
    """The tokens of a row as a model of this folder reads it. Raises: DataError if they exceed the
    context."""
    inside = 0
    if row.chat is not None:
        row, opening, inside = _of_chat(folder, row, row.chat)
    else:
        opening = tuple(folder.opening)
    tokens = (*opening, *folder.tokenizer.encode(row.text)[inside:])
    if len(tokens) > (limit := folder.most_tokens):
        raise DataError(f"{row.place} is {len(tokens)} tokens, {folder.name} reads {limit} at once")
    return Prompt(row, tokens, len(opening), folder, inside)


def _of_chat(
    folder: ModelFolder, row: PromptRow, chat: Chat
) -> tuple[PromptRow, tuple[int, ...], int]:
    """A row with the text that the model's template makes of its chat, the tokens before it, and
    how many of those are part of the text. There is one BOS if the template writes one, unless the
    model's table says otherwise. Raises: DataError, ModelError."""
    template = chats.read(folder.texts)
    rendered = template.render(chat)
    text, spans, bos = rendered.text, rendered.spans, template.bos
    written = 0
    while bos and text.startswith(bos * (written + 1)):
        written += 1
    if written > 1:
        raise DataError(
            f"{row.place}: {bos} occurs {written} times before the text: take it out of the chat "
            "template, or of the messages"
        )
    if written and folder.bos is False:
        text, spans = text[len(bos) :], {name: end - len(bos) for name, end in spans.items()}
        written = 0
    opening: tuple[int, ...] = ()
    if written:
        opening = tuple(folder.tokenizer.encode(text)[:1])
    elif folder.bos:
        opening = folder.beginning(True)
    return replace(row, text=text, spans=spans), opening, written


@dataclass(frozen=True, eq=False)
class PassOutput:
    """The output of one pass for one prompt under one edit."""

    prompt: Prompt
    seed: int = 0
    acts: Mapping[Site, Float[torch.Tensor, "s ..."]] = field(default_factory=dict)
    """Captured activations on the prompt itself."""
    before: Mapping[Site, Float[torch.Tensor, "s ..."]] = field(default_factory=dict)
    """Captured activations of the unchanged model, or of the first of two models."""
    numbers: Mapping[Want, float] = field(default_factory=dict)
    """The numbers of next tokens."""
    written: Mapping[float, tuple[int, ...]] = field(default_factory=dict)
    """The tokens that the model wrote, if reads need them, by temperature."""
    losses: Mapping[float, tuple[float, ...]] = field(default_factory=dict)
    """The loss of each of these under the unchanged model, if a read needs it."""
    edits: Mapping[Site, Edit] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)
    """Results that several reads share."""

    def act(self, site: Site, place: Positions) -> Float[torch.Tensor, "..."]:
        """The activation of a site at a token, or its mean over tokens."""
        return self.rows(site, place).mean(0)

    def rows(self, site: Site, place: Positions) -> Float[torch.Tensor, "n ..."]:
        """The activations of a site at one or several tokens; at "mean" at all tokens except the
        first that the model reads, whose stream is often a hundred times longer than any other."""
        if place == "mean":
            acts = self.acts[site][self.prompt.opening :].float()
            return acts if self.prompt.opening or len(acts) < 2 else acts[1:]
        chosen = self.prompt.own if place == "all" else self.prompt.all_at(place)
        return self.acts[site][chosen].float()


Numbers = Callable[[Sequence[PassOutput]], Sequence[Any]]
"""The numbers of a read, given the output under each edit; with `Ready.of_all`, vectors."""


@dataclass(frozen=True)
class Ready:
    """A read that is ready for a prompt: what it needs of a pass, and how its number is
    computed."""

    numbers: Numbers
    wants: tuple[Want, ...] = ()
    sites: tuple[Site, ...] = ()
    writes: int = 0
    """The number of tokens that the model has to write."""
    temperature: float = 0.0
    """The sampling temperature; 0: the likeliest tokens."""
    scored: bool = False
    """Whether it needs the loss of what was written."""
    compares: bool = False
    """Whether it also reads the unchanged model, like KL divergence."""
    of_all: Callable[[Float[np.ndarray, "n d"], Sequence[PromptRow]], Any] | None = None
    """If its numbers are vectors: computes a number for each prompt from those of all."""
    notes: tuple[tuple[str, str], ...] = ()
    """What the author should know, such as that an answer has several tokens, with the text
    concerned."""

    @property
    def is_comparison(self) -> bool:
        """Whether it compares with the unchanged model."""
        return self.compares or any(want.compares for want in self.wants)

    @property
    def needs_untouched(self) -> bool:
        """Whether it needs anything of the unchanged model."""
        return self.compares or any(want.needs_untouched for want in self.wants)


def _absent(*_: Any) -> Any:
    raise DataError("nothing is known here but the prompts")


@dataclass(frozen=True)
class Context:
    """What a read may need of a study besides its prompt."""

    directions: tuple[Direction, ...] = ()
    """Its directions, with their slots filled."""
    vector: Callable[[Direction, Site, int], Float[torch.Tensor, " d"]] = _absent
    """A direction as a seed has it, at the site where it is read."""
    dictionary: Callable[[str], Dictionary] = _absent
    """The dictionary of a name."""
    stands_in: str = ""
    """In a control: what is replaced, such as heads by other heads of the block."""
    code: Callable[[str], Callable[..., Any]] = _absent
    """The user's own function of a name."""
    head: Callable[[torch.Tensor], torch.Tensor] = _absent
    """Computes logits from the input of the unembedding."""
    subject: Any = None
    """The model."""
    read: Callable[[str, Prompt], Ready] = _absent
    """Another read of the study, by name, ready for a prompt."""
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)
    """Results that reads of this model share, whatever the prompt."""
    shown: PromptSet | None = None
    """The prompts for which it is made ready."""


def each(number: Callable[[PassOutput], float]) -> Numbers:
    """Numbers that are computed one by one."""
    return lambda outputs: [number(s) for s in outputs]


def positions(read: Read, prompt: Prompt) -> list[int]:
    """The tokens of a read. Raises: DataError if the prompt lacks them."""
    return prompt.own if read.position in ("mean", "all") else prompt.all_at(read.position)
