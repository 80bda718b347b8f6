"""Steering: the vectors that are added or taken out, and the latents and neurons that are set, or
what a near control has in the place of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from jaxtyping import Float

from assay.ask.measure import dictionaries, directions, interventions
from assay.ask.measure.directions import Learner
from assay.ask.measure.elsewhere import FEW, Places
from assay.ask.measure.interventions import Put
from assay.ask.measure.replacements import Replacements
from assay.ask.tables import Direction, Intervention
from assay.controls import picks, vectors
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.features import effects
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site


@dataclass(frozen=True, eq=False)
class Steering:
    """The direction, latents or neurons of a change, in an intervention or in a control."""

    model: Pretrained
    control: str
    """The near control that this is, by name; empty: the intervention itself."""
    learner: Learner
    source: Replacements

    def places(self, table: Intervention, direction: Direction) -> Places:
        """Give the sites at which a direction is added or taken out."""
        if direction.feature and not (table.site or direction.site):
            return [(self.learner.site(direction), None)]
        places = interventions.where(table, direction)
        return interventions.widened(table, places, self.model.layers)

    def vector(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, " d"]:
        """The direction of a seed, or what stands in its place in a control, as long."""
        learner = self.learner
        learned_at = learner.site(table, site)
        true = learner.vector(table, learned_at, seed)
        if self.control == "random" and table.feature:
            live = self._live(table.feature[0], learned_at)
            return vectors.as_long_as(learner.feature(table, live, seed), true)
        if self.control == "random":
            around = learner.spread(table, learned_at)
            around = self.source.around(site) if around is None else around
            return vectors.random_like(true, around, seed)
        if self.control == "shuffled":
            # of the length that learning it gives, as the true one has: stretched, it would be the
            # true one's opposite or itself wherever prompts differ in nothing else
            shuffled = learner.shuffled(table, learned_at, seed)
            return shuffled if table.difference is not None else vectors.as_long_as(shuffled, true)
        if self.control == "tokens":
            return vectors.as_long_as(learner.tokens(table, seed), true)
        if self.control in ("heads", "random-heads"):
            others = learner.other_heads(table, seed, anywhere=self.control == "random-heads")
            return vectors.as_long_as(learner.vector(others, learned_at, seed), true)
        if self.control == "layer":
            return self._other_layer(table, learned_at, true, seed)
        return true

    def _other_layer(
        self, table: Direction, learned_at: Site, true: Float[torch.Tensor, " d"], seed: int
    ) -> Float[torch.Tensor, " d"]:
        """The direction of another layer, earlier or, where there is none yet, later, or else of
        the nearest block that has one. Raises: DataError where none has."""
        refusal: DataError | None = None
        for layer in picks.by_distance(learned_at.layer or 0, self.model.layers):
            far = Site(learned_at.kind, layer)
            try:
                # with its share of the true one it would be the same explanation, as a stream hands
                # on its directions from block to block
                elsewhere = vectors.aside(self.learner.vector(table, far, seed), true)
                return vectors.as_long_as(elsewhere, true)
            except DataError as e:
                refusal = refusal or e
        raise refusal or DataError("the model has no other block; name other controls")

    def feature(self, table: Intervention, site: Site, seed: int) -> Put:
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
            around = self.source.around(site).reshape(-1, dictionary.W_enc.shape[1])
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
        around = self.source.around(site).reshape(-1, dictionary.W_enc.shape[1])
        on = torch.zeros(dictionary.width, dtype=torch.bool, device=self.model.device)
        for some in around.split(1024):
            on |= (dictionary.encode(some)[0] != 0).any(0)
        return [int(k) for k in on.nonzero()[:, 0]]

    def other_neurons(self, table: Intervention, seed: int) -> Intervention:
        """Change as many other neurons of each site, as large and as often on, or random ones of
        the MLPs of the whole model."""
        others: list[int | str] = []
        by_site = interventions.neurons_by_site(table)
        if self.control == "random-neurons":
            ours = [(site.layer or 0, n) for site, some in by_site.items() for n in some]
            sites = [Site("mlp_post", layer) for layer in range(self.model.layers)]
            pool = [(s.layer or 0, n) for s in sites for n in range(self.model.folder.width(s))]
            names = tuple(f"{layer}.{n}" for layer, n in picks.random_others(ours, pool, seed))
            return msgspec.structs.replace(table, site="", neurons=names)
        for site, named in by_site.items():
            acts = self.source.around(site).flatten(1).abs()
            some = _matched(named, acts, range(acts.shape[1]), seed)
            others += some if table.site else [f"{site.layer}.{n}" for n in some]
        return msgspec.structs.replace(table, neurons=tuple(others))


def _matched(
    named: Sequence[int], acts: Float[torch.Tensor, "n part"], pool: Iterable[int], seed: int
) -> list[int]:
    """As many other parts that are as large and as often on, others as seeds go on. Raises:
    DataError where the pool has not as many."""
    pool = [*dict.fromkeys([*named, *pool])]
    sizes = [acts.mean(0).tolist(), (acts > 0).float().mean(0).tolist()]
    draws = picks.matched(named, pool, [{n: x[n] for n in pool} for x in sizes], FEW)
    return draws[seed % len(draws)]
