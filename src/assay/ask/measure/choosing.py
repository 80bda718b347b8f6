"""Choosing: which heads, neurons or latents have most of something. `chosen` sizes all parts
(`_sized`) on prompts that are not measured: by a read of each head (`_heads`), by the effect of
changing each part (`_effects`), by a gradient (`_slopes`), by activations (`_neurons`, `_latents`),
or by weights; `_named` writes the best ones into the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
from jaxtyping import Float

from assay.ask.measure import (
    activations,
    attribution,
    dictionaries,
    directions,
    gradients,
    interventions,
    next_tokens,
    pairs,
    paths,
    reads,
)
from assay.ask.measure.directions import Learner
from assay.ask.measure.heads import head_of
from assay.ask.measure.prompts import SLOT, PromptSet
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, prompt
from assay.ask.tables import Direction, Intervention, Plain, Positions, Read, Top
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.features import effects
from assay.subjects import readout
from assay.subjects.batches import run_many
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes
from assay.train import rng

Effects = Callable[[Read, Intervention, PromptSet, Sequence[int]], 'Float[Any, "part row"]']
"""A read, a change that sweeps parts, and rows of prompts → the effect of each part on the read for
each row."""
T = TypeVar("T", Intervention, Read, Direction)
Names = list[tuple[int, int]]
"""The block of each part, and its number there."""
Sized: TypeAlias = 'tuple[Names, Float[torch.Tensor, "row part"]]'
"""The parts, and the size of each on each row."""
TOGETHER = 8
"""Prompts per pass."""
KEPT = 8
_slopes_known: dict[str, Sized] = {}
"""The last sizes by a gradient, which an arm, its sweep and its controls share."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The context in which parts are chosen."""

    learner: Learner
    tables: Sequence[Direction]
    reads: Sequence[Read]
    effects: Effects | None = None


def of_heads(top: Top, choosers: Sequence[Read]) -> Read | None:
    """The read of single heads by which heads are chosen, without its sweep; None if they are
    chosen by something else."""
    for read in choosers:
        others = {x for field in (str(read.to), str(read.position)) for x in SLOT.findall(field)}
        head_texts = " ".join((read.pattern, *read.heads))
        fits = {*read.sweep} <= {*SLOT.findall(head_texts), "pattern", "heads"} - others
        single = bool(head_texts) and not read.heads[1:]
        if top.of == "heads" and read.name == top.by and single and fits:
            return msgspec.structs.replace(read, sweep={})
    return None


def by_effect(table: Intervention, choosers: Sequence[Read]) -> Read | None:
    """The read by whose change heads or neurons are chosen; None if they are chosen by something
    else."""
    top = table.top
    if top is None or not isinstance(top.by, str):
        return None
    if (graded := by_gradient(top, choosers)) is not None:
        return graded.read
    if top.of == "latents":
        return None
    others = ("sweep", "pattern", "heads", "column", "top", "gradient", "across")
    fits = (r for r in choosers if not any(getattr(r, field) for field in others))
    return next((r for r in fits if r.name == top.by), None)


@dataclass(frozen=True)
class Graded:
    """The read by whose gradient parts are chosen, and how."""

    read: Read
    steps: int
    patched: bool
    """Whether each part is patched from the other text of the pair; otherwise it is set to zero."""
    sign: float
    """1 if parts are wanted that make the read fall, otherwise −1."""


def by_gradient(top: Top, choosers: Sequence[Read]) -> Graded | None:
    """How parts are chosen by a gradient: by the value of a gradient read, or by how much worse a
    read gets without the part or with it patched; None if they are chosen by something else."""
    by_name = {r.name: r for r in choosers if not (r.sweep or r.top)}
    read = by_name.get(top.by) if isinstance(top.by, str) else None
    steps, patched, by_value = top.steps, top.score == "attribution", False
    if read is not None and read.gradient in by_name:
        steps, patched, by_value = read.steps, bool(read.patch), not read.patch
        read = by_name[read.gradient]
    elif top.score not in ("gradient", "attribution"):
        return None
    if read is None:
        return None
    rises = not by_value and reads.worse(read) == "rises"
    return Graded(read, steps, patched, -1.0 if rises else 1.0)


