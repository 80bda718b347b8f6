"""Editing: the edits of every prompt under an intervention or one of its near controls, for each
seed and each point of a sweep.

What is put there is in `replacements`, where it goes in `elsewhere`, and directions and latents in
`steering`; each of these knows the controls of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import msgspec

from assay.ask.measure import choosing, interventions, own_code, paths
from assay.ask.measure.directions import Learner
from assay.ask.measure.elsewhere import Elsewhere, Places
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.replacements import Replacements
from assay.ask.measure.seen import Prompt
from assay.ask.measure.steering import Steering
from assay.ask.tables import Direction, Intervention, Plain, Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained

MOST = 2**29
"""Bytes of activations, at most, that are read in one pass for all points of a sweep."""


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
    shown: PromptSet | None = None
    """The prompts that are measured, where directions are learned for others."""
    code: Callable[[str], Callable[..., Any]] = own_code.load
    """The user's own function of a name."""
    first: Intervention | None = None
    """What is done besides, before the intervention, under its controls too."""
    effects: choosing.Effects | None = None
    """What changes of single parts do to a read."""
    _tables: dict[str, Intervention] = field(default_factory=dict, init=False)
    """What `at` gave for each point."""
    _each: dict[str, list[Editing]] = field(default_factory=dict, init=False)
    """What `_apart` gave for each of these."""

    @cached_property
    def source(self) -> Replacements:
        """What goes on in the place of activations."""
        shown = self.shown or self.learner.measured
        asked = (self.table, self.control, self.learner, shown, self.code, self._before)
        return Replacements(self.model, self.prompts, *asked)

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """Where the change is made."""
        return Elsewhere(self.model, self.prompts, self.control, self.source)

    @cached_property
    def steering(self) -> Steering:
        """The directions, latents and neurons of the change."""
        return Steering(self.model, self.control, self.learner, self.source)

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
        """The edits of every prompt at a point of the sweep."""
        table = self.at(point)
        if table.top is not None:
            return [each._of(seed, point)[0] for each in self._apart(table)]
        way = interventions.way_of(table)
        for p in self.prompts:
            interventions.positions_of(table, p)  # what no prompt has is refused before any pass
        direction = interventions.direction_of(table, self.tables)
        if direction is not None:
            return self._along(table, interventions.filled(direction, point), seed)
        if way == "clamp":
            assert table.clamp is not None
            dictionary = self.learner.dictionary(table.clamp[0])
            site = choosing.site_of_latents(table, dictionary, self.model.folder)
            put = self.steering.feature(table, site, seed)
            return self._edits(table, [(site, None)], feature=put)
        if way == "reconstruct":
            return self._reconstructed(table, seed)
        if table.block is not None:
            return self.elsewhere.blocked(table, table.block, seed)
        if self.control in ("neurons", "random-neurons"):
            table = self.steering.other_neurons(table, seed)
        places = self.elsewhere.places(table, seed)
        sites = [site for site, _ in places]
        shift = self.elsewhere.shift(table, sites[0], seed) if self.control == "token" else 0
        if table.function:
            return [
                interventions.edits_of(
                    table, p, places, own=partial(self.source.own, table, p), shift=shift
                )
                for p in self.prompts
            ]
        if table.ablate == "zero" or table.scale is not None:
            return self._edits(table, places, shift=shift)
        put_there = self.source.rows(table, sites, seed, shift=shift)
        if table.path is not None:
            return paths.edits(table, places, put_there, self.source)
        return [
            interventions.edits_of(table, p, places, rows=rows, shift=shift)
            for p, rows in zip(self.prompts, put_there, strict=True)
        ]

    def _apart(self, table: Intervention) -> list[Editing]:
        """What an intervention on parts that are chosen for each prompt does to each, by itself."""
        assert table.top is not None
        key = repr(table)
        if key not in self._each:
            known = choosing.Known(self.learner, self.tables, self.reads, self.effects)
            by_place = choosing.chosen_for_each(table, table.top, known)
            self._each[key] = [
                replace(self, prompts=[p], table=by_place[p.row.place]) for p in self.prompts
            ]
        return self._each[key]

    def _reconstructed(self, table: Intervention, seed: int) -> list[Edits]:
        """The edits that put a dictionary's reconstruction, or in the control a mean, in the place
        of activations."""
        dictionary = self.learner.dictionary(table.reconstruct).to(self.model.device)
        site = choosing.site_of(table, table.reconstruct, dictionary, self.model.folder)
        if self.control == "mean":
            rows = self.source.rows(
                msgspec.structs.replace(table, reconstruct="", ablate="mean"), [site], seed
            )
            return [
                interventions.edits_of(table, p, [(site, None)], rows=own)
                for p, own in zip(self.prompts, rows, strict=True)
            ]

        def put(x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, dictionary.W_enc.shape[1]).float()
            return dictionary.reconstruct(flat)[0].reshape(x.shape).to(x)

        return self._edits(table, [(site, None)], feature=put)

    def _along(self, table: Intervention, direction: Direction, seed: int) -> list[Edits]:
        """The edits that add, take out or erase a direction. Raises: DataError for one
        that does not fit a site."""
        places = self.steering.places(table, direction)
        vector = self.steering.vector(direction, places[0][0], seed)
        for site, _ in places:
            if (width := self.model.folder.shape(site)) != tuple(vector.shape):
                raise DataError(
                    f"{table.name!r}: the direction {direction.name!r} has {len(vector)} "
                    f"numbers, {site} has {' × '.join(map(str, width))} for each token"
                )
        if table.erase:
            put = self.learner.eraser(direction, places[0][0], vector, seed)
            return self._edits(table, places, feature=put)
        return self._edits(table, places, vector=vector)

    def _edits(self, table: Intervention, places: Places, **what: Any) -> list[Edits]:
        """The edits of every prompt that are alike for all."""
        return [interventions.edits_of(table, p, places, **what) for p in self.prompts]

    def _see_all(self, variants: Sequence[tuple[int, Mapping[str, Plain]]]) -> None:
        """Read the sites of all points in one pass, where what they have is not too much."""
        tables = [self.at(p) for p in {repr(p): p for _, p in variants}.values()]
        if (
            any(t.ablate == "zero" or not (t.ablate or t.patch) or t.source for t in tables)
            or self.control
        ):
            return
        layers = self.model.layers
        wide = [interventions.widened(t, interventions.where(t, None), layers) for t in tables]
        sites = dict.fromkeys(s for places in wide for s, _ in places)
        patched = [t.patch == "corrupted" for t in tables]
        texts = [] if all(patched) else list(self.prompts)
        if any(patched):
            texts += self.source.pairs(self.prompts)
        numbers = sum(len(p.tokens) for p in texts)
        shapes = [self.model.folder.width(s) for s in sites if "q" not in s.dims.split()]
        each = getattr(torch, self.model.dtype).itemsize
        if len(sites) > 1 and len(shapes) == len(sites) and each * numbers * sum(shapes) < MOST:
            self.source.seen(texts, list(sites))

    def at(self, point: Mapping[str, Plain]) -> Intervention:
        """The intervention at a point of its sweep, with the parts that are chosen for it, if these
        are the same for all prompts."""
        if repr(point) not in self._tables:
            table = interventions.swept(self.table, point)
            if table.top is not None and not table.top.within:
                known = choosing.Known(self.learner, self.tables, self.reads, self.effects)
                table = choosing.chosen(table, table.top, known)
            self._tables[repr(point)] = table
        return self._tables[repr(point)]
