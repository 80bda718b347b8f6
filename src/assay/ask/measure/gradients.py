"""Gradients: by how much a read falls, to first order, if an activation is removed, or rises if it
is patched from the other text of a pair (attribution patching): the change of the activation times
the gradient of the read, or its mean along the way (integrated gradients). `slopes` computes the
gradients, `gradient` makes a read of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float

from assay.ask.measure import dictionaries, neighbours
from assay.ask.measure.activations import neuron_of, own_site, read_by_dictionary
from assay.ask.measure.heads import checked_heads
from assay.ask.measure.pairs import Pair, pair_of
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, Ready, Want, each
from assay.ask.tables import Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.features import effects
from assay.subjects.edits import by_row, continued, edited
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

SMOOTH = ("log_prob", "logit", "entropy")
"""The numbers of next tokens that have a gradient."""
STEP = 1e-3
"""Step for the numerical derivative of a read by a number of a next token."""
Part = tuple[Site, Any]
"""A site, and which of its coordinates are meant; None: all."""


@dataclass(frozen=True, eq=False)
class Slope:
    """The activations of a site at some tokens of a prompt, and the gradient of a read by them."""

    acts: Float[torch.Tensor, "n ..."]
    by: Float[torch.Tensor, "n ..."]
    other: Float[torch.Tensor, "n ..."] | None = None
    """The activations on the other text of the pair; None if they are set to zero."""

    @property
    def fall(self) -> Float[torch.Tensor, "n ..."]:
        """By how much the read would fall, to first order, if each coordinate alone were
        replaced."""
        return (self.acts if self.other is None else self.acts - self.other) * self.by


def gradient(read: Read, prompt: Prompt, context: Context) -> Ready:
    """What parts of a model add to a read, to first order: the sum over tokens and coordinates of
    the activation times the gradient of the read. With a patch: what patching the parts from the
    other text of the pair would add.

    Formula: Σ a · ∂R/∂a; of n steps Σ a · 1/n Σ_k ∂R/∂a at (k/n) a, k from 1 to n. With a patch
    Σ (b − a) · ∂R/∂a at a, b what the other text has; of n steps the mean at b + (k/n) (a − b)
    Source: Dai et al., Knowledge Neurons in Pretrained Transformers, 2022; Syed et al., Attribution
    Patching Outperforms Automated Circuit Discovery, 2023
    """
    target, tokens = context.read(read.gradient, prompt), tokens_of(read.position, prompt)
    refuse_rough(read.name, read.gradient, target)
    pair = None
    if read.patch:
        assert context.shown is not None
        pair = pair_of(prompt, read.position, context.shown)
    target_arguments = target, tokens, pair
    if read.feature is not None:
        return _of_latents(read, prompt, context, target_arguments)
    parts = _parts(read, prompt)
    layers = range(prompt.folder.layers) if read.sweep and read.steps == 1 else ()

    def number(reading: PassOutput) -> float:
        stood_for = _stood_for(parts, context, reading.seed)
        total = 0.0
        for site, index in stood_for:
            sites = [site] if site.layer is None else [Site(site.kind, n) for n in layers] or [site]
            fall = _remembered(context.subject, read, reading, sites, target_arguments)[site].fall
            total += float((fall if index is None else fall[:, index]).sum())
        return -total if pair else total

    return Ready(each(number))


def tokens_of(position: Any, prompt: Prompt) -> list[int]:
    """The tokens over which is summed."""
    return prompt.own if position in ("all", "mean") else prompt.all_at(position)


def refuse_rough(name: str, target_name: str, target: Ready) -> None:
    """Refuse the gradient of a read that has none. Raises: DataError."""
    rough = [w for w in target.wants if w.what not in SMOOTH or w.site or w.needs_untouched]
    if rough or not target.wants or target.writes or target.compares or target.sites:
        raise DataError(
            f"{name}: {target_name} has no gradient here; it can be a log_prob, a prob or a logit "
            "of a text, or an entropy, without a site, or a loss"
        )


def slopes(
    model: Pretrained,
    target: Ready,
    reading: PassOutput,
    sites: Sequence[Site],
    tokens: Sequence[int],
    steps: int = 1,
    pair: Pair | None = None,
) -> dict[Site, Slope]:
    """Compute the activations of sites at some tokens of a prompt, and the gradient of a read by
    them; with several steps, its mean while these activations go from zero, or from those of the
    other text of a pair, to their values."""
    prompt, wants = reading.prompt, target.wants
    others = pair.acts(model, prompt, sites, tokens) if pair else {}
    numbers = dict[Want, torch.Tensor]()
    leaves, acts = list[dict[Site, torch.Tensor]](), dict[Site, torch.Tensor]()
    for continuation, here in _sequences(wants).items():
        final, leaf = _run(model, reading, continuation, sites, tokens, steps, acts, others)
        leaves.append(leaf)
        for position in dict.fromkeys(w.position for w in here):
            with torch.enable_grad():
                logits = model.head(final[:, position]).float()
            numbers |= {w: _number(logits, w) for w in here if w.position == position}
    total: Any = 0.0
    for k in range(steps):
        values = {w: float(numbers[w][k].detach()) for w in wants}
        total = total + sum(_slope(target, reading, values, w) * numbers[w][k] for w in values)
    flat = [x for leaf in leaves for x in leaf.values()]
    gradients = iter(torch.autograd.grad(total, flat, allow_unused=True))
    mean = {site: torch.zeros_like(x) for site, x in acts.items()}
    for leaf in leaves:
        for site in leaf:
            by = next(gradients)  # None for sites after everything that the read depends on
            mean[site] += 0 if by is None else by[:, : len(prompt.tokens)].sum(0) / steps
    return {
        site: Slope(
            x[[*tokens]].double(),
            mean[site][[*tokens]].double(),
            others[site].double() if pair else None,
        )
        for site, x in acts.items()
    }


def _sequences(wants: Sequence[Want]) -> dict[tuple[int, ...], list[Want]]:
    """The continuations to read after a prompt, each with the numbers that it gives; one that is
    the beginning of another is read with that one."""
    every = dict.fromkeys(w.continuation for w in wants)
    longest = [c for c in every if not any(o != c and o[: len(c)] == c for o in every)]
    by_sequence: dict[tuple[int, ...], list[Want]] = {c: [] for c in longest}
    for w in wants:
        whole = next(c for c in longest if c[: len(w.continuation)] == w.continuation)
        by_sequence[whole].append(w)
    return by_sequence


def _run(
    model: Pretrained,
    reading: PassOutput,
    continuation: tuple[int, ...],
    sites: Sequence[Site],
    tokens: Sequence[int],
    steps: int,
    acts: dict[Site, torch.Tensor],
    others: Mapping[Site, torch.Tensor],
) -> tuple[Float[torch.Tensor, "step s d"], dict[Site, torch.Tensor]]:
    """Read a prompt with a continuation, one row for each step. Returns the input of the
    unembedding, and the zero tensors added to each site, by which gradients are taken; fills
    `acts`. With several steps, the blocks before the first site run once."""
    prompt, leaves = reading.prompt, dict[Site, torch.Tensor]()
    length = len(prompt.tokens) + len(continuation)
    prior = dict(reading.edits)
    if continuation:
        prior = continued(prior, len(prompt.tokens), length)
    text, first = [*prompt.tokens, *continuation], min(s.layer or 0 for s in sites)
    start = None
    if steps > 1 and first:
        stream = Site("resid_pre", first)
        row = torch.tensor([text], device=model.device)
        residual = model.run(row, edits=prior, capture=[stream], logits=False).acts[stream]
        start = first, residual.expand(steps, -1, -1)
        prior = {s: edit for s, edit in prior.items() if s.layer is not None and s.layer >= first}
        prior.pop(stream, None)
    by_step = by_row([prior] * steps) if steps > 1 else prior

    def watched(site: Site) -> Callable[[torch.Tensor], torch.Tensor]:
        def change(x: torch.Tensor) -> torch.Tensor:
            if site in by_step:
                x = edited(site, x, by_step[site])
            acts[site] = x[-1, : len(prompt.tokens)].detach()
            size = x.new_ones(x.shape[:2])
            size[:, [*tokens]] = torch.arange(1, steps + 1, device=x.device).to(x)[:, None] / steps
            leaves[site] = torch.zeros_like(x, requires_grad=True)
            begin = torch.zeros_like(x)
            if site in others:
                begin[:, [*tokens]] = others[site].to(x)
            size = size.reshape(*size.shape, *[1] * (x.ndim - 2))
            return begin + (x - begin) * size + leaves[site]

        return change

    rows = torch.tensor([text] * steps, device=model.device)
    edits = by_step | {s: watched(s) for s in sites}
    trace = model.run(rows, edits=edits, start=start, gradients=True)
    assert trace.final is not None
    return trace.final, leaves


def _number(logits: Float[torch.Tensor, "step v"], want: Want) -> Float[torch.Tensor, " step"]:
    with torch.enable_grad():
        if want.what == "logit":
            return logits[:, want.token]
        logs = logits.log_softmax(-1)
        return logs[:, want.token] if want.what == "log_prob" else -(logs.exp() * logs).sum(-1)


def _slope(target: Ready, reading: PassOutput, values: Mapping[Want, float], want: Want) -> float:
    """The derivative of a read by one of the numbers that it is computed from."""
    moved = [{**values, want: values[want] + by} for by in (STEP, -STEP)]
    above, below = target.numbers([replace(reading, numbers=n) for n in moved])
    return float(above - below) / (2 * STEP)


def _remembered(
    model: Pretrained,
    read: Read,
    reading: PassOutput,
    sites: Sequence[Site],
    target_arguments: tuple[Ready, Sequence[int], Pair | None],
) -> dict[Site, Slope]:
    """The result of `slopes` for these sites, computed once for all levels of a sweep."""
    memo: dict[Any, Any] = reading.memo
    target, tokens, pair = target_arguments
    keys = {s: ("gradient", read.gradient, read.steps, read.patch, tuple(tokens), s) for s in sites}
    if any(key not in memo for key in keys.values()):
        computed = slopes(model, target, reading, sites, tokens, read.steps, pair)
        memo |= {keys[s]: slope for s, slope in computed.items()}
    return {s: memo[key] for s, key in keys.items()}


def _parts(read: Read, prompt: Prompt) -> list[Part]:
    """The parts that a read names. Raises: DataError, ModelError."""
    if bool(read.heads) + bool(read.neurons) + bool(read.site and not read.neurons) != 1:
        raise DataError(
            f'{read.name}: a gradient is by the activations of one of heads = ["9.1"], neurons = '
            '["9.41"], feature = ["sae.safetensors", 3], or a site such as "hook_embed"'
        )
    heads = checked_heads(read.name, "z", read.heads, prompt.folder)
    parts: list[Part] = [(Site("z", layer), head) for layer, head in heads]
    parts += [neuron_of(read, neuron, prompt) for neuron in read.neurons]
    return parts or [(own_site(read, prompt), None)]


def _stood_for(parts: Sequence[Part], context: Context, seed: int) -> Sequence[Part]:
    """The parts, or other heads of their blocks in a control."""
    if context.stands_in != "heads":
        return parts
    count = read_sizes(context.subject.folder.config)["h"]
    return [(s, neighbours.another(n, count, seed) if s.kind == "z" else n) for s, n in parts]


def _of_latents(
    read: Read,
    prompt: Prompt,
    context: Context,
    target_arguments: tuple[Ready, Sequence[int], Pair | None],
) -> Ready:
    """The gradient by the activations of latents: along their decoder rows."""
    assert read.feature is not None
    name, latent = read.feature
    whole, sites = read_by_dictionary(read, name, prompt, context)
    latents = [*latent] if isinstance(latent, tuple) else [latent]
    for k in latents:
        dictionaries.latent(whole, name, k)
    if read.steps > 1:
        raise DataError(f"{read.name}: by latents there is the gradient alone; leave out steps")
    check_latents(read.name, whole, sites)

    def number(reading: PassOutput) -> float:
        slope = _remembered(context.subject, read, reading, sites, target_arguments)[sites[0]]
        fall = float(by_latent(whole, slope)[:, latents].sum())
        return -fall if read.patch else fall

    return Ready(each(number))


def check_latents(name: str, dictionary: Dictionary, sites: Sequence[Site]) -> None:
    """Refuse a dictionary by whose latents no gradient is taken. Raises: DataError."""
    if len(sites) > 1 or dictionary.per_token:
        raise DataError(
            f"{name}: a gradient by latents is of a dictionary of one site that does not normalise "
            "each token by itself"
        )


def by_latent(dictionary: Dictionary, slope: Slope) -> Float[torch.Tensor, "n k"]:
    """By how much a read would fall, to first order, without each latent at some tokens, or with
    its activation on the other text of a pair: the difference of its activation times the gradient
    along its decoder row."""
    coder = dictionary.to(slope.acts.device)
    unit = effects.directions(coder, [*range(coder.width)]).double()
    codes = coder.encode(slope.acts.flatten(1).float()).double()
    if slope.other is not None:
        codes = codes - coder.encode(slope.other.flatten(1).float()).double()
    return codes * (slope.by.flatten(1) @ unit.T)