def with_change(table: T, changes: Sequence[Intervention]) -> T:
    """Replace the name of a change in `top` by that change for one part. Raises: DataError for a
    change that cannot be made to each part in turn."""
    top = table.top
    if top is None or not isinstance(top.change, str) or not top.change:
        return table
    by_name = {c.name: c for c in changes}
    if top.change not in by_name:
        hint = nearest(top.change, by_name)
        raise DataError(f"top names the change {top.change!r}, and there is none; {hint}")
    change = by_name[top.change]
    cuts = interventions.way_of(change) in interventions.CUTS
    cuts = cuts and change.patch not in ("clean", "swapped")
    bare: Any = {"heads": (), "neurons": (), "site": "", "controls": None}
    single = msgspec.structs.replace(change, **bare, sweep={}, damage="", prompts="")
    swept = [n for n in change.sweep if n in change.__struct_fields__ or f"{{{n}}}" in str(single)]
    others = [f for f in ("after", "top", "along", "window", "all_but") if getattr(change, f)]
    others += [n for n in swept if n not in bare]
    if not cuts or others or (change.path and top.of != "heads") or top.score != "difference":
        reason = f", and {change.name!r} has {others[0]}" if others else ""
        raise DataError(
            "the change of top is a single ablation, scaling or patch, which is made to each part "
            f"in turn, and a path is that of heads, without a score{reason}"
        )
    return msgspec.structs.replace(table, top=msgspec.structs.replace(top, change=single))


def prompts_of(top: Top, choosers: Sequence[Read]) -> str:
    """Name the prompts on which parts are chosen: its own, or those of the read; "" for the
    measured ones."""
    return top.prompts or next((r.prompts for r in choosers if r.name == top.by), "")


def learns(top: Top) -> bool:
    """Whether it chooses on prompts that are then not measured."""
    return not top.within and top.score != "weights"


def source_of(
    top: Top, measured: PromptSet, sources: Mapping[str, PromptSet], choosers: Sequence[Read]
) -> tuple[PromptSet, list[int]]:
    """Give the prompts on which parts are chosen, and their rows. Raises: DataError for an unknown
    name."""
    name = prompts_of(top, choosers)
    if name in ("", measured.table.name):
        return measured, [*range(len(measured.rows))] if top.within else measured.halves()[0]
    if name not in sources:
        raise DataError(
            f"top chooses on prompts {name!r}, and there are none; {nearest(name, sources)}"
        )
    source = sources[name]
    return source, [*range(len(source.rows))]


def count(table: Intervention, size: Mapping[str, int], choosers: Sequence[Read]) -> int:
    """The number of passes of a choice by a read: one for each part, or those of its gradient."""
    assert table.top is not None
    layers = len(table.top.layers) or size["layers"]
    if (graded := by_gradient(table.top, choosers)) is not None:
        passes = 3 * graded.steps + graded.patched
        return passes * (layers if graded.steps > 1 and not table.site else 1)
    return size["h"] * layers if table.top.of == "heads" else size.get("m", 4 * size["d"])


