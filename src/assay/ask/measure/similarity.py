"""Similarity of the activations of two texts or two sites, also with and without a change, or of
the attention of heads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from msgspec import structs

from assay.ask.measure import replacements
from assay.ask.measure.activations import FEWEST, own_site
from assay.ask.measure.heads import checked_heads
from assay.ask.measure.interventions import token_in_words
from assay.ask.measure.prompts import PromptSet, filled
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, Ready, each, positions
from assay.ask.measure.tokenized import prompt as tokenized_prompt
from assay.ask.tables import Read
from assay.core import spread
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes
from assay.train import rng


def _cosine(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(x @ y / (x.norm() * y.norm()).clamp_min(1e-300))


HOW: Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]] = {
    "cosine": _cosine,
    "correlation": lambda x, y: _cosine(x - x.mean(), y - y.mean()),
    "distance": lambda x, y: float((x - y).norm()),
}
"""Functions of two vectors; the distance is Euclidean."""


def similarity(read: Read, prompt: Prompt, context: Context) -> Ready:
    """How similar the activations at a site are on a prompt and on its other text, or the attention
    patterns of heads on a prompt."""
    if bool(read.heads) == bool(read.site):
        raise DataError(
            f"{read.name}: similarity is of two texts at a site, such as "
            '"blocks.9.hook_resid_post", or of two or more heads; give one of these'
        )
    return _of_heads(read, prompt, context) if read.heads else _of_two(read, prompt, context)


def cka(read: Read, prompt: Prompt, context: Context) -> Ready:
    """How similar the tokens of a prompt are arranged at two sites, or at one with and without a
    change (`spread.cka`)."""
    site, (other, other_pass) = own_site(read, prompt), second(read, prompt, context)
    if len(prompt.own) < FEWEST:
        raise DataError(f"{prompt.row.place}: CKA compares {FEWEST} tokens or more")

    def number(reading: PassOutput) -> float:
        pairs = ((reading, site), (other_pass(reading), other))
        x, y = (output.rows(s, "mean").flatten(1).double().cpu().numpy() for output, s in pairs)
        n = min(len(x), len(y))  # only tokens that both texts have
        alike = min(spread.cka(x[:n], y[:n])[0], 1.0)  # 1 except for rounding
        return 0.0 if math.isnan(alike) else alike

    return Ready(each(number), sites=(site, other), compares=not read.other_site)


def second(
    read: Read, prompt: Prompt, context: Context
) -> tuple[Site, Callable[[PassOutput], PassOutput]]:
    """What a read compares its site with, and in which pass: another site in the same pass or, in
    the control `unrelated`, on the row's own text; the site on another text; or the same site
    without the change. Another text is read without the intervention of the arm."""
    own_row = prompt.row.instead_of
    site = own_site(structs.replace(read, site=read.other_site or read.site), prompt)
    if read.other_text or (read.similarity and not read.other_site):
        assert context.shown is not None
        other = other_text(read, prompt, context.shown)
    elif not read.other_site:
        return site, lambda reading: replace(reading, acts=reading.before)
    elif own_row is None:
        return site, lambda reading: reading
    else:
        other = tokenized_prompt(prompt.folder, own_row)
    if read.position != "mean":
        other.all_at(read.position)
    layers = range(prompt.folder.layers) if read.sweep and site.layer is not None else ()
    sites = [Site(site.kind, n) for n in layers] or [site]
    return site, lambda reading: PassOutput(
        other, acts=_read_once(context.subject, other, sites, reading)
    )


def _of_two(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The similarity of the activations of a site on the prompt and on its other text, or of two
    sites, each at `position`; for several tokens, of the means over them."""
    if read.position == "all":
        raise DataError(f'{read.name}: of two texts, position is a token, or several, or "mean"')
    site, (other, other_pass) = own_site(read, prompt), second(read, prompt, context)
    if len(widths := {prompt.folder.width(s) for s in (site, other)}) > 1:
        raise DataError(
            f"{read.name}: {site} and {other} have different numbers of dimensions, "
            f"{' and '.join(map(str, sorted(widths)))}; linear CKA compares such: cka = true"
        )
    positions(read, prompt)

    def number(reading: PassOutput) -> float:
        pairs = ((reading, site), (other_pass(reading), other))
        x, y = (output.act(s, read.position).flatten().double() for output, s in pairs)
        return HOW[read.similarity](x, y)

    return Ready(each(number), sites=(site, other))


