"""Controls: which near controls of the table (`assay.ask.near`) apply to interventions,
probes, unchanged models and differences between models, and functions that say what a read depends
on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from assay.ask import near
from assay.ask.measure import directions, interventions, probe_parts, reads
from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet
from assay.ask.measure.tokenized import Prompt, texts_of
from assay.ask.near import Control, chosen
from assay.ask.tables import Direction, Intervention, Probe, Read
from assay.controls.picks import pick
from assay.core.errors import DataError
from assay.train import rng


def of_intervention(
    table: Intervention, tables: Sequence[Direction], stated: Collection[str] = ()
) -> tuple[Control, ...]:
    """The near controls of an intervention: all of its kind, or those that it names or that are
    `stated` elsewhere; for a sweep over kinds, those that all points have. Raises: DataError for an
    unknown name."""
    by_point = [_of_point(t, tables) for t in interventions.at_points(table)]
    common = [c for c in by_point[0] if all(c in other for other in by_point)]
    return chosen(table.name, common, table.controls, stated)


def _of_point(table: Intervention, tables: Sequence[Direction]) -> tuple[Control, ...]:
    way = interventions.way_of(table)
    if direction := interventions.direction_of(table, tables):
        how = directions.way_of(direction)
        puts_back = table.patch in ("corrupted", "clean")
        usual = near.UNRELATED if puts_back else near.DAMAGE
        collateral: tuple[Control, ...] = () if table.add else (usual,)
        collateral = (near.OTHER_SWAP,) if table.patch == interventions.SWAPPED else collateral
        if how == "components" or (how == "component" and directions.is_subspace(direction)):
            return (near.SUBSPACE, near.VARIANCE, *collateral)
        if how == "feature":
            return (near.FEATURE, *collateral)
        if how not in directions.LEARNED:
            others = {"neurons": (near.NEURONS,), "mean_row": ()}.get(how, (near.TOKENS,))
            return (near.RANDOM, *others, *collateral)
        several = directions.is_subspace(direction)
        controls: tuple[Control, ...] = (near.SUBSPACE if several else near.RANDOM,)
        controls += (near.SHUFFLED,) if how in ("difference", "probe", "das") else ()
        of_heads = (direction.heads or direction.top) and not several
        controls += (near.HEADS, near.ANY_HEADS) if of_heads else ()
        return (*controls, *((near.LAYER,) if _in_a_block(direction.site) else ()), *collateral)
    if way == "block":
        assert table.block is not None
        if table.block.heads:
            return (near.BLOCKED_TOKENS, near.BLOCKED_HEADS)
        return (near.BLOCKED_TOKENS, *((near.BLOCKED_LAYERS,) if table.block.layers else ()))
    if way == "reconstruct":
        return (near.MEAN,)
    if way == "clamp":
        several = table.top is not None or not isinstance(table.clamp and table.clamp[1], int)
        return (near.LATENTS if several else near.FEATURE, near.DAMAGE)
    sites = interventions.sites_of(table)
    place: tuple[Control, ...] = (near.ELSEWHERE,) if all(map(_in_a_block, sites)) else ()
    if table.window and table.position != "all":
        place = (*place, near.TOKEN)
    if table.heads or (table.top and table.top.of == "heads"):
        place = (near.HEADS,) if table.path else (near.HEADS, near.ANY_HEADS)
    elif table.neurons or table.top:
        of_mlps = all(site == "" or site.endswith("mlp.hook_post") for site in sites)
        place = (near.NEURONS, near.ANY_NEURONS if of_mlps else near.ANY_DIMENSIONS)
    elif table.position != "all" and all(map(is_stream, sites)):
        place = (near.TOKEN,)
    elif table.path:
        place = ()  # another MLP may come after the receiver
    if table.top and table.top.within:
        return place  # nothing is chosen for other texts
    if table.patch == interventions.SWAPPED:
        return (*(c for c in place if c != near.TOKEN), near.OTHER_SWAP)
    own_control = (near.OWN,) if table.source else ()
    puts_back = table.patch in ("corrupted", "clean")
    return (near.UNRELATED, *place) if puts_back else (*own_control, *place, near.DAMAGE)


def is_stream(site: str) -> bool:
    """Whether a site is the residual stream itself. Each block passes it on, so the same site of
    another block is not another place."""
    return ".hook_resid_" in site or site == "hook_embed"


def _in_a_block(site: str) -> bool:
    """Whether other blocks may have the same site."""
    return site.startswith("blocks.")


def of_probe(
    table: Probe, *, trained: bool = True, changes: Sequence[Control] = ()
) -> tuple[Control, ...]:
    """The near controls of a probe: all, or those that it names, including those of the
    intervention under which it reads. Raises: DataError for an unknown name, such as `untrained`
    for a model that is not trained."""
    twin = (near.UNTRAINED,) if trained else ()
    base = (near.BAG, near.EMBEDDING, near.PLACES, *twin, near.PERMUTED)
    others = () if changes else probe_parts.control_of(table)
    return chosen(table.name, (*base, *others, *changes), table.controls)


def of_model(
    reads: Sequence[Read], prompts: PromptSet, *, untrained: bool, changed: bool
) -> list[Control]:
    """The near controls of an unchanged model, or of an untrained one; for a known change of
    another model, such as a later checkpoint, also the shuffled change."""
    controls = [near.TRAINED] if untrained else [near.TWIN, *([near.CHANGED] if changed else [])]
    of_heads = [r for r in reads if names_a_head(r)] if not untrained else []
    words = near.WRITERS if all(r.direct or r.weights for r in of_heads) else near.ATTENTION
    words = near.ALIKE if all(r.similarity for r in of_heads) else words
    controls += [words] if of_heads else []
    controls += [near.WRITING] if any(map(names_a_block, reads)) and not untrained else []
    controls += [near.DEALT] if any(map(chooses_by_labels, reads)) else []
    controls += [near.POSITION] if any(map(looks_at_a_slot, reads)) and not untrained else []
    if any(varies(r, prompts) for r in reads):
        return [*controls, near.ANSWERS]
    return [*controls, *([near.UNPAIRED] if any(compares_texts(r) for r in reads) else [])]


def compares_texts(read: Read) -> bool:
    """Whether a read compares the prompt with another text of its row, or two sites on it, so that
    the text of another row can replace one of them."""
    return bool(read.other_site or read.other_text or (read.similarity and not read.heads))


def of_diff(reads: Sequence[Read], prompts: PromptSet, *, same_shape: bool) -> list[Control]:
    """The near controls of a difference between two models.

    There is no shuffled pairing of prompts: the mean of differences is the difference of means,
    whatever the models do. For the same reason there is no `unrelated` if all rows have the same
    answers, and there are no untrained twins of models of one shape, which would be equal."""
    controls = [near.CHANGED] if same_shape else [near.TWINS]
    return [*controls, *([near.ANSWERS] if any(varies(r, prompts) for r in reads) else [])]


def answers(read: Read) -> tuple[str, ...]:
    """The texts that a read names as answers."""
    stated = [x for name in reads.ANSWERS if (x := getattr(read, name)) is not True]
    every = [answer for value in stated for answer in texts_of(value)]
    return tuple(text for answer in every for text in texts_of(answer) if text)


def varies(read: Read, prompts: PromptSet) -> bool:
    """Whether the answers of a read differ between rows."""
    slots = sorted({slot for text in answers(read) for slot in SLOT.findall(text)})
    return len({tuple(row.columns.get(slot) for slot in slots) for row in prompts.rows}) > 1


def names_a_head(read: Read) -> bool:
    """Whether a read is of heads that others can replace, and not a sweep over heads."""
    if read.top is not None:
        return read.top.of == "heads"
    heads = [x.partition(".")[2] for x in (*read.heads, read.pattern) if x]
    swept = {"pattern", "heads"} & {*read.sweep}
    return bool(heads) and not swept and not any(map(SLOT.search, heads))


def names_a_block(read: Read) -> bool:
    """Whether a read is of what named blocks write, which other blocks can replace."""
    sites = (*read.sites, read.site) if read.direct and "site" not in read.sweep else ()
    blocks = [site.split(".")[1] for site in sites if site.startswith("blocks.")]
    return bool(blocks) and not any(map(SLOT.search, blocks))


def chooses_by_labels(read: Read) -> bool:
    """Whether a read compares two labels, or chooses parts by them, so that the labels can be
    shuffled."""
    return read.labels is not None or (read.top is not None and not isinstance(read.top.by, str))


def looks_at_a_slot(read: Read) -> bool:
    """Whether a read is of the attention to a slot, which may depend only on its position, and not
    to a position that the read names."""
    slots = SLOT.findall(read.to) if read.pattern and isinstance(read.to, str) else []
    return any(slot not in read.sweep for slot in slots)


def scrambled(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """Draw other tokens for all prompts from the tokens of all; positions of slots and the tokens
    before the text stay."""
    pool = [t for p in prompts for t in p.tokens[p.opening :]]

    def draw(i: int, p: Prompt) -> Prompt:
        picks = rng.integers(np.array([seed]), "ask.position", i, (len(p.own),), len(pool))[0]
        return replace(p, tokens=(*p.tokens[: p.opening], *(pool[k] for k in picks)))

    return [draw(i, p) for i, p in enumerate(prompts)]


def unrelated(
    prompts: PromptSet, rows: Sequence[int], seed: int, misfit: Callable[[PromptRow], str] | None
) -> dict[int, PromptRow]:
    """Replace the prompt of each of these rows by that of another one, while the row keeps its
    answers and the other text of its pair.

    Rows with the same answers count as well: with only two kinds of rows, the other kind alone
    would reverse every number. `misfit` says why a row cannot be measured with another prompt, if
    some cannot.
    Raises: DataError if no prompt is left."""
    partners = {}
    for i in rows:
        row, why = prompts.rows[i], "the control unrelated needs at least two prompts"
        candidates = [k for k in rows if prompts.rows[k].text != row.text]
        while candidates:
            k = candidates[pick(seed, "ask.unrelated", i, len(candidates))]
            other = replace(prompts.rows[k], columns=row.columns, place=row.place, instead_of=row)
            reason = misfit(other) if misfit else ""
            if not reason:
                partners[i] = other
                break
            why = f"no other prompt can replace it: {reason}"
            candidates.remove(k)
        else:
            raise DataError(f"{row.place}: {why}")
    return partners