def check(
    table: Intervention,
    top: Top,
    chosen_from: tuple[PromptSet, list[int]],
    tables: Sequence[Direction],
    choosers: Sequence[Read],
    folder: ModelFolder,
) -> None:
    """Refuse a choice that is impossible for these prompts or this model. Raises: DataError,
    ModelError."""
    size = read_sizes(folder.config)
    if top.of != "latents":
        layers = top.layers or range(size["layers"])
        if beyond := [n for n in layers if not 0 <= n < size["layers"]]:
            raise DataError(f"{table.name!r}: {folder.name} has no block {beyond[0]}")
        site = Site.parse(table.site) if isinstance(table.site, str) and table.site else None
        each = size["h"] if top.of == "heads" else folder.width(Site("mlp_post", 0))
        total = folder.width(site) if site else each * len(layers)
        if int(top.n) + int(top.skip) >= total:
            raise DataError(f"{table.name!r}: {top.n} of {total} {top.of} are all of them, or more")
    source, rows = chosen_from
    _check_weights(table, top, tables)
    if top.position != "" and of_heads(top, choosers):
        raise DataError(
            f"{table.name!r}: {top.by} is read of each head at its own position; write position "
            "there, and none in top"
        )
    for i in rows if top.position not in ("", "all") else ():
        prompt(folder, source.rows[i]).all_at(top.position)
    if top.within:
        groups = source.column(top.within, rows)
        if alone := [i for i, g in zip(rows, groups, strict=True) if groups.count(g) < 2]:
            raise DataError(
                f"{source.rows[alone[0]].place}: no other prompt has its {top.within}, so "
                f"{table.name!r} cannot choose for it; give each at least two prompts"
            )
    graded = by_gradient(top, choosers)
    if top.score in ("gradient", "attribution") and graded is None:
        raise DataError(
            f'{table.name!r}: a gradient is of a read; write the name of one in by, such as "right"'
        )
    for i in rows if graded and graded.patched else ():
        pairs.pair_of(prompt(folder, source.rows[i]), table.position, source)
    _check_change(table, top, chosen_from, choosers, folder)
    if not isinstance(top.by, str):
        for label in (directions.label_of(x) for x in top.by):
            if label not in source.column(top.label, rows):
                raise DataError(
                    f"{table.name!r}: none of the {len(rows)} prompts to choose from has "
                    f"{top.label} = {label!r}; {nearest(label, {*source.column(top.label, rows)})}"
                )
        return
    _check_by(table, top, tables, choosers)


def _check_change(
    table: Intervention,
    top: Top,
    chosen_from: tuple[PromptSet, list[int]],
    choosers: Sequence[Read],
    folder: ModelFolder,
) -> None:
    """Refuse a change that cannot be made to each part. Raises: DataError, ModelError."""
    change, (source, rows) = top.change, chosen_from
    if isinstance(change, str):
        return
    if by_effect(table, choosers) is None or top.position != "":
        raise DataError(
            f"{table.name!r}: {change.name!r} is made to each part, to see by how much a read "
            "falls: write the name of a read in by, and a position, if at all, there"
        )
    for n in top.layers or range(folder.layers) if change.path else ():
        paths.check(change, [(Site("z", n), [0])], folder)
    for p in (prompt(folder, source.rows[i]) for i in rows):
        interventions.positions_of(change, p)
        if change.patch == "corrupted":
            pairs.pair_of(p, change.position, source)


def _check_by(
    table: Intervention, top: Top, tables: Sequence[Direction], choosers: Sequence[Read]
) -> None:
    """Refuse an unknown value of `by` that is not a pair of labels. Raises: DataError."""
    options = ["norm", *(["variance"] if top.of == "neurons" else [])]
    options += [d.name for d in tables if directions.is_one(d) and not d.top]
    by_name = [msgspec.structs.replace(top, by=r.name) for r in choosers]
    tops = [msgspec.structs.replace(table, top=t) for t in by_name]
    options += [t.by for t in by_name if isinstance(t.by, str) and of_heads(t, choosers)]
    by_effect_of = [r.name for r, t in zip(choosers, tops, strict=True) if by_effect(t, choosers)]
    if top.of == "heads" or table.site or by_gradient(top, choosers):
        options += by_effect_of  # without a gradient, each neuron of all blocks would need a pass
    if top.by not in options:
        swept = any(r.name == top.by and r.sweep for r in choosers)
        more = (
            "; a read that sweeps is not one number: write one without its sweep" if swept else ""
        )
        if top.of == "neurons" and not table.site and top.by in by_effect_of:
            more = (
                "; of one block, given as site, a read chooses neurons as well, and of all blocks "
                'with score = "gradient"'
            )
        raise DataError(
            f"{table.name!r}: by is two labels or one of {', '.join(options)}, got {top.by!r}{more}"
        )


