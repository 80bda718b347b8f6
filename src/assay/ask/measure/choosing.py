"""Choosing: which heads, neurons or latents have most of something, on the half of the prompts that
is not measured."""

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
from assay.ask.measure.seen import Context, PassOutput, Prompt, prompt
from assay.ask.tables import Direction, Intervention, Plain, Positions, Read, Top
from assay.core import rng
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

Effects = Callable[[Read, Intervention, PromptSet, Sequence[int]], 'Float[Any, "part row"]']
"""A read, a change that sweeps parts, and rows of prompts → what each does to it on each row."""
T = TypeVar("T", Intervention, Read, Direction)
Names = list[tuple[int, int]]
"""Of each part its block, and its number there."""
Sized: TypeAlias = 'tuple[Names, Float[torch.Tensor, "row part"]]'
"""The parts that there are, and how much each has on each row."""
TOGETHER = 8
"""Prompts that are read together."""


@dataclass(frozen=True, eq=False)
class Known:
    """What parts may be chosen by."""

    learner: Learner
    tables: Sequence[Direction]
    """All directions of the study."""
    reads: Sequence[Read]
    effects: Effects | None = None


def of_heads(top: Top, some: Sequence[Read]) -> Read | None:
    """The read of single heads, of their pattern or of what they write directly, by which heads are
    chosen, for each of which it is read; None where that is by something else. A sweep over heads
    is what is done anyway."""
    for read in some:
        others = {x for field in (str(read.to), str(read.position)) for x in SLOT.findall(field)}
        named = " ".join((read.pattern, *read.heads))
        fits = {*read.sweep} <= {*SLOT.findall(named), "pattern", "heads"} - others
        single = bool(named) and not read.heads[1:]
        if top.of == "heads" and read.name == top.by and single and fits:
            return msgspec.structs.replace(read, sweep={})
    return None


def by_effect(table: Intervention, some: Sequence[Read]) -> Read | None:
    """The read by the effect on which heads or neurons are chosen; None where that is by something
    else."""
    top = table.top
    if top is None or not isinstance(top.by, str):
        return None
    if (graded := by_gradient(top, some)) is not None:
        return graded.read
    if top.of == "latents":
        return None
    others = ("sweep", "pattern", "heads", "column", "top", "gradient", "across")
    fits = (r for r in some if not any(getattr(r, field) for field in others))
    return next((r for r in fits if r.name == top.by), None)


@dataclass(frozen=True)
class Graded:
    """By the gradient of which read parts are chosen, and how."""

    read: Read
    steps: int
    patched: bool
    """Whether each part is patched from the other text of the pair; else it is set to zero."""
    sign: float
    """Of what the read would fall by: 1 where parts are wanted for which it falls, else −1."""


def by_gradient(top: Top, some: Sequence[Read]) -> Graded | None:
    """How parts are chosen by a gradient: by the value of a read of a gradient, or by how much
    worse a read would get without the part, or with it patched; None where that is by something
    else."""
    by_name = {r.name: r for r in some if not (r.sweep or r.top)}
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
    """A table whose `top` names a change, with this change in the place of its name, as it is made
    to one part. Raises: DataError for one that cannot be made to each part in turn."""
    top = table.top
    if top is None or not isinstance(top.change, str) or not top.change:
        return table
    by_name = {c.name: c for c in changes}
    if top.change not in by_name:
        hint = nearest(top.change, by_name)
        raise DataError(f"top names the change {top.change!r}, and there is none; {hint}")
    of = by_name[top.change]
    cuts = interventions.way_of(of) in interventions.CUTS and of.patch not in ("clean", "swapped")
    bare: Any = {"heads": (), "neurons": (), "site": "", "controls": None}
    one = msgspec.structs.replace(of, **bare, sweep={}, damage="", prompts="")
    swept = [n for n in of.sweep if n in of.__struct_fields__ or f"{{{n}}}" in str(one)]
    others = [f for f in ("after", "top", "along", "window", "all_but") if getattr(of, f)]
    others += [n for n in swept if n not in bare]
    if not cuts or others or (of.path and top.of != "heads") or top.score != "difference":
        what = f", and {of.name!r} has {others[0]}" if others else ""
        raise DataError(
            "the change of top is a single ablation, scaling or patch, which is made to each part "
            f"in turn, and a path is that of heads, without a score{what}"
        )
    return msgspec.structs.replace(table, top=msgspec.structs.replace(top, change=one))