def other_text(read: Read, shown: Prompt, prompts: PromptSet) -> Prompt:
    """The text with which a prompt is compared, as tokens. Raises: DataError if there is none."""
    if not read.other_text:
        return replacements.corrupted(prompts, shown)
    return tokenized_prompt(shown.folder, filled(replace(shown.row, chat=None), read.other_text))


def _read_once(
    model: Pretrained, other: Prompt, sites: Sequence[Site], reading: PassOutput
) -> dict[Site, Float[torch.Tensor, "s ..."]]:
    """Activations on another text, with one pass for all levels of a sweep."""
    key = ("other text", other.tokens, sites[0], len(sites))
    if key not in reading.memo:
        tokens = torch.tensor([other.tokens], device=model.device)
        acts = model.run(tokens, capture=[*sites], logits=False).acts
        reading.memo[key] = {site: acts[site][0] for site in sites}
    by_site: dict[Site, torch.Tensor] = reading.memo[key]
    return by_site


def _of_heads(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The mean similarity of all pairs of some heads: of their attention from the tokens at
    `position` to all tokens that these see, as one vector; "all" leaves out the first token, which
    only sees itself."""
    if read.position == "mean" or read.other_text or read.other_site:
        raise DataError(f'{read.name}: of heads, position is a token, or several, or "all"')
    count = read_sizes(prompt.folder.config)["h"]
    chosen = checked_heads(read.name, "pattern", read.heads, prompt.folder)
    if len({*chosen}) < 2:
        raise DataError(f"{read.name}: name two heads or more that are different")
    every = [n for n in prompt.own if n] if read.position == "all" else prompt.all_at(read.position)
    if every in ([], [0]):
        raise DataError(
            f"{prompt.row.place}: the first token attends to itself alone, in every head; change "
            f"position of {read.name}"
        )
    visible = [(n, k) for n in every for k in range(n + 1)]
    queries, keys = ([*column] for column in zip(*visible, strict=True))

    def number(reading: PassOutput) -> float:
        heads = chosen if context.stands_in != "heads" else _others(chosen, count, reading.seed)
        paid = [reading.acts[Site("pattern", n)][h, queries, keys].double() for n, h in heads]
        how = HOW[read.similarity]
        return float(np.mean([how(x, y) for x, y in itertools.combinations(paid, 2)]))

    return Ready(each(number), sites=tuple(Site("pattern", n) for n, _ in chosen))


def _others(heads: Sequence[tuple[int, int]], count: int, seed: int) -> list[tuple[int, int]]:
    """Replace each head by a random head of its block, different ones by different ones."""
    orders = {
        layer: rng.permutation(np.array([seed]), "ask.alike", layer, count)[0] for layer, _ in heads
    }
    return [(layer, int(orders[layer][head])) for layer, head in heads]


def words(read: Read, where: str) -> str:
    """What the number is, in words; `where` gives the site and the token."""
    if read.heads:
        start = "" if read.position == "all" else f" from {token_in_words(read.position)}"
        several = "every two of heads" if len(read.heads) > 2 else "heads"
        return f"{read.similarity} of the attention{start} of {several} {', '.join(read.heads)}"
    pair = "" if read.other_site else "the other text of its pair"
    other = f" and on {text}" if (text := read.other_text or pair) else ""
    return f"{read.similarity} of the activations{where} on the prompt{other}"


def ends(read: Read) -> tuple[float | None, float | None]:
    """The smallest and the largest possible number."""
    if read.similarity == "distance":
        return 0.0, None
    return (0.0 if read.heads and read.similarity == "cosine" else -1.0), 1.0
