"""Replacements: what goes on in the place of activations: those of the pair's other text, of
another prompt, means, noise, or what a user's own function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from jaxtyping import Float

from assay.ask.measure import own_code
from assay.ask.measure.directions import Learner
from assay.ask.measure.prompts import SLOT, PromptSet, chat, filled
from assay.ask.measure.seen import Prompt, prompt, whole_slot
from assay.ask.tables import Intervention, Position, Positions
from assay.controls import picks
from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.batches import run_many
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

Rows: TypeAlias = 'Float[torch.Tensor, "s ..."]'
"""What a site has, a row for each token."""


@dataclass(frozen=True, eq=False)
class Replacements:
    """What goes to sites in the place of what they have, on the prompts of an arm."""

    model: Pretrained
    prompts: Sequence[Prompt]
    """Those that are measured."""
    table: Intervention
    """As it was written, with its sweep."""
    control: str
    """The near control that this is, by name; empty: the intervention itself."""
    learner: Learner
    shown: PromptSet
    """The table of the prompts that are measured."""
    code: Callable[[str], Callable[..., Any]]
    """The user's own function of a name."""
    before: Callable[[int], list[Edits]]
    """The edits of every prompt that come before the intervention, by seed."""
    _acts: dict[tuple[tuple[int, ...], Site], Rows] = field(default_factory=dict, init=False)
    """What sites have on texts with nothing done."""
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
        """What goes to the sites of each prompt, a row for each of its tokens. `Elsewhere` compares
        this with what is there, to see how much a change changes."""
        some = self.prompts if prompts is None else prompts
        if table.function:
            return [
                {s: self.own(table, p, s, x[None])[0] for s, x in acts.items()}
                for p, acts in zip(some, self.seen(some, sites), strict=True)
            ]
        if table.scale is not None:
            return [{s: x * table.scale for s, x in a.items()} for a in self.seen(some, sites)]
        if table.noise:
            return [
                {s: x + table.noise * self._noise(p, s, x, seed) for s, x in acts.items()}
                for p, acts in zip(some, self.seen(some, sites), strict=True)
            ]
        if table.ablate == "mean":
            return self._means(table, sites, some, shift)
        place = table.position
        measured = self.shown
        if self.control != "unrelated" and table.patch == "corrupted":
            partners = self.pairs(some)
            for p, other in zip(some, partners, strict=True):
                if why := misfit(p, other, place, measured):
                    raise DataError(f"{p.row.place}: {why}")
        elif self.control != "unrelated" and table.patch == "clean":
            partners = list(some)
        elif table.patch or table.ablate == "resample":
            partners = self.partners(some, place, seed)
        else:
            raise TypeError(f"{table.name!r} puts no activations there: {table}")
        acts = self.seen(partners, sites)
        return [
            {s: aligned(s, values[s], p, other, place, measured, shift) for s in sites}
            for p, other, values in zip(some, partners, acts, strict=True)
        ]

    def own(self, table: Intervention, p: Prompt, site: Site, x: torch.Tensor) -> torch.Tensor:
        """What a user's own function makes of a site at some tokens."""
        return own_code.changed(
            table.function, self.code(table.function), site, x, p, self.model.model
        )

    def _noise(self, p: Prompt, site: Site, x: Rows, seed: int) -> Rows:
        """Noise as large as what a site has over the prompts, of a prompt and a seed."""
        draw = rng.generator(seed, f"ask.noise.{site}", self._number.get(p.tokens, 0))
        numbers = torch.from_numpy(draw.standard_normal(tuple(x.shape))).to(x)
        return numbers * self.around(site).std()

    def spoiled(self, prompts: Sequence[Prompt], site: Site) -> list[dict[Site, Rows]]:
        """What a site has where what comes before the intervention was done."""
        number = {p.tokens: edits for p, edits in zip(self.prompts, self.before(0), strict=True)}
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
        pool, place = self._pool(table), table.position
        own = pool is self.prompts
        if not own and table.source_position != "":
            place = table.source_position
        acts, moved = self.seen(pool, sites), shift if own else 0
        means: list[dict[Site, Rows]] = [{} for _ in some]
        for site in sites:
            values = [x[site] for x in acts]
            if place != "all":
                positions = [[n + moved for n in p.all_at(place)] for p in pool]
                rows = [x[at] for at, x in zip(positions, values, strict=True)]
                one_each = len({*map(len, rows)}) == 1 and place == table.position
                if isinstance(table.position, tuple) and one_each:
                    each = torch.stack(rows).mean(0)  # of each of several positions its own
                    for row, p in zip(means, some, strict=True):
                        row[site] = values[0].new_zeros(len(p.tokens), *each.shape[1:])
                        row[site][[n + shift for n in p.all_at(table.position)]] = each
                    continue
                mean = torch.cat(rows).mean(0)
                first = mean
            else:
                first = torch.stack([x[0] for x in values]).mean(0)
                later = [x[max(1, p.opening) :] for p, x in zip(pool, values, strict=True)]
                mean = torch.cat(later).mean(0) if any(map(len, later)) else first
            by_length = {  # prompts of one length share theirs
                n: torch.cat([first[None], mean.expand(n - 1, *mean.shape)])
                for n in {len(p.tokens) for p in some}
            }
            for row, p in zip(means, some, strict=True):
                row[site] = by_length[len(p.tokens)]
        return means

    def _pool(self, table: Intervention) -> Sequence[Prompt]:
        """The prompts whose activations are put there: those of the source, if there is one."""
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
        """Draw for each prompt another one: of as many tokens where all are changed and there is
        one, else of more, else of fewer. Raises: DataError where there is none."""
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
        """What a site has at the tokens of the prompts, but for the first that the model reads,
        where activations are often many times larger than at any other."""
        acts = self.seen(self.prompts, [site])
        later = [a[site][1:] for a in acts]
        rows = torch.cat(later if any(map(len, later)) else [a[site] for a in acts])
        return rows.float()

    def seen(self, prompts: Sequence[Prompt], sites: Sequence[Site]) -> list[dict[Site, Rows]]:
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