def _check_weights(table: Intervention, top: Top, tables: Sequence[Direction]) -> None:
    """Refuse a direction along which parts do not write, and scores by weights that do not exist.
    Raises: DataError."""
    along = top.by in [d.name for d in tables]
    site = str(table.site)
    writes = along or top.score == "weights"
    if top.of == "neurons" and writes and site and not site.endswith("mlp.hook_post"):
        raise DataError(
            f"{table.name!r}: neurons write along a direction from mlp.hook_post; leave out site, "
            f"or write one such as blocks.9.mlp.hook_post, got {site}"
        )
    sized = top.of == "neurons" and top.by in ("norm", "variance")
    if (top.by == "variance" and top.score != "weights") or (top.among and top.by != "variance"):
        raise DataError(
            f'{table.name!r}: by = "variance", of which alone is among, has score = "weights"'
        )
    if top.score == "weights" and (
        not (along or sized)
        or (top.of == "heads" or top.within or top.prompts or top.position != "")
    ):
        raise DataError(
            f'{table.name!r}: score = "weights" chooses neurons or latents by what they write '
            "along a direction, the same for all prompts and tokens: write the name of a "
            "[[direction]] in by, or norm or variance for neurons, without within, prompts and "
            "position"
        )


def stand_in(read: Read) -> Intervention:
    """An intervention that sets each part chosen by `top` of a read to zero."""
    assert read.top is not None
    position = "all" if read.position in ("mean", "all") else read.position
    place: dict[str, Any] = {"ablate": "zero"}
    if read.top.of == "latents":
        place = {"clamp": ((read.feature or ("",))[0], ()), "site": read.site}
    elif read.top.of == "neurons":
        place |= {"site": read.site}
    return Intervention(name=read.name, top=read.top, position=position, **place)


def of_read(read: Read, choice: Choice, *, dealt: bool) -> Read:
    """Replace `top` of a read by the parts that are chosen. If `dealt`, labels are shuffled,
    equally for all seeds. Raises: DataError, ModelError."""
    if read.top is None:
        return read
    table = chosen(stand_in(read), read.top, choice, dealt=dealt)
    if read.top.of == "latents":
        return msgspec.structs.replace(read, top=None, feature=table.clamp)
    field = read.top.of
    return msgspec.structs.replace(read, top=None, **{field: getattr(table, field)})


def of_direction(table: Direction, choice: Choice) -> Direction:
    """Replace `top` of a direction by the parts that are chosen. Raises: DataError, ModelError."""
    if table.top is None:
        return table
    learner = choice.learner
    source, _ = source_of(table.top, learner.measured, learner.sources, choice.reads)
    change = chosen(change_of(table, source), table.top, choice)
    return msgspec.structs.replace(table, top=None, heads=change.heads, neurons=change.neurons)


def made_for(table: Direction, usual: str, choosers: Sequence[Read]) -> Direction:
    """A direction that is learned, and whose heads are chosen, on the usual prompts unless it names
    others."""
    top = table.top
    if top and not prompts_of(top, choosers):
        top = msgspec.structs.replace(top, prompts=usual)
    return msgspec.structs.replace(table, prompts=table.prompts or usual, top=top)


def change_of(table: Direction, source: PromptSet) -> Intervention:
    """The change of single parts by whose effect those of a direction are chosen: a head is patched
    from the pair's other text or, without pairs, set to its mean; a neuron is set to zero."""
    paired = bool(source.table.corrupted) or "corrupted" in source.rows[0].columns
    how: dict[str, Any] = {"patch": "corrupted"} if paired else {"ablate": "mean"}
    if table.top and table.top.of == "neurons":
        how = {"ablate": "zero"}
    return Intervention(name=table.name, top=table.top, position=table.position, **how)


def any_parts(read: Read) -> Read:
    """Replace `top` of a read by the first existing parts, to make it ready without a model."""
    assert read.top is not None
    n, layer = int(read.top.n), (read.top.layers or (0,))[0]
    changes: dict[str, Any] = {"heads": (f"{layer}.0",)}
    if read.top.of == "neurons":
        changes = {"neurons": tuple(k if read.site else f"{layer}.{k}" for k in range(n))}
    elif read.top.of == "latents":
        changes = {"feature": ((read.feature or ("",))[0], tuple(range(n)))}
    return msgspec.structs.replace(read, top=None, **changes)


