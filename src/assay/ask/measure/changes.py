"""Changes: the edits of an arm, for each prompt, seed and point of the sweep. `Changes` gives them
to the passes, and records which parts were chosen or replaced; `Editing` makes the edits of an
intervention or its control, with `Elsewhere` for the place, `Replacements` for the activations that
are put there, and `Steering` for directions, latents and neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from assay import errors
from assay.ask.measure import (
    activations,
    bases,
    choosing,
    dictionaries,
    directions,
    interventions,
    neighbours,
    own_code,
    paths,
    subspaces,
)
from assay.ask.measure.directions import Learner
from assay.ask.measure.elsewhere import FEW, Elsewhere, Places
from assay.ask.measure.heads import heads_by_layer
from assay.ask.measure.interventions import Put
from assay.ask.measure.replacements import Replacements
from assay.ask.measure.tasks import Task, stated
from assay.ask.measure.tokenized import Prompt
from assay.ask.tables import Direction, Intervention, Plain
from assay.controls import picks, vectors
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.features import effects
from assay.subjects.edits import Edits
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

KEPT = 10_000
_blocks_known: dict[str, Sequence[int]] = {}
"""The blocks of so many controls `layer`, by everything that determines them."""


@dataclass(frozen=True, eq=False)
class Changes:
    """The edits of a model while it reads the prompts of an arm."""

    task: Task
    model: Pretrained
    prompts: Sequence[Prompt]
    rows: Sequence[int]
    """The rows of the task's prompts that these are."""
    seeds: Sequence[int]
    sweep: Sequence[Mapping[str, Plain]]
    """The points of the intervention's sweep."""
    key: str
    """The key under which the model's activations are cached."""
    dictionary: Callable[[str], Dictionary]
    """The dictionary of a name."""
    code: Callable[[str], Callable[..., Any]]
    """The user's own function of a name."""
    effects: choosing.Effects
    """The effects of changes of single parts on a read."""
    sites: Sequence[Site] = ()
    """Sites that are read."""
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
        """Makes the edits of the intervention."""
        about = self.learner, self.code, self.effects, self.sites
        return Editing(self.model, self.prompts, self.task, *about)

    @cached_property
    def learner(self) -> Learner:
        """Learns directions of this model."""
        return Learner(
            self.model,
            self.task.made_for or self.task.prompts,
            self.task.sources,
            partial(activations.activations, self.model, self.key),
            self.dictionary,
            self.key,
            self.rows if self.task.rehearsed else (),
        )

    def learned(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, " d"]:
        """A direction as a seed learns it, for a read; learned at its own site, if it has one."""
        place, way = self.learner.site(table, site), directions.way_of(table)
        key = (repr(table), place, seed if way in directions.LEARNED else 0)
        if key not in self._vectors:
            chosen = choosing.of_direction(table, self.editing.choice)
            self._vectors[key] = self.learner.vector(chosen, place, seed)
        return self._vectors[key]

    def others_into(self, stand_ins: Float[np.ndarray, "seed point head"]) -> None:
        """Fill in the heads that replaced the named ones, numbered through all blocks, or the
        blocks."""
        if not self.task.standing:
            return
        assert self.task.intervention is not None
        each = read_sizes(self.model.folder.config)["h"]
        for v, (seed, point) in enumerate(self.variants):
            table = self.editing.at(point)
            s, w = divmod(v, len(self.sweep))
            if self.task.control == "layer":
                blocks = self._blocks(seed, table)
                stand_ins[s, w, : len(blocks)] = blocks
                continue
            if self.task.control:
                heads = self.editing.elsewhere.others[seed, repr(table.heads)]
            else:
                heads = [(b, n) for b, members in heads_by_layer(table.heads) for n in members]
            numbers = [layer * each + head for layer, head in heads]
            if table.neurons and not table.site:  # numbered through all blocks
                sites = interventions.neurons_by_site(table).items()
                wide = read_sizes(self.model.folder.config).get("m", 0)
                numbers = [(site.layer or 0) * wide + n for site, members in sites for n in members]
            numbers = numbers or [*map(int, table.neurons), *interventions.latents_of(table)]
            stand_ins[s, w, : len(numbers)] = numbers

    def _blocks(self, seed: int, table: Intervention) -> Sequence[int]:
        """The blocks that the control `layer` uses; none of a direction that is learned there. They
        are remembered in the process, as a pass whose results are cached chooses none."""
        chosen = self.editing.elsewhere.blocks.get((seed, repr(table)), ())
        if self.known_by is None:
            return chosen
        key = sha256(repr((self.known_by, seed, repr(table))).encode()).hexdigest()
        if chosen:
            while len(_blocks_known) >= KEPT:
                _blocks_known.pop(next(iter(_blocks_known)))
            _blocks_known[key] = chosen
        return _blocks_known.get(key, ())

    def shifts_into(self, shifts: Float[np.ndarray, "seed point"]) -> None:
        """Fill in by how many tokens the control `token` moves the change."""
        for v, (seed, point) in enumerate(self.variants if self.task.moves else ()):
            key = seed, repr(self.editing.at(point))
            shifts[divmod(v, len(self.sweep))] = self.editing.elsewhere.shifts.get(key, np.nan)

    @cached_property
    def known_by(self) -> tuple[Any, ...] | None:
        """Everything that determines the results of passes: the model, the prompts and the edits.
        None if tables do not say all of it: with a user's function, a dictionary's file or chosen
        parts."""
        task, table = self.task, self.task.intervention
        learned = task.own_directions if table else ()
        chosen = task.moves or (task.standing and task.control != "layer")
        if not self.key or any(d.feature or d.top for d in learned) or chosen:
            return None
        changes = [t for t in (table, task.first) if t]
        if any(t.function or t.clamp or t.reconstruct or t.top for t in changes):
            return None
        sets = (*task.sets, *([task.made_for] if task.made_for else []))
        edits = [*map(stated, changes), task.control, [stated(d) for d in learned]] if table else []
        texts = [p.digest for p in sets], [p.tokens for p in self.prompts]
        return self.key, texts, self.rows, edits, self.variants


