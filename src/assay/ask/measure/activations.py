"""Reads of activations: attention patterns, components along directions, and latents of
dictionaries. Each function makes a read ready for a prompt. The last part reads the activations of
all rows at once, for what is learned from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.ask.measure import dictionaries, directions, neighbours, own_code
from assay.ask.measure.heads import check_neurons, checked_heads, head_of
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, Ready, each, positions, prompt
from assay.ask.tables import Direction, Position, Read
from assay.core import spread
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.batches import ROWS, run_many
from assay.subjects.edits import Edits
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

TARGETS = ("previous", "self", "induction")
"""Values of `to` besides a position: the token before, the token itself, and the token after the
last earlier occurrence of the attending token."""
ENCODED = 2**24
"""Encoded latents that are in memory at once."""
FEWEST = 4
"""Tokens that a prompt needs for CKA, including the first."""


def pattern(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The attention that a token pays to another; the mean is over the tokens that can attend to
    their target."""
    chosen = checked_heads(read.name, "pattern", read.heads or (read.pattern,), prompt.folder)
    heads = read_sizes(prompt.folder.config)["h"]
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
            f"{prompt.row.place}: token {n} does not attend to later tokens, such as {t}; change "
            f"position or to of {read.name}"
        )
    queries, keys = ([*tokens] for tokens in zip(*earlier, strict=True))
    other = context.stands_in == "heads"

    def number(reading: PassOutput) -> float:
        looked = [
            (n, neighbours.another(h, heads, reading.seed) if other else h) for n, h in chosen
        ]
        paid = [reading.acts[Site("pattern", n)][h, queries, keys] for n, h in looked]
        return float(np.mean([float(x.double().mean()) for x in paid]))

    return Ready(each(number), sites=tuple(Site("pattern", n) for n, _ in chosen))


def _targets(read: Read, prompt: Prompt, n: int) -> list[int]:
    """The tokens to which the token at n is expected to attend, if any."""
    if read.to == "self":
        return [n]
    if read.to == "previous":
        return [n - 1] if n else []
    if read.to == "induction":
        earlier = [k for k in range(n) if prompt.tokens[k] == prompt.tokens[n]]
        return [earlier[-1] + 1] if earlier else []
    return [prompt.at(read.to)]


