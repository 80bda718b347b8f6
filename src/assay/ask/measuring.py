"""Measuring: all prompts of an arm under all of its edits, in few passes, and every read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.ask import directions, interventions, reads
from assay.ask.directions import Examples
from assay.ask.interventions import Source
from assay.ask.prompts import PromptSet
from assay.ask.seen import Prompt, Seen, Want, prompt
from assay.ask.tables import Direction, Intervention, Model, Place, Plain, Read
from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.batches import ROWS, run_many
from assay.subjects.edits import Edits
from assay.subjects.folder import find
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

Tick = Callable[[int, int], None]
SMOKE = 6
"""Prompts at most in the preset that only shows that everything runs."""


@dataclass(frozen=True)
class Task:
    """What one arm measures: a model, its prompts and reads, and what is done to it."""

    model: Model
    prompts: PromptSet
    reads: tuple[Read, ...]
    intervention: Intervention | None = None
    control: str = ""
    """The near control that this is, by name."""
    directions: tuple[Direction, ...] = ()
    """All directions of the study."""
    sources: Mapping[str, PromptSet] = field(default_factory=dict)
    """The prompts that directions are learned from, by name."""

    @property
    def direction(self) -> Direction | None:
        """The direction that the intervention has."""
        table = self.intervention
        name = (table.add or table.project_out) if table else ""
        return directions.find(self.directions, name) if name else None

    @property
    def learns_here(self) -> bool:
        """Whether anything of the study is learned from the prompts that are measured, so that only
        the other half of them is."""
        return any(
            directions.way_of(d) in directions.LEARNED
            and d.prompts in ("", self.prompts.table.name)
            for d in self.directions
        )

    @property
    def rows(self) -> list[int]:
        """The rows that are measured."""
        return self.prompts.halves()[1] if self.learns_here else [*range(len(self.prompts.rows))]

    @property
    def drawn(self) -> bool:
        """Whether seeds differ: in what a direction is learned from, or in what is drawn."""
        if self.model.like or self.control in ("random", "shuffled", "heads", "unrelated"):
            return True
        if any(r.projection and self._learned(r.projection) for r in self.reads):
            return True
        table = self.intervention
        if table is None:
            return False
        if table.ablate == "resample" or table.patch == "other":
            return True
        return self.direction is not None and self._learned(self.direction.name)

    def _learned(self, name: str) -> bool:
        return directions.way_of(directions.find(self.directions, name)) in directions.LEARNED


@lru_cache(maxsize=2)
def opened(name: str, device: str, fingerprint: str) -> Pretrained:
    """A model, ready to run; the last two stay open."""
    return load(name, device)


def _model(task: Task, seed: int, device: str, folder: Path) -> Pretrained:
    name = located(folder, task.model.like or task.model.name)
    if task.model.like:  # its weights are drawn in memory, so the opened one must stay as it is
        return redrawn(load(name, device), seed)
    return opened(name, device, find(name).fingerprint)


def located(folder: Path, name: str) -> str:
    """A model's folder beside the study, where a name says that it is one."""
    return str(folder / name) if name.startswith(("./", "../")) else name


Measured = dict[str, tuple[str, Any, str]]


def measure(
    task: Task, seeds: Int[np.ndarray, "run"], folder: Path, device: str, smoke: bool, tick: Tick
) -> tuple[Measured, dict[str, list[Any]]]:
    """Measure one arm: its reads by name, as (dims, array, unit), and the levels of their dims."""
    rows = task.rows[:SMOKE] if smoke else task.rows
    if not rows:
        raise DataError(f"of {task.prompts.table.name} no prompt is left to be measured")
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [int(seeds[0])]
    tables = [
        (read, point, interventions.swept(read, point))
        for read in task.reads
        for point in interventions.points(read)
    ]
    sweep = interventions.points(task.intervention) if task.intervention else [{}]
    values = np.full((len(distinct), len(sweep), len(tables), len(rows)), np.nan)
    if task.model.like:  # each seed has a model of its own
        for s, seed in enumerate(distinct):
            part = _Pass(task, _model(task, seed, device, folder), [seed], sweep, tables, rows)
            part.into(values[s : s + 1], _part_of(tick, s, len(distinct)))
    else:
        model = _model(task, distinct[0], device, folder)
        _Pass(task, model, distinct, sweep, tables, rows).into(values, tick)
    by_seed = {seed: i for i, seed in enumerate(distinct)}
    values = values[[by_seed.get(int(s), 0) for s in seeds]]
    return _tidy(task, sweep, tables, rows, values)