MOST = 2**29
"""Maximum bytes of activations that are read in one pass for all points of a sweep."""


@dataclass(frozen=True, eq=False)
class Editing:
    """The effect of an intervention, or of its control, on every prompt."""

    model: Pretrained
    prompts: Sequence[Prompt]
    task: Task
    """Has the intervention, its control, and the change before it, which controls make as well."""
    learner: Learner
    code: Callable[[str], Callable[..., Any]] = own_code.load
    """The user's own function of a name."""
    effects: choosing.Effects | None = None
    """The effects of changes of single parts on a read."""
    sites: Sequence[Site] = ()
    """Sites that are read."""
    _tables: dict[str, Intervention] = field(default_factory=dict, init=False)
    """Results of `at`, by point."""
    _each: dict[str, list[Editing]] = field(default_factory=dict, init=False)
    """Results of `_apart`, by intervention."""
    _first: list[Editing] = field(default_factory=list, init=False)
    """Makes the edits of the change that comes first."""
    _chosen: dict[str, Direction] = field(default_factory=dict, init=False)
    """Each direction with the heads chosen for it."""

    @property
    def table(self) -> Intervention:
        """The intervention, with its sweep."""
        assert self.task.intervention is not None
        return self.task.intervention

    @cached_property
    def choice(self) -> choosing.Choice:
        """The context in which parts are chosen."""
        choosers = self.task.choosers or self.task.reads
        return choosing.Choice(self.learner, self.task.directions, choosers, self.effects)

    @cached_property
    def source(self) -> Replacements:
        """Gives the activations that are put in."""
        shown = self.task.prompts
        arguments = (self.table, self.task.control, self.learner, shown, self.code, self._before)
        return Replacements(self.model, self.prompts, *arguments)

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """Gives the place of the change."""
        how = self.task.control, self.source, self.task.avoids
        return Elsewhere(self.model, self.prompts, *how)

    @cached_property
    def steering(self) -> Steering:
        """Gives the directions, latents and neurons of the change."""
        return Steering(self.model, self.task.control, self.learner, self.source)

    def edits(self, variants: Sequence[tuple[int, Mapping[str, Plain]]]) -> list[list[Edits]]:
        """The edits of every prompt, one for each seed and point of the sweep. Raises: DataError,
        ModelError."""
        self._see_all(variants)
        edited = [self._of(seed, point) for seed, point in variants]
        if self.task.first is not None:
            name = self.table.name
            edited = [
                [
                    interventions.both(name, *two)
                    for two in zip(self._before(seed), changed, strict=True)
                ]
                for (seed, _), changed in zip(variants, edited, strict=True)
            ]
        return [[variant[p] for variant in edited] for p in range(len(self.prompts))]

    def _before(self, seed: int) -> list[Edits]:
        if not self._first:  # once for all seeds, as parts may be chosen for it
            alone = replace(self.task, intervention=self.task.first, control="", first=None)
            self._first.append(replace(self, task=alone))
        return self._first[0]._of(seed, {})

    def _of(self, seed: int, point: Mapping[str, Plain]) -> list[Edits]:
        table = self.at(point)
        if table.top is not None:
            return [each._of(seed, point)[0] for each in self._apart(table)]
        way = interventions.way_of(table)
        for p in self.prompts:
            interventions.positions_of(table, p)  # refuses missing positions before any pass
        direction = self.direction(table, point)
        if direction is not None and not table.along:
            return self._along(table, direction, seed)
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
        if self.task.control in ("neurons", "random-neurons"):
            table = self.steering.other_neurons(table, seed)
        if table.all_but and table.neurons:
            every = range(self.model.folder.width(Site.parse(str(table.site))))
            others = tuple(n for n in every if n not in {*table.neurons})
            table = msgspec.structs.replace(table, neurons=others)
        along = None
        if direction is not None:
            places = self.steering.places(table, direction)
            along = self._fitting(table, direction, places, seed)
        else:
            places = self.elsewhere.places(table, seed)
        sites = [site for site, _ in places]
        shift = self.elsewhere.shift(table, sites[0], seed) if self.task.control == "token" else 0
        if table.function:
            return [
                interventions.edits_of(
                    table, p, places, user_change=partial(self.source.own, table, p), shift=shift
                )
                for p in self.prompts
            ]
        if table.ablate == "zero" or table.scale is not None:
            return self._edits(table, places, shift=shift)
        put_there = self.source.rows(table, sites, seed, shift=shift)
        if table.path is not None:
            return paths.edits(table, places, put_there, self.source, self.sites)
        return [
            interventions.edits_of(table, p, places, rows=rows, vector=along, shift=shift)
            for p, rows in zip(self.prompts, put_there, strict=True)
        ]

    def direction(self, table: Intervention, point: Mapping[str, Plain]) -> Direction | None:
        """The direction of an intervention at a point of its sweep, with the heads chosen for it;
        None if it has none."""
        direction = interventions.direction_of(table, self.task.directions)
        if direction is None:
            return None
        direction = interventions.filled(direction, point)
        if repr(direction) not in self._chosen:
            self._chosen[repr(direction)] = choosing.of_direction(direction, self.choice)
        return self._chosen[repr(direction)]

    def _apart(self, table: Intervention) -> list[Editing]:
        """For parts that are chosen for each prompt: one `Editing` per prompt."""
        assert table.top is not None
        key = repr(table)
        if key not in self._each:
            by_place = choosing.chosen_for_each(table, table.top, self.choice)
            self._each[key] = [
                replace(
                    self, prompts=[p], task=replace(self.task, intervention=by_place[p.row.place])
                )
                for p in self.prompts
            ]
        return self._each[key]

    def _reconstructed(self, table: Intervention, seed: int) -> list[Edits]:
        """The edits that replace activations by a dictionary's reconstruction, or by a mean in the
        control."""
        dictionary = self.learner.dictionary(table.reconstruct).to(self.model.device)
        site = choosing.site_of(table, table.reconstruct, dictionary, self.model.folder)
        if self.task.control == "mean":
            rows = self.source.rows(
                msgspec.structs.replace(table, reconstruct="", ablate="mean"), [site], seed
            )
            return [
                interventions.edits_of(table, p, [(site, None)], rows=replacement)
                for p, replacement in zip(self.prompts, rows, strict=True)
            ]

        def put(x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, dictionary.W_enc.shape[1]).float()
            return dictionary.reconstruct(flat).reshape(x.shape).to(x)

        return self._edits(table, [(site, None)], feature=put)

    def _along(self, table: Intervention, direction: Direction, seed: int) -> list[Edits]:
        """The edits that add, project out or erase a direction. Raises: DataError if it does not
        fit a site."""
        places = self.steering.places(table, direction)
        vector, put = self._fitting(table, direction, places, seed), None
        if table.erase or directions.is_subspace(direction):
            learned_at = self.learner.site(direction, places[0][0])
            acts = self.learner.examples(direction, learned_at, seed).acts
            if table.erase:
                put = subspaces.erasing(acts, vector)
            else:  # a subspace of labels is set to zero, as a single direction would be
                components = direction.components or direction.component
                mean = acts.mean(0) * (1.0 if table.keep or components else 0.0)
                put = subspaces.projecting(vector, mean, keep=bool(table.keep))
        return self._edits(table, places, vector=vector, feature=put)

    def _fitting(
        self, table: Intervention, direction: Direction, places: Places, seed: int
    ) -> Float[torch.Tensor, "..."]:
        """The direction of a seed. Raises: DataError if it does not fit a site."""
        vector = self.steering.vector(direction, places[0][0], seed)
        for site, _ in places:
            if (width := self.model.folder.shape(site)) != tuple(vector.shape[-1:]):
                raise DataError(
                    f"{table.name!r}: the direction {direction.name!r} has {vector.shape[-1]} "
                    f"numbers, {site} has {' × '.join(map(str, width))} for each token"
                )
        return vector

    def _edits(self, table: Intervention, places: Places, **arguments: Any) -> list[Edits]:
        """The edits of every prompt, with the same arguments for all."""
        return [interventions.edits_of(table, p, places, **arguments) for p in self.prompts]

    def _see_all(self, variants: Sequence[tuple[int, Mapping[str, Plain]]]) -> None:
        """Read the sites of all points in one pass, if their activations fit into memory."""
        tables = [self.at(p) for p in {repr(p): p for _, p in variants}.values()]
        if (
            any(t.ablate == "zero" or not (t.ablate or t.patch) or t.source for t in tables)
            or self.task.control
            or self.table.along  # at the site of its direction
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
        """The intervention at a point of its sweep, with the parts chosen for it if these are the
        same for all prompts."""
        if repr(point) not in self._tables:
            table = interventions.swept(self.table, point)
            if table.top is not None and not table.top.within:
                table = choosing.chosen(table, table.top, self.choice)
            self._tables[repr(point)] = table
        return self._tables[repr(point)]


@dataclass(frozen=True, eq=False)
class Steering:
    """The direction, latents or neurons of an intervention or of its control."""

    model: Pretrained
    control: str
    """The name of the near control; empty for the intervention itself."""
    learner: Learner
    source: Replacements

    def places(self, table: Intervention, direction: Direction) -> Places:
        """Give the sites at which a direction is added or projected out."""
        if direction.feature and not (table.site or direction.site):
            return [(self.learner.site(direction), None)]
        places = interventions.where(table, direction)
        return interventions.widened(table, places, self.model.layers)

    def vector(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, "..."]:
        """The direction of a seed, or its basis; in a control its replacement, of the same
        length."""
        learner = self.learner
        learned_at = learner.site(table, site)
        if directions.is_subspace(table):
            return self._basis(table, learned_at, seed)
        around = learner.spread(table, learned_at) if self.control == "random" else None
        if table.das and around is not None:
            basis = bases.random_basis(around, table.rank, seed)
            return basis if table.rank > 1 else basis[0]
        if table.das and self.control == "shuffled":
            return learner.shuffled(table, learned_at, seed)
        true = learner.vector(table, learned_at, seed)
        if self.control == "random" and table.feature:
            live = self._live(table.feature[0], learned_at)
            return vectors.as_long_as(learner.feature(table, live, seed), true)
        if self.control == "random":
            around = self.source.around(site) if around is None else around
            if true.ndim == 1:
                return vectors.random_like(true, around, seed)
            # a vector for each token, as long as the true one is there
            return true.norm(dim=1, keepdim=True) * bases.random_rows(around, len(true), seed)
        if self.control == "shuffled":
            # of the length that learning it gives, as the true one has: stretched, it would be the
            # true one's opposite or itself wherever prompts differ in nothing else
            shuffled = learner.shuffled(table, learned_at, seed)
            return shuffled if table.difference is not None else vectors.as_long_as(shuffled, true)
        if self.control == "tokens":
            if table.activation:
                text_vector = directions.of_texts(self.model, table, learned_at, seed)
            else:
                text_vector = learner.tokens(table, seed)
            return vectors.as_long_as(text_vector, true)
        if self.control == "neurons":
            intervention = Intervention(name=table.name, neurons=table.neurons)
            rivals = tuple(map(str, self.other_neurons(intervention, seed).neurons))
            other = msgspec.structs.replace(table, neurons=rivals)
            return vectors.as_long_as(learner.vector(other, learned_at, seed), true)
        if self.control in ("heads", "random-heads"):
            others = learner.other_heads(table, seed, anywhere=self.control == "random-heads")
            return vectors.as_long_as(learner.vector(others, learned_at, seed), true)
        if self.control == "layer":
            return self._other_layer(table, learned_at, true, seed)
        return true

    def _basis(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, "k d"]:
        """The dimensions of a seed; in a control as many others."""
        basis = self.learner.subspace(table, site, seed, shuffled=self.control == "shuffled")
        if self.control == "random":
            acts = self.learner.examples(table, site, seed).acts
            return bases.random_subspace(basis, acts - acts.mean(0), seed)
        if self.control == "variance":
            acts = self.learner.examples(table, site, seed).acts
            try:
                return bases.of_equal_variance(basis, acts - acts.mean(0), seed)
            except errors.DataError as e:
                raise DataError(f"at {site} {e}; leave out this site, or the control") from None
        return self._other_layer(table, site, basis, seed) if self.control == "layer" else basis

    def _other_layer(
        self, table: Direction, learned_at: Site, true: Float[torch.Tensor, "..."], seed: int
    ) -> Float[torch.Tensor, "..."]:
        """The direction of another layer: a third of the model away, or the nearest to that which
        has one. Raises: DataError if none has."""
        refusal: errors.DataError | None = None
        for layer in neighbours.by_distance(learned_at.layer or 0, self.model.layers):
            far = Site(learned_at.kind, layer)
            try:
                # with its share of the true one it would be the same explanation, as a stream hands
                # on its directions from block to block
                elsewhere = self.learner.vector(table, far, seed)
                if true.ndim > 1:
                    return bases.basis(elsewhere - (elsewhere @ true.T) @ true)
                return vectors.as_long_as(vectors.aside(elsewhere, true), true)
            except errors.DataError as e:
                refusal = refusal or e
        raise refusal or DataError("the model has no other block; name other controls")

    def feature(self, table: Intervention, site: Site, seed: int) -> Put:
        """Sets a latent; in the control, adds as much along the decoder row of another one."""
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
            around = self.source.around(site).reshape(-1, dictionary.W_enc.shape[1])
            codes = torch.cat([dictionary.encode(chunk) for chunk in around.split(1024)])
            live = self._live(name, site)
            rows = _matched(latents, codes, [*live, *latents], seed)
        lengths = effects.directions(dictionary, [*latents, *rows]).norm(dim=1)
        factors = lengths[: len(latents)] / lengths[len(latents) :] if self.control else 1.0

        def put(x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, dictionary.W_enc.shape[1]).float()
            change = factors * (value - single.encode(flat)[:, columns])
            added = effects.added(dictionary, rows, change, flat)
            return x + added.reshape(x.shape).to(x)

        return put

    def _live(self, name: str, site: Site) -> list[int]:
        """The latents that are active anywhere in the prompts, except at the first token."""
        dictionary = self.learner.dictionary(name).to(self.model.device)
        around = self.source.around(site).reshape(-1, dictionary.W_enc.shape[1])
        on = torch.zeros(dictionary.width, dtype=torch.bool, device=self.model.device)
        for chunk in around.split(1024):
            on |= (dictionary.encode(chunk) != 0).any(0)
        return [int(k) for k in on.nonzero()[:, 0]]

    def other_neurons(self, table: Intervention, seed: int) -> Intervention:
        """Replace neurons by as many others of the same site with similar size and frequency, or by
        random ones of all MLPs, or of the site."""
        others: list[int | str] = []
        by_site = interventions.neurons_by_site(table)
        if self.control == "random-neurons" and all(site.kind == "mlp_post" for site in by_site):
            ours = [(site.layer or 0, n) for site, parts in by_site.items() for n in parts]
            sites = [Site("mlp_post", layer) for layer in range(self.model.layers)]
            pool = [(s.layer or 0, n) for s in sites for n in range(self.model.folder.width(s))]
            names = tuple(f"{layer}.{n}" for layer, n in picks.random_others(ours, pool, seed))
            return msgspec.structs.replace(table, site="", neurons=names)
        for site, neurons in by_site.items():
            if self.control == "random-neurons":
                others += picks.random_others(neurons, range(self.model.folder.width(site)), seed)
                continue
            acts = self.source.around(site).flatten(1).abs()
            parts = _matched(neurons, acts, range(acts.shape[1]), seed)
            others += parts if table.site else [f"{site.layer}.{n}" for n in parts]
        return msgspec.structs.replace(table, neurons=tuple(others))


def _matched(
    parts: Sequence[int], acts: Float[torch.Tensor, "n part"], pool: Iterable[int], seed: int
) -> list[int]:
    """As many other parts with similar size and frequency, different ones for successive seeds.
    Raises: DataError if the pool has too few."""
    pool = [*dict.fromkeys([*parts, *pool])]
    sizes = [acts.mean(0).tolist(), (acts > 0).float().mean(0).tolist()]
    draws = picks.matched(parts, pool, [{n: x[n] for n in pool} for x in sizes], FEW)
    return draws[seed % len(draws)]
