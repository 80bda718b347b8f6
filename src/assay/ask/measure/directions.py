"""Directions: how they are learned from activations or read off weights. `check` refuses impossible
tables, `Learner.vector` gives the direction of a seed, and the last methods of `Learner` give the
replacements of controls: shuffled labels, other heads, random tokens, another feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from jaxtyping import Float

from assay.ask.measure import attribution, bases, das, dictionaries, subspaces
from assay.ask.measure.heads import head_of, heads_by_layer
from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet
from assay.ask.measure.subspaces import RIDGE
from assay.ask.measure.tokenized import PassOutput, Prompt, prompt, texts_of
from assay.ask.measure.weights import embeddings, mean_row, of_token
from assay.ask.tables import Direction, Plain, Position
from assay.controls import picks, vectors
from assay.controls.vectors import SAME, sign_of
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.features import effects
from assay.subjects import readout
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes
from assay.train import rng

LEARNED = ("difference", "probe", "mean", "component", "components", "das")
"""Those that are learned from prompts."""
WAYS = (*LEARNED, "feature", "neurons", "unembedding", "embedding", "mean_row", "activation")
POINTS = ("difference", "mean", "mean_row", "activation")
"""Those that keep their length, so that distances from them are defined; the others have length
1."""
ENOUGH = 6
"""With this many rows of a label, a seed learns from at least two, of which one is swapped in a
shuffled control."""
KEPT = 64
_trained: dict[tuple[object, ...], torch.Tensor] = {}
"""The last trained directions, which several arms share."""


def way_of(table: Direction) -> str:
    """How a direction is obtained. Raises: DataError if it has no way or several."""
    ways = [w for w in WAYS if getattr(table, w) not in (None, "", False, ())]
    ways += ["neurons"] if table.top and table.top.of == "neurons" else []
    if len(ways) != 1:
        got = " and ".join(ways) or "none of them"
        raise DataError(f"give one of {', '.join(WAYS)} for direction {table.name!r}, got {got}")
    return ways[0]


def is_of_stream(table: Direction) -> bool:
    """Whether it is given by weights in the residual stream, so that it needs no site."""
    return way_of(table) in ("neurons", "unembedding", "embedding", "mean_row")


def is_one(table: Direction) -> bool:
    """Whether it is a single vector, and not a subspace or a vector for each token."""
    return table.rank == 1 and table.position != "all" and not is_subspace(table)


def is_subspace(table: Direction) -> bool:
    """Whether it has several dimensions: principal components, a component of all tokens, the
    differences of more than two labels, or successive probes."""
    labels = table.difference or table.probe or ()
    components = table.components or (table.component and table.position == "all")
    return bool(components or table.iterations or labels[2:])


def find(tables: Sequence[Direction], name: str) -> Direction:
    """The direction of this name. Raises: DataError."""
    names = [t.name for t in tables]
    if name not in names:
        hint = nearest(name, names) if names else "write [[direction]] with this name"
        raise DataError(f"there is no direction {name!r}; {hint}")
    return tables[names.index(name)]


def source_of(table: Direction, sources: Mapping[str, PromptSet], measured: PromptSet) -> PromptSet:
    """The prompts that a direction is learned from. Raises: DataError if they do not exist."""
    if table.prompts not in ("", *sources):
        hint = nearest(table.prompts, sources)
        raise DataError(f"direction {table.name!r}: no prompts {table.prompts!r}; {hint}")
    return sources.get(table.prompts, measured)


def check(table: Direction) -> None:
    """Refuse a direction that is impossible for any model and prompts. Raises: DataError,
    ModelError."""
    way = way_of(table)
    if table.site and not SLOT.search(table.site):
        _check_site(table.name, Site.parse(table.site))
    of_heads = bool(table.heads) or (table.top is not None and table.top.of == "heads")
    if of_heads and (table.site or way not in LEARNED[:-1] or table.position == "mean"):
        raise DataError(
            f"{table.name!r}: heads are in place of a site, at one token, of a direction that is "
            f"learned ({', '.join(LEARNED[:-1])})"
        )
    if table.top and (table.heads or table.top.of == "latents" or table.top.within):
        raise DataError(
            f"{table.name!r}: top of a direction chooses heads or neurons, the same for all "
            'prompts, in place of numbers: write of = "heads" or "neurons", without within'
        )
    if way in (*LEARNED, "activation") and not (table.site or of_heads):
        raise DataError(
            f"the direction {table.name!r} needs a site at which it is learned, such as "
            '"blocks.9.hook_resid_pre"'
        )
    if table.position == "all" and way not in ("activation", "component", "components"):
        raise DataError(f'{table.name!r}: a direction is learned at one token, or at "mean"')
    if way == "das" and table.position == "mean":
        raise DataError(f"{table.name!r}: das patches one token; write its position")
    usual = Direction(name="")
    for field in ("rank", "steps", "lr"):
        if way != "das" and getattr(table, field) != getattr(usual, field):
            raise DataError(f"{table.name!r}: {field} belongs to das, and it has {way}")
    labels = [*map(label_of, table.difference or table.probe or ())]
    if twice := [x for x in labels if labels.count(x) > 1]:
        raise DataError(f"{table.name!r}: {way} takes different labels, got {twice[0]!r} twice")
    if table.iterations and way != "probe":
        raise DataError(f"{table.name!r}: iterations are of a probe (INLP), and it has {way}")
    for name in ("unembedding", "embedding", "activation"):
        texts = getattr(table, name)
        if way == name and not all(texts_of(texts)):
            raise DataError(f"{table.name!r}: {name} takes texts, and one of them is empty")
        if isinstance(texts, tuple) and texts[0] == texts[1]:
            raise DataError(f"{table.name!r}: the {name} of {texts[0]!r} minus itself is 0")


def refuse_leaks(table: Direction, sources: Mapping[str, PromptSet], judged: PromptSet) -> None:
    """Refuse a direction that is learned from texts on which it is judged. Raises: DataError."""
    source = sources.get(table.prompts)
    if way_of(table) not in LEARNED or source is None or source.table.name == judged.table.name:
        return
    measured = {row.text: row for row in judged.rows}
    same = [(row, measured[row.text]) for row in source.rows if row.text in measured]
    if same:
        row, other = same[0]
        raise DataError(
            f"direction {table.name!r}: {row.place} and {other.place} have the same text, and one "
            f"is learned from and the other is judged ({len(same)} such rows); remove them, or "
            "leave out prompts: the direction then learns from one half of the prompts and is "
            "judged on the other"
        )


def refuse_judged(table: Direction, judged: PromptSet) -> None:
    """Refuse a direction that is learned from all prompts on which a probe under it is judged.
    Raises: DataError."""
    if way_of(table) in LEARNED and table.prompts == judged.table.name:
        raise DataError(
            f"direction {table.name!r} is learned from {table.prompts}, on which a probe under it "
            "is judged; learn it from the prompts of the probe, or from others"
        )


def check_tokens(table: Direction, folder: ModelFolder) -> None:
    """Refuse an (un)embedding of a text that is not one token. Raises: DataError."""
    for way in ("unembedding", "embedding"):
        for text in texts_of(getattr(table, way)) if getattr(table, way) else ():
            if slot := SLOT.search(text):
                raise DataError(
                    f"direction {table.name!r}: nothing fills {slot[0]} of {text!r}, and a "
                    "direction is the same for all prompts; of each prompt's own answer read "
                    "logit_lens or logit at a site"
                )
            one_token(table.name, way, text, folder.tokenizer.encode(text))


def one_token(name: str, way: str, text: str, ids: Sequence[int]) -> int:
    """Give the token of a text. Raises: DataError if it is not one token."""
    if len(ids) != 1:
        raise DataError(
            f"direction {name!r}: {text!r} is {len(ids)} tokens; an {way} is that of one"
        )
    return ids[0]


def _check_site(name: str, site: Site) -> None:
    if len(site.dims.split()) != 3:
        raise DataError(
            f"the direction {name!r}: {site} does not have one vector for each token; use "
            f"a site such as blocks.{site.layer or 0}.hook_resid_pre"
        )


@dataclass(frozen=True, eq=False)
class Examples:
    """The activations that a direction is learned from."""

    acts: Float[torch.Tensor, "row d"]
    labels: tuple[str, ...]
    rows: tuple[int, ...] = ()
    """Their rows of the prompts."""


@dataclass(frozen=True, eq=False)
class Learner:
    """Gives directions of a model; each seed learns from its own prompts."""

    model: Pretrained
    measured: PromptSet
    """The measured prompts: what learns from them uses the other half."""
    sources: Mapping[str, PromptSet]
    """All prompts, by name."""
    activations: Callable[[PromptSet, Site, Position], Float[torch.Tensor, "row d"]]
    """The activations of all rows at a site and a position."""
    dictionary: Callable[[str], Dictionary]
    key: str = ""
    """The key under which the model's activations are cached."""
    tried: Sequence[int] = ()
    """In a rehearsal: the rows that are measured."""

    def site(self, table: Direction, otherwise: Site | None = None) -> Site:
        """The site of a direction: its own, its dictionary's, or the one at which it is used.
        Raises: DataError if there is none, or it has no single vector for each token."""
        if table.site:
            site = Site.parse(table.site)
        elif table.feature:
            site = site_of(table.feature[0], self.dictionary(table.feature[0]))
        elif otherwise is not None:
            site = otherwise
        else:
            raise DataError(f"give the site of the direction {table.name!r}")
        self.model.folder.check(site)
        _check_site(table.name, site)
        return site

    def vector(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, "..."]:
        """Get a direction: a difference of means with its length, all others with length 1; or the
        basis of a subspace. Raises: DataError if the examples lack a label, or its length is 0."""
        way = way_of(table)
        if way == "das":
            return self._trained(table, site, seed)
        if is_subspace(table):
            return self.subspace(table, site, seed)
        if way in LEARNED:
            return self._learned(table, self.examples(table, site, seed), site)
        if way == "activation":
            return of_texts(self.model, table, site)
        if way == "feature":
            assert table.feature is not None
            direction = self._row(*table.feature)
        elif way == "neurons":
            written = [
                readout.written_by_neurons(self.model, n)[numbers].sum(0)
                for n, numbers in heads_by_layer(table.neurons)
            ]
            direction = torch.stack(written).sum(0).to(self.model.device)
        elif way == "mean_row":
            return mean_row(self.model, table.mean_row)
        else:
            direction = _token(table.name, self.model, way, texts_of(getattr(table, way)))
        return _unit(table, direction, site)

    def _learned(
        self, table: Direction, examples: Examples, site: Site
    ) -> Float[torch.Tensor, " d"]:
        way = way_of(table)
        direction = _LEARN[way](table, examples)
        if way == "component":  # which has no sign of its own: that of all rows, in every seed
            whole = _component(table, self._all_examples(table, site))
            direction = direction * (-1 if float(direction @ whole) < 0 else 1)
        spread = float(examples.acts.norm(dim=1).mean())
        if float(direction.norm()) <= SAME * spread or not direction.isfinite().all():
            raise _alike(table, examples, site, self)
        return direction if way in POINTS else _unit(table, direction, site)

    def _trained(
        self, table: Direction, site: Site, seed: int, *, shuffled: bool = False
    ) -> Float[torch.Tensor, "..."]:
        """A direction, or the basis of a subspace, trained by patching it."""
        prompts, rows = self._prompts(table)
        chosen = prompts.sample(rows, seed)
        key = (self.model.fingerprint, prompts.digest, repr(table), site, seed, shuffled)
        if key not in _trained:
            while len(_trained) >= KEPT:
                _trained.pop(next(iter(_trained)))
            _trained[key] = das.subspace(
                self.model, table, site, prompts, chosen, seed, shuffled=shuffled
            )
        basis = _trained[key]
        return basis if table.rank > 1 else basis[0]

    def _row(self, name: str, latent: int) -> Float[torch.Tensor, " d"]:
        dictionary = self.dictionary(name)
        dictionaries.latent(dictionary, name, latent)
        return effects.directions(dictionary.to(self.model.device), [latent])[0].float()

    def _prompts(self, table: Direction) -> tuple[PromptSet, list[int]]:
        """The prompts of a direction, and the rows that it may learn from."""
        prompts = source_of(table, self.sources, self.measured)
        shared = prompts.table.name == self.measured.table.name
        rows = prompts.halves()[0] if shared else [*range(len(prompts.rows))]
        if labels := table.difference or table.probe:
            names = {label_of(label) for label in labels}
            column = prompts.column(table.label, rows)
            for name in sorted(names - {*column}):
                every = prompts.column(table.label)
                lacks = f"no prompt has {table.label} = {name!r}; {nearest(name, sorted({*every}))}"
                if name in every:
                    lacks = (
                        f"no prompt to learn from has {table.label} = {name!r}: all that have it, "
                        f"{every.count(name)}, are measured; write more of them"
                    )
                raise DataError(f"direction {table.name!r}: {lacks}")
            rows = [i for i, x in zip(rows, column, strict=True) if x in names]
        return prompts, rows

    def examples(self, table: Direction, site: Site, seed: int) -> Examples:
        """The activations that a seed learns a direction from. Raises: DataError."""
        prompts, rows = self._prompts(table)
        labelled = bool(table.difference or table.probe)
        chosen = prompts.sample(rows, seed, labelled=labelled, label=table.label)
        if labelled:  # whole groups are drawn, which need not have each label
            column = prompts.column(table.label, rows)
            lacking = {*column} - {*prompts.column(table.label, chosen)}
            chosen += [i for i, x in zip(rows, column, strict=True) if x in lacking]
        return self._of(table, site, prompts, chosen)

    def _all_examples(self, table: Direction, site: Site) -> Examples:
        return self._of(table, site, *self._prompts(table))

    def spread(self, table: Direction, site: Site) -> Float[torch.Tensor, "row d"] | None:
        """The activations that a direction is learned from, minus the mean of their label, so that
        differences between labels do not count; None if nothing is learned."""
        if way_of(table) not in LEARNED:
            return None
        examples = self._all_examples(table, site)
        acts = examples.acts.clone()
        for name in {*examples.labels}:
            rows = [i for i, label in enumerate(examples.labels) if label == name]
            acts[rows] -= acts[rows].mean(0)
        return acts

    def _of(
        self, table: Direction, site: Site, prompts: PromptSet, rows: Sequence[int]
    ) -> Examples:
        labels = prompts.column(table.label, rows) if table.difference or table.probe else []
        if table.heads:
            acts = self._written(table, prompts)
        else:
            acts = self.activations(prompts, site, table.position)
        acts = acts[[*rows]]
        if table.position == "all":  # each row has its tokens, and NaN behind the last
            acts = acts[acts.isfinite().all(-1)]
        return Examples(acts, tuple(labels), tuple(rows))

    def _written(self, table: Direction, prompts: PromptSet) -> Float[torch.Tensor, "row d"]:
        """What the heads of a direction together write to the stream, after the norm behind
        attention if there is one."""
        parts = []
        for layer, numbers in heads_by_layer(table.heads):
            every = self.activations(prompts, Site("result", layer), table.position)
            parts.append(every[:, numbers].sum(1))
            if attribution.POST in self.model.folder.architecture.sites:
                post = Site(attribution.POST, layer)
                scale = self.activations(prompts, post, table.position)
                parts[-1] = parts[-1] * (attribution.after(self.model, layer) / scale).to(scale)
        return torch.stack(parts).sum(0)

    def subspace(
        self, table: Direction, site: Site, seed: int, *, shuffled: bool = False
    ) -> Float[torch.Tensor, "k d"]:
        """Learn the first principal components of the activations at a site, or what separates
        labels; `shuffled`, with the rows of each label distributed over all labels. Raises:
        DataError if there are too few dimensions."""
        examples = self.examples(table, site, seed)
        if table.components or table.component:
            return _components(table, examples.acts)
        names = [*map(label_of, table.difference or table.probe or ())]
        label = np.array([names.index(x) for x in examples.labels])
        label = bases.dealt(label, seed) if shuffled else label
        iterations = 0 if table.difference else table.iterations or 1
        basis = subspaces.of_labels(examples.acts, label, iterations)
        if not len(basis):
            raise _alike(table, examples, site, self)
        return basis

    # its replacements in controls -----------------------------------------------------------------

    def shuffled(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, " d"]:
        """Learn a direction from uninformative labels: half of the rows of each label get the other
        label.

        Then what separates the labels cancels, and the direction has no component along the true
        one except noise. Its sign is arbitrary, so seeds come in pairs, 2n and 2n + 1, of which the
        second has the opposite direction. A direction of das is trained on answers of other pairs.
        Raises: DataError if a label has fewer than two rows."""
        if table.das:
            return self._trained(table, site, seed, shuffled=True)
        pair = table.difference or table.probe
        assert pair is not None
        examples = self.examples(table, site, seed - seed % 2)
        groups: list[list[int]] = []
        for label in pair:
            name = label_of(label)
            groups.append([i for i, other in enumerate(examples.labels) if other == name])
            if len(groups[-1]) < 2:
                raise DataError(
                    f"direction {table.name!r}: the control `shuffled` swaps half of each label, "
                    f"and {name!r} has {len(groups[-1])} of the rows that a seed learns from; give "
                    f"each label {ENOUGH} or more, or name other controls"
                )
        if table.difference is not None:
            first, second = (examples.acts[rows] for rows in groups)
            return vectors.shuffled_difference(first, second, seed)
        swapped = list(examples.labels)
        for k, (exchanged, _) in enumerate(vectors.swaps([*map(len, groups)], seed)):
            for i in exchanged:
                swapped[groups[k][i]] = label_of(pair[1 - k])
        direction = _probe(table, Examples(examples.acts, tuple(swapped)))
        return sign_of(seed) * direction

    def other_heads(self, table: Direction, seed: int, *, anywhere: bool) -> Direction:
        """Learn a direction from as many other heads, of the same blocks or `anywhere`. Raises:
        DataError if there are too few."""
        heads, layers = [head_of(text) for text in table.heads], range(self.model.layers)
        count = read_sizes(self.model.folder.config)["h"]
        blocks = layers if anywhere else sorted({layer for layer, _ in heads})
        pool = [(layer, k) for layer in blocks for k in range(count)]
        others = picks.random_others(heads, pool, seed)
        return msgspec.structs.replace(table, heads=tuple(f"{n}.{k}" for n, k in others))

    def tokens(self, table: Direction, seed: int) -> Float[torch.Tensor, " d"]:
        """The (un)embedding of random tokens instead of those that a direction names."""
        way = way_of(table)
        weight = embeddings(self.model, way).weight
        texts = texts_of(getattr(table, way))
        excluded = {self.model.encode(text)[0] for text in texts}
        both = len(texts) > 1  # the difference of two has no sign of its own
        draws = rng.integers(
            np.array([seed - seed % 2 if both else seed]), "ask.tokens", 0, (64,), len(weight)
        )[0]
        candidates = [int(t) for t in dict.fromkeys(draws.tolist()) if t not in excluded]
        rows = [row for t in candidates if float((row := of_token(self.model, way, t)).norm()) > 0]
        return sign_of(seed) * (rows[0] - rows[1]) if both else rows[0]

    def feature(
        self, table: Direction, live: Sequence[int], seed: int
    ) -> Float[torch.Tensor, " d"]:
        """The decoder row of another feature that is active in these prompts."""
        assert table.feature is not None
        name, latent = table.feature
        return self._row(name, another(self.dictionary(name), latent, live, seed))


