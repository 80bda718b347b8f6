"""Elsewhere: where a change is made, or where a near control makes it instead: in other heads, in
another layer, or at another token. Replacements are chosen where the change is large, so that a
control is not passed by a part that does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from assay.ask.measure import edges, interventions, neighbours
from assay.ask.measure.heads import check_heads
from assay.ask.measure.pairs import Rows
from assay.ask.measure.replacements import Replacements
from assay.ask.measure.tokenized import Prompt
from assay.ask.tables import Block, Intervention, Position
from assay.controls import picks
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

Places: TypeAlias = list[tuple[Site, list[int] | None]]
"""Sites, each with the heads that are changed there; None: the whole site."""
FEW = 8
"""Up to this many other heads are all used, in turn as seeds go on."""
ANYTHING = 0.01
"""A head writes nothing if a change in it is smaller than this share of the largest one."""
SIZED = 24
"""Number of prompts on which the size of a change is measured."""


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Where an intervention, or its control, acts."""

    model: Pretrained
    prompts: Sequence[Prompt]
    control: str
    """The name of the near control; empty for the intervention itself."""
    source: Replacements
    avoids: tuple[Position, ...] = ()
    """Positions that other arms change, which the control `token` leaves alone."""
    shifts: dict[tuple[int, str], int] = field(default_factory=dict, init=False)
    """By how many tokens the control `token` moves a change, by seed and change."""
    others: dict[tuple[int, str], list[tuple[int, int]]] = field(default_factory=dict, init=False)
    """The heads that the control `heads` uses, as block and number, by seed and named heads."""
    blocks: dict[tuple[int, str], list[int]] = field(default_factory=dict, init=False)
    """The blocks that the control `layer` uses, by seed and change."""

    def places(self, table: Intervention, seed: int) -> Places:
        """Where an ablation or a patch acts: at its own place, or at that of the control; for
        `all_but`, in all other heads."""
        places = self._places(table, seed)
        if not (table.all_but and table.heads):
            return places
        changed = {(site.layer, head) for site, heads in places for head in heads or ()}
        each = range(read_sizes(self.model.folder.config)["h"])
        others = {n: [h for h in each if (n, h) not in changed] for n in range(self.model.layers)}
        return [(Site("z", n), heads) for n, heads in others.items() if heads]

    def _places(self, table: Intervention, seed: int) -> Places:
        places = interventions.where(table, None)
        for site, heads in places:
            self.model.folder.check(site)
            if heads:
                check_heads(table.name, site.layer, heads, self.model.folder.shape(site)[0])
        if self.control == "random-heads":
            return self._random_heads(table, places, seed)
        if self.control == "heads":
            return self._other_heads(table, places, seed)
        if self.control == "layer":
            places = self._elsewhere(table, places, seed)
        return interventions.widened(table, places, self.model.layers)

    def _other_heads(self, table: Intervention, places: Places, seed: int) -> Places:
        """Replace the heads of each block by as many others, in turn as seeds go on so that all are
        used. If there are few others, all in which the same change has an effect are used,
        otherwise the half in which it is largest. If a block has too few, the nearest blocks
        follow."""
        excluded = {(site.layer or 0, head) for site, heads in places for head in heads or ()}
        replacements: set[tuple[int, int]] = set()
        for site, heads in places:
            assert site.layer is not None and heads is not None
            distances = [abs(n - site.layer) for n in range(self.model.layers)]
            near = sorted(range(self.model.layers), key=distances.__getitem__)
            missing = len(heads)
            while missing and near:
                layer = near.pop(0)
                written = Site("result", layer)  # what heads add to the stream; else what they read
                if "result" not in self.model.folder.architecture.sites:
                    written = Site("z", layer)
                sizes = self._sizes(table, written, 0)  # the same others for each seed
                candidates = [
                    head
                    for head in sizes.argsort(descending=True).tolist()
                    if (layer, head) not in excluded | replacements
                ]
                pool = candidates[: max(missing, _many(sizes[candidates].tolist()))]
                first = seed * missing
                chosen = [pool[(first + i) % len(pool)] for i in range(min(missing, len(pool)))]
                replacements |= {(layer, head) for head in chosen}
                missing -= len(chosen)
            if missing:
                raise DataError(few_heads(table))
        return self._taken(table, sorted(replacements), seed)

    def _random_heads(self, table: Intervention, places: Places, seed: int) -> Places:
        """Replace heads by as many random ones of the whole model."""
        changed_heads = [(site.layer or 0, head) for site, heads in places for head in heads or ()]
        each = read_sizes(self.model.folder.config)["h"]
        pool = [(layer, head) for layer in range(self.model.layers) for head in range(each)]
        return self._taken(table, picks.random_others(changed_heads, pool, seed), seed)

    def _taken(self, table: Intervention, heads: Sequence[tuple[int, int]], seed: int) -> Places:
        """The places of these heads, which are recorded as those of the control."""
        self.others[seed, repr(table.heads)] = [*heads]
        by_layer: dict[int, list[int]] = {}
        for layer, head in heads:
            by_layer.setdefault(layer, []).append(head)
        return [(Site("z", layer), numbers) for layer, numbers in by_layer.items()]

    def _elsewhere(self, table: Intervention, places: Places, seed: int) -> Places:
        """Move each site to another block, a third of the model away, earlier or later, where the
        change is larger relative to the stream. Raises: DataError if too few are free."""
        layers = self.model.layers
        occupied = {site for site, _ in interventions.widened(table, places, layers)}
        moved: Places = []
        for site, heads in places:
            if site.layer is None:
                raise DataError(f"{site} is in no other block; name other controls")

            def around(n: int, kind: str = site.kind) -> set[Site]:
                wide = interventions.widened(table, [(Site(kind, n), None)], layers)
                return {s for s, _ in wide}

            def size(n: int, kind: str = site.kind) -> float:
                stream = self.source.seen(self.prompts[:SIZED], [Site("resid_pre", n)])
                every = torch.cat([x for acts in stream for x in acts.values()])
                changed = self._sizes(table, Site(kind, n), seed, by_head=False)
                return float(changed / every.norm(dim=-1).median())

            free = [n for n in range(layers) if not around(n) & occupied]
            moved.append(
                (Site(site.kind, neighbours.third_away(site.layer, free, layers, size)), heads)
            )
            occupied.add(moved[-1][0])
        self.blocks[seed, repr(table)] = [site.layer or 0 for site, _ in moved]
        return moved

    def shift(self, table: Intervention, site: Site, seed: int) -> int:
        """By how many tokens the change is moved: to where it changes most, so that a token at
        which both texts agree is not used. Raises: DataError if no shift fits all prompts."""
        prompts = self.prompts[:SIZED]
        spoiled = table.patch == "clean"
        there = self.source.spoiled(prompts, site) if spoiled else self.source.seen(prompts, [site])
        sizes: dict[int, float] = {}
        for shift in free_shifts(table, self.prompts, self.avoids):
            zero = table.ablate == "zero"
            new = None if zero else self.source.rows(table, [site], seed, prompts, shift)
            shares = []
            for i, (p, acts) in enumerate(zip(prompts, there, strict=True)):
                positions = interventions.positions_of(table, p, shift)
                old = acts[site][positions].float()
                value = 0 * old if new is None else new[i][site][positions].float()
                shares.append(float((value - old).norm() / old.norm().clamp_min(1e-30)))
            sizes[shift] = round(sum(shares), 4)
        if not sizes:
            raise DataError(nowhere(table, self.avoids))
        best = max(sizes, key=sizes.__getitem__)
        self.shifts[seed, repr(table)] = best
        return best

    def _sizes(
        self, table: Intervention, site: Site, seed: int, *, by_head: bool = True
    ) -> torch.Tensor:
        """The mean length of the change of a site over the changed tokens, without the first; for
        each head, if it has heads."""
        prompts = self.prompts[:SIZED]
        old = [acts[site] for acts in self.source.seen(prompts, [site])]
        new = self.source.rows(table, [site], seed, prompts) if table.ablate != "zero" else None
        sizes = []
        for i, (p, x) in enumerate(zip(prompts, old, strict=True)):
            change = x if new is None else new[i][site] - x
            where = interventions.positions_of(table, p)
            if "q" not in site.dims.split():
                where = slice(max(1, p.opening), None) if isinstance(where, slice | None) else where
                change = change[where]
            axes = change.shape[:2] if by_head else change.shape[:1]
            sizes.append(change.float().reshape(*axes, -1).norm(dim=-1))
        return torch.cat(sizes).mean(0)

    def blocked(self, table: Intervention, block: Block, seed: int) -> list[Edits]:
        """The edits that block attention, at its own tokens and heads, or at those of the
        control."""
        count = read_sizes(self.model.folder.config)["h"]
        here = edges.places(table.name, block, self.model.layers, count)
        here = interventions.widened(table, here, self.model.layers)
        pairs = [edges.pairs(block, p) for p in self.prompts]

        def patterns(layers: Iterable[int | None]) -> list[dict[Site, Rows]]:
            return self.source.seen(
                self.prompts, [Site("pattern", n) for n in dict.fromkeys(layers)]
            )

        def paid(layer: int) -> float:
            return float(edges.paid(patterns([layer]), pairs, layer).mean())

        if self.control == "heads":
            acts = patterns(s.layer for s, _ in here)
            here = edges.other_heads(table.name, here, pairs, acts, seed)
        elif self.control == "layer":
            here = edges.elsewhere(here, self.model.layers, paid)
            self.blocks[seed, repr(table)] = [site.layer or 0 for site, _ in here]
        elif self.control == "token":
            acts = patterns(s.layer for s, _ in here)
            weights = [edges.seen(a, here, pair) for a, pair in zip(acts, pairs, strict=True)]
            own, pairs = pairs, [*map(edges.other_tokens, self.prompts, pairs, weights)]
            most = max(pairs[0][1], key=lambda k: float(weights[0][k]))
            self.shifts[seed, repr(table)] = most - own[0][1][0]
        return [edges.blocked(block, here, pair) for pair in pairs]


