"""Paths: what heads or MLPs of another text send to some later ones, or to the logits, and to
nothing else: every other head and MLP has what it had before.

Source: Wang et al., Interpretability in the Wild, 2022; here MLPs between the two are held too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.ask.measure.elsewhere import Places
from assay.ask.measure.heads import check as check_heads
from assay.ask.measure.heads import head_of
from assay.ask.measure.interventions import positions_of, put
from assay.ask.measure.replacements import Replacements, Rows
from assay.ask.measure.seen import Prompt
from assay.ask.tables import Intervention, Path
from assay.core.errors import DataError
from assay.subjects import edits as changes
from assay.subjects.batches import run_many
from assay.subjects.edits import Edits
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

LOGITS, MLP = "logits", "mlp"
SENDERS = ("z", "mlp_out")
"""Kinds of sites that send something, and are held."""


def receivers(name: str, path: Path) -> dict[Site, list[int] | None]:
    """Give the sites to which a path leads, with the heads at each; none of the logits. Raises:
    DataError."""
    if LOGITS in path.to:
        if path.to[1:] or path.input:
            raise DataError(f'{name!r}: a path leads to = ["logits"] alone, or to heads and MLPs')
        return {}
    sites: dict[Site, list[int] | None] = {}
    for text in path.to:
        layer, _, part = text.partition(".")
        if part == MLP and layer.isdecimal():
            sites[Site("mlp_out", int(layer))] = None
            continue
        number, head = head_of(text)
        known = sites.setdefault(Site("z", number), []) or []
        sites[Site("z", number)] = [*known, head]
    if path.input and not all(sites.values()):
        raise DataError(f"{name!r}: input = {path.input!r} is of heads; an MLP has one input")
    return sites


def check(table: Intervention, places: Places, folder: ModelFolder) -> None:
    """Refuse a path that leads nowhere in a model. Raises: DataError, ModelError."""
    assert table.path is not None
    to = receivers(table.name, table.path)
    for site, _ in places:
        if site.kind not in SENDERS:
            raise DataError(
                f"{table.name!r}: a path begins at heads, or at blocks.N.hook_mlp_out; got {site}"
            )
        for end, numbers in to.items():
            behind = (end.layer or 0, end.kind != "z") > (site.layer or 0, site.kind != "z")
            if not behind or (site.kind == end.kind and site.layer == end.layer):
                raise DataError(f"{table.name!r}: {end} does not come after {site}")
            folder.check(end)
            check_heads(table.name, end.layer, numbers, folder.shape(end)[0])


def edits(
    table: Intervention,
    places: Places,
    sent: Sequence[Mapping[Site, Rows]],
    source: Replacements,
) -> list[Edits]:
    """The edits of every prompt that put what is sent along a path alone.

    Args:
        table: at one point of its sweep.
        places: sites that send, each with its heads.
        sent: what these have in the other text, for each prompt.
        source: what sites have with nothing done.
    """
    assert table.path is not None
    model: Pretrained = source.model
    check(table, places, model.folder)  # heads that were chosen, or stand in, are known only now
    first = min(site.layer or 0 for site, _ in places)
    held = [Site(kind, n) for n in range(first, model.layers) for kind in SENDERS]
    senders, to = dict(places), receivers(table.name, table.path)
    clean = source.seen(source.prompts, held)

    def holding(i: int, p: Prompt, free: Site | None) -> Edits:
        combined: Edits = {}
        for site in held:
            rows = clean[i][site]
            if site in senders:
                rows = rows.clone()
                at, heads = positions_of(table, p), senders[site]
                index = changes.stretch(slice(None) if at is None else at, len(rows))
                new = sent[i][site]
                for head in heads if heads is not None else [slice(None)]:
                    rows[index, head] = new[index, head].to(rows)
            combined |= put(site, rows, None, None, False) if site != free else {}
        return combined

    pairs = [*enumerate(source.prompts)]
    if not to:
        return [holding(i, p, None) for i, p in pairs]
    final: list[Edits] = [{} for _ in pairs]
    for end, heads in to.items():
        kept = [Site(kind, end.layer) for kind in "qkv" if table.path.input not in ("", kind)]
        inputs = source.seen(source.prompts, kept) if kept else [{}] * len(pairs)
        held_there = [
            [holding(i, p, end) | {k: v for s in kept for k, v in put(s, inputs[i][s]).items()}]
            for i, p in pairs
        ]
        tokens = [p.tokens for p in source.prompts]
        traces = run_many(model, tokens, held_there, capture=[end], logits=False)
        for own, traced in zip(final, traces, strict=True):
            rows = traced[0].acts[end][0].clone()
            own |= put(end, rows, None, heads, False)
    return final