def _alike(table: Direction, examples: Examples, site: Site, learner: Learner) -> DataError:
    hint = differing(learner._prompts(table)[0], examples.rows, learner.model.folder)
    return DataError(
        f"the direction {table.name!r} has length 0: the prompts that it is learned from look "
        f"alike to {site} at position {table.position}; {hint}"
    )


def label_of(label: Plain) -> str:
    """A label as it is written in the prompts."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _of_label(examples: Examples, label: Plain) -> torch.Tensor:
    name = label_of(label)
    return examples.acts[[i for i, other in enumerate(examples.labels) if other == name]]


def _difference(table: Direction, examples: Examples) -> torch.Tensor:
    assert table.difference is not None
    return vectors.difference(*(_of_label(examples, label) for label in table.difference))


def _probe(table: Direction, examples: Examples) -> torch.Tensor:
    """Ridge weights between two labels, with a penalty of a tenth of the mean variance."""
    assert table.probe is not None
    first, second = (_of_label(examples, label) for label in table.probe)
    x = torch.cat([first, second]).double()
    y = torch.cat([x.new_ones(len(first)), -x.new_ones(len(second))])
    scale = float(x.norm(dim=1).mean())
    x = x - x.mean(0)
    if float(x.norm(dim=1).max()) <= SAME * scale:
        return torch.zeros_like(examples.acts[0])
    gram = x @ x.T
    ridge = RIDGE * gram.diagonal().mean()
    eye = torch.eye(len(x), dtype=x.dtype, device=x.device)
    weights: torch.Tensor = x.T @ torch.linalg.solve(gram + ridge * eye, y - y.mean())
    # as the class means are apart along it, so that its length can be compared with theirs
    unit = weights / weights.norm().clamp_min(1e-300)
    distance = (first.double().mean(0) - second.double().mean(0)) @ unit
    return (unit * distance.abs()).float()


def _components(table: Direction, acts: Float[torch.Tensor, "n d"]) -> torch.Tensor:
    """The first principal components, or a single one, [k, d]. Raises: DataError if there are
    fewer."""
    x = acts.double() - acts.double().mean(0)
    rows = torch.linalg.eigh(x.T @ x).eigenvectors
    limit, number = min(len(x) - 1, x.shape[1]), table.components or table.component or 0
    if number > limit:
        noun = "tokens" if table.position == "all" else "prompts"
        more = '; position = "all" learns from all of their tokens'
        hint = "" if table.position == "all" else more
        raise DataError(
            f"direction {table.name!r}: {len(x)} {noun} have {max(0, limit)} principal components, "
            f"got {number}{hint}"
        )
    return rows.flip(1).T[number - (1 if table.component else number) : number].to(acts)


def _component(table: Direction, examples: Examples) -> torch.Tensor:
    """A principal component, scaled by the spread of the examples along it."""
    assert table.component is not None
    x = examples.acts - examples.acts.mean(0)
    if table.component > min(len(x) - 1, x.shape[1]):
        raise DataError(
            f"direction {table.name!r}: {len(x)} prompts have no component {table.component}"
        )
    _, lengths, rows = torch.linalg.svd(x, full_matrices=False)
    direction: torch.Tensor = rows[table.component - 1]
    # a component has no sign of its own: its largest entry is taken to be positive
    direction = direction * direction[direction.abs().argmax()].sign()
    return direction * lengths[table.component - 1] / len(x) ** 0.5


_LEARN: Mapping[str, Callable[[Direction, Examples], torch.Tensor]] = {
    "difference": _difference,
    "probe": _probe,
    "mean": lambda _, examples: examples.acts.mean(0),
    "component": _component,
}


def of_texts(
    model: Pretrained, table: Direction, site: Site, draw: int | None = None
) -> Float[torch.Tensor, "..."]:
    """The activation of a site on a text at the position of a direction, or on the first text minus
    the second, the shorter one padded with spaces; at all positions a row for each token, without
    the opening. With a `draw`, of texts of as many random tokens."""
    texts = [[*model.encode(text)] for text in texts_of(table.activation)]
    words = len(embeddings(model, "embedding").weight)
    for k, text in enumerate(texts if draw is not None else ()):
        numbers = rng.integers(np.array([draw]), "ask.texts", k, (len(text),), words)
        texts[k] = numbers[0].tolist()
    opening, space = [*model.folder.opening], model.encode(" ")[-1]
    longest, rows = max(map(len, texts)), list[torch.Tensor]()
    for text in texts:
        tokens = (*opening, *text, *[space] * (longest - len(text)))
        p = Prompt(PromptRow("", {}, table.name, {}), tokens, len(opening), model.folder)
        ids = torch.tensor([tokens], device=model.device)
        acts = model.run(ids, capture=[site], logits=False).acts
        output = PassOutput(p, acts={site: acts[site][0]})
        whole = table.position == "all"
        rows.append(output.rows(site, "all") if whole else output.act(site, table.position))
    vector = rows[0] - rows[1] if len(rows) > 1 else rows[0]
    _unit(table, vector, site)  # refuses length 0
    return vector


def _unit(table: Direction, direction: torch.Tensor, site: Site) -> torch.Tensor:
    length = float(direction.norm())
    if not 0 < length < float("inf"):
        raise DataError(f"the direction {table.name!r} has length {length:g} at {site}")
    return direction / length


def _token(name: str, model: Pretrained, way: str, texts: Sequence[str]) -> torch.Tensor:
    rows = []
    for text in texts:
        rows.append(of_token(model, way, one_token(name, way, text, model.encode(text))))
    return rows[0] - rows[1] if len(rows) > 1 else rows[0]


def site_of(name: str, dictionary: Dictionary) -> Site:
    """The site of a dictionary. Raises: DataError if its file has none, or it reads and writes at
    different sites."""
    if len(dictionary.sites) > 1 or dictionary.sites_out not in ((), dictionary.sites):
        raise DataError(
            f"{name} reads and writes at different sites, so one of its features is not a "
            "direction there"
        )
    if not dictionary.sites:
        raise DataError(
            f'{name} does not say where it belongs; say site, such as "blocks.9.hook_resid_post"'
        )
    return Site.parse(dictionary.sites[0])


def another(dictionary: Dictionary, latent: int, live: Sequence[int], seed: int) -> int:
    """Draw another latent with a decoder row, among the active ones if there are any. Raises:
    DataError if there is none."""
    lengths = effects.directions(dictionary, [*range(dictionary.width)]).norm(dim=1)
    others = [k for k in range(dictionary.width) if k != latent and float(lengths[k]) > 0]
    allowed = {*others}
    candidates = [k for k in live if k in allowed] or others
    if not candidates:
        raise DataError("the dictionary has no other feature; name other controls")
    return candidates[picks.pick(seed, "ask.feature", 0, len(candidates))]


def differing(prompts: PromptSet, rows: Sequence[int], folder: ModelFolder) -> str:
    """Say where these prompts differ: at a slot, or at the last position with different tokens."""
    tokenised = [prompt(folder, prompts.rows[i]) for i in rows]
    row = tokenised[0].row
    slots = [f"{{{name}}}" for name in row.spans if name not in row.repeated]
    values = {slot: {p.tokens[p.at(slot)] for p in tokenised} for slot in slots}
    slot = max(values, key=lambda name: len(values[name]), default="")
    if slot and len(values[slot]) > 1:
        return f'they differ in {slot}: write position = "{slot}", or a later site'
    for back in range(1, min(len(p.tokens) for p in tokenised) + 1):
        if len({p.tokens[-back] for p in tokenised}) > 1:
            return f"they differ at position -{back}: write position = -{back}, or a later site"
    return "they are the same text; write prompts that differ"