def free_shifts(
    table: Intervention, prompts: Sequence[Prompt], avoids: tuple[Position, ...]
) -> list[int]:
    """By how many tokens a change, or the second place of a swap, can be moved so that every prompt
    has the new tokens and none is an old one or one to avoid; the smallest shifts first."""
    positions = [p.all_at(table.position) for p in prompts]
    moving = positions
    if table.patch == interventions.SWAPPED:
        moving = [interventions.swapped(table, p)[1] for p in prompts]
    pairs = [*zip(prompts, moving, strict=True)]
    used = [{*old, *p.all_at(avoids)} for p, old in zip(prompts, positions, strict=True)]
    lowest = max(max(1, p.opening) - min(old) for p, old in pairs)
    highest = min(len(p.tokens) - 1 - max(old) for p, old in pairs)
    free = [
        n
        for n in range(lowest, highest + 1)
        if all(
            {t + n for t in move}.isdisjoint(old) for move, old in zip(moving, used, strict=True)
        )
    ]
    return sorted(free, key=lambda n: (abs(n), n))


def few_heads(table: Intervention) -> str:
    """Say that there are too few other heads."""
    return (
        f"{table.name!r}: the model does not have as many other heads as are "
        "named; name fewer heads, or other controls"
    )


def nowhere(table: Intervention, avoids: tuple[Position, ...]) -> str:
    """Say that the control `token` has no token to which it could move a change."""
    rival = ""
    if avoids:
        rival = (
            f", but for {interventions.token_in_words(avoids)}, which the claim compares it with"
        )
    return (
        f"{table.name!r}: the control `token` moves the change to another token, and there "
        f"is none that all prompts have around {interventions.token_in_words(table.position)}"
        f"{rival}; name other controls"
    )


def _many(sizes: Sequence[float]) -> int:
    """How many heads may replace others, given what they write, the most first."""
    if len(sizes) > FEW:
        return -(-len(sizes) // 2)
    return sum(size > ANYTHING * max(sizes) for size in sizes) or len(sizes)