def numbered(table: Read, size: Mapping[str, int]) -> list[int]:
    """The parts of a read as numbers; heads and neurons of several blocks are numbered through all
    blocks."""
    several = [(size["h"], table.heads)]
    several += [(size.get("m", 1), tuple(n for n in table.neurons if isinstance(n, str)))]
    parts = [
        head_of(text)[0] * each + head_of(text)[1] for each, names in several for text in names
    ]
    parts += [n for n in table.neurons if isinstance(n, int)]
    latents = table.feature[1] if table.feature else ()
    return [*parts, *(latents if isinstance(latents, tuple) else (latents,))]


def chosen(table: Intervention, top: Top, choice: Choice, *, dealt: bool = False) -> Intervention:
    """Replace `top` of an intervention by the parts that are chosen. Raises: DataError,
    ModelError."""
    source, rows, top = _searched(top, choice)
    names, sizes = _sized(table, top, choice, source, rows)
    if isinstance(top.by, str):
        score = sizes.mean(0)
    else:
        labels = source.column(top.label, rows)
        if dealt:
            order = rng.permutation(np.array([0]), "ask.labels", 0, len(labels))[0]
            labels = [labels[i] for i in order]
        first, second = (
            sizes[[i for i, x in enumerate(labels) if x == directions.label_of(label)]]
            for label in top.by
        )
        score = first.mean(0) - second.mean(0)
        score = _auroc(first, second) if top.score == "auroc" else score
    return _named(table, top, names, score)


def chosen_for_each(table: Intervention, top: Top, choice: Choice) -> dict[str, Intervention]:
    """Choose parts for each prompt on the other prompts of its group; by the prompt's place.
    Raises: DataError, ModelError."""
    source, rows, top = _searched(top, choice)
    names, sizes = _sized(table, top, choice, source, rows)
    groups = source.column(top.within, rows)
    tables = {}
    for i, row in enumerate(rows):
        others = [k for k, group in enumerate(groups) if group == groups[i] and k != i]
        tables[source.rows[row].place] = _named(table, top, names, sizes[others].mean(0))
    return tables


def _searched(top: Top, choice: Choice) -> tuple[PromptSet, list[int], Top]:
    """The prompts on which parts are chosen, and their rows. In a rehearsal two rows, or two of
    each label or of each group that is measured, and no part is too small."""
    learner, tried = choice.learner, choice.learner.tried
    source, rows = source_of(top, learner.measured, learner.sources, choice.reads)
    if not tried:
        return source, rows, top
    column = top.within or ("" if isinstance(top.by, str) else top.label)
    kinds: dict[str, list[int]] = {}
    for i in sorted(rows, key=lambda i: i not in tried):
        kinds.setdefault(source.column(column, [i])[0] if column else "", []).append(i)
    of = [k for k in kinds.values() if not top.within or {*k} & {*tried}]
    return source, [i for k in of for i in k[:2]], msgspec.structs.replace(top, above=None)


def _sized(
    table: Intervention, top: Top, choice: Choice, source: PromptSet, rows: Sequence[int]
) -> Sized:
    """The parts, and their sizes on each of these rows."""
    prompts = [prompt(choice.learner.model.folder, source.rows[i]) for i in rows]
    if top.position != "":
        table = msgspec.structs.replace(table, position=top.position)
    read = None if top.by in [d.name for d in choice.tables] else by_effect(table, choice.reads)
    if read is not None and (graded := by_gradient(top, choice.reads)) is not None:
        about = (source.digest, rows, top.of, top.layers, table.position, table.site, graded)
        key = repr((choice.learner.key, about))
        # a dictionary's file may change
        known = _slopes_known if choice.learner.key and top.of != "latents" else {}
        if key not in known:
            known[key] = _slopes(table, top, choice, graded, source, prompts)
            for oldest in [*known][:-KEPT]:
                del known[oldest]
        return known[key]
    if read is not None:
        return _effects(table, top, choice, read, source, rows)
    return _SIZES[top.of](table, top, choice, prompts)


