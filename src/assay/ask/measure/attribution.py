"""Attribution: what parts of a model write directly to the logit of a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float

from assay.ask.measure import heads, neighbours, next_tokens
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, Ready, each, texts_of
from assay.ask.measure.weights import output_of_heads
from assay.ask.tables import Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.architectures import gain
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import final_norm
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

Writes = tuple[tuple[Site, int | None], ...]
"""Sites that write to the stream, each with the head whose part is meant, or None for the whole
site."""
POST = "ln1_post_scale"
"""The norm after attention, in models that normalise the output of heads."""


def direct(read: Read, prompt: Prompt, context: Context) -> Ready:
    """What heads or sites add to the logit of a text's first token, or of the unchanged model's
    most probable token; for two texts, to the first logit minus the second. Parts that together are
    the whole stream add up to the logit, before any cap, but for the biases of the final norm and
    of the unembedding.

    Formula: (γ ∘ P w / σ(x)) · U_token, w what is written, x the last stream, P x / σ(x) the final
    norm without its weight γ
    """
    stated = () if isinstance(read.direct, bool) else texts_of(read.direct)
    texts = [prompt.behind(text) for text in stated]
    tokens = [text.tokens[0] for text in texts]
    if len({*tokens}) < len(tokens):
        raise DataError(
            f"{prompt.row.place}: {texts[0].filled!r} and {texts[1].filled!r} begin with the same "
            "token, so what is written to their difference is 0; choose texts that begin "
            "differently"
        )
    folder, places = prompt.folder, writes(read, prompt.folder)
    last, at_tokens = Site("resid_post", folder.layers - 1), prompt.all_at(read.position)
    post = POST in folder.architecture.sites
    likeliest = () if texts else tuple(next_tokens.own_token(read, prompt, n) for n in at_tokens)

    def reader(reading: PassOutput, tokens: Sequence[int]) -> Float[torch.Tensor, "n d"]:
        """The vector with which the logit is read at each token: U_token with the norm and its
        weight."""
        norm, subject = final_norm(context.subject), context.subject
        rows = subject.model.get_output_embeddings().weight[[*tokens]].detach().double()
        unembedded = subject.gain.double() * (rows[0] - rows[1] if len(texts) > 1 else rows)
        return norm.project(unembedded) / norm.sigma(reading.acts[last][at_tokens].double())

    def normed(reading: PassOutput, site: Site) -> Float[torch.Tensor, "n d"]:
        """The factor by which the norm after attention multiplies what heads write."""
        scale = reading.acts[Site(POST, site.layer)][at_tokens].double()
        return after(context.subject, site.layer or 0) / scale

    def number(reading: PassOutput) -> float:
        memo, total = reading.memo, 0.0
        read_tokens = tokens or [int(reading.numbers[w]) for w in likeliest]
        key = ("direct", *read_tokens, *at_tokens)
        if key not in memo:  # the same for all heads of a sweep
            memo[key] = reader(reading, read_tokens)
        for site, head in _stood_for(places, context.stands_in, folder, reading.seed):
            if head is not None and read.attends != "":
                values = reading.acts[Site("v", site.layer)][prompt.at(read.attends)]
                written = _by_value(context.subject, site.layer or 0, head, values)[None]
            else:
                written = reading.acts[site][at_tokens]
                written = (written if head is None else written[:, head]).double()
            if head is not None and post:
                if (POST, site, *at_tokens) not in memo:
                    memo[POST, site, *at_tokens] = normed(reading, site)
                written = written * memo[POST, site, *at_tokens]
            total += float((written * memo[key]).sum(-1).mean())
        return total

    between = [w.untouched_site for w in likeliest[:1] if w.untouched_site]
    sites = dict.fromkeys([last, *between, *(s for s, _ in places)])
    if read.attends != "":
        prompt.at(read.attends)
        if not read.heads:
            raise DataError(f'{read.name}: attends is of heads; write heads = ["9.1"]')
        sites = dict.fromkeys([last, *between, *(Site("v", s.layer) for s, _ in places)])
    sites |= {Site(POST, s.layer): None for s, head in places if post and head is not None}
    if context.stands_in == "blocks":
        sites |= {Site(s.kind, n): None for s, _ in places for n in range(folder.layers)}
    notes = next_tokens.notes(prompt, [[text] for text in texts], next_tokens.FIRST)
    return Ready(each(number), likeliest, tuple(sites), notes=notes)


def writes(read: Read, folder: ModelFolder) -> Writes:
    """The parts that a read is about. Raises: DataError, ModelError for one that does not exist, or
    does not write to the stream."""
    names = read.sites or ((read.site,) if read.site else ())
    if bool(names) == bool(read.heads):
        raise DataError(
            f"{read.name}: direct is of heads or of a site that writes to the stream; write one of "
            'heads = ["9.1"], site = "blocks.9.hook_mlp_out", or sites = […] for their sum'
        )
    size, parts = read_sizes(folder.config), list[tuple[Site, int | None]]()
    for layer, numbers in heads.heads_by_layer(read.heads):
        site = Site("result", layer)
        folder.check(site)
        heads.check_heads(read.name, layer, numbers, size["h"])
        parts += [(site, n) for n in numbers]
    for site in map(Site.parse, names):
        if site.kind in ("result", "z"):
            raise DataError(
                f'{read.name}: what a head writes is named by heads = ["{site.layer}.0"]; in a '
                'sweep, heads = ["{layer}.{head}"]'
            )
        if site.kind == "final_norm" or folder.shape(site) != (size["d"],):
            raise DataError(
                f"{read.name}: {site} is not part of the residual stream; name one that writes to "
                'it, such as site = "blocks.9.hook_mlp_out"'
            )
        parts.append((site, None))
    return tuple(parts)


def _stood_for(places: Writes, stands_in: str, folder: ModelFolder, seed: int) -> Writes:
    """The parts, or in a control their replacements: another head of the block, or the same site of
    another block."""
    if stands_in == "heads":
        count = read_sizes(folder.config)["h"]
        return tuple((s, n if n is None else neighbours.another(n, count, seed)) for s, n in places)
    if stands_in == "blocks":
        count = folder.layers
        if {s.layer for s, _ in places} >= {*range(count)}:
            raise DataError("every block is read, so no other one can stand in")
        return tuple(
            (s if s.layer is None else Site(s.kind, neighbours.another(s.layer, count, seed)), n)
            for s, n in places
        )
    return places


def _by_value(
    model: Pretrained, layer: int, head: int, values: Float[torch.Tensor, "kv e"]
) -> Float[torch.Tensor, " d"]:
    """What a head writes if it attends to one token alone, given the values of this token."""
    W = output_of_heads(model, layer)
    value = values[head * len(values) // len(W)]  # several heads share a value
    return value.double() @ W[head]


def after(model: Pretrained, layer: int) -> Float[torch.Tensor, " d"]:
    """The weight of the norm after attention."""
    place: Any = model.places[POST]
    return gain(model.blocks[layer].get_submodule(place.module)).double()