def misfit(p: Prompt, other: Prompt, place: Positions, prompts: PromptSet) -> str:
    """Say why a pair cannot be patched, without its row; "" where it can be."""
    if p.tokens == other.tokens:
        return "both texts of the pair are the same, so nothing changes"
    if place == "all" and len(p.tokens) != len(other.tokens):
        return (
            "the other text of its pair has another number of tokens: to patch all positions, "
            "write pairs of equal length; or patch one token, as with position = -1"
        )
    if place == "all":
        return ""
    sources = _sources(p, other, place, prompts)
    if sources is not None and len(sources) != len(p.all_at(place)):
        return (
            f"its pair has {len(sources)} tokens at {place}, and it has "
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


def _sources(p: Prompt, other: Prompt, places: Positions, prompts: PromptSet) -> list[int] | None:
    """Which tokens of another text stand for those of a prompt; None where none do."""
    if isinstance(places, tuple):
        parts = [_sources(p, other, place, prompts) for place in places]
        if any(part is None for part in parts):
            return None
        return [*dict.fromkeys(n for part in parts for n in part or ())]
    slot = whole_slot(places)
    place = _stand_in(p, other, slot or places, prompts)
    if place is None:
        return None
    if slot:
        return p.covered(slot) if isinstance(place, int) else other.covered(place)
    return [other.at(place)]


def _stand_in(p: Prompt, other: Prompt, place: Position, prompts: PromptSet) -> Position | None:
    """Which place of another text stands for one of a prompt's: the same slot; of texts as long the
    token of the same number; else the slot which the other text has in its place. None where none
    does."""
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
    sources = _sources(p, other, place, prompts)
    if sources is None:
        raise DataError(f"{p.row.place}: the text that is patched in has no slot {place}")
    # a pair's other text may end sooner; of one token at every one, as no other is put
    index = [min(max(0, k + shift), m - 1) for k in sources]
    at = p.all_at(place)
    if len(at) == 1:
        return rows[index[0]].expand(n, *rows.shape[1:])
    new = rows.new_zeros(n, *rows.shape[1:])
    new[[t + shift for t in at]] = rows[[index[min(i, len(index) - 1)] for i in range(len(at))]]
    return new