def projection(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The component of an activation along a direction of the study.

    Formula: x · v / ‖v‖
    """
    (table,) = context.directions
    site = _site_along(read, table, prompt, context)

    def number(reading: PassOutput) -> float:
        vector = context.vector(table, site, reading.seed).flatten().double()
        act = reading.act(site, read.position).flatten().double()
        return float(act @ vector / vector.norm())

    positions(read, prompt)
    return Ready(each(number), sites=(site,))


def cosine(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The cosine of an activation and a direction, or of two directions.

    Formula: x · v / (‖x‖ ‖v‖), the mean of it over tokens
    """
    sites = [_site_along(read, table, prompt, context) for table in context.directions]
    if len({prompt.folder.width(site) for site in sites}) > 1:
        raise DataError(f"{read.name}: its directions have different numbers of dimensions")

    def number(reading: PassOutput) -> float:
        vector, *others = (
            context.vector(table, site, reading.seed).flatten().double()
            for table, site in zip(context.directions, sites, strict=True)
        )
        rows = others or reading.rows(sites[0], read.position).flatten(1).double()
        return float(np.mean([float(x @ vector / (x.norm() * vector.norm())) for x in rows]))

    positions(read, prompt)
    return Ready(each(number), sites=() if sites[1:] else (sites[0],))


def distance(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The distance of an activation from a vector of the study, such as a mean.

    Formula: ‖x − v‖, the mean of it over tokens
    """
    (table,) = context.directions
    site = _site_along(read, table, prompt, context)

    def number(reading: PassOutput) -> float:
        vector = context.vector(table, site, reading.seed).flatten().double()
        rows = reading.rows(site, read.position).flatten(1).double()
        return float((rows - vector).norm(dim=1).mean())

    positions(read, prompt)
    return Ready(each(number), sites=(site,))


def norm(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The length of an activation, averaged over tokens."""
    return _of_rows(read, prompt, lambda x: x.norm(dim=1))


def _of_rows(read: Read, prompt: Prompt, number: Callable[[torch.Tensor], torch.Tensor]) -> Ready:
    """A number of the activation of a site at a token, averaged over tokens."""
    site = own_site(read, prompt)
    positions(read, prompt)

    def mean(reading: PassOutput) -> float:
        return float(number(reading.rows(site, read.position).flatten(1).double()).mean())

    return Ready(each(mean), sites=(site,))


def neurons(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The mean activation of named neurons at a token, or its mean or maximum over all tokens."""
    by_site: dict[Site, list[int]] = {}
    for neuron in read.neurons:
        site, n = neuron_of(read, neuron, prompt)
        by_site.setdefault(site, []).append(n)

    def number(reading: PassOutput) -> float:
        acts = [reading.rows(s, read.position).flatten(1)[:, index] for s, index in by_site.items()]
        rows = torch.cat(acts, 1).double().mean(1)
        return float(rows.max() if read.position == "all" else rows.mean())

    positions(read, prompt)
    return Ready(each(number), sites=tuple(by_site))


def neuron_of(read: Read, neuron: int | str, prompt: Prompt) -> tuple[Site, int]:
    """The site and the number of a neuron that a read names. Raises: DataError, ModelError."""
    whole = not read.site and isinstance(neuron, str) and "." in neuron
    layer, n = head_of(str(neuron)) if whole else (0, int(neuron))
    site = Site("mlp_post", layer) if whole else own_site(read, prompt)
    check_neurons(read.name, site, [n], prompt.folder)
    return site, n


def active(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The share of a site's coordinates above a bound, averaged over tokens."""
    return _of_rows(read, prompt, lambda x: (x > (read.active or 0.0)).double())


def _kurtosis(x: torch.Tensor) -> torch.Tensor:
    off = x - x.mean(1, keepdim=True)
    return off.pow(4).mean(1) / off.square().mean(1).square() - 3


def _hoyer(x: torch.Tensor) -> torch.Tensor:
    root = x.shape[1] ** 0.5
    return (root - x.abs().sum(1) / x.norm(dim=1)) / (root - 1)


COORDINATES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "kurtosis": _kurtosis,
    "max": lambda x: x.abs().amax(1) / x.abs().quantile(0.5, dim=1),
    "participation": lambda x: x.square().sum(1).square() / x.pow(4).sum(1),
    "hoyer": _hoyer,
}
"""How unequal the coordinates of each row are.

Formula: m₄ / m₂² − 3; max |x| / median |x|; (Σ x²)² / Σ x⁴; (√d − ‖x‖₁ / ‖x‖₂) / (√d − 1)
Source: Sun et al., Massive Activations in Large Language Models, 2024 (the second); Hoyer,
Non-negative Matrix Factorization with Sparseness Constraints, 2004 (the last)
"""


def coordinates(read: Read, prompt: Prompt, context: Context) -> Ready:
    """How unequal the coordinates of an activation are, averaged over tokens."""

    def number(x: torch.Tensor) -> torch.Tensor:
        values = COORDINATES[read.coordinates](x)
        if values.isfinite().all():
            return values
        raise DataError(
            f"{prompt.row.place}: {read.coordinates} of {read.name} divides by 0, as half of the "
            f"numbers at {read.site}, or all, are 0; active = 0 reads the share above 0"
        )

    return _of_rows(read, prompt, number)


def anisotropy(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The mean cosine of all pairs of tokens of a prompt.

    Formula: mean over i < j of x_i · x_j / (‖x_i‖ ‖x_j‖)
    Source: Ethayarajh, How Contextual are Contextualized Word Representations?, 2019
    """
    site = own_site(read, prompt)
    if len(prompt.own) < FEWEST:
        raise DataError(f"{prompt.row.place}: anisotropy compares {FEWEST} tokens or more")

    def number(reading: PassOutput) -> float:
        return spread.cosine(reading.rows(site, "mean").flatten(1).double().cpu().numpy())[0]

    return Ready(each(number), sites=(site,))


def jaccard(read: Read, prompt: Prompt, context: Context) -> Ready:
    """Of the latents that are active with or without a change, the share that are active in
    both."""
    whole, sites = read_by_dictionary(read, read.jaccard, prompt, context)
    tokens = positions(read, prompt)

    def on(acts: Mapping[Site, torch.Tensor]) -> torch.Tensor:
        x = torch.cat([acts[site][tokens].flatten(1) for site in sites], 1).float()
        return (whole.to(x.device).encode(x) != 0).any(0)

    def number(reading: PassOutput) -> float:
        ours, theirs = on(reading.acts), on(reading.before)
        either = int((ours | theirs).sum())
        return int((ours & theirs).sum()) / either if either else 1.0

    return Ready(each(number), sites=sites, compares=True)


def l0(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The number of active latents at a token, or its mean over several; "mean" leaves out the
    first token that the model reads."""
    whole, sites = read_by_dictionary(read, read.l0, prompt, context)

    def number(reading: PassOutput) -> float:
        x = torch.cat([reading.rows(site, read.position).flatten(1) for site in sites], 1)
        return float((whole.to(x.device).encode(x) != 0).double().sum(1).mean())

    positions(read, prompt)
    return Ready(each(number), sites=sites)


def fvu(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The share of the variance of a prompt's activations that a dictionary does not explain,
    without the first token that the model reads.

    Formula: Σ ‖x − x̂‖² / Σ ‖x − x̄‖², x̄ the mean over the prompt's tokens
    """
    whole, sites = read_by_dictionary(read, read.fvu, prompt, context)
    if len(prompt.own) < FEWEST:
        raise DataError(f"{prompt.row.place}: fvu is of {FEWEST} tokens or more")

    def number(reading: PassOutput) -> float:
        x = torch.cat([reading.rows(site, "mean").flatten(1) for site in sites], 1)
        error = (x - whole.to(x.device).reconstruct(x)).double().square().sum()
        return float(error / (x - x.mean(0)).double().square().sum())

    return Ready(each(number), sites=sites)


def function(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The number that a user's function returns for a prompt."""
    code, place = context.code(read.function), read.function
    names = read.sites or ((read.site,) if read.site else ())
    sites = tuple(Site.parse(name) for name in names)
    for site in sites:
        prompt.folder.check(site)
    final = Site("final_norm")
    parameters = own_code.parameters(code, own_code.READ, place)

    def of_sites(every: Sequence[Mapping[Site, torch.Tensor]]) -> dict[str, torch.Tensor]:
        pairs = zip(names, sites, strict=True)
        return {name: torch.stack([acts[site] for acts in every]) for name, site in pairs}

    def numbers(reading: Sequence[PassOutput]) -> list[float]:
        offered: dict[str, Callable[[], Any]] = {
            "acts": lambda: of_sites([s.acts for s in reading]),
            "before": lambda: of_sites([s.before for s in reading]),
            "logits": lambda: context.head(torch.stack([s.acts[final] for s in reading])),
            "tokens": lambda: torch.tensor(prompt.tokens),
            "columns": lambda: dict(prompt.row.columns),
            "model": lambda: context.subject.model,
        }
        with torch.no_grad():
            arguments = {name: offered[name]() for name in parameters}
            return own_code.numbers(place, code, arguments, len(reading), prompt.row.place)

    captured = (*sites, *((final,) if "logits" in parameters else ()))
    return Ready(numbers, sites=captured, compares="before" in parameters)


def own_site(read: Read, prompt: Prompt) -> Site:
    """The site that a read names. Raises: DataError if it names none, ModelError."""
    if not read.site:
        raise DataError(
            f'{read.name} needs the site that it reads, such as site = "blocks.9.hook_resid_post"'
        )
    return _checked(read.site, prompt.folder)


@lru_cache(maxsize=64)
def _checked(name: str, folder: ModelFolder) -> Site:
    """A site, cached because a sweep of neurons looks up each one. Raises: ModelError for one that
    has no vector for a token."""
    folder.width(site := Site.parse(name))
    return site


def _site_along(read: Read, table: Direction, prompt: Prompt, context: Context) -> Site:
    """The site of a read along a direction: its own, or that of the direction or its dictionary.
    Raises: DataError if there is none, or its width differs."""
    place = table.site
    if not place and table.feature:
        name = table.feature[0]
        place = str(directions.site_of(name, context.dictionary(name)))
    if not read.site and isinstance(read.cosine, tuple) and directions.is_of_stream(table):
        place = place or "blocks.0.hook_resid_post"
    if not (read.site or place):
        raise DataError(
            f"{read.name} is along {table.name!r}, which has no site of its own; write "
            'site, such as "blocks.0.hook_resid_pre"'
        )
    site = Site.parse(read.site or place)
    width, direction_width = (
        prompt.folder.width(s) for s in (site, Site.parse(place or read.site))
    )
    if width != direction_width:
        raise DataError(
            f"{read.name}: {table.name!r} is {direction_width} numbers, {site} has {width}"
        )
    return site


def read_by_dictionary(
    read: Read, name: str, prompt: Prompt, context: Context
) -> tuple[Dictionary, tuple[Site, ...]]:
    """A dictionary, and the sites that it reads. Raises: DataError if there are none, or their
    width differs."""
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
    return whole, sites


def feature(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The activation of a latent at a token, or its mean or maximum over the text."""
    assert read.feature is not None
    name, latent = read.feature
    whole, sites = read_by_dictionary(read, name, prompt, context)
    latents = latent if isinstance(latent, tuple) else (latent,)
    dictionary, number = dictionaries.latent(whole, name, latents[0])
    columns: Any = number
    if len(latents) > 1:
        for single in latents:
            dictionaries.latent(whole, name, single)
        dictionary, columns = whole, [*latents]
    tokens = positions(read, prompt)

    def numbers(reading: Sequence[PassOutput]) -> list[float]:
        rows = [[s.acts[site][tokens].flatten(1) for site in sites] for s in reading]
        x = torch.cat([torch.cat(parts, 1) for parts in rows]).float()
        coder = dictionary.to(x.device)
        few = max(1, ENCODED // dictionary.width)
        several = dictionary is whole and "feature" in read.sweep and len(x) <= few
        key = (name, sites, tuple(tokens))
        if several and key not in reading[0].memo:  # one encoding for all latents of a sweep
            reading[0].memo[key] = coder.encode(x)
        codes = (
            reading[0].memo[key][:, columns]
            if several
            else torch.cat([coder.encode(part)[:, columns] for part in x.split(few)])
        )
        codes = codes.double().mean(1) if len(latents) > 1 else codes
        of_each = codes.double().unflatten(0, (len(reading), len(tokens)))
        return (of_each.amax(1) if read.position == "all" else of_each.mean(1)).tolist()

    return Ready(numbers, sites=sites)


READ = 2**28
"""Activations of all sites that are in memory at once if nothing is edited."""
KEPT = 64
"""How many activations of single sites are cached."""
_known: dict[tuple[str, str, str, Position], torch.Tensor] = {}
"""Activations from which directions are learned: (model, prompts, site, position)."""


def activations(
    model: Pretrained, model_key: str, prompts: PromptSet, site: Site, position: Position
) -> Float[torch.Tensor, "row d"]:
    """The activations of all rows at a site and a position; the last few are cached."""
    return all_activations(model, model_key, prompts, [site], position)[0]


def all_activations(
    model: Pretrained, model_key: str, prompts: PromptSet, sites: Sequence[Site], position: Position
) -> list[Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, with one pass for those that are not cached."""

    def key(site: Site) -> tuple[str, str, str, Position]:
        return (model_key, prompts.digest, str(site), position)

    got = {site: _known[key(site)] for site in sites if key(site) in _known}
    if new := [site for site in dict.fromkeys(sites) if site not in got]:
        for site, acts in read_activations(model, prompts, new, position).items():
            while len(_known) >= KEPT:
                _known.pop(next(iter(_known)))
            got[site] = _known[key(site)] = acts
    return [got[site] for site in sites]


def read_activations(
    model: Pretrained,
    prompts: PromptSet,
    sites: Sequence[Site],
    position: Position,
    edits: Sequence[Sequence[Edits]] | None = None,
) -> dict[Site, Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites in one pass, under one edit of each row if edits
    are given; nothing is cached. At "all" they are [row, token, d], with the first token that the
    model reads left out, and padded with NaN."""
    rows: dict[Site, list[torch.Tensor]] = {site: [] for site in sites}
    every = [prompt(model.folder, row) for row in prompts.rows]
    numbers = captured(model, rows, max(len(p.tokens) for p in every))
    size = max(1, min(4 * ROWS, READ // numbers))
    for i in range(0, len(every), size):
        batch = every[i : i + size]
        edited = edits[i : i + size] if edits else [[{}]] * len(batch)
        tokens = [p.tokens for p in batch]
        traces = run_many(model, tokens, edited, capture=list(rows), logits=False)
        for p, traced in zip(batch, traces, strict=True):
            output = PassOutput(p, acts={site: x[0] for site, x in traced[0].acts.items()})
            for site in rows:
                act = output.rows(site, "mean") if position == "all" else output.act(site, position)
                # what is a view of the pass would keep all of it
                rows[site].append(act.clone() if model.dtype == "float32" else act)
    padded = torch.nn.utils.rnn.pad_sequence
    if position == "all":
        return {s: padded(acts, True, float("nan")) for s, acts in rows.items()}
    return {site: torch.stack(acts) for site, acts in rows.items()}


def captured(model: Pretrained, sites: Iterable[Site], length: int) -> int:
    """The number of activations of these sites on a text of so many tokens."""
    pairs = [site for site in sites if "q" in site.dims.split()]
    widths = sum(model.width(site) for site in sites if site not in pairs)
    return length * widths + len(pairs) * length**2 * read_sizes(model.folder.config).get("h", 0)