def _named(
    table: Intervention, top: Top, names: Names, score: Float[torch.Tensor, " part"]
) -> Intervention:
    """Replace `top` of an intervention by the parts of the highest or lowest scores."""
    ranked = score.argsort(descending=not top.lowest, stable=True)
    if top.above is not None:
        enough = score[ranked] < top.above if top.lowest else score[ranked] > top.above
        if not enough.any():
            end = f"{'lowest' if top.lowest else 'highest'} has {float(score[ranked[0]]):.3g}"
            raise DataError(
                f"{table.name!r}: none of {len(score):,} {top.of} is "
                f"{'below' if top.lowest else 'above'} {top.above:g} by {top.by}; the {end}"
            )
        ranked = ranked[enough]
    order = ranked[int(top.skip) :][: int(top.n)].tolist()
    picked = [names[i] for i in order]
    changes: dict[str, object] = {"top": None}
    if top.of == "heads":
        changes["heads"] = tuple(f"{layer}.{head}" for layer, head in picked)
    elif top.of == "neurons":
        changes["neurons"] = tuple(n if table.site else f"{layer}.{n}" for layer, n in picked)
    else:
        assert table.clamp is not None
        changes["clamp"] = (table.clamp[0], tuple(n for _, n in picked))
    return msgspec.structs.replace(table, **changes)


def _auroc(
    first: Float[torch.Tensor, "a part"], second: Float[torch.Tensor, "b part"]
) -> Float[torch.Tensor, " part"]:
    """How often a row of the first label is above one of the second, ties counting half; parts with
    equal values are ordered by the distance of their means."""
    above = torch.zeros(first.shape[1], dtype=torch.float64, device=first.device)
    for row in first:
        above += (row > second).double().mean(0) + (row == second).double().mean(0) / 2
    apart = first.mean(0) - second.mean(0)
    return above / len(first) + 1e-9 * apart / apart.abs().max().clamp_min(1e-30)


def site_of_latents(table: Intervention, dictionary: Dictionary, folder: ModelFolder) -> Site:
    """Give the site at which latents are set. Raises: DataError, ModelError if the dictionary does
    not fit there, or lacks one of them."""
    assert table.clamp is not None
    site = site_of(table, table.clamp[0], dictionary, folder)
    for latent in interventions.latents_of(table):
        dictionaries.latent(dictionary, table.clamp[0], latent)
    return site


def site_of(table: Intervention, name: str, dictionary: Dictionary, folder: ModelFolder) -> Site:
    """Give the site at which a dictionary changes a model. Raises: DataError, ModelError if it does
    not fit there."""
    if table.site:
        ((site, _),) = interventions.where(table, None)
    else:
        site = directions.site_of(name, dictionary)
    folder.check(site)
    if (width := folder.width(site)) != dictionary.W_enc.shape[1]:
        raise DataError(
            f"{table.name!r}: {name} reads {dictionary.W_enc.shape[1]} numbers for each token, "
            f"{site} has {width}"
        )
    return site


def _heads(table: Intervention, top: Top, choice: Choice, prompts: Sequence[Prompt]) -> Sized:
    """How much each head writes, in total or along a direction, or its value of a read of a
    pattern."""
    model = choice.learner.model
    count, layers = read_sizes(model.folder.config)["h"], [*(top.layers or range(model.layers))]
    names = [(layer, head) for layer in layers for head in range(count)]
    read = of_heads(top, choice.reads)
    if read is not None:
        context = Context(subject=model)
        each = [
            msgspec.structs.replace(read, pattern="", heads=(f"{n}.{head}",)) for n, head in names
        ]
        get = attribution.direct if read.direct else activations.pattern
        needed = dict.fromkeys(s for single in each for s in get(single, prompts[0], context).sites)
        paid = []
        for p, acts in _seen(model, prompts, [*needed]):
            ready = [get(single, p, context) for single in each]
            tokens = next_tokens.own_numbers(model, ready[0].wants, acts)
            output = PassOutput(p, acts=acts, numbers=tokens)
            paid.append([single.numbers([output])[0] for single in ready])
        return names, torch.tensor(paid)
    kind = "result" if "result" in model.folder.architecture.sites else "z"
    sites = [Site(kind, layer) for layer in layers]
    along = _along(top, choice, Site("resid_post", layers[0]))
    rows = []
    for p, acts in _seen(model, prompts, sites):
        written = [_at(acts[site], p, table.position) for site in sites]  # [token, head, width]
        if along is None:
            numbers = [x.norm(dim=-1).mean(0) for x in written]
        else:
            numbers = [(x @ along).mean(0) for x in written]
        rows.append(torch.cat(numbers))
    return names, torch.stack(rows)


