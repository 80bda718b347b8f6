"""Replacements: the activations that an intervention puts in: those of the pair's other text, of
another prompt, means, noise, a swap, or the result of a user's function. `rows` gives them; `seen`
reads activations without a change, each text once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jaxtyping import Float

from assay.ask.measure import interventions, own_code
from assay.ask.measure.directions import Learner
from assay.ask.measure.pairs import Rows, aligned, corrupted, misfit
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.tokenized import Prompt, prompt
from assay.ask.tables import Intervention, Positions
from assay.controls import picks
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.batches import run_many
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.train import rng


@dataclass(frozen=True, eq=False)
class Replacements:
    """The activations that replace those of sites, on the prompts of an arm."""

    model: Pretrained
    prompts: Sequence[Prompt]
    table: Intervention
    """The intervention with its sweep."""
    control: str
    """The name of the near control; empty for the intervention itself."""
    learner: Learner
    shown: PromptSet
    """The table of the measured prompts."""
    code: Callable[[str], Callable[..., Any]]
    """The user's own function of a name."""
    before: Callable[[int], list[Edits]]
    """The edits of every prompt that precede the intervention, by seed."""
    _acts: dict[tuple[tuple[int, ...], Site], Rows] = field(default_factory=dict, init=False)
    """Activations of texts without a change."""
    _others: dict[tuple[str, str], Prompt] = field(default_factory=dict, init=False)
    """The other text of each pair, by place and text of the row."""
    _sources: dict[str, Sequence[Prompt]] = field(default_factory=dict, init=False)
    """The prompts of each source, by name."""

    def rows(
        self,
        table: Intervention,
        sites: Sequence[Site],
        seed: int,
        prompts: Sequence[Prompt] | None = None,
        shift: int = 0,
    ) -> list[dict[Site, Rows]]:
        """The replacement at the sites of each prompt, one row per token. `Elsewhere` compares them
        with the original activations to see how large a change is."""
        chosen = self.prompts if prompts is None else prompts
        if table.function:
            return [
                {s: self.own(table, p, s, x[None])[0] for s, x in acts.items()}
                for p, acts in zip(chosen, self.seen(chosen, sites), strict=True)
            ]
        if table.scale is not None:
            return [{s: x * table.scale for s, x in a.items()} for a in self.seen(chosen, sites)]
        if table.noise:
            return [
                {s: x + table.noise * self._noise(p, s, x, seed) for s, x in acts.items()}
                for p, acts in zip(chosen, self.seen(chosen, sites), strict=True)
            ]
        if table.ablate == "mean":
            return self._means(table, sites, chosen, shift)
        if table.patch == interventions.SWAPPED:
            return [
                self._swapped(table, p, acts, shift)
                for p, acts in zip(chosen, self.seen(chosen, sites), strict=True)
            ]
        place = table.position
        measured = self.shown
        if self.control != "unrelated" and table.patch == "corrupted":
            partners = self.pairs(chosen)
            for p, other in zip(chosen, partners, strict=True):
                if why := misfit(p, other, place, measured):
                    raise DataError(f"{p.row.place}: {why}")
        elif self.control != "unrelated" and table.patch == "clean":
            partners = list(chosen)
        elif table.patch or table.ablate == "resample":
            partners = self.partners(chosen, place, seed)
        else:
            raise TypeError(f"{table.name!r} puts no activations there: {table}")
        acts = self.seen(partners, sites)
        return [
            {s: aligned(s, values[s], p, other, place, measured, shift) for s in sites}
            for p, other, values in zip(chosen, partners, acts, strict=True)
        ]

    def _swapped(
        self, table: Intervention, p: Prompt, acts: Mapping[Site, Rows], shift: int
    ) -> dict[Site, Rows]:
        """Activations with those of two places of a prompt swapped."""
        first, second = interventions.swapped(table, p, shift)
        order = [*range(len(p.tokens))]
        for first_token, second_token in zip(first, second, strict=True):
            order[first_token], order[second_token] = second_token, first_token
        return {site: x[order] for site, x in acts.items()}

    def own(self, table: Intervention, p: Prompt, site: Site, x: torch.Tensor) -> torch.Tensor:
        """The result of a user's function for a site at some tokens."""
        return own_code.changed(
            table.function, self.code(table.function), site, x, p, self.model.model
        )

    def _noise(self, p: Prompt, site: Site, x: Rows, seed: int) -> Rows:
        """Noise with the standard deviation of a site over the prompts, by prompt and seed."""
        draw = rng.generator(seed, f"ask.noise.{site}", self._number.get(p.tokens, 0))
        numbers = torch.from_numpy(draw.standard_normal(tuple(x.shape))).to(x)
        return numbers * self.around(site).std()

    def spoiled(self, prompts: Sequence[Prompt], site: Site) -> list[dict[Site, Rows]]:
        """The activations of a site after the change that precedes the intervention."""
        number = {p.tokens: edits for p, edits in zip(self.prompts, self.before(0), strict=True)}
        edits = [[number[p.tokens]] for p in prompts]
        tokens = [p.tokens for p in prompts]
        traces = run_many(self.model, tokens, edits, capture=[site], logits=False)
        return [{site: traced[0].acts[site][0]} for traced in traces]

    def _means(
        self, table: Intervention, sites: Sequence[Site], prompts: Sequence[Prompt], shift: int
    ) -> list[dict[Site, Rows]]:
        """Means over the prompts: at a single position of that position; at all positions over all
        tokens, with a separate mean for the first token that the model reads, which is often many
        times larger."""
        for site in sites:
            self.model.folder.shape(site)  # refuses sites that have no row for each token
        pool, place = self._pool(table), table.position
        is_own_pool = pool is self.prompts
        if not is_own_pool and table.source_position != "":
            place = table.source_position
        acts, moved = self.seen(pool, sites), shift if is_own_pool else 0
        means: list[dict[Site, Rows]] = [{} for _ in prompts]
        for site in sites:
            values = [x[site] for x in acts]
            if place != "all":
                positions = [[n + moved for n in p.all_at(place)] for p in pool]
                rows = [x[places] for places, x in zip(positions, values, strict=True)]
                one_each = len({*map(len, rows)}) == 1 and place == table.position
                if isinstance(table.position, tuple) and one_each:
                    each = torch.stack(rows).mean(0)  # one mean for each of several positions
                    for row, p in zip(means, prompts, strict=True):
                        row[site] = values[0].new_zeros(len(p.tokens), *each.shape[1:])
                        row[site][[n + shift for n in p.all_at(table.position)]] = each
                    continue
                mean = torch.cat(rows).mean(0)
                first = mean
            else:
                first = torch.stack([x[0] for x in values]).mean(0)
                later = [x[max(1, p.opening) :] for p, x in zip(pool, values, strict=True)]
                mean = torch.cat(later).mean(0) if any(map(len, later)) else first
            by_length = {  # prompts of equal length share theirs
                n: torch.cat([first[None], mean.expand(n - 1, *mean.shape)])
                for n in {len(p.tokens) for p in prompts}
            }
            for row, p in zip(means, prompts, strict=True):
                row[site] = by_length[len(p.tokens)]
        return means

    def _pool(self, table: Intervention) -> Sequence[Prompt]:
        """The prompts whose activations are used: those of the source, if there is one."""
        if not table.source or self.control == "own":
            return self.prompts
        if table.source not in self._sources:
            rows = self.learner.sources[table.source].rows
            self._sources[table.source] = [prompt(self.model.folder, row) for row in rows]
        return self._sources[table.source]

    def pairs(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The other text of each prompt."""
        for p in prompts:
            if (p.row.place, p.row.text) not in self._others:
                self._others[p.row.place, p.row.text] = corrupted(self.shown, p)
        return [self._others[p.row.place, p.row.text] for p in prompts]

    def partners(self, prompts: Sequence[Prompt], place: Positions, seed: int) -> list[Prompt]:
        """Draw another prompt for each: if all tokens are changed, one of equal length if there is
        one, then a longer one, then a shorter one. Raises: DataError if there is none."""
        distinct = {q.tokens: q for q in self._pool(self.table)}
        by_length: dict[int, list[Prompt]] = {}
        for q in distinct.values():
            by_length.setdefault(len(q.tokens), []).append(q)
        chosen = []
        for p in prompts:
            excluded = {p.tokens}
            if self.table.patch == "corrupted":  # another row may be the pair's other text
                excluded.add(corrupted(self.shown, p).tokens)

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

    def around(self, site: Site) -> Float[torch.Tensor, "n d"]:
        """The activations of a site at the tokens of the prompts, without the first token that the
        model reads, where they are often many times larger."""
        acts = self.seen(self.prompts, [site])
        later = [a[site][1:] for a in acts]
        rows = torch.cat(later if any(map(len, later)) else [a[site] for a in acts])
        return rows.float()

    def seen(self, prompts: Sequence[Prompt], sites: Sequence[Site]) -> list[dict[Site, Rows]]:
        """The activations of texts without a change; each text is read once."""
        lacking = {
            p.tokens: None for p in prompts if any((p.tokens, s) not in self._acts for s in sites)
        }
        if lacking:
            capture = list(dict.fromkeys(sites))
            traces = run_many(self.model, list(lacking), capture=capture, logits=False)
            for tokens, traced in zip(lacking, traces, strict=True):
                self._acts.update({(tokens, s): x[0].clone() for s, x in traced[0].acts.items()})
        return [{s: self._acts[p.tokens, s] for s in sites} for p in prompts]