def prompts_of(top: Top, some: Sequence[Read]) -> str:
    """Name the prompts from which is chosen: its own, or those of the read by which is chosen; ""
    for those that are measured."""
    return top.prompts or next((r.prompts for r in some if r.name == top.by), "")


def learns(top: Top) -> bool:
    """Whether it chooses on prompts that are then not measured."""
    return not top.within and top.score != "weights"


def source_of(
    top: Top, measured: PromptSet, sources: Mapping[str, PromptSet], some: Sequence[Read]
) -> tuple[PromptSet, list[int]]:
    """Give the prompts from which is chosen, and which of their rows: those that it names, or that
    the read names by which is chosen. Raises: DataError for a name that no prompts have."""
    name = prompts_of(top, some)
    if name in ("", measured.table.name):
        return measured, [*range(len(measured.rows))] if top.within else measured.halves()[0]
    if name not in sources:
        raise DataError(
            f"top chooses on prompts {name!r}, and there are none; {nearest(name, sources)}"
        )
    source = sources[name]
    return source, [*range(len(source.rows))]


def count(table: Intervention, size: Mapping[str, int], some: Sequence[Read]) -> int:
    """In how many passes is chosen by a read in a model of this size: one for each part, or those
    of its gradient."""
    assert table.top is not None
    layers = len(table.top.layers) or size["layers"]
    if (graded := by_gradient(table.top, some)) is not None:
        passes = 3 * graded.steps + graded.patched
        return passes * (layers if graded.steps > 1 and not table.site else 1)
    return size["h"] * layers if table.top.of == "heads" else size.get("m", 4 * size["d"])


def check(
    table: Intervention,
    top: Top,
    chosen_from: tuple[PromptSet, list[int]],
    tables: Sequence[Direction],
    some: Sequence[Read],
    folder: ModelFolder,
) -> None:
    """Refuse a choice that no prompts or no model could make. Raises: DataError, ModelError."""
    size = read_sizes(folder.config)
    if top.of != "latents":
        layers = top.layers or range(size["layers"])
        if beyond := [n for n in layers if not 0 <= n < size["layers"]]:
            raise DataError(f"{table.name!r}: {folder.name} has no block {beyond[0]}")
        site = Site.parse(table.site) if isinstance(table.site, str) and table.site else None
        each = size["h"] if top.of == "heads" else folder.width(Site("mlp_post", 0))
        most = folder.width(site) if site else each * len(layers)
        if int(top.n) + int(top.skip) >= most:
            raise DataError(f"{table.name!r}: {top.n} of {most} {top.of} are all, or more, of them")
    source, rows = chosen_from
    _check_weights(table, top, tables)
    if top.position != "" and of_heads(top, some):
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
    graded = by_gradient(top, some)
    if top.score in ("gradient", "attribution") and graded is None:
        raise DataError(
            f'{table.name!r}: a gradient is of a read; write the name of one in by, such as "right"'
        )
    for i in rows if graded and graded.patched else ():
        pairs.pair_of(prompt(folder, source.rows[i]), table.position, source)
    _check_change(table, top, chosen_from, some, folder)
    if not isinstance(top.by, str):
        for label in (directions.label_of(x) for x in top.by):
            if label not in source.column(top.label, rows):
                raise DataError(
                    f"{table.name!r}: none of the {len(rows)} prompts to choose from has "
                    f"{top.label} = {label!r}; {nearest(label, {*source.column(top.label, rows)})}"
                )
        return
    _check_by(table, top, tables, some)


