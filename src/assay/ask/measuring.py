"""Measuring: all prompts of an arm under all of its edits, in few passes, and every read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.ask import dictionaries, directions, interventions, reads
from assay.ask.directions import Learner
from assay.ask.editing import Editing
from assay.ask.prompts import PromptSet
from assay.ask.seen import Prompt, Seen, Want, prompt
from assay.ask.tables import Direction, Intervention, Model, Place, Plain, Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.batches import ROWS, run_many
from assay.subjects.edits import Edits
from assay.subjects.folder import find
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

Tick = Callable[[int, int], None]
DRAWN = ("random", "shuffled", "tokens", "heads", "unrelated")
"""Controls in which something is drawn by the seed."""
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
        if self.model.like or self.control in DRAWN:
            return True
        if any(r.projection and self._learned(r.projection) for r in self.reads):
            return True
        if self.intervention is None:
            return False
        at = [
            interventions.swept(self.intervention, p)
            for p in interventions.points(self.intervention)
        ]
        if any(t.ablate == "resample" or t.patch == "other" for t in at):
            return True
        return any(name and self._learned(name) for t in at for name in (t.add, t.project_out))

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
    task: Task,
    seeds: Int[np.ndarray, "run"],
    folder: Path,
    device: str,
    smoke: bool,
    tick: Tick,
    root: Path = Path("assay-store"),
) -> tuple[Measured, dict[str, list[Any]]]:
    """Measure one arm: its reads by name, as (dims, array, unit), and the levels of their dims.
    Files lie in `folder`, stored dictionaries in the store `root`."""
    rows = task.rows[:SMOKE] if smoke else task.rows
    if not rows:
        raise DataError(f"of {task.prompts.table.name} no prompt is left to be measured")
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [int(seeds[0])]
    dictionary = partial(dictionaries.opened, folder=folder, root=root)
    tables = [
        (read, point, interventions.swept(read, point))
        for read in task.reads
        for point in interventions.points(read)
    ]
    sweep = interventions.points(task.intervention) if task.intervention else [{}]
    values = np.full((len(distinct), len(sweep), len(tables), len(rows)), np.nan)
    if task.model.like:  # each seed has a model of its own
        for s, seed in enumerate(distinct):
            model = _model(task, seed, device, folder)
            part = _Pass(task, model, [seed], sweep, tables, rows, dictionary)
            part.into(values[s : s + 1], _part_of(tick, s, len(distinct)))
    else:
        model = _model(task, distinct[0], device, folder)
        _Pass(task, model, distinct, sweep, tables, rows, dictionary).into(values, tick)
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
    if unit == "prompt":
        names = [f"{i}" for i in rows]
    else:
        names = task.prompts.column(unit, rows)
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
        dictionary: Callable[[str], Dictionary],
    ) -> None:
        self.task, self.model, self.seeds, self.rows = task, model, seeds, rows
        self.dictionary = dictionary
        self.key = f"{model.fingerprint} {model.device} {seeds[0] if task.model.like else ''}"
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

    def _edits(self) -> list[list[Edits]]:
        """The edits of every prompt, one for each seed and point of the sweep."""
        table = self.task.intervention
        if table is None:
            return [[{}] * len(self.variants) for _ in self.prompts]
        editing = Editing(
            self.model,
            self.prompts,
            table,
            self.task.control,
            self.task.directions,
            self.learner,
        )
        return editing.edits(self.variants)

    @cached_property
    def learner(self) -> Learner:
        """What gets directions of this model."""
        return Learner(
            self.model,
            self.task.prompts,
            self.task.sources,
            partial(activations, self.model, self.key),
            self.dictionary,
        )


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
    key = (model_key, prompts.digest, str(site), position)
    if key not in _known:
        tokens = [prompt(model.folder, row) for row in prompts.rows]
        traces = _traces(model, tokens, [site])
        seen = [
            Seen(model, p, 0, {}, acts, None, "", None)
            for p, acts in zip(tokens, traces, strict=True)
        ]
        while len(_known) >= KEPT:
            _known.pop(next(iter(_known)))
        _known[key] = torch.stack([s.act(site, position) for s in seen])
    return _known[key]


def _batched(items: Any, n: int) -> Iterator[tuple[Any, ...]]:
    """Batches of at most n."""
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, n)):
        yield batch