def _part_of(tick: Tick, k: int, count: int) -> Tick:
    """Tell how far all of it is by how far the part k of so many is."""
    return lambda done, total: tick(k * total + done, count * total)


def _tidy(
    task: Task,
    sweep: Sequence[Mapping[str, Plain]],
    tables: Sequence[tuple[Read, Mapping[str, Plain], Read]],
    rows: Sequence[int],
    values: Float[np.ndarray, "run point read row"],
) -> tuple[Measured, dict[str, list[Any]]]:
    """The numbers with a dimension for each swept field, averaged over the rows of each unit."""
    unit = task.prompts.unit
    names = task.prompts.units(rows)
    levels = list(dict.fromkeys(names))
    index = [levels.index(name) for name in names]
    share = np.zeros((len(rows), len(levels)))
    share[np.arange(len(rows)), index] = 1.0 / np.bincount(index)[index]
    values = values @ share
    coords: dict[str, list[Any]] = {unit: levels}
    swept = task.intervention.sweep if task.intervention else {}
    coords |= {name: list(options) for name, options in swept.items()}
    measured: Measured = {}
    for read in task.reads:
        mine = [k for k, (of, _, _) in enumerate(tables) if of is read]
        own = {
            f"{read.name}_{name}" if name in swept else name: v for name, v in read.sweep.items()
        }
        coords |= {name: list(options) for name, options in own.items()}
        shape = [len(v) for v in (*swept.values(), *own.values())]
        array = values[:, :, mine].reshape(len(values), *shape, len(levels))
        kind = reads.KINDS[reads.kind_of(read)]
        measured[read.name] = (" ".join(["run", *swept, *own, unit]), array, kind.unit)
    return measured, coords