def _effects(
    table: Intervention,
    top: Top,
    choice: Choice,
    read: Read,
    source: PromptSet,
    rows: Sequence[int],
) -> Sized:
    """How much worse a read gets if one part alone is changed."""
    assert choice.effects is not None
    model = choice.learner.model
    if not isinstance(top.change, str):
        table = msgspec.structs.replace(top.change, site=table.site)
    bare = msgspec.structs.replace(table, top=None, after="", all_but=False)
    if top.of == "heads":
        every = range(read_sizes(model.folder.config)["h"])
        names = [(n, head) for n in top.layers or range(model.layers) for head in every]
        sweep: dict[str, tuple[Plain, ...]] = {"part": tuple(f"{n}.{head}" for n, head in names)}
        swept = msgspec.structs.replace(bare, heads=("{part}",), sweep=sweep)
    else:
        site = Site.parse(str(table.site))
        names = [(site.layer or 0, n) for n in range(model.folder.width(site))]
        sweep = {"neurons": tuple(n for _, n in names)}
        swept = msgspec.structs.replace(bare, sweep=sweep)
    sign = 1.0 if reads.worse(read) == "rises" else -1.0
    return names, sign * torch.from_numpy(choice.effects(read, swept, source, rows).T)


def _slopes(
    table: Intervention,
    top: Top,
    choice: Choice,
    graded: Graded,
    source: PromptSet,
    prompts: Sequence[Prompt],
) -> Sized:
    """How much worse a read would get without each part, or with it patched, to first order: the
    change of its activation times the gradient."""
    read, steps, model = graded.read, graded.steps, choice.learner.model
    layers = [*(top.layers or range(model.layers))]
    coder = None
    if top.of == "latents":
        assert table.clamp is not None
        coder = choice.learner.dictionary(table.clamp[0]).to(model.device)
        sites = [site_of_latents(table, coder, model.folder)]
        gradients.check_latents(table.name, coder, sites)
    elif table.site:
        sites = [Site.parse(str(table.site))]
    else:
        sites = [Site("z" if top.of == "heads" else "mlp_post", n) for n in layers]
    rows = []
    for p in prompts:
        ready, tokens = reads.ready(read, p, Context(subject=model)), p.own
        tokens = tokens if table.position == "all" else gradients.tokens_of(table.position, p)
        gradients.refuse_rough(table.name, read.name, ready)
        pair = pairs.pair_of(p, table.position, source) if graded.patched else None
        slopes: dict[Site, gradients.Slope] = {}
        for site_group in [sites] if steps == 1 else [[site] for site in sites]:
            slopes |= gradients.slopes(model, ready, PassOutput(p), site_group, tokens, steps, pair)
        if coder is not None:
            rows.append(gradients.by_latent(coder, slopes[sites[0]]).sum(0))
            continue
        parts = [slopes[site].fall.sum(0) for site in sites]
        rows.append(torch.cat([x.sum(-1) if top.of == "heads" else x.flatten() for x in parts]))
    count = len(rows[0]) // len(sites)
    return [(s.layer or 0, n) for s in sites for n in range(count)], graded.sign * torch.stack(rows)


def _neurons(table: Intervention, top: Top, choice: Choice, prompts: Sequence[Prompt]) -> Sized:
    """The size of each neuron, or how much it writes along a direction; for labels its signed
    activation."""
    model = choice.learner.model
    layers = top.layers or range(model.layers)
    sites = [Site.parse(str(table.site))] if table.site else [Site("mlp_post", n) for n in layers]
    widths = [(site.layer or 0, model.folder.width(site)) for site in sites]
    names = [(layer, n) for layer, width in widths for n in range(width)]
    weights: Any = 1.0
    if (along := _along(top, choice, Site("resid_post", sites[0].layer))) is not None:
        each = [readout.written_by_neurons(model, layer).to(along) @ along for layer, _ in widths]
        weights = torch.cat(each)
        if top.score == "weights":
            return names, weights[None]
    elif top.score == "weights":
        return names, _of_weights(model, top, [layer for layer, _ in widths])[None]
    rows = []
    for p, acts in _seen(model, prompts, sites):
        each = [_at(acts[site], p, table.position).flatten(1) for site in sites]
        if top.by == "norm" and along is None:
            each = [x.abs() for x in each]
        rows.append(torch.cat([x.mean(0) for x in each]))
    return names, torch.stack(rows) * weights


