"""Pairs: the other text of a prompt, and which of its tokens correspond to those of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from jaxtyping import Float

from assay.ask.measure.prompts import SLOT, PromptSet, chat, filled
from assay.ask.measure.tokenized import Prompt, prompt, range_ends, whole_slot
from assay.ask.tables import Position, Positions
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

Rows: TypeAlias = 'Float[torch.Tensor, "s ..."]'
"""The activations of a site, one row for each token."""


@dataclass(frozen=True)
class Pair:
    """The other text of a prompt, whose activations are patched in at some tokens."""

    other: Prompt
    place: Positions
    shown: PromptSet
    """The prompts with both texts."""

    def acts(
        self, model: Pretrained, prompt: Prompt, sites: Sequence[Site], positions: Sequence[int]
    ) -> dict[Site, Float[torch.Tensor, "n ..."]]:
        """The activations of the unchanged model on the other text, for these tokens of the
        prompt."""
        tokens = torch.tensor([self.other.tokens], device=model.device)
        captured = model.run(tokens, capture=[*sites], logits=False).acts
        alignment = prompt, self.other, self.place, self.shown
        return {s: aligned(s, captured[s][0], *alignment)[[*positions]] for s in sites}


def pair_of(prompt: Prompt, position: Positions, shown: PromptSet) -> Pair:
    """The other text of a prompt, to be patched at a position. Raises: DataError if there is none,
    or it does not fit."""
    place = "all" if position == "mean" else position
    other = corrupted(shown, prompt)
    if why := misfit(prompt, other, place, shown):
        raise DataError(f"{prompt.row.place}: {why}")
    return Pair(other, place, shown)


def corrupted(prompts: PromptSet, p: Prompt) -> Prompt:
    """The other text of a pair, as tokens. Raises: DataError if the row has none."""
    text = prompts.table.corrupted
    if isinstance(text, tuple) and text:
        return prompt(p.folder, chat(p.row, prompts.table, text))
    if prompts.table.messages:
        raise DataError(
            f"{p.row.place} has no other chat to patch from: write corrupted = "
            '[{role = "user", content = "… {slot} …"}] in [[prompts]]'
        )
    if not text and "corrupted" not in p.row.columns:
        raise DataError(
            f"{p.row.place} has no other text to patch from: write corrupted = "
            '"… {slot} …" in [[prompts]], or a column `corrupted`'
        )
    plain = replace(p.row, text=p.row.columns.get("corrupted", ""), spans={}, repeated=frozenset())
    return prompt(p.folder, filled(p.row, str(text)) if text else plain)


def misfit(p: Prompt, other: Prompt, place: Positions, prompts: PromptSet) -> str:
    """Say why a pair cannot be patched, without its row; "" if it can."""
    if p.tokens == other.tokens:
        return "both texts of the pair are the same, so nothing changes"
    if place in ("all", "mean") and len(p.tokens) != len(other.tokens):
        return (
            "the other text of its pair has another number of tokens: to patch all positions, "
            "write pairs of equal length; or patch one token, as with position = -1"
        )
    if place in ("all", "mean"):
        return ""
    sources = corresponding(p, other, place, prompts)
    if sources is not None and len(sources) != len(p.all_at(place)):
        return (
            f"at {place}, its pair has another number of tokens: {len(sources)}, and it has "
            f"{len(p.all_at(place))}; write pairs that have as many, or one token, such as the "
            "last of a slot"
        )
    if sources is None:
        return (
            f"its pair has another number of tokens and no slot {place}; write corrupted = "
            f'"…", the text of the prompts with {place}, or one other slot in its place, or say '
            "position = -1"
        )
    return ""


def corresponding(
    p: Prompt, other: Prompt, places: Positions, prompts: PromptSet
) -> list[int] | None:
    """The tokens of another text that correspond to those of a prompt; None if there are none."""
    if isinstance(places, tuple):
        parts = [corresponding(p, other, place, prompts) for place in places]
        if any(part is None for part in parts):
            return None
        return [*dict.fromkeys(n for part in parts for n in part or ())]
    if range_ends(places):
        return other.all_at(places)
    slot = whole_slot(places)
    place = _stand_in(p, other, slot or places, prompts)
    if place is None:
        return None
    if slot:
        return p.covered(slot) if isinstance(place, int) else other.covered(place)
    return [other.at(place)]


def _stand_in(p: Prompt, other: Prompt, place: Position, prompts: PromptSet) -> Position | None:
    """The place of another text that corresponds to one of a prompt: the same slot; for texts of
    equal length the token of the same number; otherwise the slot that the other text has there.
    None if there is none."""
    slot = place.strip("{}") if isinstance(place, str) else ""
    if not slot or slot in other.row.spans:
        return place
    if len(p.tokens) == len(other.tokens):
        return p.at(place)
    if prompts.table.messages:
        return None
    ours, theirs = map(SLOT.split, (prompts.template(p.row), str(prompts.table.corrupted)))
    if ours[::2] != theirs[::2]:  # the texts between the slots
        return None
    stands_in = dict(zip(ours[1::2], theirs[1::2], strict=True)).get(slot)
    return None if stands_in is None else f"{{{stands_in}}}"


def aligned(
    site: Site,
    rows: Rows,
    p: Prompt,
    other: Prompt,
    place: Positions,
    prompts: PromptSet,
    shift: int = 0,
) -> Rows:
    """The activations of another text, one row for each token of the prompt: for a single position
    the row that is put there, otherwise token by token from the first, with the last row of a
    shorter text repeated. Raises: DataError if it lacks the position, or a site has no row for each
    token."""
    n, m = len(p.tokens), len(other.tokens)
    if "q" in site.dims.split():
        if n != m:
            raise DataError(
                f"{p.row.place} has the length {n}, and the text that is patched in has "
                f"{m}; {site} has a number for each pair of tokens, so both must have as many"
            )
        return rows
    if place == "all":
        return rows[:n] if n <= m else torch.cat([rows, rows[-1:].expand(n - m, *rows.shape[1:])])
    sources = corresponding(p, other, place, prompts)
    if sources is None:
        raise DataError(f"{p.row.place}: the text that is patched in has no slot {place}")
    # a pair's other text may end sooner; a single row is repeated, as only one position is changed
    index = [min(max(0, k + shift), m - 1) for k in sources]
    positions = p.all_at(place)
    if len(positions) == 1:
        return rows[index[0]].expand(n, *rows.shape[1:])
    new = rows.new_zeros(n, *rows.shape[1:])
    index += index[-1:] * (len(positions) - len(index))
    new[[t + shift for t in positions]] = rows[index[: len(positions)]]
    return new