class _Pass:
    """The prompts of an arm under every edit that its seeds and its sweep make."""

    def __init__(
        self,
        task: Task,
        model: Pretrained,
        seeds: Sequence[int],
        sweep: Sequence[Mapping[str, Plain]],
        tables: Sequence[tuple[Read, Mapping[str, Plain], Read]],
        rows: Sequence[int],
    ) -> None:
        self.task, self.model, self.seeds, self.rows = task, model, seeds, rows
        self.key = f"{model.fingerprint} {seeds[0] if task.model.like else ''}"
        self.tables = [read for _, _, read in tables]
        self.variants = [(s, point) for s in seeds for point in sweep]
        self.sweep = sweep
        self.prompts = [prompt(model.folder, task.prompts.rows[i]) for i in rows]
        kinds = [reads.KINDS[reads.kind_of(read)] for read in self.tables]
        self.sites = list(
            dict.fromkeys(x for k, r in zip(kinds, self.tables, strict=True) for x in k.sites(r))
        )
        self.losses = any(k.losses for k in kinds)
        self.clean = task.intervention is not None and any(r.kl for r in self.tables)
        self.writes = max(
            (r.tokens for k, r in zip(kinds, self.tables, strict=True) if k.writes), default=0
        )
        self.kinds = kinds

    def into(self, values: Float[np.ndarray, "seed point read row"], tick: Tick) -> None:
        """Fill in the numbers of every prompt."""
        edits = self._edits()
        each = max(1, 4 * ROWS // max(1, len(self.variants)))
        order = sorted(range(len(self.prompts)), key=lambda p: len(self.prompts[p].tokens))
        for begin in range(0, len(order), each):
            some = order[begin : begin + each]
            for p, seen in self._seen(some, edits):
                for v, one in enumerate(seen):
                    s, w = divmod(v, len(self.sweep))
                    values[s, w, :, p] = [
                        kind.value(read, one)
                        for kind, read in zip(self.kinds, self.tables, strict=True)
                    ]
            tick(min(begin + each, len(order)), len(order))

    def _seen(
        self, some: Sequence[int], edits: Sequence[Sequence[Edits]]
    ) -> Iterator[tuple[int, list[Seen]]]:
        """What some prompts gave under each edit."""
        clean = len(self.variants) if self.clean else 0
        every = [[*edits[p], *([{}] if clean else [])] for p in some]
        wanted: list[dict[tuple[int, ...], set[int]]] = []
        for p in some:
            needs: dict[tuple[int, ...], set[int]] = {(): set()}
            for kind, read in zip(self.kinds, self.tables, strict=True):
                for continuation, position in kind.wants(read, self.prompts[p]):
                    needs.setdefault(continuation, set()).add(position)
            wanted.append(needs)
        sequences = [(k, continuation) for k, needs in enumerate(wanted) for continuation in needs]
        traces = run_many(
            self.model,
            [[*self.prompts[some[k]].tokens, *c] for k, c in sequences],
            [every[k] for k, _ in sequences],
            capture=self.sites,
        )
        written = self._written(some, edits) if self.writes else {}
        logs: list[dict[int, dict[Want, torch.Tensor]]] = [{} for _ in some]
        for (k, continuation), of in zip(sequences, traces, strict=True):
            positions = sorted(wanted[k][continuation])
            if not positions:
                continue
            final = torch.stack([t.final[0, positions] for t in of])  # type: ignore[index]
            assert of[0].head is not None
            with torch.no_grad():
                table = of[0].head(final).float().log_softmax(-1)
            for v in range(len(of)):
                mine = logs[k].setdefault(v, {})
                mine |= {(continuation, n): table[v, i] for i, n in enumerate(positions)}
        whole = {k: of for (k, c), of in zip(sequences, traces, strict=True) if not c}
        for k, p in enumerate(some):
            count = len(self.variants)
            losses = [t.loss()[0] if self.losses else None for t in whole[k]]

            def one(
                v: int, base: Seen | None, p: int = p, k: int = k, losses: Any = losses
            ) -> Seen:
                acts = {site: x[0] for site, x in whole[k][v].acts.items()}
                seed = self.variants[v][0] if v < len(self.variants) else self.seeds[0]
                text = written.get((p, v), "")
                return Seen(
                    self.model,
                    self.prompts[p],
                    seed,
                    logs[k].get(v, {}),
                    acts,
                    losses[v],
                    text,
                    base,
                )

            base = one(clean, None) if clean else None
            yield p, [one(v, base) for v in range(count)]

    def _written(
        self, some: Sequence[int], edits: Sequence[Sequence[Edits]]
    ) -> dict[tuple[int, int], str]:
        """What the model writes on behind each prompt under each edit."""
        written: dict[tuple[int, int], str] = {}
        pairs = [(p, v) for p in some for v in range(len(self.variants))]
        pairs.sort(key=lambda pair: len(self.prompts[pair[0]].tokens))
        for _, group in itertools.groupby(
            pairs, key=lambda pair: len(self.prompts[pair[0]].tokens)
        ):
            for batch in _batched(group, 32):
                tokens = torch.tensor(
                    [self.prompts[p].tokens for p, _ in batch], device=self.model.device
                )
                ids = self.model.generate(
                    tokens, edits=[edits[p][v] for p, v in batch], new=self.writes
                )
                written |= {
                    pair: self.model.decode(new) for pair, new in zip(batch, ids, strict=True)
                }
        return written

    # edits ----------------------------------------------------------------------------------------

    def _edits(self) -> list[list[Edits]]:
        """The edits of every prompt, one for each seed and point of the sweep."""
        table = self.task.intervention
        if table is None:
            return [[{}] * len(self.variants) for _ in self.prompts]
        per_variant = []
        for seed, point in self.variants:
            at = interventions.swept(table, point)
            direction = self.task.direction
            direction = interventions.swept(direction, point) if direction else None
            places = interventions.where(at, direction)
            places = self._places(places, seed)
            vector = self._vector(direction, places[0][0], seed) if direction else None
            sources = self._sources(at, [site for site, _ in places], seed)
            per_variant.append((at, places, vector, sources))
        return [
            [
                interventions.edits_of(at, p, places, vector, sources[i] if sources else None)
                for at, places, vector, sources in per_variant
            ]
            for i, p in enumerate(self.prompts)
        ]

    def _places(
        self, places: list[tuple[Site, list[int] | None]], seed: int
    ) -> list[tuple[Site, list[int] | None]]:
        """Where the control acts: at random heads of the layers, or a third of the model away."""
        if self.task.control == "heads":
            drawn: list[tuple[Site, list[int] | None]] = []
            for site, heads in places:
                assert heads is not None
                others = [h for h in range(self.model.folder.shape(site)[0]) if h not in heads]
                if len(others) < len(heads):
                    raise DataError(
                        f"layer {site.layer} has only {len(others)} other heads, so there are no "
                        f"{len(heads)} random ones; name fewer heads, or other controls"
                    )
                order = rng.permutation(
                    np.array([seed]), "ask.heads", site.layer or 0, len(others)
                )[0]
                drawn.append((site, sorted(others[i] for i in order[: len(heads)])))
            return drawn
        if self.task.control == "layer" and self.task.direction is None:
            return [
                (directions.far_layer(site, self.model.layers), heads) for site, heads in places
            ]
        return places

    def _vector(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, "d"]:
        """The direction of a seed, or what stands in its place in a control, as long."""
        at = Site.parse(table.site) if table.site else site
        true = directions.learn(table, self.model, self._examples(table, at, seed), at)
        control = self.task.control
        if control == "random":
            return directions.random_like(true, seed)
        if control == "shuffled":
            examples = self._examples(table, at, seed)
            assert examples is not None
            return directions.as_long_as(directions.shuffled(table, examples, at, seed), true)
        if control == "layer":
            far = directions.far_layer(at, self.model.layers)
            other = directions.learn(table, self.model, self._examples(table, far, seed), far)
            return directions.as_long_as(other, true)
        return true

    def _examples(self, table: Direction, site: Site, seed: int) -> Examples | None:
        """The activations that a seed learns a direction from."""
        if directions.way_of(table) not in directions.LEARNED:
            return None
        prompts = self.task.sources.get(table.prompts, self.task.prompts)
        rows = (
            prompts.halves()[0]
            if prompts.table.name == self.task.prompts.table.name
            else [*range(len(prompts.rows))]
        )
        labelled = table.difference or table.probe
        if labelled:
            names = {str(label) for label in labelled}
            rows = [
                i
                for i, x in zip(rows, prompts.column(table.label, rows), strict=True)
                if x in names
            ]
        chosen = prompts.sample(rows, seed, labelled=labelled is not None)
        acts = activations(self.model, self.key, prompts, site, table.position)
        labels = prompts.column(table.label, chosen) if labelled else []
        return Examples(acts[chosen], tuple(labels))

    def _sources(
        self, table: Intervention, sites: Sequence[Site], seed: int
    ) -> list[Source] | None:
        """What other texts had at the sites, one for each prompt; None where nothing is put
        there."""
        way = interventions.way_of(table)
        if way not in ("ablate", "patch") or table.ablate == "zero":
            return None
        if table.ablate == "mean":
            traces = _traces(self.model, self.prompts, sites)
            means = {
                site: torch.cat(
                    [t[site][p.opening :] for t, p in zip(traces, self.prompts, strict=True)]
                ).mean(0)
                for site in sites
            }
            return [Source({}, means)] * len(self.prompts)
        if table.patch == "corrupted" and self.task.control != "unrelated":
            others = [corrupted(self.task.prompts, p) for p in self.prompts]
        elif table.patch == "corrupted":
            corrupt = [corrupted(self.task.prompts, p) for p in self.prompts]
            others = [corrupt[i] for i in _partners(corrupt, self.prompts, seed)]
        else:
            others = [self.prompts[i] for i in _partners(self.prompts, self.prompts, seed)]
        for p, other in zip(self.prompts, others, strict=True):
            if len(p.tokens) != len(other.tokens):
                raise DataError(
                    f"{p.row.place}: the prompt has {len(p.tokens)} tokens, its pair "
                    f"{len(other.tokens)}; what is put in its place must have as many"
                )
        return [Source(acts, {}) for acts in _traces(self.model, others, sites)]


def corrupted(prompts: PromptSet, p: Prompt) -> Prompt:
    """The other text of a pair, as tokens. Raises: DataError where the row has none."""
    text = prompts.table.corrupted or "{corrupted}"
    return prompt(p.folder, type(p.row)(p.row.fill(text), p.row.columns, p.row.place, {}))


def _partners(others: Sequence[Prompt], prompts: Sequence[Prompt], seed: int) -> list[int]:
    """Draw for each prompt another one of as many tokens. Raises: DataError where there is
    none."""
    chosen = []
    for i, p in enumerate(prompts):
        same = [
            k
            for k, other in enumerate(others)
            if k != i and len(other.tokens) == len(p.tokens) and other.tokens != others[i].tokens
        ]
        if not same:
            raise DataError(
                f"{p.row.place}: no other prompt has {len(p.tokens)} tokens, so nothing can be "
                "taken from an unrelated one; write prompts of equal length"
            )
        draw = rng.integers(np.array([seed]), "ask.partner", i, (1,), len(same))[0, 0]
        chosen.append(same[int(draw)])
    return chosen


_Acts: TypeAlias = 'Mapping[Site, Float[torch.Tensor, "s ..."]]'


def _traces(model: Pretrained, prompts: Sequence[Prompt], sites: Sequence[Site]) -> list[_Acts]:
    """What sites have on prompts with nothing done."""
    sites = list(dict.fromkeys(sites))
    traces = run_many(model, [p.tokens for p in prompts], capture=sites, logits=False)
    return [{site: x[0].clone() for site, x in of[0].acts.items()} for of in traces]


_known: dict[tuple[str, str, str, Place], torch.Tensor] = {}
"""Activations that directions are learned from: (model, prompts, site, position)."""
KEPT = 64


def activations(
    model: Pretrained, model_key: str, prompts: PromptSet, site: Site, position: Place
) -> Float[torch.Tensor, "row d"]:
    """The activations of all rows at a site and a position; the last few are kept."""
    return all_activations(model, model_key, prompts, [site], position)[0]


def all_activations(
    model: Pretrained, model_key: str, prompts: PromptSet, sites: Sequence[Site], position: Place
) -> list[Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, of one pass for all that are not known yet."""

    def key(site: Site) -> tuple[str, str, str, Place]:
        return (model_key, prompts.digest, str(site), position)

    got = {site: _known[key(site)] for site in sites if key(site) in _known}
    if new := [site for site in dict.fromkeys(sites) if site not in got]:
        for site, acts in read_activations(model, prompts, new, position).items():
            while len(_known) >= KEPT:
                _known.pop(next(iter(_known)))
            got[site] = _known[key(site)] = acts
    return [got[site] for site in sites]


def read_activations(
    model: Pretrained, prompts: PromptSet, sites: Sequence[Site], position: Place
) -> dict[Site, Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, of one pass; nothing is kept."""
    rows: dict[Site, list[torch.Tensor]] = {site: [] for site in sites}
    for some in _batched((prompt(model.folder, row) for row in prompts.rows), 4 * ROWS):
        for p, acts in zip(some, _traces(model, some, sites), strict=True):
            seen = Seen(model, p, 0, {}, acts, None, "", None)
            for site in rows:
                rows[site].append(seen.act(site, position))
    return {site: torch.stack(acts) for site, acts in rows.items()}


def _batched(items: Any, n: int) -> Iterator[tuple[Any, ...]]:
    """Batches of at most n."""
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, n)):
        yield batch
