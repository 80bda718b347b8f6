"""Edges: block the attention from some tokens of a prompt to others, in some layers or heads.

The scores of a blocked pair are set to minus infinity before the softmax, so that a token
distributes its attention over the tokens that it still sees. Controls block as many other pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from jaxtyping import Float

from assay.ask.measure import neighbours
from assay.ask.measure.heads import check_heads, heads_by_layer
from assay.ask.measure.tokenized import Prompt, whole_slot
from assay.ask.tables import Block, Position
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.edits import Change, Edits
from assay.subjects.site import Site

Scores: TypeAlias = "tuple[Site, list[int] | None]"
"""The scores of a block, and which heads; None: all."""
Pairs: TypeAlias = "tuple[list[int], list[int]]"
"""The tokens that attend, and the tokens that they do not see."""


def check(name: str, block: Block) -> None:
    """Refuse a block that is impossible for any prompt. Raises: DataError."""
    if block.layers and block.heads:
        raise DataError(f"{name!r}: give layers or heads of a block, not both")
    for layer in block.layers:
        if not str(layer).isdecimal():
            hint = f'; for a range, write layers = "{layer}"' if ":" in str(layer) else ""
            raise DataError(f"{name!r}: a layer of a block is a number from 0, got {layer!r}{hint}")
    if "mean" in (block.from_, block.to):
        raise DataError(f"{name!r}: a block is from and to tokens, and mean is not a token")


def places(name: str, block: Block, layers: int, heads: int) -> list[Scores]:
    """The scores that a block changes, with the heads at each. Raises: DataError for a layer or a
    head that the model lacks."""
    check(name, block)
    blocks: list[tuple[int, list[int] | None]]
    if block.heads:
        blocks = [*heads_by_layer(block.heads)]
    else:
        blocks = [(int(n), None) for n in dict.fromkeys(block.layers or range(layers))]
    for layer, numbers in blocks:
        if layer >= layers:
            raise DataError(f"{name!r}: the model has blocks 0 to {layers - 1}, got {layer}")
        check_heads(name, layer, numbers, heads)
    return [(Site("attn_scores", layer), numbers) for layer, numbers in blocks]


def pairs(block: Block, prompt: Prompt) -> Pairs:
    """The tokens of a prompt between which attention is blocked; "all" attends from every token
    after the hidden ones. Raises: DataError if no token could see a hidden one, or one would see
    nothing else."""
    to = block.to if isinstance(block.to, tuple) else (block.to,)
    hidden = sorted({n for place in to for n in _tokens(prompt, place)})
    behind = [*range(max(hidden) + 1, len(prompt.tokens))]
    attending = behind if block.from_ == "all" else _tokens(prompt, block.from_)
    hidden = [k for k in hidden if k <= max(attending, default=-1)]
    if not hidden:
        raise DataError(
            f"{prompt.row.place}: no token of {block.to} comes before {block.from_}, so there is "
            "no attention to block: a token sees itself and those before it"
        )
    blind = [q for q in attending if {*range(q + 1)} <= {*hidden}]
    if blind:
        raise DataError(
            f"{prompt.row.place}: the token {blind[0]} would see nothing at all, as every token up "
            "to it is blocked; block fewer tokens"
        )
    return attending, hidden


def _tokens(prompt: Prompt, place: Position) -> list[int]:
    return prompt.own if place == "all" else prompt.covered(whole_slot(place) or place)


def blocked(block: Block, sites: Iterable[Scores], pairs: Pairs) -> Edits:
    """The edits that block these pairs of a prompt. Blocks from the last token, and from all
    tokens, also apply to tokens that the model writes."""
    attending, hidden = pairs
    change = partial(_hide, hidden=hidden)
    goes_on = block.from_ in ("all", -1)
    positions = slice(attending[0], None) if goes_on else attending
    return {site: Change(site, change, positions, heads, goes_on) for site, heads in sites}


def _hide(
    scores: Float[torch.Tensor, "b h q k"], hidden: Sequence[int]
) -> Float[torch.Tensor, "b h q k"]:
    new = scores.clone()
    new[..., hidden] = float("-inf")
    return new


def seen(
    pattern: Mapping[Site, Float[torch.Tensor, "h q k"]], sites: Iterable[Scores], pairs: Pairs
) -> Float[torch.Tensor, " k"]:
    """The mean attention that the attending tokens pay to each token, over all heads of these
    sites; including hidden tokens."""
    rows = []
    for site, heads in sites:
        weights = pattern[Site("pattern", site.layer)][:, pairs[0]].float()
        rows.append((weights if heads is None else weights[heads]).mean((0, 1)))
    return torch.stack(rows).mean(0)


def other_tokens(prompt: Prompt, pairs: Pairs, weights: Float[torch.Tensor, " k"]) -> Pairs:
    """Hide as many other tokens instead: those that get most attention, never an opening such as a
    BOS. If a prompt has fewer, all are hidden. Raises: DataError for less than half as many."""
    attending, hidden = pairs
    others = [k for k in range(max(1, prompt.opening), max(attending) + 1) if k not in hidden]
    free = [k for k in others if k not in attending]
    if 2 * len(free) < len(hidden):  # of a block from all tokens those that attend as well
        free = others
    if 2 * len(free) < len(hidden):
        raise DataError(
            f"{prompt.row.place}: there are {len(free)} other tokens to block, and the block has "
            f"{len(hidden)}; write longer prompts, or name other controls"
        )
    free.sort(key=lambda k: -float(weights[k]))
    return attending, sorted(free[: len(hidden)])


def other_heads(
    name: str,
    sites: Sequence[Scores],
    pairs: Sequence[Pairs],
    patterns: Sequence[Mapping[Site, Float[torch.Tensor, "h q k"]]],
    seed: int,
) -> list[Scores]:
    """As many other heads of each block, in turn as seeds go on, from the half that pays most
    attention to the hidden tokens. Raises: DataError if a block has too few."""
    chosen: list[Scores] = []
    for site, heads in sites:
        assert heads is not None
        weights = paid(patterns, pairs, site.layer or 0)
        order = [h for h in weights.argsort(descending=True).tolist() if h not in heads]
        if len(order) < len(heads):
            raise DataError(
                f"{name!r}: block {site.layer} has {len(order)} other heads, and {len(heads)} are "
                "named; name fewer heads, or other controls"
            )
        pool = order[: max(len(heads), -(-len(order) // 2))]
        replacements = [pool[(seed * len(heads) + i) % len(pool)] for i in range(len(heads))]
        chosen.append((site, sorted(replacements)))
    return chosen


def elsewhere(sites: Sequence[Scores], layers: int, paid: Callable[[int], float]) -> list[Scores]:
    """Choose as many other layers for the same block, each about a third of the model away, of two
    the one that pays more attention to the hidden tokens. Raises: DataError if too few are free."""
    here, moved = [site.layer or 0 for site, _ in sites], list[int]()
    for layer in here:
        moved.append(neighbours.third_away(layer, {*range(layers)} - {*here, *moved}, layers, paid))
    return [(Site("attn_scores", layer), None) for layer in sorted(moved)]


def paid(
    patterns: Sequence[Mapping[Site, Float[torch.Tensor, "h q k"]]],
    pairs: Sequence[Pairs],
    layer: int,
) -> Float[torch.Tensor, " h"]:
    """The mean attention that each head of a layer pays to the hidden tokens, over attending tokens
    and prompts."""
    rows = [
        acts[Site("pattern", layer)][:, attending][..., hidden].float().sum(-1).mean(1)
        for acts, (attending, hidden) in zip(patterns, pairs, strict=True)
    ]
    return torch.stack(rows).mean(0)