def _of_weights(model: Pretrained, top: Top, layers: Sequence[int]) -> Float[torch.Tensor, " part"]:
    """The norm of each neuron's output weights, or the variance of their cosines with the
    tokens.

    Formula: Var_t cos(w, U_t), U_t the unembedding of a token behind the final norm
    Source: Stolfo et al., Confidence Regulation Neurons in Language Models, 2024
    """
    each = [readout.written_by_neurons(model, layer).to(model.gain).float() for layer in layers]
    norms = (written := torch.cat(each)).norm(dim=1)
    if top.by == "norm":
        return norms
    rows = model.model.get_output_embeddings().weight.detach().float() * model.gain
    rows = rows - rows.mean(1, True) if isinstance(model.final_norm, torch.nn.LayerNorm) else rows
    unit = torch.nn.functional.normalize(rows, dim=1)
    mean = unit.mean(0)
    covariance = unit.T @ unit / len(unit) - torch.outer(mean, mean)
    variances = ((written @ covariance) * written).sum(1) / norms.square().clamp_min(1e-30)
    if top.among:
        smaller = norms < norms.topk(min(top.among, len(norms))).values[-1]
        variances[smaller] = float("inf" if top.lowest else "-inf")
    return variances


def _latents(table: Intervention, top: Top, choice: Choice, prompts: Sequence[Prompt]) -> Sized:
    """How active each latent is, or how much it writes along a direction."""
    assert table.clamp is not None
    coder: Dictionary = choice.learner.dictionary(table.clamp[0]).to(choice.learner.model.device)
    site = site_of_latents(table, coder, choice.learner.model.folder)
    names = [(site.layer or 0, n) for n in range(coder.width)]
    weights: Any = 1.0
    if (along := _along(top, choice, site)) is not None:
        weights = effects.directions(coder, [*range(coder.width)]).float() @ along
        if top.score == "weights":
            return names, weights[None]
    rows = []
    for p, acts in _seen(choice.learner.model, prompts, [site]):
        x = _at(acts[site], p, table.position, first=1).flatten(1)
        rows.append(coder.encode(x).mean(0))
    return names, torch.stack(rows) * weights


_SIZES: dict[str, Callable[[Intervention, Top, Choice, Sequence[Prompt]], Sized]] = {
    "heads": _heads,
    "neurons": _neurons,
    "latents": _latents,
}


def _along(top: Top, choice: Choice, site: Site) -> Float[torch.Tensor, " d"] | None:
    """The direction by which parts are chosen, with length 1; None if they are chosen by something
    else."""
    tables: Sequence[Direction] = choice.tables
    if not isinstance(top.by, str) or top.by not in [d.name for d in tables]:
        return None
    table = directions.find(tables, top.by)
    vector = choice.learner.vector(table, choice.learner.site(table, site), 0).flatten().float()
    return vector / vector.norm()


def _at(
    x: Float[torch.Tensor, "s ..."], p: Prompt, position: Positions, first: int = 0
) -> Float[torch.Tensor, "n ..."]:
    """The activations at the changed positions, without the first token that the model reads."""
    if position != "all":
        return x[p.all_at(position)].float()
    acts = x[max(first, p.opening) :].float()
    return acts if p.opening or first or len(acts) < 2 else acts[1:]


def _seen(
    model: Pretrained, prompts: Sequence[Prompt], sites: Sequence[Site]
) -> Iterator[tuple[Prompt, dict[Site, torch.Tensor]]]:
    """The activations of unchanged prompts, prompt by prompt."""
    for begin in range(0, len(prompts), TOGETHER):
        batch = prompts[begin : begin + TOGETHER]
        traces = run_many(model, [p.tokens for p in batch], capture=[*sites], logits=False)
        for p, traced in zip(batch, traces, strict=True):
            yield p, {site: x[0] for site, x in traced[0].acts.items()}