def _check_change(
    table: Intervention,
    top: Top,
    chosen_from: tuple[PromptSet, list[int]],
    some: Sequence[Read],
    folder: ModelFolder,
) -> None:
    """Refuse a change that cannot be made to each part. Raises: DataError, ModelError."""
    change, (source, rows) = top.change, chosen_from
    if isinstance(change, str):
        return
    if by_effect(table, some) is None or top.position != "":
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
    table: Intervention, top: Top, tables: Sequence[Direction], some: Sequence[Read]
) -> None:
    """Refuse what parts cannot be chosen by, where that is no pair of labels. Raises: DataError."""
    known = ["norm", *(["variance"] if top.of == "neurons" else [])]
    known += [d.name for d in tables if directions.is_one(d) and not d.top]
    by_name = [msgspec.structs.replace(top, by=r.name) for r in some]
    tops = [msgspec.structs.replace(table, top=t) for t in by_name]
    known += [t.by for t in by_name if isinstance(t.by, str) and of_heads(t, some)]
    by_effect_of = [r.name for r, t in zip(some, tops, strict=True) if by_effect(t, some)]
    if top.of == "heads" or table.site or by_gradient(top, some):
        known += by_effect_of  # without a gradient each neuron of all blocks is a pass
    if top.by not in known:
        swept = any(r.name == top.by and r.sweep for r in some)
        more = (
            "; a read that sweeps is not one number: write one without its sweep" if swept else ""
        )
        if top.of == "neurons" and not table.site and top.by in by_effect_of:
            more = (
                "; of one block, given as site, a read chooses neurons as well, and of all blocks "
                'with score = "gradient"'
            )
        raise DataError(
            f"{table.name!r}: by is two labels or one of {', '.join(known)}, got {top.by!r}{more}"
        )


def _check_weights(table: Intervention, top: Top, tables: Sequence[Direction]) -> None:
    """Refuse a direction along which parts do not write, and weights of what has none. Raises:
    DataError."""
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
    """The change of the parts that `top` of a read chooses: each set to zero."""
    assert read.top is not None
    position = "all" if read.position in ("mean", "all") else read.position
    place: dict[str, Any] = {"ablate": "zero"}
    if read.top.of == "latents":
        place = {"clamp": ((read.feature or ("",))[0], ()), "site": read.site}
    elif read.top.of == "neurons":
        place |= {"site": read.site}
    return Intervention(name=read.name, top=read.top, position=position, **place)


def of_read(read: Read, known: Known, *, dealt: bool) -> Read:
    """Name the parts that are chosen for a read in the place of the choice; by labels dealt out at
    random, the same for all seeds, where they are `dealt`. Raises: DataError, ModelError."""
    if read.top is None:
        return read
    table = chosen(stand_in(read), read.top, known, dealt=dealt)
    if read.top.of == "latents":
        return msgspec.structs.replace(read, top=None, feature=table.clamp)
    field = read.top.of
    return msgspec.structs.replace(read, top=None, **{field: getattr(table, field)})


def of_direction(table: Direction, known: Known) -> Direction:
    """Name the parts that are chosen for a direction in the place of the choice. Raises: DataError,
    ModelError."""
    if table.top is None:
        return table
    learner = known.learner
    source, _ = source_of(table.top, learner.measured, learner.sources, known.reads)
    named = chosen(change_of(table, source), table.top, known)
    return msgspec.structs.replace(table, top=None, heads=named.heads, neurons=named.neurons)


def made_for(table: Direction, usual: str, some: Sequence[Read]) -> Direction:
    """A direction that is learned from the usual prompts, and whose heads are chosen on these, if
    it does not name others."""
    top = table.top
    if top and not prompts_of(top, some):
        top = msgspec.structs.replace(top, prompts=usual)
    return msgspec.structs.replace(table, prompts=table.prompts or usual, top=top)


