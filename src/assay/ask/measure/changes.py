"""Changes: what is done to the model in an arm: the edits of each prompt for every seed and point
of the sweep, and which parts were chosen for them or stood in for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.ask.measure import choosing, harvests, interventions
from assay.ask.measure.directions import Learner
from assay.ask.measure.editing import Editing
from assay.ask.measure.heads import heads_by_layer
from assay.ask.measure.seen import Prompt
from assay.ask.measure.tasks import Task, stated
from assay.ask.tables import Direction, Plain
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes


@dataclass(frozen=True, eq=False)
class Changes:
    """What is done to a model while it reads the prompts of an arm."""

    task: Task
    model: Pretrained
    prompts: Sequence[Prompt]
    rows: Sequence[int]
    """Which rows of the task's prompts these are."""
    seeds: Sequence[int]
    sweep: Sequence[Mapping[str, Plain]]
    """The points of the intervention's sweep."""
    key: str
    """What the activations of the model are known by."""
    dictionary: Callable[[str], Dictionary]
    """The dictionary of a name."""
    code: Callable[[str], Callable[..., Any]]
    """The user's own function of a name."""
    effects: choosing.Effects
    """What changes of single parts do to a read."""
    _vectors: dict[tuple[str, Site, int], torch.Tensor] = field(default_factory=dict, init=False)

    @cached_property
    def variants(self) -> list[tuple[int, Mapping[str, Plain]]]:
        """Every seed at every point of the sweep."""
        return [(s, point) for s in self.seeds for point in self.sweep]

    @cached_property
    def edits(self) -> list[list[Edits]]:
        """The edits of every prompt, one for each seed and point of the sweep."""
        if self.task.intervention is None:
            return [[{}] * len(self.variants) for _ in self.prompts]
        return self.editing.edits(self.variants)

    @cached_property
    def editing(self) -> Editing:
        """What makes the edits of an intervention."""
        table = self.task.intervention
        assert table is not None
        return Editing(
            self.model,
            self.prompts,
            table,
            self.task.control,
            self.task.directions,
            self.learner,
            self.task.choosers or self.task.reads,
            self.task.prompts,
            self.code,
            self.task.first,
            self.effects,
        )

    @cached_property
    def learner(self) -> Learner:
        """What gets directions of this model."""
        return Learner(
            self.model,
            self.task.made_for or self.task.prompts,
            self.task.sources,
            partial(harvests.activations, self.model, self.key),
            self.dictionary,
        )

    def learned(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, " d"]:
        """A direction as a seed learns it, for a read; learned at its own site, if it has one."""
        place = self.learner.site(table, site)
        key = (repr(table), place, seed)
        if key not in self._vectors:
            self._vectors[key] = self.learner.vector(table, place, seed)
        return self._vectors[key]

    def others_into(self, stand_ins: Float[np.ndarray, "seed point head"]) -> None:
        """Fill in which heads stood in for those that are named, each a number: all heads of the
        first block, then those of the next."""
        if not self.task.standing:
            return
        assert self.task.intervention is not None
        each = read_sizes(self.model.folder.config)["h"]
        for v, (seed, point) in enumerate(self.variants):
            table = self.editing.at(point)
            if self.task.control:
                heads = self.editing.elsewhere.others[seed, repr(table.heads)]
            else:
                heads = [(b, n) for b, some in heads_by_layer(table.heads) for n in some]
            numbers = [layer * each + head for layer, head in heads]
            if table.neurons and not table.site:  # numbered through all blocks
                sites = interventions.neurons_by_site(table).items()
                wide = read_sizes(self.model.folder.config).get("m", 0)
                numbers = [(site.layer or 0) * wide + n for site, some in sites for n in some]
            numbers = numbers or [*map(int, table.neurons), *interventions.latents_of(table)]
            s, w = divmod(v, len(self.sweep))
            stand_ins[s, w, : len(numbers)] = numbers

    @cached_property
    def known_by(self) -> tuple[Any, ...] | None:
        """All that decides what passes give: the model, the prompts and the edits. None where
        that is more than its tables say: a user's own code, a dictionary's file, parts that are
        chosen."""
        task, table = self.task, self.task.intervention
        learned = task.own_directions if table else ()
        if not self.key or any(d.feature for d in learned) or task.standing:
            return None
        if table and (table.function or table.clamp or table.reconstruct):
            return None
        sets = (*task.sets, *([task.made_for] if task.made_for else []))
        edits = [stated(table), task.control, [stated(d) for d in learned]] if table else []
        texts = [p.digest for p in sets], [p.tokens for p in self.prompts]
        return self.key, texts, self.rows, edits, self.variants
