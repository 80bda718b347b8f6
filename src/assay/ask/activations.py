"""Reads of activations: how a head spreads its attention, what lies along a direction, and how
strongly a dictionary's feature is on. Each makes a read ready for a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from assay.ask import dictionaries
from assay.ask.heads import head_of
from assay.ask.seen import Context, Prompt, Ready, Seen, each, positions
from assay.ask.tables import Read
from assay.controls import picks
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

TARGETS = ("previous", "self", "induction")
"""What `to` may say beside a place: the token before, the token itself, and the one behind the last
earlier occurrence of the token that attends."""
ENCODED = 2**24
"""Features that are there at once."""


def pattern(read: Read, prompt: Prompt, context: Context) -> Ready:
    """How much attention a token pays to another; the mean is over the tokens that can attend to
    theirs."""
    layer, head = head_of(read.pattern)
    site = Site("pattern", layer)
    prompt.folder.check(site)
    if head >= (heads := read_sizes(prompt.folder.config)["h"]):
        raise DataError(
            f"{read.name}: blocks of {prompt.folder.name} have {heads} heads, 0 to {heads - 1}; "
            f"got {read.pattern}"
        )
    pairs = [(n, t) for n in positions(read, prompt) for t in _targets(read, prompt, n)]
    if not pairs:
        raise DataError(
            f"{prompt.row.place}: no token that {read.name} is of has {read.to!r} before it; "
            "change position or to"
        )
    earlier = [(n, t) for n, t in pairs if t <= n]
    if not earlier:
        n, t = pairs[-1]
        raise DataError(
            f"{prompt.row.place}: token {n} attends to none behind it, such as {t}; change "
            f"position or to of {read.name}"
        )
    queries, keys = ([*some] for some in zip(*earlier, strict=True))

    def number(reading: Seen) -> float:
        looked = picks.another(head, heads, reading.seed) if context.others else head
        return float(reading.acts[site][looked, queries, keys].double().mean())

    return Ready(each(number), sites=(site,))


def _targets(read: Read, prompt: Prompt, n: int) -> list[int]:
    """The token that the one at n is asked to attend to, if there is one."""
    if read.to == "self":
        return [n]
    if read.to == "previous":
        return [n - 1] if n else []
    if read.to == "induction":
        earlier = [k for k in range(n) if prompt.tokens[k] == prompt.tokens[n]]
        return [earlier[-1] + 1] if earlier else []
    return [prompt.at(read.to)]


def projection(read: Read, prompt: Prompt, context: Context) -> Ready:
    """What an activation has along a direction of the study.

    Formula: x · v / ‖v‖
    """
    table = context.direction
    assert table is not None
    if not (read.site or table.site):
        raise DataError(
            f"{read.name} projects on {table.name!r}, which has no site of its own; write site = "
            '"blocks.0.hook_resid_pre", say'
        )
    site = Site.parse(read.site or table.site)
    width, direction_width = (
        prompt.folder.width(s) for s in (site, Site.parse(table.site or read.site))
    )
    if width != direction_width:
        raise DataError(
            f"{read.name}: {table.name!r} is {direction_width} numbers, {site} has {width}"
        )

    def number(reading: Seen) -> float:
        vector = context.vector(table, site, reading.seed).flatten().double()
        act = reading.act(site, read.position).flatten().double()
        return float(act @ vector / vector.norm())

    positions(read, prompt)
    return Ready(each(number), sites=(site,))


def feature(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The activation of a latent: at a token, or the mean or the highest over all of the text."""
    assert read.feature is not None
    name, latent = read.feature
    whole = context.dictionary(name)
    names = (read.site,) if read.site else whole.sites
    if not names:
        raise DataError(f"{read.name}: {name} does not say where it reads; write site = …")
    sites = tuple(Site.parse(site) for site in names)
    width, d_in = sum(prompt.folder.width(site) for site in sites), whole.W_enc.shape[1]
    if width != d_in:
        raise DataError(
            f"{read.name}: {name} reads {d_in} numbers a token, {' and '.join(map(str, sites))} of "
            f"{prompt.folder.name} {'has' if len(sites) == 1 else 'have'} {width}"
        )
    dictionary, number = dictionaries.latent(whole, name, latent)
    tokens = positions(read, prompt)

    def numbers(reading: Sequence[Seen]) -> list[float]:
        rows = [[s.acts[site][tokens].flatten(1) for site in sites] for s in reading]
        x = torch.cat([torch.cat(parts, 1) for parts in rows]).float()
        coder = dictionary.to(x.device)
        few = max(1, ENCODED // dictionary.width)
        codes = torch.cat([coder.encode(part)[0, :, number] for part in x.split(few)])
        of_each = codes.double().unflatten(0, (len(reading), len(tokens)))
        return (of_each.amax(1) if read.position == "all" else of_each.mean(1)).tolist()

    return Ready(numbers, sites=sites)