def change_of(table: Direction, source: PromptSet) -> Intervention:
    """The change of single parts by whose effect those of a direction are chosen: each head is
    patched from the pair's other text, or, of prompts without one, set to its mean; each neuron is
    set to zero."""
    paired = bool(source.table.corrupted) or "corrupted" in source.rows[0].columns
    how: dict[str, Any] = {"patch": "corrupted"} if paired else {"ablate": "mean"}
    if table.top and table.top.of == "neurons":
        how = {"ablate": "zero"}
    return Intervention(name=table.name, top=table.top, position=table.position, **how)


def any_parts(read: Read) -> Read:
    """A read with the first parts that there are in the place of a choice, to be made ready without
    a model."""
    assert read.top is not None
    n, layer = int(read.top.n), (read.top.layers or (0,))[0]
    changes: dict[str, Any] = {"heads": (f"{layer}.0",)}
    if read.top.of == "neurons":
        changes = {"neurons": tuple(k if read.site else f"{layer}.{k}" for k in range(n))}
    elif read.top.of == "latents":
        changes = {"feature": ((read.feature or ("",))[0], tuple(range(n)))}
    return msgspec.structs.replace(read, top=None, **changes)


def numbered(table: Read, size: Mapping[str, int]) -> list[int]:
    """The parts of a read as numbers, heads and neurons of several blocks through all of these."""
    several = [(size["h"], table.heads)]
    several += [(size.get("m", 1), tuple(n for n in table.neurons if isinstance(n, str)))]
    found = [head_of(text)[0] * each + head_of(text)[1] for each, some in several for text in some]
    found += [n for n in table.neurons if isinstance(n, int)]
    latents = table.feature[1] if table.feature else ()
    return [*found, *(latents if isinstance(latents, tuple) else (latents,))]


def chosen(table: Intervention, top: Top, known: Known, *, dealt: bool = False) -> Intervention:
    """Name the parts that are chosen in the place of the choice. Raises: DataError, ModelError."""
    learner = known.learner
    source, rows = source_of(top, learner.measured, learner.sources, known.reads)
    names, sizes = _sized(table, top, known, source, rows)
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


def chosen_for_each(table: Intervention, top: Top, known: Known) -> dict[str, Intervention]:
    """Name the parts that are chosen for each prompt on the others of its group, by the prompt's
    place. Raises: DataError, ModelError."""
    measured = known.learner.measured
    source, rows = source_of(top, measured, known.learner.sources, known.reads)
    names, sizes = _sized(table, top, known, source, rows)
    groups = source.column(top.within, rows)
    tables = {}
    for i, row in enumerate(rows):
        others = [k for k, group in enumerate(groups) if group == groups[i] and k != i]
        tables[source.rows[row].place] = _named(table, top, names, sizes[others].mean(0))
    return tables


def _sized(
    table: Intervention, top: Top, known: Known, source: PromptSet, rows: Sequence[int]
) -> Sized:
    """The parts that there are, and how much each has on each of these rows."""
    prompts = [prompt(known.learner.model.folder, source.rows[i]) for i in rows]
    if top.position != "":
        table = msgspec.structs.replace(table, position=top.position)
    read = None if top.by in [d.name for d in known.tables] else by_effect(table, known.reads)
    if read is not None and (graded := by_gradient(top, known.reads)) is not None:
        return _slopes(table, top, known, graded, source, prompts)
    if read is not None:
        return _effects(table, top, known, read, source, rows)
    return _SIZES[top.of](table, top, known, prompts)


