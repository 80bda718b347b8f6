"""Editing: the edits of every prompt under an intervention or one of its near controls, for each
seed and each point of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import msgspec
from jaxtyping import Float

from assay.ask.measure import choosing, dictionaries, directions, edges, interventions, own_code
from assay.ask.measure.directions import Learner
from assay.ask.measure.heads import check as check_heads
from assay.ask.measure.interventions import Put
from assay.ask.measure.prompts import SLOT, PromptSet, chat, filled
from assay.ask.measure.seen import Prompt, prompt
from assay.ask.tables import Block, Direction, Intervention, Place, Plain, Read
from assay.controls import picks, vectors
from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.features import effects
from assay.subjects.batches import run_many
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

Places: TypeAlias = list[tuple[Site, list[int] | None]]
Rows: TypeAlias = 'Float[torch.Tensor, "s ..."]'
MOST = 2**29
"""Bytes of activations, at most, that are read in one pass for all points of a sweep."""
FEW = 8
"""So many other heads are all asked, a seed each."""
ANYTHING = 0.01
"""A head in which a change is smaller than this share of the largest one writes nothing."""
SIZED = 24
"""On so many prompts it is seen how much a change changes."""


@dataclass(frozen=True, eq=False)
class Editing:
    """What an intervention, or a control in its place, does to every prompt."""

    model: Pretrained
    prompts: Sequence[Prompt]
    """Those that are measured."""
    table: Intervention
    control: str
    """The near control that this is, by name; empty: the intervention itself."""
    tables: Sequence[Direction]
    """All directions of the study."""
    learner: Learner
    reads: Sequence[Read] = ()
    """Those of the study, by one of which parts may be chosen."""
    code: Callable[[str], Callable[..., Any]] = own_code.load
    """The user's own function of a name."""
    first: Intervention | None = None
    """What is done besides, before the intervention, under its controls too."""
    effects: choosing.Effects | None = None
    """What changes of single parts do to a read."""
    _tables: dict[str, Intervention] = field(default_factory=dict, init=False)
    """What `at` gave for each point."""
    _acts: dict[tuple[tuple[int, ...], Site], Rows] = field(default_factory=dict, init=False)
    """What sites have on texts with nothing done."""
    _others: dict[tuple[str, str], Prompt] = field(default_factory=dict, init=False)
    """The other text of each pair, by place and text of the row."""
    others: dict[tuple[int, str], list[tuple[int, int]]] = field(default_factory=dict, init=False)
    """The heads that the control `heads` took, as block and number, by seed and named heads."""

    def edits(self, variants: Sequence[tuple[int, Mapping[str, Plain]]]) -> list[list[Edits]]:
        """The edits of every prompt, one for each seed and point of the sweep. Raises: DataError,
        ModelError."""
        self._see_all(variants)
        edited = [self._of(seed, point) for seed, point in variants]
        if self.first is not None:
            name = self.table.name
            edited = [
                [
                    interventions.both(name, *two)
                    for two in zip(self._before(seed), own, strict=True)
                ]
                for (seed, _), own in zip(variants, edited, strict=True)
            ]
        return [[variant[p] for variant in edited] for p in range(len(self.prompts))]

    def _before(self, seed: int) -> list[Edits]:
        """The edits of every prompt that come before the intervention."""
        assert self.first is not None
        return replace(self, table=self.first, control="", first=None)._of(seed, {})

    def _of(self, seed: int, point: Mapping[str, Plain]) -> list[Edits]:
        table = self.at(point)
        way = interventions.way_of(table)
        for p in self.prompts:
            interventions.positions_of(table, p)  # what no prompt has is refused before any pass
        direction = interventions.direction_of(table, self.tables)
        if direction is not None:
            direction = interventions.filled(direction, point)
            places = self._places_of_direction(table, direction)
            vector = self._vector(direction, places[0][0], seed)
            for site, _ in places:
                if (width := self.model.folder.shape(site)) != tuple(vector.shape):
                    raise DataError(
                        f"{table.name!r}: the direction {direction.name!r} has {len(vector)} "
                        f"numbers, {site} has {' × '.join(map(str, width))} for each token"
                    )
            return [interventions.edits_of(table, p, places, vector=vector) for p in self.prompts]
        if way == "clamp":
            assert table.clamp is not None
            dictionary = self.learner.dictionary(table.clamp[0])
            site = choosing.site_of_latents(table, dictionary, self.model.folder)
            put = self._feature(table, site, seed)
            places = [(site, None)]
            return [interventions.edits_of(table, p, places, feature=put) for p in self.prompts]
        if table.block is not None:
            return self._blocked(table, table.block, seed)
        places = self._places(table, seed)
        sites = [site for site, _ in places]
        shift = self._shift(table, sites[0], seed) if self.control == "token" else 0
        if table.function:
            return [
                interventions.edits_of(
                    table, p, places, own=partial(self._own, table, p), shift=shift
                )
                for p in self.prompts
            ]
        if self.control == "neurons":
            table = msgspec.structs.replace(table, neurons=self._other_neurons(table, seed))
        if table.ablate == "zero":
            return [interventions.edits_of(table, p, places, shift=shift) for p in self.prompts]
        put_there = self._put(table, sites, seed, shift=shift)
        return [
            interventions.edits_of(table, p, places, rows=rows, shift=shift)
            for p, rows in zip(self.prompts, put_there, strict=True)
        ]

    def _see_all(self, variants: Sequence[tuple[int, Mapping[str, Plain]]]) -> None:
        """Read the sites of all points in one pass, where what they have is not too much."""
        tables = [self.at(p) for p in {repr(p): p for _, p in variants}.values()]
        if any(t.ablate == "zero" or not (t.ablate or t.patch) for t in tables) or self.control:
            return
        sites = dict.fromkeys(s for t in tables for s, _ in interventions.where(t, None))
        patched = [t.patch == "corrupted" for t in tables]
        texts = [] if all(patched) else list(self.prompts)
        if any(patched):
            texts += self._pairs(self.prompts)
        numbers = sum(len(p.tokens) for p in texts)
        shapes = [self.model.folder.width(s) for s in sites if "q" not in s.dims.split()]
        each = getattr(torch, self.model.dtype).itemsize
        if len(sites) > 1 and len(shapes) == len(sites) and each * numbers * sum(shapes) < MOST:
            self._seen(texts, list(sites))

    def at(self, point: Mapping[str, Plain]) -> Intervention:
        """The intervention at a point of its sweep, with the parts that are chosen for it."""
        if repr(point) not in self._tables:
            table = interventions.swept(self.table, point)
            if table.top is not None:
                known = choosing.Known(self.learner, self.tables, self.reads, self.effects)
                table = choosing.chosen(table, table.top, known)
            self._tables[repr(point)] = table
        return self._tables[repr(point)]

    def _own(self, table: Intervention, p: Prompt, site: Site, x: torch.Tensor) -> torch.Tensor:
        """What a user's own function makes of a site at some tokens."""
        return own_code.changed(table.function, self.code(table.function), site, x, p)

    def _other_neurons(self, table: Intervention, seed: int) -> tuple[int, ...]:
        """As many other neurons of the site, as large and as often on."""
        assert isinstance(table.site, str)
        acts = self._around(Site.parse(table.site)).flatten(1).abs()
        return tuple(_matched(table.neurons, acts, range(acts.shape[1]), seed))

    # directions -----------------------------------------------------------------------------------

    def _places_of_direction(self, table: Intervention, direction: Direction) -> Places:
        if table.site or direction.site:
            return interventions.where(table, direction)
        if direction.feature:
            return [(self.learner.site(direction), None)]
        return interventions.where(table, direction)

    def _vector(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, " d"]:
        """The direction of a seed, or what stands in its place in a control, as long."""
        learner = self.learner
        learned_at = learner.site(table, site)
        true = learner.vector(table, learned_at, seed)
        if self.control == "random" and table.feature:
            live = self._live(table.feature[0], learned_at)
            return vectors.as_long_as(learner.feature(table, live, seed), true)
        if self.control == "random":
            around = learner.spread(table, learned_at)
            around = self._around(site) if around is None else around
            return vectors.random_like(true, around, seed)
        if self.control == "shuffled":
            # of the length that learning it gives, as the true one has: stretched, it would be the
            # true one's opposite or itself wherever prompts differ in nothing else
            shuffled = learner.shuffled(table, learned_at, seed)
            return shuffled if table.difference else vectors.as_long_as(shuffled, true)
        if self.control == "tokens":
            return vectors.as_long_as(learner.tokens(table, seed), true)
        if self.control == "layer":
            return self._other_layer(table, learned_at, true, seed)
        return true

    def _other_layer(
        self, table: Direction, learned_at: Site, true: Float[torch.Tensor, " d"], seed: int
    ) -> Float[torch.Tensor, " d"]:
        """The direction of another layer, earlier or, where there is none yet, later, or else of
        the nearest block that has one. Raises: DataError where none has."""
        refusal: DataError | None = None
        far_ones = directions.far_layers(learned_at, self.model.layers)
        for far in (*far_ones, *directions.other_layers(learned_at, self.model.layers)):
            try:
                # with its share of the true one it would be the same explanation, as a stream hands
                # on its directions from block to block
                elsewhere = vectors.aside(self.learner.vector(table, far, seed), true)
                return vectors.as_long_as(elsewhere, true)
            except DataError as e:
                refusal = refusal or e
        assert refusal is not None
        raise refusal

    def _around(self, site: Site) -> Float[torch.Tensor, "n d"]:
        """What a site has at the tokens of the prompts, but for the first that the model reads,
        where activations are often many times larger than at any other."""
        acts = self._seen(self.prompts, [site])
        later = [a[site][1:] for a in acts]
        rows = torch.cat(later if any(map(len, later)) else [a[site] for a in acts])
        return rows.float()

    # features -------------------------------------------------------------------------------------

    def _feature(self, table: Intervention, site: Site, seed: int) -> Put:
        """What sets a latent; in the control, what adds as much along another one's row."""
        assert table.clamp is not None
        name, value = table.clamp[0], table.value
        latents = [*interventions.latents_of(table)]
        dictionary = self.learner.dictionary(name).to(self.model.device)
        single, columns = dictionary, latents
        if len(latents) == 1:
            single, k = dictionaries.latent(dictionary, name, latents[0])
            columns = [k]
        rows = latents
        if self.control == "random":
            rows = [directions.another(dictionary, latents[0], self._live(name, site), seed)]
        elif self.control == "latents":
            around = self._around(site).reshape(-1, dictionary.W_enc.shape[1])
            codes = torch.cat([dictionary.encode(some)[0] for some in around.split(1024)])
            live = self._live(name, site)
            rows = _matched(latents, codes, [*live, *latents], seed)
        lengths = effects.directions(dictionary, [*latents, *rows]).norm(dim=1)
        factors = lengths[: len(latents)] / lengths[len(latents) :] if self.control else 1.0

        def put(x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, dictionary.W_enc.shape[1]).float()
            change = factors * (value - single.encode(flat)[0][:, columns])
            added = effects.added(dictionary, rows, change, flat)
            return x + added.reshape(x.shape).to(x)

        return put

    def _live(self, name: str, site: Site) -> list[int]:
        """The latents that are on anywhere in the prompts, but for the first token."""
        dictionary = self.learner.dictionary(name).to(self.model.device)
        around = self._around(site).reshape(-1, dictionary.W_enc.shape[1])
        on = torch.zeros(dictionary.width, dtype=torch.bool, device=self.model.device)
        for some in around.split(1024):
            on |= (dictionary.encode(some)[0] != 0).any(0)
        return [int(k) for k in on.nonzero()[:, 0]]

    # places ---------------------------------------------------------------------------------------

    def _places(self, table: Intervention, seed: int) -> Places:
        """Where an ablation or a patch acts: at its own place, or where the control has it."""
        places = interventions.where(table, None)
        for site, heads in places:
            self.model.folder.check(site)
            if heads:
                check_heads(table.name, site.layer, heads, self.model.folder.shape(site)[0])
        if self.control == "heads":
            return self._other_heads(table, places, seed)
        if self.control == "layer":
            return [
                (self._elsewhere(table, site, [s for s, _ in places], seed), heads)
                for site, heads in places
            ]
        return places

    def _other_heads(self, table: Intervention, places: Places, seed: int) -> Places:
        """Take for the heads of each block as many others of the block, those that follow in turn
        where the last seed's end, so that all are asked. Heads that write nothing are no excuse:
        where others are few, all are taken in which the same change changes anything, else that
        half in which it changes most. Where a block has too few, the next blocks' follow."""
        excluded = {(site.layer or 0, head) for site, heads in places for head in heads or ()}
        replacements: set[tuple[int, int]] = set()
        for site, heads in places:
            assert site.layer is not None and heads is not None
            near = sorted(range(self.model.layers), key=partial(_apart, site.layer))
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
                raise DataError(
                    f"{table.name!r}: the model does not have as many other heads as are "
                    "named; name fewer heads, or other controls"
                )
        by_layer: dict[int, list[int]] = {}
        for layer, head in sorted(replacements):
            by_layer.setdefault(layer, []).append(head)
        self.others[seed, repr(table.heads)] = sorted(replacements)
        return [(Site("z", layer), numbers) for layer, numbers in by_layer.items()]

    def _blocked(self, table: Intervention, block: Block, seed: int) -> list[Edits]:
        """The edits that block attention, at its own tokens and heads, or at the control's."""
        count = read_sizes(self.model.folder.config)["h"]
        here = edges.places(table.name, block, self.model.layers, count)
        pairs = [edges.pairs(block, p) for p in self.prompts]

        def patterns(layers: Iterable[int | None]) -> list[dict[Site, Rows]]:
            return self._seen(self.prompts, [Site("pattern", n) for n in dict.fromkeys(layers)])

        def paid(layer: int) -> float:
            return float(edges.paid(patterns([layer]), pairs, layer).mean())

        if self.control == "heads":
            acts = patterns(s.layer for s, _ in here)
            here = edges.other_heads(table.name, here, pairs, acts, seed)
        elif self.control == "layer":
            here = edges.elsewhere(table.name, here, self.model.layers, paid)
        elif self.control == "token":
            acts = patterns(s.layer for s, _ in here)
            pairs = [
                edges.other_tokens(p, pair, edges.seen(a, here, pair))
                for p, pair, a in zip(self.prompts, pairs, acts, strict=True)
            ]
        return [edges.blocked(block, here, pair) for pair in pairs]

    def _elsewhere(
        self, table: Intervention, site: Site, changed: Sequence[Site], seed: int
    ) -> Site:
        """Go to this site a third of the model away, earlier or later: where the change is larger
        beside the stream, so that a dead place is no excuse. Raises: DataError where there is
        none."""
        layers = self.model.layers
        if site.layer is None:
            raise DataError(f"{site} is in no other block; name other controls")
        step, start = max(1, layers // 3), site.layer
        occupied = {s.layer for s in changed if s.kind == site.kind}
        free = [n for n in range(layers) if n not in occupied]
        sides = ([n for n in free if n < site.layer], [n for n in free if n > site.layer])
        near = [min(side, key=lambda n: abs(_apart(start, n) - step)) for side in sides if side]
        if not near:
            raise DataError(f"{site} is in no other block that is free; name other controls")
        sizes = {}
        for layer in near:
            stream = self._seen(self.prompts[:SIZED], [Site("resid_pre", layer)])
            every = torch.cat([x for acts in stream for x in acts.values()])
            stream_size = every.norm(dim=-1).median()
            size = self._sizes(table, Site(site.kind, layer), seed, by_head=False)
            sizes[layer] = float(size / stream_size)
        return Site(site.kind, max(near, key=sizes.__getitem__))

    def _shift(self, table: Intervention, site: Site, seed: int) -> int:
        """By how many tokens the change is moved: to where it changes most of what is there, so
        that a token at which both texts are alike is no excuse. Raises: DataError where no prompt
        has room."""
        some = self.prompts[:SIZED]
        positions = [p.at(table.position) for p in self.prompts]
        least = max(max(1, p.opening) - t for p, t in zip(self.prompts, positions, strict=True))
        most = min(len(p.tokens) - 1 - t for p, t in zip(self.prompts, positions, strict=True))
        sizes: dict[int, float] = {}
        for shift in sorted((n for n in range(least, most + 1) if n), key=lambda n: (abs(n), n)):
            new = self._put(table, [site], seed, some, shift) if table.ablate != "zero" else None
            shares = []
            there = (
                self._seen(some, [site]) if table.patch != "clean" else self._spoiled(some, site)
            )
            for i, (t, acts) in enumerate(zip(positions, there, strict=False)):
                old = acts[site][t + shift].float()
                value = 0 * old if new is None else new[i][site][t + shift].float()
                shares.append(float((value - old).norm() / old.norm().clamp_min(1e-30)))
            sizes[shift] = round(sum(shares), 4)
        if not sizes:
            raise DataError(
                f"{table.name!r}: the control `token` moves the change to another token, and there "
                f"is none that all prompts have around {table.position}; name other controls"
            )
        return max(sizes, key=sizes.__getitem__)

    def _sizes(
        self, table: Intervention, site: Site, seed: int, *, by_head: bool = True
    ) -> torch.Tensor:
        """How long the change of a site is on the average over tokens that are changed, but for the
        first; of each head, where it has them."""
        some = self.prompts[:SIZED]
        old = [acts[site] for acts in self._seen(some, [site])]
        new = self._put(table, [site], seed, some) if table.ablate != "zero" else None
        sizes = []
        for i, (p, x) in enumerate(zip(some, old, strict=True)):
            change = x if new is None else new[i][site] - x
            where = interventions.positions_of(table, p)
            if "q" not in site.dims.split():
                where = slice(max(1, p.opening), None) if isinstance(where, slice | None) else where
                change = change[where]
            axes = change.shape[:2] if by_head else change.shape[:1]
            sizes.append(change.float().reshape(*axes, -1).norm(dim=-1))
        return torch.cat(sizes).mean(0)

    # what is put there ----------------------------------------------------------------------------

    def _put(
        self,
        table: Intervention,
        sites: Sequence[Site],
        seed: int,
        prompts: Sequence[Prompt] | None = None,
        shift: int = 0,
    ) -> list[dict[Site, Rows]]:
        """What goes to the sites of each prompt, a row for each of its tokens."""
        some = self.prompts if prompts is None else prompts
        if table.function:
            return [
                {s: self._own(table, p, s, x[None])[0] for s, x in acts.items()}
                for p, acts in zip(some, self._seen(some, sites), strict=True)
            ]
        if table.noise:
            return [
                {s: x + table.noise * self._noise(p, s, x, seed) for s, x in acts.items()}
                for p, acts in zip(some, self._seen(some, sites), strict=True)
            ]
        if table.ablate == "mean":
            return self._means(table, sites, some, shift)
        place: Place = table.position
        measured = self.learner.measured
        if table.patch == "corrupted" and self.control != "unrelated":
            partners = self._pairs(some)
            for p, other in zip(some, partners, strict=True):
                if why := misfit(p, other, place, measured):
                    raise DataError(f"{p.row.place}: {why}")
        elif table.patch == "clean" and self.control != "unrelated":
            partners = list(some)
        else:
            partners = self._partners(some, place, seed)
        acts = self._seen(partners, sites)
        return [
            {s: _aligned(s, values[s], p, other, place, measured, shift) for s in sites}
            for p, other, values in zip(some, partners, acts, strict=True)
        ]

    def _noise(self, p: Prompt, site: Site, x: Rows, seed: int) -> Rows:
        """Noise as large as what a site has over the prompts, of a prompt and a seed."""
        draw = rng.generator(seed, f"ask.noise.{site}", self._number.get(p.tokens, 0))
        numbers = torch.from_numpy(draw.standard_normal(tuple(x.shape))).to(x)
        return numbers * self._around(site).std()

    def _spoiled(self, prompts: Sequence[Prompt], site: Site) -> list[dict[Site, Rows]]:
        """What a site has where what comes before the intervention was done."""
        number = {p.tokens: edits for p, edits in zip(self.prompts, self._before(0), strict=True)}
        edits = [[number[p.tokens]] for p in prompts]
        tokens = [p.tokens for p in prompts]
        traces = run_many(self.model, tokens, edits, capture=[site], logits=False)
        return [{site: traced[0].acts[site][0]} for traced in traces]

    def _means(
        self, table: Intervention, sites: Sequence[Site], some: Sequence[Prompt], shift: int
    ) -> list[dict[Site, Rows]]:
        """Means over the prompts: at one position that of this position; at all that of all tokens,
        where the first that the model reads, often many times larger, has a mean of its own."""
        for site in sites:
            self.model.folder.shape(site)  # refuses sites that have no row for each token
        acts = self._seen(self.prompts, sites)
        means: list[dict[Site, Rows]] = [{} for _ in some]
        for site in sites:
            values = [x[site] for x in acts]
            if table.position != "all":
                positions = [p.at(table.position) + shift for p in self.prompts]
                rows = [x[t] for t, x in zip(positions, values, strict=True)]
                mean = torch.stack(rows).mean(0)
                first = mean
            else:
                first = torch.stack([x[0] for x in values]).mean(0)
                later = [x[max(1, p.opening) :] for p, x in zip(self.prompts, values, strict=True)]
                mean = torch.cat(later).mean(0) if any(map(len, later)) else first
            by_length = {  # prompts of one length share theirs
                n: torch.cat([first[None], mean.expand(n - 1, *mean.shape)])
                for n in {len(p.tokens) for p in some}
            }
            for row, p in zip(means, some, strict=True):
                row[site] = by_length[len(p.tokens)]
        return means

    def _pairs(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The other text of each prompt."""
        for p in prompts:
            if (p.row.place, p.row.text) not in self._others:
                self._others[p.row.place, p.row.text] = corrupted(self.learner.measured, p)
        return [self._others[p.row.place, p.row.text] for p in prompts]

    def _partners(self, prompts: Sequence[Prompt], place: Place, seed: int) -> list[Prompt]:
        """Draw for each prompt another one: of as many tokens where all are changed and there is
        one, else of more, else of fewer. Raises: DataError where there is none."""
        distinct = {q.tokens: q for q in self.prompts}
        by_length: dict[int, list[Prompt]] = {}
        for q in distinct.values():
            by_length.setdefault(len(q.tokens), []).append(q)
        chosen = []
        for p in prompts:
            excluded = {p.tokens}
            if self.table.patch == "corrupted":  # another row may be the pair's other text
                excluded.add(corrupted(self.learner.measured, p).tokens)

            def others(
                pool: Iterable[Prompt], excluded: set[tuple[int, ...]] = excluded
            ) -> list[Prompt]:
                return [q for q in pool if q.tokens not in excluded]

            length = len(p.tokens)
            pool = others(by_length[length]) if place == "all" else []
            if not pool and place == "all":
                pool = others(q for n, group in by_length.items() if n > length for q in group)
            pool = pool or others(distinct.values())
            if not pool:
                raise DataError(
                    f"{p.row.place}: no other prompt has other tokens, so nothing can be taken "
                    "from one; write more prompts"
                )
            i = self._number[p.tokens]
            chosen.append(pool[picks.pick(seed, "ask.partner", i, len(pool))])
        return chosen

    @cached_property
    def _number(self) -> Mapping[tuple[int, ...], int]:
        return {p.tokens: i for i, p in enumerate(self.prompts)}

    def _seen(self, prompts: Sequence[Prompt], sites: Sequence[Site]) -> list[dict[Site, Rows]]:
        """What sites have on texts with nothing done; each is read once."""
        lacking = {
            p.tokens: None for p in prompts if any((p.tokens, s) not in self._acts for s in sites)
        }
        if lacking:
            capture = list(dict.fromkeys(sites))
            traces = run_many(self.model, list(lacking), capture=capture, logits=False)
            for tokens, traced in zip(lacking, traces, strict=True):
                self._acts.update({(tokens, s): x[0].clone() for s, x in traced[0].acts.items()})
        return [{s: self._acts[p.tokens, s] for s in sites} for p in prompts]


def _matched(
    named: Sequence[int], acts: Float[torch.Tensor, "n part"], pool: Iterable[int], seed: int
) -> list[int]:
    """As many other parts that are as large and as often on, others as seeds go on. Raises:
    DataError where the pool has not as many."""
    pool = [*dict.fromkeys([*named, *pool])]
    sizes = [acts.mean(0).tolist(), (acts > 0).float().mean(0).tolist()]
    draws = picks.matched(named, pool, [{n: x[n] for n in pool} for x in sizes], FEW)
    return draws[seed % len(draws)]


def _apart(first: int, second: int) -> int:
    return abs(first - second)


def _many(sizes: Sequence[float]) -> int:
    """How many heads may stand in for others, by what they write, the most first."""
    if len(sizes) > FEW:
        return -(-len(sizes) // 2)
    return sum(size > ANYTHING * max(sizes) for size in sizes) or len(sizes)


def corrupted(prompts: PromptSet, p: Prompt) -> Prompt:
    """The other text of a pair, as tokens. Raises: DataError where the row has none."""
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


def misfit(p: Prompt, other: Prompt, place: Place, prompts: PromptSet) -> str:
    """Say why a pair cannot be patched, without its row; "" where it can be."""
    if p.tokens == other.tokens:
        return "both texts of the pair are the same, so nothing changes"
    if place == "all" and len(p.tokens) != len(other.tokens):
        return (
            "the other text of its pair has another number of tokens: to patch all positions, "
            "write pairs of equal length; or patch one token, as with position = -1"
        )
    if place != "all" and _source(p, other, place, prompts) is None:
        return (
            f"its pair has another number of tokens and no slot {place}; write corrupted = "
            f'"…", the text of the prompts with {place}, or one other slot in its place, or say '
            "position = -1"
        )
    return ""


def _source(p: Prompt, other: Prompt, place: Place, prompts: PromptSet) -> int | None:
    """Which token of another text stands for one of a prompt's: that of the same slot; of texts as
    long that of the same number; else that of the slot which the other text has in its place. None
    where none does."""
    slot = place.strip("{}") if isinstance(place, str) else ""
    if not slot or slot in other.row.spans:
        return other.at(place)
    if len(p.tokens) == len(other.tokens):
        return p.at(place)
    if prompts.table.messages:
        return None
    ours, theirs = map(SLOT.split, (prompts.template(p.row), str(prompts.table.corrupted)))
    if ours[::2] != theirs[::2]:  # the texts between the slots
        return None
    stands_in = dict(zip(ours[1::2], theirs[1::2], strict=True)).get(slot)
    return None if stands_in is None else other.at(f"{{{stands_in}}}")


def _aligned(
    site: Site,
    rows: Rows,
    p: Prompt,
    other: Prompt,
    place: Place,
    prompts: PromptSet,
    shift: int = 0,
) -> Rows:
    """What another text has, a row for each token of the prompt: of one position the row that goes
    there, else token by token from the first, the last of a shorter one standing for all that it
    lacks. Raises:
    DataError where it has no such position, or a site has no row for each token."""
    n, m = len(p.tokens), len(other.tokens)
    if "q" in site.dims.split():
        if n != m:
            raise DataError(
                f"{p.row.place} has {n} tokens, and the text that is patched in has {m}; {site} "
                "has a number for each pair of tokens, so both must have the same number"
            )
        return rows
    if place == "all":
        return rows[:n] if n <= m else torch.cat([rows, rows[-1:].expand(n - m, *rows.shape[1:])])
    source = _source(p, other, place, prompts)
    if source is None:
        raise DataError(f"{p.row.place}: the text that is patched in has no slot {place}")
    # a pair's other text may end sooner; at every token, as no other is put
    return rows[min(max(0, source + shift), m - 1)].expand(n, *rows.shape[1:])