def _named(
    table: Intervention, top: Top, names: Names, score: Float[torch.Tensor, " part"]
) -> Intervention:
    """An intervention on the parts of the highest, or lowest, score in the place of the choice."""
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
    """How often a row of the first label is above one of the second, ties a half; equal ones in the
    order of how far their means are apart."""
    above = torch.zeros(first.shape[1], dtype=torch.float64, device=first.device)
    for row in first:
        above += (row > second).double().mean(0) + (row == second).double().mean(0) / 2
    apart = first.mean(0) - second.mean(0)
    return above / len(first) + 1e-9 * apart / apart.abs().max().clamp_min(1e-30)


def site_of_latents(table: Intervention, dictionary: Dictionary, folder: ModelFolder) -> Site:
    """Give the site at which latents are set. Raises: DataError, ModelError where the dictionary
    does not fit there, or lacks one of them."""
    assert table.clamp is not None
    site = site_of(table, table.clamp[0], dictionary, folder)
    for latent in interventions.latents_of(table):
        dictionaries.latent(dictionary, table.clamp[0], latent)
    return site


def site_of(table: Intervention, name: str, dictionary: Dictionary, folder: ModelFolder) -> Site:
    """Give the site at which a dictionary of this name changes a model. Raises: DataError,
    ModelError where it does not fit there."""
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


def _heads(table: Intervention, top: Top, known: Known, prompts: Sequence[Prompt]) -> Sized:
    """How much each head writes, or along a direction, or what it gives of a read of a pattern."""
    model = known.learner.model
    count, layers = read_sizes(model.folder.config)["h"], [*(top.layers or range(model.layers))]
    names = [(layer, head) for layer in layers for head in range(count)]
    read = of_heads(top, known.reads)
    if read is not None:
        context = Context(subject=model)
        each = [
            msgspec.structs.replace(read, pattern="", heads=(f"{n}.{head}",)) for n, head in names
        ]
        get = attribution.direct if read.direct else activations.pattern
        needed = dict.fromkeys(s for one in each for s in get(one, prompts[0], context).sites)
        paid = []
        for p, acts in _seen(model, prompts, [*needed]):
            ready = [get(one, p, context) for one in each]
            tokens = next_tokens.own_numbers(model, ready[0].wants, acts)
            output = PassOutput(p, acts=acts, numbers=tokens)
            paid.append([one.numbers([output])[0] for one in ready])
        return names, torch.tensor(paid)
    kind = "result" if "result" in model.folder.architecture.sites else "z"
    sites = [Site(kind, layer) for layer in layers]
    along = _along(top, known, Site("resid_post", layers[0]))
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
    known: Known,
    read: Read,
    source: PromptSet,
    rows: Sequence[int],
) -> Sized:
    """How much worse a read gets where one part alone is changed."""
    assert known.effects is not None
    model = known.learner.model
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
    return names, sign * torch.from_numpy(known.effects(read, swept, source, rows).T)


def _slopes(
    table: Intervention,
    top: Top,
    known: Known,
    graded: Graded,
    source: PromptSet,
    prompts: Sequence[Prompt],
) -> Sized:
    """How much worse a read would get without each part, or with it patched, to first order: the
    change of its activation times the gradient."""
    read, steps, model = graded.read, graded.steps, known.learner.model
    layers = [*(top.layers or range(model.layers))]
    coder = None
    if top.of == "latents":
        assert table.clamp is not None
        coder = known.learner.dictionary(table.clamp[0]).to(model.device)
        sites = [site_of_latents(table, coder, model.folder)]
        gradients.check_latents(table.name, coder, sites)
    elif table.site:
        sites = [Site.parse(str(table.site))]
    else:
        sites = [Site("z" if top.of == "heads" else "mlp_post", n) for n in layers]
    rows = []
    for p in prompts:
        ready, at = reads.ready(read, p, Context(subject=model)), p.own
        at = at if table.position == "all" else gradients.tokens_of(table.position, p)
        gradients.refuse_rough(table.name, read.name, ready)
        pair = pairs.pair_of(p, table.position, source) if graded.patched else None
        given: dict[Site, gradients.Slope] = {}
        for some in [sites] if steps == 1 else [[site] for site in sites]:
            given |= gradients.slopes(model, ready, PassOutput(p), some, at, steps, pair)
        if coder is not None:
            rows.append(gradients.by_latent(coder, given[sites[0]]).sum(0))
            continue
        parts = [given[site].fall.sum(0) for site in sites]
        rows.append(torch.cat([x.sum(-1) if top.of == "heads" else x.flatten() for x in parts]))
    count = len(rows[0]) // len(sites)
    return [(s.layer or 0, n) for s in sites for n in range(count)], graded.sign * torch.stack(rows)


def _neurons(table: Intervention, top: Top, known: Known, prompts: Sequence[Prompt]) -> Sized:
    """How large each neuron is, or how much it writes along a direction; of labels its activation
    itself."""
    model = known.learner.model
    layers = top.layers or range(model.layers)
    sites = [Site.parse(str(table.site))] if table.site else [Site("mlp_post", n) for n in layers]
    widths = [(site.layer or 0, model.folder.width(site)) for site in sites]
    names = [(layer, n) for layer, width in widths for n in range(width)]
    weights: Any = 1.0
    if (along := _along(top, known, Site("resid_post", sites[0].layer))) is not None:
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
    """The norm of what each neuron writes, or how differently it writes to the tokens.

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


def _latents(table: Intervention, top: Top, known: Known, prompts: Sequence[Prompt]) -> Sized:
    """How strongly each latent is on, or as much along a direction."""
    assert table.clamp is not None
    coder: Dictionary = known.learner.dictionary(table.clamp[0]).to(known.learner.model.device)
    site = site_of_latents(table, coder, known.learner.model.folder)
    names = [(site.layer or 0, n) for n in range(coder.width)]
    weights: Any = 1.0
    if (along := _along(top, known, site)) is not None:
        weights = effects.directions(coder, [*range(coder.width)]).float() @ along
        if top.score == "weights":
            return names, weights[None]
    rows = []
    for p, acts in _seen(known.learner.model, prompts, [site]):
        x = _at(acts[site], p, table.position, first=1).flatten(1)
        rows.append(coder.encode(x)[0].mean(0))
    return names, torch.stack(rows) * weights


_SIZES: dict[str, Callable[[Intervention, Top, Known, Sequence[Prompt]], Sized]] = {
    "heads": _heads,
    "neurons": _neurons,
    "latents": _latents,
}


def _along(top: Top, known: Known, site: Site) -> Float[torch.Tensor, " d"] | None:
    """The direction by which is chosen, of length 1; None where that is by something else."""
    tables: Sequence[Direction] = known.tables
    if not isinstance(top.by, str) or top.by not in [d.name for d in tables]:
        return None
    table = directions.find(tables, top.by)
    vector = known.learner.vector(table, known.learner.site(table, site), 0).flatten().float()
    return vector / vector.norm()


def _at(
    x: Float[torch.Tensor, "s ..."], p: Prompt, position: Positions, first: int = 0
) -> Float[torch.Tensor, "n ..."]:
    """What a site has where a change is made, but for the first token that the model reads."""
    if position != "all":
        return x[p.all_at(position)].float()
    own = x[max(first, p.opening) :].float()
    return own if p.opening or first or len(own) < 2 else own[1:]


def _seen(
    model: Pretrained, prompts: Sequence[Prompt], sites: Sequence[Site]
) -> Iterator[tuple[Prompt, dict[Site, torch.Tensor]]]:
    """What sites have on prompts with nothing done, a prompt at a time."""
    for begin in range(0, len(prompts), TOGETHER):
        some = prompts[begin : begin + TOGETHER]
        traces = run_many(model, [p.tokens for p in some], capture=[*sites], logits=False)
        for p, traced in zip(some, traces, strict=True):
            yield p, {site: x[0] for site, x in traced[0].acts.items()}
